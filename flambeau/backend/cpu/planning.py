"""From a trace to a plan: which entries run, what is fused, where intermediate results lie, how the frame is laid out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import count

from . import fusion, fusion_products, fusion_reductions, pointwise, recompute
from .fusion import Loop, Program
from .fusion_products import Products
from .fusion_reductions import Reduced
from .kernels_runtime import FIRST
from .recording import ARENA, Entry, Plan, Trace

ALIGN = 64


def make_plan(trace: Trace) -> Plan:
    """The plan of a trace."""
    leaves = count()
    nodes = [node_of(entry, trace, leaves) for entry in without_repeats(needed(trace), trace)]
    plan = Plan(trace.kept, kept_sizes(trace))
    nodes = fusion.fuse(nodes, set(trace.kept) | set(trace.outside))
    nodes = fusion_products.fuse(nodes, trace.foreign)
    nodes = fusion_reductions.fuse(nodes, trace.foreign)
    nodes, plan.again = recompute.instead_of_saving(nodes, trace, slot_sizes(trace), stored_slots)
    plan.nodes = nodes
    stored = stored_slots(trace, nodes)
    for node, slots in zip(nodes, stored):
        if isinstance(node, (Products, Reduced)):
            node.emit(slots)
    place_in_arena(plan, trace, nodes, stored)
    for number, node in enumerate(nodes):
        before = len(plan.steps)
        if isinstance(node, Loop):
            add_loop(plan, node, stored[number])
        elif isinstance(node, (Products, Reduced)):
            add_fused(plan, node, stored[number], scratch_of(plan, number))
        else:
            add_entry(plan, node.entry, scratch_of(plan, number))
        plan.node_of_step += [number] * (len(plan.steps) - before)
    if plan.again:
        recompute.place_slots(plan)
    return plan


def node_of(entry: Entry, trace: Trace, leaves: Iterator[int]):
    """An entry as a loop, where fusion may take it, or as it is. leaves: numbers for the leaves of loops."""
    read, written = set(slots_read(entry)), set(slots_written(entry)) | set(entry.outputs)
    loop = None if read & trace.foreign else fusion.loop_of(entry, leaves)
    if read & trace.foreign:  # its memory may be that of any other slot
        read = read | set(range(trace.slots))
    return loop or Program(entry, read, written)


def slots_read(entry: Entry):
    """All slots that an entry reads or writes, its outputs apart."""
    for one in entry.inputs:
        if isinstance(one, list):
            for slot, _ in one:
                yield slot
        else:
            yield one[0]


def slots_written(entry: Entry):
    """The slots of inputs that an entry writes."""
    for k, one in enumerate(entry.inputs):
        if entry.written >> k & 1:
            for slot, _ in one if isinstance(one, list) else [one]:
                yield slot


def needed(trace: Trace) -> list[Entry]:
    """The entries whose results somebody sees."""
    outside, wanted = set(trace.outside), set(trace.kept)
    found = []
    for entry in reversed(trace.entries):
        written = set(slots_written(entry))
        if entry.refuses or written & (outside | wanted) or wanted.intersection(entry.outputs):
            wanted.update(slots_read(entry))
            found.append(entry)
    return found[::-1]


def without_repeats(entries: list[Entry], trace: Trace) -> list[Entry]:
    """The entries less those that compute what is there already (common subexpressions).

    Two entries are one where they run the same program on the same memory without numbers of their own, nothing writes to
    that memory in between, nobody ever writes to either result, and the second is not kept.
    """
    if trace.foreign:  # its bytes may be those of any slot
        return entries
    kept = set(trace.kept)
    changing = {slot for entry in entries for slot in slots_written(entry)}
    writes = dict.fromkeys(changing, 0)  # so far
    known: dict[tuple, Entry] = {}
    instead: dict[int, int] = {}  # a result that is left out -> the one that is there
    found = []
    for entry in entries:
        if instead:
            inputs = [[(instead.get(slot, slot), by) for slot, by in one] if isinstance(one, list)
                      else (instead.get(one[0], one[0]), one[1]) for one in entry.inputs]  # fmt: skip
            entry = replace(entry, inputs=inputs)
        written = list(slots_written(entry))
        if (
            not written
            and not entry.scalars
            and not entry.refuses
            and not changing.intersection(entry.outputs)
        ):
            state = [writes.get(slot, 0) for slot in slots_read(entry)]
            first = known.setdefault((entry.program, repr(entry.inputs), *state), entry)
            if first is not entry and not kept.intersection(entry.outputs):
                instead.update(zip(entry.outputs, first.outputs))
                continue
        for slot in written:
            writes[slot] += 1
        found.append(entry)
    return found


def kept_sizes(trace: Trace) -> list[int]:
    sizes = slot_sizes(trace)
    return [sizes[k] for k in trace.kept]


def slot_sizes(trace: Trace) -> dict[int, int]:
    """Bytes of each slot that an entry makes."""
    sizes: dict[int, int] = {}
    for entry in trace.entries:
        sizes.update(zip(entry.outputs, entry.sizes))
    return sizes


def stored_slots(trace: Trace, nodes: list) -> list[set[int]]:
    """For each node the slots that it must write to memory: of what a loop makes, those that somebody else reads."""
    outside = {*trace.kept, *trace.outside}
    readers = Counter(slot for node in nodes for slot in node.slots_read)
    return [
        node.stored(
            outside | {slot for slot in node.slots_written if readers[slot] > (slot in node.slots_read)}
        )
        for node in nodes
    ]


# -- memory --------------------------------------------------------------------------------------------------


class Arena:
    """Places with lifetimes: each takes the lowest room that is free while it lives."""

    def __init__(self) -> None:
        self.placed: list[tuple[int, int, int, int]] = []  # first and last node, place, end
        self.bytes = 0

    def place(self, first: int, last: int, nbytes: int) -> int:
        nbytes = -(-max(1, nbytes) // ALIGN) * ALIGN
        at = 0
        living = [p for p in self.placed if p[0] <= last and first <= p[1]]
        for _, _, begin, end in sorted(living, key=lambda p: p[2]):
            if begin - at >= nbytes:
                break
            at = max(at, end)
        self.placed.append((first, last, at, at + nbytes))
        self.bytes = max(self.bytes, at + nbytes)
        return at


def place_in_arena(plan: Plan, trace: Trace, nodes: list, stored: list[set[int]]) -> None:
    """Places for results that nobody keeps and for scratch, the largest first."""
    kept, sizes = set(trace.kept), slot_sizes(trace) | plan.again
    birth: dict[int, int] = {}
    death: dict[int, int] = {}
    for number, node in enumerate(nodes):
        touched = node.slots_read | stored[number]
        for slot in touched:
            if slot in sizes and slot not in kept:
                birth.setdefault(slot, number)
                death[slot] = number
    wanted: list[tuple] = [(sizes[s], birth[s], death[s], s, None) for s in birth]
    for number, node in enumerate(nodes):
        wanted += [(nbytes, number, number, number, k) for k, nbytes in enumerate(node.scratch)]
    arena = Arena()
    for nbytes, first, last, what, k in sorted(wanted, key=lambda w: -w[0]):
        at = arena.place(first, last, nbytes)
        if k is None:
            plan.arena.append((what, at))
        else:
            plan.scratch[what, k] = at
    plan.arena_bytes = arena.bytes


def scratch_of(plan: Plan, number: int) -> list[int]:
    found, k = [], 0
    while (number, k) in plan.scratch:
        found.append(plan.scratch[number, k])
        k += 1
    return found


# -- frame ---------------------------------------------------------------------------------------------------


def add_entry(plan: Plan, entry: Entry, scratch: list[int]) -> None:
    """Append an entry's frame, laid out as its program has it, and its steps."""
    start = len(plan.frame)
    frame = [0] * FIRST
    for slot in entry.outputs:
        plan.moves.append((start + len(frame), slot, 0))
        frame.append(0)
    tables = []
    for one in entry.inputs:
        if isinstance(one, list):
            tables.append((start + len(frame), one))
        else:
            plan.moves.append((start + len(frame), *one))
        frame.append(0)
    for k in range(len(entry.scalars)):
        plan.numbers.append((start + len(frame), entry.first_scalar + k))
        frame.append(0)
    for at in scratch:
        plan.moves.append((start + len(frame), ARENA, at))
        frame.append(0)
    for word, table in tables:
        plan.inside.append((word, start + len(frame)))
        for slot, move in table:
            plan.moves.append((start + len(frame), slot, move))
            frame.append(0)
    plan.frame += frame
    plan.steps += [(*step, start) for step in entry.steps]


