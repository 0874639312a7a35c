"""A dataset of your own: any class with a length and an item. This one draws shapes, each in its place and size.

Items are dictionaries; the loader stacks them key by key. `--workers 2` makes the items in two processes.
"""

import argparse

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, random_split

from common import beside, picture

NAMES = ("disc", "square", "cross")


class Shapes(Dataset):
    """Grey pictures (1, 16, 16) of a disc, a square or a cross. Item n is the same whenever it is asked for."""

    def __init__(self, count, size=16, transform=None):
        self.count, self.size, self.transform = count, size, transform

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        if not 0 <= index < self.count:
            raise IndexError(f"item {index} of {self.count}")
        generator = torch.Generator().manual_seed(index)
        kind = index % len(NAMES)
        down, across = (4 + (self.size - 8) * torch.rand(2, generator=generator)).tolist()
        radius = (2 + 2 * torch.rand(1, generator=generator)).item()
        row = (torch.arange(self.size).unsqueeze(1) - down).abs()
        column = (torch.arange(self.size).unsqueeze(0) - across).abs()
        far, near = torch.maximum(row, column), torch.minimum(row, column)
        if kind == 0:
            inside = row**2 + column**2 <= radius**2
        elif kind == 1:
            inside = far <= 0.85 * radius
        else:
            inside = (near <= 0.6) & (far <= radius)
        noise = 0.2 * torch.rand(self.size, self.size, generator=generator)
        image = (inside.float() + noise).clamp(0, 1).unsqueeze(0)
        if self.transform is not None:
            image = self.transform(image)
        return {"image": image, "label": kind, "index": index}


class Network(nn.Module):
    """Two convolutions, then the strongest answer anywhere in the picture."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(1, 12, kernel_size=5, padding=2)
        self.second = nn.Conv2d(12, 24, kernel_size=5, padding=2)
        self.scores = nn.Linear(24, len(NAMES))

    def forward(self, images):
        maps = F.max_pool2d(F.relu(self.first(images)), 2)
        maps = F.relu(self.second(maps)).amax(dim=(2, 3))
        return self.scores(maps)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--items", type=int, default=900)
    parser.add_argument("--workers", type=int, default=0, help="processes that make items (default: 0)")
    options = parser.parse_args()
    torch.manual_seed(options.seed)

    dataset = Shapes(options.items, transform=lambda image: 2 * image - 1)
    train_set, test_set = random_split(dataset, [0.8, 0.2])
    loader = DataLoader(train_set, batch_size=32, shuffle=True, num_workers=options.workers)
    test_loader = DataLoader(test_set, batch_size=64, num_workers=options.workers)
    print(beside(*[picture(dataset[index]["image"][0].clamp(0, 1)) for index in range(3)]))

    model = Network()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for epoch in range(1, options.epochs + 1):
        total, right = 0.0, 0
        for step, batch in enumerate(loader):
            if epoch == 1 and step < 2:
                print(
                    f"batch {step}  image {tuple(batch['image'].shape)}  items {batch['index'][:10].tolist()} ..."
                )
            loss = F.cross_entropy(model(batch["image"]), batch["label"])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item()
        with torch.no_grad():
            for batch in test_loader:
                right += (model(batch["image"]).argmax(dim=1) == batch["label"]).sum().item()
        print(f"epoch {epoch}  loss {total / len(loader):.6f}  test accuracy {right / len(test_set):.2%}")


if __name__ == "__main__":
    main()
