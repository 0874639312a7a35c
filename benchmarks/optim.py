"""Optimisers and what goes with them, on the gradients of a model of many small parts: no forward, no backward."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.measure import Row

GROUP = "optimisers"
# Weights and biases of 30 layers, from 16 to 98304 elements: 0.58 million together, as in a small network.
SIZES = (16, 64, 128, 256, 384)


def parameters(torch) -> list:
    """60 parameters of mixed size, with gradients."""
    torch.manual_seed(0)
    found = []
    for k in range(30):
        rows, columns = SIZES[k * 3 % 5], SIZES[k * 7 % 4]
        for shape in ((rows, columns), (rows,)):
            p = torch.nn.Parameter(torch.randn(shape))
            p.grad = torch.randn(shape)
            found.append(p)
    return found


def step_alone(name: str, **options) -> Callable:
    """The step of an optimiser with PyTorch's defaults."""

    def build(torch):
        return getattr(torch.optim, name)(parameters(torch), **options).step

    return build


def clipping(torch):
    """The norm of all gradients, and their scaling by it."""
    given = parameters(torch)
    clip = torch.nn.utils.clip_grad_norm_
    return lambda: clip(given, 1.0)


def scaled_step(torch):
    """Unscaling with the check for overflow, the step, the next scale."""
    optimizer = torch.optim.SGD(parameters(torch), lr=1e-4)
    scaler = torch.amp.GradScaler("cpu", init_scale=1.0, growth_interval=1 << 30)
    scaler.scale(torch.ones(1))

    def call() -> None:
        scaler.step(optimizer)
        scaler.update()

    return call


ROWS = [
    Row("Adam step, 60 tensors of mixed size", GROUP, step_alone("Adam", lr=1e-4), 0.5),
    Row("AdamW step, 60 tensors of mixed size", GROUP, step_alone("AdamW", lr=1e-4), 0.5),
    Row("SGD step with momentum, 60 tensors", GROUP, step_alone("SGD", lr=1e-4, momentum=0.9), 0.5),
    Row("clip_grad_norm_, 60 tensors", GROUP, clipping, 0.8),
    Row("GradScaler step and update, 60 tensors", GROUP, scaled_step, 1.0),
]
