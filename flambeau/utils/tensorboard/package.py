"""The parts of the ``tensorboard`` package that logs are written with, imported when a writer is made."""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace
from typing import Any

__all__ = ["array", "protocol"]


@cache
def protocol() -> SimpleNamespace:
    """The message types of TensorBoard's files, and what writes them.

    Raises: ModuleNotFoundError when the package is not there.
    """
    try:
        from tensorboard.compat import proto  # noqa: F401
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "tensorboard":
            raise
        raise ModuleNotFoundError(
            "torch.utils.tensorboard needs the tensorboard package\n"
            '  fix     pip install "flambeau[tensorboard]"   (or: pip install tensorboard)',
            name="tensorboard",
        ) from None
    from tensorboard.compat.proto.event_pb2 import Event, SessionLog
    from tensorboard.compat.proto.summary_pb2 import HistogramProto, Summary, SummaryMetadata
    from tensorboard.compat.proto.tensor_pb2 import TensorProto
    from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    return SimpleNamespace(
        Event=Event, SessionLog=SessionLog, HistogramProto=HistogramProto, Summary=Summary,
        SummaryMetadata=SummaryMetadata, TensorProto=TensorProto, TensorShapeProto=TensorShapeProto,
        EventFileWriter=EventFileWriter,
    )  # fmt: skip


def array(x: Any) -> Any:
    """A NumPy array of a tensor, a number, a sequence or an array.

    Raises: NotImplementedError for other types.
    """
    import numpy as np

    from ...tensor.tensor import Tensor

    if isinstance(x, Tensor):
        x = x.detach()
        return (x.float() if x.dtype.name == "bfloat16" else x).cpu().numpy()
    if isinstance(x, (int, float, np.number)):
        return np.array([x])
    if isinstance(x, np.ndarray):
        return x
    if isinstance(x, (list, tuple)):
        return np.array([array(one) if isinstance(one, Tensor) else one for one in x])
    raise NotImplementedError(
        f"Got {type(x)}, but numpy array, torch tensor, or caffe2 blob name are expected."
    )
