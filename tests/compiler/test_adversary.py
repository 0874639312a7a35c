"""Programs made to prove `compile` wrong: what is fused, threads, interrupts. Those on `freeze`: test_adversary_frozen."""

from __future__ import annotations

import gc
import threading
import time
import warnings
import weakref

import pytest

import flambeau as torch
from flambeau import nn
from flambeau.backend.cpu import planning, recording, runtime, streaming
from tests.compiler.adversary import check, facts, frozen, normal, values

F = nn.functional
SIDE = 100  # squares of this side are large enough to be fused with products and reductions
ROWS: list = []


def row(make=None, calls=8):
    """Add a program to the table."""
    if make is None:
        return lambda given: row(given, calls)
    ROWS.append(pytest.param(make, calls, id=make.__name__))
    return make


# -- fusion --------------------------------------------------------------------------------------------------

REDUCTIONS = [
    lambda y: y.sum(), lambda y: y.sum(0), lambda y: y.mean(1, keepdim=True), lambda y: y.max(1), lambda y: y.argmax(0),
    lambda y: y.amin(0), lambda y: y.var(1), lambda y: y.var(0), lambda y: y.std(unbiased=False), lambda y: y.norm(),
    lambda y: y.norm(1, dim=1), lambda y: y.norm(float("inf"), dim=0), lambda y: y.prod(1), lambda y: (y > 1).any(1),
    lambda y: y.logsumexp(1), lambda y: y.softmax(0), lambda y: y.nansum(1), lambda y: y.cumsum(1), lambda y: y.median(1),
    lambda y: y.mean(dtype=torch.float64), lambda y: (y > 0).sum(0), lambda y: torch.aminmax(y, dim=1),
]  # fmt: skip


def reductions(prepare, dtype=torch.float32):
    def make(wrap):
        fs = [
            wrap(lambda x, z, reduce=reduce: (lambda y: (reduce(y), x, y.mean()))(prepare(x, z)))
            for reduce in REDUCTIONS
        ]
        return lambda k: [
            f(normal(SIDE, SIDE, seed=k, dtype=dtype), normal(SIDE, SIDE, seed=9, dtype=dtype)) for f in fs
        ]

    return make


@row(calls=4)
def reductions_of_what_is_written_in_place(wrap):
    return reductions(lambda x, z: x.mul_(1.5).add_(z))(wrap)


@row(calls=4)
def reductions_of_transposed_halves(wrap):
    return reductions(lambda x, z: x.t() * z + 1, torch.bfloat16)(wrap)


