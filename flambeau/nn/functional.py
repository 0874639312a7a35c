"""Functions of neural networks: operators by name, and compositions of them.

Operators are declared once, under `flambeau.ops`, with ``nn.functional`` among their names; they are looked up
there when first used. What is written in `flambeau.nn.composed` is not an operator of its own: it chooses between
operators, or chains them.
"""

from __future__ import annotations

from typing import Any

from .composed.activation import relu
from .composed.attention import multi_head_attention_forward

__all__ = ["multi_head_attention_forward", "relu"]


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    from flambeau.ops.define import public

    try:
        function = public("nn.functional", name)
    except (AttributeError, KeyError):
        function = None
    if function is None:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    globals()[name] = function  # the next look-up is that of an ordinary global
    return function
