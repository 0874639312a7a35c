"""Whether mixed precision can do anything on a GPU here."""

from __future__ import annotations

from .. import is_available

__all__ = ["amp_definitely_not_available"]


def amp_definitely_not_available() -> bool:
    """Whether there is no GPU to use mixed precision on."""
    return not is_available()
