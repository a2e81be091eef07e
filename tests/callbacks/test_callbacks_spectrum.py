"""The spectrum of the kernel during a run: what is measured, when, and where it goes."""

import csv

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.autograd.functional import jacobian
from training import ADAM, PHASES, QUASI_NEWTON, Poison, full_run, quiet_trainer, small_data, small_module, two_levels

from pinnlab.callbacks import FreshPoints, NTKSpectrum, RunSummary
from pinnlab.errors import ConfigurationError, NotFiniteError
from pinnlab.problems import Poisson1D
from pinnlab.training.phases import Phase
from pinnlab.training.point_store import probe_rows

pytestmark = pytest.mark.filterwarnings("ignore")  # those of Lightning and torch about each other

STEPS = [Phase(ADAM, steps=9), Phase(QUASI_NEWTON, steps=3)]


def fit(callback, phases=STEPS, problem=None, weights=None, others=(), ckpt_path=None, **options):
    module = small_module(problem, phases, weights=weights)
    trainer = quiet_trainer(callbacks=[callback, *others], **options)
    trainer.fit(module, small_data(module.problem), ckpt_path=ckpt_path)
    return module, trainer


def lines_of(logger):
    with open(f"{logger.log_dir}/spectrum.csv", newline="") as file:
        return list(csv.DictReader(file))


def dense_spectra(module, max_points, seed):
    """Eigenvalues of the scaled kernel on the probe points by brute force, in float64."""
    rows, parameters = probe_rows(module.problem, max_points, seed), dict(module.trial.named_parameters())
    parameters = {name: p.detach().double() for name, p in parameters.items()}
    blocks = []
    for (name, own), weight in zip(rows.items(), module.loss_weights.double().tolist(), strict=True):

        def residual(*values, name=name, own=own):
            return module.system.residuals({name: own}, dict(zip(parameters, values, strict=True)))[name].flatten()

        parts = jacobian(residual, tuple(parameters.values()), vectorize=True)
        blocks.append((weight / len(own)) ** 0.5 * torch.cat([part.flatten(1) for part in parts], 1))
    named = {**dict(zip(rows, blocks, strict=True)), "total": torch.cat(blocks)}
    return {name: torch.linalg.eigvalsh(part @ part.T).flip(0) for name, part in named.items()}


def assert_true(found, expected):
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        bound = 1e-12 * float(values[0])
        assert torch.allclose(found[name].eigenvalues, values, rtol=0, atol=bound), name


def test_spectra_are_those_of_dense_jacobians_with_the_weights_of_the_loss():
    callback = NTKSpectrum(every=1, max_points=9, seed=3)
    module, _ = fit(callback, weights={"wall": 5.0})
    assert_true(callback.latest, dense_spectra(module, 9, 3))
    assert callback.latest["pde"].size == 9
    assert callback.latest["total"].size == 27


@pytest.mark.parametrize("phases", ["precision", "two_levels"])
def test_spectra_in_float32_and_of_narrow_networks(phases):
    """Float32 weights, as they are, give the kernel in float64; the neurons that are left out have no part in it."""
    part = {"precision": PHASES["precision"]()[:1], "two_levels": two_levels()[:1]}[phases]
    callback = NTKSpectrum(every=1, max_points=8)
    expected = []

    class Look(RunSummary):
        def on_train_end(self, trainer, pl_module):
            expected.append(dense_spectra(pl_module, 8, 0))

    fit(callback, part, others=[Look()])
    assert callback.latest["total"].eigenvalues.dtype == torch.float64
    assert callback.latest["total"].epsilon < 1e-15
    assert_true(callback.latest, expected[0])


def test_probe_points_depend_on_the_seed_alone():
    problem = small_module().problem
    first, again, other = (probe_rows(problem, 8, seed) for seed in (0, 0, 1))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["pde"], other["pde"])
    ends = probe_rows(Poisson1D(), 50, 0)["boundary"]
    assert sorted(ends[:, 0].tolist()) == sorted(set(ends[:, 0].tolist()))  # each of the two once


def test_points_that_a_condition_brings_are_thinned_evenly():
    problem = small_inverse_problem()
    assert len(problem.conditions["data"].fixed_points()) == 3
    rows = probe_rows(problem, 2, 0)["data"]
    assert rows[:, 0].tolist() == [0.5, 1.5]
    assert rows.shape[1] == 2  # with the value that was measured there


def small_inverse_problem():
    from linearized import inverse_problem

    return inverse_problem()


def test_when_it_measures(tmp_path):
    logger = CSVLogger(tmp_path)
    module, trainer = fit(NTKSpectrum(every=4, max_points=5), logger=logger)
    lines = lines_of(logger)
    assert [line["block"] for line in lines[:4]] == ["pde", "wall", "start", "total"]
    at = [int(line["evaluations"]) for line in lines[::4]]
    # At the start, every 4 of Adam, at the switch after 9, after each step of L-BFGS (3 iterations or more), at the end
    assert at[:4] == [0, 4, 8, 9]
    assert at[-1] == module.evaluations
    assert len(at) >= 6
    assert at == sorted(set(at))
    assert [int(line["phase"]) for line in lines[::4]][:4] == [1, 1, 1, 2]
    assert int(lines[-1]["step"]) == trainer.global_step


