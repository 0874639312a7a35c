"""The run-time core in the kernel language: memory blocks, the thread pool, and the launcher of programs.

Memory block: a header of 8 words, then the data.
    0 data address   1 bytes   2 version   3 size class (-1: foreign memory)   4 owner object   5 next free   6 capacity
Python holds a block through a capsule, whose destructor gives it back to the pool.

Program (int64 words; see `program.py`):
    0 outputs  1 inputs  2 scratch buffers  3 scalars  4 steps  5 flags  6 mask of inputs whose version is bumped  7 -
    then bytes of each output, bytes of each scratch buffer, kinds of the scalars (0 float, 1 int),
    kinds of the inputs (0 tensor, 1 tuple of tensors), then per step: function, parameters, n, chunk.

Frame (what a kernel receives): 0 error code, 1 value, 2 position, 3 -, then addresses of outputs and inputs, then
the scalars (floats as float64 bits), then addresses of scratch buffers.
"""

from __future__ import annotations

import platform
import sys

from .native import (
    address_of,
    atomic_add,
    atomic_compare_swap,
    atomic_load,
    atomic_store,
    bitcast,
    call_c,
    call_pointer,
    fill_bytes,
    global_array,
    leading_zeros,
    local,
    native,
    pause,
    symbol,
)  # fmt: skip
from .types import f64, i8, i32, i64, ptr, void

WORD = ptr(i64)
OBJECT = ptr(i8)
OBJECTS = ptr(OBJECT)
HEADER = 64
FIRST = 4  # first address in a frame
FRAME_WORDS = 80
SPINS = 4000  # about 50 us of pauses before a worker sleeps
FUTEX = {"x86_64": 202, "aarch64": 98}.get(platform.machine(), 0) if sys.platform == "linux" else 0
GETTID = {"x86_64": 186, "aarch64": 178}.get(platform.machine(), 0)
SEATS = 512  # workers that are kept away from the processor of the thread that wakes them
CPU_WORDS = 16  # a processor mask of 1024 bits
INFERENCE = -(1 << 60)  # versions below zero belong to tensors made in inference mode
HUGE = 4 << 20  # blocks from here on start at a 2 MiB boundary and ask for huge pages
LINUX = sys.platform == "linux"

# words of the global `pool`: 0 bytes in use, 1 peak, 2 bytes cached, 3 limit of the cache, 4 allocations, 5 from cache,
# 6 exception class of a failed allocation, 7 why a tensor of inference mode cannot be saved, 9 or written (addresses),
# 8 whether new blocks are filled with ones (NaN), to find reads of what nobody wrote
# words of the global `team`: 0 workers, 1 limit, 2 busy, 3 open, 4 inside, 5 next, 6 fn, 7 frame, 8 params, 9 n, 10 chunk,
#                             11 sleepers, 12 stop; word 16 is the generation (a cache line of its own)
# words of the global `seats`, two a worker: its system thread, and 1 + the processor that it keeps away from (0: none)


@native
def size_class(nbytes: i64):
    n = max(nbytes, i64(64)) - 1
    e = 63 - leading_zeros(n)
    shift = e - 2
    q = n >> shift
    return e * 4 + (q & 3), (q + 1) << shift


@native
def pool_release(keep: i64):
    """Give cached blocks back to the system."""
    pool = global_array("pool", i64, 16)
    lists = global_array("free_lists", i64, 256)
    for kind in range(256):
        while lists[kind] != 0:
            block = bitcast(lists[kind], WORD)
            lists[kind] = block[5]
            pool[2] -= block[6]
            call_c("free", void, block)


@native
def first_version() -> i64:
    """Version of a new block: 0, or far below where this thread is in inference mode (see `inference_words`)."""
    table = global_array("inference", i64, 32)
    found = i64(0)
    if table[0] != 0:
        own = call_c("pthread_self", i64)
        for k in range(1, 32):
            if table[k] == own:
                found = i64(INFERENCE)
    return found


