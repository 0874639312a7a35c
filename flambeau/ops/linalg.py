"""Matrix factorisations: Cholesky, LU, LDL and QR, and what is made of their factors."""

from __future__ import annotations

from ..base import dtype as types
from ..base.errors import require
from ..base.layout import Layout, broadcast_shapes, contiguous_layout
from ..return_types import structure_of
from .define import RECORDING, op, ops
from .kinds import Composite, Opaque
from .out_rules import any_type, safely

NAMES = {
    "float32": "Float", "float64": "Double", "complex64": "ComplexFloat", "complex128": "ComplexDouble", "int64": "Long",
    "int32": "Int", "int16": "Short", "int8": "Char", "uint8": "Byte", "bool": "Bool", "float16": "Half",
    "bfloat16": "BFloat16", "complex32": "ComplexHalf",
}  # fmt: skip


# -- checks and small parts shared by the family ----------------------------------------------------------------------


def check_type(name: str, where: Layout, low: bool = False) -> None:
    """Refuse integers, and the half types."""
    kind = where.dtype
    require(
        kind.kind >= 2,
        f"{name}: Expected a floating point or complex tensor as input. Got {NAMES.get(kind.name)}",
    )
    require(
        low or kind.itemsize // (2 if kind.kind == 3 else 1) >= 4,
        f"{name}: Low precision dtypes not supported. Got {NAMES.get(kind.name)}",
    )


def check_matrix(name: str, where: Layout, label: str = "A") -> None:
    require(where.ndim >= 2, f"{name}: The input tensor {label} must have at least 2 dimensions.")


def check_square(name: str, where: Layout, label: str = "A") -> None:
    check_matrix(name, where, label)
    m, n = where.shape[-2:]
    require(m == n, f"{name}: {label} must be batches of square matrices, but they are {m} by {n} matrices")


def check_same(name: str, a: Layout, b: Layout, labels=("A", "B")) -> None:
    require(
        a.dtype is b.dtype,
        f"{name}: Expected {labels[0]} and {labels[1]} to have the same dtype, but found {labels[0]} of type "
        f"{NAMES.get(a.dtype.name)} and {labels[1]} of type {NAMES.get(b.dtype.name)} instead",
    )


def adjoint(x):
    """Conjugate transpose."""
    x = ops.transpose(x, -2, -1)
    return ops.conj_physical(x) if x._layout.dtype.is_complex else x


def conj(x):
    return ops.conj_physical(x) if x._layout.dtype.is_complex else x


def real(x):
    return ops.real(x) if x._layout.dtype.is_complex else x


def tracked(*tensors) -> bool:
    """Whether a gradient may flow through any of these."""
    return RECORDING[0]() and any(t.requires_grad for t in tensors)


def eye_like(x, n: int):
    return ops.eye(n, dtype=x._layout.dtype, device=x._layout.device)


def same_batch(a, b):
    """Two stacks of matrices with their batch dimensions broadcast."""
    first, second = a._layout.shape[:-2], b._layout.shape[:-2]
    if first == second:
        return a, b
    try:
        batch = broadcast_shapes(first, second)
    except ValueError as error:
        at = error.args[0]
        raise RuntimeError(
            f"The size of tensor a ({a._layout.shape[at]}) must match the size of tensor b ({b._layout.shape[at]}) at "
            f"non-singleton dimension {at}"
        ) from None
    return (ops.expand(a, (*batch, *a._layout.shape[-2:])), ops.expand(b, (*batch, *b._layout.shape[-2:])))


def matrices(where: Layout, *shapes):
    """Layouts of results: (shape behind the batch, type or None for the input's)."""
    batch = where.shape[:-2]
    return [contiguous_layout((*batch, *shape), kind or where.dtype, where.device) for shape, kind in shapes]


# -- Cholesky -------------------------------------------------------------------------------------------------------


@op("cholesky_factor(Tensor A, bool upper, str name) -> (Tensor, Tensor)", function=False, method=False)
class CholeskyFactor(Opaque):
    """Factor and code of failure; raises in the name of `name` where that is given."""

    algorithm = "small_matrices.cholesky"

    def layouts(A):
        return matrices(A, (A.shape[-2:], None), ((), types.int32))

    def d_A(g0, result0, upper):
        g, factor = (adjoint(g0), adjoint(result0)) if upper else (g0, result0)
        phi = ops.tril(ops.matmul(adjoint(factor), g))
        phi = phi - ops.diag_embed(ops.diagonal(phi, 0, -2, -1)) * 0.5
        phi = ops.solve_triangles(adjoint(factor), phi, True, True, False)
        phi = ops.solve_triangles(factor, phi, False, False, False)
        return (phi + adjoint(phi)) * 0.5


