"""Functions of images against PyTorch: results and gradients over random sizes, types and layouts."""

from __future__ import annotations

import random

import numpy as np
import pytest

import flambeau

pytestmark = pytest.mark.parity


def outcome(lib, call, arrays, dtype, layout):
    """The result and the gradients for all operands."""
    operands = []
    for array in arrays:
        t = lib.tensor(array).to(getattr(lib, dtype))
        if layout == "last" and t.dim() in (4, 5):
            t = t.to(memory_format=lib.channels_last if t.dim() == 4 else lib.channels_last_3d)
        if layout == "turned":
            t = t.transpose(-1, -2).contiguous().transpose(-1, -2)
        operands.append(t.detach().requires_grad_())
    result = call(lib.nn.functional, *operands)
    weights = lib.tensor(np.random.default_rng(0).standard_normal(tuple(result.shape))).to(
        getattr(lib, dtype)
    )
    found = [result, *lib.autograd.grad(result, operands, weights)]
    return [t.detach().to(lib.float64).numpy() for t in found]


def check(oracle, call, arrays, dtype="float32", layout="dense"):
    tolerance = {"float64": 1e-10, "float32": 2e-5, "bfloat16": 3e-2, "float16": 4e-3}[dtype]
    ours, theirs = (outcome(lib, call, arrays, dtype, layout) for lib in (flambeau, oracle))
    for a, b in zip(ours, theirs, strict=True):
        assert a.shape == b.shape
        assert np.abs(a - b).max(initial=0) <= tolerance * max(1.0, np.abs(b).max(initial=0))


MODES = {3: ["nearest", "nearest-exact", "linear"], 4: ["nearest", "nearest-exact", "bilinear", "bicubic"],
         5: ["nearest", "nearest-exact", "trilinear"]}  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize("ndim", [3, 4, 5])
def test_interpolate(ndim, dtype, oracle):
    draw = random.Random(ndim)
    for mode in MODES[ndim]:
        for layout in ("dense", "last", "turned"):
            shape = (
                draw.choice([1, 2, 9]),
                draw.choice([2, 3]),
                *(draw.randint(2, 9) for _ in range(ndim - 2)),
            )
            options: dict = {"mode": mode}
            if draw.random() < 0.5:
                options["size"] = tuple(draw.randint(1, 19) for _ in range(ndim - 2))
            else:
                options["scale_factor"] = tuple(draw.choice([0.5, 1.5, 2.0, 2.7]) for _ in range(ndim - 2))
                options["recompute_scale_factor"] = draw.random() < 0.5
            if mode.endswith(("linear", "cubic")):
                options["align_corners"] = draw.random() < 0.5
            x = np.random.default_rng(1).standard_normal(shape)
            check(oracle, lambda F, x, options=options: F.interpolate(x, **options), [x], dtype, layout)


@pytest.mark.parametrize("size", [(4, 5), (20, 3), (31, 40)])
@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_antialias(mode, size, oracle):
    x = np.random.default_rng(1).standard_normal((2, 3, 13, 17))
    check(oracle, lambda F, x: F.interpolate(x, size=size, mode=mode, antialias=True), [x])


@pytest.mark.parametrize("options", [{"mode": "bilinear"}, {"mode": "bilinear", "antialias": True}, {"mode": "bicubic"},
                                     {"mode": "bicubic", "antialias": True}, {"mode": "nearest"},
                                     {"mode": "bilinear", "align_corners": True}])  # fmt: skip
def test_images_of_bytes(options, oracle):
    x = np.random.default_rng(0).integers(0, 256, (2, 3, 37, 41), np.uint8)
    for size in ((20, 25), (60, 80), (37, 12)):
        ours, theirs = (
            lib.nn.functional.interpolate(lib.tensor(x), size=size, **options).numpy()
            for lib in (flambeau, oracle)
        )
        assert (ours == theirs).all()