@native
def block_new(nbytes: i64):
    pool = global_array("pool", i64, 16)
    lists = global_array("free_lists", i64, 256)
    kind, capacity = size_class(nbytes)
    block = bitcast(lists[kind], WORD)
    if bitcast(block, i64) != 0:
        lists[kind] = block[5]
        pool[2] -= capacity
        pool[5] += 1
    else:
        place = local(WORD, 1)
        align = 2097152 if capacity >= HUGE else 64
        failed = i32(0)
        if nbytes < 0 or nbytes > (1 << 47):
            failed = i32(12)
        else:
            failed = call_c("posix_memalign", i32, place, align, capacity + HEADER)
            if failed != 0:
                pool_release(i64(0))
                failed = call_c("posix_memalign", i32, place, align, capacity + HEADER)
        if failed != 0:
            block = bitcast(i64(0), WORD)
        else:
            block = place[0]
            if LINUX:
                if capacity >= HUGE:
                    call_c("madvise", i32, block, capacity + HEADER, i32(14))
    if bitcast(block, i64) != 0:
        block[0] = bitcast(block, i64) + HEADER
        block[1] = nbytes
        block[2] = first_version()
        block[3] = kind
        block[4] = 0
        block[6] = capacity
        pool[0] += capacity
        pool[4] += 1
        if pool[0] > pool[1]:
            pool[1] = pool[0]
        if pool[8] != 0:
            fill_bytes(bitcast(block[0], OBJECT), 255, nbytes)
    return block


@native
def block_free(block: WORD):
    pool = global_array("pool", i64, 16)
    lists = global_array("free_lists", i64, 256)
    if block[3] < 0:
        if block[4] != 0:
            call_c("Py_DecRef", void, bitcast(block[4], OBJECT))
        call_c("free", void, block)
    else:
        pool[0] -= block[6]
        if pool[2] + block[6] <= pool[3]:
            block[5] = lists[block[3]]
            lists[block[3]] = bitcast(block, i64)
            pool[2] += block[6]
        else:
            call_c("free", void, block)


@native
def pool_words() -> WORD:
    return global_array("pool", i64, 16)


@native
def inference_words() -> WORD:
    """0: how many threads are in inference mode; then their identities."""
    return global_array("inference", i64, 32)


@native
def team_words() -> WORD:
    return global_array("team", i64, 32)


@native
def seat_words() -> WORD:
    return global_array("seats", i64, 2 * SEATS)


@native
def capsule_destroy(capsule: OBJECT):
    block_free(bitcast(call_c("PyCapsule_GetPointer", OBJECT, capsule, bitcast(i64(0), OBJECT)), WORD))


@native
def capsule_of(block: WORD):
    return call_c("PyCapsule_New", OBJECT, block, bitcast(i64(0), OBJECT), address_of("capsule_destroy"))


@native
def block_of(capsule: OBJECT):
    return bitcast(call_c("PyCapsule_GetPointer", OBJECT, capsule, bitcast(i64(0), OBJECT)), WORD)


@native
def out_of_memory(nbytes: i64):
    pool = global_array("pool", i64, 16)
    size = call_c("PyLong_FromLongLong", OBJECT, nbytes)
    call_c("PyErr_SetObject", void, bitcast(pool[6], OBJECT), size)
    call_c("Py_DecRef", void, size)


@native
def refuse_inference(word: i64):
    """Raise RuntimeError with the text whose address is a word of `pool`."""
    pool = global_array("pool", i64, 16)
    kind = symbol("PyExc_RuntimeError", OBJECT)
    call_c("PyErr_SetObject", void, kind[0], bitcast(pool[word], OBJECT))


@native
def none_object():
    none = symbol("_Py_NoneStruct", i8)
    call_c("Py_IncRef", void, none)
    return none


# -- thread pool ---------------------------------------------------------------------------------------------


@native
def work(team: WORD):
    """Take chunks of the current job until none is left."""
    fn = bitcast(team[6], OBJECT)
    frame = bitcast(team[7], WORD)
    params = bitcast(team[8], WORD)
    n = team[9]
    chunk = team[10]
    while True:
        begin = atomic_add(team + 5, chunk)
        if begin >= n:
            break
        call_pointer(fn, void, frame, params, begin, min(begin + chunk, n))


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
                work(team)
            atomic_add(team + 4, -1)


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
            atomic_store(team + 5, 0)
            atomic_store(team + 3, 1)
            wake()
            work(team)
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


