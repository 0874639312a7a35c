"""gather and scatter: elements read or written along one dimension, each at a place of its own."""

from __future__ import annotations

from ..base.errors import check_dim
from ..base.layout import Layout, contiguous_layout
from .define import op, ops
from .index import INDEX_TYPES
from .kinds import Composite, Opaque
from .out_rules import cpp_name
from .view import type_title


def check_gather(name: str, input: Layout, dim: int, index: Layout) -> int:
    """The dimension, non-negative; raises where the index does not fit the input."""
    at = check_dim(dim, input.ndim)
    if index.dtype.name not in INDEX_TYPES and index.numel:
        raise RuntimeError(f"{name}(): Expected dtype int32/int64 for index")
    if index.numel:
        if max(input.ndim, 1) != max(index.ndim, 1):
            raise RuntimeError("Index tensor must have the same number of dimensions as input tensor")
        for d in range(min(input.ndim, index.ndim)):
            if d != at and index.shape[d] > input.shape[d]:
                raise RuntimeError(
                    f"Size does not match at dimension {d} expected index {list(index.shape)} to be no larger than self "
                    f"{list(input.shape)} apart from dimension {at}"
                )
    return at


@op("gather(Tensor input, int dim, Tensor index, *, bool sparse_grad=False, Tensor? out=None) -> Tensor")
class Gather(Opaque):
    """``out[i][j] = input[index[i][j]][j]`` for dim 0, and so on: each element from a place of its own along ``dim``.

    Shape: that of ``index``.  Raises: RuntimeError where an index is out of bounds.
    """

    algorithm = "scatter.gather"

    def check(input, dim, index):
        check_gather("gather", input, dim, index)

    def layouts(input, index):
        return contiguous_layout(index.shape, input.dtype, input.device)

    def d_input(g, input_layout, dim, index):
        return ops.scatter_sum(g, index, dim, input_layout.shape)


@op("gather_wrapped(Tensor input, int dim, Tensor index) -> Tensor", function=False, method=False)
class GatherWrapped(Opaque):
    """`gather` in which negative places count from the end."""

    algorithm = "scatter.gather_wrapped"

    def layouts(input, index):
        return contiguous_layout(index.shape, input.dtype, input.device)

    def d_input(g, input_layout, dim, index):
        return ops.scatter_sum(g, index, dim, input_layout.shape)


@op("scatter_sum(Tensor input, Tensor index, int dim, int[] size) -> Tensor", function=False, method=False)
class ScatterSum(Opaque):
    """Zeros, and each element of ``input`` added at its place along ``dim``: the gradient of `gather`."""

    algorithm = "scatter.scatter_sum"

    def layouts(input, size):
        return contiguous_layout(size, input.dtype, input.device)

    def d_input(g, index, dim):
        return ops.gather_wrapped(g, dim, index)


@op(
    "scatter_into(Tensor input, int dim, Tensor index, Tensor src, str how='set') -> Tensor", inplace=True, function=False,
    method=False,
)  # fmt: skip
class ScatterInto(Opaque):
    """Elements of ``src`` (or its only one) written into ``input``, or combined with it; how: set, add or mul."""

    algorithm = "scatter.scatter_into"
    writes = True

    def layouts(input):
        return contiguous_layout(input.shape, input.dtype, input.device)

    def d_input(g, dim, index, how):
        if how == "add":
            return g
        _only_set(how)
        return ops.scatter_into(
            g, dim, index, ops.zeros((), dtype=g._layout.dtype, device=g._layout.device), "set"
        )

    def d_src(g, dim, index, how):
        _only_set(how)
        return ops.gather(g, dim, index)


def _only_set(how: str) -> None:
    if how == "mul":
        raise NotImplementedError("derivative for aten::scatter with reduce='multiply' is not implemented")


