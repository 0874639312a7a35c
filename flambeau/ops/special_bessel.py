"""Bessel functions of orders 0 and 1, and the Airy function, all in float64.

Chebyshev coefficients come from interpolation in 40 digits. Near 0 a function is expanded in the square of its
argument, after its logarithm and pole are split off; far from 0 what is expanded is the factor of its asymptotic form.
"""

from __future__ import annotations

import math

from ..ir.expr import Expr, constant, cos, exp, fabs, i0, isnan, log, pow, sin, sqrt, where
from .define import op
from .kinds import Pointwise
from .special import bessel, chebyshev, in_float64

# J0 and J1 / x, and Y0 and Y1 / x without their logarithms and pole, in t = x**2 / 32 - 1 for 0 <= x <= 8
_J0 = (
    0.15772797147489012, -0.008723442352852221, 0.2651786132033368, -0.37009499387264977, 0.15806710233209725,
    -0.034893769411408884, 0.004819180069467605, -0.00046062616620627504, 3.246032882100508e-05,
    -1.7619469077621507e-06, 7.608163592418782e-08, -2.679253530557673e-09, 7.848696314479465e-11,
    -1.9438346867370164e-12, 4.125320595634374e-14, -7.588508125447546e-16, 1.2218515873961411e-17,
)  # fmt: skip
_J1 = (
    0.08104484632565812, -0.1489751450676521, 0.1609992623572097, -0.08268049176681791, 0.022213639654966037,
    -0.003646940600769276, 0.0004050337728354822, -3.255554866857259e-05, 1.9858774049915165e-06,
    -9.521984756750436e-08, 3.687133759097148e-09, -1.178026622695885e-10, 3.160154580348003e-12,
    -7.221755239651773e-14, 1.4232144003513942e-15, -2.4441972916190464e-17, 3.6912682997929334e-19,
)  # fmt: skip
_Y0 = (
    -0.03314611320328494, -0.2744743055297453, 0.17903431407718265, 0.26156734625504663, -0.17730201278114358,
    0.04719668959576339, -0.007287962479552079, 0.0007531135932577742, -5.632079141056987e-05,
    3.206532537654801e-06, -1.44072332740187e-07, 5.248794787330516e-09, -1.5837552541812015e-10,
    4.02633081830612e-12, -8.747341203310769e-14, 1.6434898714919468e-15, -2.6977881152566837e-17,
)  # fmt: skip
_Y1 = (
    0.0025380132357417816, -0.01608717304766875, -0.09591204536083074, 0.08445197259652346, -0.028328123944594365,
    0.005289897544167113, -0.0006414551451326356, 5.505982873338744e-05, -3.53808001868935e-06,
    1.7707804556154404e-07, -7.11055004989928e-09, 2.344337905911516e-10, -6.4651518414115946e-12,
    1.51429151205002e-13, -3.0511859694473254e-15, 5.34668038572867e-17, -8.224911372021585e-19,
)  # fmt: skip
# Hankel's P and x Q / 8 of orders 0 and 1, in t = 128 / x**2 - 1 for x >= 8
_P0 = (
    0.9994603493475187, -0.0005365220468132117, 3.0751847875194745e-06, -5.1705945376060975e-08,
    1.6306464635151382e-09, -7.86409137723707e-11, 5.168262387349193e-12, -4.3045788699253914e-13,
    4.3265957431549404e-14, -5.069034095935236e-15, 6.748072215733873e-16, -1.0011513723467786e-16,
    1.6305919233744186e-17, -2.880866169482871e-18,
)  # fmt: skip
_Q0 = (
    -0.015555854605337009, 6.838519942611649e-05, -7.414498411060647e-07, 1.7972457247968992e-08,
    -7.27191593686632e-10, 4.2201219046687385e-11, -3.206747420996635e-12, 3.006145125351706e-13,
    -3.336328185322427e-14, 4.255225040245461e-15, -6.09993013164005e-16, 9.662128970303257e-17,
    -1.6686065214378146e-17, 3.1082440486738143e-18, -6.191115787358145e-19, 1.3091448717220122e-19,
)  # fmt: skip
_P1 = (
    1.0009030408600137, 0.0008989898330859408, -3.987284300488908e-06, 6.177633960644299e-08,
    -1.8718907491063067e-09, 8.816898659582339e-11, -5.704863640395645e-12, 4.699195515230542e-13,
    -4.6842237839904895e-14, 5.452674896044717e-15, -7.221180842274018e-16, 1.0667689114335412e-16,
    -1.7312313216116335e-17, 3.0492991197665872e-18,
)  # fmt: skip
_Q1 = (
    0.04677778706953532, -9.62772354915708e-05, 9.138615257955454e-07, -2.0959781384083424e-08,
    8.229193327650554e-10, -4.686363688176945e-11, 3.5152187949686082e-12, -3.2643156743279e-13,
    3.5967765829165294e-14, -4.5612523950772974e-15, 6.508282957783384e-16, -1.0269147531823243e-16,
    1.767635548776479e-17, -3.2834519872981614e-18, 6.524081149589261e-19, -1.3765771484849487e-19,
)  # fmt: skip
# K0 + log(x) I0 and x (K1 - log(x) I1), in t = x**2 / 2 - 1 for 0 < x <= 2; exp(x) sqrt(x) K, in t = 4 / x - 1 beyond
_K0 = (
    0.8433977275772223, 0.787078990859296, 0.06152577860244072, 0.0019458946141853283, 3.3247998700597626e-05,
    3.5563825166277007e-07, 2.6056207418988497e-09, 1.3895141631982779e-11, 5.635214661841847e-14,
    1.7966278703136082e-16,
)  # fmt: skip
_K1 = (
    -0.2292832288405106, -1.4514444639271789, -0.2331381337556394, -0.011231633227874833, -0.0002581760262006355,
    -3.4719237980698115e-06, -3.064684283349565e-08, -1.9122674002717066e-10, -8.882779293015399e-13,
    -3.1915543020248825e-15, -9.134664838823208e-18,
)  # fmt: skip
_K0_FAR = (
    1.2201515410329777, -0.0314481013119645, 0.0015698838857300533, -0.00012849549581627802, 1.39498137188765e-05,
    -1.8317555227191195e-06, 2.766813639445015e-07, -4.660489897687948e-08, 8.574034017414225e-09,
    -1.6975345093890614e-09, 3.5773972814003283e-10, -7.957489244477396e-11, 1.8559491149549264e-11,
    -4.514597883374519e-12, 1.1403405882073441e-12, -2.9800969231481784e-13, 8.032890775068375e-14,
    -2.2275133267462965e-14, 6.340076476276646e-15, -1.848593377920907e-15, 5.5120559994043335e-16,
    -1.6782311257549006e-16, 5.2103917776435543e-17, -1.6475805939842632e-17, 5.3004337711773354e-18,
)  # fmt: skip
_K1_FAR = (
    1.3603130952422213, 0.10392373657681724, -0.002857816859622779, 0.00019521551847135162, -1.936197974166083e-05,
    2.406484947837217e-06, -3.5019606030878126e-07, 5.7410841254500495e-08, -1.0345762465678097e-08,
    2.0150497551970347e-09, -4.1903547593419254e-10, 9.218315187605315e-11, -2.129967838427791e-11,
    5.139639673482343e-12, -1.2891739609498229e-12, 3.348419666052243e-13, -8.976705182010146e-14,
    2.4771544242195988e-14, -7.0198370892147685e-15, 2.038703166239861e-15, -6.057047270643018e-16,
    1.8380935752430455e-16, -5.689462849193648e-17, 1.7940510478863572e-17, -5.7567444820733025e-18,
)  # fmt: skip
# Ai in t = x / 5 for |x| <= 5; beyond, in the place z = 2/3 |x|**1.5: 2 sqrt(pi) exp(z) x**0.25 Ai in 2 z0 / z - 1,
# and the two factors of the oscillating form in 2 (z0 / z)**2 - 1
_AIRY = (
    0.10406518720519056, -0.08168708620717478, -0.039055473286523736, -0.08898190111780603, 0.22321980872791247,
    -0.11856883268109365, -0.07721470470993613, 0.13526987659739045, -0.06167119715490595, -0.012169470140126886,
    0.02773785850468671, -0.012111819482601755, -0.0005766411437582664, 0.0029718696350993007,
    -0.0012693252709556845, 2.5305981564844608e-05, 0.0001979819609622605, -8.348647096825525e-05,
    4.658154132359251e-06, 9.03903778597852e-06, -3.785733256000856e-06, 2.905048103266573e-07,
    3.01226178177572e-07, -1.258673274181744e-07, 1.1292226137900473e-08, 7.660144994675194e-09,
    -3.2051479730491574e-09, 3.1430265548406964e-10, 1.5365458654893265e-10, -6.458265892623076e-11,
    6.686962282718537e-12, 2.4945072426565107e-12, -1.0561460365856423e-12, 1.1317767621769058e-13,
    3.3456679942249735e-14, -1.4304949405656557e-14, 1.5668343044773638e-15, 3.770047959197418e-16,
    -1.6316506976824602e-16, 1.8117307986294633e-17, 3.6196811670916306e-18, -1.5892054569306542e-18,
)  # fmt: skip
_AIRY_FAR = (
    0.9955676516195603, -0.00436069874464105, 6.954541808134598e-05, -2.0168440173251626e-06, 8.276687846009602e-08,
    -4.316084864988281e-09, 2.6952233590536017e-10, -1.941593575755701e-11, 1.5729418614329691e-12,
    -1.4068981944552677e-13, 1.3702139822945752e-14, -1.4375090491064692e-15, 1.6106425727428364e-16,
    -1.9138992117173353e-17, 2.398049893432255e-18,
)  # fmt: skip
_AIRY_SINE = (
    0.9996723415461002, -0.000325548356105523, 2.069745155968859e-06, -3.8909617364732046e-08,
    1.3645959446942189e-09, -7.265563438859609e-11, 5.234675629055384e-12, -4.749669415812042e-13,
    5.172156139590744e-14, -6.533725295523812e-15, 9.339274072739502e-16, -1.482333051250859e-16,
    2.5745988399496864e-17, -4.836944058537302e-18,
)  # fmt: skip
_AIRY_COSINE = (
    0.00927278791571682, -4.361755184502424e-05, 5.29408468379085e-07, -1.434118865709678e-08,
    6.440324847792266e-10, -4.1176387496429674e-11, 3.423544537877311e-12, -3.490421701744047e-13,
    4.190838856253797e-14, -5.756075237121161e-15, 8.850415992260921e-16, -1.4983889943516192e-16,
    2.7572529590587382e-17, -5.4578022458385904e-18, 1.1523597740880599e-18, -2.577317199049541e-19,
    6.070628703872326e-20,
)  # fmt: skip
_AIRY_EDGE = 2 / 3 * 5**1.5


