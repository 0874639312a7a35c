"""Contractions: matrix products and what is made of them."""

from __future__ import annotations

from ..base.errors import by, check_dim, require
from ..base.layout import Layout, broadcast_shapes, contiguous_layout
from ..ir.expr import conj
from . import define
from .define import op, ops
from .kinds import Composite, Opaque
from .out_rules import castable, worded
from .reduce import Sum

_NAMES = {
    "float32": "float", "float64": "double", "float16": "c10::Half", "bfloat16": "c10::BFloat16", "int64": "long",
    "int32": "int", "int16": "short", "int8": "signed char", "uint8": "unsigned char", "bool": "bool",
    "complex64": "c10::complex<float>", "complex128": "c10::complex<double>",
}  # fmt: skip


def same_types(
    first: Layout, second: Layout, text: str = "expected m1 and m2 to have the same dtype, but got: "
) -> None:
    a, b = first.dtype.name, second.dtype.name
    require(
        a == b, f"{text}{_NAMES.get(a, a)} != {_NAMES.get(b, b)}", fix="convert one of them with .to(dtype)"
    )
    require(a != "bool", "\"addmm_impl_cpu_\" not implemented for 'Bool'", NotImplementedError)


def result(shape, like: Layout) -> Layout:
    return contiguous_layout(shape, like.dtype, like.device)


def mt(t):
    """The conjugate transpose of the last two dimensions."""
    return conj(ops.transpose(t, -2, -1))


class Product(Opaque):
    """A product of matrices: (..., m, k) times (..., k, n), batches broadcast; vectors count as a row or a column."""

    algorithm = "contract.product"


@op("mm(Tensor input, Tensor mat2, *, Tensor? out=None) -> Tensor")
class Mm(Product):
    """Matrix product of two matrices."""

    def check(input, mat2):
        require(input.ndim == 2, "self must be a matrix")
        require(mat2.ndim == 2, "mat2 must be a matrix")
        require(input.shape[1] == mat2.shape[0],
                f"mat1 and mat2 shapes cannot be multiplied ({by(input.shape)} and {by(mat2.shape)})",
                need=f"input.shape[1] == mat2.shape[0]; got {input.shape[1]} and {mat2.shape[0]}")  # fmt: skip
        same_types(input, mat2)

    def layouts(input, mat2):
        return result((input.shape[0], mat2.shape[1]), input)

    def d_input(g, mat2):
        return ops.mm(g, mt(mat2))

    def d_mat2(g, input):
        return ops.mm(mt(input), g)


@op("bmm(Tensor input, Tensor mat2, *, Tensor? out=None) -> Tensor")
class Bmm(Product):
    """Matrix products of two batches of matrices."""

    def check(input, mat2):
        require(
            input.ndim == 3 and mat2.ndim == 3,
            "batch1 must be a 3D tensor" if input.ndim != 3 else "batch2 must be a 3D tensor",
        )
        require(input.shape[0] == mat2.shape[0] and input.shape[2] == mat2.shape[1],
                f"Expected size for first two dimensions of batch2 tensor to be: [{input.shape[0]}, {input.shape[2]}] but "
                f"got: [{mat2.shape[0]}, {mat2.shape[1]}].")  # fmt: skip
        same_types(input, mat2, "expected scalar type to be the same for both matrices, but got: ")

    def layouts(input, mat2):
        return result((input.shape[0], input.shape[1], mat2.shape[2]), input)

    def d_input(g, mat2):
        return ops.bmm(g, mt(mat2))

    def d_mat2(g, input):
        return ops.bmm(mt(input), g)


def as_rows(t):
    """A tensor as a matrix of its last dimension's rows."""
    rows = 1
    for n in t.shape[:-1]:
        rows *= n
    return ops.reshape(t, (rows, t.shape[-1]))


def vector_grad(g, input_ndim: int, other_ndim: int):
    """The gradient of a matmul with its vector dimensions put back."""
    if other_ndim == 1:
        g = ops.unsqueeze(g, -1)
    if input_ndim == 1:
        g = ops.unsqueeze(g, -2)
    return g


