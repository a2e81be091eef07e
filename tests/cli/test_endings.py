"""What a command says when it is over, and what it writes into the run that it looked at."""

import json
import shutil
import signal
import sys
from types import ModuleType, SimpleNamespace

import lightning as L
import pytest
import torch
import yaml
from commanded import fitted

from pinnlab.__main__ import main
from pinnlab.callbacks import RunCheckpoint, SolutionFigures
from pinnlab.cli import endings
from pinnlab.cli.commands import run
from pinnlab.errors import StopReason
from pinnlab.training.history import PhaseRecord

pytestmark = pytest.mark.filterwarnings("ignore")

SMALL = ["--model.compile=false", "--data.evaluation_points=300", "--data.points=30"]


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["pinnlab"])

    def execute(*arguments):
        code = run([*arguments, *SMALL])
        captured = capsys.readouterr()
        return code, captured.out.splitlines(), captured.err

    return execute


class Signal(L.Callback):
    """Sends a signal to its own process after a step, twice if asked to.

    Args:
        number: the signal.
        times: how often.
    """

    step = 2

    def __init__(self, number: int, times: int = 1) -> None:
        self.number, self.times = number, times

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: object, batch: object, batch_idx: int) -> None:
        if trainer.global_step == self.step:
            for _ in range(self.times):
                signal.raise_signal(self.number)


class Interrupted(ModuleType):
    """A module in whose import a signal comes."""

    number: int

    def __getattr__(self, name):
        signal.raise_signal(self.number)


def of_signal(number, times=1):
    arguments = f"number: {int(number)}, times: {times}"
    return f"--trainer.callbacks={{class_path: test_endings.Signal, init_args: {{{arguments}}}}}"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_says_how_it_goes_on(command, tmp_path, number, code):
    got, out, err = command("fit", "-c", "poisson1d", of_signal(number))
    assert got == code, err
    assert out[-1] == (
        "step 3, phase 1: the run was interrupted; saved in runs/poisson1d/version_0; "
        "go on with: pinnlab fit runs/poisson1d/version_0"
    )
    assert torch.load(next(tmp_path.rglob("last.ckpt")), weights_only=True)["global_step"] == 3
    got, _, err = command("fit", "runs/poisson1d/version_0", "--trainer.max_steps=5", "--trainer.callbacks=null")
    assert got == 0, err
    assert json.loads((tmp_path / "runs/poisson1d/version_1/summary.json").read_text())["steps"] == 5


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
@pytest.mark.parametrize("arguments", [["fit", "-c", "poisson1d"], ["study", "noise"]])
def test_where_there_is_nothing_to_save_an_interruption_is_a_code_alone(monkeypatch, capsys, number, code, arguments):
    for name in ("pinnlab.cli.commands", "pinnlab.studies.engine.runner"):
        module = Interrupted(name)
        module.number = number
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(sys, "argv", ["pinnlab", *arguments])
    before = signal.getsignal(number)
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == code
    assert capsys.readouterr() == ("", "")
    assert signal.getsignal(number) is before


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_waits_for_what_is_written_at_the_end(command, tmp_path, monkeypatch, number, code):
    monkeypatch.setattr(SolutionFigures, "on_train_end", lambda *unused: signal.raise_signal(number))
    before = signal.getsignal(number)
    got, out, err = command("fit", "-c", "poisson1d", "--model.phases=[{optimizer: Adam, steps: 2}]")
    assert got == code, err
    assert out[-1] == "wrote runs/poisson1d/version_0/summary.json"  # it is complete: there is nothing to go on with
    assert torch.load(next(tmp_path.rglob("last.ckpt")), weights_only=True)["global_step"] == 2
    assert signal.getsignal(number) is before


def test_a_run_that_ends_in_its_first_step_leaves_no_folder(command, tmp_path, monkeypatch):
    monkeypatch.setattr(Signal, "step", 0)
    code, _, _ = command("fit", "-c", "poisson1d", of_signal(signal.SIGINT, 2))
    assert code == 130
    assert not list(tmp_path.iterdir())


