"""Every shipped recipe parses with the real command and trains two steps; problems and networks can be diagnosed."""

import functools
import json

import pytest
import yaml
from unseen import leave_out

from pinnlab.cli.catalog import find_recipe, recipe_names
from pinnlab.cli.commands import run
from pinnlab.diagnosis.observation import Observer

FEWER = ["--model.network.count=150"]
"""For recipes with random features: a kernel of thousands takes a minute to look at."""


MANY = 100
"""Dimensions from which on recipes are tried with 30, and few neurons: curvatures of so many take a minute."""


@functools.cache
def recipe(name):
    return yaml.safe_load(find_recipe(name).read_text())


FEWER_IN_SUM = [
    '--model.network.networks=[{"class_path": "RandomFeatures", "init_args": {"count": 60}}]',
    "--data.points=200",
]
"""For sums of them: likewise, and one of them alone, because so few points do not tell those of a corner apart."""

FEW_WAVES = ["--model.network.waves=10", "--model.network.each=3", "--data.points=600"]
"""For recipes with many waves: likewise."""

FEW_FUNCTIONS = [
    "--model.network.waves=4",
    "--model.network.degree=3",
    "--data.points=600",
    "--data.sampler=Hammersley",
]
"""For recipes with waves times polynomials: likewise."""

FEW_HOLES = ["--model.network.count=100", "--model.network.hole_count=6", "--data.points=200"]
"""For recipes with holes: likewise."""

FEW_ON_A_GRID = [
    "--model.network.waves=[3,3]",
    "--data.sampler.places=[8,8]",
    "--data.points.pde=320",
    "--data.points.start=64",
]
"""For recipes with all waves on a grid: likewise."""

FEW_WINDOWS = ["--model.network.grid=3", "--data.points=1500"]
"""For recipes with subdomains: as large in all."""


FEW_TILES = ["--model.network.network.count=12", "--data.points.pde=900"]
"""For recipes with tiles, whose number is that of the problem too."""


FEW_SINES = ["--model.network.waves=[12,3]", "--data.points.pde=1500"]
"""And for recipes with many sines."""


def through_a_lens(times, width):
    """Few sines on a small grid that a lens gathers."""
    grid = {"class_path": "Grid", "init_args": {"cells": [26, times]}}
    sampler = {"class_path": "Focused", "init_args": {"sampler": grid, "width": width, "periodic": True}}
    points = [f"--data.points.pde={26 * times}", "--data.points.start=26"]
    return ["--model.network.waves=[20]", *points, f"--data.sampler={json.dumps(sampler)}"]


SHORTER = {
    "burgers_operator": ["--problem.data=60", "--problem.places=32"],
    "burgers_viscous_windows": through_a_lens(11, 0.25),
    "burgers_windows": through_a_lens(9, 0.125),
    "darcy_operator": ["--problem.data=60", "--problem.places=20"],
    "gray_scott": ["--problem.horizon=5"],
    "pinnacle_gray_scott": ["--problem.horizon=4", "--march.edges=[0,2,4]"],
    "ks_windows": ["--problem.horizon=0.2", "--march.windows=20"],
    "pinnacle_heat_long": ["--problem.horizon=2", "--march.windows=8"],
    "pulsed_channel": ["--problem.horizon=0.2"],
}
"""For recipes whose problem is solved at length before it is learned, the first part of it; and for those on grids."""

LONG = ("pinnacle_heat_ball", "pinnacle_heat_holes", "pinnacle_heat_long", "pinnacle_step")
"""Those that stand for a kind only if there is no other one: it takes less."""


def first_of_each(kind):
    """The first recipe of each kind, which is a function of what a recipe gives."""
    kinds = {}
    for name in sorted(recipe_names(), key=lambda name: name in LONG):
        kinds.setdefault(kind(recipe(name)), name)
    return frozenset(kinds.values())


OF_EACH_NETWORK = first_of_each(lambda given: given["model"]["network"].get("class_path"))
OF_EACH_PROBLEM = first_of_each(lambda given: given["problem"]["class_path"])
"""Those of the same problem and network differ in optimizers and points; on demand they are diagnosed."""


def named(given):
    """The class of an entry of a recipe."""
    return given if isinstance(given, str) else given["class_path"]


OF_EACH_PART = frozenset(
    name
    for part in ("optimizer", "callback")
    for name in first_of_each(
        lambda given, part=part: frozenset(
            [named(phase["optimizer"]) for phase in given["model"]["phases"]]
            if part == "optimizer"
            else map(named, (given.get("trainer") or {}).get("callbacks") or [])
        )
    )
)
"""And those of the same optimizers, or the same callbacks of their own, in the rest."""
STANDING = OF_EACH_NETWORK | OF_EACH_PART
"""Whole runs of these are made always; of the others one step, and their whole runs on demand."""


DRAWN = ("allen_cahn", "antiderivative", "kdv_windows", "pinnacle_poisson_cube")
"""In time, for functions, in windows, around holes in space; how figures look is tested in `tests/reporting`."""


def around_one_hole(name):
    """Of all the holes that a recipe has features for."""
    given = recipe(name)["model"]["network"].get("init_args", {})
    return [f"--model.network.{key}={json.dumps(given[key][:1])}" for key in ("centers", "radii") if key in given]


