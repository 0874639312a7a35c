"""Trigonometric functions and their inverses.

Float32 arguments are multiplied by the binary digits of 1/(2 pi) in pieces so short that every product is
exact in float64; whole turns are dropped from each product at once (after Payne and Hanek, 1983). Float64
arguments below 2**45 lose a multiple of pi/2 in three parts under fma (Cody and Waite, 1980); larger ones go
the way of float32 with the digits that their exponent asks for.
"""

from __future__ import annotations

from .expr import Expr, bitcast, constant, convert, copysign, fabs, fma, roundeven, sqrt, where
from .math_parts import (
    INFINITY,
    NAN,
    bits_of,
    by_type,
    fast_two_sum,
    narrow,
    polynomial,
    power_of_two,
    round_scaled,
    through_f64,
    two_product,
    two_sum,
    widen,
)

# 1/(2 pi) as five pieces of 29 bits, whose products with a float32 are exact, and the rest
_TURN_PIECES = (
    0.15915494225919247, 8.327028684640414e-10, 5.69002511952534e-19, 6.317065083361892e-27,
    5.595982707708916e-36, 6.551007954373285e-45,
)  # fmt: skip
# the first 1272 binary digits of 1 / (2 pi) in words of 53
_TURN_WORDS = (
    0x0517CC1B727220, 0x1529FC2757D1F5, 0x069BB81B6C52B3, 0x04F10E4107F945, 0x11D5EF5DE2B0DB,
    0x1246E3A424DD2E, 0x000C925DD413A3, 0x04873F877AC72C, 0x094D39F74411AF, 0x152EBB4484E99C,
    0x0E04D68BEFC827, 0x064758E60D4CE7, 0x1A4E422FC5DEFC, 0x1283B1FF897FFD, 0x1C0B301FDE5E23,
    0x02D6829B47DB4D, 0x13F6793E584DBA, 0x0F463F669E5FEA, 0x05AEA4F758FD7C, 0x17C5ECF41CE7DE,
    0x0529497535FDAF, 0x1B11F8D5D08560, 0x06608DF8F6D757, 0x1C33EF0826BD0D,
)  # fmt: skip
_TWO_PI = (6.283185307179586, 2.4492935982947064e-16)
_PI = 3.141592653589793
_HALF_PI = (1.5707963267948966, 6.123233995736766e-17, -1.4973849048591698e-33)
# (sin(x) - x) / x**3 in x**2 for |x| <= pi/2: relative error of sin 2**-27 and 2**-35
_SIN_F32 = (-0.16666659545661164, 0.00833306611360812, -0.00019809592391663416, 2.605755677683402e-06)
_SIN_SHORT = (
    -0.1666666662611383, 0.00833333110703313, -0.00019840867997187358, 2.7525373146305596e-06,
    -2.3888704399253593e-08,
)  # fmt: skip
# the same for |x| <= pi/4, 2**-63; (cos(x) - 1 + x**2 / 2) / x**4, 2**-69
_SIN_F64 = (
    -0.16666666666666666, 0.008333333333333042, -0.00019841269840962475, 2.75573190739506e-06,
    -2.5052070898463022e-08, 1.6054305963079182e-10, -7.38905199820432e-13,
)  # fmt: skip
_COS_F64 = (
    0.041666666666666664, -0.0013888888888888389, 2.4801587301180902e-05, -2.755731906076773e-07,
    2.087672204040844e-09, -1.146686680985991e-11, 4.592975110274784e-14,
)  # fmt: skip


# (asin(x) - x) / x**3 in x**2 for |x| <= 1/2: 2**-60; (atan(x) - x) / x**3 for |x| <= tan(pi/8): 2**-59
_ASIN_F64 = (
    0.1666666666666676, 0.07499999999970867, 0.044642857174559056, 0.030381942709966574, 0.02237221493298496,
    0.01735161290414847, 0.013980810731449729, 0.01139898679120107, 0.01077986199873452, 0.003707796737190501,
    0.02170425651694171, -0.02099477957302301, 0.03262607427705814,
)  # fmt: skip
_ATAN_F64 = (
    -0.333333333333332, 0.19999999999953622, -0.14285714280192482, 0.11111110783103856, -0.0909089774589531,
    0.07692059997861614, -0.06663101613502143, 0.058478721275329056, -0.0503923036244512, 0.03806275638195886,
    -0.017905328366606046,
)  # fmt: skip


def _without_whole(turns: Expr) -> Expr:
    return turns - roundeven(turns)


