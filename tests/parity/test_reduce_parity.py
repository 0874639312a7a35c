"""Reductions, scans, sorting and search against PyTorch: values, types, ties, gradients of both orders, error
texts.
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import flambeau

pytest.importorskip("torch")
pytestmark = pytest.mark.parity

DTYPES = ["float32", "float64", "float16", "bfloat16", "int64", "int32", "uint8", "bool", "complex64"]


def array(shape, dtype: str, seed: int = 0) -> np.ndarray:
    x = np.random.default_rng(seed).standard_normal(shape) * 3
    if dtype == "complex64":
        return (x + 1j * np.random.default_rng(seed + 1).standard_normal(shape)).astype(dtype)
    if dtype == "bool":
        return np.asarray(x > 0)
    return np.asarray(np.abs(x) if dtype == "uint8" else x).astype({"bfloat16": "float32"}.get(dtype, dtype))


def tensor(module, x: np.ndarray, dtype: str):
    t = module.from_numpy(x.copy())
    return t.to(module.bfloat16) if dtype == "bfloat16" else t


def outcome(call, module, t):
    """Plain form of a result, or the error's type and first line."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return plain(call(module, t))
    except Exception as error:
        return type(error).__name__, str(error).split("\n")[0]


def plain(found):
    if isinstance(found, (tuple, list)):
        return [plain(f) for f in found]
    if hasattr(found, "detach"):
        kind = str(found.dtype)
        found = found.detach()
        if kind == "torch.bfloat16":
            found = found.float()
        return kind, tuple(found.shape), found.numpy()
    return found


def agree(ours, theirs, text: str) -> None:
    assert type(ours) is type(theirs), (text, ours, theirs)
    if isinstance(ours, list):
        assert len(ours) == len(theirs), text
        for a, b in zip(ours, theirs):
            agree(a, b, text)
    elif isinstance(ours, tuple) and len(ours) == 3:
        assert ours[:2] == theirs[:2], (text, ours, theirs)
        loose = {"torch.float16": 4e-3, "torch.bfloat16": 3e-2}.get(ours[0], 2e-5)
        np.testing.assert_allclose(ours[2], theirs[2], rtol=loose, atol=loose, err_msg=text)
    else:
        assert ours == theirs, text


FORWARD = {
    "sum": lambda m, x: [m.sum(x), x.sum(0), x.sum((0, -1), True), x.sum(1, dtype=m.float64)],
    "nansum": lambda m, x: x.nansum(1),
    "mean": lambda m, x: [x.mean(1), x.mean()],
    "nanmean": lambda m, x: x.nanmean(0),
    "prod": lambda m, x: [(x[0, :2] / 4).prod(), x[:3].prod(0)],
    "any": lambda m, x: [x.any(), x.any(0), x.any((0, 1), True), x.any(dim=())],
    "all": lambda m, x: [x.all(), x.all(0), x.all((0, 1), True)],
    "count_nonzero": lambda m, x: [x.count_nonzero(), x.count_nonzero(1)],
    "amax": lambda m, x: [x.amax(), x.amax(1, True), x.amax((0, 2))],
    "amin": lambda m, x: [x.amin(), x.amin(1, True)],
    "max": lambda m, x: [x.max(), x.max(1), x.max(2, keepdim=True)],
    "min": lambda m, x: [x.min(), x.min(1), x.min(2, keepdim=True)],
    "argmax": lambda m, x: [x.argmax(), x.argmax(1), x.argmax(0, True)],
    "argmin": lambda m, x: [x.argmin(), x.argmin(2)],
    "aminmax": lambda m, x: [x.aminmax(), m.aminmax(x, dim=1, keepdim=True)],
    "var": lambda m, x: [
        x.var(),
        x.var(1),
        x.var(0, False),
        x.var(dim=1, correction=0, keepdim=True),
        x.var(False),
    ],
    "std": lambda m, x: [x.std(), x.std((0, 1), correction=2)],
    "var_mean": lambda m, x: m.var_mean(x, 1),
    "std_mean": lambda m, x: m.std_mean(x, (0, 2), keepdim=True),
    "norm": lambda m, x: [
        x.norm(),
        x.norm(1, 0),
        x.norm(3, (0, 1)),
        x.norm(float("inf")),
        x.norm(p="fro", dim=1),
    ],
    "logsumexp": lambda m, x: [x.logsumexp(1), x.logsumexp((0, 2), True)],
    "median": lambda m, x: [x.median(), x.median(1).values],
    "nanmedian": lambda m, x: [x.nanmedian(), x.nanmedian(2).values],
    "kthvalue": lambda m, x: [x.kthvalue(2, 1), x.kthvalue(1, 0, True)],
    "mode": lambda m, x: x.mode(1),
    "cumsum": lambda m, x: [x.cumsum(0), x.cumsum(-1)],
    "cumprod": lambda m, x: (x / 4).cumprod(1),
    "cummax": lambda m, x: x.cummax(1),
    "cummin": lambda m, x: x.cummin(2),
    "logcumsumexp": lambda m, x: x.abs().logcumsumexp(1),
    "diff": lambda m, x: [x.diff(), x.diff(2, 1), x.diff(dim=0, prepend=x[:1])],
    "trapezoid": lambda m, x: [m.trapezoid(x), m.trapezoid(x, dx=2, dim=1), m.cumulative_trapezoid(x, x)],
    "sort": lambda m, x: [x.sort(dim=1, stable=True), x.sort(dim=0, descending=True, stable=True), x.msort()],
    "topk": lambda m, x: [x.topk(3, 1), x.topk(2, 0, False), x.topk(2)],
    "unique": lambda m, x: [m.unique(x, return_inverse=True, return_counts=True), m.unique(x, dim=2)],
    "unique_consecutive": lambda m, x: m.unique_consecutive(x, return_inverse=True, return_counts=True),
    "nonzero": lambda m, x: [x.nonzero(), x.nonzero(as_tuple=True)],
    "histc": lambda m, x: [x.histc(5), x.histc(4, -1, 1)],
    "searchsorted": lambda m, x: m.searchsorted(x[0].sort()[0], x[1]),
    "bucketize": lambda m, x: m.bucketize(x, x[0, 0].sort()[0], right=True),
    "isin": lambda m, x: m.isin(x, x[0]),
    "renorm": lambda m, x: x.renorm(2, 1, 1.5),
    "dist": lambda m, x: m.dist(x, x + x, 3),
}


