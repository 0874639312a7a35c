"""Kernels for stacks of small real matrices, each factorised or solved in cache by one thread.

Matrices lie row by row. N is the size of a matrix, as a constant where it is tiny (the loops unroll), else 0 with the
size among the parameters.
"""

from __future__ import annotations

from .native import bitcast, fabs, independent, native, sqrt
from .types import f64, i32, i64, ptr

WORD = ptr(i64)


@native
def factorise(T, a: ptr(T), pivots: ptr(i32), n: i64):
    """LU factors with exchanges of rows, in place; gives the first column (from 1) without a pivot, or 0."""
    code = i32(0)
    for k in range(n):
        best = fabs(a[k * n + k])
        at = k
        for i in range(k + 1, n):
            size = fabs(a[i * n + k])
            if size > best:
                best = size
                at = i
        pivots[k] = i32(at + 1)
        if at != k:
            for j in independent(0, n):
                kept = a[k * n + j]
                a[k * n + j] = a[at * n + j]
                a[at * n + j] = kept
        if best == T(0):
            if code == 0:
                code = i32(k + 1)
        else:
            pivot = a[k * n + k]
            for i in range(k + 1, n):
                factor = a[i * n + k] / pivot
                a[i * n + k] = factor
                for j in independent(k + 1, n):
                    a[i * n + j] = a[i * n + j] - factor * a[k * n + j]
    return code


@native
def substitute(T, a: ptr(T), pivots: ptr(i32), x: ptr(T), n: i64, m: i64):
    """Solve with the factors of `factorise`, in place of the n x m right-hand sides."""
    for k in range(n):
        at = i64(pivots[k]) - 1
        if at != k:
            for j in independent(0, m):
                kept = x[k * m + j]
                x[k * m + j] = x[at * m + j]
                x[at * m + j] = kept
    for i in range(1, n):
        for k in range(i):
            factor = a[i * n + k]
            for j in independent(0, m):
                x[i * m + j] = x[i * m + j] - factor * x[k * m + j]
    for back in range(n):
        i = n - 1 - back
        for k in range(i + 1, n):
            factor = a[i * n + k]
            for j in independent(0, m):
                x[i * m + j] = x[i * m + j] - factor * x[k * m + j]
        pivot = a[i * n + i]
        for j in independent(0, m):
            x[i * m + j] = x[i * m + j] / pivot


@native
def factorise_each(frame: WORD, params: WORD, begin: i64, end: i64):
    """Parameters: words of the matrices, pivots and codes; size."""
    n = N if N else params[3]
    a = bitcast(frame[params[0]], ptr(T))
    pivots = bitcast(frame[params[1]], ptr(i32))
    codes = bitcast(frame[params[2]], ptr(i32))
    for b in range(begin, end):
        codes[b] = factorise(T, a + b * n * n, pivots + b * n, n)


@native
def solve_each(frame: WORD, params: WORD, begin: i64, end: i64):
    """Parameters: words of the matrices (overwritten), pivots, codes and right-hand sides; size, columns, whether a matrix
    without a pivot is left alone. IDENTITY: the right-hand sides are made here, as unit matrices."""
    n = N if N else params[4]
    m = n if IDENTITY else params[5]
    a = bitcast(frame[params[0]], ptr(T))
    pivots = bitcast(frame[params[1]], ptr(i32))
    codes = bitcast(frame[params[2]], ptr(i32))
    right = bitcast(frame[params[3]], ptr(T))
    for b in range(begin, end):
        own = a + b * n * n
        x = right + b * n * m
        code = factorise(T, own, pivots + b * n, n)
        codes[b] = code
        if IDENTITY:
            for k in independent(0, n * n):
                x[k] = T(0)
            for k in range(n):
                x[k * n + k] = T(1)
        if code == 0 or params[6] == 0:
            substitute(T, own, pivots + b * n, x, n, m)


