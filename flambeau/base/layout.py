"""Layouts: shape, strides, dtype and device of a tensor, interned so that equal layouts are one object.

Everything that an operator decides without looking at values depends on layouts alone, so they are the keys
of the plan cache. Strides count elements.
"""

from __future__ import annotations

from math import prod

from .device import device as Device
from .dtype import dtype as DType


class Size(tuple):
    """The shape of a tensor: a tuple of ints that prints as ``torch.Size([...])``."""

    __slots__ = ()

    def numel(self) -> int:
        """Product of the sizes."""
        return prod(self)

    def __repr__(self) -> str:
        return f"torch.Size([{', '.join(map(str, self))}])"

    def __getitem__(self, at, entry=tuple.__getitem__):
        return Size(entry(self, at)) if type(at) is slice else entry(self, at)

    def __add__(self, other):
        return Size(tuple.__add__(self, tuple(other))) if isinstance(other, tuple) else NotImplemented

    def __radd__(self, other):
        return Size(tuple.__add__(tuple(other), self)) if isinstance(other, tuple) else NotImplemented

    def __mul__(self, count):
        return Size(tuple.__mul__(self, count))

    __rmul__ = __mul__

    def __reduce__(self):
        return (Size, (tuple(self),))


class Layout:
    """Interned description of a strided tensor. Make one with `layout(...)`, never directly."""

    __slots__ = (
        "shape", "strides", "dtype", "device", "ndim", "numel", "nbytes", "contiguous", "dense", "foreign", "plain",
        "extent", "cache", "__weakref__",
    )  # fmt: skip

    def __init__(self, shape: Size, strides: tuple[int, ...], dtype: DType, device: Device, foreign: bool):
        self.shape, self.strides, self.dtype, self.device = shape, strides, dtype, device
        self.ndim = len(shape)
        self.numel = prod(shape)
        self.nbytes = self.numel * dtype.itemsize
        self.contiguous = is_contiguous(shape, strides)
        self.dense = self.contiguous or is_dense(shape, strides)
        #: elements from the first to one past the last that an index can reach
        self.extent = 0 if self.numel == 0 else 1 + sum((n - 1) * s for n, s in zip(shape, strides))
        if self.nbytes >> 63 or self.extent * dtype.itemsize >> 63:
            check_size(shape, strides, self.contiguous)
        #: a `foreign` layout belongs to a subclass with its own __torch_function__: it never equals a plain one
        self.foreign = foreign
        self.plain: Layout = self
        self.cache: dict = {}

    def __repr__(self) -> str:
        strides = "" if self.contiguous else f" strides {list(self.strides)}"
        where = "" if self.device.type == "cpu" else f" on {self.device}"
        return f"{self.dtype.name}{list(self.shape)}{strides}{where}"

    def __reduce__(self):
        return (layout, (self.shape, self.strides, self.dtype, self.device))

    def with_dtype(self, dtype: DType) -> Layout:
        return layout(self.shape, self.strides, dtype, self.device)

    def with_device(self, device: Device) -> Layout:
        return layout(self.shape, self.strides, self.dtype, device)


_interned: dict[tuple, Layout] = {}


def layout(shape, strides, dtype: DType, device: Device, foreign: bool = False) -> Layout:
    """The one Layout with these properties."""
    key = (tuple(shape), tuple(strides), dtype, device, foreign)
    found = _interned.get(key)
    if found is None:
        found = Layout(Size(key[0]), key[1], dtype, device, foreign)
        if foreign:
            found.plain = layout(shape, strides, dtype, device)
        found = _interned.setdefault(key, found)
    return found


def check_size(shape, strides, contiguous: bool) -> None:
    """Raise for sizes beyond any memory."""
    if contiguous:
        raise RuntimeError(f"Storage size calculation overflowed with sizes={list(shape)}")
    if prod(shape) >> 63:
        raise RuntimeError("numel: integer multiplication overflow")
    raise RuntimeError(
        f"Storage size calculation overflowed with sizes={list(shape)} and strides={list(strides)}"
    )


def contiguous_layout(shape, dtype: DType, device: Device) -> Layout:
    shape = tuple(shape)
    return layout(shape, contiguous_strides(shape), dtype, device)


def contiguous_strides(shape) -> tuple[int, ...]:
    strides, step = [], 1
    for n in reversed(shape):
        strides.append(step)
        step *= max(n, 1)
    return tuple(reversed(strides))


