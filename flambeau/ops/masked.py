"""Reductions and normalisations that leave out the elements where a mask is false: the names of ``masked``."""

from __future__ import annotations

from ..base import dtype as types
from ..base.errors import require
from ..base.limits import iinfo
from .define import op, ops, public
from .kinds import Composite

INFINITY = float("inf")
_DIMS = "any dim=None, *, bool keepdim=False, ScalarType? dtype=None, Tensor? mask=None"
_ALONG = "*, ScalarType? dtype=None, Tensor? mask=None"


# -- masks and what stands in for the elements left out ----------------------------------------------------------------


def whole_mask(mask, input):
    """The mask as bool in the input's shape."""
    if mask._layout.shape != input._layout.shape:
        require(
            mask._layout.ndim <= input._layout.ndim,
            "_input_mask expected broadcastable mask (got mask dimensionality higher than of the input)",
            IndexError,
        )
        mask = ops.broadcast_to(mask, input._layout.shape)
    return mask if mask._layout.dtype is types.bool_ else ops.to_copy(mask, dtype=types.bool_)


def lowest_of(name: str, kind):
    """The least number of a type."""
    if kind.kind == 2:
        return -INFINITY
    if kind.kind != 1:
        raise NotImplementedError(f"identity of {name} on {kind} input")
    return iinfo(kind).min


def highest_of(name: str, kind):
    """The greatest number of a type."""
    if kind.kind == 2:
        return INFINITY
    if kind.kind != 1:
        raise NotImplementedError(f"identity of {name} on {kind} input")
    return iinfo(kind).max


def filled(input, mask, value):
    """The input with `value` where the mask is false; as it is without a mask."""
    if mask is None:
        return input
    return ops.where(whole_mask(mask, input), input, ops.full((), value, dtype=input._layout.dtype))


def all_dims(dim, ndim: int) -> tuple[int, ...]:
    """The dimensions that `dim` names, in order; all of them for None and ()."""
    if dim is None or dim == ():
        return tuple(range(ndim))
    found: list[int] = []
    limit = max(ndim, 1)
    for d in (dim,) if isinstance(dim, int) else dim:
        require(d not in found, f"dim={d} appears multiple times in the list of dims")
        if not -limit <= d < limit:
            raise IndexError(
                f"Dimension out of range (expected to be in range of [{-limit}, {limit - 1}], but got {d})"
            )
        found.append(d % limit)
    return tuple(sorted(found))


def summed_type(kind):
    """Type of a sum: int64 for integers and bool."""
    return types.int64 if kind.kind < 2 else kind


# -- reductions -----------------------------------------------------------------------------------------------------------


@op(f"masked.sum(Tensor input, {_DIMS}) -> Tensor")
class MaskedSum(Composite):
    """Sum over ``dim`` of the elements where ``mask`` is true; 0 where there is none.

    >>> import flambeau as torch
    >>> torch.masked.sum(torch.tensor([1.0, 2.0, 4.0]), mask=torch.tensor([True, False, True]))
    tensor(5.)
    """

    def body(input, dim, keepdim, dtype, mask):
        dims = all_dims(dim, input._layout.ndim)
        kind = dtype or summed_type(input._layout.dtype)
        return over(ops.sum, filled(input, mask, 0), dims, bool(keepdim), kind)


def over(reduce, input, dims, keepdim: bool, kind):
    """A reduction over several dimensions; over none of them it only converts."""
    if not dims:
        return reduce(ops.unsqueeze(input, 0), (0,), False, dtype=kind)
    return reduce(input, dims, keepdim, dtype=kind)


@op(f"masked.prod(Tensor input, {_DIMS}) -> Tensor")
class MaskedProd(Composite):
    """Product over ``dim`` of the elements where ``mask`` is true; 1 where there is none."""

    def body(input, dim, keepdim, dtype, mask):
        dims = all_dims(dim, input._layout.ndim)
        kind = dtype or summed_type(input._layout.dtype)
        found = filled(input, mask, 1)
        for d in reversed(dims):
            found = ops.prod(found, d, bool(keepdim))
        return found if found._layout.dtype is kind else ops.to_copy(found, dtype=kind)


@op(f"masked.mean(Tensor input, {_DIMS}) -> Tensor")
class MaskedMean(Composite):
    """Mean over ``dim`` of the elements where ``mask`` is true; NaN where there is none."""

    def body(input, dim, keepdim, dtype, mask):
        kind = dtype or input._layout.dtype
        if kind.kind < 2:
            raise ValueError(
                f"mean(): Could not infer output dtype. {'Optional' if dtype else 'Input'} dtype must be either "
                f"a floating point or complex dtype. Got: {kind}"
            )
        return total_of(input, dim, keepdim, kind, mask) / count_of(input, dim, keepdim, mask)


def total_of(input, dim, keepdim, kind, mask):
    return public("masked", "sum")(input, dim, keepdim=keepdim, dtype=kind, mask=mask)


def count_of(input, dim, keepdim, mask):
    """How many elements are left, for each place of the result."""
    if mask is None:
        mask = ops.ones(input._layout.shape, dtype=types.bool_, device=input._layout.device)
    return total_of(whole_mask(mask, input), dim, keepdim, types.int64, None)


