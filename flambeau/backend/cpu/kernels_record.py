"""Recording in the kernel language: calls of programs are noted instead of run, checked against what is known.

While a thread records, a call of a program appends an entry to the recording and returns pending memory. Entries form a
trie: what a function did before is known, and a call only checks that it is the next entry. A *settling* runs what was
recorded through a plan that was made for it, and gives the pending memory that is still in use its data.

words of the global `recorder`: 0 recording thread (0: none), 1 number of this recording, 2 entry reached, 3 slots,
4 scalars, 5 entries, 6 address of the slots, 7 their room, 8 address of the scalars, 9 their room, 10 thread that runs a
plan (0: none), 11 Python function that settles, 12 entries made, 13 address of the key under way, 14 its room,
15 plans run, 16 most entries before a settling, 17 calls noted,
18 clock that times steps, 19 addresses asked for and memory made by Python, 20 block that plans compute in,
21 Python function that compiles what a program calls, 22 whether calls that may refuse are never looked at ahead

Slot (3 words): block (0: nobody needs it any more), capsule that keeps an outside block (0: pending), start in bytes.
Slots are numbered as blocks are first touched, so equal entries mean equal sharing of memory.

Entry: 0 program, 1 first child, 2 next sibling, 3 parent, 4 first plan, 5 depth, 6 words of the key, 7 first output slot,
8 capsule of the program, then the key: per input its slot and its distance in bytes from the slot's start; a list of
tensors is preceded by their number.

Plan: 0 next plan, 1 number of slots kept, 2 their numbers, 3 entry from which the next recording goes on, 4 frame words,
5 frame template, 6 relocations, 7 (frame word, slot, bytes) each, 8 steps, 9 (function, parameters, n, chunk, frame) each,
10 bytes of the arena, 11 slots in it, 12 (slot, place) each, 13 bytes of the slots kept, 14 numbers, 15 (frame word,
scalar) each, 16 addresses within the frame, 17 (frame word, frame word) each, 18 whether the interpreter is let go,
19 times run, 20 nanoseconds spent in each step, where that is counted
"""

from __future__ import annotations

from .kernels_memory import (
    FOREIGN,
    OBJECT,
    OBJECTS,
    PENDING,
    WORD,
    block_of,
    capsule_of,
    drop,
    error_words,
    first_version,
    header_new,
    none_object,
    out_of_memory,
    recorder_words,
    refuse,
    results_of,
)
from .native import apart, bitcast, call_c, local, native, symbol
from .types import f64, i32, i64, ptr, void

SLOT = 3
NUMBER, WRITTEN = (
    (1 << 23) - 1,
    1 << 23,
)  # in a block's last word, below the number of its recording: slot, flag
ENTRY = 9
FIRST = 4  # first address in a frame
FRAME_WORDS = 80  # of a program at most, its lists of tensors apart
REFUSES = 2  # flag of a program whose kernels may refuse their input
LATER = 4  # flag of a program whose kernels may still have to be compiled


@apart
@native
def compiled(program: WORD) -> i64:
    """Compile what a program calls; 0 with an exception set when that failed."""
    number = call_c("PyLong_FromLongLong", OBJECT, bitcast(program, i64))
    found = call_c("PyObject_CallOneArg", OBJECT, bitcast(recorder_words()[21], OBJECT), number)
    call_c("Py_DecRef", void, number)
    done = i64(0)
    if bitcast(found, i64) != 0:
        call_c("Py_DecRef", void, found)
        done = i64(1)
    return done


@apart
@native
def settle() -> i64:
    """Run what was recorded, whoever asks; 0 with an exception set when that failed."""
    found = call_c("PyObject_CallNoArgs", OBJECT, bitcast(recorder_words()[11], OBJECT))
    done = i64(0)
    if bitcast(found, i64) != 0:
        call_c("Py_DecRef", void, found)
        done = i64(1)
    return done


@native
def touched(block: WORD) -> i64:
    """Whether what was recorded must run before someone else uses the block."""
    recorder = recorder_words()
    found = i64(0)
    if block[0] == 0:
        found = i64(1)
    elif (recorder[0] != 0 or recorder[10] != 0) and (block[7] >> 24) == recorder[1]:
        found = i64(1)
    return found


@apart
@native
def settled(block: WORD) -> i64:
    """Run what was recorded before a block is used; 0 with an exception set when that failed, or gave it no data."""
    done = settle()
    if done != 0 and block[0] == 0 and block[3] == PENDING:
        refuse(i64(10))
        done = i64(0)
    return done


