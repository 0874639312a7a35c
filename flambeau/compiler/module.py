"""A module whose forward is compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..nn import Module

__all__ = ["OptimizedModule"]


class OptimizedModule(Module):
    """What `compile(module)` gives: the module (as `_orig_mod`), called through compiled code.

    Parameters, hooks, `train()` and attributes are those of the module itself.
    """

    def __init__(self, module: Module, make: Callable[[Callable], Callable]):
        super().__init__()
        self._orig_mod = module
        object.__setattr__(self, "_make", make)
        object.__setattr__(self, "_compiled", make(module.__call__))
        object.__setattr__(self, "training", module.training)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self._compiled(*args, **kwargs)

    def explain(self, source: bool = False) -> Any:
        """What was recorded, fused and planned so far."""
        return self._compiled.explain(source)

    def train(self, mode: bool = True):
        self._orig_mod.train(mode)
        object.__setattr__(self, "training", mode)
        return self

    def __getattr__(self, name: str) -> Any:
        if name == "_orig_mod":
            return self._modules["_orig_mod"]
        return getattr(self._orig_mod, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "_orig_mod" or "_modules" not in self.__dict__ or "_orig_mod" not in self._modules:
            super().__setattr__(name, value)
        else:
            setattr(self._orig_mod, name, value)

    def __reduce__(self):
        return _compile_again, (self._orig_mod,)


def _compile_again(module: Module) -> Any:
    from .function import compile

    return compile(module)