# -- launcher ------------------------------------------------------------------------------------------------


@native
def drop(objects: OBJECTS, count: i64):
    for i in range(count):
        call_c("Py_DecRef", void, objects[i])


@native
def launch(self: OBJECT, args: OBJECTS, nargs: i64) -> OBJECT:
    """program(memory, offset, ..., scalar, ...) -> memory | tuple of memories | True; None when a kernel refused."""
    null = bitcast(i64(0), OBJECT)
    p = bitcast(block_of(self)[0], WORD)
    n_out, n_in, n_scratch, n_scalar = p[0], p[1], p[2], p[3]
    if nargs != 2 * n_in + n_scalar:
        kind = symbol("PyExc_TypeError", OBJECT)
        call_c("PyErr_SetObject", void, kind[0], call_c("PyLong_FromLongLong", OBJECT, nargs))
        return null
    frame = local(i64, FRAME_WORDS)
    outputs = local(OBJECT, 16)
    temporary = local(OBJECT, 32)
    n_temporary = 0
    made = 0
    failed = False
    frame[0] = 0
    sizes = p + 8
    scratch = sizes + n_out
    scalar_kinds = scratch + n_scratch
    input_kinds = scalar_kinds + n_scalar
    steps = input_kinds + n_in
    place = frame + (FIRST + n_out)
    for i in range(n_in):
        if input_kinds[i] == 0:
            block = block_of(args[2 * i])
            if bitcast(block, i64) == 0:
                return null
            place[i] = block[0] + call_c("PyLong_AsLongLong", i64, args[2 * i + 1])
            if block[2] < 0 and ((p[6] >> i) & 1) != 0:
                if first_version() == 0:
                    refuse_inference(i64(9))
                    return null
    for i in range(n_out):
        block = block_new(sizes[i])
        if bitcast(block, i64) == 0:
            out_of_memory(sizes[i])
            failed = True
            break
        frame[FIRST + i] = block[0]
        outputs[i] = capsule_of(block)
        made += 1
    if not failed:
        for i in range(n_in):
            if input_kinds[i] != 0:
                count = call_c("PyTuple_Size", i64, args[2 * i])
                table = block_new(count * 8)
                temporary[n_temporary] = bitcast(table, OBJECT)
                n_temporary += 1
                words = bitcast(table[0], WORD)
                place[i] = table[0]
                half = count // 2
                for j in range(half):
                    one = block_of(call_c("PyTuple_GetItem", OBJECT, args[2 * i], 2 * j))
                    if bitcast(one, i64) == 0:
                        failed = True
                        break
                    move = call_c(
                        "PyLong_AsLongLong", i64, call_c("PyTuple_GetItem", OBJECT, args[2 * i], 2 * j + 1)
                    )
                    words[j] = one[0] + move
    place = place + n_in
    if not failed:
        for i in range(n_scalar):
            one = args[2 * n_in + i]
            if scalar_kinds[i] == 0:
                x = call_c("PyFloat_AsDouble", f64, one)
                place[i] = bitcast(x, i64)
                if x == -1.0:
                    if bitcast(call_c("PyErr_Occurred", OBJECT), i64) != 0:
                        failed = True
                        break
            else:
                k = call_c("PyLong_AsLongLong", i64, one)
                place[i] = k
                if k == -1:
                    if bitcast(call_c("PyErr_Occurred", OBJECT), i64) != 0:
                        failed = True
                        break
    place = place + n_scalar
    if not failed:
        for i in range(n_scratch):
            block = block_new(scratch[i])
            if bitcast(block, i64) == 0:
                out_of_memory(scratch[i])
                failed = True
                break
            temporary[n_temporary] = bitcast(block, OBJECT)
            n_temporary += 1
            place[i] = block[0]
    if not failed:
        state = null
        if (p[5] & 1) != 0:
            state = call_c("PyEval_SaveThread", OBJECT)
        for i in range(p[4]):
            step = steps + 4 * i
            run_chunks(bitcast(step[0], OBJECT), frame, bitcast(step[1], WORD), step[2], step[3])
            if frame[0] != 0:
                break
        if (p[5] & 1) != 0:
            call_c("PyEval_RestoreThread", void, state)
    for i in range(n_temporary):
        block_free(bitcast(temporary[i], WORD))
    if failed:
        drop(outputs, made)
        return null
    if frame[0] != 0:
        record = global_array("error_record", i64, 8)
        record[0] = frame[0]
        record[1] = frame[1]
        record[2] = frame[2]
        drop(outputs, made)
        return none_object()
    if p[6] != 0:
        for i in range(n_in):
            if ((p[6] >> i) & 1) != 0:
                if input_kinds[i] == 0:
                    touched = block_of(args[2 * i])
                    touched[2] += 1
                else:
                    half = call_c("PyTuple_Size", i64, args[2 * i]) // 2
                    for j in range(half):
                        touched = block_of(call_c("PyTuple_GetItem", OBJECT, args[2 * i], 2 * j))
                        touched[2] += 1
    if n_out == 1:
        return outputs[0]
    if n_out == 0:
        return call_c("PyBool_FromLong", OBJECT, i64(1))
    result = call_c("PyTuple_New", OBJECT, n_out)
    for i in range(n_out):
        call_c("PyTuple_SetItem", i32, result, i, outputs[i])
    return result


