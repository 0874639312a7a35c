"""The old names of `torch.library`'s decorators."""

from .library import custom_op, impl, register_fake

impl_abstract = register_fake

__all__ = ["custom_op", "impl", "impl_abstract"]
