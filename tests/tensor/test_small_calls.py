"""The short ways that small calls take must mean what the long ones do."""

import threading
import warnings

import numpy as np
import pytest

import flambeau as torch

F = torch.nn.functional
DTYPES = [
    torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8,
    torch.uint8, torch.bool, torch.complex64,
]  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_reading(dtype):
    values = [[True, False], [True, True]] if dtype is torch.bool else [[1, 0], [3, 2]]
    x = torch.tensor(values).to(dtype)
    kind = (
        bool
        if dtype is torch.bool
        else complex
        if dtype.is_complex
        else float
        if dtype.is_floating_point
        else int
    )
    for _ in range(2):
        for found in (x.tolist(), x.t().t().tolist()):
            assert found == values
            assert type(found[0][0]) is kind
        assert x.t().tolist() == [list(column) for column in zip(*values)]
        assert x[1].tolist() == values[1]
        assert x[1, 0].item() == values[1][0]
        assert type(x[1, 0].item()) is kind
        assert bool(x[0, 1]) is False
    assert x[:0].tolist() == []
    assert x[None].tolist() == [values]
    with pytest.raises(RuntimeError, match="a Tensor with 4 elements cannot be converted to Scalar"):
        x.item()


def test_extremes_are_read_exactly():
    for x in (-(1 << 63), (1 << 63) - 1, -1):
        assert torch.tensor(x).item() == x
        assert torch.tensor([x]).tolist() == [x]
    assert torch.tensor(-5, dtype=torch.int32).item() == -5
    assert str(torch.tensor(-0.0).item()) == "-0.0"
    assert np.isnan(torch.tensor(float("nan")).item())


def test_making():
    assert torch.tensor(1e300).item() == float("inf")
    assert torch.tensor([1e300, -1e300]).tolist() == [float("inf"), float("-inf")]
    assert torch.tensor(16777217, dtype=torch.float32).item() == 16777216
    assert torch.tensor([[1, 2], [3, 4]]).dtype is torch.int64
    assert torch.tensor([1, 2.5]).tolist() == [1.0, 2.5]
    assert torch.tensor([True, 2]).dtype is torch.int64
    assert torch.tensor((1.0, 2.0), dtype=torch.float64).dtype is torch.float64
    assert torch.tensor([[], []]).shape == (2, 0)
    assert torch.tensor([1.0], device="meta").device.type == "meta"
    assert torch.tensor([1.0], requires_grad=True).requires_grad
    with pytest.raises(RuntimeError, match="Only Tensors of floating point"):
        torch.tensor([1], requires_grad=True)
    with pytest.raises(ValueError, match="Overflow when unpacking long long"):
        torch.tensor(1 << 63)
    with pytest.raises(ValueError, match="expected sequence of length 2 at dim 1"):
        torch.tensor([[1, 2], [3]])
    with torch.device("meta"):
        assert torch.tensor(1.0).device.type == torch.rand(2).device.type == "meta"


def test_default_type_counts_at_each_call():
    before = [torch.tensor(1.0).dtype, torch.rand(2).dtype, torch.linspace(0, 1, 3).dtype]
    torch.set_default_dtype(torch.float64)
    try:
        inside = [torch.tensor(1.0).dtype, torch.rand(2).dtype, torch.linspace(0, 1, 3).dtype]
    finally:
        torch.set_default_dtype(torch.float32)
    assert before == [torch.float32] * 3
    assert inside == [torch.float64] * 3
    assert torch.rand(2).dtype is torch.float32


def test_arrays_share_memory():
    for k in range(3):
        array = np.full((2, 3), float(k), dtype="float32")
        x = torch.from_numpy(array)
        x[0, 0] = 9.0
        assert array[0, 0] == 9.0
        back = (x * 1).numpy()  # nothing else holds this memory
        junk = [torch.full((2, 3), 7.0) for _ in range(50)]
        assert back.tolist() == [[9.0, k, k], [k, k, k]]
        view = x.numpy()
        view[1, 2] = 5.0
        assert x[1, 2].item() == 5.0
        assert x.t().numpy().strides == (4, 12)
        del junk


