"""Random numbers: fills of existing tensors, new random tensors, sampling, dropout."""

from __future__ import annotations

from ..base import dtype as types
from ..base.device import default_device
from ..base.device import device as Device
from ..base.errors import require
from . import define
from .create import _FACTORY, _LIKE, new, new_layout, new_like
from .define import op, ops
from .kinds import Composite, Opaque
from .out_rules import any_type, castable

#: gives the state tensor of a generator (None: the default one); set by the tensor layer
STATE: list = [None]


class _Fill(Opaque):
    """Writes samples into ``input`` from the stream whose state is given."""

    def layouts():
        return ()


@op("random_uniform(Tensor input, Tensor state, Scalar low, Scalar high) -> ()", function=False, method=False)
class RandomUniform(_Fill):
    """Uniform samples of [low, high)."""

    algorithm = "random.uniform"


@op("random_normal(Tensor input, Tensor state, Scalar mean, Scalar std) -> ()", function=False, method=False)
class RandomNormal(_Fill):
    """Normal samples."""

    algorithm = "random.normal"


@op(
    "random_integers(Tensor input, Tensor state, Scalar low, Scalar range, bool wide) -> ()",
    function=False,
    method=False,
)
class RandomIntegers(_Fill):
    """Integers of [low, low + range); ``wide`` draws 64 bits for each."""

    algorithm = "random.integers"


@op("random_permutation(Tensor input, Tensor state) -> ()", function=False, method=False)
class RandomPermutation(_Fill):
    """0 .. n-1 in random order."""

    algorithm = "random.permutation"


@op("random_bernoulli(Tensor input, Tensor state, Scalar p) -> ()", function=False, method=False)
class RandomBernoulli(_Fill):
    """1 with probability p, else 0."""

    algorithm = "random.bernoulli"


@op("random_exponential(Tensor input, Tensor state, Scalar rate) -> ()", function=False, method=False)
class RandomExponential(_Fill):
    """Exponential samples of a rate."""

    algorithm = "random.exponential"


class _New(Opaque):
    """A new tensor of samples from the stream whose state is given."""

    def check(dtype):
        need_float("check_uniform_bounds", dtype or types.default_float())

    def layouts(size, dtype, device):
        return new_layout(size, dtype, device)


@op(
    "new_uniform(int[] size, any dtype, any device, Tensor state, Scalar low, Scalar high) -> Tensor",
    function=False, method=False,
)  # fmt: skip
class NewUniform(_New):
    """Uniform samples of [low, high)."""

    algorithm = "random.uniform"


@op(
    "new_normal(int[] size, any dtype, any device, Tensor state, Scalar mean, Scalar std) -> Tensor",
    function=False, method=False,
)  # fmt: skip
class NewNormal(_New):
    """Normal samples."""

    algorithm = "random.normal"

    def check(dtype):
        need_float("normal_kernel_cpu", dtype or types.default_float())


@op(
    "new_integers(int[] size, any dtype, any device, Tensor state, Scalar low, Scalar range, bool wide) -> Tensor",
    function=False, method=False,
)  # fmt: skip
class NewIntegers(_New):
    """Integers of [low, low + range); ``wide`` draws 64 bits for each."""

    algorithm = "random.integers"

    def check():
        return


@op(
    "new_permutation(int[] size, any dtype, any device, Tensor state) -> Tensor", function=False, method=False
)
class NewPermutation(_New):
    """0 .. n-1 in random order."""

    algorithm = "random.permutation"

    def check():
        return


def fill(name: str, input, generator, *numbers):
    """Write samples into `input`, which leaves its gradient history behind."""
    if input.requires_grad:
        require(not (input.is_leaf and define.RECORDING[0]()),
                "a leaf Variable that requires grad is being used in an in-place operation.")  # fmt: skip
        if define.RECORDING[0]():
            fresh = ops.empty_like(input)
            fill(name, fresh, generator, *numbers)
            return ops.copy_(input, fresh)
    if input.device.type != "meta":
        getattr(ops, name)(input, STATE[0](generator), *numbers)
    return input


