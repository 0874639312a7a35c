"""Python's handle on recordings: start and end them, read what was recorded, attach a plan to it.

A recording notes the calls of programs instead of running them (`kernels_record`). `settle` runs what was noted: through
the plan that is known for it, else through one that `PLANNER` makes.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from . import jit, runtime
from .kernels_memory import FOREIGN
from .kernels_plan import REPEATING, STEP
from .kernels_record import ENTRY

_words = runtime.recorder
LIMIT = 4096  # entries after which a recording is run, so that an endless loop does not fill the memory
_free = ctypes.CDLL(None).free
_free.argtypes = [ctypes.c_void_p]
_release = ctypes.pythonapi.Py_DecRef
_release.argtypes = [ctypes.c_void_p]
PLAN = 21  # words of a plan
LOOKED_AT = 16  # plans, the last ones made, that tell whether plans are used again
MOST_BYTES = 64 << 20  # results of a recording without a plan, in which nothing is used twice
_BUSY = 1  # stands for a recording thread while its plan is being made: no thread has this number

#: what is told of each plan that is made: LOG[0](attached, those before it)
LOG: list[Callable] = []


@dataclass
class Entry:
    """One noted call of a program."""

    program: int  # address of its words
    inputs: list  # (slot, bytes from the slot's start) per tensor, a list of those per list of tensors
    first_output: int
    first_scalar: int
    sizes: tuple[int, ...]  # bytes of each output
    scratch: tuple[int, ...]
    scalars: tuple[int, ...]  # 0 for a float, 1 for an integer
    steps: list[tuple[int, int, int, int]]  # function, parameters, n, chunk
    known: tuple  # what is known of each step
    written: int  # mask of the inputs that are written
    refuses: bool
    above: int = 0  # address of the entry before it

    @property
    def outputs(self) -> range:
        return range(self.first_output, self.first_output + len(self.sizes))


@dataclass
class Trace:
    """What was recorded between two settlings."""

    entries: list[Entry]
    slots: int
    kept: list[int]  # slots of results that are still in use
    outside: list[int]  # slots of memory that was there before
    foreign: set[int]  # those whose address others have, or whose bytes may be another slot's


ARENA = -1  # stands for the slot of the arena itself


@dataclass
class Plan:
    """Everything that `run_recorded` needs, in lists; `attach` writes them to native memory."""

    kept: list[int]
    kept_sizes: list[int]
    frame: list[int] = field(default_factory=list)
    moves: list[tuple[int, int, int]] = field(default_factory=list)  # (frame word, slot, bytes)
    numbers: list[tuple[int, int]] = field(default_factory=list)  # (frame word, scalar)
    inside: list[tuple[int, int]] = field(default_factory=list)  # (frame word, frame word)
    steps: list[tuple[int, int, int, int, int]] = field(default_factory=list)
    arena: list[tuple[int, int]] = field(default_factory=list)  # (slot, place)
    arena_bytes: int = 0
    again: dict[int, int] = field(default_factory=dict)  # bytes of slots that the recording does not have
    scratch: dict[tuple[int, int], int] = field(default_factory=dict)  # (entry, its scratch buffer) -> place
    nodes: list = field(default_factory=list)  # what runs, for `explain`
    node_of_step: list[int] = field(default_factory=list)
    keep: list = field(default_factory=list)  # native memory that lives as long as the plan
    seconds: float = 0.0  # that it took to make
    compiled: int = 0  # kernels that were compiled for it

    def add_step(self, function: int, parameters: list[int], n: int, chunk: int, start: int) -> None:
        """Append a step of the plan's own, with its parameters."""
        memory = runtime.words(parameters, later=True)
        self.keep.append(memory)
        self.steps.append((jit.word(function), runtime.address(memory), n, max(1, chunk), start))


