"""Products of matrices and vectors: powers, chains, cross products, covariance, the matrix exponential."""

from __future__ import annotations

from ..base import dtype as types
from ..base.errors import check_dim, require
from ..base.layout import broadcast_shapes
from .contract import multiply_chain
from .define import op, ops
from .kinds import Composite
from .linalg import NAMES, check_square, check_type, conj
from .linalg_solve import inverse
from .out_rules import safely, worded

_CPP = {"float32": "float", "float64": "double", "int64": "long", "int32": "int"}


@op("trace(Tensor input) -> Tensor")
class Trace(Composite):
    """Sum of the diagonal of a matrix."""

    def body(input):
        ndim = input._layout.ndim
        require(ndim == 2, f"trace: expected a matrix, but got tensor with dim {ndim}")
        return ops.sum(ops.diagonal(input, 0, 0, 1))


# -- cross and dot products --------------------------------------------------------------------------------------------


def cross(input, other, dim: int):
    a, b = input._layout, other._layout
    require(a.ndim == b.ndim, "linalg.cross: inputs must have the same number of dimensions.")
    at = check_dim(dim, a.ndim)
    require(
        a.ndim and a.shape[at] == 3 and b.shape[at] == 3,
        f"linalg.cross: inputs dimension {dim} must have length 3. Got "
        f"{a.shape[at] if a.ndim else 1} and {b.shape[at] if b.ndim else 1}",
    )
    try:
        shape = broadcast_shapes(a.shape, b.shape)
    except ValueError as error:
        k = error.args[0]
        raise RuntimeError(
            f"The size of tensor a ({a.shape[k]}) must match the size of tensor b ({b.shape[k]}) at "
            f"non-singleton dimension {k}"
        ) from None
    x, y = ops.expand(input, tuple(shape)), ops.expand(other, tuple(shape))

    def turned(t, k: int):
        return ops.roll(t, k, at)

    return turned(x, -1) * turned(y, 1) - turned(x, 1) * turned(y, -1)


@op("linalg.cross(Tensor input, Tensor other, *, int dim=-1, Tensor? out=None) -> Tensor")
class LinalgCross(Composite):
    """Cross product of vectors of three elements along ``dim``."""

    def body(input, other, dim):
        return cross(input, other, dim)


@op("cross(Tensor input, Tensor other, int? dim=None, *, Tensor? out=None) -> Tensor")
class Cross(Composite):
    """Cross product along ``dim``; by default the first dimension of size 3."""

    def body(input, other, dim):
        if dim is None:
            dim = next((d for d, n in enumerate(input._layout.shape) if n == 3), None)
            require(dim is not None, "no dimension of size 3 in input")
        return cross(input, other, dim)


@op("linalg.vecdot(Tensor x, Tensor y, *, int dim=-1, Tensor? out=None) -> Tensor")
class Vecdot(Composite):
    """Dot products of vectors along ``dim``, the first conjugated."""

    check_out = worded("result dtype {have} does not match input dtype {want}", cast=False)

    def body(x, y, dim):
        a, b = x._layout, y._layout
        check_type("linalg.vecdot", a, low=True) if a.dtype.kind >= 2 else None
        require(
            a.dtype is b.dtype,
            "linalg.vecdot: Expected x and y to have the same dtype, but found x of type "
            f"{NAMES.get(a.dtype.name)} and y of type {NAMES.get(b.dtype.name)} instead",
        )
        return ops.sum(conj(x) * y, dim, dtype=a.dtype)


# -- powers and chains -----------------------------------------------------------------------------------------------


def power(name: str, A, n: int):
    where = A._layout
    check_square(name, where)
    size = where.shape[-1]
    if n == 0:
        return ops.clone(ops.expand(ops.eye(size, dtype=where.dtype, device=where.device), where.shape)) + (
            A * 0 if A.requires_grad else 0
        )
    if n == 1:
        return ops.clone(A)
    if n < 0:
        A, n = inverse("linalg.inv", A)[0], -n
    result, square = None, A
    while n:
        if n & 1:
            result = square if result is None else ops.matmul(result, square)
        n >>= 1
        square = ops.matmul(square, square) if n else None
    return result


@op("linalg.matrix_power(Tensor A, int n, *, Tensor? out=None) -> Tensor")
class LinalgMatrixPower(Composite):
    """``n``-th power of square matrices; negative powers of the inverse."""

    check_out = safely("matrix_power")

    def body(A, n):
        return power("linalg.matrix_power", A, n)


@op("matrix_power(Tensor input, int n, *, Tensor? out=None) -> Tensor")
class MatrixPower(Composite):
    """`linalg.matrix_power`."""

    def body(input, n):
        return power("linalg.matrix_power", input, n)


