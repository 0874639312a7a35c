"""compile(freeze=True): calls repeated without their Python give what the function gives."""

from __future__ import annotations

import warnings

import pytest

import flambeau as torch
from flambeau import nn

F = nn.functional


class Runs:
    """Counts where `freeze` does not look: what it can see would keep the Python running."""

    __slots__ = ("count",)

    def __init__(self):
        self.count = 0


def step_of(seed=0, dropout=False, accumulate=False, optimizer="SGD", **options):
    torch.manual_seed(seed)
    layers = [
        nn.Linear(6, 8),
        nn.BatchNorm1d(8),
        nn.ReLU(),
        *([nn.Dropout(0.5)] if dropout else []),
        nn.Linear(8, 3),
    ]
    model = nn.Sequential(*layers)
    chosen = getattr(torch.optim, optimizer)(model.parameters(), **({"lr": 0.1} | options))
    runs = Runs()

    def step(x, y):
        runs.count += 1
        if not accumulate:
            chosen.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        chosen.step()
        return {"loss": loss, "twice": (loss.detach() * 2, x)}

    return step, model, chosen, runs


def state(model):
    return [t.tolist() for t in model.state_dict().values()] + [p.grad.tolist() for p in model.parameters()]


OPTIONS = [
    {}, {"optimizer": "Adam"}, {"optimizer": "SGD", "momentum": 0.9}, {"dropout": True}, {"accumulate": True},
    {"optimizer": "AdamW", "dropout": True},
]  # fmt: skip


@pytest.mark.parametrize("options", OPTIONS)
def test_training_is_the_same(options):
    plain, model, _, _ = step_of(**options)
    x, y = torch.randn(5, 6), torch.tensor([0, 1, 2, 1, 0])
    batches = [(x * (k % 4 + 1) / 4, y) for k in range(10)]
    rng = torch.get_rng_state()
    expected = []
    for one in batches:
        found = plain(*one)
        expected.append((found["loss"].item(), found["twice"][0].item(), state(model)))
    step, model, _, runs = step_of(**options)
    torch.set_rng_state(rng)
    frozen = torch.compile(step, freeze=True)
    for one, (loss, twice, values) in zip(batches, expected):
        found = frozen(*one)
        assert (found["loss"].item(), found["twice"][0].item()) == (loss, twice)
        assert found["twice"][1] is one[0]
        assert state(model) == values
    assert runs.count <= 4, "from the fourth call on nothing of the Python runs"


def test_what_it_relies_on_is_checked():
    def run(wrap):
        step, model, optimizer, runs = step_of()
        step = wrap(step)
        torch.manual_seed(9)
        x, y = torch.randn(5, 6), torch.tensor([0, 1, 2, 1, 0])
        found = []

        def call(x=x, y=y):
            found.append((step(x, y)["loss"].item(), state(model)))

        for _ in range(6):
            call()
        optimizer.param_groups[0]["lr"] = 0.01
        call()
        call(torch.ones(4, 6), y[:4])
        call(torch.ones(5, 6), y)
        model.eval()
        for _ in range(3):
            call()
        model.train()
        call()
        with torch.no_grad():
            model[0].weight.mul_(2)
        call()
        model[0].weight.data = torch.full((8, 6), 0.1)
        optimizer.zero_grad()
        for _ in range(3):
            call()
        optimizer.zero_grad()
        call()
        return found, runs.count

    (expected, every), (found, runs) = run(lambda f: f), run(lambda f: torch.compile(f, freeze=True))
    assert found == expected
    assert runs < every


def test_arguments_that_share_memory_in_a_new_way():
    f = torch.compile(lambda a, b: (a.mul_(2), b + 1)[1] + 0, freeze=True)
    for _ in range(5):
        assert f(torch.ones(3), torch.ones(3)).tolist() == [2.0] * 3
    x = torch.ones(3)
    assert f(x, x).tolist() == [3.0] * 3
    y = torch.ones(6)
    assert f(y[:3], y[3:]).tolist() == [2.0] * 3


def test_a_function_that_looks_at_values_goes_on():
    f = torch.compile(lambda x: x * 2 if x.sum() > 0 else x - 1, freeze=True)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        for k in range(12):
            assert f(torch.full((2,), float(k % 2))).tolist() == [2.0 if k % 2 else -1.0] * 2
    assert [str(w.message) for w in seen if "looks at a value" not in str(w.message)] == []
    assert len(seen) == 1


def test_a_refused_value_is_an_error():
    table = torch.arange(6.0).view(3, 2)
    f = torch.compile(lambda index: F.embedding(index, table) * 2, freeze=True)
    for _ in range(5):
        f(torch.tensor([0, 2]))
    with pytest.raises(IndexError, match="index out of range"):
        f(torch.tensor([0, 3]))
    assert f(torch.tensor([1, 1])).tolist() == [[4.0, 6.0]] * 2


def test_results_do_not_share_memory_between_calls():
    f = torch.compile(lambda x: x * 2, freeze=True)
    kept = [f(torch.full((4,), float(k))) for k in range(8)]
    assert [t[0].item() for t in kept] == [2.0 * k for k in range(8)]


def test_inference_of_a_module():
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 2)).eval()
    compiled = torch.compile(model, freeze=True)
    with torch.no_grad():
        for k in range(8):
            x = torch.full((3, 4), float(k))
            assert torch.equal(compiled(x), model(x))
    x = torch.ones(3, 4, requires_grad=True)
    compiled(x).sum().backward()
    assert x.grad is not None
    assert model[0].weight.grad is not None


def test_results_that_no_operator_made_are_not_handed_out_again():
    f = torch.compile(lambda x: (x * 2, torch.tensor(0.5)), freeze=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(12):
            half = f(torch.ones(2))[1]
            assert half.item() == 0.5
            half.mul_(3)


def test_fixed_memory_that_numpy_sees():
    weight = torch.ones(3)
    f = torch.compile(lambda x: F.embedding(x, weight.view(3, 1)) + weight.sum(), freeze=True)
    for _ in range(5):
        assert f(torch.tensor([0])).tolist() == [[4.0]]
    array = weight.numpy()
    array[:] = 2
    assert f(torch.tensor([0])).tolist() == [[8.0]]


def test_a_fresh_tensor_that_is_written():
    def total(x):
        found = torch.tensor(0.0)
        for row in x:
            found += row.sum()
        return found * 2

    f = torch.compile(total, freeze=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(12):
            assert f(torch.ones(2, 3)).item() == 12.0
