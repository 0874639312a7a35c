"""Results that are computed again instead of being kept: less memory for a little more work, in plans that are large.

A forward pass makes results which only the backward pass reads, long after. Where such a result is cheap (a pointwise loop,
a normalised row) and what it was made of is in memory anyway when it is read again, the node that made it runs a second
time just before the reader, and its memory is free in between. The same kernel on the same bytes gives the same bits.

The pass runs on the nodes as they are after fusion, so nothing can undo it, and what it does to memory is known exactly.
It goes where most memory is alive, takes what frees most for the least work, and goes on while that lowers the peak.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate

from .emit import nodes_of
from .fusion import Loop, Program, size_of
from .fusion_products import Products
from .fusion_reductions import Reduced
from .gemm import Known
from .recording import ARENA, Entry, Plan, Trace
from .schedule import Loop as PointwiseStep
from .schedule import Passes, item_bytes

#: bytes of passing results below which a plan is left as it is: what could be saved would not be noticed
LEAST_IN_ALL = 4 << 20
#: bytes of a result below which it is kept
LEAST = 256 << 10
#: the added work is at most this share of the plan's own
SHARE = 1 / 32
#: the peak must sink to this part of what it was; else nothing is done
ENOUGH = 0.97
#: operations that take as long as moving one byte to or from memory, on one core with vectors of sixteen numbers
OPERATIONS_PER_BYTE = 10
#: how often the place where most memory is alive is looked for, at most
ROUNDS = 100
#: how many nodes may be run again for one result: itself, what it is made of, ...
DEPTH = 3


@dataclass(eq=False)
class LoopAgain(Loop):
    """A loop that runs a second time, for what is read late."""


@dataclass(eq=False)
class ProgramAgain(Program):
    """An entry that runs a second time, for what is read late."""


#: nodes that the pass has added
AGAIN = (LoopAgain, ProgramAgain)


def instead_of_saving(
    nodes: list, trace: Trace, sizes: dict[int, int], stored: Callable[[Trace, list], list[set[int]]]
) -> tuple[list, dict[int, int]]:
    """The nodes of a plan with some of them run twice, and the bytes of the slots that this adds.

    sizes: bytes of each slot that an entry makes. stored: gives what each of the nodes writes to memory.
    """
    kept = set(trace.kept)
    passing = sizes.keys() - kept
    if trace.foreign or sum(sizes[slot] for slot in passing) < LEAST_IN_ALL:
        return nodes, {}
    search = Search(nodes, stored(trace, nodes), sizes, passing)
    before = max(search.alive, default=0)
    if before < LEAST_IN_ALL:
        return nodes, {}
    search.run()
    if max(search.alive) > ENOUGH * before:
        return nodes, {}
    return search.result(trace.slots)


# -- what a node could run again -----------------------------------------------------------------------------


@dataclass(eq=False)
class Piece:
    """What makes a slot, as something that can run by itself. work: bytes that it moves, or could move meanwhile."""

    node: Loop | Program
    reads: set[int]
    makes: list[int]  # slots
    work: int


def piece_of(node: object, slot: int, sizes: dict[int, int]) -> Piece | None:
    """The part of a node that makes a slot, without what the node reads or writes besides; None where it is no part."""
    if isinstance(node, Loop):
        return loop_piece(node, slot)
    if isinstance(node, Reduced) and slot in node.loop.slots_written:
        return loop_piece(node.loop, slot)
    if isinstance(node, Products):
        loop = next((loop for loop in node.loops.values() if slot in loop.slots_written), None)
        return loop_piece(loop, slot) if loop else None
    if isinstance(node, Program) and slot in node.entry.outputs:
        return program_piece(node, sizes)
    return None


def loop_piece(loop: Loop, slot: int) -> Piece | None:
    writes = {a: e for a, e in loop.writes.items() if a.slot == slot}
    leaves = {id(e) for e in nodes_of(list(writes.values())) if e.op == "input"}
    reads = {a: e for a, e in loop.reads.items() if id(e) in leaves}
    read = {a.slot for a in reads}
    if read & loop.slots_written:  # in place, or from what it has written
        return None
    if len(loop.members) == 1 and list(loop.members[0].outputs) != [slot]:  # it would run as it is
        return None
    size = size_of(loop.shape)
    moved = sum(item_bytes(a.code) for a in (*reads, *writes))
    node = LoopAgain(loop.shape, reads, writes, loop.numbers, loop.members, loop.cost, loop.asked)
    return Piece(node, read, [slot], size * moved + size * loop.cost // OPERATIONS_PER_BYTE)


def program_piece(node: Program, sizes: dict[int, int]) -> Piece | None:
    entry = node.entry
    passes = 0
    for known in entry.known:
        if not isinstance(known, (Passes, PointwiseStep)):
            return None
        passes += known.count if isinstance(known, Passes) else 1
    if entry.refuses or entry.written or entry.scratch or not entry.known:
        return None
    made = list(entry.outputs)
    again = ProgramAgain(entry, node.slots_read, node.slots_written)
    return Piece(again, node.slots_read, made, passes * 2 * sum(entry.sizes))


def work_of(node: object, stored: set[int], sizes: dict[int, int]) -> int:
    """What a node does, counted in bytes that could be moved in its time; less than that where it is not known."""
    work = sum(sizes.get(s, 0) for s in node.slots_read | stored) + 2 * sum(node.scratch)
    for entry in [node.entry] if not isinstance(node, Loop) else []:
        for known in entry.known:
            if isinstance(known, Known):
                given = known.arguments
                products = size_of(given["batch"]) * given["m"] * given["n"] * given["k"]
                work += 2 * products // OPERATIONS_PER_BYTE
    if isinstance(node, Loop):
        work += size_of(node.shape) * node.cost // OPERATIONS_PER_BYTE
    return work


# -- which of them pay ---------------------------------------------------------------------------------------


@dataclass(eq=False)
class Copy:
    """A slot's memory from one node to another; a slot that is made again has several."""

    slot: int
    first: int
    last: int
    name: int | None = None  # the number of the slot in the new plan, where it is not the old one


