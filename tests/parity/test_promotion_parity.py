"""Type promotion against PyTorch: every pair of types, as tensors, 0-d tensors and numbers, in every kind of operator.

Most of it runs on the meta device, where types are decided and nothing is computed.
"""

import itertools
import warnings

import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.parity

import flambeau  # noqa: E402

KINDS = "bool uint8 int8 int16 int32 int64 float16 bfloat16 float32 float64 complex64 complex128".split()
WIDE_UNSIGNED = ["uint16", "uint32", "uint64"]
NUMBERS = [True, 2, 1.5, 1 + 2j]
#: an operator of each rule from operand types to the types computed in and given
OPERATORS = {
    "add": lambda m, a, b: m.add(a, b), "sub": lambda m, a, b: m.sub(a, b), "mul": lambda m, a, b: m.mul(a, b),
    "div": lambda m, a, b: m.div(a, b), "trunc": lambda m, a, b: m.div(a, b, rounding_mode="trunc"),
    "floor_divide": lambda m, a, b: m.floor_divide(a, b), "remainder": lambda m, a, b: m.remainder(a, b),
    "pow": lambda m, a, b: m.pow(a, b), "atan2": lambda m, a, b: m.atan2(a, b), "eq": lambda m, a, b: m.eq(a, b),
    "lt": lambda m, a, b: m.lt(a, b), "bitwise_and": lambda m, a, b: m.bitwise_and(a, b),
    "logical_and": lambda m, a, b: m.logical_and(a, b), "maximum": lambda m, a, b: m.maximum(a, b),
    "copysign": lambda m, a, b: m.copysign(a, b), "xlogy": lambda m, a, b: m.xlogy(a, b),
    "float_power": lambda m, a, b: m.float_power(a, b), "hypot": lambda m, a, b: m.hypot(a, b),
    "gcd": lambda m, a, b: m.gcd(a, b), "where": lambda m, a, b: m.where(m.empty((), dtype=m.bool, device="meta"), a, b),
    "__rsub__": lambda m, a, b: b - a, "__rtruediv__": lambda m, a, b: b / a, "__rpow__": lambda m, a, b: b**a,
}  # fmt: skip


def tensor(m, kind, ndim):
    return m.empty((2,) * ndim, dtype=getattr(m, kind), device="meta")


def outcome(function, *args):
    """The name of the result's type, or that of the error."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = function(*args)
    except Exception as error:
        return "refused" if isinstance(error, (RuntimeError, TypeError)) else repr(error)
    return str(getattr(found, "dtype", found)).removeprefix("torch.")


def differences(call, cases):
    """The cases in which the two sides differ; PyTorch's complex32 is not a type here."""
    found = []
    for case in cases:
        want, got = outcome(call, torch, case), outcome(call, flambeau, case)
        half = case[0] in ("float16", ("float16", 0), ("float16", 1)) and isinstance(case[-1], complex)
        if want != got and want != "complex32" and not half:
            found.append((case, want, got))
    return found


def test_promote_types_and_can_cast():
    pairs = list(itertools.product(KINDS + WIDE_UNSIGNED, repeat=2))
    assert not differences(lambda m, c: m.promote_types(getattr(m, c[0]), getattr(m, c[1])), pairs)
    plain = list(itertools.product(KINDS, repeat=2))
    assert not differences(lambda m, c: m.can_cast(getattr(m, c[0]), getattr(m, c[1])), plain)


def operands(m, case):
    return [tensor(m, *x) if isinstance(x, tuple) else x for x in case]


def test_result_type():
    ranked = list(itertools.product(KINDS + WIDE_UNSIGNED, (0, 1)))
    cases = list(itertools.product(ranked, repeat=2)) + list(itertools.product(ranked, NUMBERS))
    assert not differences(lambda m, c: m.result_type(*operands(m, c)), cases)


