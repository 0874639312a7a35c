"""NVIDIA GPUs under `torch.cuda`'s names: none in this version, and what asks about them says so.

What only a GPU can do raises PyTorch's error of a build without CUDA; what a portable program calls on any machine
(seeds, caches, statistics) does nothing.
"""

from __future__ import annotations

import contextlib
from typing import Any, NoReturn

from ..base.device import device as Device
from ..tensor.legacy import CUDA_CLASSES

__all__ = [
    "CUDAGraph", "Event", "Stream", "current_device", "current_stream", "device", "device_count", "device_of",
    "empty_cache", "get_device_capability", "get_device_name", "get_device_properties", "get_rng_state",
    "get_rng_state_all", "graph", "graph_pool_handle", "initial_seed", "ipc_collect", "is_available",
    "is_bf16_supported", "is_initialized", "make_graphed_callables", "manual_seed", "manual_seed_all",
    "max_memory_allocated", "max_memory_reserved", "memory_allocated", "memory_reserved", "memory_stats",
    "memory_summary", "reset_max_memory_allocated", "reset_peak_memory_stats", "seed", "seed_all", "set_device",
    "set_rng_state", "set_rng_state_all", "stream", "synchronize",
]  # fmt: skip


class OutOfMemoryError(RuntimeError):
    """An allocation on a GPU that cannot be met."""


def _unavailable() -> NoReturn:
    raise AssertionError("Torch not compiled with CUDA enabled")


def is_available() -> bool:
    """Whether a GPU can be used."""
    return False


def device_count() -> int:
    """How many GPUs there are."""
    return 0


def is_initialized() -> bool:
    """Whether a GPU is in use."""
    return False


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """Whether the GPU computes with bfloat16."""
    return False


def current_device() -> int:
    """Index of the GPU in use."""
    _unavailable()


def set_device(device: Any) -> None:
    """Choose the GPU to use."""
    _unavailable()


def synchronize(device: Any = None) -> None:
    """Wait for the GPU."""
    _unavailable()


def get_device_name(device: Any = None) -> str:
    """Name of a GPU."""
    _unavailable()


def get_device_capability(device: Any = None) -> tuple[int, int]:
    """Compute capability of a GPU."""
    _unavailable()


def get_device_properties(device: Any = None) -> Any:
    """Properties of a GPU."""
    _unavailable()


def current_stream(device: Any = None) -> Any:
    """The stream that work goes to."""
    _unavailable()


class Stream:
    """A queue of work on a GPU."""

    def __init__(self, device: Any = None, priority: int = 0, **keywords: Any):
        raise RuntimeError("torch.cuda.Stream requires CUDA support")


class StreamContext:
    """Within it, work goes to a stream."""

    def __init__(self, stream: Any):
        self.stream = stream

    def __enter__(self):
        if self.stream is not None:
            _unavailable()

    def __exit__(self, *exc):
        return False


class Event:
    """A mark in a stream."""

    def __init__(
        self,
        enable_timing: bool = False,
        blocking: bool = False,
        interprocess: bool = False,
        external: bool = False,
    ):
        raise RuntimeError("Tried to instantiate dummy base class Event")


class device:
    """Within it, a GPU is the one in use; with an index below 0 or None, nothing changes."""

    def __init__(self, device: Any):
        self.index = device if isinstance(device, int) or device is None else Device(device).index

    def __enter__(self):
        if self.index is not None and self.index >= 0:
            _unavailable()

    def __exit__(self, *exc):
        return False


def device_of(obj: Any) -> device:
    """Within it, the GPU of a tensor is the one in use (nothing changes for a tensor on the CPU)."""
    return device(obj.get_device() if obj.is_cuda else -1)


def stream(stream: Any) -> contextlib.AbstractContextManager:
    """Within it, work goes to a stream; None changes nothing."""
    return contextlib.nullcontext(stream)


