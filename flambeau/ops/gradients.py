"""What training does to all gradients at once: their norm, clipping by it, unscaling with a check for overflow.

The tensors of a list may differ in shape; they share one dtype and their elements lie without gaps (`dense`).
"""

from __future__ import annotations

from ..base.dtype import DTYPES
from ..base.errors import require
from ..base.layout import contiguous_layout
from .define import op
from .kinds import Opaque


def _check_dense(tensors, *, real: bool = False) -> None:
    """One dtype, no gaps."""
    require(len(tensors) > 0, "expected a list of tensors that is not empty")
    for one in tensors:
        require(one.dense, f"the elements of a gradient lie apart or overlap: {one}")
        require(one.dtype is tensors[0].dtype, f"gradients of one call share a dtype: {one} and {tensors[0]}")
        require(one.dtype.is_floating_point or (one.dtype.is_complex and not real), f"no gradient: {one}")


@op("gradients.norm(Tensor[] tensors, float p) -> Tensor", function=False)
class Norm(Opaque):
    """The p-norm of all elements together: ``(sum |x|^p)^(1/p)`` for p = 1 or 2, the largest ``|x|`` for infinity.

    Sums run over blocks of fixed size, so that the result does not depend on the number of threads.
    """

    def check(tensors, p):
        _check_dense(tensors, real=p != 2.0)
        require(p in (1.0, 2.0, float("inf")), f"gradients.norm knows p = 1, 2 and inf, not {p}")

    def layouts(tensors):
        dtype = tensors[0].dtype
        real = {"complex64": DTYPES["float32"], "complex128": DTYPES["float64"]}.get(dtype.name, dtype)
        return contiguous_layout((), real, tensors[0].device)

    algorithm = "gradients.norm"


@op("gradients.clip_(Tensor[] tensors, Tensor total, Scalar max_norm) -> ()", function=False)
class Clip(Opaque):
    """Multiplies all tensors by ``min(max_norm / (total + 1e-6), 1)``. Source: Pascanu et al., arXiv:1211.5063."""

    def check(tensors, total):
        _check_dense(tensors)
        require(total.numel == 1, f"the norm has one element: {total}")

    def layouts():
        return ()

    algorithm = "gradients.clip"


@op("gradients.unscale_(Tensor[] tensors, Tensor found, Tensor factor) -> ()", function=False)
class Unscale(Opaque):
    """Multiplies all tensors by `factor`; sets `found` to 1 where an element was infinite or no number."""

    def check(tensors, found, factor):
        _check_dense(tensors, real=True)
        for name, one in (("found_inf", found), ("inv_scale", factor)):
            require(one.numel == 1, f"{name} must be a 1-element tensor.")
            require(one.dtype.name == "float32", f"{name} must be a float tensor.")

    def layouts():
        return ()

    algorithm = "gradients.unscale"