def is_contiguous(shape, strides) -> bool:
    step = 1
    for n, s in zip(reversed(shape), reversed(strides)):
        if n == 0:
            return True
        if n != 1:
            if s != step:
                return 0 in shape
            step *= n
    return True


def is_dense(shape, strides) -> bool:
    """True when the elements fill a block of memory without gap or overlap, in any order of dimensions."""
    step = 1
    for s, n in sorted((s, n) for n, s in zip(shape, strides) if n != 1):
        if s != step:
            return 0 in shape
        step *= n
    return True


def overlaps_itself(shape, strides) -> bool:
    """True when two indices may reach one element (exact for expanded dimensions, careful otherwise)."""
    if 0 in shape:
        return False
    reach = 0
    for s, n in sorted((abs(s), n) for n, s in zip(shape, strides) if n > 1):
        if s <= reach:
            return True
        reach += (n - 1) * s
    return False


def channels_last_strides(shape) -> tuple[int, ...]:
    """Strides that put dimension 1 innermost: NHWC for 4 dimensions, NDHWC for 5, NLC for 3."""
    order = (0, *range(2, len(shape)), 1)
    return strides_in_order(shape, order)


def strides_in_order(shape, order) -> tuple[int, ...]:
    """Dense strides for `shape` where `order` lists the dimensions from the outermost to the innermost."""
    strides, step = [0] * len(shape), 1
    for d in reversed(order):
        strides[d] = step
        step *= max(shape[d], 1)
    return tuple(strides)


def is_channels_last(shape, strides, ndim: int = 4) -> bool:
    if len(shape) != ndim:
        return False
    step = 1
    for d in (1, *range(ndim - 1, 1, -1), 0):
        if shape[d] == 0:
            return True
        if shape[d] != 1:
            if strides[d] != step:
                return False
            step *= shape[d]
    return strides[1] != 0


def stride_order(shape, strides) -> tuple[int, ...]:
    """Dimensions from the outermost to the innermost by stride; ties and size-1 dimensions keep their place."""
    order: list[int] = []
    for d in range(len(shape)):
        place = len(order)
        while place > 0:
            e = order[place - 1]
            if (
                shape[d] == 1
                or shape[e] == 1
                or strides[e] >= strides[d]
                or strides[d] == 0
                or strides[e] == 0
            ):
                break
            place -= 1
        order.insert(place, d)
    return tuple(order)


def broadcast_shapes(*shapes) -> tuple[int, ...]:
    """The common shape; raises ValueError naming the place (from the right) where sizes disagree."""
    ndim = max((len(s) for s in shapes), default=0)
    result = [1] * ndim
    for shape in shapes:
        lead = ndim - len(shape)
        for d, n in enumerate(shape):
            at = lead + d
            if n != 1:
                if result[at] == 1:
                    result[at] = n
                elif result[at] != n:
                    raise ValueError(at)
    return tuple(result)


def broadcast_strides(shape, strides, to) -> tuple[int, ...]:
    """Strides that read a tensor of `shape` as if it had the broadcast shape `to`."""
    lead = len(to) - len(shape)
    return (0,) * lead + tuple(0 if n == 1 and m != 1 else s for n, s, m in zip(shape, strides, to[lead:]))


def view_strides(shape, strides, to) -> tuple[int, ...] | None:
    """Strides of the view of a tensor under the new shape `to` (same element count), or None when it needs a copy."""
    if 0 in shape:
        return contiguous_strides(to)
    result = [0] * len(to)
    at = len(to) - 1
    run, base = 1, None
    d = len(shape) - 1
    while d >= 0:
        base = strides[d] if base is None else base
        run *= shape[d]
        if d == 0 or (shape[d - 1] != 1 and strides[d - 1] != run * base):
            covered = 1
            while at >= 0 and (covered < run or to[at] == 1):
                result[at] = covered * base
                covered *= to[at]
                at -= 1
            if covered != run:
                return None
            run, base = 1, None
        d -= 1
    while at >= 0:
        result[at] = 1
        at -= 1
    return tuple(result)


def pad_pairs(pad, ndim: int) -> tuple[tuple[int, int], ...]:
    """(before, after) for every dimension from the flat list, which starts at the last dimension."""
    found = [(0, 0)] * ndim
    for k in range(len(pad) // 2):
        found[ndim - 1 - k] = (pad[2 * k], pad[2 * k + 1])
    return tuple(found)
