"""Accuracy and limits of the generated transcendental functions, against NumPy and Python's own."""

from __future__ import annotations

import ctypes
import importlib.util
import math
import pathlib
import re

import numpy as np
import pytest

import flambeau as torch
from flambeau.backend.cpu import emit, jit
from flambeau.backend.cpu.builder import Module
from flambeau.backend.cpu.emit import ScalarFunction
from flambeau.backend.cpu.native import define, load, native, store
from flambeau.backend.cpu.types import BY_CODE, f32, i32, ptr, vec
from flambeau.ir import math as lowering
from flambeau.ir import math_tables as tables
from flambeau.ir.expr import leaf

_path = pathlib.Path(__file__).parents[2] / "benchmarks" / "ulp.py"
_spec = importlib.util.spec_from_file_location("flambeau_benchmarks_ulp", _path)
assert _spec is not None
assert _spec.loader is not None
ulp = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(ulp)

INF, NAN = math.inf, math.nan
COUNT = 1 << 17


def each(function):
    """A NumPy function from one on Python floats; what is undefined gives NaN."""

    def one(x: float) -> float:
        try:
            return function(x)
        except ValueError:
            return NAN

    return lambda x: np.array([one(v) for v in x.tolist()])


def lgamma(x: np.ndarray) -> np.ndarray:
    found = each(math.lgamma)(x)
    return np.where((x <= 0) & (np.floor(x) == x), INF, found)


def digamma(x: np.ndarray) -> np.ndarray:
    """Recurrence to 60 and the asymptotic series, in extended precision; x > 0."""
    y = x.astype(np.longdouble)
    total = np.zeros_like(y)
    for _ in range(60):
        step = y < 60
        total = total - np.where(step, 1 / y, 0)
        y = np.where(step, y + 1, y)
    z = 1 / (y * y)
    series = z * (
        1 / 12 - z * (1 / np.longdouble(120) - z * (1 / np.longdouble(252) - z * (1 / np.longdouble(240))))
    )
    return total + np.log(y) - 0.5 / y - series


def i0(x: np.ndarray) -> np.ndarray:
    found = np.i0(np.where(np.isinf(x), 0, x))
    return np.where(np.isinf(x), INF, found)


NUMPY_NAMES = {"asin": "arcsin", "acos": "arccos", "atan": "arctan", "atan2": "arctan2", "pow": "power"}
NUMPY_NAMES |= {"asinh": "arcsinh", "acosh": "arccosh", "atanh": "arctanh"}
UNARY = (
    "exp exp2 expm1 log log2 log10 log1p sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh "
    "erf erfc lgamma digamma i0 sigmoid"
).split()
OWN = {"erf": each(math.erf), "erfc": each(math.erfc), "lgamma": lgamma, "digamma": digamma, "i0": i0}
OWN["sigmoid"] = lambda x: 1 / (1 + np.exp(-x.astype(np.longdouble)))


def reference(op: str):
    return OWN.get(op) or getattr(np, NUMPY_NAMES.get(op, op))


@pytest.fixture(scope="module")
def kernel():
    """Compiled kernels by (op, type, arity), each built once."""
    made: dict = {}

    def get(op: str, type: str = "f32", arity: int = 1):
        key = (op, type, arity)
        if key not in made:
            made[key] = ulp.Kernel(op, type, arity, count=1 << 14)
        return made[key]

    return get


