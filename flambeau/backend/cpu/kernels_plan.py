"""Running a plan in the kernel language: everything that was recorded, as one native call. See `kernels_record`."""

from __future__ import annotations

from .kernels_memory import (
    FOREIGN,
    HEADER,
    OBJECT,
    OBJECTS,
    SETTLED,
    WORD,
    block_new,
    block_of,
    capsule_of,
    error_words,
    header_new,
    none_object,
    out_of_memory,
    own_free,
    pool_words,
    recorder_words,
)
from .kernels_record import SLOT, room_for
from .kernels_team import run_chunks
from .native import apart, bitcast, call_c, copy_bytes, fill_bytes, local, native
from .types import i32, i64, void

STEP = 5
REPEATING = 2  # in place of a recording thread: one that repeats several plans


@apart
@native
def find_plan() -> WORD:
    """The plan of the entry reached that keeps just the slots which are still in use; null when there is none."""
    recorder = recorder_words()
    slots = bitcast(recorder[6], WORD)
    plan = bitcast(bitcast(recorder[2], WORD)[4], WORD)
    while bitcast(plan, i64) != 0:
        kept = bitcast(plan[2], WORD)
        count = i64(0)
        same = i64(1)
        for k in range(recorder[3]):
            slot = slots + SLOT * k
            if slot[0] != 0 and slot[1] == 0:
                if count >= plan[1]:
                    same = i64(0)
                    break
                if kept[count] != k:
                    same = i64(0)
                    break
                count += 1
        if same != 0 and count == plan[1]:
            break
        plan = bitcast(plan[0], WORD)
    return plan


@apart
@native
def forget_recording(entry: i64):
    """Start anew from an entry, and let go of the outside blocks that were kept."""
    recorder = recorder_words()
    slots = bitcast(recorder[6], WORD)
    count, room = recorder[3], recorder[7]
    recorder[1] += 1
    recorder[2] = entry
    recorder[3] = 0
    recorder[4] = 0
    recorder[5] = 0
    recorder[6] = 0  # letting go may run anything, even what records
    recorder[7] = 0
    for k in range(count):
        if slots[SLOT * k + 1] != 0:
            call_c("Py_DecRef", void, bitcast(slots[SLOT * k + 1], OBJECT))
    if recorder[6] == 0:
        recorder[6] = bitcast(slots, i64)
        recorder[7] = room
    else:
        call_c("free", void, slots)


@native
def place_slots(plan: WORD, bases: WORD, arena: i64) -> i64:
    """Addresses of all slots; 0 when there is no memory for those that are kept."""
    recorder = recorder_words()
    slots = bitcast(recorder[6], WORD)
    for k in range(recorder[3]):
        slot = slots + SLOT * k
        bases[k] = 0
        if slot[1] != 0:
            bases[k] = bitcast(slot[0], WORD)[0] + slot[2]
    bases[recorder[3]] = arena
    inner = bitcast(plan[12], WORD)
    for k in range(plan[11]):
        bases[inner[2 * k]] = arena + inner[2 * k + 1]
    kept = bitcast(plan[2], WORD)
    sizes = bitcast(plan[13], WORD)
    done = i64(1)
    for k in range(plan[1]):
        block = block_new(sizes[k])
        if bitcast(block, i64) == 0:
            done = i64(0)
            break
        bases[kept[k]] = block[0]
    return done


@native
def fill_frame(plan: WORD, bases: WORD, frame: WORD):
    """The frame of all steps: its constant part, addresses, numbers."""
    recorder = recorder_words()
    copy_bytes(bitcast(frame, OBJECT), bitcast(plan[5], OBJECT), 8 * plan[4])
    moves = bitcast(plan[7], WORD)
    for k in range(plan[6]):
        frame[moves[3 * k]] = bases[moves[3 * k + 1]] + moves[3 * k + 2]
    scalars = bitcast(recorder[8], WORD)
    numbers = bitcast(plan[15], WORD)
    for k in range(plan[14]):
        frame[numbers[2 * k]] = scalars[numbers[2 * k + 1]]
    inside = bitcast(plan[17], WORD)
    for k in range(plan[16]):
        frame[inside[2 * k]] = bitcast(frame + inside[2 * k + 1], i64)


@native
def nanoseconds() -> i64:
    now = local(i64, 2)
    call_c("clock_gettime", i32, i32(recorder_words()[18]), now)
    return now[0] * 1000000000 + now[1]


@native
def run_steps(plan: WORD, frame: WORD) -> i64:
    """All steps in order, up to one that refuses its input; 0 then."""
    steps = bitcast(plan[9], WORD)
    times = bitcast(plan[20], WORD)
    done = i64(1)
    for k in range(plan[8]):
        step = steps + STEP * k
        own = frame + step[4]
        if plan[20] != 0:
            times[k] -= nanoseconds()
        run_chunks(bitcast(step[0], OBJECT), own, bitcast(step[1], WORD), step[2], step[3])
        if plan[20] != 0:
            times[k] += nanoseconds()
        if own[0] != 0:
            note_refusal(own)
            done = i64(0)
            break
    return done


