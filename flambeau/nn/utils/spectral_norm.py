"""Spectral normalisation by a hook: the older form of `parametrizations.spectral_norm`."""

from __future__ import annotations

from typing import Any

import flambeau
from flambeau.nn import functional as F
from flambeau.nn.modules.module import Module
from flambeau.nn.parameter import Parameter
from flambeau.tensor.tensor import Tensor

from ._by_hook import ComputedParameter

__all__ = ["SpectralNorm", "remove_spectral_norm", "spectral_norm"]


class SpectralNorm(ComputedParameter):
    """The hook that divides a weight by its greatest singular value before each call."""

    called = "spectral_norm"
    _version: int = 1

    def __init__(
        self, name: str = "weight", n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12
    ) -> None:
        if n_power_iterations <= 0:
            raise ValueError(
                f"Expected n_power_iterations to be positive, but got n_power_iterations={n_power_iterations}"
            )
        self.name, self.dim, self.eps = name, dim, eps
        self.n_power_iterations = n_power_iterations

    def reshape_weight_to_matrix(self, weight: Tensor) -> Tensor:
        """The weight with its outputs as rows."""
        return weight.movedim(self.dim, 0).flatten(1) if weight.dim() > 1 else weight.unsqueeze(1)

    def _unit(self, vector: Tensor) -> Tensor:
        return F.normalize(vector, dim=0, eps=self.eps)

    def compute_weight(self, module: Module, do_power_iteration: bool) -> Tensor:
        """The normalised weight; iterates first where asked."""
        weight, left, right = (self._source(module, suffix) for suffix in ("orig", "u", "v"))
        matrix = self.reshape_weight_to_matrix(weight)
        if do_power_iteration:
            with flambeau.no_grad():
                for _ in range(self.n_power_iterations):
                    right.copy_(self._unit(matrix.mT @ left))
                    left.copy_(self._unit(matrix @ right))
                left, right = left.clone(), right.clone()  # the next call changes them
        return weight / (left @ (matrix @ right))

    def remove(self, module: Module) -> None:
        """Makes the weight an ordinary parameter again."""
        with flambeau.no_grad():
            final = self.compute_weight(module, False)
        for suffix in ("", "_u", "_v", "_orig"):
            delattr(module, self.name + suffix)
        module.register_parameter(self.name, Parameter(final.detach()))

    def __call__(self, module: Module, inputs: Any) -> None:
        setattr(module, self.name, self.compute_weight(module, module.training))

    @classmethod
    def apply(cls, module: Module, name: str, n_power_iterations: int, dim: int, eps: float) -> SpectralNorm:
        """Registers the hook and what it needs."""
        cls._refuse_a_second(module, name)
        hook = cls(name, n_power_iterations, dim, eps)
        weight = module._parameters[name]
        if weight is None:
            raise ValueError(f"`SpectralNorm` cannot be applied as parameter `{name}` is None")
        with flambeau.no_grad():
            sizes = hook.reshape_weight_to_matrix(weight).size()
            start = [hook._unit(weight.new_empty(size).normal_()) for size in sizes]
        delattr(module, name)
        module.register_parameter(f"{name}_orig", weight)
        setattr(module, name, weight.data)
        for suffix, vector in zip("uv", start):
            module.register_buffer(f"{name}_{suffix}", vector)
        module.register_forward_pre_hook(hook)
        return hook


def spectral_norm(
    module: Module,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> Module:
    """Keeps the greatest singular value of a weight at 1; see `parametrizations.spectral_norm`."""
    outputs = int(getattr(module, "transposed", False)) if dim is None else dim
    SpectralNorm.apply(module, name, n_power_iterations, outputs, eps)
    return module


def remove_spectral_norm(module: Module, name: str = "weight") -> Module:
    """Undoes `spectral_norm`."""
    return SpectralNorm.undo(module, name)
