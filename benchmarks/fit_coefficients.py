"""Derives the polynomial coefficients of flambeau/ir/math_*.py (needs mpmath).

    python benchmarks/fit_coefficients.py             # every fit: name, error, coefficients
    python benchmarks/fit_coefficients.py _SIN_F64    # one of them

A fit is a weighted minimax polynomial (Remez exchange on a fine Chebyshev grid, in 60 digits). With `refit`,
the coefficients are rounded to their type one after another, lowest first, and those left are fitted again.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import mpmath as mp
import numpy as np

mp.mp.dps = 60
LN2 = mp.log(2)
ROOT = mp.sqrt(mp.mpf(1) / 2)


@dataclass
class Fit:
    """`function` on [low, high] as a polynomial in `variable(x)`; `weight(x)` times the error is least."""

    function: Callable
    terms: int
    low: object
    high: object
    weight: Callable | None = None  # 1 / function: the relative error
    variable: Callable = lambda x: x
    kind: type = np.float64
    refit: bool = True


def solve(goal: list, basis: list, weights: list) -> list:
    """Coefficients of the minimax combination of `basis` on the grid, by exchange of alternating extrema."""
    count, points = len(basis), len(goal)
    chosen = [round((points - 1) * (1 - np.cos(np.pi * k / count)) / 2) for k in range(count + 1)]
    best, found = np.inf, []
    for _ in range(40):
        matrix, right = mp.matrix(count + 1, count + 1), mp.matrix(count + 1, 1)
        for row, i in enumerate(chosen):
            for k in range(count):
                matrix[row, k] = basis[k][i] * weights[i]
            matrix[row, count] = (-1) ** row
            right[row] = goal[i] * weights[i]
        solution = mp.lu_solve(matrix, right)
        coefficients = list(solution)[:count]
        errors = np.array([float(e) for e in residual(goal, basis, weights, coefficients)])
        if abs(errors).max() < best:
            best, found = abs(errors).max(), coefficients
        picked = extrema(errors, count + 1)
        if best <= abs(float(solution[count])) * 1.002 or len(picked) <= count or picked == chosen:
            break
        chosen = picked
    return found


def residual(goal: list, basis: list, weights: list, coefficients: list) -> list:
    return [
        (g - sum(c * b[i] for c, b in zip(coefficients, basis))) * w
        for i, (g, w) in enumerate(zip(goal, weights))
    ]


def extrema(errors: np.ndarray, count: int) -> list[int]:
    """The largest error of each run of one sign; the smallest are left out until `count` remain."""
    runs = np.split(np.arange(len(errors)), np.nonzero(np.diff(np.sign(errors)))[0] + 1)
    picked = [int(run[abs(errors[run]).argmax()]) for run in runs]
    while len(picked) > count:
        sizes = abs(errors[picked])
        if len(picked) == count + 1:
            picked.pop(0 if sizes[0] < sizes[-1] else -1)
        else:
            pair = int(np.maximum(sizes[:-1], sizes[1:]).argmin())
            del picked[pair : pair + 2]
    return picked


def run(fit: Fit, grid: int = 401) -> tuple[float, list[float]]:
    """(log2 of the largest weighted error after rounding, coefficients)."""
    low, high = mp.mpf(fit.low), mp.mpf(fit.high)
    angles = [mp.pi * i / (grid - 1) for i in range(grid)]
    xs = [x for x in ((low + high) / 2 - (high - low) / 2 * mp.cos(a) for a in angles) if abs(x) > 1e-30]
    goal = [mp.mpf(fit.function(x)) for x in xs]
    weights = [mp.mpf(fit.weight(x)) if fit.weight else 1 / abs(g) for x, g in zip(xs, goal)]
    variables = [fit.variable(x) for x in xs]
    basis = [[v**k for v in variables] for k in range(fit.terms)]
    coefficients = solve(goal, basis, weights)
    rounded = [mp.mpf(float(fit.kind(float(c)))) for c in coefficients]
    rest = goal
    for k in range(1, fit.terms) if fit.refit else ():
        rest = [r - rounded[k - 1] * b for r, b in zip(rest, basis[k - 1])]
        later = solve(rest, basis[k:], weights)
        rounded[k:] = [mp.mpf(float(fit.kind(float(c)))) for c in later]
    worst = max(abs(e) for e in residual(goal, basis, weights, rounded))
    return float(mp.log(worst, 2)), [float(c) for c in rounded]


def square(x):
    return x * x


def odd(function: Callable, terms: int, high, kind: type = np.float64) -> Fit:
    """(function(x) - x) / x**3 in x**2, with the relative error of the function."""
    return Fit(
        lambda x: (function(x) - x) / x**3, terms, 1e-3, high, lambda x: x**3 / function(x), square, kind,
    )  # fmt: skip


def exponential(terms: int, kind: type = np.float64) -> Fit:
    high = LN2 / 2 * mp.mpf("1.001")
    return Fit(
        lambda r: (mp.exp(r) - 1 - r) / r**2, terms, -high, high, lambda r: r * r / mp.exp(r), kind=kind
    )


def scaled_erfc(t):
    x = 4 * (1 + t) / (1 - t)
    return (1 + 2 * x) * mp.exp(x * x) * mp.erfc(x)


def inverse_erf(w):
    """erfinv(x) / x where w = -log(1 - x**2), by Halley's iteration on erfc."""
    tail = mp.exp(-w)
    gap = tail / (1 + mp.sqrt(1 - tail))
    y = mp.sqrt(max(w - mp.log(mp.sqrt(mp.pi * w)), mp.mpf("0.1")))
    for _ in range(60):
        step = (mp.erfc(y) - gap) / (-2 / mp.sqrt(mp.pi) * mp.exp(-y * y))
        y -= step / (1 + y * step)
        if abs(step) < y * mp.mpf(10) ** -40:
            break
    return y / (1 - gap)