@apart
@native
def room_for(words: i64, address: i64, have: i64, need: i64):
    """Grow the array whose address and room (in elements of so many words) stand in two words of the recorder."""
    recorder = recorder_words()
    if need > recorder[have]:
        room = 2 * need
        recorder[address] = bitcast(
            call_c("realloc", OBJECT, bitcast(recorder[address], OBJECT), room * words * 8), i64
        )
        recorder[have] = room


@apart
@native
def slot_of(capsule: OBJECT, offset: i64, written: i64) -> i64:
    """The slot of a block, which it gets when it is first touched; -1 with an exception set."""
    recorder = recorder_words()
    block = block_of(capsule)
    found = i64(-1)
    if bitcast(block, i64) != 0:
        ok = i64(1)
        if written != 0 and block[2] < 0:
            if first_version() == 0:
                refuse(i64(9))
                ok = i64(0)
        if ok != 0:
            if (block[7] >> 24) == recorder[1]:
                found = block[7] & NUMBER
            else:
                if block[0] == 0:
                    kind = symbol("PyExc_RuntimeError", OBJECT)
                    call_c("PyErr_SetObject", void, kind[0], call_c("PyLong_FromLongLong", OBJECT, i64(0)))
                else:
                    found = recorder[3]
                    room_for(i64(SLOT), i64(6), i64(7), found + 1)
                    slot = bitcast(recorder[6], WORD) + SLOT * found
                    slot[0] = bitcast(block, i64)
                    slot[1] = bitcast(capsule, i64)
                    slot[2] = offset
                    call_c("Py_IncRef", void, capsule)
                    block[7] = (recorder[1] << 24) | found
                    recorder[3] = found + 1
    return found


@apart
@native
def add_key(count: i64, capsule: OBJECT, place: OBJECT, written: i64) -> i64:
    """Append an input to the key; whether it must be settled at once (1), may wait (0), or is wrong (-1)."""
    recorder = recorder_words()
    offset = call_c("PyLong_AsLongLong", i64, place)
    slot = slot_of(capsule, offset, written)
    found = i64(-1)
    if slot >= 0:
        room_for(i64(1), i64(13), i64(14), count + 2)
        key = bitcast(recorder[13], WORD)
        base = bitcast(recorder[6], WORD) + SLOT * slot
        key[count] = slot
        key[count + 1] = offset - base[2]
        block = bitcast(base[0], WORD)
        found = i64(0)
        if block[3] == FOREIGN or (block[5] != 0 and block[3] != PENDING):
            found = i64(1)
    return found


@apart
@native
def find_entry(p: WORD, program: OBJECT, count: i64) -> WORD:
    """The child of the entry reached that is this call, made when it is new; null without memory."""
    recorder = recorder_words()
    key = bitcast(recorder[13], WORD)
    above = bitcast(recorder[2], WORD)
    entry = bitcast(above[1], WORD)
    while bitcast(entry, i64) != 0:
        same = i64(0)
        if entry[0] == bitcast(p, i64) and entry[6] == count and entry[7] == recorder[3]:
            same = i64(1)
            for k in range(count):
                if entry[ENTRY + k] != key[k]:
                    same = i64(0)
                    break
        if same != 0:
            break
        entry = bitcast(entry[2], WORD)
    if bitcast(entry, i64) == 0:
        entry = bitcast(call_c("malloc", OBJECT, 8 * (ENTRY + count)), WORD)
        if bitcast(entry, i64) != 0:
            entry[0] = bitcast(p, i64)
            entry[1] = 0
            entry[2] = above[1]
            entry[3] = bitcast(above, i64)
            entry[4] = 0
            entry[5] = above[5] + 1
            entry[6] = count
            entry[7] = recorder[3]
            entry[8] = bitcast(program, i64)
            for k in range(count):
                entry[ENTRY + k] = key[k]
            call_c("Py_IncRef", void, program)
            above[1] = bitcast(entry, i64)
            recorder[12] += 1
    return entry


@apart
@native
def note_scalars(p: WORD, args: OBJECTS) -> i64:
    """Append a call's numbers to those of the recording; 0 with an exception set."""
    recorder = recorder_words()
    n_in, n_scalar = p[1], p[3]
    kinds = p + 8 + p[0] + p[2]
    at = recorder[4]
    room_for(i64(1), i64(8), i64(9), at + n_scalar + 1)
    numbers = bitcast(recorder[8], WORD) + at
    done = i64(1)
    for i in range(n_scalar):
        one = args[2 * n_in + i]
        if kinds[i] == 0:
            x = call_c("PyFloat_AsDouble", f64, one)
            numbers[i] = bitcast(x, i64)
            if x == -1.0:
                if bitcast(call_c("PyErr_Occurred", OBJECT), i64) != 0:
                    done = i64(0)
                    break
        else:
            k = call_c("PyLong_AsLongLong", i64, one)
            numbers[i] = k
            if k == -1:
                if bitcast(call_c("PyErr_Occurred", OBJECT), i64) != 0:
                    done = i64(0)
                    break
    return done


