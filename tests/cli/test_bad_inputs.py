"""Every bad input of the table `tests/bad_inputs.py`: one line that names the key, and nothing is written."""

import os
import re
import sys
import warnings

import pytest
from bad_inputs import CALLS, COMMANDS, RECIPES, number_rows
from forked import finish, forked, run_command
from lightning.pytorch.accelerators import CUDAAccelerator, MPSAccelerator

from pinnlab.cli.commands import run
from pinnlab.cli.dispatch import answer
from pinnlab.errors import ConfigurationError

pytestmark = pytest.mark.filterwarnings("ignore")
SHORT = ["--trainer.max_steps=2", "--model.compile=false", "--data.evaluation_points=300"]
ROWS = list(number_rows())


def refused(arguments, phrases, folder, capsys, monkeypatch):
    """Carries out a command that must be refused, and looks at its line and at the folder."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr("sys.argv", ["pinnlab"])
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    with warnings.catch_warnings():
        code = answer(arguments)
        code = run(arguments) if code is None else code
    err = capsys.readouterr().err
    lines = [line for line in err.splitlines() if not line.startswith("warning:")]
    assert code == 2, err
    assert len(lines) == 1, err
    assert lines[0].startswith("error: ")
    for phrase in phrases:
        assert phrase in lines[0]
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


@pytest.mark.parametrize("row", COMMANDS, ids=lambda row: row.arguments)
def test_a_bad_option(row, tmp_path, capsys, monkeypatch):
    (tmp_path / "taken.txt").write_text("a file")
    arguments = re.split(r" (?![^{\[]*[}\]])", row.arguments)
    refused(["fit", "-c", "burgers", *SHORT, *arguments], row.phrases, tmp_path, capsys, monkeypatch)


@pytest.mark.parametrize("row", RECIPES, ids=lambda row: row.phrases[0])
def test_a_bad_recipe(row, tmp_path, capsys, monkeypatch):
    (tmp_path / "own.yaml").write_bytes(row.text if isinstance(row.text, bytes) else row.text.encode())
    refused(["fit", "-c", "own.yaml", *SHORT], row.phrases, tmp_path, capsys, monkeypatch)


OTHERS = {
    "fit burgers": (["fit", "burgers"], ("for the recipe write `pinnlab fit -c burgers`",)),
    "fit own.yaml": (["fit", "own.yaml"], ("for the recipe write `pinnlab fit -c own.yaml`",)),
    "no folder": (["diagnose", "-c", "burgers", "--folder", f"{__file__}/x"], ("folder: ", "is a file, no folder")),
    "unknown command": (["fti"], ("unknown command 'fti' (did you mean 'fit'?)",)),
    "unknown kind": (["list", "netwoks"], ("did you mean 'networks'?",)),
    "unknown recipe": (["fit", "-c", "burgrs"], ("did you mean 'burgers'?",)),
    "option first": (["--config", "burgers", "fit"], ("command: name it first",)),
    "no run": (["predict", "-c", "burgers"], ("ckpt_path: predict needs a trained run",)),
}


@pytest.mark.parametrize("case", OTHERS)
def test_a_bad_command(case, tmp_path, capsys, monkeypatch):
    arguments, phrases = OTHERS[case]
    refused(arguments, phrases, tmp_path, capsys, monkeypatch)


@pytest.mark.parametrize("accelerator", ["gpu", "cuda"])
def test_a_machine_without_a_gpu(accelerator, tmp_path, capsys, monkeypatch):
    for kind in (CUDAAccelerator, MPSAccelerator):
        monkeypatch.setattr(kind, "is_available", lambda: False)
    said = f"trainer.accelerator: torch finds no {accelerator} on this machine; leave it out"
    refused(
        ["fit", "-c", "burgers", *SHORT, f"--trainer.accelerator={accelerator}"], (said,), tmp_path, capsys, monkeypatch
    )


@pytest.mark.parametrize("row", CALLS, ids=lambda row: row[1])
def test_a_bad_call(row):
    call, *phrases = row
    with pytest.raises(ConfigurationError) as error:
        call()
    assert "\n" not in str(error.value)
    for phrase in phrases:
        assert phrase in str(error.value)


@pytest.mark.parametrize(("owner", "option", "value"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_a_bad_number(owner, option, value):
    with pytest.raises(ConfigurationError, match=rf"\b{option}\b") as error:
        owner(**{option: value})
    assert "\n" not in str(error.value)


def test_the_table_is_large():
    assert len(COMMANDS) + len(RECIPES) + len(CALLS) + len(ROWS) >= 250


def test_runs_go_to_the_trainers_root(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["pinnlab"])
    assert run(["fit", "-c", "poisson1d", *SHORT, "--trainer.default_root_dir", "out"]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out" / "poisson1d" / "version_0" / "summary.json").is_file()


def test_a_short_name_that_several_classes_share(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["pinnlab"])
    phases = "--model.phases=[{optimizer: LBFGS, steps: 2}]"
    assert run(["fit", "-c", "poisson1d", phases, "--print_config"]) == 0
    assert "class_path: pinnlab.optimizers.LBFGS" in capsys.readouterr().out


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="nothing is read-only for this user")
def test_a_read_only_folder(tmp_path, capsys, monkeypatch):
    tmp_path.chmod(0o500)
    refused(["fit", "-c", "burgers", *SHORT], ("trainer.logger.save_dir", "read-only"), tmp_path, capsys, monkeypatch)


OWN = """
from pinnlab.problems import Poisson1D

class Mine(Poisson1D):
    \"\"\"A problem of the user's.\"\"\"
"""


def run_without_the_current_folder(folder, *arguments):
    sys.path[:] = [place for place in sys.path if place not in ("", ".", os.getcwd(), str(folder))]
    run_command(folder, *arguments)


def test_a_class_of_a_file_in_the_current_folder(tmp_path):
    """With the console script, whose own folder comes first on the path; `python -m` has the current one anyway."""
    (tmp_path / "own_problem.py").write_text(OWN)
    (tmp_path / "own.yaml").write_text("problem: own_problem.Mine\n")
    code = finish(forked(run_without_the_current_folder, tmp_path, "fit", "-c", "own.yaml", "--print_config"))
    assert code == 0, (tmp_path / "error.txt").read_text()
    assert "own_problem.Mine" in (tmp_path / "output.txt").read_text()


def test_what_a_module_raises_when_it_is_imported(tmp_path, capsys, monkeypatch):
    (tmp_path / "broken_module.py").write_text("1 / 0")
    (tmp_path / "own.yaml").write_text("problem: broken_module.Mine\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    phrases = ("problem: broken_module cannot be imported: ZeroDivisionError",)
    refused(["fit", "-c", "own.yaml", *SHORT], phrases, tmp_path, capsys, monkeypatch)


FUNCTIONS = """
import torch

def network(inputs: int, outputs: int) -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.Linear(inputs, 5), torch.nn.Tanh(), torch.nn.Linear(5, outputs))
"""


def test_a_function_annotated_to_return_a_network_is_one(tmp_path, capsys, monkeypatch):
    (tmp_path / "own_networks.py").write_text(FUNCTIONS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["pinnlab"])
    network = "--model.network=own_networks.network"
    assert run(["fit", "-c", "poisson1d", *SHORT, network, "--trainer.logger=false"]) == 0
    assert "relative L2" in capsys.readouterr().out
