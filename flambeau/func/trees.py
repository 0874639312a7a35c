"""Tuples, lists and dicts of tensors, taken apart and put together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["flatten", "rebuild"]


def flatten(tree: Any) -> tuple[list, Any]:
    """The leaves, and a function that puts leaves together in the same form."""
    if isinstance(tree, dict):
        parts = [flatten(v) for v in tree.values()]
        return _joined(parts, lambda values, keys=tuple(tree): type(tree)(zip(keys, values)))
    if isinstance(tree, (list, tuple)) and not hasattr(tree, "_layout"):
        make = tree._make if hasattr(tree, "_make") else type(tree)
        return _joined([flatten(v) for v in tree], make)
    return [tree], None


def _joined(parts: list, make: Callable) -> tuple[list, Any]:
    return [leaf for leaves, _ in parts for leaf in leaves], (
        make,
        [(len(leaves), spec) for leaves, spec in parts],
    )


def rebuild(leaves: list, spec: Any) -> Any:
    """The tree of leaves."""
    if spec is None:
        return leaves[0]
    make, parts = spec
    values, start = [], 0
    for count, inner in parts:
        values.append(rebuild(leaves[start : start + count], inner))
        start += count
    return make(values)
