"""The softmax family."""

from __future__ import annotations

from ..base.errors import check_dim
from ..ir.expr import exp
from .define import op, ops
from .kinds import Composite, Opaque


@op("softmax_along(Tensor input, int dim, bool logarithm) -> Tensor", function=False, method=False)
class SoftmaxAlong(Opaque):
    """Softmax (or its logarithm) along a non-negative dimension of a float tensor."""

    algorithm = "rows.softmax"

    def shape(input):
        return input.shape

    def d_input(g, result, dim, logarithm):
        return ops.softmax_along_backward(g, result, dim, logarithm)


@op(
    "softmax_along_backward(Tensor grad, Tensor output, int dim, bool logarithm) -> Tensor",
    function=False,
    method=False,
)
class SoftmaxAlongBackward(Opaque):
    """Gradient of the softmax from its result ``y``: ``y (g - sum(g y))``, of its logarithm ``g - exp(y) sum(g)``."""

    algorithm = "rows.softmax_backward"

    def shape(grad):
        return grad.shape

    def d_grad(g, output, dim, logarithm):
        if logarithm:
            return g - ops.sum(g * exp(output), dim, True)
        return output * (g - ops.sum(g * output, dim, True))

    def d_output(g, grad, output, dim, logarithm):
        if logarithm:
            return -(g * exp(output) * ops.sum(grad, dim, True))
        return g * (grad - ops.sum(grad * output, dim, True)) - grad * ops.sum(g * output, dim, True)


def softmax_of(input, dim, dtype, logarithm: bool, name: str):
    if dtype is not None:
        input = input.to(dtype)
    kind = input._layout.dtype
    if kind.kind < 2:
        raise NotImplementedError(
            f"\"{name}_lastdim_kernel_impl\" not implemented for '{_NAMES.get(kind.name, kind.name)}'"
        )
    if kind.kind == 3:
        shifted = exp(input)
        found = shifted / ops.sum(shifted, dim, True)
        return ops.log(found) if logarithm else found
    return ops.softmax_along(input, check_dim(dim, input._layout.ndim), logarithm)


_NAMES = {"int64": "Long", "int32": "Int", "int16": "Short", "int8": "Char", "uint8": "Byte", "bool": "Bool"}


def implicit_dim(ndim: int) -> int:
    """The dimension that the functional form takes when none is named (with PyTorch's deprecation)."""
    return 0 if ndim in (0, 1, 3) else 1


@op(
    "softmax(Tensor input, int dim, ScalarType? dtype=None, *, Tensor? out=None) -> Tensor",
    also="special.softmax",
)
class Softmax(Composite):
    """``exp(x) / sum(exp(x))`` along ``dim``."""

    def body(input, dim, dtype):
        return softmax_of(input, dim, dtype, False, "softmax")


@op(
    "log_softmax(Tensor input, int dim, ScalarType? dtype=None, *, Tensor? out=None) -> Tensor",
    also="special.log_softmax",
)
class LogSoftmax(Composite):
    """Logarithm of the softmax along ``dim``, without its overflow and loss."""

    def body(input, dim, dtype):
        return softmax_of(input, dim, dtype, True, "log_softmax")


@op("nn.functional.softmax(Tensor input, int? dim=None, int _stacklevel=3, ScalarType? dtype=None) -> Tensor")
class FunctionalSoftmax(Composite):
    """``exp(x) / sum(exp(x))`` along ``dim``."""

    def body(input, dim, _stacklevel, dtype):
        return softmax_of(input, implicit_dim(input.dim()) if dim is None else dim, dtype, False, "softmax")


@op(
    "nn.functional.log_softmax(Tensor input, int? dim=None, int _stacklevel=3, ScalarType? dtype=None) -> Tensor"
)
class FunctionalLogSoftmax(Composite):
    """Logarithm of the softmax along ``dim``."""

    def body(input, dim, _stacklevel, dtype):
        return softmax_of(
            input, implicit_dim(input.dim()) if dim is None else dim, dtype, True, "log_softmax"
        )


@op("nn.functional.softmin(Tensor input, int? dim=None, int _stacklevel=3, ScalarType? dtype=None) -> Tensor")
class Softmin(Composite):
    """Softmax of ``-input``."""

    def body(input, dim, _stacklevel, dtype):
        return softmax_of(-input, implicit_dim(input.dim()) if dim is None else dim, dtype, False, "softmax")


@op(
    "nn.functional.gumbel_softmax(Tensor logits, float tau=1, bool hard=False, float eps=1e-10, int dim=-1) -> Tensor"
)
class GumbelSoftmax(Composite):
    """A sample of the Gumbel-softmax distribution; ``hard`` gives one-hot rows with the soft gradient (Jang et al. 2016)."""

    def body(logits, tau, hard, eps, dim):
        noise = -ops.log(ops.empty_like(logits, memory_format="contiguous_format").exponential_())
        soft = ops.softmax((logits + noise) / tau, dim)
        if not hard:
            return soft
        index = ops.argmax(soft, dim, True)
        one = ops.zeros_like(logits).scatter_(dim, index, 1.0)
        return one - soft.detach() + soft
