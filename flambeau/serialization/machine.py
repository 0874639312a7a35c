"""The data-only pickle machine: it imports nothing and calls only functions that were made for it.

Every opcode that `torch.save` can write for data in protocols 2 to 5 is here; any other is an error.
"""

from __future__ import annotations

import struct
from collections import Counter, OrderedDict
from collections.abc import Callable
from pickle import UnpicklingError
from types import FunctionType
from typing import Any

from flambeau.serialization import allowed, plain

_int32, _uint16 = struct.Struct("<i").unpack_from, struct.Struct("<H").unpack_from
_uint32, _uint64 = struct.Struct("<I").unpack_from, struct.Struct("<Q").unpack_from
_float64 = struct.Struct(">d").unpack_from
_OTHER_DTYPES = ("float8", "float4", "bits", "quint", "qint", "uint", "int")
_PYTHON_2 = {"__builtin__": "builtins", "copy_reg": "copyreg"}
_DICTS = (dict, OrderedDict, Counter)
#: what a damaged or hostile program makes the steps raise
DAMAGE = (
    ValueError, TypeError, IndexError, KeyError, AttributeError, OverflowError, struct.error, RecursionError,
)  # fmt: skip


class Machine:
    """Runs one pickle of `data`, from `at` on; afterwards `at` is where it ended.

    Args:
        storages: gives the storage of a persistent id.
        size: bytes of the whole file, which bound what the program may unfold to.
        encoding: of the byte strings that Python 2 wrote; ``"bytes"`` leaves them.
    """

    def __init__(
        self, data, storages: Callable, *, at: int = 0, size: int = 0, encoding: str = "utf-8"
    ) -> None:
        self.data, self.at, self.storages, self.encoding = data, at, storages, encoding
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.allowance = plain.Allowance(max(size, len(data)))
        self.user = allowed.user_globals()
        self.user_values = {id(value) for value in self.user.values()}

    def run(self) -> Any:
        """The value of the program.

        Raises: pickle.UnpicklingError when it asks for more than data, or is damaged.
        """
        steps, data = _STEPS, self.data
        try:
            while True:
                code = data[self.at]
                self.at += 1
                if code == _STOP:
                    return self.stack.pop()
                steps[code](self)
        except UnpicklingError:
            raise
        except DAMAGE as error:
            raise UnpicklingError(f"The pickle in the file is damaged: {error}") from error

    def take(self, count: int) -> Any:
        """The next `count` bytes of the program."""
        end = self.at + count
        if end > len(self.data):
            raise ValueError("a text or a number in it is longer than the file")
        taken = self.data[self.at : end]
        self.at = end
        return taken

    def line(self) -> str:
        """The text up to the next line end."""
        end = self.data.find(b"\n", self.at, self.at + 4096)
        if end < 0:
            raise ValueError("a name in it has no end")
        return self.take(end - self.at + 1)[:-1].decode("utf-8")

    def pop_to_mark(self) -> list[Any]:
        """What stands above the topmost mark; the mark goes too."""
        at = self.marks.pop()
        items = self.stack[at:]
        del self.stack[at:]
        return items

    def find(self, module: str, name: str) -> None:
        """Push what a global means: PyTorch's types, functions of ours in their place, or the user's choice."""
        module = _PYTHON_2.get(module, module)
        full = f"{module}.{name}"
        if module in allowed.BLOCKED_MODULES:
            raise UnpicklingError(
                f"Trying to load unsupported GLOBAL {full} whose module {module} is blocked."
            )
        value = allowed.known_functions().get(full)
        if value is None:
            value = allowed.known_values().get(full)
        if value is None:
            value = allowed.known_class(full)
        if value is None:
            value = self.user.get(full)
        if value is None:
            value = self.unknown(full)
        self.stack.append(value)

    def unknown(self, full: str) -> Any:
        """What stands for a global that is not allowed: nothing does."""
        if full.startswith("torch.") and full.count(".") == 1 and full[6:].startswith(_OTHER_DTYPES):
            raise UnpicklingError(f"The file holds a tensor of type {full}, which this version does not have")
        shown = full.removeprefix("builtins.")
        raise UnpicklingError(
            f"Unsupported global: GLOBAL {shown} was not an allowed global by default. Please use "
            f"`torch.serialization.add_safe_globals([{shown}])` or the "
            f"`torch.serialization.safe_globals([{shown}])` context manager to allowlist this global "
            "if you trust this class/function."
        )

    def call(self, function: Any, arguments: Any) -> Any:
        """Call a function that `find` gave out as one that may be called."""
        if type(arguments) is not tuple:
            raise TypeError("the arguments of a call are not a tuple")
        if (maker := _MAKERS.get(id(function))) is not None:
            return maker(self.allowance, *arguments)
        if id(function) in _TENSOR_FUNCTIONS:
            if function is _FROM_TYPE and not (len(arguments) > 1 and self.may_make(arguments[1])):
                raise UnpicklingError("Trying to make a tensor of a class that is not allowed")
            return function(*arguments)
        if id(function) in self.user_values:
            return function(*arguments)
        raise UnpicklingError(f"Trying to call reduce for unrecognized function {_shown(function)}")

    def may_make(self, kind: Any) -> bool:
        """Whether a tensor may be given this class."""
        import flambeau

        if kind is flambeau.Tensor or id(kind) in self.user_values:
            return True
        return isinstance(kind, type) and kind is allowed.known_class("torch.nn.parameter.Parameter")


