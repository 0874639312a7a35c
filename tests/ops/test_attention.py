"""Attention against its definition in NumPy, in all the forms in which one program does it."""

from __future__ import annotations

import math

import numpy as np
import pytest

import flambeau as torch
from flambeau.ops.attention import WIDEST

attend = torch.nn.functional.scaled_dot_product_attention
RNG = np.random.default_rng(0)
INFINITY = math.inf
TOLERANCE = {"float32": 3e-6, "float64": 1e-13, "bfloat16": 2e-2, "float16": 3e-3}


def defined(q, k, v, g, mask=None, is_causal=False, scale=None, enable_gqa=False):
    """Result and gradients of query, key and value by the formula, in float64."""
    q, k, v, g = (x.astype(np.float64) for x in (q, k, v, g))
    group = q.shape[-3] // k.shape[-3] if enable_gqa else 1
    k, v = (np.repeat(x, group, axis=-3) if enable_gqa else x for x in (k, v))
    scale = 1 / math.sqrt(q.shape[-1]) if scale is None else scale
    scores = q @ k.swapaxes(-1, -2) * scale
    if mask is not None:
        scores = np.where(mask, scores, -INFINITY) if mask.dtype == bool else scores + mask
    if is_causal:
        scores = np.where(np.tri(*scores.shape[-2:], dtype=bool), scores, -INFINITY)
    top = scores.max(-1, keepdims=True)
    weights = np.exp(scores - np.where(np.isneginf(top), 0, top))
    total = weights.sum(-1, keepdims=True)
    weights = weights / np.where(total == 0, 1, total)
    along = g @ v.swapaxes(-1, -2)
    slopes = weights * (along - (along * weights).sum(-1, keepdims=True)) * scale
    to_key, to_value = slopes.swapaxes(-1, -2) @ q, weights.swapaxes(-1, -2) @ g
    if enable_gqa:
        to_key, to_value = (
            x.reshape(*x.shape[:-3], -1, group, *x.shape[-2:]).sum(-3) for x in (to_key, to_value)
        )
    return weights @ v, slopes @ k, to_key, to_value


def inputs(heads, length, source, width, value_width=None, keys=None, dtype="float32"):
    """Query, key, value and a gradient of the result as NumPy arrays; `heads` is the shape before the rows."""
    keys = heads if keys is None else keys
    value_width = value_width or width
    shapes = (*heads, length, width), (*keys, source, width), (*keys, source, value_width)
    shapes = (*shapes, (*heads, length, value_width))
    return [RNG.standard_normal(shape).astype(dtype) for shape in shapes]


def ran(arrays, mask=None, **options):
    """What Flambeau makes of the same."""
    q, k, v = (torch.from_numpy(x.copy()).requires_grad_() for x in arrays[:3])
    found = attend(q, k, v, None if mask is None else torch.from_numpy(mask), **options)
    found.backward(torch.from_numpy(arrays[3].copy()))
    return [x.detach().numpy() for x in (found, q.grad, k.grad, v.grad)]


def close(found, wanted, tolerance):
    for x, y in zip(found, wanted, strict=True):
        assert x.shape == y.shape
        assert np.abs(x - y).max() <= tolerance * max(1.0, np.abs(y).max())


def check(arrays, mask=None, **options):
    wanted = defined(*arrays, mask=mask, **options)
    close(ran(arrays, mask, **options), wanted, TOLERANCE[str(arrays[0].dtype)])


SIZES = [
    ((2, 3), 1, 1, 1), ((1, 2), 5, 7, 8), ((2, 2), 64, 64, 32), ((1, 1), 65, 113, 20), ((1, 2), 130, 300, 64),
    ((1, 2), 300, 130, 33), ((2,), 17, 40, 100), ((), 30, 9, 16), ((2, 1, 3), 20, 20, 8), ((1, 1), 40, 90, 256),
    ((1, 2), 3, 250, 24), ((1, 2), 1, 37, 7),
]  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("heads", "length", "source", "width"), SIZES)
def test_value_and_gradients(heads, length, source, width, causal, dtype):
    check(inputs(heads, length, source, width, dtype=dtype), is_causal=causal)


@pytest.mark.parametrize("length", [4, 70, 150])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(
    "mask",
    [
        lambda b, h, n, s: RNG.random((n, s)) > 0.4,
        lambda b, h, n, s: RNG.random((b, 1, 1, s)) > 0.4,
        lambda b, h, n, s: RNG.standard_normal((b, h, n, s)).astype("float32"),
        lambda b, h, n, s: RNG.standard_normal((1, h, n, 1)).astype("float32"),
        lambda b, h, n, s: np.where(RNG.random((1, 1, n, s)) > 0.9, -INFINITY, 0).astype("float32"),
        lambda b, h, n, s: np.zeros((n, s), dtype=bool),
    ],
    ids=["bool", "keys", "float", "queries", "infinite", "nothing"],
)
def test_masks(mask, causal, length):
    check(inputs((2, 3), length, 131, 24), mask(2, 3, length, 131), is_causal=causal)


