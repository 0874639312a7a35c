"""Accuracy and speed of the generated transcendental functions.

    python benchmarks/ulp.py                  # every function, every 97th float32, one table
    python benchmarks/ulp.py exp log --step 1 # all 2**32 float32 inputs of two functions (minutes each)

The error is measured in units in the last place (ULP) of float32 against float64 NumPy and SciPy, so a
correctly rounded result has at most 0.5. A result beyond the largest float32 counts as 2**128.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import sys
import time
from collections.abc import Callable, Iterator

import numpy as np

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from flambeau.backend.cpu import pointwise, runtime
from flambeau.backend.cpu.emit import ScalarFunction
from flambeau.ir.expr import Expr, leaf

CHUNK = 1 << 20
NUMPY = {"f32": np.float32, "f64": np.float64}


class Kernel:
    """An operation of scalar expressions as eager kernels have it, or a `rule` instead; `static` arguments come first."""

    def __init__(
        self, op: str, type: str = "f32", arity: int = 1, count: int = CHUNK, static: tuple = (), rule=None
    ):
        self.dtype, self.count, self.arity = NUMPY[type], count, arity
        arguments = tuple(leaf("input", k, type) for k in range(arity))
        function = ScalarFunction([rule(*arguments) if rule else Expr(op, (*static, *arguments), type)])
        codes = (type,) * (1 + arity)
        entry = pointwise.kernel(function, codes, 1, (1,) * len(codes), True, ())
        size = count * np.dtype(self.dtype).itemsize
        words = [runtime.FIRST + k for k in range(1 + arity)]
        self.program = runtime.program([size], arity, [(entry, words, count, 1 << 14)], release_gil=True)
        self.memory = [runtime.allocate(size) for _ in range(arity)]
        self.inputs = [self.view(m) for m in self.memory]

    def view(self, memory) -> np.ndarray:
        size = self.count * np.dtype(self.dtype).itemsize
        return np.frombuffer((ctypes.c_char * size).from_address(runtime.address(memory)), self.dtype)

    def __call__(self, *arrays: np.ndarray) -> np.ndarray:
        """The function of equally long arrays of any length."""
        parts = []
        for start in range(0, len(arrays[0]), self.count):
            pieces = [a[start : start + self.count] for a in arrays]
            for view, piece in zip(self.inputs, pieces):
                view[: len(piece)] = piece
                view[len(piece) :] = 1
            memory = self.run()
            parts.append(self.view(memory)[: len(pieces[0])].copy())
        return np.concatenate(parts) if parts else np.zeros(0, self.dtype)

    def run(self):
        return self.program(*(word for m in self.memory for word in (m, 0)))

    def nanoseconds(self, repeats: int = 5) -> float:
        """Time per element with the threads in use, the best of several runs on the inputs last given."""
        times = []
        for _ in range(repeats):
            start = time.perf_counter()
            self.run()
            times.append(time.perf_counter() - start)
        return min(times) / self.count * 1e9


def ulp_error(found: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """|found - reference| in units of the last place of `found`'s type at the reference (a wider type)."""
    info = np.finfo(found.dtype)
    digits, low = info.nmant, info.minexp
    wide = reference.dtype
    top = np.ldexp(wide.type(1), int(info.maxexp))
    with np.errstate(all="ignore"):
        exponent = np.maximum(np.frexp(reference)[1] - 1, low)
        exponent = np.minimum(exponent, int(info.maxexp) - 1)
        value = np.where(np.isinf(found), np.copysign(top, found), found.astype(wide))
        goal = np.where(np.abs(reference) > top, np.copysign(top, reference), reference)
        error = np.abs(np.ldexp(value - goal, digits - exponent))
    error[np.isnan(found) & np.isnan(reference)] = 0
    error[np.isnan(found) != np.isnan(reference)] = np.inf
    return error


def float32_bits(step: int) -> Iterator[np.ndarray]:
    """Every step-th float32 by bit pattern, in chunks, after the neighbours of all powers of two."""
    edges = (np.arange(512, dtype=np.uint32) << np.uint32(23))[:, None] + np.arange(-300, 300).astype(
        np.uint32
    )
    yield edges.ravel().view(np.float32)
    for start in range(0, 1 << 32, CHUNK * step):
        bits = np.arange(start, min(start + CHUNK * step, 1 << 32), step, dtype=np.uint64).astype(np.uint32)
        yield bits.view(np.float32)


def _lgamma(x: np.ndarray) -> np.ndarray:
    """SciPy's, with C99's limit at -infinity."""
    from scipy.special import gammaln

    return np.where(np.isneginf(x), np.inf, gammaln(x))


def references() -> dict[str, Callable]:
    """Float64 references by operation."""
    from scipy import special

    names = "exp exp2 expm1 log log2 log10 log1p sin cos tan sinh cosh tanh"
    found: dict[str, Callable] = {name: getattr(np, name) for name in names.split()}
    found |= {"asin": np.arcsin, "acos": np.arccos, "atan": np.arctan}
    found |= {"asinh": np.arcsinh, "acosh": np.arccosh, "atanh": np.arctanh}
    found |= {"erf": special.erf, "erfc": special.erfc, "erfinv": special.erfinv, "sigmoid": special.expit}
    found |= {
        "lgamma": _lgamma,
        "digamma": special.psi,
        "i0": lambda x: np.where(np.isinf(x), np.inf, special.i0(x)),
    }
    return found


def sweep(op: str, reference: Callable, step: int) -> tuple[float, float, float, float]:
    """(largest error in ULP, its input, points over 1 ULP, ns per element) of one function."""
    kernel = Kernel(op)
    worst, where, over = -1.0, 0.0, 0
    for x in float32_bits(step):
        with np.errstate(all="ignore"):
            error = ulp_error(kernel(x), np.asarray(reference(x.astype(np.float64))))
        over += int((error > 1).sum())
        at = int(error.argmax())
        if error[at] > worst:
            worst, where = float(error[at]), float(x[at])
    kernel(np.random.default_rng(0).normal(size=CHUNK).astype(np.float32))
    return worst, where, over, kernel.nanoseconds()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("functions", nargs="*", help="operations; all when none is named")
    parser.add_argument("--step", type=int, default=97, help="test every step-th float32 (1: all 2**32)")
    options = parser.parse_args()
    known = references()
    print(f"{'function':10} {'max ULP':>9} {'worst input':>16} {'over 1 ULP':>11} {'ns/element':>11}")
    for op in options.functions or known:
        worst, where, over, nanoseconds = sweep(op, known[op], options.step)
        print(f"{op:10} {worst:9.4f} {where:16.9g} {over:11} {nanoseconds:11.3f}", flush=True)


if __name__ == "__main__":
    main()
