"""Nested containers of values: taken apart into a list of leaves and a spec, and put together again.

>>> leaves, spec = tree_flatten({"a": 1, "b": [2, (3, None)]})
>>> leaves
[1, 2, 3, None]
>>> tree_unflatten([10, 20, 30, 40], spec)
{'a': 10, 'b': [20, (30, 40)]}
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque, namedtuple
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from ._tree_paths import GetAttrKey, KeyEntry, KeyPath, MappingKey, SequenceKey, keystr

__all__ = [
    "Context", "GetAttrKey", "KeyEntry", "KeyPath", "LeafSpec", "MappingKey", "PyTree", "SequenceKey", "TreeSpec",
    "key_get", "keystr", "register_constant", "register_dataclass", "register_pytree_node", "tree_all", "tree_all_only",
    "tree_any", "tree_any_only", "tree_flatten", "tree_flatten_with_path", "tree_iter", "tree_leaves",
    "tree_leaves_with_path", "tree_map", "tree_map_", "tree_map_only", "tree_map_only_", "tree_map_with_path",
    "tree_structure", "tree_unflatten", "treespec_dumps", "treespec_loads", "treespec_pprint",
]  # fmt: skip

PyTree = Any
Context = Any


class NodeDef(NamedTuple):
    """How a type of container is taken apart and put together."""

    type: type
    flatten_fn: Callable[[Any], tuple[list, Any]]
    unflatten_fn: Callable[[Iterable, Any], Any]
    flatten_with_keys_fn: Callable | None


class SerializeNodeDef(NamedTuple):
    """The name of a type of container in a spec as text, and its context's form there."""

    typ: type
    serialized_type_name: str
    to_dumpable_context: Callable | None
    from_dumpable_context: Callable | None


SUPPORTED_NODES: dict[type, NodeDef] = {}
SUPPORTED_SERIALIZED_TYPES: dict[type, SerializeNodeDef] = {}
SERIALIZED_TYPE_TO_PYTHON_TYPE: dict[str, type] = {}
CONSTANT_NODES: set[type] = set()
BUILTIN_TYPES: frozenset[type] = frozenset((tuple, list, dict, namedtuple, OrderedDict, defaultdict, deque))  # type: ignore[arg-type]


def register_pytree_node(
    cls: type, flatten_fn: Callable, unflatten_fn: Callable, *, serialized_type_name: str | None = None,
    to_dumpable_context: Callable | None = None, from_dumpable_context: Callable | None = None,
    flatten_with_keys_fn: Callable | None = None,
) -> None:  # fmt: skip
    """Make a class a container.

    flatten_fn(x) gives its children and a context; unflatten_fn(children, context) makes it again.

    Raises: ValueError when the class is registered already.
    """
    if cls in SUPPORTED_NODES:
        raise ValueError(f"{cls} is already registered as pytree node.")
    _register_pytree_node(
        cls, flatten_fn, unflatten_fn, serialized_type_name=serialized_type_name,
        to_dumpable_context=to_dumpable_context, from_dumpable_context=from_dumpable_context,
        flatten_with_keys_fn=flatten_with_keys_fn,
    )  # fmt: skip


def _register_pytree_node(
    cls: type, flatten_fn: Callable, unflatten_fn: Callable, *, serialized_type_name: str | None = None,
    to_dumpable_context: Callable | None = None, from_dumpable_context: Callable | None = None,
    flatten_with_keys_fn: Callable | None = None, **unused: Any,
) -> None:  # fmt: skip
    SUPPORTED_NODES[cls] = NodeDef(cls, flatten_fn, unflatten_fn, flatten_with_keys_fn)
    name = serialized_type_name or f"{cls.__module__}.{cls.__qualname__}"
    SUPPORTED_SERIALIZED_TYPES[cls] = SerializeNodeDef(cls, name, to_dumpable_context, from_dumpable_context)
    SERIALIZED_TYPE_TO_PYTHON_TYPE[name] = cls


_private_register_pytree_node = _register_pytree_node


def _deregister_pytree_node(cls: type) -> None:
    del SUPPORTED_NODES[cls]
    del SERIALIZED_TYPE_TO_PYTHON_TYPE[SUPPORTED_SERIALIZED_TYPES.pop(cls).serialized_type_name]


def register_constant(cls: type) -> None:
    """Make a class a container without children: its values are part of the spec."""
    _register_pytree_node(cls, lambda x: ([], x), lambda _, x: x, flatten_with_keys_fn=lambda x: ([], x))
    CONSTANT_NODES.add(cls)


