"""Phases that train a narrow network inside a wide one."""

import contextlib
import functools

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.utils.flop_counter import FlopCounterMode
from training import ADAM, QUASI_NEWTON, Poison, Recorder, full_run, quiet_trainer, small_data, small_module, two_levels

from pinnlab.callbacks import Rollback
from pinnlab.errors import ConfigurationError, StopReason
from pinnlab.networks import MLP, PirateNet
from pinnlab.objective.parameter_derivatives import jacobian_rows
from pinnlab.problems import Burgers
from pinnlab.training.module import PINN
from pinnlab.training.phases import Phase
from pinnlab.training.switching import phases_of

pytestmark = pytest.mark.filterwarnings("ignore")

WIDTH = 3
COARSE = [Phase(ADAM, steps=4, width=WIDTH), Phase(QUASI_NEWTON, steps=3, width=WIDTH)]
FINE = Phase(QUASI_NEWTON, steps=3)


def fit(module, *callbacks, **options):
    trainer = quiet_trainer(callbacks=list(callbacks), **options)
    trainer.fit(module, small_data(module.problem))
    return trainer


def small_twin(module):
    """A module whose network is built as narrow as the other's phase and has its weights."""
    twin = PINN(module.problem, functools.partial(MLP, hidden=[WIDTH, WIDTH]), compile=False)
    twin.trial.load_state_dict(module.trial.narrowed(module.trial.state_dict(), WIDTH))
    return twin


def batch_of(module):
    data = small_data(module.problem)
    data.setup("fit")
    return data.store.batch()


def inside(module):
    """Which entries of the flat parameter vector belong to the narrow network."""
    masks = {name: torch.zeros_like(p, dtype=torch.bool) for name, p in module.trial.named_parameters()}
    for mask in module.trial.narrowed(masks, WIDTH).values():
        mask.fill_(True)
    return torch.cat([mask.reshape(-1) for mask in masks.values()])


def flat(module):
    return torch.cat([p.detach().reshape(-1) for p in module.trial.parameters()])


