"""Largest and smallest elements, their places, and the norms' extremes."""

from __future__ import annotations

from ..base import dtype as types
from ..base.dtype import dtype as DType
from ..base.dtype import type_name
from ..base.errors import check_dim, require
from ..base.layout import Layout
from ..ir.expr import bitcast, isnan, maximum, minimum, where
from ..return_types import structure_of
from .define import op, ops
from .kinds import Composite, Reduction
from .out_rules import castable, exact, worded
from .reduce import kept_open, named_dims, same_type

_DIM = "int[1] dim=(), bool keepdim=False"
_LIMITS = {
    "u8": (0, 255),
    "u16": (0, 65535),
    "u32": (0, 2**32 - 1),
    "u64": (0, 2**64 - 1),
    "b1": (False, True),
}


def lowest(code: str):
    """The number that the maximum of a type starts from."""
    if code[0] == "f":
        return float("-inf")
    return _LIMITS.get(code, (-(2 ** (int(code[1:]) - 1)), 0))[0]


def highest(code: str):
    """The number that the minimum of a type starts from."""
    if code[0] == "f":
        return float("inf")
    return _LIMITS.get(code, (0, 2 ** (int(code[1:]) - 1) - 1))[1]


def not_complex(input, name: str, kernel: str = "") -> None:
    if input.dtype.kind == 3:
        if kernel:
            raise NotImplementedError(f"\"{kernel}\" not implemented for '{type_name(input.dtype)}'")
        raise RuntimeError(f"{name}(): does not support complex input")


def not_empty(input, dim, name: str, *, hint: str = "", error=RuntimeError, mark: str = "()") -> None:
    """Raise where there is nothing to reduce."""
    if input.numel:
        return
    if dim is None or dim == ():
        raise error(f"{name}(): Expected reduction dim to be specified for input.numel() == 0.{hint}")
    for d in (dim,) if isinstance(dim, int) else dim:
        at = check_dim(d, input.ndim)
        if input.ndim and input.shape[at] == 0:
            raise IndexError(f"{name}{mark}: Expected reduction dim {at} to have non-zero size.")


HINT = " Specify the reduction dim with the 'dim' argument."


def share_evenly(g, input, result, dim, keepdim):
    """The gradient of an extreme, in equal parts to all elements that reach it."""
    g, result = (kept_open(t, input.ndim, dim, keepdim) for t in (g, result))
    mask = input == result
    if input.dtype.kind == 2:
        mask = ops.logical_or(mask, ops.logical_and(isnan(input), isnan(result)))
    count = ops.sum(mask, named_dims(input.ndim, dim), True)
    return where(mask, g / count, 0)


def place_of(g, indices, shape, dim: int, keepdim: bool):
    """The gradient of chosen elements, at their places along `dim`."""
    if not shape:
        return g
    if not keepdim:
        g, indices = ops.unsqueeze(g, dim), ops.unsqueeze(indices, dim)
    return ops.scatter(ops.zeros(shape, dtype=g.dtype, device=g.device), dim, indices, g)


@op(f"amax(Tensor input, {_DIM}, *, Tensor? out=None) -> Tensor")
class Amax(Reduction):
    """Largest element along ``dim`` (all dimensions by default); NaN wins.

    The gradient goes in equal parts to all elements that reach the maximum.
    """

    check_out = worded(
        "Expected the dtype for input and out to match, but got {want} for input's dtype and {have} for out's dtype.",
        cast=False,
    )

    accumulate, identity = same_type, lowest

    def check(input, dim):
        not_empty(input, dim, "amax", hint=HINT)
        not_complex(input, "amax", "max_values_cpu")

    def combine(a, b):
        return maximum(b, a)  # the NaN test on the new element stays off the chain of dependent steps

    def d_input(g, input, result, dim, keepdim):
        return share_evenly(g, input, result, dim, keepdim)


@op(f"amin(Tensor input, {_DIM}, *, Tensor? out=None) -> Tensor")
class Amin(Reduction):
    """Smallest element along ``dim`` (all dimensions by default); NaN wins.

    The gradient goes in equal parts to all elements that reach the minimum.
    """

    check_out = worded(
        "Expected the dtype for input and out to match, but got {want} for input's dtype and {have} for out's dtype.",
        cast=False,
    )

    accumulate, identity = same_type, highest

    def check(input, dim):
        not_empty(input, dim, "amin", hint=HINT)
        not_complex(input, "amin", "min_values_cpu")

    def combine(a, b):
        return minimum(b, a)

    def d_input(g, input, result, dim, keepdim):
        return share_evenly(g, input, result, dim, keepdim)


