"""Sizes that keep changing: what runs for the first time may run without a plan, and means the same."""

from __future__ import annotations

import pytest

import flambeau as torch
from flambeau import nn
from flambeau.backend.cpu import jit, recording

F = nn.functional


def training(wrap=lambda f: f):
    torch.manual_seed(2)
    model = nn.Sequential(
        nn.Conv1d(2, 4, 3, padding=1), nn.GELU(), nn.Dropout(0.2), nn.Flatten(0, 1), nn.LayerNorm(6)
    )
    head = nn.Linear(6, 3)
    optimizer = torch.optim.Adam([*model.parameters(), *head.parameters()], lr=0.05)

    @wrap
    def step(x):
        optimizer.zero_grad()
        parts = model(x).split(2)
        scores = head(torch.cat([p * (k + 1) for k, p in enumerate(parts)]))
        loss = F.cross_entropy(scores, torch.arange(len(scores)) % 3)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return loss, scores.detach()[::2]

    return step, [*model.parameters(), *head.parameters()]


SIZES = [3, 5, 3, 4, 6, 5, 3, 3, 7, 1, 4, 2, 5]


@pytest.mark.parametrize("threads", [1, 2])
def test_training_is_the_same(threads):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        plain, wanted = training()
        step, found = training(lambda f: torch.compile(f, dynamic=True))
        for n in SIZES:
            x = torch.linspace(-1, 1, n * 12).view(n, 2, 6)
            torch.manual_seed(n)
            expected = plain(x)
            torch.manual_seed(n)
            assert [t.tolist() for t in step(x)] == [t.tolist() for t in expected]
            assert [p.tolist() for p in found] == [p.tolist() for p in wanted]
    finally:
        torch.set_num_threads(before)


def test_a_plan_is_made_when_a_size_comes_again():
    f = torch.compile(lambda x: (x * 2 + 1).sum(0) * 3, dynamic=True)
    plans = []
    for n in (3, 3, 3, 4, 5, 4, 3, 5):
        assert f(torch.ones(n)).item() == 9 * n
        plans.append((len(f._root.plans), len(f._root.once)))
    assert plans == [(0, 1), (1, 0), (1, 0), (1, 1), (1, 2), (2, 1), (2, 1), (3, 0)]
    assert [one.runs for one in f._root.plans] == [3, 1, 1]
    assert f.explain().unplanned == 0


def test_by_default_that_is_so_once_plans_hardly_come_again():
    f = torch.compile(lambda x: (x * 2).sum())
    for n in range(1, recording.LOOKED_AT + 4):
        assert f(torch.ones(n)).item() == 2 * n
    assert (len(f._root.plans), len(f._root.once)) == (recording.LOOKED_AT, 3)
    assert "3 recordings ran once, without a plan" in str(f.explain())
    steady, never = (
        torch.compile(lambda x: (x * 2).sum()),
        torch.compile(lambda x: (x * 2).sum(), dynamic=False),
    )
    for n in range(1, recording.LOOKED_AT + 4):
        for _ in range(2):
            steady(torch.ones(n))
        never(torch.ones(n))
    assert not steady._root.once
    assert not never._root.once


def test_nothing_is_compiled_for_a_new_size():
    f = torch.compile(lambda x, w: F.softmax(x @ w, -1).sum(0), dynamic=True)
    for n in (64, 32, 64):
        f(torch.ones(n, 24), torch.ones(24, 16))
    before = jit.counts["compiled"]
    for n in (33, 48, 57, 33):
        f(torch.ones(n, 24), torch.ones(24, 16))
    assert jit.counts["compiled"] == before


def test_what_dies_and_what_is_kept():
    kept = []

    def f(x):
        y = x * 2
        kept.append(y.view(-1)[1:])
        del y
        z = x + 1
        z.mul_(3)
        for _ in range(3):
            z = z.t() @ z
        x.add_(1)
        return z, x

    for wrap in (lambda f: f, lambda f: torch.compile(f, dynamic=True)):
        g = wrap(f)
        for n in (2, 3, 2):
            x = torch.arange(n * n).float().view(n, n) / 7
            kept.append(g(x))
            kept.append(x)
    half = len(kept) // 2

    def values(x):
        return x.tolist() if isinstance(x, torch.Tensor) else [y.tolist() for y in x]

    assert list(map(values, kept[:half])) == list(map(values, kept[half:]))


def test_a_refused_value_is_an_error_at_its_line():
    table = torch.arange(6.0).view(3, 2)
    f = torch.compile(
        lambda index: (table * 2).add_(1)[0].sum() + F.embedding(index, table).sum(), dynamic=True
    )
    for n in range(2, 5):
        with pytest.raises(IndexError, match="index out of range"):
            f(torch.full((n,), 3))
        assert f(torch.full((n,), 1)).item() == 4.0 + 5.0 * n


def test_large_results_get_a_plan_at_once():
    f = torch.compile(lambda x: ((x + 1) * 2).relu().sum(), dynamic=True)
    n = recording.MOST_BYTES // 4 + 16
    assert f(torch.zeros(n)).item() == 2.0 * n
    assert (len(f._root.plans), len(f._root.once)) == (1, 0)
