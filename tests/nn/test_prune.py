"""Pruning: what does not need PyTorch to be checked."""

from __future__ import annotations

import pytest

import flambeau
from flambeau import nn
from flambeau.nn.utils import prune


def test_the_mask_holds_while_training():
    layer = nn.Linear(4, 1, bias=False)
    prune.l1_unstructured(layer, "weight", amount=2)
    held = layer.weight_mask == 0
    optimizer = flambeau.optim.SGD(layer.parameters(), lr=0.5)
    for _ in range(3):
        optimizer.zero_grad()
        layer(flambeau.ones(1, 4)).sum().backward()
        optimizer.step()
    layer(flambeau.ones(1, 4))
    assert bool((layer.weight[held] == 0).all())
    assert int(held.sum()) == 2


def test_a_refused_amount_leaves_the_module_as_it_was():
    layer = nn.Linear(2, 2)
    with pytest.raises(ValueError, match="should be smaller than the number of parameters to prune=4"):
        prune.l1_unstructured(layer, "weight", amount=5)
    assert sorted(layer.state_dict()) == ["bias", "weight"]
    prune.l1_unstructured(layer, "weight", amount=1)
    before = layer.weight_mask.clone()
    with pytest.raises(ValueError, match="smaller than the number"):
        prune.l1_unstructured(layer, "weight", amount=5)
    assert prune.is_pruned(layer)
    layer(flambeau.ones(1, 2))
    assert bool((layer.weight_mask == before).all())
    prune.remove(layer, "weight")
    assert int((layer.weight == 0).sum()) == 1


def test_an_own_method():
    class Even(prune.BasePruningMethod):
        PRUNING_TYPE = "unstructured"

        def compute_mask(self, t, default_mask):
            mask = default_mask.clone()
            mask.view(-1)[::2] = 0
            return mask

    layer = nn.Linear(4, 1)
    Even.apply(layer, "weight")
    assert layer.weight_mask.flatten().tolist() == [0, 1, 0, 1]
