"""`x[...]` and `x[...] = y`: ints, slices, None, an ellipsis, masks, index tensors and lists, in any mix.

What needs no index tensor is one view. Its layout is decided once per (layout, index) and looked up afterwards; an int
in front needs no entry of its own, because only the start of the view depends on it.
"""

from __future__ import annotations

from functools import lru_cache

from ..base import dtype as types
from ..base.layout import contiguous_layout
from ..base.mode import mode
from ..ops.define import OPERATORS, Operator, ops
from ..ops.index import indexed_shape, pick, pick_at, resolve_indices, together, written
from ..ops.out_rules import cpp_name
from ..ops.scatter import number_like
from . import dispatch, interop, overrides
from .autograd import Node, next_number
from .plan import Plan, backend, make_plan
from .tensor import Tensor, make, new_object, track_view

#: views by an int in front, by layout: (plan, size, bytes between slices)
FIRST: dict = {}
#: views by other basic indices, by (layout, *index): (plan, operator, plain arguments)
BASIC: dict = {}
LIMIT = 10000
SELECT, SLICE, UNSQUEEZE, ALIAS = (
    OPERATORS[f"indexed.{n}"] for n in ("select", "slice", "unsqueeze", "alias")
)
NONE = type(None)
NOT_KEPT = object()
ELLIPSIS = type(Ellipsis)


def getitem(self, index):
    """The part of the tensor that an index names: a view where the index is basic, else a copy."""
    kind = type(index)
    if kind is int:
        entry = FIRST.get(self._layout)
        if entry is None:
            return general(self, index)
        plan, size, step = entry
        place = index if index >= 0 else index + size
        if not 0 <= place < size:
            return general(self, index)
        move, op, plain = place * step, SELECT, None
    elif kind is slice:
        start, stop, stride = index.start, index.stop, index.step
        if (
            (start is None or type(start) is int) and (stop is None or type(stop) is int)
            and (stride is None or type(stride) is int)
        ):  # fmt: skip
            entry = BASIC.get((self._layout, (start, stop, stride)))
            if entry is None:
                return general(self, index)
            plan, op, plain = entry
            move = plan.move
        else:
            return general(self, index)
    elif kind is tuple:
        key = [self._layout]
        for one in index:
            t = type(one)
            if t is slice:
                start, stop, stride = one.start, one.stop, one.step
                if (
                    (start is None or type(start) is int) and (stop is None or type(stop) is int)
                    and (stride is None or type(stride) is int)
                ):  # fmt: skip
                    key.append((start, stop, stride))
                else:
                    return general(self, index)
            elif t is int or t is NONE or t is ELLIPSIS:
                key.append(one)
            else:
                return general(self, index)
        entry = BASIC.get(tuple(key))
        if entry is None:
            return general(self, index)
        plan, op, plain = entry
        move = plan.move
    elif kind is NONE or kind is ELLIPSIS:
        entry = BASIC.get((self._layout, index))
        if entry is None:
            return general(self, index)
        plan, op, plain = entry
        move = plan.move
    elif kind is Tensor and index._layout.ndim and self._layout.ndim and not self._layout.foreign:
        dtype = index._layout.dtype
        if dtype is types.int64:
            return pick(self, index, 0)
        return masked(self, index) if dtype is types.bool_ else general(self, index)
    else:
        return general(self, index)
    result = new_object(Tensor)
    result._memory = self._memory
    result._offset = self._offset + move
    result._layout = plan.layout
    base = self._base
    result._base = base = self if base is None else base
    result._node = None
    if plan.differentiable and mode.grad:
        track_view(base, result)
        if self._node is not None:
            remember(self, result, plan, op, ((index,),) if plain is None else plain)
    return result


def remember(source: Tensor, result: Tensor, plan: Plan, op: Operator, plain: tuple) -> None:
    """The node of a view by a basic index."""
    node = new_object(Node)
    node.op, node.plan, node.edges = op, plan, (source._node,)
    node.saved = node.versions = ()
    node.plain, node.number, node.extra = plain, next_number(), None
    result._node = node
    if mode.grad is not True:
        dispatch.watch(node)


# -- what an index means -------------------------------------------------------------------------------------


