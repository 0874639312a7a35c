"""The pointwise core of dropout: a mask and a scale in one kernel."""

from __future__ import annotations

from .define import op
from .kinds import Pointwise, promote


@op("scaled_mask(Tensor input, Tensor mask, Scalar scale) -> Tensor", function=False, method=False)
class ScaledMask(Pointwise):
    """``input * mask * scale``."""

    dtype = promote

    def scalar(input, mask, scale):
        return input * (mask * scale)

    def d_input(g, mask, scale):
        return g * (mask * scale)
