"""What random programs are written with, and the comparison of a program's eager and compiled calls."""

from __future__ import annotations

import functools
import warnings
from typing import Any

import numpy

import flambeau as torch
from flambeau import nn
from flambeau.base.dtype import dtype as DType
from flambeau.nn import functional as F
from flambeau.ops.define import OPERATORS, function_of
from flambeau.testing.samples import Make, samples_of

__all__ = [
    "Double", "F", "apply", "base", "check", "difference", "model_of", "nn", "noncontiguous", "numpy", "optimizer_of",
    "overlapping", "rand", "samples", "text_of", "torch",
]  # fmt: skip
CALLS = 3
REFUSED = "RuntimeError: compile(freeze=True): a repeated call met values"


def rand(shape, dtype: DType, seed: int, low: float = -1.5, high: float = 1.5):
    """A tensor that depends on nothing but its arguments."""
    if dtype is torch.bool:
        values = numpy.random.default_rng(seed).random(shape) < 0.5
    elif dtype.kind == 1:
        values = numpy.random.default_rng(seed).integers(-3, 5, shape)
    else:
        values = numpy.random.default_rng(seed).uniform(low, high, shape)
    return torch.tensor(numpy.asarray(values)).to(dtype)


def noncontiguous(shape, dtype: DType, seed: int):
    """Elements with gaps, or the transposed order."""
    if len(shape) > 1 and seed % 2:
        return rand(shape[::-1], dtype, seed).permute(*range(len(shape) - 1, -1, -1))
    return rand((*shape, 2), dtype, seed)[..., 1]


def overlapping(n: int, dtype: DType, seed: int):
    """Two views that share some of their elements."""
    whole = rand((n + 2,), dtype, seed)
    return whole[:n], whole[2:]


def base(array):
    """A tensor over a numpy array."""
    return torch.from_numpy(array)


def samples(name: str, number: int, dtype: DType, seed: int):
    """A sample of an operator: positional and keyword arguments."""
    return samples_of(OPERATORS[name], Make(dtype, seed))[number]


def apply(name: str, sample, given: dict | None = None, variant: str = "function"):
    """An operator called with a sample, of which some positional arguments are replaced."""
    args = list(sample[0])
    for k, value in (given or {}).items():
        args[k] = value
    return function_of(OPERATORS[name], variant)(*args, **sample[1])


class Double(torch.autograd.Function):
    """A function with a derivative of its own."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * 2

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return g * 2 + x.detach().cos() * 0.1


def model_of(kind: str, n: int, seed: int):
    """A small module that takes (batch, n), with fixed parameters."""
    state = torch.get_rng_state()
    torch.manual_seed(seed)
    made = {
        "linear": lambda: nn.Linear(n, 3),
        "mlp": lambda: nn.Sequential(nn.Linear(n, 5), nn.Tanh(), nn.Linear(5, 2)),
        "norm": lambda: nn.Sequential(nn.Linear(n, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Dropout(0.4), nn.Linear(4, 2)),
        "layer": lambda: nn.Sequential(nn.LayerNorm(n), nn.Linear(n, 4), nn.GELU(), nn.LayerNorm(4)),
        "conv": lambda: nn.Sequential(nn.Unflatten(1, (1, n)), nn.Conv1d(1, 3, 2, padding=1), nn.SiLU(), nn.Flatten()),
        "attend": lambda: nn.TransformerEncoderLayer(n, 1, 2 * n, dropout=0.1, batch_first=True),
    }[kind]()  # fmt: skip
    torch.set_rng_state(state)
    return made


def optimizer_of(kind: str, model):
    """An optimizer over a module."""
    return {
        "sgd": lambda p: torch.optim.SGD(p, lr=0.1),
        "momentum": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
        "adam": lambda p: torch.optim.Adam(p, lr=0.05, amsgrad=True),
        "adamw": lambda p: torch.optim.AdamW(p, lr=0.05, maximize=True),
        "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.02, momentum=0.5, centered=True),
        "adagrad": lambda p: torch.optim.Adagrad(p, lr=0.1),
        "each": lambda p: torch.optim.Adam(p, lr=0.05, foreach=False),
    }[kind](model.parameters())


def text_of(error: BaseException) -> str:
    """An exception's class and first line."""
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"


# -- comparison ----------------------------------------------------------------------------------------------


def bits(t) -> bytes:
    """All elements; every NaN is the same."""
    t = t.detach()
    if t.dtype.kind == 3:
        t = torch.view_as_real(t)
    if t.dtype in (torch.bfloat16, torch.float16) or str(t.dtype).startswith("torch.float8"):
        t = t.float()
    array = numpy.array(t.numpy())
    if array.dtype.kind == "f":
        array[numpy.isnan(array)] = numpy.nan
    return array.tobytes()


