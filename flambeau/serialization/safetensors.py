"""The safetensors format: a JSON header that names each tensor's type, shape and place, then their bytes.

Source: the format's description at https://github.com/huggingface/safetensors (version 0.5).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping as MappingType
from typing import Any

from flambeau.serialization import locations, storages, tensors
from flambeau.serialization.zip_reader import ByteSource, open_binary

TYPES = {
    "BOOL": "bool", "U8": "uint8", "I8": "int8", "U16": "uint16", "I16": "int16", "F16": "float16",
    "BF16": "bfloat16", "U32": "uint32", "I32": "int32", "F32": "float32", "U64": "uint64", "I64": "int64",
    "F64": "float64", "C64": "complex64", "C128": "complex128", "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2", "F8_E4M3FNUZ": "float8_e4m3fnuz", "F8_E5M2FNUZ": "float8_e5m2fnuz",
}  # fmt: skip
_NAMES = {dtype: name for name, dtype in TYPES.items()}
_MOST_HEADER = 100_000_000  # the library's own limit
_WORD = 8
_DEEPEST = 3  # header, tensor, shape
_METADATA = "__metadata__"


class SafetensorsError(ValueError):
    """A file in the safetensors format is damaged, or tensors cannot be saved in it."""


def save_safetensors(
    tensors: MappingType[str, Any], f: Any, metadata: MappingType[str, str] | None = None
) -> None:
    """Write tensors by name in the safetensors format.

    Each tensor is written by itself: views are made contiguous, and what shares memory no longer does.

    Args:
        f: a path, which is replaced atomically, or an object with a `write` method.
        metadata: texts by name, kept in the header.

    Raises: TypeError or SafetensorsError for what the format cannot hold.

    Example::

        >>> import flambeau as torch
        >>> torch.serialization.save_safetensors({"weight": torch.ones(2)}, "/tmp/a.safetensors")
        >>> torch.load("/tmp/a.safetensors")
        {'weight': tensor([1., 1.])}
    """
    header, order = _header(tensors, metadata)
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % _WORD)
    with _opened(f) as write:
        write(len(text).to_bytes(_WORD, "little") + text)
        for name in order:
            write(_content(tensors[name]))


def load_safetensors(f: Any, device: Any = "cpu", *, mmap: bool = False) -> dict[str, Any]:
    """The tensors of a safetensors file by their names.

    Args:
        f: a path or a seekable file object.
        device: where the tensors go; also a dict or a function, as `load` takes them.
        mmap: map the file into memory instead of reading it; writes to the tensors stay in memory.

    Raises: SafetensorsError when the file is damaged.
    """
    file, own = open_binary(f)
    try:
        return load_open(f, ByteSource(file), device, mmap)
    finally:
        if own:
            file.close()


def safetensors_metadata(f: Any) -> dict[str, str]:
    """The texts that were saved beside the tensors."""
    file, own = open_binary(f)
    try:
        return _read_header(ByteSource(file))[0].get(_METADATA, {})
    finally:
        if own:
            file.close()


def starts_like_one(head: bytes, size: int) -> bool:
    """Whether a file of `size` bytes that begins so is in this format."""
    count = int.from_bytes(head[:_WORD], "little")
    return len(head) > _WORD and head[_WORD] == ord("{") and 2 <= count <= size - _WORD


def load_open(f: Any, source: ByteSource, map_location: Any, mmap: bool) -> dict[str, Any]:
    """The tensors of an open file."""
    header, start = _read_header(source)
    entries = _checked_entries(header, source.size - start)
    mapping = None
    if mmap:
        if not isinstance(f, (str, os.PathLike)):
            raise ValueError("f must be a file path in order to use the mmap argument")
        mapping = storages.Mapping(f)
    restore = locations.restorer(map_location)
    on_meta = locations.is_meta(map_location)
    return {
        name: _load_one(source, mapping, restore, on_meta, dtype, shape, start + begin, size)
        for name, (dtype, shape, begin, size) in entries.items()
    }


def _load_one(source, mapping, restore, on_meta, dtype, shape, at: int, size: int) -> Any:
    import flambeau
    from flambeau.base.layout import contiguous_strides

    if on_meta:
        return flambeau.empty(shape, dtype=dtype, device="meta")
    if mapping is not None and size and at % dtype.itemsize == 0:
        storage = mapping.storage(at, size)
    else:
        storage = storages.empty_storage(size)
        target = storages.bytes_of(storage)
        try:
            source.fill(at, target, False)
        except (OSError, RuntimeError) as error:
            raise SafetensorsError(f"Error while deserializing: the file is cut off ({error})") from None
        if storages.sys.byteorder == "big":
            storages.swap_bytes(target, dtype)
    placed = restore(storage, "cpu")
    if placed._memory is None:
        return flambeau.empty(shape, dtype=dtype, device="meta")
    return tensors.over_storage(placed, dtype, tuple(shape), contiguous_strides(shape))


def _read_header(source: ByteSource) -> tuple[dict, int]:
    """The header, and where the bytes start."""
    count = int.from_bytes(source.read(0, _WORD), "little")
    if source.size < _WORD:
        raise SafetensorsError("Error while deserializing header: header too small")
    if count > _MOST_HEADER:
        raise SafetensorsError(f"Error while deserializing header: header too large ({count} bytes)")
    if count > source.size - _WORD:
        raise SafetensorsError(
            f"Error while deserializing header: invalid header length {count} in a file of {source.size} bytes"
        )
    text = source.read(_WORD, count)
    try:
        if text.count(b"{") + text.count(b"[") > count // 2 or not text.startswith(b"{"):
            raise ValueError("it does not begin as one")
        header = json.loads(text.decode("utf-8"), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise SafetensorsError(f"Error while deserializing header: invalid JSON: {error}") from None
    return header, _WORD + count


def _unique(pairs: list) -> dict:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a name stands twice in it")
    return made


def _checked_entries(header: dict, size: int) -> dict[str, tuple[Any, list[int], int, int]]:
    """Type, shape, start and number of bytes of every tensor; together they fill the file without a gap."""
    entries = {name: _checked_entry(name, entry) for name, entry in header.items() if name != _METADATA}
    metadata = header.get(_METADATA, {})
    if type(metadata) is not dict or any(type(text) is not str for text in metadata.values()):
        raise SafetensorsError("Error while deserializing header: the metadata are not texts")
    end = 0
    for name, (_, _, begin, count) in sorted(entries.items(), key=lambda item: (item[1][2], item[1][3])):
        if begin != end:
            raise SafetensorsError(
                f"Error while deserializing header: invalid offset for tensor {name}: it starts at {begin}, "
                f"the one before ends at {end}"
            )
        end = begin + count
    if end != size:
        raise SafetensorsError(
            f"Error while deserializing header: incomplete metadata, the tensors have {end} bytes and the file {size}"
        )
    return entries


def _checked_entry(name: str, entry: Any) -> tuple[Any, list[int], int, int]:
    from flambeau.base.dtype import DTYPES

    if type(entry) is not dict or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise SafetensorsError(f"Error while deserializing header: the entry of tensor {name} is malformed")
    shape, offsets, kind = entry["shape"], entry["data_offsets"], entry["dtype"]
    if type(kind) is not str or TYPES.get(kind) not in DTYPES:
        raise SafetensorsError(f"tensor {name} has the type {str(kind)[:40]}, which is not supported")
    numbers = [*shape, *offsets] if type(shape) is list and type(offsets) is list else [-1]
    sound = all(type(n) is int and 0 <= n < 1 << 62 for n in numbers)
    if not sound or len(offsets) != 2 or len(shape) > 64:
        raise SafetensorsError(f"Error while deserializing header: the entry of tensor {name} is malformed")
    dtype = DTYPES[TYPES[kind]]
    size = dtype.itemsize
    for n in shape:
        size *= n
    if size != offsets[1] - offsets[0]:
        raise SafetensorsError(
            f"Error while deserializing header: tensor {name} of shape {shape} and type {kind} needs {size} bytes "
            f"and has {offsets[1] - offsets[0]}"
        )
    return dtype, shape, offsets[0], size


def _header(named: MappingType[str, Any], metadata: MappingType[str, str] | None) -> tuple[dict, list[str]]:
    """The header, and the names in the order of their bytes: wide types first, so that each is aligned."""
    import flambeau

    for name, tensor in named.items():
        if type(name) is not str or not isinstance(tensor, flambeau.Tensor):
            raise TypeError(
                f"Key `{name}` is invalid, expected torch.Tensor but received {type(tensor).__name__}\n"
                "  need  safetensors holds tensors by name; torch.save takes other values too"
            )
        if tensor.dtype.name not in _NAMES or name == _METADATA:
            raise SafetensorsError(f"the safetensors format cannot hold {name!r} of type {tensor.dtype}")
    order = sorted(named, key=lambda name: (-named[name].dtype.itemsize, name))
    header: dict[str, Any] = {}
    if metadata is not None:
        if any(type(text) is not str for pair in metadata.items() for text in pair):
            raise TypeError("the metadata of a safetensors file are texts by name")
        header[_METADATA] = dict(metadata)
    end = 0
    for name in order:
        tensor = named[name]
        size = tensor.numel() * tensor.dtype.itemsize
        header[name] = {
            "dtype": _NAMES[tensor.dtype.name],
            "shape": list(tensor.shape),
            "data_offsets": [end, end + size],
        }
        end += size
    return header, order


def _content(tensor: Any) -> Any:
    """The bytes of a tensor in order."""
    import flambeau

    if tensor.device.type == "meta":
        raise SafetensorsError("a tensor on the meta device has no bytes to save")
    whole = tensor.detach().cpu().contiguous()
    size = whole.numel() * whole.dtype.itemsize
    if not size:
        return b""
    flat = tensors.over_storage(
        whole.untyped_storage(), flambeau.uint8, (size,), (1,), whole.storage_offset() * whole.dtype.itemsize
    )
    view = memoryview(flat.numpy())
    if storages.sys.byteorder == "big":
        view = memoryview(bytearray(view))
        storages.swap_bytes(view, whole.dtype)
    return view


class _opened:
    """Context manager: a function that writes all of its argument to a path or an object."""

    def __init__(self, f: Any) -> None:
        from flambeau.serialization.replacing import Replacement

        self._f = f
        self._replacement = Replacement(f) if isinstance(f, (str, os.PathLike)) else None
        if self._replacement is None and not hasattr(f, "write"):
            raise AttributeError(
                "expected 'f' to be string, path, or a file-like object with a 'write' attribute"
            )

    def __enter__(self) -> Any:
        self._file = self._f if self._replacement is None else self._replacement.__enter__()
        return self._write

    def _write(self, data: Any) -> None:
        view = memoryview(data)
        while view.nbytes:
            count = self._file.write(view)
            view = view[count if isinstance(count, int) else view.nbytes :]

    def __exit__(self, kind, error, trace) -> None:
        if self._replacement is not None:
            self._replacement.__exit__(kind, error, trace)
