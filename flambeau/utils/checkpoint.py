"""Activation checkpointing: keep the inputs of a part of a model, and compute its insides again during backward.

Source: Chen et al., Training deep nets with sublinear memory cost, 2016.
"""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import flambeau
from flambeau.base.mode import mode
from flambeau.tensor.function import Function
from flambeau.tensor.generator import default_generator
from flambeau.tensor.grad_modes import enable_grad, no_grad, saved_tensors_hooks
from flambeau.tensor.tensor import Tensor

__all__ = [
    "CheckpointError", "CheckpointFunction", "check_backward_validity", "checkpoint", "checkpoint_sequential",
    "detach_variable", "noop_context_fn", "set_checkpoint_debug_enabled", "set_checkpoint_early_stop",
]  # fmt: skip


class CheckpointError(RuntimeError):
    """The second run of a function differs from the first."""


_settings = {"early stop": True, "debug": None}


@contextlib.contextmanager
def set_checkpoint_early_stop(enable: bool):
    """Within it, whether the second run ends as soon as all that backward needs has been computed again."""
    before, _settings["early stop"] = _settings["early stop"], enable
    try:
        yield
    finally:
        _settings["early stop"] = before


@contextlib.contextmanager
def set_checkpoint_debug_enabled(enabled: bool | None):
    """Within it, whether errors about differing runs list the tensors of both."""
    before, _settings["debug"] = _settings["debug"], enabled
    try:
        yield
    finally:
        _settings["debug"] = before


def noop_context_fn():
    """Two contexts that do nothing: for the first run and for the second."""
    return contextlib.nullcontext(), contextlib.nullcontext()


def check_backward_validity(inputs: Iterable[Any]) -> None:
    """Warn where no input has a gradient, so that reentrant checkpointing would give none."""
    if not any(isinstance(x, Tensor) and x.requires_grad for x in inputs):
        warnings.warn("None of the inputs have requires_grad=True. Gradients will be None", stacklevel=2)


def detach_variable(inputs: tuple[Any, ...]) -> tuple:
    """Copies of the tensors outside the graph, which want a gradient where the originals do."""
    if not isinstance(inputs, tuple):
        raise RuntimeError(
            "Only tuple of tensors is supported. Got Unsupported input type: ", type(inputs).__name__
        )
    return tuple(x.detach().requires_grad_(x.requires_grad) if isinstance(x, Tensor) else x for x in inputs)


@contextlib.contextmanager
def _random_state(state):
    """Within it, random numbers are those of the first run; afterwards the stream goes on as before."""
    if state is None:
        yield
        return
    now = default_generator.snapshot()
    default_generator.restore(state)
    try:
        yield
    finally:
        default_generator.restore(now)


def _autocast_as_now() -> Callable:
    """Gives, when called, a context in which autocast is set as it is now."""
    state = sys.modules.get("flambeau.amp.state")
    if state is None:  # nobody has used it
        return contextlib.nullcontext
    enabled, dtype = state.is_autocast_enabled("cpu"), state.get_autocast_dtype("cpu")
    cache = state.is_autocast_cache_enabled()
    return lambda: flambeau.autocast("cpu", dtype=dtype, enabled=enabled, cache_enabled=cache)


# -- reentrant: a function whose backward runs a backward of its own ------------------------------------------------------


