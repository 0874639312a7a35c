"""OpenBLAS through its C interface: LAPACK for the linear algebra operators, CBLAS where it is wanted.

The library is loaded by the first call that needs it. It runs on the calling thread only, so that results do
not depend on the number of threads; batches of matrices are shared between threads by the caller.
"""

from __future__ import annotations

import ctypes
import os
from functools import lru_cache

from ...base.errors import explained

ROW_MAJOR, COLUMN_MAJOR = 101, 102
NO_TRANSPOSE, TRANSPOSE, CONJUGATE_TRANSPOSE = 111, 112, 113
UPPER, LOWER, NON_UNIT, UNIT, LEFT, RIGHT = 121, 122, 131, 132, 141, 142

#: arguments of LAPACKE routines after their type letter: i int, p pointer, c character, s real scalar
LAPACK = {
    "getrf": "iiipip", "getrs": "iciipippi", "getri": "iipip", "gesv": "iiipippi",
    "potrf": "icipi", "potrs": "iciipipi", "potri": "icipi",
    "sytrf": "icipip", "hetrf": "icipip", "sytrs": "iciipippi", "hetrs": "iciipippi",
    "geqrf": "iiipip", "geqp3": "iiipipp", "orgqr": "iiiipip", "ungqr": "iiiipip",
    "ormqr": "icciiipippi", "unmqr": "icciiipippi",
    "gesdd": "iciipippipi", "gesvd": "icciipippipip",
    "syevd": "iccipip", "heevd": "iccipip", "geev": "iccipipppipi",
    "gels": "iciiipipi", "gelsd": "iiiipipipsp", "gelss": "iiiipipipsp", "gelsy": "iiiipipipsp",
    "trtrs": "iccciipipi", "trtri": "iccipi",
}  # fmt: skip
#: arguments of CBLAS routines; a scale is a value for real types, a pointer for complex ones
CBLAS = {"gemm": "iiiiiiapipiapi", "trsm": "iiiiiiiapipi", "gemv": "iiiiapipiapi"}


@lru_cache(None)
def library() -> ctypes.CDLL:
    """The loaded library.

    Raises: RuntimeError when scipy-openblas32 is missing or cannot be loaded.
    """
    before = os.environ.get("OPENBLAS_NUM_THREADS")
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # read while loading: no threads of its own
    try:
        import scipy_openblas32 as package

        path = os.path.join(package.get_lib_dir(), package.get_library(fullname=True))
        loaded = ctypes.CDLL(path)
    except (ImportError, OSError, IndexError) as error:
        raise explained(
            RuntimeError, "linear algebra on the CPU needs OpenBLAS, which could not be loaded",
            need=f"the package scipy-openblas32; got {type(error).__name__}: {error}",
            fix="pip install scipy-openblas32",
        ) from error  # fmt: skip
    finally:
        if before is None:
            del os.environ["OPENBLAS_NUM_THREADS"]
        else:
            os.environ["OPENBLAS_NUM_THREADS"] = before
    return loaded


def _symbol(name: str):
    try:
        return getattr(library(), "scipy_" + name)
    except AttributeError:
        raise explained(
            RuntimeError, f"OpenBLAS has no function {name}", fix="pip install -U scipy-openblas32"
        ) from None


def _types(letters: str, letter: str) -> list:
    real = ctypes.c_float if letter in "sc" else ctypes.c_double
    kinds = {"i": ctypes.c_int32, "p": ctypes.c_void_p, "c": ctypes.c_char, "s": real}
    kinds["a"] = real if letter in "sd" else ctypes.c_void_p
    return [kinds[x] for x in letters]


@lru_cache(None)
def lapack(name: str):
    """A LAPACKE routine such as "sgesv" as a function that returns its info; pointers are addresses (int).

    The first argument is ROW_MAJOR or COLUMN_MAJOR, characters are bytes; the interpreter's lock is released.
    Example: ``lapack("dpotrf")(ROW_MAJOR, b"L", n, address, n)``
    """
    letter, routine = name[0], name[1:]
    letters = LAPACK[routine]
    if routine == "geev" and letter in "cz":
        letters = "iccipippipi"  # one array of complex eigenvalues instead of two of parts
    function = _symbol("LAPACKE_" + name)
    function.argtypes, function.restype = _types(letters, letter), ctypes.c_int32
    return function


@lru_cache(None)
def cblas(name: str):
    """A CBLAS routine such as "sgemm" as a function; pointers are addresses (int)."""
    function = _symbol("cblas_" + name)
    function.argtypes, function.restype = _types(CBLAS[name[1:]], name[0]), None
    return function


def address(name: str) -> int:
    """Address of a function of the library, such as "LAPACKE_sgesv" or "cblas_sgemm", for kernels."""
    return ctypes.cast(_symbol(name), ctypes.c_void_p).value or 0