def scattered(name: str, input, dim: int, index, src, value, reduce, in_place: bool):
    """The body of scatter and scatter_add: check, cut `src` to the index, write."""
    where, given = input._layout, index._layout
    if src is None:
        src = value
    kind = type(src)
    key = (name, where, kind if kind is float or kind is int else getattr(src, "_layout", None), dim, reduce)
    at = given.cache.get(key)
    if at is not None:  # these layouts were checked before and need no cut
        if kind is float or kind is int:
            src = number_like(src, where)
        return (ops.scatter_into_ if in_place else ops.scatter_into)(input, at, index, src, HOW[reduce])
    if src is None:
        raise TypeError(f"{name}() received an invalid combination of arguments")
    at = check_dim(dim, where.ndim)
    if given.dtype.name not in INDEX_TYPES:
        raise RuntimeError(f"{name}(): Expected dtype int32/int64 for index")
    if reduce not in (None, "add", "multiply"):
        raise RuntimeError("reduce argument must be either add or multiply.")
    if hasattr(src, "_layout"):
        check_source(where, at, given, src._layout)
        if src._layout.shape != given.shape:
            for d, n in enumerate(given.shape):
                src = ops.slice(src, d, 0, n, 1)
    else:
        check_source(where, at, given, None)
        src = number_like(src, where)
    if given.numel == 0:
        return input if in_place else ops.clone(input)
    if (src._layout is key[2] or kind is key[2]) and len(given.cache) < 1024:
        given.cache[key] = at
    write = ops.scatter_into_ if in_place else ops.scatter_into
    return write(input, at, index, src, HOW[reduce])


HOW = {None: "set", "add": "add", "multiply": "mul"}


def number_like(value, where: Layout):
    """A number as a 0-d tensor of a tensor's type."""
    if isinstance(value, complex) and not where.dtype.is_complex:
        raise RuntimeError(f"value cannot be converted to type {cpp_name(where.dtype)} without overflow")
    if where.dtype.kind == 1:
        value = int(value)
    return ops.full((), value, dtype=where.dtype, device=where.device)


def check_source(where: Layout, at: int, index: Layout, src: Layout | None) -> None:
    """Raise unless the index and the source fit what is written."""
    if src is not None and src.dtype is not where.dtype:
        raise RuntimeError("scatter(): Expected self.dtype to be equal to src.dtype")
    if index.numel == 0:
        return
    if max(index.ndim, 1) != max(where.ndim, 1):
        raise RuntimeError("Index tensor must have the same number of dimensions as self tensor")
    if src is not None and max(index.ndim, 1) != max(src.ndim, 1):
        raise RuntimeError("Index tensor must have the same number of dimensions as src tensor")
    sizes = where.shape or (1,)
    too_large = any(d != at and n > sizes[d] for d, n in enumerate(index.shape))
    if src is None:
        if too_large:
            raise RuntimeError(
                f"Expected index {list(index.shape)} to be no larger than self {list(where.shape)} apart from dimension {at}"
            )
    elif too_large or any(n > m for n, m in zip(index.shape, src.shape)):
        raise RuntimeError(
            f"Expected index {list(index.shape)} to be no larger than self {list(where.shape)} apart from dimension {at} "
            f"and to be no larger size than src {list(src.shape)}"
        )


@op(
    "scatter(Tensor input, int dim, Tensor index, any src=None, any value=None, *, any reduce=None, Tensor? out=None) -> Tensor"
)
class Scatter(Composite):
    """A copy of ``input`` in which each element of ``src`` (or ``value``) stands at its place along ``dim``.

    reduce: "add" or "multiply" combines with what is there. Where places repeat, the last one wins.
    """

    def body(input, dim, index, src, value, reduce):
        return scattered("scatter", input, dim, index, src, value, reduce, False)


@op(
    "scatter_(Tensor input, int dim, Tensor index, any src=None, any value=None, *, any reduce=None) -> Tensor",
    function=False,
)
class ScatterInPlace(Composite):
    """`scatter` in place."""

    def body(input, dim, index, src, value, reduce):
        return scattered("scatter", input, dim, index, src, value, reduce, True)


def check_tensor(name: str, src) -> None:
    if not hasattr(src, "_layout"):
        raise TypeError(f"{name}(): argument 'src' (position 3) must be Tensor, not {type(src).__name__}")


@op("scatter_add(Tensor input, int dim, Tensor index, any src, *, Tensor? out=None) -> Tensor")
class ScatterAdd(Composite):
    """A copy of ``input`` to which each element of ``src`` is added at its place along ``dim``.

    The sums are formed in the order of the index, whatever the number of threads.
    """

    def body(input, dim, index, src):
        check_tensor("scatter_add", src)
        return scattered("scatter_add", input, dim, index, src, None, "add", False)


