"""Complex numbers: their parts, and views of the same memory as another type."""

from __future__ import annotations

from ..base import dtype as types
from ..base.dtype import dtype as DType
from ..base.dtype import type_name
from ..base.errors import require
from ..base.layout import Layout, layout
from ..ir.expr import Expr, Pair, atan2, conj, cos, imag, make_complex, real, sin, where
from .define import op, ops
from .kinds import Composite, Pointwise, View, int_to_float_real, promote
from .out_rules import same_type_out
from .pointwise_types import COMPLEX, sgn, zero_like


def parts_of(input: Layout, last: tuple[int, ...]) -> Layout:
    """The layout of the real numbers that complex elements consist of."""
    strides = tuple(2 * s for s in input.strides)
    return layout((*input.shape, *last), (*strides, *(1 for _ in last)), input.dtype.to_real(), input.device)


@op("real_part(Tensor input) -> Tensor", function=False, method=False)
class RealPart(View):
    """View of the real parts."""

    def view(input):
        return parts_of(input, ()), 0

    def d_input(g):
        return ops.complex(g, ops.zeros_like(g))


@op("imaginary_part(Tensor input) -> Tensor", function=False, method=False)
class ImaginaryPart(View):
    """View of the imaginary parts."""

    def view(input):
        return parts_of(input, ()), 1

    def d_input(g):
        return ops.complex(ops.zeros_like(g), g)


@op("real(Tensor input) -> Tensor", method=False)
class Real(Composite):
    """View of the real parts; a real tensor itself."""

    def body(input):
        return ops.real_part(input) if input.dtype.kind == COMPLEX else input


@op("imag(Tensor input) -> Tensor", method=False)
class Imag(Composite):
    """View of the imaginary parts. Raises: RuntimeError for real tensors."""

    def body(input):
        require(input.dtype.kind == COMPLEX, "imag is not implemented for tensors with non-complex dtypes.")
        return ops.imaginary_part(input)


@op("view_as_real(Tensor input) -> Tensor", method=False)
class ViewAsReal(View):
    """View of complex elements as pairs of real numbers, in a last dimension of size 2."""

    def view(input):
        require(input.dtype.kind == COMPLEX, "view_as_real is only supported for complex tensors")
        return parts_of(input, (2,)), 0

    def d_input(g):
        return ops.complex(ops.select(g, -1, 0), ops.select(g, -1, 1))