# -- seeds: nothing draws random numbers on a GPU here -----------------------------------------------------------------


def manual_seed(seed: int) -> None:
    """Seed the GPU in use, where there is one."""
    int(seed)


def manual_seed_all(seed: int) -> None:
    """Seed all GPUs."""
    int(seed)


def seed() -> None:
    """Seed the GPU in use from the system."""


def seed_all() -> None:
    """Seed all GPUs from the system."""


def initial_seed() -> int:
    """The seed of the GPU in use."""
    _unavailable()


def get_rng_state(device: Any = "cuda") -> Any:
    """State of a GPU's stream of random numbers."""
    _unavailable()


def set_rng_state(new_state: Any, device: Any = "cuda") -> None:
    """Go on from a state of a GPU's stream."""


def get_rng_state_all() -> list:
    """States of all GPUs' streams."""
    return []


def set_rng_state_all(new_states: Any) -> None:
    """Go on from states of all GPUs' streams."""


# -- memory ----------------------------------------------------------------------------------------------------------


def empty_cache() -> None:
    """Give unused memory back to the GPU."""


def ipc_collect() -> None:
    """Give memory back that other processes no longer use."""


def memory_allocated(device: Any = None) -> int:
    """Bytes of GPU memory in use."""
    return 0


def max_memory_allocated(device: Any = None) -> int:
    """Most bytes of GPU memory in use so far."""
    return 0


def memory_reserved(device: Any = None) -> int:
    """Bytes of GPU memory held."""
    return 0


def max_memory_reserved(device: Any = None) -> int:
    """Most bytes of GPU memory held so far."""
    return 0


def memory_stats(device: Any = None) -> dict[str, Any]:
    """Statistics of GPU memory."""
    return {}


def memory_summary(device: Any = None, abbreviated: bool = False) -> str:
    """Statistics of GPU memory as text."""
    return "no GPU is in use"


def reset_peak_memory_stats(device: Any = None) -> None:
    """Let the peak of GPU memory start again."""
    _unavailable()


def reset_max_memory_allocated(device: Any = None) -> None:
    """Let the peak of GPU memory start again."""
    _unavailable()


def mem_get_info(device: Any = None) -> tuple[int, int]:
    """Free and total bytes of GPU memory."""
    _unavailable()


def set_per_process_memory_fraction(fraction: float, device: Any = None) -> None:
    """Limit this process's share of GPU memory."""
    _unavailable()


# -- what else programs ask or set -----------------------------------------------------------------------------------


def init() -> None:
    """Start using the GPU."""
    _unavailable()


def utilization(device: Any = None) -> int:
    """Per cent of the time in which the GPU computed."""
    _unavailable()


def default_stream(device: Any = None) -> Any:
    """The stream that work goes to first."""
    _unavailable()


def set_stream(stream: Any) -> None:
    """Choose the stream that work goes to."""
    if stream is not None:
        _unavailable()


def can_device_access_peer(device: Any, peer_device: Any) -> bool:
    """Whether a GPU reads another's memory."""
    _unavailable()


def get_arch_list() -> list[str]:
    """Kinds of GPU that this build has kernels for."""
    return []


def get_gencode_flags() -> str:
    """Compiler flags of the GPU kernels."""
    return ""


def is_tf32_supported() -> bool:
    """Whether the GPU computes with TF32."""
    return False


def is_current_stream_capturing() -> bool:
    """Whether work is being recorded for a CUDA graph."""
    return False


def get_sync_debug_mode() -> int:
    """Level of warnings about waiting for the GPU."""
    return 0


from .graphs import CUDAGraph, graph, graph_pool_handle, make_graphed_callables  # noqa: E402

has_half = has_magma = False
default_generators: tuple = ()
globals().update(CUDA_CLASSES)


def __getattr__(name: str) -> Any:
    if name in ("amp", "random", "memory", "nvtx", "streams"):  # loads more than programs on one device need
        from importlib import import_module

        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
