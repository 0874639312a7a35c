"""Built-ins of the kernel language: what a kernel may call besides other kernels and types."""

from __future__ import annotations

import hashlib

from . import types as kernel_types
from .builder import Value, Variable
from .types import Pointer, i1, i64, ptr, vec, void


class Static:
    """Marks a call that the compiler itself carries out: ``fn(builder, *arguments)``."""

    def __init__(self, run):
        self.run = run
        self.__name__ = getattr(run, "__name__", "static")

    def __call__(self, *args):
        raise TypeError(f"{self.__name__} belongs in kernels")


def static(function) -> Static:
    return Static(function)


def _is_runtime(x) -> bool:
    return isinstance(x, (Value, Variable))


def _intrinsic(name):
    return Static(lambda b, *args: b.intrinsic(name, *args))


fma = _intrinsic("fma")
sqrt = _intrinsic("sqrt")
floor = _intrinsic("floor")
ceil = _intrinsic("ceil")
trunc = _intrinsic("trunc")
rint = _intrinsic("rint")
fabs = _intrinsic("fabs")
copysign = _intrinsic("copysign")
popcount = _intrinsic("ctpop")


@static
def load(b, pointer, t=None, align=0):
    """load(p) or load(p, vec(f32, 16)): the value at a pointer."""
    return b.load(pointer, t, align)


@static
def store(b, pointer, value, align=0):
    b.store(pointer, value, align)


@static
def stream(b, pointer, value, align=64):
    """A store past the caches, for outputs much larger than them; the address must be aligned."""
    b.store(pointer, value, align, extra=", !nontemporal " + b.module.meta("!{i32 1}"))


@static
def drain(b):
    """Order the streaming stores so far before all that follows; to be called at the end of a task that streams."""
    if _x86():
        b.call("llvm.x86.sse.sfence", void)
    else:
        b.do("fence seq_cst")


@static
def splat(b, value, lanes):
    return b.splat(value, lanes)


@static
def select(b, condition, x, y):
    return b.select(condition, x, y)


@static
def maximum(b, x, y):
    """The larger; for floats a NaN wins."""
    x, y = b.unify(x, y)
    if x.type.kind != "float":
        return b.select(b.compare("gt", x, y), x, y)
    return (
        b.select(b.compare("ne", x, x), x, b.select(b._ugt(x, y), x, y))
        if False
        else _nan_select(b, "gt", x, y)
    )


@static
def minimum(b, x, y):
    """The smaller; for floats a NaN wins."""
    x, y = b.unify(x, y)
    if x.type.kind != "float":
        return b.select(b.compare("lt", x, y), x, y)
    return _nan_select(b, "lt", x, y)


def _nan_select(b, op, x, y):
    better = b.compare(op, x, y)
    nan = b.compare("ne", x, x)
    return b.select(b.binary("or", better, nan), x, y)


@static
def add_any(b, x, y):
    """x + y where the compiler may reorder the sum (to vectorise it)."""
    return b.binary("add", x, y, flags="reassoc nsz contract")


@static
def mul_any(b, x, y):
    return b.binary("mul", x, y, flags="reassoc nsz contract")


@static
def bitcast(b, x, t):
    """The same bits as another type of the same size; of a pointer, another element type."""
    x = b.value(x)
    if isinstance(t, Pointer) or x.type.kind == "ptr":
        return b.convert(x, t)
    return b.bitcast(x, t)


@static
def local(b, t, count=1, align=64):
    """An uninitialised array on the stack; keep it small."""
    return Value(ptr(t), b.alloca(t, count, align))


@static
def call_c(b, name, result, *arguments):
    """Call a C function of the process by name."""
    return b.call(name, result, *arguments)


@static
def call_pointer(b, pointer, result, *arguments):
    return b.call_pointer(pointer, result, *arguments)


@static
def address_of(b, name):
    """The address of a function of the module or of the process."""
    if name not in b.module.names and name not in b.module.declares:
        b.module.declares[name] = f"declare void @{name}()"
    return Value(ptr(kernel_types.i8), f"@{name}")


@static
def symbol(b, name, t):
    """Address of an external variable of type t, such as Python's None."""
    b.module.globals.setdefault(name, f"@{name} = external global {t.memory}")
    return Value(ptr(t), f"@{name}")


@static
def global_array(b, name, t, count):
    """Zeroed memory that lives as long as the module."""
    b.module.globals.setdefault(
        name, f"@{name} = internal global [{count} x {t.memory}] zeroinitializer, align 64"
    )
    return Value(ptr(t), f"@{name}")


@static
def constant_array(b, t, values):
    """A read-only table of compile-time numbers."""
    text = ", ".join(f"{t.memory} {b.constant(v, t).text}" for v in values)
    name = "table_" + hashlib.sha256(f"{t}{text}".encode()).hexdigest()[:16]
    b.module.globals.setdefault(
        name, f"@{name} = private unnamed_addr constant [{len(values)} x {t.memory}] [{text}], align 64"
    )
    return Value(ptr(t), f"@{name}")


