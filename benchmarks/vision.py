"""Functions of images: resizing, sampling, windows, pixel shuffles; forward, and forward with backward."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.measure import Row


def function(call: Callable, *shapes: tuple[int, ...], backward: bool = False) -> Callable:
    """``call(functional, *operands)`` on random operands, with gradients for all of them where `backward`."""

    def build(torch):
        torch.manual_seed(0)
        operands = [torch.rand(*shape) * 2 - 1 for shape in shapes]
        functional = torch.nn.functional
        if not backward:
            return lambda: call(functional, *operands)
        for operand in operands:
            operand.requires_grad_()
        weights = torch.ones_like(call(functional, *operands))
        return lambda: torch.autograd.grad(call(functional, *operands), operands, weights)

    return build


def resize(mode: str, **options) -> Callable:
    return lambda F, x: F.interpolate(x, mode=mode, **options)


def sample(mode: str) -> Callable:
    return lambda F, x, grid: F.grid_sample(x, grid, mode=mode, align_corners=False)


_MAPS, _PHOTOS = (8, 32, 28, 28), (4, 3, 224, 224)
_CALLS = [
    ("nearest, 28 to 56", resize("nearest", scale_factor=2), [_MAPS]),
    ("bilinear, 28 to 56", resize("bilinear", scale_factor=2), [_MAPS]),
    ("bicubic, 28 to 56", resize("bicubic", scale_factor=2), [_MAPS]),
    ("bilinear antialias, 224 to 96", resize("bilinear", size=96, antialias=True), [_PHOTOS]),
    ("trilinear, 16 to 32", resize("trilinear", scale_factor=2), [(2, 8, 16, 16, 16)]),
    ("grid_sample bilinear, 64x64", sample("bilinear"), [(4, 16, 64, 64), (4, 64, 64, 2)]),
    ("grid_sample bicubic, 64x64", sample("bicubic"), [(4, 16, 64, 64), (4, 64, 64, 2)]),
    ("pixel_shuffle 2", lambda F, x: F.pixel_shuffle(x, 2), [(8, 64, 28, 28)]),
    ("unfold 3x3", lambda F, x: F.unfold(x, 3, padding=1), [(8, 16, 28, 28)]),
    ("fold 3x3", lambda F, x: F.fold(x, (28, 28), 3, padding=1), [(8, 144, 784)]),
    ("max_pool2d of a 7x7 map", lambda F, x: F.max_pool2d(x, 7), [(16, 256, 7, 7)]),
]
ROWS = [
    row
    for name, call, shapes in _CALLS
    for row in (
        Row(name, "vision", function(call, *shapes), 1.2),
        Row(name + ", with backward", "vision", function(call, *shapes, backward=True), 1.2),
    )
]