@native
def determinants(frame: WORD, params: WORD, begin: i64, end: i64):
    """Product of the pivots with its sign, and its size as a mantissa and a power of two (which cannot overflow).

    Parameters: words of the matrices, pivots, products, signs, mantissas, exponents; size."""
    n = N if N else params[6]
    a = bitcast(frame[params[0]], ptr(T))
    pivots = bitcast(frame[params[1]], ptr(i32))
    products = bitcast(frame[params[2]], ptr(T))
    signs = bitcast(frame[params[3]], ptr(T))
    mantissas = bitcast(frame[params[4]], ptr(f64))
    exponents = bitcast(frame[params[5]], ptr(f64))
    for b in range(begin, end):
        own = a + b * n * n
        factorise(T, own, pivots + b * n, n)
        product = T(1)
        sign = T(1)
        mantissa = f64(1)
        exponent = f64(0)
        for k in range(n):
            pivot = own[k * n + k]
            if pivots[b * n + k] != k + 1:
                product = -product
                sign = -sign
            product = product * pivot
            if pivot < T(0):
                sign = -sign
            if pivot == T(0):
                sign = T(0)
            if pivot != pivot:
                sign = T(0)
            mantissa = mantissa * fabs(f64(pivot))
            if mantissa > f64(1e100) and mantissa < f64(1e200):
                mantissa = mantissa * f64(2.0**-332)
                exponent = exponent + f64(332)
            if mantissa < f64(1e-100) and mantissa > f64(1e-200):
                mantissa = mantissa * f64(2.0**332)
                exponent = exponent - f64(332)
        products[b] = product
        signs[b] = sign
        mantissas[b] = mantissa
        exponents[b] = exponent


@native
def cholesky_each(frame: WORD, params: WORD, begin: i64, end: i64):
    """Lower factor from the lower triangle, row by row (UPPER: upper factor from the upper triangle).

    Parameters: words of the matrices, factors and codes; size."""
    n = N if N else params[3]
    source = bitcast(frame[params[0]], ptr(T))
    factors = bitcast(frame[params[1]], ptr(T))
    codes = bitcast(frame[params[2]], ptr(i32))
    row = 1 if UPPER else n  # steps of the triangle that is read and written
    column = n if UPPER else 1
    for b in range(begin, end):
        a = source + b * n * n
        made = factors + b * n * n
        code = i32(0)
        for k in independent(0, n * n):
            made[k] = T(0)
        for i in range(n):
            for j in range(i + 1):
                total = a[i * row + j * column]
                for k in range(j):
                    total = total - made[i * row + k * column] * made[j * row + k * column]
                if i != j:
                    made[i * row + j * column] = total / made[j * row + j * column]
                elif total > T(0):
                    made[i * row + i * column] = sqrt(total)
                else:
                    made[i * row + i * column] = total
                    if code == 0:
                        code = i32(i + 1)
            if code != 0:
                break
        codes[b] = code


@native
def triangles_left(frame: WORD, params: WORD, begin: i64, end: i64):
    """``A X = B`` with triangular A, in place of B. Parameters: words of A and B; size, columns."""
    n = N if N else params[2]
    m = params[3]
    for b in range(begin, end):
        a = bitcast(frame[params[0]], ptr(T)) + b * n * n
        x = bitcast(frame[params[1]], ptr(T)) + b * n * m
        for step in range(n):
            i = n - 1 - step if UPPER else step
            first = i + 1 if UPPER else i64(0)
            last = n if UPPER else i
            for k in range(first, last):
                factor = a[i * n + k]
                for j in independent(0, m):
                    x[i * m + j] = x[i * m + j] - factor * x[k * m + j]
            if not UNIT:
                pivot = a[i * n + i]
                for j in independent(0, m):
                    x[i * m + j] = x[i * m + j] / pivot


@native
def triangles_right(frame: WORD, params: WORD, begin: i64, end: i64):
    """``X A = B`` with triangular A, in place of B (m rows). Parameters: words of A and B; size, rows."""
    n = N if N else params[2]
    m = params[3]
    for b in range(begin, end):
        a = bitcast(frame[params[0]], ptr(T)) + b * n * n
        x = bitcast(frame[params[1]], ptr(T)) + b * n * m
        for r in range(m):
            own = x + r * n
            for step in range(n):
                i = step if UPPER else n - 1 - step
                if not UNIT:
                    own[i] = own[i] / a[i * n + i]
                factor = own[i]
                first = i + 1 if UPPER else i64(0)
                last = n if UPPER else i
                for j in independent(first, last):
                    own[j] = own[j] - factor * a[i * n + j]


@native
def first_failure(frame: WORD, params: WORD, begin: i64, end: i64):
    """Refuse for the first code that is not 0. Parameters: word of the codes; how many."""
    codes = bitcast(frame[params[0]], ptr(i32))
    for b in range(params[1]):
        if codes[b] != 0:
            frame[0] = 1
            frame[1] = i64(codes[b])
            frame[2] = b
            return
