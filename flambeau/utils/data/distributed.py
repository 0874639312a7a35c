"""The sampler of data-parallel training, under the name of its module in PyTorch."""

from .sampler import DistributedSampler

__all__ = ["DistributedSampler"]
