"""A diagnosis against brute force, and what it finds of set-ups and of runs."""

import functools
import json
import math
from dataclasses import replace

import pytest
import torch
from failing import ADAM, FAILING, POINTS, Decay, poisson
from training import quiet_trainer, small_data, small_module

from pinnlab.analysis.signatures import Bands, Look, Record
from pinnlab.callbacks import DiagnosisWriter, FailureSignatures
from pinnlab.diagnosis.picture import findings_of
from pinnlab.diagnosis.tables import tables
from pinnlab.errors import ConfigurationError
from pinnlab.problems import Burgers, Heat1D
from pinnlab.training.exact_linearization import linearization
from pinnlab.training.phases import Phase
from pinnlab.training.point_store import probe_rows

pytestmark = pytest.mark.filterwarnings("ignore")


def diagnosed(module, folder, points=20, ckpt_path=None, watch=None):
    writer = DiagnosisWriter(str(folder))
    data = small_data(module.problem, points=points, held_out=50)
    trainer = quiet_trainer(callbacks=[writer, *([watch] if watch else [])])
    trainer.validate(module, data, ckpt_path=ckpt_path, verbose=False, weights_only=True)
    return writer.result, data


def test_terms_and_cosines_are_those_of_the_loss(tmp_path):
    module = small_module(Burgers(viscosity=0.1, exact_conditions=False), weights={"wall": 3.0})
    result, data = diagnosed(module, tmp_path)
    parameters, gradients = list(module.trial.parameters()), []
    for weight, (name, r) in zip((1.0, 3.0, 1.0), module.system.residuals(data.store.rows).items(), strict=True):
        term, loss = result.terms[name], weight * r.square().mean()
        assert (term.points, term.weight) == (20, weight)
        assert term.weight * term.mean_square == pytest.approx(float(loss), rel=1e-12)
        gradients.append(torch.cat([g.reshape(-1) for g in torch.autograd.grad(loss, parameters, retain_graph=True)]))
        assert term.gradient == pytest.approx(float(gradients[-1].norm()), rel=1e-10)
    expected = torch.nn.functional.cosine_similarity(torch.stack(gradients)[:, None], torch.stack(gradients)[None], -1)
    assert torch.allclose(torch.tensor(result.cosines, dtype=torch.float64), expected, atol=1e-12)
    assert result.look.loss == pytest.approx(sum(t.weight * t.mean_square for t in result.terms.values()))
    assert module.evaluations == 0  # it looks, and does not train


def test_kernel_and_hessian_are_those_of_the_probe_points(tmp_path):
    module = small_module(Heat1D())
    result, _ = diagnosed(module, tmp_path)
    assert {name: spectrum.size for name, spectrum in result.kernel.items()} == {
        "pde": 200, "wall": 200, "start": 200, "total": 600,
    }  # fmt: skip
    traces = [result.kernel[name].trace for name in module.problem.conditions]
    assert result.kernel["total"].trace == pytest.approx(sum(traces), rel=1e-9)
    around = linearization(module, probe_rows(module.problem, 200, seed=0))
    whole = torch.linalg.eigvalsh(around.hessian_times(torch.eye(len(around.point), dtype=torch.float64)))
    largest = whole[whole.abs().argsort(descending=True)[:6]].sort(descending=True).values
    assert result.hessian == pytest.approx(largest.tolist(), rel=1e-6)
    assert result.kernel["total"].top == pytest.approx(float(torch.linalg.matrix_norm(around.kernel(), 2)), rel=1e-9)


def test_a_diagnosis_is_shown_and_written_and_overwrites_nothing(tmp_path, capsys):
    for _ in range(2):
        diagnosed(small_module(Decay()), tmp_path)
    shown = capsys.readouterr().out
    for word in (
        "Decay, before the first step",
        "cosines",
        "neural tangent kernel",
        "residual by frequency",
        "k = 0.5",
    ):
        assert word in shown, word
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "diagnosis-1.json", "diagnosis-1.png", "diagnosis.json", "diagnosis.png",
    ]  # fmt: skip
    found = json.loads((tmp_path / "diagnosis.json").read_text())
    assert found["terms"].keys() == {"pde", "start", "data"}
    assert found["coefficients"]["k"]["value"] == 0.5
    assert len(found["kernel"]["total"]["eigenvalues"]) > 50
    assert found["relative_l2"] == {}


