"""Attention whose scores a function changes, and whose mask is a function of positions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import flambeau
from flambeau.tensor.tensor import Tensor

__all__ = [
    "AuxOutput",
    "AuxRequest",
    "BlockMask",
    "and_masks",
    "create_block_mask",
    "create_mask",
    "flex_attention",
    "noop_mask",
    "or_masks",
]

_DEFAULT_SPARSE_BLOCK_SIZE = 128


class AuxRequest(NamedTuple):
    """What `flex_attention` should give beside its result: the log of the sums, the largest scores."""

    lse: bool = False
    max_scores: bool = False


class AuxOutput(NamedTuple):
    """What `AuxRequest` asked for."""

    lse: Tensor | None = None
    max_scores: Tensor | None = None


def noop_mask(batch: Tensor, head: Tensor, token_q: Tensor, token_kv: Tensor) -> Tensor:
    """Every position sees every other."""
    return flambeau.ones((), dtype=flambeau.bool)


def and_masks(*mask_mods: Callable) -> Callable:
    """The mask of positions that all masks let through."""

    def together(*at: Any) -> Any:
        found = flambeau.ones((), dtype=flambeau.bool)
        for mask in mask_mods:
            found = found & mask(*at)
        return found

    return together


def or_masks(*mask_mods: Callable) -> Callable:
    """The mask of positions that any mask lets through."""

    def together(*at: Any) -> Any:
        found = flambeau.zeros((), dtype=flambeau.bool)
        for mask in mask_mods:
            found = found | mask(*at)
        return found

    return together


def _positions(batch: int, heads: int, queries: int, keys: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Indices that broadcast against scores (batch, head, query, key)."""
    sizes = (batch, heads, queries, keys)
    return tuple(  # type: ignore[return-value]
        flambeau.arange(n).view([n if d == k else 1 for d in range(4)]) for k, n in enumerate(sizes)
    )


class BlockMask:
    """A mask as a function of positions, with the sizes that it is for."""

    def __init__(self, mask_mod: Callable, shape: tuple[int, int, int, int], block_size: Any):
        self.mask_mod, self.shape, self.BLOCK_SIZE = mask_mod, shape, block_size
        self.seq_lengths = shape[2:]

    def to_dense(self) -> Tensor:
        """The mask with a place for each query and key."""
        return create_mask(self.mask_mod, *self.shape)


def create_mask(
    mod_fn: Callable, B: int | None, H: int | None, Q_LEN: int, KV_LEN: int, device: Any = "cpu"
) -> Tensor:
    """The mask of a function: True where a query sees a key.

    Shape: ``(B, H, Q_LEN, KV_LEN)``.
    """
    sizes = (B or 1, H or 1, Q_LEN, KV_LEN)
    return mod_fn(*_positions(*sizes)).expand(sizes)


def create_block_mask(
    mask_mod: Callable, B: int | None, H: int | None, Q_LEN: int, KV_LEN: int, device: Any = None,
    BLOCK_SIZE: Any = _DEFAULT_SPARSE_BLOCK_SIZE, _compile: bool = False,
) -> BlockMask:  # fmt: skip
    """A mask for `flex_attention`."""
    return BlockMask(mask_mod, (B or 1, H or 1, Q_LEN, KV_LEN), BLOCK_SIZE)


def flex_attention(
    query: Tensor, key: Tensor, value: Tensor, score_mod: Callable | None = None, block_mask: BlockMask | None = None,
    scale: float | None = None, enable_gqa: bool = False, return_lse: bool = False, kernel_options: dict | None = None, *,
    return_aux: AuxRequest | None = None,
) -> Any:  # fmt: skip
    """Attention with ``score_mod(score, batch, head, query, key)`` in place of the scores.

    The functions are called once, with tensors of positions that broadcast.

    Shape: ``(B, H, L, E), (B, H, S, E), (B, H, S, V) -> (B, H, L, V)``.
    """
    if enable_gqa:
        groups = query.shape[1] // key.shape[1]
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    factor = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    scores = (query @ key.transpose(-2, -1)) * factor
    at = _positions(*scores.shape)
    if score_mod is not None:
        scores = score_mod(scores, *at)
    if block_mask is not None:
        scores = scores.masked_fill(~block_mask.mask_mod(*at), -math.inf)
    weights = scores.softmax(-1).nan_to_num(0.0)  # a query that sees nothing gives zeros
    result = weights.to(value.dtype) @ value
    if return_aux is not None:
        largest = scores.amax(-1) if return_aux.max_scores else None
        return result, AuxOutput(scores.logsumexp(-1) if return_aux.lse else None, largest)
    return (result, scores.logsumexp(-1)) if return_lse else result
