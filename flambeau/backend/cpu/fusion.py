"""Fusion of pointwise loops: several of a trace's loops become one, and what only they exchange is never stored.

A loop is described by what it does at one point of its index space: which elements of which slots it reads, expressions,
which elements it writes. Loops over one space are chained by replacing what a later one reads with the expression that an
earlier one would have stored there, rounded as storing would round it, so the result is the same to the last bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ...base.layout import view_strides
from ...ir.expr import Expr, convert
from . import schedule
from .emit import ScalarFunction, nodes_of
from .expressions import function_over, ids, remembered, replace, shared_leaf, stored, substitute
from .recording import Entry
from .schedule import compute_code, cost_of

MOST_OPERANDS = 14  # a loop over more arrays runs out of address registers and of memory streams
MOST_COST = 400  # operations an element: beyond, what a fused kernel saves in memory it loses in registers
REACH = 24  # how many loops back a partner is looked for


class Access(NamedTuple):
    """Elements of a slot: the one at index i of the space starts at byte `start` + sum of i * strides (in elements)."""

    slot: int
    start: int
    code: str
    strides: tuple[int, ...]


@dataclass(eq=False)
class Loop:
    """One or more fused loops. reads and writes hold an expression leaf or value per access."""

    shape: tuple[int, ...]
    reads: dict[Access, Expr] = field(default_factory=dict)  # leaves, in order of first use
    writes: dict[Access, Expr] = field(default_factory=dict)
    numbers: list[tuple[str, int]] = field(default_factory=list)  # (type code, scalar of the recording)
    members: list[Entry] = field(default_factory=list)
    cost: int = 0
    asked: dict[int, int] = field(default_factory=dict)  # how many members read a slot

    scratch = ()

    @property
    def slots_read(self) -> set[int]:
        return {a.slot for a in self.reads}

    @property
    def slots_written(self) -> set[int]:
        return {a.slot for a in self.writes}

    def stored(self, wanted: set[int]) -> set[int]:
        """The slots that are written to memory, where somebody else wants these."""
        return self.slots_written & wanted


@dataclass(eq=False)
class Program:
    """An entry that runs as it is."""

    entry: Entry
    slots_read: set[int]
    slots_written: set[int]

    @property
    def members(self) -> list[Entry]:
        return [self.entry]

    @property
    def scratch(self) -> Sequence[int]:
        return self.entry.scratch

    def stored(self, wanted: set[int]) -> set[int]:
        """The slots that are written to memory."""
        return self.slots_written


def loop_of(entry: Entry, numbers: Iterator[int]) -> Loop | None:
    """An entry as a loop; None for anything but one plain pointwise step. numbers: of its leaves, each once in a plan."""
    known = entry.known[0] if len(entry.steps) == 1 else None
    if not isinstance(known, schedule.Loop) or entry.scratch or entry.refuses:
        return None
    codes = [code for code, _, _ in known.operands] + [code for code, _ in known.scalars]
    if known.refuses or any(code in ("c64", "c128") for code in codes):
        return None
    first = 4
    places = [(slot, 0) for slot in entry.outputs] + list(entry.inputs)
    if any(isinstance(p, list) for p in places):
        return None
    keep = [d for d, n in enumerate(known.shape) if n != 1]
    keep.sort(key=lambda d: -known.operands[0][1][d])  # so that transposed loops meet in one space
    shape = tuple(known.shape[d] for d in keep)
    accesses = []
    for code, strides, word in known.operands:
        slot, start = places[word - first]
        accesses.append(Access(slot, start, code, tuple(strides[d] for d in keep)))
    if any(meets_twice(shape, a.strides) for a in accesses[: known.outputs]):
        return None
    loop = Loop(shape, members=[entry], cost=known.cost)
    n_out = known.outputs
    leaves = [
        loop.reads.setdefault(a, shared_leaf("input", next(numbers), compute_code(a.code)))
        for a in accesses[n_out:]
    ]
    scalar_words = first + len(places)
    loop.numbers = [(code, entry.first_scalar + word - scalar_words) for code, word in known.scalars]
    scalars = [shared_leaf("scalar", n, code) for code, n in loop.numbers]
    loop.asked = dict.fromkeys(loop.slots_read, 1)
    values = replace(known.function, leaves, scalars)
    loop.writes = dict(zip(accesses[:n_out], values))
    for a, b in pairs(list(loop.reads), list(loop.writes)):
        if a.slot == b.slot and a != b:
            return None
    return loop


def meets_twice(shape: Sequence[int], strides: Sequence[int]) -> bool:
    """Whether a loop may come to one element at several points, as in overlapping views."""
    reach = 0  # distance between the ends of what the smaller strides cover
    for step, n in sorted((abs(s), n) for s, n in zip(strides, shape)):
        if step <= reach:
            return True
        reach += step * (n - 1)
    return False


def pairs(a: Sequence, b: Sequence):
    return ((x, y) for x in a for y in b)


# -- joining -------------------------------------------------------------------------------------------------


def in_shape(loop: Loop, shape: tuple[int, ...]) -> Loop | None:
    """The same loop over another shape of the same size, where every access has strides in it."""
    if loop.shape == shape:
        return loop
    moved: dict[Access, Access] = {}
    for a in (*loop.reads, *loop.writes):
        strides = view_strides(loop.shape, a.strides, shape)
        if strides is None:
            return None
        moved[a] = a._replace(strides=tuple(strides))
    return Loop(shape, {moved[a]: e for a, e in loop.reads.items()}, {moved[a]: e for a, e in loop.writes.items()},
                loop.numbers, loop.members, loop.cost, loop.asked)  # fmt: skip


def size_of(shape: Sequence[int]) -> int:
    size = 1
    for n in shape:
        size *= n
    return size


def alike(first: Loop, second: Loop) -> bool:
    """Whether two loops may become one, as far as that shows without looking at every element."""
    if size_of(first.shape) != size_of(second.shape) or first.cost + second.cost > MOST_COST:
        return False
    slots = {a.slot for a in (*first.reads, *first.writes)}
    return any(a.slot in slots for a in (*second.reads, *second.writes))


def join(first: Loop, second: Loop, readers: dict[int, int] | None = None) -> Loop | None:
    """`first`, then `second`, as one loop; None where that is impossible or does not pay.

    readers: how many loops and programs want a slot; one that only the joined loop wants is not stored.
    """
    if not alike(first, second):
        return None
    moved = in_shape(first, second.shape)
    if moved is None:
        kept = in_shape(second, first.shape)
        if kept is None:
            return None
        first, second = first, kept
    else:
        first = moved
    every = [*first.reads, *first.writes, *second.reads, *second.writes]
    written = first.slots_written | second.slots_written
    seen: dict[int, Access] = {}
    for a in every:  # elements of a slot that one of them writes must be met at one and the same point
        if a.slot in written and seen.setdefault(a.slot, a) != a:
            return None
    shared = set(first.writes) & set(second.reads) or set(first.reads) & set(second.reads)
    if not shared:
        return None
    merged = Loop(first.shape, dict(first.reads), {}, list(first.numbers), first.members + second.members,
                  first.cost + second.cost)  # fmt: skip
    inputs = [
        (old, stored(first.writes[a], a.code) if a in first.writes else merged.reads.setdefault(a, old))
        for a, old in second.reads.items()
    ]
    merged.numbers += [n for n in second.numbers if n not in merged.numbers]
    merged.writes = {
        **first.writes,
        **dict(zip(second.writes, substitute(list(second.writes.values()), inputs))),
    }
    merged.asked = {s: first.asked.get(s, 0) + second.asked.get(s, 0) for s in (*first.asked, *second.asked)}
    stored_now = sum(
        readers is None or readers.get(w.slot, 0) > merged.asked.get(w.slot, 0) for w in merged.writes
    )
    if len(merged.reads) + stored_now > MOST_OPERANDS:
        return None
    return merged


def depends(later, earlier) -> bool:
    """Whether one must run after the other."""
    return bool(
        earlier.slots_written & (later.slots_read | later.slots_written)
        or earlier.slots_read & later.slots_written
    )


def fuse(nodes: list, seen: set[int]) -> list:
    """Join loops where order and index space allow it. seen: slots that are wanted after the plan."""
    readers = dict.fromkeys(seen, len(nodes) + 1)
    for node in nodes:
        for slot in node.slots_read:
            readers[slot] = readers.get(slot, 0) + 1
    found: list = []
    for node in nodes:
        at = len(found)
        found.append(node)
        while isinstance(found[at], Loop):
            joined = partner(found, at, readers)
            if joined is None:
                break
            at = put_one_for_two(found, at, *joined)
    return found


def put_one_for_two(found: list, at: int, place: int, node: object, moves_down: bool) -> int:
    """Let a node stand for those at two places, where the later one is or the earlier; gives its place."""
    found[at if moves_down else place] = node
    del found[place if moves_down else at]
    return at - 1 if moves_down else place


def partner(found: list, at: int, readers: dict[int, int]):
    """(place, joined loop, whether it goes where this one is) of an earlier loop that the one at a place can join."""
    node = found[at]
    free = True  # whether nothing after the place looked at must run before this loop
    looked = 0
    for k in range(at - 1, -1, -1):
        other = found[k]
        if isinstance(other, Loop):
            looked += 1
            if alike(other, node) and (free or not any(depends(x, other) for x in found[k + 1 : at])):
                merged = join(other, node, readers)
                if merged is not None:
                    return k, merged, not free
        if looked > REACH:
            return None
        free = free and not depends(node, other)
    return None


# -- emitting ------------------------------------------------------------------------------------------------


def function_of(
    loop: Loop, wanted: set[int], first: Access | None = None
) -> tuple[ScalarFunction, list[Access], list[Access], list[tuple[str, int]]]:
    """The scalar function of a loop with its outputs (those whose slot is wanted), inputs and numbers, as used.

    `first` becomes input 0, used or not.
    """
    outputs = [a for a in loop.writes if a.slot in wanted]
    values = [convert(loop.writes[a], compute_code(a.code)) for a in outputs]
    reads = list(loop.reads)
    order = [first, *(a for a in reads if a != first)] if first else reads
    leaves = [loop.reads.get(a) for a in order]
    key = ("loop", first is not None, ids(values), ids(leaves), *loop.numbers)
    function, used, numbers = remembered(
        key, (values, leaves), lambda: _function(values, leaves, loop.numbers, first is not None)
    )
    return function, outputs, [order[k] for k in used], numbers


def _function(
    values: list[Expr], leaves: list[Expr | None], numbers: list[tuple[str, int]], first: bool
) -> tuple[ScalarFunction, list[int], list[tuple[str, int]]]:
    """The function that gives some values, which of the leaves it takes as inputs, and which of the numbers.

    first: whether the first leaf is an input in any case.
    """
    nodes = list(nodes_of(values))
    found = {id(e) for e in nodes if e.op == "input"}
    scalars = {e.args[0] for e in nodes if e.op == "scalar"}
    used = [k for k, e in enumerate(leaves) if id(e) in found or first and k == 0]
    numbers = [n for n in dict.fromkeys(numbers) if n[1] in scalars]
    places = {n: k for k, (_, n) in enumerate(numbers)}
    changed = [(e, shared_leaf("scalar", places[e.args[0]], e.type)) for e in nodes if e.op == "scalar"]
    changed += [
        (e, shared_leaf("input", k, e.type)) for k, e in enumerate(leaves[j] for j in used) if e is not None
    ]
    return function_over(substitute(values, changed)), used, numbers


def cost(function: ScalarFunction) -> int:
    return cost_of(function)[0]
