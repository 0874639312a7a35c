"""The kinds of operators: what all operators of one kind share. Each operator class derives from one of these."""

from __future__ import annotations

from ..base import dtype as types
from ..base.dtype import dtype as DType


class Kind:
    """Base of all kinds. Members common to every operator:

    check(...): raises on bad arguments (tensors are seen as layouts). shape(...): shape or list of shapes of the
    results. dtype: type or types of the results. layouts(...): results' layouts in full, instead of shape and dtype.
    d_<input>(...): gradient for that input.
    """

    is_kind = False


class Pointwise(Kind):
    """Each element of the result depends on the elements of the operands at the same place.

    scalar(...): the element. dtype: rule from the operands' common type to (type computed in, type of the result).
    """

    is_kind = True


class Reduction(Kind):
    """Combines the elements along the dimensions `dim` (all of them when it is None or absent).

    map(input, index, ...): the state of one element: a value, or a tuple such as (value, index); `index` is its position
    among the reduced ones. combine(a, b): one state of two; it must not matter in which order or grouping.
    identity: the state of no element; a function of the element's type code where that decides it.
    finish(state, count, ...): the result, or one for each output. accumulate: rule from the input's type (or `dtype`) to
    (type combined in, type or types of the results). Rules may name any argument; a `Scalar` is a run-time number.
    empty_is_none: an empty `dim` reduces nothing rather than everything.
    """

    is_kind = True


class View(Kind):
    """The result shares the input's memory. view(...): (layout, elements to move)."""

    is_kind = True


class Opaque(Kind):
    """A named algorithm, which each back end supplies. algorithm: its name; `layouts` or `shape`/`dtype` its results."""

    is_kind = True


class Composite(Kind):
    """A body in operators. It differentiates itself unless it has `d_` rules of its own."""

    is_kind = True


# -- types of results: rules from the common type of the operands to (computed in, result) -----------------------


def promote(common: DType) -> tuple[DType, DType]:
    return common, common


def int_to_float(common: DType) -> tuple[DType, DType]:
    """Integers and bool compute in, and give, the default float type."""
    if common.kind < 2:
        common = types.default_float()
    return common, common


def to_bool(common: DType) -> tuple[DType, DType]:
    """Compares in the common type, gives bool."""
    return common, types.bool_


def complex_to_real(common: DType) -> tuple[DType, DType]:
    """A complex operand gives its real type (abs, real)."""
    return common, common.to_real()


def int_to_float_real(common: DType) -> tuple[DType, DType]:
    computed, _ = int_to_float(common)
    return computed, computed.to_real()
