"""What a checkpoint says of a module and its phase beside parameters, and whether it fits one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor

from pinnlab.problems.base import Problem
from pinnlab.problems.given import are_same, fingerprints
from pinnlab.problems.own_file import code_of, file_of
from pinnlab.problems.tiled import Tiled
from pinnlab.problems.window import Window
from pinnlab.training.checkpoint_io import refusal
from pinnlab.training.made_with import differences, made_with
from pinnlab.training.trainer_parts import data_of, in_training

FORMAT = 1
"""Of what checkpoints hold; a larger number is written by a later version, which this one cannot read."""

EVALUATED = ("problem", "model.network")
"""The keys that have to be those of a checkpoint to look at its solution."""

TRAINED = (*EVALUATED, "model.weights", "model.enhance", "model.dtype", "data.")
"""The keys that have to be those of a checkpoint to go on training; and the present phase's optimizer."""

WEIGHTS_ONLY = (
    "holds weights only, which predict, validate and test read; fit and diagnose need a checkpoint that holds all "
    "(save_weights_only: false)"
)
"""What is told where more is needed."""

OF_A_WINDOW = (
    "holds the weights of one window only; windows of time need a checkpoint that holds all, such as last.ckpt "
    "(save_weights_only: false)"
)
"""The same of a run in windows of time."""

LOOKED_AT = "the network was trained with the old {0}, errors and residuals are those of the new"
"""What it means for a solution that is looked at when something has changed since."""


def described(module: Any) -> dict[str, Any]:
    """What is neither a parameter nor a callback's: whose checkpoint it is, and counters; primitives only."""
    return {
        "problem": module.problem.name,
        "evaluations": module.evaluations,
        "points_seen": module.points_seen,
        "loss_version": module.loss_version,
        "loss": module.current_loss(),
        "readings": module.system.readings.version,
        "compiled": module.objective.compiled,
        "format": FORMAT,
        "made_with": made_with(module, data_of(module)),
        "recipe": module.recipe,
        "code": code_of(_class_of_problem(module)),
        "given": fingerprints(module.problem.given),
        "of_a_window": isinstance(module.problem, Window),
    }


def checked(checkpoint: Mapping[str, Any], module: Any) -> dict[str, Any]:
    """What `described` put into a checkpoint.

    Args:
        checkpoint: as Lightning hands it over.
        module: the `PINN` that is to go on from it.

    Raises:
        ConfigurationError: it is not one of pinnlab, or of another problem or network, or of windows of time.
    """
    saved: dict[str, Any] | None = checkpoint.get("pinnlab")
    if saved is None:
        raise refusal(checkpoint, "is not one of pinnlab")
    if saved.get("format", 0) > FORMAT:
        raise refusal(checkpoint, "was written by a later version of pinnlab; install that one")
    if "pinnlab_march" in checkpoint and not isinstance(module.problem, Window):
        raise refusal(checkpoint, "is of a run in windows of time; give its march, or read it with pinnlab.load")
    states: tuple[Mapping[str, Tensor], ...] = checkpoint["state_dict"], module.state_dict()
    check_problem(checkpoint, module.problem)
    check_state(checkpoint, *({k: v for k, v in state.items() if k.startswith("trial.")} for state in states))
    return saved


def check_problem(checkpoint: Mapping[str, Any], problem: Problem) -> None:
    """Refuses a problem of another name than that of a checkpoint.

    Args:
        checkpoint: its content.
        problem: the one that it is to be read for.

    Raises:
        ConfigurationError: it is another one.
    """
    name = checkpoint["pinnlab"]["problem"]
    if name != problem.name:
        raise refusal(
            checkpoint,
            f"is of problem {name}, this run's is {problem.name}; if that is the same under another name, give it the "
            "old one again",
        )