@op("scatter_add_(Tensor input, int dim, Tensor index, any src) -> Tensor", function=False)
class ScatterAddInPlace(Composite):
    """`scatter_add` in place."""

    def body(input, dim, index, src):
        check_tensor("scatter_add_", src)
        return scattered("scatter_add", input, dim, index, src, None, "add", True)


# -- combining with sum, product, mean, largest, smallest ------------------------------------------------------

REDUCTIONS = ("sum", "prod", "mean", "amax", "amin")


@op(
    "scatter_reduce(Tensor input, int dim, Tensor index, Tensor src, str reduce, *, bool include_self=True, "
    "Tensor? out=None) -> Tensor", inplace=True,
)  # fmt: skip
class ScatterReduce(Opaque):
    """A copy of ``input`` combined with the elements of ``src`` at their places along ``dim``.

    reduce: "sum", "prod", "mean", "amax" or "amin". include_self: whether what ``input`` holds there takes part.
    """

    algorithm = "scatter.scatter_reduce"

    def check(input, dim, index, src, reduce):
        at = check_dim(dim, input.ndim)
        if index.dtype.name not in INDEX_TYPES:
            raise RuntimeError("scatter(): Expected dtype int32/int64 for index")
        check_source(input, at, index, src)
        if reduce not in REDUCTIONS:
            raise RuntimeError(f"reduce argument must be either sum, prod, mean, amax or amin, got {reduce}")

    def layouts(input):
        return contiguous_layout(input.shape, input.dtype, input.device)

    def d_input(g, input, dim, index, src, reduce, include_self, result):
        if reduce == "sum":
            found = g
        elif reduce == "mean":
            found = g / _counts(g, dim, index, include_self)
        elif reduce == "prod":
            masked = ops.where(input == 0, 1, input)
            found = (
                g * ops.scatter_reduce(masked, dim, index, src, "prod", include_self=include_self) / masked
            )
        else:
            mine = ops.to_copy(input == result, dtype=g._layout.dtype)
            found = mine * _shared(g, mine, dim, index, src, result)
        return found if include_self else ops.scatter(found, dim, index, 0)

    def d_src(g, input, dim, index, src, reduce, include_self, result):
        if reduce == "sum":
            return ops.gather(g, dim, index)
        if reduce == "mean":
            return ops.gather(g / _counts(g, dim, index, include_self), dim, index)
        if reduce == "prod":
            return _prod_source(g, input, dim, index, src, include_self, result)
        mine = ops.to_copy(input == result, dtype=g._layout.dtype)
        own = ops.to_copy(src == ops.gather(result, dim, index), dtype=g._layout.dtype)
        return own * ops.gather(_shared(g, mine, dim, index, src, result), dim, index)


def _counts(g, dim, index, include_self: bool):
    """How many elements each mean was formed of."""
    ones = ops.ones(index._layout.shape, dtype=g._layout.dtype, device=g._layout.device)
    start = ops.ones_like(g) if include_self else ops.zeros_like(g)
    count = ops.scatter_add(start, dim, index, ones)
    return ops.where(count == 0, 1, count)


def _shared(g, mine, dim, index, src, result):
    """The gradient divided between all elements that equal the extreme value."""
    own = ops.to_copy(src == ops.gather(result, dim, index), dtype=g._layout.dtype)
    return g / ops.scatter_add(mine, dim, index, own)


def _prod_source(g, input, dim, index, src, include_self, result):
    """Gradient of the factors of a product; a single zero among them sees the product of the others."""
    zero = src == 0
    number = ops.gather(
        ops.scatter_add(ops.zeros_like(g), dim, index, ops.to_copy(zero, dtype=g._layout.dtype)), dim, index
    )
    alone = ops.logical_and(zero, number == 1)
    others = ops.scatter_reduce(
        input, dim, index, ops.where(alone, 1, src), "prod", include_self=include_self
    )
    quotient = ops.gather(g * result, dim, index) / ops.where(zero, 1, src)
    return ops.where(alone, ops.gather(g * others, dim, index), quotient)


# -- slices along one dimension ------------------------------------------------------------------------------


