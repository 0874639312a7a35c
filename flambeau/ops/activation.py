"""Activation functions of neural networks."""

from __future__ import annotations

import math

from ..base.dtype import float64
from ..base.errors import check_dim, require
from ..ir.expr import (
    Expr,
    Pair,
    constant,
    erf,
    exp,
    expm1,
    fabs,
    is_symbolic,
    log1p,
    maximum,
    minimum,
    real,
    tanh,
    where,
)
from .define import op, ops
from .kinds import Composite, Pointwise, int_to_float
from .pointwise_types import BOOL, COMPLEX, FLOAT, INTEGER, accepting, zero_like

SQRT_HALF = math.sqrt(0.5)


@op(
    "relu(Tensor input, bool inplace=False) -> Tensor",
    inplace=True,
    also="nn.functional.relu nn.functional.relu_",
)
class Relu(Pointwise):
    """``max(input, 0)``; NaN stays NaN.

    >>> import flambeau as torch
    >>> torch.relu(torch.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """

    def dtype(common):
        require(common.kind != BOOL, "Boolean inputs not supported for relu")
        require(common.kind != COMPLEX, "clamp is not supported for complex types", NotImplementedError)
        return common, common

    def scalar(input):
        return maximum(input, 0)

    def d_input(g, result):
        return where(result <= 0, zero_like(g), g)


@op("nn.functional.relu6(Tensor input, bool inplace=False) -> Tensor", inplace=True)
class Relu6(Pointwise):
    """``min(max(input, 0), 6)``."""

    def dtype(common):
        require(common.kind != BOOL, "Bool inputs not supported for hardtanh")
        require(common.kind != COMPLEX, "clamp is not supported for complex types", NotImplementedError)
        return common, common

    def scalar(input):
        return minimum(maximum(input, 0), 6)

    def d_input(g, input):
        return where((input > 0) & (input < 6), g, zero_like(g))


@op(
    "nn.functional.leaky_relu(Tensor input, Scalar negative_slope=0.01, bool inplace=False) -> Tensor",
    inplace=True,
)
class LeakyRelu(Pointwise):
    """``input`` where positive, else ``negative_slope * input``."""

    dtype = accepting("leaky_relu_cpu", FLOAT)

    def scalar(input, negative_slope):
        return where(input > 0, input, input * negative_slope)

    def d_input(g, input, negative_slope):
        return where(input > 0, g, g * negative_slope)


@op(
    "nn.functional.elu(Tensor input, Scalar alpha=1.0, bool inplace=False) -> Tensor",
    inplace=True,
)
class Elu(Pointwise):
    """``input`` where positive, else ``alpha * (exp(input) - 1)``.

    Source: Clevert et al., Fast and accurate deep network learning by exponential linear units, 2015.
    """

    dtype = accepting("elu_cpu", FLOAT)

    def scalar(input, alpha):
        return where(input > 0, input, expm1(input) * alpha)

    def d_input(g, input, alpha):
        return where(input > 0, g, g * exp(minimum_of(input, 0)) * alpha)


def minimum_of(x, number):
    """The smaller of x and a number; on tensors a clamp."""
    return minimum(x, number) if is_symbolic(x) else x.clamp(max=number)


@op(
    "nn.functional.celu(Tensor input, Scalar alpha=1.0, bool inplace=False) -> Tensor",
    inplace=True,
    also="celu celu_",
)
class Celu(Pointwise):
    """``max(0, input) + min(0, alpha * (exp(input / alpha) - 1))``.

    Source: Barron, Continuously differentiable exponential linear units, 2017.
    """

    dtype = accepting("elu_cpu", FLOAT)

    def scalar(input, alpha):
        return where(input > 0, input, expm1(input / alpha) * alpha)

    def d_input(g, input, alpha):
        return where(input > 0, g, g * exp(minimum_of(input / alpha, 0)))


SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805