_MAKERS = {id(public): maker for public, maker in plain.FUNCTIONS.values()}
_TENSOR_FUNCTIONS = {id(function) for function in allowed.tensors.TORCH_NAMES.values()}
_FROM_TYPE = allowed.tensors.rebuild_from_type


def _shown(value: Any) -> str:
    """A class or function by its name; of any other value only the type, since its text may be without end."""
    return str(value)[:200] if isinstance(value, (type, FunctionType)) else f"a {type(value).__name__}"


def _unsupported(machine: Machine) -> None:
    code = machine.data[machine.at - 1]
    raise UnpicklingError(f"Unsupported operand {code}")


_STEPS: list[Callable[[Machine], None]] = [_unsupported] * 256
_STOP = ord(".")


def _step(*codes: bytes) -> Callable:
    """Register the meaning of opcodes."""

    def register(function: Callable[[Machine], None]) -> Callable[[Machine], None]:
        for code in codes:
            _STEPS[code[0]] = function
        return function

    return register


# -- constants -------------------------------------------------------------------------------------------------


@_step(b"N")
def _none(machine: Machine) -> None:
    machine.stack.append(None)


@_step(b"\x88")
def _true(machine: Machine) -> None:
    machine.stack.append(True)


@_step(b"\x89")
def _false(machine: Machine) -> None:
    machine.stack.append(False)


@_step(b"J")
def _int_4(machine: Machine) -> None:
    machine.stack.append(_int32(machine.take(4))[0])


@_step(b"K")
def _int_1(machine: Machine) -> None:
    machine.stack.append(machine.data[machine.at])
    machine.at += 1


@_step(b"M")
def _int_2(machine: Machine) -> None:
    machine.stack.append(_uint16(machine.take(2))[0])


@_step(b"\x8a")
def _long_1(machine: Machine) -> None:
    machine.stack.append(int.from_bytes(machine.take(machine.take(1)[0]), "little", signed=True))


@_step(b"\x8b")
def _long_4(machine: Machine) -> None:
    count = _int32(machine.take(4))[0]
    if count < 0:
        raise ValueError("a number in it has a negative length")
    machine.stack.append(int.from_bytes(machine.take(count), "little", signed=True))


@_step(b"G")
def _float(machine: Machine) -> None:
    machine.stack.append(_float64(machine.take(8))[0])


def _text(machine: Machine, count: int) -> None:
    machine.stack.append(str(machine.take(count), "utf-8", "surrogatepass"))


@_step(b"X")
def _text_4(machine: Machine) -> None:
    _text(machine, _uint32(machine.take(4))[0])


@_step(b"\x8c")
def _text_1(machine: Machine) -> None:
    _text(machine, machine.take(1)[0])


@_step(b"\x8d")
def _text_8(machine: Machine) -> None:
    _text(machine, _uint64(machine.take(8))[0])


@_step(b"B")
def _bytes_4(machine: Machine) -> None:
    machine.stack.append(machine.take(_uint32(machine.take(4))[0]))


@_step(b"C")
def _bytes_1(machine: Machine) -> None:
    machine.stack.append(machine.take(machine.take(1)[0]))


@_step(b"\x8e")
def _bytes_8(machine: Machine) -> None:
    machine.stack.append(machine.take(_uint64(machine.take(8))[0]))


@_step(b"\x96")
def _bytearray_8(machine: Machine) -> None:
    machine.stack.append(bytearray(machine.take(_uint64(machine.take(8))[0])))


def _old_text(machine: Machine, count: int) -> None:
    """A byte string of Python 2, which was most often meant as text."""
    data = machine.take(count)
    machine.stack.append(data if machine.encoding == "bytes" else data.decode(machine.encoding))


