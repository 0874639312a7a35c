"""Training steps of recurrent networks: forward, loss and backward over whole sequences."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.measure import Row


def sequences(
    kind: str, hidden: int, batch: int, steps: int, layers: int = 2, lengths: bool = False, **options
) -> Callable:
    """A network over random sequences, with a squared loss; `lengths` packs sequences of falling length."""

    def build(torch):
        torch.manual_seed(0)
        network = getattr(torch.nn, kind)(hidden, hidden, layers, **options)
        x = torch.randn(steps, batch, hidden)
        if lengths:
            sizes = [max(1, steps - n * steps // batch) for n in range(batch)]
            x = torch.nn.utils.rnn.pack_padded_sequence(x, sizes)

        def call() -> None:
            network.zero_grad()
            output, _ = network(x)
            output = output.data if lengths else output
            (output * output).mean().backward()

        return call

    return build


def cell(kind: str, hidden: int, batch: int, steps: int) -> Callable:
    """A network stepped by its cell in a Python loop."""

    def build(torch):
        torch.manual_seed(0)
        one = getattr(torch.nn, kind)(hidden, hidden)
        x = torch.randn(steps, batch, hidden)

        def call() -> None:
            one.zero_grad()
            state = None
            for step in x:
                state = one(step, state)
            (state[0] if kind == "LSTMCell" else state).sum().backward()

        return call

    return build


ROWS = [
    Row("step LSTM 2x256, batch 32, 64 steps", "recurrent", sequences("LSTM", 256, 32, 64), 1.0),
    Row("step GRU 2x256, batch 32, 64 steps", "recurrent", sequences("GRU", 256, 32, 64), 1.0),
    Row("step RNN 2x256, batch 32, 64 steps", "recurrent", sequences("RNN", 256, 32, 64), 1.0),
    Row("step LSTM 1x64, batch 4, 100 steps", "recurrent", sequences("LSTM", 64, 4, 100, 1), 0.8),
    Row(
        "step LSTM 2x128, both directions, packed",
        "recurrent",
        sequences("LSTM", 128, 32, 40, bidirectional=True, lengths=True),
        0.8,
    ),
    Row("step LSTMCell 128, batch 16, 20 steps", "recurrent", cell("LSTMCell", 128, 16, 20), 1.0),
]
