"""What a compiled function's plans are: what was recorded, what was fused with what and why not, time and bytes."""

from __future__ import annotations

import functools
import html
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from ..backend.cpu import (
    fusion,
    fusion_products,
    fusion_reductions,
    jit,
    planning,
    pointwise,
    pointwise_tiled,
    recompute,
    runtime,
    schedule,
)
from ..backend.cpu.types import BY_CODE
from ..ir.expr import Expr
from ..tensor.plan import NAMES

__all__ = ["Explanation", "Kernel", "PlanReport", "log_plan", "with_lines"]

#: files whose lines are not the user's: the package, and functions that were generated
_OWN = (str(Path(__file__).resolve().parents[1]) + os.sep, "<operator", "<frozen", "<derivative")
#: the line of the user's program that an entry came from: (address of the entry before it, program) -> (file, line)
_lines: dict[tuple[int, int], tuple[str, int]] = {}


class Kernel(NamedTuple):
    """A node of a plan: one fused loop, or one operator's program.

    spaces: sizes of the loop, None for a program. nbytes: read and written at least. seconds: per run, where counted.
    why_not: for each earlier kernel whose result it reads, why the two are not one. lines: of the user's program.
    fused: what was fused with a product or a reduction, or that the kernel computes something again; "" for other kernels.
    """

    number: int
    operators: list[str]
    shape: tuple[int, ...] | None
    steps: int
    nbytes: int
    seconds: float | None
    inputs: list[int]
    why_not: dict[int, str]
    lines: list[str]
    text: str
    fused: str = ""

    @property
    def title(self) -> str:
        """The operators, in order."""
        return " · ".join(self.operators)


class PlanReport(NamedTuple):
    """One plan: everything between the beginning of a call (or a value looked at) and the next such place."""

    name: str
    runs: int
    entries: int
    dead: list[str]
    kernels: list[Kernel]
    arena_bytes: int
    kept_bytes: int
    made_bytes: int
    seconds: float
    compiled: int
    cause: str


class Explanation:
    """What `explain()` of a compiled function gives; prints as text, in notebooks as HTML.

    Times are counted from the first `explain()` on: call the function some more and explain again, or use `measure`.

    >>> import flambeau as torch
    >>> f = torch.compile(lambda x: (x * 2 + 1).tanh())
    >>> _ = f(torch.ones(4))
    >>> plan = f.explain().plans[0]
    >>> plan.entries, [kernel.title for kernel in plan.kernels]
    (3, ['mul · add · tanh'])
    """

    def __init__(self, function: Any, source: bool = False):
        self._function, self.source = function, source
        self.name = getattr(function, "__qualname__", None) or repr(function)
        times = function.__dict__.setdefault("_times", {})
        self.plans: list[PlanReport] = []
        #: how much has run once so far, without a plan
        self.unplanned = 0
        for label, root in (("", function._root), ("backward ", getattr(function, "_backward", None))):
            known: list = []
            self.unplanned += len(root.once) if root is not None else 0
            for attached in list(root.plans) if root is not None else ():
                known.append((attached, attached.trace))
                self.plans.append(_report(known, times, source, label))

    def measure(self, call: Callable[[], Any], calls: int = 20) -> Explanation:
        """`call()` several times, and what was counted meanwhile: ``f.explain().measure(lambda: f(x))``."""
        for _ in range(calls):
            call()
        return Explanation(self._function, self.source)

    def lines(self, call: Callable[[], Any]) -> Explanation:
        """`call()` once while the lines are noted that operators come from (slow), and the explanation with them."""
        with_lines(call)()
        return Explanation(self._function, self.source)

    def __str__(self) -> str:
        once = f"; {self.unplanned} recordings ran once, without a plan" if self.unplanned else ""
        if not self.plans:
            return f"{self.name}: no plan yet{once or '; call the function first'}"
        total = sum(p.seconds for p in self.plans)
        head = f"{self.name}: {len(self.plans)} plan{'s' * (len(self.plans) > 1)}, made in {1e3 * total:.1f} ms{once}"
        return "\n\n".join([head, *(_text(p, self.source) for p in self.plans)])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        from .picture import page

        return page(self)

    def save(self, path: str | os.PathLike) -> None:
        """Write a page (.html), the picture of the plans (.svg) or the text (.txt).

        Raises: ValueError for another ending.
        """
        from .picture import page, picture

        ending = Path(path).suffix.lower()
        if ending == ".svg":
            found = picture(self.plans)
        elif ending in (".html", ".htm"):
            found = f"<!doctype html>\n<meta charset='utf-8'>\n<title>{html.escape(self.name)}</title>\n{page(self)}"
        elif ending == ".txt":
            found = str(self) + "\n"
        else:
            raise ValueError(f"save writes .html, .svg or .txt, not {ending or 'a name without an ending'!r}")
        Path(path).write_text(found, encoding="utf-8")


