"""The import hook: ``torch`` and its submodules are Flambeau's modules, the same objects.

Python's import system gives a new module to the loader, runs it, and then takes whatever `sys.modules` holds under the
name. The loader here puts Flambeau's own module there, so that the module keeps its name, loader and spec.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from .missing import PRIVATE, MissingModule, is_public, raise_missing

__all__ = ["ROOTS", "Finder", "ours"]

#: the packages that programs import, and what stands in their place
ROOTS = {"torch": "flambeau", "torchvision": "flambeau.vision", "torchaudio": "flambeau.audio"}


def ours(name: str) -> str | None:
    """The name of the module that a program means by `name`, or None where it is no part of the name space."""
    root, _, rest = name.partition(".")
    target = ROOTS.get(root)
    if target is None or (root == "torch" and rest.partition(".")[0] in PRIVATE):
        return None
    return f"{target}.{rest}" if rest else target


def _spec_of(name: str) -> ModuleSpec | None:
    """The spec of a module of Flambeau, without importing it where it is not yet; None when there is none."""
    module = sys.modules.get(name)
    if module is not None:
        return getattr(module, "__spec__", None) or ModuleSpec(name, None, is_package=False)
    try:
        return importlib.util.find_spec(name)
    except ModuleNotFoundError:
        return None


class Finder:
    """Stands first on ``sys.meta_path`` while compatibility is installed."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """A spec for `torch` or a submodule that Flambeau has.

        Raises: MissingModule for an import of a submodule that it lacks (a question by `importlib.util.find_spec` is
        answered with None, as for any module that does not exist).
        """
        if name.partition(".")[0] not in ROOTS:
            return None
        real = ours(name)
        found = _spec_of(real) if real is not None else None
        if found is None:
            asked = sys._getframe(2).f_code.co_name == "find_spec"
            if name.startswith("torch.") and not (asked and real is not None):
                raise MissingModule(f"No module named '{name}'", name, name=name)
            return None
        package = found.submodule_search_locations
        spec = ModuleSpec(name, Loader(real), origin=found.origin, is_package=package is not None)
        spec.submodule_search_locations = package
        spec.has_location = found.has_location
        return spec

    def find_distributions(self, context: Any) -> Iterator:
        """Answers `importlib.metadata.version("torch")`."""
        from .distribution import distributions

        return distributions(context)

    def invalidate_caches(self) -> None:
        """Nothing is cached."""


class Loader:
    """Gives a module of Flambeau under another name."""

    def __init__(self, real: str):
        self.real = real

    def create_module(self, spec: ModuleSpec) -> None:
        """The import system's own empty module, which is thrown away."""

    def exec_module(self, module: ModuleType) -> None:
        """Put Flambeau's module where the import system looks for the result."""
        real = importlib.import_module(self.real)
        explain_loaded()
        sys.modules[module.__spec__.name] = real

    def get_filename(self, name: str) -> str | None:
        """The file of the module, for tools that ask the loader."""
        return getattr(importlib.import_module(self.real), "__file__", None)

    def is_package(self, name: str) -> bool:
        """Whether the module holds others."""
        return hasattr(importlib.import_module(self.real), "__path__")


_explained: dict[str, tuple[ModuleType, Any]] = {}


def explain_loaded() -> None:
    """Let the public modules that are loaded say, for a name that they lack, what there is instead."""
    for name, module in list(sys.modules.items()):
        if name.startswith("flambeau") and name not in _explained and is_public(name):
            explain_missing(module)


def explain_missing(module: ModuleType) -> None:
    """Give a module a `__getattr__` that ends in an explanation, after its own."""
    if not isinstance(module, ModuleType):
        return
    own = module.__dict__.get("__getattr__")
    _explained[module.__spec__.name if module.__spec__ else module.__name__] = (module, own)

    def __getattr__(name: str) -> Any:
        if own is None:
            return raise_missing(module, name)
        try:
            found = own(name)
        except AttributeError as error:
            if f"has no attribute '{name}'" not in str(error.args[:1]):
                raise
            return raise_missing(module, name)
        if isinstance(found, ModuleType):
            explain_loaded()
        return found

    module.__getattr__ = __getattr__  # type: ignore[method-assign]


def forget_explanations() -> None:
    """Give the modules their own `__getattr__` back."""
    for module, own in _explained.values():
        if own is None:
            module.__dict__.pop("__getattr__", None)
        else:
            module.__getattr__ = own  # type: ignore[method-assign]
    _explained.clear()
