"""Memory blocks in the kernel language.

Memory block: a header of 8 words, then the data.
    0 data address (0: not computed yet)   1 bytes   2 version   3 size class (FOREIGN, PENDING, SETTLED: see below)
    4 owner object   5 next free; whether the address was given away   6 capacity   7 recording and slot that touched it
Python holds a block through a capsule, whose destructor gives it back to the pool.

A FOREIGN block is a header over bytes that belong to `owner`. A PENDING block is a header alone: what will be its data
is recorded and not computed yet. Once computed, it is SETTLED: its data is a block of its own, right before the address.
"""

from __future__ import annotations

import sys

from .native import (
    address_of,
    apart,
    bitcast,
    call_c,
    fill_bytes,
    global_array,
    leading_zeros,
    local,
    native,
    symbol,
)  # fmt: skip
from .types import i8, i32, i64, ptr, void

WORD = ptr(i64)
OBJECT = ptr(i8)
OBJECTS = ptr(OBJECT)
HEADER = 64
FOREIGN, PENDING, SETTLED = -1, -2, -3
INFERENCE = -(1 << 60)  # versions below zero belong to tensors made in inference mode
HUGE = 4 << 20  # blocks from here on start at a 2 MiB boundary and ask for huge pages
LINUX = sys.platform == "linux"

# words of the global `pool`: 0 bytes in use, 1 peak, 2 bytes cached, 3 limit of the cache, 4 allocations, 5 from cache,
# 6 exception class of a failed allocation, 7 why a tensor of inference mode cannot be saved, 9 or written (addresses),
# 8 whether new blocks are filled with ones (NaN), to find reads of what nobody wrote


@native
def size_class(nbytes: i64):
    n = max(nbytes, i64(64)) - 1
    e = 63 - leading_zeros(n)
    shift = e - 2
    q = n >> shift
    return e * 4 + (q & 3), (q + 1) << shift


@apart
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


@apart
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


@apart
@native
def block_new(nbytes: i64) -> WORD:
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
        block[5] = 0
        block[7] = 0
        block[6] = capacity
        pool[0] += capacity
        pool[4] += 1
        if pool[0] > pool[1]:
            pool[1] = pool[0]
        if pool[8] != 0:
            fill_bytes(bitcast(block[0], OBJECT), 255, nbytes)
    return block


@native
def recorder_words() -> WORD:
    """See `kernels_record`."""
    return global_array("recorder", i64, 32)


@apart
@native
def header_new(nbytes: i64) -> WORD:
    """A pending block: a header whose data has yet to be computed."""
    block = block_new(i64(0))
    if bitcast(block, i64) != 0:
        block[4] = block[3]
        block[3] = PENDING
        block[0] = 0
        block[1] = nbytes
    return block


@apart
@native
def block_free(block: WORD):
    if block[3] >= 0:
        own_free(block)
    elif block[3] == FOREIGN:
        if block[4] != 0:
            call_c("Py_DecRef", void, bitcast(block[4], OBJECT))
        call_c("free", void, block)
    else:
        if block[3] == SETTLED:
            own_free(bitcast(block[0] - HEADER, WORD))
        else:
            recorder = recorder_words()
            if (block[7] >> 24) == recorder[1]:  # nobody will ask for it: its slot is empty
                bitcast(recorder[6], WORD)[3 * (block[7] & 8388607)] = 0
        block[3] = block[4]
        block[4] = 0
        own_free(block)


@apart
@native
def own_free(block: WORD):
    """Give a block back to the pool."""
    pool = global_array("pool", i64, 16)
    lists = global_array("free_lists", i64, 256)
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
def capsule_destroy(capsule: OBJECT):
    block_free(bitcast(call_c("PyCapsule_GetPointer", OBJECT, capsule, bitcast(i64(0), OBJECT)), WORD))


@native
def capsule_of(block: WORD):
    return call_c("PyCapsule_New", OBJECT, block, bitcast(i64(0), OBJECT), address_of("capsule_destroy"))


@native
def block_of(capsule: OBJECT):
    return bitcast(call_c("PyCapsule_GetPointer", OBJECT, capsule, bitcast(i64(0), OBJECT)), WORD)


@apart
@native
def out_of_memory(nbytes: i64):
    pool = global_array("pool", i64, 16)
    size = call_c("PyLong_FromLongLong", OBJECT, nbytes)
    call_c("PyErr_SetObject", void, bitcast(pool[6], OBJECT), size)
    call_c("Py_DecRef", void, size)


@apart
@native
def refuse(word: i64):
    """Raise RuntimeError with the text whose address is a word of `pool`."""
    pool = global_array("pool", i64, 16)
    kind = symbol("PyExc_RuntimeError", OBJECT)
    call_c("PyErr_SetObject", void, kind[0], bitcast(pool[word], OBJECT))


@native
def none_object():
    none = symbol("_Py_NoneStruct", i8)
    call_c("Py_IncRef", void, none)
    return none


@apart
@native
def drop(objects: OBJECTS, count: i64):
    for i in range(count):
        call_c("Py_DecRef", void, objects[i])


@native
def error_words() -> WORD:
    """What a kernel that refused its input left: code, value, position."""
    return global_array("error_record", i64, 8)


@apart
@native
def results_of(outputs: OBJECTS, count: i64) -> OBJECT:
    """What a program returns: one memory, a tuple of them, or True for none."""
    found = bitcast(i64(0), OBJECT)
    if count == 1:
        found = outputs[0]
    elif count == 0:
        found = call_c("PyBool_FromLong", OBJECT, i64(1))
    else:
        found = call_c("PyTuple_New", OBJECT, count)
        for i in range(count):
            call_c("PyTuple_SetItem", i32, found, i, outputs[i])
    return found
