"""Methods of Tensor that few programs call: functions applied in Python, and questions about storage that is not strided."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from .ops.define import ops
from .tensor.surface import method
from .tensor.tensor import Tensor

__all__: list[str] = []


# -- a Python function for each element ------------------------------------------------------------------------------


def _elementwise(self: Tensor, others: tuple[Tensor, ...], function: Callable, name: str) -> Tensor:
    if self.requires_grad:
        raise RuntimeError(
            f"Can't call {name}() on Variable that requires grad. Use var.detach().{name}() instead."
        )
    for other in others:
        if other.dtype is not self.dtype:
            raise TypeError(f"{name}: expected {self.type()} for 'other' (got {other.type()})")
    columns = [t.expand(self.shape).reshape(-1).tolist() for t in (self, *others)]
    found = [function(*values) for values in zip(*columns)]
    if not self.is_floating_point() and not self.is_complex():
        found = [int(value) for value in found]
    from .tensor.interop import tensor

    self.copy_(tensor(found, dtype=self.dtype).view(self.shape))
    return self


@method
def apply_(self, callable):
    """Replace each element by what a Python function makes of it: slow, one call an element."""
    return _elementwise(self, (), callable, "apply_")


@method
def map_(self, tensor, callable):
    """Replace each element by what a Python function makes of it and of another tensor's element."""
    return _elementwise(self, (tensor,), callable, "map_")


@method
def map2_(self, x, y, callable):
    """Replace each element by what a Python function makes of it and of two other tensors' elements."""
    return _elementwise(self, (x, y), callable, "map2_")


# -- shortcuts -------------------------------------------------------------------------------------------------------


@method
def fill_diagonal_(self, fill_value, wrap=False):
    """Fill the main diagonal, in place; `wrap` starts again below in a tall matrix.

    Raises: RuntimeError for one dimension, or more than two of unequal length.
    """
    if self.dim() < 2:
        raise RuntimeError("dimensions must larger than 1")
    if self.dim() > 2 and len(set(self.shape)) > 1:
        raise RuntimeError("all dimensions of input must be of equal length")
    smallest, step = min(self.shape), sum(self.stride())
    ops.fill_(self.as_strided((smallest,), (step,)), fill_value)
    rows, columns = self.shape[0], self.shape[1]
    if wrap and self.dim() == 2 and rows > columns + 1:
        start = self.stride(0) * (columns + 1)
        count = (rows * columns - columns * (columns + 1) + columns) // (columns + 1)
        ops.fill_(self.as_strided((count,), (step,), self.storage_offset() + start), fill_value)
    return self


@method
def hardshrink(self, lambd=0.5):
    """Zero where the magnitude is at most `lambd`."""
    return ops.hardshrink(self, lambd)


@method
def prelu(self, weight):
    """The element itself where it is positive, else times `weight`."""
    return ops.prelu(self, weight)


def _later(name: str, doc: str) -> None:
    """A method that a module loaded on first use has as a function."""

    def call(self, *args: Any, **kwargs: Any) -> Any:
        from . import spectrogram

        return getattr(spectrogram, name)(self, *args, **kwargs)

    call.__name__, call.__doc__ = name, doc
    method(call)


_later("stft", "The spectrum of each stretch of a signal: see `flambeau.stft`.")
_later("istft", "The signal of the spectra of its stretches: see `flambeau.istft`.")


@method
def module_load(self, other, assign=False):
    """What `Module.load_state_dict` makes of this parameter and the tensor that is loaded for it."""
    if assign:
        return (
            other if isinstance(other, type(self)) or not hasattr(type(self), "_mark") else type(self)(other)
        )
    return self.copy_(other).detach()


@method
def resize(self, *sizes):
    """Another shape of as many elements (an old name of `reshape`)."""
    return self.reshape(*sizes)


@method
def resize_as(self, tensor):
    """The shape of another tensor (an old name of `reshape_as`)."""
    return self.reshape(tensor.shape)


# -- storage: always strided, on the CPU -----------------------------------------------------------------------------


@method
def const_data_ptr(self) -> int:
    """Address of the first element, for reading."""
    return self.data_ptr()


@method
def is_distributed(self) -> bool:
    """Whether parts are on several machines: never."""
    return False


@method
def dequantize(self):
    """The numbers that a quantized tensor stands for: there are none, so these numbers as float32."""
    return self.float()


@method
def to_dense(self, dtype=None, *, masked_grad=None):
    """The tensor with its zeros: it has them."""
    return self if dtype is None else self.to(dtype)


@method
def sparse_dim(self) -> int:
    """Dimensions whose zeros are left out: none."""
    return 0


@method
def dense_dim(self) -> int:
    """Dimensions whose zeros are there: all."""
    return self.dim()


def _only_sparse(name: str, layout: str) -> None:
    def refuse(self) -> NoReturn:
        raise RuntimeError(f"{name} expected {layout} tensor layout but got Strided")

    refuse.__name__, refuse.__doc__ = name, "Only of sparse tensors, which Flambeau does not have."
    method(refuse)


for _name in ("coalesce", "is_coalesced", "indices", "_nnz", "_indices", "_values"):
    _only_sparse(_name, "sparse coordinate")
_only_sparse("values", "sparse")
_only_sparse("crow_indices", "sparse row compressed")
_only_sparse("col_indices", "sparse row compressed")
_only_sparse("ccol_indices", "sparse column compressed")
_only_sparse("row_indices", "sparse column compressed")


def _no_sparse(name: str) -> None:
    def refuse(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise NotImplementedError(
            f"Tensor.{name}: Flambeau has no sparse tensors\n  fix     use dense tensors, and masks for what is left out"
        )

    refuse.__name__, refuse.__doc__ = name, "Not supported: there are no sparse tensors."
    method(refuse)


for _name in (
    "to_sparse",
    "to_sparse_coo",
    "to_sparse_csr",
    "to_sparse_csc",
    "to_sparse_bsr",
    "to_sparse_bsc",
    "sparse_mask",
):
    _no_sparse(_name)

for _name in ("is_xla", "is_ipu", "is_mtia", "is_vulkan", "is_maia"):
    setattr(Tensor, _name, property(lambda self: False, doc="Whether the tensor is on such a device: never."))


@method
def xpu(self, *args: Any, **kwargs: Any) -> NoReturn:
    """A copy on an Intel GPU: there is none."""
    raise AssertionError("Torch not compiled with XPU enabled")


@method
def record_stream(self, stream) -> None:
    """Say that a stream of a GPU uses the tensor: there is none."""