def _reduce_f32(x: Expr, offset: float) -> tuple[Expr, Expr]:
    """(t, q): x / (2 pi) + offset / 2 = t + q / 2, |t| <= 1/4, for any finite float32 x; q is an integer."""
    wide = widen(x)
    products = [wide * c for c in _TURN_PIECES]
    parts = [_without_whole(p) for p in products[:-1]] + products[-1:]
    about = (parts[0] + parts[1]) + (parts[2] + (parts[3] + parts[4]))
    q, whole = round_scaled(about + offset * 0.5 if offset else about, 2.0)
    # from the largest part down every sum is exact until the result itself is rounded
    turns = fma(q, constant(-0.5, "f64"), constant(offset * 0.5, "f64"))
    for part in parts:
        turns = turns + part
    return turns, whole


def _sin_turns(turns: Expr, coefficients: tuple[float, ...]) -> Expr:
    """sin(2 pi turns) for |turns| <= 1/4."""
    r = turns * _TWO_PI[0]
    z = r * r
    return fma(r * z, polynomial(z, coefficients), r)


def _sin_or_cos_f32(x: Expr, offset: float) -> Expr:
    turns, whole = _reduce_f32(x, offset)
    bits = bits_of(_sin_turns(turns, _SIN_F32)) ^ (whole << 63)
    return narrow(bitcast(bits, "f64"))


def sin_f32(x: Expr) -> Expr:
    return where(x == 0.0, x, _sin_or_cos_f32(x, 0.0))


def cos_f32(x: Expr) -> Expr:
    return _sin_or_cos_f32(x, 0.5)


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
    """The same for |x| >= 2**45 with the five words of 1/(2 pi) that matter, picked by the exponent of x.

    Words before them give whole turns; words after them are below 2**-116 turns.
    """
    exponent = ((bits_of(x) >> 52) & 0x7FF) - 1023
    first = ((exponent - 52) * 1237) >> 16  # // 53 for 0 <= exponent - 52 <= 971
    first = where(first < 0, constant(0, "i64"), first)
    words = [constant(float(w), "f64") for w in _TURN_WORDS]
    for step, keep in ((16, 20), (8, 12), (4, 8), (2, 6), (1, 5)):
        moved = (first & step) != 0
        words = [
            where(moved, words[i + step], w) if i + step < len(words) else w
            for i, w in enumerate(words[:keep])
        ]
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


def tan_f32(x: Expr) -> Expr:
    turns, _ = _reduce_f32(x, 0.0)
    # the cosine is the sine of what is left to a quarter turn, which is exact
    value = narrow(_sin_turns(turns, _SIN_SHORT) / _sin_turns(0.25 - fabs(turns), _SIN_SHORT))
    return where(x == 0.0, x, value)


def tan_f64(x: Expr) -> Expr:
    r, low, q = _reduce_f64(x)
    sine, cosine = _sin_f64(r, low), _cos_f64(r, low)
    odd = q - roundeven(q * 0.5) * 2.0 != 0.0
    value = where(odd, -cosine, sine) / where(odd, sine, cosine)
    value = where(fabs(x) < INFINITY, value, constant(NAN, "f64"))
    return where(fabs(x) < 1e-300, x, value)


def sin_cos_pi(x: Expr) -> tuple[Expr, Expr]:
    """(sin(pi x), cos(pi x)) of a float64 x, exact at multiples of 1/2."""
    turns = x - roundeven(x * 0.5) * 2.0  # [-1, 1]
    q = roundeven(turns * 2.0)
    rest = fma(q, constant(-0.5, "f64"), turns)
    r, low = two_product(rest, constant(_PI, "f64"))
    low = fma(rest, constant(1.2246467991473532e-16, "f64"), low)
    sine, cosine = _sin_f64(r, low), _cos_f64(r, low)
    odd = fabs(q) == 1.0
    first, second = where(odd, cosine, sine), where(odd, -sine, cosine)
    turned = fabs(q) == 2.0
    first, second = where(turned, -first, first), where(turned, -second, second)
    negative = q == -1.0
    return where(negative, -first, first), where(negative, -second, second)


# -- inverses ------------------------------------------------------------------------------------------------


def _asin_parts(x: Expr) -> tuple[Expr, Expr, Expr, Expr]:
    """(big, s, low, tail): asin(|x|) = s + low + tail, or pi/2 - 2 (s + low + tail) where big (|x| > 1/2).

    There s + low = sqrt((1 - |x|) / 2).
    """
    size = fabs(x)
    big = size > 0.5
    z = where(big, 0.5 - size * 0.5, size * size)
    root = sqrt(z)
    # what sqrt rounded away; the divisor is 0 only where the remainder is
    low = fma(-root, root, z) / where(root > 0.0, root + root, constant(1.0, "f64"))
    s = where(big, root, size)
    low = where(big, low, constant(0.0, "f64"))
    return big, s, low, s * z * polynomial(z, _ASIN_F64)


