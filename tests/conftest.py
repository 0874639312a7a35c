"""Shared by all tests. Parity tests take PyTorch from the `oracle` fixture; the rest runs without it."""

from __future__ import annotations

import signal
import threading
import warnings

import pytest
from hypothesis import settings

# A shell that starts the tests in the background has them ignore Ctrl-C; programs that the tests start must not inherit that.
if (
    signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    and threading.current_thread() is threading.main_thread()
):
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Kernels are compiled on first use, so one example can take far longer than the next.
settings.register_profile("flambeau", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("flambeau")


@pytest.fixture(scope="session")
def oracle():
    """PyTorch; only tests marked `parity` may ask for it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what PyTorch's own import warns about is not our business
        import torch
    torch.set_num_threads(2)
    return torch