def is_constant_class(cls: type) -> bool:
    """Whether `register_constant` was called for a class."""
    return cls in CONSTANT_NODES


def register_dataclass(
    cls: type, *, field_names: list[str] | None = None, drop_field_names: list[str] | None = None,
    serialized_type_name: str | None = None,
) -> None:  # fmt: skip
    """Make a dataclass a container of its fields."""
    import dataclasses

    names = field_names or [f.name for f in dataclasses.fields(cls) if f.name not in (drop_field_names or ())]
    _register_pytree_node(
        cls,
        lambda x: ([getattr(x, n) for n in names], names),
        lambda children, names: cls(**dict(zip(names, children))),
        serialized_type_name=serialized_type_name,
        flatten_with_keys_fn=lambda x: ([(GetAttrKey(n), getattr(x, n)) for n in names], names),
    )


# -- the built-in containers -----------------------------------------------------------------------------------------


def _with_indices(x: Any) -> tuple[list, Any]:
    children, context = SUPPORTED_NODES[_node_type(x)].flatten_fn(x)
    return [(SequenceKey(k), child) for k, child in enumerate(children)], context


def _with_keys(x: Any) -> tuple[list, Any]:
    return [(MappingKey(k), child) for k, child in x.items()], SUPPORTED_NODES[type(x)].flatten_fn(x)[1]


def _with_names(x: Any) -> tuple[list, Any]:
    return [(GetAttrKey(n), getattr(x, n)) for n in x._fields], type(x)


def _as(cls: Callable) -> Callable:
    return lambda children, _: cls(children)


def _from_keys(children: Iterable, keys: Any) -> dict:
    return dict(zip(keys, children))


_BUILT_IN: list[tuple] = [
    (tuple, lambda x: (list(x), None), _as(tuple), _with_indices),
    (list, lambda x: (x, None), _as(list), _with_indices),
    (dict, lambda x: (list(x.values()), list(x)), _from_keys, _with_keys),
    (namedtuple, lambda x: (list(x), type(x)), lambda c, kind: kind(*c), _with_names),
    (OrderedDict, lambda x: (list(x.values()), list(x)), lambda c, k: OrderedDict(zip(k, c)), _with_keys),
    (
        defaultdict,
        lambda x: (list(x.values()), [x.default_factory, list(x)]),
        lambda c, context: defaultdict(context[0], zip(context[1], c)),
        _with_keys,
    ),
    (deque, lambda x: (list(x), x.maxlen), lambda c, longest: deque(c, maxlen=longest), _with_indices),
]
for _type, _flatten, _unflatten, _keyed in _BUILT_IN:
    _register_pytree_node(_type, _flatten, _unflatten, flatten_with_keys_fn=_keyed)


_tuple_flatten, _tuple_unflatten, _tuple_flatten_with_keys = _BUILT_IN[0][1:]
_list_flatten, _list_unflatten, _list_flatten_with_keys = _BUILT_IN[1][1:]
_dict_flatten, _dict_unflatten, _dict_flatten_with_keys = _BUILT_IN[2][1:]
_namedtuple_flatten, _namedtuple_unflatten, _namedtuple_flatten_with_keys = _BUILT_IN[3][1:]
_odict_flatten, _odict_unflatten = _ordereddict_flatten, _ordereddict_unflatten = _BUILT_IN[4][1:3]
_odict_flatten_with_keys = _ordereddict_flatten_with_keys = _with_keys
_defaultdict_flatten, _defaultdict_unflatten, _defaultdict_flatten_with_keys = _BUILT_IN[5][1:]


def _is_namedtuple_instance(x: Any) -> bool:
    kind = type(x)
    return kind.__bases__ == (tuple,) and isinstance(getattr(kind, "_fields", None), tuple)


is_namedtuple = is_namedtuple_instance = _is_namedtuple_instance


def _node_type(x: Any) -> Any:
    """The registered type of a container; None for a leaf."""
    kind = type(x)
    if kind in SUPPORTED_NODES:
        return kind
    if isinstance(x, tuple):
        if _is_namedtuple_instance(x):
            return namedtuple
        from ..return_types import Structure

        if isinstance(x, Structure):
            _register_pytree_node(
                kind,
                lambda r: (list(r), None),
                lambda c, _: kind(tuple(c)),
                flatten_with_keys_fn=_with_indices,
            )
            return kind
    return None


