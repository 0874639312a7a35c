"""Transforms by themselves: inverses, determinants by differences, caches, constraints that they reach."""

from __future__ import annotations

import pickle

import pytest

import flambeau as torch
from flambeau.distributions import Normal, biject_to, constraints, transform_to, transforms

T = transforms
float64 = torch.float64


def d64(values):
    return torch.tensor(values, dtype=float64)


#: transform, a point of its domain
SCALAR = {
    "exp": (T.ExpTransform(), 0.3),
    "power": (T.PowerTransform(d64(2.5)), 0.7),
    "reciprocal": (T.PowerTransform(d64(-1.0)), 0.7),
    "sigmoid": (T.SigmoidTransform(), -1.2),
    "softplus": (T.SoftplusTransform(), 0.4),
    "tanh": (T.TanhTransform(), 0.8),
    "affine": (T.AffineTransform(1.0, -2.0), 0.8),
    "composed": (T.ComposeTransform([T.AffineTransform(0.5, 2.0), T.TanhTransform(), T.ExpTransform()]), 0.1),
    "inverse": (T.ComposeTransform([T.ExpTransform(), T.AffineTransform(0.5, 2.0)]).inv, 3.1),
    "cumulative": (T.CumulativeDistributionTransform(Normal(d64(1.0), d64(2.0))), 0.4),
    "identity": (T.identity_transform, 0.4),
}
VECTOR = {
    "stick_breaking": (T.StickBreakingTransform(), [0.3, -1.0, 2.0]),
    "corr_cholesky": (T.CorrCholeskyTransform(), [0.3, -1.0, 0.5, 1.0, 0.2, -0.4]),
    "independent": (T.IndependentTransform(T.ExpTransform(), 1), [0.3, -1.0, 2.0]),
    "affine": (T.AffineTransform(d64([1.0, 0.0, 2.0]), d64([2.0, -1.0, 0.5]), event_dim=1), [0.3, -1.0, 2.0]),
    "composed": (T.ComposeTransform([T.TanhTransform(), T.StickBreakingTransform()]), [0.3, -1.0, 2.0]),
    "reshaped": (T.ReshapeTransform((4,), (2, 2)), [0.3, -1.0, 2.0, 5.0]),
    "cat": (
        T.IndependentTransform(
            T.CatTransform([T.ExpTransform(), T.AffineTransform(0.0, 3.0)], -1, [1, 2]), 1
        ),
        [0.3, -1.0, 2.0],
    ),
}


def close(a, b, within=1e-9):
    assert bool(((a - b).abs() <= within).all()), f"{a} {b}"


@pytest.mark.parametrize("name", SCALAR)
def test_scalar_transforms(name):
    transform, at = SCALAR[name]
    x = d64([at, at + 0.1])
    y = transform(x)
    close(transform.inv(y), x)
    assert transform.inv.inv is transform
    assert bool(transform.domain.check(x).all())
    assert bool(transform.codomain.check(y).all())
    slope = (transform(x + 1e-6) - transform(x - 1e-6)) / 2e-6
    close(transform.log_abs_det_jacobian(x, y), slope.abs().log(), 1e-7)
    close(transform.inv.log_abs_det_jacobian(y, x), -slope.abs().log(), 1e-7)
    assert bool((torch.as_tensor(transform.sign) == slope.sign()).all())


def minimal(y, name):
    """As many numbers of an image as it has dimensions."""
    if name in ("stick_breaking", "composed"):
        return y[..., :-1]
    if name == "corr_cholesky":
        row, column = torch.tril_indices(*y.shape[-2:], -1)
        return y[..., row, column]
    return y.flatten(-2) if name == "reshaped" else y


@pytest.mark.parametrize("name", VECTOR)
def test_vector_transforms(name):
    transform, at = VECTOR[name]
    x = d64(at)
    y = transform(x)
    close(transform.inv(y), x)
    assert transform.forward_shape(tuple(x.shape)) == tuple(y.shape)
    assert transform.inverse_shape(tuple(y.shape)) == tuple(x.shape)
    steps = torch.eye(x.numel(), dtype=float64) * 1e-6
    columns = [(minimal(transform(x + s), name) - minimal(transform(x - s), name)) / 2e-6 for s in steps]
    expected = torch.linalg.slogdet(torch.stack(columns, -1)).logabsdet
    close(transform.log_abs_det_jacobian(x, y), expected, 1e-6)
    batch = torch.stack([x, x + 0.1])
    assert transform.log_abs_det_jacobian(batch, transform(batch)).shape == (2,)


