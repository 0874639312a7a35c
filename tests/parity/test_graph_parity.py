"""The gradient graph against PyTorch: names of nodes, modes, saved tensors, checkpoints; values and errors."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")
pytestmark = pytest.mark.parity

#: calls whose node must print with PyTorch's name
NAMED = """
x @ x | x.mm(x) | x.reshape(4) | x.view(4) | x.t() | x.transpose(0, 1) | x.permute(1, 0) | x.expand(2, 2, 2)
x.unsqueeze(0) | x.squeeze() | x.squeeze(0) | x.clone() | x.sum() | x.sum(0) | x.mean() | x.mean(0) | x.prod() | x.prod(0)
torch.cat([x, x]) | torch.stack([x, x]) | F.softmax(x, 1) | F.log_softmax(x, 1) | F.linear(x, x) | x.cumsum(0)
F.linear(x, x, x.select(0, 0)) | F.linear(x.unsqueeze(0), x) | F.linear(x.unsqueeze(0), x, x.select(0, 0))
x.unsqueeze(0) @ x | x @ x.select(0, 0) | x.select(0, 0) @ x.select(0, 0) | torch.addmm(x, x, x) | x.max() | x.max(0)[0]
x.min() | x.min(0)[0] | torch.maximum(x, x) | F.gelu(x) | F.mse_loss(x, x.detach()) | x.double() | x.select(0, 1)
x.narrow(0, 0, 1) | x.var() | x.std() | x.norm() | x.flatten() | x + 1 | 1 - x | x - x | x / 2 | 2 / x | x**2 | 2**x | x**x
-x | x.clamp(0, 1) | x.clamp(min=0) | torch.where(x > 0, x, 0) | F.layer_norm(x, (2,)) | x.masked_fill(x > 0, 1)
x.gather(0, torch.zeros(1, 1, dtype=torch.int64)) | F.cross_entropy(x, torch.zeros(2, dtype=torch.int64))
F.conv2d(x.view(1, 1, 2, 2), x.view(1, 1, 2, 2)) | F.max_pool2d(x.view(1, 1, 2, 2), 2) | F.avg_pool2d(x.view(1, 1, 2, 2), 2)
F.embedding(torch.zeros(1, dtype=torch.int64), x) | F.batch_norm(x, None, None, training=True) | x.to(torch.float16)
x.logsumexp(0) | x.triu() | x.tril() | x.diagonal() | x.amax() | x.index_select(0, torch.tensor([0])) | F.silu(x)
F.leaky_relu(x) | F.elu(x) | F.softplus(x) | F.hardtanh(x) | x.sigmoid() | F.pad(x, (1, 1)) | F.relu6(x) | F.selu(x)
F.binary_cross_entropy_with_logits(x, x.detach()) | F.smooth_l1_loss(x, x.detach()) | F.glu(x) | F.logsigmoid(x)
x.sort()[0] | x.topk(1)[0] | x.flip(0) | x.roll(1) | x.chunk(2)[0] | x.unbind()[0] | x.split(1)[0] | x.unfold(0, 1, 1)
x[0] | x[0:1] | x[:, 0] | x[None] | x[torch.tensor([0])] | x[x > 0] | x.log1p() | x.log2() | x.exp2() | x.expm1()
(x * 1).add_(1) | (x * 1).mul_(x) | (x * 1).zero_() | (x * 1).copy_(x) | x.kthvalue(1)[0] | torch.lerp(x, x, 0.5)
torch.lerp(x, x, x) | x.contiguous().T | x.mT | x.repeat_interleave(1, 0) * 1 | torch.outer(x[0], x[0]) | x.mv(x[0])
"""

#: functions of modes, in-place writes and what they refuse
PROGRAMS = [
    """
x = torch.ones(2, 2, requires_grad=True)
y = x * 2
z = y * y
y.add_(1)
z.sum().backward()
""",
    """
