"""`Module`: registration, state, hooks, conversion and what its errors say."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from collections import OrderedDict

import pytest

import flambeau
from flambeau import nn


class Net(nn.Module):
    """Two layers, a buffer that is saved, and one that is not."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.second = nn.Linear(4, 2, bias=False)
        self.register_buffer("scale", flambeau.ones(2))
        self.register_buffer("cache", flambeau.zeros(1), persistent=False)

    def forward(self, x):
        return self.second(self.first(x).relu()) * self.scale


def test_names_come_in_the_order_of_registration():
    net = Net()
    assert [name for name, _ in net.named_parameters()] == ["first.weight", "first.bias", "second.weight"]
    assert [name for name, _ in net.named_buffers()] == ["scale", "cache"]
    assert [name for name, _ in net.named_modules()] == ["", "first", "second"]
    assert list(net.state_dict()) == ["scale", "first.weight", "first.bias", "second.weight"]
    assert net.state_dict()._metadata["first"] == {"version": 1}


def test_parameters_are_ordinary_attributes_and_registered_ones():
    net = Net()
    weight = net.first.weight
    assert net.first.__dict__["weight"] is weight
    assert net.first._parameters["weight"] is weight
    other = nn.Parameter(flambeau.zeros(4, 3))
    net.first._parameters["weight"] = other
    assert net.first.weight is other
    del net.first._parameters["weight"]
    with pytest.raises(AttributeError, match="'Linear' object has no attribute 'weight'"):
        net.first.weight  # noqa: B018
    net.first.weight = weight
    assert net.first._parameters["weight"] is weight
    del net.first.bias
    assert "bias" not in net.first._parameters


def test_replacing_one_kind_by_another_moves_the_name():
    net = nn.Module()
    net.x = flambeau.zeros(1)
    net.x = nn.Parameter(flambeau.zeros(2))
    assert "x" in net._parameters
    net.x = None
    assert net._parameters == {"x": None}
    net.x = nn.Linear(1, 1)  # a parameter's name takes no module
