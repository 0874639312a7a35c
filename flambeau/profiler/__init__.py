"""Profiling: which operators a program runs, how long they take, and what memory they keep.

>>> import flambeau as torch
>>> with torch.profiler.profile() as prof:
...     y = torch.ones(100, 100).exp().sum()
>>> sorted(event.key for event in prof.key_averages())
['aten::exp', 'aten::ones', 'aten::sum']
"""

from __future__ import annotations

from .profiler import (
    ProfilerAction,
    ProfilerActivity,
    profile,
    record_function,
    schedule,
    supported_activities,
    tensorboard_trace_handler,
)  # fmt: skip

DeviceType = ProfilerActivity
_KinetoProfile = profile


def kineto_available() -> bool:
    """Whether a profiler is there: Flambeau's own is."""
    return True


__all__ = [
    "DeviceType", "ProfilerAction", "ProfilerActivity", "kineto_available", "profile", "record_function", "schedule",
    "supported_activities", "tensorboard_trace_handler",
]  # fmt: skip
