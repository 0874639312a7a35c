"""Derivatives of recorded calls, generated: the rules called with what a node saved, or traced into one kernel.

`plan.flow(node, g)` gives the gradients for a node's edges. A pointwise operator's rules are traced on expressions, once
per combination of layouts, into a single loop over the incoming gradient and what was saved; other operators' rules run
as they are, with their values picked straight from the node.
"""

from __future__ import annotations

from collections.abc import Callable

from ..base.device import cpu
from ..base.layout import broadcast_strides, layout
from ..ops.define import Operator
from . import autograd, dispatch
from . import plan as plans
from .autograd import Node
from .plan import NUMBERS
from .tensor import Tensor


def flow_of(op: Operator) -> Callable:
    """flow(node, g): the gradients for a node's edges, outside any new graph; generated once per operator."""
    made = op.compiled.get("flow")
    if made is None:
        if op.kind == "Pointwise" and op.outputs == 1:
            made = fused_flow
        elif any(p.type == "Tensor[]" for p in op.arguments):
            made = general_flow
        else:
            made = _compile_flow(op)
        op.compiled["flow"] = made
    return made


def general_flow(node: Node, g: Tensor):
    return node.run([g], False)


def _check_saved(op: Operator) -> list[str]:
    """Statements that read a node's saved values as s0, s1, ... and check their versions."""
    count = len(op.saved_inputs) + len(op.saved_results)
    lines = ["saved = node.saved", "if saved is None:", "    raise RuntimeError(FREED)"] if count else []
    if count:
        lines.append("versions = node.versions")
    for k in range(count):
        lines += [
            f"s{k} = saved[{k}]",
            f"if s{k} is not None and type(s{k}) not in ANY_NUMBER and version(s{k}._memory) != versions[{k}]:",
            f"    check_version(node, s{k}, versions[{k}], {k})",
        ]
    return lines


def _compile_flow(op: Operator) -> Callable:
    """The rules called with their values picked straight from the node."""
    lines = [*_check_saved(op), "plan = node.plan", "edges = node.edges"]
    where = {n: f"s{k}" for k, n in enumerate((*op.saved_inputs, *op.saved_results))}
    where |= {n: f"node.plain[{k}]" for k, n in enumerate(op.plain)} | {"g": "g", "g0": "g"}
    where |= {f"{n}_layout": f"plan.rule_values[{n + '_layout'!r}]" for n in op.tensors}
    where["needs"] = "{" + ", ".join(f"{n!r}: edges[{k}] is not None" for k, n in enumerate(op.tensors)) + "}"
    scope: dict = dict(
        dispatch.GLOBALS, FREED=autograd.FREED, check_version=autograd.check_version, fit=autograd.fit
    )
    scope["ANY_NUMBER"] = NUMBERS
    results = []
    if op.joint is not None:
        scope["joint"] = op.joint
        arguments = next(iter(op.derivatives.values()))[1]
        found = "".join(f"r{k}, " for k in range(len(op.tensors)))
        lines.append(f"{found}= joint({', '.join(where.get(a, 'None') for a in arguments)})")
    for k, name in enumerate(op.tensors):
        if op.joint is not None:
            lines += [
                f"if edges[{k}] is None:",
                f"    r{k} = None",
                f"elif r{k} is not None and r{k}._layout is not plan.inputs[{k}]:",
                f"    r{k} = fit(r{k}, plan.inputs[{k}])",
            ]
            results.append(f"r{k}")
            continue
        if name not in op.derivatives:
            results.append("None")
            continue
        rule, arguments = op.derivatives[name]
        scope[f"rule{k}"] = rule
        lines += [
            f"r{k} = None",
            f"if edges[{k}] is not None:",
            f"    r{k} = rule{k}({', '.join(where.get(a, 'None') for a in arguments)})",
            f"    if r{k} is not None and r{k}._layout is not plan.inputs[{k}]:",
            f"        r{k} = fit(r{k}, plan.inputs[{k}])",
        ]
        results.append(f"r{k}")
    lines.append(f"return ({', '.join(results)},)")
    source = "def flow(node, g):\n" + "\n".join("    " + text for text in lines)
    exec(compile(source, f"<derivative of {op.name}>", "exec"), scope)
    return scope["flow"]


def fused_flow(node: Node, g: Tensor):
    """Gradients of all inputs of a pointwise operator that need one, by a single kernel."""
    edges = node.edges
    if len(edges) == 1:
        key = g._layout
    elif len(edges) == 2:
        key = (g._layout, edges[0] is None, edges[1] is None)
    else:
        key = (g._layout, *[e is None for e in edges])
    saved = node.saved
    if saved is None:
        if node.op.saved_inputs or node.op.saved_results:
            raise RuntimeError(autograd.FREED)
        saved = ()
    if node.extra is not None and "unpack" in node.extra:
        unpack = node.extra["unpack"]
        saved = tuple(autograd.unpacked(unpack[k], s) if k in unpack else s for k, s in enumerate(saved))
        key = (key, *[s._layout.plain if isinstance(s, Tensor) else type(s) for s in saved])
        run = node.plan.backward.get(key)
        if run is None:
            run = node.plan.backward[key] = plan_backward(node, g, saved)
        return run(node, g, saved, False)
    run = node.plan.backward.get(key)
    if run is None:
        run = node.plan.backward[key] = plan_backward(node, g, saved)
    return run(node, g, saved, True)


