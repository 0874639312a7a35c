"""The loader's side of worker processes: who makes which batch, what came back, who has died, how all end."""

from __future__ import annotations

import atexit
import errno
import multiprocessing
import os
import pickle
import signal
import threading
import time
import weakref
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from flambeau.base.errors import explained
from flambeau.multiprocessing.reductions import init_reductions

from .transport import Receiver
from .watch import Watch
from .worker import RESUME, STOP, Assignment, worker_main

__all__ = ["WorkerPool"]

GRACE = 5.0  # seconds that a worker has to finish the sample that it is at, before it is ended
#: requests that wait in a worker's pipe at most; their answers then fit the way back, so neither side ever blocks
IN_PIPE = 32
_running: weakref.WeakSet[WorkerPool] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    for pool in list(_running):
        pool.close()


class _Member:
    """One worker process, as the loader sees it."""

    def __init__(self, number: int, process: Any, connection: Any) -> None:
        self.number, self.process, self.connection = number, process, connection
        self.receiver = Receiver()
        self.waiting: deque[tuple[int, Any]] = deque()  # requests that are not in the pipe yet
        self.in_pipe = 0
        self.stopped = False

    def request(self, task: int, indices: Any) -> None:
        """Ask for a batch, or put the question off while enough are under way."""
        if self.in_pipe >= IN_PIPE:
            self.waiting.append((task, indices))
        else:
            self._send(task, indices)

    def _send(self, task: int, indices: Any) -> None:
        message = pickle.dumps((task, indices, self.receiver.take_returned()), protocol=5)
        self.in_pipe += task != RESUME
        # It may have died: whoever waits for its answer finds out, after reading what it still said.
        with suppress(BrokenPipeError, ConnectionResetError):
            self.connection.send_bytes(message)

    def answered(self) -> None:
        """One answer has come: there is room for another question."""
        self.in_pipe -= 1
        if self.waiting:
            self._send(*self.waiting.popleft())

    def resume(self) -> None:
        """Let the worker begin a new pass; questions of the old one that are not in the pipe are dropped."""
        self.waiting.clear()
        self._send(RESUME, None)

    def stop(self) -> None:
        """Tell the worker to end when it is done with what it is at."""
        if not self.stopped:
            self.stopped = True
            with suppress(OSError, ValueError):
                self.connection.send_bytes(STOP)


class WorkerPool:
    """Worker processes, and the messages between them and this one."""

    def __init__(self, loader: Any, base_seed: int) -> None:
        self.owner = os.getpid()
        self.members: list[_Member] = []
        self.closed = False
        self._watch = Watch()
        self._ready: deque[tuple[int, tuple[int, int, Any]]] = deque()
        init_reductions()
        context = loader.multiprocessing_context or multiprocessing.get_context()
        if context.get_start_method() == "forkserver":
            _preload_server(context)
        _running.add(self)
        try:
            for number in range(loader.num_workers):
                self._start(loader, context, number, base_seed)
        except BaseException:
            self.close(grace=0.0)
            raise

    # -- beginning and end -----------------------------------------------------------------------------------------

    def _start(self, loader: Any, context: Any, number: int, base_seed: int) -> None:
        assignment = Assignment(
            loader._dataset_kind, loader.dataset, loader._auto_collation, loader.collate_fn, loader.drop_last,
            base_seed, loader.worker_init_fn, number, loader.num_workers,
        )  # fmt: skip
        ours, theirs = context.Pipe()
        forked = context.get_start_method() == "fork"
        inherited = (*(member.connection for member in self.members), ours) if forked else ()
        process = context.Process(target=worker_main, args=(assignment, theirs, inherited), daemon=True)
        try:
            with _uninterrupted():
                process.start()
        except (TypeError, AttributeError, pickle.PicklingError) as error:
            ours.close()
            raise _unpicklable(error, assignment, context.get_start_method()) from error
        finally:
            theirs.close()
        self.members.append(_Member(number, process, ours))
        self._watch.add(number, ours, process.sentinel)

    def close(self, grace: float = GRACE) -> None:
        """End all workers: asked first, after `grace` seconds by signal."""
        if self.closed or os.getpid() != self.owner:
            return
        self.closed = True
        _running.discard(self)
        for member in self.members:
            member.stop()
        deadline = time.monotonic() + grace
        for member in self.members:
            member.process.join(max(0.0, deadline - time.monotonic()))
        for end in ("terminate", "kill"):
            alive = [member.process for member in self.members if member.process.is_alive()]
            for process in alive:
                getattr(process, end)()
            for process in alive:
                process.join(1.0)
        self._watch.close()
        for member in self.members:
            member.connection.close()

    def __del__(self) -> None:
        if not getattr(self, "closed", True):
            self.close()

    # -- messages --------------------------------------------------------------------------------------------------

    def receive(self, timeout: float) -> tuple[int, tuple[int, int, Any]]:
        """The next message of any worker, waited for `timeout` seconds (0: as long as it takes).

        Raises: RuntimeError when a worker has died, or at the time-out.
        """
        deadline = time.monotonic() + timeout if timeout > 0 else None
        while not self._ready:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            speaking, ended = self._watch.wait(left)
            for number in speaking:
                self._read(self.members[number])
            if not self._ready:
                self._check_ended(ended)
                if deadline is not None and time.monotonic() >= deadline:
                    raise explained(
                        RuntimeError,
                        f"DataLoader timed out after {timeout} seconds",
                        need="a batch from a worker within `timeout` seconds",
                        fix="a larger timeout, or see what the dataset waits for with num_workers=0",
                    )
        return self._ready.popleft()

    def _read(self, member: _Member) -> None:
        from multiprocessing.reduction import recv_handle

        try:
            message = member.connection.recv_bytes()
        except (EOFError, OSError):  # nothing, or the beginning of a message
            self._watch.hung_up(member.number)
            self._check_ended([member.number])
            return
        try:
            accepted = member.receiver.accept(message, lambda: recv_handle(member.connection))
        except (EOFError, OSError, RuntimeError) as error:
            member.process.join(0.2)
            if not member.process.is_alive():
                self._check_ended([member.number])
            lost = isinstance(error, RuntimeError) or getattr(error, "errno", None) == errno.EMFILE
            raise (_too_many_files(error) if lost else error) from error
        member.answered()
        self._ready.append((member.number, accepted))

    def check(self) -> None:
        """Raise RuntimeError when a worker has died, without waiting."""
        self._check_ended(self._watch.wait(0.0)[1])

    def _check_ended(self, numbers: list[int]) -> None:
        """Raise for workers that have ended without being told to."""
        dead = []
        for number in numbers:
            member = self.members[number]
            member.process.join(1.0)
            if member.stopped and member.process.exitcode in (0, None):
                self._watch.forget(number)
            else:
                dead.append(member)
        if dead:
            raise _died(dead)