def test_every_array_is_looked_at():
    torch.from_numpy(np.ones(4, dtype="float32"))
    torch.from_numpy(np.ones(4, dtype="float32"))
    frozen = np.ones(4, dtype="float32")
    frozen.flags.writeable = False
    with pytest.warns(UserWarning, match="not writable"):
        torch.from_numpy(frozen)
    with pytest.raises(ValueError, match="byte order"):
        torch.from_numpy(np.ones(4, dtype=">f4"))
    with pytest.raises(TypeError, match=r"expected np\.ndarray"):
        torch.from_numpy([1.0])
    assert torch.from_numpy(np.arange(6.0)[::2]).tolist() == [0.0, 2.0, 4.0]


def test_equal_reads_numbers():
    nan, zero = torch.tensor([float("nan"), 1.0]), torch.tensor([0.0, 1.0])
    assert not torch.equal(nan, nan)
    assert torch.equal(zero, torch.tensor([-0.0, 1.0]))
    assert not torch.equal(zero, zero.double()[:1].float())
    assert torch.equal(zero[:0], zero[:0])
    x = torch.zeros(100_000)
    y = x.clone()
    assert torch.equal(x, y)
    for at in (0, 50_000, 99_999):
        y[at] = 1.0
        assert not torch.equal(x, y)
        y[at] = 0.0
    assert torch.equal(x[::2], y[::2])


def test_random_streams_do_not_depend_on_the_way():
    def draw(make):
        torch.manual_seed(3)
        return [make().tolist(), torch.rand(700).tolist()]

    assert draw(lambda: torch.rand(5)) == draw(lambda: torch.empty(5).uniform_())
    assert draw(lambda: torch.randn(20)) == draw(lambda: torch.empty(20).normal_())
    assert draw(lambda: torch.randn(5)) == draw(lambda: torch.empty(5).normal_())
    assert draw(lambda: torch.randint(0, 9, (5,))) == draw(
        lambda: torch.empty(5, dtype=torch.int64).random_(0, 9)
    )
    assert draw(lambda: torch.rand_like(torch.ones(2, 3))) == draw(lambda: torch.rand(2, 3))
    own = torch.Generator().manual_seed(3)
    torch.manual_seed(3)
    assert torch.rand(4, generator=own).tolist() == torch.rand(4).tolist()
    with pytest.raises(NotImplementedError, match="not implemented for 'Long'"):
        torch.rand(2, dtype=torch.int64)


def test_writes_at_masks_and_indices():
    x = torch.zeros(4, 3)
    mask = torch.tensor([True, False, True, False])
    for _ in range(2):
        x[torch.tensor([0, 2])] = torch.tensor([1.0, 2.0, 3.0])
        assert x.tolist() == [[1, 2, 3], [0, 0, 0], [1, 2, 3], [0, 0, 0]]
        x[mask] = 5
        assert x[0].tolist() == [5, 5, 5]
        x[x > 4] = 0.0
        assert not x.any()
        x.scatter_(1, torch.tensor([[0], [1], [2], [0]]), 1.5)
        assert x.sum().item() == 6.0
        x[[1, 3]] = 0.0
        assert x[[0, 1, -1]].tolist() == [[1.5, 0, 0], [0, 0, 0], [0, 0, 0]]
        x.zero_()
    with pytest.raises(IndexError, match="shape of the mask"):
        x[torch.tensor([True, False])] = 0.0
    with pytest.raises(RuntimeError, match="shape mismatch"):
        x[torch.tensor([0, 2])] = torch.ones(2)
    with pytest.raises(RuntimeError, match="out of bounds"):
        x.scatter_(1, torch.tensor([[7]]), 1.0)
    leaf = torch.zeros(3, requires_grad=True)
    with pytest.raises(RuntimeError, match="leaf Variable"):
        leaf.scatter_(0, torch.tensor([0]), 1.0)
    with pytest.raises(RuntimeError, match="single memory location"):
        x[:3].scatter_(0, torch.zeros(3, 3, dtype=torch.int64), x[1:])


def test_places():
    mask = torch.tensor([[[True, False], [False, True]], [[False, False], [True, True]]])
    assert mask.nonzero().tolist() == [[0, 0, 0], [0, 1, 1], [1, 1, 0], [1, 1, 1]]
    assert mask.nonzero().tolist() == torch.stack(mask.nonzero(as_tuple=True), 1).tolist()
    assert torch.zeros(2, 3).nonzero().shape == (0, 2)
    assert torch.zeros(0, 3).nonzero().shape == (0, 2)
    big = torch.arange(30_000).reshape(100, 300) % 7 == 0
    assert big.nonzero().tolist() == np.argwhere(big.numpy()).tolist()