def test_rows_that_see_nothing_are_zero_and_have_no_gradient():
    arrays = inputs((1, 2), 70, 70, 16)
    mask = np.ones((70, 70), dtype=bool)
    mask[5] = mask[69] = False
    found, to_query, *_ = ran(arrays, mask)
    assert not found[..., [5, 69], :].any()
    assert not to_query[..., [5, 69], :].any()
    check(arrays, mask)


def test_lowest_number_everywhere_weighs_all_keys_alike():
    q, k, v, _ = (torch.from_numpy(x) for x in inputs((1, 1), 3, 20, 8))
    mask = torch.full((3, 20), torch.finfo(torch.float32).min)
    torch.testing.assert_close(attend(q, k, v, mask), v.mean(-2, True).expand(1, 1, 3, 8))


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("mask", [None, (4, 1, 90, 131), (6, 90, 131), (131,)])
def test_grouped_heads(mask, causal):
    arrays = inputs((4, 6), 90, 131, 20, keys=(4, 2))
    if mask is not None:
        mask = RNG.standard_normal(mask if len(mask) > 1 else (1, *mask)).astype("float32")
    check(arrays, mask, is_causal=causal, enable_gqa=True)


@pytest.mark.parametrize("scale", [0.0, 2, -0.3, 0.7])
def test_scale(scale):
    check(inputs((1, 2), 20, 30, 8), scale=scale)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_sixteen_bits(dtype):
    kind = getattr(torch, dtype)
    arrays = [torch.from_numpy(x).to(kind).float().numpy() for x in inputs((2, 2), 70, 90, 32)]
    q, k, v = (torch.from_numpy(x).to(kind).requires_grad_() for x in arrays[:3])
    found = attend(q, k, v, is_causal=True)
    assert found.dtype is kind
    found.backward(torch.from_numpy(arrays[3]).to(kind))
    got = [x.detach().float().numpy() for x in (found, q.grad, k.grad, v.grad)]
    close(got, defined(*arrays, is_causal=True), TOLERANCE[dtype])


def test_value_of_another_width():
    check(inputs((2, 2), 70, 50, 40, 70))
    check(inputs((2, 2), 70, 50, 40, 3), is_causal=True)


def test_wider_heads_and_other_batches_take_several_operators():
    check(inputs((1, 1), 5, 6, WIDEST + 1))
    q, k, v, g = inputs((2, 3), 5, 6, 8)
    found = attend(*(torch.from_numpy(x) for x in (q, k[:1], v[:1]))).numpy()
    repeated = (np.broadcast_to(x[:1], x.shape) for x in (k, v))
    close([found], defined(q, *repeated, g)[:1], TOLERANCE["float32"])


def split_heads(batch, length, heads, size):
    """Query, key and value as transposed parts of one projection."""
    whole = torch.randn(batch, length, 3 * heads * size)
    parts = whole.split(heads * size, 2)
    return [part.view(batch, length, heads, size).transpose(1, 2) for part in parts]


@pytest.mark.parametrize(("heads", "size"), [(4, 32), (16, 64)])
def test_heads_are_read_and_written_in_place(heads, size):
    """(16, 64): rows a multiple of a page apart, which are copied first."""
    q, k, v = split_heads(2, 70, heads, size)
    found = attend(q, k, v, is_causal=True)
    assert found.transpose(1, 2).is_contiguous()
    copies = [x.clone(memory_format=torch.contiguous_format) for x in (q, k, v)]
    assert attend(*copies, is_causal=True).is_contiguous()
    assert torch.equal(found, attend(*copies, is_causal=True))


def test_strided_and_expanded_inputs():
    q, k, v, g = inputs((2, 3), 20, 20, 16)
    turned = [torch.from_numpy(x.swapaxes(-1, -2).copy()).transpose(-1, -2) for x in (q, k, v)]
    close([attend(*turned).numpy()], defined(q, k, v, g)[:1], TOLERANCE["float32"])
    one = torch.from_numpy(k[:1, :1]).requires_grad_()
    attend(torch.from_numpy(q), one.expand(2, 3, 20, 16), torch.from_numpy(v)).sum().backward()
    whole = np.broadcast_to(k[:1, :1], k.shape)
    close([one.grad.numpy()], [defined(q, whole, v, np.ones_like(g))[2].sum((0, 1))[None, None]], 2e-5)


def test_only_some_inputs_want_a_gradient():
    arrays = inputs((1, 2), 20, 30, 8)
    wanted = defined(*arrays)
    for k in range(3):
        x = [torch.from_numpy(a) for a in arrays]
        x[k].requires_grad_()
        attend(*x[:3]).backward(x[3])
        assert [t.grad is None for t in x[:3]] == [j != k for j in range(3)]
        close([x[k].grad.numpy()], [wanted[k + 1]], TOLERANCE["float32"])


