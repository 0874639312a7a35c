"""How samples move with the parameters of their distribution: ``dx/da = -(dF/da) / (dF/dx)`` of a distribution function F.

Source: Figurnov, Mohamed and Mnih 2018, Implicit Reparameterization Gradients. F and its derivative come from one series
or continued fraction (Moore 1982, AS 187, for the gamma distribution; Boik and Robison-Cox 1998 for the beta
distribution), whose common factor is the density itself, so that it cancels.
"""

from __future__ import annotations

from ...base.layout import contiguous_strides
from ...ir.expr import digamma
from .native import bitcast, fabs, native, sqrt
from .random_rejection import LOG, WORD, _function
from .types import f64, i64, ptr

#: beyond this shape a gamma sample is its Cornish-Fisher expansion to 1e-9
LARGE = 1e5
STEPS = 20000.0
DIGAMMA = _function(digamma)
_STATICS = {"LOG": LOG, "DIGAMMA": DIGAMMA}


@native
def gamma_lower(a: f64, x: f64, near: f64) -> f64:
    """x < a + 1: S = sum of x**n / ((a + 1) ... (a + n)) gives F = x f S / a."""
    term = f64(1.0)
    rest = f64(0.0)  # sum of 1 / (a + k)
    total = f64(1.0)
    slope = f64(0.0)
    k = f64(0.0)
    while k < STEPS and (term > total * near or term * rest > -slope * near):
        k += 1.0
        part = 1.0 / (a + k)
        term = term * x * part
        rest = rest + part
        total = total + term
        slope = slope - term * rest
    return -(x / a) * (total * (LOG((x,))[0] - DIGAMMA((a + 1.0,))[0]) + slope)


@native
def gamma_upper(a: f64, x: f64, near: f64) -> f64:
    """x >= a + 1: Legendre's continued fraction h gives 1 - F = x f h."""
    b = x + 1.0 - a
    d = 1.0 / b
    d_slope = d * d
    c = f64(1e300)
    c_slope = f64(0.0)
    total = d
    slope = d * d
    k = f64(0.0)
    change = f64(2.0)
    turn = f64(1.0)
    while k < STEPS and (fabs(change - 1.0) > near or fabs(turn) > near):
        k += 1.0
        step = k * (a - k)
        b = b + 2.0
        below = step * d + b
        below_slope = k * d + step * d_slope - 1.0
        over = 1.0 / c
        c_slope = (k - step * c_slope * over) * over - 1.0
        c = b + step * over
        d = 1.0 / below
        d_slope = -below_slope * d * d
        change = c * d
        turn = c_slope * d + c * d_slope
        slope = slope * change + total * turn
        total = total * change
    return x * (total * (LOG((x,))[0] - DIGAMMA((a,))[0]) + slope)


@native
def gamma_expanded(a: f64, x: f64) -> f64:
    """x = a + z sqrt(a) + (z**2 - 1) / 3 + (z**3 - 7 z) / (36 sqrt(a)), at a fixed normal quantile z."""
    width = sqrt(a)
    z = (x - a) / width
    for _ in range(4):
        z = ((x - a) - (z * z - 1.0) / 3.0 - (z * z * z - 7.0 * z) / (36.0 * width)) / width
    return 1.0 + z / (2.0 * width) - (z * z * z - 7.0 * z) / (72.0 * a * width)


@native
def gamma_kernel(frame: WORD, params: WORD, begin: i64, end: i64):
    out = bitcast(frame[params[0]], ptr(f64))
    shapes = bitcast(frame[params[1]], ptr(f64))
    samples = bitcast(frame[params[2]], ptr(f64))
    for i in range(begin, end):
        a = shapes[i]
        x = samples[i]
        found = f64(0.0)
        if a > LARGE:
            found = gamma_expanded(a, x)
        elif x < a + 1.0 or a != a or x != x:
            found = gamma_lower(a, x, f64(NEAR)) if x != 0.0 else f64(0.0)
        else:
            found = gamma_upper(a, x, f64(NEAR))
        out[i] = found


