"""The names of `torch.onnx` that libraries touch when they are imported; export is not in this version."""

from __future__ import annotations

from typing import Any, NoReturn

from . import symbolic_helper, symbolic_opset11

__all__ = ["export", "is_in_onnx_export", "register_custom_op_symbolic", "symbolic_helper", "symbolic_opset11",
           "unregister_custom_op_symbolic"]  # fmt: skip


def export(*arguments: Any, **keywords: Any) -> NoReturn:
    """Not in this version."""
    raise NotImplementedError(
        "torch.onnx.export is not in this version of Flambeau\n"
        "  fix     save the state_dict, load it into the same model under PyTorch, and export there"
    )


def is_in_onnx_export() -> bool:
    """Whether a model is being exported."""
    return False


def register_custom_op_symbolic(
    symbolic_name: str, symbolic_fn: Any, opset_version: int, custom_opsets: Any = None
) -> None:
    """Say how an operator is written in ONNX (nothing reads it: there is no export)."""


def unregister_custom_op_symbolic(symbolic_name: str, opset_version: int) -> None:
    """Forget how an operator is written in ONNX."""
