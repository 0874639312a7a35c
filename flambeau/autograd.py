"""Automatic differentiation: `backward`, `grad`, and the switches of recording."""

from __future__ import annotations

from .ops.define import ops
from .tensor.autograd import AccumulateGrad, run_backward
from .tensor.function import Function, once_differentiable
from .tensor.grad_modes import (
    detect_anomaly, enable_grad, inference_mode, no_grad, saved_tensors_hooks, set_detect_anomaly, set_grad_enabled,
)  # fmt: skip
from .tensor.tensor import Tensor, make

__all__ = [
    "Function", "backward", "detect_anomaly", "enable_grad", "grad", "inference_mode", "no_grad", "once_differentiable", "saved_tensors_hooks",
    "set_detect_anomaly", "set_grad_enabled",
]  # fmt: skip


def _starts(tensors, gradients, what: str) -> list[Tensor]:
    """The gradient with which each root starts; ones for a single element."""
    found = []
    for t, g in zip(tensors, gradients, strict=True):
        if g is None:
            if t._layout.numel != 1:
                raise RuntimeError("grad can be implicitly created only for scalar outputs")
            if not t._layout.dtype.is_floating_point:
                raise RuntimeError(f"grad can be implicitly created only for real scalar outputs but got {t._layout.dtype}")
            found.append(ops.ones(t._layout.shape, dtype=t._layout.dtype, device=t._layout.device))
            continue
        if not isinstance(g, Tensor):
            raise TypeError(f"gradients can be either Tensors or None, but got {type(g).__name__}")
        if g._layout.shape != t._layout.shape:
            raise RuntimeError(
                f"Mismatch in shape: grad_output[{len(found)}] has a shape of {g._layout.shape} and output[{len(found)}] "
                f"has a shape of {t._layout.shape}."
            )
        alias = make(g._memory, g._layout, g._offset)
        alias._node = g._node
        alias._base = g
        found.append(alias)
    return found


def _as_tuple(x) -> tuple:
    return tuple(x) if isinstance(x, (list, tuple)) else (x,)


def backward(tensors, grad_tensors=None, retain_graph=None, create_graph=False, grad_variables=None, inputs=None) -> None:
    """Add to each leaf's `.grad` the sum of the gradients of `tensors` weighted by `grad_tensors`.

    >>> import flambeau as torch
    >>> x = torch.ones(3, requires_grad=True)
    >>> torch.autograd.backward((x * 2).sum())
    >>> x.grad
    tensor([2., 2., 2.])
    """
    tensors = _as_tuple(tensors)
    gradients = (None,) * len(tensors) if grad_tensors is None else _as_tuple(grad_tensors)
    if inputs is not None and not isinstance(inputs, Tensor) and len(inputs) == 0:
        raise RuntimeError("`inputs` argument to `backward()` cannot be empty.")
    for k, t in enumerate(tensors):
        if t._node is None:
            raise RuntimeError(f"element {k} of tensors does not require grad and does not have a grad_fn")
    starts = _starts(tensors, gradients, "backward")
    keep = bool(create_graph) if retain_graph is None else bool(retain_graph)
    targets = None
    if inputs is not None:
        for t in _as_tuple(inputs):
            if t._node is None:
                raise RuntimeError("One of the differentiated Tensors does not require grad")
        targets = {id(t._node): t._node for t in _as_tuple(inputs)}
    found = run_backward([t._node for t in tensors], starts, retain_graph=keep, create_graph=create_graph, targets=targets)
    if inputs is not None:
        for t in _as_tuple(inputs):
            if type(t._node) is not AccumulateGrad and id(t._node) in found:
                t._grad = found[id(t._node)] if t._grad is None else ops.add(t._grad, found[id(t._node)])


def grad(
    outputs, inputs, grad_outputs=None, retain_graph=None, create_graph=False, only_inputs=True, allow_unused=None,
    is_grads_batched=False, materialize_grads=False,
):  # fmt: skip
    """Gradients of `outputs` with respect to `inputs`, without touching any `.grad`.

    Returns a tuple as long as `inputs`; None for an input that the outputs do not depend on (with allow_unused).

    >>> import flambeau as torch
    >>> x = torch.tensor(3.0, requires_grad=True)
    >>> torch.autograd.grad(x * x, x)
    (tensor(6.),)
    """
    outputs, inputs = _as_tuple(outputs), _as_tuple(inputs)
    if not inputs:
        raise ValueError("grad requires non-empty inputs.")
    given = (None,) * len(outputs) if grad_outputs is None else _as_tuple(grad_outputs)
    if materialize_grads and allow_unused is False:
        raise ValueError("Expected allow_unused to be True or not passed when materialize_grads=True, but got: False.")
    allow = bool(allow_unused) or materialize_grads
    if is_grads_batched:
        from .func import vmap

        return vmap(lambda *gs: grad(outputs, inputs, gs, True, create_graph, allow_unused=allow))(*given)
    for k, t in enumerate(outputs):
        if t._node is None:
            raise RuntimeError(f"element {k} of tensors does not require grad and does not have a grad_fn")
    for t in inputs:
        if t._node is None:
            raise RuntimeError("One of the differentiated Tensors does not require grad")
    starts = _starts(outputs, given, "grad")
    keep = bool(create_graph) if retain_graph is None else bool(retain_graph)
    targets = {id(t._node): t._node for t in inputs}
    found = run_backward(
        [t._node for t in outputs], starts, retain_graph=keep, create_graph=create_graph, targets=targets, accumulate=False
    )
    result = []
    for t in inputs:
        g = found.get(id(t._node))
        if g is None:
            if not allow:
                raise RuntimeError(
                    "One of the differentiated Tensors appears to not have been used in the graph. Set allow_unused=True "
                    "if this is the desired behavior."
                )
            if materialize_grads:
                g = ops.zeros(t._layout.shape, dtype=t._layout.dtype, device=t._layout.device)
        result.append(g)
    return tuple(result)