def add_fused(plan: Plan, node: Products | Reduced, stored: set[int], scratch: list[int]) -> None:
    """Append the frame of an entry and of the loops that are fused with it, and the steps of both."""
    start, entry = len(plan.frame), node.entry
    for word, slot in enumerate(entry.outputs, start + FIRST):
        if slot in stored:
            plan.moves.append((word, slot, 0))
    first = start + FIRST + len(entry.sizes)
    plan.moves += [(first + k, *one) for k, one in enumerate(entry.inputs)]
    first += len(entry.inputs)
    plan.numbers += [(first + k, entry.first_scalar + k) for k in range(len(entry.scalars))]
    plan.moves += [(start + word, ARENA, at) for word, at in zip(node.scratch_words, scratch, strict=True)]
    plan.moves += [(start + word, slot, by) for word, slot, by in node.moves]
    plan.numbers += [(start + word, number) for word, number in node.numbers]
    plan.frame += [0] * node.words
    for function, parameters, n, chunk in node.steps:
        if isinstance(parameters, list):
            plan.add_step(function, parameters, n, chunk, start)
        else:
            plan.steps.append((function, parameters, n, chunk, start))


def add_loop(plan: Plan, loop: Loop, stored: set[int]) -> None:
    """Append the kernel of a loop and its frame: addresses of outputs and inputs, then numbers."""
    if len(loop.members) == 1 and loop.slots_written <= stored:
        add_entry(plan, loop.members[0], [])
        return
    function, outputs, inputs, numbers = fusion.function_of(loop, stored)
    if not outputs:
        return
    start = len(plan.frame)
    operands = []
    for k, a in enumerate((*outputs, *inputs)):
        plan.moves.append((start + FIRST + k, a.slot, a.start))
        operands.append((a.code, a.strides, FIRST + k))
    scalars = []
    for k, (code, number) in enumerate(numbers):
        word = FIRST + len(operands) + k
        plan.numbers.append((start + word, number))
        scalars.append((code, word))
    plan.frame += [0] * (FIRST + len(operands) + len(scalars))
    address, parameters, n, chunk = pointwise.step(
        function, loop.shape, operands, len(outputs), scalars, cost=fusion.cost(function)
    )
    plan.add_step(address, parameters, n, chunk, start)
