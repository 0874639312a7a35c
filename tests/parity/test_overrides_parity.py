"""`__torch_function__`: each program must end as with PyTorch."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")
pytestmark = pytest.mark.parity


def title(program: str) -> str:
    """The last line of a program, as the name of its test."""
    return program.strip().splitlines()[-1][:60]


#: subclasses, duck types, modes
PROGRAMS = [
    """
class M(torch.Tensor):
    pass
a = M([1.0, 2.0])
b = torch.ones(2)
r = [type(x).__name__ for x in (a + b, b + a, a.exp(), torch.exp(a), a.view(2, 1), a.sum(), a.detach(),
    a.clone(), a.to(torch.float64), a.float(), a.T, a.reshape(1, 2), a[0], a[:1], torch.cat([a, b]),
    torch.stack([b, a]), a.numpy(), a.data, a.expand(2, 2), a.contiguous(), a.requires_grad_(False),
    a.cpu(), torch.zeros_like(a), a.new_zeros(2), a.max(0)[0], a.max(0), a.unbind()[0], a.sort()[0],
    a.mul_(2), a == b, torch.where(a > 0, a, b), a @ b, torch.nn.functional.relu(a),
    torch.nn.functional.linear(a, torch.ones(2, 2)), a.tolist(), a.item if 0 else 0, -a, abs(a), 1 - a,
    a.repeat(2), a.real, a.is_contiguous(), a.shape, a.mean(), a.type(torch.float64), a.half(),
    torch.nn.functional.dropout(a, 0.5), a.split(1)[0], a.squeeze(), a.permute(0), a.flatten(), a.bool(),
    a.pow(2), a ** 2, a.clone().fill_(1), a.unsqueeze(0))]
""",
    """
class M(torch.Tensor):
    pass
a = M([1.0, 2.0]).requires_grad_()
y = (a * 2).sum()
y.backward()
r = [type(a.grad).__name__, a.is_leaf, type(y).__name__, y.grad_fn is not None]
""",
    """
class D:
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        return NotImplemented
torch.add(D(), 1)
""",
    """
class A(torch.Tensor):
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        return ('A', [t.__name__ for t in types])

class B(A):
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        return ('B', [t.__name__ for t in types])

class C(torch.Tensor):
    pass
r = [torch.add(A([1]), B([1])), torch.add(B([1]), A([1])), torch.add(C([1.0]), A([1]))]
""",
    """
class C(torch.Tensor):
    pass

class E(torch.Tensor):
    pass
torch.add(C([1.0]), E([1.0]))
""",
    """
class C(torch.Tensor):
    pass

class E(C):
    pass
r = [type(torch.add(C([1.0]), E([1.0]))).__name__, type(torch.add(E([1.0]), C([1.0]))).__name__]
""",
    """
from contextlib import nullcontext
log = []
M = torch.overrides.TorchFunctionMode

class Log(M):

    def __torch_function__(self, func, types, args=(), kwargs=None):
        log.append(func.__name__)
        return func(*args, **kwargs or {})
a = torch.ones(2)
with Log():
    b = a + 1
    c = torch.exp(b)
    d = c.view(2, 1)
    e = torch.nn.functional.relu(d)
    f = torch.cat([a, b])
g = a + 1
r = [log, b, e]
""",
    """
M = torch.overrides.TorchFunctionMode

class Two(M):

    def __torch_function__(self, func, types, args=(), kwargs=None):
        return func(*args, **kwargs or {}) * 2
with Two():
    with Two():
        r = torch.exp(torch.zeros(1))
""",
    """
class M(torch.Tensor):
    __torch_function__ = torch._C._disabled_torch_function_impl
a = M([1.0, 2.0])
r = [type(a + 1).__name__, type(a.view(2, 1)).__name__, type(a).__name__]
""",
    """
class M(torch.Tensor):

    def __new__(cls, data, tag=None):
        x = torch.as_tensor(data).as_subclass(cls)
        x.tag = tag
        return x
a = M([1.0, 2.0], tag='hi')
r = [type(a).__name__, a.tag, hasattr(a + 1, 'tag'), repr(a), type(a + 1).__name__]
""",
    """
p = torch.nn.Parameter(torch.ones(2))
r = [type(p + 1).__name__, type(p.view(2, 1)).__name__, type(p.detach()).__name__, type(p.data).__name__,
    type(p.clone()).__name__, type(p.requires_grad_()).__name__, type(p.mul_ if 0 else p).__name__,
    type(torch.cat([p, p])).__name__]
""",
    """
class M(torch.nn.Parameter):
    pass
p = M(torch.ones(2))
r = [type(p).__name__, type(p + 1).__name__, isinstance(p, torch.nn.Parameter)]
""",
    """
class M(torch.Tensor):
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        with torch._C.DisableTorchFunctionSubclass():
            out = func(*args, **kwargs)
        return out
a = M([1.0, 2.0])
r = [type(a + 1).__name__, type(a * a).__name__, (a + 1).tolist()]
""",
    """
class M(torch.Tensor):

    def scale(self, k):
        return self * k
a = torch.ones(2).as_subclass(M)
r = [type(a.scale(2)).__name__, type(torch.ones(2) * a).__name__, type(a).__mro__[1].__name__]
""",
    """
class S:

    def __init__(s, d):
        s.d = d
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        kw = kwargs or {}
        un = lambda x: x.d if isinstance(x, S) else x
        return S(func(*[un(a) for a in args], **{k: un(v) for k, v in kw.items()}))

    def __add__(s, o):
        return torch.add(s, o)
r = [torch.add(S(torch.ones(2)), 1).d, (S(torch.ones(2)) + torch.ones(2)).d,
    torch.nn.functional.softmax(S(torch.ones(2)), 0).d, torch.clamp(S(torch.ones(2)), max=0.5).d,
    (torch.ones(2) + S(torch.ones(2))).d]
""",
]


@pytest.mark.parametrize("program", PROGRAMS, ids=title)
def test_overrides(same, program):
    same(program)