class Double(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2
    @staticmethod
    def backward(ctx, g):
        return g
y = Double.apply(torch.ones(2, requires_grad=True))
z = y * y
with torch.no_grad():
    y.add_(1)
z.sum().backward()
""",
    """
x = torch.ones(2, 2, requires_grad=True)
values, places = x.sort(0)
z = values * values
with torch.no_grad():
    values.add_(1)
z.sum().backward()
""",
    """
x = torch.ones(2, requires_grad=True)
with torch.autograd.set_detect_anomaly(True):
    ((x * 0).sqrt() * 0).sum().backward()
""",
    """
x = torch.ones(2, requires_grad=True)
with torch.autograd.detect_anomaly(check_nan=False):
    ((x * 0).sqrt() * 0).sum().backward()
r = x.grad
""",
    """
x = torch.ones(2, 2, requires_grad=True)
with torch.no_grad():
    y = x.view(4)
y.add_(1)
""",
    """
y = (torch.ones(2, 2, requires_grad=True) * 1).unbind()[0]
y.add_(1)
""",
    """
with torch.inference_mode():
    z = torch.ones(2, 2)
z.add_(1)
""",
    """
with torch.inference_mode():
    z = torch.ones(2, 2)
torch.ones(2, 2, requires_grad=True) * z
""",
    """
with torch.inference_mode():
    z = torch.ones(2, 2)
x = torch.ones(2, 2, requires_grad=True)
r = [(x + z).requires_grad, z.is_inference(), z.view(4).is_inference(), z.clone().is_inference()]
z.view(4).add_(1)
""",
    """
with torch.inference_mode():
    z = torch.ones(2, 2)
z.requires_grad_()
""",
    """
with torch.inference_mode():
    z = torch.ones(2, 2)
z._version
""",
    """
x = torch.ones(2, 2, requires_grad=True)
with torch.inference_mode():
    z = torch.ones(2, 2, requires_grad=True)
    y = x.view(4)
    r = [z.requires_grad, z.is_inference(), (z * 2).requires_grad, y.is_inference(), torch.is_inference_mode_enabled()]
    with torch.enable_grad():
        r.append((x * 2).requires_grad)
    with torch.inference_mode(False):
        r += [(x * 2).requires_grad, torch.ones(1).is_inference()]
r += [torch.is_grad_enabled(), torch.ones(1).is_inference()]
""",
    """
@torch.inference_mode()
def f():
    return torch.ones(1)
r = [f().is_inference(), f.__name__]
""",
    """
z = torch.ones(4)
with torch.inference_mode():
    z.add_(1)
    v = z.view(2, 2)
v.add_(1)
r = [v.is_inference(), v, z._version > 0]
""",
    """
x = torch.ones(2, requires_grad=True)
seen = []
def pack(t):
    seen.append((t.tolist(), t.requires_grad))
    return t
with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
    y = (x * x).sum()
y.backward()
r = [seen, x.grad]
""",
    """
x = torch.arange(3.0, requires_grad=True)
with torch.autograd.graph.saved_tensors_hooks(lambda t: t.numpy() if not t.requires_grad else t.detach().numpy(),
                                              torch.from_numpy):
    y = (x.exp() * x).sum()
(g,) = torch.autograd.grad(y, x, create_graph=True)
(h,) = torch.autograd.grad(g.sum(), x)
r = [g.detach(), h]
""",
    """
with torch.autograd.graph.disable_saved_tensors_hooks("no hooks here"):
    with torch.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: t):
        pass
""",
    """
def pack(t):
    t.add_(1)
    return t
with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
    (torch.ones(2, requires_grad=True) * 1).exp()
""",
    """
x = torch.ones(2, requires_grad=True)
with torch.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: 3):
    y = (x * x).sum()
y.backward()
""",
    """
x = torch.ones(2, requires_grad=True)
with torch.autograd.graph.save_on_cpu():
    y = (x.exp() * x).sum()
y.backward()
r = x.grad
""",
    """
a, b = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
seen = []
handle = torch.autograd.graph.register_multi_grad_hook([a, b], lambda gs: seen.append([g is None for g in gs]))
(a * 2).sum().backward()
(a * b).sum().backward()
handle.remove()
(a * b).sum().backward()
r = seen
""",
    """
a = torch.ones(2, requires_grad=True)
y = a * 2
edge = torch.autograd.graph.get_gradient_edge(y)
r = [edge.node.name(), edge.output_nr, torch.autograd.grad((y * 3).sum(), edge)]
""",
    """
