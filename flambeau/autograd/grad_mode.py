"""The switches of gradient recording, under PyTorch's module name."""

from __future__ import annotations

from ..tensor.grad_modes import enable_grad, inference_mode, no_grad, set_grad_enabled

__all__ = ["enable_grad", "inference_mode", "no_grad", "set_grad_enabled"]
