"""Schedules: what does not need PyTorch to be checked."""

from __future__ import annotations

import math

import pytest

import flambeau
from flambeau import nn, optim
from flambeau.optim import lr_scheduler


def make(lr=1.0, kind=optim.SGD, **options):
    return kind([nn.Parameter(flambeau.zeros(1))], lr=lr, **options)


def run(optimizer, scheduler, epochs: int) -> list[float]:
    found = []
    for _ in range(epochs):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


def test_step():
    optimizer = make()
    assert run(optimizer, lr_scheduler.StepLR(optimizer, 2, 0.5), 5) == [1, 1, 0.5, 0.5, 0.25]


def test_cosine_reaches_its_end_and_returns():
    optimizer = make()
    found = run(optimizer, lr_scheduler.CosineAnnealingLR(optimizer, 4, 0.2), 9)
    expected = [0.2 + 0.8 * (1 + math.cos(math.pi * t / 4)) / 2 for t in range(9)]
    assert found == pytest.approx(expected)


def test_chain_of_warm_up_and_decay():
    optimizer = make()
    warm = lr_scheduler.LinearLR(optimizer, 0.25, total_iters=3)
    decay = lr_scheduler.ExponentialLR(optimizer, 0.5)
    both = lr_scheduler.SequentialLR(optimizer, [warm, decay], [3])
    assert run(optimizer, both, 6) == pytest.approx([0.25, 0.5, 0.75, 1.0, 0.5, 0.25])


def test_a_tensor_as_rate_stays_the_same_tensor():
    optimizer = make(lr=flambeau.tensor(1.0))
    rate = optimizer.param_groups[0]["lr"]
    scheduler = lr_scheduler.ExponentialLR(optimizer, 0.5)
    optimizer.step()
    scheduler.step()
    assert optimizer.param_groups[0]["lr"] is rate
    assert rate.item() == 0.5
    assert scheduler.base_lrs[0].item() == 1.0


def test_one_cycle_moves_the_momentum_of_adam():
    optimizer = make(kind=optim.Adam)
    scheduler = lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=10)
    assert optimizer.param_groups[0]["betas"] == (0.95, 0.999)
    run(optimizer, scheduler, 3)
    assert optimizer.param_groups[0]["betas"][0] < 0.95


def test_wrong_order_and_reading_rates_warn():
    optimizer = make()
    scheduler = lr_scheduler.StepLR(optimizer, 1)
    with pytest.warns(UserWarning, match="lr_scheduler.step"):
        scheduler.step()
    with pytest.warns(UserWarning, match="please use `get_last_lr"):
        scheduler.get_lr()


def test_state_is_taken_over():
    first = make()
    one = lr_scheduler.ReduceLROnPlateau(first, patience=1)
    for metric in (1.0, 1.0, 1.0):
        one.step(metric)
    second = make()
    two = lr_scheduler.ReduceLROnPlateau(second, patience=1)
    two.load_state_dict(one.state_dict())
    assert (two.best, two.last_epoch) == (1.0, 3)


def test_averaged_model():
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.BatchNorm1d(1))
    plain = optim.swa_utils.AveragedModel(model)
    moving = optim.swa_utils.AveragedModel(model, multi_avg_fn=optim.swa_utils.get_ema_multi_avg_fn(0.5))
    for value in (1.0, 2.0, 6.0):
        with flambeau.no_grad():
            model[0].weight.fill_(value)
        plain.update_parameters(model)
        moving.update_parameters(model)
    assert plain.module[0].weight.item() == pytest.approx(3.0)
    assert moving.module[0].weight.item() == pytest.approx(3.75)
    assert plain.n_averaged.item() == 3
    optim.swa_utils.update_bn([flambeau.tensor([[1.0], [3.0]]), flambeau.tensor([[5.0], [7.0]])], plain)
    assert plain.module[1].running_mean.item() == pytest.approx(12.0)
    assert plain.module[1].momentum == 0.1


def test_swalr_reaches_its_rate_and_stays():
    optimizer = make()
    scheduler = optim.swa_utils.SWALR(optimizer, 0.1, anneal_epochs=3, anneal_strategy="linear")
    assert run(optimizer, scheduler, 6) == pytest.approx([1.0, 0.7, 0.4, 0.1, 0.1, 0.1])


REFUSED = [
    (lambda: lr_scheduler.StepLR(3, 1), TypeError, "int is not an Optimizer"),
    (lambda: lr_scheduler.StepLR(make(), 1, last_epoch=2), KeyError, "initial_lr"),
    (lambda: lr_scheduler.LambdaLR(make(), [abs, abs]), ValueError, "Expected 1 lr_lambdas, but got 2"),
    (lambda: lr_scheduler.ConstantLR(make(), 2.0), ValueError, "between 0 and 1"),
    (lambda: lr_scheduler.LinearLR(make(), 0.0), ValueError, "greater than 0"),
    (
        lambda: lr_scheduler.CosineAnnealingWarmRestarts(make(), 0),
        ValueError,
        "Expected positive integer T_0",
    ),
    (lambda: lr_scheduler.OneCycleLR(make(), 0.1), ValueError, "You must define either total_steps"),
    (
        lambda: lr_scheduler.CyclicLR(make(kind=optim.Adagrad), 0.1, 1),
        ValueError,
        "must support momentum or beta1",
    ),
    (lambda: lr_scheduler.ReduceLROnPlateau(make(), factor=2.0), ValueError, "Factor should be < 1.0"),
    (lambda: lr_scheduler.ReduceLROnPlateau(make(), mode="up"), ValueError, "mode up is unknown!"),
    (lambda: lr_scheduler.ChainedScheduler([]), ValueError, "expects at least one scheduler to be chained"),
]


@pytest.mark.parametrize(("action", "kind", "text"), REFUSED)
def test_refusals(action, kind, text):
    with pytest.raises(kind, match=text):
        action()
