"""Whether a run compiles its functions, and from which step on it uses them."""

from __future__ import annotations

import math
import time
from typing import Any

import torch
from lightning.pytorch.callbacks import Timer

from pinnlab.criteria import TimeBudget
from pinnlab.numerics.compilation import can_compile
from pinnlab.numerics.compiler import Compiler
from pinnlab.training.phases import planned_evaluations
from pinnlab.training.switching import OptimizerPhases
from pinnlab.training.trainer_parts import callbacks_of, point_store

WORTH_SECONDS = 5.0
"""What a run's evaluations must take uncompiled before `"auto"` compiles: about 2 s go by for a cached function."""

NEW_CODE = 25.0
"""The same for code that is in no cache: to make it takes a core of the run's for 10 to 20 s.

Burgers' equation by Adam, 3 x 20 neurons, 3,000 points, two cores: of 12.5 s uncompiled it made 21.8 s, of 29.6 s 24.1.
"""

FASTEST = 5e-4
"""Seconds that no evaluation beats uncompiled: four neurons at ten points took 2.9 ms. Longer plans need no timing."""

WORTH_ON_GPU = 10.0
"""The same on a GPU, where more evaluations are over before the code is there: it is made by a process that begins."""

RECORDED, EACH = 1e-3, 5e-8
"""Seconds of an uncompiled evaluation there, and more for each point; it is replayed, see `graph_replay`.

The first is an estimate: 330 kernels for Burgers' equation and a network of 4 x 50. The second is between what such an
evaluation of 10^6 points took on an H100 in float32, 44 ms, and in float64, 76 ms.
"""

ROWS = 500
"""Of each condition, with which an evaluation is timed."""


def compiler_for(module: Any, option: bool | str, used: list[str] | bool | None) -> Compiler | None:
    """Who compiles the functions of a run that begins; None: nobody.

    With `"auto"` it is decided by seconds: those of an uncompiled evaluation, measured on a CPU, times how many the run
    plans, or those that it may take. A short run uses what the cache has, and has nothing made.

    Args:
        module: the `PINN`, on its device, with a trainer.
        option: `True`: compile, and wait for it. `False`: do not. `"auto"`: compile what pays, beside the run.
        used: what the run that this one resumes had compiled; False if it did not compile; None for a new run.
    """
    if option is False or module.system.engine != "taylor":
        return None
    if option is True:
        return Compiler()
    if used is False:
        return None
    repeated = used if isinstance(used, list) else None
    if repeated is None and not can_compile(module.device):
        return None
    seconds, on_cpu = _seconds_planned(module), module.device.type == "cpu"
    if repeated is None and seconds < (WORTH_SECONDS if on_cpu else WORTH_ON_GPU):
        return None
    return Compiler(beside=True, used=repeated or [], makes=not on_cpu or seconds >= NEW_CODE)


def _seconds_planned(module: Any) -> float:
    """What all evaluations of a run take uncompiled, about, or what it may take if that is less."""
    planned = planned_evaluations(module.phases, module.trial.trained(), module.trainer.max_steps)
    if module.device.type != "cpu":
        return min(planned * _seconds_on_gpu(module), _seconds_allowed(module))
    if planned * FASTEST >= NEW_CODE:
        return _seconds_allowed(module)
    return min(planned * _seconds(module), _seconds_allowed(module))


def _seconds_allowed(module: Any) -> float:
    """The seconds after which a run ends at the latest; infinite where nothing says so."""
    timers = callbacks_of(module.trainer, Timer)
    limits = [left for timer in timers if (left := timer.time_remaining()) is not None]
    budgets = [phase.until.seconds for phase in module.phases if isinstance(phase.until, TimeBudget)]
    if len(budgets) == len(module.phases):
        limits.append(sum(budgets))
    return min(limits, default=math.inf)


def _seconds_on_gpu(module: Any) -> float:
    """What an evaluation of loss and gradient takes a GPU uncompiled, about."""
    store = point_store(module)
    return RECORDED + EACH * (0 if store is None else sum(store.batch_sizes().values()))


def _seconds(module: Any) -> float:
    """What an evaluation of loss and gradient takes uncompiled, about: timed on some rows of each condition."""
    store = point_store(module)
    if store is None:
        return 0.0
    rows = {name: points[:ROWS] for name, points in store.rows.items()}
    share = sum(map(len, rows.values())) / max(sum(store.batch_sizes().values()), 1)
    factors = torch.ones_like(module.loss_weights)
    trained = module.trial.trained()
    taken = []
    for _ in range(3):
        start = time.perf_counter()
        with torch.enable_grad():
            loss, _ = module.system.weighted_loss(module.trial.tensors(), rows, factors)
            torch.autograd.grad(loss, trained, allow_unused=True)
        taken.append(time.perf_counter() - start)
    return min(taken) / min(share, 1.0)


def adopt_compiled(module: Any) -> None:
    """Has what was compiled beside the run used from this step on, and says so; a decision about the run."""
    for title, seconds, beside in module.objective.adopt():
        where = "beside the run" if beside else "by the run itself, as no process beside it could,"
        reason = f"{title}, made {where} in {seconds:.0f} s (once for this kind of problem, then cached)"
        for phases in callbacks_of(module.trainer, OptimizerPhases):  # none while `lr_find` tries rates
            phases.history.decide(module.trainer, module, "compiled", reason, seconds)
