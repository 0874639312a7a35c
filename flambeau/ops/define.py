"""How an operator is declared: one class, one place, registered by `@op(signature)`.

    @op("sigmoid(Operand input, *, Tensor? out=None) -> Tensor", inplace=True, also="special.expit")
    class Sigmoid(Pointwise): ...

A rule is a plain function in the class body that names what it needs: arguments of the signature, `g` (incoming
gradient), `result` (or `result0`, `result1`, ... of several outputs). What a derivative rule names is what is saved.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from ..base.rules import argument_names

#: public functions by (namespace, name); the namespace of `torch.add` is ""
PUBLIC: dict[tuple[str, str], Operator] = {}
#: methods of Tensor by name: (operator, variant)
METHODS: dict[str, tuple[Operator, str]] = {}
OPERATORS: dict[str, Operator] = {}

TENSOR_TYPES = ("Tensor", "Tensor?", "Operand", "Operand?", "Tensor[]")
_UNKEYED = frozenset(("layout", "pin_memory", "requires_grad"))
_RULES = {
    "d_all",
    "scalar",
    "check",
    "check_out",
    "shape",
    "layouts",
    "view",
    "body",
    "combine",
    "finish",
    "map",
    "identity",
}
_MEMBERS = _RULES | {
    "dtype", "accumulate", "algorithm", "batch", "fast", "onnx", "samples", "errors", "spec", "no_gradient", "bad",
    "nondifferentiable", "saves", "bias_sum", "value_kind", "strides", "data_dependent", "cost", "scalars_follow_tensor",
    "promote_integers", "writes", "empty_is_none", "computes_in_out",
}  # fmt: skip
_PARAM = re.compile(r"^(?P<type>[A-Za-z]+(?:\[[\d*]*\])?\??)\s+(?P<name>\w+)(?:=(?P<default>.+))?$")


class Param:
    """One parameter of a signature."""

    __slots__ = ("type", "name", "default", "keyword_only", "required")

    def __init__(self, type: str, name: str, default: Any, keyword_only: bool, required: bool):
        self.type, self.name, self.default = type, name, default
        self.keyword_only, self.required = keyword_only, required

    @property
    def is_tensor(self) -> bool:
        return self.type in TENSOR_TYPES

    @property
    def spread(self) -> bool:
        """Whether items may be given one by one, as in x.view(2, 3); written ``int[*] size`` (``any[*]`` for tensors)."""
        return self.type in ("int[*]", "any[*]")


def _split(text: str) -> list[str]:
    parts, depth, start = [], 0, 0
    for i, c in enumerate(text):
        depth += c in "([" and 1 or c in ")]" and -1 or 0
        if c == "," and depth == 0:
            parts.append(text[start:i].strip())
            start = i + 1
    parts.append(text[start:].strip())
    return [p for p in parts if p]


def parse(signature: str) -> tuple[str, list[Param], str]:
    """Name, parameters and result of ``name(Type arg, Type arg=default, *, ...) -> Result``."""
    found = re.match(r"^([\w.]+)\((.*)\)\s*->\s*(.+)$", signature.strip())
    if not found:
        raise ValueError(f"not an operator signature: {signature!r}")
    params, keyword_only = [], False
    for part in _split(found[2]):
        if part == "*":
            keyword_only = True
            continue
        one = _PARAM.match(part)
        if not one:
            raise ValueError(f"not a parameter: {part!r} in {signature!r}")
        default = one["default"]
        value = eval(default, {"inf": float("inf"), "nan": float("nan")}) if default is not None else None
        params.append(Param(one["type"], one["name"], value, keyword_only, default is None))
    return found[1], params, found[3].strip()


class Operator:
    """What the registry holds of one operator: its signature, its rules, and what was derived from them so far.

    Importing the package only registers names; the signature is parsed and the rules are checked on first use.
    """

    def __init__(
        self, signature: str, rules: type, kind: str, *, inplace: bool, method: bool, function: bool
    ):
        self.full_name = full = signature[: signature.index("(")].strip()
        self.namespace, _, self.name = full.rpartition(".")
        self.signature, self.rules, self.kind = signature, rules, kind
        self.inplace, self.method, self.function = inplace, method, function
        self.plans: dict = {}
        self.inplace_plans: dict = {}
        self.compiled: dict[str, Callable] = {}

    def __getattr__(self, name: str):
        if name.startswith("_") or "params" in self.__dict__:
            raise AttributeError(name)
        self._resolve()
        return getattr(self, name)

    def _resolve(self) -> None:
        """Parse the signature and collect the derivatives."""
        _, self.params, self.returns = parse(self.signature)
        self.doc = self.rules.__doc__ or ""
        self.out = next((p for p in self.params if p.name == "out"), None)
        #: a pointwise function's `inplace` flag chooses the variant, it is no argument of the operator
        self.inplace_flag = self.kind == "Pointwise" and any(p.name == "inplace" for p in self.params)
        self.arguments = [
            p for p in self.params if p.name != "out" and not (self.inplace_flag and p.name == "inplace")
        ]
        self.names = [p.name for p in self.arguments]
        #: arguments of a factory that do not change its plan
        self.unkeyed = _UNKEYED if self.kind == "Opaque" and "requires_grad" in self.names else frozenset()
        self.tensors = [p.name for p in self.arguments if p.is_tensor]
        self.plain = [p.name for p in self.arguments if not p.is_tensor]
        self.outputs = 1 if self.returns in ("Tensor", "Tensor[]") else self.returns.count("Tensor")
        self.derivatives: dict[str, tuple[Callable, tuple[str, ...]]] = {}
        self._collect()

    def __repr__(self) -> str:
        return f"<operator {self.signature}>"

    def rule(self, name: str) -> Callable | None:
        return getattr(self.rules, name, None)

    def _collect(self) -> None:
        allowed = set(self.names) | {"g", "result"} | {f"result{k}" for k in range(self.outputs)}
        allowed |= {f"g{k}" for k in range(self.outputs)} | {"needs"} | {f"{n}_layout" for n in self.tensors}
        for name, rule in self.rules.__dict__.items():
            if name.startswith("__") or name == "operator":
                continue
            if name == "d_all":  # one rule for all inputs: gives a tuple in the order of the tensors
                for target in self.tensors:
                    if target not in getattr(self.rules, "no_gradient", ()):
                        self.derivatives[target] = (rule, argument_names(rule))
                continue
            if name.startswith("d_"):
                target = name[2:]
                if target not in self.tensors:
                    raise TypeError(f"{self.name}: {name} has no tensor input {target!r}")
                self.derivatives[target] = (rule, argument_names(rule))
                unknown = set(argument_names(rule)) - allowed
                if unknown:
                    raise TypeError(f"{self.name}.{name} names {sorted(unknown)}, which the signature lacks")
            elif name not in _MEMBERS:
                raise TypeError(f"{self.name}: unknown member {name!r}")
        #: tensors and results that any derivative names, in the order in which a node saves them
        named = [n for _, names in self.derivatives.values() for n in names]
        results = ["result"] if self.outputs == 1 else [f"result{k}" for k in range(self.outputs)]
        self.saved_inputs = [n for n in self.tensors if n in named]
        self.saved_results = [n for n in results if n in named]
        #: for each saved name, the inputs whose derivative names it: it is saved only when one of those needs a gradient
        self.saved_for = {
            name: tuple(t for t, (_, names) in self.derivatives.items() if name in names)
            for name in (*self.saved_inputs, *self.saved_results)
        }
        self.saved_for |= self.rules.__dict__.get("saves", {})  # where one rule gives all gradients
        self.differentiable = bool(self.derivatives)
        self.joint = self.rules.__dict__.get("d_all")


def op(
    signature: str,
    *,
    inplace: bool = False,
    method: bool = True,
    function: bool = True,
    also: str = "",
    methods: str = "",
):
    """Register the decorated class as an operator.

    inplace: also `name_`. method: also a Tensor method. function: a public function. also: further public names,
    dotted from the top (``nn.functional.relu``). methods: further method names (``__add__``).
    """

    def register(rules: type) -> type:
        kind = next(k.__name__ for k in rules.__mro__ if k.__dict__.get("is_kind"))
        made = Operator(signature, rules, kind, inplace=inplace, method=method and "." not in signature.split("(")[0],
                        function=function)  # fmt: skip
        assert made.full_name not in OPERATORS, f"{made.full_name} is defined twice"
        OPERATORS[made.full_name] = made
        rules.operator = made
        if made.function:
            PUBLIC[made.namespace, made.name] = made
        for name in also.split():
            namespace, _, last = name.rpartition(".")
            PUBLIC[namespace, last] = made
            if not namespace and made.method:
                METHODS[last] = (made, "function")
                if inplace:
                    METHODS[last + "_"] = (made, "inplace")
            if inplace and not namespace:
                PUBLIC["", last + "_"] = made
        if made.method:
            METHODS[made.name] = (made, "function")
        if inplace:
            if made.method:
                METHODS[made.name + "_"] = (made, "inplace")
            PUBLIC[made.namespace, made.name + "_"] = made
        second = signature.partition(",")[2].lstrip()
        binary = second.startswith(("Tensor ", "Operand "))
        for name in methods.split():
            inplaced = name.startswith("__i") and name != "__invert__"
            METHODS[name] = (made, "inplace" if inplaced else "operator" if binary else "function")
        return rules

    return register


#: whether operators record gradients now; set by the tensor layer
RECORDING: list = [lambda: True]
#: turns an operator and a variant ("function" or "inplace") into the function that users call; set by the tensor layer
COMPILE: list[Callable[[Operator, str], Callable]] = []


def function_of(operator: Operator, variant: str = "function") -> Callable:
    found = operator.compiled.get(variant)
    if found is None:
        found = operator.compiled[variant] = COMPILE[0](operator, variant)
    return found


def public(namespace: str, name: str) -> Callable:
    """The public function of this name; AttributeError when there is none."""
    found = PUBLIC.get((namespace, name))
    if found is None:
        where = "flambeau" + ("." + namespace if namespace else "")
        raise AttributeError(f"module '{where}' has no attribute '{name}'")
    inplace = found.inplace and name.endswith("_") and PUBLIC.get((namespace, name[:-1])) is found
    return function_of(found, "inplace" if inplace else "function")


def names(namespace: str) -> list[str]:
    return sorted(n for s, n in PUBLIC if s == namespace)


class _Calls:
    """Operators as attributes, for rules and bodies: ``ops.mm(a, b)``; dotted names use underscores or `get`."""

    def __getattr__(self, name: str) -> Callable:
        found = OPERATORS.get(name) or OPERATORS.get("nn.functional." + name)
        if found is None:
            if name.endswith("_") and name[:-1] in OPERATORS:
                made = function_of(OPERATORS[name[:-1]], "inplace")
            else:
                raise AttributeError(f"no operator {name}")
        else:
            made = function_of(found)
        setattr(self, name, made)
        return made


ops = _Calls()
