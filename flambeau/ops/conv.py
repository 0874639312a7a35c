"""Convolutions, plain and transposed, of one to three spatial dimensions."""

from __future__ import annotations

from ..base.errors import require
from ..base.layout import Layout, channels_last_strides, contiguous_strides, is_channels_last, layout
from ..ir.expr import conj
from .define import op, ops
from .kinds import Composite, Opaque


def tuple_of(value, dims: int, name: str) -> tuple[int, ...]:
    """One int for each spatial dimension."""
    if isinstance(value, int):
        return (value,) * dims
    found = tuple(int(v) for v in value)
    if len(found) == 1:
        return found * dims
    require(len(found) == dims, f"expected {name} to be a single integer value or a list of {dims} values to match the "
            f"convolution dimensions, but got {name}={list(found)}")  # fmt: skip
    return found


def spatial_size(n: int, k: int, stride: int, padding: int, dilation: int) -> int:
    return (n + 2 * padding - dilation * (k - 1) - 1) // stride + 1


def transposed_size(n: int, k: int, stride: int, padding: int, dilation: int, output_padding: int) -> int:
    return (n - 1) * stride - 2 * padding + dilation * (k - 1) + output_padding + 1


def memory_like(shape, like: Layout) -> Layout:
    """A result of this shape, channels last where the input is."""
    strides = contiguous_strides(shape)
    if (
        len(shape) in (4, 5)
        and not like.contiguous
        and is_channels_last(like.shape, like.strides, len(shape))
    ):
        strides = channels_last_strides(shape)
    return layout(shape, strides, like.dtype, like.device)


@op(
    "convolution(Tensor input, Tensor weight, Tensor? bias, int[] stride, int[] padding, int[] "
    "dilation, bool transposed, "
    "int[] output_padding, int groups) -> Tensor",
    method=False,
)  # fmt: skip
class Convolution(Opaque):
    """A batched convolution (cross-correlation) or transposed convolution with all its parameters.

    Shape: input ``(N, C, *spatial)``; weight ``(out, C / groups, *kernel)``, transposed ``(C, out / groups, *kernel)``.
    """

    algorithm = "convolve.convolution"

    def check(input, weight, bias, stride, padding, dilation, transposed, output_padding, groups):
        check_convolution(input, weight, bias, stride, padding, dilation, transposed, output_padding, groups)

    def layouts(input, weight, stride, padding, dilation, transposed, output_padding, groups):
        kernel = weight.shape[2:]
        if transposed:
            sizes = [
                transposed_size(*a)
                for a in zip(input.shape[2:], kernel, stride, padding, dilation, output_padding)
            ]
            return memory_like((input.shape[0], weight.shape[1] * groups, *sizes), input)
        sizes = [spatial_size(*a) for a in zip(input.shape[2:], kernel, stride, padding, dilation)]
        return memory_like((input.shape[0], weight.shape[0], *sizes), input)

    def d_input(g, weight, input_layout, stride, padding, dilation, transposed, output_padding, groups):
        if transposed:
            zero = (0,) * len(stride)
            found = ops.convolution(g, conj(weight), None, stride, padding, dilation, False, zero, groups)
            for d in range(
                2, found.dim()
            ):  # output padding beyond a stride makes room for windows that were not there
                found = (
                    found
                    if found.shape[d] == input_layout.shape[d]
                    else ops.slice(found, d, 0, input_layout.shape[d])
                )
            return found
        sizes = zip(g.shape[2:], weight.shape[2:], stride, padding, dilation, (0,) * len(stride))
        extra = tuple(n - transposed_size(*a) for n, a in zip(input_layout.shape[2:], sizes))
        return ops.convolution(g, conj(weight), None, stride, padding, dilation, True, extra, groups)

    def d_weight(g, input, weight_layout, stride, padding, dilation, transposed, groups):
        source, moved = (g, conj(input)) if transposed else (conj(input), g)
        return ops.convolution_weight(source, moved, weight_layout.shape, stride, padding, dilation, groups)

    def d_bias(g):
        return ops.sum(g, (0, *range(2, g.dim())))


