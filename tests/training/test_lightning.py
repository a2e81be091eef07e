"""What a plain `Trainer` does with a `PINN`: defaults, callbacks, seeds, schedulers, loggers, `lr_find`."""

import csv
import functools
import gc
import json
import logging
import warnings

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import (
    EarlyStopping,
    LearningRateFinder,
    LearningRateMonitor,
    ModelCheckpoint,
    ModelSummary,
    ProgressBar,
    RichModelSummary,
    RichProgressBar,
    TQDMProgressBar,
)
from lightning.pytorch.cli import ReduceLROnPlateau
from lightning.pytorch.loggers import CSVLogger, MLFlowLogger, TensorBoardLogger, WandbLogger
from lightning.pytorch.tuner import Tuner
from services import Client, install_mlflow, install_wandb
from torch.utils.data import DataLoader, TensorDataset
from training import ADAM, QUASI_NEWTON, quiet_trainer, small_data, small_module

from pinnlab import PINN, CollocationDataModule
from pinnlab.callbacks import (
    Continuation,
    EvaluationBudget,
    NTKSpectrum,
    OptimizerPhases,
    PhaseProgressBar,
    RunCheckpoint,
    RunSummary,
    SolutionFigures,
)
from pinnlab.criteria import TimeBudget
from pinnlab.errors import ConfigurationError
from pinnlab.problems import Heat1D, Poisson1D
from pinnlab.training.phases import Phase
from pinnlab.training.point_store import probe_rows
from pinnlab.training.quiet import LOGGER

TWO_PHASES = {"phases": [Phase(ADAM, steps=6), Phase(QUASI_NEWTON, steps=3)]}


def train(trainer, **options):
    """Trains a small module, of two phases unless said otherwise."""
    module = small_module(**{**TWO_PHASES, **options})
    data = small_data(module.problem)
    trainer.fit(module, data)
    return module, data


def plain_trainer(folder, **options):
    """Only the folder and the device are not the defaults."""
    return L.Trainer(default_root_dir=folder, accelerator="cpu", **options)


def kinds(trainer):
    return [type(callback) for callback in trainer.callbacks]


# ------------------------------------------------------------------------------------ a plain trainer


def test_a_plain_trainer_runs_all_phases_and_is_quiet(tmp_path, capsys, caplog):
    """No warning (pytest would raise it), no advertisement; a bar, four lines, a table, a summary, the end saved."""
    with caplog.at_level(logging.INFO, logger=LOGGER):
        module = small_module(**TWO_PHASES)
        trainer = plain_trainer(tmp_path)
        data = small_data(module.problem)
        trainer.fit(module, data)
    assert trainer.global_step == 9
    assert [line for line in caplog.messages if "Tip" in line or "available" in line] == []
    shown = capsys.readouterr()
    lines = shown.out.splitlines()
    assert lines[:4] == [
        "problem  Burgers: u(x, t) on " + repr(module.problem.domain) + "; conditions pde, wall, start",
        "network  MLP, 67 parameters, float64 on cpu",
        "points   pde 21, wall 21, start 21",
        "phases   Adam(lr=0.005) 6 steps, then LBFGS(iterations=3, history=10) 3 steps",
    ]
    assert "relative L2 error u" in shown.out
    assert "step 9/9  LBFGS (2/2)" in shown.err
    folder = tmp_path / "lightning_logs" / "version_0"
    result = json.loads((folder / "summary.json").read_text())
    assert result["steps"] == 9
    saved = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    assert saved["global_step"] == 9
    assert {path.name for path in folder.iterdir() if not path.name.startswith("events")} == {
        "checkpoints", "hparams.yaml", "summary.json",
    }  # fmt: skip


def test_what_a_plain_trainer_is_given(tmp_path):
    trainer = plain_trainer(tmp_path, logger=False)
    train(trainer)
    assert kinds(trainer) == [OptimizerPhases, PhaseProgressBar, ModelCheckpoint, RunSummary]
    assert (trainer.max_epochs, trainer.num_sanity_val_steps) == (-1, 0)
    assert (trainer.val_check_interval, trainer.check_val_every_n_epoch) == (100, None)
    again = trainer.progress_bar_callback
    train(trainer)
    assert set(kinds(trainer)) == {OptimizerPhases, PhaseProgressBar, ModelCheckpoint, RunSummary}
    assert len(trainer.callbacks) == 4
    assert trainer.progress_bar_callback is again


