"""How tensors print: the numbers aligned in nested brackets, long dimensions summarised, then what is special."""

from __future__ import annotations

import math

from ..base import dtype as types
from ..base.mode import mode
from . import interop
from .tensor import Tensor


class Options:
    """precision: digits after the point. threshold: elements above which a tensor is summarised. edgeitems: elements
    shown at each end then. linewidth: characters a line. sci_mode: scientific notation always, never or as needed."""

    precision = 4
    threshold: float = 1000
    edgeitems = 3
    linewidth = 80
    sci_mode: bool | None = None


_PROFILES = {
    "default": {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80},
    "short": {"precision": 2, "threshold": 1000, "edgeitems": 2, "linewidth": 80},
    "full": {"precision": 4, "threshold": math.inf, "edgeitems": 3, "linewidth": 80},
}


def set_printoptions(
    precision=None, threshold=None, edgeitems=None, linewidth=None, profile=None, sci_mode=None
) -> None:
    """Set how tensors print; `profile` is "default", "short" or "full"."""
    if profile is not None:
        for name, value in _PROFILES.get(profile, {}).items():
            setattr(Options, name, value)
    given = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems, "linewidth": linewidth}
    for name, value in given.items():
        if value is not None:
            setattr(Options, name, value)
    Options.sci_mode = sci_mode


class Numbers:
    """Formats the numbers of one tensor to one width."""

    def __init__(self, values: list, floating: bool):
        self.floating, self.whole, self.scientific, self.width = floating, True, False, 1
        if not floating:
            self.width = max((len(str(v)) for v in values), default=1)
            return
        finite = [abs(v) for v in values if v and math.isfinite(v)]
        if finite:
            low, high = min(finite), max(finite)
            self.whole = all(v == math.ceil(v) for v in finite)
            wide = high / low > 1000.0 or high > 1.0e8
            self.scientific = wide or (not self.whole and low < 1.0e-4)
            if Options.sci_mode is not None:
                self.scientific = Options.sci_mode
        self.width = max((len(self.text(v)) for v in values if v and math.isfinite(v)), default=1)

    def text(self, v) -> str:
        if not self.floating:
            return str(v)
        if self.scientific:
            return f"{v:.{Options.precision}e}"
        if self.whole:
            found = f"{v:.0f}"
            return found if not math.isfinite(v) else found + "."
        return f"{v:.{Options.precision}f}"

    def __call__(self, v) -> str:
        return self.text(v).rjust(self.width)


class Complexes:
    """Formats complex numbers: both parts to a width of their own."""

    def __init__(self, values: list):
        self.re = Numbers([v.real for v in values], True)
        self.im = Numbers([v.imag for v in values], True)
        self.width = self.re.width + self.im.width + 1

    def __call__(self, v) -> str:
        im = self.im(v.imag).lstrip()
        sign = "" if im.startswith("-") else "+"
        return f"{self.re(v.real)}{sign}{im}j"


def summarised(t: Tensor):
    """Whether a tensor is too large to print whole."""
    return t._layout.numel > Options.threshold


def nested(t: Tensor, short: bool) -> list | float:
    """The elements as nested lists; a long dimension keeps its ends, with None between."""
    if t._layout.ndim == 0:
        return interop.item(t)
    n, edge = t._layout.shape[0], Options.edgeitems
    if short and n > 2 * edge:
        rows = [*range(edge), None, *range(n - edge, n)]
    elif short or t._layout.ndim > 1:
        rows = list(range(n))
    else:
        return interop.to_list(t)
    if t._layout.ndim == 1:
        return [None if r is None else interop.item(t.select(0, r)) for r in rows]
    return [None if r is None else nested(t.select(0, r), short) for r in rows]


def leaves(found) -> list:
    if isinstance(found, list):
        return [x for f in found if f is not None for x in leaves(f)]
    return [found]


def draw(found, ndim: int, indent: int, show) -> str:
    """The text of nested lists; `indent` is the column of the opening bracket."""
    if ndim == 0:
        return show(found)
    if ndim == 1:
        per_line = max(1, (Options.linewidth - indent) // (show.width + 2))
        items = [" ..." if f is None else show(f) for f in found]
        lines = [", ".join(items[k : k + per_line]) for k in range(0, len(items), per_line)]
        return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"
    parts = ["..." if f is None else draw(f, ndim - 1, indent + 1, show) for f in found]
    return "[" + ("," + "\n" * (ndim - 1) + " " * (indent + 1)).join(parts) + "]"


def text_of(t: Tensor, name: str | None = None) -> str:
    """What `print` shows of a tensor."""
    where = t._layout
    kind = where.dtype
    prefix = (
        name or ("tensor" if type(t) is Tensor or type(t).__name__ == "Parameter" else type(t).__name__)
    ) + "("
    tail: list[str] = []
    default = kind in (types.default_float(), types.default_complex(), types.int64, types.bool_)
    if where.device.type == "meta":
        tail = [f"device='{where.device}'", f"size={tuple(where.shape)}"]
        if kind is not types.default_float():
            tail.append(f"dtype={kind}")
        body = "..."
    elif where.numel == 0:
        if where.ndim != 1:
            tail.append(f"size={tuple(where.shape)}")
        if kind is not types.default_float():
            tail.append(f"dtype={kind}")
        body = "[]"
    else:
        if not default:
            tail.append(f"dtype={kind}")
        body = elements(t.detach(), len(prefix))
    if t._node is not None:
        node = t.grad_fn
        tail.append("requires_grad=True" if node is None else f"grad_fn=<{node.name()}>")
    return with_tail(prefix + body, tail, len(prefix))


def elements(t: Tensor, indent: int) -> str:
    before, mode.grad = mode.grad, False
    try:
        found = nested(t, summarised(t))
    finally:
        mode.grad = before
    values = leaves(found)
    kind = t._layout.dtype
    show = Complexes(values) if kind.is_complex else Numbers(values, kind.is_floating_point)
    return draw(found, t._layout.ndim, indent, show)


def with_tail(text: str, tail: list[str], indent: int) -> str:
    """Append the special facts, on a new line where they do not fit."""
    last = (
        len(text) - text.rfind("\n") + 1
    )  # PyTorch counts two columns more on the first line that it continues
    for one in tail:
        if last + len(one) + 2 > Options.linewidth:
            text += ",\n" + " " * indent + one
            last = indent + len(one)
        else:
            text += ", " + one
            last += len(one) + 2
    return text + ")"


def _repr(self, *, tensor_contents=None) -> str:
    return text_of(self)


def _format(self, spec: str) -> str:
    if self._layout.ndim == 0 and self._layout.device.type != "meta" and type(self) is Tensor:
        return format(interop.item(self), spec)
    return object.__format__(self, spec)


Tensor.__repr__ = _repr  # type: ignore[method-assign, assignment]
Tensor.__format__ = _format  # type: ignore[method-assign, assignment]
