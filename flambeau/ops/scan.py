"""Cumulative operators along a dimension, differences and the trapezoidal rule."""

from __future__ import annotations

from ..base import dtype as types
from ..base.dtype import dtype as DType
from ..base.dtype import type_name
from ..base.errors import check_dim, require
from ..base.layout import contiguous_layout
from ..ir.expr import Pair, conj, exp, fabs, isnan, log, maximum, where
from ..return_types import structure_of
from .define import RECORDING, op, ops
from .kinds import Composite, Opaque
from .out_rules import any_type, own_type, worded
from .reduce import int_to_int64
from .reduce_extreme import highest, lowest


class Scan(Opaque):
    """Every prefix along a dimension combined, by the rules of a Reduction: map, combine, identity, finish."""

    algorithm = "scan.scan"


def scanned(input, dtype, accumulate):
    """Layout of a scan's result."""
    return contiguous_layout(input.shape, accumulate(dtype or input.dtype, dtype)[1], input.device)


def doubled(common: DType, dtype=None):
    """Sums and products run in twice the precision, as long chains of them lose much; integers in int64."""
    if common.kind < 2:
        return int_to_int64(common, dtype)
    return (types.complex128 if common.kind == 3 else types.float64), common


def same(common: DType, dtype=None):
    return common, common


def backwards(g, dim: int):
    """Sum of each element and all after it."""
    return ops.flip(ops.cumsum(ops.flip(g, (dim,)), dim), (dim,)) if g.ndim else g


@op("cumsum_along(Tensor input, int dim, *, ScalarType? dtype=None) -> Tensor", function=False, method=False)
class CumsumAlong(Scan):
    """Running sum along a non-negative dimension."""

    accumulate, identity = doubled, 0

    def layouts(input, dtype):
        return scanned(input, dtype, doubled)

    def combine(a, b):
        return a + b

    def d_input(g, dim):
        return backwards(g, dim)


@op("cumsum(Tensor input, int dim, *, ScalarType? dtype=None, Tensor? out=None) -> Tensor", inplace=True)
class Cumsum(Composite):
    """Running sum along ``dim``. Dtype: integers and bool add up in int64.

    >>> import flambeau as torch
    >>> torch.tensor([1, 2, 3]).cumsum(0)
    tensor([1, 3, 6])
    """

    computes_in_out, check_out = True, any_type

    def body(input, dim, dtype):
        return ops.cumsum_along(input, check_dim(dim, input.ndim), dtype=dtype)


@op("cumprod_along(Tensor input, int dim, *, ScalarType? dtype=None) -> Tensor", function=False, method=False)
class CumprodAlong(Scan):
    """Running product along a non-negative dimension."""

    accumulate, identity = doubled, 1

    def layouts(input, dtype):
        return scanned(input, dtype, doubled)

    def combine(a, b):
        return a * b

    def d_input(g, input, result, dim):
        return cumprod_gradient(g, input, result, dim)


def cumprod_gradient(g, input, result, dim: int):
    """Gradient of a running product; exact where the input has zeros.

    From a line's first zero on, a product depends on that zero alone: its derivative there is the product of
    the others up to the second zero.
    """
    if input.ndim == 0 or input.shape[dim] < 2:
        return g if input.numel() else g * 0
    zero = input == 0
    if not ops.any(zero).item():
        return backwards(g * conj(result), dim) / conj(input)
    if RECORDING[0]():
        return cumprod_gradient_by_parts(g, input, dim)
    zeros = ops.cumsum(zero, dim)
    first = ops.logical_and(zero, zeros == 1)
    others = ops.cumprod(ops.where(first, ops.ones_like(input), input), dim)
    at_first = backwards(ops.where(zeros >= 1, g * conj(others), 0), dim)
    before = ops.where(zeros == 0, g * conj(result), 0)
    return ops.where(first, at_first, ops.where(zeros == 0, backwards(before, dim) / conj(input), 0))


def cumprod_gradient_by_parts(g, input, dim: int):
    """The same without a division, so that it can be differentiated again: one step an element of the
    dimension.
    """
    n = input.shape[dim]
    one = ops.ones_like(ops.narrow(input, dim, 0, 1))
    before = ops.cumprod(ops.cat([one, ops.narrow(input, dim, 0, n - 1)], dim), dim)
    parts = []
    for k in range(n):
        after = ops.cumprod(ops.cat([one, ops.narrow(input, dim, k + 1, n - k - 1)], dim), dim)
        parts.append(ops.sum(ops.narrow(g, dim, k, n - k) * conj(after), dim, True))
    return ops.cat(parts, dim) * conj(before)


@op("cumprod(Tensor input, int dim, *, ScalarType? dtype=None, Tensor? out=None) -> Tensor", inplace=True)
class Cumprod(Composite):
    """Running product along ``dim``. Dtype: integers and bool multiply in int64."""

    computes_in_out, check_out = True, any_type

    def body(input, dim, dtype):
        return ops.cumprod_along(input, check_dim(dim, input.ndim), dtype=dtype)


