"""Scalar expressions: what one element of a result means.

A rule such as ``def scalar(input): return exp(-abs(input))`` runs once on `Expr` leaves and leaves a graph behind,
which a back end turns into a kernel. The same functions applied to tensors call the tensor's operators, so one rule
serves eager kernels, fused kernels and derivatives of any order.

A complex number is a `Pair` of real expressions; back ends see real expressions only.
"""

from __future__ import annotations

import math as python_math
from typing import Any

RANK = {
    "b1": 0,
    "u8": 1,
    "i8": 1,
    "u16": 2,
    "i16": 2,
    "u32": 3,
    "i32": 3,
    "u64": 4,
    "i64": 4,
    "f32": 6,
    "f64": 7,
}
FLOATS = ("f32", "f64")


class Expr:
    """A node: an operation on expressions, with the type of its value ("b1", "i64", "f32", ...)."""

    __slots__ = ("op", "args", "type")

    def __init__(self, op: str, args: tuple, type: str):
        self.op, self.args, self.type = op, args, type

    def __repr__(self) -> str:
        return f"{self.op}({', '.join(map(repr, self.args))})" if self.args else self.op

    def __bool__(self):
        raise TypeError("the truth of an element is not known while a rule is traced: use where()")

    __hash__ = object.__hash__

    @property
    def is_float(self) -> bool:
        return self.type in FLOATS

    def __add__(self, other):
        return arithmetic("add", self, other)

    def __radd__(self, other):
        return arithmetic("add", other, self)

    def __sub__(self, other):
        return arithmetic("sub", self, other)

    def __rsub__(self, other):
        return arithmetic("sub", other, self)

    def __mul__(self, other):
        return arithmetic("mul", self, other)

    def __rmul__(self, other):
        return arithmetic("mul", other, self)

    def __truediv__(self, other):
        return arithmetic("div", self, other)

    def __rtruediv__(self, other):
        return arithmetic("div", other, self)

    def __and__(self, other):
        return arithmetic("and", self, other)

    __rand__ = __and__

    def __or__(self, other):
        return arithmetic("or", self, other)

    __ror__ = __or__

    def __xor__(self, other):
        return arithmetic("xor", self, other)

    __rxor__ = __xor__

    def __lshift__(self, other):
        return arithmetic("shl", self, other)

    def __rshift__(self, other):
        return arithmetic("shr", self, other)

    def __neg__(self):
        return Expr("neg", (self,), self.type)

    def __invert__(self):
        return Expr("invert", (self,), self.type)

    def __abs__(self):
        return fabs(self) if self.is_float else where(self < 0, -self, self)

    def __pow__(self, other):
        return pow(self, other)

    def __lt__(self, other):
        return compare("lt", self, other)

    def __le__(self, other):
        return compare("le", self, other)

    def __gt__(self, other):
        return compare("gt", self, other)

    def __ge__(self, other):
        return compare("ge", self, other)

    def __eq__(self, other):  # type: ignore[override]
        return compare("eq", self, other)

    def __ne__(self, other):  # type: ignore[override]
        return compare("ne", self, other)


