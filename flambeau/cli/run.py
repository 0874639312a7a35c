"""``flambeau run``: a PyTorch program with Flambeau in PyTorch's place, as Python itself would run it."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import signal
import sys
from pathlib import Path
from types import CodeType, ModuleType, TracebackType
from typing import Any

__all__ = ["USAGE", "run"]

USAGE = """\
usage: flambeau run script.py [arguments]
       flambeau run -m package [arguments]

Run a PyTorch program: imports that say torch get Flambeau. What follows the script is the program's own.
"""


class _Problem(Exception):
    """A program that cannot be started, and why."""


def run(arguments: list[str]) -> int:
    """Run the program that the words after ``flambeau run`` name; give its exit status."""
    if arguments[:1] in (["-h"], ["--help"]):
        print(USAGE, end="")
        return 0
    as_module = arguments[:1] == ["-m"]
    words = arguments[1:] if as_module else arguments
    if not words or (not as_module and words[0].startswith("-")):
        print(USAGE, end="", file=sys.stderr)
        if words:
            print(f"flambeau run: error: {words[0]} is no option of flambeau run", file=sys.stderr)
        return 2
    from flambeau import compat

    compat.install()
    try:
        module, code = _module(words) if as_module else _script(words)
    except _Problem as problem:
        print(f"flambeau run: error: {problem}", file=sys.stderr)
        return 2
    except BaseException as error:
        return _report(error)
    return _execute(module, code)


# -- what to run -----------------------------------------------------------------------------------------------------


def _script(words: list[str]) -> tuple[ModuleType, CodeType]:
    """The main module and code of a file, or of a folder with a ``__main__.py``."""
    path = Path(words[0])
    file = path / "__main__.py" if path.is_dir() else path
    try:
        source = file.read_bytes()
    except OSError as error:
        raise _Problem(f"cannot open {str(file)!r}: {error.strerror or error}{_suggestion(path)}") from None
    sys.argv[:] = words
    _search_first(os.path.realpath(path if path.is_dir() else path.parent if not path.is_symlink() else
                                   os.path.dirname(os.path.realpath(path))))  # fmt: skip
    name = os.path.abspath(file)
    module = _new_main(name, importlib.machinery.SourceFileLoader("__main__", name))
    return module, compile(source, name, "exec", dont_inherit=True)


def _suggestion(path: Path) -> str:
    """Files beside a missing one whose names are like its name."""
    from difflib import get_close_matches

    try:
        beside = [p.name for p in path.parent.iterdir() if p.suffix == ".py"]
    except OSError:
        return ""
    near = get_close_matches(path.name, beside)
    return f"\n  close names in the folder: {', '.join(near)}" if near else ""


def _module(words: list[str]) -> tuple[ModuleType, CodeType]:
    """The main module and code of a module or package by name, as ``python -m`` finds it."""
    sys.argv[:] = ["-m", *words[1:]]
    _search_first(os.getcwd())
    spec = _find(words[0])
    if spec.submodule_search_locations is not None:
        inner = f"{spec.name}.__main__"
        if importlib.util.find_spec(inner) is None:
            raise _Problem(
                f"No module named {inner}; {spec.name!r} is a package and cannot be directly executed"
            )
        spec = _find(inner)
    code = spec.loader.get_code(spec.name) if hasattr(spec.loader, "get_code") else None
    if code is None:
        raise _Problem(f"No code object available for {spec.name}")
    sys.argv[0] = spec.origin or words[0]
    module = _new_main(spec.origin, spec.loader)
    module.__spec__, module.__package__, module.__cached__ = spec, spec.parent, spec.cached
    return module, code


def _find(name: str) -> importlib.machinery.ModuleSpec:
    """The spec of a module. Importing its parents runs code of the program."""
    if name.endswith(".py") and os.path.isfile(name):
        raise _Problem(f"No module named {name}; to run the file, leave out -m")
    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError as error:
        if error.name is None or not (name + ".").startswith(error.name + "."):
            raise
        spec = None
    except ValueError:  # relative names, and modules without a spec
        spec = None
    if spec is None:
        raise _Problem(f"No module named {name}")
    return spec


def _search_first(folder: str) -> None:
    """Let the program's folder take the place of this command's own at the head of the search path."""
    if sys.flags.safe_path:
        return
    sys.path[:1] = [folder]


def _new_main(file: str | None, loader: Any) -> ModuleType:
    """A fresh ``__main__``, so that pickles, child processes and the program itself find its names there."""
    import builtins

    module = ModuleType("__main__")
    vars(module).update(
        __file__=file, __loader__=loader, __package__=None, __spec__=None, __cached__=None, __annotations__={},
        __builtins__=builtins,
    )  # fmt: skip
    return module


# -- running it ------------------------------------------------------------------------------------------------------

_command: list[ModuleType] = []


def _execute(module: ModuleType, code: CodeType) -> int:
    _command.append(sys.modules["__main__"])  # its functions are on the stack: it must outlive the exchange
    sys.modules["__main__"] = module
    try:
        exec(code, vars(module))
    except SystemExit:
        raise
    except BaseException as error:
        return _report(error)
    return 0


def _report(error: BaseException) -> int:
    """Show an error as Python does, through the program's own hook if it set one, without the frames of this command."""
    kept = _strip(error.__traceback__)
    error.__traceback__ = kept
    try:
        sys.excepthook(type(error), error, kept)
    except Exception as broken:
        print("Error in sys.excepthook:", file=sys.stderr)
        sys.__excepthook__(type(broken), broken, broken.__traceback__)
        print("\nOriginal exception was:", file=sys.stderr)
        sys.__excepthook__(type(error), error, kept)
    if isinstance(error, KeyboardInterrupt):
        return _interrupted()
    return 1


_OURS = (str(Path(__file__)), str(Path(__file__).parents[1] / "compat"))


def _strip(traceback: TracebackType | None) -> TracebackType | None:
    """A traceback without the frames of this command and of the import hook."""
    frames = []
    step = traceback
    while step is not None:
        file = step.tb_frame.f_code.co_filename
        if not (file.startswith(_OURS) or (file.startswith("<frozen importlib") and _ends_in_hook(step))):
            frames.append(step)
        step = step.tb_next
    kept = None
    for one in reversed(frames):
        kept = TracebackType(kept, one.tb_frame, one.tb_lasti, one.tb_lineno)
    return kept


def _ends_in_hook(step: TracebackType) -> bool:
    """Whether only frames of the import system and of the hook follow: then they say nothing of the program."""
    after = step.tb_next
    while after is not None:
        file = after.tb_frame.f_code.co_filename
        if not file.startswith((*_OURS, "<frozen importlib")):
            return False
        after = after.tb_next
    return True


def _interrupted() -> int:
    """End as a program stopped by Ctrl-C ends, so that a shell script around it stops too."""
    if os.name == "posix":
        sys.stdout.flush()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    return 130
