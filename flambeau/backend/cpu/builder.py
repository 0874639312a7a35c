"""Writes the LLVM text of one function: values, arithmetic, memory, control flow.

The kernel language (native.py) and the scalar expressions (emit.py) both end here.
"""

from __future__ import annotations

import operator
import struct

from .types import Pointer, Type, f32, f64, i1, i8, i16, i32, i64, ptr, u16, vec, void, with_lanes


class Value:
    """A typed LLVM operand."""

    __slots__ = ("type", "text")

    def __init__(self, type: Type, text: str):
        self.type, self.text = type, text

    def __repr__(self) -> str:
        return f"{self.type.llvm} {self.text}"

    def __bool__(self):
        raise TypeError(
            "a run-time value has no truth at compile time: use select(), or an if statement in the kernel"
        )


class Variable:
    """A named slot on the stack (LLVM promotes it to a register)."""

    __slots__ = ("type", "address")

    def __init__(self, type: Type, address: str):
        self.type, self.address = type, address


def float_text(value: float, t: Type) -> str:
    if t.bits == 32:
        value = (
            struct.unpack("f", struct.pack("f", value))[0] if abs(value) < 3.5e38 or value != value else value
        )
        if abs(value) == float("inf") or value != value:
            value = float(value)
    return "0x%016X" % struct.unpack("<Q", struct.pack("<d", float(value)))[0]


def _folded(op: str, a: Value, b: Value) -> Value | int | None:
    """The result of integer arithmetic with constants, where it is one of the operands or a number."""
    if a.text[0] == "%" and b.text[0] == "%":
        return None
    if b.text == "0":
        return 0 if op == "mul" else a
    if op == "mul" and b.text == "1":
        return a
    if op != "sub" and (a.text == "0" or op == "mul" and a.text == "1"):
        return b if op == "add" or a.text == "1" else 0
    if a.text[0] == "%" or b.text[0] == "%":
        return None
    return _FOLDED[op](int(a.text), int(b.text))


_FOLDED = {"add": operator.add, "sub": operator.sub, "mul": operator.mul}
ARITHMETIC = {"add": "+", "sub": "-", "mul": "*", "div": "/"}


class Module:
    """Functions, globals and declarations of one LLVM module."""

    def __init__(self) -> None:
        self.functions: list[str] = []
        self.globals: dict[str, str] = {}
        self.declares: dict[str, str] = {}
        self.metadata: list[str] = []
        self.names: set[str] = set()

    def meta(self, text: str) -> str:
        self.metadata.append(text)
        return f"!{len(self.metadata) - 1}"

    def text(self) -> str:
        metadata = [f"!{i} = {text}" for i, text in enumerate(self.metadata)]
        return "\n".join([*self.globals.values(), *self.declares.values(), *self.functions, *metadata]) + "\n"


