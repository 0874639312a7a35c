"""Functions with derivatives of their own: each program must end as with PyTorch, values and errors."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")
pytestmark = pytest.mark.parity


def title(program: str) -> str:
    """The last line of a program, as the name of its test."""
    return program.strip().splitlines()[-1][:60]


#: classes of functions, and a call of each
FUNCTIONS = [
    """
class S(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, y, k):
        ctx.save_for_backward(x, y)
        ctx.k = k
        return (x * y * k, x + y)
    @staticmethod
    def backward(ctx, g, h):
        x, y = ctx.saved_tensors
        r = ctx.needs_input_grad
        return (g * y * ctx.k + h, g * x * ctx.k + h, None)
a = torch.tensor([1.0, 2.0], requires_grad=True)
b = torch.tensor([3.0, 4.0], requires_grad=True)
p, q = S.apply(a, b, 3)
p.sum().backward(retain_graph=True)
r = [a.grad.clone(), b.grad.clone(), p.grad_fn.name(), q.grad_fn.name(), p.grad_fn is q.grad_fn]
q.sum().backward()
r += [a.grad, b.grad]
""",
    """
class S(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x
    @staticmethod
    def backward(ctx, g):
        x, = ctx.saved_tensors
        return g * x * 2
a = torch.tensor([1.0, 2.0], requires_grad=True)
y = S.apply(a).sum()
g, = torch.autograd.grad(y, a, create_graph=True)
h, = torch.autograd.grad(g.sum(), a)
r = [g.requires_grad, g.detach(), h]
""",
    """
class S(torch.autograd.Function):
    @staticmethod
    def forward(x, n):
        return x ** n
    @staticmethod
    def setup_context(ctx, inputs, output):
        x, n = inputs
        ctx.save_for_backward(x)
        ctx.n = n
    @staticmethod
    def backward(ctx, g):
        x, = ctx.saved_tensors
        return (g * ctx.n * x ** (ctx.n - 1), None)
a = torch.tensor([1.0, 2.0], requires_grad=True)
y = S.apply(a, 3).sum()
y.backward()
r = a.grad
""",
    """
class D(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        x.mul_(2)
        ctx.mark_dirty(x)
        return x
    @staticmethod
    def backward(ctx, g):
        return g * 2
a = torch.tensor([1.0, 2.0], requires_grad=True)
b = a * 1
c = D.apply(b)
r = [c is b, b.grad_fn.name(), c._version]
c.sum().backward()
r.append(a.grad)
""",
    """
class D(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        x.mul_(2)
        ctx.mark_dirty(x)
        return x
    @staticmethod
    def backward(ctx, g):
        return g * 2
a = torch.tensor([1.0, 2.0], requires_grad=True)
D.apply(a)
""",
    """
class D(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        x.mul_(2)
        ctx.mark_dirty(x)
        return x
    @staticmethod
    def backward(ctx, g):
        return g * 2
a = torch.ones(4, requires_grad=True)
b = a * 1
v = b[1:3]
c = D.apply(v)
b.sum().backward()
r = [a.grad, c is v]
""",
    """
class D(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        i = x > 1
        ctx.mark_non_differentiable(i)
        z = x * 2
        w = z.clone()
        ctx.mark_non_differentiable(i, w)
        return (z, i, w)
    @staticmethod
    def backward(ctx, g, gi, gw):
        D.seen = (g, gi, gw)
        return g * 2
a = torch.tensor([1.0, 2.0], requires_grad=True)
z, i, w = D.apply(a)
z.sum().backward()
r = [z.requires_grad, i.requires_grad, w.requires_grad, a.grad, D.seen]
""",
    """
class D(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.set_materialize_grads(False)
        return (x * 2, x * 3)
    @staticmethod
    def backward(ctx, g, h):
        D.seen = (g, h)
        return g * 2 if g is not None else None
a = torch.tensor([1.0, 2.0], requires_grad=True)
z, i = D.apply(a)
z.sum().backward()
r = D.seen
""",
    """
class D(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return (x * 2, x * 3)
    @staticmethod
    def backward(ctx, g, h):
        D.seen = (g, h)
        return g * 2
a = torch.tensor([1.0, 2.0], requires_grad=True)
z, i = D.apply(a)
z.sum().backward()
r = D.seen
""",
    """
class D(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, y):
        return x * 2
    @staticmethod
    def backward(ctx, g):
        return g * 2
a = torch.tensor([1.0, 2.0], requires_grad=True)
D.apply(a, a).sum().backward()
""",
    """
class D(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2
    @staticmethod
    def backward(ctx, g):
        return (g * 2, g, None)
a = torch.tensor([1.0, 2.0], requires_grad=True)
D.apply(a).sum().backward()
""",
    """
class D(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2
    @staticmethod
    def backward(ctx, g):
        return 3
a = torch.tensor([1.0, 2.0], requires_grad=True)
D.apply(a).sum().backward()
""",
    """
class D(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2
    @staticmethod
    def backward(ctx, g):
        return torch.ones(3)
a = torch.tensor([1.0, 2.0], requires_grad=True)
D.apply(a).sum().backward()
""",
    """
class D(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2
a = torch.tensor([1.0, 2.0], requires_grad=True)
D.apply(a).sum().backward()
""",
    """
class D(torch.autograd.Function):
    @staticmethod
    def backward(ctx, g):
        return g
a = torch.tensor([1.0, 2.0], requires_grad=True)
D.apply(a)
""",
    """
class D(torch.autograd.Function):
    pass
D()
""",
    """
class D(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * 2
    @staticmethod
    def backward(ctx, g):
        x, = ctx.saved_tensors
        return g * x
a = torch.tensor([1.0, 2.0], requires_grad=True)
y = D.apply(a).sum()
y.backward()
y.backward()
""",
    """
class D(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * 2
    @staticmethod
    def backward(ctx, g):
        x, = ctx.saved_tensors
        return g * x
a = torch.tensor([1.0, 2.0], requires_grad=True)
b = a * 1
y = D.apply(b).sum()
b.add_(1)
y.backward()
""",
    """
class D(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(3)
        return x * 2
    @staticmethod
    def backward(ctx, g):
        x, = ctx.saved_tensors
        return g * x
a = torch.tensor([1.0, 2.0], requires_grad=True)
D.apply(a)
""",
    """
class D(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        y = x.exp()
        ctx.save_for_backward(y, None)
        return y
    @staticmethod
    def backward(ctx, g):
        y, n = ctx.saved_tensors
        return g * y
a = torch.tensor([1.0, 2.0], requires_grad=True)
y = D.apply(a)
g, = torch.autograd.grad(y.sum(), a, create_graph=True)
h, = torch.autograd.grad(g.sum(), a, create_graph=True)
k, = torch.autograd.grad(h.sum(), a)
r = [g.detach(), h.detach(), k]
""",
    """
class D(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2
    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, g):
        return g * 2
a = torch.tensor([1.0, 2.0], requires_grad=True)
g, = torch.autograd.grad(D.apply(a).sum(), a, create_graph=True)
r = g.requires_grad
""",
    """
class D(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * 2
    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, g):
        x, = ctx.saved_tensors
        return g * x
a = torch.tensor([1.0, 2.0], requires_grad=True)
b = torch.ones(2, requires_grad=True)
g, = torch.autograd.grad(D.apply(a), a, b, create_graph=True)
g.sum().backward()
""",
    """
class D(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x
    @staticmethod
    def backward(ctx, g):
        return g * 5
a = torch.tensor([1.0, 2.0], requires_grad=True)
y = D.apply(a)
y.sum().backward()
r = [y is a, a.grad, y.grad_fn is not None, y.data_ptr() == a.data_ptr()]
""",
    """
class D(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x[0:1]
    @staticmethod
    def backward(ctx, g):
        return torch.cat([g, g])
a = torch.tensor([1.0, 2.0], requires_grad=True)
y = D.apply(a)
y.sum().backward()
r = [a.grad]
""",
    """
class D(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, d):
        return (d['a'] * x, 'str', 3, None)
    @staticmethod
    def backward(ctx, *g):
        D.seen = g
        return (g[0] * 5, None)
a = torch.tensor([1.0, 2.0], requires_grad=True)
y = D.apply(a, {'a': 2.0})
y[0].sum().backward()
r = [y, a.grad, D.seen]
""",
    """
class D(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        r = ctx.needs_input_grad
        D.seen = (r, x.requires_grad, torch.is_grad_enabled())
        return x * 2
    @staticmethod
    def backward(ctx, g):
        return g
D.apply(torch.ones(2))
r = [D.seen]
D.apply(torch.ones(2, requires_grad=True))
r.append(D.seen)
with torch.no_grad():
    y = D.apply(torch.ones(2, requires_grad=True))
    r.append(D.seen)
    r.append(y.requires_grad)
""",
    """
class D(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return [x * 2, x]
    @staticmethod
    def backward(ctx, g, h):
        return g
r = D.apply(torch.ones(2, requires_grad=True))
""",
    """
class D(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return 5
    @staticmethod
    def backward(ctx, g):
        return g
r = D.apply(torch.ones(2, requires_grad=True))
""",
    """
class D(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        y = x * 2
        ctx.mark_dirty(y)
        return y
    @staticmethod
    def backward(ctx, g):
        return g
r = D.apply(torch.ones(2, requires_grad=True))
""",
    """
class D(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        y = x.clone()
        ctx.mark_dirty(x)
        return y
    @staticmethod
    def backward(ctx, g):
        return g
r = D.apply(torch.ones(2, requires_grad=True) * 1)
""",
    """
class D(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.foo = 3
        return x.clone()
    @staticmethod
    def backward(ctx, g):
        return g
y = D.apply(torch.ones(2, requires_grad=True) * 1)
r = [y.grad_fn.foo, repr(y).split('<')[1]]
y.grad_fn.saved_tensors
""",
    """
class D(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()
    @staticmethod
    def vjp(ctx, g):
        return g * 7
x = torch.ones(2, requires_grad=True)
y = D.apply(x)
y.sum().backward()
r = x.grad
""",
    """
class D(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()
    @staticmethod
    def backward(ctx, g):
        raise KeyError('hey')
x = torch.ones(2, requires_grad=True)
y = D.apply(x)
y.sum().backward()
r = x.grad
""",
    """
class D(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, w):
        ctx.save_for_backward(x, w)
        return x.half()
    @staticmethod
    def backward(ctx, g):
        D.seen = g.dtype
        return (g, None)
x = torch.ones(2, requires_grad=True)
y = D.apply(x, x)
y.sum().backward()
r = [x.grad, D.seen]
""",
    """
class D(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return (x.to(torch.int64), x * 2)
    @staticmethod
    def backward(ctx, gi, g):
        D.seen = (gi, g)
        return g
x = torch.ones(2, requires_grad=True)
i, y = D.apply(x)
y.sum().backward()
r = [x.grad, D.seen, i.requires_grad]
""",
]


@pytest.mark.parametrize("program", FUNCTIONS, ids=title)
def test_functions(same, program):
    same(program)
