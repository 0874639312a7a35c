"""Pruning: entries of parameters that are held at zero by a mask.

A pruned parameter ``weight`` lives on as ``weight_orig``; ``weight_mask`` is a buffer; ``weight`` is computed from them
before each forward pass.
"""

from __future__ import annotations

import numbers
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

import flambeau
from flambeau.tensor.tensor import Tensor

__all__ = [
    "BasePruningMethod", "CustomFromMask", "Identity", "L1Unstructured", "LnStructured", "PruningContainer",
    "RandomStructured", "RandomUnstructured", "custom_from_mask", "global_unstructured", "identity", "is_pruned",
    "l1_unstructured", "ln_structured", "random_structured", "random_unstructured", "remove",
]  # fmt: skip


def _check_shape(scores: Tensor, other: Tensor, what: str) -> None:
    if scores.shape != other.shape:
        raise AssertionError(
            f"importance_scores should have the same shape as {what}, got {scores.shape} vs {other.shape}"
        )


class BasePruningMethod(ABC):
    """How a mask is found. A subclass sets `PRUNING_TYPE` and defines `compute_mask`.

    An instance is a forward pre-hook of the module whose parameter it prunes.
    """

    _tensor_name: str

    def __call__(self, module: Any, inputs: Any) -> None:
        setattr(module, self._tensor_name, self.apply_mask(module))

    @abstractmethod
    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The mask for importance scores `t`, given the mask so far."""

    def apply_mask(self, module: Any) -> Tensor:
        """The parameter with its masked entries at zero."""
        if self._tensor_name is None:
            raise AssertionError(f"Module {module} has to be pruned")
        mask = getattr(module, self._tensor_name + "_mask")
        original = getattr(module, self._tensor_name + "_orig")
        return mask.to(dtype=original.dtype) * original

    @classmethod
    def apply(
        cls, module: Any, name: str, *args: Any, importance_scores: Tensor | None = None, **kwargs: Any
    ):
        """Prunes a parameter of a module by this method; after others that have pruned it before.

        Args:
            importance_scores: what entries are chosen by, instead of their values.
        """
        method = cls(*args, **kwargs)
        method._tensor_name = name
        earlier = _take_earlier(module, name)
        if earlier is not None:
            method = earlier if isinstance(earlier, PruningContainer) else PruningContainer(earlier)
            method.add_pruning_method(cls(*args, **kwargs))
        original = getattr(module, name)
        if importance_scores is None:
            importance_scores = original
        else:
            _check_shape(importance_scores, original, f"parameter {name} of {module}")
        if earlier is None:
            parameter = module._parameters.pop(name)
            module.register_parameter(name + "_orig", parameter)
            default_mask = flambeau.ones_like(parameter)
        else:
            default_mask = (
                getattr(module, name + "_mask").detach().clone(memory_format=flambeau.contiguous_format)
            )
        try:
            mask = method.compute_mask(importance_scores, default_mask=default_mask)
            module.register_buffer(name + "_mask", mask)
            setattr(module, name, method.apply_mask(module))
            module.register_forward_pre_hook(method)
        except Exception:
            if earlier is None:
                module.register_parameter(name, module._parameters.pop(name + "_orig"))
            else:
                module.register_forward_pre_hook(_without_last(earlier))
            raise
        return method

    def prune(
        self, t: Tensor, default_mask: Tensor | None = None, importance_scores: Tensor | None = None
    ) -> Tensor:
        """A pruned version of a tensor that is no parameter."""
        if importance_scores is None:
            importance_scores = t
        else:
            _check_shape(importance_scores, t, "tensor t")
        default_mask = flambeau.ones_like(t) if default_mask is None else default_mask
        return t * self.compute_mask(importance_scores, default_mask=default_mask)

    def remove(self, module: Any) -> None:
        """Makes the pruning permanent: the parameter is a plain one again, with zeros in it."""
        if self._tensor_name is None:
            raise AssertionError(f"Module {module} has to be pruned before pruning can be removed")
        name = self._tensor_name
        pruned = self.apply_mask(module)
        if hasattr(module, name):
            delattr(module, name)
        parameter = module._parameters[name + "_orig"]
        parameter.data = pruned.data
        del module._parameters[name + "_orig"]
        del module._buffers[name + "_mask"]
        setattr(module, name, parameter)


def _without_last(method: BasePruningMethod) -> BasePruningMethod:
    """What a parameter was pruned by before a method failed that had been added."""
    if isinstance(method, PruningContainer):
        method._pruning_methods = method._pruning_methods[:-1]
    return method


def _take_earlier(module: Any, name: str) -> BasePruningMethod | None:
    """The method that prunes this parameter now, taken off the module's hooks."""
    for key, hook in list(module._forward_pre_hooks.items()):
        if isinstance(hook, BasePruningMethod) and hook._tensor_name == name:
            del module._forward_pre_hooks[key]
            return hook
    return None