def far_wave(order: int, size: Expr) -> tuple[Expr, Expr]:
    """(J, Y) of an order for size >= 8 by Hankel's form."""
    z = 8.0 / size
    t = z * z * 2.0 - 1.0
    p = chebyshev(t, _P1 if order else _P0)
    q = chebyshev(t, _Q1 if order else _Q0) * z
    s, c = sin(size), cos(size)
    # of the angle size - pi/4, or size - 3 pi/4
    sine, cosine = (-(s + c), s - c) if order else (s - c, s + c)
    scale = 1.0 / sqrt(size * math.pi)
    return (p * cosine - q * sine) * scale, (p * sine + q * cosine) * scale


def bessel_j(order: int, x: Expr) -> Expr:
    size = fabs(x)
    far = size > 8
    near_x = where(far, constant(0.0, x.type), x)
    near = chebyshev(near_x * near_x * (1 / 32) - 1.0, _J1 if order else _J0)
    near = near * near_x if order else near
    large, _ = far_wave(order, where(far, size, constant(8.0, x.type)))
    large = where(x < 0, -large, large) if order else large
    large = where(size == math.inf, constant(0.0, x.type), large)
    return where(isnan(x), x, where(far, large, near))


def bessel_y(order: int, x: Expr) -> Expr:
    far = x > 8
    near_x = where(far | (x <= 0), constant(1.0, x.type), x)
    t = near_x * near_x * (1 / 32) - 1.0
    if order:
        near = chebyshev(t, _Y1) * near_x + (log(near_x) * bessel_j(1, near_x) - 1.0 / near_x) * (2 / math.pi)
    else:
        near = chebyshev(t, _Y0) + log(near_x) * bessel_j(0, near_x) * (2 / math.pi)
    _, large = far_wave(order, where(far, x, constant(8.0, x.type)))
    large = where(x == math.inf, constant(0.0, x.type), large)
    edge = where(x == 0, constant(-math.inf, x.type), constant(math.nan, x.type))
    return where(isnan(x), x, where(x <= 0, edge, where(far, large, near)))


