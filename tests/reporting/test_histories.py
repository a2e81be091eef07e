"""Runs read from their folders, and what tells recipes apart."""

import json

import numpy as np
import pytest
from torch.utils.tensorboard import SummaryWriter

from pinnlab.errors import ConfigurationError
from pinnlab.reporting.histories import differences, in_short, newest_summary, read_run

START = 1.0e9  # of a clock


def summary(**changes):
    record = {"optimizer": "Adam", "steps": 40}
    return {
        "problem": "Heat1D", "relative_l2": {"u": 0.25, "v": 0.5}, "loss": 1e-3, "seconds": 8.0, "steps": 40,
        "evaluations": 80, "phases": [record], "parameters": 7, "points": {"pde": 30}, **changes,
    }  # fmt: skip


def log(folder, rows):
    """Writes scalars: tag, step, value, seconds after the start."""
    writer = SummaryWriter(str(folder))
    for tag, step, value, seconds in rows:
        writer.add_scalar(tag, value, step, walltime=START + seconds)
    writer.close()


@pytest.fixture
def folder(tmp_path):
    """A run of 40 steps, two evaluations each, which went on after 3 seconds of another session."""
    rows = [("training/evaluations", step, 2.0 * (step + 1), (step + 1) / 8) for step in (9, 19, 29, 39)]
    rows += [("loss/total", step, 10.0 - step / 10, (step + 1) / 8) for step in (9, 19, 29, 39)]
    rows += [("relative_l2/u", 14, 0.5, 2.0), ("relative_l2/v", 14, 0.75, 2.0)]
    log(tmp_path, rows)
    (tmp_path / "summary.json").write_text(json.dumps(summary()))
    return tmp_path


def test_curves_over_evaluations_and_seconds(folder):
    run = read_run(folder, "a")
    np.testing.assert_allclose(run.loss.evaluations, [20, 40, 60, 80])
    np.testing.assert_allclose(run.loss.seconds, [4.25, 5.5, 6.75, 8.0])  # ends with the summary's, those before count
    np.testing.assert_allclose(run.loss.values, [9.1, 8.1, 7.1, 1e-3], rtol=1e-6)
    np.testing.assert_allclose(run.error.evaluations, [30, 80])  # between those of steps 9 and 19
    np.testing.assert_allclose(run.error.seconds, [5.0, 8.0])
    np.testing.assert_allclose(run.error.values, [0.75, 0.5])  # the larger one
    assert (run.name, run.recipe) == ("a", {})


def test_what_is_logged_after_training_is_not_of_it(folder):
    before = read_run(folder, "a")
    log(folder / "later", [("relative_l2/u", 0, 9.0, 99.0), ("relative_l2/v", 0, 9.0, 99.0)])
    for path in (folder / "later").iterdir():
        path.rename(folder / f"{path.name}.later")
    after = read_run(folder, "a")
    np.testing.assert_array_equal(after.error.seconds, before.error.seconds)


def test_without_events_or_reference_the_end_is_known(tmp_path):
    (tmp_path / "summary.json").write_text(json.dumps(summary(relative_l2={})))
    run = read_run(tmp_path, "a")
    assert run.error is None
    assert [float(column[0]) for column in (run.loss.evaluations, run.loss.seconds, run.loss.values)] == [80, 8, 1e-3]


def test_a_number_that_was_not_finite_is_no_point(tmp_path):
    (tmp_path / "summary.json").write_text(json.dumps(summary(loss=None, relative_l2={"u": None, "v": 0.1})))
    run = read_run(tmp_path, "a")
    assert len(run.loss.values) == len(run.error.values) == 0


def test_a_folder_without_a_summary_is_told(tmp_path):
    assert newest_summary(tmp_path) is None
    with pytest.raises(ConfigurationError, match=r"has no summary\.json; it was cut off, or still runs"):
        read_run(tmp_path, "a")
    (tmp_path / "summary.json").write_text("{")
    with pytest.raises(ConfigurationError, match="its summary cannot be read"):
        read_run(tmp_path, "a")


def phase(name, steps, **arguments):
    return {"optimizer": {"class_path": f"torch.optim.{name}", "init_args": arguments}, "steps": steps}


def test_options_that_differ_have_their_names_of_the_command_line():
    one = {"name": "a", "seed_everything": 0, "model": {"phases": [phase("Adam", 5, lr=1), phase("SGD", 3, lr=2)]}}
    two = {"name": "b", "seed_everything": 1, "model": {"phases": [phase("Adam", 5, lr=3), phase("Adam", 3, eps=2)]}}
    assert differences([one, two]) == {
        "seed_everything": ["0", "1"],
        "model.phases.0.optimizer.lr": ["1", "3"],
        "model.phases.1.optimizer": ["SGD", "Adam"],
    }
    three = {**two, "model": {"phases": [phase("Adam", 5)]}}
    assert differences([two, three]) == {"model.phases": ["Adam 5, Adam 3", "Adam 5"]}
    assert differences([one, {**one, "trainer": {"logger": {"save_dir": "x"}}}, one]) == {
        "trainer": ["-", "logger save_dir x", "-"]
    }
    assert differences([]) == {}


def test_values_in_short():
    values = [None, 5e-3, [20, 20], {"class_path": "a.b.C"}, {"pde": 3, "wall": 4}, "pinnlab.networks.MLP", "1.5"]
    assert list(map(in_short, values)) == ["-", "0.005", "20, 20", "C", "pde 3, wall 4", "MLP", "1.5"]


def test_seconds_are_those_of_training_where_they_were_logged(folder):
    """Between steps 19 and 29 nothing was trained for a night."""
    rows = [("training/seconds", step, (step + 1) / 5, 0.0) for step in (9, 19)]
    rows += [("training/seconds", step, (step + 1) / 5, 30000.0) for step in (29, 39)]
    rows += [("training/evaluations", step, 2.0 * (step + 1), 0.0) for step in (9, 19, 29, 39)]
    log(folder, rows)
    np.testing.assert_allclose(read_run(folder, "a").loss.seconds, [2.0, 4.0, 6.0, 8.0], rtol=1e-6)
    np.testing.assert_allclose(read_run(folder, "a").error.seconds, [3.0, 8.0], rtol=1e-6)