def plan_backward(node: Node, g: Tensor, saved) -> Callable:
    """run(node, g, saved, check) for these layouts: the rules are traced into one kernel, and what surrounds it is
    generated."""
    op, plan = node.op, node.plan
    computed = plan.compute
    device = g._layout.device
    back = plans.backend(device if device.type != "meta" else cpu)
    code = back.compute_code(computed.code)
    shape = g._layout.shape
    names = (*op.saved_inputs, *op.saved_results)
    tensors = [(n, s) for n, s in zip(names, saved) if isinstance(s, Tensor)]
    numbers = [(n, type(s), f"s{k}") for k, (n, s) in enumerate(zip(names, saved)) if type(s) in NUMBERS]
    numbers += [
        (n, type(node.plain[k]), f"node.plain[{k}]")
        for k, n in enumerate(op.plain) if type(node.plain[k]) in NUMBERS and _is_scalar(op, n)
    ]  # fmt: skip
    codes = [plans._number_code(kind, computed) for _, kind, _ in numbers]
    values = dict(zip(op.plain, node.plain)) | dict(plan.rule_values) | dict.fromkeys(names)
    leaves = back.input_leaves([g._layout.dtype.code, *(s._layout.dtype.code for _, s in tensors)])
    values["g"] = leaves[0]
    for name, one in zip([n for n, *_ in tensors + numbers], leaves[1:] + back.scalar_leaves(codes)):
        raw = name in op.saved_results or name in op.tensors and not plans.promotes(op, name)
        values[name] = one if raw else plans.to_compute(one, computed, code)
    values["needs"] = {n: node.edges[at] is not None for n, at in plan.spread.items()}
    flows, wanted = ["None"] * len(node.edges), []
    for name, (rule, arguments) in op.derivatives.items():
        place = plan.spread[name]
        where = plan.inputs[place]
        if node.edges[place] is None:
            continue
        found = rule(*[values[a] for a in arguments])
        if found is None:
            continue
        full = where.shape == shape
        if found is leaves[0] and where.dtype is g._layout.dtype:
            flows[place] = "g"
        else:
            strides = where.strides if full and where.dense else plans.pointwise_strides(shape, [g._layout])
            flows[place] = f"t{len(wanted)}"
            wanted.append((found, layout(shape, strides, where.dtype, where.device)))
        if not full:
            flows[place] = f"sum_to({flows[place]}, plan.inputs[{place}].shape)"
    run = None
    if wanted and device.type == "meta":
        run = plans.no_run if len(wanted) == 1 else lambda *args: (None,) * len(wanted)
    elif wanted:
        call = back.Call([g._layout, *(s._layout for _, s in tensors)], [w for _, w in wanted], values, codes)
        ins = [
            (v.dtype.code, broadcast_strides(v.shape, v.strides, shape), call.input(k))
            for k, v in enumerate(call.inputs)
        ]
        outs = [(w.dtype.code, w.strides, call.out(k)) for k, (_, w) in enumerate(wanted)]
        scalars = [(c, call.scalar(k)) for k, c in enumerate(codes)]
        call.pointwise(outs, ins, lambda *_: [f for f, _ in wanted], shape, scalars)
        run = call.finish()
        plans.NAMES[id(run)] = f"derivative of {op.name}"
    return _compile_fused(op, run, tensors, numbers, [w for _, w in wanted], flows, names)


def _compile_fused(op, run, tensors, numbers, layouts, flows, names) -> Callable:
    """Generate the call of a fused derivative: versions, the program, its results as tensors."""
    lines = ["plan = node.plan"]
    present = {n for n, _ in tensors}
    for k, name in enumerate(names):
        lines.append(f"s{k} = saved[{k}]")
        if name in present:
            lines += [
                f"if check and version(s{k}._memory) != node.versions[{k}]:",
                f"    check_version(node, s{k}, node.versions[{k}], {k})",
            ]
    if run is not None:
        args = ["g._memory, g._offset"] + [
            f"s{k}._memory, s{k}._offset" for k, n in enumerate(names) if n in present
        ]
        args += [f"{text}.real, {text}.imag" if kind is complex else text for _, kind, text in numbers]
        lines.append(
            f"{''.join(f'm{k}, ' for k in range(len(layouts)))[: -2 if len(layouts) == 1 else None]} = run({', '.join(args)})"
        )
        for k in range(len(layouts)):
            lines += [
                f"t{k} = new(Tensor)", f"t{k}._memory = m{k}", f"t{k}._offset = 0", f"t{k}._layout = layout{k}",
                f"t{k}._node = None", f"t{k}._base = None",
            ]  # fmt: skip
    lines.append(f"return ({', '.join(flows)},)")
    scope: dict = dict(
        dispatch.GLOBALS, run=run, check_version=autograd.check_version, sum_to=autograd.sum_to
    )
    scope |= {f"layout{k}": where for k, where in enumerate(layouts)}
    source = "def fused(node, g, saved, check):\n" + "\n".join("    " + text for text in lines)
    exec(compile(source, f"<derivative of {op.name}>", "exec"), scope)
    return scope["fused"]


def _is_scalar(op: Operator, name: str) -> bool:
    return any(p.name == name and p.type == "Scalar" for p in op.arguments)


plans.FLOW[0] = flow_of
