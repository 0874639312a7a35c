"""`Optimizer`: groups of parameters, their state, and the step that changes them."""

from __future__ import annotations

import copy
import functools
import warnings
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any

import flambeau
from flambeau.base.mode import mode
from flambeau.tensor.tensor import Tensor
from flambeau.utils.hooks import RemovableHandle

from .helpers import (  # noqa: F401  (programs import them from here)
    _default_to_fused_or_foreach,
    _disable_dynamo_if_unsupported,
    _get_scalar_dtype,
    _get_value,
    _stack_if_compiling,
    _to_scalar,
    _use_grad_for_differentiable,
    _view_as_real,
)

__all__ = ["Optimizer", "register_optimizer_step_post_hook", "register_optimizer_step_pre_hook", "required"]

_global_pre_hooks: OrderedDict[int, Callable] = OrderedDict()
_global_post_hooks: OrderedDict[int, Callable] = OrderedDict()


class _RequiredParameter:
    """Stands for the default of an option that every group must give."""

    def __repr__(self) -> str:
        return "<required parameter>"


required = _RequiredParameter()


def _add(hooks: OrderedDict, hook: Callable, prepend: bool = False) -> RemovableHandle:
    handle = RemovableHandle(hooks)
    hooks[handle.id] = hook
    if prepend:
        hooks.move_to_end(handle.id, last=False)
    return handle


def register_optimizer_step_pre_hook(hook: Callable) -> RemovableHandle:
    """Calls ``hook(optimizer, args, kwargs)`` before every step of every optimiser."""
    return _add(_global_pre_hooks, hook)


def register_optimizer_step_post_hook(hook: Callable) -> RemovableHandle:
    """Calls ``hook(optimizer, args, kwargs)`` after every step of every optimiser."""
    return _add(_global_post_hooks, hook)


def _with_hooks(step: Callable) -> Callable:
    """`step` surrounded by the hooks of the optimiser, if there are any."""

    @functools.wraps(step)
    def call(self: Optimizer, *args: Any, **kwargs: Any) -> Any:
        try:
            before, after = self._optimizer_step_pre_hooks, self._optimizer_step_post_hooks
        except AttributeError:  # a wrapper of an optimiser, whose own `__init__` never ran
            return step(self, *args, **kwargs)
        if not (before or after or _global_pre_hooks or _global_post_hooks):
            return step(self, *args, **kwargs)
        args = (self, *args)  # hooks see the call of the unbound method
        for hook in chain(_global_pre_hooks.values(), before.values()):
            result = hook(self, args, kwargs)
            if result is None:
                continue
            if not isinstance(result, tuple) or len(result) != 2:
                raise RuntimeError(
                    f"{step} must return None or a tuple of (new_args, new_kwargs), but got {result}."
                )
            args, kwargs = result
        result = step(*args, **kwargs)
        for hook in chain(after.values(), _global_post_hooks.values()):
            hook(self, args, kwargs)
        return result

    call.hooked = True
    return call


