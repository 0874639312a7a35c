"""Copies of a module on several devices."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import flambeau

__all__ = ["replicate"]


def replicate(network: Any, devices: Sequence[Any], detach: bool = False) -> list[Any]:
    """A copy of a module for each device, whose parameters are results computed from the original's.

    Args:
        detach: whether gradients stay with the copies instead of flowing to the original.
    """
    places = [flambeau.device("cuda", d) if isinstance(d, int) else flambeau.device(d) for d in devices]
    return [_copied(network, place, detach) for place in places]


def _copied(network: Any, device: Any, detach: bool) -> Any:
    def moved(tensor: Any) -> Any:
        if tensor is None:
            return None
        found = tensor.detach() if detach else tensor.view_as(tensor)
        return found.to(device)

    made = copy.copy(network)
    made.__dict__ = network.__dict__.copy()
    for registry in ("_parameters", "_buffers", "_modules"):
        made.__dict__[registry] = {}
    for name in (*network._parameters, *network._buffers, *network._modules):
        made.__dict__.pop(name, None)
    made._own_registries()
    for name, parameter in network._parameters.items():
        object.__setattr__(made, name, moved(parameter))
    for name, buffer in network._buffers.items():
        made._buffers[name] = None if buffer is None else buffer.to(device)
    for name, child in network._modules.items():
        made._modules[name] = None if child is None else _copied(child, device, detach)
    made._is_replica = True
    return made