def seen(x: Any, storages: dict | None = None) -> Any:
    """Everything that a caller can see of a value, made of plain values."""
    storages = {} if storages is None else storages
    if isinstance(x, torch.Tensor):
        if x.is_meta or x.is_sparse:
            return "tensor", str(x.dtype), tuple(x.shape)
        sharing = storages.setdefault(x.untyped_storage().data_ptr(), len(storages)) if x.numel() else None
        grad = seen(x.grad, storages) if x.is_leaf and x.grad is not None else None
        how = (x.requires_grad, x.is_leaf, type(x.grad_fn).__name__, sharing)
        return "tensor", str(x.dtype), tuple(x.shape), x.stride(), x.storage_offset(), how, bits(x), grad
    if isinstance(x, (tuple, list)):
        return [seen(e, storages) for e in x]
    if isinstance(x, dict):
        return {k: seen(e, storages) for k, e in x.items()}
    if isinstance(x, nn.Module):
        return seen({**dict(x.named_parameters()), **dict(x.named_buffers())}, storages)
    if isinstance(x, torch.optim.Optimizer):
        return seen([list(s.values()) for s in x.state.values()], storages)
    if isinstance(x, numpy.ndarray):
        return x.dtype.str, x.shape, x.tobytes()
    if isinstance(x, float):
        return "nan" if x != x else x.hex()
    if callable(x):
        return "function"
    return x if isinstance(x, (int, str, bytes, bool, type(None))) else type(x).__name__


def run(
    state, inputs, program, wrap, calls: int, spoil: bool, steady: bool = False, later: bool = False
) -> list:
    """What is seen of each call of a program and of everything it can reach."""
    torch.manual_seed(11)
    keep: list = []
    made = state(wrap)
    function = wrap(program)
    found = []
    for k in range(calls):
        log: list = []
        given = inputs(k)
        try:
            own = {} if steady else {"k": k, "log": log, "keep": keep}
            result = function(**own, **made, **given)
        except Exception as error:  # any: what matters is that both runs raise the same
            result = text_of(error)
        if later and isinstance(result, list):
            log.append(backwards(result))
        if spoil:  # the caller may change an input before it reads the result
            for x in given.values():
                if isinstance(x, torch.Tensor) and not x.requires_grad and not x.is_inference():
                    x.detach().zero_()
        storages: dict = {}
        parts = {"result": result, "log": log, "inputs": given, "state": made, "keep": keep}
        found.append({name: seen(part, storages) for name, part in parts.items()})
        found[-1]["random"] = bits(torch.get_rng_state())
        found[-1]["next"] = torch.rand(2).tolist()
        del result, given
    return found


def backwards(results: list) -> str | None:
    """Backward through what a function gave, outside of it; the exception when there is one."""
    try:
        parts = [x.float().sum() for x in results if isinstance(x, torch.Tensor) and x.requires_grad]
        if parts:
            sum(parts).backward()
    except Exception as error:
        return text_of(error)
    return None


def difference(
    state, inputs, program, calls=CALLS, spoil=False, freeze=False, later=False, changing=False
) -> str | None:
    """Where the compiled program differs from the eager one; None when nowhere.

    spoil: overwrite the inputs before the results are read. freeze: compile with ``freeze=True``, whose own error for
    refused values may stand for any. later: go backward through the results, outside the function. changing: compile with
    ``dynamic=True``.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mode = torch.is_grad_enabled()
        calls = max(calls, 6) if freeze else calls
        compiler = functools.partial(torch.compile, freeze=freeze, dynamic=changing or None)
        eager = run(state, inputs, program, lambda f: f, calls, spoil, freeze, later)
        compiled = run(state, inputs, program, compiler, calls, spoil, freeze, later)
        assert torch.is_grad_enabled() is mode
    for k, (a, b) in enumerate(zip(eager, compiled, strict=True)):
        if freeze and isinstance(a["result"], str) and str(b["result"]).startswith(REFUSED):
            return None
        for part in a:
            if a[part] != b[part]:
                return f"call {k}, {part}{first_difference(a[part], b[part])}"
    return None


def first_difference(a: Any, b: Any) -> str:
    """Path to the first unequal part, and both sides of it."""
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)) and len(a) == len(b):
        for k, (x, y) in enumerate(zip(a, b)):
            if x != y:
                return f"[{k}]" + first_difference(x, y)
    if isinstance(a, dict) and isinstance(b, dict) and a.keys() == b.keys():
        for k in a:
            if a[k] != b[k]:
                return f"[{k!r}]" + first_difference(a[k], b[k])
    return f": eager {str(a)[:300]}, compiled {str(b)[:300]}"


def check(
    state, inputs, program, calls=CALLS, spoil=False, freeze=False, later=False, changing=False
) -> None:
    """Fail where a compiled program differs from the eager one."""
    found = difference(state, inputs, program, calls, spoil, freeze, later, changing)
    assert found is None, found
