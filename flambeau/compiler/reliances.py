"""What a captured call relies on: modules and their mode, tensors, optimisers and numbers that its function can reach.

They are looked for in the closure and in the globals that the code names, in attributes of the program's own objects, in
containers, in helper functions. A function that hides them better than that has its user's promise only.
"""

from __future__ import annotations

import collections
import dis
import functools
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from ..nn import Module
from ..optim.optimizer import Optimizer
from ..tensor.tensor import Tensor

__all__ = ["PLAIN", "Place", "Reliances", "equal"]

PLAIN = (int, float, complex, bool, str, bytes)
MOST = 20_000  # objects that are looked at
MOST_ITEMS = 256  # of one container
MOST_NUMBERS = 64  # of a list that is compared at every call
CONTAINERS = (list, tuple, dict, set, collections.deque)
#: attributes that every module has for itself
OWN = frozenset(vars(Module()))


class Place(NamedTuple):
    """Where something is found: in a table (a dict), a cell of a closure, an item of a list, an attribute."""

    kind: str
    holder: Any
    key: Any
    value: Any

    def expression(self, holder: str) -> str:
        """Python that reads it, where the holder has this name."""
        if self.kind == "attribute":
            return f"getattr({holder}, {self.key!r}, None)"
        if self.kind == "table":
            return f"{holder}.get({self.key!r})"
        return (
            f"{holder}.cell_contents"
            if self.kind == "cell"
            else f"({holder}[{self.key}] if len({holder}) > {self.key} else None)"
        )

    def now(self) -> Any:
        """What is there now."""
        try:
            return eval(self.expression("holder"), {"holder": self.holder})
        except ValueError:  # an empty cell
            return None


def equal(x: Any, y: Any) -> bool:
    """Whether two plain values are one; of anything else only the same object will do."""
    if x is y:
        return True
    if type(x) is not type(y) or type(x) not in PLAIN:
        return False
    return repr(x) == repr(y) if type(x) in (float, complex) else x == y  # zeros have signs


def ours(x: Any) -> bool:
    """Whether a class or function belongs to the library, whose insides need no looking at."""
    return (getattr(x, "__module__", None) or "").split(".")[0] == "flambeau"


