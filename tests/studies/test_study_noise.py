"""The study of noise: its recipes, what it keeps of a run, and the report against numbers by hand."""

import pytest
import torch
import yaml
from commanded import in_folder

from pinnlab.cli.catalog import find_recipe
from pinnlab.cli.commands import command
from pinnlab.problems import NoisyPendulum, PoissonInverse, Regression1D
from pinnlab.studies.command import run_study_command
from pinnlab.studies.engine.recording import cell, numbers
from pinnlab.studies.engine.runner import KEY, append_row, merged
from pinnlab.studies.noise import runs as noise
from pinnlab.studies.noise.runs import CASES, COLUMNS, METHODS, PARTS, SIZES, STUDY

SMALL = {"data": {"evaluation_points": 50, "held_out": 40}, "model": {"compile": False}}


@pytest.mark.parametrize("problem", ["sines_1", "pendulum_10", "inverse_0", "poisson_b64", "sines_new64"])
def test_recipes_parse(problem, tmp_path, capsys):
    for method in METHODS:
        path = tmp_path / f"{method}.yaml"
        path.write_text(yaml.safe_dump(STUDY.config(problem, method, 0)))
        with in_folder(tmp_path), pytest.raises(SystemExit) as ended:
            command(["fit", "-c", str(path), "--print_config"])
        assert ended.value.code in (0, None)
        shown = yaml.safe_load(capsys.readouterr().out)
        optimizers = [phase["optimizer"]["class_path"].rpartition(".")[2] for phase in shown["model"]["phases"]]
        assert optimizers == list(METHODS[method])


def test_noise_is_a_share_of_the_solution():
    solutions = {"sines": Regression1D(**noise.SINES), "pendulum": NoisyPendulum(), "inverse": PoissonInverse()}
    for name, problem in solutions.items():
        points = problem.domain.from_unit(_grid(problem.domain.unit_dim))
        size = float(problem.reference_values(points)[:, 0].square().mean().sqrt())
        assert size == pytest.approx(SIZES[name], rel=2e-3)
        options = STUDY.config(f"{name}_10", "adam", 0)["problem"]["init_args"]
        assert options["noise"] == pytest.approx(0.1 * size, rel=2e-3)


def _grid(dim):
    """Midpoints of the unit cube's cells."""
    count = 4000 if dim == 1 else 200
    side = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    return torch.cartesian_prod(*[side] * dim).reshape(-1, dim)


def test_adam_has_the_budget_or_a_quarter_of_it():
    case = CASES["poisson_b64"]
    assert (case.rows, case.budget) == (64 + 64, 400 * 640)
    (alone,) = STUDY.config("poisson_b64", "adam", 0)["model"]["phases"]
    first, _ = STUDY.config("poisson_b64", "adam_lbfgs", 0)["model"]["phases"]
    assert alone["steps"] * case.rows == case.budget == 4 * first["steps"] * case.rows


def small(problem, method, evaluations, changes=None):
    """A run of a few evaluations on all points."""
    config = merged(STUDY.config(problem, method, 1), SMALL, changes or {})
    case = CASES[problem]
    budget = {"class_path": "EvaluationBudget", "init_args": {"points_seen": case.rows * evaluations}}
    config["trainer"]["callbacks"][0] = budget
    summary, trained = noise.make(config)
    return {**noise.measure(summary), **noise.probe(trained)}, trained


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("problem", ["sines_10", "pendulum_1", "inverse_0"])
def test_what_is_kept_of_a_run_on_measurements(problem):
    kept, trained = small(problem, "lbfgs", 12)
    assert set(kept) <= set(COLUMNS)
    name, level = problem.split("_")
    assert (kept["misfit"] == "") == (level == "0")
    assert (kept["coefficient"] == "") == (name == "sines")
    assert (kept["rows"], kept["refused"]) == (CASES[problem].rows, 0)
    own = trained.model.problem
    if name == "sines":
        places, values = own.conditions["data"].points, own.conditions["data"].targets["u"]
        off = (trained.model(places)[:, 0] - values).square().mean().sqrt() / own.noise
        assert kept["misfit"] == pytest.approx(float(off))
        # the seed of the run is that of the noise
        other = type(own)(**noise.SINES, count=100, noise=own.noise, seed=1)
        assert values.equal(other.conditions["data"].targets["u"])
    if name == "pendulum":
        found = trained.model.system.coefficient_values()
        assert kept["coefficient"] == pytest.approx(
            max(abs(float(found["damping"]) / 0.3 - 1), abs(float(found["stiffness"]) / 4 - 1))
        )


@pytest.mark.filterwarnings("ignore")
def test_who_refuses_batches_is_seen():
    refused = {method: small("sines_b64", method, 20)[0]["refused"] for method in ("adam", "lbfgs", "multi_batch")}
    assert refused == {"adam": 0, "lbfgs": 1, "multi_batch": 0}
    assert small("sines_new64", "lbfgs", 20)[0]["refused"] == 0


