"""LLVM text -> native code, with compiled objects cached on disk.

The cache folder is private to the user. An entry is a file named by the hash of everything that decides its content,
written under a temporary name and renamed, and it carries a checksum: a damaged or foreign file is rebuilt.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
import threading

_lock = threading.RLock()
_state: dict = {}
#: how often machine code was produced and how often it came from disk, for tests and `explain`
counts = {"compiled": 0, "from_disk": 0}

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


def _machine(level: int):
    llvm = _llvm()
    key = ("machine", level)
    if key not in _state:
        name, features = host()
        _state[key] = llvm.Target.from_default_triple().create_target_machine(
            cpu=name, features=features, opt=level, reloc="pic", codemodel="default"
        )
    return _state[key]


def _jit():
    jit = _state.get("jit")
    if jit is None:
        llvm = _llvm()
        jit = _state["jit"] = llvm.create_lljit_compiler(_machine(3))
        # Workers may still be inside compiled code when the interpreter ends: never unload it.
        jit._close = lambda: None
    return jit


def optimised(text: str, level: int = 3) -> object:
    """The module parsed, verified and optimised for this machine."""
    llvm = _llvm()
    machine = _machine(level)
    wide = '"prefer-vector-width"="512" ' if has_feature("avx512f") else ""
    name, features = host()
    text += f'\nattributes #0 = {{ nounwind {wide}"target-cpu"="{name}" "target-features"="{features}" }}\n'
    module = llvm.parse_assembly(text)
    module.triple = machine.triple
    module.data_layout = str(machine.target_data)
    module.verify()
    options = llvm.create_pipeline_tuning_options(speed_level=level)
    options.loop_vectorization = level > 1
    options.slp_vectorization = level > 2
    options.loop_unrolling = level > 1
    passes = llvm.create_pass_builder(machine, options)
    passes.getModulePassManager().run(module, passes)
    return module


def object_code(text: str, level: int = 3) -> bytes:
    counts["compiled"] += 1
    return _machine(level).emit_object(optimised(text, level))


def assembly(text: str, level: int = 3) -> str:
    """Machine code as text, for reading."""
    return _machine(level).emit_assembly(optimised(text, level))


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


def build(key: str, write_text, symbols: list[str], level: int = 3) -> list[int]:
    """Addresses of `symbols`; `write_text()` gives the LLVM text when the disk cache has no object for `key`."""
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
        body = object_code(write_text(), level)
        addresses = _link(body, symbols)
        if path:
            _write(path, body)
        return addresses


def _link(body: bytes, symbols: list[str]) -> list[int]:
    llvm, jit = _llvm(), _jit()
    _state["libraries"] = number = _state.get("libraries", 0) + 1
    maker = llvm.JITLibraryBuilder().add_object_img(body).add_current_process()
    for symbol in symbols:
        maker = maker.export_symbol(symbol)
    library = maker.link(jit, f"flambeau{number}")
    _state.setdefault("keep", []).append(library)
    return [library[symbol] for symbol in symbols]
