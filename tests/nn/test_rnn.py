"""Recurrent networks: the native layer against sums in NumPy, its gradients against composed operators."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as torch
from flambeau.nn import GRU, LSTM, RNN, GRUCell, LSTMCell, RNNCell
from flambeau.nn.composed import recurrent
from flambeau.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

KINDS = [
    ("LSTM", {}),
    ("LSTM", {"proj_size": 3}),
    ("GRU", {}),
    ("RNN", {}),
    ("RNN", {"nonlinearity": "relu"}),
]
#: steps, batch, features, hidden: one row, several slices of the batch, units that fill no vector
SIZES = [(1, 1, 3, 4), (5, 3, 7, 5), (3, 37, 6, 33)]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def numpy_step(mode, x, h, c, w_ih, w_hh, b_ih, b_hh, w_hr=None):
    """One step as the definition has it."""
    given, own = x @ w_ih.T + b_ih, h @ w_hh.T + b_hh
    if mode == "LSTM":
        i, f, g, o = np.split(given + own, 4, 1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        return (h if w_hr is None else h @ w_hr.T), c
    if mode == "GRU":
        (rx, zx, nx), (rh, zh, nh) = np.split(given, 3, 1), np.split(own, 3, 1)
        r, z = sigmoid(rx + rh), sigmoid(zx + zh)
        return (1 - z) * np.tanh(nx + r * nh) + z * h, c
    return (np.tanh(given + own) if mode == "RNN_TANH" else np.maximum(given + own, 0)), c


def numpy_layer(mode, x, h, c, weights, reverse=False):
    outputs = []
    for t in range(len(x))[:: -1 if reverse else 1]:
        h, c = numpy_step(mode, x[t], h, c, *weights)
        outputs.append(h)
    return np.stack(outputs[:: -1 if reverse else 1]), h, c


def build(kind, options, features, hidden, **more):
    torch.manual_seed(0)
    return {"LSTM": LSTM, "GRU": GRU, "RNN": RNN}[kind](features, hidden, **options, **more)


def states(network, batch, dtype=torch.float64):
    """Random first states of a network."""
    count = network.num_layers * (2 if network.bidirectional else 1)
    size = network.proj_size or network.hidden_size
    hidden = torch.randn(count, batch, size, dtype=dtype)
    return (
        (hidden, torch.randn(count, batch, network.hidden_size, dtype=dtype))
        if network.mode == "LSTM"
        else hidden
    )


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize(("kind", "options"), KINDS)
def test_a_layer_is_its_definition(kind, options, sizes):
    steps, batch, features, hidden = sizes
    network = build(kind, options, features, hidden, bidirectional=True, dtype=torch.float64)
    x, first = torch.randn(steps, batch, features, dtype=torch.float64), states(network, batch)
    output, last = network(x, first)
    h0, c0 = first if kind == "LSTM" else (first, first)
    for d, weights in enumerate(network.all_weights):
        want, h, c = numpy_layer(
            network.mode,
            x.numpy(),
            h0[d].numpy(),
            c0[d].numpy(),
            [w.detach().numpy() for w in weights],
            d == 1,
        )
        width = want.shape[-1]
        np.testing.assert_allclose(
            output[..., d * width : (d + 1) * width].detach().numpy(), want, rtol=1e-10, atol=1e-12
        )
        found = last if kind == "LSTM" else (last, None)
        np.testing.assert_allclose(found[0][d].detach().numpy(), h, rtol=1e-10, atol=1e-12)
        if kind == "LSTM":
            np.testing.assert_allclose(found[1][d].detach().numpy(), c, rtol=1e-10, atol=1e-12)


def gradients(network, inputs, first, packed, composed, monkeypatch):
    """Gradients of a sum over all results for the input, the first states and the weights."""
    with monkeypatch.context() as patch:
        if composed:
            patch.setattr(recurrent, "_one_call", lambda x, others: False)
        x = inputs.detach().requires_grad_()
        begin = [s.detach().requires_grad_() for s in (first if isinstance(first, tuple) else (first,))]
        given = x if packed is None else pack_padded_sequence(x, packed)
        output, last = network(given, tuple(begin) if network.mode == "LSTM" else begin[0])
        output = output if packed is None else output.data
        results = [output, *(last if isinstance(last, tuple) else (last,))]
        total = sum((r * r.detach().cos()).sum() for r in results)
        return torch.autograd.grad(total, [x, *begin, *network.parameters()])


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(("kind", "options"), KINDS)
def test_gradients_are_those_of_the_composed_network(kind, options, packed, bias, both, monkeypatch):
    network = build(kind, options, 5, 18, num_layers=2, bidirectional=both, bias=bias, dtype=torch.float64)
    x, first = torch.randn(4, 21, 5, dtype=torch.float64), states(network, 21)
    lengths = [4] * 3 + [3] * 10 + [2] * 4 + [1] * 4 if packed else None
    native = gradients(network, x, first, lengths, False, monkeypatch)
    composed = gradients(network, x, first, lengths, True, monkeypatch)
    for ours, theirs in zip(native, composed, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("kind", "options"), KINDS[:4])
def test_second_gradients(kind, options):
    network = build(kind, options, 3, 4, bidirectional=True, dtype=torch.float64)
    x = torch.randn(3, 2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda x: network(x)[0], (x,), atol=1e-6)


@pytest.mark.parametrize(("kind", "options"), KINDS[:4])
def test_results_do_not_depend_on_threads(kind, options):
    network = build(kind, options, 16, 24)
    x = torch.randn(6, 50, 16)
    found = []
    before = torch.get_num_threads()
    for threads in (1, 2):
        torch.set_num_threads(threads)
        output, _ = network(x)
        found.append([output, *torch.autograd.grad((output * output).sum(), list(network.parameters()))])
    torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(*found))


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_a_packed_batch_is_its_sequences_one_by_one(kind):
    network = build(kind, {}, 4, 6, num_layers=2, bidirectional=True)
    x, lengths = torch.randn(5, 4, 4), [2, 5, 1, 4]
    packed, last = network(pack_padded_sequence(x, lengths, enforce_sorted=False))
    output, sizes = pad_packed_sequence(packed)
    assert sizes.tolist() == lengths
    last = last if isinstance(last, tuple) else (last,)
    for n, length in enumerate(lengths):
        alone, end = network(x[:length, n : n + 1])
        assert torch.allclose(output[:length, n], alone[:, 0], atol=1e-6)
        for part, whole in zip(end if isinstance(end, tuple) else (end,), last):
            assert torch.allclose(part[:, 0], whole[:, n], atol=1e-6)


@pytest.mark.parametrize("sizes", [[3, 2, 2], [2, 3, 1], [3, 3, 0], [6]])
def test_sizes_that_do_not_fit_are_refused(sizes):
    packed = PackedSequence(torch.ones(6, 3), torch.tensor(sizes))
    if sizes == [6]:
        assert GRU(3, 4)(packed)[0].data.shape == (6, 4)
        return
    with pytest.raises(RuntimeError, match="batch_sizes do not describe"):
        GRU(3, 4)(packed)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("make", [LSTMCell, GRUCell, RNNCell])
def test_a_cell_is_a_step(make, bias):
    torch.manual_seed(0)
    cell = make(5, 7, bias=bias)
    network = {LSTMCell: LSTM, GRUCell: GRU, RNNCell: RNN}[make](5, 7, bias=bias)
    network.load_state_dict({name + "_l0": value for name, value in cell.state_dict().items()})
    x, h, c = torch.randn(3, 5), torch.randn(3, 7), torch.randn(3, 7)
    first = (h, c) if make is LSTMCell else h
    given = (h[None], c[None]) if make is LSTMCell else h[None]
    found = cell(x, first)
    found = found[0] if make is LSTMCell else found
    assert torch.allclose(found, network(x[None], given)[0][0], atol=1e-6)
    assert cell(x[0]) is not None
    assert cell(x[0])[0].shape == (7,) if make is LSTMCell else cell(x[0]).shape == (7,)


def test_without_gradients_nothing_is_kept():
    network = LSTM(4, 8)
    x = torch.randn(3, 2, 4)
    with torch.no_grad():
        quiet, _ = network(x)
    loud, _ = network(x)
    assert quiet.grad_fn is None
    assert torch.equal(quiet, loud)


def test_layouts_of_batch_first_and_single_sequences():
    network = LSTM(3, 4, batch_first=True)
    x = torch.randn(2, 5, 3)
    output, (h, c) = network(x)
    assert output.shape == (2, 5, 4)
    assert h.shape == c.shape == (1, 2, 4)
    alone, (h, c) = network(x[0])
    assert alone.shape == (5, 4)
    assert h.shape == c.shape == (1, 4)
    assert torch.allclose(alone, output[0], atol=1e-6)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 0.03), (torch.float16, 0.004)])
@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_half_types(kind, dtype, tolerance):
    network = build(kind, {}, 4, 6, num_layers=2)
    x = torch.randn(3, 2, 4)
    want, _ = network(x)
    found, _ = network.to(dtype)(x.to(dtype))
    assert found.dtype is dtype
    assert torch.allclose(found.float(), want, atol=tolerance)


def test_gates_are_accurate():
    from flambeau.backend.cpu import recurrent_gates, schedule
    from flambeau.tensor.tensor import make

    x = np.concatenate(
        [np.linspace(-100, 100, 40001), np.linspace(-1, 1, 40001), [0.0, np.inf, -np.inf]]
    ).astype(np.float32)
    source = torch.from_numpy(x)
    exact = x.astype(np.float64)
    with np.errstate(over="ignore"):
        wanted = (sigmoid(exact), np.tanh(exact))
    for rule, want in zip((recurrent_gates.sigmoid_f32, recurrent_gates.tanh_f32), wanted):
        call = schedule.Call([source._layout], [source._layout])
        call.pointwise([("f32", (1,), call.out(0))], [("f32", (1,), call.input(0))], rule, x.shape)
        found = make(call.finish()(source._memory, source._offset), source._layout, 0).numpy()
        unit = np.maximum(np.spacing(np.abs(want).astype(np.float32)), 1e-37)
        assert np.max(np.abs(found - want) / unit) < 3.5
        assert np.isnan(recurrent_nan(rule))


def recurrent_nan(rule):
    """What a gate makes of NaN."""
    from flambeau.backend.cpu import schedule
    from flambeau.tensor.tensor import make

    source = torch.tensor([float("nan")])
    call = schedule.Call([source._layout], [source._layout])
    call.pointwise([("f32", (1,), call.out(0))], [("f32", (1,), call.input(0))], rule, (1,))
    return make(call.finish()(source._memory, source._offset), source._layout, 0).item()
