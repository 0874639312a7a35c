"""DLPack under `torch.utils.dlpack`'s names."""

from __future__ import annotations

from flambeau.tensor.dlpack import from_dlpack, to_dlpack

__all__ = ["from_dlpack", "to_dlpack"]
