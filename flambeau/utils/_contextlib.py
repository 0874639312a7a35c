"""A base for context managers that also decorate functions."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

__all__ = ["context_decorator"]


def context_decorator(ctx: Any, func: Callable) -> Callable:
    """A function that runs within a new context at each call. `ctx` is a context manager, or a function that makes one."""
    make: Callable[[], Any] = ctx if callable(ctx) else lambda: ctx
    if inspect.isclass(func):
        raise RuntimeError(
            f"Cannot decorate classes; it is ambiguous whether or not only the constructor or all methods should have the "
            f"context manager applied; additionally, decorating a class at definition-site will prevent use of the identifier "
            f"as a conventional type. To specify which methods to decorate, decorate each of them individually: {func}"
        )
    if inspect.isgeneratorfunction(func):

        @functools.wraps(func)
        def generator(*args: Any, **kwargs: Any) -> Any:
            inner = func(*args, **kwargs)
            send: Callable = functools.partial(next, inner)
            while True:  # the context is left while the generator waits
                try:
                    with make():
                        value = send()
                except StopIteration as stop:
                    return stop.value
                try:
                    received = yield value
                    send = functools.partial(inner.send, received)
                except GeneratorExit:
                    with make():
                        inner.close()
                    raise
                except BaseException as error:
                    send = functools.partial(inner.throw, error)

        return generator

    @functools.wraps(func)
    def call(*args: Any, **kwargs: Any) -> Any:
        with make():
            return func(*args, **kwargs)

    return call


class _DecoratorContextManager:
    """A context manager that can stand before ``def`` too."""

    def __call__(self, orig_func: Callable) -> Callable:
        return context_decorator(self.clone, orig_func)

    def clone(self) -> Any:
        """A fresh one for each call; override where `__init__` takes arguments."""
        return self.__class__()


class _NoParamDecoratorContextManager(_DecoratorContextManager):
    """One without arguments, which decorates without being called first."""

    def __new__(cls, orig_func: Callable | None = None) -> Any:
        return super().__new__(cls) if orig_func is None else cls()(orig_func)
