"""Changing the device, dtype or memory of all tensors of a module."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flambeau
from flambeau import __future__ as conversion
from flambeau.nn.parameter import Buffer, Parameter
from flambeau.tensor.tensor import Tensor


class ConvertMixin:
    """The part of `Module` that applies a function to all of its tensors."""

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True):
        """Replaces parameters, gradients and buffers by ``fn`` of them; parameters stay the same objects."""
        if recurse:
            for module in self.children():
                module._apply(fn)
        for name, parameter in self._parameters.items():
            if parameter is not None:
                self._apply_to_parameter(name, parameter, fn)
        for name, buffer in self._buffers.items():
            if buffer is not None:
                self._buffers[name] = _as_buffer(fn(buffer), buffer)
        return self

    def _apply_to_parameter(self, name: str, parameter: Tensor, fn: Callable[[Tensor], Tensor]) -> None:
        with flambeau.no_grad():
            changed = fn(parameter)
            gradient = parameter.grad
            changed_gradient = None if gradient is None else fn(gradient)
        same_kind = changed.is_meta == parameter.is_meta
        if same_kind and not conversion.get_overwrite_module_params_on_conversion():
            parameter.data = changed
            if changed_gradient is not None:
                parameter.grad = None
                parameter.grad = changed_gradient.requires_grad_(gradient.requires_grad)
            return
        replacement = Parameter(changed, parameter.requires_grad)
        if changed_gradient is not None:
            replacement.grad = changed_gradient.requires_grad_(gradient.requires_grad)
        self._parameters[name] = replacement

    def apply(self, fn: Callable[[Any], None]):
        """Calls ``fn`` with every module below this one, then with this one (to initialise, for example)."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    def to(self, *args: Any, **kwargs: Any):
        """Moves or casts all parameters and buffers, in place: ``to(device)``, ``to(dtype)``, ``to(tensor)``.

        Only floating-point and complex tensors are cast. Also takes ``non_blocking`` and, for tensors of
        four or five dimensions, ``memory_format``.

        Example::

            >>> flambeau.nn.Linear(2, 2).to(flambeau.float64).weight.dtype
            torch.float64
        """
        device, dtype, non_blocking, memory_format = _parse_to(*args, **kwargs)
        if dtype is not None and not (dtype.is_floating_point or dtype.is_complex):
            raise TypeError(
                f"nn.Module.to only accepts floating point or complex dtypes, but got desired dtype={dtype}"
            )

        def convert(tensor: Tensor) -> Tensor:
            own_dtype = dtype if tensor.is_floating_point() or tensor.is_complex() else None
            if memory_format is not None and tensor.dim() in (4, 5):
                return tensor.to(device, own_dtype, non_blocking, memory_format=memory_format)
            return tensor.to(device, own_dtype, non_blocking)

        return self._apply(convert)

    def to_empty(self, *, device: Any, recurse: bool = True):
        """Moves all tensors to `device` without their values."""
        return self._apply(lambda t: flambeau.empty(t.shape, dtype=t.dtype, device=device), recurse=recurse)

    def cpu(self):
        """Moves all tensors to the CPU."""
        return self._apply(lambda tensor: tensor.cpu())

    def cuda(self, device: Any = None):
        """Moves all tensors to a CUDA device."""
        return self._apply(lambda tensor: tensor.cuda(device))

    def xpu(self, device: Any = None):
        """Moves all tensors to an XPU device."""
        return self._apply(lambda tensor: tensor.xpu(device))

    def ipu(self, device: Any = None):
        """Moves all tensors to an IPU device."""
        return self._apply(lambda tensor: tensor.ipu(device))

    def mtia(self, device: Any = None):
        """Moves all tensors to an MTIA device."""
        return self._apply(lambda tensor: tensor.mtia(device))

    def type(self, dst_type: Any):
        """Casts all tensors to `dst_type`."""
        return self._apply(lambda tensor: tensor.type(dst_type))

    def float(self):
        """Casts all floating-point tensors to float32."""
        return self._apply(lambda tensor: tensor.float() if tensor.is_floating_point() else tensor)

    def double(self):
        """Casts all floating-point tensors to float64."""
        return self._apply(lambda tensor: tensor.double() if tensor.is_floating_point() else tensor)

    def half(self):
        """Casts all floating-point tensors to float16."""
        return self._apply(lambda tensor: tensor.half() if tensor.is_floating_point() else tensor)

    def bfloat16(self):
        """Casts all floating-point tensors to bfloat16."""
        return self._apply(lambda tensor: tensor.bfloat16() if tensor.is_floating_point() else tensor)

    def share_memory(self):
        """Moves all tensors to memory that other processes can map."""
        return self._apply(lambda tensor: tensor.share_memory_())


def _as_buffer(changed: Tensor, before: Tensor) -> Tensor:
    """`changed`, marked as a buffer where `before` was marked by the user."""
    if changed is not before and isinstance(before, Buffer) and not isinstance(changed, Buffer):
        changed.persistent = before.persistent
        changed._is_buffer = True
    return changed


def _parse_to(*args: Any, **kwargs: Any) -> tuple[Any, Any, bool, Any]:
    """The arguments of ``to`` as (device, dtype, non_blocking, memory_format)."""
    memory_format = kwargs.pop("memory_format", None)
    kwargs.pop("copy", None)
    rest = list(args)
    device = dtype = None
    if rest and isinstance(rest[0], Tensor):
        device, dtype = rest[0].device, rest[0].dtype
        rest.pop(0)
    elif rest and isinstance(rest[0], flambeau.dtype):
        dtype = rest.pop(0)
    elif rest and (rest[0] is None or isinstance(rest[0], (str, int, flambeau.device))):
        device = rest.pop(0)
        if rest and (rest[0] is None or isinstance(rest[0], flambeau.dtype)):
            dtype = rest.pop(0)
    if "other" in kwargs:
        other = kwargs.pop("other")
        device, dtype = other.device, other.dtype
    device = kwargs.pop("device", device)
    dtype = kwargs.pop("dtype", dtype)
    non_blocking = kwargs.pop("non_blocking", rest.pop(0) if rest else False)
    if rest:
        rest.pop(0)  # `copy`, which a module does not act on
    if kwargs or rest or not isinstance(non_blocking, bool):
        given = ", ".join(
            [type(a).__name__ for a in args] + [f"{k}={type(v).__name__}" for k, v in kwargs.items()]
        )
        raise TypeError(
            f"to() received an invalid combination of arguments - got ({given}), but expected one of:\n"
            " * (torch.device device = None, torch.dtype dtype = None, bool non_blocking = False)\n"
            " * (torch.dtype dtype, bool non_blocking = False)\n"
            " * (Tensor tensor, bool non_blocking = False)"
        )
    if isinstance(device, (str, int)):
        device = flambeau.device(device)
    return device, dtype, non_blocking, memory_format
