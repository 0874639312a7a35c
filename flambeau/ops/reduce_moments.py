"""Variance and standard deviation, with the mean where it is asked for."""

from __future__ import annotations

from ..base.dtype import dtype as DType
from ..base.errors import require
from ..ir.expr import conj, real, sqrt, where
from .define import op, ops
from .kinds import Composite, Reduction
from .out_rules import castable
from .reduce import kept_open, reduced_count, unreduce

_DIM = "int[1]? dim=None, bool keepdim=False"
_OVERLOADS = "any dim=None, any unbiased=None, bool? keepdim=None, *, Scalar? correction=None"


def real_result(common: DType):
    return common, common.to_real()


def real_and_mean(common: DType):
    return common, (common.to_real(), common)


class Moments(Reduction):
    """State (count, mean, sum of squared deviations), merged as by Chan, Golub and LeVeque (1983)."""

    identity = (0, 0, 0)

    def map(input):
        return 1, input, 0

    def combine(a, b):
        count = a[0] + b[0]
        share = b[0] / where(count == 0, 1, count)
        apart = b[1] - a[1]
        square = real(apart * conj(apart))
        return count, a[1] + apart * share, a[2] + b[2] + square * (a[0] * share)


def over_freedom(squares, count, correction):
    """Squared deviations over the degrees of freedom, which are never below zero."""
    freedom = count - real(correction)
    return squares / where(freedom > 0, freedom, 0)


def var_gradient(g, input, dim, keepdim, correction):
    """Gradient of the variance: 2 (x - mean) / freedom."""
    g = kept_open(g, input.ndim, dim, keepdim)
    freedom = reduced_count(input.shape, dim) - correction
    apart = input - ops.mean(input, dim, True)
    if freedom <= 0:
        return g * where(apart == 0, float("nan"), float("inf"))
    return g * (2.0 / freedom) * apart


@op(f"var_along(Tensor input, {_DIM}, Scalar correction=1) -> Tensor", function=False, method=False)
class VarAlong(Moments):
    """Variance with a number taken off the count."""

    accumulate = real_result

    def finish(state, count, correction):
        return over_freedom(state[2], count, correction)

    def d_input(g, input, dim, keepdim, correction):
        return var_gradient(g, input, dim, keepdim, correction)


@op(f"std_along(Tensor input, {_DIM}, Scalar correction=1) -> Tensor", function=False, method=False)
class StdAlong(Moments):
    """Square root of the variance."""

    accumulate = real_result

    def finish(state, count, correction):
        return sqrt(over_freedom(state[2], count, correction))

    def d_input(g, input, result, dim, keepdim, correction):
        return var_gradient(std_flow(g, result), input, dim, keepdim, correction)


def std_flow(g, result):
    """Gradient that reaches the variance from its square root; none where the root is zero."""
    return where(result == 0, 0, g / (result * 2))


@op(
    f"var_mean_along(Tensor input, {_DIM}, Scalar correction=1) -> (Tensor, Tensor)",
    function=False,
    method=False,
)
class VarMeanAlong(Moments):
    """Variance and mean."""

    accumulate = real_and_mean

    def finish(state, count, correction):
        return over_freedom(state[2], count, correction), mean_of(state, count)

    def d_input(g0, g1, input, dim, keepdim, correction):
        return var_gradient(g0, input, dim, keepdim, correction) + mean_flow(g1, input.shape, dim, keepdim)


@op(
    f"std_mean_along(Tensor input, {_DIM}, Scalar correction=1) -> (Tensor, Tensor)",
    function=False,
    method=False,
)
class StdMeanAlong(Moments):
    """Standard deviation and mean."""

    accumulate = real_and_mean

    def finish(state, count, correction):
        return sqrt(over_freedom(state[2], count, correction)), mean_of(state, count)

    def d_input(g0, g1, input, result0, dim, keepdim, correction):
        flow = std_flow(g0, result0)
        return var_gradient(flow, input, dim, keepdim, correction) + mean_flow(g1, input.shape, dim, keepdim)


def mean_of(state, count):
    """The mean; NaN of no elements."""
    return state[1] + where(count == 0, float("nan"), 0)


def mean_flow(g, shape, dim, keepdim):
    return unreduce(g / max(1, reduced_count(shape, dim)), shape, dim, keepdim)


def moment(name: str, along, input, dim, unbiased, keepdim, correction):
    """One of the four operators, from any of PyTorch's overloads of its arguments."""
    kind = input.dtype.kind
    subject = f"{name} only support" if "mean" in name else "std and var only support"
    require(kind >= 2, f"{subject} floating point and complex dtypes")
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    if unbiased is not None and correction is not None:
        raise TypeError(
            f"{name}() received an invalid combination of arguments\n  need  either unbiased or correction, not both"
        )
    if correction is None:
        correction = 1 if unbiased is None or unbiased else 0
    if reduced_count(input.shape, dim) - correction <= 0:
        warn_of_freedom(name)
    return along(input, dim, bool(keepdim), correction)


def warn_of_freedom(name: str) -> None:
    import warnings

    warnings.warn(
        f"{name}(): degrees of freedom is <= 0. Correction should be strictly less than the reduction factor (input "
        "numel divided by output numel).",
        UserWarning,
        stacklevel=5,
    )


@op(f"var(Tensor input, {_OVERLOADS}, Tensor? out=None) -> Tensor")
class Var(Composite):
    """Variance along ``dim``; ``correction`` (1 by default) is taken off the count."""

    check_out = castable

    def body(input, dim, unbiased, keepdim, correction):
        return moment("var", ops.var_along, input, dim, unbiased, keepdim, correction)


@op(f"std(Tensor input, {_OVERLOADS}, Tensor? out=None) -> Tensor")
class Std(Composite):
    """Standard deviation along ``dim``; ``correction`` (1 by default) is taken off the count."""

    check_out = castable

    def body(input, dim, unbiased, keepdim, correction):
        return moment("std", ops.std_along, input, dim, unbiased, keepdim, correction)


@op(f"var_mean(Tensor input, {_OVERLOADS}) -> (Tensor, Tensor)", method=False)
class VarMean(Composite):
    """Variance and mean along ``dim`` in one pass."""

    def body(input, dim, unbiased, keepdim, correction):
        return moment("var_mean", ops.var_mean_along, input, dim, unbiased, keepdim, correction)


@op(f"std_mean(Tensor input, {_OVERLOADS}) -> (Tensor, Tensor)", method=False)
class StdMean(Composite):
    """Standard deviation and mean along ``dim`` in one pass."""

    def body(input, dim, unbiased, keepdim, correction):
        return moment("std_mean", ops.std_mean_along, input, dim, unbiased, keepdim, correction)