@op("nn.functional.selu(Tensor input, bool inplace=False) -> Tensor", inplace=True, also="selu selu_")
class Selu(Pointwise):
    """``scale * (max(0, input) + min(0, alpha * (exp(input) - 1)))``, which keeps mean 0 and variance 1.

    Source: Klambauer et al., Self-normalizing neural networks, 2017.
    """

    dtype = accepting("elu_cpu", FLOAT)

    def scalar(input):
        return where(input > 0, input * SELU_SCALE, expm1(input) * (SELU_ALPHA * SELU_SCALE))

    def d_input(g, input):
        return g * where(input > 0, SELU_SCALE, exp(minimum_of(input, 0)) * (SELU_ALPHA * SELU_SCALE))


def normal_cdf(x):
    """The normal distribution's Phi, as precise as its type is beside 1."""
    if isinstance(x, Expr):
        return Expr("normal_cdf", (x,), x.type)
    return (erf(x * SQRT_HALF) + 1) * 0.5


@op("nn.functional.gelu(Tensor input, *, str approximate='none') -> Tensor", inplace=False)
class Gelu(Pointwise):
    """``input * Phi(input)`` with the normal distribution's Phi, or its tanh approximation.

    Source: Hendrycks and Gimpel, Gaussian error linear units, 2016.
    """

    def samples(make):
        return [((make(2, 3),), {}), ((make(2, 3),), {"approximate": "tanh"})]

    dtype = accepting("GeluKernelImpl", FLOAT)

    def check(approximate):
        require(approximate in ("none", "tanh"), "approximate argument must be either none or tanh.")

    def scalar(input, approximate):
        if approximate == "tanh":
            inner = (input + input * input * input * 0.044715) * math.sqrt(2 / math.pi)
            return input * 0.5 * (tanh(inner) + 1)
        return input * normal_cdf(input)

    def d_input(g, input, approximate):
        if approximate == "tanh":
            square = input * input
            t = tanh((input + input * square * 0.044715) * math.sqrt(2 / math.pi))
            slope = (1 + square * (3 * 0.044715)) * math.sqrt(2 / math.pi)
            return g * ((t + 1) * 0.5 + input * 0.5 * (1 - t * t) * slope)
        if isinstance(input, Expr) and input.type == "f32":
            return g * Expr("gelu_slope", (input,), "f32")
        density = exp(input * input * -0.5) * (1 / math.sqrt(2 * math.pi))
        return g * (normal_cdf(input) + input * density)


@op("nn.functional.silu(Tensor input, bool inplace=False) -> Tensor", inplace=True)
class Silu(Pointwise):
    """``input * sigmoid(input)``, also called swish."""

    dtype = accepting("silu_cpu", FLOAT, COMPLEX)

    def scalar(input):
        return input / (exp(-input) + 1.0)

    def d_input(g, input):
        s = 1.0 / (exp(-input) + 1.0)
        slope = s * (1 + input * (1 - s))
        return g * (slope.conj() if isinstance(slope, Pair) or not is_symbolic(slope) else slope)


@op("nn.functional.mish(Tensor input, bool inplace=False) -> Tensor", inplace=True)
class Mish(Pointwise):
    """``input * tanh(softplus(input))``.

    Source: Misra, Mish: a self regularized non-monotonic activation function, 2019.
    """

    dtype = accepting("mish_cpu", FLOAT)

    def scalar(input):
        return input * tanh(soft_plus(input))

    def d_input(g, input):
        t = tanh(soft_plus(input))
        s = 1.0 / (exp(-input) + 1.0)
        return g * (t + input * s * (1 - t * t))


def soft_plus(x):
    """log(1 + exp(x)) without overflow."""
    return maximum_of(x, 0) + log1p(exp(-abs(x)))


def maximum_of(x, number):
    return maximum(x, number) if is_symbolic(x) else x.clamp(min=number)


