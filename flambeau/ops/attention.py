"""Attention."""

from __future__ import annotations

from ..base import dtype as types
from ..base.errors import require
from ..base.layout import contiguous_layout, layout, stride_order, strides_in_order
from . import define
from .define import op, ops
from .kinds import Composite, Opaque
from .out_rules import long_name
from .random import drop

#: head sizes up to this run as one program
WIDEST = 256
#: by the layouts of a call: whether it runs as one program
_fused: dict[tuple, bool] = {}


@op(
    "nn.functional.scaled_dot_product_attention(Tensor query, Tensor key, Tensor value, Tensor? attn_mask=None, "
    "float dropout_p=0.0, bool is_causal=False, *, float? scale=None, bool enable_gqa=False) -> Tensor",
    also="_C._nn.scaled_dot_product_attention",
)  # fmt: skip
class ScaledDotProductAttention(Composite):
    """``softmax(q k^T scale + mask) v``, without the weights in memory.

    Shape: query ``(*, H, L, E)``, key ``(*, H, S, E)``, value ``(*, H, S, Ev)``; mask broadcasts to
    ``(*, H, L, S)``, bool (True takes part) or float (added). ``scale``: ``1 / sqrt(E)`` by default.
    ``is_causal``: a query sees the keys up to its own place. ``enable_gqa``: fewer heads of keys and values,
    each for several neighbouring heads of queries.

    Dropout of the weights, a mask that wants a gradient and heads wider than 256 take several operators.
    Source: Vaswani et al. 2017, Attention is all you need; Dao et al. 2022, FlashAttention.

    >>> import flambeau as torch
    >>> x = torch.randn(1, 2, 5, 4)
    >>> torch.nn.functional.scaled_dot_product_attention(x, x, x, is_causal=True).shape
    torch.Size([1, 2, 5, 4])
    """

    def body(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa):
        if attn_mask is not None and not hasattr(attn_mask, "_layout"):
            raise TypeError(
                "scaled_dot_product_attention(): argument 'attn_mask' (position 4) must be Tensor, not "
                f"{type(attn_mask).__name__}"
            )
        if scale is not None and type(scale) is not float:
            scale = float(scale)
        if dropout_p == 0.0 and (attn_mask is None or attn_mask._node is None):
            shapes = (query._layout, key._layout, value._layout, None if attn_mask is None else attn_mask._layout,
                      is_causal, enable_gqa)  # fmt: skip
            fused = _fused.get(shapes)
            if fused is None:
                check_attention(query, key, value, attn_mask)
                if len(_fused) > 20000:
                    _fused.clear()
                fused = _fused[shapes] = fits(*shapes)
            if fused:
                return ops.attention(query, key, value, attn_mask, is_causal, scale, enable_gqa)[0]
        check_attention(query, key, value, attn_mask)
        require(
            attn_mask is None or not is_causal,
            "_scaled_dot_product_attention: Explicit attn_mask should not be set when is_causal=True",
        )
        require(
            0.0 <= dropout_p <= 1.0, f"dropout probability has to be between 0 and 1, but got {dropout_p}"
        )
        kind = query.dtype
        weights, value = weights_of(query, key, value, attn_mask, is_causal, scale, enable_gqa)
        if dropout_p > 0.0:
            weights = drop(weights, dropout_p, True, False)
        found = ops.matmul(weights, value)
        return found if found.dtype is kind else ops.to_copy(found, dtype=kind)


def fits(query, key, value, mask, is_causal, enable_gqa) -> bool:
    """Whether one program does these layouts: full batches, nothing empty, moderate heads."""
    if (
        query.dtype.code not in ("f32", "f64", "f16", "bf16")
        or min(x.numel for x in (query, key, value)) == 0
    ):
        return False
    if max(query.shape[-1], value.shape[-1]) > WIDEST or query.shape[-1] != key.shape[-1]:
        return False
    if key.shape[:-1] != value.shape[:-1]:
        return False
    heads, keys = tuple(query.shape[:-2]), tuple(key.shape[:-2])
    if enable_gqa and len(heads) == len(keys) > 0 and heads[-1] % keys[-1] == 0:
        heads, keys = heads[:-1], keys[:-1]
    if heads != keys:
        return False
    if mask is None:
        return True
    full = (*query.shape[:-1], key.shape[-2])
    return 2 <= mask.ndim <= len(full) and all(n in (1, m) for n, m in zip(mask.shape[::-1], full[::-1]))


