"""Handwritten digits: 1,797 grey images of 8x8 pixels (UCI Machine Learning Repository, CC BY 4.0)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flambeau import Tensor

_ARCHIVE = Path(__file__).with_name("digits.npz")


def load_digits() -> tuple[Tensor, Tensor]:
    """Return the images and their labels, in the order of the original file.

    Shape: images ``(1797, 8, 8)``, labels ``(1797,)``.
    Dtype: images uint8 with values from 0 (paper) to 16 (ink), labels int64 from 0 to 9.
    Source: E. Alpaydin, C. Kaynak, Optical Recognition of Handwritten Digits, 1998 (``ATTRIBUTION.txt``).

    Example::

        >>> images, labels = load_digits()
        >>> images.shape, int(labels[0])
        (torch.Size([1797, 8, 8]), 0)
    """
    import numpy

    import flambeau

    with numpy.load(_ARCHIVE) as archive:
        images, labels = archive["images"], archive["labels"].astype(numpy.int64)
    return flambeau.from_numpy(images), flambeau.from_numpy(labels)
