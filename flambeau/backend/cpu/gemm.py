"""Matrix products: chooses blocks, packing and kernels, and gives the steps of a program.

    result[..., i, j] = alpha * sum over p of a[..., i, p] * b[..., p, j] + beta * bias[..., i, j]

An epilogue makes of each element, before it leaves the cache, elements of other operands. Any strides, any number of
batch dimensions (stride 0 broadcasts), every dtype that PyTorch multiplies. The choice depends on sizes and strides
alone, so a result never depends on the number of threads.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import lru_cache
from math import prod
from typing import NamedTuple

from . import conv_lanes, gemm_finish, gemm_pack, gemm_tiles, gemm_vector, jit
from .builder import Module
from .emit import ScalarFunction
from .gemm_tiles import BATCH, MOVES, READ_LIMIT, READS, SCALAR_LIMIT, SCALARS, SLICE_BYTES, at
from .native import define
from .types import BY_CODE, Type, f32, f64, i32, i64

#: type in which products are summed, by type code; integers wrap around, so their upper bits do not matter
SUM_TYPES = {
    "f16": f32, "bf16": f32, "f32": f32, "f64": f64, "c64": f32, "c128": f64, "b1": i32, "i8": i32, "u8": i32,
    "i16": i32, "u16": i32, "i32": i32, "u32": i32, "i64": i64, "u64": i64,
}  # fmt: skip
PARTS = {"c64": f32, "c128": f64}

Step = tuple[int, list, int, int]


class Operand(NamedTuple):
    """A matrix of a frame: word that holds its address, then offset and strides in elements."""

    slot: int
    offset: int
    batch: tuple[int, ...]
    row: int
    column: int

    def turned(self) -> Operand:
        """The transpose."""
        return self._replace(row=self.column, column=self.row)


class Slot(NamedTuple):
    """A scale that is a scalar of the program: its frame word (a complex scale takes two words)."""

    word: int


class Epilogue(NamedTuple):
    """What is made of each element of a product when it is finished.

    function: its input 0 is the element in the type that is summed in, then one for each of `reads`; one output for
    each of `writes`. reads, writes: (type code, operand). scalars: (type code, word). raw: whether the product itself
    is stored too. room: the write where unfinished sums may wait, which nothing reads; -1 where there is none.
    """

    function: ScalarFunction
    reads: tuple[tuple[str, Operand], ...]
    writes: tuple[tuple[str, Operand], ...]
    scalars: tuple[tuple[str, int], ...] = ()
    raw: bool = False
    room: int = -1


class Known(NamedTuple):
    """What is kept of a product's steps in a program, so that they can be made anew with an epilogue."""

    arguments: dict  # of `product`
    scratch: tuple[tuple[int, int], ...]  # bytes and frame word of each buffer
    steps: int

    def again(self, epilogue: Epilogue, scratch: Callable[[int], int]) -> list[Step]:
        """The steps with an epilogue. scratch(nbytes) reserves what the program has no buffer for."""
        left = list(self.scratch)

        def reuse(nbytes: int) -> int:
            for one in left:
                if one[0] == nbytes:
                    left.remove(one)
                    return one[1]
            return scratch(nbytes)

        return product(**self.arguments, scratch=reuse, epilogue=epilogue)

    def takes(self, epilogue: Epilogue) -> bool:
        """Whether the epilogue's operands can be walked as the product walks its result."""
        if len(epilogue.reads) + len(epilogue.writes) + 1 > READ_LIMIT:
            return False
        if len(epilogue.scalars) > SCALAR_LIMIT or self.arguments.get("accumulate"):
            return False
        try:
            _product_of(**self.arguments, scratch=len, epilogue=epilogue).simplify()
        except Unsuitable:
            return False
        return True


class Unsuitable(Exception):
    """An epilogue's operand that cannot be walked as the product is."""


# -- compiled kernels ----------------------------------------------------------------------------------------


