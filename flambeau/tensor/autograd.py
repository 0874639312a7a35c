"""The gradient graph: nodes, and the walk that runs them backwards.

A node remembers the operator, the nodes of its inputs (`edges`), and what its derivative rules name (`saved`).
Nodes are numbered as they are made; a node's consumers have larger numbers, so running the largest number first
visits every node once, after all gradients that flow into it, without recursion.
"""

from __future__ import annotations

import weakref
from heapq import heappop, heappush
from itertools import count

from ..base.mode import mode
from ..ops.define import Operator, ops
from .tensor import Tensor, make

next_number = count(1).__next__


class Graph:
    """What every node of the gradient graph has."""

    __slots__ = ("number", "edges", "extra", "__weakref__")

    def __repr__(self) -> str:
        return f"<{self.name()} object at {hex(id(self))}>"

    def name(self) -> str:
        return type(self).__name__

    def __getattr__(self, name):
        if name == "extra":
            return None
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    # -- the public face of grad_fn --
    @property
    def next_functions(self):
        return tuple((e.target() if e is not None else None, e.index() if e is not None else 0) for e in self.edges)

    @property
    def metadata(self) -> dict:
        return self._extra().setdefault("metadata", {})

    def _extra(self) -> dict:
        if self.extra is None:
            self.extra = {}
        return self.extra

    def target(self):
        """The node itself (an output's part points at the node that computes it)."""
        return self

    def index(self) -> int:
        return 0

    def register_hook(self, hook):
        """hook(grad_inputs, grad_outputs) runs after this node; it may return new grad_inputs."""
        return RemovableHandle(self._extra().setdefault("hooks", {}), hook)

    def register_prehook(self, hook):
        """hook(grad_outputs) runs before this node; it may return new grad_outputs."""
        return RemovableHandle(self._extra().setdefault("prehooks", {}), hook)

    def _register_hook_dict(self, tensor):
        pass

    def release(self) -> None:
        """Drop what was saved for backward."""


class RemovableHandle:
    """Removes a hook again: `handle.remove()`, or as a context manager."""

    _next = count().__next__

    def __init__(self, hooks: dict, hook):
        self.id = RemovableHandle._next()
        self.hooks = hooks
        hooks[self.id] = hook

    def remove(self) -> None:
        self.hooks.pop(self.id, None)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.remove()


class AccumulateGrad(Graph):
    """The end of the graph at a leaf: adds what arrives to the leaf's `.grad`."""

    __slots__ = ("_variable",)

    def __init__(self, variable: Tensor):
        self._variable = weakref.ref(variable)
        self.edges = ()
        self.number = 0

    @property
    def variable(self) -> Tensor | None:
        return self._variable()


