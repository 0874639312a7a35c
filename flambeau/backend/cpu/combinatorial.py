"""Choices of places, by `itertools`."""

from __future__ import annotations

from itertools import combinations, combinations_with_replacement

from .host import host


def _chosen(call, inputs, outputs) -> None:
    import numpy as np

    values = call.values
    every = combinations_with_replacement if values["with_replacement"] else combinations
    out = outputs[0]
    if out.size:
        places = (k for row in every(range(values["size"]), values["r"]) for k in row)
        out[...] = np.fromiter(places, "i8", out.size).reshape(out.shape)


chosen = host(_chosen)
