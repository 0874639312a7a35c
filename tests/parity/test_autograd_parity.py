"""backward, grad, hooks and derivatives of functions: each program must end as with PyTorch."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")
pytestmark = pytest.mark.parity


def title(program: str) -> str:
    """The last line of a program, as the name of its test."""
    return program.strip().splitlines()[-1][:60]


#: arguments of backward and grad, hooks, errors
PROGRAMS = [
    """
x = torch.arange(6.0).view(2, 3).requires_grad_()
v = x * 2
with torch.no_grad():
    v.t_()
v.sum().backward()
r = x.grad
""",
    """
x = torch.arange(6.0).view(2, 3).requires_grad_()
v = x * 2
with torch.no_grad():
    v.t_().t_()
v.sum().backward()
r = x.grad
""",
    """
x = torch.arange(6.0).view(2, 3).requires_grad_()
v = x * 2
with torch.no_grad():
    v.unsqueeze_(0)
v.sum().backward()
r = x.grad
""",
    """
x = torch.arange(6.0).view(2, 3).requires_grad_()
v = x * 2
with torch.no_grad():
    v.data = torch.zeros(5)
v.sum().backward()
r = x.grad
""",
    """
x = torch.arange(6.0).view(2, 3).requires_grad_()
v = x * 2
with torch.no_grad():
    v.set_(torch.zeros(7))
v.sum().backward()
r = x.grad
""",
    """
x = torch.arange(6.0).view(2, 3).requires_grad_()
v = x * 2
with torch.no_grad():
    v.t_()
v.backward(torch.ones(3, 2))
r = x.grad
""",
    """
x = torch.arange(6.0).view(2, 3).requires_grad_()
v = x[:, :1] * 2
with torch.no_grad():
    v.squeeze_(1)
v.sum().backward()
r = x.grad
""",
    """
x = torch.arange(6.0).view(2, 3).requires_grad_()
v = x * 2
w = v[0]
with torch.no_grad():
    w.unsqueeze_(1)
(w * torch.ones(3, 2)).sum().backward()
r = x.grad
""",
    """
x = torch.arange(6.0).view(2, 3).requires_grad_()
v = x * 2
with torch.no_grad():
    v.t_()
torch.minimum(v, torch.ones(3, 2)).sum().backward()
r = x.grad
""",
    """
x = torch.ones(3, 2, requires_grad=True)
w = torch.zeros(0, 3, requires_grad=True)
y = F.linear(x.t(), w, torch.zeros(0, requires_grad=True))
y.sum().backward()
r = x.grad, w.grad
""",
    """
x = torch.ones(0, 3, requires_grad=True)
w = torch.ones(4, 3, requires_grad=True)
b = torch.ones(4, requires_grad=True)
F.linear(x, w, b).sum().backward()
r = x.grad, w.grad, b.grad
""",
    """
x = torch.ones(2, requires_grad=True)
(x * 2).backward()
""",
    """
torch.ones(1).backward()
""",
    """
x = torch.ones(2, requires_grad=True)
y = (x * x).sum()
y.backward()
y.backward()
""",
    """
x = torch.ones(2, requires_grad=True)
y = x.exp().sum()
y.backward()
y.backward()
r = x.grad
""",
    """
x = torch.ones(2, requires_grad=True)
y = (x + 1).sum()
y.backward()
y.backward()
r = x.grad
""",
    """
x = torch.ones(2, requires_grad=True)
y = x * 2
z = y * y
y.add_(1)
z.sum().backward()
""",
    """
x = torch.ones(2, requires_grad=True)
y = x.exp()
y.add_(1)
y.sum().backward()
""",
    """
x = torch.ones(2, requires_grad=True)
w = torch.ones(2)
y = x * w
w.add_(1)
y.sum().backward()
""",
    """
x = torch.ones(2, 3, requires_grad=True)
w = torch.ones(2, 3, requires_grad=True)
y = x * w
with torch.no_grad():
    w.add_(1)
y.sum().backward()
""",
    """
x = torch.ones(2, requires_grad=True)
x.add_(1)
""",
    """
x = torch.ones(2, requires_grad=True)
x.view(1, 2).add_(1)
""",
    """
x = torch.ones(2, requires_grad=True)
x.detach().add_(1)
r = [x, x._version]
""",
    """
x = torch.ones(2, requires_grad=True)
x.zero_()
""",
    """