class Node(Graph):
    """A call of an operator. saved: tensors (or numbers) in the order of op.saved_inputs + op.saved_results."""

    __slots__ = ("op", "plan", "saved", "versions", "plain")

    def name(self) -> str:
        return backward_name(self.op)

    def release(self) -> None:
        self.saved = None

    def values(self, attach: bool) -> dict:
        """What the derivative rules may name: saved tensors (checked), plain arguments, layouts of the inputs."""
        op, saved = self.op, self.saved
        if saved is None:
            raise RuntimeError(FREED)
        values = dict(zip(op.plain, self.plain))
        values.update(self.plan.rule_values)
        extra = self.extra
        unpack = extra.get("unpack") if extra else None
        n = len(op.saved_inputs)
        for k, name in enumerate((*op.saved_inputs, *op.saved_results)):
            one = saved[k]
            if unpack is not None and one is not None and k in unpack:
                one = unpack[k](one)
            elif isinstance(one, Tensor):
                check_version(self, one, self.versions[k], k)
                if k >= n and attach:
                    one = self._attached(one, k - n)
            elif isinstance(one, tuple):
                for t, v in zip(one, self.versions[k]):
                    check_version(self, t, v, k)
            values[name] = one
        return values

    def gather(self, arrived: dict) -> list:
        """Gradients of all outputs in order; an output that nobody used has zeros (None for an integer one)."""
        return [
            arrived.get(k) if k in arrived or where.dtype.kind < 2 else ops.zeros(where.shape, dtype=where.dtype)
            for k, where in enumerate(self.plan.layouts)
        ]

    def _attached(self, result: Tensor, k: int) -> Tensor:
        """A saved result as part of the graph, for a second derivative."""
        alias = make(result._memory, result._layout, result._offset)
        parts = (self.extra or {}).get("parts")
        alias._node = self if parts is None else parts.get(int(self.op.saved_results[k].removeprefix("result") or 0))
        return alias

    def run(self, gradients: list, create_graph: bool) -> list:
        """Gradients for `edges` from the gradients of the outputs."""
        op = self.op
        if op.kind == "Pointwise" and not create_graph and op.outputs == 1:
            return self.plan.flow(self, gradients[0])
        values = self.values(create_graph)
        if op.outputs == 1:
            values["g"] = gradients[0]
        else:
            for k, g in enumerate(gradients):
                values[f"g{k}"] = g
        spread = self.plan.spread  # how edges map to tensor arguments
        result: list = [None] * len(self.edges)
        edges = self.edges
        values["needs"] = {n: any(edges[i] is not None for i in at) if isinstance(at, range) else edges[at] is not None
                           for n, at in spread.items()}  # fmt: skip
        joint = None
        if op.joint is not None:
            found = op.joint(*[values[a] for a in next(iter(op.derivatives.values()))[1]])
            joint = dict(zip(op.tensors, found, strict=True))
        for name, (rule, arguments) in op.derivatives.items():
            at = spread[name]
            if joint is not None:
                one = joint[name]
                if one is not None and edges[at] is not None:
                    where = self.plan.inputs[at]
                    same = one._layout.shape == where.shape and one._layout.dtype is where.dtype
                    result[at] = one if same else fit(one, where)
            elif isinstance(at, range):
                if any(edges[i] is not None for i in at):
                    for i, one in zip(at, rule(*[values[a] for a in arguments]), strict=True):
                        result[i] = one if edges[i] is not None else None
            elif edges[at] is not None:
                one = rule(*[values[a] for a in arguments])
                if one is not None:
                    where = self.plan.inputs[at]
                    if where is not None and (one._layout.shape != where.shape or one._layout.dtype is not where.dtype):
                        one = fit(one, where)
                result[at] = one
        return result


class Part(Graph):
    """One output of a node with several: hands its gradient to that node."""

    __slots__ = ("node", "place", "layout")

    def __init__(self, node: Graph, place: int, layout):
        self.node, self.place, self.layout = node, place, layout
        self.edges = (node,)
        self.number = next_number()

    def target(self):
        return self.node

    def index(self) -> int:
        return self.place

    def name(self) -> str:
        return self.node.name()

    def __repr__(self) -> str:
        return repr(self.node)


FREED = (
    "Trying to backward through the graph a second time (or directly access saved tensors after they have already "
    "been freed). Saved intermediate values of the graph are freed when you call .backward() or autograd.grad(). "
    "Specify retain_graph=True if you need to backward through the graph a second time or if you need to access "
    "saved tensors after calling backward."
)


def backward_name(op: Operator) -> str:
    name = NODE_NAMES.get(op.name) or "".join(part.capitalize() for part in op.name.split("_"))
    return f"{name}Backward0"


#: names of nodes that PyTorch calls otherwise than our operator
NODE_NAMES = {
    "swapaxes": "Transpose", "split_evenly": "Split", "strided_at": "AsStrided", "index_put_at": "IndexPut",
    "scatter_into": "Scatter", "index_fill_with": "IndexFill", "strided_sum": "DiagEmbed", "put_flat": "Put", "take_flat": "Take",
}  # fmt: skip


