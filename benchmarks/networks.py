"""Networks that the tables train, written as a PyTorch user writes them; `torch` is the library that builds them."""

from __future__ import annotations


def resnet18(torch, classes: int = 10, planes: int = 3):
    """ResNet-18 for small images: a 3x3 stem and no first pooling."""
    nn = torch.nn

    class Block(nn.Module):
        def __init__(self, into: int, out: int, stride: int):
            super().__init__()
            self.conv1 = nn.Conv2d(into, out, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(out)
            self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(out)
            self.short = nn.Sequential()
            if stride != 1 or into != out:
                self.short = nn.Sequential(nn.Conv2d(into, out, 1, stride, bias=False), nn.BatchNorm2d(out))
            self.relu = nn.ReLU()

        def forward(self, x):
            y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
            return self.relu(y + self.short(x))

    layers = [nn.Conv2d(planes, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU()]
    into = 64
    for out, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        layers += [Block(into, out, stride), Block(out, out, 1)]
        into = out
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, classes))


def perceptron(torch, norm: bool = False, hidden: int = 128):
    """784-hidden-10, with or without batch normalisation."""
    nn = torch.nn
    middle = [nn.BatchNorm1d(hidden)] if norm else []
    return nn.Sequential(nn.Linear(784, hidden), *middle, nn.ReLU(), nn.Linear(hidden, 10))


def lstm(torch, size: int = 256, layers: int = 2, classes: int = 10):
    """A stack of LSTM layers read at its last step."""
    nn = torch.nn

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm, self.scores = nn.LSTM(size, size, layers), nn.Linear(size, classes)

        def forward(self, x):
            return self.scores(self.lstm(x)[0][-1])

    return Model()
