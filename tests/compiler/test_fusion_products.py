"""Loops behind matrix products become their epilogues, and give what they give by themselves, to the last bit."""

from __future__ import annotations

import pytest

import flambeau as torch
from flambeau.backend.cpu.fusion import Loop
from flambeau.backend.cpu.fusion_products import LEAST, Products
from flambeau.nn import functional as F
from tests.compiler.fuzz_check import rand, seen


def f32(*shape, seed=1):
    return rand(shape, torch.float32, seed)


def f64(*shape, seed=1):
    return rand(shape, torch.float64, seed)


def kept_and_used(x, w, b):
    h = F.linear(x, w, b)
    return h, F.silu(h)


def written_in_place(x, w, r):
    h = x @ w
    h.relu_()
    h += r
    return h


def accumulated(x, w, total):
    total += x @ w
    return total.sum()


def two_consumers(x, w):
    h = x @ w
    return h.tanh(), h.t().exp()


def masked(x, w, mask):
    return torch.where(mask, x @ w, 0.0) * 1.25


def gated(x, u, v):
    return F.silu(x @ u) * (x @ v)


def dropped(x, w, b):
    torch.manual_seed(3)
    return F.dropout(F.linear(x, w, b).relu(), 0.3)


def layers(x, w, v, target):
    """Gradients of two layers: the derivative of the activation follows the product that gives its gradient."""
    w, v = w.detach().requires_grad_(), v.detach().requires_grad_()
    ((F.gelu(x @ w) @ v - target) ** 2).mean().backward()
    return w.grad, v.grad


def summed_twice(x, w):
    w = w.detach().requires_grad_()
    (x @ w).sum().backward()
    (x * 2 @ w).sum().backward()
    return w.grad


def descent(x, w):
    w = w.detach().clone().requires_grad_()
    for _ in range(2):
        w.grad = None
        (x @ w).tanh().sum().backward()
        with torch.no_grad():
            w -= 0.1 * w.grad
    return w


def residual(x, w, v):
    for _ in range(2):
        x = x + F.gelu(x @ w) @ v
    return x


X, W, B, R = f32(67, 90), f32(130, 90, seed=2), f32(130, seed=3), f32(67, 130, seed=4)
M = rand((67, 130), torch.bool, 5)

#: name: (function, arguments, loops that are epilogues, loops by themselves)
PRODUCTS = {
    "bias and relu": (lambda x, w, b: F.linear(x, w, b).relu(), (X, W, B), 1, 0),
    "no bias": (lambda x, w: F.gelu(F.linear(x, w)), (X, W), 1, 0),
    "a residual": (lambda x, w, r: F.linear(x, w) * 0.5 + r, (X, W, R), 1, 0),
    "a row and a column": (lambda x, w, b, r: (x @ w.t() + b) * r[:, :1], (X, W, B, R), 1, 0),
    "a number in memory": (lambda x, w, s: (x @ w.t()) * s, (X, W, f32()), 1, 0),
    "a transposed residual": (lambda x, w, r: x @ w.t() - r.t(), (X, W, f32(130, 67)), 1, 0),
    "addmm": (lambda x, w, r: torch.addmm(r, x, w.t(), beta=0.5, alpha=2).sigmoid(), (X, W, R), 1, 0),
    "transposed operands": (lambda x, w: (x.t() @ w.t()).tanh(), (f32(90, 67), W), 1, 0),
    "a long sum": (lambda x, w, r: F.silu(x @ w) + r, (f32(67, 900), f32(900, 130), R), 1, 0),
    "a sum in pieces": (lambda x, w: (x @ w).relu() + 1, (f32(80, 9000), f32(9000, 110)), 1, 0),
    "packed": (lambda x, w, r: (x @ w.t()).relu() * r, (f32(130, 300), f32(700, 300), f32(130, 700)), 1, 0),
    "few rows": (lambda x, w: (x @ w.t()).tanh(), (f32(30, 900), f32(300, 900)), 1, 0),
    "one row": (lambda x, w, r: (x @ w).tanh() + r, (f32(1, 90), f32(90, 9000), f32(1, 9000)), 1, 0),
    "a vector": (lambda w, x: (w @ x).relu(), (f32(9000, 90), f32(90)), 1, 0),
    "batches": (lambda x, w: torch.bmm(x, w).exp() * 2, (f32(6, 33, 20), f32(6, 20, 47)), 1, 0),
    "shared weights": (lambda x, w, b: F.gelu(F.linear(x, w, b)), (f32(3, 29, 90), W, B), 1, 0),
    "a residual of batches": (lambda x, w, r: F.linear(x, w) + r, (f32(3, 29, 90), W, f32(3, 29, 130)), 1, 0),
    "float64": (lambda x, w, b: F.silu(F.linear(x, w, b)), (f64(67, 90), f64(130, 90), f64(130)), 1, 0),
    "float64, a long sum": (lambda x, w: (x @ w).tanh() * 2, (f64(67, 900), f64(900, 130)), 1, 0),
    "bfloat16": (lambda x, w: (x @ w.t()).relu() * 1.1, (X.bfloat16(), W.bfloat16()), 1, 0),
    "float16 to float32": (lambda x, w: (x @ w.t()).float() * 1.1, (X.half(), W.half()), 1, 0),
    "to float64": (lambda x, w: (x @ w.t()).double() / 3, (X, W), 1, 0),
    "a mask": (masked, (X, W.t(), M), 1, 0),
    "to a mask": (lambda x, w: (x @ w.t()) > 0, (X, W), 1, 0),
    "the product is kept": (kept_and_used, (X, W, B), 1, 0),
    "in place": (written_in_place, (X, W.t(), R), 1, 0),
    "added to a tensor": (accumulated, (X, W.t(), R), 1, 0),
    "another consumer turned": (two_consumers, (X, W.t()), 1, 0),
    "two products": (gated, (X, W.t(), f32(90, 130, seed=9)), 1, 0),
    "dropout": (dropped, (X, W, B), 1, None),
    "gradients": (layers, (X, W.t(), f32(130, 80), f32(67, 80)), None, None),
    "an accumulated gradient": (summed_twice, (X, W.t()), 1, None),
    "gradient descent": (descent, (X, W.t()), None, None),
    "blocks with residuals": (residual, (f32(100, 90), f32(90, 130), f32(130, 90)), 4, 0),
    "a new shape": (lambda x, w: (x @ w.t()).view(-1).relu().view(67, 13, 10) * 2, (X, W), 1, 0),
    # not epilogues
    "too small": (lambda x, w: (x @ w).relu(), (f32(3, 4), f32(4, 5)), 0, 1),
    "integers": (lambda x, w: (x @ w.t()) * 2, (X.long(), W.long()), 0, 1),
    "elements of other places": (lambda x, w: (lambda h: h[1:] + h[:-1])(x @ w.t()), (X, W), 0, 1),
    "rows repeated over a batch": (lambda x, w, r: F.linear(x, w) + r, (f32(3, 29, 90), W, f32(29, 130)), 0, 1),
}  # fmt: skip


