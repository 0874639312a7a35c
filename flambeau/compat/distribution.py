"""What `importlib.metadata` says of ``torch`` while Flambeau stands in its place."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import Distribution
from pathlib import Path
from typing import Any

import flambeau

__all__ = ["distributions"]


class _Torch(Distribution):
    """The metadata of a package that provides `torch`."""

    def read_text(self, filename: str) -> str | None:
        """The one file of metadata that there is, and the list of what can be imported."""
        if filename == "METADATA":
            return (
                f"Metadata-Version: 2.1\nName: torch\nVersion: {flambeau.__version__}\n"
                "Summary: Flambeau under the name of torch\n"
            )
        return "torch\n" if filename == "top_level.txt" else None

    def locate_file(self, path: Any) -> Path:
        """Where a file of the package would be."""
        return Path(flambeau.__file__).parent.parent / path


def distributions(context: Any) -> Iterator[Distribution]:
    """The distribution, where `context` asks for it by name or for all."""
    name = getattr(context, "name", None)
    if name is None or name.lower() == "torch":
        yield _Torch()
