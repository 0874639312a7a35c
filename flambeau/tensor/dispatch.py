"""From an operator's declaration to the Python function that users call.

The function is generated from the signature: it looks the plan up by the operands' layouts, runs it, wraps the result,
and records a node when a gradient is needed. Whatever is not the common case goes to `invoke`, which does the same in
general form and fills the plan cache.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from ..base import device as device_module
from ..base.mode import mode
from ..ir import expr
from ..ops import define
from ..ops.define import Operator, ops
from . import autograd, overrides
from . import plan as plans
from .autograd import Node, Part, next_number
from .out import accept_out, give_out
from .plan import NUMBERS, Plan, make_plan
from .signature import MISSING, header, missing, prelude
from .tensor import Tensor, make, new_object, track_view
from .wording import argument_error, describe_call, invalid_combination, not_tensor, not_tensors

_runtime = None


def runtime():
    """The CPU run-time core, loaded when the first tensor is made."""
    global _runtime
    if _runtime is None:
        from ..backend.cpu import runtime as loaded

        _runtime = loaded
        autograd.VERSION[0] = loaded.version
        GLOBALS["version"] = loaded.version
    return _runtime


# -- generated functions -------------------------------------------------------------------------------------


def compile_function(op: Operator, variant: str) -> Callable:
    """The public function of an operator: variant "function" or "inplace"."""
    if op.kind == "Composite" and variant != "inplace":
        return _composite(op, variant)
    source = _source_inplace(op) if variant == "inplace" else _source(op, variant)
    scope: dict = dict(GLOBALS, op=op, plans=op.plans, inplace_plans=op.inplace_plans)
    name = op.name + ("_" if variant == "inplace" else "")
    exec(compile(source, f"<operator {name}>", "exec"), scope)
    made = scope["function"]
    made.__name__ = made.__qualname__ = name
    made.__doc__ = op.doc
    made.__module__ = "flambeau" + ("." + op.namespace if op.namespace else "")
    made.operator = op
    return made


def _key(op: Operator, absent: set[str] = frozenset(), numbers: tuple[str, ...] = ()) -> str:
    parts = []
    for p in op.arguments:
        if p.name in op.unkeyed:
            continue
        if p.name in absent:
            parts.append("None")
        elif p.name in numbers:
            parts.append(f"kind_{p.name}")
        elif p.is_tensor:
            parts.append(f"{p.name}._layout")
        elif p.type in ("Scalar", "float", "bool", "int"):
            parts.append(p.name if p.type != "Scalar" else f"type({p.name})")
        else:
            parts.append(p.name)
    if len(parts) == 1:
        return parts[0]
    return "(" + ", ".join(parts) + ")"


def _run_arguments(op: Operator, absent=frozenset(), numbers: tuple[str, ...] = ()) -> str:
    parts = [f"{n}._memory, {n}._offset" for n in op.tensors if n not in absent and n not in numbers]
    parts += numbers
    parts += [p.name for p in op.arguments if p.type == "Scalar"]
    return ", ".join(parts)


def _simple(op: Operator) -> bool:
    """Whether the fast path covers the operator: a fixed number of tensors, one result."""
    fits = all(
        p.type in ("Tensor", "Operand", "Tensor?", "Operand?") or not p.is_tensor for p in op.arguments
    )
    optional = [p for p in op.arguments if p.type == "Tensor?"]
    return fits and len(optional) <= 1 and op.outputs == 1 and not getattr(op.rules, "data_dependent", False)


def _source(op: Operator, variant: str = "function") -> str:
    names = ", ".join(op.names)
    out = ", out" if op.out else ""
    general = f"invoke{'_operator' if variant == 'operator' else ''}(op, ({names},){out})"
    lines = [f"def function({header(op)}):", *prelude(op)]
    if op.inplace_flag:
        lines += ["    if inplace:", f"        return function_of(op, 'inplace')({names})"]
    if op.out:
        lines += ["    if out is not None:"]
        lines += _from_out(op) if op.unkeyed or getattr(op.rules, "computes_in_out", False) else []
        lines += [f"        return {general}"]
    if op.unkeyed:
        return "\n".join([*lines, *_factory(op, general)])
    if not _simple(op) or not op.tensors:
        found = _several(op, general) if _regular(op) else [f"    return {general}"]
        return "\n".join([*lines, *found])
    optional = [p.name for p in op.arguments if p.type == "Tensor?"]
    for numbers, absent, test in _number_forms(op):
        lines += [f"    kind_{n} = type({n})" for n in numbers]
        lines += [
            f"    if {test}:",
            *_branch(op, general, "        ", absent, numbers),
            "        return result",
        ]
    if optional:
        lines.append(f"    if {optional[0]} is None:")
        lines += _branch(op, general, "        ", absent={optional[0]})
        lines.append("    else:")
        lines += _branch(op, general, "        ")
    else:
        lines += _branch(op, general, "    ")
    lines.append("    return result")
    return "\n".join(lines)


def _regular(op: Operator) -> bool:
    """Whether the plan's key and the program's arguments are just the tensors that are there and plain values."""
    types = {p.type for p in op.arguments}
    follow = getattr(op.rules, "scalars_follow_tensor", False)
    fixed = not types & {"Tensor[]", "Operand", "Operand?"} and not (follow and "Scalar" in types)
    return op.kind in ("Opaque", "Reduction") and bool(op.tensors) and fixed


def _several(op: Operator, general: str) -> list[str]:
    """The fast path of an operator with several results or several optional tensors."""
    optional = {p.name for p in op.arguments if p.type == "Tensor?"}

    def where_there(n: str, text: str, absent: str) -> str:
        return f"({absent} if {n} is None else {text})" if n in optional else text

    scalars = [p.name for p in op.arguments if p.type == "Scalar"]
    parts = [f"type({n})" if n in scalars else n for n in op.names]
    key = ", ".join(
        where_there(n, f"{n}._layout", "None") if n in op.tensors else part
        for n, part in zip(op.names, parts)
    )
    args = [
        f"*(() if {n} is None else ({n}._memory, {n}._offset))"
        if n in optional
        else f"{n}._memory, {n}._offset"
        for n in op.tensors
    ] + scalars
    nodes = " or ".join(where_there(n, f"{n}._node", "None") + " is not None" for n in op.tensors)
    return [
        "    try:",
        f"        plan = plans[({key},)]",
        "    except (KeyError, AttributeError, TypeError):",
        f"        return {general}",
        f"    memory = plan.run({', '.join(args)})",
        *(["    if plan.count == 0:", "        return None"] if op.outputs == 0 else []),
        "    single = plan.count == 1",
        "    results = (make(memory, plan.layout),) if single else tuple(map(make, memory, plan.layouts))",
        f"    if plan.differentiable and _mode.grad and ({nodes}):",
        *_record_several(op, optional),
        "    return results[0] if single else results",
    ]


def _record_several(op: Operator, optional: set[str]) -> list[str]:
    """Statements that make the node of a call whose first result alone may carry a gradient; others go to `record`."""
    general = f"record(op, plan, ({', '.join(op.names)},), results)"
    if any(p.type == "Tensor[]" for p in op.arguments):
        return [f"        {general}"]

    def where_there(n: str, text: str, absent: str) -> str:
        return f"({absent} if {n} is None else {text})" if n in optional else text

    nodes = {n: f"node_{n}" for n in op.tensors}
    edges = "".join(f"{v}, " for v in nodes.values())
    saved, versions = [], []
    for name in op.saved_inputs:
        test = _saving_test(op, name, nodes)
        saved.append(f"({name}{test} None), " if test else f"{name}, ")
        version = where_there(name, f"version({name}._memory)", "0")
        versions.append(f"({version}{test} 0), " if test else f"{version}, ")
    for name in op.saved_results:
        one = f"results[{int(name.removeprefix('result') or 0)}]"
        test = _saving_test(op, name, nodes)
        saved.append(f"(alias({one}){test} None), " if test else f"alias({one}), ")
        versions.append(f"version({one}._memory), ")
    lines = [
        "if plan.lone:",
        *[f"    {v} = {where_there(n, f'{n}._node', 'None')}" for n, v in nodes.items()],
        "    results[0]._node = node = new(Node)",
        "    node.op = op",
        "    node.plan = plan",
        f"    node.edges = ({edges})",
        f"    node.saved = ({''.join(saved)})",
        f"    node.versions = ({''.join(versions)})",
        f"    node.plain = ({''.join(f'{n}, ' for n in op.plain)})",
        "    node.number = next_number()",
        "    node.extra = None",
        "    if _mode.grad is not True:",
        "        watch(node)",
        "else:",
        f"    {general}",
    ]
    return ["        " + text for text in lines]


def _number_forms(op: Operator) -> list[tuple[tuple[str, ...], frozenset[str], str]]:
    """(operands that are numbers, operands left out, test) of the calls with numbers that have a fast path."""
    limits = [p.name for p in op.arguments if p.type == "Operand?"]
    if len(limits) == 2:
        a, b = limits
        return [
            ((a, b), frozenset(), f"kind_{a} in NUMBERS and kind_{b} in NUMBERS"),
            ((a,), frozenset((b,)), f"{b} is None and kind_{a} in NUMBERS"),
            ((b,), frozenset((a,)), f"{a} is None and kind_{b} in NUMBERS"),
        ]
    operand = next((p.name for p in reversed(op.arguments) if p.type == "Operand"), None)
    if operand is None or operand == op.tensors[0]:
        return []
    return [((operand,), frozenset(), f"kind_{operand} in NUMBERS")]


def _from_out(op: Operator) -> list[str]:
    """A factory with `out` takes from it what is not given."""
    lines = ["        if dtype is None:", "            dtype = out.dtype"]
    return lines if op.tensors else [*lines, "        if device is None:", "            device = out.device"]


def _factory(op: Operator, general: str) -> list[str]:
    """The body of a function that makes a new tensor: the device is settled first, `requires_grad` comes last."""
    lines = []
    if not op.tensors:
        lines = [
            "    if device is None:",
            "        device = DEVICES[-1] if DEVICES else DEFAULT_DEVICE[0]",
            "    elif type(device) is not Device:",
            "        device = Device(device)",
        ]
    lines += _branch(op, general, "    ")
    return [*lines, "    return with_gradient(result) if requires_grad else result"]


def _branch(
    op: Operator, general: str, indent: str, absent=frozenset(), numbers: tuple[str, ...] = ()
) -> list[str]:
    """Look up, run, wrap, record: the fast path of one combination of operands."""
    tensors = [n for n in op.tensors if n not in absent and n not in numbers]
    lines = [
        "try:",
        f"    plan = plans[{_key(op, absent, numbers)}]",
        "except (KeyError, AttributeError, TypeError):",
        f"    return {general}",
    ]
    if op.kind == "View":
        (source,) = tensors
        lines += [
            "result = new(Tensor)",
            f"result._memory = {source}._memory",
            f"result._offset = {source}._offset + plan.move",
            "result._layout = plan.layout",
            f"base = {source}._base",
            f"result._base = base = {source} if base is None else base",
            "result._node = None",
            "if plan.differentiable and _mode.grad:",
            "    track_view(base, result)",
        ]
    else:
        lines += [
            f"memory = plan.run({_run_arguments(op, absent, numbers)})",
            "result = new(Tensor)",
            "result._memory = memory",
            "result._offset = 0",
            "result._layout = plan.layout",
            "result._base = None",
            "result._node = None",
        ]
    if op.differentiable:
        nodes = {n: f"node_{n}" for n in tensors}
        lines += [f"{v} = {n}._node" for n, v in nodes.items()]
        condition = " or ".join(f"{v} is not None" for v in nodes.values())
        lines.append(f"if ({condition}) and _mode.grad and plan.differentiable:")
        lines += ["    " + text for text in _record(op, nodes, absent, numbers)]
    return [indent + text for text in lines]


def _record(op: Operator, nodes: dict[str, str], absent, numbers) -> list[str]:
    """Statements that make the node of a call."""
    edges = "".join(f"{nodes.get(n, 'None')}, " for n in op.tensors)
    saved, versions = [], []
    for name in op.saved_inputs:
        if name in absent:
            saved.append("None")
            versions.append("0")
        elif name in numbers:
            saved.append(name)
            versions.append("0")
        else:
            test = _saving_test(op, name, nodes)
            saved.append(f"({name}{test} None)" if test else name)
            versions.append(f"(version({name}._memory){test} 0)" if test else f"version({name}._memory)")
    for name in op.saved_results:
        test = _saving_test(op, name, nodes)
        saved.append(f"(alias(result){test} None)" if test else "alias(result)")
        versions.append("version(memory)" if op.kind != "View" else "version(result._memory)")
    plain = "".join(f"{n}, " for n in op.plain)
    return [
        "node = new(Node)",
        "node.op = op",
        "node.plan = plan",
        f"node.edges = ({edges})",
        f"node.saved = ({''.join(s + ', ' for s in saved)})",
        f"node.versions = ({''.join(v + ', ' for v in versions)})",
        f"node.plain = ({plain})",
        "node.number = next_number()",
        "node.extra = None",
        "result._node = node",
        "if _mode.grad is not True:",
        "    watch(node)",
    ]


def _saving_test(op: Operator, name: str, nodes: dict[str, str]) -> str:
    """Condition under which a saved value is needed, as ` if condition else`; empty when it always is."""
    wanted = [nodes[t] for t in op.saved_for[name] if t in nodes]
    if len(wanted) == len(nodes):
        return ""
    if not wanted:
        return " if False else"
    return f" if {' or '.join(f'{w} is not None' for w in wanted)} else"


def _source_inplace(op: Operator) -> str:
    names = ", ".join(op.names)
    general = f"invoke_inplace(op, ({names},))"
    lines = [f"def function({header(op, out=False)}):", *prelude(op)]
    if not _simple(op) or op.kind != "Pointwise" and not _writes_plainly(op):
        return "\n".join([*lines, f"    return {general}"])
    target = op.tensors[0]
    for numbers, absent, test in _number_forms(op):
        lines += [f"    kind_{n} = type({n})" for n in numbers]
        lines += [f"    if {test}:", *_branch_inplace(op, general, target, "        ", absent, numbers)]
    lines += _branch_inplace(op, general, target, "    ")
    return "\n".join(lines)


def _writes_plainly(op: Operator) -> bool:
    """Whether the in-place form of a named algorithm takes nothing but tensors and plain values."""
    plain = not {p.type for p in op.arguments} & {"Operand", "Operand?", "Tensor?", "Scalar"}
    return op.kind == "Opaque" and getattr(op.rules, "writes", False) and plain


def _branch_inplace(op, general, target, indent, absent=frozenset(), numbers=()) -> list[str]:
    others = [n for n in op.tensors if n != target and n not in numbers and n not in absent]
    tests = [f"{n}._node is not None" for n in (target, *others)]
    if op.differentiable:  # a view made in no_grad has no node, but its base may have one
        tests.append(f"{target}._base is not None and {target}._base._node is not None")
    tests = [f"({' or '.join(tests)}) and _mode.grad"] + [f"{n}._memory is {target}._memory" for n in others]
    lines = [
        "try:",
        f"    if {' or '.join(tests)}:",
        f"        return {general}",
        f"    plan = inplace_plans[{_key(op, absent, numbers)}]",
        "except (KeyError, AttributeError, TypeError):",
        f"    return {general}",
        f"plan.run({_run_arguments(op, absent, numbers)})",
        f"return {target}",
    ]
    return [indent + text for text in lines]


def _composite(op: Operator, variant: str = "function") -> Callable:
    """The body, behind a check for subclasses with their own __torch_function__; with `d_` rules a node of its own."""
    body = op.rules.body
    body.__doc__ = op.doc
    scope: dict = dict(GLOBALS, op=op, body=body, DEFAULTS={p.name: p.default for p in op.params})
    names = ", ".join(op.names)
    keywords = ", ".join(f"{n}={n}" for n in op.names)
    lines = [f"def function({header(op)}):", *prelude(op)]
    if variant == "operator":
        lines += [f"    if not fits({op.names[1]}):", "        return NotImplemented"]
    takes_type = "requires_grad" in op.names or getattr(op.rules, "computes_in_out", False)
    if op.out and "dtype" in op.names and takes_type:
        lines += ["    if out is not None and dtype is None:", "        dtype = out.dtype"]
    tests = [f"type({n}) in PLAIN" for n in op.tensors]
    needed = [p.name for p in op.arguments if p.type == "Tensor"]
    if (
        needed
    ):  # a type that passes for a tensor is settled by `overridden`; numbers and the like are refused here
        lines += [f"    if not ({' and '.join(f'isinstance({n}, Tensor)' for n in needed)}):"]
        lines += [f"        found = overridden(op, ({names},))"]
        lines += ["        if found is not NotImplemented:", "            return found"]
        lines += [f"        raise not_tensor(op, ({names},))"]
    operands = [p.name for p in op.arguments if p.type == "Operand"]
    if tests:
        lines += [f"    if not ({' and '.join(tests)}):", f"        found = overridden(op, ({names},))"]
        lines += ["        if found is not NotImplemented:", "            return found"]
    if len(operands) > 1 and len(operands) == len(op.arguments):
        numbers = " or ".join(f"isinstance({n}, Tensor)" for n in operands)
        lines += [f"    if not ({numbers}):", f"        raise not_tensor(op, ({names},))"]
    if op.out:
        lines += ["    if out is not None:", f"        accept_out(op, ({names},), out)"]
        lines += [f"        return give_out(op, ({names},), body({keywords}), out)"]
    lines.append(f"    return body({keywords})")
    exec(compile("\n".join(lines), f"<operator {op.name}>", "exec"), scope)
    made = scope["function"]
    made.__name__ = made.__qualname__ = op.name
    made.__doc__, made.operator = op.doc, op
    made.__module__ = "flambeau" + ("." + op.namespace if op.namespace else "")
    return made


# -- the general path ----------------------------------------------------------------------------------------


def layout_key(x):
    """What of an argument decides the plan: a tensor's layout, a number's type, plain values as they are."""
    if isinstance(x, Tensor):
        return x._layout
    if isinstance(x, (list, tuple)):
        return tuple(layout_key(e) if isinstance(e, Tensor) else e for e in x)
    return x


def prepare(op: Operator, args: tuple) -> tuple[tuple, dict, tuple]:
    """Arguments in canonical form, the values that planning sees, and the key of the plan."""
    ready, values, key = [], {}, []
    complex_first = isinstance(args[0], Tensor) and args[0]._layout.dtype.kind == 3
    widen = complex_first and op.kind == "Opaque" and not op.unkeyed
    follow = getattr(op.rules, "scalars_follow_tensor", False)
    whole = follow and isinstance(args[0], Tensor) and args[0]._layout.dtype.kind == 1
    for p, x in zip(op.arguments, args, strict=True):
        if whole and p.type == "Scalar" and x is not None:
            x = int(as_number(op, p, x))
        if widen and p.type == "Scalar" and x is not None:
            x = complex(as_number(op, p, x))
        if p.type == "Tensor[]":
            x = tuple(x) if isinstance(x, (list, tuple)) else x
            if not isinstance(x, tuple) or not all(isinstance(t, Tensor) for t in x):
                raise not_tensors(op, p, x)
            seen = tuple(t._layout.plain for t in x)
        elif p.is_tensor and isinstance(x, Tensor):
            seen = x._layout.plain
        elif p.type in ("Operand", "Scalar", "Operand?"):
            if x is None and (p.type == "Operand?" or not p.required):
                seen = None
            else:
                x = as_number(op, p, x, args)
                seen = type(x) if not isinstance(x, Tensor) else x._layout.plain
        elif p.type == "Tensor?" and x is None:
            seen = None
        elif p.is_tensor:
            raise argument_error(op, p, "Tensor", x, args)
        else:
            x = plain_value(op, p, x)
            seen = x
        ready.append(x)
        values[p.name] = seen
        if p.name in op.unkeyed:
            continue
        if seen is complex:
            seen = "complex"  # two words of a program: never a key of the fast path
        key.append((type(seen), seen) if isinstance(seen, (bool, int, float)) and p.type == "any" else seen)
    return tuple(ready), values, key[0] if len(key) == 1 else tuple(key)


def plain_value(op: Operator, p, x):
    """A plain argument made hashable: lists become tuples; an int tensor where an int is expected is read."""
    if isinstance(x, list):
        x = tuple(x)
    if p.type.startswith("int"):
        if isinstance(x, tuple) and "[" in p.type:
            return tuple(e if type(e) is int else e.__index__() for e in x)
        if x is not None and type(x) is not int and type(x) is not bool:
            if isinstance(x, float) or not hasattr(x, "__index__"):
                raise argument_error(op, p, "int", x)
            x = x.__index__()
    return x


def as_number(op: Operator, p, x, args: tuple = ()) -> Any:
    """A Python number of one of the four types."""
    if type(x) in NUMBERS:
        return x
    if isinstance(x, Tensor):
        if p.type == "Scalar":
            return x.item()
        return x
    for kind in (bool, int, float, complex):
        if isinstance(x, kind):
            return kind(x)
    if hasattr(x, "dtype") and hasattr(x, "item") and getattr(x, "shape", None) == ():
        return x.item()
    if hasattr(x, "__array__"):
        from .interop import as_tensor

        return as_tensor(x)
    if hasattr(x, "__index__"):
        return x.__index__()
    raise argument_error(op, p, "Tensor" if p.type.startswith("Operand") else "Number", x, args)


def invoke(op: Operator, args: tuple, out=None):
    """Call an operator in general form."""
    if overrides.present(args) or out is not None and overrides.present((out,)):
        found = overridden(op, args, out)
        if found is not NotImplemented:
            return found
    runtime()
    if out is not None:
        accept_out(op, args, out)
    args = promote_first(op, args)
    ready, values, key = prepare(op, args)
    try:
        plan = op.plans.get(key)
    except TypeError:
        raise TypeError(f"{op.name}(): received an invalid combination of arguments") from None
    if plan is None:
        if len(op.plans) > 20000:
            op.plans.clear()
        plan = op.plans[key] = explained_plan(op, values)
    result = execute(op, plan, ready)
    if op.unkeyed and ready[op.names.index("requires_grad")]:
        with_gradient(result)
    if out is None:
        return result
    return give_out(op, args, result, out)


def with_gradient(t: Tensor) -> Tensor:
    """A new tensor that asks for a gradient, as the functions that make tensors give it."""
    from .interop import need_float

    need_float(t)
    return t.requires_grad_()


def invoke_operator(op: Operator, args: tuple, out=None):
    """Call an operator for an infix sign: NotImplemented beside an operand of an unknown type."""
    if not isinstance(args[0], Tensor) and not overrides.overrides(args[0]):
        if op.name == "rdiv":
            raise AttributeError(f"{type(args[0]).__name__!r} object has no attribute 'reciprocal'")
        raise TypeError(
            f"descriptor for 'Tensor' objects doesn't apply to a '{type(args[0]).__name__}' object"
        )
    return invoke(op, args) if fits(args[1]) else NotImplemented


def fits(x) -> bool:
    """Whether an infix operator may take this operand."""
    return (
        isinstance(x, (Tensor, int, float, complex))
        or overrides.overrides(x)
        or hasattr(x, "__array__")
        or (hasattr(x, "__index__") and not isinstance(x, str))
    )


#: operators that take numbers only
_OF_NUMBERS = frozenset(("add", "sub", "mul", "div", "floor_divide"))


def explained_plan(op: Operator, values: dict, written: bool = False) -> Plan:
    """make_plan, whose errors also say which call they come from."""
    try:
        return make_plan(op, values, written)
    except Exception as error:
        if isinstance(error, (RuntimeError, TypeError, ValueError, IndexError)) and not getattr(
            error, "__notes__", None
        ):
            error.add_note("  in    " + describe_call(op, values, written))
        raise


def promote_first(op: Operator, args: tuple) -> tuple:
    """A pointwise call on numbers only takes the first as a 0-d tensor."""
    if op.kind == "Pointwise" and op.tensors:
        at = [op.names.index(n) for n in op.tensors]
        if not any(isinstance(args[k], Tensor) for k in at):
            from .interop import tensor

            k = at[0]
            if isinstance(args[k], (int, float, complex)) and op.arguments[k].type == "Operand":
                if op.name not in _OF_NUMBERS:
                    raise invalid_combination(op, args)
                args = (*args[:k], tensor(args[k]), *args[k + 1 :])
    return args


def program_arguments(op: Operator, ready: tuple) -> list:
    """Memory and byte offset of each tensor, then the numbers, in the order that the program takes them."""
    flat: list = []
    numbers: list = []
    for p, x in zip(op.arguments, ready):
        if isinstance(x, Tensor):
            flat += (x._memory, x._offset)
        elif p.type == "Tensor[]":
            flat += (tuple(e for t in x for e in (t._memory, t._offset)), 0)
        elif p.type in ("Operand", "Operand?") and x is not None:
            numbers += (x.real, x.imag) if type(x) is complex else (x,)
    for p, x in zip(op.arguments, ready):
        if p.type == "Scalar" and x is not None:
            numbers += (x.real, x.imag) if type(x) is complex else (x,)
    return flat + numbers


def execute(op: Operator, plan: Plan, ready: tuple):
    """Run a plan, wrap the results, record the node."""
    if op.kind == "View":
        source = next(x for p, x in zip(op.arguments, ready) if p.is_tensor)
        if type(plan.move) is tuple:
            from .pieces import make_pieces

            return make_pieces(
                op, plan, source, tuple(x for p, x in zip(op.arguments, ready) if not p.is_tensor)
            )
        result = make(source._memory, plan.layout, source._offset + plan.move)
        result._base = base = source if source._base is None else source._base
        if plan.differentiable and mode.grad:
            track_view(base, result)
        record(op, plan, ready, (result,))
        return result
    memory = plan.run(*program_arguments(op, ready))
    if plan.count == 1:
        result = make(memory, plan.layout)
        record(op, plan, ready, (result,))
        return result
    results = tuple(make(m, where) for m, where in zip(memory, plan.layouts)) if plan.count else ()
    record(op, plan, ready, results)
    return results if plan.count else None


def record(op: Operator, plan: Plan, ready: tuple, results: tuple) -> Node | None:
    """Make the node of a call when an input needs a gradient."""
    if not (plan.differentiable and mode.grad):
        return None
    edges: list = []
    for p, x in zip(op.arguments, ready):
        if p.type == "Tensor[]":
            edges.extend(t._node for t in x)
        elif p.is_tensor:
            edges.append(x._node if isinstance(x, Tensor) else None)
    if not any(e is not None for e in edges):
        return None
    node = new_object(Node)
    given = dict(zip(op.names, ready))
    node.op, node.plan, node.edges = op, plan, tuple(edges)
    saved = [given[n] if needed_for(op, n, given) else None for n in op.saved_inputs]
    for name in op.saved_results:
        one = results[int(name.removeprefix("result") or 0)]
        saved.append(alias(one) if needed_for(op, name, given) else None)
    node.saved = tuple(saved)
    node.versions = tuple(versions_of(s) for s in saved)
    node.plain = tuple(given[n] for n in op.plain)
    node.number = next_number()
    node.extra = None
    if plan.lone:
        results[0]._node = node
    else:
        skip = getattr(op.rules, "nondifferentiable", ())
        parts = {}
        for k, t in enumerate(results):
            if t._layout.dtype.kind >= 2 and k not in skip:
                t._node = parts[k] = Part(node, k, t._layout)
        if op.saved_results:  # weak: a part holds its node
            import weakref

            node.extra = {"parts": weakref.WeakValueDictionary(parts)}
    if mode.grad is not True:
        watch(node)
    return node


def needed_for(op: Operator, name: str, given: dict) -> bool:
    """Whether a derivative that names this value will run."""
    for target in op.saved_for[name]:
        x = given[target]
        if isinstance(x, tuple):
            if any(t._node is not None for t in x):
                return True
        elif isinstance(x, Tensor) and x._node is not None:
            return True
    return False


def versions_of(x):
    if isinstance(x, Tensor):
        return autograd.version_of(x)
    if isinstance(x, tuple):
        return tuple(autograd.version_of(t) for t in x)
    return 0


def alias(t: Tensor) -> Tensor:
    """The same elements outside the graph, for a node to keep without keeping itself alive."""
    return make(t._memory, t._layout.plain, t._offset)


def watch(node: Node) -> None:
    """Extra work on a new node while saved-tensor hooks or anomaly mode are on."""
    from . import grad_modes

    grad_modes.watch(node)


# -- writing in place ----------------------------------------------------------------------------------------


def invoke_inplace(op: Operator, args: tuple):
    """Call the in-place variant in general form: target.op_(...)."""
    if overrides.present(args):
        found = overridden(op, args, variant="inplace")
        if found is not NotImplemented:
            return found
    runtime()
    target = args[0]
    from .inplace import check_writable, rewrite_history

    check_writable(target, args[1:])
    if op.kind == "View":
        from .inplace import restride

        return restride(op, target, args)
    if op.kind != "Pointwise" and not getattr(op.rules, "writes", False):
        return replace_contents(op, target, args)
    args = separate(target, args)
    if op.kind != "Pointwise":
        from .inplace import forbid_overlap

        forbid_overlap(target, args[1:])
    ready, values, key = prepare(op, args)
    plan = op.inplace_plans.get(key)
    if plan is None:
        plan = op.inplace_plans[key] = explained_plan(op, values, written=True)
    needs = mode.grad and any(isinstance(x, Tensor) and x._node is not None for x in ready)
    if not needs or not plan.differentiable:
        plan.run(*program_arguments(op, ready))
        return target
    if needed_for_any(op, op.tensors[0], ready):  # a derivative names the target's value before the write
        kept = alias(target).clone()
        kept._node = target._node
    else:
        kept = target
    versions = {id(x): versions_of(x) for x in (kept, *ready[1:]) if isinstance(x, Tensor)}
    plan.run(*program_arguments(op, ready))
    node = record(op, plan, (kept, *ready[1:]), (make(target._memory, target._layout, target._offset),))
    if node is not None:
        node.versions = tuple(versions.get(id(s), v) for s, v in zip(node.saved, node.versions))
        rewrite_history(target, node)
    return target


def needed_for_any(op: Operator, name: str, ready: tuple) -> bool:
    return name in op.saved_for and needed_for(op, name, dict(zip(op.names, ready)))


def separate(target: Tensor, args: tuple) -> tuple:
    """Copies of operands that overlap the target other than exactly, so that a write cannot change what is still read."""
    found = [args[0]]
    for x in args[1:]:
        if (
            isinstance(x, Tensor)
            and x._memory is target._memory
            and x._memory is not None
            and not (x._layout is target._layout and x._offset == target._offset)
        ):
            from .inplace import overlap

            if overlap(target, x):
                raise RuntimeError(
                    "unsupported operation: some elements of the input tensor and the written-to "
                    "tensor refer to a "
                    "single memory location. Please clone() the tensor before performing the operation."
                )
        found.append(x)
    return tuple(found)


def replace_contents(op: Operator, target: Tensor, args: tuple):
    """In-place form of an operator that is not pointwise: compute, then copy into the target."""
    names = {p.name: x for p, x in zip(op.arguments, args) if p.keyword_only}
    result = define.function_of(op)(*args[: len(args) - len(names)], **names)
    if result._layout.shape != target._layout.shape:
        raise RuntimeError(
            f"output with shape {list(target._layout.shape)} doesn't match the broadcast shape "
            f"{list(result._layout.shape)}"
        )
    if not plans.can_cast(result._layout.dtype, target._layout.dtype):
        have, want = plans._cast_name(result._layout.dtype), plans._cast_name(target._layout.dtype)
        raise RuntimeError(f"result type {have} can't be cast to the desired output type {want}")
    return ops.copy_(target, result)


def overridden(op: Operator, args: tuple, out=None, variant: str = "function"):
    keywords = {}
    positional = []
    for p, x in zip(op.arguments, args):
        if p.keyword_only or keywords:
            if x is not p.default:
                keywords[p.name] = x
        else:
            positional.append(x)
    while (
        positional
        and len(positional) > 1
        and not op.arguments[len(positional) - 1].required
        and (positional[-1] is op.arguments[len(positional) - 1].default)
    ):
        positional.pop()
    if out is not None:
        keywords["out"] = out
    return overrides.handle(define.function_of(op, variant), tuple(positional), keywords)


# -- hooks of other layers --------------------------------------------------------------------------------------


def refused(op: Operator, how=True):
    """The error of a kernel that refused its input; `how` may word it: how(code, value, position)."""
    from .refusals import error_for

    record = list(runtime().error_record[:3])
    raise how(*record) if callable(how) else error_for(op, record)


def shared(g: Tensor) -> bool:
    """Whether others may hold this gradient's memory, so that it must be copied before it becomes a `.grad`."""
    return sys.getrefcount(g._memory) > 2 or g._base is not None or sys.getrefcount(g) > SOLE


