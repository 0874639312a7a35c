"""Systems of linear equations, inverses, determinants, least squares."""

from __future__ import annotations

from math import prod

from ..base import dtype as types
from ..base.errors import require
from ..base.layout import Layout, contiguous_layout
from ..return_types import structure_of
from .define import op, ops
from .kinds import Composite, Opaque
from .linalg import (
    NAMES,
    adjoint,
    check_matrix,
    check_same,
    check_sides,
    check_square,
    check_system,
    check_type,
    conj,
    matrices,
    same_batch,
)  # fmt: skip
from .out_rules import safely

# -- triangular systems ------------------------------------------------------------------------------------------------


@op(
    "solve_triangles(Tensor A, Tensor B, bool upper, bool left, bool unitriangular) -> Tensor",
    function=False,
    method=False,
)
class SolveTriangles(Opaque):
    """``A X = B`` (``X A = B`` unless `left`) with the upper or lower triangle of A; batches are equal."""

    algorithm = "small_matrices.triangular"

    def layouts(B):
        return contiguous_layout(B.shape, B.dtype, B.device)

    def d_B(g, A, upper, left, unitriangular):
        return ops.solve_triangles(adjoint(A), g, not upper, left, unitriangular)

    def d_A(g, A, result, upper, left, unitriangular):
        g = ops.solve_triangles(adjoint(A), g, not upper, left, unitriangular)
        found = ops.matmul(g, adjoint(result)) if left else ops.matmul(adjoint(result), g)
        return -(ops.triu(found, int(unitriangular)) if upper else ops.tril(found, -int(unitriangular)))


@op("linalg.solve_triangular(Tensor A, Tensor B, *, bool upper, bool left=True, bool unitriangular=False, Tensor? out=None) "
    "-> Tensor")  # fmt: skip
class SolveTriangular(Composite):
    """Solution of ``A X = B`` (``X A = B`` with ``left=False``) for triangular ``A``; the other triangle is not read."""

    def body(A, B, upper, left, unitriangular):
        name, a, b = "linalg.solve_triangular", A._layout, B._layout
        check_same(name, a, b)
        check_square(name, a)
        check_sides(name, a, b, left)
        check_type(name, a)
        A, B = same_batch(A, B)
        return ops.solve_triangles(A, B, upper, left, unitriangular)


@op("triangular_solve(Tensor b, Tensor A, bool upper=True, bool transpose=False, bool unitriangular=False, *, "
    "Tensor? out=None) -> (Tensor, Tensor)")  # fmt: skip
class TriangularSolve(Composite):
    """Solution of ``A X = b`` for triangular ``A``, and a copy of ``A``."""

    def body(b, A, upper, transpose, unitriangular):
        where, given = A._layout, b._layout
        require(
            given.ndim >= 2,
            f"torch.triangular_solve: Expected b to have at least 2 dimensions, but it has {given.ndim} dimensions instead",
        )
        require(
            where.ndim >= 2,
            f"torch.triangular_solve: Expected A to have at least 2 dimensions, but it has {where.ndim} dimensions instead",
        )
        check_system("triangular_solve", given, where)
        A, B = same_batch(A, b)
        system = ops.transpose(A, -2, -1) if transpose else A
        found = ops.solve_triangles(system, B, upper != transpose, True, unitriangular)
        return structure_of("triangular_solve")((found, ops.clone(A)))


# -- inverse -------------------------------------------------------------------------------------------------------------


@op("inverse_parts(Tensor A, str name) -> (Tensor, Tensor)", function=False, method=False)
class InverseParts(Opaque):
    """Inverse and code of failure."""

    algorithm = "small_matrices.inverse"

    def layouts(A):
        return matrices(A, (A.shape[-2:], None), ((), types.int32))

    def d_A(g0, result0):
        turned = adjoint(result0)
        return -ops.matmul(turned, ops.matmul(g0, turned))


def inverse(name: str, A, strict: bool = True):
    check_square(name, A._layout)
    check_type(name, A._layout)
    return ops.inverse_parts(A, name if strict else "")


@op("linalg.inv(Tensor A, *, Tensor? out=None) -> Tensor")
class LinalgInv(Composite):
    """Inverse of square matrices.

    Raises: LinAlgError where a matrix is singular.

    >>> import flambeau as torch
    >>> torch.linalg.inv(torch.tensor([[2.0, 1.0], [1.0, 1.0]]))
    tensor([[ 1., -1.],
            [-1.,  2.]])
    """

    def body(A):
        return inverse("linalg.inv", A)[0]


