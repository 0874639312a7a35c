"""Loops behind steps that finish their result piece by piece, such as convolutions.

When a task of such a step is done, the loop runs over what the task has finished, while it is in the cache of the thread
that made it. The step's kernel and the loop's are what they are alone; only the order in which they run is another one, so
results are those of the step and the loop one after the other, to the last bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from . import fusion, pointwise, schedule
from .fusion import Access, Loop
from .native import bitcast, call_pointer, native
from .pieces import Cut, Cuts, Pieces
from .types import i8, i64, ptr, void

#: elements of a piece that tasks make together, where they are small: half of a first-level cache
PIECE = 4096
#: elements of a run of memory in a piece from which a call of the loop's kernel pays; where it reads as much from
#: elsewhere, memory must be read in long runs
LEAST_RUN, LONG_RUN = 1024, 4096
#: samples in a piece, at most: their channels compete for the same lines of a cache, as they are often a power of two apart
MOST_SAMPLES = 4
#: tasks that are left for threads to share, at least
SHARED = 16


def takes(pieces: Pieces, steps: Sequence[tuple], first: int, loop: Loop, result: Access) -> bool:
    """Whether a loop can follow the program's steps from the first of these on, and gains by it.

    Its results must lie as the steps' result does, what it reads in lines, and pieces must be few and long.
    """
    others = [a for a in loop.reads if a != result]
    if any(a.strides != result.strides for a in loop.writes):
        return False
    _, merged = pointwise.merge(loop.shape, [result.strides, *(a.strides for a in (*loop.writes, *others))])
    if any(s[-1] not in (0, 1) for s in merged):
        return False
    least = LONG_RUN if any(a.strides == result.strides for a in others) else LEAST_RUN
    pixels = prod(pieces.shape[2:])
    for k, cuts in pieces.steps:
        _, _, n, chunk = steps[first + k]
        grouped = _grouped(cuts, _together(cuts, pieces.shape, n, chunk))
        places, channels = (cut.bounds[1] - cut.bounds[0] for cut in grouped)
        run = pixels * channels if places >= pixels else places
        if n != cuts.tasks or places > MOST_SAMPLES * pixels or run < least:
            return False
    return True


def followed(
    pieces: Pieces, steps: Sequence[tuple], first: int, function: int, parameters: list[int]
) -> dict[int, tuple]:
    """The program's steps from the first of these on that change when a loop's kernel follows them, by number."""
    found = {}
    for k, cuts in pieces.steps:
        own, words, n, chunk = steps[first + k]
        together = _together(cuts, pieces.shape, n, chunk)
        cuts = _grouped(cuts, together)
        made = [own, words, function, together, pieces.shape[1], prod(pieces.shape[2:]), 0]
        tables: list[int] = []
        for cut in cuts:
            made += [cut.every, cut.parts, TABLES + len(tables)]
            tables += cut.bounds
        made[LOOP] = TABLES + len(tables)
        address = schedule.native_address(run_followed, level=1)
        found[first + k] = (address, made + tables + parameters, n // together, max(1, chunk // together))
    return found


def room_of(loop: Loop, result: Access, wanted: set[int]) -> Access | None:
    """The result of a loop in whose place the steps may write theirs, which nobody wants and the loop then works on there."""
    return next(
        (
            a
            for a in loop.writes
            if a.slot in wanted and a.code == result.code and a.slot not in loop.slots_read
        ),
        None,
    )


def loop_kernel(loop: Loop, wanted: set[int], place, number) -> tuple[int, list[int]]:
    """Address and parameters of a loop's kernel. place(access) and number(scalar) give frame words."""
    function, outputs, inputs, numbers = fusion.function_of(loop, wanted)
    operands = [(a.code, a.strides, place(a)) for a in (*outputs, *inputs)]
    scalars = [(code, number(n)) for code, n in numbers]
    address, parameters, _, _ = pointwise.step(
        function, loop.shape, operands, len(outputs), scalars, fusion.cost(function), hot=True
    )
    return address, parameters


def _together(cuts: Cuts, shape: tuple[int, ...], n: int, chunk: int) -> int:
    """How many tasks make a piece: where those of neighbouring channels follow one another, so many that a call pays."""
    parts = cuts.channels.parts
    if cuts.channels.every != 1:
        return 1
    size, most = prod(shape) // n, max(chunk, n // SHARED)
    return max(
        k for k in range(1, parts + 1) if parts % k == 0 and (k == 1 or k <= most and k * size <= PIECE)
    )


def _grouped(cuts: Cuts, together: int) -> Cuts:
    places, channels = cuts
    return Cuts(
        Cut(max(1, places.every // together), places.bounds), Cut(channels.every, channels.bounds[::together])
    )


# -- the kernel ----------------------------------------------------------------------------------------------

#: words: the step's kernel and its parameters, the loop's kernel, tasks of a piece, channels, pixels, place of the loop's
#: parameters, then for places and channels: `every`, parts, where the bounds are
LOOP, PLACES, CHANNELS, TABLES = 6, 7, 10, 13


@native
def part_of(params: ptr(i64), cut: ptr(i64), unit: i64):
    """The part of an axis that a unit has: from, and up to."""
    part = params + (cut[2] + unit // cut[0] % cut[1])
    return part[0], part[1]


@native
def run_followed(frame: ptr(i64), params: ptr(i64), begin: i64, end: i64):
    """Run some tasks of a step, then the loop over what they have finished, and so on."""
    own, loop = bitcast(params[0], ptr(i8)), bitcast(params[2], ptr(i8))
    words, numbers = bitcast(params[1], ptr(i64)), params + params[LOOP]
    together, channels, pixels = params[3], params[4], params[5]
    for unit in range(begin, end):
        place, last = part_of(params, params + PLACES, unit)
        c, last_c = part_of(params, params + CHANNELS, unit)
        call_pointer(own, void, frame, words, unit * together, (unit + 1) * together)
        while place < last:
            n = place // pixels
            length = min(last, (n + 1) * pixels) - place  # of a sample
            start = (n * (channels - 1) + c) * pixels + place
            place += length
            if length == pixels:
                call_pointer(loop, void, frame, numbers, start, start + (last_c - c) * pixels)
            else:
                for _ in range(c, last_c):
                    call_pointer(loop, void, frame, numbers, start, start + length)
                    start += pixels
