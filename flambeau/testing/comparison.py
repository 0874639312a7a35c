"""`assert_close`: results compared within tolerances, with an error that says where and by how much they differ."""

from __future__ import annotations

import cmath
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ..base import dtype as types
from ..base.layout import Size
from ..ops.define import ops
from ..tensor import from_python as python
from ..tensor import interop
from ..tensor.tensor import Tensor

#: relative and absolute tolerance by type; other types must be equal
TOLERANCES = {
    "float16": (1e-3, 1e-5), "bfloat16": (1.6e-2, 1e-5), "float32": (1.3e-6, 1e-5), "float64": (1e-7, 1e-7),
    "complex64": (1.3e-6, 1e-5), "complex128": (1e-7, 1e-7),
}  # fmt: skip


class _Rules(NamedTuple):
    rtol: float | None
    atol: float | None
    equal_nan: bool
    check_device: bool
    check_dtype: bool
    check_layout: bool
    check_stride: bool
    allow_subclasses: bool

    def tolerances(self, *kinds: types.dtype) -> tuple[float, float]:
        """Those given, else the wider ones of the types."""
        if self.rtol is not None and self.atol is not None:
            return self.rtol, self.atol
        pairs = [TOLERANCES.get(kind.name, (0.0, 0.0)) for kind in kinds]
        return max(r for r, _ in pairs), max(a for _, a in pairs)


class _Mismatch(Exception):
    """What differs, and where in a nested structure."""

    def __init__(self, text: str, path: tuple):
        super().__init__(text)
        self.text, self.path = text, path

    def full(self) -> str:
        if not self.path:
            return self.text
        return f"{self.text}\n\nThe failure occurred for item {''.join(f'[{key!r}]' for key in self.path)}"


def assert_close(
    actual: Any, expected: Any, *, allow_subclasses: bool = True, rtol: float | None = None, atol: float | None = None,
    equal_nan: bool = False, check_device: bool = True, check_dtype: bool = True, check_layout: bool = True,
    check_stride: bool = False, msg: str | Callable[[str], str] | None = None,
) -> None:  # fmt: skip
    """Raise unless ``|actual - expected| <= atol + rtol * |expected|`` for all elements.

    actual, expected: tensors, arrays, numbers, or sequences and mappings of them. rtol, atol: both or neither; by default
    1.3e-6 and 1e-5 for float32, 1e-7 for float64, 0 for integers. msg: another text, or a function of the text.

    Raises: AssertionError where they differ; ValueError and TypeError for what cannot be compared.

    >>> import flambeau as torch
    >>> torch.testing.assert_close(torch.tensor([1.0]), torch.tensor([1.0 + 1e-7]))
    """
    if (rtol is None) != (atol is None):
        missing = "atol" if atol is None else "rtol"
        raise ValueError(f"Both 'rtol' and 'atol' must be either specified or omitted, but got no {missing}.")
    rules = _Rules(
        rtol, atol, equal_nan, check_device, check_dtype, check_layout, check_stride, allow_subclasses
    )
    try:
        _compare(actual, expected, rules, ())
    except _Mismatch as found:
        text = found.full()
        raise AssertionError(msg(text) if callable(msg) else msg or text) from None


def _compare(actual, expected, rules: _Rules, path: tuple) -> None:
    both = (actual, expected)
    if actual is None or expected is None:
        if actual is not expected:
            raise _Mismatch(f"None mismatch: {actual} is not {expected}", path)
    elif all(isinstance(x, Sequence) and not isinstance(x, (str, bytes, Size)) for x in both):
        if len(actual) != len(expected):
            raise _Mismatch(f"The length of the sequences mismatch: {len(actual)} != {len(expected)}", path)
        for k, (a, e) in enumerate(zip(actual, expected)):
            _compare(a, e, rules, (*path, k))
    elif all(isinstance(x, Mapping) for x in both):
        _compare_mappings(actual, expected, rules, path)
    elif all(isinstance(x, bool) or _is_numpy_bool(x) for x in both):
        if bool(actual) is not bool(expected):
            raise _Mismatch(f"Booleans mismatch: {actual} is not {expected}", path)
    elif all(isinstance(x, (int, float, complex)) for x in both):
        _compare_numbers(actual, expected, rules, path)
    elif all(isinstance(x, Tensor) for x in both) and (
        rules.allow_subclasses or type(actual) is type(expected)
    ):
        _compare_tensors(actual, expected, rules, path)
    elif all(python.is_array(x) and not isinstance(x, Tensor) for x in both):
        _compare_tensors(interop.copied_array(actual), interop.copied_array(expected), rules, path)
    else:
        raise TypeError(
            f"No comparison pair was able to handle inputs of type {type(actual)} and {type(expected)}."
        )


def _is_numpy_bool(x) -> bool:
    return type(x).__name__ in ("bool", "bool_") and hasattr(x, "dtype")


