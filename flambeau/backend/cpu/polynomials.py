"""Special functions that need a loop per element: orthogonal polynomials and incomplete gamma functions."""

from __future__ import annotations

from .kernels_memory import WORD
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
        if SHIFTED:
            x = x * 2.0 - 1.0
        n = f64(i64(degrees[i]))
        before = f64(0.0)
        now = f64(1.0)
        if n < 0.0:
            now = f64(0.0)
        if n >= 1.0:
            before = f64(1.0)
            now = A * x + B
        k = f64(1.0)
        while k + 1.0 <= n and now == now:
            following = now
            if FAMILY == LAGUERRE:
                following = ((2.0 * k + 1.0 - x) * now - k * before) / (k + 1.0)
            elif FAMILY == LEGENDRE:
                following = ((2.0 * k + 1.0) * x * now - k * before) / (k + 1.0)
            elif FAMILY == HERMITE:
                following = 2.0 * (x * now - k * before)
            elif FAMILY == HERMITE_E:
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


# -- incomplete gamma functions --------------------------------------------------------------------------------------

ITERATIONS = 4000


@native
def gamma_series(a: f64, x: f64) -> f64:
    """Lower function over its factor, for x < a + 1: the sum of x**k / (a (a + 1) ... (a + k))."""
    term = 1.0 / a
    total = term
    k = f64(0.0)
    while k < f64(ITERATIONS) and term > total * 1e-17:
        k += 1.0
        term = term * x / (a + k)
        total = total + term
    return total


@native
def gamma_fraction(a: f64, x: f64) -> f64:
    """Upper function over its factor, for x >= a + 1: Legendre's continued fraction by Lentz's method."""
    b = x + 1.0 - a
    c = f64(1e300)
    d = 1.0 / b
    total = d
    k = f64(0.0)
    change = f64(2.0)
    while k < f64(ITERATIONS) and (change > 1.0 + 1e-16 or change < 1.0 - 1e-16):
        k += 1.0
        step = k * (a - k)
        b = b + 2.0
        d = step * d + b
        c = b + step / c
        d = 1.0 / d
        change = c * d
        total = total * change
    return total


@native
def incomplete_gamma_kernel(frame: WORD, params: WORD, begin: i64, end: i64):
    """Parameters: output, a, x, factor x**a exp(-x) / gamma(a)."""
    out = bitcast(frame[params[0]], ptr(f64))
    shapes = bitcast(frame[params[1]], ptr(f64))
    points = bitcast(frame[params[2]], ptr(f64))
    factors = bitcast(frame[params[3]], ptr(f64))
    huge = f64(1.7976931348623157e308)
    for i in range(begin, end):
        a = shapes[i]
        x = points[i]
        lower = f64(0.0)
        upper = f64(1.0)
        if not (a >= 0.0 and x >= 0.0) or (a == 0.0 and x == 0.0) or (a > huge and x > huge):
            lower = (x - x) / (x - x)
            upper = lower
        elif a == 0.0 or x > huge:
            lower = f64(1.0)
            upper = f64(0.0)
        elif x == 0.0 or a > huge:
            lower = f64(0.0)
        elif x < a + 1.0:
            lower = factors[i] * gamma_series(a, x)
            upper = 1.0 - lower
        else:
            upper = factors[i] * gamma_fraction(a, x)
            lower = 1.0 - upper
        out[i] = upper if UPPER else lower


def incomplete_gamma(call) -> None:
    parameters = [call.out(0), *(call.contiguous(k) for k in range(3))]
    statics = {"UPPER": int(call.values["upper"])}
    call.native(incomplete_gamma_kernel, statics, parameters, call.outputs[0].numel, 256)
