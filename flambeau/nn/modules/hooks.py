"""Hooks of modules: how they are registered, and the call that runs them."""

from __future__ import annotations

import functools
import warnings
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import flambeau
from flambeau.tensor.tensor import Tensor
from flambeau.utils.hooks import RemovableHandle

forward_pre_hooks: OrderedDict[int, Callable] = OrderedDict()
forward_hooks: OrderedDict[int, Callable] = OrderedDict()
forward_hooks_with_kwargs: OrderedDict[int, bool] = OrderedDict()
forward_hooks_always_called: OrderedDict[int, bool] = OrderedDict()
backward_pre_hooks: OrderedDict[int, Callable] = OrderedDict()
backward_hooks: OrderedDict[int, Callable] = OrderedDict()
backward_kind: list[bool | None] = [None]  # whether the global backward hooks are full ones
buffer_registration_hooks: OrderedDict[int, Callable] = OrderedDict()
module_registration_hooks: OrderedDict[int, Callable] = OrderedDict()
parameter_registration_hooks: OrderedDict[int, Callable] = OrderedDict()


def _run_all(hooks: OrderedDict, module: Any, name: str, value: Any) -> Any:
    for hook in hooks.values():
        result = hook(module, name, value)
        if result is not None:
            value = result
    return value


def on_parameter(module: Any, name: str, value: Any) -> Any:
    """`value` after the hooks that watch the registration of parameters."""
    return (
        _run_all(parameter_registration_hooks, module, name, value) if parameter_registration_hooks else value
    )


def on_buffer(module: Any, name: str, value: Any) -> Any:
    """`value` after the hooks that watch the registration of buffers."""
    return _run_all(buffer_registration_hooks, module, name, value) if buffer_registration_hooks else value


def on_module(module: Any, name: str, value: Any) -> Any:
    """`value` after the hooks that watch the registration of sub-modules."""
    return _run_all(module_registration_hooks, module, name, value) if module_registration_hooks else value


def _add(hooks: OrderedDict, hook: Callable) -> RemovableHandle:
    handle = RemovableHandle(hooks)
    hooks[handle.id] = hook
    return handle


def register_module_buffer_registration_hook(hook: Callable) -> RemovableHandle:
    """Calls ``hook(module, name, buffer)`` whenever any module registers a buffer."""
    return _add(buffer_registration_hooks, hook)


def register_module_module_registration_hook(hook: Callable) -> RemovableHandle:
    """Calls ``hook(module, name, submodule)`` whenever any module registers a sub-module."""
    return _add(module_registration_hooks, hook)


def register_module_parameter_registration_hook(hook: Callable) -> RemovableHandle:
    """Calls ``hook(module, name, parameter)`` whenever any module registers a parameter."""
    return _add(parameter_registration_hooks, hook)


def _every_module_has_hooks(there_are: bool = True) -> None:
    from .module import Module

    Module._has_hooks = there_are


def _global_hooks_exist() -> bool:
    return bool(forward_pre_hooks or forward_hooks or backward_pre_hooks or backward_hooks)


def register_module_forward_pre_hook(hook: Callable) -> RemovableHandle:
    """Calls ``hook(module, args)`` before the ``forward`` of every module."""
    _every_module_has_hooks()
    return _add(forward_pre_hooks, hook)


def register_module_forward_hook(
    hook: Callable, *, with_kwargs: bool = False, always_call: bool = False
) -> RemovableHandle:
    """Calls ``hook(module, args, output)`` after the ``forward`` of every module."""
    _every_module_has_hooks()
    handle = RemovableHandle(
        forward_hooks, extra_dict=[forward_hooks_with_kwargs, forward_hooks_always_called]
    )
    forward_hooks[handle.id] = hook
    if with_kwargs:
        forward_hooks_with_kwargs[handle.id] = True
    if always_call:
        forward_hooks_always_called[handle.id] = True
    return handle


def register_module_backward_hook(hook: Callable) -> RemovableHandle:
    """Calls ``hook(module, grad_input, grad_output)`` for the last node of every module (deprecated form)."""
    if backward_kind[0] is True:
        raise RuntimeError(
            "Cannot use both regular backward hooks and full backward hooks as a global Module hook. "
            "Please use only one of them."
        )
    backward_kind[0] = False
    _every_module_has_hooks()
    return _add(backward_hooks, hook)


