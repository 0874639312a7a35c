"""Kernels of Fourier transforms: as many transforms at once as a vector has lanes.

A block of L transforms of length n lies in scratch memory as ``[n][real, imaginary][L]``, so that every step works on whole
vectors. It is loaded and stored by transposing in registers, or by splitting pairs where the lanes are neighbours.
Source: Stockham's self-sorting form (Cochran et al. 1967, What is the fast Fourier transform?), radices 2 to 5.
"""

from __future__ import annotations

from types import SimpleNamespace

from .gemm_pack import transposed
from .native import bitcast, independent, load, native, shuffle, splat, store, unroll
from .types import f64, i64, ptr, vec

WORD = ptr(i64)
#: words of the parameters; strides count complex elements, offsets words from the start of the parameters
NAMES = (
    "source", "target", "scratch", "n", "lanes", "source_lane", "source_step", "target_lane", "target_step", "stages",
    "stage_table", "factors", "flip", "scale", "turns", "turn_lanes", "tasks", "blocks", "total", "dims",
)  # fmt: skip
at = SimpleNamespace(**{name: position for position, name in enumerate(NAMES)})
OUTER = len(NAMES)
ANY, ROWS, NEIGHBOURS = 0, 1, 2  # how the lanes of a block lie in memory


# -- steps ---------------------------------------------------------------------------------------------------------------


@native
def put(T, L, y: ptr(T), re, im, wr, wi):
    """Store a complex vector times a factor."""
    store(y, re * wr - im * wi)
    store(y + L, re * wi + im * wr)


@native
def pass_2(T, L, x: ptr(T), y: ptr(T), m: i64, s: i64, w: ptr(T)):
    W = vec(T, L)
    for p in range(m, unroll=None):
        r1, i1 = splat(w[2 * p], L), splat(w[2 * p + 1], L)
        for q in range(s, unroll=None):
            a = x + (q + s * p) * 2 * L
            b = a + s * m * 2 * L
            to = y + (q + s * 2 * p) * 2 * L
            ar, ai, br, bi = load(a, W), load(a + L, W), load(b, W), load(b + L, W)
            store(to, ar + br)
            store(to + L, ai + bi)
            put(T, L, to + s * 2 * L, ar - br, ai - bi, r1, i1)


@native
def pass_3(T, L, x: ptr(T), y: ptr(T), m: i64, s: i64, w: ptr(T)):
    W = vec(T, L)
    sine = splat(T(0.8660254037844386), L)
    half = splat(T(0.5), L)
    for p in range(m, unroll=None):
        r1, i1 = splat(w[4 * p], L), splat(w[4 * p + 1], L)
        r2, i2 = splat(w[4 * p + 2], L), splat(w[4 * p + 3], L)
        for q in range(s, unroll=None):
            a = x + (q + s * p) * 2 * L
            step = s * m * 2 * L
            to = y + (q + s * 3 * p) * 2 * L
            ar, ai = load(a, W), load(a + L, W)
            br, bi = load(a + step, W), load(a + step + L, W)
            cr, ci = load(a + 2 * step, W), load(a + 2 * step + L, W)
            tr, ti = br + cr, bi + ci
            dr, di = (br - cr) * sine, (bi - ci) * sine
            store(to, ar + tr)
            store(to + L, ai + ti)
            mr, mi = ar - tr * half, ai - ti * half
            put(T, L, to + s * 2 * L, mr + di, mi - dr, r1, i1)
            put(T, L, to + s * 4 * L, mr - di, mi + dr, r2, i2)


