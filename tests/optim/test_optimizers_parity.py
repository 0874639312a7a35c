"""Optimisers and schedules against PyTorch: signatures, parameters after steps, states, learning rates."""

from __future__ import annotations

import inspect
import warnings

import pytest

import flambeau
from flambeau import nn, optim

pytestmark = pytest.mark.parity

OPTIMISERS = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1, "nesterov": True}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.5, "maximize": True}),
    ("Adam", {"lr": 0.05, "amsgrad": True}),
    ("Adam", {"lr": 0.05, "weight_decay": 0.1, "maximize": True}),
    ("AdamW", {"lr": 0.05, "weight_decay": 0.1}),
    ("Adagrad", {"lr": 0.1, "lr_decay": 0.1, "initial_accumulator_value": 0.2}),
    ("Adadelta", {"weight_decay": 0.1}),
    ("Adafactor", {"weight_decay": 0.1}),
    ("RMSprop", {"momentum": 0.5, "centered": True}),
    ("RMSprop", {"weight_decay": 0.1}),
    ("Adamax", {"weight_decay": 0.1}),
    ("NAdam", {"weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("RAdam", {"weight_decay": 0.1}),
    ("ASGD", {"t0": 2, "lambd": 0.1}),
    ("Rprop", {"lr": 0.1}),
]


def close(ours, theirs, tolerance=1e-9) -> bool:
    return bool(abs(ours.detach().numpy() - theirs.detach().numpy()).max() <= tolerance)


@pytest.mark.parametrize(("name", "options"), OPTIMISERS)
def test_parameters_and_state_after_some_steps(oracle, name, options):
    oracle.manual_seed(0)
    theirs = [
        oracle.nn.Parameter(oracle.randn(shape, dtype=oracle.float64)) for shape in [(3, 4), (5,), (2, 2, 3)]
    ]
    ours = [nn.Parameter(flambeau.from_numpy(p.detach().clone().numpy())) for p in theirs]
    reference, optimizer = (
        getattr(oracle.optim, name)(theirs, **options),
        getattr(optim, name)(ours, **options),
    )
    for _ in range(7):
        for a, b in zip(ours, theirs):
            b.grad = oracle.randn(b.shape, dtype=b.dtype)
            a.grad = flambeau.from_numpy(b.grad.clone().numpy())
        reference.step()
        optimizer.step()
    assert all(close(a, b) for a, b in zip(ours, theirs))
    mine, wanted = optimizer.state_dict(), reference.state_dict()
    assert mine["param_groups"] == wanted["param_groups"]
    assert list(mine["state"]) == list(wanted["state"])
    for number, state in wanted["state"].items():
        assert list(mine["state"][number]) == list(state)
        for key, value in state.items():
            assert close(mine["state"][number][key], value), key


def test_signatures(oracle):
    for name in optim.__all__:
        if name in ("lr_scheduler", "swa_utils", "Optimizer", "swap_in_optimizer_params_and_state"):
            continue
        mine = inspect.signature(getattr(optim, name).__init__).parameters.values()
        theirs = inspect.signature(getattr(oracle.optim, name).__init__).parameters.values()
        assert [(p.name, p.kind, p.default) for p in mine] == [(p.name, p.kind, p.default) for p in theirs], (
            name
        )
    for name in optim.lr_scheduler.__all__:
        mine = inspect.signature(getattr(optim.lr_scheduler, name).__init__).parameters.values()
        theirs = inspect.signature(getattr(oracle.optim.lr_scheduler, name).__init__).parameters.values()
        assert [(p.name, p.kind, p.default) for p in mine] == [(p.name, p.kind, p.default) for p in theirs], (
            name
        )


def test_repr(oracle):
    for name in ("SGD", "Adam", "AdamW"):
        mine = getattr(optim, name)([nn.Parameter(flambeau.zeros(1))])
        assert repr(mine) == repr(getattr(oracle.optim, name)([oracle.nn.Parameter(oracle.zeros(1))]))


SCHEDULES = [
    ("StepLR", {"step_size": 3}),
    ("MultiStepLR", {"milestones": [2, 5, 5]}),
    ("ConstantLR", {"factor": 0.5, "total_iters": 4}),
    ("LinearLR", {"start_factor": 0.2, "total_iters": 6}),
    ("ExponentialLR", {"gamma": 0.8}),
    ("PolynomialLR", {"total_iters": 7, "power": 2.0}),
    ("CosineAnnealingLR", {"T_max": 4, "eta_min": 0.01}),
    ("CosineAnnealingWarmRestarts", {"T_0": 2, "T_mult": 2}),
    ("LambdaLR", {"lr_lambda": lambda epoch: 0.9**epoch}),
    ("MultiplicativeLR", {"lr_lambda": lambda epoch: 0.9 + 0.01 * epoch}),
    ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 3, "mode": "triangular2"}),
    ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 2, "step_size_down": 3, "mode": "exp_range",
                  "gamma": 0.9}),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": 14}),
    ("OneCycleLR", {"max_lr": [0.5, 0.3], "epochs": 7, "steps_per_epoch": 2, "three_phase": True,
                    "anneal_strategy": "linear"}),
]  # fmt: skip


def rates(library, library_nn, zeros, schedule) -> list:
    groups = [{"params": [library_nn.Parameter(zeros(1))], "lr": lr} for lr in (0.3, 0.07)]
    optimizer = library.SGD(groups, momentum=0.9)
    scheduler = schedule(library.lr_scheduler, optimizer)
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for epoch in range(14):
            found.append([(group["lr"], group["momentum"]) for group in optimizer.param_groups])
            optimizer.step()
            if type(scheduler).__name__ == "ReduceLROnPlateau":
                scheduler.step([5, 4, 4, 4, 4, 3, 3, 3, 3, 3, 3, 2, 9, 9][epoch])
            else:
                scheduler.step()
        found.append(scheduler.get_last_lr())
    state = scheduler.state_dict()
    scheduler.load_state_dict(dict(state))
    assert scheduler.state_dict().keys() == state.keys()
    return [
        found,
        {k: v for k, v in state.items() if isinstance(v, (int, float, list)) and k != "_schedulers"},
    ]


def compare(oracle, schedule) -> None:
    mine = rates(optim, nn, flambeau.zeros, schedule)
    assert mine == rates(oracle.optim, oracle.nn, oracle.zeros, schedule)


@pytest.mark.parametrize(("name", "options"), SCHEDULES)
def test_schedules(oracle, name, options):
    compare(oracle, lambda library, optimizer: getattr(library, name)(optimizer, **options))


@pytest.mark.parametrize(
    "options", [{"patience": 1}, {"patience": 0, "cooldown": 2, "mode": "max", "threshold_mode": "abs"}]
)
def test_plateau(oracle, options):
    compare(oracle, lambda library, optimizer: library.ReduceLROnPlateau(optimizer, **options))


def test_combined_schedules(oracle):
    def sequential(library, optimizer):
        parts = [library.ConstantLR(optimizer, 0.1, 3), library.ExponentialLR(optimizer, 0.9),
                 library.CosineAnnealingLR(optimizer, 5)]  # fmt: skip
        return library.SequentialLR(optimizer, parts, milestones=[3, 7])

    def chained(library, optimizer):
        parts = [library.ConstantLR(optimizer, 0.1, 3), library.ExponentialLR(optimizer, 0.9)]
        return library.ChainedScheduler(parts)

    compare(oracle, sequential)
    compare(oracle, chained)
