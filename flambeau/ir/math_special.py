"""Hyperbolic, error and gamma functions."""

from __future__ import annotations

from .expr import Expr, bitcast, constant, copysign, fabs, fma, where
from .math_exp_log import exp_double, exp_f64
from .math_parts import by_type, polynomial, round_scaled, through_f64, two_product

# (tanh(x) - x) / x**3 in x**2 for |x| <= 1: relative error of tanh 2**-27.7
_TANH_F32 = (-0.333332956, 0.133323461, -0.0538798608, 0.0214867685, -0.00794622209, 0.00230143243, -0.000358470657)
# (2**r - 1) / r on |r| <= 1/2: 2**-31
_EXP2_F32 = (0.693147182, 0.240226507, 0.0555040091, 0.00961808302, 0.00133428385, 0.000154538706, 1.2987849e-05)
# erf(x) / x - 1 in x**2 for |x| <= 1: relative error of erf 2**-29
_ERF_F32 = (0.128379166, -0.37612626, 0.112835787, -0.0268533472, 0.0051871622, -0.00079978531, 7.80690316e-05)
# log2(erfc(x) / erfc(1)) in x - 1 for 1 <= x <= 4: absolute error of erfc 2**-29
_ERFC_1 = 0.157299206
_ERFC_F32 = (3.30230265e-09, -3.80722427, -1.21636331, -0.0598718375, 0.0142720127, -0.00263944361, 0.000269648386)

_TANH_F64 = (
    -0.33333333333333326, 0.13333333333331865, -0.05396825396725828, 0.021869488502534964, -0.00886323486608231,
    0.0035921196877016725, -0.0014557641776168195, 0.0005896224139675647, -0.00023751287350343256,
    9.248925449721883e-05, -3.117815930106608e-05, 6.5031098723018875e-06,
)  # fmt: skip
_ERF_F64 = (
    0.12837916709551256, -0.37612638903183343, 0.11283791670936949, -0.02686617064195252, 0.005223977596551718,
    -0.0008548325468025704, 0.00012055279722667136, -1.4924445559983987e-05, 1.644383930133683e-06,
    -1.618113413935333e-07, 1.3602365030397708e-08, -7.577508217185182e-10,
)  # fmt: skip
# (1 + 2 x) exp(x**2) erfc(x) in t = (x - 4) / (x + 4) for 0.4 <= x <= 27.4: 2**-54.5 (the form is Shepherd and
# Laframboise's, 1981)
_ERFC_F64 = (
    1.2329951186255526, -0.1396211168405625, 0.015379652102620009, 0.06809705425469166, -0.10103906603632251,
    0.09373283499839104, -0.06633036581172735, 0.03716751553674505, -0.016197734064650054, 0.005031969984769094,
    -0.0007577732324075129, -0.00019925672871375208, 0.00015062138890769897, -2.4399124550731167e-05,
    -1.1221095310392137e-05, 5.709651287003536e-06, 2.918707008923821e-07, -8.256036190155304e-07,
    7.712086278565934e-08, 1.1065619620181327e-07, -1.9722709603681295e-08, -1.4779277755295096e-08,
    2.4064748331849784e-09, 1.546553026811531e-09,
)  # fmt: skip


def _power_of_two(r: Expr, n: Expr) -> Expr:
    """2**(n + r) in float32 where the result is normal."""
    value = polynomial(r, (1.0, *_EXP2_F32))
    return bitcast(bitcast(value, "i32") + (n << 23), "f32")


def tanh_f32(x: Expr) -> Expr:
    """An odd polynomial up to 1, then 1 - 2 / (e**2|x| + 1)."""
    size = fabs(x)
    z = x * x
    near = fma(x * z, polynomial(z, _TANH_F32), x)
    bounded = where(size > 9.1, constant(9.1, "f32"), size)
    n, whole = round_scaled(bounded, 2.88539004)
    r = fma(bounded, constant(3.85192598e-08, "f32"), fma(bounded, constant(2.88539004, "f32"), -n))
    power = _power_of_two(r, whole)
    divisor = power + 1.0
    half_lost = fma(divisor - power, constant(-0.5, "f32"), constant(0.5, "f32"))
    quotient = 2.0 / divisor
    quotient = fma(quotient * quotient, -half_lost, quotient)
    return where(size >= 1.0, copysign(1.0 - quotient, x), near)


def erf_f32(x: Expr) -> Expr:
    """An odd polynomial up to 1, then 1 - erfc(1) * 2**p(|x| - 1)."""
    size = fabs(x)
    near = fma(x, polynomial(x * x, _ERF_F32), x)
    bounded = where(size > 4.0, constant(4.0, "f32"), size)
    log2_ratio = polynomial(bounded - 1.0, _ERFC_F32)
    n, whole = round_scaled(log2_ratio, 1.0)
    far = fma(_power_of_two(log2_ratio - n, whole), constant(-_ERFC_1, "f32"), constant(1.0, "f32"))
    return where(size >= 1.0, copysign(far, x), near)


def tanh_f64(x: Expr) -> Expr:
    size = fabs(x)
    z = x * x
    near = fma(x * z, polynomial(z, _TANH_F64), x)
    power = exp_f64(where(size > 20.0, constant(40.0, "f64"), size + size))
    divisor = power + 1.0
    half_lost = fma(divisor - power, constant(-0.5, "f64"), constant(0.5, "f64"))
    quotient = 2.0 / divisor
    quotient = fma(quotient * quotient, -half_lost, quotient)
    return where(size >= 0.6, copysign(1.0 - quotient, x), near)


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


RULES = {
    "tanh": by_type(tanh_f32, tanh_f64),
    "erf": by_type(erf_f32, erf_f64),
    "erfc": by_type(through_f64(erfc_f64), erfc_f64),
}