@op("max_all(Tensor input) -> Tensor", function=False, method=False)
class MaxAll(Reduction):
    """Largest of all elements."""

    accumulate, identity = same_type, lowest

    def check(input):
        not_empty(input, None, "max", hint=HINT)
        not_complex(input, "max", "max_all")

    def combine(a, b):
        return maximum(b, a)  # the NaN test on the new element stays off the chain of dependent steps

    def d_input(g, input, result):
        return share_evenly(g, input, result, None, False)


@op("min_all(Tensor input) -> Tensor", function=False, method=False)
class MinAll(Reduction):
    """Smallest of all elements."""

    accumulate, identity = same_type, highest

    def check(input):
        not_empty(input, None, "min", hint=HINT)
        not_complex(input, "min", "min_all")

    def combine(a, b):
        return minimum(b, a)

    def d_input(g, input, result):
        return share_evenly(g, input, result, None, False)


def value_and_index(common: DType):
    return common, (common, types.int64)


def index_only(common: DType):
    return common, types.int64


def start_low(code: str):
    return lowest(code), 2**63 - 1


def start_high(code: str):
    return highest(code), 2**63 - 1


def better(a, b, larger):
    """The better of two (value, index) states: NaN first, then the value, then the smaller index."""
    first = a[1] < b[1]
    if a[0].is_float:
        nan_a, nan_b = isnan(a[0]), isnan(b[0])
        takes = larger(a[0], b[0]) | (nan_a & ~nan_b)
        ties = (a[0] == b[0]) | (nan_a & nan_b)
    else:
        takes, ties = larger(a[0], b[0]), a[0] == b[0]
    keep = takes | (ties & first)
    return where(keep, a[0], b[0]), where(keep, a[1], b[1])


class Largest(Reduction):
    """State (value, index) of the largest element, the first of equals."""

    identity = start_low

    def map(input, index):
        return input, index

    def combine(a, b):
        return better(a, b, lambda x, y: x > y)


class Smallest(Reduction):
    """State (value, index) of the smallest element, the first of equals."""

    identity = start_high

    def map(input, index):
        return input, index

    def combine(a, b):
        return better(a, b, lambda x, y: x < y)


@op("max_along(Tensor input, int dim, bool keepdim=False) -> (Tensor, Tensor)", function=False, method=False)
class MaxAlong(Largest):
    """Largest element along one dimension and its index."""

    accumulate = value_and_index

    def check(input, dim):
        not_complex(input, "max")
        not_empty(input, dim, "max")

    def d_input(g0, result1, input_layout, dim, keepdim):
        return place_of(g0, result1, input_layout.shape, dim, keepdim)


@op("min_along(Tensor input, int dim, bool keepdim=False) -> (Tensor, Tensor)", function=False, method=False)
class MinAlong(Smallest):
    """Smallest element along one dimension and its index."""

    accumulate = value_and_index

    def check(input, dim):
        not_complex(input, "min")
        not_empty(input, dim, "min")

    def d_input(g0, result1, input_layout, dim, keepdim):
        return place_of(g0, result1, input_layout.shape, dim, keepdim)


@op("argmax(Tensor input, int? dim=None, bool keepdim=False, *, Tensor? out=None) -> Tensor")
class Argmax(Largest):
    """Index of the largest element along ``dim``, the first of equals; of all where ``dim`` is None."""

    accumulate = index_only

    def check(input, dim):
        not_ordered(input, "argmax")
        not_empty(input, dim, "argmax", error=IndexError)

    def finish(state, count):
        return state[1]


@op("argmin(Tensor input, int? dim=None, bool keepdim=False, *, Tensor? out=None) -> Tensor")
class Argmin(Smallest):
    """Index of the smallest element along ``dim``, the first of equals; of all elements where ``dim`` is
    None.
    """

    accumulate = index_only

    def check(input, dim):
        not_ordered(input, "argmin")
        not_empty(input, dim, "argmin", error=IndexError)

    def finish(state, count):
        return state[1]


def not_ordered(input, name: str) -> None:
    not_complex(input, name)
    require(input.dtype.kind != 0, f"{name}(): does not support bool input")