def register_module_full_backward_pre_hook(hook: Callable) -> RemovableHandle:
    """Calls ``hook(module, grad_output)`` before the gradients of every module are computed."""
    _every_module_has_hooks()
    return _add(backward_pre_hooks, hook)


def register_module_full_backward_hook(hook: Callable) -> RemovableHandle:
    """Calls ``hook(module, grad_input, grad_output)`` after the gradients of every module are computed."""
    if backward_kind[0] is False:
        raise RuntimeError(
            "Cannot use both regular backward hooks and full backward hooks as a global Module hook. "
            "Please use only one of them."
        )
    backward_kind[0] = True
    _every_module_has_hooks()
    return _add(backward_hooks, hook)


# -------------------------------------------------------------------------- backward hooks


@functools.cache
def _gate_class():
    """The identity operator whose gradient calls back; built when the first backward hook needs it."""

    class Gate(flambeau.autograd.Function):
        """Passes tensors through; ``watch(gradients)`` sees, and may replace, their gradients."""

        @staticmethod
        def forward(ctx, watch, *tensors):
            ctx.watch = watch
            ctx.set_materialize_grads(False)
            ctx.mark_non_differentiable(*[t for t in tensors if not t.requires_grad])
            return tensors

        @staticmethod
        def backward(ctx, *gradients):
            return (None, *ctx.watch(gradients))

    return Gate


def _through_gate(watch: Callable, values: tuple) -> tuple[tuple, bool]:
    """`values` with its tensors passed through a gate, and whether that made a gradient node."""
    positions = [i for i, value in enumerate(values) if isinstance(value, Tensor)]
    if not flambeau.is_grad_enabled() or not any(values[i].requires_grad for i in positions):
        return values, False

    def watch_all(gradients):
        complete = [None] * len(values)
        for i, gradient in zip(positions, gradients):
            complete[i] = gradient
        complete = watch(tuple(complete))
        return tuple(complete[i] for i in positions)

    passed = _gate_class().apply(watch_all, *[values[i] for i in positions])
    result = list(values)
    for i, tensor in zip(positions, passed if isinstance(passed, tuple) else (passed,)):
        result[i] = tensor
    return tuple(result), True


def _replaced(result: Any, gradients: tuple, what: str, module: Any) -> tuple:
    """The gradients after a hook returned `result`."""
    if result is None:
        return gradients
    if not isinstance(result, tuple):
        result = (result,)
    if len(result) != len(gradients):
        raise RuntimeError(
            f"{what} hook for {type(module).__name__} returned an invalid number of grad: "
            f"got {len(result)}, but expected {len(gradients)}"
        )
    return result


class BackwardWatch:
    """Runs the full backward hooks of one call of a module."""

    def __init__(self, module: Any, hooks: list[Callable], pre_hooks: list[Callable]) -> None:
        self.module = module
        self.hooks = hooks
        self.pre_hooks = pre_hooks
        self.grad_output: tuple | None = None
        self.input_has_node = False
        self.width = 0

    def watch_input(self, arguments: tuple) -> tuple:
        self.width = len(arguments)
        arguments, self.input_has_node = _through_gate(self._input_gradients, arguments)
        return arguments

    def watch_output(self, output: Any) -> Any:
        single = not isinstance(output, tuple)
        values, _ = _through_gate(self._output_gradients, (output,) if single else output)
        return values[0] if single else values

    def _output_gradients(self, gradients: tuple) -> tuple:
        for hook in self.pre_hooks:
            gradients = _replaced(hook(self.module, gradients), gradients, "Backward pre", self.module)
        self.grad_output = gradients
        if not self.input_has_node and self.hooks:
            empty = (None,) * self.width
            for hook in self.hooks:
                result = hook(self.module, empty, gradients)
                if result is not None and not (isinstance(result, tuple) and all(g is None for g in result)):
                    raise RuntimeError(
                        "Backward hook for Modules where no input requires "
                        "gradient should always return None or None for all gradients."
                    )
        return gradients

    def _input_gradients(self, gradients: tuple) -> tuple:
        for hook in self.hooks:
            result = hook(self.module, gradients, self.grad_output)
            gradients = _replaced(result, gradients, "Backward", self.module)
        self.grad_output = None
        return gradients


