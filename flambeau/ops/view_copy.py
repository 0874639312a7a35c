"""The operators named ``..._copy``: what a view operator gives, with memory of its own."""

from __future__ import annotations

from .define import op, ops
from .kinds import Composite


def _copying(name: str):
    """A body that calls the view operator `name` and copies what it gives."""

    def body(**arguments):
        arguments.pop("implicit", None)
        found = getattr(ops, name)(*arguments.values())
        if isinstance(found, tuple):
            return tuple(ops.clone(t, memory_format="contiguous_format") for t in found)
        return ops.clone(found, memory_format="contiguous_format")

    return body


#: parameters of each view operator after its input
_VIEWS = {
    "alias": "", "t": "", "squeeze": "int[1]? dim=None", "unsqueeze": "int dim", "transpose": "int dim0, int dim1",
    "permute": "int[] dims", "expand": "int[] size, *, bool implicit=False", "view": "int[] size",
    "select": "int dim, int index", "slice": "int dim=0, int? start=None, int? end=None, int step=1",
    "diagonal": "int offset=0, int dim1=0, int dim2=1",
    "unfold": "int dimension, int size, int step",
    "as_strided": "int[] size, int[] stride, int? storage_offset=None",
}  # fmt: skip
_SEVERAL = {
    "unbind": "int dim=0", "split": "any split_size, int dim=0", "split_with_sizes": "int[] split_sizes, int dim=0",
}  # fmt: skip

for _name, _params in {**_VIEWS, **_SEVERAL}.items():
    _star = "" if "*" in _params else "*, "
    _out = "" if _name in _SEVERAL else f", {_star}Tensor? out=None"
    _given = f", {_params}" if _params else ""
    _rules = type(
        "".join(part.capitalize() for part in _name.split("_")) + "Copy",
        (Composite,),
        {"__doc__": f"`{_name}` with memory of its own.", "body": staticmethod(_copying(_name))},
    )
    op(
        f"{_name}_copy(Tensor input{_given}{_out}) -> {'Tensor[]' if _name in _SEVERAL else 'Tensor'}",
        method=False,
    )(_rules)


@op("detach_copy(Tensor input, *, Tensor? out=None) -> Tensor", method=False)
class DetachCopy(Composite):
    """A copy outside the gradient graph."""

    def body(input):
        return ops.clone(input.detach(), memory_format="contiguous_format")


@op("resize_as_(Tensor input, Tensor the_template, *, any memory_format=None) -> Tensor", method=False)
class ResizeAs(Composite):
    """Resize in place to the shape of another tensor."""

    def body(input, the_template, memory_format):
        return input.resize_as_(the_template, memory_format=memory_format)
