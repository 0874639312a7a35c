"""Linear algebra by LAPACK, one matrix of a batch after the other.

Routines work on copies in which each matrix lies column by column: `columns` makes them, `rows` brings them back.
"""

from __future__ import annotations

import ctypes
from functools import lru_cache

from ...base.errors import LinAlgError
from . import blas
from .host import host

COLUMN = blas.COLUMN_MAJOR


@lru_cache(None)
def routine(kind: str, name: str):
    """The LAPACKE routine for arrays of a NumPy type character; NaN passes through instead of being refused."""
    blas._symbol("LAPACKE_set_nancheck")(ctypes.c_int(0))
    return blas.lapack("sdcz"["fdFD".index(kind)] + name)


def columns(array):
    """A copy as (batch, columns, rows), and the shape of the batch."""
    import numpy as np

    m, n = array.shape[-2:]
    made = np.empty((*array.shape[:-2], n, m), array.dtype)
    made[...] = np.swapaxes(array, -1, -2)
    return made.reshape(-1 if made.size else batch_size(array), n, m)


def batch_size(array) -> int:
    count = 1
    for n in array.shape[:-2]:
        count *= n
    return count


def rows(made, out) -> None:
    """Write matrices stored by columns into an array of matrices."""
    import numpy as np

    if out.size:
        out[...] = np.swapaxes(made, -1, -2).reshape(out.shape)


def place(array, k: int = 0) -> int:
    """Address of entry k of the first dimension."""
    return array.ctypes.data + k * array.strides[0]


def each(array):
    """Addresses of the entries of the first dimension."""
    first, step = array.ctypes.data, array.strides[0]
    return range(first, first + step * len(array), step) if array.size else [first] * len(array)


def one_of(batch: int, number: int) -> str:
    """How messages name a matrix of a batch."""
    return "" if batch == 0 else f"(Batch element {number}): "


def raise_first(codes, ndim: int, word) -> None:
    """Raise for the first matrix whose code is not 0; `word(code)` gives the text behind the batch element."""
    flat = codes.reshape(-1)
    bad = flat.nonzero()[0]
    if len(bad):
        k = int(bad[0])
        name, text = word(int(flat[k]))
        raise LinAlgError(f"{name}: {one_of(ndim, k)}{text}")


#: what is said of a matrix that a routine cannot take; the braces stand for the routine's code
NOT_POSITIVE = (
    "The factorization could not be completed because the input is not positive-definite (the leading minor of "
    "order {} is not positive-definite)."
)
NO_PIVOT = (
    "U[{0},{0}] is zero and using it on lu_solve would result in a division by zero. If you still want to "
    "perform the factorization, consider calling linalg.lu(A, pivot) or linalg.lu_factor_ex(A, pivot)"
)
SINGULAR = "The diagonal element {} is zero, the inversion could not be completed because the input matrix is singular."
UNSOLVED = "The solver failed because the input matrix is singular."


# -- factorisations ------------------------------------------------------------------------------------------------


def _cholesky(call, inputs, outputs) -> None:
    import numpy as np

    made = columns(inputs[0])
    n, upper, name = made.shape[-1], call.values["upper"], call.values["name"]
    run = routine(made.dtype.char, "potrf")
    codes = np.array([run(COLUMN, b"U" if upper else b"L", n, at, max(1, n)) for at in each(made)], "i4")
    rows(np.tril(made) if upper else np.triu(made), outputs[0])
    outputs[1][...] = codes.reshape(outputs[1].shape)
    if name:
        raise_first(codes, inputs[0].ndim - 2, lambda code: (name, NOT_POSITIVE.format(code)))


def _lu(call, inputs, outputs) -> None:
    import numpy as np

    made = columns(inputs[0])
    batch, n, m = made.shape
    pivots = np.zeros((batch, min(m, n)), "i4")
    codes = np.array([factorise(made, pivots, k) for k in range(batch)], "i4")
    rows(made, outputs[0])
    outputs[1][...] = pivots.reshape(outputs[1].shape)
    outputs[2][...] = codes.reshape(outputs[2].shape)
    name = call.values["name"]
    if name:
        raise_first(codes, inputs[0].ndim - 2, lambda code: (name, NO_PIVOT.format(code)))


def factorise(made, pivots, k: int) -> int:
    """LU factors of matrix k in its place."""
    n, m = made.shape[1:]
    if not made[k].size:
        return 0
    return routine(made.dtype.char, "getrf")(COLUMN, m, n, place(made, k), max(1, m), place(pivots, k))


