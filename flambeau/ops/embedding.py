"""Tables of vectors looked up by index: embedding and embedding_bag."""

from __future__ import annotations

from ..base import dtype as types
from ..base.layout import Layout, contiguous_layout
from .define import op, ops
from .index import INDEX_TYPES
from .kinds import Composite, Opaque
from .view import type_name


def check_table(weight: Layout, indices: Layout) -> None:
    if weight.ndim != 2:
        raise RuntimeError("'weight' must be 2-D")
    if indices.dtype.name not in INDEX_TYPES:
        raise RuntimeError(
            "Expected tensor for argument #1 'indices' to have one of the following scalar types: Long, Int; but got "
            f"{type_name(indices)} instead (while checking arguments for embedding)"
        )


class _Rows(Opaque):
    """Rows of a table: one per index."""

    def check(weight, indices):
        check_table(weight, indices)

    def layouts(weight, indices):
        return contiguous_layout((*indices.shape, weight.shape[1]), weight.dtype, weight.device)

    def d_weight(g, weight_layout, indices, padding_idx, scale_grad_by_freq):
        return ops.rows_sum(g, indices, 0, weight_layout.shape[0], padding_idx, scale_grad_by_freq)


@op(
    "embedding(Tensor weight, Tensor indices, int padding_idx=-1, bool scale_grad_by_freq=False, bool sparse=False) -> Tensor",
    method=False,
)
class EmbeddingRows(Opaque):
    """Rows of ``weight`` by index. The gradient adds up the rows of equal index, in order; that of padding_idx is zero.

    Shape: ``weight (n, d), indices (*) -> (*, d)``.  Raises: IndexError where an index is outside ``[0, n)``.
    """

    algorithm = "indexing.take_select"
    check, layouts, d_weight = _Rows.check, _Rows.layouts, _Rows.d_weight


@op(
    "bag_rows(Tensor weight, Tensor indices, int padding_idx, bool scale_grad_by_freq) -> Tensor", function=False,
    method=False,
)  # fmt: skip
class BagRows(Opaque):
    """`embedding` with the error of embedding_bag."""

    algorithm = "indexing.take_bag"
    check, layouts, d_weight = _Rows.check, _Rows.layouts, _Rows.d_weight


def normal_padding(padding_idx: int | None, rows: int) -> int:
    """padding_idx counted from the start; -1 where there is none."""
    if padding_idx is None:
        return -1
    if not -rows <= padding_idx < rows:
        raise AssertionError("Padding_idx must be within num_embeddings")
    return padding_idx + rows if padding_idx < 0 else padding_idx


@op(
    "nn.functional.embedding(Tensor input, Tensor weight, int? padding_idx=None, float? max_norm=None, float norm_type=2.0, "
    "bool scale_grad_by_freq=False, bool sparse=False) -> Tensor"
)
class Embedding(Composite):
    """The rows of ``weight`` that ``input`` names.

    padding_idx: a row that gets no gradient. max_norm: rows that are looked up are first scaled down, in place, to
    this norm of order ``norm_type``. scale_grad_by_freq: each row's gradient is divided by how often it was named.
    sparse: accepted; gradients are dense.

    >>> import flambeau as torch
    >>> torch.nn.functional.embedding(torch.tensor([2, 0]), torch.tensor([[1.0], [2.0], [3.0]]))
    tensor([[3.],
            [1.]])
    """

    def body(input, weight, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse):
        if padding_idx is not None:
            padding_idx = normal_padding(padding_idx, weight._layout.shape[0])
        else:
            padding_idx = -1
        if max_norm is not None:
            check_table(weight._layout, input._layout)
            ops.embedding_renorm_(weight.detach(), input, max_norm, norm_type)
        return ops.embedding(weight, input, padding_idx, scale_grad_by_freq, sparse)


@op(
    "embedding_renorm_(Tensor input, Tensor indices, float max_norm, float norm_type) -> Tensor", method=False
)
class EmbeddingRenorm(Composite):
    """Scale the rows that ``indices`` names down to ``max_norm``, in place, where their norm is larger."""

    def body(input, indices, max_norm, norm_type):
        flat = ops.reshape(indices, (-1,)) if indices._layout.numel else ops.reshape(indices, (0,))
        if not flat._layout.numel:
            return input
        rows = ops.index_select(input.detach(), 0, flat)
        size = ops.abs(rows)
        if norm_type == float("inf"):
            norms = ops.amax(size, 1, True)
        else:
            norms = ops.pow(ops.sum(ops.pow(size, norm_type), 1, True), 1.0 / norm_type)
        factor = ops.where(norms > max_norm, max_norm / (norms + 1e-7), 1.0)
        return ops.index_copy_(input, 0, ops.to_copy(flat, dtype=types.int64), rows * factor)


