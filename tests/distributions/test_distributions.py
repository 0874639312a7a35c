"""Distributions by themselves: moments of samples, densities that sum to 1, entropies, divergences by Monte Carlo."""

from __future__ import annotations

import math
import pickle

import pytest

import flambeau as torch
from flambeau import distributions as D
from flambeau.distributions import kl_divergence

t = torch.tensor
float64 = torch.float64


def d64(*values):
    return t(list(values), dtype=float64)


#: distributions of numbers with a finite variance
CONTINUOUS = {
    "beta": lambda: D.Beta(d64(0.8, 2.0), d64(1.5, 3.0)),
    "chi2": lambda: D.Chi2(d64(3.0, 7.0)),
    "continuous_bernoulli": lambda: D.ContinuousBernoulli(d64(0.1, 0.6, 0.8)),
    "exponential": lambda: D.Exponential(d64(0.5, 3.0)),
    "fisher_snedecor": lambda: D.FisherSnedecor(d64(5.0, 8.0), d64(19.0, 30.0)),
    "gamma": lambda: D.Gamma(d64(0.6, 4.0), d64(2.0, 0.5)),
    "generalized_pareto": lambda: D.GeneralizedPareto(d64(0.0, 1.0, 0.0), d64(1.0, 2.0, 1.0), d64(0.1, 0.0, -0.5)),
    "gumbel": lambda: D.Gumbel(d64(0.0, 2.0), d64(1.0, 0.5)),
    "half_normal": lambda: D.HalfNormal(d64(1.0, 3.0)),
    "inverse_gamma": lambda: D.InverseGamma(d64(7.0, 9.0), d64(1.0, 3.0)),
    "kumaraswamy": lambda: D.Kumaraswamy(d64(0.8, 2.0), d64(1.5, 3.0)),
    "laplace": lambda: D.Laplace(d64(0.0, 1.0), d64(1.0, 3.0)),
    "log_normal": lambda: D.LogNormal(d64(0.0, 1.0), d64(0.5, 0.3)),
    "mixture": lambda: D.MixtureSameFamily(D.Categorical(d64(1.0, 3.0)), D.Normal(d64(-1.0, 2.0), d64(1.0, 0.5))),
    "normal": lambda: D.Normal(d64(0.0, 1.0), d64(1.0, 3.0)),
    "pareto": lambda: D.Pareto(d64(1.0, 2.0), d64(7.0, 9.0)),
    "student": lambda: D.StudentT(d64(12.0, 20.0), d64(0.0, 1.0), d64(1.0, 2.0)),
    "uniform": lambda: D.Uniform(d64(0.0, -1.0), d64(1.0, 3.0)),
    "weibull": lambda: D.Weibull(d64(1.0, 2.0), d64(1.2, 3.0)),
}  # fmt: skip
DISCRETE = {
    "bernoulli": lambda: D.Bernoulli(d64(0.1, 0.7)),
    "binomial": lambda: D.Binomial(40, d64(0.1, 0.7)),
    "geometric": lambda: D.Geometric(d64(0.3, 0.7)),
    "negative_binomial": lambda: D.NegativeBinomial(d64(2.5, 7.0), d64(0.3, 0.6)),
    "poisson": lambda: D.Poisson(d64(0.7, 14.0)),
}
VECTORS = {
    "dirichlet": lambda: D.Dirichlet(d64(0.6, 2.0, 3.0)),
    "low_rank": lambda: D.LowRankMultivariateNormal(d64(0.0, 1.0), d64([1.0], [0.5]), d64(0.5, 1.0)),
    "multinomial": lambda: D.Multinomial(9, d64(0.2, 0.3, 0.5)),
    "multivariate_normal": lambda: D.MultivariateNormal(d64(0.0, 1.0), d64([2.0, 0.3], [0.3, 0.5])),
    "one_hot": lambda: D.OneHotCategorical(d64(0.2, 0.3, 0.5)),
    "wishart": lambda: D.Wishart(d64(5.5).squeeze(), d64([2.0, 0.3], [0.3, 0.5])),
    "independent": lambda: D.Independent(D.Normal(d64(0.0, 1.0), d64(1.0, 2.0)), 1),
}
ALL = CONTINUOUS | DISCRETE | VECTORS
DRAWS = 40_000


def close(a, b, within):
    error = (a - b).abs()
    assert bool((error <= within).all()), f"{a} {b} {within}"


