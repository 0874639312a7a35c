"""Softmax over very many classes, with rare ones in clusters."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Sequence
from itertools import pairwise

import flambeau
from flambeau.nn import functional as F
from flambeau.tensor.tensor import Tensor

from .container import ModuleList, Sequential
from .linear import Linear
from .module import Module

__all__ = ["AdaptiveLogSoftmaxWithLoss"]

_ASMoutput = namedtuple("_ASMoutput", ["output", "loss"])


class AdaptiveLogSoftmaxWithLoss(Module):
    """Log-softmax in two steps: over frequent classes and clusters, then within a cluster.

    Args:
        cutoffs: where one cluster ends and the next begins; classes are ordered by falling frequency.
        div_value: by how much each further cluster's hidden size is smaller.
        head_bias: whether the first step has a bias.

    Source: Grave et al., Efficient softmax approximation for GPUs, arXiv:1609.04309.
    """

    def __init__(
        self,
        in_features: int,
        n_classes: int,
        cutoffs: Sequence[int],
        div_value: float = 4.0,
        head_bias: bool = False,
        device=None,
        dtype=None,
    ) -> None:
        super().__init__()
        cutoffs = list(cutoffs)
        if len(cutoffs) == 0:
            raise ValueError("cutoffs should be a sequence of length larger than 0")
        rising = all(a < b for a, b in pairwise(cutoffs))
        if (
            not rising
            or min(cutoffs) <= 0
            or max(cutoffs) > n_classes - 1
            or any(int(c) != c for c in cutoffs)
        ):
            raise ValueError(
                "cutoffs should be a sequence of unique, positive integers sorted in an increasing order, "
                "where each value is between 1 and n_classes-1"
            )
        self.in_features = in_features
        self.n_classes = n_classes
        self.cutoffs = [*cutoffs, n_classes]
        self.div_value = div_value
        self.head_bias = head_bias
        self.shortlist_size = self.cutoffs[0]
        self.n_clusters = len(self.cutoffs) - 1
        self.head_size = self.shortlist_size + self.n_clusters
        kind = {"device": device, "dtype": dtype}
        self.head = Linear(in_features, self.head_size, bias=head_bias, **kind)
        self.tail = ModuleList()
        for i in range(self.n_clusters):
            hidden = int(in_features // (div_value ** (i + 1)))
            size = self.cutoffs[i + 1] - self.cutoffs[i]
            self.tail.append(
                Sequential(
                    Linear(in_features, hidden, bias=False, **kind), Linear(hidden, size, bias=False, **kind)
                )
            )

    def reset_parameters(self) -> None:
        """Draws all weights anew."""
        self.head.reset_parameters()
        for pair in self.tail:
            for layer in pair.children():
                layer.reset_parameters()

    def forward(self, input_: Tensor, target_: Tensor) -> _ASMoutput:
        """The log-probability of each target, and the mean loss."""
        batched = target_.dim() > 0
        self._check(input_, target_, batched)
        inputs = input_ if batched else input_.unsqueeze(0)
        targets = target_ if batched else target_.unsqueeze(0)
        output = inputs.new_zeros(targets.size(0))
        column = targets.new_empty(targets.size(0))
        used = 0
        bounds = [0, *self.cutoffs]
        for i, (low, high) in enumerate(pairwise(bounds)):
            inside = (targets >= low) & (targets < high)
            rows = inside.nonzero().squeeze(-1)
            if rows.numel() == 0:
                continue
            used += rows.numel()
            if i == 0:
                column.index_copy_(0, rows, targets[inside])
                continue
            log_probability = F.log_softmax(self.tail[i - 1](inputs.index_select(0, rows)), dim=1)
            relative = targets[inside] - low
            local = log_probability.gather(1, relative.unsqueeze(1))
            column.index_fill_(0, rows, self.shortlist_size + i - 1)
            output.index_copy_(0, rows, local.squeeze(1))
        if used != targets.size(0):
            raise RuntimeError(
                f"Target values should be in [0, {self.n_classes - 1}], but values in range "
                f"[{targets.min().item()}, {targets.max().item()}] were found. "
            )
        head = F.log_softmax(self.head(inputs), dim=1)
        output = output + head.gather(1, column.unsqueeze(1)).squeeze()
        loss = (-output).mean()
        return _ASMoutput(output if batched else output.squeeze(0), loss)

    def _check(self, input: Tensor, target: Tensor, batched: bool) -> None:
        if batched:
            if input.size(0) != target.size(0):
                raise RuntimeError("Input and target should have the same size in the batch dimension.")
            if input.dim() != 2:
                raise RuntimeError(
                    "1D target tensor expects 2D input tensors, but found inputs with size", input.size()
                )
        elif input.dim() != 1:
            raise RuntimeError(
                "0D target tensor expects 1D input tensors, but found inputs with size", input.size()
            )
        if target.dim() > 1:
            raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")

    def _get_full_log_prob(self, input: Tensor, head_output: Tensor) -> Tensor:
        head = F.log_softmax(head_output, dim=1)
        parts = [head[:, : self.shortlist_size]]
        for i, tail in enumerate(self.tail):
            within = F.log_softmax(tail(input), dim=1)
            parts.append(within + head[:, self.shortlist_size + i].unsqueeze(1))
        return flambeau.cat(parts, dim=1)

    def log_prob(self, input: Tensor) -> Tensor:
        """The log-probabilities ``(N, n_classes)`` of all classes."""
        return self._get_full_log_prob(input, self.head(input))

    def predict(self, input: Tensor) -> Tensor:
        """The most likely class of each sample; skips the clusters where it can."""
        head = self.head(input)
        output = flambeau.argmax(head, dim=1)
        beyond = output >= self.shortlist_size
        if not bool(beyond.any()):
            return output
        if bool(beyond.all()):
            return flambeau.argmax(self._get_full_log_prob(input, head), dim=1)
        full = self._get_full_log_prob(input[beyond], head[beyond])
        output[beyond] = flambeau.argmax(full, dim=1)
        return output
