"""Indexing, gather and scatter against NumPy; that a bad index writes nothing; that threads change no bit."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as torch

T = torch.tensor
INDICES = [
    0, -1, (1, 2), (1, 2, 3), slice(1, 3), slice(None, None, 2), (slice(None), 1), (slice(None), None, slice(0, 4, 3)),
    (Ellipsis, -1), None, (None, Ellipsis, None), (0, Ellipsis, slice(1, 2)), np.array([2, 0, 0]), (slice(None), np.array([3, 1])),
    (Ellipsis, np.array([[0, 4], [1, -1]])), (np.array([0, 2]), np.array([1, -1])), (np.array([[0], [2]]), np.array([1, 3, 0])),
    (np.array([0, 2]), slice(None), np.array([1, 4])), (slice(None), np.array([1, 2]), np.array([0, 0])),
]  # fmt: skip


def translated(index):
    """A NumPy index as one of tensors."""
    if isinstance(index, tuple):
        return tuple(translated(i) for i in index)
    return torch.from_numpy(index) if isinstance(index, np.ndarray) else index


def example(dtype="float32"):
    array = np.arange(60).reshape(3, 4, 5).astype(dtype)
    return torch.from_numpy(array.copy()), array


@pytest.mark.parametrize("dtype", ["float32", "int16", "bool", "complex128"])
@pytest.mark.parametrize("index", INDICES, ids=str)
def test_read(index, dtype):
    x, array = example(dtype)
    assert np.array_equal(x[translated(index)].numpy(), array[index])
    turned, other = (
        x.transpose(0, 2),
        array.swapaxes(0, 2),
    )  # (5, 4, 3): every index above fits but for its 4s
    if "4" not in str(index) and "3" not in str(index):
        assert np.array_equal(turned[translated(index)].numpy(), other[index])


@pytest.mark.parametrize("index", INDICES, ids=str)
def test_write_and_gradient(index):
    x, array = example("float64")
    shape = array[index].shape
    values = np.random.default_rng(0).standard_normal(shape)
    x[translated(index)] = torch.from_numpy(values)
    array[index] = values
    assert np.array_equal(x.numpy(), array)
    a, b = (
        torch.ones(3, 4, 5, dtype=torch.float64, requires_grad=True),
        torch.from_numpy(values).requires_grad_(),
    )
    y = a * 2
    y[translated(index)] = b
    weight = torch.from_numpy(np.random.default_rng(1).standard_normal((3, 4, 5)))
    (y * weight).sum().backward()
    kept = np.full((3, 4, 5), 2.0)
    kept[index] = 0
    assert np.allclose(a.grad.numpy(), kept * weight.numpy())
    unique = not isinstance(index, np.ndarray)  # of equal places the last one wins
    if unique:
        assert np.allclose(b.grad.numpy(), weight.numpy()[index])


def test_masks():
    x, array = example()
    for mask in (
        array > 20,
        array[:, :, 0] > 20,
        array[:, 0, 0] > 10,
        np.zeros((3, 4, 5), bool),
        np.ones(3, bool),
    ):
        assert np.array_equal(x[torch.from_numpy(mask)].numpy(), array[mask])
        y = x.clone()
        y[torch.from_numpy(mask)] = -1
        expected = array.copy()
        expected[mask] = -1
        assert np.array_equal(y.numpy(), expected)
    big = torch.arange(100_003) % 7
    keep = big.numpy() > 4
    assert np.array_equal(big[torch.from_numpy(keep)].numpy(), big.numpy()[keep])
    assert np.array_equal(torch.masked_select(x, x > 30).numpy(), array[array > 30])
    assert x.masked_scatter(x > 55, -x)[2, 3].tolist() == [55, 0, -1, -2, -3]


def test_ints_of_every_kind_are_views():
    x, array = example()
    for one in (1, np.int64(1), np.array(1), T(1)):
        assert x[one]._base is x
        assert np.array_equal(x[one].numpy(), array[1])
    assert np.array_equal(x[:, T([True, False, True, False])].numpy(), array[:, [0, 2]])
    assert x[True].shape == (1, 3, 4, 5)
    assert x[False].shape == (0, 3, 4, 5)


WRITERS = [
    ("index_add_", lambda x, i: x.index_add_(0, i, torch.ones(2, 4, 5))),
    ("index_copy_", lambda x, i: x.index_copy_(0, i, torch.ones(2, 4, 5))),
    ("index_fill_", lambda x, i: x.index_fill_(0, i, 9.0)),
    ("index_put_", lambda x, i: x.index_put_((i,), torch.ones(4, 5))),
    ("accumulate", lambda x, i: x.index_put_((i, T([0, 1])), torch.ones(5), accumulate=True)),
    ("setitem", lambda x, i: x.__setitem__(i, 1.0)),
    ("scatter_", lambda x, i: x.scatter_(0, i[:, None, None].expand(2, 4, 5), 7.0)),
    ("scatter_add_", lambda x, i: x.scatter_add_(0, i[:, None, None].expand(2, 4, 5), torch.ones(2, 4, 5))),
    (
        "scatter_reduce_",
        lambda x, i: x.scatter_reduce_(0, i[:, None, None].expand(2, 4, 5), torch.ones(2, 4, 5), "prod"),
    ),
    ("put_", lambda x, i: x.put_(i * 30, torch.ones(2))),
]
READERS = [
    ("index", lambda x, i: x[i]),
    ("index_select", lambda x, i: x.index_select(0, i)),
    ("gather", lambda x, i: x.gather(0, i[:, None, None])),
    ("take", lambda x, i: x.take(i * 30)),
    ("embedding", lambda x, i: torch.nn.functional.embedding(i, x[0])),
    ("pairs", lambda x, i: x[i, T([0, 1])]),
]


@pytest.mark.parametrize(("name", "write"), WRITERS, ids=[w[0] for w in WRITERS])
def test_bad_index_writes_nothing(name, write):
    x, array = example()
    version = x._version
    with pytest.raises((IndexError, RuntimeError)) as caught:
        write(x, T([1, 7]))
    text = str(caught.value)
    assert "position 1" in text or "position 20" in text, "the error does not say where the bad index is"
    assert "7" in text or "210" in text
    assert np.array_equal(x.numpy(), array)
    assert x._version == version
    write(x, T([1, 0]))


@pytest.mark.parametrize(("name", "read"), READERS, ids=[r[0] for r in READERS])
def test_bad_index_is_named(name, read):
    x, _ = example()
    with pytest.raises((IndexError, RuntimeError)) as caught:
        read(x, T([0, 9]))
    assert "position 1" in str(caught.value)
    read(x, T([0, 1]))


def test_error_texts():
    x = torch.zeros(3, 4)
    for wrong, error, text in (
        (lambda: x[3], IndexError, "index 3 is out of bounds for dimension 0 with size 3"),
        (lambda: x[0, 0, 0], IndexError, "too many indices for tensor of dimension 2"),
        (lambda: x[T([3])], IndexError, "index 3 is out of bounds for dimension 0 with size 3"),
        (lambda: x[1.5], IndexError, "only integers, slices"),
        (lambda: x[T([1.5])], IndexError, "tensors used as indices must be long, int, byte or bool tensors"),
        (lambda: x[T([True])], IndexError, r"The shape of the mask \[1\] at index 0 does not match"),
        (
            lambda: x[T([0, 1]), T([0, 1, 2])],
            IndexError,
            "shape mismatch: indexing tensors could not be broadcast together",
        ),
        (lambda: x.__setitem__(T([0]), torch.ones(3)), RuntimeError, "shape mismatch: value tensor of shape"),
        (lambda: x[0][0][0], IndexError, "invalid index of a 0-dim tensor"),
        (lambda: x.gather(0, T([0])), RuntimeError, "Index tensor must have the same number of dimensions"),
        (
            lambda: x.scatter(0, T([[0]]), torch.ones(1, 1, dtype=torch.float64)),
            RuntimeError,
            "Expected self.dtype to be equal",
        ),
        (
            lambda: x.scatter_reduce(0, T([[0]]), torch.ones(1, 1), "median"),
            RuntimeError,
            "reduce argument must be either",
        ),
        (lambda: x.index_add_(0, T([0, 1]), x[:2]), RuntimeError, "refer to a single memory location"),
    ):
        with pytest.raises(error, match=text):
            wrong()


def test_gather_and_scatter_in_every_dimension():
    rng = np.random.default_rng(0)
    for shape in ((7,), (5, 6), (3, 4, 5)):
        array = rng.standard_normal(shape)
        x = torch.from_numpy(array)
        for dim in range(len(shape)):
            wide = tuple(2 * n if d == dim else n for d, n in enumerate(shape))
            places = rng.integers(0, shape[dim], wide)
            index = torch.from_numpy(places)
            assert np.array_equal(x.gather(dim, index).numpy(), np.take_along_axis(array, places, dim))
            source = rng.standard_normal(wide)
            expected = array.copy()
            grid = list(np.indices(wide))
            grid[dim] = places
            np.add.at(expected, tuple(grid), source)
            assert np.allclose(x.scatter_add(dim, index, torch.from_numpy(source)).numpy(), expected)
            turned = (
                x.clone().permute(*range(len(shape))[::-1]).contiguous().permute(*range(len(shape))[::-1])
            )
            assert np.allclose(turned.scatter_add_(dim, index, torch.from_numpy(source)).numpy(), expected)


def slow_scatter_reduce(array, places, source, reduce, include_self):
    """The meaning of scatter_reduce along dimension 0 of a vector."""
    out = array.astype(float).copy()
    for k in range(len(array)):
        group = [source[p] for p in range(len(places)) if places[p] == k]
        if not group:
            continue
        group = ([out[k]] if include_self else []) + group
        out[k] = {"sum": sum, "prod": np.prod, "mean": np.mean, "amax": max, "amin": min}[reduce](group)
    return out


@pytest.mark.parametrize("include_self", [True, False])
@pytest.mark.parametrize("reduce", ["sum", "prod", "mean", "amax", "amin"])
def test_scatter_reduce(reduce, include_self):
    rng = np.random.default_rng(2)
    array, source, places = rng.standard_normal(6), rng.standard_normal(9), rng.integers(0, 5, 9)
    x, s = torch.from_numpy(array).requires_grad_(), torch.from_numpy(source).requires_grad_()
    found = x.scatter_reduce(0, torch.from_numpy(places), s, reduce, include_self=include_self)
    assert np.allclose(
        found.detach().numpy(), slow_scatter_reduce(array, places, source, reduce, include_self)
    )
    weight = rng.standard_normal(6)
    (found * torch.from_numpy(weight)).sum().backward()
    for leaf, values in ((x, array), (s, source)):
        for k in range(len(values)):
            before, step = values[k], 1e-6
            sums = []
            for sign in (1, -1):
                values[k] = before + sign * step
                sums.append(float(slow_scatter_reduce(array, places, source, reduce, include_self) @ weight))
            values[k] = before
            assert leaf.grad[k].item() == pytest.approx((sums[0] - sums[1]) / (2 * step), abs=1e-4)


def many_indices(rng):
    """Work that is split over threads, with places that repeat."""
    x = torch.from_numpy(rng.standard_normal((3000, 64)).astype("f"))
    i = torch.from_numpy(rng.integers(0, 3000, 20000))
    s = torch.from_numpy(rng.standard_normal((20000, 64)).astype("f"))
    wide = torch.from_numpy(rng.integers(0, 3000, (3000, 64)))
    line, spots = s.reshape(-1)[:200_000], torch.from_numpy(rng.integers(0, 192_000, 200_000))
    return [
        lambda: x.index_add(0, i, s), lambda: x.index_copy(0, i, s), lambda: x.index_put((i,), s, accumulate=True),
        lambda: x.index_put((i,), s), lambda: x.scatter_add(0, wide, x), lambda: x.scatter_add(1, wide % 64, x),
        lambda: x.scatter(0, wide, x), lambda: x.reshape(-1).scatter_add(0, spots, line), lambda: x.reshape(-1).put(spots, line),
        lambda: torch.autograd.grad(torch.nn.functional.embedding(i, x.requires_grad_()), x, s)[0],
        lambda: torch.autograd.grad(x.requires_grad_()[i, i % 64], x, s[:, 0])[0],
        lambda: x.half().index_add(0, i, s.half()), lambda: x[:, i % 64], lambda: x[x > 0],
        lambda: x.scatter_reduce(0, wide, x, "mean"),
    ]  # fmt: skip


def test_threads_change_no_bit():
    before = torch.get_num_threads()
    try:
        results = []
        for threads in (1, 2, 2):
            torch.set_num_threads(threads)
            results.append(
                [run().detach().numpy().tobytes() for run in many_indices(np.random.default_rng(3))]
            )
        assert results[0] == results[1] == results[2]
    finally:
        torch.set_num_threads(before)


def test_sums_are_formed_in_the_order_of_the_index():
    x = torch.zeros(2)
    parts = T([1e8, 1.0, -1e8, 1.0])
    places = T([0, 0, 0, 0])
    expected = np.float32(0)
    for p in parts.numpy():
        expected = np.float32(expected + p)
    assert x.index_add(0, places, parts)[0].item() == expected
    assert x.scatter_add(0, places, parts)[0].item() == expected
    assert x.index_put((places,), parts, accumulate=True)[0].item() == expected
    assert x.index_put((places,), parts)[0].item() == 1.0, "of equal places the last one wins"


def test_embedding():
    table = torch.arange(12.0).reshape(4, 3).requires_grad_()
    index = T([[0, 2], [2, 3]])
    found = torch.nn.functional.embedding(index, table, padding_idx=3)
    assert np.array_equal(found.detach().numpy(), table.detach().numpy()[index.numpy()])
    found.sum().backward()
    assert table.grad.tolist() == [[1] * 3, [0] * 3, [2] * 3, [0] * 3]
    table.grad = None
    rows = torch.nn.functional.embedding(T([3, 1, 1]), table, padding_idx=3, scale_grad_by_freq=True)
    (g,) = torch.autograd.grad((rows**3).sum(), table, create_graph=True)
    assert g[1].tolist() == [3 * x * x for x in (3, 4, 5)]
    (h,) = torch.autograd.grad(g.sum(), table)
    assert h.tolist() == [[0] * 3, [9, 12, 15], [0] * 3, [0] * 3]  # 6x, halved on each way back
    torch.nn.functional.embedding(T([1, 1, 2]), table, scale_grad_by_freq=True).sum().backward()
    assert table.grad.tolist() == [[0] * 3, [1] * 3, [1] * 3, [0] * 3]
    with torch.no_grad():
        torch.nn.functional.embedding(T([3]), table, max_norm=1.0)
    assert torch.linalg.norm(table[3]).item() == pytest.approx(1.0, abs=1e-4)
    assert table[2].tolist() == [6, 7, 8]


def test_embedding_bag():
    table = torch.arange(12.0).reshape(4, 3)
    flat, offsets = T([0, 1, 3, 2]), T([0, 2, 2])
    rows = table.numpy()
    bag = torch.nn.functional.embedding_bag
    assert np.allclose(
        bag(flat, table, offsets, mode="sum").numpy(), [rows[0] + rows[1], [0] * 3, rows[3] + rows[2]]
    )
    assert np.allclose(
        bag(flat, table, offsets).numpy(), [(rows[0] + rows[1]) / 2, [0] * 3, (rows[3] + rows[2]) / 2]
    )
    assert np.allclose(bag(flat, table, offsets, mode="max").numpy(), [rows[1], [0] * 3, rows[3]])
    weights = T([1.0, 2.0, 3.0, 0.5])
    found = bag(flat, table, offsets, mode="sum", per_sample_weights=weights)
    assert np.allclose(found.numpy()[2], 3 * rows[3] + 0.5 * rows[2])
    assert np.allclose(bag(flat.view(2, 2), table, padding_idx=0).numpy(), [rows[1], (rows[3] + rows[2]) / 2])


def test_empty_indices():
    x, array = example()
    nothing = torch.empty(0, dtype=torch.int64)
    assert x[nothing].shape == (0, 4, 5)
    assert x.index_select(1, nothing).shape == (3, 0, 5)
    assert x.gather(0, torch.empty(0, 4, 5, dtype=torch.int64)).shape == (0, 4, 5)
    x[nothing] = torch.empty(0, 4, 5)
    x.index_add_(0, nothing, torch.empty(0, 4, 5))
    assert np.array_equal(x.numpy(), array)
    y = torch.ones(2, 3, requires_grad=True)
    y[nothing].sum().backward()
    assert y.grad.tolist() == [[0] * 3] * 2


def test_loops_over_rows_do_not_fill_the_plan_cache():
    from flambeau.tensor import indexing

    x = torch.zeros(5000, 2)
    x[0]
    before = len(indexing.BASIC) + len(indexing.FIRST)
    for k in range(5000):
        x[k]
    assert len(indexing.BASIC) + len(indexing.FIRST) == before
