"""The classes and functions that a file may name although it is loaded with ``weights_only=True``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

_user_globals: dict[str, Callable] = {}


def add_safe_globals(safe_globals: Iterable[Callable | tuple[Callable, str]]) -> None:
    """Let files that are loaded with ``weights_only=True`` use these classes and functions.

    An entry is a class or function, or a pair of it and the full name under which the file knows it. Only
    name what is harmless with every possible argument.
    """
    for entry in safe_globals:
        value, name = entry if isinstance(entry, tuple) else (entry, _full_name(entry))
        _user_globals[name] = value


def get_safe_globals() -> list[Callable | tuple[Callable, str]]:
    """What `add_safe_globals` was given so far."""
    return [value if _full_name(value) == name else (value, name) for name, value in _user_globals.items()]


def clear_safe_globals() -> None:
    """Forget everything that `add_safe_globals` was given."""
    _user_globals.clear()


@contextmanager
def safe_globals(safe_globals: Iterable[Callable | tuple[Callable, str]]) -> Iterator[None]:
    """`add_safe_globals` for the length of a ``with`` block."""
    before = dict(_user_globals)
    add_safe_globals(safe_globals)
    try:
        yield
    finally:
        _user_globals.clear()
        _user_globals.update(before)


def find_user_global(name: str) -> Callable | None:
    """The user's entry for a full name such as ``"my_package.MyClass"``, or None."""
    return _user_globals.get(name)


def _full_name(value: Callable) -> str:
    return f"{value.__module__}.{value.__qualname__}"
