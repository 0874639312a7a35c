"""`compile`: a function whose operators are recorded, fused and run together.

The Python of the function runs on every call. While it runs, an operator only notes that its kernels are due, and checks
that this is what happened the last time; at the end, or where a value is looked at, one native call runs the fused kernels
of everything noted. Whatever Python does (branches, hooks, changed attributes, exceptions) therefore means what it means
without `compile`, and there is nothing to guard.
"""

from __future__ import annotations

import functools
import os
import warnings
import weakref
from collections.abc import Callable
from typing import Any

from ..base.mode import mode
from ..tensor.gradients import RUNNER

__all__ = ["CompiledFunction", "compile", "reset"]

MOST_FROZEN = 8  # captured calls of one function
MOST_PLANS = 1024  # plans of one function after which `_look_at_plans` asks whether they are of use
KEPT_PLANS = 8192  # plans that are kept, before all are forgotten


class WalkBack:
    """Records a walk for a compiled function, without keeping that alive."""

    def __init__(self, owner: CompiledFunction):
        self.owner = weakref.ref(owner)

    def __call__(self, walk: Callable, *args: Any, **kwargs: Any) -> Any:
        owner = self.owner()
        return walk(*args, **kwargs) if owner is None else owner._run_backward(walk, *args, **kwargs)


class CompiledFunction:
    """A function compiled by `compile`."""

    def __init__(
        self, function: Callable, fullgraph: bool = False, freeze: bool = False, dynamic: bool | None = None
    ):
        from ..backend.cpu import recording

        functools.update_wrapper(self, function)
        if "compile" in os.environ.get("FLAMBEAU_LOG", "").split(","):
            from .explain import log_plan, with_lines

            recording.LOG[:], function = [log_plan], with_lines(function)
        self._function = function
        self._fullgraph = fullgraph
        self._recording = recording
        self._begin, self._end = recording.begin, recording.end
        self._backward: Any = None  # the root of gradients that are asked for outside the function
        self._walk = WalkBack(self)
        self._dynamic = dynamic
        self._root = recording.Root(dynamic)
        self._plain = False
        self._limit = MOST_PLANS
        self._freeze = freeze
        self._ahead = not freeze  # what is repeated without its Python must refuse where it did
        self._frozen: list = []  # captured calls, the last one first
        self._calls = 0
        _living.add(self)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._freeze:
            return self._call_frozen(args, kwargs)
        root = self._root
        if self._plain or not self._begin(root, self._ahead):
            return self._function(*args, **kwargs)
        try:
            return self._function(*args, **kwargs)
        finally:
            self._end(root)
            if mode.grad:
                RUNNER[0] = self._walk
            if root.made > self._limit:
                self._look_at_plans(root)

    def _run_backward(self, walk: Callable, *args: Any, **kwargs: Any) -> Any:
        """The walk back through what this function computed is recorded, too."""
        if self._backward is None:
            self._backward = self._recording.Root(self._dynamic)
        root = self._backward
        if self._plain or not self._begin(root, self._ahead):
            return walk(*args, **kwargs)
        try:
            return walk(*args, **kwargs)
        finally:
            self._end(root)
            if root.made > self._limit:
                self._look_at_plans(root)

    def _call_recorded(self, *args: Any, **kwargs: Any) -> Any:
        self._freeze = False
        try:
            return self(*args, **kwargs)
        finally:
            self._freeze = True

    def _call_frozen(self, args: tuple, kwargs: dict) -> Any:
        """Repeat a captured call that fits; else record, and from the third call on try to capture."""
        for frozen in self._frozen:
            given = frozen.fits(args, kwargs)
            if given is not None:
                done, result = frozen.repeat(given)
                if done:
                    return result
        self._calls += 1
        if self._calls < 3 or len(self._frozen) >= MOST_FROZEN or self._recording.active():
            return self._call_recorded(*args, **kwargs)
        return self._capture(args, kwargs)

    def _capture(self, args: tuple, kwargs: dict) -> Any:
        """A recorded call that is watched, to be repeated later."""
        from .frozen import Capture, Frozen, Stays

        capture, root = Capture(self._function, args, kwargs), self._root
        if self._plain or not self._begin(
            root, self._ahead
        ):  # another thread records: there would be nothing to watch
            return self._function(*args, **kwargs)
        with capture:
            try:
                result = self._function(*args, **kwargs)
            finally:
                self._end(root)
        if mode.grad:
            RUNNER[0] = self._walk
        try:
            self._frozen.insert(0, Frozen(self._function, capture, args, kwargs, result, root))
        except Stays as reason:
            self._stay(str(reason))
        return result

    def _stay(self, reason: str) -> None:
        """Go on with the Python of the function; say why once it is clear that this will not change."""
        if self._calls < 8:
            return
        name = getattr(self._function, "__qualname__", repr(self._function))
        text = f"compile(freeze=True): {name} cannot be repeated without its Python: {reason}; it goes on being recorded."
        self._freeze = False
        if self._fullgraph:
            raise RuntimeError(text)
        warnings.warn(text, stacklevel=4)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    def __repr__(self) -> str:
        return f"<compiled {getattr(self._function, '__qualname__', self._function)!r}>"

    def _look_at_plans(self, root: Any) -> None:
        """Give up where hardly any plan ran twice: the function changes with every call. Sizes come back sooner or later."""
        if 50 * sum(one.came_again for one in root.plans) < root.made:
            self._give_up(root.made)
        elif root.made < KEPT_PLANS:
            self._limit = 2 * root.made
        else:
            self.reset()

    def _give_up(self, count: int) -> None:
        name = getattr(self._function, "__qualname__", repr(self._function))
        text = (
            f"compile: {name} ran differently on nearly every call ({count} times), so that planning costs more than it saves; "
            f"it runs operator by operator from here on. The last difference: {self._last_difference()}."
        )
        if self._fullgraph:
            raise RuntimeError(text)
        warnings.warn(text, stacklevel=4)
        self._plain = True
        self.reset()

    def _last_difference(self) -> str:
        from .explain import cause

        plans = max((self._root.plans, self._backward.plans if self._backward else []), key=len)
        return cause([(one, one.trace) for one in plans[-32:]])

    def reset(self) -> None:
        """Forget all plans."""
        self._frozen, self._limit = [], MOST_PLANS
        self._root, self._backward = self._recording.Root(self._dynamic), None

    def explain(self, source: bool = False) -> Any:
        """What was recorded, fused and planned so far; `source` adds the kernels' code. See `compiler.explain`."""
        from .explain import Explanation

        return Explanation(self, source)


