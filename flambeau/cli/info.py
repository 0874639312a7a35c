"""``flambeau info``: the facts that a bug report needs."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys


def run() -> int:
    """Print one fact a line; return the exit status."""
    for name, value in facts():
        print(f"{name:<13} {value}")
    return 0


def facts() -> list[tuple[str, str]]:
    """Names and values: versions, processor, threads, kernel cache."""
    import flambeau

    packages = ", ".join(f"{name} {_version(name)}" for name in ("numpy", "llvmlite", "scipy-openblas32"))
    return [
        ("flambeau", f"{flambeau.__version__}, in {os.path.dirname(flambeau.__file__)}"),
        ("python", f"{platform.python_version()}, {sys.executable}"),
        ("system", platform.platform()),
        ("processor", _processor()),
        ("threads", f"{flambeau.get_num_threads()} of {os.cpu_count()} processors"),
        ("packages", packages),
        ("kernel cache", _cache()),
    ]


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "(missing)"


def _processor() -> str:
    """The name that LLVM generates code for, and its widest vectors."""
    import llvmlite.binding

    features = llvmlite.binding.get_host_cpu_features()
    vectors = next(
        (name for name in ("avx512f", "avx2", "avx", "sse2", "sve", "neon") if features.get(name)), "none"
    )
    return f"{llvmlite.binding.get_host_cpu_name()}, {platform.machine()}, vectors: {vectors}"


def _cache() -> str:
    """The folder of compiled kernels and how much is in it."""
    from flambeau.backend.cpu.jit import cache_folder

    folder = cache_folder()
    if folder is None:
        return "off"
    sizes = [entry.stat().st_size for entry in os.scandir(folder) if entry.is_file()]
    return f"{folder} ({len(sizes)} files, {sum(sizes) / 1e6:.1f} MB)"
