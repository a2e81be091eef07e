"""Phases in another precision than the module's."""

import contextlib
import functools
import warnings

import lightning as L
import pytest
import torch
from compiling import needs_compiler
from lightning.pytorch.callbacks import ModelCheckpoint
from torchmetrics import Metric
from training import ADAM, PRIMAL, QUASI_NEWTON, Poison, Recorder, full_run, quiet_trainer, small_data, small_module

from pinnlab.callbacks import Rollback
from pinnlab.errors import ConfigurationError, StopReason
from pinnlab.networks import MLP
from pinnlab.objective.global_loss import GlobalLoss
from pinnlab.optimizers import BFGS
from pinnlab.problems import Burgers
from pinnlab.training.module import PINN
from pinnlab.training.phases import Phase
from pinnlab.training.switching import phases_of

pytestmark = pytest.mark.filterwarnings("ignore")

SINGLE, DOUBLE = torch.float32, torch.float64
UP = [Phase(ADAM, steps=3, dtype="float32"), Phase(QUASI_NEWTON, steps=3)]
DOWN = [Phase(ADAM, steps=3), Phase(ADAM, steps=3, dtype="float32")]


class Watch(L.Callback):
    """Keeps what the steps begin with."""

    def __init__(self):
        self.weights, self.rows, self.dtypes = [], [], []

    def on_train_batch_start(self, trainer, pl_module, batch, *unused):
        self.weights.append({name: p.detach().clone() for name, p in pl_module.trial.named_parameters()})
        self.rows.append({name: rows.clone() for name, rows in batch.items()})

    def on_train_batch_end(self, trainer, pl_module, *unused):
        """Of everything a step has to do with, after the step: of the next phase where that begins."""
        tensors = {**pl_module.trial.tensors(), "weights": pl_module.loss_weights, **trainer.datamodule.store.rows}
        gradients = {f"{name}'": p.grad for name, p in pl_module.trial.named_parameters() if p.grad is not None}
        states = [s for state in trainer.optimizers[0].state.values() for s in state.values()]
        found = {t.dtype for t in (*tensors.values(), *gradients.values())} | {pl_module.dtype}
        found |= {s.dtype for s in states if isinstance(s, torch.Tensor) and s.ndim}
        self.dtypes.append(found)


def fit(module, *callbacks, data=None, **options):
    watch, data = Watch(), data or small_data(module.problem)
    trainer = quiet_trainer(callbacks=[*callbacks, watch], **options)
    trainer.fit(module, data)
    return watch, trainer, data


def cast(tensors, dtype):
    return {name: tensor.to(dtype) for name, tensor in tensors.items()}


def same(one, two):
    return one.keys() == two.keys() and all(
        torch.equal(one[name], two[name]) and one[name].dtype == two[name].dtype for name in one
    )


@pytest.mark.parametrize(("phases", "first", "second"), [(UP, SINGLE, DOUBLE), (DOWN, DOUBLE, SINGLE)])
def test_everything_is_in_the_precision_of_the_phase(phases, first, second):
    module = small_module(phases=phases)
    watch, _, data = fit(module)
    assert watch.dtypes == [{first}] * 3 + [{second}] * 3
    assert module.dtype == data.store.dtype == second  # the last phase's stays
    metrics = [m for m in module.errors.modules() if isinstance(m, Metric)]
    assert [type(m).__name__ for m in metrics] == ["RelativeL2", "MaxError", "ErrorSpectrum"]
    assert {state.dtype for m in metrics for state in m._defaults.values()} == {DOUBLE}


def test_a_phase_without_one_has_the_dtype_of_the_module():
    module = small_module(phases=[Phase(ADAM, steps=1, dtype="float64"), Phase(ADAM, steps=2)], dtype="float32")
    watch, _, _ = fit(module)
    assert [rows["pde"].dtype for rows in watch.rows] == [DOUBLE, SINGLE, SINGLE]


