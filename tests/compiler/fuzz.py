"""Random programs, eager against compiled: ``python -m tests.compiler.fuzz --count 20000 [--seed S] [--jobs N]``.

Programs run in worker processes, so that a crash or an endless one is found and the rest goes on. A program that fails is
printed as Python, shortened to what is needed for the failure; the exit status is 1 when there was one.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings

AT_ONCE = 300  # programs of one worker process, whose kernels stay in memory
PATIENCE = 60  # seconds that one program may take
SHORTENED = 20  # failures that are made short; the others are printed as they are


# -- in a worker ---------------------------------------------------------------------------------------------


def verdict(program, seed: int) -> str | None:
    """What is wrong with a program; None when it is clean.

    Tensors of programs are small: of four programs three are planned as large ones would be.
    """
    from flambeau.backend.cpu import (
        fusion_pieces,
        fusion_products,
        fusion_reductions,
        recompute,
        reduce,
        runtime,
    )

    from .fuzz_check import difference, text_of

    limits = [(fusion_products, "LEAST"), (fusion_reductions, "LEAST"), (reduce, "SHORTEST")]
    limits += [(fusion_pieces, name) for name in ("LEAST_RUN", "LONG_RUN")]
    limits += [(recompute, name) for name in ("LEAST", "LEAST_IN_ALL", "ENOUGH", "SHARE")]
    before = [getattr(module, name) for module, name in limits]
    for module, name in limits if seed % 4 else ():
        setattr(module, name, 1)
    runtime.poison(seed % 2 == 1)
    threads = runtime.get_num_threads()
    runtime.set_num_threads(2 if seed % 8 == 3 else 1)
    try:
        parts = program.parts()
        found = difference(
            *parts, spoil=program.spoil, freeze=program.steady, later=program.later, changing=program.changing
        )
    except Exception as error:
        return OUTSIDE + text_of(error)
    finally:
        runtime.poison(False)
        runtime.set_num_threads(threads)
        for (module, name), value in zip(limits, before):
            setattr(module, name, value)
    if found is None and (runtime.recorder[0] or runtime.recorder[5]):
        return "a recording was left open"
    return found


def in_a_child(program, seed: int) -> str | None:
    """The verdict of a process of its own, so that a crash is one too."""
    out, into = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there are threads: the child has none of them and needs none
        child = os.fork()
    if child == 0:
        signal.alarm(PATIENCE)
        os.close(out)
        found = verdict(program, seed)
        os.write(into, (found or "").encode()[:4000])
        os._exit(0)
    os.close(into)
    with os.fdopen(out, "rb") as file:
        text = file.read().decode(errors="replace")
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return f"killed by signal {os.WTERMSIG(status)}"
    return text or None


OUTSIDE = "outside the program: "  # a verdict on the test itself


def shortened(program, seed: int, known: str) -> None:
    """Drop statements, results and inputs that a failure does not need."""

    def fails(shorter) -> bool:
        found = in_a_child(shorter, seed)
        return found is not None and found.startswith(OUTSIDE) == known.startswith(OUTSIDE)

    changed = True
    while changed:
        changed = False
        for lines in (program.body, program.state, program.inputs):
            for k in range(len(lines) - 1, -1, -1):
                taken = lines.pop(k)
                if fails(program):
                    changed = True
                    continue
                inner = [part[4:] for part in taken.split("\n")[1:]]
                if taken.startswith("with ") and all(part[:1] != " " for part in inner):
                    lines[k:k] = inner
                    if fails(program):
                        changed = True
                        continue
                    del lines[k : k + len(inner)]
                lines.insert(k, taken)
        names = [n for n in program.result.strip("[]").split(", ") if n]
        for name in list(names):
            fewer = [n for n in names if n != name]
            before, program.result = program.result, "[" + ", ".join(fewer) + "]"
            if fails(program):
                names, changed = fewer, True
            else:
                program.result = before


def work(seeds: range, shorten: bool, steady: bool) -> None:
    """Run programs; a line of JSON before and after each."""
    from .fuzz_programs import program_of

    def say(**words) -> None:
        print(json.dumps(words), flush=True)

    for seed in seeds:
        say(begin=seed)
        try:
            program = program_of(seed, steady)
        except Exception:
            say(end=seed, found="it could not be written", source=traceback.format_exc())
            continue
        found = verdict(program, seed)
        if found is not None and shorten:
            say(failing=seed)
            shortened(program, seed, found)
            found = in_a_child(program, seed) or found
        say(end=seed, found=found, source=program.source() if found else None, statements=len(program.body))


def shorten_crash(seed: int, steady: bool) -> None:
    """Shorten a program that ends its process."""
    from .fuzz_programs import program_of

    program = program_of(seed, steady)
    found = in_a_child(program, seed)
    if found is not None:
        shortened(program, seed, found)
    print(
        json.dumps({"end": seed, "found": found or "crashed, though not again", "source": program.source()})
    )


# -- the command ---------------------------------------------------------------------------------------------


class Worker:
    """A process that runs a range of seeds."""

    def __init__(self, seeds: range, shorten: bool, steady: bool):
        self.seeds, self.now, self.since = seeds, None, time.monotonic()
        words = [sys.executable, "-m", "tests.compiler.fuzz", "--worker", str(seeds.start), str(seeds.stop)]
        if shorten:
            words.append("--shorten")
        if steady:
            words.append("--freeze")
        self.patience = PATIENCE
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.pending = b""

    def lines(self) -> list[dict] | None:
        """What it has said since; None when it has ended."""
        data = os.read(self.process.stdout.fileno(), 1 << 16)
        if not data:
            return None
        *whole, self.pending = (self.pending + data).split(b"\n")
        found = [json.loads(text) for text in whole if text.startswith(b"{")]
        for words in found:
            if "begin" in words:
                self.now, self.since, self.patience = words["begin"], time.monotonic(), PATIENCE
            if "failing" in words:
                self.patience = 40 * PATIENCE
            if "end" in words:
                self.now = None
        return found


class Campaign:
    """All programs of one command."""

    def __init__(self, first: int, count: int, jobs: int, steady: bool = False):
        self.waiting = [
            range(s, min(s + AT_ONCE, first + count)) for s in range(first, first + count, AT_ONCE)
        ][::-1]
        self.jobs, self.clean, self.failed, self.statements, self.steady = jobs, 0, [], 0, steady
        self.begun = time.monotonic()

    def run(self) -> int:
        workers: list[Worker] = []
        while self.waiting or workers:
            while self.waiting and len(workers) < self.jobs:
                workers.append(Worker(self.waiting.pop(), len(self.failed) < SHORTENED, self.steady))
            ready, _, _ = select.select([w.process.stdout for w in workers], [], [], 5.0)
            for worker in list(workers):
                if worker.process.stdout in ready:
                    said = worker.lines()
                    if said is None:
                        self.finished(worker)
                        workers.remove(worker)
                    for words in said or ():
                        if "end" in words:
                            self.note(words)
                elif worker.now is not None and time.monotonic() - worker.since > worker.patience:
                    worker.process.kill()
        seconds = time.monotonic() - self.begun
        total = self.clean + len(self.failed)
        print(f"{self.clean} of {total} programs clean ({self.statements} statements, {seconds:.0f} s)")
        if self.failed:
            print("failed:", " ".join(map(str, self.failed)))
        return int(bool(self.failed))

    def note(self, words: dict) -> None:
        if words["found"] is None:
            self.clean += 1
            self.statements += words["statements"]
            if self.clean % 500 == 0:
                print(f"{self.clean} clean, {len(self.failed)} failed", flush=True)
            return
        self.failed.append(words["end"])
        print(f"\n# seed {words['end']}: {words['found']}\n{words['source']}", flush=True)

    def finished(self, worker: Worker) -> None:
        """A worker has ended, perhaps before its time."""
        code = worker.process.wait()
        if worker.now is None:
            return
        self.waiting.append(range(worker.now + 1, worker.seeds.stop))
        print(f"\n# seed {worker.now}: the process ended with status {code}", flush=True)
        words = [sys.executable, "-m", "tests.compiler.fuzz", "--crash", str(worker.now)] + [
            "--freeze"
        ] * self.steady
        found = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        last = (found.stdout.strip().splitlines() or [""])[-1]
        self.note(json.loads(last) if last else {"end": worker.now, "found": f"status {code}", "source": ""})


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=1000, help="programs to run")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first; the others follow")
    parser.add_argument("--jobs", type=int, default=1, help="worker processes")
    parser.add_argument("--freeze", action="store_true", help="steady programs, with freeze=True")
    parser.add_argument("--show", type=int, help="print the program of a seed, without running it")
    parser.add_argument("--worker", type=int, nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--shorten", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--crash", type=int, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.worker:
        work(range(*chosen.worker), chosen.shorten, chosen.freeze)
    elif chosen.crash is not None:
        shorten_crash(chosen.crash, chosen.freeze)
    elif chosen.show is not None:
        from .fuzz_programs import program_of

        print(program_of(chosen.show, chosen.freeze).source())
    else:
        with tempfile.TemporaryDirectory() as folder:  # thousands of kernels that no other program needs
            os.environ.setdefault("FLAMBEAU_CACHE", folder)
            os.environ.setdefault("FLAMBEAU_NUM_THREADS", "1")
            return Campaign(chosen.seed, chosen.count, chosen.jobs, chosen.freeze).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
