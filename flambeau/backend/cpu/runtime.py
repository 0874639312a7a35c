"""Python's handle on the run-time core: memory, threads and programs.

`allocate(nbytes)` gives memory from the pool, `program(...)` turns steps into a built-in function that Python calls
like any other: it allocates outputs, runs the steps (split over threads), and returns the outputs' memory.
"""

from __future__ import annotations

import array
import atexit
import ctypes
import os
import threading
from operator import index

from ...base.errors import OutOfMemoryError
from . import jit, kernels_runtime
from .builder import Module
from .kernels_memory import FOREIGN
from .kernels_record import LATER, REFUSES
from .kernels_runtime import FIRST, READABLE  # noqa: F401 (the tensor layer takes READABLE here)
from .kernels_team import SEATS
from .native import define

_METH_FASTCALL = 0x80


class _MethodDef(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    ]


def _write_module() -> str:
    module = Module()
    module.names.update(kernels_runtime.EXPORTS)
    for name, kernel in kernels_runtime.EXPORTS.items():
        define(module, name, kernel)
    return module.text()


def _fingerprint() -> str:
    seen: set = set()
    return "runtime" + "".join(k.fingerprint(seen) for k in kernels_runtime.EXPORTS.values())


_addresses = dict(
    zip(
        kernels_runtime.EXPORTS,
        jit.build(_fingerprint(), _write_module, list(kernels_runtime.EXPORTS), level=1),
        strict=True,
    )
)
_new_function = ctypes.pythonapi.PyCFunction_NewEx
_new_function.restype = ctypes.py_object
_new_function.argtypes = [ctypes.c_void_p, ctypes.py_object, ctypes.py_object]
_definitions = []


def _definition(symbol: str, name: str, doc: str = "") -> int:
    made = _MethodDef(name.encode(), _addresses[symbol], _METH_FASTCALL, doc.encode())
    _definitions.append(made)
    return ctypes.addressof(made)


def _builtin(symbol: str, name: str):
    doc = kernels_runtime.EXPORTS[symbol].__doc__ or ""
    return _new_function(_definition(symbol, name, doc), None, None)


allocate = _builtin("py_allocate", "allocate")
allocate_copy = _builtin("py_allocate_copy", "allocate_copy")
wrap = _builtin("py_wrap", "wrap")
word = _builtin("py_word", "word")
version = _builtin("py_version", "version")
set_version = _builtin("py_set_version", "set_version")
give_away = _builtin("py_give_away", "give_away")
number = _builtin("py_number", "number")
numbers = _builtin("py_numbers", "numbers")
uncounted = _builtin("py_uncounted", "uncounted")
set_inference = _builtin("py_set_inference", "set_inference")
run_recorded = _builtin("py_run_recorded", "run_recorded")
run_once = _builtin("py_run_once", "run_once")
repeat = _builtin("py_repeat", "repeat")
begin_recording = _builtin("py_begin", "begin_recording")
end_recording = _builtin("py_end", "end_recording")
_launch = _definition("launch", "program")


def _words(symbol: str, count: int):
    address = ctypes.CFUNCTYPE(ctypes.c_void_p)(_addresses[symbol])()
    return (ctypes.c_int64 * count).from_address(address)


_pool = _words("pool_words", 16)
_team = _words("team_words", 32)
_seats = _words("seat_words", 2 * SEATS)
recorder = _words("recorder_words", 32)
_inference = _words("inference_words", 32)
error_record = _words("error_words", 8)
_pool[3] = 4 << 30  # bytes that may wait in the pool for reuse

_NOT_SAVED = (
    "Inference tensors cannot be saved for backward. Please do not use Tensors created in inference mode in computation "
    "tracked by autograd. To work around this, you can make a clone to get a normal tensor and use it in autograd, or use "
    "`torch.no_grad()` instead of `torch.inference_mode()`."
)
NOT_WRITTEN = (
    "Inplace update to inference tensor outside InferenceMode is not allowed.You can make a clone to get a normal tensor "
    "before doing inplace update.See https://github.com/pytorch/rfcs/pull/17 for more details."
)
_LOST = "This tensor has no data: what was to compute it in a compiled function was interrupted by an error. Compute it again."
_pool[6], _pool[7], _pool[9], _pool[10] = id(OutOfMemoryError), id(_NOT_SAVED), id(NOT_WRITTEN), id(_LOST)