def _permutation(call, inputs, outputs) -> None:
    """Rows in the order in which exchanges by `pivots` leave them."""
    import numpy as np

    order = np.broadcast_to(np.arange(call.values["size"]), outputs[0].shape).copy()
    if inputs[0].size:
        pivots = inputs[0].reshape(-1, inputs[0].shape[-1])
        order = order.reshape(-1, call.values["size"])
        for found, exchanges in zip(order, pivots):
            for i, j in enumerate(exchanges.tolist()):
                if not 1 <= j <= len(found):
                    raise RuntimeError(
                        "pivots passed to lu_unpack must be between 1 and LU.size(-2) inclusive. Did you properly pass "
                        "the result of lu_factor?"
                    )
                found[i], found[j - 1] = found[j - 1], found[i]
    if order.size:
        outputs[0][...] = order.reshape(outputs[0].shape)


def _ldl(call, inputs, outputs) -> None:
    import numpy as np

    made = columns(inputs[0])
    batch, n, _ = made.shape
    pivots = np.zeros((batch, n), "i4")
    run = routine(
        made.dtype.char, "hetrf" if call.values["hermitian"] and made.dtype.kind == "c" else "sytrf"
    )
    codes = [run(COLUMN, b"L", n, at, max(1, n), p) for at, p in zip(each(made), each(pivots))]
    rows(np.triu(made), outputs[0])
    outputs[1][...] = pivots.reshape(outputs[1].shape)
    outputs[2][...] = np.array(codes, "i4").reshape(outputs[2].shape)


def _ldl_solve(call, inputs, outputs) -> None:
    import numpy as np

    made, right = columns(inputs[0]), columns(inputs[2])
    pivots = np.ascontiguousarray(inputs[1], "i4").reshape(len(made), made.shape[-1])
    n, count = right.shape[2], right.shape[1]
    run = routine(
        made.dtype.char, "hetrs" if call.values["hermitian"] and made.dtype.kind == "c" else "sytrs"
    )
    for a, p, b in zip(each(made), each(pivots), each(right) if right.size else ()):
        run(COLUMN, b"L", n, count, a, max(1, n), p, b, max(1, n))
    rows(right, outputs[0])


def _geqrf(call, inputs, outputs) -> None:
    made = columns(inputs[0])
    tau = reflectors(made)
    rows(made, outputs[0])
    outputs[1][...] = tau.reshape(outputs[1].shape)


def reflectors(made):
    """Householder reflectors of each matrix in its place; returns their factors."""
    import numpy as np

    batch, n, m = made.shape
    tau = np.zeros((batch, min(m, n)), made.dtype)
    if made.size:
        run = routine(made.dtype.char, "geqrf")
        for at, factors in zip(each(made), each(tau)):
            run(COLUMN, m, n, at, m, factors)
    return tau


def product_of(made, tau) -> None:
    """The columns of the product of reflectors, in their place."""
    batch, n, m = made.shape
    name = "ungqr" if made.dtype.kind == "c" else "orgqr"
    if made.size:
        run = routine(made.dtype.char, name)
        for at, factors in zip(each(made), each(tau)):
            run(COLUMN, m, n, tau.shape[-1], at, m, factors)


def _qr(call, inputs, outputs) -> None:
    import numpy as np

    made, mode = columns(inputs[0]), call.values["form"]
    batch, n, m = made.shape
    tau = reflectors(made)
    size = m if mode == "complete" else min(m, n)
    upper = np.zeros((batch, n, size), made.dtype)
    upper[:, :, : min(m, n)] = made[:, :, : min(m, n)]
    rows(np.tril(upper), outputs[1])
    if mode != "r":
        full = np.zeros((batch, size, m), made.dtype)
        full[:, : min(size, n)] = made[:, : min(size, n)]
        if n == 0 and full.size:
            full[...] = np.eye(m, dtype=made.dtype)
        else:
            product_of(full, tau)
        rows(full, outputs[0])


def _householder(call, inputs, outputs) -> None:
    import numpy as np

    made = columns(inputs[0])
    tau = np.ascontiguousarray(inputs[1]).reshape(len(made), -1) if inputs[1].size else inputs[1]
    if tau.size:
        product_of(made, tau)
    else:
        made[...] = np.eye(made.shape[1], made.shape[2], dtype=made.dtype)
    rows(made, outputs[0])


# -- systems of equations --------------------------------------------------------------------------------------------


def _inverse(call, inputs, outputs) -> None:
    import numpy as np

    made = columns(inputs[0])
    batch, n, _ = made.shape
    pivots, codes = np.zeros((batch, n), "i4"), np.zeros(batch, "i4")
    for k in range(batch if n else 0):
        codes[k] = factorise(made, pivots, k)
        if codes[k] == 0:
            routine(made.dtype.char, "getri")(COLUMN, n, place(made, k), n, place(pivots, k))
    rows(made, outputs[0])
    outputs[1][...] = codes.reshape(outputs[1].shape)
    name = call.values["name"]
    if name:
        raise_first(codes, inputs[0].ndim - 2, lambda code: (name, SINGULAR.format(code)))


