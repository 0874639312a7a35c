"""Pointwise operators against Python's and NumPy's own arithmetic: values, types, refusals, in place, signs."""

from __future__ import annotations

import math
import operator

import numpy as np
import pytest

import flambeau as torch

FLOATS = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, -2.5, 3.0, 0.1, 7.25, -7.25, 100.0, 1e-3, 0.9999]
EDGES = [math.inf, -math.inf, math.nan, 1e30, -1e30, 1e-30]
INTEGERS = [0, 1, 2, 3, 5, 7, 100, 127, -1, -2, -3, -128, 64, 13]
INTEGER_TYPES = ["uint8", "int8", "int16", "int32", "int64"]


def quiet(function, *args):
    with np.errstate(all="ignore"):
        return function(*args)


def assert_same(got, want, rtol=1e-12, atol=0.0):
    want = np.asarray(want)
    got = got.numpy()
    assert got.dtype == want.dtype, (got.dtype, want.dtype)
    assert got.shape == want.shape
    if want.dtype.kind in "fc":
        np.testing.assert_allclose(got, want, rtol=rtol, atol=atol, equal_nan=True)
    else:
        np.testing.assert_array_equal(got, want)


def normal_area(x):
    return 0.5 * math.erfc(-x / math.sqrt(2))


def by_element(function):
    """A function of Python floats over an array; NaN where it is undefined."""

    def over(x):
        found = []
        for e in x.tolist():
            try:
                found.append(function(e))
            except (ValueError, OverflowError, ZeroDivisionError):
                found.append(math.nan)
        return np.array(found, dtype=x.dtype)

    return over


UNARY = {
    "abs": np.abs, "neg": np.negative, "sign": lambda x: np.where(np.isnan(x), 0.0, np.sign(x)), "floor": np.floor,
    "ceil": np.ceil, "trunc": np.trunc, "round": np.round, "frac": lambda x: x - np.trunc(x), "square": np.square,
    "reciprocal": np.reciprocal, "sqrt": np.sqrt, "rsqrt": lambda x: 1 / np.sqrt(x), "exp": np.exp, "exp2": np.exp2,
    "expm1": np.expm1, "log": np.log, "log2": np.log2, "log10": np.log10, "log1p": np.log1p, "sin": np.sin,
    "cos": np.cos, "tan": np.tan, "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan, "sinh": np.sinh,
    "cosh": np.cosh, "tanh": np.tanh, "asinh": np.arcsinh, "acosh": np.arccosh, "atanh": np.arctanh,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)), "logit": lambda x: np.log(x / (1 - x)), "deg2rad": np.deg2rad,
    "rad2deg": np.rad2deg, "sinc": np.sinc, "relu": lambda x: np.maximum(x, 0), "isnan": np.isnan, "isinf": np.isinf,
    "isfinite": np.isfinite, "isposinf": np.isposinf, "isneginf": np.isneginf, "signbit": np.signbit,
    "nan_to_num": np.nan_to_num, "logical_not": np.logical_not, "erf": by_element(math.erf), "erfc": by_element(math.erfc),
}  # fmt: skip
#: functions whose two sides differ by more than rounding where they cancel or are huge
LOOSE = {"tan": 1e-9, "sinc": 1e-9, "logit": 1e-9, "acosh": 1e-11}


@pytest.mark.parametrize("name", sorted(UNARY))
def test_unary_values(name):
    values = FLOATS + (EDGES if name not in ("sin", "cos", "tan", "sinc") else EDGES[:3])
    x = np.array(values)
    want = quiet(UNARY[name], x)
    assert_same(
        getattr(torch, name)(torch.tensor(values, dtype=torch.float64)), want, LOOSE.get(name, 1e-13), 1e-15
    )


COMPLEX = "acos acosh asin asinh atan atanh cos cosh exp log sin sinh sqrt tan tanh"


