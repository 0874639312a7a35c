"""What depends on values: nonzero, unique, bins and histograms, binary search, membership."""

from __future__ import annotations

from math import isfinite, prod

from ..base import dtype as types
from ..base.dtype import promote_types, type_name
from ..base.errors import check_dim, require
from ..base.layout import contiguous_layout
from ..return_types import structure_of
from .define import op, ops
from .kinds import Composite, Opaque
from .out_rules import worded


@op("nonzero(Tensor input, *, bool as_tuple=False, Tensor? out=None) -> Tensor")
class Nonzero(Composite):
    """Places of the elements that are not zero: one row each, or (``as_tuple``) one index tensor a dimension.

    >>> import flambeau as torch
    >>> torch.tensor([0, 3, 0, 4]).nonzero(as_tuple=True)
    (tensor([1, 3]),)
    """

    check_out = worded(
        "nonzero: Expected out tensor to have scalar type Long but got scalar type{have}", cast=False
    )

    def body(input, as_tuple):
        mask = input if input._layout.dtype is types.bool_ else input.detach() != 0
        if as_tuple:
            return tuple(ops.true_indices(mask))
        if input.ndim == 0:
            return ops.zeros((int(mask.item()), 0), dtype=types.int64, device=input.device)
        return mask._true_positions(coordinates=True)


@op("argwhere(Tensor input) -> Tensor")
class Argwhere(Composite):
    """Places of the elements that are not zero, one row each."""

    def body(input):
        return ops.nonzero(input)


@op("nonzero_static(Tensor input, *, int size, int fill_value=-1, Tensor? out=None) -> Tensor")
class NonzeroStatic(Composite):
    """The first ``size`` rows of `nonzero`, filled up with ``fill_value``."""

    def body(input, size, fill_value):
        require(size >= 0, "nonzero_static: 'size' must be an non-negative integer")
        found = ops.nonzero(input)
        have = found.shape[0]
        if have >= size:
            return ops.narrow(found, 0, 0, size)
        rest = ops.full((size - have, input.ndim), fill_value, dtype=types.int64, device=input.device)
        return ops.cat([found, rest], 0)


# -- unique --------------------------------------------------------------------------------------------------


@op("order_of_rows(Tensor input) -> Tensor", function=False, method=False)
class OrderOfRows(Opaque):
    """Indices of the first dimension that put its rows in lexicographic order."""

    algorithm = "searching.order_of_rows"

    def layouts(input):
        return contiguous_layout((input.shape[0],), types.int64, input.device)


def runs(starts, return_inverse: bool, return_counts: bool, order=None):
    """Where runs of equals start, the run of each element, and the runs' lengths, from a mask of starts.

    order: the sorted elements' places, so that the inverse belongs to the unsorted ones.
    """
    n = starts.shape[0]
    places = ops.true_positions(starts)
    inverse = counts = None
    if return_inverse:
        inverse = ops.cumsum(starts, 0) - 1
        if order is not None:
            inverse = ops.scatter(ops.empty_like(inverse), 0, order, inverse)
    if return_counts:
        end = ops.full((1,), n, dtype=types.int64, device=starts.device)
        counts = ops.diff(ops.cat([places, end], 0))
    return places, inverse, counts


def starts_of(x):
    """Mask of the rows (first dimension) that differ from the one before."""
    n = x.shape[0]
    differs = ops.narrow(x, 0, 1, n - 1) != ops.narrow(x, 0, 0, n - 1)
    if x.ndim > 1:
        differs = ops.any(ops.flatten(differs, 1), 1)
    return ops.cat([ops.ones((1,), dtype=types.bool_, device=x.device), differs], 0)


def unique_results(values, inverse, counts, return_inverse: bool, return_counts: bool):
    """The results that were asked for."""
    found = (values, *((inverse,) if return_inverse else ()), *((counts,) if return_counts else ()))
    return found if len(found) > 1 else values


def no_places(shape):
    return ops.zeros(shape, dtype=types.int64)


def check_unique_dim(input, dim: int) -> int:
    """The dimension, where slices along it can be told apart."""
    if input.ndim == 0:
        raise IndexError(f"Dimension specified as {dim} but tensor has no dimensions")
    at = check_dim(dim, input.ndim)
    zeros = sum(n == 0 for n in input.shape)
    if input.shape[at] == 0:
        require(zeros == 1, "Number of zero sized dimensions is more than one, so unique cannot be applied ")
    else:
        require(
            zeros == 0, "There are 0 sized dimensions, and they aren't selected, so unique cannot be applied"
        )
    return at