def bessel_k(order: int, x: Expr, scaled: bool) -> Expr:
    far = x > 2
    near_x = where(far | (x <= 0), constant(1.0, x.type), x)
    t = near_x * near_x * 0.5 - 1.0
    if order:
        near = chebyshev(t, _K1) / near_x + log(near_x) * bessel(1, near_x, False)
    else:
        near = chebyshev(t, _K0) - log(near_x) * bessel(0, near_x, False)
    bounded = where(far, x, constant(2.0, x.type))
    large = chebyshev(4.0 / bounded - 1.0, _K1_FAR if order else _K0_FAR) / sqrt(bounded)
    if scaled:
        near = near * exp(near_x)
    else:
        large = large * exp(-bounded)
    edge = where(x == 0, constant(math.inf, x.type), constant(math.nan, x.type))
    return where(isnan(x), x, where(x <= 0, edge, where(far, large, near)))


@op("special.bessel_j0(Tensor input, *, Tensor? out=None) -> Tensor")
class BesselJ0(Pointwise):
    """Bessel function of the first kind of order 0."""

    dtype = in_float64("bessel_j0_cpu")

    def scalar(input):
        return bessel_j(0, input)


@op("special.bessel_j1(Tensor input, *, Tensor? out=None) -> Tensor")
class BesselJ1(Pointwise):
    """Bessel function of the first kind of order 1."""

    dtype = in_float64("bessel_j1_cpu")

    def scalar(input):
        return bessel_j(1, input)