def points() -> np.ndarray:
    """Float32 numbers over the whole range, neighbours of the powers of two, infinities, NaN, usual ones."""
    spread = np.arange(0, 1 << 32, (1 << 32) // COUNT + 1, dtype=np.uint64).astype(np.uint32)
    edges = (np.arange(512, dtype=np.uint32) << np.uint32(23))[:, None] + np.arange(-6, 7).astype(np.uint32)
    usual = np.random.default_rng(0).uniform(-6, 6, COUNT // 4).astype(np.float32)
    return np.concatenate([np.concatenate([spread, edges.ravel()]).view(np.float32), usual])


@pytest.mark.parametrize("op", UNARY)
def test_float32_is_within_one_ulp(kernel, op):
    x = points()
    if op in ("digamma", "lgamma"):
        x = x[x > 0]  # for x < 0 see the tests near their zeros
    with np.errstate(all="ignore"):
        error = ulp.ulp_error(
            kernel(op)(x), np.asarray(reference(op)(x.astype(np.float64))).astype(np.longdouble)
        )
    worst = int(error.argmax())
    assert error[worst] <= 1, f"{op}({x[worst]!r}) is {error[worst]} ULP off"


def erf_of(x: np.ndarray) -> np.ndarray:
    return each(math.erf)(x / math.sqrt(2))


def slope_of(x: np.ndarray) -> np.ndarray:
    density = np.exp(-x * x / 2) * np.where(np.isinf(x), 0, x) / math.sqrt(2 * math.pi)
    return (erf_of(x) + 1) / 2 + density


#: both ways to form a function that has tables: these run wherever `emit.rules` prefers the other
BOTH = {"formula": lowering.LOWER, "tables": tables.RULES}


@pytest.mark.parametrize("way", BOTH)
def test_tanh_by_formula_and_by_tables(way):
    x = points()
    found = ulp.Kernel("tanh", count=1 << 14, rule=BOTH[way]["tanh"])(x)
    with np.errstate(invalid="ignore"):
        assert ulp.ulp_error(found, np.tanh(x.astype(np.longdouble))).max() <= 1
    assert (np.signbit(found) == np.signbit(x))[~np.isnan(x)].all()


@pytest.mark.parametrize("way", BOTH)
@pytest.mark.parametrize("op", ["normal_cdf", "gelu_slope"])
def test_normal_distribution_by_formula_and_by_tables(way, op):
    """To a few units of the numbers below 1, and the limits themselves."""
    x = points()
    with np.errstate(all="ignore"):
        wide = x.astype(float)
        expected = (erf_of(wide) + 1) / 2 if op == "normal_cdf" else slope_of(wide)
    found = ulp.Kernel(op, count=1 << 14, rule=BOTH[way][op])(x)
    assert np.array_equal(np.isnan(found), np.isnan(x))
    assert np.nanmax(np.abs(found - expected)) < 4 * 2.0**-24
    far = np.array([9, -9, 1e30, -1e30, INF, -INF], np.float32)
    assert np.abs(ulp.Kernel(op, count=1 << 14, rule=BOTH[way][op])(far) - (far > 0)).max() < 1e-16


@pytest.mark.parametrize("name", ["tanh", "exp", "exp2", "sigmoid", "erf", "gelu"])
def test_elements_apart_give_the_bits_of_elements_in_a_row(name):
    """Whole registers, masked ones, and single elements, which other instructions form."""
    function = torch.nn.functional.gelu if name == "gelu" else getattr(torch, name)
    x = torch.from_numpy(points()[::7])
    x = x[: len(x) // 3 * 3 - 3]
    apart = torch.stack([x, x], 1)[:, 0]
    assert not apart.is_contiguous()
    expected = function(x).numpy().view(np.int32)
    valid = ~np.isnan(x.numpy())
    assert np.array_equal(function(apart).numpy().view(np.int32)[valid], expected[valid])
    again = function(x.reshape(-1, 3)[:, 1:]).numpy().view(np.int32)
    two = expected.reshape(-1, 3)[:, 1:]
    assert np.array_equal(again[valid.reshape(-1, 3)[:, 1:]], two[valid.reshape(-1, 3)[:, 1:]])


@pytest.mark.parametrize("lanes", [1, 4, 16, 32])
def test_lookup_without_an_instruction_for_it(monkeypatch, lanes):
    """A machine without the instruction reads the tables from memory."""
    table = tuple(float(k * k) for k in range(32))
    index = np.random.default_rng(0).integers(-(2**31), 2**31, 64).astype(np.int32)

    def kernel(out: ptr(f32), x: ptr(i32)):
        for i in range(0, 64, LANES):  # noqa: F821
            store(out + i, function((load(x + i, vec(i32, LANES)),))[0])  # noqa: F821

    found = []
    for known in (True, False):
        if not known:
            monkeypatch.setattr(emit.jit, "has_feature", lambda name: False)
        module = Module()
        function = ScalarFunction([tables.lookup(leaf("input", 0, "i32"), table)])
        define(module, "apply", native(kernel), {"LANES": lanes, "function": function})
        monkeypatch.undo()
        (address,) = jit.build(f"test lookup {known} {lanes}", module.text, ["apply"])
        out = np.zeros(64, np.float32)
        ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(address)(out.ctypes.data, index.ctypes.data)
        found.append(out)
    assert found[0].tolist() == [table[k & 31] for k in index.tolist()]
    assert np.array_equal(*found)


def test_erfinv_float32_is_within_one_ulp(kernel):
    """Its error is measured through erf, whose slope is known."""
    x = points()
    x = x[np.abs(x) < 1]
    y = kernel("erfinv")(x).astype(np.float64)
    near = np.abs(x) < 0.5
    # erf(y) - x, near +-1 as erfc(|x|) without cancellation
    gap = np.where(near, each(math.erf)(y) - x, np.sign(x) * ((1 - np.abs(x)) - each(math.erfc)(np.abs(y))))
    off = gap / (2 / math.sqrt(math.pi) * np.exp(-y * y))
    unit = np.maximum(np.ldexp(1.0, np.frexp(y)[1] - 24), 2.0**-149)
    tiny = np.abs(x) < 1e-37  # erf itself rounds there: erfinv(x) = x sqrt(pi) / 2
    off = np.where(tiny, y - x * (math.sqrt(math.pi) / 2), off)
    assert np.abs(off / unit).max() <= 1
    edges = kernel("erfinv")(np.array([1, -1, 1.5, NAN, -0.0], np.float32))
    assert edges[:2].tolist() == [INF, -INF]
    assert np.isnan(edges[2:4]).all()
    assert np.signbit(edges[4])


NEAR_ZEROS = {
    # the float32 next to a zero of the function, with its value from 50-digit arithmetic
    "lgamma": (
        (-6.00138521194458, 5.9716251821000246e-05), (-5.008218288421631, -1.4815572806334704e-05),
        (-4.991544723510742, 9.666772148365217e-06), (-4.039361953735352, -3.053971690394376e-06),
        (-3.955294370651245, 1.7780596858250852e-06), (-3.143580913543701, -1.9605461541614247e-07),
        (-2.747682571411133, -1.4418167987778365e-07), (-2.4570248126983643, -1.1287842529645816e-07),
    ),
    "digamma": (
        (-19.74308204650879, -7.055016006219327e-06), (-9.702672958374023, -6.3459701615588964e-06),
        (-5.6671624183654785, 3.0198472259446285e-07), (-2.6107208728790283, -4.811107649295407e-08),
        (-1.5734984874725342, -1.4226449024506777e-07), (-0.5040830373764038, -2.602549550299359e-07),
        (1.4616321325302124, -1.203605254910667e-08),
    ),
}  # fmt: skip


@pytest.mark.parametrize("op", NEAR_ZEROS)
def test_gamma_functions_near_their_zeros(kernel, op):
    x, expected = (np.array(column) for column in zip(*NEAR_ZEROS[op]))
    assert ulp.ulp_error(kernel(op)(x.astype(np.float32)), expected).max() <= 1


LARGE_ANGLES = (
    # x, sin(x), cos(x) from 200-digit arithmetic; the first two are the floats nearest to multiples of pi/2
    (7.729178919452902e+28, 1.0, -1.6147697982476211e-09),
    (5.319372648326541e+255, 1.0, -4.687165924254628e-19),
    (100000.25, -0.21260836606769953, -0.9771374942545307),
    (1.152921504606847e+18, -0.8306492176372546, -0.5567960822766417),
    (3.802951800684688e+30, 0.03734425598969816, -0.999302459991256),
    (2.100508402727554e+38, 0.9685950732264553, -0.24864348799322641),
    (1e+22, -0.8522008497671888, 0.523214785395139),
    (1.7e+308, -0.5952560848632077, 0.803536056087918),
    (-1.0715086071862673e+301, 0.15920170308624243, 0.9872460775989135),
    (9007199254740992.0, -0.848925964814655, -0.5285117844130887),
)  # fmt: skip


def test_trigonometry_of_large_arguments(kernel):
    x, sine, cosine = (np.array(column) for column in zip(*LARGE_ANGLES))
    small = np.abs(x) < 3e38
    single = x[small].astype(np.float32)
    exact = single == x[small]
    for op, expected in (("sin", sine), ("cos", cosine), ("tan", sine / cosine)):
        assert ulp.ulp_error(kernel(op)(single), expected[small])[exact].max() <= 1
        assert ulp.ulp_error(kernel(op, "f64")(x), expected.astype(np.longdouble)).max() <= 4


FLOAT64_RANGES = {
    # op: (low, high) of uniform samples, or of the exponent of 10 where marked
    "exp": (-750, 712), "exp2": (-1080, 1026), "expm1": (-40, 712), "log": "positive", "log2": "positive",
    "log10": "positive", "log1p": (-0.999, 40), "sin": (-1e4, 1e4), "cos": (-1e4, 1e4), "tan": (-1e4, 1e4),
    "asin": (-1, 1), "acos": (-1, 1), "atan": (-30, 30), "sinh": (-712, 712), "cosh": (-712, 712),
    "tanh": (-21, 21), "asinh": (-50, 50), "acosh": (1, 50), "atanh": (-1, 1), "erf": (-6, 6),
    "erfc": (-6, 26), "lgamma": (0.001, 60), "digamma": (0.001, 60), "i0": (-700, 700), "sigmoid": (-740, 40),
}  # fmt: skip
FLOAT64_ULP = {"erfc": 4, "lgamma": 12, "digamma": 4, "i0": 20, "tan": 3}


@pytest.mark.parametrize("op", FLOAT64_RANGES)
def test_float64_stays_close(kernel, op):
    """Against extended precision where NumPy has the function, otherwise against another float64."""
    random = np.random.default_rng(1)
    span = FLOAT64_RANGES[op]
    x = 10.0 ** random.uniform(-300, 300, 4000) if span == "positive" else random.uniform(*span, 4000)
    small = np.clip(random.uniform(-2, 2, 4000), *(span if span != "positive" else (0.3, 2)))
    x = np.concatenate([x, small])
    wide = x if op in ("erf", "erfc", "lgamma", "i0") else x.astype(np.longdouble)
    with np.errstate(all="ignore"):
        error = ulp.ulp_error(kernel(op, "f64")(x), np.asarray(reference(op)(wide)).astype(np.longdouble))
    if op in ("lgamma", "digamma"):  # they cross zero, where only the absolute error is small
        error = error * np.minimum(1, np.abs(reference(op)(wide)))
    worst = int(error.argmax())
    assert error[worst] <= FLOAT64_ULP.get(op, 2), f"{op}({x[worst]!r}) is {error[worst]} ULP off"


SPECIAL = (
    0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0, 3.0, -3.0, 1.5, -1.5, 7e22, -7e22, 3e38, 1e-40, -1e-40, 1e-45,
    16777215.0, -16777215.0, 0.99999994, 1.0000001, INF, -INF, NAN,
)  # fmt: skip


def bits_equal(found: np.ndarray, expected: np.ndarray) -> np.ndarray:
    return (found == expected) & (np.signbit(found) == np.signbit(expected)) | np.isnan(found) & np.isnan(
        expected
    )


def pairs(type: str) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.meshgrid(np.array(SPECIAL, ulp.NUMPY[type]), np.array(SPECIAL, ulp.NUMPY[type]))
    return x.ravel(), y.ravel()


@pytest.mark.parametrize("type", ["f32", "f64"])
@pytest.mark.parametrize("op", ["pow", "atan2", "hypot", "fmod", "nextafter"])
def test_two_arguments_at_the_edges(kernel, op, type):
    """Every pair of special numbers: C99's limits, signs of zero, subnormal results."""
    x, y = pairs(type)
    exact = op in ("fmod", "nextafter")
    with np.errstate(all="ignore"):
        wide = (x, y) if exact else (x.astype(np.longdouble), y.astype(np.longdouble))
        expected = getattr(np, NUMPY_NAMES.get(op, op))(*wide)
        found = kernel(op, type, 2)(x, y)
        near = ulp.ulp_error(found, expected.astype(np.longdouble)) <= 1
        same = bits_equal(found, expected.astype(x.dtype)) | near & (
            np.signbit(found) == np.signbit(expected)
        )
    wrong = np.flatnonzero(~same)
    assert not len(wrong), [(op, x[i], y[i], found[i], expected[i]) for i in wrong[:5]]


@pytest.mark.parametrize("op", ["pow", "atan2", "hypot", "fmod"])
def test_two_arguments_at_random(kernel, op):
    random = np.random.default_rng(2)
    x = np.exp(random.uniform(-30, 30, 20000)).astype(np.float32)
    x[::3] = random.uniform(0.9, 1.1, len(x[::3]))
    y = random.uniform(-40, 40, 20000).astype(np.float32)
    with np.errstate(all="ignore"):
        expected = getattr(np, NUMPY_NAMES.get(op, op))(x.astype(np.longdouble), y.astype(np.longdouble))
        assert ulp.ulp_error(kernel(op, "f32", 2)(x, y), expected).max() <= (0 if op == "fmod" else 1)
        x, y = x.astype(np.float64) * 1.1, y.astype(np.float64) * 5.3
        expected = getattr(np, NUMPY_NAMES.get(op, op))(x.astype(np.longdouble), y.astype(np.longdouble))
        assert ulp.ulp_error(kernel(op, "f64", 2)(x, y), expected).max() <= (0 if op == "fmod" else 2)


LIMITS = {
    # op: (argument, value), ...
    "exp": ((0, 1), (-INF, 0), (INF, INF)),
    "exp2": ((0, 1), (-INF, 0), (INF, INF), (10, 1024), (-149, 2.0**-149)),
    "expm1": ((0, 0), (-0.0, -0.0), (-INF, -1), (INF, INF)),
    "log": ((0, -INF), (-0.0, -INF), (1, 0), (INF, INF), (-1, NAN), (-INF, NAN)),
    "log2": ((0, -INF), (1, 0), (8, 3), (2.0**-149, -149), (-1, NAN), (INF, INF)),
    "log10": ((0, -INF), (1, 0), (1000, 3), (-INF, NAN), (INF, INF)),
    "log1p": ((0, 0), (-0.0, -0.0), (-1, -INF), (-2, NAN), (INF, INF), (-INF, NAN)),
    "sin": ((0, 0), (-0.0, -0.0), (INF, NAN), (-INF, NAN)),
    "cos": ((0, 1), (-0.0, 1), (INF, NAN), (-INF, NAN)),
    "tan": ((0, 0), (-0.0, -0.0), (INF, NAN)),
    "asin": ((0, 0), (-0.0, -0.0), (1.5, NAN), (-INF, NAN)),
    "acos": ((1, 0), (-1.5, NAN), (INF, NAN)),
    "atan": ((0, 0), (-0.0, -0.0)),
    "sinh": ((0, 0), (-0.0, -0.0), (-INF, -INF), (INF, INF)),
    "cosh": ((0, 1), (-INF, INF), (INF, INF)),
    "tanh": ((0, 0), (-0.0, -0.0), (-INF, -1), (INF, 1)),
    "asinh": ((0, 0), (-0.0, -0.0), (-INF, -INF), (INF, INF)),
    "acosh": ((1, 0), (0.5, NAN), (-INF, NAN), (INF, INF)),
    "atanh": ((0, 0), (-0.0, -0.0), (1, INF), (-1, -INF), (2, NAN), (-INF, NAN)),
    "erf": ((0, 0), (-0.0, -0.0), (INF, 1), (-INF, -1)),
    "erfc": ((0, 1), (INF, 0), (-INF, 2)),
    "erfinv": ((0, 0), (-0.0, -0.0), (1, INF), (-1, -INF), (1.5, NAN), (INF, NAN)),
    "lgamma": ((0, INF), (-0.0, INF), (1, 0), (2, 0), (-3, INF), (INF, INF), (-INF, INF)),
    "digamma": ((0, -INF), (-0.0, INF), (-1, NAN), (INF, INF), (-INF, NAN)),
    "i0": ((0, 1), (-INF, INF), (INF, INF)),
    "sigmoid": ((0, 0.5), (-INF, 0), (INF, 1)),
}


@pytest.mark.parametrize("type", ["f32", "f64"])
@pytest.mark.parametrize("op", LIMITS)
def test_limits(kernel, op, type):
    x, expected = np.array([*LIMITS[op], (NAN, NAN)], ulp.NUMPY[type]).T
    found = kernel(op, type)(x)
    assert bits_equal(found, expected).all(), list(zip(x, found, expected))


@pytest.mark.parametrize("order", [1, 2, 5])
def test_polygamma(order):
    """The sum that defines it, with an integral for the rest; below 0 the step psi_n(x + 1) - psi_n(x)."""
    x = np.concatenate([np.linspace(0.2, 30, 150), np.linspace(-4.88, -1.13, 33)])
    found, shifted = polygamma(order, x), polygamma(order, x + 1)
    k = np.arange(3000)[:, None]
    y = x[:150].astype(np.longdouble)
    rest = (
        (y + 3000) ** -order / order
        + (y + 3000) ** -(order + 1) / 2
        + (y + 3000) ** -(order + 2) * (order + 1) / 12
    )
    expected = (-1) ** (order + 1) * math.factorial(order) * ((1 / (y + k) ** (order + 1)).sum(0) + rest)
    np.testing.assert_allclose(found[:150], expected.astype(float), rtol=1e-14)
    step = (-1) ** order * math.factorial(order) / x ** (order + 1)
    assert (np.abs(shifted - found - step) <= 1e-14 * np.maximum(np.abs(found), np.abs(shifted))).all()


def polygamma(order: int, x: np.ndarray) -> np.ndarray:
    made = ulp.Kernel("polygamma", "f64", count=1 << 10, static=(order,))
    return made(x)


ARITY = {"pow": 2, "atan2": 2, "hypot": 2, "nextafter": 2}


@native
def apply_one(out: ptr(T), x: ptr(T)):  # noqa: F821
    out[0] = function((x[0],))[0]  # noqa: F821


@native
def apply_two(out: ptr(T), x: ptr(T), y: ptr(T)):  # noqa: F821
    out[0] = function((x[0], y[0]))[0]  # noqa: F821


@pytest.mark.parametrize("op", sorted(set(lowering.LOWER) - {"fmod", "polygamma"}))
def test_lowering_calls_nothing(op):
    """Only LLVM intrinsics, which every machine has as instructions, so that a loop can be vectorised."""
    for type in ("f32", "f64"):
        args = tuple(leaf("input", k, type) for k in range(ARITY.get(op, 1)))
        module = Module()
        apply = apply_two if len(args) == 2 else apply_one
        define(
            module,
            "apply",
            apply,
            {"T": BY_CODE[type], "function": ScalarFunction([lowering.LOWER[op](*args)])},
        )
        called = set(re.findall(r"call [^@]*@([\w.]+)\(", module.text()))
        assert all(
            re.match(r"llvm\.(fma|sqrt|fabs|copysign|ldexp|roundeven|floor|trunc)\.", name) for name in called
        ), called


def test_version_names_the_sources():
    assert re.fullmatch("[0-9a-f]{64}", lowering.VERSION)
    with pytest.raises(AttributeError):
        lowering.missing
