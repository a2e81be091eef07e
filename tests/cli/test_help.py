"""The help of commands in our words: every option in it is one, and is understood as it is written."""

import shlex

import pytest
import yaml

from pinnlab.cli.commands import run
from pinnlab.cli.dispatch import COMMANDS, answer
from pinnlab.cli.help import PAGES, command_help


@pytest.mark.parametrize("command", PAGES)
def test_a_page_is_short_and_says_where_all_options_are(command, capsys):
    for words in (["--help"], ["-h"], ["-c", "burgers", "--help"]):
        assert answer([command, *words]) == 0
        assert capsys.readouterr().out == command_help(command) + "\n"
    lines = command_help(command).splitlines()
    assert lines[0].startswith(f"usage: pinnlab {command} ")
    assert lines[-1] == f"`pinnlab {command} --help all` shows all options."
    assert max(map(len, lines)) <= 100
    assert command in COMMANDS


def test_fit_shows_twenty_options_by_group():
    assert sum(map(len, PAGES["fit"].options.values())) == 20
    text = command_help("fit")
    for group in ("recipe", "problem", "network", "phases", "points", "run", "going on"):
        assert f"\n{group}" in text


@pytest.mark.filterwarnings("ignore")
def test_all_of_them_together_are_a_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["pinnlab"])
    options = [option for group in PAGES["fit"].options.values() for option, _ in group]
    assert run(["fit", *(word for option in options for word in shlex.split(option))]) == 0
    config = yaml.safe_load(capsys.readouterr().out)
    assert config["model"]["phases"][0]["steps"] == 500
    assert config["model"]["phases"][1]["optimizer"]["class_path"].endswith(".LBFGS")
    assert [c["class_path"].rpartition(".")[2] for c in config["trainer"]["callbacks"]] == ["ResidualResampling"] * 2
    assert config["data"]["points"] == {"pde": 2000}
    assert config["trainer"]["max_time"] == "00:00:10:00"


@pytest.mark.filterwarnings("ignore")
def test_the_parser_shows_all(capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["pinnlab"])
    assert answer(["fit", "--help", "all"]) is None
    assert run(["fit", "--help", "all"]) == 0
    shown = capsys.readouterr().out
    for option in ("--trainer.gradient_clip_val", "--model.engine", "--data.held_out", "--problem_file"):
        assert option in shown
