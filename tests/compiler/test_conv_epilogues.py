"""Loops behind convolutions run over each piece of the result that is finished, and give what they give by themselves."""

from __future__ import annotations

import random

import pytest

import flambeau as torch
from flambeau.backend.cpu import conv_dots, conv_few, conv_plan, fusion_pieces, fusion_products, winograd
from flambeau.backend.cpu.fusion import Loop
from flambeau.backend.cpu.fusion_products import Products
from flambeau.nn import functional as F
from tests.compiler.fuzz_check import rand, seen

#: name: (shape of the input, shape of the weight, options, the form that is taken, dtype)
FORMS = {
    "sweep": ((3, 5, 33, 40), (24, 5, 5, 5), {"padding": 2}, conv_plan.sweep_steps, torch.float32),
    "sweep, blocks of rows": ((1, 16, 70, 70), (12, 16, 5, 5), {}, conv_plan.sweep_steps, torch.float32),
    "sweep, shares of channels": ((1, 3, 32, 32), (64, 3, 3, 3), {"padding": 1}, conv_plan.sweep_steps, torch.float32),
    "sweep, samples together": ((40, 6, 6, 6), (32, 6, 3, 3), {}, conv_plan.sweep_steps, torch.float32),
    "sweep, read in place": ((1, 4, 260, 260), (6, 4, 1, 1), {}, conv_plan.sweep_steps, torch.float32),
    "strided": ((2, 12, 40, 41), (20, 12, 3, 3), {"stride": 2, "padding": 1}, conv_plan.sweep_steps, torch.float32),
    "dilated": ((2, 12, 40, 41), (20, 12, 3, 3), {"dilation": (2, 3)}, conv_plan.sweep_steps, torch.float32),
    "grouped": ((2, 12, 30, 41), (20, 3, 3, 3), {"groups": 4}, conv_plan.sweep_steps, torch.float32),
    "depthwise": ((3, 24, 28, 28), (24, 1, 3, 3), {"groups": 24, "padding": 1}, conv_plan.sweep_steps, torch.float32),
    "one dimension": ((3, 12, 700), (20, 12, 9), {"padding": 4}, conv_plan.sweep_steps, torch.float32),
    "three dimensions": ((2, 4, 9, 14, 15), (12, 4, 3, 3, 3), {}, conv_plan.sweep_steps, torch.float32),
    "half": ((2, 12, 30, 30), (20, 12, 3, 3), {}, conv_plan.sweep_steps, torch.bfloat16),
    "double": ((2, 12, 30, 30), (20, 12, 3, 3), {}, conv_plan.sweep_steps, torch.float64),
    "few": ((1, 96, 9, 9), (130, 96, 3, 3), {"padding": 1}, conv_few.few_steps, torch.float32),
    "few, strided, some samples": ((3, 96, 9, 9), (130, 96, 3, 3), {"stride": 2, "padding": 1}, conv_few.few_steps, torch.float32),
    "few, shares of pixels": ((1, 200, 24, 24), (30, 200, 1, 1), {}, conv_few.few_steps, torch.float32),
    "few, shares of several samples": ((2, 32, 36, 40), (24, 32, 1, 1), {}, conv_few.few_steps, torch.float32),
    "few, groups": ((2, 60, 8, 8), (90, 20, 3, 3), {"groups": 3, "padding": 1}, conv_few.few_steps, torch.float32),
    "dots": ((1, 256, 4, 4), (1100, 256, 3, 3), {"stride": 2}, conv_dots.dot_steps, torch.float32),
    "winograd": ((1, 32, 40, 37), (24, 32, 3, 3), {"padding": 1}, winograd.convolve, torch.float32),
    "winograd, several groups of samples": ((12, 64, 32, 32), (64, 64, 3, 3), {"padding": 1}, winograd.convolve, torch.float32),
}  # fmt: skip
TRANSPOSED = {
    "transposed": ((2, 20, 21, 23), (20, 12, 3, 3), {"padding": 1}, None, torch.float32),
    "transposed, strided": ((2, 20, 17, 17), (20, 12, 3, 3), {"stride": 2, "output_padding": 1}, None, torch.float32),
    "transposed, few": ((1, 200, 5, 5), (200, 90, 3, 3), {"stride": 2}, conv_few.few_steps, torch.float32),
    "transposed, winograd": ((2, 32, 32, 32), (32, 32, 3, 3), {"padding": 1}, winograd.convolve, torch.float32),
}  # fmt: skip


def kept_and_used(y, s, r):
    return y, y.relu()


def in_place(y, s, r):
    y.mul_(s)
    y += 1
    return y


def several(y, s, r):
    return y.tanh(), y > 0, (y * s).double()


#: name: (what follows the convolution y; s is one number per channel, r lies as y does), whether other memory is read
EPILOGUES = {
    "relu": (lambda y, s, r: y.relu(), False),
    "affine": (lambda y, s, r: F.relu6(y * s + s), False),
    "residual": (lambda y, s, r: (y * s + r).relu(), True),
    "mask": (lambda y, s, r: torch.where(r > 0, y, 0.0) * 1.25, True),
    "kept": (kept_and_used, False),
    "in place": (in_place, False),
    "several": (several, False),
    "to another type": (lambda y, s, r: (y * 2).half(), False),
}  # fmt: skip


