"""Plain Python values as files spell them: functions that make them from arguments nobody vouches for.

They stand in for the classes that a file names. `bytes` itself, for one, would allocate whatever a file asks for,
and hashing a small nest of tuples can take for ever.
"""

from __future__ import annotations

import _codecs
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Any

_DEEPEST_KEY = 64
_LONGEST_NAME = 64


class Allowance:
    """Bounds the memory and the work that a file can cause by naming one value many times."""

    def __init__(self, size: int) -> None:
        self.left = 6 * size + (1 << 16)

    def spend(self, amount: int) -> None:
        """Take `amount` from what is left; raise when it is used up."""
        self.left -= amount
        if self.left < 0:
            raise ValueError("it unfolds to many times its size")


def check_key(key: Any, allowance: Allowance, depth: int = 0) -> Any:
    """A value that can be hashed in a time that its size in the file justifies, or an error."""
    if isinstance(key, tuple):
        if depth > _DEEPEST_KEY:
            raise ValueError("a key of a dict or a set is nested too deeply")
        allowance.spend(1 + len(key))
        for item in key:
            if isinstance(item, tuple):
                check_key(item, allowance, depth + 1)
    return key


def _items(values: Any, allowance: Allowance) -> list:
    if type(values) not in (list, tuple, set, frozenset):
        raise TypeError(f"a set is made from a list, not {type(values).__name__}")
    allowance.spend(4 * len(values))
    return [check_key(value, allowance) for value in values]


def make_set(allowance: Allowance, values: Any = ()) -> set:
    """A set, from a list of its elements."""
    return set(_items(values, allowance))


def make_frozenset(allowance: Allowance, values: Any = ()) -> frozenset:
    """A frozen set, from a list of its elements."""
    return frozenset(_items(values, allowance))


def make_ordered_dict(allowance: Allowance, pairs: Any = ()) -> OrderedDict:
    """An ordered dict, from a list of pairs (which Python 2 wrote) or nothing."""
    if type(pairs) not in (list, tuple):
        raise TypeError(f"an ordered dict is made from a list of pairs, not {type(pairs).__name__}")
    allowance.spend(4 * len(pairs))
    made: OrderedDict = OrderedDict()
    for key, value in pairs:
        made[check_key(key, allowance)] = value
    return made


def make_counter(allowance: Allowance, counts: Any = None) -> Counter:
    """A counter, from a dict of counts."""
    if counts is not None and type(counts) is not dict:
        raise TypeError(f"a counter is made from a dict, not {type(counts).__name__}")
    made: Counter = Counter()
    if counts:
        allowance.spend(4 * len(counts))
        dict.update(made, counts)
    return made


def make_size(allowance: Allowance, sizes: Any = ()) -> Any:
    """A `Size`, from a tuple of ints."""
    from flambeau.base.layout import Size

    if type(sizes) not in (tuple, list) or any(type(n) is not int for n in sizes):
        raise TypeError("a Size is made from ints")
    allowance.spend(4 * len(sizes))
    return Size(sizes)


def make_device(allowance: Allowance, kind: Any, index: Any = None) -> Any:
    """A device, from its name and perhaps its index."""
    from flambeau.base.device import device

    if type(kind) is not str or len(kind) > _LONGEST_NAME or type(index) not in (int, type(None)):
        raise TypeError("a device is made from its name")
    return device(kind, index)


def layout_named(name: Any) -> Any:
    """The layout of a name such as ``"torch.strided"``."""
    import flambeau

    if type(name) is not str:
        raise TypeError("a layout is found by its name")
    for found in (flambeau.strided, flambeau.sparse_coo, flambeau.sparse_csr):
        if name == str(found):
            return found
    raise ValueError(f"there is no layout {name[:40]!r}")


def make_layout(allowance: Allowance, name: Any) -> Any:
    """``torch.strided`` and its kin, by name."""
    return layout_named(name)


def make_complex(allowance: Allowance, real: Any = 0.0, imaginary: Any = 0.0) -> complex:
    """A complex number, from its parts."""
    if type(real) not in (int, float) or type(imaginary) not in (int, float):
        raise TypeError("a complex number is made from two numbers")
    return complex(real, imaginary)


def make_bytes(allowance: Allowance, *arguments: Any) -> bytes:
    """What pickle protocol 2 writes for ``b""``."""
    if arguments:
        raise TypeError("bytes are saved as latin1 text")
    return b""


def make_bytearray(allowance: Allowance, content: Any = b"", encoding: Any = "latin1") -> bytearray:
    """A bytearray, from bytes or from text as `encode` takes it."""
    if type(content) is str:
        return bytearray(encode(allowance, content, encoding))
    if type(content) is not bytes:
        raise TypeError(f"a bytearray is made from bytes, not {type(content).__name__}")
    allowance.spend(len(content))
    return bytearray(content)


def encode(allowance: Allowance, text: Any, encoding: Any = "latin1") -> bytes:
    """Bytes, which pickle protocol 2 spells as text."""
    if type(text) is not str or type(encoding) is not str or encoding not in ("latin1", "latin-1"):
        raise ValueError("bytes are saved as latin1 text")
    allowance.spend(len(text))
    return text.encode("latin1")


def _public() -> dict[str, tuple[Any, Callable]]:
    from flambeau.base.device import device
    from flambeau.base.layout import Size

    return {
        "builtins.set": (set, make_set),
        "builtins.frozenset": (frozenset, make_frozenset),
        "builtins.complex": (complex, make_complex),
        "builtins.bytes": (bytes, make_bytes),
        "builtins.bytearray": (bytearray, make_bytearray),
        "collections.OrderedDict": (OrderedDict, make_ordered_dict),
        "collections.Counter": (Counter, make_counter),
        "_codecs.encode": (_codecs.encode, encode),
        "torch.Size": (Size, make_size),
        "torch.device": (device, make_device),
        "torch.serialization._get_layout": (layout_named, make_layout),
    }


#: by the names that files give them: what a file means, and what is called instead, with the allowance first
FUNCTIONS = _public()