#: the kernel that PyTorch names when a type has none
_KERNELS = {"random_uniform": "check_uniform_bounds", "random_normal": "normal_kernel_cpu"}


def need_float(kernel: str, dtype) -> None:
    """Raise for a type that the samples cannot have."""
    if dtype.kind < 2:
        raise NotImplementedError(f"\"{kernel}\" not implemented for '{types.type_name(dtype)}'")


@op("uniform_(Tensor input, float from_=0.0, float to=1.0, *, any generator=None) -> Tensor", function=False)
class Uniform(Composite):
    """Fill with uniform samples of [from, to)."""

    def body(input, from_, to, generator):
        need_float("check_uniform_bounds", input.dtype)
        require(
            from_ <= to,
            f"uniform_ expects to return a [from, to) range, but found from={from_:g} > to={to:g}",
        )
        parts = ops.view_as_real(input) if input.dtype.is_complex else input
        fill("random_uniform", parts, generator, float(from_), float(to))
        return input


@op("normal_(Tensor input, float mean=0.0, float std=1.0, *, any generator=None) -> Tensor", function=False)
class NormalFill(Composite):
    """Fill with normal samples."""

    def body(input, mean, std, generator):
        require(std >= 0, f"normal expects std >= 0.0, but found std {std:g}")
        need_float("normal_kernel_cpu", input.dtype)
        if input.dtype.kind == 3:
            parts = ops.view_as_real(input)
            fill("random_normal", parts, generator, float(mean), float(std) / 2**0.5)
            return input
        return fill("random_normal", input, generator, float(mean), float(std))


@op("bernoulli_(Tensor input, Operand p=0.5, *, any generator=None) -> Tensor", function=False)
class BernoulliFill(Composite):
    """Fill with 1 (with probability ``p``) and 0."""

    def body(input, p, generator):
        if not hasattr(p, "dtype"):
            require(0 <= p <= 1, f"bernoulli_ expects p to be in [0, 1], but got p={p:g}")
            return fill("random_bernoulli", input, generator, float(p))
        check_chances(p)
        chance = ops.expand(p, input.shape)
        sample = uniforms(input, generator, types.float64 if p.dtype is types.float64 else types.float32)
        return ops.copy_(input, ops.lt(sample, chance))


@op("bernoulli(Tensor input, float? p=None, *, any generator=None, Tensor? out=None) -> Tensor")
class Bernoulli(Composite):
    """1 with the probability that each element of ``input`` gives (or ``p`` for all)."""

    check_out = any_type

    def body(input, p, generator):
        if p is None:
            need_float("bernoulli_tensor_cpu_p_", input.dtype)
        made = ops.empty_like(input, memory_format="contiguous_format").bernoulli_(
            input.detach() if p is None else p, generator=generator
        )
        return made + ops.zero(input) if input.requires_grad else made  # its derivative is zero


@op("exponential_(Tensor input, float lambd=1.0, *, any generator=None) -> Tensor", function=False)
class ExponentialFill(Composite):
    """Fill with exponential samples of rate ``lambd``."""

    def body(input, lambd, generator):
        require(
            input.dtype.kind == 2,
            "Exponential distribution is a continuous probability distribution. dtype must be a floating point but you "
            f"specified {types.type_name(input.dtype)}",
        )
        require(lambd > 0.0, f"exponential_ expects lambda > 0.0, but found lambda={lambd:g}")
        return fill("random_exponential", input, generator, float(lambd))


def uniforms(input, generator, dtype=types.float64):
    """A uniform sample for each element, in the order of its memory."""
    return fill("random_uniform", ops.empty_like(input, dtype=dtype), generator, 0.0, 1.0)


@op(
    "cauchy_(Tensor input, float median=0.0, float sigma=1.0, *, any generator=None) -> Tensor",
    function=False,
)
class CauchyFill(Composite):
    """Fill with Cauchy samples."""

    def body(input, median, sigma, generator):
        require(
            input.dtype.kind == 2,
            "Cauchy distribution is a continuous probability distribution. dtype must be a floating point but you "
            f"specified {C_NAMES.get(input.dtype.name, input.dtype.name)}",
        )
        require(sigma > 0.0, f"cauchy_ expects sigma > 0.0, but found sigma={sigma:g}")
        sample = uniforms(input, generator)
        return ops.copy_(input, median + sigma * ops.tan(3.141592653589793 * (sample - 0.5)))