_get_node_type = _node_type


def _is_leaf(x: Any, is_leaf: Callable | None = None) -> bool:
    return (is_leaf is not None and is_leaf(x)) or _node_type(x) is None


# -- specs -----------------------------------------------------------------------------------------------------------


@dataclass(init=False, repr=False)
class TreeSpec:
    """The shape of a tree: the type of its root, a context that the type needs, and the specs of the children."""

    type: Any
    _context: Any
    _children: list[TreeSpec]

    def __init__(self, type: Any, context: Any = None, children_specs: Iterable[TreeSpec] = ()):
        self.type, self._context, self._children = type, context, list(children_specs)
        self.num_nodes = 1 + sum(c.num_nodes for c in self._children)
        self.num_leaves = sum(c.num_leaves for c in self._children)
        self.num_children = len(self._children)

    @property
    def context(self) -> Any:
        """What the type needs besides the children, such as the keys of a dict."""
        return self._context

    @property
    def children_specs(self) -> list[TreeSpec]:
        """Specs of the children."""
        return self._children

    def children(self) -> list[TreeSpec]:
        """Specs of the children."""
        return self._children

    def child(self, index: int) -> TreeSpec:
        """The spec of one child."""
        return self._children[index]

    def is_leaf(self) -> bool:
        """Whether the tree is a single leaf."""
        return False

    def __hash__(self) -> int:
        context = tuple(self._context) if isinstance(self._context, list) else self._context
        if self.type is defaultdict:
            context = (context[0], tuple(context[1]))
        return hash((self.type, context, tuple(self._children)))

    def __repr__(self, indent: int = 0) -> str:
        inner = ("," + "\n" + " " * (indent + 2)).join(c.__repr__(indent + 2) for c in self._children)
        return f"TreeSpec({self.type.__name__}, {self._context}, [{inner}])"

    def flatten_up_to(self, tree: Any) -> list:
        """The parts of a tree that stand where this spec has leaves."""
        found: list = []
        self._collect(tree, found)
        return found

    def _collect(self, tree: Any, found: list) -> None:
        kind = _node_type(tree)
        both_dicts = kind in _DICTS and self.type in _DICTS
        if kind is not self.type and not both_dicts:
            raise ValueError(f"Type mismatch; expected {self.type!r}, but got {kind!r}.")
        children, context = SUPPORTED_NODES[kind].flatten_fn(tree)
        if len(children) != self.num_children:
            raise ValueError(f"Node arity mismatch; expected {self.num_children}, but got {len(children)}.")
        if both_dicts:
            keys = self._context[1] if self.type is defaultdict else self._context
            if set(keys) != set(tree):
                raise ValueError(f"Node keys mismatch; expected {list(keys)!r}, but got {list(tree)!r}.")
            children = [tree[k] for k in keys]
        elif context != self._context and kind is not deque:
            raise ValueError(f"Node context mismatch for custom node type {self.type!r}.")
        for spec, child in zip(self._children, children):
            spec._collect(child, found)

    def unflatten(self, leaves: Iterable) -> Any:
        """The tree with these leaves."""
        leaves = list(leaves)
        if len(leaves) != self.num_leaves:
            raise ValueError(
                f"treespec.unflatten(leaves): `leaves` has length {len(leaves)} but the spec refers to a pytree that holds "
                f"{self.num_leaves} items ({self})."
            )
        return self._build(iter(leaves))

    def _build(self, leaves: Iterator) -> Any:
        return SUPPORTED_NODES[self.type].unflatten_fn(
            [c._build(leaves) for c in self._children], self._context
        )


_DICTS = (dict, OrderedDict, defaultdict)


class LeafSpec(TreeSpec):
    """The spec of a leaf."""

    def __init__(self) -> None:
        super().__init__(None, None, [])
        self.num_leaves = 1

    def is_leaf(self) -> bool:
        """Whether the tree is a single leaf."""
        return True

    def __repr__(self, indent: int = 0) -> str:
        return "*"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LeafSpec)

    def __hash__(self) -> int:
        return hash(LeafSpec)

    def _collect(self, tree: Any, found: list) -> None:
        found.append(tree)

    def _build(self, leaves: Iterator) -> Any:
        return next(leaves)


_LEAF_SPEC = LeafSpec()

# -- taking apart and putting together -------------------------------------------------------------------------------


