"""What each of two ranks makes of a task."""

import torch
from forked import on_ranks


def on_two_ranks(save, folder):
    """What each rank of `save(rank, folder)` saved as `RANK.pt`, in their order."""
    on_ranks(2, folder, save, folder)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]