@native
def pass_4(T, L, x: ptr(T), y: ptr(T), m: i64, s: i64, w: ptr(T)):
    W = vec(T, L)
    for p in range(m, unroll=None):
        r1, i1 = splat(w[6 * p], L), splat(w[6 * p + 1], L)
        r2, i2 = splat(w[6 * p + 2], L), splat(w[6 * p + 3], L)
        r3, i3 = splat(w[6 * p + 4], L), splat(w[6 * p + 5], L)
        for q in range(s, unroll=None):
            a = x + (q + s * p) * 2 * L
            step = s * m * 2 * L
            to = y + (q + s * 4 * p) * 2 * L
            ar, ai = load(a, W), load(a + L, W)
            br, bi = load(a + step, W), load(a + step + L, W)
            cr, ci = load(a + 2 * step, W), load(a + 2 * step + L, W)
            dr, di = load(a + 3 * step, W), load(a + 3 * step + L, W)
            er, ei, fr, fi = ar + cr, ai + ci, ar - cr, ai - ci
            gr, gi, hr, hi = br + dr, bi + di, br - dr, bi - di
            store(to, er + gr)
            store(to + L, ei + gi)
            put(T, L, to + s * 2 * L, fr + hi, fi - hr, r1, i1)
            put(T, L, to + s * 4 * L, er - gr, ei - gi, r2, i2)
            put(T, L, to + s * 6 * L, fr - hi, fi + hr, r3, i3)


@native
def pass_5(T, L, x: ptr(T), y: ptr(T), m: i64, s: i64, w: ptr(T)):
    W = vec(T, L)
    c1, c2 = splat(T(0.30901699437494745), L), splat(T(-0.8090169943749475), L)
    s1, s2 = splat(T(0.9510565162951535), L), splat(T(0.5877852522924731), L)
    for p in range(m, unroll=None):
        for q in range(s, unroll=None):
            a = x + (q + s * p) * 2 * L
            step = s * m * 2 * L
            to = y + (q + s * 5 * p) * 2 * L
            ar, ai = load(a, W), load(a + L, W)
            br, bi = load(a + step, W), load(a + step + L, W)
            cr, ci = load(a + 2 * step, W), load(a + 2 * step + L, W)
            dr, di = load(a + 3 * step, W), load(a + 3 * step + L, W)
            er, ei = load(a + 4 * step, W), load(a + 4 * step + L, W)
            pr, pi, mr, mi = br + er, bi + ei, br - er, bi - ei  # first and last
            qr, qi, nr, ni = cr + dr, ci + di, cr - dr, ci - di  # second and third
            store(to, ar + pr + qr)
            store(to + L, ai + pi + qi)
            ur, ui = ar + pr * c1 + qr * c2, ai + pi * c1 + qi * c2
            vr, vi = mr * s1 + nr * s2, mi * s1 + ni * s2
            put(T, L, to + s * 2 * L, ur + vi, ui - vr, splat(w[8 * p], L), splat(w[8 * p + 1], L))
            put(T, L, to + s * 8 * L, ur - vi, ui + vr, splat(w[8 * p + 6], L), splat(w[8 * p + 7], L))
            gr, gi = ar + pr * c2 + qr * c1, ai + pi * c2 + qi * c1
            hr, hi = mr * s2 - nr * s1, mi * s2 - ni * s1
            put(T, L, to + s * 4 * L, gr + hi, gi - hr, splat(w[8 * p + 2], L), splat(w[8 * p + 3], L))
            put(T, L, to + s * 6 * L, gr - hi, gi + hr, splat(w[8 * p + 4], L), splat(w[8 * p + 5], L))


@native
def all_passes(T, L, params: WORD, x: ptr(T), y: ptr(T)):
    """Run the stages between two buffers; gives the one that holds the result."""
    table = params + params[at.stage_table]
    factors = bitcast(params + params[at.factors], ptr(T))
    read, written = x, y
    for stage in range(params[at.stages], unroll=None):
        radix, m, s = table[4 * stage], table[4 * stage + 1], table[4 * stage + 2]
        w = factors + table[4 * stage + 3]
        if radix == 4:
            pass_4(T, L, read, written, m, s, w)
        elif radix == 2:
            pass_2(T, L, read, written, m, s, w)
        elif radix == 3:
            pass_3(T, L, read, written, m, s, w)
        else:
            pass_5(T, L, read, written, m, s, w)
        kept = read
        read = written
        written = kept
    return read


