"""Vector operations of the convolution and pooling kernels: masks, partial access, compress, sums."""

from __future__ import annotations

from .builder import Value
from .native import shuffle, static
from .types import i1, i32, i64, vec


@static
def lane_mask(b, bits, lanes):
    """A vector of bools from the low bits of an integer."""
    if lanes == 1:
        return b.emit(vec(i1, 1), f"bitcast i1 {b.convert(bits, i1).text} to <1 x i1>")
    narrow = b.fresh()
    b.lines.append(f"  {narrow} = trunc {b.convert(bits, i64)} to i{lanes}")
    return b.emit(vec(i1, lanes), f"bitcast i{lanes} {narrow} to <{lanes} x i1>")


@static
def lanes_between(b, first, last, lanes):
    """True in the lanes k with first <= k < last."""
    numbers = Value(vec(i32, lanes), "<" + ", ".join(f"i32 {k}" for k in range(lanes)) + ">")
    low = b.splat(b.convert(first, i32), lanes)
    high = b.splat(b.convert(last, i32), lanes)
    return b.binary("and", b.compare("ge", numbers, low), b.compare("lt", numbers, high))


@static
def first_lanes(b, count, lanes):
    """True in the first `count` lanes."""
    numbers = Value(vec(i32, lanes), "<" + ", ".join(f"i32 {k}" for k in range(lanes)) + ">")
    return b.compare("lt", numbers, b.splat(b.convert(count, i32), lanes))


def _name(t) -> str:
    """LLVM's suffix of a vector type as it stands in memory."""
    e = t.element.memory
    return f"v{t.lanes}{ {'half': 'f16', 'float': 'f32', 'double': 'f64'}.get(e, e) }"


@static
def load_masked(b, pointer, t, mask):
    """The vector `t` at `pointer`; lanes outside the mask are zero and their memory is not touched."""
    name = f"llvm.masked.load.{_name(t)}.p0"
    b.module.declares[name] = f"declare {t.memory} @{name}(ptr, i32 immarg, <{t.lanes} x i1>, {t.memory})"
    raw = b.fresh()
    b.lines.append(
        f"  {raw} = call {t.memory} @{name}({b.value(pointer)}, i32 {t.element.bytes}, {b.value(mask)}, "
        f"{t.memory} zeroinitializer)"
    )
    return b._widen(raw, t)


@static
def store_masked(b, pointer, value, mask):
    """Write the lanes of the mask, rounded to the pointer's type."""
    pointer, value = b.value(pointer), b.value(value)
    t = vec(pointer.type.to, value.type.lanes)
    raw = b._narrow(b.convert(value, t), t)
    name = f"llvm.masked.store.{_name(t)}.p0"
    b.module.declares[name] = f"declare void @{name}({t.memory}, ptr, i32 immarg, <{t.lanes} x i1>)"
    b.do(f"call void @{name}({t.memory} {raw}, {pointer}, i32 {t.element.bytes}, {b.value(mask)})")


@static
def compress(b, x, mask):
    """The lanes of the mask moved to the front; the rest is arbitrary."""
    x = b.value(x)
    name = f"llvm.experimental.vector.compress.{_name(x.type)}"
    t, lanes = x.type.llvm, x.type.lanes
    b.module.declares[name] = f"declare {t} @{name}({t}, <{lanes} x i1>, {t})"
    return b.emit(x.type, f"call {t} @{name}({x}, {b.value(mask)}, {t} undef)")


@static
def load_expanded(b, pointer, t, mask):
    """Consecutive elements spread over the lanes of the mask, zero in the others."""
    name = f"llvm.masked.expandload.{_name(t)}"
    b.module.declares[name] = f"declare {t.memory} @{name}(ptr, <{t.lanes} x i1>, {t.memory})"
    raw = b.fresh()
    b.lines.append(
        f"  {raw} = call {t.memory} @{name}({b.value(pointer)}, {b.value(mask)}, {t.memory} zeroinitializer)"
    )
    return b._widen(raw, t)


@static
def sum_lanes(b, vectors):
    """The sums of the lanes of each vector, as one vector (a number for one), always in the same order.

    The number of vectors is a power of two, at most the number of lanes.
    """
    lanes, parts = vectors[0].type.lanes, 1
    while len(vectors) > 1:
        half = lanes // (2 * parts)
        low = [k for part in range(parts) for k in range(part * 2 * half, part * 2 * half + half)]
        low += [k + lanes for k in low]
        high = [k + half for k in low]
        vectors = [
            b.binary("add", shuffle.run(b, x, y, low), shuffle.run(b, x, y, high))
            for x, y in zip(vectors[::2], vectors[1::2])
        ]
        parts *= 2
    (x,) = vectors
    while lanes > parts:
        half = lanes // (2 * parts)
        low = [k for part in range(parts) for k in range(part * 2 * half, part * 2 * half + half)]
        x = b.binary("add", shuffle.run(b, x, x, low), shuffle.run(b, x, x, [k + half for k in low]))
        lanes //= 2
    return b.emit(x.type.element, f"extractelement {x}, i64 0") if parts == 1 else x


@static
def deinterleave(b, vectors):
    """Of n vectors that follow one another in memory: the elements k, k + n, ... as a vector, for each k."""
    lanes, n = vectors[0].type.lanes, len(vectors)
    found = []
    for k in range(n):
        places = [divmod(lane * n + k, lanes) for lane in range(lanes)]
        value = vectors[0]
        for number in range(1, n):
            moved = [
                lanes + at if vector == number else at if vector == 0 and number == 1 else lane
                for lane, (vector, at) in enumerate(places)
            ]
            value = shuffle.run(b, value, vectors[number], moved)
        found.append(value)
    return found


@static
def lane_numbers(b, t, lanes):
    """0, 1, 2, ... in a vector of an integer type."""
    return Value(vec(t, lanes), "<" + ", ".join(f"{t.llvm} {k}" for k in range(lanes)) + ">")


@static
def no_lanes(b, lanes):
    """A mask of no lanes."""
    return Value(vec(i1, lanes), "zeroinitializer")


@static
def either(b, x, y):
    """Lanes of either mask."""
    return b.binary("or", x, y)


@static
def both(b, x, y):
    """Lanes of both masks."""
    return b.binary("and", x, y)


@static
def gather_lanes(b, pointer, indices, mask):
    """Lane k reads pointer[indices[k]]; lanes outside the mask are zero and read nothing."""
    pointer, indices = b.value(pointer), b.value(indices)
    t, lanes = pointer.type.to, indices.type.lanes
    assert t.register is t, "a gather reads types that registers hold"
    places = b.fresh()
    b.lines.append(f"  {places} = getelementptr {t.memory}, {pointer}, {indices}")
    whole = vec(t, lanes)
    name = f"llvm.masked.gather.{_name(whole)}.v{lanes}p0"
    b.module.declares[name] = (
        f"declare {whole.llvm} @{name}(<{lanes} x ptr>, i32 immarg, <{lanes} x i1>, {whole.llvm})"
    )
    return b.emit(
        whole,
        f"call {whole.llvm} @{name}(<{lanes} x ptr> {places}, i32 {t.bytes}, {b.value(mask)}, "
        f"{whole.llvm} zeroinitializer)",
    )