class Reliances:
    """Everything that a function can reach, as it is now."""

    def __init__(self, function: Callable, given: list) -> None:
        self.places: list[Place] = []  # of tensors, modules, optimisers, functions
        self.numbers: list[Place] = []  # of plain values
        self.modules: dict[int, tuple[Module, bool]] = {}
        self.tensors: dict[int, Tensor] = {}
        self.optimizers: dict[int, Optimizer] = {}
        self.lists: list[list] = []
        self.contents: list[tuple[Any, list]] = []  # of containers and objects: (which, what is in it)
        self.iterators: list = []
        self.names: set[str] = set()  # that the code mentions
        self._layers: set[int] = set()  # attributes of the library's modules
        self._seen: dict[int, Any] = {}
        self._waiting: list = [function, *(x for x in given if not isinstance(x, Tensor))]
        while self._waiting and len(self._seen) < MOST:
            one = self._waiting.pop()
            if id(one) not in self._seen:
                self._seen[id(one)] = one
                self._look_at(one)
        self.drawn = _random_states()

    def __contains__(self, x: object) -> bool:
        return id(x) in self._seen

    def changed(self) -> str | None:
        """What was changed since this was made, in words."""
        for one in self.numbers:
            if not equal(one.now(), one.value):
                return f"changes the number {one.key!r}"
        for one in self.places:
            if one.now() is not one.value:
                return f"replaces {one.key!r}"
        for one, before in self.contents:
            now = _contents(one)
            if len(now) != len(before) or not all(map(equal, now, before)):
                return f"changes a {type(one).__name__} that it can reach"
        if self.iterators:
            return f"can draw from an iterator ({type(self.iterators[0]).__name__})"
        return None if _random_states() == self.drawn else "draws numbers from Python's or NumPy's generator"

    def named_numbers(self) -> Iterator[Place]:
        """The numbers that the code mentions by name, and those of the library's layers, such as the rate of a dropout."""
        return (
            one
            for one in self.numbers
            if one.kind == "cell"
            or one.key in self.names
            or (type(one.value) is float and id(one.holder) in self._layers)
        )

    # -- looking around --

    def _look_at(self, x: Any) -> None:
        if isinstance(x, Tensor):
            self.tensors[id(x)] = x
        elif isinstance(x, Module):
            self._look_at_module(x)
        elif isinstance(x, Optimizer):
            self.optimizers[id(x)] = x
            for group in x.param_groups:
                self._waiting += group["params"]
        elif isinstance(x, types.FunctionType):
            self._look_at_function(x)
        elif isinstance(x, types.MethodType):
            self._waiting += (x.__self__, x.__func__)
        elif isinstance(x, functools.partial):
            self._waiting += (x.func, x.args, x.keywords)
        elif isinstance(x, CONTAINERS):
            self._look_at_container(x)
        elif hasattr(type(x), "__next__"):
            self.iterators.append(x)
        elif not isinstance(x, (type, types.ModuleType)) and hasattr(x, "__dict__"):
            self._waiting.append(getattr(x, "__wrapped__", None))
            if not type(x).__module__.startswith("flambeau.compiler"):
                self._look_at_attributes(x)
                self._look_at_class(x)

    def _look_at_container(self, x: Any) -> None:
        self.contents.append((x, _contents(x)))
        if isinstance(x, list):
            self.lists.append(x)
        if len(x) > MOST_ITEMS:
            return
        if isinstance(x, dict):
            self._look_at_table(x)
        else:
            for k, value in enumerate(x):
                self._find("item" if isinstance(x, (list, tuple)) else "member", x, k, value)

    def _look_at_attributes(self, x: Any) -> None:
        inside = not ours(type(x))
        if inside:
            self.contents.append((vars(x), _contents(vars(x))))
        own = OWN if isinstance(x, Module) else ()
        self._look_at_table({k: v for k, v in vars(x).items() if k not in own}, inside, vars(x))

    def _look_at_class(self, x: Any) -> None:
        """Numbers that an object has from its classes."""
        for kind in type(x).__mro__:
            if not ours(kind) and kind.__module__ != "builtins":
                for key, value in list(vars(kind).items()):
                    if type(value) in PLAIN and not key.startswith("__") and key not in vars(x):
                        self.numbers.append(Place("attribute", x, key, getattr(x, key, None)))

    def _look_at_module(self, x: Module) -> None:
        if ours(type(x)):
            self._layers.add(id(vars(x)))
        else:
            self._waiting.append(type(x).forward)
            self._look_at_class(x)
        self.modules[id(x)] = (x, x.training)
        for table in (x._parameters, x._buffers, x._modules):
            self._look_at_table({k: v for k, v in table.items() if v is not None}, True, table)
        self._look_at_attributes(x)

    def _look_at_function(self, x: types.FunctionType) -> None:
        if ours(x):
            return
        self._waiting.append(getattr(x, "__wrapped__", None))
        for name, cell in zip(x.__code__.co_freevars, x.__closure__ or ()):
            try:
                self._find("cell", cell, name, cell.cell_contents)
            except ValueError:  # empty
                continue
        names, of_globals = names_in(x.__code__)
        self.names |= names
        for name in of_globals & x.__globals__.keys():
            value = x.__globals__[name]
            self._find("table", x.__globals__, name, value)
            if isinstance(value, types.ModuleType) and not value.__name__.startswith("flambeau"):
                for inner in names & vars(value).keys():
                    if isinstance(vars(value)[inner], (Tensor, Module, Optimizer)):
                        self._find("table", vars(value), inner, vars(value)[inner])

    def _look_at_table(self, items: dict, inside: bool = True, table: dict | None = None) -> None:
        """Look at items of a table. inside: also at those that are no plain values."""
        for key, value in list(items.items()):
            if type(key) in (str, int) and (inside or type(value) in PLAIN):
                self._find("table", items if table is None else table, key, value)

    def _find(self, kind: str, holder: Any, key: Any, value: Any) -> None:
        """Note what is found at a place, and look into it later."""
        if type(value) in PLAIN:
            if kind not in ("item", "member"):
                self.numbers.append(Place(kind, holder, key, value))
        else:
            noted = value is None or isinstance(
                value, (Tensor, Module, Optimizer, types.FunctionType, *CONTAINERS)
            )
            if noted and kind != "member" and not (isinstance(value, types.FunctionType) and ours(value)):
                self.places.append(Place(kind, holder, key, value))
            self._waiting.append(value)


def _contents(x: Any) -> list:
    """What is in a container, to be compared later; of a long one only how much."""
    if len(x) > MOST_ITEMS:
        return [len(x)]
    return [part for item in x.items() for part in item] if isinstance(x, dict) else list(x)


def _random_states() -> list:
    """How far the generators of Python and of NumPy have come, where they are loaded."""
    states: list = []
    if "random" in sys.modules:
        states.append(sys.modules["random"].getstate())
    if "numpy.random" in sys.modules:
        states.append(repr(sys.modules["numpy.random"].get_state(legacy=False)))
    return states


def names_in(code: types.CodeType) -> tuple[set[str], set[str]]:
    """All names that a piece of code and the functions in it mention; those of globals."""
    every, of_globals, waiting = set(), set(), [code]
    while waiting:
        one = waiting.pop()
        every.update(one.co_names, (x for x in one.co_consts if isinstance(x, str)))  # attributes, keys
        of_globals.update(found.argval for found in dis.get_instructions(one) if found.opname in _GLOBAL)
        waiting += [x for x in one.co_consts if isinstance(x, types.CodeType)]
    return every, of_globals


_GLOBAL = ("LOAD_GLOBAL", "STORE_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS")


def options_of(optimizer: Optimizer) -> list:
    """The options of an optimiser's groups, as text: what is read anew at each step is left to `FusedGroups`."""
    return [repr([(k, v) for k, v in group.items() if k != "params"]) for group in optimizer.param_groups]
