"""Operators: one class each, one file a family. Importing the package registers them all."""

from . import copy, create, pointwise, reduce, view  # noqa: F401
