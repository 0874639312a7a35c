"""Names around `__torch_dispatch__`, which Flambeau does not have: no tensor is a wrapper of others."""

from __future__ import annotations

import contextlib
from typing import Any

__all__ = ["TorchDispatchMode", "is_traceable_wrapper_subclass"]


class TorchDispatchMode:
    """Sees every operator below autograd in PyTorch: not supported; `torch.overrides.TorchFunctionMode` sees calls."""

    def __init__(self, _dispatch_key: Any = None):
        raise NotImplementedError(
            "Flambeau has no __torch_dispatch__\n"
            "  fix     torch.overrides.TorchFunctionMode sees every public function as it is called"
        )


def is_traceable_wrapper_subclass(t: object) -> bool:
    """Whether a tensor is a wrapper of others that a tracer can open."""
    return False


def is_traceable_wrapper_subclass_type(t: type) -> bool:
    """Whether a type of tensor is a wrapper of others."""
    return False


@contextlib.contextmanager
def _disable_current_modes():
    yield []


def _get_current_dispatch_mode() -> None:
    return None


def _get_current_dispatch_mode_stack() -> list:
    return []


def is_in_torch_dispatch_mode(include_infra_modes: bool = True) -> bool:
    """Whether such a mode is on."""
    return False