@op("inverse(Tensor input, *, Tensor? out=None) -> Tensor")
class Inverse(Composite):
    """`linalg.inv`."""

    def body(input):
        return inverse("linalg.inv", input)[0]


@op("linalg.inv_ex(Tensor A, *, bool check_errors=False, Tensor? out=None) -> (Tensor, Tensor)")
class LinalgInvEx(Composite):
    """`linalg.inv` with a code: 0, or the diagonal element that is zero."""

    def body(A, check_errors):
        return structure_of("linalg_inv_ex")(inverse("linalg.inv_ex", A, check_errors))


# -- general systems ---------------------------------------------------------------------------------------------------


@op("solution(Tensor A, Tensor B, str name) -> (Tensor, Tensor)", function=False, method=False)
class Solution(Opaque):
    """Solution of ``A X = B`` for equal batches, and code of failure."""

    algorithm = "small_matrices.solve"

    def layouts(A, B):
        return [contiguous_layout(B.shape, B.dtype, B.device), *matrices(A, ((), types.int32))]

    def d_all(g0, A, result0, needs):
        g = ops.solution(adjoint(A), g0, "")[0]
        return -ops.matmul(g, adjoint(result0)) if needs["A"] else None, g if needs["B"] else None


def is_vector(a: Layout, b: Layout) -> bool:
    """Whether a right-hand side is a batch of vectors."""
    return b.ndim == 1 or a.ndim - 1 == b.ndim and b.shape == a.shape[:-1]


def solve(name: str, A, B, left: bool, strict: bool):
    a, b = A._layout, B._layout
    check_type(name, a)
    check_same("linalg.solve", a, b)
    check_square("linalg.solve", a)
    vector = is_vector(a, b)
    require(
        left or not vector,
        "linalg.solve: Vector broadcasting of the left hand side is not supported for left=False. In this case "
        "linalg.solve is equivalent to B / A.squeeze(-1)",
    )
    B = ops.unsqueeze(B, -1) if vector else B
    check_sides("linalg.solve", a, B._layout, left)
    A, B = same_batch(A, B)
    name = f"torch.{name}" if strict else ""
    if left:
        X, info = ops.solution(A, B, name)
    else:
        X, info = ops.solution(ops.transpose(A, -2, -1), ops.transpose(B, -2, -1), name)
        X = ops.transpose(X, -2, -1)
    return ops.squeeze(X, -1) if vector else X, info


@op("linalg.solve(Tensor A, Tensor B, *, bool left=True, Tensor? out=None) -> Tensor")
class LinalgSolve(Composite):
    """Solution of ``A X = B`` (``X A = B`` with ``left=False``).

    Raises: LinAlgError where a matrix is singular.
    """

    def body(A, B, left):
        return solve("linalg.solve", A, B, left, True)[0]


@op(
    "linalg.solve_ex(Tensor A, Tensor B, *, bool left=True, bool check_errors=False, Tensor? out=None) -> (Tensor, Tensor)"
)
class LinalgSolveEx(Composite):
    """`linalg.solve` with a code: 0, or the diagonal element of the LU factor that is zero."""

    def body(A, B, left, check_errors):
        return structure_of("linalg_solve_ex")(solve("linalg.solve_ex", A, B, left, check_errors))


# -- determinants ------------------------------------------------------------------------------------------------------------


@op("determinants(Tensor A) -> (Tensor, Tensor, Tensor)", function=False, method=False)
class Determinants(Opaque):
    """Determinant, its sign, and the logarithm of its magnitude."""

    algorithm = "small_matrices.determinant"

    def layouts(A):
        return matrices(A, ((), None), ((), None), ((), A.dtype.to_real()))

    def d_A(g0, g1, g2, A, result0, result1):
        scale = g0 * conj(result0)
        log = g2
        if A._layout.dtype.is_complex:
            log = ops.complex(g2, ops.imag(g1 * conj(result1)))
        if bool((result0 == 0).any().item()):
            return singular_gradient(A, g0, log)
        scale = scale + log
        diagonal = ops.expand(ops.unsqueeze(scale, -1), A._layout.shape[:-1])
        return ops.solution(adjoint(A), ops.diag_embed(diagonal), "")[0]


