"""A loss of your own is an expression: one written with infix operators, beside two that are built in.

One point in five lies far off the line. The squared error listens to the far points most; a loss that levels off
(Geman and McClure, 1985) hardly hears them.
"""

import argparse

import torch
from torch import nn

from common import bar, curve


class GemanMcClure(nn.Module):
    """Mean of ``e^2 / (e^2 + scale^2)``: near 0 like the squared error, never above 1."""

    def __init__(self, scale=1.0):
        super().__init__()
        self.scale = scale

    def forward(self, output, target):
        squared = (output - target) ** 2
        return (squared / (squared + self.scale**2)).mean()


def points(count=200, slope=2.0, offset=0.5):
    """A line with little noise, and one point in five thrown upwards."""
    x = torch.rand(count, 1) * 4 - 2
    y = slope * x + offset + 0.1 * torch.randn(count, 1)
    y[::5] += 6 * torch.rand(len(y[::5]), 1) * (x[::5] > 0)
    return x, y


def train(measure, x, y, epochs, seed, decay=1e-4):
    """Fit a small network with `measure`; return it and its losses."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(1, 16), nn.Tanh(), nn.Linear(16, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
    losses = []
    for _ in range(epochs):
        # Part module, part expression: autograd sees no difference.
        penalty = sum((weight**2).sum() for weight in model.parameters())
        loss = measure(model(x), y) + decay * penalty
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return model, losses


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.manual_seed(options.seed)

    x, y = points()
    grid = torch.linspace(-2, 2, 101).unsqueeze(1)
    truth = 2.0 * grid + 0.5
    results = {}
    for measure in (nn.MSELoss(), nn.L1Loss(), GemanMcClure()):
        model, losses = train(measure, x, y, options.epochs, options.seed)
        with torch.no_grad():
            results[type(measure).__name__] = (model(grid) - truth).abs().mean().item()
        name = type(measure).__name__
        print(f"{name:13}  epoch 1 loss {losses[0]:.6f}  last loss {losses[-1]:.6f}  {curve(losses, 40)}")

    print("\nmean distance from the true line, which no point thrown upwards should move")
    worst = max(results.values())
    for name, error in results.items():
        print(f"{name:13}  {error:.4f}  {bar(error / worst)}")


if __name__ == "__main__":
    main()
