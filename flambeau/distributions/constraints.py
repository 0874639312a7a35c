"""Sets in which parameters and samples lie: what `arg_constraints` and `support` name.

A constraint's `check(value)` gives a bool tensor: one answer for each event, whose dimensions are the last `event_dim`.

Most sets are a line of the tables below: a rule that says which values lie inside, and the names of its bounds. Sets made
of other sets (`independent`, `cat`, `stack`, ...) are classes of their own.

>>> from flambeau.distributions import constraints
>>> import flambeau as torch
>>> constraints.positive.check(torch.tensor([-1.0, 2.0]))
tensor([False,  True])
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from inspect import Parameter, Signature
from itertools import accumulate
from typing import Any, ClassVar

import flambeau
from flambeau.tensor.tensor import Tensor

__all__ = [
    # the base, and sets that an instance decides
    "Constraint", "dependent", "dependent_property", "is_dependent",
    # numbers
    "real", "boolean", "positive", "nonnegative", "unit_interval", "nonnegative_integer", "positive_integer",
    "greater_than", "greater_than_eq", "less_than", "interval", "half_open_interval", "integer_interval",
    # vectors
    "real_vector", "simplex", "one_hot", "multinomial",
    # matrices
    "square", "symmetric", "positive_semidefinite", "positive_definite", "lower_triangular", "lower_cholesky",
    "corr_cholesky",
    # sets made of sets
    "independent", "cat", "stack", "MixtureSameFamilyConstraint",
]  # fmt: skip


class Constraint:
    """A set of tensors. is_discrete: whether it is countable; event_dim: dimensions that are judged together."""

    event_dim: Any = 0
    is_discrete: Any = False

    def check(self, value: Tensor) -> Tensor:
        """Whether each event of `value` lies in the set."""
        raise NotImplementedError

    def _shown(self) -> str:
        """What the repr has between its parentheses."""
        return ""

    def __repr__(self) -> str:
        return f"{type(self).__name__.removeprefix('_')}({self._shown()})"


def _every(fits: Tensor, dims: int) -> Tensor:
    """Whether all elements of the last `dims` dimensions are true."""
    return fits.flatten(-dims).all(-1) if dims else fits


def _known_as(name: str) -> Callable[[type], type]:
    """Decorator: the name of a class in reprs and errors, by which this module (so a pickle, too) has it."""

    def rename(kind: type) -> type:
        kind.__name__ = kind.__qualname__ = name
        return globals().setdefault(name, kind)

    return rename


# -- sets that a rule describes --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Rule:
    """Which values lie in the sets of a kind, as a function of a value and the set's bounds."""

    inside: Callable[..., Tensor]
    bounds: tuple[str, ...] = ()


class _Ruled(Constraint):
    """Base of the sets with a rule; an instance holds its bounds, each under its name."""

    rule: ClassVar[_Rule]

    def __init__(self, *given: Any, **named: Any):
        self.__dict__.update(self.__signature__.bind(*given, **named).arguments)

    __signature__ = Signature()

    def _held(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.rule.bounds}

    def check(self, value):
        return self.rule.inside(value, *self._held().values())

    def _shown(self):
        return ", ".join(f"{name}={bound}" for name, bound in self._held().items())


def _kind(name: str, doc: str, inside: Callable[..., Tensor], *bounds: str, **traits: Any) -> type[_Ruled]:
    """The class of the sets with such a rule.

    name: what the repr shows; bounds: its parameters; traits: `event_dim`, `is_discrete` where they differ from the base's.
    """
    takes = Signature([Parameter(bound, Parameter.POSITIONAL_OR_KEYWORD) for bound in bounds])
    members = {"rule": _Rule(inside, bounds), "__signature__": takes, "__doc__": doc, "__module__": __name__}
    return _known_as("_" + name)(type(name, (_Ruled,), members | traits))


def _whole(value: Tensor) -> Tensor:
    return (value % 1).eq(0)


def _zero_or_one(value: Tensor) -> Tensor:
    return value.eq(0) | value.eq(1)


