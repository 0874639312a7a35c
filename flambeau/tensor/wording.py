"""How mistakes in an operator's arguments are worded."""

from __future__ import annotations

from ..base.layout import Layout
from ..ops.define import Operator
from .tensor import Tensor


def title(op: Operator) -> str:
    """The name that messages give an operator: ``special_zeta`` for special.zeta."""
    if op.name in _WITHIN:
        return _WITHIN[op.name]
    return op.name if op.namespace in ("", "nn.functional") else f"{op.namespace}.{op.name}".replace(".", "_")


#: operators of several forms whose signature does not show them
_SEVERAL_FORMS = frozenset(("max", "min"))
#: operators that PyTorch describes by one form, in which a number stands for a tensor
_ONE_FORM = frozenset(("add", "sub", "mul", "div"))
_WITHIN = {"power": "pow", "power_of": "pow", "rpow": "pow"}  # operators that serve another one


def argument_error(op: Operator, p, expected: str, x, args: tuple = ()) -> TypeError:
    """The error of an argument of the wrong type; `args`, all of them, where the operator has several forms."""
    operands = any(q.type == "Operand" for q in op.arguments) and op.full_name not in _ONE_FORM
    if args and (operands or op.full_name in _SEVERAL_FORMS):
        return invalid_combination(op, args)
    place = op.names.index(p.name) + 1
    where = f" (position {place})" if not p.keyword_only else ""
    return TypeError(f"{title(op)}(): argument '{p.name}'{where} must be {expected}, not {type(x).__name__}")


def invalid_combination(op: Operator, args: tuple) -> TypeError:
    """The error of arguments that fit none of an operator's forms, which are listed."""
    given = []
    for p, x in zip(op.arguments, args):
        if p.required or x is not p.default:
            kind = "Tensor" if isinstance(x, Tensor) else type(x).__name__
            given.append(f"{p.name}={kind}" if p.keyword_only else kind)
    forms = ""
    for kind in ("Tensor", "Number"):
        named = [f"{kind if p.type == 'Operand' else p.type} {p.name}" for p in op.arguments]
        forms += f"\n * ({', '.join(named)})"
    return TypeError(
        f"{title(op)}() received an invalid combination of arguments - got ({', '.join(given)}), but expected one of:"
        + forms
    )


def not_tensor(op: Operator, args: tuple) -> TypeError:
    """The error for the first argument that should be a tensor."""
    for p, x in zip(op.arguments, args):
        if p.type == "Tensor" and not isinstance(x, Tensor):
            return argument_error(op, p, "Tensor", x, args)
    return invalid_combination(op, args)


def not_tensors(op: Operator, p, x) -> TypeError:
    """The error of something that should be a sequence of tensors."""
    if isinstance(x, tuple):
        k, one = next((k, one) for k, one in enumerate(x) if not isinstance(one, Tensor))
        at = op.names.index(p.name)
        return TypeError(f"expected Tensor as element {k} in argument {at}, but got {type(one).__name__}")
    return argument_error(op, p, "tuple of Tensors", x)


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
