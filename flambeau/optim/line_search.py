"""A line search with the strong Wolfe conditions (Nocedal and Wright, Numerical Optimization, chapter 3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from flambeau.tensor.tensor import Tensor


class Point(NamedTuple):
    """What is known at a distance along the direction: value, gradient, and slope along the direction."""

    distance: float
    value: float
    gradient: Tensor
    slope: Tensor


def interpolate(a: Point, b: Point, bounds: tuple[float, float] | None = None) -> float:
    """Where the cubic through two points with their slopes is least, within `bounds` (between them)."""
    low, high = bounds if bounds is not None else sorted((a.distance, b.distance))
    d1 = a.slope + b.slope - 3 * (a.value - b.value) / (a.distance - b.distance)
    square = d1**2 - a.slope * b.slope
    if square < 0:
        return (low + high) / 2.0
    d2 = square.sqrt()
    if a.distance <= b.distance:
        found = b.distance - (b.distance - a.distance) * ((b.slope + d2 - d1) / (b.slope - a.slope + 2 * d2))
    else:
        found = a.distance - (a.distance - b.distance) * ((a.slope + d2 - d1) / (a.slope - b.slope + 2 * d2))
    return min(max(found, low), high)


def strong_wolfe(
    at: Callable[[float], tuple[float, Tensor]],
    distance: float,
    direction: Tensor,
    value: float,
    gradient: Tensor,
    slope: Tensor,
    c1: float = 1e-4,
    c2: float = 0.9,
    tolerance: float = 1e-9,
    max_steps: int = 25,
) -> tuple[float, Tensor, float, int]:
    """A distance at which the value fell enough (`c1`) and the slope became flat enough (`c2`).

    Returns:
        Value, gradient and distance, and how often `at` was called.
    """
    scale = direction.abs().max()
    begin = Point(0, value, gradient.clone(), slope)

    def look(where: float) -> Point:
        found_value, found = at(where)
        return Point(where, found_value, found.clone(), found.dot(direction))

    def too_high(point: Point) -> bool:
        return point.value > value + c1 * point.distance * slope

    # First a bracket: two points between which there is a good one.
    former, point, calls, steps, done = begin, look(distance), 1, 0, False
    bracket: list[Point] = []
    while steps < max_steps:
        if too_high(point) or (steps > 1 and point.value >= former.value):
            bracket = [former, point]
            break
        if abs(point.slope) <= -c2 * slope:
            bracket, done = [point], True
            break
        if point.slope >= 0:
            bracket = [former, point]
            break
        nearest = point.distance + 0.01 * (point.distance - former.distance)
        where = interpolate(former, point, (nearest, point.distance * 10))
        former, point = point, look(where)
        calls += 1
        steps += 1
    if steps == max_steps:
        bracket = [begin, point]
    if not done:
        bracket, more = _narrow(bracket, look, too_high, slope, scale, c2, tolerance, max_steps - steps)
        calls += more
    best = bracket[0]
    return best.value, best.gradient, best.distance, calls


def _narrow(bracket, look, too_high, slope, scale, c2, tolerance, max_steps) -> tuple[list[Point], int]:
    """Shrinks a bracket until its lower point is good enough; that point comes first in the result."""
    low, high = (0, 1) if bracket[0].value <= bracket[-1].value else (1, 0)
    slow = False
    calls = 0
    while calls < max_steps:
        a, b = bracket
        width = abs(b.distance - a.distance)
        if width * scale < tolerance:
            break
        where = interpolate(a, b)
        # Too near an end twice, or outside: step away from it, so that the bracket keeps shrinking.
        least, greatest = min(a.distance, b.distance), max(a.distance, b.distance)
        margin = 0.1 * (greatest - least)
        if min(greatest - where, where - least) < margin:
            if slow or where >= greatest or where <= least:
                nearer_top = abs(where - greatest) < abs(where - least)
                where = greatest - margin if nearer_top else least + margin
                slow = False
            else:
                slow = True
        else:
            slow = False
        point = look(where)
        calls += 1
        if too_high(point) or point.value >= bracket[low].value:
            bracket[high] = point
            low, high = (0, 1) if bracket[0].value <= bracket[1].value else (1, 0)
        else:
            done = abs(point.slope) <= -c2 * slope
            if not done and point.slope * (bracket[high].distance - bracket[low].distance) >= 0:
                bracket[high] = bracket[low]
            bracket[low] = point
            if done:
                break
    return [bracket[low], bracket[high]], calls
