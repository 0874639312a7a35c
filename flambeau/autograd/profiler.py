"""`torch.autograd.profiler`: the older names of the profiler."""

from __future__ import annotations

import contextlib
from typing import Any, NoReturn

from ..profiler.events import EventList, FunctionEvent, FunctionEventAvg, Interval
from ..profiler.profiler import ProfilerActivity, record_function
from ..profiler.profiler import profile as _profile

__all__ = [
    "EventList", "FunctionEvent", "FunctionEventAvg", "Interval", "ProfilerActivity", "emit_itt", "emit_nvtx",
    "kineto_available", "load_nvprof", "profile", "record_function",
]  # fmt: skip


class profile:
    """Records the operators that run within it; afterwards it is a list of the calls, with their table.

    >>> import flambeau as torch
    >>> with torch.autograd.profiler.profile() as prof:
    ...     y = torch.ones(2) * 2
    >>> prof.total_average().count
    2
    """

    def __init__(
        self, enabled: bool = True, *, use_cuda: bool = False, use_device: str | None = None, record_shapes: bool = False,
        with_flops: bool = False, profile_memory: bool = False, with_stack: bool = False, with_modules: bool = False,
        use_kineto: bool = False, use_cpu: bool = True, experimental_config: Any = None, acc_events: bool = False,
        custom_trace_id_callback: Any = None,
    ):  # fmt: skip
        self.enabled = enabled
        self.entered = False
        self._inner = _profile(
            record_shapes=record_shapes, with_flops=with_flops, profile_memory=profile_memory, with_stack=with_stack,
            with_modules=with_modules, acc_events=acc_events,
        )  # fmt: skip

    def __enter__(self):
        if not self.enabled:
            return None
        if self.entered:
            raise RuntimeError("Profiler context manager is not reentrant")
        self.entered = True
        self._inner.start()
        return self

    def __exit__(self, *exc: Any) -> bool:
        if self.enabled:
            self._inner.stop()
        return False

    @property
    def function_events(self) -> EventList:
        """The calls."""
        if self._inner._events is None:
            raise RuntimeError("Profiler didn't finish running")
        return self._inner._events

    def __repr__(self) -> str:
        return (
            "<unfinished torch.autograd.profile>"
            if self._inner._events is None
            else repr(self.function_events)
        )

    def __str__(self) -> str:
        return (
            "<unfinished torch.autograd.profile>"
            if self._inner._events is None
            else str(self.function_events)
        )

    def table(self, *args: Any, **kwargs: Any) -> str:
        """The calls as text."""
        return self.function_events.table(*args, **kwargs)

    def key_averages(self, *args: Any, **kwargs: Any) -> EventList:
        """The calls of one name added up."""
        return self.function_events.key_averages(*args, **kwargs)

    def total_average(self) -> FunctionEventAvg:
        """All calls added up."""
        return self.function_events.total_average()

    def export_chrome_trace(self, path: str) -> None:
        """Write the recording as JSON for chrome://tracing or ui.perfetto.dev."""
        self.function_events.export_chrome_trace(path)

    def export_stacks(self, path: str, metric: str = "self_cpu_time_total") -> None:
        """Write callers and times in the form that flame graphs are drawn from."""
        self.function_events.export_stacks(path, metric)

    @property
    def self_cpu_time_total(self) -> float:
        """Microseconds in all calls."""
        return self.function_events.self_cpu_time_total


class emit_nvtx(contextlib.nullcontext):
    """Marks for NVIDIA's profiler: there is no GPU, so nothing is marked."""

    def __init__(self, enabled: bool = True, record_shapes: bool = False):
        super().__init__()


class emit_itt(contextlib.nullcontext):
    """Marks for Intel's profiler: none are made."""

    def __init__(self, enabled: bool = True, record_shapes: bool = False):
        super().__init__()


def kineto_available() -> bool:
    """Whether a profiler is there: Flambeau's own is."""
    return True


def load_nvprof(path: str) -> NoReturn:
    """Not supported: files of NVIDIA's profiler describe GPU work."""
    raise NotImplementedError("Flambeau does not read the files of nvprof")
