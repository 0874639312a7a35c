"""Small data sets that ship with the package; each file says in ``ATTRIBUTION.txt`` where it comes from."""

from __future__ import annotations

from flambeau.data.digits import load_digits

__all__ = ["load_digits"]