def row(problem, setting, seed, errors, **more):
    """A run whose error took these values at equal parts of the budget, and `errors[-1]` at the end."""
    curve = [errors[i * len(errors) // PARTS] for i in range(PARTS)]
    cells = {
        "relative_l2": errors[-1], "coefficient": "", "misfit": "", "loss": "1e-3", "evaluations": 400, "seconds": 3,
        "points": 400 * 512, "rows": 512, "refused": 0, "curve": cell(curve),
    }  # fmt: skip
    named = {"problem": problem, "setting": setting, "seed": seed, "status": "done"}
    return {key: str(value) for key, value in {**named, **cells, **more}.items()}


def written(tmp_path, rows):
    for entry in rows:
        append_row(tmp_path / "noise.csv", (*KEY, "status", *COLUMNS), entry)
    assert run_study_command(["noise", "--report", "--folder", str(tmp_path)]) == 0
    return (tmp_path / "noise.md").read_text()


def test_the_report_of_some_runs(tmp_path, capsys):
    rows = [
        *(row("sines_10", "gauss_newton", s, [1.0, 0.1, e], misfit=0.5) for s, e in enumerate((0.2, 0.3, 0.4))),
        *(row("sines_all", method, 0, [1.0, 0.01]) for method in ("adam", "lbfgs", "adam_lbfgs")),
        row("sines_b64", "adam", 0, [1.0, 0.02], points=64 * 3200, evaluations=3200),
        row("sines_b64", "lbfgs", 0, [1.0, 0.01], refused=1),
        row("sines_b64", "adam_lbfgs", 0, [1.0, 0.03], refused=1, evaluations=1000),
        row("sines_b64", "multi_batch", 0, [1.0], status="ValueError: x", relative_l2="", curve=""),
    ]
    text = written(tmp_path, rows)
    assert "noise.md" in capsys.readouterr().out
    assert "10 runs with 3 seeds" in " ".join(text.split())
    assert "failed: 1." in " ".join(text.split())
    assert "| `gauss_newton` |  |  | 3.0e-01 (2.0e-01 to 4.0e-01) |" in text
    assert "| `gauss_newton` | 3 | 0.5 |" in text  # the median of 2, 3 and 4 times the lowest
    assert "| `adam` | 1.0e-02 (1.0e-02 to 1.0e-02) |  | 2.0e-02 (2.0e-02 to 2.0e-02) |  |" in text
    assert "| `lbfgs` | 1.0e-02 (1.0e-02 to 1.0e-02) |  | refused |  |" in text
    assert "3.0e-02 (3.0e-02 to 3.0e-02), all at last" in text
    assert "| failed |" in text
    assert "The answer in short" not in text  # not all runs are there
    assert (tmp_path / "noise.png").stat().st_size > 5_000


def test_the_answer_is_that_of_the_rows(tmp_path):
    level = {"adam": 0.4, "lbfgs": 0.1, "adam_lbfgs": 0.2, "adam_ssbroyden": 0.2, "multi_batch": 0.2}
    errors = {**level, "gauss_newton": 0.01}
    rows = [row(case, method, 0, [1.0, e]) for case in CASES for method, e in errors.items()]
    changed = {
        ("sines_10", "gauss_newton"): {"relative_l2": 0.03},  # three times its lowest
        ("pendulum_10", "adam"): {"relative_l2": 0.05, "curve": "0.05"},  # below L-BFGS
        ("sines_b64", "lbfgs"): {"refused": 1},
        ("poisson_b64", "lbfgs"): {"refused": 1},
        ("poisson_b64", "adam"): {"relative_l2": 0.8},
        ("poisson_new64", "lbfgs"): {"relative_l2": 0.3},
    }
    rows = [{**r, **{k: str(v) for k, v in changed.get((r["problem"], r["setting"]), {}).items()}} for r in rows]
    text = written(tmp_path, rows)
    # the highest over the lowest is 40 but for the sines with 10 %, 0.4 / 0.03, and the pendulum, 0.2 / 0.01
    assert "| no noise | 40 | 40 | 4 | 4 | 4 |" in text
    assert f"| 10 % | {(0.4 / 0.03 * 0.2 / 0.01 * 40) ** (1 / 3):.2g} | 32 | 4 | 0.5 | 4 |" in text
    assert "| `lbfgs` | 1 | refused | 1 | 1 | refused | 3 |" in text
    assert "| `adam` | 1 | 1 | 1 | 1 | 2 | 1 |" in text
    text = " ".join(text.split())
    assert "with 10 % noise `gauss_newton` 3 on the sines; with 1 % none; without noise" in text
    assert "more than 1.2 times below that of `lbfgs` in 1 of 9 cases: the pendulum, 10 %." in text
    assert "`lbfgs` takes all points in every step" in text
    assert "`gauss_newton` on the sines (3.0e-02), `gauss_newton` on the pendulum (1.0e-02) and" in text


def test_curves_are_as_long_as_said():
    assert numbers(row("sines_0", "adam", 0, [1.0, 0.5])["curve"]) == [1.0] * 10 + [0.5] * 10
    assert all(find_recipe(case.recipe) for case in CASES.values())
