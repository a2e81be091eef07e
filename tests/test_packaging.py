"""The distribution: what is built holds what a user needs, and works where there is no checkout."""

import json
import os
import shlex
import subprocess
import sys
import tarfile
import zipfile
from importlib.metadata import Distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import pinnlab

ROOT = Path(__file__).parents[1]
DEPENDENCIES = {
    "torch",
    "lightning",
    "torchmetrics",
    "tensorboard",
    "scipy",
    "numpy",
    "jsonargparse",
    "matplotlib",
    "rich",
}
EXTRAS = ("solution", "geometry", "test", "dev", "docs")


def execute(*command, folder, **environment):
    """Runs this Python in another folder, where the checkout is not on the path."""
    inherited = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONWARNINGS")}
    command = [sys.executable, "-m", *map(str, command)]
    done = subprocess.run(command, cwd=folder, env={**inherited, **environment}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def pip(*arguments, folder):
    """Runs pip, which neither asks an index nor builds in an environment of its own."""
    execute("pip", *arguments, "--no-deps", "--no-index", "--quiet", "--disable-pip-version-check", folder=folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("distribution")


@pytest.fixture(scope="module")
def wheel(folder):
    pip("wheel", ROOT, "--no-build-isolation", "--wheel-dir", folder / "wheel", folder=folder)
    (built,) = (folder / "wheel").iterdir()
    return built


@pytest.fixture(scope="module")
def source_distribution(folder):
    execute("hatchling", "build", "--target", "sdist", "--directory", folder / "sdist", folder=ROOT)
    (built,) = (folder / "sdist").iterdir()
    return built


@pytest.fixture(scope="module")
def installed(wheel, folder):
    pip("install", wheel, "--target", folder / "installed", folder=folder)
    return folder / "installed"


@pytest.fixture(scope="module")
def metadata(installed):
    (information,) = installed.glob("*.dist-info")
    return Distribution.at(information)


def files(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_the_wheel_holds_the_package_and_its_recipes(wheel):
    package = {path for path in (ROOT / "pinnlab").rglob("*") if path.is_file() and path.suffix != ".pyc"}
    expected = {str(path.relative_to(ROOT)) for path in package}
    expected |= {f"pinnlab/recipes/{path.name}" for path in (ROOT / "recipes").glob("*.yaml")}
    assert {"pinnlab/__main__.py", "pinnlab/py.typed", "pinnlab/recipes/burgers.yaml"} <= expected
    assert {name for name in files(wheel) if ".dist-info/" not in name} == expected


def test_the_metadata_name_what_the_package_needs(metadata):
    assert metadata.metadata["Name"] == "pinnlab-lightning"
    assert metadata.version == pinnlab.__version__
    assert [(entry.group, entry.name, entry.value) for entry in metadata.entry_points] == [
        ("console_scripts", "pinnlab", "pinnlab.__main__:main")
    ]
    requirements = [Requirement(line) for line in metadata.requires]
    needed = {requirement.name: requirement for requirement in requirements if requirement.marker is None}
    assert needed.keys() == DEPENDENCIES
    versions = ("2.10.0", "2.11.0", "2.13.0", "2.13.0+cpu", "2.14.0")
    assert [needed["torch"].specifier.contains(version) for version in versions] == [False, True, True, True, False]
    assert needed["jsonargparse"].extras == {"signatures"}
    assert set(metadata.metadata.get_all("Provides-Extra")) == set(EXTRAS)


def test_the_extras_bring_each_other_and_nothing_of_the_same_name(metadata):
    """An extra that asked for `pinnlab[test]` would fetch another project from the package index."""
    requirements = [Requirement(line) for line in metadata.requires]
    assert not [r.name for r in requirements if r.name.startswith("pinnlab")]
    extras = {
        name: {r.name for r in requirements if r.marker and r.marker.evaluate({"extra": name})} for name in EXTRAS
    }
    assert {"pytest", "hatchling"} <= extras["test"] < extras["dev"]
    assert {"xarray", "h5netcdf", "h5py", "meshio", "imageio-ffmpeg"} == extras["solution"] < extras["test"]
    assert {"ruff", "mypy"} <= extras["dev"] - extras["test"]


def test_the_readme_names_all_but_torch_to_install_beside_a_newer_one(metadata):
    (command,) = (line for line in (ROOT / "README.md").read_text().splitlines() if "--no-deps" in line)
    named = {Requirement(word) for word in shlex.split(command.partition("&&")[2])[2:]}
    needed = {r for r in map(Requirement, metadata.requires) if r.marker is None and r.name != "torch"}
    assert named == needed


def test_the_image_asks_for_the_same_torch(metadata):
    (torch,) = (r for r in map(Requirement, metadata.requires) if r.name == "torch")
    (line,) = (line for line in (ROOT / "Dockerfile").read_text().splitlines() if '"torch' in line)
    assert Requirement(line.split('"')[1]) == torch


def test_the_source_distribution_builds_the_same_wheel(source_distribution, wheel, folder):
    pip("wheel", source_distribution, "--no-build-isolation", "--wheel-dir", folder / "again", folder=folder)
    (again,) = (folder / "again").iterdir()
    assert again.name == wheel.name
    assert files(again) == files(wheel)
    with tarfile.open(source_distribution) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "tests/conftest.py"} <= names


def test_the_installed_package_trains_a_recipe_outside_the_checkout(installed, tmp_path):
    find = tmp_path / "where.py"
    find.write_text("import importlib.util\nprint(importlib.util.find_spec('pinnlab').origin)\n")
    environment = {"PYTHONPATH": f"{installed}{os.pathsep}{tmp_path}"}
    empty = tmp_path / "empty"
    empty.mkdir()
    assert execute("where", folder=empty, **environment).strip() == str(installed / "pinnlab" / "__init__.py")
    options = ["--trainer.max_steps=2", "--model.compile=false", "--data.evaluation_points=100"]
    execute("pinnlab", "fit", "-c", "poisson1d", *options, folder=empty, **environment)
    (summary,) = (json.loads(path.read_text()) for path in empty.rglob("summary.json"))
    assert (summary["recipe"], summary["steps"]) == ("poisson1d", 2)
    assert summary["relative_l2"]["u"] > 0
