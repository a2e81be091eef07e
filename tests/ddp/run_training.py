"""The runs of test_two_processes.py: each process trains, and saves what came out.

A name is one of PHASES or of the collections of callbacks, or "plain" for that of `small_module`. After "few_" it is
trained on one point of each condition, so that the second process has none. After "14@FOLDER/" it goes on from that
step of a run in another folder.
"""

from pathlib import Path

import torch
from training import (
    ADAM,
    BATCH_SIZES,
    BOARD_CALLBACKS,
    CONDITION_PROBLEMS,
    FEATURES,
    GROWTH_CALLBACKS,
    PARTS,
    PHASES,
    POINT_CALLBACKS,
    PROBLEM_CALLBACKS,
    QUASI_NEWTON,
    THREE_PHASES,
    WATCHING_CALLBACKS,
    WEIGHT_CALLBACKS,
    condition_options,
    full_run,
)
from unseen import blank_figures, leave_margins

from pinnlab.callbacks import FrequencyHistory
from pinnlab.reporting.loggers import LogScaleTensorBoardLogger
from pinnlab.training.phases import Phase

SHORTER = {*PROBLEM_CALLBACKS, *GROWTH_CALLBACKS, "ntk", "relobralo", "softadapt"}
"""Those with callbacks that nothing goes on from or is compared with."""


def train(name, processes, folder):
    """One run, and its result in the folder; most are validated after it only."""
    source, _, name = name.rpartition("/")
    few, folder = name.startswith("few_"), folder / name
    name = name.removeprefix("few_")
    options = {"phases": PHASES[name](), "batch_size": BATCH_SIZES.get(name)} if name in PHASES else {}
    if name in CONDITION_PROBLEMS:
        options = condition_options(name)
    callbacks = {**POINT_CALLBACKS, **PROBLEM_CALLBACKS, **WEIGHT_CALLBACKS, **GROWTH_CALLBACKS}
    callbacks |= {**WATCHING_CALLBACKS, **BOARD_CALLBACKS}
    if name in callbacks:
        options["callbacks"] = callbacks[name]()
    if name in {**FEATURES, **PARTS}:
        options = {**FEATURES, **PARTS}[name]()
    if few or name in SHORTER:
        options.setdefault("phases", THREE_PHASES)
    if name not in {"plain", *BOARD_CALLBACKS}:
        options["trainer"] = {"val_check_interval": 100}
    if few:
        options["data"] = {"points": {"pde": 1, "wall": 1, "start": 1}}
    folder.mkdir(parents=True, exist_ok=True)
    if source:
        step, _, source = source.partition("@")
        options["ckpt_path"] = Path(source) / folder.name / "checkpoints" / f"step={step}.ckpt"
    if name in BOARD_CALLBACKS:
        options["logger"] = LogScaleTensorBoardLogger(folder / "board", name="", version="")
        options["phases"] = [Phase(ADAM, steps=5), Phase(QUASI_NEWTON, steps=2)]
    recorder, trainer, module, data = full_run(folder / "checkpoints", devices=processes, every=7, **options)
    errors = module.measure_errors(data)
    trainer.validate(module, data, verbose=False)
    first = next(iter(module.problem.conditions))
    score = module.system.score(first, data.store.rows[first])
    history = next((c.state_dict() for c in trainer.callbacks if isinstance(c, FrequencyHistory)), None)
    if not trainer.is_global_zero:
        torch.save(recorder.parameters, folder / f"{trainer.global_rank}.pt")
    else:
        torch.save(
            {
                "parameters": recorder.parameters,
                "points": data.store.state_dict()["rows"],
                "errors": errors,
                "validation": {k: float(v) for k, v in trainer.callback_metrics.items()},
                "evaluations": module.evaluations,
                "points_seen": module.points_seen,
                "batch_size": data.store.batches.size,
                "scale": module.trial.tensors().get("network.network.scale"),
                "factors": module.weights.factors,
                "score": score.detach(),
                "history": history,
                "seen": trainer.callbacks[0].state_dict() if name in WATCHING_CALLBACKS else {},
            },
            folder / "result.pt",
        )


def train_all(rank, processes, folder, names):
    """All runs, as one of the processes."""
    leave_margins()
    blank_figures()
    for name in names:
        train(name, processes, folder)
