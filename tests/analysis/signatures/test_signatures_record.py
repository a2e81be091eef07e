"""What is recorded of a run survives a checkpoint, stays bounded, and sorts frequencies rightly."""

import io
import json
import math
from dataclasses import asdict

import pytest
import torch

from pinnlab.analysis.signatures import Bands, CoefficientLook, Look, Record, Switch, resolution_ratio


def look(step=1, **options):
    return Look(step=step, evaluations=2 * step, phase=1, optimizer="Adam", version=0, loss=1.0, **options)


FULL = look(
    equations={"pde": 1.0}, ratios={"pde": 2.0}, points={"pde": 9}, gradients={"pde": 3.0}, gradient=3.0, top=2.0,
    coefficients={"k": CoefficientLook(0.5, 1.0, 2.0)}, round_off=0.1,
    bands={"u": Bands((1.0,) * 7, (2.0,) * 7), "v": Bands((1.0,) * 7)},
)  # fmt: skip


def test_a_record_survives_a_checkpoint():
    record = Record([look(), FULL], [Switch(9, 2, "LBFGS", 1e-3, math.inf, 4)])
    file = io.BytesIO()
    torch.save(asdict(record), file)
    file.seek(0)
    assert Record.of(torch.load(file, weights_only=True)) == record
    json.dumps(asdict(FULL))


def test_looks_of_a_long_run_are_thinned_but_the_beginning_and_the_end_stay():
    record = Record(most=20)
    for step in range(1, 1000):
        record.add(look(step))
        assert len(record.looks) <= 20
    steps = [one.step for one in record.looks]
    assert steps[0] == 1
    assert steps[-8:] == list(range(992, 1000))
    assert steps == sorted(steps)


def test_the_worst_of_a_switch_is_kept():
    record = Record()
    first, worse, better = (Switch(9, 2, "SGD", 1.0, worst, 1) for worst in (10.0, 30.0, 20.0))
    assert [record.note(first), record.note(worse), record.note(better)] == [True, True, False]
    assert record.switches == [worse]
    assert record.note(Switch(50, 2, "SGD", 1.0, 5.0, 1))
    assert len(record.switches) == 2
    assert Switch(1, 2, "SGD", 0.0, 1.0, 1).growth == math.inf


def test_octaves_hold_the_wave_numbers_up_to_theirs():
    numbers = torch.tensor([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 8.0, 9.0, 32.0, 33.0, 64.0], dtype=torch.float64)
    energies = 2.0 ** torch.arange(11, dtype=torch.float64)
    assert Bands.of(numbers, energies) == Bands((3.0, 4.0, 24.0, 96.0, 128.0, 256.0, 1536.0))
    assert sum(Bands.of(numbers, energies, energies).reference) == float(energies.sum())


def test_scalars_are_named_by_what_they_are():
    assert FULL.scalars() == {
        "training/held_out_ratio/pde": 2.0,
        "signature/gradient_norm/pde": 3.0,
        "signature/coefficient_room/k": 1.0,
        "signature/coefficient_influence/k": 2.0,
        "signature/promised_decrease": pytest.approx(9 / 8),
        "signature/rounding_error": 0.1,
    }


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_ratio_is_plain_above_round_off_and_small_below(dtype):
    eps = torch.finfo(dtype).eps
    assert resolution_ratio(1e-4, 3e-2, dtype) == pytest.approx(300.0)
    assert resolution_ratio((2 * eps) ** 2, (900 * eps) ** 2, dtype) < 1  # two round-offs
    assert resolution_ratio(0.0, 0.0, dtype) == 0
    assert resolution_ratio(1.0, 500.0, dtype, rounding=1e-3) == pytest.approx(50.0)  # residuals that cancel
    assert resolution_ratio(1.0, 500.0, dtype, rounding=1e-5) == pytest.approx(500.0)
    assert resolution_ratio(1.0, 500.0, dtype, rounding=math.nan) == pytest.approx(500.0)
    # Points that are fitted to round-off, and nothing between them, are what the warning is for.
    assert resolution_ratio((2 * eps) ** 2, 1e-2, dtype) > 100


def test_a_residual_that_is_not_finite_is_no_resolution():
    assert not resolution_ratio(math.nan, 1.0, torch.float64) > 100
    assert not resolution_ratio(1.0, math.nan, torch.float64) > 100
