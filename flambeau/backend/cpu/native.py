"""The kernel language: a small typed subset of Python, compiled to LLVM.

    @native
    def axpy(y: ptr(T), x: ptr(T), a: f64, n: i64):
        for i in independent(0, n):
            y[i] = y[i] + T(a) * x[i]

What a kernel may say:

- parameters annotated with a type (``T`` may be a template argument given when the kernel is built);
- numbers, arithmetic, comparisons, ``and``/``or``/``not`` (short circuit), ``a if c else b`` (a select: both sides run);
- ``for i in range(...)``, ``independent(...)`` (iterations do not interact, so it is vectorised), ``unroll(...)``
  (a compile-time loop); ``while``, ``if``, ``break``, ``continue``, ``return``;
- ``p[i]`` loads and stores, ``p + i`` moves a pointer, ``local(T, n)`` is a small array on the stack;
- a call of another ``@native`` function (inlined, so its arguments may be types, numbers or functions), of a type
  (conversion), or of a built-in named below;
- names in capitals, template arguments, globals and unroll counters are compile-time values; an ``if`` on those is
  decided while compiling.

A variable takes the type of its first assignment. ``//`` and ``%`` on integers truncate towards zero, as in C.
"""

from __future__ import annotations

import ast
import builtins
import hashlib
import types as python_types
from functools import lru_cache

from .builder import Builder, Module, Value, Variable
from .language import (
    Static,
    _is_runtime,
    add_any,
    address_of,
    atomic_add,
    atomic_compare_swap,
    atomic_load,
    atomic_store,
    atomic_swap,
    bitcast,
    call_c,
    call_pointer,
    ceil,
    constant_array,
    copy_bytes,
    copysign,
    drain,
    fabs,
    fill_bytes,
    floor,
    fma,
    global_array,
    horizontal,
    independent,
    leading_zeros,
    load,
    local,
    maximum,
    minimum,
    mul_any,
    pause,
    popcount,
    prefetch,
    rint,
    select,
    shuffle,
    splat,
    sqrt,
    static,
    store,
    stream,
    symbol,
    trailing_zeros,
    trunc,
    unroll,
)  # fmt: skip
from .types import Type, f32, i1, i32, i64, void, with_lanes


class Native:
    """A kernel-language function: call it from other kernels, or `build` it into a module."""

    #: whether a call stays a call, instead of being compiled in place
    apart = False

    def __init__(self, function: python_types.FunctionType):
        self.function = function
        self.__name__ = function.__name__
        self.__doc__ = function.__doc__

    def __call__(self, *args):
        raise TypeError(
            f"{self.__name__} is a kernel: it is called from kernels or compiled, not run by Python"
        )

    def fingerprint(self, seen: set | None = None) -> str:
        """Hash of the code and of the kernels it calls, for the cache of compiled objects."""
        seen = set() if seen is None else seen
        if self in seen:
            return self.__name__
        seen.add(self)
        code = self.function.__code__
        parts = [
            code.co_code.hex(),
            repr(_plain_constants(code.co_consts)),
            repr(code.co_names),
            repr(code.co_varnames),
        ]
        parts.append(repr(sorted(self.function.__annotations__.items(), key=lambda kv: kv[0])))
        cells = dict(zip(code.co_freevars, (c.cell_contents for c in self.function.__closure__ or ())))
        for name in (*code.co_names, *code.co_freevars):
            found = cells.get(name, self.function.__globals__.get(name))
            if isinstance(found, Native):
                parts.append(found.fingerprint(seen))
            elif isinstance(found, Static):
                code = found.run.__code__
                parts.append(
                    code.co_code.hex() + repr(_plain_constants(code.co_consts)) + repr(code.co_names)
                )
            elif isinstance(found, (int, float, str, tuple)):
                parts.append(repr(found))
            elif not callable(found) and not isinstance(found, python_types.ModuleType):  # numbers with names
                named = sorted(getattr(found, "__dict__", {}).items())
                parts.append(repr([x for x in named if isinstance(x[1], (int, float, str, tuple))]))
        return hashlib.sha256("|".join(parts).encode()).hexdigest()

    @property
    def tree(self) -> ast.FunctionDef:
        return _tree(self.function)


