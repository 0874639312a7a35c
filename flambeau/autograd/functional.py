"""Jacobians, Hessians and their products with vectors, of functions of tensors.

All of it is reverse mode; a product with a Jacobian from the right differentiates the reverse pass once more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..ops.define import ops
from ..tensor.grad_modes import enable_grad
from ..tensor.gradients import grad
from ..tensor.tensor import Tensor

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]

Tensors = "Tensor | tuple[Tensor, ...]"


def _as_tuple(given, what: str, name: str) -> tuple[bool, tuple]:
    """Whether a tuple was given, and the tensors as one."""
    many = isinstance(given, tuple)
    found = given if many else (given,)
    for k, one in enumerate(found):
        if not isinstance(one, Tensor):
            place = f"value at index {k}" if many else f"given {what}"
            raise TypeError(
                f"The {what} given to {name} must be either a Tensor or a tuple of Tensors but the {place} has type {type(one)}."
            )
    return many, found


def _as_given(found: tuple, many: bool) -> Any:
    return found if many else found[0]


def _leaves(inputs: tuple, create_graph: bool) -> tuple:
    """The inputs as tensors to differentiate by; with create_graph they stay part of the caller's graph."""
    return tuple(
        t.view_as(t) if create_graph and t.requires_grad else t.detach().requires_grad_() for t in inputs
    )


def _call(func: Callable, inputs: tuple, name: str) -> tuple[bool, tuple]:
    return _as_tuple(func(*inputs), "outputs of the user-provided function", name)


def _check_connected(outputs: tuple) -> None:
    for k, t in enumerate(outputs):
        if not t.requires_grad:
            raise RuntimeError(
                f"Output {k} of the user-provided function does not require gradients. The outputs must be computed in a "
                "differentiable manner from the input when running in strict mode."
            )


def _check_second(found: tuple, hessian_like: bool) -> None:
    """In strict mode the derivative itself must depend on the inputs."""
    for k, t in enumerate(found):
        if t is not None and t.requires_grad:
            continue
        if hessian_like:
            raise RuntimeError(
                "While computing the hessian, found that the jacobian of the user-provided function with respect to input "
                f"{k} is independent of the input. This is not allowed in strict mode. You should ensure that your function "
                "is twice differentiable and that the jacobian depends on the inputs (this would be violated by a linear "
                "function for example)."
            )
        raise RuntimeError(
            f"The jacobian of the user-provided function is independent of input {k}. This is not allowed in strict mode "
            "when create_graph=True."
        )


def _gradients(outputs: tuple, inputs: tuple, weights: tuple | None, create_graph: bool) -> tuple:
    """Weighted sum of the outputs' gradients; None where an input plays no part."""
    weights = (None,) * len(outputs) if weights is None else weights
    pairs = [(t, w) for t, w in zip(outputs, weights) if t is not None and t.requires_grad]
    if not pairs:
        return (None,) * len(inputs)
    return grad(
        [t for t, _ in pairs],
        inputs,
        [w for _, w in pairs],
        retain_graph=True,
        create_graph=create_graph,
        allow_unused=True,
    )


def _filled(found: tuple, shapes_of: tuple, strict: bool, text: str) -> tuple:
    """Zeros where an input plays no part (an error in strict mode)."""
    result = []
    for k, (g, t) in enumerate(zip(found, shapes_of)):
        if g is None:
            if strict:
                raise RuntimeError(text.format(k))
            g = ops.zeros(tuple(t.shape), dtype=t.dtype, device=t.device)
        result.append(g)
    return tuple(result)


_INDEPENDENT = (
    "The output of the user-provided function is independent of input {}. This is not allowed in strict mode."
)
_HESSIAN_INDEPENDENT = (
    "While computing the hessian, found that the jacobian of the user-provided function with respect to input {} is "
    "independent of the input. This is not allowed in strict mode. You should ensure that your function is twice "
    "differentiable and that the jacobian depends on the inputs (this would be violated by a linear function for example)."
)


def _finished(found: tuple, create_graph: bool) -> tuple:
    return found if create_graph else tuple(t.detach() for t in found)


def _vector(v, like: tuple, many: bool, name: str, scalar_text: str) -> tuple:
    """The vector of a product, checked against the tensors that it goes with; a 1 for a single element."""
    if v is None:
        if len(like) != 1 or like[0].numel() != 1:
            raise RuntimeError(
                f"The vector v can only be None if {scalar_text} a single Tensor with a single element."
            )
        return (ops.ones(tuple(like[0].shape), dtype=like[0].dtype, device=like[0].device),)
    _, found = _as_tuple(v, "v", name)
    if len(found) != len(like):
        if many:
            raise RuntimeError(f"v is a tuple of invalid length: should be {len(like)} but got {len(found)}.")
        raise RuntimeError("The given v should contain a single Tensor.")
    for k, (one, t) in enumerate(zip(found, like)):
        if one.shape != t.shape:
            entry = f"Entry {k} in " if many else ""
            raise RuntimeError(f"{entry}v has invalid size: should be {t.shape} but got {one.shape}.")
    return found


