"""A deep network with and without batch normalisation: where the gradient vanishes, in numbers.

Ten sigmoid layers, one after the other. Each takes away most of the gradient on its way back, until the first layers
hear nothing; batch normalisation keeps the signal, and thereby the gradient, at its size.
"""

import argparse
import math

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from common import bar, digits


def network(depth, normalised, width=32):
    """`depth` layers of sigmoids between 64 dots and 10 scores."""
    layers = [nn.Flatten()]
    for index in range(depth):
        layers.append(nn.Linear(64 if index == 0 else width, width))
        if normalised:
            layers.append(nn.BatchNorm1d(width))
        layers.append(nn.Sigmoid())
    return nn.Sequential(*layers, nn.Linear(width, 10))


def gradient_sizes(model, images, labels):
    """The norm of the loss's gradient for the weight of each linear layer, first layer first."""
    model.zero_grad()
    F.cross_entropy(model(images), labels).backward()
    return [layer.weight.grad.norm().item() for layer in model if isinstance(layer, nn.Linear)]


def train(model, loader, epochs, rate, seed):
    """Train; return the mean loss of each epoch."""
    loader.generator.manual_seed(seed)  # both networks see the same batches
    optimizer = torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9)
    means = []
    for _ in range(epochs):
        total = 0.0
        for images, labels in loader:
            loss = F.cross_entropy(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item()
        means.append(total / len(loader))
    return means


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--depth", type=int, default=10, help="hidden layers (default: 10)")
    options = parser.parse_args()

    train_set, (test_images, test_labels) = digits()
    loader = DataLoader(TensorDataset(*train_set), batch_size=64, shuffle=True, generator=torch.Generator())
    rows, reached = {}, {}
    for name in ("plain", "normalised"):
        torch.manual_seed(options.seed)
        model = network(options.depth, name == "normalised")
        rows[name] = gradient_sizes(model, train_set[0][:256], train_set[1][:256])
        means = train(model, loader, options.epochs, 0.1, options.seed)
        for epoch, mean in enumerate(means, 1):
            print(f"{name:10}  epoch {epoch}  loss {mean:.6f}")
        model.eval()
        with torch.no_grad():
            answers = model(test_images).argmax(dim=1)
        reached[name] = (answers == test_labels).float().mean().item()

    print("\nsize of the gradient before training; each step of the bars is a factor of ten, from 1e-9")
    print("layer  plain                    normalised")
    for index, (plain, normalised) in enumerate(zip(rows["plain"], rows["normalised"]), 1):
        bars = [bar((math.log10(max(size, 1e-9)) + 9) / 9, 9) for size in (plain, normalised)]
        print(f"{index:5}  {plain:.3e}  {bars[0]:<12} {normalised:.3e}  {bars[1]}")
    print(f"\ntest accuracy  plain {reached['plain']:.2%}  normalised {reached['normalised']:.2%}")


if __name__ == "__main__":
    main()