# -- reading a plan ------------------------------------------------------------------------------------------


def name_of(entry: Any) -> str:
    """The operator of an entry."""
    return NAMES.get(id(runtime.programs[entry.program][0])) or "internal program"


def _line_of(entry: Any) -> str | None:
    found = _lines.get((entry.above, id(runtime.programs[entry.program][0])))
    return f"{os.path.basename(found[0])}:{found[1]}" if found else None


def _members(node: Any) -> list:
    return node.members


def _report(known: list, times: dict, source: bool, label: str = "") -> PlanReport:
    """The report of the last of some plans, which are given with their traces."""
    attached, trace = known[-1]
    plan = planning.make_plan(trace)
    seconds = _seconds(attached, times)
    sizes = planning.slot_sizes(trace) | plan.again
    run = {e.above for node in plan.nodes for e in _members(node)}  # each entry has another one above it
    every = planning.stored_slots(trace, plan.nodes)
    makers: dict[int, int] = {}
    kernels: list[Kernel] = []
    for number, node in enumerate(plan.nodes):
        steps = [k for k, n in enumerate(plan.node_of_step) if n == number]
        inputs = sorted({makers[s] for s in node.slots_read if s in makers} - {number})
        loop = isinstance(node, fusion.Loop)
        stored = every[number]
        lines = [line for e in _members(node) if (line := _line_of(e))]
        kernels.append(
            Kernel(
                number, [name_of(e) for e in _members(node)], node.shape if loop else None, len(steps),
                _bytes(node, stored, sizes),
                sum(seconds[k] for k in steps) if seconds else None, inputs,
                {k: why_not(plan.nodes, k, number, trace) for k in inputs}, list(dict.fromkeys(lines)),
                _source(node, stored, [plan.steps[k][0] for k in steps]) if source else "", fused_with(node),
            )
        )  # fmt: skip
        for slot in node.slots_written:
            makers[slot] = number
    return PlanReport(
        f"{label}{len(known) - 1}", attached.runs, len(trace.entries), [name_of(e) for e in trace.entries if e.above not in run], kernels,
        plan.arena_bytes, sum(plan.kept_sizes), sum(planning.slot_sizes(trace).values()), attached.seconds, attached.compiled, cause(known),
    )  # fmt: skip


def fused_with(node: Any) -> str:
    """What is fused in a node that is more than a loop or one operator, and what is run a second time."""
    if isinstance(node, recompute.AGAIN):
        return "computed again just before it is read, so that its memory was free meanwhile"
    if isinstance(node, fusion_reductions.Reduced):
        made = " · ".join(name_of(e) for e in node.loop.members)
        return f"{made} over {list(node.loop.shape)} makes what {name_of(node.entry)} takes, a thousand elements at a time"
    if not isinstance(node, fusion_products.Products):
        return ""
    parts = []
    for step, loop in node.loops.items():
        space = [n for n in fusion_products.space_of(node.entry.known[step]) if n != 1]
        parts.append(f"epilogue {space}: " + " · ".join(name_of(e) for e in loop.members))
    return f"{name_of(node.entry)} with " + ", ".join(parts)


def _seconds(attached: Any, times: dict) -> list[float] | None:
    """Seconds of each step per run since they are counted; starts to count where that was not so."""
    key = runtime.address(attached.words)
    if key not in times:
        times[key] = (attached.count_time(), attached.runs)
        return None
    memory, first = times[key]
    count = attached.runs - first
    if not count:
        return None
    import ctypes

    return [x / count / 1e9 for x in (ctypes.c_int64 * attached.steps).from_address(runtime.address(memory))]


