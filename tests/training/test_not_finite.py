"""What is not finite ends a run: with one line that names it, its condition and its point, and with nothing lost."""

import functools
import math
import re

import pytest
import torch
import yaml
from faulty import FROM, KINDS, Break, Faulty
from lightning.pytorch.callbacks import ModelCheckpoint
from training import ADAM, DUAL, NEWTON_CG, QUASI_NEWTON, quiet_trainer, small_data, small_module

from pinnlab.callbacks import Rollback, RunSummary
from pinnlab.cli.commands import run
from pinnlab.errors import ConfigurationError, NotFiniteError, StopReason
from pinnlab.objective.faults import find_fault
from pinnlab.optimizers import (
    LeastSquares,
    LevenbergMarquardt,
    MultiBatchLBFGS,
    MultiPreconditionedLBFGS,
    SchwarzLBFGS,
    SSBroyden,
    TargetRatioGaussNewton,
)
from pinnlab.training.phases import Phase
from pinnlab.training.switching import phases_of

pytestmark = pytest.mark.filterwarnings("ignore")

OPTIMIZERS = {
    "Adam": ADAM,
    "LBFGS": QUASI_NEWTON,
    "SSBroyden": functools.partial(SSBroyden, iterations=2),
    "LevenbergMarquardt": DUAL,
}
OTHERS = {
    "torch's LBFGS": functools.partial(torch.optim.LBFGS, max_iter=3),
    "Schwarz": functools.partial(SchwarzLBFGS, local_iterations=2),
    "multi-preconditioned": functools.partial(MultiPreconditionedLBFGS, global_iterations=3),
    "Newton-CG": NEWTON_CG,
    "multi-batch": MultiBatchLBFGS,
    "Levenberg-Marquardt by QR": functools.partial(LevenbergMarquardt, form="qr"),
    "target ratio": TargetRatioGaussNewton,
    "last layer": LeastSquares,
}
BROKEN_AT = {"target": 1.0, "residual": FROM, "gradient": FROM}
"""Where each kind begins; the others have no point."""


def start(optimizer, problem=None, *callbacks, steps=9, compiled=False, **options):
    module = small_module(problem or Faulty(), [Phase(optimizer, steps=steps)], compile=compiled)
    trainer = quiet_trainer(callbacks=list(callbacks), **options)
    return module, trainer, functools.partial(trainer.fit, module, small_data(module.problem))


def assert_names(line, kind):
    """The kind of value, the condition, and where it first happens among the points."""
    assert "\n" not in line
    subject = {"parameter": r"of network\.\S+", "target": "of condition 'wall'"}.get(kind, "of condition 'pde'")
    assert re.search(rf"{kind} {subject} is (nan|inf)", line), line
    if kind in BROKEN_AT:
        assert float(re.search(r" at x = ([\d.]+)", line)[1]) >= BROKEN_AT[kind]
    else:
        assert " at x" not in line


def is_finite(module):
    return all(bool(p.isfinite().all()) for p in module.parameters())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_run_ends_at_the_first_such_step(optimizer, kind, tmp_path):
    saver = ModelCheckpoint(tmp_path, save_last=True, every_n_train_steps=1, save_on_exception=True)
    module, trainer, fit = start(
        OPTIMIZERS[optimizer], None, Break(kind), saver, val_check_interval=100, enable_checkpointing=True
    )
    with pytest.raises(NotFiniteError) as caught:
        fit()
    assert_names(str(caught.value), kind)
    assert f"in step 4 (phase 1, {optimizer})" in str(caught.value)
    assert is_finite(module) == (kind != "parameter")
    assert phases_of(trainer).records[-1].stopped == StopReason.NOT_FINITE.value
    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert saved["global_step"] == 3
    assert all(bool(value.isfinite().all()) for name, value in saved["state_dict"].items() if "extra" not in name)
    again, _, _ = start(OPTIMIZERS[optimizer])
    resumed = quiet_trainer()
    resumed.fit(again, small_data(again.problem), ckpt_path=tmp_path / "last.ckpt", weights_only=True)
    assert resumed.global_step == 9
    assert math.isfinite(again.current_loss())