class PruningContainer(BasePruningMethod):
    """Several methods that prune one parameter, one after the other."""

    def __init__(self, *args: Any) -> None:
        self._pruning_methods: tuple = ()
        if not isinstance(args, Iterable):
            self._tensor_name = args._tensor_name
            self.add_pruning_method(args)
        elif len(args) == 1:
            self._tensor_name = args[0]._tensor_name
            self.add_pruning_method(args[0])
        else:
            for method in args:
                self.add_pruning_method(method)

    def add_pruning_method(self, method: BasePruningMethod | None) -> None:
        """Adds a method that will prune what the others left."""
        if not isinstance(method, BasePruningMethod) and method is not None:
            raise TypeError(f"{type(method)} is not a BasePruningMethod subclass")
        name = getattr(method, "_tensor_name", None)
        if method is not None and name is not None and self._tensor_name != name:
            raise ValueError(
                "Can only add pruning methods acting on the parameter named "
                f"'{self._tensor_name}' to PruningContainer {self}. Found '{name}'"
            )
        self._pruning_methods += (method,)

    def __len__(self) -> int:
        return len(self._pruning_methods)

    def __iter__(self):
        return iter(self._pruning_methods)

    def __getitem__(self, idx: Any) -> Any:
        return self._pruning_methods[idx]

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The mask of the latest method, on what the earlier ones left, joined with theirs."""
        method = self._pruning_methods[-1]
        mask = default_mask
        kept = _what_is_left(method, mask)
        mask = mask.clone()
        mask[kept] = method.compute_mask(t[kept], default_mask=mask[kept]).to(mask.dtype)
        return mask


def _what_is_left(method: BasePruningMethod, mask: Tensor) -> Any:
    """An index of the entries, or channels, that are not pruned yet."""
    kind = method.PRUNING_TYPE
    if kind == "unstructured":
        return mask == 1
    if kind == "structured":
        if not hasattr(method, "dim"):
            raise AttributeError(
                'Pruning methods of PRUNING_TYPE "structured" need to have the attribute `dim` defined.'
            )
        dims = mask.dim()
        dim = method.dim if method.dim >= 0 else dims + method.dim
        others = [d for d in range(dims) if d != dim]
        left = mask.sum(dim=others) != 0 if others else mask != 0
        return tuple(slice(None) if d != dim else left for d in range(dims))
    if kind == "global":
        return tuple(slice(None) for _ in range(mask.dim()))
    raise ValueError(f"Unrecognized PRUNING_TYPE {kind}")


class Identity(BasePruningMethod):
    """Prunes nothing, but makes mask and original."""

    PRUNING_TYPE = "unstructured"

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The mask so far."""
        return default_mask

    @classmethod
    def apply(cls, module: Any, name: str):  # type: ignore[override]
        """Adds mask and original to a module."""
        return super().apply(module, name)


class _Amount(BasePruningMethod):
    """Prunes an amount: a share of the entries (float) or a number of them (int)."""

    def __init__(self, amount: int | float) -> None:
        _validate_pruning_amount_init(amount)
        self.amount = amount

    def _count(self, size: int) -> int:
        count = _compute_nparams_toprune(self.amount, size)
        _validate_pruning_amount(count, size)
        return count


class RandomUnstructured(_Amount):
    """Prunes entries at random."""

    PRUNING_TYPE = "unstructured"

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The mask so far without entries drawn at random."""
        count = self._count(t.nelement())
        drawn = flambeau.rand_like(t) if count else t
        return _without_least(-drawn, default_mask, count)  # those with the largest draws, as in PyTorch

    @classmethod
    def apply(cls, module: Any, name: str, amount: int | float):  # type: ignore[override]
        """Prunes an amount of a parameter of a module."""
        return super().apply(module, name, amount=amount)


class L1Unstructured(_Amount):
    """Prunes the entries of least magnitude."""

    PRUNING_TYPE = "unstructured"

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The mask so far without the entries of least magnitude."""
        return _without_least(t.abs(), default_mask, self._count(t.nelement()))

    @classmethod
    def apply(cls, module: Any, name: str, amount: int | float, importance_scores: Tensor | None = None):  # type: ignore[override]
        """Prunes an amount of a parameter of a module."""
        return super().apply(module, name, amount=amount, importance_scores=importance_scores)