_OF_INPUT = "the input to the user-provided function is"
_OF_OUTPUT = "the user-provided function returns"


def vjp(func: Callable, inputs, v=None, create_graph: bool = False, strict: bool = False):
    """The function's outputs, and the product of a vector with its Jacobian.

    v: of the shape of the outputs; may be left out for a single element.

    >>> import flambeau as torch
    >>> torch.autograd.functional.vjp(lambda x: x * x, torch.tensor([1.0, 2.0]), torch.ones(2))
    (tensor([1., 4.]), tensor([2., 4.]))
    """
    with enable_grad():
        many, inputs = _as_tuple(inputs, "inputs", "vjp")
        leaves = _leaves(inputs, create_graph)
        outputs_many, outputs = _call(func, leaves, "vjp")
        if strict:
            _check_connected(outputs)
        v = _vector(v, outputs, outputs_many, "vjp", _OF_OUTPUT)
        found = _gradients(outputs, leaves, v, create_graph)
        found = _filled(found, leaves, strict, _INDEPENDENT)
        if strict and create_graph:
            _check_second(found, False)
    return _as_given(_finished(outputs, create_graph), outputs_many), _as_given(
        _finished(found, create_graph), many
    )


def _weighted_gradient(outputs: tuple, leaves: tuple, strict: bool) -> tuple[tuple, tuple]:
    """Weights, and the gradients of the outputs as a (linear) function of them: its derivative is the Jacobian."""
    weights = tuple(ops.zeros_like(t).requires_grad_() for t in outputs)
    found = _gradients(outputs, leaves, weights, True)
    return weights, _filled(found, leaves, strict, _INDEPENDENT)


def jvp(func: Callable, inputs, v=None, create_graph: bool = False, strict: bool = False):
    """The function's outputs, and the product of its Jacobian with a vector.

    v: of the shape of the inputs; may be left out for a single element.

    >>> import flambeau as torch
    >>> torch.autograd.functional.jvp(lambda x: x * x, torch.tensor([1.0, 2.0]), torch.ones(2))
    (tensor([1., 4.]), tensor([2., 4.]))
    """
    with enable_grad():
        many, inputs = _as_tuple(inputs, "inputs", "jvp")
        leaves = _leaves(inputs, create_graph)
        v = _vector(v, leaves, many, "jvp", _OF_INPUT)
        outputs_many, outputs = _call(func, leaves, "jvp")
        if strict:
            _check_connected(outputs)
        weights, gradients = _weighted_gradient(outputs, leaves, strict)
        if strict and create_graph:  # what depends on the weights only does not depend on the inputs
            _check_second(
                _gradients(gradients, leaves, tuple(ops.ones_like(g) for g in gradients), True), False
            )
        found = _gradients(gradients, weights, v, create_graph)
        found = _filled(found, outputs, False, "")
    return _as_given(_finished(outputs, create_graph), outputs_many), _as_given(
        _finished(found, create_graph), outputs_many
    )


def _scalar_gradient(
    func: Callable, leaves: tuple, name: str, strict: bool, independent: str = _INDEPENDENT
) -> tuple[Tensor, tuple]:
    """The value of a function with one result of one element, and its gradients with their own graph."""
    many, outputs = _call(func, leaves, name)
    if many:
        raise RuntimeError(f"The function given to {name} should return a single Tensor")
    if outputs[0].numel() != 1:
        raise RuntimeError(
            f"The Tensor returned by the function given to {name} should contain a single element"
        )
    if strict:
        _check_connected(outputs)
    return outputs[0], _filled(_gradients(outputs, leaves, None, True), leaves, strict, independent)


def vhp(func: Callable, inputs, v=None, create_graph: bool = False, strict: bool = False):
    """The function's value (a single element), and the product of a vector with its Hessian."""
    with enable_grad():
        many, inputs = _as_tuple(inputs, "inputs", "vhp")
        leaves = _leaves(inputs, create_graph)
        v = _vector(v, leaves, many, "vhp", _OF_INPUT)
        value, gradients = _scalar_gradient(func, leaves, "vhp", strict)
        if strict:
            _check_second(gradients, True)
        found = _filled(_gradients(gradients, leaves, v, create_graph), leaves, strict, _HESSIAN_INDEPENDENT)
    return _as_given(_finished((value,), create_graph), False), _as_given(
        _finished(found, create_graph), many
    )


