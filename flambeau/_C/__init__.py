"""The few names of PyTorch's compiled core that programs in Python reach for."""

from __future__ import annotations

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


def __getattr__(name: str) -> Any:
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
