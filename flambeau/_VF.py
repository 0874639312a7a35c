"""Functions of the top name space under the name that PyTorch's own modules use for them."""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    import flambeau

    return getattr(flambeau, name)