class Pair:
    """A complex value as two real expressions."""

    __slots__ = ("re", "im")

    def __init__(self, re, im):
        self.re, self.im = re, im

    __hash__ = object.__hash__

    @property
    def type(self) -> str:
        return self.re.type

    def __add__(self, other):
        other = pair(other, self)
        return Pair(self.re + other.re, self.im + other.im)

    __radd__ = __add__

    def __sub__(self, other):
        other = pair(other, self)
        return Pair(self.re - other.re, self.im - other.im)

    def __rsub__(self, other):
        return pair(other, self) - self

    def __mul__(self, other):
        if isinstance(other, (int, float, Expr)):
            return Pair(self.re * other, self.im * other)
        other = pair(other, self)
        return Pair(self.re * other.re - self.im * other.im, self.re * other.im + self.im * other.re)

    __rmul__ = __mul__

    def __truediv__(self, other):
        if isinstance(other, (int, float, Expr)):
            return Pair(self.re / other, self.im / other)
        other = pair(other, self)
        # scaled by the larger part of the divisor (Smith, 1962), so that squares do not overflow
        swap = fabs(other.re) < fabs(other.im)
        large, small = where(swap, other.im, other.re), where(swap, other.re, other.im)
        ratio = where(large == 0, large, small / large)
        scale = large + small * ratio
        re = where(swap, self.re * ratio + self.im, self.re + self.im * ratio)
        im = where(swap, self.im * ratio - self.re, self.im - self.re * ratio)
        return Pair(re / scale, im / scale)

    def __rtruediv__(self, other):
        return pair(other, self) / self

    def __neg__(self):
        return Pair(-self.re, -self.im)

    def __abs__(self):
        return hypot(self.re, self.im)

    def __pow__(self, other):
        return pow(self, other)

    def __rpow__(self, other):
        return pow(other, self)

    def __eq__(self, other):  # type: ignore[override]
        other = pair(other, self)
        return (self.re == other.re) & (self.im == other.im)

    def __ne__(self, other):  # type: ignore[override]
        other = pair(other, self)
        return (self.re != other.re) | (self.im != other.im)

    def conj(self):
        return Pair(self.re, -self.im)


def pair(x, like: Pair) -> Pair:
    """`x` as a complex value with the part type of `like`."""
    if isinstance(x, Pair):
        return x
    if isinstance(x, complex):
        return Pair(constant(x.real, like.re.type), constant(x.imag, like.re.type))
    if isinstance(x, Expr):
        return Pair(convert(x, like.re.type), constant(0.0, like.re.type))
    return Pair(constant(float(x), like.re.type), constant(0.0, like.re.type))


def leaf(kind: str, index: int, type: str) -> Expr:
    """An input of a kernel: kind "input" (an element of an operand) or "scalar" (a run-time number)."""
    return Expr(kind, (index,), type)


def constant(value, type: str) -> Expr:
    return Expr("constant", (value,), type)


def as_expr(x, like: Expr) -> Expr:
    """A Python number as a constant of the type that it takes beside `like`."""
    if isinstance(x, Expr):
        return x
    if isinstance(x, bool):
        return constant(x, like.type)
    if isinstance(x, int):
        return constant(x, "i64" if like.type == "b1" else like.type)
    return constant(x, like.type if like.is_float else "f32")


def convert(x, type: str):
    """The value as another type (C conversion)."""
    if isinstance(x, Pair):
        return Pair(convert(x.re, type), convert(x.im, type))
    if not isinstance(x, Expr):
        return constant(x, type)
    return x if x.type == type else Expr("convert", (x,), type)


def unify(a, b) -> tuple[Expr, Expr]:
    a = as_expr(a, b) if not isinstance(a, Expr) else a
    b = as_expr(b, a) if not isinstance(b, Expr) else b
    if a.type != b.type:
        goal = a.type if RANK[a.type] >= RANK[b.type] else b.type
        a, b = convert(a, goal), convert(b, goal)
    return a, b


def arithmetic(op: str, a, b):
    if isinstance(a, (Pair, complex)) or isinstance(b, (Pair, complex)):
        like = (
            a
            if isinstance(a, Pair)
            else b
            if isinstance(b, Pair)
            else Pair(a if isinstance(a, Expr) else b, 0)
        )
        a, b = pair(a, like), pair(b, like)
        return {"add": a.__add__, "sub": a.__sub__, "mul": a.__mul__, "div": a.__truediv__}[op](b)
    if not isinstance(a, (Expr, int, float)) or not isinstance(b, (Expr, int, float)):
        return NotImplemented
    a, b = unify(a, b)
    if a.op == "constant" and a.args[0] == 1 and op == "mul":
        return b
    if b.op == "constant" and b.args[0] == 1 and op in ("mul", "div"):
        return a
    return Expr(op, (a, b), a.type)


def compare(op: str, a, b) -> Expr:
    if isinstance(b, Pair):
        return pair(a, b) == b if op == "eq" else pair(a, b) != b
    if isinstance(b, float) and isinstance(a, Expr) and not a.is_float:
        a = convert(a, "f64")
    a, b = unify(a, b)
    return Expr(op, (a, b), "b1")


