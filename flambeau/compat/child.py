"""Run in a new process of a compatible program, before its main file is imported (see processes.py)."""

import importlib.util
import sys
from pathlib import Path

if importlib.util.find_spec("flambeau") is None:  # the parent found it on a path that is set only later
    sys.path.append(str(Path(__file__).resolve().parents[2]))

from flambeau.compat import install

install()
