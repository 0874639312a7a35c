"""What a worker knows about itself, under PyTorch's name for the module."""

from ..worker import WorkerInfo, get_worker_info

__all__ = ["WorkerInfo", "get_worker_info"]
from ..worker import numpy_seed as _generate_state  # noqa: F401 (libraries take it from here)