@native
def note_refusal(frame: WORD):
    """Keep what a kernel wrote into its frame about an input that it refused."""
    failure = error_words()
    for k in range(3):
        failure[k] = frame[k]


@native
def hand_over(slot: WORD, place: i64):
    """Give a slot that was kept its data; what died meanwhile is freed."""
    block = bitcast(slot[0], WORD)
    if bitcast(block, i64) != 0:
        block[0] = place
        block[3] = SETTLED
    elif place != 0:
        own_free(bitcast(place - HEADER, WORD))


@native
def settle_slots(plan: WORD, bases: WORD):
    """Give all slots that were kept their data."""
    slots = bitcast(recorder_words()[6], WORD)
    kept = bitcast(plan[2], WORD)
    for k in range(plan[1]):
        hand_over(slots + SLOT * kept[k], bases[kept[k]])


@apart
@native
def arena_of(nbytes: i64) -> WORD:
    """The memory that plans compute in: one for all, as large as the largest wants; null without memory."""
    recorder = recorder_words()
    pool = pool_words()
    block = bitcast(recorder[20], WORD)
    if bitcast(block, i64) == 0 or block[1] < nbytes:
        drop_arena(i64(0))
        block = block_new(nbytes)
        recorder[20] = bitcast(block, i64)
    elif pool[8] != 0:
        fill_bytes(bitcast(block[0], OBJECT), 255, nbytes)
    return block


@native
def drop_arena(unused: i64):
    """Give back the memory that plans compute in, unless one runs."""
    recorder = recorder_words()
    if recorder[10] == 0 and recorder[20] != 0:
        block = bitcast(recorder[20], WORD)
        pool_words()[0] -= block[6]
        recorder[20] = 0
        call_c("free", void, block)


@apart
@native
def run_known(plan: WORD) -> i64:
    """Run a plan for what was recorded, and forget the recording: 1 done, 0 refused, -1 with an exception set."""
    recorder = recorder_words()
    bases_block = block_new(8 * recorder[3] + 8)
    frame_block = block_new(8 * plan[4] + 8)
    arena_block = arena_of(plan[10])
    fits = (
        bitcast(bases_block, i64) != 0 and bitcast(frame_block, i64) != 0 and bitcast(arena_block, i64) != 0
    )
    done = i64(0)
    if fits:
        bases = bitcast(bases_block[0], WORD)
        frame = bitcast(frame_block[0], WORD)
        if place_slots(plan, bases, arena_block[0]) != 0:
            fill_frame(plan, bases, frame)
            plan[19] += 1
            recorder[15] += 1
            recorder[10] = call_c("pthread_self", i64)
            state = bitcast(i64(0), OBJECT)
            if plan[18] != 0:
                state = call_c("PyEval_SaveThread", OBJECT)
            done = run_steps(plan, frame)
            if plan[18] != 0:
                call_c("PyEval_RestoreThread", void, state)
            recorder[10] = 0
            settle_slots(plan, bases)
        else:
            fits = False
            kept = bitcast(plan[2], WORD)
            for k in range(plan[1]):
                if bases[kept[k]] != 0:
                    own_free(bitcast(bases[kept[k]] - HEADER, WORD))
    if bitcast(bases_block, i64) != 0:
        own_free(bases_block)
    if bitcast(frame_block, i64) != 0:
        own_free(frame_block)
    forget_recording(plan[3])
    if not fits:
        out_of_memory(plan[10])
        done = i64(-1)
    return done


@native
def py_run_recorded(self: OBJECT, args: OBJECTS, nargs: i64) -> OBJECT:
    """run_recorded() -> True when all ran, False when a kernel refused its input, None when no plan is known"""
    recorder = recorder_words()
    if recorder[5] == 0:
        forget_recording(recorder[2])
        return call_c("PyBool_FromLong", OBJECT, i64(1))
    if recorder[10] != 0:  # another thread runs it: the caller waits
        return none_object()
    plan = find_plan()
    if bitcast(plan, i64) == 0:
        return none_object()
    done = run_known(plan)
    if done < 0:
        return bitcast(i64(0), OBJECT)
    return call_c("PyBool_FromLong", OBJECT, done)


@native
def py_begin(self: OBJECT, args: OBJECTS, nargs: i64) -> OBJECT:
    """begin_recording(entry, limit, ahead) -> whether this thread records from here on, after an entry; see `recording.begin`"""
    recorder = recorder_words()
    if recorder[0] != 0 or recorder[10] != 0:
        return call_c("PyBool_FromLong", OBJECT, i64(0))
    recorder[16] = call_c("PyLong_AsLongLong", i64, args[1])
    recorder[22] = 1 - i64(call_c("PyObject_IsTrue", i32, args[2]))
    recorder[1] += 1
    recorder[2] = call_c("PyLong_AsLongLong", i64, args[0])
    recorder[0] = call_c("pthread_self", i64)
    return call_c("PyBool_FromLong", OBJECT, i64(1))


