"""Optimisers that share their states between processes: they need a process group, and there is none."""

from __future__ import annotations

from typing import Any

__all__ = ["DistributedOptimizer", "PostLocalSGDOptimizer", "ZeroRedundancyOptimizer"]


class _NeedsGroup:
    def __init__(self, *arguments: Any, **keywords: Any):
        raise ValueError(
            "Default process group has not been initialized, please make sure to call init_process_group."
        )


class ZeroRedundancyOptimizer(_NeedsGroup):
    """Shares the states of an optimiser between processes."""


class DistributedOptimizer(_NeedsGroup):
    """Steps the parameters of several machines."""


class PostLocalSGDOptimizer(_NeedsGroup):
    """Averages models between processes now and then."""
