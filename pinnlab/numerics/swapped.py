"""A module with other tensors in place of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch.func import functional_call


def call_with(
    module: nn.Module, tensors: Mapping[str, Tensor], arguments: Sequence[Any], options: Mapping[str, Any] | None = None
) -> Any:
    """What a module gives with other parameters and buffers; it is left as it was.

    A tensor that several modules share is replaced in all of them, and a module may have several names, as the last
    layer of a network has that keeps it in a list, too (`self.last = self.layers[-1]`): `torch.func.functional_call`
    with its own `tie_weights` would replace the tensor once for each name, and leave the last replacement behind.

    Args:
        module: what is called.
        tensors: by the names that `named_parameters` and `named_buffers` have; those left out stay.
        arguments: of the call, by place.
        options: of the call, by name.
    """
    given = {**tensors, **_shared(module, tensors)}
    return functional_call(module, given, tuple(arguments), dict(options or {}), tie_weights=False)


def places_of(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Every place that holds a parameter or a buffer, once; a tensor that is shared has several."""
    for prefix, part in module.named_modules():
        # As `named_parameters` has them, which takes twice as long, at each evaluation.
        for name, tensor in (*part._parameters.items(), *part._buffers.items()):
            if tensor is not None:
                yield f"{prefix}.{name}" if prefix else name, tensor


def _shared(module: nn.Module, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What the places without a name of their own get, in which a module holds a tensor that is replaced."""
    places = dict(places_of(module))
    replaced = {id(tensor): tensors[name] for name, tensor in places.items() if name in tensors}
    return {
        name: replaced[id(tensor)] for name, tensor in places.items() if name not in tensors and id(tensor) in replaced
    }