def singular_gradient(A, g, log):
    """Gradient where a determinant is zero: through the singular value decomposition, which has no division."""
    u, s, vh = ops.singular_parts(A, True, False)
    scale = g * conj(ops.determinants(u)[0]) * conj(ops.determinants(vh)[0])
    n = s._layout.shape[-1]
    others = []
    for k in range(n):
        rest = ops.cat([ops.narrow(s, -1, 0, k), ops.narrow(s, -1, k + 1, n - k - 1)], -1)
        others.append(ops.prod(rest, -1))
    product = ops.stack(others, -1)
    whole = ops.unsqueeze(ops.prod(s, -1), -1)
    diagonal = ops.unsqueeze(scale, -1) * product + ops.unsqueeze(log, -1) * ops.where(
        whole == 0, 0, product / whole
    )
    diagonal = ops.to_copy(diagonal, dtype=A._layout.dtype)
    return ops.matmul(u * ops.unsqueeze(diagonal, -2), vh)


def determinants(name: str, A):
    check_square(name, A._layout)
    check_type(name, A._layout)
    return ops.determinants(A)


@op("linalg.det(Tensor A, *, Tensor? out=None) -> Tensor")
class LinalgDet(Composite):
    """Determinant of square matrices."""

    def body(A):
        return determinants("linalg.det", A)[0]


@op("det(Tensor input) -> Tensor")
class Det(Composite):
    """`linalg.det`."""

    def body(input):
        return determinants("linalg.det", input)[0]


@op("linalg.slogdet(Tensor A, *, Tensor? out=None) -> (Tensor, Tensor)")
class LinalgSlogdet(Composite):
    """Sign of the determinant and natural logarithm of its magnitude."""

    def body(A):
        return structure_of("linalg_slogdet")(determinants("linalg.slogdet", A)[1:])


@op("slogdet(Tensor input, *, Tensor? out=None) -> (Tensor, Tensor)")
class Slogdet(Composite):
    """`linalg.slogdet`."""

    def body(input):
        return structure_of("slogdet")(determinants("linalg.slogdet", input)[1:])


@op("logdet(Tensor input) -> Tensor")
class Logdet(Composite):
    """Logarithm of the determinant: NaN where it is negative, -inf where it is zero."""

    def body(input):
        _, sign, log = determinants("logdet", input)
        if input._layout.dtype.is_complex:
            return ops.log(sign) + log
        return ops.where(sign == -1, float("nan"), log)


# -- tensors as matrices -----------------------------------------------------------------------------------------------------


@op("linalg.tensorinv(Tensor A, int ind=2, *, Tensor? out=None) -> Tensor")
class Tensorinv(Composite):
    """Inverse of a tensor for `tensordot` over its first ``ind`` dimensions."""

    check_out = safely("tensorinv")

    def body(A, ind):
        shape = A._layout.shape
        require(ind > 0, "Expected a strictly positive integer for 'ind'")
        first, rest = shape[:ind], shape[ind:]
        require(
            prod(first) == prod(rest),
            "Expected self to satisfy the requirement prod(self.shape[ind:]) == "
            f"prod(self.shape[:ind]), but got {prod(rest)} != {prod(first)}",
        )
        found = inverse("linalg.inv", ops.reshape(A, (prod(first), prod(rest))))[0]
        return ops.reshape(found, (*rest, *first))


@op("linalg.tensorsolve(Tensor A, Tensor B, int[]? dims=None, *, Tensor? out=None) -> Tensor")
class Tensorsolve(Composite):
    """Solution ``X`` of ``tensordot(A, X, X.ndim) = B``; ``dims`` of ``A`` are moved to its end first."""

    check_out = safely("tensorsolve")

    def body(A, B, dims):
        if dims is not None:
            A = ops.movedim(A, tuple(dims), tuple(range(A._layout.ndim - len(dims), A._layout.ndim)))
        shape, size = A._layout.shape, B._layout.numel
        rest = shape[B._layout.ndim :]
        require(
            prod(rest) == prod(shape[: B._layout.ndim]),
            "Expected self to satisfy the requirement "
            "prod(self.shape[other.ndim:]) == prod(self.shape[:other.ndim]), but got "
            f"{prod(rest)} != {prod(shape[: B._layout.ndim])}",
        )
        found = solve("linalg.solve", ops.reshape(A, (size, size)), ops.reshape(B, (size,)), True, True)[0]
        return ops.reshape(found, rest)


