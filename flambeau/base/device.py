"""Devices: where a tensor's memory is."""

from __future__ import annotations

_TYPES = (
    "cpu", "cuda", "ipu", "xpu", "mkldnn", "opengl", "opencl", "ideep", "hip", "ve", "fpga", "maia", "xla", "lazy",
    "vulkan", "mps", "meta", "hpu", "mtia", "privateuseone",
)  # fmt: skip
_interned: dict[tuple, device] = {}
_default: list[device] = []


class device:
    """A device, from ``"cpu"``, ``"cuda:1"`` or ``("cuda", 1)``. Equal devices are one object."""

    __slots__ = ("type", "index", "__weakref__")

    def __new__(cls, type: str | device | int = "cpu", index: int | None = None):
        if isinstance(type, device):
            return type
        if isinstance(type, int):
            type, index = "cuda", type
        if not isinstance(type, str):
            raise TypeError(f"device(): argument 'type' must be str, not {type.__class__.__name__}")
        if ":" in type:
            if index is not None:
                raise RuntimeError(
                    f"type (string) must not include an index because index was passed explicitly: {type}"
                )
            type, _, text = type.partition(":")
            if not text.isdigit():
                raise RuntimeError(f"Invalid device string: '{type}:{text}'")
            index = int(text)
        if type not in _TYPES:
            raise RuntimeError(
                f"Expected one of {', '.join(_TYPES)} device type at start of device string: {type or '(empty)'}"
            )
        if index is not None and index < 0:
            raise RuntimeError("Device index must not be negative")
        key = (type, index)
        self = _interned.get(key)
        if self is None:
            self = object.__new__(cls)
            object.__setattr__(self, "type", type)
            object.__setattr__(self, "index", index)
            _interned[key] = self
        return self

    def __setattr__(self, name, value):
        raise AttributeError(f"attribute '{name}' of 'torch.device' objects is not writable")

    def __repr__(self) -> str:
        return (
            f"device(type='{self.type}')"
            if self.index is None
            else f"device(type='{self.type}', index={self.index})"
        )

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __reduce__(self):
        return (device, (str(self),))

    def __copy__(self):
        return self

    def __deepcopy__(self, memo):
        return self

    def __enter__(self):
        _default.append(self)
        return self

    def __exit__(self, *exc):
        _default.pop()


def unavailable(where: device) -> Exception:
    """The error for a device that this build has no memory on."""
    if where.type == "cuda":
        return AssertionError("Torch not compiled with CUDA enabled")
    return RuntimeError(f"PyTorch is not linked with support for {where.type} devices")


cpu = device("cpu")
meta = device("meta")
_process_default = [cpu]


def default_device() -> device:
    """The device given to new tensors that name none."""
    return _default[-1] if _default else _process_default[0]


def set_default_device(value: device | str | None) -> None:
    _process_default[0] = cpu if value is None else device(value)
