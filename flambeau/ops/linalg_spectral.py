"""Eigenvalues, singular values, and the norms and ranks that they give."""

from __future__ import annotations

from math import inf

from ..base.errors import check_dim, require
from ..base.layout import contiguous_layout
from ..return_types import structure_of
from .define import op, ops
from .kinds import Composite, Opaque
from .linalg import adjoint, check_matrix, check_square, check_type, conj, matrices, tracked
from .linalg_solve import bound, cutoffs, inverse
from .out_rules import safely
from .reduce_norm import vector_norm


def gaps(values):
    """``values[j] - values[i]``, with 1 on the diagonal."""
    found = ops.unsqueeze(values, -2) - ops.unsqueeze(values, -1)
    n = values._layout.shape[-1]
    return found + ops.eye(n, dtype=values._layout.dtype)


def over(x, gap):
    """``x / gap``, with 0 for 0 / 0: no gradient of a vector asks for nothing, however close the values are."""
    gap, _ = ops.broadcast_tensors(gap, x) if gap._layout.shape != x._layout.shape else (gap, x)
    return x / ops.where(ops.logical_and(gap == 0, x == 0), 1, gap)


def check_phase(x, name: str, what: str) -> None:
    """Refuse a loss that depends on the phase of eigenvectors, which is arbitrary."""
    if not x._layout.dtype.is_complex or not x._layout.numel:
        return
    found = ops.imag(x.detach())
    bad = ops.amax(ops.abs(found)).item()
    scale = ops.amax(ops.abs(x.detach())).item()
    require(
        bad <= 1e-2 * max(1.0, scale),
        f"{name}: The {what} in the complex case are specified up to multiplication by "
        "e^{i phi}. The specified loss function depends on this quantity, so it is ill-defined.",
    )


# -- symmetric matrices ----------------------------------------------------------------------------------------------


@op("symmetric_parts(Tensor A, str uplo, bool vectors) -> (Tensor, Tensor)", function=False, method=False)
class SymmetricParts(Opaque):
    """Eigenvalues in ascending order, and eigenvectors (empty unless wanted)."""

    algorithm = "lapack_spectral.symmetric"

    def layouts(A, vectors):
        values, found = matrices(A, ((A.shape[-1],), A.dtype.to_real()), (A.shape[-2:], None))
        return [values, found if vectors else contiguous_layout((0,), A.dtype, A.device)]

    def d_A(g0, g1, result0, result1):
        inner = ops.matmul(adjoint(result1), g1)
        check_phase(ops.diagonal(inner, 0, -2, -1), "linalg_eigh_backward", "eigenvectors")
        off = inner - ops.diag_embed(ops.diagonal(inner, 0, -2, -1))
        inner = over(off, gaps(result0)) + ops.to_copy(ops.diag_embed(g0), dtype=g1._layout.dtype)
        return ops.matmul(ops.matmul(result1, inner), adjoint(result1))


def symmetric(A, uplo: str, vectors: bool):
    check_square("linalg.eigh", A._layout)
    check_type("linalg.eigh", A._layout)
    require(
        uplo.upper() in ("L", "U"), f"Expected UPLO argument to be 'L' or 'U', but got {uplo}", RuntimeError
    )
    return ops.symmetric_parts(A, uplo, vectors or tracked(A))


@op("linalg.eigh(Tensor A, str UPLO='L', *, Tensor? out=None) -> (Tensor, Tensor)")
class Eigh(Composite):
    """Eigenvalues, in ascending order, and orthonormal eigenvectors of symmetric or Hermitian matrices.

    UPLO: which triangle is read.
    """

    def body(A, UPLO):
        return structure_of("linalg_eigh")(symmetric(A, UPLO, True))


@op("linalg.eigvalsh(Tensor A, str UPLO='L', *, Tensor? out=None) -> Tensor")
class Eigvalsh(Composite):
    """Eigenvalues of symmetric or Hermitian matrices, in ascending order."""

    def body(A, UPLO):
        return symmetric(A, UPLO, False)[0]


# -- general matrices --------------------------------------------------------------------------------------------------


