"""The exam: its table by hand, and that its recipes are PINNacle's problems."""

import math

import pytest
import torch
import yaml

from pinnlab import problems
from pinnlab.cli.catalog import find_recipe
from pinnlab.studies.command import run_study_command
from pinnlab.studies.engine.runner import KEY, append_row
from pinnlab.studies.pinnacle.runs import COLUMNS, PROBLEMS, PUBLISHED, STUDY, measure

PI = math.pi


def row(problem, seed, error, status="done", worst=None):
    return {
        "problem": problem, "setting": "recipe", "seed": str(seed), "status": status, "relative_l2": str(error),
        "worst": str(error if worst is None else worst), "loss": "1e-3", "evaluations": "400", "seconds": "20.4",
    }  # fmt: skip


def test_the_table_by_hand(tmp_path):
    path, columns = tmp_path / "pinnacle.csv", (*KEY, "status", *COLUMNS)
    for seed, error in enumerate((1e-8, 4.67e-9, 2e-10)):
        append_row(path, columns, row("PNd", seed, error))
        append_row(path, columns, row("Burgers1d", seed, error, status="failed" if seed else "done"))
    append_row(path, columns, row("NS2d-C", 0, 1e-3, worst=4e-3))
    assert run_study_command(["pinnacle", "--report", "--folder", str(tmp_path)]) == 0
    text = (tmp_path / "pinnacle.md").read_text()
    line = "| 3.04e-03 | 4.67e-04 | 4.7e-09 |  | 3: 2.0e-10 to 1.0e-08 | 1e+05 | 20 s |"
    assert f"| PNd: Poisson's equation in five dimensions (`pinnacle_poisson5d`) {line}" in text
    assert "| inf |  | 3: 1.0e-08 to inf | 0 |" in text  # a run that failed is as bad as can be
    assert "| 1.0e-03 | 4.0e-03 | 1 | 36 |" in text  # of several unknowns the worst one beside all together
    assert text.index("| Burgers1d") < text.index("| PNd")  # the benchmark's order
    assert (tmp_path / "pinnacle.png").stat().st_size > 5_000


def test_every_problem_has_its_published_errors():
    assert PROBLEMS.keys() == PUBLISHED.keys()
    assert all(0 < published.best <= published.vanilla for published in PUBLISHED.values())
    assert all(STUDY.config(name, "recipe", 0)["name"] == name for name in PROBLEMS)


def problem_of(name):
    chosen = yaml.safe_load(find_recipe(PROBLEMS[name][0]).read_text())["problem"]
    return getattr(problems, chosen["class_path"])(**chosen.get("init_args", {}))


@pytest.mark.parametrize(
    ("name", "point", "value"),
    [
        ("Heat2d-MS", (0.02, 0.3, 2.0), math.sin(0.4 * PI) * math.sin(0.3 * PI) * math.exp(-2 * (400 / 500**2 + 1))),
        ("Wave1d-C", (0.5, 0.3), math.cos(0.6 * PI)),
        ("Wave1d-C", (0.125, 0.0), math.sin(0.125 * PI) + 0.5),
        ("Wave2d-MS", (0.3, 0.2, 7.5), math.sin(0.3 * PI) * math.sin(0.2 * PI) * math.cos(7.5 * math.sqrt(3) * PI)),
        ("KS", (0.4, 0.0), math.cos(0.4) * (1 + math.sin(0.4))),
        ("PNd", (0.1, 0.2, 0.3, 0.4, 0.5), sum(math.sin(PI * k / 20) for k in range(1, 6))),
        ("HNd", (0.1, 0.2, 0.3, 0.4, 0.5, 0.6), math.exp(0.55 / 2 + 0.6)),
        ("Poisson2d-C", (0.5, 0.2), 1.0),
        ("Poisson2d-C", (0.3, 0.4), 0.0),
        ("Poisson2d-CG", (1.0, 0.1), 0.2),
        ("Heat2d-CG", (2.0, 1.0, 0.0), 0.0),
        ("Poisson2d-CG", (0.4, -0.8), 1.0),
    ],
)  # fmt: skip
def test_solutions_are_those_of_the_benchmark(name, point, value):
    points = torch.tensor([point], dtype=torch.float64)
    assert problem_of(name).reference_values(points).item() == pytest.approx(
        value, abs=1e-11 if name != "Poisson2d-CG" else 1e-7
    )


@pytest.mark.parametrize(("name", "a"), [("PInv", 1 / (1 + 0.01 + 0.04 + 0.81 + 0.64)), ("HInv", 2.0)])
def test_coefficients_are_those_of_the_benchmark(name, a):
    problem = problem_of(name)
    assert problem.noise == 0.1
    point = [0.1, 0.2] if name == "PInv" else [0.1, 0.0, 0.7]
    u = math.sin(PI / 10) * math.sin(PI / 5) if name == "PInv" else 0.0
    values = problem.reference_values(torch.tensor([point], dtype=torch.float64))
    assert values.tolist() == [[pytest.approx(u, abs=1e-14), pytest.approx(a, rel=1e-14)]]


@pytest.mark.parametrize("name", ["PInv", "HInv", "NS2d-C", "NS2d-CG", pytest.param("GS", marks=pytest.mark.slow)])
def test_the_error_of_several_unknowns_is_of_all_together(name):
    problem = problem_of(name)
    reference = problem.reference_values(problem.evaluation_points(20_000)).nan_to_num(0.0)  # where none is known
    errors = {unknown: 0.03 / 4**i for i, unknown in enumerate(problem.unknowns)}
    square = sum(error**2 * reference[:, i].square().sum() for i, error in enumerate(errors.values()))
    summary = {"problem": type(problem).__name__, "relative_l2": errors, "loss": 1.0, "evaluations": 3, "seconds": 2.0}
    expected = float((square / reference.square().sum()).sqrt())
    assert measure(summary)["relative_l2"] == pytest.approx(expected, rel=0.03)  # points on edges count fully there
    assert measure(summary)["worst"] == 0.03
    assert measure({**summary, "problem": "Burgers"})["relative_l2"] == 0.03


def test_flows_are_those_of_the_benchmark():
    assert problem_of("Burgers1d").viscosity == 0.01 / PI
    cavity = problem_of("NS2d-C")
    assert cavity.viscosity == 0.01
    lid = torch.tensor([[0.25, 1.0], [0.5, 1.0]], dtype=torch.float64)
    assert cavity.reference_values(lid)[:, :2].tolist() == [pytest.approx([0.75, 0.0]), pytest.approx([1.0, 0.0])]
