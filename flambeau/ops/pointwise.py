"""Arithmetic, element by element."""

from __future__ import annotations

from ..base.dtype import dtype as DType
from ..base.errors import require
from ..ir.expr import (
    Expr,
    Pair,
    conj,
    constant,
    copysign,
    floor,
    fmod,
    refuse_if,
    trunc,
    where,
)  # fmt: skip
from .define import op, ops
from .kinds import Composite, Pointwise, complex_to_real, int_to_float, promote
from .out_rules import same_type_out
from .pointwise_types import (
    BOOL,
    COMPLEX,
    DIVISION_BY_ZERO,
    FLOAT,
    INTEGER,
    accepting,
    is_integer,
    kind_of,
    not_implemented,
    real_part,
    sgn,
    zero_like,
)  # fmt: skip


def check_alpha(input, other, alpha) -> None:
    """PyTorch's rules for the factor of add and sub."""
    kind = max(kind_of(input), kind_of(other))
    require(kind >= FLOAT or kind_of(alpha) < FLOAT,
            "For integral input tensors, argument alpha must not be a floating point number.")  # fmt: skip
    require(kind == COMPLEX or kind_of(alpha) != COMPLEX,
            "For non-complex input tensors, argument alpha must not be a complex number.")  # fmt: skip
    require(kind == BOOL or kind_of(alpha) != BOOL, "Boolean alpha only supported for Boolean results.")


def check_subtraction(input, other, alpha) -> None:
    bools = (kind_of(input) == BOOL) + (kind_of(other) == BOOL)
    require(bools < 2,
            "Subtraction, the `-` operator, with two bool tensors is not supported. Use the `^` or `logical_xor()` "
            "operator instead.")  # fmt: skip
    require(bools == 0,
            "Subtraction, the `-` operator, with a bool tensor is not supported. If you are trying to invert a mask, "
            "use the `~` or `logical_not()` operator instead.")  # fmt: skip
    check_alpha(input, other, alpha)


@op(
    "add(Operand input, Operand other, *, Scalar alpha=1, Tensor? out=None) -> Tensor",
    inplace=True, methods="__add__ __radd__ __iadd__",
)  # fmt: skip
class Add(Pointwise):
    """Sum ``input + alpha * other``.

    Shape: broadcast. Dtype: promoted.

    >>> import flambeau as torch
    >>> torch.add(torch.tensor([1, 2]), 10, alpha=2)
    tensor([21, 22])
    """

    def samples(make):
        return [
            ((make(2, 3), make(3)), {"alpha": 0.7}),
            ((make(2, 3), 2), {}),
            ((make(2, 1), make(1, 3)), {}),
        ]

    dtype = promote

    def check(input, other, alpha):
        check_alpha(input, other, alpha)

    def scalar(input, other, alpha):
        return input + other * alpha

    def d_input(g):
        return g

    def d_other(g, alpha):
        return g * conj(alpha)


@op(
    "sub(Operand input, Operand other, *, Scalar alpha=1, Tensor? out=None) -> Tensor",
    inplace=True, methods="__sub__ __isub__", also="subtract",
)  # fmt: skip
class Sub(Pointwise):
    """Difference ``input - alpha * other``.

    Raises: RuntimeError for bool tensors.
    """

    def samples(make):
        return [((make(2, 3), make(3)), {"alpha": 0.7}), ((make(2, 3), 2), {})]

    dtype = promote

    def check(input, other, alpha):
        check_subtraction(input, other, alpha)

    def scalar(input, other, alpha):
        return input - other * alpha

    def d_input(g):
        return g

    def d_other(g, alpha):
        return -(g * conj(alpha))


@op("rsub(Tensor input, Operand other, *, Scalar alpha=1) -> Tensor", methods="__rsub__")
class RSub(Pointwise):
    """Difference the other way round: ``other - alpha * input``."""

    def samples(make):
        return [((make(2, 3), make(3)), {"alpha": 0.7}), ((make(2, 3), 2), {})]

    dtype = promote

    def check(input, other, alpha):
        check_subtraction(input, other, alpha)

    def scalar(input, other, alpha):
        return other - input * alpha

    def d_input(g, alpha):
        return -(g * conj(alpha))

    def d_other(g):
        return g