@pytest.mark.parametrize("name", COMPLEX.split())
def test_complex_functions(name):
    numpy_name = name.replace("a", "arc", 1) if name[0] == "a" else name
    parts = [0.5, -0.5, 2.0, -3.0, 0.0]
    z = np.array([complex(a, b) for a in parts for b in parts if (a, b) != (0.0, 0.0)])
    on_cut = (z.imag == 0) | (z.real == 0)
    z = z[~on_cut] if name[0] == "a" else z  # sides of the cuts are tested below
    assert_same(getattr(torch, name)(torch.tensor(z)), quiet(getattr(np, numpy_name), z), 1e-12, 1e-14)


@pytest.mark.parametrize(("name", "z"), [
    ("asin", 2 + 0j), ("asin", complex(2, -0.0)), ("acos", -2 + 0j), ("acos", complex(-2, -0.0)), ("atanh", 3 + 0j),
    ("atanh", complex(3, -0.0)), ("asinh", 2j), ("asinh", complex(-0.0, 2)), ("acosh", -2 + 0j), ("acosh", 0.5 + 0j),
])  # fmt: skip
def test_branch_cuts_keep_their_sides(name, z):
    import cmath

    got = getattr(torch, name)(torch.tensor([z], dtype=torch.complex128)).item()
    assert got == pytest.approx(getattr(cmath, name)(z), rel=1e-12)


BINARY = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "maximum": np.maximum, "minimum": np.minimum, "fmax": np.fmax,
    "fmin": np.fmin, "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater,
    "ge": np.greater_equal, "logical_and": np.logical_and, "logical_or": np.logical_or, "logical_xor": np.logical_xor,
}  # fmt: skip
OF_FLOATS = {
    "div": np.divide, "atan2": np.arctan2, "hypot": np.hypot, "copysign": np.copysign, "nextafter": np.nextafter,
    "logaddexp": np.logaddexp, "logaddexp2": np.logaddexp2, "fmod": np.fmod, "remainder": np.mod,
    "floor_divide": np.floor_divide, "pow": np.power, "heaviside": lambda x, y: np.where(np.isnan(x), 0.0, np.heaviside(x, y)),
}  # fmt: skip


def pairs(values):
    a, b = np.meshgrid(values, values)
    return a.ravel(), b.ravel()


@pytest.mark.parametrize("name", sorted(BINARY | OF_FLOATS))
def test_binary_values_of_floats(name):
    edges = [*FLOATS, math.inf, -math.inf, math.nan]
    a, b = pairs(np.array(edges))
    if name in ("remainder", "floor_divide"):  # NumPy differs from Python's rule for infinite operands
        keep = np.isfinite(a) & np.isfinite(b)
        a, b = a[keep], b[keep]
    want = quiet((BINARY | OF_FLOATS)[name], a, b)
    assert_same(getattr(torch, name)(torch.tensor(a), torch.tensor(b)), want, 1e-13)


@pytest.mark.parametrize("kind", INTEGER_TYPES)
@pytest.mark.parametrize("name", sorted(BINARY))
def test_binary_values_of_integers(name, kind):
    a, b = pairs(np.array(INTEGERS).astype(kind))
    assert_same(getattr(torch, name)(torch.tensor(a), torch.tensor(b)), quiet(BINARY[name], a, b))


