"""Builds the program of one operator call: which kernels run, on which buffers, in which order.

A schedule is a function ``name(call)`` in a module of this package; an operator names it as ``algorithm = "module.name"``.
Buffers are named by frame words: `call.out(k)`, `call.input(k)`, `call.scalar(k)`, `call.scratch(nbytes)`.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import NamedTuple

from ...base.layout import Layout, contiguous_strides
from ...ir.expr import Expr, Pair, convert, leaf
from . import jit, pointwise, runtime
from .builder import Module
from .emit import ScalarFunction, nodes_of
from .kernels_runtime import FIRST
from .native import Native, define
from .types import BY_CODE, Type

_compiled: dict[tuple, int] = {}

#: type in which an element is computed, by type code
COMPUTE = {"f16": "f32", "bf16": "f32", "c64": "f32", "c128": "f64"}


def compute_code(code: str) -> str:
    return COMPUTE.get(code, code)


def native_address(kernel: Native, statics: dict | None = None, level: int = 3) -> int:
    """Address of a compiled kernel-language function with these template arguments."""
    statics = statics or {}
    key = (kernel, tuple(sorted((k, _static_key(v)) for k, v in statics.items())))
    found = _compiled.get(key)
    if found is None:

        def text() -> str:
            module = Module()
            define(module, "kernel", kernel, statics)
            return module.text()

        name = f"native {kernel.fingerprint()} {key[1]!r}"
        found = _compiled[key] = jit.later(name, text, ["kernel"], level)[0]
    return found


def _static_key(value) -> str:
    if isinstance(value, ScalarFunction):
        return value.fingerprint()
    if isinstance(value, Native):
        return value.fingerprint()
    if isinstance(value, Type):
        return value.name
    return repr(value)


class Loop(NamedTuple):
    """A pointwise step: a scalar function over strided operands, which are (type code, strides, frame word)."""

    function: ScalarFunction
    shape: tuple[int, ...]
    operands: tuple[tuple[str, Sequence[int], int], ...]
    outputs: int
    scalars: tuple[tuple[str, int], ...]
    cost: int
    refuses: bool


class Passes(NamedTuple):
    """A step that makes outputs of inputs row by row, as fast as so many passes over them, and does nothing besides."""

    count: int


#: integers that are looked at while a call is recorded; for more, what was recorded runs first
MOST_AHEAD = 1 << 16


class Call:
    """One operator call on the CPU: layouts of inputs and outputs, plain arguments, and the program being built.

    inputs: a Layout, a tuple of Layouts (a list of tensors), or None (an absent optional tensor) per tensor argument.
    """

    def __init__(
        self,
        inputs: Sequence,
        outputs: Sequence[Layout],
        values: dict | None = None,
        scalars: Sequence[str] = (),
    ):
        self.inputs, self.outputs, self.values = list(inputs), list(outputs), values or {}
        self.steps: list[tuple] = []
        #: what a compiler may know of steps, by their number
        self.known: dict[int, object] = {}
        self.scratches: list[int] = []
        #: inputs that are there, in program order; the others take no frame word
        self.present = [k for k, i in enumerate(self.inputs) if i is not None]
        self.scalar_codes = list(scalars)
        self.written = 0
        #: whether a kernel may refuse its input: True, or a function that words the refusal
        self.refuses = False
        #: what `look_ahead` was told; () where that is not all that a kernel may refuse
        self.ahead: tuple | None = None

    # -- frame words --
    def out(self, k: int = 0) -> int:
        return FIRST + k

    def input(self, k: int = 0) -> int:
        return FIRST + len(self.outputs) + self.present.index(k)

    def scalar(self, k: int = 0) -> int:
        words = sum(2 if c in ("c64", "c128") else 1 for c in self.scalar_codes[:k])
        return FIRST + len(self.outputs) + len(self.present) + words

    def scratch(self, nbytes: int) -> int:
        """A buffer of so many bytes that lives during the call."""
        self.scratches.append(max(64, nbytes))
        return self.scalar(len(self.scalar_codes)) + len(self.scratches) - 1

    def mark_written(self, k: int) -> None:
        """Input k is written in place: its version is bumped after the call."""
        self.written |= 1 << self.present.index(k)

    # -- steps --
    def look_ahead(
        self, word: int, code: str, count: int, low: int, high: int, passing: int | None = None
    ) -> None:
        """Say that a kernel refuses only values of an input: `count` integers outside [low, high), but for `passing`.

        A recording looks at them when the call is noted, where they are there, and need not run because of the call.
        """
        k = word - FIRST - len(self.outputs)
        plain = 0 <= k < len(self.present) and not any(isinstance(one, tuple) for one in self.inputs)
        fits = code in ("i64", "i32") and 0 < count <= MOST_AHEAD
        again = self.ahead is not None
        passing = low if passing is None else passing
        self.ahead = (
            (2 * k, item_bytes(code), count, low, high, passing) if plain and fits and not again else ()
        )

    def step(self, address: int, parameters, n: int, chunk: int) -> None:
        self.steps.append((address, parameters, n, chunk))

    def native(
        self, kernel: Native, statics: dict, parameters: Sequence[int], n: int, chunk: int, level: int = 3
    ) -> None:
        """Run a kernel ``(frame, params, begin, end)`` over [0, n) in chunks; parameters are int64 or float words.

        level: how much LLVM optimises; 1 will do for what is written in vectors, and compiles much faster.
        """
        self.step(native_address(kernel, statics, level), list(parameters), n, max(1, chunk))

    def pointwise(
        self, outputs: Sequence, inputs: Sequence, rule, shape, scalars: Sequence[tuple[str, int]] = ()
    ) -> None:
        """One pointwise loop. outputs and inputs: (type code, strides, frame word); rule(*leaves) gives the values."""
        if 0 in shape:
            return
        leaves = input_leaves([i[0] for i in inputs])
        numbers = scalar_leaves([s[0] for s in scalars])
        found = rule(*leaves, *numbers)
        function = ScalarFunction(
            flatten(found if isinstance(found, (tuple, list)) else [found], [o[0] for o in outputs])
        )
        cost, refuses = cost_of(function)
        self.refuses = self.refuses or refuses
        self.known[len(self.steps)] = Loop(
            function, tuple(shape), (*outputs, *inputs), len(outputs), tuple(scalars), cost, refuses
        )
        self.steps.append(
            pointwise.step(function, shape, [*outputs, *inputs], len(outputs), scalars, cost=cost)
        )

    def contiguous(self, k: int, code: str | None = None) -> int:
        """Frame word of input k as a contiguous buffer (of another type when `code` says so), copied if it must be."""
        layout = self.inputs[k]
        if layout.contiguous and code in (None, layout.dtype.code):
            return self.input(k)
        return self.copy_in(
            self.input(k), layout.shape, layout.strides, layout.dtype.code, code or layout.dtype.code
        )

    def copy_in(self, word: int, shape, strides, code: str, to: str) -> int:
        """Frame word of a contiguous scratch copy of a strided buffer, converted to type `to`."""
        size = 1
        for n in shape:
            size *= n
        place = self.scratch(size * item_bytes(to))
        self.pointwise([(to, contiguous_strides(shape), place)], [(code, strides, word)], lambda x: x, shape)
        return place

    def finish(self):
        """The program as a built-in function."""
        work = sum(n for _, _, n, _ in self.steps)
        sizes = [o.nbytes for o in self.outputs]
        kinds = [1 if isinstance(self.inputs[k], tuple) else 0 for k in self.present]
        words = []
        for code in self.scalar_codes:
            words += [0, 0] if code in ("c64", "c128") else [0 if compute_code(code) in ("f32", "f64") else 1]
        if any(isinstance(one, Loop) and one.refuses for one in self.known.values()):
            self.ahead = ()
        return runtime.program(
            sizes, kinds, self.steps, scratch=self.scratches, scalars=words, written=self.written,
            refuses=self.refuses, ahead=self.ahead, known=[self.known.get(k) for k in range(len(self.steps))],
            release_gil=work > 20000 or any(s > 1 << 16 for s in sizes) or any(n > c for _, _, n, c in self.steps),
        )  # fmt: skip


class SubCall:
    """Some inputs and outputs of a call as a call of their own, for a schedule that is a part of another one."""

    def __init__(self, call: Call, inputs: Sequence[int], outputs: Sequence[int], **more):
        self.whole, self.taken, self.given = call, inputs, outputs
        self.inputs = [call.inputs[k] for k in inputs]
        self.outputs = [call.outputs[k] for k in outputs]
        self.scalar_codes: list[str] = []
        self.values: dict = {}
        self.__dict__.update(more)

    def input(self, k: int = 0) -> int:
        return self.whole.input(self.taken[k])

    def out(self, k: int = 0) -> int:
        return self.whole.out(self.given[k])

    def __getattr__(self, name: str):
        return getattr(self.whole, name)


def item_bytes(code: str) -> int:
    return {"c64": 8, "c128": 16}.get(code) or BY_CODE[code].bytes


def input_leaves(codes: Sequence[str], kind: str = "input") -> list:
    """Expression leaves of operands of these types: an Expr, or a Pair of them for complex."""
    leaves, at = [], 0
    for code in codes:
        if code in ("c64", "c128"):
            t = compute_code(code)
            leaves.append(Pair(leaf(kind, at, t), leaf(kind, at + 1, t)))
            at += 2
        else:
            leaves.append(leaf(kind, at, compute_code(code)))
            at += 1
    return leaves


def scalar_leaves(codes: Sequence[str]) -> list:
    return input_leaves(codes, "scalar")


def flatten(values: Sequence, codes: Sequence[str]) -> list[Expr]:
    """Real expressions in the types in which outputs of these codes are stored."""
    flat: list[Expr] = []
    for value, code in zip(values, codes, strict=True):
        t = compute_code(code)
        if code in ("c64", "c128"):
            pair = value if isinstance(value, Pair) else Pair(convert(value, t), convert(0.0, t))
            flat += [convert(pair.re, t), convert(pair.im, t)]
        elif code == "b1" and isinstance(value, Pair):
            flat.append((value.re != 0) | (value.im != 0))
        else:
            flat.append(convert(value.re if isinstance(value, Pair) else value, t))
    return flat


def cost_of(function: ScalarFunction) -> tuple[int, bool]:
    """Rough number of operations an element, and whether the function can refuse one."""
    found = function.facts.get("cost")
    if found is None:
        cost, refuses = 0, False
        for e in nodes_of(function.outputs):
            cost += 20 if e.op in _HEAVY else 1
            refuses = refuses or e.op == "refuse"
        found = function.facts["cost"] = cost, refuses
    return found


_HEAVY = {
    "exp", "log", "sin", "cos", "tan", "tanh", "erf", "normal_cdf", "gelu_slope", "pow", "lgamma", "atan2", "log1p", "expm1",
    "sqrt", "div", "mod",
}  # fmt: skip


def algorithm(name: str):
    """The schedule function "module.function" of this package."""
    module, _, function = name.rpartition(".")
    return getattr(import_module(f"{__package__}.{module}"), function)