def asin_f64(x: Expr) -> Expr:
    big, s, low, tail = _asin_parts(x)
    far = _HALF_PI[0] - (s + s)
    error = (_HALF_PI[0] - far) - (s + s)
    far = far + (error + (_HALF_PI[1] - (low + tail) * 2.0))
    return copysign(where(big, far, s + tail), x)


def acos_f64(x: Expr) -> Expr:
    big, s, low, tail = _asin_parts(x)
    negative = x < 0.0
    # pi/2 - asin(x); 2 asin(sqrt((1 - x) / 2)); pi - 2 asin(sqrt((1 + x) / 2))
    base = where(big, where(negative, constant(2.0, "f64"), constant(0.0, "f64")), constant(1.0, "f64"))
    factor = where(big, constant(2.0, "f64"), constant(1.0, "f64"))
    factor = where(big ^ negative, factor, -factor)
    return _from_base(base * _HALF_PI[0], base * _HALF_PI[1], factor * s, factor * (low + tail))


def _from_base(base: Expr, base_low: Expr, value: Expr, tail: Expr) -> Expr:
    """(base + base_low) + (value + tail) for |base| >= |value| or base == 0."""
    total, error = fast_two_sum(base, value)
    return total + (error + (base_low + tail))


def _angle(small: Expr, large: Expr) -> tuple[Expr, Expr, Expr]:
    """(middle, t, tail): atan(small / large), 0 <= small <= large, is t + tail, plus pi/4 where middle holds.

    There small / large > tan(pi/8), and t = (small - large) / (small + large).
    """
    middle = small > large * 0.41421356237309503
    top, top_low = two_sum(small, -large)
    bottom, bottom_low = two_sum(large, small)
    zero = constant(0.0, "f64")
    top, top_low = where(middle, top, small), where(middle, top_low, zero)
    bottom, bottom_low = where(middle, bottom, large), where(middle, bottom_low, zero)
    t = top / bottom
    low = (fma(-t, bottom, top) + fma(-t, bottom_low, top_low)) / bottom
    z = t * t
    return middle, t, fma(t * z, polynomial(z, _ATAN_F64), low)


def atan_f64(x: Expr) -> Expr:
    size = fabs(x)
    swap = size > 1.0
    one = constant(1.0, "f64")
    limited = where(size > 1e300, constant(1e300, "f64"), size)
    middle, t, tail = _angle(where(swap, one, limited), where(swap, limited, one))
    return copysign(_assemble(middle, swap, t, tail, None), x)


def _assemble(middle: Expr, swap: Expr, t: Expr, tail: Expr, left: Expr | None) -> Expr:
    """The angle from its part in the first octant; `left` where x < 0."""
    quarters = convert(middle, "f64")
    sign = where(swap, constant(-1.0, "f64"), constant(1.0, "f64"))
    quarters = where(swap, 2.0 - quarters, quarters)
    if left is not None:
        quarters = where(left, 4.0 - quarters, quarters)
        sign = where(left, -sign, sign)
    base, error = two_product(quarters, constant(_HALF_PI[0] * 0.5, "f64"))
    return _from_base(base, fma(quarters, constant(_HALF_PI[1] * 0.5, "f64"), error), sign * t, sign * tail)


def _limit_ratio(small: Expr, large: Expr) -> tuple[Expr, Expr]:
    """0 / 0 as 0 / 1 and inf / inf as 1 / 1."""
    zero, one = constant(0.0, "f64"), constant(1.0, "f64")
    infinite = large == INFINITY
    small = where(infinite, where(small == INFINITY, one, zero), small)
    return small, where(infinite | (large == 0.0), one, large)


def atan2_f64(y: Expr, x: Expr) -> Expr:
    a, b = fabs(y), fabs(x)
    swap = a > b
    small, large = _limit_ratio(where(swap, b, a), where(swap, a, b))
    factor = where(large > 1e300, constant(2.0**-100, "f64"), constant(1.0, "f64"))
    factor = where(large < 1e-200, constant(2.0**300, "f64"), factor)
    middle, t, tail = _angle(small * factor, large * factor)
    left = copysign(constant(1.0, "f64"), x) < 0.0
    value = copysign(_assemble(middle, swap, t, tail, left), y)
    return where((x != x) | (y != y), x + y, value)


RULES = {
    "sin": by_type(sin_f32, sin_f64),
    "cos": by_type(cos_f32, cos_f64),
    "tan": by_type(tan_f32, tan_f64),
    "asin": by_type(through_f64(asin_f64), asin_f64),
    "acos": by_type(through_f64(acos_f64), acos_f64),
    "atan": by_type(through_f64(atan_f64), atan_f64),
    "atan2": by_type(through_f64(atan2_f64), atan2_f64),
}