def extreme(name: str, reduce, value, input, dim, keepdim, dtype, mask):
    kind = dtype or input._layout.dtype
    found = filled(input, mask, None if mask is None else value(name, input._layout.dtype))
    dims = all_dims(dim, input._layout.ndim)
    return ops.to_copy(reduce(found, dims, bool(keepdim)), dtype=kind)


@op(f"masked.amax(Tensor input, {_DIMS}) -> Tensor")
class MaskedAmax(Composite):
    """Largest element over ``dim`` where ``mask`` is true; the least number of the type where there is none."""

    def body(input, dim, keepdim, dtype, mask):
        return extreme("amax", ops.amax, lowest_of, input, dim, keepdim, dtype, mask)


@op(f"masked.amin(Tensor input, {_DIMS}) -> Tensor")
class MaskedAmin(Composite):
    """Smallest element over ``dim`` where ``mask`` is true; the greatest number of the type where there is none."""

    def body(input, dim, keepdim, dtype, mask):
        return extreme("amin", ops.amin, highest_of, input, dim, keepdim, dtype, mask)


def place_of_extreme(name: str, choose, value, input, dim, keepdim, dtype, mask):
    kind = dtype or input._layout.dtype
    found = filled(input, mask, None if mask is None else value(name, input._layout.dtype))
    return ops.to_copy(choose(found, dim, bool(keepdim)), dtype=kind)


@op(f"masked.argmax(Tensor input, {_DIMS}) -> Tensor")
class MaskedArgmax(Composite):
    """Place of the largest element along ``dim`` where ``mask`` is true, in the input's type unless ``dtype`` is given."""

    def body(input, dim, keepdim, dtype, mask):
        return place_of_extreme("argmax", ops.argmax, lowest_of, input, dim, keepdim, dtype, mask)


@op(f"masked.argmin(Tensor input, {_DIMS}) -> Tensor")
class MaskedArgmin(Composite):
    """Place of the smallest element along ``dim`` where ``mask`` is true, in the input's type unless ``dtype`` is given."""

    def body(input, dim, keepdim, dtype, mask):
        return place_of_extreme("argmin", ops.argmin, highest_of, input, dim, keepdim, dtype, mask)


@op(
    "masked.median(Tensor input, any dim=-1, *, bool keepdim=False, ScalarType? dtype=None, Tensor? mask=None) -> Tensor"
)
class MaskedMedian(Composite):
    """Lower median along ``dim`` of the elements where ``mask`` is true; NaN where there is none.

    Raises: ValueError where integers leave nothing along ``dim``.
    """

    def body(input, dim, keepdim, dtype, mask):
        kind = dtype or input._layout.dtype
        (at, *_) = all_dims(dim, input._layout.ndim)
        whole = input._layout.dtype.kind != 2
        values = ops.to_copy(input, dtype=types.float32) if whole else input
        found = ops.nanmedian(filled(values, mask, float("nan")), at, bool(keepdim))[0]
        if not whole:
            return found
        if ops.any(ops.isnan(found)).item():
            raise ValueError("masked median expects no fully masked out rows if dtype is not floating point")
        return ops.to_copy(found, dtype=kind)


@op(f"masked.logsumexp(Tensor input, {_DIMS}) -> Tensor")
class MaskedLogsumexp(Composite):
    """``log(sum(exp(input)))`` over ``dim`` of the elements where ``mask`` is true; -inf where there is none."""

    def body(input, dim, keepdim, dtype, mask):
        kind = input._layout.dtype
        low = None if mask is None else -INFINITY if kind.kind == 3 else lowest_of("logsumexp", kind)
        found = ops.logsumexp(filled(input, mask, low), all_dims(dim, input._layout.ndim), bool(keepdim))
        return ops.to_copy(found, dtype=dtype or kind)


@op(
    "masked.logaddexp(Tensor input, Tensor other, *, ScalarType? dtype=None, Tensor? input_mask=None, "
    "Tensor? other_mask=None) -> Tensor"
)
class MaskedLogaddexp(Composite):
    """``log(exp(input) + exp(other))``, with -inf for an element that its mask leaves out."""

    def body(input, other, dtype, input_mask, other_mask):
        low = -INFINITY
        found = ops.logaddexp(filled(input, input_mask, low), filled(other, other_mask, low))
        return ops.to_copy(found, dtype=dtype or input._layout.dtype)


@op(
    "masked.norm(Tensor input, any ord=2.0, any dim=None, *, bool keepdim=False, ScalarType? dtype=None, "
    "Tensor? mask=None) -> Tensor"
)
class MaskedNorm(Composite):
    """Vector norm of order ``ord`` over ``dim`` of the elements where ``mask`` is true."""

    def body(input, ord, dim, keepdim, dtype, mask):
        kind = dtype or input._layout.dtype
        found = filled(input, mask, INFINITY if ord == -INFINITY else 0)
        dims = all_dims(dim, input._layout.ndim)
        return public("linalg", "vector_norm")(found, ord, dims, bool(keepdim), dtype=kind)


