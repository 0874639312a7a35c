"""Matrix products against NumPy: sizes, strides, types, batches, scales, epilogues; buffers are guarded."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flambeau.backend.cpu import blas, gemm, jit, runtime
from flambeau.backend.cpu.emit import ScalarFunction
from flambeau.backend.cpu.gemm import Epilogue, Operand, Slot
from flambeau.ir.expr import constant, leaf, maximum

from .guarded import Guarded, from_bfloat16, guarded, to_bfloat16

NUMPY = {
    "f32": np.float32, "f64": np.float64, "f16": np.float16, "bf16": np.uint16, "i8": np.int8, "u8": np.uint8,
    "i16": np.int16, "i32": np.int32, "i64": np.int64, "c64": np.complex64, "c128": np.complex128,
}  # fmt: skip
#: relative to the sum of the absolute products
TOLERANCE = {"f32": 4e-6, "f64": 1e-14, "f16": 1e-3, "bf16": 8e-3, "c64": 8e-6, "c128": 2e-14}
CODES = sorted(NUMPY)

rng = np.random.default_rng(7)


def numbers(code, shape):
    """Random elements; bfloat16 is given as the float32 values that it can hold."""
    if code[0] in "iu":
        info = np.iinfo(NUMPY[code])
        return rng.integers(info.min, info.max, shape, dtype=NUMPY[code], endpoint=True)
    x = rng.standard_normal(shape)
    if code[0] == "c":
        return (x + 1j * rng.standard_normal(shape)).astype(NUMPY[code])
    return from_bfloat16(to_bfloat16(x)) if code == "bf16" else x.astype(NUMPY[code])


def stored(code, x):
    return to_bfloat16(x) if code == "bf16" else x


def loaded(code, x):
    return from_bfloat16(x) if code == "bf16" else x


def arranged(x, kind):
    """A guarded copy of x and its strides: n rows, t transposed, s spread out, r rows far apart."""
    item = x.itemsize
    if kind == "t":
        base = np.ascontiguousarray(np.swapaxes(x, -1, -2))
        view = np.swapaxes(base, -1, -2)
    elif kind == "s":
        base = np.zeros(
            (*x.shape[:-2], x.shape[-2] * 2 - 1, x.shape[-1] * 3 - 2) if 0 not in x.shape else (0,), x.dtype
        )
        view = base[..., ::2, ::3] if base.size else x
        view[...] = x
    elif kind == "r":
        base = np.zeros((*x.shape[:-1], -(-max(x.shape[-1], 1) // 1024) * 1024), x.dtype)
        view = base[..., : x.shape[-1]]
        view[...] = x
        if base.size:  # end with the last element
            last = base.size - base.shape[-1] + x.shape[-1]
            strides = tuple(s // item for s in view.strides)
            return guarded(base.reshape(-1)[:last]), strides
    else:
        base = view = np.ascontiguousarray(x)
    return guarded(base.reshape(-1)), tuple(s // item for s in view.strides)


SCRATCHES = 2  # buffers that a product asks for at most


class Multiplier:
    """One product on guarded buffers in slots 4, 5, ...; then guarded scratch buffers, then scalars."""

    def __init__(self, code, shape, kind="n"):
        self.code, self.kind, self.shape = code, kind, shape
        self.buffers, self.scalars, self.scratches = [], [], []
        self.out = self.operand(np.full(shape, 77, NUMPY[code]), kind)
        self.out_strides = (self.out.batch, self.out.row, self.out.column)

    def operand(self, x, kind="n", batch=None) -> Operand:
        buffer, strides = arranged(x, kind)
        self.buffers.append(buffer)
        strides = tuple(
            0 if n == 1 and d < x.ndim - 2 else s for d, (n, s) in enumerate(zip(x.shape, strides))
        )
        lead = (0,) * (len(batch or ()) - x.ndim + 2) + strides[:-2]
        return Operand(3 + len(self.buffers), 0, lead, *strides[-2:])

    def scalar(self, value) -> Slot:
        parts = [value.real, value.imag] if self.code[0] == "c" else [value]
        self.scalars += parts
        return Slot(4 + len(self.buffers) + SCRATCHES + len(self.scalars) - len(parts))

    def run(self, m, n, k, **more) -> np.ndarray:
        def scratch(nbytes):
            self.scratches.append(Guarded(nbytes, align=64))
            return 4 + len(self.buffers) + len(self.scratches) - 1

        steps = gemm.product(self.code, m, n, k, out=self.out, scratch=scratch, **more)
        while len(self.scratches) < SCRATCHES:
            scratch(0)
        kinds = [1 if self.code[0] in "iu" else 0 for _ in self.scalars]
        used = [*self.buffers, *self.scratches]
        call = runtime.program([], len(used), steps, scalars=kinds)
        arguments = [x for b in used for x in (b.memory, 0)]
        assert call(*arguments, *self.scalars) is True
        for one in used:
            one.check()
        return self.result()

    def result(self) -> np.ndarray:
        batch, row, column = self.out_strides
        strides = [s * NUMPY[self.code]().itemsize for s in (*batch, row, column)]
        data = self.buffers[0].data.view(NUMPY[self.code])
        return loaded(self.code, np.lib.stride_tricks.as_strided(data, self.shape, strides).copy())


def close(code, got, want, scale):
    if code[0] in "iu":
        np.testing.assert_array_equal(got, want)
        return
    room = TOLERANCE[code] * (scale + np.abs(want) + 1e-30)
    assert got.shape == want.shape
    assert (np.abs(got.astype(complex) - want) <= room).all(), np.abs(got.astype(complex) - want).max()


def reference(code, a, b):
    """The product in a wider type (wrapping integers stay as they are), and the sum of absolute products."""
    if code[0] in "iu":
        with np.errstate(all="ignore"):
            return a @ b, None
    wide = np.complex128 if code[0] == "c" else np.float64
    return a.astype(wide) @ b.astype(wide), np.abs(a).astype(float) @ np.abs(b).astype(float)


def check(code, a_shape, b_shape, kinds="nnn"):
    a, b = numbers(code, a_shape), numbers(code, b_shape)
    batch = np.broadcast_shapes(a_shape[:-2], b_shape[:-2])
    one = Multiplier(code, (*batch, a_shape[-2], b_shape[-1]), kinds[2])
    got = one.run(
        a_shape[-2], b_shape[-1], a_shape[-1], a=one.operand(stored(code, a), kinds[0], batch),
        b=one.operand(stored(code, b), kinds[1], batch), batch=batch,
    )  # fmt: skip
    close(code, got, *reference(code, a, b))


SIZES = [
    (1, 1, 1), (2, 3, 4), (4, 4, 4), (7, 5, 3), (17, 33, 1), (14, 32, 64), (15, 31, 65), (37, 41, 43),
    (64, 64, 64), (3, 100, 7), (61, 1, 9), (1, 61, 9), (1, 1, 300), (1, 300, 300), (300, 1, 300),
    (33, 130, 400), (5, 17, 1000), (130, 67, 129), (2, 2, 9001), (1, 9, 9001), (9, 1, 9001),
]  # fmt: skip


@pytest.mark.parametrize("kinds", ["nnn", "ntn", "tnn", "ttn", "nnt", "sss", "rrn", "srt", "tst"])
@pytest.mark.parametrize("code", ["f32", "f64"])
def test_sizes_and_strides(code, kinds):
    for m, n, k in SIZES:
        check(code, (m, k), (k, n), kinds)


@pytest.mark.parametrize("code", [c for c in CODES if c not in ("f32", "f64")])
def test_other_types(code):
    for kinds in ("nnn", "ttn", "ntt", "sss"):
        for m, n, k in [
            (1, 1, 1),
            (4, 5, 3),
            (17, 35, 40),
            (1, 70, 130),
            (70, 1, 130),
            (20, 40, 300),
            (33, 9, 500),
        ]:
            check(code, (m, k), (k, n), kinds)


@pytest.mark.parametrize("code", ["f32", "f64", "f16", "i32", "c64"])
def test_nothing_to_sum_gives_zero(code):
    for m, n in ((1, 1), (1, 40), (40, 1), (5, 33)):
        check(code, (m, 0), (0, n))
        check(code, (m, 0), (0, n), "ntt")


def test_empty_results_have_no_steps():
    one = Operand(4, 0, (), 1, 1)
    assert gemm.product("f32", 0, 5, 3, a=one, b=one, out=one, scratch=pytest.fail) == []
    one = Operand(4, 0, (0,), 1, 1)
    assert gemm.product("f32", 2, 5, 3, a=one, b=one, out=one, scratch=pytest.fail, batch=(0,)) == []


@pytest.mark.parametrize("kinds", ["nnn", "ntn", "tnn", "rrn"])
def test_large_sizes_take_the_packed_and_shared_ways(kinds):
    check("f32", (300, 1100), (1100, 520), kinds)
    check("f32", (600, 400), (400, 1030), kinds)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((5, 3, 4), (5, 4, 6)), ((5, 3, 4), (4, 6)), ((3, 4), (5, 4, 6)), ((2, 1, 3, 4), (1, 5, 4, 6)),
        ((2, 3, 4, 5, 6), (2, 3, 4, 6, 7)), ((200, 1, 9), (200, 9, 1)), ((7, 1, 40), (7, 40, 50)),
        ((7, 40, 30), (30, 1)), ((3, 20, 64), (3, 64, 64)), ((40, 33, 40), (1, 40, 40)),
        ((2, 4, 30, 300), (2, 1, 300, 9)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("code", ["f32", "c64", "i8"])
def test_batches(code, a, b):
    for kinds in ("nnn", "ntn", "tnt"):
        check(code, a, b, kinds)


def test_operands_with_stride_zero():
    one = Multiplier("f32", (6, 20))
    a, b = numbers("f32", (1, 9)), numbers("f32", (9, 1))
    got = one.run(6, 20, 9, a=one.operand(a)._replace(row=0), b=one.operand(b)._replace(column=0))
    np.testing.assert_allclose(got, np.full((6, 20), (a @ b).item()), rtol=1e-5)


def bias_shapes(m, n):
    return [(m, n), (1, n), (m, 1), (1, 1)]


@pytest.mark.parametrize("code", ["f32", "f64", "bf16", "i16", "c64"])
def test_bias_alpha_beta(code):
    for m, n, k in [(4, 4, 4), (33, 47, 20), (1, 40, 70), (40, 1, 70), (20, 40, 500), (200, 40, 900)]:
        for shape in bias_shapes(m, n):
            for slots in (False, True):
                a, b, c = numbers(code, (m, k)), numbers(code, (k, n)), numbers(code, shape)
                alpha, beta = (
                    (2 - 1j, 0.5j) if code[0] == "c" else (3, -2) if code[0] in "iu" else (1.5, -0.25)
                )
                one = Multiplier(code, (m, n))
                operands = [one.operand(stored(code, x)) for x in (a, b, c)]
                bias = operands[2]._replace(
                    row=0 if shape[0] == 1 else shape[1], column=0 if shape[1] == 1 else 1
                )
                scales = (
                    {"alpha": one.scalar(alpha), "beta": one.scalar(beta)}
                    if slots
                    else {"alpha": alpha, "beta": beta}
                )
                got = one.run(m, n, k, a=operands[0], b=operands[1], bias=bias, **scales)
                want, size = reference(code, a, b)
                with np.errstate(all="ignore"):
                    want = (
                        (want * NUMPY[code](alpha) + c * NUMPY[code](beta))
                        if code[0] in "iu"
                        else want * alpha + c * beta
                    )
                close(code, got, want, None if size is None else size * abs(alpha) + np.abs(c) * abs(beta))


@pytest.mark.parametrize("code", ["f32", "bf16", "c64"])
@pytest.mark.parametrize(
    ("entries", "m", "n", "k"), [(3, 5, 20, 7), (2, 20, 40, 500), (2, 1, 30, 40), (2, 3, 4, 9000)]
)
def test_batched_bias_and_offsets(code, entries, m, n, k):
    """Operands begin inside their buffers, the bias differs between the entries of the batch."""
    a, b = numbers(code, (entries, m, k)), numbers(code, (entries, k, n))
    for shape in ((entries, m, n), (entries, 1, n)):
        c = numbers(code, shape)
        one = Multiplier(code, (entries + 1, m, n))
        operands = [one.operand(stored(code, np.concatenate([x[:1], x]))) for x in (a, b, c)]
        one.out = one.out._replace(offset=m * n)
        oa, ob, bias = (o._replace(offset=o.batch[0]) for o in operands)
        bias = bias._replace(row=0 if shape[1] == 1 else n)
        got = one.run(m, n, k, a=oa, b=ob, bias=bias, batch=(entries,))
        want, size = reference(code, a, b)
        close(code, got[1:], want + c, size + np.abs(c))
        assert (got[0] == loaded(code, np.full(1, 77, NUMPY[code]))).all(), (
            "the entry before the result was written"
        )


def test_zero_beta_ignores_the_bias():
    one = Multiplier("f32", (5, 6))
    a, b = numbers("f32", (5, 7)), numbers("f32", (7, 6))
    bias = one.operand(np.full((5, 6), np.nan, np.float32))
    got = one.run(5, 6, 7, a=one.operand(a), b=one.operand(b), bias=bias, beta=0)
    np.testing.assert_allclose(got, a @ b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("code", ["f32", "f16", "i64"])
def test_accumulate(code):
    for m, n, k in [(5, 6, 7), (40, 50, 900), (200, 1, 40), (1, 33, 50), (2, 2, 9000), (300, 20, 900)]:
        one = Multiplier(code, (m, n))
        a, b = numbers(code, (m, k)), numbers(code, (k, n))
        got = one.run(m, n, k, a=one.operand(a), b=one.operand(b), accumulate=True)
        want, size = reference(code, a, b)
        close(code, got, (want + 77).astype(want.dtype), None if size is None else size + 77)


def test_epilogue_reads_and_scalars():
    """relu(x) * s + residual, fused; on tiles, rows of vectors, cut k, and with a strided result."""
    x, residual, s = leaf("input", 0, "f32"), leaf("input", 1, "f32"), leaf("scalar", 0, "f32")
    rule = ScalarFunction([maximum(x, constant(0.0, "f32")) * s + residual])
    for kind in "nts":
        for m, n, k in [(4, 4, 4), (33, 47, 20), (1, 40, 70), (20, 40, 500), (2, 3, 9000), (61, 33, 600)]:
            a, b, c, r = (numbers("f32", shape) for shape in ((m, k), (k, n), (1, n), (m, n)))
            one = Multiplier("f32", (m, n), kind)
            oa, ob, oc, oread = (
                one.operand(a),
                one.operand(b),
                one.operand(c)._replace(row=0),
                one.operand(r, "t"),
            )
            got = one.run(
                m, n, k, a=oa, b=ob, bias=oc,
                epilogue=Epilogue(rule, (("f32", oread),), (("f32", one.out),), (("f32", one.scalar(2.5).word),)),
            )  # fmt: skip
            want, size = reference("f32", a, b)
            close("f32", got, np.maximum(want + c, 0) * 2.5 + r, size * 2.5 + np.abs(c) + np.abs(r))


def test_epilogue_of_integers_sees_the_wrapped_element():
    x = leaf("input", 0, "i8")
    rule = ScalarFunction([maximum(x, constant(0, "i8"))])
    one = Multiplier("i8", (9, 21))
    a, b = numbers("i8", (9, 30)), numbers("i8", (30, 21))
    epilogue = Epilogue(rule, (), (("i8", one.out),))
    got = one.run(9, 21, 30, a=one.operand(a), b=one.operand(b), epilogue=epilogue)
    np.testing.assert_array_equal(got, np.maximum(a @ b, 0))


@pytest.mark.parametrize(
    ("m", "n", "k"), [(200, 190, 180), (1, 2000, 700), (3, 5, 60000), (40, 300, 2000), (5, 1, 90000)]
)
@pytest.mark.parametrize("kind", "nt")
def test_threads_change_no_bit(m, n, k, kind):
    a, b = numbers("f32", (m, k)), numbers("f32", (k, n))
    before, found = runtime.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            runtime.set_num_threads(threads)
            one = Multiplier("f32", (m, n))
            found.append(one.run(m, n, k, a=one.operand(a), b=one.operand(b, kind)))
    finally:
        runtime.set_num_threads(before)
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_special_values_spread_as_in_a_sum():
    a, b = numbers("f32", (20, 30)), numbers("f32", (30, 40))
    a[3, 5], a[7, 2], b[4, 9] = np.nan, np.inf, -np.inf
    one = Multiplier("f32", (20, 40))
    got = one.run(20, 40, 30, a=one.operand(a), b=one.operand(b))
    with np.errstate(all="ignore"):
        want = (a.astype(np.float64) @ b.astype(np.float64)).astype(np.float32)
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.sampled_from(CODES), st.integers(0, 40), st.integers(0, 70), st.integers(0, 150),
    st.text("nts", min_size=3, max_size=3),
    st.sampled_from([((), ()), ((3,), (3,)), ((2, 1), (2, 3)), ((), (4,)), ((5,), ())]),
)  # fmt: skip
def test_any_product(code, m, n, k, kinds, batches):
    if 0 in (m, n):
        kinds = "nnn"
    check(code, (*batches[0], m, k), (*batches[1], k, n), kinds)


@pytest.mark.parametrize("width", [16, 32])
def test_narrower_vectors(width, monkeypatch):
    """The kernels of machines with smaller registers."""
    monkeypatch.setitem(jit._state, "vector_bytes", width)
    caches = [gemm.tile_kernels, gemm.copy_kernel]
    kept = dict(gemm._finishes)
    for cache in caches:
        cache.cache_clear()
    gemm._finishes.clear()
    try:
        for code in ("f32", "f64"):
            for m, n, k in SIZES[::2]:
                check(code, (m, k), (k, n), "nnn")
                check(code, (m, k), (k, n), "ttt")
    finally:
        for cache in caches:
            cache.cache_clear()
        gemm._finishes.clear()
        gemm._finishes.update(kept)


def test_nothing_compiles_twice():
    check("f32", (20, 30), (30, 40))
    before = dict(jit.counts)
    for m, n, k in [(5, 6, 7), (100, 200, 50), (64, 64, 64)]:
        check("f32", (m, k), (k, n))
    assert jit.counts == before


# -- OpenBLAS ------------------------------------------------------------------------------------------------


def test_every_lapack_signature_is_the_header_s():
    """The letters of the table against the header that the package ships."""
    package = pytest.importorskip("scipy_openblas32")
    header = Path(package.get_include_dir(), "lapacke.h")
    if not header.exists():
        pytest.skip("the package has no lapacke.h")
    text = header.read_text()
    kinds = {"int": "i", "lapack_int": "i", "char": "c", "float": "s", "double": "s"}
    for routine, letters in blas.LAPACK.items():
        for letter in "sdcz":
            found = re.search(rf"LAPACKE_{letter}{routine}\s*\(([^)]*)\)", text)
            if found is None:  # such as dhetrf: not for this type
                continue
            said = ["p" if "*" in part else kinds[part.split()[-2]] for part in found[1].split(",")]
            if letter + routine in ("cgeev", "zgeev"):
                continue
            assert "".join(said) == letters, routine


@pytest.mark.parametrize("letter", "sdcz")
def test_lapack_routines_solve(letter):
    code = {"s": "f32", "d": "f64", "c": "c64", "z": "c128"}[letter]
    a, b = numbers(code, (6, 6)), numbers(code, (6, 2))
    lu, x, pivots = a.copy(), b.copy(), np.zeros(6, np.int32)
    info = blas.lapack(letter + "gesv")(
        blas.ROW_MAJOR, 6, 2, lu.ctypes.data, 6, pivots.ctypes.data, x.ctypes.data, 2
    )
    assert info == 0
    np.testing.assert_allclose(a @ x, b, atol=1e-3)
    work, values, none = a.copy(), np.zeros(12, NUMPY[code]), np.zeros(1, NUMPY[code])
    parts = [values.ctypes.data] if letter in "cz" else [values[:6].ctypes.data, values[6:].ctypes.data]
    info = blas.lapack(letter + "geev")(
        blas.ROW_MAJOR, b"N", b"N", 6, work.ctypes.data, 6, *parts, none.ctypes.data, 1, none.ctypes.data, 1
    )  # fmt: skip
    assert info == 0
    found = values[:6] if letter in "cz" else values[:6] + 1j * values[6:]
    np.testing.assert_allclose(found.sum(), np.trace(a), atol=1e-3)


def test_cblas_and_addresses():
    a, b, c = numbers("f32", (5, 7)), numbers("f32", (7, 3)), np.zeros((5, 3), np.float32)
    blas.cblas("sgemm")(
        blas.ROW_MAJOR, blas.NO_TRANSPOSE, blas.NO_TRANSPOSE, 5, 3, 7, 1.0, a.ctypes.data, 7, b.ctypes.data,
        3, 0.0, c.ctypes.data, 3,
    )  # fmt: skip
    np.testing.assert_allclose(c, a @ b, rtol=1e-5, atol=1e-5)
    assert blas.address("LAPACKE_sgesv") != 0
    with pytest.raises(RuntimeError, match="OpenBLAS has no function"):
        blas.address("no_such_routine")


def test_missing_library_is_explained(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "scipy_openblas32", None)
    blas.library.cache_clear()
    try:
        with pytest.raises(RuntimeError, match=r"(?s)needs OpenBLAS.*fix   pip install scipy-openblas32"):
            blas.library()
    finally:
        blas.library.cache_clear()