class CheckpointFunction(Function):
    """Reentrant checkpointing: forward runs without a graph, backward builds it and walks it."""

    @staticmethod
    def forward(ctx, run_function, preserve_rng_state, *args):
        check_backward_validity(args)
        ctx.run_function = run_function
        ctx.autocast = _autocast_as_now()
        ctx.state = default_generator.snapshot() if preserve_rng_state else None
        ctx.places = [k for k, x in enumerate(args) if isinstance(x, Tensor)]
        ctx.others = [None if isinstance(x, Tensor) else x for x in args]
        ctx.save_for_backward(*[args[k] for k in ctx.places])
        with no_grad():
            return run_function(*args)

    @staticmethod
    def backward(ctx, *gradients):
        if mode.walk is None or mode.walk[1] is not None:
            raise RuntimeError(
                "When use_reentrant=True, torch.utils.checkpoint is incompatible with .grad() or passing an `inputs` "
                "parameter to .backward(). To resolve this error, you can either set use_reentrant=False, or call "
                ".backward() without passing the `inputs` argument."
            )
        inputs = list(ctx.others)
        for k, x in zip(ctx.places, ctx.saved_tensors):
            inputs[k] = x
        inputs = detach_variable(tuple(inputs))
        with _random_state(ctx.state), enable_grad(), ctx.autocast():
            outputs = ctx.run_function(*inputs)
        outputs = (outputs,) if isinstance(outputs, Tensor) else outputs
        pairs = [(o, g) for o, g in zip(outputs, gradients) if isinstance(o, Tensor) and o.requires_grad]
        if not pairs:
            raise RuntimeError("none of output has requires_grad=True, this checkpoint() is not necessary")
        flambeau.autograd.backward([o for o, _ in pairs], [g for _, g in pairs])
        return (None, None, *(x.grad if isinstance(x, Tensor) else None for x in inputs))


# -- not reentrant: what nodes save is replaced by a promise ---------------------------------------------------------------


class _SaveInputs(Function):
    """Keeps tensors as a node does, so that saved-tensor hooks around the checkpoint see them."""

    @staticmethod
    def forward(ctx, dummy, *tensors):
        ctx.save_for_backward(*tensors)
        return dummy.detach()

    @staticmethod
    def backward(ctx, *gradients):
        raise AssertionError("the inputs of a checkpoint have no derivative of their own")


class _Stop(Exception):
    """All that backward needs has been computed again."""


class _Frame:
    """One call of a checkpointed function: how to run it again, and what that gave."""

    def __init__(
        self, function: Callable, args: tuple, keywords: dict, state, context, check: bool, early_stop: bool
    ):
        self.function, self.keywords, self.state, self.context = function, keywords, state, context
        self.autocast = _autocast_as_now()
        self.places = [k for k, x in enumerate(args) if isinstance(x, Tensor)]
        self.others = [None if isinstance(x, Tensor) else x for x in args]
        dummy = flambeau.empty(0, requires_grad=True)
        self.node = _SaveInputs.apply(dummy, *[args[k] for k in self.places]).grad_fn
        self.check, self.early_stop = check, early_stop
        self.layouts: list = []  # of what the first run saved
        self.found: dict[int, Tensor] = {}  # computed again and not yet used
        self.seen: list = []

    def pack(self, tensor: Tensor) -> int:
        """Remember that a node saved something; its place stands for it."""
        self.layouts.append(tensor._layout.plain)
        return len(self.layouts) - 1

    def unpack(self, place: int) -> Tensor:
        """What was saved, computed again where it is not at hand; it is given once."""
        if place not in self.found:
            self.run_again()
        return self.found.pop(place)

    def run_again(self) -> None:
        """Run the function as the first time, catching what its nodes save."""
        args = list(self.others)
        for k, x in zip(self.places, self.node.saved_tensors):
            args[k] = x
        self.seen = []
        hooks = saved_tensors_hooks(self._keep, lambda tensor: tensor)
        with (
            contextlib.suppress(_Stop),
            _random_state(self.state),
            enable_grad(),
            self.autocast(),
            hooks,
            self.context,
        ):
            self.function(*args, **self.keywords)
        self._compare()

    def _keep(self, tensor: Tensor) -> Tensor:
        place = len(self.seen)
        self.seen.append(tensor._layout.plain)
        if place < len(self.layouts):
            self.found[place] = tensor.detach()
            if self.early_stop and place == len(self.layouts) - 1:
                raise _Stop
        return tensor.detach()

    def _compare(self) -> None:
        if len(self.seen) < len(self.layouts) or not self.early_stop and len(self.seen) != len(self.layouts):
            raise CheckpointError(
                "torch.utils.checkpoint: A different number of tensors was saved during the original forward and "
                f"recomputation.\nNumber of tensors saved during forward: {len(self.layouts)}\n"
                f"Number of tensors saved during recomputation: {len(self.seen)}"
            )
        if not self.check:
            return
        wrong = [
            f"tensor at position {k}:\nsaved metadata: {old}\nrecomputed metadata: {new}"
            for k, (old, new) in enumerate(zip(self.layouts, self.seen))
            if old.shape != new.shape or old.dtype is not new.dtype or old.device is not new.device
        ]
        if wrong:
            raise CheckpointError(
                "torch.utils.checkpoint: Recomputed values for the following tensors have different metadata than during the "
                "forward pass.\n" + "\n".join(wrong)
            )