@pytest.mark.filterwarnings("ignore")
def test_what_the_user_has_set_stays(tmp_path, capsys):
    trainer = plain_trainer(
        tmp_path, logger=False, max_epochs=1, val_check_interval=4, check_val_every_n_epoch=2, num_sanity_val_steps=1
    )
    train(trainer)
    assert (trainer.max_epochs, trainer.num_sanity_val_steps) == (1, 1)
    assert (trainer.val_check_interval, trainer.check_val_every_n_epoch) == (4, 2)
    assert trainer.global_step == 7
    assert "trainer.max_epochs=1 ends the run in phase 2 of 2; leave it out to go on" in capsys.readouterr().err


class OwnBar(TQDMProgressBar):
    """A user's."""


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "own", [OwnBar(), TQDMProgressBar(), RichProgressBar(refresh_rate=7), PhaseProgressBar(refresh=3)]
)
def test_the_users_own_bar_stays(own, tmp_path):
    trainer = plain_trainer(tmp_path, logger=False, callbacks=[own])
    train(trainer)
    assert trainer.progress_bar_callback is own
    assert sum(issubclass(kind, (PhaseProgressBar, TQDMProgressBar, RichProgressBar)) for kind in kinds(trainer)) == 1


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("own", [ModelSummary(max_depth=2), RichModelSummary(max_depth=3), RunSummary("mine")])
def test_the_users_own_summary_stays(own, tmp_path):
    trainer = plain_trainer(tmp_path, logger=False, callbacks=[own])
    train(trainer)
    assert own in trainer.callbacks
    assert kinds(trainer).count(RunSummary) == isinstance(own, RunSummary)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("own", [ModelCheckpoint(every_n_train_steps=2), RunCheckpoint()])
def test_the_users_own_checkpoints_stay(own, tmp_path):
    trainer = plain_trainer(tmp_path, callbacks=[own])
    train(trainer)
    assert trainer.checkpoint_callbacks == [own]


def test_switched_off_means_silent(tmp_path, capsys):
    module = small_module(**TWO_PHASES)
    trainer = plain_trainer(
        tmp_path, logger=False, enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False
    )
    trainer.fit(module, small_data(module.problem))
    assert kinds(trainer) == [OptimizerPhases]
    shown = capsys.readouterr()
    assert shown.err == ""
    assert all(line.startswith("phase ") for line in shown.out.splitlines())


def test_filters_of_warnings_are_put_back(tmp_path):
    before = list(warnings.filters)
    trainer = quiet_trainer()
    train(trainer)
    assert warnings.filters == before


def test_advertisements_are_kept_out_while_there_is_a_module(caplog):
    logger = logging.getLogger(LOGGER)
    gc.collect()
    filters = len(logger.filters)
    module = small_module()
    with caplog.at_level(logging.INFO, logger=LOGGER):
        logger.info("💡 Tip: buy this")
        logger.info("GPU available: True (cuda), used: True")
    assert caplog.messages == ["GPU available: True (cuda), used: True"]
    del module
    gc.collect()
    assert len(logger.filters) == filters


def test_an_apple_gpu_is_refused_in_one_line(tmp_path, monkeypatch):
    trainer = plain_trainer(tmp_path, logger=False)
    monkeypatch.setattr(type(trainer.strategy), "root_device", torch.device("mps"))
    with pytest.raises(ConfigurationError, match=r"trainer\.accelerator: .* has no float64"):
        train(trainer)


def test_module_phases_and_data_say_what_they_are():
    module = small_module(**TWO_PHASES)
    phases = "(Adam(lr=0.005), steps=6), (LBFGS(iterations=3, history=10), steps=3)"
    assert repr(module) == f"PINN(Burgers; MLP, 67 parameters, float64; {phases})"
    phase = Phase(
        torch.optim.SGD, until=TimeBudget(5), scheduler=torch.optim.lr_scheduler.ExponentialLR, points={"pde": 9}
    )
    assert repr(phase) == "Phase(SGD, until=TimeBudget(seconds=5), scheduler=ExponentialLR, points={'pde': 9})"
    data = small_data(module.problem)
    assert repr(data) == "CollocationDataModule(Burgers, points={pde: 21, wall: 21, start: 21}, batch_size=None)"


class Bare(ProgressBar):
    """The least that Lightning asks of a bar."""

    def __init__(self):
        super().__init__()
        self.lines = []

    def disable(self):
        """There is one process."""

    def print(self, *args, **kwargs):
        self.lines.append(args)


