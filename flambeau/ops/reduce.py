"""Reductions: sums, products, tests and logsumexp along dimensions."""

from __future__ import annotations

from ..base import dtype as types
from ..base.dtype import dtype as DType
from ..base.dtype import type_name
from ..base.errors import require
from ..ir.expr import conj, exp, fabs, isnan, log, maximum, real, where
from .define import op, ops
from .kinds import Composite, Reduction
from .out_rules import any_type, castable

_DIM = "int[1]? dim=None, bool keepdim=False"


def int_to_int64(common: DType, dtype=None):
    """Integers and bool add up in int64, unless a type is asked for; half types in float32."""
    return (types.int64, types.int64) if dtype is None and common.kind < 2 else (common, common)


def to_bool_or_byte(common: DType):
    """Tests give bool; of uint8, uint8."""
    return common, types.uint8 if common is types.uint8 else types.bool_


def named_dims(ndim: int, dim) -> list[int]:
    """The dimensions that a reduction over `dim` takes, in order: all for None or an empty sequence."""
    if dim is None or dim == () or dim == []:
        return list(range(ndim))
    return sorted(d % ndim for d in ((dim,) if isinstance(dim, int) else dim)) if ndim else []


def kept_open(g, ndim: int, dim, keepdim: bool):
    """A reduced tensor with its reduced dimensions put back as size 1."""
    if not keepdim:
        for d in named_dims(ndim, dim):
            g = ops.unsqueeze(g, d)
    return g


def unreduce(g, shape, dim, keepdim: bool):
    """A reduced gradient expanded back to `shape`."""
    return ops.expand(kept_open(g, len(shape), dim, keepdim), shape)


def reduced_count(shape, dim) -> int:
    """How many elements each result of a reduction covers."""
    count = 1
    for d in named_dims(len(shape), dim):
        count *= shape[d]
    return count


@op(f"sum(Tensor input, {_DIM}, *, ScalarType? dtype=None, Tensor? out=None) -> Tensor")
class Sum(Reduction):
    """Sum of the elements along ``dim`` (all dimensions by default).

    Dtype: integers and bool add up in int64; float16 and bfloat16 in float32.
    The order of additions depends on the shape only, so results are equal for any number of threads.

    >>> import flambeau as torch
    >>> torch.tensor([[1, 2], [3, 4]]).sum(dim=0)
    tensor([4, 6])
    """

    computes_in_out, check_out = True, any_type

    accumulate, identity = int_to_int64, 0

    def combine(a, b):
        return a + b

    def d_input(g, input_layout, dim, keepdim):
        return unreduce(g, input_layout.shape, dim, keepdim)


@op(f"nansum(Tensor input, {_DIM}, *, ScalarType? dtype=None, Tensor? out=None) -> Tensor")
class Nansum(Reduction):
    """Sum with NaN taken as zero."""

    check_out = castable

    accumulate, identity = int_to_int64, 0

    def check(input):
        require(input.dtype.kind != 3, "nansum on CPU does not support complex inputs")

    def map(input):
        return where(isnan(input), 0, input)

    def combine(a, b):
        return a + b

    def d_input(g, input, dim, keepdim):
        return where(isnan(input), 0, unreduce(g, input.shape, dim, keepdim))


def float_only(common: DType, dtype=None):
    """Float and complex types only."""
    if common.kind < 2:
        which = "Input" if dtype is None else "Optional"
        raise RuntimeError(
            f"mean(): could not infer output dtype. {which} dtype must be either a floating point or complex dtype. "
            f"Got: {type_name(common)}"
        )
    return common, common


@op(f"mean(Tensor input, {_DIM}, *, ScalarType? dtype=None, Tensor? out=None) -> Tensor")
class Mean(Reduction):
    """Mean of the elements along ``dim`` (all dimensions by default).

    >>> import flambeau as torch
    >>> torch.tensor([[1.0, 2.0], [3.0, 4.0]]).mean(dim=1)
    tensor([1.5000, 3.5000])
    """

    check_out = castable

    accumulate, identity = float_only, 0

    def combine(a, b):
        return a + b

    def finish(total, count):
        return total / count

    def d_input(g, input_layout, dim, keepdim):
        shape = input_layout.shape
        return unreduce(g / max(1, reduced_count(shape, dim)), shape, dim, keepdim)


@op(f"nanmean(Tensor input, {_DIM}, *, ScalarType? dtype=None, Tensor? out=None) -> Tensor")
class Nanmean(Composite):
    """Mean of the elements that are not NaN."""

    check_out = castable

    def body(input, dim, keepdim, dtype):
        kind = input.dtype
        require(
            kind.kind >= 2,
            f"nanmean(): expected input to have floating point or complex dtype but got {type_name(kind)}",
        )
        there = ops.logical_not(ops.isnan(input.detach()))
        return ops.nansum(input, dim, keepdim, dtype=dtype) / ops.sum(there, dim, keepdim)