def test_a_run_that_is_interrupted_twice_says_what_was_saved_before(command):
    """Here nothing was; with a save every 10^-9 seconds the one of the step before."""
    got, out, _ = command("fit", "-c", "poisson1d", of_signal(signal.SIGINT, 2))
    assert got == 130
    assert not any("go on with" in line for line in out)
    saving = "--trainer.callbacks+={class_path: RunCheckpoint, init_args: {seconds: 1.0e-9}}"
    got, out, _ = command("fit", "-c", "poisson1d", of_signal(signal.SIGINT, 2), saving)
    assert got == 130
    assert out[-1] == (
        "ended at once; what was saved last is in runs/poisson1d/version_1; "
        "go on with: pinnlab fit runs/poisson1d/version_1"
    )


ENDINGS = {
    "steps": (["--trainer.max_steps=4"], "the trainer's limit was reached; saved in", " --trainer.max_steps 8"),
    "time": (
        ["--trainer.max_time=00:00:00:01"],
        "the trainer's limit was reached; saved in",
        " --trainer.max_time DAYS:HOURS:MINUTES:SECONDS",
    ),
    "budget": (
        ["--trainer.callbacks={class_path: EvaluationBudget, init_args: {evaluations: 5}}"],
        "the budget of evaluations was spent; saved in",
        "go on, with a larger budget, with: pinnlab fit runs/poisson1d/version_0",
    ),
    "callback": (
        [
            "--trainer.callbacks=EarlyStopping",
            "--trainer.callbacks.monitor=loss/total",
            "--trainer.callbacks.stopping_threshold=1e9",
            "--trainer.val_check_interval=1",
        ],
        "a callback ended the run; saved in",
        "go on with: pinnlab fit runs/poisson1d/version_0",
    ),
    "no step": (["--trainer.max_steps=0"], "no step was made: a limit of the trainer (max_steps, ", "is over"),
    "no epoch": (["--trainer.max_epochs=0"], "no step was made: a limit of the trainer (max_steps, ", "is over"),
    "no batch": (["--trainer.limit_train_batches=0"], "no step was made", "limit_train_batches) is over"),
    "dev run": (["--trainer.fast_dev_run=2"], "nothing was saved", "no checkpoints were asked"),
    "nothing": (["--trainer.max_steps=4", "--trainer.logger=false"], "nothing was saved", "no checkpoints were asked"),
}


@pytest.mark.parametrize("case", ENDINGS)
def test_a_run_that_ends_early_says_what_ended_it(case, command):
    options, reason, then = ENDINGS[case]
    code, out, err = command("fit", "-c", "poisson1d", *options)
    assert code == 0, err
    assert reason in out[-1]
    assert then in out[-1]


BEGUN = SimpleNamespace(began=True)


def test_a_run_that_was_over_says_so(command, tmp_path):
    """Also where the trainer's limit is over already: `ending` alone would repeat how the run had ended."""
    assert command("fit", "-c", "poisson1d", "--model.phases=[{optimizer: Adam, steps: 2}]")[0] == 0
    code, out, err = command("fit", "runs/poisson1d/version_0")
    assert code == 0, err
    assert "the run was over already; to go on, give its last phase more steps, or another phase" in err
    code, out, err = command("fit", "runs/poisson1d/version_0", "--trainer.max_steps=1")
    assert code == 0, err
    assert out[-1].startswith("no step was made: ")


def test_a_dev_run_writes_nothing(command, tmp_path):
    code, out, err = command("fit", "-c", "poisson1d", "--trainer.fast_dev_run=2")
    assert code == 0, err
    assert not any("max_epochs" in line for line in (*out, *err.splitlines()))
    assert not list(tmp_path.iterdir())


