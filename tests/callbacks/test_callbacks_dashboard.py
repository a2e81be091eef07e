"""Dashboard and history of frequencies: once, only where somebody reads it, and the same after a resume."""

import os
import shutil
import signal

import pytest
import torch
from board import read_board
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.data import DataLoader
from training import BOARD_CALLBACKS, full_run, quiet_trainer, small_data, small_module

from pinnlab.callbacks import Dashboard, ErrorMeasurement, FrequencyHistory, GracefulStop, SolutionFigures
from pinnlab.callbacks.frequencies import MOST
from pinnlab.errors import ConfigurationError
from pinnlab.problems import Poisson
from pinnlab.reporting.event_file import Board, drop_events_after
from pinnlab.reporting.loggers import LogScaleTensorBoardLogger
from pinnlab.training.switching import phases_of

pytestmark = pytest.mark.filterwarnings("ignore")
CARDS = {"run/problem/text_summary", "run/recipe/text_summary", "run/system/text_summary"}


def logger(folder):
    return LogScaleTensorBoardLogger(folder, name="", version="", default_hp_metric=False)


def run(folder, callbacks=None, **options):
    callbacks = BOARD_CALLBACKS["board"]() if callbacks is None else callbacks
    _, trainer, module, data = full_run(folder / "checkpoints", callbacks=callbacks, **options)
    return trainer, module, data, callbacks[-1]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run with everything, for many tests to read: its folder, trainer and module."""
    folder = tmp_path_factory.mktemp("whole")
    loggers = [logger(folder / "board"), CSVLogger(folder / "csv")]
    trainer, module, *_ = run(folder, logger=loggers, every=1)
    return folder, trainer, module


@pytest.mark.parametrize("kind", ["none", "CSV"])
def test_without_tensorboard_nothing_is_written_and_the_history_is_kept(tmp_path, kind):
    other = False if kind == "none" else CSVLogger(tmp_path / "csv", name="", version="")
    *_, history = run(tmp_path, logger=other)
    assert history.steps
    assert not list(tmp_path.rglob("events.*"))


def test_layout_cards_and_results_are_written_once(whole):
    folder, trainer, _ = whole
    board = read_board(folder / "board")
    assert board.files == 1
    assert len(board.layouts) == 1
    assert b"log10/relative_l2/" in board.layouts[0]
    assert {tag: board.steps[tag] for tag in CARDS} == {tag: [0] for tag in CARDS}
    assert trainer.global_step == 20
    assert board.steps["_hparams_/session_start_info"] == [19]  # counted from 0
    assert board.steps["solution/u"] == [1, 2, 4, 8, 10, 12, 14, 16, 20]  # doubled, validations, switches, the end
    assert board.steps["solution/u/in_full"] == [20]
    assert board.steps["solution/u/frequencies"] == [5, 15, 20]
    assert board.steps["training/points"] == [1, 20]


def test_loss_and_error_have_a_point_at_each_of_the_first_steps_and_no_chart_has_one_dot(whole):
    board = read_board(whole[0] / "board")
    for tag in ("loss/total", "relative_l2/u", "held_out/pde", "frequency_error/u/low"):
        assert sorted(set(board.steps[tag])) == list(range(20)), tag
    events = EventAccumulator(str(whole[0] / "board")).Reload()
    for tag in events.Tags()["scalars"]:
        assert len({event.step for event in events.Scalars(tag)}) > 1, tag
        assert "epoch" not in tag


def test_loss_and_error_are_over_evaluations_and_milliseconds_too(whole):
    folder, trainer, module = whole
    steps = read_board(folder / "board").steps
    for tag in ("loss/total", "relative_l2/u"):
        evaluations, milliseconds = (steps[f"log10/over/{axis}/{tag}"] for axis in ("evaluations", "milliseconds"))
        assert evaluations == sorted(evaluations)
        assert evaluations[-1] == module.evaluations > trainer.global_step
        assert milliseconds == sorted(milliseconds)
        assert milliseconds[-1] == pytest.approx(1000 * sum(r.seconds for r in phases_of(trainer).records), abs=1)
    assert trainer.logger.axes is None  # of training only


def test_a_measurement_is_what_a_validation_finds(tmp_path):
    trainer, module, data, _ = run(tmp_path, [ErrorMeasurement()], logger=logger(tmp_path / "board"))
    (validated,) = trainer.validate(module, data, verbose=False)
    (batch,) = data.val_dataloader()
    measured = module.measured(batch)
    assert measured.keys() == validated.keys()
    for tag, value in measured.items():
        assert value == pytest.approx(validated[tag], rel=1e-12), tag


@pytest.mark.parametrize("options", [{"limit_val_batches": 0}, {"log_every_n_steps": 0}])
def test_nobody_measures_what_nobody_asked_for(tmp_path, options, monkeypatch):
    monkeypatch.setattr("pinnlab.training.module.PINN.measured", lambda *unused: pytest.fail("measured"))
    trainer = quiet_trainer(max_steps=4, callbacks=[ErrorMeasurement()], logger=logger(tmp_path), **options)
    module = small_module()
    trainer.fit(module, small_data(module.problem))
    assert trainer.global_step == 4


def test_a_run_that_goes_on_in_its_folder_shows_every_step_once(whole, tmp_path):
    """As after a kill: what came after the checkpoint is in the folder already."""
    again = tmp_path / "again"
    run(again, logger=logger(again / "board"), every=1)
    path = again / "checkpoints" / "step=11.ckpt"
    run(again, logger=logger(again / "board"), every=100, ckpt_path=path)
    expected, found = read_board(whole[0] / "board"), read_board(again / "board")
    assert found.files == 2
    assert found.layouts == expected.layouts
    assert found.steps.keys() == expected.steps.keys()
    for tag, steps in found.steps.items():
        if tag.startswith("log10/over/milliseconds"):
            assert steps == sorted(steps), tag
        else:
            assert steps == expected.steps[tag], tag


def test_a_look_at_a_run_keeps_its_charts(whole, tmp_path):
    shutil.copytree(whole[0] / "board", tmp_path / "board")
    before = read_board(tmp_path / "board").steps
    drop_events_after(tmp_path / "board", 20, {})
    after = read_board(tmp_path / "board").steps
    assert {tag: steps for tag, steps in before.items() if not tag.startswith("_hparams_")} == after
    (file,) = (tmp_path / "board").glob("events.*")
    content = file.read_bytes()
    other = tmp_path / "board" / file.name.replace(".0", ".1")
    board = Board(tmp_path / "other")
    board.add_scalar("relative_l2/u", 1.0, 500)
    board.close()
    (looked,) = (tmp_path / "other").glob("events.*")
    looked.rename(other)
    drop_events_after(tmp_path / "board", 2, {"evaluations": 2, "milliseconds": 0})
    assert read_board(tmp_path / "board").steps["relative_l2/u"] == [0, 1, 500]
    assert len(file.read_bytes()) < len(content)


def test_lightnings_own_logger_gets_charts_of_the_values_themselves(tmp_path):
    run(tmp_path, [Dashboard()], logger=TensorBoardLogger(tmp_path / "board", default_hp_metric=False))
    board = read_board(tmp_path / "board")
    assert b"relative_l2/" in board.layouts[0]
    assert b"log10" not in board.layouts[0]
    assert not any(tag.startswith("log10") for tag in board.steps)


def test_a_resumed_run_goes_on_in_its_folder_and_opens_another_one(tmp_path):
    def again(folder, path=None, every=100):
        callbacks = [ErrorMeasurement(), Dashboard(), FrequencyHistory(every=100)]
        return run(folder, callbacks, ckpt_path=path, logger=logger(folder / "board"), every=every)[-1]

    whole = again(tmp_path / "whole", every=1)
    layout = read_board(tmp_path / "whole" / "board").layouts
    for step in (3, 8, 14, 19):  # validations are at 5, 10, ...: Lightning leaves out one that is due when it resumes
        path = tmp_path / "whole" / "checkpoints" / f"step={step}.ckpt"
        resumed = again(tmp_path / str(step), path)
        assert resumed.steps == whole.steps == list(range(1, 21)), path.name
        assert torch.equal(torch.stack(resumed.errors["u"]), torch.stack(whole.errors["u"])), path.name
        assert read_board(tmp_path / str(step) / "board").layouts == layout
    again(tmp_path / "whole", path)
    board = read_board(tmp_path / "whole" / "board")
    assert board.files == 2
    assert board.layouts == layout
    assert [board.steps[tag] for tag in CARDS] == [[0]] * 3
    assert len(board.steps["_hparams_/session_start_info"]) == 1  # of the end that there is now


def test_looking_on_changes_nothing(whole, tmp_path):
    watched = whole[-1]
    _, _, module, _ = full_run(tmp_path / "plain", callbacks=[FrequencyHistory()])
    for one, two in zip(module.trial.parameters(), watched.trial.parameters(), strict=True):
        assert torch.equal(one, two)
    assert module.evaluations == watched.evaluations


def test_the_history_is_thinned(tmp_path):
    history = FrequencyHistory()
    trainer = quiet_trainer(max_steps=MOST + 3, val_check_interval=1, callbacks=[history])
    module = small_module()
    module.phases = module.phases[:1]
    module.phases[0].steps = MOST + 3
    trainer.fit(module, small_data(module.problem, evaluation_points=60, held_out=0))
    assert MOST // 2 < len(history.steps) < MOST // 2 + 5
    assert history.steps[:3] == [1, 3, 5]
    assert history.steps[-1] == MOST + 3
    assert len(history.errors["u"]) == len(history.steps)


def test_a_step_that_is_measured_twice_is_kept_once(tmp_path):
    """As the only one of a linear solve: after it, and when the run ends."""
    history, module = FrequencyHistory(), small_module()
    trainer = quiet_trainer(max_steps=1, callbacks=[ErrorMeasurement(), history], logger=logger(tmp_path))
    trainer.fit(module, small_data(module.problem, evaluation_points=60, held_out=0))
    trainer.state.fn = "fit"
    history.on_validation_end(trainer, module)
    assert history.steps == [1]
    assert len(history.errors["u"]) == 1


def test_another_grid_begins_another_history(tmp_path):
    _, module, _, history = run(tmp_path)
    data = small_data(module.problem, evaluation_points=1000)
    state, again = history.state_dict(), FrequencyHistory()
    assert state["errors"]["u"].shape[0] == len(history.steps) == 4
    again.load_state_dict(state)
    trainer = quiet_trainer()
    trainer.validate(module, data, verbose=False)
    trainer.state.fn = "fit"
    again.on_validation_end(trainer, module)
    assert len(again.steps) == 1


def test_without_a_grid_there_is_nothing_to_keep(tmp_path):
    module = small_module(Poisson(dim=3))
    history = FrequencyHistory()
    trainer = quiet_trainer(max_steps=6, callbacks=[history, Dashboard()], logger=logger(tmp_path))
    trainer.fit(module, small_data(module.problem))
    assert history.steps == []
    board = read_board(tmp_path)
    assert b"frequency_error" not in board.layouts[0]
    assert not any("frequencies" in tag for tag in board.steps)


def test_a_folder_of_the_same_name_elsewhere_is_another_one(tmp_path, monkeypatch):
    for place, path in (("here", None), ("there", tmp_path / "here" / "checkpoints" / "step=3.ckpt")):
        (tmp_path / place).mkdir()
        monkeypatch.chdir(tmp_path / place)
        run(tmp_path / place, [Dashboard()], logger=logger("board"), ckpt_path=path)
        assert len(read_board(tmp_path / place / "board").layouts) == 1, place


def test_points_that_somebody_else_hands_over_have_a_dashboard_without_an_error(tmp_path):
    module = small_module()
    batch = {name: torch.rand(4, 2, dtype=torch.float64) for name in module.problem.conditions}
    trainer = quiet_trainer(
        max_steps=3, callbacks=[Dashboard(), SolutionFigures(), FrequencyHistory()], logger=logger(tmp_path),
        val_check_interval=None,
    )  # fmt: skip
    trainer.fit(module, DataLoader([batch] * 3, batch_size=None))
    board = read_board(tmp_path)
    assert len(board.layouts) == 1
    assert "loss/total" in board.steps
    assert "relative_l2/u" not in board.steps


def test_profiles_are_drawn_at_chosen_times(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "pinnlab.reporting.figures.solution.solution_figure", lambda *a, **unused: asked.append(a[-1]) or _empty()
    )
    run(tmp_path, [SolutionFigures(every=100, times=[0.25, 0.75])], logger=logger(tmp_path / "board"))
    assert asked == [[0.25, 0.75]]


def _empty():
    from pinnlab.reporting.figures.style import new_figure

    return new_figure(2, 2)


@pytest.mark.parametrize("callback", [SolutionFigures, FrequencyHistory])
def test_a_bad_interval_is_refused(callback):
    with pytest.raises(ConfigurationError, match=rf"{callback.__name__}\.every"):
        callback(every=0)


def test_after_ctrl_c_the_charts_end_where_the_run_did(tmp_path):
    class Interrupt(GracefulStop):
        def on_train_batch_start(self, trainer, *unused):
            if trainer.global_step == 6:
                os.kill(os.getpid(), signal.SIGINT)

    trainer, *_ = run(tmp_path, [Interrupt(), *BOARD_CALLBACKS["board"]()], logger=logger(tmp_path / "board"))
    assert trainer.global_step == 7
    steps = read_board(tmp_path / "board").steps
    for tag in ("loss/total", "relative_l2/u"):
        assert sorted(set(steps[tag])) == list(range(7)), tag
    assert steps["solution/u"][-1] == 7
