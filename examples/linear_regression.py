"""Linear regression: one weight and one bias find the line that made the points."""

import argparse

import torch
from torch import nn

from common import curve


def points(count=100, slope=3.0, offset=-2.0, noise=0.3):
    """Points (count, 1) around a line that the model does not know."""
    x = torch.rand(count, 1) * 2 - 1
    return x, slope * x + offset + noise * torch.randn(count, 1)


def train(x, y, epochs, rate):
    """Fit a line; return the model and the loss before each step."""
    model, losses = nn.Linear(1, 1), []
    measure = nn.MSELoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    for epoch in range(1, epochs + 1):
        loss = measure(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if epoch == 1 or epoch % 10 == 0:
            weight, bias = model.weight.item(), model.bias.item()
            print(f"epoch {epoch:3d}  loss {losses[-1]:.6f}  weight {weight:+.4f}  bias {bias:+.4f}")
    return model, losses


def plot(x, y, model, rows=15, columns=61):
    """The points and the line that was found."""
    low, high = y.min().item(), y.max().item()
    paper = [[" "] * columns for _ in range(rows)]

    def mark(across, up, sign):
        row = round((high - up) / (high - low) * (rows - 1))
        if 0 <= row < rows:
            paper[row][round((across + 1) / 2 * (columns - 1))] = sign

    for across, up in zip(x.flatten().tolist(), y.flatten().tolist()):
        mark(across, up, ".")
    grid = torch.linspace(-1, 1, columns).unsqueeze(1)
    with torch.no_grad():
        for across, up in zip(grid.flatten().tolist(), model(grid).flatten().tolist()):
            mark(across, up, "#")
    return "\n".join("".join(row).rstrip() for row in paper)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rate", type=float, default=0.3, help="learning rate (default: 0.3)")
    options = parser.parse_args()
    torch.manual_seed(options.seed)

    x, y = points()
    model, losses = train(x, y, options.epochs, options.rate)
    print(f"loss {curve(losses)}")
    print(plot(x, y, model))
    # Least squares has a solution in closed form; gradient descent must arrive there.
    matrix = torch.cat([x, torch.ones_like(x)], dim=1)
    weight, bias = torch.linalg.lstsq(matrix, y).solution.flatten().tolist()
    print(f"found        y = {model.weight.item():+.4f} x {model.bias.item():+.4f}")
    print(f"closed form  y = {weight:+.4f} x {bias:+.4f}")


if __name__ == "__main__":
    main()
