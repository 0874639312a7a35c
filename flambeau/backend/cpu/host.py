"""Operators that run as Python on NumPy arrays: what LAPACK and NumPy do better than a kernel of ours would.

``name = host(compute)`` is a schedule; ``compute(call, inputs, outputs)`` reads arrays over the operands' memory and
writes into arrays over the results'. It runs on the calling thread.
"""

from __future__ import annotations

from collections.abc import Callable

from ...base.layout import Layout
from . import runtime


class _Memory:
    """Hands an address to NumPy."""

    __slots__ = ("__array_interface__",)

    def __init__(self, interface: dict):
        self.__array_interface__ = interface


def describe(where: Layout) -> tuple[tuple, str, tuple]:
    """Shape, type and strides in bytes, as NumPy wants them."""
    import numpy as np

    item = where.dtype.itemsize
    kind = np.dtype(where.dtype.numpy_name)
    if kind.itemsize != item:  # NumPy lacks the type: an array of another would lie over the wrong memory
        raise NotImplementedError(f"this operation is not implemented for '{where.dtype}' on the CPU")
    return tuple(where.shape), kind.str, tuple(s * item for s in where.strides)


def array_over(address: int, described):
    """An array over memory that outlives it."""
    import numpy as np

    shape, kind, strides = described
    if 0 in shape:
        return np.empty(shape, kind)
    return np.asarray(
        _Memory({"version": 3, "shape": shape, "typestr": kind, "data": (address, False), "strides": strides})
    )


def host(compute: Callable) -> Callable:
    """A schedule that runs `compute` on arrays over the operands and results."""

    def schedule(call):
        inputs = [describe(where) for where in call.inputs if where is not None]
        outputs = [(where.nbytes, describe(where)) for where in call.outputs]
        single = len(outputs) == 1

        def run(*words):
            given = [
                array_over(runtime.address(words[2 * k]) + words[2 * k + 1], one)
                for k, one in enumerate(inputs)
            ]
            memory = [runtime.allocate(nbytes) for nbytes, _ in outputs]
            results = [array_over(runtime.address(m), one) for m, (_, one) in zip(memory, outputs)]
            compute(call, given, results)
            return memory[0] if single else tuple(memory)

        return run

    return schedule