@op(
    "matmul(Tensor input, Tensor other, *, Tensor? out=None) -> Tensor",
    also="linalg.matmul",
    methods="__matmul__",
)
class Matmul(Product):
    """Matrix product with broadcast batches; 1-D operands are a row on the left, a column on the right.

    >>> import flambeau as torch
    >>> torch.ones(2, 3) @ torch.ones(3)
    tensor([3., 3.])
    """

    def check(input, other):
        require(input.ndim > 0 and other.ndim > 0,
                f"both arguments to matmul need to be at least 1D, but they are {input.ndim}D and {other.ndim}D")  # fmt: skip
        k = other.shape[0] if other.ndim == 1 else other.shape[-2]
        if input.shape[-1] != k:
            raise_matmul_mismatch(input, other, k)
        same_types(input, other)

    def layouts(input, other):
        rows = input.shape[-2:-1]
        columns = other.shape[-1:] if other.ndim > 1 else ()
        try:
            batch = broadcast_shapes(input.shape[:-2], other.shape[:-2])
        except ValueError as error:
            (at,) = error.args
            a, b = ((1,) * 99 + tuple(s.shape[:-2]) for s in (input, other))
            count = max(input.ndim, other.ndim) - 2
            raise RuntimeError(
                f"The size of tensor a ({a[at - count]}) must match the size of tensor b ({b[at - count]}) at "
                f"non-singleton dimension {at}"
            ) from None
        return result((*batch, *rows, *columns), input)

    def d_input(g, input_layout, other):
        g = vector_grad(g, input_layout.ndim, other.dim())
        right = conj(other)
        right = ops.unsqueeze(right, 0) if other.dim() == 1 else ops.transpose(right, -2, -1)
        found = ops.matmul(g, right)
        return ops.squeeze_rows(found) if input_layout.ndim == 1 else found

    def d_other(g, input, other_layout):
        g = vector_grad(g, input.dim(), other_layout.ndim)
        left = conj(input)
        left = ops.unsqueeze(left, -1) if input.dim() == 1 else ops.transpose(left, -2, -1)
        if (
            other_layout.ndim <= 2 and input.dim() > 2
        ):  # one matrix shared by a batch: one product over all rows
            found = ops.matmul(ops.transpose(as_rows(conj(input)), 0, 1), as_rows(g))
        else:
            found = ops.matmul(left, g)
        return ops.squeeze(found, -1) if other_layout.ndim == 1 else found


@op("squeeze_rows(Tensor input) -> Tensor", function=False, method=False)
class SqueezeRows(Composite):
    """(..., 1, n) summed over the batch to (n)."""

    def body(input):
        return ops.reshape(ops.sum(as_rows(input), 0), (input.shape[-1],))


def raise_matmul_mismatch(input: Layout, other: Layout, k: int) -> None:
    need = f"input.shape[-1] == other.shape[{-2 if other.ndim > 1 else -1}]; got {input.shape[-1]} and {k}"
    if input.ndim == 1 and other.ndim == 1:
        require(False, f"inconsistent tensor size, expected tensor [{input.shape[0]}] and src [{k}] to have the same number "
                f"of elements, but got {input.shape[0]} and {k} elements respectively", need=need)  # fmt: skip
    if other.ndim == 1:
        require(
            False,
            f"size mismatch, got input ({by(input.shape[-2:-1])}), mat ({by(input.shape[-2:])}), vec ({k})",
            need=need,
        )
    if input.ndim <= 2 and other.ndim <= 2 or other.ndim == 2:
        rows = 1
        for n in input.shape[:-1]:
            rows *= n
        require(
            False,
            f"mat1 and mat2 shapes cannot be multiplied ({rows}x{input.shape[-1]} and {by(other.shape)})",
            need=need,
        )
    batch = 1
    for n in (input if input.ndim > other.ndim else other).shape[:-2]:
        batch *= n
    require(False, f"Expected size for first two dimensions of batch2 tensor to be: [{batch}, {input.shape[-1]}] but got: "
            f"[{batch}, {k}].", need=need)  # fmt: skip


