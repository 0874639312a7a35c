"""What a transform of samples is: a map, its inverse, and the logarithm of its Jacobian's determinant.

A class of transforms says what its constructor takes (`takes`) and by which attributes two of them are equal
(`equal_by`); copies with a cache and comparisons follow from that. Maps of single numbers are a `Rule` (`ByRule`).
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from math import prod
from operator import add
from typing import Any, ClassVar

import flambeau
from flambeau.base.layout import Size
from flambeau.tensor.tensor import Tensor

from . import constraints
from .utils import _sum_rightmost


def _unsaid_sign(transform: Transform) -> Any:
    """1 where the map rises, -1 where it falls."""
    raise NotImplementedError


class Remembering:
    """Keeps the last point and its image, and gives them back by identity, in either direction.

    `_cached_x_y` is the pair; libraries with transforms of their own read and clear it.
    """

    _cache_size = 0
    _cached_x_y: tuple[Any, Any] = (None, None)

    def _recalled(self, given: Tensor, side: int, compute: Callable[[Tensor], Tensor]) -> Tensor:
        """What belongs to the point (side 0) or image (side 1) `given`: remembered, or computed now."""
        if not self._cache_size:
            return compute(given)
        last = self._cached_x_y
        if last[side] is given:
            return last[1 - side]
        found = compute(given)
        self._cached_x_y = (found, given) if side else (given, found)
        return found


class Transform(Remembering):
    """A map from `domain` to `codomain`, with an inverse where it has one.

    A subclass says `domain`, `codomain`, ``_call(x)``, ``_inverse(y)`` and ``log_abs_det_jacobian(x, y)``; `bijective` says
    that the inverse is exact, `sign` whether a one-dimensional map rises (1) or falls (-1).

    cache_size: with 1 the last pair is kept, so that ``t.inv(t(x))`` is x itself, which no rounding has touched.
    """

    domain: Any
    codomain: Any
    sign: Any = property(_unsaid_sign)
    bijective: Any = False
    #: attributes that hold the constructor's arguments, in order
    takes: ClassVar[tuple[str, ...]] = ()
    #: attributes that make two transforms of a class equal; None: a transform equals itself alone
    equal_by: ClassVar[tuple[str, ...] | None] = None

    # an inverse has what it inverts; the other way the reference is weak, so that the two are no cycle
    _inverts: Transform | None = None
    _inverter: Any = None

    def __init__(self, cache_size: int = 0):
        if cache_size not in (0, 1):
            raise ValueError("cache_size must be 0 or 1")
        self._cache_size = cache_size
        super().__init__()  # a module, where a transform is one too

    # -- what a subclass says --
    def _call(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def _inverse(self, y: Tensor) -> Tensor:
        raise NotImplementedError

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """``log |det dy/dx|`` at `x`, whose image is `y`; one number for each event."""
        raise NotImplementedError

    def forward_shape(self, shape):
        """Shape of the image of something of this shape."""
        return shape

    def inverse_shape(self, shape):
        """Shape of the inverse image of something of this shape."""
        return shape

    # -- what follows --
    def __call__(self, x: Tensor) -> Tensor:
        """The image of `x`."""
        return self._recalled(x, 0, self._call)

    def _inv_call(self, y: Tensor) -> Tensor:
        """The inverse image of `y`."""
        return self._recalled(y, 1, self._inverse)

    @property
    def inv(self) -> Transform:
        """The inverse; its own inverse is this transform."""
        if self._inverts is not None:
            return self._inverts
        alive = self._inverter and self._inverter()
        if alive is None:
            alive = self._turned()
            alive._inverts = self
            self._inverter = weakref.ref(alive)
        return alive

    def _turned(self) -> Transform:
        """A new inverse."""
        return _InverseTransform(self)

    @property
    def event_dim(self) -> int:
        """Dimensions of one event, before and after."""
        before, after = self.domain.event_dim, self.codomain.event_dim
        if before == after:
            return before
        raise ValueError("Please use either .domain.event_dim or .codomain.event_dim")

    def with_cache(self, cache_size: int = 1) -> Transform:
        """The same transform with this `cache_size`."""
        if cache_size == self._cache_size:
            return self
        kind = type(self)
        known = next(k for k in kind.__mro__ if "takes" in vars(k))
        if kind.__init__ is not known.__init__:
            # what a constructor of its own takes is not known; a class below may still know
            if known is Transform:
                raise NotImplementedError(f"{kind}.with_cache is not implemented")
            kind = known
        return kind(*[getattr(self, name) for name in known.takes], cache_size=cache_size)

    def __eq__(self, other) -> bool:
        names = self.equal_by
        if names is None or other is self:
            return other is self
        return isinstance(other, _stated(type(self))) and all(
            _alike(getattr(self, name), getattr(other, name)) for name in names
        )

    __hash__ = None  # type: ignore[assignment]

    def __getstate__(self):
        # a weak reference cannot be pickled; the inverse is made again
        return {name: held for name, held in self.__dict__.items() if name != "_inverter"}

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


def _stated(kind: type[Transform]) -> type:
    """The class that says by what a transform is equal."""
    return next(k for k in kind.__mro__ if "equal_by" in vars(k))


def _alike(a: Any, b: Any) -> bool:
    """Whether two attributes are equal, everywhere if they are tensors."""
    same = a == b
    return bool(same.all()) if isinstance(same, Tensor) else bool(same)


def need_dims(shape, dims: int) -> None:
    """Raise unless a shape has so many dimensions."""
    if len(shape) < dims:
        raise ValueError("Too few dimensions on input")


# -- maps of single numbers, and others without parameters -----------------------------------------------------------


class Fixed(Transform):
    """Base of transforms without parameters: all of one class are equal.

    The arguments of a subclass: both ends (`between`), and whether it is a bijection; of numbers, with its `sign`.
    """

    def __init_subclass__(cls, between: tuple | None = None, bijective: bool = False, sign: int = 0):
        super().__init_subclass__()
        cls.equal_by = ()
        if between is not None:
            cls.domain, cls.codomain = between
            cls.bijective = bijective or sign != 0
        if sign:
            cls.sign = sign


@dataclass(frozen=True)
class Rule:
    """A map of single numbers, its inverse, and the logarithm of its slope at (x, y)."""

    there: Callable[[Tensor], Tensor]
    back: Callable[[Tensor], Tensor]
    log_slope: Callable[[Tensor, Tensor], Tensor] | None = None


class ByRule(Fixed):
    """Base of the transforms that a `Rule` describes."""

    rule: ClassVar[Rule]

    def _call(self, x):
        return self.rule.there(x)

    def _inverse(self, y):
        return self.rule.back(y)

    def log_abs_det_jacobian(self, x, y):
        known = self.rule.log_slope
        return super().log_abs_det_jacobian(x, y) if known is None else known(x, y)


# -- transforms made of transforms -----------------------------------------------------------------------------------


class Derived(Transform):
    """Base of transforms whose ends follow from what they hold: `_end` gives either."""

    def _end(self, which: str) -> Any:
        """The constraint of "domain" or "codomain"."""
        raise NotImplementedError

    domain: Any = constraints.dependent_property(lambda self: self._end("domain"), is_discrete=False)
    codomain: Any = constraints.dependent_property(lambda self: self._end("codomain"), is_discrete=False)


class _OfOthers(Derived):
    """Base of transforms that other transforms make up; a bijection if all are."""

    def _others(self) -> list[Transform]:
        raise NotImplementedError

    sign: Any = property(lambda self: prod((t.sign for t in self._others()), start=1))
    bijective: Any = property(lambda self: all(t.bijective for t in self._others()))


_OPPOSITE = {"domain": "codomain", "codomain": "domain"}


class _InverseTransform(_OfOthers):
    """A transform the other way round; it holds the transform, which holds it weakly."""

    equal_by = ("_inverts",)
    _inverts: Transform

    def __init__(self, transform: Transform):
        Transform.__init__(self, transform._cache_size)
        self._inverts = transform

    def _others(self):
        return [self._inverts]

    def _end(self, which):
        return getattr(self._inverts, _OPPOSITE[which])

    def with_cache(self, cache_size: int = 1) -> Transform:
        return self._inverts.with_cache(cache_size).inv

    def __call__(self, x: Tensor) -> Tensor:
        # the transform itself remembers
        return self._inverts._inv_call(x)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return self._inverts.log_abs_det_jacobian(y, x).neg()

    def forward_shape(self, shape):
        return self._inverts.inverse_shape(shape)

    def inverse_shape(self, shape):
        return self._inverts.forward_shape(shape)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._inverts!r})"


class ComposeTransform(_OfOthers):
    """Transforms one after the other, the first of the list first."""

    takes = equal_by = ("parts",)

    def __init__(self, parts: list[Transform], cache_size: int = 0):
        Transform.__init__(self, cache_size)
        self.parts = [part.with_cache(cache_size) for part in parts] if cache_size else parts

    def _others(self):
        return self.parts

    def _end(self, which):
        """The first part's domain or the last part's codomain, with dimensions enough for every part."""
        if not self.parts:
            return constraints.real
        first = which == "domain"
        outermost = getattr(self.parts[0 if first else -1], which)
        # from the far end, through all parts, to this one
        dims = 0
        for part in reversed(self.parts) if first else self.parts:
            near, far = getattr(part, which).event_dim, getattr(part, _OPPOSITE[which]).event_dim
            dims = near + max(dims - far, 0)
        more = dims - outermost.event_dim
        return constraints.independent(outermost, more) if more > 0 else outermost

    def _turned(self) -> Transform:
        return ComposeTransform([part.inv for part in self.parts[::-1]])

    def __call__(self, x: Tensor) -> Tensor:
        return self._points(x)[-1]

    def _points(self, x: Tensor) -> list[Tensor]:
        """`x` and what each part makes of it."""
        points = [x]
        for part in self.parts:
            points.append(part(points[-1]))
        return points

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        if not self.parts:
            return flambeau.zeros_like(x)
        points = [*ComposeTransform(self.parts[:-1])._points(x), y]
        dims, shares = self.domain.event_dim, []
        for k, part in enumerate(self.parts):
            taken = part.domain.event_dim
            shares.append(_sum_rightmost(part.log_abs_det_jacobian(*points[k : k + 2]), dims - taken))
            dims += part.codomain.event_dim - taken
        return reduce(add, shares)

    def forward_shape(self, shape):
        return reduce(lambda known, part: part.forward_shape(known), self.parts, shape)

    def inverse_shape(self, shape):
        return reduce(lambda known, part: part.inverse_shape(known), self.parts[::-1], shape)

    def __repr__(self) -> str:
        indented = ",".join(f"\n    {part!r}" for part in self.parts) or "\n    "
        return f"{type(self).__name__}({indented}\n)"


identity_transform = ComposeTransform([])


class IndependentTransform(_OfOthers):
    """A transform whose last batch dimensions count as event dimensions: the Jacobian's logarithm sums over them."""

    takes = ("base_transform", "reinterpreted_batch_ndims")

    def __init__(self, base_transform: Transform, reinterpreted_batch_ndims: int, cache_size: int = 0):
        Transform.__init__(self, cache_size)
        self.base_transform = base_transform.with_cache(cache_size)
        self.reinterpreted_batch_ndims = reinterpreted_batch_ndims

    def _others(self):
        return [self.base_transform]

    def _end(self, which):
        return constraints.independent(getattr(self.base_transform, which), self.reinterpreted_batch_ndims)

    def _call(self, x):
        need_dims(x.shape, self.domain.event_dim)
        return self.base_transform(x)

    def _inverse(self, y):
        need_dims(y.shape, self.codomain.event_dim)
        return self.base_transform.inv(y)

    def log_abs_det_jacobian(self, x, y):
        single = self.base_transform.log_abs_det_jacobian(x, y)
        return _sum_rightmost(single, self.reinterpreted_batch_ndims)

    def forward_shape(self, shape):
        return self.base_transform.forward_shape(shape)

    def inverse_shape(self, shape):
        return self.base_transform.inverse_shape(shape)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.base_transform!r}, {self.reinterpreted_batch_ndims})"


