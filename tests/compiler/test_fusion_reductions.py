"""Loops become the input of reductions without being stored, and give what they give by themselves, to the last bit."""

from __future__ import annotations

import pytest

import flambeau as torch
from flambeau.backend.cpu.fusion import Loop
from flambeau.backend.cpu.fusion_reductions import LEAST, Reduced
from flambeau.nn import functional as F
from tests.compiler.fuzz_check import rand, seen
from tests.compiler.test_fusion_products import copies, f32, f64, nodes


def kept(x, y):
    z = x * y
    return z, z.sum(-1)


def more_than_one_result(x):
    return F.gelu(x).sum(), (x * 3).exp()


def mask_and_count(x):
    mask = x <= 0
    return mask, mask.sum(), x.abs().log2()


def variance(x):
    return ((x - x.mean(-1, keepdim=True)) ** 2).mean(-1, keepdim=True)


def normalised(x):
    return (x - x.mean(-1, keepdim=True)) * (variance(x) + 1e-5).rsqrt()


def loss_and_gradient(x, y):
    x = x.detach().requires_grad_()
    loss = F.softplus(x * y).sum()
    loss.backward()
    return loss, x.grad


def written_after(x, y):
    total = (x * y).sum(0)
    x.zero_()
    return total


def written_between(x, y):
    z = x * y
    x += 1
    return z.sum(0), x


X, Y, ROW, COLUMN = f32(67, 130), f32(67, 130, seed=2), f32(130, seed=3), f32(67, 1, seed=4)
TALL, TALL2, BOX, BOX2 = f32(3000, 7), f32(3000, 7, seed=2), f32(30, 40, 50), f32(30, 40, 50, seed=2)

