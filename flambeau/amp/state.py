"""What autocast is set to, thread by thread, and the functions that read and change it."""

from __future__ import annotations

import threading
import warnings
from typing import Any

from ..base import dtype as dtypes
from ..base.device import device as Device

#: the lower precision of each kind of device, until a program sets another
_LOWER = {
    "cpu": "bfloat16", "cuda": "float16", "mps": "float16", "xpu": "float16", "hpu": "bfloat16", "ipu": "float16",
    "xla": "bfloat16", "mtia": "float16", "maia": "bfloat16", "privateuseone": "float16",
}  # fmt: skip


class State(threading.local):
    """Autocast as one thread sees it."""

    def __init__(self) -> None:
        self.enabled: dict[str, bool] = {}
        self.lower: dict[str, Any] = {}
        self.nesting = 0
        self.cache_enabled = True
        self.cache: dict = {}
        #: the type that listed operators on the CPU compute in; None while autocast is off there
        self.cpu: Any = None


state = State()


def _kind(device_type: Any, function: str) -> str:
    if device_type == "cpu":
        return "cpu"
    if not isinstance(device_type, str):
        raise TypeError(
            f"{function}(): argument 'device_type' (position 1) must be str, not {type(device_type).__name__}"
        )
    return Device(device_type).type


#: `casting.count`, imported when autocast is first turned on
_count: Any = None


def _find_count() -> Any:
    global _count
    from .casting import count as _count

    return _count


def _change(kind: str, on: bool, lower: Any) -> None:
    """Settle a device's switch and type, and what listed operators of the CPU see of them."""
    state.enabled[kind] = on
    state.lower[kind] = lower
    if kind == "cpu":
        count = _count or _find_count()
        before, state.cpu = state.cpu, lower if on else None
        if (before is None) is not (state.cpu is None):
            count(-1 if state.cpu is None else 1)


def is_autocast_enabled(device_type: str = "cuda") -> bool:
    """Whether autocast is on for a kind of device in this thread."""
    return state.enabled.get(_kind(device_type, "is_autocast_enabled"), False)


def set_autocast_enabled(*args: Any, **keywords: Any) -> None:
    """Turn autocast on or off: ``set_autocast_enabled(device_type, enabled)``, or ``(enabled)`` for CUDA."""
    if len(args) == 1 and not keywords:
        args = ("cuda", *args)
    names = ("device_type", "enabled")
    given = dict(zip(names, args), **keywords)
    on = given.get("enabled", given.get("device_type"))
    if not isinstance(on, bool):
        raise TypeError(
            f"set_autocast_enabled(): argument 'enabled' (position {len(args) if len(args) > 1 and args[0] != 'cuda' else 1}) "
            f"must be bool, not {type(on).__name__}"
        )
    kind = _kind(given["device_type"], "set_autocast_enabled")
    _change(kind, on, get_autocast_dtype(kind))


def get_autocast_dtype(device_type: str) -> Any:
    """The lower precision that autocast uses on a kind of device."""
    kind = _kind(device_type, "get_autocast_dtype")
    found = state.lower.get(kind)
    if found is None:
        if kind not in _LOWER:
            raise RuntimeError("unsupported scalarType")
        found = dtypes.DTYPES[_LOWER[kind]]
    return found


def set_autocast_dtype(device_type: str, dtype: Any) -> None:
    """Choose the lower precision that autocast uses on a kind of device."""
    kind = _kind(device_type, "set_autocast_dtype")
    if not isinstance(dtype, dtypes.dtype):
        raise TypeError(
            f"set_autocast_dtype(): argument 'dtype' (position 2) must be torch.dtype, not {type(dtype).__name__}"
        )
    _change(kind, state.enabled.get(kind, False), dtype)


def is_autocast_cache_enabled() -> bool:
    """Whether a parameter that several operators cast is cast once."""
    return state.cache_enabled


def set_autocast_cache_enabled(enabled: bool) -> None:
    """Keep the casts of parameters until autocast ends, or make them anew each time."""
    state.cache_enabled = bool(enabled)


def clear_autocast_cache() -> None:
    """Forget the casts of parameters."""
    state.cache.clear()


def autocast_increment_nesting() -> int:
    """One autocast region deeper."""
    state.nesting += 1
    return state.nesting


def autocast_decrement_nesting() -> int:
    """One autocast region less deep."""
    state.nesting -= 1
    return state.nesting


def _old(name: str, shown: str, new: str) -> None:
    warnings.warn(
        f"torch.{name}({shown}) is deprecated. Please use torch.{new} instead.",
        DeprecationWarning,
        stacklevel=3,
    )


def _old_functions(short: str, kind: str) -> dict[str, Any]:
    """The functions that PyTorch had for one kind of device each."""

    def is_enabled() -> bool:
        _old(is_enabled.__name__, "", f"is_autocast_enabled('{kind}')")
        return is_autocast_enabled(kind)

    def set_enabled(enabled: bool) -> None:
        _old(set_enabled.__name__, "enabled", f"set_autocast_enabled('{kind}', enabled)")
        set_autocast_enabled(kind, enabled)

    def get_dtype() -> Any:
        _old(get_dtype.__name__, "", f"get_autocast_dtype('{kind}')")
        return get_autocast_dtype(kind)

    def set_dtype(dtype: Any) -> None:
        _old(set_dtype.__name__, "dtype", f"set_autocast_dtype('{kind}', dtype)")
        set_autocast_dtype(kind, dtype)

    found = {
        f"is_autocast_{short}_enabled": is_enabled,
        f"set_autocast_{short}_enabled": set_enabled,
        f"get_autocast_{short}_dtype": get_dtype,
        f"set_autocast_{short}_dtype": set_dtype,
    }
    for name, function in found.items():
        function.__name__ = function.__qualname__ = name
        function.__doc__ = (
            f"The deprecated form, for '{kind}' alone, of a function that takes the kind of device."
        )
    return found


for _short, _device in (("cpu", "cpu"), ("gpu", "cuda"), ("ipu", "ipu"), ("xla", "xla")):
    globals().update(_old_functions(_short, _device))