@pytest.mark.parametrize("kind", INTEGER_TYPES)
def test_whole_division(kind):
    a, b = pairs(np.array([x for x in INTEGERS if x != -128]).astype(kind))
    a, b = a[b != 0], b[b != 0]
    x, y = torch.tensor(a), torch.tensor(b)
    assert_same(x // y, a // b)
    assert_same(x % y, a % b)
    assert_same(torch.fmod(x, y), np.fmod(a, b))
    assert_same(torch.div(x, y, rounding_mode="trunc"), np.trunc(a.astype("f8") / b).astype(kind))
    assert_same(torch.gcd(x, y), np.gcd(a, b))
    assert (x // y * y + x % y == x).all()


@pytest.mark.parametrize("kind", INTEGER_TYPES)
def test_bits(kind):
    a, b = pairs(np.array(INTEGERS).astype(kind))
    x, y = torch.tensor(a), torch.tensor(b)
    for sign in (operator.and_, operator.or_, operator.xor):
        assert_same(sign(x, y), sign(a, b))
        assert_same(sign(x, 5), sign(a, np.array(5, kind)))
    assert_same(~x, ~a)
    by = (np.abs(b.astype("i8")) % (a.itemsize * 8)).astype(kind)
    assert_same(x << torch.tensor(by), a << by)
    assert_same(x >> torch.tensor(by), a >> by)
    assert (x << 100 == 0).all()


@pytest.mark.parametrize("kind", ["int32", "int64"])
def test_integer_powers_wrap(kind):
    for x in (-3, -1, 0, 1, 2, 7):
        for n in (0, 1, 2, 5, 40, 63):
            want = (
                np.array(x**n % 2 ** (8 * np.dtype(kind).itemsize))
                .astype(f"u{np.dtype(kind).itemsize}")
                .astype(kind)
            )
            assert (
                torch.tensor([x], dtype=getattr(torch, kind)) ** torch.tensor([n], dtype=getattr(torch, kind))
            ).item() == want
    assert (torch.tensor([1, -1, 2, -1]) ** torch.tensor([-3, -3, -1, -2])).tolist() == [1, -1, 0, 1]


SIGNS = [
    operator.add,
    operator.sub,
    operator.mul,
    operator.truediv,
    operator.floordiv,
    operator.mod,
    operator.pow,
]


@pytest.mark.parametrize("sign", SIGNS)
def test_numbers_on_either_side(sign):
    values = [1.0, 2.0, 0.5, 3.25]
    x = torch.tensor(values, dtype=torch.float64)
    for number in (2, 3.5, True):
        if sign is operator.sub and number is True:
            continue
        assert sign(x, number).tolist() == pytest.approx([sign(v, number) for v in values])
        assert sign(number, x).tolist() == pytest.approx([sign(number, v) for v in values])
        assert sign(x, np.float32(number)).tolist() == pytest.approx([sign(v, number) for v in values])


@pytest.mark.parametrize("exponent", [2, 3, 0.5, -0.5, -1, -2, 1, 0, 2.0, 4, 1.7])
def test_special_exponents(exponent):
    values = [0.5, 1.0, 2.0, 9.0]
    x = torch.tensor(values, dtype=torch.float64, requires_grad=True)
    y = x**exponent
    assert y.tolist() == pytest.approx([v**exponent for v in values])
    y.sum().backward()
    assert x.grad.tolist() == pytest.approx([exponent * v ** (exponent - 1) for v in values])


# -- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", [
    lambda x: x // 0, lambda x: x % 0, lambda x: torch.fmod(x, 0), lambda x: x.div(0, rounding_mode="trunc"),
    lambda x: x.div(0, rounding_mode="floor"), lambda x: 1 // (x * 0), lambda x: x.floor_divide_(0),
])  # fmt: skip
def test_whole_division_by_zero(call):
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        call(torch.tensor([1, 2, 3]))
    assert call(torch.tensor([1.0, 2.0])).shape == (2,)  # floats give infinities and NaN