F32 = np.float32
QUARTER, HALF = mp.pi / 4 * mp.mpf("1.001"), mp.pi / 2 * mp.mpf("1.0001")
ERFC_1 = mp.mpf(float(F32(mp.erfc(1))))
PSI_ROOT = mp.findroot(mp.digamma, 1.4616321449683623)
FITS = {
    "_EXP_F32": exponential(5, F32),
    "_EXP_SHORT": exponential(7),
    "_EXP_F64": exponential(11),
    "_EXP2_F32": Fit(lambda r: (2**r - 1) / r, 7, -0.5, 0.5, lambda r: r / 2**r, kind=F32),
    "_EXP2_F64": Fit(lambda r: (2**r - 1) / r, 12, -0.5, 0.5, lambda r: r / 2**r),
    "_LOG_F32": Fit(
        lambda f: (mp.log(1 + f) - f + f * f / 2) / f**3, 9, ROOT - 1, 2 * ROOT - 1,
        lambda f: f**3 / mp.log(1 + f), kind=F32,
    ),
    "_LOG_F64": Fit(
        lambda s: (2 * mp.atanh(s) - 2 * s) / s**3, 8, 1e-3, 0.17158, lambda s: s**3 / (2 * mp.atanh(s)),
        square,
    ),
    "_LOG_TAIL": Fit(
        lambda s: (2 * mp.atanh(s) - 2 * s - 2 * s**3 / 3) / s**5, 6, 1e-4, 0.0725,
        lambda s: s**5 / (2 * mp.atanh(s)), square,
    ),
    "_SIN_F32": odd(mp.sin, 4, HALF),
    "_SIN_SHORT": odd(mp.sin, 5, HALF),
    "_SIN_F64": odd(mp.sin, 7, QUARTER),
    "_COS_F64": Fit(
        lambda x: (mp.cos(x) - 1 + x * x / 2) / x**4, 7, 1e-3, QUARTER, lambda x: x**4 / mp.cos(x), square
    ),
    "_ASIN_F64": odd(mp.asin, 13, 0.5),
    "_ATAN_F64": odd(mp.atan, 11, 0.4143),
    "_SINH_F64": odd(mp.sinh, 7, 1),
    "_EXPM1_F32": Fit(
        lambda r: (mp.expm1(r) - r) / r**2, 5, -LN2 / 2 * mp.mpf("1.001"), LN2 / 2 * mp.mpf("1.001"),
        lambda r: abs(r * r / mp.expm1(r)), kind=F32,
    ),
    "_TANH_F64": odd(mp.tanh, 12, 0.6),
    "_ERF_F32": Fit(lambda x: mp.erf(x) / x - 1, 7, 1e-3, 1, lambda x: x / mp.erf(x), square, F32),
    "_ERF_F64": Fit(lambda x: mp.erf(x) / x - 1, 12, 1e-3, 1, lambda x: x / mp.erf(x), square),
    "_ERFC_F32": Fit(
        lambda x: mp.log(mp.erfc(x) / ERFC_1, 2), 7, 1, 4, lambda x: mp.erfc(x) * LN2, lambda x: x - 1, F32
    ),
    "_ERFC_F64": Fit(scaled_erfc, 24, mp.mpf(-36) / 44, mp.mpf(234) / 314, refit=False),
    "_ERFINV_NEAR": Fit(inverse_erf, 24, 1e-6, 6.25, variable=lambda w: w - 3.125, refit=False),
    "_ERFINV_MIDDLE": Fit(inverse_erf, 20, 6.25, 16, variable=lambda w: mp.sqrt(w) - 3.25, refit=False),
    "_ERFINV_FAR": Fit(inverse_erf, 18, 16, 37.5, variable=lambda w: mp.sqrt(w) - 5, refit=False),
    "_LGAMMA": Fit(lambda t: mp.loggamma(2 + t) / t, 18, -0.5, 0.5),
    "_STIRLING": Fit(
        lambda x: (mp.loggamma(x) - (x - 0.5) * (mp.log(x) - 1) - (mp.log(2 * mp.pi) - 1) / 2) * x, 6, 8, 1e5,
        lambda x: 1 / x / 8, lambda x: 1 / x**2,
    ),
    "_DIGAMMA": Fit(
        lambda x: (mp.log(x) - 1 / (2 * x) - mp.digamma(x)) * x * x, 7, 8, 1e4, lambda x: 1 / x / x / 2,
        lambda x: 1 / x**2,
    ),
    "_DIGAMMA_NEAR": Fit(lambda t: mp.digamma(mp.mpf(1.5) + t) / (mp.mpf(1.5) + t - PSI_ROOT), 23, -0.5, 0.5),
    "_I0_NEAR": Fit(lambda x: mp.besseli(0, x), 15, 1e-3, 8, variable=lambda x: x * x / 4, refit=False),
    "_I0_FAR": Fit(
        lambda t: mp.besseli(0, 1 / t) * mp.exp(-1 / t) * mp.sqrt(1 / t), 24, 1 / 4000, 1 / 8, refit=False,
    ),
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="tables; all when none is named")
    for name in parser.parse_args().names or FITS:
        error, coefficients = run(FITS[name])
        digits = "{:.9g}" if FITS[name].kind is F32 else "{!r}"
        print(f"{name}: 2**{error:.1f}", *(digits.format(c) for c in coefficients), sep="\n    ", flush=True)


if __name__ == "__main__":
    main()
