"""L-BFGS."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import flambeau
from flambeau.tensor.tensor import Tensor

from .line_search import strong_wolfe
from .optimizer import Optimizer, check_lr, number

__all__ = ["LBFGS"]


_ORDER = ("al", "d", "t", "old_dirs", "old_stps", "ro", "H_diag", "prev_flat_grad", "prev_loss")


class LBFGS(Optimizer):
    """The quasi-Newton method of Broyden, Fletcher, Goldfarb and Shanno with limited memory.

    Calls the closure several times a step; takes one group of parameters only.

    Args:
        max_iter: iterations in one step.
        max_eval: calls of the closure in one step (1.25 `max_iter` when None).
        tolerance_grad: stop when no element of the gradient is greater.
        tolerance_change: stop when parameters or loss change by less.
        history_size: how many former steps are kept.
        line_search_fn: None, or ``"strong_wolfe"``.

    Source: Nocedal and Wright, Numerical Optimization, chapters 3 and 7.
    """

    def __init__(
        self,
        params: Iterable,
        lr: float | Tensor = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        check_lr(lr)
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "history_size": history_size,
            "line_search_fn": line_search_fn,
        }
        super().__init__(params, defaults)
        if len(self.param_groups) != 1:
            raise ValueError("LBFGS doesn't support per-parameter options (parameter groups)")
        self._params = self.param_groups[0]["params"]

    # ---------------------------------------------------------------------- one flat vector

    def _flat_gradient(self) -> Tensor:
        parts = []
        for parameter in self._params:
            gradient = parameter.grad
            part = parameter.new_zeros(parameter.numel()) if gradient is None else gradient.reshape(-1)
            parts.append(flambeau.view_as_real(part).view(-1) if part.is_complex() else part)
        return flambeau.cat(parts, 0)

    def _move(self, distance: float, direction: Tensor) -> None:
        """Adds ``distance * direction`` to the parameters."""
        start = 0
        for parameter in self._params:
            real = flambeau.view_as_real(parameter) if parameter.is_complex() else parameter
            count = real.numel()
            real.add_(direction[start : start + count].view(real.shape), alpha=number(distance))
            start += count

    def _values(self) -> list[Tensor]:
        return [parameter.clone() for parameter in self._params]

    def _restore(self, values: list[Tensor]) -> None:
        for parameter, value in zip(self._params, values):
            parameter.copy_(value)

    # ------------------------------------------------------------------------------------------ the step

    def step(self, closure: Callable[[], Any]) -> Any:
        """Runs up to `max_iter` iterations.

        Args:
            closure: clears the gradients, computes the loss, calls ``backward`` and returns the loss.
        """
        with flambeau.no_grad():
            return self._iterate(flambeau.enable_grad()(closure))

    def _iterate(self, closure: Callable[[], Any]) -> Any:
        group = self.param_groups[0]
        lr = group["lr"]
        search = group["line_search_fn"]
        state = self.state[self._params[0]]  # the state is one for all parameters
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)
        first_loss = closure()
        loss = float(first_loss)
        evaluations = 1
        state["func_evals"] += 1
        gradient = self._flat_gradient()
        if gradient.abs().max() <= group["tolerance_grad"]:
            return first_loss
        iterations = 0
        while iterations < group["max_iter"]:
            iterations += 1
            state["n_iter"] += 1
            direction = self._direction(state, gradient, group["history_size"])
            state["prev_flat_grad"] = gradient.clone()
            state["prev_loss"], former_loss = loss, loss
            distance = min(1.0, 1.0 / gradient.abs().sum()) * lr if state["n_iter"] == 1 else lr
            slope = gradient.dot(direction)
            if slope > -group["tolerance_change"]:
                state["t"] = distance
                break
            calls = 0
            if search is not None:
                if search != "strong_wolfe":
                    raise RuntimeError("only 'strong_wolfe' is supported")
                loss, gradient, distance, calls = self._search(
                    closure, distance, direction, loss, gradient, slope
                )
                self._move(distance, direction)
                small = gradient.abs().max() <= group["tolerance_grad"]
            else:
                self._move(distance, direction)
                small = False
                if iterations != group["max_iter"]:  # the last gradient would not be used
                    loss = float(closure())
                    gradient = self._flat_gradient()
                    small = gradient.abs().max() <= group["tolerance_grad"]
                    calls = 1
            state["t"] = distance
            evaluations += calls
            state["func_evals"] += calls
            done = iterations == group["max_iter"] or evaluations >= group["max_eval"] or small
            if done or direction.mul(distance).abs().max() <= group["tolerance_change"]:
                break
            if abs(loss - former_loss) < group["tolerance_change"]:
                break
        for name in _ORDER:  # as saved states have it
            if name in state:
                state[name] = state.pop(name)
        return first_loss

    def _direction(self, state: dict, gradient: Tensor, history_size: int) -> Tensor:
        """Minus the gradient times the estimated inverse of the second derivative."""
        if state["n_iter"] == 1:
            state["d"] = gradient.neg()
            state["old_dirs"], state["old_stps"], state["ro"], state["H_diag"] = [], [], [], 1
            return state["d"]
        changes, steps, inverses = state["old_dirs"], state["old_stps"], state["ro"]
        change = gradient.sub(state["prev_flat_grad"])
        step = state["d"].mul(state["t"])
        curvature = change.dot(step)
        if curvature > 1e-10:
            if len(changes) == history_size:
                for kept in (changes, steps, inverses):
                    kept.pop(0)
            changes.append(change)
            steps.append(step)
            inverses.append(1.0 / curvature)
            state["H_diag"] = curvature / change.dot(change)
        if "al" not in state:
            state["al"] = [None] * history_size
        weights = state["al"]
        count = len(changes)
        result = gradient.neg()
        for i in range(count - 1, -1, -1):
            weights[i] = steps[i].dot(result) * inverses[i]
            result.add_(changes[i], alpha=-number(weights[i]))
        result = flambeau.mul(result, state["H_diag"])
        for i in range(count):
            correction = changes[i].dot(result) * inverses[i]
            result.add_(steps[i], alpha=number(weights[i] - correction))
        state["d"] = result
        return result

    def _search(self, closure, distance, direction, loss, gradient, slope):
        """A line search from the present parameters, which it leaves unchanged."""
        begin = self._values()

        def at(where: float) -> tuple[float, Tensor]:
            self._move(where, direction)
            value = float(closure())
            found = self._flat_gradient()
            self._restore(begin)
            return value, found

        return strong_wolfe(at, number(distance), direction, loss, gradient, slope)
