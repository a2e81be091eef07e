"""`pinnlab new`, and problems in files of the user's own: trained, gone on with, found again."""

import errno
import json
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import yaml

from pinnlab import load
from pinnlab.cli.commands import run
from pinnlab.cli.dispatch import answer
from pinnlab.cli.own_files import split

pytestmark = pytest.mark.filterwarnings("ignore")

SHORT = ["--trainer.max_steps=3", "--model.compile=false", "--data.evaluation_points=300"]

OWN = ("my_problem", "two", "decay", "beside_decay")

DECAY = """
import numpy as np
import torch
from pinnlab import Problem
from pinnlab.domains import Interval
from pinnlab.problems import Dirichlet, Given, Observations, Residual

class Decay(Problem):
    def __init__(self, file: str = "data.csv", given: Given | None = None, n: int = 0):
        t = Interval("t", 0, 1)
        table = np.genfromtxt(file, delimiter=",", names=True)
        times = torch.as_tensor(table["t"])[:, None]
        conditions = {"ode": Residual(t, lambda u: u.t + u)}
        conditions["data"] = Observations(times, u=torch.as_tensor(table["u"]))
        conditions.update({f"extra{i}": Dirichlet(t.face(t=0.0), u=1.0) for i in range(n)})
        super().__init__(t, ("u",), conditions, given=[] if given is None else [given])
"""

TWO = """
from pinnlab.problems import Poisson1D, Poisson2D

class Left(Poisson1D):
    pass

class Right(Left):
    pass
"""


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """The whole command, as a new process would carry it out."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["pinnlab"])
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)

    def execute(*arguments):
        for name in OWN:
            sys.modules.pop(name, None)
        code = answer(list(arguments))
        code = run(list(arguments)) if code is None else code
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    yield execute
    for name in set(sys.modules) - before:
        if name in OWN:
            del sys.modules[name]


def last_line(err):
    return [line for line in err.splitlines() if not line.startswith("warning:")][-1]


def test_a_new_problem_is_short_and_trains_to_a_small_error(command, tmp_path):
    code, out, _ = command("new", "my_problem.py")
    assert (code, out) == (0, "wrote my_problem.py and my_problem.yaml; now: pinnlab fit my_problem.py\n")
    assert len((tmp_path / "my_problem.py").read_text().splitlines()) <= 32
    options = ["--model.compile=false", "--model.phases.0.steps=100", "--model.phases.1.steps=25"]
    code, _, err = command("fit", "my_problem.py", *options)
    assert code == 0, err
    folder = tmp_path / "runs" / "my_problem" / "version_0"
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["relative_l2"]["u"] < 1e-5
    assert [record["steps"] for record in summary["phases"]] == [100, 25]
    assert yaml.safe_load((folder / "config.yaml").read_text())["problem_file"] == str(tmp_path / "my_problem.py")
    code, _, err = command("predict", "runs/my_problem/version_0")
    assert code == 0, err
    solution = np.load(folder / "solution.npz")
    exact = np.cosh(3 * (1 - solution["x"])) / np.cosh(3)  # of u'' = 9 u, u(0) = 1, u'(1) = 0
    assert np.abs(solution["u"] - exact).max() < 1e-5


BAD = {
    "no name": (["new"], "new: name one file, as in `pinnlab new my_problem.py`"),
    "a hyphen": (["new", "my-problem.py"], "my-problem.py: is no name of a Python file"),
    "no Python": (["new", "my_problem"], "my_problem: is no name of a Python file"),
    "a module of Python": (
        ["new", "wave.py"],
        "wave.py: wave is an installed module; take another name, as my_wave.py",
    ),
    "an installed package": (["new", "torch.py"], "torch.py: torch is an installed module"),
    "no folder": (["new", "nowhere/fin.py"], "nowhere/fin.py: cannot be written (No such file or directory)"),
    "no file": (["fit", "fin.py"], "fin.py: there is no such file; `pinnlab new fin.py` writes one to begin with"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_refused_is_told_at_once_in_one_line(case, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    arguments, line = BAD[case]
    assert answer(arguments) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"error: {line}")
    assert err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_of_two_files_both_are_written_or_none(tmp_path, monkeypatch, capsys):
    def full(path, text, **options):
        path.touch()
        if path.suffix == ".yaml":
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    assert answer(["new", str(tmp_path / "fin.py")]) == 2
    assert "fin.yaml: cannot be written (No space left on device)" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["my_problem.py", "my_problem.yaml"])
def test_nothing_is_overwritten(command, tmp_path, name):
    (tmp_path / name).write_text("mine")
    code, _, err = command("new", "my_problem.py")
    assert (code, err) == (2, f"error: {name}: is there already; take another name, or move it away\n")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(name, "mine")]


FILES = {
    "none": ("x = 1", "two.py", "two.py: defines no problem; write a class that derives from"),
    "two": (TWO, "two.py", "two.py: defines 2 problems, Left and Right; name one of them, as two.py:Right"),
    "another": (TWO, "two.py:Rigth", "unknown problem of two.py: 'Rigth' (did you mean 'Right'?)"),
    "imported": (TWO, "two.py:Poisson2D", "unknown problem of two.py: 'Poisson2D'"),
    "broken": (
        "1 / 0",
        "two.py",
        "problem: two cannot be imported: ZeroDivisionError: division by zero; see line 1 of ",
    ),
}


@pytest.mark.parametrize("case", FILES)
def test_a_file_without_one_problem_is_told(case, command, tmp_path):
    text, place, line = FILES[case]
    (tmp_path / "two.py").write_text(text)
    code, _, err = command("fit", place)
    assert code == 2
    assert err.startswith(f"error: {line}")
    assert err.count("\n") == 1


def test_a_problem_without_a_recipe_has_a_set_up_that_can_be_changed(command, tmp_path):
    (tmp_path / "two.py").write_text(TWO)
    code, out, err = command("fit", "two.py:Right", "--model.phases.1.steps=7", "--print_config")
    assert code == 0, err
    assert err.startswith("two.yaml: there is none, so MLP, Adam and SSBroyden, points {pde: 200, boundary: 1};")
    shown = yaml.safe_load(out)
    assert shown["problem"]["class_path"] == "two.Right"
    assert shown["data"]["points"] == {"pde": 200, "boundary": 1}
    assert [phase["steps"] for phase in shown["model"]["phases"]] == [None, 7]
    assert shown["name"] == "two"


TANK = """
from pinnlab import Problem
from pinnlab.domains import Interval
from pinnlab.problems import Mean, Residual

