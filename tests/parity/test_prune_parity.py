"""Pruning against PyTorch: masks, random ones too, and refusals."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.parity

START = """
import copy
from importlib import import_module
prune = import_module(nn.__name__ + ".utils.prune")
torch.manual_seed(0)
m = nn.Linear(3, 4)
with torch.no_grad():
    m.weight.copy_(torch.arange(12.0).reshape(4, 3) - 5.2)
    m.bias.copy_(torch.arange(4.0))
"""

PROGRAMS = [
    "r = prune.l1_unstructured(m, 'weight', 0.25).weight_mask, m.weight, sorted(m.state_dict()), type(m.weight).__name__",
    "prune.l1_unstructured(m, 'weight', 0.25); prune.ln_structured(m, 'weight', 1, n=2, dim=0)\n"
    "h = list(m._forward_pre_hooks.values()); r = m.weight, type(h[0]).__name__, len(h[0]), m(torch.ones(3))",
    "r = prune.random_unstructured(m, 'bias', 2).bias_mask, prune.random_structured(m, 'weight', 1, dim=1).weight_mask",
    "prune.random_structured(m, 'weight', 1, dim=1); prune.l1_unstructured(m, 'weight', 2); r = m.weight_mask",
    "prune.l1_unstructured(m, 'weight', 5); a = prune.is_pruned(m); prune.remove(m, 'weight')\n"
    "r = a, prune.is_pruned(m), m.weight, [n for n, _ in m.named_parameters()]",
    "c = nn.Conv2d(2, 2, 2)\nwith torch.no_grad(): c.weight.copy_(torch.arange(16.0).reshape(2, 2, 2, 2) - 3.5)\n"
    "prune.global_unstructured([(m, 'weight'), (c, 'weight')], pruning_method=prune.L1Unstructured, amount=0.4)\n"
    "r = m.weight_mask, c.weight_mask",
    "r = prune.identity(m, 'bias').bias_mask, prune.custom_from_mask(m, 'weight', torch.eye(4, 3)).weight_mask",
    "r = prune.L1Unstructured(2).prune(torch.tensor([3.0, 1.0, -2.0, 5.0])), prune.LnStructured(1, n=float('inf'), dim=0)"
    ".prune(torch.tensor([[3.0, 1.0], [-2.0, 5.0], [1.0, 1.0]]))",
    "r = prune.l1_unstructured(m, 'bias', 1, importance_scores=torch.tensor([5.0, 4.0, 1.0, 9.0])).bias_mask",
    "r = prune.l1_unstructured(m, 'weight', 0).weight_mask",
    "prune.l1_unstructured(m, 'weight', 3); m(torch.ones(2, 3)).sum().backward(); r = m.weight_orig.grad",
    "prune.l1_unstructured(m, 'weight', -1)",
    "prune.l1_unstructured(m, 'weight', 1.5)",
    "prune.l1_unstructured(m, 'weight', 'a')",
    "prune.l1_unstructured(m, 'weight', 100)",
    "prune.ln_structured(m, 'weight', 100, n=2, dim=0)",
    "prune.ln_structured(m, 'weight', 1, n=2, dim=5)",
    "prune.random_structured(m, 'bias', 1, dim=0)",
    "prune.remove(m, 'weight')",
    "prune.global_unstructured(m, pruning_method=prune.L1Unstructured, amount=1)",
    "prune.custom_from_mask(m, 'weight', torch.ones(2, 2))",
    "prune.L1Unstructured.apply(m, 'weight', 1, importance_scores=torch.ones(2))",
    "prune.BasePruningMethod()",
]


@pytest.mark.parametrize("program", PROGRAMS)
def test_pruning(same, program):
    same(START + program)