def unique_elements(input, sort: bool, return_inverse: bool, return_counts: bool):
    """Unique elements of the flattened input: sorted, or first of each run."""
    flat = ops.reshape(input, (-1,))
    if input.numel() == 0:
        return unique_results(flat, no_places(input.shape), no_places((0,)), return_inverse, return_counts)
    order = None
    if sort:
        flat, order = ops.sort_along(flat, 0, False)
    places, inverse, counts = runs(starts_of(flat), return_inverse, return_counts, order)
    if inverse is not None:
        inverse = ops.reshape(inverse, input.shape)
    return unique_results(ops.index_select(flat, 0, places), inverse, counts, return_inverse, return_counts)


def unique_slices(input, dim: int, sort: bool, return_inverse: bool, return_counts: bool):
    """Unique slices along a dimension."""
    at = check_unique_dim(input, dim)
    if input.shape[at] == 0:
        return unique_results(
            ops.clone(input), no_places((0,)), no_places((0,)), return_inverse, return_counts
        )
    rows = ops.movedim(input, at, 0)
    order = None
    if sort:
        order = ops.order_of_rows(rows)
        rows = ops.index_select(rows, 0, order)
    places, inverse, counts = runs(starts_of(rows), return_inverse, return_counts, order)
    values = ops.movedim(ops.index_select(rows, 0, places), 0, at)
    return unique_results(values, inverse, counts, return_inverse, return_counts)


def unique_of(input, dim, sort: bool, return_inverse: bool, return_counts: bool):
    input = input.detach()
    if input.dtype.kind == 3:
        name = "unique" if dim is None or not sort else "unique_dim"
        raise NotImplementedError(f"\"{name}\" not implemented for '{type_name(input.dtype)}'")
    if dim is None:
        return unique_elements(input, sort, return_inverse, return_counts)
    return unique_slices(input, dim, sort, return_inverse, return_counts)


@op(
    "unique(Tensor input, bool sorted=True, bool return_inverse=False, bool return_counts=False, int? dim=None) "
    "-> (Tensor, Tensor, Tensor)"
)
class Unique(Composite):
    """Different elements in order (or different slices along ``dim``), where each one went, and how often it
    occurs.

    >>> import flambeau as torch
    >>> torch.unique(torch.tensor([3, 1, 3]), return_counts=True)
    (tensor([1, 3]), tensor([1, 2]))
    """

    def body(input, sorted, return_inverse, return_counts, dim):
        return unique_of(input, dim, True, return_inverse, return_counts)


@op(
    "unique_consecutive(Tensor input, bool return_inverse=False, bool return_counts=False, int? dim=None) "
    "-> (Tensor, Tensor, Tensor)"
)
class UniqueConsecutive(Composite):
    """The first of each run of equal elements (or slices along ``dim``), where each went, and the runs'
    lengths.
    """

    def body(input, return_inverse, return_counts, dim):
        return unique_of(input, dim, False, return_inverse, return_counts)


# -- bins ----------------------------------------------------------------------------------------------------


@op("count_at(Tensor input, Tensor? weights, int size) -> Tensor", function=False, method=False)
class CountAt(Opaque):
    """How often each place below ``size`` occurs, or the sum of its weights; negative places are left out."""

    algorithm = "searching.count_at"

    def layouts(input, weights, size):
        return contiguous_layout((size,), types.int64 if weights is None else weights.dtype, input.device)


@op("bincount(Tensor input, Tensor? weights=None, int minlength=0) -> Tensor")
class Bincount(Composite):
    """How often each number occurs in a vector of non-negative integers, or the sum of its weights."""

    def body(input, weights, minlength):
        if input.dtype.kind != 1:
            raise NotImplementedError(f"\"bincount_cpu\" not implemented for '{type_name(input.dtype)}'")
        require(minlength >= 0, "minlength should be >= 0")
        if input.ndim == 1 and input.numel() == 0:
            return ops.zeros((minlength,), dtype=types.int64, device=input.device)
        fits = input.ndim == 1
        low, high = (t.item() for t in ops.aminmax(input)) if fits else (0, 0)
        require(fits and low >= 0, "bincount only supports 1-d non-negative integral inputs.")
        if weights is not None:
            require(weights.shape == input.shape, "weights should be 1-d and have the same length as input")
            weights = weights if weights.dtype is types.float32 else weights.to(types.float64)
        return ops.count_at(input, weights, max(high + 1, minlength))