@native
def py_end(self: OBJECT, args: OBJECTS, nargs: i64) -> OBJECT:
    """end_recording() -> True when what was recorded ran and recording ended, None when no plan is known

    None, too, while another thread runs what was recorded, or makes a plan for it: the caller waits.
    """
    recorder = recorder_words()
    if recorder[10] != 0 or recorder[0] != call_c("pthread_self", i64):
        return none_object()
    done = i64(1)
    if recorder[5] == 0:
        forget_recording(recorder[2])
    else:
        plan = find_plan()
        if bitcast(plan, i64) == 0:
            return none_object()
        done = run_known(plan)
    recorder[0] = 0
    if done < 0:
        return bitcast(i64(0), OBJECT)
    return call_c("PyBool_FromLong", OBJECT, i64(1))


# -- repeating a recording without its Python ------------------------------------------------------------------

# words: 0 entry, 1 slots, 2 outside slots, 3 kept slots, 4 scalars, 5 written outside slots, 6 plan, then the numbers of
# the outside slots, numbers and bytes of the kept ones, scalars, and which of the outside slots are written


@native
def take_outside(words: WORD, outside: OBJECT) -> i64:
    """Fill the slots of outside memory; 0 where two of them are one block, which the plan does not know."""
    recorder = recorder_words()
    numbers = words + 7
    slots = bitcast(recorder[6], WORD)
    done = i64(1)
    for k in range(words[2]):
        capsule = call_c("PyTuple_GetItem", OBJECT, outside, 2 * k)
        block = block_of(capsule)
        if (block[7] >> 24) == recorder[1] or block[0] == 0 or block[5] != 0 or block[3] == FOREIGN:
            done = i64(0)
            break
        block[7] = (recorder[1] << 24) | numbers[k]
        slot = slots + SLOT * numbers[k]
        slot[0] = bitcast(block, i64)
        slot[1] = bitcast(capsule, i64)
        slot[2] = call_c("PyLong_AsLongLong", i64, call_c("PyTuple_GetItem", OBJECT, outside, 2 * k + 1))
        call_c("Py_IncRef", void, capsule)
    return done


@native
def py_repeat(self: OBJECT, args: OBJECTS, nargs: i64) -> OBJECT:
    """repeat(words, outside) -> tuple of the kept memories; None where it cannot be repeated, False when refused

    repeat(None, outside, True) only looks whether this outside memory may be used; then no thread may record until it is
    said that all has been repeated (`recording.give_back`).
    """
    recorder = recorder_words()
    null = bitcast(i64(0), OBJECT)
    if recorder[10] != 0 or (recorder[0] != 0 and (nargs > 2 or recorder[0] != REPEATING)):
        return none_object()
    if nargs > 2:
        for k in range(call_c("PyTuple_Size", i64, args[1]) // 2):
            one = block_of(call_c("PyTuple_GetItem", OBJECT, args[1], 2 * k))
            if one[0] == 0 or one[5] != 0 or one[3] == FOREIGN:
                return none_object()
        recorder[0] = REPEATING
        return call_c("PyBool_FromLong", OBJECT, i64(1))
    words = bitcast(block_of(args[0])[0], WORD)
    count, n_out, n_kept, n_scalar = words[1], words[2], words[3], words[4]
    recorder[1] += 1
    room_for(i64(SLOT), i64(6), i64(7), count + 1)
    room_for(i64(1), i64(8), i64(9), n_scalar + 1)
    slots = bitcast(recorder[6], WORD)
    for k in range(SLOT * count):
        slots[k] = 0
    recorder[3] = count
    recorder[2] = words[0]
    if take_outside(words, args[1]) == 0:
        forget_recording(words[0])
        return none_object()
    kept = words + 7 + n_out
    sizes = kept + n_kept
    result = call_c("PyTuple_New", OBJECT, n_kept)
    for k in range(n_kept):
        block = header_new(sizes[k])
        if bitcast(block, i64) == 0:
            out_of_memory(sizes[k])
            call_c("Py_DecRef", void, result)
            forget_recording(words[0])
            return null
        block[7] = (recorder[1] << 24) | kept[k]
        slots[SLOT * kept[k]] = bitcast(block, i64)
        call_c("PyTuple_SetItem", i32, result, k, capsule_of(block))
    given = sizes + n_kept
    scalars = bitcast(recorder[8], WORD)
    for k in range(n_scalar):
        scalars[k] = given[k]
    recorder[4] = n_scalar
    recorder[5] = 1
    done = run_known(bitcast(words[6], WORD))
    if done < 0:
        call_c("Py_DecRef", void, result)
        return null
    if done == 0:
        call_c("Py_DecRef", void, result)
        return call_c("PyBool_FromLong", OBJECT, i64(0))
    written = given + n_scalar
    for k in range(words[5]):
        touched = block_of(call_c("PyTuple_GetItem", OBJECT, args[1], 2 * written[k]))
        touched[2] += 1
    return result