@pytest.mark.parametrize(("call", "error", "text"), [
    (lambda x, b: b - b, RuntimeError, "Subtraction, the `-` operator, with two bool tensors"),
    (lambda x, b: b - 1, RuntimeError, "Subtraction, the `-` operator, with a bool tensor"),
    (lambda x, b: -b, RuntimeError, "Negation, the `-` operator, on a bool tensor"),
    (lambda x, b: x + "a", TypeError, "unsupported operand type"),
    (lambda x, b: x + object(), TypeError, "unsupported operand type"),
    (lambda x, b: x < None, TypeError, "not supported between"),
    (lambda x, b: torch.add(x, "a"), TypeError, r"add\(\): argument 'other' \(position 2\) must be Tensor, not str"),
    (lambda x, b: torch.exp(3), TypeError, r"exp\(\): argument 'input' \(position 1\) must be Tensor, not int"),
    (lambda x, b: x.long().add(1, alpha=1.5), RuntimeError, "argument alpha must not be a floating point"),
    (lambda x, b: x.long().add_(1.5), RuntimeError, "result type Float can't be cast to the desired output type Long"),
    (lambda x, b: b.add_(1), RuntimeError, "result type Long can't be cast to the desired output type Bool"),
    (lambda x, b: torch.exp(x, out=torch.empty(3, dtype=torch.int64)), RuntimeError, "can't be cast"),
    (lambda x, b: x.long() ** -1, RuntimeError, "Integers to negative integer powers"),
    (lambda x, b: x & x, NotImplementedError, "\"bitwise_and_cpu\" not implemented for 'Float'"),
    (lambda x, b: ~x, TypeError, "operator.invert"),
    (lambda x, b: torch.complex(x, x) < 1, NotImplementedError, "\"lt_cpu\" not implemented for 'ComplexFloat'"),
    (lambda x, b: torch.maximum(x, 1), TypeError, "must be Tensor, not int"),
    (lambda x, b: x.clamp(), RuntimeError, "At least one of 'min' or 'max'"),
    (lambda x, b: torch.where(x, x, x), RuntimeError, "expected condition to be a boolean tensor"),
    (lambda x, b: x.masked_fill(x, 1), RuntimeError, "only supports boolean masks"),
    (lambda x, b: x.masked_fill(b, x), RuntimeError, "0-dimensional value tensor"),
    (lambda x, b: x.div(2, rounding_mode="up"), RuntimeError, "rounding_mode to be one of"),
    (lambda x, b: x + torch.ones(4), RuntimeError, r"The size of tensor a \(3\) must match the size of tensor b \(4\)"),
    (lambda x, b: x.add_(torch.ones(2, 3)), RuntimeError, "doesn't match the broadcast shape"),
    (lambda x, b: torch.isclose(x, x, rtol=-1), RuntimeError, "rtol must be greater than or equal to zero"),
    (lambda x, b: torch.nn.functional.hardtanh(x, 1.0, -1.0), ValueError, "min_val cannot be greater"),
    (lambda x, b: torch.nn.functional.gelu(x, approximate="x"), RuntimeError, "must be either none or tanh"),
    (lambda x, b: torch.nn.functional.glu(x), RuntimeError, "Halving dimension must be even"),
    (lambda x, b: x.expand(2, 3).add_(1), RuntimeError, "more than one element of the written-to tensor"),
])  # fmt: skip
def test_mistakes(call, error, text):
    with pytest.raises(error, match=text):
        call(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([True, False, True]))


def test_foreign_operands_may_answer():
    class Answers:
        def __radd__(self, other):
            return "radd"

        def __eq__(self, other):
            return "eq"

    x = torch.ones(2)
    assert x + Answers() == "radd"
    assert (x == Answers()) == "eq"
    assert (x == None) is False  # noqa: E711
    assert (x != "a") is True


# -- limits, masks, choices ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limits", [(-1.0, 1.0), (None, 0.5), (0.5, None), (2.0, -2.0), (0, 2)])
def test_clamp(limits):
    values = [-3.0, -1.0, 0.25, 1.0, 5.0]
    x = torch.tensor(values, requires_grad=True)
    low, high = (
        (-math.inf if limits[0] is None else limits[0]),
        (math.inf if limits[1] is None else limits[1]),
    )
    want = [min(max(v, low), high) for v in values]
    y = x.clamp(*limits)
    assert y.tolist() == want
    assert x.detach().clone().clamp_(*limits).tolist() == want
    as_tensors = [None if v is None else torch.tensor(float(v)) for v in limits]
    assert torch.clamp(x, *as_tensors).tolist() == want
    y.sum().backward()
    assert x.grad.tolist() == [float(low <= v <= high) for v in values]
    assert math.isnan(torch.tensor(math.nan).clamp(*limits).item())


def test_limits_beyond_the_type_limit_nothing():
    x = torch.tensor([0, 200, 255], dtype=torch.uint8)
    assert x.clamp(max=300).tolist() == [0, 200, 255]
    assert (x == 300).tolist() == [False] * 3
    assert (x < 300).all()
    assert (x > -1).all()


def test_where():
    condition = torch.tensor([True, False, True])
    x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = torch.tensor([[10.0], [20.0]], requires_grad=True)
    found = torch.where(condition, x, y)
    assert found.tolist() == [[1.0, 10.0, 3.0], [1.0, 20.0, 3.0]]
    found.sum().backward()
    assert x.grad.tolist() == [2.0, 0.0, 2.0]
    assert y.grad.tolist() == [[1.0], [1.0]]
    assert torch.where(condition, 1, 0).tolist() == [1, 0, 1]
    assert torch.where(condition, 1, 0).dtype is torch.int64
    assert torch.where(condition, 1.0, 0).dtype is torch.float32
    assert torch.where(condition, x, 1j).dtype is torch.complex64
    assert x.where(condition, 0.0).tolist() == [1.0, 0.0, 3.0]