def weights_of(query, key, value, attn_mask, is_causal, scale, enable_gqa):
    """The weights in differentiable operators (in float32 where elements have 16 bits), and the values to weigh."""
    if enable_gqa:
        heads = query.shape[-3]
        require(
            all(heads % max(t.shape[-3], 1) == 0 for t in (key, value)),
            "Number of heads in key and value must divide the number of heads in ",
            need=f"numbers that divide {heads}; got {key.shape[-3]} and {value.shape[-3]}",
        )
        key, value = (ops.repeat_interleave(t, heads // max(t.shape[-3], 1), -3) for t in (key, value))
    kind = query.dtype
    if kind.itemsize == 2:  # scores and weights in float32: rounding each of them loses digits
        query, key, value = (ops.to_copy(t, dtype=types.float32) for t in (query, key, value))
        if attn_mask is not None and attn_mask.dtype is kind:
            attn_mask = ops.to_copy(attn_mask, dtype=types.float32)
    length, source = query.shape[-2], key.shape[-2]
    factor = scale if scale is not None else 1.0 / max(query.shape[-1], 1) ** 0.5
    scores = ops.matmul(query * factor, ops.transpose(key, -2, -1))
    allowed = None
    if is_causal:
        allowed = causal_mask(length, source, query.device)
    if attn_mask is not None and attn_mask.dtype is types.bool_:
        allowed = attn_mask if allowed is None else ops.logical_and(allowed, attn_mask)
    elif attn_mask is not None:
        scores = scores + attn_mask
    if allowed is not None:
        scores = ops.where(allowed, scores, -float("inf"))
    weights = ops.softmax(scores, -1)
    if attn_mask is not None:  # a row that may look nowhere attends to nothing
        nowhere = ops.all(ops.eq(scores, -float("inf")), -1, True)
        weights = ops.where(nowhere, 0.0, weights)
    return weights, value


@op(
    "attention(Tensor query, Tensor key, Tensor value, Tensor? attn_mask, bool is_causal, float? scale, "
    "bool enable_gqa) -> (Tensor, Tensor)",
    function=False, method=False,
)  # fmt: skip
class Attention(Opaque):
    """Attention as one program; also gives the base-2 logarithm of each query's sum of ``2**score``."""

    algorithm = "attention.forward"
    nondifferentiable = (1,)

    def layouts(query, value):
        shape = (*query.shape[:-1], value.shape[-1])
        computed = types.float64 if query.dtype is types.float64 else types.float32
        return [rows_like(query, shape), contiguous_layout(query.shape[:-1], computed, query.device)]

    def d_all(g0, query, key, value, attn_mask, is_causal, scale, enable_gqa, result0, result1):
        if define.RECORDING[0]():
            return composed_gradients(g0, query, key, value, attn_mask, is_causal, scale, enable_gqa)
        found = ops.attention_backward(
            g0, query, key, value, attn_mask, result0, result1, is_causal, scale, enable_gqa
        )
        return (*found, None)


def rows_like(like, shape):
    """A layout whose rows lie in the order of those of `like`, so that heads go back where they came from."""
    order = stride_order(like.shape, like.strides)
    if len(shape) != 4 or order[-1] != 3 or tuple(shape) != tuple(like.shape):
        return contiguous_layout(shape, like.dtype, like.device)
    return layout(shape, strides_in_order(shape, order), like.dtype, like.device)


@op(
    "attention_backward(Tensor grad, Tensor query, Tensor key, Tensor value, Tensor? attn_mask, Tensor output, "
    "Tensor sums, bool is_causal, float? scale, bool enable_gqa) -> (Tensor, Tensor, Tensor)",
    function=False, method=False,
)  # fmt: skip
class AttentionBackward(Opaque):
    """Gradients of attention for query, key and value."""

    algorithm = "attention.backward"

    def layouts(query, key, value):
        return [rows_like(x, x.shape) for x in (query, key, value)]


def composed_gradients(g, query, key, value, attn_mask, is_causal, scale, enable_gqa) -> tuple:
    """The gradients in differentiable operators, for gradients of gradients."""
    kind = query.dtype
    weights, values = weights_of(query, key, value, attn_mask, is_causal, scale, enable_gqa)
    factor = scale if scale is not None else 1.0 / query.shape[-1] ** 0.5
    g = ops.to_copy(g, dtype=weights.dtype)
    slopes = ops.matmul(g, ops.transpose(values, -2, -1))
    slopes = weights * (slopes - ops.sum(slopes * weights, -1, True)) * factor
    keys = ops.to_copy(key, dtype=weights.dtype)
    if enable_gqa:
        keys = ops.repeat_interleave(keys, query.shape[-3] // key.shape[-3], -3)
    to_query = ops.matmul(slopes, keys)
    to_key = ops.matmul(ops.transpose(slopes, -2, -1), ops.to_copy(query, dtype=weights.dtype))
    to_value = ops.matmul(ops.transpose(weights, -2, -1), g)
    if enable_gqa:
        split = (*key.shape[:-2], query.shape[-3] // key.shape[-3])
        to_key, to_value = (ops.sum(ops.view(t, (*split, *t.shape[-2:])), -3) for t in (to_key, to_value))
    return (*(ops.to_copy(t, dtype=kind) for t in (to_query, to_key, to_value)), None)


def causal_mask(length: int, source: int, device):
    """True where a position may look: itself and what comes before."""
    rows = ops.unsqueeze(ops.arange(length, device=device), 1)
    return ops.le(ops.unsqueeze(ops.arange(source, device=device), 0), rows)


def check_attention(query, key, value, attn_mask) -> None:
    """Refuse types and dimensions that do not go together."""
    q, k, v = (long_name(x.dtype) for x in (query, key, value))
    require(query.dtype is key.dtype and query.dtype is value.dtype,
            f"Expected query, key, and value to have the same dtype, but got query.dtype: {q} key.dtype: {k} and "
            f"value.dtype: {v} instead.", need="one dtype for all three, as key.to(query.dtype) gives it")  # fmt: skip
    require(query.dim() >= 2 and key.dim() >= 2 and value.dim() >= 2,
            f"Expected query, key, and value to all be  at least 2 dimensional, but got query.dim: {query.dim()} "
            f"key.dim: {key.dim()} and value.dim: {value.dim()} instead.",
            need="shapes (*, H, L, E), (*, H, S, E) and (*, H, S, Ev)")  # fmt: skip
    require(query.dtype.kind >= 2, f"expected scalar type Float but found {types.type_name(query.dtype)}")
    if attn_mask is not None:
        require(attn_mask.dtype is types.bool_ or attn_mask.dtype is query.dtype or attn_mask.dtype is types.float32,
                "Expected attn_mask dtype to be bool or float or to match query dtype, but got attn_mask.dtype: "
                f"{long_name(attn_mask.dtype)} and  query.dtype: {q} instead.",
                need="bool (True takes part) or numbers that are added to the scores")  # fmt: skip
