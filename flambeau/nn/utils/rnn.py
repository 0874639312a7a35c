"""Batches of sequences of different lengths: packed and padded."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any, NamedTuple

import flambeau
from flambeau.tensor.tensor import Tensor

__all__ = [
    "PackedSequence",
    "invert_permutation",
    "pack_padded_sequence",
    "pack_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpack_sequence",
    "unpad_sequence",
]


class _Packed(NamedTuple):
    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None
    unsorted_indices: Tensor | None


class PackedSequence(_Packed):
    """Sequences side by side: the first element of each, then the second of each that has one, and so on.

    Made by `pack_padded_sequence` or `pack_sequence`.

    Args:
        data: the elements, one after the other.
        batch_sizes: how many sequences have an element at each step.
        sorted_indices: the order, by falling length, in which the sequences were packed.
        unsorted_indices: the order that undoes it.
    """

    def __new__(
        cls,
        data: Any,
        batch_sizes: Tensor | None = None,
        sorted_indices: Tensor | None = None,
        unsorted_indices: Tensor | None = None,
    ):
        if batch_sizes is None:
            data, batch_sizes = data[0], data[1]
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        if batch_sizes.device.type != "cpu":
            raise ValueError(
                "batch_sizes should always be on CPU. Instances of PackedSequence should never be created "
                "manually. They should be instantiated by functions like pack_sequence and "
                "pack_padded_sequences in nn.utils.rnn."
            )
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def _with(self, data: Tensor, move: Any) -> PackedSequence:
        indices = (
            None if index is None else move(index) for index in (self.sorted_indices, self.unsorted_indices)
        )
        return type(self)(data, self.batch_sizes, *indices)

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """Moves or casts the data, as `Tensor.to` does."""
        data = self.data.to(*args, **kwargs)
        if data is self.data:
            return self
        return self._with(data, lambda index: index.to(data.device))

    def cuda(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """The sequence on a CUDA device."""
        return self.to(flambeau.device("cuda"), *args, **kwargs)

    def cpu(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """The sequence on the CPU."""
        return self.to(flambeau.device("cpu"), *args, **kwargs)

    def pin_memory(self) -> PackedSequence:
        """The sequence in page-locked memory."""
        return self._with(self.data.pin_memory(), lambda index: index.pin_memory())

    def double(self) -> PackedSequence:
        """The data as float64."""
        return self.to(dtype=flambeau.float64)

    def float(self) -> PackedSequence:
        """The data as float32."""
        return self.to(dtype=flambeau.float32)

    def half(self) -> PackedSequence:
        """The data as float16."""
        return self.to(dtype=flambeau.float16)

    def long(self) -> PackedSequence:
        """The data as int64."""
        return self.to(dtype=flambeau.int64)

    def int(self) -> PackedSequence:
        """The data as int32."""
        return self.to(dtype=flambeau.int32)

    def short(self) -> PackedSequence:
        """The data as int16."""
        return self.to(dtype=flambeau.int16)

    def char(self) -> PackedSequence:
        """The data as int8."""
        return self.to(dtype=flambeau.int8)

    def byte(self) -> PackedSequence:
        """The data as uint8."""
        return self.to(dtype=flambeau.uint8)

    @property
    def is_cuda(self) -> bool:
        """Whether the data is on a CUDA device."""
        return self.data.is_cuda

    def is_pinned(self) -> bool:
        """Whether the data is in page-locked memory."""
        return self.data.is_pinned()


def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """The permutation that undoes the given one."""
    if permutation is None:
        return None
    output = flambeau.empty_like(permutation)
    output.scatter_(0, permutation, flambeau.arange(0, permutation.numel(), device=permutation.device))
    return output


def pack_padded_sequence(
    input: Tensor, lengths: Tensor | list[int], batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Packs padded sequences ``(L, N, *)``, or ``(N, L, *)`` where `batch_first`.

    Args:
        lengths: of each sequence.
        enforce_sorted: the sequences are given by falling length; otherwise they are sorted here.
    """
    if not isinstance(lengths, Tensor):
        lengths = flambeau.as_tensor(lengths, dtype=flambeau.int64, device="cpu")
    else:
        lengths = lengths.to(dtype=flambeau.int64)
    if lengths.dim() != 1 or lengths.device.type != "cpu":
        raise RuntimeError(
            f"'lengths' argument should be a 1D CPU int64 tensor, but got {lengths.dim()}D "
            f"{lengths.device} {str(lengths.dtype).rpartition('.')[2].capitalize()} tensor"
        )
    if enforce_sorted:
        order = None
    else:
        lengths, order = flambeau.sort(lengths, descending=True)
        order = order.to(input.device)
        input = input.index_select(0 if batch_first else 1, order)
    data, batch_sizes = _pack(input.transpose(0, 1) if batch_first else input, lengths.tolist())
    return PackedSequence(data, batch_sizes, order, None)


