"""Limiting gradients by their norm or their value."""

from __future__ import annotations

import warnings
from collections.abc import Iterable

import flambeau
from flambeau.ops.define import OPERATORS, function_of
from flambeau.tensor.tensor import Tensor

__all__ = ["clip_grad_norm", "clip_grad_norm_", "clip_grad_value_", "clip_grads_with_norm_", "get_total_norm"]


def _as_list(tensors: Tensor | Iterable[Tensor]) -> list[Tensor]:
    return [tensors] if isinstance(tensors, Tensor) else list(tensors)


def get_total_norm(
    tensors: Tensor | Iterable[Tensor],
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """The norm of all tensors together, as if they were one vector.

    Args:
        norm_type: the p of the norm; may be ``inf``.
        error_if_nonfinite: raise where the norm is infinite or not a number.
        foreach: accepted for PyTorch programs.
    """
    tensors = _as_list(tensors)
    norm_type = float(norm_type)
    if not tensors:
        return flambeau.tensor(0.0)
    total = _native_norm(tensors, norm_type)
    if total is None:
        device = tensors[0].device
        norms = [flambeau.norm(tensor, norm_type).to(device) for tensor in tensors]
        total = flambeau.norm(flambeau.stack(norms), norm_type)
    if error_if_nonfinite and bool(flambeau.logical_or(total.isnan(), total.isinf())):
        raise RuntimeError(
            f"The total norm of order {norm_type} for gradients from `parameters` is non-finite, so it "
            "cannot be "
            "clipped. To disable this error and scale the gradients by the non-finite norm anyway, set "
            "`error_if_nonfinite=False`"
        )
    return total


def _one_call(tensors: list[Tensor]) -> bool:
    """Whether one native call can treat the elements of all tensors: one float dtype on the CPU, no gaps, no graph."""
    dtype = tensors[0]._layout.dtype
    return dtype.is_floating_point and all(
        type(t) is Tensor
        and t._layout.dtype is dtype
        and t._layout.dense
        and t._layout.device.type == "cpu"
        and t._node is None
        for t in tensors
    )


def _native_norm(tensors: list[Tensor], norm_type: float) -> Tensor | None:
    """The norm in one call; None where it takes operators."""
    if norm_type not in (1.0, 2.0, float("inf")) or not _one_call(tensors):
        return None
    if norm_type == float("inf") and any(t._layout.numel == 0 for t in tensors):
        return None  # has no largest element: the operator says so
    return function_of(OPERATORS["gradients.norm"])(tensors, norm_type)


def clip_grads_with_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, total_norm: Tensor, foreach: bool | None = None
) -> None:
    """Scales the gradients of `parameters` by ``max_norm / total_norm`` where that is below 1."""
    gradients = [p.grad for p in _as_list(parameters) if p.grad is not None]
    if not gradients:
        return
    if _one_call(gradients) and total_norm.numel() == 1 and _one_call([total_norm]):
        function_of(OPERATORS["gradients.clip_"])(gradients, total_norm, float(max_norm))
        return
    # Clamped instead of compared: asking for the value would wait for the device.
    factor = flambeau.clamp(float(max_norm) / (total_norm + 1e-6), max=1.0)
    with flambeau.no_grad():
        for gradient in gradients:
            gradient.mul_(factor.to(gradient.device))


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scales the gradients of `parameters` so that their norm together is at most `max_norm`.

    Returns:
        The norm before.

    Example::

        >>> p = flambeau.nn.Parameter(flambeau.zeros(2))
        >>> p.grad = flambeau.tensor([3.0, 4.0])
        >>> flambeau.nn.utils.clip_grad_norm_(p, 1.0)
        tensor(5.)
    """
    parameters = _as_list(parameters)
    with flambeau.no_grad():
        gradients = [p.grad for p in parameters if p.grad is not None]
        total = get_total_norm(gradients, norm_type, error_if_nonfinite, foreach)
        clip_grads_with_norm_(parameters, max_norm, total, foreach)
    return total


def clip_grad_norm(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """The deprecated name of `clip_grad_norm_`."""
    warnings.warn(
        "torch.nn.utils.clip_grad_norm is now deprecated in favor of torch.nn.utils.clip_grad_norm_.",
        FutureWarning,
        stacklevel=2,
    )
    return clip_grad_norm_(parameters, max_norm, norm_type, error_if_nonfinite, foreach)


def clip_grad_value_(
    parameters: Tensor | Iterable[Tensor], clip_value: float, foreach: bool | None = None
) -> None:
    """Limits every element of the gradients of `parameters` to ``±clip_value``."""
    limit = float(clip_value)
    with flambeau.no_grad():
        for parameter in _as_list(parameters):
            if parameter.grad is not None:
                parameter.grad.clamp_(min=-limit, max=limit)