def test_only_at_the_ends_and_at_switches(tmp_path):
    logger = CSVLogger(tmp_path)
    module, _ = fit(NTKSpectrum(every=None, max_points=5), logger=logger)
    assert [int(line["evaluations"]) for line in lines_of(logger)[::4]] == [0, 9, module.evaluations]


def test_what_loggers_get(tmp_path):
    board, table = TensorBoardLogger(tmp_path / "board"), CSVLogger(tmp_path / "table")
    callback = NTKSpectrum(every=4, max_points=5)
    fit(callback, logger=[board, table])
    events = EventAccumulator(board.log_dir, size_guidance={"histograms": 0, "images": 0, "scalars": 0}).Reload()
    tags = {
        f"spectrum/{b}/{q}" for b in callback.latest for q in ("trace", "top", "condition_number", "effective_rank")
    }
    assert tags <= set(events.Tags()["scalars"])
    assert {f"spectrum/{block}/log10_eigenvalues" for block in callback.latest} <= set(events.Tags()["histograms"])
    assert "spectrum/eigenvalues" in events.Tags()["images"]
    last = events.Scalars("spectrum/pde/top")[-1]
    assert last.value == pytest.approx(callback.latest["pde"].top, rel=1e-6)
    histogram = events.Histograms("spectrum/pde/log10_eigenvalues")[-1].histogram_value
    assert histogram.num == callback.latest["pde"].rank
    lines = lines_of(board)
    assert len(lines) == 4 * len(events.Scalars("spectrum/pde/top"))
    assert float(lines[-4]["condition_number"]) == pytest.approx(callback.latest["pde"].condition_number)
    assert float(lines[-4]["seconds"]) > 0
    with open(f"{table.log_dir}/metrics.csv", newline="") as file:
        assert tags <= set(next(csv.reader(file)))


def test_without_a_logger_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    callback = NTKSpectrum(every=4, max_points=5)
    fit(callback)
    assert callback.latest
    assert not list(tmp_path.rglob("*.csv"))


def test_a_resumed_run_goes_on_in_its_file(tmp_path):
    def run(**options):
        saver = ModelCheckpoint(tmp_path / "saved", "{step}", every_n_train_steps=1, save_top_k=-1)
        logger = CSVLogger(tmp_path, version=1)
        fit(NTKSpectrum(every=3, max_points=5), others=[saver], logger=logger, enable_checkpointing=True, **options)
        return [{**line, "seconds": None} for line in lines_of(logger)]

    whole = run()
    assert run() == whole  # from the beginning, over what is there
    for path in (tmp_path / "saved" / f"step={step}.ckpt" for step in (1, 3, 9, 11)):
        assert run(ckpt_path=path) == whole


def test_a_checkpoint_holds_a_bounded_history():
    callback = NTKSpectrum(every=1, max_points=3)
    fit(callback, [Phase(ADAM, steps=100)])
    history = callback.state_dict()["history"]
    assert callback.state_dict()["count"] == 101
    assert len(history) <= 16
    at = [entry["evaluations"] for entry in history]
    assert at[0] == 0
    assert at == sorted(at)
    assert at[-1] >= 99


def test_training_points_do_not_matter():
    first, other = NTKSpectrum(every=None, max_points=6), NTKSpectrum(every=None, max_points=6)
    still = [Phase(lambda p: torch.optim.SGD(p, lr=0.0), steps=3)]
    fit(first, still)
    fit(other, still, others=[FreshPoints(every=1)])
    assert torch.equal(first.latest["total"].eigenvalues, other.latest["total"].eigenvalues)


class Undaunted(L.Callback):
    """Lets a run go on that is lost."""

    recovers = True


def test_a_run_that_blows_up_is_measured_too(tmp_path):
    callback, board = NTKSpectrum(every=1, max_points=4), TensorBoardLogger(tmp_path)
    with pytest.raises(NotFiniteError, match="after step 4"):
        fit(callback, [Phase(ADAM, steps=4)], others=[Poison(2), Undaunted()], logger=board)
    assert callback.latest["total"].eigenvalues.isnan().all()
    assert lines_of(board)[-1]["condition_number"] == "nan"


@pytest.mark.parametrize("key", ["every", "max_points"])
def test_bad_numbers(key):
    with pytest.raises(ConfigurationError, match=rf"NTKSpectrum.{key}: must be at least 1, got 0"):
        NTKSpectrum(**{key: 0})


def test_full_run_with_rollback_and_new_points(tmp_path):
    *_, module, data = full_run(tmp_path, callbacks=[NTKSpectrum(every=3, max_points=4), FreshPoints(every=5)])
    assert data.store.version > 0
    assert module.evaluations > 20