@pytest.mark.parametrize("name", ALL)
def test_moments_of_samples(name):
    """Mean and variance of many draws lie within five of their own standard errors."""
    torch.manual_seed(3)
    d = ALL[name]()
    x = d.sample((DRAWS,))
    assert x.shape == (DRAWS, *d.batch_shape, *d.event_shape)
    close(x.mean(0), d.mean, 5 * d.stddev / DRAWS**0.5 + 1e-12)
    fourth = (x - d.mean).pow(4).mean(0)
    close(
        x.var(0),
        d.variance,
        6 * ((fourth - d.variance.pow(2)).clamp(min=0) / DRAWS).sqrt() + 1e-4 * d.variance,
    )
    close(d.stddev, d.variance.sqrt(), 1e-9 * d.stddev + 1e-12)


@pytest.mark.parametrize("name", ALL)
def test_samples_lie_in_the_support(name):
    torch.manual_seed(4)
    d = ALL[name]()
    assert bool(d.support.check(d.sample((100,))).all())


@pytest.mark.parametrize(
    "name", [n for n in ALL if n not in ("mixture", "poisson", "negative_binomial", "fisher_snedecor")]
)
def test_entropy_is_the_mean_of_minus_the_log_density(name):
    torch.manual_seed(5)
    d = ALL[name]()
    level = d.log_prob(d.sample((DRAWS,)))
    close(-level.mean(0), d.entropy(), 5 * level.std(0) / DRAWS**0.5 + 1e-9)


@pytest.mark.parametrize("name", ["bernoulli", "exponential", "gamma", "normal", "continuous_bernoulli"])
def test_entropy_by_the_log_normaliser(name):
    d = ALL[name]()
    close(D.ExponentialFamily.entropy(d), d.entropy(), 1e-6)


#: those without a closed form for the distribution function, or for its inverse
NO_CDF = {"beta", "chi2", "fisher_snedecor", "inverse_gamma", "student"}
NO_ICDF = {*NO_CDF, "gamma", "mixture"}


@pytest.mark.parametrize("name", sorted(CONTINUOUS.keys() - NO_CDF - {"mixture"} | {"chi2"}))
def test_density_is_the_slope_of_cdf(name):
    d = CONTINUOUS[name]()
    torch.manual_seed(6)
    x = d.sample((50,))
    step = 1e-5 * d.stddev
    edge = d.cdf(x)
    inside = (edge > 0.05) & (edge < 0.95)
    low, high = (torch.where(inside, x + s * step, x) for s in (-1, 1))
    slope = (d.cdf(high) - d.cdf(low)) / (2 * step)
    density = d.log_prob(x).exp()
    close(torch.where(inside, slope, 1.0), torch.where(inside, density, 1.0), 1e-4 * density + 1e-6)


@pytest.mark.parametrize("name", sorted(CONTINUOUS.keys() - NO_ICDF))
def test_icdf_inverts_cdf(name):
    d = CONTINUOUS[name]()
    levels = torch.linspace(0.05, 0.95, 10, dtype=float64).unsqueeze(-1)
    levels = levels.expand(10, *d.batch_shape) if d.batch_shape else levels[:, 0]
    x = d.icdf(levels)
    close(d.cdf(x), levels, 1e-6)


@pytest.mark.parametrize("name", DISCRETE)
def test_probabilities_sum_to_one(name):
    d = DISCRETE[name]()
    values = (
        d.enumerate_support() if d.has_enumerate_support else torch.arange(400.0, dtype=float64).unsqueeze(-1)
    )
    close(d.log_prob(values).exp().sum(0), torch.ones(2, dtype=float64), 1e-9)


def test_categorical_frequencies():
    torch.manual_seed(7)
    d = D.Categorical(d64(0.2, 0.3, 0.5))
    share = torch.bincount(d.sample((DRAWS,))) / DRAWS
    close(share, d.probs, 5 * (d.probs * (1 - d.probs) / DRAWS).sqrt())
    close(d.log_prob(d.enumerate_support()).exp(), d.probs, 1e-12)


def test_von_mises():
    torch.manual_seed(8)
    d = D.VonMises(d64(0.0, 1.0, -2.0), d64(0.3, 4.0, 50.0))
    x = d.sample((DRAWS,))
    around = torch.linspace(-math.pi, math.pi, 20001, dtype=float64).unsqueeze(-1)
    density = d.log_prob(around).exp()
    close(density[1:].sum(0) * (2 * math.pi / 20000), torch.ones(3, dtype=float64), 1e-9)
    close(1 - (x - d.loc).cos().mean(0), d.variance, t([0.02, 0.005, 0.001]))
    assert bool((x.abs() <= math.pi).all())


