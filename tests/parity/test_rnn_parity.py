"""Recurrent networks against PyTorch: results, gradients, random numbers of dropout, errors."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau

pytestmark = pytest.mark.parity

CASES = [
    # kind, steps, batch, features, hidden, options of the network, first state given, lengths
    ("LSTM", 5, 3, 7, 10, {}, False, None),
    ("LSTM", 4, 20, 16, 33, {"num_layers": 2, "bidirectional": True}, True, None),
    ("LSTM", 4, 9, 5, 16, {"num_layers": 2, "bias": False, "batch_first": True}, True, None),
    (
        "LSTM",
        6,
        33,
        5,
        24,
        {"num_layers": 2, "proj_size": 7, "bidirectional": True, "batch_first": True},
        True,
        None,
    ),
    ("LSTM", 5, 4, 5, 24, {"num_layers": 2, "proj_size": 7}, True, [5, 3, 3, 1]),
    ("LSTM", 5, 4, 5, 8, {"bidirectional": True}, False, [2, 5, 1, 3]),
    ("GRU", 5, 3, 7, 10, {}, False, None),
    ("GRU", 4, 20, 16, 33, {"num_layers": 2, "bidirectional": True}, True, None),
    ("GRU", 5, 4, 5, 8, {"bidirectional": True, "bias": False}, True, [2, 5, 1, 3]),
    ("RNN", 5, 3, 7, 10, {}, False, None),
    ("RNN", 4, 20, 16, 33, {"num_layers": 2, "bidirectional": True, "nonlinearity": "relu"}, True, None),
    ("RNN", 5, 4, 5, 8, {"bidirectional": True}, True, [2, 5, 1, 3]),
]


def outcome(lib, case, weights, dtype):
    """Results, then gradients of the inputs and weights."""
    kind, steps, batch, features, hidden, options, given, lengths = case
    make = lib.tensor
    network = getattr(lib.nn, kind)(features, hidden, dtype=getattr(lib, dtype), **options)
    network.load_state_dict({name: make(value) for name, value in weights.items()})
    draw = np.random.default_rng(0).standard_normal
    first = options.get("batch_first", False)
    x = make(
        draw((batch, steps, features) if first else (steps, batch, features)).astype(dtype)
    ).requires_grad_()
    count = options.get("num_layers", 1) * (2 if options.get("bidirectional") else 1)
    begin = [make(draw((count, batch, options.get("proj_size", hidden))).astype(dtype)).requires_grad_()]
    if kind == "LSTM":
        begin.append(make(draw((count, batch, hidden)).astype(dtype)).requires_grad_())
    hx = None if not given else tuple(begin) if kind == "LSTM" else begin[0]
    tools = lib.nn.utils.rnn
    source = x if lengths is None else tools.pack_padded_sequence(x, lengths, first, enforce_sorted=False)
    output, last = network(source, hx)
    if lengths is not None:
        output = tools.pad_packed_sequence(output, first)[0]
    results = [output, *(last if isinstance(last, tuple) else (last,))]
    sum((r * make(draw(tuple(r.shape)).astype(dtype))).sum() for r in results).backward()
    leaves = [x, *(begin if given else []), *network.parameters()]
    return [t.detach().numpy() for t in results] + [t.grad.numpy() for t in leaves]


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 3e-6), ("float64", 1e-13)])
@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c[0]}-{c[5]}-{c[7]}")
@pytest.mark.filterwarnings("ignore:LSTM with projections")
def test_results_and_gradients(case, dtype, tolerance, oracle):
    oracle.manual_seed(0)
    network = getattr(oracle.nn, case[0])(case[3], case[4], dtype=getattr(oracle, dtype), **case[5])
    weights = {name: value.numpy() for name, value in network.state_dict().items()}
    ours, theirs = (outcome(lib, case, weights, dtype) for lib in (flambeau, oracle))
    for a, b in zip(ours, theirs, strict=True):
        assert np.abs(a - b).max() <= tolerance * max(1e-6, np.abs(b).max())


PROGRAMS = [
    "r = nn.LSTM(3, 4)(torch.zeros(5))",
    "r = nn.LSTM(3, 4)(torch.zeros(2, 5))",
    "r = nn.LSTM(3, 4)(torch.zeros(0, 2, 3))",
    "r = nn.GRU(3, 4)(torch.zeros(2, 0, 3))[0].shape",
    "r = nn.LSTM(3, 4)(torch.zeros(2, 2, 3, dtype=torch.float64))",
    "r = nn.GRU(3, 4)(torch.zeros(2, 2, 3), torch.zeros(1, 3, 4))",
    "r = nn.GRU(3, 4)(torch.zeros(2, 2, 3), torch.zeros(2, 4))",
    "r = nn.GRU(3, 4)(torch.zeros(2, 3), torch.zeros(1, 1, 4))",
    "r = nn.LSTM(3, 4)(torch.zeros(2, 2, 3), (torch.zeros(1, 2, 4), torch.zeros(1, 3, 4)))",
    "r = nn.LSTM(3, 4)(torch.zeros(2, 2, 3), (torch.zeros(2, 4), torch.zeros(1, 2, 4)))",
    "r = nn.LSTM(3, 4, proj_size=5)",
    "r = nn.GRU(3, 4, proj_size=2)",
    "r = nn.LSTM(3, 4, dropout=2)",
    "r = nn.RNN(3, 4, nonlinearity='x')",
    "r = nn.LSTMCell(3, 4)(torch.zeros(2, 5))",
    "r = nn.LSTMCell(3, 4)(torch.zeros(2, 3), (torch.zeros(3, 4), torch.zeros(2, 4)))",
    "r = nn.GRUCell(3, 4)(torch.zeros(2, 3), torch.zeros(2, 5))",
    "r = nn.RNNCell(3, 4, nonlinearity='x')(torch.zeros(2, 3))",
    "r = nn.GRUCell(3, 4)(torch.zeros(2, 3), torch.zeros(1, 2, 4))",
    "r = repr(nn.LSTM(3, 4, 2, dropout=.5, bidirectional=True, batch_first=True, bias=False, proj_size=2))",
    "torch.manual_seed(0)\nm = nn.LSTM(3, 4, 3, dropout=.5)\nr = m(torch.ones(5, 2, 3))",
    "torch.manual_seed(0)\nm = nn.GRU(3, 4, 2, dropout=.5, bidirectional=True, batch_first=True)\n"
    "r = m(torch.ones(5, 2, 3))",
    "torch.manual_seed(0)\nm = nn.GRU(3, 4, 2, dropout=.5)\n"
    "r = m(nn.utils.rnn.pack_padded_sequence(torch.ones(5, 3, 3), [5, 3, 1]))",
    "torch.manual_seed(0)\nm = nn.LSTM(3, 4, 2, batch_first=True)\n"
    "r = m(torch.ones(5, 3), (torch.ones(2, 4), torch.ones(2, 4)))",
    "m = nn.LSTM(3, 4, 2, batch_first=True)\nr = m(torch.ones(5, 3, 3))[0].stride()",
    "torch.manual_seed(0)\nm = nn.LSTMCell(3, 4)\nr = m(torch.ones(3), (torch.ones(4), torch.ones(4)))",
]


@pytest.mark.parametrize("program", PROGRAMS)
def test_programs(program, same):
    same(program)
