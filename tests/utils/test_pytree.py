"""Nested containers taken apart and put together."""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque, namedtuple
from dataclasses import dataclass

import pytest

import flambeau as torch
from flambeau.utils import _pytree as pytree

Point = namedtuple("Point", "x y")
TREES = [
    1,
    None,
    [],
    (),
    {},
    [1, (2, 3), {"a": 4, "b": [5]}],
    OrderedDict([("b", 1), ("a", (2,))]),
    defaultdict(list, {"k": [1, 2]}),
    deque([1, [2]], maxlen=4),
    Point(1, {"z": 2}),
    (torch.ones(2), {"w": torch.zeros(1)}),
]


@pytest.mark.parametrize("tree", TREES, ids=lambda t: type(t).__name__)
def test_apart_and_together(tree):
    leaves, spec = pytree.tree_flatten(tree)
    again = pytree.tree_unflatten(leaves, spec)
    assert type(again) is type(tree)
    assert str(again) == str(tree)
    assert pytree.tree_structure(again) == spec
    assert hash(spec) == hash(pytree.tree_structure(tree))
    assert spec.num_leaves == len(leaves) == len(pytree.tree_leaves(tree))
    paths, same = pytree.tree_flatten_with_path(tree)
    assert same == spec
    assert all(pytree.key_get(tree, path) is leaf for path, leaf in paths)
    if not isinstance(tree, (defaultdict, Point)):
        assert pytree.treespec_loads(pytree.treespec_dumps(spec)) == spec


def test_map_over_several():
    a, b = {"x": 1, "y": [2, 3]}, {"y": [20, 30], "x": 10}
    assert pytree.tree_map(lambda p, q: p + q, a, b) == {"x": 11, "y": [22, 33]}
    assert pytree.tree_map(
        lambda t: len(t), [[1, 2], [3]], is_leaf=lambda t: t and not isinstance(t[0], list)
    ) == [2, 1]
    assert pytree.tree_map_only(int, lambda n: -n, [1, "a", 2.0]) == [-1, "a", 2.0]
    assert pytree.tree_map_only((int, float), lambda n: -n, [1, "a", 2.0]) == [-1, "a", -2.0]
    assert pytree.tree_any(lambda n: n > 2, a)
    assert not pytree.tree_all(lambda n: n > 2, a)
    seen = []
    assert pytree.tree_map_(seen.append, a) is a
    assert seen == [1, 2, 3]
    assert pytree._broadcast_to_and_flatten(0, pytree.tree_structure(a)) == [0, 0, 0]
    assert pytree._broadcast_to_and_flatten({"x": 0, "y": 1}, pytree.tree_structure(a)) == [0, 1, 1]
    assert pytree._broadcast_to_and_flatten([0], pytree.tree_structure(a)) is None
    result = pytree.tree_map(lambda t: t * 2, torch.tensor([3.0, 1.0]).sort())
    assert result.values.tolist() == [2.0, 6.0]


@pytest.mark.parametrize(
    ("other", "text"),
    [([1], "Node arity mismatch"), ((1, 2), "Type mismatch"), ([1, [2]], None), ([1, 2, 3], "arity")],
)
def test_trees_that_do_not_fit(other, text):
    spec = pytree.tree_structure([0, 0])
    if text is None:
        assert spec.flatten_up_to(other) == [1, [2]]
        return
    with pytest.raises(ValueError, match=text):
        pytree.tree_map(lambda a, b: a, [1, 2], other)
    with pytest.raises(ValueError, match="keys mismatch"):
        pytree.tree_map(lambda a, b: a, {"a": 1}, {"b": 1})
    with pytest.raises(ValueError, match="has length 1 but the spec refers to a pytree that holds 2 items"):
        spec.unflatten([1])


def test_classes_of_one_s_own():
    class Pair:
        def __init__(self, a, b):
            self.a, self.b = a, b

    @dataclass
    class Config:
        rate: float
        layers: list

    try:
        pytree.register_pytree_node(Pair, lambda p: ([p.a, p.b], None), lambda c, _: Pair(*c))
        pytree.register_dataclass(Config)
        assert pytree.tree_leaves([Pair(1, (2, 3)), 4]) == [1, 2, 3, 4]
        assert pytree.tree_map(lambda v: v + 1, Config(1, [2])) == Config(2, [3])
        assert pytree.tree_map_with_path(lambda p, v: pytree.keystr(p), {"c": Config(1, [2])}) == {
            "c": Config("['c'].rate", ["['c'].layers[0]"])
        }
        with pytest.raises(ValueError, match="already registered"):
            pytree.register_pytree_node(Pair, list, list)
        with pytest.raises(ValueError, match="flatten_with_keys_fn"):
            pytree.tree_flatten_with_path(Pair(1, 2))
    finally:
        for kind in (Pair, Config):
            if kind in pytree.SUPPORTED_NODES:
                pytree._deregister_pytree_node(kind)
    assert pytree.tree_leaves(Pair) == [Pair]