def test_masked_fill():
    x = torch.tensor([1, 2, 3])
    mask = torch.tensor([True, False, True])
    assert x.masked_fill(mask, 1.7).tolist() == [1, 2, 1]
    assert x.masked_fill(mask, torch.tensor(9)).tolist() == [9, 2, 9]
    assert torch.zeros(1, 3).masked_fill(mask.view(3, 1), 1.0).shape == (3, 3)
    y = torch.ones(3, requires_grad=True)
    (y * 2).masked_fill_(mask, 0.0).sum().backward()
    assert y.grad.tolist() == [0.0, 2.0, 0.0]


# -- parts of numbers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["float32", "float64", "float16"])
def test_frexp(kind):
    values = np.array([0.0, -0.0, 1.0, -3.5, 0.1, 1e-7, 6e-8, 1e4], dtype=kind)
    mantissa, exponent = torch.frexp(torch.tensor(values))
    want = np.frexp(values)
    assert_same(mantissa, want[0])
    assert_same(exponent, want[1].astype("i4"))
    assert torch.frexp(torch.tensor(math.inf)).mantissa.item() == math.inf


def test_ldexp_undoes_frexp():
    x = torch.tensor([0.3, -5.0, 1e-40, 1e30])
    assert torch.equal(torch.ldexp(*torch.frexp(x)), x)


def test_complex_parts():
    z = torch.tensor([1 + 2j, -3 - 4j])
    assert z.abs().tolist() == pytest.approx([5**0.5, 5.0])
    assert z.real.tolist() == [1.0, -3.0]
    z.imag[0] = 7.0
    assert z.tolist() == [1 + 7j, -3 - 4j]
    assert torch.view_as_real(z).tolist() == [[1.0, 7.0], [-3.0, -4.0]]
    assert torch.equal(torch.view_as_complex(torch.view_as_real(z)), z)
    assert z.conj().tolist() == [1 - 7j, -3 + 4j]
    assert torch.equal(torch.polar(z.abs(), z.angle()).abs(), z.abs())
    assert z.conj().resolve_conj().is_conj() is False
    x = torch.ones(3)
    assert x.conj() is x
    assert x.real is x


def test_type_views():
    x = torch.tensor([1.0, -2.0])
    assert x.view(torch.int32).tolist() == [0x3F800000, -0x40000000]
    assert x.view(torch.uint8).shape == (8,)
    assert x.view(torch.uint8).view(torch.float32).tolist() == [1.0, -2.0]
    with pytest.raises(RuntimeError, match="must be divisible by 2"):
        torch.zeros(3).view(torch.float64)


# -- special functions -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "function", "points"), [
    ("lgamma", math.lgamma, [0.1, 0.5, 1.0, 2.5, 10.0, 171.0, -0.5, -3.7]),
    ("special.ndtr", normal_area, [-8.0, -1.0, 0.0, 0.3, 2.0]),
    ("special.log_ndtr", lambda x: math.log(normal_area(x)) if x < 0 else math.log1p(-normal_area(-x)), [-20.0, -5.0, -1.0, 0.0, 1.0, 5.0]),
    ("special.erfcx", lambda x: math.exp(x * x) * math.erfc(x), [-3.0, -0.5, 0.0, 0.5, 2.0, 5.0]),
    ("special.entr", lambda x: -x * math.log(x) if x else 0.0, [0.0, 0.5, 1.0, 3.0]),
])  # fmt: skip
def test_special_values(name, function, points):
    got = operator.attrgetter(name)(torch)(torch.tensor(points, dtype=torch.float64))
    assert got.tolist() == pytest.approx([function(x) for x in points], rel=1e-12, abs=1e-300)


