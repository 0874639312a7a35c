"""PyTorch programs on Flambeau: ``import torch`` gives Flambeau while this is installed.

>>> import flambeau.compat
>>> with flambeau.compat.installed():
...     import torch
...     import torch.nn.functional as F
...     F.relu(torch.tensor([-1.0, 2.0]))
tensor([0., 2.])

On the command line, ``flambeau run script.py`` does the same for a whole program.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import flambeau

from .finder import ROOTS, Finder, forget_explanations, ours

__all__ = ["install", "installed", "is_installed", "uninstall"]

_finder = Finder()
#: what `install` changed: (object, attribute, value before)
_changed: list[tuple] = []


def is_installed() -> bool:
    """Whether ``import torch`` gives Flambeau."""
    return _finder in sys.meta_path


def install() -> None:
    """Let every later ``import torch`` (and ``import torch.nn``, ...) give Flambeau's modules, the same objects.

    A PyTorch that is installed beside is never imported, ``importlib.metadata`` reports Flambeau in its place, and
    processes started by `multiprocessing` do the same. To install twice is to install once.

    Raises: RuntimeError when PyTorch is imported already: the two cannot be mixed in a process.
    """
    if is_installed():
        return
    for name in [n for n in sys.modules if n.partition(".")[0] == "torch"]:
        module = sys.modules[name]
        if getattr(module, "__name__", "").partition(".")[0] != "flambeau":
            raise RuntimeError(
                "flambeau.compat.install() comes too late: PyTorch itself is already imported in this process\n"
                f"  found   {name} from {getattr(module, '__file__', 'an unknown place')}\n"
                "  fix     call install() before anything imports torch, or start the program with `flambeau run`"
            )
    from .processes import start_children_compatible

    _take_torch_names()
    sys.meta_path.insert(0, _finder)
    start_children_compatible()


def uninstall() -> None:
    """Undo `install`: later imports of ``torch`` find what is installed. Modules that programs hold stay theirs."""
    if not is_installed():
        return
    from .processes import start_children_plain

    sys.meta_path.remove(_finder)
    start_children_plain()
    forget_explanations()
    for name in list(sys.modules):
        if name.partition(".")[0] in ROOTS and sys.modules[name] is sys.modules.get(ours(name) or ""):
            del sys.modules[name]
    for holder, name, value in reversed(_changed):
        setattr(holder, name, value)
    _changed.clear()


@contextmanager
def installed() -> Iterator[None]:
    """`install` within, `uninstall` at the end (where it was not installed before)."""
    before = is_installed()
    install()
    try:
        yield
    finally:
        if not before:
            uninstall()


def _take_torch_names() -> None:
    """What libraries read to learn what they deal with.

    The version says which names to expect: those of the release that is followed. Libraries for several frameworks go by
    the module of the tensors' class.
    """
    from flambeau import version
    from flambeau.nn import Parameter
    from flambeau.torch_version import TorchVersion

    torch_version = TorchVersion(f"{version.torch_version}+flambeau")
    changes = (
        (flambeau, "__version__", torch_version),
        (version, "__version__", torch_version),
        (flambeau, "__name__", "torch"),
        (flambeau.Tensor, "__module__", "torch"),
        (flambeau.Size, "__module__", "torch"),
        (Parameter, "__module__", "torch.nn.parameter"),
    )
    for holder, name, value in changes:
        _changed.append((holder, name, getattr(holder, name)))
        setattr(holder, name, value)
