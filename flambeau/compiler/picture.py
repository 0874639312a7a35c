"""The plans of a compiled function as a drawing: kernels in layers, an edge where one reads what another wrote."""

from __future__ import annotations

import html
from typing import Any

__all__ = ["page", "picture"]

CHARACTER, LINE, MARGIN, GAP = 6.7, 15, 10, 34  # widths and heights in pixels
WIDEST = 46  # characters of a line in a box
STYLE = (
    "text{font:11px ui-monospace,monospace;fill:#222}.t{font-weight:bold}.l{fill:#e8f1fb;stroke:#3b73b9}"
    ".p{fill:#f4f1ea;stroke:#a08a55}.f{fill:#eaf5e9;stroke:#5a9a55}path{fill:none;stroke:#888}.h{font:bold 13px sans-serif}"
)


def wrapped(text: str) -> list[str]:
    """Text in lines of at most WIDEST characters, broken at spaces."""
    lines = [""]
    for word in text.split(" "):
        if lines[-1] and len(lines[-1]) + 1 + len(word) > WIDEST:
            lines.append("")
        lines[-1] += (" " if lines[-1] else "") + word
    return [line[: WIDEST + 8] for line in lines]


def layers_of(kernels: list) -> list[list]:
    """Kernels by the longest path that leads to them, each layer ordered by where its inputs stand."""
    depth: dict[int, int] = {}
    layers: list[list] = []
    for kernel in kernels:
        depth[kernel.number] = at = 1 + max((depth[k] for k in kernel.inputs), default=-1)
        layers += [[] for _ in range(at + 1 - len(layers))]
        layers[at].append(kernel)
    place: dict[int, float] = {}
    for layer in layers:
        layer.sort(key=lambda k: sum(place[i] for i in k.inputs) / len(k.inputs) if k.inputs else 1e9)
        place.update({kernel.number: n - len(layer) / 2 for n, kernel in enumerate(layer)})
    return layers


def drawing(plan: Any) -> tuple[list[str], float, float]:
    """The elements of a plan's picture, its width and its height."""
    from .explain import kernel_line

    boxes: dict[int, tuple[float, float, float, float]] = {}
    shapes: list[str] = []
    layers, y, widest = layers_of(plan.kernels), 28.0, 300.0
    texts = {
        k.number: [
            *wrapped(f"[{k.number}] {k.title}"),
            *wrapped(k.fused)[: 3 * bool(k.fused)],
            kernel_line(k),
            *k.lines[:2],
        ]
        for k in plan.kernels
    }
    for layer in layers:
        x, tallest = float(MARGIN), 0.0
        for kernel in layer:
            text = texts[kernel.number]
            width, height = CHARACTER * max(map(len, text)) + 14, LINE * len(text) + 10
            boxes[kernel.number] = (x, y, width, height)
            reasons = "\n".join(f"not with [{n}]: {r}" for n, r in kernel.why_not.items())
            lines = "".join(
                f'<text class="{"t" if n == 0 else ""}" x="{x + 7:.0f}" y="{y + LINE * (n + 1):.0f}">{html.escape(line)}</text>'
                for n, line in enumerate(text)
            )
            kind = "l" if kernel.shape is not None else "f" if kernel.fused else "p"
            shapes.append(
                f'<g><title>{html.escape(reasons or kernel.title)}</title><rect class="{kind}" x="{x:.0f}" y="{y:.0f}" '
                f'width="{width:.0f}" height="{height:.0f}" rx="4"/>{lines}</g>'
            )
            x, tallest = x + width + GAP, max(tallest, height)
        y, widest = y + tallest + GAP, max(widest, x)
    edges = []
    for kernel in plan.kernels:
        x, top, width, _ = boxes[kernel.number]
        for k in kernel.inputs:
            left, above, other, height = boxes[k]
            a, b, c = left + other / 2, above + height, x + width / 2
            edges.append(
                f'<path d="M{a:.0f} {b:.0f}C{a:.0f} {b + GAP / 2:.0f} {c:.0f} {top - GAP / 2:.0f} {c:.0f} {top:.0f}"/>'
            )
    title = f'<text class="h" x="{MARGIN}" y="16">plan {plan.name}: {html.escape(plan.cause)}</text>'
    return [title, *edges, *shapes], widest, y


def picture(plans: list) -> str:
    """All plans, one below the other, as SVG."""
    parts, width, height = [], 300.0, 0.0
    for plan in plans:
        shapes, wide, tall = drawing(plan)
        parts.append(f'<g transform="translate(0 {height:.0f})">{"".join(shapes)}</g>')
        width, height = max(width, wide), height + tall
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{max(height, 20):.0f}">'
        f"<style>{STYLE}</style>{''.join(parts)}</svg>"
    )


def page(explanation: Any) -> str:
    """Picture and text as a fragment of HTML."""
    return f"<div style='overflow:auto'>{picture(explanation.plans)}</div>\n<pre>{html.escape(str(explanation))}</pre>\n"
