"""Parameters that a forward pre-hook computes from others before each call: what the older normalisations share."""

from __future__ import annotations

from typing import Any, ClassVar, TypeVar

from flambeau.nn.modules.module import Module
from flambeau.tensor.tensor import Tensor

M = TypeVar("M", bound=Module)


class ComputedParameter:
    """Base of the hooks. `name` is the parameter's; what it is computed from has that name with a suffix."""

    name: str
    #: what errors call such hooks
    called: ClassVar[str]

    @classmethod
    def _key(cls, module: Module, name: str) -> Any:
        """The key of the hook that computes this parameter; None if there is none."""
        hooks = module._forward_pre_hooks.items()
        return next((key for key, hook in hooks if isinstance(hook, cls) and hook.name == name), None)

    @classmethod
    def _refuse_a_second(cls, module: Module, name: str) -> None:
        if cls._key(module, name) is not None:
            raise RuntimeError(f"Cannot register two {cls.called} hooks on the same parameter {name}")

    @classmethod
    def undo(cls, module: M, name: str) -> M:
        """Takes the hook away and makes the parameter an ordinary one again."""
        key = cls._key(module, name)
        if key is None:
            raise ValueError(f"{cls.called} of '{name}' not found in {module}")
        module._forward_pre_hooks.pop(key).remove(module)
        return module

    def _source(self, module: Module, suffix: str) -> Tensor:
        return getattr(module, f"{self.name}_{suffix}")

    def remove(self, module: Module) -> None:
        """Makes the parameter an ordinary one again."""
        raise NotImplementedError