def test_a_residual_by_frequency_is_shown_as_parts_of_the_whole(tmp_path):
    result, _ = diagnosed(small_module(Decay()), tmp_path)
    bands = {"pde": Bands((9.0, 1e-9, 16.0, 0.0, 0.0, 0.0, 0.0))}
    shown = tables(replace(result, look=replace(result.look, bands=bands)))[-1]
    assert [list(column.cells) for column in shown.columns] == [
        ["1 half wave or less", "3 to 4 half waves"],
        ["6.00e-01", "8.00e-01"],
    ]


@pytest.mark.parametrize(
    ("name", "signature"),
    [
        ("loss terms out of balance", "loss terms out of balance"),
        ("vanishing coefficient gradient, without influence", "vanishing coefficient gradient"),
    ],
)
def test_a_set_up_that_will_fail_is_found_out(tmp_path, name, signature):
    result, _ = diagnosed(FAILING[name](), tmp_path, points=50)
    assert [finding.signature for finding in result.findings] == [signature]


def test_a_healthy_set_up_has_no_findings(tmp_path, capsys):
    result, _ = diagnosed(poisson((ADAM, 10)), tmp_path)
    assert result.findings == []
    assert "no signature of failure" in capsys.readouterr().out


def test_what_a_run_is_told_when_it_begins_is_told(tmp_path):
    problem = Heat1D()
    module = small_module(problem, weights=dict.fromkeys(problem.conditions, 1e-18))
    with pytest.warns(UserWarning, match="the loss begins with about .*, which most optimizers take for zero"):
        diagnosed(module, tmp_path)


@pytest.mark.parametrize("watched", [True, False])
def test_a_run_that_failed_is_found_out_from_its_checkpoint(tmp_path, watched):
    name = "under-resolution"
    watch = [FailureSignatures(every=20)] if watched else []
    module = FAILING[name]()
    data = small_data(module.problem, points=POINTS[name], held_out=50)
    trainer = quiet_trainer(callbacks=watch, val_check_interval=10_000)
    trainer.fit(module, data)
    trainer.save_checkpoint(tmp_path / "last.ckpt", weights_only=False)
    again = FailureSignatures()
    result, points = diagnosed(FAILING[name](), tmp_path, ckpt_path=tmp_path / "last.ckpt", watch=again)
    assert [finding.signature for finding in result.findings] == [name]
    assert len(points.store.rows["pde"]) == POINTS[name]  # the run's points, not those of the set-up
    assert (result.look.step, result.look.evaluations) == (trainer.global_step, module.evaluations)
    assert result.terms["pde"].held_out_ratio > 100
    if watched:
        assert result.findings[0].step == watch[0].findings[0].step
        assert len(again.record.looks) == len(watch[0].record.looks) + 1


def test_a_run_is_diagnosed_in_its_phase(tmp_path):
    phases = [
        Phase(ADAM, steps=3, dtype="float32", points=30),
        Phase(functools.partial(torch.optim.SGD, lr=1e-3), steps=3),
    ]
    result, data = diagnosed(small_module(Heat1D(), phases), tmp_path)
    assert (result.look.phase, result.look.optimizer) == (1, "Adam")
    assert result.look.round_off is not None
    assert len(data.store.rows["pde"]) == 30
    module = small_module(Heat1D(), phases)
    trainer = quiet_trainer(limit_val_batches=0)
    trainer.fit(module, small_data(module.problem))
    trainer.save_checkpoint(tmp_path / "last.ckpt", weights_only=False)
    result, data = diagnosed(small_module(Heat1D(), phases), tmp_path, ckpt_path=tmp_path / "last.ckpt")
    assert (result.look.phase, result.look.optimizer) == (2, "SGD")
    assert result.look.round_off is None


def test_a_loss_that_is_not_finite_is_refused(tmp_path):
    module = poisson((ADAM, 3))
    with torch.no_grad():
        next(module.trial.parameters()).fill_(math.nan)
    with pytest.raises(ConfigurationError, match="diagnose: the loss is nan"):
        diagnosed(module, tmp_path)


def test_what_was_said_comes_first_and_is_not_said_again():
    base = {"phase": 1, "optimizer": "LBFGS", "version": 0, "loss": 1.0, "ratios": {"pde": 500.0}, "points": {"pde": 4}}
    record = Record([Look(step=k, evaluations=k, **base) for k in (1, 2)])
    first = findings_of(Look(step=3, evaluations=3, **base), record)
    assert [(finding.signature, finding.step) for finding in first] == [("under-resolution", 3)]
    again = findings_of(Look(step=4, evaluations=4, **base), record, first)
    assert again == first
