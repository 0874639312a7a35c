"""Automatic differentiation: `backward`, `grad`, functions with derivatives of your own, and the switches of recording."""

from __future__ import annotations

from ..tensor.function import Function
from ..tensor.grad_modes import (
    detect_anomaly,
    enable_grad,
    inference_mode,
    no_grad,
    set_detect_anomaly,
    set_grad_enabled,
)  # fmt: skip
from ..tensor.gradients import backward, grad
from . import anomaly_mode, function, functional, grad_mode, graph, variable
from .gradcheck import gradcheck, gradgradcheck
from .variable import Variable

__all__ = [
    "Function", "Variable", "anomaly_mode", "backward", "detect_anomaly", "enable_grad", "function", "functional", "grad",
    "grad_mode", "gradcheck", "gradgradcheck", "graph", "inference_mode", "no_grad", "set_detect_anomaly",
    "set_grad_enabled", "variable",
]  # fmt: skip


def __getattr__(name: str):
    """The profiler, which few programs load."""
    if name in ("profiler", "forward_ad"):
        from importlib import import_module

        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
