"""What a compiled function tells about itself."""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as tree

import numpy
import pytest

import flambeau as torch
from flambeau import nn


def kernels(function):
    return [[k.title for k in plan.kernels] for plan in function.explain().plans]


def test_before_the_first_call():
    f = torch.compile(lambda x: x + 1)
    assert "no plan yet" in str(f.explain())
    assert f.explain().plans == []


def test_what_was_fused_and_what_was_not():
    f = torch.compile(lambda x, w: ((x * 2 + 1) @ w).relu() - 1)
    f(torch.ones(3, 4), torch.ones(4, 5))
    (plan,) = f.explain().plans
    assert (plan.runs, plan.entries, plan.cause) == (1, 5, "first call")
    first, product, last = plan.kernels
    assert first.operators == ["mul", "add"]
    assert last.operators == ["relu", "sub"]
    assert (first.shape, product.shape) == ((3, 4), None)
    assert product.inputs == [0]
    assert "is not a pointwise loop" in product.why_not[0]
    assert first.nbytes == 2 * 3 * 4 * 4
    assert plan.kept_bytes == 3 * 5 * 4
    assert plan.made_bytes == 4 * (12 + 12 + 15 + 15 + 15)
    assert plan.arena_bytes > 0


REASONS = {
    "different index spaces": lambda x: x.exp() + x[:1].exp(),
    "an element is read at another place": lambda x: (lambda y: y * y.t())((x * 2).view(3, 3)),
    "may refuse its input": lambda x: (x.long() * 2) // 3,
    "numpy array": lambda x: (x + 1) * torch.from_numpy(numpy.ones(9)),
    "must run between": lambda x: (lambda y: y.exp() + y.cumsum(0))(x + 1),
    "too much arithmetic": lambda x: [x := x.sin().cos().tanh() for _ in range(12)][-1],
    "arrays in one loop": lambda x: sum((torch.full((9,), float(k)).cumsum(0) for k in range(20)), x),
}


@pytest.mark.parametrize("reason", REASONS)
def test_reasons(reason):
    f = torch.compile(REASONS[reason])
    f(torch.arange(9.0))
    f(torch.arange(9.0))
    assert reason in str(f.explain())


def test_causes_of_plans():
    f = torch.compile(lambda x, more: [x * 2, x.exp()] if more else [x * 2])
    kept = [f(torch.ones(3), False), f(torch.ones(4), False), f(torch.ones(3), True)]
    causes = [plan.cause for plan in f.explain().plans]
    assert causes[0] == "first call"
    assert causes[1].startswith("entry 0 is mul over [4], which was mul over [3]")
    assert causes[2] == "2 entries, where there were 1 that begin alike"
    del kept

    g = torch.compile(lambda x, which: (lambda a, b: a if which else b)(x + 1, x + 2))
    g(torch.ones(3), 0)
    g(torch.ones(3), 1)
    assert "the result of entry 0 (add) is still in use" in g.explain().plans[1].cause


def test_a_value_looked_at_starts_another_plan():
    @torch.compile
    def f(x):
        return x + 1 if (x * 2).sum() > 0 else x - 1

    f(torch.ones(3))
    f(-torch.ones(3))
    assert [plan.cause for plan in f.explain().plans] == [
        "first call", "goes on after plan 0", "entry 0 is sub over [3], which was add over [3]",
    ]  # fmt: skip
    assert [plan.runs for plan in f.explain().plans] == [2, 1, 1]


def test_what_nobody_needs():
    f = torch.compile(lambda x: (x.exp(), x + 1)[1])
    f(torch.ones(3))
    assert f.explain().plans[0].dead == ["exp"]
    assert "not run (nobody needs them, or they are there already): exp" in str(f.explain())


def test_times_are_counted_from_the_first_explanation_on():
    f = torch.compile(lambda x: (x.sin() + 1).sum())
    x = torch.ones(300, 300)
    f(x)
    explained = f.explain()
    assert all(k.seconds is None for k in explained.plans[0].kernels)
    measured = explained.measure(lambda: f(x), 5).plans[0]
    assert measured.runs == 6
    assert all(0 < k.seconds < 1 for k in measured.kernels)
    assert "GB/s" in str(f.explain())


def test_source():
    f = torch.compile(lambda x: (x * 2 + 1).sum())
    f(torch.ones(5, 3))
    text = str(f.explain(source=True))
    assert "mul(in0," in text
    assert "out0 = " in text
    assert "define void @kernel" in text
    assert "define void" not in str(f.explain())


def test_lines_of_the_program():
    @torch.compile
    def f(x):
        y = x * 2
        return y.sum()

    f(torch.ones(3))
    line = f._function.__code__.co_firstlineno
    assert f"test_explain.py:{line + 2}" not in str(f.explain())
    text = str(f.explain().lines(lambda: f(torch.ones(3))))
    assert f"test_explain.py:{line + 2}" in text
    assert f"test_explain.py:{line + 3}" in text
    assert sys.getprofile() is None


def test_pictures(tmp_path):
    model = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2))
    step = torch.compile(lambda x: model(x).square().mean().backward())
    step(torch.ones(2, 4))
    explained = step.explain()
    for name in ("plan.svg", "plan.html", "plan.txt"):
        explained.save(tmp_path / name)
    image = tree.parse(tmp_path / "plan.svg").getroot()
    space = "{http://www.w3.org/2000/svg}"
    boxes, edges = list(image.iter(f"{space}rect")), list(image.iter(f"{space}path"))
    assert len(boxes) == sum(len(plan.kernels) for plan in explained.plans)
    assert len(edges) == sum(len(k.inputs) for plan in explained.plans for k in plan.kernels) > 0
    spans = [tuple(float(b.get(n)) for n in ("x", "y", "width", "height")) for b in boxes]
    for k, (x, y, w, h) in enumerate(spans):  # no box covers another one
        assert all(x + w <= a or a + c <= x or y + h <= b or b + d <= y for a, b, c, d in spans[:k])
    assert "<svg" in (tmp_path / "plan.html").read_text()
    assert (tmp_path / "plan.txt").read_text().strip() == str(explained)
    with pytest.raises(ValueError, match=r"save writes \.html, \.svg or \.txt"):
        explained.save(tmp_path / "plan.png")
    assert explained._repr_html_().count("<svg") == 1


def test_modules_and_gradients_outside():
    model = torch.compile(nn.Sequential(nn.Linear(4, 3), nn.GELU()))
    model(torch.ones(2, 4)).sum().backward()
    names = [plan.name for plan in model.explain().plans]
    assert names[0] == "0"
    assert "backward 0" in names


def test_log():
    program = "import flambeau as torch\nf = torch.compile(lambda x: (x * 2 + 1).exp())\nf(torch.ones(2))\nf(torch.ones(2))\n"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "FLAMBEAU_LOG": "compile"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("[compile] plan 0: ") == 1
    assert "mul · add · exp" in done.stderr
    assert "<string>:2" in done.stderr
