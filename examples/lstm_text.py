"""A character-level LSTM language model: it reads sixteen sonnets and then writes lines of its own."""

import argparse
import math

import torch
from torch import nn
from torch.nn import functional as F

from common import curve, sonnets


class Writer(nn.Module):
    """A character to a vector, an LSTM over time, a score for each character that may follow."""

    def __init__(self, characters, width):
        super().__init__()
        self.vectors = nn.Embedding(characters, 32)
        self.memory = nn.LSTM(32, width, num_layers=2, batch_first=True)
        self.scores = nn.Linear(width, characters)

    def forward(self, text, state=None):
        output, state = self.memory(self.vectors(text), state)  # (B, T, width)
        return self.scores(output), state


def train_epoch(model, streams, optimizer, window):
    """Read all streams side by side, window by window; the state is carried on, the gradient is not."""
    losses, state = [], None
    for start in range(0, streams.shape[1] - window, window):
        inputs, targets = streams[:, start : start + window], streams[:, start + 1 : start + window + 1]
        if state is not None:
            state = tuple(part.detach() for part in state)
        scores, state = model(inputs, state)
        loss = F.cross_entropy(scores.flatten(0, 1), targets.flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    return losses


@torch.no_grad()
def write(model, letters, start, count, temperature=0.7):
    """Go on from `start`, one character at a time."""
    text, state = start, None
    inputs = torch.tensor([[letters.index(letter) for letter in start]])
    for _ in range(count):
        scores, state = model(inputs, state)
        chances = F.softmax(scores[0, -1] / temperature, dim=0)
        inputs = torch.multinomial(chances, 1).unsqueeze(0)
        text += letters[inputs.item()]
    return text


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--width", type=int, default=128, help="size of the LSTM's state (default: 128)")
    parser.add_argument("--window", type=int, default=32, help="characters a step (default: 32)")
    parser.add_argument(
        "--write", type=int, default=240, help="characters to write at the end (default: 240)"
    )
    options = parser.parse_args()
    torch.manual_seed(options.seed)

    text = sonnets()
    letters = sorted(set(text))
    codes = torch.tensor([letters.index(letter) for letter in text])
    streams = codes[: len(codes) // 24 * 24].view(24, -1)
    model = Writer(len(letters), options.width)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    count = sum(weight.numel() for weight in model.parameters())
    print(f"{len(text)} characters, {len(letters)} different ones; {count} parameters")
    history = []
    for epoch in range(1, options.epochs + 1):
        losses = train_epoch(model, streams, optimizer, options.window)
        mean = sum(losses) / len(losses)
        history.append(mean)
        if epoch == 1:
            print("first steps", " ".join(f"{loss:.6f}" for loss in losses))
        if epoch in (1, options.epochs) or epoch % 10 == 0:
            print(f"epoch {epoch:2d}  loss {mean:.6f}  as if choosing among {math.exp(mean):.1f} characters")
    print(f"loss {curve(history)}\n")
    print(write(model, letters, "Shall I ", options.write))


if __name__ == "__main__":
    main()