@pytest.mark.parametrize("options", [{}, {"is_causal": True}, {"enable_gqa": True, "scale": 0.4}])
def test_gradients_of_gradients(options):
    keys = (1, 1) if options.get("enable_gqa") else (1, 2)
    x = [
        torch.from_numpy(a).requires_grad_() for a in inputs((1, 2), 3, 4, 2, keys=keys, dtype="float64")[:3]
    ]
    assert torch.autograd.gradcheck(lambda q, k, v: attend(q, k, v, **options), x)
    assert torch.autograd.gradgradcheck(lambda q, k, v: attend(q, k, v, **options), x)


def test_gradient_of_a_mask():
    q, k, v, _ = (torch.from_numpy(x) for x in inputs((1, 2), 3, 4, 2, dtype="float64"))
    mask = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda m: attend(q, k, v, m), (mask,))


@pytest.mark.parametrize("causal", [False, True])
def test_results_do_not_depend_on_the_number_of_threads(causal):
    arrays = inputs((3, 4), 200, 200, 32)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = ran(arrays, is_causal=causal)
        torch.set_num_threads(2)
        shared = ran(arrays, is_causal=causal)
    finally:
        torch.set_num_threads(before)
    for x, y in zip(alone, shared):
        assert np.array_equal(x, y)


def test_large_scores_do_not_overflow():
    q, k, v, g = inputs((1, 2), 40, 150, 16)
    arrays = [q * 300, k * 300, v, g]
    found = ran(arrays)
    close(found[:1], defined(*arrays)[:1], TOLERANCE["float32"])
    assert all(np.isfinite(x).all() for x in found)


def test_not_a_number_and_infinity_spoil_only_what_they_reach():
    q, k, v, _ = (torch.from_numpy(x) for x in inputs((1, 1), 70, 70, 8))
    q[0, 0, 3, 1] = math.nan
    found = attend(q, k, v)
    assert found[0, 0, 3].isnan().all()
    assert not found[0, 0, :3].isnan().any()
    assert not found[0, 0, 4:].isnan().any()
    k[0, 0, 9, 2] = math.nan
    found = attend(q.nan_to_num(), k, v, is_causal=True)
    assert found[0, 0, 9:].isnan().all()
    assert not found[0, 0, :9].isnan().any()


@pytest.mark.parametrize("sizes", [(2, 3, 0, 4, 8), (2, 3, 5, 0, 8), (0, 3, 5, 4, 8), (2, 3, 5, 4, 0)])
def test_nothing_in_some_dimension(sizes):
    b, h, n, s, e = sizes
    found = attend(torch.randn(b, h, n, e), torch.randn(b, h, s, e), torch.randn(b, h, s, 8))
    assert found.shape == (b, h, n, 8)
    assert s or not found.any()


def test_shapes_without_data():
    q = torch.empty(2, 3, 5, 8, device="meta", requires_grad=True)
    found = attend(q, q, q, is_causal=True)
    found.sum().backward()
    assert (found.shape, found.device.type) == ((2, 3, 5, 8), "meta")
    assert q.grad.shape == q.shape


def test_dropout_keeps_the_mean():
    torch.manual_seed(0)
    q, k, v = (torch.from_numpy(x) for x in inputs((1, 1), 400, 50, 8)[:3])
    found = attend(q, k, v, dropout_p=0.5)
    assert not torch.equal(found, attend(q, k, v))
    assert (found - attend(q, k, v)).mean().abs() < 0.02


def test_compiled_equals_eager():
    q, k, v = split_heads(2, 70, 3, 16)
    q = q.detach().clone().requires_grad_()

    def step():
        q.grad = None
        attend(q, k, v, is_causal=True).square().sum().backward()
        return q.grad.clone()

    compiled = torch.compile(step)
    wanted = step()
    for _ in range(3):
        assert torch.equal(compiled(), wanted)


def test_errors_name_what_is_wrong():
    q = torch.randn(1, 2, 3, 4)
    cases = [
        ((q, q.double(), q), {}, RuntimeError, "Expected query, key, and value to have the same dtype"),
        ((q[0, 0, 0], q, q), {}, RuntimeError, "Expected query, key, and value to all be  at least 2"),
        (
            (q, q, q, torch.zeros(3, 3, dtype=torch.int32)),
            {},
            RuntimeError,
            "Expected attn_mask dtype to be bool",
        ),
        ((q, q, q, [1]), {}, TypeError, "argument 'attn_mask' .position 4. must be Tensor, not list"),
        ((q, q, q), {"dropout_p": 1.5}, RuntimeError, "dropout probability has to be between 0 and 1"),
        ((q, q[..., :3], q), {}, RuntimeError, "Expected size for first two dimensions of batch2"),
        ((q.long(), q.long(), q.long()), {}, RuntimeError, "expected scalar type Float but found Long"),
        ((q.expand(3, 2, 3, 4).transpose(0, 1), q, q), {"enable_gqa": True}, RuntimeError, "Number of heads"),
    ]
    for args, options, kind, text in cases:
        with pytest.raises(kind, match=text):
            attend(*args, **options)
