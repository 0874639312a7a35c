"""From a trace to a plan: which entries run, where intermediate results lie, how the frame is laid out."""

from __future__ import annotations

from .kernels_runtime import FIRST
from .recording import ARENA, PLANNER, Entry, Plan, Trace

ALIGN = 64


def make_plan(trace: Trace) -> Plan:
    """The plan of a trace, entry by entry."""
    entries = needed(trace)
    plan = Plan(trace.kept, kept_sizes(trace))
    place_in_arena(plan, trace, entries)
    for number, entry in enumerate(entries):
        add_entry(plan, entry, scratch_of(plan, number))
    return plan


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


def kept_sizes(trace: Trace) -> list[int]:
    sizes = {}
    for entry in trace.entries:
        sizes.update(zip(entry.outputs, entry.sizes))
    return [sizes[k] for k in trace.kept]


# -- memory --------------------------------------------------------------------------------------------------


class Arena:
    """Places with lifetimes: each takes the lowest room that is free while it lives."""

    def __init__(self) -> None:
        self.placed: list[tuple[int, int, int, int]] = []  # first and last entry, place, end
        self.bytes = 0

    def place(self, first: int, last: int, nbytes: int) -> int:
        nbytes = -(-max(1, nbytes) // ALIGN) * ALIGN
        at = 0
        for _, _, begin, end in sorted((p for p in self.placed if p[0] <= last and first <= p[1]), key=lambda p: p[2]):
            if begin - at >= nbytes:
                break
            at = max(at, end)
        self.placed.append((first, last, at, at + nbytes))
        self.bytes = max(self.bytes, at + nbytes)
        return at


def place_in_arena(plan: Plan, trace: Trace, entries: list[Entry]) -> None:
    """Places for results that nobody keeps and for scratch, the largest first."""
    kept, birth, death, sizes = set(trace.kept), {}, {}, {}
    for number, entry in enumerate(entries):
        for slot, nbytes in zip(entry.outputs, entry.sizes):
            birth[slot] = death[slot] = number
            sizes[slot] = nbytes
        for slot in slots_read(entry):
            death[slot] = number
    wanted = [(sizes[s], birth[s], death[s], s, None) for s in birth if s not in kept]
    for number, entry in enumerate(entries):
        wanted += [(nbytes, number, number, number, k) for k, nbytes in enumerate(entry.scratch)]
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



PLANNER.append(make_plan)
