"""Operators: one class each, one file a family. Importing the package registers them all."""

from . import (  # noqa: F401
    activation, attention, compare, complex, contract, conv, copy, create, create_range, einsum, embedding,
    fft, index, join, linalg, linalg_orthogonal, linalg_products, linalg_solve, linalg_spectral, logic,
    loss, misc, norm, optimise, pad, pointwise, pointwise_bits, pointwise_dropout, pointwise_exp,
    pointwise_float, pointwise_power, pointwise_round, pointwise_select, pointwise_trig, pool, random,
    reduce, reduce_extreme, reduce_moments, reduce_norm, scan, scatter, search, signal, softmax, sort,
    special, special_bessel, special_incomplete, special_polynomials, view, view_copy, view_rearrange,
    view_slice, view_strided,
)  # fmt: skip
