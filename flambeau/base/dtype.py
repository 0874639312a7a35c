"""The data types, their promotion, and the process-wide default float type.

Source of the promotion lattice: the Python array API standard's table, extended by float16/bfloat16 -> float32.
"""

from __future__ import annotations

KINDS = ("bool", "integer", "float", "complex")
DTYPES: dict[str, dtype] = {}


class dtype:
    """Type of the elements of a tensor, such as ``float32``.

    Attributes: ``itemsize`` (bytes an element), ``is_floating_point``, ``is_complex``, ``is_signed``.
    """

    __slots__ = (
        "name", "code", "kind", "itemsize", "is_floating_point", "is_complex", "is_signed", "rank", "numpy_name",
        "is_wide_unsigned", "_promotions", "__weakref__",
    )  # fmt: skip

    def __init__(self, name: str, code: str, kind: int, itemsize: int, rank: int, numpy_name: str | None):
        self.name, self.code, self.kind, self.itemsize, self.rank = name, code, kind, itemsize, rank
        self.is_floating_point, self.is_complex = kind == 2, kind == 3
        self.is_signed = name not in ("bool", "uint8", "uint16", "uint32", "uint64")
        #: an unsigned type that PyTorch stores but does not promote
        self.is_wide_unsigned = name in ("uint16", "uint32", "uint64")
        self.numpy_name = numpy_name
        self._promotions: dict[dtype, dtype] = {}
        DTYPES[name] = self

    def __repr__(self) -> str:
        return f"torch.{self.name}"

    def __reduce__(self):
        return (_by_name, (self.name,))

    def __copy__(self):
        return self

    def __deepcopy__(self, memo):
        return self

    def to_real(self) -> dtype:
        """The real type of a complex type's parts; other types unchanged."""
        return {"complex64": float32, "complex128": float64}.get(self.name, self)

    def to_complex(self) -> dtype:
        """The complex type whose parts have this float type (float64 -> complex128, float32 and half -> complex64)."""
        if self.kind == 3:
            return self
        return complex128 if self is float64 else complex64


def _by_name(name: str) -> dtype:
    return DTYPES[name]


bool_ = dtype("bool", "b1", 0, 1, 0, "bool")
uint8 = dtype("uint8", "u8", 1, 1, 1, "uint8")
int8 = dtype("int8", "i8", 1, 1, 1, "int8")
int16 = dtype("int16", "i16", 1, 2, 2, "int16")
int32 = dtype("int32", "i32", 1, 4, 3, "int32")
int64 = dtype("int64", "i64", 1, 8, 4, "int64")
float16 = dtype("float16", "f16", 2, 2, 5, "float16")
bfloat16 = dtype("bfloat16", "bf16", 2, 2, 5, None)
float32 = dtype("float32", "f32", 2, 4, 6, "float32")
float64 = dtype("float64", "f64", 2, 8, 7, "float64")
complex64 = dtype("complex64", "c64", 3, 8, 8, "complex64")
complex128 = dtype("complex128", "c128", 3, 16, 9, "complex128")
uint16 = dtype("uint16", "u16", 1, 2, 2, "uint16")
uint32 = dtype("uint32", "u32", 1, 4, 3, "uint32")
uint64 = dtype("uint64", "u64", 1, 8, 4, "uint64")

ALIASES = {
    "half": float16, "float": float32, "double": float64, "cfloat": complex64, "cdouble": complex128,
    "short": int16, "int": int32, "long": int64,
}  # fmt: skip

_default_float = [float32]


def default_float() -> dtype:
    """The float type given to new tensors that name no type."""
    return _default_float[0]


def set_default_float(value: dtype) -> None:
    _default_float[0] = value


def default_complex() -> dtype:
    return default_float().to_complex()


def promote_types(a: dtype, b: dtype) -> dtype:
    """The smallest type to which both can be converted by PyTorch's promotion rules."""
    found = a._promotions.get(b)
    if found is None:
        found = a._promotions[b] = _promote(a, b)
    return found


def _promote(a: dtype, b: dtype) -> dtype:
    if a is b:
        return a
    if (a.is_wide_unsigned or b.is_wide_unsigned) and a.kind != 2 and b.kind != 2:
        raise RuntimeError(
            "Promotion for uint16, uint32, uint64 types is not supported, attempted to promote "
            f"{type_name(a)} and {type_name(b)}"
        )
    if a.kind > b.kind:
        a, b = b, a
    if a.kind == b.kind:
        if a.rank > b.rank:
            a, b = b, a
        return {frozenset(("uint8", "int8")): int16, frozenset(("float16", "bfloat16")): float32}.get(
            frozenset((a.name, b.name)), b
        )
    if b.kind == 3 and a is float64:
        return complex128
    return b


_TYPE_NAMES = {
    "bool": "Bool", "uint8": "Byte", "int8": "Char", "int16": "Short", "int32": "Int", "int64": "Long", "float16": "Half",
    "bfloat16": "BFloat16", "float32": "Float", "float64": "Double", "complex64": "ComplexFloat",
    "complex128": "ComplexDouble", "uint16": "UInt16", "uint32": "UInt32", "uint64": "UInt64",
}  # fmt: skip


def type_name(t: dtype) -> str:
    """The name that error messages give a type, such as ``Float`` or ``Long``."""
    return _TYPE_NAMES.get(t.name, t.name)


_BY_PYTHON = {bool: 0, int: 1, float: 2, complex: 3}


def scalar_dtype(value) -> dtype:
    """The type a Python number has on its own: bool, int64, the default float or the default complex type."""
    kind = _BY_PYTHON.get(type(value))
    if kind is None:
        kind = (
            0
            if isinstance(value, bool)
            else 1
            if isinstance(value, int)
            else 2
            if isinstance(value, float)
            else 3
        )
    return (bool_, int64, default_float(), default_complex())[kind]


def result_dtype(dims: list[dtype], zero_dims: list[dtype], scalars: list[dtype]) -> dtype:
    """Promotion over operands of three priorities: tensors with dimensions, 0-d tensors, Python numbers.

    A lower priority changes the result only where its kind (bool < integer < float < complex) is higher; a complex
    one beside a float keeps the float's precision.
    """
    result: dtype | None = None
    for group in (scalars, zero_dims, dims):
        joined: dtype | None = None
        for one in group:
            joined = one if joined is None else promote_types(joined, one)
        if joined is not None:
            result = joined if result is None else _over(joined, result)
    assert result is not None
    return result


def _over(higher: dtype, lower: dtype) -> dtype:
    """The type of an operand of higher priority beside one of lower priority."""
    if higher.kind == 3:
        return higher
    if higher.kind == 2:
        return higher.to_complex() if lower.kind == 3 else higher
    if lower.kind == 3:
        return lower
    return promote_types(higher, lower) if higher.kind == 0 or lower.kind == 2 else higher
