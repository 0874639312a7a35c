"""Operators with a derivative written by the user: `autograd.Function`."""

from __future__ import annotations

import functools
import warnings

from ..base.mode import mode
from ..ops.define import ops
from .autograd import (
    FREED,
    AccumulateGrad,
    Graph,
    Part,
    check_version,
    expandable,
    fit,
    next_number,
    version_of,
)
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
        for k, t in enumerate(tensors):
            if not isinstance(t, Tensor):
                raise RuntimeError(
                    f"mark_dirty can only accept variables, but argument {k} is of type {type(t).__name__}"
                )
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
        self._to_save: tuple = ()
        self._dirty: tuple = ()
        self._non_differentiable: tuple = ()
        self._materialize = True
        self._freed = False

    def name(self) -> str:
        return f"{self.function.__name__}Backward"

    def outputs(self) -> int:
        return len(self.layouts)

    @property
    def needs_input_grad(self) -> tuple[bool, ...]:
        """For each input of forward, whether it needs a gradient."""
        return self._needs or ()

    @property
    def saved_tensors(self) -> tuple:
        """The tensors that forward saved."""
        if self._freed:
            raise RuntimeError(FREED)
        if self.saved is None:
            return tuple(self._to_save)
        found = []
        for packed, unpack, then, origin in self.saved:
            one = packed
            if unpack is not None:
                one = unpack(packed)
                if not isinstance(one, Tensor):
                    raise TypeError(
                        "Output of saved tensor unpack_hook expected to be a Tensor but got result of type "
                        f"{type(one).__name__}"
                    )
            elif isinstance(one, Tensor) and version_of(one) != then:
                check_version(self, one, then, len(found))
            if origin is not None and one._node is not origin:
                one = make(one._memory, one._layout.plain, one._offset, type(one))
                one._node = Part(self, origin, one._layout) if type(origin) is int else origin
            found.append(one)
        return tuple(found)

    def pack(self, outputs: list) -> None:
        """Turn what forward saved into what is kept: outputs without their history, hooks applied.

        Per tensor: what is kept, the hook that unpacks it, its version, and where its history comes from when it is
        handed out again (an output's number, or the node of an input that a hook packed).
        """
        from .grad_modes import active_hooks, packed

        hooks = active_hooks()
        kept: list[tuple] = []
        for k, t in enumerate(self._to_save):
            if t is None:
                kept.append((None, None, 0, None))
                continue
            if not isinstance(t, Tensor):
                raise TypeError(
                    f"save_for_backward can only save variables, but argument {k} is of type {type(t).__name__}"
                )
            output = next((n for n, o in enumerate(outputs) if o is t), None)
            if hooks is not None:
                kept.append((packed(t, hooks[0]), hooks[1], 0, t._node if output is None else output))
            elif output is not None:
                kept.append(
                    (make(t._memory, t._layout.plain, t._offset, type(t)), None, version_of(t), output)
                )
            else:
                kept.append((t, None, version_of(t), None))
        self.saved = kept
        self._to_save = ()

    def release(self) -> None:
        if self.saved:
            self._freed = True
        self.saved = None

    def gather(self, arrived: dict) -> list:
        return [arrived.get(k) for k in range(len(self.layouts))]

    def run(self, gradients: list, create_graph: bool) -> list:
        if len(gradients) != len(self.layouts):
            gradients = gradients + [None] * (len(self.layouts) - len(gradients))
        if self._materialize:
            gradients = [
                ops.zeros(where.shape, dtype=where.dtype, device=where.device)
                if g is None and where is not None
                else g
                for g, where in zip(gradients, self.layouts)
            ]
        return self._flows(self._call(gradients))

    def _call(self, gradients: list) -> tuple:
        function = self.function
        own = function.backward is not Function.backward
        if own and function.vjp is not Function.vjp:
            raise RuntimeError(
                "Implementing both 'backward' and 'vjp' for a custom Function is not allowed. You should only implement one "
                "of them."
            )
        found = (function.backward if own else function.vjp)(self, *gradients)
        found = found if isinstance(found, tuple) else (found,)
        count = len(self._needs)
        if len(found) > count and all(f is None for f in found[count:]):
            found = found[:count]
        if len(found) != count:
            raise RuntimeError(
                f"function {self.name()} returned an incorrect number of gradients (expected {count}, got {len(found)})"
            )
        for g in found:
            if g is not None and not isinstance(g, Tensor):
                raise RuntimeError(f"expected Variable or None (got {type(g).__name__})")
        return found

    def _flows(self, found: tuple) -> list:
        """The gradients for the edges, brought to the shapes and types of the inputs."""
        flows: list = []
        for k, (g, where, edge) in enumerate(zip(found, self._inputs, self.edges)):
            if g is None or edge is None:
                flows.append(None)
                continue
            if g._layout.shape != where.shape and not expandable(where.shape, g._layout.shape):
                raise RuntimeError(
                    f"Function {self.name()} returned an invalid gradient at index {k} - got {list(g._layout.shape)} but "
                    f"expected shape compatible with {list(where.shape)}"
                )
            flows.append(fit(g, where))
        return flows


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
        warnings.warn(
            f"{type(self)} should not be instantiated. Methods on autograd functions are all static, so you should invoke "
            "them on the class itself. Instantiating an autograd function will raise an error in a future version of "
            "PyTorch.", DeprecationWarning, stacklevel=2,
        )  # fmt: skip

    def __call__(self, *args, **keywords):
        raise RuntimeError(
            "Legacy autograd function with non-static forward method is deprecated. Please use new-style autograd function "
            "with static forward method. (Example: https://pytorch.org/docs/stable/autograd.html#torch.autograd.Function)"
        )

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

    @staticmethod
    def jvp(ctx, *grad_inputs):
        """Directional derivatives of the outputs, for forward mode."""
        raise NotImplementedError(
            "You must implement the jvp function for custom autograd.Function to use it with forward mode AD."
        )

    @classmethod
    def apply(cls, *args, **keywords):
        """Call the operator."""
        separate = cls.setup_context is not Function.setup_context
        if keywords or separate:
            args, keywords = _bound(cls.forward, separate, args, keywords)
        node = new_object(_node_type(cls))
        node.__init__()
        nodes = tuple([a._node if isinstance(a, Tensor) else None for a in args])
        node._needs = needs = tuple([n is not None for n in nodes])
        node._inputs = tuple([a._layout.plain if isinstance(a, Tensor) else None for a in args])
        before, mode.grad = mode.grad, False
        try:
            if separate:
                found = cls.forward(*args, **keywords)
                cls.setup_context(node, args, found)
            else:
                found = cls.forward(node, *args, **keywords)
        finally:
            mode.grad = before
        single = not isinstance(found, tuple)
        outputs = [found] if single else list(found)
        outputs = _record(node, nodes, args, outputs, bool(before) and any(needs))
        return outputs[0] if single else tuple(outputs)


