"""The notebooks run from top to bottom, with phases of a few steps, and keep what they showed when they ran in full."""

import json
import re
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

from pinnlab import Phase

FOLDER = Path(__file__).parents[1] / "docs" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
STEPS = 5


def cells(path, kind):
    return [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == kind]


@pytest.fixture
def short_phases(monkeypatch):
    check = Phase.__post_init__

    def cut(phase):
        check(phase)
        phase.steps = min(phase.steps or STEPS, STEPS)

    monkeypatch.setattr(Phase, "__post_init__", cut)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_cells_run(path, short_phases, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["pinnlab"])
    namespace = {"__name__": "notebook"}
    for cell in cells(path, "code"):
        exec(compile("".join(cell["source"]), path.name, "exec"), namespace)
    plt.close("all")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_stored_and_small(path):
    outputs = [output for cell in cells(path, "code") for output in cell["outputs"]]
    assert {output["output_type"] for output in outputs} <= {"execute_result", "display_data", "stream"}
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert path.stat().st_size < 100_000


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_links_lead_somewhere(path):
    text = "".join("".join(cell["source"]) for cell in cells(path, "markdown"))
    for target in re.findall(r"\]\((?!http)([^)#]+)", text):
        assert (FOLDER / target).exists(), target


def test_there_are_six():
    assert len(NOTEBOOKS) == 6