class Root:
    """The beginning of a trie of entries, with what hangs on it; freed as a whole."""

    def __init__(self, changing: bool | None = None) -> None:
        self.memory = runtime.words([0] * ENTRY)
        self.address = runtime.address(self.memory)
        self.plans: list[Attached] = []
        self.made = 0  # how much happened for the first time, planned or not
        self.once: set[tuple] = set()  # what ran once without a plan: last entry, slots kept
        self.after: Root | None = None  # from where recordings go on after all these
        self.changing = changing  # whether sizes are said to change, or not to

    def changes(self) -> bool:
        """Whether the next recording may well be the only one of its kind: from where on most plans ran only once."""
        if self.changing is None and len(self.plans) >= LOOKED_AT:
            if 2 * sum(one.runs > 1 for one in self.plans[-LOOKED_AT:]) < LOOKED_AT:
                self.changing = True
        return bool(self.changing)

    def __del__(self, ending=sys.is_finalizing) -> None:
        if not ending():
            self.free()

    def free(self) -> None:
        """Free all entries and plans below."""
        if self.plans:
            runtime.drop_arena()
        stack, self.plans, self.once, self.after = [_read(self.address, 2)[1]], [], set(), None
        _write(self.address, 1, 0)
        while stack:
            at = stack.pop()
            while at:
                entry = _read(at, ENTRY)
                if entry[1]:
                    stack.append(entry[1])
                _release(entry[8])
                _free(at)
                at = entry[2]


class Attached:
    """A plan in native memory. Its lists, many times as large, are made again for who wants to look at them."""

    __slots__ = ("words", "keep", "following", "last", "known", "seconds", "compiled", "again")

    def __init__(
        self, plan: Plan, trace: Trace, last: int, words: object, keep: list, following: Root, again: bool
    ) -> None:
        self.words, self.last, self.following = words, last, following
        self.again = again  # whether this ran before, without a plan
        self.keep = [*keep, *plan.keep]
        self.known = trace.slots, tuple(trace.kept), tuple(trace.outside), frozenset(trace.foreign)
        self.seconds, self.compiled = plan.seconds, plan.compiled

    @property
    def trace(self) -> Trace:
        """What was recorded."""
        slots, kept, outside, foreign = self.known
        return Trace(_entries(self.last), slots, list(kept), list(outside), set(foreign))

    @property
    def plan(self) -> Plan:
        """The plan as it was made."""
        from .planning import make_plan

        return make_plan(self.trace)

    @property
    def runs(self) -> int:
        return _read(runtime.address(self.words), PLAN)[19]

    @property
    def came_again(self) -> bool:
        """Whether what was planned happened more than once."""
        return self.again or self.runs > 1

    @property
    def steps(self) -> int:
        """How many kernels run."""
        return _read(runtime.address(self.words), PLAN)[8]

    def count_time(self, clock: int = time.CLOCK_MONOTONIC) -> object:
        """Count the time of each step from here on, in the memory that is given back (nanoseconds)."""
        _words[18] = clock
        memory = runtime.words([0] * max(1, self.steps))
        _write(runtime.address(self.words), 20, runtime.address(memory))
        self.keep.append(memory)
        return memory


def _read(address: int, count: int) -> list[int]:
    return (ctypes.c_int64 * count).from_address(address)[:]


def _write(address: int, k: int, value: int) -> None:
    ctypes.c_int64.from_address(address + 8 * k).value = value


# -- recording -----------------------------------------------------------------------------------------------

_holder: list = [None]  # the root of what is being recorded


def active() -> bool:
    """Whether this thread records."""
    return _words[0] == threading.get_ident()


def begin(root: Root, ahead: bool = True) -> bool:
    """Let this thread record from here on; False when that is not possible now.

    ahead: whether a call that may refuse its input may be noted like any other, where it is seen that it will not.
    """
    if runtime.begin_recording(root.address, LIMIT, ahead):
        _holder[0] = root
        return True
    return False


def end(root: Root) -> None:
    """Run what was recorded since `begin(root)`, and record no more."""
    if WATCHER[0] is None and runtime.end_recording() is not None:  # another thread may record from here on
        if _holder[0] is root and _words[0] == 0:
            _holder[0] = None
        return
    try:
        if _words[5]:
            settle(at_end=True)
        elif _words[3]:
            runtime.run_recorded()
    except BaseException:  # an interrupt while a plan was made, say: results must not be lost
        settle(at_end=True)
        raise
    finally:
        if _words[5]:  # no plan could be made: what was recorded is lost, the next recording is not
            _words[5] = 0
            runtime.run_recorded()
        _holder[0] = None
        _words[0] = 0


