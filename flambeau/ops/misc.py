"""Distances, combinations and numerical derivatives: small compositions of other operators."""

from __future__ import annotations

from math import comb, prod

from ..base import dtype as types
from ..base.errors import check_dim, require
from ..base.layout import broadcast_shapes, contiguous_layout
from .define import op, ops
from .kinds import Composite, Opaque
from .linalg import NAMES
from .out_rules import worded
from .reduce_norm import vector_norm

# -- combinations --------------------------------------------------------------------------------------------------------


@op("combinations(Tensor input, int r=2, bool with_replacement=False) -> Tensor", method=False)
class Combinations(Composite):
    """All ways to choose ``r`` elements of a vector, one a row, in the order of `itertools.combinations`."""

    def body(input, r, with_replacement):
        where = input._layout
        require(where.ndim == 1, f"Expect a 1D vector, but got shape {list(where.shape)}")
        require(r >= 0, f"Expect a non-negative number, but got {r}")
        if r == 0:
            return ops.empty((0,), dtype=where.dtype, device=where.device)
        places = ops.chosen_places(where.shape[0], r, bool(with_replacement), where.device)
        rows = ops.index_select(input, 0, ops.reshape(places, (-1,)))
        return ops.reshape(rows, places._layout.shape)


@op(
    "chosen_places(int size, int r, bool with_replacement, any device) -> Tensor",
    function=False,
    method=False,
)
class ChosenPlaces(Opaque):
    """All ways to choose ``r`` of ``size`` places, one a row."""

    algorithm = "combinatorial.chosen"

    def layouts(size, r, with_replacement, device):
        count = comb(size + r - 1, r) if with_replacement and size else comb(size, r)
        return contiguous_layout((count, r), types.int64, device)


@op("cartesian_prod(any[*] tensors) -> Tensor", method=False)
class CartesianProd(Composite):
    """All combinations of one element of each vector, one a row, the last running fastest."""

    def body(tensors):
        given = list(tensors) if isinstance(tensors, (list, tuple)) else [tensors]
        require(given, "meshgrid expects a non-empty TensorList")
        for t in given:
            require(t._layout.ndim == 1, f"Expect a 1D vector, but got shape {list(t._layout.shape)}")
        if len(given) == 1:
            return given[0]
        sizes = [t._layout.shape[0] for t in given]
        columns = [
            ops.expand(ops.reshape(t, [-1 if d == k else 1 for d in range(len(given))] if sizes[k] else
                                   [0 if d == k else 1 for d in range(len(given))]), sizes)
            for k, t in enumerate(given)
        ]  # fmt: skip
        return ops.reshape(ops.stack(columns, -1), (prod(sizes), len(given)))


# -- distances -----------------------------------------------------------------------------------------------------------

_MODES = {
    None: 0,
    "use_mm_for_euclid_dist_if_necessary": 0,
    "use_mm_for_euclid_dist": 1,
    "donot_use_mm_for_euclid_dist": 2,
}


@op(
    "cdist(Tensor x1, Tensor x2, any p=2.0, any compute_mode='use_mm_for_euclid_dist_if_necessary') -> Tensor",
    method=False,
)
class Cdist(Composite):
    """Distances of order ``p`` between each row of ``x1`` and each row of ``x2``.

    compute_mode: whether Euclidean distances may go through a matrix product, which is faster for many rows and
    less accurate.
    """

    def body(x1, x2, p, compute_mode):
        if compute_mode not in _MODES and compute_mode not in (0, 1, 2):
            raise ValueError(f"{compute_mode} is not a valid value for compute_mode")
        mode = _MODES.get(compute_mode, compute_mode)
        a, b = x1._layout, x2._layout
        for label, where in (("X1", a), ("X2", b)):
            require(where.ndim >= 2, f"cdist only supports at least 2D tensors, {label} got: {where.ndim}D")
        require(
            a.shape[-1] == b.shape[-1],
            f"X1 and X2 must have the same number of columns. X1: {a.shape[-1]} X2: {b.shape[-1]}",
        )
        for label, where in (("X1", a), ("X2", b)):
            require(
                where.dtype.kind == 2,
                f"cdist only supports floating-point dtypes, {label} got: {NAMES.get(where.dtype.name)}",
            )
        require(p >= 0, "cdist only supports non-negative p values")
        rows, columns = a.shape[-2], b.shape[-2]
        if 0 in (a.shape[-1], rows, columns):
            batch = broadcast_shapes(a.shape[:-2], b.shape[:-2])
            found = ops.zeros((*batch, rows, columns), dtype=a.dtype, device=a.device)
            return found + (ops.sum(x1) + ops.sum(x2)) * 0
        if p == 2 and (mode == 1 or mode == 0 and (rows > 25 or columns > 25)):
            return euclidean(x1, x2)
        return vector_norm(ops.unsqueeze(x1, -2) - ops.unsqueeze(x2, -3), p, -1, False, None)


def euclidean(x1, x2):
    """Euclidean distances by one matrix product; no gradient where a distance is zero."""
    first, second = ops.sum(x1 * x1, -1, True), ops.unsqueeze(ops.sum(x2 * x2, -1), -2)
    squares = first + second - 2 * ops.matmul(x1, ops.transpose(x2, -2, -1))
    far = squares > 0
    return ops.where(far, ops.sqrt(ops.where(far, squares, 1)), 0)


# -- numerical derivatives -----------------------------------------------------------------------------------------------


