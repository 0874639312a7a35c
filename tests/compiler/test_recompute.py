"""What is made again instead of being kept has the same bits, takes less memory, and is left alone where it could differ."""

from __future__ import annotations

import numpy
import pytest

import flambeau as torch
from flambeau.backend.cpu import planning, recompute
from flambeau.nn import functional as F
from tests.compiler.fuzz_check import rand
from tests.compiler.test_fusion_products import copies, f32

ROWS, WIDTH = 24, 32
X, W, V = f32(ROWS, WIDTH), f32(WIDTH, WIDTH, seed=2), f32(WIDTH, WIDTH, seed=3)
WIDE = f32(WIDTH, 64 * WIDTH, seed=4)


@pytest.fixture
def anywhere(monkeypatch):
    """Plans of any size are looked at, and everything that frees memory where most is alive is worth its work."""
    for name in ("LEAST", "LEAST_IN_ALL", "ENOUGH", "SHARE"):
        monkeypatch.setattr(recompute, name, 1)


def most_memory(x, wide):
    """A number for which a plan's memory is largest."""
    return (x @ wide).exp().cumsum(0)[-1].sum()


def activation(x, w, v, wide):
    made = x @ w
    active = F.gelu(made)
    out = active @ v
    peak = most_memory(out, wide)
    return active.t() @ out * peak, made.sum(0)


def offset_views(x, w, v, wide):
    made = (x @ w)[3:, 1:]
    active = F.gelu(made) * 2
    peak = most_memory(active[:, :4] @ v[:4], wide)
    return active[2:].t() @ active[2:] + peak, active[::2, 1:3].sum(), made.sum(0)


def normalised(x, w, v, wide):
    made = x @ w
    rows = F.layer_norm(made, (WIDTH,), v[0], v[1])
    out = rows @ v
    peak = most_memory(out, wide)
    return rows.t() @ out * peak, made.sum(0)


def chain(x, w, v, wide):
    """The relu is made again of what is made again."""
    made = x @ w
    rows = F.relu(F.layer_norm(made, (WIDTH,)))
    out = rows @ v
    peak = most_memory(out, wide)
    return rows.t() @ out * peak, made.sum(0)


def several_gaps(x, w, v, wide):
    made = x @ w
    active = made.sigmoid() * 3
    first = most_memory(active @ v, wide)
    second = most_memory(active @ w * first, wide)
    return active.t() @ made * second, active.sum(1)


def masked(x, w, v, wide):
    """The random mask is kept, what it masks is not."""
    torch.manual_seed(3)
    w, v = w.clone().requires_grad_(), v.clone().requires_grad_()
    active = F.dropout(F.gelu(x @ w), 0.4)
    loss = ((active @ v) @ wide).square().mean()
    loss.backward()
    return w.grad, v.grad, loss


def trained(x, w, v, wide):
    """A forward pass, its gradients, and a step."""
    w, v = w.clone().requires_grad_(), v.clone().requires_grad_()
    optimizer = torch.optim.AdamW([w, v], lr=0.1)
    rows = F.layer_norm(x @ w, (WIDTH,))
    active = F.gelu(rows @ v)
    loss = ((active @ w) @ wide).square().mean()
    loss.backward()
    optimizer.step()
    return w, v, w.grad, v.grad, loss


AGAIN = [activation, offset_views, normalised, chain, several_gaps, masked, trained]


def written_between(x, w, v, wide):
    made = x @ w
    active = F.gelu(made)
    out = active @ v
    made.mul_(2)
    peak = most_memory(out, wide)
    return active.t() @ out * peak, made.sum(0)


def parameter_written(x, w, v, wide):
    made = x @ w
    active = made * v[0]
    out = active @ v
    v.mul_(0.5)
    peak = most_memory(out, wide)
    return active.t() @ out * peak, made.sum(0), v


def result_written(x, w, v, wide):
    made = x @ w
    active = F.gelu(made)
    active[0].zero_()
    out = active @ v
    peak = most_memory(out, wide)
    return active.t() @ out * peak, made.sum(0)


def in_use(x, w, v, wide):
    made = x @ w
    active = F.gelu(made)
    out = active @ v
    peak = most_memory(out, wide)
    return active.t() @ out * peak, made.sum(0), active


def inputs_gone(x, w, v, wide):
    active = (x @ w) * (x @ v)
    out = active @ v
    peak = most_memory(out, wide)
    return active.t() @ out * peak


def product(x, w, v, wide):
    made = x @ w
    out = made @ v
    peak = most_memory(out, wide)
    return made.t() @ out * peak