@op("general_parts(Tensor A, bool vectors) -> (Tensor, Tensor)", function=False, method=False)
class GeneralParts(Opaque):
    """Complex eigenvalues and eigenvectors (empty unless wanted)."""

    algorithm = "lapack_spectral.general"

    def layouts(A, vectors):
        kind = A.dtype.to_complex()
        values, found = matrices(A, ((A.shape[-1],), kind), (A.shape[-2:], kind))
        return [values, found if vectors else contiguous_layout((0,), kind, A.device)]

    def d_A(g0, g1, result0, result1, A_layout):
        turned = adjoint(result1)
        inner = ops.matmul(turned, g1)
        slope = ops.diagonal(inner, 0, -2, -1)
        check_phase(slope, "linalg_eig_backward", "eigenvectors")
        length = ops.to_copy(ops.real(slope), dtype=slope._layout.dtype)
        inner = inner - ops.matmul(turned, result1 * ops.unsqueeze(length, -2))
        inner = over(inner, conj(gaps(result0)))
        inner = inner - ops.diag_embed(ops.diagonal(inner, 0, -2, -1)) + ops.diag_embed(g0)
        found = ops.solution(turned, ops.matmul(inner, turned), "")[0]
        return found if A_layout.dtype.is_complex else ops.real(found)


def general(name: str, A, vectors: bool):
    check_square("linalg.eig", A._layout)
    check_type("linalg.eig", A._layout)
    return ops.general_parts(A, vectors or tracked(A))


@op("linalg.eig(Tensor A, *, Tensor? out=None) -> (Tensor, Tensor)")
class Eig(Composite):
    """Complex eigenvalues and eigenvectors (of length 1, as columns) of square matrices."""

    def body(A):
        return structure_of("linalg_eig")(general("linalg.eig", A, True))


@op("linalg.eigvals(Tensor A, *, Tensor? out=None) -> Tensor")
class Eigvals(Composite):
    """Complex eigenvalues of square matrices."""

    def body(A):
        return general("linalg.eigvals", A, False)[0]


# -- singular values -----------------------------------------------------------------------------------------------------


@op(
    "singular_parts(Tensor A, bool vectors, bool full) -> (Tensor, Tensor, Tensor)",
    function=False,
    method=False,
)
class SingularParts(Opaque):
    """U, S and V^H; U and V^H are empty unless wanted."""

    algorithm = "lapack_spectral.singular"

    def layouts(A, vectors, full):
        m, n = A.shape[-2:]
        k = min(m, n)
        u, s, v = matrices(
            A, ((m, m if full else k), None), ((k,), A.dtype.to_real()), ((n if full else k, n), None)
        )
        none = contiguous_layout((0,), A.dtype, A.device)
        return [u, s, v] if vectors else [none, s, none]

    def d_A(g0, g1, g2, result0, result1, result2):
        return singular_gradient(g0, g1, g2, result0, result1, result2)


def skew(x):
    return x - adjoint(x)


def singular_gradient(g_u, g_s, g_vh, u, s, vh):
    """Gradient of a matrix from those of its singular values and vectors (Townsend 2016)."""
    m, n, k = u._layout.shape[-2], vh._layout.shape[-1], s._layout.shape[-1]
    kind = u._layout.dtype
    u, g_u = ops.narrow(u, -1, 0, k), ops.narrow(g_u, -1, 0, k)
    vh, g_vh = ops.narrow(vh, -2, 0, k), ops.narrow(g_vh, -2, 0, k)
    left, right = skew(ops.matmul(adjoint(u), g_u)), skew(ops.matmul(vh, adjoint(g_vh)))
    row, column = ops.unsqueeze(s, -2), ops.unsqueeze(s, -1)
    apart = gaps(s * s)
    inner = over(left, apart) * row + column * over(right, apart)
    inner = inner + ops.diag_embed(ops.to_copy(g_s, dtype=kind))
    if kind.is_complex:
        turn = ops.diagonal(left, 0, -2, -1)
        check_phase(turn + ops.diagonal(right, 0, -2, -1), "svd_backward", "singular vectors")
        inner = inner - ops.diag_embed(ops.diagonal(left * row + column * right, 0, -2, -1))
        inner = inner + ops.diag_embed(over(turn, s * 2))
    found = ops.matmul(ops.matmul(u, inner), vh)
    if m > k:
        part = over(g_u, row)
        found = found + ops.matmul(part - ops.matmul(u, ops.matmul(adjoint(u), part)), vh)
    if n > k:
        part = over(g_vh, column)
        found = found + ops.matmul(u, part - ops.matmul(ops.matmul(part, adjoint(vh)), vh))
    return found


