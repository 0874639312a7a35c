"""Groups of tensors by device and type, as optimisers want them."""

from __future__ import annotations

from typing import Any

__all__: list[str] = []


def _get_foreach_kernels_supported_devices() -> list[str]:
    return ["cpu"]


def _get_fused_kernels_supported_devices() -> list[str]:
    return ["cpu"]


def _group_tensors_by_device_and_dtype(
    tensorlistlist: list[list], with_indices: bool = False
) -> dict[Any, Any]:
    """Lists of tensors split by the device and type of the first list's."""
    groups: dict[Any, Any] = {}
    for at, first in enumerate(tensorlistlist[0]):
        lists, indices = groups.setdefault((first.device, first.dtype), ([[] for _ in tensorlistlist], []))
        for part, whole in zip(lists, tensorlistlist):
            if whole:
                part.append(whole[at])
        indices.append(at)
    return {
        key: (lists, indices if with_indices else list(range(len(indices))))
        for key, (lists, indices) in groups.items()
    }


def _device_has_foreach_support(device: Any) -> bool:
    return device.type == "cpu"


def _has_foreach_support(tensors: list, device: Any) -> bool:
    return device.type == "cpu"
