"""Trigonometric functions and their inverses.

Arguments are reduced to |r| <= pi/4 or pi/2. Below 2**45 the multiple of pi/2 is subtracted in three parts, each
exact under fma (Cody and Waite, 1980). Beyond, x is multiplied by the leading binary digits of 1/(2 pi) in pieces so
short that every product is exact; whole turns are dropped from each product at once (after Payne and Hanek, 1983).
"""

from __future__ import annotations

from .expr import Expr, constant, fabs, fma, roundeven, where
from .math_parts import (
    INFINITY,
    NAN,
    bits_of,
    by_type,
    narrow,
    polynomial,
    power_of_two,
    round_scaled,
    two_product,
    two_sum,
    widen,
)

_TURN_PIECES = (
    0.15915494039654732, 2.6953480142255515e-09, 4.038449450981451e-18, 1.9241762118391763e-26,
    4.1707168783816406e-35, 3.8770419007437455e-43, 1.7634897189248905e-52,
)  # fmt: skip
# the first 1272 binary digits of 1 / (2 pi) in words of 53
_TURN_WORDS = (
    0x0517CC1B727220, 0x1529FC2757D1F5, 0x069BB81B6C52B3, 0x04F10E4107F945, 0x11D5EF5DE2B0DB, 0x1246E3A424DD2E,
    0x000C925DD413A3, 0x04873F877AC72C, 0x094D39F74411AF, 0x152EBB4484E99C, 0x0E04D68BEFC827, 0x064758E60D4CE7,
    0x1A4E422FC5DEFC, 0x1283B1FF897FFD, 0x1C0B301FDE5E23, 0x02D6829B47DB4D, 0x13F6793E584DBA, 0x0F463F669E5FEA,
    0x05AEA4F758FD7C, 0x17C5ECF41CE7DE, 0x0529497535FDAF, 0x1B11F8D5D08560, 0x06608DF8F6D757, 0x1C33EF0826BD0D,
)  # fmt: skip
_TWO_PI = (6.283185307179586, 2.4492935982947064e-16)
_PI = 3.141592653589793
_HALF_PI = (1.5707963267948966, 6.123233995736766e-17, -1.4973849048591698e-33)
# (sin(x) - x) / x**3 in x**2 for |x| <= pi/2: relative error of sin 2**-35
_SIN_SHORT = (
    -0.1666666662611383, 0.00833333110703313, -0.00019840867997187358, 2.7525373146305596e-06, -2.3888704399253593e-08,
)  # fmt: skip
# the same for |x| <= pi/4, 2**-63; (cos(x) - 1 + x**2 / 2) / x**4, 2**-69
_SIN_F64 = (
    -0.16666666666666666, 0.008333333333333042, -0.00019841269840962475, 2.75573190739506e-06, -2.5052070898463022e-08,
    1.6054305963079182e-10, -7.38905199820432e-13,
)  # fmt: skip
_COS_F64 = (
    0.041666666666666664, -0.0013888888888888389, 2.4801587301180902e-05, -2.755731906076773e-07,
    2.087672204040844e-09, -1.146686680985991e-11, 4.592975110274784e-14,
)  # fmt: skip


def _without_whole(turns: Expr) -> Expr:
    return turns - roundeven(turns)


def half_turns_f32(x: Expr, offset: float) -> tuple[Expr, Expr]:
    """(h, q): x / pi + offset = q + h with |h| <= 1/2, for any finite float32 x; h in float64, q whole (mod 2)."""
    wide = widen(x) * 2.0
    pieces = [wide * c for c in _TURN_PIECES]
    # the last two products are below one turn by themselves
    parts = [p - roundeven(p * 0.5) * 2.0 for p in pieces[:5]] + pieces[5:]
    about = (parts[0] + parts[1]) + (parts[2] + (parts[3] + parts[4]))
    q = roundeven(about + offset)
    # from the largest part down every sum is exact until the result itself is rounded
    h = offset - q
    for part in parts:
        h = h + part
    return h, q


def _sin_half_turns(h: Expr, q: Expr) -> Expr:
    """(-1)**q * sin(pi * h) as float32."""
    r = h * _PI
    z = r * r
    value = fma(r * z, polynomial(z, _SIN_SHORT), r)
    odd = q - roundeven(q * 0.5) * 2.0
    return narrow(where(odd == 0.0, value, -value))


