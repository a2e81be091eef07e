"""The progress bar: on a terminal, in a notebook and in a file; it ends on what the summary says."""

import io
import re
import sys
import time
import warnings

import lightning as L
import pytest
from terminal import screen, terminal
from training import ADAM, QUASI_NEWTON, quiet_trainer, small_data, small_module

from pinnlab.callbacks import PhaseProgressBar, RunSummary
from pinnlab.criteria import FixedSteps, TimeBudget
from pinnlab.training.course import Course, held_out_loss
from pinnlab.training.phases import Phase
from pinnlab.training.progress import as_many_as_fit, is_drawn_on

pytestmark = pytest.mark.filterwarnings("ignore")

STOPPED = "the planned number of steps was reached"


class Talk(L.Callback):
    """Warns at one step, and says something at another."""

    def on_train_batch_end(self, trainer, pl_module, *unused):
        if trainer.global_step == 6:
            warnings.warn("the points are few", stacklevel=1)
        if trainer.global_step == 7:
            pl_module.print("hello", 7)


def fit(*callbacks, phases=None, **options):
    phases = phases or [Phase(ADAM, steps=12), Phase(QUASI_NEWTON, steps=4), Phase(ADAM, steps=8)]
    module = small_module(phases=phases)
    summary = RunSummary()
    trainer = quiet_trainer(
        callbacks=[PhaseProgressBar(refresh=1), *callbacks, summary], enable_progress_bar=True, **options
    )
    trainer.fit(module, small_data(module.problem))
    return module, summary.result


def always(monkeypatch):
    """Every step is drawn."""
    monkeypatch.setattr("pinnlab.training.progress.FAST", 0.0)


def decisions_in(lines):
    return [line for line in lines if line.startswith("phase ")]


DECISIONS = [
    f"phase 1 (Adam), 12 steps, switch: {STOPPED}",
    f"phase 2 (LBFGS), 4 steps, switch: {STOPPED}",
    f"phase 3 (Adam), 8 steps, stop: {STOPPED}",
]


def test_on_a_terminal_everything_stands_above_one_bar(monkeypatch):
    always(monkeypatch)
    monkeypatch.setattr(warnings, "showwarning", lambda message, *unused: print(f"warning: {message}", file=sys.stderr))
    with terminal(monkeypatch) as written, warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        fit(Talk())
    lines = [line for line in screen(written[0]) if line]
    assert lines[:2] == ["warning: the points are few", "hello 7"]
    assert lines[2:5] == DECISIONS
    assert len(lines) == 6
    assert re.match(r"Adam \(3/3\) 100%\|█+\| 24/24, loss ", lines[5])
    assert written[0].count("Adam (1/3)") > 10


def test_the_bar_ends_on_what_the_summary_says(monkeypatch):
    with terminal(monkeypatch) as written:
        _, result = fit()
    last = screen(written[0])[-2]
    assert f"loss {result['loss']:.2e}" in last
    assert f"error u {result['relative_l2']['u']:.2e}" in last


def test_in_a_file_a_line_for_every_tenth_and_every_phase(capsys):
    _, result = fit()
    lines = capsys.readouterr().err.splitlines()
    steps = [int(line.split()[1].partition("/")[0]) for line in lines if line.startswith("step ")]
    assert steps == [3, 5, 8, 10, 12, 12, 15, 16, 17, 20, 22, 24]
    assert decisions_in(lines) == DECISIONS
    assert lines[-1].startswith("step 24/24  Adam (3/3)")
    assert f"loss {result['loss']:.2e}  error u {result['relative_l2']['u']:.2e}" in lines[-1]
    switch = lines.index(DECISIONS[0])
    assert lines[switch + 1].startswith("step 12/24  LBFGS (2/3)")


def test_without_a_known_length_lines_come_by_the_clock(capsys, monkeypatch):
    monkeypatch.setattr("pinnlab.training.progress.LINES_EVERY", 0.0)
    fit(phases=[Phase(ADAM, until=FixedSteps(3)), Phase(ADAM, steps=5)])
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("step ")]
    assert [line.split()[1] for line in lines] == ["1", "2", "3", "3/8", "4/8", "5/8", "6/8", "7/8", "8/8"]


