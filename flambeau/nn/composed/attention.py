"""Multi-head attention on projected queries, keys and values."""

from __future__ import annotations

from typing import Any

import flambeau
from flambeau.nn import functional as F
from flambeau.tensor.tensor import Tensor


def multi_head_attention_forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    training: bool = True,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None,
    static_k: Tensor | None = None,
    static_v: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Attention of `query` ``(L, N, E)`` over `key` and `value` ``(S, N, E)``; see `MultiheadAttention`.

    Masks that are boolean hide where they are True; others are added to the scores.

    Returns:
        The output ``(L, N, E)`` and, with `need_weights`, the weights ``(N, L, S)`` (of each head with
        ``average_attn_weights=False``: ``(N, num_heads, L, S)``). Unbatched inputs lack N throughout.

    Source: Vaswani et al., Attention Is All You Need, arXiv:1706.03762.
    """
    batched = _check_shapes(query, key, value, key_padding_mask, attn_mask, num_heads)
    if not batched:
        query, key, value = query.unsqueeze(1), key.unsqueeze(1), value.unsqueeze(1)
        if key_padding_mask is not None:
            key_padding_mask = key_padding_mask.unsqueeze(0)
    length, batch, width = query.shape
    head = _head_size(width, embed_dim_to_check, num_heads)
    key_padding_mask = _as_added(key_padding_mask, "key_padding_mask", attn_mask, "attn_mask", query.dtype)
    if is_causal and attn_mask is None:
        raise RuntimeError(
            "Need attn_mask if specifying the is_causal hint. You may use the Transformer module method "
            "`generate_square_subsequent_mask` to create this mask."
        )
    is_causal = is_causal and key_padding_mask is None and not need_weights
    if is_causal:
        attn_mask = None  # the operator's own causal mask does it
    if attn_mask is not None:
        attn_mask = _as_added(attn_mask, "attn_mask", None, "", query.dtype)
        attn_mask = _check_mask(attn_mask, length, key.shape[0], batch * num_heads)

    if use_separate_proj_weight:
        q, k, v = _project_apart(
            query, key, value, (q_proj_weight, k_proj_weight, v_proj_weight), in_proj_bias
        )
    else:
        _require(in_proj_weight is not None, "use_separate_proj_weight is False but in_proj_weight is None")
        q, k, v = _project_together(query, key, value, in_proj_weight, in_proj_bias)

    if bias_k is not None and bias_v is not None:
        _require(static_k is None, "bias cannot be added to static key.")
        _require(static_v is None, "bias cannot be added to static value.")
        k = flambeau.cat([k, bias_k.repeat(1, batch, 1)])
        v = flambeau.cat([v, bias_v.repeat(1, batch, 1)])
        attn_mask, key_padding_mask = _widen(attn_mask), _widen(key_padding_mask)
    q = _split_heads(q, batch * num_heads, head)
    k = (
        _split_heads(k, batch * num_heads, head)
        if static_k is None
        else _static(static_k, "k", batch, num_heads, head)
    )
    v = (
        _split_heads(v, batch * num_heads, head)
        if static_v is None
        else _static(static_v, "v", batch, num_heads, head)
    )
    if add_zero_attn:
        zeros = (batch * num_heads, 1, head)
        k = flambeau.cat([k, k.new_zeros(zeros)], dim=1)
        v = flambeau.cat([v, v.new_zeros(zeros)], dim=1)
        attn_mask, key_padding_mask = _widen(attn_mask), _widen(key_padding_mask)

    mask = _join_masks(attn_mask, key_padding_mask, batch, num_heads, k.shape[1])
    drop = dropout_p if training else 0.0
    if need_weights:
        output, weights = _explicit(q, k, v, mask, drop)
    else:
        output, weights = _fused(q, k, v, mask, drop, is_causal, batch, num_heads), None
    output = output.transpose(0, 1).reshape(length * batch, width)
    output = F.linear(output, out_proj_weight, out_proj_bias).view(length, batch, -1)
    if weights is not None:
        weights = weights.view(batch, num_heads, length, k.shape[1])
        if average_attn_weights:
            weights = weights.mean(dim=1)
    if not batched:
        output = output.squeeze(1)
        weights = None if weights is None else weights.squeeze(0)
    return output, weights


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise AssertionError(message)


def _check_shapes(query, key, value, key_padding_mask, attn_mask, num_heads: int) -> bool:
    """Checks the numbers of dimensions; returns whether the input has a batch dimension."""
    if query.dim() not in (2, 3):
        raise AssertionError(
            f"query should be unbatched 2D or batched 3D tensor but received {query.dim()}-D query tensor"
        )
    batched = query.dim() == 3
    kind = "batched (3-D)" if batched else "unbatched (2-D)"
    _require(
        key.dim() == query.dim() and value.dim() == query.dim(),
        f"For {kind} `query`, expected `key` and `value` to be {query.dim()}-D"
        f" but found {key.dim()}-D and {value.dim()}-D tensors respectively",
    )
    if key_padding_mask is not None:
        wanted = query.dim() - 1
        _require(
            key_padding_mask.dim() == wanted,
            f"For {kind} `query`, expected `key_padding_mask` to be `None` or {wanted}-D"
            f" but found {key_padding_mask.dim()}-D tensor instead",
        )
    if attn_mask is not None:
        _require(
            attn_mask.dim() in (2, 3),
            f"For {kind} `query`, expected `attn_mask` to be `None`, 2-D or 3-D"
            f" but found {attn_mask.dim()}-D tensor instead",
        )
        if not batched and attn_mask.dim() == 3:
            wanted_shape = (num_heads, query.shape[0], key.shape[0])
            _require(
                tuple(attn_mask.shape) == wanted_shape,
                f"Expected `attn_mask` shape to be {wanted_shape} but got {attn_mask.shape}",
            )
    return batched


def _head_size(width: int, expected: int, num_heads: int) -> int:
    _require(width == expected, f"was expecting embedding dimension of {expected}, but got {width}")
    head = width // num_heads
    _require(head * num_heads == width, f"embed_dim {width} not divisible by num_heads {num_heads}")
    return head


def _as_added(
    mask: Tensor | None, name: str, other: Tensor | None, other_name: str, dtype: Any
) -> Tensor | None:
    """A boolean mask as numbers to add: -inf where it hides."""
    if mask is None:
        return None
    floating = mask.is_floating_point()
    if mask.dtype != flambeau.bool and not floating:
        raise AssertionError(f"only bool and floating types of {name} are supported")
    if other is not None and other.dtype != mask.dtype:
        import warnings

        warnings.warn(
            f"Support for mismatched {name} and {other_name} is deprecated. Use same type for both instead.",
            stacklevel=4,
        )
    if floating:
        return mask
    return flambeau.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill_(mask, float("-inf"))


def _check_mask(mask: Tensor, length: int, source: int, heads: int) -> Tensor:
    wanted = (length, source) if mask.dim() == 2 else (heads, length, source)
    if tuple(mask.shape) != wanted:
        kind = "2D" if mask.dim() == 2 else "3D"
        raise RuntimeError(f"The shape of the {kind} attn_mask is {mask.shape}, but should be {wanted}.")
    return mask.unsqueeze(0) if mask.dim() == 2 else mask


def _project_together(q: Tensor, k: Tensor, v: Tensor, weight: Tensor, bias: Tensor | None):
    """Queries, keys and values from one stacked weight ``(3 E, E)``; one product where the inputs are one."""
    width = q.shape[-1]
    if k is v:
        if q is k:
            return F.linear(q, weight, bias).chunk(3, dim=-1)
        query_weight, rest_weight = weight.split([width, width * 2])
        query_bias, rest_bias = (None, None) if bias is None else bias.split([width, width * 2])
        return (F.linear(q, query_weight, query_bias), *F.linear(k, rest_weight, rest_bias).chunk(2, dim=-1))
    biases = (None, None, None) if bias is None else bias.chunk(3)
    return tuple(F.linear(x, w, b) for x, w, b in zip((q, k, v), weight.chunk(3), biases))


def _project_apart(q: Tensor, k: Tensor, v: Tensor, weights: tuple, bias: Tensor | None):
    """Queries, keys and values from three weights (keys and values may have sizes of their own)."""
    for name, weight in zip("qkv", weights):
        _require(weight is not None, f"use_separate_proj_weight is True but {name}_proj_weight is None")
    _require(k.shape[:2] == v.shape[:2],
             f"key's sequence and batch dims {k.shape[:2]} do not match value's {v.shape[:2]}")  # fmt: skip
    biases = (None, None, None) if bias is None else bias.chunk(3)
    return tuple(F.linear(x, w, b) for x, w, b in zip((q, k, v), weights, biases))


def _widen(mask: Tensor | None) -> Tensor | None:
    """The mask with one more position, which is never hidden."""
    return None if mask is None else F.pad(mask, (0, 1))


def _split_heads(x: Tensor, heads: int, size: int) -> Tensor:
    return x.reshape(x.shape[0], heads, size).transpose(0, 1)  # (length, N E) -> (N heads, length, size)


def _static(x: Tensor, name: str, batch: int, num_heads: int, head: int) -> Tensor:
    _require(
        x.size(0) == batch * num_heads,
        f"expecting static_{name}.size(0) of {batch * num_heads}, but got {x.size(0)}",
    )
    _require(x.size(2) == head, f"expecting static_{name}.size(2) of {head}, but got {x.size(2)}")
    return x


def _join_masks(attn_mask, padding, batch: int, num_heads: int, source: int) -> Tensor | None:
    """One mask of scores from the attention mask and the padding of each sequence."""
    if padding is None:
        return attn_mask
    for at, wanted in enumerate((batch, source)):
        _require(
            padding.shape[at] == wanted,
            f"Expected key_padded_mask.shape[{at}] to be {wanted}, but got {padding.shape[at]}",
        )
    padding = padding.view(batch, 1, 1, source).expand(-1, num_heads, -1, -1)
    padding = padding.reshape(batch * num_heads, 1, source)
    return padding if attn_mask is None else attn_mask + padding


def _explicit(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, drop: float) -> tuple[Tensor, Tensor]:
    """Attention with its weights as a tensor of their own."""
    q = q * (1.0 / q.shape[-1]) ** 0.5
    keys = k.transpose(-2, -1)
    scores = flambeau.bmm(q, keys) if mask is None else flambeau.baddbmm(mask, q, keys)
    weights = F.softmax(scores, dim=-1)
    if drop > 0.0:
        weights = F.dropout(weights, p=drop)
    return flambeau.bmm(weights, v), weights


def _fused(q, k, v, mask, drop: float, is_causal: bool, batch: int, num_heads: int) -> Tensor:
    """Attention in one operator, without its weights in memory."""
    shape = (batch, num_heads, -1, q.shape[-1])
    if mask is not None:
        if mask.size(0) == 1 and mask.dim() == 3:
            mask = mask.unsqueeze(0)
        else:
            mask = mask.view(batch, num_heads, -1, k.shape[1])
    output = F.scaled_dot_product_attention(
        q.view(shape), k.view(shape), v.view(shape), mask, drop, is_causal
    )
    return output.reshape(batch * num_heads, -1, q.shape[-1])
