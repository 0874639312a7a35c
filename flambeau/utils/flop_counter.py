"""How many floating-point operations a program takes, by operator and by module."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from ..profiler.recorder import RECORDER

__all__ = ["FlopCounterMode"]


class FlopCounterMode:
    """Within it, the operations of matrix products, convolutions and attention are counted, forward and backward.

    display: print the table at the end. depth: how deep modules are listed.

    >>> import flambeau as torch
    >>> with FlopCounterMode(display=False) as counter:
    ...     y = torch.ones(2, 3) @ torch.ones(3, 4)
    >>> counter.get_total_flops()
    48
    """

    def __init__(
        self, mods: Any = None, depth: int = 2, display: bool = True, custom_mapping: dict | None = None
    ):
        self.depth, self.display = depth, display
        self.flop_counts: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))

    def __enter__(self):
        self.flop_counts.clear()
        RECORDER.start(flops=True, modules=True)
        return self

    def __exit__(self, *exc: Any) -> None:
        for record in RECORDER.stop():
            if record.flops and record.name.removeprefix("aten::") not in _LEFT_OUT:
                self.flop_counts["Global"][record.name] += record.flops
                path = record.modules.split(".") if record.modules else []
                for deep in range(1, len(path) + 1):
                    self.flop_counts[".".join(path[:deep])][record.name] += record.flops
        if self.display:
            print(self.get_table())

    def get_total_flops(self) -> int:
        """All operations."""
        return sum(self.flop_counts["Global"].values())

    def get_flop_counts(self) -> dict[str, dict[str, int]]:
        """Operations by module ("Global" for all) and operator."""
        return {module: dict(counts) for module, counts in self.flop_counts.items()}

    def get_table(self, depth: int | None = None) -> str:
        """The counts as text."""
        depth = self.depth if depth is None else depth
        total = max(self.get_total_flops(), 1)
        rows = [("Module", "FLOP", "% Total")]
        for module, counts in self.flop_counts.items():
            level = 0 if module == "Global" else module.count(".") + 1
            if level > depth:
                continue
            whole = sum(counts.values())
            rows.append(
                ("  " * level + module.rpartition(".")[2], f"{whole:,}", f"{100 * whole / total:.2f}%")
            )
            rows += [
                ("  " * level + " - " + n, f"{c:,}", f"{100 * c / total:.2f}%") for n, c in counts.items()
            ]
        widths = [max(len(row[k]) for row in rows) for k in range(3)]
        lines = [f"{a.ljust(widths[0])}  {b.rjust(widths[1])}  {c.rjust(widths[2])}" for a, b, c in rows]
        return "\n".join([lines[0], "  ".join("-" * w for w in widths), *lines[1:]])


#: PyTorch's counter leaves arithmetic of elements out
_LEFT_OUT = ("mul", "add", "sub", "div", "mul_", "add_", "sub_", "div_")