def check_version(node, tensor: Tensor, then, place: int) -> None:
    now = version_of(tensor)
    if now != then:
        shape = ", ".join(map(str, tensor._layout.shape))
        kind = tensor.type() if hasattr(tensor, "type") else tensor._layout.dtype
        raise RuntimeError(
            "one of the variables needed for gradient computation has been modified by an inplace operation: "
            f"[{kind} [{shape}]], which is output {place} of {node.name()}, is at version {now}; "
            f"expected version {then} instead. Hint: enable anomaly detection to find the operation that failed to "
            "compute its gradient, with torch.autograd.set_detect_anomaly(True)."
        )


def version_of(tensor: Tensor) -> int:
    return 0 if tensor._memory is None else VERSION[0](tensor._memory)


#: reads the version of a memory block; set by the dispatcher
VERSION: list = [lambda memory: 0]
def fit(gradient: Tensor, where) -> Tensor:
    """A gradient brought to the shape (summing over broadcast dimensions) and type of the input it belongs to."""
    if gradient._layout.shape != where.shape:
        gradient = sum_to(gradient, where.shape)
    if gradient._layout.dtype is not where.dtype:
        if gradient._layout.dtype.is_complex and not where.dtype.is_complex:
            gradient = ops.real(gradient)
        if gradient._layout.dtype is not where.dtype:
            gradient = gradient.to(where.dtype)
    return gradient


def sum_to(t: Tensor, shape) -> Tensor:
    """Sum over the dimensions along which `shape` was broadcast to the tensor's shape."""
    lead = len(t._layout.shape) - len(shape)
    dims = list(range(lead))
    dims += [lead + d for d, n in enumerate(shape) if n == 1 and t._layout.shape[lead + d] != 1]
    if dims:
        t = ops.sum(t, dims, True)
    return t if not lead else ops.view(t, list(shape))


# -- the walk ------------------------------------------------------------------------------------------------


def run_backward(
    roots: list, gradients: list, *, retain_graph: bool, create_graph: bool, targets: dict | None = None,
    accumulate: bool = True,
) -> dict:  # fmt: skip
    """Walk from the root nodes with their gradients to the leaves.

    targets: nodes (or (node, output) parts) whose incoming gradient is wanted; only paths that lead to them run then.
    Returns the captured gradients by id of the target node.
    """
    waiting: dict = {}  # gradient that has arrived so far, by node
    leaves: dict = {}  # the same for the ends of the graph
    heap: list = []
    captured: dict = {}
    needed = _leading_to(roots, targets) if targets is not None else None
    before = mode.grad
    mode.grad = bool(create_graph) and (before or True)
    plain = not create_graph and not mode.anomaly
    try:
        for node, g in zip(roots, gradients):
            _deliver(node, g, waiting, leaves, heap)
        while heap:
            node = heappop(heap)[1]
            arrived = waiting.pop(node)
            if node.extra is not None:
                arrived = _before(node, arrived)
            if needed is not None:
                if id(node) in targets:
                    captured[id(node)] = arrived
                if id(node) not in needed:
                    continue
            kind = type(node)
            if kind is Node and plain and type(arrived) is not dict and node.extra is None:
                flows = node.plan.flow(node, arrived)
                if not retain_graph:
                    node.saved = None
            elif kind is Part:
                _deliver_part(node, arrived, waiting, heap)
                continue
            else:
                flows = _run_node(node, arrived, create_graph, retain_graph)
            for edge, flow in zip(node.edges, flows):
                if edge is not None and flow is not None and (needed is None or id(edge) in needed):
                    if type(edge) is AccumulateGrad:
                        have = leaves.get(edge)
                        leaves[edge] = flow if have is None else ops.add(have, flow)
                    else:
                        have = waiting.get(edge)
                        if have is None:
                            waiting[edge] = flow
                            heappush(heap, (-edge.number, edge))
                        else:
                            waiting[edge] = ops.add(have, flow)
            flow = flows = arrived = have = None  # hold no gradient longer than needed
        while leaves:
            node, arrived = leaves.popitem()
            if node.extra is not None:
                arrived = _before(node, arrived)
            if targets is not None and id(node) in targets:
                captured[id(node)] = arrived
            if accumulate and (targets is None or id(node) in targets):
                _accumulate(node, arrived, create_graph)
    except RuntimeError as error:
        _explain_origin(node, error)
        raise
    finally:
        mode.grad = before
    return captured


