"""Training programs of the field: compiled and frozen they give what they give eagerly, bit for bit."""

import warnings

import pytest

import flambeau as torch
from tests.compiler.more_programs import PROGRAMS

STEPS = 6


def run(name: str, **how) -> tuple[list, list]:
    torch.manual_seed(7)
    step, state = PROGRAMS[name](torch)
    step = torch.compile(step, **how) if how else step
    seen = []
    for _ in range(STEPS):
        found = step()
        seen.append([x.tolist() for x in (found if isinstance(found, tuple) else (found,))])
    return seen, [x.tolist() for x in state]


@pytest.mark.parametrize("name", PROGRAMS)
def test_compiled_programs_equal_eager_ones(name):
    wanted = run(name)
    assert all(x == x for values in wanted[0] for x in values)  # no NaN
    assert run(name, dynamic=False) == wanted
    assert run(name, dynamic=True) == wanted
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of programs that cannot be repeated without their Python
        assert run(name, freeze=True) == wanted
