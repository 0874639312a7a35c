"""Linear algebra and Fourier transforms: values by NumPy and by definition, derivatives by finite differences."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as torch

linalg = torch.linalg
TYPES = ["float32", "float64", "complex64", "complex128"]
SHAPES = [(3, 3), (2, 4, 4), (2, 3, 1, 1), (0, 3, 3), (2, 0, 0)]


def array(shape, kind="float64", seed=0):
    random = np.random.default_rng(seed)
    found = random.standard_normal(shape)
    if kind.startswith("complex"):
        found = found + 1j * random.standard_normal(shape)
    return found.astype(kind)


def tensor(a):
    return torch.from_numpy(np.ascontiguousarray(a))


def close(found, expected, kind="float64"):
    bound = 2e-4 if kind in ("float32", "complex64") else 1e-10
    np.testing.assert_allclose(found.numpy(), expected, rtol=bound, atol=bound)


def well(shape, kind):
    """Matrices far from singular."""
    return array(shape, kind) + 4 * np.eye(shape[-1], dtype=kind)


def hermitian(a):
    return (a + np.conj(np.swapaxes(a, -1, -2))) / 2


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_square_functions(shape, kind):
    a = well(shape, kind)
    close(linalg.inv(tensor(a)), np.linalg.inv(a), kind)
    close(linalg.det(tensor(a)), np.linalg.det(a), "float32" if kind in ("float32", "complex64") else kind)
    sign, log = linalg.slogdet(tensor(a))
    close(sign * log.exp().to(sign.dtype), np.linalg.det(a), kind)
    b = array((*shape[:-1], 2), kind, 1)
    close(linalg.solve(tensor(a), tensor(b)), np.linalg.solve(a, b), kind)
    b = np.swapaxes(b, -1, -2)
    close(linalg.solve(tensor(a), tensor(b), left=False), b @ np.linalg.inv(a), kind)


@pytest.mark.parametrize("kind", ["float32", "float64"])
@pytest.mark.parametrize("n", [1, 2, 5, 8, 9, 31, 32, 33])
def test_stacks_of_small_matrices(n, kind):
    """Sizes on both sides of where kernels of our own take over, from transposed memory too."""
    a, b = well((5, n, n), kind), array((5, n, 3), kind, 1)
    turned = tensor(np.swapaxes(a, -1, -2)).mT
    positive = a @ np.swapaxes(a, -1, -2)
    for given in (tensor(a), turned):
        close(linalg.inv(given), np.linalg.inv(a), kind)
        close(linalg.solve(given, tensor(b)), np.linalg.solve(a, b), kind)
        sign, log = linalg.slogdet(given)
        want = np.linalg.slogdet(a)
        np.testing.assert_array_equal(sign.numpy(), want[0])
        close(log, want[1], kind)
    for upper in (False, True):
        factor = linalg.cholesky(tensor(positive), upper=upper)
        close(
            factor.mT @ factor if upper else factor @ factor.mT,
            positive,
            kind if kind == "float64" else "float32",
        )
        triangle = np.triu(a) if upper else np.tril(a)
        close(linalg.solve_triangular(tensor(a), tensor(b), upper=upper), np.linalg.solve(triangle, b), kind)
        right = linalg.solve_triangular(tensor(a), tensor(b).mT, upper=upper, left=False)
        close(right, np.swapaxes(b, -1, -2) @ np.linalg.inv(triangle), kind)


def test_a_determinant_beyond_the_range_keeps_its_logarithm():
    sign, log = linalg.slogdet(-1e30 * torch.eye(21))
    assert sign.item() == -1
    assert log.item() == pytest.approx(21 * 30 * np.log(10), rel=1e-6)
    sign, log = linalg.slogdet(torch.zeros(2, 2))
    assert sign.item() == 0
    assert log.item() == -np.inf


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_factors_multiply_to_the_matrix(shape, kind):
    a = well(shape, kind)
    positive = a @ np.conj(np.swapaxes(a, -1, -2))
    lower = linalg.cholesky(tensor(positive))
    close(lower @ lower.mH, positive, kind)
    upper = linalg.cholesky(tensor(positive), upper=True)
    close(upper.mH @ upper, positive, kind)
    p, l, u = linalg.lu(tensor(a))
    close(p @ l @ u, a, kind)
    values, vectors = linalg.eigh(tensor(hermitian(a)))
    close((vectors * values.unsqueeze(-2)) @ vectors.mH, hermitian(a), kind)
    values, vectors = linalg.eig(tensor(a))
    close(tensor(a).to(vectors.dtype) @ vectors, (vectors * values.unsqueeze(-2)).numpy(), kind)


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("shape", [(4, 3), (3, 4), (2, 3, 3), (2, 0, 3), (0, 2, 3)])
def test_rectangular_factors(shape, kind):
    a = array(shape, kind)
    for mode in ("reduced", "complete"):
        q, r = linalg.qr(tensor(a), mode)
        close(q @ r, a, kind)
    for full in (False, True):
        u, s, vh = linalg.svd(tensor(a), full_matrices=full)
        k = s.shape[-1]
        close((u[..., :k] * s.unsqueeze(-2)) @ vh[..., :k, :], a, kind)
        close(u.mH @ u, np.broadcast_to(np.eye(u.shape[-1]), (u.mH @ u).shape), kind)
    p, l, u = linalg.lu(tensor(a))
    close(p @ l @ u, a, kind)
    close(linalg.pinv(tensor(a)), np.linalg.pinv(a), kind)


@pytest.mark.parametrize("driver", [None, "gels", "gelsd", "gelss"])
def test_least_squares(driver):
    a, b = array((5, 3)), array((5, 2), seed=1)
    found = linalg.lstsq(tensor(a), tensor(b), driver=driver)
    expected, residuals, rank, singular = np.linalg.lstsq(a, b, rcond=None)
    close(found.solution, expected)
    if driver:
        close(found.residuals, residuals)
    if driver in ("gelsd", "gelss"):
        assert found.rank.item() == rank
        close(found.singular_values, singular)


@pytest.mark.parametrize("ord", ["fro", "nuc", 1, -1, 2, -2, float("inf"), -float("inf")])
def test_matrix_norm(ord):
    a = array((3, 4))
    assert linalg.matrix_norm(tensor(a), ord).item() == pytest.approx(np.linalg.norm(a, ord))
    assert linalg.cond(tensor(a[:, :3]), ord).item() == pytest.approx(np.linalg.cond(a[:, :3], ord))


def test_matrix_exponential_of_a_rotation():
    angles = np.array([0.1, 1.0, 30.0])
    a = np.array([[[0, -x], [x, 0]] for x in angles])
    expected = np.array([[[np.cos(x), -np.sin(x)], [np.sin(x), np.cos(x)]] for x in angles])
    close(torch.matrix_exp(tensor(a)), expected)


SMOOTH = {
    "det": lambda a: linalg.det(a),
    "inv": lambda a: linalg.inv(a).sum(),
    "logdet": lambda a: torch.logdet(a @ a.T),
    "cholesky": lambda a: (linalg.cholesky(a @ a.T) ** 3).sum(),
    "qr": lambda a: sum((x**3).sum() for x in linalg.qr(a)),
    "lu": lambda a: sum((x**3).sum() for x in linalg.lu(a)[1:]),
    "svd": lambda a: sum((x.abs() ** 3).sum() for x in linalg.svd(a)),
    "svdvals": lambda a: (linalg.svdvals(a) ** 3).sum(),
    "eigh": lambda a: sum((x.abs() ** 3).sum() for x in linalg.eigh(a + a.T)),
    "eigvals": lambda a: (linalg.eigvals(a).abs() ** 3).sum(),
    "pinv": lambda a: (linalg.pinv(a[:, :2]) ** 3).sum(),
    "lstsq": lambda a: (linalg.lstsq(a[:, :2], a[:, 2:]).solution ** 3).sum(),
    "solve": lambda a: (linalg.solve(a, a[:, :2] ** 2) ** 3).sum(),
    "matrix_exp": lambda a: (torch.matrix_exp(a) ** 2).sum(),
    "matrix_power": lambda a: (linalg.matrix_power(a, -3) ** 2).sum(),
    "householder": lambda a: (linalg.householder_product(a, a[0] * 0.3) ** 3).sum(),
    "fft": lambda a: (torch.fft.fft2(a, s=(4, 2)).abs() ** 3).sum(),
    "irfft": lambda a: (torch.fft.irfft(a * (1 + 2j), n=5) ** 3).sum(),
    "cdist": lambda a: (torch.cdist(a, a[:2] * 2) ** 3).sum(),
    "cov": lambda a: (torch.cov(a) ** 2).sum(),
    "cross": lambda a: (linalg.cross(a, a.T) ** 3).sum(),
}


@pytest.mark.parametrize("name", SMOOTH)
def test_first_and_second_derivative(name):
    """Slopes along a line, by finite differences of the value and of the slope."""
    start, direction = well((3, 3), "float64") * 0.5, array((3, 3), seed=3)
    step = 1e-5

    def slope(at, second=False):
        x = tensor(start + at * direction).requires_grad_()
        value = SMOOTH[name](x)
        (g,) = torch.autograd.grad(value, x, create_graph=second)
        along = (g * tensor(direction)).sum()
        if second:
            (g,) = torch.autograd.grad(along, x)
            return (g * tensor(direction)).sum().item()
        return value.item(), along.item()

    (high, slope_high), (low, slope_low) = slope(step), slope(-step)
    assert slope(0.0)[1] == pytest.approx((high - low) / (2 * step), rel=1e-5, abs=1e-6)
    assert slope(0.0, True) == pytest.approx((slope_high - slope_low) / (2 * step), rel=1e-4, abs=1e-5)


def test_derivative_of_a_singular_determinant():
    x = tensor(np.diag([1.0, 2.0, 0.0])).requires_grad_()
    linalg.det(x).backward()
    close(x.grad, np.diag([0.0, 0.0, 2.0]))


SINGULAR = [
    (
        lambda: linalg.inv(torch.zeros(2, 2)),
        "linalg.inv: The diagonal element 1 is zero, the inversion could not",
    ),
    (
        lambda: linalg.solve(torch.zeros(3, 2, 2), torch.ones(3, 2, 1)),
        "torch.linalg.solve: (Batch element 0): The solver failed",
    ),
    (lambda: linalg.cholesky(-torch.eye(2)), "linalg.cholesky: The factorization could not be completed"),
]


@pytest.mark.parametrize(("call", "text"), SINGULAR)
def test_singular_matrices_are_refused(call, text):
    with pytest.raises(linalg.LinAlgError) as caught:
        call()
    assert str(caught.value).startswith(text)
    assert isinstance(caught.value, RuntimeError)


MISTAKES = [
    (
        lambda: linalg.inv(torch.zeros(2, 3)),
        "linalg.inv: A must be batches of square matrices, but they are 2 by 3",
    ),
    (lambda: linalg.det(torch.zeros(3)), "linalg.det: The input tensor A must have at least 2 dimensions."),
    (
        lambda: linalg.svd(torch.zeros(2, 2).long()),
        "linalg.svd: Expected a floating point or complex tensor as input.",
    ),
    (
        lambda: linalg.solve(torch.eye(3), torch.ones(4, 2)),
        "linalg.solve: Incompatible shapes of A and B for the",
    ),
    (lambda: torch.trace(torch.ones(3)), "trace: expected a matrix, but got tensor with dim 1"),
    (lambda: torch.fft.fft(torch.ones(3), norm="x"), 'Invalid normalization mode: "x"'),
    (lambda: torch.fft.rfft(torch.ones(3) * 1j), "rfft expects a real input tensor, but got ComplexFloat"),
]


@pytest.mark.parametrize(("call", "text"), MISTAKES)
def test_mistakes(call, text):
    with pytest.raises(RuntimeError) as caught:
        call()
    assert str(caught.value).startswith(text)


@pytest.mark.parametrize("norm", [None, "forward", "backward", "ortho"])
@pytest.mark.parametrize("name", "fft ifft rfft irfft hfft ihfft".split())
@pytest.mark.parametrize("n", [None, 4, 9])
def test_transforms_along_one_dimension(name, n, norm):
    real = name in ("rfft", "ihfft")
    a = array((2, 6, 3), "float64" if real else "complex128")
    found = getattr(torch.fft, name)(tensor(a), n=n, dim=1, norm=norm)
    close(found, getattr(np.fft, name)(a, n=n, axis=1, norm=norm))


@pytest.mark.parametrize("name", "fftn ifftn rfftn irfftn".split())
def test_transforms_along_several_dimensions(name):
    a = array((3, 4, 5), "float64" if name == "rfftn" else "complex128")
    found = getattr(torch.fft, name)(tensor(a), s=(2, 6), dim=(0, 2))
    close(found, getattr(np.fft, name)(a, s=(2, 6), axes=(0, 2)))


def test_windows():
    for name in ("hamming", "blackman", "bartlett"):
        found = getattr(torch.signal.windows, name)(7, dtype=torch.float64)
        close(found, getattr(np, name)(7))
    close(torch.hann_window(8, periodic=False, dtype=torch.float64), np.hanning(8))
    close(torch.signal.windows.kaiser(9, beta=5.0, dtype=torch.float64), np.kaiser(9, 5.0))
    assert torch.hann_window(0).shape == (0,)


def test_numerical_gradient():
    a = array((4, 5))
    for edge in (1, 2):
        for found, expected in zip(
            torch.gradient(tensor(a), edge_order=edge), np.gradient(a, edge_order=edge)
        ):
            close(found, expected)
    at = np.array([0.0, 1.0, 3.0, 4.5])
    (found,) = torch.gradient(tensor(a), spacing=(tensor(at),), dim=0, edge_order=2)
    close(found, np.gradient(a, at, axis=0, edge_order=2))


def test_broadcast_shapes():
    assert torch.broadcast_shapes((2, 1), (3,), 1) == (2, 3)
    with pytest.raises(RuntimeError, match="Attempting to broadcast a dimension of length 3 at -1!"):
        torch.broadcast_shapes((2,), (3,))