def cholesky(name: str, A, upper: bool, strict: bool):
    check_square(name, A._layout)
    check_type(name, A._layout)
    return ops.cholesky_factor(A, bool(upper), name if strict else "")


@op("linalg.cholesky(Tensor A, *, bool upper=False, Tensor? out=None) -> Tensor")
class LinalgCholesky(Composite):
    """Lower triangular ``L`` with ``A = L L^H`` of positive definite matrices (``upper``: ``U`` with ``A = U^H U``).

    Raises: LinAlgError where a matrix is not positive definite.
    """

    def body(A, upper):
        return cholesky("linalg.cholesky", A, upper, True)[0]


@op(
    "linalg.cholesky_ex(Tensor A, *, bool upper=False, bool check_errors=False, Tensor? out=None) -> (Tensor, Tensor)"
)
class LinalgCholeskyEx(Composite):
    """`linalg.cholesky` with the order of the first minor that is not positive definite (0: all is well)."""

    def body(A, upper, check_errors):
        return structure_of("linalg_cholesky_ex")(cholesky("linalg.cholesky_ex", A, upper, check_errors))


@op("cholesky(Tensor input, bool upper=False, *, Tensor? out=None) -> Tensor")
class Cholesky(Composite):
    """`linalg.cholesky`."""

    check_out = safely("cholesky")

    def body(input, upper):
        check_square("cholesky", input._layout)
        return cholesky("cholesky", input, upper, True)[0]


@op("cholesky_solve(Tensor B, Tensor L, bool upper=False, *, Tensor? out=None) -> Tensor")
class CholeskySolve(Composite):
    """Solution of ``A X = B`` from the Cholesky factor of ``A``."""

    check_out = safely("cholesky_solve")

    def body(B, L, upper):
        b, a = B._layout, L._layout
        require(b.ndim >= 2, f"b should have at least 2 dimensions, but has {b.ndim} dimensions instead")
        require(a.ndim >= 2, f"u should have at least 2 dimensions, but has {a.ndim} dimensions instead")
        check_system("cholesky_solve", b, a)
        L, B = same_batch(L, B)
        lower = adjoint(L) if upper else L
        half = ops.solve_triangles(lower, B, False, True, False)
        return ops.solve_triangles(adjoint(lower), half, True, True, False)


def check_system(name: str, b: Layout, a: Layout) -> None:
    """The demands of the older solvers on ``A X = B``."""
    m, n = a.shape[-2:]
    require(m == n, f"A must be batches of square matrices, but they are {m} by {n} matrices")
    require(
        a.dtype is b.dtype,
        f"Expected b and A to have the same dtype, but found b of type {NAMES.get(b.dtype.name)} and A of type "
        f"{NAMES.get(a.dtype.name)} instead.",
    )
    require(
        b.shape[-2] == n,
        f"Incompatible matrix sizes for {name}: each A matrix is {n} by {n} but each b matrix is "
        f"{b.shape[-2]} by {b.shape[-1]}",
    )


@op("cholesky_inverse(Tensor L, bool upper=False, *, Tensor? out=None) -> Tensor")
class CholeskyInverse(Composite):
    """Inverse of a matrix from its Cholesky factor."""

    check_out = safely("cholesky_inverse")

    def body(L, upper):
        check_square("cholesky_inverse", L._layout)
        lower = adjoint(L) if upper else L
        unit = ops.expand(eye_like(L, L._layout.shape[-1]), L._layout.shape)
        half = ops.solve_triangles(lower, unit, False, True, False)
        return ops.matmul(adjoint(half), half)


# -- LU ------------------------------------------------------------------------------------------------------------


@op("lu_parts(Tensor A, str name) -> (Tensor, Tensor, Tensor)", function=False, method=False)
class LuParts(Opaque):
    """Both factors in one matrix, row exchanges counted from 1, and code of failure."""

    algorithm = "small_matrices.lu"
    nondifferentiable = (1, 2)

    def layouts(A):
        shape = A.shape[-2:]
        return matrices(A, (shape, None), ((min(shape),), types.int32), ((), types.int32))

    def d_A(g0, result0, result1):
        m, n = result0._layout.shape[-2:]
        k = min(m, n)
        lower = ops.tril(ops.narrow(result0, -1, 0, k), -1) + ops.eye(m, k, dtype=g0._layout.dtype)
        upper = ops.triu(ops.narrow(result0, -2, 0, k))
        g_lower, g_upper = ops.tril(ops.narrow(g0, -1, 0, k), -1), ops.triu(ops.narrow(g0, -2, 0, k))
        found = lu_gradient(lower, upper, g_lower, g_upper)
        return ops.gather(
            found, -2, ops.expand(ops.unsqueeze(inverse_order(result1, m), -1), found._layout.shape)
        )


