"""Switches of gradient recording: no_grad, enable_grad, inference_mode, anomaly mode, saved-tensor hooks."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any

from ..base.mode import mode
from . import dispatch
from .autograd import version_of
from .tensor import Tensor

_OWN_FOLDER = os.path.dirname(os.path.dirname(__file__)) + os.sep

_GENERATOR = 0x20  # flag of a generator function's code


class _Switch:
    """A context manager that is also a decorator (of functions, generators and classes' methods)."""

    def __call__(self, function):
        if getattr(getattr(function, "__code__", None), "co_flags", 0) & _GENERATOR:

            @functools.wraps(function)
            def generator(*args, **keywords):
                made = function(*args, **keywords)
                sent = None
                while True:
                    with self.clone():
                        try:
                            item = made.send(sent)
                        except StopIteration as stop:
                            return stop.value
                    sent = yield item

            return generator

        @functools.wraps(function)
        def wrapped(*args, **keywords):
            with self.clone():
                return function(*args, **keywords)

        return wrapped

    def clone(self) -> Any:
        return type(self)()


def recording() -> object:
    """The value of mode.grad while gradients are recorded: True, or "watched" under hooks or anomaly mode."""
    return "watched" if mode.anomaly or mode.hooks else True


class no_grad(_Switch):
    """Within it, operators record no gradient. Also a decorator.

    >>> import flambeau as torch
    >>> x = torch.ones(2, requires_grad=True)
    >>> with torch.no_grad():
    ...     (x * 2).requires_grad
    False
    """

    before: object = True

    def __new__(cls, function=None) -> Any:
        self = object.__new__(cls)
        return self if function is None else self(function) if callable(function) else self

    def __enter__(self):
        self.before = mode.grad
        mode.grad = False

    def __exit__(self, *exc):
        mode.grad = self.before


class enable_grad(no_grad):
    """Within it, operators record gradients again. Also a decorator."""

    def __enter__(self):
        self.before = mode.grad
        mode.grad = False if mode.inference else recording()


class set_grad_enabled(_Switch):
    """Switch recording on or off, at once; as a context manager, until its end."""

    def __init__(self, enabled: bool):
        self.before, self.enabled = mode.grad, bool(enabled)
        mode.grad = recording() if enabled else False

    def __call__(self, function):
        mode.grad = self.before
        return super().__call__(function)

    def __enter__(self):
        mode.grad = recording() if self.enabled else False

    def __exit__(self, *exc):
        mode.grad = self.before

    def clone(self):
        return set_grad_enabled(self.enabled)


class inference_mode(_Switch):
    """Like no_grad; tensors made within it cannot be saved for a gradient later, nor written outside. Also a decorator.

    >>> import flambeau as torch
    >>> with torch.inference_mode():
    ...     x = torch.ones(2)
    >>> x.is_inference()
    True
    """

    def __new__(cls, enabled=True):
        self = object.__new__(cls)
        if callable(enabled):
            self.__init__(True)
            return self(enabled)
        return self

    def __init__(self, enabled: bool = True):
        self.enabled = bool(enabled)

    def __enter__(self):
        self.before = (mode.grad, mode.inference)
        _set_inference(False if self.enabled else recording(), self.enabled)

    def __exit__(self, *exc):
        _set_inference(*self.before)

    def clone(self):
        return inference_mode(self.enabled)


def _set_inference(grad: object, on: bool) -> None:
    """Switch recording, and let memory that this thread allocates from now on know of inference mode."""
    if on is not mode.inference:
        dispatch.runtime().set_inference(on)
    mode.grad, mode.inference = grad, on


def is_grad_enabled() -> bool:
    """Whether operators record gradients in this thread."""
    return bool(mode.grad)


def is_inference_mode_enabled() -> bool:
    return mode.inference


def is_anomaly_enabled() -> bool:
    """Whether anomaly mode is on in this thread."""
    return mode.anomaly


def is_anomaly_check_nan_enabled() -> bool:
    """Whether anomaly mode looks for NaN gradients."""
    return mode.anomaly_nan


class set_detect_anomaly(_Switch):
    """Anomaly mode: nodes remember their source line, and a NaN gradient raises."""

    def __init__(self, mode_on: bool = True, check_nan: bool = True):
        self.before = (mode.anomaly, mode.anomaly_nan, mode.grad)
        self.wanted = (mode_on, check_nan)
        self.__enter__()

    def __enter__(self):
        mode.anomaly, mode.anomaly_nan = self.wanted
        if mode.grad:
            mode.grad = recording()

    def __exit__(self, *exc):
        mode.anomaly, mode.anomaly_nan, mode.grad = self.before

    def clone(self):
        return set_detect_anomaly(*self.wanted)


class detect_anomaly(set_detect_anomaly):
    """Context manager form of anomaly mode."""

    def __init__(self, check_nan: bool = True):
        self.before = (mode.anomaly, mode.anomaly_nan, mode.grad)
        self.wanted = (True, check_nan)
        import warnings

        warnings.warn(
            "Anomaly Detection has been enabled. This mode will increase the runtime and should only be enabled for "
            "debugging.", UserWarning, stacklevel=2,
        )  # fmt: skip

    def __enter__(self):
        self.before = (mode.anomaly, mode.anomaly_nan, mode.grad)
        super().__enter__()

    def clone(self):
        return set_detect_anomaly(*self.wanted)


class saved_tensors_hooks:
    """Within it, what nodes save passes through pack_hook, and through unpack_hook when backward needs it.

    >>> import flambeau as torch
    >>> x = torch.ones(2, requires_grad=True)
    >>> with torch.autograd.graph.saved_tensors_hooks(lambda t: t.tolist(), torch.tensor):
    ...     y = (x * x).sum()
    >>> y.backward()
    >>> x.grad
    tensor([2., 2.])
    """

    def __init__(self, pack_hook: Callable, unpack_hook: Callable):
        self.pack_hook, self.unpack_hook = pack_hook, unpack_hook

    def __enter__(self):
        refusal = mode.__dict__.get("hooks_refused")
        if refusal is not None:
            raise RuntimeError(refusal)
        mode.__dict__.setdefault("hooks", []).append((self.pack_hook, self.unpack_hook))
        if mode.grad:
            mode.grad = recording()

    def __exit__(self, *exc):
        mode.hooks.pop()
        if mode.grad:
            mode.grad = recording()


class disable_saved_tensors_hooks(_Switch):
    """Within it, `saved_tensors_hooks` raises a RuntimeError with this text. Also a decorator."""

    def __init__(self, error_message: str):
        self.message = error_message

    def __enter__(self):
        if mode.__dict__.get("hooks"):
            raise RuntimeError(self.message)
        self.before = mode.__dict__.get("hooks_refused")
        mode.hooks_refused = self.message

    def __exit__(self, *exc):
        mode.hooks_refused = self.before

    def clone(self):
        return disable_saved_tensors_hooks(self.message)


def active_hooks() -> tuple[Callable, Callable] | None:
    """The pair of saved-tensor hooks in force in this thread, or None."""
    hooks = mode.__dict__.get("hooks")
    return hooks[-1] if hooks else None


def packed(tensor: Tensor, pack: Callable):
    """What a pack hook makes of a tensor; it must not write it."""
    before, mode.grad = mode.grad, False
    version = version_of(tensor)
    try:
        found = pack(tensor)
    finally:
        mode.grad = before
    if version_of(tensor) != version:
        raise RuntimeError(
            "A saved tensor pack hook is modifying its input in place. Tensors provided as input to pack hook cannot be "
            "modified by in-place operations as this can lead to unexpected side-effects. Please open an issue if you need "
            "to perform in-place operations on the input to a pack hook."
        )
    return found


def remember_line(node) -> None:
    """In anomaly mode, keep with a node where in the user's program it was made."""
    if not mode.anomaly:
        return
    import traceback

    frames = [
        f
        for f in traceback.extract_stack()
        if not f.filename.startswith(_OWN_FOLDER) and not f.filename.startswith(("<operator", "<derivative"))
    ]
    node._extra()["line"] = "".join(traceback.format_list(frames[-8:]))


def watch(node) -> None:
    """Called for each new node while hooks or anomaly mode are on."""
    remember_line(node)
    hooks = active_hooks()
    if hooks is not None and node.saved:
        kept, unpackers = list(node.saved), {}
        for k, one in enumerate(kept):
            if isinstance(one, Tensor):
                kept[k], unpackers[k] = packed(one, hooks[0]), hooks[1]
        node.saved = tuple(kept)
        node._extra()["unpack"] = unpackers
