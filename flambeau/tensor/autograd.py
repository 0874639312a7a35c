"""The gradient graph: nodes, and the walk that runs them backwards.

A node remembers the operator, the nodes of its inputs (`edges`), and what its derivative rules name (`saved`).
Nodes are numbered as they are made; a node's consumers have larger numbers, so running the largest number first
visits every node once, after all gradients that flow into it, without recursion.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count

from ..base.layout import contiguous_strides
from ..base.mode import mode
from ..ops.define import ops
from . import node_hooks
from .names import grad_name
from .tensor import Tensor, make

next_number = count(1).__next__


class Graph:
    """What every node of the gradient graph has."""

    __slots__ = ("number", "edges", "extra", "__weakref__")

    def __repr__(self) -> str:
        return f"<{self.name()} object at {hex(id(self))}>"

    def name(self) -> str:
        """The name of the node, such as ``MulBackward0``."""
        return type(self).__name__

    def outputs(self) -> int:
        """How many results the node has, each with a gradient of its own."""
        return 1

    def __getattr__(self, name):
        if name == "extra":
            return
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    # -- the public face of grad_fn --
    @property
    def next_functions(self):
        return tuple(
            (e.target() if e is not None else None, e.index() if e is not None else 0) for e in self.edges
        )

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
        return node_hooks.RemovableHandle(self._extra().setdefault("hooks", {}), hook)

    def register_prehook(self, hook):
        """hook(grad_outputs) runs before this node; it may return new grad_outputs."""
        return node_hooks.RemovableHandle(self._extra().setdefault("prehooks", {}), hook)

    def release(self) -> None:
        """Drop what was saved for backward."""


class AccumulateGrad(Graph):
    """The end of the graph at a leaf: adds what arrives to the leaf's `.grad`."""

    __slots__ = ("_variable",)

    def __init__(self, variable: Tensor):
        self._variable = weakref.ref(variable)
        self.edges = ()
        self.number = 0
        self.extra = None

    @property
    def variable(self) -> Tensor | None:
        """The leaf."""
        return self._variable()

    def name(self) -> str:
        return "torch::autograd::AccumulateGrad"

    def __repr__(self) -> str:
        return f"<AccumulateGrad object at {hex(id(self))}>"


