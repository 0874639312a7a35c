"""Causal masks for queries and keys of different lengths, as tensors that know what they are."""

from __future__ import annotations

from enum import IntEnum, auto
from typing import Any

import flambeau
from flambeau.tensor.tensor import Tensor

__all__ = ["CausalBias", "CausalVariant", "causal_lower_right", "causal_upper_left"]


class CausalVariant(IntEnum):
    """Which corner of the scores the diagonal of a causal mask starts from."""

    UPPER_LEFT = auto()
    LOWER_RIGHT = auto()


class CausalBias(Tensor):
    """A causal mask for `scaled_dot_product_attention`: True where a key may be seen.

    With the diagonal from the upper left, query ``i`` sees keys ``0 ... i``; from the lower right, the last query sees
    all keys.
    """

    variant: CausalVariant
    seq_len_q: int
    seq_len_kv: int

    def __new__(cls, variant: CausalVariant, seq_len_q: int, seq_len_kv: int):
        if not isinstance(variant, CausalVariant):
            raise AssertionError(f"variant must be a CausalVariant, got {type(variant)}")
        return _mask(variant, seq_len_q, seq_len_kv).as_subclass(cls)

    def __init__(self, variant: CausalVariant, seq_len_q: int, seq_len_kv: int) -> None:
        self.variant, self.seq_len_q, self.seq_len_kv = variant, seq_len_q, seq_len_kv
        if seq_len_q > seq_len_kv and variant == CausalVariant.LOWER_RIGHT:
            import warnings

            warnings.warn(
                "Lower right causal bias will produce NaNs in the output when seq_len_q > seq_len_kv!",
                stacklevel=2,
            )

    def _materialize(self, device: Any = None) -> Tensor:
        """The mask as a plain tensor."""
        return _mask(self.variant, self.seq_len_q, self.seq_len_kv, device)

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = {} if kwargs is None else kwargs

        def plain(x: Any) -> Any:
            return x._materialize() if isinstance(x, CausalBias) and hasattr(x, "variant") else x

        with flambeau._C.DisableTorchFunctionSubclass():
            return func(*map(plain, args), **{name: plain(x) for name, x in kwargs.items()})

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        return repr(self._materialize())


def _mask(variant: CausalVariant, queries: int, keys: int, device: Any = None) -> Tensor:
    shift = keys - queries if variant == CausalVariant.LOWER_RIGHT else 0
    return flambeau.ones(queries, keys, device=device, dtype=flambeau.bool).tril(diagonal=shift)


def _of_two(variant: CausalVariant, name: str, size: tuple[int, ...]) -> CausalBias:
    if len(size) != 2:
        raise AssertionError(f"{name} only supports 2D tensors")
    return CausalBias(variant, *size)


def causal_upper_left(*size: int) -> CausalBias:
    """A causal mask of ``(queries, keys)`` whose diagonal starts at the first query and the first key."""
    return _of_two(CausalVariant.UPPER_LEFT, "causal_upper_left", size)


def causal_lower_right(*size: int) -> CausalBias:
    """A causal mask of ``(queries, keys)`` whose diagonal ends at the last query and the last key."""
    return _of_two(CausalVariant.LOWER_RIGHT, "causal_lower_right", size)
