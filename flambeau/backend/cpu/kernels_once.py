"""Running what was recorded without a plan, in the kernel language: program by program, each result in a place of its own.

That is for a recording that may never come again, as where every batch has other sizes: a plan costs milliseconds to make.
"""

from __future__ import annotations

from .kernels_memory import (
    HEADER,
    OBJECT,
    OBJECTS,
    WORD,
    block_new,
    none_object,
    out_of_memory,
    own_free,
    recorder_words,
)
from .kernels_plan import arena_of, forget_recording, hand_over, note_refusal
from .kernels_record import ENTRY, FIRST, FRAME_WORDS, LATER, SLOT, compiled
from .kernels_team import run_chunks
from .native import apart, bitcast, call_c, native
from .types import i64, void


@native
def rounded_up(nbytes: i64) -> i64:
    return (max(nbytes, i64(1)) + 63) // 64 * 64


@apart
@native
def all_compiled() -> i64:
    """Compile what kernels are missing, while others wait; 0 with an exception set when that failed."""
    recorder = recorder_words()
    recorder[10] = call_c("pthread_self", i64)
    entry = recorder[2]
    done = i64(1)
    for _ in range(recorder[5]):
        p = bitcast(bitcast(entry, WORD)[0], WORD)
        if (p[5] & LATER) != 0:
            if compiled(p) == 0:
                done = i64(0)
                break
        entry = bitcast(entry, WORD)[3]
    recorder[10] = 0
    return done


@apart
@native
def look_ahead(path: WORD, needs: WORD):
    """The entries in order, and what they need: 0 bytes of results, 1 of buffers, 2 words of lists, 3 whether it is much."""
    recorder = recorder_words()
    slots = bitcast(recorder[6], WORD)
    count = recorder[5]
    entry = recorder[2]
    for k in range(count):
        path[count - 1 - k] = entry
        entry = bitcast(entry, WORD)[3]
    for k in range(4):
        needs[k] = 0
    for k in range(count):
        one = bitcast(path[k], WORD)
        p = bitcast(one[0], WORD)
        for j in range(p[0]):
            if slots[SLOT * (one[7] + j)] == 0:
                needs[0] += rounded_up(p[8 + j])
        buffers = i64(0)
        for j in range(p[2]):
            buffers += rounded_up(p[8 + p[0] + j])
        needs[1] = max(needs[1], buffers)
        needs[2] = max(needs[2], one[6])
        steps = p + (8 + p[0] + p[2] + p[3] + p[1])
        for j in range(p[4]):
            if steps[4 * j + 2] > steps[4 * j + 3]:
                needs[3] = 1


@apart
@native
def place_results(path: WORD, bases: WORD, own: WORD, arena: i64) -> i64:
    """Addresses of all slots; `own` gets those of memory made for results that are kept. 0 without memory for these."""
    recorder = recorder_words()
    slots = bitcast(recorder[6], WORD)
    for k in range(recorder[3]):
        own[k] = 0
        bases[k] = 0
        if slots[SLOT * k + 1] != 0:
            bases[k] = bitcast(slots[SLOT * k], WORD)[0] + slots[SLOT * k + 2]
    done = i64(1)
    at = arena
    for k in range(recorder[5]):
        one = bitcast(path[k], WORD)
        p = bitcast(one[0], WORD)
        for j in range(p[0]):
            slot = one[7] + j
            if slots[SLOT * slot] != 0:
                block = block_new(p[8 + j])
                if bitcast(block, i64) == 0:
                    done = i64(0)
                    break
                own[slot] = block[0]
                bases[slot] = block[0]
            else:
                bases[slot] = at
                at += rounded_up(p[8 + j])
        if done == 0:
            break
    return done


@native
def fill_words(one: WORD, p: WORD, frame: WORD, bases: WORD, numbers: WORD, buffers: i64):
    """The frame of an entry: addresses of results and inputs, numbers, buffers; lists of addresses behind them."""
    for k in range(FIRST):
        frame[k] = 0
    place = frame + FIRST
    for k in range(p[0]):
        place[k] = bases[one[7] + k]
    place = place + p[0]
    table = frame + FRAME_WORDS
    kinds = p + (8 + p[0] + p[2] + p[3])
    key = one + ENTRY
    for k in range(p[1]):
        if kinds[k] == 0:
            place[k] = bases[key[0]] + key[1]
            key = key + 2
        else:
            place[k] = bitcast(table, i64)
            many = key[0]
            key = key + 1
            for j in range(many):
                table[j] = bases[key[2 * j]] + key[2 * j + 1]
            table = table + many
            key = key + 2 * many
    place = place + p[1]
    for k in range(p[3]):
        place[k] = numbers[k]
    place = place + p[3]
    for k in range(p[2]):
        place[k] = buffers
        buffers += rounded_up(p[8 + p[0] + k])