def tree_flatten(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> tuple[list, TreeSpec]:
    """The leaves of a tree, and its spec. `is_leaf` may end the descent early."""
    leaves: list = []

    def walk(node: Any) -> TreeSpec:
        kind = None if is_leaf is not None and is_leaf(node) else _node_type(node)
        if kind is None:
            leaves.append(node)
            return _LEAF_SPEC
        children, context = SUPPORTED_NODES[kind].flatten_fn(node)
        return TreeSpec(kind, context, [walk(child) for child in children])

    return leaves, walk(tree)


def tree_unflatten(leaves: Iterable, treespec: TreeSpec) -> Any:
    """The tree of a spec with these leaves."""
    if not isinstance(treespec, TreeSpec):
        raise TypeError(
            f"tree_unflatten(leaves, treespec): Expected `treespec` to be instance of TreeSpec but got item of type "
            f"{type(treespec)}."
        )
    return treespec.unflatten(leaves)


def tree_iter(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> Iterator:
    """The leaves, one by one."""
    kind = None if is_leaf is not None and is_leaf(tree) else _node_type(tree)
    if kind is None:
        yield tree
        return
    for child in SUPPORTED_NODES[kind].flatten_fn(tree)[0]:
        yield from tree_iter(child, is_leaf)


def tree_leaves(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> list:
    """The leaves."""
    return list(tree_iter(tree, is_leaf))


def tree_structure(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> TreeSpec:
    """The spec."""
    return tree_flatten(tree, is_leaf)[1]


def arg_tree_leaves(*args: Any, **kwargs: Any) -> list:
    """The leaves of some arguments."""
    return [leaf for one in (*args, *kwargs.values()) for leaf in tree_iter(one)]


def tree_map(func: Callable, tree: Any, *rests: Any, is_leaf: Callable[[Any], bool] | None = None) -> Any:
    """The tree with ``func(leaf, ...)`` for each leaf; further trees give further arguments.

    >>> tree_map(lambda x, y: x * y, [1, {"a": 2}], [3, {"a": 4}])
    [3, {'a': 8}]
    """
    leaves, spec = tree_flatten(tree, is_leaf)
    columns = [leaves, *(spec.flatten_up_to(rest) for rest in rests)]
    return spec.unflatten(map(func, *columns))


def tree_map_(func: Callable, tree: Any, *rests: Any, is_leaf: Callable[[Any], bool] | None = None) -> Any:
    """Call ``func(leaf, ...)`` for each leaf; gives the tree itself."""
    leaves, spec = tree_flatten(tree, is_leaf)
    for one in zip(leaves, *(spec.flatten_up_to(rest) for rest in rests)):
        func(*one)
    return tree


def map_only(type_or_types_or_pred: Any, /) -> Callable[[Callable], Callable]:
    """Decorate a function so that it leaves values of other types as they are."""
    import types

    chosen = type_or_types_or_pred
    if isinstance(chosen, (type, tuple, types.UnionType)):

        def fits(x: Any) -> bool:
            return isinstance(x, chosen)

    elif callable(chosen):

        def fits(x: Any) -> bool:
            return bool(chosen(x))
    else:
        raise TypeError("Argument must be a type, a tuple of types, or a callable.")
    return lambda func: lambda x: func(x) if fits(x) else x


def tree_map_only(
    which: Any, /, func: Callable, tree: Any, is_leaf: Callable[[Any], bool] | None = None
) -> Any:
    """`tree_map` over the leaves of a type (or that a test accepts)."""
    return tree_map(map_only(which)(func), tree, is_leaf=is_leaf)


def tree_map_only_(
    which: Any, /, func: Callable, tree: Any, is_leaf: Callable[[Any], bool] | None = None
) -> Any:
    """`tree_map_` over the leaves of a type (or that a test accepts)."""
    return tree_map_(map_only(which)(func), tree, is_leaf=is_leaf)


def tree_all(pred: Callable, tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> bool:
    """Whether a test accepts all leaves."""
    return all(map(pred, tree_iter(tree, is_leaf)))


def tree_any(pred: Callable, tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> bool:
    """Whether a test accepts any leaf."""
    return any(map(pred, tree_iter(tree, is_leaf)))


def tree_all_only(
    which: Any, /, pred: Callable, tree: Any, is_leaf: Callable[[Any], bool] | None = None
) -> bool:
    """Whether a test accepts all leaves of a type."""
    return all(pred(x) for x in tree_iter(tree, is_leaf) if isinstance(x, which))


def tree_any_only(
    which: Any, /, pred: Callable, tree: Any, is_leaf: Callable[[Any], bool] | None = None
) -> bool:
    """Whether a test accepts any leaf of a type."""
    return any(pred(x) for x in tree_iter(tree, is_leaf) if isinstance(x, which))


def _broadcast_to_and_flatten(
    tree: Any, treespec: TreeSpec, is_leaf: Callable[[Any], bool] | None = None
) -> list | None:
    """The leaves of a tree that may be shallower than the spec: a leaf stands for all below; None where they differ."""
    if _is_leaf(tree, is_leaf):
        return [tree] * treespec.num_leaves
    if treespec.is_leaf():
        return None
    kind = _node_type(tree)
    if kind is not treespec.type:
        return None
    children, context = SUPPORTED_NODES[kind].flatten_fn(tree)
    if len(children) != treespec.num_children or context != treespec.context:
        return None
    found: list = []
    for child, spec in zip(children, treespec.children()):
        one = _broadcast_to_and_flatten(child, spec, is_leaf)
        if one is None:
            return None
        found += one
    return found


# -- with paths ------------------------------------------------------------------------------------------------------


def _with_path(tree: Any, path: tuple, is_leaf: Callable | None) -> Iterator[tuple[tuple, Any]]:
    kind = None if is_leaf is not None and is_leaf(tree) else _node_type(tree)
    if kind is None:
        yield path, tree
        return
    keyed = SUPPORTED_NODES[kind].flatten_with_keys_fn
    if keyed is None:
        raise ValueError(
            f"Did not find a flatten_with_keys_fn for type: {kind}. Please pass a flatten_with_keys_fn argument to register_pytree_node."
        )
    for key, child in keyed(tree)[0]:
        yield from _with_path(child, (*path, key), is_leaf)


def tree_flatten_with_path(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> tuple[list, TreeSpec]:
    """Pairs of path and leaf, and the spec."""
    spec = tree_structure(tree, is_leaf)
    return list(_with_path(tree, (), is_leaf)), spec


def tree_leaves_with_path(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> list:
    """Pairs of path and leaf."""
    return list(_with_path(tree, (), is_leaf))


def tree_map_with_path(
    func: Callable, tree: Any, *rests: Any, is_leaf: Callable[[Any], bool] | None = None
) -> Any:
    """`tree_map` with ``func(path, leaf, ...)``.

    >>> tree_map_with_path(lambda path, x: keystr(path), {"a": [1, 2]})
    {'a': ["['a'][0]", "['a'][1]"]}
    """
    pairs, spec = tree_flatten_with_path(tree, is_leaf)
    columns = list(zip(*pairs)) if pairs else [(), ()]
    return spec.unflatten(map(func, *columns, *(spec.flatten_up_to(rest) for rest in rests)))


def key_get(obj: Any, kp: Iterable) -> Any:
    """The part of a tree at a path."""
    for key in kp:
        obj = key.get(obj)
    return obj


# -- specs as text ---------------------------------------------------------------------------------------------------


def treespec_dumps(treespec: TreeSpec, protocol: int | None = None) -> str:
    """A spec as JSON."""
    import json

    from ._tree_text import to_plain

    if not isinstance(treespec, TreeSpec):
        raise TypeError(
            f"treespec_dumps(treespec, protocol): Expected `treespec` to be instance of TreeSpec but got item of type "
            f"{type(treespec)}."
        )
    return json.dumps([1, to_plain(treespec)])


def treespec_loads(serialized: str) -> TreeSpec:
    """A spec from its JSON."""
    import json

    from ._tree_text import from_plain

    protocol, plain = json.loads(serialized)
    if protocol != 1:
        raise NotImplementedError(f"Unknown protocol: {protocol}. Available protocols: [1]")
    return from_plain(plain)


def treespec_pprint(treespec: TreeSpec) -> str:
    """A spec as the text of a tree whose leaves are ``*``."""
    import pprint

    class Star:
        def __repr__(self) -> str:
            return "*"

    return pprint.pformat(treespec.unflatten([Star()] * treespec.num_leaves))


def pytree_to_str(treespec: TreeSpec) -> str:
    """A spec as JSON."""
    return treespec_dumps(treespec)


def str_to_pytree(text: str) -> TreeSpec:
    """A spec from its JSON."""
    return treespec_loads(text)
