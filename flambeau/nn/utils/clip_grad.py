"""Limiting gradients by their norm or their value."""

from __future__ import annotations

import warnings
from collections.abc import Iterable

import flambeau
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


def clip_grads_with_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, total_norm: Tensor, foreach: bool | None = None
) -> None:
    """Scales the gradients of `parameters` by ``max_norm / total_norm`` where that is below 1."""
    gradients = [p.grad for p in _as_list(parameters) if p.grad is not None]
    if not gradients:
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
