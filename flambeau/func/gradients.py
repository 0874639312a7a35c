"""Gradients as functions. They nest, because the inner walk is recorded where the outer one needs it."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from ..tensor import gradients
from ..tensor.autograd import AccumulateGrad
from ..tensor.grad_modes import enable_grad, is_grad_enabled
from ..tensor.tensor import Tensor
from .trees import flatten, rebuild

__all__ = ["grad", "grad_and_value", "hessian", "jacrev", "vjp"]


def _fresh(t: Any) -> Any:
    """A tensor with a history of its own that goes on into the given one's."""
    if not isinstance(t, Tensor) or not (t.is_floating_point() or t.is_complex()):
        return t
    return t.view_as(t) if t.requires_grad and is_grad_enabled() else t.detach().requires_grad_()


def _closed(t: Tensor, own: set[int]) -> Tensor:
    """A result without the history that leads only to this call's own inputs."""
    if t._node is None:
        return t
    seen: set[int] = set()
    waiting = [t._node]
    while waiting:
        node = waiting.pop()
        if node is None or id(node) in seen or id(node) in own:
            continue
        seen.add(id(node))
        if type(node) is AccumulateGrad:
            return t  # someone else's
        waiting.extend(node.edges)
    return t.detach()


def _split(given: tuple, argnums: int | tuple[int, ...]) -> tuple[list, list, list[Tensor]]:
    """Arguments with fresh tensors in the chosen places, those places, and the fresh tensors."""
    places = [argnums] if isinstance(argnums, int) else list(argnums)
    args = list(given)
    leaves: list[Tensor] = []
    for k in places:
        if not -len(args) <= k < len(args):
            raise RuntimeError(f"Got argnum={k}, but only {len(args)} positional inputs")
        values, spec = flatten(args[k])
        values = [_fresh(v) for v in values]
        args[k] = rebuild(values, spec)
        leaves += values
    return args, places, leaves


def _gather(args: list, places: list[int], found: list, single: bool) -> Any:
    """Results in the form of the chosen arguments."""
    rest = iter(found)
    trees = []
    for k in places:
        values, spec = flatten(args[k])
        trees.append(rebuild([next(rest) for _ in values], spec))
    return trees[0] if single else tuple(trees)


def _own(leaves: list[Tensor]) -> set[int]:
    return {id(v._node) for v in leaves if type(v._node) is AccumulateGrad}


def _walk(
    output: Tensor, leaves: list[Tensor], seed: Tensor | None = None, keep: bool = True
) -> list[Tensor]:
    if output._node is None:
        return [v.new_zeros(v.shape) for v in leaves]
    found = gradients.grad(output, leaves, seed, retain_graph=keep, create_graph=True, materialize_grads=True)
    own = _own(leaves)
    return [_closed(g, own) for g in found]


def grad_and_value(func: Callable, argnums: int | tuple[int, ...] = 0, has_aux: bool = False) -> Callable:
    """A function that gives the gradient of `func` and its value (and what it gives beside, with `has_aux`).

    func: gives one number. argnums: the arguments to differentiate by.
    """

    @wraps(func)
    def both(*args: Any, **kwargs: Any) -> Any:
        with enable_grad():
            given, places, leaves = _split(args, argnums)
            output = func(*given, **kwargs)
            if has_aux:
                if not isinstance(output, tuple) or len(output) != 2:
                    raise RuntimeError(
                        "grad_and_value(f)(*args): output of function f should be a tuple: (output, aux) if has_aux is True"
                    )
                output, aux = output
            if not isinstance(output, Tensor):
                raise RuntimeError(
                    f"Expected to be given a Tensor, got {type(output)} as the output of grad_and_value(f)(*args)"
                )
            if output.dim() != 0:
                raise RuntimeError(
                    "Expected f(*args) returned scalar tensor, got tensor with "
                    f"{output.dim()} dims. Did you mean to use the vjp API instead?"
                )
            found = _walk(output, leaves)
            own = _own(leaves)
        result = _gather(given, places, found, isinstance(argnums, int))
        value = _closed(output, own)
        return (result, (value, aux)) if has_aux else (result, value)

    return both


