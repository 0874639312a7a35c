"""Random programs mean compiled what they mean eager; `python -m tests.compiler.fuzz` runs as many as one likes."""

from __future__ import annotations

import pytest

import flambeau as torch
from tests.compiler.fuzz import in_a_child, main, shortened, verdict
from tests.compiler.fuzz_check import difference, seen
from tests.compiler.fuzz_programs import Program, program_of


@pytest.mark.parametrize("first", range(0, 24, 8))
def test_a_slice_of_programs(first):
    for seed in range(first, first + 8):
        program = program_of(seed)
        found = verdict(program, seed)
        assert found is None, f"{found}\n{program.source()}"


def test_a_slice_of_steady_programs_without_their_python():
    for seed in range(12):
        program = program_of(seed, steady=True)
        found = verdict(program, seed)
        assert found is None, f"{found}\n{program.source()}"


@pytest.mark.slow
@pytest.mark.parametrize("options", [[], ["--freeze"]])
def test_more_programs(monkeypatch, options):
    monkeypatch.setenv("PYTHONPATH", ".")
    assert main(["--seed", "100", "--count", "400", *options]) == 0


#: programs that once came out differently
FOUND = {
    "samples nobody reads still move the generator": "v = x.clone().exponential_()",
    "half precision is rounded between fused operators": "v = F.mish(x.half()).reciprocal()",
    "float64 to half precision": "v = (x.double().ceil() / 3).half().tanh().double().half() + 1",
    "bfloat16 is rounded between fused operators": "v = (x.bfloat16() * 0.3) * 7",
    "memory that a kernel fills without being its output": "v = (x * 2).sum().unique()",
    "positions of what is true": "v = (x > 0).nonzero().argmin(0)",
    "an input that is there only for its shape": "v = [e * 2 for e in x][0].new_zeros(3)",
    "overlapping views written twice": "v = x.as_strided((2, 2), (1, 1))\nv.mul_(2)\nv.add_(1)\nv.mul_(3)",
}


@pytest.mark.parametrize("name", FOUND)
def test_programs_that_were_wrong_once(name):
    program = Program([], ["x = rand((4, 3), torch.float32, 5 + k)"], FOUND[name].split("\n"), "[v]")
    assert difference(*program.parts()) is None


FROZEN = {
    "an argument that is an array": ([], "v = x * 2"),
    "a view of an argument, with its graph": ([".requires_grad_()"], "v = x[1:]"),
    "gradients of an argument": ([".requires_grad_()"], "v = x.exp().sum()\nv.backward()"),
    "a sum with its graph": ([".requires_grad_()"], "v = x.sum()"),
}


@pytest.mark.parametrize("name", FROZEN)
def test_steady_programs_that_were_wrong_once(name):
    (more, lines) = FROZEN[name]
    state, given = ["array = numpy.arange(3.0)"], [f"x = rand((4, 3), torch.float32, 5 + k){''.join(more)}"]
    program = Program(state, given, lines.split("\n"), "[v]", steady=True)
    assert difference(*program.parts(), freeze=True) is None


def test_a_difference_is_seen_and_shortened():
    lines = ["v0 = x + 1", "v1 = x * (3 if torch.compiler.is_compiling() else 2)", "v2 = v0.exp()"]
    program = Program(
        [],
        ["x = rand((3,), torch.float32, k)", "y = rand((2,), torch.float32, k)"],
        list(lines),
        "[v0, v1, v2]",
    )
    found = verdict(program, 0)
    assert found is not None
    assert found.startswith("call 0, result[1]")
    shortened(program, 0, found)
    assert (program.inputs, program.result) == (["x = rand((3,), torch.float32, k)"], "[v1]")
    assert program.body == [lines[1]]


def test_a_crash_is_seen():
    program = Program([], [], ["import os", "os.kill(os.getpid(), 9)"], "[]")
    assert in_a_child(program, 0) == "killed by signal 9"


def test_what_is_compared():
    x = torch.arange(4.0)
    assert seen([x, x + 0]) != seen([x, x])
    assert seen(x[1:]) != seen(x[1:].clone())
    assert seen(torch.tensor(0.0)) != seen(torch.tensor(-0.0))
    assert seen(x) != seen(x.clone().requires_grad_())
    assert seen(torch.tensor([1.0, float("nan")])) == seen(torch.tensor([1.0, -float("nan")]))
