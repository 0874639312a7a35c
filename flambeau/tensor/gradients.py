"""`backward` and `grad`: the walk of the gradient graph with PyTorch's arguments and checks."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..ops.define import ops
from .autograd import AccumulateGrad, Graph, Part, run_backward
from .tensor import Tensor


class GradientEdge(NamedTuple):
    """A place in the graph where a gradient arrives: a node and which of its outputs."""

    node: Graph
    output_nr: int
    ownership_token: Any = None


def get_gradient_edge(tensor: Tensor) -> GradientEdge:
    """The place in the graph that holds a tensor's gradient; it can stand for the tensor in `grad` and `backward`."""
    node = tensor._node
    if node is None:
        raise RuntimeError(
            "It is not possible to get the gradient edge for a Tensor that does not require gradients"
        )
    return GradientEdge(node.target(), node.index(), node)


def _node_of(x) -> Graph | None:
    if isinstance(x, Tensor):
        return x._node
    if x.ownership_token is not None:
        return x.ownership_token
    return x.node if x.node.outputs() == 1 else Part(x.node, x.output_nr, x.node.plan.layouts[x.output_nr])


def _layout_of(x):
    if isinstance(x, Tensor):
        return x._layout
    node = x.node
    if type(node) is AccumulateGrad:
        return node.variable._layout
    layouts = node.layouts if hasattr(node, "layouts") else node.plan.layouts
    return layouts[x.output_nr]


def _tensors(x) -> tuple:
    return (x,) if isinstance(x, (Tensor, GradientEdge)) else tuple(x)


def _gradients(x, count: int) -> tuple:
    if x is None:
        return (None,) * count
    return (x,) if isinstance(x, Tensor) else tuple(x)


def starting_gradients(outputs, gradients, batched: bool = False) -> list[Tensor]:
    """The gradient with which each output starts, checked; ones for a single element."""
    found = []
    for k, (t, g) in enumerate(zip(outputs, gradients)):
        where = _layout_of(t)
        if g is None:
            if isinstance(t, Tensor) and t._node is None:
                continue  # the walk says which one has no gradient
            if where.numel != 1:
                raise RuntimeError("grad can be implicitly created only for scalar outputs")
            if not where.dtype.is_floating_point:
                raise RuntimeError(
                    f"grad can be implicitly created only for real scalar outputs but got {where.dtype}"
                )
            found.append(ops.ones(where.shape, dtype=where.dtype, device=where.device))
            continue
        if not isinstance(g, Tensor):
            raise TypeError(f"gradients can be either Tensors or None, but got {type(g).__name__}")
        _check_gradient(k, where, g, batched)
        found.append(g if g._layout.dtype is where.dtype else g.to(where.dtype))
    return found


def _check_gradient(k: int, where, g: Tensor, batched: bool) -> None:
    shape = tuple(g._layout.shape)
    if batched and shape[1:] != tuple(where.shape):
        raise RuntimeError(
            "If `is_grads_batched=True`, we interpret the first dimension of each grad_output as the batch dimension. The "
            "sizes of the remaining dimensions are expected to match the shape of corresponding output, but a mismatch was "
            f"detected: grad_output[{k}] has a shape of {g._layout.shape} and output[{k}] has a shape of {where.shape}. If "
            "you only want some tensors in `grad_output` to be considered batched, consider using vmap."
        )
    if not batched and shape != tuple(where.shape):
        raise RuntimeError(
            f"Mismatch in shape: grad_output[{k}] has a shape of {g._layout.shape} and output[{k}] has a shape of {where.shape}."
        )
    if where.dtype.is_complex != g._layout.dtype.is_complex:
        raise RuntimeError(
            "For complex Tensors, both grad_output and output are required to have the same dtype. Mismatch in dtype: "
            f"grad_output[{k}] has a dtype of {g._layout.dtype} and output[{k}] has a dtype of {where.dtype}."
        )


def _check_outputs(outputs) -> list[Graph]:
    nodes = []
    for k, t in enumerate(outputs):
        node = _node_of(t)
        if node is None:
            raise RuntimeError(f"element {k} of tensors does not require grad and does not have a grad_fn")
        nodes.append(node)
    return nodes