class Optimizer:
    """Base class of all optimisers.

    Args:
        params: parameters, pairs of names and parameters, or dicts that describe groups of them.
        defaults: the options of groups that do not give their own.
    """

    param_groups: list[dict[str, Any]]
    state: defaultdict[Tensor, Any]
    defaults: dict[str, Any]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        step = cls.__dict__.get("step")
        if step is not None and not getattr(step, "hooked", False):
            cls.step = _with_hooks(step)

    def __init__(self, params: Iterable, defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self._make_hook_tables()
        if isinstance(params, Tensor):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of Tensors or dicts, but got "
                + params.type()
            )
        self.state = defaultdict(dict)
        self.param_groups = []
        groups = list(params)
        if len(groups) == 0:
            raise ValueError("optimizer got an empty parameter list")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def _make_hook_tables(self) -> None:
        for name in _HOOK_TABLES:
            self.__dict__.setdefault(name, OrderedDict())

    def __getstate__(self) -> dict[str, Any]:
        return {"defaults": self.defaults, "state": self.state, "param_groups": self.param_groups}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._make_hook_tables()
        self._forget_plans()
        self.defaults.setdefault("differentiable", False)

    def _forget_plans(self) -> None:
        """Drops what was prepared for the tensors at hand; called when parameters or state are replaced."""

    def __repr__(self) -> str:
        blocks = []
        for number, group in enumerate(self.param_groups):
            lines = [f"    {key}: {group[key]}" for key in sorted(group) if key != "params"]
            blocks.append("\n".join([f"Parameter Group {number}", *lines]))
        return type(self).__name__ + " (\n" + "\n\n".join(blocks) + "\n)"

    # ------------------------------------------------------------------------------------------ hooks

    def register_step_pre_hook(self, hook: Callable) -> RemovableHandle:
        """Calls ``hook(optimizer, args, kwargs)`` before each step; it may return new ``(args, kwargs)``."""
        return _add(self._optimizer_step_pre_hooks, hook)

    def register_step_post_hook(self, hook: Callable) -> RemovableHandle:
        """Calls ``hook(optimizer, args, kwargs)`` after each step."""
        return _add(self._optimizer_step_post_hooks, hook)

    def register_state_dict_pre_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """Calls ``hook(optimizer)`` before ``state_dict``."""
        return _add(self._optimizer_state_dict_pre_hooks, hook, prepend)

    def register_state_dict_post_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """Calls ``hook(optimizer, state_dict)`` after ``state_dict``; its result, if any, replaces it."""
        return _add(self._optimizer_state_dict_post_hooks, hook, prepend)

    def register_load_state_dict_pre_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """Calls ``hook(optimizer, state_dict)`` before loading; its result, if any, is loaded instead."""
        return _add(self._optimizer_load_state_dict_pre_hooks, hook, prepend)

    def register_load_state_dict_post_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """Calls ``hook(optimizer)`` after loading."""
        return _add(self._optimizer_load_state_dict_post_hooks, hook, prepend)

    # ------------------------------------------------------------------------------------------ state

    def state_dict(self) -> dict[str, Any]:
        """The state of all parameters and the options of all groups, parameters named by their number.

        Returns:
            ``{"state": {0: {...}, ...}, "param_groups": [{..., "params": [0, ...]}, ...]}``.
        """
        for hook in self._optimizer_state_dict_pre_hooks.values():
            hook(self)
        numbers: dict[int, int] = {}
        start = 0
        packed_groups = []
        for group in self.param_groups:
            packed = {key: value for key, value in group.items() if key != "params"}
            for number, parameter in enumerate(group["params"], start):
                numbers.setdefault(id(parameter), number)
            packed["params"] = [numbers[id(parameter)] for parameter in group["params"]]
            start += len(packed["params"])
            packed_groups.append(packed)
        state = {(numbers[id(k)] if isinstance(k, Tensor) else k): v for k, v in self.state.items()}
        result = {"state": state, "param_groups": packed_groups}
        for hook in self._optimizer_state_dict_post_hooks.values():
            replacement = hook(self, result)
            if replacement is not None:
                result = replacement
        return result

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes over a state made by `state_dict`; its tensors are cast to the parameters' dtype and device.

        Raises:
            ValueError: when the groups do not have the same sizes.
        """
        state_dict = state_dict.copy()
        for hook in self._optimizer_load_state_dict_pre_hooks.values():
            replacement = hook(self, state_dict)
            if replacement is not None:
                state_dict = replacement
        saved_groups = copy.deepcopy(state_dict["param_groups"])
        groups = self.param_groups
        if len(groups) != len(saved_groups):
            raise ValueError("loaded state dict has a different number of parameter groups")
        if any(len(own["params"]) != len(saved["params"]) for own, saved in zip(groups, saved_groups)):
            raise ValueError(
                "loaded state dict contains a parameter group that doesn't match the size of optimizer's "
                "group"
            )
        numbers = chain.from_iterable(saved["params"] for saved in saved_groups)
        parameters = dict(zip(numbers, chain.from_iterable(own["params"] for own in groups)))
        state: defaultdict = defaultdict(dict)
        for key, value in state_dict["state"].items():
            if key in parameters:
                options = _options_of(key, saved_groups)
                state[parameters[key]] = _cast(parameters[key], value, options)
            else:
                state[key] = value
        for own, saved in zip(groups, saved_groups):
            saved["params"] = own["params"]
            if "param_names" in own and "param_names" not in saved:
                saved["param_names"] = own["param_names"]
        self.__setstate__({"state": state, "param_groups": saved_groups})
        for hook in self._optimizer_load_state_dict_post_hooks.values():
            hook(self)

    # ------------------------------------------------------------------------------------------ work

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clears the gradients of all parameters: to None, or to zeros where `set_to_none` is False."""
        if set_to_none:
            for group in self.param_groups:
                for parameter in group["params"]:
                    parameter.grad = None
            return
        for group in self.param_groups:
            for parameter in group["params"]:
                gradient = parameter.grad
                if gradient is None:
                    continue
                if gradient.grad_fn is not None:
                    gradient.detach_()
                else:
                    gradient.requires_grad_(False)
                gradient.zero_()

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Changes all parameters by their gradients.

        Args:
            closure: computes the loss and its gradients anew; needed by some optimisers only.
        """
        raise NotImplementedError

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Adds a group of parameters with options of its own, such as layers that are unfrozen later."""
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        _list_parameters(param_group)
        self._check_parameters(param_group["params"])
        for name, default in self.defaults.items():
            if default is required and name not in param_group:
                raise ValueError(
                    f"parameter group didn't specify a value of required optimization parameter {name}"
                )
            param_group.setdefault(name, default)
        parameters = param_group["params"]
        if len(parameters) != len(set(parameters)):
            warnings.warn(
                "optimizer contains a parameter group with duplicate parameters; in future, this will "
                "cause an "
                "error; see github.com/pytorch/pytorch/issues/40967 for more information",
                stacklevel=3,
            )
        known = set(chain.from_iterable(group["params"] for group in self.param_groups))
        if not known.isdisjoint(parameters):
            raise ValueError("some parameters appear in more than one parameter group")
        if self.param_groups and ("param_names" in param_group) != ("param_names" in self.param_groups[0]):
            given = "with" if "param_names" in self.param_groups[0] else "without"
            raise ValueError(
                "all optimizer param groups should be with/without names. "
                f"cannot add param group {'without' if given == 'with' else 'with'} names to the optimizer"
            )
        self.param_groups.append(param_group)
        self._forget_plans()

    def _check_parameters(self, parameters: list) -> None:
        for parameter in parameters:
            if not isinstance(parameter, Tensor):
                raise TypeError(
                    "optimizer can only optimize Tensors, but one of the params is "
                    f"{type(parameter).__name__}"
                )
            if not self.defaults.get("differentiable") and not (parameter.is_leaf or parameter.retains_grad):
                raise ValueError("can't optimize a non-leaf Tensor")