def _without_least(scores: Tensor, mask: Tensor, count: int) -> Tensor:
    mask = mask.clone(memory_format=flambeau.contiguous_format)
    if count:
        least = flambeau.topk(scores.reshape(-1), k=count, largest=False).indices
        mask.view(-1)[least] = 0
    return mask


class RandomStructured(_Amount):
    """Prunes whole channels at random.

    Args:
        dim: the dimension along which channels lie.
    """

    PRUNING_TYPE = "structured"

    def __init__(self, amount: int | float, dim: int = -1) -> None:
        super().__init__(amount)
        self.dim = dim

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The mask so far without channels drawn at random."""
        _validate_structured_pruning(t)
        _validate_pruning_dim(t, self.dim)
        size = t.shape[self.dim]
        count = self._count(size)
        if count == 0:
            return default_mask
        drawn = flambeau.rand(size)
        threshold = flambeau.kthvalue(drawn, k=count).values
        return default_mask * _channels(t, drawn > threshold, self.dim).to(default_mask.dtype)

    @classmethod
    def apply(cls, module: Any, name: str, amount: int | float, dim: int = -1):  # type: ignore[override]
        """Prunes an amount of the channels of a parameter of a module."""
        return super().apply(module, name, amount=amount, dim=dim)


class LnStructured(_Amount):
    """Prunes the channels of least norm.

    Args:
        n: the order of the norm; may be infinite.
        dim: the dimension along which channels lie.
    """

    PRUNING_TYPE = "structured"

    def __init__(self, amount: int | float, n: Any, dim: int = -1) -> None:
        super().__init__(amount)
        self.n = n
        self.dim = dim

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The mask so far without the channels of least norm."""
        _validate_structured_pruning(t)
        _validate_pruning_dim(t, self.dim)
        size = t.shape[self.dim]
        count = self._count(size)
        if count == 0:
            return default_mask
        kept = flambeau.topk(_compute_norm(t, self.n, self.dim), k=size - count, largest=True).indices
        chosen = flambeau.zeros(size, dtype=default_mask.dtype, device=t.device)
        chosen[kept] = 1
        return default_mask * _channels(t, chosen, self.dim)

    @classmethod
    def apply(  # type: ignore[override]
        cls,
        module: Any,
        name: str,
        amount: int | float,
        n: Any,
        dim: int,
        importance_scores: Tensor | None = None,
    ):
        """Prunes an amount of the channels of a parameter of a module."""
        return super().apply(module, name, amount=amount, n=n, dim=dim, importance_scores=importance_scores)


def _channels(t: Tensor, chosen: Tensor, dim: int) -> Tensor:
    """A value a channel, in a shape that broadcasts over the tensor."""
    shape = [1] * t.dim()
    shape[dim] = -1
    return chosen.reshape(shape)


