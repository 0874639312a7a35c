"""The schedule of reductions: which dimensions are reduced as rows or columns, in which pieces.

Pieces depend on the sizes only, never on the number of threads.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import NamedTuple

from ...base.layout import Layout, contiguous_strides
from ...base.rules import argument_names, call_rule
from ...ir.expr import Expr, Pair, convert, leaf
from . import jit
from .emit import ScalarFunction
from .reduce_kernels import PART_TYPES, Before, Template, columns, final, rows, short_rows
from .schedule import compute_code, cost_of, flatten, input_leaves, native_address, scalar_leaves
from .types import BY_CODE

PIECE = 8192  # elements of a row that one partial state covers: about 100 additions a lane
SHORT = 1024  # the same where pieces jump through memory
WIDTH = 1024  # columns of a block: its states stay in the first-level cache
LIGHT = 8  # operations an element up to which a reduction waits for memory
NARROW = 48  # fewer columns than this are widened: several rows side by side
ROWS = 32768  # elements of a block of columns that one partial state covers
CHUNK = 131072  # elements that one thread takes at a time
ROOM = 1024  # elements that a loop before a reduction makes at a time
SHORTEST = 48  # elements of a row from which making them row by row pays


@dataclass(slots=True)
class Dim:
    """A dimension, or several merged into one: size, stride in the input, and stride in the output or in
    positions.
    """

    size: int
    stride: int
    other: int
    more: tuple[int, ...] = ()  # strides of the operands of a loop that makes the input


class Unsuitable(Exception):
    """A loop whose operands cannot be walked as the reduction walks its input."""


def merged(dims: list[Dim]) -> list[Dim]:
    """Outermost stride first, neighbours joined where one loop can walk both."""
    found: list[Dim] = []
    for d in sorted((d for d in dims if d.size != 1), key=lambda d: -abs(d.stride)):
        if found and found[-1].stride == d.stride * d.size and found[-1].other == d.other * d.size:
            if found[-1].more != tuple(s * d.size for s in d.more):
                raise Unsuitable
            found[-1] = Dim(found[-1].size * d.size, d.stride, d.other, d.more)
        else:
            found.append(d)
    return found


def table(dims: list[Dim]) -> list[int]:
    """Geometry words of dimensions, from the innermost."""
    return [word for d in reversed(dims) for word in (d.size, d.stride, d.other, *d.more)]


class Meaning:
    """The rules of a reduction on expressions: scalar functions over one element, two states, and a state."""

    def __init__(self, call):
        rules, values = call.rules, call.values
        where = call.inputs[0]
        code, computed = where.dtype.code, compute_code(call.compute.code)
        numbers = dict(zip(call.scalar_names, scalar_leaves(call.scalar_codes)))
        self.given = {**values, **{n: _computed(x, call.compute) for n, x in numbers.items()}}
        (x,) = input_leaves([code])
        self.parts = 2 if code in PART_TYPES else 1
        self.given["input"] = _computed(x, call.compute)
        self.given["index"] = leaf("input", self.parts, "i64")
        rule = getattr(rules, "map", None)
        state = call_rule(rule, self.given) if rule else self.given["input"]
        if isinstance(state, tuple):  # a plain number in it is a constant of the type computed in
            state = tuple(s if isinstance(s, (Expr, Pair)) else convert(s, computed) for s in state)
        self.shape = (
            [isinstance(s, Pair) for s in state] if isinstance(state, tuple) else isinstance(state, Pair)
        )
        flat = _flat(state)
        self.codes = [e.type for e in flat]
        self.map = ScalarFunction(flat)
        self.indexed = _names_input(flat, self.parts)
        a, b = self._state(0), self._state(len(flat))
        self.combine = ScalarFunction(
            [convert(e, c) for e, c in zip(_flat(rules.combine(a, b)), self.codes, strict=True)]
        )
        self.finish = self._finish(rules, a, [o.dtype.code for o in call.outputs])
        identity = rules.identity
        self.identity = self._identity(
            call_rule(identity, {**values, "code": computed}) if callable(identity) else identity
        )

    def _state(self, first: int):
        """A state of the right structure on leaves from `first` on."""
        leaves = iter([leaf("input", first + k, c) for k, c in enumerate(self.codes)])

        def one(pair: bool):
            return Pair(next(leaves), next(leaves)) if pair else next(leaves)

        return tuple(one(p) for p in self.shape) if isinstance(self.shape, list) else one(self.shape)

    def _finish(self, rules, state, codes) -> ScalarFunction:
        rule = getattr(rules, "finish", None)
        if rule is not None:
            count = leaf("input", len(self.codes), "i64")
            names = rule.__code__.co_varnames[2 : rule.__code__.co_argcount]
            state = rule(state, count, *[self.given[n] for n in names])
        return ScalarFunction(flatten(state if isinstance(state, tuple) else [state], codes))

    def _identity(self, identity) -> tuple:
        given = identity if isinstance(identity, tuple) else (identity,)
        shape = self.shape if isinstance(self.shape, list) else [self.shape]
        return tuple(
            word for x, pair in zip(given, shape, strict=True) for word in ((x, 0) if pair else (x,))
        )


_meanings: dict[tuple, Meaning] = {}


def meaning_of(call) -> Meaning:
    """The Meaning of a call, kept for other shapes: it depends on types and on the arguments that the rules name."""
    rules = call.rules
    found = [getattr(rules, n, None) for n in ("map", "finish", "identity")]
    names = sorted({n for rule in found if callable(rule) for n in argument_names(rule)} & call.values.keys())
    types = (call.inputs[0].dtype.code, call.compute.code, *(o.dtype.code for o in call.outputs))
    static = [(n, call.values[n]) for n in names if not isinstance(call.values[n], Layout)]
    key = (rules, types, tuple(call.scalar_codes), tuple(static))
    made = _meanings.get(key)
    if made is None:
        made = _meanings[key] = Meaning(call)
    return made


def _computed(x, computed):
    code = compute_code(computed.code)
    if computed.kind == 3:
        return (
            Pair(convert(x.re, code), convert(x.im, code))
            if isinstance(x, Pair)
            else Pair(convert(x, code), convert(0.0, code))
        )
    if isinstance(x, Pair) and code == "b1":
        return (x.re != 0) | (x.im != 0)
    return convert(x.re if isinstance(x, Pair) else x, code)


def _flat(state) -> list[Expr]:
    found: list[Expr] = []
    for s in state if isinstance(state, tuple) else (state,):
        found += [s.re, s.im] if isinstance(s, Pair) else [s]
    return found


def _names_input(roots: list[Expr], number: int) -> bool:
    """Whether any expression reads input `number`."""
    seen: set[int] = set()
    stack = list(roots)
    while stack:
        e = stack.pop()
        if not isinstance(e, Expr) or id(e) in seen:
            continue
        seen.add(id(e))
        if e.op == "input" and e.args[0] == number:
            return True
        stack.extend(e.args)
    return False


def reduce(call) -> None:
    """Build the program of a Reduction call: call.rules, call.compute, call.dims (reduced),
    call.scalar_names.
    """
    where = call.inputs[0]
    kept, reduced = _dims(call, where.shape, where.strides)
    meaning = meaning_of(call)
    word = call.input(0)
    innermost = [d[-1].stride for d in (kept, reduced) if d]
    if innermost and 1 not in innermost and where.numel > 1:
        order = [d for d in range(where.ndim) if d not in call.dims] + list(call.dims)
        shape = [where.shape[d] for d in order]
        word = call.copy_in(
            word, shape, [where.strides[d] for d in order], where.dtype.code, where.dtype.code
        )
        strides = [0] * where.ndim
        for d, s in zip(order, contiguous_strides(shape)):
            strides[d] = s
        kept, reduced = _dims(call, where.shape, strides)
    first, job = len(call.steps), Job(call, meaning, word, kept, reduced)
    job.build()
    if word == call.input(0) and len(call.steps) > first and meaning.parts == 1:
        scalars = [call.scalar(k) for k in range(len(call.scalar_codes))]
        words = [call.out(k) for k in range(len(call.outputs))]
        call.known[first] = Known(
            meaning, where, tuple(call.outputs), tuple(call.dims), tuple(call.scalar_codes), word, words, scalars,
            tuple(job.taken), len(call.steps) - first,
        )  # fmt: skip


class Made(NamedTuple):
    """A loop over the space of a reduction's input that makes it. Operands: (type code, strides, frame word).

    function: gives the element, then what is written besides. scalars: (type code, frame word).
    """

    function: ScalarFunction
    reads: tuple[tuple[str, tuple[int, ...], int], ...]
    writes: tuple[tuple[str, tuple[int, ...], int], ...]
    scalars: tuple[tuple[str, int], ...]


class Known(NamedTuple):
    """What is kept of a reduction's steps in a program, so that they can be made anew behind a loop."""

    meaning: Meaning
    where: Layout
    outputs: tuple[Layout, ...]
    dims: tuple[int, ...]
    scalar_codes: tuple[str, ...]
    word: int  # of the input
    words: list[int]  # of the outputs
    scalars: list[int]
    scratch: tuple[tuple[int, int], ...]  # bytes and frame word of each buffer
    steps: int

    def job(self, made: Made) -> Job:
        """The reduction of what a loop makes, in the order in which it takes its input from memory.

        Raises: Unsuitable
        """
        again = _Again(self)
        strides = [o[1] for o in (*made.reads, *made.writes)]
        kept, reduced = _dims(again, self.where.shape, self.where.strides, strides)
        return Job(again, self.meaning, 0, kept, reduced, made)

    def again(self, made: Made) -> list[tuple]:
        """The steps with the loop in front."""
        job = self.job(made)
        job.build()
        return job.call.steps

    def takes(self, made: Made) -> bool:
        """Whether a loop's operands can be walked as the input is."""
        try:
            return self.job(made).walks()
        except Unsuitable:
            return False


