"""What the examples share: two small data sets, and drawing in a terminal."""

from pathlib import Path

import numpy
import torch

DATA = Path(__file__).resolve().parents[1] / "flambeau" / "data"
BARS, SHADES = " ▁▂▃▄▅▆▇█", " .:-=+*#%@"


def digits(test_count=360):
    """Handwritten digits, shuffled alike on every run: (images, labels) to learn from and to test with.

    Images are (N, 1, 8, 8), from 0 (paper) to 1 (ink).
    """
    with numpy.load(DATA / "digits.npz") as archive:
        images = torch.from_numpy(archive["images"]).unsqueeze(1).float() / 16
        labels = torch.from_numpy(archive["labels"].astype("int64"))
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    images, labels = images[order], labels[order]
    return (images[test_count:], labels[test_count:]), (images[:test_count], labels[:test_count])


def sonnets():
    """Sixteen sonnets of Shakespeare, as one text."""
    return (DATA / "sonnets.txt").read_text("utf-8")


def curve(values, width=60):
    """A line of bars, each the mean of a stretch of the values, between the lowest mean and the highest."""
    step = max(1, -(-len(values) // width))
    means = [sum(values[at : at + step]) / len(values[at : at + step]) for at in range(0, len(values), step)]
    low, high = min(means), max(means)
    return "".join(BARS[1 + round(7 * (mean - low) / (high - low or 1))] for mean in means)


def bar(share, width=30):
    """A horizontal bar for a number from 0 to 1."""
    return "█" * round(width * max(0.0, min(1.0, float(share))))


def picture(image):
    """The lines of a grey image (H, W) from 0 to 1: two characters a pixel."""
    return ["".join(2 * SHADES[round(9 * max(0.0, min(1.0, dot)))] for dot in row) for row in image.tolist()]


def beside(*blocks, gap="   "):
    """Blocks of lines, next to one another."""
    return "\n".join(gap.join(lines) for lines in zip(*blocks))