def _plain_constants(constants):
    return [c.co_code.hex() if isinstance(c, python_types.CodeType) else repr(c) for c in constants[1:]]


def native(function) -> Native:
    """Mark a function as written in the kernel language."""
    return Native(function)


def apart(kernel: Native) -> Native:
    """Keep a function, all of whose arguments have types, as one of its own in a module: called, not compiled in place."""
    kernel.apart = True
    return kernel


@lru_cache(None)
def _lines(path: str) -> list[str]:
    with open(path, encoding="utf-8") as file:
        return file.readlines()


@lru_cache(None)
def _tree(function) -> ast.FunctionDef:
    """A function's syntax tree. Only its own lines are parsed: for a whole file that takes tens of milliseconds."""
    code = function.__code__
    lines, first = _lines(code.co_filename), code.co_firstlineno - 1
    margin = len(lines[first]) - len(lines[first].lstrip())
    end, inside = first, False
    while end < len(lines):
        text = lines[end].lstrip()
        if inside and text and text[0] not in ")#" and len(lines[end]) - len(text) <= margin:
            break
        inside = inside or text.startswith("def ")
        end += 1
    above = "\n" * (first - 1) + "if 1:\n" if margin else "\n" * first  # so that lines keep their numbers
    (node,) = ast.parse(above + "".join(lines[first:end])).body
    node = node.body[0] if isinstance(node, ast.If) else node
    assert isinstance(node, ast.FunctionDef), "a kernel is a plain function"
    assert node.name == function.__name__
    return node


class KernelError(Exception):
    """A mistake in a kernel's source, with its line."""


class _Loop:
    def __init__(self, kind: str, args: tuple):
        self.kind, self.args = kind, args


# -- the compiler --------------------------------------------------------------------------------------------

_BINARY = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "div", ast.FloorDiv: "div", ast.Mod: "mod",
    ast.BitAnd: "and", ast.BitOr: "or", ast.BitXor: "xor", ast.LShift: "shl", ast.RShift: "shr", ast.Pow: "pow",
}  # fmt: skip
_COMPARE = {ast.Lt: "lt", ast.LtE: "le", ast.Gt: "gt", ast.GtE: "ge", ast.Eq: "eq", ast.NotEq: "ne"}
_PYTHON = {
    "add": lambda a, b: a + b, "sub": lambda a, b: a - b, "mul": lambda a, b: a * b, "mod": lambda a, b: a % b,
    "and": lambda a, b: a & b, "or": lambda a, b: a | b, "xor": lambda a, b: a ^ b, "shl": lambda a, b: a << b,
    "shr": lambda a, b: a >> b, "lt": lambda a, b: a < b, "le": lambda a, b: a <= b, "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b, "eq": lambda a, b: a == b, "ne": lambda a, b: a != b, "pow": lambda a, b: a**b,
}  # fmt: skip