x = torch.ones(2)
x.requires_grad_()
y = x * 1
y.requires_grad = False
""",
    """
torch.ones(2, dtype=torch.int64).requires_grad_()
""",
    """
torch.tensor([1, 2], requires_grad=True)
""",
    """
x = torch.ones(2, requires_grad=True)
x.grad = torch.ones(3)
""",
    """
x = torch.ones(2, requires_grad=True)
x.grad = torch.ones(2, dtype=torch.float64)
""",
    """
x = torch.ones(2, requires_grad=True)
x.grad = 3
""",
    """
x = torch.ones(2, requires_grad=True)
x.grad = x
""",
    """
x = torch.ones(2, requires_grad=True)
x.grad = torch.ones(2, device='meta')
""",
    """
x = torch.ones(2, requires_grad=True)
y = x * 2
r = torch.autograd.grad(y, x)
""",
    """
x = torch.ones(2, requires_grad=True)
z = torch.ones(2, requires_grad=True)
y = (x * 2).sum()
r = torch.autograd.grad(y, [x, z])
""",
    """
x = torch.ones(2, requires_grad=True)
z = torch.ones(2, requires_grad=True)
y = (x * 2).sum()
r = torch.autograd.grad(y, [x, z], allow_unused=True)
""",
    """
x = torch.ones(2, requires_grad=True)
z = torch.ones(2, requires_grad=True)
y = (x * 2).sum()
r = torch.autograd.grad(y, [x, z], materialize_grads=True)
""",
    """
x = torch.ones(2, requires_grad=True)
y = (x * 2).sum()
r = torch.autograd.grad(y, x, materialize_grads=True, allow_unused=False)
""",
    """
x = torch.ones(2, requires_grad=True)
y = x * 2
r = torch.autograd.grad(y, x, torch.ones(3))
""",
    """
x = torch.ones(2, requires_grad=True)
y = x * 2
r = torch.autograd.grad(y, x, [torch.ones(2), torch.ones(2)])
""",
    """
x = torch.ones(2, requires_grad=True)
y = x * 2
r = torch.autograd.grad([y, y * 3], x, [torch.ones(2), torch.ones(2)])
""",
    """
x = torch.ones(2, requires_grad=True)
y = x * 2
r = torch.autograd.grad(y, x, torch.ones(2, dtype=torch.complex64))
""",
    """
x = torch.ones(2, requires_grad=True)
y = x * 2
r = torch.autograd.grad(y, x, torch.ones(2, dtype=torch.float64))
""",
    """
x = torch.ones(2, requires_grad=True)
y = x * 2
r = torch.autograd.grad(y, x, 3)
""",
    """
x = torch.ones(2, requires_grad=True)
r = torch.autograd.grad(x, x, torch.ones(2))
""",
    """
x = torch.ones(2, requires_grad=True)
r = torch.autograd.grad(x.sum(), [])
""",
    """
x = torch.ones(2, requires_grad=True)
r = torch.autograd.grad(x.sum(), torch.ones(2))
""",
    """
x = torch.ones(2, requires_grad=True)
r = torch.autograd.grad(torch.ones(1), x)
""",
    """
x = torch.ones(2, requires_grad=True)
r = torch.autograd.grad(3, x)
""",
    """
x = torch.ones(2, requires_grad=True)
y = x * x
r = torch.autograd.grad(y, x, torch.eye(2), is_grads_batched=True)
""",
    """
x = torch.arange(4.0, requires_grad=True)
y = x * x * torch.arange(4.0)
r = torch.autograd.grad([y, y.sum()], x, [torch.eye(4), torch.arange(4.0)], is_grads_batched=True,
    create_graph=False)
""",
    """
x = torch.ones(2, requires_grad=True)
y = x * x
z = y * 3
z.sum().backward(inputs=[y])
r = [y.grad, x.grad]
""",
    """
x = torch.ones(2, requires_grad=True)
y = x * x
z = y * 3
z.sum().backward(inputs=x)
r = [y.is_leaf, x.grad]
""",
    """
x = torch.ones(2, requires_grad=True)
z = (x * 3).sum()
z.backward(inputs=[])
""",
    """
x = torch.ones(2, requires_grad=True)
z = (x * 3).sum()
z.backward(inputs=[torch.ones(1)])
""",
    """
x = torch.ones(2, requires_grad=True)
w = torch.ones(2, requires_grad=True)
z = (x * 3).sum()
z.backward(inputs=[w])
r = w.grad
""",
    """
