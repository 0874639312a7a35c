"""Pooling: maxima and means of windows of a signal, of one to three spatial dimensions."""

from __future__ import annotations

from functools import lru_cache

from ..base import dtype as types
from ..base.errors import require
from ..base.layout import contiguous_layout, layout
from .conv import memory_like
from .define import op, ops
from .kinds import Composite, Opaque


def pooled(n: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool) -> int:
    """Windows along one dimension; in ceil mode the last may reach past the end but must start inside."""
    reach = n + 2 * padding - dilation * (kernel - 1) - 1
    count = (-(-reach // stride) if ceil_mode else reach // stride) + 1
    if ceil_mode and (count - 1) * stride >= n + padding:
        count -= 1
    return count


def pooled_shape(shape, kernel_size, stride, padding, dilation, ceil_mode) -> tuple[int, ...]:
    sizes = [pooled(*a, ceil_mode) for a in zip(shape[2:], kernel_size, stride, padding, dilation)]
    return (*shape[:2], *sizes)


def index_like(where):
    return layout(where.shape, where.strides, types.int64, where.device)


@op(
    "max_pool_windows(Tensor input, int[] kernel_size, int[] stride, int[] padding, int[] dilation, "
    "bool ceil_mode) -> "
    "(Tensor, Tensor)",
    function=False, method=False,
)  # fmt: skip
class MaxPoolWindows(Opaque):
    """Maximum of each window of (N, C, *spatial), and its place in the flattened plane."""

    algorithm = "pooling.max_pool"
    nondifferentiable = (1,)

    def layouts(input, kernel_size, stride, padding, dilation, ceil_mode):
        found = memory_like(
            pooled_shape(input.shape, kernel_size, stride, padding, dilation, ceil_mode), input
        )
        return [found, index_like(found)]

    def d_input(g0, result1, input_layout):
        return ops.max_pool_gradient(g0, result1, input_layout.shape)


@op(
    "adaptive_max_pool_windows(Tensor input, int[] output_size) -> (Tensor, Tensor)",
    function=False,
    method=False,
)
class AdaptiveMaxPoolWindows(Opaque):
    """Maximum of each of a given number of windows, and its place in the flattened plane."""

    algorithm = "pooling.adaptive_max_pool"
    nondifferentiable = (1,)

    def layouts(input, output_size):
        found = memory_like((*input.shape[:2], *output_size), input)
        return [found, index_like(found)]

    def d_input(g0, result1, input_layout):
        return ops.max_pool_gradient(g0, result1, input_layout.shape)


@op("max_pool_gradient(Tensor grad, Tensor index, int[] shape) -> Tensor", function=False, method=False)
class MaxPoolGradient(Opaque):
    """Adds each gradient at the place of its maximum."""

    algorithm = "pooling.max_pool_gradient"

    def layouts(grad, shape):
        return contiguous_layout(shape, grad.dtype, grad.device)

    def d_grad(g, index):
        flat = ops.reshape(g, (*g.shape[:2], -1))
        places = ops.reshape(index, (*index.shape[:2], -1))
        return ops.reshape(ops.gather(flat, 2, places), index.shape)


_AVERAGE = "int[] kernel_size, int[] stride, int[] padding, bool ceil_mode, bool count_include_pad, int? divisor_override"


@op(f"avg_pool_windows(Tensor input, {_AVERAGE}) -> Tensor", function=False, method=False)
class AvgPoolWindows(Opaque):
    """Mean of each window of (N, C, *spatial)."""

    algorithm = "pooling.avg_pool"

    def layouts(input, kernel_size, stride, padding, ceil_mode):
        ones = (1,) * len(stride)
        return memory_like(pooled_shape(input.shape, kernel_size, stride, padding, ones, ceil_mode), input)

    def d_input(
        g, input_layout, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    ):
        return ops.avg_pool_gradient(
            g,
            input_layout.shape,
            kernel_size,
            stride,
            padding,
            ceil_mode,
            count_include_pad,
            divisor_override,
        )


@op(f"avg_pool_gradient(Tensor grad, int[] shape, {_AVERAGE}) -> Tensor", function=False, method=False)
class AvgPoolGradient(Opaque):
    """Each window's gradient shared between its elements."""

    algorithm = "pooling.avg_pool_gradient"

    def layouts(grad, shape):
        return contiguous_layout(shape, grad.dtype, grad.device)

    def d_grad(g, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override):
        return ops.avg_pool_windows(
            g, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
        )


@op("adaptive_avg_pool_windows(Tensor input, int[] output_size) -> Tensor", function=False, method=False)
class AdaptiveAvgPoolWindows(Opaque):
    """Mean of each of a given number of windows."""

    algorithm = "pooling.adaptive_avg_pool"

    def layouts(input, output_size):
        return memory_like((*input.shape[:2], *output_size), input)

    def d_input(g, input_layout, output_size):
        return ops.adaptive_avg_pool_gradient(g, input_layout.shape, output_size)


@op(
    "adaptive_avg_pool_gradient(Tensor grad, int[] shape, int[] output_size) -> Tensor",
    function=False,
    method=False,
)
class AdaptiveAvgPoolGradient(Opaque):
    """Each window's gradient shared between its elements."""

    algorithm = "pooling.adaptive_avg_pool_gradient"

    def layouts(grad, shape):
        return contiguous_layout(shape, grad.dtype, grad.device)

    def d_grad(g, output_size):
        return ops.adaptive_avg_pool_windows(g, output_size)


# -- arguments -------------------------------------------------------------------------------------------------


def sizes(value, dims: int, name: str) -> tuple[int, ...]:
    found = (value,) if isinstance(value, int) else tuple(int(v) for v in value)
    require(
        len(found) in (1, dims),
        f"{name} must either be a single int, or a tuple of "
        f"{'two' if dims == 2 else 'three' if dims == 3 else 'one'} ints",
    )
    return found * dims if len(found) == 1 else found


def plain(value):
    """An argument that may be a list, as a key."""
    return tuple(value) if isinstance(value, list) else value


def windows(input, kernel_size, stride, padding, dilation, ceil_mode, dims: int, name: str):
    """Canonical arguments, checked; the input with a batch dimension; whether it had one."""
    shape = input._layout.shape
    try:
        batched, *rest = checked_windows(shape, kernel_size, stride, padding, dilation, ceil_mode, dims, name)
    except TypeError:  # lists
        given = (plain(kernel_size), plain(stride), plain(padding), plain(dilation))
        batched, *rest = checked_windows(shape, *given, ceil_mode, dims, name)
    return input if batched else ops.unsqueeze(input, 0), batched, *rest


@lru_cache(4096)
def checked_windows(given, kernel_size, stride, padding, dilation, ceil_mode, dims: int, name: str):
    """Whether there is a batch, then kernel, stride, padding and dilation for each dimension."""
    kernel = sizes(kernel_size, dims, f"{name}: kernel_size")
    stride = (
        kernel if stride is None or stride == () or stride == [] else sizes(stride, dims, f"{name}: stride")
    )
    padding = sizes(padding, dims, f"{name}: padding")
    dilation = sizes(dilation, dims, f"{name}: dilation")
    if name == "max_pool1d":
        check_line(given, kernel[0], stride[0], padding[0], dilation[0], ceil_mode)
    require(
        all(k > 0 for k in kernel),
        f"kernel size should be greater than zero, but got {_by(kernel, 'k', dims)}",
    )
    require(
        all(s > 0 for s in stride), f"stride should be greater than zero, but got {_by(stride, 'd', dims)}"
    )
    require(
        all(d > 0 for d in dilation),
        f"dilation should be greater than zero, but got {_by(dilation, 'dilation', dims)}",
    )
    require(all(p >= 0 for p in padding), f"pad must be non-negative, but got pad: {padding[0]}")
    require(all(p <= ((k - 1) * d + 1) // 2 for p, k, d in zip(padding, kernel, dilation)),
            f"pad should be at most half of effective kernel size, but got pad={padding[0]}, "
            f"kernel_size={kernel[0]} and "
            f"dilation={dilation[0]}")  # fmt: skip
    ok = len(given) in (dims + 1, dims + 2) and all(n > 0 for n in given[-dims - 1 :])
    require(ok, not_fitting(name, dims, given))
    batched = len(given) == dims + 2
    full = given if batched else (1, *given)
    shape = pooled_shape(full, kernel, stride, padding, dilation, ceil_mode)
    require(all(n > 0 for n in shape[2:]),
            f"Given input size: ({'x'.join(map(str, full[1:]))}). Calculated output size: "
            f"({'x'.join(map(str, shape[1:]))}). Output size is too small")  # fmt: skip
    return batched, kernel, stride, padding, dilation


def check_line(given, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool) -> None:
    """What max_pool1d says of its arguments, in its own words."""
    ok = len(given) in (2, 3) and all(n > 0 for n in given[-2:])
    require(ok, not_fitting("max_pool1d", 1, given).replace("max_pool1d()", "max_pool1d", 1))
    for label, value in (("kernel_size", kernel), ("stride", stride)):
        require(value > 0, f"max_pool1d() {label} must be greater than zero, but got {value}")
    if padding < 0 or padding > ((kernel - 1) * dilation + 1) // 2 and dilation > 0:
        return  # said as for the other numbers of dimensions
    require(dilation > 0, f"max_pool1d() dilation must be greater than zero, but got {dilation}")
    size = pooled(given[-1], kernel, stride, padding, dilation, ceil_mode)
    require(size > 0, f"max_pool1d() Invalid computed output size: {size}")


def not_fitting(name: str, dims: int, given) -> str:
    """What is said of an input of the wrong number of dimensions, or with an empty one."""
    batched = f"{dims + 1}D or {dims + 2}D (batch mode) tensor"
    if name == "avg_pool3d":
        return f"non-empty {batched} expected for input"
    if name == "max_pool3d" and len(given) in (4, 5) and 0 in given[-4:]:
        at = max(0, given[-4:].index(0) - (len(given) - 4))
        return (
            "max_pool3d_with_indices_out_cpu_template(): Expected input's non-batch dimensions to have positive length, "
            f"but input has a shape of {list(given)} and non-batch dimension {at} has length zero!"
        )
    label = "" if name == "max_pool2d" else f"{name}(): "
    return f"{label}Expected {batched} with optional 0 dim batch size for input, but got:{list(given)}"


def _by(values, letter: str, dims: int) -> str:
    names = ("T", "H", "W")[-dims:]
    return ", ".join(f"{letter}{n}: {v}" for n, v in zip(names, values))


def unbatch(found, batched: bool):
    return found if batched else ops.squeeze(found, 0)


def check_kind(input, name: str) -> None:
    kind = input._layout.dtype
    if kind.kind not in (1, 2):
        raise NotImplementedError(f"\"{name}\" not implemented for '{_KINDS.get(kind.name, kind.name)}'")


_KINDS = {"bool": "Bool", "int64": "Long", "complex64": "ComplexFloat", "complex128": "ComplexDouble"}

for _dims in (1, 2, 3):

    @op(
        f"nn.functional.max_pool{_dims}d_with_indices(Tensor input, any kernel_size, any stride=None, "
        f"any padding=0, "
        "any dilation=1, bool ceil_mode=False, bool return_indices=False) -> (Tensor, Tensor)",
        also=f"max_pool{_dims}d_with_indices",
    )  # fmt: skip
    class MaxPoolWithIndices(Composite):
        """Maximum of each window, and its index in the flattened plane."""

        def body(input, kernel_size, stride, padding, dilation, ceil_mode, return_indices, _dims=_dims):
            check_kind(input, "max_pool")
            source, batched, *rest = windows(
                input, kernel_size, stride, padding, dilation, ceil_mode, _dims, f"max_pool{_dims}d"
            )
            found = ops.max_pool_windows(source, *rest, ceil_mode)
            return unbatch(found[0], batched), unbatch(found[1], batched)

    @op(
        f"nn.functional.max_pool{_dims}d(Tensor input, any kernel_size, any stride=None, any "
        f"padding=0, any dilation=1, "
        "bool ceil_mode=False, bool return_indices=False) -> Tensor",
        also=f"max_pool{_dims}d",
    )  # fmt: skip
    class MaxPool(Composite):
        """Maximum of each window.

        Shape: input ``(N, C, *spatial)`` or ``(C, *spatial)``.
        """

        def body(input, kernel_size, stride, padding, dilation, ceil_mode, return_indices, _dims=_dims):
            check_kind(input, "max_pool")
            source, batched, *rest = windows(
                input, kernel_size, stride, padding, dilation, ceil_mode, _dims, f"max_pool{_dims}d"
            )
            found = ops.max_pool_windows(source, *rest, ceil_mode)
            if return_indices:
                return unbatch(found[0], batched), unbatch(found[1], batched)
            return unbatch(found[0], batched)

    @op(
        f"nn.functional.avg_pool{_dims}d(Tensor input, any kernel_size, any stride=None, any "
        f"padding=0, bool ceil_mode=False, "
        f"bool count_include_pad=True{', int? divisor_override=None' if _dims > 1 else ''}) -> Tensor",
        also=f"avg_pool{_dims}d _C._nn.avg_pool{_dims}d" if _dims > 1 else "avg_pool1d",
    )  # fmt: skip
    class AvgPool(Composite):
        """Mean of each window; padding counts unless ``count_include_pad`` is False.

        Shape: input ``(N, C, *spatial)`` or ``(C, *spatial)``.
        """

        def body(
            input,
            kernel_size,
            stride,
            padding,
            ceil_mode,
            count_include_pad,
            divisor_override=None,
            _dims=_dims,
        ):
            check_kind(input, f"avg_pool{_dims}d_out_frame")
            if divisor_override == 0:
                raise RuntimeError("divisor must be not zero")
            source, batched, kernel, stride, padding, _ = windows(
                input, kernel_size, stride, padding, 1, ceil_mode, _dims, f"avg_pool{_dims}d"
            )
            found = ops.avg_pool_windows(
                source, kernel, stride, padding, ceil_mode, count_include_pad, divisor_override
            )
            return found if batched else ops.squeeze(found, 0)

    @op(
        f"nn.functional.adaptive_avg_pool{_dims}d(Tensor input, any output_size) -> Tensor",
        also=f"adaptive_avg_pool{_dims}d" if _dims == 1 else f"_C._nn.adaptive_avg_pool{_dims}d",
    )  # fmt: skip
    class AdaptiveAvgPool(Composite):
        """Mean of windows chosen so that the result has the given size; None keeps a dimension."""

        def body(input, output_size, _dims=_dims):
            check_kind(input, f"adaptive_avg_pool{_dims}d")
            source, batched, output = adaptive(input, output_size, _dims, f"adaptive_avg_pool{_dims}d")
            return unbatch(ops.adaptive_avg_pool_windows(source, output), batched)

    @op(
        f"nn.functional.adaptive_max_pool{_dims}d(Tensor input, any output_size, bool "
        f"return_indices=False) -> Tensor"
    )
    class AdaptiveMaxPool(Composite):
        """Maximum of windows chosen so that the result has the given size; None keeps a dimension."""

        def body(input, output_size, return_indices, _dims=_dims):
            check_kind(input, f"adaptive_max_pool{_dims}d")
            source, batched, output = adaptive(input, output_size, _dims, f"adaptive_max_pool{_dims}d")
            found = ops.adaptive_max_pool_windows(source, output)
            if return_indices:
                return unbatch(found[0], batched), unbatch(found[1], batched)
            return unbatch(found[0], batched)

    @op(
        f"nn.functional.lp_pool{_dims}d(Tensor input, float norm_type, any kernel_size, any "
        f"stride=None, bool ceil_mode=False)"
        " -> Tensor"
    )  # fmt: skip
    class LpPool(Composite):
        """The p-norm of each window (the root of the sum of powers)."""

        def body(input, norm_type, kernel_size, stride, ceil_mode, _dims=_dims):
            kernel = sizes(kernel_size, _dims, "kernel_size")
            count = 1
            for k in kernel:
                count *= k
            pool = getattr(ops, f"avg_pool{_dims}d")
            mean = pool(ops.pow(input, norm_type), kernel, stride, 0, ceil_mode)
            return ops.pow(ops.sign(mean) * ops.relu(ops.abs(mean)) * count, 1.0 / norm_type)

    @op(
        f"nn.functional.max_unpool{_dims}d(Tensor input, Tensor indices, any kernel_size, any "
        f"stride=None, any padding=0, "
        "any output_size=None) -> Tensor"
    )  # fmt: skip
    class MaxUnpool(Composite):
        """The inverse of max pooling: each value at its index, zeros elsewhere."""

        def body(input, indices, kernel_size, stride, padding, output_size, _dims=_dims):
            kernel = sizes(kernel_size, _dims, "kernel_size")
            stride = kernel if stride is None else sizes(stride, _dims, "stride")
            padding = sizes(padding, _dims, "padding")
            require(
                indices.dtype is types.int64,
                f"elements in indices should be type int64 but got: {indices.dtype}",
            )
            one = [1] if _dims == 1 else []  # a line is unpooled as a plane of width 1
            require(input.shape == indices.shape, f"Expected shape of indices to be same as that of the input tensor "
                    f"({[*input.shape, *one]}) but got indices tensor with shape: "
                    f"{[*indices.shape, *one]}")  # fmt: skip
            default = [
                (n - 1) * s + k - 2 * p for n, k, s, p in zip(input.shape[-_dims:], kernel, stride, padding)
            ]
            size = default if output_size is None else list(output_size)[-_dims:]
            for d, (n, s) in enumerate(zip(default, stride)):
                require(output_size is None or n - s < size[d] < n + s,
                        f'invalid output_size "{size}" (dim {d} must be between {n - s} and {n + s})', ValueError)  # fmt: skip
            lead = input.shape[: input.dim() - _dims]
            count = 1
            for n in size:
                count *= n
            flat = ops.reshape(input, (*lead, -1))
            where = ops.reshape(indices, (*lead, -1))
            if where.numel():
                worst = int(where.max())
                require(worst < count and int(where.min()) >= 0,
                        f"Found an invalid max index: {worst} (output volumes are of size "
                        f"{'x'.join(map(str, size))}")  # fmt: skip
            made = ops.scatter(ops.zeros((*lead, count), dtype=input.dtype), -1, where, flat)
            return ops.reshape(made, (*lead, *size))


def wrong_count(name: str, dims: int, count: int) -> str:
    if dims == 1:
        return f"{name}() argument 'output_size' should contain one int (got {count})"
    if "avg" in name:
        return f"{name}: output_size must be {dims}"
    return f"{name}(): internal error: output_size.size() must be {dims}"


def negative_size(name: str, given, output) -> str:
    if "max" in name:
        least = next((o for o in output if o < 0), 0)
        lead = list(given[: len(given) - len(output)])
        size = [*lead, *((1,) if len(output) == 1 else ()), *output]
        return f"Trying to create tensor with negative dimension {least}: {size}"
    sizes = (1, *output) if len(output) == 1 else output
    text = ", ".join(map(str, sizes)) if len(sizes) < 3 else f"{sizes[0]}, {sizes[1]},{sizes[2]}"
    plane = "adaptive_avg_pool2d" if len(output) == 1 else name
    return f"{plane}: elements of output_size must be greater than or equal to 0 but received {{{text}}}"


def adaptive(input, output_size, dims: int, name: str):
    """The batched input, whether it was, and the wanted sizes, checked."""
    batched, output = checked_adaptive(input._layout.shape, plain(output_size), dims, name)
    return input if batched else ops.unsqueeze(input, 0), batched, output


@lru_cache(4096)
def checked_adaptive(given, output_size, dims: int, name: str):
    """Whether there is a batch, and the size of the result in each dimension."""
    output = (
        (output_size,) * dims if isinstance(output_size, int) or output_size is None else tuple(output_size)
    )
    output = output * dims if len(output) == 1 else output
    require(len(output) == dims, wrong_count(name, dims, len(output)))
    require(len(given) > dims, f"Input dimension should be at least {dims + 1}", ValueError)
    require(len(given) in (dims + 1, dims + 2),
            f"{name}(): Expected {dims + 1}D or {dims + 2}D tensor, but got {list(given)}")  # fmt: skip
    output = tuple(n if o is None else int(o) for o, n in zip(output, given[-dims:]))
    require(all(o >= 0 for o in output), negative_size(name, given, output))
    for d in range(1, dims + 2 if len(given) == dims + 2 else dims + 1):
        require(given[d] > 0 or d == 0,
                f"{name}(): Expected input to have non-zero size for non-batch dimensions, but input has sizes "
                f"{list(given)} with dimension {d} being empty")  # fmt: skip
    return len(given) == dims + 2, output
