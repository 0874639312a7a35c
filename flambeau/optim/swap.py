"""Running an optimiser for a while on other parameters and state."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from flambeau.tensor.tensor import Tensor

__all__ = ["swap_in_optimizer_params_and_state"]


@contextlib.contextmanager
def swap_in_optimizer_params_and_state(
    optimizer: Any, swapin_parameters: dict[str, Tensor], swapin_optim_state: dict[str, Any]
) -> Iterator[None]:
    """Within it, an optimiser has other parameters, state and options; then its own again.

    Args:
        optimizer: one whose state was made, by a step for example.
        swapin_parameters: the parameters to act on, in the order of the optimiser's own.
        swapin_optim_state: state and groups in the form of ``optimizer.state_dict()``. Its tensors are changed in place;
            entries that a step adds do not reach it.
    """
    groups, saved = optimizer.param_groups, swapin_optim_state["param_groups"]
    if len(groups) != len(saved):
        raise ValueError(
            f"the optimizer has {len(groups)} parameter groups, the given state has {len(saved)}"
        )
    count = sum(len(group["params"]) for group in groups)
    if count != len(swapin_parameters):
        raise ValueError(f"the optimizer has {count} parameters, but {len(swapin_parameters)} were given")
    if count and not optimizer.state:
        raise RuntimeError("the optimizer has no state yet: step it, or load a state, before swapping")
    before, snapshots = optimizer.state, [dict(group) for group in groups]
    parameters = iter(swapin_parameters.values())
    state: defaultdict[Tensor, Any] = defaultdict(dict)
    try:
        for group, given in zip(groups, saved):
            if len(group["params"]) != len(given["params"]):
                raise ValueError(
                    f"a parameter group has {len(group['params'])} parameters, its given state {len(given['params'])}"
                )
            own = [next(parameters) for _ in group["params"]]
            for parameter, number in zip(own, given["params"]):
                state[parameter] = dict(swapin_optim_state["state"].get(number, {}))
            group.update(given, params=own)
        optimizer.state = state
        yield
    finally:
        for group, snapshot in zip(groups, snapshots):
            group.clear()
            group.update(snapshot)
        optimizer.state = before
