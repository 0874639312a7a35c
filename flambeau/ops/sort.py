"""Sorting and selection along a dimension: sort, topk, ranks, medians, quantiles, the most frequent value."""

from __future__ import annotations

from ..base import dtype as types
from ..base.dtype import type_name
from ..base.errors import check_dim, explained, require
from ..base.layout import contiguous_layout
from ..return_types import structure_of
from .define import op, ops
from .kinds import Composite, Opaque
from .out_rules import own_type, worded
from .reduce_extreme import lowest, not_empty, place_of


def pair_of(input, shape):
    """Layouts of values and indices of a shape."""
    return contiguous_layout(shape, input.dtype, input.device), contiguous_layout(
        shape, types.int64, input.device
    )


def without(shape, dim: int, keepdim: bool):
    """A shape with one dimension reduced."""
    if not shape:
        return ()
    return (*shape[:dim], *((1,) if keepdim else ()), *shape[dim + 1 :])


def spread_back(g, indices, input_layout, dim: int):
    """Gradient of chosen elements, put back at their places."""
    if input_layout.ndim == 0:
        return g
    return ops.scatter(ops.zeros(input_layout.shape, dtype=g.dtype, device=g.device), dim, indices, g)


def unordered(input, name: str, kernel: str = "") -> None:
    """Complex numbers have no order."""
    if input.dtype.kind == 3:
        if kernel:
            raise NotImplementedError(f"\"{kernel}\" not implemented for '{type_name(input.dtype)}'")
        raise RuntimeError(f" {name} does not support complex dtypes on CPU")


@op(
    "sort_along(Tensor input, int dim, bool descending, bool stable=True) -> (Tensor, Tensor)",
    function=False,
    method=False,
)
class SortAlong(Opaque):
    """Sort along a non-negative dimension: values and indices. NaN counts as the largest."""

    algorithm = "sorting.sort"

    def layouts(input):
        return pair_of(input, input.shape)

    def d_input(g0, result1, input_layout, dim):
        return spread_back(g0, result1, input_layout, dim)


@op(
    "sort(Tensor input, int dim=-1, bool descending=False, *, bool? stable=None, Tensor? out=None) -> (Tensor, Tensor)"
)
class Sort(Composite):
    """Elements in order along ``dim``: (values, indices); NaN counts as the largest.

    ``stable=True`` keeps equal elements in their order, which most types get in any case.

    >>> import flambeau as torch
    >>> torch.tensor([3, 1, 2]).sort().indices
    tensor([1, 2, 0])
    """

    def body(input, dim, descending, stable):
        where = input._layout
        unordered(where, "Sort")
        found = ops.sort_along(input, check_dim(dim, where.ndim), bool(descending), bool(stable))
        return structure_of("sort")(found)


@op("argsort(Tensor input, int dim=-1, bool descending=False, *, bool? stable=False) -> Tensor")
class Argsort(Composite):
    """Indices that put the elements in order along ``dim``."""

    def body(input, dim, descending, stable):
        unordered(input, "Sort")
        return ops.sort_along(input.detach(), check_dim(dim, input.ndim), bool(descending), bool(stable))[1]


@op("msort(Tensor input, *, Tensor? out=None) -> Tensor")
class Msort(Composite):
    """Elements in order along the first dimension."""

    def body(input):
        unordered(input, "Sort")
        return ops.sort_along(input, 0, False)[0]


@op(
    "topk_along(Tensor input, int k, int dim, bool largest) -> (Tensor, Tensor)", function=False, method=False
)
class TopkAlong(Opaque):
    """The k largest or smallest elements along a non-negative dimension, in order."""

    algorithm = "sorting.topk"

    def layouts(input, k, dim):
        return pair_of(input, (*input.shape[:dim], k, *input.shape[dim + 1 :]) if input.ndim else ())

    def d_input(g0, result1, input_layout, dim):
        return spread_back(g0, result1, input_layout, dim)


@op(
    "topk(Tensor input, int k, int dim=-1, bool largest=True, bool sorted=True, *, Tensor? out=None) -> (Tensor, Tensor)"
)
class Topk(Composite):
    """The ``k`` largest (or smallest) elements along ``dim`` in order: (values, indices)."""

    def body(input, k, dim, largest, sorted):
        where = input._layout
        at = check_dim(dim, where.ndim)
        length = where.shape[at] if where.ndim else 1
        if not 0 <= k <= length:
            raise explained(
                RuntimeError, "selected index k out of range", need=f"0 <= k <= {length}; got {k}"
            )
        unordered(where, "topk")
        require(where.dtype.kind != 0, "topk does not support bool dtypes on CPU")
        if k == 0 and where.ndim == 0:
            return structure_of("topk")((ops.clone(input), ops.zeros((), dtype=types.int64)))
        return structure_of("topk")(ops.topk_along(input, k, at, bool(largest)))


