"""Transcendental functions of scalar expressions, lowered to arithmetic on floats and integers.

`LOWER[op](*args)` gives an expression without `op`: no table, no branch, no call, so that a loop over it
vectorises (fmod alone stays the back end's remainder). Float32 results are within 1 ULP for every input
(`benchmarks/ulp.py` sweeps all of them), float64 results within about 2. Zeros keep their sign, subnormal
inputs and results obey the same bound, and limits follow C99's annex F. `math_tables` has other rules for some
operations, for processors to which a table is an instruction.
"""

from __future__ import annotations

from .math_exp_log import RULES as _EXP_LOG
from .math_gamma import RULES as _GAMMA
from .math_hyperbolic import RULES as _HYPERBOLIC
from .math_pow import RULES as _POW
from .math_special import RULES as _SPECIAL
from .math_trig import RULES as _TRIG

LOWER = {**_EXP_LOG, **_POW, **_TRIG, **_HYPERBOLIC, **_SPECIAL, **_GAMMA}


def __getattr__(name: str) -> str:
    """VERSION: a hash of these modules' sources, part of the key of cached kernels."""
    if name != "VERSION":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import glob
    import hashlib
    import os

    digest = hashlib.sha256()
    for path in sorted(glob.glob(os.path.join(os.path.dirname(__file__), "math*.py"))):
        with open(path, "rb") as file:
            digest.update(file.read())
    globals()["VERSION"] = version = digest.hexdigest()
    return version