@op("special.bessel_y0(Tensor input, *, Tensor? out=None) -> Tensor")
class BesselY0(Pointwise):
    """Bessel function of the second kind of order 0; -inf at 0, NaN below."""

    dtype = in_float64("bessel_y0_cpu")

    def scalar(input):
        return bessel_y(0, input)


@op("special.bessel_y1(Tensor input, *, Tensor? out=None) -> Tensor")
class BesselY1(Pointwise):
    """Bessel function of the second kind of order 1; -inf at 0, NaN below."""

    dtype = in_float64("bessel_y1_cpu")

    def scalar(input):
        return bessel_y(1, input)


@op("special.modified_bessel_i0(Tensor input, *, Tensor? out=None) -> Tensor")
class ModifiedBesselI0(Pointwise):
    """Modified Bessel function of the first kind of order 0."""

    dtype = in_float64("modified_bessel_i0_cpu")

    def scalar(input):
        return i0(input)


@op("special.modified_bessel_i1(Tensor input, *, Tensor? out=None) -> Tensor")
class ModifiedBesselI1(Pointwise):
    """Modified Bessel function of the first kind of order 1."""

    dtype = in_float64("modified_bessel_i1_cpu")

    def scalar(input):
        return bessel(1, input, False)


@op("special.modified_bessel_k0(Tensor input, *, Tensor? out=None) -> Tensor")
class ModifiedBesselK0(Pointwise):
    """Modified Bessel function of the second kind of order 0; inf at 0, NaN below."""

    dtype = in_float64("modified_bessel_k0_cpu")

    def scalar(input):
        return bessel_k(0, input, False)


@op("special.modified_bessel_k1(Tensor input, *, Tensor? out=None) -> Tensor")
class ModifiedBesselK1(Pointwise):
    """Modified Bessel function of the second kind of order 1; inf at 0, NaN below."""

    dtype = in_float64("modified_bessel_k1_cpu")

    def scalar(input):
        return bessel_k(1, input, False)


@op("special.scaled_modified_bessel_k0(Tensor x, *, Tensor? out=None) -> Tensor")
class ScaledModifiedBesselK0(Pointwise):
    """``exp(x)`` times the modified Bessel function of the second kind of order 0."""

    dtype = in_float64("scaled_modified_bessel_k0_cpu")

    def scalar(x):
        return bessel_k(0, x, True)


@op("special.scaled_modified_bessel_k1(Tensor x, *, Tensor? out=None) -> Tensor")
class ScaledModifiedBesselK1(Pointwise):
    """``exp(x)`` times the modified Bessel function of the second kind of order 1."""

    dtype = in_float64("scaled_modified_bessel_k1_cpu")

    def scalar(x):
        return bessel_k(1, x, True)


@op("special.spherical_bessel_j0(Tensor x, *, Tensor? out=None) -> Tensor")
class SphericalBesselJ0(Pointwise):
    """``sin(x) / x``, and 1 at 0."""

    dtype = in_float64("spherical_bessel_j0_cpu")

    def scalar(x):
        ratio = where(x == 0, constant(1.0, x.type), sin(x) / x)
        return where(fabs(x) == math.inf, constant(0.0, x.type), ratio)


@op("special.airy_ai(Tensor x, *, Tensor? out=None) -> Tensor")
class AiryAi(Pointwise):
    """Airy function of the first kind."""

    dtype = in_float64("airy_ai_cpu")

    def scalar(x):
        size = fabs(x)
        far = size > 5
        near = chebyshev(where(far, constant(0.0, x.type), x) * 0.2, _AIRY)
        bounded = where(far, size, constant(5.0, x.type))
        place = bounded * sqrt(bounded) * (2 / 3)
        ratio = _AIRY_EDGE / place
        root = pow(bounded, constant(-0.25, x.type))
        decay = chebyshev(ratio * 2.0 - 1.0, _AIRY_FAR) * exp(-place) * root * (0.5 / math.sqrt(math.pi))
        t = ratio * ratio * 2.0 - 1.0
        angle = place + math.pi / 4
        wave = sin(angle) * chebyshev(t, _AIRY_SINE) - cos(angle) * chebyshev(t, _AIRY_COSINE) * ratio
        large = where(x > 0, decay, wave * root * (1 / math.sqrt(math.pi)))
        large = where(x == math.inf, constant(0.0, x.type), large)
        return where(isnan(x), x, where(far, large, near))
