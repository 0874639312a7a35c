"""Operators: one class each, one file a family. Importing the package registers them all."""

from . import copy, create, loss, norm, optimise, pointwise, pointwise_dropout, random, reduce, softmax, view  # noqa: F401