def finite_range(input, low, high, name: str):
    """The range of a histogram: as given, or the input's own where both ends are equal."""
    require(isfinite(low) and isfinite(high), f"{name}: range of [{low:g}, {high:g}] is not finite")
    require(low <= high, f"{name}: max must be larger than min")
    if low == high and input.numel():
        low, high = (float(t.item()) for t in ops.aminmax(input))
        require(isfinite(low) and isfinite(high), f"{name}: range of [{low:g}, {high:g}] is not finite")
    if low == high:
        low, high = low - 1, high + 1
    return low, high


@op("histc(Tensor input, int bins=100, Scalar min=0, Scalar max=0, *, Tensor? out=None) -> Tensor")
class Histc(Composite):
    """How many elements lie in each of ``bins`` equal parts of [min, max] (the input's range when both are
    0).
    """

    def body(input, bins, min, max):
        kind = input.dtype
        if kind.kind == 3:
            raise NotImplementedError(f"\"aminmax_cpu\" not implemented for '{type_name(kind)}'")
        if kind.kind < 2:
            name = "linspace_cpu" if kind.kind == 0 else "histogram_cpu"
            raise NotImplementedError(f"\"{name}\" not implemented for '{type_name(kind)}'")
        require(bins > 0, f"torch.histogram(): bins must be > 0, but got {bins} for dimension 0")
        x = ops.reshape(input.detach(), (-1,))
        low, high = finite_range(x, min, max, "torch.histc")
        places = ((x - low) * bins / (high - low)).to(types.int64)
        inside = ops.logical_and(x >= low, x <= high)
        places = ops.where(inside, ops.clamp(places, max=bins - 1), -1)
        return ops.count_at(places, None, bins).to(kind)


def edges_of(x, bins, range, k: int):
    """Edges of the bins of one column: as given, or equal parts of a range."""
    if hasattr(bins, "_layout"):
        require(
            bins.ndim == 1,
            f"torch.histogramdd: bins tensor should have one dimension, but got {bins.ndim} dimensions in the bins tensor "
            f"for dimension {k}",
        )
        require(
            bins.numel() > 0,
            f"torch.histogramdd: bins tensor should have at least 1 element, but got {bins.numel()} elements in the bins "
            f"tensor for dimension {k}",
        )
        require(
            bins.dtype is x.dtype,
            "torch.histogramdd: input tensor and bins tensors should have the same dtype",
        )
        return bins
    require(bins > 0, f"torch.histogram(): bins must be > 0, but got {bins} for dimension {k}")
    if range is not None:
        low, high = range[2 * k], range[2 * k + 1]
    elif x.numel():
        low, high = (float(t.item()) for t in ops.aminmax(x))
    else:
        low, high = 0.0, 1.0
    require(
        isfinite(low) and isfinite(high),
        f"torch.histogramdd: dimension {k}'s range [{low:g}, {high:g}] is not finite",
    )
    require(
        low <= high,
        f"torch.histogramdd: min should not exceed max, but got min {low:g} max {high:g} for dimension {k}",
    )
    if low == high:
        low, high = low - 0.5, high + 0.5
    return ops.linspace(low, high, bins + 1, dtype=x.dtype, device=x.device)


def bin_of(x, edges):
    """The bin of each element; -1 outside. The last bin has its right edge."""
    last = edges.shape[0] - 1
    places = ops.clamp(ops.search_sorted(edges, x, None, True, False) - 1, 0, max(last - 1, 0))
    inside = ops.logical_and(x >= ops.select(edges, 0, 0), x <= ops.select(edges, 0, last))
    return ops.where(inside, places, -1)