def variance(input, dim, unbiased, correction, keepdim, dtype, mask):
    """Variance of what the mask leaves; NaN where that is nothing."""
    require(
        unbiased is None or correction is None,
        "Only one of unbiased and correction may be given",
        AssertionError,
    )
    if correction is None:
        correction = 1.0 if unbiased is None or unbiased else 0.0
    kind = dtype or input._layout.dtype
    if kind.kind < 2:
        kind = types.float32
    mean = total_of(input, dim, True, kind, mask) / count_of(input, dim, True, mask)
    distance = input - mean
    squares = (
        distance * ops.conj_physical(distance) if distance._layout.dtype.kind == 3 else distance * distance
    )
    total = total_of(squares, dim, keepdim, kind, mask)
    count = ops.to_copy(count_of(input, dim, keepdim, mask), dtype=kind.to_real())
    if correction:
        count = ops.clamp(count - correction, 0)
    return ops.to_copy(total / count, dtype=kind)


_SPREAD = (
    "any dim=None, any unbiased=None, *, any correction=None, bool keepdim=False, ScalarType? dtype=None, "
    "Tensor? mask=None"
)


@op(f"masked.var(Tensor input, {_SPREAD}) -> Tensor")
class MaskedVar(Composite):
    """Variance over ``dim`` of the elements where ``mask`` is true."""

    def body(input, dim, unbiased, correction, keepdim, dtype, mask):
        return variance(input, dim, unbiased, correction, keepdim, dtype, mask)


@op(f"masked.std(Tensor input, {_SPREAD}) -> Tensor")
class MaskedStd(Composite):
    """Standard deviation over ``dim`` of the elements where ``mask`` is true."""

    def body(input, dim, unbiased, correction, keepdim, dtype, mask):
        return ops.sqrt(variance(input, dim, unbiased, correction, keepdim, dtype, mask))


# -- along one dimension, the shape stays ----------------------------------------------------------------------------------


@op(f"masked.cumsum(Tensor input, any dim, {_ALONG}) -> Tensor")
class MaskedCumsum(Composite):
    """Running sum along ``dim`` that skips the elements where ``mask`` is false."""

    def body(input, dim, dtype, mask):
        (at, *_) = all_dims(dim, input._layout.ndim)
        kind = dtype or input._layout.dtype
        return ops.cumsum(filled(input, mask, 0), at, dtype=kind)


@op(f"masked.cumprod(Tensor input, any dim, {_ALONG}) -> Tensor")
class MaskedCumprod(Composite):
    """Running product along ``dim`` that skips the elements where ``mask`` is false."""

    def body(input, dim, dtype, mask):
        (at, *_) = all_dims(dim, input._layout.ndim)
        kind = dtype or input._layout.dtype
        return ops.cumprod(filled(input, mask, 1), at, dtype=kind)


def normalised(name: str, run, value, input, dim, dtype, mask):
    (at, *_) = all_dims(dim, input._layout.ndim)
    found = filled(input, mask, None if mask is None else value(name, input._layout.dtype))
    return run(found, at, dtype or input._layout.dtype)


@op(f"masked.softmax(Tensor input, any dim, {_ALONG}) -> Tensor")
class MaskedSoftmax(Composite):
    """Softmax along ``dim`` of the elements where ``mask`` is true; the others get 0."""

    def body(input, dim, dtype, mask):
        run = lambda x, at, kind: ops.softmax(x, at, dtype=kind)  # noqa: E731
        return normalised("amax", run, lowest_of, input, dim, dtype, mask)


@op(f"masked.log_softmax(Tensor input, any dim, {_ALONG}) -> Tensor")
class MaskedLogSoftmax(Composite):
    """Logarithm of the softmax along ``dim`` of the elements where ``mask`` is true; the others get -inf."""

    def body(input, dim, dtype, mask):
        run = lambda x, at, kind: ops.log_softmax(x, at, dtype=kind)  # noqa: E731
        return normalised("amax", run, lowest_of, input, dim, dtype, mask)


@op(f"masked.softmin(Tensor input, any dim, {_ALONG}) -> Tensor")
class MaskedSoftmin(Composite):
    """Softmax of ``-input`` along ``dim`` of the elements where ``mask`` is true; the others get 0."""

    def body(input, dim, dtype, mask):
        run = lambda x, at, kind: ops.softmax(-x, at, dtype=kind)  # noqa: E731
        return normalised("amin", run, highest_of, input, dim, dtype, mask)


@op(
    "masked.normalize(Tensor input, any ord, any dim, *, float eps=1e-12, ScalarType? dtype=None, Tensor? mask=None) "
    "-> Tensor"
)
class MaskedNormalize(Composite):
    """Elements where ``mask`` is true over their norm along ``dim`` (at least ``eps``); the others get 0."""

    def body(input, ord, dim, eps, dtype, mask):
        size = public("masked", "norm")(
            input, ord, dim, keepdim=True, dtype=dtype or input._layout.dtype, mask=mask
        )
        return filled(input, mask, 0) / ops.clamp(size, eps)
