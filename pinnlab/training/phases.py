"""Phases of training: what a run consists of, and what it means to enter one."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import BatchSizeFinder, EarlyStopping, Timer
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch.optim import Optimizer

from pinnlab.criteria import Criterion, recommended
from pinnlab.errors import ConfigurationError, check_whole, unknown
from pinnlab.numerics.precision import has_slow_float64
from pinnlab.optimizers import (
    LBFGS,
    evaluations_per_step,
    is_multi_eval,
    needs_last_layer,
    prefer_fused,
    wants_overlap,
)
from pinnlab.optimizers.requirements import check_closure
from pinnlab.problems.window import absent, present
from pinnlab.training.made_with import OTHER_PROBLEM
from pinnlab.training.memory import check_optimizer_memory
from pinnlab.training.network_checks import check_optimizers
from pinnlab.training.phase_keys import of_optimizer, of_phase
from pinnlab.training.phase_precision import PHASE_DTYPES, phase_dtype, use_dtype, use_products
from pinnlab.training.point_store import sampled_conditions
from pinnlab.training.prolonged import check_prolonged
from pinnlab.training.schedulers import build_scheduler, check_length
from pinnlab.training.trainer_parts import (
    any_says,
    callbacks_of,
    check_searched,
    data_of,
    needed_store,
    point_store,
)
from pinnlab.training.updates import check_updates
from pinnlab.training.wording import phase_in_words


@dataclass(repr=False)
class Phase:
    """A stretch of training with one optimizer.

    Args:
        optimizer: builds the optimizer from the parameters; a class path in YAML, in Python for example
            `functools.partial(torch.optim.Adam, lr=1e-3)`.
        steps: optimizer steps at most; an L-BFGS step is ten iterations.
        until: a criterion that may end the phase earlier. Default: with `steps`, none; without, where another
            phase follows, `recommended()`, the winner of the comparison in docs/studies/switching.md.
        scheduler: builds a learning-rate scheduler that is stepped after every optimizer step. `ReduceLROnPlateau` of
            torch watches the loss after every step; that of `lightning.pytorch.cli`, its `monitor` at validation. Those
            inside a `SequentialLR` or `ChainedScheduler` are given as what builds them, too.
        width: trains only the first neurons of every hidden layer, as many as this, at the cost of a network
            that narrow; the weights that lead from the others to them are set to zero. The next phase goes on
            from the same function: new neurons begin with their random incoming weights. Widths must not shrink
            from phase to phase. Default: all neurons.
        points: how many points each condition has from this phase on, drawn anew when it begins: one number for
            all, or one for each by name; the others keep theirs. First-order steps make do with few points, and
            a method that solves the equations at its points to many digits needs more. Default: the points stay.
        dtype: the precision of weights and points in this phase, `float64` or `float32`: a first-order method
            loses nothing in float32, and GPUs are much faster in it. Weights go on as they are, to the last bit
            when the precision rises. `tensorfloat32` is float32 with products of matrices that a GPU rounds to three
            digits: for wide networks, and first steps only. Default: the module's own.
        updates: of the optimizer in a step, all on the step's points. What surrounds a step takes as long as a loss
            at a few hundred points: there ten updates a step make a run 1.5 times as fast. Everything else counts
            steps: `steps`, schedulers, criteria, callbacks, logs. For first-order optimizers; others iterate
            themselves.
        prolong: whether the optimizer goes on with the state of the one before, such as Adam's moments, in a phase that
            differs in width, points or rate. Neurons that were not trained before have moments of zero.

    Raises:
        ConfigurationError: `steps`, `width`, `updates` or a number of points is not positive, or there is no such
            `dtype`.
    """

    optimizer: OptimizerCallable
    steps: int | None = None
    until: Criterion | None = None
    scheduler: LRSchedulerCallable | None = None
    width: int | None = None
    points: int | dict[str, int] | None = None
    dtype: str | None = None
    updates: int = 1
    prolong: bool = False

    def __post_init__(self) -> None:
        if not callable(self.optimizer):
            kind = f"an instance of {type(self.optimizer).__name__}"
            given = repr(self.optimizer) if isinstance(self.optimizer, str) else kind
            where = "" if self.steps is None else f", in the phase with steps={self.steps!r}"
            raise ConfigurationError(
                "model.phases.optimizer: must build an optimizer from parameters, as "
                f"functools.partial(torch.optim.Adam, lr=1e-3) does, got {given}{where}"
            )
        if self.until is not None and not isinstance(self.until, Criterion):
            raise ConfigurationError(f"model.phases.until: must be a Criterion, got {type(self.until).__name__}")
        numbers: dict[str, int | None] = {"steps": self.steps, "width": self.width, "updates": self.updates}
        if isinstance(self.points, dict):
            numbers |= {f"points.{name}": count for name, count in self.points.items()}
        else:
            numbers["points"] = self.points
        for key, value in numbers.items():
            if value is not None:
                check_whole("model.phases", least=1, **{key: value})
        if self.dtype is not None and self.dtype not in PHASE_DTYPES:
            raise unknown("model.phases.dtype", self.dtype, PHASE_DTYPES)

    def __repr__(self) -> str:
        return phase_in_words(self)

    def build(self, parameters: Iterable[torch.nn.Parameter]) -> Optimizer:
        """The phase's optimizer on some parameters.

        Raises:
            ConfigurationError: it refuses its options or these parameters.
        """
        try:
            optimizer = self.optimizer(parameters)
        except (TypeError, ValueError) as error:  # what torch and the packages around it raise, and ours
            raise of_optimizer(error) from error
        if isinstance(optimizer, torch.optim.SparseAdam):
            raise ConfigurationError("model.phases.optimizer: SparseAdam needs sparse gradients; use Adam")
        if not isinstance(optimizer, Optimizer):
            raise ConfigurationError(f"model.phases.optimizer: must build an Optimizer, got {type(optimizer).__name__}")
        check_closure(optimizer)
        if self.updates > 1 and is_multi_eval(optimizer):
            name = type(optimizer).__name__
            raise ConfigurationError(
                f"model.phases.updates: {name} evaluates several times a step itself; leave it out"
            )
        return optimizer

    def configured(self, parameters: Iterable[torch.nn.Parameter]) -> Any:
        """The phase's optimizer on some parameters, with its scheduler, as Lightning wants them."""
        optimizer = self.build(parameters)
        prefer_fused(optimizer)
        scheduler = self.schedule(optimizer)
        if scheduler is None:
            return optimizer
        # Lightning would want a value at every step for `ReduceLROnPlateau`; `plateau` knows when there is one.
        config = {"scheduler": scheduler, "interval": "step", "reduce_on_plateau": False}
        return {"optimizer": optimizer, "lr_scheduler": config}

    def schedule(self, optimizer: Optimizer) -> Any:
        """The phase's scheduler of an optimizer; None without one.

        Raises:
            ConfigurationError: it refuses its options, or ends before the phase does.
        """
        if self.scheduler is None:
            return None
        try:
            scheduler = build_scheduler(self.scheduler, optimizer)
        except ConfigurationError:
            raise
        except (TypeError, ValueError, KeyError) as error:
            raise ConfigurationError(f"model.phases.scheduler: {' '.join(str(error).split())}") from error
        check_length(scheduler, self.steps)
        return scheduler

    def sample_optimizer(self) -> Optimizer:
        """The phase's optimizer on a parameter of its own: shows the kind, and finds bad options early."""
        return self.build([torch.nn.Parameter(torch.zeros(2, dtype=torch.float64))])

    def planned_evaluations(self, parameters: Iterable[torch.nn.Parameter]) -> int:
        """How often the loss will be evaluated, about; a phase without a number of steps counts 10,000.

        Args:
            parameters: what is trained.
        """
        if self.steps is None:
            return 10_000
        return self.steps * self.updates * evaluations_per_step(self.build(parameters))