def histogram_of(input, bins: list, range, weight, density: bool):
    """Counts of rows of (N, D) in D lists of bins, and the edges."""
    if input.dtype not in (types.float32, types.float64):
        raise NotImplementedError(f"\"histogramdd\" not implemented for '{type_name(input.dtype)}'")
    count = input.shape[0]
    if weight is not None:
        require(
            weight.numel() == count,
            "torch.histogramdd: if weight tensor is provided it should have the same shape as the input tensor excluding "
            f"its innermost dimension, but got input with shape {list(input.shape)} and weight with shape "
            f"{list(weight.shape)}",
        )
        require(weight.dtype is input.dtype, "torch.histogramdd: if weight tensor is provided, input tensor and weight "
                "tensor should have the same dtype")  # fmt: skip
        weight = ops.reshape(weight, (-1,))
    edges, flat, bad = [], None, None
    for k, one in enumerate(bins):
        x = ops.select(input, 1, k)
        edges.append(edges_of(x, one, range, k))
        places = bin_of(x, edges[k])
        outside = places < 0
        bad = outside if bad is None else ops.logical_or(bad, outside)
        flat = places if flat is None else flat * (edges[k].shape[0] - 1) + places
    shape = tuple(e.shape[0] - 1 for e in edges)
    hist = ops.reshape(ops.count_at(ops.where(bad, -1, flat), weight, prod(shape)), shape).to(input.dtype)
    if density:
        hist = hist / ops.sum(hist)
        for k, e in enumerate(edges):
            widths = ops.diff(e)
            hist = hist / ops.reshape(widths, (1,) * k + (-1,) + (1,) * (len(edges) - k - 1))
    return hist, edges


@op(
    "histogram(Tensor input, any bins=100, *, any range=None, Tensor? weight=None, bool density=False, Tensor? out=None) "
    "-> (Tensor, Tensor)"
)
class Histogram(Composite):
    """Counts (or sums of weights) in bins: (hist, bin_edges). ``bins`` is a number of equal bins or their
    edges.
    """

    def body(input, bins, range, weight, density):
        flat = ops.reshape(input.detach(), (-1, 1))
        hist, edges = histogram_of(flat, [bins], range, weight, density)
        return structure_of("histogram")((hist, edges[0]))


@op(
    "histogramdd(Tensor input, any bins, any range=None, Tensor? weight=None, bool density=False) -> (Tensor, Tensor)"
)
class Histogramdd(Composite):
    """Counts of points (last dimension: coordinates) in a grid of bins: (hist, bin_edges, one an axis)."""

    def body(input, bins, range, weight, density):
        require(input.ndim >= 2, "torch.histogramdd: input tensor should have at least 2 dimensions, but got "
                f"{input.ndim}")  # fmt: skip
        width = input.shape[-1]
        bins = [bins] * width if isinstance(bins, int) else list(bins)
        require(
            len(bins) == width,
            "histogramdd: The size of bins must be equal to the innermost dimension of the input.",
        )
        points = ops.reshape(input.detach(), (-1, width))
        hist, edges = histogram_of(points, bins, range, weight, density)
        return structure_of("histogramdd")((hist, tuple(edges)))


# -- binary search -------------------------------------------------------------------------------------------


@op(
    "search_sorted(Tensor boundaries, Tensor values, Tensor? sorter, bool right, bool small) -> Tensor", function=False,
    method=False,
)  # fmt: skip
class SearchSorted(Opaque):
    """Index of the first boundary not below (right: above) each value."""

    algorithm = "searching.search_sorted"

    def layouts(values, small):
        return contiguous_layout(values.shape, types.int32 if small else types.int64, values.device)


def check_search(boundaries, values, side, right: bool, sorter) -> bool:
    """PyTorch's demands; gives whether to search from the right."""
    name = "torch.searchsorted()"
    require(side in (None, "left", "right"), f"{name}: side can only be 'left' or 'right' but got {side}")
    require(
        not (side == "left" and right),
        f"{name}: side and right can't be set to opposites, got side of left while right was True",
    )
    require(
        boundaries.ndim > 0, f"{name}: boundaries tensor should have positive dimension, but got 0 dimension"
    )
    if values.ndim == 0:
        require(
            boundaries.ndim == 1,
            f"{name}: input value can be a scalar only when boundaries tensor dimension is 1, but we got boundaries tensor "
            f"dim({boundaries.ndim}) and input value's dim(0) numel(1)",
        )
    require(
        boundaries.ndim == 1 or boundaries.ndim == values.ndim and boundaries.shape[:-1] == values.shape[:-1],
        f"{name}: boundaries tensor should be 1 dimension or the first N-1 dimensions of boundaries tensor and input value "
        f"tensor must match, but we got boundaries tensor {list(boundaries.shape)} and input value tensor "
        f"{list(values.shape)}",
    )
    if sorter is not None:
        require(
            sorter.shape == boundaries.shape,
            f"{name}: boundary and sorter must have the same size, but got boundary tensor {list(boundaries.shape)}and got "
            f"sorter tensor {list(sorter.shape)}",
        )
        require(
            sorter.dtype is types.int64,
            f"{name}: sorter must be a tensor of long dtype but got dtype {type_name(sorter.dtype)}",
        )
        if sorter.numel():
            low, high = (t.item() for t in ops.aminmax(sorter))
            require(low >= 0 and high < sorter.shape[-1], f"{name}: sorter index out of range")
    return right or side == "right"


