"""Communication that gradients flow through: needs a process group, and there is none."""

from . import _no_group

__all__ = [
    "all_gather",
    "all_reduce",
    "all_to_all",
    "broadcast",
    "gather",
    "reduce",
    "reduce_scatter",
    "scatter",
]

all_gather, all_reduce, all_to_all, broadcast = map(
    _no_group, ("all_gather", "all_reduce", "all_to_all", "broadcast")
)
gather, reduce, reduce_scatter, scatter = map(_no_group, ("gather", "reduce", "reduce_scatter", "scatter"))
