"""Shape debugging: a network with one wrong layer, what the error says, and hooks that show the shape at every layer."""

import argparse

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from common import digits


class Network(nn.Module):
    """Two convolutions and two linear layers; `features` is what whoever wrote it believes to reach the first."""

    def __init__(self, features):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, kernel_size=3)
        self.conv2 = nn.Conv2d(8, 16, kernel_size=3)
        self.pool = nn.MaxPool2d(2)
        self.hidden = nn.Linear(features, 32)
        self.scores = nn.Linear(32, 10)

    def forward(self, images):
        maps = self.pool(F.relu(self.conv2(F.relu(self.conv1(images)))))
        return self.scores(F.relu(self.hidden(maps.flatten(1))))


def shown_shapes(model, images):
    """Run the model with a hook before and after every layer; print what goes in and out, up to an error."""
    handles, error = [], None
    for name, layer in model.named_children():

        def before(layer, inputs, name=name):
            print(f"  {name:7} {type(layer).__name__:10} {tuple(inputs[0].shape)!s:15} -> ", end="")

        def after(layer, inputs, output):
            print(tuple(output.shape))

        handles += [layer.register_forward_pre_hook(before), layer.register_forward_hook(after)]
    try:
        model(images)
    except RuntimeError as problem:
        print("does not fit")
        error = problem
    finally:
        for handle in handles:
            handle.remove()
    return error


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    (images, labels), _ = digits()

    print("1. The network as it was written: 16 maps of 8x8, or so its author believed")
    error = shown_shapes(Network(16 * 8 * 8), images[:4])
    print("\n2. What the error says")
    print("\n".join(f"  | {line}" for line in str(error).splitlines()))
    print(
        "\n3. How to read it: mat1 is what arrives, 4 pictures of 64 numbers; mat2 is the weight, which expects"
    )
    print(
        "   1024. Without padding each convolution takes two rows (8 to 6 to 4), and pooling halves them: 2x2."
    )

    print("\n4. Mended: 16 maps of 2x2")
    model = Network(16 * 2 * 2)
    assert shown_shapes(model, images[:4]) is None
    lazy = nn.Sequential(nn.Conv2d(1, 16, kernel_size=5), nn.MaxPool2d(2), nn.Flatten(), nn.LazyLinear(10))
    lazy(images[:4])
    print(f"   or nn.LazyLinear, which counts for itself: in_features={lazy[3].in_features}")

    print("\n5. And it learns")
    loader = DataLoader(TensorDataset(images, labels), batch_size=32, shuffle=True)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for epoch in range(1, options.epochs + 1):
        total = 0.0
        for pictures, answers in loader:
            loss = F.cross_entropy(model(pictures), answers)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item()
        print(f"   epoch {epoch}  loss {total / len(loader):.6f}")


if __name__ == "__main__":
    main()
