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


@op("random_gamma(Tensor input, Tensor state, bool bounded) -> Tensor", function=False, method=False)
class RandomGamma(_Samples):
    """Gamma samples of rate 1; ``bounded`` keeps them at the type's smallest normal number or above."""

    algorithm = "random_rejection.gamma"


@op("random_poisson(Tensor input, Tensor state) -> Tensor", function=False, method=False)
class RandomPoisson(_Samples):
    """Poisson samples."""

    algorithm = "random_rejection.poisson"


@op("random_binomial(Tensor input, Tensor prob, Tensor state) -> Tensor", function=False, method=False)
class RandomBinomial(_Samples):
    """Binomial samples of ``input`` trials; both tensors have one shape."""

    algorithm = "random_rejection.binomial"


@op("random_gamma_slope(Tensor input, Tensor sample) -> Tensor", function=False, method=False)
class RandomGammaSlope(_Samples):
    """How a gamma sample moves with its shape parameter."""

    algorithm = "random_gradients.gamma"


@op("random_beta_slope(Tensor input, Tensor alpha, Tensor total) -> Tensor", function=False, method=False)
class RandomBetaSlope(_Samples):
    """How a beta sample (``input``) moves with its first parameter, over one less the sample."""

    algorithm = "random_gradients.beta"


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
        return ops.random_gamma(input, STATE[0](generator), True)

    def d_input(g, input, result):
        return g * ops._standard_gamma_grad(input, result)


@op("_standard_gamma_grad(Tensor input, Tensor output) -> Tensor", method=False)
class StandardGammaGrad(Composite):
    """Derivative of gamma samples ``output`` by their shape parameters ``input``."""

    def body(input, output):
        require(not input.requires_grad and not output.requires_grad,
                "the derivative for '_standard_gamma_grad' is not implemented.", NotImplementedError)  # fmt: skip
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
        wide = ops.random_gamma(ops.to_copy(input, dtype=types.float64), STATE[0](generator), False)
        share = wide / ops.sum(wide, -1, True)
        low, high = (2.0**-126, 1 - 2.0**-24) if input.dtype is types.float32 else (2.0**-1022, 1 - 2.0**-53)
        return ops.to_copy(ops.clamp(share, low, high), dtype=input.dtype)

    def d_input(g, input, result):
        total = ops.expand(ops.sum(input, -1, True), input.shape)
        return ops._dirichlet_grad(result, input, total) * (g - ops.sum(result * g, -1, True))


@op("_dirichlet_grad(Tensor x, Tensor alpha, Tensor total) -> Tensor", method=False)
class DirichletGrad(Composite):
    """Derivative of beta samples ``x`` by ``alpha`` over ``1 - x``; ``total`` is the sum of both parameters."""

    def body(x, alpha, total):
        require(not (x.requires_grad or alpha.requires_grad or total.requires_grad),
                "the derivative for '_dirichlet_grad' is not implemented.", NotImplementedError)  # fmt: skip
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

    def d_input(g):
        return ops.zeros_like(g)


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