_HOOK_TABLES = (
    "_optimizer_step_pre_hooks",
    "_optimizer_step_post_hooks",
    "_optimizer_state_dict_pre_hooks",
    "_optimizer_state_dict_post_hooks",
    "_optimizer_load_state_dict_pre_hooks",
    "_optimizer_load_state_dict_post_hooks",
)


def _list_parameters(group: dict[str, Any]) -> None:
    """Makes ``group["params"]`` a list of tensors, and splits names off into ``param_names``."""
    given: Any = group["params"]
    if isinstance(given, Tensor):
        given = [given]
    elif isinstance(given, set):
        raise TypeError(
            "optimizer parameters need to be organized in ordered collections, but the ordering of "
            "tensors in "
            "sets will change between runs. Please use a list instead."
        )
    given = list(given)
    named = [entry for entry in given if isinstance(entry, tuple)]
    if named:
        if len(named) != len(given):
            raise ValueError(
                "all optimizer params should be with/without names. Some param names are missing"
            )
        group["param_names"] = [name for name, _ in given]
        given = [parameter for _, parameter in given]
    group["params"] = given


def _options_of(number: int, groups: list[dict[str, Any]]) -> dict[str, Any]:
    return next(group for group in groups if number in group["params"])


def _cast(parameter: Tensor, value: Any, options: dict[str, Any], key: Any = None) -> Any:
    """Saved state as fits `parameter`; the step count keeps its dtype unless the step is done on a device."""
    if isinstance(value, Tensor):
        if key == "step":
            if options.get("capturable") or options.get("fused"):
                return value.to(dtype=flambeau.float32, device=parameter.device)
            return value
        if parameter.is_floating_point():
            return value.to(dtype=parameter.dtype, device=parameter.device)
        return value.to(device=parameter.device)
    if isinstance(value, dict):
        return {k: _cast(parameter, v, options, k) for k, v in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, (str, bytes)):
        kind: Any = type(value)
        return kind(_cast(parameter, v, options) for v in value)
    return value