@dataclass(eq=False)
class Remake:
    """Pieces to run before a node, in order, and what that keeps alive for longer."""

    pieces: list[Piece] = field(default_factory=list)
    longer: list[Copy] = field(default_factory=list)

    @property
    def work(self) -> int:
        return sum(piece.work for piece in self.pieces)


class Search:
    """Memory of a plan over its nodes, and how it changes with nodes that run again."""

    def __init__(self, nodes: list, stored: list[set[int]], sizes: dict[int, int], passing: set[int]) -> None:
        self.nodes, self.sizes, self.passing = nodes, sizes, passing
        self.reads: dict[int, list[int]] = {}
        self.writes: dict[int, list[int]] = {}
        self.copies: dict[int, list[Copy]] = {}
        self.pieces: dict[int, Piece | None] = {}
        self.added: dict[int, list[tuple[Piece, dict[int, Copy]]]] = {}
        self.budget = 0.0
        changes = [0] * (len(nodes) + 1)  # of the memory that is alive
        for at, node in enumerate(nodes):
            read, written = node.slots_read, written_by(node)
            for slot in read:
                self.reads.setdefault(slot, []).append(at)
            for slot in written:
                self.writes.setdefault(slot, []).append(at)
            for slot in read | stored[at]:
                if slot in passing:
                    self.copies.setdefault(slot, [Copy(slot, at, at)])[0].last = at
            scratch = sum(node.scratch)
            changes[at] += scratch
            changes[at + 1] -= scratch
            self.budget += SHARE * work_of(node, stored[at], sizes)
        for slot, (copy,) in self.copies.items():
            changes[copy.first] += sizes[slot]
            changes[copy.last + 1] -= sizes[slot]
        self.alive = list(accumulate(changes[:-1]))

    def live(self, nbytes: int, first: int, last: int) -> None:
        for at in range(first, last + 1):
            self.alive[at] += nbytes

    def run(self) -> None:
        """Free what can be freed where most memory is alive, until there is nothing left to free."""
        for _ in range(ROUNDS):
            peak = self.alive.index(max(self.alive))
            found = sorted(self.choices(peak), key=lambda choice: choice[0])
            done = False
            for _, copy in found:
                if self.alive[peak] < max(self.alive):
                    break
                gap = self.gap(copy, peak)  # what was done since may read it, too
                remake = self.remake(copy.slot, gap[1]) if gap else None
                if remake and remake.work <= self.budget and self.gain(remake, copy, gap, peak) > 0:
                    self.apply(remake, copy, gap)
                    done = True
            if not done:
                return

    def choices(self, peak: int) -> Iterator[tuple[float, Copy]]:
        """(work for each byte that it frees, what) of all that can be freed at a node."""
        for slot, copies in self.copies.items():
            if self.sizes[slot] < LEAST or len(self.writes[slot]) > 1:
                continue
            for copy in copies:
                gap = self.gap(copy, peak)
                remake = self.remake(slot, gap[1]) if gap else None
                gain = self.gain(remake, copy, gap, peak) if remake else 0
                if gain > 0:
                    yield remake.work / gain, copy

    def gap(self, copy: Copy, peak: int) -> tuple[int, int] | None:
        """The nodes before and after a node between which nobody reads a slot; None where it is read there, or not there."""
        if not copy.first < peak < copy.last:
            return None
        reads = self.reads.get(copy.slot, [])
        left, right = bisect_left(reads, peak), bisect_right(reads, peak)
        if left != right or right == len(reads):
            return None
        before = max(reads[left - 1], copy.first) if left else copy.first
        return before, reads[right]

    def gain(self, remake: Remake, copy: Copy, gap: tuple[int, int], peak: int) -> int:
        """The bytes that are free at a node while a slot waits to be made again."""
        return self.sizes[copy.slot] - sum(
            self.sizes[one.slot] for one in remake.longer if one.last < peak < gap[1]
        )

    def remake(self, slot: int, at: int, depth: int = DEPTH) -> Remake | None:
        """How a slot can be made before a node; None where it cannot, or not with little memory."""
        if slot not in self.pieces:
            self.pieces[slot] = self.piece(slot)
        piece = self.pieces[slot]
        if piece is None:
            return None
        found = Remake()
        made = self.writes[slot][0]
        for one in piece.reads:
            if self.changes(one, made, at):
                return None
            if one not in self.passing or self.copy_at(one, at):
                continue
            if one not in self.copies:
                return None
            if 2 * self.sizes[one] <= self.sizes[slot]:
                before = max((c for c in self.copies[one] if c.last < at), key=lambda c: c.last)
                found.longer.append(before)
                continue
            more = self.remake(one, at, depth - 1) if depth > 1 else None
            if more is None:
                return None
            found.pieces += [p for p in more.pieces if p not in found.pieces]
            found.longer += [c for c in more.longer if c not in found.longer]
        found.pieces.append(piece)
        return found

    def changes(self, slot: int, made: int, at: int) -> bool:
        """Whether a slot may hold something else before a node than when another one used it."""
        writes = self.writes.get(slot, ())
        if list(writes) == [made] and slot in members_outputs(self.nodes[made]):
            return False
        return any(made <= k < at for k in writes)

    def piece(self, slot: int) -> Piece | None:
        writes = self.writes.get(slot, ())
        if slot not in self.passing or len(writes) != 1:
            return None
        return piece_of(self.nodes[writes[0]], slot, self.sizes)

    def copy_at(self, slot: int, at: int) -> Copy | None:
        """The memory of a slot that is there just before a node and at it."""
        copies = self.copies.get(slot, ())
        return next(
            (c for k, c in enumerate(copies) if c.first < at + (k > 0) and at <= c.last), None
        )  # those after the first are made before their node

    def apply(self, remake: Remake, copy: Copy, gap: tuple[int, int]) -> None:
        """Run pieces before the node after the gap."""
        before, after = gap
        for one in remake.longer:
            self.live(self.sizes[one.slot], one.last + 1, after)
            one.last = after
        pieces = self.added.setdefault(after, [])
        for piece in remake.pieces:
            new: dict[int, Copy] = {}
            for slot in piece.makes:
                last = after
                if slot == copy.slot:
                    last = copy.last
                    self.live(-self.sizes[slot], before + 1, after - 1)
                    copy.last = before
                else:
                    self.live(self.sizes[slot], after, after)
                new[slot] = Copy(slot, after, last)
                if slot == copy.slot:
                    self.copies[slot].append(new[slot])
            for slot in piece.reads:
                reads = self.reads.setdefault(slot, [])
                if after not in reads:
                    reads.insert(bisect_left(reads, after), after)
            pieces.append((piece, new))
        self.budget -= remake.work

    # -- the new nodes --
    def result(self, slots: int) -> tuple[list, dict[int, int]]:
        """The nodes with those that run again, and the bytes of the new slots, which are numbered from `slots` on."""
        found: list = []
        sizes: dict[int, int] = {}
        for at, node in enumerate(self.nodes):
            beside: dict[int, int] = {}  # what is made for the pieces before this node alone
            for piece, new in self.added.get(at, ()):
                read = self.names(piece.reads, at) | {s: beside[s] for s in piece.reads if s in beside}
                names = dict(zip(piece.makes, range(slots, slots + len(piece.makes))))
                slots += len(names)
                for slot, copy in new.items():
                    copy.name = beside[slot] = names[slot]
                    sizes[copy.name] = self.sizes[slot]
                found.append(renamed(piece.node, read, names))
            read = self.names(node.slots_read, at)
            found.append(renamed(node, read, {}) if read else node)
        return found, sizes

    def names(self, slots: set[int], at: int) -> dict[int, int]:
        """The new numbers of slots that a node reads."""
        found = {}
        for slot in slots:
            if len(self.copies.get(slot, ())) > 1:
                copy = next((c for c in self.copies[slot] if c.first <= at <= c.last), None)
                if copy and copy.name is not None:
                    found[slot] = copy.name
        return found


