"""Kernels that write past the caches give the bits of those that do not, whatever the lengths and addresses."""

from __future__ import annotations

import ctypes
import math

import numpy as np
import pytest

import flambeau as torch
from flambeau.backend.cpu import pointwise, pointwise_dense, rows, rows_wide, runtime, schedule, streaming
from flambeau.backend.cpu.emit import ScalarFunction
from flambeau.backend.cpu.types import BY_CODE
from flambeau.ir import expr
from flambeau.ir.expr import leaf

NUMPY = {"f32": np.float32, "f64": np.float64, "i64": np.int64}
SIZE = 1 << 14


def bytes_over(memory) -> np.ndarray:
    return np.frombuffer((ctypes.c_char * SIZE).from_address(runtime.address(memory)), np.uint8)


def blocks(count: int, seed: int = 0) -> list:
    made = [runtime.allocate(SIZE) for _ in range(count)]
    for k, memory in enumerate(made):
        numbers = np.random.default_rng(seed + k).normal(size=SIZE // 8)
        bytes_over(memory)[:] = numbers.view(np.uint8)
    return made


def run(address: int, operands: list[tuple], count: int, chunk: int) -> None:
    """operands: (memory, byte offset), in the order of the kernel's frame words."""
    parameters = list(range(runtime.FIRST, runtime.FIRST + len(operands)))
    call = runtime.program([], len(operands), [(address, parameters, count, chunk)])
    call(*(word for pair in operands for word in pair))


@pytest.mark.parametrize("code", list(NUMPY))
@pytest.mark.parametrize("count", [1, 15, 16, 17, 63, 64, 200, 1000])
@pytest.mark.parametrize("moves", [(0, 0), (1, 0), (0, 3), (5, 5)])
def test_streamed_elements_are_the_ordinary_ones(code, count, moves):
    """Nothing beside the result is written, and chunks of any length meet."""
    item = BY_CODE[code].bytes
    x, y = leaf("input", 0, code), leaf("input", 1, code)
    function = ScalarFunction([x * y + x])
    found = []
    for streamed in (False, True):
        out, a, b = blocks(3)
        address = pointwise.kernel(function, (code,) * 3, 1, (1, 1, 1), True, (), streamed)
        run(address, [(out, moves[0] * item), (a, moves[1] * item), (b, 0)], count, 77)
        found.append(bytes_over(out).copy())
    assert np.array_equal(*found)
    assert not np.array_equal(found[0], bytes_over(blocks(1)[0]))


@pytest.mark.parametrize("second", [0, 1])
def test_results_whose_lines_do_not_begin_together(second):
    """Two results, one input and a repeated one."""
    x, y = leaf("input", 0, "f32"), leaf("input", 1, "f32")
    function = ScalarFunction([expr.tanh(x) + y, x * y])
    found = []
    for streamed in (False, True):
        one, two, a, b = blocks(4)
        address = pointwise.kernel(function, ("f32",) * 4, 2, (1, 1, 1, 0), True, (), streamed)
        run(address, [(one, 4), (two, 4 + 4 * second), (a, 0), (b, 0)], 999, 300)
        found.append(np.concatenate([bytes_over(one), bytes_over(two)]))
    assert np.array_equal(*found)


def test_a_result_over_its_input():
    function = ScalarFunction([leaf("input", 0, "f32") * 3.0])
    address = pointwise.kernel(function, ("f32", "f32"), 1, (1, 1), True, (), True)
    (memory,) = blocks(1)
    before = bytes_over(memory).view(np.float32).copy()
    run(address, [(memory, 0), (memory, 0)], 1000, 1000)
    after = bytes_over(memory).view(np.float32)
    with np.errstate(all="ignore"):
        assert np.array_equal(after[:1000], before[:1000] * np.float32(3), equal_nan=True)
    assert np.array_equal(after[1000:], before[1000:], equal_nan=True)


def test_only_large_results_are_streamed():
    cache = streaming.last_level_cache()
    assert cache >= 1 << 18
    assert streaming.worthwhile(cache // 2)
    assert not streaming.worthwhile(cache // 2 - 1)
    function = ScalarFunction([leaf("input", 0, "f32") * 3.0])
    assert pointwise_dense.streams(function, ("f32", "f32"), 1, (1, 1), cache // 8)
    assert not pointwise_dense.streams(function, ("f32", "f32"), 1, (1, 1), cache // 8 - 1)
    assert not pointwise_dense.streams(function, ("f32", "f32"), 1, (0, 1), cache)


def test_a_large_call_is_the_same_as_its_parts():
    count = streaming.last_level_cache() // 8 + 5
    x = torch.arange(count) * 1e-6 - 2
    whole = torch.tanh(x)
    parts = torch.cat([torch.tanh(p) for p in x.split(count // 7)])
    assert torch.equal(whole, parts)


# -- rows ---------------------------------------------------------------------------------------------------------


def wide(kernel, streamed: bool, operands, numbers, lines: int, registers: int, **more) -> None:
    t = BY_CODE["f32"]
    given = {
        "T": t, "C": t, "EXP": rows.function(expr.exp, "f32"), "LOG": rows.function(expr.log, "f32"),
        **rows_wide.chosen(t, t, 0, 0, registers), "STREAM": streamed, **more,
    }  # fmt: skip
    words = [*range(runtime.FIRST, runtime.FIRST + len(operands)), *numbers]
    step = (schedule.native_address(kernel, given), words, lines, 2)
    runtime.program([], len(operands), [step])(*(word for pair in operands for word in pair))


@pytest.mark.parametrize("move", [0, 4])
@pytest.mark.parametrize("logarithm", [False, True])
def test_streamed_rows_are_the_ordinary_ones(logarithm, move):
    """Softmax and its gradient, on rows that begin at a line and on rows that do not."""
    found = []
    for streamed in (False, True):
        out, x, g = blocks(3)
        more = {"LOGARITHM": logarithm, "KEEP": not logarithm}
        wide(rows_wide.softmax_wide, streamed, [(out, move), (x, 0)], [208], 5, 2, **more)
        first = bytes_over(out).copy()
        operands = [(out, move), (g, 0), (x, 0)]
        wide(rows_wide.softmax_backward_wide, streamed, operands, [208], 5, 2, LOGARITHM=logarithm)
        found.append(np.concatenate([first, bytes_over(out)]))
    assert np.array_equal(*found)


@pytest.mark.parametrize("n", [64, 77, 100, 513, 1024])
def test_wide_rows_against_float64(n):
    generator = np.random.default_rng(n)
    x, g, w, b = (generator.normal(size=s) for s in ((7, n), (7, n), n, n))

    def gradients(torch_type):
        one = torch.tensor(x, dtype=torch_type).requires_grad_()
        weight = torch.tensor(w, dtype=torch_type).requires_grad_()
        bias = torch.tensor(b, dtype=torch_type).requires_grad_()
        found = []
        for y in (
            one.softmax(-1),
            one.log_softmax(-1),
            torch.nn.functional.layer_norm(one, (n,), weight, bias),
        ):
            inputs = (one, weight, bias) if "Norm" in repr(y.grad_fn) else (one,)
            found += [y.detach(), *torch.autograd.grad(y, inputs, torch.tensor(g, dtype=torch_type))]
        return [t.double().numpy() for t in found]

    exact = np.exp(x) / np.exp(x).sum(1, keepdims=True)
    for one, other in zip(gradients(torch.float32), gradients(torch.float64), strict=True):
        assert np.abs(one - other).max() < 3e-6 * max(1, np.abs(other).max())
    assert np.abs(gradients(torch.float64)[0] - exact).max() < 1e-15


def test_rows_with_nan_and_infinity():
    rows_of = torch.zeros(4, 100)
    rows_of[0, 7] = math.nan
    rows_of[1, 99] = math.inf
    rows_of[2] = -math.inf
    rows_of[3, 0] = -math.inf
    for result in (rows_of.softmax(-1), rows_of.log_softmax(-1)):
        assert bool(result[:3].isnan().all())
        assert not bool(result[3].isnan().any())
    assert rows_of.softmax(-1)[3, 0].item() == 0


# -- the arithmetic of these kernels --------------------------------------------------------------------------------


def test_slope_of_gelu():
    """Against Phi(x) + x density(x) in float64, also where its terms vanish."""
    x = torch.linspace(-20, 20, 4001).requires_grad_()
    torch.nn.functional.gelu(x).backward(torch.ones(4001))
    for one, slope in zip(x.tolist(), x.grad.tolist()):
        exact = (1 + math.erf(one / math.sqrt(2))) / 2 + one * math.exp(-one * one / 2) / math.sqrt(
            2 * math.pi
        )
        assert abs(slope - exact) < 3e-7
    odd = torch.tensor([math.nan, -1e30, 1e30]).requires_grad_()
    torch.nn.functional.gelu(odd).backward(torch.ones(3))
    assert math.isnan(odd.grad[0].item())
    assert odd.grad[1:].tolist() == [0.0, 1.0]