class Watch(L.Callback):
    """Compares the whole network with its narrow part before every step."""

    def __init__(self):
        self.distances, self.widths = [], []
        self.points = torch.rand(50, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def on_train_batch_start(self, trainer, pl_module, *unused):
        self.widths.append(pl_module.system.width)
        with torch.no_grad():
            self.distances.append((pl_module(self.points) - small_twin(pl_module)(self.points)).abs().max().item())


def test_narrow_loss_and_residuals_are_those_of_the_small_network():
    module = small_module()
    module.system.set_width(WIDTH)
    batch, twin = batch_of(module), small_twin(module)
    assert module.training_step(batch, 0).item() == pytest.approx(twin.training_step(batch, 0).item(), rel=1e-12)
    whole = {name: module.system.score(name, rows) for name, rows in batch.items()}
    module.system.set_width(None)
    for name, rows in batch.items():
        assert torch.allclose(whole[name], twin.system.score(name, rows), rtol=1e-10)
        assert torch.allclose(whole[name], module.system.score(name, rows), rtol=1e-9)  # the whole net says the same


def test_gradient_is_that_of_the_small_network_and_zero_outside():
    module = small_module()
    module.system.set_width(WIDTH)
    batch, twin = batch_of(module), small_twin(module)
    module.training_step(batch, 0).backward()
    twin.training_step(batch, 0).backward()
    gradient = torch.cat([p.grad.reshape(-1) for p in module.trial.parameters()])
    expected = torch.cat([p.grad.reshape(-1) for p in twin.trial.parameters() if p.grad is not None])
    assert torch.allclose(gradient[inside(module)], expected, rtol=1e-10, atol=1e-13)
    assert not gradient[~inside(module)].any()
    assert inside(module).sum() == sum(p.numel() for p in twin.trial.parameters())


def test_jacobian_is_that_of_the_small_network_and_zero_outside():
    module = small_module()
    module.system.set_width(WIDTH)
    batch, twin = batch_of(module), small_twin(module)
    values, rows = jacobian_rows(module.system, module.trial.tensors(), batch)
    expected_values, expected_rows = jacobian_rows(twin.system, twin.trial.tensors(), batch)
    assert torch.allclose(values, expected_values, rtol=1e-10, atol=1e-12)
    assert torch.allclose(rows[:, inside(module)], expected_rows, rtol=1e-10, atol=1e-12)
    assert not rows[:, ~inside(module)].any()


def test_costs_what_the_small_network_costs():
    def flops(module, batch):
        with FlopCounterMode(display=False) as counter:
            module.training_step(batch, 0).backward()
        return counter.get_total_flops()

    module = small_module()
    batch = batch_of(module)
    whole = flops(module, batch)
    floats = module.system.floats_per_row()
    module.system.set_width(WIDTH)
    assert flops(module, batch) == flops(small_twin(module), batch) < 0.5 * whole
    assert module.system.floats_per_row() == {name: count * WIDTH // 6 for name, count in floats.items()}


def test_the_whole_network_is_the_narrow_one_until_the_switch():
    module, watch = small_module(phases=[*COARSE, FINE]), Watch()
    fit(module, watch)
    assert watch.widths == [WIDTH] * 7 + [None] * 3
    assert max(watch.distances[:8]) < 1e-14  # the eighth: the switch itself changes nothing
    assert min(watch.distances[8:]) > 1e-6


def test_neurons_outside_keep_their_first_weights_and_join_afterwards():
    fresh, recorder = flat(small_module()), Recorder()
    module = small_module(phases=[*COARSE, FINE])
    fit(module, recorder)
    outside = ~inside(module)
    marks = {name: torch.zeros_like(p) for name, p in module.trial.named_parameters()}
    for name in ("network.network.hidden.1.weight", "network.network.last.weight"):
        marks[name][:WIDTH, WIDTH:] = 1
    silenced = torch.cat([mark.reshape(-1) for mark in marks.values()]).bool()
    assert silenced.sum() == WIDTH * 3 + 3
    for step in range(1, 8):
        now = recorder.parameters[step]
        assert not now[silenced].any()
        assert torch.equal(now[outside & ~silenced], fresh[outside & ~silenced])
        assert not torch.equal(now[~outside], fresh[~outside])
    assert (recorder.parameters[8][silenced] != 0).all()


def test_weight_decay_leaves_the_whole_network_narrow():
    decaying = functools.partial(torch.optim.AdamW, lr=5e-3, weight_decay=0.1)
    module, watch = small_module(phases=[Phase(decaying, steps=8, width=WIDTH)]), Watch()
    fit(module, watch)
    assert max(watch.distances) < 1e-14


def test_three_levels():
    module, watch = small_module(phases=[Phase(ADAM, steps=3, width=w) for w in (2, 4, None)]), Watch()
    values = []

    class Values(L.Callback):
        def on_train_batch_start(self, trainer, pl_module, *unused):
            values.append(pl_module(watch.points).detach())

    saver = Recorder()
    fit(module, watch, Values(), saver)
    assert watch.widths == [2, 2, 2, 4, 4, 4, None, None, None]
    for step in (3, 6):  # the function after a switch is the one before it
        before = small_module()
        torch.nn.utils.vector_to_parameters(saver.parameters[step], before.trial.parameters())
        before.system.set_width(watch.widths[step - 1])
        narrow = torch.func.functional_call(before.trial, before.system._tensors(), (watch.points,))
        assert torch.allclose(narrow, values[step], rtol=0, atol=1e-14)


class States(L.Callback):
    """Adam's state after each step, of all parameters in one vector."""

    def __init__(self):
        self.steps, self.means = [], []

    def on_train_batch_end(self, trainer, pl_module, *unused):
        states = list(trainer.optimizers[0].state.values())
        self.steps.append({int(state["step"]) for state in states})
        self.means.append(torch.cat([state["exp_avg"].reshape(-1) for state in states]))


@pytest.mark.parametrize("prolonged", [True, False])
def test_adam_goes_on_with_its_moments_in_a_wider_phase(prolonged):
    states, recorder = States(), Recorder()
    faster = functools.partial(torch.optim.Adam, lr=2e-2)
    phases = [Phase(ADAM, steps=4, width=WIDTH), Phase(faster, steps=2, prolong=prolonged)]
    module = small_module(phases=phases)
    trainer = fit(module, states, recorder)
    assert states.steps == [{k} for k in ([1, 2, 3, 4, 5, 6] if prolonged else [1, 2, 3, 4, 1, 2])]
    assert trainer.optimizers[0].param_groups[0]["lr"] == 2e-2  # its own
    before = small_module()
    torch.nn.utils.vector_to_parameters(recorder.parameters[4], before.trial.parameters())
    batch, weights = module.batch, module.loss_weights
    loss = before.system.weighted_loss(
        before.trial.tensors(), batch, weights / torch.tensor([*map(len, batch.values())])
    )
    gradient = torch.cat([g.reshape(-1) for g in torch.autograd.grad(loss[0], list(before.trial.parameters()))])
    carried = states.means[3] if prolonged else torch.zeros_like(gradient)
    torch.testing.assert_close(states.means[4], 0.9 * carried + 0.1 * gradient, rtol=1e-9, atol=1e-12)
    assert not states.means[3][~inside(module)].any()


NOT_PROLONGED = {
    r"model\.phases\.0\.prolong: there is no phase before": [Phase(ADAM, steps=1, prolong=True)],
    r"model\.phases\.1\.prolong: is for first-order optimizers such as Adam, not LBFGS": [
        Phase(QUASI_NEWTON, steps=1), Phase(QUASI_NEWTON, steps=1, prolong=True),
    ],
    r"model\.phases\.1\.prolong: Adam cannot go on from the state of SGD": [
        Phase(functools.partial(torch.optim.SGD, lr=1e-3), steps=1), Phase(ADAM, steps=1, prolong=True),
    ],
}  # fmt: skip


@pytest.mark.parametrize("message", NOT_PROLONGED)
def test_what_cannot_go_on_is_refused_in_one_line(message):
    with pytest.raises(ConfigurationError, match=rf"^{message}.*$"):
        fit(small_module(phases=NOT_PROLONGED[message]))


@pytest.mark.slow
def test_resume_is_bitwise_in_the_narrow_phase_and_at_the_switch(tmp_path):
    whole, _, module, _ = full_run(tmp_path / "whole", every=1, phases=two_levels())
    checkpoints = sorted((tmp_path / "whole").glob("*.ckpt"))
    assert len(checkpoints) >= 12
    for path in checkpoints:
        again, _, resumed, _ = full_run(tmp_path / "again", ckpt_path=path, every=100, phases=two_levels())
        assert resumed.evaluations == module.evaluations, path.name
        for step, parameters in again.parameters.items():
            assert torch.equal(parameters, whole.parameters[step]), f"{path.name}: step {step} differs"


def test_a_checkpoint_of_the_narrow_phase_is_the_whole_network(tmp_path):
    module = small_module(phases=[Phase(ADAM, steps=2, width=WIDTH)])
    saver = ModelCheckpoint(dirpath=tmp_path, every_n_train_steps=2, save_on_train_epoch_end=False)
    fit(module, saver, enable_checkpointing=True)
    other = small_module()
    other.load_state_dict(torch.load(saver.best_model_path, weights_only=True)["state_dict"])
    points = torch.rand(9, 2, dtype=torch.float64)
    assert torch.equal(other(points), module(points))
    assert torch.allclose(other(points), small_twin(module)(points), rtol=1e-13)


class Interrupt(L.Callback):
    """Ends the training by an error, or not."""

    def __init__(self, at):
        self.at = at

    def on_train_batch_start(self, trainer, pl_module, *unused):
        if trainer.global_step == self.at:
            raise RuntimeError("interrupted")


@pytest.mark.parametrize("error", [True, False])
def test_outside_of_training_the_whole_network_is_used(error):
    module = small_module(phases=[Phase(ADAM, steps=2, width=WIDTH)])
    with pytest.raises(RuntimeError, match="interrupted") if error else contextlib.nullcontext():
        fit(module, Interrupt(1 if error else 9))
    other = small_module(seed=1)
    module.load_state_dict(other.state_dict())
    batch = batch_of(module)
    assert module.training_step(batch, 0).item() == pytest.approx(other.training_step(batch, 0).item(), rel=1e-12)


@pytest.mark.slow
def test_compiled_functions_follow_the_width():
    recorders = [Recorder(), Recorder()]
    for recorder, compiled in zip(recorders, (False, True), strict=True):
        fit(small_module(Burgers(0.1), [*COARSE, FINE], compile=compiled), recorder)
    for step, expected in recorders[0].parameters.items():
        assert torch.allclose(recorders[1].parameters[step], expected, rtol=1e-7, atol=1e-9), step


@pytest.mark.parametrize(("step", "phases_seen"), [(2, [1, 2, 3]), (5, [1, 2, 1, 2, 3]), (8, [1, 2, 3, 2, 3])])
def test_rollback_keeps_the_width_of_the_phase(step, phases_seen):
    """In the middle of the narrow phase; at the first step of a second one; at the first one after it."""
    phases = [Phase(ADAM, steps=5, width=WIDTH), Phase(ADAM, steps=3, width=WIDTH), Phase(ADAM, steps=3)]
    module, watch, rollback = small_module(phases=phases), Watch(), Rollback(every=2)
    trainer = fit(module, watch, Poison(step), rollback)
    assert rollback.returns == 1
    assert watch.widths[step + 1] == WIDTH
    assert max(watch.distances[:9]) < 1e-14
    assert [r.phase for r in phases_of(trainer).records] == phases_seen
    assert phases_of(trainer).records[-1].stopped == StopReason.STEPS.value


REFUSED = {
    "narrower": ([Phase(ADAM, steps=1, width=4), Phase(ADAM, steps=1, width=3)], "3 comes after 4"),
    "after all": ([Phase(ADAM, steps=1), Phase(ADAM, steps=1, width=3)], "3 comes after all neurons"),
    "not narrow": ([Phase(ADAM, steps=1, width=6)], "6 leaves out no neuron"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_widths_are_refused_in_one_line(case):
    phases, message = REFUSED[case]
    with pytest.raises(ConfigurationError, match=rf"^model\.phases\.[01]\.width: {message}.*$"):
        fit(small_module(phases=phases))


@pytest.mark.parametrize("scale", [True, False])
def test_a_network_that_cannot_be_narrowed_is_refused(scale):
    module = PINN(Burgers(0.1), PirateNet, [Phase(ADAM, steps=1, width=3)], scale_inputs=scale, compile=False)
    with pytest.raises(ConfigurationError, match=r"^model\.phases\.0\.width: PirateNet cannot be narrowed.*$"):
        fit(module)


@pytest.mark.parametrize("key", ["steps", "width"])
def test_a_phase_refuses_zero(key):
    with pytest.raises(ConfigurationError, match=rf"model\.phases\.{key}: must be at least 1, got 0"):
        Phase(ADAM, **{key: 0})


def test_a_checkpoint_of_another_width_is_refused(tmp_path):
    full_run(tmp_path, every=3, phases=two_levels())
    with pytest.raises(
        ConfigurationError, match=r"ckpt_path.*has width 4 in phase 2, this run 3.*model\.phases\.width"
    ):
        full_run(tmp_path / "other", ckpt_path=tmp_path / "step=3.ckpt", phases=two_levels(width=2))