@lru_cache(None)
def _source_key() -> str:
    """Changes with the source of the kernels."""
    texts = []
    for module in (conv_lanes, gemm_tiles, gemm_pack, gemm_finish, gemm_vector):
        with open(module.__file__, "rb") as file:
            texts.append(file.read())
    return hashlib.sha256(b"".join(texts)).hexdigest()


def _key(*parts) -> str:
    """Key of a compiled object in the disk cache."""
    return f"gemm {parts!r} {jit.vector_bytes()} {_source_key()}"


def lanes_of(t: Type) -> int:
    """Elements in a vector register."""
    return jit.vector_bytes() // t.bytes


@lru_cache(None)
def tile_kernels(t: Type) -> dict[str, int]:
    """Addresses of `multiply` and `fold` for sums of type t."""
    rows = gemm_tiles.tile_rows(jit.vector_bytes())
    # masks cost nothing in the widest registers; elsewhere full tiles have code of their own
    unmasked = jit.vector_bytes() < 64
    statics = {"T": t, "L": lanes_of(t), "ROW_COUNTS": rows, "UNMASKED": unmasked}
    tiles = [(f"tile_{r}_{v}", r, v, False) for r in rows for v in (1, 2)]
    tiles += [(f"full_{r}", r, 2, True) for r in rows if unmasked]
    names = ["multiply", "fold"]

    def text() -> str:
        module = Module()
        for name, r, v, whole in tiles:
            more = {"ROWS": r, "V": v, "WHOLE": whole}
            define(module, name, gemm_tiles.tile, {**statics, **more}, export=False)
        for name in names:
            define(module, name, getattr(gemm_tiles, name), statics)
        return module.text()

    return dict(zip(names, jit.later(_key("tiles", t, tiles), text, names, 0), strict=True))


@lru_cache(None)
def copy_kernel(name: str, memory: Type, t: Type) -> int:
    """Address of a kernel that reads elements stored as `memory` and works in t, such as "pack_rows"."""
    rows = 4 if len(gemm_tiles.tile_rows(jit.vector_bytes())) == 5 else 2
    statics = {"M": memory, "T": t, "L": lanes_of(t), "R": rows, "C": 4}
    where = gemm_vector if name.endswith("product") else gemm_pack

    def text() -> str:
        module = Module()
        define(module, name, getattr(where, name), statics)
        return module.text()

    return jit.later(_key(name, memory, t, rows), text, [name], 0)[0]


_finishes: dict[tuple, int] = {}


def finish_kernel(code: str, bias: int, raw: int, scales: _Scales, kinds: Sequence[int], wide: bool) -> int:
    """Address of the function that writes tiles of this kind.

    bias, raw: one more than the column stride of the bias and the result, 0 without it; kinds: of the epilogue's operands
    (2 for any but 0 and 1). wide: whether it gets rows of a whole block.
    """
    t, epilogue = SUM_TYPES[code], scales.epilogue
    unit = scales.alpha == 1 and scales.beta == 1 and t.kind == "float"
    key: tuple = (code, int(bias > 0)) if code in PARTS else (code, bias, raw, unit)
    statics: dict = {"T": t, "M": PARTS.get(code) or BY_CODE[code], "BIAS": key[1], "RAW": raw, "UNIT": unit}
    statics |= {
        "L": lanes_of(t),
        "EPILOGUE": None,
        "READS": (),
        "WRITES": (),
        "SCALAR_CODES": (),
        "WIDE": wide,
    }
    if epilogue:
        n = len(epilogue.reads)
        reads = tuple((BY_CODE[c], kind) for (c, _), kind in zip(epilogue.reads, kinds))
        writes = tuple((BY_CODE[c], kind) for (c, _), kind in zip(epilogue.writes, kinds[n:]))
        scalars = tuple(c for c, _ in epilogue.scalars)
        statics |= {"EPILOGUE": epilogue.function, "READS": reads, "WRITES": writes}
        statics["SCALAR_CODES"] = scalars
        key = (*key, reads, writes, scalars, epilogue.function.fingerprint(), wide)
    found = _finishes.get(key)
    if found is None:

        def text() -> str:
            module = Module()
            define(
                module, "finish", gemm_finish.finish_pairs if code in PARTS else gemm_finish.finish, statics
            )
            return module.text()

        found = _finishes[key] = jit.later(_key("finish", *key), text, ["finish"], 1)[0]
    return found


