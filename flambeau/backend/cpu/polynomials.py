"""Orthogonal polynomials: a three-term recurrence in the degree, per element."""

from __future__ import annotations

from .kernels_runtime import WORD
from .native import bitcast, native
from .types import f64, i64, ptr

#: families whose recurrence is Chebyshev's, by the factor and offset of degree 1: p1 = A x + B
CHEBYSHEV = {"t": (1.0, 0.0), "u": (2.0, 0.0), "v": (2.0, -1.0), "w": (2.0, 1.0)}
LAGUERRE, LEGENDRE, HERMITE, HERMITE_E, FIRST_OF_CHEBYSHEV = 0, 1, 2, 3, 4


@native
def polynomial_kernel(frame: WORD, params: WORD, begin: i64, end: i64):
    """Parameters: output, x, degree. FAMILY picks the recurrence, A x + B is the polynomial of degree 1."""
    out = bitcast(frame[params[0]], ptr(f64))
    points = bitcast(frame[params[1]], ptr(f64))
    degrees = bitcast(frame[params[2]], ptr(f64))
    for i in range(begin, end):
        x = points[i]
        if SHIFTED:  # noqa: F821
            x = x * 2.0 - 1.0
        n = f64(i64(degrees[i]))
        before = f64(0.0)
        now = f64(1.0)
        if n < 0.0:
            now = f64(0.0)
        if n >= 1.0:
            before = f64(1.0)
            now = A * x + B  # noqa: F821
        k = f64(1.0)
        while k + 1.0 <= n and now == now:
            following = now
            if FAMILY == LAGUERRE:  # noqa: F821
                following = ((2.0 * k + 1.0 - x) * now - k * before) / (k + 1.0)
            elif FAMILY == LEGENDRE:  # noqa: F821
                following = ((2.0 * k + 1.0) * x * now - k * before) / (k + 1.0)
            elif FAMILY == HERMITE:  # noqa: F821
                following = 2.0 * (x * now - k * before)
            elif FAMILY == HERMITE_E:  # noqa: F821
                following = x * now - k * before
            else:
                following = 2.0 * x * now - before
            before = now
            now = following
            k += 1.0
        out[i] = now


def evaluate(call) -> None:
    family = call.values["family"]
    shifted = family.startswith("shifted_")
    family = family.removeprefix("shifted_")
    kind, a, b = {
        "laguerre_polynomial_l": (LAGUERRE, -1.0, 1.0), "legendre_polynomial_p": (LEGENDRE, 1.0, 0.0),
        "hermite_polynomial_h": (HERMITE, 2.0, 0.0), "hermite_polynomial_he": (HERMITE_E, 1.0, 0.0),
    }.get(family) or (FIRST_OF_CHEBYSHEV, *CHEBYSHEV[family[-1]])  # fmt: skip
    statics = {"FAMILY": kind, "A": a, "B": b, "SHIFTED": int(shifted)}
    parameters = [call.out(0), call.contiguous(0), call.contiguous(1)]
    call.native(polynomial_kernel, statics, parameters, call.outputs[0].numel, 512)
