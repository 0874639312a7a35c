"""Special functions that are not of the everyday kind, against integrals, identities and NumPy's polynomials."""

from __future__ import annotations

import math

import numpy as np
import pytest

import flambeau as torch

POINTS = np.array([0.05, 0.7, 1.9, 2.1, 4.0, 7.9, 8.1, 20.0, 60.0])


def column(name, x=POINTS):
    return getattr(torch.special, name)(torch.tensor(x, dtype=torch.float64)).numpy()


@pytest.mark.parametrize("order", [0, 1])
def test_bessel_j_by_its_integral(order):
    angles = (np.arange(400) + 0.5) * math.pi / 400  # the midpoint rule is exact for periodic functions
    want = [np.cos(order * angles - x * np.sin(angles)).mean() for x in POINTS]
    np.testing.assert_allclose(column(f"bessel_j{order}"), want, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(
        column(f"bessel_j{order}", -POINTS), np.array(want) * (-1) ** order, rtol=1e-11, atol=1e-13
    )


def test_bessel_y_by_the_wronskian():
    j0, j1, y0, y1 = (column(f"bessel_{n}") for n in ("j0", "j1", "y0", "y1"))
    np.testing.assert_allclose(j1 * y0 - j0 * y1, 2 / (math.pi * POINTS), rtol=1e-11)
    assert column("bessel_y0", np.array([0.0, -1.0])).tolist()[0] == -math.inf
    assert math.isnan(column("bessel_y1", np.array([-1.0]))[0])


@pytest.mark.parametrize("order", [0, 1])
def test_bessel_k_by_its_integral(order):
    t = np.linspace(0, 12, 24_001)
    weights = np.full(len(t), t[1])
    weights[0] /= 2
    want = [(np.exp(x - x * np.cosh(t)) * np.cosh(order * t) * weights).sum() for x in POINTS]
    np.testing.assert_allclose(column(f"scaled_modified_bessel_k{order}"), want, rtol=1e-11)
    np.testing.assert_allclose(
        column(f"modified_bessel_k{order}"), np.array(want) * np.exp(-POINTS), rtol=1e-11
    )
    np.testing.assert_array_equal(column(f"modified_bessel_i{order}"), column(f"i{order}"))


def test_airy_solves_its_equation():
    x = np.array([-30.0, -8.0, -5.2, -4.8, -1.0, 0.0, 1.0, 3.0, 4.9, 5.1, 6.0])
    step = 2e-2
    rows = [column("airy_ai", x + k * step) for k in range(-3, 4)]
    second = (
        sum(c * r for c, r in zip((1 / 90, -3 / 20, 3 / 2, -49 / 18, 3 / 2, -3 / 20, 1 / 90), rows)) / step**2
    )
    np.testing.assert_allclose(second, x * rows[3], rtol=1e-5, atol=1e-8)
    assert rows[3][5] == pytest.approx(3 ** (-2 / 3) / math.gamma(2 / 3), rel=1e-14)


def test_spherical_bessel():
    assert column("spherical_bessel_j0", np.array([0.0, math.pi / 2, math.inf])).tolist() == pytest.approx(
        [1.0, 2 / math.pi, 0.0]
    )


POLYNOMIALS = {
    "chebyshev_polynomial_t": lambda n, x: math.cos(n * math.acos(x)),
    "chebyshev_polynomial_u": lambda n, x: math.sin((n + 1) * math.acos(x)) / math.sin(math.acos(x)),
    "chebyshev_polynomial_v": lambda n, x: math.cos((n + 0.5) * math.acos(x)) / math.cos(math.acos(x) / 2),
    "chebyshev_polynomial_w": lambda n, x: math.sin((n + 0.5) * math.acos(x)) / math.sin(math.acos(x) / 2),
    "hermite_polynomial_h": lambda n, x: np.polynomial.hermite.hermval(x, [0] * n + [1]),
    "hermite_polynomial_he": lambda n, x: np.polynomial.hermite_e.hermeval(x, [0] * n + [1]),
    "laguerre_polynomial_l": lambda n, x: np.polynomial.laguerre.lagval(x, [0] * n + [1]),
    "legendre_polynomial_p": lambda n, x: np.polynomial.legendre.legval(x, [0] * n + [1]),
}


@pytest.mark.parametrize("name", sorted(POLYNOMIALS))
def test_polynomials(name):
    x = torch.tensor([-0.9, -0.3, 0.2, 0.8], dtype=torch.float64)
    degrees = torch.arange(8).unsqueeze(1)
    want = [[POLYNOMIALS[name](n, v) for v in x.tolist()] for n in range(8)]
    np.testing.assert_allclose(getattr(torch.special, name)(x, degrees).numpy(), want, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(getattr(torch.special, name)(x, 3).numpy(), want[3], rtol=1e-11, atol=1e-12)
    assert getattr(torch.special, name)(x, -1).tolist() == [0.0] * 4
    shifted = getattr(torch.special, "shifted_" + name, None) if name.startswith("chebyshev") else None
    if shifted is not None:
        np.testing.assert_allclose(shifted(x * 0.5 + 0.5, degrees).numpy(), want, rtol=1e-10, atol=1e-12)


def test_incomplete_gamma():
    x = torch.tensor([0.01, 0.5, 1.0, 2.0, 9.0, 30.0], dtype=torch.float64, requires_grad=True)
    half = torch.full_like(x, 0.5)
    np.testing.assert_allclose(
        torch.igamma(half, x).detach().numpy(), torch.erf(x.sqrt()).detach().numpy(), rtol=1e-13
    )
    np.testing.assert_allclose(
        torch.igammac(half, x).detach().numpy(), torch.erfc(x.sqrt()).detach().numpy(), rtol=1e-12
    )
    np.testing.assert_allclose(
        torch.igamma(half * 2, x).detach().numpy(), -torch.expm1(-x).detach().numpy(), rtol=1e-13
    )
    for a in (0.3, 4.0, 50.0):
        both = torch.igamma(torch.full_like(x, a), x) + torch.igammac(torch.full_like(x, a), x)
        np.testing.assert_allclose(both.detach().numpy(), 1.0, rtol=1e-14)
    (slope,) = torch.autograd.grad(torch.igamma(half * 2, x).sum(), x)
    np.testing.assert_allclose(slope.numpy(), torch.exp(-x).detach().numpy(), rtol=1e-13)
    assert torch.igamma(torch.tensor([0.0, 1.0, 2.0]), torch.tensor([1.0, 0.0, math.inf])).tolist() == [
        1.0,
        0.0,
        1.0,
    ]
