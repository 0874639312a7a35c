"""Forward mode under `torch.autograd.forward_ad`'s names: not in this version; no tensor carries a tangent."""

from __future__ import annotations

from typing import Any, NamedTuple, NoReturn

from ..tensor.tensor import Tensor

__all__ = [
    "UnpackedDualTensor",
    "dual_level",
    "enter_dual_level",
    "exit_dual_level",
    "make_dual",
    "unpack_dual",
]


class UnpackedDualTensor(NamedTuple):
    """A tensor and its tangent."""

    primal: Tensor
    tangent: Tensor | None


def _missing() -> NoReturn:
    raise NotImplementedError(
        "forward-mode differentiation is not in this version of Flambeau\n  fix     torch.autograd.functional.jvp"
    )


def enter_dual_level() -> int:
    """Begin forward mode."""
    _missing()


def exit_dual_level(*, level: Any = None) -> None:
    """End forward mode."""
    _missing()


class dual_level:
    """Within it, tensors may carry tangents: not in this version."""

    def __enter__(self) -> int:
        return enter_dual_level()

    def __exit__(self, *exc: Any) -> None:
        exit_dual_level()


def make_dual(tensor: Tensor, tangent: Tensor, *, level: Any = None) -> Tensor:
    """A tensor with a tangent: not in this version."""
    _missing()


def unpack_dual(tensor: Tensor, *, level: Any = None) -> UnpackedDualTensor:
    """A tensor and its tangent, of which there is none."""
    return UnpackedDualTensor(tensor, None)
