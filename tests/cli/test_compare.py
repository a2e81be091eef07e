"""`pinnlab compare`: which runs are meant, and what is shown and written of them."""

import json
import re

import pytest
from forked import finish, forked, run_command

from pinnlab.cli.commands import run
from pinnlab.cli.compare import folders_of, run_compare
from pinnlab.errors import ConfigurationError

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """Folders that look like runs: summaries of two recipes, one run that is not over."""
    monkeypatch.chdir(tmp_path)
    for place in ("burgers/version_2", "burgers/version_10", "heat1d/version_0"):
        folder = tmp_path / "runs" / place
        (folder / "checkpoints").mkdir(parents=True)
        (folder / "checkpoints" / "last.ckpt").touch()
        (folder / "summary.json").write_text("{}")
    (tmp_path / "runs" / "burgers" / "version_11").mkdir()
    (tmp_path / "runs" / "burgers" / "version_11" / "events.out").touch()
    (tmp_path / "runs" / "unfinished" / "version_0").mkdir(parents=True)
    return tmp_path / "runs"


WORDS = {
    "runs/heat1d/version_0": ["heat1d/version_0"],
    "runs/heat1d/version_0/checkpoints/last.ckpt": ["heat1d/version_0"],
    "runs/burgers": ["burgers/version_2", "burgers/version_10"],
    "burgers": ["burgers/version_2", "burgers/version_10"],
    "runs/*/version_*": ["burgers/version_2", "burgers/version_10", "heat1d/version_0"],
    "runs/*": ["burgers/version_2", "burgers/version_10", "heat1d/version_0"],
}


@pytest.mark.parametrize("word", WORDS)
def test_a_word_stands_for_runs(runs, word):
    assert [str(path.relative_to("runs")) for path in folders_of(word)] == WORDS[word]


NONE = {
    "burgrs": "there is no finished run in 'burgrs' (did you mean 'burgers'?)",
    "unfinished": "there is no finished run in 'unfinished'; name folders such as",
    "x": "there is no finished run in 'x'; name folders such as runs/burgers/version_0, or a recipe that was trained",
    "runs/burgers/version_11": "runs/burgers/version_11: has no summary.json; it was cut off, or still runs",
    "runs/x*": "there is no finished run in 'runs/x*'",
}


@pytest.mark.parametrize("word", NONE)
def test_where_there_is_none_one_line_says_so(runs, word, capsys):
    with pytest.raises(ConfigurationError, match=re.escape(NONE[word])):
        folders_of(word)
    assert run_compare([word]) == 2
    assert capsys.readouterr().err.startswith(f"error: {NONE[word]}")


def test_two_runs_side_by_side(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["pinnlab"])
    small = ["--model.compile=false", "--data.points=30", "--data.evaluation_points=300", "--trainer.max_steps=6"]
    for steps in (2, 4):
        phases = f"--model.phases=[{{optimizer: Adam, steps: {steps}}}]"
        options = ["--trainer.log_every_n_steps=1", "--trainer.val_check_interval=2", phases]
        assert run(["fit", "-c", "poisson1d", *small, *options]) == 0
    capsys.readouterr()
    told = ("compare", "poisson1d", "runs/poisson1d/version_1", "--out", "both.png")
    assert finish(forked(run_command, tmp_path, *told)) == 0, (tmp_path / "error.txt").read_text()
    lines = [line.split() for line in (tmp_path / "output.txt").read_text().splitlines()]
    reached = [json.loads((tmp_path / f"runs/poisson1d/version_{k}/summary.json").read_text()) for k in (0, 1)]
    for k, summary in enumerate(reached):
        expected = [f"{k + 1}", f"poisson1d/version_{k}", "Poisson1D", "1153", "32", str(summary["evaluations"])]
        assert lines[1 + k][:6] == expected
        assert lines[1 + k][-2:] == [f"{summary['loss']:.2e}", f"{summary['relative_l2']['u']:.2e}"]
    assert ["model.phases.0.steps", "2", "4"] in lines
    assert ["phases", "made", "Adam", "2", "Adam", "4"] in lines
    assert lines[-1] == ["wrote", "both.png"]
    assert (tmp_path / "both.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(("out", "line"), [("a.pdf", "must end in .png"), ("file/a.png", "cannot be written")])
def test_a_figure_that_cannot_be_written_is_told(tmp_path, monkeypatch, capsys, out, line):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    folder = tmp_path / "runs" / "a" / "version_0"
    folder.mkdir(parents=True)
    summary = {"problem": "A", "relative_l2": {}, "loss": 1.0, "seconds": 1.0, "steps": 1, "evaluations": 1}
    (folder / "summary.json").write_text(json.dumps({**summary, "phases": [], "parameters": 1, "points": {}}))
    assert run_compare(["a", "--out", out]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"error: --out: {out}")
    assert line in err
    assert err.count("\n") == 1