class GroupOptimizer(Optimizer):
    """An optimiser whose step treats its groups, and in them the parameters with gradients, one by one.

    A subclass defines `_update_group`, or only `_update_one` for the parameters one at a time.
    """

    def __init__(self, params: Iterable, defaults: dict[str, Any]) -> None:
        super().__init__(params, defaults)
        if defaults.get("fused"):
            if defaults.get("differentiable"):
                raise RuntimeError("`fused` does not support `differentiable`")
            if defaults.get("foreach"):
                raise RuntimeError("`fused` and `foreach` cannot be `True` together.")

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Changes all parameters by their gradients.

        Args:
            closure: computes the loss and its gradients anew; its result is returned.
        """
        loss = None
        if closure is not None:
            with flambeau.enable_grad():
                loss = closure()
        if self.defaults.get("differentiable"):
            with flambeau.enable_grad():
                for group in self.param_groups:
                    self._update_group(group)
            return loss
        before, mode.grad = mode.grad, False
        try:
            for group in self.param_groups:
                self._update_group(group)
        finally:
            mode.grad = before
        return loss

    def _update_group(self, group: dict[str, Any]) -> None:
        for parameter in group["params"]:
            gradient = parameter.grad
            if gradient is not None:
                self._refuse_sparse(gradient)
                self._update_one(parameter, gradient, self.state[parameter], group)

    def _update_one(self, parameter: Tensor, gradient: Tensor, state: dict, group: dict[str, Any]) -> None:
        raise NotImplementedError

    def _refuse_sparse(self, gradient: Tensor) -> None:
        if getattr(gradient, "is_sparse", False):
            raise RuntimeError(f"{type(self).__name__} does not support sparse gradients")

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            for name, default in self._LATER_OPTIONS.items():
                group.setdefault(name, default)
        for parameter_state in self.state.values():
            if isinstance(parameter_state, dict) and isinstance(parameter_state.get("step"), (int, float)):
                parameter_state["step"] = flambeau.tensor(
                    float(parameter_state["step"]), dtype=scalar_dtype()
                )

    #: options that came later than the oldest saved states, with the values those states imply
    _LATER_OPTIONS: dict[str, Any] = {"maximize": False, "foreach": None, "differentiable": False}


# -------------------------------------------------------------------------- for subclasses


scalar_dtype = _get_scalar_dtype


def new_step(parameter: Tensor, group: dict[str, Any]) -> Tensor:
    """A step count of zero, on the parameter's device where the whole step is done there."""
    if group.get("capturable") or group.get("fused"):
        return flambeau.zeros((), dtype=scalar_dtype(bool(group.get("fused"))), device=parameter.device)
    return flambeau.tensor(0.0, dtype=scalar_dtype())


def zeros_like(parameter: Tensor) -> Tensor:
    """Zeros with the shape and the strides of a parameter."""
    return flambeau.zeros_like(parameter)


def number(value: Any) -> Any:
    """The Python number of an option that may be a tensor of one element."""
    return value.item() if isinstance(value, Tensor) else value


def as_real(*tensors: Tensor | None) -> list:
    """Complex tensors as real ones of twice the elements; others as they are."""
    return [flambeau.view_as_real(t) if t is not None and t.is_complex() else t for t in tensors]


def check_lr(lr: Any) -> None:
    """Refuses a learning rate that is negative, or a tensor of several elements."""
    if isinstance(lr, Tensor) and lr.numel() != 1:
        raise ValueError("Tensor lr must be 1-element")
    if not lr >= 0.0:
        raise ValueError(f"Invalid learning rate: {lr}")


def check_at_least_zero(**options: Any) -> None:
    """Refuses negative options; the name of each is what the message calls it."""
    for name, value in options.items():
        if not value >= 0.0:
            raise ValueError(f"Invalid {name} value: {value}")


def check_betas(betas: Any) -> None:
    """Refuses decay rates outside of [0, 1)."""
    for index in (0, 1):
        if not 0.0 <= betas[index] < 1.0:
            raise ValueError(f"Invalid beta parameter at index {index}: {betas[index]}")