# -- functions that rules use: on expressions, numbers or tensors ------------------------------------------------


def _unary(name: str, doc: str, complex_rule=None):
    def function(x: Any):
        if isinstance(x, Expr):
            return Expr(name, (x,), x.type)
        if isinstance(x, Pair):
            if complex_rule is None:
                raise NotImplementedError(f"{name} of a complex value")
            return complex_rule(x)
        if isinstance(x, (int, float)):
            return getattr(python_math, name)(x)
        return getattr(x, METHODS.get(name, name))()

    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return function


METHODS = {"fabs": "abs", "roundeven": "round"}


def polar(radius, angle) -> Pair:
    return Pair(radius * cos(angle), radius * sin(angle))


def _csqrt(z: Pair) -> Pair:
    r = hypot(z.re, z.im)
    a = sqrt((r + fabs(z.re)) * 0.5)
    other = where(a == 0, a, fabs(z.im) / (a * 2))
    re, im = where(z.re >= 0, a, other), where(z.re >= 0, other, a)
    return Pair(re, copysign(im, z.im))


exp = _unary("exp", "e to the power x.", lambda z: polar(exp(z.re), z.im))
exp2 = _unary("exp2", "2 to the power x.", lambda z: polar(exp2(z.re), z.im * python_math.log(2)))
expm1 = _unary("expm1", "exp(x) - 1 without loss near 0.", lambda z: polar(exp(z.re), z.im) - 1)
log = _unary("log", "Natural logarithm.", lambda z: Pair(log(hypot(z.re, z.im)), atan2(z.im, z.re)))
log2 = _unary("log2", "Logarithm to base 2.", lambda z: log(z) * (1 / python_math.log(2)))
log10 = _unary("log10", "Logarithm to base 10.", lambda z: log(z) * (1 / python_math.log(10)))
log1p = _unary("log1p", "log(1 + x) without loss near 0.", lambda z: log(z + 1))
sqrt = _unary("sqrt", "Square root.", _csqrt)
sin = _unary("sin", "Sine.", lambda z: Pair(sin(z.re) * cosh(z.im), cos(z.re) * sinh(z.im)))
cos = _unary("cos", "Cosine.", lambda z: Pair(cos(z.re) * cosh(z.im), -(sin(z.re) * sinh(z.im))))
tan = _unary("tan", "Tangent.", lambda z: sin(z) / cos(z))
asin = _unary("asin", "Inverse sine.", lambda z: _casin(z))  # noqa: PLW0108 (defined below)
acos = _unary("acos", "Inverse cosine.", lambda z: _cacos(z))  # noqa: PLW0108 (defined below)
atan = _unary("atan", "Inverse tangent.", lambda z: _times_minus_i(atanh(_times_i(z))))
sinh = _unary("sinh", "Hyperbolic sine.", lambda z: Pair(sinh(z.re) * cos(z.im), cosh(z.re) * sin(z.im)))
cosh = _unary("cosh", "Hyperbolic cosine.", lambda z: Pair(cosh(z.re) * cos(z.im), sinh(z.re) * sin(z.im)))
tanh = _unary("tanh", "Hyperbolic tangent.", lambda z: _ctanh(z))  # noqa: PLW0108 (defined below)
asinh = _unary("asinh", "Inverse hyperbolic sine.", lambda z: _times_minus_i(asin(_times_i(z))))
acosh = _unary("acosh", "Inverse hyperbolic cosine.", lambda z: _cacosh(z))  # noqa: PLW0108 (defined below)
atanh = _unary("atanh", "Inverse hyperbolic tangent.", lambda z: _catanh(z))  # noqa: PLW0108 (defined below)
erf = _unary("erf", "Error function.")
erfc = _unary("erfc", "1 - erf(x) without loss for large x.")
erfinv = _unary("erfinv", "Inverse of the error function.")
lgamma = _unary("lgamma", "Logarithm of the absolute gamma function.")
digamma = _unary("digamma", "Derivative of lgamma.")
floor = _unary("floor", "Largest integer not above x.")
ceil = _unary("ceil", "Smallest integer not below x.")
trunc = _unary("trunc", "Integer part.")
roundeven = _unary("roundeven", "Nearest integer, ties to even.")
fabs = _unary("fabs", "Absolute value of a float.")
i0 = _unary("i0", "Modified Bessel function of order 0.")
sigmoid = _unary("sigmoid", "1 / (1 + exp(-x)).", lambda z: 1 / (exp(-z) + 1))