def _preload_server(context: Any) -> None:
    """Let the server that workers are forked from import what all of them need, once."""
    from multiprocessing import forkserver

    server: Any = getattr(forkserver, "_forkserver", None)
    modules = list(getattr(server, "_preload_modules", ()))
    if worker_main.__module__ not in modules:
        context.set_forkserver_preload([*modules, worker_main.__module__])


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Keeps Ctrl-C back while a process starts; the child begins with the signal held back too, and then lets it in."""
    if not hasattr(signal, "pthread_sigmask") or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


# -- errors ------------------------------------------------------------------------------------------------------------


def _died(members: list[_Member]) -> Exception:
    """What to raise for workers that are no more."""
    pids = ", ".join(str(member.process.pid) for member in members)
    lines = []
    for member in members:
        code = member.process.exitcode
        if code is not None and code < 0:
            name = signal.strsignal(-code) or f"signal {-code}"
            how = f"DataLoader worker (pid {member.process.pid}) is killed by signal: {name}. "
        else:
            how = f"DataLoader worker (pid {member.process.pid}) exited unexpectedly with exit code {code}. "
        lines.append(f"\n  found worker {member.number}: {how}".rstrip())
    fixes = {
        -9: "signal 9 often means that memory ran out: try fewer workers, a smaller batch_size or prefetch_factor",
        -11: "a library crashed in the worker: num_workers=0 shows where (python -X faulthandler)",
    }
    fix = fixes.get(members[0].process.exitcode, "run once with num_workers=0 to see the error itself")
    return RuntimeError(
        f"DataLoader worker (pid(s) {pids}) exited unexpectedly{''.join(lines)}\n  fix   {fix}"
    )


def _too_many_files(error: Exception) -> Exception:
    return explained(
        RuntimeError,
        "Too many open files. Communication with the workers is no longer possible. Please increase the limit using "
        "`ulimit -n` in the shell or change the sharing strategy by calling "
        "`torch.multiprocessing.set_sharing_strategy('file_system')` at the beginning of your code",
        need=str(error),
    )


class _Nowhere:
    """A file that keeps nothing, to try whether something can be pickled."""

    def write(self, data: Any) -> int:
        return len(data)


def _unpicklable(error: Exception, assignment: Assignment, method: str) -> Exception:
    """The error of a process that could not be started, with what it is about."""
    for name in ("dataset", "collate_fn", "worker_init_fn"):
        value = getattr(assignment, name)
        try:
            pickle.Pickler(_Nowhere()).dump(value)  # type: ignore[arg-type]
        except Exception:
            shown = getattr(value, "__qualname__", type(value).__qualname__)
            return explained(
                type(error),
                str(error),
                need=f"a {name} that can be pickled, because the start method {method!r} sends it to each worker; "
                f"got {shown}",
                fix="define it at the top level of a module (no lambda, no class in a function, no open file); or "
                "multiprocessing_context='fork' where the system has it; or num_workers=0",
            )
    return error
