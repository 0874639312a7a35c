"""Plans: everything about an operator call that does not depend on values, decided once per combination of layouts."""

from __future__ import annotations

from ..base.device import device as Device
from ..base.device import unavailable
from ..base.dtype import dtype as DType
from ..base.dtype import result_dtype, scalar_dtype, type_name
from ..base.errors import explained
from ..base.layout import (
    Layout,
    broadcast_shapes,
    broadcast_strides,
    contiguous_layout,
    layout,
    strides_in_order,
)
from ..base.rules import call_rule
from ..ir.expr import Expr, Pair, convert
from ..ops.define import Operator
from ..ops.out_rules import can_cast

NUMBERS = frozenset((int, float, bool, complex))


class Plan:
    """run: built-in function of the kernels (None for views and meta tensors). layout / layouts: of the results.

    move: bytes that a view starts after its input. inputs: layout per edge. spread: which edges belong to which
    tensor argument. differentiable: whether the result can carry a gradient.
    """

    __slots__ = (
        "run", "layout", "layouts", "move", "inputs", "spread", "differentiable", "rule_values", "backward", "compute",
        "count", "flow",
        "lone",
    )  # fmt: skip

    def __init__(self) -> None:
        self.run = None
        self.move = 0
        self.backward: dict = {}
        self.compute = None
        self.rule_values: dict = {}


def make_plan(op: Operator, values: dict, written: bool = False) -> Plan:
    """The plan of a call. values: layouts for tensors, the Python type for numbers, plain arguments as they are."""
    plan = Plan()
    check = op.rule("check")
    if check is not None:
        call_rule(check, values)
    _edges(op, plan, values)
    PLANNERS[op.kind](op, plan, values, written)
    plan.layout = plan.layouts[0] if plan.layouts else None
    plan.count = len(plan.layouts)
    plan.differentiable = op.differentiable and any(o.dtype.kind >= 2 for o in plan.layouts)
    skip = getattr(op.rules, "nondifferentiable", ())
    plan.lone = all(k in skip or o.dtype.kind < 2 for k, o in enumerate(plan.layouts) if k) and 0 not in skip
    if plan.differentiable:
        plan.flow = FLOW[0](op)
    NAMES[id(getattr(plan.run, "program", plan.run))] = op.name
    return plan


#: the operator of each program, by the program's identity
NAMES: dict[int, str] = {}


def _edges(op: Operator, plan: Plan, values: dict) -> None:
    inputs: list = []
    plan.spread = {}
    for name in op.tensors:
        one = values[name]
        if isinstance(one, tuple):
            plan.spread[name] = range(len(inputs), len(inputs) + len(one))
            inputs.extend(one)
        else:
            plan.spread[name] = len(inputs)
            inputs.append(one if isinstance(one, Layout) else None)
        plan.rule_values[name + "_layout"] = one if isinstance(one, (Layout, tuple)) else None
    plan.inputs = tuple(inputs)


def common_device(layouts) -> Device:
    """The one device of the operands; 0-d CPU tensors go along with any other."""
    found, scalar = layouts[0].device, layouts[0].ndim == 0
    for one in layouts[1:]:
        if scalar and found.type == "cpu" and one.device is not found:
            found, scalar = one.device, one.ndim == 0
        elif one.device is not found and not (one.ndim == 0 and one.device.type == "cpu"):
            raise RuntimeError(
                f"Expected all tensors to be on the same device, but found at least two devices, {found} and {one.device}!"
            )
        elif one.ndim:
            scalar = False
    return found


def backend(device: Device):
    """The schedule module of a device."""
    if device.type == "cpu":
        from ..backend.cpu import schedule

        return schedule
    raise unavailable(device)


def no_run(*args):
    """What 'runs' on the meta device."""
    return


# -- pointwise -----------------------------------------------------------------------------------------------


def plan_pointwise(op: Operator, plan: Plan, values: dict, written: bool) -> None:
    operands = [(n, values[n]) for n in op.tensors]
    tensors = [v for _, v in operands if isinstance(v, Layout)]
    shape = pointwise_shape(tensors)
    common = pointwise_dtype(op, operands, values)
    computed, result = pointwise_types(op, common, values)
    results = result if isinstance(result, tuple) else (result,)
    device = common_device(tensors)
    if written:
        target = tensors[0]
        check_in_place(op, target, shape, results[0])
        plan.layouts = (target,)
    else:
        rule = op.rule("strides")
        strides = pointwise_strides(shape, tensors) if rule is None else call_rule(rule, values)
        plan.layouts = tuple(layout(shape, strides, r or tensors[0].dtype, device) for r in results)
    plan.compute = computed
    if device.type == "meta":
        plan.run = no_run
        return
    plan.run = build_pointwise(op, plan, values, operands, shape, computed, written)


