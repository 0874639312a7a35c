"""Calling rules: plain functions that receive exactly the values that they name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def argument_names(rule: Callable) -> tuple[str, ...]:
    code = rule.__code__
    return code.co_varnames[: code.co_argcount]


def call_rule(rule: Callable, values: dict) -> Any:
    """Call a rule with exactly the values that it names."""
    return rule(*[values[n] for n in argument_names(rule)])
