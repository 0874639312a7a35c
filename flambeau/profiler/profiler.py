"""`profile`: which operators a program runs, how long they take, and what memory they keep."""

from __future__ import annotations

import enum
import functools
import json
import os
import socket
import time
from collections.abc import Callable, Iterable
from typing import Any

from .events import EventList, events_of
from .recorder import RECORDER

__all__ = [
    "ProfilerAction", "ProfilerActivity", "profile", "record_function", "schedule", "supported_activities",
    "tensorboard_trace_handler",
]  # fmt: skip


class ProfilerActivity(enum.Enum):
    """Where work is recorded. Here it is on the CPU."""

    CPU, XPU, MTIA, CUDA, HPU, PrivateUse1 = range(6)


class ProfilerAction(enum.Enum):
    """What a profiler does in a step."""

    NONE, WARMUP, RECORD, RECORD_AND_SAVE = range(4)


def supported_activities() -> set[ProfilerActivity]:
    """The activities that can be recorded."""
    return {ProfilerActivity.CPU}


def schedule(
    *, wait: int, warmup: int, active: int, repeat: int = 0, skip_first: int = 0, skip_first_wait: int = 0
) -> Callable[[int], ProfilerAction]:
    """What to do in each step: leave out `skip_first`, then again and again `wait`, `warmup` and record `active` steps.

    repeat: how many times; 0 for no end. skip_first_wait: 1 to leave out the first `wait`.

    >>> plan = schedule(wait=1, warmup=1, active=2, repeat=1)
    >>> [plan(step).name for step in range(5)]
    ['NONE', 'WARMUP', 'RECORD', 'RECORD_AND_SAVE', 'NONE']
    """
    if wait < 0 or warmup < 0 or active <= 0 or repeat < 0 or skip_first < 0:
        raise AssertionError("Invalid profiler schedule arguments")

    def action(step: int) -> ProfilerAction:
        if step < 0:
            raise AssertionError(f"Step must be non-negative. Got {step}.")
        if step < skip_first:
            return ProfilerAction.NONE
        step -= skip_first
        if skip_first_wait:
            step += wait
        cycle = wait + warmup + active
        if repeat > 0 and step // cycle >= repeat:
            return ProfilerAction.NONE
        within = step % cycle
        if within < wait:
            return ProfilerAction.NONE
        if within < wait + warmup:
            return ProfilerAction.WARMUP
        return ProfilerAction.RECORD if within < cycle - 1 else ProfilerAction.RECORD_AND_SAVE

    return action


def _always(step: int) -> ProfilerAction:
    return ProfilerAction.RECORD


def tensorboard_trace_handler(
    dir_name: str, worker_name: str | None = None, use_gzip: bool = False
) -> Callable[[Any], None]:
    """For ``on_trace_ready``: write each trace into a folder, under the names that TensorBoard's plug-in looks for."""

    def handle(prof: Any) -> None:
        os.makedirs(dir_name, exist_ok=True)
        worker = worker_name or f"{socket.gethostname()}_{os.getpid()}"
        name = f"{worker}.{time.time_ns()}.pt.trace.json" + (".gz" if use_gzip else "")
        prof.export_chrome_trace(os.path.join(dir_name, name))

    return handle


class record_function:
    """A named range in the profile: a context manager, or a decorator.

    >>> import flambeau as torch
    >>> with torch.profiler.profile() as prof, torch.profiler.record_function("mine"):
    ...     x = torch.ones(3) + 1
    >>> [event.key for event in prof.key_averages() if event.is_user_annotation]
    ['mine']
    """

    def __init__(self, name: str, args: str | None = None):
        self.name, self.args = name, args
        self._record: Any = None

    def __enter__(self):
        if RECORDER.on:
            self._record = RECORDER.begin(self.name, "user_annotation")
            self._record.arguments = self.args
        return self

    def __exit__(self, *exc: Any) -> None:
        if self._record is not None:
            RECORDER.finish(self._record)
            self._record = None

    def __call__(self, function: Callable) -> Callable:
        @functools.wraps(function)
        def within(*args: Any, **kwargs: Any) -> Any:
            with record_function(self.name, self.args):
                return function(*args, **kwargs)

        return within