@op("mv(Tensor input, Tensor vec, *, Tensor? out=None) -> Tensor")
class Mv(Composite):
    """Matrix times vector."""

    check_out = worded(
        "addmv input tensors must have the same dtype, but got {have}, {want}, and {want}", cast=False
    )

    def body(input, vec):
        require(
            input.dim() == 2 and vec.dim() == 1,
            f"vector + matrix @ vector expected, got {vec.dim()}, {input.dim()}, {vec.dim()}",
        )
        return ops.matmul(input, vec)


def dot_check(input, other) -> None:
    a, b = input._layout, other._layout
    if a.ndim == b.ndim == 1 and a.dtype is b.dtype:
        return
    require(input.dim() == 1 and other.dim() == 1,
            f"1D tensors expected, but got {input.dim()}D and {other.dim()}D tensors")  # fmt: skip
    require(input.dtype is other.dtype, "dot : expected both vectors to have same dtype, but found "
            f"{_TYPES.get(input.dtype.name)} and {_TYPES.get(other.dtype.name)}")  # fmt: skip


_TYPES = {"float32": "Float", "float64": "Double", "int64": "Long", "int32": "Int", "float16": "Half", "bfloat16": "BFloat16",
          "complex64": "ComplexFloat", "complex128": "ComplexDouble", "int16": "Short", "int8": "Char", "uint8": "Byte",
          "bool": "Bool"}  # fmt: skip


@op("dot(Tensor input, Tensor tensor, *, Tensor? out=None) -> Tensor")
class Dot(Composite):
    """Sum of the products of two vectors."""

    check_out = worded("result dtype {have} does not match input dtype {want}", cast=False)

    def body(input, tensor):
        dot_check(input, tensor)
        return ops.matmul(input, tensor)


@op("vdot(Tensor input, Tensor other, *, Tensor? out=None) -> Tensor")
class Vdot(Composite):
    """Dot product with the first vector conjugated."""

    check_out = worded("result dtype {have} does not match input dtype {want}", cast=False)

    def body(input, other):
        dot_check(input, other)
        return ops.matmul(conj(input), other)


@op("inner(Tensor input, Tensor other, *, Tensor? out=None) -> Tensor")
class Inner(Composite):
    """Sum over the last dimension of both."""

    def body(input, other):
        if input.dim() == 0 or other.dim() == 0:
            return input * other
        require(input.shape[-1] == other.shape[-1],
                "inner() the last dimension must match on both input tensors but got shapes "
                f"{list(input.shape)} and {list(other.shape)}")  # fmt: skip
        return ops.tensordot(input, other, ((-1,), (-1,)))


@op("outer(Tensor input, Tensor vec2, *, Tensor? out=None) -> Tensor", also="ger")
class Outer(Composite):
    """All products of an element of one vector and an element of the other."""

    check_out = castable

    def body(input, vec2):
        for name, one in (("self", input), ("vec2", vec2)):
            if one._layout.ndim != 1:
                raise RuntimeError(f"outer: Expected 1-D argument {name}, but got {one._layout.ndim}-D")
        return ops.mul(ops.unsqueeze(input, 1), vec2)


# -- products with something added -----------------------------------------------------------------------------


class _Added(Opaque):
    """``beta * input + alpha * (a @ b)``; with beta 0 the input is not read."""

    algorithm = "contract.added"
    scalars_follow_tensor = True


def check_expandable(input: Layout, shape) -> None:
    ok = input.ndim <= len(shape) and all(n in (1, m) for n, m in zip(reversed(input.shape), reversed(shape)))
    require(ok, f"The expanded size of the tensor ({shape[-1]}) must match the existing size "
            f"({input.shape[-1] if input.ndim else 1}) at non-singleton dimension {len(shape) - 1}.  Target sizes: "
            f"{list(shape)}.  Tensor sizes: {list(input.shape)}")  # fmt: skip


