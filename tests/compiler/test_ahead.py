"""A call that could refuse its input does not end a recording where the input is seen to be good; all else stays as it was."""

from __future__ import annotations

import numpy
import pytest

import flambeau as torch
from flambeau import nn
from flambeau.nn import functional as F
from flambeau.optim import AdamW


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.scores = nn.Embedding(11, 6), nn.Linear(6, 5)

    def forward(self, x):
        return self.scores(self.table(x).mean(1))


def made():
    torch.manual_seed(0)
    model = Model()
    return model, AdamW(model.parameters(), lr=0.1)


def step_of(model, optimizer, **options):
    def step(x, y):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y, **options)
        loss.backward()
        optimizer.step()
        return loss

    return step


def batch(seed: int, rows: int = 8):
    torch.manual_seed(seed)
    return torch.randint(0, 11, (rows, 3)), torch.randint(0, 5, (rows,))


def state(model) -> list[bytes]:
    return [p.detach().clone().numpy().tobytes() for p in model.parameters()]


@pytest.mark.parametrize("options", [{}, {"ignore_index": 2}, {"label_smoothing": 0.1, "reduction": "sum"}])
def test_one_plan_for_a_step(options):
    (eager, first), (compiled, second) = made(), made()
    plain, step = step_of(eager, first, **options), torch.compile(step_of(compiled, second, **options))
    for k in range(4):
        x, y = batch(k)
        y[0] = options.get("ignore_index", int(y[0]))
        assert plain(x, y).item() == step(x, y).item()
        assert state(eager) == state(compiled)
    refusing = [[e.refuses for e in one.trace.entries].count(True) for one in step._root.plans]
    assert [one.runs for one in step._root.plans] == [1, 3]  # with the optimiser's first step, and without
    assert refusing == [3, 3]


def test_refused_where_eager_refuses():
    (eager, first), (compiled, second) = made(), made()
    plain, step = step_of(eager, first), torch.compile(step_of(compiled, second))
    for k in range(9):
        x, y = batch(k)
        bad = {3: y, 5: x}.get(k)
        if bad is None:
            assert plain(x, y).item() == step(x, y).item()
        else:
            bad.view(-1)[-1] = 77
            texts = []
            for one in (plain, step):
                with pytest.raises(IndexError) as caught:
                    one(x, y)
                texts.append(str(caught.value).split("\n  in ")[0])
            assert texts[0] == texts[1]
        assert state(eager) == state(compiled)


def test_what_came_before_has_happened():
    count = torch.zeros(())

    @torch.compile
    def step(x, y):
        count.add_(1)
        loss = F.cross_entropy(x, y)
        count.add_(10)
        return loss

    x, y = torch.ones(4, 5), torch.tensor([0, 1, 2, 3])
    for _ in range(3):
        step(x, y)
    with pytest.raises(IndexError):
        step(x, torch.tensor([0, 1, 2, 5]))
    assert count.item() == 34


@pytest.mark.parametrize("how", ["computed", "written", "written through a view", "of numpy"])
def test_indices_that_are_not_there_yet(how):
    def step(x, y, table):
        if how == "computed":
            y = y + 1
        elif how == "written":
            y.add_(1)
        elif how == "written through a view":
            y[1:].add_(1)
        return F.embedding(y, table).sum(), x * 2

    compiled = torch.compile(step)
    x, table = torch.ones(3), torch.arange(12.0).view(6, 2)
    for last in (3, 3, 4, 5 + (how == "of numpy"), 3):
        results = []
        for function in (step, compiled):
            array = numpy.array([1, 2, last])
            y = torch.from_numpy(array) if how == "of numpy" else torch.tensor(array.tolist())
            try:
                results.append([one.tolist() for one in function(x, y, table)])
            except IndexError as error:
                results.append(str(error).split("\n")[0])
        assert results[0] == results[1]
    assert isinstance(results[1], list)


def test_written_after_it_was_seen():
    def step(y, table):
        first = F.embedding(y, table)
        y.fill_(0)
        second = F.embedding(y, table)
        y.fill_(3)
        return first, second, F.embedding(y, table)

    compiled, table = torch.compile(step), torch.arange(8.0).view(4, 2)
    for _ in range(3):
        expected, found = (f(torch.tensor([2, 1], dtype=torch.int32), table) for f in (step, compiled))
        assert [a.tolist() for a in expected] == [a.tolist() for a in found]
    with pytest.raises(IndexError):
        torch.compile(lambda y, table: (y.fill_(9), F.embedding(y, table)))(torch.tensor([2, 1]), table)


def test_frozen_calls_still_refuse():
    def function(x, y):
        return F.cross_entropy(x * 2, y)

    step = torch.compile(function, freeze=True)
    x, y = torch.ones(4, 5), torch.tensor([0, 1, 2, 3])
    expected = function(x, y).item()
    assert [step(x, y).item() for _ in range(5)] == [expected] * 5
    assert len(step._frozen) == 1
    with pytest.raises(IndexError):
        step(x, torch.tensor([0, 1, 2, 5]))
    assert step(x, y).item() == expected
