"""Python's `multiprocessing`, with tensors that are not copied: other processes see the same memory.

Everything that `multiprocessing` has is here under its name. Tensors that go through its queues and pipes, or to a
process as arguments, are moved to shared memory.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

_OURS = {
    "reductions": "init_reductions",
    "spawn": (
        "ENV_VAR_PARALLEL_START ProcessContext ProcessException ProcessExitedException ProcessRaisedException "
        "SpawnContext spawn start_processes"
    ),
}
_all_sharing_strategies = (
    {"file_system"} if sys.platform in ("darwin", "win32") else {"file_descriptor", "file_system"}
)
_sharing_strategy = "file_system" if sys.platform in ("darwin", "win32") else "file_descriptor"


def set_sharing_strategy(new_strategy: str) -> None:
    """Choose among `get_all_sharing_strategies`. Both names mean nameless files handed on by descriptor."""
    global _sharing_strategy
    if new_strategy not in _all_sharing_strategies:
        raise AssertionError(
            f"invalid sharing strategy {new_strategy!r}, expected one of {_all_sharing_strategies}"
        )
    _sharing_strategy = new_strategy


def get_sharing_strategy() -> str:
    """The current strategy for sharing tensors."""
    return _sharing_strategy


def get_all_sharing_strategies() -> set[str]:
    """The strategies that this system has."""
    return _all_sharing_strategies


def _standard() -> Any:
    """Python's `multiprocessing`, which from then on knows how to share tensors."""
    import_module(f"{__name__}.reductions").init_reductions()
    return import_module("multiprocessing")


def __getattr__(name: str) -> Any:
    for module, names in _OURS.items():
        if name in names.split():
            _standard()
            loaded = import_module(f"{__name__}.{module}")
            globals().update((each, getattr(loaded, each)) for each in names.split())
            return globals()[name]
    if name == "__all__":
        ours = ["set_sharing_strategy", "get_sharing_strategy", "get_all_sharing_strategies"]
        return [*ours, *_standard().__all__]
    if name.startswith("__") or name == "reductions":
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    try:
        found = getattr(_standard(), name)
    except AttributeError:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'") from None
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    names = [name for names in _OURS.values() for name in names.split()]
    return sorted({*globals(), *names, *dir(_standard())})