@static
def atomic_add(b, pointer, value):
    """Add at an address, sequentially consistent; gives the old value."""
    pointer = b.value(pointer)
    value = b.convert(value, pointer.type.to)
    return b.emit(value.type, f"atomicrmw add {pointer}, {value} seq_cst")


@static
def atomic_swap(b, pointer, value):
    pointer = b.value(pointer)
    value = b.convert(value, pointer.type.to)
    return b.emit(value.type, f"atomicrmw xchg {pointer}, {value} seq_cst")


@static
def atomic_load(b, pointer):
    pointer = b.value(pointer)
    t = pointer.type.to
    return b.emit(t, f"load atomic {t.llvm}, {pointer} seq_cst, align {t.bytes}")


@static
def atomic_store(b, pointer, value):
    pointer = b.value(pointer)
    value = b.convert(value, pointer.type.to)
    b.do(f"store atomic {value}, {pointer} seq_cst, align {value.type.bytes}")


@static
def atomic_compare_swap(b, pointer, expected, value):
    """Write `value` where the memory holds `expected`; gives whether it did."""
    pointer = b.value(pointer)
    t = pointer.type.to
    pair = b.fresh()
    b.lines.append(
        f"  {pair} = cmpxchg {pointer}, {b.convert(expected, t)}, {b.convert(value, t)} seq_cst seq_cst"
    )
    return b.emit(i1, f"extractvalue {{ {t.llvm}, i1 }} {pair}, 1")


@static
def pause(b):
    """Tell the processor that this is a spin loop."""
    if _x86():
        b.call("llvm.x86.sse2.pause", void)
    else:
        b.do("fence seq_cst")


def _x86() -> bool:
    import platform

    return platform.machine().lower() in ("x86_64", "amd64", "i686")


@static
def prefetch(b, pointer, write=0, locality=3):
    b.module.declares["llvm.prefetch.p0"] = "declare void @llvm.prefetch.p0(ptr, i32, i32, i32)"
    b.do(f"call void @llvm.prefetch.p0({b.value(pointer)}, i32 {write}, i32 {locality}, i32 1)")


@static
def copy_bytes(b, to, source, count):
    b.module.declares["llvm.memcpy"] = "declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)"
    b.do(
        f"call void @llvm.memcpy.p0.p0.i64({b.value(to)}, {b.value(source)}, {b.convert(count, i64)}, i1 false)"
    )


@static
def fill_bytes(b, to, byte, count):
    b.module.declares["llvm.memset"] = "declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)"
    b.do(
        f"call void @llvm.memset.p0.i64({b.value(to)}, {b.convert(byte, kernel_types.i8)}, {b.convert(count, i64)}, i1 false)"
    )


@static
def leading_zeros(b, x):
    x = b.value(x)
    name = f"llvm.ctlz.{b.suffix(x.type)}"
    b.module.declares[name] = f"declare {x.type.llvm} @{name}({x.type.llvm}, i1)"
    return b.emit(x.type, f"call {x.type.llvm} @{name}({x}, i1 false)")


@static
def trailing_zeros(b, x):
    x = b.value(x)
    name = f"llvm.cttz.{b.suffix(x.type)}"
    b.module.declares[name] = f"declare {x.type.llvm} @{name}({x.type.llvm}, i1)"
    return b.emit(x.type, f"call {x.type.llvm} @{name}({x}, i1 false)")


@static
def shuffle(b, x, y, lanes):
    """Pick lanes out of two vectors by compile-time numbers."""
    x, y = b.value(x), b.value(y)
    t = vec(x.type.element, len(lanes))
    listed = ", ".join(f"i32 {i}" for i in lanes)
    return b.emit(t, f"shufflevector {x}, {y}, <{len(lanes)} x i32> <{listed}>")


@static
def horizontal(b, op, x):
    """Combine the lanes of a vector: op is 'add', 'max', 'min', 'or' or 'and', by halves (a fixed tree)."""
    x = b.value(x)
    while x.type.lanes > 1:
        half = x.type.lanes // 2
        low = shuffle.run(b, x, x, list(range(half)))
        high = shuffle.run(b, x, x, list(range(half, 2 * half)))
        if op == "add":
            x = b.binary("add", low, high)
        elif op == "max":
            x = maximum.run(b, low, high)
        elif op == "min":
            x = minimum.run(b, low, high)
        else:
            x = b.binary(op, low, high)
    return b.emit(x.type.element, f"extractelement {x}, i64 0")


def range_(*args):
    raise TypeError("belongs in kernels")


def independent(*args):
    raise TypeError("independent() belongs in kernels")


def unroll(*args):
    raise TypeError("unroll() belongs in kernels")
