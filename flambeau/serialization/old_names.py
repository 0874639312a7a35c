"""Small helpers that programs find under ``torch.serialization``."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class SourceChangeWarning(Warning):
    """PyTorch's warning that the source of a saved class has changed; nothing here gives it."""


@contextmanager
def mkdtemp() -> Iterator[str]:
    """The path of a temporary folder that is removed at the end of the block."""
    path = tempfile.mkdtemp()
    try:
        yield path
    finally:
        shutil.rmtree(path)


def check_module_version_greater_or_equal(
    module: Any, req_version_tuple: tuple, error_if_malformed: bool = True
) -> bool:
    """Whether a module's ``__version__`` is at least `req_version_tuple`.

    Raises: RuntimeError when the version cannot be read, unless `error_if_malformed` is False.
    """
    try:
        parts = module.__version__.split(".")
        found = tuple(type(wanted)(parts[k]) for k, wanted in enumerate(req_version_tuple))
        return found >= req_version_tuple
    except Exception as error:
        message = (
            f"'{module.__name__}' module version string is malformed '{module.__version__}' and cannot be compared "
            f"with tuple {req_version_tuple!s}"
        )
        if error_if_malformed:
            raise RuntimeError(message) from error
        warnings.warn(f"{message}, but continuing assuming that requirement is met", stacklevel=2)
        return True


def normalize_storage_type(storage_type: type) -> type:
    """The public class of a class of storages, found by its name."""
    import flambeau

    return getattr(flambeau, storage_type.__name__)


def storage_to_tensor_type(storage: Any) -> type:
    """The old class of tensors over a storage, such as ``torch.FloatTensor``."""
    import flambeau

    return getattr(flambeau, type(storage).__name__.replace("Storage", "Tensor"))
