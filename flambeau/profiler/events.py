"""Recorded calls as a program reads them: events, averages of events with one name, and their table."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from .recorder import Record
from .table import table

__all__ = ["EventList", "FunctionEvent", "FunctionEventAvg", "Interval", "events_of"]


class Interval:
    """From one time to another, in microseconds."""

    def __init__(self, start: float, end: float):
        self.start, self.end = start, end

    def elapsed_us(self) -> float:
        """How long it is."""
        return self.end - self.start

    def __repr__(self) -> str:
        return f"Interval(start={self.start:.3f}, end={self.end:.3f})"


class _Times:
    """What events and averages share: times in microseconds, and zeros for the GPU."""

    count: int
    cpu_time_total: float
    self_cpu_time_total: float
    device_time_total = self_device_time_total = device_time = 0.0
    cuda_time_total = self_cuda_time_total = cuda_time = 0.0
    device_memory_usage = self_device_memory_usage = 0

    @property
    def cpu_time(self) -> float:
        """Microseconds a call."""
        return self.cpu_time_total / self.count if self.count else 0.0

    @property
    def cpu_time_total_str(self) -> str:
        """The time with its unit."""
        return _time(self.cpu_time_total)

    @property
    def self_cpu_time_total_str(self) -> str:
        """The time outside inner calls, with its unit."""
        return _time(self.self_cpu_time_total)

    @property
    def cpu_time_str(self) -> str:
        """The time a call, with its unit."""
        return _time(self.cpu_time)


def _time(microseconds: float) -> str:
    from .table import time_text

    return time_text(microseconds)


class FunctionEvent(_Times):
    """One call."""

    count = 1
    node_id = -1
    is_async = is_remote = is_legacy = False
    device_type, device_index, device_resource_id = "CPU", 0, 0

    def __init__(self, id: int, record: Record, origin: int):
        self.id, self.name, self.kind = id, record.name, record.kind
        self.trace_name = self.overload_name = record.name
        self.time_range = Interval((record.start - origin) / 1000, (record.end - origin) / 1000)
        self.thread = record.thread
        self.input_shapes, self.stack, self.flops = record.shapes, record.stack, record.flops
        self.cpu_memory_usage, self.module = record.memory, record.modules
        self.sequence_nr = record.sequence
        self.cpu_parent: FunctionEvent | None = None
        self.cpu_children: list[FunctionEvent] = []
        self.is_user_annotation = record.kind == "user_annotation"
        self.scope = 7 if self.is_user_annotation else 1 if record.kind == "backward" else 0

    @property
    def key(self) -> str:
        """The name, under which events are averaged."""
        return self.name

    @property
    def cpu_time_total(self) -> float:  # type: ignore[override]
        """Microseconds, inner calls included."""
        return self.time_range.elapsed_us()

    @property
    def self_cpu_time_total(self) -> float:  # type: ignore[override]
        """Microseconds outside inner calls."""
        return self.cpu_time_total - sum(child.cpu_time_total for child in self.cpu_children)

    @property
    def self_cpu_memory_usage(self) -> int:
        """Bytes that the call itself took and kept, without inner calls."""
        return self.cpu_memory_usage - sum(child.cpu_memory_usage for child in self.cpu_children)

    def __repr__(self) -> str:
        return (
            f"<FunctionEvent id={self.id} name={self.name} cpu_time={self.cpu_time_str} "
            f"input_shapes={self.input_shapes}>"
        )


class FunctionEventAvg(_Times):
    """All calls of one name (and input shapes, and callers, where asked for)."""

    def __init__(self) -> None:
        self.key = ""
        self.count = 0
        self.cpu_time_total = self.self_cpu_time_total = 0.0
        self.cpu_memory_usage = self.self_cpu_memory_usage = 0
        self.input_shapes: Any = None
        self.stack: list[str] = []
        self.flops = 0
        self.is_user_annotation = False
        self.scope = self.node_id = 0
        self.is_async = self.is_remote = self.is_legacy = False
        self.cpu_children: list[FunctionEvent] = []
        self.cpu_parent: FunctionEvent | None = None
        self.device_type = "CPU"

    @property
    def name(self) -> str:
        """The name."""
        return self.key

    def add(self, other: FunctionEvent | FunctionEventAvg) -> FunctionEventAvg:
        """Count another call, or another average's calls."""
        if not self.key:
            self.key, self.input_shapes, self.stack = other.key, other.input_shapes, other.stack
            self.is_user_annotation, self.scope = other.is_user_annotation, other.scope
        self.count += other.count
        for name in (
            "cpu_time_total",
            "self_cpu_time_total",
            "cpu_memory_usage",
            "self_cpu_memory_usage",
            "flops",
        ):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        return self

    __iadd__ = add

    def __repr__(self) -> str:
        return (
            f"<FunctionEventAvg key={self.key} self_cpu_time={self.self_cpu_time_total_str} "
            f"cpu_time={self.cpu_time_str} input_shapes={self.input_shapes}>"
        )