def sin_f32(x: Expr) -> Expr:
    value = _sin_half_turns(*half_turns_f32(x, 0.0))
    return where(x == 0.0, x, value)


def cos_f32(x: Expr) -> Expr:
    return _sin_half_turns(*half_turns_f32(x, 0.5))


def _reduce_f64(x: Expr) -> tuple[Expr, Expr, Expr]:
    """(r, low, q): x = (r + low) + q pi/2 with |r| <= pi/4; q is a whole number (mod 4)."""
    q, _ = round_scaled(where(fabs(x) < 3.5e13, x, constant(0.0, "f64")), 0.6366197723675814)
    high = fma(q, constant(-_HALF_PI[0], "f64"), x)
    product, error = two_product(q, constant(_HALF_PI[1], "f64"))
    r, low = two_sum(high, -product)
    low = fma(q, constant(-_HALF_PI[2], "f64"), low - error)
    large = fabs(x) >= 3.5e13
    large_r, large_low, large_q = _reduce_large(x)
    return where(large, large_r, r), where(large, large_low, low), where(large, large_q, q)


def _reduce_large(x: Expr) -> tuple[Expr, Expr, Expr]:
    """The same for |x| >= 2**45: five words of 1/(2 pi), picked by the exponent of x, hold all bits that matter.

    Words before them give whole turns; words after them are below 2**-116 turns.
    """
    exponent = ((bits_of(x) >> 52) & 0x7FF) - 1023
    first = ((exponent - 52) * 1237) >> 16  # // 53 for 0 <= exponent - 52 <= 971
    first = where(first < 0, constant(0, "i64"), first)
    words = [constant(float(w), "f64") for w in _TURN_WORDS]
    for step, keep in ((16, 20), (8, 12), (4, 8), (2, 6), (1, 5)):
        moved = (first & step) != 0
        words = [where(moved, words[i + step], w) if i + step < len(words) else w for i, w in enumerate(words[:keep])]
    # x * 2**(-53 * first) in two steps that stay in range
    shift = first * 53
    half = shift >> 1
    near = x * power_of_two(-half, "f64") * power_of_two(half - shift, "f64")
    parts = []
    for i, word in enumerate(words):
        product, error = two_product(near * 2.0 ** (-53 * (i + 1)), word)
        parts += [_without_whole(product), _without_whole(error)] if i < 2 else [product, error]
    parts.pop()
    about = parts[0] + parts[1] + parts[2] + parts[3] + parts[4]
    q = roundeven(about * 4.0)
    h = q * -0.25
    for part in parts:
        h = h + part
    r, error = two_product(h, constant(_TWO_PI[0], "f64"))
    return r, fma(h, constant(_TWO_PI[1], "f64"), error), q


def _sin_f64(r: Expr, low: Expr) -> Expr:
    """sin(r + low) for |r| <= pi/4."""
    z = r * r
    cubic = z * r
    tail = fma(cubic, polynomial(z, _SIN_F64), low - low * z * 0.5)
    return r + tail


def _cos_f64(r: Expr, low: Expr) -> Expr:
    """cos(r + low) for |r| <= pi/4."""
    z = r * r
    half = z * 0.5
    top = 1.0 - half
    tail = fma(z * z, polynomial(z, _COS_F64), -r * low)
    return top + (((1.0 - top) - half) + tail)


def _quadrant(x: Expr, offset: float) -> Expr:
    """sin(x + offset * pi/2)."""
    r, low, q = _reduce_f64(x)
    quarter = q + offset
    quarter = quarter - roundeven(quarter * 0.25) * 4.0  # -2, -1, 0, 1 or 2
    value = where(fabs(quarter) == 1.0, _cos_f64(r, low), _sin_f64(r, low))
    return where((quarter == -1.0) | (fabs(quarter) == 2.0), -value, value)


def sin_f64(x: Expr) -> Expr:
    value = where(fabs(x) < INFINITY, _quadrant(x, 0.0), constant(NAN, "f64"))
    return where(fabs(x) < 1e-300, x, value)


def cos_f64(x: Expr) -> Expr:
    return where(fabs(x) < INFINITY, _quadrant(x, 1.0), constant(NAN, "f64"))


RULES = {
    "sin": by_type(sin_f32, sin_f64),
    "cos": by_type(cos_f32, cos_f64),
}
