"""Training programs of the field give PyTorch's losses, step by step, from the same seed."""

import warnings

import pytest

import flambeau
from tests.compiler.more_programs import PROGRAMS

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.parity


def losses(library, name: str, steps: int = 4) -> list[list[float]]:
    library.manual_seed(11)
    step, _ = PROGRAMS[name](library)
    found = []
    for _ in range(steps):
        one = step()
        found.append(
            [
                v
                for x in (one if isinstance(one, tuple) else (one,))
                for v in x.detach().double().flatten().tolist()
            ]
        )
    return found


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_have_the_same_losses(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's own
        wanted = losses(torch, name)
    for mine, theirs in zip(losses(flambeau, name), wanted):
        assert mine == pytest.approx(theirs, rel=2e-4, abs=2e-5)