def test_decisions_go_through_any_bar(tmp_path):
    bar = Bare()
    trainer = quiet_trainer(callbacks=[bar], enable_progress_bar=True)
    train(trainer)
    assert [line[0].partition(":")[0] for line in bar.lines] == [
        "phase 1 (Adam), 6 steps, switch", "phase 2 (LBFGS), 3 steps, stop",
    ]  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("options", "steps"),
    [
        ({"fast_dev_run": True}, 1),
        ({"barebones": True}, 9),
        ({"max_steps": 4}, 4),
        ({"overfit_batches": 1}, 9),
        ({"limit_val_batches": 0}, 9),
        ({"val_check_interval": {"seconds": 5}}, 9),
        ({"val_check_interval": {"seconds": 5}, "callbacks": [EarlyStopping("relative_l2/u")]}, 9),
    ],
)
def test_other_ways_to_run(options, steps, tmp_path):
    trainer = plain_trainer(tmp_path, **options)
    train(trainer)
    assert trainer.global_step == steps


@pytest.mark.parametrize(
    ("options", "message"),
    [({}, r"model\.phases: the last phase never ends"), ({"limit_val_batches": 0}, "the last phase never ends")],
)
def test_a_last_phase_without_an_end_is_refused(options, message, tmp_path):
    with pytest.raises(ConfigurationError, match=message):
        train(plain_trainer(tmp_path, logger=False, **options), phases=[Phase(ADAM)])


@pytest.mark.parametrize(
    "options",
    [
        {"max_time": {"seconds": 0.2}},
        {"callbacks": [EvaluationBudget(evaluations=5)]},
        {"callbacks": [EarlyStopping("relative_l2/u", patience=0, min_delta=1e9)], "val_check_interval": 2},
    ],
)
def test_what_ends_a_run_may_end_its_last_phase(options, tmp_path):
    trainer = plain_trainer(tmp_path, logger=False, enable_checkpointing=False, **options)
    train(trainer, phases=[Phase(ADAM)])
    assert 0 < trainer.global_step < 5000


def test_without_a_trainer_the_phases_are_there():
    (phases,) = small_module().configure_callbacks()
    assert isinstance(phases, OptimizerPhases)


# ------------------------------------------------------------------------------------------- seeds


def first_weights(module):
    return torch.cat([p.detach().reshape(-1) for p in module.trial.parameters()])


def rows_of(data):
    data.setup()
    return torch.cat([rows.reshape(-1) for rows in data.store.rows.values()])


def test_seed_everything_seeds_network_and_points():
    given, drawn = first_weights(small_module(seed=3)), rows_of(small_data(Poisson1D(), seed=3))
    zero = first_weights(small_module())
    assert torch.equal(zero, first_weights(small_module(seed=0)))
    L.seed_everything(3, verbose=False)
    assert torch.equal(first_weights(small_module()), given)
    assert torch.equal(rows_of(small_data(Poisson1D())), drawn)
    assert torch.equal(first_weights(small_module(seed=0)), zero)
    assert small_data(Poisson1D()).seed == 3
    assert not torch.equal(given, zero)


# -------------------------------------------------------------------------------------- schedulers


def rates(phases, **options):
    """The learning rate after every step."""

    class Rates(L.Callback):
        def __init__(self):
            self.seen = []

        def on_train_batch_end(self, trainer, *unused):
            self.seen.append(trainer.optimizers[0].param_groups[0]["lr"])

    callback = Rates()
    train(quiet_trainer(callbacks=[callback], **options), phases=phases)
    return callback.seen


def test_a_plateau_of_the_loss_is_seen_after_every_step():
    """The loss of steps of no length is constant: it is better than nothing once, then worse three times, and so on."""
    scheduler = functools.partial(torch.optim.lr_scheduler.ReduceLROnPlateau, patience=2, factor=0.5, eps=0)
    found = rates([Phase(functools.partial(torch.optim.SGD, lr=1e-30), steps=9, scheduler=scheduler)])
    assert [rate * 1e30 for rate in found] == pytest.approx([1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25])


def test_a_monitored_plateau_is_seen_at_validation():
    scheduler = functools.partial(ReduceLROnPlateau, monitor="relative_l2/u", patience=0, factor=0.5, eps=0)
    phases = [Phase(functools.partial(torch.optim.SGD, lr=1e-30), steps=9, scheduler=scheduler)]
    found = rates(phases, val_check_interval=2)
    assert [rate * 1e30 for rate in found] == pytest.approx([1, 1, 1, 1, 0.5, 0.5, 0.25, 0.25, 0.125])