class Compiler:
    """Compiles one (inlined) call of a kernel function into a builder."""

    def __init__(self, builder: Builder, kernel: Native, arguments: dict, top: bool):
        self.b, self.kernel, self.top = builder, kernel, top
        self.names: dict = dict(arguments)
        self.globals = kernel.function.__globals__
        closure = kernel.function.__closure__ or ()
        self.cells = dict(zip(kernel.function.__code__.co_freevars, (c.cell_contents for c in closure)))
        self.result = None
        self.exit: str | None = None
        self.terminated = False

    def fail(self, node, message):
        line = getattr(node, "lineno", 0)
        raise KernelError(
            f"{self.kernel.function.__code__.co_filename}:{line} in {self.kernel.__name__}: {message}"
        )

    # -- statements --
    def body(self, statements) -> None:
        for s in statements:
            if self.terminated:
                return
            method = getattr(self, "do_" + type(s).__name__, None)
            if method is None:
                self.fail(s, f"{type(s).__name__} is not in the kernel language")
            try:
                method(s)
            except KernelError:
                raise
            except Exception as error:
                self.fail(s, f"{type(error).__name__}: {error}")

    def do_Pass(self, s):
        pass

    def do_Expr(self, s):
        if not isinstance(s.value, ast.Constant):
            self.value(s.value)

    def do_Assert(self, s):
        if not self.value(s.test):
            self.fail(s, ast.unparse(s.test))

    def do_Assign(self, s):
        found = self.value(s.value)
        for target in s.targets:
            self.bind(target, found)

    def do_AnnAssign(self, s):
        t = self.value(s.annotation)
        found = (
            self.b.constant(0, t)
            if s.value is None
            else self.b.convert(self.as_value(self.value(s.value), t), t)
        )
        self.bind(s.target, found)

    def bind(self, target, found):
        if isinstance(target, ast.Tuple):
            found = [self.b.value(x) if isinstance(x, Variable) else x for x in found]
            for t, f in zip(target.elts, found, strict=True):
                self.bind(t, f)
        elif isinstance(target, ast.Name):
            self.bind_name(target.id, found)
        elif isinstance(target, ast.Subscript):
            base, index = self.value(target.value), self.value(target.slice)
            if isinstance(base, list):
                base[index] = found
            elif isinstance(base, Variable) and base.type.lanes:
                whole = self.b.value(base)
                one = self.b.convert(found, base.type.element)
                at = self.b.convert(index, i64)
                self.b.assign(base, self.b.emit(base.type, f"insertelement {whole}, {one}, {at}"))
            else:
                self.b.store(self.b.offset(base, index), found)
        else:
            self.fail(target, "cannot assign to this")

    def bind_name(self, name, found):
        old = self.names.get(name)
        if isinstance(old, Variable):
            self.b.assign(old, found)
        elif name.isupper() or not (_is_runtime(found) or isinstance(found, (int, float))):
            self.names[name] = found
        else:
            v = self.b.value(found)
            variable = self.b.variable(v.type)
            self.b.assign(variable, v)
            self.names[name] = variable

    def do_AugAssign(self, s):
        target = s.target
        if isinstance(target, ast.Subscript):
            base, index = self.value(target.value), self.value(target.slice)
            if isinstance(base, list):
                base[index] = self.binary(_BINARY[type(s.op)], base[index], self.value(s.value))
                return
            if not (isinstance(base, Variable) and base.type.lanes):
                place = self.b.offset(base, index)
                self.b.store(place, self.binary(_BINARY[type(s.op)], self.b.load(place), self.value(s.value)))
                return
        self.bind(target, self.binary(_BINARY[type(s.op)], self.value(target), self.value(s.value)))

    def do_Return(self, s):
        found = None if s.value is None else self.value(s.value)
        if self.top:
            if self.b.result is void:
                self.b.do("ret void")
            else:
                self.b.do(f"ret {self.b.convert(found, self.b.result)}")
        else:
            self.save_result(found)
            assert self.exit is not None
            self.b.jump(self.exit)
        self.terminated = True

    def save_result(self, found):
        if found is None:
            return
        items = found if isinstance(found, tuple) else (found,)
        if self.result is None:
            slots = []
            for x in items:
                if _is_runtime(x) or isinstance(x, (int, float)):
                    v = self.b.value(x)
                    slot = self.b.variable(v.type)
                    self.b.assign(slot, v)
                    slots.append(slot)
                else:
                    slots.append(x)
            self.result = (isinstance(found, tuple), slots)
        else:
            for slot, x in zip(self.result[1], items, strict=True):
                if isinstance(slot, Variable):
                    self.b.assign(slot, x)

    def do_If(self, s):
        condition = self.value(s.test)
        if not _is_runtime(condition):
            self.body(s.body if condition else s.orelse)
            return
        then, other, after = self.b.label("then"), self.b.label("else"), self.b.label("after")
        self.b.branch(condition, then, other)
        ends = []
        for label, block in ((then, s.body), (other, s.orelse)):
            self.b.place(label)
            self.terminated = False
            self.body(block)
            ends.append(self.terminated)
            if not self.terminated:
                self.b.jump(after)
        self.terminated = all(ends)
        self.b.place(after)
        if self.terminated:
            self.b.do("unreachable")

    def do_While(self, s):
        head, inside, done = self.b.label("while"), self.b.label("body"), self.b.label("done")
        self.b.begin(head)
        condition = self.value(s.test)
        if _is_runtime(condition):
            self.b.branch(condition, inside, done)
        elif condition:
            self.b.jump(inside)
        else:
            self.b.jump(done)
        self.b.place(inside)
        loops = self.b.__dict__.setdefault("_loops", [])
        loops.append((head, done))
        self.body(s.body)
        loops.pop()
        if not self.terminated:
            self.b.jump(head)
        self.terminated = False
        self.b.place(done)

    def do_For(self, s):
        call = s.iter
        kind = call.func.id if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) else None
        if kind not in ("range", "independent"):
            items = self.value(call)
            if isinstance(items, _Loop):
                items = range(*items.args)
            for item in items:  # a compile-time loop
                self.names.pop(s.target.id, None) if isinstance(s.target, ast.Name) else None
                if isinstance(s.target, ast.Name):
                    self.names[s.target.id] = item
                else:
                    for t, x in zip(s.target.elts, item, strict=True):
                        self.names[t.id] = x
                self.body(s.body)
            return
        args = [self.value(a) for a in call.args]
        options = {k.arg: self.value(k.value) for k in call.keywords}
        begin, end, step = (0, args[0], 1) if len(args) == 1 else (*args, 1) if len(args) == 2 else args

        def inside(counter):
            self.names[s.target.id] = counter
            self.body(s.body)
            if self.terminated:  # the latch that follows is dead code
                self.b.place(self.b.label("dead"))
                self.terminated = False

        if isinstance(step, (Value, Variable)):
            step = self.b.value(step)
        self.b.loop(
            begin, end, step, inside, independent=kind == "independent", unroll=options.get("unroll", 0)
        )

    def do_Break(self, s):
        self.b.jump(self.b._loops[-1][1])
        self.terminated = True

    def do_Continue(self, s):
        self.b.jump(self.b._loops[-1][0])
        self.terminated = True

    # -- expressions --
    def as_value(self, x, like=None):
        return self.b.value(x, like)

    def value(self, node):
        method = getattr(self, "get_" + type(node).__name__, None)
        if method is None:
            self.fail(node, f"{type(node).__name__} is not in the kernel language")
        return method(node)

    def get_Constant(self, node):
        return node.value

    def get_Name(self, node):
        name = node.id
        if name in self.names:
            found = self.names[name]
            return self.b.value(found) if isinstance(found, Variable) and not found.type.lanes else found
        if name in self.cells:
            return self.cells[name]
        if name in self.globals:
            return self.globals[name]
        if hasattr(builtins, name):
            return getattr(builtins, name)
        self.fail(node, f"unknown name {name}")

    def get_Attribute(self, node):
        return getattr(self.value(node.value), node.attr)

    def get_Tuple(self, node):
        return tuple(self.value(e) for e in node.elts)

    def get_List(self, node):
        return [self.value(e) for e in node.elts]

    def get_ListComp(self, node):
        (generator,) = node.generators
        out = []
        items = self.value(generator.iter)
        for item in range(*items.args) if isinstance(items, _Loop) else items:
            self.names[generator.target.id] = item
            if all(self.value(c) for c in generator.ifs):
                out.append(self.value(node.elt))
        return out

    def get_UnaryOp(self, node):
        x = self.value(node.operand)
        if not _is_runtime(x):
            return {
                ast.USub: lambda: -x, ast.Not: lambda: not x, ast.Invert: lambda: ~x, ast.UAdd: lambda: x
            }[type(node.op)]()  # fmt: skip
        if isinstance(node.op, ast.USub):
            return self.b.negate(x)
        if isinstance(node.op, ast.Not):
            x = self.b.value(x)
            return self.b.invert(self.b.convert(x, with_lanes(i1, x.type.lanes)))
        if isinstance(node.op, ast.Invert):
            return self.b.invert(x)
        return x

    def binary(self, op, x, y):
        if not _is_runtime(x) and not _is_runtime(y):
            return _PYTHON[op](x, y)
        if op == "div" and not isinstance(x, float) and not isinstance(y, float):
            pass
        return self.b.binary(op, x, y)

    def get_BinOp(self, node):
        x, y = self.value(node.left), self.value(node.right)
        op = _BINARY[type(node.op)]
        if not _is_runtime(x) and not _is_runtime(y):
            if isinstance(node.op, ast.Div):
                return x / y
            if isinstance(node.op, ast.FloorDiv):
                return x // y
            return _PYTHON[op](x, y)
        if isinstance(node.op, ast.Div):
            kinds = {v.type.element.kind for v in (x, y) if _is_runtime(v)}
            if kinds <= {"int", "bool"} and not isinstance(x, float) and not isinstance(y, float):
                self.fail(node, "use // for integers")
        return self.b.binary(op, x, y)

    def get_Compare(self, node):
        left, result = self.value(node.left), None
        for op, right_node in zip(node.ops, node.comparators):
            right = self.value(right_node)
            if isinstance(op, (ast.Is, ast.IsNot, ast.In, ast.NotIn)):
                one = {ast.Is: lambda: left is right, ast.IsNot: lambda: left is not right,
                       ast.In: lambda: left in right, ast.NotIn: lambda: left not in right}[type(op)]()  # fmt: skip
            elif not _is_runtime(left) and not _is_runtime(right):
                one = _PYTHON[_COMPARE[type(op)]](left, right)
            else:
                one = self.b.compare(_COMPARE[type(op)], left, right)
            if result is None:
                result = one
            elif _is_runtime(result) or _is_runtime(one):
                result = self.b.binary("and", result, one)
            else:
                result = result and one
            left = right
        return result

    def get_BoolOp(self, node):
        is_and = isinstance(node.op, ast.And)
        slot, done = None, None
        last = None
        for k, operand in enumerate(node.values):
            last = self.value(operand)
            if not _is_runtime(last):
                if bool(last) != is_and:
                    if slot is None:
                        return last
                    self.b.assign(slot, bool(last))
                    break
                continue
            last = self.b.convert(last, i1)
            if slot is None:
                slot, done = self.b.variable(i1), self.b.label("decided")
            self.b.assign(slot, last)
            if k < len(node.values) - 1:
                more = self.b.label("more")
                self.b.branch(last, more if is_and else done, done if is_and else more)
                self.b.place(more)
        if slot is None:
            return last
        self.b.jump(done)
        self.b.place(done)
        return self.b.value(slot)

    def get_IfExp(self, node):
        condition = self.value(node.test)
        if not _is_runtime(condition):
            return self.value(node.body if condition else node.orelse)
        return self.b.select(condition, self.value(node.body), self.value(node.orelse))

    def get_Subscript(self, node):
        base = self.value(node.value)
        if isinstance(node.slice, ast.Slice):
            parts = (node.slice.lower, node.slice.upper, node.slice.step)
            return base[slice(*(None if p is None else self.value(p) for p in parts))]
        index = self.value(node.slice)
        if not _is_runtime(base):
            return base[index]
        if base.type.lanes:
            return self.b.emit(
                base.type.element, f"extractelement {self.b.value(base)}, {self.b.convert(index, i64)}"
            )
        return self.b.load(self.b.offset(base, index))

    def get_JoinedStr(self, node):
        parts = [
            str(self.value(v.value)) if isinstance(v, ast.FormattedValue) else v.value for v in node.values
        ]
        return "".join(parts)

    def get_Call(self, node):
        callee = self.value(node.func)
        args = []
        for a in node.args:
            if isinstance(a, ast.Starred):
                args.extend(self.value(a.value))
            else:
                args.append(self.value(a))
        keywords = {k.arg: self.value(k.value) for k in node.keywords}
        if isinstance(callee, Native):
            return inline(self.b, callee, *args, **keywords)
        if isinstance(callee, Type):
            return self.b.convert(self.b.value(args[0], callee.element), callee)
        if isinstance(callee, Static):
            return callee.run(self.b, *args, **keywords)
        if callee in (unroll, range):
            return _Loop("unroll", tuple(args))
        if callee is min or callee is max:
            if any(_is_runtime(a) for a in args):
                return (minimum if callee is min else maximum).run(self.b, *args)
        if callee is abs and _is_runtime(args[0]):
            x = self.b.value(args[0])
            if x.type.kind == "float":
                return self.b.intrinsic("fabs", x)
            return self.b.select(self.b.compare("lt", x, 0), self.b.negate(x), x)
        if getattr(callee, "takes_builder", False):
            return callee(self.b, *args, **keywords)
        if any(_is_runtime(a) for a in args):
            self.fail(node, f"{callee!r} is not a kernel function")
        return callee(*args, **keywords)