def latest(a, b, at_least):
    """The better of two (value, index) states: NaN first, then the value, then the later index."""
    later = a[1] < b[1]
    better, ties = at_least(b[0], a[0]), a[0] == b[0]
    if a[0].is_float:
        nan_a, nan_b = isnan(a[0]), isnan(b[0])
        better = (better & ~nan_a) | (nan_b & ~nan_a)
        ties = ties | (nan_a & nan_b)
    take = (better & ~ties) | (ties & later)
    return where(take, b[0], a[0]), where(take, b[1], a[1])


def with_places(input, name: str):
    """Layouts of values and indices."""
    if input.dtype.kind == 3:
        raise NotImplementedError(f"\"{name}_cpu\" not implemented for '{type_name(input.dtype)}'")
    return (
        contiguous_layout(input.shape, input.dtype, input.device),
        contiguous_layout(input.shape, types.int64, input.device),
    )


def added_at(g, indices, input_layout, dim: int):
    """Gradients of chosen elements, summed at their places along `dim`."""
    if input_layout.ndim == 0:
        return g
    return ops.scatter_add(ops.zeros(input_layout.shape, dtype=g.dtype, device=g.device), dim, indices, g)


@op("cummax_along(Tensor input, int dim) -> (Tensor, Tensor)", function=False, method=False)
class CummaxAlong(Scan):
    """Running maximum and the index of the latest element that reaches it."""

    accumulate = same

    def layouts(input):
        return with_places(input, "cummax")

    def identity(code):
        return lowest(code), -1

    def map(input, index):
        return input, index

    def combine(a, b):
        return latest(a, b, lambda x, y: x >= y)

    def d_input(g0, result1, input_layout, dim):
        return added_at(g0, result1, input_layout, dim)


@op("cummin_along(Tensor input, int dim) -> (Tensor, Tensor)", function=False, method=False)
class CumminAlong(Scan):
    """Running minimum and the index of the latest element that reaches it."""

    accumulate = same

    def layouts(input):
        return with_places(input, "cummin")

    def identity(code):
        return highest(code), -1

    def map(input, index):
        return input, index

    def combine(a, b):
        return latest(a, b, lambda x, y: x <= y)

    def d_input(g0, result1, input_layout, dim):
        return added_at(g0, result1, input_layout, dim)


@op("cummax(Tensor input, int dim, *, Tensor? out=None) -> (Tensor, Tensor)")
class Cummax(Composite):
    """Running maximum along ``dim`` with its indices: (values, indices)."""

    check_out = own_type(
        "expected scalar_type {want} but found {have}", "expected scalar_type {want} but found {have}"
    )

    def body(input, dim):
        return structure_of("cummax")(ops.cummax_along(input, check_dim(dim, input.ndim)))


@op("cummin(Tensor input, int dim, *, Tensor? out=None) -> (Tensor, Tensor)")
class Cummin(Composite):
    """Running minimum along ``dim`` with its indices: (values, indices)."""

    check_out = own_type(
        "expected scalar_type {want} but found {have}", "expected scalar_type {want} but found {have}"
    )

    def body(input, dim):
        return structure_of("cummin")(ops.cummin_along(input, check_dim(dim, input.ndim)))


@op("logcumsumexp_along(Tensor input, int dim) -> Tensor", function=False, method=False)
class LogcumsumexpAlong(Scan):
    """Running logsumexp: the state is (largest real part, sum of exp(x - largest))."""

    accumulate = same
    identity = (float("-inf"), 0)

    def layouts(input):
        if input.dtype.kind < 2:
            raise NotImplementedError(
                f"\"logcumsumexp_out_cpu\" not implemented for '{type_name(input.dtype)}'"
            )
        return scanned(input, None, same)

    def map(input):
        if isinstance(input, Pair):
            return input.re, exp(Pair(input.re * 0, input.im))
        return input, 1

    def combine(a, b):
        smaller = exp(where(a[0] == b[0], 0, -fabs(a[0] - b[0])))
        total = where(a[0] >= b[0], a[1] + b[1] * smaller, a[1] * smaller + b[1])
        return maximum(a[0], b[0]), total

    def finish(state, count):
        return where(fabs(state[0]) == float("inf"), state[0], log(state[1]) + state[0])

    def d_input(g, input, result, dim):
        return (
            exp(input) * backwards(g * exp(-result), dim)
            if input.dtype.kind == 3
            else logcumsumexp_gradient(g, input, result, dim)
        )


def logcumsumexp_gradient(g, input, result, dim: int):
    """Sum of g * exp(input - result) over later prefixes, by logarithms, positive and negative g apart."""
    if input.ndim == 0:
        return g
    low = float("-inf")

    def part(flow):
        there = ops.logical_and(flow > 0, result > low)
        logs = ops.where(there, ops.log(ops.where(there, flow, 1)) - result, low)
        return exp(ops.flip(ops.logcumsumexp(ops.flip(logs, (dim,)), dim), (dim,)) + input)

    return part(g) - part(-g)


