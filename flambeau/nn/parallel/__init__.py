"""Copies of a model on several devices. Here there is one device, whose cores share the work of each operator."""

from .data_parallel import DataParallel, data_parallel
from .distributed import DistributedDataParallel

__all__ = ["DataParallel", "DistributedDataParallel", "data_parallel"]
