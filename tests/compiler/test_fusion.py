"""How many kernels a chain becomes, and that it gives what it gives operator by operator, to the last bit."""

from __future__ import annotations

import pytest

import flambeau as torch
from flambeau.nn import functional as F
from tests.compiler.fuzz_check import rand, seen


def f32(*shape, seed=1):
    return rand(shape, torch.float32, seed)


def written(a, b):
    a.mul_(2)
    a.add_(b)
    return a.tanh()


def through_a_view(a, b):
    c = a * 2
    c.t().add_(1)
    return c + b


def overlapping(a):
    v = a.as_strided((2, 2), (1, 1))
    v.mul_(2)
    v.add_(1)
    return a + 0


def read_then_written(a, b):
    c = a + b
    a.zero_()
    return c * 2


def kept_parts(a, b):
    c = a * b
    d = c + 1
    return c, d, d.exp()


def diamond(a, b):
    c = a + b
    return c.sin() * c.cos() - c


def shifted(a):
    b = a * 2
    return b[1:] + b[:-1]


def long_chain(a):
    for k in range(12):
        a = a * 0.5 + k
    return a


def many_arrays(*given):
    total = given[0]
    for one in given[1:]:
        total = total + one
    return total


def leaky(a, b):
    return torch.where(a > 0, a, b * 0.1).clamp(-1, 1)


def backward(a, b):
    a = a.detach().requires_grad_()
    (a * b).tanh().mul(3).sum().backward()
    return a.grad


A, B, ROW, COLUMN = f32(6, 5), f32(6, 5, seed=2), f32(5, seed=3), f32(6, 1, seed=4)

#: name: (function, arguments, kernels)
CHAINS = {
    "chain": (lambda a, b: torch.tanh(a * b + 1) * b - a, (A, B), 1),
    "long chain": (long_chain, (A,), 1),
    "scalars": (lambda a: (2 - a) / 3 + 1.5, (A,), 1),
    "zero dimensions": (lambda a, b: (a + b) * a, (f32(), f32(seed=2)), 1),
    "a zero-dimensional operand": (lambda a, b: (a * b + 1) * a, (A, f32(seed=2)), 1),
    "a row broadcast": (lambda a, r: (a + r).relu() * 2, (A, ROW), 1),
    "a row and a column": (lambda r, c: (r + c).exp() - c, (ROW, COLUMN), 1),
    "transposed": (lambda a, b: (a.t() * 2 + b.t()).sin(), (A, B), 1),
    "one transposed": (lambda a, b: (a.t() * 2 + b).sin(), (A, f32(5, 6)), 1),
    "every other column": (lambda a: (a[:, ::2] * 2 + 1).exp(), (A,), 1),
    "another shape between": (lambda a: (a * 2).reshape(-1).add(1).view(5, 6).exp(), (A,), 1),
    "a new dimension": (lambda a: (a * 2).unsqueeze(0) + 1, (A,), 1),
    "a diamond": (diamond, (A, B), 1),
    "several results": (kept_parts, (A, B), 1),
    "where and clamp": (leaky, (A, B), 1),
    "comparison and logic": (lambda a, b: ((a > 0) & (b < 1)) | (a == b), (A, B), 1),
    "integers": (lambda a: (a * 3 - 1) & 7 | 8, (rand((7,), torch.int64, 1),), 1),
    "bytes wrap around": (lambda a: (a.to(torch.uint8) * 100 + 99).float() / 3, (rand((9,), torch.int64, 2).abs(),), 1),
    "bool to float": (lambda a: (a > 0).float() * 2 + 1, (A,), 1),
    "double and back": (lambda a: (a.double() / 3).float() * 3, (A,), 1),
    "bfloat16": (lambda a: (a * 0.3 + 1).tanh() * 7, (A.bfloat16(),), 1),
    "float16": (lambda a: (a * 0.3 + 1).exp() / 7, (A.half(),), 1),
    "bfloat16 among float32": (lambda a, b: (a * b).bfloat16() * 1.1 + a, (A, B), 1),
    "in place": (written, (A, B), 1),
    "in place through a view": (through_a_view, (f32(4, 4), f32(4, 4, seed=2)), 1),
    "an input written after it was read": (read_then_written, (A, B), 1),
    "gelu, silu, mish": (lambda a: F.mish(F.silu(F.gelu(a))), (A,), 1),
    "dead": (lambda a: (a.exp(), a + 1)[1], (A,), 1),
    "nothing": (lambda a: a.exp() and None, (f32(1),), 1),
    "two chains of one input": (lambda a: (a.sin() * 2, a.cos() + 1), (A,), 1),
    "two chains of nothing in common": (lambda a, b: (a.sin() * 2, b.cos() + 1), (A, B), 2),
    "two sizes": (lambda a, b: (a.sin() * 2, b.cos() + 1), (A, ROW), 2),
    "a row computed for a broadcast": (lambda a, r: a + r.exp(), (A, ROW), 2),
    "elements from two places": (shifted, (ROW,), 2),
    "overlapping views": (overlapping, (f32(8),), 3),
    "more arrays than registers": (many_arrays, [f32(6, 5, seed=k) for k in range(20)], 2),
    "a reduction between": (lambda a: (a * 2).sum(-1, keepdim=True) + a, (A,), 3),
    "a product between": (lambda a, b: torch.relu((a + 1) @ b.t()) * 2, (A, B), 3),
    "gradient of a chain": (backward, (A, B), 2),
    "an empty tensor": (lambda a: (a * 2 + 1).exp(), (f32(0, 3),), 0),
}  # fmt: skip
#: results of few elements are compared by the last bit; these are large enough for vectors, tiles and several chunks
LARGE = {
    "flat": (lambda a, b: torch.tanh(a * b + 1) * b - a, (f32(300, 401), f32(300, 401, seed=2)), 1),
    "turned": (lambda a, b: (a.t() + b) * 2 - a.t(), (f32(401, 300), f32(300, 401, seed=2)), 1),
    "broadcast": (lambda a, r: ((a - r) * 2).sigmoid() * r, (f32(300, 401), f32(401)), 1),
    "half": (lambda a: (a * 0.3 + 1).tanh() * 7, (f32(300, 401).half(),), 1),
}


