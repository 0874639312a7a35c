"""Parameters as functions of other parameters: ``module.weight`` computed each time from what is trained."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Sequence
from contextlib import contextmanager
from typing import Any

import flambeau
from flambeau.nn.modules.container import ModuleDict, ModuleList
from flambeau.nn.modules.module import Module
from flambeau.nn.parameter import Parameter
from flambeau.tensor.tensor import Tensor

__all__ = [
    "ParametrizationList",
    "cached",
    "is_parametrized",
    "register_parametrization",
    "remove_parametrizations",
    "transfer_parametrizations_and_params",
    "type_before_parametrizations",
]

_cache: dict[str, Any] = {"depth": 0, "tensors": {}}


@contextmanager
def cached():
    """Within it, each parametrised tensor is computed once and then kept."""
    _cache["depth"] += 1
    try:
        yield
    finally:
        _cache["depth"] -= 1
        if not _cache["depth"]:
            _cache["tensors"] = {}


def _same_kind(a: Tensor, b: Tensor, what: str, name: str) -> None:
    if a.dtype != b.dtype:
        raise ValueError(
            f"Calling {what} on {name} changes the dtype of the tensor: {b.dtype} before, {a.dtype} after"
        )
    if a.shape != b.shape:
        raise ValueError(
            f"Calling {what} on {name} changes the shape of the tensor: {tuple(b.shape)} before, "
            f"{tuple(a.shape)} after"
        )


class ParametrizationList(ModuleList):
    """The chain of modules that computes one tensor, and the parameters ``original`` that it starts from.

    Where the first module's ``right_inverse`` returns several tensors, they are ``original0``, ``original1``, ...
    """

    original: Tensor
    unsafe: bool

    def __init__(self, modules: Sequence[Module], original: Tensor | Parameter, unsafe: bool = False) -> None:
        if len(modules) == 0:
            raise ValueError("ParametrizationList requires one or more modules.")
        super().__init__(modules)
        self.unsafe = unsafe
        start: Any = original
        with flambeau.no_grad():
            for module in reversed(self):
                if hasattr(module, "right_inverse"):
                    # One that goes one way only begins at the tensor as it is.
                    with contextlib.suppress(NotImplementedError):
                        start = module.right_inverse(start)
        if not isinstance(start, (Tensor, Sequence)):
            raise ValueError(
                "'right_inverse' must return a Tensor or a Sequence of tensors (list, tuple...). "
                f"Got {type(start).__name__}"
            )
        self.is_tensor = isinstance(start, Tensor)
        self.ntensors = 1 if self.is_tensor else len(start)
        if self.is_tensor:
            self._keep_one(original, start)
        else:
            self._keep_several(original, start)
        if not unsafe:
            result = self()
            if not isinstance(result, Tensor):
                raise ValueError(f"A parametrization must return a tensor. Got {type(result).__name__}.")
            _same_kind(result, original, "the parametrization", "the original")

    def _keep_one(self, original: Tensor, start: Tensor) -> None:
        if not self.unsafe and original.dtype != start.dtype:
            raise ValueError(
                "When `right_inverse` outputs one tensor, it may not change the dtype.\n"
                f"original.dtype: {original.dtype}\nright_inverse(original).dtype: {start.dtype}"
            )
        with flambeau.no_grad():
            original.data = start.data if start is not original else original.data
        if isinstance(original, Parameter):
            self.original = original
        else:
            self.register_buffer("original", original)

    def _keep_several(self, original: Tensor, starts: Sequence[Tensor]) -> None:
        for number, start in enumerate(starts):
            if not isinstance(start, Tensor):
                raise ValueError(
                    "'right_inverse' must return a Tensor or a Sequence of tensors (list, tuple...). "
                    f"Got element {number} of the sequence with type {type(start).__name__}."
                )
            if isinstance(original, Parameter):
                kept: Any = Parameter(start.detach().clone(), original.requires_grad)
                setattr(self, f"original{number}", kept)
            else:
                self.register_buffer(f"original{number}", start)

    def right_inverse(self, value: Tensor) -> None:
        """Sets the originals so that the chain computes `value`."""
        with flambeau.no_grad():
            for module in reversed(self):
                if not hasattr(module, "right_inverse"):
                    raise RuntimeError(
                        f"parametrization {type(module).__name__} does not implement right_inverse."
                    )
                value = module.right_inverse(value)
            if self.is_tensor:
                if not isinstance(value, Tensor):
                    raise ValueError(f"`right_inverse` should return a tensor. Got {type(value).__name__}")
                _same_kind(value, self.original, "`right_inverse`", "the value")
                self.original.copy_(value)
                return
            if len(value) != self.ntensors:
                raise ValueError(
                    "'right_inverse' must return a sequence of tensors of length "
                    f"{self.ntensors}. Got a sequence of length {len(value)}."
                )
            for number, part in enumerate(value):
                getattr(self, f"original{number}").copy_(part)

    def forward(self) -> Tensor:
        """The tensor that the chain computes."""
        if self.is_tensor:
            value = self[0](self.original)
        else:
            value = self[0](*(getattr(self, f"original{number}") for number in range(self.ntensors)))
        for module in list(self)[1:]:
            value = module(value)
        return value


def _inject_new_class(module: Module) -> None:
    """Gives the module a class of its own, on which the computed tensors are properties."""
    old = type(module)

    def refuse(self):
        raise RuntimeError(
            "Serialization of parametrized modules is only supported through state_dict(). See:\n"
            "https://pytorch.org/tutorials/beginner/saving_loading_models.html"
        )

    def duplicate(self, memo: dict):
        if id(self) in memo:
            return memo[id(self)]
        replica = self.__new__(type(self))
        memo[id(self)] = replica
        state = copy.deepcopy(self.__dict__, memo)
        object.__setattr__(replica, "__dict__", state)
        replica._own_registries()
        return replica

    members: dict[str, Any] = {"__getstate__": refuse}
    if not hasattr(old, "__deepcopy__"):
        members["__deepcopy__"] = duplicate
    module.__class__ = type(f"Parametrized{old.__name__}", (old,), members)


def _inject_property(module: Module, tensor_name: str) -> None:
    """Makes ``module.tensor_name`` a call of the chain."""

    def get(self: Module) -> Tensor:
        chain = self.parametrizations[tensor_name]
        if not _cache["depth"]:
            return chain()
        key = (id(self), tensor_name)
        if key not in _cache["tensors"]:
            _cache["tensors"][key] = chain()
        return _cache["tensors"][key]

    def set_value(self: Module, value: Tensor) -> None:
        self.parametrizations[tensor_name].right_inverse(value)

    setattr(type(module), tensor_name, property(get, set_value))


def register_parametrization(
    module: Module, tensor_name: str, parametrization: Module, *, unsafe: bool = False
) -> Module:
    """Computes ``module.tensor_name`` by `parametrization` from now on.

    Args:
        parametrization: a module of the same tensor; its ``right_inverse``, where it has one, gives the value to
            start from. Further ones are applied to the result.
        unsafe: allow changes of dtype and shape, and do not check.
    """
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        _append(module, tensor_name, parametrization, unsafe)
    elif tensor_name in module._buffers or tensor_name in module._parameters:
        original = getattr(module, tensor_name)
        chain = ParametrizationList([parametrization], original, unsafe=unsafe)
        delattr(module, tensor_name)
        if not is_parametrized(module):
            _inject_new_class(module)
            module.parametrizations = ModuleDict()
        _inject_property(module, tensor_name)
        module.parametrizations[tensor_name] = chain
    else:
        raise ValueError(f"Module '{module}' does not have a parameter, a buffer, or a parametrized element with name "
                         f"'{tensor_name}'")  # fmt: skip
    return module


def _append(module: Module, tensor_name: str, parametrization: Module, unsafe: bool) -> None:
    chain = module.parametrizations[tensor_name]
    if not unsafe:
        value = getattr(module, tensor_name)
        _same_kind(parametrization(value), value, "the parametrization", tensor_name)
        if hasattr(parametrization, "right_inverse"):
            start = parametrization.right_inverse(value)
            if not isinstance(start, Tensor):
                raise ValueError(
                    f"parametrization.right_inverse must return a tensor. Got: {type(start).__name__}"
                )
            _same_kind(start, value, "parametrization.right_inverse", tensor_name)
    chain.append(parametrization)
    chain.unsafe |= unsafe


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Whether any tensor of a module, or the one of this name, is computed."""
    chains = getattr(module, "parametrizations", None)
    if chains is None or not isinstance(chains, ModuleDict):
        return False
    return tensor_name in chains if tensor_name is not None else len(chains) > 0


