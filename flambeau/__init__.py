"""Flambeau: PyTorch's programming model in pure Python.

>>> import flambeau as torch
>>> x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
>>> (x * x).sum().backward()
>>> x.grad
tensor([2., 4., 6.])
"""

from __future__ import annotations

from importlib import import_module as _import_module
from typing import Any as _Any

from . import _methods as _rare_methods
from . import ops
from .base.device import device, set_default_device
from .base.dtype import ALIASES as _ALIASES
from .base.dtype import DTYPES as _DTYPES
from .base.dtype import default_float as _default_float
from .base.dtype import dtype, promote_types
from .base.formats import (
    channels_last,
    channels_last_3d,
    contiguous_format,
    layout,
    memory_format,
    preserve_format,
    sparse_coo,
    sparse_csr,
    strided,
)  # fmt: skip
from .base.layout import Size
from .ops import define as _define
from .tensor import derivatives as _derivatives
from .tensor import dispatch as _dispatch
from .tensor import interop as _interop
from .tensor import surface as _surface
from .tensor import view_surface as _view_surface
from .tensor.convert import can_cast, is_nonzero, meshgrid, result_type, where
from .tensor.defaults import set_default_dtype
from .tensor.generator import (
    Generator,
    default_generator,
    get_rng_state,
    initial_seed,
    manual_seed,
    seed,
    set_rng_state,
)  # fmt: skip
from .tensor.grad_modes import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    set_grad_enabled,
)  # fmt: skip
from .tensor.interop import as_tensor, from_numpy, tensor
from .tensor.show import set_printoptions
from .tensor.tensor import Tensor, install_methods

__version__ = "0.1.0"

globals().update(dict(_DTYPES.items()), **_ALIASES)
install_methods()

_SUBMODULES = {
    "_C", "_VF", "__config__", "__future__", "_dynamo", "_jit_internal", "_lowrank", "_subclasses", "_symbolic",
    "_tensor", "_tensor_str", "_utils", "accelerator", "amp", "ao", "audio", "autograd", "backends", "compat",
    "compiler", "cpu", "cuda", "distributed", "distributions", "fft", "func", "functional", "futures", "fx", "hub",
    "jit", "learn", "lens", "library", "linalg", "masked", "mps", "mtia", "multiprocessing", "nn", "onnx", "optim",
    "overrides", "profiler", "random", "return_types", "serialization", "signal", "special", "storage", "testing",
    "torch_version", "types", "utils", "version", "vision", "xpu",
}  # fmt: skip
#: public names that a module of theirs makes on first use
_ELSEWHERE = {
    name: module
    for module, names in {
        "serialization": "save load",
        "settings": (
            "are_deterministic_algorithms_enabled compiled_with_cxx11_abi detach detach_ empty_cache finfo get_default_device "
            "get_deterministic_debug_mode get_device get_device_module get_float32_matmul_precision get_num_interop_threads "
            "iinfo is_complex is_conj is_deterministic_algorithms_warn_only_enabled is_floating_point is_inference is_neg "
            "is_same_size is_signed is_storage is_warn_always_enabled memory_stats numel reset_peak_memory_stats "
            "set_deterministic_debug_mode set_float32_matmul_precision set_flush_denormal set_num_interop_threads "
            "set_warn_always typename use_deterministic_algorithms"
        ),
        "amp.autocast_mode": "autocast",
        "amp.grad_scaler": "GradScaler",
        "amp.state": (
            "autocast_decrement_nesting autocast_increment_nesting clear_autocast_cache get_autocast_cpu_dtype "
            "get_autocast_dtype get_autocast_gpu_dtype get_autocast_ipu_dtype get_autocast_xla_dtype "
            "is_autocast_cache_enabled is_autocast_cpu_enabled is_autocast_enabled is_autocast_ipu_enabled "
            "is_autocast_xla_enabled set_autocast_cache_enabled set_autocast_cpu_dtype set_autocast_cpu_enabled "
            "set_autocast_dtype set_autocast_enabled set_autocast_gpu_dtype set_autocast_ipu_dtype "
            "set_autocast_ipu_enabled set_autocast_xla_dtype set_autocast_xla_enabled"
        ),
        "tensor.interop": "asarray frombuffer",
        "tensor.dlpack": "from_dlpack to_dlpack",
        "tensor.storage": (
            "UntypedStorage TypedStorage FloatStorage DoubleStorage HalfStorage BFloat16Storage LongStorage IntStorage "
            "ShortStorage CharStorage ByteStorage BoolStorage ComplexFloatStorage ComplexDoubleStorage"
        ),
        "tensor.legacy": (
            "FloatTensor DoubleTensor HalfTensor BFloat16Tensor LongTensor IntTensor ShortTensor CharTensor ByteTensor "
            "BoolTensor set_default_tensor_type"
        ),
        "tensor.overrides": "DisableTorchFunctionSubclass DisableTorchFunction",
        "tensor.grad_modes": "is_anomaly_enabled is_anomaly_check_nan_enabled",
        "base.errors": "OutOfMemoryError",
        "compiler.function": "compile",
        "_symbolic": (
            "SymBool SymFloat SymInt sym_float sym_int sym_ite sym_max sym_min sym_not sym_sqrt sym_sum"
        ),
        "futures": "Future",
        "spectrogram": "stft istft",
        "_lowrank": "svd_lowrank pca_lowrank",
        "_lobpcg": "lobpcg",
        "_native": (
            "adaptive_max_pool1d affine_grid_generator binary_cross_entropy_with_logits cond embedding_bag frobenius_norm "
            "grid_sampler grid_sampler_2d grid_sampler_3d instance_norm kl_div norm_except_dim nuclear_norm "
            "set_anomaly_enabled while_loop _assert _assert_async dropout_ alpha_dropout_"
        ),
        "jit": "fork wait ScriptModule ScriptFunction ScriptObject",
        "_C": "DispatchKey DispatchKeySet PyTorchFileReader PyTorchFileWriter Stream Event",
        "func": "vmap",
        "tensor.shapes": "broadcast_shapes",
        "nn.composed.recurrent_functions": (
            "lstm gru rnn_tanh rnn_relu lstm_cell gru_cell rnn_tanh_cell rnn_relu_cell"
        ),
        "nn.functional": "channel_shuffle cosine_similarity ctc_loss pairwise_distance pdist pixel_shuffle pixel_unshuffle",
    }.items()
    for name in names.split()
}
from math import e, inf, nan, pi

