"""Window functions."""

from __future__ import annotations

from math import pi, sqrt

from ..base import dtype as types
from ..base.errors import require
from .define import op, ops
from .kinds import Composite

_OPTIONS = "ScalarType? dtype=None, any layout=None, any device=None, bool requires_grad=False"


def settled(name: str, M: int, dtype, layout):
    """The type of a window, after its arguments were checked."""
    kind = dtype or types.default_float()
    require(M >= 0, f"{name} requires non-negative window length, got M={M}", ValueError)
    require(
        layout is None or str(layout) == "torch.strided",
        f"{name} is implemented for strided tensors only, got: {layout}",
        ValueError,
    )
    require(
        kind.name in ("float32", "float64"),
        f"{name} expects float32 or float64 dtypes, got: {kind}",
        ValueError,
    )
    return kind


def finish(window, requires_grad: bool):
    return window.requires_grad_() if requires_grad else window


def line(start: float, step: float, M: int, kind, device):
    """``start + step * k`` for k in [0, M)."""
    return ops.linspace(start, start + step * (M - 1), M, dtype=kind, device=device)


def cosines(coefficients, M: int, sym: bool, kind, device):
    """Sum of cosines with alternating signs over one period."""
    if M <= 1:
        return ops.ones((M,), dtype=kind, device=device)
    angle = line(0.0, 2 * pi / (M - 1 if sym else M), M, kind, device)
    total = None
    for k, weight in enumerate(coefficients):
        part = ops.cos(angle * k) * ((-1) ** k * weight)
        total = part if total is None else total + part
    return total


@op(f"signal.windows.general_cosine(int M, *, any a, bool sym=True, {_OPTIONS}) -> Tensor")
class GeneralCosine(Composite):
    """Sum of cosines with the coefficients ``a``, whose signs alternate.

    ``sym=False`` gives a periodic window, for spectra.
    """

    def body(M, a, sym, dtype, layout, device, requires_grad):
        kind = settled("general_cosine", M, dtype, layout)
        if M > 1:
            require(hasattr(a, "__iter__"), "Coefficients must be a list/tuple", TypeError)
            require(len(a), "Coefficients cannot be empty", ValueError)
        return finish(cosines(a, M, sym, kind, device), requires_grad)


@op(f"signal.windows.general_hamming(int M, *, any alpha=0.54, bool sym=True, {_OPTIONS}) -> Tensor")
class GeneralHamming(Composite):
    """``alpha - (1 - alpha) cos``."""

    def body(M, alpha, sym, dtype, layout, device, requires_grad):
        kind = settled("general_cosine", M, dtype, layout)
        return finish(cosines((alpha, 1 - alpha), M, sym, kind, device), requires_grad)


@op(f"signal.windows.hamming(int M, *, bool sym=True, {_OPTIONS}) -> Tensor")
class Hamming(Composite):
    """``0.54 - 0.46 cos``."""

    def body(M, sym, dtype, layout, device, requires_grad):
        return finish(
            cosines((0.54, 0.46), M, sym, settled("general_cosine", M, dtype, layout), device), requires_grad
        )


@op(f"signal.windows.hann(int M, *, bool sym=True, {_OPTIONS}) -> Tensor")
class Hann(Composite):
    """Raised cosine: ``0.5 - 0.5 cos``."""

    def body(M, sym, dtype, layout, device, requires_grad):
        return finish(
            cosines((0.5, 0.5), M, sym, settled("general_cosine", M, dtype, layout), device), requires_grad
        )


@op(f"signal.windows.blackman(int M, *, bool sym=True, {_OPTIONS}) -> Tensor")
class Blackman(Composite):
    """Three-term window of Blackman."""

    def body(M, sym, dtype, layout, device, requires_grad):
        return finish(
            cosines((0.42, 0.5, 0.08), M, sym, settled("blackman", M, dtype, layout), device),
            requires_grad,
        )


@op(f"signal.windows.nuttall(int M, *, bool sym=True, {_OPTIONS}) -> Tensor")
class Nuttall(Composite):
    """Four-term window with the smallest side lobes.

    Source: A. Nuttall, Some windows with very good sidelobe behavior (1981).
    """

    def body(M, sym, dtype, layout, device, requires_grad):
        terms = (0.3635819, 0.4891775, 0.1365995, 0.0106411)
        return finish(
            cosines(terms, M, sym, settled("general_cosine", M, dtype, layout), device), requires_grad
        )


def triangle(M: int, sym: bool, kind, device):
    if M <= 1:
        return ops.ones((M,), dtype=kind, device=device)
    return 1 - ops.abs(line(-1.0, 2 / (M - 1 if sym else M), M, kind, device))


@op(f"signal.windows.bartlett(int M, *, bool sym=True, {_OPTIONS}) -> Tensor")
class Bartlett(Composite):
    """Triangle that is zero at its ends."""

    def body(M, sym, dtype, layout, device, requires_grad):
        return finish(triangle(M, sym, settled("bartlett", M, dtype, layout), device), requires_grad)


@op(f"signal.windows.cosine(int M, *, bool sym=True, {_OPTIONS}) -> Tensor")
class Cosine(Composite):
    """Half a period of a sine."""

    def body(M, sym, dtype, layout, device, requires_grad):
        kind = settled("cosine", M, dtype, layout)
        step = pi / (M if sym or M <= 1 else M + 1) if M else 0.0
        return finish(ops.sin(line(0.5 * step, step, M, kind, device)), requires_grad)