def _solve(call, inputs, outputs) -> None:
    import numpy as np

    made, right = columns(inputs[0]), columns(inputs[1])
    batch, n, _ = made.shape
    pivots, codes = np.zeros((batch, n), "i4"), np.zeros(batch, "i4")
    if right.size:
        solve = routine(made.dtype.char, "getrs")
        for k in range(batch):
            codes[k] = factorise(made, pivots, k)
            if codes[k] == 0 or not call.values["name"]:
                solve(
                    COLUMN, b"N", n, right.shape[1], place(made, k), n, place(pivots, k), place(right, k), n
                )
    elif n:
        codes[...] = [factorise(made, pivots, k) for k in range(batch)]
    rows(right, outputs[0])
    outputs[1][...] = codes.reshape(outputs[1].shape)
    name = call.values["name"]
    if name:
        raise_first(codes, inputs[0].ndim - 2, lambda code: (name, UNSOLVED))


def _triangular(call, inputs, outputs) -> None:
    """``A X = B`` or ``X A = B`` in row-major memory, in the result's own."""
    import numpy as np

    values = call.values
    a = np.ascontiguousarray(inputs[0])
    out = outputs[0]
    out[...] = inputs[1]
    m, n = out.shape[-2:]
    if not out.size:
        return
    size = a.shape[-1]
    run = blas.cblas("sdcz"["fdFD".index(a.dtype.char)] + "trsm")
    one = np.ones(1, a.dtype)
    scale = one.ctypes.data if a.dtype.kind == "c" else 1.0
    side = blas.LEFT if values["left"] else blas.RIGHT
    part = blas.UPPER if values["upper"] else blas.LOWER
    diagonal = blas.UNIT if values["unitriangular"] else blas.NON_UNIT
    for at, target in zip(each(a.reshape(-1, size, size)), each(out.reshape(-1, m, n))):
        run(blas.ROW_MAJOR, side, part, blas.NO_TRANSPOSE, diagonal, m, n, scale, at, size, target, n)


def _determinant(call, inputs, outputs) -> None:
    """The determinant, and its sign and the logarithm of its magnitude."""
    import numpy as np

    made = columns(inputs[0])
    batch, n, _ = made.shape
    pivots = np.zeros((batch, n), "i4")
    for k in range(batch if n else 0):
        factorise(made, pivots, k)
    diagonal = np.diagonal(made, axis1=1, axis2=2)
    swaps = (pivots != np.arange(1, n + 1)).sum(-1) % 2
    with np.errstate(all="ignore"):
        sign = np.where(swaps, -1, 1).astype(made.dtype)
        size = np.abs(diagonal)
        outputs[0][...] = (diagonal.prod(-1) * sign).reshape(outputs[0].shape)
        parts = np.where(size == 0, 0, diagonal / np.where(size == 0, 1, size)) if n else diagonal
        outputs[1][...] = (parts.prod(-1) * sign).reshape(outputs[1].shape)
        outputs[2][...] = np.log(size).sum(-1).reshape(outputs[2].shape)


def _least_squares(call, inputs, outputs) -> None:
    import numpy as np

    driver, cutoff = call.values["driver"], call.values["rcond"]
    made = columns(inputs[0])
    batch, n, m = made.shape
    given = columns(inputs[1])
    count = given.shape[1]
    right = np.zeros((batch, count, max(m, n)), made.dtype)
    right[:, :, :m] = given
    real = made.real.dtype
    rank, singular = np.zeros(1, "i4"), np.zeros((batch, min(m, n)), real)
    solution, ranks, values = outputs[0], np.zeros(batch, "i8"), outputs[3]
    for k in range(batch if made.size and right.size else 0):
        a, b = place(made, k), place(right, k)
        run = routine(made.dtype.char, driver)
        if driver == "gels":
            run(COLUMN, b"N", m, n, count, a, m, b, max(m, n))
        elif driver == "gelsy":
            exchanges = np.zeros(n, "i4")
            run(COLUMN, m, n, count, a, m, b, max(m, n), place(exchanges), cutoff, place(rank))
        else:
            run(COLUMN, m, n, count, a, m, b, max(m, n), place(singular, k), cutoff, place(rank))
        ranks[k] = rank[0]
    rows(right[:, :, :n], solution)
    extra = right[:, :, n:m]
    if outputs[1].size and m > n:
        outputs[1][...] = (np.abs(extra) ** 2).sum(-1).reshape(outputs[1].shape)
    if outputs[2].size:
        outputs[2][...] = ranks.reshape(outputs[2].shape)
    if values.size:
        values[...] = singular.reshape(values.shape)


cholesky, lu, permutation, ldl, ldl_solve = map(host, (_cholesky, _lu, _permutation, _ldl, _ldl_solve))
geqrf, qr, householder, inverse, solve = map(host, (_geqrf, _qr, _householder, _inverse, _solve))
triangular, determinant, least_squares = map(host, (_triangular, _determinant, _least_squares))


def _second(call, inputs, outputs) -> None:
    outputs[0][...] = inputs[1]


second = host(_second)