@op(
    "addmm(Tensor input, Tensor mat1, Tensor mat2, *, Scalar beta=1, Scalar alpha=1, Tensor? out=None) -> Tensor",
    inplace=True,
)
class Addmm(_Added):
    """``beta * input + alpha * mat1 @ mat2``; ``input`` is broadcast."""

    def check(input, mat1, mat2):
        require(mat1.ndim == 2, f"mat1 must be a matrix, got {mat1.ndim}-D tensor")
        require(mat2.ndim == 2, f"mat2 must be a matrix, got {mat2.ndim}-D tensor")
        require(mat1.shape[1] == mat2.shape[0],
                f"mat1 and mat2 shapes cannot be multiplied ({by(mat1.shape)} and {by(mat2.shape)})",
                need=f"mat1.shape[1] == mat2.shape[0]; got {mat1.shape[1]} and {mat2.shape[0]}")  # fmt: skip
        same_types(mat1, mat2)
        require(input.dtype is mat1.dtype, f"self and mat2 must have the same dtype, but got {_TYPES.get(input.dtype.name)} "
                f"and {_TYPES.get(mat2.dtype.name)}")  # fmt: skip
        check_expandable(input, (mat1.shape[0], mat2.shape[1]))

    def layouts(mat1, mat2):
        return result((mat1.shape[0], mat2.shape[1]), mat1)

    def d_input(g, beta):
        return g * conj(beta)

    def d_mat1(g, mat2, alpha):
        return ops.mm(g, mt(mat2)) * conj(alpha)

    def d_mat2(g, mat1, alpha):
        return ops.mm(mt(mat1), g) * conj(alpha)


@op(
    "baddbmm(Tensor input, Tensor batch1, Tensor batch2, *, Scalar beta=1, Scalar alpha=1, Tensor? out=None) -> Tensor",
    inplace=True,
)  # fmt: skip
class Baddbmm(_Added):
    """``beta * input + alpha * batch1 @ batch2``, batch by batch."""

    def check(input, batch1, batch2):
        Bmm.check(batch1, batch2)
        require(input.dtype is batch1.dtype, f"Input dtypes must be the same, got: input {input.dtype}, batch1: "
                f"{batch1.dtype}, batch2: {batch2.dtype}")  # fmt: skip
        check_expandable(input, (batch1.shape[0], batch1.shape[1], batch2.shape[2]))

    def layouts(batch1, batch2):
        return result((batch1.shape[0], batch1.shape[1], batch2.shape[2]), batch1)

    def d_input(g, beta):
        return g * conj(beta)

    def d_batch1(g, batch2, alpha):
        return ops.bmm(g, mt(batch2)) * conj(alpha)

    def d_batch2(g, batch1, alpha):
        return ops.bmm(mt(batch1), g) * conj(alpha)


@op(
    "addbmm(Tensor input, Tensor batch1, Tensor batch2, *, Scalar beta=1, Scalar alpha=1, Tensor? out=None) -> Tensor",
    inplace=True,
)  # fmt: skip
class Addbmm(Composite):
    """``beta * input + alpha * sum over the batch of batch1 @ batch2``."""

    check_out = worded("self and mat2 must have the same dtype, but got {have} and {want}", cast=False)

    def body(input, batch1, batch2, beta, alpha):
        Bmm.check(batch1._layout, batch2._layout)
        a = ops.reshape(ops.permute(batch1, (1, 0, 2)), (batch1.shape[1], -1))
        b = ops.reshape(batch2, (-1, batch2.shape[2]))
        return ops.addmm(input, a, b, beta=beta, alpha=alpha)


@op(
    "addmv(Tensor input, Tensor mat, Tensor vec, *, Scalar beta=1, Scalar alpha=1, Tensor? out=None) -> Tensor",
    inplace=True,
)
class Addmv(Composite):
    """``beta * input + alpha * mat @ vec``."""

    def body(input, mat, vec, beta, alpha):
        require(mat.dim() == 2 and vec.dim() == 1 and input.dim() <= 1,
                f"vector + matrix @ vector expected, got {input.dim()}, {mat.dim()}, {vec.dim()}")  # fmt: skip
        require(mat.shape[1] == vec.shape[0] and input.numel() in (1, mat.shape[0]),
                f"size mismatch, got input ({input.numel()}), mat ({by(mat.shape)}), vec ({vec.shape[0]})")  # fmt: skip
        product = scaled(ops.matmul(mat, vec), alpha)
        return product if beta == 0 else plus(product, scaled(input, beta))


