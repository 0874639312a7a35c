"""The run-time core: memory pool, programs, threads, the object cache."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import threading

import pytest

import flambeau as torch
from flambeau.backend.cpu import jit, runtime
from flambeau.backend.cpu.native import bitcast, independent, native
from flambeau.backend.cpu.schedule import native_address
from flambeau.backend.cpu.types import f32, i64, ptr

WORD = ptr(i64)


@native
def double(frame: WORD, params: WORD, begin: i64, end: i64):
    out = bitcast(frame[4], ptr(f32))
    source = bitcast(frame[5], ptr(f32))
    for i in independent(begin, end):
        out[i] = source[i] * 2.0


@native
def refuse(frame: WORD, params: WORD, begin: i64, end: i64):
    frame[0] = 7
    frame[1] = params[0]
    frame[2] = 3


def floats(memory, count):
    return (ctypes.c_float * count).from_address(runtime.address(memory))


def test_a_block_is_reused_and_aligned():
    first = runtime.allocate(1000)
    place = runtime.address(first)
    assert place % 64 == 0
    del first
    second = runtime.allocate(1001)
    assert runtime.address(second) == place


def test_statistics_follow_allocations():
    before = runtime.memory_stats()["in_use"]
    block = runtime.allocate(1 << 20)
    assert runtime.memory_stats()["in_use"] - before >= 1 << 20
    del block
    assert runtime.memory_stats()["in_use"] == before


def test_empty_cache_gives_memory_back():
    block = runtime.allocate(1 << 20)
    del block
    assert runtime.memory_stats()["cached"] > 0
    runtime.empty_cache()
    assert runtime.memory_stats()["cached"] == 0


@pytest.mark.parametrize("count", [1, 1000, 100_000])
@pytest.mark.parametrize("threads", [1, 2])
def test_program_runs_over_chunks(count, threads):
    before = runtime.get_num_threads()
    runtime.set_num_threads(threads)
    try:
        program = runtime.program(
            [4 * count], 1, [(native_address(double), None, count, 4096)], release_gil=True
        )
        source = runtime.allocate(4 * count)
        floats(source, count)[:] = [float(i) for i in range(count)]
        out = program(source, 0)
        assert list(floats(out, count)) == [2.0 * i for i in range(count)]
    finally:
        runtime.set_num_threads(before)


def test_wrong_number_of_arguments_is_an_error():
    program = runtime.program([4], 1, [(native_address(double), None, 1, 1)])
    with pytest.raises(TypeError):
        program(runtime.allocate(4))


def test_not_memory_is_an_error():
    program = runtime.program([4], 1, [(native_address(double), None, 1, 1)])
    with pytest.raises((TypeError, ValueError)):
        program(object(), 0)


def test_refusal_gives_none_and_a_record():
    program = runtime.program([4], 0, [(native_address(refuse), [42], 1, 1), (0, None, 1, 1)])
    assert program() is None  # the second step would have crashed
    assert list(runtime.error_record[:3]) == [7, 42, 3]


def test_threads_may_call_at_once():
    x = torch.ones(200_000)
    wrong = []

    def work():
        for _ in range(30):
            if not bool(((x + x) == 2).all()):
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_computes_with_its_own_workers():
    code = (
        "import os, flambeau as torch\n"
        "torch.set_num_threads(2)\n"
        "x = torch.ones(1000000)\n"
        "(x + x).sum()\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    ok = (x + x).sum().item() == 2000000\n"
        "    os._exit(0 if ok else 1)\n"
        "raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n"
    )
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", code], timeout=60).returncode == 0


def run_with_cache(folder, code="import flambeau as torch; print((torch.ones(3) + 1).tolist())"):
    found = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "FLAMBEAU_CACHE": str(folder)}, capture_output=True, text=True,
        timeout=120,
    )  # fmt: skip
    return found.stdout.strip()


def test_a_damaged_cache_is_rebuilt(tmp_path):
    folder = tmp_path / "cache"
    assert run_with_cache(folder) == "[2.0, 2.0, 2.0]"
    entries = sorted(folder.glob("*.o"))
    assert entries
    for k, entry in enumerate(entries):
        content = entry.read_bytes()
        entry.write_bytes(content[: len(content) // 2] if k % 2 else b"nonsense" + content)
    assert run_with_cache(folder) == "[2.0, 2.0, 2.0]"
    assert entries[0].read_bytes()[:8] != b"nonsense"


def test_a_cache_that_others_could_write_is_not_used(tmp_path):
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)
    assert run_with_cache(folder) == "[2.0, 2.0, 2.0]"
    assert not list(folder.iterdir())


def test_no_cache_at_all(tmp_path):
    assert run_with_cache("0") == "[2.0, 2.0, 2.0]"
    assert run_with_cache(tmp_path / "file" / "x" / "\0"[:0]) == "[2.0, 2.0, 2.0]"


def test_a_second_call_compiles_nothing():
    x = torch.rand(5, 7)
    (x * 3 + x).relu().sum()
    before = dict(jit.counts)
    (x * 4 + x).relu().sum()
    assert jit.counts == before


def test_a_second_process_compiles_nothing(tmp_path):
    code = (
        "import flambeau as torch\nfrom flambeau.backend.cpu import jit\n"
        "x = torch.rand(4, 4, requires_grad=True)\n(x @ x).relu().sum().backward()\nprint(jit.counts['compiled'])"
    )
    assert int(run_with_cache(tmp_path / "cache", code)) > 0
    assert int(run_with_cache(tmp_path / "cache", code)) == 0
