"""What a run compiles, from which step on it uses that, and how a resumed run repeats it."""

import time
from functools import partial
from types import SimpleNamespace

import lightning as L
import pytest
import torch
from compiling import needs_compiler

from pinnlab import PINN, CollocationDataModule, Phase
from pinnlab.criteria import TimeBudget
from pinnlab.networks import MLP
from pinnlab.numerics import compiling_process
from pinnlab.numerics.compiler import Compiler
from pinnlab.numerics.compiling_process import can_fork
from pinnlab.optimizers import EnergyNaturalGradient, LeastSquares, LevenbergMarquardt
from pinnlab.problems import Poisson1D
from pinnlab.training import compiling
from pinnlab.training.switching import phases_of

pytestmark = pytest.mark.filterwarnings("ignore")

ADAM = partial(torch.optim.Adam, lr=1e-3)
QUIET = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
beside = pytest.mark.skipif(not can_fork(), reason="this system cannot be trusted to fork")


@pytest.fixture(autouse=True)
def empty_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))


def module_and_data(steps=4, compile="auto", points=40):
    problem = Poisson1D(2)
    module = PINN(problem, partial(MLP, hidden=[5, 4]), [Phase(ADAM, steps=steps)], compile=compile)
    return module, CollocationDataModule(problem, points={"pde": points, "boundary": 2}, evaluation_points=50)


def fit(module, data, *callbacks, **options):
    trainer = L.Trainer(max_epochs=-1, callbacks=list(callbacks), **{**QUIET, **options})
    trainer.fit(module, data, ckpt_path=options.pop("ckpt_path", None))
    return trainer


class Started(L.Callback):
    """Notes who compiles once training begins."""

    def on_train_start(self, trainer, pl_module):
        self.compiler = pl_module.objective.compiler


class Patient(L.Callback):
    """Waits before a step until what is compiled beside the run is done."""

    def __init__(self, step):
        self.step, self.found = step, {}

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        compiler = pl_module.objective.compiler
        self.found[trainer.global_step] = set(compiler.used)
        end = time.monotonic() + 250
        while trainer.global_step == self.step and any(p.is_alive() for _, p, _ in compiler._running):
            assert time.monotonic() < end
            time.sleep(0.05)


SECONDS = [
    (1e-3, 10, None),
    (1e-4, 9_000, None),
    (1e-3, 9_000, False),
    (1.0, 10, False),
    (1e-3, 30_000, True),
    (0.0, 50_000, True),
]
"""An evaluation, steps, whether code is made or only fetched; fifty thousand steps pay without a look at the clock."""


@pytest.mark.parametrize(("seconds", "steps", "makes"), SECONDS)
def test_auto_counts_seconds(seconds, steps, makes, monkeypatch):
    monkeypatch.setattr(compiling, "can_compile", lambda device: True)
    monkeypatch.setattr(compiling, "_seconds", lambda module: seconds)
    module, _ = module_and_data(steps)
    module.system.resolve_engine()
    trainer = L.Trainer(max_epochs=-1, **QUIET)
    module.trainer = trainer
    compiler = compiling.compiler_for(module, "auto", None)
    assert (compiler and compiler.makes) == makes
    again = compiling.compiler_for(module, "auto", ["a"])  # what was compiled is repeated in any case
    assert again.used == {"a"}
    assert again.makes == bool(makes)


@pytest.mark.parametrize(
    ("most", "until", "makes"),
    [("00:00:00:15", None, False), ("00:00:00:03", None, None), ("00:00:01:00", None, True), (None, 15, False)],
)
def test_auto_knows_that_a_run_is_short_from_its_time(most, until, makes, monkeypatch):
    monkeypatch.setattr(compiling, "can_compile", lambda device: True)
    module, _ = module_and_data(10**6)
    if until is not None:
        module.phases = [Phase(torch.optim.SGD, steps=10**6, until=TimeBudget(until))]
    module.system.resolve_engine()
    module.trainer = L.Trainer(max_epochs=-1, max_time=most, **QUIET)
    compiler = compiling.compiler_for(module, "auto", None)
    assert (compiler and compiler.makes) == makes


