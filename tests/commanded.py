"""The `pinnlab` command in the tests' own process, for runs that outlive a test."""

import contextlib

import pytest
from unseen import leave_out

from pinnlab.cli.commands import run


@contextlib.contextmanager
def in_folder(folder):
    """Has the command, and nothing of the tests' own command line, at work in a folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("sys.argv", ["pinnlab"])
        yield


def fitted(folder, *options):
    """The folder of the runs of one `pinnlab fit`."""
    with in_folder(folder), pytest.MonkeyPatch.context() as patch:
        leave_out(patch.setattr)
        assert run(["fit", *options]) == 0
    return folder / "runs"
