"""Whether what is about to be made fits into memory: asked before, because an allocator's failure names nothing.

Estimates are of the arrays that are there at the same time, without what the system adds. What is free is what a
process can have now: on a CPU the least of what the machine has available, what the process's control group leaves it,
both shared by the ranks on the machine, which ask for the same, and its own limit of address space (`ulimit -v`); on a
GPU what neither other processes nor this one's tensors hold.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from pinnlab.errors import ConfigurationError
from pinnlab.numerics import distributed

SMALL = 64 << 20
"""Bytes that are not worth asking for: nothing runs where they are not there."""
BLOCK_BYTES = 24 << 20
"""Of rows that are computed at a time, on a CPU: below 32 MB, over which glibc's allocator maps fresh pages at every
request."""

_MEMINFO, _STATM = Path("/proc/meminfo"), Path("/proc/self/statm")
_GROUP = Path("/sys/fs/cgroup")


def free_bytes(device: torch.device | str = "cpu") -> float:
    """What can still be allocated on a device, in bytes; infinite where the system does not tell."""
    device = torch.device(device)
    if device.type == "cuda":
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)  # torch's own, for reuse
        return float(torch.cuda.mem_get_info(device)[0] + kept)
    if device.type != "cpu":
        return float("inf")
    return min(min(_available(), _left_of_group()) / distributed.ranks_here(), _left_of_address_space())


def fits(needed: float, device: torch.device | str = "cpu") -> bool:
    """Whether so many bytes can be allocated."""
    return needed <= SMALL or needed <= free_bytes(device)


def check_fits(key: str, needed: float, device: torch.device | str, alternative: str) -> None:
    """Refuses what does not fit.

    Args:
        key: the setting that asks for it, and what is made: the beginning of the message.
        needed: bytes.
        device: where.
        alternative: what fits, or takes less.

    Raises:
        ConfigurationError: fewer bytes are free.
    """
    if not fits(needed, device):
        raise ConfigurationError(
            f"{key} takes {gibibytes(needed)}, of which {gibibytes(free_bytes(device))} are free; {alternative}"
        )


def gibibytes(count: float) -> str:
    """A number of bytes for a message."""
    size = count / 2**30
    return f"{size:.1f} GiB" if size >= 1 else f"{size:.2g} GiB"


def _available() -> float:
    """What the machine has, for new processes, without swapping."""
    for line in _lines(_MEMINFO):
        if line.startswith("MemAvailable:"):
            return 1024.0 * int(line.split()[1])
    return float("inf")


def _left_of_group() -> float:
    """What a container or a batch system leaves (control groups, version 2); files that can be dropped do not count."""
    most, used = (next(iter(_lines(_GROUP / name)), "max") for name in ("memory.max", "memory.current"))
    if not (most.isdigit() and used.isdigit()):
        return float("inf")
    dropped = (line.split() for line in _lines(_GROUP / "memory.stat"))
    return float(int(most) - int(used) + sum(int(n) for name, n in dropped if name == "inactive_file"))


def _left_of_address_space() -> float:
    """What the limit of the process leaves."""
    if sys.platform == "win32":
        return float("inf")
    import resource

    limit, pages = resource.getrlimit(resource.RLIMIT_AS)[0], next(iter(_lines(_STATM)), "")
    if limit == resource.RLIM_INFINITY or not pages:
        return float("inf")
    return float(limit - int(pages.split()[0]) * resource.getpagesize())


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