def check_state(checkpoint: Mapping[str, Any], saved: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> None:
    """Refuses a network that cannot take what a checkpoint holds, or needs more.

    Args:
        checkpoint: its content.
        saved: of the checkpoint's network, by name.
        own: of this run's, by the same names.

    Raises:
        ConfigurationError: a name is missing on a side, or has another shape.
    """
    for name, tensor in saved.items():
        if name not in own or own[name].shape != tensor.shape:
            raise refusal(
                checkpoint,
                f"has {name} of shape {tuple(tensor.shape)}, this run's network has "
                f"{tuple(own[name].shape) if name in own else 'none'}; use the same model.network",
            )
    missing = [name for name in own if name not in saved]
    if missing:
        more = f" and {len(missing) - 1} more" if missing[1:] else ""
        raise refusal(
            checkpoint,
            f"lacks {missing[0]}{more} of this run's network; it is damaged, or of another model.network",
        )


def check_made_with(checkpoint: Mapping[str, Any], module: Any) -> list[str]:
    """Compares what a checkpoint's run was made with to this run.

    Warns where the problem is in a file of the user's whose code has changed, as its functions are not in the
    checkpoint, and where data that it was given have other numbers.

    Args:
        checkpoint: as Lightning hands it over; `checked` before.
        module: the `PINN` that is to go on from it, or to be looked at.

    Returns:
        One line for each difference that is none of an exact continuation and yet makes sense: phases to come, and
        when the present one ends.

    Raises:
        ConfigurationError: the run would be another one; one line for each difference.
    """
    saved = checkpoint["pinnlab"].get("made_with")
    if saved is None:
        return []  # of an earlier version
    own = made_with(module, data_of(module))
    trains = in_training(module)
    found = differences(saved, own, TRAINED if trains else EVALUATED)
    told: list[str] = []
    if trains:
        phase = f"model.phases.{phase_in(checkpoint)['number']}."
        found += differences(saved, own, tuple(phase + key for key in ("optimizer", "scheduler")))
        later = differences(saved, own, ("model.phases.",))
        told = [line for line in later if line not in found and not line.startswith((f"{phase}width", f"{phase}dtype"))]
    if found:
        lines = "\n  ".join(found)
        raise refusal(checkpoint, f"was made with something else\n  {lines}")
    _warn_of_new_code(checkpoint["pinnlab"].get("code"), module, trains)
    _warn_of_new_numbers(checkpoint["pinnlab"].get("given", {}), module, trains)
    return told


def _warn_of_new_numbers(saved: Mapping[str, list[float]], module: Any, trains: bool) -> None:
    """Says in one line which given data are no longer those of the checkpoint, as where their file was written anew."""
    own = fingerprints(module.problem.given)
    changed = [name for name in own if not are_same(saved.get(name, own[name]), own[name])]
    if changed:
        then = "training goes on with them, from the old state" if trains else LOOKED_AT.format("numbers")
        rank_zero_warn(f"given {', '.join(changed)}: other numbers than in the checkpoint; {then}")


def _warn_of_new_code(saved: Mapping[str, str] | str | None, module: Any, trains: bool) -> None:
    """Says in one line which files of the user's problem are no longer those of the checkpoint, as far as both tell."""
    problem = _class_of_problem(module)
    path, own = file_of(problem), code_of(problem)
    if path is None or saved is None:
        return
    before = {path.name: saved} if isinstance(saved, str) else saved  # of an earlier version, of that file alone
    changed = [name for name, code in own.items() if before.get(name, code) != code]
    if changed:
        then = "training goes on with the new code, from the old state" if trains else LOOKED_AT.format("code")
        files = f"{', '.join(changed)} {'have' if len(changed) > 1 else 'has'}"
        rank_zero_warn(
            f"problem: {files} changed since the checkpoint was written; {then}; anew: pinnlab fit {path.name}"
        )


def _class_of_problem(module: Any) -> type[Problem]:
    """That of the user's problem, where the module's is a window or tiles of it."""
    problem: Problem = module.problem
    while isinstance(problem, (Window, Tiled)):
        problem = problem.whole
    return type(problem)


def described_phase(module: Any) -> dict[str, Any]:
    """The module's phase, and its criterion's memory; primitives only."""
    phase = module.phases[module.phase]
    return {
        "number": module.phase,
        "count": len(module.phases),
        "until": None if phase.until is None else phase.until.state_dict(),
        "width": phase.width,
        "dtype": phase.dtype,
    }


def phase_in(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """What `described_phase` put into a checkpoint of a whole run.

    Args:
        checkpoint: as Lightning hands it over.

    Raises:
        ConfigurationError: it is one of `ModelCheckpoint(save_weights_only=True)`.
    """
    if "pinnlab_phase" not in checkpoint or "optimizer_states" not in checkpoint:
        raise refusal(checkpoint, WEIGHTS_ONLY)
    saved: dict[str, Any] = checkpoint["pinnlab_phase"]
    return saved


def checked_phase(checkpoint: Mapping[str, Any], module: Any) -> dict[str, Any]:
    """What `described_phase` put into a checkpoint.

    Args:
        checkpoint: as Lightning hands it over.
        module: the `PINN` that is to go on from it.

    Raises:
        ConfigurationError: the module has other phases, or the checkpoint none.
    """
    saved = phase_in(checkpoint)
    if saved["number"] >= len(module.phases):
        raise refusal(checkpoint, f"is in phase {saved['number'] + 1}, this run has {len(module.phases)} phases")
    phase = module.phases[saved["number"]]
    for key in ("width", "dtype"):
        if saved.get(key) != getattr(phase, key):
            raise refusal(
                checkpoint,
                f"has {key} {saved.get(key)} in phase {saved['number'] + 1}, this run {getattr(phase, key)}; use the "
                f"same model.phases.{key}",
            )
    return saved
