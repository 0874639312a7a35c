"""A variational auto-encoder: it learns to draw digits, from eight random numbers each (Kingma and Welling, 2013)."""

import argparse

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from common import beside, curve, digits, picture


class AutoEncoder(nn.Module):
    """64 dots to the mean and spread of 8 numbers, a draw from them, and back to 64 dots."""

    def __init__(self, hidden=128, latent=8):
        super().__init__()
        self.latent = latent
        self.read = nn.Sequential(nn.Flatten(), nn.Linear(64, hidden), nn.ReLU())
        self.mean, self.log_variance = nn.Linear(hidden, latent), nn.Linear(hidden, latent)
        self.draw = nn.Sequential(
            nn.Linear(latent, hidden), nn.ReLU(), nn.Linear(hidden, 64), nn.Unflatten(1, (1, 8, 8))
        )

    def forward(self, images):
        features = self.read(images)
        mean, log_variance = self.mean(features), self.log_variance(features)
        # The draw is a function of noise that knows no parameter, so the gradient passes through it.
        code = mean + torch.exp(log_variance / 2) * torch.randn_like(mean)
        return self.draw(code), mean, log_variance


def measure(drawn, images, mean, log_variance):
    """What is wrong with the picture, and how far the code is from a standard normal one (KL), a picture each."""
    wrong = F.binary_cross_entropy_with_logits(drawn, images, reduction="sum") / len(images)
    far = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum() / len(images)
    return wrong, far


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.manual_seed(options.seed)

    (images, _), (test_images, _) = digits()
    loader = DataLoader(images, batch_size=64, shuffle=True)
    model = AutoEncoder()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    history = []
    for epoch in range(1, options.epochs + 1):
        totals = torch.zeros(2)
        for batch in loader:
            drawn, mean, log_variance = model(batch)
            wrong, far = measure(drawn, batch, mean, log_variance)
            loss = wrong + far
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            totals += torch.stack([wrong, far]).detach()
            history.append(loss.item())
        wrong, far = (totals / len(loader)).tolist()
        if epoch == 1:
            print("first steps", " ".join(f"{loss:.6f}" for loss in history[:8]))
        if epoch in (1, options.epochs) or epoch % 5 == 0:
            print(f"epoch {epoch:2d}  loss {wrong + far:.6f} = picture {wrong:.6f} + code {far:.6f}")
    print(f"loss {curve(history)}")

    with torch.no_grad():
        again = model(test_images[:5])[0].sigmoid()
        dreamt = model.draw(torch.randn(5, model.latent)).sigmoid()
    for title, row in (
        ("given", test_images[:5]),
        ("drawn again from their codes", again),
        ("drawn from noise", dreamt),
    ):
        print(f"\n{title}")
        print(beside(*[picture(image[0]) for image in row], gap="    "))


if __name__ == "__main__":
    main()