@apart
@native
def bump_versions(p: WORD, args: OBJECTS):
    """Count one more write of each input that a program writes."""
    if p[6] != 0:
        kinds = p + 8 + p[0] + p[2] + p[3]
        for i in range(p[1]):
            if ((p[6] >> i) & 1) != 0:
                if kinds[i] == 0:
                    block = block_of(args[2 * i])
                    block[2] += 1
                    block[7] = block[7] | WRITTEN
                else:
                    half = call_c("PyTuple_Size", i64, args[2 * i]) // 2
                    for j in range(half):
                        block = block_of(call_c("PyTuple_GetItem", OBJECT, args[2 * i], 2 * j))
                        block[2] += 1
                        block[7] = block[7] | WRITTEN


@native
def whole_number(place: i64, nbytes: i64) -> i64:
    """The integer of so many bytes at an address."""
    found = i64(0)
    if nbytes == 4:
        found = i64(bitcast(place, ptr(i32))[0])
    else:
        found = bitcast(place, WORD)[0]
    return found


@apart
@native
def accepts(p: WORD) -> i64:
    """Whether a program that may refuse its input will not, which is known where the input is there and stays as it is."""
    recorder = recorder_words()
    found = i64(0)
    if p[7] != 0 and recorder[22] == 0:
        about = bitcast(p[7], WORD)
        key = bitcast(recorder[13], WORD) + about[0]
        slot = bitcast(recorder[6], WORD) + SLOT * key[0]
        block = bitcast(slot[0], WORD)
        if slot[1] != 0 and (block[7] & WRITTEN) == 0:
            found = i64(1)
            place = block[0] + slot[2] + key[1]
            for k in range(about[2]):
                one = whole_number(place + k * about[1], about[1])
                if (one < about[3] or one >= about[4]) and one != about[5]:
                    found = i64(0)
                    break
    return found


@apart
@native
def record(program: OBJECT, p: WORD, args: OBJECTS) -> OBJECT:
    """What `launch` does while this thread records."""
    null = bitcast(i64(0), OBJECT)
    recorder = recorder_words()
    kinds = p + 8 + p[0] + p[2] + p[3]
    count = i64(0)
    now = i64(0)
    failed = i64(0)
    for i in range(p[1]):
        written = (p[6] >> i) & 1
        if kinds[i] == 0:
            found = add_key(count, args[2 * i], args[2 * i + 1], written)
            count += 2
            if found < 0:
                failed = i64(1)
                break
            now = now | found
        else:
            half = call_c("PyTuple_Size", i64, args[2 * i]) // 2
            room_for(i64(1), i64(13), i64(14), count + 1)
            bitcast(recorder[13], WORD)[count] = half
            count += 1
            for j in range(half):
                found = add_key(
                    count,
                    call_c("PyTuple_GetItem", OBJECT, args[2 * i], 2 * j),
                    call_c("PyTuple_GetItem", OBJECT, args[2 * i], 2 * j + 1),
                    written,
                )
                count += 2
                if found < 0:
                    failed = i64(1)
                    break
                now = now | found
            if failed != 0:
                break
    if failed == 0:
        if note_scalars(p, args) == 0:
            failed = i64(1)
    if failed != 0:
        return null
    if (p[5] & REFUSES) != 0 and now == 0:
        now = i64(1) - accepts(p)
    entry = find_entry(p, program, count)
    if bitcast(entry, i64) == 0:
        out_of_memory(count)
        return null
    n_out = p[0]
    outputs = local(OBJECT, 16)
    made = i64(0)
    first = recorder[3]
    room_for(i64(SLOT), i64(6), i64(7), recorder[3] + n_out)
    for i in range(n_out):
        block = header_new(p[8 + i])
        if bitcast(block, i64) == 0:
            out_of_memory(p[8 + i])
            drop(outputs, made)
            recorder[3] = first
            return null
        number = recorder[3]
        slot = bitcast(recorder[6], WORD) + SLOT * number
        slot[0] = bitcast(block, i64)
        slot[1] = 0
        slot[2] = 0
        block[7] = (recorder[1] << 24) | number
        recorder[3] = number + 1
        outputs[i] = capsule_of(block)
        made += 1
    recorder[2] = bitcast(entry, i64)
    recorder[4] += p[3]
    recorder[5] += 1
    recorder[17] += 1
    if now != 0 or recorder[5] >= recorder[16]:
        failure = error_words()
        failure[0] = 0
        if settle() == 0:
            drop(outputs, made)
            return null
        if failure[0] != 0:
            drop(outputs, made)
            return none_object()
    bump_versions(p, args)
    return results_of(outputs, n_out)
