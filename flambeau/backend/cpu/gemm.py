"""Matrix products: chooses blocks, packing and kernels, and gives the steps of a program.

    result[..., i, j] = epilogue(alpha * sum over p of a[..., i, p] * b[..., p, j] + beta * bias[..., i, j])

Any strides, any number of batch dimensions (stride 0 broadcasts), every dtype that PyTorch multiplies. The choice
depends on sizes and strides alone, so a result never depends on the number of threads.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

from . import gemm_finish, gemm_pack, gemm_tiles, jit
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

    def turned(self) -> "Operand":
        """The transpose."""
        return self._replace(row=self.column, column=self.row)


class Slot(NamedTuple):
    """A scale that is a scalar of the program: its frame word (a complex scale takes two words)."""

    word: int


# -- compiled kernels ----------------------------------------------------------------------------------------


@lru_cache(None)
def _source_key() -> str:
    """Changes with the source of the kernels."""
    texts = []
    for module in (gemm_tiles, gemm_pack, gemm_finish):
        with open(module.__file__, "rb") as file:
            texts.append(file.read())
    return hashlib.sha256(b"".join(texts)).hexdigest()


def lanes_of(t: Type) -> int:
    """Elements in a vector register."""
    return jit.vector_bytes() // t.bytes


@lru_cache(None)
def tile_kernels(t: Type) -> dict[str, int]:
    """Addresses of `multiply` and `fold` for sums of type t."""
    statics = {"T": t, "L": lanes_of(t), "ROW_COUNTS": gemm_tiles.tile_rows(jit.vector_bytes()), "WHOLE": False}
    names = ["multiply", "fold"]

    def text() -> str:
        module = Module()
        for rows in statics["ROW_COUNTS"]:
            for v in (1, 2):
                define(module, f"tile_{rows}_{v}", gemm_tiles.tile, {**statics, "ROWS": rows, "V": v}, export=False)
        for name in names:
            define(module, name, getattr(gemm_tiles, name), statics)
        return module.text()

    key = f"gemm tiles {t} {_source_key()} {statics['ROW_COUNTS']}"
    return dict(zip(names, jit.build(key, text, names, 1), strict=True))


@lru_cache(None)
def pack_kernels(memory: Type, t: Type) -> dict[str, int]:
    """Addresses of the copies that convert `memory` to t: "copy_rows", "pack_columns", ..."""
    statics = {"M": memory, "T": t, "L": lanes_of(t)}
    kernels = {f"copy_{k}": v for k, v in gemm_pack.COPIES.items()} | {f"pack_{k}": v for k, v in gemm_pack.PACKS.items()}

    def text() -> str:
        module = Module()
        for name, kernel in kernels.items():
            define(module, name, kernel, statics)
        return module.text()

    key = f"gemm packs {memory} {t} {_source_key()}"
    return dict(zip(kernels, jit.build(key, text, list(kernels), 1), strict=True))


_finishes: dict[tuple, int] = {}


def finish_kernel(code: str, bias: bool, reads: int, epilogue: ScalarFunction | None, scalars: tuple[str, ...]) -> int:
    """Address of the function that writes tiles of this kind."""
    key = (code, bias, reads, epilogue.fingerprint() if epilogue else "", scalars)
    found = _finishes.get(key)
    if found is None:
        t = SUM_TYPES[code]
        statics = {
            "T": t, "M": PARTS.get(code) or BY_CODE[code], "L": lanes_of(t), "BIAS": int(bias), "READ_COUNT": reads,
            "EPILOGUE": epilogue, "SCALAR_CODES": scalars,
        }  # fmt: skip
        kernel = gemm_finish.finish_pairs if code in PARTS else gemm_finish.finish

        def text() -> str:
            module = Module()
            define(module, "finish", kernel, statics)
            return module.text()

        found = _finishes[key] = jit.build(f"gemm finish {key!r} {_source_key()}", text, ["finish"], 1)[0]
    return found