@op(
    "prod(Tensor input, int? dim=None, bool keepdim=False, *, ScalarType? dtype=None, Tensor? out=None) -> Tensor"
)
class Prod(Reduction):
    """Product of the elements along ``dim`` (all dimensions by default)."""

    computes_in_out, check_out = True, any_type

    accumulate, identity = int_to_int64, 1

    def combine(a, b):
        return a * b

    def d_input(g, input, result, dim, keepdim):
        g, result = (kept_open(t, input.ndim, dim, keepdim) for t in (g, result))
        if input.numel() == 0 or not ops.any(input == 0).item():
            return g * conj(result / input)
        if dim is None:
            flat = ops.reshape(input, (-1,))
            return ops.reshape(ops.reshape(g, (1,)) * conj(product_of_others(flat, 0)), input.shape)
        return g * conj(product_of_others(input, dim)) if input.ndim else g


def product_of_others(x, dim: int):
    """For each element, the product of all others along `dim`, without a division."""
    n = x.shape[dim]
    one = ops.ones_like(ops.narrow(x, dim, 0, 1))
    before = ops.cumprod(ops.cat([one, ops.narrow(x, dim, 0, n - 1)], dim), dim)
    after = ops.cumprod(ops.cat([one, ops.narrow(ops.flip(x, (dim,)), dim, 0, n - 1)], dim), dim)
    return before * ops.flip(after, (dim,))


def truth_out(name: str):
    """A `check_out` rule: bool, or uint8 as of old."""

    def rule(out) -> None:
        require(
            out.dtype in (types.bool_, types.uint8),
            f"{name} only supports bool tensor for result, got: {types.type_name(out.dtype)}",
        )

    return rule


@op(f"any(Tensor input, {_DIM}, *, Tensor? out=None) -> Tensor")
class Any(Reduction):
    """Whether any element along ``dim`` is not zero. Of uint8 the result is uint8, else bool."""

    check_out = truth_out("any")

    accumulate, identity = to_bool_or_byte, False
    empty_is_none = True

    def map(input):
        return input != 0

    def combine(a, b):
        return a | b


@op(f"all(Tensor input, {_DIM}, *, Tensor? out=None) -> Tensor")
class All(Reduction):
    """Whether all elements along ``dim`` are not zero. Of uint8 the result is uint8, else bool."""

    check_out = truth_out("all")

    accumulate, identity = to_bool_or_byte, True
    empty_is_none = True

    def map(input):
        return input != 0

    def combine(a, b):
        return a & b


def count_in_int64(common: DType):
    return common, types.int64


@op("count_nonzero(Tensor input, int[1]? dim=None) -> Tensor")
class CountNonzero(Reduction):
    """How many elements along ``dim`` are not zero."""

    accumulate, identity = count_in_int64, 0

    def map(input):
        return where(input != 0, 1, 0)

    def combine(a, b):
        return a + b


def same_type(common: DType):
    return common, common


@op(f"logsumexp_real(Tensor input, {_DIM}) -> Tensor", function=False, method=False)
class LogsumexpReal(Reduction):
    """logsumexp of a float tensor in one pass: the state is (largest so far, sum of exp(x - largest))."""

    accumulate, identity = same_type, (float("-inf"), 0)

    def map(input):
        return input, 1

    def combine(a, b):
        smaller = exp(where(a[0] == b[0], 0, -fabs(a[0] - b[0])))
        total = where(a[0] >= b[0], a[1] + b[1] * smaller, a[1] * smaller + b[1])
        return maximum(a[0], b[0]), total

    def finish(state, count):
        return where(fabs(state[0]) == float("inf"), state[0], log(state[1]) + state[0])

    def d_input(g, input, result, dim, keepdim):
        g, result = (kept_open(t, input.ndim, dim, keepdim) for t in (g, result))
        return g * exp(input - result)


@op(
    "logsumexp(Tensor input, int[1] dim, bool keepdim=False, *, Tensor? out=None) -> Tensor",
    also="special.logsumexp",
)
class Logsumexp(Composite):
    """``log(sum(exp(input)))`` along ``dim`` without overflow."""

    check_out = castable

    def body(input, dim, keepdim):
        kind = input.dtype.kind
        if kind == 3:
            if input.numel() == 0:
                return ops.log(ops.sum(ops.exp(input), dim, keepdim))
            largest = ops.amax(real(input.detach()), dim, True)
            largest = where(ops.isinf(largest), 0, largest)
            found = ops.log(ops.sum(ops.exp(input - largest), dim, keepdim))
            for d in reversed(named_dims(input.ndim, dim) if not keepdim else []):
                largest = ops.squeeze(largest, d)
            return found + largest
        return ops.logsumexp_real(input.to(types.default_float()) if kind < 2 else input, dim, keepdim)
