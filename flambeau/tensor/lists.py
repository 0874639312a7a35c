"""Fast functions of the operators that take a list of tensors: the plan's look-up, the run, the node.

They do what `dispatch.invoke` does in general form, without its checks: whatever is not the common case goes there.
"""

from __future__ import annotations

from ..ops.define import OPERATORS, Operator
from . import dispatch

#: operators with one list of tensors and one result
NAMES = ("cat", "stack", "indexed_several.index", "places_sum", "index_put_at")


def source_of(op: Operator, inplace: bool) -> str:
    """Text of the function."""
    names = ", ".join(op.names)
    general = (
        f"invoke_inplace(op, ({names},))" if inplace else f"invoke(op, ({names},){', out' if op.out else ''})"
    )
    key, run, edges, tests = [], [], [], []
    for p in op.arguments:
        if p.type == "Tensor[]":
            key.append(f"tuple([t._layout for t in {p.name}])")
            run.append(f"tuple([e for t in {p.name} for e in (t._memory, t._offset)]), 0")
            edges.append(f"*[t._node for t in {p.name}]")
        elif p.is_tensor:
            key.append(f"{p.name}._layout")
            run.append(f"{p.name}._memory, {p.name}._offset")
            edges.append(f"{p.name}._node")
        else:
            key.append(p.name)
    target = op.tensors[0]
    lines = [f"def function({dispatch.header(op, out=not inplace)}):", *dispatch.prelude(op)]
    if op.out and not inplace:
        lines += ["    if out is not None:", f"        return {general}"]
    if inplace:
        tests = [f"{n}._memory is {target}._memory" for n in op.tensors[1:] if n != "indices"]
        nodes = [f"{n}._node is not None" for n in op.tensors if n != "indices"]
        nodes.append(f"{target}._base is not None and {target}._base._node is not None")
        tests += [f"({' or '.join(nodes)}) and _mode.grad"]
        lines += ["    try:", f"        if {' or '.join(tests)}:", f"            return {general}"]
        lines += [f"        plan = inplace_plans[{', '.join(key)}]"]
    else:
        lines += ["    try:", f"        plan = plans[{', '.join(key)}]"]
    lines += ["    except (KeyError, AttributeError, TypeError):", f"        return {general}"]
    if inplace:
        return "\n".join([*lines, f"    plan.run({', '.join(run)})", f"    return {target}"])
    lines += [
        f"    memory = plan.run({', '.join(run)})",
        "    result = new(Tensor)",
        "    result._memory = memory",
        "    result._offset = 0",
        "    result._layout = plan.layout",
        "    result._base = None",
        "    result._node = None",
        "    if plan.differentiable and _mode.grad:",
        f"        edges = ({', '.join(edges)},)",
        "        for e in edges:",
        "            if e is not None:",
        *("                " + line for line in record_lines(op)),
        "                break",
        "    return result",
    ]
    return "\n".join(lines)


def record_lines(op: Operator) -> list[str]:
    """Statements that make the node."""
    ready = ", ".join(f"tuple({p.name})" if p.type == "Tensor[]" else p.name for p in op.arguments)
    if op.saved_inputs or op.saved_results:
        return [f"record(op, plan, ({ready},), (result,))"]
    return [
        "node = new(Node)",
        "node.op, node.plan, node.edges = op, plan, edges",
        "node.saved = node.versions = ()",
        f"node.plain = ({''.join(n + ', ' for n in op.plain)})",
        "node.number, node.extra = next_number(), None",
        "result._node = node",
        "if _mode.grad is not True:",
        "    watch(node)",
    ]


def function(op: Operator, inplace: bool):
    scope = dict(
        dispatch.GLOBALS, op=op, plans=op.plans, inplace_plans=op.inplace_plans, record=dispatch.record
    )
    scope["DEFAULTS"] = {p.name: p.default for p in op.params}
    name = op.name + ("_" if inplace else "")
    exec(compile(source_of(op, inplace), f"<operator {name}>", "exec"), scope)
    made = scope["function"]
    made.__name__ = made.__qualname__ = name
    made.__doc__, made.operator = op.doc, op
    made.__module__ = "flambeau" + ("." + op.namespace if op.namespace else "")
    return made


def install() -> None:
    """Give the operators their functions."""
    for name in NAMES:
        op = OPERATORS[name]
        op.compiled["function"] = function(op, False)
        if op.inplace:
            op.compiled["inplace"] = function(op, True)
