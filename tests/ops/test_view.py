"""Views, joins and rearranging copies against NumPy; that views share memory; gradients by finite differences."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as torch

#: name, the call on a tensor, the same on an array (None: views only compare strides elsewhere)
VIEWS = [
    ("view", lambda x: x.view(4, 15), lambda a: a.reshape(4, 15)),
    ("view -1", lambda x: x.view(-1, 5), lambda a: a.reshape(-1, 5)),
    ("reshape", lambda x: x.reshape(2, 30), lambda a: a.reshape(2, 30)),
    ("flatten", lambda x: x.flatten(1), lambda a: a.reshape(3, 20)),
    ("unflatten", lambda x: x.unflatten(1, (2, -1)), lambda a: a.reshape(3, 2, 2, 5)),
    ("ravel", lambda x: x.ravel(), np.ravel),
    ("permute", lambda x: x.permute(2, 0, 1), lambda a: a.transpose(2, 0, 1)),
    ("transpose", lambda x: x.transpose(0, -1), lambda a: a.swapaxes(0, -1)),
    ("swapaxes", lambda x: x.swapaxes(0, 1), lambda a: a.swapaxes(0, 1)),
    ("mT", lambda x: x.mT, lambda a: a.swapaxes(1, 2)),
    ("movedim", lambda x: x.movedim((0, 2), (1, 0)), lambda a: np.moveaxis(a, (0, 2), (1, 0))),
    ("unsqueeze", lambda x: x.unsqueeze(-2), lambda a: a[:, :, None]),
    ("squeeze", lambda x: x[:1].squeeze(0), lambda a: a[0]),
    ("select", lambda x: x.select(1, -1), lambda a: a[:, -1]),
    ("narrow", lambda x: x.narrow(2, 1, 3), lambda a: a[:, :, 1:4]),
    ("diagonal", lambda x: x.diagonal(1, 1, 2), lambda a: np.diagonal(a, 1, 1, 2)),
    ("diagonal below", lambda x: x.diagonal(-1, 2, 0), lambda a: np.diagonal(a, -1, 2, 0)),
    ("expand", lambda x: x[:, :1].expand(-1, 7, -1), lambda a: np.broadcast_to(a[:, :1], (3, 7, 5))),
    ("broadcast_to", lambda x: x.broadcast_to((2, 3, 4, 5)), lambda a: np.broadcast_to(a, (2, 3, 4, 5))),
    ("unfold", lambda x: x.unfold(1, 2, 1), lambda a: np.lib.stride_tricks.sliding_window_view(a, 2, 1)),
    ("as_strided", lambda x: x.as_strided((2, 3), (7, 2), 1), lambda a: np.lib.stride_tricks.as_strided(a.ravel()[1:], (2, 3), (28, 8))),
    ("steps", lambda x: x[::2, 1::2, ::3], lambda a: a[::2, 1::2, ::3]),
]  # fmt: skip

COPIES = [
    ("flip", lambda x: x.flip(0, 2), lambda a: np.flip(a, (0, 2))),
    ("fliplr", lambda x: x.fliplr(), np.fliplr),
    ("flipud", lambda x: x.flipud(), np.flipud),
    ("roll", lambda x: x.roll((1, -2), (0, 2)), lambda a: np.roll(a, (1, -2), (0, 2))),
    ("roll flat", lambda x: x.roll(7), lambda a: np.roll(a, 7)),
    ("rot90", lambda x: x.rot90(1, (0, 2)), lambda a: np.rot90(a, 1, (0, 2))),
    ("rot90 back", lambda x: x.rot90(-1, (1, 2)), lambda a: np.rot90(a, -1, (1, 2))),
    ("repeat", lambda x: x.repeat(2, 1, 1, 3), lambda a: np.tile(a[None], (2, 1, 1, 3))),
    ("tile", lambda x: x.tile(2, 1), lambda a: np.tile(a, (2, 1))),
    ("repeat_interleave", lambda x: x.repeat_interleave(3, 1), lambda a: np.repeat(a, 3, 1)),
    ("repeat_interleave tensor", lambda x: x.repeat_interleave(torch.tensor([2, 0, 1]), 0), lambda a: np.repeat(a, [2, 0, 1], 0)),
    ("diag_embed", lambda x: x[0, 0].diag_embed(1), lambda a: np.diag(a[0, 0], 1)),
    ("diag", lambda x: torch.diag(x[0], -1), lambda a: np.diag(a[0], -1)),
    ("diagflat", lambda x: torch.diagflat(x[0]), lambda a: np.diagflat(a[0])),
    ("block_diag", lambda x: torch.block_diag(x[0, :2, :2], x[1, 0]), lambda a: np.block([[a[0, :2, :2], np.zeros((2, 5))], [np.zeros((1, 2)), a[1, :1]]])),
    ("cat", lambda x: torch.cat([x, x[:, :2]], 1), lambda a: np.concatenate([a, a[:, :2]], 1)),
    ("cat strided", lambda x: torch.cat([x.mT, x.mT], -1), lambda a: np.concatenate([a.swapaxes(1, 2)] * 2, -1)),
    ("stack", lambda x: torch.stack([x[0], x[1], x[2]], -1), lambda a: np.stack(list(a), -1)),
    ("stack 1", lambda x: torch.stack([x[:, 0], x[:, 3]], 1), lambda a: np.stack([a[:, 0], a[:, 3]], 1)),
    ("hstack", lambda x: torch.hstack([x[0], x[1]]), lambda a: np.hstack([a[0], a[1]])),
    ("vstack", lambda x: torch.vstack([x[0, 0], x[1]]), lambda a: np.vstack([a[0, 0], a[1]])),
    ("dstack", lambda x: torch.dstack([x[0], x[1]]), lambda a: np.dstack([a[0], a[1]])),
    ("column_stack", lambda x: torch.column_stack([x[0, 0, :4], x[1, :, :2]]), lambda a: np.column_stack([a[0, 0, :4], a[1, :, :2]])),
    ("select_scatter", lambda x: x.select_scatter(x[0] * 2, 0, 2), lambda a: np.concatenate([a[:2], 2 * a[:1]])),
    ("slice_scatter", lambda x: x.slice_scatter(x[:2] * 2, 0, 1, 3), lambda a: np.concatenate([a[:1], 2 * a[:2]])),
]  # fmt: skip


def example(dtype="float32"):
    """A tensor and an array with the same numbers, apart from their memory."""
    array = (np.arange(60).reshape(3, 4, 5) - 7).astype(dtype)
    return torch.from_numpy(array.copy()), array


@pytest.mark.parametrize(("name", "call", "meant"), VIEWS, ids=[v[0] for v in VIEWS])
def test_view_values_and_memory(name, call, meant):
    x, array = example()
    view = call(x)
    assert np.array_equal(view.numpy(), meant(array))
    assert view._base is x, "the view does not know what it is a view of"
    assert view.untyped_storage() == x.untyped_storage()
    x.mul_(2)
    assert np.array_equal(view.numpy(), 2 * meant(array)), "a write to the base does not show in the view"


COPIED = [
    (dtype, *case)
    for dtype in ("float32", "float16", "int64", "bool", "complex128")
    for case in COPIES
    if dtype != "bool"
    or "scatter" not in case[0]  # the values scattered are computed: there is no arithmetic on bool
]


@pytest.mark.parametrize(("dtype", "name", "call", "meant"), COPIED, ids=[f"{c[1]}-{c[0]}" for c in COPIED])
def test_copy_values(dtype, name, call, meant):
    x, array = example(dtype)
    made, expected = call(x), meant(array)
    assert made.shape == expected.shape
    assert np.array_equal(made.numpy(), expected.astype(dtype))
    x.zero_()
    assert np.array_equal(made.numpy(), expected.astype(dtype)), "the copy shares memory with its source"


def numeric_gradient(call, x, weight, step=1e-6):
    """Central differences of ``(call(x) * weight).sum()``."""
    found = np.zeros(x.shape)
    flat, out = x.numpy().reshape(-1), found.reshape(-1)
    for k in range(flat.size):
        before = flat[k]
        sums = []
        for sign in (1, -1):
            flat[k] = before + sign * step
            sums.append(float((call(x) * weight).sum()))
        flat[k] = before
        out[k] = (sums[0] - sums[1]) / (2 * step)
    return found


@pytest.mark.parametrize(("name", "call", "meant"), VIEWS + COPIES, ids=[v[0] for v in VIEWS + COPIES])
def test_gradient(name, call, meant):
    x = torch.from_numpy(np.linspace(-1, 1, 60).reshape(3, 4, 5))
    weight = torch.from_numpy(np.random.default_rng(0).standard_normal(tuple(call(x).shape)))
    expected = numeric_gradient(call, x, weight)
    x.requires_grad_()
    (found,) = torch.autograd.grad((call(x) * weight).sum(), x)
    assert np.allclose(found.numpy(), expected, atol=1e-7)


@pytest.mark.parametrize(("name", "call", "meant"), VIEWS + COPIES, ids=[v[0] for v in VIEWS + COPIES])
def test_second_gradient(name, call, meant):
    x = torch.from_numpy(np.linspace(-1, 1, 60).reshape(3, 4, 5)).requires_grad_()
    y = call(x)
    (first,) = torch.autograd.grad((y * y * y).sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), x)
    # the derivative of 3y^2 along ones, seen through a linear map L: L^T (6 y * L 1)
    (expected,) = torch.autograd.grad((call(x) * (6 * y * call(torch.ones_like(x))).detach()).sum(), x)
    assert np.allclose(second.detach().numpy(), expected.numpy(), atol=1e-9)


def test_pieces_are_views_of_one_base():
    x, array = example()
    for pieces, expected in (
        (x.unbind(1), [array[:, k] for k in range(4)]),
        (x.split(2, 0), [array[:2], array[2:]]),
        (x.split([1, 3], 1), [array[:, :1], array[:, 1:]]),
        (x.chunk(3, 2), [array[..., :2], array[..., 2:4], array[..., 4:]]),
        (x.tensor_split(2, 1), np.array_split(array, 2, 1)),
        (x.tensor_split((1, 3), 1), [array[:, :1], array[:, 1:3], array[:, 3:]]),
        (x.hsplit(2), np.hsplit(array, 2)),
        (tuple(x), list(array)),
    ):
        assert isinstance(pieces, tuple)
        assert len(pieces) == len(expected)
        for piece, part in zip(pieces, expected):
            assert np.array_equal(piece.numpy(), part)
            assert piece._base is x


def test_gradient_of_pieces_that_are_not_all_used():
    x = torch.arange(12.0).reshape(3, 4).requires_grad_()
    a, _, c, _ = x.unbind(1)
    p, q = x.split([1, 2])
    (a * c).sum().backward()
    assert x.grad.tolist() == [[2, 0, 0, 0], [6, 0, 4, 0], [10, 0, 8, 0]]
    x.grad = None
    (q * q).sum().backward()
    assert x.grad.tolist() == [[0] * 4, [8, 10, 12, 14], [16, 18, 20, 22]]
    assert type(p.grad_fn) is type(q.grad_fn)


def test_cat_of_types_shapes_and_formats():
    assert torch.cat([torch.ones(2), torch.ones(1, dtype=torch.float64)]).dtype is torch.float64
    assert torch.cat([torch.ones(2, dtype=torch.int8), torch.ones(1, dtype=torch.bool)]).tolist() == [1, 1, 1]
    assert torch.cat([torch.empty(0), torch.ones(2, 2)]).tolist() == [[1, 1], [1, 1]]
    images = torch.arange(24.0).reshape(1, 2, 3, 4).to(memory_format=torch.channels_last)
    joined = torch.cat([images, images], 1)
    assert joined.is_contiguous(memory_format=torch.channels_last)
    assert np.array_equal(joined.numpy(), np.concatenate([images.numpy()] * 2, 1))
    out = torch.empty(4)
    assert torch.cat([torch.ones(2), torch.zeros(2)], out=out) is out
    assert out.tolist() == [1, 1, 0, 0]


def test_many_small_tensors():
    parts = [torch.full((k % 3 + 1, 2), float(k)) for k in range(200)]
    assert np.array_equal(torch.cat(parts).numpy(), np.concatenate([p.numpy() for p in parts]))


def test_large_cat_is_exact_at_every_alignment():
    whole = torch.arange(3_000_001, dtype=torch.int32)
    for start in (0, 1, 7, 13):
        parts = [whole[start:1_500_003], whole[5:1_500_000]]
        assert np.array_equal(torch.cat(parts).numpy(), np.concatenate([p.numpy() for p in parts]))


def test_sizes_of_zero():
    x = torch.empty(0, 3)
    assert x.view(3, 0).shape == (3, 0)
    assert x.flatten().shape == (0,)
    assert x.repeat(2, 1).shape == (0, 3)
    assert x.flip(0).shape == (0, 3)
    assert torch.cat([x, x]).shape == (0, 3)
    assert torch.stack([x, x]).shape == (2, 0, 3)
    assert len(x.unbind(0)) == 0
    with pytest.raises(RuntimeError, match="ambiguous"):
        x.view(-1, 0)


@pytest.mark.parametrize(
    ("wrong", "error", "text"),
    [
        (lambda x: x.view(7, -1), RuntimeError, r"shape '\[7, -1\]' is invalid for input of size 60"),
        (lambda x: x.mT.view(-1), RuntimeError, "view size is not compatible"),
        (lambda x: x.permute(0, 1), RuntimeError, "number of dimensions in the tensor input does not match"),
        (lambda x: x.transpose(0, 3), IndexError, "Dimension out of range"),
        (lambda x: x.expand(3, 4, 6), RuntimeError, r"The expanded size of the tensor \(6\) must match"),
        (lambda x: x.as_strided((9, 9), (9, 1)), RuntimeError, "out of bounds for storage"),
        (lambda x: x.as_strided((2,), (-1,)), RuntimeError, "Negative strides"),
        (lambda x: x.narrow(0, 2, 2), RuntimeError, "exceeds dimension size"),
        (lambda x: x.split([1, 1]), RuntimeError, "to sum exactly to 3"),
        (lambda x: torch.cat([x, x[0]]), RuntimeError, "same number of dimensions"),
        (
            lambda x: torch.cat([x, x[:, :2]]),
            RuntimeError,
            "Sizes of tensors must match except in dimension 0",
        ),
        (lambda x: torch.stack([x, x[0]]), RuntimeError, "stack expects each tensor to be equal size"),
        (lambda x: x.unfold(0, 4, 1), RuntimeError, "maximum size for tensor at dimension 0 is 3"),
        (lambda x: x.diagonal(0, 1, 1), RuntimeError, "diagonal dimensions cannot be identical"),
        (lambda x: x.roll((1, 2), 0), RuntimeError, "shifts and dimensions must align"),
    ],
)
def test_mistakes(wrong, error, text):
    with pytest.raises(error, match=text):
        wrong(example()[0])


def test_in_place_changes_of_shape():
    x = torch.arange(6.0).reshape(2, 3)
    assert x.t_() is x
    assert x.tolist() == [[0, 3], [1, 4], [2, 5]]
    assert x.unsqueeze_(0).squeeze_().transpose_(0, 1).shape == (2, 3)
    assert x.resize_(2, 2).tolist() == [[0, 1], [2, 3]]
    assert x.resize_(3, 4).tolist()[0] == [0, 1, 2, 3], "what was there stays at the front"
    y = torch.ones(2)
    y.set_(x)
    y.mul_(2)
    assert x[0, 3] == 6