def test_negative_log_likelihood():
    scores = torch.randn(6, 4, dtype=torch.float64, requires_grad=True)
    target = torch.tensor([0, 1, -100, 3, 2, 1])
    weight = torch.tensor([1.0, 2.0, 0.5, 1.5], dtype=torch.float64)
    for reduction in ("mean", "sum", "none"):
        for given in (None, weight):

            def loss(x):
                return F.nll_loss(F.log_softmax(x, 1), target, given, reduction=reduction)

            expected = F.cross_entropy(scores, target, given, reduction=reduction)
            assert torch.allclose(loss(scores), expected)
            assert torch.allclose(loss(scores), expected)
            assert torch.autograd.gradcheck(loss, scores)
            assert torch.autograd.gradgradcheck(loss, scores)
    for _ in range(2):
        with pytest.raises(IndexError, match="Target 4 is out of bounds"):
            F.nll_loss(torch.zeros(2, 4), torch.tensor([0, 4]))
        with pytest.raises(ValueError, match="Expected input batch_size"):
            F.nll_loss(torch.zeros(2, 4), torch.tensor([0]))
    assert np.isnan(F.nll_loss(torch.zeros(1, 4), torch.tensor([-100])).item())


@pytest.mark.parametrize(
    "equation", ["ij,jk->ik", "ij,jk->ki", "bij,bkj->bik", "bij,kj->ibk", "i,i->", "ij,j"]
)
def test_einsum_twice(equation):
    sizes = {"i": 2, "j": 3, "k": 4, "b": 5}
    terms = equation.partition("->")[0].split(",")
    a, b = (torch.randn([sizes[x] for x in term], dtype=torch.float64, requires_grad=True) for term in terms)
    expected = np.einsum(equation, a.detach().numpy(), b.detach().numpy())
    for _ in range(2):
        assert np.allclose(torch.einsum(equation, a, b).detach().numpy(), expected)
    assert torch.autograd.gradcheck(lambda a, b: torch.einsum(equation, a, b), (a, b))
    with pytest.raises(RuntimeError):
        torch.einsum(equation, a.detach()[..., :1].expand(*a.shape[:-1], 7), b)


def test_inference_mode_belongs_to_its_thread():
    seen = {}

    def other():
        seen["other"] = torch.ones(1).is_inference()

    with torch.inference_mode():
        with torch.inference_mode():
            assert torch.ones(1).is_inference()
        assert torch.ones(1).is_inference()
        with torch.inference_mode(False):
            assert not torch.ones(1).is_inference()
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert seen == {"other": False}
    assert not torch.ones(1).is_inference()


def test_data_counts_no_writes():
    x = torch.ones(2, requires_grad=True)
    y = x * x
    x.data.mul_(2)
    x.data.data.mul_(2)
    y.sum().backward()  # not refused: the writes went past the version
    assert x.tolist() == [4.0, 4.0]


def test_subclasses_and_modes_still_see_their_calls():
    class Logged(torch.Tensor):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            names.append(func.__name__)
            return super().__torch_function__(func, types, args, kwargs or {})

    names: list = []
    x = torch.tensor([[1.0, 2.0]]).as_subclass(Logged)
    x.scatter_(1, torch.tensor([[0]]), 3.0)
    x[torch.tensor([[True, False]])] = 0.0
    x.detach()
    assert {"scatter_", "__setitem__", "detach"} <= set(names)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert x.tolist() == [[0.0, 2.0]]


@pytest.mark.parametrize("function", [F.softmax, F.log_softmax])
def test_second_derivative_of_softmax(function):
    x = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda x: function(x, dim=1), x)


def test_an_inference_tensor_is_refused_only_where_it_is_saved():
    with torch.inference_mode():
        other, counts = torch.ones(3), torch.ones(3, dtype=torch.int64)
    x = torch.ones(3, requires_grad=True)
    for _ in range(3):  # the first call of a kind goes another way than those after it
        assert (x + other).requires_grad
        assert torch.hypot(counts, x).requires_grad  # the gradient of x needs x and the result
        with pytest.raises(RuntimeError, match="Inference tensors cannot be saved for backward"):
            x * other