#: address of run_chunks(fn, frame, params, n, chunk), for kernels that split their own work
team_run_address = _addresses["team_run"]


def address(memory) -> int:
    """Address of the first byte."""
    return word(memory, 0)


def nbytes(memory) -> int:
    return word(memory, 1)


def foreign(memory) -> bool:
    """Whether the bytes belong to another library."""
    return word(memory, 3) == FOREIGN


def bump(memory) -> None:
    """Count one more in-place write."""
    count = word(memory, 2)
    if count < 0 and threading.get_ident() not in _inference[1:]:
        raise RuntimeError(NOT_WRITTEN)
    set_version(memory, count + 1)


def of_inference(memory) -> bool:
    """Whether the memory was made in inference mode."""
    return word(memory, 2) < 0


def memory_stats() -> dict[str, int]:
    """Bytes in use, the peak, bytes kept for reuse, and how many allocations were served (from the pool)."""
    return dict(zip(("in_use", "peak", "cached", "cache_limit", "allocations", "reused"), _pool[:6]))


def poison(on: bool = True) -> None:
    """Fill every new block with NaN, so that reading what nobody wrote shows. For tests."""
    _pool[8] = int(on)


def reset_peak() -> None:
    _pool[1] = _pool[0]


def drop_arena() -> None:
    """Give the memory that plans compute in back to the system; the next one takes what it needs."""
    ctypes.CFUNCTYPE(None, ctypes.c_int64)(_addresses["drop_arena"])(0)


def empty_cache() -> None:
    """Give the pool's unused blocks back to the system, and the memory that plans compute in."""
    drop_arena()
    ctypes.CFUNCTYPE(None, ctypes.c_int64)(_addresses["pool_release"])(0)


# -- threads -------------------------------------------------------------------------------------------------

_workers: list[threading.Thread] = []
_enter = ctypes.CFUNCTYPE(None, ctypes.c_int64)(_addresses["worker"])
_wake = ctypes.CFUNCTYPE(None, ctypes.c_int64)(_addresses["team_wake"])
_wanted = [0]


def _initial_threads() -> int:
    chosen = os.environ.get("FLAMBEAU_NUM_THREADS") or os.environ.get("OMP_NUM_THREADS")
    if chosen and chosen.isdigit() and int(chosen) > 0:
        return int(chosen)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def get_num_threads() -> int:
    """Threads that share one operator's work."""
    return _wanted[0]


def set_num_threads(count: int) -> None:
    """Share each operator's work between `count` threads; results do not depend on it."""
    if not isinstance(count, int) or count <= 0:
        raise RuntimeError("set_num_threads expects a positive integer")
    _wanted[0] = jit.threads[0] = count
    while len(_workers) < count - 1:
        number = len(_workers)
        thread = threading.Thread(target=_enter, args=(number,), name=f"flambeau-{number}", daemon=True)
        _workers.append(thread)
        thread.start()
    _team[0] = len(_workers)
    _team[1] = count - 1


def _after_fork() -> None:
    """A child has no workers: forget them, free the locks, start new ones."""
    _workers.clear()
    for k in (0, 1, 2, 3, 4, 11, 12):
        _team[k] = 0
    for k in range(len(_seats)):
        _seats[k] = 0
    set_num_threads(_wanted[0])


def _stop() -> None:
    _team[12] = 1
    _wake(0)
    for thread in _workers:
        thread.join(1.0)


set_num_threads(_initial_threads())
atexit.register(_stop)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


# -- programs ------------------------------------------------------------------------------------------------

RELEASE_GIL = 1  # flag of a program, besides those of `kernels_record`
_promised: dict[int, list] = {}  # by the address of words: what must be compiled before they are used


def words(values, later: bool = False) -> object:
    """A constant int64 array in native memory, for a kernel's parameters.

    later: whether promised addresses may be written when they are known, see `completed`.
    """
    memory = allocate(8 * max(1, len(values)))
    if later and jit.promises:
        values = [jit.word(v) for v in values]
        _await(memory, values)
    try:
        data = array.array("q", values).tobytes()
    except (TypeError, OverflowError):
        data = array.array("q", [_as_word(v) for v in values]).tobytes()
    ctypes.memmove(address(memory), data, len(data))
    return memory


