"""LLVM text -> native code, with compiled objects cached on disk.

The cache folder is private to the user. An entry is a file named by the hash of everything that decides its content,
written under a temporary name and renamed, and it carries a checksum: a damaged or foreign file is rebuilt.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from operator import index

_lock = threading.RLock()
_state: dict = {}
#: how often machine code was produced and how often it came from disk, for tests and `explain`
counts = {"compiled": 0, "from_disk": 0}
#: how many threads may compile
threads = [1]
_linking = threading.Lock()
if hasattr(os, "register_at_fork"):  # no thread compiles while this one forks
    os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)

_MAGIC = b"flambeau-object-1\n"


def _llvm():
    """llvmlite's binding, initialised once."""
    llvm = _state.get("llvm")
    if llvm is None:
        import llvmlite.binding as llvm

        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        _state["llvm"] = llvm
    return llvm


def host() -> tuple[str, str]:
    """CPU name and feature string of this machine."""
    found = _state.get("host")
    if found is None:
        llvm = _llvm()
        name, features = llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()
        found = _state["host"] = (name, features)
    return found


def has_feature(name: str) -> bool:
    """Whether the CPU has an LLVM feature such as "avx512f"."""
    return f"+{name}" in host()[1].split(",")


def vector_bytes() -> int:
    """Bytes of the widest vector register."""
    found = _state.get("vector_bytes")
    if found is None:
        found = _state["vector_bytes"] = 64 if has_feature("avx512f") else 32 if has_feature("avx2") else 16
    return found


def _new_machine(level: int):
    name, features = host()
    return (
        _llvm()
        .Target.from_default_triple()
        .create_target_machine(
            cpu=name, features=features, opt=max(1, level), reloc="pic", codemodel="default"
        )
    )


def _machine(level: int):
    key = ("machine", level)
    if key not in _state:
        _state[key] = _new_machine(level)
    return _state[key]


def _jit():
    jit = _state.get("jit")
    if jit is None:
        llvm = _llvm()
        jit = _state["jit"] = llvm.create_lljit_compiler(_machine(3))
        # Workers may still be inside compiled code when the interpreter ends: never unload it.
        jit._close = lambda: None
    return jit


def _parsed(text: str, level: int, context=None) -> object:
    """The module of a text, verified."""
    llvm, machine = _llvm(), _machine(level)
    wide = '"prefer-vector-width"="512" ' if has_feature("avx512f") else ""
    name, features = host()
    text += f'\nattributes #0 = {{ nounwind {wide}"target-cpu"="{name}" "target-features"="{features}" }}\n'
    module = llvm.parse_assembly(text, context)
    module.triple = machine.triple
    module.data_layout = _state.setdefault("layout", str(machine.target_data))
    module.verify()
    return module


def _passes(machine, level: int) -> tuple:
    """The passes of a level, and what runs them.

    Level 0 is for what is written in vectors, with nothing to hoist or to share: it takes a fifth of the time of level 1.
    """
    llvm = _llvm()
    options = llvm.create_pipeline_tuning_options(speed_level=level)
    options.loop_vectorization = level > 1
    options.slp_vectorization = level > 2
    options.loop_unrolling = level > 1
    builder = llvm.create_pass_builder(machine, options)
    if level > 0:
        return builder.getModulePassManager(), builder
    passes = llvm.create_new_module_pass_manager()
    passes.add_sroa_pass()
    passes.add_simplify_cfg_pass()
    passes.add_loop_rotate_pass()
    passes.add_instruction_combine_pass()
    passes.add_simplify_cfg_pass()
    return passes, builder


def optimised(text: str, level: int = 3) -> object:
    """The module of a text, optimised by llvmlite's own calls: for reading, and for comparison with what jobs make."""
    module = _parsed(text, level)
    passes, builder = _passes(_machine(level), level)
    passes.run(module, builder)
    return module


def cache_folder() -> str | None:
    """Folder of compiled objects (made if needed, private to the user), or None when none can be used."""
    if "folder" not in _state:
        _state["folder"] = _find_folder()
    return _state["folder"]


def _find_folder() -> str | None:
    chosen = os.environ.get("FLAMBEAU_CACHE")
    if chosen == "0":
        return None
    base = chosen or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "flambeau"
    )
    try:
        os.makedirs(base, mode=0o700, exist_ok=True)
        status = os.stat(base)
        if hasattr(os, "getuid") and (status.st_uid != os.getuid() or status.st_mode & 0o022):
            return None  # someone else could plant code here
        return base
    except OSError:
        return None


