"""Convolutions in another order of dimensions."""

from __future__ import annotations

import flambeau
from flambeau.base.errors import require
from flambeau.tensor.tensor import Tensor


def conv_tbc(input: Tensor, weight: Tensor, bias: Tensor, pad: int = 0) -> Tensor:
    """Convolution over the first dimension.

    Shape: ``(T, N, C_in), (K, C_in, C_out), (C_out) -> (T + 2 pad - K + 1, N, C_out)``.
    """
    require(input.dim() == 3, "Input must have 3 dims: time, batch, in_channel")
    require(weight.dim() == 3, "Weight tensor must have 3 dims: kernel_width, in_channels, out_channels.")
    require(bias.dim() == 1, "Bias must be 1-D")
    require(
        input.shape[2] == weight.shape[1], "Input dim 2 (input channels) is not == dim 1 in the weight tensor"
    )
    require(
        weight.shape[2] == bias.shape[0], "Bias size must equal dim 2 in the weight tensor (output channels)."
    )
    channels_second = flambeau.conv1d(input.permute(1, 2, 0), weight.permute(2, 1, 0), bias, padding=pad)
    return channels_second.permute(2, 0, 1)
