"""Normalisation: batch, layer, group, instance, RMS, local response."""

from __future__ import annotations

from functools import lru_cache

from ..base import dtype as types
from ..base.errors import require
from ..base.layout import contiguous_layout, layout
from ..ir.expr import fma, sqrt
from . import define
from .define import op, ops
from .kinds import Composite, Opaque, Pointwise, promote


def statistic_dtype(dtype):
    """Type of saved statistics: float32 for half types."""
    return types.float32 if dtype.itemsize == 2 else dtype


def check_float(input, name: str) -> None:
    require(
        input.dtype.kind == 2,
        f"\"{name}\" not implemented for '{input.dtype.name.capitalize()}'",
        NotImplementedError,
    )


# -- layer norm ------------------------------------------------------------------------------------------------


@op(
    "layer_norm_rows(Tensor input, Tensor? weight, Tensor? bias, int[] normalized_shape, float eps) "
    "-> (Tensor, Tensor, Tensor)",
    function=False, method=False,
)  # fmt: skip
class LayerNormRows(Opaque):
    """Normalised rows, and each row's mean and reciprocal standard deviation."""

    algorithm = "rows.layer_norm"
    nondifferentiable = (1, 2)

    def layouts(input, normalized_shape):
        lead = input.shape[: input.ndim - len(normalized_shape)]
        kept = contiguous_layout(
            (*lead, *(1 for _ in normalized_shape)), statistic_dtype(input.dtype), input.device
        )
        return [contiguous_layout(input.shape, input.dtype, input.device), kept, kept]

    def d_all(g0, input, weight, bias_layout, normalized_shape, eps, result1, result2, needs):
        if g0 is None:
            return None, None, None
        affine = needs["weight"] or needs["bias"]
        if not define.RECORDING[0]():
            found = ops.layer_norm_backward(g0, input, result1, result2, weight, normalized_shape, affine)
            dx, dw, db = found if affine else (found, None, None)
            return dx, dw if needs["weight"] else None, db if needs["bias"] else None
        dims = tuple(range(input.dim() - len(normalized_shape), input.dim()))
        lead = tuple(range(input.dim() - len(normalized_shape)))
        mean = ops.mean(input, dims, True)
        centred = input - mean
        scale = ops.rsqrt(ops.mean(centred * centred, dims, True) + eps)
        unit = centred * scale
        h = g0 * weight if weight is not None else g0
        dx = (h - ops.mean(h, dims, True) - unit * ops.mean(h * unit, dims, True)) * scale
        dw = (
            ops.reshape(ops.sum(g0 * unit, lead) if lead else g0 * unit, normalized_shape)
            if needs["weight"]
            else None
        )
        db = ops.reshape(ops.sum(g0, lead) if lead else g0, normalized_shape) if needs["bias"] else None
        return dx, dw, db


@op(
    "layer_norm_backward(Tensor grad, Tensor input, Tensor mean, Tensor scale, Tensor? weight, int[] "
    "normalized_shape, "
    "bool affine) -> (Tensor, Tensor, Tensor)",
    function=False, method=False,
)  # fmt: skip
class LayerNormBackward(Opaque):
    """Gradients for input, and (with ``affine``) weight and bias, in one pass over the rows."""

    algorithm = "rows.layer_norm_backward"

    def layouts(input, weight, normalized_shape, affine):
        first = contiguous_layout(input.shape, input.dtype, input.device)
        kept = contiguous_layout(
            normalized_shape, weight.dtype if weight is not None else input.dtype, input.device
        )
        return [first, kept, kept] if affine else [first]


@lru_cache(4096)
def check_layer_norm(where, weight, bias, shape) -> None:
    """Checks the layouts of a layer norm's operands (once for each combination)."""
    require(len(shape) >= 1, "Expected normalized_shape to be at least 1-dimensional, i.e., containing at least one "
            f"element, but got normalized_shape = {list(shape)}")  # fmt: skip
    for name, one in (("weight", weight), ("bias", bias)):
        require(one is None or one.shape == shape,
                f"Expected {name} to be of same shape as normalized_shape, but got {name} of shape "
                f"{list(one.shape) if one is not None else ()} and normalized_shape = "
                f"{list(shape)}")  # fmt: skip
    require(where.ndim >= len(shape) and where.shape[where.ndim - len(shape) :] == shape,
            f"Given normalized_shape={list(shape)}, expected input with shape [*, "
            f"{', '.join(map(str, shape))}], but "
            f"got input of size{list(where.shape)}")  # fmt: skip
    check_float(where, "LayerNormKernelImpl")


