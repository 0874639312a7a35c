"""Results that may come later, under `torch.futures`' names."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

__all__ = ["Future", "collect_all", "wait_all"]

T = TypeVar("T")


class Future(Generic[T]):
    """A value that one thread sets and others wait for.

    >>> f = Future()
    >>> g = f.then(lambda done: done.value() + 1)
    >>> f.set_result(1)
    >>> g.wait()
    2
    """

    def __init__(self, *, devices: list | None = None):
        self._ready = threading.Condition()
        self._done = False
        self._value: Any = None
        self._error: BaseException | None = None
        self._callbacks: list[Callable[[Future], Any]] = []

    def done(self) -> bool:
        """Whether there is a result or an error."""
        return self._done

    def wait(self) -> T:
        """The result, as soon as it is there; an error is raised."""
        with self._ready:
            self._ready.wait_for(lambda: self._done)
        return self.value()

    def value(self) -> T:
        """The result, which must be there.

        Raises: RuntimeError when it is not.
        """
        if not self._done:
            raise RuntimeError("value() cannot be called on a Future that is not completed")
        if self._error is not None:
            raise self._error
        return self._value

    def set_result(self, result: T) -> None:
        """Give the result, once."""
        self._finish(result, None)

    def set_exception(self, result: BaseException) -> None:
        """Give an error in place of the result, once."""
        if not isinstance(result, BaseException):
            raise AssertionError(f"{result} is of type {type(result)}, not an Exception.")
        self._finish(None, result)

    def _finish(self, value: Any, error: BaseException | None) -> None:
        with self._ready:
            if self._done:
                raise RuntimeError("Future can only be marked completed once")
            self._value, self._error, self._done = value, error, True
            callbacks, self._callbacks = self._callbacks, []
            self._ready.notify_all()
        for callback in callbacks:
            callback(self)

    def add_done_callback(self, callback: Callable[[Future], None]) -> None:
        """Call this with the future when it is done (now, if it is)."""
        with self._ready:
            if not self._done:
                self._callbacks.append(callback)
                return
        callback(self)

    def then(self, callback: Callable[[Future], Any]) -> Future:
        """A future of what `callback` makes of this one when it is done."""
        after: Future = Future()

        def follow(done: Future) -> None:
            try:
                after.set_result(callback(done))
            except Exception as error:
                after.set_exception(error)

        self.add_done_callback(follow)
        return after


def collect_all(futures: list[Future]) -> Future[list[Future]]:
    """A future of all of them, done when each is."""
    all_done: Future = Future()
    left = [len(futures)]
    lock = threading.Lock()

    def one_done(_: Future) -> None:
        with lock:
            left[0] -= 1
            last = left[0] == 0
        if last:
            all_done.set_result(list(futures))

    if not futures:
        all_done.set_result([])
    for future in futures:
        future.add_done_callback(one_done)
    return all_done


def wait_all(futures: list[Future]) -> list:
    """The results of all of them; the first error is raised."""
    return [future.wait() for future in collect_all(futures).wait()]
