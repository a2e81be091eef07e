"""A card that is not there: tensors that say they are on a device of their own, and compute on the CPU.

Code that makes a tensor in the wrong place, or mixes places, fails on it as it fails on a GPU, and what makes a host
wait for its GPU is counted. The device is called `meta`, the only one beside `cpu` on which every build of torch can
differentiate.

Like a real one it refuses tensors in two places, numpy arrays of its memory, and least squares by a driver that is not
there. What a real card refuses and this one does not: other operations without a kernel there. What this one refuses
and a real card does not: sums that it would add up in any order, lists as indices, and `numpy(force=True)`. What is
pickled here is on the CPU when it is read.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import lightning as L
import torch
from lightning.pytorch.accelerators import CPUAccelerator
from lightning.pytorch.strategies import SingleDeviceStrategy
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing

CARD = torch.device("meta")
aten = torch.ops.aten

_MOVES = {aten._to_copy.default, *(getattr(aten.to, name) for name in aten.to.overloads())}
_COPIES = {aten.copy_.default, aten._foreach_copy_.default, *_MOVES}
_INDEXING = {aten.index.Tensor, aten.index_put_.default, aten.index_put.default, aten._index_put_impl_.default}
_SUMS = {aten.index_add.default, aten.index_add_.default, aten.scatter_add.default, aten.scatter_add_.default}
_READS = {aten._local_scalar_dense.default, aten.equal.default, aten.nonzero.default, aten.masked_select.default}


class Notes:
    """The operations since `clear` that had the host wait for the card, or whatever else is noted."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def note(self, what: object) -> None:
        self.seen.append(str(what))

    def clear(self) -> None:
        self.seen.clear()

    def __len__(self) -> int:
        return len(self.seen)


WAITS = Notes()
MIXED = Notes()
"""Operations of tensors in two places: copies, and what copies inside of itself, as `where` does with a number."""


class CardTensor(torch.Tensor):
    """A tensor on the card; `inner` has its numbers."""

    inner: torch.Tensor

    __torch_function__ = torch._C._disabled_torch_function_impl  # operations are caught below

    @staticmethod
    def __new__(cls, inner):
        return torch.Tensor._make_wrapper_subclass(
            cls, inner.size(), strides=inner.stride(), storage_offset=inner.storage_offset(),
            dtype=inner.dtype, device=CARD, requires_grad=inner.requires_grad,
        )  # fmt: skip

    def __init__(self, inner):
        self.inner = inner

    def __repr__(self):
        return f"card({self.inner!r})"

    def tolist(self):
        WAITS.note("tolist")
        return self.detach().cpu().tolist() if type(self) is not CardTensor else self.inner.tolist()

    def __reduce_ex__(self, protocol):
        return self.inner.detach().__reduce_ex__(protocol)  # who reads it has it on the CPU, as checkpoints are read

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return _compute(func, args, kwargs or {})


def _see(mode, func, types, args=(), kwargs=None):
    return _compute(func, args, kwargs or {})


class _Factories(TorchDispatchMode):
    """Sees to what has no tensor on the card among its arguments, and yet makes one."""


_Factories.__torch_dispatch__ = _see  # in the class torch would wrap it for its compiler, at a fifth of a run's time


def _make(construct, data, dtype=None, device=None, **options):
    """Makes a tensor of Python numbers on the CPU and brings it to the card: torch makes it inside of itself."""
    if isinstance(data, torch.Tensor):
        return data.to(device=device or data.device, dtype=dtype or data.dtype)
    made = construct(data, dtype=dtype, **options)
    return made if device is None else made.to(device)


@contextmanager
def _constructors():
    tensor, as_tensor = torch.tensor, torch.as_tensor

    def new_tensor(self, data, dtype=None, device=None, **options):
        return _make(tensor, data, dtype or self.dtype, device or self.device, **options)

    torch.tensor, torch.as_tensor = functools.partial(_make, tensor), functools.partial(_make, as_tensor)
    torch.Tensor.new_tensor = new_tensor
    try:
        yield
    finally:
        torch.tensor, torch.as_tensor = tensor, as_tensor
        del torch.Tensor.new_tensor  # that of its base class is there again


@dataclass(frozen=True)
class _Kind:
    """What is asked of an operation at each call."""

    moves: bool
    copies: bool
    reads: bool
    indexes: bool
    sums: bool
    solves: bool
    pointwise: bool
    aliases: bool


@functools.cache
def _kind(func):
    schema = func._schema
    return _Kind(
        moves=func in _MOVES,
        copies=func in _COPIES,
        reads=func in _READS,
        indexes=func in _INDEXING,
        sums=func in _SUMS,
        solves=func is aten.linalg_lstsq.default,
        pointwise=torch.Tag.pointwise in func.tags,
        aliases=any(a.alias_info is not None for a in (*schema.arguments, *schema.returns)),
    )


