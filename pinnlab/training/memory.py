"""What a run will take, compared with what is free, before its first step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch.optim import Optimizer

from pinnlab.numerics import distributed
from pinnlab.numerics.memory import check_fits
from pinnlab.optimizers import check_memory, needs_linearization
from pinnlab.training.phase_keys import of_phase
from pinnlab.training.point_store import sampled_conditions
from pinnlab.training.trainer_parts import point_store


def check_optimizer_memory(module: Any, optimizers: list[Optimizer]) -> None:
    """Refuses optimizers whose matrices do not fit.

    Args:
        module: the `PINN`.
        optimizers: of its phases, on parameters of the size and on the device that they will have. Without points
            nothing is known of how many residuals there are.

    Raises:
        ConfigurationError: what one of them keeps does not fit; names what does.
    """
    store = point_store(module)
    sizes = {} if store is None else store.batch_sizes()
    equations: Mapping[str, int] = {}
    if sizes and store is not None and any(map(needs_linearization, optimizers)):
        parameter = next(module.trial.parameters())
        equations = module.system.equations({name: rows[:1].to(parameter) for name, rows in store.rows.items()})
    for number, (phase, optimizer) in enumerate(zip(module.phases, optimizers, strict=True)):
        if isinstance(phase.points, dict):
            sizes = {**sizes, **phase.points}
        elif phase.points is not None:
            sizes = {**sizes, **dict.fromkeys(sampled_conditions(module.problem), phase.points)}
        with of_phase(number):
            check_memory(optimizer, sum(count * sizes[name] for name, count in equations.items()))


def check_batch(module: Any) -> None:
    """Refuses a batch whose derivatives do not fit: points times channels of derivatives, in every layer.

    A compiled loss works in blocks, and keeps none of them; so does any on a GPU.

    Raises:
        ConfigurationError: they do not.
    """
    store = point_store(module)
    if store is None or module.objective.compiler is not None or module.device.type != "cpu":
        return
    floats, world = module.system.floats_per_row(), distributed.world_size()
    layers = module.system.layers()
    itemsize = torch.finfo(module.dtype).bits // 8
    # What a layer makes, and what its activation makes of that: both are there until the gradient is known.
    each = {name: 2 * layers * itemsize * floats[name] * -(-n // world) for name, n in store.batch_sizes().items()}
    largest = max(each, key=each.__getitem__)
    check_fits(
        f"data.points.{largest}: the loss on {store.batch_sizes()[largest]} points",
        sum(each.values()),
        module.device,
        "use fewer points, data.batch_size, or model.compile: true",
    )
