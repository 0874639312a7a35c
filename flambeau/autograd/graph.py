"""The gradient graph: its nodes, and hooks on what it saves."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Sequence

from ..base.mode import mode as modes
from ..ops.define import ops
from ..tensor.autograd import Graph as Node
from ..tensor.grad_modes import disable_saved_tensors_hooks, saved_tensors_hooks
from ..tensor.gradients import GradientEdge, get_gradient_edge
from ..tensor.node_hooks import RemovableHandle
from ..tensor.tensor import Tensor

__all__ = [
    "GradientEdge", "Node", "allow_mutation_on_saved_tensors", "disable_saved_tensors_hooks", "get_gradient_edge",
    "increment_version", "register_multi_grad_hook", "save_on_cpu", "saved_tensors_hooks",
]  # fmt: skip


class save_on_cpu(saved_tensors_hooks):
    """Within it, tensors saved for backward are kept in host memory, and come back when backward needs them.

    >>> import flambeau as torch
    >>> x = torch.tensor([2.0], requires_grad=True)
    >>> with torch.autograd.graph.save_on_cpu():
    ...     y = x * x
    >>> y.backward()
    >>> x.grad
    tensor([4.])
    """

    def __init__(self, pin_memory: bool = False, device_type: str = "cuda"):
        def pack(tensor: Tensor):
            if not pin_memory:
                return tensor.device, tensor.cpu()
            kept = ops.empty(tensor.size(), dtype=tensor.dtype)
            kept.copy_(tensor)
            return tensor.device, kept

        def unpack(packed):
            device, tensor = packed
            return tensor.to(device, non_blocking=pin_memory)

        super().__init__(pack, unpack)


def increment_version(tensor: Tensor | Sequence[Tensor]) -> None:
    """Tell the graph that a tensor's memory was written by something that the graph does not see."""
    from ..tensor import dispatch

    for one in (tensor,) if isinstance(tensor, Tensor) else tensor:
        if one._memory is not None:
            dispatch.runtime().bump(one._memory)


class _MultiHandle(RemovableHandle):
    """Removes several hooks at once."""

    def __init__(self, handles: Sequence):
        self.handles = tuple(handles)

    def remove(self) -> None:
        for handle in self.handles:
            handle.remove()


def register_multi_grad_hook(
    tensors: Sequence[Tensor], fn: Callable, *, mode: str = "all"
) -> RemovableHandle:
    """Run a hook when the gradients of several tensors have been computed.

    mode: "all" calls ``fn(grads)`` once all that take part in a backward are there (None for the others); "any" calls
    ``fn(grad)`` with the first.
    """
    if mode not in ("all", "any"):
        raise ValueError(f"Expects mode to be one of ('all', 'any') but got {mode}")
    if mode == "any":
        seen = threading.local()

        @functools.wraps(fn)
        def once(grad):
            if getattr(seen, "done", None) is not _walk():
                seen.done = _walk()
                fn(grad)

        return _MultiHandle([t.register_hook(once) for t in tensors])
    return _MultiHandle(_all_hooks(list(tensors), fn))


def _walk():
    """What identifies the backward pass that is running in this thread: its roots and the nodes that matter."""
    return modes.walk


def _reached(walk) -> set[int]:
    """Ids of the nodes and parts that a pass comes to."""
    roots, needed = walk
    found = {id(n) for n in roots}
    stack = list(roots)
    while stack:
        for edge in stack.pop().edges:
            if edge is not None and id(edge) not in found:
                found.add(id(edge))
                stack.append(edge)
    return found if needed is None else found & needed


def _all_hooks(tensors: list[Tensor], fn: Callable) -> list:
    local = threading.local()
    nodes = [t._node for t in tensors]

    def hook_for(k: int):
        def hook(grad):
            walk = _walk()
            if getattr(local, "walk", None) is not walk:
                reached = _reached(walk)
                local.walk, local.grads = walk, [None] * len(tensors)
                local.left = sum(id(node) in reached for node in nodes)
            local.grads[k] = grad
            local.left -= 1
            if local.left == 0:
                fn(local.grads)
                local.walk = local.grads = None

        return hook

    return [t.register_hook(hook_for(k)) for k, t in enumerate(tensors)]


class _AllowMutationOnSavedContext:
    """What `allow_mutation_on_saved_tensors` remembers: copies of what was written after it had been saved."""

    def __init__(self) -> None:
        self.copies: dict = {}

    def clear(self) -> None:
        """Forget all copies."""
        self.copies.clear()


@contextlib.contextmanager
def allow_mutation_on_saved_tensors():
    """Within it, tensors saved for backward may be written in place: the graph keeps copies of what it saved."""
    context = _AllowMutationOnSavedContext()
    with saved_tensors_hooks(lambda tensor: tensor.clone(), lambda kept: kept):
        try:
            yield context
        finally:
            context.clear()
