"""`gradcheck`: derivatives compared with finite differences."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

from ..base import dtype as types
from ..base.layout import overlaps_itself
from ..ops.define import ops
from ..tensor.grad_modes import enable_grad, no_grad
from ..tensor.gradients import grad
from ..tensor.tensor import Tensor

__all__ = ["GradcheckError", "gradcheck", "gradgradcheck"]


class GradcheckError(RuntimeError):
    """A derivative that differs from what finite differences say."""


class _Settings(NamedTuple):
    eps: float
    atol: float
    rtol: float
    nondet_tol: float
    fast_mode: bool


def _as_tuple(x) -> tuple:
    return (x,) if isinstance(x, Tensor) else tuple(x) if isinstance(x, (tuple, list)) else (x,)


def _differentiable(inputs) -> list[tuple[int, Tensor]]:
    return [(k, t) for k, t in enumerate(inputs) if isinstance(t, Tensor) and t.requires_grad]


def _check_inputs(inputs: tuple) -> None:
    wanted = _differentiable(inputs)
    if not wanted:
        raise ValueError(
            "gradcheck expects at least one input tensor to require gradient, but none of them have requires_grad=True."
        )
    for k, t in wanted:
        if t.dtype not in (types.float64, types.complex128):
            warnings.warn(
                f"Input #{k} requires gradient and is not a double precision floating point or complex. This check will "
                "likely fail if all the inputs are not of double precision floating point or complex. ", UserWarning,
                stacklevel=3,
            )  # fmt: skip
        if overlaps_itself(t.shape, t.stride()):
            raise RuntimeError(
                f"The {k}th input has a dimension with stride 0. gradcheck only supports inputs that are non-overlapping to "
                "be able to compute the numerical gradients correctly. You should call .contiguous on the input before "
                "passing it to gradcheck."
            )
        t.retain_grad()


class _Part(NamedTuple):
    """A real-valued view of one output: the output itself, or the real or imaginary part of a complex one."""

    place: int
    prefix: str
    choose: Callable[[Tensor], Tensor]


def _parts(outputs: tuple) -> list[_Part]:
    found = []
    for k, t in enumerate(outputs):
        if not t.is_complex():
            found.append(_Part(k, "", lambda t: t))
            continue
        text = "While considering the {} part of complex outputs only, "
        found.append(_Part(k, text.format("imaginary"), ops.imag))
        found.append(_Part(k, text.format("real"), ops.real))
    return found


# -- finite differences ----------------------------------------------------------------------------------------------


def _outputs(func: Callable, inputs: tuple) -> tuple:
    return tuple(t for t in _as_tuple(func(*inputs)))


def _moved(run: Callable, t: Tensor, at: tuple, step) -> list[Tensor]:
    """What `run` gives with one element of `t` moved by a step, in place."""
    data = t.data  # what the graph saved does not count these writes
    kept = data[at].item()
    data[at] = kept + step
    try:
        return [o.detach().clone() for o in run()]
    finally:
        data[at] = kept


def _positions(shape) -> list[tuple[int, ...]]:
    found: list[tuple[int, ...]] = [()]
    for n in shape:
        found = [(*p, i) for p in found for i in range(n)]
    return found


def _numerical(run: Callable, t: Tensor, parts: list[_Part], eps: float) -> list[Tensor]:
    """Jacobian of each part by an input, one row an element of the input (complex for a complex one)."""
    rows: list[list[Tensor]] = [[] for _ in parts]
    with no_grad():
        for at in _positions(t.shape):
            up, down = _moved(run, t, at, eps), _moved(run, t, at, -eps)
            across = (_moved(run, t, at, eps * 1j), _moved(run, t, at, -eps * 1j)) if t.is_complex() else None
            for k, part in enumerate(parts):
                row = _slope(part, up, down, eps)
                if across is not None:  # the gradient of a real function: d/dx + i d/dy
                    row = row + 1j * _slope(part, *across, eps)
                rows[k].append(row)
    return [ops.stack(r, 0) if r else ops.zeros((0, 0), dtype=t.dtype) for r in rows]


def _slope(part: _Part, up: list[Tensor], down: list[Tensor], eps: float) -> Tensor:
    return ((part.choose(up[part.place]) - part.choose(down[part.place])) / (2 * eps)).reshape(-1)


# -- the derivative under test ---------------------------------------------------------------------------------------


def _analytical(output: Tensor, inputs: list[Tensor]) -> list[Tensor]:
    """Jacobian of a real output by each input, one row an element of the input."""
    columns: list[list[Tensor]] = [[] for _ in inputs]
    flat = output.reshape(-1)
    for k in range(output.numel()):
        found = grad(flat.select(0, k), inputs, retain_graph=True, allow_unused=True)
        for n, (g, t) in enumerate(zip(found, inputs)):
            columns[n].append((ops.zeros_like(t) if g is None else g.detach()).reshape(-1))
    return [
        ops.stack(c, 1) if c else ops.zeros((t.numel(), 0), dtype=t.dtype) for c, t in zip(columns, inputs)
    ]


def _close(numerical: Tensor, analytical: Tensor, settings: _Settings) -> bool:
    numerical = numerical.to(analytical.dtype)
    return bool(ops.allclose(analytical, numerical, settings.rtol, settings.atol))


def _mismatch(part: _Part, place: int, numerical, analytical) -> GradcheckError:
    return GradcheckError(
        f"{part.prefix}Jacobian mismatch for output {part.place} with respect to input {place},\n"
        f"numerical:{numerical}\nanalytical:{analytical}\n"
    )


def _compare(func: Callable, inputs: tuple, outputs: tuple, settings: _Settings) -> None:
    """Every element of every Jacobian."""
    wanted = _differentiable(inputs)
    tensors = [t for _, t in wanted]
    parts = [p for p in _parts(outputs) if outputs[p.place].requires_grad]
    numerical = [_numerical(lambda: _outputs(func, inputs), t, parts, settings.eps) for t in tensors]
    for k, part in enumerate(parts):
        chosen = part.choose(outputs[part.place])
        analytical = _analytical(chosen, tensors)
        again = _analytical(chosen, tensors)
        for n, (place, _) in enumerate(wanted):
            if not _close(numerical[n][k], analytical[n], settings):
                raise _mismatch(part, place, numerical[n][k], analytical[n])
            if not ops.allclose(analytical[n], again[n], 0.0, settings.nondet_tol):
                raise GradcheckError(
                    "Backward is not reentrant, i.e., running backward with same input and grad_output multiple times gives "
                    "different values, although analytical gradient matches numerical gradient.The tolerance for "
                    f"nondeterminism was {settings.nondet_tol}."
                )


def _compare_fast(func: Callable, inputs: tuple, outputs: tuple, settings: _Settings) -> None:
    """One random direction of each input against one random weighting of each output; the whole on a mismatch."""
    from ..tensor.generator import Generator

    chance = Generator().manual_seed(0)

    def random(t: Tensor) -> Tensor:
        made = ops.rand(tuple(t.shape), generator=chance, dtype=t.dtype)
        return made / made.abs().square().sum().sqrt()

    parts = [p for p in _parts(outputs) if outputs[p.place].requires_grad]
    for part in parts:
        chosen = part.choose(outputs[part.place])
        weights = random(chosen)
        for place, t in _differentiable(inputs):
            (g,) = grad(chosen, [t], weights, retain_graph=True, allow_unused=True)
            direction = random(t)
            found = 0.0 if g is None else (g * direction.conj()).sum().real.item()
            with no_grad():
                ends = []
                for sign in (1, -1):
                    moved = list(inputs)
                    moved[place] = t.detach() + sign * settings.eps * direction
                    ends.append(
                        (part.choose(_outputs(func, tuple(moved))[part.place]) * weights).sum().item()
                    )
            expected = (ends[0] - ends[1]) / (2 * settings.eps)
            if not abs(found - expected) <= settings.atol + settings.rtol * abs(expected):
                _compare(func, inputs, outputs, settings)
                raise _mismatch(part, place, expected, found)


def _check_zero(func: Callable, inputs: tuple, outputs: tuple, eps: float) -> None:
    """Outputs that are not differentiable must not change with the inputs."""
    parts = _parts(tuple(t for t in outputs if isinstance(t, Tensor)))
    for _, t in _differentiable(inputs):
        for found in _numerical(lambda: _outputs(func, inputs), t, parts, eps):
            if bool(found.ne(0).any()):
                raise GradcheckError("Numerical gradient for function expected to be zero")


def _check_weighting(outputs: list[Tensor], inputs: list[Tensor]) -> None:
    """A gradient of zeros must come back as zeros."""
    found = grad(outputs, inputs, [ops.zeros_like(t) for t in outputs], retain_graph=True, allow_unused=True)
    for g, t in zip(found, inputs):
        if g is None:
            continue
        if bool(g.ne(0).any()):
            raise GradcheckError("backward not multiplied by grad_output")
        if g.dtype is not t.dtype:
            raise GradcheckError("grad is incorrect type")
        if g.shape != t.shape:
            raise GradcheckError("grad is incorrect size")


def _check_missing(outputs: list[Tensor], inputs: list[Tensor]) -> None:
    """A backward of several outputs must cope with a gradient that is not there."""
    for k in range(len(outputs) if len(outputs) > 1 else 0):
        try:
            grad(outputs[k], inputs, ops.ones_like(outputs[k]), retain_graph=True, allow_unused=True)
        except RuntimeError as error:
            raise GradcheckError("Expected backward function to handle undefined output grads.") from error


def _gradcheck(func: Callable, inputs: tuple, settings: _Settings, check_undefined_grad: bool) -> None:
    _check_inputs(inputs)
    with enable_grad():
        outputs = _outputs(func, inputs)
        if not any(isinstance(t, Tensor) and t.requires_grad for t in outputs):
            if not all(isinstance(t, Tensor) for t in outputs):
                raise ValueError("gradcheck expects all outputs of the function to be tensors.")
            _check_zero(func, inputs, outputs, settings.eps)
            return
        (_compare_fast if settings.fast_mode else _compare)(func, inputs, outputs, settings)
        tracked = [t for t in outputs if isinstance(t, Tensor) and t.requires_grad]
        tensors = [t for _, t in _differentiable(inputs)]
        _check_weighting(tracked, tensors)
        if check_undefined_grad:
            _check_missing(tracked, tensors)


def gradcheck(
    func: Callable, inputs, *, eps: float = 1e-6, atol: float = 1e-5, rtol: float = 1e-3, raise_exception: bool = True,
    nondet_tol: float = 0.0, check_undefined_grad: bool = True, check_grad_dtypes: bool = False,
    check_batched_grad: bool = False, check_batched_forward_grad: bool = False, check_forward_ad: bool = False,
    check_backward_ad: bool = True, fast_mode: bool = False, masked: bool | None = None,
) -> bool:  # fmt: skip
    """Whether a function's gradients agree with finite differences, within ``atol + rtol * |numerical|``.

    inputs: tensors of float64 or complex128 that require gradients (others are passed on as they are).
    eps: how far an element is moved. fast_mode: compare along one random direction instead of every element.

    Raises: GradcheckError where they differ (or gives False with ``raise_exception=False``).

    >>> import flambeau as torch
    >>> x = torch.rand(3, dtype=torch.float64, requires_grad=True)
    >>> torch.autograd.gradcheck(torch.sin, x)
    True
    """
    if not (check_forward_ad or check_backward_ad):
        raise AssertionError("Expected at least one of check_forward_ad or check_backward_ad to be True")
    if check_forward_ad:
        raise NotImplementedError("gradcheck compares reverse mode only: check_forward_ad is not available")
    settings = _Settings(eps, atol, rtol, nondet_tol, fast_mode)
    if raise_exception:
        _gradcheck(func, _as_tuple(inputs), settings, check_undefined_grad)
        return True
    try:
        _gradcheck(func, _as_tuple(inputs), settings, check_undefined_grad)
    except GradcheckError:
        return False
    return True


def gradgradcheck(
    func: Callable, inputs, grad_outputs=None, *, eps: float = 1e-6, atol: float = 1e-5, rtol: float = 1e-3,
    gen_non_contig_grad_outputs: bool = False, raise_exception: bool = True, nondet_tol: float = 0.0,
    check_undefined_grad: bool = True, check_grad_dtypes: bool = False, check_batched_grad: bool = False,
    check_fwd_over_rev: bool = False, check_rev_over_rev: bool = True, fast_mode: bool = False, masked: bool = False,
) -> bool:  # fmt: skip
    """Whether the gradients of a function's gradients agree with finite differences.

    grad_outputs: what the gradients start from; random where left out.
    """
    inputs = _as_tuple(inputs)
    if grad_outputs is None:
        outputs = [t for t in _outputs(func, inputs) if isinstance(t, Tensor) and t.requires_grad]
        starts = tuple(_random_start(t, gen_non_contig_grad_outputs) for t in outputs)
    else:
        starts = _as_tuple(grad_outputs)
    count = len(starts)

    def gradients(*given) -> Any:
        own = given[: len(given) - count]
        tracked = [t for t in own if isinstance(t, Tensor) and t.requires_grad]
        with enable_grad():
            if not tracked:  # a finite difference moved a copy outside the graph
                own = tuple(
                    t.detach().requires_grad_() if isinstance(t, Tensor) and was.requires_grad else t
                    for t, was in zip(own, inputs)
                )
                tracked = [t for t in own if isinstance(t, Tensor) and t.requires_grad]
            outputs = [t for t in _outputs(func, own) if isinstance(t, Tensor) and t.requires_grad]
            found = grad(outputs, tracked, given[len(given) - count :], create_graph=True, allow_unused=True)
        return tuple(g for g in found if g is not None)

    return gradcheck(
        gradients, (*inputs, *starts), eps=eps, atol=atol, rtol=rtol, raise_exception=raise_exception,
        nondet_tol=nondet_tol, check_undefined_grad=check_undefined_grad, fast_mode=fast_mode,
    )  # fmt: skip


def _random_start(t: Tensor, noncontiguous: bool) -> Tensor:
    kind = t.dtype if t.is_floating_point() or t.is_complex() else types.float64
    made = ops.rand(tuple(t.shape), dtype=kind) * 2 - 1
    if noncontiguous and made.ndim:
        made = ops.stack([made, made], -1).select(-1, 0)
    return made.detach().requires_grad_()