@op(
    "layer_norm(Tensor input, int[] normalized_shape, Tensor? weight=None, Tensor? bias=None, float eps=1e-05, "
    "bool cudnn_enable=True) -> Tensor",
    method=False,
)  # fmt: skip
class LayerNorm(Composite):
    """Normalise over the last dimensions to mean 0 and variance 1, then scale and shift (Ba et al. 2016)."""

    def body(input, normalized_shape, weight, bias, eps, cudnn_enable):
        shape = tuple(normalized_shape)
        layouts = [None if t is None else t._layout for t in (input, weight, bias)]
        check_layer_norm(*layouts, shape)
        return ops.layer_norm_rows(input, weight, bias, shape, eps)[0]


@op(
    "nn.functional.layer_norm(Tensor input, int[] normalized_shape, Tensor? weight=None, Tensor? "
    "bias=None, float eps=1e-05) -> Tensor"
)
class FunctionalLayerNorm(Composite):
    """Normalise over the last dimensions to mean 0 and variance 1, then scale and shift (Ba et al. 2016)."""

    body = lambda input, normalized_shape, weight, bias, eps: LayerNorm.body(  # noqa: E731
        input, normalized_shape, weight, bias, eps, True
    )


@op(
    "rms_norm(Tensor input, int[] normalized_shape, Tensor? weight=None, float? eps=None) -> Tensor",
    method=False,
    also="nn.functional.rms_norm",
)
class RmsNorm(Composite):
    """Divide by the root mean square over the last dimensions, then scale (Zhang and Sennrich 2019)."""

    def body(input, normalized_shape, weight, eps):
        shape = tuple(normalized_shape)
        where = input._layout
        require(len(shape) >= 1, f"Expected normalized_shape to be at least 1-dimensional, i.e., containing at least one "
                f"element, but got normalized_shape = {list(shape)}")  # fmt: skip
        require(weight is None or weight._layout.shape == shape,
                "Expected weight to be of same shape as normalized_shape, but got weight of shape "
                f"{list(weight._layout.shape) if weight is not None else ()} and normalized_shape = "
                f"{list(shape)}")  # fmt: skip
        require(where.ndim >= len(shape) and where.shape[where.ndim - len(shape) :] == shape,
                f"Given normalized_shape={list(shape)}, expected input with shape [*"
                f"{', '.join(map(str, shape))}], but "
                f"got input of size{list(where.shape)}")  # fmt: skip
        dims = tuple(range(where.ndim - len(shape), where.ndim))
        wide = input.to(types.float32) if where.dtype.itemsize == 2 else input
        if eps is None:
            eps = 2.220446049250313e-16 if where.dtype is types.float64 else 1.1920928955078125e-07
        power = ops.mean(wide * wide, dims, True)
        found = wide * ops.rsqrt(power + eps)
        if weight is not None:
            found = found * weight
        return found.to(where.dtype) if weight is None or weight.dtype is where.dtype else found


# -- batch norm ------------------------------------------------------------------------------------------------


@op(
    "batch_norm_train(Tensor input, Tensor? weight, Tensor? bias, float eps) -> (Tensor, Tensor, Tensor)",
    function=False,
    method=False,
)
class BatchNormTrain(Opaque):
    """Channels normalised with their own moments, and those: mean and reciprocal standard deviation."""

    algorithm = "rows.batch_norm"
    nondifferentiable = (1, 2)

    def layouts(input):
        kept = contiguous_layout((input.shape[1],), statistic_dtype(input.dtype), input.device)
        strides = (
            input.strides
            if input.dense
            else contiguous_layout(input.shape, input.dtype, input.device).strides
        )
        return [layout(input.shape, strides, input.dtype, input.device), kept, kept]

    def d_all(g0, input, weight, bias_layout, eps, result1, result2, needs):
        if g0 is None:
            return None, None, None
        if not define.RECORDING[0]():
            dx, dw, db = ops.batch_norm_train_backward(g0, input, result1, result2, weight)
            return dx, dw if needs["weight"] else None, db if needs["bias"] else None
        dims = (0, *range(2, input.dim()))
        sizes = channel_view(input)
        mean = ops.mean(input, dims, True)
        centred = input - mean
        scale = ops.rsqrt(ops.mean(centred * centred, dims, True) + eps)
        unit = centred * scale
        h = g0 * ops.reshape(weight, sizes) if weight is not None else g0
        dx = (h - ops.mean(h, dims, True) - unit * ops.mean(h * unit, dims, True)) * scale
        return (
            dx,
            ops.sum(g0 * unit, dims) if needs["weight"] else None,
            ops.sum(g0, dims) if needs["bias"] else None,
        )