def _bytes(node: Any, stored: set[int], sizes: dict[int, int]) -> int:
    """What a node reads and writes at least."""
    if isinstance(node, fusion.Loop):
        return _loop_bytes(node, stored)
    loops = list(node.loops.values()) if isinstance(node, fusion_products.Products) else []
    loops += [node.loop] if isinstance(node, fusion_reductions.Reduced) else []
    made = {s for loop in loops for s in loop.slots_written}
    own = set(planning.slots_read(node.entry)) - (made if len(node.members) > 1 else set())
    total = sum(sizes.get(s, 0) for s in stored & set(node.entry.outputs) | own)
    return total + sum(_loop_bytes(loop, stored, set(node.entry.outputs)) for loop in loops)


def _loop_bytes(loop: Any, stored: set[int], apart: set[int] = frozenset()) -> int:
    total = 0
    for a in (*loop.reads, *(w for w in loop.writes if w.slot in stored)):
        if a.slot in apart:
            continue
        count = 1
        for n, step in zip(loop.shape, a.strides):
            count *= n if step else 1
        total += count * BY_CODE[a.code].bytes
    return total


def cause(known: list) -> str:
    """Why the last of some plans was made: its first difference from the most similar one that begins at the same place.

    known: (attached plan, its trace)
    """
    own = known[-1][1]
    start = own.entries[0].above
    before = [trace for _, trace in known[:-1] if trace.entries[0].above == start]
    if not before:
        after = [k for k, (one, _) in enumerate(known[:-1]) if one.following.address == start]
        first = "first call" if len(known) == 1 else "goes on after what ran without a plan"
        return f"goes on after plan {after[0]}" if after else first
    most, other = -1, before[0]
    for trace in before:
        same = 0
        for a, b in zip(own.entries, trace.entries):
            if (a.program, a.inputs) != (b.program, b.inputs):
                break
            same += 1
        if same >= most:
            most, other = same, trace
    if most < len(own.entries) and most < len(other.entries):
        return f"entry {most} is {_entry(own.entries[most])}, which was {_entry(other.entries[most])}"
    if len(own.entries) != len(other.entries):
        return f"{len(own.entries)} entries, where there were {len(other.entries)} that begin alike"
    kept, then = set(own.kept), set(other.kept)
    more = [_maker(own, s) for s in sorted(kept - then)]
    fewer = [_maker(own, s) for s in sorted(then - kept)]
    parts = [f"{', '.join(more)} is still in use"] if more else []
    parts += [f"{', '.join(fewer)} is no longer in use"] if fewer else []
    return "the same entries, but " + " and ".join(parts or ["other memory is shared"])


def _maker(trace: Any, slot: int) -> str:
    found = next((k for k, e in enumerate(trace.entries) if slot in e.outputs), None)
    return (
        "memory from before"
        if found is None
        else f"the result of entry {found} ({name_of(trace.entries[found])})"
    )


def _entry(entry: Any) -> str:
    known = next((k for k in entry.known if isinstance(k, schedule.Loop)), None)
    size = (
        f" over {list(known.shape)}"
        if known
        else f" giving {', '.join(map(_size, entry.sizes))}" * bool(entry.sizes)
    )
    line = _line_of(entry)
    return name_of(entry) + size + (f" at {line}" if line else "")


# -- why two kernels are not one -----------------------------------------------------------------------------


def why_not(nodes: list, first: int, second: int, trace: Any) -> str:
    """Why a kernel is not one with an earlier one whose result it reads."""
    a, b = nodes[first], nodes[second]
    if isinstance(b, recompute.AGAIN):
        return "it is computed again, instead of being kept from there on"
    for node in (a, b):
        if isinstance(node, fusion.Program) and set(planning.slots_read(node.entry)) & trace.foreign:
            return _why_no_loop(node.entry, trace)
    reason = fusion_products.why_not(nodes, first, second)
    if reason is not None:
        return f"{name_of(a.entry)}: {reason}"
    reason = fusion_reductions.why_not(nodes, first, second)
    if reason is not None:
        return f"{name_of(b.entry)}: {reason}"
    for node in (a, b):
        if not isinstance(node, fusion.Loop):
            return _why_no_loop(node.entry, trace)
    if fusion.size_of(a.shape) != fusion.size_of(b.shape):
        return f"different index spaces: {list(a.shape)} and {list(b.shape)}"
    if a.cost + b.cost > fusion.MOST_COST:
        return f"too much arithmetic for the registers: {a.cost} + {b.cost} operations, at most {fusion.MOST_COST}"
    if fusion.join(a, b) is None:
        return _why_no_join(a, b)
    between = [x for x in nodes[first + 1 : second] if fusion.depends(x, a) and fusion.depends(b, x)]
    if between:
        return f"{name_of(_members(between[0])[0])} must run between them"
    return f"more than {fusion.REACH} loops apart, or joined with others first"


