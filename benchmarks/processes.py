"""Start-up, size and memory: each number comes from fresh processes, the two libraries in turn."""

from __future__ import annotations

import importlib.metadata
import os
import re
import statistics
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

TIMED_IMPORT = "import time; t = time.perf_counter(); import {0}; print(time.perf_counter() - t)"
FIRST_PRODUCT = "import {0} as torch; a = torch.ones(3, 4); b = torch.ones(4, 2); print(a @ b)"


@dataclass
class ProcessRow:
    """One line of the table; `value(module)` runs a process and returns its number."""

    name: str
    unit: str
    value: Callable[[str], float]
    limit: Callable[[dict[str, float]], float]
    repeats: int = 5
    with_numpy: bool = False
    group: str = "start-up, size, memory"
    times: dict[str, float] = field(default_factory=dict)
    missing: str = ""

    def measure(self) -> None:
        """Fill in the median of every side, one process each in turn."""
        sides = ["flambeau", "torch", *(["numpy"] if self.with_numpy else [])]
        samples: dict[str, list[float]] = {side: [] for side in sides}
        for turn in range(self.repeats + (self.repeats > 1)):
            for side in sides if turn % 2 else reversed(sides):
                try:
                    number = self.value(side)
                except (subprocess.CalledProcessError, importlib.metadata.PackageNotFoundError) as error:
                    if side != "flambeau":
                        raise
                    last_line = (getattr(error, "stderr", "") or str(error)).strip().splitlines()[-1:]
                    self.missing = "".join(last_line)
                    sides = [other for other in sides if other != side]
                    break
                if turn or self.repeats == 1:  # the first turn fills the caches
                    samples[side].append(number)
        self.times = {side: statistics.median(numbers) for side, numbers in samples.items() if numbers}


def python(*arguments: str) -> str:
    """Standard output of a fresh Python process in the repository's root."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    return result.stdout


def import_seconds(module: str) -> float:
    return float(python("-c", TIMED_IMPORT.format(module)))


def first_product_seconds(module: str) -> float:
    """Wall time of a whole process, from its start to its end."""
    started = time.perf_counter()
    python("-c", FIRST_PRODUCT.format(module))
    return time.perf_counter() - started


def program(name: str) -> Callable[[str], float]:
    """The number that one of benchmarks/programs.py prints."""
    return lambda module: float(python("-m", "benchmarks.programs", name, module))


def installed_megabytes(package: str) -> float:
    """Size of a package and of everything that it requires, without extras."""
    todo, seen, total = [package], set(), 0
    while todo:
        name = re.sub(r"[-_.]+", "-", todo.pop()).lower()
        if name in seen:
            continue
        seen.add(name)
        paths, requirements = _contents(name)
        total += sum(path.stat().st_size for path in {path.resolve() for path in paths} if path.is_file())
        for requirement in requirements:
            text, _, marker = requirement.partition(";")
            if "extra" not in marker and _marker_holds(marker):
                todo.append(re.match(r"[\w.-]+", text.strip()).group())  # type: ignore[union-attr]
    return total / 1e6


def _contents(name: str) -> tuple[list[Path], list[str]]:
    """Files and requirements of a package; our own are read from this repository, installed or not."""
    if name == "flambeau":
        project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
        return list((ROOT / "flambeau").rglob("*")), project["dependencies"]
    distribution = importlib.metadata.distribution(name)
    paths = [Path(str(distribution.locate_file(file))) for file in distribution.files or ()]
    return paths, distribution.requires or []


def _marker_holds(marker: str) -> bool:
    if not marker.strip():
        return True
    try:
        from packaging.markers import Marker
    except ImportError:
        return "platform_system" not in marker or "Linux" in marker
    return Marker(marker.strip()).evaluate()


ROWS = [
    ProcessRow("import", "s", import_seconds, lambda times: times["numpy"] + 0.06, with_numpy=True),
    ProcessRow("fresh process to first printed a @ b", "s", first_product_seconds, lambda times: 0.45),
    ProcessRow("installed with all dependencies", "MB", installed_megabytes, lambda times: 300.0, repeats=1),
    ProcessRow("peak memory of the demo", "MB", program("peak"), lambda times: times["torch"], repeats=1),
    # The allocator of the C library moves by a few pages; a leak of 200 bytes a step would show as 0.4 MB.
    ProcessRow("growth over 2,000 training steps", "MB", program("growth"), lambda times: 0.3, repeats=1),
]
