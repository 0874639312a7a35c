"""The few names of PyTorch's compiled core that programs in Python reach for."""

from __future__ import annotations

import contextlib
from typing import Any

from ..base.device import device
from ..base.dtype import dtype
from ..base.errors import OutOfMemoryError
from ..base.layout import Size
from ..tensor.generator import Generator
from ..tensor.overrides import DisableTorchFunction, DisableTorchFunctionSubclass
from ..tensor.tensor import Tensor as TensorBase
from ..tensor.tensor import _disabled_torch_function as _disabled_torch_function_impl

_TensorBase = TensorBase
_TensorMeta = type(TensorBase)
_VariableFunctionsClass = object
has_lapack = has_openmp = has_spectral = True
has_mkl = has_cuda = _has_mkldnn = _has_cuda = False
#: names that the top name space has too
_PUBLIC = frozenset(
    "Future ScriptFunction ScriptModule ScriptObject default_generator finfo iinfo get_default_dtype get_num_interop_threads "
    "get_num_threads is_anomaly_enabled is_anomaly_check_nan_enabled is_grad_enabled is_inference_mode_enabled "
    "layout memory_format set_flush_denormal set_num_interop_threads set_num_threads is_autocast_enabled "
    "is_autocast_cpu_enabled is_autocast_cache_enabled get_autocast_dtype get_autocast_cpu_dtype get_autocast_gpu_dtype "
    "set_autocast_enabled set_autocast_dtype set_autocast_cache_enabled clear_autocast_cache autocast_increment_nesting "
    "autocast_decrement_nesting fork wait".split()
)


class _Keys(type):
    """Gives any key by its name, as PyTorch's list of them is long."""

    def __getattr__(cls, name: str) -> str:
        if name.startswith("_"):
            raise AttributeError(name)
        return name


class DispatchKey(metaclass=_Keys):
    """Names of PyTorch's layers below an operator; Flambeau has no such layers."""


class DispatchKeySet(frozenset):
    """A set of such names."""

    def __new__(cls, *keys: Any) -> DispatchKeySet:
        return super().__new__(cls, (k for one in keys for k in ((one,) if isinstance(one, str) else one)))

    def __or__(self, other: Any) -> DispatchKeySet:
        return DispatchKeySet(frozenset.__or__(self, other))

    def has(self, key: str) -> bool:
        """Whether a name is in the set."""
        return key in self


class _Absent:
    """A type that nothing is of."""

    def __init__(self, *arguments: Any, **keywords: Any):
        raise NotImplementedError(f"torch.{type(self).__name__} is not in Flambeau")


class PyTorchFileReader(_Absent):
    """Reads PyTorch's archives in PyTorch: use `torch.load`."""


class PyTorchFileWriter(_Absent):
    """Writes PyTorch's archives in PyTorch: use `torch.save`."""


class Stream(_Absent):
    """A queue of work on an accelerator: there is none."""


class Event(_Absent):
    """A mark in a stream of an accelerator: there is none."""


class _ExcludeDispatchKeyGuard(contextlib.nullcontext):
    """Nothing changes within it."""

    def __init__(self, keys: Any = None):
        super().__init__()


_IncludeDispatchKeyGuard = _AutoDispatchBelowAutograd = _AutoDispatchBelowADInplaceOrView = (
    _ExcludeDispatchKeyGuard
)
_DisableAutocast = _ExcludeDispatchKeyGuard


def _dispatch_has_kernel_for_dispatch_key(name: str, key: Any) -> bool:
    """Whether an operator is implemented for a layer: layers are unknown here."""
    return False


def __getattr__(name: str) -> Any:
    if name in ("_nn", "_functorch"):
        from importlib import import_module

        return import_module(f"{__name__}.{name}")
    if name in _PUBLIC:
        import flambeau

        return getattr(flambeau, name)
    raise AttributeError(f"module 'flambeau._C' has no attribute '{name}'")


def _log_api_usage_once(event: str) -> None:
    """Nothing is reported to anyone."""


def _get_privateuse1_backend_name() -> str:
    return "privateuseone"


def _get_tracing_state() -> None:
    return None


def _is_tracing() -> bool:
    return False


def _get_accelerator() -> device:
    """The accelerator, or the CPU where there is none."""
    return device("cpu")


__all__ = [
    "DisableTorchFunction", "DisableTorchFunctionSubclass", "Generator", "OutOfMemoryError", "Size", "TensorBase", "device",
    "dtype",
]  # fmt: skip
_ = _disabled_torch_function_impl
