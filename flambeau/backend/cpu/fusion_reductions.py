"""Fusion of pointwise loops into the reductions of what they make: the loop runs a thousand elements at a time into a
buffer that stays in the cache, from which the reduction goes on (see `reduce_kernels.Before`).

The reduction takes its input in the order in which it takes it from memory, rounded as storing would round it, so results
are those of loop and reduction one after the other, to the last bit.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from . import fusion
from .expressions import function_over
from .fusion import Access, Loop, Program, depends, put_one_for_two, size_of
from .fusion_products import over, plain
from .kernels_runtime import FIRST
from .pointwise_tiled import vectorises
from .recording import Entry
from .reduce import Known, Made

#: elements from which a loop before a reduction repays its kernel
LEAST = 8192


@dataclass(eq=False)
class Reduced:
    """A reduction with a loop that makes its input, and perhaps more besides."""

    entry: Entry
    loop: Loop
    #: what `emit` has made: steps of native words or lists, (word, slot, bytes), (word, scalar), words of the frame
    steps: list[tuple] = field(default_factory=list)
    moves: list[tuple[int, int, int]] = field(default_factory=list)
    numbers: list[tuple[int, int]] = field(default_factory=list)
    words: int = 0
    scratch_words: list[int] = field(default_factory=list)

    @property
    def scratch(self) -> tuple[int, ...]:
        return self.entry.scratch

    @property
    def members(self) -> list[Entry]:
        return [*self.loop.members, self.entry]

    @property
    def slots_read(self) -> set[int]:
        return self.loop.slots_read

    @property
    def slots_written(self) -> set[int]:
        return set(self.entry.outputs) | self.loop.slots_written

    def stored(self, wanted: set[int]) -> set[int]:
        """The slots that are written to memory, of which somebody wants these."""
        return set(self.entry.outputs) | self.loop.slots_written & wanted

    def emit(self, stored: set[int]) -> None:
        """Make the steps, and what belongs into their frame behind the words that the entry has by itself."""
        entry, known, loop = self.entry, self.entry.known[0], self.loop
        first = FIRST + len(entry.sizes) + len(entry.inputs) + len(entry.scalars)
        self.words = first + len(entry.scratch)
        self.scratch_words = list(range(first, self.words))
        self.steps = known.again(made_of(loop, input_of(entry), stored, self.operand, self.number))

    def operand(self, slot: int, start: int) -> int:
        """The frame word of an address."""
        self.moves.append((self.words, slot, start))
        self.words += 1
        return self.words - 1

    def number(self, number: int) -> int:
        self.numbers.append((self.words, number))
        self.words += 1
        return self.words - 1


def made_of(loop: Loop, element: Access, stored: set[int], operand, number) -> Made:
    """A loop as what makes a reduction's input `element`; it writes the slots that are stored besides."""
    kept = [a for a in loop.writes if a.slot in stored]
    values = {element._replace(slot=-1): loop.writes[element], **{a: loop.writes[a] for a in kept}}
    whole = Loop(loop.shape, loop.reads, values, loop.numbers, loop.members, loop.cost, loop.asked)
    function, _, inputs, numbers = fusion.function_of(whole, {-1} | stored)
    reads = tuple((a.code, a.strides, operand(a.slot, a.start)) for a in inputs)
    writes = tuple((a.code, a.strides, operand(a.slot, a.start)) for a in kept)
    return Made(function, reads, writes, tuple((code, number(n)) for code, n in numbers))


def input_of(entry: Entry) -> Access:
    """The input of a reduction over its own space."""
    where = entry.known[0].where
    slot, start = entry.inputs[entry.known[0].word - FIRST - len(entry.sizes)]
    return plain(Access(slot, start, where.dtype.code, tuple(where.strides)), where.shape)


def reduction_of(node: object) -> Known | None:
    """What is known of a node that is one reduction and nothing else."""
    if not isinstance(node, Program) or len(node.entry.inputs) != 1 or isinstance(node.entry.inputs[0], list):
        return None
    known = node.entry.known[0] if node.entry.steps else None
    return known if isinstance(known, Known) and known.steps == len(node.entry.steps) else None


def before(node: Program, loop: Loop) -> Reduced | str:
    """A reduction with the loop that makes its input, or why that cannot be."""
    entry = node.entry
    known, element = entry.known[0], input_of(entry)
    shape = known.where.shape
    if size_of(shape) < LEAST:
        return f"a loop over {size_of(shape)} elements costs less than a reduction with one (from {LEAST} on)"
    if any(a.code in ("c64", "c128") for a in (element, *loop.reads, *loop.writes)):
        return "complex numbers are not fused"
    order = sorted(range(len(shape)), key=lambda d: -element.strides[d])
    turned = element._replace(strides=tuple(element.strides[d] for d in order))
    moved = over(loop, tuple(shape[d] for d in order), turned)
    if moved is None:
        return "the loop does not walk the reduction's input element by element, in its order"
    back = sorted(range(len(order)), key=lambda k: order[k])

    def returned(accesses: dict) -> dict:
        return {a._replace(strides=tuple(a.strides[k] for k in back)): e for a, e in accesses.items()}

    moved.reads, moved.writes, moved.shape = returned(moved.reads), returned(moved.writes), tuple(shape)
    if not vectorises(function_over(moved.writes.values())):
        return "the loop has operations without a vector form"
    if not known.takes(made_of(moved, element, moved.slots_written, lambda *_: 0, lambda _: 0)):
        return "the loop's operands cannot be walked as the reduction's input"
    return Reduced(entry, moved)


def fuse(nodes: list, foreign: set[int]) -> list:
    """Put loops before the reductions of what they make, where order and index space allow it."""
    found, at = list(nodes), 0
    while at < len(found):
        joined = partner(found, at, foreign) if reduction_of(found[at]) else None
        if joined is None:
            at += 1
        else:
            put_one_for_two(found, at, *joined)
    return found


def partner(found: list, at: int, foreign: set[int]) -> tuple[int, Reduced, bool] | None:
    """(place, fused node, whether it goes where the reduction is) of the loop that makes a reduction's input."""
    node = found[at]
    slot = node.entry.inputs[0][0]
    for place in range(at - 1, -1, -1):
        loop = found[place]
        if slot not in loop.slots_written:
            continue
        if not isinstance(loop, Loop) or foreign & node.slots_read:
            return None
        fused = before(node, loop)
        if isinstance(fused, str):
            return None
        between = found[place + 1 : at]
        if not any(depends(x, loop) for x in between):
            return place, fused, True
        if not any(depends(node, x) for x in between):
            return place, fused, False
        return None
    return None


def why_not(nodes: list, first: int, second: int) -> str | None:
    """Why a loop is not one with the reduction of what it makes; None where there is no such reduction."""
    loop, node = nodes[first], nodes[second]
    if not isinstance(loop, Loop) or reduction_of(node) is None:
        return None
    found = before(node, loop)
    return found if isinstance(found, str) else "something must run between the loop and the reduction"
