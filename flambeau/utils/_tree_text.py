"""Specs of nested containers in the plain form that JSON takes."""

from __future__ import annotations

import json
from collections import defaultdict, namedtuple
from typing import Any

from ._pytree import SERIALIZED_TYPE_TO_PYTHON_TYPE, SUPPORTED_SERIALIZED_TYPES, LeafSpec, TreeSpec

__all__ = ["from_plain", "to_plain"]

_NEEDS_TYPES = (namedtuple, defaultdict)


def to_plain(spec: TreeSpec) -> dict[str, Any]:
    """A spec as dicts, lists and texts.

    Raises: NotImplementedError for containers whose context has no plain form.
    """
    if isinstance(spec, LeafSpec):
        return {"type": None, "context": None, "children_spec": []}
    how = SUPPORTED_SERIALIZED_TYPES.get(spec.type)
    if how is None or (spec.type in _NEEDS_TYPES):
        raise NotImplementedError(
            f"Serializing {spec.type} in pytree is not registered: its context names a Python type."
        )
    dump = how.to_dumpable_context
    context = json.dumps(spec.context) if dump is None else dump(spec.context)
    return {
        "type": how.serialized_type_name,
        "context": context,
        "children_spec": [to_plain(child) for child in spec.children()],
    }


def from_plain(plain: dict[str, Any]) -> TreeSpec:
    """The spec of a plain form."""
    if plain["type"] is None:
        return LeafSpec()
    kind = SERIALIZED_TYPE_TO_PYTHON_TYPE.get(plain["type"])
    if kind is None:
        raise NotImplementedError(f"Deserializing {plain['type']} in pytree is not registered.")
    load = SUPPORTED_SERIALIZED_TYPES[kind].from_dumpable_context
    context = json.loads(plain["context"]) if load is None else load(plain["context"])
    return TreeSpec(kind, context, [from_plain(child) for child in plain["children_spec"]])
