"""Processes that `multiprocessing` starts afresh (spawn, forkserver) get compatibility before they import the program.

A new process first unpickles what its parent prepared, and then imports the program's main file. One more entry among
those data, whose unpickling runs `child.py`, comes in time.
"""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

__all__ = ["start_children_compatible", "start_children_plain"]

_original: list = []


class _Installer:
    """Unpickled in a new process, installs compatibility there. Needs no import of Flambeau to be unpickled."""

    def __reduce__(self) -> tuple:
        return runpy.run_path, (str(Path(__file__).with_name("child.py")),)


def start_children_compatible() -> None:
    """From now on, new processes install compatibility first."""
    from multiprocessing import forkserver, spawn

    if _original:
        return
    prepare = spawn.get_preparation_data
    preloaded = forkserver._forkserver._preload_modules
    _original.extend((prepare, preloaded))

    def get_preparation_data(name: str) -> dict[str, Any]:
        return {"flambeau": _Installer(), **prepare(name)}

    spawn.get_preparation_data = get_preparation_data
    if preloaded == ["__main__"]:  # the server itself would import the program, without these data
        forkserver._forkserver._preload_modules = []


def start_children_plain() -> None:
    """New processes no longer install compatibility."""
    from multiprocessing import forkserver, spawn

    if _original:
        spawn.get_preparation_data, forkserver._forkserver._preload_modules = _original
        _original.clear()
