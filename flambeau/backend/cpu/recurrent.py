"""Schedules of recurrent layers: one program takes a layer, in one or both directions, over whole sequences.

Forwards: the input's product with its weights for all steps at once, then `recurrent_kernels.forward`.
Backwards: `recurrent_backward.backward` gives the gradients of all gates, then products over all steps make
of them the gradients of weights and input.
"""

from __future__ import annotations

import hashlib
import os
from functools import lru_cache
from types import SimpleNamespace

from ...base.errors import explained
from ...ir import expr
from . import (
    gemm_pack,
    gemm_tiles,
    jit,
    recurrent_backward,
    recurrent_kernels,
    recurrent_tiles,
    rows,
    runtime,
)
from .builder import Module
from .contract import run
from .gemm import Operand
from .native import define
from .recurrent_backward import scratch_backward
from .recurrent_gates import sigmoid, tanh
from .recurrent_kernels import WORDS, at, scratch_forward
from .recurrent_tiles import ROWS, WIDE_TILES, tile_shapes
from .types import BY_CODE

GATES = {"LSTM": 4, "GRU": 3, "RNN_TANH": 1, "RNN_RELU": 1}
#: rows of a slice from which, and bytes of weights up to which, the input's product is part of the steps
FUSED_ROWS, FUSED_BYTES = 8, 8 << 20
#: what may have a gradient, in the order of the operator's arguments
WEIGHTS = ("w_ih", "w_hh", "b_ih", "b_hh", "w_hr")
GRADIENTS = ("input", "hidden", "cell", *WEIGHTS, *(name + "_reverse" for name in WEIGHTS))


#: modules of kernels
HOMES = (recurrent_tiles, recurrent_backward, recurrent_kernels)


@lru_cache(None)
def _source_key() -> str:
    """Changes with the source of the kernels."""
    texts = []
    for module in (*HOMES, gemm_pack, gemm_tiles):
        with open(module.__file__, "rb") as file:
            texts.append(file.read())
    return hashlib.sha256(b"".join(texts)).hexdigest()


_ACTIVATIONS = {"RNN_RELU": lambda x: expr.where(x < 0.0, 0.0, x)}
_DELTAS = {"LSTM": "lstm", "GRU": "gru", "RNN_TANH": "tanh", "RNN_RELU": "relu"}
_UNITS = {"LSTM": "lstm_units", "GRU": "gru_units", "RNN_TANH": "plain_units", "RNN_RELU": "plain_units"}