class ReshapeTransform(Derived):
    """Another shape of the event's dimensions, with the elements in the same order."""

    takes = ("in_shape", "out_shape")
    bijective = True

    def __init__(self, in_shape, out_shape, cache_size: int = 0):
        Transform.__init__(self, cache_size)
        self.in_shape, self.out_shape = Size(in_shape), Size(out_shape)
        if self.in_shape.numel() != self.out_shape.numel():
            raise ValueError("in_shape, out_shape have different numbers of elements")

    def _end(self, which):
        shape = self.in_shape if which == "domain" else self.out_shape
        return constraints.independent(constraints.real, len(shape))

    def _call(self, x):
        return x.reshape(_batch_of(x, self.in_shape) + self.out_shape)

    def _inverse(self, y):
        return y.reshape(_batch_of(y, self.out_shape) + self.in_shape)

    def log_abs_det_jacobian(self, x, y):
        return x.new_zeros(_batch_of(x, self.in_shape))

    def forward_shape(self, shape):
        return _exchange(shape, self.in_shape, self.out_shape)

    def inverse_shape(self, shape):
        return _exchange(shape, self.out_shape, self.in_shape)


def _batch_of(x: Tensor, event: Size) -> Size:
    """The shape of `x` without its event's."""
    return x.shape[: x.dim() - len(event)]


def _exchange(shape, old: Size, new: Size):
    """A shape whose last sizes `old` are replaced by `new`."""
    need_dims(shape, len(old))
    cut = len(shape) - len(old)
    if tuple(shape[cut:]) != tuple(old):
        raise ValueError(f"Shape mismatch: expected {shape[cut:]} but got {old}")
    return shape[:cut] + new
