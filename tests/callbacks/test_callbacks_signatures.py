"""Signatures in training: each run that fails says why, healthy ones say nothing, and nothing of a run changes."""

import functools
import warnings

import lightning as L
import pytest
import torch
from failing import ADAM, FAILING, fit_failing, poisson
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from training import full_run, quiet_trainer, small_data, small_module

from pinnlab.analysis.signatures import Finding
from pinnlab.callbacks import FailureSignatures, FreshPoints, ResolutionWarning, Rollback, RunSummary
from pinnlab.callbacks.signatures import AbstractSignatureWatch
from pinnlab.cli.commands import run
from pinnlab.criteria import FixedSteps
from pinnlab.diagnosis.observation import Observer
from pinnlab.errors import ConfigurationError, RankError, StopReason
from pinnlab.optimizers import LBFGS, FixedDamping, LevenbergMarquardt, SSBroyden
from pinnlab.problems import Burgers, Heat1D, Poisson1D, Poisson2D
from pinnlab.training.datamodule import PointLoader
from pinnlab.training.phases import Phase

pytestmark = pytest.mark.filterwarnings("ignore")

EFFECTS = {"boundary violation": {"loss terms out of balance"}}
"""What else a run may say: the cause of it."""


@pytest.mark.parametrize("name", FAILING)
def test_a_run_that_fails_says_why(name):
    watch, summary = FailureSignatures(every=20), RunSummary()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit_failing(name, watch, Rollback(attempts=1), summary)
    signature = name.partition(",")[0]
    found = {finding.signature for finding in watch.findings}
    assert signature in found
    assert found <= {signature} | EFFECTS.get(signature, set())
    shown = [str(w.message) for w in caught if " at step " in str(w.message)]
    assert shown == watch.warnings == summary.result["warnings"]
    assert len(set(watch.warnings)) == len(found)
    assert not any("\n" in line for line in watch.warnings)


@pytest.mark.parametrize("order", ["before", "behind", "without"])
def test_divergence_is_seen_wherever_rollback_stands(order):
    watch, rollback = FailureSignatures(every=1000), Rollback(attempts=1)
    callbacks = {"before": [watch, rollback], "behind": [rollback, watch], "without": [watch]}[order]
    fit_failing("divergence on switch", *callbacks)
    assert [finding.signature for finding in watch.findings] == ["divergence on switch"]
    assert "of phase 2 (SGD), and 0.59 before" in watch.warnings[0]


@pytest.mark.parametrize(("error", "ends"), [(RuntimeError("no rule for vmap\nat all"), False), (RankError("2"), True)])
def test_a_look_that_fails_does_not_end_a_run(error, ends, monkeypatch):
    """As where a function of the problem has no rule for `vmap`; that another process failed is for all to know."""
    watch, summary, module, looks = FailureSignatures(every=1), RunSummary(), poisson((ADAM, 5)), []

    def failing(*unused, **options):
        looks.append(1)
        raise error

    monkeypatch.setattr(Observer, "look", failing)
    fit = functools.partial(quiet_trainer(callbacks=[watch, summary]).fit, module, small_data(module.problem))
    if ends:
        with pytest.raises(RankError):
            fit()
    else:
        with pytest.warns(UserWarning, match="^signatures of failure are not looked for: no rule for vmap$"):
            fit()
        assert summary.result["steps"] == 5
        assert summary.result["warnings"] == ["signatures of failure are not looked for: no rule for vmap"]
    assert len(looks) == 1


class Heavier(L.Callback):
    """A change of the objective after which the same weights have a loss a million times larger."""

    def on_train_batch_end(self, trainer, module, *unused):
        if trainer.global_step == 8:
            module.weights.set_factors(torch.full_like(module.weights.factors, 1e6))


@pytest.mark.parametrize("first", [True, False])
def test_a_larger_loss_on_another_objective_is_no_divergence(first):
    watch, module = FailureSignatures(every=1000), poisson((ADAM, 5), (ADAM, 9))
    callbacks = [Heavier(), watch] if first else [watch, Heavier()]
    quiet_trainer(callbacks=callbacks).fit(module, small_data(module.problem))
    assert module.current_loss() > 1e5
    assert not [finding for finding in watch.findings if finding.signature == "divergence on switch"]