@op(
    "rank_along(Tensor input, int k, int dim, bool keepdim, str which) -> (Tensor, Tensor)",
    function=False,
    method=False,
)
class RankAlong(Opaque):
    """The k-th smallest element along a dimension, or the (lower) median with NaN winning or left out."""

    algorithm = "sorting.rank"

    def layouts(input, dim, keepdim):
        return pair_of(input, without(input.shape, dim, keepdim))

    def d_input(g0, result1, input_layout, dim, keepdim):
        return place_of(g0, result1, input_layout.shape, dim, keepdim)


@op("kthvalue(Tensor input, int k, int dim=-1, bool keepdim=False, *, Tensor? out=None) -> (Tensor, Tensor)")
class Kthvalue(Composite):
    """The ``k``-th smallest element along ``dim`` (counted from 1): (values, indices)."""

    check_out = own_type(
        "output values must be of same type as input", "output indices must be of scalar type {want}"
    )

    def body(input, k, dim, keepdim):
        at = check_dim(dim, input.ndim)
        not_empty(input._layout, at, "kthvalue")
        length = input.shape[at] if input.ndim else 1
        require(1 <= k <= length, f"kthvalue(): selected number k out of range for dimension {at}")
        if input.dtype.kind in (0, 3):
            raise NotImplementedError(f"\"kthvalue_cpu\" not implemented for '{type_name(input.dtype)}'")
        return structure_of("kthvalue")(ops.rank_along(input, k, at, bool(keepdim), "rank"))


def median_of(input, dim, keepdim, name: str):
    """The lower median of all elements, or along a dimension with its indices."""
    if input.dtype.kind in (0, 3):
        raise NotImplementedError(f"\"median_cpu\" not implemented for '{type_name(input.dtype)}'")
    if dim is None:
        if input.numel() == 0:
            kind = input.dtype
            missing = float("nan") if kind.kind == 2 else lowest(kind.code) if kind.itemsize >= 4 else 0
            return ops.full((), missing, dtype=input.dtype)
        return ops.rank_along(ops.reshape(input, (-1,)), 0, 0, False, name)[0]
    at = check_dim(dim, input.ndim)
    not_empty(input._layout, at, name)
    return structure_of(name)(ops.rank_along(input, 0, at, bool(keepdim), name))


@op("median(Tensor input, int? dim=None, bool keepdim=False, *, Tensor? out=None) -> Tensor")
class Median(Composite):
    """The lower median of all elements, or along ``dim`` with its indices: (values, indices). NaN wins."""

    def body(input, dim, keepdim):
        return median_of(input, dim, keepdim, "median")


@op("nanmedian(Tensor input, int? dim=None, bool keepdim=False, *, Tensor? out=None) -> Tensor")
class Nanmedian(Composite):
    """The lower median of what is not NaN: of all elements, or along ``dim`` with its indices."""

    def body(input, dim, keepdim):
        return median_of(input, dim, keepdim, "nanmedian")


@op("mode_along(Tensor input, int dim, bool keepdim) -> (Tensor, Tensor)", function=False, method=False)
class ModeAlong(Opaque):
    """The most frequent element along a dimension, the smallest of equally frequent, and an index of it."""

    algorithm = "sorting.mode"

    def layouts(input, dim, keepdim):
        return pair_of(input, without(input.shape, dim, keepdim))

    def d_input(g0, result1, input_layout, dim, keepdim):
        return place_of(g0, result1, input_layout.shape, dim, keepdim)


@op("mode(Tensor input, int dim=-1, bool keepdim=False, *, Tensor? out=None) -> (Tensor, Tensor)")
class Mode(Composite):
    """The most frequent element along ``dim`` (the smallest of equally frequent ones): (values, indices)."""

    check_out = own_type(
        "expected scalar type '{want}' but got '{have}' for values output",
        "expected scalar type '{want}' but got '{have}' for indices output",
    )

    def body(input, dim, keepdim):
        at = check_dim(dim, input.ndim)
        not_empty(input._layout, at, "mode")
        unordered(input, "mode", "mode_cpu")
        return structure_of("mode")(ops.mode_along(input, at, bool(keepdim)))


