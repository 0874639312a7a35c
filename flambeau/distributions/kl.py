"""The Kullback-Leibler divergence ``KL(p || q) = E_p[log p(x) - log q(x)]``, by the types of p and q.

Most pairs of different families come from one rule for each q: ``-entropy(p) - E_p[log q(x)]``, where the mean needs only
moments of p that its type can give.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable

import flambeau
from flambeau.tensor.tensor import Tensor

from .bernoulli import Bernoulli
from .beta import Beta
from .binomial import Binomial
from .categorical import Categorical
from .cauchy import Cauchy
from .continuous_bernoulli import ContinuousBernoulli
from .dirichlet import Dirichlet
from .distribution import Distribution
from .exp_family import ExponentialFamily
from .exponential import Exponential
from .gamma import Gamma
from .geometric import Geometric
from .gumbel import Gumbel
from .half_normal import HalfNormal
from .independent import Independent
from .laplace import Laplace
from .lowrank_multivariate_normal import (
    LowRankMultivariateNormal,
    _low_rank_distance,
    _low_rank_log_det,
)
from .multivariate_normal import MultivariateNormal, _distance, log_determinant
from .normal import Normal
from .one_hot_categorical import OneHotCategorical
from .pareto import Pareto
from .poisson import Poisson
from .transformed_distribution import TransformedDistribution
from .uniform import Uniform
from .utils import _sum_rightmost, euler_constant, where

__all__ = ["kl_divergence", "register_kl"]

_KL_REGISTRY: dict[tuple[type, type], Callable] = {}
_chosen: dict[tuple[type, type], Callable] = {}


def register_kl(type_p: type, type_q: type):
    """Decorator: the function gives ``kl_divergence(p, q)`` for these types and their subclasses.

    Of several that fit, the most specific type of p decides, then that of q; where that is not clear, a RuntimeWarning says
    so, and a pair registered for the two types themselves settles it.

    Raises: TypeError for types that are no distributions.
    """
    for given, name in ((type_p, "type_p"), (type_q, "type_q")):
        if not isinstance(given, type):  # Pyro registers a class that only answers as a distribution
            raise TypeError(f"Expected {name} to be a Distribution subclass but got {given}")

    def register(function):
        _KL_REGISTRY[type_p, type_q] = function
        _chosen.clear()
        return function

    return register


def _closest(fitting: list[tuple[type, type]], first: int) -> tuple[type, type]:
    """The pair whose types are closest in the class order, the one at `first` deciding before the other."""

    def beats(a, b) -> bool:
        if a[first] is not b[first]:
            return issubclass(a[first], b[first])
        return issubclass(a[1 - first], b[1 - first])

    best = fitting[0]
    for pair in fitting[1:]:
        if beats(pair, best):
            best = pair
    return best


def _rule_for(type_p: type, type_q: type) -> Callable | None:
    fitting = [pair for pair in _KL_REGISTRY if issubclass(type_p, pair[0]) and issubclass(type_q, pair[1])]
    if not fitting:
        return None
    by_p, by_q = _closest(fitting, 0), _closest(fitting, 1)
    if _KL_REGISTRY[by_p] is not _KL_REGISTRY[by_q]:
        p, q = by_p[0].__name__, by_q[1].__name__
        warnings.warn(
            f"Ambiguous kl_divergence({type_p.__name__}, {type_q.__name__}). Please register_kl({p}, {q})",
            RuntimeWarning,
            stacklevel=3,
        )
    return _KL_REGISTRY[by_p]


def kl_divergence(p: Distribution, q: Distribution) -> Tensor:
    """``KL(p || q)`` in nats. Shape: the batch shape.

    Raises: NotImplementedError for types that no rule fits.

    >>> import flambeau as torch
    >>> from flambeau.distributions import Exponential, kl_divergence
    >>> kl_divergence(Exponential(1.0), Exponential(2.0))
    tensor(0.3069)
    """
    types = type(p), type(q)
    if types not in _chosen:
        found = _rule_for(*types)
        if found is None:
            raise NotImplementedError(
                f"No KL(p || q) is implemented for p type {types[0].__name__} and q type {types[1].__name__}"
            )
        _chosen[types] = found
    return _chosen[types](p, q)


def _infinite(p, q=None) -> Tensor:
    return flambeau.full(p.batch_shape, math.inf, dtype=p.mean.dtype, device=p.mean.device)


def _trace_of_square(x: Tensor) -> Tensor:
    """The trace of ``x x'``."""
    return x.pow(2).sum((-2, -1))


