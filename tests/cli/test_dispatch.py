"""What the command answers at once: in which words, with which exit code, and without importing torch."""

import io
import json
import subprocess
import sys

import pytest

import pinnlab
from pinnlab.__main__ import main
from pinnlab.cli.catalog import KINDS, recipe_names
from pinnlab.cli.commands import PinnlabCLI
from pinnlab.cli.dispatch import COMMANDS, LISTED, answer
from pinnlab.studies.command import STUDIES

HEAVY = {"torch", "lightning", "torchmetrics", "jsonargparse", "matplotlib", "scipy", "numpy"}

PROBE = """
import json, sys
from pinnlab.__main__ import main
try:
    main()
except SystemExit as stop:
    print(json.dumps({"code": stop.code, "modules": sorted({name.partition(".")[0] for name in sys.modules})}))
"""

AT_ONCE = {
    "help": (["--help"], 0),
    "help of a command": (["fit", "-c", "burgers", "--help"], 0),
    "new": (["new", "--help"], 0),
    "new without a name": (["new"], 2),
    "file that is not there": (["fit", "nowhere.py"], 2),
    "comparison": (["compare", "nowhere"], 2),
    "nothing": ([], 2),
    "version": (["--version"], 0),
    "list": (["list"], 0),
    "list of a kind": (["list", "problems"], 0),
    "list of no kind": (["list", "problms"], 2),
    "command": (["fti"], 2),
    "recipe": (["fit", "-c", "burgrs"], 2),
    "study": (["study", "nosuch"], 2),
    "help of studies": (["study", "--help"], 0),
}


@pytest.mark.parametrize("case", AT_ONCE)
def test_torch_is_not_imported(case):
    arguments, code = AT_ONCE[case]
    done = subprocess.run([sys.executable, "-c", PROBE, *arguments], capture_output=True, text=True, timeout=60)
    seen = json.loads(done.stdout.splitlines()[-1])
    assert seen["code"] == code, done.stderr
    assert "pinnlab" in seen["modules"]
    assert not HEAVY & set(seen["modules"])


def test_help_shows_every_command_with_a_line_and_an_example(capsys):
    assert answer(["--help"]) == 0
    shown = capsys.readouterr().out
    lines = shown.splitlines()
    assert max(map(len, lines)) <= 80
    for name, (purpose, example) in COMMANDS.items():
        assert lines[lines.index(f"  {name:8}  {purpose}") + 1].strip() == example
        assert example.startswith(f"pinnlab {name} ")
    assert "pinnlab fit --help" in shown
    assert answer(["-h"]) == 0
    assert capsys.readouterr().out == shown
    assert answer([]) == 2
    assert capsys.readouterr().err == shown


def test_a_name_that_the_output_cannot_write_is_no_error(tmp_path, monkeypatch):
    """A pipe in another encoding, as on Windows, or by `PYTHONIOENCODING`; what was done stays done."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["pinnlab", "new", "größe.py"])
    output = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stdout", output)
    with pytest.raises(SystemExit) as stop:
        main()
    output.flush()
    assert stop.value.code == 0
    assert output.buffer.getvalue().startswith(rb"wrote gr\xf6\xdfe.py and ")


def test_commands_are_those_that_something_carries_out():
    assert set(COMMANDS) == {*PinnlabCLI.subcommands(PinnlabCLI), "board", "compare", "list", "new", "study"}


def test_version(capsys):
    assert answer(["--version"]) == 0
    assert capsys.readouterr().out == f"pinnlab {pinnlab.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["fti"], "error: unknown command 'fti' (did you mean 'fit'?); known: "),
        (["lst", "problems"], "error: unknown command 'lst' (did you mean 'list'?); known: "),
        (["list", "problms"], "error: unknown kind 'problms' (did you mean 'problems'?); known: "),
        (["list", "weight-rule"], "error: unknown kind 'weight rule' (did you mean 'weight rules'?); known: "),
        (
            ["fit", "-c", "burgrs"],
            "error: unknown recipe (and no such file) 'burgrs' (did you mean 'burgers'?); known: ",
        ),
        (["test", "--config", "burgrs"], "error: unknown recipe (and no such file) 'burgrs'"),
        (["test", "--config=burgrs"], "error: unknown recipe (and no such file) 'burgrs'"),
        (["fit", "-c", "burgers", "-c", "mien.yaml"], "error: unknown recipe (and no such file) 'mien.yaml'"),
    ],
)
def test_names_that_do_not_exist_get_one_line_and_exit_code_2(arguments, line, capsys):
    assert answer(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(line)
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["fit", "-c", "burgers"],
        ["fit", "--help", "all"],
        ["compare", "-c"],
        ["fit", "-c"],
        ["fit", "-c", "--print_config"],
        ["diagnose", "--problem", "Burgers"],
        ["-c", "burgers", "fit"],
        ["study", "switching"],
        ["study", "-c", "burgrs"],
    ],
)
def test_everything_else_is_left_to_the_commands(arguments, capsys):
    assert answer(arguments) is None
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("arguments", [["fit", "-c", "burgers"], ["study", "points"]])
def test_a_folder_for_compiled_code_that_cannot_be_made_is_refused(arguments, tmp_path, monkeypatch, capsys):
    (tmp_path / "file").touch()
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "file" / "cache"))
    assert answer(arguments) == 2
    line = (
        f"error: TORCHINDUCTOR_CACHE_DIR: {tmp_path}/file/cache cannot be made (Not a directory); name another folder"
    )
    assert capsys.readouterr().err.splitlines() == [line]
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "new" / "cache"))
    assert answer(arguments) is None


def test_list_shows_every_kind_or_one(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert answer(["list"]) == 0
    whole = capsys.readouterr().out
    for name in ("Burgers", "PirateNet", "Lattice", "LBFGS", "LossPlateau", "ResidualResampling", "poisson1d"):
        assert name in whole
    parts = []
    for kind in LISTED:
        assert answer(["list", *kind.split()]) == 0
        parts.append(capsys.readouterr().out)
        assert parts[-1].split("\n")[0].strip() == kind
    assert "".join(parts) == whole
    assert answer(["list", "weight-rules"]) == 0
    assert capsys.readouterr().out == parts[LISTED.index("weight rules")]


def test_list_says_which_kinds_there_are(capsys):
    assert answer(["list", "--help"]) == 0
    out = capsys.readouterr().out
    assert all(kind in out for kind in (*KINDS, "recipes"))


def test_list_of_recipes_shows_their_first_lines(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    answer(["list", "recipes"])
    shown = capsys.readouterr().out
    for name in recipe_names():
        assert f" {name} " in shown
    assert "Burgers' equation on few points that follow the residual (RAD)" in shown


def test_brackets_in_a_sentence_are_shown(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    answer(["list", "networks"])
    assert "Random Fourier features `[cos(B x), sin(B x)]`" in capsys.readouterr().out


def test_every_folder_of_a_study_can_be_run():
    assert len(STUDIES) >= 10
    assert "engine" not in STUDIES
