"""Operators that give several views of one tensor at once (unbind, split): one node for all pieces."""

from __future__ import annotations

from ..base.mode import mode
from ..ops.define import OPERATORS, Operator
from . import dispatch
from .autograd import Node, Part, next_number
from .plan import Plan
from .tensor import Tensor, new_object, track_view


class PiecesNode(Node):
    """The node of a call with several views: its rule receives the list of the pieces' gradients (None where unused)."""

    __slots__ = ()
    several_views = True

    def gather(self, arrived: dict) -> list:
        return [arrived.get(k) for k in range(self.plan.count)]

    def run(self, gradients: list, create_graph: bool) -> list:
        return Node.run(self, [gradients], create_graph)


def make_pieces(op: Operator, plan: Plan, source: Tensor, plain: tuple) -> tuple:
    """The views of a plan with several layouts."""
    memory, offset, base = source._memory, source._offset, source._base
    if base is None:
        base = source
    pieces = []
    add = pieces.append
    for where, move in zip(plan.layouts, plan.move):
        one = new_object(Tensor)
        one._memory = memory
        one._offset = offset + move
        one._layout = where
        one._base = base
        one._node = None
        add(one)
    if mode.grad and plan.differentiable:
        _record(op, plan, source, plain, base, pieces)
    return tuple(pieces)


def _record(op: Operator, plan: Plan, source: Tensor, plain: tuple, base: Tensor, pieces: list) -> None:
    """Tell the base of its pieces, mark them as not to be written, and give them their part of the node."""
    node = None
    if source._node is not None:
        node = new_object(PiecesNode)
        node.op, node.plan, node.edges = op, plan, (source._node,)
        node.saved = node.versions = ()
        node.plain, node.number, node.extra = plain, next_number(), None
        if mode.grad is not True:
            dispatch.watch(node)
    for k, one in enumerate(pieces):
        # What a base's slot holds about its views says of a view why it may not be written in place.
        one._views = (op, k)
        track_view(base, one)
        if node is not None:
            one._node = Part(node, k, one._layout)


def _function(op: Operator):
    """The operator's function: the plan's look-up, then the pieces."""
    plans, default = op.plans, op.arguments[-1].default

    def unsized(input, dim=default, *, axis=None):
        if axis is not None:
            dim = axis
        try:
            plan = plans[input._layout, dim]
        except (KeyError, AttributeError, TypeError):
            return dispatch.invoke(op, (input, dim))
        return make_pieces(op, plan, input, (dim,))

    def sized(input, size, dim=default):
        try:
            plan = plans[input._layout, size, dim]
        except (KeyError, AttributeError, TypeError):
            return dispatch.invoke(op, (input, size, dim))
        return make_pieces(op, plan, input, (size, dim))

    function = sized if len(op.plain) == 2 else unsized
    function.__name__ = function.__qualname__ = op.name
    function.__doc__, function.__module__, function.operator = op.doc, "flambeau", op
    return function


def install() -> None:
    """Give the operators with several views their functions."""
    for name in ("unbind", "split_evenly", "split_with_sizes"):
        OPERATORS[name].compiled["function"] = _function(OPERATORS[name])
