"""Process-wide settings and questions that programs ask `torch` directly.

Flambeau computes the same numbers on every run and for any number of threads, so the switches of determinism and of
matmul precision are kept for programs that read them back; they change nothing.
"""

from __future__ import annotations

from typing import Any

from .base.device import default_device as get_default_device
from .base.limits import finfo, iinfo
from .tensor import dispatch
from .tensor.storage import TypedStorage, UntypedStorage, is_storage
from .tensor.tensor import Tensor

_state: dict[str, Any] = {
    "deterministic": False, "warn only": False, "precision": "highest", "warn always": False, "interop": None,
}  # fmt: skip


# -- determinism and precision ---------------------------------------------------------------------------------------


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Ask for algorithms that give the same numbers on every run: all of Flambeau's do."""
    _state["deterministic"], _state["warn only"] = bool(mode), bool(warn_only)


def are_deterministic_algorithms_enabled() -> bool:
    """Whether `use_deterministic_algorithms` asked for them."""
    return _state["deterministic"]


def is_deterministic_algorithms_warn_only_enabled() -> bool:
    """Whether an algorithm that is not deterministic would warn only."""
    return _state["warn only"]


_DEBUG_MODES = ("default", "warn", "error")


def set_deterministic_debug_mode(debug_mode: int | str) -> None:
    """`use_deterministic_algorithms` by level: 0 "default", 1 "warn", 2 "error"."""
    if not isinstance(debug_mode, (int, str)):
        raise TypeError(f"debug_mode must be str or int, but got {type(debug_mode)}")
    if isinstance(debug_mode, str):
        if debug_mode not in _DEBUG_MODES:
            raise RuntimeError(
                "invalid value of debug_mode, expected one of `default`, `warn`, `error`, but got "
                + debug_mode
            )
        debug_mode = _DEBUG_MODES.index(debug_mode)
    if debug_mode not in (0, 1, 2):
        raise RuntimeError(f"invalid value of debug_mode, expected 0, 1, or 2, but got {debug_mode}")
    use_deterministic_algorithms(debug_mode > 0, warn_only=debug_mode == 1)


def get_deterministic_debug_mode() -> int:
    """The level that `set_deterministic_debug_mode` set."""
    return 0 if not _state["deterministic"] else 1 if _state["warn only"] else 2


def set_float32_matmul_precision(precision: str) -> None:
    """How exact float32 products must be at least: "highest", "high" or "medium". They always are of the highest."""
    if precision in ("highest", "high", "medium"):
        _state["precision"] = precision
        return
    import warnings

    warnings.warn(
        f"{precision} is not one of 'highest', 'high', or 'medium'; the current setting is kept.",
        stacklevel=2,
    )


def get_float32_matmul_precision() -> str:
    """What `set_float32_matmul_precision` set."""
    return _state["precision"]


def set_warn_always(b: bool, /) -> None:
    """Whether warnings that come once may come again."""
    _state["warn always"] = bool(b)


def is_warn_always_enabled() -> bool:
    """What `set_warn_always` set."""
    return _state["warn always"]


def set_flush_denormal(mode: bool) -> bool:
    """Ask the CPU to treat denormal numbers as zero; gives whether it will: Flambeau keeps them."""
    return not mode


# -- threads and memory ----------------------------------------------------------------------------------------------


def get_num_interop_threads() -> int:
    """Threads between operators. Flambeau runs operators one after another in each Python thread."""
    return _state["interop"] or dispatch.runtime().get_num_threads()


def set_num_interop_threads(num: int) -> None:
    """Kept for programs that set it."""
    if not isinstance(num, int):
        raise RuntimeError(f"set_num_interop_threads expects an int, but got {type(num).__name__}")
    if num <= 0:
        raise RuntimeError("set_num_interop_threads expects a positive integer")
    _state["interop"] = num