@row(calls=4)
def reductions_of_special_values(wrap):
    special = torch.tensor([float("nan"), float("inf"), -0.0, -float("inf"), 0.0]).repeat(SIDE // 5)
    return reductions(lambda x, z: torch.where(z > 1, special, x) * -0.0 + special[:, None] * (x > 2))(wrap)


OVERLAPS = [
    lambda x: x[1:].add_(x[:-1]), lambda x: x[:-1].add_(x[1:]), lambda x: x[:, 1:].add_(x[:, :-1]), lambda x: x.add_(x.t()),
    lambda x: x.diagonal().mul_(x[0]), lambda x: x.add_(x.diagonal()), lambda x: x.mul_(x[3]), lambda x: x.sub_(x[:, 2:3]),
    lambda x: x.mul_(x[0, 0]), lambda x: x.add_(x.flip(0)), lambda x: x[::2].add_(x[1::2]), lambda x: x.cumsum_(0),
    lambda x: x.view(-1)[::2].mul_(x.view(-1)[1::2]), lambda x: x[:60, :60].add_(x[40:, 40:]),
    lambda x: x.as_strided((99, 50), (100, 2), 1).mul_(x.as_strided((99, 50), (100, 2), 3)),
    lambda x: x.add_(x.as_strided((100, 100), (1, 100), 0)), lambda x: x.copy_(torch.where(x > 0, x.t(), x)),
    lambda x: x.masked_fill_(x.t() > 0, 5.0), lambda x: x[1:].copy_(x[:-1].clone()),
]  # fmt: skip


@row(calls=4)
def writes_that_overlap_what_is_read(wrap):
    def one(x, w, change):
        x.mul_(1.5)
        change(x)
        y = x * 2 - w
        change(y)
        return x.add_(y), y, x.sum(1)

    fs = [wrap(lambda x, w, change=change: one(x, w, change)) for change in OVERLAPS]

    def attempt(f, k):
        try:
            return f(normal(SIDE, SIDE, seed=k), normal(SIDE, SIDE, seed=9))
        except RuntimeError as error:
            return str(error).splitlines()[0]

    return lambda k: [attempt(f, k) for f in fs]


def add_product_to_weights(x, w):
    w -= 0.1 * (x.t() @ w)
    return w + 0


def halves_use_one_another(x, w):
    y = torch.cat([x, w])
    y[:SIDE] += y[SIDE:] @ w
    y[SIDE:] -= (y[:SIDE] @ w).relu()
    return y, y.sum(0)


def product_written_through_views(x, w):
    y = x @ w
    y.t().mul_(x)
    y[:, :50] += y[:, 50:]
    return y


def products_before_and_after_a_write(x, w):
    y = x @ w
    w.add_(1)
    z = x @ w
    x.copy_(z)
    return y, z, x @ w, y.relu()


def equal_products_of_which_one_is_written(x, w):
    a, b = x @ w, x @ w
    a += 1
    return a, b, b.relu(), (x + w).tanh() - (x + w).tanh()


def equal_sums_of_which_the_second_is_written(x, w):
    a, b = x.sum(1), x.sum(1)
    b.mul_(0)
    v, u = torch.zeros(SIDE), torch.zeros(SIDE)
    v += a
    return a, b, v, u


def partly_written(x, w):
    y = torch.empty(SIDE, SIDE)
    y[:] = x
    y[:, ::2] = w[:, ::2]
    y[3:] *= 2
    return y.sum(0), y.view(-1)[5:50].mul_(3)


PRODUCTS = [
    add_product_to_weights, halves_use_one_another, product_written_through_views, products_before_and_after_a_write,
    equal_products_of_which_one_is_written, equal_sums_of_which_the_second_is_written, partly_written,
    lambda x, w: x + (x @ w).relu(), lambda x, w: x.t() + (x @ w), lambda x, w: x.diagonal() * (x @ w) - x[:, :1],
    lambda x, w: x.add_(x @ w).mul_(2), lambda x, w: torch.mul(x @ w, 2, out=w), lambda x, w: w.addmm_(x, w.clone()).tanh(),
    lambda x, w: ((y := x @ w), (y > 0), (y * 10).to(torch.int32), y.half() * 2, (y.bfloat16() + 1).float(), y.double()),
    lambda x, w: F.dropout((x @ w).masked_fill(w > 0.5, -1e9), 0.3),
]  # fmt: skip


@row(calls=4)
def products_and_what_follows(wrap):
    fs = [wrap(f) for f in PRODUCTS]
    return lambda k: [(f(x := normal(SIDE, SIDE, seed=k), w := normal(SIDE, SIDE, seed=9)), x, w) for f in fs]


@row(calls=4)
def products_of_odd_shapes(wrap):
    shapes = [((1, 64), (64, 9000)), ((9000, 4), (4, 1)), ((SIDE, 0), (0, SIDE)), ((SIDE, 1), (1, SIDE)), ((0, 5), (5, 9)),
              ((33, 17), (17, 257)), ((2, 1, 50, 6), (1, 3, 6, 70)), ((3, 50, 6), (6, 70)), ((6,), (6, 9000)),
              ((0, 5, 6), (6, 7))]  # fmt: skip

    @wrap
    def f(x, w):
        y = x @ w
        (y.tanh() * y).sum().backward()
        return (y * 2 + 1).relu().detach(), x.grad, w.grad

    return lambda k: [
        f(normal(*a, seed=k).requires_grad_(), normal(*b, seed=9).requires_grad_()) for a, b in shapes
    ]


@row(calls=4)
def sizes_around_vectors(wrap):
    @wrap
    def f(x, z):
        return (
            ((x * z + 1).tanh() - x).sum(),
            (x > z).any(),
            (x * 2 - z)[1:] + x[:-1],
            (x.double() * z).float(),
            x.half() + 1,
        )

    sizes = (1, 2, 7, 8, 9, 31, 33, 64, 70, 8191, 8192, 8193)
    return lambda k: [f(normal(n, seed=k), normal(n, seed=9)) for n in sizes]


@row(calls=5)
def results_written_past_the_caches_by_some_threads(wrap):
    def streams(nbytes):
        return nbytes >= 1 << 15

    @wrap
    def f(x, z, w):
        return (
            x * z + 1,
            x > z,
            (x + z).half(),
            x[:, 1:] + z[:, :-1],
            x.t() * 2,
            F.gelu(x @ w),
            z.add_(x).softmax(1),
        )

    def call(k):
        before, threads = streaming.worthwhile, torch.get_num_threads()
        streaming.worthwhile = streams
        torch.set_num_threads(k % 3 + 1)
        try:
            return f(normal(129, 257, seed=k), normal(129, 257, seed=9), normal(257, 65, seed=7))
        finally:
            streaming.worthwhile = before
            torch.set_num_threads(threads)

    return call


@pytest.mark.parametrize(("make", "calls"), ROWS)
def test_it_is_the_same(make, calls):
    check(make, calls)


# -- threads and interrupts ----------------------------------------------------------------------------------


def slow_chain(x):
    for _ in range(6):
        x = (x * 1.0001 + 0.1).cumsum(0) * 0.5
    return x


def test_another_thread_runs_what_is_recorded_while_the_function_ends():
    inputs = [torch.rand(200, 600) for _ in range(4)]
    expected = [(y := slow_chain(x), (y + 1).sum().item()) for x in inputs]
    count = torch.zeros(200, 600)

    @torch.compile
    def f(x, found, wait):
        count.add_(1)
        y = slow_chain(x)
        thread = threading.Thread(target=lambda: found.append((y + 1).sum().item()))
        thread.start()
        time.sleep(wait)
        return y, thread

    for k in range(40):
        found: list = []
        y, thread = f(inputs[k % 4], found, k % 10 * 0.0005)
        assert torch.equal(y, expected[k % 4][0])
        thread.join()
        assert found == [expected[k % 4][1]]
        assert count[0, 0].item() == k + 1
    assert runtime.recorder[0] == 0


def test_threads_that_share_functions_and_tensors():
    table, weight = normal(20, 64), normal(64, 300)
    indices, inputs = (
        [torch.arange(40) * k % 20 for k in range(1, 5)],
        [normal(50, 64, seed=k) for k in range(4)],
    )

    def looks_up(i):
        return F.embedding(i, table) @ weight, F.embedding(i + 0, table * 2)

    def product(x):
        return ((x * 2 + 1).tanh() @ weight).sum(0)

    def looks(x):
        return x * x.sum().item()

    cases = [(looks_up, indices), (product, inputs), (looks, inputs)]
    expected = [[facts(f(x)) for x in xs] for f, xs in cases]
    shared = [[wrap(f) for wrap in (torch.compile, frozen)] for f, _ in cases]
    wrong: list = []

    def train(k):
        step, state = training_step(nn.Linear(64, 3))
        step = (torch.compile, frozen)[k % 2](step)
        for r in range(20):
            step(inputs[r % 4])
        return facts(state())

    def work(number):
        try:
            for k in range(40):
                case, x = (number + k) % 3, k % 4
                if k == 20:
                    shared[case][0].reset()
                if facts(shared[case][k // 4 % 2](cases[case][1][x])) != expected[case][x]:
                    wrong.append((number, k))
            if train(number) != trained:
                wrong.append((number, "training"))
        except BaseException as error:
            wrong.append(error)

    trained = train(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not wrong
    assert runtime.recorder[0] == 0


def training_step(model):
    torch.manual_seed(1)
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn(p.shape))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)

    def step(x):
        optimizer.zero_grad()
        model(x).square().mean().backward()
        optimizer.step()

    return step, lambda: values(model.parameters())


@pytest.mark.parametrize("looks", [False, True])
def test_an_interrupt_while_a_plan_is_made_loses_nothing(monkeypatch, looks):
    make_plan, waiting, seen, count = planning.make_plan, [1], {}, torch.zeros(3)

    def interrupted(trace):
        if waiting:
            waiting.pop()
            raise KeyboardInterrupt
        return make_plan(trace)

    monkeypatch.setattr(planning, "make_plan", interrupted)

    @torch.compile
    def f(x):
        count.add_(1)
        seen["y"] = x * 2
        return seen["y"].sum().item() if looks else seen["y"]

    with pytest.raises(KeyboardInterrupt):
        f(torch.ones(3))
    assert seen["y"].tolist() == [2.0] * 3
    assert count.tolist() == [1.0] * 3
    f(torch.ones(3))
    assert count.tolist() == [2.0] * 3
    assert runtime.recorder[0] == 0


def test_an_interrupt_after_a_plan_was_made(monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(recording, "LOG", [interrupted])
    f = torch.compile(lambda x: x * 3 + 1)
    with pytest.raises(KeyboardInterrupt):
        f(torch.ones(3))
    recording.LOG.clear()
    gc.collect()
    assert f(torch.ones(3)).tolist() == [4.0] * 3


def test_what_runs_while_a_recording_is_forgotten():
    class Computes:
        def __del__(self):
            found.append((torch.ones(3) * 2 + 1).tolist())

    found: list = []

    @torch.compile
    def f(x):
        y = x + 1
        reference = weakref.ref(y, lambda _: later.append((torch.ones(4) * 3).sum()))
        y.keeps = Computes()
        z = y * 3
        del y
        return z + 1, reference

    later: list = []
    for k in range(6):
        z, _ = f(torch.full((3,), float(k)))
        assert z.tolist() == [(k + 1) * 3 + 1.0] * 3
        z.keeps = Computes()
    del z
    assert found == [[3.0] * 3] * 12
    assert [x.item() for x in later] == [12.0] * 6


def test_a_function_that_is_forgotten_while_it_runs():
    @torch.compile
    def f(x):
        y = x * 2 + 1
        f.reset()
        gc.collect()
        z = y.sum()
        return y * z.item()

    for _ in range(4):
        assert f(torch.ones(3)).tolist() == [27.0] * 3


@pytest.mark.parametrize("use", [lambda x: x + 1, lambda x: torch.cat([x, x]), lambda x: x.numpy(), lambda x: x.tolist(),
                                 lambda x: x.add_(1), lambda x: x.data_ptr()])  # fmt: skip
def test_what_no_plan_could_be_made_for_has_no_data_to_read(monkeypatch, use):
    def fails(trace):
        raise KeyError("no plan")

    found = []
    f = torch.compile(lambda x: found.append(x * 2))
    with monkeypatch.context() as patch:
        patch.setattr(planning, "make_plan", fails)
        with pytest.raises(KeyError):
            f(torch.ones(3))
    with pytest.raises(RuntimeError, match="This tensor has no data"):
        use(found[0])
    f(torch.ones(3))
    assert found[1].tolist() == [2.0, 2.0, 2.0]
