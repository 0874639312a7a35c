"""Data parallelism within a process, on the devices that there are."""

from .data_parallel import DataParallel, data_parallel
from .parallel_apply import parallel_apply
from .replicate import replicate
from .scatter_gather import gather, scatter

__all__ = ["DataParallel", "data_parallel", "gather", "parallel_apply", "replicate", "scatter"]


def __getattr__(name: str):
    if name in ("DistributedDataParallel", "DistributedDataParallelCPU"):
        raise AttributeError(
            f"module '{__name__}' has no attribute '{name}': training over several processes is not part of this "
            "version; DataParallel runs on one device"
        )
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
