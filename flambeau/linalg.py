"""Linear algebra: operators whose names start with ``linalg.``, looked up when first used."""

from __future__ import annotations

from typing import Any

from .base.errors import LinAlgError

__all__ = ["LinAlgError"]


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    from .ops.define import public

    found = globals()[name] = public("linalg", name)
    return found


def __dir__() -> list[str]:
    from .ops.define import names

    return sorted({*names("linalg"), "LinAlgError"})