def test_inverses():
    p = torch.tensor([1e-300, 1e-20, 1e-5, 0.01, 0.3, 0.5, 0.9, 0.9999], dtype=torch.float64)
    np.testing.assert_allclose(torch.special.ndtr(torch.special.ndtri(p)).numpy(), p.numpy(), rtol=1e-11)
    x = torch.linspace(-0.99, 0.99, 21, dtype=torch.float64)
    np.testing.assert_allclose(torch.erf(torch.erfinv(x)).numpy(), x.numpy(), rtol=1e-12, atol=1e-15)


def test_bessel_functions_by_their_series():
    x = torch.tensor([0.0, 0.5, 3.0, 7.9, 8.1, 30.0], dtype=torch.float64)
    for order, name in ((0, "i0"), (1, "i1")):
        want = [
            sum(
                (v / 2) ** (2 * k + order) / (math.factorial(k) * math.factorial(k + order))
                for k in range(80)
            )
            for v in x.tolist()
        ]
        assert getattr(torch.special, name)(x).tolist() == pytest.approx(want, rel=1e-12)
        scaled = [w * math.exp(-v) for w, v in zip(want, x.tolist())]
        assert getattr(torch.special, name + "e")(x).tolist() == pytest.approx(scaled, rel=1e-12)


def test_polygamma_is_the_derivative_of_the_order_below():
    x = torch.tensor([0.3, 1.5, 4.0, -0.4, -2.3], dtype=torch.float64, requires_grad=True)
    for n in range(4):
        (slope,) = torch.autograd.grad(torch.polygamma(n, x).sum(), x)
        assert slope.tolist() == pytest.approx(torch.polygamma(n + 1, x).tolist(), rel=1e-12)
    assert torch.polygamma(1, torch.tensor(1.0, dtype=torch.float64)).item() == pytest.approx(
        math.pi**2 / 6, rel=1e-14
    )
    assert torch.special.zeta(torch.tensor(2.0, dtype=torch.float64), 1.0).item() == pytest.approx(
        math.pi**2 / 6, rel=1e-14
    )


# -- activations -----------------------------------------------------------------------------------------------------