class Node(Graph):
    """A call of an operator. saved: tensors (or numbers) in the order of op.saved_inputs + op.saved_results."""

    __slots__ = ("op", "plan", "saved", "versions", "plain")

    def name(self) -> str:
        return grad_name(self)

    def outputs(self) -> int:
        return 1 if self.plan.lone else len(self.plan.layouts)

    def release(self) -> None:
        self.saved = None

    def __getattr__(self, name):
        if name == "extra":
            return None
        if name.startswith("_saved_"):
            return self._saved_value(name.removeprefix("_saved_"))
        raise AttributeError(f"'{self.name()}' object has no attribute '{name}'")

    def _saved_value(self, name: str):
        """What was saved under a name of the operator's signature (`self` is its first tensor)."""
        op = self.op
        name = op.tensors[0] if name == "self" else name
        if name not in (*op.saved_inputs, *op.saved_results, *op.plain):
            raise AttributeError(f"'{self.name()}' object has no attribute '_saved_{name}'")
        return self.values(False)[name]

    def values(self, attach: bool) -> dict:
        """What the derivative rules may name: saved tensors (checked), plain arguments, layouts of the inputs."""
        op, saved = self.op, self.saved
        names = (*op.saved_inputs, *op.saved_results)
        if saved is None:
            if names:
                raise RuntimeError(FREED)
            saved = ()
        values = dict(zip(op.plain, self.plain))
        values.update(self.plan.rule_values)
        extra = self.extra
        unpack = extra.get("unpack") if extra else None
        n = len(op.saved_inputs)
        for k, name in enumerate(names):
            one = saved[k]
            if unpack is not None and one is not None and k in unpack:
                one = self._unpacked(one, k, attach)
            elif isinstance(one, Tensor):
                check_version(self, one, self.versions[k], k)
                if k >= n and attach:
                    one = self._attached(one, k - n)
            elif isinstance(one, tuple):
                for t, v in zip(one, self.versions[k]):
                    check_version(self, t, v, k)
            values[name] = one
        return values

    def _unpacked(self, packed, k: int, attach: bool):
        """What a saved-tensor hook gives back, with the history of the value that it packed."""
        op, unpack = self.op, self.extra["unpack"][k]
        one = unpacked(unpack, packed)
        if not attach:
            return one
        n = len(op.saved_inputs)
        if k >= n:
            return self._attached(one, k - n)
        at = self.plan.spread[op.saved_inputs[k]]
        edge = self.edges[at] if isinstance(at, int) else None
        if edge is not None and one._node is not edge:
            one = make(one._memory, one._layout.plain, one._offset)
            one._node = edge
        return one

    def gather(self, arrived: dict) -> list:
        """Gradients of all outputs in order; an output that nobody used has zeros (None for an integer one)."""
        return [
            arrived.get(k)
            if k in arrived or where.dtype.kind < 2
            else ops.zeros(where.shape, dtype=where.dtype)
            for k, where in enumerate(self.plan.layouts)
        ]

    def _attached(self, result: Tensor, k: int) -> Tensor:
        """A saved result as part of the graph, for a second derivative."""
        alias = make(result._memory, result._layout, result._offset)
        parts = (self.extra or {}).get("parts")
        place = int(self.op.saved_results[k].removeprefix("result") or 0)
        if parts is None:
            if place == 0:
                alias._node = self
            return alias
        part = parts.get(place)
        if (
            part is None
            and result._layout.dtype.kind >= 2
            and place not in getattr(self.op.rules, "nondifferentiable", ())
        ):
            part = parts[place] = Part(
                self, place, result._layout
            )  # the output itself is gone: nobody kept it
        alias._node = part
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
                    if where is not None and (
                        one._layout.shape != where.shape or one._layout.dtype is not where.dtype
                    ):
                        one = fit(one, where)
                result[at] = one
        return result


def unpacked(unpack, packed) -> Tensor:
    """What an unpack hook makes of what was packed."""
    one = unpack(packed)
    if not isinstance(one, Tensor):
        raise TypeError(
            f"Output of saved tensor unpack_hook expected to be a Tensor but got result of type {type(one).__name__}"
        )
    return one


class Part(Graph):
    """One output of a node with several: hands its gradient to that node."""

    __slots__ = ("node", "place", "layout")

    def __init__(self, node: Graph, place: int, layout):
        self.node, self.place, self.layout = node, place, layout
        self.edges = (node,)
        self.number = next_number()
        self.extra = None

    def target(self):
        return self.node

    def index(self) -> int:
        return self.place

    def name(self) -> str:
        return self.node.name()

    def register_hook(self, hook):
        return self.node.register_hook(hook)

    def register_prehook(self, hook):
        return self.node.register_prehook(hook)

    def __repr__(self) -> str:
        return repr(self.node)


FREED = (
    "Trying to backward through the graph a second time (or directly access saved tensors after they have already "
    "been freed). Saved intermediate values of the graph are freed when you call .backward() or autograd.grad(). "
    "Specify retain_graph=True if you need to backward through the graph a second time or if you need to access "
    "saved tensors after calling backward."
)