def inline(b: Builder, kernel: Native, *args, **keywords):
    """Compile a call of `kernel` in place, or as a call."""
    if kernel.apart:
        return _call_apart(b, kernel, args)
    function = kernel.function
    names = function.__code__.co_varnames[: function.__code__.co_argcount]
    bound = dict(zip(names, args))
    if len(args) > len(names):
        raise TypeError(f"{kernel.__name__} takes {len(names)} arguments, got {len(args)}")
    bound.update(keywords)
    defaults = function.__defaults__ or ()
    for name, default in zip(names[len(names) - len(defaults) :], defaults):
        bound.setdefault(name, default)
    missing = [n for n in names if n not in bound]
    if missing:
        raise TypeError(f"{kernel.__name__} lacks {', '.join(missing)}")
    annotations = function.__annotations__
    local_names: dict = {k: v for k, v in bound.items() if not _is_runtime(v)}
    compiler = Compiler(b, kernel, local_names, top=False)
    for name in names:
        x = bound[name]
        t = annotations.get(name)
        if isinstance(t, str):
            t = eval(t, function.__globals__, {**compiler.cells, **local_names})
        if isinstance(t, Type) and not callable(getattr(x, "run", None)):
            x = b.convert(b.value(x, t.element), t)
        if _is_runtime(x):
            variable = b.variable(b.value(x).type)
            b.assign(variable, x)
            x = variable
        compiler.names[name] = x
    compiler.exit = b.label("return")
    outer = b.__dict__.get("_loops", [])
    b._loops = []
    compiler.body(kernel.tree.body)
    b._loops = outer
    if not compiler.terminated:
        b.jump(compiler.exit)
    b.place(compiler.exit)
    if compiler.result is None:
        return None
    is_tuple, slots = compiler.result
    found = tuple(b.value(s) if isinstance(s, Variable) else s for s in slots)
    return found if is_tuple else found[0]