@op(
    "mul(Operand input, Operand other, *, Tensor? out=None) -> Tensor",
    inplace=True, methods="__mul__ __rmul__ __imul__", also="multiply",
)  # fmt: skip
class Mul(Pointwise):
    """Product."""

    dtype = promote

    def scalar(input, other):
        return input * other

    def d_input(g, other):
        return g * conj(other)

    def d_other(g, input):
        return g * conj(input)


# -- division --------------------------------------------------------------------------------------------------------


def divided_by(kernel: str):
    """The type rule of whole-number division: any real type but bool."""

    def rule(common: DType) -> tuple[DType, DType]:
        if common.kind == COMPLEX or common.kind == BOOL:
            raise not_implemented(kernel, common)
        return common, common

    return rule


def floor_quotient(x, y):
    """Quotient rounded down; exact where fmod is (the form is CPython's float division)."""
    if not isinstance(x, Expr) and not isinstance(y, Expr):
        return ops.div(x, y, rounding_mode="floor")
    if is_integer(x):
        whole = refuse_if(y == 0, DIVISION_BY_ZERO, x / y)
        return whole - where((whole * y != x) & ((x < 0) ^ (y < 0)), constant(1, x.type), constant(0, x.type))
    rest = fmod(x, y)
    quotient = (x - rest) / y
    quotient = where((rest != 0) & ((y < 0) ^ (rest < 0)), quotient - 1.0, quotient)
    whole = floor(quotient)
    whole = where(quotient - whole > 0.5, whole + 1.0, whole)
    whole = where(quotient == 0, copysign(constant(0.0, x.type), x / y), whole)
    return where(y == 0, x / y, whole)


def trunc_quotient(x, y):
    """Quotient rounded towards zero."""
    if not isinstance(x, Expr) and not isinstance(y, Expr):
        return ops.div(x, y, rounding_mode="trunc")
    if is_integer(x):
        return refuse_if(y == 0, DIVISION_BY_ZERO, x / y)
    return trunc(x / y)


@op(
    "div(Operand input, Operand other, *, str? rounding_mode=None, Tensor? out=None) -> Tensor",
    inplace=True, methods="__truediv__ __div__ __itruediv__ __idiv__", also="divide true_divide",
)  # fmt: skip
class Div(Pointwise):
    """Quotient; ``rounding_mode`` "trunc" or "floor" rounds it to a whole number.

    Dtype: true division of integers gives the default float type; a rounded one keeps the promoted type.
    Raises: RuntimeError for integer division by zero with a rounding mode.

    >>> import flambeau as torch
    >>> torch.div(torch.tensor([7, -7]), 2, rounding_mode="floor")
    tensor([ 3, -4])
    """

    def samples(make):
        return [
            ((make(2, 3), make(3)), {}), ((make(2, 3), 0.7), {}), ((make(2, 3), make(2, 3)), {"rounding_mode": "floor"}),
            ((make(2, 3), make(2, 3)), {"rounding_mode": "trunc"}),
        ]  # fmt: skip

    def check(rounding_mode):
        require(
            rounding_mode in (None, "trunc", "floor"),
            f"div expected rounding_mode to be one of None, 'trunc', or 'floor' but found '{rounding_mode}'",
        )

    def dtype(common, rounding_mode):
        if rounding_mode is None:
            return int_to_float(common)
        return divided_by("div_trunc_cpu" if rounding_mode == "trunc" else "div_floor_cpu")(common)

    def scalar(input, other, rounding_mode):
        if rounding_mode is None:
            return input / other
        return floor_quotient(input, other) if rounding_mode == "floor" else trunc_quotient(input, other)

    def d_input(g, other, rounding_mode):
        return zero_like(g) if rounding_mode else g / conj(other)

    def d_other(g, input, other, rounding_mode):
        return zero_like(g) if rounding_mode else -(g * conj(input / other / other))


