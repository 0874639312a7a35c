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

from .kernels_memory import (
    FOREIGN,
    HEADER,
    OBJECT,
    OBJECTS,
    PENDING,
    WORD,
    block_free,
    block_new,
    block_of,
    capsule_destroy,
    capsule_of,
    drop,
    error_words,
    first_version,
    inference_words,
    none_object,
    out_of_memory,
    pool_release,
    pool_words,
    recorder_words,
    refuse,
    results_of,
)
from .kernels_once import py_run_once
from .kernels_plan import drop_arena, note_refusal, py_begin, py_end, py_repeat, py_run_recorded
from .kernels_record import (
    FIRST,
    FRAME_WORDS,
    LATER,
    bump_versions,
    compiled,
    record,
    settle,
    settled,
    touched,
)
from .kernels_team import run_chunks, seat_words, team_run, team_wake, team_words, worker
from .native import apart, bitcast, call_c, copy_bytes, local, native, symbol
from .types import f32, f64, i32, i64, ptr, u8, void

#: types whose elements `number_at` reads, by its kind
READABLE = ("float32", "float64", "int64", "int32", "bool", "uint8")

# -- launcher ------------------------------------------------------------------------------------------------


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
    recorder = recorder_words()
    if recorder[0] != 0:
        if recorder[0] == call_c("pthread_self", i64) and recorder[10] == 0:
            return record(self, p, args)
    if (p[5] & LATER) != 0:
        if compiled(p) == 0:
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
            if touched(block) != 0:
                if settled(block) == 0:
                    return null
            place[i] = block[0] + call_c("PyLong_AsLongLong", i64, args[2 * i + 1])
            if block[2] < 0 and ((p[6] >> i) & 1) != 0:
                if first_version() == 0:
                    refuse(i64(9))
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
                    if touched(one) != 0:
                        if settled(one) == 0:
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
        note_refusal(frame)
        drop(outputs, made)
        return none_object()
    bump_versions(p, args)
    return results_of(outputs, n_out)


# -- small functions for Python -------------------------------------------------------------------------------


@native
def py_allocate(self: OBJECT, args: OBJECTS, nargs: i64) -> OBJECT:
    """allocate(nbytes) -> memory"""
    recorder_words()[19] += 1  # what a repeated call would not make anew
    nbytes = call_c("PyLong_AsLongLong", i64, args[0])
    block = block_new(nbytes)
    if bitcast(block, i64) == 0:
        out_of_memory(nbytes)
        return bitcast(i64(0), OBJECT)
    return capsule_of(block)


@native
def py_allocate_copy(self: OBJECT, args: OBJECTS, nargs: i64) -> OBJECT:
    """allocate_copy(data) -> memory with a copy of bytes"""
    recorder_words()[19] += 1  # what a repeated call would not make anew
    nbytes = call_c("PyBytes_Size", i64, args[0])
    if nbytes < 0:
        return bitcast(i64(0), OBJECT)
    block = block_new(nbytes)
    if bitcast(block, i64) == 0:
        out_of_memory(nbytes)
        return bitcast(i64(0), OBJECT)
    copy_bytes(bitcast(block[0], OBJECT), call_c("PyBytes_AsString", OBJECT, args[0]), nbytes)
    return capsule_of(block)


@native
def py_wrap(self: OBJECT, args: OBJECTS, nargs: i64) -> OBJECT:
    """wrap(address, nbytes, owner) -> memory over foreign bytes; `owner` is kept alive"""
    block = bitcast(call_c("malloc", OBJECT, i64(HEADER)), WORD)
    block[0] = call_c("PyLong_AsLongLong", i64, args[0])
    block[1] = call_c("PyLong_AsLongLong", i64, args[1])
    block[2] = first_version()
    block[3] = FOREIGN
    block[5] = 0
    block[7] = 0
    call_c("Py_IncRef", void, args[2])
    block[4] = bitcast(args[2], i64)
    return capsule_of(block)


