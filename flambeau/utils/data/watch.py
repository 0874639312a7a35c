"""Waiting for several processes at once: until one says something, or ends."""

from __future__ import annotations

import select
from typing import Any

__all__ = ["Watch"]


class Watch:
    """Watches connections and the processes behind them."""

    def __init__(self) -> None:
        self._connections: dict[int, int] = {}
        self._sentinels: dict[int, int] = {}
        self._numbers: dict[int, tuple[Any, int]] = {}
        # `multiprocessing.connection.wait` would set all of this up anew for every batch
        self._poll = select.poll() if hasattr(select, "poll") else None

    def add(self, number: int, connection: Any, sentinel: int) -> None:
        """Watch a process under a number."""
        self._numbers[number] = connection, sentinel
        self._sentinels[sentinel] = number
        if self._poll is not None:
            self._connections[connection.fileno()] = number
            self._poll.register(connection.fileno(), select.POLLIN)
            self._poll.register(sentinel, select.POLLIN)

    def hung_up(self, number: int) -> None:
        """The other end of the connection is closed: it has nothing more to say."""
        connection, _ = self._numbers[number]
        if self._poll is not None and self._connections.pop(connection.fileno(), None) is not None:
            self._poll.unregister(connection.fileno())

    def forget(self, number: int) -> None:
        """The process has ended as it should."""
        found = self._numbers.get(number)
        if found is None:
            return
        self.hung_up(number)
        if self._sentinels.pop(found[1], None) is not None and self._poll is not None:
            self._poll.unregister(found[1])
        del self._numbers[number]

    def wait(self, seconds: float | None) -> tuple[list[int], list[int]]:
        """Which ones say something, and which have ended, within some seconds (None: as long as it takes)."""
        if self._poll is None:
            return self._wait_portably(seconds)
        speaking, ended = [], []
        for place, event in self._poll.poll(None if seconds is None else seconds * 1000):
            if place in self._sentinels:
                ended.append(self._sentinels[place])
            elif event & (select.POLLIN | select.POLLHUP | select.POLLERR):
                speaking.append(self._connections[place])
        return speaking, ended

    def _wait_portably(self, seconds: float | None) -> tuple[list[int], list[int]]:
        from multiprocessing.connection import wait

        watched = {item: number for number, items in self._numbers.items() for item in items}
        ready = wait(list(watched), seconds)
        speaking = [watched[item] for item in ready if not isinstance(item, int)]
        return speaking, [watched[item] for item in ready if isinstance(item, int)]

    def close(self) -> None:
        """Watch nothing any more."""
        self._connections.clear()
        self._sentinels.clear()
        self._numbers.clear()
        self._poll = select.poll() if self._poll is not None else None
