"""Streams of GPUs under `torch.cuda.streams`' names."""

from . import Event, Stream

__all__ = ["Event", "Stream"]
