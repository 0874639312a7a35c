"""Orthogonal polynomials, by their recurrences in the degree."""

from __future__ import annotations

from ..base import dtype as types
from ..base.errors import require
from ..base.layout import broadcast_shapes, contiguous_layout
from .define import op, ops
from .kinds import Composite, Opaque
from .out_rules import castable


@op("polynomial_raw(Tensor input, Tensor n, str family) -> Tensor", function=False, method=False)
class PolynomialRaw(Opaque):
    """The polynomial of degree ``n`` of a family at each element; both tensors of one shape, float64."""

    algorithm = "polynomials.evaluate"

    def layouts(input):
        return contiguous_layout(input.shape, input.dtype, input.device)


def evaluate(family: str, x, n):
    """A family's polynomial of degree n at x; numbers and tensors broadcast."""
    tensors = [t for t in (x, n) if not isinstance(t, (bool, int, float, complex))]
    name = f"{family}()"
    require(len(tensors) > 0, f"{name} received an invalid combination of arguments", TypeError)
    common = ops.mul(x, n).dtype if len(tensors) == 2 else ops.mul(tensors[0], 1.0).dtype
    require(
        common.kind < 3,
        f"\"{family}_cpu\" not implemented for '{types.type_name(common)}'",
        NotImplementedError,
    )
    goal = common if common.kind == 2 else types.default_float()
    shape = broadcast_shapes(*[t.shape for t in tensors])
    place = tensors[0].device
    ready = []
    for t in (x, n):
        if isinstance(t, (bool, int, float)):
            t = ops.full(shape, float(t), dtype=types.float64, device=place)
        ready.append(ops.expand(ops.to_copy(t, dtype=types.float64), shape))
    return ops.to_copy(ops.polynomial_raw(*ready, family), dtype=goal)


@op("special.chebyshev_polynomial_t(Operand x, Operand n, *, Tensor? out=None) -> Tensor")
class ChebyshevPolynomialT(Composite):
    """Chebyshev polynomial of the first kind of degree ``n``; 0 for a negative degree."""

    check_out = castable

    def body(x, n):
        return evaluate("chebyshev_polynomial_t", x, n)


@op("special.chebyshev_polynomial_u(Operand x, Operand n, *, Tensor? out=None) -> Tensor")
class ChebyshevPolynomialU(Composite):
    """Chebyshev polynomial of the second kind of degree ``n``; 0 for a negative degree."""

    check_out = castable

    def body(x, n):
        return evaluate("chebyshev_polynomial_u", x, n)


@op("special.chebyshev_polynomial_v(Operand x, Operand n, *, Tensor? out=None) -> Tensor")
class ChebyshevPolynomialV(Composite):
    """Chebyshev polynomial of the third kind of degree ``n``; 0 for a negative degree."""

    check_out = castable

    def body(x, n):
        return evaluate("chebyshev_polynomial_v", x, n)


@op("special.chebyshev_polynomial_w(Operand x, Operand n, *, Tensor? out=None) -> Tensor")
class ChebyshevPolynomialW(Composite):
    """Chebyshev polynomial of the fourth kind of degree ``n``; 0 for a negative degree."""

    check_out = castable

    def body(x, n):
        return evaluate("chebyshev_polynomial_w", x, n)


@op("special.shifted_chebyshev_polynomial_t(Operand x, Operand n, *, Tensor? out=None) -> Tensor")
class ShiftedChebyshevPolynomialT(Composite):
    """Chebyshev polynomial of the first kind of ``2 x - 1`` of degree ``n``; 0 for a negative degree."""

    check_out = castable

    def body(x, n):
        return evaluate("shifted_chebyshev_polynomial_t", x, n)


@op("special.shifted_chebyshev_polynomial_u(Operand x, Operand n, *, Tensor? out=None) -> Tensor")
class ShiftedChebyshevPolynomialU(Composite):
    """Chebyshev polynomial of the second kind of ``2 x - 1`` of degree ``n``; 0 for a negative degree."""

    check_out = castable

    def body(x, n):
        return evaluate("shifted_chebyshev_polynomial_u", x, n)


@op("special.shifted_chebyshev_polynomial_v(Operand x, Operand n, *, Tensor? out=None) -> Tensor")
class ShiftedChebyshevPolynomialV(Composite):
    """Chebyshev polynomial of the third kind of ``2 x - 1`` of degree ``n``; 0 for a negative degree."""

    check_out = castable

    def body(x, n):
        return evaluate("shifted_chebyshev_polynomial_v", x, n)


@op("special.shifted_chebyshev_polynomial_w(Operand x, Operand n, *, Tensor? out=None) -> Tensor")
class ShiftedChebyshevPolynomialW(Composite):
    """Chebyshev polynomial of the fourth kind of ``2 x - 1`` of degree ``n``; 0 for a negative degree."""

    check_out = castable

    def body(x, n):
        return evaluate("shifted_chebyshev_polynomial_w", x, n)


@op("special.hermite_polynomial_h(Operand x, Operand n, *, Tensor? out=None) -> Tensor")
class HermitePolynomialH(Composite):
    """Physicist's Hermite polynomial of degree ``n``; 0 for a negative degree."""

    check_out = castable

    def body(x, n):
        return evaluate("hermite_polynomial_h", x, n)


@op("special.hermite_polynomial_he(Operand x, Operand n, *, Tensor? out=None) -> Tensor")
class HermitePolynomialHe(Composite):
    """Probabilist's Hermite polynomial of degree ``n``; 0 for a negative degree."""

    check_out = castable

    def body(x, n):
        return evaluate("hermite_polynomial_he", x, n)


@op("special.laguerre_polynomial_l(Operand x, Operand n, *, Tensor? out=None) -> Tensor")
class LaguerrePolynomialL(Composite):
    """Laguerre polynomial of degree ``n``; 0 for a negative degree."""

    check_out = castable

    def body(x, n):
        return evaluate("laguerre_polynomial_l", x, n)


@op("special.legendre_polynomial_p(Operand x, Operand n, *, Tensor? out=None) -> Tensor")
class LegendrePolynomialP(Composite):
    """Legendre polynomial of degree ``n``; 0 for a negative degree."""

    check_out = castable

    def body(x, n):
        return evaluate("legendre_polynomial_p", x, n)
