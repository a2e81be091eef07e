"""Errors of the user's input, as the command words them; through the command itself in test_cli.py."""

import errno

import pytest
from jsonargparse import ArgumentError

from pinnlab.cli.bad_input import bad_input, unwritable
from pinnlab.errors import ConfigurationError


def test_a_fault_of_the_program_is_not_called_bad_input():
    assert bad_input(RuntimeError("boom")) is None


def test_our_own_errors_are_shown_as_they_are():
    assert bad_input(ConfigurationError("data.points: bad")) == "data.points: bad"


def test_our_own_error_is_found_behind_another():
    outer = RuntimeError("while building")
    outer.__cause__ = ConfigurationError("data.points: bad")
    assert bad_input(outer) == "data.points: bad"


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        (
            "subcommand: invalid choice: 'fti' (choose from 'fit')",
            "unknown command 'fti' (did you mean 'fit'?)",
        ),
        ("the following arguments are required: fit.problem", "problem: there is none; name a recipe"),
        ('Parser key "a.b":\n  Expected a dot import path string: Xyzzyq', "a.b: there is no class 'Xyzzyq'; `pinnlab"),
        ("something that\n  nobody foresaw", "something that nobody foresaw"),
    ],
)
def test_messages_of_the_parser_become_one_line(message, shown):
    line = bad_input(ArgumentError(None, message))
    assert line.startswith(shown)
    assert "\n" not in line


def test_a_file_that_the_disk_refuses_is_named():
    outer = ValueError("you tried to log 1.0")
    outer.__cause__ = OSError(errno.ENOSPC, "No space left on device", "runs/a.txt")
    assert unwritable(outer) == (
        "runs/a.txt: cannot be written (No space left on device); make room, or use another trainer.default_root_dir"
    )
    assert unwritable(FileNotFoundError(errno.ENOENT, "No such file or directory", "a.txt")) is None
    assert unwritable(ValueError("boom")) is None