class CustomFromMask(BasePruningMethod):
    """Prunes by a mask that is given."""

    PRUNING_TYPE = "global"

    def __init__(self, mask: Tensor) -> None:
        self.mask = mask

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The mask so far joined with the one that was given."""
        if default_mask.shape != self.mask.shape:
            raise AssertionError(
                f"default_mask shape {default_mask.shape} must match self.mask shape {self.mask.shape}"
            )
        return default_mask * self.mask.to(dtype=default_mask.dtype)

    @classmethod
    def apply(cls, module: Any, name: str, mask: Tensor):  # type: ignore[override]
        """Prunes a parameter of a module by a mask."""
        return super().apply(module, name, mask=mask)


def identity(module: Any, name: str) -> Any:
    """Adds mask and original to a module without pruning anything."""
    Identity.apply(module, name)
    return module


def random_unstructured(module: Any, name: str, amount: int | float) -> Any:
    """Prunes entries of a parameter at random: a share of them (float) or a number (int)."""
    RandomUnstructured.apply(module, name, amount)
    return module


def l1_unstructured(
    module: Any, name: str, amount: int | float, importance_scores: Tensor | None = None
) -> Any:
    """Prunes the entries of least magnitude of a parameter: a share of them (float) or a number (int).

    Example::

        >>> layer = flambeau.nn.Linear(2, 1)
        >>> _ = flambeau.nn.utils.prune.l1_unstructured(layer, "weight", amount=1)
        >>> int(layer.weight_mask.sum())
        1
    """
    L1Unstructured.apply(module, name, amount=amount, importance_scores=importance_scores)
    return module


def random_structured(module: Any, name: str, amount: int | float, dim: int) -> Any:
    """Prunes channels of a parameter at random."""
    RandomStructured.apply(module, name, amount, dim)
    return module


def ln_structured(
    module: Any, name: str, amount: int | float, n: Any, dim: int, importance_scores: Tensor | None = None
) -> Any:
    """Prunes the channels of a parameter whose `n`-norm is least."""
    LnStructured.apply(module, name, amount, n, dim, importance_scores=importance_scores)
    return module


def global_unstructured(
    parameters: Any, pruning_method: Any, importance_scores: dict | None = None, **kwargs: Any
) -> None:
    """Prunes several parameters as if they were one: an amount of all their entries together.

    Args:
        parameters: pairs of a module and a parameter's name.
        pruning_method: an unstructured method.
        importance_scores: scores by such pairs, for parameters whose values are not to decide.
        kwargs: options of the method, such as ``amount``.
    """
    if not isinstance(parameters, Iterable):
        raise TypeError("global_unstructured(): parameters is not an Iterable")
    importance_scores = {} if importance_scores is None else importance_scores
    if not isinstance(importance_scores, dict):
        raise TypeError("global_unstructured(): importance_scores must be of type dict")
    parameters = list(parameters)
    values = [getattr(module, name) for module, name in parameters]
    scores = [importance_scores.get((m, name), value) for (m, name), value in zip(parameters, values)]
    masks = [
        getattr(m, name + "_mask", flambeau.ones_like(value)) for (m, name), value in zip(parameters, values)
    ]
    container = PruningContainer()
    container._tensor_name = "temp"
    method = pruning_method(**kwargs)
    method._tensor_name = "temp"
    container.add_pruning_method(method)
    if method.PRUNING_TYPE != "unstructured":
        raise TypeError(
            'Only "unstructured" PRUNING_TYPE supported for the `pruning_method`. Found method '
            f"{pruning_method} of type {method.PRUNING_TYPE}"
        )
    joined = flambeau.cat([mask.reshape(-1) for mask in masks])
    final = container.compute_mask(flambeau.cat([s.reshape(-1) for s in scores]), joined)
    at = 0
    for (module, name), value in zip(parameters, values):
        count = value.numel()
        custom_from_mask(module, name, mask=final[at : at + count].view_as(value))
        at += count


def custom_from_mask(module: Any, name: str, mask: Tensor) -> Any:
    """Prunes a parameter by a mask: 0 where an entry is to go."""
    CustomFromMask.apply(module, name, mask)
    return module


def remove(module: Any, name: str) -> Any:
    """Makes the pruning of a parameter permanent, without its mask."""
    found = _take_earlier(module, name)
    if found is None:
        raise ValueError(
            f"Parameter '{name}' of module {module} has to be pruned before pruning can be removed"
        )
    found.remove(module)
    return module


def is_pruned(module: Any) -> bool:
    """Whether a parameter of a module, or of one below it, is pruned."""
    return any(
        isinstance(hook, BasePruningMethod)
        for _, below in module.named_modules()
        for hook in below._forward_pre_hooks.values()
    )


def _validate_pruning_amount_init(amount: Any) -> None:
    """Refuses what is no amount."""
    if not isinstance(amount, numbers.Real):
        raise TypeError(f"Invalid type for amount: {amount}. Must be int or float.")
    whole = isinstance(amount, numbers.Integral)
    if (whole and amount < 0) or (not whole and (float(amount) > 1.0 or float(amount) < 0.0)):
        raise ValueError(
            f"amount={amount} should either be a float in the range [0, 1] or a non-negative integer"
        )


def _validate_pruning_amount(amount: Any, tensor_size: int) -> None:
    """Refuses a number of entries that the tensor does not have."""
    if isinstance(amount, numbers.Integral) and amount > tensor_size:
        raise ValueError(
            f"amount={amount} should be smaller than the number of parameters to prune={tensor_size}"
        )


def _validate_structured_pruning(t: Tensor) -> None:
    """Refuses tensors without channels."""
    shape = t.shape
    if len(shape) <= 1:
        raise ValueError(
            "Structured pruning can only be applied to multidimensional tensors. Found tensor of shape "
            f"{shape} with {len(shape)} dims"
        )


def _compute_nparams_toprune(amount: Any, tensor_size: int) -> int:
    """How many entries an amount is."""
    return int(amount) if isinstance(amount, numbers.Integral) else round(amount * tensor_size)


def _validate_pruning_dim(t: Tensor, dim: int) -> None:
    """Refuses a dimension that the tensor does not have."""
    if dim >= t.dim():
        raise IndexError(f"Invalid index {dim} for tensor of size {t.shape}")


def _compute_norm(t: Tensor, n: Any, dim: int) -> Tensor:
    """The `n`-norm of each channel."""
    dims = list(range(t.dim()))
    dims.pop(dim)
    return flambeau.norm(t, p=n, dim=dims)
