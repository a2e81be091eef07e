"""The page of twenty problems: each block is a problem, its exact solution solves it, and its lines are as counted."""

import re
from pathlib import Path

import pytest
import torch

from pinnlab.objective.residuals import ResidualSystem
from pinnlab.objective.trial_function import Trial
from pinnlab.problems import Problem
from pinnlab.problems.evaluation import call_by_name, stacked
from pinnlab.training.point_store import probe_rows

TEXT = (Path(__file__).parents[1] / "docs" / "twenty-problems.md").read_text()
SECTIONS = re.findall(r"^### (.*?)\n(.*?)(?=^##|\Z)", TEXT, flags=re.S | re.M)
WITHOUT_REFERENCE = ("LotkaVolterra", "LorenzInverse", "Torsion", "BurgersShock", "AllenCahnExact", "SchroedingerSech")


def block(text):
    return re.search(r"```python\n(.*?)```", text, flags=re.S)[1]


IMPORTS, CODE = block(TEXT), {title: block(text) for title, text in SECTIONS}


def built(title) -> Problem:
    space = {"__name__": "documentation"}
    exec(IMPORTS, space)
    exec(CODE[title], space)
    return space[re.search(r"class (\w+)\(Problem", CODE[title])[1]]()


class Formula(torch.nn.Module):
    """A function of the coordinates in the place of a network."""

    def __init__(self, function, coordinates):
        super().__init__()
        self.function, self.coordinates = function, coordinates
        self.unused = torch.nn.Parameter(torch.zeros((), dtype=torch.float64))

    def forward(self, points):
        columns = {name: points[..., i] for i, name in enumerate(self.coordinates)}
        return stacked(call_by_name(self.function, columns, "formula"), "formula")


def test_there_are_twenty_and_the_table_has_their_lines():
    assert len(CODE) == 20
    for title, code in CODE.items():
        count = sum(1 for line in code.splitlines() if line.strip())
        anchor = re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-")
        row = re.search(rf"^\| \[{re.escape(title)}\]\(#{anchor}\) \| (\d+) \| (\d+) ", TEXT, flags=re.M)
        assert row, title
        assert int(row[1]) == count <= int(row[2]), title


@pytest.mark.parametrize("title", CODE)
def test_the_exact_solution_solves_it(title):
    problem = built(title)
    exact = problem.reference()
    assert (exact is None) == (problem.name in WITHOUT_REFERENCE)
    if exact is None:
        return
    if problem.ansatz is not None:
        points = problem.conditions["pde"].region.from_unit(torch.rand(20, 2, dtype=torch.float64))
        points[:, 1] = 0.0  # the time: there the network has no say
        zero = torch.zeros(20, dtype=torch.float64)
        start = call_by_name(problem.ansatz, {"u": zero, "x": points[:, 0], "t": points[:, 1]}, "ansatz")
        assert torch.allclose(start, problem.reference_values(points)[:, 0], atol=1e-14)
        problem.ansatz = None
    system = ResidualSystem(problem, Trial(problem, Formula(exact.function, problem.coordinates)), "taylor")
    for name, residual in system.residuals(probe_rows(problem, 50, seed=0)).items():
        assert residual.abs().max() < 1e-11, name