@op(
    "batch_norm_train_backward(Tensor grad, Tensor input, Tensor mean, Tensor scale, Tensor? weight) "
    "-> (Tensor, Tensor, Tensor)",
    function=False,
    method=False,
)
class BatchNormTrainBackward(Opaque):
    """Gradients for input, weight and bias."""

    algorithm = "rows.batch_norm_backward"

    def layouts(input, weight):
        kept = contiguous_layout(
            (input.shape[1],), weight.dtype if weight is not None else input.dtype, input.device
        )
        strides = (
            input.strides
            if input.dense
            else contiguous_layout(input.shape, input.dtype, input.device).strides
        )
        return [layout(input.shape, strides, input.dtype, input.device), kept, kept]


@op("scale_shift(Tensor input, Tensor scale, Tensor shift) -> Tensor", function=False, method=False)
class ScaleShift(Pointwise):
    """``input * scale + shift`` in one pass."""

    dtype = promote
    value_kind = ("input",)

    def scalar(input, scale, shift):
        return fma(input, scale, shift) if not hasattr(input, "re") else input * scale + shift

    def d_input(g, scale):
        return g * scale

    def d_scale(g, input):
        return g * input

    def d_shift(g):
        return g


@op("norm_factor(Tensor variance, Scalar eps) -> Tensor", function=False, method=False)
class NormFactor(Pointwise):
    """``1 / sqrt(variance + eps)``."""

    dtype = promote

    def scalar(variance, eps):
        return 1.0 / sqrt(variance + eps)

    def d_variance(g, result):
        return g * -0.5 * result * result * result


@op("norm_variance(Tensor scale, Scalar eps, Scalar correction) -> Tensor", function=False, method=False)
class NormVariance(Pointwise):
    """The variance behind a reciprocal standard deviation, times a correction."""

    dtype = promote

    def scalar(scale, eps, correction):
        return (1.0 / (scale * scale) - eps) * correction

    def d_scale(g, scale, correction):
        return g * correction * -2.0 / (scale * scale * scale)


def channel_view(input) -> tuple[int, ...]:
    """Shape under which a vector of channels broadcasts against the input."""
    shape = input._layout.shape
    return (1, shape[1]) + (1,) * (len(shape) - 2)


def update_running(running, value, momentum: float) -> None:
    """running <- (1 - momentum) * running + momentum * value, outside the graph."""
    ops.mul_(running, 1.0 - momentum)
    ops.add_(running, value, alpha=momentum)


@op(
    "nn.functional.batch_norm(Tensor input, Tensor? running_mean, Tensor? running_var, Tensor? weight=None, "
    "Tensor? bias=None, bool training=False, float momentum=0.1, float eps=1e-05) -> Tensor"
)
class BatchNorm(Composite):
    """Normalise each channel over the batch (or with the running statistics), then scale and shift (Ioffe, Szegedy 2015)."""

    def body(input, running_mean, running_var, weight, bias, training, momentum, eps):
        if not (eps > 0 if training else eps >= 0):
            need = "positive during training" if training else "non-negative"
            raise ValueError(f"batch_norm eps must be {need}, but got {eps}")
        return normalise_channels(input, running_mean, running_var, weight, bias, training, momentum, eps)


@lru_cache(4096)
def check_batch_norm(where, running_mean, running_var, weight, bias, training: bool) -> int:
    """Checks a batch norm's operands (layout of the input, elements of the others); gives the elements of a channel."""
    shape = where.shape
    require(len(shape) >= 2, f"Expected 2D or more dimensions input (got {len(shape)}D input)" if len(shape) else
            "Expected more than 1 value per channel when training, got input size "
            "torch.Size([])", ValueError)  # fmt: skip
    count = 1
    for d, n in enumerate(shape):
        count *= n if d != 1 else 1
    require(
        not training or count != 1,
        f"Expected more than 1 value per channel when training, got input size {shape}",
        ValueError,
    )
    for name, one in (
        ("running_mean", running_mean),
        ("running_var", running_var),
        ("weight", weight),
        ("bias", bias),
    ):
        require(one is None or one == shape[1], f"{name} should contain {shape[1]} elements not {one}")
    require(training or running_mean is not None, "Expected running_mean to be defined when training=False")
    require(training or running_var is not None, "Expected running_var to be defined when training=False")
    check_float(where, "batch_norm")
    return count