def settle(at_end: bool = False) -> None:
    """Run what was recorded. Whoever else asks for that meanwhile waits: the recording thread, or another one."""
    own, told = threading.get_ident(), False
    while True:
        while _words[10] not in (0, own) or (_words[0] == _BUSY and _planning[0] != own):
            time.sleep(0.00005)
        if _words[0] in (0, _BUSY) or _words[5] == 0:
            return
        told = told or WATCHER[0] is None
        if told and runtime.run_recorded() is not None:
            return
        with _preparing:
            if _words[10] != 0 or _words[0] in (0, _BUSY) or _words[5] == 0:
                continue  # another thread was faster
            owner, _words[0], _planning[0] = _words[0], _BUSY, own
            following = None
            try:
                if told:  # there is no plan; once more where a result dies while it is made
                    following = _attach_or_go_on()
                else:
                    told = True
                    WATCHER[0].segment(at_end, owner)
            finally:
                _words[0] = owner
            if following is not None and runtime.run_once(following.address, MOST_BYTES) is not None:
                return


def _attach_or_go_on() -> Root | None:
    """Make a plan, or give the place from which to go on where the recording is to run without one, for once."""
    root = _holder[0]
    key = _words[2], *_kept()
    if key in root.once:
        root.once.remove(key)
        attach(*_trace(), root.after)
        return None
    root.made += 1
    if root.changes():
        root.once.add(key)
        root.after = root.after or Root()
        return root.after
    attach(*_trace())
    return None


def _kept() -> list[int]:
    """Slots of the results of the recording that are still in use."""
    slots = _read(_words[6], 3 * _words[3]) if _words[3] else []
    return [k for k in range(_words[3]) if slots[3 * k] and not slots[3 * k + 1]]


_preparing = threading.RLock()
#: what is told of every settling, with `segment(at_end, recording thread)`, before it runs
WATCHER: list = [None]
_planning = [0]
_settle = settle  # the recorder holds the address of this function
_words[11] = id(_settle)


def _after_fork() -> None:
    """In a child process, what another thread of the parent recorded or ran will never be done."""
    global _preparing
    _preparing = threading.RLock()
    if not active():
        _words[0] = _words[5] = _words[10] = 0
        runtime.run_recorded()  # forgets


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=lambda: settle() if _words[0] == threading.get_ident() else None, after_in_child=_after_fork
    )


class Segment(NamedTuple):
    """What a settling is about to run: what is needed to run it again without its Python."""

    trace: Trace
    last: int  # address of the last entry
    outside: list[tuple[int, object, int, int]]  # slot, capsule, start in bytes, address of the block
    kept: list[tuple[int, int]]  # slot, address of the block
    scalars: list[int]  # as words


def segment() -> Segment:
    """The recording as it is now."""
    trace, last = _trace()
    slots = _read(_words[6], 3 * _words[3]) if _words[3] else []
    outside = [
        (k, ctypes.cast(slots[3 * k + 1], ctypes.py_object).value, slots[3 * k + 2], slots[3 * k])
        for k in trace.outside
    ]
    scalars = _read(_words[8], _words[4]) if _words[4] else []
    return Segment(trace, last, outside, [(k, slots[3 * k]) for k in trace.kept], scalars)


def plan_of(last: int, kept: list[int]) -> int:
    """Address of the plan of an entry that keeps these slots; 0 when there is none."""
    at = _read(last, 5)[4]
    while at:
        words = _read(at, 3)
        if words[1] == len(kept) and (not kept or _read(words[2], len(kept)) == kept):
            return at
        at = words[0]
    return 0


def block_address(memory: object) -> int:
    """Address of the block that a capsule stands for."""
    return _pointer(memory, None)


_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_pointer.restype, _pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]


def give_back() -> None:
    """Let threads record again, after several plans were repeated without one between them."""
    if _words[0] == REPEATING:
        _words[0] = 0


def version_of(memory: object) -> int:
    """How often the memory that a capsule stands for was written in place; negative in inference mode."""
    return _read(block_address(memory), 3)[2]


def set_version(memory: object, version: int) -> None:
    """Let memory count so many writes in place."""
    _write(block_address(memory), 2, version)


def write_bytes(address: int, data: bytes) -> None:
    """Write into native memory."""
    ctypes.memmove(address, data, len(data))


def counts() -> tuple[int, int, int]:
    """How many entries were made, addresses asked for, and plans run, so far."""
    return _words[12], _words[19], _words[15]


def scalars_so_far() -> int:
    """How many numbers the recording holds."""
    return _words[4]


# -- reading a trace -----------------------------------------------------------------------------------------


