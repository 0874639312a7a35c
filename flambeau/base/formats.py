"""Memory formats and layouts as PyTorch names them."""

from __future__ import annotations


class _Named:
    __slots__ = ("name",)
    _made: dict = {}

    def __init__(self, name: str):
        self.name = name
        _Named._made[type(self).__name__, name] = self

    def __repr__(self) -> str:
        return f"torch.{self.name}"

    def __reduce__(self):
        return (_find, (type(self).__name__, self.name))

    def __copy__(self):
        return self

    def __deepcopy__(self, memo):
        return self


class memory_format(_Named):
    """Order of the dimensions in memory."""


class layout(_Named):
    """How a tensor's elements are stored; Flambeau's are strided."""


def _find(kind: str, name: str):
    return _Named._made[kind, name]


contiguous_format = memory_format("contiguous_format")
preserve_format = memory_format("preserve_format")
channels_last = memory_format("channels_last")
channels_last_3d = memory_format("channels_last_3d")
strided = layout("strided")
sparse_coo = layout("sparse_coo")
sparse_csr = layout("sparse_csr")