def test_of_a_long_run_lines_come_at_least_once_a_minute(capsys, monkeypatch):
    monkeypatch.setattr("pinnlab.training.progress.LINES_AT_LEAST", 0.0)
    fit(phases=[Phase(ADAM, steps=25)])
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("step ")]
    assert [line.split()[1] for line in lines] == [f"{step}/25" for step in range(1, 26)]


def test_words_that_fit_are_shown_and_others_left_out():
    assert as_many_as_fit(["loss 1", "error 2", "left 3", "x"], 15) == "loss 1  error 2"
    assert as_many_as_fit(["loss 1", "error 234", "x"], 12) == "loss 1  x"
    assert as_many_as_fit([], 5) == ""


class Notebook(io.StringIO):
    """The output of a notebook's cell."""


Notebook.__module__ = "ipykernel.iostream"


def test_in_a_notebook_the_bar_is_drawn_in_place(monkeypatch):
    always(monkeypatch)
    cell = Notebook()
    monkeypatch.setattr(sys, "stderr", cell)
    fit()
    lines = [line for line in screen(cell.getvalue().replace("\n", "\r\n")) if line]
    assert lines[:3] == DECISIONS
    assert len(lines) == 4
    assert "24/24" in lines[3]


def test_a_bar_of_no_steps_draws_nothing(capsys):
    module = small_module(phases=[Phase(ADAM, steps=3)])
    quiet_trainer(callbacks=[PhaseProgressBar(refresh=0)], enable_progress_bar=True).fit(
        module, small_data(module.problem)
    )
    assert "step" not in capsys.readouterr().err


@pytest.mark.parametrize(("stream", "drawn"), [(io.StringIO(), False), (Notebook(), True)])
def test_what_is_drawn_on(stream, drawn):
    assert is_drawn_on(stream) is drawn


def test_warnings_are_shown_as_before_after_an_error(monkeypatch):
    class Fail(L.Callback):
        def on_train_batch_end(self, trainer, *unused):
            raise ValueError("no more")

    before = warnings.showwarning
    with terminal(monkeypatch), pytest.raises(ValueError, match="no more"):
        fit(Fail())
    assert warnings.showwarning is before


class Look(L.Callback):
    """Notes the pace, as a bar would show it."""

    def __init__(self, pause):
        self.pause, self.course, self.said, self.totals = pause, Course(), [], []

    def on_train_batch_end(self, trainer, pl_module, *unused):
        time.sleep(self.pause[pl_module.phase])
        self.course.step(trainer)
        self.said.append((trainer.global_step, self.course.pace(trainer, pl_module)))
        self.totals.append(self.course.total(trainer, pl_module))


def test_the_rate_is_that_of_the_phase():
    """The first phase makes five steps a second at most; the run in the mean, to the end, at most 15 steps in one."""
    look = Look([0.2, 0.0])
    fit(look, phases=[Phase(ADAM, steps=5), Phase(ADAM, steps=10)])
    said = dict(look.said)
    assert said[1] == []
    assert float(said[5][-1].split()[0]) < 5
    assert float(said[15][-1].split()[0]) > 15
    assert look.totals == [15] * 15


def test_a_time_budget_says_how_long_is_left():
    look = Look([0.0])
    fit(look, phases=[Phase(ADAM, steps=3, until=TimeBudget(3600))], max_steps=2)
    assert look.totals == [2, 2]
    assert look.said[0][1] == ["1:00:00 left"] or look.said[0][1][0].startswith("59:")
    assert re.fullmatch(r"00:0\d left", look.said[1][1][0])


def test_held_out_loss_is_the_weighted_sum_of_what_was_measured():
    module = small_module(weights={"start": 3.0})
    found = held_out_loss(module, {"held_out/pde": 0.5, "held_out/start": 0.25, "held_out/other": 7.0})
    assert found == pytest.approx(0.5 + 3 * 0.25)
    assert held_out_loss(module, {}) is None