# -- one family ------------------------------------------------------------------------------------------------------


@register_kl(Bernoulli, Bernoulli)
def _bernoulli_bernoulli(p, q):
    one = _share(p.probs, p.probs, q.probs)
    zero = _share(1 - p.probs, 1 - p.probs, 1 - q.probs)
    return one + zero


def _share(weight: Tensor, above: Tensor, below: Tensor) -> Tensor:
    """``weight * log(above / below)``: 0 for a weight of 0, infinite where below is 0."""
    found = weight * (above / below).log()
    return found.masked_fill(below == 0, math.inf).masked_fill(weight == 0, 0)


@register_kl(Beta, Beta)
def _beta_beta(p, q):
    total_p = p.concentration1 + p.concentration0
    total_q = q.concentration1 + q.concentration0
    level = q.concentration1.lgamma() + q.concentration0.lgamma() + total_p.lgamma()
    level = level - p.concentration1.lgamma() - p.concentration0.lgamma() - total_q.lgamma()
    level = level + (p.concentration1 - q.concentration1) * p.concentration1.digamma()
    level = level + (p.concentration0 - q.concentration0) * p.concentration0.digamma()
    return level + (total_q - total_p) * total_p.digamma()


@register_kl(Binomial, Binomial)
def _binomial_binomial(p, q):
    if (p.total_count < q.total_count).any():
        raise NotImplementedError(
            "KL between Binomials where q.total_count > p.total_count is not implemented"
        )
    one = p.probs * (p.logits - q.logits) + (-p.probs).log1p() - (-q.probs).log1p()
    kl, beyond = flambeau.broadcast_tensors(p.total_count * one, p.total_count > q.total_count)
    return kl.masked_fill(beyond, math.inf)


@register_kl(Categorical, Categorical)
def _categorical_categorical(p, q):
    share = p.probs * (p.logits - q.logits)
    share = share.masked_fill((q.probs == 0).expand_as(share), math.inf)
    return share.masked_fill((p.probs == 0).expand_as(share), 0).sum(-1)


@register_kl(OneHotCategorical, OneHotCategorical)
def _one_hot_one_hot(p, q):
    return _categorical_categorical(p._categorical, q._categorical)


@register_kl(Cauchy, Cauchy)
def _cauchy_cauchy(p, q):
    # Chyzak and Nielsen 2019
    square = (p.scale + q.scale).pow(2) + (p.loc - q.loc).pow(2)
    return square.log() - (4 * p.scale * q.scale).log()


@register_kl(Dirichlet, Dirichlet)
def _dirichlet_dirichlet(p, q):
    a, b = p.concentration, q.concentration
    total = a.sum(-1)
    level = total.lgamma() - b.sum(-1).lgamma() - (a.lgamma() - b.lgamma()).sum(-1)
    return level + ((a - b) * (a.digamma() - total.digamma().unsqueeze(-1))).sum(-1)


@register_kl(Exponential, Exponential)
def _exponential_exponential(p, q):
    ratio = q.rate / p.rate
    return ratio - 1 - ratio.log()


@register_kl(ExponentialFamily, ExponentialFamily)
def _family_family(p, q):
    """The Bregman divergence of the log normalisers."""
    if type(p) is not type(q):
        raise NotImplementedError(
            "The cross KL-divergence between different exponential families cannot be computed using Bregman divergences"
        )
    parameters, level, means = p._normaliser_and_means()
    found = q._log_normalizer(*q._natural_params) - level
    for mine, theirs, mean in zip(parameters, q._natural_params, means):
        found = found - _sum_rightmost((theirs - mine) * mean, len(q.event_shape))
    return found


@register_kl(Gamma, Gamma)
def _gamma_gamma(p, q):
    a, b = p.concentration, q.concentration
    level = b * (p.rate / q.rate).log() + b.lgamma() - a.lgamma()
    return level + (a - b) * a.digamma() + (q.rate - p.rate) * (a / p.rate)


@register_kl(Geometric, Geometric)
def _geometric_geometric(p, q):
    return -p.entropy() - (-q.probs).log1p() / p.probs - q.logits


@register_kl(Gumbel, Gumbel)
def _gumbel_gumbel(p, q):
    ratio = p.scale / q.scale
    shift = (q.loc - p.loc) / q.scale
    rest = shift + ratio * euler_constant + (shift + (1 + ratio).lgamma()).exp()
    return -ratio.log() - 2 * shift + rest - (1 + euler_constant)