def check_vector(name: str, input: Layout, dim: int, index: Layout, source: Layout) -> None:
    """Raise unless an index vector and a source of slices fit the input."""
    at = check_dim(dim, input.ndim)
    if index.ndim > 1:
        raise IndexError(
            f"{name}(): Index is supposed to be a vector, but got dim: {index.ndim} with type: {type_title(index.dtype)} "
            f"and size: {list(index.shape)}"
        )
    if index.dtype.name not in INDEX_TYPES:
        raise RuntimeError(
            f"{name}(): Expected dtype int32/int64 for index but got: {type_title(index.dtype)}"
        )
    if input.dtype is not source.dtype:
        raise RuntimeError(
            f"{name}(): self ({type_title(input.dtype)}) and source ({type_title(source.dtype)}) must have the same scalar type"
        )
    have = source.shape[at] if at < source.ndim else 1
    if have != index.numel and (source.ndim or index.numel != 1):
        raise RuntimeError(
            f"{name}(): Number of indices ({index.numel}) should be equal to source.size(dim): ({have}), for dim: {at}"
        )
    others = [[n for d, n in enumerate(s.shape) if d != at] for s in (input, source)]
    if (
        others[0] != others[1]
        or (input.ndim == 0) != (source.ndim == 0)
        and not (input.ndim == 1 and source.ndim == 0)
    ):
        raise RuntimeError(
            "source tensor shape must match self tensor shape, excluding the specified dimension. Got self.shape = "
            f"{list(input.shape)} source.shape = {list(source.shape)}"
        )


@op(
    "index_add(Tensor input, int dim, Tensor index, Tensor source, *, float alpha=1, Tensor? out=None) -> Tensor",
    inplace=True,
)
class IndexAdd(Opaque):
    """A copy of ``input`` to which ``alpha`` times the slices of ``source`` are added at ``index`` along ``dim``."""

    algorithm = "indexing_along.index_add"
    writes = True

    def check(input, dim, index, source, alpha):
        check_vector("index_add_", input, dim, index, source)
        if isinstance(alpha, complex) and not input.dtype.is_complex:
            raise RuntimeError(f"value cannot be converted to type {cpp_name(input.dtype)} without overflow")
        if isinstance(alpha, bool) and input.dtype.kind:
            return
        if input.dtype.kind == 0 and not isinstance(alpha, bool) and isinstance(alpha, float):
            raise RuntimeError(
                "For integral input tensors, argument alpha must not be a floating point number."
            )

    def layouts(input):
        return contiguous_layout(input.shape, input.dtype, input.device)

    def d_input(g):
        return g

    def d_source(g, dim, index, alpha, source_layout):
        found = ops.reshape(ops.index_select(g, dim, index), source_layout.shape)
        alpha = alpha.conjugate() if isinstance(alpha, complex) else alpha
        return found if alpha == 1 else found * alpha


@op(
    "index_copy(Tensor input, int dim, Tensor index, Tensor source, *, Tensor? out=None) -> Tensor",
    inplace=True,
)
class IndexCopy(Opaque):
    """A copy of ``input`` with the slices of ``source`` at ``index`` along ``dim``; of equal places the last wins."""

    algorithm = "indexing_along.index_copy"
    writes = True

    def check(input, dim, index, source):
        at = check_dim(dim, input.ndim)
        if index.ndim > 1:
            raise IndexError(f"index_copy_(): Index should have dimension 1 or 0 (got {index.ndim})")
        if source.ndim == 0 and index.numel != 1:
            raise IndexError(
                f"index_copy_(): When source is scalar, index should have one element (got {index.numel})"
            )
        if source.ndim != input.ndim and source.ndim and input.ndim:
            raise IndexError(
                "index_copy_(): When source and destination are not scalars, their dimensionality must match. Source "
                f"dimensionality ({source.ndim}), destination dimensionality ({input.ndim})"
            )
        if index.dtype.name != "int64":
            raise RuntimeError(
                f"index_copy_(): Expected a long tensor for index, but got {type_title(index.dtype)}"
            )
        if input.dtype is not source.dtype:
            raise RuntimeError(
                "index_copy_(): self and source expected to have the same dtype, but got (self) "
                f"{type_title(input.dtype)} and (source) {type_title(source.dtype)}"
            )
        target, slices = ([n for d, n in enumerate(t.shape) if d != at] for t in (input, source))
        if target != slices:
            raise RuntimeError(
                "index_copy_(): Source/destination tensor must have same slice shapes. Destination slice shape: "
                f"{' '.join(map(str, target))} at dimension {at} and source slice shape: {' '.join(map(str, slices))} at "
                "dimension 0."
            )
        if source.ndim and source.shape[at] != index.numel:
            raise IndexError(
                f"index_copy_(): Number of indices ({index.numel}) should be equal to source.size(dim) ({source.shape[at]})"
            )

    def layouts(input):
        return contiguous_layout(input.shape, input.dtype, input.device)

    def d_input(g, dim, index):
        return ops.index_fill(g, dim, index, 0)

    def d_source(g, dim, index, source_layout):
        return ops.reshape(ops.index_select(g, dim, index), source_layout.shape)


