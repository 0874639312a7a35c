"""Programs over `nn.Module` that must end the same way with Flambeau and with PyTorch: hooks, registration, states."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.parity

NET = """
import copy, pickle, io
from collections import OrderedDict
class Net(nn.Module):
    def __init__(self, width=3):
        super().__init__()
        self.a = nn.Linear(2, width)
        self.b = nn.Sequential(nn.ReLU(), nn.Linear(width, 1, bias=False))
        self.register_buffer("seen", torch.zeros(1))
        self.register_buffer("kept", torch.ones(2), persistent=False)
        self.scale = nn.Parameter(torch.ones(1))
    def forward(self, x, *, twice=False):
        y = self.b(self.a(x)) * self.scale
        return y * 2 if twice else y
torch.manual_seed(0)
net = Net()
x = torch.ones(4, 2)
log = []
"""

PROGRAMS = {
    "names": "r = [n for n, _ in net.named_parameters()], [n for n, _ in net.named_buffers()], "
    "[n for n, _ in net.named_modules()], [n for n, _ in net.named_children()], list(net.state_dict())",
    "named twice": "net.c = net.a; net.p = net.scale\n"
    "r = [n for n, _ in net.named_parameters()], [n for n, _ in net.named_parameters(remove_duplicate=False)], "
    "[n for n, _ in net.named_modules(remove_duplicate=False)], [n for n, _ in net.named_buffers('x', False)]",
    "not recursive": "r = [n for n, _ in net.named_parameters('p', recurse=False)], len(list(net.buffers(False)))",
    "repr": "r = repr(net)",
    "repr of containers": "r = repr(nn.ModuleDict({'a': nn.Linear(1, 1), 'b': nn.ModuleList([nn.ReLU(), nn.ReLU()])}))",
    "repr of parameter lists": "r = repr(nn.ParameterList([torch.ones(2), nn.Parameter(torch.ones(1))]))",
    "repr of parameter dicts": "r = repr(nn.ParameterDict({'a': torch.ones(2), 'b': nn.Parameter(torch.ones(1))}))",
    "dir": "r = [n for n in ('a', 'scale', 'seen', 'forward', '0') if n in dir(net)], '0' in dir(net.b)",
    "extra_repr": "class M(nn.Module):\n    def extra_repr(self): return 'x=1\\ny=2'\nr = repr(M()), str(nn.Sequential(M()))",
    # -- hooks
    "forward hooks": "net.register_forward_hook(lambda m, i, o: o + 1)\n"
    "net.register_forward_pre_hook(lambda m, i: (i[0] * 2,))\nr = net(x)",
    "hooks with keywords": "net.register_forward_pre_hook(lambda m, a, k: (a, {'twice': True}), with_kwargs=True)\n"
    "net.register_forward_hook(lambda m, a, k, o: log.append((len(a), k)), with_kwargs=True)\nr = net(x), log",
    "hook order": "for k in range(3): net.register_forward_hook(lambda m, i, o, k=k: log.append(k), prepend=k == 2)\n"
    "net(x); r = log",
    "a hook that is removed": "h = net.register_forward_hook(lambda *a: log.append(1)); net(x); h.remove(); net(x); r = log",
    "always called": "def bad(m, i, o): log.append('bad'); raise ValueError('x')\n"
    "net.register_forward_hook(bad)\n"
    "net.register_forward_hook(lambda m, i, o: log.append(('always', o is None)), always_call=True)\n"
    "try: net(x)\nexcept ValueError as e: log.append(str(e))\nr = log",
    "always called after forward failed": "net.register_forward_hook(lambda m, i, o: log.append(o), always_call=True)\n"
    "try: net(torch.ones(1, 5))\nexcept RuntimeError: log.append('raised')\nr = log",
    "a bad pre-hook": "net.register_forward_pre_hook(lambda m, a, k: 3, with_kwargs=True)\nr = net(x)",
    "backward hooks": "net.a.register_full_backward_hook(lambda m, gi, go: log.append((len(gi), [g.shape for g in go])))\n"
    "net.a.register_full_backward_pre_hook(lambda m, go: (go[0] * 2,))\nnet(x.requires_grad_()).sum().backward()\n"
    "r = [[list(s) for s in e[1]] for e in log], net.a.weight.grad, x.grad",
    "a backward hook that changes the gradient": "net.a.register_full_backward_hook(lambda m, gi, go: (gi[0] * 0,))\n"
    "net(x.requires_grad_()).sum().backward()\nr = x.grad, net.a.weight.grad",
    "backward hook without gradient of the input": "net.register_full_backward_hook(lambda m, gi, go: log.append(gi[0] is None))\n"
    "net(x).sum().backward()\nr = log",
    "old backward hooks": "import warnings\nnet.a.register_backward_hook(lambda m, gi, go: log.append(len(go)))\n"
    "net(x).sum().backward()\nr = log",
    "two kinds of backward hooks": "net.a.register_backward_hook(lambda *a: None)\n"
    "r = net.a.register_full_backward_hook(lambda *a: None)",
    "global hooks": "from importlib import import_module\nM = import_module(nn.Module.__module__)\n"
    "hs = [M.register_module_forward_pre_hook(lambda m, i: log.append('pre ' + type(m).__name__)),\n"
    "  M.register_module_forward_hook(lambda m, i, o: log.append('post ' + type(m).__name__)),\n"
    "  M.register_module_full_backward_hook(lambda m, gi, go: log.append('back ' + type(m).__name__)),\n"
    "  M.register_module_full_backward_pre_hook(lambda m, go: log.append('before ' + type(m).__name__))]\n"
    "net(x).sum().backward()\n[h.remove() for h in hs]\nnet(x)\nr = log",
    "global registration hooks": "from importlib import import_module\nM = import_module(nn.Module.__module__)\n"
    "hs = [M.register_module_buffer_registration_hook(lambda m, n, b: log.append('buffer ' + n)),\n"
    "  M.register_module_module_registration_hook(lambda m, n, s: log.append('module ' + n)),\n"
    "  M.register_module_parameter_registration_hook(lambda m, n, p: log.append('parameter ' + n))]\n"
    "Net(); [h.remove() for h in hs]; Net(); r = log",
    "state_dict hooks": "net.register_state_dict_post_hook(lambda m, d, p, meta: d.update(extra=torch.ones(1)))\n"
    "net.register_state_dict_pre_hook(lambda m, p, k: log.append((p, k)))\nr = list(net.state_dict(prefix='q.')), log",
    "old state_dict hooks": "net._register_state_dict_hook(lambda m, d, p, meta: OrderedDict(list(d.items())[:1]))\n"
    "r = list(net.state_dict())",
    "load hooks": "net.register_load_state_dict_pre_hook(lambda m, d, p, meta, s, mi, u, e: d.update({p + 'scale': torch.zeros(1)}))\n"
    "net.register_load_state_dict_post_hook(lambda m, k: k.missing_keys.clear())\n"
    "r = str(net.load_state_dict({'a.weight': torch.zeros(3, 2)})), net.scale, net.a.weight",
    "a post hook that returns": "net.register_load_state_dict_post_hook(lambda m, k: 3)\nr = net.load_state_dict(net.state_dict())",
    # -- states
    "all mismatches at once": "d = net.state_dict(); d['b.1.weight'] = torch.ones(2, 2); d['other'] = 1; del d['scale']\n"
    "try: net.load_state_dict(d)\nexcept RuntimeError as e: r = str(e)",
    "not strict": "d = net.state_dict(); d['other'] = 1; del d['scale']\nk = net.load_state_dict(d, strict=False)\n"
    "r = k.missing_keys, k.unexpected_keys, repr(k), repr(net.load_state_dict(net.state_dict()))",
    "another architecture": "try: net.load_state_dict(Net(5).state_dict(), strict=False)\nexcept RuntimeError as e: r = str(e)",
    "values that are no tensors": "d = net.state_dict(); d['scale'] = [1.0]\nr = net.load_state_dict(d)",
    "no mapping": "r = net.load_state_dict([1])",
    "assign": "d = {k: v.double() for k, v in net.state_dict().items()}\nnet.load_state_dict(d, assign=True)\n"
    "r = net.scale.dtype, type(net.scale).__name__, net.seen.dtype, net.scale.requires_grad",
    "assign keeps requires_grad": "net.a.weight.requires_grad_(False)\nnet.load_state_dict(net.state_dict(), assign=True)\n"
    "r = [p.requires_grad for p in net.parameters()]",
    "a scalar from an old file": "m = nn.Module(); m.p = nn.Parameter(torch.tensor(1.0))\n"
    "r = str(m.load_state_dict({'p': torch.tensor([3.0])})), m.p",
    "extra state": "class M(nn.Module):\n    def get_extra_state(self): return {'v': 3}\n"
    "    def set_extra_state(self, s): log.append(s)\n"
    "m = nn.Sequential(M()); r = dict(m.state_dict()), str(m.load_state_dict(m.state_dict())), log, "
    "str(m.load_state_dict({}, strict=False))",
    "extra state unexpected": "r = net.load_state_dict({**net.state_dict(), '_extra_state': 1})",
    "extra state without a setter": "class M(nn.Module):\n    def get_extra_state(self): return 3\nm = M(); r = m.load_state_dict(m.state_dict())",
    "keep_vars": "d = net.state_dict(keep_vars=True); r = d['scale'] is net.scale, net.state_dict()['scale'].requires_grad",
    "destination": "d = OrderedDict(); e = net.state_dict(destination=d, prefix='z.'); r = e is d, list(d)",
    "metadata": "r = {k: dict(v) for k, v in nn.Sequential(nn.BatchNorm1d(2), nn.Linear(1, 1)).state_dict()._metadata.items()}",
    "an old batch norm": "m = nn.BatchNorm1d(2); d = OrderedDict(m.state_dict()); del d['num_batches_tracked']\n"
    "d._metadata = {'': {'version': 1}}; r = str(m.load_state_dict(d)), m.num_batches_tracked",
    "loading shares no memory": "d = net.state_dict(); m = Net(); m.load_state_dict(d); d['scale'].fill_(9); r = m.scale, net.scale",
    # -- attributes
    "a tensor for a parameter": "net.scale = torch.ones(1)",
    "a number for a parameter": "net.scale = 3",
    "a number for a module": "net.a = 3",
    "a number for a buffer": "net.seen = 3",
    "None for each": "net.scale = None; net.a = None; net.seen = None\nr = list(net.state_dict()), net.scale, net.a, net.seen",
    "a parameter for a buffer": "net.seen = nn.Parameter(torch.ones(1)); r = list(net.state_dict())",
    "a module for a parameter": "net.scale = nn.ReLU(); r = [n for n, _ in net.named_parameters()]",
    "delete": "del net.scale; del net.a; del net.seen; r = list(net.state_dict()), hasattr(net, 'scale')",
    "delete what is not there": "del net.nothing",
    "missing attribute": "net.nothing",
    "before init": "class M(nn.Module):\n    def __init__(self): self.p = nn.Parameter(torch.ones(1))\nM()",
    "module before init": "class M(nn.Module):\n    def __init__(self): self.p = nn.ReLU()\nM()",
    "buffer before init": "class M(nn.Module):\n    def __init__(self): self.register_buffer('p', torch.ones(1))\nM()",
    "no forward": "nn.Module()(1)",
    "arguments of Module": "nn.Module(1)",
    "keywords of Module": "nn.Module(a=1)",
    "buffer names": "net.register_buffer('a.b', torch.ones(1))",
    "empty buffer name": "net.register_buffer('', torch.ones(1))",
    "buffer name taken": "net.register_buffer('forward', torch.ones(1))",
    "buffer of a wrong type": "net.register_buffer('z', 3)",
    "buffer name of a wrong type": "net.register_buffer(3, torch.ones(1))",
    "parameter that is no leaf": "net.register_parameter('z', nn.Parameter(torch.ones(1)) * 2)",
    "parameter of a wrong type": "net.register_parameter('z', torch.ones(1))",
    "module of a wrong type": "net.add_module('z', 3)",
    "module name": "net.add_module('a.b', nn.ReLU())",
    "None module": "net.register_module('z', None); r = repr(net), [n for n, _ in net.named_modules()]",
    "Buffer": "net.z = nn.Buffer(torch.ones(1)); net.y = nn.Buffer(torch.ones(1), persistent=False)\n"
    "r = list(net.state_dict()), [n for n, _ in net.named_buffers()], isinstance(net.z, nn.Buffer), isinstance(net.a.weight, nn.Buffer)",
    "get by path": "r = type(net.get_submodule('b.1')).__name__, net.get_parameter('a.weight').shape, net.get_buffer('seen'), net.get_submodule('') is net",
    "bad path": "net.get_submodule('b.7')",
    "path to a parameter": "net.get_submodule('a.weight')",
    "no such parameter": "net.get_parameter('a.nothing')",
    "no such buffer": "net.get_buffer('a.weight')",
    "set_submodule": "net.set_submodule('b.1', nn.Tanh()); r = repr(net)",
    "set_submodule strict": "net.set_submodule('b.9', nn.Tanh(), strict=True)",
    # -- conversions
    "double": "net.double(); r = [p.dtype for p in net.parameters()], [b.dtype for b in net.buffers()]",
    "to integers": "net.to(torch.int64)",
    "to keeps integers": "m = nn.BatchNorm1d(2).to(torch.float64); r = m.num_batches_tracked.dtype, m.weight.dtype",
    "to tensor": "net.to(torch.ones(1, dtype=torch.float64)); r = net.scale.dtype",
    "bfloat16": "r = net.bfloat16().scale.dtype, net.float().scale.dtype, net.half().scale.dtype",
    "parameters stay themselves": "p = net.scale; net.double(); r = p is net.scale, p.dtype",
    "gradients are converted": "net(x).sum().backward(); net.double(); r = net.scale.grad.dtype",
    "to_empty": "r = [tuple(p.shape) for p in net.to_empty(device='cpu').parameters()]",
    "meta": "m = Net().to('meta'); r = m.scale.device.type, m(torch.ones(4, 2, device='meta')).shape, str(m.load_state_dict(net.state_dict(), assign=True))",
    "share_memory": "r = net.share_memory() is net, net.scale.is_shared()",
    "apply": "net.apply(lambda m: log.append(type(m).__name__)); r = log",
    "requires_grad_": "r = [p.requires_grad for p in net.requires_grad_(False).parameters()]",
    "zero_grad": "net(x).sum().backward(); net.zero_grad(set_to_none=False); a = net.scale.grad; net.zero_grad(); r = a, net.scale.grad",
    "train and eval": "r = net.eval().training, net.b[0].training, net.train().b.training",
    "train with a number": "net.train(3)",
    "type": "r = net.type(torch.float64).scale.dtype",
    # -- copies
    "deepcopy": "m = copy.deepcopy(net); m.scale.data.fill_(5)\nr = net.scale, m.scale, m(x), [n for n, _ in m.named_modules()], m.a is net.a",
    "copy": "m = copy.copy(net); r = m.scale is net.scale, m.a is net.a, m(x)",
    "pickle": "m = pickle.loads(pickle.dumps(nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5)).eval()))\nr = repr(m), m.training, list(m.state_dict()), m[1].training",
    "deepcopy keeps ties": "net.c = net.a; m = copy.deepcopy(net); r = m.c is m.a, m.c.weight is m.a.weight",
    "deepcopy keeps hooks": "net.register_forward_hook(lambda m, i, o: o * 0); r = copy.deepcopy(net)(x)",
    "deepcopy keeps gradients": "net(x).sum().backward(); r = copy.deepcopy(net).scale.grad",
    "state without newer fields": "s = net.__getstate__() if hasattr(net, '__getstate__') else net.__dict__.copy()\n"
    "[s.pop(k, None) for k in ('_load_state_dict_post_hooks', '_non_persistent_buffers_set', '_forward_hooks_with_kwargs', '_state_dict_pre_hooks')]\n"
    "m = Net.__new__(Net); m.__setstate__(s); r = m(x), list(m.state_dict())",
    # -- lazy
    "lazy linear": "m = nn.LazyLinear(3); log.append((repr(m), m.has_uninitialized_params())); y = m(x)\nr = log, repr(m), tuple(y.shape), type(m).__name__, tuple(m.weight.shape)",
    "lazy conv": "m = nn.LazyConv2d(4, 3); m(torch.ones(1, 2, 5, 5)); r = repr(m), type(m).__name__",
    "lazy batch norm": "m = nn.LazyBatchNorm1d(); m(torch.ones(2, 3)); r = repr(m)",
    "loading a lazy module": "m = nn.LazyLinear(3); m.load_state_dict(nn.Linear(2, 3).state_dict()); r = tuple(m.weight.shape), repr(m)",
    "saving a lazy module": "m = nn.LazyLinear(3); r = [type(v).__name__ for v in m.state_dict().values()]",
    "deepcopy of a lazy module": "m = copy.deepcopy(nn.LazyLinear(3)); r = type(m.weight).__name__, tuple(m(x).shape)",
    "shape of an uninitialised parameter": "nn.LazyLinear(3).weight.shape",
    "sharing a lazy module": "nn.LazyLinear(3).share_memory()",
    # -- functional
    "functional_call": "r = torch.func.functional_call(net, {'scale': torch.zeros(1)}, (x,)), net.scale",
    "functional_call with keywords": "r = torch.func.functional_call(net, ({'scale': torch.ones(1)}, {'a.bias': torch.zeros(3)}), (x,), {'twice': True})",
    "functional_call gives twice": "torch.func.functional_call(net, ({'scale': torch.ones(1)}, {'scale': torch.zeros(1)}), (x,))",
    "functional_call strict": "torch.func.functional_call(net, {'scale': torch.ones(1)}, (x,), strict=True)",
    "functional_call unknown": "torch.func.functional_call(net, {'nothing': torch.ones(1)}, (x,), strict=True)",
    "functional_call ties": "net.c = net.a\nr = torch.func.functional_call(net, {'c.weight': torch.zeros(3, 2)}, (x,))",
    "functional_call gradient": "w = torch.ones(1, requires_grad=True); torch.func.functional_call(net, {'scale': w}, (x,)).sum().backward(); r = w.grad, net.scale.grad",
    "stateless": "r = nn.utils.stateless.functional_call(net, {'scale': torch.zeros(1)}, x)",
    # -- containers
    "Sequential slices": "s = nn.Sequential(nn.ReLU(), nn.Tanh(), nn.Sigmoid()); r = repr(s[1:]), repr(s[-1]), len(s), repr(s + s[:1]), repr(s * 2)",
    "Sequential edits": "s = nn.Sequential(nn.ReLU()); s.append(nn.Tanh()); s.insert(0, nn.Sigmoid()); s.extend([nn.GELU()]); p = s.pop(1); del s[0]; s[0] = nn.SiLU(); r = repr(s), repr(p)",
    "Sequential bad index": "nn.Sequential(nn.ReLU())[3]",
    "Sequential from a dict": "r = repr(nn.Sequential(OrderedDict(a=nn.ReLU(), b=nn.Tanh()))), [n for n, _ in nn.Sequential(OrderedDict(a=nn.ReLU())).named_children()]",
    "Sequential iadd": "s = nn.Sequential(nn.ReLU()); s += nn.Sequential(nn.Tanh()); s *= 2; r = repr(s)",
    "ModuleList edits": "s = nn.ModuleList([nn.ReLU()]); s.append(nn.Tanh()); s.insert(0, nn.Sigmoid()); s += [nn.GELU()]; del s[1]; s[-1] = nn.SiLU(); r = repr(s), len(s), repr(s[:2]), repr(s + [nn.ReLU()]), repr(s.pop(0))",
    "ModuleList forward": "nn.ModuleList([nn.ReLU()])(x)",
    "ModuleDict edits": "s = nn.ModuleDict({'a': nn.ReLU()}); s['b'] = nn.Tanh(); s.update([('c', nn.GELU())]); del s['a']; p = s.pop('b'); r = repr(s), repr(p), list(s), 'c' in s, [k for k, _ in s.items()]; s.clear(); log.append(len(s))",
    "ParameterList": "s = nn.ParameterList([torch.ones(1)]); s.append(torch.zeros(2)); s.extend([3]); r = len(s), [type(e).__name__ for e in s], [n for n, _ in s.named_parameters()], list(s.state_dict()), [type(e).__name__ for e in s[:2]]",
    "ParameterDict": "s = nn.ParameterDict({'a': torch.ones(1)}); s['b'] = torch.zeros(2); s['c'] = 3; t = s.copy(); u = s | {'d': torch.ones(1)}; p = s.pop('a'); r = list(s.keys()), list(t), list(u), p, s.get('zz', 4), s.setdefault('e', torch.ones(1)), list(s.fromkeys(['k'], torch.ones(1)).keys()), s.popitem()[0], list(reversed(s))",
    "ParameterDict of a wrong type": "nn.ParameterDict(3)",
    "ModuleDict of a wrong type": "nn.ModuleDict().update(3)",
    "compile": "m = nn.ReLU(); r = hasattr(m, 'compile')",
}  # fmt: skip


@pytest.mark.parametrize("name", PROGRAMS)
def test_module_programs(same, name):
    same(NET + PROGRAMS[name])