class EventList(list):
    """Events, or averages of events.

    table() shows them, key_averages() adds up those of one name, export_chrome_trace(path) writes them for a viewer.
    """

    def __init__(self, *args: Any, **facts: Any):
        super().__init__(*args)
        self._profile_memory = facts.get("profile_memory", False)
        self._with_flops = facts.get("with_flops", False)
        self._metadata = facts.get("metadata", {})

    def __str__(self) -> str:
        return self.table()

    @property
    def self_cpu_time_total(self) -> float:
        """Microseconds in all of them."""
        return sum(event.self_cpu_time_total for event in self)

    def table(
        self, sort_by: str | None = None, row_limit: int = 100, max_src_column_width: int = 75,
        max_name_column_width: int = 55, max_shapes_column_width: int = 80, header: str | None = None,
        top_level_events_only: bool = False, time_unit: str | None = None,
    ) -> str:  # fmt: skip
        """The events as text.

        sort_by: "cpu_time_total", "self_cpu_time_total", "cpu_time", "count", "cpu_memory_usage",
        "self_cpu_memory_usage" or "flops"; the largest stand first.
        """
        chosen: list = list(self)
        if top_level_events_only:
            chosen = [event for event in chosen if event.cpu_parent is None]
        if sort_by is not None:
            chosen.sort(key=lambda event: _sortable(event, sort_by), reverse=True)
        limits = (max_name_column_width, max_shapes_column_width, max_src_column_width)
        return table(
            chosen[: row_limit if row_limit >= 0 else None], self.self_cpu_time_total, header, limits,
            memory=self._profile_memory, flops=self._with_flops, unit=time_unit,
        )  # fmt: skip

    def key_averages(
        self,
        group_by_input_shapes: bool = False,
        group_by_stack_n: int = 0,
        group_by_overload_name: bool = False,
    ) -> EventList:
        """The events of one name (and input shapes, and nearest callers) added up."""
        groups: dict[tuple, FunctionEventAvg] = defaultdict(FunctionEventAvg)
        for event in self:
            shapes = str(event.input_shapes) if group_by_input_shapes else ""
            callers = tuple(event.stack[:group_by_stack_n])
            groups[event.key, shapes, callers, event.is_user_annotation].add(event)
        for average in groups.values():
            average.stack = average.stack[:group_by_stack_n]
            average.input_shapes = average.input_shapes if group_by_input_shapes else None
        return EventList(groups.values(), profile_memory=self._profile_memory, with_flops=self._with_flops)

    def total_average(self) -> FunctionEventAvg:
        """All events added up under the name "Total"."""
        total = FunctionEventAvg()
        for event in self:
            total.add(event)
        total.key = "Total"
        return total

    def export_chrome_trace(self, path: Any) -> None:
        """Write the events as JSON for chrome://tracing or ui.perfetto.dev; a name that ends in ``.gz`` is compressed."""
        from .trace import write

        write(self, path, self._metadata)

    def export_stacks(self, path: Any, metric: str = "self_cpu_time_total") -> None:
        """Write callers and times in the form that flame graphs are drawn from: ``outer;inner 12``."""
        if metric not in ("self_cpu_time_total", "self_cuda_time_total", "self_device_time_total"):
            raise ValueError("metric should be one of: ['self_cpu_time_total', 'self_cuda_time_total']")
        with open(path, "w", encoding="utf-8") as file:
            for event in self:
                value = int(getattr(event, metric))
                if event.stack and value > 0:
                    frames = [frame.replace(";", ",").replace(" ", "_") for frame in reversed(event.stack)]
                    file.write(";".join(frames) + f" {value}\n")


_SORTABLE = (
    "cpu_time", "cuda_time", "device_time", "cpu_time_total", "cuda_time_total", "device_time_total", "cpu_memory_usage",
    "cuda_memory_usage", "device_memory_usage", "self_cpu_memory_usage", "self_cuda_memory_usage",
    "self_device_memory_usage", "self_cpu_time_total", "self_cuda_time_total", "self_device_time_total", "count", "flops",
)  # fmt: skip


def _sortable(event: Any, name: str) -> float:
    if name not in _SORTABLE:
        raise ValueError(f"cannot sort by {name!r}; one of {', '.join(_SORTABLE)}")
    return getattr(event, name, 0)


def events_of(records: Iterable[Record], origin: int, **facts: Any) -> EventList:
    """Events of records, with their parents and children."""
    records = list(records)
    events = EventList((FunctionEvent(k, r, origin) for k, r in enumerate(records)), **facts)
    by_record = {id(r): e for r, e in zip(records, events)}
    for record, event in zip(records, events):
        parent = by_record.get(id(record.parent))
        if parent is not None:
            event.cpu_parent = parent
            parent.cpu_children.append(event)
    return events