def copies(*arguments):
    return [a.clone() for a in arguments]


def loops_of(compiled):
    """(loops behind convolutions or products, loops by themselves) of the last plan."""
    nodes = compiled._root.plans[-1].plan.nodes
    return sum(len(n.loops) for n in nodes if isinstance(n, Products)), sum(
        isinstance(n, Loop) for n in nodes
    )


@pytest.fixture
def everywhere(monkeypatch):
    """Whatever can be fused is fused."""
    monkeypatch.setattr(fusion_products, "LEAST", 1)
    for name, value in (("LEAST_RUN", 1), ("LONG_RUN", 1), ("MOST_SAMPLES", 1 << 30)):
        monkeypatch.setattr(fusion_pieces, name, value)


@pytest.fixture(params=[1, 2])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def made(form, bias=False):
    """The function that convolves, and its arguments with a number per channel and something like the result."""
    x, w, options, _, dtype = (FORMS | TRANSPOSED)[form]
    dims = len(x) - 2
    where, weight = rand(x, dtype, 1), rand(w, dtype, 2)
    name = f"conv{'_transpose' if form in TRANSPOSED else ''}{dims}d"
    channels = w[1] if form in TRANSPOSED else w[0]
    b = rand((channels,), dtype, 3) if bias else None

    def convolve(x, w):
        return getattr(F, name)(x, w, b, **options)

    like = convolve(where, weight)
    return convolve, (where, weight, rand((channels, *[1] * dims), dtype, 4), rand(like.shape, dtype, 5))


@pytest.mark.parametrize("form", [*FORMS, *TRANSPOSED])
def test_forms(form, everywhere, threads, monkeypatch):
    """Every form with every kind of epilogue, bit for bit."""
    taken = []
    wanted = (FORMS | TRANSPOSED)[form][3]
    if wanted is not None:
        monkeypatch.setattr(*_place_of(wanted), lambda *a, **k: taken.append(1) or wanted(*a, **k))
    convolve, arguments = made(form, bias="few" in form)
    for name, (follow, _) in EPILOGUES.items():

        def function(x, w, s, r, follow=follow):
            return follow(convolve(x, w), s, r)

        compiled = torch.compile(function)
        for _ in range(2):
            assert seen(function(*copies(*arguments))) == seen(compiled(*copies(*arguments))), name
        assert loops_of(compiled) == (1, 0), name
    assert taken or wanted is None or threads == 2  # plans of programs are made once


def _place_of(function):
    """Where the schedules look a form up."""
    from flambeau.backend.cpu import conv

    if function is conv_plan.sweep_steps:
        return conv, "sweep_steps"
    return {conv_few.few_steps: conv_few, conv_dots.dot_steps: conv_dots, winograd.convolve: winograd}[
        function
    ], function.__name__


def test_a_result_that_nobody_sees_takes_no_memory():
    """The convolution writes where the loop's result goes."""
    x, w = rand((5, 4, 30, 30), torch.float32, 1), rand((12, 4, 5, 5), torch.float32, 2)
    compiled, plain = torch.compile(lambda x, w: F.conv2d(x, w).relu()), torch.compile(F.conv2d)
    compiled(x, w), plain(x, w)
    assert loops_of(compiled) == (1, 0)
    assert compiled._root.plans[-1].plan.arena_bytes == plain._root.plans[-1].plan.arena_bytes


def test_small_ones_and_short_pieces_stay_as_they_are():
    for x, w, fused in (
        ((1, 3, 9, 9), (4, 3, 3, 3), 0),
        ((5, 4, 30, 30), (12, 4, 5, 5), 1),
        ((64, 96, 4, 4), (96, 96, 3, 3), 0),
    ):
        compiled = torch.compile(lambda x, w: F.conv2d(x, w, padding=1).relu())
        compiled(rand(x, torch.float32, 1), rand(w, torch.float32, 2))
        assert loops_of(compiled) == (fused, 1 - fused)


def test_what_cannot_follow_a_convolution(everywhere):
    """Operands in another order, results of another layout, and loops that write what the convolution reads."""
    x, w = rand((2, 16, 40, 40), torch.float32, 1), rand((16, 16, 3, 3), torch.float32, 2)
    r = rand((40, 40, 2, 16), torch.float32, 3)

    def overwritten(x, w, r):
        y = F.conv2d(x, w, padding=1)
        x += y
        return x

    for function in (
        lambda x, w, r: F.conv2d(x, w, padding=1) + r.permute(2, 3, 0, 1),
        lambda x, w, r: r.copy_(F.conv2d(x, w, padding=1).permute(2, 3, 0, 1)),
        lambda x, w, r: (lambda y: y[1:] + y[:-1])(F.conv2d(x, w, padding=1)),
        overwritten,
    ):
        compiled = torch.compile(function)
        for _ in range(2):
            assert seen(function(*copies(x, w, r))) == seen(compiled(*copies(x, w, r)))
        assert loops_of(compiled) == (0, 1)