def copies(arguments):
    return [a.clone() if a.dim() < 2 or a.is_contiguous() else a for a in arguments]


@pytest.mark.parametrize("name", [*CHAINS, *(f"large {name}" for name in LARGE)])
def test_kernels_of_a_chain(name):
    function, arguments, kernels = CHAINS[name] if name in CHAINS else LARGE[name.removeprefix("large ")]
    compiled = torch.compile(function)
    for _ in range(2):
        one, other = copies(arguments), copies(arguments)
        assert seen([function(*one), one]) == seen([compiled(*other), other])
    assert sum(len(set(made.plan.node_of_step)) for made in compiled._root.plans) == kernels


def test_what_only_kernels_exchange_is_never_stored():
    compiled = torch.compile(lambda a: ((a * 2).sum(0) + 1).exp())
    compiled(f32(50, 60))
    (made,) = compiled._root.plans
    assert 50 * 60 * 4 <= made.plan.arena_bytes < 50 * 60 * 4 + 1024  # a * 2, and the sum
    chain = torch.compile(lambda a: (a * 2 + 1).exp())
    chain(f32(50, 60))
    (made,) = chain._root.plans
    assert made.plan.arena_bytes == 0


def test_results_that_do_not_live_together_share_a_place():
    def f(a):
        for _ in range(8):
            a = (a @ a).tanh()
        return a

    compiled = torch.compile(f)
    x = f32(64, 64) * 0.1
    assert seen(compiled(x)) == seen(f(x))
    (made,) = compiled._root.plans
    assert made.plan.arena_bytes <= 4 * 64 * 64 * 4 + sum(
        n for node in made.plan.nodes for n in scratch(node)
    )


def scratch(node):
    return node.entry.scratch if hasattr(node, "entry") else ()
