"""What the distributions share: parameters of one shape, probabilities and logits, values made on first use."""

from __future__ import annotations

from collections.abc import Callable
from functools import update_wrapper
from numbers import Number
from operator import attrgetter
from typing import Any

import flambeau
from flambeau.tensor.tensor import Tensor

euler_constant = 0.57721566490153286060

__all__ = [
    "broadcast_all",
    "clamp_probs",
    "euler_constant",
    "lazy_property",
    "logits_to_probs",
    "probs_to_logits",
    "tril_matrix_to_vec",
    "vec_to_tril_matrix",
]


def broadcast_all(*values: Any) -> tuple[Tensor, ...]:
    """Numbers and tensors as tensors of one shape; a number takes the type of the first tensor.

    Raises: ValueError for anything else.
    """
    tensors = [v for v in values if isinstance(v, Tensor)]
    if not all(isinstance(v, (Tensor, Number)) for v in values):
        raise ValueError(
            "Input arguments must all be instances of Number, torch.Tensor or objects implementing "
            "__torch_function__."
        )
    if len(tensors) < len(values):
        like = tensors[0] if tensors else None
        dtype = like.dtype if like is not None else flambeau.get_default_dtype()
        device = like.device if like is not None else None
        values = tuple(
            v if isinstance(v, Tensor) else flambeau.tensor(v, dtype=dtype, device=device) for v in values
        )
    return tuple(flambeau.broadcast_tensors(*values))


def _standard_normal(shape, dtype, device) -> Tensor:
    return flambeau.normal(
        flambeau.zeros(shape, dtype=dtype, device=device), flambeau.ones(shape, dtype=dtype, device=device)
    )


def _sum_rightmost(value: Tensor, dims: int) -> Tensor:
    """The sum over so many of the last dimensions."""
    return value if dims == 0 else value.flatten(-dims).sum(-1) if value.dim() >= dims else value.sum()


def where(condition: Any, x: Any, y: Any) -> Tensor:
    """Elements of `x` where the condition holds, of `y` elsewhere."""
    return flambeau.where(condition, x, y)  # type: ignore[return-value]


def eps_of(x: Tensor) -> float:
    """The distance from 1 to the next number of a tensor's type."""
    return flambeau.finfo(x.dtype).eps


def tiny_of(x: Tensor) -> float:
    """The smallest normal number of a tensor's type."""
    return flambeau.finfo(x.dtype).tiny


def clamp_probs(probs: Tensor) -> Tensor:
    """Probabilities kept off 0 and 1 by the type's precision, so that their logarithms are finite."""
    eps = eps_of(probs)
    return probs.clamp(min=eps, max=1 - eps)


def logits_to_probs(logits: Tensor, is_binary: bool = False) -> Tensor:
    """Probabilities of logits: the logistic function, or the softmax of the last dimension."""
    return logits.sigmoid() if is_binary else logits.softmax(-1)


def probs_to_logits(probs: Tensor, is_binary: bool = False) -> Tensor:
    """Logits of probabilities: log odds, or logarithms."""
    kept = clamp_probs(probs)
    return kept.log() - (-kept).log1p() if is_binary else kept.log()


class lazy_property:
    """A property that is computed on first use and then is a plain attribute.

    It is computed with gradients on, so that a first use while sampling does not cut the graph.
    """

    def __init__(self, wrapped: Callable[[Any], Any]):
        self.wrapped = wrapped
        update_wrapper(self, wrapped)

    def __get__(self, instance, owner=None) -> Any:
        if instance is None:
            return self
        with flambeau.enable_grad():
            value = self.wrapped(instance)
        instance.__dict__[self.wrapped.__name__] = value
        return value


def held(path: str, doc: str) -> Any:
    """A property that gives an attribute of what an instance holds."""
    return property(attrgetter(path), doc=doc)


def tril_matrix_to_vec(mat: Tensor, diag: int = 0) -> Tensor:
    """The lower triangle of square matrices, row by row, up to the diagonal `diag`.

    Shape: ``(*, n, n) -> (*, k)``.
    """
    n = mat.shape[-1]
    if not (-n <= diag < n):
        raise ValueError(f"diag ({diag}) provided is outside [{-n}, {n - 1}].")
    row, column = flambeau.tril_indices(n, n, offset=diag, device=mat.device)
    return mat[..., row, column]


def vec_to_tril_matrix(vec: Tensor, diag: int = 0) -> Tensor:
    """Square matrices whose lower triangle, up to the diagonal `diag`, is read row by row from the last dimension.

    Shape: ``(*, k) -> (*, n, n)``.
    """
    size = vec.shape[-1]
    n = round((-(1 + 2 * diag) + ((1 + 2 * diag) ** 2 + 8 * size + 4 * abs(diag) * (diag + 1)) ** 0.5) / 2)
    if not (-n <= diag < n):
        raise ValueError(f"diag ({diag}) provided is outside [{-n}, {n - 1}].")
    row, column = flambeau.tril_indices(n, n, offset=diag, device=vec.device)
    if row.shape[0] != size:
        raise ValueError(
            f"The size of last dimension is {size} which cannot be expressed as the lower triangular part of a square "
            "D x D matrix."
        )
    made = vec.new_zeros(vec.shape[:-1] + (n, n))
    made[..., row, column] = vec
    return made
