"""The tracer of operators, which Flambeau does not have."""

from __future__ import annotations

from typing import Any

from .. import _no_graphs

__all__ = ["get_proxy_mode", "is_fake", "make_fx"]


def get_proxy_mode() -> None:
    """The tracer at work: none."""


def make_fx(f: Any, *arguments: Any, **keywords: Any) -> Any:
    """Not supported."""
    _no_graphs("experimental.proxy_tensor.make_fx")


def is_fake(x: Any) -> bool:
    """Whether a tensor is without data in a tracer: never."""
    return False
