"""QR factorisation and products of Householder reflectors."""

from __future__ import annotations

from ..base.errors import require
from ..base.layout import Layout, contiguous_layout
from ..return_types import structure_of
from .define import op, ops
from .kinds import Composite, Opaque
from .linalg import NAMES, adjoint, check_matrix, check_type, conj, matrices, tracked
from .out_rules import safely, worded

# -- QR and Householder reflectors --------------------------------------------------------------------------------


@op("qr_parts(Tensor A, str form) -> (Tensor, Tensor)", function=False, method=False)
class QrParts(Opaque):
    """Q and R; Q is empty in mode "r"."""

    algorithm = "lapack.qr"

    def layouts(A, form):
        m, n = A.shape[-2:]
        size = m if form == "complete" else min(m, n)
        if form == "r":
            return [contiguous_layout((0,), A.dtype, A.device), *matrices(A, ((size, n), None))]
        return matrices(A, ((m, size), None), ((size, n), None))

    def d_A(g0, g1, A, result0, result1, form):
        m, n = A._layout.shape[-2:]
        require(
            form != "r",
            "The derivative of linalg.qr depends on Q, which is not computed when mode='r'. Please use "
            "linalg.qr(A, mode='reduced') if you are going to require gradients from R",
        )
        require(
            form == "reduced" or m <= n,
            "The QR decomposition is not differentiable when mode='complete' and nrows > ncols",
        )
        if m >= n:
            return qr_gradient(result0, result1, g0, g1)
        rest, g_rest = ops.narrow(A, -1, m, n - m), ops.narrow(g1, -1, m, n - m)
        g0 = g0 + ops.matmul(rest, adjoint(g_rest))
        first = qr_gradient(result0, ops.narrow(result1, -1, 0, m), g0, ops.narrow(g1, -1, 0, m))
        return ops.cat([first, ops.matmul(result0, g_rest)], -1)


def qr_gradient(q, r, g_q, g_r):
    """Gradient of a matrix with no more columns than rows."""
    inner = ops.triu(ops.matmul(g_r, adjoint(r)) - ops.matmul(adjoint(q), g_q))
    twice = inner + adjoint(inner)
    twice = twice - ops.diag_embed(ops.diagonal(twice, 0, -2, -1)) * 0.5
    return ops.solve_triangles(adjoint(r), g_q + ops.matmul(q, twice), False, False, False)


@op("linalg.qr(Tensor A, str mode='reduced', *, Tensor? out=None) -> (Tensor, Tensor)")
class LinalgQr(Composite):
    """``A = Q R`` with orthonormal columns and an upper triangle; mode "reduced", "complete" or "r" (R alone)."""

    def body(A, mode):
        check_matrix("linalg.qr", A._layout)
        check_type("linalg.qr", A._layout)
        require(
            mode in ("reduced", "complete", "r"),
            f"qr received unrecognized mode '{mode}' but expected one of 'reduced' "
            "(default), 'r', or 'complete'",
        )
        return structure_of("linalg_qr")(ops.qr_parts(A, mode))


@op("qr(Tensor input, bool some=True, *, Tensor? out=None) -> (Tensor, Tensor)")
class Qr(Composite):
    """`linalg.qr`; ``some=False`` is mode "complete"."""

    def body(input, some):
        check_matrix("linalg.qr", input._layout)
        check_type("linalg.qr", input._layout)
        return structure_of("qr")(ops.qr_parts(input, "reduced" if some else "complete"))


@op("geqrf(Tensor input, *, Tensor? out=None) -> (Tensor, Tensor)")
class Geqrf(Composite):
    """R above the diagonal, Householder reflectors below it, and their factors ``tau``."""

    check_out = safely("torch.geqrf", "a")

    def body(input):
        require(input._layout.ndim >= 2, "torch.geqrf: input must have at least 2 dimensions.")
        check_type("torch.geqrf", input._layout)
        return structure_of("geqrf")(ops.reflectors(input.detach()))


@op("reflectors(Tensor A) -> (Tensor, Tensor)", function=False, method=False)
class Reflectors(Opaque):
    """What LAPACK's geqrf gives."""

    algorithm = "lapack.geqrf"

    def layouts(A):
        return matrices(A, (A.shape[-2:], None), ((min(A.shape[-2:]),), None))


@op("reflected(Tensor A, Tensor tau) -> Tensor", function=False, method=False)
class Reflected(Opaque):
    """The first columns of the product of Householder reflectors."""

    algorithm = "lapack.householder"

    def layouts(A):
        return contiguous_layout(A.shape, A.dtype, A.device)


def reflector(input, k: int):
    """Column k of the reflectors as a vector with its leading 1."""
    column = ops.narrow(input, -1, k, 1)
    m = input._layout.shape[-2]
    at = ops.unsqueeze(ops.arange(m, device=input._layout.device), -1)
    return ops.where(at > k, column, ops.to_copy(at == k, dtype=input._layout.dtype))


def reflect(input, tau, x, transpose: bool, reverse: bool):
    """Product of the reflectors ``I - tau v v^H`` in order (or reverse order) with x, first factor outermost."""
    count = tau._layout.shape[-1]
    for k in range(count) if reverse else reversed(range(count)):
        v = reflector(input, k)
        factor = ops.unsqueeze(ops.narrow(tau, -1, k, 1), -1)
        factor = conj(factor) if transpose else factor
        x = x - ops.matmul(factor * v, ops.matmul(adjoint(v), x))
    return x


