"""Types that PyTorch has for storage only: they have a name, a size and limits, but no operator computes with them."""

from __future__ import annotations

from .dtype import dtype

__all__ = ["STORAGE_TYPES"]

#: minus the exponent of eps (as PyTorch gives it), largest number, smallest normal exponent
_LIMITS = {
    "float8_e4m3fn": (3, 448.0, -6), "float8_e4m3fnuz": (3, 240.0, -7), "float8_e5m2": (2, 57344.0, -14),
    "float8_e5m2fnuz": (3, 57344.0, -15),
}  # fmt: skip


def _make(name: str) -> dtype:
    """A type outside the list of those that operators know."""
    made = object.__new__(dtype)
    made.name, made.code, made.kind, made.itemsize = name, name, 2, 1
    made.rank, made.numpy_name, made._promotions = 0, None, {}
    made.is_floating_point, made.is_complex, made.is_signed, made.is_wide_unsigned = True, False, True, False
    return made


STORAGE_TYPES = {name: _make(name) for name in _LIMITS}
_half = STORAGE_TYPES["complex32"] = _make("complex32")
_half.kind, _half.itemsize, _half.is_floating_point, _half.is_complex = 3, 4, False, True

for _name, _size in (("qint8", 1), ("quint8", 1), ("qint32", 4), ("quint4x2", 1), ("quint2x4", 1)):
    _whole = STORAGE_TYPES[_name] = _make(_name)
    _whole.kind, _whole.itemsize, _whole.is_floating_point = 1, _size, False


def limits(name: str) -> tuple[float, float, float]:
    """Distance from 1 to the next number, the largest number, and the smallest normal one."""
    fraction, largest, low = _LIMITS[name]
    return 2.0**-fraction, largest, 2.0**low