def backward(
    tensors,
    grad_tensors=None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    grad_variables=None,
    inputs=None,
) -> None:
    """Add to each leaf's `.grad` the sum of the gradients of `tensors` weighted by `grad_tensors`.

    inputs: accumulate into these only (and keep the gradient of those that are no leaves).

    >>> import flambeau as torch
    >>> x = torch.ones(3, requires_grad=True)
    >>> torch.autograd.backward((x * 2).sum())
    >>> x.grad
    tensor([2., 2., 2.])
    """
    if grad_variables is not None:
        if grad_tensors is not None:
            raise RuntimeError(
                "`grad_tensors` and `grad_variables` (deprecated) arguments both passed to `backward()`. Please only use "
                "`grad_tensors`."
            )
        grad_tensors = grad_variables
    if inputs is not None and not isinstance(inputs, (Tensor, GradientEdge)):
        inputs = tuple(inputs)
        if not inputs:
            raise RuntimeError("`inputs` argument to `backward()` cannot be empty.")
    outputs = _tensors(tensors)
    given = _gradients(grad_tensors, len(outputs))
    if len(given) != len(outputs):
        raise RuntimeError(f"got {len(outputs)} tensors and {len(given)} gradients")
    starts = starting_gradients(outputs, given)
    nodes = _check_outputs(outputs)
    keep = bool(create_graph) if retain_graph is None else bool(retain_graph)
    targets = None
    if inputs is not None:
        targets = {}
        for t in _tensors(inputs):
            if isinstance(t, Tensor) and (t._node is None or type(t._node) is not AccumulateGrad):
                t.retain_grad()
            node = _node_of(t)
            targets[id(node)] = node
    runner, RUNNER[0] = RUNNER[0], None
    if runner is not None:
        runner(run_backward, nodes, starts, retain_graph=keep, create_graph=create_graph, targets=targets)
    else:
        run_backward(nodes, starts, retain_graph=keep, create_graph=create_graph, targets=targets)


#: runs the next walk in its own way: what compiled functions leave for the gradients of their results
RUNNER: list = [None]


def grad(
    outputs, inputs, grad_outputs=None, retain_graph: bool | None = None, create_graph: bool = False, only_inputs: bool = True,
    allow_unused: bool | None = None, is_grads_batched: bool = False, materialize_grads: bool = False,
) -> tuple[Tensor, ...]:  # fmt: skip
    """Gradients of `outputs` with respect to `inputs`, without touching any `.grad`.

    Returns a tuple as long as `inputs`; None for an input that the outputs do not depend on (with `allow_unused`), or
    zeros (with `materialize_grads`).
    is_grads_batched: each of `grad_outputs` has a first dimension of its own, and so has each result.

    >>> import flambeau as torch
    >>> x = torch.tensor(3.0, requires_grad=True)
    >>> torch.autograd.grad(x * x, x)
    (tensor(6.),)
    """
    if materialize_grads and allow_unused is False:
        raise ValueError(
            "Expected allow_unused to be True or not passed when materialize_grads=True, but got: allow_unused=False."
        )
    allow = materialize_grads if allow_unused is None else bool(allow_unused)
    outputs = _tensors(outputs)
    inputs = _tensors(inputs)
    if not only_inputs:
        import warnings

        warnings.warn(
            "only_inputs argument is deprecated and is ignored now (defaults to True). To accumulate gradient for other "
            "parts of the graph, please use torch.autograd.backward.", FutureWarning, stacklevel=2,
        )  # fmt: skip
    if not inputs:
        raise RuntimeError("`inputs` argument to `grad()` cannot be empty.")
    given = _gradients(grad_outputs, len(outputs))
    starts = starting_gradients(outputs, given, is_grads_batched)
    nodes = _check_outputs(outputs)
    targets = [_node_of(t) for t in inputs]
    if any(node is None for node in targets):
        raise RuntimeError("One of the differentiated Tensors does not require grad")
    keep = bool(create_graph) if retain_graph is None else bool(retain_graph)
    if is_grads_batched:
        return _batched(inputs, nodes, starts, targets, keep, create_graph, allow, materialize_grads)
    return _captured(inputs, nodes, starts, targets, keep, create_graph, allow, materialize_grads)


def _captured(inputs, nodes, starts, targets, keep, create_graph, allow, materialize) -> tuple:
    found = run_backward(
        nodes,
        starts,
        retain_graph=keep,
        create_graph=create_graph,
        targets={id(n): n for n in targets},
        accumulate=False,
    )
    result = []
    for k, (t, node) in enumerate(zip(inputs, targets)):
        g = found.get(id(node))
        if g is None and not allow:
            raise RuntimeError(
                f"The differentiated Tensor at index {k} appears to not have been used in the graph. Set allow_unused=True "
                "if this is the desired behavior."
            )
        if g is None and materialize:
            where = _layout_of(t)
            g = ops.zeros(where.shape, dtype=where.dtype, device=where.device)
        result.append(g)
    return tuple(result)


def _batched(inputs, nodes, starts, targets, keep, create_graph, *how) -> tuple:
    """One walk for each element of the first dimension of the starting gradients."""
    count = starts[0]._layout.shape[0]
    rows = []
    for k in range(count):
        one = [g.select(0, k) for g in starts]
        rows.append(_captured(inputs, nodes, one, targets, keep or k < count - 1, create_graph, *how))
    return tuple(None if column[0] is None else ops.stack(list(column), 0) for column in zip(*rows))
