"""Every operator of the registry against what its one declaration promises: derivatives, layouts, variants, texts."""

from __future__ import annotations

import math
import warnings

import pytest

import flambeau as torch
from flambeau.ops.define import METHODS, OPERATORS, PUBLIC, function_of
from flambeau.testing.samples import Make, samples_of

ALL = sorted(OPERATORS)
#: operators whose results are random or uninitialised
RANDOM = {n for n in ALL if "rand" in n or "dropout" in n or "empty" in n} | {
    "multinomial", "bernoulli", "bernoulli_", "normal", "uniform_", "normal_", "cauchy_",
    "exponential_", "geometric_", "log_normal_", "nn.functional.gumbel_softmax", "nn.functional.rrelu", "rrelu",
}  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def poisoned_memory():
    """New memory is full of NaN, so that reading what nobody wrote shows."""
    from flambeau.backend.cpu import runtime

    runtime.poison(True)
    yield
    runtime.poison(False)


def call(op, args, keywords, variant="function"):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function_of(op, variant)(*args, **keywords)


def outputs_of(found):
    return [
        t for t in (found if isinstance(found, (tuple, list)) else [found]) if isinstance(t, torch.Tensor)
    ]


def usable(op, dtype=torch.float64):
    """Samples that the operator takes; its own must all work, those made from the signature may be refused."""
    own = "samples" in op.rules.__dict__
    found = []
    for args, keywords in samples_of(op, Make(dtype)):
        if own:
            found.append((args, keywords))
            continue
        try:
            call(op, args, keywords)
        except (RuntimeError, TypeError, ValueError, IndexError, NotImplementedError):
            continue
        found.append((args, keywords))
    return found


SAMPLED = [n for n in ALL if n not in RANDOM and usable(OPERATORS[n])]
DIFFERENTIABLE = [n for n in SAMPLED if OPERATORS[n].differentiable]


def equal(a, b) -> bool:
    return a.shape == b.shape and a.dtype is b.dtype and torch.equal(torch.nan_to_num(a), torch.nan_to_num(b))


def test_enough_operators_are_sampled():
    assert len(SAMPLED) > 0.4 * len(ALL)


@pytest.mark.parametrize("name", ALL)
def test_declaration(name):
    op = OPERATORS[name]
    assert op.doc.strip(), "no docstring"
    assert op.doc.strip()[0].isupper() or op.doc.strip()[0] in "`0123456789-|(" or op.doc.strip()[0].isalpha()
    names = [p.name for p in op.params]
    assert len(set(names)) == len(names)


def test_public_names_resolve():
    for (namespace, name), op in PUBLIC.items():
        assert torch._define.public(namespace, name) is not None, (namespace, name, op)
    for name in METHODS:
        assert callable(getattr(torch.Tensor, name)), name


def weighted(found, seed=3):
    """One number from all float outputs, with fixed random weights."""
    make = Make(torch.float64, seed)
    total = None
    for t in outputs_of(found):
        if t.dtype.kind == 2:
            inside = torch.isfinite(t)  # outside its domain a function gives NaN: those elements do not count
            part = (torch.where(inside, t, 0.0).double() * make(*t.shape)).sum()
            total = part if total is None else total + part
    return total


