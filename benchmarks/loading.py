"""Training on images that are decoded and augmented one by one: what worker processes save, in both libraries.

    python -m benchmarks.loading [--images 640] [--rounds 3]

JPEG files of 512x512 are decoded by Pillow, cropped and mirrored at random, scaled to 96x96 and made an array; a small
network trains on batches of 32. Each number is the best of some rounds; the libraries take turns, each in a process of
its own. `ideal` is what perfect sharing of all the work between the processors would take: (loading + training) /
processors, with what each of the two takes alone.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SIZE, CROP, BATCH = 512, 96, 32
#: worker processes, threads of the training process, further options of the loader
SETTINGS: dict[str, tuple[int, int, dict[str, Any]]] = {
    "0 workers": (0, 2, {}),
    "1 worker": (1, 2, {"prefetch_factor": 4}),
    "2 workers": (2, 2, {"prefetch_factor": 4}),
    "2 workers, 1 thread": (2, 1, {"prefetch_factor": 4}),
}


def write_images(folder: str, count: int) -> None:
    """Photograph-like JPEG files: smooth colours with some noise."""
    import numpy
    from PIL import Image

    generator = numpy.random.default_rng(0)
    for index in range(count):
        small = generator.integers(0, 256, (24, 24, 3), dtype=numpy.uint8)
        smooth = numpy.asarray(Image.fromarray(small).resize((SIZE, SIZE), Image.Resampling.BICUBIC))
        noisy = smooth + generator.normal(0, 8, smooth.shape)
        Image.fromarray(noisy.clip(0, 255).astype("uint8")).save(f"{folder}/{index}.jpg", quality=90)


class Photographs:
    """Decoded, cropped and mirrored at random, scaled, as float arrays."""

    def __init__(self, folder: str, count: int) -> None:
        self.folder, self.count = folder, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int):
        import numpy
        from PIL import Image

        with Image.open(f"{self.folder}/{index}.jpg") as image:
            side = random.randint(SIZE // 2, SIZE)
            left, top = (random.randint(0, SIZE - side) for _ in range(2))
            image = image.convert("RGB").resize(
                (CROP, CROP), Image.Resampling.BILINEAR, (left, top, left + side, top + side)
            )
            if random.random() < 0.5:
                image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            pixels = numpy.asarray(image, dtype="float32")
        return (pixels.transpose(2, 0, 1) - 127.5) / 127.5, index % 10


def network(torch: Any) -> Any:
    """A small convolutional network for ten classes."""
    nn = torch.nn
    return nn.Sequential(
        nn.Conv2d(3, 16, 5, stride=2), nn.ReLU(), nn.Conv2d(16, 32, 3, stride=2), nn.ReLU(),
        nn.Conv2d(32, 64, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10),
    )  # fmt: skip


def child(module: str, folder: str, count: int, setting: str) -> dict[str, float]:
    """Seconds of one pass after a first one: loading with training, and each of the two alone."""
    torch = importlib.import_module(module)
    workers, threads, options = SETTINGS[setting]
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    if workers:
        options = {**options, "persistent_workers": True}
    dataset = Photographs(folder, count)
    loader = torch.utils.data.DataLoader(
        dataset, BATCH, shuffle=True, num_workers=workers, drop_last=True, **options
    )
    model = network(torch)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)

    def train(images: Any, labels: Any) -> None:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()

    seconds = {}
    for _ in range(2):  # the first pass compiles kernels and starts workers
        started = time.perf_counter()
        for images, labels in loader:
            train(images, labels)
        seconds["both"] = time.perf_counter() - started
    if not workers:
        started = time.perf_counter()
        for batch in loader:
            images, labels = batch
        seconds["loading"] = time.perf_counter() - started
        started = time.perf_counter()
        for _ in range(len(loader)):
            train(images, labels)
        seconds["training"] = time.perf_counter() - started
    return seconds


def measure(folder: str, images: int, rounds: int) -> dict[tuple[str, str], dict[str, float]]:
    """The best numbers of every library and setting."""
    best: dict[tuple[str, str], dict[str, float]] = {}
    for _ in range(rounds):
        for setting in SETTINGS:
            for module in ("flambeau", "torch"):
                arguments = ["--child", module, setting, "--folder", folder, "--images", str(images)]
                result = subprocess.run(
                    [sys.executable, "-W", "ignore", "-m", "benchmarks.loading", *arguments],
                    cwd=ROOT,
                    capture_output=True,
                    text=True,
                    check=True,
                )
                found = json.loads(result.stdout)
                known = best.setdefault((module, setting), found)
                best[module, setting] = {name: min(known[name], found[name]) for name in known}
    return best


def report(best: dict[tuple[str, str], dict[str, float]], processors: int) -> list[str]:
    """The table, and a line on each library."""
    lines = ["| setting | Flambeau | PyTorch |", "|---|---:|---:|"]
    for setting in SETTINGS:
        cells = [f"{best[module, setting]['both']:.2f} s" for module in ("flambeau", "torch")]
        lines.append(f"| {setting} | {' | '.join(cells)} |")
    lines.append("")
    for module, name in (("flambeau", "Flambeau"), ("torch", "PyTorch")):
        alone = best[module, "0 workers"]
        tuned = min(best[module, setting]["both"] for setting in SETTINGS)
        ideal = (alone["loading"] + alone["training"]) / processors
        reached = (alone["both"] - tuned) / (alone["both"] - ideal)
        lines.append(
            f"{name}: loading {alone['loading']:.2f} s, training {alone['training']:.2f} s, both {alone['both']:.2f} s; "
            f"tuned {tuned:.2f} s: {1 - tuned / alone['both']:.0%} less. Ideal on {processors} processors {ideal:.2f} s; "
            f"{reached:.0%} of the possible saving reached"
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks.loading", description=__doc__)
    parser.add_argument("--images", type=int, default=640)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    parser.add_argument("--child", nargs=2, metavar=("MODULE", "SETTING"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(child(options.child[0], options.folder, options.images, options.child[1])))
        return
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    print(f"{processors} processors; load before: {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as folder:
        write_images(folder, options.images)
        for line in report(measure(folder, options.images, options.rounds), processors):
            print(line)


if __name__ == "__main__":
    main()