def is_one(x) -> bool:
    return type(x) in (int, float, bool) and x == 1


def scaled(t, factor):
    """t * factor, kept in t's type."""
    if is_one(factor):
        return t
    if t.dtype.kind < 2 and isinstance(factor, float):
        factor = int(factor)
    return t * factor if t.dtype.kind else t & bool(factor)


def plus(a, b):
    return a | b if a.dtype.kind == 0 and b.dtype.kind == 0 else a + b


@op(
    "addr(Tensor input, Tensor vec1, Tensor vec2, *, Scalar beta=1, Scalar alpha=1, Tensor? out=None) -> Tensor",
    inplace=True,
)
class Addr(Composite):
    """``beta * input + alpha * outer(vec1, vec2)``."""

    check_out = castable

    def body(input, vec1, vec2, beta, alpha):
        require(vec1.dim() == 1, f"addr: Expected 1-D argument vec1, but got {vec1.dim()}-D")
        require(vec2.dim() == 1, f"addr: Expected 1-D argument vec2, but got {vec2.dim()}-D")
        for name, x in (("beta", beta), ("alpha", alpha)):
            require(
                not isinstance(x, bool) or input.dtype.kind == 0,
                f"Boolean {name} only supported for Boolean results.",
            )
        check_expandable(input._layout, (vec1.shape[0], vec2.shape[0]))
        product = scaled(ops.outer(vec1, vec2), alpha)
        return product if beta == 0 else plus(product, scaled(input, beta))


# -- linear layers ---------------------------------------------------------------------------------------------


@op("nn.functional.linear(Tensor input, Tensor weight, Tensor? bias=None) -> Tensor", also="_C._nn.linear")
class Linear(Opaque):
    """``input @ weight.T + bias`` in one call.

    Shape: input ``(*, in)``, weight ``(out, in)`` or ``(in)``, bias ``(out)`` or ``()``; result ``(*, out)`` or ``(*)``.
    """

    algorithm = "contract.linear"

    def check(input, weight, bias):
        require(input.ndim > 0, "both arguments to linear need to be at least 1D, but they are 0D and "
                f"{weight.ndim}D")  # fmt: skip
        require(weight.ndim in (1, 2), f"linear(): weight tensor should be 1-D or 2-D, got {weight.ndim}-D")
        rows = 1
        for n in input.shape[:-1]:
            rows *= n
        turned = weight.shape[::-1] if weight.ndim == 2 else weight.shape
        require(input.shape[-1] == weight.shape[-1],
                f"mat1 and mat2 shapes cannot be multiplied ({rows}x{input.shape[-1]} and {by(turned)})",
                need=f"input.shape[-1] == weight.shape[-1]; got {input.shape[-1]} and {weight.shape[-1]}",
                fix=f"this weight takes in_features={weight.shape[-1]}")  # fmt: skip
        same_types(input, weight, "mat1 and mat2 must have the same dtype, but got ")
        if bias is not None:
            require(
                bias.dtype is input.dtype,
                f"mat2 and bias must have the same dtype, but got {input.dtype} and {bias.dtype}",
            )
            check_expandable(
                bias, (*input.shape[:-1], weight.shape[0]) if weight.ndim == 2 else input.shape[:-1] or (1,)
            )

    def layouts(input, weight):
        return result((*input.shape[:-1], *(weight.shape[:1] if weight.ndim == 2 else ())), input)

    saves = {"input": ("weight",), "weight": ("input",)}

    def d_all(g, input, weight, weight_layout, bias_layout, needs):
        to_input, to_weight, to_bias = needs["input"], needs["weight"], needs["bias"]
        if weight_layout.ndim == 2 and not define.RECORDING[0]() and plain_bias(bias_layout, weight_layout):
            if weight_layout.dtype.kind > 2:
                input, weight = conj(input) if to_weight else None, conj(weight) if to_input else None
            found = ops.linear_backward(
                g, input if to_weight else None, weight if to_input else None, to_input, to_weight, to_bias
            )
            if to_input and to_weight and to_bias:
                return found
            found = iter(found if isinstance(found, tuple) else (found,))
            return (
                next(found) if to_input else None,
                next(found) if to_weight else None,
                next(found) if to_bias else None,
            )
        return (
            linear_input(g, weight) if to_input else None,
            linear_weight(g, input, weight_layout) if to_weight else None,
            (ops.sum(g) if bias_layout.ndim == 0 else ops.sum(as_rows(g), 0)) if to_bias else None,
        )