def checkpoint(
    function: Callable, *args: Any, use_reentrant: bool | None = None, context_fn: Callable = noop_context_fn,
    determinism_check: str = "default", debug: bool = False, early_stop: bool = True, **kwargs: Any,
) -> Any:  # fmt: skip
    """Call ``function(*args)`` without keeping what its insides save for backward; backward runs it again.

    use_reentrant: False (best given) replaces what nodes save; True runs a backward inside backward, which needs an input
    with a gradient. context_fn: gives two contexts, for the first run and for the second. determinism_check: "none" skips
    the comparison of the two runs. preserve_rng_state (keyword, True): the second run draws the same random numbers.

    >>> import flambeau as torch
    >>> x = torch.ones(2, requires_grad=True)
    >>> torch.utils.checkpoint.checkpoint(lambda t: t.exp().sin(), x, use_reentrant=False).sum().backward()
    >>> x.grad
    tensor([-2.4783, -2.4783])
    """
    if use_reentrant is None:
        warnings.warn(
            "torch.utils.checkpoint: the use_reentrant parameter should be passed explicitly. Starting in PyTorch 2.9, "
            "calling checkpoint without use_reentrant will raise an exception. use_reentrant=False is recommended, but if "
            "you need to preserve the current default behavior, you can pass use_reentrant=True. Refer to docs for more "
            "details on the differences between the two variants.", stacklevel=2,
        )  # fmt: skip
        use_reentrant = True
    preserve = kwargs.pop("preserve_rng_state", True)
    if kwargs and use_reentrant:
        raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
    if use_reentrant:
        if context_fn is not noop_context_fn or debug is not False:
            raise ValueError("Passing `context_fn` or `debug` is only supported when use_reentrant=False.")
        return CheckpointFunction.apply(function, preserve, *args)
    if determinism_check not in ("default", "none"):
        raise ValueError(
            f"determinism_check should be one of ['default', 'none'], but got {determinism_check}"
        )
    first, second = context_fn()
    if not mode.grad:
        with first:
            return function(*args, **kwargs)
    frame = _Frame(
        function, args, kwargs, default_generator.snapshot() if preserve else None, second, determinism_check == "default",
        early_stop and _settings["early stop"],
    )  # fmt: skip
    with saved_tensors_hooks(frame.pack, frame.unpack), first:
        return function(*args, **kwargs)


def checkpoint_sequential(
    functions: Any, segments: int, input: Any, use_reentrant: bool | None = None, **kwargs: Any
) -> Any:
    """Run a sequence of functions in segments, each but the last one checkpointed.

    functions: a `Sequential`, or a list of modules or functions.
    """
    if use_reentrant is None:
        warnings.warn(
            "torch.utils.checkpoint.checkpoint_sequential: the use_reentrant parameter should be passed explicitly. In "
            "version 2.9 we will raise an exception if use_reentrant is not passed. use_reentrant=False is recommended, but "
            "if you need to preserve the current default behavior, you can pass use_reentrant=True. Refer to docs for more "
            "details on the differences between the two variants.", stacklevel=2,
        )  # fmt: skip
        use_reentrant = True
    preserve = kwargs.pop("preserve_rng_state", True)
    if kwargs:
        raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
    layers = list(functions.children()) if hasattr(functions, "children") else list(functions)

    def run(start: int, end: int) -> Callable:
        def forward(x):
            for layer in layers[start : end + 1]:
                x = layer(x)
            return x

        return forward

    size = len(layers) // segments
    end = -1
    for start in range(0, size * (segments - 1), size):
        end = start + size - 1
        input = checkpoint(run(start, end), input, use_reentrant=use_reentrant, preserve_rng_state=preserve)
    return run(end + 1, len(layers) - 1)(input)
