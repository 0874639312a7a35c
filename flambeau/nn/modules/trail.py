"""Says in an error which module, and which line of the user's program, it passed through."""

from __future__ import annotations

import os
import sys
from typing import Any

_PACKAGE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))) + os.sep
_TRAIL = "_flambeau_trail"


class _Trail:
    """What is known so far about where an exception arose."""

    __slots__ = ("names", "module", "kind", "line", "fix", "note")

    def __init__(self, module: Any, arguments: tuple) -> None:
        self.names: list[str] = []
        self.module = module
        self.kind = type(module).__name__
        self.line = _user_line()
        self.fix = _hint(module, arguments)
        self.note = ""

    def climb(self, parent: Any) -> None:
        """The exception passes from `self.module` to the module that called it."""
        for name, module in parent.named_modules():
            if module is self.module and name:
                self.names.insert(0, name)
                break
        self.module = parent

    def text(self) -> str:
        path = ".".join([type(self.module).__name__, *self.names])
        kind = f" ({self.kind})" if self.names else ""
        line = f", {self.line}" if self.line else ""
        fix = f"\n  fix   {self.fix}" if self.fix else ""
        return f"  at    {path}{kind}{line}{fix}"


def extend_trail(error: Exception, module: Any, arguments: tuple) -> None:
    """Keeps one note in `error` with the path of the module, longer at each module it passes through."""
    try:
        trail = error.__dict__.get(_TRAIL)
        if trail is None:
            trail = _Trail(module, arguments)
            setattr(error, _TRAIL, trail)
        elif trail.module is module:
            return  # a subclass's forward called the same module's __call__ again
        else:
            trail.climb(module)
        notes = getattr(error, "__notes__", None)
        if notes and trail.note in notes:
            notes.remove(trail.note)
        trail.note = trail.text()
        error.add_note(trail.note)
    except Exception:  # explaining must never hide the error itself
        return


def _hint(module: Any, arguments: tuple) -> str | None:
    explain = getattr(module, "_explain_misuse", None)
    return explain(*arguments) if explain is not None and arguments else None


def _user_line() -> str:
    """The innermost line outside this package, as ``train.py:41``."""
    frame = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    if frame is None:
        return ""
    return f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}"