greater_than = _kind("GreaterThan", "(lower_bound, inf]", lambda value, low: value > low, "lower_bound")
greater_than_eq = _kind("GreaterThanEq", "[lower_bound, inf]", lambda value, low: value >= low, "lower_bound")
less_than = _kind("LessThan", "[-inf, upper_bound)", lambda value, high: value < high, "upper_bound")
interval = _kind(
    "Interval",
    "[lower_bound, upper_bound]",
    lambda value, low, high: (value >= low) & (value <= high),
    "lower_bound",
    "upper_bound",
)
half_open_interval = _kind(
    "HalfOpenInterval",
    "[lower_bound, upper_bound)",
    lambda value, low, high: (value >= low) & (value < high),
    "lower_bound",
    "upper_bound",
)
integer_interval = _kind(
    "IntegerInterval",
    "Whole numbers of [lower_bound, upper_bound].",
    lambda value, low, high: _whole(value) & (value >= low) & (value <= high),
    "lower_bound",
    "upper_bound",
    is_discrete=True,
)
_integers_from = _kind(
    "IntegerGreaterThan",
    "Whole numbers from lower_bound on.",
    lambda value, low: _whole(value) & (value >= low),
    "lower_bound",
    is_discrete=True,
)
multinomial = _kind(
    "Multinomial",
    "Vectors of non-negative numbers whose sum is at most upper_bound.",
    lambda value, high: (value >= 0).all(-1) & (value.sum(-1) <= high),
    "upper_bound",
    event_dim=1,
    is_discrete=True,
    _shown=Constraint._shown,
)

# NaN is no number; infinities are
real = _kind("Real", "All numbers.", lambda value: ~value.isnan())()
boolean = _kind("Boolean", "0 and 1.", _zero_or_one, is_discrete=True)()
positive, nonnegative = greater_than(0.0), greater_than_eq(0.0)
unit_interval = interval(0.0, 1.0)
nonnegative_integer, positive_integer = _integers_from(0), _integers_from(1)

one_hot = _kind(
    "OneHot",
    "Vectors of zeros with a single one.",
    lambda value: _zero_or_one(value).all(-1) & (value.sum(-1) == 1),
    event_dim=1,
    is_discrete=True,
)()
simplex = _kind(
    "Simplex",
    "Vectors of non-negative numbers that sum to 1, to within 1e-6.",
    lambda value: (value >= 0).all(-1) & ((value.sum(-1) - 1).abs() < 1e-6),
    event_dim=1,
)()


# -- matrices --------------------------------------------------------------------------------------------------------


def _is_square(value: Tensor) -> Tensor:
    rows, columns = value.shape[-2:]
    return flambeau.full(value.shape[:-2], rows == columns, dtype=flambeau.bool, device=value.device)


def _is_symmetric(value: Tensor) -> Tensor:
    square = _is_square(value)
    return _every(flambeau.isclose(value, value.mT, atol=1e-6), 2) if square.all() else square


