"""The study of ladders: rungs that go on from each other, and its page."""

from functools import partial
from itertools import pairwise

import pytest
import torch

from pinnlab.networks import MLP, SeenParts, Subdomains
from pinnlab.studies.engine.runner import merged
from pinnlab.studies.engine.runs_table import Runs
from pinnlab.studies.multilevel import runs, write_report
from pinnlab.studies.multilevel.report import gains, verdict
from pinnlab.studies.multilevel.runs import AT, COLUMNS, STUDY, Rung, climb

TINY = {"data": {"points": {"pde": 60}, "evaluation_points": 50}}


@pytest.fixture
def short(monkeypatch):
    """Runs of a fraction of a second."""
    monkeypatch.setattr(runs, "AT", (1e-3, 2e-3, 60.0))
    monkeypatch.setattr(runs, "RUNG", 1e-3)


def tiny(problem, setting):
    config = merged(STUDY.config(problem, setting, 0), TINY)
    for model in [*config.get("rungs", []), config["model"]]:
        model["phases"][-1]["steps"] = 2
    return config


@pytest.mark.filterwarnings("ignore")
def test_a_rung_goes_on_from_the_one_before(short, monkeypatch):
    made = []
    one_run = runs.train

    def watched(config):
        made.append((config, *one_run(config)))
        return made[-1][1:]

    monkeypatch.setattr(runs, "train", watched)
    config = tiny("multiscale", "ladder")
    config["model"]["phases"][-1]["optimizer"] = {"class_path": "SGD", "init_args": {"lr": 0.0}}
    summary, trained = climb(config)
    (_, _, coarse), (second, _, fine) = made
    assert second["model"]["network"]["class_path"].endswith(".Rung")
    x = torch.linspace(0, 1, 40, dtype=torch.float64)[:, None]
    torch.testing.assert_close(fine.model.trial(x), coarse.model.trial(x), rtol=1e-12, atol=1e-12)
    frozen = sum(p.numel() for p in fine.model.trial.parameters() if not p.requires_grad)
    assert frozen == sum(p.numel() for p in coarse.model.trial.parameters())
    kept = {**STUDY.measure(summary), **STUDY.probe(trained)}
    assert set(kept) == set(COLUMNS)
    assert kept["processor_seconds"] > 0
    assert len(kept["errors"].split()) >= 1  # of the first rung, which ends then


@pytest.mark.filterwarnings("ignore")
def test_a_run_without_rungs_is_one_run(short):
    config = tiny("smooth", "widths")
    assert [phase.get("width") for phase in config["model"]["phases"]] == [runs.NARROW, None]
    summary, trained = climb(config)
    assert STUDY.measure(summary)["parameters"] == 697
    assert float(STUDY.probe(trained)["errors"].split()[0]) > 0


def test_a_rung_sees_what_its_windows_see(tmp_path):
    torch.manual_seed(0)
    torch.save(MLP(1, 1, hidden=[4]), tmp_path / "0.pt")
    rung = Rung(1, 1, before=str(tmp_path / "0.pt"), network=lambda i, o: Subdomains(i, o, grid=4))
    x = torch.linspace(-0.9, 0.9, 5)[:, None]
    seen, inner = rung.seen(x), rung.correction.network.seen(x)
    assert isinstance(seen, SeenParts)
    assert {name.removeprefix("correction.network.") for name in seen.numbers} == set(inner.numbers)
    assert set(seen.numbers) < set(dict(rung.named_parameters()) | dict(rung.named_buffers()))
    torch.testing.assert_close(rung(x), rung.correction.before(x))
    assert list(rung.last) == list(rung.correction.network.last)


def test_a_rung_that_a_gpu_has_written_is_taken_on_a_cpu(tmp_path, monkeypatch):
    before = MLP(1, 1, hidden=[4])
    with monkeypatch.context() as patch:
        patch.setattr(torch.serialization, "location_tag", lambda storage: "cuda:3")
        torch.save(before, tmp_path / "0.pt")
    rung = Rung(1, 1, before=str(tmp_path / "0.pt"), network=partial(MLP, hidden=[4]))
    assert torch.equal(rung.correction.before.last.weight, before.last.weight)


def test_settings_of_a_problem_have_about_as_many_numbers():
    for problem in STUDY.problems:
        sizes = [
            _numbers(STUDY.config(problem, setting, 0), 2 - (problem == "multiscale")) for setting in STUDY.settings
        ]
        assert 650 < min(sizes) <= max(sizes) < 820


def _numbers(config, inputs):
    """Of all rungs."""
    return sum(_size(model["network"], inputs) for model in [*config.get("rungs", []), config["model"]])


def _size(network, inputs):
    given = network["init_args"]
    if network["class_path"] != "Subdomains":
        sizes = [inputs, *given["hidden"], 1]
        return sum((a + 1) * b for a, b in pairwise(sizes))
    counts = [[-(-count // 2**level) for count in given["grid"]] for level in range(given.get("levels", 1))]
    windows = sum(int(torch.tensor(count).prod()) for count in counts)
    return windows * _size(given["network"], inputs)


def row(problem, setting, error, seed="0"):
    return {
        "problem": problem, "setting": setting, "seed": seed, "status": "done", "parameters": "700",
        "relative_l2": str(error), "loss": "1e-3", "evaluations": "900", "processor_seconds": "8.1",
        "errors": " ".join(str(error * 2**k) for k in reversed(range(len(AT)))),
    }  # fmt: skip


ERRORS = {"one": 1e-3, "widths": 1e-4, "windows": 1e-5, "levels": 1e-6, "ladder": 1.2e-5}


def rows(seeds=("0", "1")):
    return [row(problem, name, e, seed) for seed in seeds for problem in STUDY.problems for name, e in ERRORS.items()]


def test_gains_are_ratios_of_the_same_seed():
    found = [*rows(), row("smooth", "one", 1.0, "2")]
    assert gains(Runs(found), "smooth", "widths", "one", AT[-1]) == pytest.approx([10, 10])
    assert (verdict([2.0, 3.0]), verdict([0.1, 0.5]), verdict([1.0, 9.0])) == ("ahead", "behind", "no clear difference")


def test_the_page_says_where_a_ladder_is_ahead(tmp_path):
    write_report(rows(), tmp_path)
    text = (tmp_path / "multilevel.md").read_text()
    said = " ".join(text.split())
    assert said.index("## In short") < said.index("## What was run")
    assert "**A ladder pays on some problems only**" in said
    assert "ahead of as many neurons from the start on 3 of 3 problems" in said
    assert "a ladder of frozen windows on 0" in said
    assert "| Smooth | ahead | ahead | no clear difference |" in text
    assert "| `widths` | 2 | 8.0e-04 | 4.0e-04 | 2.0e-04 | 1.0e-04 | 1.0e-04 | 1.0e-04 |" in text
    assert "| smooth: `ladder` over `levels` | 0.083 (0.083 to 0.083) |" in text


def test_the_page_says_so_where_no_ladder_is_ahead(tmp_path):
    write_report([row("smooth", name, 1e-3) for name in ERRORS], tmp_path)
    assert "In short" not in (tmp_path / "multilevel.md").read_text()  # two problems are missing
    write_report([row(problem, name, 1e-3) for problem in STUDY.problems for name in ERRORS], tmp_path)
    assert "**Train all neurons and windows from the start.**" in (tmp_path / "multilevel.md").read_text()