def general(self, index):
    """`x[index]` in general form; fills the tables of basic indices."""
    if overrides.present((self, index)):
        found = overrides.handle(Tensor.__getitem__, (self, index), {})
        if found is not NotImplemented:
            return found
    if type(index) is list and self._layout.ndim and set(map(type, index)) == {int}:
        places = interop.from_numbers(index, None)
        if places is not None:
            return pick(self, places, 0)
    if type(index) is tuple:
        found = by_recipe(self, index)
        if found is not None:
            return pick_at(*found)
    items = items_of(index)
    spec, advanced = analyse(self, items)
    if not advanced:
        return basic(self, index, spec)
    source = self if trivial(spec) else basic(self, NOT_KEPT, spec)
    if len(advanced) == 1:
        ((dim, one),) = advanced.items()
        if one._layout.dtype.kind == 1 and one._layout.dtype.name != "uint8":
            return pick(source, checked_index(one), dim)
        if dim == 0 and one._layout.dtype is types.bool_:
            return masked(source, one)
    dims, indices = resolve(source, advanced)
    return pick_at(source, indices, dims)


#: by the layouts of a tensor and of the items of an index with index tensors: (plan, operator and plain arguments of its
#: basic part or None, indexed dimensions)
RECIPES: dict = {}


def by_recipe(self: Tensor, index: tuple):
    """(source, index tensors, dimensions) where the index has int64 tensors of one layout and ints, slices and None."""
    key: list = [self._layout]
    tensors = []
    for one in index:
        t = type(one)
        if t is Tensor:
            key.append(one._layout)
            tensors.append(one)
        elif t is slice:
            key.append((one.start, one.stop, one.step))
        elif t is int or t is NONE or t is ELLIPSIS:
            key.append(one)
        else:
            return None
    try:
        recipe = RECIPES.get(tuple(key))
    except TypeError:
        return None
    if recipe is None:
        recipe = make_recipe(self, index, tuple(key), tensors)
        if recipe is None:
            return None
    view, dims = recipe
    return (self if view is None else view_of(self, *view)), tuple(tensors), dims


def make_recipe(self: Tensor, index: tuple, key: tuple, tensors: list):
    """The recipe of an index, or None where the index tensors need work at each call."""
    layouts = {t._layout for t in tensors}
    numbers = all(type(n) in (int, NONE) for k in key if type(k) is tuple for n in k)
    if len(layouts) != 1 or not numbers or self._layout.foreign:
        return None
    (where,) = layouts
    if where.dtype is not types.int64 or not where.ndim or not where.contiguous:
        return None
    spec, advanced = analyse(self, index)
    if len(RECIPES) > LIMIT:
        RECIPES.clear()
    view = None if trivial(spec) else (*basic_plan(self._layout, spec), (spec,))
    recipe = RECIPES[key] = (view, tuple(advanced))
    return recipe


def masked(self: Tensor, mask: Tensor) -> Tensor:
    """`x[mask]` for a mask over the leading dimensions."""
    where = self._layout
    shape = mask._layout.shape
    if where.shape[: len(shape)] != shape:
        if len(shape) > where.ndim:
            raise IndexError(f"too many indices for tensor of dimension {where.ndim}")
        check_mask(mask, where, 0)
    places = true_positions(mask)
    if len(shape) == 1:
        return pick(self, places, 0)
    if where.numel == 0:
        return pick(ops.reshape(self, (mask._layout.numel, *where.shape[len(shape) :])), places, 0)
    return pick(ops.reshape(self, (-1, *where.shape[len(shape) :])), places, 0)


def checked_index(index: Tensor) -> Tensor:
    """An index tensor that kernels can read."""
    if index._layout.dtype.name not in ("int32", "int64"):
        raise IndexError("tensors used as indices must be long, int, byte or bool tensors")
    return index


def items_of(index) -> tuple:
    """The index as a tuple of items."""
    if type(index) is tuple:
        return index
    if isinstance(index, tuple):
        return tuple(index)
    if isinstance(index, list) and len(index) < 32 and any(
        isinstance(i, (list, tuple, slice, Tensor)) or i is None or i is Ellipsis for i in index
    ):  # fmt: skip
        return tuple(index)
    return (index,)