@op(
    "log_normal_(Tensor input, float mean=1.0, float std=2.0, *, any generator=None) -> Tensor",
    function=False,
)
class LogNormalFill(Composite):
    """Fill with samples whose logarithm is normal."""

    def body(input, mean, std, generator):
        require(std > 0.0, f"log_normal_ expects std > 0.0, but found std={std:g}")
        need_float("log_normal_cpu", input.dtype)
        sample = ops.empty((input.numel(), 2), dtype=types.float64)[:, 0]
        fill("random_normal", sample, generator, float(mean), float(std))
        made = ops.empty_like(input, dtype=types.float64)
        ops.copy_(ops.as_strided(made, (input.numel(),), (1,)), ops.exp(sample))  # in the order of its memory
        return ops.copy_(input, made)


@op("geometric_(Tensor input, float p, *, any generator=None) -> Tensor", function=False)
class GeometricFill(Composite):
    """Fill with the number of trials up to the first success of probability ``p``."""

    def body(input, p, generator):
        require(0 < p < 1, f"geometric_ expects p to be in (0, 1), but got p={p:g}")
        require(input.dtype.kind > 0, "\"geometric_cpu\" not implemented for 'Bool'", NotImplementedError)
        sample = uniforms(input, generator)
        return ops.copy_(
            input, ops.ceil(ops.log(sample) / ops.log1p(ops.full((), -float(p), dtype=types.float64)))
        )


#: what C++ calls the types
C_NAMES = {
    "bool": "bool", "uint8": "unsigned char", "int8": "signed char", "int16": "short int", "int32": "int",
    "int64": "long int", "float16": "c10::Half", "bfloat16": "c10::BFloat16", "float32": "float", "float64": "double",
}  # fmt: skip
#: bits of the fraction, the leading one included
_DIGITS = {"float16": 11, "bfloat16": 8, "float32": 24, "float64": 53}


def check_integer_bounds(dtype, low: int, high: int) -> None:
    """Raise unless the integers of [low, high) fit the type."""
    if dtype.kind == 2:
        least, most = (-65504, 65504) if dtype.name == "float16" else (-(1 << 63), 1 << 63)
    elif dtype.kind == 0:
        least, most = 0, 1
    else:
        bits = 8 * dtype.itemsize - int(dtype.is_signed)
        least, most = -(1 << bits) if dtype.is_signed else 0, (1 << bits) - 1
    name = C_NAMES.get(dtype.name, dtype.name)
    require(least <= low <= most, f"from is out of bounds for {name}")
    require(least <= high - 1 <= most, f"to - 1 is out of bounds for {name}")


def representable(dtype, low: int, high: int) -> tuple[int, int]:
    """The bounds moved inwards to what a float type of few digits can tell apart, as PyTorch does."""
    digits = _DIGITS[dtype.name]
    for bound, step in ((low, 1), (high, -1)):
        beyond = abs(bound + step)
        if beyond >> digits == 0:
            continue
        cut = beyond.bit_length() - digits
        rounded = (beyond + (1 << cut - 1) - 1 + (beyond >> cut & 1)) >> cut << cut
        rounded = rounded if bound + step >= 0 else -rounded
        if step > 0 and rounded < low:
            low = rounded + (1 << cut)
        elif step < 0 and rounded >= high:
            high = rounded - (1 << cut)
    return low, high


def check_chances(p) -> None:
    """Raise unless all of a tensor's probabilities are in [0, 1]."""
    require(
        p.numel() == 0 or p.device.type == "meta" or bool(((p >= 0) & (p <= 1)).all()),
        "Expected p_in >= 0 && p_in <= 1 to be true, but got false.  (Could this error message be improved?  If so, please "
        "report an enhancement request to PyTorch.)",
    )


