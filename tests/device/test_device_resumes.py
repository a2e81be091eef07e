"""A checkpoint that a GPU has written goes on bitwise on a device, and is of use where there is no GPU."""

import json

import pytest
import torch
from commanded import fitted, in_folder
from devices import GPU, PLACES, at, fetched
from training import (
    BATCH_SIZES,
    GROWTH_CALLBACKS,
    PARTS,
    PHASES,
    POINT_CALLBACKS,
    WEIGHT_CALLBACKS,
    assert_alike,
    full_run,
    quiet_trainer,
    small_data,
    small_module,
)

import pinnlab
from pinnlab.cli.commands import run

pytestmark = pytest.mark.filterwarnings("ignore")  # those of Lightning

OPTIMIZERS = ("dense", "singular_values", "newton_cg", "schwarz", "multi_batch")
CALLBACKS = {
    "rar_d": POINT_CALLBACKS["rar_d"],
    "gradient_norm": WEIGHT_CALLBACKS["gradient_norm"],
    "growth_by_test": GROWTH_CALLBACKS["growth_by_test"],
}
OPTIONS = {
    "plain": dict,
    **{n: lambda n=n: {"phases": PHASES[n](), "batch_size": BATCH_SIZES.get(n)} for n in OPTIMIZERS},
    **{n: lambda build=build: {"callbacks": build()} for n, build in CALLBACKS.items()},
    **PARTS,
}
"""Optimizers that keep matrices, pairs and blocks, and callbacks that keep points and weights."""


@pytest.fixture
def of_a_gpu(monkeypatch):
    """Has what is saved say that it was on the last of four GPUs."""
    monkeypatch.setattr(torch.serialization, "location_tag", lambda storage: "cuda:3")


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] * (n in PARTS)) for n in OPTIONS])
def test_a_run_on_a_device_resumes_bitwise(tmp_path, of_a_gpu, name, place):
    resumes(tmp_path, name, place, False)


def resumes(tmp_path, name, place, compiled):
    """Asserts that runs that go on are the run that was not ended."""
    with at(place) as there:
        options = {"trainer": there.trainer, "compile": compiled}
        whole, *_ = full_run(tmp_path / "whole", **OPTIONS[name](), **options)
        saved = sorted((tmp_path / "whole").glob("step=*.ckpt"))
        saved = saved[::2] if name == "plain" else saved[len(saved) // 2 :: 4]  # the CPU's own tests take each of all
        assert saved
        for path in saved:
            part, *_ = full_run(tmp_path / "part", ckpt_path=path, every=100, **OPTIONS[name](), **options)
            found = {step: fetched(flat) for step, flat in part.parameters.items()}
            assert_alike(found, {step: fetched(whole.parameters[step]) for step in found})


@pytest.mark.parametrize("place", [GPU])
@pytest.mark.parametrize("name", ["plain", "singular_values"])
def test_a_compiled_run_on_a_gpu_resumes_bitwise(tmp_path, of_a_gpu, name, place):
    resumes(tmp_path, name, place, True)


def test_a_trainer_on_a_cpu_takes_a_checkpoint_of_a_gpu(tmp_path, of_a_gpu):
    """To go on, to validate, to test and to predict."""
    whole, *_ = full_run(tmp_path / "whole")
    path = tmp_path / "whole" / "step=12.ckpt"
    part, *_ = full_run(tmp_path / "part", ckpt_path=path)
    assert_alike(part.parameters, {step: whole.parameters[step] for step in part.parameters})
    module = small_module()
    data = small_data(module.problem)
    for task in ("validate", "test", "predict"):
        getattr(quiet_trainer(), task)(module, data, ckpt_path=path, weights_only=True)
        own = torch.cat([p.detach().reshape(-1) for p in module.trial.parameters()])
        assert torch.equal(own, whole.parameters[12]), task


RECIPE = """
problem: {class_path: Lorenz, init_args: {horizon: 0.6}}
data: {points: {ode: 20}, held_out: 30, evaluation_points: 100}
model:
  network: {class_path: MLP, init_args: {hidden: [8]}}
  phases: [{optimizer: {class_path: LevenbergMarquardt}, steps: 4}]
  compile: false
trainer: {val_check_interval: 2}
"""


@pytest.mark.parametrize(
    "march",
    [pytest.param("", id="whole"), pytest.param("march: {windows: 2}\n", id="windows", marks=pytest.mark.slow)],
)
def test_the_command_on_a_cpu_takes_a_run_of_a_gpu(tmp_path, of_a_gpu, march, capsys):
    (tmp_path / "little.yaml").write_text(RECIPE + march)
    folder = fitted(tmp_path, "-c", "little.yaml") / "little" / "version_0"
    errors = json.loads((folder / "summary.json").read_text())["relative_l2"]
    assert pinnlab.load(folder).errors(100) == pytest.approx(errors)
    with in_folder(tmp_path):
        for command in ("validate", "test", "predict", "diagnose"):
            assert run([command, str(folder)]) == 0, capsys.readouterr().err
        assert run(["fit", str(folder), "--model.phases.0.steps=6"]) == 0, capsys.readouterr().err