def _times_i(z: Pair) -> Pair:
    return Pair(-z.im, z.re)


def _times_minus_i(z: Pair) -> Pair:
    return Pair(z.im, -z.re)


# Inverse functions keep the sides of their branch cuts apart by the signs of zeros (Kahan, 1987).


def _roots(z: Pair) -> tuple[Pair, Pair]:
    """sqrt(1 - z) and sqrt(1 + z)."""
    return sqrt(Pair(1.0 - z.re, -z.im)), sqrt(Pair(z.re + 1.0, z.im))


def _casin(z: Pair) -> Pair:
    minus, plus = _roots(z)
    return Pair(
        atan2(z.re, minus.re * plus.re - minus.im * plus.im), asinh(minus.re * plus.im - minus.im * plus.re)
    )


def _cacos(z: Pair) -> Pair:
    minus, plus = _roots(z)
    return Pair(atan2(minus.re, plus.re) * 2.0, asinh(plus.re * minus.im - plus.im * minus.re))


def _cacosh(z: Pair) -> Pair:
    minus, plus = sqrt(Pair(z.re - 1.0, z.im)), sqrt(Pair(z.re + 1.0, z.im))
    return Pair(asinh(minus.re * plus.re + minus.im * plus.im), atan2(minus.im, plus.re) * 2.0)


def _catanh(z: Pair) -> Pair:
    square = z.im * z.im
    re = log1p(z.re * 4.0 / ((1.0 - z.re) * (1.0 - z.re) + square)) * 0.25
    return Pair(re, atan2(z.im * 2.0, (1.0 - z.re) * (z.re + 1.0) - square) * 0.5)


def _ctanh(z: Pair) -> Pair:
    t, u = tanh(z.re), tan(z.im)
    return Pair(t, u) / Pair(constant(1.0, t.type), t * u)


def _binary(name: str, doc: str):
    def function(x: Any, y: Any):
        if isinstance(x, Expr) or isinstance(y, Expr):
            x, y = unify(x, y)
            return Expr(name, (x, y), x.type)
        if isinstance(x, (int, float)) and isinstance(y, (int, float)):
            return getattr(python_math, name)(x, y)
        return HOOK[0](name, x, y)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return function


#: calls a public operator by name; set by the tensor layer
HOOK: list = [None]

hypot = _binary("hypot", "sqrt(x*x + y*y) without overflow.")
atan2 = _binary("atan2", "Angle of the point (y, x) given as atan2(y, x).")
copysign = _binary("copysign", "Magnitude of x with the sign of y.")
fmod = _binary("fmod", "C remainder: the sign of x.")
nextafter = _binary("nextafter", "The next float from x towards y.")


def pow(x, y):
    """x to the power y; a small whole constant y becomes multiplications."""
    if isinstance(x, Pair) or isinstance(y, Pair) or isinstance(y, complex) and isinstance(x, Expr):
        like = x if isinstance(x, Pair) else y if isinstance(y, Pair) else Pair(x, x)
        x, y = pair(x, like), pair(y, like)
        zero = (x.re == 0) & (x.im == 0)
        found = exp(log(x) * y)
        flat = (y.re == 0) & (y.im == 0)
        one, none = constant(1.0, like.type), constant(0.0, like.type)
        return Pair(where(flat, one, where(zero, none, found.re)), where(flat | zero, none, found.im))
    if isinstance(x, Expr) and isinstance(y, (int, float)) and not isinstance(y, bool):
        if y == 2:
            return x * x
        if y == 1:
            return x
        if y == 3:
            return x * x * x
        if x.is_float and y == 0.5:
            return sqrt(x)
        if x.is_float and y == -1:
            return 1.0 / x
    if isinstance(x, Expr) or isinstance(y, Expr):
        x, y = unify(x, y)
        return Expr("pow", (x, y), x.type)
    if isinstance(x, (int, float)) and isinstance(y, (int, float)):
        return x**y
    return HOOK[0]("pow", x, y)