def _first_tensor(value: Any) -> Tensor | None:
    while not isinstance(value, Tensor):
        if isinstance(value, dict):
            value = next((v for v in value.values() if isinstance(v, Tensor)), None)
        elif isinstance(value, (list, tuple)) and value:
            value = value[0]
        else:
            return None
    return value


def _attach_simple_backward_hooks(module: Any, output: Any, hooks: list[Callable]) -> None:
    """The deprecated kind of backward hook: sees the gradients of the last node only."""
    tensor = _first_tensor(output)
    node = None if tensor is None else tensor.grad_fn
    if node is None:
        return
    for hook in hooks:

        def call(grad_input, grad_output, hook=hook):
            return hook(module, grad_input, grad_output)

        node.register_hook(call)


# ------------------------------------------------------------------------------------------------ the call


def _run_forward_pre_hooks(module: Any, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
    for number, hook in (*forward_pre_hooks.items(), *module._forward_pre_hooks.items()):
        if number in module._forward_pre_hooks_with_kwargs:
            result = hook(module, args, kwargs)
            if result is None:
                continue
            if not isinstance(result, tuple) or len(result) != 2:
                raise RuntimeError(
                    "forward pre-hook must return None or a tuple of (new_args, new_kwargs), but got "
                    f"{result}."
                )
            args, kwargs = result
        else:
            result = hook(module, args)
            if result is not None:
                args = result if isinstance(result, tuple) else (result,)
    return args, kwargs


def _run_forward_hook(
    module: Any, number: int, hook: Callable, args: tuple, kwargs: dict, result: Any
) -> Any:
    if number in module._forward_hooks_with_kwargs or number in forward_hooks_with_kwargs:
        replacement = hook(module, args, kwargs, result)
    else:
        replacement = hook(module, args, result)
    return result if replacement is None else replacement


def _run_always_called(module: Any, args: tuple, kwargs: dict, result: Any, done: set[int]) -> None:
    """After an exception: the hooks that asked to be called always, and were not yet."""
    for own, hooks, always in (
        (False, forward_hooks, forward_hooks_always_called),
        (True, module._forward_hooks, module._forward_hooks_always_called),
    ):
        for number, hook in hooks.items():
            if number not in always or number in done:
                continue
            try:
                replacement = _run_forward_hook(module, number, hook, args, kwargs, result)
                result = result if replacement is None else replacement
            except Exception as error:
                kind = "module forward hook" if own else "global module forward hook"
                warnings.warn(f"{kind} with ``always_call=True`` raised an exception that was silenced "
                              f"as another error was raised in forward: {error}", stacklevel=2)  # fmt: skip


def call_with_hooks(module: Any, args: tuple, kwargs: dict) -> Any:
    """``forward`` surrounded by all hooks, global ones first."""
    if "_has_hooks" not in module.__dict__ and not _global_hooks_exist():
        _every_module_has_hooks(False)  # the last global hook was taken off: calls are plain again
        return module.forward(*args, **kwargs)
    done: set[int] = set()
    result = None
    try:
        full, simple = _backward_hooks_of(module)
        pre = [*backward_pre_hooks.values(), *module._backward_pre_hooks.values()]
        args, kwargs = _run_forward_pre_hooks(module, args, kwargs)
        watch = None
        if full or pre:
            watch = BackwardWatch(module, full, pre)
            args = watch.watch_input(args)
        result = module.forward(*args, **kwargs)
        for number, hook in (*forward_hooks.items(), *module._forward_hooks.items()):
            if number in module._forward_hooks_always_called or number in forward_hooks_always_called:
                done.add(number)
            result = _run_forward_hook(module, number, hook, args, kwargs, result)
        if watch is not None:
            result = watch.watch_output(result)
        if simple:
            _attach_simple_backward_hooks(module, result, simple)
        return result
    except Exception:
        _run_always_called(module, args, kwargs, result, done)
        raise


def _backward_hooks_of(module: Any) -> tuple[list[Callable], list[Callable]]:
    full: list[Callable] = []
    simple: list[Callable] = []
    (full if backward_kind[0] is True else simple).extend(backward_hooks.values())
    (full if module._is_full_backward_hook is True else simple).extend(module._backward_hooks.values())
    return full, simple