@register_kl(HalfNormal, HalfNormal)
def _half_normal_half_normal(p, q):
    return _normal_normal(p.base_dist, q.base_dist)


@register_kl(Laplace, Laplace)
def _laplace_laplace(p, q):
    away = (p.loc - q.loc).abs()
    ratio = p.scale / q.scale
    return -ratio.log() + away / q.scale + ratio * (-away / p.scale).exp() - 1


@register_kl(Normal, Normal)
def _normal_normal(p, q):
    ratio = (p.scale / q.scale).pow(2)
    return 0.5 * (ratio + ((p.loc - q.loc) / q.scale).pow(2) - 1 - ratio.log())


@register_kl(Pareto, Pareto)
def _pareto_pareto(p, q):
    ratio = q.alpha / p.alpha
    found = q.alpha * (p.scale / q.scale).log() - ratio.log() + ratio - 1
    return found.masked_fill(p.support.lower_bound < q.support.lower_bound, math.inf)


@register_kl(Poisson, Poisson)
def _poisson_poisson(p, q):
    return p.rate * (p.rate.log() - q.rate.log()) - (p.rate - q.rate)


@register_kl(Uniform, Uniform)
def _uniform_uniform(p, q):
    found = ((q.high - q.low) / (p.high - p.low)).log()
    return found.masked_fill((q.low > p.low) | (q.high < p.high), math.inf)


@register_kl(ContinuousBernoulli, ContinuousBernoulli)
def _continuous_bernoulli_continuous_bernoulli(p, q):
    return p.mean * (p.logits - q.logits) + _at_zero(p) - _at_zero(q)


def _at_zero(d: ContinuousBernoulli) -> Tensor:
    """The logarithm of the density at 0."""
    return d._cont_bern_log_norm() + (-d.probs).log1p()


@register_kl(Independent, Independent)
def _independent_independent(p, q):
    if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
        raise NotImplementedError
    return _sum_rightmost(kl_divergence(p.base_dist, q.base_dist), p.reinterpreted_batch_ndims)


@register_kl(TransformedDistribution, TransformedDistribution)
def _transformed_transformed(p, q):
    # one bijection for both changes neither's logarithm of the ratio
    if p.transforms != q.transforms or p.event_shape != q.event_shape:
        raise NotImplementedError
    return kl_divergence(p.base_dist, q.base_dist)


# -- multivariate normal ---------------------------------------------------------------------------------------------


def _need_same_event(p, q) -> int:
    if p.event_shape != q.event_shape:
        low_rank = [isinstance(d, LowRankMultivariateNormal) for d in (p, q)]
        names = ["Low Rank Multivariate Normals" if low else "Multivariate Normals" for low in low_rank]
        between = names[0] if names[0] == names[1] else "Multivariate Normals"
        raise ValueError(
            f"KL-divergence between two {between} with different event shapes cannot be computed"
        )
    return p.event_shape[0]


def _normal_vectors(p, q, log_det_q, log_det_p, trace, distance) -> Tensor:
    """Half of: the determinants' ratio, the trace of q's precision times p's covariance, the means' distance, less the size."""
    return 0.5 * (log_det_q - log_det_p + trace + distance - p.event_shape[0])


def _inverse_times(lower: Tensor, matrix: Tensor) -> Tensor:
    """``L^-1 M`` for a batch of both."""
    batch = flambeau.broadcast_shapes(lower.shape[:-2], matrix.shape[:-2])
    return flambeau.linalg.solve_triangular(
        lower.expand(batch + lower.shape[-2:]), matrix.expand(batch + matrix.shape[-2:]), upper=False
    )


@register_kl(MultivariateNormal, MultivariateNormal)
def _multivariate_multivariate(p, q):
    _need_same_event(p, q)
    mine, theirs = p._unbroadcasted_scale_tril, q._unbroadcasted_scale_tril
    trace = _trace_of_square(_inverse_times(theirs, mine))
    distance = _distance(theirs, q.loc - p.loc)
    return _normal_vectors(p, q, 2 * log_determinant(theirs), 2 * log_determinant(mine), trace, distance)