def test_lkj_is_a_density_of_correlation_matrices():
    """For size 2 the correlation r has the density (1 - r^2)^(concentration - 1), normalised."""
    d = D.LKJCholesky(2, d64(0.5, 1.0, 3.0))
    torch.manual_seed(9)
    x = d.sample((DRAWS,))
    r = x[..., 1, 0]
    close(r.pow(2).mean(0), 1 / (2 * d.concentration + 1), 0.01)
    inside = torch.linspace(-0.9, 0.9, 7, dtype=float64)
    lower = torch.zeros(7, 1, 2, 2, dtype=float64)
    lower[:, 0, 0, 0], lower[:, 0, 1, 0] = 1, inside
    lower[:, 0, 1, 1] = (1 - inside.pow(2)).sqrt()
    # r is the factor's only free element
    by_r = d.log_prob(lower).exp()
    a = d.concentration
    constant = (2 * a - 1) * math.log(2) + 2 * a.lgamma() - (2 * a).lgamma()
    expected = ((a - 1) * (1 - inside.pow(2)).log().unsqueeze(-1) - constant).exp()
    close(by_r, expected, 1e-9 + 1e-9 * expected)


def test_relaxed_samples_come_close_to_hard_ones():
    torch.manual_seed(10)
    hard = D.RelaxedOneHotCategorical(t(0.01), t([0.2, 0.3, 0.5])).sample((4000,)).argmax(-1)
    close(torch.bincount(hard) / 4000, t([0.2, 0.3, 0.5]), 0.05)
    ones = D.RelaxedBernoulli(t(0.01), t(0.3)).sample((4000,)).round()
    close(ones.mean(), t(0.3), 0.05)


def test_densities_of_relaxed_distributions_integrate_to_one():
    x = (torch.arange(20000, dtype=float64) + 0.5) / 20000
    d = D.RelaxedBernoulli(d64(0.8).squeeze(), d64(0.3).squeeze())
    close(d.log_prob(x).exp().mean(), t(1.0, dtype=float64), 1e-3)
    two = D.RelaxedOneHotCategorical(d64(0.8).squeeze(), d64(0.3, 0.7), validate_args=False)
    close(two.log_prob(torch.stack([x, 1 - x], -1)).exp().mean(), t(1.0, dtype=float64), 1e-3)


# -- gradients of samples --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [0.05, 0.3, 1.0, 4.0, 50.0, 2e3, 2e5])
def test_gamma_samples_move_as_their_quantiles(shape):
    """dx/da at a fixed level of the distribution function, by differences of that function."""
    torch.manual_seed(11)
    a = torch.full((40,), shape, dtype=float64, requires_grad=True)
    x = torch._standard_gamma(a)
    (slope,) = torch.autograd.grad(x.sum(), a)
    a, x = a.detach(), x.detach()
    level = torch.special.gammainc(a, x)
    inside = (level > 1e-3) & (level < 0.999) & (x > 1e-12)
    step = 1e-4 * shape
    by_a = (torch.special.gammainc(a + step, x) - torch.special.gammainc(a - step, x)) / (2 * step)
    density = ((a - 1) * x.log() - x - a.lgamma()).exp()
    expected = -by_a / density
    close(slope[inside], expected[inside], (2e-4 if shape < 1e5 else 0.02) * expected[inside].abs())
    assert int(inside.sum()) > 5


def test_beta_samples_move_as_their_quantiles():
    """The level of a beta sample by quadrature of the density."""
    node = (torch.arange(200_000, dtype=float64) + 0.5) / 200_000

    def level(x, a, b):
        at = node * x  # substitution s = x u
        return (
            x
            * ((a - 1) * at.log() + (b - 1) * (-at).log1p()).exp().mean()
            / math.exp(math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b))
        )

    for x, a, b in ((0.2, 2.0, 3.0), (0.7, 2.0, 3.0), (0.5, 8.0, 1.5), (0.9, 3.0, 1.2), (0.1, 1.5, 20.0)):
        found = torch._dirichlet_grad(d64(x), d64(a), d64(a + b))
        slope = (level(x, a + 1e-4, b) - level(x, a - 1e-4, b)) / 2e-4
        density = D.Beta(d64(a), d64(b)).log_prob(d64(x)).exp()
        close(found, -slope / density / (1 - x), 1e-5 * found.abs())