@_step(b"U")
def _old_text_1(machine: Machine) -> None:
    _old_text(machine, machine.take(1)[0])


@_step(b"T")
def _old_text_4(machine: Machine) -> None:
    count = _int32(machine.take(4))[0]
    if count < 0:
        raise ValueError("a text in it has a negative length")
    _old_text(machine, count)


# -- containers ------------------------------------------------------------------------------------------------


@_step(b")")
def _empty_tuple(machine: Machine) -> None:
    machine.stack.append(())


@_step(b"]")
def _empty_list(machine: Machine) -> None:
    machine.stack.append([])


@_step(b"}")
def _empty_dict(machine: Machine) -> None:
    machine.stack.append({})


@_step(b"\x8f")
def _empty_set(machine: Machine) -> None:
    machine.stack.append(set())


@_step(b"(")
def _mark(machine: Machine) -> None:
    machine.marks.append(len(machine.stack))


@_step(b"t")
def _tuple(machine: Machine) -> None:
    machine.stack.append(tuple(machine.pop_to_mark()))


@_step(b"\x85")
def _tuple_1(machine: Machine) -> None:
    machine.stack[-1] = (machine.stack[-1],)


@_step(b"\x86")
def _tuple_2(machine: Machine) -> None:
    last = machine.stack.pop()
    machine.stack[-1] = (machine.stack[-1], last)


@_step(b"\x87")
def _tuple_3(machine: Machine) -> None:
    last, middle = machine.stack.pop(), machine.stack.pop()
    machine.stack[-1] = (machine.stack[-1], middle, last)


def _container(machine: Machine, kinds: tuple[type, ...]) -> Any:
    target = machine.stack[-1]
    if type(target) not in kinds:
        raise UnpicklingError(f"Can only add items to {kinds[0].__name__}, but got {type(target).__name__}")
    return target


@_step(b"a")
def _append(machine: Machine) -> None:
    item = machine.stack.pop()
    _container(machine, (list,)).append(item)


@_step(b"e")
def _appends(machine: Machine) -> None:
    items = machine.pop_to_mark()
    _container(machine, (list,)).extend(items)


@_step(b"s")
def _set_item(machine: Machine) -> None:
    value, key = machine.stack.pop(), machine.stack.pop()
    _container(machine, _DICTS)[plain.check_key(key, machine.allowance)] = value


@_step(b"u")
def _set_items(machine: Machine) -> None:
    items = machine.pop_to_mark()
    target = _container(machine, _DICTS)
    for at in range(0, len(items), 2):
        target[plain.check_key(items[at], machine.allowance)] = items[at + 1]


@_step(b"\x90")
def _add_items(machine: Machine) -> None:
    items = machine.pop_to_mark()
    target = _container(machine, (set,))
    for item in items:
        target.add(plain.check_key(item, machine.allowance))


@_step(b"\x91")
def _frozen_set(machine: Machine) -> None:
    machine.stack.append(plain.make_frozenset(machine.allowance, machine.pop_to_mark()))


# -- the memo and the stack ------------------------------------------------------------------------------------


@_step(b"q")
def _put_1(machine: Machine) -> None:
    machine.memo[machine.data[machine.at]] = machine.stack[-1]
    machine.at += 1


@_step(b"r")
def _put_4(machine: Machine) -> None:
    machine.memo[_uint32(machine.take(4))[0]] = machine.stack[-1]


@_step(b"\x94")
def _put_next(machine: Machine) -> None:
    machine.memo[len(machine.memo)] = machine.stack[-1]


@_step(b"h")
def _get_1(machine: Machine) -> None:
    machine.stack.append(machine.memo[machine.data[machine.at]])
    machine.at += 1


@_step(b"j")
def _get_4(machine: Machine) -> None:
    machine.stack.append(machine.memo[_uint32(machine.take(4))[0]])


@_step(b"0")
def _drop(machine: Machine) -> None:
    """A container that refers to itself from inside a tuple leaves spare items."""
    if machine.marks and machine.marks[-1] == len(machine.stack):
        machine.marks.pop()
    else:
        machine.stack.pop()


@_step(b"1")
def _drop_to_mark(machine: Machine) -> None:
    machine.pop_to_mark()


# -- objects ---------------------------------------------------------------------------------------------------


@_step(b"c")
def _global(machine: Machine) -> None:
    module = machine.line()
    machine.find(module, machine.line())


@_step(b"\x93")
def _stack_global(machine: Machine) -> None:
    name, module = machine.stack.pop(), machine.stack.pop()
    if type(name) is not str or type(module) is not str:
        raise TypeError("the name of a global is not text")
    machine.find(module, name)