# -- least squares -------------------------------------------------------------------------------------------------------


@op(
    "least_squares(Tensor A, Tensor B, any rcond, str driver) -> (Tensor, Tensor, Tensor, Tensor)",
    function=False,
    method=False,
)
class LeastSquares(Opaque):
    """Solution, residuals, rank, singular values; the last three empty where the driver does not give them."""

    algorithm = "lapack.least_squares"
    nondifferentiable = (2, 3)

    def layouts(A, B, driver):
        batch, (m, n) = A.shape[:-2], A.shape[-2:]
        kind, place = A.dtype.to_real(), A.device
        none = (0,)
        return [
            contiguous_layout((*batch, n, B.shape[-1]), B.dtype, place),
            contiguous_layout((*batch, B.shape[-1]) if m > n and driver != "gelsy" else none, kind, place),
            contiguous_layout(batch if driver != "gels" else none, types.int64, place),
            contiguous_layout((*batch, min(m, n)) if driver in ("gelsd", "gelss") else none, kind, place),
        ]

    def d_all(g0, g1, A, B, result0, needs):
        found = pseudo_inverse(A)
        d_A = pinv_gradient(ops.matmul(g0, adjoint(B)), found, A) if needs["A"] else None
        d_B = ops.matmul(adjoint(found), g0) if needs["B"] else None
        if g1._layout.numel:  # the residuals do not change with the solution, which makes them least
            slope = (ops.matmul(A, result0) - B) * (2 * ops.unsqueeze(g1, -2))
            d_A = d_A + ops.matmul(slope, adjoint(result0)) if needs["A"] else None
            d_B = d_B - slope if needs["B"] else None
        return d_A, d_B


@op(
    "linalg.lstsq(Tensor A, Tensor B, any rcond=None, *, str? driver=None) -> (Tensor, Tensor, Tensor, Tensor)"
)
class Lstsq(Composite):
    """Least-squares solution of ``A X = B``: (solution, residuals, rank, singular_values).

    driver: LAPACK's "gelsy" (the default), "gels", "gelsd" or "gelss".
    """

    def body(A, B, rcond, driver):
        a, b = A._layout, B._layout
        name = "torch.linalg.lstsq"
        check_type("linalg.lstsq", a)
        require(a.ndim >= 2, f"{name}: input must have at least 2 dimensions.")
        require(b.ndim >= 1, f"{name}: other must have at least 1 dimension.")
        require(
            a.dtype is b.dtype,
            f"{name}: Expected input and other to have the same dtype, but got input's dtype "
            f"{NAMES.get(a.dtype.name)} and other's dtype {NAMES.get(b.dtype.name)}",
        )
        gap = a.ndim - b.ndim
        require(
            0 <= gap <= 1,
            f"{name}: input.dim() must be greater or equal to other.dim() and (input.dim() - other.dim()) <= 1",
        )
        vector = is_vector(a, b)
        at = -1 if vector else -2
        require(a.shape[-2] == b.shape[at], f"{name}: input.size(-2) should match other.size({at})")
        require(
            driver in (None, "gels", "gelsy", "gelsd", "gelss"),
            f"{name}: parameter `driver` should be one of (gels, gelsy, gelsd, gelss)",
        )
        driver = driver or "gelsy"
        cutoff = epsilon(a.dtype) * max(a.shape[-2:]) if rcond is None else float(rcond)
        A, B = same_batch(A, ops.unsqueeze(B, -1) if vector else B)
        found, residuals, rank, singular = ops.least_squares(A, B, cutoff, driver)
        if (
            driver in ("gelsd", "gelss")
            and residuals._layout.numel
            and bool((rank != a.shape[-1]).any().item())
        ):
            residuals = ops.narrow(ops.flatten(residuals), 0, 0, 0)
        found = ops.squeeze(found, -1) if vector else found
        if vector and residuals._layout.ndim > 1:
            residuals = ops.squeeze(residuals, -1)
        return structure_of("linalg_lstsq")((found, residuals, rank, singular))


# -- pseudo-inverse ------------------------------------------------------------------------------------------------------


def epsilon(kind) -> float:
    """Distance from 1 to the next number of the real type."""
    return 2.0**-52 if kind.to_real().name == "float64" else 2.0**-23