#: references to a gradient that only the walk holds: its variable, the parameters of two calls, getrefcount's own
SOLE = 4


def _hook(name: str, *args):
    return getattr(ops, name)(*args)


def version(memory):
    """Placeholder until the run-time core is loaded."""
    runtime()
    return _runtime.version(memory)


GLOBALS: dict = {
    "Tensor": Tensor, "Node": Node, "new": new_object, "_mode": mode, "invoke": invoke, "invoke_inplace": invoke_inplace,
    "NUMBERS": frozenset((int, float, bool)), "next_number": next_number, "alias": alias, "version": version,
    "make": make, "with_gradient": with_gradient, "record": record, "track_view": track_view, "watch": watch,
    "overridden": overridden, "give_out": give_out, "accept_out": accept_out, "PLAIN": overrides.PLAIN,
    "MISSING": MISSING, "missing": missing,
    "invoke_operator": invoke_operator, "fits": fits, "not_tensor": not_tensor, "function_of": define.function_of,
    "DEVICES": device_module._default, "DEFAULT_DEVICE": device_module._process_default, "Device": device_module.device,
}  # fmt: skip


def _with_defaults(op: Operator, variant: str) -> Callable:
    GLOBALS["DEFAULTS"] = {p.name: p.default for p in op.params}
    return compile_function(op, variant)


define.COMPILE.append(_with_defaults)
define.RECORDING[0] = lambda: bool(mode.grad)
expr.HOOK[0] = _hook
autograd.SHARED[0] = shared
plans.REFUSED[0] = refused
