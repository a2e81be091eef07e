"""What callbacks do in windows of time: they begin anew in each, and what they say of each is kept."""

import csv
import functools

import lightning as L
import pytest
import torch
from lightning.pytorch.loggers import CSVLogger
from training import quiet_trainer

import pinnlab
from pinnlab import Phase
from pinnlab.analysis.signatures import Finding
from pinnlab.callbacks import (
    Continuation,
    FreshPoints,
    LossBalancing,
    NTKSpectrum,
    ResidualAttention,
    RunSummary,
    SelfAdaptive,
)
from pinnlab.callbacks.signatures import AbstractSignatureWatch
from pinnlab.networks import MLP, Tiles
from pinnlab.objective.balancing import GradientNorm
from pinnlab.problems import Burgers, Heat1D, Tiled

pytestmark = pytest.mark.filterwarnings("ignore")

ADAM = functools.partial(torch.optim.Adam, lr=1e-2)


def march(problem, *callbacks, network=None, steps=12, **options):
    network = network or functools.partial(MLP, hidden=[6])
    return pinnlab.march(
        problem,
        windows=2,
        model={"network": network, "phases": [Phase(ADAM, steps=steps)], "compile": False},
        data={"points": 20},
        trainer=quiet_trainer(callbacks=list(callbacks), **options),
    )


class Seen(L.Callback):
    """What a function says after every step, by window."""

    def __init__(self, look):
        self.look, self.windows = look, []

    def on_train_start(self, trainer, pl_module):
        self.windows.append([])

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.windows[-1].append(self.look(pl_module))


class Watch(AbstractSignatureWatch):
    """Finds something in every window, and something else in those that end behind step 2."""

    def __init__(self):
        super().__init__({"short": found("too short", 0), "long": found("too long", 2)}, (), every=100)


def found(signature, behind):
    def rule(record):
        step = record.looks[-1].step
        return [Finding(signature, "pde", step, "seen", "do it")] if step > behind else []

    return rule


@pytest.mark.parametrize(
    "make",
    [
        lambda: FreshPoints(every=5, start=2),
        lambda: SelfAdaptive(every=5),
        lambda: ResidualAttention(every=5),
        lambda: LossBalancing(GradientNorm(), every=5),
    ],
)
def test_evaluations_are_counted_from_the_beginning_of_each_window(make):
    """They went on counting from zero, so that points and weights changed after the first step of a later window."""
    callback = make()
    seen = Seen(lambda module: callback.occasions.last - module.counted_before.evaluations)
    march(Heat1D(), callback, seen)
    first, second = seen.windows
    assert len(set(first)) >= 3
    assert second == first


def test_the_spectra_of_all_windows_are_kept(tmp_path):
    spectrum = NTKSpectrum(every=4, max_points=10)
    march(Heat1D(), spectrum, logger=CSVLogger(tmp_path), steps=8)
    with next(tmp_path.rglob("spectrum.csv")).open(newline="") as file:
        steps = sorted({int(line["step"]) for line in csv.DictReader(file)})
    assert steps == [0, 4, 8, 12, 16]


def test_what_was_said_of_any_window_is_in_the_summary():
    class Says(L.Callback):
        def on_train_start(self, trainer, pl_module):
            self.warnings = [f"begun at {trainer.global_step}"]

    summary = RunSummary()
    march(Heat1D(), Says(), summary, steps=3)
    assert summary.result["warnings"] == ["window 0 to 0.5: begun at 0", "window 0.5 to 1: begun at 3"]
    assert "warnings" not in summary.result["windows"][0]


def test_what_windows_have_in_common_is_shown_once():
    """A run in 100 windows, each with too few points, said so 98 times."""
    watch, summary = Watch(), RunSummary()
    for _ in range(2):
        with pytest.warns(UserWarning, match=" at step ") as shown:
            march(Heat1D(), watch, summary, steps=2)
        assert [str(line.message).partition(" at ")[0] for line in shown] == ["too short", "too long"]
        assert [line.partition(" at ")[0] for line in summary.result["warnings"]] == [
            "window 0 to 0.5: too short",
            "window 0.5 to 1: too short",
            "window 0.5 to 1: too long",
        ]


@pytest.mark.parametrize("tiled", [False, True])
def test_a_number_of_the_problem_goes_to_what_was_asked_for_in_every_window(tiled):
    burgers = Burgers(viscosity=0.05)
    problem = Tiled(burgers, grid=[2, 1]) if tiled else burgers
    network = functools.partial(Tiles, grid=[2, 1], network=functools.partial(MLP, hidden=[6])) if tiled else None
    seen = Seen(lambda module: burgers.viscosity)
    march(problem, Continuation("viscosity", start=0.2, steps=8, stages=3), seen, network=network)
    first, second = seen.windows
    assert (first[0], first[-1]) == (0.2, 0.05)
    assert first == sorted(first, reverse=True)
    assert second == first
