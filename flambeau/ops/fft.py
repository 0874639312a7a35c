"""Discrete Fourier transforms."""

from __future__ import annotations

from math import prod, sqrt

from ..base import dtype as types
from ..base.dtype import type_name
from ..base.errors import check_dim, require
from ..base.layout import contiguous_layout
from .define import op, ops
from .kinds import Composite, Opaque
from .out_rules import worded

_TYPES = {"float32": "Float", "float64": "Double", "complex64": "ComplexFloat", "complex128": "ComplexDouble",
          "int64": "Long", "int32": "Int", "int16": "Short", "int8": "Char", "uint8": "Byte", "bool": "Bool",
          "float16": "Half", "bfloat16": "BFloat16", "complex32": "ComplexHalf"}  # fmt: skip


# -- the three transforms, each scaled by a number -----------------------------------------------------------------


@op("fft_complex(Tensor input, int[] dim, float scale, bool forward) -> Tensor", function=False, method=False)
class FftComplex(Opaque):
    """Transform of complex data along ``dim`` with the sign of ``forward``, times ``scale``."""

    algorithm = "fft.complex_to_complex"

    def layouts(input):
        return contiguous_layout(input.shape, input.dtype, input.device)

    def d_input(g, dim, scale, forward):
        return ops.fft_complex(g, dim, scale, not forward)


@op("fft_real(Tensor input, int[] dim, float scale) -> Tensor", function=False, method=False)
class FftReal(Opaque):
    """Forward transform of real data along ``dim``, the last of which keeps only its first half, times ``scale``."""

    algorithm = "fft.real_to_complex"

    def layouts(input, dim):
        shape = list(input.shape)
        shape[dim[-1]] = shape[dim[-1]] // 2 + 1
        return contiguous_layout(shape, input.dtype.to_complex(), input.device)

    def d_input(g, dim, scale, input_layout):
        full = resized(g, (dim[-1],), (input_layout.shape[dim[-1]],))
        return ops.real(ops.fft_complex(full, dim, scale, False))


@op("fft_half(Tensor input, int[] dim, float scale, int size) -> Tensor", function=False, method=False)
class FftHalf(Opaque):
    """Real result of ``size`` elements along ``dim[-1]`` from the first half of its spectrum, times ``scale``."""

    algorithm = "fft.complex_to_real"

    def layouts(input, dim, size):
        shape = list(input.shape)
        shape[dim[-1]] = size
        return contiguous_layout(shape, input.dtype.to_real(), input.device)

    def d_input(g, dim, scale, input_layout):
        found = ops.fft_real(g, dim, scale)
        at, have = dim[-1], input_layout.shape[dim[-1]]
        twice = g._layout.shape[at] - have  # elements whose mirror image the input leaves out
        if twice <= 0:
            return found
        first, middle = ops.narrow(found, at, 0, 1), ops.narrow(found, at, 1, twice)
        last = ops.narrow(found, at, 1 + twice, have - 1 - twice)
        return ops.cat([first, middle * 2, last], at)


# -- arguments --------------------------------------------------------------------------------------------------------


def promoted(input, make_complex: bool):
    """The input in a type that transforms take."""
    kind = input._layout.dtype
    wanted = types.default_float() if kind.kind < 2 else kind
    require(
        wanted.name not in ("float16", "bfloat16", "complex32"),
        f"Unsupported dtype {_TYPES.get(wanted.name)}",
    )
    wanted = wanted.to_complex() if make_complex else wanted
    return input if wanted is kind else ops.to_copy(input, dtype=wanted)


def resized(x, dims, sizes):
    """Cut, or padded with zeros at the end, to these sizes."""
    for d, size in zip(dims, sizes):
        have = x._layout.shape[d]
        if size < have:
            x = ops.narrow(x, d, 0, size)
        elif size > have:
            x = ops.pad(x, (0, 0) * (x._layout.ndim - 1 - d) + (0, size - have))
    return x


def scale_of(norm, count: int, forward: bool):
    """Factor of a normalisation mode for a transform of `count` points."""
    require(norm in (None, "forward", "backward", "ortho"), f'Invalid normalization mode: "{norm}"')
    if norm == "ortho":
        return 1 / sqrt(count)
    return 1 / count if (norm == "forward") == forward else 1.0