def _salt() -> bytes:
    salt = _state.get("salt")
    if salt is None:
        import llvmlite

        sources = hashlib.sha256()
        for name in (
            "builder.py",
            "emit.py",
            "jit.py",
            "language.py",
            "native.py",
            "types.py",
        ):  # what turns kernels into LLVM text
            with open(os.path.join(os.path.dirname(__file__), name), "rb") as file:
                sources.update(file.read())
        salt = _state["salt"] = repr(
            (llvmlite.__version__, host(), sys.platform, sources.hexdigest())
        ).encode()
    return salt


def _read(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            content = file.read()
    except OSError:
        return None
    head = len(_MAGIC) + 32
    if len(content) <= head or not content.startswith(_MAGIC):
        return None
    body = content[head:]
    return body if hashlib.sha256(body).digest() == content[len(_MAGIC) : head] else None


def _write(path: str, body: bytes) -> None:
    try:
        handle, temporary = tempfile.mkstemp(dir=os.path.dirname(path))
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(_MAGIC + hashlib.sha256(body).digest() + body)
            os.replace(temporary, path)
        except OSError:
            os.unlink(temporary)
    except OSError:
        pass  # a full disk or a read-only folder: work without the cache


class Promise:
    """The address of a function that is not compiled yet. As a number (``operator.index``) it compiles it."""

    __slots__ = ("job", "place", "number", "waiting")

    def __init__(self, job: _Job, place: int):
        self.job, self.place = job, place
        self.waiting: list[tuple[object, int]] = []  # native memory, and the address of a word of it
        self.number = _FIRST + len(promises)
        promises[self.number] = self

    @property
    def word(self) -> int:
        """The address, or the number that stands for it until it is known."""
        return self.job.addresses[self.place] if self.job.addresses else self.number

    def __index__(self) -> int:
        complete([self])
        return self.word

    def put(self, memory: object, address: int) -> None:
        """Write the function's address there when it is known; `memory` is kept until then."""
        self.waiting.append((memory, address))


#: by the number that stands for the address; such a number is no address, no size, and no float64 but NaN
promises: dict[int, Promise] = {}
_FIRST = -0x000B_5EED_0000_0000


def word(function: int | Promise) -> int:
    """An address, or the number of the promise of it."""
    return function.word if isinstance(function, Promise) else function


class _Job:
    """A module to be compiled: `prepare`, then `compile`, which may run on several threads for several jobs."""

    __slots__ = ("write_text", "symbols", "level", "path", "parts", "size", "promises", "addresses")

    def __init__(self, write_text: Callable[[], str], symbols: list[str], level: int, path: str | None):
        self.write_text, self.symbols, self.level, self.path = write_text, symbols, level, path
        self.parts: tuple = ()
        self.size = 0
        self.addresses: list[int] = []
        self.promises = [Promise(self, k) for k in range(len(symbols))]

    def prepare(self) -> None:
        """Write the module's text and parse it, in a context and for a machine of its own."""
        if not self.parts:
            text, machine = self.write_text(), _new_machine(self.level)
            module = _parsed(text, self.level, _llvm().create_context())
            self.size, self.parts = len(text), (machine, module, *_passes(machine, self.level))
            counts["compiled"] += 1

    def compile(self) -> None:
        (machine, module, passes, builder), self.parts = self.parts, ()
        run, emit = _slow_calls()
        run(passes, module, builder)
        body = emit(machine, module)
        self.addresses = _link(body, self.symbols)
        del self.write_text
        if self.path:
            _write(self.path, body)


def _slow_calls() -> tuple[Callable, Callable]:
    """LLVM's passes, ``run(passes, module, builder)``, and its code generator, ``emit(machine, module)``.

    llvmlite lets one thread at a time into LLVM. What takes long is called past that lock here, which is sound as every job
    has a context and a machine of its own, and LLVM shares nothing else between them. `_state["serial"]` says that this
    llvmlite is another one than we know, so that it cannot be done.
    """
    found = _state.get("slow")
    if found is None:
        found = _state["slow"] = _past_lock() or (
            lambda passes, module, builder: passes.run(module, builder),
            lambda machine, module: machine.emit_object(module),
        )
    return found


def _past_lock() -> tuple[Callable, Callable] | None:
    from llvmlite.binding import ffi

    try:
        own, locked = ctypes.CDLL(ffi.lib._name), ffi.lib
        names = ("RunNewModulePassManager", "TargetMachineEmitToMemory", "GetBufferStart", "GetBufferSize",
                 "DisposeMemoryBuffer")  # fmt: skip
        run, emit_to_memory, start, size, dispose = found = [getattr(own, "LLVMPY_" + n) for n in names]
        for function, name in zip(found, names):
            known = getattr(locked, "LLVMPY_" + name)
            function.argtypes, function.restype = known.argtypes, known.restype
    except (AttributeError, OSError):
        _state["serial"] = True
        return None

    def emit(machine, module) -> bytes:
        with ffi.OutputString() as error:
            memory = emit_to_memory(machine, module, 1, error)
            if not memory:
                raise RuntimeError(str(error))
        try:
            return ctypes.string_at(start(memory), size(memory))
        finally:
            dispose(memory)

    return run, emit


def later(key: str, write_text: Callable[[], str], symbols: list[str], level: int = 3) -> list:
    """Addresses of `symbols` where the disk cache has an object for `key`, else promises of them.

    write_text() gives the LLVM text. What takes a promise: steps of programs and plans, and their parameters.
    """
    with _lock:
        digest = hashlib.sha256(_salt() + str(level).encode() + key.encode()).hexdigest()
        folder = cache_folder()
        path = os.path.join(folder, digest[:40] + ".o") if folder else None
        body = _read(path) if path else None
        if body is not None:
            try:
                counts["from_disk"] += 1
                return _link(body, symbols)
            except Exception:
                counts["from_disk"] -= 1
        return _Job(write_text, symbols, level, path).promises


def build(key: str, write_text: Callable[[], str], symbols: list[str], level: int = 3) -> list[int]:
    """Addresses of `symbols`, compiled now where the disk cache has no object for `key` (see `later`)."""
    return list(map(index, later(key, write_text, symbols, level)))


def complete(promises: Sequence[Promise]) -> None:
    """Compile what was promised and is not there yet, on several threads, and write addresses where they are awaited."""
    with _lock:
        jobs = dict.fromkeys(one.job for one in promises)
        missing = [job for job in jobs if not job.addresses]
        _slow_calls()
        if len(missing) > 1 and threads[0] > 1 and not _state.get("serial"):
            _share(missing, min(threads[0], len(missing)))
        for job in jobs:
            if not job.addresses:
                job.prepare()
                job.compile()
            for one in job.promises:
                while one.waiting:
                    ctypes.c_int64.from_address(one.waiting.pop()[1]).value = one.word


def _share(jobs: list[_Job], count: int) -> None:
    """Compile jobs on so many threads, the large ones first. This one writes all texts: that is work for Python."""
    ready: list = []
    available = threading.Semaphore(0)
    errors: list[BaseException] = []

    def take() -> _Job | None:
        available.acquire()
        try:
            return heappop(ready)[-1]
        except IndexError:
            return None  # all are taken

    def work() -> None:
        try:
            while job := take():
                job.compile()
        except BaseException as error:
            errors.append(error)

    helpers = [threading.Thread(target=work, name="flambeau-compiler", daemon=True) for _ in range(count - 1)]
    for one in helpers:
        one.start()
    try:
        for number, job in enumerate(jobs):
            job.prepare()
            heappush(ready, (-job.size, number, job))
            available.release()
    finally:
        for _ in range(count):  # who finds nothing ready is done
            available.release()
        work()
        for one in helpers:
            while one.is_alive():  # an interrupt must not leave one at work
                try:
                    one.join()
                except BaseException as error:
                    errors.append(error)
    if errors:
        raise errors[0]


def _link(body: bytes, symbols: list[str]) -> list[int]:
    with _linking:
        llvm, jit = _llvm(), _jit()
        _state["libraries"] = number = _state.get("libraries", 0) + 1
        maker = llvm.JITLibraryBuilder().add_object_img(body).add_current_process()
        for symbol in symbols:
            maker = maker.export_symbol(symbol)
        library = maker.link(jit, f"flambeau{number}")
        _state.setdefault("keep", []).append(library)
        return [library[symbol] for symbol in symbols]
