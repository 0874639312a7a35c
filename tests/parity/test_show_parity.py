"""How tensors print, against PyTorch: a table of values, shapes and options, and random tensors."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import flambeau

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.parity

TYPES = "float32 float64 float16 bfloat16 int64 int32 uint8 bool complex64 complex128 int8 uint16".split()
NESTED = ["[]", "[1]", "[1, 2, 3]", "3", "[[1, 2], [3, 4]]", "[0] * 5", "[[[1]]]", "[[], []]"]
NUMBERS = """
[1.5,2.25] [1e-5,1] [1e-5,1e5] [1e10] [1e8] [1e9,1] [0.0001] [0.00001] [1.,nan] [inf,1] [nan] [inf,-inf,nan] [nan,1.5]
[-1.5,2] [1e-40] [1000.5,1] [10000.5,1] [99999.] [123456789.] [0.1,0.22,0.333] [-0.] [-0.,1.5] [1e38] [3.4e38,1e-38]
[1,1000] [1.5,1000] [1.5,1501] [1e-4,1e-3] [9.99999e-5] [0.99999] [999999.9] 1e-10 1e10 12345.678 nan inf -inf 0.1
[16777216.] [1e7,1.5] [1e8,1.5] [1e3,1e-1] [0.,1e-7] [0.,0.] [2e8,1] [1.0000001] [5e-324] [1.7976e308] [1+2j] [1.5+2.25j,3j]
[1e10+1j] [1e-5j] [complex(nan,1),complex(0,inf)] 1j [1-1j] [complex(nan,nan)] [complex(1,-inf)] [-1.5-0.5j,100+2j] [0j]
[1e-3+1e3j] [complex(0,-0.)]
""".split()
SHAPES = """
torch.arange(1000) | torch.arange(1001) | torch.arange(1001.0) | torch.arange(2000).view(50, 40)
torch.arange(10000.0).view(100, 100) | torch.arange(1001.0).view(7, 11, 13) | torch.arange(10000).view(10, 10, 10, 10)
torch.ones(1001, 1) | torch.ones(1, 1001) | torch.ones(2, 3, 4) | torch.ones(50) | torch.arange(100.0) | torch.ones(0, 3)
torch.ones(0) | torch.ones(2, 0, 3, dtype=torch.int64) | torch.ones(0, dtype=torch.float64) | torch.ones(2, device="meta")
torch.ones(2, 3, device="meta", dtype=torch.float64) | torch.ones((), device="meta") | torch.eye(12) | torch.eye(30)
torch.ones(2, device="meta", requires_grad=True) | torch.ones(1000) * 1.5 | torch.ones(1001) * 1.5 | torch.ones(3, 40)
torch.zeros(3, 40, dtype=torch.bool) | torch.arange(60).view(3, 20) * 100000 | torch.arange(-50, 50)
torch.nn.Parameter(torch.ones(3)) | torch.nn.Parameter(torch.ones(3), requires_grad=False) | torch.ones(7, 200)
torch.nn.Parameter(torch.ones(3, dtype=torch.float64)) | [torch.ones(2), torch.ones(1)] | {"a": torch.ones(2)}
torch.full((3,), float("inf")) | torch.tensor(True) | torch.ones(6, 1001) | torch.ones(1001, 6) | torch.ones(3, 3, 200)
torch.ones(1, 1, 2, 600) | torch.ones(20, dtype=torch.complex64) | torch.ones(1001, dtype=torch.complex64)
torch.ones(1001, dtype=torch.bool) | torch.Size([2, 3]) | torch.float32 | torch.device("cpu") | torch.strided
torch.contiguous_format | torch.ones(3, requires_grad=True).sum() | torch.ones(3, requires_grad=True).detach()
torch.ones(3, dtype=torch.float16) * 0.1 | torch.tensor([65504.0], dtype=torch.float16) | torch.linspace(0, 1, 11)
torch.tensor([3e38], dtype=torch.bfloat16) | torch.logspace(-5, 5, 11) | torch.tensor([[1e-3, 1e3], [1e4, 1e-4]])
format(torch.tensor(1.5), ".3f") | torch.finfo(torch.float16) | torch.iinfo(torch.int8)
"""
OPTIONS = [
    {"precision": 2}, {"precision": 8}, {"precision": 0}, {"threshold": 5}, {"threshold": 5, "edgeitems": 1},
    {"threshold": 2, "edgeitems": 2}, {"edgeitems": 1}, {"linewidth": 40}, {"linewidth": 20}, {"linewidth": 200},
    {"linewidth": 5}, {"sci_mode": True}, {"sci_mode": False}, {"profile": "short"}, {"profile": "full"},
    {"profile": "full", "precision": 2}, {"precision": 3, "sci_mode": True},
]  # fmt: skip
UNDER_OPTIONS = """
torch.arange(12.0) / 7 | torch.arange(12.0) * 1e6 | torch.arange(12).view(3, 4) | torch.arange(1200.0)
torch.ones(3, dtype=torch.float64) | torch.ones(3, requires_grad=True) * 2 | torch.tensor([1.5 + 2j, 3e5j])
torch.arange(24.0).view(2, 3, 4) | torch.tensor(1.23456789) | torch.tensor([1e-8, 1.0]) | torch.ones(2, device="meta")
torch.ones(6, 7) | torch.tensor([0.0, float("inf")])
"""


def expressions(table: str) -> list[str]:
    return [text.strip() for text in table.replace("\n", " | ").split(" | ") if text.strip()]


def printed(text: str, module, options: dict | None = None) -> str:
    """What an expression prints under options, which are put back."""
    if options:
        module.set_printoptions(**options)
    try:
        return repr(eval(text, {"torch": module, "nan": float("nan"), "inf": float("inf")}))
    finally:
        module.set_printoptions(profile="default", sci_mode=None)


def check(texts, options: dict | None = None) -> None:
    different = []
    for text in texts:
        ours, theirs = printed(text, flambeau, options), printed(text, torch, options)
        if ours != theirs:
            different.append(f"{text}\n{ours}\n{theirs}")
    assert not different, "\n\n".join(different)


def test_types():
    check(f"torch.tensor({v}, dtype=torch.{d})" for d, v in itertools.product(TYPES, NESTED))


def test_numbers():
    check(f"torch.tensor({v})" for v in NUMBERS)
    check(f"torch.tensor({v}, dtype=torch.float64)" for v in NUMBERS if "j" not in v and "complex" not in v)


def test_shapes():
    check(expressions(SHAPES))


@pytest.mark.parametrize("kind", ["float32", "float64", "int32", "bool"])
def test_the_tail_moves_to_a_line_of_its_own(kind):
    check(f"torch.ones({n}, dtype=torch.{kind})" for n in range(1, 25))
    check(f"torch.ones(2, {n}, dtype=torch.{kind})" for n in range(1, 25))
    if kind.startswith("float"):
        check(f"torch.ones({n}, dtype=torch.{kind}, requires_grad=True) * 2" for n in range(1, 25))
        check(f"torch.ones({n}, dtype=torch.{kind}, requires_grad=True)" for n in range(1, 25))


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_options(options):
    check(expressions(UNDER_OPTIONS), options)


NUMBER = st.one_of(
    st.floats(width=32),
    st.sampled_from([0.0, -0.0, 1.0, 0.5, 1e-5, 1e8, float("inf")]),
    st.integers(-1000, 1000).map(float),
)


@settings(max_examples=150)
@given(
    st.lists(NUMBER, min_size=24, max_size=24),
    st.sampled_from([(24,), (4, 6), (2, 3, 4), (3, 2, 2, 2), (24, 1), (1, 24)]),
    st.sampled_from(["float32", "float64", "bfloat16", "complex64"]),
    st.fixed_dictionaries(
        {}, optional={
            "precision": st.integers(0, 9), "threshold": st.sampled_from([5, 23, 24, 1000]),
            "edgeitems": st.integers(1, 4), "linewidth": st.sampled_from([20, 40, 80, 120]), "sci_mode": st.booleans(),
        },
    ),
)  # fmt: skip
def test_random_tensors(values, shape, kind, options):
    array = np.array(values, dtype="float64").reshape(shape)
    texts = []
    for module in (flambeau, torch):
        if options:
            module.set_printoptions(**options)
        try:
            texts.append(repr(module.tensor(array.tolist(), dtype=module.float64).to(getattr(module, kind))))
        finally:
            module.set_printoptions(profile="default", sci_mode=None)
    assert texts[0] == texts[1]
