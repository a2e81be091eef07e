"""What test_gradients_of_two.py has each of two processes do: saves the gradients of the loss in parts."""

import torch
from run_linearization import SHARES, problem_of

from pinnlab.objective.global_loss import GlobalLoss
from pinnlab.objective.gradients import LossGradients

CHUNKS = 3
MOVES = 40
"""Places where the loss is compared."""


def gradients_of(kind, batch):
    """Gradients of the loss of a problem on some rows, and the rows of each rank."""
    system, _, factors = problem_of(kind)
    counts = torch.tensor([sum(n) for n in SHARES[kind].values()])
    return LossGradients(system.weighted_loss, system.trial.tensors(), factors * counts, batch)


def losses_of(kind, batch):
    """The loss of a problem on some rows at several places, `(MOVES,)`."""
    system = problem_of(kind)[0]
    generator = torch.Generator().manual_seed(3)
    loss, values = GlobalLoss(system), []
    for _ in range(MOVES):
        with torch.no_grad():
            for parameter in system.trial.parameters():
                parameter += torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
        values.append(loss(batch, torch.ones(len(batch), dtype=torch.float64)).detach())
    return torch.stack(values)


def save(rank, folder):
    """Makes a group with the other rank, and saves what they have together."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder / 'store'}", rank=rank, world_size=2)
    results = {}
    for kind in SHARES:
        found = gradients_of(kind, problem_of(kind)[1][rank])
        results[kind] = {
            "conditions": found.by_condition(), "chunks": found.by_chunk(CHUNKS), "many": found.by_chunk(8),
            "losses": losses_of(kind, problem_of(kind)[1][rank]),
            "evaluations": torch.tensor(found.evaluations),
        }  # fmt: skip
    torch.save(results, folder / f"{rank}.pt")
    torch.distributed.destroy_process_group()