def default_phases() -> list[Phase]:
    """Adam to get near, L-BFGS to get close: while the first descent is fast, then 300 steps of ten iterations."""
    return [
        Phase(functools.partial(torch.optim.Adam, lr=5e-3)),
        Phase(LBFGS, steps=300),
    ]


def with_ends(phases: Sequence[Phase]) -> list[Phase]:
    """The phases, with the recommended criterion where one says neither how long it is nor what ends it.

    The last phase keeps what it has: there is nothing to switch to.

    Raises:
        ConfigurationError: there are none, or something else is among them.
    """
    if isinstance(phases, Phase) or not all(isinstance(phase, Phase) for phase in phases):
        raise ConfigurationError("model.phases: must be a list of Phase(optimizer, steps)")
    if not phases:
        raise ConfigurationError("model.phases: is empty; name at least one optimizer")
    endless = [phase.steps is None and phase.until is None for phase in phases[:-1]]
    ended = [replace(p, until=recommended()) if e else p for p, e in zip(phases, endless, strict=False)]
    return [*ended, *phases[-1:]]


def planned_evaluations(phases: Sequence[Phase], parameters: Sequence[torch.nn.Parameter], max_steps: int) -> int:
    """How often a run will evaluate its loss, about.

    Args:
        phases: of the run.
        parameters: what is trained.
        max_steps: the trainer's limit, of 20 evaluations each or as many as a phase has updates; negative for none.
    """
    planned = sum(phase.planned_evaluations(parameters) for phase in phases)
    most = max([20, *(phase.updates for phase in phases)])
    return planned if max_steps < 0 else min(planned, most * max_steps)