x = torch.ones(2, requires_grad=True)
torch.autograd.backward([x * 2, x * 3], [torch.ones(2), torch.ones(2)])
r = x.grad
""",
    """
x = torch.ones(2, requires_grad=True)
torch.autograd.backward([x * 2, x * 3], [torch.ones(2)])
""",
    """
x = torch.ones(2, requires_grad=True)
torch.autograd.backward([(x * 2).sum(), (x * 3).sum()])
r = x.grad
""",
    """
x = torch.ones(2, requires_grad=True)
torch.autograd.backward(x * 2, torch.ones(2), grad_variables=torch.ones(2))
r = x.grad
""",
    """
x = torch.ones(2, requires_grad=True)
torch.autograd.backward([])
r = x.grad
""",
    """
x = torch.ones(2, dtype=torch.complex64, requires_grad=True)
(x * 2).sum().backward()
""",
    """
x = torch.ones(2, dtype=torch.complex64, requires_grad=True)
(x * 2).sum().backward(torch.tensor(1.0))
r = x.grad
""",
    """
x = torch.ones(2, dtype=torch.complex64, requires_grad=True)
(x * (2 + 1j)).abs().sum().backward()
r = x.grad
""",
    """
x = torch.ones(2, requires_grad=True)
y = x * 2
y.requires_grad_(False)
""",
    """
x = torch.ones(2, requires_grad=True)
y = x.view(2, 1)
y.detach_()
""",
    """
x = torch.ones(2, requires_grad=True)
y = x * 2
y.detach_()
r = [y.requires_grad, y.grad_fn, y.is_leaf]
""",
    """
x = torch.ones(2, requires_grad=True)
r = [(x * 2).grad]
""",
    """
x = torch.ones(2, requires_grad=True)
y = x * 2
y.retain_grad()
y.sum().backward()
r = [y.grad, y.retains_grad, x.retains_grad]
""",
    """
torch.ones(2).retain_grad()
""",
    """
torch.ones(2).register_hook(lambda g: g)
""",
    """
x = torch.ones(2, requires_grad=True)
x.register_hook(3)
""",
    """
x = torch.ones(2, requires_grad=True)
(x * 1).register_post_accumulate_grad_hook(lambda t: None)
""",
    """
torch.ones(2).register_post_accumulate_grad_hook(lambda t: None)
""",
    """
log = []
x = torch.ones(2, requires_grad=True)
x.register_hook(lambda g: log.append(('a', g.tolist())) or g * 2)
h = x.register_hook(lambda g: log.append(('b', g.tolist())) or None)
x.register_hook(lambda g: log.append(('c', g.tolist())) or g * 2)
x.register_post_accumulate_grad_hook(lambda t: log.append(('p', t.grad.tolist())))
y = x * 3
y.register_hook(lambda g: log.append(('y', g.tolist())) or g + 1)
y.retain_grad()
y.register_hook(lambda g: log.append(('y2', g.tolist())) or g + 1)
y.grad_fn.register_prehook(lambda gs: log.append(('pre', gs[0].tolist())) or (gs[0] * 10,))
y.grad_fn.register_hook(lambda gi, go: log.append(('post',
    [None if g is None else g.tolist() for g in gi], [g.tolist() for g in go])) or None)
z = y.sum()
z.backward(retain_graph=True)
log.append(y.grad.tolist())
h.remove()
z.backward()
log.append(y.grad.tolist())
r = [log, x.grad]
""",
    """
x = torch.ones(2, requires_grad=True)
x.register_hook(lambda g: g.double())
(x * 2).sum().backward()
""",
    """
x = torch.ones(2, requires_grad=True)
x.register_hook(lambda g: 3)
(x * 2).sum().backward()
""",
    """
x = torch.ones(2, requires_grad=True)
x.register_hook(lambda g: torch.ones(3))
(x * 2).sum().backward()
""",
    """
x = torch.ones(2, requires_grad=True)
y = x * 2
y.grad_fn.register_hook(lambda gi, go: (gi[0] * 5,))
y.sum().backward()
r = x.grad
""",
    """
x = torch.ones(2, requires_grad=True)
y = x * 2
y.grad_fn.register_hook(lambda gi, go: (gi[0] * 5, gi[0], 3, gi[0]))
y.sum().backward()
r = x.grad
""",
    """
x = torch.ones(3, requires_grad=True)
v, i = x.max(0)
v.retain_grad()
(v * 3).backward()
r = [v.grad, i.requires_grad, x.grad, v.grad_fn.name()]
""",
    """