@_step(b"R")
def _reduce(machine: Machine) -> None:
    arguments = machine.stack.pop()
    machine.stack[-1] = machine.call(machine.stack[-1], arguments)


@_step(b"\x81")
def _new_object(machine: Machine) -> None:
    arguments, kind = machine.stack.pop(), machine.stack.pop()
    _make_object(machine, kind, arguments, {})


@_step(b"\x92")
def _new_object_named(machine: Machine) -> None:
    named, arguments, kind = machine.stack.pop(), machine.stack.pop(), machine.stack.pop()
    _make_object(machine, kind, arguments, named)


def _make_object(machine: Machine, kind: Any, arguments: Any, named: Any) -> None:
    if id(kind) in _MAKERS and not named:
        machine.stack.append(machine.call(kind, arguments))
        return
    if not isinstance(kind, type) or id(kind) not in machine.user_values:
        raise UnpicklingError(
            "Can only create new object for nn.Parameter or classes allowlisted via `add_safe_globals` but got "
            f"{_shown(kind)}"
        )
    machine.stack.append(kind.__new__(kind, *arguments, **named))


@_step(b"b")
def _build(machine: Machine) -> None:
    """Attributes of an ordered dict (a state dict's metadata) or of an object of a class the user allowed."""
    state, target = machine.stack.pop(), machine.stack[-1]
    kind = type(target)
    if kind is OrderedDict and type(state) is dict:
        machine.allowance.spend(4 * len(state))
        target.__dict__.update(state)
        return
    if id(kind) not in machine.user_values:
        raise UnpicklingError(
            "Can only build Tensor, Parameter, OrderedDict or types allowlisted via `add_safe_globals`, but got "
            f"{_shown(kind)}"
        )
    if hasattr(target, "__setstate__"):
        target.__setstate__(state)
        return
    attributes, slots = state if type(state) is tuple and len(state) == 2 else (state, None)
    if attributes:
        target.__dict__.update(attributes)
    for name, value in (slots or {}).items():
        setattr(target, name, value)


@_step(b"Q")
def _persistent_id(machine: Machine) -> None:
    machine.stack[-1] = machine.storages(machine.stack[-1])


# -- framing ---------------------------------------------------------------------------------------------------


@_step(b"\x80")
def _protocol(machine: Machine) -> None:
    version = machine.take(1)[0]
    if not 2 <= version <= 5:
        raise UnpicklingError(f"pickle protocol {version} is not supported; torch.save writes 2 to 5")


@_step(b"\x95")
def _frame(machine: Machine) -> None:
    """The length of the next stretch, for readers that fetch it at once."""
    if _uint64(machine.take(8))[0] + machine.at > len(machine.data):
        raise ValueError("a part of it is longer than the file")


class GlobalLister(Machine):
    """Runs a program for the names it mentions: everything that is not plain data becomes a blank."""

    def __init__(self, data, *, at: int = 0) -> None:
        super().__init__(data, lambda identity: _BLANK, at=at)
        self.names: set[str] = set()

    def unknown(self, full: str) -> Any:
        self.names.add(full)
        return _BLANK

    def find(self, module: str, name: str) -> None:
        module = _PYTHON_2.get(module, module)
        if module in allowed.BLOCKED_MODULES:
            self.stack.append(self.unknown(f"{module}.{name}"))
        else:
            super().find(module, name)

    def call(self, function: Any, arguments: Any) -> Any:
        return super().call(function, arguments) if id(function) in _MAKERS else _BLANK

    def run(self) -> Any:
        while True:
            code = self.data[self.at]
            self.at += 1
            if code == _STOP:
                return self.stack.pop()
            if code in b"\x81\x92":  # an object of a class: nothing is made
                del self.stack[-2 if code == 0x81 else -3 :]
                self.stack.append(_BLANK)
            elif code == ord("b"):
                self.stack.pop()
            elif code in b"aesu\x90" and not self._has_container(code):
                self._skip_items(code)
            else:
                _STEPS[code](self)

    def _has_container(self, code: int) -> bool:
        single = {ord("a"): 2, ord("s"): 3}
        at = len(self.stack) - single[code] if code in single else self.marks[-1] - 1
        return type(self.stack[at]) in (list, set, *_DICTS)

    def _skip_items(self, code: int) -> None:
        if code in b"as":
            del self.stack[-1 if code == ord("a") else -2 :]
        else:
            self.pop_to_mark()


class _Blank:
    """Stands for whatever a program makes with a function that is not run."""


_BLANK = _Blank()
