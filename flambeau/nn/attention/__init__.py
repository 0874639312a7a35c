"""Choosing the kernel of attention: accepted here, where one kernel serves all calls."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from enum import IntEnum
from typing import Any

from . import bias

__all__ = [
    "SDPBackend", "WARN_FOR_UNFUSED_KERNELS", "activate_flash_attention_impl", "current_flash_attention_impl",
    "list_flash_attention_impls", "register_flash_attention_impl", "restore_flash_attention_impl", "sdpa_kernel",
]  # fmt: skip

WARN_FOR_UNFUSED_KERNELS = False


class SDPBackend(IntEnum):
    """The kernels that PyTorch knows for `scaled_dot_product_attention`."""

    ERROR = -1
    MATH = 0
    FLASH_ATTENTION = 1
    EFFICIENT_ATTENTION = 2
    CUDNN_ATTENTION = 3
    OVERRIDEABLE = 4

    def __str__(self) -> str:
        return f"SDPBackend.{self.name}"

    def __repr__(self) -> str:
        return f"<SDPBackend.{self.name}: {self.value}>"


#: the switch of `torch.backends.cuda` that stands for a kernel
_SWITCHES = {
    SDPBackend.FLASH_ATTENTION: "flash",
    SDPBackend.EFFICIENT_ATTENTION: "mem_efficient",
    SDPBackend.MATH: "math",
    SDPBackend.CUDNN_ATTENTION: "cudnn",
}


def _cur_sdpa_kernel_backends(with_priority: bool = False) -> list[SDPBackend]:
    """The kernels that are allowed now."""
    from flambeau.backends import cuda

    return [backend for backend, switch in _SWITCHES.items() if getattr(cuda, switch)]


@contextlib.contextmanager
def sdpa_kernel(backends: list[SDPBackend] | SDPBackend, set_priority: bool = False) -> Iterator[None]:
    """Within it, attention may use these kernels only.

    Flambeau's attention is one kernel on the CPU, which serves whatever is allowed; the choice can be read back from
    `flambeau.backends.cuda`.

    Args:
        backends: one kernel, or several.
        set_priority: whether their order counts.
    """
    from flambeau.backends import cuda

    if not isinstance(backends, (list, SDPBackend)):
        raise AssertionError(
            "Backend must be an instance of SDPBackend or a list of SDPBackend instances, got "
            f"{type(backends).__name__}"
        )
    allowed = {backends} if isinstance(backends, SDPBackend) else set(backends)
    with cuda.flags(**{switch: backend in allowed for backend, switch in _SWITCHES.items()}):
        yield


# -- other implementations of the flash kernel -------------------------------------------------------------------

_implementations: dict[str, Callable[..., Any]] = {}
_active: list[tuple[str, Any]] = []


def register_flash_attention_impl(impl: str, *, register_fn: Callable[..., Any]) -> None:
    """Makes a flash kernel known; `register_fn` puts it in place and returns a handle that takes it out again."""
    _implementations[impl] = register_fn


def list_flash_attention_impls() -> list[str]:
    """Names of the flash kernels that were registered."""
    return sorted(_implementations)


def current_flash_attention_impl() -> str | None:
    """Name of the flash kernel in place; None for the one built in."""
    return _active[-1][0] if _active else None


def activate_flash_attention_impl(impl: str) -> None:
    """Puts a registered flash kernel in place."""
    if impl not in _implementations:
        raise ValueError(
            f"Unknown flash attention impl '{impl}'. Available implementations: {list_flash_attention_impls()}"
        )
    restore_flash_attention_impl(_raise_warn=False)
    _active.append((impl, _implementations[impl]()))


def restore_flash_attention_impl(_raise_warn: bool = True) -> None:
    """Puts the built-in flash kernel back."""
    while _active:
        _, handle = _active.pop()
        if handle is not None:
            handle.remove()


_ = bias