@op(
    "convolution_weight(Tensor input, Tensor grad, int[] weight_shape, int[] stride, int[] padding, "
    "int[] dilation, "
    "int groups) -> Tensor",
    function=False, method=False,
)  # fmt: skip
class ConvolutionWeight(Opaque):
    """Gradient of a convolution's weight: each tap's correlation of input and gradient."""

    algorithm = "convolve.weight"

    def layouts(input, weight_shape):
        return layout(weight_shape, contiguous_strides(weight_shape), input.dtype, input.device)

    def d_input(g, grad, input_layout, weight_shape, stride, padding, dilation, groups):
        sizes = zip(grad.shape[2:], weight_shape[2:], stride, padding, dilation, (0,) * len(stride))
        extra = tuple(n - transposed_size(*a) for n, a in zip(input_layout.shape[2:], sizes))
        return ops.convolution(grad, g, None, stride, padding, dilation, True, extra, groups)

    def d_grad(g, input, stride, padding, dilation, groups):
        return ops.convolution(input, g, None, stride, padding, dilation, False, (0,) * len(stride), groups)


def check_convolution(
    input, weight, bias, stride, padding, dilation, transposed, output_padding, groups
) -> None:
    dims = weight.ndim - 2
    require(all(p >= 0 for p in padding), "negative padding is not supported")
    require(all(s > 0 for s in stride), "non-positive stride is not supported")
    require(all(d > 0 for d in dilation), "dilation should be greater than zero")
    require(groups > 0, "non-positive groups is not supported")
    require(weight.ndim == input.ndim,
            f"Expected {weight.ndim}-dimensional input for {weight.ndim}-dimensional weight "
            f"{list(weight.shape)}, but got "
            f"{input.ndim}-dimensional input of size {list(input.shape)} instead")  # fmt: skip
    require(weight.shape[0] >= groups, f"Given groups={groups}, expected weight to be at least {groups} at dimension 0, but "
            f"got weight of size {list(weight.shape)} instead")  # fmt: skip
    require(weight.shape[0] % groups == 0, f"Given groups={groups}, expected weight to be divisible by {groups} at "
            f"dimension 0, but got weight of size {list(weight.shape)} instead")  # fmt: skip
    require(input.dtype is weight.dtype,
            f"Input type ({_type_name(input)}) and weight type ({_type_name(weight)}) should be the "
            f"same")  # fmt: skip
    require(bias is None or bias.dtype is input.dtype,
            f"Input type ({_type_name(input)}) and bias type "
            f"({_type_name(bias) if bias is not None else ''}) should be the same")  # fmt: skip
    if transposed:
        require(input.shape[1] == weight.shape[0],
                f"Given transposed=1, weight of size {list(weight.shape)}, expected "
                f"input{list(input.shape)} to have "
                f"{weight.shape[0]} channels, but got {input.shape[1]} channels instead",
                need=f"input.shape[1] == weight.shape[0]; got {input.shape[1]} and {weight.shape[0]}")  # fmt: skip
        outputs = weight.shape[1] * groups
        sizes = [
            transposed_size(*a)
            for a in zip(input.shape[2:], weight.shape[2:], stride, padding, dilation, output_padding)
        ]
        require(all(n > 0 for n in sizes),
                f"Given input size per channel: ({' x '.join(map(str, input.shape[2:]))}). Calculated "
                f"output size per channel: "
                f"({' x '.join(map(str, sizes))}). Output size is too small")  # fmt: skip
        require(all(o < max(s, d) for o, s, d in zip(output_padding, stride, dilation)),
                f"output padding must be smaller than either stride or dilation, but got output_padding: "
                f"{list(output_padding)} stride: {list(stride)} dilation: {list(dilation)}")  # fmt: skip
    else:
        require(input.shape[1] == weight.shape[1] * groups,
                f"Given groups={groups}, weight of size {list(weight.shape)}, expected "
                f"input{list(input.shape)} to have "
                f"{weight.shape[1] * groups} channels, but got {input.shape[1]} channels instead",
                need=f"input.shape[1] == weight.shape[1] * groups; got {input.shape[1]} and {weight.shape[1] * groups}")  # fmt: skip
        outputs = weight.shape[0]
        padded = [n + 2 * p for n, p in zip(input.shape[2:], padding)]
        reach = [d * (k - 1) + 1 for d, k in zip(dilation, weight.shape[2:])]
        require(all(n >= k for n, k in zip(padded, reach)),
                f"Calculated padded input size per channel: ({' x '.join(map(str, padded))}). Kernel size: "
                f"({' x '.join(map(str, reach))}). Kernel size can't be greater than actual input "
                f"size")  # fmt: skip
    require(bias is None or bias.ndim == 1 and bias.shape[0] == outputs,
            f"Given {'transposed=1' if transposed else f'groups={groups}'}, weight of size "
            f"{list(weight.shape)}, expected "
            f"bias to be 1-dimensional with {outputs} elements, but got bias of size "
            f"{list(bias.shape) if bias is not None else ()} instead")  # fmt: skip
    require(dims >= 1, "weight should have at least three dimensions")


