"""Says which part of the samples cannot be joined to a batch, and what to do. Runs only after joining has failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["explain_ragged"]

_FIX = "pad, crop or resize in the dataset; or pass a collate_fn that pads (nn.utils.rnn.pad_sequence) or keeps a list"


def explain_ragged(batch: Any, error: BaseException) -> None:
    """Add to an error of joining which field of the samples differs, with which sizes; nothing where none does."""
    try:
        found = _ragged(list(batch), "")
    except Exception:  # the samples are stranger than that: the error alone must do
        return
    if found is None:
        return
    path, sizes = found
    where = f"sample{path}" if path else "the samples themselves"
    for line in (f"  in    default_collate: {where}", f"  got   {sizes}", f"  fix   {_FIX}"):
        if line not in getattr(error, "__notes__", ()):
            error.add_note(line)


def _ragged(batch: list, path: str) -> tuple[str, str] | None:
    """Path and sizes of the first field that differs between samples."""
    example = batch[0]
    if hasattr(example, "shape") and hasattr(example, "dtype"):
        shapes = [tuple(getattr(value, "shape", ())) for value in batch]
        return _differing(path, shapes, "shape") if len(set(shapes)) > 1 else None
    if isinstance(example, Mapping):
        for key in example:
            without = [index for index, sample in enumerate(batch) if key not in sample]
            if without:
                return path, f"no key {key!r} in {_entries(without)} of the batch, which entry 0 has"
            found = _ragged([sample[key] for sample in batch], f"{path}[{key!r}]")
            if found:
                return found
        return None
    if isinstance(example, Sequence) and not isinstance(example, (str, bytes)):
        lengths = [len(sample) for sample in batch]
        if len(set(lengths)) > 1:
            return _differing(path, lengths, "length")
        names = getattr(example, "_fields", None)
        for index, values in enumerate(zip(*batch)):
            found = _ragged(list(values), f"{path}.{names[index]}" if names else f"{path}[{index}]")
            if found:
                return found
    return None


def _differing(path: str, sizes: list, what: str) -> tuple[str, str]:
    """The sizes by how often they occur, with the first entry that has each."""
    counted = Counter(sizes)
    shown = []
    for size, count in counted.most_common(4):
        text = list(size) if isinstance(size, tuple) else size
        shown.append(
            f"{text} in {_entries([i for i, other in enumerate(sizes) if other == size][:3], count)}"
        )
    more = f"; and {len(counted) - 4} others" if len(counted) > 4 else ""
    return path, f"{what} {'; '.join(shown)}{more}"


def _entries(places: list[int], count: int | None = None) -> str:
    count = len(places) if count is None else count
    listed = ", ".join(map(str, places[:3])) + (", ..." if count > 3 else "")
    return f"entr{'y' if count == 1 else 'ies'} {listed}"