@pytest.mark.parametrize("name", ["beta", "gamma", "dirichlet", "student", "inverse_gamma"])
def test_gradient_of_a_mean_of_samples(name):
    """The mean of differentiated samples is the derivative of the mean."""
    torch.manual_seed(12)
    a = d64(2.0, 4.0).requires_grad_()
    d = {
        "beta": lambda: D.Beta(a, d64(3.0, 1.0)),
        "gamma": lambda: D.Gamma(a, d64(3.0, 1.0)),
        "dirichlet": lambda: D.Dirichlet(a),
        "student": lambda: D.StudentT(d64(9.0), a, 1.0),
        "inverse_gamma": lambda: D.InverseGamma(a + 4, 1.0),
    }[name]()
    weight = d64(1.0, 3.0)
    (expected,) = torch.autograd.grad((d.mean * weight).sum(), a)
    (found,) = torch.autograd.grad((d.rsample((20_000,)).mean(0) * weight).sum(), a)
    close(found, expected, 0.03 * expected.abs() + 0.01)


# -- divergences -----------------------------------------------------------------------------------------------------

PARTNERS = {
    "bernoulli": lambda: (D.Bernoulli(d64(0.2)), D.Bernoulli(d64(0.6))),
    "beta": lambda: (D.Beta(d64(2.0), d64(3.0)), D.Beta(d64(1.5), d64(1.0))),
    "beta_continuous_bernoulli": lambda: (D.Beta(d64(2.0), d64(3.0)), D.ContinuousBernoulli(d64(0.3))),
    "beta_exponential": lambda: (D.Beta(d64(2.0), d64(3.0)), D.Exponential(d64(0.6))),
    "beta_gamma": lambda: (D.Beta(d64(2.0), d64(3.0)), D.Gamma(d64(2.0), d64(1.0))),
    "beta_normal": lambda: (D.Beta(d64(2.0), d64(3.0)), D.Normal(d64(0.5), d64(1.0))),
    "beta_uniform": lambda: (D.Beta(d64(2.0), d64(3.0)), D.Uniform(d64(-0.5), d64(1.5))),
    "bernoulli_poisson": lambda: (D.Bernoulli(d64(0.3)), D.Poisson(d64(0.7))),
    "binomial": lambda: (D.Binomial(5, d64(0.2)), D.Binomial(5, d64(0.6))),
    "categorical": lambda: (D.Categorical(d64([0.2, 0.8])), D.Categorical(d64([0.6, 0.4]))),
    "cauchy": lambda: (D.Cauchy(d64(0.2), d64(1.0)), D.Cauchy(d64(-0.5), d64(2.0))),
    "continuous_bernoulli_uniform": lambda: (D.ContinuousBernoulli(d64(0.2)), D.Uniform(d64(0.0), d64(1.0))),
    "continuous_bernoulli_normal": lambda: (D.ContinuousBernoulli(d64(0.2)), D.Normal(d64(0.0), d64(1.0))),
    "dirichlet": lambda: (D.Dirichlet(d64([2.0, 3.0])), D.Dirichlet(d64([1.0, 1.5]))),
    "exponential_gamma": lambda: (D.Exponential(d64(2.0)), D.Gamma(d64(1.5), d64(1.0))),
    "exponential_gumbel": lambda: (D.Exponential(d64(2.0)), D.Gumbel(d64(0.5), d64(1.0))),
    "exponential_normal": lambda: (D.Exponential(d64(2.0)), D.Normal(d64(0.5), d64(1.0))),
    "gamma": lambda: (D.Gamma(d64(2.0), d64(1.0)), D.Gamma(d64(1.5), d64(0.6))),
    "gamma_exponential": lambda: (D.Gamma(d64(2.0), d64(1.0)), D.Exponential(d64(0.6))),
    "gamma_gumbel": lambda: (D.Gamma(d64(2.0), d64(1.0)), D.Gumbel(d64(0.5), d64(1.0))),
    "gamma_normal": lambda: (D.Gamma(d64(2.0), d64(1.0)), D.Normal(d64(0.5), d64(2.0))),
    "geometric": lambda: (D.Geometric(d64(0.4)), D.Geometric(d64(0.2))),
    "gumbel": lambda: (D.Gumbel(d64(0.4), d64(1.0)), D.Gumbel(d64(0.0), d64(1.5))),
    "gumbel_normal": lambda: (D.Gumbel(d64(0.4), d64(1.0)), D.Normal(d64(0.0), d64(1.5))),
    "half_normal": lambda: (D.HalfNormal(d64(0.4)), D.HalfNormal(d64(1.0))),
    "laplace": lambda: (D.Laplace(d64(0.4), d64(1.0)), D.Laplace(d64(0.0), d64(1.5))),
    "laplace_normal": lambda: (D.Laplace(d64(0.4), d64(1.0)), D.Normal(d64(0.0), d64(1.5))),
    "log_normal": lambda: (D.LogNormal(d64(0.4), d64(1.0)), D.LogNormal(d64(0.0), d64(1.5))),
    "multivariate_normal": lambda: (VECTORS["multivariate_normal"](), VECTORS["low_rank"]()),
    "low_rank": lambda: (VECTORS["low_rank"](), VECTORS["multivariate_normal"]()),
    "low_ranks": lambda: (
        VECTORS["low_rank"](), D.LowRankMultivariateNormal(d64(0.5, 0.0), d64([0.3], [1.0]), d64(1.0, 1.0))),
    "normal": lambda: (D.Normal(d64(0.4), d64(1.0)), D.Normal(d64(0.0), d64(1.5))),
    "normal_gumbel": lambda: (D.Normal(d64(0.4), d64(1.0)), D.Gumbel(d64(0.0), d64(1.5))),
    "normal_laplace": lambda: (D.Normal(d64(0.4), d64(1.0)), D.Laplace(d64(0.0), d64(1.5))),
    "pareto": lambda: (D.Pareto(d64(1.5), d64(3.0)), D.Pareto(d64(1.0), d64(2.0))),
    "pareto_exponential": lambda: (D.Pareto(d64(1.5), d64(5.0)), D.Exponential(d64(0.7))),
    "pareto_gamma": lambda: (D.Pareto(d64(1.5), d64(5.0)), D.Gamma(d64(2.0), d64(0.7))),
    "pareto_normal": lambda: (D.Pareto(d64(1.5), d64(7.0)), D.Normal(d64(2.0), d64(0.7))),
    "poisson": lambda: (D.Poisson(d64(1.5)), D.Poisson(d64(3.0))),
    "uniform": lambda: (D.Uniform(d64(0.1), d64(0.7)), D.Uniform(d64(0.0), d64(2.0))),
    "uniform_beta": lambda: (D.Uniform(d64(0.1), d64(0.7)), D.Beta(d64(2.0), d64(3.0))),
    "uniform_continuous_bernoulli": lambda: (D.Uniform(d64(0.1), d64(0.7)), D.ContinuousBernoulli(d64(0.3))),
    "uniform_exponential": lambda: (D.Uniform(d64(0.1), d64(0.7)), D.Exponential(d64(2.0))),
    "uniform_gamma": lambda: (D.Uniform(d64(0.1), d64(0.7)), D.Gamma(d64(2.0), d64(3.0))),
    "uniform_gumbel": lambda: (D.Uniform(d64(0.1), d64(0.7)), D.Gumbel(d64(2.0), d64(3.0))),
    "uniform_normal": lambda: (D.Uniform(d64(0.1), d64(0.7)), D.Normal(d64(2.0), d64(3.0))),
    "uniform_pareto": lambda: (D.Uniform(d64(1.1), d64(1.7)), D.Pareto(d64(1.0), d64(3.0))),
}  # fmt: skip