def cutoffs(name: str, input, atol, rtol):
    """Absolute and relative bounds below which a singular value counts as zero, as numbers or tensors."""
    where = input._layout
    default = epsilon(where.dtype) * max(where.shape[-2:], default=1)
    for label, given in (("atol", atol), ("rtol", rtol)):
        if hasattr(given, "_layout"):
            require(
                not given._layout.dtype.is_complex,
                f"{name}: {label} tensor of complex type is not supported. Got "
                f"{NAMES.get(given._layout.dtype.name)}",
            )
    if rtol is None:
        if hasattr(atol, "_layout"):
            rtol = ops.where(atol > 0, 0.0, default)
        else:
            rtol = 0.0 if atol is not None and atol > 0 else default
    return 0.0 if atol is None else atol, rtol


def bound(largest, atol, rtol):
    """The bound for each matrix from its largest singular value."""
    atol = ops.unsqueeze(atol, -1) if hasattr(atol, "_layout") else atol
    rtol = ops.unsqueeze(rtol, -1) if hasattr(rtol, "_layout") else rtol
    relative = largest * rtol
    return ops.maximum(relative, atol) if hasattr(atol, "_layout") else ops.clamp(relative, atol)


def pseudo_inverse(A, atol=0.0, rtol=None, hermitian: bool = False):
    """Values of the pseudo-inverse with its own derivative."""
    atol, rtol = cutoffs("torch.linalg.pinv", A, atol, rtol)
    where = A._layout
    if where.numel == 0:
        none = ops.zeros((*where.shape[:-2], where.shape[-1], where.shape[-2]), dtype=where.dtype)
        return ops.pseudo_inverse_of(A, none)
    given = A.detach()
    if hermitian:
        values, u = ops.symmetric_parts(given, "L", True)
        size, vh = ops.abs(values), adjoint(u)
        largest = ops.amax(size, -1, True)
    else:
        u, values, vh = ops.singular_parts(given, True, False)
        size, largest = values, ops.narrow(values, -1, 0, 1)
    kept = ops.where(size > bound(largest, atol, rtol), ops.reciprocal(values), 0.0)
    kept = ops.to_copy(kept, dtype=where.dtype)
    return ops.pseudo_inverse_of(A, ops.matmul(adjoint(vh) * ops.unsqueeze(kept, -2), adjoint(u)))


@op("pseudo_inverse_of(Tensor A, Tensor values) -> Tensor", function=False, method=False)
class PseudoInverseOf(Opaque):
    """A copy of ``values``, the pseudo-inverse of ``A``, as a function of ``A``."""

    algorithm = "lapack.second"
    no_gradient = ("values",)

    def layouts(values):
        return contiguous_layout(values.shape, values.dtype, values.device)

    def d_A(g, A, result):
        return pinv_gradient(g, result, A)


def pinv_gradient(g, found, A):
    """Gradient of a pseudo-inverse (Golub and Pereyra 1973)."""
    m, n = A._layout.shape[-2:]
    gh, turned = adjoint(g), adjoint(found)
    times = ops.matmul
    if m <= n:
        inner = times(gh, found)
        outer = times(inner, turned)
        return outer - adjoint(times(found, inner)) - times(times(A, found), outer) + times(
            times(turned, found), gh - times(inner, A))  # fmt: skip
    inner = times(found, gh)
    outer = times(turned, inner)
    return outer - adjoint(times(inner, found)) + times(times(gh - times(A, inner), found), turned) - times(
        times(outer, found), A)  # fmt: skip


@op(
    "linalg.pinv(Tensor input, any rcond=None, bool hermitian=False, *, any atol=None, any rtol=None, Tensor? out=None) -> Tensor"
)
class LinalgPinv(Composite):
    """Moore-Penrose inverse; singular values up to ``max(atol, rtol * largest)`` count as zero."""

    check_out = safely("linalg.pinv")

    def body(input, rcond, hermitian, atol, rtol):
        check_matrix("linalg.pinv", input._layout)
        check_type("linalg.pinv", input._layout)
        if rcond is not None:
            atol, rtol = 0.0, rcond
        return pseudo_inverse(input, atol, rtol, hermitian)


@op("pinverse(Tensor input, any rcond=1e-15) -> Tensor")
class Pinverse(Composite):
    """`linalg.pinv` with a relative bound."""

    def body(input, rcond):
        check_matrix("linalg.pinv", input._layout)
        check_type("linalg.pinv", input._layout)
        return pseudo_inverse(input, 0.0, rcond)
