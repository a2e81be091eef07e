"""The checkpoint of a run is there, exact, and never in the way."""

import errno
import shutil

import lightning as L
import pytest
import torch
from training import ADAM, QUASI_NEWTON, Recorder, quiet_trainer, small_data, small_module

from pinnlab import Phase
from pinnlab.callbacks import Rollback, RunCheckpoint, RunSummary
from pinnlab.callbacks import checkpoint as saving
from pinnlab.errors import ConfigurationError

pytestmark = pytest.mark.filterwarnings("ignore")


SUMMARY = {
    "recipe": "r", "relative_l2": {}, "reference_accuracy": None, "coefficients": {}, "phases": [], "points": {},
    "standard_errors": {}, "parameters": 1, "dtype": "float64", "compilation": {"functions": [], "seconds": 0.0},
}  # fmt: skip


class Clock:
    """Time that passes by a step's seconds at every step."""

    def __init__(self, seconds=1.0):
        self.now, self.seconds = 0.0, seconds

    def monotonic(self):
        return self.now


class Steps(L.Callback):
    def __init__(self, clock, folder):
        self.clock, self.folder, self.saved, self._stamp = clock, folder, [], None

    def on_train_batch_start(self, trainer, *unused):
        self.clock.now += self.clock.seconds


class Saves(RunCheckpoint):
    """Keeps a copy of every file, by the step it was written at."""

    def _save(self, trainer):
        super()._save(trainer)
        if self.path.exists():
            shutil.copy(self.path, self.path.with_name(f"copy-{trainer.global_step}.ckpt"))


def phases():
    return [Phase(ADAM, steps=7), Phase(QUASI_NEWTON, steps=5)]


def fit(folder, clock=None, monkeypatch=None, saver=None, ckpt_path=None, callbacks=()):
    if clock is not None:
        monkeypatch.setattr(saving, "time", clock)
    module, recorder = small_module(phases=phases()), Recorder()
    saver = saver or Saves(seconds=3.5, folder=str(folder))
    trainer = quiet_trainer(
        callbacks=[Rollback(), recorder, *callbacks, *([] if clock is None else [Steps(clock, folder)]), saver],
        enable_checkpointing=True,
    )
    trainer.fit(module, small_data(module.problem), ckpt_path=ckpt_path, weights_only=True)
    return recorder, trainer, saver


def steps_of(folder):
    return sorted(int(path.stem.removeprefix("copy-")) for path in folder.glob("copy-*.ckpt"))


def test_saves_come_after_some_seconds_at_phase_changes_and_at_the_end(tmp_path, monkeypatch):
    fit(tmp_path, Clock(), monkeypatch)
    assert steps_of(tmp_path) == [4, 7, 11, 12]  # 3.5 s, the switch, 3.5 s after it, the end
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["global_step"] == 12
    assert torch.load(tmp_path / "previous.ckpt", weights_only=True)["global_step"] == 11


def test_every_one_of_them_resumes_bitwise(tmp_path, monkeypatch):
    whole, *_ = fit(tmp_path / "whole", Clock(), monkeypatch)
    for step in steps_of(tmp_path / "whole"):
        path = tmp_path / "whole" / f"copy-{step}.ckpt"
        again, trainer, _ = fit(tmp_path / "again", ckpt_path=path)
        assert trainer.global_step == 12
        for k, parameters in again.parameters.items():
            assert torch.equal(parameters, whole.parameters[k]), (step, k)


def test_saves_that_take_long_come_more_seldom(tmp_path, monkeypatch):
    clock = Clock()

    class Slow(Saves):
        def _save(self, trainer):
            original, trainer.save_checkpoint = (
                trainer.save_checkpoint,
                lambda *a, **k: setattr(clock, "now", clock.now + 0.09),
            )
            super()._save(trainer)
            trainer.save_checkpoint = original
            self.steps = [*getattr(self, "steps", []), trainer.global_step]

    _, _, saver = fit(tmp_path, clock, monkeypatch, saver=Slow(seconds=1.5, folder=str(tmp_path)))
    assert saver.steps == [2, 7, 12]  # 9 s later at the earliest, but for the switch and the end
    assert saver.seconds_spent == pytest.approx(0.27)


def test_nothing_is_left_of_a_save_that_was_killed_between_its_two_names(tmp_path):
    path = tmp_path / "last.ckpt"
    path.write_bytes(b"good")
    (tmp_path / "previous.ckpt").hardlink_to(path)
    saving._keep_previous(path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["last.ckpt", "previous.ckpt"]


class Fails(L.Callback):
    """An exception in the middle of a quasi-Newton step."""

    def on_after_backward(self, trainer, pl_module):
        if trainer.global_step == 9:
            raise RuntimeError("in the middle of a step")


def test_an_exception_in_a_step_leaves_the_exact_checkpoint(tmp_path, monkeypatch):
    with pytest.raises(RuntimeError, match="middle"):
        fit(tmp_path / "run", Clock(), monkeypatch, callbacks=[Fails()])
    content = torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)
    assert content["global_step"] == 7
    whole, *_ = fit(tmp_path / "whole")
    again, *_ = fit(tmp_path / "again", ckpt_path=tmp_path / "run" / "last.ckpt")
    for k, parameters in again.parameters.items():
        assert torch.equal(parameters, whole.parameters[k])


def test_a_full_disk_ends_no_run_and_is_told(tmp_path, monkeypatch):
    def no_space(checkpoint, file):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(torch, "save", no_space)
    with pytest.warns(UserWarning, match="no checkpoint was written"):
        _, trainer, saver = fit(tmp_path / "run", saver=RunCheckpoint(folder=str(tmp_path / "run")))
    assert trainer.global_step == 12
    assert saver.failed
    assert not list((tmp_path / "run").iterdir())


def test_a_summary_that_cannot_be_written_is_told(tmp_path):
    summary = RunSummary()
    (tmp_path / "in_the_way").write_text("a file")
    with pytest.warns(UserWarning, match=r"summary\.json was not written: "):
        summary._report({**SUMMARY}, str(tmp_path / "in_the_way"))
    assert summary.failed == tmp_path / "in_the_way" / "summary.json"


def test_one_line_for_seconds_that_are_none():
    with pytest.raises(ConfigurationError, match=r"RunCheckpoint\.seconds"):
        RunCheckpoint(seconds=0)
