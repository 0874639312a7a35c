"""Schedules of attention: see `attention_kernels` for what the programs do."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from math import log2, prod
from types import SimpleNamespace

from ...base.layout import broadcast_strides, contiguous_strides
from ...ir import expr
from . import attention_kernels, attention_tiles, conv_lanes, gemm_pack, gemm_tiles, jit, rows
from .attention_tiles import BATCH, KINDS, OPERANDS, QUERIES, ROW_CHOICES, TILES, at
from .builder import Module
from .gemm import ALONE
from .native import define
from .schedule import compute_code, item_bytes
from .types import BY_CODE

#: the widest heads that the kernels have room for
ROOM = 256
#: rows so many bytes apart share sets of the first-level cache
PAGE = 4096


@lru_cache(None)
def _source_key() -> str:
    """Changes with the source of the kernels."""
    texts = []
    for module in (attention_tiles, attention_kernels, conv_lanes, gemm_pack, gemm_tiles):
        with open(module.__file__, "rb") as file:
            texts.append(file.read())
    return hashlib.sha256(b"".join(texts)).hexdigest()


@lru_cache(None)
def tiles(code: str, kind: str) -> list[int]:
    """Addresses of the tiles of one kind, tallest first."""
    t, counts = BY_CODE[code], gemm_tiles.tile_rows(jit.vector_bytes())
    static = {
        "T": t,
        "L": jit.vector_bytes() // t.bytes,
        "FAR": QUERIES,
        "V": int(kind[-1]),
        "WHOLE": "whole" in kind,
    }
    tile = attention_tiles.scaled_tile if "scaled" in kind else gemm_tiles.tile
    names = [f"{kind}_{count}" for count in counts]

    def text() -> str:
        module = Module()
        for count, name in zip(counts, names, strict=True):
            define(module, name, tile, {**static, "ROWS": count})
        return module.text()

    return jit.later(
        f"attention tiles {(code, names)!r} {jit.vector_bytes()} {_source_key()}", text, names, 0
    )


@lru_cache(None)
def kernel(name: str, code: str, causal: bool, mask: int) -> int:
    """Address of `forward` or `backward`."""
    t, counts = BY_CODE[code], gemm_tiles.tile_rows(jit.vector_bytes())
    static = SimpleNamespace(
        T=t, L=jit.vector_bytes() // t.bytes, ROOM=ROOM, CAUSAL=causal, MASK=mask, ROW_COUNTS=counts,
        KEYS=112 // counts[0] * counts[0], POWER=rows.function(expr.exp2, code), LOG=rows.function(expr.log2, code),
    )  # fmt: skip

    def text() -> str:
        module = Module()
        define(module, name, getattr(attention_kernels, name), {"S": static})
        return module.text()

    prints = (static.POWER.fingerprint(), static.LOG.fingerprint(), static.KEYS)
    key = f"attention {(name, code, causal, mask, counts, prints)!r} {jit.vector_bytes()} {_source_key()}"
    return jit.later(key, text, [name], 0)[0]


class _Plan:
    """The parameters of one program while they are put together."""

    def __init__(self, call, query, key, value):
        self.call = call
        *self.heads, self.length, self.width = query.shape
        self.source, self.value_width = value.shape[-2:]
        self.group = self.heads[-1] // key.shape[-3] if call.values["enable_gqa"] else 1
        self.code = compute_code(query.dtype.code)
        self.causal = call.values["is_causal"]
        self.dims = tuple(self.heads)
        if self.group > 1:  # heads of queries as (heads of keys, group)
            self.dims = (*self.heads[:-1], key.shape[-3], self.group)
        self.words: list = [0] * (BATCH + (1 + len(OPERANDS)) * len(self.dims))
        self.strides = {name: [0] * len(self.dims) for name in OPERANDS}
        for name in OPERANDS[:4]:
            self.put(**{name: call.out(0)})
        scale = call.values["scale"]
        scale = 1.0 / self.width**0.5 if scale is None else float(scale)
        self.put(length=self.length, source=self.source, width=self.width, value_width=self.value_width,
                 factor=scale * log2(2.718281828459045), scale=scale, blocks=-(-self.length // QUERIES),
                 group=self.group, dims=len(self.dims))  # fmt: skip
        self.put(sums=call.out(0), mask=call.out(0), gradient=call.out(0))
        self.mask = 0
        #: results to be converted: (layout, frame word, strides and frame word of what was computed)
        self.after: list[tuple] = []

    def put(self, **values) -> None:
        for name, value in values.items():
            self.words[getattr(at, name)] = value

    # -- operands --
    def matrix(self, name: str, word: int, shape, strides, heads_first: bool = False) -> None:
        """An operand ``(*, rows, columns)`` with consecutive columns."""
        self.put(**{name: word, name + "_row": strides[-2]})
        self.batch(name, shape[:-2], strides[:-2], heads_first)

    def batch(self, name: str, shape, strides, split: bool) -> None:
        """Strides along the batch; `split`: the last dimension counts heads of queries."""
        shape, strides = tuple(shape), tuple(strides)
        if self.group > 1:
            if split and shape[-1] > 1:
                shape = (*shape[:-1], shape[-1] // self.group, self.group)
                strides = (*strides[:-1], strides[-1] * self.group, strides[-1])
            else:
                shape, strides = (*shape, 1), (*strides, 0)
        self.strides[name] = list(broadcast_strides(shape, strides, self.dims))

    def read(self, name: str, k: int, split: bool) -> None:
        """Input k, copied where its rows do not suit the kernels."""
        where, call = self.call.inputs[k], self.call
        if where.dtype.code == self.code and where.strides[-1] == 1 and not self.crowded(where):
            return self.matrix(name, call.input(k), where.shape, where.strides, split)
        word = call.copy_in(call.input(k), where.shape, where.strides, where.dtype.code, self.code)
        return self.matrix(name, word, where.shape, contiguous_strides(where.shape), split)

    def crowded(self, where) -> bool:
        """Whether rows fall on each other in the first-level cache so often that a copy pays."""
        apart = where.strides[-2] * where.dtype.itemsize
        return apart % PAGE == 0 and self.length >= 16 and where.shape[-2] > 1

    def write(self, name: str, k: int, split: bool) -> None:
        """Output k, through a buffer where its type is not the one computed in."""
        where, call = self.call.outputs[k], self.call
        if where.dtype.code == self.code:
            return self.matrix(name, call.out(k), where.shape, where.strides, split)
        strides = contiguous_strides(where.shape)
        word = call.scratch(where.numel * item_bytes(self.code))
        self.after.append((where, call.out(k), strides, word))
        return self.matrix(name, word, where.shape, strides, split)

    def read_mask(self, k: int) -> None:
        """The mask as numbers to be added to scores, turned so that queries are consecutive."""
        where, call = self.call.inputs[k], self.call
        if where is None:
            return
        full = (*self.heads, self.length, self.source)
        strides = broadcast_strides(where.shape, where.strides, full)
        self.mask = 2 if strides[-2] == 0 else 1
        own = [n if s else 1 for n, s in zip(full, strides)]
        own[-1] = self.source
        own[-2], own[-1] = own[-1], own[-2]
        strides = (*strides[:-2], strides[-1], strides[-2])
        place = call.scratch(prod(own) * item_bytes(self.code))
        steps = contiguous_strides(own)
        call.pointwise(
            [(self.code, steps, place)], [(where.dtype.code, strides, call.input(k))], added(self.code), own
        )
        self.put(mask=place, mask_row=own[-1])
        self.batch("mask", own[:-2], steps[:-2], True)

    def take_tiles(self, name: str) -> None:
        """Note the addresses of the tiles that may be called."""
        wide = 2 * jit.vector_bytes() // item_bytes(self.code)
        widths = [self.value_width] if name == "forward" else [self.value_width, self.width]
        kinds = {"whole_2", "whole_1"}
        for width in widths:
            part = width % wide
            kinds |= {"scaled_whole_2"} if name == "forward" and width >= wide else set()
            kinds |= (
                {("scaled_" if name == "forward" else "") + f"part_{1 + (part > wide // 2)}"}
                if part
                else set()
            )
        for x, kind in enumerate(KINDS):
            if kind in kinds:
                found = tiles(self.code, kind)
                self.words[TILES + x * ROW_CHOICES : TILES + x * ROW_CHOICES + len(found)] = found

    def finished(self) -> list:
        words = self.words
        at_word = BATCH
        for d in reversed(range(len(self.dims))):
            words[at_word : at_word + 1 + len(OPERANDS)] = [
                self.dims[d],
                *(self.strides[o][d] for o in OPERANDS),
            ]
            at_word += 1 + len(OPERANDS)
        return words

    def run(self, name: str, items: int, cost: int) -> None:
        """Add the step, and the conversion of results."""
        self.take_tiles(name)
        address = kernel(name, self.code, self.causal, self.mask)
        cost = cost // (jit.vector_bytes() // item_bytes(self.code)) + 500
        chunk = items if cost * items < 2 * ALONE else max(1, min(ALONE // 2 // cost, items))
        self.call.step(address, self.finished(), items, chunk)
        for where, out, strides, word in self.after:
            self.call.pointwise([(where.dtype.code, where.strides, out)], [(self.code, strides, word)], lambda x: x,
                                where.shape)  # fmt: skip


def added(code: str):
    """Rule from an entry of a mask to what is added to scores, which count in powers of 2."""
    lowest = -3.4028234663852886e38 if code == "f32" else -1.7976931348623157e308

    def rule(x):
        if x.type == "b1":
            return expr.where(x, expr.constant(0.0, code), expr.constant(-float("inf"), code))
        x = expr.convert(x, code)
        # a finite entry stays finite: rows that see nothing but the lowest number have equal weights
        turned = expr.maximum(x * log2(2.718281828459045), lowest)
        return expr.where(x == -float("inf"), x, turned)

    return rule


def forward(call) -> None:
    query, key, value, mask = call.inputs
    if query.numel == 0 or value.numel == 0:
        return
    plan = _Plan(call, query, key, value)
    for k, name in enumerate(("query", "key", "value")):
        plan.read(name, k, k == 0)
    plan.write("output", 0, True)
    sums = call.outputs[1]
    plan.put(sums=call.out(1))
    plan.batch("sums", sums.shape[:-1], sums.strides[:-1], True)
    plan.read_mask(3)
    seen = plan.source if not plan.causal else min(plan.source, plan.length) // 2 + 16
    items = prod(plan.dims) * -(-plan.length // QUERIES)
    plan.run("forward", items, min(plan.length, QUERIES) * seen * (plan.width + plan.value_width))


def backward(call) -> None:
    gradient, query, key, value, mask, output, sums = call.inputs
    plan = _Plan(call, query, key, value)
    for k, name in ((1, "query"), (2, "key"), (3, "value"), (0, "gradient"), (5, "output")):
        plan.read(name, k, name not in ("key", "value"))
    for k, name in enumerate(("to_query", "to_key", "to_value")):
        plan.write(name, k, k == 0)
    plan.put(sums=call.input(6))
    plan.batch("sums", sums.shape[:-1], sums.strides[:-1], True)
    plan.read_mask(4)
    seen = plan.source if not plan.causal else min(plan.source, plan.length) // 2 + 16
    items = prod(plan.dims) // plan.group
    plan.run("backward", items, plan.group * plan.length * seen * (3 * plan.width + 2 * plan.value_width))