def test_a_phase_in_float32_is_what_a_module_in_float32_does():
    one, two = Recorder(), Recorder()
    fit(
        small_module(phases=[Phase(ADAM, steps=4, dtype="float32"), Phase(QUASI_NEWTON, steps=3, dtype="float32")]), one
    )
    fit(small_module(phases=[Phase(ADAM, steps=4), Phase(QUASI_NEWTON, steps=3)], dtype="float32"), two)
    assert same(one.parameters, two.parameters)
    assert set(one.parameters) == set(range(1, 8))


def test_float64_goes_on_from_the_exact_weights_and_points():
    recorder = Recorder()
    watch, _, _ = fit(small_module(phases=UP), recorder)
    flat = torch.cat([p.reshape(-1) for p in watch.weights[3].values()])
    other = small_module(phases=UP[1:])
    before = small_data(other.problem)
    before.setup("fit")
    assert same(watch.rows[3], before.store.rows)
    assert same(watch.rows[0], cast(before.store.rows, SINGLE))
    torch.nn.utils.vector_to_parameters(flat.clone(), other.trial.parameters())
    again = Recorder()
    fit(other, again)
    assert torch.equal(flat, recorder.parameters[3].double())
    for step in (1, 2, 3):
        assert torch.equal(again.parameters[step], recorder.parameters[step + 3]), step


def test_float32_begins_with_the_rounded_weights():
    recorder = Recorder()
    watch, _, _ = fit(small_module(phases=DOWN), recorder)
    assert torch.equal(torch.cat([p.reshape(-1) for p in watch.weights[3].values()]), recorder.parameters[3].float())


class Validation(L.Callback):
    """Keeps what validation found beside what the network says at the exact points of evaluation."""

    def __init__(self):
        self.found = []

    def on_validation_end(self, trainer, pl_module):
        points, reference = trainer.datamodule.evaluation_set()
        with torch.no_grad():
            error = (pl_module(points.to(pl_module.dtype)).double() - reference).norm() / reference.norm()
        self.found.append((pl_module.dtype, float(trainer.callback_metrics["relative_l2/u"]), float(error)))


@pytest.mark.parametrize("phases", [UP, DOWN])
def test_validation_follows_the_precision(phases):
    validation = Validation()
    fit(small_module(phases=phases), validation, val_check_interval=2)
    assert {dtype for dtype, _, _ in validation.found} == {SINGLE, DOUBLE}
    for _, found, expected in validation.found:
        assert found == pytest.approx(expected, rel=1e-13)


class FirstWeights(L.Callback):
    """Keeps the weights that validation and its like are made with."""

    def on_validation_start(self, trainer, pl_module):
        self.weights, self.own = {k: p.detach().clone() for k, p in pl_module.trial.named_parameters()}, pl_module.dtype

    on_test_start = on_predict_start = on_validation_start


@pytest.mark.parametrize("stage", ["validate", "test", "predict"])
@pytest.mark.parametrize("step", [2, 5])
@pytest.mark.parametrize("fresh", [True, False])
def test_evaluating_a_checkpoint_has_the_modules_own_dtype(tmp_path, stage, step, fresh):
    saver = ModelCheckpoint(tmp_path, "{step}", every_n_train_steps=1, save_top_k=-1, save_on_train_epoch_end=False)
    module, recorder = small_module(phases=DOWN), Recorder()
    fit(module, recorder, saver, enable_checkpointing=True)
    assert module.dtype == SINGLE
    evaluated, first = small_module(phases=DOWN) if fresh else module, FirstWeights()
    path = tmp_path / f"step={step}.ckpt"
    trainer = quiet_trainer(callbacks=[first])
    getattr(trainer, stage)(evaluated, small_data(module.problem), ckpt_path=path, weights_only=True)
    assert first.own == DOUBLE
    assert torch.equal(torch.cat([p.reshape(-1) for p in first.weights.values()]), recorder.parameters[step].double())


def three():
    return [
        Phase(ADAM, steps=3, dtype="float32"),
        Phase(functools.partial(BFGS, iterations=2), steps=3, dtype="float64", width=3),
        Phase(ADAM, steps=3, dtype="float32", points=9),
    ]


