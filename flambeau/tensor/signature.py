"""The first lines of a generated function: its parameters, and the arguments brought into their usual form."""

from __future__ import annotations

from ..ops.define import Operator, Param

#: stands for an argument that was not given and has no default
MISSING = object()
#: NumPy's names for parameters, which the functions of these namespaces take too
NUMPY_NAMES = {"dim": "axis", "keepdim": "keepdims"}
_NAMESPACES = ("", "linalg", "special", "fft")
#: functions that PyTorch defines in Python, with one name for each parameter
_ONE_NAME = frozenset(("norm", "split", "unique", "unique_consecutive", "stft", "istft"))


def other_names(op: Operator) -> dict[str, str]:
    """NumPy's name of each parameter that has one."""
    public = op.function or op.method
    if not public or op.namespace not in _NAMESPACES or op.name in _ONE_NAME:
        return {}
    return {p.name: NUMPY_NAMES[p.name] for p in op.arguments if p.name in NUMPY_NAMES}


def withheld(op: Operator) -> list[Param]:
    """Required parameters that may come under another name, or behind one that does."""
    names = other_names(op)
    at = next((k for k, p in enumerate(op.arguments) if p.name in names), len(op.arguments))
    return [p for p in op.arguments[at:] if p.required and not p.spread]


def header(op: Operator, out: bool = True) -> str:
    """The parameter list."""
    parts, star = [], False
    free = {p.name for p in withheld(op)}
    for p in op.arguments if not out else op.params:
        if p.spread:
            parts.append(f"*{p.name}_, {p.name}=None")
            star = True
            continue
        if p.keyword_only and not star:
            parts.append("*")
            star = True
        default = "MISSING" if p.name in free else f"DEFAULTS[{p.name!r}]"
        parts.append(p.name if p.required and p.name not in free else f"{p.name}={default}")
    names = [f"{name}=None" for name in other_names(op).values()]
    return ", ".join([*parts, *(["*"] if names and not star else []), *names])


def prelude(op: Operator) -> list[str]:
    """Statements that take arguments under their other names and gather sizes that were given one by one."""
    lines = renaming(op)
    for p in op.arguments:
        if p.spread:
            lines += [
                f"    if {p.name} is None:",
                f"        {p.name} = {p.name}_",
                f"        if len({p.name}) == 1 and type({p.name}[0]) is not int and not "
                f"hasattr({p.name}[0], '__index__'):",
                f"            {p.name} = {p.name}[0]",
            ]
            if not p.required:
                lines += [f"        elif len({p.name}) == 0:", f"            {p.name} = DEFAULTS[{p.name!r}]"]
    return lines


def renaming(op: Operator) -> list[str]:
    """Statements that take arguments under their other names: one test for each in the usual call."""
    names = other_names(op)
    required = withheld(op)
    lines = []
    for p in required:
        other = names.pop(p.name, None)
        lines.append(f"    if {p.name} is MISSING:")
        if other:
            lines += [f"        {p.name} = MISSING if {other} is None else {other}"]
        given = ", ".join(f"{q.name}={q.name}" for q in required if q is not p)
        lines += [
            f"        if {p.name} is MISSING:",
            f"            raise missing(op, {p.name}=MISSING, {given})",
        ]
    if len(names) == 2:  # neither is given in the usual call: both are None
        lines.append("    if axis is not keepdims:")
    for name, other in names.items():
        lines += [f"    {'    ' * (len(names) - 1)}if {other} is not None:"]
        lines += [f"        {'    ' * (len(names) - 1)}{name} = {other}"]
    return lines


def missing(op: Operator, **given) -> TypeError:
    """The error of a call that lacks arguments."""
    absent = [p.name for p in op.arguments if given.get(p.name) is MISSING]
    named = ", ".join(f'"{name}"' for name in absent)
    plural = "arguments" if len(absent) == 1 else "argument"  # as PyTorch has it
    return TypeError(f"{op.name}() missing {len(absent)} required positional {plural}: {named}")
