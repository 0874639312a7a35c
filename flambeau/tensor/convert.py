"""Conversions between types, and public functions that choose between operators by their arguments."""

from __future__ import annotations

from ..base import dtype as types
from ..base.dtype import dtype as DType
from ..base.dtype import promote_types, result_dtype, scalar_dtype
from ..ops.define import ops
from . import interop
from .plan import can_cast as _can_cast
from .surface import attribute, method
from .tensor import Tensor

__all__ = ["can_cast", "is_nonzero", "meshgrid", "promote_types", "result_type", "where"]


def _conversion(name: str, goal: DType):
    def convert(self, memory_format=None):
        if memory_format is None and self._layout.dtype is goal:
            return self
        return self.to(goal, memory_format=memory_format)

    convert.__name__ = convert.__qualname__ = name
    convert.__doc__ = f"This tensor as {goal.name}; itself where it is already."
    method(convert)


for _name, _goal in {
    "float": types.float32, "double": types.float64, "half": types.float16, "bfloat16": types.bfloat16, "int": types.int32,
    "long": types.int64, "short": types.int16, "char": types.int8, "byte": types.uint8, "bool": types.bool_,
    "cfloat": types.complex64, "cdouble": types.complex128,
}.items():  # fmt: skip
    _conversion(_name, _goal)


@method
def type_as(self, other):
    """This tensor in the type (and on the device) of another."""
    return self.to(other.device, other.dtype) if other.device is not self.device else self.to(other.dtype)


_TYPE_NAMES = {
    "float32": "Float", "float64": "Double", "float16": "Half", "bfloat16": "BFloat16", "uint8": "Byte", "int8": "Char",
    "int16": "Short", "int32": "Int", "int64": "Long", "bool": "Bool", "complex64": "ComplexFloat",
    "complex128": "ComplexDouble", "uint16": "UInt16", "uint32": "UInt32", "uint64": "UInt64",
}  # fmt: skip


@method
def type(self, dtype=None, non_blocking: bool = False):
    """The name of the tensor's type, such as ``'torch.FloatTensor'``; or the tensor in another type."""
    if dtype is None:
        module = "torch." if self.device.type == "cpu" else f"torch.{self.device.type}."
        return f"{module}{_TYPE_NAMES[self.dtype.name]}Tensor"
    if isinstance(dtype, str):
        short = dtype.removeprefix("torch.").removesuffix("Tensor")
        found = next((k for k, v in _TYPE_NAMES.items() if v == short), None)
        if found is None:
            raise ValueError(f"invalid type: '{dtype}'")
        dtype = types.DTYPES[found]
    dtype = getattr(dtype, "dtype", dtype)  # an old class such as torch.FloatTensor
    if not isinstance(dtype, DType):
        raise TypeError("dtype must be a type, str, or dtype object")
    return self.to(dtype)


# -- parts of complex tensors ----------------------------------------------------------------------------------------


def _part(name: str, doc: str) -> property:
    def read(self):
        return getattr(ops, name)(self)

    def write(self, value) -> None:
        getattr(ops, name)(self).copy_(value if isinstance(value, Tensor) else interop.tensor(value))

    return property(read, write, doc=doc)


Tensor.real = _part("real", "View of the real parts.")  # type: ignore[attr-defined]
Tensor.imag = _part("imag", "View of the imaginary parts.")  # type: ignore[attr-defined]


@method
def is_conj(self) -> bool:
    """Whether the conjugate is still to be taken: never here."""
    return False


@method
def is_neg(self) -> bool:
    """Whether the negative is still to be taken: never here."""
    return False


@method
def is_signed(self) -> bool:
    """Whether the type has negative numbers."""
    return self._layout.dtype.is_signed


@attribute
def is_meta(self) -> bool:
    """Whether the tensor has a shape only."""
    return self._layout.device.type == "meta"


@method
def polygamma(self, n: int):
    """The n-th derivative of `digamma` at each element."""
    return ops.polygamma(n, self)


@method
def polygamma_(self, n: int):
    """`polygamma` in place."""
    return ops.copy_(self, ops.polygamma(n, self))


# -- types of results ------------------------------------------------------------------------------------------------


def _sorted_by_priority(operands):
    dims, zeros, numbers = [], [], []
    for x in operands:
        if isinstance(x, Tensor):
            (dims if x._layout.ndim else zeros).append(x._layout.dtype)
        elif isinstance(x, (int, float, complex)):
            numbers.append(scalar_dtype(x))
        else:
            raise TypeError(f"result_type(): argument must be Tensor or Number, not {x.__class__.__name__}")
    return dims, zeros, numbers


def result_type(tensor1, tensor2) -> DType:
    """The type of an arithmetic operation on two operands (tensors or numbers).

    >>> import flambeau as torch
    >>> torch.result_type(torch.tensor([1, 2], dtype=torch.int32), 1.0)
    torch.float32
    """
    return result_dtype(*_sorted_by_priority((tensor1, tensor2)))


def can_cast(from_: DType, to: DType) -> bool:
    """Whether PyTorch's rules let a result of one type be written into a tensor of another."""
    return _can_cast(from_, to)


def is_nonzero(input) -> bool:
    """Whether the only element is not 0."""
    return bool(input)


@method
def __complex__(self) -> complex:
    return complex(interop.item(self))


Tensor.is_nonzero = is_nonzero  # type: ignore[attr-defined]


# -- chosen by arguments ---------------------------------------------------------------------------------------------


def where(condition, input=None, other=None, *, out=None):
    """``input`` where ``condition`` holds, else ``other``; with the condition alone, the indices where it holds.

    >>> import flambeau as torch
    >>> x = torch.tensor([-1.0, 2.0])
    >>> torch.where(x > 0, x, 0)
    tensor([0., 2.])
    """
    if input is None and other is None:
        return (
            ops.nonzero(condition).unbind(1)
            if condition.ndim
            else tuple(ops.nonzero(condition.unsqueeze(0)).unbind(1))
        )
    if input is None or other is None:
        raise TypeError(
            "where() received an invalid combination of arguments - expected both input and other"
        )
    return ops.where(condition, input, other, out=out)


def _where_method(self, condition, other):
    """This tensor where ``condition`` holds, else ``other``."""
    return ops.where(condition, self, other)


Tensor.where = _where_method  # type: ignore[attr-defined]


def meshgrid(*tensors, indexing: str | None = None):
    """Grids of coordinates from vectors: result k has vector k along dimension k.

    indexing: "ij" (rows first), or "xy", which exchanges the first two dimensions.
    """
    if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)):
        tensors = tuple(tensors[0])
    if indexing is None:
        import warnings

        warnings.warn(
            "torch.meshgrid: in an upcoming release, it will be required to pass the indexing argument.", UserWarning,
            stacklevel=2,
        )  # fmt: skip
    return ops.meshgrid(tensors, indexing=indexing)