@op(
    "nn.functional.embedding_bag(Tensor input, Tensor weight, Tensor? offsets=None, float? max_norm=None, float norm_type=2, "
    "bool scale_grad_by_freq=False, str mode='mean', bool sparse=False, Tensor? per_sample_weights=None, "
    "bool include_last_offset=False, int? padding_idx=None) -> Tensor"
)
class EmbeddingBag(Composite):
    """Sum, mean or maximum of the rows of ``weight`` that each bag of indices names.

    input: (bags, n), or all indices in one dimension with ``offsets`` where each bag begins. padding_idx: an index that
    does not count. per_sample_weights: a factor per index (mode "sum"). An empty bag gives zeros.
    """

    def body(
        input, weight, offsets, max_norm, norm_type, scale_grad_by_freq, mode, sparse, per_sample_weights, include_last_offset,
        padding_idx,
    ):  # fmt: skip
        if weight._layout.dtype.kind == 1 and input._layout.dtype.kind == 2:  # an old order of the arguments
            input, weight = weight, input
        if per_sample_weights is not None and input._layout.shape != per_sample_weights._layout.shape:
            raise ValueError(
                f"embedding_bag: If per_sample_weights ({per_sample_weights._layout.shape}) is not None, then it must have "
                f"the same shape as the input ({input._layout.shape})"
            )
        if not weight._layout.ndim == 2:
            raise ValueError(
                f"weight has to be a 2D Tensor, but got Tensor of dimension {weight._layout.ndim}"
            )
        indices, offsets, weights = flat_bags(input, offsets, per_sample_weights)
        if mode not in ("sum", "mean", "max"):
            raise ValueError("mode has to be one of sum, mean or max")
        if mode == "max" and scale_grad_by_freq:
            raise ValueError("max mode does not support scaling the gradient by the frequency")
        if mode == "max" and sparse:
            raise ValueError("max mode does not support sparse weights")
        if weights is not None and mode != "sum":
            raise NotImplementedError(
                "embedding_bag: per_sample_weights was not None. per_sample_weights is only supported for mode='sum' (got "
                f"mode='{mode}'). Please open a feature request on GitHub."
            )
        padding = -1
        if padding_idx is not None:
            rows = weight._layout.shape[0]
            if not -rows <= padding_idx < rows:
                raise RuntimeError("padding_idx must be within num_embeddings")
            padding = padding_idx + rows if padding_idx < 0 else padding_idx
        if max_norm is not None:
            ops.embedding_renorm_(weight.detach(), indices, max_norm, norm_type)
        bags, count = bag_numbers(indices, offsets, include_last_offset)
        return pooled(weight, indices, bags, count, mode, weights, padding, scale_grad_by_freq)


def flat_bags(input, offsets, per_sample_weights):
    """Indices in one dimension, the offsets of the bags, and the factors."""
    where = input._layout
    if where.ndim == 2:
        if offsets is not None:
            raise ValueError(
                "if input is 2D, then offsets has to be None, as input is treated is a mini-batch of fixed length sequences. "
                "However, found offsets of type <class 'torch.Tensor'>"
            )
        bags, length = where.shape
        steps = ops.arange(bags, dtype=where.dtype, device=where.device) * length
        flat = ops.reshape(input, (where.numel,))
        weights = None if per_sample_weights is None else ops.reshape(per_sample_weights, (where.numel,))
        return flat, steps, weights
    if where.ndim != 1:
        raise ValueError(f"input has to be 1D or 2D Tensor, but got Tensor of dimension {where.ndim}")
    if offsets is None or not hasattr(offsets, "_layout"):
        raise ValueError(
            f"offsets has to be a 1D Tensor but got {None if offsets is None else type(offsets)}"
        )
    if offsets._layout.ndim != 1:
        raise ValueError("offsets has to be a 1D Tensor")
    return input, offsets, per_sample_weights


def bag_numbers(indices, offsets, include_last_offset: bool):
    """For each index the number of its bag, and how many bags there are."""
    total, given = indices._layout.numel, offsets._layout.numel
    if include_last_offset and given < 1:
        raise RuntimeError("include_last_offset: number of offsets should be at least 1")
    if given:
        first, last = int(ops.select(offsets, 0, 0).item()), int(ops.select(offsets, 0, -1).item())
        if first != 0:
            raise RuntimeError(
                "offsets[0] has to be 0, i.e., the first sequence in the mini-batch has to start from position 0. However, "
                f"got {first}"
            )
        if last > total:
            raise RuntimeError(
                f"offsets[-1] can not be greater than input's length {total} but got offsets[-1] of {last}"
            )
    count = given - 1 if include_last_offset else given
    offsets = ops.to_copy(offsets, dtype=types.int64)
    if not include_last_offset:
        offsets = ops.cat([offsets, ops.full((1,), total, dtype=types.int64, device=offsets._layout.device)])
    sizes = ops.slice(offsets, 0, 1, None, 1) - ops.slice(offsets, 0, 0, -1, 1)
    return ops.repeat_positions(sizes, total), count


def pooled(weight, indices, bags, count: int, mode: str, weights, padding: int, scale: bool):
    """The rows of each bag combined."""
    rows = ops.bag_rows(weight, indices, padding, scale)
    counted = None if padding < 0 else ops.ne(indices, padding)
    if mode == "max":
        return _largest(rows, bags, count, counted)
    if weights is not None:
        rows = rows * ops.unsqueeze(weights, 1)
    if counted is not None:
        rows = ops.where(ops.unsqueeze(counted, 1), rows, 0)
    total = ops.rows_sum(rows, bags, 0, count)
    if mode == "sum":
        return total
    ones = ops.ones(indices._layout.shape, dtype=rows._layout.dtype, device=rows._layout.device)
    if counted is not None:
        ones = ops.to_copy(counted, dtype=rows._layout.dtype)
    sizes = ops.rows_sum(ones, bags, 0, count)
    return total / ops.unsqueeze(ops.where(sizes == 0, 1, sizes), 1)


def _largest(rows, bags, count: int, counted):
    """The largest element of each column of each bag; zero where a bag is empty."""
    low = float("-inf")
    if counted is not None:
        rows = ops.where(ops.unsqueeze(counted, 1), rows, low)
    start = ops.full(
        (count, rows._layout.shape[1]), low, dtype=rows._layout.dtype, device=rows._layout.device
    )
    places = ops.expand(ops.unsqueeze(bags, 1), tuple(rows._layout.shape))
    found = ops.scatter_reduce(start, 0, places, rows, "amax")
    present = ops.ones(bags._layout.shape) if counted is None else ops.to_copy(counted, dtype=types.float32)
    filled = ops.unsqueeze(ops.rows_sum(present, bags, 0, count), 1) > 0
    return ops.where(filled, found, 0)
