"""Hooks of the gradient graph: on tensors, before and after nodes, and what anomaly mode tells."""

from __future__ import annotations

import warnings
from itertools import count

from ..ops.define import ops
from .tensor import Tensor


class RemovableHandle:
    """Removes a hook again: `handle.remove()`, or as a context manager."""

    _next = count().__next__

    def __init__(self, hooks: dict, hook):
        self.id = RemovableHandle._next()
        self.hooks = hooks
        hooks[self.id] = hook

    def remove(self) -> None:
        """Take the hook off; a second call does nothing."""
        self.hooks.pop(self.id, None)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.remove()


def before(node, arrived):
    """Run the hooks of the tensor whose gradient this is, then keep the gradient where `retain_grad` asked for it."""
    extra = node.extra
    hooks = extra.get("tensor_hooks")
    if hooks:
        for hook in list(hooks.values()):
            changed = hook(arrived)
            if changed is not None:
                arrived = checked(hook, changed, arrived)
    for keep in extra.get("retain", ()):
        t = keep()
        if t is not None:
            t._grad = arrived if t._grad is None else ops.add(t._grad, arrived)
    return arrived


def run_prehooks(node, given: list) -> list | None:
    """Run the hooks before a node; None when none changed anything."""
    hooks = node.extra.get("prehooks")
    found = None
    for hook in list(hooks.values()) if hooks else ():
        changed = hook(tuple(given))
        if changed is not None:
            found = given = several(hook, changed, given)
    return found


def after(node, flows, given: list):
    """Run the hooks after a node, with the gradients that it made and those that it got."""
    hooks = node.extra.get("hooks")
    for hook in list(hooks.values()) if hooks else ():
        changed = hook(tuple(flows), tuple(given))
        if changed is not None:
            flows = several(hook, changed, flows)
    return flows


def name_of(hook) -> str:
    return getattr(hook, "__name__", None) or type(hook).__name__


def several(hook, changed, old) -> list:
    """What a node's hook returned, checked against what it got."""
    if not isinstance(changed, (tuple, list)):
        changed = (changed,)
    if len(changed) != len(old):
        raise RuntimeError(
            f"hook '{name_of(hook)}' has returned an incorrect number of values (got {len(changed)}, but expected {len(old)})"
        )
    return [n if n is None or o is None else checked(hook, n, o) for n, o in zip(changed, old)]


def checked(hook, new, old: Tensor) -> Tensor:
    """What a hook returned in place of a gradient: it must be a tensor of the same type and shape."""
    if not isinstance(new, Tensor):
        raise TypeError(f"expected Variable, but hook returned '{type(new).__name__}'")
    if old is None:
        raise RuntimeError("can't replace a None gradient with a non-None value")
    if new._layout.shape != old._layout.shape:
        raise RuntimeError(f"hook '{name_of(hook)}' has changed the size of value")
    if new._layout.dtype is not old._layout.dtype:
        raise RuntimeError(
            f"hook '{name_of(hook)}' has changed the type of value (was {old.type()} got {new.type()})"
        )
    return new


def explain_origin(node, error: BaseException) -> None:
    """In anomaly mode, say where the forward call was whose gradient failed."""
    lines = (node.extra or {}).get("line")
    if lines and not any(lines in note for note in getattr(error, "__notes__", ())):
        warnings.warn(
            f"Error detected in {node.name()}. Traceback of forward call that caused the error:\n{lines}", UserWarning,
            stacklevel=6,
        )  # fmt: skip
        error.add_note(f"the forward call that this gradient belongs to:\n{lines}")
