"""Operators: one class each, one file a family. Importing the package registers them all."""

from . import contract, copy, create, loss, norm, optimise, pointwise, pointwise_dropout, random, reduce, softmax, view, view_rearrange, view_slice, view_strided  # noqa: F401
