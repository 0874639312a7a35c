"""When results are written past the caches, and how.

An ordinary store first reads the line that it overwrites, and pushes something else out of the caches; a streaming one
does neither, but whoever reads the result next finds it in memory only. It pays for results that would not stay in the
last-level cache anyway (measured: docs/decisions/streaming-stores.md). This is the one place that draws the line.
"""

from __future__ import annotations

import glob
from functools import lru_cache

#: bytes of the last-level cache where the system does not tell
USUAL_CACHE = 32 << 20
#: bytes of a cache line: a streaming store must fill whole ones, from an aligned address
LINE = 64


@lru_cache(None)
def last_level_cache() -> int:
    """Bytes of the largest cache that a core of this machine uses."""
    found = 0
    for path in glob.glob("/sys/devices/system/cpu/cpu0/cache/index*/size"):
        try:
            with open(path, encoding="ascii") as file:
                text = file.read().strip()
            found = max(found, int(text.rstrip("KM")) << {"K": 10, "M": 20}.get(text[-1], 0))
        except (OSError, ValueError):
            continue
    return found or USUAL_CACHE


def worthwhile(nbytes: int) -> bool:
    """Whether a result of so many bytes is written past the caches: from half of the last-level cache on."""
    return 2 * nbytes >= last_level_cache()
