"""Output that nobody reads, or that finds no room, costs no run."""

import io
import os
import pathlib
import subprocess
import sys

import pytest

from pinnlab.cli.outlet import Outlet, steady, unwritten


@pytest.fixture(params=["buffered", "unbuffered"])
def stream(request):
    """A standard stream as Python makes it, and the end that reads it."""
    reader, writer = os.pipe()
    raw = io.FileIO(writer, "wb")
    made = io.TextIOWrapper(raw if request.param == "unbuffered" else io.BufferedWriter(raw), write_through=True)
    with made:
        yield made, reader


def test_what_is_written_after_the_reader_has_gone_is_left_out(stream, monkeypatch):
    made, reader = stream
    found = steady(made)
    print("first", file=found, flush=True)
    assert os.read(reader, 100) == b"first\n"
    os.close(reader)
    for _ in range(2):
        print("second", file=found, flush=True)
    monkeypatch.setattr("sys.stdout", found)
    assert unwritten() is None


def test_other_errors_stay_errors(tmp_path):
    (tmp_path / "read").touch()
    read_only = os.open(tmp_path / "read", os.O_RDONLY)
    with Outlet(read_only, "wb") as file, pytest.raises(OSError, match="Bad file"):
        file.write(b"lost")


@pytest.mark.skipif(not pathlib.Path("/dev/full").exists(), reason="no device that is full")
@pytest.mark.parametrize("options", [[], ["-u"]])
def test_a_full_disk_under_the_output_is_said_at_the_end(options):
    command = [sys.executable, *options, "-m", "pinnlab", "--version"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr == "error: standard output: cannot be written (No space left on device); make room\n"


def test_a_list_of_which_only_the_beginning_is_read():
    command = [sys.executable, "-m", "pinnlab", "--help"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(timeout=60) == 0


@pytest.mark.skipif(os.name != "posix", reason="a folder that is in use stays")
def test_a_folder_that_is_gone(tmp_path):
    script = "import os; os.rmdir(os.getcwd()); from pinnlab.__main__ import main; main()"
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (2, "error: the current folder was removed; change to another one\n")