a = torch.ones(3, requires_grad=True)
with torch.autograd.graph.allow_mutation_on_saved_tensors():
    b = a.clone()
    c = (b * b).sum()
    b.mul_(5)
    c.backward()
r = a.grad
""",
    """
x = torch.ones(2, requires_grad=True)
y = x * x
torch.autograd.graph.increment_version(x)
y.sum().backward()
""",
]

MODEL = """
import importlib
C = importlib.import_module(torch.__name__ + ".utils.checkpoint")
m = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Dropout(0.5), nn.Linear(4, 2))
x = torch.randn(5, 3, requires_grad=True)
"""
CHECKPOINTS = """
C.checkpoint(m, x, use_reentrant=True) | C.checkpoint(m, x, use_reentrant=False) | C.checkpoint(m, x)
C.checkpoint_sequential(m, 2, x, use_reentrant=False) | C.checkpoint_sequential(m, 2, x, use_reentrant=True)
C.checkpoint(lambda y: C.checkpoint(m, y, use_reentrant=False) * 2, x, use_reentrant=False)
C.checkpoint(lambda y: C.checkpoint(m, y, use_reentrant=True) * 2, x, use_reentrant=True)
C.checkpoint(m, x.detach(), use_reentrant=False) | C.checkpoint(m, x, use_reentrant=True, what=2)
C.checkpoint(lambda a, k=1: a * k, x, k=3, use_reentrant=False) | C.checkpoint(lambda t: t.exp(), x, use_reentrant=True)
C.checkpoint(m, x, use_reentrant=False, preserve_rng_state=True, determinism_check="none")
C.checkpoint(m, x, use_reentrant=False, determinism_check="what") | m(x)
"""

GRADCHECK = """
check(torch.exp, x) | check(lambda t: t * t, x) | check(Wrong.apply, x) | check(Wrong.apply, x, raise_exception=False)
check(torch.exp, torch.rand(2)) | check(lambda t: t.detach() * 2, x) | check(lambda t: t.expand(2, 2), x[:1])
check(lambda z: z.conj() * z * z, z) | check(torch.abs, z) | check(lambda a, b: a @ b, (x, x.detach().requires_grad_()))
check(lambda a, b: a * b, (x, 3)) | check(torch.exp, x, fast_mode=True) | check(Unweighted.apply, x)
check(torch.sin, torch.rand(1, dtype=torch.float64, requires_grad=True).expand(3))
twice(torch.exp, x) | twice(Wrong.apply, x) | twice(lambda t: t * 2, x) | twice(torch.tanh, x)
"""
CHECKED = """
check, twice = torch.autograd.gradcheck, torch.autograd.gradgradcheck
class Wrong(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x
    @staticmethod
    def backward(ctx, g):
        return g * ctx.saved_tensors[0] * 3
class Unweighted(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 1
    @staticmethod
    def backward(ctx, g):
        return torch.ones_like(g)
x = torch.tensor([0.3, 0.8], dtype=torch.float64, requires_grad=True)
z = torch.tensor([0.3 + 0.2j, 0.8 - 0.4j], dtype=torch.complex128, requires_grad=True)
"""


def expressions(table: str) -> list[str]:
    return [text.strip() for text in table.replace("\n", " | ").split(" | ") if text.strip()]


@pytest.mark.parametrize("text", expressions(NAMED))
def test_names(same, text):
    same(f"x = torch.rand(2, 2, requires_grad=True)\nr = repr(({text}).grad_fn).split(' ')[0]")


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.strip().splitlines()[-1][:60])
def test_programs(same, program):
    same(program)


@pytest.mark.parametrize("text", expressions(CHECKPOINTS))
def test_checkpoint(same, text):
    program = f"torch.manual_seed(0)\n{MODEL}y = {text}\ny.sum().backward()\n"
    same(program + "r = [y, x.grad, m[0].weight.grad, torch.rand(1)]")


@pytest.mark.parametrize("text", expressions(GRADCHECK))
def test_gradcheck(same, text):
    same(f"{CHECKED}\nr = {text}")
