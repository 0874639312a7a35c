"""`DistributedDataParallel` needs processes that communicate, which this version does not have."""

from __future__ import annotations

from typing import Any

from ..modules.module import Module

__all__ = ["DistributedDataParallel"]


class DistributedDataParallel(Module):
    """A model whose gradients are averaged between processes: needs `torch.distributed`."""

    def __init__(self, module: Module, *arguments: Any, **keywords: Any):
        super().__init__()
        raise ValueError(
            "Default process group has not been initialized, please make sure to call init_process_group.\n"
            "  training over several processes is not part of this version; DataParallel runs on one device"
        )