def written_by(node: object) -> set[int]:
    """The slots that a node writes, inputs that its operator writes in place among them."""
    written = set(node.slots_written)
    if not isinstance(node, Loop):
        entry = node.entry
        for k, one in enumerate(entry.inputs):
            if entry.written >> k & 1:
                written.update(slot for slot, _ in (one if isinstance(one, list) else [one]))
    return written


def members_outputs(node: object) -> set[int]:
    """The results of the operator around which a node was made, which loops of the node may read."""
    return set() if isinstance(node, Loop) else set(node.entry.outputs)


def place_slots(plan: Plan) -> None:
    """Let a plan find its own slots by their places in the arena: at run time there are those of the recording alone."""
    places = {slot: at for slot, at in plan.arena if slot in plan.again}
    plan.arena = [one for one in plan.arena if one[0] not in places]
    plan.moves = [
        (word, ARENA, places[slot] + by) if slot in places else (word, slot, by)
        for word, slot, by in plan.moves
    ]


# -- nodes over other slots ----------------------------------------------------------------------------------


def renamed(node: object, read: dict[int, int], made: dict[int, int]):
    """A node that reads and makes other slots."""
    if isinstance(node, Loop):
        return renamed_loop(node, read, made)
    entry = renamed_entry(node.entry, read, made)
    if isinstance(node, Products):
        return Products(entry, {k: renamed_loop(loop, read, made) for k, loop in node.loops.items()})
    if isinstance(node, Reduced):
        return Reduced(entry, renamed_loop(node.loop, read, made))
    slots_read = {read.get(s, s) for s in node.slots_read}
    return type(node)(entry, slots_read, {made.get(s, s) for s in node.slots_written})


def renamed_loop(loop: Loop, read: dict[int, int], made: dict[int, int]) -> Loop:
    reads = {a._replace(slot=read.get(a.slot, a.slot)): e for a, e in loop.reads.items()}
    writes = {a._replace(slot=made.get(a.slot, a.slot)): e for a, e in loop.writes.items()}
    members = loop.members
    if len(members) == 1:  # it may run as it is
        members = [renamed_entry(members[0], read, made)]
    return type(loop)(loop.shape, reads, writes, loop.numbers, members, loop.cost, loop.asked)


def renamed_entry(entry: Entry, read: dict[int, int], made: dict[int, int]) -> Entry:
    def other(places: Sequence) -> list:
        return [other(one) if isinstance(one, list) else (read.get(one[0], one[0]), one[1]) for one in places]

    first = made.get(entry.first_output, entry.first_output)
    return replace(entry, inputs=other(entry.inputs), first_output=first)
