"""``out=``: which tensors an operator may write its results into, and writing them."""

from __future__ import annotations

from ..base.mode import mode
from ..base.rules import argument_names
from ..ops import out_rules
from ..ops.define import Operator, ops
from .tensor import Tensor


def accept_out(op: Operator, args: tuple, out) -> None:
    """Raise, before anything is computed, where `out` cannot take the results."""
    check_structure(op, args, out)
    from .inplace import check_out_overlap

    check_out_overlap(op, args, out)
    rule = op.rule("check_out")
    if rule is not None and "result" not in argument_names(rule):
        ask(rule, op, args, None, out)


def check_structure(op: Operator, args: tuple, out) -> None:
    """Raise unless `out` is a tensor, or a tuple of as many tensors as there are results."""
    if op.outputs == 1:
        return
    if isinstance(out, Tensor) or not isinstance(out, (tuple, list)):
        raise TypeError(
            f"{op.full_name.replace('.', '_')}(): argument 'out' must be tuple of Tensors, not {type(out).__name__}"
        )
    if len(out) != op.outputs and op.kind != "Composite":
        raise TypeError(f"expected tuple of {op.outputs} elements but got {len(out)}")
    for k, one in enumerate(out):
        if not isinstance(one, Tensor):
            raise TypeError(
                f"expected Tensor as element {k} in argument {len(op.names)}, but got {type(one).__name__}"
            )


def ask(rule, op: Operator, args: tuple, result, out) -> None:
    """Call a rule on the layouts of what it names."""
    given = dict(zip(op.names, args), result=result, out=out)
    rule(*[seen(given[name]) for name in argument_names(rule)])


def seen(x):
    """A tensor, or several, as rules see them."""
    if isinstance(x, Tensor):
        return x._layout
    if isinstance(x, (tuple, list)):
        return tuple(map(seen, x))
    return x


def give_out(op: Operator, args: tuple, result, out):
    """Write the results of a call into the tensors passed as `out`, if their types will do."""
    several = isinstance(result, tuple) and not isinstance(result, Tensor)
    if several != isinstance(out, (tuple, list)):
        raise TypeError(
            f"{op.name}(): argument 'out' must be {'tuple of Tensors' if several else 'Tensor'}, not "
            f"{type(out).__name__}"
        )
    if not several and not isinstance(out, Tensor):
        raise TypeError(f"{op.name}(): argument 'out' must be Tensor, not {type(out).__name__}")
    if several and len(out) != len(result):
        raise TypeError(f"expected tuple of {len(result)} elements but got {len(out)}")
    rule = op.rule("check_out") or usual_rule(op)
    if "result" in argument_names(rule):
        ask(rule, op, args, result, out)
    if not several:
        return write_out(result, out)
    outs = tuple(out)
    for r, o in zip(result, outs):
        write_out(r, o)
    return type(result)(outs) if hasattr(type(result), "_fields") else outs


def usual_rule(op: Operator):
    """What holds for operators without a rule of their own."""
    if "requires_grad" in op.names:
        return out_rules.made
    return out_rules.castable if op.kind == "Pointwise" else out_rules.exact


def write_out(result: Tensor, out: Tensor) -> Tensor:
    """Copy a result into a tensor, which takes its shape."""
    if mode.grad and (out._node is not None or result._node is not None):
        raise RuntimeError(
            "functions with out=... arguments don't support automatic differentiation, but one of the arguments "
            "requires grad."
        )
    if out._layout.device is not result._layout.device:
        raise RuntimeError(
            f"Expected all tensors to be on the same device, but found at least two devices, "
            f"{result._layout.device} and {out._layout.device}!"
        )
    if out._layout.shape != result._layout.shape:
        from .inplace import resize_for_out

        resize_for_out(out, result._layout.shape)
    ops.copy_(out, result)
    return out