def one_dim(input, n, dim, half: bool = False) -> tuple[int, int]:
    """Dimension and number of points of a transform along one dimension."""
    where = input._layout
    at = check_dim(dim, where.ndim, scalar_ok=False)
    points = n if n is not None else 2 * (where.shape[at] - 1) if half else where.shape[at]
    require(points >= 1, f"Invalid number of data points ({points}) specified")
    return at, points


def many_dims(input, s, dim) -> tuple[tuple[int, ...], list[int]]:
    """Dimensions and numbers of points of a transform along several."""
    where = input._layout
    dim = (dim,) if isinstance(dim, int) else dim
    s = (s,) if isinstance(s, int) else s
    if dim is not None:
        dims = tuple(check_dim(d, where.ndim, scalar_ok=False) for d in dim)
        require(len(set(dims)) == len(dims), "FFT dims must be unique")
    if s is None:
        dims = tuple(range(where.ndim)) if dim is None else dims
        sizes = [where.shape[d] for d in dims]
    else:
        if dim is not None:
            require(len(dim) == len(s), "When given, dim and shape arguments must have the same length")
        require(
            len(s) <= where.ndim,
            f"Got shape with {len(s)} values but input tensor only has {where.ndim} dimensions.",
        )
        dims = tuple(range(where.ndim - len(s), where.ndim)) if dim is None else dims
        sizes = [where.shape[d] if n == -1 else n for d, n in zip(dims, s)]
    for n in sizes:
        require(n > 0, f"Invalid number of data points ({n}) specified")
    return dims, sizes


def half_dims(name: str, input, s, dim):
    """The same for transforms from half a spectrum: dimensions, sizes of the input, size of the last dimension."""
    dims, sizes = many_dims(input, s, dim)
    require(dims, f"{name} must transform at least one axis")
    last = s[-1] if s is not None and not isinstance(s, int) else s
    size = 2 * (sizes[-1] - 1) if last is None or last == -1 else sizes[-1]
    require(size >= 1, f"Invalid number of data points ({size}) specified")
    sizes[-1] = size // 2 + 1
    return dims, sizes, size


def real_only(name: str, input) -> None:
    require(
        not input._layout.dtype.is_complex,
        f"{name} expects a real input tensor, but got {_TYPES.get(input._layout.dtype.name, type_name(input._layout.dtype))}",
    )


# -- along one dimension ------------------------------------------------------------------------------------------


def complex_one(input, n, dim, norm, forward: bool):
    x = promoted(input, True)
    at, points = one_dim(x, n, dim)
    return ops.fft_complex(resized(x, (at,), (points,)), (at,), scale_of(norm, points, forward), forward)


def real_one(name: str, input, n, dim, norm, forward: bool):
    real_only(name, input)
    x = promoted(input, False)
    at, points = one_dim(x, n, dim)
    found = ops.fft_real(resized(x, (at,), (points,)), (at,), scale_of(norm, points, forward))
    return found if forward else ops.conj(found)


