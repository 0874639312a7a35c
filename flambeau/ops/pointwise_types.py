"""Type rules of pointwise operators, and small helpers that their scalar rules share.

A rule maps the operands' common type to (type computed in, type of the result); `accepting` guards one with the types
that PyTorch's kernel of that name has.
"""

from __future__ import annotations

from collections.abc import Callable

from ..base import dtype as types
from ..base.dtype import dtype as DType
from ..base.dtype import type_name
from ..base.layout import Layout
from ..ir import expr
from ..ir.expr import Expr, Pair, constant, convert, copysign, fabs, is_symbolic, where
from .define import ops
from .kinds import promote

BOOL, INTEGER, FLOAT, COMPLEX = 0, 1, 2, 3
#: error code of a kernel that met an integer division by zero (tensor/refusals.py words it)
DIVISION_BY_ZERO = 1


def not_implemented(kernel: str, t: DType) -> NotImplementedError:
    """PyTorch's error for a type that a kernel lacks."""
    return NotImplementedError(f"\"{kernel}\" not implemented for '{type_name(t)}'")


def accepting(kernel: str, *kinds: int, rule: Callable = promote) -> Callable:
    """`rule` for operands of the given kinds; others raise as PyTorch's `kernel` does."""

    def guarded(common: DType):
        if common.kind not in kinds:
            raise not_implemented(kernel, common)
        return rule(common)

    return guarded


def int_to_float_in_double(common: DType) -> tuple[DType, DType]:
    """As `int_to_float`; complex64 computes in complex128, whose range its intermediate values need."""
    if common.kind < FLOAT:
        common = types.default_float()
    return (types.complex128 if common is types.complex64 else common), common


def bool_to_int64(common: DType) -> tuple[DType, DType]:
    """Bool computes in, and gives, int64."""
    common = types.int64 if common.kind == BOOL else common
    return common, common


def kind_of(x) -> int:
    """Kind of an operand as a `check` rule sees it: a layout or the Python type of a number."""
    return x.dtype.kind if isinstance(x, Layout) else types.scalar_dtype(x()).kind


def is_number(x) -> bool:
    """Whether a `check` or `dtype` rule sees a Python number."""
    return isinstance(x, type)


# -- helpers of scalar rules; each also works on tensors, for second derivatives --------------------------------------


def zero_like(x):
    """Zeros like `x`, whatever it holds (``x * 0`` would keep NaN)."""
    if isinstance(x, Pair):
        return Pair(zero_like(x.re), zero_like(x.im))
    return constant(0, x.type) if isinstance(x, Expr) else ops.zeros_like(x)


def as_type_of(x, like):
    """`x` converted to the type of the expression `like`; tensors promote by themselves."""
    if isinstance(like, Pair):
        return convert(x, like.type) if isinstance(x, Pair) else expr.pair(x, like)
    return convert(expr.real(x), like.type) if isinstance(like, Expr) else x


def sgn(x):
    """x / |x|, and 0 where x is 0."""
    if isinstance(x, Pair):
        size = abs(x)
        zero = size == 0
        inverse = where(zero, constant(0.0, size.type), 1.0 / size)
        return Pair(x.re * inverse, x.im * inverse)
    return expr.sign(x) if isinstance(x, Expr) else x.sgn()


def real_part(x):
    if isinstance(x, (Pair, complex)):
        return x.re if isinstance(x, Pair) else x.real
    return x.real if not isinstance(x, (Expr, int, float)) and x.is_complex() else x


def is_integer(x) -> bool:
    """Whether the expression is of an integer type or bool."""
    return isinstance(x, Expr) and not x.is_float


def log_of(x):
    """log(x), also of a Python number that has none."""
    if is_symbolic(x) or not isinstance(x, (int, float, complex)):
        return expr.log(x)
    import cmath
    import math

    if isinstance(x, complex):
        return cmath.log(x) if x else complex(-math.inf, 0.0)
    return math.log(x) if x > 0 else -math.inf if x == 0 else math.nan


def negative_sign(x):
    """Whether the sign bit of a float is set."""
    return copysign(constant(1.0, x.type), x) < 0


def is_finite(x):
    """Whether an expression is neither infinite nor NaN."""
    if isinstance(x, Pair):
        return is_finite(x.re) & is_finite(x.im)
    return fabs(x) < float("inf") if x.is_float else constant(True, "b1")


def is_infinite(x):
    if isinstance(x, Pair):
        return is_infinite(x.re) | is_infinite(x.im)
    return fabs(x) == float("inf") if x.is_float else constant(False, "b1")