def _is_card(tensor):
    return isinstance(tensor, CardTensor)


def _tensors(values):
    """The tensors of arguments and of lists among them; torch's own trees of any depth take most of a run's time."""
    found = []
    for value in values:
        if isinstance(value, torch.Tensor):
            found.append(value)
        elif isinstance(value, (list, tuple)):
            found += [one for one in value if isinstance(one, torch.Tensor)]
    return found


def _inner(value):
    """An argument with the numbers in the place of what is on the card."""
    kind = type(value)
    if kind is CardTensor:
        return value.inner
    return [*map(_inner, value)] if kind is list or kind is tuple else value


def _wrapped(value):
    """A result on the card: a tensor, or several."""
    if type(value) is torch.Tensor:
        return CardTensor(value)
    if isinstance(value, (list, tuple)):
        return type(value)(_wrapped(one) for one in value)
    return CardTensor(value) if isinstance(value, torch.Tensor) and not _is_card(value) else value


def _compute(func, args, kwargs):
    tensors = _tensors([*args, *kwargs.values()] if kwargs else args)
    count, to = [*map(type, tensors)].count(CardTensor), kwargs.get("device")
    there, here = count > 0, count < len(tensors)
    if not there and (to is None or torch.device(to).type != CARD.type):
        return func(*args, **kwargs)
    kind = _kind(func)
    if kind.indexes or (here and not kind.copies):
        _check_places(func, kind, args, tensors)
    if kind.sums:
        _check_order(func, *map(_inner, args[1:4]))
    if kind.solves and kwargs.get("driver", "gels") != "gels":
        raise RuntimeError("torch.linalg.lstsq: parameter `driver` should be one of (gels)")
    result_there = there if to is None else torch.device(to).type == CARD.type
    if tensors and ((there and here) or there != result_there):
        MIXED.note(func)
    if kind.reads and there:
        WAITS.note(func)
    if kind.copies and len(tensors) and (to is not None or len(tensors) > 1):
        source = tensors[0 if kind.moves else -1]
        target_there = result_there if kind.moves else _is_card(tensors[0])
        if _is_card(source) != target_there:
            WAITS.note(func)
    options = {name: _inner(value) for name, value in kwargs.items()}
    if to is not None:
        options["device"] = "cpu"
    found = func(*map(_inner, args), **options)
    if not result_there:
        return found
    wrapped = _wrapped(found)
    return return_and_correct_aliasing(func, args, kwargs, wrapped) if there and kind.aliases else wrapped


def _check_places(func, kind, args, tensors):
    """Refuses tensors in two places, as CUDA does: but for numbers of no dimension, and indices."""
    if kind.indexes and _is_card(args[0]):
        if any(t is not None and t.device.type == CARD.type and not _is_card(t) for t in args[1]):
            raise NotImplementedError(f"{func}: a list as an index loses its numbers here; a GPU would wait for them")
        if any(t is not None and (not _is_card(t) or t.dtype == torch.bool) for t in args[1]):
            WAITS.note(func)
        return
    if any(not _is_card(t) and (t.ndim or not kind.pointwise) for t in tensors):
        raise RuntimeError(f"{func}: expected all tensors to be on one device, found some on the card, some on the CPU")


def _check_order(func, dim, numbers, source):
    """Refuses sums of several numbers in one place: a GPU adds them as its threads come, each time in another order."""
    if source.is_floating_point() and numbers.numel():
        numbers = numbers.sort(dim if numbers.ndim == source.ndim else 0).values
        if bool((numbers.diff(dim=dim if numbers.ndim == source.ndim else 0) == 0).any()):
            raise RuntimeError(f"{func}: adds several numbers in one place, on a GPU each time in another order")


@contextmanager
def card() -> Iterator[torch.device]:
    """Plugs the card in, and gives its device."""
    WAITS.clear()
    swapped = torch.__future__.get_swap_module_params_on_conversion()
    torch.__future__.set_swap_module_params_on_conversion(True)  # a module keeps its parameters, as on a real card
    try:
        with _Factories(), _constructors():
            yield CARD
    finally:
        torch.__future__.set_swap_module_params_on_conversion(swapped)


class CardAccelerator(CPUAccelerator):
    """The card, for Lightning."""

    def setup_device(self, device):
        """Nothing to set up."""


def card_trainer_options():
    """Options of a `Trainer` that trains on the card; torch takes operations apart in inference mode, before it."""
    strategy = SingleDeviceStrategy(CARD, CardAccelerator())
    return {"accelerator": "auto", "strategy": strategy, "devices": 1, "inference_mode": False}


__all__ = ["CARD", "MIXED", "WAITS", "CardTensor", "L", "card", "card_trainer_options"]