@native
def error_words() -> WORD:
    return global_array("error_record", i64, 8)


# -- small functions for Python -------------------------------------------------------------------------------


@native
def py_allocate(self: OBJECT, args: OBJECTS, nargs: i64) -> OBJECT:
    """allocate(nbytes) -> memory"""
    nbytes = call_c("PyLong_AsLongLong", i64, args[0])
    block = block_new(nbytes)
    if bitcast(block, i64) == 0:
        out_of_memory(nbytes)
        return bitcast(i64(0), OBJECT)
    return capsule_of(block)


@native
def py_wrap(self: OBJECT, args: OBJECTS, nargs: i64) -> OBJECT:
    """wrap(address, nbytes, owner) -> memory over foreign bytes; `owner` is kept alive"""
    block = bitcast(call_c("malloc", OBJECT, i64(HEADER)), WORD)
    block[0] = call_c("PyLong_AsLongLong", i64, args[0])
    block[1] = call_c("PyLong_AsLongLong", i64, args[1])
    block[2] = first_version()
    block[3] = -1
    call_c("Py_IncRef", void, args[2])
    block[4] = bitcast(args[2], i64)
    return capsule_of(block)


@native
def py_word(self: OBJECT, args: OBJECTS, nargs: i64) -> OBJECT:
    """word(memory, k) -> word k of its header: 0 address, 1 bytes, 2 version"""
    block = block_of(args[0])
    if bitcast(block, i64) == 0:
        return bitcast(i64(0), OBJECT)
    return call_c("PyLong_FromLongLong", OBJECT, block[call_c("PyLong_AsLongLong", i64, args[1])])


@native
def py_version(self: OBJECT, args: OBJECTS, nargs: i64) -> OBJECT:
    """version(memory) -> how often it was written in place"""
    count = block_of(args[0])[2]
    if count < 0:
        refuse_inference(i64(7))
        return bitcast(i64(0), OBJECT)
    return call_c("PyLong_FromLongLong", OBJECT, count)


@native
def py_set_version(self: OBJECT, args: OBJECTS, nargs: i64) -> OBJECT:
    """set_version(memory, value)"""
    block_of(args[0])[2] = call_c("PyLong_AsLongLong", i64, args[1])
    return call_c("PyBool_FromLong", OBJECT, i64(1))


EXPORTS = {
    "capsule_destroy": capsule_destroy, "launch": launch, "py_allocate": py_allocate, "py_wrap": py_wrap,
    "py_word": py_word, "py_version": py_version, "py_set_version": py_set_version, "pool_release": pool_release,
    "pool_words": pool_words, "team_words": team_words, "seat_words": seat_words,
    "inference_words": inference_words, "error_words": error_words, "worker": worker,
    "team_wake": team_wake, "team_run": team_run,
}  # fmt: skip