@op(
    "rdiv(Tensor input, Operand other) -> Tensor",
    function=False,
    method=False,
    methods="__rtruediv__ __rdiv__",
)
class RDiv(Pointwise):
    """Quotient the other way round: ``other / input``."""

    def samples(make):
        return [((make(2, 3), 2.5), {})]

    dtype = int_to_float

    def scalar(input, other):
        return other / input

    def d_input(g, input, result):
        return -(g * conj(result / input))

    def d_other(g, input):
        return g / conj(input)


@op(
    "floor_divide(Operand input, Operand other, *, Tensor? out=None) -> Tensor",
    inplace=True, methods="__floordiv__ __ifloordiv__",
)  # fmt: skip
class FloorDivide(Pointwise):
    """Quotient rounded down to a whole number.

    Raises: RuntimeError for integer division by zero.
    """

    dtype = divided_by("div_floor_cpu")

    def scalar(input, other):
        return floor_quotient(input, other)

    def d_input(g):
        return zero_like(g)

    def d_other(g):
        return zero_like(g)


@op("rfloordiv(Tensor input, Operand other) -> Tensor", function=False, method=False, methods="__rfloordiv__")
class RFloorDivide(Pointwise):
    """``other // input``."""

    dtype = divided_by("div_floor_cpu")

    def scalar(input, other):
        return floor_quotient(other, input)


def floor_remainder(x, y):
    """Remainder with the sign of the divisor."""
    if is_integer(x):
        rest = refuse_if(y == 0, DIVISION_BY_ZERO, Expr("mod", (x, y), x.type))
    else:
        rest = fmod(x, y)
    return where((rest != 0) & ((rest < 0) ^ (y < 0)), rest + y, rest)


@op(
    "remainder(Operand input, Operand other, *, Tensor? out=None) -> Tensor",
    inplace=True, methods="__mod__ __imod__",
)  # fmt: skip
class Remainder(Pointwise):
    """Python's modulus: the remainder of floor division, with the sign of ``other``.

    Raises: RuntimeError for integer division by zero.
    """

    dtype = divided_by("remainder_cpu")

    def scalar(input, other):
        return floor_remainder(input, other)

    def d_input(g):
        return g

    def d_other(g, input, other):
        return -(g * floor_quotient(input, other))


@op("rmod(Tensor input, Operand other) -> Tensor", function=False, method=False, methods="__rmod__")
class RMod(Pointwise):
    """``other % input``."""

    dtype = divided_by("remainder_cpu")

    def scalar(input, other):
        return floor_remainder(other, input)

    def d_input(g, input, other):
        return -(g * floor_quotient(other, input))

    def d_other(g):
        return g


@op("fmod(Tensor input, Operand other, *, Tensor? out=None) -> Tensor", inplace=True)
class Fmod(Pointwise):
    """C's remainder: that of division rounded towards zero, with the sign of ``input``.

    Raises: RuntimeError for integer division by zero.
    """

    dtype = divided_by("fmod_cpu")

    def scalar(input, other):
        if is_integer(input):
            return refuse_if(other == 0, DIVISION_BY_ZERO, Expr("mod", (input, other), input.type))
        return fmod(input, other)

    def d_input(g):
        return g

    def d_other(g, input, other):
        return -(g * trunc_quotient(input, other))


# -- signs -----------------------------------------------------------------------------------------------------------


@op("neg(Tensor input, *, Tensor? out=None) -> Tensor", inplace=True, methods="__neg__", also="negative")
class Neg(Pointwise):
    """``-input``. Raises: RuntimeError for bool."""

    check_out = same_type_out
    dtype = promote

    def check(input):
        require(input.dtype.kind != BOOL,
                "Negation, the `-` operator, on a bool tensor is not supported. If you are trying to invert a mask, use "
                "the `~` or `logical_not()` operator instead.")  # fmt: skip

    def scalar(input):
        return -input

    def d_input(g):
        return -g


@op("positive(Tensor input) -> Tensor", methods="__pos__")
class Positive(Composite):
    """``input`` itself. Raises: RuntimeError for bool."""

    def body(input):
        require(input.dtype.kind != BOOL, "The `+` operator, on a bool tensor is not supported.")
        return input