HEALTHY = {
    "poisson": lambda: poisson((ADAM, 100), (SSBroyden, 30)),
    "heat": lambda: small_module(Heat1D(), [Phase(ADAM, steps=100), Phase(SSBroyden, steps=30)]),
    "square": lambda: small_module(Poisson2D(), [Phase(ADAM, steps=100), Phase(LBFGS, steps=30)]),
    "burgers": lambda: small_module(Burgers(viscosity=0.1), [Phase(ADAM, steps=200)]),
    "float32 first": lambda: small_module(
        Heat1D(), [Phase(ADAM, steps=100, dtype="float32"), Phase(SSBroyden, steps=10)]
    ),
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in ("heat", "square") else name for name in HEALTHY]
)
def test_a_healthy_run_says_nothing(name):
    module, watch = HEALTHY[name](), FailureSignatures(every=20)
    data = small_data(module.problem, points=200, held_out=100, evaluation_points=300)
    quiet_trainer(callbacks=[watch, Rollback()], val_check_interval=10_000).fit(module, data)
    assert len(watch.record.looks) > 5
    assert watch.warnings == []


ON_DEMAND = [pytest.param(name, marks=pytest.mark.slow) for name in ("poisson1d", "heat1d", "burgers_ng")]


@pytest.mark.parametrize("recipe", ["poisson2d_lbfgs", *ON_DEMAND])
def test_a_shortened_recipe_says_nothing(recipe, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["pinnlab"])
    options = ["--trainer.max_steps=60", "--model.compile=false", "--data.points={pde: 200}", "--data.held_out=200"]
    watch = '[{"class_path": "FailureSignatures", "init_args": {"every": 20}}]'
    points = {"poisson2d_lbfgs": ", boundary: 60", "heat1d": ", wall: 60, start: 60", "poisson1d": ", boundary: 2"}
    options[2] = options[2].replace("}", points.get(recipe, "") + "}")
    code = run(["fit", "-c", recipe, *options, "--data.evaluation_points=300", f"--trainer.callbacks={watch}"])
    shown = capsys.readouterr()
    assert code == 0, shown.err
    assert " at step " not in shown.err