def inverse_order(pivots, m: int):
    """For each row its place after the exchanges."""
    return ops.argsort(ops.row_order(pivots, m), -1)


def lu_gradient(lower, upper, g_lower, g_upper):
    """Gradient of ``lower @ upper`` (rows already exchanged) from those of the factors."""
    m, k = lower._layout.shape[-2:]
    n = upper._layout.shape[-1]
    extra = None
    first_lower, first_upper = ops.narrow(lower, -2, 0, k), ops.narrow(upper, -1, 0, k)
    if n > k:
        rest, g_rest = ops.narrow(upper, -1, k, n - k), ops.narrow(g_upper, -1, k, n - k)
        extra = ops.solve_triangles(adjoint(first_lower), g_rest, True, True, True)
        g_lower = g_lower - ops.matmul(extra, adjoint(rest))
        g_upper = ops.narrow(g_upper, -1, 0, k)
    elif m > k:
        rest, g_rest = ops.narrow(lower, -2, k, m - k), ops.narrow(g_lower, -2, k, m - k)
        extra = ops.solve_triangles(adjoint(first_upper), g_rest, False, False, False)
        g_upper = g_upper - ops.matmul(adjoint(rest), extra)
        g_lower = ops.narrow(g_lower, -2, 0, k)
    inner = ops.tril(ops.matmul(adjoint(first_lower), g_lower), -1) + ops.triu(
        ops.matmul(g_upper, adjoint(first_upper))
    )
    inner = ops.solve_triangles(adjoint(first_lower), inner, True, True, True)
    inner = ops.solve_triangles(adjoint(first_upper), inner, False, False, False)
    return inner if extra is None else ops.cat([inner, extra], -1 if n > k else -2)


@op("row_order(Tensor pivots, int size) -> Tensor", function=False, method=False)
class RowOrder(Opaque):
    """Which row each row is after the exchanges."""

    algorithm = "lapack.permutation"

    def layouts(pivots, size):
        return contiguous_layout((*pivots.shape[:-1], size), types.int64, pivots.device)


def lu_factors(name: str, A, pivot: bool, strict: str = ""):
    check_matrix(name, A._layout)
    check_type(name, A._layout)
    require(pivot, f"{name}: LU without pivoting is not implemented on the CPU")
    return ops.lu_parts(A, strict)


@op("linalg.lu_factor(Tensor A, *, bool pivot=True, Tensor? out=None) -> (Tensor, Tensor)")
class LinalgLuFactor(Composite):
    """Compact LU factors and row exchanges (counted from 1) for `linalg.lu_solve`."""

    def body(A, pivot):
        found = lu_factors("linalg.lu_factor", A, pivot, "torch.linalg.lu_factor")
        return structure_of("linalg_lu_factor")(found[:2])


@op(
    "linalg.lu_factor_ex(Tensor A, *, bool pivot=True, bool check_errors=False, Tensor? out=None) -> (Tensor, Tensor, Tensor)"
)
class LinalgLuFactorEx(Composite):
    """`linalg.lu_factor` with a code: 0, or the first diagonal element of ``U`` that is zero."""

    def body(A, pivot, check_errors):
        strict = "torch.linalg.lu_factor_ex" if check_errors else ""
        return structure_of("linalg_lu_factor_ex")(lu_factors("linalg.lu_factor_ex", A, pivot, strict))


@op("lu(Tensor input, bool pivot=True, bool get_infos=False, Tensor? out=None) -> (Tensor, Tensor)")
class Lu(Composite):
    """Compact LU factors and row exchanges; with ``get_infos`` also the codes."""

    check_out = any_type

    def body(input, pivot, get_infos):
        found = lu_factors("linalg.lu_factor_ex", input, pivot)
        return structure_of("_lu_with_info")(found) if get_infos else found[:2]


def unpacked(LU, pivots, with_data: bool = True, with_pivots: bool = True):
    """P, L and U of compact factors; an empty tensor for what is not wanted."""
    where = LU._layout
    m, n = where.shape[-2:]
    k = min(m, n)
    none = ops.empty((0,), dtype=where.dtype, device=where.device)
    lower = upper = permutation = none
    if with_data:
        lower = ops.tril(ops.narrow(LU, -1, 0, k), -1) + ops.eye(m, k, dtype=where.dtype, device=where.device)
        upper = ops.triu(ops.narrow(LU, -2, 0, k))
    if with_pivots:
        order = ops.unsqueeze(ops.row_order(pivots, m), -2)
        at = ops.unsqueeze(ops.arange(m, device=where.device), -1)
        permutation = ops.to_copy(ops.eq(at, order), dtype=where.dtype)
    return permutation, lower, upper


