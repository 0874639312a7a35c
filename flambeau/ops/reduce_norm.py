"""Vector norms, distances, and what rests on them."""

from __future__ import annotations

from math import inf

from ..base.dtype import dtype as DType
from ..base.dtype import promote_types, type_name
from ..base.errors import check_dim, require
from ..ir.expr import conj, constant, isnan, maximum, minimum, pow, real, sqrt, where
from .define import op, ops, public
from .kinds import Composite, Reduction
from .reduce import kept_open, named_dims

_DIM = "int[1]? dim=None, bool keepdim=False, *, ScalarType? dtype=None"


def real_norm(common: DType):
    return common, common.to_real()


def magnitude(x):
    """Absolute value of a symbol or tensor."""
    return abs(x)


@op(f"power_norm(Tensor input, Scalar ord, str kind, {_DIM}) -> Tensor", function=False, method=False)
class PowerNorm(Reduction):
    """``sum(|x|**ord) ** (1 / ord)``; `kind` says which orders need no powers: zero, one, two, other."""

    accumulate, identity = real_norm, 0

    def map(input, ord, kind):
        if kind == "zero":
            return where(input != 0, constant(1.0, input.type), constant(0.0, input.type))
        if kind == "one":
            return magnitude(input)
        return real(input * conj(input)) if kind == "two" else pow(magnitude(input), real(ord))

    def combine(a, b):
        return a + b

    def finish(total, count, ord, kind):
        if kind in ("zero", "one"):
            return total
        return sqrt(total) if kind == "two" else pow(total, 1.0 / real(ord))

    def d_input(g, input, result, ord, kind, dim, keepdim):
        g, norm = (kept_open(t, input.ndim, dim, keepdim) for t in (g, result))
        return norm_gradient(g, input, norm, ord, kind)


def norm_gradient(g, x, norm, ord, kind):
    """Gradient of a norm of finite order; zero where the norm is, as its subgradient."""
    if kind == "zero":
        return ops.zeros_like(x)
    if kind == "one":
        return ops.sgn(x) * g
    if kind == "two":
        return g * where(norm == 0, 0, x / norm)
    if ord < 1:
        return ops.sgn(x) * where(x == 0, 0, abs(x) ** (ord - 1)) * g * norm ** (1 - ord)
    scale = where(norm == 0, 0, g / norm ** (ord - 1))
    scaled = ops.sgn(x) * abs(x) ** (ord - 1) if ord < 2 else x * abs(x) ** (ord - 2)
    return scaled * scale


def extreme_gradient(g, input, result, dim, keepdim):
    """Gradient of the largest or smallest magnitude, in equal parts to the elements that have it."""
    g, norm = (kept_open(t, input.ndim, dim, keepdim) for t in (g, result))
    size = abs(input)
    mask = ops.logical_or(size == norm, ops.logical_and(isnan(size), isnan(norm)))
    count = ops.sum(mask, named_dims(input.ndim, dim), True)
    return where(mask, ops.sgn(input) / count, 0) * g


@op(f"largest_norm(Tensor input, {_DIM}) -> Tensor", function=False, method=False)
class LargestNorm(Reduction):
    """Largest magnitude; NaN wins."""

    accumulate, identity = real_norm, 0

    def map(input):
        return magnitude(input)

    def combine(a, b):
        return maximum(b, a)  # the NaN test on the new element stays off the chain of dependent steps

    def d_input(g, input, result, dim, keepdim):
        return extreme_gradient(g, input, result, dim, keepdim)


@op(f"smallest_norm(Tensor input, {_DIM}) -> Tensor", function=False, method=False)
class SmallestNorm(Reduction):
    """Smallest magnitude; NaN wins."""

    accumulate, identity = real_norm, inf

    def map(input):
        return magnitude(input)

    def combine(a, b):
        return minimum(b, a)

    def d_input(g, input, result, dim, keepdim):
        return extreme_gradient(g, input, result, dim, keepdim)


