"""The base of all distributions: parameters and their checks, shapes, `expand`, and what derives from other members."""

from __future__ import annotations

import warnings
from typing import Any

import flambeau
from flambeau.base.layout import Size
from flambeau.tensor.tensor import Tensor

from . import constraints
from .utils import broadcast_all, lazy_property

__all__ = ["Distribution"]

_OURS = __package__ + "."


def _unsaid(doc: str) -> property:
    """A property that a subclass has to give."""

    def missing(self):
        raise NotImplementedError

    return property(missing, doc=doc)


class Distribution:
    """A probability distribution, or a batch of independent ones.

    A sample has the shape ``sample_shape + batch_shape + event_shape``: how many are drawn, the shape of the parameters,
    and the shape of one draw.

    validate_args: whether parameters and values are checked; on by default unless Python runs with ``-O``.

    >>> import flambeau as torch
    >>> d = torch.distributions.Normal(torch.zeros(2), torch.ones(2))
    >>> d.batch_shape, d.event_shape, d.sample((3,)).shape
    (torch.Size([2]), torch.Size([]), torch.Size([3, 2]))
    """

    #: whether `rsample` is there, and `enumerate_support`
    has_rsample: Any = False
    has_enumerate_support: Any = False
    _validate_args = __debug__
    #: attributes that an expanded copy shares, besides the parameters
    _shared: tuple[str, ...] = ()

    @staticmethod
    def set_default_validate_args(value: bool) -> None:
        """Check arguments from now on, or not."""
        if value not in [True, False]:
            raise ValueError
        Distribution._validate_args = value

    def __init__(self, batch_shape=Size(), event_shape=Size(), validate_args: bool | None = None):  # noqa: B008
        self._batch_shape = Size(batch_shape)
        self._event_shape = Size(event_shape)
        if validate_args is not None:
            self._validate_args = validate_args
        if self._validate_args:
            self._check_parameters()
        super().__init__()

    def _start(self, validate_args: bool | None, **parameters: Any) -> None:
        """Take parameters that hold a number per distribution: broadcast them, set them, check them."""
        for name, value in zip(parameters, broadcast_all(*parameters.values())):
            self.__dict__[name] = value
        Distribution.__init__(self, self.__dict__[name].size(), validate_args=validate_args)

    def _check_parameters(self) -> None:
        wanted = self._said("arg_constraints", ". Please set `arg_constraints = {}` or")
        if wanted is NotImplemented:
            return
        for name, constraint in wanted.items():
            waits = name not in self.__dict__ and isinstance(getattr(type(self), name, None), lazy_property)
            if waits or constraints.is_dependent(constraint):
                continue
            value = getattr(self, name)
            if not constraint.check(value).all():
                raise ValueError(
                    f"Expected parameter {name} ({type(value).__name__} of shape {tuple(value.shape)}) of distribution "
                    f"{self!r} to satisfy the constraint {constraint!r}, but found invalid values:\n{value}"
                )

    def _said(self, member: str, advice: str) -> Any:
        """What a subclass says its constraints are; NotImplemented, and a warning, if it does not."""
        try:
            return getattr(self, member)
        except NotImplementedError:
            warnings.warn(
                f"{type(self)} does not define `{member}`{advice} initialize the distribution with "
                "`validate_args=False` to turn off validation.",
                stacklevel=4,
            )
            return NotImplemented

    # -- copies --
    def expand(self, batch_shape, _instance=None):
        """The same distribution with its batch dimensions expanded to `batch_shape`; shares the parameters' memory.

        Raises: NotImplementedError for a subclass with its own ``__init__`` and no ``expand``.
        """
        own = self._own_class()
        if own is Distribution:
            raise NotImplementedError
        made = self._get_checked_instance(own, _instance)
        shape = Size(batch_shape)
        for name in self._shared:
            if name in self.__dict__:
                made.__dict__[name] = self.__dict__[name]
        for name, constraint in self.arg_constraints.items():
            value = self.__dict__.get(name)
            if isinstance(value, Tensor):
                made.__dict__[name] = value.expand(shape + value.shape[value.dim() - constraint.event_dim :])
        self._expand_more(made, shape)
        Distribution.__init__(made, shape, self._event_shape, validate_args=False)
        made._validate_args = self._validate_args
        return made

    def _expand_more(self, made, shape: Size) -> None:
        """Give an expanded copy what is neither a parameter nor shared."""

    def _own_class(self) -> type:
        """The class of this package that an instance is, or derives from."""
        return next(k for k in type(self).__mro__ if k.__module__.startswith(_OURS))

    def _get_checked_instance(self, cls: type, _instance=None):
        """An empty copy, or the one given; a subclass with a constructor of its own must have an `expand` too."""
        if _instance is None and type(self).__init__ is not cls.__init__:
            raise NotImplementedError(
                f"Subclass {self.__class__.__name__} of {cls.__name__} that defines a custom __init__ method must also "
                "define a custom .expand() method."
            )
        return self.__new__(type(self)) if _instance is None else _instance

    # -- shapes --
    @property
    def batch_shape(self) -> Size:
        """Shape of the batch of distributions."""
        return self._batch_shape

    @property
    def event_shape(self) -> Size:
        """Shape of one draw of one distribution."""
        return self._event_shape

    def _extended_shape(self, sample_shape=Size()) -> Size:  # noqa: B008
        """Shape of a sample."""
        return Size(tuple(sample_shape) + self._batch_shape + self._event_shape)

    # -- what subclasses say --
    arg_constraints: Any = _unsaid("The set in which each parameter must lie, by name.")
    support: Any = _unsaid("The set in which samples lie.")

    @property
    def mean(self) -> Tensor:
        """The mean. Shape: batch_shape + event_shape."""
        raise NotImplementedError

    @property
    def mode(self) -> Tensor:
        """The most likely value. Shape: batch_shape + event_shape."""
        raise NotImplementedError(f"{self.__class__} does not implement mode")

    @property
    def variance(self) -> Tensor:
        """The variance. Shape: batch_shape + event_shape."""
        raise NotImplementedError

    @property
    def stddev(self) -> Tensor:
        """The square root of the variance."""
        return self.variance.sqrt()

    def sample(self, sample_shape=Size()) -> Tensor:  # noqa: B008
        """Draws, without a gradient. Shape: sample_shape + batch_shape + event_shape."""
        with flambeau.no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape=Size()) -> Tensor:  # noqa: B008
        """Draws that are differentiable functions of the parameters, where `has_rsample` says so."""
        raise NotImplementedError

    def sample_n(self, n: int) -> Tensor:
        """`n` draws; ``sample((n,))`` is the name to use."""
        warnings.warn(
            "`sample_n(n)` will be deprecated. Use `sample((n,))` instead.", FutureWarning, stacklevel=2
        )
        return self.sample(Size((n,)))

    def log_prob(self, value: Tensor) -> Tensor:
        """Logarithm of the density, or of the probability, at `value`."""
        raise NotImplementedError

    def cdf(self, value: Tensor) -> Tensor:
        """Probability of a draw up to `value`."""
        raise NotImplementedError

    def icdf(self, value: Tensor) -> Tensor:
        """The point up to which a draw falls with probability `value`."""
        raise NotImplementedError

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """All values of a discrete distribution along a new first dimension.

        expand: with ``False`` the batch dimensions have size 1.
        """
        raise NotImplementedError

    def _numbered(self, values: Tensor, expand: bool) -> Tensor:
        """Scalar values laid out for `enumerate_support`."""
        laid = values.view((-1,) + (1,) * len(self._batch_shape))
        return laid.expand((-1,) + self._batch_shape) if expand else laid

    def entropy(self) -> Tensor:
        """The entropy in nats. Shape: batch_shape."""
        raise NotImplementedError

    def perplexity(self) -> Tensor:
        """The exponential of the entropy."""
        return self.entropy().exp()

    # -- checks of values --
    def _checked(self, value: Tensor) -> None:
        """Check a value unless checks are off."""
        if self._validate_args:
            self._validate_sample(value)

    def _validate_sample(self, value: Tensor) -> None:
        """Raise ValueError unless a value has a fitting shape and lies in the support."""
        if not isinstance(value, Tensor):
            raise ValueError("The value argument to log_prob must be a Tensor")
        given, wanted = value.size(), self._batch_shape + self._event_shape
        if given[len(given) - len(self._event_shape) :] != self._event_shape:
            raise ValueError(
                f"The right-most size of value must match event_shape: {given} vs {self._event_shape}."
            )
        for mine, theirs in zip(reversed(given), reversed(wanted)):
            if mine != theirs and 1 not in (mine, theirs):
                raise ValueError(
                    f"Value is not broadcastable with batch_shape+event_shape: {given} vs {wanted}."
                )
        support = self._said("support", " to enable sample validation. Please")
        if support is NotImplemented:
            return
        if support is None:
            raise AssertionError("support is None")
        if not support.check(value).all():
            raise ValueError(
                f"Expected value argument ({type(value).__name__} of shape {tuple(value.shape)}) to be within the support "
                f"({support!r}) of the distribution {self!r}, but found invalid values:\n{value}"
            )

    def __repr__(self) -> str:
        held = {name: self.__dict__[name] for name in self.arg_constraints if name in self.__dict__}
        shown = [f"{name}: {v if v.numel() == 1 else v.size()}" for name, v in held.items()]
        return f"{type(self).__name__}({', '.join(shown)})"
