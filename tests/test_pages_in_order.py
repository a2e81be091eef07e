"""Pages that lead through Python and the command line in turn run from top to bottom, as a reader would."""

import os
import re
import shlex
import signal
import time
from pathlib import Path

import pytest
from forked import finish, forked, run_command
from shortening import shortened

from pinnlab.__main__ import main

DOCS = Path(__file__).parents[1] / "docs"
NOT_OURS = ("pip install", "tensorboard")
STEPS = "--trainer.max_steps"
SHORTER = ["--model.compile=false", "--data.evaluation_points=300"]


def blocks(page):
    return re.findall(r"```(python|bash)\n(.*?)```", (DOCS / page).read_text(), flags=re.S)


def carry_out(line, monkeypatch, steps, share):
    """A line of the command, on fewer points and steps than it would take by itself: a share of those it names."""
    words = shlex.split(line, comments=True)
    if words[1] == "fit":
        words += SHORTER + ([f"--trainer.max_steps={steps}"] if STEPS not in words else [])
    if STEPS in words:
        place = words.index(STEPS) + 1
        words[place] = str(int(words[place]) // share)
    monkeypatch.setattr("sys.argv", words)
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 0, line


def carry_out_until_interrupted(line, folder):
    """A command that goes on until Ctrl-C, which comes as soon as it has said something."""
    process = forked(run_command, folder, *shlex.split(line, comments=True)[1:])
    said, end = folder / "output.txt", time.monotonic() + 60
    while not (said.exists() and said.read_text()):
        assert process.is_alive(), line
        assert time.monotonic() < end, line
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGINT)
    assert finish(process, 60.0) == 0, line


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("page", "most"),
    [
        pytest.param("start.md", 4, id="start.md-shortened"),
        pytest.param("ten-tasks.md", 20, id="ten-tasks.md-shortened"),
        pytest.param("start.md", None, id="start.md-as printed", marks=pytest.mark.slow),
        pytest.param("ten-tasks.md", None, id="ten-tasks.md-as printed", marks=pytest.mark.slow),
    ],
)
def test_a_page_runs_from_top_to_bottom(page, most, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    namespace = {"__name__": "documentation"}
    for language, text in blocks(page):
        if language == "python":
            exec(compile(shortened(text, most), page, "exec"), namespace)
            continue
        for line in text.splitlines():
            assert line.startswith(("pinnlab", *NOT_OURS)), line
            if line.startswith("pinnlab board"):
                carry_out_until_interrupted(line, tmp_path)
            elif line.startswith("pinnlab"):
                carry_out(line, monkeypatch, steps=3, share=1 if most is None else 20)


def test_every_task_takes_at_most_15_lines():
    tasks = (DOCS / "ten-tasks.md").read_text().split("\n## ")[1:]
    assert [task.partition(".")[0] for task in tasks] == [str(number) for number in range(1, 11)]
    for task in tasks:
        lines = [line for text in re.findall(r"```\w+\n(.*?)```", task, flags=re.S) for line in text.splitlines()]
        assert 1 <= len(lines) <= 15, task


def test_burgers_takes_five_commands_or_twelve_lines():
    upto_the_plot = (DOCS / "start.md").read_text().partition("Now look at")[0]
    texts = re.findall(r"```\w+\n(.*?)```", upto_the_plot, flags=re.S)
    assert sum(bool(line) for text in texts for line in text.splitlines()) <= 12