class Talkative(AbstractSignatureWatch):
    """Has something to say of every third look."""

    def __init__(self):
        super().__init__({"test": self.talk}, ("held_out",), 4)

    def talk(self, record):
        look = record.looks[-1]
        return [Finding("test", str(len(record.looks) // 3), look.step, f"loss {look.loss}", "go on")]


def test_what_was_said_survives_a_checkpoint(tmp_path):
    whole = Talkative()
    full_run(tmp_path / "whole", callbacks=[whole], every=1)
    assert len(whole.findings) >= 3
    for step in (4, 9, 13):
        again = Talkative()
        full_run(tmp_path / "again", ckpt_path=tmp_path / "whole" / f"step={step}.ckpt", callbacks=[again], every=100)
        assert again.warnings == whole.warnings, step
        assert again.state_dict()["shown"] == whole.state_dict()["shown"]


def test_the_loggers_get_the_numbers_and_tensorboard_the_words(tmp_path):
    logger = TensorBoardLogger(tmp_path)
    watch = FailureSignatures(every=20)
    fit_failing("vanishing coefficient gradient", watch, logger=logger)
    events = EventAccumulator(logger.log_dir, size_guidance={"scalars": 0, "tensors": 0})
    events.Reload()
    scalars = set(events.Tags()["scalars"])
    expected = {"coefficient_room/k", "coefficient_influence/k", "gradient_norm/pde", "gradient_norm/data"}
    assert {f"signature/{name}" for name in (*expected, "violation/start", "promised_decrease")} <= scalars
    assert "training/held_out_ratio/pde" in scalars
    room = [look.coefficients["k"].room for look in watch.record.looks]
    assert [event.value for event in events.Scalars("signature/coefficient_room/k")] == pytest.approx(room, rel=1e-6)
    texts = [event.tensor_proto.string_val[0].decode() for event in events.Tensors("findings/text_summary")]
    assert texts == watch.warnings


def test_under_resolution_is_told_once_by_the_more_special_callback():
    watch, special = FailureSignatures(every=20), ResolutionWarning(factor=10.0, every=20)
    fit_failing("under-resolution", watch, special)
    assert [finding.signature for finding in special.findings] == ["under-resolution"]
    assert watch.findings == []


def test_a_second_run_starts_with_nothing_said():
    watch = FailureSignatures(every=20)
    for _ in range(2):
        fit_failing("loss terms out of balance", watch)
        assert len(watch.findings) == 1


def test_other_data_than_ours_will_do():
    module, watch = poisson((ADAM, 8)), FailureSignatures(every=2)
    data = small_data(module.problem)
    data.setup()
    quiet_trainer(callbacks=[watch], limit_val_batches=0).fit(module, PointLoader(data.store, 8))
    assert watch.record.looks[-1].gradients
    assert watch.record.looks[-1].equations == {}


def test_bad_numbers_are_refused():
    with pytest.raises(ConfigurationError, match=r"FailureSignatures\.every"):
        FailureSignatures(every=0)


class Redraw(L.Callback):
    """Draws the points anew in the step in which a run ends: when its optimizer stalls, or after so many steps."""

    def __init__(self, after=None):
        self.after = after

    def on_train_batch_end(self, trainer, module, *unused):
        stalled = getattr(module.current_optimizer(), "status", None) is StopReason.STALLED
        if stalled if self.after is None else trainer.global_step == self.after:
            trainer.datamodule.store.redraw(4)


ENDS = {
    "stalled": (None, {"steps": 200}, {}),
    "its steps are made": (10, {"steps": 10}, {}),
    "its criterion is met": (10, {"until": FixedSteps(10)}, {}),
    "the trainer stops": (10, {"steps": 50}, {"max_steps": 10}),
}


@pytest.mark.parametrize("every", [10, 1000], ids=["a look is due", "no look is due"])
@pytest.mark.parametrize("first", [True, False], ids=["redraw first", "watch first"])
@pytest.mark.parametrize("end", ENDS)
def test_a_redraw_in_the_last_step_hides_nothing(end, first, every):
    after, phase, options = ENDS[end]
    optimizer = functools.partial(LevenbergMarquardt, damping=FixedDamping(1e-8))
    module, watch = small_module(Poisson1D(frequency=2), [Phase(optimizer, **phase)]), FailureSignatures(every=every)
    callbacks = [Redraw(after), watch] if first else [watch, Redraw(after)]
    summary = RunSummary()
    quiet_trainer(callbacks=[*callbacks, summary], val_check_interval=10_000, **options).fit(
        module, small_data(module.problem, points={"pde": 4, "boundary": 2}, held_out=50)
    )
    assert module.current_loss() < 1e-15
    assert [finding.signature for finding in watch.findings] == ["under-resolution"]
    assert summary.result["warnings"] == watch.warnings
    assert watch.record.looks[-1].final


def test_a_phase_that_ends_before_others_is_looked_at_on_its_own_points():
    optimizer = functools.partial(LevenbergMarquardt, damping=FixedDamping(1e-8))
    phases = [Phase(optimizer, steps=10), Phase(ADAM, steps=2, points={"pde": 50})]
    module, watch = small_module(Poisson1D(frequency=2), phases), FailureSignatures(every=1000)
    data = small_data(module.problem, points={"pde": 4, "boundary": 2}, held_out=50)
    quiet_trainer(callbacks=[Redraw(10), watch], val_check_interval=10_000).fit(module, data)
    first, middle, last = watch.record.looks
    assert (first.step, middle.step, last.step) == (1, 10, 12)
    assert middle.ratios["pde"] > 1e4 > last.ratios["pde"]


def test_points_that_change_after_every_step_stand_for_those_trained():
    module, watch = small_module(Poisson1D(frequency=2), [Phase(ADAM, steps=9)]), FailureSignatures(every=1)
    data = small_data(module.problem, points={"pde": 4, "boundary": 2})
    seen = []

    class Look(L.Callback):
        def on_train_batch_end(self, trainer, pl_module, *unused):
            rows = {name: trainer.datamodule.store.rows[name] for name in ("pde",)}
            seen.append(float(pl_module.mean_squares(rows)["pde"]))

    quiet_trainer(callbacks=[FreshPoints(every=1), Look(), watch], val_check_interval=10_000).fit(module, data)
    found = [look.equations["pde"] / look.ratios["pde"] for look in watch.record.looks]
    assert found == pytest.approx(seen, rel=1e-12)
