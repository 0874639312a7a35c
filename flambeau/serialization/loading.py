"""`load`: finds out what a file is and gives it to the reader that can take it."""

from __future__ import annotations

import io
import os
import pickle
import warnings
from typing import Any

from flambeau.serialization import allowed, legacy, locations, plain, safetensors
from flambeau.serialization.machine import DAMAGE, GlobalLister, Machine
from flambeau.serialization.storages import Mapping, ZipStorages
from flambeau.serialization.zip_reader import ByteSource, ZipReader, open_binary

_UNSAFE = (
    "In PyTorch 2.6, we changed the default value of the `weights_only` argument in `torch.load` from `False` to "
    "`True`. Re-running `torch.load` with `weights_only` set to `False` will likely succeed, but it can result in "
    "arbitrary code execution. Do it only if you got the file from a trusted source."
)
_TWO_WAYS = (
    "This file can still be loaded, to do so you have two options, do those steps only if you trust the source "
    "of the checkpoint. "
)


def load(
    f: Any, map_location: Any, pickle_module: Any, weights_only: bool, mmap: bool, arguments: dict
) -> Any:
    """Read the object in a file; see `flambeau.load`."""
    file, own = open_binary(f)
    try:
        source = ByteSource(file)
        head = source.read(0, 32)
        if not head:
            raise EOFError("Ran out of input: the file is empty")
        unpickler = None if weights_only else _trusting(pickle_module, arguments)
        encoding = arguments.get("encoding", "utf-8")
        if head.startswith(b"PK\x03\x04"):
            return _load_zip(f, source, map_location, unpickler, encoding, mmap)
        if safetensors.starts_like_one(head, source.size):
            return safetensors.load_open(f, source, map_location, mmap)
        if mmap:
            name = f"{f}, " if isinstance(f, str) else ""
            raise RuntimeError(
                f"mmap can only be used with files saved with `torch.save({name}"
                "_use_new_zipfile_serialization=True), please torch.save your checkpoint with this option in "
                "order to use mmap."
            )
        return _load_legacy(source, head, map_location, unpickler, encoding)
    except locations.PlacingError as placing:
        raise placing.error from placing.error.__cause__
    finally:
        if own:
            file.close()


def _load_zip(
    f: Any, source: ByteSource, map_location: Any, unpickler: Any, encoding: str, mmap: bool
) -> Any:
    reader = ZipReader(source)
    if "constants.pkl" in reader:
        raise RuntimeError(
            "Cannot use ``weights_only=True`` with TorchScript archives passed to ``torch.load``. The file holds "
            "a TorchScript program, which Flambeau does not run: save its state dict with PyTorch"
        )
    mapping = None
    if mmap:
        if not isinstance(f, (str, os.PathLike)):
            raise ValueError("f must be a file path in order to use the mmap argument")
        mapping = Mapping(f)
    data = reader.read("data.pkl")
    storages = ZipStorages(reader, map_location, mapping)
    if unpickler is not None:
        return unpickler(io.BytesIO(data), storages).load()
    with _Explained():
        return Machine(data, storages, encoding=encoding).run()


def _load_legacy(source: ByteSource, head: bytes, map_location: Any, unpickler: Any, encoding: str) -> Any:
    if not legacy.starts_like_one(head):
        raise pickle.UnpicklingError(_not_a_checkpoint(source, head))
    data = source.read(0, source.size)
    with _Explained(unpickler is None):
        if unpickler is None:
            run = legacy.plain_runner(encoding, source.size)
        else:
            run = legacy.trusted_runner(unpickler)
        result, end = legacy.load(data, map_location, run, size=source.size)
    source.file.seek(source.start + end)  # another object may follow
    return result


def _not_a_checkpoint(source: ByteSource, head: bytes) -> str:
    message = f"Weights only load failed. The file is no checkpoint: it starts with {head[:8]!r}"
    if len(head) >= 2 and head[0] == 0x80:
        return f"{message}, as a pickle that torch.save did not write.\n  fix   use Python's pickle.load, if you trust it"
    if source.size > 262 and source.read(257, 5) == b"ustar":
        return f"{message}.\n  fix   a tar file of PyTorch 0.1 must be saved once more with a newer PyTorch"
    return f"{message}.\n  fix   name a file that torch.save or safetensors wrote"