@pytest.mark.parametrize("name", FORWARD)
def test_values_types_and_errors(oracle, name):
    for dtype in DTYPES:
        x = array((3, 7, 5), dtype)
        ours = outcome(FORWARD[name], flambeau, tensor(flambeau, x, dtype))
        theirs = outcome(FORWARD[name], oracle, tensor(oracle, x, dtype))
        agree(ours, theirs, f"{name} {dtype}")


TIES = {
    "topk": lambda m, x: [x.topk(k, 1, large).indices for k in (1, 3, 20) for large in (True, False)],
    "kthvalue": lambda m, x: [x.kthvalue(k, 1).indices for k in (1, 7, 40)],
    "mode": lambda m, x: x.mode(1).indices,
    "argmax": lambda m, x: [x.argmax(1), x.argmin(0), x.max(1).indices],
    "cummax": lambda m, x: [x.cummax(1).indices, x.cummin(0).indices],
    "stable sort": lambda m, x: [
        x.sort(dim=1, stable=True).indices,
        x.argsort(dim=0, descending=True, stable=True),
    ],
}


@pytest.mark.parametrize("name", TIES)
def test_indices_of_ties(oracle, name):
    for width in (40, 300, 2000):
        x = np.random.default_rng(width).integers(0, 9, (4, width))
        ours, theirs = TIES[name](flambeau, flambeau.from_numpy(x)), TIES[name](oracle, oracle.from_numpy(x))
        agree(plain(ours), plain(theirs), f"{name} {width}")


GRADIENTS = {
    name: FORWARD[name]
    for name in (
        "sum", "nansum", "mean", "nanmean", "prod", "amax", "amin", "max", "min", "aminmax", "var", "std", "var_mean",
        "std_mean", "norm", "logsumexp", "median", "nanmedian", "kthvalue", "cumsum", "cumprod", "cummax", "cummin",
        "logcumsumexp", "diff", "trapezoid", "sort", "topk", "renorm", "dist",
    )
} | {
    "quantile": lambda m, x: [x.quantile(0.3, 1), x.nanquantile(0.5), x.quantile(m.tensor([0.1, 0.9]).double(), 0)],
    "prod with zeros": lambda m, x: [(x * (x > 0)).prod(1), (x * (x > 0)).cumprod(2)],
}  # fmt: skip


def flat(found):
    """Every float result in one list."""
    if isinstance(found, (tuple, list)):
        return [t for f in found for t in flat(f)]
    return [found] if found.is_floating_point() and found.requires_grad else []


def derivatives(module, call, x: np.ndarray):
    """First and second derivatives of a weighted sum of the squared results."""
    leaf = module.from_numpy(x.copy()).requires_grad_()
    total = sum((t * t * (k + 1)).sum() for k, t in enumerate(flat(call(module, leaf))))
    (first,) = module.autograd.grad(total, leaf, create_graph=True)
    (second,) = module.autograd.grad((first * first).sum(), leaf)
    return first.detach().numpy(), second.detach().numpy()


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients_of_both_orders(oracle, name):
    x = array((3, 7, 5), "float64", seed=5)
    for ours, theirs in zip(
        derivatives(flambeau, GRADIENTS[name], x), derivatives(oracle, GRADIENTS[name], x)
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-8, atol=1e-8)