@pytest.mark.filterwarnings("ignore")
def test_a_plateau_is_resumed(tmp_path):
    scheduler = functools.partial(torch.optim.lr_scheduler.ReduceLROnPlateau, patience=1, threshold=0.5)
    phases = [Phase(ADAM, steps=12, scheduler=scheduler)]
    saver = ModelCheckpoint(dirpath=tmp_path, filename="{step}", every_n_train_steps=5, save_top_k=-1)
    whole, _ = train(quiet_trainer(callbacks=[saver], enable_checkpointing=True), phases=phases)
    module = small_module(phases=phases)
    trainer = quiet_trainer()
    trainer.fit(module, small_data(module.problem), ckpt_path=tmp_path / "step=5.ckpt", weights_only=True)
    assert trainer.optimizers == [] or trainer.global_step == 12
    assert torch.equal(first_weights(module), first_weights(whole))


@pytest.mark.parametrize(
    ("monitor", "options", "message"),
    [
        ("relative_l2/v", {}, r"unknown value of model\.phases\.scheduler\.monitor: 'relative_l2/v'.*relative_l2/u"),
        ("relative_l2/u", {"limit_val_batches": 0}, r"model\.phases\.scheduler: watches relative_l2/u at validation"),
    ],
)
def test_what_is_never_measured_is_refused(monitor, options, message):
    scheduler = functools.partial(ReduceLROnPlateau, monitor=monitor)
    with pytest.raises(ConfigurationError, match=message):
        train(quiet_trainer(**options), phases=[Phase(ADAM, steps=6, scheduler=scheduler)])


def test_a_monitor_is_needed_by_name():
    with pytest.raises(ConfigurationError, match=r"model\.phases\.0\.scheduler: .*monitor"):
        train(quiet_trainer(), phases=[Phase(ADAM, steps=6, scheduler=ReduceLROnPlateau)])


# ----------------------------------------------------------------------------------------- lr_find


@pytest.mark.filterwarnings("ignore")
def test_lr_find_sets_the_rate_of_the_first_phase_and_leaves_no_trace(tmp_path):
    trainer = quiet_trainer(default_root_dir=tmp_path)
    module = small_module(**TWO_PHASES)
    data = small_data(module.problem)
    before, epochs = first_weights(module), []
    module.on_train_epoch_start = lambda: epochs.append(trainer.global_step)
    found = Tuner(trainer).lr_find(module, data, num_training=30)
    assert epochs == list(range(0, 30, data.steps_per_epoch))
    assert found.suggestion() == module.learning_rate != 5e-3
    assert f"lr={found.suggestion():g}" in module.hparams["phases"]
    assert torch.equal(first_weights(module), before)
    assert module.evaluations == 0
    trainer.fit(module, data)
    assert trainer.global_step == 9
    other = small_module(
        phases=[Phase(functools.partial(torch.optim.Adam, lr=found.suggestion()), steps=6), *TWO_PHASES["phases"][1:]]
    )
    quiet_trainer().fit(other, small_data(other.problem))
    assert torch.equal(first_weights(module), first_weights(other))


@pytest.mark.filterwarnings("ignore")
def test_the_finder_as_a_callback(tmp_path):
    finder = LearningRateFinder(num_training_steps=20)
    trainer = quiet_trainer(default_root_dir=tmp_path, callbacks=[finder])
    module, _ = train(trainer)
    assert trainer.global_step == 9
    assert module.learning_rate == finder.optimal_lr.suggestion()


@pytest.mark.parametrize("update", [True, False])
def test_lr_find_is_refused_where_a_line_search_finds_the_step(update, tmp_path):
    module = small_module(phases=[Phase(QUASI_NEWTON, steps=3)])
    with pytest.raises(ConfigurationError, match=r"lr_find: LBFGS of the first phase"):
        Tuner(quiet_trainer(default_root_dir=tmp_path)).lr_find(module, small_data(module.problem), update_attr=update)


# -------------------------------------------------------------------------- callbacks and loggers


def test_early_stopping_on_the_error(tmp_path):
    stop = EarlyStopping("relative_l2/u", patience=1, min_delta=1e9)
    trainer = quiet_trainer(callbacks=[stop], val_check_interval=2)
    train(trainer, phases=[Phase(ADAM, steps=50)])
    assert trainer.global_step == 4
    assert stop.stopped_epoch == 0


