"""Whole training steps, written as a PyTorch user writes them."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.measure import Row


def step(torch, model, optimizer, inputs, labels) -> Callable[[], None]:
    """One training step as a function without arguments."""
    cross_entropy = torch.nn.functional.cross_entropy

    def call() -> None:
        optimizer.zero_grad()
        scores = model(inputs)
        loss = cross_entropy(scores.view(-1, scores.shape[-1]), labels.view(-1))
        loss.backward()
        optimizer.step()

    return call


def perceptron(batch: int, optimizer: str, **options) -> Callable:
    """784-128-10 on random images."""

    def build(torch):
        torch.manual_seed(0)
        nn = torch.nn
        model = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
        images, labels = torch.randn(batch, 784), torch.randint(0, 10, (batch,))
        return step(
            torch, model, getattr(torch.optim, optimizer)(model.parameters(), **options), images, labels
        )

    return build


def transformer(torch, layers: int = 4, width: int = 128, heads: int = 4, batch: int = 12, context: int = 64):
    """A character model: learnt positions, causal attention, GELU, layer norm first."""
    nn, functional = torch.nn, torch.nn.functional
    vocabulary = 65

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
            self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

        def forward(self, x):
            n, t, _ = x.shape
            parts = self.qkv(self.norm1(x)).split(width, dim=2)
            q, k, v = (part.view(n, t, heads, width // heads).transpose(1, 2) for part in parts)
            mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.out(mixed.transpose(1, 2).contiguous().view(n, t, width))
            return x + self.down(functional.gelu(self.up(self.norm2(x))))

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.tokens, self.positions = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
            self.blocks = nn.Sequential(*(Block() for _ in range(layers)))
            self.norm, self.scores = nn.LayerNorm(width), nn.Linear(width, vocabulary)

        def forward(self, tokens):
            x = self.tokens(tokens) + self.positions(torch.arange(tokens.shape[1]))
            return self.scores(self.norm(self.blocks(x)))

    torch.manual_seed(0)
    model = Model()
    tokens, labels = (torch.randint(0, vocabulary, (batch, context)) for _ in range(2))
    return step(torch, model, torch.optim.AdamW(model.parameters(), lr=1e-3), tokens, labels)


def small_cnn(torch, batch: int = 64):
    """conv 1-32-64, pool, 9216-128-10 on 28x28 images."""
    torch.manual_seed(0)
    nn = torch.nn
    model = nn.Sequential(
        nn.Conv2d(1, 32, 3),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(9216, 128),
        nn.ReLU(),
        nn.Linear(128, 10),
    )
    images, labels = torch.randn(batch, 1, 28, 28), torch.randint(0, 10, (batch,))
    return step(torch, model, torch.optim.SGD(model.parameters(), lr=0.01), images, labels)


ROWS = [
    Row("step 784-128-10, batch 32, SGD", "training steps", perceptron(32, "SGD", lr=0.01), 0.6),
    Row("step 784-128-10, batch 32, Adam", "training steps", perceptron(32, "Adam", lr=1e-3), 0.5),
    Row("step 784-128-10, batch 256, SGD", "training steps", perceptron(256, "SGD", lr=0.01), 0.8),
    Row("step transformer 4x128, batch 12, context 64, AdamW", "training steps", transformer, 0.9),
    Row("step CNN 28x28, batch 64", "training steps", small_cnn, 0.8),
]