@pytest.mark.parametrize("name", PARTNERS)
def test_divergence_is_the_mean_of_the_log_ratio(name):
    torch.manual_seed(13)
    p, q = PARTNERS[name]()
    x = p.sample((DRAWS,))
    ratio = p.log_prob(x) - q.log_prob(x)
    close(ratio.mean(0), kl_divergence(p, q), 5 * ratio.std(0) / DRAWS**0.5 + 1e-6)
    own = kl_divergence(p, p)
    close(own, torch.zeros_like(own), 1e-9)


def test_divergence_is_infinite_where_q_is_not():
    assert kl_divergence(D.Normal(0.0, 1.0), D.Uniform(0.0, 1.0)) == math.inf
    assert kl_divergence(D.Uniform(-1.0, 1.0), D.Exponential(1.0)) == math.inf
    assert kl_divergence(D.Beta(2.0, 2.0), D.Uniform(0.1, 2.0)) == math.inf
    assert kl_divergence(D.Pareto(1.0, 0.9), D.Exponential(1.0)) == math.inf


def test_the_closest_rule_is_taken():
    class Left(D.Normal):
        pass

    class Right(D.Normal):
        pass

    rules = dict(D.kl._KL_REGISTRY)
    try:
        D.register_kl(Left, D.Normal)(lambda p, q: "left")
        assert kl_divergence(Left(0.0, 1.0), D.Normal(0.0, 1.0)) == "left"
        D.register_kl(D.Normal, Right)(lambda p, q: "right")
        with pytest.warns(RuntimeWarning, match=r"Ambiguous kl_divergence\(Left, Right\)"):
            kl_divergence(Left(0.0, 1.0), Right(0.0, 1.0))
    finally:
        D.kl._KL_REGISTRY.clear()
        D.kl._KL_REGISTRY.update(rules)
        D.kl._chosen.clear()
    with pytest.raises(TypeError, match="Distribution subclass"):
        D.register_kl(3, D.Normal)