class profile:
    """Records the operators that run within it: a context manager, or `start()` and `stop()`.

    activities: which of `ProfilerActivity`; only CPU is there. schedule: says per `step()` whether to record.
    on_trace_ready: called with the profiler when a recording ends. record_shapes: keep the shapes of the arguments.
    profile_memory: keep the bytes that each call took. with_stack: keep the lines that led to each call. with_flops:
    count the operations of matrix products, convolutions, attention and arithmetic. with_modules: keep the modules
    around each call. One profiler runs at a time; while none does, operators cost nothing more.

    >>> import flambeau as torch
    >>> with torch.profiler.profile(record_shapes=True) as prof:
    ...     y = torch.ones(2, 3) @ torch.ones(3, 4)
    >>> prof.key_averages().table(sort_by="cpu_time_total").count("aten::ones")
    1
    """

    def __init__(
        self, *, activities: Iterable[ProfilerActivity] | None = None,
        schedule: Callable[[int], ProfilerAction] | None = None, on_trace_ready: Callable[..., Any] | None = None,
        record_shapes: bool = False, profile_memory: bool = False, with_stack: bool = False, with_flops: bool = False,
        with_modules: bool = False, experimental_config: Any = None, execution_trace_observer: Any = None,
        acc_events: bool = False, use_cuda: bool | None = None, custom_trace_id_callback: Any = None,
        post_processing_timeout_s: float | None = None,
    ):  # fmt: skip
        self.activities = set(activities) if activities is not None else supported_activities()
        if not self.activities:
            raise AssertionError("No valid profiler activities found")
        self.schedule = schedule or _always
        self.on_trace_ready = on_trace_ready
        self.record_shapes, self.profile_memory = record_shapes, profile_memory
        self.with_stack, self.with_flops, self.with_modules = with_stack, with_flops, with_modules
        self.acc_events = acc_events
        self.step_num = 0
        self.current_action = self.schedule(0)
        self._scheduled = schedule is not None
        self._step: record_function | None = None
        self._events: EventList | None = None
        self._metadata: dict[str, Any] = {}
        self._recording = False

    # -- beginning, steps, end ---------------------------------------------------------------------------------------

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exc: Any) -> None:
        self.stop()

    def start(self) -> None:
        """Begin."""
        self._change(ProfilerAction.NONE, self.current_action)
        self._begin_step()

    def stop(self) -> None:
        """End; a recording that is open is handed to `on_trace_ready`."""
        self._end_step()
        before, self.current_action = self.current_action, ProfilerAction.NONE
        if before in (ProfilerAction.RECORD, ProfilerAction.RECORD_AND_SAVE):
            self._end_recording()
            self._ready()
        elif self._recording:  # warming up
            RECORDER.stop()
            self._recording = False

    def step(self) -> None:
        """Say that an iteration of the program has ended."""
        self._end_step()
        before = self.current_action
        self.step_num += 1
        self.current_action = self.schedule(self.step_num)
        self._change(before, self.current_action)
        self._begin_step()

    def _begin_step(self) -> None:
        if self._scheduled and self._recording:
            self._step = record_function(f"ProfilerStep#{self.step_num}")
            self._step.__enter__()

    def _end_step(self) -> None:
        if self._step is not None:
            self._step.__exit__(None, None, None)
            self._step = None

    def _change(self, before: ProfilerAction, after: ProfilerAction) -> None:
        on = (ProfilerAction.RECORD, ProfilerAction.RECORD_AND_SAVE)
        if before is ProfilerAction.RECORD_AND_SAVE:
            self._end_recording()
            self._ready()
        elif before in on and after not in on:
            self._end_recording()
        if after is ProfilerAction.NONE:
            if self._recording:
                RECORDER.stop()
                self._recording = False
        elif not self._recording:
            self._begin_recording()
        elif before is ProfilerAction.WARMUP and after in on:
            RECORDER.stop()  # what warming up recorded is not wanted
            self._begin_recording()

    def _begin_recording(self) -> None:
        RECORDER.start(
            shapes=self.record_shapes, memory=self.profile_memory, flops=self.with_flops, stacks=self.with_stack,
            modules=self.with_modules,
        )  # fmt: skip
        self._recording = True

    def _end_recording(self) -> None:
        if not self._recording:
            return
        origin = RECORDER.origin
        records = RECORDER.stop()
        self._recording = False
        found = events_of(
            records,
            origin,
            profile_memory=self.profile_memory,
            with_flops=self.with_flops,
            metadata=self._metadata,
        )
        if self.acc_events and self._events is not None:
            found[:0] = self._events
        self._events = found

    def _ready(self) -> None:
        if self.on_trace_ready is not None:
            self.on_trace_ready(self)

    # -- what was recorded -------------------------------------------------------------------------------------------

    def events(self) -> EventList:
        """The calls, in the order in which they began.

        Raises: AssertionError before the profiler has recorded anything.
        """
        if self._events is None:
            raise AssertionError("Profiler didn't finish running")
        return self._events

    def key_averages(
        self,
        group_by_input_shape: bool = False,
        group_by_stack_n: int = 0,
        group_by_overload_name: bool = False,
    ) -> EventList:
        """The calls of one name (and input shapes, and nearest callers) added up."""
        return self.events().key_averages(group_by_input_shape, group_by_stack_n)

    def export_chrome_trace(self, path: str) -> None:
        """Write the recording as JSON for chrome://tracing or ui.perfetto.dev."""
        self.events().export_chrome_trace(path)

    def export_stacks(self, path: str, metric: str = "self_cpu_time_total") -> None:
        """Write callers and times in the form that flame graphs are drawn from (needs ``with_stack=True``)."""
        self.events().export_stacks(path, metric)

    def add_metadata(self, key: str, value: str) -> None:
        """Add a text to the trace file."""
        self._metadata[key] = value

    def add_metadata_json(self, key: str, value: str) -> None:
        """Add a value, given as JSON, to the trace file."""
        self._metadata[key] = json.loads(value)

    preset_metadata_json = add_metadata_json

    def toggle_collection_dynamic(self, enable: bool, activities: Iterable[ProfilerActivity]) -> None:
        """Leave a part of the program out of the recording, and take it in again."""
        RECORDER.on = enable and self._recording

    def prepare_trace(self) -> None:
        """Begin, under the name of PyTorch's lower-level profiler."""
        self._scheduled = False

    def start_trace(self) -> None:
        """Begin to record, under the name of PyTorch's lower-level profiler."""
        if not self._recording:
            self._begin_recording()

    def stop_trace(self) -> None:
        """End the recording, under the name of PyTorch's lower-level profiler."""
        self._end_recording()