def check_svd(A, driver=None) -> None:
    check_matrix("linalg.svd", A._layout)
    check_type("linalg.svd", A._layout)
    require(
        driver is None,
        "torch.linalg.svd: keyword argument `driver=` is only supported on CUDA inputs with cuSOLVER backend.",
    )


def singular_values(A):
    """Singular values; through the vectors where a gradient is needed."""
    return ops.singular_parts(A, tracked(A), False)[1]


@op(
    "linalg.svd(Tensor A, bool full_matrices=True, *, str? driver=None, Tensor? out=None) -> (Tensor, Tensor, Tensor)"
)
class LinalgSvd(Composite):
    """``A = U diag(S) Vh`` with singular values in descending order."""

    def body(A, full_matrices, driver):
        check_svd(A, driver)
        return structure_of("linalg_svd")(ops.singular_parts(A, True, full_matrices))


@op("linalg.svdvals(Tensor A, *, str? driver=None, Tensor? out=None) -> Tensor")
class Svdvals(Composite):
    """Singular values in descending order."""

    def body(A, driver):
        check_svd(A, driver)
        return singular_values(A)


@op(
    "svd(Tensor input, bool some=True, bool compute_uv=True, *, Tensor? out=None) -> (Tensor, Tensor, Tensor)"
)
class Svd(Composite):
    """``input = U diag(S) V^H``; ``some=False`` gives square ``U`` and ``V``, ``compute_uv=False`` zeros for them."""

    def body(input, some, compute_uv):
        where = input._layout
        require(where.ndim >= 2, "linalg.svd: The input tensor A must have at least 2 dimensions.")
        check_svd(input)
        m, n = where.shape[-2:]
        if not compute_uv:
            batch = where.shape[:-2]
            zeros = [
                ops.zeros((*batch, size, size), dtype=where.dtype, device=where.device) for size in (m, n)
            ]
            return structure_of("svd")((zeros[0], singular_values(input), zeros[1]))
        u, s, vh = ops.singular_parts(input, True, not some)
        return structure_of("svd")((u, s, adjoint(vh)))


# -- norms, condition, rank ----------------------------------------------------------------------------------------------


def matrix_norm(A, ord, dim, keepdim: bool, dtype):
    """A norm of the matrices in two dimensions."""
    name, where = "linalg.matrix_norm", A._layout
    check_matrix(name, where)
    check_type(name, where, low=True)
    dims = (dim,) if isinstance(dim, int) else tuple(dim)
    require(len(dims) == 2, f"{name}: dim must be a 2-tuple. Got {' '.join(map(str, dims))}")
    a, b = (check_dim(d, where.ndim) for d in dims)
    require(a != b, f"{name}: dims must be different. Got ({dims[0]}, {dims[1]})")
    if isinstance(ord, str):
        require(ord in ("fro", "nuc"), f"{name}: Order {ord} not supported.")
    else:
        require(abs(ord) in (1, 2, inf), f"{name}: Order {ord} not supported.")
    if ord == "fro":
        return vector_norm(A, 2, (a, b), keepdim, dtype)
    A = ops.to_copy(A, dtype=dtype) if dtype is not None else A
    if ord == "nuc" or abs(ord) == 2:
        check_type(name, A._layout)
        values = singular_values(ops.movedim(A, (a, b), (-2, -1)))
        found = ops.sum(values, -1) if ord == "nuc" else extreme(values, -1, False, ord > 0)
        for d in sorted((a, b)) if keepdim else ():
            found = ops.unsqueeze(found, d)
        return found
    inner, outer = (a, b) if abs(ord) == 1 else (b, a)
    if not keepdim and outer > inner:
        outer -= 1
    sums = ops.sum(ops.abs(A), inner, keepdim)
    return extreme(sums, outer, keepdim, ord > 0)


def extreme(x, dim: int, keepdim: bool, largest: bool):
    """Largest (0 of none) or smallest along a dimension; gradients are shared between equals."""
    if not largest:
        return ops.amin(x, dim, keepdim)
    return ops.amax(x, dim, keepdim) if x._layout.shape[dim] else ops.sum(x, dim, keepdim)


@op("linalg.matrix_norm(Tensor A, any ord='fro', any dim=(-2, -1), bool keepdim=False, *, ScalarType? dtype=None, "
    "Tensor? out=None) -> Tensor")  # fmt: skip
