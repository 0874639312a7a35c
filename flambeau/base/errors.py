"""How mistakes are worded: PyTorch's first line and type, then indented facts that teach."""

from __future__ import annotations


def require(
    condition, first_line: str, error: type[Exception] = RuntimeError, *, need: str = "", fix: str = ""
) -> None:
    """Raise `error` with `first_line` unless `condition` holds; `need` and `fix` become indented facts below it."""
    if not condition:
        raise explained(error, first_line, need=need, fix=fix)


def explained(error: type[Exception], first_line: str, *, need: str = "", fix: str = "") -> Exception:
    """An exception whose text is `first_line` followed by the given facts, one a line."""
    facts = "".join(f"\n  {label:<5} {text}" for label, text in (("need", need), ("fix", fix)) if text)
    return error(first_line + facts)


def by(shape) -> str:
    """A shape as PyTorch's matrix messages print it: ``2x3``."""
    return "x".join(map(str, shape))


class LinAlgError(RuntimeError):
    """A matrix that an algorithm of linear algebra cannot take, such as a singular one."""


class OutOfMemoryError(RuntimeError):
    """An allocation that cannot be met. Made from the number of bytes, or from a text."""

    def __init__(self, nbytes: int | str = "out of memory"):
        if isinstance(nbytes, int):
            nbytes = (
                f"DefaultCPUAllocator: can't allocate memory: you tried to allocate {nbytes} bytes. Error code 12 (Cannot "
                "allocate memory)"
            )
        super().__init__(nbytes)


def check_dim(dim: int, ndim: int, *, scalar_ok: bool = True) -> int:
    """`dim` as a non-negative index below `ndim`; a 0-d tensor accepts -1 and 0."""
    if not isinstance(dim, int):
        if hasattr(dim, "__index__"):
            dim = dim.__index__()
        else:
            raise TypeError(f"dim must be an int, not {type(dim).__name__}")
    limit = ndim if ndim > 0 else (1 if scalar_ok else 0)
    if limit == 0:
        raise IndexError(f"Dimension specified as {dim} but tensor has no dimensions")
    if not -limit <= dim < limit:
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{-limit}, {limit - 1}], but got {dim})"
        )
    return dim + limit if dim < 0 else dim