def test_the_best_checkpoint_by_error(tmp_path):
    saver = ModelCheckpoint(tmp_path, monitor="relative_l2/u", filename="best", save_top_k=1)
    trainer = quiet_trainer(callbacks=[saver], enable_checkpointing=True, val_check_interval=2)
    module, data = train(trainer, phases=[Phase(ADAM, steps=20)])
    saved = torch.load(tmp_path / "best.ckpt", weights_only=True)
    module.load_state_dict(saved["state_dict"])
    assert module.measure_errors(data)["u"] == pytest.approx(float(saver.best_model_score), rel=1e-12)


SHOWN = {"problem": "Burgers", "network": "MLP, 67 parameters", "dtype": "float64", "seed": 0, "sampler": "Sobol()"}


def test_csv_logger(tmp_path):
    trainer = quiet_trainer(logger=CSVLogger(tmp_path), log_every_n_steps=2, val_check_interval=3)
    train(trainer)
    assert trainer.global_step == 9
    text = (tmp_path / "lightning_logs" / "version_0" / "metrics.csv").read_text()
    rows = list(csv.DictReader(text.splitlines()))
    assert [row["step"] for row in rows if row["loss/total"]] == list(map(str, range(9)))  # from 0
    assert sum(bool(row["relative_l2/u"]) for row in rows) == 3


def test_weights_and_biases_logger(tmp_path, monkeypatch):
    install_wandb(monkeypatch)
    logger = WandbLogger(save_dir=tmp_path, project="pinns")
    callbacks = [LearningRateMonitor(), RunSummary(), RunCheckpoint(), NTKSpectrum(max_points=4)]
    train(quiet_trainer(logger=logger, log_every_n_steps=2, callbacks=callbacks, enable_checkpointing=True))
    run = logger.experiment
    assert run.options["project"] == "pinns"
    assert SHOWN.items() <= run.settings.items()
    assert run.settings["phases"] == "Phase(Adam(lr=0.005), steps=6), Phase(LBFGS(iterations=3, history=10), steps=3)"
    assert [values["trainer/global_step"] for values in run.logged if "loss/total" in values] == list(range(9))
    for file in ("summary.json", "spectrum.csv", "checkpoints/last.ckpt"):  # and not where other runs have theirs
        assert (tmp_path / "pinns" / "abc" / file).is_file()


def test_mlflow_logger(tmp_path, monkeypatch):
    install_mlflow(monkeypatch)
    logger = MLFlowLogger(save_dir=str(tmp_path))
    train(quiet_trainer(logger=logger, log_every_n_steps=2))
    client = Client.latest
    assert {key: str(value) for key, value in SHOWN.items()}.items() <= client.params.items()
    assert [metric.step for metric in client.metrics if metric.key == "loss/total"] == list(range(9))
    assert any(metric.key == "relative_l2/u" for metric in client.metrics)
    assert client.status == "FINISHED"


# --------------------------------------------------------------------------------- data of one's own


@pytest.mark.filterwarnings("ignore:You defined a `validation_step`", "ignore:The 'train_dataloader' does not have")
@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((), "the trainer has no points to train on"),
        ((DataLoader(torch.rand(10, 1)),), "points of each condition by name .*, got Tensor"),
        ((DataLoader(TensorDataset(torch.rand(10, 1))),), "points of each condition by name .*, got list"),
        (
            (DataLoader([{"points": torch.rand(10, 2)}], batch_size=None),),
            "points of each condition by name .*, got points",
        ),
    ],
)
def test_other_data_or_none_are_refused(given, message, tmp_path):
    with pytest.raises(ConfigurationError, match=rf"{message}; write .*CollocationDataModule\(problem, points="):
        plain_trainer(tmp_path, enable_progress_bar=False).fit(small_module(), *given)


class Rows(L.LightningDataModule):
    """Rows of each condition, and no points to measure errors at."""

    def __init__(self, problem):
        super().__init__()
        self.rows = probe_rows(problem, 20, seed=0)

    def train_dataloader(self):
        return DataLoader([self.rows] * 10, batch_size=None)


class Change(L.Callback):
    """Changes a number of the problem in mid-run."""

    def on_train_batch_start(self, trainer, pl_module, *unused):
        pl_module.problem.diffusivity = 0.1 + 0.1 * trainer.global_step