def test_after_a_loss_that_blew_up_the_next_thing_is_a_look(tmp_path, monkeypatch):
    checkpoint = RunCheckpoint()
    checkpoint.path = tmp_path / "runs" / "my run" / "version_0" / "checkpoints" / "last.ckpt"
    checkpoint.path.parent.mkdir(parents=True)
    checkpoint.path.touch()
    monkeypatch.chdir(tmp_path)
    record = PhaseRecord("Adam", stopped=StopReason.DIVERGED.value, phase=2)
    monkeypatch.setattr(endings, "phases_of", lambda trainer: SimpleNamespace(records=[record], history=BEGUN))
    trainer = SimpleNamespace(global_step=7, callbacks=[checkpoint], max_steps=-1)
    assert endings.ending(trainer) == (
        "step 7, phase 2: the loss blew up again after the allowed number of rollbacks; "
        "saved in 'runs/my run/version_0'; see why with: pinnlab diagnose 'runs/my run/version_0'"
    )


def test_a_run_that_comes_to_its_end_says_no_more(command):
    code, out, _ = command("fit", "-c", "poisson1d", "--model.phases=[{optimizer: Adam, steps: 2}]")
    assert code == 0
    assert out[-1] == "wrote runs/poisson1d/version_0/summary.json"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run for many tests to look at."""
    return fitted(tmp_path_factory.mktemp("trained"), "-c", "poisson1d", "--trainer.max_steps=3", *SMALL)


@pytest.fixture
def made(trained, tmp_path):
    """A copy of it, for a test to write into."""
    return shutil.copytree(trained, tmp_path / "runs") / "poisson1d" / "version_0"


@pytest.mark.parametrize("name", ["validate", "test"])
def test_what_is_measured_is_written_into_the_run(command, made, name):
    for file in (f"{name}.json", f"{name}-1.json"):
        code, out, err = command(name, "runs/poisson1d/version_0")
        assert code == 0, err
        assert out[-1] == f"wrote runs/poisson1d/version_0/{file}"
        found = json.loads((made / file).read_text())
        reached = json.loads((made / "summary.json").read_text())["relative_l2"]["u"]
        assert found["relative_l2/u"] == pytest.approx(reached, rel=1e-12)
        assert found["checkpoint"] == "runs/poisson1d/version_0/checkpoints/last.ckpt"
    assert [path.name for path in made.parent.iterdir()] == ["version_0"]


LOOKS = {"validate": "validate.json", "test": "test.json", "predict": "solution.npz", "diagnose": "diagnosis.json"}


@pytest.mark.parametrize("name", LOOKS)
def test_a_checkpoint_of_no_run_gets_what_is_written_beside_it(command, made, tmp_path, name):
    (tmp_path / "loose").mkdir()
    (made / "checkpoints" / "last.ckpt").rename(tmp_path / "loose" / "best.ckpt")
    code, _, err = command(name, "loose/best.ckpt")
    assert code == 0, err
    assert (tmp_path / "loose" / LOOKS[name]).is_file()
    assert [path.name for path in made.parent.iterdir()] == ["version_0"]


def test_a_run_with_several_loggers_is_looked_at_in_its_folder(command, tmp_path):
    loggers = [
        {"class_path": "LogScaleTensorBoardLogger", "init_args": {"save_dir": "runs"}},
        {"class_path": "CSVLogger", "init_args": {"save_dir": "csv"}},
    ]
    (tmp_path / "own.yaml").write_text(yaml.safe_dump({"problem": "Poisson1D", "trainer": {"logger": loggers}}))
    assert command("fit", "-c", "own.yaml", "--trainer.max_steps=3")[0] == 0
    code, _, err = command("predict", "runs/own/version_0")
    assert code == 0, err
    assert (tmp_path / "runs" / "own" / "version_0" / "solution.npz").is_file()
    assert [path.name for path in (tmp_path / "runs" / "own").iterdir()] == ["version_0"]
