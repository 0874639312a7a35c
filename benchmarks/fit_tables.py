"""Derives the tables of flambeau/ir/math_tables.py (needs mpmath and SciPy).

    python benchmarks/fit_tables.py             # every table: name, error, columns
    python benchmarks/fit_tables.py _HALF_AREA  # one of them

A row is a polynomial on one interval, least squares that are reweighted until the largest error is least; its coefficients
are rounded to float32 one after another, lowest first, and those left are fitted again.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import mpmath as mp
import numpy as np
from scipy.special import erf

F32 = np.float32
SIZE = 32
POINTS = 600


def nodes(low: float, high: float) -> np.ndarray:
    """Chebyshev's points of an interval."""
    angles = np.pi * (np.arange(POINTS) + 0.5) / POINTS
    return (low + high) / 2 + (high - low) / 2 * np.cos(angles)


def fit(rest: np.ndarray, d: np.ndarray, powers: range, weight: np.ndarray) -> tuple[list[float], float]:
    """Float32 coefficients of the powers of d that come nearest to `rest`, and the largest weighted error."""
    size = np.abs(d).max()
    found: list[float] = []
    for power in powers:
        basis = np.stack([(d / size) ** k for k in range(power, powers.stop)], 1)
        now = weight
        for _ in range(30):
            solution = np.linalg.lstsq(basis * now[:, None], rest * now, rcond=None)[0]
            error = np.abs((basis @ solution - rest) * weight)
            now = now * np.sqrt(np.maximum(error / error.max(), 1e-3))
            now = now / now.max() * weight.max()
        found.append(float(F32(solution[0] / size**power)))
        rest = rest - found[-1] * d**power
    return found, float(np.abs(rest * weight).max())


def near_float(function: Callable, start: float, span: float) -> tuple[float, float]:
    """The float32 within span below start at which the function is nearest to a float32, and that one."""
    best, x = (9.0, 0.0, 0.0), F32(start)
    while start - float(x) <= span and best[0] > 0.003:
        value = function(mp.mpf(float(x)))
        rounded = F32(float(value))
        miss = abs(float((value - mp.mpf(float(rounded))) / mp.mpf(float(np.spacing(rounded)))))
        best = min(best, (miss, float(x), float(rounded)))
        x = np.nextafter(x, F32(-1))
    return best[1:]


def tanh_table(terms: int = 5, limit: float = 9.1) -> tuple[list[tuple], float]:
    """Rows (left end, tanh there, coefficients) of quarters of octaves from 2**-4 on, in the order of their bits."""
    rows, worst = [], 0.0
    for k in range(SIZE):
        low, high = (2.0 ** (k // 4 - 4) * (1 + (k % 4 + more) / 4) for more in (0, 1))
        if low >= limit:
            rows.append(rows[-1])
            continue
        end, value = near_float(mp.tanh, low, 0.02 * (high - low)) if k else (0.0, np.inf)
        x = nodes(low if k else 1e-4, min(high, limit))
        rest = np.tanh(x) - (value if k else x)
        coefficients, error = fit(rest, x - end, range(1, terms + 1), 1 / np.tanh(x))
        rows.append((end, value, *coefficients))
        worst = max(worst, error)
    return [rows[(place - 12) % SIZE] for place in range(SIZE)], worst


def uniform_table(function: Callable, step: float, terms: int, limit: float) -> tuple[list[tuple], float]:
    """Rows of coefficients about the multiples of a step, of an odd function."""
    rows, worst = [], 0.0
    for k in range(SIZE):
        low, high = (k - 0.50005) * step, min((k + 0.50005) * step, limit + 1e-6)
        if low >= limit:
            rows.append(rows[-1])
            continue
        x = nodes(low, high)
        coefficients, error = fit(function(x), x - k * step, range(terms + 1), np.ones(POINTS))
        rows.append((coefficients[0] if k else 0.0, *coefficients[1:]))
        worst = max(worst, error)
    return rows, worst


def half_area(x):
    return erf(x / np.sqrt(2)) / 2


def half_slope(x):
    return half_area(x) + x * np.exp(-x * x / 2) / np.sqrt(2 * np.pi)


TABLES = {
    "_TANH": tanh_table,
    "_HALF_AREA": lambda: uniform_table(half_area, 0.25, 4, 5.8),
    "_HALF_SLOPE": lambda: uniform_table(half_slope, 0.25, 5, 6.3),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="tables; all when none is named")
    for name in parser.parse_args().names or TABLES:
        rows, worst = TABLES[name]()
        print(f"# {name}: 2**{np.log2(worst):.1f}")
        for column in zip(*rows):
            print("    (" + ", ".join(str(F32(v)) for v in column) + "),")


if __name__ == "__main__":
    main()