class _Explained:
    """Words a refusal of the data-only reader as PyTorch does: what the file asks for, and what one can do."""

    def __init__(self, active: bool = True) -> None:
        self._active = active

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind, error, trace) -> None:
        if not self._active or not isinstance(error, pickle.UnpicklingError):
            return
        text = str(error)
        if "was not an allowed global by default" in text:
            message = (
                f"Weights only load failed. {_TWO_WAYS}\n\t(1) {_UNSAFE}\n\t(2) Alternatively, to load with "
                "`weights_only=True` please check the recommended steps in the following error message.\n"
                f"\tWeightsUnpickler error: {text}"
            )
        else:
            message = f"Weights only load failed. {_UNSAFE}\n\n{text}"
        raise pickle.UnpicklingError(message) from None


def _trusting(pickle_module: Any, arguments: dict) -> Any:
    """A maker of unpicklers without restriction; PyTorch's names mean ours."""
    functions, values = allowed.known_functions(), allowed.known_values()
    base: Any = (pickle_module or pickle).Unpickler

    class Unpickler(base):
        def __init__(self, stream: Any, storages: Any) -> None:
            super().__init__(stream, **{"encoding": "utf-8", **arguments})
            self.storages = storages

        def persistent_load(self, pid: Any) -> Any:
            if type(pid) is tuple and len(pid) == 4 and pid[0] == "module":
                return pid[1]  # a class, with its source code as it was
            return self.storages(pid)

        def find_class(self, module: str, name: str) -> Any:
            full = f"{module}.{name}"
            if full in allowed.tensors.TORCH_NAMES:
                return functions[full]
            if full in values:
                return values[full]
            if full == "torch.serialization._get_layout":
                return plain.layout_named
            if module == "torch" or module.startswith("torch."):
                return _ours(super().find_class, module, name)
            return super().find_class(module, name)

    return Unpickler


def _ours(find_class: Any, module: str, name: str) -> Any:
    """What one of PyTorch's names means here: the same place, or the public name where files are cut otherwise."""
    own = "flambeau" + module.removeprefix("torch")
    try:
        return find_class(own, name)
    except (ImportError, AttributeError) as error:
        import flambeau

        for public in (flambeau.nn, flambeau.optim, flambeau.optim.lr_scheduler, flambeau):
            if hasattr(public, name):
                return getattr(public, name)
        raise error


def unsafe_globals(f: Any) -> list[str]:
    """The names in a file that `load` would refuse; see `get_unsafe_globals_in_checkpoint`."""
    file, own = open_binary(f)
    try:
        source = ByteSource(file)
        if not source.read(0, 4).startswith(b"PK\x03\x04"):
            raise ValueError("Expected input to be a checkpoint returned by torch.save")
        reader = ZipReader(source)
        if "constants.pkl" in reader:
            raise ValueError(
                "Expected input to be a checkpoint returned by torch.save but got a torchscript checkpoint"
            )
        lister = GlobalLister(reader.read("data.pkl"))
        try:
            lister.run()
        except DAMAGE as error:
            raise pickle.UnpicklingError(f"The pickle in the file is damaged: {error}") from error
        return sorted(lister.names - allowed.user_globals().keys())
    finally:
        if own:
            file.close()


def chosen_weights_only(weights_only: bool | None, pickle_module: Any, arguments: dict) -> bool:
    """Whether only data may be loaded; PyTorch's variable can forbid more, never allow more."""
    forced = os.environ.get("TORCH_FORCE_WEIGHTS_ONLY_LOAD", "0").lower() in ("1", "y", "yes", "true")
    if weights_only is None:
        weights_only = pickle_module is None
    if (weights_only or forced) and pickle_module is not None:
        raise RuntimeError("Can not safely load weights when explicit pickle_module is specified")
    if arguments and (weights_only or forced):
        warnings.warn("pickle_load_args only works if `weights_only=False`.", UserWarning, stacklevel=3)
    return weights_only or forced