# -- the plan of one product ---------------------------------------------------------------------------------

#: clock cycles of work below which a product is not worth splitting between threads
ALONE = 24_000
#: columns and rows of a block at most: the slice of b that a block reads stays in the second-level cache
BLOCK_COLUMNS, BLOCK_ROWS = 512, 1024
#: bytes of b from which it is packed, when its rows are read often enough to repay that
PACK_BYTES = 256 << 10
#: elements that one item of a pack step copies at least
PACK_ITEM = 16384
#: rows a multiple of so many bytes apart share sets of the caches
PAGE = 4096
#: pieces of k at most, when the result has too few blocks to share between threads
SPLITS = 16


def product(
    code: str,
    m: int,
    n: int,
    k: int,
    *,
    a: Operand,
    b: Operand,
    out: Operand,
    scratch: Callable[[int], int],
    batch: Sequence[int] = (),
    bias: Operand | None = None,
    alpha: complex | Slot = 1,
    beta: complex | Slot = 1,
    accumulate: bool = False,
    epilogue: Epilogue | None = None,
) -> list[Step]:
    """Steps that compute a (batched) product of an m x k and a k x n matrix of type `code` into `out`.

    scratch(nbytes) reserves a buffer for the call and gives its frame word. `bias` is added times `beta` (any
    strides: 0 repeats a row or a column; it may be `out` itself); `accumulate` stands for ``bias=out``.
    With an `epilogue`, `out` is written only where that says so, and the sums are those without one to the last bit.
    `out` must not overlap a or b.

    Raises: Unsuitable where the epilogue's operands cannot be walked as the product is (see `Known.takes`).
    """
    if 0 in (m, n, *batch):
        return []
    p = _product_of(
        code, m, n, k, a=a, b=b, out=out, scratch=scratch, batch=batch, bias=bias, alpha=alpha, beta=beta,
        accumulate=accumulate, epilogue=epilogue,
    )  # fmt: skip
    p.simplify()
    p.choose()
    return p.steps


def _product_of(
    code,
    m,
    n,
    k,
    *,
    a,
    b,
    out,
    scratch,
    batch=(),
    bias=None,
    alpha=1,
    beta=1,
    accumulate=False,
    epilogue=None,
) -> _Product:
    assert not (accumulate and bias), "accumulate is bias=out"
    bias = out if accumulate else bias
    own = [a, b, out, *([bias] if bias else [])]
    more = [o for _, o in (*epilogue.reads, *epilogue.writes)] if epilogue else []
    scales = _Scales(alpha, beta, epilogue)
    return _Product(code, m, n, k, own, more, list(batch), bias is not None, scales, scratch)


class _Scales(NamedTuple):
    alpha: complex | Slot
    beta: complex | Slot
    epilogue: Epilogue | None


