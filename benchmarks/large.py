"""Millions of elements: the speed of generated kernels, of products and of convolutions."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.measure import Row

GROUP = "large tensors"
LIMIT, SOME_UP_TO, SOME = 1.0, 1.2, 3


def matrix(torch, rows: int = 2048, columns: int = 2048):
    torch.manual_seed(0)
    return torch.randn(rows, columns)


def layer_norm(torch):
    x, weight, bias = matrix(torch, 4096, 1024), torch.ones(1024), torch.zeros(1024)
    return lambda: torch.nn.functional.layer_norm(x, (1024,), weight, bias)


def layer_norm_gradient(torch):
    x = matrix(torch, 4096, 1024).requires_grad_()
    weight, bias = torch.ones(1024, requires_grad=True), torch.zeros(1024, requires_grad=True)
    g = matrix(torch, 4096, 1024)

    def call():
        y = torch.nn.functional.layer_norm(x, (1024,), weight, bias)
        return torch.autograd.grad(y, (x, weight, bias), g)

    return call


def where(torch):
    a, b = matrix(torch), matrix(torch) + 1
    mask = a > 0
    return lambda: torch.where(mask, a, b)


def add(torch):
    a, b = matrix(torch), matrix(torch)
    return lambda: a + b


def cat(torch):
    a, b = matrix(torch, 1024), matrix(torch, 1024)
    return lambda: torch.cat((a, b), dim=1)


def softmax(torch):
    x = matrix(torch, 4096, 1024)
    return lambda: x.softmax(-1)


def dropout(torch):
    x = matrix(torch)
    return lambda: torch.nn.functional.dropout(x, 0.5, True)


def gelu(torch):
    x = matrix(torch)
    return lambda: torch.nn.functional.gelu(x)


def method(source: Callable) -> Callable:
    """A build function for a call on one 2048x2048 matrix."""

    def build(torch):
        x = matrix(torch)
        return lambda: source(x)

    return build


def million(source: Callable) -> Callable:
    """A build function for a call on a million shuffled numbers."""

    def build(torch):
        torch.manual_seed(0)
        x = torch.randn(1_000_000)
        return lambda: source(x)

    return build


def index_rows(torch):
    table = matrix(torch, 50_000, 128)
    rows = torch.randint(0, 50_000, (20_000,))
    return lambda: table[rows]


def embedding_gradient(torch):
    table = matrix(torch, 50_000, 128).requires_grad_()
    rows, g = torch.randint(0, 50_000, (20_000,)), torch.randn(20_000, 128)
    return lambda: torch.autograd.grad(torch.nn.functional.embedding(rows, table), table, g)


def cross_entropy(torch):
    scores = matrix(torch, 2048, 8192).requires_grad_()
    labels = torch.randint(0, 8192, (2048,))
    return lambda: torch.autograd.grad(torch.nn.functional.cross_entropy(scores, labels), scores)


def product(*shapes: tuple[int, ...]) -> Callable:
    """A build function for the matrix product of random tensors of two shapes."""

    def build(torch):
        torch.manual_seed(0)
        a, b = (torch.randn(*shape) for shape in shapes)
        return lambda: a @ b

    return build


def linear_relu(torch):
    torch.manual_seed(0)
    x, weight, bias = torch.randn(32, 784), torch.randn(128, 784), torch.randn(128)
    functional = torch.nn.functional
    return lambda: functional.relu(functional.linear(x, weight, bias))


def attention(
    batch: int, heads: int, length: int, size: int, causal: bool, gradients: bool = False
) -> Callable:
    """A build function for attention whose heads are parts of one projection, as in a transformer."""

    def build(torch):
        torch.manual_seed(0)
        width = heads * size
        x, g = torch.randn(batch, length, 3 * width), torch.randn(batch, length, width)

        def call():
            q, k, v = (part.view(batch, length, heads, size).transpose(1, 2) for part in x.split(width, 2))
            y = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=causal)
            return y.transpose(1, 2).contiguous().view(batch, length, width)

        if not gradients:
            return call
        x.requires_grad_()
        return lambda: torch.autograd.grad(call(), x, g)

    return build


def convolution(image: tuple, weight: tuple, gradients: bool = False, **options) -> Callable:
    """A build function for a convolution (and its gradients by image, weight and bias)."""

    def build(torch):
        torch.manual_seed(0)
        x, w, bias = torch.randn(*image), torch.randn(*weight), torch.randn(weight[0])
        conv2d = torch.nn.functional.conv2d
        if not gradients:
            return lambda: conv2d(x, w, bias, **options)
        inputs = [t.requires_grad_() for t in (x, w, bias)]
        g = torch.ones_like(conv2d(x, w, bias, **options)).detach()
        return lambda: torch.autograd.grad(conv2d(x, w, bias, **options), inputs, g)

    return build


def row(name: str, build: Callable) -> Row:
    return Row(name, GROUP, build, LIMIT)


ROWS = [
    row("4M add", add),
    row("4M exp", method(lambda x: x.exp())),
    row("4M gelu", gelu),
    row("4M where", where),
    row("4M cat", cat),
    row("4M sum", method(lambda x: x.sum())),
    row("4M sum over dim 0", method(lambda x: x.sum(0))),
    row("4M softmax", softmax),
    row("4M layer norm", layer_norm),
    row("4M layer norm with gradient", layer_norm_gradient),
    row("4M argmax", method(lambda x: x.argmax())),
    row("4M cumsum", method(lambda x: x.cumsum(-1))),
    row("4M transposed copy", method(lambda x: x.t().contiguous())),
    row("4M dropout", dropout),
    row("1M randn", lambda torch: lambda: torch.randn(1_000_000)),
    row("1M sort", million(lambda x: x.sort())),
    row("1M topk 100", million(lambda x: x.topk(100))),
    row("20,000 of 50,000 rows: index", index_rows),
    row("20,000 of 50,000 rows: embedding gradient", embedding_gradient),
    row("cross entropy 2048x8192 with gradient", cross_entropy),
    *(Row(f"matmul {n}", "products", product((n, n), (n, n)), 1.05) for n in (64, 256, 1024, 2048)),
    Row("batch of 96 64x64", "products", product((96, 64, 64), (96, 64, 64)), 1.05),
    Row("linear 32x784x128 with bias and relu", "products", linear_relu, 1.05),
    Row("attention 2x2x4x8", "products", attention(2, 2, 4, 8, causal=False), 0.6),
    *(
        Row(
            f"attention {'x'.join(map(str, sizes))}{', causal' * causal}{' with gradients' * gradients}",
            "products",
            attention(*sizes, causal, gradients),
            0.9,
        )
        for sizes, causal in (((12, 4, 64, 32), True), ((4, 6, 256, 64), True), ((8, 8, 512, 64), False))
        for gradients in (False, True)
    ),
    Row(
        "conv 3x3 64->64 on 16x64x56x56",
        "convolutions",
        convolution((16, 64, 56, 56), (64, 64, 3, 3), padding=1),
        1.05,
    ),
    Row(
        "conv 3x3 64->64 with gradients, batch 8",
        "convolutions",
        convolution((8, 64, 56, 56), (64, 64, 3, 3), gradients=True, padding=1),
        1.2,
    ),
    Row("conv 1x1 256->256 on 14x14", "convolutions", convolution((16, 256, 14, 14), (256, 256, 1, 1)), 1.1),
    Row(
        "conv depthwise 3x3 128 on 28x28",
        "convolutions",
        convolution((16, 128, 28, 28), (128, 1, 3, 3), padding=1, groups=128),
        1.2,
    ),
    Row(
        "conv 7x7 stride 2 on 224x224",
        "convolutions",
        convolution((8, 3, 224, 224), (64, 3, 7, 7), padding=3, stride=2),
        1.2,
    ),
]
