"""Reductions that leave out masked elements: operators whose names start with ``masked.``, looked up when first used."""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    from .ops.define import public

    found = globals()[name] = public("masked", name)
    return found


def __dir__() -> list[str]:
    from .ops.define import names

    return names("masked")
