"""What a file may name when it is loaded with ``weights_only=True``: PyTorch's own types, and the user's choice."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

from flambeau.serialization import plain, tensors

#: modules whose functions reach the system; naming one as safe changes nothing
BLOCKED_MODULES = ("sys", "os", "posix", "nt")

_user_entries: list[Callable | tuple[Callable, str]] = []


def add_safe_globals(safe_globals: Iterable[Callable | tuple[Callable, str]]) -> None:
    """Let files that are loaded with ``weights_only=True`` use these classes and functions.

    An entry is a class or function, or a pair of it and the full name under which the file knows it. Only
    name what is harmless with every possible argument.

    Raises: ValueError or TypeError when a pair is malformed.
    """
    for entry in safe_globals:
        if isinstance(entry, tuple):
            _check_pair(entry)
        if entry not in _user_entries:
            _user_entries.append(entry)


def get_safe_globals() -> list[Callable | tuple[Callable, str]]:
    """What `add_safe_globals` was given so far."""
    return list(_user_entries)


def clear_safe_globals() -> None:
    """Forget everything that `add_safe_globals` was given."""
    _user_entries.clear()


class safe_globals:
    """`add_safe_globals` for the length of a ``with`` block.

    >>> import datetime
    >>> import flambeau as torch
    >>> torch.save({"day": datetime.date(2024, 2, 29)}, "/tmp/day.pt")
    >>> with torch.serialization.safe_globals([datetime.date]):
    ...     torch.load("/tmp/day.pt")
    {'day': datetime.date(2024, 2, 29)}
    """

    def __init__(self, safe_globals: Iterable[Callable | tuple[Callable, str]]) -> None:
        self.safe_globals = list(safe_globals)

    def __enter__(self) -> None:
        self._before = list(_user_entries)
        add_safe_globals(self.safe_globals)

    def __exit__(self, kind, error, trace) -> None:
        _user_entries[:] = self._before


def user_globals() -> dict[str, Any]:
    """The user's choices by the names under which files know them."""
    table: dict[str, Any] = {}
    for entry in _user_entries:
        value, name = entry if isinstance(entry, tuple) else (entry, full_name(entry))
        table[name] = value
        if name.startswith("flambeau."):
            table[torch_name(name)] = value
    return table


def full_name(value: Any) -> str:
    """Module and qualified name of a class or function."""
    return f"{value.__module__}.{value.__qualname__}"


def torch_name(name: str) -> str:
    """PyTorch's name for a public class or function of ours."""
    return "torch." + name.removeprefix("flambeau.")


def _check_pair(entry: tuple) -> None:
    if len(entry) != 2:
        raise ValueError(
            "Expected tuple of length 2 (global, str of callable full path), but got tuple of length: "
            f"{len(entry)}"
        )
    if type(entry[1]) is not str:
        raise TypeError(
            f"Expected second item in tuple to be str of callable full path, but got: {type(entry[1])}"
        )


@cache
def known_functions() -> dict[str, Callable]:
    """The functions that any file may call; the machine calls ours, made for arguments from strangers."""
    return {**{name: public for name, (public, _) in plain.FUNCTIONS.items()}, **tensors.TORCH_NAMES}


@cache
def known_values() -> dict[str, Any]:
    """The types that any file may name as arguments, never call."""
    import flambeau
    from flambeau.base.dtype import DTYPES

    table: dict[str, Any] = {"torch.Tensor": flambeau.Tensor}
    for name in (*tensors.STORAGE_DTYPES, "UntypedStorage"):
        table[f"torch.{name}"] = table[f"torch.storage.{name}"] = getattr(tensors, name)
    table.update({f"torch.{name}": value for name, value in DTYPES.items()})
    return table


def known_class(name: str) -> Any:
    """`Parameter` and `Buffer`, which are classes of tensors; `nn` is imported for a file that names them."""
    if name in ("torch.nn.parameter.Parameter", "torch.nn.parameter.Buffer"):
        import flambeau

        return getattr(flambeau.nn, name.rpartition(".")[2])
    return None
