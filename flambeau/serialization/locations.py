"""Which device a storage was saved from and which it is loaded to: tags, `map_location`, registered devices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Tagger = Callable[[Any], "str | None"]
Restorer = Callable[[Any, str], Any]


class PlacingError(Exception):
    """Carries an error of a user's `map_location` out of the reader, which words its own errors anew."""

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


def register_package(priority: int, tagger: Tagger, deserializer: Restorer) -> None:
    """Add a kind of device to what `save` and `load` know.

    Args:
        priority: lower numbers are asked first; the CPU has 10.
        tagger: gives the name of the device of a storage, or None when the storage is not its own.
        deserializer: takes a storage in host memory and the name of its device; gives the storage on that
            device, or None when the name is not its own.
    """
    _packages.append((priority, tagger, deserializer))
    _packages.sort(key=lambda package: package[0])


def location_tag(storage: Any) -> str:
    """The name under which a storage's device is saved, such as ``"cpu"``."""
    for _, tagger, _ in _packages:
        location = tagger(storage)
        if location:
            return location
    raise RuntimeError(f"don't know how to determine data location of {_type_of(storage)}")


def default_restore_location(storage: Any, location: str) -> Any:
    """A storage from host memory on the device that `location` names."""
    for _, _, deserializer in _packages:
        result = deserializer(storage, location)
        if result is not None:
            return result
    raise RuntimeError(
        f"don't know how to restore data location of {_type_of(storage)} (tagged with {location})"
    )


def restorer(map_location: Any) -> Restorer:
    """A function of a storage and the name of its device that places it as `map_location` says."""
    from flambeau.base.device import device

    if map_location is None:
        return default_restore_location
    if isinstance(map_location, dict):
        return lambda storage, location: default_restore_location(
            storage, str(map_location.get(location, location))
        )
    if isinstance(map_location, (str, bytes)):
        name = map_location if isinstance(map_location, str) else map_location.decode()
        return lambda storage, location: default_restore_location(storage, name)
    if isinstance(map_location, device):
        return lambda storage, location: default_restore_location(storage, str(map_location))
    if not callable(map_location):
        raise TypeError(
            f"'{type(map_location).__name__}' object is not callable\n"
            "  need  map_location is a device or its name, a dict of names, or a function of storage and name"
        )

    def restore(storage: Any, location: str) -> Any:
        try:
            moved = map_location(storage, location)
        except Exception as error:
            raise PlacingError(error) from error
        return default_restore_location(storage, location) if moved is None else moved

    return restore


def is_meta(map_location: Any) -> bool:
    """Whether everything goes to the meta device, so that no storage need be read."""
    return map_location is not None and not callable(map_location) and str(map_location) == "meta"


def validate_cuda_device(location: str) -> int:
    """The index of the CUDA device that a name such as ``"cuda:0"`` means.

    Raises: RuntimeError when there is no such device.
    """
    import flambeau

    if not flambeau.cuda.is_available():
        raise RuntimeError(
            "Attempting to deserialize object on a CUDA device but torch.cuda.is_available() is False. "
            "If you are running on a CPU-only machine, please use torch.load with "
            "map_location=torch.device('cpu') to map your storages to the CPU."
        )
    index = flambeau.device(location).index or 0
    count = flambeau.cuda.device_count()
    if index >= count:
        raise RuntimeError(
            f"Attempting to deserialize object on CUDA device {index} but torch.cuda.device_count() is {count}. "
            "Please use torch.load with map_location to map your storages to an existing device."
        )
    return index


def validate_hpu_device(location: str) -> int:
    """Raises: RuntimeError always: there is no back end for HPU devices."""
    raise RuntimeError(
        "Attempting to deserialize object on a HPU device but torch.hpu is not available. Please use torch.load "
        "with map_location=torch.device('cpu') to map your storages to the CPU."
    )


def _tag_of(kind: str) -> Tagger:
    return lambda storage: str(storage.device) if storage.device.type == kind else None


def _to_cpu(storage: Any, location: str) -> Any:
    return storage if location == "cpu" else None


def _to_cuda(storage: Any, location: str) -> Any:
    if not location.startswith("cuda"):
        return None
    index = validate_cuda_device(location)
    return storage.cuda(index)


def _to_meta(storage: Any, location: str) -> Any:
    if location != "meta":
        return None
    from flambeau.tensor.storage import UntypedStorage

    return UntypedStorage(storage.nbytes(), device="meta")


def _type_of(storage: Any) -> str:
    kind = type(storage)
    return f"{kind.__module__.replace('flambeau.tensor', 'torch')}.{kind.__name__}"


_packages: list[tuple[int, Tagger, Restorer]] = [
    (10, _tag_of("cpu"), _to_cpu),
    (20, _tag_of("cuda"), _to_cuda),
    (22, _tag_of("meta"), _to_meta),
]
