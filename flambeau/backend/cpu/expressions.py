"""Expressions of fused loops, and a memory of those that were made before.

A plan for other sizes, or for the next of many equal layers, fuses what an earlier one fused. Leaves are numbered within
the plan and shared between plans; what is made of the same parts in the same way is then the same object, and found by
their identities. So are kernels' functions with their fingerprints, which would cost most of a plan's time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from ...ir.expr import Expr, convert, leaf
from .emit import ScalarFunction, nodes_of
from .schedule import compute_code

MOST = 8192  # results that are remembered; a large model's plan makes about a thousand
_known: dict[tuple, tuple[object, Any]] = {}

#: a leaf, the same object whenever it is asked for again
shared_leaf = lru_cache(MOST)(leaf)


def remembered(key: tuple, parts: object, make: Callable[[], Any]):
    """What `make` gives, once for a key. parts: the objects whose ids are in the key; they live as long as it."""
    found = _known.get(key)
    if found is None:
        made = make()
        if len(_known) >= MOST:
            _known.clear()
        found = _known[key] = parts, made
    return found[1]


def ids(parts: Sequence) -> tuple[int, ...]:
    return tuple(map(id, parts))


def function_over(values: Sequence[Expr]) -> ScalarFunction:
    """The function that gives these values."""
    values = list(values)
    return remembered(("function", ids(values)), values, lambda: ScalarFunction(values))


def replace(function: ScalarFunction, inputs: Sequence[Expr], scalars: Sequence[Expr]) -> list[Expr]:
    """The values of a function with its leaves replaced: input k by inputs[k], scalar k by scalars[k]."""

    def make() -> list[Expr]:
        instead = {
            id(e): inputs[e.args[0]] if e.op == "input" else scalars[e.args[0]]
            for e in nodes_of(function.outputs)
            if e.op in ("input", "scalar")
        }
        return _rebuilt(function.outputs, instead)

    parts = [*inputs, *scalars]
    return remembered(("replace", function.fingerprint(), ids(parts)), parts, make)


def substitute(roots: Sequence[Expr], instead: Sequence[tuple[Expr, Expr]]) -> list[Expr]:
    """Expressions with nodes replaced: (node, what stands for it)."""
    parts = [*roots, *(e for pair in instead for e in pair)]
    key = ("substitute", len(roots), ids(parts))
    return remembered(key, parts, lambda: _rebuilt(roots, {id(old): new for old, new in instead}))


def stored(value: Expr, code: str) -> Expr:
    """What reading gives after a value was stored in an array of a type."""
    if value.type == code == compute_code(code):
        return value
    return remembered(
        ("stored", id(value), code), value, lambda: convert(convert(value, code), compute_code(code))
    )


def _rebuilt(roots: Sequence[Expr], instead: dict[int, Expr]) -> list[Expr]:
    memo = dict(instead)

    def one(root: Expr) -> Expr:
        stack = [root]
        while stack:
            e = stack[-1]
            if id(e) in memo:
                stack.pop()
                continue
            waiting = [a for a in e.args if isinstance(a, Expr) and id(a) not in memo]
            if waiting:
                stack.extend(waiting)
                continue
            args = tuple(memo[id(a)] if isinstance(a, Expr) else a for a in e.args)
            same = all(x is y for x, y in zip(args, e.args))
            memo[id(e)] = e if same else Expr(e.op, args, e.type)
            stack.pop()
        return memo[id(root)]

    return [one(e) for e in roots]
