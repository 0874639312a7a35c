"""lobpcg, low-rank decompositions and spectrograms against PyTorch."""

from __future__ import annotations

import pytest

import flambeau

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore")]

_MATRIX = (
    "a = torch.arange(400.0, dtype=torch.float64).view(20, 20).sin(); a = a @ a.mT + torch.eye(20) * 0.1\n"
)


@pytest.mark.parametrize(
    "call",
    [
        "torch.lobpcg(a, 3)", "torch.lobpcg(a)", "torch.lobpcg(a, 2, largest=False, niter=200)", "torch.lobpcg(a.expand(2, 20, 20), 2)",
        "torch.lobpcg(a, 2, B=torch.eye(20, dtype=torch.float64) * 2)", "torch.lobpcg(a, 2, n=4, method='basic')",
        "torch.lobpcg(a, 2, X=torch.ones(20, 3, dtype=torch.float64).cumsum(0).cos().cumsum(1).sin())",
    ],
)  # fmt: skip
def test_eigenpairs(same, call):
    # of a vector the sign is free: each times itself, under the matrix
    same(_MATRIX + f"E, X = {call}\nr = (E, (X * (a @ X)).sum(-2), list(X.shape))")


@pytest.mark.parametrize(
    "call", ["torch.lobpcg(a, 7)", "torch.lobpcg(a[:5], 1)", "torch.lobpcg(a, 1, X=a[:3, :2])"]
)
def test_errors_of_eigenpairs(same, call):
    same(_MATRIX + f"r = {call}")


def test_gradients_of_eigenpairs(same):
    loss = "(E * torch.arange(1.0, 3.0)).sum() + (X.pow(2) * torch.arange(40.0).view(20, 2)).sum()"
    same(
        _MATRIX + "a.requires_grad_()\nE, X = torch.lobpcg(a, 2, tol=1e-12)\n"
        f"r = torch.autograd.grad({loss}, a)[0]"
    )


@pytest.mark.parametrize(
    "call", ["svd_lowrank(a, 4)", "svd_lowrank(a[:12], 4)", "pca_lowrank(a, 4)", "pca_lowrank(a, 4, center=False)",
             "svd_lowrank(a, 4, M=torch.ones(1, 20, dtype=torch.float64))", "svd_lowrank(a.expand(2, 20, 20))"],
)  # fmt: skip
def test_low_rank(same, call):
    same(
        "torch.manual_seed(1)\n" + _MATRIX.replace("+ torch.eye(20) * 0.1", "")
        + f"U, S, V = torch.{call}\nr = (S, U @ torch.diag_embed(S) @ V.mT, torch.rand(2))"
    )  # fmt: skip


@pytest.mark.parametrize("call", ["pca_lowrank(a, 30)", "pca_lowrank(a, 3, niter=-1)", "pca_lowrank(a, -1)"])
def test_errors_of_low_rank(same, call):
    same(_MATRIX + f"r = torch.{call}")


_SPECTRA = (
    "torch.stft(x, 16, return_complex=True, window=w)", "torch.stft(x, 16, 4, 12, window=w[:12], return_complex=True)",
    "torch.stft(x, 16, 4, center=False, return_complex=True, window=w)", "torch.stft(x, 16, normalized=True, return_complex=True, window=w)",
    "torch.stft(x, 16, onesided=False, return_complex=True, window=w)", "torch.stft(x[0], 16, pad_mode='constant', return_complex=True)",
    "torch.stft(x, 16, pad_mode='replicate', return_complex=True, window=w)", "torch.stft(torch.complex(x, x), 16, window=w, return_complex=True)",
    "torch.stft(x, 16, window=w, return_complex=False)", "torch.stft(x, 16, window=w)", "torch.stft(x, 16, -1, return_complex=True)",
    "torch.stft(x, 200, return_complex=True)", "torch.stft(x, 16, win_length=20, return_complex=True)", "torch.stft(x[None], 16, return_complex=True)",
    "torch.stft(x, 16, window=w[:3], return_complex=True)", "torch.stft(x, 16, center=True, align_to_window=True, return_complex=True)",
    "torch.stft(x, 16, center=False, align_to_window=True, win_length=8, return_complex=True)", "torch.stft(x.long(), 16, return_complex=True)",
    "torch.istft(torch.stft(x, 16, window=w, return_complex=True), 16, window=w)", "x.stft(16, window=w, return_complex=True).istft(16, window=w, length=60)",
    "torch.istft(torch.stft(x, 16, 4, window=w, onesided=False, return_complex=True), 16, 4, window=w, onesided=False)",
    "torch.istft(torch.stft(x, 16, 4, window=w, normalized=True, return_complex=True), 16, 4, window=w, normalized=True, length=70)",
    "torch.istft(torch.stft(x, 16, 4, window=w, return_complex=True), 16, 4, window=w, return_complex=True)",
    "torch.istft(torch.stft(torch.complex(x, x), 16, 4, window=w, return_complex=True), 16, 4, window=w, onesided=False, return_complex=True)",
    "torch.istft(x, 16)", "torch.istft(torch.complex(x, x), 16)", "torch.istft(torch.stft(x, 16, window=w, return_complex=True), 16, window=w * 0)",
    "torch.istft(torch.stft(x, 16, window=w, return_complex=True), 16, 20, window=w)",
    "torch.autograd.grad(torch.stft(y, 16, window=w.double(), return_complex=True).abs().sum(), y)[0]",
    "torch.autograd.grad((torch.istft(torch.stft(y, 16, window=w.double(), return_complex=True).abs() * (1 + 1j), 16, window=w.double()) * x[:, :64]).sum(), y)[0]",
)  # fmt: skip


@pytest.mark.parametrize("call", _SPECTRA)
def test_spectra(same, call):
    made = "x = ((torch.arange(130) * 37 % 64) / 16 - 2).view(2, 65)\nw = torch.hann_window(16).mul(64).round() / 64 + 0.0625\ny = x.double().requires_grad_()\n"
    ending = "\nr = torch.view_as_real(r) if torch.is_tensor(r) and r.is_complex() else r"
    same(f"{made}r = {call}{ending}")


def test_every_name_is_there():
    for space in ("special", "fft", "linalg", "signal.windows"):
        theirs, ours = torch, flambeau
        for part in space.split("."):
            theirs, ours = getattr(theirs, part), getattr(ours, part)
        names = [
            n for n in getattr(theirs, "__all__", dir(theirs)) if not n.startswith("_") and n != "Tensor"
        ]
        names = [n for n in names if callable(getattr(theirs, n))]
        assert [n for n in names if not hasattr(ours, n)] == []
    assert [n for n in torch.functional.__all__ if not hasattr(flambeau, n)] == []
