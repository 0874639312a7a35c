"""How mistakes in an operator's arguments are worded."""

from __future__ import annotations

from ..base.layout import Layout
from ..ops.define import Operator
from .tensor import Tensor


def argument_error(op: Operator, p, expected: str, x) -> TypeError:
    place = op.names.index(p.name) + 1
    where = f" (position {place})" if not p.keyword_only else ""
    return TypeError(f"{op.name}(): argument '{p.name}'{where} must be {expected}, not {type(x).__name__}")


def not_tensor(op: Operator, args: tuple) -> TypeError:
    """The error for the first argument that should be a tensor."""
    return next(
        argument_error(op, p, "Tensor", x)
        for p, x in zip(op.arguments, args) if p.type == "Tensor" and not isinstance(x, Tensor)
    )  # fmt: skip


def describe_call(op: Operator, values: dict, written: bool = False) -> str:
    """The call with its operands' types and shapes: ``linear(input float32[2, 5], weight float32[4, 3])``."""
    parts = []
    for p in op.arguments:
        x = values[p.name]
        if isinstance(x, Layout):
            parts.append(f"{p.name} {x}")
        elif isinstance(x, tuple) and x and isinstance(x[0], Layout):
            parts.append(f"{p.name} [{', '.join(map(repr, x))}]")
        elif isinstance(x, type):
            parts.append(f"{p.name} {x.__name__}")
        elif p.required or x != p.default:
            parts.append(f"{p.name}={x!r}")
    return f"{op.name}{'_' if written else ''}({', '.join(parts)})"
