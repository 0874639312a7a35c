"""Anomaly mode, under PyTorch's module name."""

from __future__ import annotations

from ..tensor.grad_modes import detect_anomaly, set_detect_anomaly

__all__ = ["detect_anomaly", "set_detect_anomaly"]
