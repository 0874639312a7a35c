"""Which form a convolution takes: one rule, by a count of cycles.

- tiles: weights are packed, register tiles sweep over a padded image (`conv_plan`);
- few: weights are read from where they lie, the pixels are laid out as columns (`conv_few`);
- points: 3x3 kernels by Winograd's filtering (`winograd`).

One multiply-add of a vector counts as one cycle; the other numbers were measured in these units. They only
have to be right near the places where two forms cost the same.
"""

from __future__ import annotations

#: packing a weight
PACK_WEIGHT = 1.4
#: the padded image: a plane that is copied whole and each of its vectors; a row; an element
PLANE, PLANE_VECTOR, PLANE_ROW, PLANE_ELEMENT = 40.0, 6.0, 30.0, 4.0
#: filling a vector of a column from one run of memory, from each further run, from a single element
FILL_VECTOR, FILL_RUN, FILL_LANE = 7.0, 2.0, 1.6
#: with lanes over channels and taps: a vector of weights, a sum of lanes, a gathered number
LOAD, SUM, GATHER = 1.0, 5.0, 3.0
#: an entry of a weight's gradient, besides its sums
GRADIENT = 3.7
#: columns that stay in the caches
COLUMN_BYTES = 6 << 20
#: taking a 3x3 weight to its points, and more where all of them do not stay in the caches
WEIGHT_TO_POINTS, LARGE_WEIGHT, LARGE_BYTES = 26.0, 60.0, 24 << 20
#: taking a plane, and each vector of tiles, to the points; a vector of tiles from them
PLANE_TO_POINTS, TILES_TO_POINTS, TILES_FROM_POINTS = 200.0, 560.0, 310.0


def tiles_cycles(terms: int, padded_rows: int, vectors: float, image: float) -> float:
    """Of the sweep. terms: channels times taps; vectors: of pixels; image: cycles of the padded image."""
    return padded_rows * terms * (vectors + PACK_WEIGHT) + image


def image_cycles(planes: int, rows: int, pitch: int, way: int, lanes: int) -> float:
    """Of padded images that are copied by planes (1), by rows (2) or by elements (3)."""
    if way == 1:
        return planes * (PLANE + PLANE_VECTOR * -(-rows * pitch // lanes))
    return (
        planes * rows * (PLANE_ROW + PLANE_VECTOR * (pitch // lanes) if way == 2 else PLANE_ELEMENT * pitch)
    )


def few_cycles(terms: int, padded_rows: int, vectors: int, fill: float) -> float:
    """Of the product with columns. fill: cycles of filling a vector of them."""
    return terms * vectors * (padded_rows + fill)


def fill_cycles(width: int, step: int, lanes: int) -> float:
    """Of a vector of a column whose pixels lie in rows of `width`, read with `step`; width 0: in one run."""
    if step == 1 and width == 0:
        return FILL_VECTOR
    if step == 1 and width >= 3:
        return FILL_VECTOR + FILL_RUN * lanes / width
    return FILL_VECTOR + FILL_LANE * lanes


def dots_cycles(terms: int, rows: int, pixels: int, lanes: int, gather: bool) -> float:
    """Of the product with lanes over channels and taps: weights are read, each pixel's numbers gathered."""
    return rows * (terms / lanes * (pixels + LOAD) + SUM * pixels) + gather * GATHER * terms * pixels


def points_cycles(
    channels: int, rows: int, planes_vectors: int, samples: int, columns: int, lanes: int, gradient: bool
) -> float:
    """Of Winograd's filtering. planes_vectors: of tiles of a plane; columns: tiles of all samples.

    gradient: of the weight, for which the planes of both operands are taken to the points.
    """
    weight = WEIGHT_TO_POINTS + (LARGE_WEIGHT if 144 * channels * rows > LARGE_BYTES else 0)
    to_points = PLANE_TO_POINTS + TILES_TO_POINTS * planes_vectors
    other = to_points if gradient else TILES_FROM_POINTS * planes_vectors
    products = 36 * channels * rows * max(1.0, columns / lanes)
    return channels * rows * weight + samples * (channels * to_points + rows * other) + products


def direct_cycles(rows: int, terms: int, pixels: int, lanes: int) -> float:
    """Of the better of the other two forms, where only the sizes are known."""
    vectors = -(-pixels // lanes)
    if 4 * terms * vectors * lanes <= COLUMN_BYTES:
        return rows * terms * vectors
    return rows * terms * (1.05 * pixels / lanes + PACK_WEIGHT)


def gradient_cycles(rows: int, terms: int, samples: int, height: int, width: int, lanes: int) -> float:
    """Of the weight's gradient by tiles; rows of pixels are padded by the kernel's border."""
    return rows * terms * (samples * -(-(width + 2) * height // lanes) + GRADIENT)