class Builder:
    """Writes one function; every method returns a Value or nothing and appends text."""

    def __init__(
        self, module: Module, name: str, params: list[tuple[str, Type]], result: Type = void, *, export=True
    ):
        self.module, self.name, self.result = module, name, result
        self.lines: list[str] = []
        self.allocas: list[str] = []
        self.count = 0
        self.known: dict[str, Value] = {}  # what variables hold at this point of a block
        self.shortened: set[str] = set()  # float32 values that were float64 just before
        self.parallel: list[str] = []  # access groups of the enclosing independent loops
        self.flags = ""
        self.export = export
        self.params = [Value(t, f"%p{i}") for i, (_, t) in enumerate(params)]

    # -- text ------------------------------------------------------------------------------------------------
    def finish(self) -> None:
        """Append the function's text to the module."""
        arguments = ", ".join(
            f"{p.type.llvm} {'noundef ' if p.type.kind == 'ptr' else ''}{p.text}" for p in self.params
        )
        if self.result is void:
            self.lines.append("  ret void")
        else:
            self.lines.append("  unreachable")
        linkage = "" if self.export else "internal "
        body = "\n".join(["entry:", *self.allocas, *self.lines])
        self.module.functions.append(
            f"define {linkage}{self.result.llvm} @{self.name}({arguments}) #0 {{\n{body}\n}}"
        )

    def fresh(self) -> str:
        self.count += 1
        return f"%v{self.count}"

    def emit(self, type: Type, text: str) -> Value:
        name = self.fresh()
        self.lines.append(f"  {name} = {text}")
        return Value(type, name)

    def do(self, text: str) -> None:
        self.lines.append(f"  {text}")

    def label(self, hint: str) -> str:
        self.count += 1
        return f"{hint}{self.count}"

    def begin(self, label: str) -> None:
        self.lines.append(f"  br label %{label}\n{label}:")
        self.known.clear()

    def place(self, label: str) -> None:
        self.lines.append(f"{label}:")
        self.known.clear()

    def declare(self, name: str, result: Type, arguments: list[Type], attributes: str = "") -> None:
        listed = ", ".join(a.llvm for a in arguments)
        self.module.declares[name] = f"declare {result.llvm} @{name}({listed}) {attributes}"

    # -- constants and conversion ----------------------------------------------------------------------------
    def constant(self, value, t: Type) -> Value:
        if t.lanes:
            return self.splat(self.constant(value, t.element), t.lanes)
        if t.kind == "float":
            return Value(t.register, float_text(value, t.register))
        if t.kind == "bool":
            return Value(t, "true" if value else "false")
        if t.kind == "ptr":
            assert value in (0, None)
            return Value(t, "null")
        value = int(value) & ((1 << t.bits) - 1)
        if value >> (t.bits - 1):
            value -= 1 << t.bits
        return Value(t, str(value))

    def value(self, x, like: Type | None = None) -> Value:
        """A Value from a Value, a Variable or a Python number (which takes the type `like`)."""
        if isinstance(x, Value):
            return x
        if isinstance(x, Variable):
            found = self.known.get(x.address)
            if found is None:
                found = self.known[x.address] = self.emit(x.type, f"load {x.type.llvm}, ptr {x.address}")
            return found
        if isinstance(x, bool):
            return self.constant(x, like if like is not None and like.kind == "bool" else i1)
        if isinstance(x, int):
            return self.constant(x, like if like is not None and like.kind != "bool" else i64)
        if isinstance(x, float):
            return self.constant(x, like if like is not None and like.kind == "float" else f64)
        raise TypeError(f"cannot use {x!r} as a run-time value")

    def splat(self, x, lanes: int) -> Value:
        x = self.value(x)
        t = vec(x.type, lanes)
        if x.text[0] != "%" and t.kind != "ptr":
            return Value(t, f"splat ({x})")
        one = self.emit(t, f"insertelement {t.llvm} poison, {x}, i64 0")
        return self.emit(t, f"shufflevector {one}, {t.llvm} poison, <{lanes} x i32> zeroinitializer")

    def convert(self, x, t: Type) -> Value:
        """Value conversion, as C would do it; a float to integer conversion saturates, NaN gives 0."""
        x = self.value(x, t)
        t = t.register
        source = x.type
        if source is t:
            return x
        if t.lanes and not source.lanes:
            return self.splat(self.convert(x, t.element), t.lanes)
        if source.kind == "ptr" or t.kind == "ptr":
            if source.kind == t.kind:
                return Value(t, x.text)
            return self.emit(t, f"{'inttoptr' if t.kind == 'ptr' else 'ptrtoint'} {x} to {t.llvm}")
        e, s = t.element, source.element
        if e.kind == "bool":
            zero = self.constant(0, source)
            op = "fcmp une" if s.kind == "float" else "icmp ne"
            return self.emit(t, f"{op} {x}, {zero.text}")
        if s.kind == "bool":
            return self.emit(t, f"{'uitofp' if e.kind == 'float' else 'zext'} {x} to {t.llvm}")
        if s.kind == "float" and e.kind == "float":
            found = self.emit(t, f"{'fpext' if e.bits > s.bits else 'fptrunc'} {x} to {t.llvm}")
            if e.bits < s.bits:
                self.shortened.add(found.text)
            return found
        if s.kind == "float":
            return self._float_to_int(x, t)
        if e.kind == "float":
            return self.emit(t, f"{'sitofp' if s.signed else 'uitofp'} {x} to {t.llvm}")
        if e.bits == s.bits:
            return Value(t, x.text)
        op = "trunc" if e.bits < s.bits else "sext" if s.signed else "zext"
        return self.emit(t, f"{op} {x} to {t.llvm}")

    def _float_to_int(self, x: Value, t: Type) -> Value:
        """Through int64, as x86 compilers do, so that an out-of-range float wraps like PyTorch's on small types."""
        e = t.element
        if e.bits == 64 or e.bits == 32 and e.signed:
            return self._saturate(x, t)
        wide = self._saturate(x, with_lanes(i32 if e.bits < 32 else i64, t.lanes))
        return self.convert(wide, t)

    def _saturate(self, x: Value, t: Type) -> Value:
        name = f"llvm.fpto{'s' if t.element.signed else 'u'}i.sat.{self.suffix(t)}.{self.suffix(x.type)}"
        self.declare(name, t, [x.type])
        return self.emit(t, f"call {t.llvm} @{name}({x})")

    @staticmethod
    def suffix(t: Type) -> str:
        e = t.element
        base = ("f" if e.kind == "float" else "i") + str(e.bits)
        return f"v{t.lanes}{base}" if t.lanes else base

    def bitcast(self, x: Value, t: Type) -> Value:
        return self.emit(t, f"bitcast {x} to {t.llvm}") if x.type.llvm != t.llvm else Value(t, x.text)

    # -- arithmetic ------------------------------------------------------------------------------------------
    def unify(self, a, b) -> tuple[Value, Value]:
        """Both operands in their common type: numbers follow values, ints widen, ints become floats."""
        if isinstance(a, Variable):
            a = self.value(a)
        if isinstance(b, Variable):
            b = self.value(b)
        if not isinstance(a, Value) and not isinstance(b, Value):
            raise TypeError("two compile-time numbers reached run-time arithmetic")
        if not isinstance(a, Value):
            a = (
                self.value(a, b.type.element)
                if isinstance(a, float) and b.type.kind == "int"
                else self.constant_like(a, b)
            )
        if not isinstance(b, Value):
            b = (
                self.value(b, a.type.element)
                if isinstance(b, float) and a.type.kind == "int"
                else self.constant_like(b, a)
            )
        ta, tb = a.type, b.type
        if ta is tb or ta.kind == "ptr" and tb.kind == "ptr":
            return a, b
        lanes = ta.lanes or tb.lanes
        ea, eb = ta.element, tb.element
        if ea.kind == eb.kind:
            best = ea if (ea.bits, not ea.signed) >= (eb.bits, not eb.signed) else eb
        else:
            best = ea if _RANK[ea.kind] > _RANK[eb.kind] else eb
        goal = with_lanes(best, lanes)
        return self.convert(a, goal), self.convert(b, goal)

    def constant_like(self, number, other: Value) -> Value:
        t = other.type
        if t.kind == "ptr":
            return self.constant(number, t)
        if t.kind == "bool" and not isinstance(number, bool):
            return self.constant(number, with_lanes(i64, t.lanes))
        return self.constant(number, t)

    def binary(self, op: str, a, b, flags: str | None = None) -> Value:
        """op: add sub mul div mod(C remainder) floordiv-free and or xor shl shr min-free comparisons by `compare`."""
        if op in ("add", "sub"):
            pa = isinstance(a, (Value, Variable)) and a.type.kind == "ptr"
            pb = isinstance(b, (Value, Variable)) and b.type.kind == "ptr"
            if pa and pb:
                a, b = self.convert(self.value(a), i64), self.convert(self.value(b), i64)
                size = self.constant(1, i64)
                return self.binary("div", self.binary("sub", a, b), size)
            if pa:
                return self.offset(a, b if op == "add" else self.binary("sub", self.constant(0, i64), b))
            if pb:
                return self.offset(b, a)
        a, b = self.unify(a, b)
        t = a.type
        flags = self.flags if flags is None else flags
        if t.kind == "float":
            name = {"add": "fadd", "sub": "fsub", "mul": "fmul", "div": "fdiv", "mod": "frem"}[op]
            return self.emit(t, f"{name} {flags} {a}, {b.text}")
        if t.kind == "bool" and op in ("add", "mul"):
            op = {"add": "or", "mul": "and"}[op]
        signed = t.element.signed
        if t.kind == "int" and not t.lanes and op in _FOLDED:
            found = _folded(op, a, b)
            if found is not None:
                return found if isinstance(found, Value) else self.constant(found, t)
        name = {
            "add": "add", "sub": "sub", "mul": "mul", "and": "and", "or": "or", "xor": "xor", "shl": "shl",
            "shr": "ashr" if signed else "lshr", "div": "sdiv" if signed else "udiv", "mod": "srem" if signed else "urem",
        }[op]  # fmt: skip
        return self.emit(t, f"{name} {a}, {b.text}")

    def compare(self, op: str, a, b) -> Value:
        """op: lt le gt ge eq ne; a comparison with NaN is false except ne."""
        a, b = self.unify(a, b)
        t = a.type
        result = with_lanes(i1, t.lanes)
        if t.kind == "float":
            return self.emit(result, f"fcmp {'une' if op == 'ne' else 'o' + op} {a}, {b.text}")
        if op not in ("eq", "ne"):
            op = ("s" if t.element.signed and t.kind == "int" else "u") + op
        return self.emit(result, f"icmp {op} {a}, {b.text}")

    def select(self, c, a, b) -> Value:
        c = self.value(c)
        if isinstance(a, (Value, Variable)) or isinstance(b, (Value, Variable)):
            a, b = self.unify(a, b)
        else:
            a, b = self.value(a), self.value(b)
            a, b = self.unify(a, b)
        if c.type.kind != "bool":
            c = self.convert(c, with_lanes(i1, c.type.lanes))
        if a.type.lanes and not c.type.lanes or not a.type.lanes:
            return self.emit(a.type, f"select i1 {c.text}, {a}, {b}")
        return self.emit(a.type, f"select {c}, {a}, {b}")

    def negate(self, a) -> Value:
        a = self.value(a)
        if a.type.kind == "float":
            return self.emit(a.type, f"fneg {a}")
        return self.binary("sub", self.constant(0, a.type), a)

    def invert(self, a) -> Value:
        a = self.value(a)
        return self.binary("xor", a, self.constant(-1 if a.type.kind == "int" else True, a.type))

    def intrinsic(self, name: str, *values, flags: str = "") -> Value:
        """An LLVM intrinsic whose operands and result share one type, such as fma, sqrt, floor, fabs, maximum."""
        first = next(v for v in values if isinstance(v, (Value, Variable)))
        t = first.type
        operands = [self.convert(v, t) for v in values]
        full = f"llvm.{name}.{self.suffix(t)}"
        self.declare(full, t, [t] * len(operands))
        return self.emit(t, f"call {flags} {t.llvm} @{full}({', '.join(map(str, operands))})")

    # -- memory ----------------------------------------------------------------------------------------------
    def alloca(self, t: Type, count: int = 1, align: int = 0) -> str:
        name = self.fresh()
        # of the form of an array, LLVM keeps it in registers where it can
        what = t.memory if count == 1 else f"[{count} x {t.memory}]"
        self.allocas.append(f"  {name} = alloca {what}{f', align {align}' if align else ''}")
        return name

    def variable(self, t: Type) -> Variable:
        name = self.fresh()
        self.allocas.append(f"  {name} = alloca {t.llvm}")
        return Variable(t, name)

    def assign(self, variable: Variable, x) -> None:
        x = self.convert(x, variable.type)
        self.do(f"store {x}, ptr {variable.address}")
        self.known[variable.address] = x

    def offset(self, pointer, index) -> Value:
        pointer = self.value(pointer)
        index = self.convert(index, i64)
        assert isinstance(pointer.type, Pointer), f"not a pointer: {pointer}"
        if index.text == "0":
            return pointer
        return self.emit(pointer.type, f"getelementptr inbounds {pointer.type.to.memory}, {pointer}, {index}")

    def _access(self) -> str:
        if not self.parallel:
            return ""
        if len(self.parallel) == 1:
            return f", !llvm.access.group {self.parallel[0]}"
        return f", !llvm.access.group {self.module.meta('!{' + ', '.join(self.parallel) + '}')}"

    def load(self, pointer, t: Type | None = None, align: int = 0) -> Value:
        """The value at `pointer`, widened to its register type; `t` reads another type, such as a vector."""
        pointer = self.value(pointer)
        t = t or pointer.type.to
        align = align or (t.element.bytes)
        raw = self.fresh()
        self.lines.append(f"  {raw} = load {t.memory}, {pointer}, align {align}{self._access()}")
        return self._widen(raw, t)

    def masked_load(self, pointer, mask: Value, t: Type) -> Value:
        """The lanes of the vector at `pointer` where the mask is true; zeros elsewhere, whose memory is not touched."""
        name = f"llvm.masked.load.v{t.lanes}{_IN_NAMES.get(t.element.memory, t.element.memory)}"
        self.module.declares[name] = f"declare {t.memory} @{name}.p0(ptr, i32, {mask.type.llvm}, {t.memory})"
        raw = self.fresh()
        self.lines.append(
            f"  {raw} = call {t.memory} @{name}.p0({self.value(pointer)}, i32 {t.element.bytes}, {mask}, "
            f"{t.memory} zeroinitializer)"
        )
        return self._widen(raw, t)

    def masked_store(self, pointer, x: Value, mask: Value) -> None:
        """Write the lanes of a vector where the mask is true."""
        pointer = self.value(pointer)
        t = vec(pointer.type.to, x.type.lanes)
        name = f"llvm.masked.store.v{t.lanes}{_IN_NAMES.get(t.element.memory, t.element.memory)}"
        self.module.declares[name] = f"declare void @{name}.p0({t.memory}, ptr, i32, {mask.type.llvm})"
        raw = self._narrow(self.convert(x, t), t)
        self.do(f"call void @{name}.p0({t.memory} {raw}, {pointer}, i32 {t.element.bytes}, {mask})")

    def _widen(self, raw: str, t: Type) -> Value:
        e = t.element
        if e.kind == "bool":
            byte = with_lanes(i8, t.lanes)
            return self.compare("ne", Value(byte, raw), self.constant(0, byte))
        if e.name == "f16":
            return self.emit(t.register, f"fpext {t.memory} {raw} to {t.register.llvm}")
        if e.name == "bf16":
            wide = self.convert(Value(with_lanes(u16, t.lanes), raw), with_lanes(i32, t.lanes))
            return self.bitcast(self.binary("shl", wide, 16), t.register)
        return Value(t, raw)

    def store(self, pointer, x, align: int = 0, extra: str = "") -> None:
        """Write `x` at `pointer`; a scalar is rounded to the pointer's type, a vector to a vector of it."""
        pointer = self.value(pointer)
        x = self.value(x, pointer.type.to)
        goal = pointer.type.to
        if x.type.lanes and not goal.lanes:
            goal = vec(goal, x.type.lanes)
        align = align or goal.element.bytes
        raw = self._narrow(self.convert(x, goal), goal)
        self.do(f"store {goal.memory} {raw}, {pointer}, align {align}{extra}{self._access()}")

    def rounded(self, x, t: Type) -> Value:
        """The value converted to a type as memory would hold it: a type of 16 bits is rounded to its digits."""
        x = self.convert(x, t)
        return x if t.register is t else self._widen(self._narrow(x, t), t)

    def _narrow(self, x: Value, t: Type) -> str:
        e = t.element
        if e.kind == "bool":
            return self.emit(t, f"zext {x} to {t.memory}").text
        if e.name == "f16":
            if x.text in self.shortened:  # LLVM would round once, by a function that is not there
                name = f"llvm.arithmetic.fence.{self.suffix(x.type)}"
                self.declare(name, x.type, [x.type])
                x = self.emit(x.type, f"call {x.type.llvm} @{name}({x})")
            return self.emit(t, f"fptrunc {x} to {t.memory}").text
        if e.name == "bf16":
            return self._round_to_bf16(x, t)
        return x.text

    def _round_to_bf16(self, x: Value, t: Type) -> str:
        """Round to nearest even on the upper 16 bits; a NaN stays one (quiet, payload dropped)."""
        lanes = t.lanes
        bits = self.bitcast(x, with_lanes(i32, lanes))
        bits.type = with_lanes(i32, lanes)
        top = self.binary("and", self._lshr(bits, 16), 1)
        rounded = self.binary("add", bits, self.binary("add", top, 0x7FFF))
        high = self._lshr(rounded, 16)
        nan = self.compare("ne", x, x)
        return self.convert(
            self.select(nan, self.constant(0x7FC0, high.type), high), with_lanes(i16, lanes)
        ).text

    def _lshr(self, x: Value, by: int) -> Value:
        return self.emit(x.type, f"lshr {x}, {self.constant(by, x.type).text}")

    # -- control flow ----------------------------------------------------------------------------------------
    def branch(self, condition, then: str, other: str) -> None:
        condition = self.convert(condition, i1)
        self.do(f"br i1 {condition.text}, label %{then}, label %{other}")

    def jump(self, label: str, metadata: str = "") -> None:
        self.do(f"br label %{label}{metadata}")

    def call(self, name: str, result: Type, *arguments, variadic: str = "") -> Value | None:
        """Call a C function found in the process, or another function of the module."""
        values = [self.value(a) for a in arguments]
        if name not in self.module.names:
            self.declare(name, result, [v.type for v in values])
            if variadic:
                self.module.declares[name] = f"declare {result.llvm} {variadic[:-1]}, ...)".replace(
                    "(", f"@{name}(", 1
                )
        return self._call(f"{result.llvm}{' ' + variadic if variadic else ''} @{name}", result, values)

    def call_pointer(self, pointer, result: Type, *arguments) -> Value | None:
        values = [self.value(a) for a in arguments]
        return self._call(f"{result.llvm} {self.value(pointer).text}", result, values)

    def _call(self, target: str, result: Type, values: list[Value]) -> Value | None:
        text = f"call {target}({', '.join(map(str, values))})"
        if result is void:
            self.do(text)
            return None
        return self.emit(result, text)

    def loop(self, begin, end, step, body, *, independent: bool = False, unroll: int | None = 0) -> None:
        """Run body(i) for i in range(begin, end, step); `independent` promises that iterations do not interact.

        unroll: how often; None for not at all; -1 for a loop left as it is, neither unrolled nor vectorised.
        """
        begin, end = self.convert(begin, i64), self.convert(end, i64)
        down = isinstance(step, int) and step < 0
        step_value = self.convert(step, i64)
        counter = self.variable(i64)
        self.assign(counter, begin)
        head, inside, latch, done = (self.label(h) for h in ("head", "body", "latch", "done"))
        hints = []
        if independent:
            group = self.module.meta("distinct !{}")
            self.parallel.append(group)
            hints = [f'!{{!"llvm.loop.parallel_accesses", {group}}}']
        if unroll is None or unroll < 0:
            hints.append('!{!"llvm.loop.unroll.disable"}')
            if unroll is not None:
                hints.append('!{!"llvm.loop.vectorize.enable", i1 false}')
        elif unroll:
            hints.append(f'!{{!"llvm.loop.unroll.count", i32 {unroll}}}')
        self.begin(head)
        now = self.value(counter)
        self.branch(self.compare("gt" if down else "lt", now, end), inside, done)
        self.place(inside)
        self._loops = getattr(self, "_loops", [])
        self._loops.append((latch, done))
        body(now)
        self._loops.pop()
        self.begin(latch)
        self.assign(counter, self.emit(i64, f"add nsw {self.value(counter)}, {step_value.text}"))
        metadata = ""
        if hints:
            slot = len(self.module.metadata)
            self.module.metadata.append("")
            listed = [self.module.meta(h) for h in hints]
            self.module.metadata[slot] = f"distinct !{{!{slot}, {', '.join(listed)}}}"
            metadata = f", !llvm.loop !{slot}"
        self.jump(head, metadata)
        self.place(done)
        if independent:
            self.parallel.pop()


#: types of memory as names of intrinsics spell them
_IN_NAMES = {"float": "f32", "double": "f64", "half": "f16"}
_RANK = {"bool": 0, "int": 1, "float": 2, "ptr": 3}
__all__ = ["Builder", "Module", "Value", "Variable", "f32", "f64", "ptr"]