def plain_bias(bias, weight) -> bool:
    """Whether there is no bias, or one number an output."""
    return bias is None or bias.shape == weight.shape[:1]


def linear_input(g, weight):
    if weight.dim() == 1:
        return ops.unsqueeze(g, -1) * conj(weight)
    return ops.matmul(g, conj(weight))


def linear_weight(g, input, weight_layout):
    if weight_layout.ndim == 1:
        return ops.matmul(ops.reshape(g, (-1,)), as_rows(conj(input)))
    return ops.linear_weight(g, conj(input))


@op(
    "linear_backward(Tensor grad, Tensor? input, Tensor? weight, bool need_input, bool need_weight, bool need_bias) "
    "-> (Tensor, Tensor, Tensor)",
    function=False, method=False,
)  # fmt: skip
class LinearBackward(Opaque):
    """The wanted gradients of a linear layer in one call."""

    algorithm = "contract.linear_backward"
    bias_sum = Sum

    def layouts(grad, input, weight, need_input, need_weight, need_bias):
        lead, features = grad.shape[:-1], grad.shape[-1:]
        found = [result((*lead, weight.shape[1]), grad)] if need_input else []
        found += [result((*features, input.shape[-1]), grad)] if need_weight else []
        return found + ([result(features, grad)] if need_bias else [])


@op("linear_weight(Tensor grad, Tensor input) -> Tensor", function=False, method=False)
class LinearWeight(Opaque):
    """Gradient of a linear layer's weight: ``grad.T @ input`` over all leading dimensions."""

    algorithm = "contract.linear_weight"

    def layouts(grad, input):
        return result((grad.shape[-1], input.shape[-1]), input)

    def d_grad(g, input):
        return ops.linear(conj(input), g)

    def d_input(g, grad):
        return ops.matmul(conj(grad), g)


@op(
    "nn.functional.bilinear(Tensor input1, Tensor input2, Tensor weight, Tensor? bias=None) -> Tensor",
    also="bilinear",
)
class Bilinear(Composite):
    """``input1 @ weight[k] @ input2 + bias[k]`` for each output k."""

    def body(input1, input2, weight, bias):
        require(
            input1.dim() == input2.dim(),
            f"bilinear(): input dimensions do not match: got {input1.dim()} and {input2.dim()}",
        )
        require(input1.shape[:-1] == input2.shape[:-1], "bilinear(): input batch dimensions do not match")
        require(input1.shape[-1] == weight.shape[1],
                f"bilinear(): input1 size does not match weight size: got {input1.shape[-1]} but expected {weight.shape[1]}")  # fmt: skip
        require(input2.shape[-1] == weight.shape[2],
                f"bilinear(): input2 size does not match weight size: got {input2.shape[-1]} but expected {weight.shape[2]}")  # fmt: skip
        require(bias is None or bias.shape[0] == weight.shape[0],
                f"bilinear(): bias size does not match weight size: got {bias.shape[0] if bias is not None else 0} but "
                f"expected {weight.shape[0]}")  # fmt: skip
        x = ops.reshape(input1, (-1, input1.shape[-1]))
        y = ops.reshape(input2, (-1, input2.shape[-1]))
        middle = ops.matmul(x, ops.reshape(ops.permute(weight, (1, 0, 2)), (weight.shape[1], -1)))
        middle = ops.reshape(middle, (x.shape[0], weight.shape[0], weight.shape[2]))
        found = ops.squeeze(ops.matmul(middle, ops.unsqueeze(y, -1)), -1)
        found = found if bias is None else found + bias
        return ops.reshape(found, (*input1.shape[:-1], weight.shape[0]))


