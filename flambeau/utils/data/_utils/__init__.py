"""Modules under the names that PyTorch gives them, for libraries that import from there."""

from . import collate, fetch, pin_memory, worker

__all__ = ["MP_STATUS_CHECK_INTERVAL", "collate", "fetch", "pin_memory", "worker"]

#: seconds that workers are given to end by themselves
MP_STATUS_CHECK_INTERVAL = 5.0
HAS_NUMPY = True
python_exit_status = False
