"""Defaults of `torch.save` and `torch.load` that a program may set: ``config.load.mmap = True``."""

from flambeau.serialization.config import load, save

__all__ = ["load", "save"]