class _Again:
    """Stands for the call of a reduction whose steps are made anew, in the same buffers."""

    def __init__(self, known: Known):
        self.known, self.steps, self.left = known, [], list(known.scratch)
        self.inputs, self.outputs, self.dims = [known.where], known.outputs, known.dims
        self.scalar_codes = list(known.scalar_codes)

    def out(self, k: int) -> int:
        return self.known.words[k]

    def scalar(self, k: int) -> int:
        return self.known.scalars[k]

    def scratch(self, nbytes: int) -> int:
        found = next(one for one in self.left if one[0] == nbytes)
        self.left.remove(found)
        return found[1]

    def native(
        self, kernel, statics: dict, parameters: list[int], n: int, chunk: int, level: int = 3
    ) -> None:
        self.steps.append((native_address(kernel, statics, level), list(parameters), n, max(1, chunk)))


def _dims(call, shape, strides, more=()) -> tuple[list[Dim], list[Dim]]:
    """Kept dimensions with their output strides and reduced ones with their position strides, merged."""
    keep = [d for d in range(len(shape)) if d not in call.dims]
    out = contiguous_strides([shape[d] for d in keep])
    place = contiguous_strides([shape[d] for d in call.dims])
    kept = [Dim(shape[d], strides[d], o, tuple(s[d] for s in more)) for d, o in zip(keep, out)]
    reduced = [Dim(shape[d], strides[d], o, tuple(s[d] for s in more)) for d, o in zip(call.dims, place)]
    return merged(kept), merged(reduced)


