"""Scalar expressions -> LLVM, inside the kernel that a builder is writing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import lru_cache

from ...ir import math as lowering
from ...ir import math_tables as tables
from ...ir.expr import Expr
from . import jit
from .builder import Builder, Value
from .language import constant_array, shuffle
from .types import BY_CODE, f32, i1, i32, i64, vec, with_lanes

_DIRECT = {"add", "sub", "mul", "and", "or", "xor", "shl", "shr"}
_COMPARE = {"lt", "le", "gt", "ge", "eq", "ne"}
_INTRINSIC = {
    "sqrt": "sqrt", "floor": "floor", "ceil": "ceil", "trunc": "trunc", "roundeven": "roundeven", "fabs": "fabs",
    "fma": "fma", "copysign": "copysign",
}  # fmt: skip


@lru_cache(None)
def rules() -> dict:
    """How this machine forms the transcendental functions: from tables where it picks from one in an instruction."""
    return {**lowering.LOWER, **tables.RULES} if jit.has_feature("avx512f") else lowering.LOWER


class ScalarFunction:
    """Expressions over leaves ("input", k) and ("scalar", k), callable inside kernels: gives the tuple of values.

    Inputs may be vectors; what depends on none of them stays scalar.
    """

    takes_builder = True

    def __init__(self, outputs: list[Expr]):
        self.outputs = outputs
        self._print: str | None = None
        #: what others found out about it, by their own keys
        self.facts: dict = {}

    def __call__(self, b: Builder, inputs, scalars=(), refuse=None) -> tuple[Value, ...]:
        memo: dict[int, Value] = {}
        return tuple(emit(b, e, inputs, scalars, memo, refuse) for e in self.outputs)

    def fingerprint(self) -> str:
        """Text that is equal for equal expressions."""
        if self._print is None:
            self._print = self._hash()
        return self._print

    def _hash(self) -> str:
        seen: dict[int, str] = {}
        parts: list[str] = []

        def visit(e) -> str:
            if not isinstance(e, Expr):
                return repr(e)
            found = seen.get(id(e))
            if found is None:
                args = ",".join([visit(a) for a in e.args])
                found = seen[id(e)] = f"t{len(seen)}"
                parts.append(f"{found}={e.op}({args}):{e.type}")
            return found

        ends = [visit(e) for e in self.outputs]
        return hashlib.sha256(
            (";".join(parts) + "->" + ",".join(ends) + lowering.VERSION).encode()
        ).hexdigest()


def nodes_of(roots: Sequence[Expr]) -> Iterator[Expr]:
    """All parts of some expressions, each once."""
    seen: set[int] = set()
    stack = list(roots)
    while stack:
        e = stack.pop()
        if id(e) not in seen:
            seen.add(id(e))
            yield e
            stack.extend(a for a in e.args if isinstance(a, Expr))


def emit(b: Builder, root: Expr, inputs, scalars, memo: dict[int, Value], refuse=None) -> Value:
    """The value of an expression; iterative, so deep graphs do not recurse."""
    stack = [root]
    lower_by = rules()
    while stack:
        e = stack[-1]
        if id(e) in memo:
            stack.pop()
            continue
        lower = lower_by.get(e.op)
        if lower is not None:
            key = ("lowered", id(e))
            lowered = memo.get(key)  # type: ignore[call-overload]
            if lowered is None:
                lowered = memo[key] = lower(*e.args)  # type: ignore[index]
                memo.setdefault("keep", []).append(e)  # type: ignore[call-overload, attr-defined]
            if id(lowered) in memo:
                memo[id(e)] = memo[id(lowered)]
                stack.pop()
            else:
                stack.append(lowered)
            continue
        waiting = [a for a in e.args if isinstance(a, Expr) and id(a) not in memo]
        if waiting:
            stack.extend(waiting)
            continue
        memo[id(e)] = _one(b, e, inputs, scalars, memo, refuse)
        memo.setdefault("keep", []).append(e)  # type: ignore[call-overload, attr-defined]
        stack.pop()
    return memo[id(root)]


def _one(b: Builder, e: Expr, inputs, scalars, memo, refuse) -> Value:
    op, t = e.op, BY_CODE[e.type]
    if op == "constant":
        return b.constant(e.args[0], t)
    if op == "input":
        x = b.value(inputs[e.args[0]])
        return b.convert(x, with_lanes(t, x.type.lanes))
    if op == "scalar":
        return b.convert(scalars[e.args[0]], t)
    args = [memo[id(a)] if isinstance(a, Expr) else a for a in e.args]
    if op in _DIRECT:
        return b.binary(op, *args)
    if op == "div":
        return b.binary("div", *args) if t.kind == "float" else _safe_integer(b, "div", *args)
    if op == "mod":
        return b.binary("mod", *args) if t.kind == "float" else _safe_integer(b, "mod", *args)
    if op in _COMPARE:
        return b.compare(op, *args)
    if op in _INTRINSIC:
        return b.intrinsic(_INTRINSIC[op], *_same_lanes(b, args))
    if op in ("fmaximum", "fminimum"):  # NaN wins; either zero may win over the other
        return b.intrinsic(op[1:], *_same_lanes(b, args), flags="nsz")
    if op == "neg":
        return b.negate(args[0])
    if op == "invert":
        return b.invert(args[0])
    if op == "where":
        return b.select(*_same_lanes(b, args))
    if op == "convert":
        return b.rounded(args[0], with_lanes(t, args[0].type.lanes))
    if op == "bitcast":
        return b.bitcast(args[0], with_lanes(t, args[0].type.lanes))
    if op == "refuse":
        assert refuse is not None, "this kernel cannot refuse"
        seen = b.value(refuse)
        b.assign(refuse, b.select(b.convert(args[0], i1), b.constant(args[1], seen.type), seen))
        return args[2]
    if op == "ldexp":
        return _times_power_of_two(b, *_same_lanes(b, args))
    if op == "lookup":
        return _lookup(b, *args)
    if op == "gcd":
        return _gcd(b, *args)
    if op == "ipow":
        return _integer_power(b, *args)
    raise NotImplementedError(f"the CPU back end has no rule for {op}")


def _times_power_of_two(b: Builder, x: Value, n: Value, same: Value | None = None) -> Value:
    """x * 2**n, rounded once; where the processor has no instruction for it, in two steps of half the exponent.

    same: n as a float, if it is at hand.
    """
    t, integer = x.type, n.type
    if same is not None and t.lanes and t.element is f32 and jit.has_feature("avx512f"):
        return _in_registers(b, [x, same], lambda x, n: _scalef(b, x, n))
    if jit.has_feature("avx512f"):
        n = b.convert(n, with_lanes(i32, t.lanes))
        name = f"llvm.ldexp.{b.suffix(t)}.{b.suffix(n.type)}"
        b.declare(name, t, [t, n.type])
        return b.emit(t, f"call {t.llvm} @{name}({x}, {n})")
    bias, shift = (127, 23) if t.element.bits == 32 else (1023, 52)

    def power(k: Value) -> Value:
        return b.bitcast(b.binary("shl", b.binary("add", k, bias), b.constant(shift, integer)), t)

    half = b.binary("shr", n, b.constant(1, integer))
    return b.binary("mul", b.binary("mul", x, power(half)), power(b.binary("sub", n, half)))


def _scalef(b: Builder, x: Value, n: Value) -> Value:
    t, name = x.type, "llvm.x86.avx512.mask.scalef.ps.512"
    b.module.declares[name] = f"declare {t.llvm} @{name}({t.llvm}, {t.llvm}, {t.llvm}, i16, i32)"
    return b.emit(t, f"call {t.llvm} @{name}({x}, {n}, {t.llvm} zeroinitializer, i16 -1, i32 4)")


def _in_registers(b: Builder, values: list[Value], form) -> Value:
    """form(one register of each of some vectors of 32-bit numbers), put together again."""
    lanes = values[0].type.lanes
    parts = []
    for k in range(0, lanes, 16):
        places = [min(k + j, lanes - 1) for j in range(16)]
        parts.append(form(*(x if lanes == 16 else shuffle.run(b, x, x, places) for x in values)))
    while len(parts) > 1:
        width = 2 * parts[0].type.lanes
        parts = [shuffle.run(b, x, y, range(width)) for x, y in zip(parts[::2], parts[1::2])]
    return parts[0] if lanes >= 16 else shuffle.run(b, parts[0], parts[0], range(lanes))


def _lookup(b: Builder, index: Value, table: tuple[float, ...]) -> Value:
    """table[index mod 32]: of a register of lanes in one instruction, else from memory."""
    lanes = index.type.lanes
    if not lanes:
        place = b.binary("and", index, len(table) - 1)
        return b.load(b.offset(constant_array.run(b, f32, table), b.convert(place, i64)))
    if not jit.has_feature("avx512f"):
        found = b.splat(b.constant(0.0, f32), lanes)
        for k in range(lanes):
            one = _lookup(b, b.emit(i32, f"extractelement {index}, i64 {k}"), table)
            found = b.emit(found.type, f"insertelement {found}, {one}, i64 {k}")
        return found
    t, name = vec(f32, 16), "llvm.x86.avx512.vpermi2var.ps.512"
    b.declare(name, t, [t, vec(i32, 16), t])
    low, high = (
        Value(t, "<" + ", ".join(f"{b.constant(v, f32)}" for v in half) + ">")
        for half in (table[:16], table[16:])
    )
    return _in_registers(b, [index], lambda i: b.emit(t, f"call {t.llvm} @{name}({low}, {i}, {high})"))


def _integer_power(b: Builder, x: Value, n: Value) -> Value:
    """x**n for n >= 0 by repeated squaring, wrapping around; 1 for a negative n."""
    square, left, result = b.variable(x.type), b.variable(x.type), b.variable(x.type)
    b.assign(square, x)
    b.assign(left, n)
    b.assign(result, b.constant(1, x.type))
    zero = b.constant(0, x.type)
    head, body, done = b.label("power"), b.label("step"), b.label("found")
    b.begin(head)
    now = b.value(left)
    b.branch(b.compare("gt", now, zero), body, done)
    b.place(body)
    base, so_far = b.value(square), b.value(result)
    odd = b.compare("ne", b.binary("and", now, b.constant(1, x.type)), zero)
    b.assign(result, b.select(odd, b.binary("mul", so_far, base), so_far))
    b.assign(square, b.binary("mul", base, base))
    b.assign(left, b.binary("shr", now, b.constant(1, x.type)))
    b.jump(head)
    b.place(done)
    return b.value(result)


def _gcd(b: Builder, x: Value, y: Value) -> Value:
    """Euclid's algorithm for numbers that are not negative."""
    larger, smaller = b.variable(x.type), b.variable(x.type)
    b.assign(larger, x)
    b.assign(smaller, y)
    head, body, done = b.label("gcd"), b.label("step"), b.label("found")
    b.begin(head)
    now = b.value(smaller)
    b.branch(b.compare("ne", now, b.constant(0, x.type)), body, done)
    b.place(body)
    b.assign(smaller, _safe_integer(b, "mod", b.value(larger), now))
    b.assign(larger, now)
    b.jump(head)
    b.place(done)
    return b.value(larger)


def _same_lanes(b: Builder, args: list) -> list:
    """The operands with scalars repeated to the vectors' number of lanes."""
    lanes = max((a.type.lanes for a in args if isinstance(a, Value)), default=0)
    if not lanes:
        return args
    return [b.splat(a, lanes) if isinstance(a, Value) and not a.type.lanes else a for a in args]


def _safe_integer(b: Builder, op: str, x, y) -> Value:
    """C division that cannot trap: x/0 gives 0, the smallest number over -1 wraps."""
    t = x.type
    zero = b.compare("eq", y, b.constant(0, t))
    safe = b.select(zero, b.constant(1, t), y)
    if not t.element.signed:
        return b.select(zero, b.constant(0, t), b.binary(op, x, safe))
    minus = b.compare("eq", y, b.constant(-1, t))
    safe = b.select(minus, b.constant(1, t), safe)
    found = b.binary(op, x, safe)
    special = b.negate(x) if op == "div" else b.constant(0, t)
    return b.select(zero, b.constant(0, t), b.select(minus, special, found))