@op("logcumsumexp(Tensor input, int dim, *, Tensor? out=None) -> Tensor")
class Logcumsumexp(Composite):
    """Running ``log(sum(exp(input)))`` along ``dim`` without overflow."""

    check_out = worded("expected scalar_type {want} but found {have}", cast=False)

    def body(input, dim):
        return ops.logcumsumexp_along(input, check_dim(dim, input.ndim))


@op(
    "diff(Tensor input, int n=1, int dim=-1, Tensor? prepend=None, Tensor? append=None, *, Tensor? out=None) -> Tensor"
)
class Diff(Composite):
    """Differences of neighbours along ``dim``, ``n`` times; ``prepend`` and ``append`` come on first."""

    check_out = worded("expected scalar_type {want} but found {have}", cast=False)

    def body(input, n, dim, prepend, append):
        require(input.ndim >= 1, "diff expects input to be at least one-dimensional")
        require(n >= 0, f"order must be non-negative but got {n}")
        at = check_dim(dim, input.ndim)
        for joined in (prepend, append):
            if joined is not None:
                check_joined(input, joined, at)
        if n == 0:
            return ops.clone(input)
        parts = [t for t in (prepend, input, append) if t is not None]
        if len(parts) > 1:
            input = ops.cat(parts, at)
        length = input.shape[at]
        for k in range(min(n, length)):
            size = length - k - 1
            later, earlier = ops.narrow(input, at, 1, size), ops.narrow(input, at, 0, size)
            input = ops.logical_xor(later, earlier) if input.dtype.kind == 0 else later - earlier
        return input


def check_joined(input, joined, at: int) -> None:
    require(joined.ndim == input.ndim, "diff expects prepend or append to be the same dimension as input")
    for d in range(input.ndim):
        require(
            d == at or joined.shape[d] == input.shape[d],
            "diff expects the shape of tensor to prepend or append to match that of input except along the differencing "
            f"dimension; input.size({d}) = {input.shape[d]}, but got tensor.size({d}) = {joined.shape[d]}",
        )


def trapezoids(name: str, y, x, dx, dim: int):
    """Area of each strip between neighbours along `dim`; None where there is no strip."""
    kind = "bool" if y.dtype.kind == 0 else ""
    require(not kind, f"{name}: received a bool input for `y`, but bool is not supported")
    if y.ndim == 0:
        raise IndexError(f"Dimension specified as {dim} but tensor has no dimensions")
    at = check_dim(dim, y.ndim)
    n = y.shape[at]
    if x is None:
        if n < 2:
            return None
        return (ops.narrow(y, at, 1, n - 1) + ops.narrow(y, at, 0, n - 1)) * (1.0 if dx is None else dx) / 2.0
    require(x.dtype.kind != 0, f"{name}: received a bool input for `x`, but bool is not supported")
    if x.ndim == 1 or x.ndim == y.ndim:
        width_dim = 0 if x.ndim == 1 else at
    else:
        width_dim = at - (y.ndim - x.ndim) if dim >= 0 and x.ndim < y.ndim else at
    require(x.shape[width_dim] == n, f"{name}: There must be one `x` value for each sample point")
    if n < 2:
        return None
    step = ops.narrow(x, width_dim, 1, n - 1) - ops.narrow(x, width_dim, 0, n - 1)
    if x.ndim == 1:
        step = ops.reshape(step, (n - 1,) + (1,) * (y.ndim - 1 - at))
    return (ops.narrow(y, at, 1, n - 1) + ops.narrow(y, at, 0, n - 1)) * step / 2.0


def check_spacing(name: str, x, dx) -> None:
    if x is not None and dx is not None:
        raise TypeError(
            f"{name}() received an invalid combination of arguments\n  need  either x or dx, not both"
        )


@op(
    "trapezoid(Tensor y, Tensor? x=None, *, Scalar? dx=None, int dim=-1) -> Tensor",
    also="trapz",
    method=False,
)
class Trapezoid(Composite):
    """Integral along ``dim`` by the trapezoidal rule, at places ``x`` or at distance ``dx``."""

    def body(y, x, dx, dim):
        check_spacing("trapezoid", x, dx)
        strips = trapezoids("trapezoid", y, x, dx, dim)
        if strips is None:
            at = check_dim(dim, y.ndim)
            return ops.zeros(y.shape[:at] + y.shape[at + 1 :], dtype=y.dtype, device=y.device)
        return ops.sum(strips, dim)


@op("cumulative_trapezoid(Tensor y, Tensor? x=None, *, Scalar? dx=None, int dim=-1) -> Tensor", method=False)
class CumulativeTrapezoid(Composite):
    """Running integral along ``dim`` by the trapezoidal rule."""

    def body(y, x, dx, dim):
        check_spacing("cumulative_trapezoid", x, dx)
        strips = trapezoids("cumulative_trapezoid", y, x, dx, dim)
        if strips is None:
            at = check_dim(dim, y.ndim)
            return ops.zeros((*y.shape[:at], 0, *y.shape[at + 1 :]), dtype=y.dtype, device=y.device)
        return ops.cumsum(strips, dim)