@apart
@native
def reachable(block: WORD) -> i64:
    """Run what was recorded about a block before its bytes are read; 0 where that failed (the error is set)."""
    recorder = recorder_words()
    recorder[19] += 1
    if block[0] == 0 and block[3] == PENDING:
        return settled(block)
    if (recorder[5] != 0 or recorder[10] != 0) and (block[3] == FOREIGN or touched(block) != 0):
        return settle()
    return i64(1)


@native
def py_word(self: OBJECT, args: OBJECTS, nargs: i64) -> OBJECT:
    """word(memory, k) -> word k of its header: 0 address, 1 bytes, 2 version"""
    block = block_of(args[0])
    if bitcast(block, i64) == 0:
        return bitcast(i64(0), OBJECT)
    k = call_c("PyLong_AsLongLong", i64, args[1])
    if k == 0:  # who has the address may read and write: what was recorded comes first
        if reachable(block) == 0:
            return bitcast(i64(0), OBJECT)
    return call_c("PyLong_FromLongLong", OBJECT, block[k])


@apart
@native
def number_at(place: i64, kind: i64) -> OBJECT:
    """The Python number of an element; kind: its place in `READABLE`."""
    if kind == 0:
        return call_c("PyFloat_FromDouble", OBJECT, f64(bitcast(place, ptr(f32))[0]))
    if kind == 1:
        return call_c("PyFloat_FromDouble", OBJECT, bitcast(place, ptr(f64))[0])
    if kind == 2:
        return call_c("PyLong_FromLongLong", OBJECT, bitcast(place, ptr(i64))[0])
    if kind == 3:
        return call_c("PyLong_FromLongLong", OBJECT, i64(bitcast(place, ptr(i32))[0]))
    if kind == 4:
        return call_c("PyBool_FromLong", OBJECT, i64(bitcast(place, ptr(u8))[0]))
    return call_c("PyLong_FromLongLong", OBJECT, i64(bitcast(place, ptr(u8))[0]))


@native
def py_number(self: OBJECT, args: OBJECTS, nargs: i64) -> OBJECT:
    """number(memory, offset, kind) -> the Python number `offset` bytes into the memory (see `number_at`)"""
    block = block_of(args[0])
    if bitcast(block, i64) == 0:
        return bitcast(i64(0), OBJECT)
    if reachable(block) == 0:
        return bitcast(i64(0), OBJECT)
    place = block[0] + call_c("PyLong_AsLongLong", i64, args[1])
    return number_at(place, call_c("PyLong_AsLongLong", i64, args[2]))


@apart
@native
def list_at(place: i64, kind: i64, step: i64, n: i64) -> OBJECT:
    """A list of n numbers that are `step` bytes apart."""
    found = call_c("PyList_New", OBJECT, n)
    if bitcast(found, i64) != 0:
        for i in range(n):
            call_c("PyList_SetItem", i32, found, i, number_at(place + i * step, kind))
    return found


@native
def py_numbers(self: OBJECT, args: OBJECTS, nargs: i64) -> OBJECT:
    """numbers(memory, offset, kind, bytes, n, rows) -> a list of n numbers of so many bytes; of lists where rows > 0"""
    block = block_of(args[0])
    if bitcast(block, i64) == 0:
        return bitcast(i64(0), OBJECT)
    if reachable(block) == 0:
        return bitcast(i64(0), OBJECT)
    place = block[0] + call_c("PyLong_AsLongLong", i64, args[1])
    kind = call_c("PyLong_AsLongLong", i64, args[2])
    step = call_c("PyLong_AsLongLong", i64, args[3])
    n = call_c("PyLong_AsLongLong", i64, args[4])
    rows = call_c("PyLong_AsLongLong", i64, args[5])
    if rows == 0:
        return list_at(place, kind, step, n)
    found = call_c("PyList_New", OBJECT, rows)
    if bitcast(found, i64) != 0:
        for i in range(rows):
            call_c("PyList_SetItem", i32, found, i, list_at(place + i * n * step, kind, step, n))
    return found


