"""Tools of `nn.utils`."""

from __future__ import annotations

import math

import pytest

import flambeau
from flambeau import nn
from flambeau.nn import utils
from flambeau.nn.utils import rnn


def with_gradients(*gradients) -> list[nn.Parameter]:
    made = []
    for gradient in gradients:
        parameter = nn.Parameter(flambeau.zeros(gradient.shape))
        parameter.grad = gradient.clone()
        made.append(parameter)
    return made


@pytest.mark.parametrize(("norm_type", "expected"), [(2.0, 13.0), (1.0, 19.0), (math.inf, 12.0)])
def test_clipping_by_the_norm(norm_type, expected):
    parameters = with_gradients(flambeau.tensor([3.0, 4.0]), flambeau.tensor([[12.0]]))
    parameters.append(nn.Parameter(flambeau.zeros(3)))  # without a gradient
    assert utils.clip_grad_norm_(parameters, 1.0, norm_type).item() == pytest.approx(expected)
    assert utils.get_total_norm([p.grad for p in parameters[:2]], norm_type).item() == pytest.approx(
        1.0, abs=1e-5
    )
    utils.clip_grad_norm_(parameters, 5.0, norm_type)  # small enough: nothing changes
    assert parameters[1].grad.item() == pytest.approx(12 / expected, rel=1e-5)


def test_clipping_refuses_norms_that_are_no_numbers_where_asked():
    parameters = with_gradients(flambeau.tensor([math.nan]))
    assert math.isnan(utils.clip_grad_norm_(parameters, 1.0).item())
    with pytest.raises(RuntimeError, match=r"The total norm of order 2\.0 for gradients"):
        utils.clip_grad_norm_(parameters, 1.0, error_if_nonfinite=True)
    assert utils.clip_grad_norm_([], 1.0).item() == 0


def test_clipping_by_value():
    (parameter,) = with_gradients(flambeau.tensor([-3.0, 0.5, 2.0]))
    utils.clip_grad_value_(parameter, 1.0)
    assert parameter.grad.tolist() == [-1, 0.5, 1]


def test_parameters_as_a_vector_and_back():
    layer = nn.Linear(2, 3)
    vector = utils.parameters_to_vector(layer.parameters())
    assert vector.shape == (9,)
    utils.vector_to_parameters(flambeau.arange(9.0), layer.parameters())
    assert layer.weight.tolist() == [[0, 1], [2, 3], [4, 5]]
    assert layer.bias.tolist() == [6, 7, 8]
    with pytest.raises(TypeError, match=r"expected torch.Tensor"):
        utils.vector_to_parameters([1.0], layer.parameters())


def test_skip_init():
    assert utils.skip_init(nn.Linear, 2, 3).weight.shape == (3, 2)
    with pytest.raises(RuntimeError, match="must support a 'device' arg"):
        utils.skip_init(nn.ReLU)


def sequences() -> list:
    return [flambeau.arange(2.0 * n).view(n, 2) + 10 * n for n in (2, 4, 1)]


def test_padding():
    padded = rnn.pad_sequence(sequences(), batch_first=True, padding_value=-1)
    assert padded.shape == (3, 4, 2)
    assert padded[2].tolist() == [[10, 11], [-1, -1], [-1, -1], [-1, -1]]
    left = rnn.pad_sequence(sequences(), padding_side="left")
    assert left[3, 2].tolist() == [10, 11]
    back = rnn.unpad_sequence(padded, flambeau.tensor([2, 4, 1]), batch_first=True)
    assert [s.tolist() for s in back] == [s.tolist() for s in sequences()]


def test_packing_and_unpacking():
    packed = rnn.pack_sequence(sequences(), enforce_sorted=False)
    assert packed.batch_sizes.tolist() == [3, 2, 1, 1]
    assert packed.sorted_indices.tolist() == [1, 0, 2]
    assert packed.data[:3].tolist() == [[40, 41], [20, 21], [10, 11]]
    assert [s.tolist() for s in rnn.unpack_sequence(packed)] == [s.tolist() for s in sequences()]
    padded, lengths = rnn.pad_packed_sequence(packed, batch_first=True, padding_value=9, total_length=5)
    assert lengths.tolist() == [2, 4, 1]
    assert padded.shape == (3, 5, 2)
    assert padded[2, 1].tolist() == [9, 9]
    assert packed.to(flambeau.float64).data.dtype is flambeau.float64
    with pytest.raises(RuntimeError, match="must be sorted in decreasing order"):
        rnn.pack_sequence(sequences())
    with pytest.raises(ValueError, match="Expected total_length to be at least"):
        rnn.pad_packed_sequence(packed, total_length=2)


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_packed_sequences_give_what_single_ones_give(kind, bidirectional):
    flambeau.manual_seed(0)
    network = kind(2, 3, num_layers=2, bidirectional=bidirectional)
    packed, hidden = network(rnn.pack_sequence(sequences(), enforce_sorted=False))
    for number, (sequence, result) in enumerate(zip(sequences(), rnn.unpack_sequence(packed))):
        alone, last = network(sequence)
        assert flambeau.allclose(result, alone, atol=1e-6)
        pairs = zip(hidden, last) if kind is nn.LSTM else [(hidden, last)]
        for together, single in pairs:
            assert flambeau.allclose(together[:, number], single, atol=1e-6)