@pytest.mark.parametrize("own", ["float64", "float32"])
def test_resume_is_bitwise_with_width_and_points_too(tmp_path, own):
    phases = three()
    phases[0].width = 3
    whole, _, module, _ = full_run(tmp_path / "whole", every=1, phases=phases, dtype=own)
    paths = sorted((tmp_path / "whole").glob("*.ckpt"))
    assert len(paths) == 9
    for path in paths:
        again, _, resumed, data = full_run(tmp_path / "again", path, every=100, phases=phases, dtype=own)
        assert resumed.evaluations == module.evaluations
        assert resumed.dtype == data.store.dtype == SINGLE
        assert same(again.parameters, {step: whole.parameters[step] for step in again.parameters}), path.name


@pytest.mark.parametrize("phases", [UP, DOWN])
@pytest.mark.parametrize("step", [2, 3, 4])
def test_rollback_does_not_mix_precisions(phases, step):
    """In the first phase; at the first step of the second one, with a snapshot of the first; and after that."""
    module, rollback = small_module(phases=phases), Rollback(every=1)
    watch, trainer, _ = fit(module, rollback, Poison(step))
    assert rollback.returns == 1
    assert all(len(dtypes) == 1 for dtypes in watch.dtypes)
    assert watch.dtypes[-1] == {SINGLE if phases is DOWN else DOUBLE}
    assert all(p.isfinite().all() for p in module.parameters())
    assert phases_of(trainer).records[-1].stopped == StopReason.STEPS.value


def test_a_matrix_that_fits_in_float32_only_is_refused_in_float64():
    parameters = sum(p.numel() for p in small_module().trial.parameters())
    dense = functools.partial(BFGS, max_memory=6 * parameters**2 / 2**30)  # between 4 and 8 bytes an entry
    fit(small_module(phases=[Phase(dense, steps=1, dtype="float32")]))
    with pytest.raises(ConfigurationError, match="max_memory"):
        fit(small_module(phases=[Phase(ADAM, steps=1), Phase(dense, steps=1, dtype="float64")], dtype="float32"))


def test_an_unknown_dtype_is_refused():
    with pytest.raises(
        ConfigurationError, match=r"^unknown model\.phases\.dtype 'float16'.*known: float32, float64, tensorfloat32$"
    ):
        Phase(ADAM, steps=1, dtype="float16")


def test_lightning_must_not_cast_too():
    with pytest.raises(ConfigurationError, match=r"^trainer\.precision: 64-true casts.*model\.phases\.dtype$"):
        fit(small_module(phases=UP), precision="64-true")
    with pytest.raises(ConfigurationError, match=r"^trainer\.precision: 64-true casts.*model\.dtype: float32$"):
        fit(small_module(dtype="float32"), precision="64-true")  # points stayed rounded to float32, in float64


def test_a_checkpoint_of_another_dtype_is_refused(tmp_path):
    full_run(tmp_path, every=2, phases=UP)
    with pytest.raises(
        ConfigurationError, match=r"ckpt_path.*has dtype float32 in phase 1, this run None.*model\.phases\.dtype"
    ):
        full_run(tmp_path / "other", tmp_path / "step=2.ckpt", phases=[Phase(ADAM, steps=3), UP[1]])


@pytest.mark.slow
@needs_compiler
@pytest.mark.filterwarnings("default")
def test_compiled_functions_follow_the_precision():
    phases = [Phase(ADAM, steps=2, dtype="float32"), Phase(QUASI_NEWTON, steps=2), Phase(PRIMAL, steps=2)]
    module, recorder = small_module(phases=phases, compile=True), Recorder()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        watch, _, _ = fit(module, recorder)
    assert not [w for w in caught if "not compiled" in str(w.message)]
    assert watch.dtypes == [{SINGLE}] * 2 + [{DOUBLE}] * 4
    expected = Recorder()
    fit(small_module(phases=phases), expected)
    assert torch.allclose(recorder.parameters[2], expected.parameters[2], rtol=1e-4, atol=1e-5)
    other = PINN(module.problem, functools.partial(MLP, hidden=[6, 6]), phases[1:], compile=False)
    torch.nn.utils.vector_to_parameters(recorder.parameters[2].double(), other.trial.parameters())
    fit(other, expected)
    for step in (1, 2, 3, 4):
        assert torch.allclose(recorder.parameters[step + 2], expected.parameters[step], rtol=1e-7, atol=1e-9), step