def pointwise_types(op: Operator, common: DType, values: dict):
    """(type computed in, type of the result); a rule may also name arguments of the call after the common type."""
    rule = op.rules.dtype
    if isinstance(rule, DType):
        return common, rule
    names = rule.__code__.co_varnames[1 : rule.__code__.co_argcount]
    return rule(common, *[values[n] for n in names])


def pointwise_shape(tensors) -> tuple[int, ...]:
    shape = tensors[0].shape
    for other in tensors[1:]:
        if other.shape != shape:
            try:
                shape = broadcast_shapes(shape, other.shape)
            except ValueError as error:
                (at,) = error.args
                ndim = max(len(shape), len(other.shape))
                a, b = shape[at - (ndim - len(shape))], other.shape[at - (ndim - len(other.shape))]
                raise explained(
                    RuntimeError,
                    f"The size of tensor a ({a}) must match the size of tensor b ({b}) at non-singleton dimension {at}",
                    need=f"shapes that are equal or 1 in each dimension, from the last; got {list(shape)} "
                    f"and {list(other.shape)}",
                ) from None
    return tuple(shape)


def pointwise_dtype(op: Operator, operands, values: dict) -> DType:
    """Common type of the operands that take part in promotion."""
    dims, zeros, numbers = [], [], []
    for name, v in operands:
        if promotes(op, name):
            if isinstance(v, Layout):
                (dims if v.ndim else zeros).append(v.dtype)
            elif isinstance(v, type):
                numbers.append(scalar_dtype(v()))
    return result_dtype(dims, zeros, numbers)


def promotes(op: Operator, name: str) -> bool:
    """Whether an operand takes part in promotion and is converted to the type computed in; the others come as they are."""
    named = getattr(op.rules, "value_kind", None)
    return named is None or name in named


def check_in_place(op: Operator, target: Layout, shape, result: DType) -> None:
    if tuple(target.shape) != tuple(shape):
        raise RuntimeError(
            f"output with shape {list(target.shape)} doesn't match the broadcast shape {list(shape)}"
        )
    if result is not None and not can_cast(result, target.dtype):
        raise RuntimeError(
            f"result type {_cast_name(result)} can't be cast to the desired output type {_cast_name(target.dtype)}"
        )
    check_no_self_overlap(target)


_cast_name = type_name


def check_no_self_overlap(target: Layout) -> None:
    if target.numel and any(s == 0 and n > 1 for n, s in zip(target.shape, target.strides)):
        raise RuntimeError(
            "unsupported operation: more than one element of the written-to tensor refers to a single memory location. "
            "Please clone() the tensor before performing the operation."
        )


def pointwise_strides(shape, tensors) -> tuple[int, ...]:
    """The operands' own strides where they agree and are dense, else dense strides in the operands' order."""
    first = tensors[0]
    if (
        first.shape == shape
        and first.dense
        and all(t.strides == first.strides and t.shape == shape for t in tensors)
    ):
        return first.strides
    full = [broadcast_strides(t.shape, t.strides, shape) for t in tensors]
    order = list(range(len(shape)))

    perm = order[::-1]  # innermost first
    for i in range(1, len(perm)):
        at = i
        for j in range(i - 1, -1, -1):
            verdict = _compare(full, shape, perm[j], perm[at])
            if verdict > 0:
                perm[j], perm[at] = perm[at], perm[j]
                at = j
            elif verdict < 0:
                break
    return strides_in_order(shape, perm[::-1])


def _compare(full, shape, a: int, b: int) -> int:
    """1 when dimension b belongs inside a, -1 when a is inside b, 0 when the operands do not tell."""
    for s in full:
        if s[a] == 0 or s[b] == 0:
            continue
        if s[a] != s[b]:
            return -1 if s[a] < s[b] else 1
        if shape[a] > shape[b]:
            return 1
    return 0


