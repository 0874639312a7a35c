"""Weight normalisation by a hook: the older form of `parametrizations.weight_norm`."""

from __future__ import annotations

import warnings
from typing import Any

from flambeau.nn.modules.module import Module
from flambeau.nn.parameter import Parameter
from flambeau.tensor.tensor import Tensor

from ._by_hook import ComputedParameter
from .parametrizations import norm_except_dim

__all__ = ["WeightNorm", "remove_weight_norm", "weight_norm"]


class WeightNorm(ComputedParameter):
    """The hook that computes a weight from its length and direction before each call."""

    called = "weight_norm"

    def __init__(self, name: str, dim: int) -> None:
        self.name, self.dim = name, -1 if dim is None else dim

    def compute_weight(self, module: Module) -> Tensor:
        """``g v / |v|``."""
        direction = self._source(module, "v")
        return self._source(module, "g") / norm_except_dim(direction, self.dim) * direction

    @classmethod
    def apply(cls, module: Module, name: str, dim: int) -> WeightNorm:
        """Splits the weight and registers the hook."""
        cls._refuse_a_second(module, name)
        hook = cls(name, dim)
        whole = module._parameters.pop(name) if name in module._parameters else getattr(module, name)
        for suffix, part in (("g", norm_except_dim(whole, hook.dim)), ("v", whole)):
            module.register_parameter(f"{name}_{suffix}", Parameter(part.data))
        hook(module, None)
        module.register_forward_pre_hook(hook)
        return hook

    def remove(self, module: Module) -> None:
        """Makes the weight one parameter again."""
        whole = Parameter(self.compute_weight(module).data)
        for name in (self.name, f"{self.name}_g", f"{self.name}_v"):
            delattr(module, name)
        module.register_parameter(self.name, whole)

    def __call__(self, module: Module, inputs: Any) -> None:
        setattr(module, self.name, self.compute_weight(module))


def weight_norm(module: Module, name: str = "weight", dim: int = 0) -> Module:
    """Trains the length and the direction of each slice of a weight apart; see `parametrizations.weight_norm`."""
    warnings.warn(
        "`torch.nn.utils.weight_norm` is deprecated in favor of `torch.nn.utils.parametrizations.weight_norm`.",
        FutureWarning,
        stacklevel=2,
    )
    WeightNorm.apply(module, name, dim)
    return module


def remove_weight_norm(module: Module, name: str = "weight") -> Module:
    """Undoes `weight_norm`."""
    return WeightNorm.undo(module, name)