def check_version(node, tensor: Tensor, then: int, place: int) -> None:
    """Raise when a saved tensor was written since `node` saved it; `place` is its place among what was saved."""
    now = version_of(tensor)
    if now == then:
        return
    where = tensor._layout
    maker = tensor._node
    op = getattr(node, "op", None)
    output = 0
    if op is not None and place >= len(op.saved_inputs):  # a result of the node itself
        maker = node
        output = int(op.saved_results[place - len(op.saved_inputs)].removeprefix("result") or 0)
    elif maker is not None:
        output = maker.index()
    origin = ""
    if maker is not None and type(maker) is not AccumulateGrad:
        head, found, number = maker.name().rpartition("Backward")
        made_by = head + (number if number != "0" else "") if found else maker.name()
        origin = f", which is output {output} of {made_by},"
    hint = (
        "the backtrace further above shows the operation that failed to compute its gradient. The variable in question "
        "was changed in there or anywhere later. Good luck!"
        if mode.anomaly
        else "enable anomaly detection to find the operation that failed to compute its gradient, with "
        "torch.autograd.set_detect_anomaly(True, check_nan=False)."
    )
    kind = "torch.FloatTensor" if not hasattr(tensor, "type") else tensor.type()
    raise RuntimeError(
        "one of the variables needed for gradient computation has been modified by an inplace operation: "
        f"[{kind} [{', '.join(map(str, where.shape))}]]{origin} is at version {now}; expected version {then} instead. "
        f"Hint: {hint}"
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


def expandable(small, large) -> bool:
    """Whether a tensor of the first shape can be broadcast to the second."""
    lead = len(large) - len(small)
    return lead >= 0 and all(n in (1, m) for n, m in zip(small, large[lead:]))


def sum_to(t: Tensor, shape) -> Tensor:
    """Sum over the dimensions along which `shape` was broadcast to the tensor's shape."""
    lead = len(t._layout.shape) - len(shape)
    dims = list(range(lead))
    dims += [lead + d for d, n in enumerate(shape) if n == 1 and t._layout.shape[lead + d] != 1]
    if dims:
        t = ops.sum(t, dims, True)
    return t if not lead else ops.view(t, list(shape))


#: whether a profiler times the nodes: then each goes through `_run_node`, which it replaces
WATCHED: list[bool] = [False]
#: what is told of the ends of the graph, as a list, before a walk gives them their gradients
ENDS: list[Callable | None] = [None]

# -- the walk ------------------------------------------------------------------------------------------------


def run_backward(
    roots: list, gradients: list, *, retain_graph: bool, create_graph: bool, targets: dict | None = None,
    accumulate: bool = True,
) -> dict:  # fmt: skip
    """Walk from the root nodes with their gradients to the leaves.

    targets: nodes (or parts of nodes) by id whose incoming gradient is wanted; only paths that lead to them run then.
    Returns the captured gradients by id of the target node.
    """
    waiting: dict = {}  # gradient that has arrived so far, by node
    leaves: dict = {}  # the same for the ends of the graph
    heap: list = []
    captured: dict = {}
    needed = running = None
    if targets is not None:
        needed, running = _leading_to(roots, targets)
    before, outer = mode.grad, mode.walk
    mode.grad = bool(create_graph) and (before or True)
    mode.walk = (roots, needed)
    plain = not create_graph and needed is None and not mode.anomaly and not WATCHED[0]
    node = None
    try:
        for node, g in zip(roots, gradients):
            _deliver(node, g, waiting, leaves, heap)
        while heap:
            node = heappop(heap)[1]
            arrived = waiting.pop(node)
            kind = type(node)
            if plain and kind is Node and node.extra is None and type(arrived) is not dict:
                flows = node.plan.flow(node, arrived)
                if not retain_graph:
                    node.saved = None
            else:
                if node.extra is not None:
                    arrived = node_hooks.before(node, arrived)
                if needed is not None:
                    if id(node) in targets:
                        captured[id(node)] = arrived
                    if id(node) not in running:
                        continue
                if kind is Node and needed is not None:
                    flows = _run_towards(node, arrived, needed, create_graph, retain_graph)
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
        ends = list(leaves)
        if ENDS[0] is not None:
            ENDS[0](ends)
        for node in ends:
            arrived = leaves.pop(node)
            if node.extra is not None:
                arrived = node_hooks.before(node, arrived)
            if targets is not None and id(node) in targets:
                captured[id(node)] = arrived
            if accumulate and (targets is None or id(node) in targets):
                _accumulate(node, arrived, create_graph)
    except Exception as error:
        if node is not None:
            node_hooks.explain_origin(node, error)
        raise
    finally:
        mode.grad, mode.walk = before, outer
    return captured


def _run_towards(node: Node, arrived, needed: set[int], create_graph: bool, retain_graph: bool) -> list:
    """Run a node, computing no gradient that leads to no target."""
    every = node.edges
    node.edges = tuple([e if e is not None and id(e) in needed else None for e in every])
    try:
        return _run_node(node, arrived, create_graph, retain_graph)
    finally:
        node.edges = every


def _leading_to(roots, targets: dict) -> tuple[set[int], set[int]]:
    """Ids of the nodes whose gradient matters, and of those among them that must run: a target may be an end."""
    needed: set[int] = set(targets)
    running: set[int] = set()
    done: set[int] = set()
    stack = [(r, False) for r in roots]
    while stack:
        node, finished = stack.pop()
        if finished:
            if any(e is not None and id(e) in needed for e in node.edges):
                needed.add(id(node))
                running.add(id(node))
        elif id(node) not in done:
            done.add(id(node))
            stack.append((node, True))
            stack.extend((e, False) for e in node.edges if e is not None and id(e) not in done)
    return needed, running


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
    if g is not None:
        have[part.place] = g if have.get(part.place) is None else ops.add(have[part.place], g)


def _run_node(node, arrived, create_graph: bool, retain_graph: bool) -> list:
    """Run a node in general form: with hooks, several outputs, anomaly mode."""
    many = type(arrived) is dict
    given = None
    if node.extra is not None:
        given = [arrived.get(k) for k in range(node.outputs())] if many else [arrived]
        changed = node_hooks.run_prehooks(node, given)
        if changed is not None:
            given = changed
            arrived = {k: g for k, g in enumerate(given) if g is not None} if many else given[0]
    flows = node.run(node.gather(arrived) if many else [arrived], create_graph)
    if not retain_graph:
        node.release()
    if given is not None:
        flows = node_hooks.after(node, flows, given)
    if mode.anomaly and mode.anomaly_nan:
        for k, flow in enumerate(flows):
            if flow is not None and flow._layout.dtype.kind >= 2 and bool(ops.isnan(flow).any()):
                raise RuntimeError(f"Function '{node.name()}' returned nan values in its {k}th output.")
    return flows


def _accumulate(node: AccumulateGrad, g: Tensor, create_graph: bool) -> None:
    """Add a gradient to the `.grad` of a leaf, which never shares memory with anything else."""
    leaf = node._variable()
    if leaf is None:
        return
    if node.extra is not None:
        changed = node_hooks.run_prehooks(node, [g])
        g = g if changed is None else changed[0]
    have = leaf._grad
    if have is None:
        where = leaf._layout.plain
        if g._layout.strides != (where.strides if where.dense else contiguous_strides(where.shape)):
            g = _laid_out_as(g, where)
        elif SHARED[0](g):
            g = _copy(g)
        leaf._grad = g if create_graph or g._node is None else g.detach()
    elif create_graph:
        leaf._grad = ops.add(have, g)
    else:
        before, mode.grad = mode.grad, False
        try:
            leaf._grad = ops.add_(have, g)
        finally:
            mode.grad = before
    if node.extra is not None:
        node_hooks.after(node, (), [g])
        for hook in list(node.extra.get("post_accumulate", {}).values()):
            hook(leaf)


def _copy(g: Tensor) -> Tensor:
    """A copy in memory of its own."""
    return g.clone()


def _laid_out_as(g: Tensor, where) -> Tensor:
    """A copy with the strides of a dense leaf, else in row-major order: what optimisers expect."""
    if not where.dense:
        return _copy(g).contiguous()
    fresh = ops.empty_strided(tuple(where.shape), where.strides, dtype=where.dtype, device=where.device)
    return ops.copy_(fresh, g)


#: whether a gradient's memory may be seen by others; set by the dispatcher
SHARED: list = [lambda g: True]