def normalise_channels(input, running_mean, running_var, weight, bias, training, momentum, eps):
    where = input._layout
    if where.numel == 0 and where.ndim < 2:
        return ops.clone(input)
    sizes = [None if t is None else t._layout.numel for t in (running_mean, running_var, weight, bias)]
    count = check_batch_norm(where, *sizes, bool(training))
    if training and not eps > 0:
        raise ValueError(f"batch_norm eps must be positive during training, but got {eps}")
    if training and where.numel == 0:  # nothing to learn from: no statistics, zero gradients
        view = channel_view(input)
        found = input if weight is None else input * ops.reshape(weight, view)
        return ops.clone(found) if bias is None else found + ops.reshape(bias, view)
    if training:
        found, mean, scale = ops.batch_norm_train(input, weight, bias, eps)
        if running_mean is not None:
            update_running(running_mean, mean, momentum)
        if running_var is not None:
            correction = count / max(count - 1, 1)
            update_running(running_var, ops.norm_variance(scale, eps, correction), momentum)
        return found
    sizes = channel_view(input)
    factor = ops.norm_factor(running_var, eps)
    if weight is not None:
        factor = factor * weight
    shift = -(running_mean * factor) if bias is None else ops.addcmul(bias, running_mean, factor, value=-1.0)
    return ops.scale_shift(input, ops.reshape(factor, sizes), ops.reshape(shift, sizes))


@op(
    "batch_norm(Tensor input, Tensor? weight, Tensor? bias, Tensor? running_mean, Tensor? "
    "running_var, bool training, float momentum, float eps, bool cudnn_enabled) -> Tensor",
    method=False,
)
class TorchBatchNorm(Composite):
    """torch.batch_norm: as nn.functional.batch_norm, with another order of arguments."""

    def body(input, weight, bias, running_mean, running_var, training, momentum, eps, cudnn_enabled):
        return normalise_channels(input, running_mean, running_var, weight, bias, training, momentum, eps)


@op(
    "native_batch_norm(Tensor input, Tensor? weight, Tensor? bias, Tensor? running_mean, Tensor? "
    "running_var, bool training, float momentum, float eps) -> (Tensor, Tensor, Tensor)",
    method=False,
)
class NativeBatchNorm(Composite):
    """Batch norm with the saved statistics (empty outside training)."""

    def body(input, weight, bias, running_mean, running_var, training, momentum, eps):
        if not training:
            found = normalise_channels(input, running_mean, running_var, weight, bias, False, momentum, eps)
            return found, ops.empty((0,), dtype=input.dtype), ops.empty((0,), dtype=input.dtype)
        found, mean, scale = ops.batch_norm_train(input, weight, bias, eps)
        if running_mean is not None:
            count = input.numel() // input.shape[1]
            update_running(running_mean, mean, momentum)
            variance = ops.norm_variance(scale, eps, count / max(count - 1, 1))
            update_running(running_var, variance, momentum)
        return found, mean, scale


@op(
    "native_layer_norm(Tensor input, int[] normalized_shape, Tensor? weight, Tensor? bias, float "
    "eps) -> (Tensor, Tensor, Tensor)",
    method=False,
)
class NativeLayerNorm(Composite):
    """Layer norm with each row's mean and reciprocal standard deviation."""

    def body(input, normalized_shape, weight, bias, eps):

        return ops.layer_norm_rows(input, weight, bias, tuple(normalized_shape), eps)


# -- group and instance norm -------------------------------------------------------------------------------------


@op(
    "group_norm(Tensor input, int num_groups, Tensor? weight=None, Tensor? bias=None, float "
    "eps=1e-05, bool cudnn_enabled=True) -> Tensor",
    method=False,
)
class GroupNorm(Composite):
    """Normalise groups of channels of each sample, then scale and shift by channel (Wu and He 2018)."""

    def body(input, num_groups, weight, bias, eps, cudnn_enabled):
        return normalise_groups(input, num_groups, weight, bias, eps)


@op(
    "nn.functional.group_norm(Tensor input, int num_groups, Tensor? weight=None, Tensor? bias=None, "
    "float eps=1e-05) -> Tensor"
)
class FunctionalGroupNorm(Composite):
    """Normalise groups of channels of each sample, then scale and shift by channel (Wu and He 2018)."""

    def body(input, num_groups, weight, bias, eps):
        return normalise_groups(input, num_groups, weight, bias, eps)