def is_true_index(one) -> bool:
    """Whether the item indexes by tensor: tensors (but for 0-d integers), lists, arrays, bools."""
    return isinstance(one, (Tensor, list, tuple, bool)) or hasattr(one, "__array__")


def prepare(items: tuple, device) -> list:
    """Items with numbers, lists and arrays brought to ints, slices, None, Ellipsis, bools or tensors."""
    found = []
    for one in items:
        kind = type(one)
        if kind is int or kind is slice or one is None or one is Ellipsis or kind is bool:
            found.append(one)
        elif isinstance(one, Tensor):
            where = one._layout
            if where.ndim == 0 and where.dtype.kind == 1 and where.dtype.name != "uint8":
                found.append(one.item())
            elif where.ndim == 0 and where.dtype.kind < 2:
                found.append(bool(one.item()))
            elif where.dtype.kind > 1:
                raise IndexError("tensors used as indices must be long, int, byte or bool tensors")
            else:
                found.append(one)
        elif isinstance(one, (list, tuple, range)):
            found.append(from_sequence(list(one)))
        elif hasattr(one, "__array__") and getattr(one, "ndim", 0):
            found.extend(prepare((interop.as_tensor(one),), device))
        elif hasattr(one, "dtype") and getattr(one.dtype, "kind", "") == "b":
            found.append(bool(one))
        elif hasattr(one, "__index__") and not isinstance(one, float):
            found.append(one.__index__())
        elif isinstance(one, str):
            raise TypeError("new(): invalid data type 'str'")
        else:
            raise IndexError(
                "only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are valid indices (got "
                f"{type(one).__name__})"
            )
    return found


def from_sequence(values: list) -> Tensor:
    """A list as an index tensor: bools as a mask, numbers as int64."""
    if not values:
        return interop.tensor([], dtype=types.int64)
    if any(isinstance(v, str) for v in values):
        raise TypeError("new(): invalid data type 'str'")
    made = interop.tensor([v.tolist() if hasattr(v, "tolist") else v for v in values])
    return made if made._layout.dtype.kind < 2 else made.to(types.int64)


def analyse(self: Tensor, items: tuple) -> tuple[tuple, dict]:
    """The basic part of an index, one entry a dimension, and the index tensors by dimension of the view that it gives."""
    where = self._layout
    items = tuple(prepare(items, where.device)) if any(type(i) not in (int, slice) for i in items) else items
    used = 0
    for one in items:
        if type(one) is int or type(one) is slice:
            used += 1
        elif isinstance(one, Tensor):
            used += one._layout.ndim if one._layout.dtype.name in ("bool", "uint8") else 1
    if used > where.ndim:
        if where.ndim == 0 and all(type(i) is int for i in items):
            raise IndexError(
                "invalid index of a 0-dim tensor. Use `tensor.item()` in Python or `tensor.item<T>()` in C++ to convert a "
                "0-dim tensor to a number"
            )
        raise IndexError(f"too many indices for tensor of dimension {where.ndim}")
    spec: list = []
    advanced: dict[int, Tensor] = {}
    dim, free = 0, where.ndim - used
    for one in items:
        if type(one) is bool:  # a new dimension of size 1, taken or left out
            spec.append(None)
            advanced[dim] = interop.tensor([0] if one else [], dtype=types.int64)
            dim += 1
        elif type(one) is int:
            spec.append(one)
        elif type(one) is slice:
            spec.append(bounds(one))
            dim += 1
        elif one is None:
            spec.append(None)
            dim += 1
        elif one is Ellipsis:
            spec.extend([WHOLE] * free)
            dim += free
            free = 0
        else:
            count = one._layout.ndim if one._layout.dtype.name in ("bool", "uint8") else 1
            spec.extend([WHOLE] * count)
            advanced[dim] = one
            dim += count
    return tuple(spec), advanced


WHOLE = (None, None, 1)


