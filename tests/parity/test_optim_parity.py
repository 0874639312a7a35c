"""Optimisers against PyTorch: states exchanged between the libraries, and programs that must end the same way."""

from __future__ import annotations

import warnings

import pytest

import flambeau
from flambeau import nn, optim

pytestmark = pytest.mark.parity

KINDS = [
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    ("SGD", {"lr": 0.1}),
    ("Adam", {"lr": 0.05, "amsgrad": True, "weight_decay": 0.1}),
    ("AdamW", {"lr": 0.05}),
    ("Adagrad", {"lr": 0.1, "lr_decay": 0.1}),
    ("Adadelta", {}),
    ("Adafactor", {"weight_decay": 0.1}),
    ("RMSprop", {"momentum": 0.5, "centered": True}),
    ("Adamax", {}),
    ("NAdam", {}),
    ("RAdam", {}),
    ("ASGD", {"t0": 2, "lambd": 0.1}),
    ("Rprop", {"lr": 0.1}),
    ("Muon", {}),
    ("LBFGS", {"max_iter": 3, "history_size": 2}),
]


def carried(value, library):
    """A state dict of one library in tensors of the other."""
    if isinstance(value, dict):
        return {k: carried(v, library) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(carried(v, library) for v in value)
    if hasattr(value, "detach"):
        return library.from_numpy(value.detach().numpy().copy())
    return value


def advance(library, parameters, optimizer, steps, targets) -> None:
    """Steps on the squared distance from targets, which differ from step to step."""
    for k in range(steps):

        def closure(k=k):
            optimizer.zero_grad()
            loss = sum(((p - t * (k + 1)) ** 2).sum() for p, t in zip(parameters, targets))
            loss.backward()
            return loss

        optimizer.step(closure)


@pytest.mark.parametrize(("name", "options"), KINDS)
def test_training_goes_on_in_the_other_library(oracle, name, options):
    shapes = [(3, 4), (2, 5)] if name == "Muon" else [(3, 4), (5,), (2, 2, 3)]
    oracle.manual_seed(0)
    start = [oracle.randn(s, dtype=oracle.float64) for s in shapes]
    targets = [oracle.randn(s, dtype=oracle.float64) for s in shapes]
    sides = []
    for library in (flambeau, oracle):
        parameters = [library.nn.Parameter(carried(t, library)) for t in start]
        optimizer = getattr(library.optim, name)(parameters, **options)
        goals = [carried(t, library) for t in targets]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            advance(library, parameters, optimizer, 3, goals)
        sides.append((library, parameters, optimizer, goals))
    states = [optimizer.state_dict() for _, _, optimizer, _ in sides]
    values = [[p.detach().clone() for p in parameters] for _, parameters, _, _ in sides]
    for (library, parameters, optimizer, goals), state, value in zip(sides, states[::-1], values[::-1]):
        fresh = getattr(library.optim, name)(parameters, **options)
        fresh.load_state_dict(carried(state, library))
        with library.no_grad():
            for p, v in zip(parameters, carried(value, library)):
                p.copy_(v)
        advance(library, parameters, fresh, 3, goals)
    for ours, theirs in zip(sides[0][1], sides[1][1]):
        assert abs(ours.detach().numpy() - theirs.detach().numpy()).max() < 1e-9


@pytest.mark.parametrize(
    "name",
    ["SGD", "Adam", "AdamW", "Adagrad", "Adadelta", "RMSprop", "Adamax", "NAdam", "RAdam", "ASGD", "Rprop"],
)
def test_complex_parameters(oracle, name):
    oracle.manual_seed(0)
    start, gradient = (oracle.randn(4, dtype=oracle.complex64) for _ in range(2))
    found = []
    for library in (flambeau, oracle):
        p = library.nn.Parameter(carried(start, library))
        optimizer = getattr(library.optim, name)([p], lr=0.1)
        for _ in range(3):
            p.grad = carried(gradient, library)
            optimizer.step()
        found.append(p.detach().numpy())
    assert abs(found[0] - found[1]).max() < 1e-5


START = """
import copy, pickle
p, q = nn.Parameter(torch.ones(3)), nn.Parameter(torch.full((2,), 2.0))
def step(o, n=1):
    for _ in range(n):
        o.zero_grad()
        ((p * 3).sum() + (q * q).sum()).backward()
        o.step()
log = []
"""

PROGRAMS = {
    "groups": "o = torch.optim.SGD([{'params': [p], 'lr': 0.1}, {'params': q, 'weight_decay': 0.5}], lr=0.01, momentum=0.9)\n"
    "step(o, 3); r = p, q, [{k: v for k, v in g.items() if k != 'params'} for g in o.param_groups]",
    "add_param_group": "o = torch.optim.Adam([p], lr=0.1); step(o); o.add_param_group({'params': [q], 'lr': 0.5}); step(o, 2)\n"
    "r = p, q, len(o.param_groups), len(o.state)",
    "a parameter twice": "torch.optim.SGD([p, p], lr=0.1)",
    "a parameter in two groups": "torch.optim.SGD([{'params': p}, {'params': [p]}], lr=0.1)",
    "a set": "torch.optim.SGD([{'params': {p}}], lr=0.1)",
    "a tensor": "torch.optim.SGD(p, lr=0.1)",
    "no tensors": "torch.optim.SGD([1], lr=0.1)",
    "no leaf": "torch.optim.SGD([p * 2], lr=0.1)",
    "nothing": "torch.optim.SGD([], lr=0.1)",
    "nothing in a group": "o = torch.optim.SGD([{'params': []}], lr=0.1); o.step(); r = len(o.param_groups)",
    "group without params": "torch.optim.SGD([{'lr': 0.1}], lr=0.1)",
    "a group that is no dict": "torch.optim.SGD([p], lr=0.1).add_param_group([q])",
    "names": "o = torch.optim.SGD([('p', p), ('q', q)], lr=0.1); r = o.param_groups[0]['param_names'], o.state_dict()['param_groups'][0]['param_names']",
    "some names": "torch.optim.SGD([('p', p), q], lr=0.1)",
    "maximize": "o = torch.optim.AdamW([p, q], lr=0.1, maximize=True); step(o, 2); r = p, q",
    "accepted options": "o = torch.optim.Adam([p, q], foreach=True); step(o); o = torch.optim.Adam([p, q], fused=True); step(o)\n"
    "o = torch.optim.SGD([p, q], lr=0.1, fused=True); step(o); r = p, q",
    "fused and foreach": "torch.optim.Adam([p], fused=True, foreach=True)",
    "fused and differentiable": "torch.optim.Adam([p], fused=True, differentiable=True)",
    "differentiable": "x = torch.tensor([1.0, 2.0], requires_grad=True); w = x.clone(); w.retain_grad()\n"
    "o = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.1, differentiable=True); o.param_groups[0]['params'] = [w]\n"
    "w.grad = torch.ones(2); o.step(); w.sum().backward(); r = x.grad",
    "a tensor rate": "o = torch.optim.Adam([p, q], lr=torch.tensor(0.1)); step(o, 2); r = p, q, o.param_groups[0]['lr']",
    "closure": "o = torch.optim.SGD([p, q], lr=0.1)\ndef c():\n    o.zero_grad(); l = (p * p).sum(); l.backward(); return l\nr = o.step(c), p",
    "LBFGS": "o = torch.optim.LBFGS([p, q], line_search_fn='strong_wolfe')\ndef c():\n    o.zero_grad(); l = ((p - 3) ** 4).sum() + (q ** 2).sum(); l.backward(); return l\n"
    "r = o.step(c), p, q",
    "LBFGS groups": "torch.optim.LBFGS([{'params': [p]}, {'params': [q]}])",
    "LBFGS without a closure": "torch.optim.LBFGS([p]).step()",
    "hooks": "o = torch.optim.SGD([p, q], lr=0.1)\no.register_step_pre_hook(lambda o, a, k: log.append(('pre', a, k)))\n"
    "h = o.register_step_post_hook(lambda o, a, k: log.append('post'))\nstep(o); h.remove(); step(o); r = log",
    "a hook that changes the arguments": "o = torch.optim.SGD([p, q], lr=0.1)\no.register_step_pre_hook(lambda o, a, k: ((o, lambda: log.append('closure')), {}))\nstep(o); r = log",
    "state hooks": "o = torch.optim.SGD([p], lr=0.1, momentum=0.9)\n"
    "o.register_state_dict_pre_hook(lambda o: log.append('pre'))\n"
    "o.register_state_dict_post_hook(lambda o, d: {**d, 'extra': 1})\n"
    "o.register_load_state_dict_pre_hook(lambda o, d: log.append(sorted(d)))\n"
    "o.register_load_state_dict_post_hook(lambda o: log.append('loaded'))\no.load_state_dict(o.state_dict()); r = log, sorted(o.state_dict())",
    "another number of groups": "o = torch.optim.SGD([p], lr=0.1); d = o.state_dict(); d['param_groups'] *= 2; o.load_state_dict(d)",
    "another number of parameters": "torch.optim.SGD([p], lr=0.1).load_state_dict(torch.optim.SGD([p, q], lr=0.1).state_dict())",
    "loading keeps the types of parameters": "o = torch.optim.Adam([p]); p.grad = torch.ones(3); o.step(); d = o.state_dict()\n"
    "z = nn.Parameter(torch.ones(3, dtype=torch.float64)); o = torch.optim.Adam([z]); o.load_state_dict(d); s = o.state[z]\nr = s['exp_avg'].dtype, s['step'].dtype",
    "deepcopy": "o = torch.optim.Adam([p, q]); step(o); c = copy.deepcopy(o); r = c.state_dict()['state'], len(c.param_groups)",
    "pickle": "o = torch.optim.Adam([p, q]); step(o); c = pickle.loads(pickle.dumps(o)); r = c.state_dict()['state']",
    "zero_grad": "o = torch.optim.SGD([p, q], lr=0.1); step(o); o.zero_grad(set_to_none=False); a = p.grad; o.zero_grad(); r = a, p.grad",
    "repr": "r = repr(torch.optim.Adam([{'params': [p], 'lr': 0.1}, {'params': [q]}]))",
    "without gradients": "o = torch.optim.Adam([p, q]); o.step(); r = p, len(o.state)",
    "a frozen parameter": "q.requires_grad_(False); o = torch.optim.SGD([p, q], lr=0.1); p.grad = torch.ones(3); o.step(); r = p, q",
    "SparseAdam": "o = torch.optim.SparseAdam([p]); step(o)",
    "swapped in": "o = torch.optim.SGD([p], lr=0.1, momentum=0.9); p.grad = torch.ones(3); o.step(); z = torch.zeros(3, requires_grad=True); z.grad = torch.ones(3)\n"
    "d = copy.deepcopy(o.state_dict()); d['param_groups'][0]['lr'] = 1.0\n"
    "with torch.optim.swap_in_optimizer_params_and_state(o, {'z': z}, d): o.step()\nr = z, p, o.param_groups[0]['lr'], d['state'][0]['momentum_buffer'], o.param_groups[0]['params'][0] is p",
    **{
        f"{name} {option}={value}": f"torch.optim.{name}([p], {option}={value})"
        for name, option, value in [
            ("SGD", "lr", -1), ("SGD", "momentum", -1), ("SGD", "weight_decay", -1), ("SGD", "nesterov", True),
            ("Adam", "lr", -1), ("Adam", "eps", -1), ("Adam", "betas", "(1.0, 0.9)"), ("Adam", "betas", "(0.9, -0.1)"),
            ("Adam", "weight_decay", -1), ("AdamW", "lr", -0.5), ("Adagrad", "lr_decay", -1), ("Adadelta", "rho", 1.2),
            ("RMSprop", "alpha", -1), ("RMSprop", "momentum", -1), ("Adamax", "betas", "(0.0, 1.0)"), ("ASGD", "lr", -1),
            ("Rprop", "etas", "(1.0, 0.5)"), ("NAdam", "momentum_decay", -0.2), ("RAdam", "lr", -1),
            ("Adafactor", "beta2_decay", 0.2), ("Adafactor", "d", 0), ("Muon", "momentum", -1), ("LBFGS", "lr", -1),
        ]
    },
    # -- schedules
    "a bad step size": "torch.optim.lr_scheduler.StepLR(torch.optim.SGD([p], lr=0.1), 'a').step()",
    "no optimiser": "torch.optim.lr_scheduler.StepLR(3, 1)",
    "lambdas for groups": "torch.optim.lr_scheduler.LambdaLR(torch.optim.SGD([p], lr=0.1), [lambda e: 1, lambda e: 2])",
    "polynomial": "o = torch.optim.SGD([p], lr=0.1); s = torch.optim.lr_scheduler.OneCycleLR(o, 1.0)",
    "too many steps": "o = torch.optim.SGD([p], lr=0.1, momentum=0.9); s = torch.optim.lr_scheduler.OneCycleLR(o, 1.0, total_steps=2)\nfor _ in range(4): o.step(); s.step()",
    "momentum for a cycle": "torch.optim.lr_scheduler.CyclicLR(torch.optim.SGD([p], lr=0.1), 0.1, 1.0)",
    "sequential milestones": "o = torch.optim.SGD([p], lr=0.1); L = torch.optim.lr_scheduler\nL.SequentialLR(o, [L.ExponentialLR(o, 0.9)], milestones=[2, 3])",
    "sequential optimisers": "o, u = torch.optim.SGD([p], lr=0.1), torch.optim.SGD([q], lr=0.1); L = torch.optim.lr_scheduler\nL.SequentialLR(o, [L.ExponentialLR(o, 0.9), L.ExponentialLR(u, 0.9)], milestones=[2])",
    "chained nothing": "torch.optim.lr_scheduler.ChainedScheduler([])",
    "linear factors": "torch.optim.lr_scheduler.LinearLR(torch.optim.SGD([p], lr=0.1), start_factor=0)",
    "constant factor": "torch.optim.lr_scheduler.ConstantLR(torch.optim.SGD([p], lr=0.1), factor=2.0)",
    "plateau mode": "torch.optim.lr_scheduler.ReduceLROnPlateau(torch.optim.SGD([p], lr=0.1), mode='x')",
    "plateau factor": "torch.optim.lr_scheduler.ReduceLROnPlateau(torch.optim.SGD([p], lr=0.1), factor=1.0)",
    "warm restarts": "torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(torch.optim.SGD([p], lr=0.1), T_0=-1)",
    "resumed": "o = torch.optim.SGD([{'params': [p], 'initial_lr': 0.1}], lr=0.05); s = torch.optim.lr_scheduler.StepLR(o, 2, 0.5, last_epoch=3); a = s.get_last_lr()\no.step(); s.step(); r = a, s.get_last_lr(), s.state_dict()",
    "a tensor rate in a schedule": "o = torch.optim.Adam([p, q], lr=torch.tensor(0.1)); s = torch.optim.lr_scheduler.ExponentialLR(o, 0.5)\nfor _ in range(3): step(o); s.step()\nr = p, o.param_groups[0]['lr']",
    # -- averages
    "averaged model": "m = nn.Linear(2, 1); nn.init.ones_(m.weight); nn.init.zeros_(m.bias); a = torch.optim.swa_utils.AveragedModel(m)\n"
    "for k in range(3):\n    nn.init.constant_(m.weight, k); a.update_parameters(m)\nr = a.module.weight, a.n_averaged, a(torch.ones(1, 2)), list(a.state_dict())",
    "ema": "m = nn.Linear(2, 1); nn.init.ones_(m.weight); a = torch.optim.swa_utils.AveragedModel(m, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.5))\n"
    "for k in range(3):\n    nn.init.constant_(m.weight, k); a.update_parameters(m)\nr = a.module.weight",
    "swa rate": "o = torch.optim.SGD([p], lr=0.1); s = torch.optim.swa_utils.SWALR(o, swa_lr=0.5, anneal_epochs=4, anneal_strategy='linear')\nr = []\nfor _ in range(6): o.step(); s.step(); r.append(s.get_last_lr()[0])",
    "update_bn": "m = nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 1)); torch.optim.swa_utils.update_bn([torch.tensor([[1.0, 2.0], [3.0, 5.0]]), torch.tensor([[7.0, 2.0], [3.0, 1.0]])], m); r = m[0].running_mean, m[0].running_var",
}  # fmt: skip


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs(same, name):
    same(START + PROGRAMS[name])


_ = (nn, optim)
