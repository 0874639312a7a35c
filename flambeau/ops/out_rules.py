"""What an ``out=`` tensor may be: rules that a class names as its `check_out`.

A rule names what it needs: arguments of the call, `result` and `out` (layouts, or tuples of them for several results).
One that does not name `result` is asked before anything is computed. Without a rule a pointwise operator takes any type
that its result may be cast to, the others take exactly their result's.
"""

from __future__ import annotations

from collections.abc import Callable

from ..base import dtype as types
from ..base.dtype import dtype as DType
from ..base.dtype import type_name
from ..base.errors import require

_CPP_NAMES = {
    "float32": "float", "float64": "double", "float16": "at::Half", "bfloat16": "at::BFloat16", "int64": "int64_t",
    "bool": "bool", "complex64": "c10::complex<float>", "complex128": "c10::complex<double>",
}  # fmt: skip
_LONG_NAMES = {
    "float16": "c10::Half", "bfloat16": "c10::BFloat16", "int64": "long int", "int32": "int", "int16": "short int",
    "int8": "signed char", "uint8": "unsigned char",
}  # fmt: skip


def cpp_name(dtype: DType) -> str:
    """A type's name in PyTorch's overflow messages."""
    return _CPP_NAMES.get(dtype.name, dtype.name + "_t" if dtype.kind == 1 else dtype.name)


def long_name(dtype: DType) -> str:
    """A type's name as the compiler spells it."""
    return _LONG_NAMES.get(dtype.name) or cpp_name(dtype)


def can_cast(source: DType, to: DType) -> bool:
    """Whether a result of one type may be written into a tensor of another: never down a kind, never into bool."""
    return source.kind <= to.kind and not (to.kind == 0 and source.kind != 0)


def pairs(result, out):
    """Each result with the tensor that shall receive it."""
    return zip(result, out, strict=True) if isinstance(result, tuple) else ((result, out),)


# -- rules ---------------------------------------------------------------------------------------------------------------


def exact(result, out) -> None:
    """Exactly the result's type."""
    for want, have in pairs(result, out):
        require(
            have.dtype is want.dtype,
            f"Expected out tensor to have dtype {long_name(want.dtype)}, but got {long_name(have.dtype)} instead",
        )


def castable(result, out) -> None:
    """Any type that the result may be cast to."""
    for want, have in pairs(result, out):
        require(
            can_cast(want.dtype, have.dtype),
            f"result type {type_name(want.dtype)} can't be cast to the desired output type {type_name(have.dtype)}",
        )


def worded(text: str, error: type[Exception] = RuntimeError, cast: bool = True) -> Callable:
    """A rule with its own message, in which {want} and {have} stand for the types; `cast` allows castable ones."""

    def rule(result, out) -> None:
        for want, have in pairs(result, out):
            fits = can_cast(want.dtype, have.dtype) if cast else want.dtype is have.dtype
            require(fits, text.format(want=type_name(want.dtype), have=type_name(have.dtype)), error)

    return rule


def safely(name: str, label: str = "result") -> Callable:
    """The linear algebra functions' rule: castable, in their words."""
    return worded(
        f"{name}: Expected {label} to be safely castable from {{want}} dtype, but got {label} with dtype {{have}}"
    )


def any_type(out) -> None:
    """Whatever the type."""


def own_type(text: str, *further: str) -> Callable:
    """The types of the results, each with a message of its own."""
    texts = (text, *further)

    def rule(result, out) -> None:
        for (want, have), words in zip(pairs(result, out), texts):
            require(
                want.dtype is have.dtype,
                words.format(want=type_name(want.dtype), have=type_name(have.dtype)),
            )

    return rule


same_type_out = worded("Found dtype {have} but expected {want}", cast=False)
#: of the functions that make tensors, where a type is asked for
made = worded("dtype {want} does not match dtype of out parameter ({have})", cast=False)
joined = worded("torch.cat(): input types can't be cast to the desired output type {have}", TypeError)


def bool_out(name: str) -> Callable:
    """`out` must be bool."""

    def rule(out) -> None:
        require(out.dtype is types.bool_, f"{name} does not support non-boolean outputs.")

    return rule
