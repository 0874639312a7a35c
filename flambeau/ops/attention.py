"""Attention."""

from __future__ import annotations

from ..base import dtype as types
from ..base.errors import require
from .define import op, ops
from .kinds import Composite
from .random import drop


@op(
    "nn.functional.scaled_dot_product_attention(Tensor query, Tensor key, Tensor value, Tensor? attn_mask=None, "
    "float dropout_p=0.0, bool is_causal=False, *, float? scale=None, bool enable_gqa=False) -> Tensor",
    also="_C._nn.scaled_dot_product_attention",
)  # fmt: skip
class ScaledDotProductAttention(Composite):
    """``softmax(q k^T scale + mask) v`` (Vaswani et al. 2017).

    Shape: query ``(*, H, L, E)``, key ``(*, H, S, E)``, value ``(*, H, S, Ev)``; mask broadcasts to ``(*, H, L, S)``, bool
    (True takes part) or float (added). ``scale``: ``1 / sqrt(E)`` by default.
    """

    def body(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa):
        check_attention(query, key, value, attn_mask, is_causal)
        if enable_gqa:
            repeat = query.shape[-3] // key.shape[-3]
            require(
                query.shape[-3] % key.shape[-3] == 0,
                "Number of heads in key and value must divide the number of heads in query",
            )
            key, value = (ops.repeat_interleave(t, repeat, -3) for t in (key, value))
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
        elif attn_mask is not None and attn_mask.dtype is types.bool_:
            allowed = attn_mask
        elif attn_mask is not None:
            scores = scores + attn_mask
        if allowed is not None:
            scores = ops.where(allowed, scores, -float("inf"))
        weights = ops.softmax(scores, -1)
        if allowed is not None and not is_causal:  # a row that may look nowhere attends to nothing
            weights = ops.where(ops.any(allowed, -1, True), weights, 0.0)
        if dropout_p > 0.0:
            weights = drop(weights, dropout_p, True, False, weights.shape)
        found = ops.matmul(weights, value)
        return found if found.dtype is kind else ops.to_copy(found, dtype=kind)


def causal_mask(length: int, source: int, device):
    """True where a position may look: itself and what comes before."""
    rows = ops.unsqueeze(ops.arange(length, device=device), 1)
    return ops.le(ops.unsqueeze(ops.arange(source, device=device), 0), rows)


def check_attention(query, key, value, attn_mask, is_causal) -> None:
    require(query.dtype is key.dtype and query.dtype is value.dtype,
            f"Expected query, key, and value to have the same dtype, but got query.dtype: {query.dtype} key.dtype: "
            f"{key.dtype} and value.dtype: {value.dtype} instead.")  # fmt: skip
    require(query.dim() >= 2 and key.dim() >= 2 and value.dim() >= 2,
            "Expected query, key, and value to all be  at least 2 dimensional, but got query.dim: "
            f"{query.dim()}, key.dim: {key.dim()} and value.dim: {value.dim()} instead.")  # fmt: skip
    if attn_mask is not None:
        require(
            not is_causal,
            "_scaled_dot_product_attention: Explicit attn_mask should not be set when is_causal=True",
        )
        require(attn_mask.dtype is types.bool_ or attn_mask.dtype is query.dtype or attn_mask.dtype is types.float32,
                "Expected attn_mask dtype to be bool or float or to match query dtype, but got attn_mask.dtype: "
                f"{attn_mask.dtype} and  query.dtype: {query.dtype} instead.")  # fmt: skip