def bounds(one: slice) -> tuple:
    """(start, stop, step) of a slice as ints or None."""

    def number(x):
        if x is None or type(x) is int:
            return x
        if not hasattr(x, "__index__"):
            raise TypeError("slice indices must be integers or None or have an __index__ method")
        return x.__index__()

    step = number(one.step)
    if step is None:
        step = 1
    if step == 0:
        raise ValueError("slice step cannot be zero")
    if step < 0:
        raise ValueError("step must be greater than zero")
    return number(one.start), number(one.stop), step


def trivial(spec: tuple) -> bool:
    return all(one == WHOLE for one in spec)


def basic(self: Tensor, index, spec: tuple) -> Tensor:
    """The view of a basic index; it goes into the tables unless `index` is NOT_KEPT."""
    if any(type(one) is int and abs(one) >= 1 << 63 for one in spec):
        raise ValueError("Overflow when unpacking long long")
    plan, op = basic_plan(self._layout, spec)
    if index is not NOT_KEPT:
        keep(self._layout, index, spec, plan, op)
    return view_of(self, plan, op, (spec,))


def basic_plan(where, spec: tuple) -> tuple[Plan, Operator]:
    """The plan of a basic index, and the operator named like the last step of PyTorch's."""
    last = next((one for one in reversed(spec) if one != WHOLE), None)
    if all(one == WHOLE for one in spec):
        op = ALIAS
    else:
        op = UNSQUEEZE if last is None else SLICE if type(last) is tuple else SELECT
    return make_plan(op, {"input": where, "index": spec}), op


def view_of(self: Tensor, plan: Plan, op: Operator, plain: tuple) -> Tensor:
    """The view of a plan."""
    result = make(self._memory, plan.layout, self._offset + plan.move)
    result._base = base = self if self._base is None else self._base
    if plan.differentiable and mode.grad:
        track_view(base, result)
        if self._node is not None:
            remember(self, result, plan, op, plain)
    return result


def keep(where, index, spec: tuple, plan: Plan, op: Operator) -> None:
    """Put a plan into the tables, if the index is one that the fast path looks up."""
    if where.foreign:
        return
    if type(index) is int:
        if len(FIRST) > LIMIT:
            FIRST.clear()
        FIRST[where] = (plan, where.shape[0], where.strides[0] * where.dtype.itemsize)
        return
    items = index if type(index) is tuple else (index,)
    key: list = [where]
    for one in items:
        if type(one) is slice:
            key.append((one.start, one.stop, one.step))
        else:
            key.append(one)
    if all(type(k) in (int, tuple, NONE, ELLIPSIS) for k in key[1:]):
        if len(BASIC) > LIMIT:
            BASIC.clear()
        BASIC[tuple(key)] = (plan, op, (spec,))


def resolve(source: Tensor, advanced: dict) -> tuple[tuple, tuple]:
    """Dimensions and index tensors of one shape; a mask stands for one index tensor per dimension."""
    where = source._layout
    if len(advanced) == 1:
        ((dim, mask),) = advanced.items()
        if mask._layout.dtype.name in ("bool", "uint8") and mask._layout.ndim == 1:
            check_mask(mask, where, dim)
            return (dim,), (ops.true_positions(mask),)
    listed = [advanced.get(d) for d in range(max(advanced) + 1)]
    taken: list = []
    for d, one in enumerate(listed):
        if one is not None and one._layout.dtype.name in ("bool", "uint8"):
            check_mask(one, where, d)
        if one is not None or d not in covered(advanced):
            taken.append(one)
    return resolve_indices(source, tuple(taken))


def covered(advanced: dict) -> set[int]:
    """Dimensions that a mask covers beyond its first."""
    found: set[int] = set()
    for d, one in advanced.items():
        if one._layout.dtype.name in ("bool", "uint8"):
            found.update(range(d + 1, d + one._layout.ndim))
    return found


def check_mask(mask: Tensor, where, dim: int) -> None:
    """Raise unless the mask fits the dimensions from `dim` on."""
    shape = mask._layout.shape
    for d, n in enumerate(shape):
        if where.shape[dim + d] != n:
            raise IndexError(
                f"The shape of the mask {list(shape)} at index {d} does not match the shape of the indexed tensor "
                f"{list(where.shape)} at index {dim + d}"
            )


# -- writing -------------------------------------------------------------------------------------------------


