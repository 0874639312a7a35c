"""The schedule of scans: which kernel walks the dimension, in which pieces."""

from __future__ import annotations

from math import prod

from . import jit
from .reduce import WIDTH, Meaning, meaning_of
from .reduce_kernels import PART_TYPES, Template
from .scan_kernels import piece_starts, piece_totals, scan_columns, scan_rows
from .types import BY_CODE

PIECE = 16384  # elements of a long row that are scanned on their own; the sum of a piece is known before
CHUNK = 32768


def scan(call) -> None:
    """Program of a scan along values["dim"]; the operator's rules give map, combine, identity and finish."""
    where = call.inputs[0]
    call.compute = call.rules.accumulate(call.values.get("dtype") or where.dtype, call.values.get("dtype"))[0]
    call.scalar_names = []
    if where.numel == 0:
        return
    word = call.contiguous(0)
    meaning = meaning_of(call)
    template = template_of(call, meaning)
    outs = [call.out(k) for k in range(len(call.outputs))]
    dim = call.values["dim"]
    shape = where.shape or (1,)
    outer, length, inner = prod(shape[:dim]), shape[dim], prod(shape[dim + 1 :])
    if inner > 1:
        parameters = [word, *outs, *[0] * len(template.types)]
        block = min(WIDTH, max(4 * template.lanes, -(-inner // (8 * template.lanes)) * template.lanes))
        blocks = -(-inner // block)
        geometry = [length, inner, block, blocks]
        chunk = CHUNK // max(1, length * min(block, inner))
        call.native(scan_columns, {"R": template}, parameters + geometry, outer * blocks, chunk)
        return
    pieces = -(-length // PIECE) if length > 2 * PIECE else 1
    partials = (
        [call.scratch(outer * pieces * t.bytes) for t in template.types]
        if pieces > 1
        else [0] * len(template.types)
    )
    parameters = [word, *outs, *partials, length, pieces, PIECE if pieces > 1 else length]
    if pieces > 1:
        call.native(piece_totals, {"R": template}, parameters, outer * pieces, 2)
        call.native(piece_starts, {"R": template}, parameters, outer, max(1, CHUNK // pieces))
    call.native(scan_rows, {"R": template}, parameters, outer * pieces, CHUNK // min(length, PIECE))


def template_of(call, meaning: Meaning) -> Template:
    code = call.inputs[0].dtype.code
    memory = PART_TYPES.get(code) or BY_CODE[code]
    types = tuple(BY_CODE[c] for c in meaning.codes)
    widest = max(t.bytes for t in types)
    lanes = max(1, jit.vector_bytes() // max(memory.register.bytes, widest // 2))
    codes = [o.dtype.code for o in call.outputs]
    return Template(
        memory, meaning.parts, lanes, lanes.bit_length() - 1, 4 if len(types) == 1 else 2, types, meaning.identity,
        meaning.map, meaning.combine, meaning.finish, meaning.indexed,
        tuple((PART_TYPES[c], 2) if c in PART_TYPES else (BY_CODE[c], 1) for c in codes),
        (), 1 + len(codes) + len(types), WIDTH,
    )  # fmt: skip