@pytest.mark.parametrize("align", [False, True])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
def test_grid_sample(mode, padding, align, oracle):
    draw = np.random.default_rng(2)
    for sizes, points in (((5, 7), (3, 6)), ((1, 4), (9, 1)), ((7, 2), (1, 20)), ((3, 4, 5), (2, 3, 6))):
        if len(sizes) == 3 and mode == "bicubic":
            continue
        x, grid = draw.standard_normal((2, 3, *sizes)), draw.uniform(-1.5, 1.5, (2, *points, len(sizes)))
        for dtype in ("float32", "float64"):
            options = {"mode": mode, "padding_mode": padding, "align_corners": align}
            check(oracle, lambda F, x, g, options=options: F.grid_sample(x, g, **options), [x, grid], dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_windows_and_pixels(dtype, oracle):
    draw = np.random.default_rng(3)
    for geometry in (
        {"kernel_size": 3, "padding": 1},
        {"kernel_size": (2, 3), "stride": (2, 1), "dilation": (1, 2)},
    ):
        x = draw.standard_normal((2, 3, 8, 10))
        check(oracle, lambda F, x, g=geometry: F.unfold(x, **g), [x], dtype, "turned")
        columns = flambeau.nn.functional.unfold(flambeau.tensor(x), **geometry).shape
        check(
            oracle, lambda F, x, g=geometry: F.fold(x, (8, 10), **g), [draw.standard_normal(columns)], dtype
        )
    for r in (2, 3, 5):
        for layout in ("dense", "last"):
            check(oracle, lambda F, x, r=r: F.pixel_shuffle(x, r), [draw.standard_normal((2, 2 * r * r, 3, 20))], dtype,
                  layout)  # fmt: skip
            check(oracle, lambda F, x, r=r: F.pixel_unshuffle(x, r), [draw.standard_normal((2, 3, 3 * r, 20 * r))],
                  dtype, layout)  # fmt: skip


@pytest.mark.parametrize("kernel", [7, (7, 7), (3, 6), (2, 7)])
def test_maxima_of_whole_rows(kernel, oracle):
    x = np.round(np.random.default_rng(0).standard_normal((3, 4, 7, 7)) * 2)
    x[0, 0] = -np.inf
    x[1, 1, 3, 4] = x[1, 1, 5, 2] = np.nan
    ours, theirs = (
        lib.nn.functional.max_pool2d(lib.tensor(x), kernel, return_indices=True) for lib in (flambeau, oracle)
    )
    for a, b in zip(ours, theirs):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


PROGRAMS = [
    "r = F.interpolate(torch.zeros(1, 1, 4), scale_factor=0.1)",
    "r = F.interpolate(torch.zeros(1, 1, 4, 4), size=(0, 3))",
    "r = F.interpolate(torch.zeros(1, 1, 4, 4), size=3, scale_factor=2)",
    "r = F.interpolate(torch.zeros(1, 1, 4, 4), mode='linear', size=3)",
    "r = F.interpolate(torch.zeros(1, 1, 4), scale_factor=2, mode='nearest', align_corners=True)",
    "r = F.grid_sample(torch.zeros(1, 1, 4, 4), torch.zeros(2, 1, 1, 2), align_corners=False)",
    "r = F.grid_sample(torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 1, 3), align_corners=False)",
    "r = F.grid_sample(torch.zeros(1, 1, 4, 4, 4), torch.zeros(1, 1, 1, 1, 3), mode='bicubic', align_corners=False)",
    "r = F.pixel_shuffle(torch.zeros(1, 3, 2, 2), 2)",
    "r = F.pixel_unshuffle(torch.zeros(1, 3, 3, 2), 2)",
    "r = F.unfold(torch.zeros(1, 1, 2, 2), 3)",
    "r = F.fold(torch.zeros(1, 4, 5), (3, 3), 2)",
    "r = F.pixel_shuffle(torch.randn(2, 8, 3, 5).to(memory_format=torch.channels_last), 2).stride()",
    "r = F.interpolate(torch.zeros(2, 4, 3, 5).to(memory_format=torch.channels_last), scale_factor=2).stride()",
]


@pytest.mark.parametrize("program", PROGRAMS)
def test_programs(program, same):
    same(program)
