"""Events as a trace that Chrome, Perfetto and TensorBoard's plug-in open."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

__all__ = ["write"]

_CATEGORY = {"operator": "cpu_op", "backward": "cpu_op", "user_annotation": "user_annotation"}


def _entry(event: Any) -> dict[str, Any]:
    """One complete event ("X"): its beginning and its length in microseconds."""
    facts: dict[str, Any] = {"External id": event.id + 1}
    if event.input_shapes:
        facts["Input Dims"] = event.input_shapes
    if event.stack:
        facts["Call stack"] = ";".join(event.stack)
    if event.cpu_memory_usage:
        facts["Bytes"] = event.cpu_memory_usage
    if event.flops:
        facts["Flops"] = event.flops
    if event.sequence_nr >= 0:
        facts["Sequence number"] = event.sequence_nr
    if event.module:
        facts["Module Hierarchy"] = event.module
    return {
        "ph": "X", "cat": _CATEGORY[event.kind], "name": event.name, "pid": os.getpid(), "tid": event.thread,
        "ts": round(event.time_range.start, 3), "dur": round(event.time_range.elapsed_us(), 3), "args": facts,
    }  # fmt: skip


def write(events: list, path: Any, metadata: dict[str, Any]) -> None:
    """Write the trace; a name that ends in ``.gz`` is compressed."""
    process = os.getpid()
    entries: list[dict[str, Any]] = [
        {"ph": "M", "name": "process_name", "pid": process, "tid": 0, "args": {"name": "python"}},
        {"ph": "M", "name": "process_labels", "pid": process, "tid": 0, "args": {"labels": "CPU"}},
    ]
    for thread in sorted({event.thread for event in events}):
        entries.append(
            {
                "ph": "M",
                "name": "thread_name",
                "pid": process,
                "tid": thread,
                "args": {"name": f"thread {thread}"},
            }
        )
    entries += [_entry(event) for event in events]
    whole = {"schemaVersion": 1, "displayTimeUnit": "ms", **metadata, "traceEvents": entries}
    text = json.dumps(whole)
    path = Path(os.fspath(path))
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text, encoding="utf-8")
