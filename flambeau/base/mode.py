"""Per-thread switches that operators read: gradient recording and inference mode."""

from __future__ import annotations

import threading


class Mode(threading.local):
    grad = True
    inference = False
    torch_function = True
    anomaly = False
    anomaly_nan = True
    walk: tuple | None = None
    function_modes: tuple = ()
    hooks: list | None = None


mode = Mode()
