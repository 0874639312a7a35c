"""Charts and small images as text, for a terminal with or without Unicode."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple


class Ink(NamedTuple):
    """The characters that a terminal can show: columns from empty to full, greys from paper to ink."""

    columns: str
    greys: str
    bar: tuple[str, str]
    rule: tuple[str, str, str]  # vertical, corner, horizontal


UNICODE = Ink(" ▁▂▃▄▅▆▇█", " ░▒▓█", ("━", "─"), ("│", "└", "─"))
ASCII = Ink(" .:|", " .+#@", ("=", "-"), ("|", "+", "-"))


def ink_for(stream) -> Ink:
    """Unicode blocks where the stream can encode them, plain ASCII elsewhere."""
    try:
        text = "".join((UNICODE.columns, UNICODE.greys, *UNICODE.bar, *UNICODE.rule))
        text.encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return ASCII
    return UNICODE


def progress_bar(done: float, width: int, ink: Ink) -> str:
    """A bar of `width` characters, of which the fraction `done` is filled."""
    filled = round(min(max(done, 0.0), 1.0) * width)
    return ink.bar[0] * filled + ink.bar[1] * (width - filled)


def column_chart(values: Sequence[float], ink: Ink, *, width: int = 60, height: int = 9) -> list[str]:
    """Values from left to right as columns over a logarithmic axis; a column is the mean of its values."""
    width = min(width, len(values))
    edges = [i * len(values) // width for i in range(width + 1)]
    means = [math.fsum(values[a:b]) / (b - a) for a, b in itertools.pairwise(edges)]
    low, high = _decades(means)
    steps = len(ink.columns) - 1
    levels = [_level(mean, low, high) * height * steps for mean in means]
    lines = []
    for row in reversed(range(height)):
        cells = (ink.columns[round(min(max(level - row * steps, 0), steps))] for level in levels)
        lines.append(f"{_axis_label(row, height, low, high):>7} {ink.rule[0]}{''.join(cells)}")
    lines.append(f"{'':>7} {ink.rule[1]}{ink.rule[2] * width}")
    return lines


def confusion_grid(counts: Sequence[Sequence[int]], ink: Ink) -> list[str]:
    """A square of shaded cells, true class down, answer across; a cell that is not empty shows its count."""
    size, most = len(counts), max(1, *(max(row) for row in counts))
    lines = ["     " + "".join(f"{name:^5}" for name in range(size)).rstrip()]
    for name, row in enumerate(counts):
        lines.append(f"{name:>3}  " + "".join(_cell(count, most, ink) for count in row).rstrip())
    return lines


def small_images(images: Sequence[Sequence[Sequence[float]]], captions: Sequence[str], ink: Ink) -> list[str]:
    """Grey images (values 0 to 1) side by side, two characters a pixel, each with a caption below."""
    gap = "   "
    rows = range(len(images[0]))
    lines = [gap.join("".join(_grey(v, ink) * 2 for v in image[row]) for image in images) for row in rows]
    wide = 2 * len(images[0][0])
    lines.append(gap.join(f"{caption:^{wide}.{wide}}" for caption in captions))
    return [line.rstrip() for line in lines]


def _grey(value: float, ink: Ink) -> str:
    return ink.greys[min(int(value * len(ink.greys)), len(ink.greys) - 1)]


def _cell(count: int, most: int, ink: Ink) -> str:
    if not count:
        return "  .  " if ink is ASCII else "  ·  "
    shade = ink.greys[max(math.ceil(count / most * (len(ink.greys) - 1)), 1)]
    return f"{shade}{count:^3}{shade}"


def _decades(values: Sequence[float]) -> tuple[float, float]:
    """Logarithms of the axis ends: the smallest value, down to 1, 2 or 5 of its decade, and the largest."""
    finite = [v for v in values if math.isfinite(v) and v > 0] or [1.0]
    low, high = math.log10(min(finite)), math.log10(max(finite))
    base = math.floor(low)
    low = max(base + math.log10(m) for m in (1, 2, 5) if base + math.log10(m) <= low + 1e-9)
    return low, max(high, low + 0.1)


def _level(value: float, low: float, high: float) -> float:
    """Height in 0..1; what is not finite stands at the top, what is not positive at the bottom."""
    if not math.isfinite(value):
        return 1.0
    return (math.log10(value) - low) / (high - low) if value > 0 else 0.0


def _axis_label(row: int, height: int, low: float, high: float) -> str:
    if row not in (0, height // 2, height - 1):
        return ""
    return f"{10 ** (low + (high - low) * row / (height - 1)):.2g}"
