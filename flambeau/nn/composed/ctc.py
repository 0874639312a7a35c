"""Connectionist temporal classification. Source: Graves et al., ICML 2006."""

from __future__ import annotations

from typing import Any

import flambeau
from flambeau.base.errors import require
from flambeau.tensor.tensor import Tensor


def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Tensor | list[int],
    target_lengths: Tensor | list[int],
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """Minus the log-probability of each labelling, summed over all its alignments with the input.

    Args:
        log_probs: ``(T, N, C)`` or ``(T, C)``, from `log_softmax`; the gradient is the one with respect to
            its input.
        targets: ``(N, S)``, or all labels one after the other.
        blank: the label that stands for nothing.
        zero_infinity: infinite losses (a target longer than its input) count as zero.
    """
    batched = log_probs.dim() == 3
    if not batched:
        log_probs = log_probs.unsqueeze(1)
    batch = log_probs.shape[1]
    lengths = _as_list(input_lengths)
    counts = _as_list(target_lengths)
    _check(log_probs, lengths, counts, blank)
    labels = _padded(targets, counts, blank, batch)
    loss: Any = _losses(log_probs, labels, lengths, counts, blank)
    loss = loss + _slope_of_softmax(log_probs, lengths)
    if zero_infinity:
        loss = flambeau.where(loss.detach() == float("inf"), flambeau.zeros_like(loss), loss)
    if reduction == "mean":
        divisors = flambeau.tensor([max(1, n) for n in counts], dtype=loss.dtype, device=loss.device)
        return (loss / divisors).mean()
    if reduction == "sum":
        return loss.sum()
    require(reduction == "none", f"{reduction} is not a valid value for reduction", ValueError)
    return loss if batched else loss.squeeze(0)


def _as_list(lengths: Any) -> list[int]:
    if isinstance(lengths, Tensor):
        if lengths.is_floating_point():
            raise RuntimeError("input_lengths and target_lengths must be integral")
        lengths = lengths.reshape(-1).tolist()
    return [int(n) for n in lengths] if isinstance(lengths, (list, tuple)) else [int(lengths)]


def _check(log_probs: Tensor, lengths: list[int], counts: list[int], blank: int) -> None:
    time, batch, classes = log_probs.shape
    require(0 <= blank < classes, "blank must be in label range")
    require(len(lengths) == batch, "input_lengths must be of size batch_size")
    require(len(counts) == batch, "target_lengths must be of size batch_size")
    for n in lengths:
        require(n >= 0, f"Expected input_lengths to have value at least 0, but got value {n}")
        require(
            n <= time,
            f"Expected input_lengths to have value at most {time}, but got value {n} (while checking arguments "
            "for ctc_loss_allocate_outputs)",
        )
    for n in counts:
        require(n >= 0, f"Expected target_lengths to have value at least 0, but got value {n}")


def _padded(targets: Tensor, counts: list[int], blank: int, batch: int) -> Tensor:
    """The labels as ``(N, S)``, padded with blanks."""
    targets = targets.to(flambeau.int64)
    longest = max(counts, default=0)
    if targets.dim() == 2:
        require(
            targets.shape[0] == batch and targets.shape[1] >= longest,
            f"Expected tensor to have size at least {longest} at dimension 1, but got size "
            f"{targets.shape[-1]}",
        )
        return targets[:, :longest]
    rows = []
    start = 0
    for n in counts:
        row = targets[start : start + n]
        rows.append(flambeau.cat([row, row.new_full((longest - n,), blank)]))
        start += n
    require(
        targets.shape[0] == start, f"Expected targets to have {start} elements, but got {targets.shape[0]}"
    )
    return flambeau.stack(rows)


def _losses(log_probs: Tensor, labels: Tensor, lengths: list[int], counts: list[int], blank: int) -> Tensor:
    """The forward recursion over time, on labels with a blank before, between and behind them."""
    time, batch, _ = log_probs.shape
    states = 2 * labels.shape[1] + 1
    extended = labels.new_full((batch, states), blank)
    if labels.shape[1]:
        extended[:, 1::2] = labels
    scores = log_probs.gather(2, extended.unsqueeze(0).expand(time, -1, -1))  # (T, N, states)
    # Stands for -inf, which would make gradients nan.
    low = {flambeau.float64: -1e300, flambeau.float16: -3e4}.get(scores.dtype, -1e37)
    skip = flambeau.zeros((batch, states), dtype=flambeau.bool, device=labels.device)
    if states > 2:
        skip[:, 2:] = (extended[:, 2:] != blank) & (extended[:, 2:] != extended[:, :-2])
    place = flambeau.arange(states, device=labels.device)
    first: Any = flambeau.where(place < 2, scores[0], scores.new_full((), low)) if time else None
    length = flambeau.tensor(lengths, device=labels.device)
    column = scores.new_full((batch, 1), low)
    alpha: Any = first
    for t in range(1, time):
        one = flambeau.cat([column, alpha[:, :-1]], 1)
        two = flambeau.cat([column, column, alpha[:, :-2]], 1)[:, :states]
        two = flambeau.where(skip, two, scores.new_full((), low))
        moved = flambeau.logsumexp(flambeau.stack([alpha, one, two]), 0) + scores[t]
        alpha = flambeau.where((length > t).unsqueeze(1), moved, alpha)
    return _ends(alpha, scores, lengths, counts, low)


def _ends(alpha: Any, scores: Tensor, lengths: list[int], counts: list[int], low: float) -> Tensor:
    """Minus the score of ending in the last label or in the blank behind it."""
    batch = scores.shape[1]
    infinite = scores.new_full((), float("inf"))
    none = scores.new_zeros(())
    losses = []
    for n in range(batch):
        if lengths[n] == 0:
            losses.append(none if counts[n] == 0 else infinite)
            continue
        last = 2 * counts[n]
        ends = alpha[n, max(0, last - 1) : last + 1]
        total = flambeau.logsumexp(ends, 0)
        losses.append(flambeau.where(total.detach() > low / 2, -total, infinite))
    return flambeau.stack(losses)


def _slope_of_softmax(log_probs: Tensor, lengths: list[int]) -> Tensor:
    """Zero, with the derivative that the normalisation of `log_probs` adds to that of the loss."""
    time = flambeau.arange(log_probs.shape[0], device=log_probs.device).view(-1, 1)
    used = time < flambeau.tensor(lengths, device=log_probs.device)
    mass = (log_probs.exp().sum(2) * used).sum(0)
    return mass - mass.detach()
