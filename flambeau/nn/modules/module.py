"""`Module`: a function with parameters, built of other modules."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

from flambeau.nn.parameter import Buffer, Parameter
from flambeau.tensor.tensor import Tensor
from flambeau.utils.hooks import RemovableHandle

from . import hooks
from .convert import ConvertMixin
from .hooks import (
    register_module_backward_hook,
    register_module_buffer_registration_hook,
    register_module_forward_hook,
    register_module_forward_pre_hook,
    register_module_full_backward_hook,
    register_module_full_backward_pre_hook,
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)
from .registry import Registry, is_owned
from .state import _EXTRA_STATE_KEY_SUFFIX, StateMixin, _IncompatibleKeys  # noqa: F401 (libraries take these here)
from .trail import extend_trail

__all__ = [
    "Module",
    "register_module_backward_hook",
    "register_module_buffer_registration_hook",
    "register_module_forward_hook",
    "register_module_forward_pre_hook",
    "register_module_full_backward_hook",
    "register_module_full_backward_pre_hook",
    "register_module_module_registration_hook",
    "register_module_parameter_registration_hook",
]

_REGISTRIES = ("_parameters", "_buffers", "_modules")


def _addindent(text: str, spaces: int) -> str:
    """`text` with every line but the first indented."""
    return text.replace("\n", "\n" + " " * spaces)


def _type_name(value: Any) -> str:
    """The name of a value's type as PyTorch's messages print it."""
    if isinstance(value, Tensor):
        return value.type()
    kind = type(value)
    place = (
        "torch" + kind.__module__.removeprefix("flambeau")
        if kind.__module__.startswith("flambeau")
        else kind.__module__
    )
    return kind.__qualname__ if place == "builtins" else f"{place}.{kind.__qualname__}"


def _unimplemented_forward(self, *input: Any) -> None:
    raise NotImplementedError(f'Module [{type(self).__name__}] is missing the required "forward" function')


class Module(StateMixin, ConvertMixin):
    """Base class of all neural-network modules.

    A subclass creates its parameters and sub-modules in ``__init__`` (after ``super().__init__()``) by
    assigning them as attributes, and computes in ``forward``. Call the module itself, not ``forward``.

    Example::

        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.hidden = nn.Linear(784, 128)
                self.output = nn.Linear(128, 10)

            def forward(self, x):
                return self.output(self.hidden(x).relu())
    """

    dump_patches: bool = False
    training: bool
    call_super_init: bool = False
    _compiled_call_impl: Callable | None = None

    # True where a call must look for hooks: on an instance that has some of its own, and on the class once a
    # global hook was registered. One look-up then tells whether a call is plain.
    _has_hooks: bool = False

    forward: Callable[..., Any] = _unimplemented_forward

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if not self.call_super_init and kwargs:
            name = next(iter(kwargs))
            raise TypeError(f"{type(self).__name__}.__init__() got an unexpected keyword argument '{name}'")
        if not self.call_super_init and args:
            given = len(args) + 1
            raise TypeError(
                f"{type(self).__name__}.__init__() takes 1 positional argument but {given} were given"
            )
        attributes = self.__dict__
        attributes["training"] = True
        attributes["_parameters"] = Registry(self)
        attributes["_buffers"] = Registry(self)
        attributes["_non_persistent_buffers_set"] = set()
        self._make_hook_tables()
        attributes["_modules"] = Registry(self)
        if self.call_super_init:
            super().__init__(*args, **kwargs)

    def _make_hook_tables(self) -> None:
        """Adds the tables of hooks that are not there (all of them in a new module)."""
        attributes = self.__dict__
        for name in _HOOK_TABLES:
            if name not in attributes:
                attributes[name] = OrderedDict()
        attributes.setdefault("_is_full_backward_hook", None)

    # ------------------------------------------------------------------------------------------ calling

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            if self._has_hooks:
                if self._compiled_call_impl is not None:
                    return self._compiled_call_impl(*args, **kwargs)
                return hooks.call_with_hooks(self, args, kwargs)
            return self.forward(*args, **kwargs)
        except Exception as error:
            extend_trail(error, self, args)
            raise

    def _call_impl(self, *args: Any, **kwargs: Any) -> Any:
        """``forward`` with all hooks, even where ``compile`` put a compiled form in its place."""
        return hooks.call_with_hooks(self, args, kwargs)

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Compiles the forward of this module in place; takes the arguments of `flambeau.compile`."""
        import flambeau

        self._compiled_call_impl = flambeau.compile(self._call_impl, *args, **kwargs)
        self._has_hooks = True

    # ------------------------------------------------------------------------------------------ attributes

    def __setattr__(self, name: str, value: Any) -> None:
        attributes = self.__dict__
        parameters = attributes.get("_parameters")
        if parameters is None or name in _REGISTRIES or name == "__dict__":
            self._set_early(name, value, parameters)
        elif isinstance(value, Tensor):
            self._set_tensor(name, value, attributes, parameters)
        elif isinstance(value, Module):
            if name in parameters:
                self._refuse(value, "parameter", name, "torch.nn.Parameter or None expected")
            self._forget(name, keep=attributes["_modules"])
            attributes["_modules"][name] = hooks.on_module(self, name, value)
        elif name in attributes and (
            name in parameters or name in attributes["_modules"] or name in attributes["_buffers"]
        ):
            self._set_declared(name, value)
        else:
            object.__setattr__(self, name, value)

    def _set_tensor(self, name: str, value: Tensor, attributes: dict, parameters: dict) -> None:
        buffers = attributes["_buffers"]
        if isinstance(value, Parameter):
            self._forget(name, keep=parameters)
            self.register_parameter(name, value)
        elif name in parameters:
            self._refuse(value, "parameter", name, "torch.nn.Parameter or None expected")
        elif name in attributes["_modules"]:
            self._refuse(value, "child module", name, "torch.nn.Module or None expected")
        elif isinstance(value, Buffer):
            self._forget(name, keep=buffers)
            self.register_buffer(name, value, value.persistent)
        elif name in buffers:
            buffers[name] = hooks.on_buffer(self, name, value)
        else:
            object.__setattr__(self, name, value)

    def _set_declared(self, name: str, value: Any) -> None:
        """A plain value for a name that is a parameter, sub-module or buffer: only None will do."""
        attributes = self.__dict__
        if name in attributes["_parameters"]:
            if value is not None:
                self._refuse(value, "parameter", name, "torch.nn.Parameter or None expected")
            self.register_parameter(name, None)
        elif name in attributes["_modules"]:
            if value is not None:
                self._refuse(value, "child module", name, "torch.nn.Module or None expected")
            attributes["_modules"][name] = hooks.on_module(self, name, value)
        else:
            if value is not None:
                self._refuse(value, "buffer", name, "torch.nn.Buffer, torch.Tensor or None expected")
            attributes["_buffers"][name] = hooks.on_buffer(self, name, value)

    def _set_early(self, name: str, value: Any, parameters: Any) -> None:
        """Assignments before ``Module.__init__`` ran, and of the registries themselves."""
        if parameters is None and name not in _REGISTRIES and name != "__dict__":
            if isinstance(value, Parameter):
                raise AttributeError("cannot assign parameters before Module.__init__() call")
            if isinstance(value, Module):
                raise AttributeError("cannot assign module before Module.__init__() call")
            if isinstance(value, Buffer):
                raise AttributeError("cannot assign buffer before Module.__init__() call")
        object.__setattr__(self, name, value)
        if name in _REGISTRIES or name == "__dict__":
            self._own_registries()

    def _own_registries(self) -> None:
        """Makes plain dicts (from a file or a copy) the registries of this module again."""
        attributes = self.__dict__
        for name in _REGISTRIES:
            entries = attributes.get(name)
            if isinstance(entries, dict) and not is_owned(entries, self):
                attributes[name] = Registry(self, entries)

    def _refuse(self, value: Any, what: str, name: str, expected: str) -> None:
        raise TypeError(f"cannot assign '{_type_name(value)}' as {what} '{name}' ({expected})")

    def _forget(self, name: str, keep: dict) -> None:
        """Removes `name` from wherever it stands, except from the registry `keep`."""
        attributes = self.__dict__
        if name not in attributes:
            return
        for registry in _REGISTRIES:
            entries = attributes[registry]
            if entries is not keep and name in entries:
                del entries[name]
                if registry == "_buffers":
                    attributes["_non_persistent_buffers_set"].discard(name)
        if name not in keep:
            attributes.pop(name, None)

    def __getattr__(self, name: str) -> Any:
        # Reached only when the ordinary look-up failed, for instance after a shallow copy of `__dict__`.
        attributes = self.__dict__
        for registry in _REGISTRIES:
            entries = attributes.get(registry)
            if entries is not None and name in entries:
                return entries[name]
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def __delattr__(self, name: str) -> None:
        for registry in _REGISTRIES:
            entries = self.__dict__.get(registry)
            if entries is not None and name in entries:
                del entries[name]
                if registry == "_buffers":
                    self._non_persistent_buffers_set.discard(name)
                return
        super().__delattr__(name)

    def __dir__(self) -> list[str]:
        names = {*dir(type(self)), *self.__dict__, *self._parameters, *self._modules, *self._buffers}
        return sorted(name for name in names if not name[0].isdigit())

    def __getstate__(self) -> dict:
        state = self.__dict__.copy()
        for registry in _REGISTRIES:
            for name, value in state.get(registry, {}).items():
                if state.get(name, self) is value:
                    del state[name]
        state.pop("_compiled_call_impl", None)
        return state

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        self.__dict__.setdefault("_non_persistent_buffers_set", set())
        self._make_hook_tables()  # states saved by older versions lack some
        self._own_registries()

    # ------------------------------------------------------------------------------------------ registration

    def _check_new_name(self, name: Any, what: str, registry: str) -> None:
        if not isinstance(name, str):
            raise TypeError(f"{what} name should be a string. Got {_type_name(name)}")
        if "." in name:
            got = f", got: {name}" if what == "module" else ""
            raise KeyError(f'{what} name can\'t contain "."{got}')
        if name == "":
            raise KeyError(f'{what} name can\'t be empty string ""')
        if name not in self.__dict__[registry] and hasattr(self, name):
            raise KeyError(f"attribute '{name}' already exists")

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Adds a tensor that belongs to the module's state and is not trained.

        Args:
            tensor: the buffer, or None (then it is not part of ``state_dict``).
            persistent: whether ``state_dict`` includes it.
        """
        if "_buffers" not in self.__dict__:
            raise AttributeError("cannot assign buffer before Module.__init__() call")
        self._check_new_name(name, "buffer", "_buffers")
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(
                f"cannot assign '{_type_name(tensor)}' object to buffer '{name}' (torch Tensor or None "
                "required)"
            )
        self._buffers[name] = hooks.on_buffer(self, name, tensor)
        if persistent:
            self._non_persistent_buffers_set.discard(name)
        else:
            self._non_persistent_buffers_set.add(name)

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Adds a parameter; None declares a name that has no parameter for now."""
        if "_parameters" not in self.__dict__:
            raise AttributeError("cannot assign parameter before Module.__init__() call")
        self._check_new_name(name, "parameter", "_parameters")
        if param is not None:
            if not isinstance(param, Parameter):
                raise TypeError(
                    f"cannot assign '{_type_name(param)}' object to parameter '{name}' "
                    "(torch.nn.Parameter or None required)"
                )
            if param.grad_fn is not None:
                raise ValueError(
                    f"Cannot assign non-leaf Tensor to parameter '{name}'. Model parameters must be created "
                    f"explicitly. To express '{name}' as a function of another Tensor, compute the value in "
                    "the forward() method."
                )
            param = hooks.on_parameter(self, name, param)
        self._parameters[name] = param

    def add_module(self, name: str, module: Module | None) -> None:
        """Adds a sub-module, available afterwards as the attribute `name`."""
        if not isinstance(module, Module) and module is not None:
            raise TypeError(f"{_type_name(module)} is not a Module subclass")
        self._check_new_name(name, "module", "_modules")
        self._modules[name] = hooks.on_module(self, name, module)

    def register_module(self, name: str, module: Module | None) -> None:
        """The same as `add_module`."""
        self.add_module(name, module)

    # ---------------------------------------------------------------------- looking up by path

    def _step_into(self, path: list[str]) -> Module:
        module: Any = self
        for name in path:
            if not hasattr(module, name):
                raise AttributeError(f"{module._get_name()} has no attribute `{name}`")
            module = getattr(module, name)
            if not isinstance(module, Module):
                raise AttributeError(f"`{name}` is not an nn.Module")
        return module

    def get_submodule(self, target: str) -> Module:
        """The sub-module at a path such as ``"encoder.0.linear"``; the module itself for ``""``."""
        return self._step_into(target.split(".")) if target else self

    def set_submodule(self, target: str, module: Module, strict: bool = False) -> None:
        """Puts `module` at the path `target`; with `strict`, only where there is one already."""
        if target == "":
            raise ValueError("Cannot set the submodule without a target name!")
        path = target.split(".")
        if not isinstance(module, Module):
            raise ValueError(f"`module` is not an nn.Module, found {type(module)}")
        parent = self._step_into(path[:-1])
        name = path[-1]
        if strict and not hasattr(parent, name):
            raise AttributeError(f"{parent._get_name()} has no attribute `{name}`")
        if hasattr(parent, name) and not isinstance(getattr(parent, name), Module):
            raise AttributeError(f"`{name}` is not an nn.Module")
        setattr(parent, name, module)

    def get_parameter(self, target: str) -> Parameter:
        """The parameter at a path such as ``"encoder.0.weight"``."""
        *path, name = target.split(".")
        module = self._step_into(path)
        if not hasattr(module, name):
            raise AttributeError(f"{module._get_name()} has no attribute `{name}`")
        parameter = getattr(module, name)
        if not isinstance(parameter, Parameter):
            raise AttributeError(f"`{name}` is not an nn.Parameter")
        return parameter

    def get_buffer(self, target: str) -> Tensor:
        """The buffer at a path such as ``"encoder.0.running_mean"``."""
        *path, name = target.split(".")
        module = self._step_into(path)
        if not hasattr(module, name):
            raise AttributeError(f"{module._get_name()} has no attribute `{name}`")
        if name not in module._buffers:
            raise AttributeError(f"`{name}` is not a buffer")
        return getattr(module, name)

    # ------------------------------------------------------------------------------------------ iterating

    def _named_members(
        self, get_members_fn: Callable, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Any]]:
        seen = set()
        if recurse:
            modules = self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate)
        else:
            modules = [(prefix, self)]
        for path, module in modules:
            for name, member in get_members_fn(module):
                if member is None or member in seen:
                    continue
                if remove_duplicate:
                    seen.add(member)
                yield (f"{path}.{name}" if path else name), member

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """All parameters, each once."""
        for _, parameter in self.named_parameters(recurse=recurse):
            yield parameter

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """All parameters with their paths."""
        return self._named_members(lambda m: m._parameters.items(), prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """All buffers, each once."""
        for _, buffer in self.named_buffers(recurse=recurse):
            yield buffer

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """All buffers with their paths."""
        return self._named_members(lambda m: m._buffers.items(), prefix, recurse, remove_duplicate)

    def children(self) -> Iterator[Module]:
        """The modules directly below this one."""
        for _, module in self.named_children():
            yield module

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules directly below this one, with their names."""
        seen = set()
        for name, module in self._modules.items():
            if module is not None and module not in seen:
                seen.add(module)
                yield name, module

    def modules(self, remove_duplicate: bool = True) -> Iterator[Module]:
        """This module and all below it, each once (or, without `remove_duplicate`, as often as it occurs)."""
        for _, module in self.named_modules(remove_duplicate=remove_duplicate):
            yield module

    def named_modules(
        self, memo: set | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """This module and all below it, with their paths."""
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, module in self._modules.items():
            if module is not None:
                path = f"{prefix}.{name}" if prefix else name
                yield from module.named_modules(memo, path, remove_duplicate)

    # ---------------------------------------------------------------------- mode and gradients

    def train(self, mode: bool = True):
        """Puts this module and all below it in training mode (dropout drops, batch norm learns)."""
        if not isinstance(mode, bool):
            raise ValueError("training mode is expected to be boolean")
        self.training = mode
        for module in self.children():
            module.train(mode)
        return self

    def eval(self):
        """Puts this module and all below it in evaluation mode."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True):
        """Sets whether the parameters receive gradients."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clears the gradients of all parameters: to None, or to zeros where `set_to_none` is False."""
        for parameter in self.parameters():
            gradient = parameter.grad
            if gradient is None:
                continue
            if set_to_none:
                parameter.grad = None
                continue
            if gradient.grad_fn is not None:
                gradient.detach_()
            else:
                gradient.requires_grad_(False)
            gradient.zero_()

    # ------------------------------------------------------------------------------------------ hooks

    def _add_hook(self, table: str, hook: Callable, prepend: bool = False, **facts: bool) -> RemovableHandle:
        """Puts `hook` in a table; `facts` name the tables that note something about it."""
        handle = RemovableHandle(getattr(self, table), extra_dict=[getattr(self, fact) for fact in facts])
        hooks_in_order = getattr(self, table)
        hooks_in_order[handle.id] = hook
        for fact, holds in facts.items():
            if holds:
                getattr(self, fact)[handle.id] = True
        if prepend:
            hooks_in_order.move_to_end(handle.id, last=False)
        self._has_hooks = True
        return handle

    def register_forward_pre_hook(
        self, hook: Callable, *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Calls ``hook(module, args)`` before every ``forward``; its result, if any, replaces the arguments.

        Args:
            with_kwargs: call ``hook(module, args, kwargs)``, which returns None or ``(args, kwargs)``.
        """
        return self._add_hook("_forward_pre_hooks", hook, prepend, _forward_pre_hooks_with_kwargs=with_kwargs)

    def register_forward_hook(
        self, hook: Callable, *, prepend: bool = False, with_kwargs: bool = False, always_call: bool = False
    ) -> RemovableHandle:
        """Calls ``hook(module, args, output)`` after every ``forward``; a result replaces the output.

        Args:
            with_kwargs: call ``hook(module, args, kwargs, output)``.
            always_call: call it also when ``forward`` raised.
        """
        return self._add_hook(
            "_forward_hooks",
            hook,
            prepend,
            _forward_hooks_with_kwargs=with_kwargs,
            _forward_hooks_always_called=always_call,
        )

    def register_full_backward_pre_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """Calls ``hook(module, grad_output)`` before the gradients of this module are computed."""
        return self._add_hook("_backward_pre_hooks", hook, prepend)

    def register_full_backward_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """Calls ``hook(module, grad_input, grad_output)`` once the gradients of the inputs are known."""
        self._choose_backward_kind(True)
        return self._add_hook("_backward_hooks", hook, prepend)

    def register_backward_hook(self, hook: Callable) -> RemovableHandle:
        """The deprecated form of `register_full_backward_hook`: sees the last node of the module only."""
        self._choose_backward_kind(False)
        return self._add_hook("_backward_hooks", hook)

    def _choose_backward_kind(self, full: bool) -> None:
        if self._is_full_backward_hook is (not full):
            raise RuntimeError(
                "Cannot use both regular backward hooks and full backward hooks on a single Module. "
                "Please use only one of them."
            )
        self._is_full_backward_hook = full

    # ------------------------------------------------------------------------------------------ showing

    def _get_name(self) -> str:
        return type(self).__name__

    def extra_repr(self) -> str:
        """What ``repr`` shows between the parentheses; for a module class to define."""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr()
        lines = extra.split("\n") if extra else []
        children = [f"({name}): {_addindent(repr(module), 2)}" for name, module in self._modules.items()]
        if not children and len(lines) <= 1:
            return f"{self._get_name()}({extra})"
        return f"{self._get_name()}(\n  " + "\n  ".join([*lines, *children]) + "\n)"

    def _replicate_for_data_parallel(self) -> Module:
        replica = self.__new__(type(self))
        replica.__dict__ = self.__dict__.copy()
        replica._parameters = {}
        replica._buffers = self._buffers.copy()
        replica._modules = self._modules.copy()
        replica._is_replica = True
        return replica


_HOOK_TABLES = (
    "_backward_pre_hooks",
    "_backward_hooks",
    "_forward_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
    "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
    "_state_dict_hooks",
    "_state_dict_pre_hooks",
    "_load_state_dict_pre_hooks",
    "_load_state_dict_post_hooks",
)
