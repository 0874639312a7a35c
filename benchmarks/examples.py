"""The example programs, run unchanged by Flambeau and by PyTorch: ``python -m benchmarks.examples`` prints their times."""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "examples"
#: scripts that say `import torch`; what they share, and the demo, are no such scripts
PROGRAMS = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem not in ("common", "digits"))


def run_example(name: str, *arguments: str, module: str = "flambeau", threads: int = 1) -> str:
    """What ``examples/<name>.py`` prints, in a process of its own, with `module` where it says ``torch``."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(FOLDER.parent),
        "PYTHONIOENCODING": "utf-8",
        "FLAMBEAU_NUM_THREADS": str(threads),
        "OMP_NUM_THREADS": str(threads),
    }
    before = ["-m", "flambeau", "run"] if module == "flambeau" else []
    command = [sys.executable, *before, str(FOLDER / f"{name}.py"), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", check=False)
    if done.returncode:
        raise RuntimeError(f"examples/{name}.py ended with status {done.returncode}\n{done.stderr}")
    return done.stdout


def seconds(name: str, module: str) -> float:
    """Processor time of one run of the example with its default settings, one thread."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run_example(name, module=module)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main(arguments: list[str] | None = None) -> int:
    """Time each example under both libraries in turn; print medians."""
    parser = argparse.ArgumentParser("python -m benchmarks.examples", description=__doc__)
    parser.add_argument("names", nargs="*", default=PROGRAMS, metavar="NAME", help="examples (default: all)")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args(arguments)
    print("| example | Flambeau | PyTorch | ratio |\n|---|---:|---:|---:|")
    for name in options.names:
        run_example(name)  # compiles kernels, once for all later runs
        times = {module: [] for module in ("flambeau", "torch")}
        for _ in range(options.repeats):
            for module, samples in times.items():
                samples.append(seconds(name, module))
        ours, theirs = (statistics.median(samples) for samples in times.values())
        print(f"| {name} | {ours:.2f} s | {theirs:.2f} s | {ours / theirs:.2f} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