KEPT = [written_between, parameter_written, result_written, in_use, inputs_gone, product]


def run(function, *arguments):
    """Results of a compiled function's second call, and the nodes and the memory of its plan."""
    step = torch.compile(function)
    step(*copies(arguments))
    found = step(*copies(arguments))
    return found, step


def plan_of(step):
    return max((planning.make_plan(one.trace) for one in step._root.plans), key=lambda plan: len(plan.nodes))


def again(step) -> list:
    return [node for node in plan_of(step).nodes if isinstance(node, recompute.AGAIN)]


def bits(results) -> list[bytes]:
    results = results if isinstance(results, tuple) else (results,)
    return [one.detach().numpy().tobytes() for one in results]


@pytest.mark.parametrize("function", AGAIN, ids=lambda f: f.__name__)
def test_made_again(anywhere, monkeypatch, function):
    arguments = X, W, V, WIDE
    expected = bits(function(*copies(arguments)))
    found, step = run(function, *arguments)
    assert bits(found) == expected
    assert again(step)
    with_less = plan_of(step).arena_bytes
    monkeypatch.setattr(recompute, "LEAST_IN_ALL", 1 << 60)
    assert not again(step)
    assert with_less < plan_of(step).arena_bytes


@pytest.mark.parametrize("function", KEPT, ids=lambda f: f.__name__)
def test_kept(anywhere, function):
    expected = bits(function(*copies((X, W, V, WIDE))))
    found, step = run(function, X, W, V, WIDE)
    assert bits(found) == expected
    assert not again(step)


def test_memory_of_others(anywhere):
    def function(x, w, v, wide):
        return activation(x, w, v, wide)

    shared = numpy.array(V.numpy())
    expected = bits(function(X, W, torch.from_numpy(shared), WIDE))
    step = torch.compile(function)
    for _ in range(2):
        assert bits(step(X, W, torch.from_numpy(shared), WIDE)) == expected
    assert not again(step)


def test_one_of_several_results_in_use(anywhere):
    """The operator runs again as a whole, though what it makes besides is kept from its first run."""

    def function(x, w, v, wide):
        made = x @ w
        rows, mean, spread = torch.native_layer_norm(made, (WIDTH,), None, None, 1e-5)
        out = rows @ v
        peak = most_memory(out, wide)
        return rows.t() @ out * peak, made.sum(0), mean, spread

    expected = bits(function(X, W, V, WIDE))
    found, step = run(function, X, W, V, WIDE)
    assert bits(found) == expected
    assert [type(node) for node in again(step)] == [recompute.ProgramAgain]


def test_convolutions(anywhere):
    """Normalised channels and what follows them are made again of what the convolution made."""

    def function(x, first, second):
        first, second = first.clone().requires_grad_(), second.clone().requires_grad_()
        made = F.relu(F.batch_norm(F.conv2d(x, first, padding=1), None, None, training=True))
        loss = F.conv2d(made, second, padding=1).relu().square().mean()
        loss.backward()
        return first.grad, second.grad, loss

    x, first, second = (
        rand((2, 3, 12, 12), torch.float32, 1),
        rand((8, 3, 3, 3), torch.float32, 2),
        rand((8, 8, 3, 3), torch.float32, 3),
    )
    expected = bits(function(x, first, second))
    found, step = run(function, x, first, second)
    assert bits(found) == expected
    assert len(again(step)) >= 2


def test_small_plans_are_left_alone(monkeypatch):
    monkeypatch.setattr(recompute, "Search", None)
    expected = bits(activation(X, W, V, WIDE[:, :64]))
    assert bits(run(activation, X, W, V, WIDE[:, :64])[0]) == expected


def test_large_plans_are_not():
    def function(x, w, v):
        made = x @ w
        active = F.gelu(made)
        out = active @ v
        peak = (out @ w).exp().cumsum(0)[-1].sum()
        return active.t() @ out * peak, made.sum(0)

    x, w = f32(600, 700), f32(700, 700, seed=2)
    _, step = run(function, x, w, w)
    assert [type(node) for node in again(step)] == [recompute.LoopAgain]


def test_little_work_only(anywhere, monkeypatch):
    monkeypatch.setattr(recompute, "SHARE", 0)
    assert not again(run(activation, X, W, V, WIDE)[1])


def test_explained(anywhere):
    _, step = run(activation, X, W, V, WIDE)
    plan = step.explain().plans[0]
    kernel = next(k for k in plan.kernels if "computed again" in k.fused)
    assert kernel.title == "gelu"
    assert "instead of being kept" in " ".join(kernel.why_not.values())
    assert "computed again just before it is read" in str(step.explain())
