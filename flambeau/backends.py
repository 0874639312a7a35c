"""Switches and questions about back ends under `torch.backends`' names.

Programs set these for GPUs and vendor libraries that Flambeau does not use on the CPU: they are kept and read back.
"""

from __future__ import annotations

import contextlib
import sys
from types import ModuleType
from typing import Any

__path__: list[str] = []  # the groups below can be imported as modules


class _Flags(ModuleType):
    """A group of named switches with a context manager that sets some of them for a while."""

    def __init__(self, name: str, **values: Any):
        super().__init__(f"flambeau.backends.{name}", type(self).__doc__)
        self.__dict__.update(values)
        self._names = tuple(values)
        sys.modules[self.__name__] = self

    @contextlib.contextmanager
    def flags(self, **values: Any):
        """Within it, the named switches have other values."""
        unknown = set(values) - set(self._names)
        if unknown:
            raise TypeError(f"flags() got an unexpected keyword argument '{sorted(unknown)[0]}'")
        before = {name: getattr(self, name) for name in values}
        self.__dict__.update(values)
        try:
            yield
        finally:
            self.__dict__.update(before)

    def set_flags(self, **values: Any) -> tuple:
        """Set switches; gives the values before."""
        before = tuple(getattr(self, name) for name in self._names)
        self.__dict__.update(values)
        return before

    def is_available(self) -> bool:
        """Whether the library behind the switches is used: it is not."""
        return False

    def is_built(self) -> bool:
        """Whether this build has the library."""
        return False

    def version(self) -> int | None:
        """Version of the library."""
        return None


class _Cuda(_Flags):
    """`torch.backends.cuda`: switches of matrix products and of attention."""

    def flash_sdp_enabled(self) -> bool:
        """Whether attention may use the flash kernel."""
        return self.flash

    def enable_flash_sdp(self, enabled: bool) -> None:
        """Let attention use the flash kernel."""
        self.flash = bool(enabled)

    def mem_efficient_sdp_enabled(self) -> bool:
        """Whether attention may use the memory-efficient kernel."""
        return self.mem_efficient

    def enable_mem_efficient_sdp(self, enabled: bool) -> None:
        """Let attention use the memory-efficient kernel."""
        self.mem_efficient = bool(enabled)

    def math_sdp_enabled(self) -> bool:
        """Whether attention may use plain operators."""
        return self.math

    def enable_math_sdp(self, enabled: bool) -> None:
        """Let attention use plain operators."""
        self.math = bool(enabled)

    def cudnn_sdp_enabled(self) -> bool:
        """Whether attention may use cuDNN."""
        return self.cudnn

    def enable_cudnn_sdp(self, enabled: bool) -> None:
        """Let attention use cuDNN."""
        self.cudnn = bool(enabled)

    @contextlib.contextmanager
    def sdp_kernel(self, enable_flash=True, enable_math=True, enable_mem_efficient=True, enable_cudnn=True):
        """Within it, attention may use these kernels only."""
        names = {
            "flash": enable_flash,
            "math": enable_math,
            "mem_efficient": enable_mem_efficient,
            "cudnn": enable_cudnn,
        }
        with self.flags(**names):
            yield


class _Cpu(_Flags):
    """`torch.backends.cpu`."""

    def get_cpu_capability(self) -> str:
        """The widest vector instructions that kernels are compiled for."""
        from .backend.cpu import jit

        return {64: "AVX512", 32: "AVX2"}.get(jit.vector_bytes(), "DEFAULT")


class _OpenMp(_Flags):
    """`torch.backends.openmp`: Flambeau's own threads stand in its place."""

    def is_available(self) -> bool:
        """Whether operators run on several threads."""
        return True


cuda = _Cuda("cuda", flash=True, mem_efficient=True, math=True, cudnn=True)
cuda.matmul = _Flags(
    "cuda.matmul", allow_tf32=False, allow_fp16_reduced_precision_reduction=True,
    allow_bf16_reduced_precision_reduction=True, fp32_precision="none",
)  # fmt: skip
cudnn = _Flags(
    "cudnn",
    enabled=True,
    benchmark=False,
    benchmark_limit=10,
    deterministic=False,
    allow_tf32=True,
    fp32_precision="none",
)
mps = _Flags("mps")
mkl = _Flags("mkl")
mkldnn = _Flags("mkldnn", enabled=True, deterministic=False, allow_tf32=True)
openmp = _OpenMp("openmp")
opt_einsum = _Flags("opt_einsum", enabled=True, strategy="auto")
cpu = _Cpu("cpu")
xnnpack = _Flags("xnnpack", enabled=False)
nnpack = _Flags("nnpack", enabled=False)
mha = _Flags("mha", enabled=True)
miopen = _Flags("miopen", immediate=False)
quantized = _Flags("quantized", engine="none", supported_engines=["none"])
cusparselt = _Flags("cusparselt")

__all__ = ["cpu", "cuda", "cudnn", "mkl", "mkldnn", "mps", "openmp", "opt_einsum"]
