"""Containers behave like the Python collections they resemble."""

from __future__ import annotations

from collections import OrderedDict

import pytest

import flambeau
from flambeau import nn


def layers(count: int) -> list[nn.Module]:
    return [nn.Linear(1, 1) for _ in range(count)]


def test_sequential_indexing_and_slicing():
    made = layers(4)
    net = nn.Sequential(*made)
    assert net[0] is made[0]
    assert net[-1] is made[3]
    assert list(net[1:3]) == made[1:3]
    assert isinstance(net[1:3], nn.Sequential)
    with pytest.raises(IndexError, match="index 4 is out of range"):
        net[4]
    net[1] = made[3]
    assert net[1] is made[3]
    del net[0]
    assert len(net) == 3
    assert list(net._modules) == ["0", "1", "2"]


def test_sequential_growing():
    made = layers(6)
    net = nn.Sequential(made[0])
    assert net.append(made[1]) is net
    net.extend(made[2:4]).insert(0, made[4])
    assert list(net) == [made[4], *made[:4]]
    assert net.pop(0) is made[4]
    assert list(nn.Sequential(made[0]) + nn.Sequential(made[1])) == made[:2]
    net += nn.Sequential(made[5])
    assert net[-1] is made[5]
    assert list(nn.Sequential(made[0]) * 3) == [made[0]] * 3
    with pytest.raises(ValueError, match="add operator supports only objects of Sequential class"):
        net + [made[0]]
    with pytest.raises(ValueError, match="Non-positive multiplication factor"):
        net * 0


def test_sequential_with_names():
    net = nn.Sequential(OrderedDict(a=nn.ReLU(), b=nn.Tanh(), c=nn.ReLU()))
    assert net.b is net[1]
    del net[0]
    assert list(net._modules) == ["b", "c"]
    assert list(net[1:]._modules) == ["c"]


def test_module_list():
    made = layers(5)
    modules = nn.ModuleList(made[:2])
    modules.append(made[2])
    modules.extend(iter(made[3:4]))
    modules.insert(0, made[4])
    assert list(modules) == [made[4], *made[:4]]
    assert list(modules[1:3]) == made[:2]
    del modules[1:3]
    assert list(modules) == [made[4], made[2], made[3]]
    assert modules.pop(-1) is made[3]
    assert len(modules + made[:1]) == 3
    assert len(list(modules.parameters())) == 4
    with pytest.raises(TypeError, match="should be called with an iterable"):
        modules.extend(3)


def test_module_dict():
    made = layers(4)
    modules = nn.ModuleDict({"a": made[0], "b": made[1]})
    modules["c"] = made[2]
    modules.update([("d", made[3])])
    assert list(modules) == ["a", "b", "c", "d"]
    assert list(modules.values()) == made
    assert "a" in modules
    assert modules.pop("a") is made[0]
    del modules["b"]
    assert dict(modules.items()) == {"c": made[2], "d": made[3]}
    modules.clear()
    assert len(modules) == 0
    with pytest.raises(ValueError, match="has length 3; 2 is required"):
        modules.update([(1, 2, 3)])
    with pytest.raises(TypeError, match="should be called with an iterable"):
        modules.update(3)


def test_parameter_list_makes_parameters_of_tensors_and_keeps_other_values():
    values = nn.ParameterList([flambeau.zeros(2), nn.Parameter(flambeau.zeros(3))])
    assert all(isinstance(value, nn.Parameter) for value in values)
    values.append("text")
    assert values[2] == "text"
    values[0] = flambeau.ones(2)
    assert values[0].sum().item() == 2
    assert len(values[:2]) == 2
    assert len(list(values.parameters())) == 2
    values += [flambeau.zeros(1)]
    assert len(values) == 4
    assert "(2): Object of type: str" in repr(values)


def test_parameter_dict():
    values = nn.ParameterDict({"b": flambeau.zeros(2), "a": nn.Parameter(flambeau.zeros(3))})
    assert list(values) == ["a", "b"]
    assert isinstance(values["b"], nn.Parameter)
    values["c"] = 3
    assert values.get("c") == 3
    assert values.get("d") is None
    assert values.setdefault("d", flambeau.zeros(1)) is values["d"]
    assert values.pop("c") == 3
    assert set((values | nn.ParameterDict({"z": flambeau.zeros(1)})).keys()) == {"a", "b", "d", "z"}
    assert values.popitem()[0] == "d"
    values.clear()
    assert len(values) == 0
    with pytest.raises(TypeError, match="cannot be used as a key"):
        values[0] = flambeau.zeros(1)
