"""Prints Flambeau's time, PyTorch's and their ratio for every row: ``python -m benchmarks --only matmul``."""

from __future__ import annotations

import argparse
import importlib
import json
import math
import os
import platform
import re
import sys
import warnings
from typing import Any

from benchmarks import (
    checkpoints,
    compiled,
    data,
    large,
    optim,
    overhead,
    processes,
    recurrent,
    small,
    training,
    vision,
)
from benchmarks.measure import Row, measure
from benchmarks.processes import ProcessRow

TIMED = [
    *small.ROWS, *large.ROWS, *training.ROWS, *compiled.ROWS, *recurrent.ROWS, *vision.ROWS, *optim.ROWS,
    *data.ROWS, *checkpoints.ROWS, *overhead.ROWS,
]  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Measure the chosen rows, print them as they come, then what each group as a whole reached."""
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    parser.add_argument("--only", metavar="REGEX", default="", help="rows whose name or group matches")
    parser.add_argument("--json", metavar="FILE", help="write the numbers there too")
    parser.add_argument("--threads", type=int, default=2, help="threads for each library (default: 2)")
    parser.add_argument("--list", action="store_true", help="print the names of the rows and stop")
    options = parser.parse_args(arguments)
    chosen = [
        row
        for row in (*TIMED, *data.PROCESS_ROWS, *processes.ROWS)
        if re.search(options.only, f"{row.name} {row.group}")
    ]
    if options.list:
        print("\n".join(row.name for row in chosen))
        return 0
    sides = load_sides(options.threads) if any(isinstance(row, Row) for row in chosen) else {}
    print(machine(options.threads), end="\n\n")
    if (load := os.getloadavg()[0]) > 0.5:
        print(f"Other programs are running (load {load:.1f}): these numbers are not to be quoted.\n")
    print("| what | Flambeau | PyTorch | ratio | at most | |\n|---|---:|---:|---:|---:|---|")
    results = [finish(row, sides) for row in chosen]
    print()
    for line in summaries(chosen):
        print(line)
    if options.json:
        content = {"machine": machine(options.threads), "rows": results}
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(content, file, indent=1)
    return 0


def load_sides(threads: int) -> dict[str, Any]:
    """Both name spaces, with the same number of threads."""
    sides = {}
    for name in ("flambeau", "torch"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            sides[name] = importlib.import_module(name)
        sides[name].set_num_threads(threads)
    return sides


def finish(row: Row | ProcessRow, sides: dict[str, Any]) -> dict[str, Any]:
    """Measure a row, print its line and return it as data."""
    if isinstance(row, Row):
        measure(row, sides)
    else:
        row.measure()
    ours, theirs = row.times.get("flambeau"), row.times.get("torch")
    ratio = ours / theirs if ours is not None and theirs else None
    limit, shown_limit = limits(row)
    reached = ours if isinstance(row, ProcessRow) else ratio
    passed = reached is not None and limit is not None and reached <= limit
    mark = f"missing ({row.missing})" if ours is None else "yes" if passed else "NO"
    unit = row.unit if isinstance(row, ProcessRow) else "time"
    cells = (
        row.name,
        quantity(ours, unit),
        quantity(theirs, unit),
        f"{ratio:.2f}" if ratio is not None else "-",
    )
    print("| " + " | ".join((*cells, shown_limit, mark)) + " |", flush=True)
    return {"name": row.name, "group": row.group, "values": row.times, "limit": limit, "passed": passed}


def limits(row: Row | ProcessRow) -> tuple[float | None, str]:
    """The number to stay below and how it reads; a limit that depends on a missing side is None."""
    if isinstance(row, Row):
        return row.limit, f"{row.limit:.2f}"
    try:
        limit = row.limit(row.times)
    except KeyError:
        return None, "-"
    return limit, quantity(limit, row.unit)


def quantity(value: float | None, unit: str) -> str:
    """A number with a unit that suits its size."""
    if value is None:
        return "-"
    if unit == "MB":
        return f"{value:.1f} MB"
    for scale, name in ((1.0, "s"), (1e-3, "ms"), (1e-6, "us")):
        if value >= scale:
            return f"{value / scale:.3g} {name}"
    return f"{value * 1e9:.3g} ns"


def summaries(rows: list[Row | ProcessRow]) -> list[str]:
    """What is asked of a group as a whole."""
    lines = []
    ratios = group_ratios(rows, small.GROUP)
    if ratios:
        mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
        asked = f"at most {small.MEAN:.2f}"
        lines.append(
            f"4x4: geometric mean {mean:.2f} of {len(ratios)} rows ({asked}), most {max(ratios):.2f}"
        )
    ratios = group_ratios(rows, large.GROUP)
    if ratios:
        over = sum(ratio > large.LIMIT for ratio in ratios)
        asked = f"at most {large.SOME}, up to {large.SOME_UP_TO:.2f}"
        lines.append(
            f"large: {over} of {len(ratios)} rows over {large.LIMIT:.2f} ({asked}), most {max(ratios):.2f}"
        )
    return lines


def group_ratios(rows: list[Row | ProcessRow], group: str) -> list[float]:
    """The ratios of the rows of a group that both sides could run."""
    found = [row.ratio for row in rows if isinstance(row, Row) and row.group == group]
    return [ratio for ratio in found if ratio is not None]


def machine(threads: int) -> str:
    """One line: versions, processor, threads."""
    versions = []
    for name in ("flambeau", "torch", "numpy", "llvmlite"):
        module = importlib.import_module(name)
        versions.append(f"{name} {module.__version__}")
    return (
        f"{', '.join(versions)}; {processor()}; {threads} threads of {os.cpu_count()}; {platform.platform()}"
    )


def processor() -> str:
    """The processor as LLVM knows it."""
    import llvmlite.binding

    return llvmlite.binding.get_host_cpu_name()


if __name__ == "__main__":
    sys.exit(main())
