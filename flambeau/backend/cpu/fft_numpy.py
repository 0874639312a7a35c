"""Fourier transforms by `numpy.fft`, scaled by a factor of the caller's: for lengths that the kernels do not take."""

from __future__ import annotations

from .host import host


def _complex_to_complex(call, inputs, outputs) -> None:
    import numpy as np

    values = call.values
    transform = np.fft.fftn if values["forward"] else np.fft.ifftn
    found = transform(inputs[0], axes=values["dim"], norm="backward" if values["forward"] else "forward")
    np.multiply(found, found.real.dtype.type(values["scale"]), out=outputs[0])


def _real_to_complex(call, inputs, outputs) -> None:
    import numpy as np

    dims = call.values["dim"]
    found = np.fft.rfftn(inputs[0], axes=dims)
    np.multiply(found, found.real.dtype.type(call.values["scale"]), out=outputs[0])


def _complex_to_real(call, inputs, outputs) -> None:
    import numpy as np

    values = call.values
    *others, last = values["dim"]
    found = inputs[0]
    if others:
        found = np.fft.ifftn(found, axes=others, norm="forward")
    found = np.fft.irfft(found, n=values["size"], axis=last, norm="forward")
    np.multiply(found, found.dtype.type(values["scale"]), out=outputs[0])


complex_to_complex = host(_complex_to_complex)
real_to_complex = host(_real_to_complex)
complex_to_real = host(_complex_to_real)