def _call_apart(b: Builder, kernel: Native, args: tuple):
    """Compile a call of `kernel` as a call of a function that the module has once."""
    if kernel.__name__ not in b.module.names:
        define(b.module, kernel.__name__, kernel, export=False)
    function = kernel.function
    types = {
        n: eval(t, function.__globals__) if isinstance(t, str) else t
        for n, t in function.__annotations__.items()
    }
    names = function.__code__.co_varnames[: function.__code__.co_argcount]
    values = [b.convert(b.value(x, types[n].element), types[n]) for n, x in zip(names, args, strict=True)]
    return b.call(kernel.__name__, types.get("return") or void, *values)


def define(
    module: Module, name: str, kernel: Native, statics: dict | None = None, *, export: bool = True
) -> None:
    """Add `kernel` to the module as function `name`; `statics` gives its template arguments."""
    statics = dict(statics or {})
    function = kernel.function
    names = function.__code__.co_varnames[: function.__code__.co_argcount]
    annotations = function.__annotations__

    def evaluate(t):
        return eval(t, function.__globals__, statics) if isinstance(t, str) else t

    params = [(n, evaluate(annotations[n])) for n in names]
    result = evaluate(annotations.get("return", void)) or void
    module.names.add(name)
    b = Builder(module, name, params, result, export=export)
    arguments: dict = dict(statics)
    compiler = Compiler(b, kernel, arguments, top=True)
    for (n, t), p in zip(params, b.params):
        variable = b.variable(t)
        b.assign(variable, p)
        compiler.names[n] = variable
    compiler.body(kernel.tree.body)
    if compiler.terminated:
        b.place(b.label("end"))
    b.finish()


__all__ = [
    "KernelError", "Native", "Static", "address_of", "add_any", "apart", "atomic_add", "atomic_compare_swap", "atomic_load",
    "atomic_store", "atomic_swap", "bitcast", "call_c", "call_pointer", "ceil", "constant_array", "copy_bytes",
    "copysign", "define", "drain", "fabs", "fill_bytes", "floor", "fma", "global_array", "horizontal", "independent", "inline",
    "leading_zeros", "load", "local", "maximum", "minimum", "mul_any", "native", "pause", "popcount", "prefetch", "rint",
    "select", "shuffle", "splat", "sqrt", "static", "store", "stream", "symbol", "trailing_zeros", "trunc", "unroll",
]  # fmt: skip
_ = (f32, i32)
