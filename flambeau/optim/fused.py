"""Optimisers that update all parameters of a group in one native call."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import flambeau
from flambeau.tensor.tensor import Tensor

from .optimizer import GroupOptimizer

__all__ = ["FusedGroups"]


class States(defaultdict):
    """The states of parameters; `stamp` changes whenever a state is added, removed or replaced."""

    def __init__(self, *args: Any) -> None:
        super().__init__(dict, *args)
        self.stamp = 0

    def __missing__(self, key: Any) -> dict:
        self.stamp += 1
        return super().__missing__(key)

    def __setitem__(self, key: Any, value: Any) -> None:
        self.stamp += 1
        super().__setitem__(key, value)

    def __delitem__(self, key: Any) -> None:
        self.stamp += 1
        super().__delitem__(key)

    def pop(self, *args: Any) -> Any:
        self.stamp += 1
        return super().pop(*args)

    def popitem(self) -> Any:
        self.stamp += 1
        return super().popitem()

    def clear(self) -> None:
        self.stamp += 1
        super().clear()

    def update(self, *args: Any, **kwargs: Any) -> None:
        self.stamp += 1
        super().update(*args, **kwargs)

    def __reduce__(self):
        return _rebuild_states, (), None, None, iter(self.items())


def _rebuild_states() -> defaultdict:
    return defaultdict(dict)


class Batch:
    """Parameters of one dtype, ready for one native call: all its arguments but gradients and numbers."""

    __slots__ = ("run", "parameters", "fixed")

    def __init__(self, run: Any, parameters: list[Tensor], fixed: list[tuple]) -> None:
        self.run = run
        self.parameters = parameters
        self.fixed = fixed  # memory and offset of the parameters, then of each kind of state


class GroupPlan:
    """What was prepared for a group, and how to see that it no longer holds."""

    __slots__ = ("batches", "static", "rows", "states", "stamp", "entries", "slow")

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.static: tuple = ()
        self.rows: list[
            tuple
        ] = []  # per parameter of the group: itself, its memory, layout, batch number (-1: none)
        self.states: Any = None
        self.stamp = -1
        self.entries: list[tuple] = []  # (state of a parameter, name, tensor): must still be what is stored
        self.slow: list[Tensor] = []  # parameters that take the reference step


class FusedGroups(GroupOptimizer):
    """Runs the step of a group as one native call; `_reference_step` says the same in operators.

    The reference is used where a gradient flows through the step, for memory with gaps, on a parameter's
    first
    step with momentum, and by the tests.
    """

    #: told, while a call is captured, of numbers that may change: live_numbers(count, where they come from with what is fixed)
    live_numbers: Any = None

    def _forget_plans(self) -> None:
        self.__dict__["_plans"] = {}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._forget_plans()

    def _update_one(self, parameter: Tensor, gradient: Tensor, state: dict, group: dict[str, Any]) -> None:
        self._reference_step(parameter, gradient, group)

    def _reference_step(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        raise NotImplementedError

    def _native_step(self, group: dict[str, Any]) -> tuple[str, tuple, tuple]:
        """The name of the operator, its fixed options and its numbers, from the options of a group."""
        raise NotImplementedError

    def _state_lists(self, group: dict[str, Any], parameters: list[Tensor]) -> list[list[Tensor]] | None:
        """The state tensors, one list a kind; None where a first step has yet to make some."""
        raise NotImplementedError

    def _update_group(self, group: dict[str, Any]) -> None:
        if group.get("differentiable"):
            super()._update_group(group)
            return
        name, static, numbers = self._native_step(group)
        plan = self._plans.get(id(group))
        gradients = None if plan is None else self._gradients(plan, group, static)
        if gradients is None:
            plan = self._prepare(group, name, static)
            gradients = self._gradients(plan, group, static)
            assert gradients is not None, "a fresh plan fits its group"
        live = FusedGroups.live_numbers
        for batch, flat in zip(plan.batches, gradients):
            if live is not None:
                live(len(numbers), lambda: self._native_step(group))
            fixed = batch.fixed
            arguments = [fixed[0], 0, tuple(flat), 0]
            for state in fixed[1:]:
                arguments += (state, 0)
            batch.run(*arguments, *numbers)
        for parameter in plan.slow:
            self._refuse_sparse(parameter.grad)
            self._reference_step(parameter, parameter.grad, group)
        if plan.slow:
            del self._plans[id(group)]  # a first step has made the state that the native call needs

    def _gradients(self, plan: GroupPlan, group: dict[str, Any], static: tuple) -> list[list] | None:
        """Memory and offset of the gradients of each batch; None where the plan fits the group no more."""
        states, parameters, rows = self.state, group["params"], plan.rows
        if plan.static != static or plan.states is not states or plan.stamp != states.stamp:
            return None
        if len(parameters) != len(rows):
            return None
        for state, name, tensor in plan.entries:
            if state.get(name) is not tensor:
                return None
        found: list[list] = [[] for _ in plan.batches]
        for parameter, row in zip(parameters, rows):
            expected, memory, layout, number = row
            if (
                parameter is not expected
                or parameter._memory is not memory
                or parameter._layout is not layout
            ):
                return None
            gradient = parameter._grad
            if number < 0:
                if (gradient is not None) is not (number == -2):
                    return None
                continue
            if gradient is None:
                return None
            if gradient._layout is not layout:
                gradient = _with_layout(gradient, parameter)
                if gradient is None:
                    return None
            flat = found[number]
            flat.append(gradient._memory)
            flat.append(gradient._offset)
        return found

    def _prepare(self, group: dict[str, Any], name: str, static: tuple) -> GroupPlan:
        """The plan of a group as it is now."""
        if type(self.state) is not States:
            self.state = States(self.state)
        plan = self._plans[id(group)] = GroupPlan()
        plan.static = static
        by_dtype: dict[Any, list[Tensor]] = {}
        for parameter in group["params"]:
            if parameter._grad is None:
                continue
            if _fits_native(parameter) and self._state_fits(group, parameter):
                by_dtype.setdefault(parameter._layout.dtype, []).append(parameter)
            else:
                plan.slow.append(parameter)
        batch_of: dict[int, int] = {id(parameter): -2 for parameter in plan.slow}
        for parameters in by_dtype.values():
            lists = self._state_lists(group, parameters) or []
            plan.batches.append(_make_batch(name, static, parameters, lists))
            batch_of.update((id(parameter), len(plan.batches) - 1) for parameter in parameters)
            for tensors in lists:
                for parameter, tensor in zip(parameters, tensors):
                    state = self.state[parameter]
                    key = next(key for key, value in state.items() if value is tensor)
                    plan.entries.append((state, key, tensor))
        plan.rows = [(p, p._memory, p._layout, batch_of.get(id(p), -1)) for p in group["params"]]
        plan.states, plan.stamp = self.state, self.state.stamp
        return plan

    def _state_fits(self, group: dict[str, Any], parameter: Tensor) -> bool:
        """Whether the state of a parameter is there and lies in memory as the parameter does."""
        lists = self._state_lists(group, [parameter])
        if lists is None:
            return False
        return all(t._layout.numel == 1 or t._layout is parameter._layout for (t,) in lists)


def _fits_native(parameter: Tensor) -> bool:
    layout, gradient = parameter._layout, parameter._grad
    return (
        layout.dense
        and layout.dtype.kind >= 2
        and layout.device.type == "cpu"
        and not getattr(gradient, "is_sparse", False)
        and gradient._layout.dtype is layout.dtype
        and gradient._layout.shape == layout.shape
    )


def _with_layout(gradient: Tensor, parameter: Tensor) -> Tensor | None:
    """A gradient copied to the strides of its parameter; None where more than the strides differ."""
    if not _fits_native(parameter):
        return None
    return flambeau.empty_like(parameter).copy_(gradient)


def _make_batch(name: str, static: tuple, parameters: list[Tensor], lists: list[list[Tensor]]) -> Batch:
    """Plans the operator for these tensors; missing lists of state are empty."""
    from flambeau.ops.optimise import Adam, Sgd
    from flambeau.tensor.dispatch import prepare
    from flambeau.tensor.plan import make_plan

    operator = {"sgd_": Sgd, "adam_": Adam}[name].operator
    expected = sum(p.type == "Tensor[]" for p in operator.arguments) - 2
    lists = [*lists, *([[]] * (expected - len(lists)))]
    numbers = (0.0,) * sum(p.type == "Scalar" for p in operator.arguments)
    _, values, key = prepare(operator, (parameters, parameters, *lists, *static, *numbers))
    plan = operator.plans.get(key)
    if plan is None:
        plan = operator.plans[key] = make_plan(operator, values)
    fixed = [tuple(x for t in tensors for x in (t._memory, t._offset)) for tensors in (parameters, *lists)]
    return Batch(plan.run, list(parameters), fixed)
