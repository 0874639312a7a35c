"""Schedules that write slices at the places of one index vector, and single elements of a flattened tensor."""

from __future__ import annotations

from .indexing import (
    Geometry,
    check_index,
    out_of_bounds,
    out_of_range,
    places_of,
    put,
    take,
    write_at,
    written_target,
)
from .regions import number_parts, product
from .schedule import Call

_FLAT = "out of range: tried to access index {value} on a tensor of {size} elements."


def take_flat(call: Call) -> None:
    call.values |= {"dim": 0, "wrap": True}
    size = call.inputs[0].numel
    call.refuses = out_of_range(size, _FLAT, low=-size)
    take(call)


def put_flat(call: Call) -> None:
    size = call.inputs[0].numel
    call.refuses = out_of_range(size, _FLAT, low=-size)
    _write(call, 0, -size, "add" if call.values["accumulate"] else "set", 1, 2)


def _write(call: Call, dim: int, low: int, mode: str, index: int, source: int) -> None:
    """Write input `source` along `dim` at the places of input `index`."""
    where = call.inputs[0]
    count = call.inputs[index].numel
    if count == 0 or where.numel == 0 and where.ndim and where.shape[dim] != 0:
        written_target(call)
        return
    shape, strides = (
        where.shape or (1,),
        (where.strides if call.in_place else call.outputs[0].strides) or (1,),
    )
    parts = number_parts(where.dtype.code)[1] if mode != "set" else 1
    at = Geometry(shape, strides, [dim], where.dtype.itemsize, True, parts)
    places = places_of(call, index, at, [low])
    if where.numel == 0:
        return
    if source < 0:
        return
    write_at(call, at, places, count, source, mode)


def index_add(call: Call) -> None:
    where, alpha = call.inputs[0], call.values["alpha"]
    dim = call.values["dim"] % max(1, where.ndim)
    call.refuses = out_of_bounds([(where.shape or (1,))[dim]], [dim], RuntimeError)
    if alpha == 1:
        _write(call, dim, 0, "add", 1, 2)
        return
    scaled(call, dim, alpha)


def scaled(call: Call, dim: int, alpha) -> None:
    """index_add of a multiple of the source: the multiple is formed first."""
    where, source = call.inputs[0], call.inputs[2]
    if source.numel == 0:
        written_target(call)
        return
    code = where.dtype.code
    word = call.scratch(source.numel * where.dtype.itemsize)
    dense = product_strides(source.shape)
    factor = int(alpha) if where.dtype.kind == 1 else alpha
    call.pointwise(
        [(code, dense, word)], [(code, source.strides, call.input(2))], lambda x: x * factor, source.shape
    )
    shape, strides = (
        where.shape or (1,),
        (where.strides if call.in_place else call.outputs[0].strides) or (1,),
    )
    at = Geometry(shape, strides, [dim], where.dtype.itemsize, True, number_parts(code)[1])
    places = places_of(call, 1, at, [0])
    _, target = written_target(call)
    put(call, at, target, word, places, call.inputs[1].numel, False, "add", code)


def product_strides(shape) -> tuple[int, ...]:
    """Row-major strides."""
    return tuple(product(shape[d + 1 :]) for d in range(len(shape)))


def index_copy(call: Call) -> None:
    where = call.inputs[0]
    dim = call.values["dim"] % max(1, where.ndim)
    size = (where.shape or (1,))[dim]
    call.refuses = out_of_range(
        size, f"index_copy_(): index {{value}} is out of bounds for dimension {dim} with size {{size}}"
    )
    _write(call, dim, 0, "set", 1, 2)


def index_fill(call: Call) -> None:
    where = call.inputs[0]
    dim = call.values["dim"] % max(1, where.ndim)
    size = (where.shape or (1,))[dim]
    call.refuses = out_of_bounds([size], [dim])
    _write(call, dim, -size, "set", 1, 2)


def check_places(call: Call) -> None:
    index, size = call.inputs[0], call.values["size"]
    call.refuses = out_of_range(size, "index out of range in self")
    if index.numel:
        check_index(call, index.dtype.code, call.contiguous(0), index.numel, 0, size)