# -- shapes, copies, checks ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_expanded_copies(name):
    d = ALL[name]()
    e = d.expand((3, *d.batch_shape))
    assert e.batch_shape == (3, *d.batch_shape)
    assert e.event_shape == d.event_shape
    assert type(e) is type(d)
    torch.manual_seed(14)
    x = d.sample()
    close(e.log_prob(x)[0], d.log_prob(x), 1e-12)
    assert e.sample((2,)).shape == (2, 3, *d.batch_shape, *d.event_shape)


@pytest.mark.parametrize("name", ALL)
def test_one_seed_one_sample(name):
    d = ALL[name]()
    torch.manual_seed(15)
    a = d.sample((5,))
    torch.manual_seed(15)
    assert torch.equal(a, d.sample((5,)))


@pytest.mark.parametrize("name", ["normal", "gamma", "multivariate_normal", "gumbel", "mixture"])
def test_pickled_copies(name):
    d = ALL[name]()
    e = pickle.loads(pickle.dumps(d))
    torch.manual_seed(16)
    x = d.sample()
    close(e.log_prob(x), d.log_prob(x), 0)


def test_checks_can_be_left_out():
    assert D.Normal(0.0, 1.0, validate_args=False).log_prob(t(1.0)) < 0
    D.Normal(0.0, -1.0, validate_args=False)
    with pytest.raises(ValueError, match="Expected parameter scale"):
        D.Normal(0.0, -1.0)
    try:
        D.Distribution.set_default_validate_args(False)
        D.Normal(0.0, -1.0)
    finally:
        D.Distribution.set_default_validate_args(True)


def test_values_made_while_sampling_keep_their_gradient():
    logits = t([0.5, -1.0], requires_grad=True)
    d = D.Bernoulli(logits=logits)
    d.sample()  # makes `probs` without recording
    assert d.probs.requires_grad
    d.probs.sum().backward()
    assert logits.grad is not None


def test_the_state_continues_exactly_after_a_sampler():
    """Rejection draws as many words as it needs and no more: two halves equal the whole."""
    for draw in (
        lambda n: torch._standard_gamma(torch.full((n,), 0.4)),
        lambda n: torch.poisson(torch.full((n,), 3.0)),
        lambda n: torch.poisson(torch.full((n,), 300.0)),
        lambda n: torch.binomial(torch.full((n,), 50.0), torch.full((n,), 0.4)),
    ):
        torch.manual_seed(17)
        whole = draw(1000)
        torch.manual_seed(17)
        assert torch.equal(whole, torch.cat([draw(1), draw(400), draw(599)]))


def test_samplers_of_degenerate_parameters():
    assert torch.poisson(torch.zeros(3)).tolist() == [0, 0, 0]
    assert torch.binomial(t([5.0, 5.0, 0.0]), t([0.0, 1.0, 0.5])).tolist() == [0, 5, 0]
    assert torch._standard_gamma(torch.zeros(2)).tolist() == [2.0**-126] * 2
    assert torch._standard_gamma(torch.empty(0)).shape == (0,)
    assert torch._sample_dirichlet(torch.ones(0, 3)).shape == (0, 3)
    assert math.isnan(torch._standard_gamma(t([math.nan])).item())
    assert math.isnan(torch.binomial(t([2.0]), t([math.nan])).item())
    with pytest.raises(RuntimeError, match="expected rate to be non-negative"):
        torch.poisson(t([-1.0]))
