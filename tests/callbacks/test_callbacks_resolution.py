"""The warning of too few points."""

import functools
import math
from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch.loggers import CSVLogger
from training import quiet_trainer, small_data, small_module

from pinnlab.callbacks import ResolutionWarning, RunSummary, resolution
from pinnlab.callbacks.resolution import resolution_ratio
from pinnlab.errors import ConfigurationError
from pinnlab.optimizers import FixedDamping, LevenbergMarquardt
from pinnlab.phases import Phase

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_ratio_is_plain_above_round_off_and_small_below(dtype):
    eps = torch.finfo(dtype).eps
    assert resolution_ratio(1e-4, 3e-2, dtype) == pytest.approx(300.0)
    assert resolution_ratio((2 * eps) ** 2, (900 * eps) ** 2, dtype) < 1  # two round-offs
    assert resolution_ratio(0.0, 0.0, dtype) == 0
    # Points that are fitted to round-off, and nothing between them, are what the warning is for.
    assert resolution_ratio((2 * eps) ** 2, 1e-2, dtype) > 100


def test_a_residual_that_is_not_finite_is_no_resolution():
    assert not resolution_ratio(math.nan, 1.0, torch.float64) > 100
    assert not resolution_ratio(1.0, math.nan, torch.float64) > 100


def fit(points, *callbacks, **options):
    optimizer = functools.partial(LevenbergMarquardt, damping=FixedDamping(1e-8))
    module = small_module(phases=[Phase(optimizer, steps=40)])
    data = small_data(module.problem, points=points, held_out=100)
    quiet_trainer(callbacks=list(callbacks), val_check_interval=5, log_every_n_steps=5, **options).fit(module, data)


def test_too_few_points_are_noticed_reported_and_logged(tmp_path):
    callback, summary = ResolutionWarning(), RunSummary()
    logger = CSVLogger(tmp_path)
    with pytest.warns(UserWarning, match="condition 'pde' is under-resolved") as caught:
        fit({"pde": 4, "wall": 8, "start": 8}, callback, summary, logger=logger)
    own = [str(w.message) for w in caught if "under-resolved" in str(w.message)]
    assert own == callback.warnings == summary.result["warnings"]
    line = next(text for text in own if "'pde'" in text)
    assert "\n" not in line
    assert "raise data.points.pde" in line
    assert "4 training points" in line
    logger.finalize("success")
    assert "training/held_out_ratio/pde" in next(tmp_path.rglob("metrics.csv")).read_text()


def test_enough_points_are_left_alone():
    callback, summary = ResolutionWarning(), RunSummary()
    fit(400, callback, summary)
    assert callback.warnings == summary.result["warnings"] == []


class Validations:
    """Shows a callback one pair of mean squares after the other."""

    def __init__(self, monkeypatch, **options):
        self.callback = ResolutionWarning(**options)
        store = SimpleNamespace(points=lambda name: None, rows={"pde": [0] * 9})
        monkeypatch.setattr(resolution, "point_store", lambda module: store)
        monkeypatch.setattr(resolution, "drawable", lambda problem: ["pde"])
        monkeypatch.setattr(resolution, "mean_square", lambda *unused: 1e-6)
        self.module = SimpleNamespace(problem=None, system=None, dtype=torch.float64)

    def show(self, ratio, sanity_checking=False, fn="fit"):
        trainer = SimpleNamespace(
            sanity_checking=sanity_checking, state=SimpleNamespace(fn=fn), loggers=[], global_step=7,
            callback_metrics={"held_out/pde": torch.tensor(ratio * 1e-6)}, logged_metrics={}, is_global_zero=False,
        )  # fmt: skip
        self.callback.on_validation_end(trainer, self.module)
        return len(self.callback.warnings)


def test_says_it_once_and_only_after_two_validations_in_a_row(monkeypatch):
    run = Validations(monkeypatch)
    assert [run.show(r) for r in (500.0, 3.0, 500.0, 200.0, 1.0, 900.0, 900.0)] == [0, 0, 0, 1, 1, 1, 1]


def test_options_are_the_limits(monkeypatch):
    run = Validations(monkeypatch, factor=10.0, patience=1)
    assert [run.show(r) for r in (9.0, 11.0)] == [0, 1]


def test_looks_only_at_validations_of_a_training_run(monkeypatch):
    run = Validations(monkeypatch, patience=1)
    assert run.show(500.0, sanity_checking=True) == run.show(500.0, fn="validate") == 0


def test_what_was_said_survives_a_checkpoint(monkeypatch):
    run, again = Validations(monkeypatch), Validations(monkeypatch)
    run.show(500.0)
    again.callback.load_state_dict(run.callback.state_dict())
    assert again.show(500.0) == 1
    once_more = Validations(monkeypatch)
    once_more.callback.load_state_dict(again.callback.state_dict())
    assert [once_more.show(500.0), once_more.show(500.0)] == [1, 1]


@pytest.mark.parametrize(("options", "key"), [({"factor": 1.0}, "factor"), ({"patience": 0}, "patience")])
def test_bad_numbers_are_refused(options, key):
    with pytest.raises(ConfigurationError, match=rf"ResolutionWarning\.{key}"):
        ResolutionWarning(**options)
