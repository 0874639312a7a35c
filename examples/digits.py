"""Train a small convolutional network on handwritten digits; ``flambeau demo`` shows more of the same run."""

import flambeau as torch
from flambeau import nn
from flambeau.data import load_digits
from flambeau.nn import functional as F
from flambeau.utils.data import DataLoader, TensorDataset


class DigitNet(nn.Module):
    """Two normalised convolutions and a linear layer: an 8x8 image to ten scores."""

    def __init__(self):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(1, 16, kernel_size=3, padding=1), nn.BatchNorm2d(16)
        self.conv2, self.norm2 = nn.Conv2d(16, 32, kernel_size=3, padding=1), nn.BatchNorm2d(32)
        self.scores = nn.Linear(32 * 4 * 4, 10)

    def forward(self, images):
        maps = F.relu(self.norm1(self.conv1(images)))  # (N, 16, 8, 8)
        maps = F.max_pool2d(F.relu(self.norm2(self.conv2(maps))), 2)  # (N, 32, 4, 4)
        return self.scores(F.dropout(maps.flatten(1), 0.3, self.training))


def split_digits(test_count=360):
    """The same shuffled split on every run: 1,437 images to learn from, 360 that the network never sees."""
    images, labels = load_digits()
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    images, labels = images[order].unsqueeze(1).float() / 16, labels[order]
    return (images[test_count:], labels[test_count:]), (images[:test_count], labels[:test_count])


def train(epochs=12, seed=0, progress=lambda epoch, done, loss: None):
    """Train a new network; return it and the loss of every step."""
    torch.manual_seed(seed)
    loader = DataLoader(TensorDataset(*split_digits()[0]), batch_size=64, shuffle=True)
    model, losses = DigitNet(), []
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for epoch in range(epochs):
        for step, (images, labels) in enumerate(loader):
            loss = F.cross_entropy(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            progress(epoch + 1, (step + 1) / len(loader), losses[-1])
    return model.eval(), losses


if __name__ == "__main__":
    line = "\repoch {:2d}  {:4.0%}  loss {:.4f}".format
    model, _ = train(progress=lambda *now: print(line(*now), end="", flush=True))
    images, labels = split_digits()[1]
    with torch.no_grad():
        answers = model(images).argmax(dim=1)
        torch.save(model.state_dict(), "digits.pt")
        copy = DigitNet().eval()
        copy.load_state_dict(torch.load("digits.pt"))
    print(f"\ntest accuracy {(answers == labels).float().mean():.2%}; saved as digits.pt")
    print(f"loaded again, same answers: {torch.equal(copy(images).argmax(dim=1), answers)}")