def grad(func: Callable, argnums: int | tuple[int, ...] = 0, has_aux: bool = False) -> Callable:
    """A function that gives the gradient of `func`, which gives one number.

    argnums: the arguments to differentiate by; tensors, or containers of tensors. has_aux: `func` gives a pair, of which
    the second goes through.

    >>> import flambeau as torch
    >>> torch.func.grad(lambda x: (x * x).sum())(torch.tensor([1.0, 2.0]))
    tensor([2., 4.])
    """
    both = grad_and_value(func, argnums, has_aux)

    @wraps(func)
    def only(*args: Any, **kwargs: Any) -> Any:
        result, value = both(*args, **kwargs)
        return (result, value[1]) if has_aux else result

    return only


def vjp(func: Callable, *primals: Any, has_aux: bool = False) -> tuple:
    """The value of `func`, and a function from a gradient of the value to the gradients of the arguments."""
    with enable_grad():
        args, places, leaves = _split(primals, tuple(range(len(primals))))
        output = func(*args)
        aux = None
        if has_aux:
            output, aux = output
    values, spec = flatten(output)
    own = _own(leaves)

    def pull(cotangents: Any, retain_graph: bool = True, create_graph: bool | None = None) -> Any:
        seeds, _ = flatten(cotangents)
        reached = [(v, s) for v, s in zip(values, seeds, strict=True) if v._node is not None]
        with enable_grad():
            if not reached:
                found = [v.new_zeros(v.shape) for v in leaves]
            else:
                outputs, given = zip(*reached)
                found = gradients.grad(
                    outputs, leaves, given, retain_graph=True, create_graph=True, materialize_grads=True
                )
        closed = [_closed(g, own) for g in found]
        return _gather(args, places, closed, False)

    def wrapped(*cotangents: Any, **options: Any) -> Any:
        return pull(cotangents[0] if len(cotangents) == 1 else cotangents, **options)

    result = rebuild([_closed(v, own) for v in values], spec)
    return (result, wrapped, aux) if has_aux else (result, wrapped)


def jacrev(
    func: Callable, argnums: int | tuple[int, ...] = 0, *, has_aux: bool = False, chunk_size: int | None = None,
    _preallocate_and_copy: bool = False,
) -> Callable:  # fmt: skip
    """A function that gives the derivatives of all outputs of `func` by all inputs, one backward walk an output."""
    import flambeau

    def rows(output: Tensor, leaves: list[Tensor]) -> list[Tensor]:
        flat = output.reshape(-1)
        found = [_walk(one, leaves) for one in flat.unbind()] if flat.numel() else []
        return [
            flambeau.stack(parts).reshape(tuple(output.shape) + tuple(v.shape)) if parts else output.new_zeros(
                tuple(output.shape) + tuple(v.shape)
            )
            for v, parts in zip(leaves, list(zip(*found)) or [()] * len(leaves))
        ]  # fmt: skip

    @wraps(func)
    def jacobian(*args: Any, **kwargs: Any) -> Any:
        with enable_grad():
            given, places, leaves = _split(args, argnums)
            output = func(*given, **kwargs)
            aux = None
            if has_aux:
                output, aux = output
            values, spec = flatten(output)
            parts = [_gather(given, places, rows(v, leaves), isinstance(argnums, int)) for v in values]
        result = rebuild(parts, spec)
        if has_aux:
            own = _own(leaves)
            extra, form = flatten(aux)
            return result, rebuild([_closed(a, own) if isinstance(a, Tensor) else a for a in extra], form)
        return result

    return jacobian


def hessian(func: Callable, argnums: int | tuple[int, ...] = 0) -> Callable:
    """A function that gives the second derivatives of `func`."""
    return jacrev(jacrev(func, argnums), argnums)
