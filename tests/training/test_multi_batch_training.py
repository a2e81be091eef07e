"""Multi-batch L-BFGS inside the Trainer: which points it gets, what makes a pair, what is refused."""

from __future__ import annotations

import lightning as L
import numpy as np
import pytest
from training import ADAM, quiet_trainer, small_data, small_module

from pinnlab.errors import ConfigurationError
from pinnlab.optimizers import LBFGS, MultiBatchLBFGS
from pinnlab.training.phases import Phase

pytestmark = pytest.mark.filterwarnings("ignore")


def phases(steps=8):
    return [Phase(ADAM, steps=3), Phase(MultiBatchLBFGS, steps=steps)]


def test_trainer_hands_over_the_overlap_in_its_phase_only():
    module = small_module(phases=phases())
    data = small_data(module.problem, batch_size=8)
    trainer = quiet_trainer()
    trainer.fit(module, data)
    optimizer = module.current_optimizer()
    memory = optimizer.state[optimizer.param_groups[0]["params"][0]]
    assert memory["shared_number"] == data.store.batches.cursor == 11
    assert memory["written"] >= 5
    assert module.evaluations == 3 + optimizer.evaluations == 3 + 3 * 8 - 1


@pytest.mark.parametrize(("last", "full", "overlapping"), [(LBFGS, True, False), (MultiBatchLBFGS, False, True)])
def test_points_fit_the_optimizer_of_the_phase(last, full, overlapping):
    module = small_module(phases=[*phases(2), Phase(ADAM, steps=1), Phase(last, steps=1)])
    data = small_data(module.problem, batch_size=8)
    quiet_trainer().fit(module, data)
    assert (data.store.batches.full, data.store.batches.overlapping) == (full, overlapping)


def test_no_pair_spans_new_points():
    class NewPoints(L.Callback):
        """New points after the seventh step; notes the number of pairs after every step."""

        def on_train_batch_end(self, trainer, pl_module, *unused):
            memory = pl_module.current_optimizer().state.get(next(pl_module.trial.parameters()), {})
            self.written.append(memory.get("written", 0))
            if trainer.global_step == 7:
                store = trainer.datamodule.store
                store.replace({"pde": store.draw("pde", 21)})

    watch = NewPoints()
    watch.written = []
    module = small_module(phases=[Phase(ADAM, steps=3), Phase(MultiBatchLBFGS, steps=8)])
    quiet_trainer(callbacks=[watch]).fit(module, small_data(module.problem, batch_size=8))
    steps = np.diff(watch.written)
    # Adam: none; the first step of the phase and the one after the new points begin a pair and complete none.
    assert steps.tolist() == [0, 0, 0, 1, 1, 1, 0, 1, 1, 1]


def test_trainer_without_mini_batches_shares_everything():
    module = small_module(phases=phases())
    data = small_data(module.problem)
    quiet_trainer().fit(module, data)
    assert module.evaluations == 11
    assert module.current_optimizer().evaluations == 8


@pytest.mark.parametrize(
    ("data_options", "trainer_options", "key"),
    [
        ({"batch_size": 1}, {}, "data.batch_size"),
        ({"batch_size": 5}, {"accumulate_grad_batches": 2}, "accumulate_grad_batches"),
        ({"batch_size": 5}, {"precision": "bf16-mixed"}, "trainer.precision"),
    ],
)
def test_refused_combinations(data_options, trainer_options, key):
    module = small_module(phases=phases())
    data = small_data(module.problem, **data_options)
    with pytest.raises(ConfigurationError, match=key):
        quiet_trainer(**trainer_options).fit(module, data)