@pytest.mark.parametrize(
    ("points", "steps", "compiles"),
    [(1000, 2000, False), (1000, 20_000, True), (1_000_000, 50, False), (1_000_000, 500, True)],
)
def test_auto_counts_estimated_seconds_on_a_gpu(points, steps, compiles, monkeypatch):
    monkeypatch.setattr(compiling, "can_compile", lambda device: True)
    monkeypatch.setattr(PINN, "device", torch.device("cuda", 0))
    monkeypatch.setattr(compiling, "point_store", lambda module: SimpleNamespace(batch_sizes=lambda: {"pde": points}))
    module, _ = module_and_data(steps)
    module.system.resolve_engine()
    module.trainer = L.Trainer(max_epochs=-1, **QUIET)
    compiler = compiling.compiler_for(module, "auto", None)
    assert (compiler is not None) == compiles
    assert compiler is None or compiler.beside


def test_without_a_compiler_auto_compiles_nothing(monkeypatch):
    monkeypatch.setattr(compiling, "can_compile", lambda device: False)
    module, _ = module_and_data(10**9)
    module.system.resolve_engine()
    module.trainer = L.Trainer(max_epochs=-1, **QUIET)
    assert compiling.compiler_for(module, "auto", None) is None


@pytest.mark.parametrize(("option", "used", "expected"), [(True, None, False), ("auto", ["a"], True)])
def test_who_compiles(option, used, expected):
    module, _ = module_and_data()
    module.system.resolve_engine()
    module.trainer = L.Trainer(max_epochs=-1, **QUIET)
    compiler = compiling.compiler_for(module, option, used)
    assert compiler.beside == expected
    assert compiler.used == set(used or [])
    assert compiling.compiler_for(module, False, used) is None
    assert compiling.compiler_for(module, "auto", False) is None  # the run that goes on did not compile either
    module.system.engine = "reverse"
    assert compiling.compiler_for(module, option, used) is None


def test_an_evaluation_is_timed_on_some_rows_for_all_of_them(monkeypatch):
    module, data = module_and_data(compile=False, points=3 * compiling.ROWS)
    seen = []
    original = module.system.weighted_loss
    monkeypatch.setattr(module.system, "weighted_loss", lambda t, rows, f: seen.append(rows) or original(t, rows, f))

    class Timed(L.Callback):
        def on_train_start(self, trainer, pl_module):
            seen.clear()
            self.seconds = compiling._seconds(pl_module)
            self.rows = {name: len(rows) for name, rows in seen[0].items()}

    timed = Timed()
    fit(module, data, timed)
    assert timed.rows == {"pde": compiling.ROWS, "boundary": 2}
    assert timed.seconds > 0


@needs_compiler
@pytest.mark.parametrize(
    ("accelerator", "forks"),
    [
        pytest.param("cpu", True, marks=beside),
        pytest.param("cpu", False, marks=pytest.mark.slow),  # its process takes some seconds to begin
        pytest.param("gpu", False, marks=pytest.mark.cuda),
    ],
)
def test_a_run_begins_at_once_says_when_it_uses_the_code_and_repeats_it_when_resumed(
    accelerator, forks, monkeypatch, tmp_path
):
    monkeypatch.setattr(compiling, "WORTH_SECONDS", 0.0)
    monkeypatch.setattr(compiling, "NEW_CODE", 0.0)
    monkeypatch.setattr(compiling, "WORTH_ON_GPU", 0.0)
    monkeypatch.setattr(compiling_process, "can_fork", lambda: forks)
    quiet = {**QUIET, "accelerator": accelerator, "devices": 1}
    module, data = module_and_data(6)
    patient = Patient(2)
    trainer = fit(module, data, patient, **quiet)
    assert patient.found[2] == set()  # two steps were made without
    assert len(patient.found[3]) == 1
    (decision, *_) = phases_of(trainer).decisions
    assert (decision.step, decision.event) == (2, "compiled")
    assert decision.reason.startswith("loss and gradient, made beside the run in ")
    path = tmp_path / "run.ckpt"
    trainer.save_checkpoint(path)
    saved = torch.load(path, weights_only=True)
    assert saved["pinnlab"]["compiled"] == sorted(patient.found[3])

    again, data = module_and_data(9)
    patient = Patient(-1)
    trainer = L.Trainer(max_epochs=-1, callbacks=[patient], **quiet)
    trainer.fit(again, data, ckpt_path=path)
    assert patient.found[6] == set(saved["pinnlab"]["compiled"])  # from the first step on
    assert [d.event for d in phases_of(trainer).decisions] == ["compiled", "stop", "stop"]