def half_one(input, n, dim, norm, forward: bool):
    x = promoted(input, True)
    at, points = one_dim(x, n, dim, half=True)
    x = resized(x, (at,), (points // 2 + 1,))
    return ops.fft_half(ops.conj(x) if forward else x, (at,), scale_of(norm, points, forward), points)


_ONE = "(Tensor input, int? n=None, int dim=-1, str? norm=None, *, Tensor? out=None) -> Tensor"


@op("fft.fft" + _ONE)
class Fft(Composite):
    """Discrete Fourier transform along ``dim``: ``X[k] = sum_j x[j] exp(-2 pi i j k / n)``.

    n: number of points; the input is cut or padded with zeros. norm: "backward" (no factor, the default), "ortho"
    (``1/sqrt(n)``) or "forward" (``1/n``).

    >>> import flambeau as torch
    >>> torch.fft.fft(torch.tensor([1.0, 0.0])).real
    tensor([1., 1.])
    """

    check_out = worded("fft expects a complex output tensor, but got {have}")

    def body(input, n, dim, norm):
        return complex_one(input, n, dim, norm, True)


@op("fft.ifft" + _ONE)
class Ifft(Composite):
    """Inverse of `fft.fft`, with the factor ``1/n`` unless ``norm`` says otherwise."""

    check_out = worded("ifft expects a complex output tensor, but got {have}")

    def body(input, n, dim, norm):
        return complex_one(input, n, dim, norm, False)


@op("fft.rfft" + _ONE)
class Rfft(Composite):
    """Transform of real data: the first ``n//2 + 1`` elements, which determine the others."""

    check_out = worded("rfft expects a complex output tensor, but got {have}")

    def body(input, n, dim, norm):
        return real_one("rfft", input, n, dim, norm, True)


@op("fft.irfft" + _ONE)
class Irfft(Composite):
    """Inverse of `fft.rfft`: ``n`` real elements (``2 * (size - 1)`` by default)."""

    check_out = worded("irfft expects a floating point output tensor, but got {have}")

    def body(input, n, dim, norm):
        return half_one(input, n, dim, norm, False)


@op("fft.hfft" + _ONE)
class Hfft(Composite):
    """Real transform of data given by the first half of a Hermitian sequence."""

    check_out = worded("hfft expects a floating point output tensor, but got {have}")

    def body(input, n, dim, norm):
        return half_one(input, n, dim, norm, True)


@op("fft.ihfft" + _ONE)
class Ihfft(Composite):
    """Inverse of `fft.hfft`."""

    check_out = worded("ihfft expects a complex output tensor, but got {have}")

    def body(input, n, dim, norm):
        return real_one("ihfft", input, n, dim, norm, False)


# -- along several ---------------------------------------------------------------------------------------------------


def complex_many(input, s, dim, norm, forward: bool):
    x = promoted(input, True)
    dims, sizes = many_dims(x, s, dim)
    return transform(resized(x, dims, sizes), dims, norm, prod(sizes), forward)


def transform(x, dims, norm, count: int, forward: bool):
    scale = scale_of(norm, count, forward)
    return ops.fft_complex(x, dims, scale, forward) if dims else x


def real_many(name: str, input, s, dim, norm, forward: bool):
    real_only(name, input)
    x = promoted(input, False)
    dims, sizes = many_dims(x, s, dim)
    require(dims, f"{name} must transform at least one axis")
    x = resized(x, dims, sizes)
    if forward:
        return ops.fft_real(x, dims, scale_of(norm, prod(sizes), True))
    found = ops.conj(ops.fft_real(x, dims[-1:], scale_of(norm, sizes[-1], False)))
    return transform(found, dims[:-1], norm, prod(sizes[:-1]), False)


def half_many(name: str, input, s, dim, norm, forward: bool):
    x = promoted(input, True)
    dims, sizes, size = half_dims(name, x, s, dim)
    x = resized(x, dims, sizes)
    scale = scale_of(norm, prod(sizes[:-1]) * size, forward)
    if not forward:
        return ops.fft_half(x, dims, scale, size)
    x = ops.fft_complex(x, dims[:-1], 1.0, True) if dims[:-1] else x
    return ops.fft_half(ops.conj(x), dims[-1:], scale, size)


_MANY = "(Tensor input, int[1]? s=None, int[1]? dim=None, str? norm=None, *, Tensor? out=None) -> Tensor"
_TWO = "(Tensor input, int[1]? s=None, int[1] dim=(-2, -1), str? norm=None, *, Tensor? out=None) -> Tensor"


@op("fft.fftn" + _MANY)
class Fftn(Composite):
    """`fft.fft` along several dimensions; all by default."""

    check_out = worded("fftn expects a complex output tensor, but got {have}")

    def body(input, s, dim, norm):
        return complex_many(input, s, dim, norm, True)


@op("fft.ifftn" + _MANY)
class Ifftn(Composite):
    """Inverse of `fft.fftn`."""

    check_out = worded("ifftn expects a complex output tensor, but got {have}")

    def body(input, s, dim, norm):
        return complex_many(input, s, dim, norm, False)


@op("fft.rfftn" + _MANY)
class Rfftn(Composite):
    """`fft.fftn` of real data, the last dimension with its first half only."""

    check_out = worded("rfftn expects a complex output tensor, but got {have}")

    def body(input, s, dim, norm):
        return real_many("rfftn", input, s, dim, norm, True)


@op("fft.irfftn" + _MANY)
class Irfftn(Composite):
    """Inverse of `fft.rfftn`."""

    check_out = worded("irfftn expects a floating point output tensor, but got {have}")

    def body(input, s, dim, norm):
        return half_many("irfftn", input, s, dim, norm, False)


@op("fft.hfftn" + _MANY)
class Hfftn(Composite):
    """`fft.hfft` along the last dimension after `fft.fft` along the others."""

    check_out = worded("hfftn expects a floating point output tensor, but got {have}")

    def body(input, s, dim, norm):
        return half_many("hfftn", input, s, dim, norm, True)


@op("fft.ihfftn" + _MANY)
class Ihfftn(Composite):
    """Inverse of `fft.hfftn`."""

    check_out = worded("ihfftn expects a complex output tensor, but got {have}")

    def body(input, s, dim, norm):
        return real_many("ihfftn", input, s, dim, norm, False)


@op("fft.fft2" + _TWO)
class Fft2(Composite):
    """`fft.fftn` along two dimensions."""

    check_out = worded("fftn expects a complex output tensor, but got {have}")

    def body(input, s, dim, norm):
        return complex_many(input, s, dim, norm, True)


@op("fft.ifft2" + _TWO)
class Ifft2(Composite):
    """Inverse of `fft.fft2`."""

    check_out = worded("ifftn expects a complex output tensor, but got {have}")

    def body(input, s, dim, norm):
        return complex_many(input, s, dim, norm, False)


@op("fft.rfft2" + _TWO)
class Rfft2(Composite):
    """`fft.rfftn` along two dimensions."""

    check_out = worded("rfftn expects a complex output tensor, but got {have}")

    def body(input, s, dim, norm):
        return real_many("rfftn", input, s, dim, norm, True)


@op("fft.irfft2" + _TWO)
class Irfft2(Composite):
    """Inverse of `fft.rfft2`."""

    check_out = worded("irfftn expects a floating point output tensor, but got {have}")

    def body(input, s, dim, norm):
        return half_many("irfftn", input, s, dim, norm, False)


@op("fft.hfft2" + _TWO)
class Hfft2(Composite):
    """`fft.hfftn` along two dimensions."""

    check_out = worded("hfftn expects a floating point output tensor, but got {have}")

    def body(input, s, dim, norm):
        return half_many("hfftn", input, s, dim, norm, True)


@op("fft.ihfft2" + _TWO)
class Ihfft2(Composite):
    """Inverse of `fft.hfft2`."""

    check_out = worded("ihfftn expects a complex output tensor, but got {have}")

    def body(input, s, dim, norm):
        return real_many("ihfftn", input, s, dim, norm, False)


# -- order and frequencies ----------------------------------------------------------------------------------------------


def shifted(input, dim, extra: int):
    where = input._layout
    if dim is None:
        dims = tuple(range(where.ndim))
    else:
        dims = tuple(check_dim(d, where.ndim) for d in ((dim,) if isinstance(dim, int) else dim))
    return (
        ops.roll(input, tuple((where.shape[d] + extra) // 2 for d in dims), dims)
        if dims
        else ops.clone(input)
    )


@op("fft.fftshift(Tensor input, int[1]? dim=None) -> Tensor")
class Fftshift(Composite):
    """The zero frequency moved to the middle."""

    def body(input, dim):
        return shifted(input, dim, 0)


@op("fft.ifftshift(Tensor input, int[1]? dim=None) -> Tensor")
class Ifftshift(Composite):
    """Inverse of `fft.fftshift`."""

    def body(input, dim):
        return shifted(input, dim, 1)


_FREQUENCIES = ("(int n, any d=1.0, *, Tensor? out=None, ScalarType? dtype=None, any layout=None, any device=None, "
                "bool? pin_memory=False, bool requires_grad=False) -> Tensor")  # fmt: skip


@op("fft.fftfreq" + _FREQUENCIES)
class Fftfreq(Composite):
    """Frequencies of the elements of `fft.fft` for samples that are ``d`` apart."""

    def body(n, d, dtype, layout, device, pin_memory, requires_grad):
        kind = dtype or types.default_float()
        require(kind.kind >= 2, "fftfreq requires a floating point or complex dtype")
        positive = ops.arange((n + 1) // 2, dtype=kind, device=device)
        found = ops.cat([positive, ops.arange(-(n // 2), 0, dtype=kind, device=device)]) * (1.0 / (n * d))
        return found.requires_grad_() if requires_grad else found


@op("fft.rfftfreq" + _FREQUENCIES)
class Rfftfreq(Composite):
    """Frequencies of the elements of `fft.rfft` for samples that are ``d`` apart."""

    def body(n, d, dtype, layout, device, pin_memory, requires_grad):
        kind = dtype or types.default_float()
        require(kind.kind >= 2, "rfftfreq requires a floating point or complex dtype")
        found = ops.arange(n // 2 + 1, dtype=kind, device=device) * (1.0 / (n * d))
        return found.requires_grad_() if requires_grad else found
