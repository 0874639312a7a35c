"""What the number types can hold: `finfo` for floats, `iinfo` for integers."""

from __future__ import annotations

from .dtype import default_float
from .dtype import dtype as DType

#: bits of the fraction, largest exponent, smallest normal exponent, decimal digits that always survive
_FLOATS = {
    "float16": (10, 15, -14, 3), "bfloat16": (7, 127, -126, 2), "float32": (23, 127, -126, 6), "float64": (52, 1023, -1022, 15),
}  # fmt: skip


class finfo:
    """Limits of a float type (of the parts of a complex one); of the default type when none is named.

    Attributes: bits, eps (1 to the next number), max, min, tiny and smallest_normal, resolution, dtype.

    >>> import flambeau as torch
    >>> torch.finfo(torch.float32).eps
    1.1920928955078125e-07
    """

    __slots__ = ("bits", "eps", "max", "min", "tiny", "smallest_normal", "resolution", "dtype")

    def __init__(self, type: DType | None = None):
        kind = default_float() if type is None else type
        if not isinstance(kind, DType):
            raise TypeError(
                f"finfo(): argument 'type' (position 1) must be torch.dtype, not {kind.__class__.__name__}"
            )
        if kind.kind < 2:
            raise TypeError(
                "torch.finfo() requires a floating point input type. Use torch.iinfo to handle 'torch.finfo'"
            )
        if kind.itemsize == 1:
            self._of_storage_type(kind)
            return
        real = kind.to_real()
        fraction, high, low, digits = _FLOATS[real.name]
        self.bits, self.dtype = 8 * real.itemsize, real.name
        self.eps = 2.0**-fraction
        self.max = (2.0 - self.eps) * 2.0**high
        self.min = -self.max
        self.tiny = self.smallest_normal = 2.0**low
        self.resolution = float(f"1e-{digits}")

    def _of_storage_type(self, kind: DType) -> None:
        from .storage_types import limits

        self.bits, self.dtype = 8, kind.name
        self.eps, self.max, self.tiny = limits(kind.name)
        self.min, self.smallest_normal, self.resolution = -self.max, self.tiny, 1.0

    def __eq__(self, other) -> bool:
        return isinstance(other, finfo) and other.dtype == self.dtype

    def __hash__(self) -> int:
        return hash(self.dtype)

    def __repr__(self) -> str:
        return (
            f"finfo(resolution={self.resolution:g}, min={self.min:g}, max={self.max:g}, eps={self.eps:g}, "
            f"smallest_normal={self.tiny:g}, tiny={self.tiny:g}, dtype={self.dtype})"
        )


class iinfo:
    """Limits of an integer type. Attributes: bits, max, min, dtype.

    >>> import flambeau as torch
    >>> torch.iinfo(torch.int8)
    iinfo(min=-128, max=127, dtype=int8)
    """

    __slots__ = ("bits", "max", "min", "dtype")

    def __init__(self, type: DType):
        if not isinstance(type, DType):
            raise TypeError(
                f"iinfo(): argument 'type' (position 1) must be torch.dtype, not {type.__class__.__name__}"
            )
        if type.kind > 1:
            raise TypeError(
                "torch.iinfo() requires an integer input type. Use torch.finfo to handle 'torch.iinfo'"
            )
        if type.kind == 0:
            raise TypeError("torch.bool is not supported by torch.iinfo")
        self.bits, self.dtype = 8 * type.itemsize, type.name
        self.max = (1 << self.bits - 1) - 1 if type.is_signed else (1 << self.bits) - 1
        self.min = -self.max - 1 if type.is_signed else 0

    def __eq__(self, other) -> bool:
        return isinstance(other, iinfo) and other.dtype == self.dtype

    def __hash__(self) -> int:
        return hash(self.dtype)

    def __repr__(self) -> str:
        return f"iinfo(min={float(self.min):g}, max={float(self.max):g}, dtype={self.dtype})"