SPECIAL = [
    "x.sum(2)", "x.sum((0, 0))", "i.mean()", "x.mean(dtype=T.int64)", "i.var()", "T.var_mean(i)", "c.nansum()",
    "i.nanmean()", "e.max()", "e.max(0)", "e.max(1)", "e.amax()", "e.amax(0)", "e.argmax()", "e.argmax(0)", "e.aminmax()",
    "T.aminmax(e, dim=0)", "c.max()", "c.max(0)", "c.amax()", "c.argmax()", "c.aminmax()", "b.argmax()", "e.logsumexp(0)",
    "e.median()", "e.median(0)", "c.median()", "b.median()", "e.mode(0)", "c.mode()", "x.quantile(2.0)", "i.quantile(0.5)",
    "x.quantile(T.tensor([[0.1]]))", "e.quantile(0.5)", "x.quantile(0.5, interpolation='cubic')", "x.kthvalue(5)",
    "e.kthvalue(1, 0)", "c.kthvalue(1)", "x.cumsum(3)", "e.cummax(0)", "c.cummax(0)", "c.cummin(0)", "i.logcumsumexp(0)",
    "x.diff(n=-1)", "z.diff()", "x.diff(prepend=z)", "x.diff(prepend=T.ones(2, 2))", "x.diff(n=10)", "T.trapezoid(z)",
    "T.trapezoid(x, T.ones(3))", "T.trapezoid(b)", "c.sort()", "z.sort()", "x.topk(5)", "z.topk(1)", "c.topk(1)", "b.topk(1)",
    "c.unique()", "z.unique(dim=0)", "T.empty(2, 0).unique(dim=0)", "T.empty(0, 0).unique(dim=0)",
    "T.unique(T.empty(0, 3), return_inverse=True, return_counts=True)", "T.unique_consecutive(z, return_counts=True)",
    "x.bincount()", "i.bincount()", "T.tensor([-1, 2]).bincount()", "T.tensor([1, 2]).bincount(minlength=-1)",
    "T.tensor([1, 2]).bincount(T.ones(3))", "T.tensor([1, 2]).bincount(T.ones(2))", "i.histc()", "x.histc(0)",
    "x.histc(3, 2, 1)", "T.histogram(x, 5)", "T.histogram(x, 5, range=(2.0, 1.0))", "T.histogram(x, 4, density=True)",
    "T.histogram(i, 5)", "T.histogram(x, 5, weight=T.ones(2))", "T.searchsorted(x, z)", "T.searchsorted(x, T.ones(2, 2))",
    "T.searchsorted(T.arange(3.0), T.ones(2), side='up')", "T.searchsorted(T.arange(3.0), T.ones(2), side='left', right=True)",
    "T.searchsorted(T.arange(3.0), T.ones(2), sorter=T.tensor([0, 1, 5]))", "T.searchsorted(T.tensor([1, 3, 5]), 3.5)",
    "T.bucketize(x, x)", "T.isin(b, b)", "T.isin(1, T.tensor([1]))", "x.renorm(-1, 0, 1)", "x.renorm(2, 0, -1)",
    "z.renorm(2, 0, 1)", "i.norm()", "x.norm('foo')", "x.norm(dtype=T.int64)", "c.norm(dtype=T.float32)", "x.norm(dim=4)",
    "T.empty(0).prod()", "T.ones(1).var()", "T.empty(0).var()", "T.empty(3, 0).logsumexp(1)", "T.empty(2, 0).any(1)",
    "T.nonzero(z)", "T.nonzero(z, as_tuple=True)", "T.nonzero_static(i, size=8, fill_value=7)", "T.equal(x, z)",
    "T.max(x, 1)", "T.max(x, x * 2)", "x.amax(dim=[])", "x.any(dim=[])", "x.var(dim=[])",
]  # fmt: skip


@pytest.mark.parametrize("text", SPECIAL)
def test_special_cases_and_error_texts(oracle, text):
    def scope(m):
        return {
            "T": m, "x": m.tensor([[0.5, -1.0, 2.0, 0.25]] * 3), "e": m.empty(0, 3), "i": m.arange(6).view(2, 3),
            "b": m.arange(6).view(2, 3) > 2, "c": m.tensor([1.0, 2.0, 3.0]).to(m.complex64), "z": m.tensor(1.5),
        }  # fmt: skip

    ours = outcome(lambda m, _: eval(text, scope(m)), flambeau, None)
    theirs = outcome(lambda m, _: eval(text, scope(m)), oracle, None)
    agree(ours, theirs, text)