def draw_integers(input, low: int, size: int, generator):
    check_integer_bounds(input.dtype, low, low + size)
    if input.dtype.kind == 2:
        low, high = representable(input.dtype, low, low + size)
        size = high - low
    wide = size >= 1 << 28
    bits = size - (1 << 64) if size >= 1 << 63 else size
    return fill("random_integers", input, generator, low, bits, wide)


@op("random_(Tensor input, int? from_=None, int? to=None, *, any generator=None) -> Tensor", function=False)
class RandomFill(Composite):
    """Fill with integers of [from, to); of all that the type holds exactly by default."""

    def body(input, from_, to, generator):
        if to is None and from_ is not None:
            from_, to = 0, from_
        if from_ is None:
            limits = {"bool": 2, "float32": (1 << 24) + 1, "float64": (1 << 53) + 1, "float16": (1 << 11) + 1,
                      "bfloat16": (1 << 8) + 1, "uint8": 1 << 8}  # fmt: skip
            bits = 8 * input.dtype.itemsize
            from_, to = 0, limits.get(input.dtype.name, 1 << (bits - 1))
            if input.dtype.name in ("int64", "float64"):
                return fill(
                    "random_integers", input, generator, 0, to - (1 << 64) if to >= 1 << 63 else to, True
                )
            return fill("random_integers", input, generator, 0, to, False)
        require(from_ < to, f"random_ expects 'from' to be less than 'to', but got from={from_} >= to={to}")
        return draw_integers(input, from_, to - from_, generator)


@op(
    f"rand(int[*] size, *, any generator=None, {_FACTORY}, any names=None, Tensor? out=None) -> Tensor",
    method=False,
)
class Rand(Composite):
    """Uniform samples of [0, 1)."""

    def body(size, generator, dtype, layout, device, pin_memory, requires_grad, names):
        if dtype is None or dtype.kind < 3:
            where = default_device() if device is None else Device(device)
            made = ops.new_uniform(size, dtype, where, STATE[0](generator), 0.0, 1.0)
        else:
            made = fill_new("random_uniform", size, dtype, device, generator, 0.0, 1.0)
        return made.requires_grad_() if requires_grad else made


#: the operator that makes the tensor that it fills
_NEW = {"random_uniform": "new_uniform", "random_normal": "new_normal"}


def fill_new(name, size, dtype, device, generator, *numbers):
    if dtype is None or dtype.kind < 3:
        where = default_device() if device is None else Device(device)
        return getattr(ops, _NEW[name])(size, dtype, where, STATE[0](generator), *numbers)
    made = new(size, dtype, device)
    need_float(_KERNELS[name], made.dtype)
    if made.dtype.kind == 3:
        parts = ops.view_as_real(made)
        if name == "random_normal":
            numbers = (numbers[0], numbers[1] / 2**0.5)
        fill(name, parts, generator, *numbers)
        return made
    return fill(name, made, generator, *numbers)


@op(
    f"randn(int[*] size, *, any generator=None, {_FACTORY}, any names=None, Tensor? out=None) -> Tensor",
    method=False,
)
class Randn(Composite):
    """Standard normal samples."""

    def body(size, generator, dtype, layout, device, pin_memory, requires_grad, names):
        if dtype is None or dtype.kind < 3:
            where = default_device() if device is None else Device(device)
            made = ops.new_normal(size, dtype, where, STATE[0](generator), 0.0, 1.0)
        else:
            made = fill_new("random_normal", size, dtype, device, generator, 0.0, 1.0)
        return made.requires_grad_() if requires_grad else made


@op(f"rand_like(Tensor input, *, any generator=None, {_LIKE}) -> Tensor", method=False)
class RandLike(Composite):
    """Uniform samples of [0, 1) with the shape of ``input``."""

    def body(input, generator, dtype, layout, device, pin_memory, requires_grad, memory_format):
        where = input._layout
        kind = dtype or where.dtype
        if where.contiguous and memory_format is None and kind.kind < 3:
            made = fill_new("random_uniform", where.shape, kind, device or where.device, generator, 0.0, 1.0)
            return made.requires_grad_() if requires_grad else made
        made = new_like(input, dtype, device, False, memory_format)
        return refill("random_uniform", made, generator, requires_grad, 0.0, 1.0)


