"""How autocast reaches operators: while it is on anywhere, the listed operators' functions take another way.

A function of an operator finds its plans, and the general form behind them, among its own globals. Turning autocast on
exchanges those of the listed operators for ones that know autocast; turning it off puts them back. So an operator costs
what it always costs while autocast is off, and one that is on no list even while it is on. Other threads may use a
listed operator meanwhile: they take the long way to the same result.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any

from ..base import dtype as dtypes
from ..base.mode import mode
from ..ops import define
from ..ops.define import Operator
from ..tensor import autograd, dispatch, overrides
from ..tensor.tensor import Tensor
from .policy import FLOAT32, LOWER, ONLY_WHEN, RECURRENT, UNTOUCHED, WIDEST
from .state import state

_lock = threading.Lock()
#: threads in which autocast is on for the CPU
_threads = 0
#: globals of a listed function, what they hold under autocast, what they hold otherwise
_listed: list[tuple[dict, dict, dict]] = []
_watching = False
_NO_PLANS: dict = {}


def count(step: int) -> None:
    """One thread more or less has autocast on."""
    global _threads
    with _lock:
        before = _threads
        _threads += step
        if before == 0:
            _watch()
        if before == 0 or _threads == 0:
            for names, on, off in _listed:
                names.update(on if _threads else off)


def _watch() -> None:
    """Collect the functions of listed operators: those that there are, and those that will be made."""
    global _watching
    if _watching:
        return
    _watching = True
    for name in (*LOWER, *FLOAT32, *WIDEST, *UNTOUCHED, RECURRENT):
        operator = define.OPERATORS.get(name)
        for variant, function in operator.compiled.items() if operator else ():
            _enlist(operator, variant, function)
    compile_function = define.COMPILE[0]

    def compile_listed(operator: Operator, variant: str) -> Callable:
        made = compile_function(operator, variant)
        if kind_of(operator.full_name) is not None:
            with _lock:
                found = _enlist(operator, variant, made)
                if found and _threads:
                    found[0].update(found[1])
        return made

    define.COMPILE[0] = compile_listed


def _enlist(operator: Operator, variant: str, function: Callable) -> tuple | None:
    if variant not in ("function", "operator"):  # in place: the type is given
        return None
    names = function.__globals__
    if operator.kind == "Composite":
        on = {"body": _casting_body(operator, names["body"])}
    else:
        on = {"plans": _NO_PLANS, "invoke": casting_invoke, "invoke_operator": casting_invoke_operator}
    found = (names, on, {name: names[name] for name in on})
    _listed.append(found)
    return found


def kind_of(name: str) -> Callable[[Any, Any], Any] | None:
    """How autocast treats the operands of an operator: a function of them and the lower precision; None if it does not."""
    if name in LOWER:
        return lower
    if name in FLOAT32:
        return float32
    if name in WIDEST:
        return widest
    if name == RECURRENT:
        return recurrent
    return _same if name in UNTOUCHED else None


def casting_invoke(op: Operator, args: tuple, out: Any = None) -> Any:
    """`dispatch.invoke` on operands that were cast."""
    dtype = state.cpu
    if dtype is None or out is not None or overrides.present(args):
        return dispatch.invoke(op, args, out)
    state.cpu = None
    try:
        return dispatch.invoke(op, kind_of(op.full_name)(args, dtype))
    finally:
        state.cpu = dtype


def casting_invoke_operator(op: Operator, args: tuple, out: Any = None) -> Any:
    """`dispatch.invoke_operator` on operands that were cast."""
    if isinstance(args[0], Tensor) and isinstance(args[1], Tensor):
        return casting_invoke(op, args)
    return dispatch.invoke_operator(op, args)


def _casting_body(op: Operator, body: Callable) -> Callable:
    casting = under_autocast(body, kind_of(op.full_name))
    applies = ONLY_WHEN.get(op.full_name)
    if applies is None:
        return casting
    return lambda **options: casting(**options) if applies(options) else body(**options)


def under_autocast(function: Callable, treat: Callable) -> Callable:
    """`function`, with its arguments cast while autocast is on, and autocast off inside it."""

    @functools.wraps(function)
    def call(*args: Any, **keywords: Any) -> Any:
        dtype = state.cpu
        if dtype is None:
            return function(*args, **keywords)
        state.cpu = None
        try:
            names = list(keywords)
            values = treat((*args, *keywords.values()), dtype)
            return function(*values[: len(args)], **dict(zip(names, values[len(args) :])))
        finally:
            state.cpu = dtype

    return call


def _eligible(x: Tensor) -> bool:
    layout = x._layout
    return (
        layout.dtype.is_floating_point and layout.dtype is not dtypes.float64 and layout.device.type == "cpu"
    )


def cast(x: Any, dtype: Any) -> Any:
    """An argument with its tensors in `dtype`: only those of a float type other than float64 change."""
    if isinstance(x, Tensor):
        if not _eligible(x) or x._layout.dtype is dtype:
            return x
        keep = state.cache_enabled and x._layout.dtype is dtypes.float32 and x._base is None
        if keep and x.requires_grad and x.is_leaf and dtype is not dtypes.float32:
            return _kept(x, dtype)
        return x.to(dtype)
    if type(x) in (list, tuple):
        return type(x)([cast(e, dtype) for e in x])
    return x


def _kept(x: Tensor, dtype: Any) -> Tensor:
    """A parameter's cast, made once in a region; anew after a write, or where gradients are wanted and were not."""
    key = (id(x), dtype, bool(mode.grad))
    found = state.cache.get(key)
    version = autograd.version_of(x)
    if found is None or found[0] is not x or found[1] != version:
        found = state.cache[key] = (x, version, x.to(dtype))
    return found[2]


def lower(args: tuple, dtype: Any) -> tuple:
    """Operands in the lower precision."""
    return tuple(cast(x, dtype) for x in args)


def float32(args: tuple, dtype: Any) -> tuple:
    """Operands in float32."""
    return tuple(cast(x, dtypes.float32) for x in args)


def recurrent(args: tuple, dtype: Any) -> tuple:
    """Operands of a recurrent layer."""
    return args if "GRU" in args else lower(args, dtype)


def widest(args: tuple, dtype: Any) -> tuple:
    """Operands in the widest of their float types; as they are where that is float64."""
    kinds = {t._layout.dtype for x in args for t in (x if type(x) in (list, tuple) else (x,)) if _is_float(t)}
    if len(kinds) < 2 or dtypes.float64 in kinds:
        return args
    common = dtypes.float32 if len(kinds) > 1 else kinds.pop()
    return tuple(cast(x, common) for x in args)


def _is_float(x: Any) -> bool:
    return (
        isinstance(x, Tensor) and _eligible(x) or isinstance(x, Tensor) and x._layout.dtype is dtypes.float64
    )


def _same(args: tuple, dtype: Any) -> tuple:
    return args
