"""C++ extensions, which Flambeau does not have: an operator is Python that becomes native code."""

from __future__ import annotations

from typing import Any, NoReturn

__all__ = ["BuildExtension", "CUDAExtension", "CUDA_HOME", "CppExtension", "load", "load_inline"]

CUDA_HOME: str | None = None
ROCM_HOME: str | None = None


def _unsupported(name: str) -> NoReturn:
    raise NotImplementedError(
        f"torch.utils.cpp_extension.{name}: extensions in C++ are compiled against PyTorch, which is not here\n"
        "  fix     write the operator in tensor operations, or as a torch.autograd.Function"
    )


def load(name: str, *arguments: Any, **keywords: Any) -> NoReturn:
    """Not supported."""
    _unsupported("load")


def load_inline(name: str, *arguments: Any, **keywords: Any) -> NoReturn:
    """Not supported."""
    _unsupported("load_inline")


def CppExtension(name: str, *arguments: Any, **keywords: Any) -> NoReturn:
    """Not supported."""
    _unsupported("CppExtension")


def CUDAExtension(name: str, *arguments: Any, **keywords: Any) -> NoReturn:
    """Not supported."""
    _unsupported("CUDAExtension")


class BuildExtension:
    """Not supported."""

    def __init__(self, *arguments: Any, **keywords: Any):
        _unsupported("BuildExtension")
