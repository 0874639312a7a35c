"""Programs run in processes of their own: compatibility changes what ``import torch`` means for all that follows."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import flambeau

ROOT = Path(flambeau.__file__).resolve().parents[1]


@pytest.fixture
def launch(tmp_path) -> Callable[..., subprocess.CompletedProcess]:
    """Runs ``python ARGUMENTS`` in the test's folder, with Flambeau on the path."""

    def run(*arguments: str, timeout: float = 120) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, "-W", "error", *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT), "FLAMBEAU_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    return run


@pytest.fixture
def program(tmp_path, launch) -> Callable[..., subprocess.CompletedProcess]:
    """Runs source code with ``flambeau run``."""

    def run(source: str, *arguments: str) -> subprocess.CompletedProcess:
        path = tmp_path / "program.py"
        path.write_text(source, encoding="utf-8")
        return launch("-m", "flambeau", "run", "program.py", *arguments)

    return run