@op(
    "index_fill_with(Tensor input, int dim, Tensor index, Tensor value) -> Tensor",
    inplace=True,
    function=False,
    method=False,
)
class IndexFillWith(Opaque):
    """The one element of ``value`` in the slices at ``index`` along ``dim``."""

    algorithm = "indexing_along.index_fill"
    writes = True

    def layouts(input):
        return contiguous_layout(input.shape, input.dtype, input.device)

    def d_input(g, dim, index):
        return ops.index_fill(g, dim, index, 0)

    def d_value(g, dim, index):
        return ops.sum(g * ops.index_fill(ops.zeros_like(g), dim, index, 1))


def filled(input, dim: int, index, value, in_place: bool):
    where, given = input._layout, index._layout
    check_dim(dim, where.ndim)
    if given.dtype.name != "int64":
        raise IndexError("index_fill_(): Expected dtype int64 for index.")
    if given.ndim > 1:
        raise RuntimeError("Index has to be a vector/scalar")
    if hasattr(value, "_layout"):
        if value._layout.ndim:
            raise RuntimeError(
                "index_fill_ only supports a 0-dimensional value tensor, but got tensor with "
                f"{value._layout.ndim} dimension(s)."
            )
        if value._layout.dtype.is_complex and not where.dtype.is_complex:
            raise RuntimeError(
                "index_fill_(): Converting complex Scalar to non-complex type is not supported"
            )
        value = ops.clone(value) if in_place else value
    elif isinstance(value, complex) and not where.dtype.is_complex:
        raise RuntimeError("index_fill_(): Converting complex Scalar to non-complex type is not supported")
    else:
        value = number_like(value, where)
    return (ops.index_fill_with_ if in_place else ops.index_fill_with)(input, dim, index, value)


@op("index_fill(Tensor input, int dim, Tensor index, any value) -> Tensor")
class IndexFill(Composite):
    """A copy of ``input`` with ``value`` in the slices at ``index`` along ``dim``."""

    def body(input, dim, index, value):
        return filled(input, dim, index, value, False)


@op("index_fill_(Tensor input, int dim, Tensor index, any value) -> Tensor", function=False)
class IndexFillInPlace(Composite):
    """`index_fill` in place."""

    def body(input, dim, index, value):
        return filled(input, dim, index, value, True)


@op(
    "index_reduce(Tensor input, int dim, Tensor index, Tensor source, str reduce, *, bool include_self=True, "
    "Tensor? out=None) -> Tensor", inplace=True,
)  # fmt: skip
class IndexReduce(Composite):
    """A copy of ``input`` combined with the slices of ``source`` at ``index`` along ``dim``.

    reduce: "prod", "mean", "amax" or "amin". include_self: whether what ``input`` holds there takes part.
    """

    def body(input, dim, index, source, reduce, include_self):
        where, given = input._layout, source._layout
        if reduce not in ("prod", "mean", "amax", "amin"):
            raise RuntimeError(
                f"index_reduce(): Expected reduce to be one of prod, mean, amax or amin but got {reduce}."
            )
        check_vector("index_reduce_", where, dim, index._layout, given)
        ops.check_places(index, (where.shape or (1,))[check_dim(dim, where.ndim)])
        at = check_dim(dim, where.ndim)
        places = ops.reshape(index, tuple(-1 if d == at else 1 for d in range(max(1, where.ndim))))
        slices = source if given.ndim else ops.reshape(source, (1,))
        target = input if where.ndim else ops.reshape(input, (1,))
        places = ops.expand(places, tuple(slices._layout.shape))
        found = ops.scatter_reduce(target, at, places, slices, reduce, include_self=include_self)
        return ops.reshape(found, where.shape)


@op("check_places(Tensor index, int size) -> Tensor", function=False, method=False)
class CheckPlaces(Opaque):
    """Refuse an index with a place outside ``[0, size)``."""

    algorithm = "indexing_along.check_places"

    def layouts(index):
        return contiguous_layout((), index.dtype, index.device)