def _type_name(where: Layout) -> str:
    names = {"float32": "float", "float64": "double", "float16": "c10::Half", "bfloat16": "c10::BFloat16", "int64": "long int",
             "complex64": "c10::complex<float>", "complex128": "c10::complex<double>"}  # fmt: skip
    return names.get(where.dtype.name, where.dtype.name)


def convolve(
    input, weight, bias, stride, padding, dilation, groups, dims: int, transposed=False, output_padding=0
):
    """conv1d, conv2d, conv3d and their transposed forms: arguments made canonical, a batch added where there is none."""
    name = f"conv{'_transpose' if transposed else ''}{dims}d"
    require(input.dim() in (dims + 1, dims + 2),
            f"Expected {dims + 1}D (unbatched) or {dims + 2}D (batched) input to {name}, but got "
            f"input of size: "
            f"{list(input.shape)}")  # fmt: skip
    if weight.dim() != dims + 2:
        size = [*([] if input.dim() == dims + 2 else [1]), *input.shape]
        require(weight.dim() >= 3, "weight should have at least three dimensions")
        raise RuntimeError(
            f"Expected {weight.dim()}-dimensional input for {weight.dim()}-dimensional weight{list(weight.shape)}, "
            f"but got {len(size)}-dimensional input of size {size} instead"
        )
    stride = tuple_of(stride, dims, "stride")
    dilation = tuple_of(dilation, dims, "dilation")
    output_padding = tuple_of(output_padding, dims, "output_padding")
    batched = input.dim() == dims + 2
    source = input if batched else ops.unsqueeze(input, 0)
    if isinstance(padding, str):
        require(padding in ("valid", "same"), f"Invalid padding string: '{padding}'")
        if padding == "same":
            require(all(s == 1 for s in stride), "padding='same' is not supported for strided convolutions")
            total = [d * (k - 1) for d, k in zip(dilation, weight.shape[2:])]
            extra = [x for t in reversed(total) for x in (0, t % 2)]
            if any(extra):
                source = ops.pad(source, tuple(extra))
            padding = tuple(t // 2 for t in total)
        else:
            padding = 0
    padding = tuple_of(padding, dims, "padding")
    found = ops.convolution(
        source, weight, bias, stride, padding, dilation, transposed, output_padding, groups
    )
    return found if batched else ops.squeeze(found, 0)


for _dims in (1, 2, 3):

    @op(
        f"nn.functional.conv{_dims}d(Tensor input, Tensor weight, Tensor? bias=None, any stride=1, "
        f"any padding=0, "
        "any dilation=1, int groups=1) -> Tensor",
        also=f"conv{_dims}d",
    )  # fmt: skip
    class Conv(Composite):
        """Cross-correlation of a batch of signals with a bank of filters.

        Shape: input ``(N, C, *spatial)`` or ``(C, *spatial)``, weight ``(out, C / groups, *kernel)``, bias ``(out)``.
        ``padding``: zeros on both sides, or ``"same"`` or ``"valid"``.
        """

        def body(input, weight, bias, stride, padding, dilation, groups, _dims=_dims):
            return convolve(input, weight, bias, stride, padding, dilation, groups, _dims)

    @op(
        f"nn.functional.conv_transpose{_dims}d(Tensor input, Tensor weight, Tensor? bias=None, any "
        f"stride=1, any padding=0, "
        "any output_padding=0, int groups=1, any dilation=1) -> Tensor",
        also=f"conv_transpose{_dims}d",
    )  # fmt: skip
    class ConvTranspose(Composite):
        """The transpose of a convolution, which undoes its change of size.

        Shape: input ``(N, C, *spatial)`` or ``(C, *spatial)``, weight ``(C, out / groups, *kernel)``, bias ``(out)``.
        """

        def body(input, weight, bias, stride, padding, output_padding, groups, dilation, _dims=_dims):
            return convolve(
                input, weight, bias, stride, padding, dilation, groups, _dims, True, output_padding
            )