def remove_parametrizations(module: Module, tensor_name: str, leave_parametrized: bool = True) -> Module:
    """Makes ``module.tensor_name`` an ordinary parameter or buffer again.

    Args:
        leave_parametrized: keep the computed value; otherwise the original one.
    """
    if not is_parametrized(module, tensor_name):
        raise ValueError(f"Module {module} does not have a parametrization on {tensor_name}")
    chain = module.parametrizations[tensor_name]
    if chain.is_tensor:
        original = chain.original
        if leave_parametrized:
            with flambeau.no_grad():
                original.data = getattr(module, tensor_name).detach().clone()
    else:
        if not leave_parametrized:
            raise ValueError(
                "Cannot leave unparametrized (`leave_parametrized=False`) a tensor that is parametrized in terms "
                "of a sequence of tensors."
            )
        value = getattr(module, tensor_name).detach().clone()
        trained = any(isinstance(getattr(chain, f"original{n}"), Parameter) for n in range(chain.ntensors))
        original = Parameter(value, any(t.requires_grad for t in chain.parameters())) if trained else value
    delattr(type(module), tensor_name)
    del module.parametrizations[tensor_name]
    if isinstance(original, Parameter):
        module.register_parameter(tensor_name, original)
    else:
        module.register_buffer(tensor_name, original)
    if not is_parametrized(module):
        delattr(module, "parametrizations")
        module.__class__ = type(module).__bases__[0]
    return module


def type_before_parametrizations(module: Module) -> type:
    """The class that a module had before any of its tensors was parametrised."""
    return type(module).__bases__[0] if is_parametrized(module) else type(module)


def transfer_parametrizations_and_params(
    from_module: Module, to_module: Module, tensor_name: str | None = None
) -> Module:
    """Gives `to_module` the parametrisations of `from_module`, and their parameters."""
    if not is_parametrized(from_module):
        return to_module
    names = list(from_module.parametrizations) if tensor_name is None else [tensor_name]
    for name in names:
        source = from_module.parametrizations[name]
        if not hasattr(to_module, name):
            setattr(to_module, name, Parameter(getattr(from_module, name).detach().clone()))
        for parametrization in source:
            register_parametrization(to_module, name, parametrization)
        target = to_module.parametrizations[name]
        for number in range(source.ntensors):
            attribute = "original" if source.is_tensor else f"original{number}"
            setattr(target, attribute, getattr(source, attribute))
    return to_module
