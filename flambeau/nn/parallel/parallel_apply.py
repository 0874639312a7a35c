"""Running copies of a module, each on its inputs."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import flambeau

__all__ = ["parallel_apply"]


def parallel_apply(
    modules: Sequence[Any],
    inputs: Sequence[Any],
    kwargs_tup: Sequence[dict[str, Any]] | None = None,
    devices: Sequence[Any] | None = None,
) -> list[Any]:
    """The output of each module on its own inputs, one thread a module.

    Args:
        inputs: a tuple of arguments a module; anything else is the only argument.
        kwargs_tup: keyword arguments a module.
    """
    if len(modules) != len(inputs):
        raise AssertionError(
            f"The number of modules {len(modules)} is not equal to the number of inputs {len(inputs)}"
        )
    options = list(kwargs_tup) if kwargs_tup is not None else [{} for _ in modules]
    for what, given in (("keyword arguments", options), ("devices", devices)):
        if given is not None and len(given) != len(modules):
            raise AssertionError(f"{len(modules)} modules, but {len(given)} {what}")
    results: list[Any] = [None] * len(modules)
    recording = flambeau.is_grad_enabled()

    def work(k: int) -> None:
        given = inputs[k] if isinstance(inputs[k], (list, tuple)) else (inputs[k],)
        try:
            with flambeau.set_grad_enabled(recording):
                results[k] = modules[k](*given, **options[k])
        except Exception as error:
            results[k] = _Failure(error)

    if len(modules) == 1:
        work(0)
    else:
        threads = [threading.Thread(target=work, args=(k,)) for k in range(len(modules))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for found in results:
        if isinstance(found, _Failure):
            raise found.error
    return results


class _Failure:
    """What a thread raised."""

    def __init__(self, error: Exception) -> None:
        self.error = error