def refill(name, made, generator, requires_grad, *numbers):
    need_float(_KERNELS[name], made.dtype)
    if made.dtype.kind == 3:
        if name == "random_normal":
            numbers = (numbers[0], numbers[1] / 2**0.5)
        fill(name, ops.view_as_real(made), generator, *numbers)
    else:
        fill(name, made, generator, *numbers)
    return made.requires_grad_() if requires_grad else made


@op(f"randn_like(Tensor input, *, any generator=None, {_LIKE}) -> Tensor", method=False)
class RandnLike(Composite):
    """Standard normal samples with the shape of ``input``."""

    def body(input, generator, dtype, layout, device, pin_memory, requires_grad, memory_format):
        where = input._layout
        kind = dtype or where.dtype
        if where.contiguous and memory_format is None and kind.kind < 3:
            made = fill_new("random_normal", where.shape, kind, device or where.device, generator, 0.0, 1.0)
            return made.requires_grad_() if requires_grad else made
        made = new_like(input, dtype, device, False, memory_format)
        return refill("random_normal", made, generator, requires_grad, 0.0, 1.0)


def bounds(low, high):
    """randint's two orders of arguments: (high,) and (low, high)."""
    low, high = (0, low) if high is None else (low, high)
    require(low < high, f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}")
    return low, high


@op(
    "randint(int low=0, any high=None, any size=None, *, any generator=None, ScalarType? dtype=None, "
    "any layout=None, "
    "any device=None, bool? pin_memory=False, bool requires_grad=False, Tensor? out=None) -> Tensor",
    method=False,
)  # fmt: skip
class Randint(Composite):
    """Integers of [low, high); called as ``randint(high, size)`` or ``randint(low, high, size)``."""

    def body(low, high, size, generator, dtype, layout, device, pin_memory, requires_grad):
        if size is None:
            low, high, size = 0, low, high
        if dtype is None and type(high) is int and type(low) is int and 0 <= low < high < 1 << 28:
            where = default_device() if device is None else Device(device)
            made = ops.new_integers(size, types.int64, where, STATE[0](generator), low, high - low, False)
            return made.requires_grad_() if requires_grad else made
        require(
            hasattr(high, "__index__") or high is None,
            f"randint(): argument 'high' (position 1) must be int, not {type(high).__name__}", TypeError,
        )  # fmt: skip
        low, high = bounds(low, high)
        made = new(tuple(size), dtype or types.int64, device)
        made = draw_integers(made, low, high - low, generator)
        return made.requires_grad_() if requires_grad else made


@op(
    f"randint_like(Tensor input, int? low=None, int? high=None, *, any generator=None, {_LIKE}) -> Tensor",
    method=False,
)
class RandintLike(Composite):
    """Integers of [low, high) with the shape and type of ``input``."""

    def body(input, low, high, generator, dtype, layout, device, pin_memory, requires_grad, memory_format):
        low, high = bounds(0 if low is None else low, high)
        return draw_integers(new_like(input, dtype, device, False, memory_format), low, high - low, generator)


def check_order(n: int, dtype) -> None:
    """Raise unless a type can tell n numbers apart."""
    require(dtype.kind > 0, "\"randperm\" not implemented for 'Bool'", NotImplementedError)
    if dtype.kind == 1:
        most = (1 << 8 * dtype.itemsize - int(dtype.is_signed)) - 1
    else:
        most = 1 << _DIGITS.get(dtype.name, 63)
    require(n <= most + 1, f"value cannot be converted to type {dtype.name}_t without overflow")


@op(
    "randperm(int n, *, any generator=None, ScalarType? dtype=None, any layout=None, any device=None, "
    "bool? pin_memory=False, bool requires_grad=False, Tensor? out=None) -> Tensor",
    method=False,
)  # fmt: skip
class Randperm(Composite):
    """The integers 0 .. n-1 in random order."""

    def body(n, generator, dtype, layout, device, pin_memory, requires_grad):
        if dtype is None and type(n) is int and n >= 0:
            where = default_device() if device is None else Device(device)
            return ops.new_permutation((n,), types.int64, where, STATE[0](generator))
        require(n >= 0, f"Trying to create tensor with negative dimension {n}: [{n}]")
        check_order(n, dtype or types.int64)
        return fill("random_permutation", new((n,), dtype or types.int64, device), generator)


