"""The thread pool in the kernel language: workers, and loops whose chunks they share."""

from __future__ import annotations

import platform
import sys

from .kernels_memory import OBJECT, WORD
from .native import (
    apart,
    atomic_add,
    atomic_compare_swap,
    atomic_load,
    atomic_store,
    bitcast,
    call_c,
    call_pointer,
    global_array,
    local,
    native,
    pause,
)  # fmt: skip
from .types import i32, i64, ptr, void

SPINS = 4000  # about 50 us of pauses before a worker sleeps
FUTEX = {"x86_64": 202, "aarch64": 98}.get(platform.machine(), 0) if sys.platform == "linux" else 0
GETTID = {"x86_64": 186, "aarch64": 178}.get(platform.machine(), 0)
SEATS = 512  # workers that are kept away from the processor of the thread that wakes them
CPU_WORDS = 16  # a processor mask of 1024 bits
SHARES = 64  # ranges at most that a loop is cut into
LINE = 8  # words of a cache line

# words of the global `team`: 0 workers, 1 limit, 2 busy, 3 open, 4 inside, 5 ranges, 6 fn, 7 frame, 8 params, 9 n, 10 chunk,
#                             11 sleepers, 12 stop; word 16 is the generation (a cache line of its own)
# words of the global `ranges`, a cache line each: 0 where its next chunk begins, 1 where it ends
# words of the global `seats`, two a worker: its system thread, and 1 + the processor that it keeps away from (0: none)


@native
def team_words() -> WORD:
    return global_array("team", i64, 32)


@native
def seat_words() -> WORD:
    return global_array("seats", i64, 2 * SEATS)


@native
def share_out(team: WORD, n: i64, chunk: i64):
    """Cut a loop into one range of chunks a thread: what a thread wrote in one loop it finds in its cache in the next."""
    count = min(min(team[0], team[1]) + 1, i64(SHARES))
    chunks = (n + chunk - 1) // chunk
    ranges = global_array("ranges", i64, SHARES * LINE)
    team[5] = count
    for k in range(count):
        atomic_store(ranges + k * LINE, chunks * k // count * chunk)
        ranges[k * LINE + 1] = min(chunks * (k + 1) // count * chunk, n)


@apart
@native
def work(team: WORD, number: i64):
    """Run the chunks of the thread's own range of the current job, then what is left of the others'."""
    fn = bitcast(team[6], OBJECT)
    frame = bitcast(team[7], WORD)
    params = bitcast(team[8], WORD)
    chunk = team[10]
    count = team[5]
    for k in range(count):
        own = global_array("ranges", i64, SHARES * LINE) + (number + k) % count * LINE
        end = own[1]
        begin = atomic_add(own, chunk)
        while begin < end:
            call_pointer(fn, void, frame, params, begin, min(begin + chunk, end))
            begin = atomic_add(own, chunk)


@native
def worker(number: i64):
    """The life of a worker thread: spin a little, then sleep, until a job or the end comes."""
    team = global_array("team", i64, 32)
    generation = bitcast(team + 16, ptr(i32))
    seen = i32(0)
    if FUTEX:
        if number < SEATS:
            seat_words()[2 * number] = call_c("syscall", i64, i64(GETTID))
    while True:
        spins = 0
        while atomic_load(generation) == seen:
            spins += 1
            pause()
            if spins > SPINS:
                atomic_add(team + 11, 1)
                if FUTEX:
                    zero = i64(0)
                    call_c("syscall", i64, i64(FUTEX), generation, i64(128), i64(seen), zero, zero, zero)
                else:
                    call_c("usleep", i32, i32(200))
                atomic_add(team + 11, -1)
                spins = 0
        seen = atomic_load(generation)
        if atomic_load(team + 12) != 0:
            return
        if number < team[1]:
            atomic_add(team + 4, 1)
            if atomic_load(team + 3) != 0:
                work(team, number + 1)
            atomic_add(team + 4, -1)


@apart
@native
def seat_workers(workers: i64):
    """Keep sleeping workers away from this thread's processor: the system may wake them on it, to wait for its end."""
    seats = seat_words()
    own = i64(call_c("sched_getcpu", i32))
    mask = local(i64, CPU_WORDS)
    if own >= 0 and own < 64 * CPU_WORDS:
        for k in range(min(workers, i64(SEATS))):
            if seats[2 * k] != 0 and seats[2 * k + 1] != own + 1:
                if call_c("sched_getaffinity", i32, i32(0), i64(8 * CPU_WORDS), mask) == 0:
                    kept = mask[own >> 6]
                    mask[own >> 6] = kept & ~(i64(1) << (own & 63))
                    others = i64(0)
                    for w in range(CPU_WORDS):
                        others = others | mask[w]
                    if others == 0:
                        mask[own >> 6] = kept
                    call_c("sched_setaffinity", i32, i32(seats[2 * k]), i64(8 * CPU_WORDS), mask)
                seats[2 * k + 1] = own + 1


@apart
@native
def wake():
    team = global_array("team", i64, 32)
    generation = bitcast(team + 16, ptr(i32))
    atomic_add(generation, 1)
    if FUTEX:
        if atomic_load(team + 11) != 0:
            seat_workers(team[0])
            zero = i64(0)
            call_c("syscall", i64, i64(FUTEX), generation, i64(129), i64(1 << 20), zero, zero, zero)


@native
def team_wake(unused: i64):
    wake()


@apart
@native
def run_chunks(fn: OBJECT, frame: WORD, params: WORD, n: i64, chunk: i64):
    """fn over [0, n) in chunks, on all free threads; the same chunks whatever their number."""
    team = global_array("team", i64, 32)
    if n <= chunk:
        call_pointer(fn, void, frame, params, i64(0), n)
    else:
        shared = False
        if team[0] > 0 and team[1] > 0:
            shared = atomic_compare_swap(team + 2, 0, 1)
        if shared:
            team[6] = bitcast(fn, i64)
            team[7] = bitcast(frame, i64)
            team[8] = bitcast(params, i64)
            team[9] = n
            team[10] = chunk
            share_out(team, n, chunk)
            atomic_store(team + 3, 1)
            wake()
            work(team, i64(0))
            atomic_store(team + 3, 0)
            while atomic_load(team + 4) != 0:
                pause()
            atomic_store(team + 2, 0)
        else:
            begin = 0
            while begin < n:
                call_pointer(fn, void, frame, params, begin, min(begin + chunk, n))
                begin += chunk


@native
def team_run(fn: OBJECT, frame: WORD, params: WORD, n: i64, chunk: i64):
    """run_chunks for kernels that start parallel work themselves, such as a matrix product."""
    run_chunks(fn, frame, params, n, chunk)
