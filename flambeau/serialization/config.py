"""Defaults of `torch.save` and `torch.load` that a program may set: ``config.load.mmap = True``."""

from __future__ import annotations


class load:
    """Defaults of `torch.load`."""

    #: map files into memory unless the call says otherwise
    mmap: bool = False
    #: accepted for PyTorch's name; offsets are always read from the file and checked
    calculate_storage_offsets: bool = False


class save:
    """Defaults of `torch.save`."""

    #: accepted for PyTorch's name; there are no pinned buffers here
    use_pinned_memory_for_d2h: bool = False
    #: bytes that the start of every storage is a multiple of
    storage_alignment: int = 64