newaxis = None


def __getattr__(name: str) -> _Any:
    if name == "torch":  # PyTorch's package holds itself under this name, and some programs use it
        return _import_module(__package__)
    if name in _SUBMODULES:
        try:
            return _import_module(f"{__package__}.{name}")
        except ModuleNotFoundError as error:
            if error.name != f"{__package__}.{name}":
                raise
            raise AttributeError(f"module 'flambeau' has no attribute '{name}'") from None
    if name.startswith("_foreach_"):
        return _import_module(f"{__package__}._foreach").find(name)
    if name.startswith(("float8_", "complex32", "qint", "quint")):
        from .base.storage_types import STORAGE_TYPES

        if name in STORAGE_TYPES:
            return STORAGE_TYPES[name]
    if name in _ELSEWHERE:
        found = getattr(_import_module(f"{__package__}.{_ELSEWHERE[name]}"), name)
    else:
        found = _define.public("", name)
    globals()[name] = found
    return found


def __dir__():
    return sorted({*globals(), *_SUBMODULES, *_ELSEWHERE, *_define.names("")})


def _space_called(name: str):
    from . import _ops

    return _ops.space_called(name)


ops.SPACES[0] = _space_called


def is_tensor(obj) -> bool:
    """Whether `obj` is a tensor."""
    return isinstance(obj, Tensor)


def get_default_dtype() -> dtype:
    """The float type of new tensors that name none."""
    return _default_float()


def get_num_threads() -> int:
    """Threads that share the work of one operator."""
    return _dispatch.runtime().get_num_threads()


def set_num_threads(threads: int) -> None:
    """Share the work of each operator between this many threads; results do not depend on it."""
    _dispatch.runtime().set_num_threads(threads)


__all__ = [
    "Generator", "Size", "Tensor", "as_tensor",
    "default_generator", "device", "dtype", "enable_grad", "from_numpy", "get_default_dtype",
    "get_num_threads", "get_rng_state",
    "initial_seed", "manual_seed", "seed", "set_rng_state",
    "inference_mode", "is_grad_enabled", "is_inference_mode_enabled", "is_tensor", "no_grad", "promote_types",
    "set_default_device", "set_default_dtype", "set_grad_enabled", "set_num_threads", "tensor",
]  # fmt: skip
_ = (_derivatives, _interop, _surface, _view_surface)