def enter(module: Any, phase: int) -> None:
    """The one place where a module comes into a phase, with its precision and width.

    To enter a phase again does nothing to the weights. Points are another matter, see `draw_points`: a run that is
    resumed in a phase enters it with the points it has.
    """
    module.phase = phase
    use_dtype(module, phase_dtype(module, module.phases[phase]))
    use_products(module, module.phases[phase])
    use_width(module, module.phases[phase].width)


def draw_points(module: Any) -> None:
    """Gives the conditions the numbers of points that the module's phase asks for, when it begins."""
    points, store = module.phases[module.phase].points, point_store(module)
    if points is not None and store is not None:
        here = points if isinstance(points, int) else {n: points[n] for n in present(points, module.problem)}
        store.redraw(here)


def use_width(module: Any, width: int | None) -> None:
    """Narrows the network, or widens it again with None; the loss is built anew where that changes it."""
    if module.system.set_width(width):
        module.objective.build(module.device)


def check_phases(trainer: L.Trainer, module: Any) -> None:
    """Refuses what cannot work, before the first step."""
    strategy = type(trainer.strategy).__name__
    if strategy not in ("SingleDeviceStrategy", "DDPStrategy") or "spawn" in str(trainer.strategy.launcher):
        raise ConfigurationError(
            f"trainer.strategy: {strategy} cannot train a PINN (derivatives of derivatives); use auto or ddp"
        )
    _check_least(trainer)
    last, unlimited = module.phases[-1], trainer.max_steps == -1 and trainer.max_epochs == -1
    ended = any_says(trainer, "ends_runs") or any(callbacks_of(trainer, kind) for kind in (Timer, EarlyStopping))
    if last.steps is None and last.until is None and unlimited and not ended:
        raise ConfigurationError("model.phases: the last phase never ends; give it steps or until")
    if getattr(data_of(module), "problem", module.problem) is not module.problem:
        raise ConfigurationError(OTHER_PROBLEM)
    if str(trainer.precision) not in ("32-true", "64-true"):
        raise ConfigurationError(
            f"trainer.precision: {trainer.precision} rounds points, or products in derivatives, to three digits; leave "
            "it out (model.dtype: float32 is the coarsest)"
        )
    _check_widths(module)
    _check_points(module)
    _check_dtypes(trainer, module)
    optimizers = built_optimizers(module, trainer.strategy.root_device)
    check_optimizers(module, optimizers)
    _warn_of_slow_float64(trainer, module)
    check_prolonged(module.phases, optimizers)
    check_updates(trainer, [phase.updates for phase in module.phases])
    check_optimizer_memory(module, optimizers)
    if any(map(needs_last_layer, optimizers)):
        module.system.last_layer()
    several = [optimizer for optimizer in optimizers if is_multi_eval(optimizer)]
    if not several:
        return
    check_searched(trainer, type(several[0]).__name__)
    if any(map(wants_overlap, several)) and getattr(data_of(module), "batch_size", None) == 1:
        raise ConfigurationError("data.batch_size: must be at least 2 for mini-batches that share points, got 1")