def lanes_and_flight(meaning: Meaning, memory, types, short: bool) -> tuple[int, int]:
    """Lanes of a vector of elements, and how many vectors are in flight.

    What only waits for memory reads 32 bytes at a time: processors that split wider loads stream faster so.
    """
    widest = max(t.bytes for t in types)
    light = len(types) == 1 and not short and cost_of(meaning.map)[0] + cost_of(meaning.combine)[0] <= LIGHT
    width = min(32, jit.vector_bytes()) if light else jit.vector_bytes()
    lanes = max(1, width // max(memory.register.bytes, widest // 2))
    return lanes, 8 if light else 4 if len(types) == 1 else 2


class Job:
    """One reduction being scheduled."""

    def __init__(
        self, call, meaning: Meaning, word: int, kept: list[Dim], reduced: list[Dim], made: Made | None = None
    ):
        self.call, self.meaning, self.word, self.kept, self.reduced = call, meaning, word, kept, reduced
        self.made = made
        self.taken: list[tuple[int, int]] = []  # bytes and frame word of each buffer
        self.places = prod(d.size for d in kept)
        self.count = prod(d.size for d in reduced)
        source = call.inputs[0].dtype.code
        self.memory = PART_TYPES.get(source) or BY_CODE[source]
        self.types = [BY_CODE[c] for c in meaning.codes]
        self.lanes, self.flight = lanes_and_flight(meaning, self.memory, self.types, self.short)
        self.statics = {"R": self.template()}
        self.last = self.statics  # of the step that combines partial states
        if made:
            if self.inner is None:
                raise Unsuitable
            before = self.before()
            self.statics = {"R": replace(self.template(), before=before, head=self.head + before.words)}

    @property
    def short(self) -> bool:
        """Whether the reduced rows may fit into one vector."""
        return (
            bool(self.reduced) and self.reduced[-1].size <= jit.vector_bytes() // self.memory.register.bytes
        )

    def build(self) -> None:
        if self.places == 0:
            return
        if self.columns:
            self.by_columns(self.kept[-1])
        else:
            self.by_rows()

    def template(self) -> Template:
        meaning = self.meaning
        codes = [o.dtype.code for o in self.call.outputs]
        return Template(
            self.memory, meaning.parts, self.lanes, self.lanes.bit_length() - 1, self.flight, tuple(self.types),
            meaning.identity, meaning.map, meaning.combine, meaning.finish, meaning.indexed,
            tuple((PART_TYPES[c], 2) if c in PART_TYPES else (BY_CODE[c], 1) for c in codes),
            tuple(self.call.scalar_codes), self.head, WIDTH,
        )  # fmt: skip

    @property
    def narrow(self) -> bool:
        """Whether there are so few columns that several rows are taken side by side."""
        near, width = self.reduced[-1] if self.reduced else None, self.kept[-1].size
        return width < NARROW and len(self.reduced) == 1 and near.stride == width and not self.meaning.indexed

    @property
    def columns(self) -> bool:
        """Whether the elements that are kept are neighbours, not those that are reduced."""
        return bool(self.kept and self.kept[-1].stride == 1 and self.count)

    @property
    def inner(self) -> Dim | None:
        """The dimension whose elements are neighbours."""
        found = self.kept if self.columns else self.reduced
        return found[-1] if found else None

    def by_short_rows(self) -> bool:
        """Whether each row fits into one vector."""
        if len(self.kept) != 1 or len(self.reduced) > 1 or self.kept[0].other != 1:
            return False
        inner = self.reduced[-1] if self.reduced else Dim(self.count, 1, 1)
        return not self.columns and inner.size <= self.lanes and inner.other == 1

    def walks(self) -> bool:
        """Whether the operands of the loop before lie as the kernels can take them."""
        inner = self.inner
        if inner is None or any(s not in (0, 1) for s in inner.more):
            return False
        if self.columns and self.narrow:
            return all(step == inner.size * t for step, t in zip(self.reduced[-1].more, inner.more))
        if self.columns or not self.by_short_rows():
            return self.columns or inner.size >= SHORTEST
        # made end to end, as one row
        return all(step == self.count * t for step, t in zip(self.kept[0].more, inner.more))

    def before(self) -> Before:
        """The loop before, as the kernels have it."""
        made, kinds = self.made, self.inner.more
        n = len(made.reads)
        reads = tuple((BY_CODE[o[0]], kind) for o, kind in zip(made.reads, kinds))
        writes = tuple((BY_CODE[o[0]], kind) for o, kind in zip(made.writes, kinds[n:]))
        widest = max(t.register.bytes for t in (self.memory, *(t for t, _ in (*reads, *writes))))
        codes = tuple(c for c, _ in made.scalars)
        return Before(made.function, reads, writes, codes, jit.vector_bytes() // widest, ROOM)

    @property
    def head(self) -> int:
        return 1 + len(self.call.outputs) + len(self.types) + len(self.call.scalar_codes)

    def words(self, partials: list[int]) -> list[int]:
        """The parameters before the geometry."""
        call = self.call
        outs = [call.out(k) for k in range(len(call.outputs))]
        numbers = [call.scalar(k) for k in range(len(call.scalar_codes))]
        return [self.word, *outs, *(partials or [0] * len(self.types)), *numbers]

    def all_words(self, partials: list[int]) -> list[int]:
        """The same, with those of the loop before."""
        made = self.made
        further = [o[2] for o in (*made.reads, *made.writes)] + [w for _, w in made.scalars] if made else []
        return self.words(partials) + further

    def partials(self, states: int) -> list[int]:
        """Frame words of room for so many partial states."""
        self.taken += [(states * t.bytes, self.call.scratch(states * t.bytes)) for t in self.types]
        return [word for _, word in self.taken[-len(self.types) :]]

    def by_rows(self) -> None:
        inner = self.reduced[-1] if self.reduced else Dim(self.count, 1, 1)
        outer = self.reduced[:-1]
        outer_total = prod(d.size for d in outer)
        if self.by_short_rows():
            geometry = [self.count, self.kept[0].stride]
            self.call.native(
                short_rows, self.statics, self.all_words([]) + geometry, self.places, CHUNK // 64, level=1
            )
            return
        # Where kept dimensions lie between the reduced ones, items follow the memory.
        between = bool(self.kept and outer and self.kept[-1].stride < outer[-1].stride)
        group, inner_pieces = outer_total, 1
        if inner.size > PIECE:
            inner_pieces = -(-inner.size // PIECE)
            pieces = outer_total * inner_pieces
        else:
            group = max(1, (SHORT if between else PIECE) // max(1, inner.size))
            pieces = max(1, -(-outer_total // group))
        partials = self.partials(self.places * pieces) if pieces > 1 else []
        geometry = [self.count, pieces, inner.size, inner.other, inner_pieces, PIECE, group, outer_total]
        geometry += [
            len(self.kept),
            len(outer),
            self.places if between else 0,
            *table(self.kept),
            *table(outer),
        ]
        covered = min(max(1, self.count), PIECE, inner.size * group)
        self.call.native(
            rows,
            self.statics,
            self.all_words(partials) + geometry,
            self.places * pieces,
            CHUNK // (covered + 32),
            level=1,
        )
        if pieces > 1:
            along, step = (self.places, 1) if between else (1, pieces)
            self.finish(partials, pieces, along, step)

    def by_columns(self, inner: Dim) -> None:
        outer, reduced, rows_total, width, last = (
            self.kept[:-1],
            self.reduced,
            self.count,
            inner.size,
            inner.size,
        )
        if self.narrow:
            near = reduced[-1]
            wide = min(128 // width, near.size)
            rows_total = -(-near.size // wide)
            last = (near.size - (rows_total - 1) * wide) * width
            reduced = [Dim(rows_total, width * wide, 0, tuple(s * wide for s in near.more))]
            width *= wide
        block = min(width, WIDTH)
        blocks = -(-width // block)
        piece_rows = min(max(ROWS // block, 64), 1024)
        pieces = -(-rows_total // piece_rows)
        direct = pieces == 1 and width == inner.size
        outer_total = prod(d.size for d in outer)
        states = pieces * (width // inner.size)
        partials = [] if direct else self.partials(states * self.places)
        geometry = [
            self.count,
            pieces,
            width,
            block,
            blocks,
            rows_total,
            piece_rows,
            last,
            inner.size,
            self.places,
        ]
        geometry += [inner.other, len(outer), len(reduced), *table(outer), *table(reduced)]
        covered = block * min(rows_total, piece_rows)
        self.call.native(
            columns,
            self.statics,
            self.all_words(partials) + geometry,
            outer_total * pieces * blocks,
            CHUNK // covered,
            level=2,  # what writes the results is not written in vectors
        )
        if not direct:
            self.finish(partials, states, self.places, 1)

    def finish(self, partials: list[int], states: int, along: int, between: int) -> None:
        """The step that combines partial states and writes the results."""
        dims = [Dim(d.size, 0, d.other) for d in self.kept]
        geometry = [self.count, states, along, between, len(dims), *table(dims)]
        chunk = max(64, CHUNK // states) if between == 1 else max(1, CHUNK // states)
        self.call.native(final, self.last, self.words(partials) + geometry, self.places, chunk, level=2)
