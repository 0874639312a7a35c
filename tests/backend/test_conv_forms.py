"""The rule that chooses a convolution's form."""

from __future__ import annotations

import pytest

from flambeau.backend.cpu import conv, conv_few, jit, winograd
from flambeau.backend.cpu.winograd import Geometry

wide = pytest.mark.skipif(not jit.has_feature("avx512f"), reason="the examples are for sixteen lanes")


def takes_few(monkeypatch, x, w, **form) -> bool:
    asked = []
    real = conv_few.pays
    monkeypatch.setattr(conv_few, "pays", lambda sweep: asked.append(real(sweep)) or asked[-1])
    code = form.pop("code", "f32")
    conv.forward(code, x, w, **form, out_slot=4, input_slot=5, weight_slot=6, scratch_slot=7)
    return asked[-1]


@wide
@pytest.mark.parametrize(
    ("x", "w", "form", "few"),
    [
        ((1, 512, 4, 4), (512, 512, 3, 3), {"padding": 1}, True),
        ((1, 256, 8, 8), (512, 256, 1, 1), {"stride": 2}, True),
        ((1, 256, 8, 8), (256, 256, 3, 3), {"padding": 1}, True),
        ((1, 64, 4, 4), (64, 16, 3, 3), {"padding": 1, "groups": 4}, True),
        ((64, 512, 8, 8), (512, 512, 3, 3), {"padding": 1}, False),
        ((1, 3, 224, 224), (64, 3, 7, 7), {"padding": 3, "stride": 2}, False),
        ((1, 16, 16, 16), (16, 16, 3, 3), {"padding": 1}, False),
        ((1, 64, 4, 4), (64, 64, 3, 3), {"padding": 1, "code": "bf16"}, False),
    ],
)
def test_few_pixels(monkeypatch, x, w, form, few):
    assert takes_few(monkeypatch, x, w, **form) is few


@wide
@pytest.mark.parametrize(
    ("sizes", "points"),
    [
        ((1, 128, 128, 16, 16, (1, 1), 16, 16), True),
        ((32, 64, 64, 32, 32, (1, 1), 32, 32), True),
        ((1, 512, 512, 4, 4, (1, 1), 4, 4), False),  # the weight is larger than all the rest
        ((1, 256, 256, 8, 8, (1, 1), 8, 8), False),
        ((1, 8, 64, 32, 32, (1, 1), 32, 32), False),  # few channels
    ],
)
def test_points(sizes, points):
    assert winograd.pays(Geometry(*sizes)) is points


@wide
def test_points_of_a_gradient():
    """The weight's gradient has no form for few pixels, so the points pay from fewer on."""
    g = Geometry(16, 512, 512, 4, 4, (1, 1), 4, 4)
    assert not winograd.pays(g)
    assert winograd.pays(g, gradient=True)
    assert not winograd.pays(g._replace(samples=1), gradient=True)
