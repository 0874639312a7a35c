"""How tensors print, under the names that libraries reach for."""

from __future__ import annotations

from typing import Any

from .tensor.show import Options, set_printoptions, text_of
from .tensor.tensor import Tensor

__all__ = ["PRINT_OPTS", "printoptions", "set_printoptions"]

PRINT_OPTS = Options


def _tensor_str(self: Tensor, indent: int) -> str:
    from .tensor.show import elements

    return elements(self, indent)


def _str(self: Tensor, *, tensor_contents: str | None = None) -> str:
    return text_of(self)


class printoptions:
    """Within it, tensors print otherwise."""

    def __init__(self, **options: Any):
        self.options = options

    def __enter__(self):
        self.before = {name: getattr(Options, name) for name in self.options}
        set_printoptions(**self.options)
        return self

    def __exit__(self, *exc: Any) -> None:
        for name, value in self.before.items():
            setattr(Options, name, value)