@op(
    "normal(Operand mean, Operand std=1.0, any size=None, *, any generator=None, ScalarType? "
    "dtype=None, any layout=None, any device=None, bool? pin_memory=False, bool requires_grad=False, "
    "Tensor? out=None) -> Tensor",
    method=False,
)
class Normal(Composite):
    """Normal samples with a mean and a standard deviation for each element, or of a given size."""

    check_out = castable

    def body(mean, std, size, generator, dtype, layout, device, pin_memory, requires_grad):
        if size is not None:
            require(std >= 0, f"normal expects std >= 0.0, but found std {std:g}")
            made = fill_new("random_normal", tuple(size), dtype, device, generator, float(mean), float(std))
            return made.requires_grad_() if requires_grad else made
        like = mean if hasattr(mean, "dtype") else std
        if hasattr(std, "dtype"):
            require(std.dtype.kind < 3, "normal expects standard deviation to be non-complex")
            require(std.numel() == 0 or bool((std >= 0).all()), "normal expects all elements of std >= 0.0")
        else:
            require(std >= 0, f"normal expects std >= 0.0, but found std {std:g}")
        shape = ops.add(mean, std).shape if hasattr(std, "dtype") and hasattr(mean, "dtype") else like.shape
        sample = fill_new("random_normal", shape, like.dtype, like.device, generator, 0.0, 1.0)
        return sample * std + mean


def check_weights(rows, replaced: bool) -> None:
    """Raise unless each row of weights is finite and not negative, and holds more than zeros.

    replaced: whether several samples are drawn with replacement, which has words of its own.
    """
    finite, positive = bool(ops.isfinite(rows).all()), bool((rows >= 0).all())
    if replaced:
        fault = "< 0" if bool((rows < 0).any()) else "= infinity or NaN"
        require(
            finite and positive, f"invalid multinomial distribution (encountering probability entry {fault})"
        )
    require(finite and positive, "probability tensor contains either `inf`, `nan` or element < 0")
    require(
        bool((ops.sum(rows, 1) > 0).all()), "invalid multinomial distribution (sum of probabilities <= 0)"
    )


@op(
    "multinomial(Tensor input, int num_samples, bool replacement=False, *, any generator=None, "
    "Tensor? out=None) -> Tensor"
)
class Multinomial(Composite):
    """Indices drawn from rows of weights (not necessarily summing to 1), with or without replacement."""

    def check_out(out):
        require(
            out.dtype is types.int64,
            f"multinomial expects Long tensor out, got: {types.type_name(out.dtype)}",
        )

    def body(input, num_samples, replacement, generator):
        require(0 < input.dim() <= 2, "prob_dist must be 1 or 2 dim")
        require(input.dtype.is_floating_point,
                f"multinomial only supports floating-point dtypes for input, got: {types.type_name(input.dtype)}")  # fmt: skip
        require(num_samples > 0, "cannot sample n_sample <= 0 samples")
        rows = input if input.dim() == 2 else ops.unsqueeze(input, 0)
        n = rows.shape[1]
        require(
            replacement or num_samples <= n,
            "cannot sample n_sample > prob_dist.size(-1) samples without replacement",
        )
        require(n <= 1 << 24, "number of categories cannot exceed 2^24")
        check_weights(rows, replacement and num_samples > 1)
        if not replacement or num_samples == 1:
            noise = ops.empty_like(rows).exponential_(1.0, generator=generator)
            score = rows / noise
            found = ops.argmax(score, 1, True) if num_samples == 1 else ops.topk(score, num_samples, 1)[1]
        else:
            chance = ops.cumsum(rows.to(types.float64), 1)
            chance = chance / chance[:, -1:]
            sample = fill(
                "random_uniform",
                ops.empty((rows.shape[0], num_samples), dtype=types.float64),
                generator,
                0.0,
                1.0,
            )
            found = ops.searchsorted(chance, sample, right=False).clamp(max=n - 1)
        return found if input.dim() == 2 else ops.squeeze(found, 0)


