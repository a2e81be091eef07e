"""A hundred numbers that are not finite, put into runs of the command at random steps, with and without `Rollback`.

pytest -m slow tests/faults/test_injections.py
PINNLAB_WRITE_DOCS=1 pytest -m slow tests/faults/test_injections.py    # and writes the table of docs/reliability.md
"""

import itertools
import json
import random
import re

import pytest
import torch
import yaml
from faulty import KINDS
from forked import finish, forked, run_command
from reliability_page import kept, write_table

RUNS = 100
STEPS = 12
OPTIMIZERS = {
    "Adam": {"lr": 5e-3},
    "pinnlab.optimizers.LBFGS": {"iterations": 3},
    "SSBroyden": {"iterations": 2},
    "LevenbergMarquardt": {},
    "torch.optim.LBFGS": {"max_iter": 3},
    "SchwarzLBFGS": {"local_iterations": 2},
    "NystromNewtonCG": {"rank": 8, "cg_iterations": 10},
    "MultiBatchLBFGS": {"history": 4},
}
SUBJECTS = {"parameter": r"of network\.\S+", "target": "of condition 'wall'"}
"""Whose value the line names; of other kinds condition 'pde'."""


def drawn():
    """Every kind with every optimizer, with and without `Rollback`; and more, until there are enough."""
    chance = random.Random(0)
    pairs = list(itertools.product(KINDS, OPTIMIZERS))
    pairs += [(chance.choice(KINDS), chance.choice(list(OPTIMIZERS))) for _ in range(RUNS // 2 - len(pairs))]
    return [
        pytest.param(*pair, chance.randrange(1, STEPS - 1), rollback, id=f"{'back' if rollback else 'bare'}{k}")
        for rollback in (False, True)
        for k, pair in enumerate(pairs)
    ]


@pytest.fixture(scope="module")
def rows():
    """What was seen; the table is made of it when all runs are over."""
    yield from kept(RUNS, write)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "optimizer", "step", "rollback"), drawn())
def test_a_number_that_is_not_finite(tmp_path, rows, kind, optimizer, step, rollback):
    code, error, checkpoint = injected(tmp_path, kind, optimizer, step, rollback)
    lines = [line for line in error.splitlines() if not line.startswith("warning: ")]
    warnings = [line for line in error.splitlines() if line.startswith("warning: the loss was ")]
    finite = all(bool(v.isfinite().all()) for k, v in checkpoint["state_dict"].items() if k.startswith("trial."))
    if rollback:
        result = json.loads(next(tmp_path.rglob("summary.json")).read_text())
        events = [decision["event"] for decision in result["decisions"]]
        right = code == 0 and not lines and "rollback" in events and result["loss"] is not None
        saved = checkpoint["global_step"] >= step
    elif (kind, optimizer) == ("parameter", "MultiBatchLBFGS"):  # goes back by itself
        right = code == 0 and not lines and len(warnings) == 1
        saved = checkpoint["global_step"] == STEPS
    else:
        subject = SUBJECTS.get(kind, "of condition 'pde'")
        right = code == 1 and len(lines) == 1 and bool(re.match(f"error: {kind} {subject} is (nan|inf)", lines[0]))
        saved = checkpoint["global_step"] == step
    rows.append((kind, rollback, right, saved and finite))
    assert right, (code, error[-2000:])
    assert saved, checkpoint["global_step"]
    assert finite


def injected(folder, kind, optimizer, step, rollback):
    """A run of the command in which one value is not finite, in one step.

    Returns:
        Its exit code, what it said on the error stream, and its `last.ckpt`.
    """
    callbacks = [
        {"class_path": "faulty.Break", "init_args": {"kind": kind, "step": step, "once": True}},
        {"class_path": "Rollback", "init_args": {"every": 2}} if rollback else {"class_path": "faulty.NoRollback"},
        {"class_path": "RunCheckpoint", "init_args": {"seconds": 1e-9}},
    ]
    recipe = {
        "name": "injected",
        "problem": {"class_path": "faulty.Faulty", "init_args": {"reference": "exact"}},
        "model": {
            "compile": False,
            "phases": [{"optimizer": {"class_path": optimizer, "init_args": OPTIMIZERS[optimizer]}, "steps": STEPS}],
        },
        "data": {"points": {"pde": 20, "wall": 2}, "evaluation_points": 100},
        "trainer": {"callbacks": callbacks, "enable_progress_bar": False},
    }
    (folder / "injected.yaml").write_text(yaml.safe_dump(recipe))
    code = finish(forked(run_command, folder, "fit", "-c", "injected.yaml"))
    error = (folder / "error.txt").read_text()
    saved = next(folder.rglob("last.ckpt"), None)
    assert saved is not None, error[-2000:]
    return code, error, torch.load(saved, weights_only=True)


def write(found):
    """The table, into the page, between its markers."""
    head = (
        "not finite",
        "without `Rollback`",
        "as they should¹",
        "`last.ckpt` of the last good step, finite",
        "with `Rollback`",
        "went back, ended finite, exit code 0",
        "`last.ckpt` finite",
    )
    rows = []
    for kind in KINDS:
        cells = []
        for rollback in (False, True):
            own = [row for row in found if row[:2] == (kind, rollback)]
            cells += [len(own), sum(row[2] for row in own), sum(row[3] for row in own)]
        rows.append((kind, *cells))
    write_table("injections", head, rows)