@pytest.mark.filterwarnings("ignore:You defined a `validation_step`", "ignore:The 'train_dataloader' does not have")
@pytest.mark.parametrize("callback", [SolutionFigures(), Continuation("diffusivity", 1.0, steps=2, stages=2), Change()])
def test_a_data_module_of_ones_own_trains_without_points_to_measure_errors_at(callback, tmp_path):
    module = small_module(Heat1D(), phases=[Phase(ADAM, steps=4)])
    board = TensorBoardLogger(tmp_path)
    trainer = plain_trainer(tmp_path, logger=board, callbacks=[callback], enable_progress_bar=False)
    trainer.fit(module, datamodule=Rows(module.problem))
    assert trainer.global_step == 4
    assert module.evaluations == 4


POINTS = torch.rand(10, 2)


@pytest.mark.parametrize("loader", [DataLoader(POINTS, batch_size=4), DataLoader(TensorDataset(POINTS), batch_size=4)])
def test_predicts_at_points_alone(loader, tmp_path):
    module = small_module()
    found = plain_trainer(tmp_path, enable_progress_bar=False).predict(module, loader)
    assert torch.equal(torch.cat([batch["points"] for batch in found]), POINTS.double())
    with torch.no_grad():
        assert torch.allclose(torch.cat([batch["prediction"] for batch in found]), module(POINTS.double()))


@pytest.mark.parametrize(
    ("use", "rows", "message"),
    [
        (
            "predict",
            TensorDataset(POINTS, POINTS),
            r"points \(n, 2\), a column for each .* got 2 of shape \(10, 2\), sha",
        ),
        ("predict", POINTS[:, :1], r"points \(n, 2\), a column for each coordinate, got shape \(10, 1\)"),
        ("predict", [{"x": 0.0}], r"points \(n, 2\), a column for each coordinate, got x"),
        ("validate", TensorDataset(POINTS), r"evaluation and held-out points, got 1 of shape \(10, 2\)"),
        ("test", POINTS, r"evaluation and held-out points, got shape \(10, 2\)"),
        ("test", [{"points": 0.0}], "evaluation and held-out points, got points"),
    ],
)
def test_a_loader_of_other_data_is_refused(use, rows, message, tmp_path):
    trainer = plain_trainer(tmp_path, enable_progress_bar=False)
    with pytest.raises(ConfigurationError, match=f"^data: a batch must hold {message}"):
        getattr(trainer, use)(small_module(), DataLoader(rows, batch_size=10))


# ------------------------------------------------------------------------------------------ hparams


def test_hparams_are_primitives_and_in_no_checkpoint(tmp_path):
    trainer = plain_trainer(tmp_path, enable_progress_bar=False)
    module, data = train(trainer)
    for value in {**module.hparams, **data.hparams}.values():
        assert isinstance(value, (str, int, float))
    saved = torch.load(trainer.checkpoint_callback.last_model_path, weights_only=True)
    assert [key for key in saved if "hparams" in key or "hyper" in key] == []
    path = trainer.checkpoint_callback.last_model_path
    loaded = PINN.load_from_checkpoint(
        path, problem=module.problem, network=small_module().trial.network.network, compile=False
    )
    assert torch.equal(first_weights(loaded), first_weights(module))


def test_a_checkpoint_read_without_its_problem_is_told_how(tmp_path):
    with pytest.raises(ConfigurationError, match=r"give it problem= and network= .* pinnlab.load\('a.ckpt'\)"):
        PINN.load_from_checkpoint("a.ckpt")


class Named(PINN):
    """A user's module with an option of its own, saved the way Lightning does."""

    def __init__(self, label, **options):
        super().__init__(**options)
        self.save_hyperparameters({"label": label})


def test_what_a_subclass_saves_of_its_own_stays(tmp_path):
    module = Named("mine", problem=Poisson1D(), phases=[Phase(ADAM, steps=2)], compile=False)
    trainer = plain_trainer(tmp_path, enable_progress_bar=False)
    trainer.fit(module, CollocationDataModule(module.problem, points=9, held_out=3, evaluation_points=50))
    saved = torch.load(trainer.checkpoint_callback.last_model_path, weights_only=True)
    assert saved["hyper_parameters"] == {"label": "mine"}
    assert module.hparams["problem"] == "Poisson1D"


def test_tensorboard_gets_the_settings(tmp_path):
    train(quiet_trainer(logger=TensorBoardLogger(tmp_path)))
    text = (tmp_path / "lightning_logs" / "version_0" / "hparams.yaml").read_text()
    assert "problem: Burgers\n" in text
    assert "points: pde 21, wall 21, start 21\n" in text