@op("nn.functional.softplus(Tensor input, Scalar beta=1.0, Scalar threshold=20.0) -> Tensor")
class Softplus(Pointwise):
    """``log(1 + exp(beta * input)) / beta``; ``input`` itself where ``beta * input`` exceeds ``threshold``."""

    dtype = accepting("softplus_cpu", FLOAT)

    def scalar(input, beta, threshold):
        scaled = input * beta
        return where(scaled > threshold, input, soft_plus(scaled) / beta)

    def d_input(g, input, beta, threshold):
        scaled = input * beta
        return where(scaled > threshold, g, g / (exp(-scaled) + 1.0))


@op("nn.functional.softsign(Tensor input) -> Tensor")
class Softsign(Pointwise):
    """``input / (1 + |input|)``."""

    dtype = accepting("abs_cpu", INTEGER, FLOAT, COMPLEX, rule=int_to_float)

    def scalar(input):
        return input / (abs(input) + 1)

    def d_input(g, input):
        size = abs(input) + 1
        if isinstance(input, Pair) or not is_symbolic(input) and input.is_complex():
            return _softsign_complex(g, input, size)
        return g / (size * size)


def _softsign_complex(g, z, size):
    """Gradient of z / (1 + |z|): the direct part, less the part through |z|."""
    length = abs(z)
    unit = z * (1.0 / where(length == 0, 1, length))
    inner = real(g.conj() * z) / (size * size)
    return g * (1.0 / size) - unit * inner


@op(
    "nn.functional.hardtanh(Tensor input, float min_val=-1.0, float max_val=1.0, bool inplace=False) -> Tensor",
    inplace=True,
)
class Hardtanh(Pointwise):
    """``input`` limited to [min_val, max_val]."""

    def dtype(common):
        require(common.kind != BOOL, "Bool inputs not supported for hardtanh")
        require(common.kind != COMPLEX, "clamp is not supported for complex types", NotImplementedError)
        return common, common

    def check(input, min_val, max_val):
        require(min_val <= max_val, "min_val cannot be greater than max_val", ValueError)
        require(input.dtype.is_signed or input.dtype.kind == BOOL or min_val >= 0 and max_val >= 0,
                "cannot do hardtanh on an unsigned type with negative limits")  # fmt: skip

    def scalar(input, min_val, max_val):
        low, high = (constant(v if input.is_float else int(v), input.type) for v in (min_val, max_val))
        return minimum(maximum(input, low), high)

    def d_input(g, input, min_val, max_val):
        return where((input > min_val) & (input < max_val), g, zero_like(g))


@op("nn.functional.hardsigmoid(Tensor input, bool inplace=False) -> Tensor", inplace=True)
class Hardsigmoid(Pointwise):
    """``min(max(input + 3, 0), 6) / 6``."""

    dtype = accepting("hardsigmoid_cpu", FLOAT)

    def scalar(input):
        return minimum(maximum(input + 3, 0), 6) / 6

    def d_input(g, input):
        return where((input > -3) & (input < 3), g / 6, zero_like(g))


@op("nn.functional.hardswish(Tensor input, bool inplace=False) -> Tensor", inplace=True)
class Hardswish(Pointwise):
    """``input * min(max(input + 3, 0), 6) / 6``.

    Source: Howard et al., Searching for MobileNetV3, 2019.
    """

    dtype = accepting("hardswish_cpu", FLOAT)

    def scalar(input):
        return input * minimum(maximum(input + 3, 0), 6) / 6

    def d_input(g, input):
        return where(input <= -3, zero_like(g), where(input < 3, g * (input / 3 + 0.5), g))


@op("nn.functional.hardshrink(Tensor input, Scalar lambd=0.5) -> Tensor", also="hardshrink")
class Hardshrink(Pointwise):
    """``input`` where its magnitude exceeds ``lambd``, else 0."""

    dtype = accepting("hardshrink_cpu", FLOAT)

    def scalar(input, lambd):
        return where((input >= -lambd) & (input <= lambd), zero_like(input), input)

    def d_input(g, input, lambd):
        return where((input >= -lambd) & (input <= lambd), zero_like(g), g)


