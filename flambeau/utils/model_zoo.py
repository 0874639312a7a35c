"""The old place of `torch.hub.load_state_dict_from_url`."""

from __future__ import annotations

from typing import Any

__all__ = ["load_url"]


def load_url(*args: Any, **kwargs: Any) -> Any:
    """`torch.hub.load_state_dict_from_url`."""
    from ..hub import load_state_dict_from_url

    return load_state_dict_from_url(*args, **kwargs)


def tqdm(*args: Any, **kwargs: Any) -> Any:
    """A progress bar of the tqdm package (an extra)."""
    from tqdm import tqdm as bar

    return bar(*args, **kwargs)