def _pack(input: Tensor, lengths: list[int]) -> tuple[Tensor, Tensor]:
    """Packs ``(L, N, *)``; runs of steps with the same number of sequences are copied together."""
    if len(lengths) == 0 or input.numel() == 0:
        raise RuntimeError("Cannot pack empty tensors.")
    if len(lengths) != input.size(1):
        raise RuntimeError(
            f"Expected `len(lengths)` to be equal to batch_size, but got {len(lengths)} "
            f"(batch_size={input.size(1)})"
        )
    if lengths[-1] <= 0:
        raise RuntimeError(
            "Length of all samples has to be greater than 0, but found an element in 'lengths' that is <= 0"
        )
    if any(a < b for a, b in pairwise(lengths)):
        raise RuntimeError(
            "`lengths` array must be sorted in decreasing order when `enforce_sorted` is True. You can pass "
            "`enforce_sorted=False` to pack_padded_sequence and/or pack_sequence to sidestep this "
            "requirement "
            "if you do not need ONNX exportability."
        )
    if lengths[0] > input.size(0):
        raise RuntimeError(
            f"Expected `lengths` to be at most the length of the input, {input.size(0)}, got {lengths[0]}"
        )
    parts, sizes = [], []
    start = 0
    for alive in range(len(lengths), 0, -1):
        stop = lengths[alive - 1]
        if stop > start:
            parts.append(input[start:stop, :alive].reshape(-1, *input.shape[2:]))
            sizes.extend([alive] * (stop - start))
            start = stop
    return flambeau.cat(parts), flambeau.tensor(sizes, dtype=flambeau.int64)


def pad_packed_sequence(
    sequence: PackedSequence,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Undoes `pack_padded_sequence`; returns the padded sequences and their lengths.

    Args:
        total_length: pad to this length, instead of that of the longest sequence.
    """
    sizes = sequence.batch_sizes.tolist()
    longest = len(sizes)
    if total_length is not None:
        if total_length < longest:
            raise ValueError(
                "Expected total_length to be at least the length of the longest sequence in input, but got "
                f"total_length={total_length} and max sequence length being {longest}"
            )
        longest = total_length
    data = sequence.data
    shape = (longest, sizes[0], *data.shape[1:])
    columns = [flambeau.arange(size, device=data.device) + t * sizes[0] for t, size in enumerate(sizes)]
    output = data.new_full((longest * sizes[0], *data.shape[1:]), padding_value)
    output = output.index_copy(0, flambeau.cat(columns), data).view(shape)
    lengths = flambeau.tensor(
        [sum(size > i for size in sizes) for i in range(sizes[0])], dtype=flambeau.int64
    )
    if batch_first:
        output = output.transpose(0, 1)
    order = sequence.unsorted_indices
    if order is not None:
        output = output.index_select(0 if batch_first else 1, order)
        lengths = lengths[order.cpu()]
    return output, lengths


def pad_sequence(
    sequences: Tensor | list[Tensor],
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Tensor:
    """Stacks sequences ``(L_i, *)``, padded to the longest: ``(L, N, *)`` or ``(N, L, *)``."""
    if not isinstance(sequences, Iterable):
        raise RuntimeError(
            f"pad_sequence: Expected iterable for input sequences, but got arg of type: {type(sequences)}"
        )
    if padding_side not in ("left", "right"):
        raise RuntimeError(f"Expected padding_side to be one of left or right, but got {padding_side}.")
    sequences = list(sequences)
    if not sequences:
        raise RuntimeError("received an empty list of sequences")
    longest = max(sequence.size(0) for sequence in sequences)
    rows = []
    for sequence in sequences:
        missing = longest - sequence.size(0)
        if missing:
            filler = sequence.new_full((missing, *sequence.shape[1:]), padding_value)
            parts = [sequence, filler] if padding_side == "right" else [filler, sequence]
            sequence = flambeau.cat(parts)
        rows.append(sequence)
    return flambeau.stack(rows, 0 if batch_first else 1)


def unpad_sequence(padded_sequences: Tensor, lengths: Tensor, batch_first: bool = False) -> list[Tensor]:
    """The sequences, without padding, of the result of `pad_sequence`."""
    if not batch_first:
        padded_sequences = padded_sequences.transpose(0, 1)
    return [sequence[:length] for sequence, length in zip(padded_sequences, lengths.tolist())]


def pack_sequence(sequences: list[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Packs a list of sequences ``(L_i, *)``."""
    lengths = flambeau.as_tensor([sequence.size(0) for sequence in sequences])
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The list of sequences in a `PackedSequence`."""
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)
