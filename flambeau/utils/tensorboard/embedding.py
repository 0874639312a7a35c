"""Points with labels and pictures, in the files that TensorBoard's projector reads."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from .package import array
from .summary import _bytes_of, _pillow

__all__ = ["write"]


def write(folder: Path, points: Any, labels: Any, pictures: Any, step: Any, tag: str, header: Any) -> None:
    """Write a table of the points, one of the labels, one big picture, and an entry in the projector's list."""
    if points.ndim != 2:
        raise AssertionError("mat should be 2D, where mat.size(0) is the number of data points")
    name = f"{str(step if step is not None else 0).zfill(5)}"
    subfolder = f"{name}/{_file_name(tag)}"
    place = folder / subfolder
    place.mkdir(parents=True, exist_ok=True)
    lines = ["embeddings {", f'tensor_name: "{tag}:{name}"', f'tensor_path: "{subfolder}/tensors.tsv"']
    rows = ("\t".join(repr(float(x)) for x in row) for row in points)
    (place / "tensors.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    if labels is not None:
        if len(labels) != points.shape[0]:
            raise AssertionError("#labels should equal with #data points")
        if header:
            texts = ["\t".join(header), *("\t".join(str(x) for x in row) for row in labels)]
        else:
            texts = [str(x) for x in labels]
        (place / "metadata.tsv").write_text("\n".join(texts) + "\n", encoding="utf-8")
        lines.append(f'metadata_path: "{subfolder}/metadata.tsv"')
    if pictures is not None:
        pictures = array(pictures)
        if pictures.shape[0] != points.shape[0]:
            raise AssertionError("#images should equal with #data points")
        _write_sprite(pictures, place / "sprite.png")
        lines += [
            "sprite {", f'image_path: "{subfolder}/sprite.png"', f"single_image_dim: {pictures.shape[3]}",
            f"single_image_dim: {pictures.shape[2]}", "}",
        ]  # fmt: skip
    with open(folder / "projector_config.pbtxt", "a", encoding="utf-8") as file:
        file.write("\n".join([*lines, "}"]) + "\n")


def _file_name(tag: str) -> str:
    return "".join(c if c.isalnum() or c in "-_." else f"%{ord(c):02x}" for c in tag)


def _write_sprite(pictures: Any, path: Path) -> None:
    """All pictures (count, channel, height, width) in one square."""
    import numpy as np

    from .summary import _grid

    side = math.ceil(math.sqrt(pictures.shape[0]))
    short = side * side - pictures.shape[0]
    padded = np.concatenate([pictures, np.zeros((short, *pictures.shape[1:]), pictures.dtype)])
    pixels = _grid(padded, side).transpose(1, 2, 0)
    _pillow().fromarray(_bytes_of(pixels)).save(path)
