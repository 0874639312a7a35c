"""Handles that take a hook off again, shared by tensors, modules and optimisers."""

from __future__ import annotations

import weakref
from typing import Any

__all__ = ["RemovableHandle"]


class RemovableHandle:
    """Removes one hook from the mapping it was put in.

    Args:
        hooks_dict: the mapping that holds the hook, by `id`.
        extra_dict: a mapping, or a list of mappings, with facts about the hook to be removed together with
            it.

    Example::

        >>> hooks = {}
        >>> handle = RemovableHandle(hooks)
        >>> hooks[handle.id] = print
        >>> handle.remove()
        >>> hooks
        {}
    """

    next_id: int = 0

    def __init__(self, hooks_dict: Any, *, extra_dict: Any = None) -> None:
        self.hooks_dict_ref = _reference(hooks_dict)
        self.id = RemovableHandle.next_id
        RemovableHandle.next_id += 1
        if extra_dict is None:
            extra_dict = ()
        elif not isinstance(extra_dict, list):
            extra_dict = (extra_dict,)
        self.extra_dict_ref = tuple(_reference(mapping) for mapping in extra_dict)

    def remove(self) -> None:
        """Takes the hook off; a second call does nothing."""
        for reference in (self.hooks_dict_ref, *self.extra_dict_ref):
            mapping = reference()
            if mapping is not None and self.id in mapping:
                del mapping[self.id]

    def __getstate__(self):
        return (self.hooks_dict_ref(), self.id, tuple(reference() for reference in self.extra_dict_ref))

    def __setstate__(self, state) -> None:
        hooks, self.id, extra = state[0], state[1], state[2] if len(state) > 2 else ()
        self.hooks_dict_ref = _reference({} if hooks is None else hooks)
        self.extra_dict_ref = tuple(_reference({} if mapping is None else mapping) for mapping in extra)
        RemovableHandle.next_id = max(RemovableHandle.next_id, self.id + 1)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, kind: Any, value: Any, traceback: Any) -> None:
        self.remove()


def _reference(mapping):
    """A weak reference where the mapping allows one (a plain dict does not)."""
    try:
        return weakref.ref(mapping)
    except TypeError:
        return lambda: mapping