class InplaceFunction(Function):
    """A Function that may write its input; the flag is kept for old programs."""

    def __init__(self, inplace: bool = False):
        super().__init__()
        self.inplace = inplace


def _bound(forward, separate: bool, args: tuple, keywords: dict) -> tuple[tuple, dict]:
    """Arguments by position, defaults filled in, as `setup_context` and the number of gradients need them."""
    import inspect

    signature = inspect.signature(forward)
    bound = signature.bind(*args, **keywords) if separate else signature.bind(None, *args, **keywords)
    bound.apply_defaults()
    return (bound.args if separate else bound.args[1:]), bound.kwargs


_types: dict[type, type] = {}


def _node_type(function: type) -> type:
    made = _types.get(function)
    if made is None:
        made = _types[function] = type(
            f"{function.__name__}Backward", (BackwardNode,), {"function": function}
        )
        function._backward_cls = made
    return made


def _is_one_of(t, tensors) -> bool:
    return any(t is other for other in tensors)


def _record(node, nodes, args, outputs: list, recording: bool) -> list:
    """Attach the node to the outputs; an input that is returned as it is becomes a new tensor (or a changed one)."""
    dirty = node._dirty
    if dirty:
        _check_dirty(dirty, outputs, recording)
    made = []
    for o in outputs:
        if isinstance(o, Tensor) and _is_one_of(o, args) and not _is_one_of(o, dirty):
            o = make(o._memory, o._layout, o._offset, type(o))
        made.append(o)
    if not recording:
        node.saved = None
        return made
    node.edges = nodes
    node.number = next_number()
    node.layouts = tuple([o._layout.plain if isinstance(o, Tensor) else None for o in made])
    node.pack(
        [new if _is_one_of(old, node._to_save) and old is not new else old for old, new in zip(outputs, made)]
    )
    for k, (t, original) in enumerate(zip(made, outputs)):
        if (
            isinstance(t, Tensor)
            and t._layout.dtype.kind >= 2
            and not _is_one_of(original, node._non_differentiable)
        ):
            _attach(node, k, t, len(made), args)
    node._dirty = node._non_differentiable = ()  # they would hold the outputs, which hold the node
    if mode.grad is not True:
        from . import grad_modes

        grad_modes.remember_line(node)
    return made


def _check_dirty(dirty, outputs: list, recording: bool) -> None:
    from .dispatch import runtime

    for t in dirty:
        if not _is_one_of(t, outputs):
            raise RuntimeError(
                "Some elements marked as dirty during the forward method were not returned as output. The inputs that are "
                "modified inplace must all be outputs of the Function."
            )
        if recording and type(t._node) is AccumulateGrad:
            raise RuntimeError("a leaf Variable that requires grad has been used in an in-place operation.")
        if t._memory is not None:
            runtime().bump(t._memory)


def _attach(node, k: int, t: Tensor, count: int, args) -> None:
    """Make the node (or its part) the history of an output."""
    part = node if count == 1 else Part(node, k, t._layout)
    if _is_one_of(t, node._dirty):
        from .inplace import rewrite_history

        rewrite_history(t, part)
        return
    t._node = part
    if t._memory is not None and any(isinstance(a, Tensor) and a._memory is t._memory for a in args):
        if t._extra is None:
            t._extra = {}
        t._extra["made_in_function"] = True  # a write in place would go round the function's derivative
    t._base = None


class _Error(Graph):
    """The end of a graph that cannot be followed further: raises when a gradient comes through."""

    def __init__(self, text: str, nodes: tuple):
        self.text, self.edges, self.number, self.extra = text, nodes, next_number(), None

    def name(self) -> str:
        return "Error"

    def run(self, gradients: list, create_graph: bool) -> list:
        raise RuntimeError(self.text)


def once_differentiable(function):
    """Mark a backward that cannot itself be differentiated."""

    @functools.wraps(function)
    def wrapped(ctx, *args):
        before, mode.grad = mode.grad, False
        try:
            outputs = function(ctx, *args)
        finally:
            mode.grad = before
        if not before:
            return outputs
        nodes = tuple(a._node for a in args if isinstance(a, Tensor) and a._node is not None)
        if not nodes:
            return outputs
        error = _Error(
            "trying to differentiate twice a function that was marked with @once_differentiable", nodes
        )
        found = []
        for o in outputs if isinstance(outputs, tuple) else (outputs,):
            if isinstance(o, Tensor):
                o = make(o._memory, o._layout, o._offset, type(o))
                o._node = error
            found.append(o)
        return tuple(found)

    return wrapped
