"""The warning of too few points, by itself."""

import functools

import pytest
from lightning.pytorch.loggers import CSVLogger
from training import quiet_trainer, small_data, small_module

from pinnlab.callbacks import ResolutionWarning, RunSummary
from pinnlab.errors import ConfigurationError
from pinnlab.optimizers import FixedDamping, LevenbergMarquardt
from pinnlab.training.phases import Phase

pytestmark = pytest.mark.filterwarnings("ignore")


def fit(points, *callbacks, **options):
    optimizer = functools.partial(LevenbergMarquardt, damping=FixedDamping(1e-8))
    module = small_module(phases=[Phase(optimizer, steps=40)])
    data = small_data(module.problem, points=points, held_out=100)
    quiet_trainer(callbacks=list(callbacks), val_check_interval=10_000, **options).fit(module, data)


def test_too_few_points_are_noticed_reported_and_logged(tmp_path):
    callback, summary = ResolutionWarning(every=20), RunSummary()
    logger = CSVLogger(tmp_path)
    with pytest.warns(UserWarning, match="residual of condition 'pde'") as caught:
        fit({"pde": 4, "wall": 8, "start": 8}, callback, summary, logger=logger)
    own = [str(w.message) for w in caught if "under-resolution" in str(w.message)]
    assert own == callback.warnings == summary.result["warnings"]
    line = next(text for text in own if "'pde'" in text)
    assert "\n" not in line
    assert "raise data.points.pde" in line
    assert "4 training points" in line
    logger.finalize("success")
    logged = next(tmp_path.rglob("metrics.csv")).read_text().partition("\n")[0]
    assert "training/held_out_ratio/pde" in logged
    assert "gradient_norm/" not in logged  # what it does not need, it does not measure


def test_enough_points_are_left_alone():
    callback, summary = ResolutionWarning(every=20), RunSummary()
    fit(400, callback, summary)
    assert len(callback.record.looks) > 3
    assert callback.warnings == summary.result["warnings"] == []


def test_the_factor_is_the_limit():
    callback = ResolutionWarning(factor=1e30, every=20)
    fit({"pde": 4, "wall": 8, "start": 8}, callback)
    assert max(callback.record.looks[-1].ratios.values()) > 100
    assert callback.warnings == []


@pytest.mark.parametrize(
    ("options", "key"), [({"factor": 1.0}, "factor"), ({"patience": 0}, "patience"), ({"every": 0}, "every")]
)
def test_bad_numbers_are_refused(options, key):
    with pytest.raises(ConfigurationError, match=rf"ResolutionWarning\.{key}"):
        ResolutionWarning(**options)
