"""Logs for TensorBoard: `SummaryWriter`. Needs the ``tensorboard`` package: ``pip install "flambeau[tensorboard]"``."""

from __future__ import annotations

from .writer import FileWriter, SummaryWriter

__all__ = ["FileWriter", "SummaryWriter"]
