"""What can be named: classes, recipes, suggestions."""

import inspect

import pytest
import yaml

from pinnlab.cli.catalog import KINDS, class_paths, classes, find_recipe, recipe_names, resolve_names
from pinnlab.errors import ConfigurationError


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_members_with_a_description(kind):
    members = classes(*KINDS[kind])
    assert members
    for name, cls in members.items():
        assert len(inspect.getdoc(cls).partition("\n")[0]) > 10, name


def test_own_classes_win_over_foreign_ones():
    assert class_paths()["LBFGS"] == "pinnlab.optimizers.lbfgs.LBFGS"
    assert class_paths()["Adam"].startswith("torch.optim")


def test_names_are_resolved_deep_down_and_paths_are_left_alone():
    config = {
        "model": {"phases": [{"optimizer": {"class_path": "LBFGS"}, "until": "LossPlateau"}]},
        "problem": {"class_path": "my.module.Problem", "init_args": {"class_path_like": "Adam"}},
    }
    resolved = resolve_names(config)
    phase = resolved["model"]["phases"][0]
    assert phase["optimizer"]["class_path"] == "pinnlab.optimizers.lbfgs.LBFGS"
    assert phase["until"] == "pinnlab.criteria.loss.LossPlateau"
    assert resolved["problem"] == config["problem"]


SAVED = """
problem: {class_path: pinnlab.problems.wave.Wave1D}
model:
  network: {class_path: pinnlab.networks.MLP, init_args: {hidden: [20]}}
  phases: [{optimizer: {class_path: torch.optim.Adam}, until: pinnlab.criteria.LossPlateau}]
trainer:
  logger: {class_path: pinnlab.loggers.LogScaleTensorBoardLogger, init_args: {save_dir: runs}}
  callbacks:
  - class_path: pinnlab.callbacks.balancing.LossBalancing
    init_args: {rule: {class_path: pinnlab.balancing.NTKTrace, init_args: {memory: 0.9}}}
  - class_path: pinnlab.callbacks.batch_growth.BatchGrowth
    init_args: {rule: {class_path: pinnlab.batch_growth.Geometric}}
  - class_path: pinnlab.diagnosis.GracefulStop
"""
"""In the way of a `config.yaml` from the time when the package was flat; `diagnosis` is still there, but a folder."""


def test_classes_that_have_moved_since_a_file_was_saved_are_found_by_their_names():
    config = yaml.safe_load(SAVED)
    resolved = resolve_names(config)
    assert resolved["problem"] == config["problem"]
    assert resolved["model"] == config["model"]
    trainer = resolved["trainer"]
    assert trainer["logger"]["class_path"] == "pinnlab.reporting.loggers.LogScaleTensorBoardLogger"
    assert trainer["logger"]["init_args"] == {"save_dir": "runs"}
    balancing, growth, stop = trainer["callbacks"]
    assert balancing["class_path"] == "pinnlab.callbacks.balancing.LossBalancing"
    weights = {"class_path": "pinnlab.objective.balancing.NTKTrace", "init_args": {"memory": 0.9}}
    assert balancing["init_args"]["rule"] == weights
    assert growth["init_args"]["rule"]["class_path"] == "pinnlab.training.batch_growth.Geometric"
    assert stop["class_path"] == "pinnlab.callbacks.interruption.GracefulStop"


@pytest.mark.parametrize(
    "path",
    [
        "pinnlab.gone.NoSuchClass",  # nothing is known of that name
        "pinnlab.gone.Adam",  # that is torch's
        "elsewhere.LBFGS",  # not ours
        "torch.optim.LBFGS",
    ],
)
def test_other_paths_are_left_alone(path):
    assert resolve_names({"optimizer": path}) == {"optimizer": path}


def test_unknown_names_and_what_stands_for_nothing():
    """A name that nobody knows stays as it is, to be refused with its key; `init_args:` without options is none."""
    assert resolve_names({"network": {"class_path": "PirateNett", "init_args": None}}) == {
        "network": {"class_path": "PirateNett"}
    }


def test_recipes_are_found_by_name_and_by_file(tmp_path):
    assert find_recipe("burgers").name == "burgers.yaml"
    own = tmp_path / "own.yaml"
    own.write_text("problem: {class_path: Burgers}")
    assert find_recipe(str(own)) == own
    with pytest.raises(ConfigurationError, match="did you mean 'burgers'"):
        find_recipe("burger")
    expected = {"regression_gd", "regression_adam", "poisson1d", "poisson2d", "burgers", "allen_cahn", "convection"}
    assert expected | {"heat1d", "biharmonic1d"} <= set(recipe_names())