@op("abs(Tensor input, *, Tensor? out=None) -> Tensor", inplace=True, methods="__abs__", also="absolute")
class Abs(Pointwise):
    """Absolute value. Dtype: a complex type gives its real type."""

    dtype = accepting("abs_cpu", INTEGER, FLOAT, COMPLEX, rule=complex_to_real)

    def check_out(result, out):
        if result.dtype.kind < FLOAT:  # a complex tensor's may go into any float type
            same_type_out(result, out)

    def scalar(input):
        return abs(input)

    def d_input(g, input):
        return sgn(input) * g


@op("sign(Tensor input, *, Tensor? out=None) -> Tensor", inplace=True)
class Sign(Pointwise):
    """-1, 0 or 1 by the sign of each element."""

    check_out = same_type_out
    dtype = promote

    def check(input):
        require(input.dtype.kind != COMPLEX,
                "Unlike NumPy, torch.sign is not intended to support complex numbers. Please use torch.sgn instead.",
                NotImplementedError)  # fmt: skip

    def scalar(input):
        return sgn(input)

    def d_input(g):
        return zero_like(g)


@op("sgn(Tensor input, *, Tensor? out=None) -> Tensor", inplace=True)
class Sgn(Pointwise):
    """``input / |input|``, and 0 where it is 0; the sign of a real number."""

    check_out = same_type_out
    dtype = promote

    def scalar(input):
        return sgn(input)

    def d_input(g, input, result):
        if not isinstance(g, Pair) and (isinstance(g, Expr) or not g.is_complex()):
            return zero_like(g)
        size = abs(input)
        inner = real_part(conj(result) * g)
        return where(size == 0, zero_like(g), (g - result * inner) / where(size == 0, 1, size))


# -- fused products --------------------------------------------------------------------------------------------------


@op(
    "addcmul(Tensor input, Tensor tensor1, Tensor tensor2, *, Scalar value=1, Tensor? out=None) -> Tensor",
    inplace=True,
)
class Addcmul(Pointwise):
    """``input + value * tensor1 * tensor2``."""

    def samples(make):
        return [((make(2, 3), make(3), make(2, 1)), {"value": 0.7})]

    dtype = accepting("addcmul_cpu_out", INTEGER, FLOAT, COMPLEX)

    def scalar(input, tensor1, tensor2, value):
        return input + tensor1 * tensor2 * value

    def d_input(g):
        return g

    def d_tensor1(g, tensor2, value):
        return g * conj(tensor2 * value)

    def d_tensor2(g, tensor1, value):
        return g * conj(tensor1 * value)


@op(
    "addcdiv(Tensor input, Tensor tensor1, Tensor tensor2, *, Scalar value=1, Tensor? out=None) -> Tensor",
    inplace=True,
)
class Addcdiv(Pointwise):
    """``input + value * tensor1 / tensor2``. Raises: RuntimeError where both tensors are of integers."""

    def samples(make):
        return [((make(2, 3), make(3), make(2, 1)), {"value": 0.7})]

    dtype = promote

    def check(tensor1, tensor2):
        require(tensor1.dtype.kind >= FLOAT or tensor2.dtype.kind >= FLOAT,
                "Integer division with addcdiv is no longer supported, and in a future  release addcdiv will perform a "
                "true division of tensor1 and tensor2. The historic addcdiv behavior can be implemented as (input + value "
                "* torch.trunc(tensor1 / tensor2)).to(input.dtype) for integer inputs and as (input + value * tensor1 / "
                "tensor2) for float inputs. The future addcdiv behavior is just the latter implementation: (input + value "
                "* tensor1 / tensor2), for all dtypes.")  # fmt: skip

    def scalar(input, tensor1, tensor2, value):
        return input + tensor1 * value / tensor2

    def d_input(g):
        return g

    def d_tensor1(g, tensor2, value):
        return g * conj(value / tensor2)

    def d_tensor2(g, tensor1, tensor2, value):
        return -(g * conj(tensor1 * value / (tensor2 * tensor2)))
