"""The scale of random features is the one whose solution has the smallest residual where it was not trained."""

import functools

import pytest
import torch
from training import FEATURES, full_run, quiet_trainer, small_module

from pinnlab import CollocationDataModule, Phase
from pinnlab.callbacks import ScaleSearch
from pinnlab.errors import ConfigurationError
from pinnlab.networks import RandomFeatures
from pinnlab.optimizers import LeastSquares
from pinnlab.problems import Poisson1D
from pinnlab.training.switching import phases_of

pytestmark = pytest.mark.filterwarnings("ignore")
SCALES = [0.5, 8.0, 200.0]


def fit(*callbacks, network=None, **options):
    problem = Poisson1D(frequency=4)
    network = network or functools.partial(RandomFeatures, count=60)
    module = small_module(problem, [Phase(LeastSquares, steps=1)], network=network)
    data = CollocationDataModule(problem, points={"pde": 80, "boundary": 2}, evaluation_points=300, **options)
    trainer = quiet_trainer(callbacks=list(callbacks))
    trainer.fit(module, data)
    return trainer, module, data


def test_takes_the_scale_with_the_smallest_error():
    errors = {}
    for scale in SCALES:
        _, module, data = fit(network=functools.partial(RandomFeatures, count=60, scale=scale))
        errors[scale] = module.measure_errors(data)["u"]
    trainer, module, data = fit(ScaleSearch(SCALES))
    assert float(module.trial.network.network.scale) == min(errors, key=errors.get) == 8.0
    assert module.measure_errors(data)["u"] == pytest.approx(errors[8.0], rel=1e-2, abs=1e-12)
    found = next(d for d in phases_of(trainer).decisions if d.event.startswith("scale"))
    assert (found.event, found.value, found.step) == ("scale 8", 8.0, 0)
    assert all(f"{scale:g}: " in found.reason for scale in SCALES)
    assert "beyond it" not in found.reason


@pytest.mark.parametrize(("scales", "end"), [([0.5, 8.0], "largest"), ([200.0, 8.0], "smallest"), ([8.0], None)])
def test_says_where_a_better_scale_may_lie_beyond_those_tried(scales, end):
    trainer, *_ = fit(ScaleSearch(scales))
    found = phases_of(trainer).decisions[0]
    assert found.event == "scale 8"
    assert found.reason.partition("; ")[2] == (f"the {end} is the best: try others beyond it" if end else "")


def test_training_points_would_not_have_chosen_so():
    """With more features than residuals every scale fits the points it is trained on."""
    left = {}
    for scale in SCALES:
        network = functools.partial(RandomFeatures, count=100, scale=scale)
        left[scale] = fit(network=network)[1].current_loss()
    assert left[200.0] < 1e-20
    _, module, _ = fit(ScaleSearch(SCALES), network=functools.partial(RandomFeatures, count=100))
    assert float(module.trial.network.network.scale) == 8.0


def test_resume_is_bitwise(tmp_path):
    whole, _, module, _ = full_run(tmp_path / "whole", every=1, **FEATURES["features"]())
    assert float(module.trial.network.network.scale) == 2.0
    paths = sorted((tmp_path / "whole").glob("*.ckpt"))
    assert len(paths) == 3
    for path in paths:
        again, _, resumed, _ = full_run(tmp_path / "again", ckpt_path=path, every=100, **FEATURES["features"]())
        assert resumed.evaluations == module.evaluations, path.name
        assert torch.equal(resumed.trial.network.network.scale, module.trial.network.network.scale)
        for step, parameters in again.parameters.items():
            assert torch.equal(parameters, whole.parameters[step]), f"{path.name}: step {step} differs"


BAD = {
    "ScaleSearch.scales: must list": lambda: ScaleSearch([]),
    "ScaleSearch.scales: must be positive": lambda: ScaleSearch([1.0, -1.0]),
    "ScaleSearch.scales[1]: must be a number": lambda: ScaleSearch([1.0, "a"]),
    "ScaleSearch: MLP has no method rescale": lambda: full_run(None, callbacks=[ScaleSearch()]),
    "ScaleSearch: needs held-out points": lambda: fit(ScaleSearch(SCALES), held_out=0),
}


@pytest.mark.parametrize("key", BAD)
def test_bad_options_are_refused_in_one_line(key):
    with pytest.raises(ConfigurationError) as caught:
        BAD[key]()
    assert str(caught.value).startswith(key)
    assert "\n" not in str(caught.value)
