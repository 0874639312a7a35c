"""Window functions: operators whose names start with ``signal.windows.``, looked up when first used."""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    from ..ops.define import public

    found = globals()[name] = public("signal.windows", name)
    return found


def __dir__() -> list[str]:
    from ..ops.define import names

    return names("signal.windows")