def extreme(name: str, whole, along, pair, input, dim, keepdim, other):
    """One of the three forms of max and min: of all elements, along a dimension, of two tensors."""
    if hasattr(dim, "_layout"):
        dim, other = None, dim
    if other is not None:
        if dim is not None or keepdim is not None:
            raise TypeError(f"{name}() received an invalid combination of arguments")
        return pair(input, other)
    if dim is None:
        if keepdim is not None:
            raise TypeError(
                f"{name}() received an invalid combination of arguments\n  need  a dim beside keepdim"
            )
        return whole(input)
    if not isinstance(dim, int) and not hasattr(dim, "__index__"):
        raise TypeError(
            f"{name}() received an invalid combination of arguments - got (Tensor, {type(dim).__name__})"
        )
    return structure_of(name)(along(input, dim, bool(keepdim)))


def extreme_out(dim, result, out) -> None:
    """A dimension gives exactly its own types, the other forms any that theirs may be cast to."""
    (castable if dim is None or isinstance(dim, Layout) else exact)(result, out)


_EXTREME = "any dim=None, bool? keepdim=None, *, Tensor? other=None, Tensor? out=None"


@op(f"max(Tensor input, {_EXTREME}) -> Tensor")
class Max(Composite):
    """Largest of all elements; along ``dim``, (values, indices); of two tensors, the larger at each place.

    >>> import flambeau as torch
    >>> torch.tensor([[1.0, 5.0], [3.0, 2.0]]).max(dim=1).indices
    tensor([1, 0])
    """

    check_out = extreme_out

    def body(input, dim, keepdim, other):
        return extreme("max", ops.max_all, ops.max_along, ops.maximum, input, dim, keepdim, other)


@op(f"min(Tensor input, {_EXTREME}) -> Tensor")
class Min(Composite):
    """Smallest of all elements; along ``dim``, (values, indices); of two tensors, the smaller."""

    check_out = extreme_out

    def body(input, dim, keepdim, other):
        return extreme("min", ops.min_all, ops.min_along, ops.minimum, input, dim, keepdim, other)


def twice(common: DType):
    return common, (common, common)


def wide_open(code: str):
    return highest(code), lowest(code)


@op(
    "aminmax_along(Tensor input, int? dim=None, bool keepdim=False) -> (Tensor, Tensor)",
    function=False,
    method=False,
)
class AminmaxAlong(Reduction):
    """Smallest and largest element in one pass."""

    accumulate, identity = twice, wide_open

    def check(input, dim):
        if dim is None:
            require(
                input.numel,
                "aminmax(): cannot compute aminmax over an empty dimension as the operation has no identity.",
            )
        not_empty(input, dim, "aminmax", mark="")
        not_complex(input, "aminmax", "aminmax_cpu")

    def map(input):
        return input, input

    def combine(a, b):
        return minimum(b[0], a[0]), maximum(b[1], a[1])

    def d_input(g0, g1, input, result0, result1, dim, keepdim):
        return share_evenly(g0, input, result0, dim, keepdim) + share_evenly(g1, input, result1, dim, keepdim)


@op("aminmax(Tensor input, *, int? dim=None, bool keepdim=False, Tensor? out=None) -> (Tensor, Tensor)")
class Aminmax(Composite):
    """Smallest and largest element along ``dim``: (min, max)."""

    def body(input, dim, keepdim):
        return structure_of("aminmax")(ops.aminmax_along(input, dim, keepdim))


def as_words(common: DType):
    """Elements in their widest type, for their 64 bits."""
    return (types.float64 if common.kind == 2 else types.int64), types.uint64


@op("hash_tensor(Tensor input, int[1] dim=(), *, bool keepdim=False, int mode=0, Tensor? out=None) -> Tensor")
class HashTensor(Reduction):
    """Exclusive or of the elements' bits, each widened to 64 bits. Dtype: uint64."""

    accumulate, identity = as_words, 0

    def check(input, dim, mode):
        require(mode == 0, f"Unknown hash_tensor mode: {mode}")
        not_complex(input, "hash_tensor", "xor_sum_cpu")
        not_empty(input, dim, "hash_tensor", hint=HINT, mark="")

    def map(input):
        return bitcast(input, "i64") if input.is_float else input

    def combine(a, b):
        return a ^ b