@lru_cache(None)
def tiles(code: str, panels: int, most: int) -> list[int]:
    """Addresses of the tiles of 1, 2, ... rows and so many panels."""
    t = BY_CODE[code]
    static = {"T": t, "L": jit.vector_bytes() // t.bytes, "V": panels}
    names = [f"tile_{count}" for count in range(1, most + 1)]

    def text() -> str:
        module = Module()
        for count, name in enumerate(names, 1):
            define(module, name, recurrent_tiles.tile, {**static, "COUNT": count})
        return module.text()

    key = f"recurrent tiles {(code, panels, most)!r} {jit.vector_bytes()} {_source_key()}"
    return jit.later(key, text, names, 0)


@lru_cache(None)
def tile_table(code: str, gates: int):
    """Memory that holds the addresses of the tiles, as `recurrent_tiles.sums` reads them."""
    wide, wide_rows, narrow_rows = tile_shapes(jit.vector_bytes(), gates)
    table = [0] * (2 * WIDE_TILES)
    table[1 : 1 + max(wide_rows, narrow_rows)] = tiles(code, 1, max(wide_rows, narrow_rows))
    table[WIDE_TILES + 1 : WIDE_TILES + 1 + wide_rows] = tiles(code, wide, wide_rows)
    return runtime.words(table, later=True)


@lru_cache(None)
def kernel(name: str, mode: str, code: str, packed: bool, projected: bool) -> int:
    """Address of `forward` or `backward` for networks of this kind."""
    t, gates = BY_CODE[code], GATES[mode]
    shapes = tile_shapes(jit.vector_bytes(), gates)
    group = -(-shapes[0] // gates) if gates != 3 or shapes[0] != 2 else 2
    lanes = jit.vector_bytes() // t.bytes
    static = SimpleNamespace(
        T=t, L=lanes, SHAPES=shapes, GATES=gates, APART=int(mode == "GRU"), GROUP=group, PACKED=packed,
        PROJECTED=projected, SHARE=ROWS * max(gates * group, shapes[0]) * lanes,
        SIGMOID=rows.function(sigmoid, code), TANH=rows.function(tanh, code),
        ACTIVATION=rows.function(_ACTIVATIONS.get(mode, tanh), code),
        UNITS=getattr(recurrent_kernels, _UNITS[mode]),
        DELTAS=getattr(recurrent_backward, _DELTAS[mode] + "_deltas"),
    )  # fmt: skip

    def text() -> str:
        module = Module()
        where = next(home for home in HOMES if name in vars(home))
        define(module, name, getattr(where, name), {"S": static})
        return module.text()

    prints = (static.SIGMOID.fingerprint(), static.TANH.fingerprint(), static.ACTIVATION.fingerprint())
    key = f"recurrent {(name, mode, code, packed, projected, lanes, shapes, group, prints)!r} {_source_key()}"
    return jit.later(key, text, [name], 3)[0]


@lru_cache(None)
def helper(name: str, code: str, mode: str = "") -> int:
    """Address of a small kernel of this type."""
    t = BY_CODE[code]
    where = next(home for home in HOMES if name in vars(home))
    static = {"T": t, "L": jit.vector_bytes() // t.bytes}
    if mode:
        static |= {"GATES": GATES[mode], "APART": int(mode == "GRU")}

    def text() -> str:
        module = Module()
        define(module, name, getattr(where, name), static)
        return module.text()

    return jit.later(
        f"recurrent helper {(name, code, mode)!r} {jit.vector_bytes()} {_source_key()}", text, [name]
    )[0]


class Layer:
    """One call while its program is built: sizes, the inputs by name, the parameters of the big kernel."""

    def __init__(self, call, names: tuple[str, ...]):
        self.call, self.names = call, names
        self.layouts = dict(zip(names, call.inputs, strict=True))
        self.found: dict[str, int] = {}
        self.mode = call.values["mode"]
        self.gates = GATES[self.mode]
        where = self.layouts["input"]
        self.code, self.bytes = where.dtype.code, where.dtype.itemsize
        self.lanes = jit.vector_bytes() // self.bytes
        self.packed = self.layouts["sizes"] is not None
        self.projected = self.layouts["w_hr"] is not None
        self.directions = 2 if self.layouts["w_ih_reverse"] is not None else 1
        self.hidden = self.layouts["w_ih"].shape[0] // self.gates
        self.state = self.layouts["w_hh"].shape[1]
        self.features = where.shape[-1]
        self.rows = where.numel // self.features
        if self.packed:
            self.steps, self.batch = self.layouts["sizes"].shape[0], call.values["batch"]
        else:
            self.steps, self.batch = where.shape[:2]
        self.width = -(-self.hidden // self.lanes) * self.lanes
        self.padded = -(-self.hidden // ROWS) * ROWS
        #: gradients of gates that are kept apart: the last of a GRU has one for the input, one for the state
        self.slots = self.gates + (self.mode == "GRU")
        #: a single step, whose product with the state needs no packing (a GRU keeps its products apart)
        self.alone = self.steps == 1 and self.directions == 1 and self.gates != 3 and not self.projected
        self.words = [0] * len(WORDS)
        self.slices = self.cut()
        self.put(steps=self.steps, batch=self.batch, rows=self.rows, hidden=self.hidden, state=self.state,
                 slices=self.slices, output_row=self.directions * self.state)  # fmt: skip
        #: with enough rows the input's product is best made step by step, where its result is used
        size = self.gates * self.hidden * (self.features + self.state) * self.bytes
        self.fused = not self.alone and self.batch // self.slices >= FUSED_ROWS and size <= FUSED_BYTES
        self.put(features=self.features, tiles=runtime.address(tile_table(self.code, self.gates)))

    def cut(self) -> int:
        """Pieces of the batch: as many as the tiles want, more where processors would be idle."""
        processors = max(1, (os.cpu_count() or 1) // self.directions)
        return max(-(-self.batch // ROWS), min(processors, self.batch // 4), 1)

    def put(self, **values: int) -> None:
        for name, value in values.items():
            self.words[getattr(at, name)] = value

    def there(self, name: str) -> bool:
        return self.layouts[name] is not None

    def word(self, name: str) -> int:
        """Frame word of an input as a contiguous buffer, copied once where it must be."""
        if name not in self.found:
            self.found[name] = self.call.contiguous(self.names.index(name))
        return self.found[name]

    def weight(self, name: str, direction: int) -> int:
        return self.word(name + "_reverse" * direction)

    def scratch(self, elements: int) -> int:
        return self.call.scratch(elements * self.bytes)

    def step(self, name: str, parameters: list, n: int, chunk: int, mode: str = "") -> None:
        self.call.step(helper(name, self.code, mode), parameters, n, chunk)

    def check_sizes(self) -> None:
        """Let the program refuse sizes of steps that do not fit the rows."""
        if self.packed:
            sizes = self.word("sizes")
            self.put(sizes=sizes)
            self.call.step(helper("check_sizes", self.code), [sizes, self.steps, self.batch, self.rows], 1, 1)
            self.call.refuses = refused

    def product(self, m, n, k, a: tuple, b: tuple, to: tuple, **more) -> None:
        """One matrix product; an operand is (frame word, offset, row stride, column stride)."""
        parts = [Operand(word, offset, (), row, column) for word, offset, row, column in (a, b, to)]
        run(self.call, self.code, m, n, k, *parts, **more)

    def input_panels(self) -> int:
        """Frame word of the input in panels of columns, packed once."""
        if "panels" not in self.found:
            size = -(-self.features // self.lanes) * self.lanes * self.rows
            place = self.found["panels"] = self.scratch(size)
            words = [self.word("input"), place, 0, self.features, self.rows, 0]
            self.step("pack_plain", words, self.rows, max(1, 16384 // self.features))
        return self.found["panels"]

    def pack_turned(self, name: str, gates: int, units: int, k: int) -> int:
        """Frame word of the packed transposes of a weight of all directions."""
        blocks = -(-units // self.lanes)
        size = gates * blocks * self.lanes * k
        place = self.scratch(self.directions * size)
        for d in range(self.directions):
            words = [self.weight(name, d), place, d * size, gates, units, k]
            self.step("pack_turned", words, gates * blocks, max(1, 16384 // (k * self.lanes)))
        return place

    def pack_plain(self, name: str, k: int, columns: int, rotated: int = 0) -> int:
        """Frame word of the packed weights, k rows by columns, of all directions."""
        size = -(-columns // self.lanes) * self.lanes * k
        place = self.scratch(self.directions * size)
        for d in range(self.directions):
            words = [self.weight(name, d), place, d * size, columns, k, rotated]
            self.step("pack_plain", words, k, max(1, 16384 // columns))
        return place


def refused(code: int, step: int, rows_: int) -> Exception:
    """The error for sizes of steps that cannot be."""
    return explained(
        RuntimeError,
        "batch_sizes do not describe the data of the packed sequence",
        need="positive sizes that never rise, the first the size of the batch, that add up to the rows "
        f"of the data; wrong at step {step}, sum {rows_}",
    )


def forward(call) -> None:
    """Output, last states and, with ``save``, what the backward pass needs."""
    layer = Layer(call, call.rules.operator.tensors)
    hidden, state, gates, rows_ = layer.hidden, layer.state, layer.gates, layer.rows
    layer.check_sizes()
    save = call.values["save"]
    count = gates * hidden * rows_
    spare = layer.mode.startswith("RNN") or not save
    place = 0 if spare and layer.fused else layer.scratch(layer.directions * count) if spare else call.out(3)
    x = layer.word("input")
    if layer.fused:
        layer.put(input=x, input_weights=layer.pack_turned("w_ih", gates, hidden, layer.features))
    else:
        for d in range(layer.directions):
            weight = (layer.weight("w_ih", d), 0, 1, layer.features)
            layer.product(rows_, gates * hidden, layer.features, (x, 0, layer.features, 1), weight,
                          (place, d * count, gates * hidden, 1))  # fmt: skip
    layer.put(gates=place, bias=biases(layer))
    if layer.projected:
        layer.put(projection=layer.pack_turned("w_hr", 1, state, hidden))
    if save and gates > 1:
        layer.put(kept=call.out(3), kept_offset=layer.directions * count * layer.bytes)
    if layer.alone:
        if layer.there("hidden"):  # their product joins that of the input
            weight = (layer.weight("w_hh", 0), 0, 1, state)
            layer.product(layer.batch, gates * hidden, state, (layer.word("hidden"), 0, state, 1), weight,
                          (place, 0, gates * hidden, 1), accumulate=True)  # fmt: skip
    else:
        layer.put(weights=layer.pack_turned("w_hh", gates, hidden, state))
        if layer.there("hidden"):
            layer.put(first=layer.word("hidden"))
    if layer.there("cell"):
        layer.put(first_cell=layer.word("cell"))
    layer.put(output=call.out(0), last=call.out(1))
    if layer.mode == "LSTM":
        layer.put(last_cell=call.out(2))
    items = layer.directions * layer.slices
    layer.put(
        scratch=layer.scratch(
            items * scratch_forward(layer.lanes, hidden, state, layer.features, layer.projected)
        )
    )
    call.step(kernel("forward", layer.mode, layer.code, layer.packed, layer.projected), layer.words, items, 1)


def biases(layer: Layer) -> int:
    """Frame word of the padded biases of all directions."""
    size = layer.slots * layer.width
    place = layer.scratch(layer.directions * size)
    for d in range(layer.directions):
        first, second = (layer.weight(n, d) if layer.there("b_ih") else 0 for n in ("b_ih", "b_hh"))
        words = [first, second, place, layer.hidden, layer.width, d * size]
        layer.step("gather_bias", words, 1, 1, layer.mode)
    return place


def backward(call) -> None:
    """Gradients of the inputs that are wanted, in the order of the operator's tensors."""
    layer = Layer(call, call.rules.operator.tensors)
    hidden, state, gates = layer.hidden, layer.state, layer.gates
    wanted = [n for n, w in zip(GRADIENTS, call.values["wanted"], strict=True) if w]
    goal = {n: call.out(k) for k, n in enumerate(wanted)}
    layer.check_sizes()
    layer.put(gates=layer.word("reserve"), kept=layer.word("reserve"), output=layer.word("output"))
    layer.put(kept_offset=layer.directions * gates * hidden * layer.rows * layer.bytes)
    layer.put(gradient=layer.word("grad"), last_gradient=layer.word("grad_hidden"))
    if not layer.alone:
        rotated = 2 * hidden if layer.mode == "GRU" else 0
        layer.put(weights=layer.pack_plain("w_hh", gates * hidden, state, rotated))
        layer.put(first_gradient=goal.get("hidden", 0))
    for name, slot in (("hidden", "first"), ("cell", "first_cell"), ("grad_cell", "last_cell_gradient")):
        if layer.there(name):
            layer.put(**{slot: layer.word(name)})
    layer.put(first_cell_gradient=goal.get("cell", 0), paneled=int(layer.fused))
    layer.put(deltas=layer.scratch(layer.directions * layer.slots * layer.padded * layer.rows))
    if layer.mode == "GRU" or any(n.startswith("w_hh") for n in wanted):
        wide = -(-state // layer.lanes) * layer.lanes
        layer.put(before=layer.scratch(layer.directions * layer.rows * wide))
    layer.put(features=layer.features if layer.fused and "input" in goal else 0)
    if layer.words[at.features]:
        layer.put(input_weights=layer.pack_plain("w_ih", gates * hidden, layer.features))
        layer.put(input_gradient=goal["input"])
        if layer.directions == 2:
            layer.put(other_gradient=layer.scratch(layer.rows * layer.features))
    if layer.projected:
        layer.put(projection=layer.pack_plain("w_hr", state, hidden))
        layer.put(projected=layer.scratch(layer.directions * layer.rows * state))
        layer.put(unprojected=layer.scratch(layer.directions * layer.rows * hidden))
    items = layer.directions * layer.slices
    layer.put(bias=layer.scratch(items * layer.slots * layer.width))
    room = scratch_backward(layer.lanes, layer.slots, hidden, state, layer.projected)
    layer.put(scratch=layer.scratch(items * room))
    call.step(
        kernel("backward", layer.mode, layer.code, layer.packed, layer.projected), layer.words, items, 1
    )
    for d in range(layer.directions):
        (panel_gradients if layer.fused else row_gradients)(layer, goal, d)
        other_gradients(layer, goal, d)
    if layer.words[at.other_gradient]:
        shape, strides = (layer.rows * layer.features,), (1,)
        both = [
            (layer.code, strides, layer.words[at.input_gradient]),
            (layer.code, strides, layer.words[at.other_gradient]),
        ]
        call.pointwise(both[:1], both, lambda a, b: a + b, shape)


def panel_gradients(layer: Layer, goal: dict[str, int], d: int) -> None:
    """The weights' gradients where the backward kernel left both factors in panels."""
    end = "_reverse" * d
    rows_, lanes = layer.rows, layer.lanes
    deltas = (layer.words[at.deltas], d * layer.slots * layer.padded * rows_)
    panels = layer.gates * layer.padded // ROWS
    for name, columns in (("w_ih", layer.features), ("w_hh", layer.state)):
        if name + end not in goal:
            continue
        size = -(-columns // lanes) * lanes * rows_
        factors = (layer.words[at.before], d * size)
        if name == "w_ih":
            factors = (layer.input_panels(), 0)
        last = layer.slots - 1 if name == "w_hh" else layer.gates - 1
        words = [*deltas, *factors, goal[name + end], rows_, columns, layer.hidden, layer.padded, last,
                 layer.words[at.tiles]]  # fmt: skip
        address = kernel("weight_gradient", layer.mode, layer.code, False, False)
        layer.call.step(address, words, panels, max(1, min(8, panels // 8)))


def row_gradients(layer: Layer, goal: dict[str, int], d: int) -> None:
    """The gradients of weights and input where the backward kernel left the gates' gradients in rows."""
    hidden, state, rows_, end = layer.hidden, layer.state, layer.rows, "_reverse" * d
    width, row = layer.gates * hidden, layer.slots * hidden
    word, first = layer.words[at.deltas], d * layer.slots * layer.padded * rows_
    features = layer.features
    if "w_ih" + end in goal:
        layer.product(width, features, rows_, (word, first, 1, row), (layer.word("input"), 0, features, 1),
                      (goal["w_ih" + end], 0, features, 1))  # fmt: skip
    if "w_hh" + end in goal:
        wide = -(-state // layer.lanes) * layer.lanes
        before = (layer.words[at.before], d * rows_ * wide, state, 1)
        # the last gate of a GRU has its own gradient, in the slot after it
        parts = (
            [(0, width, 0)]
            if layer.slots == layer.gates
            else [(0, 2 * hidden, 0), (2 * hidden, hidden, hidden)]
        )
        for start, count, move in parts:
            layer.product(count, state, rows_, (word, first + start + move, 1, row), before,
                          (goal["w_hh" + end], start * state, state, 1))  # fmt: skip
    if "input" in goal:
        weight = (layer.weight("w_ih", d), 0, features, 1)
        layer.product(rows_, features, width, (word, first, row, 1), weight, (goal["input"], 0, features, 1),
                      accumulate=d > 0)  # fmt: skip
    if layer.alone and "hidden" in goal:
        weight = (layer.weight("w_hh", 0), 0, state, 1)
        layer.product(layer.batch, state, width, (word, 0, row, 1), weight, (goal["hidden"], 0, state, 1))


def other_gradients(layer: Layer, goal: dict[str, int], d: int) -> None:
    """The gradients of the projection and the biases."""
    hidden, state, rows_, end = layer.hidden, layer.state, layer.rows, "_reverse" * d
    if "w_hr" + end in goal:
        a = (layer.words[at.projected], d * rows_ * state, 1, state)
        b = (layer.words[at.unprojected], d * rows_ * hidden, hidden, 1)
        layer.product(state, hidden, rows_, a, b, (goal["w_hr" + end], 0, hidden, 1))
    places = [goal.get(n + end, 0) for n in ("b_ih", "b_hh")]
    if any(places):
        part = d * layer.slices * layer.slots * layer.width
        words = [*places, layer.words[at.bias], layer.slices, hidden, layer.width, part]
        layer.step("fold_bias", words, 1, 1, layer.mode)
