"""The error function and its relatives."""

from __future__ import annotations

import math

from .expr import Expr, constant, convert, copysign, fabs, fma, sqrt, where
from .math_exp_log import exp_double, exp_f64, log1p_core, log_core, power_of_two_f32
from .math_parts import (
    INFINITY,
    NAN,
    by_type,
    narrow,
    polynomial,
    round_scaled,
    scale,
    split_exponent,
    through_f64,
    two_product,
    widen,
)

# erf(x) / x - 1 in x**2 for |x| <= 1: relative error of erf 2**-29
_ERF_F32 = (
    0.128379166,
    -0.37612626,
    0.112835787,
    -0.0268533472,
    0.0051871622,
    -0.00079978531,
    7.80690316e-05,
)
# log2(erfc(x) / erfc(1)) in x - 1 for 1 <= x <= 4: absolute error of erfc 2**-29
_ERFC_1 = 0.157299206
_ERFC_F32 = (
    3.30230265e-09,
    -3.80722427,
    -1.21636331,
    -0.0598718375,
    0.0142720127,
    -0.00263944361,
    0.000269648386,
)

_ERF_F64 = (
    0.12837916709551256, -0.37612638903183343, 0.11283791670936949, -0.02686617064195252,
    0.005223977596551718, -0.0008548325468025704, 0.00012055279722667136, -1.4924445559983987e-05,
    1.644383930133683e-06, -1.618113413935333e-07, 1.3602365030397708e-08, -7.577508217185182e-10,
)  # fmt: skip
# (1 + 2 x) exp(x**2) erfc(x) in t = (x - 4) / (x + 4) for 0.4 <= x <= 27.4: 2**-54.5 (the form is Shepherd
# and Laframboise's, 1981)
_ERFC_F64 = (
    1.2329951186255526, -0.1396211168405625, 0.015379652102620009, 0.06809705425469166, -0.10103906603632251,
    0.09373283499839104, -0.06633036581172735, 0.03716751553674505, -0.016197734064650054,
    0.005031969984769094, -0.0007577732324075129, -0.00019925672871375208, 0.00015062138890769897,
    -2.4399124550731167e-05, -1.1221095310392137e-05, 5.709651287003536e-06, 2.918707008923821e-07,
    -8.256036190155304e-07, 7.712086278565934e-08, 1.1065619620181327e-07, -1.9722709603681295e-08,
    -1.4779277755295096e-08, 2.4064748331849784e-09, 1.546553026811531e-09,
)  # fmt: skip
# erfinv(x) / x in w = -log(1 - x**2) (after Giles, 2011): w < 6.25 in w - 3.125, w < 16 in sqrt(w) - 3.25,
# then in sqrt(w) - 5; 2**-54, 2**-53, 2**-52
_ERFINV_NEAR = (
    1.6536545626831027, 0.24015818242558826, -0.006033670871427754, -0.0007407025341539551,
    0.0001867342080242561, -1.3882523395791226e-05, -1.3654691844346873e-06, 4.2347881907736914e-07,
    -2.9070382774819925e-08, -4.112661977676854e-09, 1.0512183983358802e-09, -5.414239001184872e-11,
    -1.2976958251160544e-11, 2.6303545886478006e-12, -8.117009371944526e-14, -3.998978231885478e-14,
    6.5947008462906296e-15, -4.286504974982737e-17, -1.3003913754862708e-16, 1.575973040769171e-17,
    1.1444145715492977e-18, -3.575476004372754e-19, -1.0091402496712178e-21, 3.375704562684374e-21,
)  # fmt: skip
_ERFINV_MIDDLE = (
    3.0838856104922208, 1.0052589676941657, 0.005370914553570906, -0.00375120850826286, 0.002491442097018398,
    -0.0016882755342540862, 0.0009532893630747506, -0.000355037830799644, 2.4031263133396332e-05,
    6.828724860689972e-05, -4.731901556406504e-05, 1.2464433915039218e-05, 2.9258241176789746e-06,
    -3.984079251967915e-06, 1.498546061891745e-06, -3.026291005419346e-08, -2.711866569675678e-07,
    1.339397487525794e-07, 6.342904077115328e-10, -1.6186534942506324e-08,
)  # fmt: skip
_ERFINV_FAR = (
    4.849906401408584, 1.010300464864542, -0.0001387193183352801, -0.0002150301196586153,
    7.599527702807323e-05, -1.968177313228779e-05, 4.526062450100528e-06, -9.930139141648643e-07,
    2.2900607372973017e-07, -6.760785783462514e-08, 2.9143831168487508e-08, -1.515789933893259e-08,
    7.622261309047817e-09, -3.5749074471821514e-09, 1.5026179928744136e-09, -3.791687715793256e-10,
    -2.561172654002319e-11, 2.934194319230505e-11,
)  # fmt: skip