def searched(boundaries, values, small: bool, right: bool, sorter=None):
    """Binary search with both sides in their common type."""
    if values.dtype is not boundaries.dtype:
        common = promote_types(boundaries.dtype, values.dtype)
        boundaries, values = boundaries.to(common), values.to(common)
    if boundaries.dtype.kind in (0, 3):
        raise NotImplementedError(
            f"\"searchsorted_out_cpu\" not implemented for '{type_name(boundaries.dtype)}'"
        )
    return ops.search_sorted(boundaries.detach(), values.detach(), sorter, right, small)


def number_like(value, boundaries):
    """A Python number as a 0-d tensor beside the boundaries."""
    kind = boundaries.dtype
    if isinstance(value, float) and kind.kind < 2:
        kind = types.default_float()
    return ops.full((), value, dtype=kind, device=boundaries.device)


@op(
    "searchsorted(Tensor sorted_sequence, Operand input, *, bool out_int32=False, bool right=False, str? side=None, "
    "Tensor? sorter=None, Tensor? out=None) -> Tensor",
    method=False,
)
class Searchsorted(Composite):
    """Where each element of ``input`` would go in a sorted sequence to keep it sorted.

    ``right`` (or ``side="right"``): after equal elements, else before them. ``sorter`` puts an unsorted
    sequence in order.
    """

    def body(sorted_sequence, input, out_int32, right, side, sorter):
        if not hasattr(input, "_layout"):
            input = number_like(input, sorted_sequence)
        right = check_search(sorted_sequence, input, side, right, sorter)
        return searched(sorted_sequence, input, out_int32, right, sorter)


@op(
    "bucketize(Operand input, Tensor boundaries, *, bool out_int32=False, bool right=False, Tensor? out=None) -> Tensor",
    method=False,
)
class Bucketize(Composite):
    """The bucket between sorted ``boundaries`` that each element falls into."""

    def body(input, boundaries, out_int32, right):
        require(
            boundaries.ndim == 1, f"boundaries tensor must be 1 dimension, but got dim({boundaries.ndim})"
        )
        if not hasattr(input, "_layout"):
            input = number_like(input, boundaries)
        return searched(boundaries, input, out_int32, right)


@op(
    "isin(Operand elements, Operand test_elements, *, bool assume_unique=False, bool invert=False, Tensor? out=None) "
    "-> Tensor",
    method=False,
)
class Isin(Composite):
    """Whether each element is among ``test_elements``."""

    def body(elements, test_elements, assume_unique, invert):
        given = [hasattr(t, "_layout") for t in (elements, test_elements)]
        if not any(given):
            raise TypeError("isin() received an invalid combination of arguments - got two numbers")
        if not given[0]:
            elements = number_like(elements, test_elements)
        if not given[1]:
            test_elements = number_like(test_elements, elements)
        for one in (elements, test_elements):
            require(
                one.dtype.kind in (1, 2),
                f"Unsupported input type encountered for isin(): {type_name(one.dtype)}",
            )
        common = promote_types(elements.dtype, test_elements.dtype)
        x, tests = elements.detach().to(common), ops.reshape(test_elements.detach().to(common), (-1,))
        if tests.numel() == 0:
            return ops.full(x.shape, invert, dtype=types.bool_, device=x.device)
        ordered = ops.sort_along(tests, 0, False)[0]
        places = ops.clamp(ops.search_sorted(ordered, x, None, False, False), max=tests.numel() - 1)
        found = ops.reshape(ops.index_select(ordered, 0, ops.reshape(places, (-1,))), x.shape) == x
        return ops.logical_not(found) if invert else found