def test_integers_take_the_direct_way(everywhere):
    x, w = rand((2, 16, 20, 20), torch.int64, 1), rand((16, 16, 3, 3), torch.int64, 2)

    def function(x, w):
        return F.conv2d(x, w) * 2

    compiled = torch.compile(function)
    assert seen(function(x, w)) == seen(compiled(x, w))
    assert loops_of(compiled) == (0, 1)


def test_gradients(everywhere, threads):
    """The derivative of an activation follows the convolution that gives its gradient."""

    def function(x, u, v):
        u, v = u.detach().requires_grad_(), v.detach().requires_grad_()
        h = F.conv2d(x, u, padding=1).relu()
        (F.conv2d(h, v, padding=1) + h).square().sum().backward()
        return u.grad, v.grad

    arguments = [
        rand(s, torch.float32, k) for k, s in enumerate([(3, 8, 24, 24), (12, 8, 3, 3), (12, 12, 3, 3)])
    ]
    compiled = torch.compile(function)
    for _ in range(2):
        assert seen(function(*copies(*arguments))) == seen(compiled(*copies(*arguments)))
    assert (
        sum(len(n.loops) for p in compiled._root.plans for n in p.plan.nodes if isinstance(n, Products)) > 1
    )


def test_inference_of_a_block():
    """Batch normalisation in inference, activations and dropout scaling behind convolutions."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(3, 16, 3, padding=1), torch.nn.BatchNorm2d(16), torch.nn.ReLU(),
        torch.nn.Conv2d(16, 16, 3, padding=1, groups=16), torch.nn.BatchNorm2d(16), torch.nn.SiLU(),
        torch.nn.Conv2d(16, 32, 1), torch.nn.BatchNorm2d(32), torch.nn.Hardswish(), torch.nn.Dropout(0.3),
    )  # fmt: skip
    for one in model:
        if isinstance(one, torch.nn.BatchNorm2d):
            one.running_mean.normal_()
            one.running_var.uniform_(0.5, 2)
    x = rand((4, 3, 60, 60), torch.float32, 1)
    with torch.no_grad():
        compiled = torch.compile(model.eval().forward)
        assert seen(model(x)) == seen(compiled(x)) == seen(compiled(x))
    assert loops_of(compiled)[0] == 3


def test_explanation():
    compiled = torch.compile(lambda x, w: F.conv2d(x, w).relu())
    compiled(rand((5, 4, 30, 30), torch.float32, 1), rand((12, 4, 5, 5), torch.float32, 2))
    (plan,) = compiled.explain().plans
    assert plan.kernels[0].title == "convolution · relu"
    assert "convolution with epilogue [5, 12, 26, 26]: relu" in str(compiled.explain())


@pytest.mark.parametrize("seed", range(25))
def test_random_convolutions(seed, everywhere):
    """Random shapes and options, with random loops behind them."""
    check(seed)


def check(seed):
    r = random.Random(seed)
    dims = r.choice((1, 2, 2, 2, 3))
    groups = r.choice((1, 1, 1, 2, 8))
    channels, rows = groups * r.randrange(1, 40), groups * r.randrange(1, 40)
    side = {1: 400, 2: 40, 3: 12}[dims]
    sizes = [r.randrange(4, side) for _ in range(dims)]
    kernel = [min(r.choice((1, 2, 3, 3, 3, 5)), n) for n in sizes]
    transposed = r.random() < 0.3
    options = {
        "groups": groups,
        "stride": r.choice((1, 1, 2, 3)),
        "padding": r.choice((0, 1, 1)),
        "dilation": r.choice((1, 1, 2)),
    }
    name = f"conv{'_transpose' if transposed else ''}{dims}d"
    dtype = r.choice((torch.float32, torch.float32, torch.float32, torch.float64, torch.bfloat16))
    x = rand((r.choice((1, 1, 2, 5, 16)), channels, *sizes), dtype, seed)
    w = rand(
        (channels, rows // groups, *kernel) if transposed else (rows, channels // groups, *kernel),
        dtype,
        seed + 1,
    )
    b = rand((rows,), dtype, 3) if r.random() < 0.5 else None
    try:
        like = getattr(F, name)(x, w, b, **options)
    except RuntimeError:
        return
    s, other = rand((rows, *[1] * dims), dtype, 5), rand(like.shape, dtype, 6)
    follows = [r.choice(list(EPILOGUES.values()))[0] for _ in range(r.randrange(1, 3))]

    def function(x, w, s, other):
        y = getattr(F, name)(x, w, b, **options)
        return [follow(y, s, other) for follow in follows]

    compiled = torch.compile(function)
    before = torch.get_num_threads()
    torch.set_num_threads(r.choice((1, 2)))
    try:
        for _ in range(2):
            assert seen(function(*copies(x, w, s, other))) == seen(compiled(*copies(x, w, s, other)))
    finally:
        torch.set_num_threads(before)
