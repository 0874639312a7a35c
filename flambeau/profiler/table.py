"""The table of a profile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["memory_text", "table", "time_text"]


def time_text(microseconds: float, unit: str | None = None) -> str:
    """A time with its unit.

    >>> time_text(12.5), time_text(2_500), time_text(3_000_000)
    ('12.500us', '2.500ms', '3.000s')
    """
    if unit == "s" or (unit is None and microseconds >= 1e6):
        return f"{microseconds / 1e6:.3f}s"
    if unit == "ms" or (unit is None and microseconds >= 1e3):
        return f"{microseconds / 1e3:.3f}ms"
    return f"{microseconds:.3f}us"


def memory_text(count: int) -> str:
    """Bytes with their unit.

    >>> memory_text(512), memory_text(-4096), memory_text(3 * 2**20)
    ('512 B', '-4.00 KB', '3.00 MB')
    """
    for size, unit in ((2**30, "GB"), (2**20, "MB"), (2**10, "KB")):
        if abs(count) >= size:
            return f"{count / size:.2f} {unit}"
    return f"{count} B"


def _flops_unit(rows: list) -> tuple[float, str]:
    most = max((row.flops for row in rows), default=0)
    for size, unit in ((1e12, "TFLOPs"), (1e9, "GFLOPs"), (1e6, "MFLOPs"), (1e3, "KFLOPs")):
        if most >= size:
            return size, unit
    return 1.0, "FLOPs"


def _columns(rows: list, total: float, limits: tuple, memory: bool, flops: bool, unit: str | None) -> list:
    """(heading, text of an event, whether it stands to the left) of each column."""

    def share(value: float) -> str:
        return f"{100 * value / total:.2f}%" if total else "0.00%"

    columns: list[tuple[str, Callable[[Any], str], bool]] = [
        ("Name", lambda e: _cut(e.key, limits[0]), True),
        ("Self CPU %", lambda e: share(e.self_cpu_time_total), False),
        ("Self CPU", lambda e: time_text(e.self_cpu_time_total, unit), False),
        ("CPU total %", lambda e: share(e.cpu_time_total), False),
        ("CPU total", lambda e: time_text(e.cpu_time_total, unit), False),
        ("CPU time avg", lambda e: time_text(e.cpu_time, unit), False),
    ]
    if memory:
        columns += [
            ("CPU Mem", lambda e: memory_text(e.cpu_memory_usage), False),
            ("Self CPU Mem", lambda e: memory_text(e.self_cpu_memory_usage), False),
        ]
    columns.append(("# of Calls", lambda e: str(e.count), False))
    if any(row.input_shapes for row in rows):
        columns.append(("Input Shapes", lambda e: _cut(str(e.input_shapes or "[]"), limits[1]), True))
    if any(row.stack for row in rows):
        columns.append(
            ("Source Location", lambda e: _cut_left(e.stack[0] if e.stack else "", limits[2]), True)
        )
    if flops:
        size, name = _flops_unit(rows)
        columns.append((f"Total {name}", lambda e: f"{e.flops / size:.3f}" if e.flops else "--", False))
    return columns


def _cut(text: str, width: int | None) -> str:
    return text if not width or len(text) <= width else text[: width - 3] + "..."


def _cut_left(text: str, width: int | None) -> str:
    return text if not width or len(text) <= width else "..." + text[3 - width :]


def table(
    rows: list, total: float, header: str | None = None, limits: tuple = (55, 80, 75), *, memory: bool = False,
    flops: bool = False, unit: str | None = None,
) -> str:  # fmt: skip
    """Events or averages as text, one a line."""
    if not rows:
        return ""
    columns = _columns(rows, total, limits, memory, flops, unit)
    cells = [[text(row) for _, text, _ in columns] for row in rows]
    widths = [max(len(name), *(len(line[k]) for line in cells)) for k, (name, _, _) in enumerate(columns)]
    rule = "  ".join("-" * (w + 2) for w in widths)

    def line(parts: list[str]) -> str:
        aligned = [
            p.ljust(w + 2) if left else p.rjust(w + 2) for p, w, (_, _, left) in zip(parts, widths, columns)
        ]
        return "  ".join(aligned).rstrip()

    lines = [header.center(len(rule))] if header else []
    lines += [rule, line([name for name, _, _ in columns]), rule, *map(line, cells), rule]
    return "\n".join(lines) + f"\nSelf CPU time total: {time_text(total)}\n"