def nodes(compiled):
    """The nodes of the plan that was made last: a first call may make constants besides."""
    return compiled._root.plans[-1].plan.nodes


def copies(arguments):
    """New tensors, so that nothing else can reach their memory, with the same strides."""
    return [a.clone() if a.is_contiguous() else a.t().clone().t() for a in arguments]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", PRODUCTS)
def test_epilogues(name, threads):
    function, arguments, fused, alone = PRODUCTS[name]
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        compiled = torch.compile(function)
        for _ in range(2):
            one, other = copies(arguments), copies(arguments)
            assert seen([function(*one), one]) == seen([compiled(*other), other])
    finally:
        torch.set_num_threads(before)
    found = [len(node.loops) for node in nodes(compiled) if isinstance(node, Products)]
    assert sum(found) == fused if fused is not None else sum(found) > 0
    if alone is not None:
        assert sum(isinstance(node, Loop) for node in nodes(compiled)) == alone


def test_a_product_that_nobody_sees_takes_no_memory():
    compiled = torch.compile(lambda x, w: (x @ w).relu() * 2)
    compiled(f32(128, 64), f32(64, 128))
    (made,) = compiled._root.plans
    assert made.plan.arena_bytes == 0
    assert len(made.plan.steps) == 1


def test_small_products_stay_as_they_are():
    for n, kinds in ((LEAST // 64 - 1, 2), (LEAST // 64, 1)):
        compiled = torch.compile(lambda x, w: (x @ w).relu())
        compiled(f32(n, 8), f32(8, 64))
        assert len(nodes(compiled)) == kinds


def test_an_epilogue_keeps_the_order_of_memory():
    """What a loop between product and consumer writes is there when the consumer needs it, and not before."""

    def f(x, w, r):
        h = x @ w
        r.mul_(2)
        s = r.cumsum(0)
        out = h + s
        r.zero_()
        return out, r

    compiled = torch.compile(f)
    one, other = f32(67, 130), f32(67, 130)
    x, w = f32(67, 90), f32(90, 130)
    assert seen(compiled(x, w, one)) == seen(f(x, w, other))
    assert any(isinstance(node, Products) for node in nodes(compiled))


def test_explanation_of_epilogues():
    compiled = torch.compile(lambda x, w, b: F.gelu(F.linear(x, w, b)))
    compiled(*copies([X, W, B]))
    (plan,) = compiled.explain().plans
    assert plan.kernels[0].title == "linear · gelu"
    assert "epilogue [67, 130]" in str(compiled.explain())
    small = torch.compile(lambda x, w: (x @ w).relu())
    small(f32(3, 4), f32(4, 5))
    text = str(small.explain())
    assert "matmul: a loop over 15 elements costs less than a product with an epilogue" in text