@op("linalg.multi_dot(Tensor[] tensors, *, Tensor? out=None) -> Tensor")
class MultiDot(Composite):
    """Product of matrices in the cheapest order; the first and the last may be vectors."""

    def body(tensors):
        given = list(tensors)
        require(len(given) >= 2, f"multi_dot(): expected at least 2 tensors but got {len(given)}")
        shape = []
        for k, where in ((0, "first"), (len(given) - 1, "last")):
            ndim = given[k]._layout.ndim
            require(1 <= ndim <= 2, f"multi_dot(): the {where} tensor must be 1D or 2D but got {ndim}D")
        if given[0]._layout.ndim == 2:
            shape.append(given[0]._layout.shape[0])
        else:
            given[0] = ops.unsqueeze(given[0], 0)
        if given[-1]._layout.ndim == 2:
            shape.append(given[-1]._layout.shape[1])
        else:
            given[-1] = ops.unsqueeze(given[-1], 1)
        first = given[0]._layout.dtype
        for k, t in enumerate(given):
            where = t._layout
            require(where.ndim == 2, f"multi_dot(): tensor {k} must be 2D but got {where.ndim}D")
            require(
                where.dtype is first,
                "multi_dot(): all tensors must have be the same dtype but tensor 0 is "
                f"{_CPP.get(first.name, first.name)} and tensor {k} {_CPP.get(where.dtype.name, where.dtype.name)}",
            )
            before = given[k - 1]._layout.shape
            require(
                k == 0 or before[-1] == where.shape[0],
                f"multi_dot(): tensors {k - 1} and {k} with shapes {list(before)} "
                f"and {list(where.shape)} cannot be multiplied",
            )
        return ops.reshape(multiply_chain(given), shape)


@op("chain_matmul_of(any[*] matrices) -> Tensor", method=False, function=False, also="chain_matmul")
class ChainMatmulOf(Composite):
    """Product of the matrices given one by one, in the cheapest order."""

    def body(matrices):
        given = list(matrices) if isinstance(matrices, (tuple, list)) else [matrices]
        require(given, "chain_matmul(): Expected one or more matrices")
        for t in given:
            require(t._layout.ndim == 2, f"Tensor dimension is {t._layout.ndim}, expected 2 instead.")
        return multiply_chain(given)


# -- the matrix exponential --------------------------------------------------------------------------------------------

#: coefficients of the diagonal Padé approximant of degree 13 of exp, and the norm up to which it is exact
#: to double precision (Higham 2005)
_PADE = (64764752532480000, 32382376266240000, 7771770303897600, 1187353796428800, 129060195264000, 10559470521600,
         670442572800, 33522128640, 1323241920, 40840800, 960960, 16380, 182, 1)  # fmt: skip
_REACH = 5.371920351148152


def exponential(A):
    where = A._layout
    check_square("linalg.matrix_exp", where)
    check_type("linalg.matrix_exp", where)
    n = where.shape[-1]
    if where.numel == 0:
        return ops.clone(A)
    unit = ops.eye(n, dtype=where.dtype, device=where.device)
    sizes = ops.amax(ops.sum(ops.abs(A.detach()), -2), -1)
    halvings = ops.clamp(ops.ceil(ops.log2(ops.clamp(sizes, 1e-30) / _REACH)), 0)
    halvings = ops.nan_to_num(halvings, 0.0, 0.0, 0.0)
    times = ops.matmul
    x = A * ops.to_copy(ops.unsqueeze(ops.unsqueeze(ops.exp2(-halvings), -1), -1), dtype=where.dtype)
    square = times(x, x)
    fourth = times(square, square)
    sixth = times(fourth, square)
    c = [k / _PADE[0] for k in _PADE]
    high = times(sixth, sixth * c[13] + fourth * c[11] + square * c[9])
    odd = times(x, high + sixth * c[7] + fourth * c[5] + square * c[3] + unit * c[1])
    high = times(sixth, sixth * c[12] + fourth * c[10] + square * c[8])
    even = high + sixth * c[6] + fourth * c[4] + square * c[2] + unit * c[0]
    found = ops.solution(even - odd, even + odd, "")[0]
    for k in range(int(ops.amax(halvings).item())):
        more = ops.unsqueeze(ops.unsqueeze(halvings > k, -1), -1)
        found = ops.where(more, times(found, found), found)
    return found


@op("linalg.matrix_exp(Tensor A) -> Tensor")
class LinalgMatrixExp(Composite):
    """Matrix exponential, by scaling, a rational approximation, and squaring.

    Source: N. J. Higham, The Scaling and Squaring Method for the Matrix Exponential Revisited (2005).
    """

    def body(A):
        return exponential(A)


@op("matrix_exp(Tensor input) -> Tensor")
class MatrixExp(Composite):
    """`linalg.matrix_exp`."""

    def body(input):
        return exponential(input)


# -- covariance ------------------------------------------------------------------------------------------------------------


