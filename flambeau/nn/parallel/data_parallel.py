"""`DataParallel`: a batch split between devices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flambeau
from flambeau.nn.modules.module import Module

from .parallel_apply import parallel_apply
from .replicate import replicate
from .scatter_gather import gather, scatter_kwargs

__all__ = ["DataParallel", "data_parallel"]


class DataParallel(Module):
    """Runs a module on parts of the batch, one a device, and joins the outputs. Without GPUs it just calls the module.

    Args:
        device_ids: the GPUs to use; all of them by default.
        output_device: where the outputs are joined; the first GPU by default.
        dim: the dimension of the batch.

    Example::

        >>> model = flambeau.nn.DataParallel(flambeau.nn.Linear(2, 1))
        >>> model(flambeau.ones(3, 2)).shape
        torch.Size([3, 1])
        >>> sorted(model.state_dict())
        ['module.bias', 'module.weight']
    """

    def __init__(
        self,
        module: Module,
        device_ids: Sequence[Any] | None = None,
        output_device: Any = None,
        dim: int = 0,
    ) -> None:
        super().__init__()
        self.module = module
        if device_ids is None and flambeau.cuda.is_available():
            device_ids = list(range(flambeau.cuda.device_count()))
        if not device_ids or not flambeau.cuda.is_available():
            self.device_ids: list[int] = []
            return
        self.dim = dim
        self.device_ids = [_index(d) for d in device_ids]
        self.output_device = _index(device_ids[0] if output_device is None else output_device)
        self.src_device_obj = flambeau.device("cuda", self.device_ids[0])
        if len(self.device_ids) == 1:
            self.module.to(self.src_device_obj)

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        """The module's output on the whole batch."""
        if not self.device_ids:
            return self.module(*inputs, **kwargs)
        for tensor in (*self.module.parameters(), *self.module.buffers()):
            if tensor.device != self.src_device_obj:
                raise RuntimeError(
                    "module must have its parameters and buffers on device "
                    f"{self.src_device_obj} (device_ids[0]) but found one of them on device: {tensor.device}"
                )
        split, named = scatter_kwargs(inputs, kwargs, self.device_ids, self.dim)
        if not split and not named:
            split, named = ((),), ({},)
        if len(self.device_ids) == 1:
            return self.module(*split[0], **named[0])
        copies = replicate(self.module, self.device_ids[: len(split)], not flambeau.is_grad_enabled())
        return gather(parallel_apply(copies, split, named), self.output_device, self.dim)


def _index(device: Any) -> int:
    return device if isinstance(device, int) else flambeau.device(device).index or 0


def data_parallel(
    module: Module,
    inputs: Any,
    device_ids: Sequence[Any] | None = None,
    output_device: Any = None,
    dim: int = 0,
    module_kwargs: Any = None,
) -> Any:
    """One call of `DataParallel`: a module's output, computed on several devices where there are any."""
    inputs = inputs if isinstance(inputs, tuple) else (inputs,) if inputs is not None else ()
    return DataParallel(module, device_ids, output_device, dim)(*inputs, **(module_kwargs or {}))