def _compare_mappings(actual, expected, rules: _Rules, path: tuple) -> None:
    missing = sorted(set(expected) - set(actual), key=str)
    more = sorted(set(actual) - set(expected), key=str)
    if missing or more:
        raise _Mismatch(
            f"The keys of the mappings do not match:\nMissing keys in the actual mapping: {missing}\n"
            f"Additional keys in the actual mapping: {more}",
            path,
        )
    for key in actual:
        _compare(actual[key], expected[key], rules, (*path, key))


_OF_NUMBER = {int: types.int64, float: types.float64, complex: types.complex128}


def _compare_numbers(actual, expected, rules: _Rules, path: tuple) -> None:
    if rules.check_dtype and type(actual) is not type(expected):
        raise _Mismatch(f"The (d)types do not match: {type(actual)} != {type(expected)}.", path)
    kinds = [_OF_NUMBER.get(type(x), types.float64) for x in (actual, expected)]
    rtol, atol = rules.tolerances(*kinds)
    difference = abs(actual - expected)
    same = actual == expected or (rules.equal_nan and cmath.isnan(actual) and cmath.isnan(expected))
    if same or cmath.isfinite(difference) and difference <= atol + rtol * abs(expected):
        return
    raise _Mismatch(_numbers_text(actual, expected, difference, rtol, atol), path)


def _numbers_text(actual, expected, difference, rtol: float, atol: float) -> str:
    relative = difference / abs(expected) if expected else float("inf")
    exact = rtol == 0 and atol == 0
    lines = [
        f"Scalars are not {'equal' if exact else 'close'}!",
        "",
        f"Expected {expected} but got {actual}.",
    ]
    lines.append(f"Absolute difference: {difference}" + ("" if exact else f" (up to {atol} allowed)"))
    lines.append(f"Relative difference: {relative}" + ("" if exact else f" (up to {rtol} allowed)"))
    return "\n".join(lines)


def _compare_tensors(actual: Tensor, expected: Tensor, rules: _Rules, path: tuple) -> None:
    def attribute(name: str, a, e) -> None:
        if a != e:
            raise _Mismatch(f"The values for attribute '{name}' do not match: {a} != {e}.", path)

    attribute("shape", actual.shape, expected.shape)
    if rules.check_layout:
        attribute("layout", actual.layout, expected.layout)
    if rules.check_device:
        attribute("device", actual.device, expected.device)
    if rules.check_dtype:
        attribute("dtype", actual.dtype, expected.dtype)
    if rules.check_stride:
        attribute("stride()", actual.stride(), expected.stride())
    if actual.device.type == "meta" or expected.device.type == "meta":
        return
    rtol, atol = rules.tolerances(actual.dtype, expected.dtype)
    common = types.promote_types(actual.dtype, expected.dtype)
    actual, expected = actual.detach().to(common), expected.detach().to(common)
    close = ops.isclose(actual, expected, rtol=rtol, atol=atol, equal_nan=rules.equal_nan)
    if not bool(close.all()):
        raise _Mismatch(_tensors_text(actual, expected, close, rtol, atol), path)


def _tensors_text(actual: Tensor, expected: Tensor, close: Tensor, rtol: float, atol: float) -> str:
    if actual.ndim == 0:
        a, e = actual.item(), expected.item()
        return _numbers_text(a, e, abs(a - e), rtol, atol)
    if not actual.dtype.is_floating_point and not actual.dtype.is_complex:
        actual, expected = actual.to(types.int64), expected.to(types.int64)
    difference = ops.abs(actual - expected)
    relative = difference / ops.abs(expected)
    difference[close] = 0
    relative[close] = 0
    exact = rtol == 0 and atol == 0
    wrong, total = int((~close).sum()), close.numel()
    lines = [f"Tensor-likes are not {'equal' if exact else 'close'}!", ""]
    lines.append(f"Mismatched elements: {wrong} / {total} ({wrong / total:.1%})")
    for name, found, limit in (("absolute", difference, atol), ("relative", relative, rtol)):
        place = int(ops.argmax(found.reshape(-1)))
        value = found.reshape(-1)[place].item()
        allowed = "" if exact else f" (up to {limit} allowed)"
        lines.append(f"Greatest {name} difference: {value} at index {_index(place, found.shape)}{allowed}")
    return "\n".join(lines)


def _index(place: int, shape) -> tuple[int, ...]:
    found = []
    for n in reversed(shape):
        place, at = divmod(place, n)
        found.append(at)
    return tuple(reversed(found))


def assert_allclose(
    actual: Any,
    expected: Any,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = True,
    msg: str = "",
) -> None:
    """The old form of `assert_close`, which compares values only."""
    if not isinstance(actual, Tensor):
        actual = interop.tensor(actual)
    if not isinstance(expected, Tensor):
        expected = interop.tensor(expected, dtype=actual.dtype)
    if rtol is None and atol is None:
        rtol, atol = TOLERANCES.get(actual.dtype.name, (0.0, 0.0))
    assert_close(
        actual, expected, rtol=rtol, atol=atol, equal_nan=equal_nan, check_device=True, check_dtype=False,
        msg=msg or None,
    )  # fmt: skip