def setitem(self, index, value) -> None:
    """Write `value` (a number or a tensor, broadcast) where the index says."""
    kind = type(value)
    if type(self) is Tensor and (kind is float or kind is int or kind is bool or kind is Tensor):
        t = type(index)
        if t is int or t is slice:
            fill_view(getitem(self, index), value)
            return
        if t is Tensor:
            where = index._layout
            same = where.shape == self._layout.shape
            if (
                same
                and where.ndim
                and where.dtype is types.bool_
                and kind is not Tensor
                and not where.foreign
            ):
                ops.masked_fill_(self, index, value)
                return
            if put_by_recipe(self, (index,), value):
                return
        if t is tuple:
            for one in index:
                t = type(one)
                if t is not int and t is not slice and t is not NONE and t is not ELLIPSIS:
                    break
            else:
                fill_view(getitem(self, index), value)
                return
    if overrides.present((self, index, value)):
        found = overrides.handle(Tensor.__setitem__, (self, index, value), {})
        if found is not NotImplemented:
            return
    if kind not in dispatch.NUMBERS and not isinstance(value, Tensor):
        value = as_value(self, value)
    if type(index) is tuple and put_by_recipe(self, index, value):
        return
    items = items_of(index)
    if all(type(i) in (int, slice, NONE, ELLIPSIS) for i in items):
        fill_view(getitem(self, index), value)
        return
    spec, advanced = analyse(self, items)
    if not advanced:
        fill_view(basic(self, NOT_KEPT, spec), value)
        return
    target = self if trivial(spec) else basic(self, NOT_KEPT, spec)
    set_indices(target, advanced, value)


def put_by_recipe(self: Tensor, index: tuple, value) -> bool:
    """Write at int64 index tensors of one layout; whether the index was such a one."""
    found = by_recipe(self, index)
    if found is None or not found[1]:
        return False
    source, indices, dims = found
    if type(value) is Tensor and value._node is None:
        key = ("put", dims, indices[0]._layout, value._layout)
        spread = source._layout.cache.get(key)
        if spread is None:
            spread = source._layout.cache[key] = spread_layout(
                source._layout, dims, indices[0]._layout, value
            )
        if spread:
            if spread is not value._layout:
                value = make(value._memory, spread, value._offset)
            ops.index_put_at_(source, indices, value, dims, False)
            return True
    if isinstance(value, Tensor):
        written(source, dims, indices, one_value(source, value), False, True)
    else:
        ops.index_put_at_(source, indices, one_value(source, value), dims, False)
    return True


def spread_layout(where, dims: tuple, index, value: Tensor):
    """The layout of `value` expanded to what index tensors name; False where it needs more than that."""
    given = value._layout
    shape = indexed_shape(where.shape, dims, index.shape)
    if given.dtype is not where.dtype or given.foreign or given.numel == 1:
        return False
    if given.shape == shape:
        return given
    fits = given.ndim <= len(shape) and all(m in (1, n) for m, n in zip(given.shape[::-1], shape[::-1]))
    return ops.expand(value, shape)._layout if fits else False


def as_value(self: Tensor, value):
    """A number of another library as a Python number; PyTorch's error for the rest."""
    if hasattr(value, "item") and getattr(value, "ndim", 0) == 0:
        return value.item()
    if isinstance(value, (int, float, complex)):
        return value
    raise TypeError(f"can't assign a {type(value).__module__ + '.' if hasattr(value, '__array__') else ''}"
                    f"{type(value).__name__} to a {self.type() if hasattr(self, 'type') else 'Tensor'}")  # fmt: skip


def fill_view(view: Tensor, value) -> None:
    """Write a number or a tensor into a view."""
    if not isinstance(value, Tensor):
        if isinstance(value, complex) and view._layout.dtype.kind != 3:
            raise RuntimeError(
                f"value cannot be converted to type {cpp_name(view._layout.dtype)} without overflow"
            )
        ops.fill_(view, value)
        return
    shape, given = view._layout.shape, value._layout.shape
    if given != shape:
        extra = len(given) - len(shape)
        if extra > 0 and all(n == 1 for n in given[:extra]):
            value = ops.reshape(value, tuple(given[extra:]))
        value = ops.expand(value, tuple(shape))
    ops.copy_(view, value)


