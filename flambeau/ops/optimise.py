"""The steps of optimisers: every parameter of a group in one call.

All lists are equally long; the tensors at one place have one layout, in which elements lie without gaps
(`dense`).
They are written in place.
"""

from __future__ import annotations

from ..base.errors import require
from .define import op
from .kinds import Opaque


class _Step(Opaque):
    """Writes parameters and their state; has no result."""

    def layouts():
        return ()


def _check_lists(params, *others) -> None:
    """Each list holds, place by place, what goes with a parameter."""
    for one in others:
        require(
            len(one) == len(params), f"expected {len(params)} tensors for as many parameters, got {len(one)}"
        )
        for parameter, other in zip(params, one):
            require(
                other is parameter,
                f"a parameter and its gradient or state differ in layout: {parameter} and {other}",
                need="the same shape, strides, dtype and device",
            )
    for parameter in params:
        require(parameter.dense, f"the elements of a parameter lie apart or overlap: {parameter}")
        require(
            parameter.dtype.kind >= 2, f"a parameter must be of a floating-point or complex type: {parameter}"
        )


@op(
    "optimise.sgd_(Tensor[] params, Tensor[] grads, Tensor[] buffers, bool momentum, bool nesterov, bool "
    "maximize, "
    "Scalar lr, Scalar mu, Scalar dampening, Scalar weight_decay) -> ()",
    function=False,
)
class Sgd(_Step):
    """Gradient descent: ``g += weight_decay p;  b = mu b + (1 - dampening) g;  p -= lr b``.

    momentum: whether there are buffers ``b``. nesterov: step along ``g + mu b``. maximize: climb.
    """

    def check(params, grads, buffers, momentum):
        _check_lists(params, grads, *([buffers] if momentum else []))

    algorithm = "optimise.sgd"


@op(
    "optimise.adam_(Tensor[] params, Tensor[] grads, Tensor[] steps, Tensor[] averages, Tensor[] squares, "
    "Tensor[] largest, bool amsgrad, bool maximize, bool decoupled, "
    "Scalar lr, Scalar beta1, Scalar beta2, Scalar eps, Scalar weight_decay) -> ()",
    function=False,
)
class Adam(_Step):
    """Adam: ``m = lerp(g, m, beta1);  v = lerp(g², v, beta2);  p -= lr m̂ / (sqrt(v̂) + eps)``.

    The hats divide by ``1 - beta^t``.

    steps: counts ``t``, of one element each, raised by one. largest: greatest ``v`` so far, where `amsgrad`.
    decoupled: weight decay shrinks the parameter, and does not enter the gradient.
    """

    def check(params, grads, steps, averages, squares, largest, amsgrad):
        _check_lists(params, grads, averages, squares, *([largest] if amsgrad else []))
        require(len(steps) == len(params), "each parameter needs a step count")
        for step in steps:
            require(step.numel == 1, f"a step count must have one element: {step}")
            require(
                step.dtype.name in ("float32", "float64"), f"a step count must be float32 or float64: {step}"
            )

    algorithm = "optimise.adam"