def normalise_groups(input, num_groups, weight, bias, eps):
    where = input._layout
    sizes = [None if t is None else t._layout for t in (weight, bias)]
    lead, last = check_groups(where, num_groups, *sizes)
    if not where.numel:
        return input * 1.0
    rows = ops.reshape(input, lead)
    unit = ops.reshape(ops.layer_norm_rows(rows, None, None, last, eps)[0], where.shape)
    if weight is None and bias is None:
        return unit
    sizes = channel_view(input)
    if weight is not None and bias is not None:
        return ops.scale_shift(unit, ops.reshape(weight, sizes), ops.reshape(bias, sizes))
    if weight is not None:
        return unit * ops.reshape(weight, sizes)
    return unit + ops.reshape(bias, sizes)


@lru_cache(4096)
def check_groups(input, num_groups: int, weight, bias) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Checks the layouts of a group norm's operands; gives the shape of the groups as rows, and that of one."""
    require(input.ndim >= 2, f"Expected at least 2 dimensions for input tensor but received {input.ndim}")
    channels = input.shape[1]
    require(num_groups > 0, f"Expected num groups to be greater than 0, got {num_groups}")
    require(channels % num_groups == 0,
            f"Expected number of channels in input to be divisible by num_groups, but got input of shape "
            f"{list(input.shape)} and num_groups={num_groups}")  # fmt: skip
    for name, one in (("weight", weight), ("bias", bias)):
        require(one is None or (one.ndim == 1 and one.numel == channels),
                f"Expected {name} to be a vector of size equal to the number of channels in input, "
                f"but got {name} of shape "
                f"{list(one.shape) if one is not None else ()} and input of shape "
                f"{list(input.shape)}")  # fmt: skip
    check_float(input, "GroupNormKernelImpl")
    rows = input.shape[0] * num_groups
    length = input.numel // rows if rows else 0
    return (rows, length), (length,)


@op(
    "nn.functional.instance_norm(Tensor input, Tensor? running_mean=None, Tensor? running_var=None, "
    "Tensor? weight=None, "
    "Tensor? bias=None, bool use_input_stats=True, float momentum=0.1, float eps=1e-05) -> Tensor"
)
class InstanceNorm(Composite):
    """Normalise each channel of each sample (Ulyanov et al. 2016)."""

    def body(input, running_mean, running_var, weight, bias, use_input_stats, momentum, eps):
        shape = input.shape
        if use_input_stats:
            spatial = 1
            for n in shape[2:]:
                spatial *= n
            require(
                spatial != 1,
                f"Expected more than 1 spatial element when training, got input size {shape}",
                ValueError,
            )
        batch, channels = shape[0], shape[1]

        def tiled(one):
            return (
                None
                if one is None
                else ops.reshape(ops.expand(ops.unsqueeze(one, 0), (batch, channels)), (-1,))
            )

        merged = ops.reshape(input, (1, batch * channels, *shape[2:]))
        mean = ops.clone(tiled(running_mean)) if running_mean is not None else None
        variance = ops.clone(tiled(running_var)) if running_var is not None else None
        found = normalise_channels(
            merged, mean, variance, tiled(weight), tiled(bias), use_input_stats, momentum, eps
        )
        if use_input_stats and running_mean is not None:
            ops.copy_(running_mean, ops.mean(ops.reshape(mean, (batch, channels)), 0))
            ops.copy_(running_var, ops.mean(ops.reshape(variance, (batch, channels)), 0))
        return ops.reshape(found, shape)


@op(
    "nn.functional.local_response_norm(Tensor input, int size, float alpha=0.0001, float beta=0.75, "
    "float k=1.0) -> Tensor"
)
class LocalResponseNorm(Composite):
    """Divide by a power of the energy of neighbouring channels (Krizhevsky et al. 2012)."""

    def body(input, size, alpha, beta, k):
        require(
            input.dim() >= 3,
            f"Expected 3D or higher dimensionality input (got {input.dim()} dimensions)",
            ValueError,
        )
        if input.numel() == 0:
            return input
        power = input * input
        channels = input.shape[1]
        before = size // 2
        total = None
        for d in range(size):
            shift = d - before
            first, last = max(0, shift), min(channels, channels + shift)
            if first >= last:
                continue
            part = ops.slice(power, 1, first, last)
            low = first - shift
            pad = ops.zeros_like(power)
            part = ops.slice_scatter(pad, part, 1, low, low + last - first)
            total = part if total is None else total + part
        if input.dtype.kind < 2:  # the mean of integers is one, rounded towards zero
            return input / ops.pow(ops.div(total, size, rounding_mode="trunc") * alpha + k, beta)
        return input / ops.pow(total * (alpha / size) + k, beta)
