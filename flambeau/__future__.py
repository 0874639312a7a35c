"""Switches for behaviour that PyTorch announces for later versions."""

from __future__ import annotations

_switches = {"overwrite": False, "swap": False}


def set_overwrite_module_params_on_conversion(value: bool) -> None:
    """Whether `Module.to` and its kin make new parameters instead of changing the data of the old ones."""
    _switches["overwrite"] = value


def get_overwrite_module_params_on_conversion() -> bool:
    """Whether `Module.to` and its kin make new parameters."""
    return _switches["overwrite"]


def set_swap_module_params_on_conversion(value: bool) -> None:
    """Accepted for PyTorch programs; parameters keep their identity either way."""
    _switches["swap"] = value


def get_swap_module_params_on_conversion() -> bool:
    """What `set_swap_module_params_on_conversion` was last given."""
    return _switches["swap"]