def check_norm(input, ord, dim, dtype) -> None:
    """PyTorch's demands on the arguments of a vector norm."""
    name = "linalg.vector_norm"
    kind = input.dtype
    if not isinstance(ord, (int, float, complex)):
        raise TypeError(
            f"linalg_vector_norm(): argument 'ord' (position 2) must be Number, not {type(ord).__name__}"
        )
    require(not isinstance(ord, complex), f"{name}: Expected a non-complex scalar as the order of norm.")
    require(
        kind.kind >= 2, f"{name}: Expected a floating point or complex tensor as input. Got {type_name(kind)}"
    )
    if dtype is not None:
        asked = type_name(dtype)
        require(dtype.kind >= 2, f"{name}: dtype should be floating point or complex, but got {asked}")
        if (kind.kind == 3) != (dtype.kind == 3):
            have, what = ("complex", "complex") if kind.kind == 3 else ("real", "floating point")
            raise RuntimeError(
                f"{name}: dtype should be {what if kind.kind == 3 else have} for {have} inputs, but got {asked}"
            )
        require(
            promote_types(kind, dtype) is dtype,
            f"{name}: the dtype of the input ({type_name(kind)}) should be convertible without narrowing to the "
            f"specified dtype ({asked})",
        )
    if (ord < 0 or ord == inf) and input.numel() == 0:
        order = f"{ord:g}"
        require(
            dim is not None and dim != () and dim != [],
            f"{name} cannot compute the {order} norm on an empty tensor because the operation does not have an identity",
        )
        for d in (dim,) if isinstance(dim, int) else dim:
            require(
                input.shape[check_dim(d, input.ndim)] != 0,
                f"{name} cannot compute the {order} norm on the dimension {d}because this dimension is empty and the "
                "operation does not have an identity",
            )


def vector_norm(input, ord, dim, keepdim, dtype):
    """The norm of order `ord`, by the reduction that suits it."""
    if hasattr(ord, "item"):
        ord = ord.item()
    check_norm(input, ord, dim, dtype)
    if abs(ord) == inf:
        return (ops.largest_norm if ord > 0 else ops.smallest_norm)(input, dim, keepdim, dtype=dtype)
    kind = {0: "zero", 1: "one", 2: "two"}.get(ord, "other")
    return ops.power_norm(input, float(ord), kind, dim, keepdim, dtype=dtype)


@op(
    "linalg.vector_norm(Tensor input, any ord=2, int[1]? dim=None, bool keepdim=False, *, ScalarType? dtype=None, "
    "Tensor? out=None) -> Tensor"
)
class VectorNorm(Composite):
    """Norm of order ``ord`` of all elements or along ``dim``: ``sum(|x|**ord) ** (1 / ord)``.

    ``ord`` may be inf (largest magnitude), -inf (smallest) or 0 (elements that are not zero).
    """

    def body(input, ord, dim, keepdim, dtype):
        return vector_norm(input, ord, dim, keepdim, dtype)


@op(
    "norm(Tensor input, any p='fro', int[1]? dim=None, bool keepdim=False, Tensor? out=None, ScalarType? dtype=None) "
    "-> Tensor"
)
class Norm(Composite):
    """Vector norm of order ``p``; "fro" is the square root of the sum of squares, "nuc" the sum of singular
    values.
    """

    def body(input, p, dim, keepdim, dtype):
        if isinstance(p, str) and p != "fro":
            require(p == "nuc", f"linalg.matrix_norm: Order {p} not supported.")
            return public("linalg", "matrix_norm")(
                input, "nuc", (-2, -1) if dim is None else dim, keepdim, dtype=dtype
            )
        if p == "fro" and isinstance(dim, (tuple, list)) and len(dim) > 2:
            raise RuntimeError(f"linalg.matrix_norm: dim must be a 2-tuple. Got {' '.join(map(str, dim))}")
        return vector_norm(input, 2 if p is None or p == "fro" else p, dim, keepdim, dtype)


@op("dist(Tensor input, Tensor other, Scalar p=2) -> Tensor")
class Dist(Composite):
    """Norm of order ``p`` of ``input - other``."""

    def body(input, other, p):
        apart = input - other
        kind = apart.dtype
        require(
            kind.kind >= 2,
            f"norm(): input dtype should be either floating point or complex. Got {type_name(kind)} instead.",
        )
        return vector_norm(apart, p, None, False, None)


@op("renorm(Tensor input, Scalar p, int dim, Scalar maxnorm, *, Tensor? out=None) -> Tensor", inplace=True)
class Renorm(Composite):
    """Each slice along ``dim`` scaled down to a norm of at most ``maxnorm``."""

    def body(input, p, dim, maxnorm):
        require(not isinstance(p, complex), "renorm: p must be real-valued")
        require(p > 0, "renorm: non-positive-norm not supported")
        require(not isinstance(maxnorm, complex), "renorm: maxnorm must be real-valued")
        require(maxnorm >= 0, f"renorm: expected maxnorm to be >= 0 but got {maxnorm:g}")
        ndim = input.ndim
        require(ndim > 1, f"renorm: input needs at least 2 dimensions, got {ndim} dimensions")
        at = check_dim(dim, ndim)
        norm = vector_norm(input, p, [d for d in range(ndim) if d != at], True, None)
        return input * where(norm > maxnorm, maxnorm / (norm + 1e-7), 1.0).to(input.dtype)
