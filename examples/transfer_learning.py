"""Transfer learning: a body that reads the digits 0 to 6 learns 7, 8 and 9 from two pictures of each.

The pictures lie anywhere on a larger sheet, which two pictures cannot teach. The body learns it from a thousand; then
its parameters are frozen, a new head replaces the old one, and the head alone learns the new digits.
"""

import argparse

import torch
from torch import nn
from torch.nn import functional as F

from common import bar, beside, digits, picture

KNOWN = 7  # digits below this one are known to the body


def scattered(images, size=14):
    """Each picture somewhere on an empty sheet (1, size, size)."""
    sheets = torch.zeros(len(images), 1, size, size)
    corners = torch.randint(0, size - 7, (len(images), 2)).tolist()
    for sheet, image, (row, column) in zip(sheets, images, corners):
        sheet[:, row : row + 8, column : column + 8] = image
    return sheets


def body():
    """A sheet (1, 14, 14) to 64 features; the strongest of each wherever it is."""
    return nn.Sequential(
        nn.Conv2d(1, 16, kernel_size=3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 64, kernel_size=5, padding=2), nn.ReLU(), nn.AdaptiveMaxPool2d(1), nn.Flatten(),
    )  # fmt: skip


def train(model, images, labels, epochs, rate, batch=64):
    """Train what is not frozen; return the mean loss of each epoch."""
    optimizer = torch.optim.Adam([weight for weight in model.parameters() if weight.requires_grad], lr=rate)
    means = []
    for _ in range(epochs):
        losses = []
        for rows in torch.randperm(len(images)).split(batch):
            loss = F.cross_entropy(model(images[rows]), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        means.append(sum(losses) / len(losses))
    return means


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=10, help="passes over the known digits (default: 10)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--shots", type=int, default=2, help="pictures of each new digit (default: 2)")
    parser.add_argument("--draws", type=int, default=5, help="how often they are drawn anew (default: 5)")
    options = parser.parse_args()
    torch.manual_seed(options.seed)

    images, labels = digits(0)[0]
    images, known = scattered(images), labels < KNOWN
    print(beside(*[picture(image[0]) for image in images[:3]]))
    trained = body()
    model = nn.Sequential(trained, nn.Linear(64, KNOWN))
    for epoch, mean in enumerate(train(model, images[known], labels[known], options.epochs, 3e-3), 1):
        print(f"body  epoch {epoch:2d}  loss {mean:.6f}")

    images, labels = images[~known], labels[~known] - KNOWN
    shares = {"transfer": [], "scratch": []}
    print("\ndraw  way       first loss  last loss  trained parameters  body unchanged  right")
    for draw in range(options.draws):
        order = torch.randperm(len(labels))
        few = torch.cat([order[labels[order] == digit][: options.shots] for digit in range(10 - KNOWN)])
        for way in shares:
            features = body()
            if way == "transfer":
                features.load_state_dict(trained.state_dict())
            features.requires_grad_(way == "scratch")
            model = nn.Sequential(features, nn.Linear(64, 10 - KNOWN))
            before = [weight.clone() for weight in features.parameters()]
            means = train(model, images[few], labels[few], 60, 1e-2 if way == "transfer" else 3e-3)
            with torch.no_grad():
                shares[way].append((model(images).argmax(dim=1) == labels).float().mean().item())
            count = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
            still = all(torch.equal(a, b) for a, b in zip(before, features.parameters()))
            row = f"{draw:4}  {way:8}  {means[0]:.6f}    {means[-1]:.6f}   {count:18}  {still!s:14}"
            print(f"{row}  {shares[way][-1]:.1%}")
    print()
    for way, right in shares.items():
        mean = sum(right) / len(right)
        print(f"{way:8}  {mean:.1%}  {bar(mean)}")


if __name__ == "__main__":
    main()