def check_probability(p: float) -> None:
    require(0.0 <= p <= 1.0, f"dropout probability has to be between 0 and 1, but got {p}", ValueError)


def drop_mask(input, p: float, shape, generator=None):
    """1 with probability 1 - p, else 0, for each element in the order of memory, or for each of a shape."""
    if shape is None:
        mask = ops.empty_like(input)
    else:
        mask = ops.empty(shape, dtype=input.dtype, device=input.device)
    return fill("random_bernoulli", mask, generator, 1.0 - p)


def drop(input, p: float, training: bool, inplace: bool, shape=None, generator=None):
    """Zero with probability p and scale the rest by 1 / (1 - p); `shape` is that of the mask, where not the input's."""
    check_probability(p)
    if not training or p == 0.0 or input.numel() == 0:
        return input
    if p == 1.0:
        return ops.mul_(input, 0.0) if inplace else input * 0.0
    mask = drop_mask(input, p, shape, generator)
    if inplace:
        return ops.mul_(input, ops.mul_(mask, 1.0 / (1.0 - p)))
    return ops.scaled_mask(input, mask, 1.0 / (1.0 - p))


def channel_mask(input, dims: int):
    """Shape of a mask that drops whole channels: ones after the batch and channel dimensions."""
    return (*input.shape[:dims], *([1] * (input.dim() - dims)))


@op(
    "nn.functional.dropout(Tensor input, float p=0.5, bool training=True, bool inplace=False) -> Tensor",
    also="dropout",
)
class Dropout(Composite):
    """Zero elements with probability ``p`` in training, and scale the others by ``1 / (1 - p)``.

    Source: Hinton et al. 2012, Improving neural networks by preventing co-adaptation of feature detectors.
    """

    def body(input, p, training, inplace):
        return drop(input, p, training, inplace)


for _name, _ndim in (("dropout1d", 3), ("dropout2d", 4), ("dropout3d", 5)):

    @op(f"nn.functional.{_name}(Tensor input, float p=0.5, bool training=True, bool inplace=False) -> Tensor")
    class ChannelDropout(Composite):
        """Zero whole channels with probability ``p`` in training, and scale the others."""

        def body(input, p, training, inplace, _ndim=_ndim):
            lead = 2 if input.dim() == _ndim or _ndim == 4 else 1
            return drop(input, p, training, inplace, channel_mask(input, lead))


@op(
    "nn.functional.feature_dropout(Tensor input, float p=0.5, bool training=True) -> Tensor",
    also="feature_dropout",
)
class FeatureDropout(Composite):
    """Zero whole channels with probability ``p``."""

    def body(input, p, training):
        return drop(input, p, training, False, channel_mask(input, 2))


def alpha_drop(input, p, training, inplace, shape=None):
    """Dropout that keeps mean and variance of SELU activations (Klambauer et al. 2017)."""
    check_probability(p)
    if not training or p == 0.0:
        return input
    if p == 1.0:
        return ops.mul_(input, 0.0) if inplace else input * 0.0
    mask = drop_mask(input, p, shape)
    alpha = 1.7580993408473766
    a = 1.0 / ((alpha * alpha * p + 1) * (1 - p)) ** 0.5
    b = (mask - 1) * (alpha * a) + alpha * a * p
    return ops.add_(ops.mul_(input, mask * a), b) if inplace else input * (mask * a) + b


@op(
    "nn.functional.alpha_dropout(Tensor input, float p=0.5, bool training=False, bool inplace=False) -> Tensor",
    also="alpha_dropout",
)
class AlphaDropout(Composite):
    """Dropout that keeps the mean and variance of self-normalising networks."""

    def body(input, p, training, inplace):
        return alpha_drop(input, p, training, inplace)


@op(
    "nn.functional.feature_alpha_dropout(Tensor input, float p=0.5, bool training=False, bool "
    "inplace=False) -> Tensor",
    also="feature_alpha_dropout",
)
class FeatureAlphaDropout(Composite):
    """Alpha dropout of whole channels."""

    def body(input, p, training, inplace):
        return alpha_drop(input, p, training, inplace, channel_mask(input, 2))