@register_kl(MultivariateNormal, LowRankMultivariateNormal)
def _multivariate_low_rank(p, q):
    _need_same_event(p, q)
    lower = p._unbroadcasted_scale_tril
    factor, diagonal = q._thin, q._own
    # Woodbury: the trace with the diagonal's inverse, less what the factor takes away
    whole = _trace_of_square(lower / diagonal.sqrt().unsqueeze(-1))
    taken = _trace_of_square(_inverse_times(q._inner, (factor.mT / diagonal.unsqueeze(-2)) @ lower))
    distance = _low_rank_distance(factor, diagonal, q.loc - p.loc, q._inner)
    log_det = _low_rank_log_det(factor, diagonal, q._inner)
    return _normal_vectors(p, q, log_det, 2 * log_determinant(lower), whole - taken, distance)


@register_kl(LowRankMultivariateNormal, MultivariateNormal)
def _low_rank_multivariate(p, q):
    _need_same_event(p, q)
    lower = q._unbroadcasted_scale_tril
    factor, diagonal = p._thin, p._own
    trace = _trace_of_square(_inverse_times(lower, factor))
    trace = trace + _trace_of_square(_inverse_times(lower, diagonal.sqrt().diag_embed()))
    distance = _distance(lower, q.loc - p.loc)
    log_det = _low_rank_log_det(factor, diagonal, p._inner)
    return _normal_vectors(p, q, 2 * log_determinant(lower), log_det, trace, distance)


@register_kl(LowRankMultivariateNormal, LowRankMultivariateNormal)
def _low_rank_low_rank(p, q):
    _need_same_event(p, q)
    factor, diagonal = q._thin, q._own
    own, own_diagonal = p._thin, p._own
    scaled = factor.mT / diagonal.unsqueeze(-2)
    whole = (own_diagonal / diagonal).sum(-1) + _trace_of_square(own / diagonal.sqrt().unsqueeze(-1))
    taken = _trace_of_square(_inverse_times(q._inner, scaled * own_diagonal.sqrt().unsqueeze(-2)))
    taken = taken + _trace_of_square(_inverse_times(q._inner, scaled @ own))
    distance = _low_rank_distance(factor, diagonal, q.loc - p.loc, q._inner)
    log_det_q = _low_rank_log_det(factor, diagonal, q._inner)
    log_det_p = _low_rank_log_det(own, own_diagonal, p._inner)
    return _normal_vectors(p, q, log_det_q, log_det_p, whole - taken, distance)


# -- two families: what p can say of the mean of a function ----------------------------------------------------------


def _x_log_x(x: Tensor) -> Tensor:
    return x.xlogy(x)


def _mean_log(p) -> Tensor:
    """``E_p[log x]``"""
    if isinstance(p, Beta):
        return p.concentration1.digamma() - (p.concentration1 + p.concentration0).digamma()
    if isinstance(p, Gamma):
        return p.concentration.digamma() - p.rate.log()
    if isinstance(p, Exponential):
        return -euler_constant - p.rate.log()
    if isinstance(p, Pareto):
        return p.scale.log() + p.alpha.reciprocal()
    assert isinstance(p, Uniform)
    return (_x_log_x(p.high) - _x_log_x(p.low)) / (p.high - p.low) - 1


def _mean_log_rest(p) -> Tensor:
    """``E_p[log(1 - x)]``"""
    low, high = 1 - p.low, 1 - p.high
    return (_x_log_x(low) - _x_log_x(high)) / (low - high) - 1


def _mean_exp(p, t: Tensor) -> Tensor:
    """``E_p[exp(-t x)]`` for t > 0."""
    if isinstance(p, Normal):
        return (-t * p.loc + 0.5 * (t * p.scale).pow(2)).exp()
    if isinstance(p, Exponential):
        return p.rate / (p.rate + t)
    if isinstance(p, Gamma):
        return (1 + t / p.rate).pow(-p.concentration)
    assert isinstance(p, Uniform)
    return ((-t * p.low).exp() - (-t * p.high).exp()) / (t * (p.high - p.low))


def _normal_level(p, q) -> Tensor:
    """``E_p[log q]`` for a normal q."""
    square = p.variance + (p.mean - q.loc).pow(2)
    return -q.scale.log() - 0.5 * math.log(2 * math.pi) - 0.5 * square / q.scale.pow(2)


def _exponential_level(p, q) -> Tensor:
    return q.rate.log() - q.rate * p.mean


def _gamma_level(p, q) -> Tensor:
    level = q.concentration * q.rate.log() - q.concentration.lgamma()
    return level + (q.concentration - 1) * _mean_log(p) - q.rate * p.mean


def _beta_level(p, q) -> Tensor:
    level = (q.concentration1 + q.concentration0).lgamma()
    level = level - q.concentration1.lgamma() - q.concentration0.lgamma()
    return level + (q.concentration1 - 1) * _mean_log(p) + (q.concentration0 - 1) * _mean_log_rest(p)


