"""Instance normalisation."""

from __future__ import annotations

import warnings

from flambeau.nn import functional as F
from flambeau.tensor.tensor import Tensor

from .batchnorm import _LazyNormBase, _NormBase

__all__ = [
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
    "LazyInstanceNorm1d",
    "LazyInstanceNorm2d",
    "LazyInstanceNorm3d",
]


class _InstanceNorm(_NormBase):
    """Instance normalisation over `_spatial` dimensions."""

    _spatial: int

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device=None,
        dtype=None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)

    def _get_no_batch_dim(self) -> int:
        return self._spatial + 1

    def _check_input_dim(self, input: Tensor) -> None:
        low, high = self._spatial + 1, self._spatial + 2
        if input.dim() not in (low, high):
            raise ValueError(f"expected {low}D or {high}D input (got {input.dim()}D input)")

    def forward(self, input: Tensor) -> Tensor:
        self._check_input_dim(input)
        self._check_channels(input)
        batch = input if input.dim() > self._get_no_batch_dim() else input[None]
        done = F.instance_norm(
            batch,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            # the sample's own statistics, unless those of training are to be used
            use_input_stats=not self.track_running_stats or self.training,
            momentum=0.0 if self.momentum is None else self.momentum,
            eps=self.eps,
        )
        return done if batch is input else done[0]

    def _check_channels(self, input: Tensor) -> None:
        """Refuse a wrong number of channels where it matters, warn where not."""
        at = input.dim() - self._get_no_batch_dim()
        if input.size(at) == self.num_features:
            return
        if self.affine:
            raise ValueError(
                f"expected input's size at dim={at} to match num_features ({self.num_features}), "
                f"but got: {input.size(at)}."
            )
        warnings.warn(
            f"input's size at dim={at} does not match num_features. You can silence this warning "
            "by not passing in num_features, which is not used because affine=False",
            stacklevel=3,
        )

    def _load_from_state_dict(
        self, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
    ) -> None:
        if local_metadata.get("version", None) is None and not self.track_running_stats:
            names = ("running_mean", "running_var")
            stale = [prefix + name for name in names if prefix + name in state_dict]
            if stale:
                listed = " and ".join(f'"{key}"' for key in stale)
                error_msgs.append(
                    f"Unexpected running stats buffer(s) {listed} for {self._get_name()} with "
                    "track_running_stats=False. If state_dict is a checkpoint saved before 0.4.0, this "
                    "may be "
                    "expected because the module does not track running stats by default since 0.4.0. "
                    "Please remove these keys from state_dict."
                )
                for key in stale:
                    state_dict.pop(key)
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )


class InstanceNorm1d(_InstanceNorm):
    """Normalises every channel of every sample of ``(N, C, L)`` or ``(C, L)`` by itself.

    Args:
        affine: whether to learn a scale and a shift of each channel.
        track_running_stats: keep running averages and use them in evaluation.

    Source: Ulyanov et al., Instance Normalization, arXiv:1607.08022.
    """

    _spatial = 1


class InstanceNorm2d(_InstanceNorm):
    """Normalises every channel of every image ``(N, C, H, W)`` by itself; see `InstanceNorm1d`."""

    _spatial = 2


class InstanceNorm3d(_InstanceNorm):
    """Normalises every channel of every volume ``(N, C, D, H, W)`` by itself; as `InstanceNorm1d`."""

    _spatial = 3


class _LazyInstanceNorm(_LazyNormBase, _InstanceNorm):
    def initialize_parameters(self, input: Tensor) -> None:
        # An unbatched input has its channels first.
        super().initialize_parameters(input if input.dim() == self._spatial + 2 else input.unsqueeze(0))


class LazyInstanceNorm1d(_LazyInstanceNorm):
    """An `InstanceNorm1d` whose ``num_features`` is taken from the first input."""

    cls_to_become = InstanceNorm1d
    _spatial = 1


class LazyInstanceNorm2d(_LazyInstanceNorm):
    """An `InstanceNorm2d` whose ``num_features`` is taken from the first input."""

    cls_to_become = InstanceNorm2d
    _spatial = 2


class LazyInstanceNorm3d(_LazyInstanceNorm):
    """An `InstanceNorm3d` whose ``num_features`` is taken from the first input."""

    cls_to_become = InstanceNorm3d
    _spatial = 3