def check_weights(name: str, weights, count: int, integral: bool) -> None:
    where = weights._layout
    require(
        where.ndim <= 1,
        f"cov(): expected {name} to have one or fewer dimensions but got {name} with {where.ndim} dimensions",
    )
    wanted = "integral" if integral else "floating point"
    require(
        (where.dtype.kind == 1) if integral else (where.dtype.kind == 2),
        f"cov(): expected {name} to have {wanted} dtype but got {name} with {NAMES.get(where.dtype.name)} dtype",
    )
    require(
        where.numel == count,
        f"cov(): expected {name} to have the same numel as there are observations in the input but got "
        f"{where.numel} != {count}",
    )
    require(count == 0 or bool((ops.amin(weights) >= 0).item()), f"cov(): {name} cannot be negative")


def covariance(input, correction: int, fweights, aweights):
    where = input._layout
    require(
        where.ndim <= 2,
        f"cov(): expected input to have two or fewer dimensions but got an input with {where.ndim} dimensions",
    )
    require(where.dtype.kind != 0, "cov(): bool dtype is not supported for input")
    x = input if where.ndim == 2 else ops.reshape(input, (1, -1))
    count = x._layout.shape[1]
    if fweights is not None:
        check_weights("fweights", fweights, count, True)
    if aweights is not None:
        check_weights("aweights", aweights, count, False)
    weights = fweights if aweights is None else aweights if fweights is None else fweights * aweights
    total = count if weights is None else ops.sum(weights)
    if weights is not None:
        require(count == 0 or bool((total != 0).item()), "cov(): weights sum to zero, can't be normalized")
        mean = ops.unsqueeze(ops.sum(x * weights, 1) / total, 1)
    else:
        mean = ops.sum(x, 1, True) / total
    scale = total
    if weights is not None and aweights is not None and correction:
        scale = total - correction * ops.sum(weights * aweights) / total
    else:
        scale = total - correction
    centred = x - mean
    right = conj(centred * weights if weights is not None else centred)
    scale = ops.clamp(scale, 0) if hasattr(scale, "_layout") else max(scale, 0)
    found = ops.matmul(centred, ops.transpose(right, 0, 1))
    found = ops.div(found, scale)
    return ops.reshape(found, ()) if found._layout.numel == 1 else found


@op("cov(Tensor input, *, int correction=1, Tensor? fweights=None, Tensor? aweights=None) -> Tensor")
class Cov(Composite):
    """Covariance matrix of variables (rows) over observations (columns).

    fweights: how often each observation occurs. aweights: how much each counts.
    """

    def body(input, correction, fweights, aweights):
        return covariance(input, correction, fweights, aweights)


@op("corrcoef(Tensor input) -> Tensor")
class Corrcoef(Composite):
    """Pearson correlation coefficients of variables (rows) over observations (columns)."""

    def body(input):
        ndim = input._layout.ndim
        require(
            ndim <= 2,
            f"corrcoef(): expected input to have two or fewer dimensions but got an input with {ndim} dimensions",
        )
        c = covariance(input, 1, None, None)
        if c._layout.ndim == 0:
            return c / c
        d = ops.diagonal(c, 0, 0, 1)
        deviation = ops.sqrt(ops.real(d) if d._layout.dtype.is_complex else d)
        c = c / ops.unsqueeze(deviation, 1) / ops.unsqueeze(deviation, 0)
        if c._layout.dtype.is_complex:
            return ops.complex(ops.clamp(ops.real(c), -1, 1), ops.clamp(ops.imag(c), -1, 1))
        return ops.clamp(c, -1, 1)


# -- Vandermonde matrices ------------------------------------------------------------------------------------------------


@op("linalg.vander(Tensor x, *, int? N=None) -> Tensor")
class LinalgVander(Composite):
    """Powers 0, 1, ..., ``N - 1`` of each element as a new last dimension."""

    def body(x, N):
        where = x._layout
        n = (where.shape[-1] if where.ndim else 1) if N is None else N
        require(n > 1, "N must be greater than 1.")
        kind = types.int64 if where.dtype.kind < 2 else where.dtype
        shape = tuple(where.shape) if where.ndim else (1,)
        column = ops.expand(ops.unsqueeze(ops.reshape(x, shape), -1), (*shape, n - 1))
        powers = ops.cumprod(column, -1, dtype=kind)
        return ops.cat([ops.ones((*shape, 1), dtype=powers._layout.dtype, device=where.device), powers], -1)


@op("vander(Tensor x, int? N=None, bool increasing=False) -> Tensor", method=False)
class Vander(Composite):
    """Powers of the elements of a vector as the columns of a matrix; descending unless ``increasing``."""

    def body(x, N, increasing):
        require(x._layout.ndim == 1, "x must be a one-dimensional tensor.")
        n = x._layout.shape[0] if N is None else N
        require(n >= 0, "N must be non-negative.")
        kind = types.int64 if x._layout.dtype.kind < 2 else x._layout.dtype
        exponents = ops.arange(n) if increasing else ops.arange(n - 1, -1, -1) if n else ops.arange(0)
        return ops.pow(ops.to_copy(ops.unsqueeze(x, 1), dtype=kind), exponents)
