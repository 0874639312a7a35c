"""Which Flambeau this is, and which PyTorch its public names follow."""

from __future__ import annotations

__version__ = "0.1.0"
#: the release of PyTorch whose names, defaults and error texts are followed
torch_version = "2.13.0"
debug = False
cuda: str | None = None
cudnn: str | None = None
hip: str | None = None
xpu: str | None = None
git_version = ""

__all__ = ["__version__", "cuda", "debug", "git_version", "hip", "torch_version", "xpu"]
