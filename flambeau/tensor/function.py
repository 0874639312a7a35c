"""Operators with a derivative written by the user: `autograd.Function`."""

from __future__ import annotations

from ..base.mode import mode
from ..ops.define import ops
from .autograd import Graph, Part, next_number, version_of
from .tensor import Tensor, make, new_object


class FunctionContext:
    """What `forward` hands to `backward`: `ctx.save_for_backward(...)`, then `ctx.saved_tensors`, and any attribute."""

    def save_for_backward(self, *tensors) -> None:
        """Keep tensors (inputs or outputs, or None) for backward; they are checked for in-place changes."""
        self._to_save = tensors

    def save_for_forward(self, *tensors) -> None:
        """Keep tensors for `jvp`."""
        self._to_save_forward = tensors

    def mark_dirty(self, *tensors) -> None:
        """Name the inputs that forward changes in place."""
        self._dirty = tensors

    def mark_non_differentiable(self, *tensors) -> None:
        """Name the outputs that carry no gradient."""
        self._non_differentiable = tensors

    def set_materialize_grads(self, value: bool) -> None:
        """Whether backward gets zeros (True) or None for an output that nobody used."""
        self._materialize = bool(value)


class BackwardNode(Graph, FunctionContext):
    """The node of one call of a Function; it is also the context (`ctx`)."""

    function: type

    def __init__(self):
        self.extra = None
        self.saved = None
        self.layouts: tuple = ()
        self._to_save = ()
        self._dirty = ()
        self._non_differentiable = ()
        self._materialize = True
        self._freed = False

    def name(self) -> str:
        return f"{self.function.__name__}Backward"

    @property
    def needs_input_grad(self) -> tuple[bool, ...]:
        """For each input of forward, whether it needs a gradient."""
        return self._needs

    @property
    def saved_tensors(self) -> tuple:
        """The tensors that forward saved."""
        if self._freed:
            from .autograd import FREED

            raise RuntimeError(FREED)
        if self.saved is None:
            return tuple(self._to_save)
        found = []
        for packed, unpack, then, output in self.saved:
            one = unpack(packed) if unpack is not None else packed
            if isinstance(one, Tensor) and unpack is None:
                if version_of(one) != then:
                    from .autograd import check_version

                    check_version(self, one, then, len(found))
                if output is not None:
                    one = make(one._memory, one._layout, one._offset)
                    one._node = self if output < 0 else Part(self, output, one._layout)
            found.append(one)
        return tuple(found)

    saved_variables = saved_tensors

    def pack(self, outputs: list[Tensor]) -> None:
        """Turn what forward saved into what is kept: outputs without their history, hooks applied."""
        hooks = mode.__dict__.get("hooks")
        pack, unpack = hooks[-1] if hooks else (None, None)
        kept = []
        for t in self._to_save:
            if t is not None and not isinstance(t, Tensor):
                raise TypeError(f"save_for_backward can only save variables, but argument {len(kept)} is of type {type(t).__name__}")
            if t is None:
                kept.append((None, None, 0, None))
                continue
            output = next((k for k, o in enumerate(outputs) if o is t), None)
            one = t if output is None else make(t._memory, t._layout, t._offset)
            if pack is not None:
                kept.append((pack(one), unpack, 0, None))
            else:
                kept.append((one, None, version_of(one), None if output is None else -1 if len(outputs) == 1 else output))
        self.saved = kept
        self._to_save = ()

    def release(self) -> None:
        self.saved, self._freed = None, True

    def gather(self, arrived: dict) -> list:
        return [arrived.get(k) for k in range(len(self.layouts))]

    def run(self, gradients: list, create_graph: bool) -> list:
        if self._materialize:
            gradients = [
                ops.zeros(where.shape, dtype=where.dtype) if g is None and where is not None else g
                for g, where in zip(gradients, self.layouts)
            ]
        backward = self.function.backward
        if backward is Function.backward:
            backward = self.function.vjp
        found = backward(self, *gradients)
        found = found if isinstance(found, tuple) else (found,)
        count = len(self._needs)
        if len(found) > count and all(f is None for f in found[count:]):
            found = found[:count]
        if len(found) != count:
            raise RuntimeError(f"function {self.name()} returned an incorrect number of gradients (expected {count}, got {len(found)})")
        flows = []
        for k, (g, where) in enumerate(zip(found, self._inputs)):
            if g is None or where is None:
                flows.append(None)
                continue
            if not isinstance(g, Tensor):
                raise TypeError(f"expected Variable or None (got {type(g).__name__})")
            if g._layout.shape != where.shape:
                g = self._fit(g, where, k)
            flows.append(g if g._layout.dtype is where.dtype else g.to(where.dtype))
        return flows

    def _fit(self, g: Tensor, where, k: int) -> Tensor:
        from .autograd import sum_to

        try:
            return sum_to(g, where.shape)
        except Exception:
            raise RuntimeError(
                f"Function {self.name()} returned an invalid gradient at index {k} - got {list(g._layout.shape)} but "
                f"expected shape compatible with {list(where.shape)}"
            ) from None