@pytest.mark.usefixtures("traced")
def test_levenberg_marquardt_compiles_no_loss_with_gradient():
    problem = Poisson1D(2)
    module = PINN(problem, partial(MLP, hidden=[5, 4]), [Phase(LevenbergMarquardt, steps=3)], compile=True)
    fit(module, CollocationDataModule(problem, points={"pde": 40, "boundary": 2}, evaluation_points=50))
    assert sorted(set(module.objective.compilation()["functions"])) == ["Jacobian", "loss"]


@pytest.mark.parametrize("optimizer", [LevenbergMarquardt, EnergyNaturalGradient, LeastSquares])
def test_loss_and_gradient_out_of_the_jacobian_are_those_of_an_evaluation(optimizer, monkeypatch):
    found = []
    for known in (True, False):
        monkeypatch.setattr(optimizer, "needs_jacobian", known)
        problem = Poisson1D(2)
        module = PINN(problem, partial(MLP, hidden=[5, 4]), [Phase(optimizer, steps=1)], compile=False)
        fit(module, CollocationDataModule(problem, points={"pde": 40, "boundary": 2}, evaluation_points=50))
        terms, evaluated = module.loss_terms(), module.objective.last
        parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in module.trial.parameters()]
        gradients = torch.cat([part.reshape(-1) for part in parts])
        found.append((evaluated.loss, evaluated.sums, gradients, module.current_loss(), module.evaluations, terms))
    (loss, sums, gradients, *rest), (exact, exact_sums, derivatives, *others) = found
    torch.testing.assert_close(loss, exact, rtol=1e-13, atol=0)
    torch.testing.assert_close(sums, exact_sums, rtol=1e-13, atol=0)
    torch.testing.assert_close(gradients, derivatives, rtol=1e-11, atol=1e-13)
    assert rest[0] == pytest.approx(others[0], rel=1e-6)
    assert rest[1] == others[1]
    assert rest[2] == pytest.approx(others[2], rel=1e-13)


def test_waiting_is_no_part_of_a_phase(monkeypatch):
    def slow(self, job):
        time.sleep(0.3)

    monkeypatch.setattr(Compiler, "take", slow)  # nothing is ever compiled, and the run waits for it
    module, data = module_and_data(3, compile=True)
    trainer = fit(module, data)
    assert module.objective.waited >= 0.3
    (record,) = phases_of(trainer).records
    assert record.seconds < module.objective.waited


class LooksFirst(L.Callback):
    """Has something compiled before the first step, and before the run's own clock starts."""

    def on_fit_start(self, trainer, pl_module):
        pl_module.objective.compiler = pl_module.objective.compiler or Compiler(beside=False)
        with pl_module.objective.compiler.counting():
            time.sleep(0.3)


def test_waiting_before_the_first_step_is_not_taken_off_the_phase(monkeypatch):
    monkeypatch.setattr(Compiler, "take", lambda self, job: None)
    module, data = module_and_data(3, compile=True)
    trainer = fit(module, data, LooksFirst())
    assert module.objective.waited >= 0.3
    assert phases_of(trainer).records[0].seconds > 0
