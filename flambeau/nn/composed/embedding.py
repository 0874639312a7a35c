"""Classes as vectors."""

from __future__ import annotations

import flambeau
from flambeau.base.errors import require
from flambeau.tensor.tensor import Tensor


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """1 at the place of each class index, 0 elsewhere.

    Args:
        num_classes: how many there are; one more than the greatest index when -1.

    Shape: ``(*) -> (*, num_classes)``.  Dtype: int64.

    Example::

        >>> flambeau.nn.functional.one_hot(flambeau.tensor([0, 2]))
        tensor([[1, 0, 0],
                [0, 0, 1]])
    """
    require(tensor.dtype is flambeau.int64, "one_hot is only applicable to index tensor of type LongTensor.")
    if tensor.numel() == 0:
        require(num_classes > 0, "Can not infer total number of classes from empty tensor.")
        return tensor.new_zeros((*tensor.shape, num_classes))
    require(tensor.min().item() >= 0, "Class values must be non-negative.")
    greatest = tensor.max().item()
    if num_classes == -1:
        num_classes = greatest + 1
    else:
        require(num_classes >= 1, "num_classes should be positive")
        require(greatest < num_classes, "Class values must be smaller than num_classes.")
    classes = flambeau.arange(num_classes, device=tensor.device)
    return (tensor.unsqueeze(-1) == classes).to(flambeau.int64)