class Function:
    """Base of operators with a derivative of your own.

    >>> import flambeau as torch
    >>> class Square(torch.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         ctx.save_for_backward(x)
    ...         return x * x
    ...     @staticmethod
    ...     def backward(ctx, g):
    ...         (x,) = ctx.saved_tensors
    ...         return 2 * x * g
    >>> x = torch.tensor(3.0, requires_grad=True)
    >>> Square.apply(x).backward()
    >>> x.grad
    tensor(6.)
    """

    generate_vmap_rule = False

    def __init__(self, *args, **keywords):
        raise RuntimeError(f"{type(self)} should not be instantiated. Methods on autograd functions are all static, so you "
                           "should invoke them on the class itself.")  # fmt: skip

    @staticmethod
    def forward(*args, **keywords):
        """Compute the outputs; gets `ctx` first unless `setup_context` is defined."""
        raise NotImplementedError("You must implement the forward function for custom autograd.Function.")

    @staticmethod
    def setup_context(ctx, inputs, output):
        """Save what backward needs, where forward takes no `ctx`."""
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx, *grad_outputs):
        """Gradients of the inputs from those of the outputs, None for inputs without one."""
        raise NotImplementedError(
            "You must implement either the backward or vjp method for your custom autograd.Function to use it with backward "
            "mode AD."
        )

    vjp = backward

    @classmethod
    def apply(cls, *args, **keywords):
        """Call the operator."""
        node = new_object(_node_type(cls))
        node.__init__()
        nodes = tuple(a._node if isinstance(a, Tensor) else None for a in args)
        recording = bool(mode.grad) and any(n is not None for n in nodes)
        node._needs = tuple(n is not None and bool(mode.grad) for n in nodes)
        node._inputs = tuple(a._layout.plain if isinstance(a, Tensor) else None for a in args)
        before, mode.grad = mode.grad, False
        try:
            if cls.setup_context is Function.setup_context:
                found = cls.forward(node, *args, **keywords)
            else:
                found = cls.forward(*args, **keywords)
                cls.setup_context(node, args, found)
        finally:
            mode.grad = before
        single = not isinstance(found, tuple)
        outputs = [found] if single else list(found)
        if recording:
            outputs = _record(node, nodes, args, outputs)
        elif not recording:
            node.saved = None
        return outputs[0] if single else tuple(outputs)


_types: dict[type, type] = {}


def _node_type(function: type) -> type:
    made = _types.get(function)
    if made is None:
        made = _types[function] = type(f"{function.__name__}Backward", (BackwardNode,), {"function": function})
        function._backward_cls = made
    return made


def _record(node, nodes, args, outputs: list) -> list:
    """Attach the node to the outputs; an input that is returned as it is becomes a new tensor (or a changed one)."""
    made = []
    for o in outputs:
        if isinstance(o, Tensor) and any(o is a for a in args) and not any(o is d for d in node._dirty):
            o = make(o._memory, o._layout, o._offset, type(o))
        made.append(o)
    tensors = [o for o in made if isinstance(o, Tensor)]
    node.edges = nodes
    node.number = next_number()
    node.layouts = tuple(o._layout.plain for o in tensors)
    skip = [id(t) for t in node._non_differentiable]
    originals = [o for o in outputs if isinstance(o, Tensor)]
    node.pack(tensors)
    for k, (t, original) in enumerate(zip(tensors, originals)):
        if id(original) in skip or t._layout.dtype.kind < 2:
            continue
        part = node if len(tensors) == 1 else Part(node, k, t._layout)
        if any(t is d for d in node._dirty):
            from .inplace import rewrite_history

            rewrite_history(t, part)
        else:
            t._node = part
            t._base = None
    if mode.grad is not True:
        from . import grad_modes

        saved, node.saved = node.saved, None
        grad_modes.watch(node)
        node.saved = saved
    return made


def once_differentiable(function):
    """Mark a backward that cannot itself be differentiated."""

    def wrapped(ctx, *args):
        before, mode.grad = mode.grad, False
        try:
            return function(ctx, *args)
        finally:
            mode.grad = before

    return wrapped
