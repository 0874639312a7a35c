"""Marks in a model where PyTorch would change between floats and small integers. Here they let everything through."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from ...nn import Module

__all__ = ["DeQuantStub", "QuantStub", "QuantWrapper", "convert", "fuse_modules", "fuse_modules_qat", "prepare", "prepare_qat",
           "quantize_dynamic"]  # fmt: skip


class QuantStub(Module):
    """Where floats would become small integers: gives its input."""

    def __init__(self, qconfig: Any = None):
        super().__init__()
        if qconfig is not None:
            self.qconfig = qconfig

    def forward(self, x: Any) -> Any:
        """The input."""
        return x


class DeQuantStub(QuantStub):
    """Where small integers would become floats: gives its input."""


class QuantWrapper(Module):
    """A module between the two marks."""

    def __init__(self, module: Module):
        super().__init__()
        self.quant, self.dequant, self.module = QuantStub(), DeQuantStub(), module
        self.train(module.training)

    def forward(self, X: Any) -> Any:
        """Call the module."""
        return self.dequant(self.module(self.quant(X)))


def _unsupported(name: str) -> Callable[..., Any]:
    def refuse(*arguments: Any, **keywords: Any) -> NoReturn:
        raise NotImplementedError(
            f"torch.ao.quantization.{name}: quantized models are not supported\n  fix     use bfloat16: model.to(torch.bfloat16)"
        )

    refuse.__name__ = refuse.__qualname__ = name
    refuse.__doc__ = "Not supported: there are no quantized models."
    return refuse


convert, fuse_modules, fuse_modules_qat = map(_unsupported, ("convert", "fuse_modules", "fuse_modules_qat"))
prepare, prepare_qat, quantize_dynamic = map(_unsupported, ("prepare", "prepare_qat", "quantize_dynamic"))