@op("lu_unpack(Tensor LU_data, Tensor LU_pivots, bool unpack_data=True, bool unpack_pivots=True, *, Tensor? out=None) "
    "-> (Tensor, Tensor, Tensor)", method=False)  # fmt: skip
class LuUnpack(Composite):
    """Permutation, lower and upper factor of what `linalg.lu_factor` gives."""

    def body(LU_data, LU_pivots, unpack_data, unpack_pivots):
        given, where = LU_pivots._layout, LU_data._layout
        require(
            not unpack_pivots or given.dtype is types.int32,
            "torch.lu_unpack: LU_pivots is expected to be a contiguous tensor of torch.int32 dtype.\n"
            "Note: this function is intended to be used with the output produced by torch.linalg.lu_factor",
        )
        if unpack_pivots:
            want = (*where.shape[:-2], min(where.shape[-2:]))
            require(
                tuple(given.shape) == want,
                f"torch.lu_unpack: Expected LU_pivots to have shape {list(want)}; got {list(given.shape)}",
            )
        return structure_of("lu_unpack")(unpacked(LU_data, LU_pivots, unpack_data, unpack_pivots))


@op("linalg.lu(Tensor A, *, bool pivot=True, Tensor? out=None) -> (Tensor, Tensor, Tensor)")
class LinalgLu(Composite):
    """``A = P L U`` with a permutation, a unit lower and an upper triangular matrix."""

    def body(A, pivot):
        LU, pivots, _ = lu_factors("linalg.lu", A, pivot)
        return structure_of("linalg_lu")(unpacked(LU, pivots))


def solve_factored(LU, pivots, B, left: bool = True, adjoint_system: bool = False):
    """Solution of a system whose matrix is given by its LU factors."""
    if not left:  # X A = B is A^H X^H = B^H
        return adjoint(solve_factored(LU, pivots, adjoint(B), True, not adjoint_system))
    m = LU._layout.shape[-1]
    order = ops.row_order(pivots, m)
    LU, B = same_batch(LU, B)
    if adjoint_system:
        X = ops.solve_triangles(adjoint(LU), B, False, True, False)
        X = ops.solve_triangles(adjoint(LU), X, True, True, True)
        return taken(X, ops.argsort(order, -1))
    X = ops.solve_triangles(LU, taken(B, order), False, True, True)
    return ops.solve_triangles(LU, X, True, True, False)


def taken(x, order):
    """Rows of each matrix in another order."""
    return ops.gather(x, -2, ops.expand(ops.unsqueeze(order, -1), x._layout.shape))


@op(
    "linalg.lu_solve(Tensor LU, Tensor pivots, Tensor B, *, bool left=True, bool adjoint=False, Tensor? out=None) -> Tensor"
)
class LinalgLuSolve(Composite):
    """Solution of ``A X = B`` from `linalg.lu_factor` (``left=False``: ``X A = B``; ``adjoint``: with ``A^H``)."""

    def body(LU, pivots, B, left, adjoint):
        name, where, given = "torch.linalg.lu_solve", LU._layout, pivots._layout
        check_type("torch.linalg.lu_solve", where)
        check_same("linalg.lu_solve", where, B._layout, ("LU", "B"))
        require(given.dtype is types.int32, f"{name}: pivots should be a Tensor of scalar type torch.int32")
        check_square(name, where, "LU")
        check_sides(name, where, B._layout, left, "LU")
        want = list(where.shape[:-1])
        require(
            list(given.shape) == want,
            f"{name}: Number of pivots per batch should be same as the dimension of the matrix"
            if given.shape and given.shape[-1] != where.shape[-1]
            else f"{name}: Expected LU.shape[:-1] and pivots.shape to be the same, but got pivots with shape "
            f"{list(given.shape)} instead",
        )
        return solve_factored(LU, pivots, B, left, adjoint)


def check_sides(name: str, a: Layout, b: Layout, left: bool, label: str = "A") -> None:
    check_matrix(name, b, "B")
    fits = a.shape[-2] == b.shape[-2] if left else a.shape[-1] == b.shape[-1]
    sign = "AX = B" if left else "XA = B"
    require(
        fits,
        f"{name}: Incompatible shapes of A and B for the equation {sign} ({a.shape[-2]}x{a.shape[-1]} and "
        f"{b.shape[-2]}x{b.shape[-1]})",
    )


