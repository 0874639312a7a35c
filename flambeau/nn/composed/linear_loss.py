"""A linear layer and its cross entropy in one function."""

from __future__ import annotations

from typing import Any

from flambeau.nn import functional as F
from flambeau.tensor.tensor import Tensor
