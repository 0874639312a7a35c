"""Tools around training: data loading, hooks."""

from . import data, hooks

__all__ = ["data", "hooks"]


def __getattr__(name: str):
    """Modules that are imported when they are first asked for."""
    if name in ("checkpoint", "dlpack"):
        from importlib import import_module

        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