@apart
@native
def run_entries(path: WORD, frame: WORD, bases: WORD, buffers: i64) -> i64:
    """All entries in order, up to one that refuses its input; 0 then."""
    recorder = recorder_words()
    numbers = bitcast(recorder[8], WORD)
    done = i64(1)
    for k in range(recorder[5]):
        one = bitcast(path[k], WORD)
        p = bitcast(one[0], WORD)
        fill_words(one, p, frame, bases, numbers, buffers)
        numbers = numbers + p[3]
        steps = p + (8 + p[0] + p[2] + p[3] + p[1])
        for j in range(p[4]):
            step = steps + 4 * j
            run_chunks(bitcast(step[0], OBJECT), frame, bitcast(step[1], WORD), step[2], step[3])
            if frame[0] != 0:
                break
        if frame[0] != 0:
            note_refusal(frame)
            done = i64(0)
            break
    return done


@native
def hand_out(own: WORD):
    """Give the results that are kept their data."""
    recorder = recorder_words()
    slots = bitcast(recorder[6], WORD)
    for k in range(recorder[3]):
        if own[k] != 0:
            hand_over(slots + SLOT * k, own[k])


@apart
@native
def run_in_place(path: WORD, needs: WORD, following: i64) -> i64:
    """Run what was recorded, and forget it: 1 done, 0 refused, -1 with an exception set."""
    recorder = recorder_words()
    slots = recorder[3]
    bases_block = block_new(16 * slots + 16)
    frame_block = block_new(8 * (FRAME_WORDS + needs[2]))
    arena_block = arena_of(needs[0] + needs[1])
    fits = (
        bitcast(bases_block, i64) != 0 and bitcast(frame_block, i64) != 0 and bitcast(arena_block, i64) != 0
    )
    done = i64(0)
    if fits:
        bases = bitcast(bases_block[0], WORD)
        own = bases + slots
        if place_results(path, bases, own, arena_block[0]) != 0:
            recorder[15] += 1
            recorder[10] = call_c("pthread_self", i64)
            state = bitcast(i64(0), OBJECT)
            if needs[3] != 0:
                state = call_c("PyEval_SaveThread", OBJECT)
            done = run_entries(path, bitcast(frame_block[0], WORD), bases, arena_block[0] + needs[0])
            if needs[3] != 0:
                call_c("PyEval_RestoreThread", void, state)
            recorder[10] = 0
            hand_out(own)
        else:
            fits = False
            for k in range(slots):
                if own[k] != 0:
                    own_free(bitcast(own[k] - HEADER, WORD))
    if bitcast(bases_block, i64) != 0:
        own_free(bases_block)
    if bitcast(frame_block, i64) != 0:
        own_free(frame_block)
    forget_recording(following)
    if not fits:
        out_of_memory(needs[0] + needs[1])
        done = i64(-1)
    return done


@native
def py_run_once(self: OBJECT, args: OBJECTS, nargs: i64) -> OBJECT:
    """run_once(following, limit) -> True when all ran, False when a kernel refused its input, None where a plan is needed

    following: the entry from which the next recording goes on. limit: bytes that the results may take.
    """
    recorder = recorder_words()
    if recorder[10] != 0 or recorder[5] == 0:
        return none_object()
    if all_compiled() == 0:
        return bitcast(i64(0), OBJECT)
    following = call_c("PyLong_AsLongLong", i64, args[0])
    limit = call_c("PyLong_AsLongLong", i64, args[1])
    path_block = block_new(8 * recorder[5] + 64)
    if bitcast(path_block, i64) == 0:
        return none_object()
    needs = bitcast(path_block[0], WORD)
    path = needs + 8
    look_ahead(path, needs)
    done = i64(2)
    if needs[0] + needs[1] <= limit:
        done = run_in_place(path, needs, following)
    own_free(path_block)
    if done == 2:
        return none_object()
    if done < 0:
        return bitcast(i64(0), OBJECT)
    return call_c("PyBool_FromLong", OBJECT, done)
