"""Studies: which runs are made, what is written, and that a study that was cut off goes on."""

import csv
import errno
import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from types import SimpleNamespace

import pytest
from forked import CONTEXT, pipe

from pinnlab.errors import ConfigurationError
from pinnlab.studies import command
from pinnlab.studies.command import STUDIES, run_study_command, study_module
from pinnlab.studies.engine import runner
from pinnlab.studies.engine.runner import KEY, Study, _begin_worker, append_row, merged, read_rows, run_study, train
from pinnlab.studies.switching import runs as switching

pytestmark = pytest.mark.filterwarnings("ignore")

COLUMNS = ("relative_l2", "evaluations")
TINY = {
    "data": {"points": {"pde": 16, "boundary": 2}, "evaluation_points": 50},
    "model": {
        "network": {"init_args": {"hidden": [4]}},
        "compile": False,
        "phases": [{"optimizer": {"class_path": "Adam", "init_args": {"lr": 1e-3}}, "steps": 3}],
    },
}


def measure(summary):
    return {"relative_l2": summary["relative_l2"]["u"], "evaluations": summary["evaluations"]}


def tiny_study(**settings):
    settings = settings or {"three": {}, "two": {"trainer": {"max_steps": 2}}}
    return Study("tiny", {"poisson1d": ("poisson1d", TINY)}, settings, COLUMNS, measure, seeds=(0, 1))


def test_merging_goes_into_mappings_and_replaces_the_rest():
    first = {"a": {"b": [1, 2], "c": 1}, "d": 3}
    second = {"a": {"b": [4]}, "e": {"f": 5}}
    result = merged(first, second)
    assert result == {"a": {"b": [4], "c": 1}, "d": 3, "e": {"f": 5}}
    result["a"]["b"].append(6)
    result["e"]["f"] = 7
    assert second == {"a": {"b": [4]}, "e": {"f": 5}}
    assert first == {"a": {"b": [1, 2], "c": 1}, "d": 3}


def test_another_class_takes_its_own_arguments():
    first = {"network": {"class_path": "MLP", "init_args": {"hidden": [4], "activation": "tanh"}}}
    assert merged(first, {"network": {"init_args": {"hidden": [5]}}})["network"]["init_args"]["activation"] == "tanh"
    other = {"network": {"class_path": "SIREN", "init_args": {"hidden": [5]}}}
    assert merged(first, other) == other
    same = {"network": {"class_path": "MLP", "init_args": {"hidden": [5]}}}
    assert merged(first, same)["network"]["init_args"] == {"hidden": [5], "activation": "tanh"}


def test_a_problem_has_settings_of_its_own():
    own = {("poisson1d", "two"): {"trainer": {"max_steps": 7}}}
    study = replace(tiny_study(), own=own)
    assert study.config("poisson1d", "two", 0)["trainer"]["max_steps"] == 7
    assert "max_steps" not in study.config("poisson1d", "three", 0)["trainer"]


def test_callbacks_of_problem_and_setting_replace_those_of_the_recipe():
    def part(names):
        return {} if names is None else {"trainer": {"callbacks": [{"class_path": name} for name in names]}}

    def callbacks(problem, setting):
        parts = part(problem), part(setting)
        study = Study("tiny", {"b": ("burgers", parts[0])}, {"s": parts[1]}, COLUMNS, measure)
        return [callback["class_path"] for callback in study.config("b", "s", 0)["trainer"]["callbacks"]]

    assert callbacks(None, None) == ["ResidualResampling"]
    assert callbacks(["A", "B"], ["C"]) == ["A", "B", "C"]
    assert callbacks(["A", "B"], None) == ["A", "B"]
    assert callbacks(None, ["C"]) == ["C"]
    assert callbacks(None, []) == []


def study_with_a_worker(sender):
    worker = multiprocessing.get_context("fork").Process(target=long_run, args=(sender,))
    worker.start()
    worker.join()


def long_run(sender):
    _begin_worker(1)
    sender.send("begun")
    time.sleep(120)


def test_a_worker_ends_with_the_study():
    receiver, sender = pipe()
    study = CONTEXT.Process(target=study_with_a_worker, args=(sender,))
    study.start()
    sender.close()
    assert receiver.recv() == "begun"
    study.terminate()
    study.join()
    assert receiver.poll(30), "a worker outlives its study"
    with pytest.raises(EOFError):  # nobody is left who could send
        receiver.recv()


def test_a_setting_reaches_the_run_and_seeds_differ():
    study = tiny_study()
    assert train(study.config("poisson1d", "three", 0))[0]["evaluations"] == 3
    two = train(study.config("poisson1d", "two", 0))[0]
    assert two["evaluations"] == 2
    assert two["points"] == {"pde": 16, "boundary": 2}
    assert two["loss"] != train(study.config("poisson1d", "two", 1))[0]["loss"]


def parameters_of(trained):
    return {"parameters": sum(p.numel() for p in trained.model.trial.parameters())}


@pytest.mark.usefixtures("quick_starts")
def test_a_probe_sees_what_was_trained(tmp_path):
    study = replace(tiny_study(), columns=(*COLUMNS, "parameters"), probe=parameters_of).restricted([], ["two"], [0])
    run_study(study, tmp_path / "tiny.csv", report=list)
    assert [row["parameters"] for row in read_rows(tmp_path / "tiny.csv")] == ["13"]