def erf_f32(x: Expr) -> Expr:
    """An odd polynomial up to 1, then 1 - erfc(1) * 2**p(|x| - 1)."""
    size = fabs(x)
    near = fma(x, polynomial(x * x, _ERF_F32), x)
    bounded = where(size > 4.0, constant(4.0, "f32"), size)
    log2_ratio = polynomial(bounded - 1.0, _ERFC_F32)
    n, whole = round_scaled(log2_ratio, 1.0)
    far = fma(power_of_two_f32(log2_ratio - n, whole), constant(-_ERFC_1, "f32"), constant(1.0, "f32"))
    return where(size >= 1.0, copysign(far, x), near)


def erfc_tail_f64(x: Expr) -> Expr:
    """erfc(x) for x >= 0.4."""
    bounded = where(x > 27.4, constant(27.4, "f64"), x)
    t = (bounded - 4.0) / (bounded + 4.0)
    square, error = two_product(bounded, bounded)
    value = polynomial(t, _ERFC_F64) / fma(bounded, constant(2.0, "f64"), constant(1.0, "f64"))
    return exp_double(-square, -error) * value


def erf_near_f64(x: Expr) -> Expr:
    """erf(x) for |x| <= 1."""
    return fma(x, polynomial(x * x, _ERF_F64), x)


def erf_f64(x: Expr) -> Expr:
    size = fabs(x)
    return where(size >= 1.0, copysign(1.0 - erfc_tail_f64(size), x), erf_near_f64(x))


def erfc_f64(x: Expr) -> Expr:
    size = fabs(x)
    tail = erfc_tail_f64(size)
    return where(size >= 0.5, where(x < 0.0, 2.0 - tail, tail), 1.0 - erf_near_f64(x))


def _erfinv(x: Expr, regions: int) -> Expr:
    """One polynomial whose coefficients depend on the region of w; x is float64."""
    size = fabs(x)
    w = -log1p_core(-size * size)
    # near 1 the square would round: 1 - x**2 = (1 - |x|) (1 + |x|), the first factor exact
    gap = where(size < 1.0, 1.0 - size, constant(0.5, "f64")) * (size + 1.0)
    m, k = split_exponent(gap)
    w = where(size > 0.5, -log_core(m - 1.0, convert(k, "f64")), w)
    root = sqrt(where(w > 0.0, w, constant(0.0, "f64")))
    near, far = w < 6.25, w >= 16.0
    t = where(
        near,
        w - 3.125,
        root - (3.25 if regions == 2 else where(far, constant(5.0, "f64"), constant(3.25, "f64"))),
    )
    value = constant(0.0, "f64")
    for i in reversed(range(len(_ERFINV_NEAR))):
        c = constant(_ERFINV_MIDDLE[i] if i < len(_ERFINV_MIDDLE) else 0.0, "f64")
        if regions == 3:
            c = where(far, constant(_ERFINV_FAR[i] if i < len(_ERFINV_FAR) else 0.0, "f64"), c)
        value = fma(value, t, where(near, constant(_ERFINV_NEAR[i], "f64"), c))
    edge = where(size == 1.0, copysign(constant(INFINITY, "f64"), x), constant(NAN, "f64"))
    return where(size < 1.0, x * value, edge)