x = torch.arange(6.0, requires_grad=True)
v, i = x.view(2, 3).sort(descending=True)
r = torch.autograd.grad((v * 3).sum(), [v, x])
""",
    """
x = torch.arange(6.0, requires_grad=True)
u, v = x.split(3)
r = torch.autograd.grad((v * 3 + u).sum(), [u, v, x])
""",
    """
x = torch.ones(2, requires_grad=True)
y = x * 2
r = [y.grad_fn.next_functions[0][0].name(), y.grad_fn.next_functions[0][0].variable is x,
    y.grad_fn.next_functions]
r = r[:2]
""",
    """
x = torch.ones(2, requires_grad=True)
r = torch.autograd.functional.jacobian(lambda x: x ** 3, x, create_graph=True)
r.sum().backward()
r = [r.requires_grad, x.grad]
""",
    """
x = torch.ones(2, requires_grad=True)
r = torch.autograd.functional.jacobian(lambda x: x ** 3, x, strategy='forward-mode')
""",
    """
x = torch.arange(4.0, requires_grad=True)
o, j = torch.autograd.functional.jvp(lambda x: x ** 3, x, torch.ones(4), create_graph=True)
j.sum().backward()
r = [o.requires_grad, j, x.grad]
""",
]

#: torch.autograd.functional, which the programs call A
FUNCTIONAL = [
    "A.jacobian(lambda x: x.exp().sum(1), torch.arange(4.0).view(2, 2))",
    "A.jacobian(lambda x, y: (x * y, x.sum()), (torch.arange(3.0), torch.ones(3)))",
    "A.jacobian(lambda x, y: (x * y, x.sum()), (torch.arange(3.0), torch.ones(3)), vectorize=True)",
    "A.jacobian(lambda x: x * 2, 3)",
    "A.jacobian(lambda x: 3, torch.ones(2))",
    "A.jacobian(lambda x: (x, 3), torch.ones(2))",
    "A.jacobian(lambda x: torch.ones(2), torch.ones(2))",
    "A.jacobian(lambda x: torch.ones(2), torch.ones(2), strict=True)",
    "A.jacobian(lambda x, y: y * 2, (torch.ones(2), torch.ones(2)), strict=True)",
    "A.jacobian(lambda x, y: y * 2, (torch.ones(2), 3))",
    "A.jacobian(lambda x: x * 2, torch.ones(2), strict=True, create_graph=True)",
    "A.jacobian(lambda x: x ** 3, torch.ones(2), strategy='foo')",
    "A.jacobian(lambda x: x ** 3, torch.ones(2), vectorize=True, strict=True)",
    "A.hessian(lambda x: (x ** 3).sum(), torch.arange(3.0))",
    "A.hessian(lambda x, y: (x ** 3 * y).sum(), (torch.arange(3.0), torch.arange(3.0)))",
    "A.hessian(lambda x, y: (x ** 3 * y).sum(), (torch.arange(3.0), torch.arange(3.0)), vectorize=True)",
    "A.hessian(lambda x: x ** 3, torch.arange(3.0))",
    "A.hessian(lambda x: ((x ** 3).sum(), x), torch.arange(3.0))",
    "A.hessian(lambda x: (x * 3).sum(), torch.arange(3.0))",
    "A.hessian(lambda x: (x * 3).sum(), torch.arange(3.0), strict=True)",
    "A.hessian(lambda x: (x ** 3).sum(), torch.arange(3.0), outer_jacobian_strategy='a')",
    "A.vjp(lambda x: x.exp().sum(1), torch.arange(4.0).view(2, 2), torch.ones(2))",
    "A.vjp(lambda x, y: (x * y, x.sum()), (torch.arange(3.0), torch.arange(3.0)),"
    " (torch.ones(3), torch.tensor(2.0)))",
    "A.vjp(lambda x: x.sum(), torch.arange(4.0))",
    "A.vjp(lambda x: x * 2, torch.arange(4.0))",
    "A.vjp(lambda x: x * 2, torch.arange(4.0), torch.ones(3))",
    "A.vjp(lambda x: x * 2, torch.arange(4.0), (torch.ones(4), torch.ones(4)))",
    "A.vjp(lambda x: (x * 2, x), torch.arange(4.0), torch.ones(4))",
    "A.vjp(lambda x: x * 2, torch.arange(4.0), 3)",
    "A.vjp(lambda x: torch.ones(4), torch.arange(4.0), torch.ones(4))",
    "A.vjp(lambda x: torch.ones(4), torch.arange(4.0), torch.ones(4), strict=True)",
    "A.jvp(lambda x: x.exp().sum(1), torch.arange(4.0).view(2, 2), torch.ones(2, 2))",
    "A.jvp(lambda x, y: (x * y, x.sum()), (torch.arange(3.0), torch.arange(3.0)),"
    " (torch.ones(3), torch.arange(3.0)))",
    "A.jvp(lambda x: x * 2, torch.arange(4.0))",
    "A.jvp(lambda x: x * 2, torch.tensor(4.0))",
    "A.jvp(lambda x: x * 2, torch.arange(4.0), torch.ones(3))",
    "A.jvp(lambda x: torch.ones(3), torch.arange(4.0), torch.ones(4))",
    "A.jvp(lambda x: torch.ones(3), torch.arange(4.0), torch.ones(4), strict=True)",
    "A.vhp(lambda x: (x ** 3).sum(), torch.arange(3.0), torch.ones(3))",
    "A.hvp(lambda x: (x ** 3).sum(), torch.arange(3.0), torch.ones(3))",
    "A.hvp(lambda x, y: (x ** 3 * y).sum(), (torch.arange(3.0), torch.arange(3.0)),"
    " (torch.ones(3), torch.arange(3.0)))",
    "A.vhp(lambda x, y: (x ** 3 * y).sum(), (torch.arange(3.0), torch.arange(3.0)),"
    " (torch.ones(3), torch.arange(3.0)))",
    "A.hvp(lambda x: (x * 3).sum(), torch.arange(3.0), torch.ones(3))",
    "A.hvp(lambda x: (x * 3).sum(), torch.arange(3.0), torch.ones(3), strict=True)",
    "A.vhp(lambda x: (x * 3).sum(), torch.arange(3.0), torch.ones(3), strict=True)",
    "A.vhp(lambda x: x * 3, torch.arange(3.0), torch.ones(3))",
    "A.hvp(lambda x: x * 3, torch.arange(3.0), torch.ones(3))",
    "A.hvp(lambda x: (x * 3).sum(), torch.arange(3.0))",
    "A.vhp(lambda x: (x * 3).sum(), torch.arange(3.0))",
    "A.hvp(lambda x: ((x * 3).sum(), x), torch.arange(3.0), torch.ones(3))",
    "A.vhp(lambda x: torch.ones(()), torch.arange(3.0), torch.ones(3))",
    "A.vhp(lambda x: torch.ones(()), torch.arange(3.0), torch.ones(3), strict=True)",
    "A.hessian(lambda x: torch.ones(()), torch.arange(3.0), strict=True)",
    "A.hessian(lambda x, y: (x ** 2).sum(), (torch.arange(3.0), torch.ones(2)), strict=True)",
    "A.hessian(lambda x, y: (x ** 2).sum(), (torch.arange(3.0), torch.ones(2)))",
    "A.hvp(lambda x, y: (x ** 2).sum(), (torch.arange(3.0), torch.ones(2)),"
    " (torch.arange(3.0), torch.ones(2)), strict=True)",
    "A.jvp(lambda x, y: (x ** 2).sum(), (torch.arange(3.0), torch.ones(2)),"
    " (torch.arange(3.0), torch.ones(2)), strict=True)",
    "A.vjp(lambda x, y: (x ** 2).sum(), (torch.arange(3.0), torch.ones(2)), strict=True)",
    "A.vjp(lambda x: (x * 2).sum(), torch.arange(3.0), strict=True, create_graph=True)",
    "A.jvp(lambda x: x * 2, torch.arange(3.0), torch.ones(3), strict=True, create_graph=True)",
    "A.hessian(lambda x: 3, torch.arange(3.0))",
    "A.vjp(lambda x: 3, torch.arange(3.0))",
    "A.jvp(lambda x: 3, torch.arange(3.0), torch.ones(3))",
    "A.jacobian(lambda x: x * 2, torch.arange(3.0).to(torch.complex64))",
]


@pytest.mark.parametrize("program", PROGRAMS, ids=title)
def test_programs(same, program):
    same(program)


@pytest.mark.parametrize("text", FUNCTIONAL)
def test_functional(same, text):
    same(f"A = torch.autograd.functional\nr = {text}")