class _Product:
    """One product while its steps are chosen. Operands: a, b, the result, the bias if any, the epilogue's.

    The epilogue's operands have no say in how the product is done: they follow, or are Unsuitable.
    """

    def __init__(self, code, m, n, k, own, more, batch, has_bias, scales, scratch):
        self.code, self.m, self.n, self.k, self.batch = code, m, n, k, batch
        self.own = len(own)
        self.operands: list[Operand] = [*own, *more]
        self.has_bias, self.scales, self.scratch = has_bias, scales, scratch
        self.t = SUM_TYPES[code]
        self.memory = PARTS.get(code) or BY_CODE[code]
        self.pairs = code in PARTS
        self.lanes = lanes_of(self.t)
        self.width = 2 * self.lanes
        self.steps: list[Step] = []
        assert len(self.operands) <= 3 + READ_LIMIT
        assert not (self.pairs and scales.epilogue), "complex products take no epilogue"

    # -- a simpler equal problem --
    def simplify(self) -> None:
        """Merge batch dimensions, fold them into the rows where b is shared, turn what is better turned."""
        self.merge_batch()
        if self.k == 1:  # its strides are never used
            a, b, *others = self.operands
            row = self.n if b.column == 1 else 1
            self.operands = [a._replace(column=1), b._replace(row=row), *others]
        self.fold_rows()
        if self.better_turned():
            self.m, self.n = self.n, self.m
            a, b, *others = [o.turned() for o in self.operands]
            self.operands = [b, a, *others]
            self.fold_rows()
        if self.n == 1:
            a, b, out, *reads = self.operands
            alone = self.own - 3  # reads of the product's own take any stride
            follow = [o._replace(column=1) for o in reads[alone:]]
            self.operands = [a, b._replace(column=1), out._replace(column=1), *reads[:alone], *follow]

    def better_turned(self) -> bool:
        """Whether to compute the transposed result: a vector is best a row, and rows best consecutive."""
        a, b, out = self.operands[:3]
        if self.pairs and 1 in (self.m, self.n):  # the left operand is read in place where k is consecutive
            return b.row == 1 if self.m == 1 else a.column != 1
        return self.m > 1 and (self.n == 1 or out.column != 1 and out.row == 1)

    def merge_batch(self) -> None:
        sizes: list[int] = []
        strides: list[list[int]] = [[] for _ in self.operands]
        for d, size in enumerate(self.batch):
            if size == 1:
                continue
            steps = [o.batch[d] for o in self.operands]
            if sizes and self.follow([s[-1] == step * size for s, step in zip(strides, steps)]):
                sizes[-1] *= size
                for s, step in zip(strides, steps):
                    s[-1] = step
            else:
                sizes.append(size)
                for s, step in zip(strides, steps):
                    s.append(step)
        self.batch = sizes
        self.operands = [o._replace(batch=tuple(s)) for o, s in zip(self.operands, strides)]

    def fold_rows(self) -> None:
        while self.batch and self.operands[1].batch[-1] == 0:
            a, b, *others = self.operands
            if self.m > 1 and not self.follow(
                [o.batch[-1] == self.m * o.row for o in (a, b._replace(row=0), *others)]
            ):
                return
            if self.m == 1:
                a, *others = [o._replace(row=o.batch[-1]) for o in (a, *others)]
            self.m *= self.batch.pop()
            self.operands = [o._replace(batch=o.batch[:-1]) for o in (a, b, *others)]

    def follow(self, fits: list[bool]) -> bool:
        """Whether the product's own operands fit a simplification, which the epilogue's must fit then."""
        if not all(fits[: self.own]):
            return False
        if not all(fits):
            raise Unsuitable
        return True

    # -- which way --
    def choose(self) -> None:
        """Add the steps of the way that suits the sizes and strides."""
        a, b = self.operands[:2]
        if not self.pairs:
            if b.row == 1 and self.inner_pays(a.column == 1):
                return self.inner()
            if self.m == 1 and b.column == 1 and self.n >= self.lanes // 2:
                return self.outer()
        return self.tiles()

    def inner_pays(self, consecutive: bool) -> bool:
        if self.m == 1:
            return self.k >= self.lanes // 2
        # folding the sums costs as much as 64 steps of k, packing b as much as 8 rows
        steps = self.k // self.lanes
        return consecutive and (steps >= 8 and self.m <= 32 or steps >= 24 and self.m <= 160)

    def inner(self) -> None:
        words = _Words(self)
        rows, columns = min(self.m, gemm_vector.INNER_ROWS), min(self.n, gemm_vector.INNER_COLUMNS)
        words.put(b_panel=self.operands[1].column, b_k=1)
        each = (self.k + 2 * self.lanes) * (3 if self.m == 1 else 1)
        if self.m * self.n * prod(self.batch) * each // self.lanes >= ALONE:  # enough blocks to share
            while columns > 16 and -(-self.m // rows) * -(-self.n // columns) * prod(self.batch) < 12:
                columns //= 2
        cost = rows * columns * each // self.lanes
        self.add_blocks("inner_product", words, rows, columns, cost)

    def outer(self) -> None:
        words = _Words(self)
        columns = self.n
        if self.n * self.k >= 4 * ALONE:
            columns = max(self.width * 4, -(-self.n // 4 // self.width) * self.width)
        columns = min(columns, self.n, gemm_vector.OUTER_COLUMNS)
        self.add_blocks("outer_product", words, 1, columns, columns * self.k * 2 // self.lanes)

    def tiles(self) -> None:
        words = _Words(self)
        scale = words.scale
        m, n, k = self.m, self.n * scale, self.k * scale
        b = self.operands[1]
        piece = SLICE_BYTES // self.t.bytes
        copy, pack = self.copy_kind(), self.pack_kind()
        if copy:
            padded = copy != "columns"
            words.put(copy=copy_kernel("copy_" + copy, self.memory, self.t))
            words.put(copy_row=piece + 64 // self.t.bytes if padded else 1, copy_k=1 if padded else 16)
        if pack:
            slot, strides = self.pack(pack, n, k, scale)
            words.put(b_address=slot, b_offset=0, b_panel=self.width * k, b_k=self.width)
            words.strides[1] = strides
        else:
            words.put(b_panel=self.width)
            if b.row and b.row * self.t.bytes % PAGE == 0:
                # as many rows as find room in the ways of the second-level cache
                piece = max(min(piece, (512 << 10) // (abs(b.row) * self.t.bytes)), 32)
        words.put(slice=piece)
        rows, columns = self.blocks(m, n, k)
        self.add_blocks("multiply", words, rows, columns, rows * columns * k // self.lanes, k > piece)

    def blocks(self, m: int, n: int, k: int) -> tuple[int, int]:
        """Rows and columns of a block: enough work to be worth fetching, enough blocks to share."""
        top = gemm_tiles.tile_rows(jit.vector_bytes())[0]
        total = m * n * k * prod(self.batch) // self.lanes
        if m * n * k // self.lanes < ALONE // 4 or total < ALONE:
            return m, n
        target = min(max(total // 32, ALONE // 4), 4_000_000)
        rows, columns = min(top, m), min(self.width, n)
        while columns < min(n, BLOCK_COLUMNS) and rows * columns * k // self.lanes < target:
            columns += self.width
        while rows < min(m, BLOCK_ROWS) and rows * columns * k // self.lanes < target:
            rows += top
        return min(rows, m), min(columns, n)

    def copy_kind(self) -> str | None:
        """How row tiles of a are copied; None when they are read in place."""
        a = self.operands[0]
        kind = "rows" if a.column == 1 else "pairs" if self.pairs else "columns" if a.row == 1 else "any"
        if self.memory is not self.t or kind in ("any", "pairs"):
            return kind
        # rows a multiple of a page apart fall on each other in the first-level cache
        apart = a.row * self.t.bytes * (2 if self.pairs else 1)
        return kind if kind == "rows" and self.m > 1 and apart % PAGE == 0 else None

    def pack_kind(self) -> str | None:
        """How b is packed; None when it is read in place."""
        b = self.operands[1]
        if self.pairs:
            return "pairs"
        kind = "rows" if b.column == 1 else "columns" if b.row == 1 else "any"
        if kind == "rows" and self.memory is self.t:
            row = abs(b.row) * self.t.bytes
            enough = 96 if row % PAGE == 0 else 512 if row > PAGE else 1 << 62
            if self.k * row < PACK_BYTES or self.m < enough:
                return None
        return kind

    def pack(self, kind: str, n: int, k: int, scale: int) -> tuple[int, list[int]]:
        """Add the step that packs b; gives the word of the packed b and its batch strides."""
        b, width = self.operands[1], self.width
        shared = [d for d in range(len(self.batch)) if b.batch[d] != 0]
        panels = -(-n // width)
        entries = 1
        strides = [0] * len(self.batch)
        for d in reversed(shared):
            strides[d] = entries * panels * k * width
            entries *= self.batch[d]
        # a group of panels is a stretch of a row that a page holds; a chunk is what one item copies
        group, chunk = (8, 128) if kind == "rows" else (1, 512)
        groups, chunks = -(-panels // group), -(-k // chunk)
        slot = self.scratch(max(1, entries * panels * k * width) * self.t.bytes)
        words = [
            b.slot, b.offset * self.memory.bytes * scale, b.row, b.column, k, n, slot, 0, panels, group,
            groups, chunks, chunk, len(shared),
        ]  # fmt: skip
        for d in reversed(shared):
            words += [self.batch[d], b.batch[d] * scale]
        items = entries * groups * chunks
        if items:
            size = min(panels, group) * width * min(k, chunk)
            share = max(1, PACK_ITEM // size) if items * size > 2 * PACK_ITEM else items
            self.steps.append((copy_kernel(f"pack_{kind}", self.memory, self.t), words, items, share))
        return slot, strides

    def add_blocks(
        self, name: str, words: _Words, rows: int, columns: int, cost: int, sliced: bool = False
    ) -> None:
        """Add the step that computes the blocks, and where k is cut the one that sums its pieces."""
        m, n, k = words.m, words.n, words.k
        row_blocks, column_blocks, entries = -(-m // rows), -(-n // columns), prod(self.batch)
        blocks = entries * row_blocks * column_blocks
        splits = 1
        if blocks < 6 and cost * blocks > 2 * ALONE:
            splits = max(1, min(SPLITS, cost * blocks // ALONE, k // 256))
        length = -(-k // splits // 64) * 64 if splits > 1 else k
        splits = -(-k // length) if splits > 1 else 1
        words.put(splits=splits, split_k=length, block_rows=rows, block_columns=columns)
        # a thread takes neighbouring blocks: the largest matrix should not have to visit every thread's cache
        words.put(row_blocks=row_blocks, column_blocks=column_blocks, down=int(n > m and k > m))
        if splits > 1:
            words.put(split_a=length * self.operands[0].column, split_b=length * words.get("b_k"))
        direct = name == "multiply" and splits == 1 and self.direct()
        if direct:
            words.store_plainly()
        elif splits == 1 and name == "multiply" and self.room():
            words.store_plainly(self.room())
            words.put(add=0, wide=1)
        elif sliced or splits > 1:
            words.keep_sums(splits)
        if not direct:
            words.finish()
        kernel = tile_kernels(self.t)[name] if name == "multiply" else copy_kernel(name, self.memory, self.t)
        first = words.finished()
        if splits > 1:
            first[at.finish] = 0
        items, cost = blocks * splits, cost // splits + 60
        chunk = items if cost * items < ALONE else max(1, min(ALONE // 2 // cost, items))
        self.steps.append((kernel, first, items, chunk))
        if splits > 1:
            self.steps.append(
                (
                    tile_kernels(self.t)["fold"],
                    words.finished(),
                    entries * m,
                    max(1, PACK_ITEM // (n * splits)),
                )
            )

    def direct(self) -> bool:
        """Whether tiles can be stored where they belong without further work."""
        out, scales = self.operands[2], self.scales
        plain = scales.alpha == 1 and scales.epilogue is None and self.memory is self.t and out.column == 1
        return plain and (not self.has_bias or scales.beta == 1 and self.operands[3] == out)

    def room(self) -> int:
        """The operand in whose place unfinished sums can wait, as nothing read later lies there; 0 for none."""
        epilogue, to = self.scales.epilogue, 2
        if epilogue and not epilogue.raw:
            if epilogue.room < 0 or epilogue.writes[epilogue.room][0] != self.code:
                return 0
            to = self.own + len(epilogue.reads) + epilogue.room
        reads = self.operands[3 : self.own]
        apart = all(r.row == 0 and self.m > 1 or r.column == 0 and self.n > 1 for r in reads)
        return to if self.memory is self.t and self.operands[to].column == 1 and apart else 0


class _Words:
    """The parameters of the steps of one product, as `gemm_tiles.WORDS` lays them out."""

    def __init__(self, p: _Product):
        self.p = p
        self.words: list = [0] * (BATCH + (1 + MOVES) * len(p.batch))
        self.scale = 2 if p.pairs else 1  # complex strides become strides of reals
        self.m, self.n, self.k = p.m, p.n * self.scale, p.k * self.scale
        a, b = p.operands[:2]
        size = p.memory.bytes
        self.put(m=self.m, n=self.n, k=self.k, dims=len(p.batch), operands=1 + len(p.operands), a_bytes=size)
        self.put(
            a_address=a.slot, a_offset=a.offset * size * self.scale, a_row=a.row * self.scale, a_k=a.column
        )
        self.put(b_address=b.slot, b_offset=b.offset * size * self.scale, b_k=b.row)
        out = p.operands[2]
        self.raw = [0] * len(p.batch)
        self.strides = [[s * self.scale for s in o.batch] for o in p.operands]
        self.put(raw_address=out.slot)

    def put(self, **values) -> None:
        for name, value in values.items():
            self.words[getattr(at, name)] = value

    def get(self, name: str):
        return self.words[getattr(at, name)]

    def store_plainly(self, to: int = 2) -> None:
        """Tiles go straight to an operand (added to it where there is a bias, which is then the result)."""
        out, size = self.p.operands[to], self.p.memory.bytes * self.scale
        row = (out.row or 1) * self.scale  # 0 would stand for tiles that are stored nowhere
        self.put(raw_address=out.slot, raw_offset=out.offset * size, raw_row=row)
        self.put(add=int(self.p.has_bias))
        self.raw = self.strides[to]

    def keep_sums(self, splits: int) -> None:
        """Sums wait in a buffer, one plane for each piece of k, until they are complete."""
        p = self.p
        row = -(-self.n // p.width) * p.width + p.lanes
        plane = self.m * row * prod(p.batch)
        self.put(
            raw_address=p.scratch(splits * plane * p.t.bytes), raw_offset=0, raw_row=row, split_raw=plane
        )
        step = self.m * row
        for d in reversed(range(len(p.batch))):
            self.raw[d] = step
            step *= p.batch[d]

    def finish(self) -> None:
        """Tiles go through a function that scales, adds and converts them."""
        p, size = self.p, self.p.memory.bytes * self.scale
        epilogue, (_, _, out, *reads) = p.scales.epilogue, p.operands
        raw, *kinds = [o.column if o.column in (0, 1) else 2 for o in (out, *reads)]
        bias = 1 + kinds.pop(0) if p.has_bias else 0
        raw = 1 + raw if not epilogue or epilogue.raw else 0
        self.put(finish=finish_kernel(p.code, bias, raw, p.scales, kinds, bool(self.get("wide"))))
        self.put(
            c_address=out.slot, c_offset=out.offset * size, c_row=out.row * self.scale, c_column=out.column
        )
        for name, value in (("alpha", p.scales.alpha), ("beta", p.scales.beta)):
            if isinstance(value, Slot):
                self.put(**{name + "_slot": value.word})
            elif p.t.kind == "float":
                self.put(**{name: float(value.real), name + "_im": float(value.imag)})
            else:
                self.put(**{name: int(value.real)})
        codes = [c for c, _ in (*epilogue.reads, *epilogue.writes)] if epilogue else []
        sizes = [size] * (p.own - 3) + [BY_CODE[c].bytes for c in codes]
        for x, (one, n) in enumerate(zip(reads, sizes, strict=True)):
            place = READS + 4 * x
            self.words[place : place + 4] = [one.slot, one.offset * n, one.row * self.scale, one.column]
        for x, (_, word) in enumerate(epilogue.scalars if epilogue else ()):
            self.words[SCALARS + x] = word

    def finished(self) -> list:
        """The words with the batch dimensions, innermost first."""
        words = list(self.words)
        place = BATCH
        a, b, out, *reads = self.strides
        for d in reversed(range(len(self.p.batch))):
            strides = [s[d] for s in (a, b, self.raw, out, *reads)]
            words[place : place + 1 + len(strides)] = [self.p.batch[d], *strides]
            place += 1 + MOVES
        return words
