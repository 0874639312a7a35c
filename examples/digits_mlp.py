"""Digits with a 784-128-10 network: the first program of many courses, with the pictures it still gets wrong."""

import argparse

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from common import beside, curve, digits, picture


def enlarge(images):
    """8x8 to 28x28, the size that this network is known for."""
    return F.interpolate(images, size=(28, 28), mode="bilinear", align_corners=False)


class Network(nn.Module):
    """784 dots, 128 hidden units, 10 scores."""

    def __init__(self):
        super().__init__()
        self.flatten = nn.Flatten()
        self.hidden = nn.Linear(28 * 28, 128)
        self.scores = nn.Linear(128, 10)

    def forward(self, images):
        return self.scores(torch.relu(self.hidden(self.flatten(images))))


def train_epoch(model, loader, optimizer):
    """One pass over the images; the loss of every step."""
    losses = []
    for images, labels in loader:
        loss = F.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rate", type=float, default=0.02, help="learning rate (default: 0.02)")
    options = parser.parse_args()
    torch.manual_seed(options.seed)

    (images, labels), (test_images, test_labels) = digits()
    loader = DataLoader(TensorDataset(enlarge(images), labels), batch_size=32, shuffle=True)
    test_images = enlarge(test_images)
    model = Network()
    optimizer = torch.optim.SGD(model.parameters(), lr=options.rate, momentum=0.9)
    history = []
    for epoch in range(1, options.epochs + 1):
        losses = train_epoch(model, loader, optimizer)
        history += losses
        with torch.no_grad():
            answers = model(test_images).argmax(dim=1)
        accuracy = (answers == test_labels).float().mean().item()
        if epoch == 1:
            print("first steps", " ".join(f"{loss:.6f}" for loss in losses[:5]))
        print(f"epoch {epoch:2d}  loss {sum(losses) / len(losses):.6f}  test accuracy {accuracy:.2%}")

    print(f"loss {curve(history)}")
    wrong = (answers != test_labels).nonzero().flatten()[:3].tolist()
    print(f"{(answers != test_labels).sum().item()} of {len(answers)} test digits are misread; some of them:")
    for at in wrong:
        print(f"{f'a {test_labels[at].item()} read as {answers[at].item()}':<36}", end="")
    print()
    print(beside(*[[line[:33].ljust(33) for line in picture(test_images[at, 0, ::2, ::2])] for at in wrong]))


if __name__ == "__main__":
    main()
