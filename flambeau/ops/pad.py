"""Padding: more elements at the ends of dimensions (or fewer, for negative sizes)."""

from __future__ import annotations

from ..base.errors import require
from ..base.layout import contiguous_layout, pad_pairs
from .define import op, ops
from .kinds import Composite, Opaque


@op("constant_pad_nd(Tensor input, int[] pad, Scalar value=0) -> Tensor", method=False)
class ConstantPad(Opaque):
    """The input with ``value`` around it; ``pad`` lists (before, after) from the last dimension on."""

    algorithm = "padding.constant"
    scalars_follow_tensor = True

    def check(input, pad):
        require(len(pad) % 2 == 0, f"Length of pad must be even but instead it equals {len(pad)}")
        require(len(pad) <= 2 * input.ndim,
                f"Length of pad should be no more than twice the number of dimensions of the input. Pad length is {len(pad)}"
                f"while the input has {input.ndim}dimensions.")  # fmt: skip

    def layouts(input, pad):
        shape = []
        for d, (n, (before, after)) in enumerate(zip(input.shape, pad_pairs(pad, input.ndim))):
            size = n + before + after
            require(size >= 0, f"The input size {n}, plus negative padding {before} and {after} resulted in a negative output "
                    f"size, which is invalid. Check dimension {d} of your input.")  # fmt: skip
            shape.append(size)
        return contiguous_layout(shape, input.dtype, input.device)

    def d_input(g, pad):
        return ops.constant_pad_nd(g, tuple(-p for p in pad), 0)


def check_mode(input, pad, mode: str) -> None:
    dims = len(pad) // 2
    require(dims in (1, 2, 3) and input.dim() in (dims + 1, dims + 2),
            "Only 2D, 3D, 4D, 5D padding with non-constant padding are supported for now", NotImplementedError)  # fmt: skip
    for k in range(dims):
        n = input.shape[input.dim() - 1 - k]
        before, after = pad[2 * k], pad[2 * k + 1]
        require(n > 0, f"Expected {dims + 1}D or {dims + 2}D (batch mode) tensor with possibly 0 batch size and other non-zero "
                f"dimensions for input, but got: {list(input.shape)}")  # fmt: skip
        if mode == "reflect":
            require(before < n and after < n,
                    f"Argument #4: Padding size should be less than the corresponding input dimension, but got: padding "
                    f"({before}, {after}) at dimension {input.dim() - 1 - k} of input {list(input.shape)}")  # fmt: skip
        if mode == "circular":
            require(before <= n and after <= n, "Padding value causes wrapping around more than once.")
        require(n + before + after > 0, f"input (size {n}) is too small for the padding ({before}, {after})")


@op(
    "nn.functional.pad(Tensor input, int[] pad, str mode='constant', float? value=None) -> Tensor",
    also="_C._nn.pad",
)
class Pad(Composite):
    """Pad the last dimensions with a constant, a mirror image, the border or the other end.

    ``pad``: (left, right, top, bottom, ...) from the last dimension on; negative sizes crop.
    """

    def body(input, pad, mode, value):
        pad = tuple(int(p) for p in pad)
        require(len(pad) % 2 == 0, "Padding length must be divisible by 2")
        require(len(pad) // 2 <= input.dim(),
                f"Padding length should be less than or equal to two times the input dimension but got padding length "
                f"{len(pad)} and input of dimension {input.dim()}")  # fmt: skip
        if mode == "constant":
            return ops.constant_pad_nd(input, pad, 0 if value is None else value)
        require(value is None or value == 0, f'Padding mode "{mode}" doesn\'t take in value argument')
        require(
            mode in ("reflect", "replicate", "circular"),
            f"Unrecognised padding mode {mode}",
            NotImplementedError,
        )
        check_mode(input, pad, mode)
        for k in range(len(pad) // 2):
            before, after = pad[2 * k], pad[2 * k + 1]
            if before or after:
                d = input.dim() - 1 - k
                input = ops.index_select(input, d, index_tensor(input, d, before, after, mode))
        return input


def index_tensor(input, d: int, before: int, after: int, mode: str):
    """Indices along dimension d as a tensor."""
    n = input.shape[d]
    if mode == "replicate":
        return ops.clamp(ops.arange(-before, n + after, device=input.device), 0, n - 1)
    if mode == "circular":  # negative sizes crop first, then what is left wraps
        start = max(-before, 0)
        left = n - start - max(-after, 0)
        return (
            ops.remainder(ops.arange(-max(before, 0), left + max(after, 0), device=input.device), left)
            + start
        )
    places = ops.arange(-before, n + after, device=input.device)
    places = ops.abs(places)
    return n - 1 - ops.abs(n - 1 - places)


for _mode in ("reflect", "replicate"):
    for _dims in (1, 2, 3):

        @op(f"_C._nn.{_mode}ion_pad{_dims}d(Tensor input, int[] padding) -> Tensor" if _mode == "reflect" else
            f"_C._nn.replication_pad{_dims}d(Tensor input, int[] padding) -> Tensor")  # fmt: skip
        class PadMode(Composite):
            """Padding with one mode over a fixed number of dimensions."""

            def body(input, padding, _mode=_mode):
                return ops.pad(input, tuple(padding), _mode)