def build_pointwise(op, plan, values, operands, shape, computed, written):
    """The program of a pointwise call: outputs, then tensor operands, then numbers as run-time scalars."""
    back = backend(plan.layouts[0].device)
    tensors = [(n, v) for n, v in operands if isinstance(v, Layout)]
    code = back.compute_code(computed.code)
    numbers = [(n, v) for n, v in operands if isinstance(v, type)]
    runtime_scalars = [
        p.name for p in op.arguments if p.type == "Scalar" and isinstance(values[p.name], type)
    ]
    names = [n for n, _ in numbers] + runtime_scalars
    kinds = {n: values[n] for n in names}
    codes = [_number_code(kinds[n], computed) for n in names]
    call = back.Call([v for _, v in tensors], () if written else plan.layouts, values, codes)
    ins = [
        (v.dtype.code, broadcast_strides(v.shape, v.strides, shape), call.input(k))
        for k, (_, v) in enumerate(tensors)
    ]
    if written:
        outs = [ins[0]]
        call.mark_written(0)
    else:
        outs = [(o.dtype.code, o.strides, call.out(k)) for k, o in enumerate(plan.layouts)]

    def rule(*leaves):
        given = values | plan.rule_values
        for name, one in zip([n for n, _ in tensors] + names, leaves):
            given[name] = to_compute(one, computed, code) if name in op.plain or promotes(op, name) else one
        return call_rule(op.rules.scalar, given)

    call.pointwise(outs, ins, rule, shape, [(c, call.scalar(k)) for k, c in enumerate(codes)])
    return checked(op, call.finish(), call)


def _number_type(kind: type) -> str:
    """Type of a Python number by itself."""
    return "i64" if kind in (int, bool) else "c128" if kind is complex else "f64"


def _number_code(kind: type, computed: DType) -> str:
    """Type in which a Python number enters a kernel computing in `computed`."""
    if computed.kind == 3:
        return "c128" if kind is complex else "f64"
    if computed.kind == 2:
        return "f64"
    return "f64" if kind is float else "i64"


def to_compute(x, computed: DType, code: str):
    """A leaf converted to the type that the operator computes in (a Pair for complex)."""
    if computed.kind == 3:
        return (
            Pair(convert(x.re, code), convert(x.im, code))
            if isinstance(x, Pair)
            else Pair(convert(x, code), convert(0.0, code))
        )
    return convert(x.re if isinstance(x, Pair) else x, code)


#: gives the function that runs an operator's derivative: flow(node, gradient) -> gradients; set by the dispatcher
FLOW: list = [lambda op: None]
#: wraps a program whose kernels can refuse; the dispatcher sets how the error is worded
REFUSED: list = [None]


def checked(op, run, call):
    """`run`, with an exception in place of a refusal where a kernel can refuse."""
    if not can_refuse(call):
        return run
    how = call.refuses  # True, or a function that words the kernel's record

    def run_checked(*args):
        found = run(*args)
        if found is None:
            REFUSED[0](op, how)
        return found

    run_checked.program = run
    REFUSALS[id(run)] = (op, how)
    return run_checked


#: the operator, and who words its refusals, of each program that can refuse
REFUSALS: dict[int, tuple] = {}


def raise_refusal(run) -> None:
    """Raise what calling the operator would have raised when its program has refused its input."""
    REFUSED[0](*REFUSALS[id(run)])


def can_refuse(call) -> bool:
    return getattr(call, "refuses", False)


# -- views ---------------------------------------------------------------------------------------------------


def plan_view(op: Operator, plan: Plan, values: dict, written: bool) -> None:
    found = call_rule(op.rules.view, values)
    if isinstance(found, list):  # several views: one (layout, bytes to move) each
        plan.layouts = tuple(where for where, _ in found)
        plan.move = tuple(move * where.dtype.itemsize for where, move in found)
        return
    where, move = found
    plan.layouts = (where,)
    plan.move = move * where.dtype.itemsize


# -- named algorithms ----------------------------------------------------------------------------------------


def result_layouts(op: Operator, values: dict) -> tuple[Layout, ...]:
    rule = op.rule("layouts")
    if rule is not None:
        found = call_rule(rule, values)
        return tuple(found) if isinstance(found, (tuple, list)) else (found,)
    tensors = [
        v
        for n in op.tensors
        for v in (values[n] if isinstance(values[n], tuple) else (values[n],))
        if isinstance(v, Layout)
    ]
    shape = call_rule(op.rules.shape, values)
    shapes = shape if isinstance(shape, list) else [shape]
    dtype = getattr(op.rules, "dtype", None)
    if dtype is None:
        dtype = tensors[0].dtype
    elif callable(dtype) and not isinstance(dtype, DType):
        dtype = call_rule(dtype, values)
    dtypes = dtype if isinstance(dtype, list) else [dtype] * len(shapes)
    device = common_device(tensors) if tensors else values["device"]
    return tuple(contiguous_layout(s, d, device) for s, d in zip(shapes, dtypes, strict=True))