def hvp(func: Callable, inputs, v=None, create_graph: bool = False, strict: bool = False):
    """The function's value (a single element), and the product of its Hessian with a vector.

    The Hessian of a twice continuously differentiable function is symmetric, so `vhp` gives the same for less work.
    """
    with enable_grad():
        many, inputs = _as_tuple(inputs, "inputs", "hvp")
        leaves = _leaves(inputs, create_graph)
        v = _vector(v, leaves, many, "hvp", _OF_INPUT)
        value, gradients = _scalar_gradient(func, leaves, "hvp", strict)
        if strict:
            _check_second(gradients, True)
        weights = tuple(ops.zeros_like(t).requires_grad_() for t in leaves)
        second = _filled(_gradients(gradients, leaves, weights, True), leaves, strict, _HESSIAN_INDEPENDENT)
        found = _filled(_gradients(second, weights, v, create_graph), leaves, False, "")
    return _as_given(_finished((value,), create_graph), False), _as_given(
        _finished(found, create_graph), many
    )


def _check_strategy(strategy: str, vectorize: bool, more: str = "") -> None:
    if strategy not in ("forward-mode", "reverse-mode"):
        raise AssertionError(f'Expected strategy to be either "forward-mode" or "reverse-mode".{more}')
    if strategy == "forward-mode" and not vectorize:
        raise NotImplementedError(
            "Computing Jacobian using forward-AD or forward-over-reverse Hessian isonly implemented for `vectorize=True`."
        )


def jacobian(
    func: Callable, inputs, create_graph: bool = False, strict: bool = False, vectorize: bool = False,
    strategy: str = "reverse-mode",
):  # fmt: skip
    """The derivative of each element of the outputs by each element of the inputs.

    Shape: ``(*output, *input)`` for each pair; a tuple over the outputs of tuples over the inputs where there are several.
    vectorize, strategy: accepted; the rows are computed one by one in reverse mode.

    >>> import flambeau as torch
    >>> torch.autograd.functional.jacobian(lambda x: x * x, torch.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """
    _check_strategy(
        strategy, vectorize,
        ' Hint: If your function has more outputs than inputs, "forward-mode" tends to be more performant. Otherwise, prefer '
        'to use "reverse-mode".',
    )  # fmt: skip
    if strict and vectorize:
        raise RuntimeError(
            "torch.autograd.functional.jacobian: `strict=True` and `vectorized=True` are not supported together. Please "
            "either set `strict=False` or `vectorize=False`."
        )
    with enable_grad():
        many, inputs = _as_tuple(inputs, "inputs", "jacobian")
        leaves = _leaves(inputs, create_graph)
        outputs_many, outputs = _call(func, leaves, "jacobian")
        if strict:
            _check_connected(outputs)
        rows = tuple(_rows(k, t, leaves, create_graph, strict) for k, t in enumerate(outputs))
    found = tuple(_as_given(_finished(row, create_graph), many) for row in rows)
    return _as_given(found, outputs_many)


def _rows(place: int, output: Tensor, leaves: tuple, create_graph: bool, strict: bool) -> tuple:
    """The Jacobian of one output by each input."""
    rows = []
    flat = output.reshape(-1)
    for k in range(output.numel()):
        found = _gradients((flat.select(0, k),), leaves, None, create_graph)
        if strict:
            for n, g in enumerate(found):
                if g is None:
                    raise RuntimeError(
                        f"Output {place} of the user-provided function is independent of input {n}. This is not allowed in "
                        "strict mode."
                    )
            if create_graph:
                _check_second(found, False)
        rows.append(_filled(found, leaves, False, ""))
    shape = tuple(output.shape)
    return tuple(
        ops.stack([row[n] for row in rows], 0).reshape(shape + tuple(t.shape))
        if rows
        else ops.zeros(shape + tuple(t.shape), dtype=output.dtype, device=output.device)
        for n, t in enumerate(leaves)
    )


def hessian(
    func: Callable, inputs, create_graph: bool = False, strict: bool = False, vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
):  # fmt: skip
    """The second derivatives of a function with a single element as its result.

    Shape: ``(*input_i, *input_j)`` for each pair of inputs; a tuple of tuples where there are several.

    >>> import flambeau as torch
    >>> torch.autograd.functional.hessian(lambda x: (x**3).sum(), torch.tensor([1.0, 2.0]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    _check_strategy(outer_jacobian_strategy, vectorize)
    many, inputs = _as_tuple(inputs, "inputs", "hessian")

    def first(*leaves):
        _, gradients = _scalar_gradient(func, leaves, "hessian", strict, _HESSIAN_INDEPENDENT)
        if strict:
            _check_second(gradients, True)
        return gradients

    found = jacobian(first, inputs, create_graph, strict, vectorize)
    return found if many else found[0][0]
