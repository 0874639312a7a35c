"""A character-level transformer language model: it reads sixteen sonnets and then writes lines of its own."""

import argparse
import math

import torch
from torch import nn
from torch.nn import functional as F

from common import curve, sonnets


class Block(nn.Module):
    """Attention to what came before, then two linear layers, each added to its input."""

    def __init__(self, width, heads, dropout):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query_key_value, self.joined = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.wide, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x):
        batch, time, width = x.shape
        parts = self.query_key_value(self.norm1(x)).view(batch, time, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)  # (B, heads, T, width / heads) each
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.dropout(self.joined(mixed.transpose(1, 2).reshape(batch, time, width)))
        return x + self.dropout(self.narrow(F.gelu(self.wide(self.norm2(x)))))


class Writer(nn.Module):
    """Characters and their places to vectors, blocks, a score for each character that may follow."""

    def __init__(self, characters, context, width=64, heads=4, depth=2, dropout=0.1):
        super().__init__()
        self.context = context
        self.vectors, self.places = nn.Embedding(characters, width), nn.Embedding(context, width)
        self.blocks = nn.Sequential(*[Block(width, heads, dropout) for _ in range(depth)])
        self.norm, self.scores = nn.LayerNorm(width), nn.Linear(width, characters)

    def forward(self, text):
        x = self.vectors(text) + self.places(torch.arange(text.shape[1]))
        return self.scores(self.norm(self.blocks(x)))


def batches(codes, context, size):
    """Windows over the whole text, in random order: inputs, and the same one character on."""
    begin = torch.randint(context, (1,)).item()
    starts = torch.arange(begin, len(codes) - context - 1, context // 3)
    for rows in starts[torch.randperm(len(starts))].split(size):
        windows = codes[rows.unsqueeze(1) + torch.arange(context + 1)]  # (B, context + 1)
        yield windows[:, :-1], windows[:, 1:]


@torch.no_grad()
def write(model, letters, start, count, temperature=0.7):
    """Go on from `start`, one character at a time."""
    model.eval()
    codes = torch.tensor([[letters.index(letter) for letter in start]])
    for _ in range(count):
        scores = model(codes[:, -model.context :])[0, -1]
        following = torch.multinomial(F.softmax(scores / temperature, dim=0), 1)
        codes = torch.cat([codes, following.unsqueeze(0)], dim=1)
    return "".join(letters[code] for code in codes[0].tolist())


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--context", type=int, default=48, help="characters that it sees (default: 48)")
    parser.add_argument(
        "--write", type=int, default=240, help="characters to write at the end (default: 240)"
    )
    options = parser.parse_args()
    torch.manual_seed(options.seed)

    text = sonnets()
    letters = sorted(set(text))
    codes = torch.tensor([letters.index(letter) for letter in text])
    model = Writer(len(letters), options.context)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    count = sum(weight.numel() for weight in model.parameters())
    print(f"{len(text)} characters, {len(letters)} different ones; {count} parameters")
    history = []
    for epoch in range(1, options.epochs + 1):
        losses = []
        for inputs, targets in batches(codes, options.context, 32):
            loss = F.cross_entropy(model(inputs).flatten(0, 1), targets.flatten())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        history += losses
        mean = sum(losses) / len(losses)
        if epoch == 1:
            print("first steps", " ".join(f"{loss:.6f}" for loss in losses[:12]))
        if epoch in (1, options.epochs) or epoch % 2 == 0:
            print(f"epoch {epoch:2d}  loss {mean:.6f}  as if choosing among {math.exp(mean):.1f} characters")
    print(f"loss {curve(history)}\n")
    print(write(model, letters, "Shall I ", options.write))


if __name__ == "__main__":
    main()