def erfinv_f32(x: Expr) -> Expr:
    """The largest float32 below 1 has w = 15.94, so the third region is not needed."""
    return narrow(_erfinv(widen(x), 2))


def erfinv_f64(x: Expr) -> Expr:
    return _erfinv(x, 3)


# erf(x / sqrt(2)) / x as a ratio of polynomials in x**2 for |x| < 5.5, by weighted least squares: absolute error of erf
# 1.9e-8, less than float32 resolves beside 1
_AREA_TOP = (
    0.7978844436601096, 0.06874866523465124, 0.009414240509444644, 0.0003476558753617037, 1.2711923377877207e-05,
    4.428850531686357e-08,
)  # fmt: skip
_AREA_BOTTOM = (
    1.0, 0.2528293907731323, 0.028938992607100148, 0.0019128535070483657, 7.509235600234627e-05, 1.1801378042856772e-06,
)  # fmt: skip


def normal_cdf_f32(x: Expr) -> Expr:
    """(1 + erf(x / sqrt(2))) / 2 in float32, to the accuracy that it has beside 1: half the steps of erf."""
    square = x * x
    ratio = x * polynomial(square, _AREA_TOP) / polynomial(square, _AREA_BOTTOM)
    return (where(fabs(x) >= 5.5, copysign(constant(1.0, "f32"), x), ratio) + 1.0) * 0.5


def normal_cdf_f64(x: Expr) -> Expr:
    return (erf_f64(x * math.sqrt(0.5)) + 1.0) * 0.5


# 2**r / sqrt(2 pi) on |r| <= 1/2: relative error 2**-29
_DENSITY = (
    0.3989422917366028, 0.27652573585510254, 0.09583649784326553, 0.02214260771870613, 0.0038372220005840063,
    0.000534580962266773, 6.122083868831396e-05,
)  # fmt: skip
# Mills' ratio Phi(-a) / density(a) for a >= 0 as a polynomial without constant term in t = 1 / (1 + STEP a): times the
# density, its absolute error is 4e-9
_MILLS_STEP = 0.27589869499206543
_MILLS = (
    0.29488226771354675, 0.1159769669175148, 0.8104222416877747, -0.7909824252128601, 1.1077473163604736,
    -0.28473231196403503,
)  # fmt: skip


def gelu_slope_f32(x: Expr) -> Expr:
    """Phi(x) + x density(x), the slope of x Phi(x): one exponential serves both terms."""
    size = fabs(x)
    size = where(size > 15.0, constant(15.0, "f32"), size)
    square = size * size
    half_log2_e = 0.5 * math.log2(math.e)
    n, whole = round_scaled(square, -half_log2_e)
    density = scale(polynomial(fma(square, constant(-half_log2_e, "f32"), -n), _DENSITY), whole)
    t = 1.0 / fma(size, constant(_MILLS_STEP, "f32"), constant(1.0, "f32"))
    below = density * fma(t, polynomial(t, _MILLS), -size)
    return where(x > 0.0, 1.0 - below, below)


def gelu_slope_f64(x: Expr) -> Expr:
    return normal_cdf_f64(x) + x * exp_f64(x * x * -0.5) * (1 / math.sqrt(2 * math.pi))


RULES = {
    "erf": by_type(erf_f32, erf_f64),
    "erfc": by_type(through_f64(erfc_f64), erfc_f64),
    "erfinv": by_type(erfinv_f32, erfinv_f64),
    "normal_cdf": by_type(normal_cdf_f32, normal_cdf_f64),
    "gelu_slope": by_type(gelu_slope_f32, gelu_slope_f64),
}