def plan_opaque(op: Operator, plan: Plan, values: dict, written: bool) -> None:
    tensors = [values[n] for n in op.tensors]
    plan.layouts = (tensors[0],) if written else result_layouts(op, values)
    first = next((t for t in tensors if t), None)
    first = first[0] if isinstance(first, tuple) else first
    device = plan.layouts[0].device if plan.layouts else first.device
    if device.type == "meta":
        plan.run = no_run if len(plan.layouts) < 2 else lambda *args: (None,) * len(plan.layouts)
        return
    back = backend(device)
    scalars = [p.name for p in op.arguments if p.type == "Scalar" and isinstance(values[p.name], type)]
    like = next(
        (t.dtype for t in tensors if isinstance(t, Layout)), plan.layouts[0].dtype if plan.layouts else None
    )
    follow = getattr(op.rules, "scalars_follow_tensor", False)
    codes = [_number_code(values[n], like) if follow else _number_type(values[n]) for n in scalars]
    written = written and bool(getattr(op.rules, "writes", False))
    outputs = () if written else plan.layouts
    call = back.Call([v if isinstance(v, (Layout, tuple)) else None for v in tensors], outputs, values, codes)
    call.in_place, call.rules = written, op.rules
    if written:
        check_no_self_overlap(tensors[0])
        call.mark_written(0)
    ready = back.algorithm(op.rules.algorithm)(call)  # a function where the algorithm runs in Python
    plan.run = ready if callable(ready) else checked(op, call.finish(), call)


# -- reductions ----------------------------------------------------------------------------------------------


def reduced_dims(dim, ndim: int) -> tuple[int, ...]:
    """The dimensions that `dim` (None, an int or a sequence) names, in order, without repeats."""
    if dim is None or dim == () or dim == []:
        return tuple(range(ndim))
    dims = (dim,) if isinstance(dim, int) else tuple(dim)
    from ..base.errors import check_dim

    found = [check_dim(d, ndim) for d in dims]
    if len(set(found)) != len(found):
        twice = next(d for d in found if found.count(d) > 1)
        raise RuntimeError(f"dim {twice} appears multiple times in the list of dims")
    return tuple(sorted(d for d in found if ndim))


def reduced_shape(shape, dims, keepdim: bool) -> tuple[int, ...]:
    return tuple(1 if d in dims else n for d, n in enumerate(shape) if keepdim or d not in dims)


def plan_reduction(op: Operator, plan: Plan, values: dict, written: bool) -> None:
    """A reduction of the first tensor over `dim` (all dimensions when None or absent), one result an output."""
    where = values[op.tensors[0]]
    dim = values.get("dim")
    dims = () if dim == () and getattr(op.rules, "empty_is_none", False) else reduced_dims(dim, where.ndim)
    shape = reduced_shape(where.shape, dims, bool(values.get("keepdim")))
    rule = op.rules.accumulate
    names = rule.__code__.co_varnames[1 : rule.__code__.co_argcount]
    computed, result = rule(values.get("dtype") or where.dtype, *[values[n] for n in names])
    results = result if isinstance(result, tuple) else (result,)
    plan.compute = computed
    plan.layouts = tuple(contiguous_layout(shape, r, where.device) for r in results)
    if where.device.type == "meta":
        plan.run = no_run if len(results) == 1 else lambda *args: (None,) * len(results)
        return
    back = backend(where.device)
    scalars = [p.name for p in op.arguments if p.type == "Scalar" and isinstance(values[p.name], type)]
    codes = ["c128" if values[n] is complex else "f64" for n in scalars]
    call = back.Call([where], plan.layouts, values, codes)
    call.rules, call.compute, call.dims, call.scalar_names = op.rules, computed, dims, scalars
    back.algorithm("reduce.reduce")(call)
    plan.run = checked(op, call.finish(), call)


PLANNERS = {
    "Pointwise": plan_pointwise,
    "View": plan_view,
    "Opaque": plan_opaque,
    "Reduction": plan_reduction,
}
_ = Expr
