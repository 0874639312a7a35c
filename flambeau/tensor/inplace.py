"""Writing in place: what is allowed, and how the gradient history of a tensor, its base and their views follows."""

from __future__ import annotations

import warnings

from ..base.layout import contiguous_layout, layout
from ..base.mode import mode
from ..ops.define import ops
from ..ops.view_strided import strided_gradient
from . import dispatch
from .autograd import AccumulateGrad, Graph, Node, Part, expandable, fit, next_number
from .plan import check_no_self_overlap
from .tensor import Tensor, make


def check_writable(target: Tensor, others=()) -> None:
    """Raise unless `target` may be written in place now."""
    if not mode.inference and target._memory is not None and dispatch.runtime().of_inference(target._memory):
        raise RuntimeError(dispatch.runtime().NOT_WRITTEN)
    if not mode.grad:
        return
    base = target._base
    own = target._node is not None or base is not None and base._node is not None
    if not own and not any(isinstance(x, Tensor) and x._node is not None for x in others):
        return
    if base is not None:
        check_view(target, base)
        if own and (base._node is None or type(base._node) is AccumulateGrad):
            raise RuntimeError(
                "a view of a leaf Variable that requires grad is being used in an in-place operation."
            )
    if type(target._node) is AccumulateGrad:
        raise RuntimeError("a leaf Variable that requires grad is being used in an in-place operation.")


SEVERAL = (
    " This view is the output of a function that returns multiple views. Such functions do not allow the output views to be "
    "modified inplace. You should replace the inplace operation by an out-of-place one."
)
WITHOUT_RECORDING = "A view was created in no_grad mode and is being modified inplace with grad mode enabled."
AMBIGUOUS = (
    " Given that this use case is ambiguous and error-prone, it is forbidden. You can clarify your code by moving both the "
    "view and the inplace either both inside the no_grad block (if you don't want the inplace to be tracked) or both outside "
    "(if you want the inplace to be tracked)."
)


def check_view(view: Tensor, base: Tensor) -> None:
    """Raise where a view may not be written: one of several made at once, or one made while nothing was recorded."""
    if type(view._views) is tuple or one_of_several(view._node):
        node = view._node
        header = WITHOUT_RECORDING
        if node is not None:
            header = f"Output {node.index()} of {node.name().removesuffix('Backward0')} is a view and is being modified inplace."
        raise RuntimeError(header + SEVERAL)
    if view._node is None and not any(known() is view for known in base._views or ()):
        raise RuntimeError(WITHOUT_RECORDING + AMBIGUOUS)


def one_of_several(node) -> bool:
    """Whether a view's history leads through views to an output of unbind, split or chunk."""
    while type(node) is Node and node.op.kind == "View":
        (node,) = node.edges
    return type(node) is Part and type(node.node) is not Node and getattr(node.node, "several_views", False)


def overlap(a: Tensor, b: Tensor) -> bool:
    """Whether the byte ranges of two tensors over the same memory meet (equal layouts at one place do not count)."""
    if a._layout.numel == 0 or b._layout.numel == 0:
        return False
    size_a, size_b = a._layout.dtype.itemsize, b._layout.dtype.itemsize
    end_a = a._offset + a._layout.extent * size_a
    end_b = b._offset + b._layout.extent * size_b
    if end_a <= b._offset or end_b <= a._offset:
        return False
    if (
        a._offset == b._offset
        and a._layout.shape == b._layout.shape
        and a._layout.strides == b._layout.strides
    ):
        return False
    if a._layout.dense and b._layout.dense:
        return True
    # Interleaved views, such as x[0::2] and x[1::2]: compare the places that they reach, where that is cheap.
    if size_a == size_b and a._layout.numel + b._layout.numel < 1 << 16:
        return not reached(a).isdisjoint(reached(b))
    return False


OVERLAP = (
    "unsupported operation: some elements of the input tensor and the written-to tensor refer to a single memory location. "
    "Please clone() the tensor before performing the operation."
)
#: operators whose `out` must not overlap what they read; those after the bar may write over their first input itself
SEPARATE_OUT = {"masked_select", "index_select", "take", "gather", "cat", "kthvalue"}
SEPARATE_OTHERS = {"scatter", "scatter_add", "scatter_reduce", "index_add", "index_copy", "index_reduce"}


def forbid_overlap(target: Tensor, others) -> None:
    """Raise where an operand shares memory with the tensor that is written."""
    for x in others:
        for one in x if isinstance(x, (list, tuple)) else (x,):
            if (
                isinstance(one, Tensor)
                and one._memory is target._memory
                and one._memory is not None
                and meets(target, one)
            ):
                raise RuntimeError(OVERLAP)