def _leading_to(roots, targets: dict) -> set[int]:
    """Ids of the nodes from which a target can be reached."""
    needed: set[int] = set(targets)
    done: set[int] = set()
    stack = [(r, False) for r in roots]
    while stack:
        node, finished = stack.pop()
        if finished:
            if any(e is not None and id(e) in needed for e in node.edges):
                needed.add(id(node))
        elif id(node) not in done:
            done.add(id(node))
            stack.append((node, True))
            stack.extend((e, False) for e in node.edges if e is not None and id(e) not in done)
    return needed


def _deliver(node: Graph, g, waiting: dict, leaves: dict, heap: list) -> None:
    """Add a gradient to what has arrived at a node."""
    place = leaves if type(node) is AccumulateGrad else waiting
    have = place.get(node)
    if have is None:
        place[node] = g
        if place is waiting:
            heappush(heap, (-node.number, node))
    else:
        place[node] = ops.add(have, g)


def _deliver_part(part: Part, g, waiting: dict, heap: list) -> None:
    node = part.node
    have = waiting.get(node)
    if have is None:
        have = waiting[node] = {}
        heappush(heap, (-node.number, node))
    have[part.place] = g if have.get(part.place) is None else ops.add(have[part.place], g)


def _run_node(node, arrived, create_graph: bool, retain_graph: bool) -> list:
    if type(arrived) is dict:
        arrived = node.gather(arrived)
    else:
        arrived = [arrived]
    flows = node.run(arrived, create_graph)
    if not retain_graph:
        node.release()
    if node.extra is not None:
        flows = _after(node, flows, arrived)
    if mode.anomaly and mode.anomaly_nan:
        for k, flow in enumerate(flows):
            if flow is not None and flow._layout.dtype.kind >= 2 and bool(ops.isnan(flow).any()):
                raise RuntimeError(f"Function '{node.name()}' returned nan values in its {k}th output.")
    return flows


def _explain_origin(node, error: BaseException) -> None:
    line = (node.extra or {}).get("line")
    if line and not any(line in note for note in getattr(error, "__notes__", ())):
        error.add_note(f"the forward call that this gradient belongs to:\n{line}")


def _before(node, arrived):
    """Tensor hooks and node pre-hooks."""
    extra = node.extra
    for hook in list(extra.get("tensor_hooks", {}).values()):
        changed = hook(arrived)
        if changed is not None:
            arrived = changed
    for keep in extra.get("retain", ()):
        t = keep()
        if t is not None:
            t._grad = arrived if t._grad is None else ops.add(t._grad, arrived)
    for hook in list(extra.get("prehooks", {}).values()):
        changed = hook((arrived,))
        if changed is not None:
            arrived = changed[0] if isinstance(changed, tuple) else changed
    return arrived


def _after(node, flows, arrived):
    hooks = node.extra.get("hooks")
    for hook in list(hooks.values()) if hooks else ():
        changed = hook(tuple(flows), tuple(arrived))
        if changed is not None:
            flows = list(changed) if isinstance(changed, (tuple, list)) else [changed]
    return flows


def _accumulate(node: AccumulateGrad, g: Tensor, create_graph: bool) -> None:
    leaf = node._variable()
    if leaf is None:
        return
    have = leaf._grad
    if have is None:
        if g._layout is not leaf._layout.plain and (not g._layout.dense or g._layout.strides != leaf._layout.strides):
            g = g.clone(memory_format=None) if not g._layout.dense else g
        elif SHARED[0](g):
            g = g.clone()
        leaf._grad = g if create_graph else g.detach()
    elif create_graph:
        leaf._grad = ops.add(have, g)
    else:
        before, mode.grad = mode.grad, False
        try:
            leaf._grad = ops.add_(have, g)
        finally:
            mode.grad = before
    hooks = (node.extra or {}).get("post_accumulate", {})
    for hook in list(hooks.values()):
        hook(leaf)


#: whether a gradient's memory may be seen by others; set by the dispatcher
SHARED: list = [lambda g: True]
