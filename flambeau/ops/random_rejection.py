"""Gamma, Dirichlet, Poisson and binomial samples, and how gamma and Dirichlet samples move with their parameters."""

from __future__ import annotations

from ..base import dtype as types
from ..base.errors import require
from ..base.layout import contiguous_layout
from .define import op, ops
from .kinds import Composite, Opaque
from .pointwise_types import not_implemented
from .random import STATE


class _Samples(Opaque):
    """Samples with the shape of ``input``, from the stream whose state is given."""

    def layouts(input):
        return contiguous_layout(input.shape, input.dtype, input.device)


@op("random_gamma(Tensor input, Tensor state) -> Tensor", function=False, method=False)
class RandomGamma(_Samples):
    """Gamma samples of rate 1, at the type's smallest normal number or above."""

    algorithm = "random_rejection.gamma"

    def d_input(g, input, result):
        return g * ops._standard_gamma_grad(input, result)


@op("random_dirichlet(Tensor input, Tensor state) -> Tensor", function=False, method=False)
class RandomDirichlet(_Samples):
    """Gamma samples over their sum along the last dimension."""

    algorithm = "random_rejection.dirichlet"

    def d_input(g, input, result):
        total = ops.expand(ops.sum(input, -1, True), input.shape)
        return ops._dirichlet_grad(result, input, total) * (g - ops.sum(result * g, -1, True))


@op("random_poisson(Tensor input, Tensor state) -> Tensor", function=False, method=False)
class RandomPoisson(_Samples):
    """Poisson samples; a step function of the rate."""

    algorithm = "random_rejection.poisson"

    def d_input(g):
        return ops.zeros_like(g)


@op("random_binomial(Tensor input, Tensor prob, Tensor state) -> Tensor", function=False, method=False)
class RandomBinomial(_Samples):
    """Binomial samples of ``input`` trials; both tensors have one shape."""

    algorithm = "random_rejection.binomial"


def not_derived(name: str) -> RuntimeError:
    return RuntimeError(f"derivative for aten::{name} is not implemented")


@op("random_gamma_slope(Tensor input, Tensor sample) -> Tensor", function=False, method=False)
class RandomGammaSlope(_Samples):
    """How a gamma sample moves with its shape parameter."""

    algorithm = "random_gradients.gamma"

    def d_all(g):
        raise not_derived("_standard_gamma_grad")


@op("random_beta_slope(Tensor input, Tensor alpha, Tensor total) -> Tensor", function=False, method=False)
class RandomBetaSlope(_Samples):
    """How a beta sample (``input``) moves with its first parameter, over one less the sample."""

    algorithm = "random_gradients.beta"

    def d_all(g):
        raise not_derived("_dirichlet_grad")


def need_wide(kernel: str, dtype) -> None:
    if dtype not in (types.float32, types.float64):
        raise not_implemented(kernel, dtype)


@op("_standard_gamma(Tensor input, any generator=None) -> Tensor", method=False)
class StandardGamma(Composite):
    """Gamma samples of rate 1 whose shape parameters are ``input``; the samples are differentiable.

    Source: Marsaglia and Tsang 2000, A simple method for generating gamma variables.
    """

    def samples(make):
        return []

    def body(input, generator):
        need_wide("gamma_cpu", input.dtype)
        if input.device.type == "meta":
            return ops.empty_like(input)
        return ops.random_gamma(input, STATE[0](generator))


@op("_standard_gamma_grad(Tensor input, Tensor output) -> Tensor", method=False)
class StandardGammaGrad(Composite):
    """Derivative of gamma samples ``output`` by their shape parameters ``input``."""

    def body(input, output):
        input, output = ops.broadcast_tensors((input, output))
        return ops.random_gamma_slope(input, output)


@op("_sample_dirichlet(Tensor input, any generator=None) -> Tensor", method=False)
class SampleDirichlet(Composite):
    """Dirichlet samples along the last dimension with concentrations ``input``; the samples are differentiable."""

    def samples(make):
        return []

    def body(input, generator):
        need_wide("dirichlet", input.dtype)
        if input.device.type == "meta":
            return ops.empty_like(input)
        return ops.random_dirichlet(input, STATE[0](generator))


@op("_dirichlet_grad(Tensor x, Tensor alpha, Tensor total) -> Tensor", method=False)
class DirichletGrad(Composite):
    """Derivative of beta samples ``x`` by ``alpha`` over ``1 - x``; ``total`` is the sum of both parameters."""

    def body(x, alpha, total):
        x, alpha, total = ops.broadcast_tensors((x, alpha, total))
        return ops.random_beta_slope(x, alpha, total)


@op("poisson(Tensor input, any generator=None) -> Tensor", method=False)
class Poisson(Composite):
    """Poisson samples whose rates are ``input``.

    Source: Hörmann 1993, The transformed rejection method for generating Poisson random variables.
    """

    def samples(make):
        return []

    def body(input, generator):
        if input.dtype.kind != 2:
            raise not_implemented("poisson_cpu", input.dtype)
        if input.device.type == "meta":
            return ops.empty_like(input)
        require(bool((input >= 0).all()), "invalid Poisson rate, expected rate to be non-negative")
        return ops.random_poisson(input, STATE[0](generator))


@op("binomial(Tensor count, Tensor prob, any generator=None) -> Tensor", method=False)
class Binomial(Composite):
    """Binomial samples: successes among ``count`` trials of probability ``prob``.

    Source: Hörmann 1993, The generation of binomial random variates.
    """

    def samples(make):
        return []

    def body(count, prob, generator):
        for name, given in (("count", count), ("prob", prob)):
            require(given.dtype.kind == 2, f"binomial only supports floating-point dtypes for {name}, got: "
                    f"{types.type_name(given.dtype)}", ValueError)  # fmt: skip
        need_wide("binomial_cpu", count.dtype)
        require(count.dtype is prob.dtype, f"Found dtype {types.type_name(prob.dtype)} but expected "
                f"{types.type_name(count.dtype)}")  # fmt: skip
        count, prob = ops.broadcast_tensors((count.detach(), prob.detach()))
        if count.device.type == "meta":
            return ops.empty_like(count)
        return ops.random_binomial(count, prob, STATE[0](generator))