_INTERPOLATIONS = ("linear", "lower", "higher", "midpoint", "nearest")


def quantile_of(input, q, dim, keepdim: bool, interpolation: str, ignore_nan: bool, name: str):
    """Quantiles along a dimension, from the sorted elements."""
    kind = input.dtype
    require(input.numel() > 0, f"{name}() input tensor must be non-empty")
    if isinstance(q, (int, float)):
        require(0 <= q <= 1, f"{name}() q must be in the range [0, 1] but got {q:g}")
        q = ops.full((), float(q), dtype=kind)
    require(q.ndim <= 1, f"{name}() q must be a scalar or 1D tensor")
    require(
        kind in (types.float32, types.float64), f"{name}() input tensor must be either float or double dtype"
    )
    require(q.dtype is kind, f"{name}() q tensor must be same dtype as the input tensor")
    require(
        interpolation in _INTERPOLATIONS,
        f"{name}() interpolation must be one of linear, lower, higher, midpoint or nearest, but got {interpolation}",
    )
    within = ops.logical_and(q >= 0, q <= 1)
    require(ops.all(within).item(), f"{name}() q values must be in the range [0, 1]")
    at = None if dim is None else check_dim(dim, input.ndim)
    kept = without(input.shape, at, True) if at is not None else (1,) * input.ndim
    rows = ops.reshape(input, (-1,)) if at is None or input.ndim == 0 else ops.movedim(input, at, -1)
    found = interpolated(
        ops.sort_along(rows, rows.ndim - 1, False)[0], ops.reshape(q, (-1,)), interpolation, ignore_nan
    )
    if at is not None and input.ndim:
        found = ops.movedim(ops.unsqueeze(found, -1), -1, at + 1)
    else:
        found = ops.reshape(found, (found.shape[0], *kept))
    if not keepdim:
        found = ops.reshape(
            found, (found.shape[0], *(without(input.shape, at, False) if at is not None else ()))
        )
    return ops.select(found, 0, 0) if q.ndim == 0 else found


def interpolated(ordered, q, interpolation: str, ignore_nan: bool):
    """Values of the quantiles q of sorted rows (last dimension): quantiles come first in the result."""
    length = ordered.shape[-1]
    missing = ops.isnan(ordered.detach())
    q = ops.reshape(q, (-1,) + (1,) * (ordered.ndim - 1))
    if ignore_nan:
        last = ops.sum(ops.logical_not(missing), -1) - 1
        places = ops.where(last < 0, 0, q * last.to(q.dtype))
    else:
        places = q * (length - 1) + ops.zeros(ordered.shape[:-1], dtype=q.dtype)
        broken = ops.any(missing, -1)
        places = ops.where(broken, float(length - 1), places)
    if interpolation == "lower":
        places = ops.floor(places)
    elif interpolation == "higher":
        places = ops.ceil(places)
    elif interpolation == "nearest":
        places = ops.round(places)
    below = places.to(types.int64)

    def pick(index):
        return ops.movedim(ops.gather(ordered, ordered.ndim - 1, ops.movedim(index, 0, -1)), -1, 0)

    low = pick(below)
    if interpolation not in ("linear", "midpoint"):
        return low
    share = 0.5 if interpolation == "midpoint" else places - below.to(places.dtype)
    high = pick(ops.ceil(places).to(types.int64))
    return ops.lerp(low, high, share)


_QUANTILE = (
    "Tensor input, any q, int? dim=None, bool keepdim=False, *, str interpolation='linear', Tensor? out=None"
)


@op(f"quantile({_QUANTILE}) -> Tensor")
class Quantile(Composite):
    """Quantiles ``q`` of all elements or along ``dim``; several quantiles make a first dimension."""

    check_out = worded("quantile() out tensor must be same dtype as the input tensor", cast=False)

    def body(input, q, dim, keepdim, interpolation):
        return quantile_of(input, q, dim, keepdim, interpolation, False, "quantile")


@op(f"nanquantile({_QUANTILE}) -> Tensor")
class Nanquantile(Composite):
    """Quantiles ``q`` of what is not NaN."""

    check_out = worded("quantile() out tensor must be same dtype as the input tensor", cast=False)

    def body(input, q, dim, keepdim, interpolation):
        return quantile_of(input, q, dim, keepdim, interpolation, True, "nanquantile")
