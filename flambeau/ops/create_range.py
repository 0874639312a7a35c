"""New tensors whose elements follow from their place: ranges, the unit matrix, triangles, grids."""

from __future__ import annotations

import math

from ..base import dtype as types
from ..base.device import default_device
from ..base.device import device as Device
from ..base.dtype import dtype as DType
from ..base.errors import explained, require
from ..base.layout import contiguous_layout
from .create import _FACTORY, finish
from .define import op, ops
from .kinds import Composite, Opaque
from .pointwise_types import BOOL, COMPLEX, FLOAT, not_implemented


def number(x):
    """A Python number from a number, a 0-d tensor or a NumPy scalar."""
    return x if type(x) is int or type(x) is float else x.item() if hasattr(x, "item") else x


def place_of(device) -> Device:
    return default_device() if device is None else Device(device)


@op(
    "arange_raw(Scalar start, Scalar step, int n, any dtype, any device, bool requires_grad=False) -> Tensor",
    function=False,
    method=False,
)
class ArangeRaw(Opaque):
    """``n`` numbers ``start + i * step``."""

    algorithm = "create.arange"

    def layouts(n, dtype, device):
        return contiguous_layout((n,), dtype, device)


@op(
    f"arange(Scalar start=0, Scalar end=None, Scalar step=1, *, {_FACTORY}, Tensor? out=None) -> Tensor",
    method=False,
)
class Arange(Composite):
    """Numbers from ``start`` up to, not including, ``end``, ``step`` apart.

    Dtype: int64, or the default float type where an argument is a float.

    >>> import flambeau as torch
    >>> torch.arange(1, 2.5, 0.5)
    tensor([1.0000, 1.5000, 2.0000])
    """

    def body(start, end, step, dtype, layout, device, pin_memory, requires_grad):
        if end is None:
            start, end = 0, start
        if (
            type(start) is int
            and type(end) is int
            and type(step) is int
            and dtype is None
            and step > 0
            and end >= start
        ):
            place = default_device() if device is None else device
            return ops.arange_raw(start, step, -((start - end) // step), types.int64, place, requires_grad)
        start, end, step = number(start), number(end), number(step)
        if dtype is None:
            dtype = (
                types.default_float()
                if any(isinstance(x, float) for x in (start, end, step))
                else types.int64
            )
        if dtype.kind in (BOOL, COMPLEX):
            raise not_implemented("arange_cpu", dtype)
        n = range_length(start, end, step, dtype)
        kind = int if dtype.kind < FLOAT else float
        return ops.arange_raw(kind(start), kind(step), n, dtype, place_of(device), requires_grad)


def range_length(start, end, step, dtype: DType) -> int:
    """Count of numbers of a half-open range."""
    require(step != 0, "step must be nonzero")
    require(math.isfinite(start) and math.isfinite(end), f"unsupported range: {start:g} -> {end:g}")
    require(
        (step > 0) == (end >= start) or start == end,
        "upper bound and lower bound inconsistent with step sign",
    )
    if dtype is types.int64:
        start, end, step = int(start), int(end), int(step)
        require(step != 0, "step must be nonzero", ValueError)
        return -((start - end) // step)
    return math.ceil((end - start) / step)


@op(
    f"range(Scalar start=0, Scalar end=None, Scalar step=1, *, {_FACTORY}, Tensor? out=None) -> Tensor",
    method=False,
)
class Range(Composite):
    """As `arange`, but including ``end``; deprecated. Dtype: the default float type."""

    def body(start, end, step, dtype, layout, device, pin_memory, requires_grad):
        start, end, step = (number(x) for x in ((0, start, step) if end is None else (start, end, step)))
        dtype = dtype or types.default_float()
        require(step != 0, "step must be nonzero")
        require(
            (step > 0) == (end >= start) or start == end,
            "upper bound and lower bound inconsistent with step sign",
        )
        n = math.floor((end - start) / step) + 1
        kind = int if dtype.kind < FLOAT else float
        start, step = kind(start), kind(step)
        return finish(ops.arange_raw(start, step, n, dtype, place_of(device)), requires_grad)


@op(
    "linspace_raw(Scalar start, Scalar end, Scalar step, int steps, any dtype, any device, bool requires_grad=False) -> Tensor",
    function=False, method=False,
)  # fmt: skip
class LinspaceRaw(Opaque):
    """``steps`` numbers from ``start`` to ``end``, ``step`` apart, counted from the nearer end."""

    algorithm = "create.linspace"

    def layouts(steps, dtype, device):
        return contiguous_layout((steps,), dtype, device)


def space_type(start, end, dtype: DType | None) -> DType:
    """The type of linspace and logspace."""
    whole = any(isinstance(x, complex) for x in (start, end))
    if dtype is None:
        return types.default_complex() if whole else types.default_float()
    require(
        not whole or dtype.kind == COMPLEX,
        f"linspace(): inferred dtype {types.default_complex()} can't be safely cast to passed dtype {dtype}",
    )
    return dtype


def space_ends(name: str, start, end, steps):
    """Both ends of linspace or logspace as numbers, and the number of steps."""
    dims = {which: x.ndim for which, x in (("start", start), ("end", end)) if getattr(x, "ndim", 0)}
    found = " and ".join(f"{which} with {ndim} dimension(s)" for which, ndim in dims.items())
    require(not dims, f"{name} only supports 0-dimensional start and end tensors, but got {found}.")
    if isinstance(steps, (float, complex)):
        kinds = ["Tensor" if hasattr(x, "_layout") else type(x).__name__ for x in (start, end, steps)]
        raise explained(
            TypeError,
            f"{name}() received an invalid combination of arguments - got ({', '.join(kinds)}), but expected one of:",
            need="steps: a whole number",
        )
    return number(start), number(end), int(number(steps))


def linear(start, end, steps: int, dtype: DType, device: Device):
    require(steps >= 0, "number of steps must be non-negative")
    if dtype.kind == COMPLEX:
        parts = [linear(complex(start).__getattribute__(p), complex(end).__getattribute__(p), steps, dtype.to_real(), device)
                 for p in ("real", "imag")]  # fmt: skip
        return ops.complex(*parts)
    if dtype.kind < FLOAT:
        start, end = int(start), int(end)
    step = (end - start) / (steps - 1) if steps > 1 else 0.0
    return ops.linspace_raw(float(start), float(end), float(step), steps, dtype, device)


@op(f"linspace(Scalar start, Scalar end, int steps, *, {_FACTORY}, Tensor? out=None) -> Tensor", method=False)
class Linspace(Composite):
    """``steps`` evenly spaced numbers from ``start`` to ``end``, both included.

    >>> import flambeau as torch
    >>> torch.linspace(0, 1, 3)
    tensor([0.0000, 0.5000, 1.0000])
    """

    def body(start, end, steps, dtype, layout, device, pin_memory, requires_grad):
        if type(start) in (int, float) and type(end) in (int, float) and type(steps) is int and dtype is None:
            dtype = types.default_float()
        else:
            start, end, steps = space_ends("linspace", start, end, steps)
            dtype = space_type(start, end, dtype)
        return finish(linear(start, end, steps, dtype, place_of(device)), requires_grad)


@op(
    f"logspace(Scalar start, Scalar end, int steps, float base=10.0, *, {_FACTORY}, Tensor? out=None) -> Tensor",
    method=False,
)
class Logspace(Composite):
    """``base`` to the power of ``steps`` evenly spaced numbers from ``start`` to ``end``."""

    def body(start, end, steps, base, dtype, layout, device, pin_memory, requires_grad):
        start, end, steps = space_ends("logspace", start, end, steps)
        dtype = space_type(start, end, dtype)
        if dtype.kind < FLOAT:
            start, end = int(start), int(end)
        exact = types.complex128 if dtype.kind == COMPLEX else types.float64
        exponents = linear(start, end, steps, exact, place_of(device))
        return finish(ops.to_copy(ops.pow(float(base), exponents), dtype=dtype), requires_grad)


@op(
    "eye_raw(int n, int m, any dtype, any device, bool requires_grad=False) -> Tensor",
    function=False,
    method=False,
)
class EyeRaw(Opaque):
    """Ones on the diagonal."""

    algorithm = "create.eye"

    def layouts(n, m, dtype, device):
        return contiguous_layout((n, m), dtype, device)


@op(f"eye(int n, int? m=None, *, {_FACTORY}, Tensor? out=None) -> Tensor", method=False)
class Eye(Composite):
    """A matrix of ``n`` rows and ``m`` columns with ones on the diagonal and zeros elsewhere."""

    def body(n, m, dtype, layout, device, pin_memory, requires_grad):
        m = n if m is None else m
        require(n >= 0, f"n must be greater or equal to 0, got {n}")
        require(m >= 0, f"m must be greater or equal to 0, got {m}")
        return finish(ops.eye_raw(n, m, dtype or types.default_float(), place_of(device)), requires_grad)


# -- triangles -------------------------------------------------------------------------------------------------------


def check_matrix(name: str, input) -> None:
    require(input.ndim >= 2, f"{name}: input tensor must have at least 2 dimensions")


@op("tril(Tensor input, int diagonal=0, *, Tensor? out=None) -> Tensor", inplace=True)
class Tril(Opaque):
    """The lower triangle of each matrix: elements (i, j) with ``j - i <= diagonal``; zeros elsewhere."""

    def samples(make):
        return [((make(3, 4),), {}), ((make(2, 3, 3), -1), {}), ((make(3, 4), 2), {})]

    algorithm = "create.lower"

    def check(input):
        check_matrix("tril", input)

    def layouts(input):
        return contiguous_layout(input.shape, input.dtype, input.device)

    def d_input(g, diagonal):
        return ops.tril(g, diagonal)


@op("triu(Tensor input, int diagonal=0, *, Tensor? out=None) -> Tensor", inplace=True)
class Triu(Opaque):
    """The upper triangle of each matrix: elements (i, j) with ``j - i >= diagonal``; zeros elsewhere."""

    def samples(make):
        return [((make(3, 4),), {}), ((make(2, 3, 3), -1), {}), ((make(3, 4), 2), {})]

    algorithm = "create.upper"

    def check(input):
        check_matrix("triu", input)

    def layouts(input):
        return contiguous_layout(input.shape, input.dtype, input.device)

    def d_input(g, diagonal):
        return ops.triu(g, diagonal)


_INDICES = "int row, int col, int offset=0, *, ScalarType? dtype=None, any layout=None, any device=None, bool? pin_memory=False"


def triangle_indices(name: str, row: int, col: int, offset: int, dtype, device):
    """Rows and columns of the elements of a triangle, in row-major order."""
    require(row >= 0, f"row must be non-negative, got{row}")
    require(col >= 0, f"col must be non-negative, got{col}")
    dtype = dtype or types.int64
    require(
        dtype.kind == 1,
        f"\"{name}_indices\" not implemented for '{types.type_name(dtype)}'",
        NotImplementedError,
    )
    mask = ops.ones((row, col), dtype=types.bool_, device=device)
    kept = getattr(ops, name)(mask, offset)
    return ops.to_copy(ops.t(ops.nonzero(kept)), dtype=dtype, memory_format="contiguous_format")


@op(f"tril_indices({_INDICES}) -> Tensor", method=False)
class TrilIndices(Composite):
    """Row and column numbers of the elements of a lower triangle, shape ``(2, n)``, in row-major order."""

    def body(row, col, offset, dtype, layout, device, pin_memory):
        return triangle_indices("tril", row, col, offset, dtype, device)


@op(f"triu_indices({_INDICES}) -> Tensor", method=False)
class TriuIndices(Composite):
    """Row and column numbers of the elements of an upper triangle, shape ``(2, n)``, in row-major order."""

    def body(row, col, offset, dtype, layout, device, pin_memory):
        return triangle_indices("triu", row, col, offset, dtype, device)


@op("meshgrid(Tensor[] tensors, *, str? indexing=None) -> Tensor[]", function=False, method=False)
class Meshgrid(Composite):
    """Grids of coordinates: result k holds vector k along dimension k ("xy" exchanges the first two dimensions)."""

    def body(tensors, indexing):
        require(len(tensors) > 0, "meshgrid expects a non-empty TensorList")
        for t in tensors:
            require(t.ndim <= 1, f"Expected 0D or 1D tensor in the tensor list but got: {_printed(t)}")
            require(t.dtype is tensors[0].dtype, "meshgrid expects all tensors to have the same dtype")
            require(t.device is tensors[0].device, "meshgrid expects all tensors to have the same device")
        require(
            indexing in (None, "ij", "xy"),
            f'torch.meshgrid: indexing must be one of "xy" or "ij", but received: {indexing}',
        )
        order = list(range(len(tensors)))
        if indexing == "xy" and len(order) > 1:
            order[:2] = [1, 0]
        shape = [tensors[k].numel() for k in order]
        grids = []
        for k, t in enumerate(tensors):
            place = order.index(k)
            ones = [1] * len(order)
            ones[place] = t.numel()
            grids.append(ops.expand(ops.view(t, tuple(ones)), tuple(shape)))
        return tuple(grids)


def _printed(t) -> str:
    return f"tensor of shape {list(t.shape)}"