def numeric_gradient(op, args, keywords, k, step=1e-6):
    """Central differences of `weighted` for the k-th argument."""
    x = args[k]
    flat = x.detach().clone().reshape(-1)
    found = []
    for i in range(flat.numel()):
        ends = []
        for sign in (1, -1):
            moved = flat.clone()
            moved[i] += sign * step
            given = (*args[:k], moved.reshape(x.shape), *args[k + 1 :])
            with torch.no_grad():
                ends.append(weighted(call(op, given, keywords)).item())
        found.append((ends[0] - ends[1]) / (2 * step))
    return found


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_gradient_by_finite_differences(name):
    op = OPERATORS[name]
    for args, keywords in usable(op)[:4]:
        for k, x in enumerate(args):
            if not isinstance(x, torch.Tensor) or x.dtype.kind != 2 or op.names[k] not in op.derivatives:
                continue
            leaf = x.detach().clone().requires_grad_()
            given = (*args[:k], leaf, *args[k + 1 :])
            total = weighted(call(op, given, keywords))
            if total is None or not total.requires_grad:
                continue
            (got,) = torch.autograd.grad(total, leaf, materialize_grads=True)
            want = numeric_gradient(op, given, keywords, k)
            for a, b in zip(got.reshape(-1).tolist(), want):
                if math.isnan(a) and b == 0.0:
                    continue  # outside the domain
                assert math.isclose(a, b, rel_tol=1e-4, abs_tol=1e-5), (op.names[k], x.shape, a, b)


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_second_derivative_by_finite_differences(name):
    """The gradient's own gradient along a direction equals the difference of gradients along it."""
    op = OPERATORS[name]
    args, keywords = usable(op)[0]
    for k, x in enumerate(args):
        if (
            not isinstance(x, torch.Tensor)
            or x.dtype.kind != 2
            or op.names[k] not in op.derivatives
            or x.numel() == 0
        ):
            continue
        direction = Make(torch.float64, 5)(*x.shape)

        def gradient(at, args=args, keywords=keywords, k=k, graph=False):
            leaf = at if graph else at.detach().clone().requires_grad_()
            total = weighted(call(op, (*args[:k], leaf, *args[k + 1 :]), keywords))
            if total is None or not total.requires_grad:
                return None
            return torch.autograd.grad(total, leaf, create_graph=graph, materialize_grads=True)[0]

        leaf = x.detach().clone().requires_grad_()
        first = gradient(leaf, graph=True)
        if first is None or bool(torch.isnan(first).any()):
            continue
        if not first.requires_grad:
            got = torch.zeros_like(x)
        else:
            got = torch.autograd.grad((first * direction).sum(), leaf, materialize_grads=True)[0]
        step = 1e-6
        want = (gradient(x + direction * step) - gradient(x - direction * step)) / (2 * step)
        assert math.isclose(
            (got * direction).sum().item(), (want * direction).sum().item(), rel_tol=1e-3, abs_tol=1e-4
        ), op.names[k]


def loose(t):
    """The same values with gaps between the elements."""
    wide = torch.zeros((*t.shape, 2), dtype=t.dtype)
    wide[..., 0] = t
    return wide[..., 0]


@pytest.mark.parametrize("name", SAMPLED)
def test_strides_do_not_matter(name):
    op = OPERATORS[name]
    for args, keywords in usable(op):
        given = tuple(loose(a) if isinstance(a, torch.Tensor) else a for a in args)
        for a, b in zip(
            outputs_of(call(op, args, keywords)), outputs_of(call(op, given, keywords)), strict=True
        ):
            assert (a.shape, a.dtype) == (b.shape, b.dtype)
            assert (
                torch.allclose(a, b, rtol=1e-12, atol=1e-12, equal_nan=True)
                if a.dtype.kind > 1
                else torch.equal(a, b)
            )


@pytest.mark.parametrize(
    "name", [n for n in SAMPLED if OPERATORS[n].kind in ("Pointwise", "Reduction", "View", "Opaque")]
)
def test_meta_gives_the_same_layout(name):
    op = OPERATORS[name]
    for args, keywords in usable(op):
        real = outputs_of(call(op, args, keywords))
        given = tuple(a.to("meta") if isinstance(a, torch.Tensor) else a for a in args)
        for a, b in zip(real, outputs_of(call(op, given, keywords)), strict=True):
            assert (a.shape, a.dtype, a.stride()) == (b.shape, b.dtype, b.stride())
            assert b.is_meta


@pytest.mark.parametrize("name", [n for n in SAMPLED if OPERATORS[n].inplace])
def test_in_place_equals_out_of_place(name):
    op = OPERATORS[name]
    for args, keywords in usable(op):
        want = call(op, args, keywords)
        if want.shape != args[0].shape or want.dtype is not args[0].dtype:
            continue
        target = args[0].clone()
        before = target._version
        got = call(op, (target, *args[1:]), keywords, "inplace")
        assert got is target
        assert target._version > before
        assert equal(got, want)


@pytest.mark.parametrize("name", [n for n in SAMPLED if OPERATORS[n].kind != "Composite"])
def test_threads_do_not_change_results(name):
    op = OPERATORS[name]
    make = Make(torch.float32, 1)
    args, keywords = samples_of(op, make)[0]
    if "samples" not in op.rules.__dict__:
        args = tuple(make(300, 400) if isinstance(a, torch.Tensor) else a for a in args)
    found = []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            found.append(outputs_of(call(op, args, keywords)))
    except (RuntimeError, ValueError, IndexError, NotImplementedError):
        return  # the large square form is not for this operator
    finally:
        torch.set_num_threads(2)
    for a, b in zip(*found, strict=True):
        assert equal(a, b) if a.dtype.kind == 2 else torch.equal(a, b)
