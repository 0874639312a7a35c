"""Short-time Fourier transforms: `stft`, and `istft`, which undoes it."""

from __future__ import annotations

import warnings

import flambeau

from .base.dtype import type_name
from .tensor.tensor import Tensor

__all__ = ["istft", "stft"]


def stft(
    input: Tensor, n_fft: int, hop_length: int | None = None, win_length: int | None = None, window: Tensor | None = None,
    center: bool = True, pad_mode: str = "reflect", normalized: bool = False, onesided: bool | None = None,
    return_complex: bool | None = None, align_to_window: bool | None = None,
) -> Tensor:  # fmt: skip
    """The spectrum of each stretch of `n_fft` samples, `hop_length` apart (a quarter of `n_fft` unless given).

    window: weights of the samples of a stretch, `win_length` of them. center: pad the signal, so that stretch t is
    around sample ``t * hop_length``. normalized: divide by the root of `n_fft`. onesided: leave out the mirrored half
    of a real signal's spectrum.

    Shape: ``(L) -> (N, T)`` or ``(B, L) -> (B, N, T)`` with N frequencies and T stretches.

    >>> import flambeau as torch
    >>> torch.stft(torch.ones(8), 4, window=torch.ones(4), return_complex=True).shape
    torch.Size([3, 9])
    """
    hop = n_fft // 4 if hop_length is None else hop_length
    width = n_fft if win_length is None else win_length
    if center:
        if align_to_window:
            raise RuntimeError("stft align_to_window should only be set when center = false")
        input = _pad(input, n_fft // 2, pad_mode)
    facts = (hop, width, window, normalized, onesided, return_complex, align_to_window)
    _check(input, n_fft, *facts)
    is_complex = input.is_complex() or (window is not None and window.is_complex())
    if onesided and is_complex:
        raise RuntimeError("Cannot have onesided output if window or input is complex")
    if return_complex is None and not is_complex:
        raise RuntimeError(
            "stft requires the return_complex parameter be given for real inputs, and will further require that "
            "return_complex=True in a future PyTorch release."
        )
    signal = input if input.dim() == 2 else input.unsqueeze(0)
    if align_to_window is not None and not center and align_to_window:
        lead = (n_fft - width) // 2
        signal = flambeau.nn.functional.pad(signal, (lead, n_fft - width - lead))
    frames = signal.unfold(-1, n_fft, hop)
    weights = _window(window, n_fft, width)
    if weights is not None:
        frames = frames * weights
    norm = "ortho" if normalized else "backward"
    if is_complex or onesided is False:
        spectrum = flambeau.fft.fft(frames, norm=norm)
    else:
        spectrum = flambeau.fft.rfft(frames, norm=norm)
    spectrum = spectrum.transpose(-1, -2)
    if input.dim() == 1:
        spectrum = spectrum.squeeze(0)
    return spectrum if return_complex or return_complex is None else flambeau.view_as_real(spectrum)


def _pad(input: Tensor, amount: int, mode: str) -> Tensor:
    """A signal with samples before and after it; the function that pads wants three dimensions."""
    extra = 3 - input.dim()
    whole = input.reshape((1,) * extra + tuple(input.shape)) if extra > 0 else input
    padded = flambeau.nn.functional.pad(whole, (amount, amount), mode)
    return padded.reshape(padded.shape[-input.dim() :])


def _kind(t: Tensor | None, complex_name: bool = False) -> str:
    return "None" if t is None else f"{t.type()}{{[{', '.join(map(str, t.shape))}]}}"


def _check(input: Tensor, n_fft: int, hop: int, width: int, window: Tensor | None, *switches) -> None:
    """Refuse what `stft` cannot do, naming the whole call."""
    given = ("None" if s is None else str(int(s)) for s in switches)
    normalized, onesided, return_complex, align = given
    call = (
        f"stft({input.type()}[{', '.join(map(str, input.shape))}], n_fft={n_fft}, hop_length={hop}, win_length={width}, "
        f"window={_kind(window)}, normalized={normalized}, onesided={onesided}, return_complex={return_complex}, "
        f"align_to_window={align}) : "
    )
    if window is None:
        warnings.warn(
            "A window was not provided. A rectangular window will be applied,which is known to cause spectral leakage. Other "
            "windows such as torch.hann_window or torch.hamming_window are recommended to reduce spectral leakage.To suppress "
            "this warning and use a rectangular window, explicitly set `window=torch.ones(n_fft, device=<device>)`.",
            stacklevel=3,
        )
    if not (input.is_floating_point() or input.is_complex()):
        raise RuntimeError(call + "expected a tensor of floating point or complex values")
    if input.dim() not in (1, 2):
        raise RuntimeError(call + "expected a 1D or 2D tensor")
    length = input.shape[-1]
    if n_fft <= 0 or n_fft > length:
        raise RuntimeError(call + f"expected 0 < n_fft < {length}, but got n_fft={n_fft}")
    if hop <= 0:
        raise RuntimeError(call + f"expected hop_length > 0, but got hop_length={hop}")
    if width <= 0 or width > n_fft:
        raise RuntimeError(call + f"expected 0 < win_length <= n_fft, but got win_length={width}")
    if window is not None and (window.dim() != 1 or window.shape[0] != width):
        raise RuntimeError(
            call
            + f"expected a 1D window tensor of size equal to win_length={width}, but got window with size "
            f"{list(window.shape)}"
        )


def _window(window: Tensor | None, n_fft: int, width: int, like: Tensor | None = None) -> Tensor | None:
    """The weights of `n_fft` samples, zero outside the window; None where all are one."""
    if window is None:
        if width == n_fft and like is None:
            return None
        window = flambeau.ones(width) if like is None else flambeau.ones(width, dtype=like.dtype)
    if width < n_fft:
        lead = (n_fft - width) // 2
        window = flambeau.nn.functional.pad(window, (lead, n_fft - width - lead))
    return window


def istft(
    input: Tensor, n_fft: int, hop_length: int | None = None, win_length: int | None = None, window: Tensor | None = None,
    center: bool = True, normalized: bool = False, onesided: bool | None = None, length: int | None = None,
    return_complex: bool = False,
) -> Tensor:  # fmt: skip
    """The signal whose `stft` with the same arguments is `input`: stretches added up, divided by the sum of the windows.

    length: how many samples to give; the rest is cut off, or filled with zeros.

    Shape: ``(N, T) -> (L)`` or ``(B, N, T) -> (B, L)``.

    >>> import flambeau as torch
    >>> x, w = torch.arange(16.0), torch.hann_window(8)
    >>> y = torch.istft(torch.stft(x, 8, window=w, return_complex=True), 8, window=w)
    >>> bool((x - y).abs().max() < 1e-5)
    True
    """
    hop = n_fft // 4 if hop_length is None else hop_length
    width = n_fft if win_length is None else win_length
    call = _inverse_call(
        input, n_fft, hop, width, window, center, normalized, onesided, length, return_complex
    )
    if onesided is None:
        onesided = input.dim() < 2 or input.shape[-2] != n_fft
    _check_inverse(call, input, n_fft, hop, width, window, onesided, return_complex)
    spectrum = (input if input.dim() == 3 else input.unsqueeze(0)).transpose(1, 2)
    norm = "ortho" if normalized else "backward"
    if return_complex:
        frames = flambeau.fft.ifft(spectrum, norm=norm)
    else:
        half = spectrum if onesided else spectrum.narrow(-1, 0, n_fft // 2 + 1)
        frames = flambeau.fft.irfft(half, n=n_fft, norm=norm)
    weights = _window(window, n_fft, width, frames)
    signal = _added(frames * weights, hop)
    total = _added((weights * weights).expand(1, frames.shape[1], n_fft), hop)
    begin = n_fft // 2 if center else 0
    whole = signal.shape[-1]
    end = begin + length if length is not None else whole - (n_fft // 2 if center else 0)
    signal, total = signal[..., begin:end], total[..., begin:end]
    smallest = float(total.abs().min())
    if smallest <= 1e-11:
        raise RuntimeError(
            f"{call} window overlap add min: 1\n  need  a window that reaches every sample; at one of them its squares sum "
            f"to {smallest:g}"
        )
    signal = signal / total
    if end > whole:
        warnings.warn(
            "The length of signal is shorter than the length parameter. Result is being padded with zeros in the tail. Please "
            "check your center and hop_length settings.",
            stacklevel=2,
        )
        signal = flambeau.nn.functional.pad(signal, (0, end - whole))
    return signal if input.dim() == 3 else signal.squeeze(0)


def _added(frames: Tensor, hop: int) -> Tensor:
    """Stretches (B, T, N) laid `hop` apart and added: (B, L)."""
    if frames.is_complex():
        parts = [_added(part, hop) for part in (frames.real, frames.imag)]
        return flambeau.complex(*parts)
    count, width = frames.shape[1:]
    length = width + hop * (count - 1)
    columns = frames.transpose(1, 2)
    whole = flambeau.nn.functional.fold(columns, (1, length), (1, width), stride=(1, hop))
    return whole.reshape(frames.shape[0], length)


def _inverse_call(input: Tensor, n_fft: int, hop: int, width: int, window: Tensor | None, *switches) -> str:
    """The whole call, as errors name it."""
    center, normalized, onesided, length, return_complex = (str(s if s is None else int(s)) for s in switches)
    kind = type_name(input.dtype)
    return (
        f"istft({input.device.type.upper()}{kind}Type[{', '.join(map(str, input.shape))}], n_fft={n_fft}, "
        f"hop_length={hop}, win_length={width}, window={_kind(window)}, center={center}, normalized={normalized}, "
        f"onesided={onesided}, length={length}, return_complex={return_complex})"
    )


def _check_inverse(call: str, input: Tensor, n_fft: int, hop: int, width: int, window: Tensor | None, onesided: bool,
                   return_complex: bool) -> None:  # fmt: skip
    if not input.is_complex():
        raise RuntimeError(
            "istft requires a complex-valued input tensor matching the output from stft with return_complex=True."
        )
    call += " : "
    if window is None:
        warnings.warn(
            "A window was not provided. A rectangular window will be applied.Please provide the same window used by stft to make "
            "the inversion lossless.To suppress this warning and use a rectangular window, explicitly set "
            "`window=torch.ones(n_fft, device=<device>)`.",
            stacklevel=3,
        )
    if input.numel() == 0:
        raise RuntimeError(call + "input tensor cannot be empty.")
    if input.dim() not in (2, 3):
        raise RuntimeError(call + f"expected a tensor with 2 or 3 dimensions, but got {input.dim()}")
    expected = n_fft // 2 + 1 if onesided else n_fft
    if input.shape[-2] != expected:
        form = "n_fft / 2 + 1 when onesided=True" if onesided else "n_fft when onesided=False"
        raise RuntimeError(
            call
            + f"expected the frequency dimension (3rd to the last) of the input tensor to match {form}, but got "
            f"{input.shape[-2]}"
        )
    if not 0 < hop <= width:
        raise RuntimeError(call + "expected 0 < hop_length <= win_length")
    if not 0 < width <= n_fft:
        raise RuntimeError(call + "expected 0 < win_length <= n_fft")
    if window is not None and (window.dim() != 1 or window.shape[0] != width):
        raise RuntimeError(call + "Invalid window shape. window has to be 1D and length of `win_length`")
    if return_complex and onesided:
        raise RuntimeError("Cannot have onesided output if window or input is complex")
    if not return_complex and window is not None and window.is_complex():
        raise RuntimeError("Complex windows are incompatible with return_complex=False")
