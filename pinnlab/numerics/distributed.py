"""The only caller of `torch.distributed`: sums, gathers and decisions that are the same on all ranks.

Every function is the identity in a single process, so callers never ask whether they are distributed.
All but the first four are collectives: each rank must call them, in the same order. Tensors may be anywhere, in any
layout, and results are where they are: NCCL takes contiguous ones of a GPU only, and after a run a model is on the CPU.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import Tensor

DEFAULT_TIMEOUT = dist.default_pg_timeout
"""How long a collective waits by itself."""


def rank() -> int:
    """The number of this process, from 0."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def world_size() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def ranks_here() -> int:
    """How many of them are on this machine: what started them says so, or all of them where the first one is here."""
    if (told := os.environ.get("LOCAL_WORLD_SIZE", "")).isdigit():
        return max(1, int(told))
    is_here = os.environ.get("MASTER_ADDR", "localhost") in ("localhost", "127.0.0.1", "::1")
    return world_size() if is_here else 1


def is_lost(error: BaseException) -> bool:
    """Whether an error says that a collective failed, as it does when another rank is gone."""
    return isinstance(error, dist.DistError) or (isinstance(error, RuntimeError) and "gloo" in str(error).lower())


def all_sum(values: Tensor) -> Tensor:
    """Sums a tensor over ranks; every rank receives the same bits. The input is left alone."""
    if world_size() == 1:
        return values
    total = _sent(values.detach().clone(memory_format=torch.contiguous_format))
    dist.all_reduce(total)
    return total.to(values.device)


def any_rank(decision: bool, device: torch.device | str = "cpu") -> bool:
    """True on every rank when the decision is true on at least one.

    Args:
        decision: what this rank thinks.
        device: of the rank, where the collective takes place.
    """
    if world_size() == 1:
        return decision
    return float(all_sum(torch.tensor(float(decision), device=device))) > 0


def largest(values: Sequence[float], device: torch.device | str = "cpu") -> list[float]:
    """The largest of each number over all ranks.

    Args:
        values: what this rank has; as many on every rank.
        device: of the rank, where the collective takes place.
    """
    if world_size() == 1:
        return list(values)
    found = _sent(torch.tensor(values, dtype=torch.float64, device=device))
    dist.all_reduce(found, op=dist.ReduceOp.MAX)
    return found.tolist()


def shard(rows: Tensor) -> Tensor:
    """This rank's share of rows that every rank holds: `rows[rank::world_size]`."""
    return rows[rank() :: world_size()]


def shard_size(total: int) -> int:
    """How many of `total` rows this rank's shard has."""
    return len(range(rank(), total, world_size()))


def thin(rows: Tensor, most: int) -> Tensor:
    """This rank's rows among at most `most` of all ranks', evenly chosen: the same on any number of processes.

    Args:
        rows: `(n_rank, ...)` this rank's share, as `shard` makes it.
        most: how many of all ranks' rows to choose.
    """
    total = int(all_sum(torch.tensor([len(rows)], device=rows.device)))
    numbers = torch.arange(rank(), total, world_size(), device=rows.device)
    return rows[numbers % max(-(-total // most), 1) == 0]


def unshard(rows: Tensor, total: int) -> Tensor:
    """Puts the shards of all ranks together again: the inverse of `shard`.

    Args:
        rows: `(n_rank, ...)` what belongs to this rank's share.
        total: the number of rows over all ranks.

    Returns:
        `(total, ...)` in the original order, the same on every rank.
    """
    world = world_size()
    if world == 1:
        return rows
    longest = -(-total // world)
    gathered = _padded(rows, longest)
    whole = rows.new_empty(total, *rows.shape[1:])
    for k, part in enumerate(gathered):
        whole[k::world] = part[: len(range(k, total, world))]
    return whole


def gather(rows: Tensor) -> Tensor:
    """The rows of all ranks, rank 0's first; the same on every rank.

    Args:
        rows: `(n_rank, ...)` what this rank has; the numbers may differ and be zero.
    """
    world = world_size()
    if world == 1:
        return rows
    counts = torch.cat(_padded(torch.tensor([len(rows)], device=rows.device), 1)).tolist()
    return torch.cat([part[:count] for part, count in zip(_padded(rows, max(counts)), counts, strict=True)])


def _padded(rows: Tensor, longest: int) -> list[Tensor]:
    """The rows of each rank, filled up with zeros to `longest`: collectives want equal shapes."""
    own = rows.new_zeros(longest, *rows.shape[1:])
    own[: len(rows)] = rows
    own = _sent(own)
    parts = [torch.empty_like(own) for _ in range(world_size())]
    dist.all_gather(parts, own)
    return [part.to(rows.device) for part in parts]


def _sent(values: Tensor) -> Tensor:
    """Values where the processes can exchange them: with NCCL on the rank's GPU, which its strategy has set."""
    return values.cuda() if dist.get_backend() == dist.Backend.NCCL else values