def check_reflectors(name: str, a: Layout, tau: Layout) -> None:
    require(a.ndim >= 2, f"{name}: input must have at least 2 dimensions.")
    m, n = a.shape[-2:]
    require(m >= n, f"{name}: input.shape[-2] must be greater than or equal to input.shape[-1]")
    require(
        tau.ndim and n >= tau.shape[-1],
        f"{name}: input.shape[-1] must be greater than or equal to tau.shape[-1]",
    )
    require(
        a.ndim - tau.ndim == 1,
        f"{name}: Expected tau to have one dimension less than input, but got tau.ndim equal to "
        f"{tau.ndim} and input.ndim is equal to {a.ndim}",
    )
    require(
        list(tau.shape[:-1]) == list(a.shape[:-2]),
        f"{name}: Expected batch dimensions of tau to be equal to "
        f"input.shape[:-2], but got {list(tau.shape[:-1])}",
    )
    require(
        tau.dtype is a.dtype,
        f"{name}: tau dtype {NAMES.get(tau.dtype.name)} does not match input dtype {NAMES.get(a.dtype.name)}",
    )


def householder(name: str, input, tau):
    check_reflectors(name, input._layout, tau._layout)
    check_type(name, input._layout)
    if not tracked(input, tau):
        return ops.reflected(input, tau)
    m, n = input._layout.shape[-2:]
    unit = ops.expand(ops.eye(m, n, dtype=input._layout.dtype), input._layout.shape)
    unit = unit if tau._layout.numel else unit + ops.sum(input) * 0  # stays a function of the input
    return reflect(input, tau, unit, False, False)


@op("linalg.householder_product(Tensor input, Tensor tau, *, Tensor? out=None) -> Tensor")
class HouseholderProduct(Composite):
    """First columns of the product of the reflectors that `geqrf` gives."""

    check_out = safely("torch.linalg.householder_product")

    def body(input, tau):
        return householder("torch.linalg.householder_product", input, tau)


@op("orgqr(Tensor input, Tensor tau, *, Tensor? out=None) -> Tensor")
class Orgqr(Composite):
    """`linalg.householder_product`."""

    def body(input, tau):
        return householder("torch.linalg.householder_product", input, tau)


@op(
    "ormqr(Tensor input, Tensor tau, Tensor other, bool left=True, bool transpose=False, *, Tensor? out=None) -> Tensor"
)
class Ormqr(Composite):
    """Product of a matrix with the orthogonal matrix that reflectors stand for."""

    check_out = worded(
        "torch.ormqr: Expected input and result to have the same dtype, but input has dtype{want} and result has dtype {have}",
        cast=False,
    )

    def body(input, tau, other, left, transpose):
        a, c, t = input._layout, other._layout, tau._layout
        require(a.ndim >= 2, "torch.ormqr: input must have at least 2 dimensions.")
        require(c.ndim >= 2, "torch.ormqr: other must have at least 2 dimensions.")
        at = -2 if left else -1
        require(
            t.ndim and c.shape[at] >= t.shape[-1],
            f"torch.ormqr: other.shape[{at}] must be greater than or equal to tau.shape[-1]",
        )
        require(
            c.shape[at] == a.shape[-2], f"torch.ormqr: other.shape[{at}] must be equal to input.shape[-2]"
        )
        require(
            t.shape[-1] == min(c.shape[at], a.shape[-1]),
            f"torch.ormqr: tau.shape[-1] must be equal to min(other.shape[{at}], input.shape[-1])",
        )
        require(
            a.ndim - t.ndim == 1,
            "torch.ormqr: Expected tau to have one dimension less than input, but got tau.ndim "
            f"equal to {t.ndim} and input.ndim is equal to {a.ndim}",
        )
        require(
            a.ndim == c.ndim,
            "torch.ormqr: Expected other to have the same number of dimensions as input, but got "
            f"other.ndim equal to {c.ndim} and input.ndim is equal to {a.ndim}",
        )
        require(
            t.shape[:-1] == a.shape[:-2],
            "torch.ormqr: Expected batch dimensions of tau to be equal to input.shape[:-2], "
            f"but got {list(t.shape[:-1])}",
        )
        require(
            c.shape[:-2] == a.shape[:-2],
            "torch.ormqr: Expected batch dimensions of other to be equal to "
            f"input.shape[:-2], but got {list(c.shape[:-2])}",
        )
        require(
            t.dtype is a.dtype,
            "torch.ormqr: Expected input and tau to have the same dtype, but input has dtype "
            f"{NAMES.get(a.dtype.name)} and tau has dtype {NAMES.get(t.dtype.name)}",
        )
        require(
            c.dtype is a.dtype,
            "torch.ormqr: Expected input and other to have the same dtype, but input has dtype "
            f"{NAMES.get(a.dtype.name)} and other has dtype {NAMES.get(c.dtype.name)}",
        )
        if left:
            return reflect(input, tau, other, transpose, transpose)
        return adjoint(reflect(input, tau, adjoint(other), not transpose, not transpose))