def _check_least(trainer: L.Trainer) -> None:
    """Refuses a least number of steps: the last optimizer would go on after the end of its phase."""
    for key in ("min_steps", "min_epochs"):
        if getattr(trainer, key):
            raise ConfigurationError(f"trainer.{key}: the phases end the run; leave it out, and give them more steps")
    if callbacks_of(trainer, BatchSizeFinder):
        raise ConfigurationError("BatchSizeFinder: all points make one batch; leave it out, or give data.batch_size")


def built_optimizers(module: Any, device: torch.device | str = "cpu") -> list[Optimizer]:
    """The optimizer of each phase on parameters like the module's own, to look at.

    Args:
        module: the `PINN`.
        device: where it is to be trained.

    Raises:
        ConfigurationError: an optimizer or a scheduler refuses its options or the parameters.
    """
    optimizers = []
    for number, phase in enumerate(module.phases):
        with of_phase(number):
            optimizers.append(phase.build(_trained(module, phase, torch.device(device))))
            phase.schedule(optimizers[-1])
    return optimizers


def _check_widths(module: Any) -> None:
    """Refuses a width that is below an earlier phase's, or that the network cannot have."""
    whole = module.trial.tensors()
    for number, (before, phase) in enumerate(zip([None, *module.phases], module.phases, strict=False)):
        width, key = phase.width, f"model.phases.{number}.width"
        if width is None:
            continue
        if before is not None and (before.width is None or width < before.width):
            raise ConfigurationError(
                f"{key}: {width} comes after {before.width or 'all neurons'}; widths must not shrink"
            )
        try:
            narrow = module.trial.narrowed(whole, width)
        except ConfigurationError as error:
            raise ConfigurationError(f"{key}: {error}; leave width out, or use an MLP") from error
        if all(narrow[name].shape == tensor.shape for name, tensor in whole.items()):
            raise ConfigurationError(
                f"{key}: {width} leaves out no neuron of the network; make it smaller or leave it out"
            )


def _check_points(module: Any) -> None:
    """Refuses numbers of points for what is no condition with points to draw."""
    known, elsewhere = sampled_conditions(module.problem), absent(module.problem)
    for number, phase in enumerate(module.phases):
        for name in phase.points if isinstance(phase.points, dict) else ():
            if name not in known and name not in elsewhere:
                raise unknown(f"condition in model.phases.{number}.points", name, known)
        if phase.points is not None:
            needed_store(module, f"model.phases.{number}.points")


def _check_dtypes(trainer: L.Trainer, module: Any) -> None:
    """Refuses a dtype of the module or a phase where somebody else casts, or where nobody casts the points."""
    in_phases = any(phase.dtype is not None for phase in module.phases)
    if str(trainer.precision) != "32-true" and (in_phases or module.own_dtype != torch.float64):
        # "32-true" is Lightning's name for leaving everything as it is
        raise ConfigurationError(
            f"trainer.precision: {trainer.precision} casts weights or points itself; leave it out with "
            f"{'model.phases.dtype' if in_phases else 'model.dtype: float32'}"
        )
    if in_phases:
        needed_store(module, "model.phases.dtype")


def _warn_of_slow_float64(trainer: L.Trainer, module: Any) -> None:
    """Says once that a card is made for float32, where no phase makes use of that."""
    device = trainer.strategy.root_device
    wide = all(phase_dtype(module, phase) == torch.float64 for phase in module.phases)
    if wide and trainer.is_global_zero and has_slow_float64(device):
        warnings.warn(
            f"{torch.cuda.get_device_name(device)} is 30 to 60 times slower in float64 than in float32; give the first "
            "phases dtype: float32 (model.phases.dtype), or train on a data-centre card (docs/gpu.md)",
            stacklevel=2,
        )


def _trained(module: Any, phase: Phase, device: torch.device) -> list[torch.nn.Parameter]:
    """The parameters that a phase trains, as it has them: they show before the first step whether a matrix fits."""
    dtype = phase_dtype(module, phase)
    return [torch.nn.Parameter(p.detach().to(device, dtype)) for p in module.trial.parameters() if p.requires_grad]