def test_stacked_transforms():
    transform = T.StackTransform([T.ExpTransform(), T.AffineTransform(0.0, 3.0)], -1)
    x = d64([[0.3, -1.0], [0.5, 2.0]])
    y = transform(x)
    close(y, torch.stack([x[:, 0].exp(), 3 * x[:, 1]], -1))
    close(transform.inv(y), x)
    close(transform.log_abs_det_jacobian(x, y), torch.stack([x[:, 0], torch.full((2,), 3.0).log()], -1), 1e-6)


@pytest.mark.parametrize("transform", [T.LowerCholeskyTransform(), T.PositiveDefiniteTransform()])
def test_matrix_transforms(transform):
    x = d64([[0.3, 0.0], [1.2, -0.5]])
    y = transform(x)
    close(transform.inv(y), x)
    assert bool(transform.codomain.check(y))


REACHED = {
    "positive": (constraints.positive, (4,)),
    "nonnegative": (constraints.nonnegative, (4,)),
    "above": (constraints.greater_than(2.0), (4,)),
    "below": (constraints.less_than(-1.0), (4,)),
    "interval": (constraints.interval(-1.0, 3.0), (4,)),
    "half_open": (constraints.half_open_interval(-1.0, 3.0), (4,)),
    "unit": (constraints.unit_interval, (4,)),
    "real": (constraints.real, (4,)),
    "simplex": (constraints.simplex, (3, 4)),
    "lower_cholesky": (constraints.lower_cholesky, (5, 3, 3)),
    "positive_definite": (constraints.positive_definite, (5, 3, 3)),
    "corr_cholesky": (constraints.corr_cholesky, (5, 6)),
    "independent": (constraints.independent(constraints.positive, 1), (5, 6)),
    "cat": (constraints.cat([constraints.positive, constraints.unit_interval], -1, [1, 2]), (5, 3)),
    "stack": (constraints.stack([constraints.positive, constraints.unit_interval], -1), (5, 2)),
}


@pytest.mark.parametrize("name", REACHED)
def test_transforms_reach_their_constraint(name):
    constraint, shape = REACHED[name]
    torch.manual_seed(1)
    x = torch.randn(shape, dtype=float64)
    assert bool(constraint.check(transform_to(constraint)(x)).all())
    if name in ("lower_cholesky", "positive_definite"):
        with pytest.raises(NotImplementedError, match="Cannot transform"):
            biject_to(constraint)
        return
    transform = biject_to(constraint)
    y = transform(x)
    assert transform.bijective
    assert bool(constraint.check(y).all())
    close(transform.inv(y), x, 1e-6)


def test_registering_a_constraint():
    class Even(constraints.Constraint):
        pass

    made = T.AffineTransform(0.0, 2.0)
    assert transform_to.register(Even(), lambda c: made)
    assert transform_to(Even()) is made
    with pytest.raises(TypeError, match="Expected constraint to be either a Constraint subclass or instance"):
        transform_to.register(3, lambda c: made)


def test_a_cache_gives_the_very_point_back():
    transform = T.TanhTransform(cache_size=1)
    x = torch.tensor([30.0])  # whose image is 1, whose inverse would be infinite
    y = transform(x)
    assert transform.inv(y) is x
    assert transform(x) is y
    assert not torch.isfinite(T.TanhTransform().inv(y)).all()
    chain = T.ComposeTransform([T.AffineTransform(0.0, 2.0), T.TanhTransform()], cache_size=1)
    assert chain.inv(chain(x)) is x
    assert T.ExpTransform().with_cache(1)._cache_size == 1


@pytest.mark.parametrize("name", SCALAR)
def test_pickled_transforms(name):
    transform, at = SCALAR[name]
    copy = pickle.loads(pickle.dumps(transform))
    close(copy(d64([at])), transform(d64([at])), 0)
    close(copy.inv(copy(d64([at]))), d64([at]))
