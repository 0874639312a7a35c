"""Types in annotations of scripted functions: they are for readers only."""

from __future__ import annotations

from typing import Any, Dict, Final, List, Optional, Tuple, Union  # noqa: UP035

from ..tensor.tensor import Tensor

__all__ = ["Any", "BroadcastingList1", "BroadcastingList2", "BroadcastingList3", "Dict", "Final", "List", "Optional",
           "Tensor", "Tuple", "Union"]  # fmt: skip


class _BroadcastingList:
    """One value or a list of them, as in ``kernel_size: BroadcastingList2[int]``."""

    def __getitem__(self, types: Any) -> None:
        return None


BroadcastingList1 = BroadcastingList2 = BroadcastingList3 = _BroadcastingList()