@pytest.mark.parametrize("kind", ["target", "residual", "gradient", "parameter"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_with_rollback_it_ends_when_that_gives_up(optimizer, kind):
    summary = RunSummary()
    module, trainer, fit = start(
        OPTIMIZERS[optimizer], None, Break(kind), Rollback(every=2, attempts=2), summary, steps=20
    )
    fit()
    assert is_finite(module)
    assert trainer.global_step <= 8
    phases = phases_of(trainer)
    assert phases.records[-1].stopped == StopReason.DIVERGED.value
    assert [d.event for d in phases.decisions] == ["rollback", "rollback", "stop"]
    assert_names(phases.decisions[-1].reason, kind)
    assert summary.result["decisions"][-1]["reason"] == phases.decisions[-1].reason


@pytest.mark.parametrize("kind", ["parameter", "weight"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_with_rollback_a_run_survives_one_such_step(optimizer, kind):
    rollback = Rollback(every=2)
    module, trainer, fit = start(OPTIMIZERS[optimizer], None, Break(kind, once=True), rollback)
    fit()
    assert rollback.returns == 1
    assert phases_of(trainer).records[-1].stopped == StopReason.STEPS.value
    assert is_finite(module)
    assert math.isfinite(module.current_loss())


@pytest.mark.parametrize("rollback", [False, True], ids=["bare", "rollback"])
@pytest.mark.parametrize("kind", ["residual", "gradient"])
@pytest.mark.parametrize("optimizer", [*OPTIMIZERS, *OTHERS])
def test_a_problem_that_never_was_finite_is_told_at_once(optimizer, kind, rollback):
    chosen = {**OPTIMIZERS, **OTHERS}[optimizer]
    module, trainer, fit = start(chosen, Faulty(kind), *([Rollback()] if rollback else []))
    with pytest.raises(NotFiniteError) as caught:
        fit()
    assert trainer.global_step <= 1
    assert_names(str(caught.value), kind)
    assert ("before the first step" if rollback else "in step 1") in str(caught.value)
    assert is_finite(module)


@pytest.mark.parametrize("kind", ["residual", pytest.param("gradient", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "optimizer", ["Adam", *(pytest.param(name, marks=pytest.mark.slow) for name in list(OPTIMIZERS)[1:])]
)
@pytest.mark.usefixtures("traced")
def test_compiled_runs_say_the_same(optimizer, kind):
    lines = []
    for compiled in (False, True):
        _, _, fit = start(OPTIMIZERS[optimizer], Faulty(kind), compiled=compiled)
        with pytest.raises(NotFiniteError) as caught:
            fit()
        lines.append(str(caught.value))
    assert lines[0] == lines[1]


def test_an_optimizer_that_goes_back_by_itself_is_told():
    module, trainer, fit = start(MultiBatchLBFGS, None, Break("parameter", once=True))
    with pytest.warns(
        UserWarning, match=r"loss was nan in step 4 \(phase 1, MultiBatchLBFGS\); the optimizer went back"
    ):
        fit()
    assert trainer.global_step == 9
    assert is_finite(module)
    assert math.isfinite(module.current_loss())


@pytest.mark.parametrize("rollback", [False, True], ids=["bare", "rollback"])
def test_targets_are_looked_at_before_the_first_step(rollback):
    _, trainer, fit = start(ADAM, Faulty("target"), *([Rollback()] if rollback else []))
    with pytest.raises(ConfigurationError, match="target of condition 'wall' is inf at x = 1;"):
        fit()
    assert trainer.global_step == 0


def test_the_gradient_does_not_get_into_the_parameters():
    module, _, fit = start(ADAM, None, Break("gradient", 0))
    before = [p.detach().clone() for p in module.parameters()]
    with pytest.raises(NotFiniteError, match="gradient"):
        fit()
    assert all(torch.equal(old, new) for old, new in zip(before, module.parameters(), strict=True))


def test_the_first_row_is_found_also_of_many():
    module = small_module(Faulty("gradient"))
    rows = torch.linspace(0, 1, 10_001, dtype=torch.float64)[:, None]
    fault = find_fault(module.system, {"pde": rows}, torch.ones(1))
    assert (fault.kind, fault.point["x"]) == ("gradient", pytest.approx(0.8001))
    module.problem._broken = None
    assert find_fault(module.system, {"pde": rows}, torch.ones(1)) is None


def test_a_residual_too_large_to_square_is_one():
    module = small_module(Faulty())
    rows = torch.tensor([[0.1], [0.3]], dtype=torch.float64)
    with torch.no_grad():
        list(module.trial.parameters())[-2].mul_(1e200)
    fault = find_fault(module.system, {"pde": rows}, torch.ones(1))
    assert fault.kind == "residual"
    assert math.isfinite(fault.value)
    assert "the optimizer went too far (lower its lr)" in fault.line()
    assert "logarithm" not in fault.line()


def test_a_last_step_that_ruins_the_parameters_is_noticed():
    class Ruinous(torch.optim.SGD):
        def step(self, closure=None):
            loss = super().step(closure)
            self.param_groups[0]["params"][0].data.fill_(math.inf)
            return loss

    _, trainer, fit = start(functools.partial(Ruinous, lr=1e-3), steps=1)
    with pytest.raises(NotFiniteError, match=r"parameter of .* is inf after step 1"):
        fit()
    with pytest.raises(NotFiniteError, match="parameter"):
        trainer.save_checkpoint("never.ckpt")


@pytest.mark.parametrize("precision", ["16-true", "bf16-true", "16-mixed", "bf16-mixed"])
def test_half_precision_is_refused(precision):
    module = small_module(phases=[Phase(ADAM, steps=2)])
    with pytest.raises(ConfigurationError, match=rf"trainer\.precision: (bf)?{precision} rounds"):
        quiet_trainer(precision=precision).fit(module, small_data(module.problem))


# --------------------------------------------------------------------------------------- the command


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["pinnlab"])

    def execute(problem, *callbacks):
        recipe = {
            "name": "faulty",
            "problem": {"class_path": "faulty.Faulty", "init_args": problem},
            "model": {"compile": False, "phases": [{"optimizer": {"class_path": "Adam"}, "steps": 9}]},
            "data": {"points": {"pde": 20, "wall": 2}, "evaluation_points": 100},
            "trainer": {"callbacks": list(callbacks), "enable_progress_bar": False},
        }
        (tmp_path / "faulty.yaml").write_text(yaml.safe_dump(recipe))
        code = run(["fit", "-c", "faulty.yaml"])
        errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
        return code, errors, list((tmp_path / "runs").rglob("last.ckpt"))

    return execute


@pytest.mark.parametrize("kind", ["residual", "gradient"])
def test_the_command_ends_at_once_with_exit_code_1(command, kind):
    code, errors, checkpoints = command({"broken": kind})
    assert (code, checkpoints) == (1, [])
    assert len(errors) == 1
    assert_names(errors[0], kind)


def test_a_target_is_bad_input_of_the_command(command):
    code, errors, _ = command({"broken": "target"})
    assert (code, len(errors)) == (2, 1)
    assert_names(errors[0], "target")


@pytest.mark.parametrize("kind", ["residual", "gradient", "parameter"])
def test_the_command_gives_up_with_exit_code_1_and_a_good_checkpoint(command, kind):
    callback = {"class_path": "faulty.Break", "init_args": {"kind": kind}}
    code, errors, checkpoints = command({}, callback)
    assert code == 1
    assert len(errors) == 1
    assert errors[0].startswith(f"error: {StopReason.DIVERGED.value}: ")
    assert_names(errors[0], kind)
    saved = torch.load(checkpoints[0], weights_only=True)
    assert all(bool(v.isfinite().all()) for k, v in saved["state_dict"].items() if k.startswith("trial."))
    assert code == run(["fit", "-c", "faulty.yaml", "--ckpt_path", str(checkpoints[0])])  # it ended so


# --------------------------------------------------------------------------------------- references


def test_a_reference_with_holes_that_it_does_not_declare_is_refused(command):
    code, errors, _ = command({"reference": "undeclared"})
    assert code == 2
    assert re.fullmatch(r"error: reference of Faulty: is not finite at x = 0\.5\d*; .*where=\.\.\.", errors[0])


def test_errors_are_measured_where_the_reference_is_known():
    results = {}
    for known in ("exact", "half"):
        module, trainer, fit = start(ADAM, Faulty(reference=known), RunSummary(), val_check_interval=3)
        fit()
        points, reference = trainer.datamodule.evaluation_set()
        assert reference.isfinite().all()
        results[known] = module, points, reference, trainer
    (whole, points, reference, _), (half, some, _, trainer) = results["exact"], results["half"]
    assert float(some.max()) < 0.5 < float(points.max())
    kept = points[:, 0] < 0.5
    assert torch.equal(points[kept], some)
    with torch.no_grad():
        error = (whole(points) - reference)[kept].norm() / reference[kept].norm()
    assert half.measure_errors(trainer.datamodule)["u"] == pytest.approx(float(error), rel=1e-12)
    found = trainer.callback_metrics
    assert all(bool(value.isfinite()) for value in found.values())
    assert "frequency_error/u/low" in found


def test_a_mask_that_is_never_true_is_refused():
    problem = Faulty(reference="half")
    problem.reference_known = lambda points: torch.zeros(len(points), dtype=torch.bool)
    with pytest.raises(ConfigurationError, match="where"):
        small_data(problem).evaluation_set()