@native
def beta_fraction(a: f64, b: f64, x: f64, slope_a: f64, slope_b: f64, near: f64):
    """The fraction h with F = x (1 - x) f h / a for x below the mean, and its derivative in a direction of (a, b)."""
    c = f64(1.0)
    c_slope = f64(0.0)
    d = f64(0.0)
    d_slope = f64(0.0)
    total = f64(1.0)
    slope = f64(0.0)
    change = f64(2.0)
    turn = f64(1.0)
    j = f64(0.0)
    while j < STEPS and (fabs(change - 1.0) > near or fabs(turn) > near):
        # two coefficients a round: -(a+m)(a+b+m) x / ((a+2m)(a+2m+1)), then (m+1)(b-m-1) x / ((a+2m+1)(a+2m+2))
        m = j
        below_both = 1.0 / ((a + 2.0 * m) * (a + 2.0 * m + 1.0))
        step = -(a + m) * (a + b + m) * x * below_both
        step_slope = -(slope_a * (a + b + m) + (slope_a + slope_b) * (a + m)) * x * below_both
        step_slope = step_slope - step * slope_a * (2.0 * (a + 2.0 * m) + 1.0) * below_both
        for half in range(2):
            if half == 1:
                m = j + 1.0
                base = m * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m))
                step = base * (b - m)
                step_slope = base * slope_b - step * slope_a * (
                    1.0 / (a + 2.0 * m - 1.0) + 1.0 / (a + 2.0 * m)
                )
            below = 1.0 + step * d
            below_slope = step_slope * d + step * d_slope
            over = 1.0 / c
            c_slope = (step_slope - step * c_slope * over) * over
            c = 1.0 + step * over
            d = 1.0 / below
            d_slope = -below_slope * d * d
            change = c * d
            turn = c_slope * d + c * d_slope
            slope = slope * change + total * turn
            total = total * change
        j += 1.0
    return 1.0 / total, -slope / (total * total)


@native
def beta_kernel(frame: WORD, params: WORD, begin: i64, end: i64):
    """dx/da / (1 - x) of a beta sample x with parameters a and total - a, the second one held."""
    out = bitcast(frame[params[0]], ptr(f64))
    samples = bitcast(frame[params[1]], ptr(f64))
    shapes = bitcast(frame[params[2]], ptr(f64))
    totals = bitcast(frame[params[3]], ptr(f64))
    for i in range(begin, end):
        x = samples[i]
        a = shapes[i]
        b = totals[i] - a
        level = LOG((x,))[0] - DIGAMMA((a,))[0] + DIGAMMA((totals[i],))[0]
        found = f64(0.0)
        if x <= 0.0:
            found = f64(0.0)
        elif x >= 1.0:
            found = f64(0.0)
        elif x * (totals[i] + 2.0) <= a + 1.0:
            h, slope = beta_fraction(a, b, x, f64(1.0), f64(0.0), f64(NEAR))
            found = -(x / a) * (h * (level - 1.0 / a) + slope)
        else:
            h, slope = beta_fraction(b, a, 1.0 - x, f64(0.0), f64(1.0), f64(NEAR))
            found = (x / b) * (h * level + slope)
        out[i] = found


def _each(call, kernel, operands: int) -> None:
    result = call.outputs[0]
    inputs = [call.contiguous(k, "f64") for k in range(operands)]
    place = call.scratch(8 * result.numel)
    near = 1e-16 if result.dtype.code == "f64" else 1e-9
    call.native(kernel, {**_STATICS, "NEAR": near}, [place, *inputs], result.numel, 64)
    flat = contiguous_strides(result.shape)
    call.pointwise(
        [(result.dtype.code, result.strides, call.out(0))], [("f64", flat, place)], lambda x: x, result.shape
    )


def gamma(call) -> None:
    """(shape, sample) of one size."""
    _each(call, gamma_kernel, 2)


def beta(call) -> None:
    """(sample, a, total) of one size."""
    _each(call, beta_kernel, 3)
