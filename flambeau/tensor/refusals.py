"""What a kernel's refusal means: error codes of kernels, worded with the value and its position."""

from __future__ import annotations

DIVISION_BY_ZERO = 1
INDEX_OUT_OF_RANGE = 2
TARGET_OUT_OF_RANGE = 3


def error_for(op, record: list[int]) -> Exception:
    """The exception for a kernel's error record (code, value, position or size)."""
    code, value, position = record
    if code == DIVISION_BY_ZERO:
        return RuntimeError("ZeroDivisionError")
    if code == INDEX_OUT_OF_RANGE:
        return IndexError(
            f"index {value} is out of bounds\n  at    position {position} of the index of {op.name}"
        )
    if code == TARGET_OUT_OF_RANGE:
        return IndexError(f"Target {value} is out of bounds.\n  at    position {position} of the target")
    return RuntimeError(f"{op.name}: kernel error {code} (value {value}, position {position})")
