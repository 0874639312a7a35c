"""Plain functions of shapes."""

from __future__ import annotations

from ..base.layout import Size


def broadcast_shapes(*shapes) -> Size:
    """The shape that operands of these shapes broadcast to.

    Raises: RuntimeError when two sizes differ and neither is 1.

    >>> import flambeau as torch
    >>> torch.broadcast_shapes((2,), (3, 1))
    torch.Size([3, 2])
    """
    given = [(s,) if isinstance(s, int) else tuple(s) for s in shapes]
    result = [1] * max((len(s) for s in given), default=0)
    for k, shape in enumerate(given):
        for at in range(-1, -1 - len(shape), -1):
            n = shape[at]
            if n < 0:
                raise ValueError("Attempting to broadcast a dimension with negative length!")
            if n == 1 or n == result[at]:
                continue
            if result[at] != 1:
                raise RuntimeError(
                    f"Attempting to broadcast a dimension of length {n} at {at}! Mismatching argument at index {k} had "
                    f"{shape}; but expected shape should be broadcastable to {result}"
                )
            result[at] = n
    return Size(result)
