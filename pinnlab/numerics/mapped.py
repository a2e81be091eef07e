"""One function, many groups of rows, each with tensors of its own: what networks of many small networks are made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor


def mapped(function: Callable[[Any, dict[str, Tensor]], Any], x: Any, tensors: Mapping[str, Tensor]) -> Any:
    """`function(x[i], {name: tensor[i]})` for every i, stacked, as batched operations (`torch.vmap`).

    What stands for a tensor with derivatives is asked for its own rule of `mapped`, by torch's protocol
    (`__torch_function__`), as it is in operations of torch.

    Args:
        function: of rows `(n, d)` and of tensors by name; gives `(n, m)`.
        x: `(groups, n, d)`.
        tensors: by name, each with the groups in front.

    Returns:
        `(groups, n, m)`.
    """
    if isinstance(x, Tensor):
        return torch.vmap(function)(x, dict(tensors))
    return type(x).__torch_function__(mapped, (type(x),), (function, x, tensors))