def test_the_width_of_the_domain_is_exact_again_in_float64():
    """Bounds that float32 rounds must not stay rounded: a periodic network would no longer be periodic."""
    module = small_module(Burgers(viscosity=0.1, exact_conditions=False), phases=UP)
    buffers = {name: buffer.clone() for name, buffer in module.named_buffers()}
    fit(module)
    assert same(dict(module.named_buffers()), buffers)


@pytest.mark.parametrize("fails", [False, True])
def test_products_are_exact_while_a_run_trains_and_as_they_were_after(fails):
    class Look(L.Callback):
        def on_train_batch_end(self, trainer, pl_module, *unused):
            seen.append(torch.get_float32_matmul_precision())
            if fails:
                raise KeyError

    seen, module = [], small_module(phases=[Phase(ADAM, steps=2, dtype="float32")])
    torch.set_float32_matmul_precision("high")
    try:
        with pytest.raises(KeyError) if fails else contextlib.nullcontext():
            quiet_trainer(callbacks=[Look()]).fit(module, small_data(module.problem))
        assert set(seen) == {"highest"}
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision("highest")


class Products(L.Callback):
    """Keeps how products of float32 matrices are rounded at each step, and of which kind parameters are."""

    def __init__(self):
        self.seen = []

    def on_train_batch_start(self, trainer, pl_module, *unused):
        self.seen.append((torch.get_float32_matmul_precision(), str(pl_module.dtype)))


def test_coarse_products_are_of_the_phase_that_asks_for_them(monkeypatch):
    builds = []
    build = GlobalLoss.build
    monkeypatch.setattr(GlobalLoss, "build", lambda own, device: (builds.append(1), build(own, device))[1])
    names = ["tensorfloat32", "float32", None]
    module = small_module(phases=[Phase(ADAM, steps=2, dtype=name) for name in names])
    products = Products()
    fit(module, products)
    expected = [("high", "torch.float32"), ("highest", "torch.float32"), ("highest", "torch.float64")]
    assert products.seen == [pair for pair in expected for _ in range(2)]
    assert torch.get_float32_matmul_precision() == "highest"
    assert len(builds) >= 4  # cast and rounded, at the start of the fit, rounded, cast
    small_module(phases=[Phase(ADAM, steps=2, dtype="tensorfloat32")])
    assert torch.get_float32_matmul_precision() == "highest"  # outside of training nothing is set


def test_a_run_that_is_resumed_in_such_a_phase_goes_on_with_it(tmp_path):
    def module():
        return small_module(phases=[Phase(ADAM, steps=4, dtype="tensorfloat32"), Phase(ADAM, steps=2)])

    whole, _, _ = fit(module())
    keep = ModelCheckpoint(tmp_path, every_n_train_steps=2, save_top_k=-1, filename="{step}")
    fit(module(), keep, enable_checkpointing=True)
    again, products, watch = module(), Products(), Watch()
    quiet_trainer(callbacks=[products, watch]).fit(again, small_data(again.problem), ckpt_path=tmp_path / "step=2.ckpt")
    assert [setting for setting, _ in products.seen] == ["high"] * 2 + ["highest"] * 2
    for expected, found in zip(whole.weights[2:], watch.weights, strict=True):
        assert all(torch.equal(expected[name], found[name]) for name in expected)


@pytest.mark.parametrize(("dtypes", "warned"), [((None, "float64"), 1), (("float32", None), 0), (("float32",) * 2, 0)])
def test_a_card_made_for_float32_is_named_once_with_the_two_ways_out(dtypes, warned, monkeypatch):
    monkeypatch.setattr("pinnlab.training.phases.has_slow_float64", lambda device: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "A small card")
    module = small_module(phases=[Phase(ADAM, steps=2, dtype=dtype) for dtype in dtypes])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        quiet_trainer().fit(module, small_data(module.problem))
    lines = [str(w.message) for w in caught if "A small card" in str(w.message)]
    assert len(lines) == warned
    assert all("model.phases.dtype" in line and "data-centre card" in line for line in lines)
