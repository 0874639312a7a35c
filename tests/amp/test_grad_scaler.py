"""GradScaler: scaling, steps that are left out, growth and backing off, saved state."""

from __future__ import annotations

import pickle

import pytest

import flambeau as torch


def trained(scaler, factors, optimizer="SGD", **options):
    """Values of a parameter and the scale after each step with loss ``factor * p.sum()``."""
    p = torch.nn.Parameter(torch.ones(3))
    stepper = getattr(torch.optim, optimizer)([p], **options)
    found = []
    for factor in factors:
        stepper.zero_grad()
        scaler.scale((p * factor).sum()).backward()
        scaler.step(stepper)
        scaler.update()
        found.append((round(p[0].item(), 5), scaler.get_scale()))
    return found


def test_steps_with_infinite_gradients_are_left_out():
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0, growth_interval=2)
    inf = float("inf")
    found = trained(scaler, [1.0, inf, 1.0, 1.0, float("nan"), 2.0], lr=0.1)
    assert found == [(0.9, 8.0), (0.9, 4.0), (0.8, 4.0), (0.7, 8.0), (0.7, 4.0), (0.5, 4.0)]


def test_the_scale_does_not_grow_to_infinity():
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127, growth_interval=1)
    assert trained(scaler, [1e-30, 1e-30], lr=1.0)[-1][1] == 2.0**127


def test_unscaled_gradients_are_the_true_ones():
    p = torch.nn.Parameter(torch.ones(5))
    q = torch.nn.Parameter(torch.ones(2, 3, dtype=torch.float64))
    optimizer = torch.optim.Adam([p, q])
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    scaler.scale((p.sum() * 3 + q.sum() * 2).float()).backward()
    assert p.grad[0] == 3072
    scaler.unscale_(optimizer)
    assert p.grad.tolist() == [3.0] * 5
    assert q.grad.flatten().tolist() == [2.0] * 6
    with pytest.raises(RuntimeError, match="already been called on this optimizer since the last update"):
        scaler.unscale_(optimizer)
    scaler.step(optimizer)
    with pytest.raises(RuntimeError, match=r"step\(\) has already been called since the last update"):
        scaler.step(optimizer)
    with pytest.raises(RuntimeError, match=r"unscale_\(\) is being called after step"):
        scaler.unscale_(optimizer)


def test_gradients_with_gaps():
    p = torch.nn.Parameter(torch.ones(4))
    p.grad = torch.ones(1).expand(4)
    optimizer = torch.optim.SGD([p], lr=1.0)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0)
    scaler.scale(torch.ones(1))
    p.grad = torch.ones(4, 2)[:, 0]
    scaler.step(optimizer)
    assert p.tolist() == [0.5] * 4


def test_an_update_may_be_given():
    scaler = torch.amp.GradScaler("cpu")
    scaler.scale(torch.ones(1))
    scaler.update(4.0)
    assert scaler.get_scale() == 4.0
    scaler.update(torch.tensor(2.0))
    assert scaler.get_scale() == 2.0


def test_nested_outputs():
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0)
    first, (second,) = scaler.scale([torch.ones(1), (torch.ones(1, dtype=torch.bfloat16),)])
    assert (first.item(), second.item(), second.dtype) == (2.0, 2.0, torch.bfloat16)


def test_state_and_pickle():
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0, growth_interval=3)
    trained(scaler, [1.0, 1.0], lr=0.1)
    saved = scaler.state_dict()
    assert saved == {
        "scale": 8.0,
        "growth_factor": 2.0,
        "backoff_factor": 0.5,
        "growth_interval": 3,
        "_growth_tracker": 2,
    }
    fresh = torch.amp.GradScaler("cpu")
    fresh.load_state_dict(saved)
    copied = pickle.loads(pickle.dumps(scaler))
    for one in (scaler, fresh, copied):
        assert trained(one, [1.0], lr=0.1)[-1][1] == 16.0


def test_disabled():
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    loss = torch.ones(1)
    assert scaler.scale(loss) is loss
    assert scaler.state_dict() == {}
    assert trained(scaler, [1.0], lr=0.5) == [(0.5, 1.0)]
    with pytest.warns(UserWarning, match="CUDA is not available"):
        assert not torch.amp.GradScaler().is_enabled()


@pytest.mark.parametrize(
    ("act", "error", "text"),
    [
        (
            lambda: torch.amp.GradScaler("cpu", growth_factor=1.0),
            AssertionError,
            "growth factor must be > 1.0",
        ),
        (
            lambda: torch.amp.GradScaler("cpu", backoff_factor=1.0),
            AssertionError,
            "backoff factor must be < 1.0",
        ),
        (lambda: torch.amp.GradScaler("cpu").update(), AssertionError, "Attempted update but _scale is None"),
        (lambda: torch.amp.GradScaler("cpu").scale(3), ValueError, "outputs must be a Tensor or an iterable"),
        (lambda: torch.amp.GradScaler("cpu").load_state_dict({}), RuntimeError, "source state dict is empty"),
    ],
)
def test_bad_input(act, error, text):
    with pytest.raises(error, match=text):
        act()


def test_float16_gradients_are_refused():
    p = torch.nn.Parameter(torch.ones(2, dtype=torch.float16))
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0)
    scaler.scale(p.float().sum()).backward()
    with pytest.raises(ValueError, match="Attempting to unscale FP16 gradients"):
        scaler.unscale_(torch.optim.SGD([p], lr=0.1))


def test_closures_and_missing_gradients():
    p = torch.nn.Parameter(torch.ones(2))
    scaler = torch.amp.GradScaler("cpu")
    scaler.scale(torch.ones(1))
    with pytest.raises(RuntimeError, match="Closure use is not currently supported"):
        scaler.step(torch.optim.SGD([p], lr=0.1), closure=lambda: 0)
    with pytest.raises(AssertionError, match="No inf checks were recorded for this optimizer"):
        scaler.step(torch.optim.SGD([p], lr=0.1))
