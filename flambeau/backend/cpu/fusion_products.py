"""Fusion of pointwise loops into matrix products: a loop that reads a product's result at the same points is evaluated
on each tile of it before the tile leaves the cache (see `gemm.Epilogue`); behind a convolution, on each piece of its result
that a task has finished (`fusion_pieces`).

The product keeps the blocks, kernels and order of sums that it has alone, and what the loop reads of it is rounded as
storing would round it, so results are those of product and loop one after the other, to the last bit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from ...base.layout import contiguous_strides
from . import fusion, fusion_pieces
from .emit import ScalarFunction, nodes_of
from .expressions import function_over, shared_leaf, stored, substitute
from .fusion import Access, Loop, Program, depends, put_one_for_two, size_of
from .gemm import Epilogue, Known, Operand
from .kernels_runtime import FIRST
from .pieces import Pieces
from .pointwise_tiled import vectorises
from .recording import Entry
from .schedule import compute_code, item_bytes

#: elements of a product from which an epilogue repays its kernel: below, a loop over them takes about a microsecond
LEAST = 8192
TYPES = ("f32", "f64", "bf16", "f16")


@dataclass(eq=False)
class Products:
    """An entry with matrix products, or a convolution, of which some are followed by a loop over their result, by step."""

    entry: Entry
    loops: dict[int, Loop]
    #: what `emit` has made: steps of native words or lists, (word, slot, bytes), (word, scalar), bytes of buffers, words
    steps: list[tuple] = field(default_factory=list)
    moves: list[tuple[int, int, int]] = field(default_factory=list)
    numbers: list[tuple[int, int]] = field(default_factory=list)
    scratch: list[int] = field(default_factory=list)
    words: int = 0
    scratch_words: list[int] = field(default_factory=list)

    @property
    def members(self) -> list[Entry]:
        return [self.entry, *(e for loop in self.loops.values() for e in loop.members)]

    @property
    def slots_read(self) -> set[int]:
        read = {one[0] for one in self.entry.inputs}
        for loop in self.loops.values():
            read |= loop.slots_read - set(self.entry.outputs)
        return read

    @property
    def slots_written(self) -> set[int]:
        return set(self.entry.outputs).union(*(loop.slots_written for loop in self.loops.values()))

    def stored(self, wanted: set[int]) -> set[int]:
        """The slots that are written to memory, of which somebody wants these."""
        found = self.slots_written & wanted
        spared = {
            result_of(self.entry, step).slot
            for step, loop in self.loops.items()
            if loop.slots_written & wanted  # else the product is done without its loop
            and (not isinstance(self.entry.known[step], Pieces) or self.room(step, wanted))
        }
        return found | set(self.entry.outputs) - spared

    # -- emitting --
    def emit(self, stored: set[int]) -> None:
        """Make the steps, and what belongs into their frame behind the words that the entry has by itself."""
        entry = self.entry
        first = FIRST + len(entry.sizes) + len(entry.inputs) + len(entry.scalars)
        self.scratch, self.words = list(entry.scratch), first + len(entry.scratch)
        places: list[int] = []  # of further buffers

        def scratch(nbytes: int) -> int:
            self.scratch.append(max(64, nbytes))
            places.append(self.word())
            return places[-1]

        step, followed = 0, {}
        while step < len(entry.steps):
            loop, known = self.loops.get(step), entry.known[step]
            if loop is not None and loop.slots_written & stored and isinstance(known, Pieces):
                followed |= fusion_pieces.followed(
                    known, entry.steps, step, *self.loop_kernel(step, loop, stored)
                )
                loop = None
            if loop is None or not loop.slots_written & stored:
                self.steps.append(followed.get(step, entry.steps[step]))
                step += 1
                continue
            self.steps += known.again(self.epilogue(step, loop, stored), scratch)
            step += known.steps
        self.scratch_words = [*range(first, first + len(entry.scratch)), *places]

    def word(self) -> int:
        self.words += 1
        return self.words - 1

    def room(self, step: int, wanted: set[int]) -> Access | None:
        """Where a result that comes in pieces and that nobody wants can wait for its loop."""
        return fusion_pieces.room_of(self.loops[step], result_of(self.entry, step), wanted)

    def loop_kernel(self, step: int, loop: Loop, stored: set[int]) -> tuple[int, list[int]]:
        """The kernel of a loop that follows steps piece by piece, and its parameters."""
        result, word = result_of(self.entry, step), self.entry.known[step].word
        room = None if result.slot in stored else self.room(step, stored)
        if room:
            self.moves.append((word, room.slot, room.start))

        def place(a: Access) -> int:
            if a == result:
                return word
            self.moves.append((self.word(), a.slot, a.start))
            return self.words - 1

        def number(n: int) -> int:
            self.numbers.append((self.word(), n))
            return self.words - 1

        return fusion_pieces.loop_kernel(loop, stored, place, number)

    def epilogue(self, step: int, loop: Loop, stored: set[int]) -> Epilogue:
        """A loop as the epilogue of the product at a step."""
        result = result_of(self.entry, step)
        function, outputs, inputs, numbers = fusion.function_of(loop, stored, result)

        def operand(a: Access) -> tuple[str, Operand]:
            word = self.word()
            self.moves.append((word, a.slot, a.start))
            return a.code, operand_of(a, word)

        reads = tuple(operand(a) for a in inputs[1:])
        writes = tuple(operand(a) for a in outputs)
        scalars = []
        for code, number in numbers:
            scalars.append((code, self.word()))
            self.numbers.append((scalars[-1][1], number))
        read = {a.slot for a in inputs[1:]}
        room = next((k for k, a in enumerate(outputs) if a.code == result.code and a.slot not in read), -1)
        raw = result.slot in stored and result not in loop.writes
        return Epilogue(rounded(function, result.code), reads, writes, tuple(scalars), raw, room)


def rounded(function: ScalarFunction, code: str) -> ScalarFunction:
    """A function whose input 0 is rounded first, as storing it in an array of a type would."""
    raw = shared_leaf("input", 0, compute_code(code))
    value = stored(raw, code)
    if value is raw:
        return function
    found = [e for e in nodes_of(function.outputs) if e.op == "input" and e.args[0] == 0]
    return function_over(substitute(function.outputs, [(e, value) for e in found]))


def operand_of(a: Access, word: int) -> Operand:
    return Operand(word, 0, a.strides[:-2], a.strides[-2], a.strides[-1])


# -- which products, which loops -----------------------------------------------------------------------------


def products_of(entry: Entry) -> Iterator[tuple[int, int]]:
    """(step, slot): where in an entry a product begins whose result is an output of the entry, and that output."""
    for step, known in enumerate(entry.known):
        if isinstance(known, (Known, Pieces)):
            output = (known.word if isinstance(known, Pieces) else known.arguments["out"].slot) - FIRST
            if 0 <= output < len(entry.sizes):
                yield step, entry.first_output + output


def space_of(known: Known | Pieces) -> tuple[int, ...]:
    """The index space of a product's result."""
    if isinstance(known, Pieces):
        return known.shape
    given = known.arguments
    return (*given["batch"], given["m"], given["n"])