def _why_no_loop(entry: Any, trace: Any) -> str:
    name = name_of(entry)
    touched = set(planning.slots_read(entry))
    if touched & trace.foreign:
        return f"{name} uses memory that others can reach (a numpy array, another library)"
    if entry.refuses:
        return f"{name} may refuse its input"
    if not entry.steps:
        return f"{name} only makes memory"
    if len(entry.steps) != 1:
        return f"{name} is not a pointwise loop"
    known = entry.known[0] if entry.known else None
    if not isinstance(known, schedule.Loop) or entry.scratch:
        return f"{name} is not a pointwise loop"
    if any(o[0] in ("c64", "c128") for o in known.operands):
        return f"{name} is complex"
    if any(isinstance(i, list) for i in entry.inputs):
        return f"{name} takes a list of tensors"
    return f"{name} reads and writes overlapping memory"


def _why_no_join(a: Any, b: Any) -> str:
    moved = fusion.in_shape(a, b.shape)
    if moved is None and fusion.in_shape(b, a.shape) is None:
        return f"no common index space of {list(a.shape)} and {list(b.shape)} for their strides"
    first, second = (moved, b) if moved is not None else (a, fusion.in_shape(b, a.shape))
    written = first.slots_written | second.slots_written
    seen: dict[int, Any] = {}
    for one in (*first.reads, *first.writes, *second.reads, *second.writes):
        if one.slot in written and seen.setdefault(one.slot, one) != one:
            return "an element is read at another place than where it is written"
    if not (set(first.writes) & set(second.reads) or set(first.reads) & set(second.reads)):
        return "they share no element"
    return f"more than {fusion.MOST_OPERANDS} arrays in one loop"


# -- source --------------------------------------------------------------------------------------------------


def _source(node: Any, stored: set[int], addresses: list[int]) -> str:
    """Expressions and LLVM text of a fused loop; the names of the kernels of a program."""
    if not isinstance(node, fusion.Loop):
        known = {jit.word(address): key for key, address in schedule._compiled.items()}
        names = [
            getattr(known[a][0], "__name__", repr(known[a][0])) if a in known else "pointwise"
            for a in addresses
        ]
        return "\n".join([*_fused_source(node, stored), "kernels: " + (", ".join(names) or "none")])
    if len(node.members) == 1 and node.slots_written <= stored:
        function = node.members[0].known[0].function
        head = []
    else:
        function, outputs, inputs, _ = fusion.function_of(node, stored)
        head = _operand_lines(outputs, inputs)
    parts = ["\n".join(head + expressions(function))]
    keys = {jit.word(address): key for key, address in pointwise._kernels.items()}
    for address in addresses:
        key = keys.get(address)
        if key is not None and key[0] == "tiled":
            parts.append(pointwise_tiled.write(function, *key[2:]))
        elif key is not None:
            parts.append(pointwise.write(function, *key[1:]))
    return "\n\n".join(parts)


def _fused_source(node: Any, stored: set[int]) -> list[str]:
    """The expressions of the loops that are fused with an operator."""
    found: list[str] = []
    if isinstance(node, fusion_products.Products):
        for step, loop in node.loops.items():
            first = fusion_products.result_of(node.entry, step)
            function, outputs, inputs, _ = fusion.function_of(loop, stored, first)
            found += _operand_lines(outputs, inputs[1:], 1) + ["; in0: the product"] + expressions(function)
    elif isinstance(node, fusion_reductions.Reduced):
        element = fusion_reductions.input_of(node.entry)
        function, outputs, inputs, _ = fusion.function_of(node.loop, stored | {element.slot})
        found += _operand_lines(outputs, inputs) + expressions(function)
    return found


def _operand_lines(outputs: list, inputs: list, first: int = 0) -> list[str]:
    lines = [f"; out{k}: slot {a.slot} {a.code} strides {list(a.strides)}" for k, a in enumerate(outputs)]
    return lines + [
        f"; in{k}: slot {a.slot} {a.code} strides {list(a.strides)}" for k, a in enumerate(inputs, first)
    ]