@op("gradient(Tensor input, *, any spacing=None, any dim=None, int edge_order=1) -> Tensor[]", method=False)
class Gradient(Composite):
    """Estimates of the derivatives of a sampled function along dimensions, by central differences.

    spacing: distance between samples, one for each dimension, or tensors of coordinates. edge_order: 1 or 2, the
    order of the one-sided differences at both ends.
    """

    def body(input, spacing, dim, edge_order):
        ndim = input._layout.ndim
        require(edge_order in (1, 2), "torch.gradient only supports edge_order=1 and edge_order=2.")
        dims = range(ndim) if dim is None else (dim,) if isinstance(dim, int) else tuple(dim)
        dims = [check_dim(d, ndim) for d in dims]
        for d in dims:
            require(dims.count(d) == 1, f"dim {d} appears multiple times in the list of dims")
            require(
                input._layout.shape[d] >= edge_order + 1,
                "torch.gradient expected each dimension size to be at least edge_order+1",
            )
        steps = spacings(spacing, dim, dims, ndim)
        x = input if input._layout.dtype.kind >= 2 else ops.to_copy(input, dtype=types.default_float())
        return tuple(slope(x, h, d, edge_order) for d, h in zip(dims, steps))


def spacings(spacing, dim, dims, ndim: int) -> list:
    """One spacing for each dimension."""
    if spacing is None:
        return [1.0] * len(dims)
    if not isinstance(spacing, (list, tuple)):
        if hasattr(spacing, "_layout") and spacing._layout.ndim:
            spacing = [spacing]
        else:
            return [spacing] * len(dims)
    given = list(spacing)
    if dim is None:
        require(
            len(given) == ndim,
            "torch.gradient expected spacing to be unspecified, a scalar, or a list of length equal to "
            f"'self.dim() = {ndim}', since dim argument was not given, but got a list of length {len(given)}",
        )
    require(
        len(given) == len(dims),
        "torch.gradient expected spacing to be unspecified, a scalar or it's spacing and dim arguments to have the "
        f"same length, but got a spacing argument of length {len(given)} and a dim argument of length {len(dims)}.",
    )
    for h in given:
        if hasattr(h, "_layout") and h._layout.ndim != 0:
            require(
                h._layout.ndim == 1,
                "torch.gradient expected each element of spacing to have one dimension, but got an "
                f"element with {h._layout.ndim} dimensions!",
            )
    return given


def slope(x, h, d: int, edge_order: int):
    """The derivative along one dimension."""
    n = x._layout.shape[d]

    def part(start: int, length: int):
        return ops.narrow(x, d, start, length)

    if not hasattr(h, "_layout") or not h._layout.ndim:
        inner = (part(2, n - 2) - part(0, n - 2)) / (2 * h) if n > 2 else None
        if edge_order == 1:
            first, last = (part(1, 1) - part(0, 1)) / h, (part(n - 1, 1) - part(n - 2, 1)) / h
        else:
            first = (part(0, 1) * -1.5 + part(1, 1) * 2 - part(2, 1) * 0.5) / h
            last = (part(n - 1, 1) * 1.5 - part(n - 2, 1) * 2 + part(n - 3, 1) * 0.5) / h
    else:
        gap = ops.diff(h)
        shape = [-1 if k == d else 1 for k in range(x._layout.ndim)]
        gap = ops.reshape(gap, shape)
        before, after = ops.narrow(gap, d, 0, n - 2), ops.narrow(gap, d, 1, n - 2)
        inner = None
        if n > 2:
            inner = (part(0, n - 2) * (-after / (before * (before + after)))
                     + part(1, n - 2) * ((after - before) / (before * after))
                     + part(2, n - 2) * (before / (after * (before + after))))  # fmt: skip
        first = one_sided(
            [part(k, 1) for k in range(edge_order + 1)], [ops.narrow(gap, d, k, 1) for k in range(edge_order)]
        )
        last = one_sided([part(n - 1 - k, 1) for k in range(edge_order + 1)],
                         [-ops.narrow(gap, d, n - 2 - k, 1) for k in range(edge_order)])  # fmt: skip
    return ops.cat([first, last] if inner is None else [first, inner, last], d)


def one_sided(values, gaps):
    """Derivative at the first of two or three samples that lie `gaps` apart."""
    if len(gaps) == 1:
        return (values[1] - values[0]) / gaps[0]
    a, b = gaps
    return (
        values[0] * (-(2 * a + b) / (a * (a + b)))
        + values[1] * ((a + b) / (a * b))
        - values[2] * (a / (b * (a + b)))
    )


# -- copies ----------------------------------------------------------------------------------------------------------------


@op("narrow_copy(Tensor input, int dim, int start, int length, *, Tensor? out=None) -> Tensor")
class NarrowCopy(Composite):
    """`narrow` in memory of its own."""

    check_out = worded("Expected self.dtype() == output.dtype() to be true, but got false.", cast=False)

    def body(input, dim, start, length):
        where = input._layout
        require(where.ndim > 0, "narrow() cannot be applied to a 0-dim tensor.")
        fits = "Expected dim < static_cast<int64_t>(self_sizes.size()) to be true, but got false."
        require(
            dim < where.ndim,
            fits
            + "  (Could this error message be improved?  If so, please report an enhancement request to PyTorch.)",
        )
        size = where.shape[check_dim(dim, where.ndim)]
        require(length >= 0, f"start ({start}) + length ({length}) exceeds dimension size ({size}).")
        return ops.clone(ops.narrow(input, dim, start, length))