def result_of(entry: Entry, step: int) -> Access:
    """The result of the product at a step, over its space."""
    known = entry.known[step]
    if isinstance(known, Pieces):
        slot, strides = entry.first_output + known.word - FIRST, contiguous_strides(known.shape)
        return plain(Access(slot, 0, known.code, strides), known.shape)
    out, code = known.arguments["out"], known.arguments["code"]
    start = out.offset * item_bytes(code)
    access = Access(entry.first_output + out.slot - FIRST, start, code, (*out.batch, out.row, out.column))
    return plain(access, space_of(known))


def plain(a: Access, shape: tuple[int, ...]) -> Access:
    """An access with stride 0 where there is one element, so that equal ones are equal."""
    return a._replace(strides=tuple(s if n != 1 else 0 for s, n in zip(a.strides, shape)))


def read_from(entry: Entry, step: int) -> set[int]:
    """The slots that the steps of an entry from a step on may read."""
    words: set[int] = set()
    while step < len(entry.steps):
        known = entry.known[step]
        if not isinstance(known, Known):
            return {one[0] for one in entry.inputs}
        words |= {known.arguments[name].slot for name in ("a", "b", "bias") if known.arguments.get(name)}
        step += known.steps
    first = FIRST + len(entry.sizes)
    return {one[0] for k, one in enumerate(entry.inputs) if first + k in words}


def over(loop: Loop, shape: tuple[int, ...], *walked: Access) -> Loop | None:
    """A loop over another space; None where it does not walk these accesses in that space point by point."""
    mine = {a.slot: a for a in walked}
    first = next((a for a in (*loop.reads, *loop.writes) if a.slot in mine), None)
    if first is None or size_of(shape) != size_of(loop.shape):
        return None
    order = sorted(range(len(loop.shape)), key=lambda d: -first.strides[d])
    turned = {a: a._replace(strides=tuple(a.strides[d] for d in order)) for a in (*loop.reads, *loop.writes)}
    reads = {turned[a]: e for a, e in loop.reads.items()}
    writes = {turned[a]: e for a, e in loop.writes.items()}
    given = tuple(loop.shape[d] for d in order)
    found = Loop(given, reads, writes, loop.numbers, loop.members, loop.cost, loop.asked)
    moved = fusion.in_shape(found, shape)
    if moved is None:
        return None
    moved.reads = {plain(a, shape): e for a, e in moved.reads.items()}
    moved.writes = {plain(a, shape): e for a, e in moved.writes.items()}
    return moved if all(mine.get(a.slot, a) == a for a in (*moved.reads, *moved.writes)) else None