@pytest.mark.parametrize("name", sorted(OPERATORS))
def test_operators_give_the_same_types(name):
    tensor_only = name in ("atan2", "logical_and", "maximum", "hypot", "gcd")
    cases = []
    for a, b in itertools.product(KINDS, repeat=2):
        cases += [((a, i), (b, j)) for i, j in itertools.product((0, 1), repeat=2)]
    cases += [] if tensor_only else [((a, i), n) for a in KINDS for i in (0, 1) for n in NUMBERS]
    if name == "pow":  # PyTorch's meta and CPU sides disagree
        cases = [c for c in cases if c[0][0] != "bool" or c[1] is not True]
    function = OPERATORS[name]
    found = differences(lambda m, c: function(m, *operands(m, c)), cases)
    # on the meta device PyTorch does not look into what its kernels lack
    found = [f for f in found if f[2] != "refused"]
    assert not found, found[:5]


@pytest.mark.parametrize("name", sorted(OPERATORS))
def test_refusals_by_type(name):
    """What a CPU kernel of PyTorch refuses is refused, and nothing else is."""
    function = OPERATORS[name]

    def call(m, case):
        pair = [m.ones((2,), dtype=getattr(m, x)) if isinstance(x, str) else x for x in case]
        if name == "where":
            return m.where(m.ones(2, dtype=m.bool), *pair)
        return function(m, *pair)

    tensor_only = name in ("atan2", "logical_and", "maximum", "hypot", "gcd")
    cases = [(a, b) for a in KINDS for b in ("bool", "int32", "float32", "complex64", a)]
    cases += [] if tensor_only else [(a, n) for a in KINDS for n in NUMBERS]
    assert not differences(call, cases)


@pytest.mark.parametrize(
    "name", ["add_", "mul_", "div_", "pow_", "eq_", "floor_divide_", "remainder_", "copysign_", "bitwise_or_"]
)
def test_in_place_types(name):
    def call(m, case):
        pair = [m.ones((2,), dtype=getattr(m, x)) if isinstance(x, str) else x for x in case]
        return getattr(pair[0], name)(pair[1])

    cases = [(a, b) for a in KINDS for b in ("bool", "int8", "int64", "float32", "complex64")]
    cases += [(a, n) for a in KINDS for n in NUMBERS]
    assert not differences(call, cases)


@pytest.mark.parametrize("name", ["exp", "floor", "abs", "neg", "square", "sqrt", "isnan", "sign", "sgn", "angle", "erf", "relu",
                                  "logical_not", "bitwise_not", "round", "frac", "signbit", "nan_to_num", "reciprocal"])  # fmt: skip
def test_unary_types_and_out(name):
    assert not differences(lambda m, kind: getattr(m, name)(m.ones(2, dtype=getattr(m, kind))), KINDS)
    if name in ("isnan", "relu"):
        return

    def into(m, case):
        return getattr(m, name)(
            m.ones(2, dtype=getattr(m, case[0])), out=m.empty(2, dtype=getattr(m, case[1]))
        )

    given = ("int32",) if name == "abs" else ("int32", "float32", "complex64")
    assert not differences(into, [(a, b) for a in given for b in KINDS])


def test_clamp_and_lerp_types():
    def clamp(m, case):
        return m.ones(2, dtype=getattr(m, case[0])).clamp(*case[1])

    limits = [(0, 1), (0.5, None), (None, 2.5), (0, 1.5)]
    assert not differences(clamp, [(k, limit) for k in KINDS if k != "bool" for limit in limits])

    def lerp(m, case):
        a, b, w = (m.ones(2, dtype=getattr(m, k)) if isinstance(k, str) else k for k in case)
        return m.lerp(a, b, w)

    cases = [
        (a, b, w)
        for a in ("float32", "float64", "int64")
        for b in ("float32", "float64")
        for w in ("float32", "float64", 0.5)
    ]
    assert not differences(lerp, cases)


@pytest.mark.filterwarnings("ignore:Casting complex values:UserWarning")  # PyTorch says so once a process
@pytest.mark.parametrize("kind", KINDS)
def test_conversions(kind):
    values = [0, 1, 3, 100]
    for goal in "float double half bfloat16 int long short char byte bool cfloat cdouble".split():
        want = getattr(torch.tensor(values).to(getattr(torch, kind)), goal)()
        got = getattr(flambeau.tensor(values).to(getattr(flambeau, kind)), goal)()
        assert str(want.dtype) == str(got.dtype)
        assert want.tolist() == got.tolist()
        assert want.type() == got.type()