def memory_stats() -> dict[str, int]:
    """Bytes of host memory in use and at the peak, bytes kept for reuse, and how many allocations were served.

    >>> import flambeau as torch
    >>> sorted(torch.memory_stats())
    ['allocations', 'cache_limit', 'cached', 'in_use', 'peak', 'reused']
    """
    return dispatch.runtime().memory_stats()


def reset_peak_memory_stats() -> None:
    """Let the peak start again from what is in use now."""
    dispatch.runtime().reset_peak()


def empty_cache() -> None:
    """Give memory that waits for reuse back to the system."""
    dispatch.runtime().empty_cache()


def compiled_with_cxx11_abi() -> bool:
    """Kept for build scripts that ask; there is no C++ here."""
    return True


# -- questions about objects -----------------------------------------------------------------------------------------


def typename(obj: Any) -> str:
    """The name of an object's type, with its module; of a tensor, such as ``torch.FloatTensor``."""
    if isinstance(obj, Tensor):
        return obj.type()
    if isinstance(obj, (UntypedStorage, TypedStorage)):
        return f"torch.storage.{type(obj).__name__}"
    module = getattr(obj, "__module__", "") or ""
    if module in ("", "builtins"):
        module = ""
    if hasattr(obj, "__qualname__"):
        name = obj.__qualname__
    elif hasattr(obj, "__name__"):
        name = obj.__name__
    else:
        module = type(obj).__module__ or ""
        module = "" if module == "builtins" else module
        name = type(obj).__qualname__
    return f"{module}.{name}" if module else name


def _question(name: str, doc: str):
    """A function of one tensor that asks its method of the same name."""

    def ask(input) -> Any:
        if not isinstance(input, Tensor):
            from .tensor.overrides import handle, present

            if present((input,)):
                return handle(ask, (input,), {})
            raise TypeError(
                f"{name}(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}"
            )
        return getattr(Tensor, name)(input)

    ask.__name__ = ask.__qualname__ = name
    ask.__doc__ = doc
    return ask


is_floating_point = _question("is_floating_point", "Whether the elements are floating-point numbers.")
is_complex = _question("is_complex", "Whether the elements are complex numbers.")
is_conj = _question("is_conj", "Whether the conjugate is still to be taken: never here.")
is_neg = _question("is_neg", "Whether the negative is still to be taken: never here.")
is_signed = _question("is_signed", "Whether the type has negative numbers.")
is_inference = _question("is_inference", "Whether the tensor was made in inference mode.")
numel = _question("numel", "Number of elements.")
detach = _question("detach", "The same elements outside the gradient graph, sharing memory.")
detach_ = _question("detach_", "Leave the gradient graph, in place.")
get_device = _question("get_device", "Index of the device, -1 for the CPU.")


def is_same_size(input: Tensor, other: Tensor) -> bool:
    """Whether two tensors have the same shape."""
    return input.is_same_size(other)


def get_device_module(device: Any = None):
    """The module of a type of device, such as `flambeau.cuda`."""
    from importlib import import_module

    from .base.device import device as Device

    name = get_default_device().type if device is None else Device(device).type
    return import_module(f"flambeau.{name}")


__all__ = [
    "are_deterministic_algorithms_enabled", "compiled_with_cxx11_abi", "detach", "detach_", "empty_cache", "finfo",
    "get_default_device", "get_deterministic_debug_mode", "get_device", "get_device_module", "get_float32_matmul_precision",
    "get_num_interop_threads", "iinfo", "is_complex", "is_conj", "is_deterministic_algorithms_warn_only_enabled",
    "is_floating_point", "is_inference", "is_neg", "is_same_size", "is_signed", "is_storage", "is_warn_always_enabled",
    "memory_stats", "numel", "reset_peak_memory_stats", "set_deterministic_debug_mode", "set_float32_matmul_precision",
    "set_flush_denormal", "set_num_interop_threads", "set_warn_always", "typename", "use_deterministic_algorithms",
]  # fmt: skip
