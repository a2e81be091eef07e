"""Runs are named by their folders: to look at, to go on from, to find again."""

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from commanded import fitted

from pinnlab.cli import runs
from pinnlab.cli.commands import run
from pinnlab.errors import ConfigurationError

pytestmark = pytest.mark.filterwarnings("ignore")

SHORT = ["--trainer.max_steps=3", "--model.compile=false", "--data.evaluation_points=300"]


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["pinnlab"])

    def execute(*arguments):
        code = run(list(arguments))
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return execute


@pytest.fixture(scope="module")
def runs_folder(tmp_path_factory):
    """One run of the heat equation, with another diffusivity than the recipe's, for all tests."""
    return fitted(tmp_path_factory.mktemp("made"), "-c", "heat1d", "--problem.diffusivity=0.1", "--name=mine", *SHORT)


@pytest.fixture
def made(command, runs_folder, tmp_path):
    """A copy of it, for a test to write into."""
    shutil.copytree(runs_folder, tmp_path / "runs")
    return tmp_path / "runs" / "mine" / "version_0"


def files(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_run_that_cannot_go_on_leaves_nothing_behind(command, made):
    before = files(made.parent)
    code, _, err = command("fit", str(made), "--data.points=77")
    assert code == 2, err
    assert f"{made / 'checkpoints' / 'last.ckpt'} was made with something else" in err
    assert files(made.parent) == before
    assert [path.name for path in made.parent.iterdir()] == ["version_0"]


@pytest.mark.parametrize("name", ["predict", "diagnose"])
def test_a_run_that_is_read_only_is_told_before_it_is_looked_at(command, made, monkeypatch, name):
    """And what is read-only around it, or where one is, is no matter."""
    writable = os.access
    monkeypatch.setattr(os, "access", lambda place, mode: Path(place).resolve() != made and writable(place, mode))
    code, _, err = command(name, str(made))
    assert code == 2
    assert "is read-only; write elsewhere by --trainer.logger false --trainer.default_root_dir" in err
    monkeypatch.setattr(os, "access", lambda place, mode: Path(place).resolve() == made and writable(place, mode))
    assert command(name, str(made))[0] == 0


@pytest.mark.parametrize("place", [pytest.param("", marks=pytest.mark.slow), "checkpoints/last.ckpt"])
def test_a_run_is_looked_at_with_its_own_problem_and_in_its_own_folder(command, made, tmp_path, place):
    place = str((made / place).relative_to(tmp_path))
    code, out, err = command("test", place)
    assert code == 0, err
    expected = json.loads((made / "summary.json").read_text())["relative_l2"]["u"]
    assert f"{expected:.6f}"[:7] in out.replace(" ", "") or f"{expected:.4g}"[:5] in out
    for name, written in (("predict", "solution.npz"), ("diagnose", "diagnosis.json"), ("validate", None)):
        code, _, err = command(name, place)
        assert code == 0, err
        assert written is None or (made / written).is_file()
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["mine"]
    assert [path.name for path in (tmp_path / "runs" / "mine").iterdir()] == ["version_0"]


def test_another_problem_is_told(command, made):
    code, _, err = command("test", "-c", "heat1d", "--ckpt_path", str(made))
    assert code == 2
    assert "problem.diffusivity: 0.1 in the checkpoint" in err


def test_a_run_goes_on_by_its_folder(command, made, tmp_path):
    code, _, err = command("fit", str(made), "--trainer.max_steps=5")
    assert code == 0, err
    summary = json.loads((tmp_path / "runs" / "mine" / "version_1" / "summary.json").read_text())
    assert summary["steps"] == summary["evaluations"] == 5


@pytest.mark.parametrize("name", runs.NEED_A_RUN)
def test_without_a_run_there_is_nothing_to_look_at(command, tmp_path, name):
    code, _, err = command(name, "-c", "burgers")
    assert code == 2
    assert f"ckpt_path: {name} needs a trained run" in err
    assert len(err.splitlines()) == 1
    assert files(tmp_path) == set()


def test_the_newest_and_the_best_run_are_found(command, tmp_path):
    small = ["-c", "poisson2d_lm", "--model.network.hidden=[6]", "--data.points=60"]
    for steps in (30, 3):
        options = ["--model.compile=false", "--data.evaluation_points=300", f"--trainer.max_steps={steps}"]
        assert command("fit", *small, *options)[0] == 0
    folder = tmp_path / "runs" / "poisson2d_lm"
    for word, version, steps in (("best", 0, 30), ("last", 1, 3)):
        path = runs.found(word, folder)
        assert path == folder / f"version_{version}" / "checkpoints" / "last.ckpt"
        assert torch.load(path, weights_only=True)["global_step"] == steps
        code, _, err = command("predict", *small, "--ckpt_path", word)
        assert code == 0, err
        assert (folder / f"version_{version}" / "solution.npz").is_file()
    os.utime(folder / "version_0" / "checkpoints" / "last.ckpt")
    assert runs.found("last", folder).parts[-3] == "version_0"
    path = folder / "version_0" / "summary.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "relative_l2": {"u": None}}))  # it was not finite
    assert runs.found("best", folder).parts[-3] == "version_1"


@pytest.mark.parametrize("word", runs.WORDS)
def test_where_there_is_no_run_none_is_found(command, word):
    code, _, err = command("fit", "-c", "poisson1d", "--ckpt_path", word)
    assert code == 2
    assert "ckpt_path: there is no" in err


def damaged(path):
    path.write_bytes(path.read_bytes()[:5000])


def foreign(path):
    torch.save({"state_dict": {}}, path)


@pytest.mark.parametrize("spoil", [damaged, foreign])
@pytest.mark.parametrize("arguments", [["predict"], ["fit"], ["test", "-c", "heat1d"]])
def test_files_that_are_no_checkpoints_are_told_in_one_line(command, made, spoil, arguments):
    path = made / "checkpoints" / "last.ckpt"
    spoil(path)
    before = files(made.parents[1])
    with_option = ["--ckpt_path", str(path)] if "-c" in arguments else [str(path)]
    code, _, err = command(*arguments, *with_option)
    assert code == 2
    assert len([line for line in err.splitlines() if not line.startswith("warning")]) == 1, err
    assert "last.ckpt" in err or "not a checkpoint of pinnlab" in err
    assert files(made.parents[1]) - before <= {"mine/version_0/hparams.yaml"}


def test_a_place_without_a_run(command, tmp_path):
    (tmp_path / "empty").mkdir()
    for place in ("nowhere", "empty"):
        code, _, err = command("predict", place)
        assert code == 2
        assert f"there is no run in '{place}': name a folder such as runs/burgers/version_0" in err
    for number in range(2):
        checkpoint = tmp_path / "runs" / "mine" / f"version_{number}" / "checkpoints" / "last.ckpt"
        checkpoint.parent.mkdir(parents=True)
        checkpoint.touch()
        os.utime(checkpoint, (number, number))
    for place in ("runs", "runs/mine"):
        with pytest.raises(ConfigurationError, match=r"name a folder such as runs/mine/version_1$"):
            runs.with_run(["predict", place])


def test_words_of_a_command_line():
    assert runs.with_run(["fit", "-c", "burgers"]) == ["fit", "-c", "burgers"]
    assert runs.with_run(["list", "problems"]) == ["list", "problems"]
    with pytest.raises(ConfigurationError, match="there is no run"):
        runs.with_run(["predict", "nowhere"])