def centre(M: int, sym: bool) -> float:
    return (M - 1 if sym or M <= 1 else M) / 2


@op(
    f"signal.windows.exponential(int M, *, any center=None, any tau=1.0, bool sym=True, {_OPTIONS}) -> Tensor"
)
class Exponential(Composite):
    """``exp(-|k - center| / tau)``."""

    def body(M, center, tau, sym, dtype, layout, device, requires_grad):
        kind = settled("exponential", M, dtype, layout)
        require(tau > 0, f"Tau must be positive, got: {tau} instead.", ValueError)
        require(not sym or center is None, "Center must be None for symmetric windows", ValueError)
        middle = centre(M, sym) if center is None else center
        return finish(ops.exp(-ops.abs(line(-middle / tau, 1 / tau, M, kind, device))), requires_grad)


@op(f"signal.windows.gaussian(int M, *, any std=1.0, bool sym=True, {_OPTIONS}) -> Tensor")
class Gaussian(Composite):
    """``exp(-(k - (M - 1) / 2)**2 / (2 std**2))``."""

    def body(M, std, sym, dtype, layout, device, requires_grad):
        kind = settled("gaussian", M, dtype, layout)
        require(std > 0, f"Standard deviation must be positive, got: {std} instead.", ValueError)
        step = 1 / (std * sqrt(2))
        k = line(-centre(M, sym) * step, step, M, kind, device)
        return finish(ops.exp(-(k * k)), requires_grad)


def bessel(beta: float, M: int, sym: bool, kind, device):
    if M <= 1:
        return ops.ones((M,), dtype=kind, device=device)
    scale = ops.full((), float(beta), dtype=kind, device=device)
    k = ops.clamp(
        line(-float(beta), 2 * beta / (M - 1 if sym else M), M, kind, device), None, float(scale.item())
    )
    return ops.i0(ops.sqrt(ops.clamp(scale * scale - k * k, 0))) / ops.i0(scale)


@op(f"signal.windows.kaiser(int M, *, any beta=12.0, bool sym=True, {_OPTIONS}) -> Tensor")
class Kaiser(Composite):
    """``I0(beta sqrt(1 - x**2)) / I0(beta)`` for x from -1 to 1.

    Source: J. F. Kaiser and R. W. Schafer, On the use of the I0-sinh window for spectrum analysis (1980).
    """

    def body(M, beta, sym, dtype, layout, device, requires_grad):
        kind = settled("kaiser", M, dtype, layout)
        require(beta >= 0, f"beta must be non-negative, got: {beta} instead.", ValueError)
        return finish(bessel(beta, M, sym, kind, device), requires_grad)


# -- the older names -----------------------------------------------------------------------------------------------------

_OLD = "ScalarType? dtype=None, any layout=None, any device=None, bool? pin_memory=False, bool requires_grad=False"


def old_kind(name: str, length: int, dtype):
    kind = dtype or types.default_float()
    require(length >= 0, f"{name} requires non-negative window_length, got window_length={length}")
    require(kind.kind == 2, f"{name} expects floating point dtypes, got: {kind}")
    return kind


@op(f"hann_window(int window_length, bool periodic=True, *, {_OLD}) -> Tensor", method=False)
class HannWindow(Composite):
    """Raised cosine ``0.5 - 0.5 cos``; periodic unless told otherwise."""

    def body(window_length, periodic, dtype, layout, device, pin_memory, requires_grad):
        kind = old_kind("hann_window", window_length, dtype)
        return finish(cosines((0.5, 0.5), window_length, not periodic, kind, device), requires_grad)


@op(
    f"hamming_window(int window_length, bool periodic=True, any alpha=0.54, any beta=0.46, *, {_OLD}) -> Tensor",
    method=False,
)
class HammingWindow(Composite):
    """``alpha - beta cos``; periodic unless told otherwise."""

    def body(window_length, periodic, alpha, beta, dtype, layout, device, pin_memory, requires_grad):
        kind = old_kind("hamming_window", window_length, dtype)
        return finish(cosines((alpha, beta), window_length, not periodic, kind, device), requires_grad)


@op(f"blackman_window(int window_length, bool periodic=True, *, {_OLD}) -> Tensor", method=False)
class BlackmanWindow(Composite):
    """Three-term window of Blackman; periodic unless told otherwise."""

    def body(window_length, periodic, dtype, layout, device, pin_memory, requires_grad):
        kind = old_kind("blackman_window", window_length, dtype)
        found = cosines((0.42, 0.5, 0.08), window_length, not periodic, kind, device)
        return finish(found if window_length < 2 else ops.abs(found), requires_grad)


@op(f"bartlett_window(int window_length, bool periodic=True, *, {_OLD}) -> Tensor", method=False)
class BartlettWindow(Composite):
    """Triangle that starts at zero; periodic unless told otherwise."""

    def body(window_length, periodic, dtype, layout, device, pin_memory, requires_grad):
        kind = old_kind("bartlett_window", window_length, dtype)
        return finish(triangle(window_length, not periodic, kind, device), requires_grad)


@op(f"kaiser_window(int window_length, bool periodic=True, any beta=12.0, *, {_OLD}) -> Tensor", method=False)
class KaiserWindow(Composite):
    """Kaiser's window; periodic unless told otherwise."""

    def body(window_length, periodic, beta, dtype, layout, device, pin_memory, requires_grad):
        kind = old_kind("kaiser_window", window_length, dtype)
        return finish(bessel(beta, window_length, not periodic, kind, device), requires_grad)