def _trace() -> tuple[Trace, int]:
    """The recording as it is now, and the address of its last entry."""
    last = _words[2]
    entries = _entries(last)
    slots = _read(_words[6], 3 * _words[3]) if _words[3] else []
    count = _words[3]
    kept = _kept()
    outside = [k for k in range(count) if slots[3 * k + 1]]
    foreign = set()
    for k in outside:
        block = _read(slots[3 * k], 6)
        if block[3] == FOREIGN or block[5]:
            foreign.add(k)
    return Trace(entries, count, kept, outside, foreign), last


def _entries(last: int) -> list[Entry]:
    """The entries up to one at an address, from the beginning of their recording."""
    at, path = last, []
    while at:
        head = _read(at, ENTRY)
        if head[3]:
            path.append(_read(at, ENTRY + head[6]))
        at = head[3]
    path.reverse()
    entries, scalars = [], 0
    for words in path:
        entry = read_entry(words, scalars)
        entry.above = words[3]
        scalars += len(entry.scalars)
        entries.append(entry)
    return entries


def read_entry(words: list[int], first_scalar: int) -> Entry:
    """An entry from its native words."""
    address = words[0]
    n_out, n_in, n_scratch, n_scalar, n_steps, flags, written = _read(address, 7)
    body = _read(address + 64, n_out + n_scratch + n_scalar + n_in + 4 * n_steps)
    sizes, at = tuple(body[:n_out]), n_out
    scratch, at = tuple(body[at : at + n_scratch]), at + n_scratch
    scalars, at = tuple(body[at : at + n_scalar]), at + n_scalar
    kinds, at = body[at : at + n_in], at + n_in
    steps = [tuple(body[k : k + 4]) for k in range(at, at + 4 * n_steps, 4)]
    inputs: list = []
    k = ENTRY
    for kind in kinds:
        if kind:
            half = words[k]
            inputs.append([(words[j], words[j + 1]) for j in range(k + 1, k + 1 + 2 * half, 2)])
            k += 1 + 2 * half
        else:
            inputs.append((words[k], words[k + 1]))
            k += 2
    if not n_out and not written:
        written = (1 << n_in) - 1  # it can only be there for something that it writes
    known = runtime.programs[address][1]
    return Entry(
        address, inputs, words[7], first_scalar, sizes, scratch, scalars, steps, known, written,
        bool(flags & runtime.REFUSES),
    )  # fmt: skip


# -- attaching a plan ----------------------------------------------------------------------------------------


def attach(trace: Trace, last: int, following: Root | None = None) -> None:
    """Make the plan of a trace and hang it on its last entry. following: where the next recording goes on."""
    begun, compiled = time.perf_counter(), jit.counts["compiled"]
    from .planning import make_plan

    plan = make_plan(trace)
    plan.steps = runtime.completed(plan.steps)
    plan.seconds, plan.compiled = time.perf_counter() - begun, jit.counts["compiled"] - compiled
    again, following = following is not None, following or Root()
    moves = [(word, trace.slots if slot == ARENA else slot, by) for word, slot, by in plan.moves]
    flat = {
        5: plan.frame, 7: [x for move in moves for x in move], 9: [x for s in plan.steps for x in s],
        12: [x for pair in plan.arena for x in pair], 13: plan.kept_sizes, 2: plan.kept,
        15: [x for pair in plan.numbers for x in pair], 17: [x for pair in plan.inside for x in pair],
    }  # fmt: skip
    words = [0] * PLAN
    counts = {1: plan.kept, 4: plan.frame, 6: plan.moves, 8: plan.steps, 11: plan.arena, 14: plan.numbers,
              16: plan.inside}  # fmt: skip
    for k, what in counts.items():
        words[k] = len(what)
    keep = []
    for k, values in flat.items():
        memory = runtime.words(values)
        keep.append(memory)
        words[k] = runtime.address(memory)
    words[0] = _read(last, 5)[4]
    words[3] = following.address
    words[10] = plan.arena_bytes
    words[18] = int(any(n > chunk for _, _, n, chunk, _ in plan.steps) or len(plan.steps) > 64)
    memory = runtime.words(words)
    assert len(plan.steps[0]) == STEP if plan.steps else True
    known, made = _holder[0].plans, Attached(plan, trace, last, memory, keep, following, again)
    known.append(made)  # before anything points to it: an interrupt may come at any line
    _write(last, 4, runtime.address(memory))
    if LOG:
        LOG[0](made, known[:-1])