#: name: (function, arguments, reductions with a loop in front, loops by themselves)
REDUCTIONS = {
    "all": (lambda x, y: (x * y).sum(), (X, Y), 1, 0),
    "squared error": (lambda x, y: ((x - y) ** 2).mean(), (X, Y), 1, 0),
    "activation": (lambda x: F.gelu(x).sum(), (X,), 1, 0),
    "rows": (lambda x: x.exp().sum(-1), (X,), 1, 0),
    "columns": (lambda x: x.exp().sum(0), (X,), 1, 0),
    "a row, over rows": (lambda x, r: (x * r).sum(-1), (X, ROW), 1, 0),
    "a row, over columns": (lambda x, r: (x * r).sum(0), (X, ROW), 1, 0),
    "a column, over rows": (lambda x, c: (x - c).square().mean(-1), (X, COLUMN), 1, 0),
    "a column, over columns": (lambda x, c: (x - c).square().mean(0), (X, COLUMN), 1, 0),
    "a number in memory": (lambda x, s: (x * s).sum(), (X, f32()), 1, 0),
    "many pieces": (lambda x, y: (x * y).sum(), (f32(700, 900), f32(700, 900, seed=2)), 1, 0),
    "many pieces of columns": (lambda x, y: (x * y).sum(0), (f32(3000, 90), f32(3000, 90, seed=2)), 1, 0),
    "wide columns": (lambda x, y: (x * y).sum(0), (f32(9, 2500), f32(9, 2500, seed=2)), 1, 0),
    "a few columns": (lambda x, y: (x * y).sum(0), (TALL, TALL2), 1, 0),
    "short rows": (lambda x, y: (x * y).sum(-1), (TALL, TALL2), 1, 0),
    "a middle dimension": (lambda x, y: (x * y).sum(1), (BOX, BOX2), 1, 0),
    "a middle dimension, repeated": (lambda x, y: (x * y).sum(1), (BOX, f32(40, 50)), 1, 0),
    "two dimensions": (lambda x, y: (x * y).sum((0, 2)), (BOX, BOX2), 1, 0),
    "two dimensions, a column": (lambda x, y: (x * y).sum((0, 2)), (BOX, f32(40, 1)), 1, 0),
    "turned": (lambda x: (x.t() * 2).sum(0), (X,), 1, 0),
    "positions": (lambda x, y: (x * y).argmax(-1), (X, Y), 1, 0),
    "largest and where": (lambda x, y: (x * y).max(-1), (X, Y), 1, 0),
    "smallest": (lambda x, y: (x * y).amin(0), (X, Y), 1, 0),
    "norm": (lambda x, y: (x * y).norm(), (X, Y), 1, 0),
    "logsumexp": (lambda x, y: (x * y).logsumexp(0), (X, Y), 1, 0),
    "variance": (lambda x, y: (x * y).var(-1), (X, Y), 1, 0),
    "count": (lambda x: (x > 0).sum(), (X,), 1, 0),
    "test": (lambda x: (x > -9).all(-1), (X,), 1, 0),
    "bfloat16": (lambda x, y: (x * y * 1.1).sum(-1), (X.bfloat16(), Y.bfloat16()), 1, 0),
    "float16": (lambda x, y: (x * y * 1.1).mean(0), (X.half(), Y.half()), 1, 0),
    "float64": (lambda x, y: (x * y).sum(), (f64(67, 130), f64(67, 130, seed=2)), 1, 0),
    "float32 to float64": (lambda x, y: (x * y).double().sum(), (X, Y), 1, 0),
    "integers": (lambda x: (x * 3).sum(0), (rand((67, 130), torch.int64, 1),), 1, 0),
    "small integers": (lambda x: (x * 3).sum(-1), (rand((67, 130), torch.int32, 1),), 1, 0),
    "kept": (kept, (X, Y), 1, 0),
    "other results": (more_than_one_result, (X,), 1, 0),
    "results of several types": (mask_and_count, (X,), 1, 0),
    "variance by hand": (variance, (X,), 1, None),
    "a normalisation by hand": (normalised, (X,), 1, None),
    "what comes after": (lambda x, y: ((x * y).sum(-1) + 1).rsqrt(), (X, Y), 1, 1),
    "gradients": (loss_and_gradient, (X, Y), 1, None),
    "an operand written later": (written_after, (X, Y), 1, 0),
    "an operand written in between": (written_between, (X, Y), 1, 0),
    # two kernels
    "small": (lambda x, y: (x * y).sum(), (f32(9), f32(9, seed=2)), 0, 1),
    "rows too short to begin anew": (lambda x, y: (x * y).sum(-1), (f32(300, 30), f32(300, 30, seed=2)), 0, 1),
    "a row of a few columns": (lambda x, y: (x * y).sum(0), (TALL, f32(7)), 0, 1),
    "operands of other orders": (lambda x, y: (x * y.t()).sum(), (X, f32(130, 67)), 0, 1),
    "complex": (lambda x: (x * 1j).sum(), (X,), 0, None),
}  # fmt: skip


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions(name, threads):
    function, arguments, fused, alone = REDUCTIONS[name]
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        compiled = torch.compile(function)
        for _ in range(2):
            one, other = copies(arguments), copies(arguments)
            assert seen([function(*one), one]) == seen([compiled(*other), other])
    finally:
        torch.set_num_threads(before)
    assert sum(isinstance(node, Reduced) for node in nodes(compiled)) == fused
    if alone is not None:
        assert sum(isinstance(node, Loop) for node in nodes(compiled)) == alone


def test_what_is_reduced_is_never_stored():
    compiled = torch.compile(lambda x, y: ((x - y) ** 2).sum())
    compiled(f32(300, 400), f32(300, 400, seed=2))
    (made,) = compiled._root.plans
    assert made.plan.arena_bytes < 300 * 400


def test_small_reductions_stay_as_they_are():
    for n, kinds in ((LEAST - 1, 2), (LEAST, 1)):
        compiled = torch.compile(lambda x: (x * 2).sum())
        compiled(f32(n))
        assert len(nodes(compiled)) == kinds


def test_explanation():
    compiled = torch.compile(lambda x, y: (x * y).sum(-1))
    compiled(*copies([X, Y]))
    text = str(compiled.explain(source=True))
    assert "mul over [67, 130] makes what sum takes" in text
    assert "mul(in0, in1)" in text
    short = torch.compile(lambda x, y: (x * y).sum(-1))
    short(f32(300, 30), f32(300, 30, seed=2))
    assert "sum: the loop's operands cannot be walked as the reduction's input" in str(short.explain())