@pytest.mark.usefixtures("quick_starts")
def test_a_study_that_was_cut_off_goes_on(tmp_path):
    path, lines = tmp_path / "new" / "tiny.csv", []
    study = tiny_study()
    run_study(study.restricted([], ["two"], [0]), path, report=lines.append)
    first = read_rows(path)
    assert [tuple(row[key] for key in KEY) for row in first] == [("poisson1d", "two", "0")]
    assert (first[0]["status"], first[0]["evaluations"]) == ("done", "2")
    run_study(study, path, workers=2, report=lines.append)
    rows = read_rows(path)
    assert rows[0] == first[0]
    assert {tuple(row[key] for key in KEY) for row in rows} == {tuple(map(str, case)) for case in study.cases()}
    run_study(study, path, report=lines.append)
    assert read_rows(path) == rows
    assert lines[-1] == "tiny: 0 of 4 runs to make"


def only_the_first_seed(config):
    time.sleep(120 * config["seed_everything"])
    return {"relative_l2": {"u": 0.5}, "evaluations": 1}, None


@pytest.mark.usefixtures("quick_starts")
def test_a_study_that_is_interrupted_ends_at_once_and_keeps_its_lines(tmp_path):
    """What is left of the runs is not made first: it was, after Ctrl-C as on a full disk."""

    def interrupt(line):
        if line.startswith("1/"):
            raise KeyboardInterrupt

    study, begun = replace(tiny_study(one={}), make=only_the_first_seed), time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_study(study, tmp_path / "tiny.csv", workers=2, report=interrupt)
    assert time.monotonic() < begun + 60
    assert [row["seed"] for row in read_rows(tmp_path / "tiny.csv")] == ["0"]


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("tiny.csv", "tiny.csv: has other columns than problem, setting"),
        ("tiny.csv/folder/tiny.csv", "--folder: .* cannot be written"),
    ],
)
def test_a_file_that_takes_no_lines_is_refused_before_the_first_run(tmp_path, place, message):
    (tmp_path / "tiny.csv").write_text("problem,setting\n")
    with pytest.raises(ConfigurationError, match=message):
        run_study(replace(tiny_study(), make=pytest.fail), tmp_path / place, report=str)


@pytest.mark.parametrize("starts", ["quick_starts", pytest.param("spawned", marks=pytest.mark.slow)])
def test_a_run_that_fails_is_a_result(tmp_path, request, starts):
    if starts == "quick_starts":
        request.getfixturevalue(starts)
    path = tmp_path / "tiny.csv"
    broken = {"model": {"network": {"init_args": {"hidden": [0]}}}}
    run_study(tiny_study(broken=broken, two={"trainer": {"max_steps": 2}}), path, report=str)
    status = {row["setting"]: row["status"] for row in read_rows(path)}
    assert status["two"] == "done"
    assert status["broken"].startswith("ConfigurationError: ") or "hidden" in status["broken"]
    assert "\n" not in status["broken"]


def test_other_columns_are_refused(tmp_path):
    path = tmp_path / "rows.csv"
    append_row(path, ("a", "b"), {"a": 1})
    append_row(path, ("a", "b"), {"a": 2, "b": 3})
    with path.open() as file:
        assert list(csv.reader(file)) == [["a", "b"], ["1", ""], ["2", "3"]]
    with pytest.raises(ConfigurationError, match="other columns than a, c"):
        append_row(path, ("a", "c"), {"a": 1})


def test_a_file_without_a_line_is_a_new_one(tmp_path):
    """Such is left by a full disk, and by a study that was interrupted in its first runs."""
    path = tmp_path / "rows.csv"
    path.touch()
    append_row(path, ("a", "b"), {"a": 1, "b": 2})
    assert path.read_text() == "a,b\n1,2\n"


def test_a_full_disk_is_told_in_one_line(tmp_path, monkeypatch, capsys):
    def full(rows, folder):
        raise OSError(errno.ENOSPC, "No space left on device")

    append_row(tmp_path / "points.csv", ("a",), {"a": 1})
    monkeypatch.setattr(command, "study_module", lambda name: SimpleNamespace(write_report=full))
    assert run_study_command(["points", "--report", "--folder", str(tmp_path)]) == 1
    line = f"error: --folder: {tmp_path} cannot be written (No space left on device); make room\n"
    assert capsys.readouterr().err == line


@pytest.mark.parametrize("name", STUDIES)
def test_every_run_of_a_shipped_study_has_a_recipe(name):
    study = study_module(name).STUDY
    assert study.name == name
    for problem, setting, seed in study.cases():
        config = study.config(problem, setting, seed)
        assert config["seed_everything"] == seed
        assert config["trainer"]["logger"] is False
    assert len(study.seeds) >= 3


def test_names_are_checked(capsys, tmp_path):
    with pytest.raises(ConfigurationError, match="did you mean 'burgers'"):
        switching.STUDY.restricted(["burger"], [], [])
    for arguments, word in [
        (["switchin"], "did you mean 'switching'"),
        (["switching", "--settings", "fixed"], "name in --settings"),
        (["switching", "--workers", "0"], "--workers"),
        (["switching", "--report"], "there are no runs"),
    ]:
        assert run_study_command([*arguments, "--folder", str(tmp_path)]) == 2
        assert word in capsys.readouterr().err


def test_a_run_whose_process_is_killed_ends_the_study_in_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(runner, "_rows", killed)
    assert run_study_command(["noise", "--folder", str(tmp_path)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: the process of a run was killed")


def killed(*unused):
    """The rows of a pool of one process, which is killed in its first run."""
    with ProcessPoolExecutor(1, CONTEXT) as pool:
        yield pool.submit(os._exit, 9).result()
