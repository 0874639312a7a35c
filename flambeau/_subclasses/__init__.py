"""Tensors without data inside PyTorch's tracer: nothing here is of their types."""

from .fake_tensor import FakeTensor, FakeTensorMode, UnsupportedFakeTensorException, is_fake

__all__ = ["FakeTensor", "FakeTensorMode", "UnsupportedFakeTensorException", "is_fake"]