ACTIVATIONS = {
    "relu6": lambda x: min(max(x, 0), 6), "leaky_relu": lambda x: x if x > 0 else 0.01 * x,
    "elu": lambda x: x if x > 0 else math.expm1(x), "celu": lambda x: x if x > 0 else math.expm1(x),
    "selu": lambda x: 1.0507009873554805 * (x if x > 0 else 1.6732632423543772 * math.expm1(x)),
    "gelu": lambda x: x * normal_area(x), "silu": lambda x: x / (1 + math.exp(-x)),
    "mish": lambda x: x * math.tanh(math.log1p(math.exp(x))), "softplus": lambda x: x if x > 20 else math.log1p(math.exp(x)),
    "softsign": lambda x: x / (1 + abs(x)), "hardtanh": lambda x: min(max(x, -1), 1),
    "hardsigmoid": lambda x: min(max(x + 3, 0), 6) / 6, "hardswish": lambda x: x * min(max(x + 3, 0), 6) / 6,
    "hardshrink": lambda x: x if abs(x) > 0.5 else 0.0, "softshrink": lambda x: math.copysign(max(abs(x) - 0.5, 0), x),
    "tanhshrink": lambda x: x - math.tanh(x), "logsigmoid": lambda x: -math.log1p(math.exp(-x)),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_activations(name):
    points = [-30.0, -5.0, -1.0, -0.3, 0.0, 0.3, 1.0, 5.0, 30.0]
    function = getattr(torch.nn.functional, name)
    want = [ACTIVATIONS[name](x) for x in points]
    assert function(torch.tensor(points, dtype=torch.float64)).tolist() == pytest.approx(
        want, rel=1e-12, abs=1e-15
    )
    assert function(torch.tensor(points)).tolist() == pytest.approx(want, rel=1e-5, abs=1e-6)


def test_in_place_flag_writes_the_input():
    for name in (
        "relu",
        "relu6",
        "leaky_relu",
        "elu",
        "celu",
        "selu",
        "silu",
        "mish",
        "hardtanh",
        "hardsigmoid",
        "hardswish",
    ):
        x = torch.tensor([-1.0, 0.5, 7.0])
        function = getattr(torch.nn.functional, name)
        want = function(x)
        assert function(x, inplace=True) is x, name
        assert torch.equal(x, want)
    x = torch.tensor([-1.0, 2.0])
    assert torch.nn.functional.threshold(x, 0.0, 9.0, True) is x
    assert x.tolist() == [9.0, 2.0]


def test_prelu_and_glu():
    x = torch.tensor([[-1.0, 2.0], [3.0, -4.0]], requires_grad=True)
    slope = torch.tensor([0.5, 0.25], requires_grad=True)
    y = torch.nn.functional.prelu(x, slope)
    assert y.tolist() == [[-0.5, 2.0], [3.0, -1.0]]
    y.sum().backward()
    assert slope.grad.tolist() == [-1.0, -4.0]
    found = torch.nn.functional.glu(torch.tensor([[1.0, 2.0, 0.0, 0.0]]))
    assert found.tolist() == [[0.5, 1.0]]


# -- shapes and memory -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind", ["float32", "float64", "int64", "int32", "uint8", "bool", "float16", "int16"]
)
@pytest.mark.parametrize("shape", [(37, 53), (64, 64), (3, 40, 50), (2, 5, 33, 17), (8, 16), (128, 7)])
def test_transposed_operands(kind, shape):
    """Copies and sums whose operands run along different dimensions: tiles, their edges, outer dimensions."""
    a = (np.arange(np.prod(shape)).reshape(shape) * 7 % 251).astype(kind)
    t = torch.tensor(a)
    n = len(shape)
    for order in {tuple(reversed(range(n))), (*range(1, n), 0), (n - 1, *range(n - 1))}:
        turned = np.ascontiguousarray(a.transpose(order))
        assert_same(t.permute(order).contiguous(), turned)
        target = torch.zeros(turned.shape, dtype=t.dtype)
        target.copy_(t.permute(order))
        assert_same(target, turned)
        assert_same(t.permute(order).contiguous().double(), turned.astype("f8"))
        if kind in ("float32", "int64"):
            assert_same(target + t.permute(order) * 2, turned + turned * 2)
    if kind == "float32" and n == 2 and shape[0] == shape[1]:
        assert_same(t + t.t(), a + a.T)


def test_empty_and_zero_dimensional():
    assert (torch.ones(0, 3) + torch.ones(3)).shape == (0, 3)
    assert (torch.tensor(2.0) * torch.tensor(3.0)).item() == 6.0
    assert torch.tensor(2.0).add(1).shape == ()
    assert torch.exp(torch.ones(2, 0)).shape == (2, 0)


def test_out_is_resized_and_converted():
    x = torch.tensor([1.0, 2.0])
    out = torch.empty(0)
    assert torch.add(x, 1, out=out) is out
    assert out.tolist() == [2.0, 3.0]
    wide = torch.empty(2, dtype=torch.complex64)
    assert torch.mul(x, 2, out=wide).tolist() == [2, 4]
    assert torch.eq(x, 1, out=torch.empty(2)).tolist() == [1.0, 0.0]


def test_in_place_on_views():
    x = torch.zeros(3, 4)
    x.t().add_(torch.arange(3.0))
    assert x.sum(1).tolist() == [0.0, 4.0, 8.0]
    y = torch.arange(6.0)
    y[::2].mul_(10)
    assert y.tolist() == [0, 1, 20, 3, 40, 5]


def test_reversed_names_and_aliases():
    x = torch.tensor([1.0, -2.0])
    for alias, name in (("absolute", "abs"), ("negative", "neg"), ("subtract", "sub"), ("multiply", "mul"), ("arctan", "atan"),
                        ("fix", "trunc"), ("clip", "clamp"), ("greater", "gt"), ("not_equal", "ne"), ("divide", "div")):  # fmt: skip
        args = (0.5,) if name in ("sub", "mul", "clamp", "gt", "ne", "div") else ()
        assert torch.equal(getattr(torch, alias)(x, *args), getattr(torch, name)(x, *args))
        assert torch.equal(getattr(x, alias)(*args), getattr(x, name)(*args))
    assert torch.equal(torch.special.expit(x), torch.sigmoid(x))