# -- general contractions ----------------------------------------------------------------------------------------


@op("tensordot(Tensor a, Tensor b, any dims=2, *, Tensor? out=None) -> Tensor", method=False)
class Tensordot(Composite):
    """Sum over pairs of dimensions: the last ``dims`` of a with the first of b, or two lists of dimensions."""

    def body(a, b, dims):
        if hasattr(dims, "tolist"):
            dims = dims.tolist()
        if isinstance(dims, int):
            require(dims >= 0, f"tensordot expects dims >= 0, but got dims={dims}")
            require(
                dims <= min(a.dim(), b.dim()),
                f"tensordot expects dims < ndim_a or ndim_b, but got dims={dims}",
            )
            left, right = list(range(a.dim() - dims, a.dim())), list(range(dims))
        else:
            left, right = ([d] if isinstance(d, int) else list(d) for d in dims)
        require(len(left) == len(right), "both dimension lists should have same length")
        left, right = [check_dim(d, a.dim()) for d in left], [check_dim(d, b.dim()) for d in right]
        for d, e in zip(left, right):
            n, m = a.shape[d], b.shape[e]
            require(n == m or 1 in (n, m), f"contracted dimensions need to match, but first has size {n} in dim {d} and "
                    f"second has size {m} in dim {e}")  # fmt: skip
            if n != m:  # a dimension of size 1 is broadcast: sum the other first
                kind = a._layout.dtype
                a = a if n == 1 else ops.sum(a, d, True, dtype=kind)
                b = b if n != 1 else ops.sum(b, e, True, dtype=kind)
        rest_a = [d for d in range(a.dim()) if d not in left]
        rest_b = [d for d in range(b.dim()) if d not in right]
        size = 1
        for d in left:
            size *= a.shape[d]
        shape = [a.shape[d] for d in rest_a] + [b.shape[d] for d in rest_b]
        x = ops.reshape(ops.permute(a, [*rest_a, *left]), (_size(a, rest_a), size))
        y = ops.reshape(ops.permute(b, [*right, *rest_b]), (size, _size(b, rest_b)))
        return ops.reshape(ops.mm(x, y), shape)


def _size(t, dims) -> int:
    size = 1
    for d in dims:
        size *= t.shape[d]
    return size


@op("kron(Tensor input, Tensor other, *, Tensor? out=None) -> Tensor")
class Kron(Composite):
    """Kronecker product."""

    check_out = castable

    def body(input, other):
        ndim = max(input.dim(), other.dim())
        a_shape = (1,) * (ndim - input.dim()) + tuple(input.shape)
        b_shape = (1,) * (ndim - other.dim()) + tuple(other.shape)
        a = ops.reshape(input, [s for n in a_shape for s in (n, 1)])
        b = ops.reshape(other, [s for n in b_shape for s in (1, n)])
        return ops.reshape(a * b, [n * m for n, m in zip(a_shape, b_shape)])


@op("chain_matmul(Tensor[] matrices) -> Tensor", method=False, function=False)
class ChainMatmul(Composite):
    """Product of matrices in the cheapest order."""

    def body(matrices):
        return multiply_chain(list(matrices))


def multiply_chain(matrices):
    """Product of a list of matrices in the order that needs the fewest multiplications (dynamic programming)."""
    if len(matrices) == 1:
        return matrices[0]
    sizes = [m.shape[0] for m in matrices] + [matrices[-1].shape[1]]
    n = len(matrices)
    cost = [[0] * n for _ in range(n)]
    cut = [[0] * n for _ in range(n)]
    for span in range(1, n):
        for i in range(n - span):
            j = i + span
            options = [
                (cost[i][k] + cost[k + 1][j] + sizes[i] * sizes[k + 1] * sizes[j + 1], k) for k in range(i, j)
            ]
            cost[i][j], cut[i][j] = min(options)

    def run(i, j):
        return matrices[i] if i == j else ops.mm(run(i, cut[i][j]), run(cut[i][j] + 1, j))

    return run(0, n - 1)