class MatrixNorm(Composite):
    """Norm of matrices: "fro", "nuc", inf, -inf, 1, -1, 2 or -2."""

    def body(A, ord, dim, keepdim, dtype):
        return matrix_norm(A, ord, dim, keepdim, dtype)


@op(
    "linalg.norm(Tensor A, any ord=None, any dim=None, bool keepdim=False, *, ScalarType? dtype=None, Tensor? out=None) -> Tensor"
)
class LinalgNorm(Composite):
    """Vector or matrix norm, by the number of dimensions in ``dim``."""

    def body(A, ord, dim, keepdim, dtype):
        dims = (dim,) if isinstance(dim, int) else None if dim is None else tuple(dim)
        if dims is not None:
            require(
                len(dims) in (1, 2),
                f"linalg.norm: If dim is specified, it must be of length 1 or 2. Got {list(dims)}",
            )
        elif ord is not None:
            require(
                A._layout.ndim in (1, 2),
                f"linalg.norm: If dim is not specified but ord is, the input must be 1D or 2D. Got {A._layout.ndim}D.",
            )
        if isinstance(ord, str):
            require(
                dims is None or len(dims) == 2,
                f"linalg.matrix_norm: dim must be a 2-tuple. Got {' '.join(map(str, dims or ()))}",
            )
            return matrix_norm(A, ord, dims or (-2, -1), keepdim, dtype)
        if ord is not None and (dims is not None and len(dims) == 2 or dims is None and A._layout.ndim == 2):
            return matrix_norm(A, ord, dims or (0, 1), keepdim, dtype)
        if dims is None and ord is None:
            found = vector_norm(ops.flatten(A), 2, None, False, dtype)
            return ops.reshape(found, (1,) * A._layout.ndim) if keepdim else found
        return vector_norm(A, 2 if ord is None else ord, dims, keepdim, dtype)


@op("linalg.cond(Tensor A, any p=None, *, Tensor? out=None) -> Tensor")
class Cond(Composite):
    """Condition number with respect to a matrix norm."""

    check_out = safely("linalg.cond")

    def body(A, p):
        where = A._layout
        check_matrix("linalg.cond", where)
        check_type("linalg.cond", where)
        if p is None or not isinstance(p, str) and abs(p) == 2:
            values = singular_values(A)
            if values._layout.shape[-1] == 0:
                return ops.zeros(where.shape[:-2], dtype=where.dtype.to_real())
            largest, smallest = ops.select(values, -1, 0), ops.select(values, -1, -1)
            return smallest / largest if p == -2 else largest / smallest
        require(
            p in ("fro", "nuc", inf, -inf, 1, -1),
            f"linalg.cond got an invalid norm type: {p}",
        )
        check_square("linalg.cond", where)
        if where.numel == 0:
            return ops.zeros(where.shape[:-2], dtype=where.dtype.to_real())
        found, info = inverse("linalg.inv_ex", A, False)
        product = matrix_norm(A, p, (-2, -1), False, None) * matrix_norm(found, p, (-2, -1), False, None)
        return ops.where(info != 0, inf, product)


def rank_of(input, atol, rtol, hermitian: bool):
    where = input._layout
    check_matrix("linalg.matrix_rank", where, "input")
    check_type("torch.linalg.matrix_rank", where)
    atol, rtol = cutoffs("torch.linalg.matrix_rank", input, atol, rtol)
    given = input.detach()
    if where.numel == 0:
        return ops.zeros(where.shape[:-2], dtype=ops.arange(0)._layout.dtype)
    if hermitian:
        check_square("linalg.matrix_rank", where)
        sizes = ops.abs(ops.symmetric_parts(given, "L", False)[0])
    else:
        sizes = ops.singular_parts(given, False, False)[1]
    return ops.sum(sizes > bound(ops.amax(sizes, -1, True), atol, rtol), -1)


@op(
    "linalg.matrix_rank(Tensor A, any tol=None, bool hermitian=False, *, any atol=None, any rtol=None, Tensor? out=None) -> Tensor"
)
class MatrixRank(Composite):
    """Number of singular values above ``max(atol, rtol * largest)``."""

    check_out = safely("linalg.matrix_rank")

    def body(A, tol, hermitian, atol, rtol):
        if tol is not None:
            atol, rtol = tol, 0.0
        return rank_of(A, atol, rtol, hermitian)