def test_lazy_modules_take_their_sizes_from_the_first_input():
    net = nn.Sequential(nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.Flatten(), nn.LazyLinear(2))
    assert repr(net[0].weight) == "<UninitializedParameter>"
    with pytest.raises(ValueError, match="Attempted to use an uninitialized parameter"):
        net[3].weight + 1
    assert net(flambeau.ones(2, 3, 5, 5)).shape == (2, 2)
    assert type(net[0]) is nn.Conv2d
    assert type(net[3]) is nn.Linear
    assert net[0].weight.shape == (4, 3, 3, 3)
    assert net[1].running_mean.shape == (4,)
    assert net[3].in_features == 36
    assert not net[3]._forward_pre_hooks
    assert isinstance(net[3].weight, nn.Parameter)


def test_lazy_modules_load_shapes():
    state = nn.Linear(3, 2).state_dict()
    lazy = nn.LazyLinear(2)
    lazy.load_state_dict(state)
    assert flambeau.equal(lazy.weight, state["weight"])
    assert lazy(flambeau.ones(1, 3)).shape == (1, 2)


class Double(nn.Module):
    """A parametrisation: twice the original."""

    def forward(self, x):
        return x * 2

    def right_inverse(self, x):
        return x / 2


def test_a_parametrised_weight_is_computed_from_its_original():
    layer = nn.Linear(2, 3)
    weight = layer.weight.detach().clone()
    utils.parametrize.register_parametrization(layer, "weight", Double())
    assert utils.parametrize.is_parametrized(layer, "weight")
    assert flambeau.allclose(layer.weight, weight)
    assert [name for name, _ in layer.named_parameters()] == ["bias", "parametrizations.weight.original"]
    layer(flambeau.ones(1, 2)).sum().backward()
    assert layer.parametrizations.weight.original.grad.eq(2).all()
    layer.weight = flambeau.ones(3, 2)
    assert layer.parametrizations.weight.original.eq(0.5).all()
    with utils.parametrize.cached():
        assert layer.weight is layer.weight
    assert layer.weight is not layer.weight
    utils.parametrize.remove_parametrizations(layer, "weight")
    assert type(layer) is nn.Linear
    assert isinstance(layer.weight, nn.Parameter)
    assert layer.weight.eq(1).all()
    with pytest.raises(ValueError, match="does not have a parameter"):
        utils.parametrize.register_parametrization(layer, "nothing", Double())


@pytest.mark.parametrize("apply", [utils.weight_norm, utils.parametrizations.weight_norm])
@pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")
def test_weight_norm_keeps_the_weight_and_splits_its_gradient(apply):
    layer = nn.Linear(3, 2)
    weight = layer.weight.detach().clone()
    apply(layer)
    assert flambeau.allclose(layer.weight.detach(), weight, atol=1e-6)
    layer(flambeau.ones(1, 3)).sum().backward()
    trained = [p for p in layer.parameters() if p.shape != (2,)]
    assert [tuple(p.shape) for p in trained] == [(2, 1), (2, 3)]
    assert all(p.grad is not None for p in trained)
    if apply is utils.weight_norm:
        utils.remove_weight_norm(layer)
        assert flambeau.allclose(layer.weight.detach(), weight, atol=1e-6)


@pytest.mark.parametrize("apply", [utils.spectral_norm, utils.parametrizations.spectral_norm])
def test_spectral_norm_bounds_the_greatest_singular_value(apply):
    flambeau.manual_seed(0)
    layer = apply(nn.Linear(4, 3), n_power_iterations=30)
    layer(flambeau.ones(1, 4))
    weight = layer.weight.detach()
    vector = flambeau.ones(4)
    for _ in range(50):
        vector = weight.t() @ (weight @ vector)
        vector = vector / vector.norm()
    assert (weight @ vector).norm().item() == pytest.approx(1.0, abs=1e-3)


def test_fusing_a_convolution_with_its_normalisation():
    flambeau.manual_seed(0)
    conv, norm = nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3)
    norm(conv(flambeau.randn(4, 2, 6, 6)))
    conv.eval()
    norm.eval()
    x = flambeau.randn(1, 2, 5, 5)
    assert flambeau.allclose(utils.fuse_conv_bn_eval(conv, norm)(x), norm(conv(x)), atol=1e-5)
    with pytest.raises(AssertionError, match="Fusion only for eval"):
        utils.fuse_conv_bn_eval(conv.train(), norm)


def test_calling_a_module_with_other_parameters():
    layer = nn.Linear(2, 1)
    before = layer.weight
    given = {"weight": flambeau.ones(1, 2, requires_grad=True), "bias": flambeau.zeros(1)}
    result = flambeau.func.functional_call(layer, given, flambeau.tensor([[3.0, 4.0]]))
    assert result.item() == 7
    assert layer.weight is before
    result.backward()
    assert given["weight"].grad.tolist() == [[3, 4]]
    with pytest.raises(RuntimeError, match="Missing key"):
        flambeau.func.functional_call(layer, {}, flambeau.ones(1, 2), strict=True)
    counting = nn.BatchNorm1d(2)
    buffers = dict(counting.named_buffers())
    flambeau.func.functional_call(counting, buffers, flambeau.ones(3, 2))
    assert counting.num_batches_tracked.item() == 1  # changed in place, through the tensor that was given
