"""Calls of functions in other processes: there are no other processes."""

from . import _no_group

__all__ = ["init_rpc", "remote", "rpc_async", "rpc_sync", "shutdown"]


def is_available() -> bool:
    """Whether functions of other processes can be called."""
    return False


init_rpc, remote, rpc_async, rpc_sync, shutdown = map(
    _no_group, ("init_rpc", "remote", "rpc_async", "rpc_sync", "shutdown")
)