@op("nn.functional.softshrink(Tensor input, float lambd=0.5) -> Tensor")
class Softshrink(Pointwise):
    """``input`` moved towards 0 by ``lambd``, and 0 within it."""

    dtype = accepting("softshrink_check", FLOAT)

    def check(input, lambd):
        require(lambd >= 0, "lambda must be in range [0, 3.40282e+38] for input dtype Float, but found "
                f"{lambd:g}", need="lambd >= 0")  # fmt: skip

    def scalar(input, lambd):
        moved = where(input > lambd, input - lambd, where(input < -lambd, input + lambd, zero_like(input)))
        return where(input != input, input, moved)

    def d_input(g, input, lambd):
        return where((input >= -lambd) & (input <= lambd), zero_like(g), g)


@op("nn.functional.tanhshrink(Tensor input) -> Tensor")
class Tanhshrink(Pointwise):
    """``input - tanh(input)``."""

    dtype = int_to_float

    def check(input):
        require(input.dtype.kind != BOOL,
                "Subtraction, the `-` operator, with a bool tensor is not supported. If you are trying to invert a mask, "
                "use the `~` or `logical_not()` operator instead.")  # fmt: skip

    def scalar(input):
        return input - tanh(input)

    def d_input(g, input):
        t = tanh(input)
        square = t * t
        return g * (square.conj() if isinstance(square, Pair) or not is_symbolic(square) else square)


@op(
    "nn.functional.threshold(Tensor input, Scalar threshold, Scalar value, bool inplace=False) -> Tensor",
    inplace=True, also="threshold threshold_",
)  # fmt: skip
class Threshold(Pointwise):
    """``input`` where it exceeds ``threshold``, else ``value``."""

    dtype = accepting("threshold_cpu", INTEGER, FLOAT)

    def scalar(input, threshold, value):
        return where(input <= threshold, value, input)

    def d_input(g, input, threshold):
        return where(input <= threshold, zero_like(g), g)


@op("nn.functional.logsigmoid(Tensor input) -> Tensor")
class Logsigmoid(Pointwise):
    """``log(sigmoid(input))`` without loss or overflow."""

    dtype = accepting("log_sigmoid_cpu", FLOAT)

    def scalar(input):
        return minimum(input, 0) - log1p(exp(-fabs(input)))

    def d_input(g, input):
        return g / (exp(input) + 1.0)


# -- with parameters or halves ---------------------------------------------------------------------------------------


@op("prelu_broadcast(Tensor input, Tensor weight) -> Tensor", function=False, method=False)
class PreluBroadcast(Pointwise):
    """``input`` where positive, else ``weight * input``, with the weight already of a shape that broadcasts."""

    def samples(make):
        return [((make(2, 3), make(3)), {})]

    dtype = accepting("prelu_cpu", FLOAT)

    def scalar(input, weight):
        return where(input > 0, input, input * weight)

    def d_input(g, input, weight):
        return where(input > 0, g, g * weight)

    def d_weight(g, input):
        return where(input > 0, zero_like(g), g * input)


@op("nn.functional.prelu(Tensor input, Tensor weight) -> Tensor", also="prelu")
class Prelu(Composite):
    """``input`` where positive, else ``weight * input``; ``weight`` is one number or one a channel (dimension 1).

    Source: He et al., Delving deep into rectifiers, 2015.
    """

    def samples(make):
        return [((make(2, 3), make(3)), {}), ((make(2, 3), make(1)), {})]

    def body(input, weight):
        require(
            weight.ndim <= 1,
            f"prelu: Expected `weight` to be a scalar or 1D tensor, but got: ndim = {weight.ndim}",
        )
        if weight.numel() != 1:
            require(input.ndim > 0, "Not allow zero-dim input tensor.")
            channels = input.shape[1] if input.ndim > 1 else 1
            require(channels == weight.numel(),
                    "Mismatch of parameter numbers and input channel size. Found parameter numbers = "
                    f"{weight.numel()} and channel size = {channels}.")  # fmt: skip
        require(input.dtype is weight.dtype, "prelu: Type promoting not supported. Got "
                f"{_spelled(input.dtype)} and {_spelled(weight.dtype)}")  # fmt: skip
        if input.ndim > 1:
            weight = ops.view(weight, (1, weight.numel()) + (1,) * (input.ndim - 2))
        elif input.ndim == 0:
            weight = ops.view(weight, ())
        return ops.prelu_broadcast(input, weight)