def with_loop(node: Program | Products, step: int, loop: Loop) -> Products | str:
    """The node with a loop behind the product at a step, or why that cannot be."""
    entry, known = node.entry, node.entry.known[step]
    loops = node.loops if isinstance(node, Products) else {}
    result, shape = result_of(entry, step), space_of(known)
    before = loops.get(step)
    elements = size_of(shape)
    if elements < LEAST:
        return f"a loop over {elements} elements costs less than a product with an epilogue (from {LEAST} on)"
    if result.code not in TYPES:
        return f"a product of {result.code} takes no epilogue"
    moved = over(loop, shape, result, *(before.writes if before else ()))
    if moved is None:
        return "the loop does not walk the product's result element by element, in its order"
    merged = fusion.join(before, moved) if before else moved
    if merged is None:
        return f"more than {fusion.MOST_OPERANDS} arrays or {fusion.MOST_COST} operations in one epilogue"
    others = set(entry.outputs) - {result.slot}
    others.update(*(one.slots_read | one.slots_written for k, one in loops.items() if k != step))
    if others & (moved.slots_read | moved.slots_written):
        return "the loop uses another result of the same operator"
    if moved.slots_written & read_from(entry, step):
        return "the loop writes what the product reads"
    reads = tuple((a.code, operand_of(a, 0)) for a in merged.reads if a != result)
    writes = tuple((a.code, operand_of(a, 0)) for a in merged.writes)
    scalars = tuple((code, 0) for code, _ in merged.numbers)
    if not vectorises(function_over(merged.writes.values())):
        return "the loop has operations without a vector form"
    if isinstance(known, Pieces):
        if not fusion_pieces.takes(known, entry.steps, step, merged, result):
            return "the loop's operands do not lie as the result does, or it comes in too many or too small pieces"
    elif not known.takes(Epilogue(ScalarFunction([]), reads, writes, scalars)):
        return "the epilogue's operands do not follow the product's rows, or are too many"
    return Products(entry, {**loops, step: merged})


def candidates(node: object, slots_read: set[int]) -> Iterator[int]:
    """Steps of a node with a product of which a loop reads the result, or what the loops behind it make."""
    if not isinstance(node, (Program, Products)) or any(isinstance(one, list) for one in node.entry.inputs):
        return
    for step, slot in products_of(node.entry):
        after = node.loops.get(step) if isinstance(node, Products) else None
        if slot in slots_read or after and after.slots_written & slots_read:
            yield step


def fuse(nodes: list, foreign: set[int]) -> list:
    """Put loops behind the products that they read, where order and index space allow it."""
    found, at = list(nodes), 0
    while at < len(found):
        joined = partner(found, at, foreign) if isinstance(found[at], Loop) else None
        if joined is None:
            at += 1
        else:
            put_one_for_two(found, at, *joined)
    return found


def partner(found: list, at: int, foreign: set[int]) -> tuple[int, Products, bool] | None:
    """(place, node with the loop, whether it goes where the loop is) of a product that the loop at a place can follow."""
    loop = found[at]
    slots_read = loop.slots_read
    for place in range(at - 1, -1, -1):
        other = found[place]
        if isinstance(other, Loop) or slots_read.isdisjoint(other.slots_written):
            continue
        for step in candidates(other, slots_read):
            if foreign & other.slots_read:
                continue
            node = with_loop(other, step, loop)
            if isinstance(node, str):
                continue
            between = found[place + 1 : at]
            if not any(depends(loop, x) for x in between):
                return place, node, False
            if not any(depends(x, other) for x in between):
                return place, node, True
    return None


def why_not(nodes: list, first: int, second: int) -> str | None:
    """Why a loop is not the epilogue of an earlier product that it reads; None where there is no such product."""
    node, loop = nodes[first], nodes[second]
    if not isinstance(loop, Loop):
        return None
    for step in candidates(node, loop.slots_read):
        found = with_loop(node, step, loop)
        return found if isinstance(found, str) else "something must run between the product and the loop"
    return None
