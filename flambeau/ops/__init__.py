"""Operators: one class each, one file a family. Importing the package registers them all."""

from . import (  # noqa: F401
    activation,
    attention,
    compare,
    complex,
    contract,
    conv,
    copy,
    create,
    create_range,
    einsum,
    embedding,
    fft,
    gradients,
    index,
    join,
    linalg,
    linalg_orthogonal,
    linalg_products,
    linalg_solve,
    linalg_spectral,
    logic,
    loss,
    loss_margin,
    masked,
    misc,
    norm,
    optimise,
    pad,
    pointwise,
    pointwise_bits,
    pointwise_dropout,
    pointwise_exp,
    pointwise_float,
    pointwise_power,
    pointwise_round,
    pointwise_select,
    pointwise_trig,
    pool,
    random,
    random_rejection,
    recurrent,
    reduce,
    reduce_extreme,
    reduce_moments,
    reduce_norm,
    scan,
    scatter,
    search,
    signal,
    softmax,
    sort,
    special,
    special_bessel,
    special_incomplete,
    special_polynomials,
    view,
    view_copy,
    view_rearrange,
    view_slice,
    view_strided,
    vision,
)  # fmt: skip


def __getattr__(name: str):
    """``torch.ops.space``: operators that programs registered with `torch.library`, and as ``aten`` those declared here."""
    found = None if name.startswith("__") else SPACES[0](name)
    if found is not None:
        return found
    raise AttributeError(f"module 'flambeau.ops' has no attribute '{name}'")


#: gives a name space of registered operators, or None; set by the package
SPACES: list = [lambda name: None]