@op("view_as_complex(Tensor input) -> Tensor", method=False)
class ViewAsComplex(View):
    """View of pairs of real numbers (a last dimension of size 2) as complex elements."""

    def view(input):
        require(input.dtype in (types.float32, types.float64, types.float16),
                "view_as_complex is only supported for half, float and double tensors, but got a tensor of scalar type: "
                f"{type_name(input.dtype)}")  # fmt: skip
        require(input.ndim > 0, "Input tensor must have one or more dimensions")
        require(input.shape[-1] == 2, "Tensor must have a last dimension of size 2")
        require(input.strides[-1] == 1, "Tensor must have a last dimension with stride 1")
        require(all(s % 2 == 0 for s in input.strides[:-1]),
                "Tensor must have a stride divisible by 2 for all but last dimension")  # fmt: skip
        strides = tuple(s // 2 for s in input.strides[:-1])
        return layout(input.shape[:-1], strides, input.dtype.to_complex(), input.device), 0

    def d_input(g):
        return ops.view_as_real(ops.resolve_conj(g))


@op("view_as_type(Tensor input, ScalarType dtype) -> Tensor", function=False, method=False)
class ViewAsType(View):
    """View of the same bytes as elements of another type; the last dimension grows or shrinks with the sizes."""

    def view(input, dtype):
        have, want = input.dtype.itemsize, dtype.itemsize
        if have == want:
            return input.with_dtype(dtype), 0
        return layout(*resized(input, dtype, have, want), dtype, input.device), 0


def resized(input: Layout, dtype: DType, have: int, want: int):
    """Shape and strides of a view as a type of another size."""
    names = f"to view {type_name(input.dtype)} as {type_name(dtype)} (different element sizes)"
    require(input.ndim > 0, f"self.dim() cannot be 0 {names}")
    require(input.strides[-1] == 1, f"self.stride(-1) must be 1 {names}, but got {input.strides[-1]}")
    shape, strides = list(input.shape), list(input.strides)
    if want < have:
        ratio = have // want
        shape[-1] *= ratio
        return shape, [s * ratio for s in strides[:-1]] + [1]
    ratio = want // have
    require(
        shape[-1] % ratio == 0, f"self.size(-1) must be divisible by {ratio} {names}, but got {shape[-1]}"
    )
    for d, s in enumerate(strides[:-1]):
        require(s % ratio == 0, f"self.stride({d}) must be divisible by {ratio} {names}, but got {s}")
    shape[-1] //= ratio
    return shape, [s // ratio for s in strides[:-1]] + [1]


# -- conjugates ------------------------------------------------------------------------------------------------------


@op("conj(Tensor input) -> Tensor")
class Conj(Composite):
    """Complex conjugate; a real tensor itself."""

    def body(input):
        return ops.conj_physical(input) if input.dtype.kind == COMPLEX else input


@op("conj_physical(Tensor input, *, Tensor? out=None) -> Tensor", inplace=True)
class ConjPhysical(Pointwise):
    """Complex conjugate in memory of its own."""

    check_out = same_type_out
    dtype = promote

    def scalar(input):
        return conj(input)

    def d_input(g):
        return conj(g)


@op("resolve_conj(Tensor input) -> Tensor")
class ResolveConj(Composite):
    """The tensor itself: conjugates are always in memory here."""

    def body(input):
        return input


@op("resolve_neg(Tensor input) -> Tensor")
class ResolveNeg(Composite):
    """The tensor itself: negations are always in memory here."""

    def body(input):
        return input


# -- made from parts -------------------------------------------------------------------------------------------------


def check_parts(first: Layout, second: Layout) -> None:
    floats = (types.float16, types.float32, types.float64)
    require(first.dtype in floats and second.dtype in floats,
            f"Expected both inputs to be Half, Float or Double tensors but got {type_name(first.dtype)} and "
            f"{type_name(second.dtype)}")  # fmt: skip
    require(first.dtype is second.dtype,
            f"Expected object of scalar type {type_name(first.dtype)} but got scalar type {type_name(second.dtype)} for "
            "second argument")  # fmt: skip


def complex_out(result: Layout, out: Layout) -> None:
    """A `check_out` rule: exactly the complex type of the parts."""
    require(out.dtype is result.dtype,
            f"Expected object of scalar type {type_name(result.dtype)} but got scalar type {type_name(out.dtype)} for "
            "argument 'out'")  # fmt: skip


def to_complex(common: DType) -> tuple[DType, DType]:
    return common, common.to_complex()


@op("complex(Tensor real, Tensor imag, *, Tensor? out=None) -> Tensor", method=False)
class Complex(Pointwise):
    """Complex numbers from their real and imaginary parts."""

    def samples(make):
        return [((make(2, 3), make(3)), {})]

    check_out = complex_out
    dtype = to_complex

    def check(real, imag):
        check_parts(real, imag)

    def scalar(real, imag):
        return make_complex(real, imag)

    def d_real(g):
        return real(g)

    def d_imag(g):
        return imag(g)


@op("polar(Tensor abs, Tensor angle, *, Tensor? out=None) -> Tensor", method=False)
class Polar(Pointwise):
    """Complex numbers from their absolute values and angles."""

    def samples(make):
        return [((make(2, 3), make(3)), {})]

    check_out = complex_out
    dtype = to_complex

    def check(abs, angle):
        check_parts(abs, angle)

    def scalar(abs, angle):
        return Pair(abs * cos(angle), abs * sin(angle))

    def d_abs(g, result):
        return real(conj(g) * sgn(result))

    def d_angle(g, result):
        return real(conj(g) * (result * 1j))


@op("angle(Tensor input, *, Tensor? out=None) -> Tensor")
class Angle(Pointwise):
    """Angle of each element in the complex plane, in radians: 0 or pi for a real number."""

    dtype = int_to_float_real

    def scalar(input):
        if isinstance(input, Pair):
            return atan2(input.im, input.re)
        return where(input != input, input, where(input < 0, 3.141592653589793, zero_like(input)))

    def d_input(g, input):
        if isinstance(input, Expr) or not isinstance(input, Pair) and not input.is_complex():
            return zero_like(g)
        re, im = real(input), imag(input)
        size = re * re + im * im
        scale = where(size == 0, zero_like(g), g / size)
        return make_complex(-(im * scale), re * scale)
