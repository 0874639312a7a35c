"""An imbalanced problem: 1,000 samples of one class, 100 of the other, and clouds that overlap.

A network that always answers "common" is right ten times in eleven, so the plain loss learns to ignore the rare class.
Balanced accuracy, the mean of the two classes' own accuracies, sees through it; weights in the loss mend it.
"""

import argparse

import torch
from torch import nn

COUNTS = (1000, 100)


def clouds(counts):
    """Two clouds of points in the plane, one unit of spread each, their centres 1.25 apart; class 1 is rare."""
    centres = torch.tensor([[0.0, 0.0], [1.0, 0.75]])
    points = [torch.randn(count, 2) + centre for count, centre in zip(counts, centres)]
    labels = [torch.full((count,), index) for index, count in enumerate(counts)]
    return torch.cat(points), torch.cat(labels)


def train(points, labels, weight, epochs, seed):
    """A small network, trained on all points at once; return it and its losses."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 2))
    measure = nn.CrossEntropyLoss(weight=weight)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    losses = []
    for _ in range(epochs):
        loss = measure(model(points), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return model, losses


def accuracies(model, points, labels):
    """The share of each class that is recognised."""
    with torch.no_grad():
        right = model(points).argmax(dim=1) == labels
    return [right[labels == index].float().mean().item() for index in (0, 1)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=150)
    parser.add_argument("--seed", type=int, default=0, help="the first of the seeds (default: 0)")
    parser.add_argument("--seeds", type=int, default=5, help="how many (default: 5)")
    options = parser.parse_args()

    counts = torch.tensor(COUNTS, dtype=torch.float32)
    losses = {"plain": None, "weighted": counts.sum() / (len(COUNTS) * counts)}
    print("each class weighs", [round(value, 3) for value in losses["weighted"].tolist()], "\n")
    print("seed  loss      first     last      common  rare    balanced")
    gains = []
    for seed in range(options.seed, options.seed + options.seeds):
        balanced = {}
        for name, weight in losses.items():
            torch.manual_seed(seed)
            samples, tests = clouds(COUNTS), clouds((2000, 2000))
            model, history = train(*samples, weight, options.epochs, seed)
            common, rare = accuracies(model, *tests)
            balanced[name] = (common + rare) / 2
            first, last = history[0], history[-1]
            print(f"{seed:4}  {name:8}  {first:.6f}  {last:.6f}  ", end="")
            print(f"{common:6.1%}  {rare:6.1%}  {balanced[name]:6.1%}")
        gains.append(100 * (balanced["weighted"] - balanced["plain"]))
    print(f"\nthe weighted loss gains {min(gains):.1f} to {max(gains):.1f} points of balanced accuracy")


if __name__ == "__main__":
    main()
