"""What works by products with a matrix (lobpcg, svd_lowrank), and spectrograms: against exact decompositions."""

from __future__ import annotations

import math

import pytest

import flambeau as torch


def symmetric(m: int, *batch: int):
    torch.manual_seed(3)
    a = torch.randn(*batch, m, m, dtype=torch.float64)
    return a + a.mT + torch.diag(torch.arange(float(m), dtype=torch.float64))


def close(a, b, within=1e-8):
    assert float((a - b).abs().max()) <= within, f"{a} {b}"


@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize("method", ["basic", "ortho", None])
def test_lobpcg_finds_eigenpairs(largest, method):
    a = symmetric(30)
    e, v = torch.lobpcg(a, 4, largest=largest, method=method, niter=500, tol=1e-10)
    exact = torch.linalg.eigvalsh(a)
    close(e, exact.flip(0)[:4] if largest else exact[:4])
    close(a @ v, v * e, 1e-7)
    close(v.mT @ v, torch.eye(4, dtype=torch.float64))


def test_lobpcg_of_two_matrices_and_batches():
    a = symmetric(20, 3)
    b = symmetric(20)
    b = b @ b + torch.eye(20, dtype=torch.float64)
    e, v = torch.lobpcg(a, 2, B=b.expand(3, 20, 20), tol=1e-10)
    assert e.shape == (3, 2)
    close(a @ v, (b @ v) * e.unsqueeze(-2), 1e-6)
    close(v.mT @ b @ v, torch.eye(2, dtype=torch.float64).expand(3, 2, 2))


def test_lobpcg_is_quicker_with_a_near_inverse():
    a = torch.diag(torch.arange(1.0, 301.0, dtype=torch.float64)) + symmetric(300) * 0.001
    rounds = []
    for near in (None, torch.diag(1 / torch.arange(1.0, 301.0, dtype=torch.float64))):
        steps = []
        torch.manual_seed(1)
        torch.lobpcg(
            a, 2, iK=near, largest=False, tracker=lambda run, steps=steps: steps.append(run.ivars["istep"])
        )
        rounds.append(steps[-1])
    assert rounds[1] < rounds[0] / 2


def test_lobpcg_can_be_stopped_and_bounded():
    def stop(run):
        run.bvars["force_stop"] = run.ivars["istep"] >= 2

    a, seen = symmetric(30), []
    torch.lobpcg(a, 2, tracker=lambda run: (stop(run), seen.append(run)))
    assert len(seen) == 3
    seen.clear()
    torch.lobpcg(a, 2, niter=1, tracker=seen.append)
    assert len(seen) == 2


def test_lobpcg_survives_a_start_without_rank():
    a = symmetric(30)
    start = torch.zeros(30, 3, dtype=torch.float64)
    start[:, 0] = 1
    start[:, 1] = 2
    e, _ = torch.lobpcg(a, 1, X=start, tol=1e-9)
    close(e, torch.linalg.eigvalsh(a)[-1:], 1e-7)


def test_lobpcg_gradients():
    a = symmetric(12).requires_grad_()
    weight = torch.arange(24.0, dtype=torch.float64).view(12, 2)

    def loss(pairs):
        e, v = pairs
        return (e * torch.tensor([1.0, 2.0], dtype=torch.float64)).sum() + ((v.pow(2)) * weight).sum()

    (found,) = torch.autograd.grad(loss(torch.lobpcg(a, 2, tol=1e-12)), a)
    e, v = torch.linalg.eigh(a)
    (expected,) = torch.autograd.grad(loss((e.flip(0)[:2], v.flip(1)[:, :2])), a)
    close(found, (expected + expected.mT) / 2, 1e-5)


@pytest.mark.parametrize(
    ("arguments", "kind", "text"),
    [
        (lambda a: (a, 11), ValueError, "is smaller than 3 x the number of requested eigenpairs"),
        (lambda a: (a[:, :5], 1), AssertionError, "A must be square"),
        (lambda a: (a, 1, a[:5, :5]), AssertionError, "A and B must have the same shape"),
        (lambda a: (a, 1, None, a[:5, :2]), AssertionError, "X shape mismatch"),
    ],
)
def test_lobpcg_errors(arguments, kind, text):
    with pytest.raises(kind, match=text):
        torch.lobpcg(*arguments(symmetric(30)))


@pytest.mark.parametrize("shape", [(40, 25), (25, 40), (3, 30, 20)])
def test_low_rank_decomposition(shape):
    torch.manual_seed(4)
    exact = torch.randn(*shape[:-1], 5, dtype=torch.float64) @ torch.randn(
        *shape[:-2], 5, shape[-1], dtype=torch.float64
    )
    u, s, v = torch.svd_lowrank(exact, q=7)
    close(u @ torch.diag_embed(s) @ v.mT, exact)
    close(s[..., :5], torch.linalg.svdvals(exact)[..., :5])
    u, s, v = torch.pca_lowrank(exact, q=6)
    close(u @ torch.diag_embed(s) @ v.mT, exact - exact.mean(-2, keepdim=True))


@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("normalized", [True, False])
@pytest.mark.parametrize("hop", [4, 8])
def test_a_spectrogram_is_undone(center, normalized, hop):
    torch.manual_seed(5)
    x = torch.randn(2, 160, dtype=torch.float64)
    window = torch.hann_window(16, dtype=torch.float64) + 0.1
    spectrum = torch.stft(
        x, 16, hop, window=window, center=center, normalized=normalized, return_complex=True
    )
    back = torch.istft(spectrum, 16, hop, window=window, center=center, normalized=normalized, length=160)
    close(back, x)


def test_a_spectrogram_is_the_transform_of_stretches():
    torch.manual_seed(6)
    x = torch.randn(64, dtype=torch.float64)
    window = torch.hamming_window(16, dtype=torch.float64)
    spectrum = torch.stft(x, 16, 8, window=window, center=False, return_complex=True)
    for t in range(spectrum.shape[1]):
        close(spectrum[:, t], torch.fft.rfft(x[8 * t : 8 * t + 16] * window))
    assert spectrum.shape == (9, 1 + (64 - 16) // 8)
    scaled = torch.stft(x, 16, 8, window=window, center=False, normalized=True, return_complex=True)
    close(scaled * math.sqrt(16), spectrum)