def _await(memory: object, values: list) -> None:
    """Note which promises words hold the numbers of, themselves or in other words whose addresses they hold."""
    found, where = [], address(memory)
    for k, value in enumerate(values):
        if value in jit.promises:
            found.append(jit.promises[value])
            found[-1].put(memory, where + 8 * k)
        elif value in _promised:
            found += _promised[value]
    if found:
        _promised[where] = found


def _as_word(value) -> int:
    if isinstance(value, float):
        return ctypes.c_int64.from_buffer(ctypes.c_double(value)).value
    value = index(value)
    return value if value < 1 << 63 else value - (1 << 64)  # an unsigned word keeps its bits


def completed(steps: list[tuple]) -> list[tuple]:
    """Steps, of a plan or so, with all kernels that they call compiled."""
    wanted = [jit.promises[step[0]] for step in steps if step[0] in jit.promises]
    for step in steps:
        wanted += _promised.get(step[1], ())
    jit.complete(wanted)
    for step in steps:
        _promised.pop(step[1], None)
    return [(jit.promises[s[0]].word, *s[1:]) if s[0] in jit.promises else s for s in steps]


def _complete(program: int) -> None:
    """Compile what a program calls. The launcher asks for it, for programs made while a thread recorded."""
    jit.complete(_promised.get(program, ()))
    _promised.pop(program, None)
    ctypes.c_int64.from_address(program + 40).value &= ~LATER


recorder[21] = id(_complete)


#: by the address of its words: a program (which thereby lives on) and what is known of its steps
programs: dict[int, tuple] = {}


def program(
    outputs,
    inputs,
    steps,
    *,
    scratch=(),
    scalars=(),
    written=0,
    release_gil=False,
    refuses=False,
    known=(),
    ahead=None,
):
    """A built-in function that runs `steps` and returns the outputs' memory.

    outputs: bytes of each output. inputs: per input 0 (a tensor: memory, byte offset) or 1 (a flat tuple of those).
    steps: (function address, parameter words or None, n, chunk). scalars: per scalar 0 (float) or 1 (int).
    written: bit mask of the inputs that the program writes; their versions are bumped.
    refuses: whether a kernel may refuse its input. ahead: see `schedule.Call.look_ahead`.
    known: what a compiler may know of each step (see `schedule.Loop`).
    The call returns memory, a tuple of memories, True (no outputs), or None when a kernel refused (`error_record`).
    """
    inputs = list(inputs) if not isinstance(inputs, int) else [0] * inputs
    if any(size >= 1 << 63 for size in (*outputs, *scratch)):
        raise RuntimeError(f"Storage size calculation overflowed: {max((*outputs, *scratch))} bytes")
    assert FIRST + len(outputs) + len(inputs) + len(scratch) + len(scalars) <= kernels_runtime.FRAME_WORDS
    assert len(outputs) <= 16
    assert len(scratch) + sum(inputs) <= 32
    keep = [words(ahead)] if ahead else []
    flat: list = [
        len(outputs),
        len(inputs),
        len(scratch),
        len(scalars),
        len(steps),
        RELEASE_GIL * release_gil + REFUSES * bool(refuses),
        written,
        address(keep[0]) if ahead else 0,
    ]
    flat += [*outputs, *scratch, *scalars, *inputs]
    for function, parameters, n, chunk in steps:
        where = 0
        if parameters is not None:
            memory = words(list(parameters), later=True)
            keep.append(memory)
            where = address(memory)
        flat += [function, where, n, max(1, chunk)]
    memory = words(flat, later=True)
    if address(memory) in _promised:
        if recorder[0] == threading.get_ident():  # a plan may need other kernels, and compiles all at once
            ctypes.c_int64.from_address(address(memory) + 40).value |= LATER
        else:
            _complete(address(memory))
    made = _new_function(_launch, memory, tuple(keep))
    programs[address(memory)] = (made, tuple(known))
    return made
