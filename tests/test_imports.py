"""`import pinnlab` costs nothing, and what is imported later is no more than what is used."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import pinnlab
from pinnlab.problems import Problem
from pinnlab.training.datamodule import CollocationDataModule
from pinnlab.training.module import PINN
from pinnlab.training.phases import Phase

PACKAGE = Path(pinnlab.__file__).parent
WITHOUT_LIGHTNING = (
    "errors", "numerics", "criteria", "networks", "derivatives", "domains", "samplers", "problems", "objective",
    "optimizers",
)  # fmt: skip


def modules(*rooms):
    """All modules of some rooms."""
    for room in rooms:
        for path in sorted((PACKAGE / room).rglob("*.py")) or [PACKAGE / f"{room}.py"]:
            parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def run(script):
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def loaded_by(statement):
    return set(run(f"import json, sys\n{statement}\nprint(json.dumps(sorted(sys.modules)))"))


ASKED = """
import builtins, json
plain, asked = builtins.__import__, []

def noting(name, globals=None, *rest):
    asked.append([(globals or {{}}).get("__name__") or "", name])
    return plain(name, globals, *rest)

builtins.__import__ = noting
{statement}
print(json.dumps(asked))
"""


def asked_for_by_us(statement):
    """What pinnlab's own files import when a statement is carried out: the importing and the imported module."""
    return {(who, name) for who, name in run(ASKED.format(statement=statement)) if who.partition(".")[0] == "pinnlab"}


def test_importing_the_package_imports_nothing_else():
    loaded = {name.partition(".")[0] for name in loaded_by("import pinnlab; pinnlab.__version__; dir(pinnlab)")}
    assert "pinnlab" in loaded
    assert not loaded & {"torch", "lightning", "numpy", "scipy", "matplotlib", "rich", "jsonargparse"}


def test_its_names_are_there():
    assert (pinnlab.PINN, pinnlab.Problem, pinnlab.Phase) == (PINN, Problem, Phase)
    assert pinnlab.CollocationDataModule is CollocationDataModule
    assert set(pinnlab.__all__) | {"__version__"} <= set(dir(pinnlab))
    namespace = {}
    exec("from pinnlab import *", namespace)
    assert namespace["PINN"] is PINN


def test_other_names_are_not():
    with pytest.raises(AttributeError, match="module 'pinnlab' has no attribute 'PIN'"):
        pinnlab.PIN  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'PIN' from 'pinnlab'"):
        from pinnlab import PIN  # noqa: F401


def test_rooms_without_lightning_import_neither_compiler_nor_figures():
    loaded = loaded_by("import " + ", ".join(modules(*WITHOUT_LIGHTNING)))
    assert {"torch", "pinnlab.optimizers.gauss_newton"} <= loaded
    for package in ("lightning", "matplotlib", "tensorboard", "torch._dynamo", "torch._inductor"):
        assert package not in loaded


WHEN_USED = ("pinnlab.reporting.figures.", "pinnlab.reporting.event_file")
"""Modules that a run imports when it draws, and when it logs."""

LEAN = [
    name
    for name in modules(*WITHOUT_LIGHTNING, "analysis", "reporting", "training", "diagnosis", "callbacks", "cli")
    if not name.startswith(WHEN_USED)
]


def test_matplotlib_tensorboard_and_the_compiler_wait_until_they_are_used():
    """Lightning and torchmetrics import matplotlib and parts of the compiler by themselves: that is not ours.

    Of the names of the package, and then of all modules but figures and studies.
    """
    names = "from pinnlab import PINN, CollocationDataModule, Phase, Problem"
    asked = asked_for_by_us(f"{names}\nimport {', '.join(LEAN)}")
    assert ("pinnlab.training.phased_module", "lightning") in asked
    late = ("matplotlib", "tensorboard", "torch.utils.tensorboard", "torch._dynamo", "torch._inductor")
    assert not {pair for pair in asked if any(pair[1] == name or pair[1].startswith(f"{name}.") for name in late)}
    assert not {pair for pair in asked if pair[1].startswith(WHEN_USED)}