def set_indices(target: Tensor, advanced: dict, value) -> None:
    """Write at index tensors; one mask over leading dimensions and one value is a masked fill."""
    where = target._layout
    single = not isinstance(value, Tensor) or value._layout.ndim == 0
    if len(advanced) == 1 and single:
        ((dim, mask),) = advanced.items()
        if mask._layout.dtype.name == "bool" and dim == 0 and isinstance(value, (int, float, bool)):
            check_mask(mask, where, 0)
            rest = where.ndim - mask._layout.ndim
            if rest:
                mask = ops.reshape(mask, (*mask._layout.shape, *(1,) * rest))
            ops.masked_fill_(target, mask, value)
            return
    value = one_value(target, value)
    if len(advanced) == 1 and where.contiguous and where.numel:
        ((dim, mask),) = advanced.items()
        if mask._layout.dtype is types.bool_ and dim == 0:
            check_mask(mask, where, 0)
            flat = ops.view(target, (mask._layout.numel, *where.shape[mask._layout.ndim :]))
            written(flat, (0,), (true_positions(mask),), value, False, True)
            return
    dims, indices = resolve(target, advanced) if any(
        i._layout.dtype.name in ("bool", "uint8") for i in advanced.values()
    ) else (tuple(advanced), together([checked_index(i) for i in advanced.values()]))  # fmt: skip
    written(target, dims, indices, value, False, True)


#: 0-d tensors of numbers that are written often; nothing writes into them
NUMBERS: dict = {}


def one_value(target: Tensor, value) -> Tensor:
    """A number as a 0-d tensor of the target's type; a 0-d tensor converted to it."""
    where = target._layout
    if isinstance(value, Tensor):
        if value._layout.ndim == 0 and value._layout.dtype is not where.dtype:
            return value.to(where.dtype)
        return value
    key = (repr(value), where.dtype, where.device)
    found = NUMBERS.get(key)
    if found is None:
        if len(NUMBERS) > 256:
            NUMBERS.clear()
        found = NUMBERS[key] = number_like(value, where)
    return found


# -- masks ---------------------------------------------------------------------------------------------------

_programs: dict = {}


def true_positions(mask: Tensor, coordinates: bool = False) -> Tensor:
    """Places of the true elements in the flattened mask, in order; or (`coordinates`) a row of indices for each.

    The number is known only after counting, so the second program writes into memory that is made here.
    """
    where = mask._layout
    if where.device.type == "meta":
        raise NotImplementedError("nonzero on the meta device: the number of true elements is not known")
    if where.numel == 0:
        return interop.empty_tensor((0, where.ndim) if coordinates else (0,), types.int64, where.device)
    if where.dtype.itemsize != 1:
        mask = ops.ne(mask, 0)
        where = mask._layout
    counts = ops.mask_counts(mask)
    native = dispatch.runtime()
    total = native.number(counts._memory, 8 * (counts._layout.numel - 1), INT64)
    width = where.ndim if coordinates else 1
    memory = native.allocate(8 * total * width)
    run = _programs.get((where, coordinates))
    if run is None:
        run = _programs[where, coordinates] = find_program(where, counts._layout, coordinates)
    run(memory, 0, mask._memory, mask._offset, counts._memory, 0)
    return make(memory, places_layout((total, width) if coordinates else (total,), where.device))


#: int64's number for the run-time core's readers
INT64 = 2


@lru_cache(4096)
def places_layout(shape: tuple, device):
    """The layout of so many places."""
    return contiguous_layout(shape, types.int64, device)


def find_program(where, counts, coordinates: bool):
    """The program that writes the positions."""
    back = backend(where.device)
    call = back.Call([counts, where, counts], [])
    back.algorithm("indexing.mask_find")(call, coordinates)
    return call.finish()


for _function, _name in ((getitem, "__getitem__"), (setitem, "__setitem__")):
    _function.__name__, _function.__qualname__ = _name, f"Tensor.{_name}"
    setattr(Tensor, _name, _function)
Tensor._true_positions = true_positions  # type: ignore[attr-defined]