def _continuous_bernoulli_level(p, q) -> Tensor:
    return p.mean * q.logits + _at_zero(q)


def _gumbel_level(p, q) -> Tensor:
    t = q.scale.reciprocal()
    return t.log() - (p.mean - q.loc) * t - (q.loc * t).exp() * _mean_exp(p, t)


def _pareto_level(p, q) -> Tensor:
    return q.alpha.log() + q.alpha * q.scale.log() - (q.alpha + 1) * _mean_log(p)


def _uniform_level(p, q) -> Tensor:
    return -(q.high - q.low).log()


def _never(p, q):
    return None


def _unit_leaves_range(p, q):
    """p covers [0, 1]."""
    return (q.low > 0) | (q.high < 1)


def _range_leaves_unit(p, q):
    return (p.low < 0) | (p.high > 1)


def _range_is_negative(p, q):
    return p.low < 0


def _range_below_scale(p, q):
    return p.low < q.scale


def _no_variance(p, q):
    return p.alpha <= 2


def _no_mean(p, q):
    return p.alpha <= 1


def _crossed(level: Callable, outside: Callable) -> Callable:
    """The rule of a pair: ``-entropy(p) - level``, and infinite where p goes where q does not, or a moment is infinite."""

    def rule(p, q):
        found = -p.entropy() - level(p, q)
        beyond = outside(p, q)
        return found if beyond is None else where(beyond, math.inf, found)

    return rule


#: by q: the mean of its log density, and the types of p with the condition under which the divergence is infinite
_CROSSED = (
    (Normal, _normal_level, {Beta: _never, ContinuousBernoulli: _never, Exponential: _never, Gamma: _never,
                             Gumbel: _never, Laplace: _never, Pareto: _no_variance, Uniform: _never}),
    (Exponential, _exponential_level, {Beta: _never, ContinuousBernoulli: _never, Gamma: _never, Pareto: _no_mean,
                                       Uniform: _range_is_negative}),
    (Gamma, _gamma_level, {Beta: _never, Exponential: _never, Pareto: _no_mean, Uniform: _range_is_negative}),
    (Beta, _beta_level, {Uniform: _range_leaves_unit}),
    (ContinuousBernoulli, _continuous_bernoulli_level, {Beta: _never, Uniform: _range_leaves_unit}),
    (Gumbel, _gumbel_level, {Exponential: _never, Gamma: _never, Normal: _never, Uniform: _never}),
    (Pareto, _pareto_level, {Uniform: _range_below_scale}),
    (Uniform, _uniform_level, {Beta: _unit_leaves_range, ContinuousBernoulli: _unit_leaves_range}),
)  # fmt: skip
for _q, _level, _pairs in _CROSSED:
    for _p, _outside in _pairs.items():
        register_kl(_p, _q)(_crossed(_level, _outside))

#: p has values that q cannot have
_INFINITE = {
    Beta: (Pareto,),
    ContinuousBernoulli: (Pareto,),
    Exponential: (Beta, ContinuousBernoulli, Pareto, Uniform),
    Gamma: (Beta, ContinuousBernoulli, Pareto, Uniform),
    Gumbel: (Beta, ContinuousBernoulli, Exponential, Gamma, Pareto, Uniform),
    Laplace: (Beta, ContinuousBernoulli, Exponential, Gamma, Pareto, Uniform),
    Normal: (Beta, ContinuousBernoulli, Exponential, Gamma, Pareto, Uniform),
    Pareto: (Beta, ContinuousBernoulli, Uniform),
    Poisson: (Bernoulli, Binomial),
}
for _p, _beyond in _INFINITE.items():
    for _q in _beyond:
        register_kl(_p, _q)(_infinite)


@register_kl(Bernoulli, Poisson)
def _bernoulli_poisson(p, q):
    return -p.entropy() - (p.probs * q.rate.log() - q.rate)


@register_kl(Normal, Laplace)
def _normal_laplace(p, q):
    # the mean distance of a normal sample from q's centre (Leone, Nelson and Nottingham 1961, folded normal)
    z = (p.loc - q.loc) / p.scale
    distance = p.scale * (math.sqrt(2 / math.pi) * (-0.5 * z * z).exp() + z * (math.sqrt(0.5) * z).erf())
    return -p.entropy() + (2 * q.scale).log() + distance / q.scale