def where(condition, x, y):
    """x where the condition holds, else y."""
    if isinstance(condition, bool):
        return x if condition else y
    if isinstance(condition, Expr):
        if isinstance(x, Pair) or isinstance(y, Pair):
            like = x if isinstance(x, Pair) else y
            x, y = pair(x, like), pair(y, like)
            return Pair(where(condition, x.re, y.re), where(condition, x.im, y.im))
        if not isinstance(x, Expr) and not isinstance(y, Expr):
            x = constant(x, "f32" if isinstance(x, float) or isinstance(y, float) else "i64")
        x, y = unify(x, y)
        return Expr("where", (convert(condition, "b1"), x, y), x.type)
    return HOOK[0]("where", condition, x, y)


def maximum(x, y):
    """The larger of two; NaN wins."""
    if isinstance(x, Expr) or isinstance(y, Expr):
        x, y = unify(x, y)
        return Expr("fmaximum", (x, y), x.type) if x.is_float else where(x > y, x, y)
    return HOOK[0]("maximum", x, y)


def minimum(x, y):
    """The smaller of two; NaN wins."""
    if isinstance(x, Expr) or isinstance(y, Expr):
        x, y = unify(x, y)
        return Expr("fminimum", (x, y), x.type) if x.is_float else where(x < y, x, y)
    return HOOK[0]("minimum", x, y)


def fma(x, y, z):
    """x * y + z rounded once; on tensors x * y + z."""
    if isinstance(x, Expr) or isinstance(y, Expr) or isinstance(z, Expr):
        like = next(e for e in (x, y, z) if isinstance(e, Expr))
        x, y, z = (as_expr(e, like) for e in (x, y, z))
        return Expr("fma", (x, y, z), x.type)
    return x * y + z


def isnan(x):
    if isinstance(x, Expr):
        return x != x if x.is_float else constant(False, "b1")
    if isinstance(x, Pair):
        return isnan(x.re) | isnan(x.im)
    return HOOK[0]("isnan", x)


def sign(x):
    """-1, 0 or 1; NaN gives 0 as in PyTorch."""
    if isinstance(x, Expr):
        if x.type == "b1":
            return x
        return convert(x > 0, x.type) - convert(x < 0, x.type)
    return x.sign()


def conj(x):
    """Complex conjugate; real values unchanged."""
    if isinstance(x, (Expr, int, float)):
        return x
    if isinstance(x, (Pair, complex)):
        return x.conj() if isinstance(x, Pair) else x.conjugate()
    return x.conj() if x.is_complex() else x


def real(x):
    """Real part; real values unchanged."""
    if isinstance(x, Pair):
        return x.re
    if isinstance(x, (Expr, int, float)):
        return x
    return x.real if x.is_complex() else x


def imag(x):
    """Imaginary part; zero for real values."""
    if isinstance(x, Pair):
        return x.im
    return x.imag


def make_complex(re, im):
    """The complex value with these parts."""
    if isinstance(re, Expr) or isinstance(im, Expr):
        re, im = unify(re, im)
        return Pair(re, im)
    return HOOK[0]("complex", re, im)


def bitcast(x: Expr, type: str) -> Expr:
    """The bits of an element as another type of the same size (expressions only)."""
    return Expr("bitcast", (x,), type)


def refuse_if(condition: Expr, code: int, result: Expr) -> Expr:
    """`result`, and the operator fails with error `code` when the condition holds for any element."""
    return Expr("refuse", (condition, code, result), result.type)


def is_symbolic(x) -> bool:
    """Whether a rule is being traced on expressions (rather than run on tensors)."""
    return isinstance(x, (Expr, Pair))
