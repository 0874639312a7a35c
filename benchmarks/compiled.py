"""Whole training steps through `flambeau.compile`, against PyTorch operator by operator."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks import networks, training
from benchmarks.measure import Row


def compiled(torch, call: Callable, **options) -> Callable:
    """The function through Flambeau's compiler; PyTorch's is left as it is, see the README."""
    return torch.compile(call, **options) if torch.__name__ == "flambeau" else call


def whole(build: Callable, **options) -> Callable:
    """A row's function as a compiled one."""
    return lambda torch: compiled(torch, build(torch), **options)


def classifier(
    make: Callable, shape: tuple[int, ...], batch: int, optimizer: str, classes: int = 10, **options
) -> Callable:
    """A training step of a model on random inputs of a shape."""

    def build(torch):
        torch.manual_seed(0)
        model = make(torch)
        inputs, labels = torch.randn(*shape), torch.randint(0, classes, (batch,))
        chosen = getattr(torch.optim, optimizer)(model.parameters(), **options)
        return training.step(torch, model, chosen, inputs, labels)

    return build


def inference(make: Callable, shape: tuple[int, ...]) -> Callable:
    """A forward pass without gradients."""

    def build(torch):
        torch.manual_seed(0)
        model, inputs = make(torch).eval(), torch.randn(*shape)
        forward = compiled(torch, model.forward)

        def call():
            with torch.no_grad():
                return forward(inputs)

        return call

    return build


def chain(torch):
    a, b = torch.rand(1 << 22), torch.rand(1 << 22)
    return compiled(torch, lambda: torch.tanh(a * b + 1) * b - a)


def gelu_with_gradient(torch):
    x = torch.randn(1 << 22).requires_grad_()

    def call():
        x.grad = None
        torch.nn.functional.gelu(x).sum().backward()

    return compiled(torch, call)


ROWS = [
    Row("compiled: step 784-128-10, batch 32, SGD", "compiled", whole(training.perceptron(32, "SGD", lr=0.01)), 0.35),
    Row("compiled: step 784-128-10, batch 32, Adam", "compiled", whole(training.perceptron(32, "Adam", lr=1e-3)), 0.30),
    Row("frozen: step 784-128-10, batch 32, SGD", "compiled",
        whole(training.perceptron(32, "SGD", lr=0.01), freeze=True), 0.30),
    Row("frozen: step 784-128-10, batch 32, Adam", "compiled",
        whole(training.perceptron(32, "Adam", lr=1e-3), freeze=True), 0.25),
    Row("compiled: step 784-128-10, batch 256, SGD", "compiled", whole(training.perceptron(256, "SGD", lr=0.01)), 0.7),
    Row("compiled: step 784-256-BN-10, batch 64, Adam", "compiled", whole(classifier(
        lambda torch: networks.perceptron(torch, True, 256), (64, 784), 64, "Adam")), 0.45),
    Row("compiled: step CNN 28x28, batch 64", "compiled", whole(training.small_cnn), 0.6),
    Row("compiled: step ResNet-18 32x32, batch 16, SGD", "compiled", whole(classifier(
        networks.resnet18, (16, 3, 32, 32), 16, "SGD", lr=0.01, momentum=0.9)), 0.95),
    Row("compiled: step transformer 4x128, batch 12, context 64, AdamW", "compiled", whole(training.transformer), 0.7),
    Row("compiled: step transformer 6x384, batch 4, context 256, AdamW", "compiled", whole(
        lambda torch: training.transformer(torch, 6, 384, 6, 4, 256)), 0.9),
    Row("compiled: step LSTM 2x256, batch 32, 64 steps, Adam", "compiled", whole(classifier(
        networks.lstm, (64, 32, 256), 32, "Adam")), 0.95),
    Row("compiled: inference 784-128-10, batch 1", "compiled", inference(networks.perceptron, (1, 784)), 0.4),
    Row("compiled: inference ResNet-18 32x32, batch 1", "compiled", inference(networks.resnet18, (1, 3, 32, 32)), 0.75),
    Row("compiled: 4M tanh(a*b+1)*b-a", "compiled", chain, 0.5),
    Row("compiled: 4M gelu with gradient", "compiled", gelu_with_gradient, 0.5),
]  # fmt: skip