@op("lu_solve(Tensor b, Tensor LU_data, Tensor LU_pivots, *, Tensor? out=None) -> Tensor")
class LuSolve(Composite):
    """`linalg.lu_solve` with the right-hand side first."""

    def body(b, LU_data, LU_pivots):
        check_same("linalg.lu_solve", LU_data._layout, b._layout, ("LU", "B"))
        check_square("torch.linalg.lu_solve", LU_data._layout, "LU")
        check_sides("torch.linalg.lu_solve", LU_data._layout, b._layout, True)
        require(
            LU_pivots._layout.dtype is types.int32,
            "torch.linalg.lu_solve: pivots should be a Tensor of scalar type torch.int32",
        )
        require(
            list(LU_pivots._layout.shape) == list(LU_data._layout.shape[:-1]),
            "torch.linalg.lu_solve: Number of pivots per batch should be same as the dimension of the matrix",
        )
        return solve_factored(LU_data, LU_pivots, b)


# -- LDL ------------------------------------------------------------------------------------------------------------


@op("ldl_parts(Tensor A, bool hermitian) -> (Tensor, Tensor, Tensor)", function=False, method=False)
class LdlParts(Opaque):
    """Compact factors of a symmetric or Hermitian matrix, pivots and code."""

    algorithm = "lapack.ldl"

    def layouts(A):
        return matrices(A, (A.shape[-2:], None), ((A.shape[-1],), types.int32), ((), types.int32))


@op(
    "linalg.ldl_factor_ex(Tensor A, *, bool hermitian=False, bool check_errors=False, Tensor? out=None) -> (Tensor, Tensor, Tensor)"
)
class LdlFactorEx(Composite):
    """`linalg.ldl_factor` with a code: 0, or the first diagonal element of ``D`` that is zero."""

    def body(A, hermitian, check_errors):
        check_square("torch.linalg.ldl_factor_ex", A._layout)
        check_type("torch.linalg.ldl_factor_ex", A._layout)
        return structure_of("linalg_ldl_factor_ex")(ops.ldl_parts(A.detach(), hermitian))


@op("linalg.ldl_factor(Tensor A, *, bool hermitian=False, Tensor? out=None) -> (Tensor, Tensor)")
class LdlFactor(Composite):
    """Compact ``L D L^T`` factors (``L D L^H`` with ``hermitian``) and pivots for `linalg.ldl_solve`."""

    def body(A, hermitian):
        check_square("torch.linalg.ldl_factor_ex", A._layout)
        check_type("torch.linalg.ldl_factor_ex", A._layout)
        return structure_of("linalg_ldl_factor")(ops.ldl_parts(A.detach(), hermitian)[:2])


@op(
    "ldl_solution(Tensor LD, Tensor pivots, Tensor B, bool hermitian) -> Tensor", function=False, method=False
)
class LdlSolution(Opaque):
    """Solution of ``A X = B``."""

    algorithm = "lapack.ldl_solve"

    def layouts(B):
        return contiguous_layout(B.shape, B.dtype, B.device)


@op(
    "linalg.ldl_solve(Tensor LD, Tensor pivots, Tensor B, *, bool hermitian=False, Tensor? out=None) -> Tensor"
)
class LdlSolve(Composite):
    """Solution of ``A X = B`` from `linalg.ldl_factor`."""

    def body(LD, pivots, B, hermitian):
        name, where, given, b = "torch.linalg.ldl_solve", LD._layout, pivots._layout, B._layout
        check_square(name, where, "LD")
        check_type(name, where)
        check_same("linalg.ldl_solve", where, b, ("LD", "B"))
        require(
            b.ndim >= 2,
            f"{name}: Expected B to have at least 2 dimensions, but it has {b.ndim} dimensions instead",
        )
        require(
            where.shape[-2] == b.shape[-2],
            "linalg.ldl_solve: Incompatible shapes of A and B for the equation AX = B "
            f"({where.shape[-2]}x{where.shape[-1]} and {b.shape[-2]}x{b.shape[-1]})",
        )
        want = list(where.shape[:-1])
        require(
            list(given.shape) == want,
            f"{name}: Expected LD.shape[:-1] and pivots.shape to be the same, but got pivots with shape {list(given.shape)} "
            f"instead",
        )
        require(
            given.dtype.kind == 1,
            f"{name}: Expected pivots to be integers. Got {NAMES.get(given.dtype.name)}",
        )
        LD, B = same_batch(LD, B)
        pivots = ops.expand(pivots, LD._layout.shape[:-1])
        return ops.ldl_solution(LD.detach(), pivots, B.detach(), hermitian)