def _symmetric_with(holds: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """The rule that asks for symmetry, and of matrices that all have it for something more."""

    def inside(value: Tensor) -> Tensor:
        symmetric = _is_symmetric(value)
        return holds(value) if symmetric.all() else symmetric

    return inside


def _is_lower(value: Tensor) -> Tensor:
    return _every(value == value.tril(), 2)


def _is_factor(value: Tensor) -> Tensor:
    return _is_lower(value) & (value.diagonal(dim1=-2, dim2=-1) > 0).all(-1)


def _is_correlation_factor(value: Tensor) -> Tensor:
    # rounding of a row's length grows with its number of elements
    slack = 10 * flambeau.finfo(value.dtype).eps * value.size(-1)
    length = value.detach().square().sum(-1).sqrt()
    return _is_factor(value) & ((length - 1).abs() <= slack).all(-1)


def _matrices(name: str, doc: str, inside: Callable[[Tensor], Tensor]) -> _Ruled:
    return _kind(name, doc, inside, event_dim=2)()


square = _matrices("Square", "Square matrices.", _is_square)
symmetric = _matrices("Symmetric", "Symmetric matrices, to within 1e-6.", _is_symmetric)
positive_semidefinite = _matrices(
    "PositiveSemidefinite",
    "Symmetric matrices without a negative eigenvalue.",
    _symmetric_with(lambda value: (flambeau.linalg.eigvalsh(value) >= 0).all(-1)),
)
positive_definite = _matrices(
    "PositiveDefinite",
    "Symmetric matrices with positive eigenvalues: those that have a Cholesky factor.",
    _symmetric_with(lambda value: flambeau.linalg.cholesky_ex(value).info == 0),
)
lower_triangular = _matrices("LowerTriangular", "Matrices that are zero above the diagonal.", _is_lower)
lower_cholesky = _matrices("LowerCholesky", "Lower-triangular matrices with a positive diagonal.", _is_factor)
corr_cholesky = _matrices(
    "CorrCholesky",
    "Cholesky factors of correlation matrices: their rows have length 1.",
    _is_correlation_factor,
)


# -- sets that only an instance knows --------------------------------------------------------------------------------


class _Trait:
    """A descriptor for what may be known of a set before its instance is."""

    def __set_name__(self, owner: type, name: str):
        self.name = name

    def __get__(self, holder: Any, owner: Any = None) -> Any:
        if holder is None:
            return self
        if self.name not in holder.known:
            raise NotImplementedError(f".{self.name} cannot be determined statically")
        return holder.known[self.name]


def _said(**traits: Any) -> dict[str, Any]:
    return {name: trait for name, trait in traits.items() if trait is not NotImplemented}


class _Dependent(Constraint):
    """A set that depends on the instance that has it, and so cannot check anything by itself."""

    known: dict[str, Any]
    event_dim = _Trait()
    is_discrete = _Trait()

    def __init__(self, *, is_discrete: Any = NotImplemented, event_dim: Any = NotImplemented):
        self.known = _said(is_discrete=is_discrete, event_dim=event_dim)

    def __call__(self, *, is_discrete: Any = NotImplemented, event_dim: Any = NotImplemented) -> _Dependent:
        """The same with what is known of it; what is not given stays as it is."""
        return _Dependent(**(self.known | _said(is_discrete=is_discrete, event_dim=event_dim)))

    def check(self, value):
        raise ValueError("Cannot determine validity of dependent constraint")


@_known_as("_DependentProperty")
class dependent_property(property, _Dependent):
    """A property that gives a constraint; on the class it is a constraint that depends on the instance.

    Used as ``@dependent_property`` or ``@dependent_property(is_discrete=False, event_dim=0)``.
    """

    def __init__(self, fn=None, *, is_discrete: Any = NotImplemented, event_dim: Any = NotImplemented):
        property.__init__(self, fn)
        _Dependent.__init__(self, is_discrete=is_discrete, event_dim=event_dim)

    def __call__(self, fn: Any) -> dependent_property:  # type: ignore[override]
        return dependent_property(fn, **self.known)


dependent = _Dependent()


def is_dependent(constraint: Any) -> bool:
    """Whether a constraint can only be checked once its instance is known."""
    return isinstance(constraint, _Dependent)


# -- sets made of sets -----------------------------------------------------------------------------------------------


class _Built(Constraint):
    """Base of sets that other sets make up: as wide as the widest, and discrete where one is."""

    def _members(self) -> list[Constraint]:
        raise NotImplementedError

    is_discrete: Any = property(lambda self: any(c.is_discrete for c in self._members()))
    event_dim: Any = property(lambda self: max(c.event_dim for c in self._members()))

    def _refuse(self, value: Tensor) -> None:
        raise ValueError(f"Expected value.dim() >= {self.event_dim} but got {value.dim()}")


class _OnOne(_Built):
    """Base of sets that judge by one other set."""

    base_constraint: Constraint

    def _members(self):
        return [self.base_constraint]

    def _take(self, base: Any) -> None:
        self.base_constraint = _expected(Constraint, "a Constraint", base_constraint=base)


def _expected(kind: type, what: str, **named: Any) -> Any:
    """The one named argument, which must be of a type."""
    ((name, given),) = named.items()
    if not isinstance(given, kind):
        raise AssertionError(f"{name} must be {what}, got {type(given).__name__}")
    return given


@_known_as("_IndependentConstraint")
class independent(_OnOne):
    """A constraint whose last `reinterpreted_batch_ndims` batch dimensions are judged together with its events."""

    def __init__(self, base_constraint: Constraint, reinterpreted_batch_ndims: int):
        self._take(base_constraint)
        dims = _expected(int, "an int", reinterpreted_batch_ndims=reinterpreted_batch_ndims)
        if dims < 0:
            raise AssertionError(f"reinterpreted_batch_ndims must be >= 0, got {dims}")
        self.reinterpreted_batch_ndims = dims

    event_dim: Any = property(lambda self: self.base_constraint.event_dim + self.reinterpreted_batch_ndims)

    def check(self, value):
        fits = self.base_constraint.check(value)
        if fits.dim() < self.reinterpreted_batch_ndims:
            self._refuse(value)
        return _every(fits, self.reinterpreted_batch_ndims)

    def _shown(self):
        return f"{self.base_constraint!r}, {self.reinterpreted_batch_ndims}"


class MixtureSameFamilyConstraint(_OnOne):
    """What the components of a mixture demand of one sample: all of them judge it."""

    def __init__(self, base_constraint: Constraint):
        self._take(base_constraint)

    def check(self, value):
        fits = self.base_constraint.check(value.unsqueeze(-1 - self.event_dim))
        batch_dims = value.dim() - self.event_dim
        if batch_dims < 0:
            self._refuse(value)
        return _every(fits, fits.dim() - batch_dims)

    def _shown(self):
        return repr(self.base_constraint)


class _Along(_Built):
    """Base of constraints on the parts of a tensor along one dimension."""

    def _take(self, cseq: Any, dim: int) -> None:
        self.cseq, self.dim = list(cseq), dim
        if not all(isinstance(c, Constraint) for c in self.cseq):
            raise AssertionError("All elements of cseq must be Constraint instances")

    def _members(self):
        return self.cseq

    def _judged(self, value: Tensor) -> list[Tensor]:
        """What each member says of its part."""
        if not (-value.dim() <= self.dim < value.dim()):
            raise AssertionError(f"dim {self.dim} out of range for value with {value.dim()} dimensions")
        return [member.check(part) for member, part in zip(self.cseq, self._parts(value))]

    def _parts(self, value: Tensor) -> list[Tensor]:
        raise NotImplementedError


@_known_as("_Cat")
class cat(_Along):
    """Constraint k judges the next lengths[k] places along `dim`, as `torch.cat` would have put them there."""

    def __init__(self, cseq, dim: int = 0, lengths=None):
        self._take(cseq, dim)
        self.lengths = [1 for _ in self.cseq] if lengths is None else list(lengths)
        if len(self.lengths) != len(self.cseq):
            raise AssertionError(f"lengths ({len(self.lengths)}) must match cseq ({len(self.cseq)})")

    def _parts(self, value):
        ends = accumulate(self.lengths)
        return [value.narrow(self.dim, end - size, size) for end, size in zip(ends, self.lengths)]

    def check(self, value):
        return flambeau.cat(self._judged(value), self.dim)


@_known_as("_Stack")
class stack(_Along):
    """Constraint k judges place k along `dim`, as `torch.stack` would have put it there."""

    def __init__(self, cseq, dim: int = 0):
        self._take(cseq, dim)

    @property
    def event_dim(self) -> int:
        widest = max(c.event_dim for c in self.cseq)
        # an event holds the dimension of the parts where that lies inside
        return widest + (self.dim + widest < 0)

    def _parts(self, value):
        return list(value.unbind(self.dim))

    def check(self, value):
        return flambeau.stack(self._judged(value), self.dim)


real_vector = independent(real, 1)