def meets(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors over the same memory share elements, equal ones included."""
    same = (
        a._offset == b._offset
        and a._layout.shape == b._layout.shape
        and a._layout.strides == b._layout.strides
    )
    return bool(a._layout.numel) if same else overlap(a, b)


def check_out_overlap(op, args: tuple, out) -> None:
    """Raise where `out` overlaps itself or an input, for the operators that cannot write over what they read."""
    if op.name not in SEPARATE_OUT and op.name not in SEPARATE_OTHERS:
        return
    for one in out if isinstance(out, (tuple, list)) else (out,):
        if not isinstance(one, Tensor):
            continue
        if op.name != "cat":
            check_no_self_overlap(one._layout)
        skip = op.name in SEPARATE_OTHERS and args[0] is one
        forbid_overlap(one, args[1:] if skip else args)


def reached(t: Tensor) -> set[int]:
    places = {t._offset}
    for n, s in zip(t._layout.shape, t._layout.strides):
        places = {p + i * s * t._layout.dtype.itemsize for p in places for i in range(n)}
    return places


class CopySlices(Graph):
    """History of a base one of whose views was written: the written part's gradient goes through the view's node."""

    __slots__ = ("inner", "base_layout", "view_layout", "move")

    def __init__(self, base: Tensor, view: Tensor, inner):
        self.inner, self.base_layout, self.view_layout = inner, base._layout.plain, view._layout.plain
        self.move = places_between(base, view)
        # The inner node's first edge (the view before the write) is reached through the base's old history.
        self.edges = (base._node, *inner.edges[1:])
        self.number = next_number()
        self.extra = None

    def name(self) -> str:
        return "torch::autograd::CopySlices"

    def __repr__(self) -> str:
        return f"<CopySlices object at {hex(id(self))}>"

    def release(self) -> None:
        self.inner.release()

    def run(self, gradients: list, create_graph: bool) -> list:
        (g,) = gradients
        whole = as_base(g, self.base_layout)
        part = region(whole, self.view_layout, self.move)
        inner = self.inner
        edges, wanted = inner.edges, self.edges[0] is not None
        if wanted and edges[0] is None:
            inner.edges = (self.edges[0], *edges[1:])
        try:
            flows = inner.run([part.clone()], create_graph)
        finally:
            inner.edges = edges
        if not wanted:
            return [None, *flows[1:]]
        if flows[0] is None:
            ops.zero_(part)
        else:
            ops.copy_(part, flows[0])
        return [whole, *flows[1:]]


def places_between(base: Tensor, view: Tensor) -> int:
    """Elements (of the view's type) between the first elements of a base and of its view."""
    return (view._offset - base._offset) // view._layout.dtype.itemsize


def as_base(g: Tensor, base) -> Tensor:
    """A copy of a gradient laid out like the base, so that the view's strides reach the same elements."""
    memory = dispatch.runtime().allocate(base.extent * base.dtype.itemsize) if g._memory is not None else None
    fresh = make(memory, layout(base.shape, base.strides, g._layout.dtype, base.device))
    return ops.copy_(fresh, g)


def region(whole: Tensor, view, move: int) -> Tensor:
    """The part of a gradient that a view covers; the view may read the elements as real or complex numbers."""
    if view.dtype is not whole._layout.dtype:
        whole = ops.view_as_real(whole) if whole._layout.dtype.is_complex else ops.view_as_complex(whole)
    return ops.strided_at(whole, view.shape, view.strides, move)


class Restrided(Graph):
    """History of a view after its base was written: the base's gradient at the view's elements."""

    __slots__ = ("base_layout", "view_layout", "move")

    def __init__(self, base: Tensor, view: Tensor):
        self.base_layout, self.view_layout = base._layout.plain, view._layout.plain
        self.move = places_between(base, view)
        self.edges = (base._node,)
        self.number = next_number()
        self.extra = None

    def name(self) -> str:
        return "AsStridedBackward0"

    def run(self, gradients: list, create_graph: bool) -> list:
        (g,), base, view = gradients, self.base_layout, self.view_layout
        if view.dtype is base.dtype:
            return [strided_gradient(g, base, view.strides, self.move)]
        # The view reads the base's elements as parts of complex numbers, or pairs of them as one.
        if base.dtype.is_complex:
            parts = layout((*base.shape, 2), (*(2 * s for s in base.strides), 1), view.dtype, base.device)
            return [ops.view_as_complex(strided_gradient(g, parts, view.strides, self.move).contiguous())]
        pairs = layout(base.shape[:-1], [s // 2 for s in base.strides[:-1]], view.dtype, base.device)
        return [ops.view_as_real(strided_gradient(g, pairs, view.strides, self.move))]


class OtherShape(Graph):
    """Stands before the node of a tensor that took another shape outside the graph: its gradient must still fit the node."""

    __slots__ = ("layout",)

    def __init__(self, node, layout):
        self.edges, self.layout = (node,), layout
        self.number = next_number()
        self.extra = None

    def name(self) -> str:
        return self.edges[0].name()

    @property
    def next_functions(self):
        return self.edges[0].next_functions

    def run(self, gradients: list, create_graph: bool) -> list:
        (g,) = gradients
        got, need = g._layout.shape, self.layout.shape
        if got != need and not expandable(need, got):
            raise RuntimeError(
                f"{self.giver()}invalid gradient at index 0 - got {list(got)} but expected shape compatible with {list(need)}"
            )
        return [fit(g, self.layout)]

    def giver(self) -> str:
        """Who gave the gradient, in words: a node of the walk under way that leads here."""
        stack, seen = list(mode.walk[0]), set()
        while stack:
            node = stack.pop()
            if node is None or id(node) in seen:
                continue
            seen.add(id(node))
            if any(edge is self for edge in node.edges):
                return f"Function {node.name()} returned an "
            stack.extend(node.edges)
        return ""


def note_shape(target: Tensor, before) -> None:
    """Let gradients be checked of a tensor that has a history and took another shape than this layout outside the graph."""
    node = target._node
    if node is None or type(node) is AccumulateGrad:
        return
    if type(node) is OtherShape:
        node, before = node.edges[0], node.layout
    target._node = node if target._layout.shape == before.shape else OtherShape(node, before.plain)


def rewrite_history(target: Tensor, node) -> None:
    """Make `node`, which computed what was just written into `target`, part of the history of everything it touches."""
    base = target._base
    if base is None:
        keep_retained(target, target._node, node)
        target._node = node
        renew_views(target)
        return
    copied = CopySlices(base, target, node)
    keep_retained(base, base._node, copied)
    base._node = copied
    renew_views(base)
    if type(target._node) is not Restrided:  # a view that the base does not list
        target._node = Restrided(base, target)


def keep_retained(tensor: Tensor, old, new) -> None:
    """`retain_grad` follows the tensor to its new node; hooks stay with the value they were registered on."""
    if old is None or not old.extra or "retain" not in old.extra:
        return
    mine = [reference for reference in old.extra["retain"] if reference() is tensor]
    if mine:
        old.extra["retain"] = [reference for reference in old.extra["retain"] if reference() is not tensor]
        new._extra().setdefault("retain", []).extend(mine)


def renew_views(base: Tensor) -> None:
    """Give every live view of `base` a history that starts at the base as it is now."""
    views = base._views
    if not views or type(views) is tuple:
        return
    alive = []
    for reference in views:
        view = reference()
        if view is not None:
            alive.append(reference)
            fresh = Restrided(base, view)
            keep_retained(view, view._node, fresh)
            view._node = fresh
    base._views = alive


def restride(op, target: Tensor, args: tuple) -> Tensor:
    """In-place form of a view operator: the target keeps its memory and takes the view's shape and strides."""
    ready, values, key = dispatch.prepare(op, args)
    plan = op.plans.get(key)
    if plan is None:
        try:
            plan = op.plans[key] = dispatch.make_plan(op, values)
        except RuntimeError as error:  # a message that names the function names this one
            raise RuntimeError(str(error).replace(f"{op.name}()", f"{op.name}_()", 1)) from None
    before = make(target._memory, target._layout.plain, target._offset)
    before._node = target._node
    base = target._base
    target._layout = plan.layout
    target._offset += plan.move
    if target._memory is not None:
        dispatch.runtime().bump(target._memory)
    if before._node is not None and mode.grad and plan.differentiable:
        if base is None:
            result = make(target._memory, plan.layout, target._offset)
            target._node = dispatch.record(op, plan, (before, *ready[1:]), (result,))
        else:  # the base's values are as they were: the view only reads them in another way
            target._node = Restrided(base, target)
    elif before._node is not None and base is not None and base._node is not None:
        target._node = Restrided(base, target)
    else:
        note_shape(target, before._layout)
    return target


def resize_for_out(out: Tensor, shape) -> None:
    """Resize an `out` tensor of the wrong shape, with PyTorch's warning when it held elements."""
    if out._layout.numel:
        warnings.warn(
            f"An output with one or more elements was resized since it had shape {list(out._layout.shape)}, which does "
            f"not match the required output shape {list(shape)}. This behavior is deprecated, and in a future PyTorch "
            "release outputs will not be resized unless they have zero elements. You can explicitly reuse an out tensor "
            "t by resizing it, inplace, to zero elements with t.resize_(0).",
            UserWarning, stacklevel=4,
        )  # fmt: skip
    where = contiguous_layout(shape, out._layout.dtype, out._layout.device)
    if out._memory is not None:
        runtime = dispatch.runtime()
        if runtime.foreign(out._memory) and runtime.nbytes(out._memory) < where.nbytes:
            raise RuntimeError("Trying to resize storage that is not resizable")
    out._memory = dispatch.runtime().allocate(where.nbytes) if where.device.type == "cpu" else None
    out._offset, out._layout, out._base = 0, where, None


def without_version(t: Tensor) -> Tensor:
    """The same elements outside the graph, with a version counter of their own: what `x.data` gives."""
    if t._memory is None:
        return make(None, t._layout.plain, t._offset)
    runtime = dispatch.runtime()
    return make(runtime.uncounted(t._memory), t._layout.plain, t._offset)