class Tank(Problem):
    def __init__(self):
        rod = Interval("x", 0, 1) * Interval("t", 0, 1)
        conditions = {"pde": Residual(rod, lambda u: u.t - u.xx), "mass": Mean(rod, lambda u: u, each="t")}
        super().__init__(rod, ("u",), conditions)
"""


def test_integrals_which_bring_points_have_few_of_their_own(command, tmp_path):
    (tmp_path / "tank.py").write_text(TANK)
    code, out, err = command("fit", "tank.py", "--print_config")
    assert code == 0, err
    assert yaml.safe_load(out)["data"]["points"] == {"pde": 1000, "mass": 50}


@pytest.fixture
def decay(tmp_path):
    """A problem in a file whose data are in others, none of them where the defaults say."""
    work = tmp_path / "work"
    work.mkdir()
    (work / "decay.py").write_text(DECAY)
    (work / "real.csv").write_text("t,u\n0,1\n0.5,0.6065\n1,0.3679\n")
    np.savez(work / "q.npz", t=np.linspace(0, 1, 9), q=np.linspace(0, 1, 9))
    return work


def test_points_are_those_of_the_problem_that_is_asked_for(command, decay):
    options = [f"--problem.file={decay / 'real.csv'}", "--problem.n", "2", "--print_config"]
    code, out, err = command("fit", str(decay / "decay.py"), *options)
    assert code == 0, err
    assert "points {ode: 200, extra0: 1, extra1: 1}" in err
    assert yaml.safe_load(out)["data"]["points"] == {"ode": 200, "extra0": 1, "extra1": 1}
    code, _, err = command("fit", str(decay / "decay.py"), "--problem.m", "2")
    assert code == 2
    assert err.startswith("error: unknown option of Decay in problem 'm'")
    assert err.count("\n") == 1


@pytest.mark.parametrize("has_recipe", [False, True])
def test_what_a_constructor_raises_is_told_in_one_line(command, decay, monkeypatch, has_recipe):
    monkeypatch.chdir(decay)
    if has_recipe:
        (decay / "decay.yaml").write_text("data: {points: 20}\nmodel: {network: MLP}\n")
    for options, file in ((["--problem.file=nosuch.csv"], "nosuch.csv"), ([], "data.csv")):
        code, _, err = command("fit", "decay.py", *options)
        assert code == 2
        line = f"error: problem: Decay: {file} not found, relative paths begin in {decay}; see line 11 of "
        assert err == f"{line}{decay / 'decay.py'}\n"


def test_a_run_finds_the_data_of_its_problem_from_elsewhere_and_after_a_move(command, decay, tmp_path, monkeypatch):
    other, moved = tmp_path / "other", tmp_path / "moved"
    other.mkdir()
    (other / "real.csv").write_text("t,u\n0,7\n")  # of another run
    monkeypatch.chdir(decay)
    given = ["--problem.given=pinnlab.problems.Given", "--problem.given.name=q", "--problem.given.source=q.npz"]
    code, _, err = command("fit", "decay.py", "--problem.file=real.csv", *given, *SHORT)
    assert code == 0, err
    monkeypatch.chdir(other)
    for name in ("predict", "fit"):
        code, _, err = command(name, str(decay / "runs" / "decay" / "version_0"), "--trainer.max_steps=5")
        assert code == 0, err
    sys.modules.pop("decay")
    assert load(decay / "runs" / "decay" / "version_0").problem.conditions["data"].points.shape == (3, 1)
    assert Path.cwd() == other

    decay.rename(moved)
    code, _, err = command("predict", str(moved / "runs" / "decay" / "version_0"))
    assert code == 0, err
    (moved / "q.npz").unlink()
    code, _, err = command("predict", str(moved / "runs" / "decay" / "version_0"))
    assert code == 2
    assert last_line(err).startswith(f"error: Given 'q': {moved / 'q.npz'} cannot be read (")


def test_a_run_says_that_the_code_of_its_problem_has_changed(command, decay, monkeypatch):
    monkeypatch.chdir(decay)
    text, place = f"import beside_decay\n{(decay / 'decay.py').read_text()}", "runs/decay/version_0"
    (decay / "decay.py").write_text(text)
    (decay / "beside_decay.py").write_text("rate = 1")

    def remarks(*arguments):
        with warnings.catch_warnings():
            warnings.filterwarnings("always", "problem:")
            code, _, err = command(*arguments)
        assert code == 0, err
        return [line for line in err.splitlines() if "changed since" in line]

    assert remarks("fit", "decay.py", "--problem.file=real.csv", *SHORT) == []
    (decay / "decay.py").write_text(f"# a remark\n{text}".replace("u.t + u", "u.t  +  u"))
    assert remarks("fit", place, "--trainer.max_steps=4") == []
    (decay / "decay.py").write_text(text.replace("u.t + u", "u.t + 2 * u"))
    (decay / "beside_decay.py").write_text("rate = 2")
    changed = "warning: problem: decay.py, beside_decay.py have changed since the checkpoint was written; "
    assert remarks("predict", place) == [
        f"{changed}the network was trained with the old code, errors and residuals are those of the new; "
        "anew: pinnlab fit decay.py"
    ]
    assert remarks("fit", place, "--trainer.max_steps=5") == [
        f"{changed}training goes on with the new code, from the old state; anew: pinnlab fit decay.py"
    ]
    assert remarks("fit", "runs/decay/version_2", "--trainer.max_steps=6") == []


def test_a_run_whose_class_was_renamed_says_what_to_do(command, tmp_path):
    command("new", "my_problem.py")
    assert command("fit", "my_problem.py", *SHORT)[0] == 0
    path = tmp_path / "my_problem.py"
    path.write_text(path.read_text().replace("MyProblem", "Renamed"))
    place = "runs/my_problem/version_0"
    for more in ([], ["--problem=my_problem.Renamed"]):
        code, _, err = command("test", place, *more)
        assert code == 2
        assert last_line(err) == (
            f"error: {place}/checkpoints/last.ckpt: was made with my_problem.MyProblem, and there is no MyProblem in "
            "my_problem; give the class that name again"
        )


def test_the_recipe_beside_a_file_says_which_problem(command, tmp_path):
    (tmp_path / "two.py").write_text(TWO)
    (tmp_path / "two.yaml").write_text("problem: {class_path: two.Left, init_args: {frequency: 3}}\n")
    for place, name in (("two.py", "Left"), ("two.py:Right", "Right")):
        code, out, err = command("fit", place, "--print_config")
        assert code == 0, err
        problem = yaml.safe_load(out)["problem"]
        assert (problem["class_path"], problem["init_args"]["frequency"]) == (f"two.{name}", 3)
    (tmp_path / "two.yaml").write_text("problem: two.Lef\n")
    code, _, err = command("fit", "two.py")
    assert code == 2
    assert err == "error: two.yaml: problem: two.py defines no Lef (did you mean 'Left'?); change one of the two\n"


def test_a_run_finds_its_problem_from_elsewhere_and_after_a_move(command, tmp_path, monkeypatch):
    work, other, away = (tmp_path / name for name in ("work", "other", "away"))
    for folder in (work, other, away):
        folder.mkdir()
    monkeypatch.chdir(work)
    command("new", "my_problem.py")
    assert command("fit", "my_problem.py", *SHORT)[0] == 0
    place = work / "runs" / "my_problem" / "version_0"

    monkeypatch.chdir(other)
    code, _, err = command("fit", str(place), "--trainer.max_steps=5")
    assert code == 0, err
    assert json.loads(next(other.rglob("summary.json")).read_text())["steps"] == 5

    (work / "my_problem.py").rename(away / "my_problem.py")
    code, _, err = command("test", str(place))
    assert code == 2
    assert last_line(err) == (
        f"error: problem_file: there is no file {work / 'my_problem.py'}; if it has moved, say where it is: "
        "--problem_file FOLDER/my_problem.py"
    )
    code, _, err = command("test", str(place), "--problem_file", str(away / "my_problem.py"))
    assert code == 0, err

    moved = (place.parents[2]).rename(tmp_path / "renamed")  # the whole folder of the project
    (away / "my_problem.py").rename(moved / "my_problem.py")
    place = moved / "runs" / "my_problem" / "version_0"
    code, _, err = command("test", str(place))
    assert code == 0, err

    (moved / "my_problem.py").rename(moved / "its_new_name.py")
    code, _, err = command("test", str(place), "--problem_file", str(moved / "its_new_name.py"))
    assert code == 2
    assert "its_new_name.py is not my_problem.py, where the problem my_problem.MyProblem of the run is" in err


def test_a_recipe_names_files_of_its_own_folder(command, tmp_path):
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "two.py").write_text(TWO)
    (folder / "own.yaml").write_text("problem: two.Left\n")
    code, _, err = command("fit", "-c", "project/own.yaml", *SHORT)
    assert code == 0, err
    assert json.loads(next(tmp_path.rglob("summary.json")).read_text())["problem"] == "Left"
    saved = yaml.safe_load(next(tmp_path.rglob("config.yaml")).read_text())
    assert saved["problem_file"] == str(folder / "two.py")


def test_a_class_is_named_behind_a_colon():
    assert [split(place)[1] for place in ("a/b.py", "a/b.py:C", "runs/a")] == [None, "C", None]
    assert str(split("a/b.py:C")[0]) == "a/b.py"
