"""`torch.distributed` in a build without it: `is_available()` is False, and one process is all there is.

Libraries ask first and leave the rest alone; a program that goes on gets PyTorch's error.
"""

from __future__ import annotations

import enum
from typing import Any, NoReturn

__all__ = [
    "DistBackendError", "DistError", "ProcessGroup", "ReduceOp", "Work", "all_gather", "all_gather_object", "all_reduce",
    "barrier", "broadcast", "broadcast_object_list", "destroy_process_group", "gather", "get_backend", "get_rank",
    "get_world_size", "group", "init_process_group", "is_available", "is_gloo_available", "is_initialized",
    "is_mpi_available", "is_nccl_available", "is_torchelastic_launched", "new_group", "recv", "reduce",
    "reduce_scatter", "scatter", "send",
]  # fmt: skip


class DistError(RuntimeError):
    """An error of communication between processes."""


class DistBackendError(DistError):
    """An error of what carries the communication."""


class ReduceOp(enum.Enum):
    """How values of several processes become one."""

    SUM, AVG, PRODUCT, MIN, MAX, BAND, BOR, BXOR, PREMUL_SUM = range(9)


class ProcessGroup:
    """Processes that communicate; there are none."""


class Work:
    """A communication under way; there are none."""


class group:
    """The group of all processes: none."""

    WORLD = None


GroupMember = group
reduce_op = ReduceOp


def is_available() -> bool:
    """Whether processes can communicate."""
    return False


def is_initialized() -> bool:
    """Whether `init_process_group` was called."""
    return False


def is_nccl_available() -> bool:
    """Whether NCCL can be used."""
    return False


def is_gloo_available() -> bool:
    """Whether Gloo can be used."""
    return False


def is_mpi_available() -> bool:
    """Whether MPI can be used."""
    return False


def is_ucc_available() -> bool:
    """Whether UCC can be used."""
    return False


def is_xccl_available() -> bool:
    """Whether XCCL can be used."""
    return False


def is_torchelastic_launched() -> bool:
    """Whether a launcher started this process as one of several."""
    import os

    return os.environ.get("TORCHELASTIC_RUN_ID") is not None


def init_process_group(*arguments: Any, **keywords: Any) -> NoReturn:
    """Not supported in this version."""
    raise RuntimeError(
        "Distributed package doesn't have a backend built in\n"
        "  Flambeau trains in one process; its threads share the work of each operator.\n"
        "  fix     ask torch.distributed.is_available() first, or start the program without a launcher"
    )


def destroy_process_group(group: Any = None) -> None:
    """There is none to end."""


def _no_group(name: str):
    def communicate(*arguments: Any, **keywords: Any) -> NoReturn:
        raise ValueError(
            "Default process group has not been initialized, please make sure to call init_process_group."
        )

    communicate.__name__ = communicate.__qualname__ = name
    communicate.__doc__ = "Needs a process group, and there is none."
    return communicate


for _name in (
    "all_gather all_gather_into_tensor all_gather_object all_reduce all_to_all all_to_all_single barrier broadcast "
    "broadcast_object_list gather gather_object get_backend get_group_rank get_rank get_world_size irecv isend "
    "monitored_barrier new_group recv reduce reduce_scatter reduce_scatter_tensor scatter scatter_object_list send"
).split():
    globals()[_name] = _no_group(_name)