def expressions(function: Any) -> list[str]:
    """A scalar function as one line per operation."""
    names: dict[int, str] = {}
    found: list[str] = []
    for k, root in enumerate(function.outputs):
        stack = [root]
        while stack:
            e = stack[-1]
            waiting = [a for a in e.args if isinstance(a, Expr) and id(a) not in names]
            if id(e) in names or waiting:
                stack.pop() if id(e) in names else stack.extend(waiting)
                continue
            if e.op in ("input", "scalar"):
                names[id(e)] = f"{'in' if e.op == 'input' else 'number'}{e.args[0]}"
            elif e.op == "constant":
                names[id(e)] = repr(e.args[0])
            else:
                names[id(e)] = f"t{len(found)}"
                args = ", ".join(names[id(a)] if isinstance(a, Expr) else repr(a) for a in e.args)
                found.append(f"t{len(found)}: {e.type} = {e.op}({args})")
            stack.pop()
        found.append(f"out{k} = {names[id(root)]}")
    return found


# -- text ----------------------------------------------------------------------------------------------------


def _size(nbytes: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if nbytes < 1024:
            return f"{nbytes:.0f} {unit}" if unit == "B" else f"{nbytes:.1f} {unit}"
        nbytes /= 1024
    return f"{nbytes:.1f} GiB"


def _time(seconds: float) -> str:
    return f"{1e6 * seconds:.1f} us" if seconds < 1e-3 else f"{1e3 * seconds:.2f} ms"


def kernel_line(kernel: Kernel) -> str:
    """Sizes, bytes and time of a kernel."""
    parts = [
        f"loop {list(kernel.shape)}" if kernel.shape is not None else f"{kernel.steps} steps",
        _size(kernel.nbytes),
    ]
    if kernel.seconds is not None:
        parts.append(_time(kernel.seconds))
        if kernel.seconds > 0:
            parts.append(f"{kernel.nbytes / kernel.seconds / 1e9:.1f} GB/s")
    return ", ".join(parts)


def _text(plan: PlanReport, source: bool) -> str:
    timed = [k.seconds for k in plan.kernels if k.seconds is not None]
    lines = [
        f"plan {plan.name}: run {plan.runs} times; {plan.cause}",
        f"  {plan.entries} entries -> {len(plan.kernels)} kernels"
        + (f", {_time(sum(timed))} a run" if timed else ""),
        f"  memory: arena {_size(plan.arena_bytes)}, results {_size(plan.kept_bytes)} (one by one: {_size(plan.made_bytes)} in all)",
        f"  made in {1e3 * plan.seconds:.1f} ms, {plan.compiled} kernels compiled",
    ]
    if plan.dead:
        lines.append(f"  not run (nobody needs them, or they are there already): {', '.join(plan.dead)}")
    for kernel in plan.kernels:
        lines.append(f"  [{kernel.number}] {kernel.title}")
        about = f"      {kernel_line(kernel)}"
        if kernel.inputs:
            about += "; reads " + " ".join(f"[{k}]" for k in kernel.inputs)
        lines.append(about + (f"; {', '.join(kernel.lines)}" if kernel.lines else ""))
        if kernel.fused:
            lines.append(f"      {kernel.fused}")
        for reason in dict.fromkeys(kernel.why_not.values()):
            which = " ".join(f"[{k}]" for k, why in kernel.why_not.items() if why == reason)
            lines.append(f"      not fused with {which}: {reason}")
        if source:
            lines += ["        " + part for part in kernel.text.splitlines()]
    return "\n".join(lines)


# -- the log and the lines of the program --------------------------------------------------------------------


def log_plan(attached: Any, known: list) -> None:
    """Print a plan to the standard error stream; called when one is made under ``FLAMBEAU_LOG=compile``."""
    report = _report([(one, one.trace) for one in (*known, attached)], {}, False)
    print("[compile] " + _text(report, False).replace("\n", "\n[compile] "), file=sys.stderr)


def with_lines(function: Callable) -> Callable:
    """The function, with the user's line noted for each operator that is recorded while it runs."""

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        before = sys.getprofile()
        sys.setprofile(_note)
        try:
            return function(*args, **kwargs)
        finally:
            sys.setprofile(before)

    return run


def _note(frame: Any, event: str, called: Any) -> None:
    if event == "c_call" and getattr(called, "__name__", "") == "program" and runtime.recorder[0]:
        while frame is not None and (frame.f_code.co_filename.startswith(_OWN)):
            frame = frame.f_back
        if frame is not None:
            _lines[runtime.recorder[2], id(called)] = (frame.f_code.co_filename, frame.f_lineno)
