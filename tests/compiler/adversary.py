"""What the adversary tests share: programs are run eagerly, compiled and frozen, and must give the same to the last bit.

What a program's calls return is compared with types, strides, versions, flags, bytes and the first lines of errors.
"""

from __future__ import annotations

import warnings

import flambeau as torch
from flambeau.backend.cpu import runtime

X = torch.linspace(-1, 1, 30).view(5, 6)
LABELS = torch.tensor([0, 1, 2, 1, 0])


def facts(x):
    """Everything that can be told of a result."""
    if isinstance(x, torch.Tensor):
        plain = (
            x.detach().contiguous().clone()
        )  # a copy: an array over the tensor itself would keep it from being fused
        if x.dtype.is_floating_point:  # the sign of what is no number is not defined
            plain.masked_fill_(plain != plain, float("nan"))
        plain = plain.view(torch.int16) if x.dtype is torch.bfloat16 else plain
        version = None if x.is_inference() else x._version
        told = (str(x.dtype), tuple(x.shape), x.stride(), x.requires_grad, x.is_leaf, version)
        return *told, plain.numpy().tobytes()
    if isinstance(x, (tuple, list)):
        return [type(x).__name__, *map(facts, x)]
    if isinstance(x, dict):
        return [type(x).__name__, *((k, facts(v)) for k, v in x.items())]
    return repr(x)


def run(make, wrap, calls):
    torch.manual_seed(3)
    call, found = make(wrap), []
    for k in range(calls):
        try:
            found.append(facts(call(k)))
        except (RuntimeError, IndexError) as error:
            found.append((type(error).__name__, str(error).splitlines()[0]))
    return found


def frozen(function):
    return torch.compile(function, freeze=True)


def changing(function):
    return torch.compile(function, dynamic=True)


def normal(*shape, seed=0, dtype=torch.float32):
    generator = torch.Generator()
    return torch.randn(*shape, generator=generator.manual_seed(seed)).to(dtype)


def values(tensors):
    return [t.detach().clone() for t in tensors]


def check(make, calls):
    """make(wrap) gives call(k): what it returns does not depend on how its functions are wrapped."""
    expected = run(make, lambda f: f, calls)
    for wrap in (torch.compile, changing, frozen):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="compile\\(freeze=True\\)")
            assert run(make, wrap, calls) == expected, wrap.__name__
        assert runtime.recorder[0] == 0