def smaller_network(name):
    """What makes the network of a recipe small enough to look at its kernel."""
    smaller = {
        "RandomFeatures": FEWER,
        "HoleFeatures": [*FEW_HOLES, *around_one_hole(name)],
        "Subdomains": FEW_WINDOWS,
        "Tiles": FEW_TILES,
    }
    smaller |= {
        "PeriodicFeatures": FEW_WAVES,
        "SpectralFeatures": FEW_FUNCTIONS,
        "SineSeries": FEW_SINES,
        "ProductSeries": FEW_ON_A_GRID,
        "FeatureSum": FEWER_IN_SUM,
    }
    return smaller.get(recipe(name)["model"]["network"].get("class_path"), [])


def fewer_dimensions(name):
    given = recipe(name)["problem"].get("init_args", {}).get("dim", 1)
    return ["--problem.dim=30", "--model.network.hidden=[16,16]"] if given >= MANY else []


MOST_POINTS = 400
"""Of one condition: with those of all of them each step and each look takes longer, and shows no more."""


def leaves(key, value):
    """The entries of a recipe at and below a key that are no groups of others."""
    if isinstance(value, dict):
        return {k: v for name, below in value.items() for k, v in leaves(f"{key}.{name}", below).items()}
    return {key: value}


def fewer_points(name):
    """What bounds the points of each condition, by the keys of the recipe."""
    points = leaves("data.points", recipe(name).get("data", {}).get("points", {}))
    return [f"--{key}={MOST_POINTS}" for key, count in points.items() if count > MOST_POINTS]


def options_of(name):
    return [
        "--data.evaluation_points=300",
        *fewer_points(name),
        *smaller_network(name),
        *fewer_dimensions(name),
        *SHORTER.get(name, []),
    ]


def train_two_steps(name, folder, monkeypatch, capsys, drawn):
    """Trains a recipe in a folder, looks at what it says, and returns it."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr("sys.argv", ["pinnlab"])
    if not drawn:
        leave_out(monkeypatch.setattr)
    code = run(["fit", "-c", name, "--trainer.max_steps=2", "--model.compile=false", *options_of(name)])
    assert code == 0, capsys.readouterr().err
    summary = json.loads(next((folder / "runs" / name).rglob("summary.json")).read_text())
    assert summary["recipe"] == name
    steps = [phase.get("steps", 2) for phase in recipe(name)["model"]["phases"]]
    windows = recipe(name).get("march", {}).get("windows", 1)
    made = min(sum(steps) * windows, 2)  # a linear problem is solved in one, each of its windows
    assert summary["steps"] == made
    assert summary["relative_l2"]
    assert min(summary["relative_l2"].values()) > 0
    first_phase = recipe(name)["model"]["phases"][0]
    assert summary["dtype"] == first_phase.get("dtype", "float64")
    assert summary["warnings"] == []
    assert list((folder / "runs" / name).rglob("last.ckpt"))
    return summary


def train_and_diagnose(name, folder, monkeypatch, capsys):
    summary = train_two_steps(name, folder, monkeypatch, capsys, drawn=name in DRAWN)
    checkpoint = next((folder / "runs" / name).rglob("last.ckpt"))
    options = [f"--ckpt_path={checkpoint}", *options_of(name), f"--folder={folder / 'seen'}", "--trainer.logger=false"]
    assert run(["diagnose", "-c", name, *options]) == 0, capsys.readouterr().err
    found = json.loads((folder / "seen" / "diagnosis.json").read_text())
    assert (found["step"], found["findings"]) == (summary["steps"], [])
    assert found["terms"].keys() == summary["points"].keys()
    assert 0 < found["kernel"]["total"]["effective_rank"] <= found["kernel"]["total"]["size"]


ON_DEMAND = [name if name in STANDING else pytest.param(name, marks=pytest.mark.slow) for name in recipe_names()]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", sorted(set(recipe_names()) - STANDING))
def test_recipe_makes_a_step(name, tmp_path, monkeypatch, capsys, coarser_references):
    """One step shows what its own keys could spoil; nothing is written, drawn or looked for."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Observer, "look", lambda *given, **options: None)
    unseen = ["--trainer.logger=false", "--trainer.enable_progress_bar=false", "--data.evaluation_points=50"]
    told = ["fit", "-c", name, "--trainer.max_steps=1", "--model.compile=false", *options_of(name), *unseen]
    assert run(told) == 0, capsys.readouterr().err
    assert capsys.readouterr().err == ""


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ON_DEMAND)
def test_recipe_trains_two_steps(name, tmp_path, monkeypatch, capsys, coarser_references):
    """And is diagnosed, if it is the first of its network."""
    if name in OF_EACH_NETWORK:
        train_and_diagnose(name, tmp_path, monkeypatch, capsys)
    else:
        train_two_steps(name, tmp_path, monkeypatch, capsys, drawn=False)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", sorted(OF_EACH_PROBLEM - OF_EACH_NETWORK))
def test_recipe_of_each_problem_is_diagnosed(name, tmp_path, monkeypatch, capsys, coarser_references):
    train_and_diagnose(name, tmp_path, monkeypatch, capsys)


def test_recipes_end_in_float64_but_those_of_adam_alone():
    """Whoever wants digits needs them; float32 is for a first-order method that never gets there."""
    for name in recipe_names():
        last = recipe(name)["model"]["phases"][-1]
        first_order = last["optimizer"]["class_path"] == "Adam"
        assert last.get("dtype", "float64") == "float64" or first_order, name


@pytest.mark.parametrize("name", recipe_names())
def test_recipe_says_what_it_is(name):
    first = find_recipe(name).read_text().splitlines()[0]
    assert first.startswith("# ")
    assert len(first) > 20
