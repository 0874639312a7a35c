"""A version of PyTorch as programs read it: text that compares as a version."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

__all__ = ["TorchVersion"]

_PARTS = re.compile(
    r"v?(?P<release>\d+(?:\.\d+)*)"
    r"(?:[-_.]?(?P<pre>a|b|c|rc|alpha|beta|pre|preview)[-_.]?(?P<pre_number>\d*))?"
    r"(?:[-_.]?post[-_.]?(?P<post>\d*))?"
    r"(?:[-_.]?dev[-_.]?(?P<dev>\d*))?"
    r"(?:\+(?P<local>[a-z0-9]+(?:[-_.][a-z0-9]+)*))?",
    re.IGNORECASE,
)
_STAGE = {"a": "a", "alpha": "a", "b": "b", "beta": "b", "c": "rc", "rc": "rc", "pre": "rc", "preview": "rc"}


def _key(text: str) -> tuple:
    """What orders versions: 1.0.dev0 < 1.0a1 < 1.0rc1 < 1.0 < 1.0+local < 1.0.post1.

    Raises: ValueError when the text is no version.
    """
    found = _PARTS.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"Invalid version: '{text}'")
    release = [int(n) for n in found["release"].split(".")]
    while len(release) > 1 and release[-1] == 0:
        release.pop()
    pre, post, dev = found["pre"], found["post"], found["dev"]
    if pre:
        stage: tuple = (1, _STAGE[pre.lower()], int(found["pre_number"] or 0))
    else:  # a development version without another mark comes before every pre-release
        stage = (0,) if dev is not None and post is None else (2,)
    local = re.split(r"[-_.]", found["local"].lower()) if found["local"] else []
    return (
        tuple(release),
        stage,
        -1 if post is None else int(post or 0),
        (1,) if dev is None else (0, int(dev or 0)),
        tuple((1, int(part), "") if part.isdigit() else (0, 0, part) for part in local),
    )


class TorchVersion(str):
    """Text that orders as a version, against text, other versions and sequences of numbers.

    >>> TorchVersion("1.13.0") < "1.9", TorchVersion("2.13.0+flambeau") >= (2, 1)
    (False, True)
    """

    __slots__ = ()

    def _pair(self, other: Any) -> tuple:
        if isinstance(other, Iterable) and not isinstance(other, str):
            other = ".".join(str(part) for part in other)
        return _key(str(self)), _key(str(other))

    def __lt__(self, other: Any) -> bool:
        mine, theirs = self._pair(other)
        return mine < theirs

    def __le__(self, other: Any) -> bool:
        mine, theirs = self._pair(other)
        return mine <= theirs

    def __gt__(self, other: Any) -> bool:
        mine, theirs = self._pair(other)
        return mine > theirs

    def __ge__(self, other: Any) -> bool:
        mine, theirs = self._pair(other)
        return mine >= theirs

    def __eq__(self, other: object) -> bool:
        try:
            mine, theirs = self._pair(other)
        except ValueError:
            return str.__eq__(self, other) if isinstance(other, str) else False
        return mine == theirs

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return str.__hash__(self)