# -- into lanes and back -----------------------------------------------------------------------------------------------


@native
def load_block(T, L, MODE, source: ptr(T), lane: i64, step: i64, n: i64, count: i64, x: ptr(T), flip: i64):
    """Bring `count` transforms into lanes; `flip` exchanges real and imaginary parts, which turns the direction."""
    W = vec(T, L)
    re, im = x + flip * L, x + (1 - flip) * L
    done = i64(0)
    if MODE == ROWS:
        if count == L:
            done = n - n % (L // 2)
            for j in range(0, done, L // 2, unroll=None):
                rows = transposed([load(source + (c * lane + j) * 2, W) for c in unroll(L)])
                for v in unroll(L // 2):
                    store(re + (j + v) * 2 * L, rows[2 * v])
                    store(im + (j + v) * 2 * L, rows[2 * v + 1])
    if MODE == NEIGHBOURS:
        if count == L:
            done = n
            for j in range(n, unroll=None):
                a, b = load(source + j * step * 2, W), load(source + j * step * 2 + L, W)
                store(re + j * 2 * L, shuffle(a, b, [2 * k for k in unroll(L)]))
                store(im + j * 2 * L, shuffle(a, b, [2 * k + 1 for k in unroll(L)]))
    for j in range(done, n, unroll=None):
        for k in range(count, unroll=None):
            place = source + (k * lane + j * step) * 2
            re[j * 2 * L + k] = place[0]
            im[j * 2 * L + k] = place[1]
        for k in range(count, L, unroll=None):
            re[j * 2 * L + k] = T(0)
            im[j * 2 * L + k] = T(0)


@native
def store_block(
    T, L, MODE, x: ptr(T), flip: i64, n: i64, count: i64, scale: T, target: ptr(T), lane: i64, step: i64
):
    """Bring lanes back into memory, times `scale`."""
    W = vec(T, L)
    factor = splat(scale, L)
    re, im = x + flip * L, x + (1 - flip) * L
    done = i64(0)
    if MODE == ROWS:
        if count == L:
            done = n - n % (L // 2)
            for j in range(0, done, L // 2, unroll=None):
                rows = transposed(
                    [load((im if k % 2 else re) + (j + k // 2) * 2 * L, W) * factor for k in unroll(L)]
                )
                for c in unroll(L):
                    store(target + (c * lane + j) * 2, rows[c])
    if MODE == NEIGHBOURS:
        if count == L:
            done = n
            for j in range(n, unroll=None):
                a, b = load(re + j * 2 * L, W) * factor, load(im + j * 2 * L, W) * factor
                to = target + j * step * 2
                store(to, shuffle(a, b, [k // 2 + L * (k % 2) for k in unroll(L)]))
                store(to + L, shuffle(a, b, [(k + L) // 2 + L * (k % 2) for k in unroll(L)]))
    for j in range(done, n, unroll=None):
        for k in range(count, unroll=None):
            place = target + (k * lane + j * step) * 2
            place[0] = re[j * 2 * L + k] * scale
            place[1] = im[j * 2 * L + k] * scale


@native
def turn(T, L, params: WORD, x: ptr(T), n: i64, block: i64):
    """Multiply element j of lane l by ``w ** (j * (block * L + l))``, between the two halves of a long transform."""
    W = vec(T, L)
    firsts = bitcast(params + params[at.turns], ptr(T)) + block * n * 2
    lanes = bitcast(params + params[at.turn_lanes], ptr(T))
    for j in range(n, unroll=None):
        br, bi = splat(firsts[2 * j], L), splat(firsts[2 * j + 1], L)
        lr, li = load(lanes + j * 2 * L, W), load(lanes + j * 2 * L + L, W)
        wr, wi = br * lr - bi * li, br * li + bi * lr
        re, im = load(x + j * 2 * L, W), load(x + j * 2 * L + L, W)
        put(T, L, x + j * 2 * L, re, im, wr, wi)


@native
def transform(frame: WORD, params: WORD, begin: i64, end: i64):
    """Transforms along one dimension. A task has scratch memory of its own, and takes its share of the blocks of lanes."""
    n, flip = params[at.n], params[at.flip]
    scale = T(bitcast(params[at.scale], f64))
    for task in range(begin, end, unroll=None):
        x = bitcast(frame[params[at.scratch]], ptr(T)) + task * n * 4 * L
        first = params[at.total] * task // params[at.tasks]
        last = params[at.total] * (task + 1) // params[at.tasks]
        for item in range(first, last, unroll=None):
            source = bitcast(frame[params[at.source]], ptr(T))
            target = bitcast(frame[params[at.target]], ptr(T))
            block = item % params[at.blocks]
            rest = item // params[at.blocks]
            for d in range(params[at.dims], unroll=None):
                size = params[OUTER + 3 * d]
                source = source + rest % size * params[OUTER + 3 * d + 1] * 2
                target = target + rest % size * params[OUTER + 3 * d + 2] * 2
                rest = rest // size
            count = params[at.lanes] - block * L
            if count > L:
                count = i64(L)
            source = source + block * L * params[at.source_lane] * 2
            target = target + block * L * params[at.target_lane] * 2
            load_block(T, L, LOAD, source, params[at.source_lane], params[at.source_step], n, count, x, flip)
            found = all_passes(T, L, params, x, x + n * 2 * L)
            if TURN:
                turn(T, L, params, found, n, block)
            store_block(T, L, STORE, found, flip, n, count, scale, target, params[at.target_lane],
                        params[at.target_step])  # fmt: skip


# -- real data of even length: neighbours as one complex number -----------------------------------------------------


@native
def from_pairs(frame: WORD, params: WORD, begin: i64, end: i64):
    """Spectra of real rows from those of their pairs (even elements real, odd ones imaginary).

    Parameters: words of source (m complex numbers a row) and target (m + 1), m, scale, place of the roots of 1.
    """
    m = params[2]
    scale = T(bitcast(params[3], f64))
    half = scale * T(0.5)
    w = bitcast(params + params[4], ptr(T))
    for row in range(begin, end, unroll=None):
        z = bitcast(frame[params[0]], ptr(T)) + row * m * 2
        to = bitcast(frame[params[1]], ptr(T)) + row * (m + 1) * 2
        to[0] = (z[0] + z[1]) * scale
        to[1] = T(0)
        to[2 * m] = (z[0] - z[1]) * scale
        to[2 * m + 1] = T(0)
        for k in independent(1, m):
            back = 2 * (m - k)
            zr, zi, yr, yi = z[2 * k], z[2 * k + 1], z[back], -z[back + 1]
            er, ei, dr, di = zr + yr, zi + yi, zi - yi, yr - zr
            wr, wi = w[2 * k], w[2 * k + 1]
            to[2 * k] = (er + dr * wr - di * wi) * half
            to[2 * k + 1] = (ei + dr * wi + di * wr) * half


@native
def to_pairs(frame: WORD, params: WORD, begin: i64, end: i64):
    """Undoes `from_pairs`, times 2. Parameters: words of source (m + 1 numbers a row) and target (m), m, none, roots."""
    m = params[2]
    w = bitcast(params + params[4], ptr(T))
    for row in range(begin, end, unroll=None):
        x = bitcast(frame[params[0]], ptr(T)) + row * (m + 1) * 2
        to = bitcast(frame[params[1]], ptr(T)) + row * m * 2
        to[0] = x[0] + x[2 * m]
        to[1] = x[0] - x[2 * m]
        for k in independent(1, m):
            back = 2 * (m - k)
            xr, xi, yr, yi = x[2 * k], x[2 * k + 1], x[back], -x[back + 1]
            dr, di, wr, wi = xr - yr, xi - yi, w[2 * k], -w[2 * k + 1]
            to[2 * k] = xr + yr - (dr * wi + di * wr)
            to[2 * k + 1] = xi + yi + (dr * wr - di * wi)
