"""Functions of neural networks under the name of PyTorch's compiled module."""

from __future__ import annotations

from typing import Any

from ..nn.modules.convert import _parse_to

__all__ = ["_parse_to"]


def __getattr__(name: str) -> Any:
    from ..nn import functional

    return getattr(functional, name)