@native
def py_give_away(self: OBJECT, args: OBJECTS, nargs: i64) -> OBJECT:
    """give_away(memory) -> its address, known outside now: what is recorded about it must run at once from here on"""
    block = block_of(args[0])
    if bitcast(block, i64) == 0:
        return bitcast(i64(0), OBJECT)
    block[5] = 1
    if reachable(block) == 0:
        return bitcast(i64(0), OBJECT)
    return call_c("PyLong_FromLongLong", OBJECT, block[0])


@native
def py_uncounted(self: OBJECT, args: OBJECTS, nargs: i64) -> OBJECT:
    """uncounted(memory) -> memory over the same bytes, with a count of writes of its own"""
    block = block_of(args[0])
    if bitcast(block, i64) == 0:
        return bitcast(i64(0), OBJECT)
    if reachable(block) == 0:
        return bitcast(i64(0), OBJECT)
    owner = bitcast(args[0], i64)
    if block[3] == FOREIGN:  # perhaps such a handle already: keep the first owner, so that none chains
        if call_c("PyCapsule_IsValid", i32, bitcast(block[4], OBJECT), bitcast(i64(0), OBJECT)) != 0:
            owner = block[4]
    made = bitcast(call_c("malloc", OBJECT, i64(HEADER)), WORD)
    made[0] = block[0]
    made[1] = block[1]
    made[2] = first_version()
    made[3] = FOREIGN
    made[5] = 0
    made[7] = 0
    call_c("Py_IncRef", void, bitcast(owner, OBJECT))
    made[4] = owner
    return capsule_of(made)


@native
def py_set_inference(self: OBJECT, args: OBJECTS, nargs: i64) -> OBJECT:
    """set_inference(on): what this thread allocates from now on belongs to inference mode, or no more"""
    table = inference_words()
    own = call_c("pthread_self", i64)
    seat, free = i64(0), i64(0)
    for k in range(1, 32):
        if table[k] == own:
            seat = i64(k)
        if table[k] == 0 and free == 0:
            free = i64(k)
    if call_c("PyObject_IsTrue", i32, args[0]) != 0:
        if seat == 0 and free != 0:
            table[free] = own
            table[0] += 1
    elif seat != 0:
        table[seat] = 0
        table[0] -= 1
    return call_c("PyBool_FromLong", OBJECT, i64(1))


@native
def py_version(self: OBJECT, args: OBJECTS, nargs: i64) -> OBJECT:
    """version(memory) -> how often it was written in place"""
    block = block_of(args[0])
    if bitcast(block, i64) == 0:  # a tensor without data
        call_c("PyErr_Clear", void)
        return call_c("PyLong_FromLongLong", OBJECT, i64(0))
    count = block[2]
    if count < 0:
        refuse(i64(7))
        return bitcast(i64(0), OBJECT)
    return call_c("PyLong_FromLongLong", OBJECT, count)


@native
def py_set_version(self: OBJECT, args: OBJECTS, nargs: i64) -> OBJECT:
    """set_version(memory, value)"""
    block_of(args[0])[2] = call_c("PyLong_AsLongLong", i64, args[1])
    return call_c("PyBool_FromLong", OBJECT, i64(1))


EXPORTS = {
    "capsule_destroy": capsule_destroy, "launch": launch, "py_allocate": py_allocate, "py_wrap": py_wrap,
    "py_word": py_word, "py_version": py_version, "py_set_version": py_set_version, "py_give_away": py_give_away,
    "py_allocate_copy": py_allocate_copy, "py_number": py_number, "py_numbers": py_numbers, "py_uncounted": py_uncounted,
    "py_set_inference": py_set_inference,
    "py_run_recorded": py_run_recorded, "py_run_once": py_run_once, "py_repeat": py_repeat, "py_begin": py_begin, "py_end": py_end,
    "pool_release": pool_release, "drop_arena": drop_arena, "pool_words": pool_words, "team_words": team_words,
    "seat_words": seat_words, "recorder_words": recorder_words, "inference_words": inference_words,
    "error_words": error_words, "worker": worker, "team_wake": team_wake, "team_run": team_run,
}  # fmt: skip
