"""Imports only point to lower layers; layers 0 to 2 never import Lightning."""

import ast
from pathlib import Path

import pytest

import pinnlab

PACKAGE = Path(pinnlab.__file__).parent
LAYERS = {
    "errors": 0, "distributed": 0, "compilation": 0, "compiled_loss": 0, "linalg": 0, "lanczos": 0,
    "domains": 0, "derivatives": 0, "networks": 0,
    "samplers": 1, "enhancement": 1, "problems": 1, "residuals": 1, "scores": 1, "linearization": 1, "overlap": 1,
    "gradients": 1, "blocked_loss": 1, "linearized_functions": 1,
    "optimizers": 2, "criteria": 2, "balancing": 2, "batch_growth": 2, "metrics": 2, "frequencies": 2, "plotting": 2,
    "point_figures": 2, "frequency_figures": 2, "dashboard": 2, "cards": 2, "points": 2, "point_count": 2,
    "ntk": 2, "curvature": 2,
    "spectrum_figures": 2, "signatures": 2, "diagnosis_figure": 2,
    "catalog": 2,
    "assembly": 3, "datamodule": 3, "evaluation": 3, "loggers": 3, "phases": 3,
    "installation": 3, "trial": 3, "switching": 3, "module": 3, "observation": 3, "diagnosis": 3, "diagnosis_tables": 3,
    "callbacks": 4,
    "bad_input": 5, "cli": 5, "__init__": 5,
    "studies": 6, "__main__": 7,
}  # fmt: skip
FILES = sorted(PACKAGE.rglob("*.py"))


def unit(path):
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: write absolute imports"
            yield from ([f"pinnlab.{a.name}" for a in node.names] if node.module == "pinnlab" else [node.module])


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_to_lower_layers(path):
    own = LAYERS[unit(path)]
    for name in imports(path):
        if name.startswith("pinnlab."):
            target = name.split(".")[1]
            assert LAYERS[target] < own or target == unit(path) or LAYERS[target] == own, f"{path} imports {name}"
            assert LAYERS[target] <= own, f"{path} (layer {own}) imports {name} (layer {LAYERS[target]})"
        if name.split(".")[0] in ("lightning", "pytorch_lightning"):
            assert own >= 3, f"{path} (layer {own}) imports Lightning"
        if name.startswith("torch.distributed"):
            assert unit(path) == "distributed", f"{path} calls torch.distributed itself"


def test_no_cycles_between_units():
    graph = {}
    for path in FILES:
        targets = {n.split(".")[1] for n in imports(path) if n.startswith("pinnlab.")}
        graph.setdefault(unit(path), set()).update(targets - {unit(path)})
    done = set()
    while remaining := {u: t - done for u, t in graph.items() if u not in done}:
        free = {u for u, targets in remaining.items() if not targets & set(graph)}
        assert free, f"import cycle among {sorted(remaining)}"
        done |= free


def test_files_stay_small():
    long = {str(p): n for p in FILES if (n := len(p.read_text().splitlines())) > 410}
    assert not long