def _spelled(t) -> str:
    return {"float32": "float", "float64": "double", "int64": "long int"}.get(t.name, t.name)


@op("nn.functional.glu(Tensor input, int dim=-1) -> Tensor")
class Glu(Composite):
    """First half times the sigmoid of the second half along ``dim``.

    Source: Dauphin et al., Language modeling with gated convolutional networks, 2016.
    """

    def samples(make):
        return [((make(2, 4),), {}), ((make(4, 3), 0), {})]

    def body(input, dim):
        require(input.ndim > 0, "glu does not support 0-dimensional tensors")
        at = check_dim(dim, input.ndim)
        n = input.shape[at]
        require(n % 2 == 0, f"Halving dimension must be even, but dimension {at} is size {n}")
        first, gate = (ops.slice(input, at, k * n // 2, (k + 1) * n // 2) for k in range(2))
        return ops.gated(first, gate)


@op("gated(Tensor input, Tensor gate) -> Tensor", function=False, method=False)
class Gated(Pointwise):
    """``input * sigmoid(gate)``."""

    def samples(make):
        return [((make(2, 3), make(3)), {})]

    dtype = accepting("glu_cpu", FLOAT)

    def scalar(input, gate):
        return input / (exp(-gate) + 1.0)

    def d_input(g, gate):
        return g / (exp(-gate) + 1.0)

    def d_gate(g, input, gate):
        s = 1.0 / (exp(-gate) + 1.0)
        return g * input * s * (1 - s)


@op("rrelu_with_noise(Tensor input, Tensor noise) -> Tensor", function=False, method=False, inplace=False)
class RreluWithNoise(Pointwise):
    """``input`` where positive, else ``noise * input``."""

    def samples(make):
        return [((make(2, 3), make(3)), {})]

    dtype = accepting("rrelu_cpu", FLOAT)

    def scalar(input, noise):
        return where(input > 0, input, input * noise)

    def d_input(g, input, noise):
        return where(input > 0, g, g * noise)


@op(
    "nn.functional.rrelu(Tensor input, float lower=1/8, float upper=1/3, bool training=False, bool inplace=False) -> Tensor",
    also="rrelu",
)
class Rrelu(Composite):
    """``input`` where positive, else a slope times it: random in [lower, upper] in training, else their mean.

    Source: Xu et al., Empirical evaluation of rectified activations, 2015.
    """

    def body(input, lower, upper, training, inplace):
        require(
            lower <= upper,
            "Lower bound should be less than or equal to the upper bound",
            need=f"lower <= upper; got {lower} and {upper}",
        )
        if training:
            negative = input.detach() <= 0  # only these draw a slope
            drawn = ops.empty((int(negative.sum()),), dtype=float64).uniform_(lower, upper)
            noise = ops.ones_like(input.detach()).masked_scatter_(negative, drawn.to(input.dtype))
            found = ops.rrelu_with_noise(input, noise)
        else:
            found = ops.leaky_relu(input, (lower + upper) / 2)
        return ops.copy_(input, found) if inplace else found


@op(
    "nn.functional.rrelu_(Tensor input, float lower=1/8, float upper=1/3, bool training=False) -> Tensor",
    also="rrelu_",
)
class RreluInPlace(Composite):
    """`rrelu` in place."""

    def body(input, lower, upper, training):
        return ops.rrelu(input, lower, upper, training, True)
