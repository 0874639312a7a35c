"""A description of the machine for bug reports: ``python -m flambeau.utils.collect_env``."""

from __future__ import annotations

import platform
import sys
from typing import NamedTuple

__all__ = ["SystemEnv", "get_env_info", "get_pretty_env_info", "main", "pretty_str"]


class SystemEnv(NamedTuple):
    """What a bug report should say of the machine."""

    torch_version: str
    is_debug_build: str
    cuda_compiled_version: str
    os: str
    libc_version: str
    python_version: str
    python_platform: str
    is_cuda_available: str
    cpu_info: str
    pip_packages: str


def get_env_info() -> SystemEnv:
    """Ask the machine."""
    from importlib.metadata import distributions

    from .. import cuda, version

    wanted = ("numpy", "llvmlite", "scipy-openblas32", "flambeau", "torchmetrics", "einops", "safetensors")
    packages = sorted(f"{d.name}=={d.version}" for d in distributions() if (d.name or "").lower() in wanted)
    return SystemEnv(
        torch_version=f"{version.__version__} (Flambeau, after PyTorch {version.torch_version})",
        is_debug_build="False",
        cuda_compiled_version="None",
        os=f"{platform.system()} {platform.release()} ({platform.machine()})",
        libc_version="-".join(platform.libc_ver()) or "N/A",
        python_version=sys.version.replace("\n", " "),
        python_platform=platform.platform(),
        is_cuda_available=str(cuda.is_available()),
        cpu_info=_processor(),
        pip_packages="\n".join(packages),
    )


def _processor() -> str:
    import os

    from ..backends import cpu

    name = platform.processor() or "unknown"
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            name = next(
                (line.partition(":")[2].strip() for line in file if line.startswith("model name")), name
            )
    except OSError:
        pass
    return f"{name}, {os.cpu_count()} processors, vectors: {cpu.get_cpu_capability()}"


def pretty_str(envinfo: SystemEnv) -> str:
    """The description as text."""
    packages = "\n".join("[pip3] " + line for line in envinfo.pip_packages.splitlines())
    return (
        f"PyTorch version: {envinfo.torch_version}\n"
        f"Is debug build: {envinfo.is_debug_build}\n"
        f"CUDA used to build PyTorch: {envinfo.cuda_compiled_version}\n\n"
        f"OS: {envinfo.os}\n"
        f"Libc version: {envinfo.libc_version}\n\n"
        f"Python version: {envinfo.python_version}\n"
        f"Python platform: {envinfo.python_platform}\n"
        f"Is CUDA available: {envinfo.is_cuda_available}\n"
        f"CPU: {envinfo.cpu_info}\n\n"
        f"Versions of relevant libraries:\n{packages}"
    )


def get_pretty_env_info() -> str:
    """The description of this machine as text."""
    return pretty_str(get_env_info())


def main() -> None:
    """Print the description."""
    print("Collecting environment information...")
    print(get_pretty_env_info())


if __name__ == "__main__":
    main()
