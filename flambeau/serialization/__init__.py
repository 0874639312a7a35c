"""Saving to disk and loading again, in PyTorch's file format.

A file is a zip archive: ``data.pkl`` describes the object, ``data/0``, ``data/1``, ... hold the bytes of its
storages. PyTorch reads what `save` writes, and `load` reads what PyTorch wrote. `load` runs no code from the
file unless it is asked to with ``weights_only=False``.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

from flambeau.serialization.allowed import (
    add_safe_globals,
    clear_safe_globals,
    get_safe_globals,
    safe_globals,
)

__all__ = ["add_safe_globals", "clear_safe_globals", "get_safe_globals", "load", "safe_globals", "save"]


def save(
    obj: object,
    f,
    pickle_module: Any = pickle,
    pickle_protocol: int = 2,
    _use_new_zipfile_serialization: bool = True,
    _disable_byteorder_record: bool = False,
) -> None:
    """Write an object (most often a ``state_dict``) to a file.

    Tensors that share a storage share it again after loading. A file named by its path appears complete or
    not at all: it is written beside its final place and moved there at the end.

    Args:
        obj: tensors, numbers, texts, and dicts, lists and sets of them; other objects are pickled by
            reference to their class and need ``load(..., weights_only=False)``.
        f: a path, or an object with a ``write`` method.

    Raises: RuntimeError when the parent directory does not exist; ValueError for a pickle protocol but 2.

    Example::

        >>> model = torch.nn.Linear(3, 2)
        >>> torch.save(model.state_dict(), "linear.pt")
        >>> model.load_state_dict(torch.load("linear.pt"))
        <All keys matched successfully>
    """
    from flambeau.serialization import archive, pickler

    if pickle_module is not pickle or pickle_protocol != 2 or not _use_new_zipfile_serialization:
        raise ValueError("torch.save writes PyTorch's zip format with Python's pickle module, protocol 2")
    with archive.Writer(f, byte_order_record=not _disable_byteorder_record) as writer:
        data, storages = pickler.dump(obj)
        writer.record("data.pkl", data)
        for key, storage in enumerate(storages):
            writer.record(f"data/{key}", storage, align=True)


def load(
    f,
    map_location: Callable | str | dict[str, str] | Any = None,
    pickle_module: Any = None,
    *,
    weights_only: bool | None = None,
    mmap: bool | None = None,
    **pickle_load_args: Any,
) -> Any:
    """Read an object that `save` or ``torch.save`` wrote.

    Args:
        f: a path, or a seekable binary file object.
        map_location: where tensors go: a device, a dict of device names, or a function of a storage and the
            name of its device.
        weights_only: True (the default) accepts tensors, plain containers and what `add_safe_globals` named;
            False runs whatever the file asks for, so use it only on files that you trust.
        mmap: accepted for PyTorch's signature; the storages are read.

    Raises: pickle.UnpicklingError when the file asks for more than `weights_only` permits; RuntimeError when
    it is damaged; FileNotFoundError.
    """
    from flambeau.serialization import archive, unpickler

    if pickle_module is not None and weights_only:
        raise RuntimeError("Can not safely load weights when explicit pickle_module is specified")
    with archive.Reader(f) as reader:
        tensors = unpickler.TensorSource(reader, map_location)
        if weights_only is False or (weights_only is None and pickle_module is not None):
            return unpickler.load_trusted(reader.read("data.pkl"), tensors, pickle_module, pickle_load_args)
        return unpickler.load_plain(reader.read("data.pkl"), tensors)