def compile(
    model: Callable | None = None, *, fullgraph: bool = False, dynamic: bool | None = None,
    backend: str | Callable = "inductor", mode: str | None = None, options: dict | None = None, disable: bool = False,
    freeze: bool = False,
) -> Any:  # fmt: skip
    """A function or module whose operators run fused, in one native call; also a decorator.

    The result means what the function means: its Python still runs. Kernels take sizes when they run, so a new size compiles
    nothing; its plan (what is fused, where results lie) takes some milliseconds to make for a large model. `backend`, `mode`
    and `options` are taken for PyTorch's sake.

    dynamic: True where sizes keep changing: what runs for the first time then runs without a plan, which is made when it
    comes again. False: a plan is made at once. By default that depends on how often the plans made so far came again.
    fullgraph: raise where the function cannot be recorded, instead of running it operator by operator.
    freeze: skip the Python from the third equal call on. You promise that the function does the same operators on the
    same parameters each time; shapes, types, `training` and the parameters' identity are checked, learning rates may change.
    disable: give the function back as it is.

    Raises: RuntimeError when both `mode` and `options` are given.

    >>> import flambeau as torch
    >>> @torch.compile
    ... def f(x):
    ...     return torch.tanh(x * 2 + 1).sum()
    >>> f(torch.zeros(3))
    tensor(2.2848)
    """
    if mode is not None and options is not None:
        raise RuntimeError(
            "Either mode or options can be specified, but both can't be specified at the same time."
        )
    if model is None:
        return lambda given: compile(given, fullgraph=fullgraph, dynamic=dynamic, backend=backend, mode=mode,
                                     options=options, disable=disable, freeze=freeze)  # fmt: skip
    if not callable(model):
        raise RuntimeError(f"compile takes a function or a module, got {type(model).__name__}")
    if disable:
        return model
    from ..nn import Module

    if isinstance(model, Module):
        from .module import OptimizedModule

        return OptimizedModule(model, lambda function: CompiledFunction(function, fullgraph, freeze, dynamic))
    return CompiledFunction(model, fullgraph, freeze, dynamic)


_living: weakref.WeakSet = weakref.WeakSet()


def reset() -> None:
    """Forget all plans of all compiled functions."""
    for one in list(_living):
        one.reset()
