"""Saving to disk and loading again, in PyTorch's file format.

A file is a zip archive: ``data.pkl`` describes the object, ``data/0``, ``data/1``, ... hold the bytes of its
storages. PyTorch reads what `save` writes, and `load` reads what PyTorch wrote, also before version 1.6, and
safetensors files. `load` runs no code from the file unless it is asked to with ``weights_only=False``.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from importlib import import_module as _import_module
from typing import Any

__all__ = [
    "LoadEndianness", "SourceChangeWarning", "StorageType", "add_safe_globals", "check_module_version_greater_or_equal",
    "clear_safe_globals", "default_restore_location", "get_crc32_options", "get_default_load_endianness",
    "get_default_mmap_options", "get_safe_globals", "get_unsafe_globals_in_checkpoint", "load", "load_safetensors",
    "location_tag", "mkdtemp", "normalize_storage_type", "register_package", "safe_globals", "safetensors_metadata",
    "save", "save_safetensors", "set_crc32_options", "set_default_load_endianness", "set_default_mmap_options",
    "skip_data", "storage_to_tensor_type", "validate_cuda_device", "validate_hpu_device",
]  # fmt: skip

DEFAULT_PROTOCOL = 2
_ELSEWHERE = {
    name: module
    for module, names in {
        "allowed": "add_safe_globals clear_safe_globals get_safe_globals safe_globals",
        "locations": (
            "default_restore_location location_tag register_package validate_cuda_device validate_hpu_device"
        ),
        "old_names": (
            "SourceChangeWarning check_module_version_greater_or_equal mkdtemp normalize_storage_type "
            "storage_to_tensor_type"
        ),
        "options": (
            "LoadEndianness get_crc32_options get_default_load_endianness get_default_mmap_options "
            "set_crc32_options set_default_load_endianness set_default_mmap_options skip_data"
        ),
        "safetensors": "load_safetensors safetensors_metadata save_safetensors",
        "tensors": "StorageType",
    }.items()
    for name in names.split()
}


def __getattr__(name: str) -> Any:
    if name not in _ELSEWHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(_import_module(f"{__name__}.{_ELSEWHERE[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_ELSEWHERE})


def save(
    obj: object,
    f,
    pickle_module: Any = pickle,
    pickle_protocol: int = DEFAULT_PROTOCOL,
    _use_new_zipfile_serialization: bool = True,
    _disable_byteorder_record: bool = False,
) -> None:
    """Write an object (most often a ``state_dict``) to a file.

    Tensors that share a storage share it again after loading. A file named by its path appears complete or
    not at all: it is written beside its final place and moved there when it is on the disk.

    Args:
        obj: tensors, numbers, texts, and dicts, lists and sets of them; other objects are pickled by
            reference to their class and need ``load(..., weights_only=False)``.
        f: a path, or an object with a ``write`` method.
        pickle_module: the module whose `Pickler` takes the object apart.
        pickle_protocol: 2 to 5; PyTorch reads 2 with ``weights_only=True``.

    Raises: RuntimeError when the parent directory does not exist or the file cannot be opened; ValueError for
    another protocol; AttributeError when `f` is neither a path nor a file.

    Example::

        >>> import flambeau as torch
        >>> model = torch.nn.Linear(3, 2)
        >>> torch.save(model.state_dict(), "/tmp/linear.pt")
        >>> model.load_state_dict(torch.load("/tmp/linear.pt"))
        <All keys matched successfully>
    """
    from flambeau.serialization import options, pickler
    from flambeau.serialization.storages import bytes_of, room_for
    from flambeau.serialization.zip_writer import ZipWriter

    if pickle_protocol not in (2, 3, 4, 5):
        raise ValueError(f"pickle_protocol must be 2, 3, 4 or 5, not {pickle_protocol}")
    if not _use_new_zipfile_serialization:
        raise ValueError(
            "the format of PyTorch before 1.6 is only read; torch.save writes the zip format that replaced it"
        )
    writer = ZipWriter(
        f, byte_order_record=not _disable_byteorder_record, checksums=options.get_crc32_options()
    )
    data, storages = pickler.dump(obj, pickle_module, pickle_protocol)
    with writer:
        writer.record("data.pkl", data)
        writer.describe()
        for key, storage in enumerate(storages):
            skipped = options.data_is_skipped()
            content = room_for(storage.nbytes()) if skipped else bytes_of(storage.cpu())
            writer.record(f"data/{key}", content)


def load(
    f,
    map_location: Callable | str | dict[str, str] | Any = None,
    pickle_module: Any = None,
    *,
    weights_only: bool | None = None,
    mmap: bool | None = None,
    **pickle_load_args: Any,
) -> Any:
    """Read an object that `save` or ``torch.save`` wrote, or the tensors of a safetensors file.

    Args:
        f: a path, or a seekable binary file object, which is read from its position on.
        map_location: where tensors go: a device, a dict of device names, or a function of a storage and the
            name of its device.
        pickle_module: the module whose `Unpickler` runs the file; it implies ``weights_only=False``.
        weights_only: True (the default) accepts tensors, plain containers and what `add_safe_globals` named;
            False runs whatever the file asks for, so use it only on files that you trust.
        mmap: map the file into memory instead of reading it: parts are fetched when they are first used, and
            writes to the tensors stay in memory. The file must stay as it is meanwhile.

    Raises: pickle.UnpicklingError when the file asks for more than `weights_only` permits, or is no
    checkpoint; RuntimeError when it is damaged; FileNotFoundError.
    """
    from flambeau.serialization import config, loading

    only = loading.chosen_weights_only(weights_only, pickle_module, pickle_load_args)
    mapped = config.load.mmap if mmap is None else mmap
    return loading.load(f, map_location, pickle_module, only, bool(mapped), pickle_load_args)


def get_unsafe_globals_in_checkpoint(f) -> list[str]:
    """The classes and functions that a file names and `load` does not accept, by their full names.

    Nothing of the file is run. Allow what you trust with `add_safe_globals`.
    """
    from flambeau.serialization import loading

    return loading.unsafe_globals(f)


#: what `load` takes as its `map_location`, for annotations
MAP_LOCATION = object
