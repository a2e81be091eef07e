"""A small training run with everything in it, for tests of resume, processes and callbacks."""

import functools

import lightning as L
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from terms import NETWORKS, TERMS, one_test_function

from pinnlab.callbacks import (
    BatchGrowth,
    CausalWeights,
    Continuation,
    Dashboard,
    ErrorMeasurement,
    FailureSignatures,
    FrequencyHistory,
    FreshPoints,
    LossBalancing,
    NTKSpectrum,
    ResidualAddition,
    ResidualAttention,
    ResidualResampling,
    RetainResample,
    Rollback,
    ScaleSearch,
    SelfAdaptive,
    SolutionFigures,
)
from pinnlab.criteria import TrialStep
from pinnlab.networks import MLP, RandomFeatures, Subdomains
from pinnlab.objective.balancing import LRA, GradientNorm, NTKTrace, ReLoBRaLo, SoftAdapt
from pinnlab.optimizers import (
    BFGS,
    LBFGS,
    SPRING,
    SSBFGS,
    EnergyNaturalGradient,
    FixedDamping,
    GainRatio,
    LeastSquares,
    LevenbergMarquardt,
    MultiBatchLBFGS,
    MultiPreconditionedLBFGS,
    NystromNewtonCG,
    SchwarzLBFGS,
    SSBroyden,
    TargetRatio,
    TargetRatioGaussNewton,
)
from pinnlab.problems import Burgers, FokkerPlanck, Heat1D, NeumannPoisson2D, SineGordonTwoBody
from pinnlab.training.batch_growth import Geometric, NormTest
from pinnlab.training.datamodule import CollocationDataModule
from pinnlab.training.module import PINN
from pinnlab.training.phases import Phase

ADAM = functools.partial(torch.optim.Adam, lr=5e-3)
QUASI_NEWTON = functools.partial(LBFGS, iterations=3, history=10)
DECAY = functools.partial(torch.optim.lr_scheduler.ExponentialLR, gamma=0.99)
LINEAR = functools.partial(torch.optim.lr_scheduler.LinearLR, total_iters=3)
WARM_UP = functools.partial(torch.optim.lr_scheduler.SequentialLR, schedulers=[LINEAR, DECAY], milestones=[3])
BOTH = functools.partial(torch.optim.lr_scheduler.ChainedScheduler, schedulers=[LINEAR, WARM_UP])

THREE_PHASES = [Phase(ADAM, steps=8, scheduler=DECAY), Phase(QUASI_NEWTON, steps=3), Phase(ADAM, steps=3)]
"""Callbacks of all kinds have their turn in these."""

# Enough damping that the order of sums over two processes does not matter at 1e-10.
PRIMAL = functools.partial(LevenbergMarquardt, damping=GainRatio(1e-2, lowest=1e-3))
DUAL = functools.partial(LevenbergMarquardt, form="dual", damping=GainRatio(1e-2, lowest=1e-3))
ORTHOGONAL = functools.partial(LevenbergMarquardt, form="qr", damping=GainRatio(1e-2, lowest=1e-3))
SKETCHED = functools.partial(ORTHOGONAL, sketch=1.0)
TARGET_RATIO = functools.partial(TargetRatioGaussNewton, damping=TargetRatio(initial=0.01))
NATURAL = functools.partial(EnergyNaturalGradient, damping=FixedDamping(1e-2))
ROW_SCALED = functools.partial(NATURAL, row_scaling=True)
NEWTON_CG = functools.partial(NystromNewtonCG, rank=8, refresh=2, cg_iterations=10)
LAST_LAYER = functools.partial(LeastSquares, tolerance=1e-2)
MATRIX_FREE = functools.partial(LeastSquares, matrix_free=True, tolerance=0.3)
SCHWARZ = functools.partial(SchwarzLBFGS, local_iterations=4)

MULTI_PRECONDITIONED = functools.partial(MultiPreconditionedLBFGS, local_evaluations=3, global_iterations=3, history=8)


def two_levels(width=3):
    """Adam and L-BFGS on a part of each layer, then L-BFGS on all of it."""
    return [
        Phase(ADAM, steps=3, scheduler=DECAY, width=width),
        Phase(ADAM, steps=2, width=width + 1, prolong=True),
        Phase(QUASI_NEWTON, steps=4, width=width + 1),
        Phase(QUASI_NEWTON, steps=5),
    ]


class Picky(torch.optim.SGD):
    """Gradient descent that blows up when it begins where the loss is not small yet."""

    def __init__(self, parameters, bound, lr=1e-3):
        super().__init__(parameters, lr=lr)
        self.bound = bound

    def step(self, closure=None):
        loss = super().step(closure)
        if loss > self.bound:
            with torch.no_grad():
                for parameter in self.param_groups[0]["params"]:
                    parameter.fill_(1e9)
        return loss


def trials():
    """Adam tries L-BFGS in vain; L-BFGS tries SSBroyden, and that is kept."""
    rarely, gladly = (TrialStep(window=4, evaluations=8, backoff=1.0, margin=margin) for margin in (1e9, 1e-9))
    return [
        Phase(ADAM, steps=6, until=rarely),
        Phase(QUASI_NEWTON, until=gladly),
        Phase(functools.partial(SSBroyden, iterations=3), steps=3),
    ]


def two_steps(*optimizers):
    """Adam, then two steps of each optimizer: one with what it starts with, and one with what it keeps."""
    return [Phase(ADAM, steps=3), *(Phase(optimizer, steps=2) for optimizer in optimizers)]


PHASES = {
    "dense": lambda: two_steps(*(functools.partial(o, iterations=3) for o in (BFGS, SSBFGS, SSBroyden))),
    "gauss_newton": lambda: two_steps(PRIMAL, NATURAL, DUAL),
    "singular_values": lambda: [
        *two_steps(ORTHOGONAL, TARGET_RATIO),
        Phase(SKETCHED, steps=2, points=31),  # more rows than there are sums, as many as parameters
    ],
    "last_layer": lambda: two_steps(LAST_LAYER, MATRIX_FREE, QUASI_NEWTON),
    "newton_cg": lambda: two_steps(QUASI_NEWTON, NEWTON_CG),
    "spring": lambda: two_steps(functools.partial(SPRING, damping=FixedDamping(1e-2)), ROW_SCALED),
    "two_levels": two_levels,
    "schwarz": lambda: [
        Phase(ADAM, steps=3),
        Phase(SCHWARZ, steps=2),
        Phase(functools.partial(SCHWARZ, mode="additive", blocks=2), steps=2),
    ],
    "multi_preconditioned": lambda: two_steps(MULTI_PRECONDITIONED),
    "multi_batch": lambda: [
        Phase(ADAM, steps=3),
        Phase(functools.partial(MultiBatchLBFGS, history=4), steps=11, scheduler=DECAY),
        Phase(ADAM, steps=3),
    ],
    "points": lambda: [
        Phase(ADAM, steps=3, points={"wall": 9}),
        Phase(ADAM, steps=3),
        Phase(QUASI_NEWTON, steps=4, points=33),
        Phase(QUASI_NEWTON, steps=2, points={"pde": 51}),
    ],
    "precision": lambda: [
        Phase(ADAM, steps=3, dtype="float32"),
        Phase(QUASI_NEWTON, steps=3),
        Phase(ADAM, steps=3, dtype="float32", scheduler=DECAY),
        Phase(PRIMAL, steps=3, dtype="float64"),
    ],
    "updates": lambda: [
        Phase(ADAM, steps=6, updates=3),
        Phase(ADAM, steps=3, updates=2, scheduler=DECAY, prolong=True),
        Phase(functools.partial(torch.optim.SGD, lr=1e-3), steps=2, updates=4),
        Phase(QUASI_NEWTON, steps=3),
    ],
    "warm_up": lambda: [
        Phase(ADAM, steps=7, scheduler=WARM_UP),
        Phase(QUASI_NEWTON, steps=2),
        Phase(ADAM, steps=7, scheduler=BOTH),
    ],
    "trials": trials,
    "going_back": lambda: [
        Phase(ADAM, steps=5, scheduler=DECAY),
        Phase(functools.partial(Picky, bound=2.5), steps=4),
        Phase(QUASI_NEWTON, steps=2),
    ],
}
"""Other phases than those of `small_module`, by name, for tests that start processes."""

POINT_CALLBACKS = {
    "fresh": lambda: [FreshPoints(every=3, at_switch=True)],
    "fresh_by_ratio": lambda: [FreshPoints(every=1, ratio=1.0, conditions=["pde"])],
    "rad_by_slope": lambda: [
        ResidualResampling(every=4, pool=101, score="residual_gradient", conditions=["pde", "wall"])
    ],
    "rar_d": lambda: [ResidualAddition(every=3, count=4, most=40, pool=101)],
    "rar_g": lambda: [ResidualAddition(every=None, at_switch=True, count=9, greedy=True, pool=101)],
    "r3": lambda: [RetainResample(every=2)],
    "r3_causal": lambda: [RetainResample(every=3, causal=True, speed=0.05, conditions=["pde", "wall"])],
    "several": lambda: [
        ResidualResampling(every=5, pool=101, score="solution_gradient", conditions=["start"]),
        ResidualAddition(every=6, count=3, pool=101, at_switch=True),
        RetainResample(every=3, causal=True, speed=0.05, conditions=["pde", "wall"]),
    ],
}
"""Callbacks that change points, by name, for `full_run`: all of them resume bitwise; the last ones on two processes."""

WEIGHT_CALLBACKS = {
    "gradient_norm": lambda: [
        LossBalancing(GradientNorm(decay=0.5), every=4, closure_every=8),
        ResidualAttention(every=3, eta=0.1, closure_every=7),
        SelfAdaptive(every=5, rate=0.05, mask="square", conditions=["wall"], closure_every=5),
        RetainResample(every=6),  # some weighted points stay
    ],
    "lra": lambda: [
        LossBalancing(LRA(decay=0.5), every=3, conditions=["pde", "start"], closure_every=3),
        CausalWeights(every=2, tolerances=[0.01, 0.1], chunks=4, threshold=0.5, last_weight=0.3, closure_every=4),
        ResidualResampling(every=11, pool=101),  # all weighted points go
    ],
    "ntk": lambda: [LossBalancing(NTKTrace(max_rows=5), every=4, closure_every=4)],
    "relobralo": lambda: [LossBalancing(ReLoBRaLo(alpha=0.5, expected_rho=0.5), every=2, closure_every=2)],
    "softadapt": lambda: [LossBalancing(SoftAdapt(beta=3.0), every=2, closure_every=2)],
}
"""Callbacks that change weights, by name, for `full_run`: all of them resume bitwise and agree on two processes."""

GROWTH_CALLBACKS = {
    "growth_by_plan": lambda: [BatchGrowth(Geometric(first=4), every=3), ResidualResampling(every=11, pool=101)],
    "growth_by_test": lambda: [BatchGrowth(NormTest(first=4, theta=1.0), every=2, until=12)],
}
"""Callbacks that let batches grow, by name, for `full_run`: they resume bitwise and agree on two processes."""

PROBLEM_CALLBACKS = {
    "continuation": lambda: [
        Continuation("viscosity", 1.0, steps=14, stages=8),
        ResidualResampling(every=11, pool=101),
    ],
    "continuation_by_loss": lambda: [Continuation("viscosity", 0.2, below=0.8, stages=3, schedule="linear")],
}
"""Callbacks that change the problem, by name, for `full_run`: they resume bitwise and agree on two processes."""

BOARD_CALLBACKS = {
    "board": lambda: [ErrorMeasurement(), Dashboard(), SolutionFigures(every=2), FrequencyHistory(every=2)]
}
"""Callbacks that write to TensorBoard: for `full_run` with such a logger; they resume, and only rank zero writes."""

WATCHING_CALLBACKS = {
    "spectrum": lambda: [NTKSpectrum(every=4, max_points=7), ResidualResampling(every=11, pool=101)],
    "signatures": lambda: [FailureSignatures(every=3), ResidualResampling(every=11, pool=101)],
}
"""Callbacks that only look on, by name, for `full_run`: they change no bit of a run, and agree on two processes."""

CONDITION_PROBLEMS = {
    "integral": lambda: NeumannPoisson2D(mean=0.5),
    "one_test_function": one_test_function,
    **{f"term_{name}": build for name, build in TERMS.items()},
    "sampled": lambda: SineGordonTwoBody(dim=6, sample=2),
    "traced": lambda: FokkerPlanck(dim=4, sample=2),
}
"""Problems by name, for `full_run`: with every kind of term, with an estimated Laplacian or trace, and with a condition
that has one row only: one of two processes has none of it."""


def condition_options(name):
    """The problem and phases that take it."""
    problem = CONDITION_PROBLEMS[name]()
    squares = [] if problem.energies() else [Phase(PRIMAL, steps=1)]
    estimated = any(wanted.samples for wanted in problem.wanted.values())
    second = Phase(ADAM, steps=4, scheduler=DECAY) if estimated else Phase(QUASI_NEWTON, steps=1)
    phases = [Phase(ADAM, steps=4), second, *squares]
    term = name.removeprefix("term_")
    network = {"network": NETWORKS[term]} if term in NETWORKS else {}
    return {"problem": problem, "phases": phases, "callbacks": [FreshPoints(every=3)], **network}


FEATURES = {
    "features": lambda: {
        "problem": Heat1D(),
        "network": functools.partial(RandomFeatures, count=12, scale=30.0),
        "phases": [Phase(ADAM, steps=2), Phase(LAST_LAYER, steps=1)],
        "callbacks": [ScaleSearch([8.0, 2.0, 30.0])],
    }
}
"""Options by name, for `full_run`, of runs on random features whose scale is searched for."""

PARTS = {
    "parts": lambda: {
        "network": functools.partial(Subdomains, grid=[3, 2], levels=2, network=functools.partial(MLP, hidden=[4])),
        "phases": two_steps(MULTI_PRECONDITIONED),
        "callbacks": [FreshPoints(every=4)],
    }
}
"""Options by name, for `full_run`, of runs that train the windows of a network as blocks."""

BATCH_SIZES = {"multi_batch": 5}  # one row is shared: the second of two processes has none of it
"""The size of mini-batches for those of `PHASES` that are not trained on all points."""

TOLERANCES = {"precision": 1e-6}
"""How far two processes may be from one with those of `PHASES` in which the order of sums is seen."""


def small_module(problem=None, phases=None, **options):
    problem = problem or Burgers(viscosity=0.1, exact_conditions=False)
    phases = phases or [
        Phase(ADAM, steps=8, scheduler=DECAY),
        Phase(QUASI_NEWTON, steps=6),
        Phase(ADAM, steps=6, scheduler=DECAY),
    ]
    network = options.pop("network", functools.partial(MLP, hidden=[6, 6]))
    return PINN(problem, network, phases, **{"compile": False, **options})


def small_data(problem, **options):
    counts = {n: 21 for n, c in problem.conditions.items() if c.fixed_points() is None}
    return CollocationDataModule(
        problem, **{"points": counts, "held_out": 11, "evaluation_points": 200, "steps_per_epoch": 7, **options}
    )


def quiet_trainer(**options):
    defaults = {
        "accelerator": "cpu",
        "devices": 1,
        "logger": False,
        "max_epochs": -1,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": False,
        "num_sanity_val_steps": 0,
        "val_check_interval": 5,
        "check_val_every_n_epoch": None,
    }
    return L.Trainer(**{**defaults, **options})


class Poison(L.Callback):
    """Makes one step go wrong."""

    def __init__(self, at):
        self.at = at

    def on_train_batch_start(self, trainer, pl_module, *unused):
        if trainer.global_step == self.at:
            with torch.no_grad():
                for parameter in pl_module.trial.parameters():
                    parameter.fill_(float("nan"))


class Recorder(L.Callback):
    """Keeps the parameters after every step."""

    def __init__(self):
        self.parameters, self.optimizers = {}, {}

    def on_train_batch_end(self, trainer, pl_module, *unused):
        flat = torch.cat([p.detach().reshape(-1) for p in pl_module.trial.parameters()])
        self.parameters[trainer.global_step] = flat.clone()
        self.optimizers[trainer.global_step] = type(pl_module.current_optimizer()).__name__


def full_run(
    folder,
    ckpt_path=None,
    devices=1,
    batch_size=None,
    every=3,
    callbacks=None,
    logger=False,
    data=None,
    trainer=None,
    **options,
):
    """Adam, L-BFGS, Adam with new points on the way, mini-batches or not, rollback armed, all steps saved."""
    module = small_module(**options)
    data = small_data(module.problem, batch_size=batch_size, **(data or {}))
    recorder = Recorder()
    saver = ModelCheckpoint(
        dirpath=folder, filename="{step}", every_n_train_steps=every, save_top_k=-1, save_on_train_epoch_end=False
    )
    trainer = quiet_trainer(
        callbacks=[*(callbacks or [ResidualResampling(every=11, pool=101)]), Rollback(every=4), recorder, saver],
        enable_checkpointing=True,
        logger=logger,
        **{"devices": devices, "strategy": "ddp" if devices > 1 else "auto", **(trainer or {})},
    )
    trainer.fit(module, data, ckpt_path=ckpt_path, weights_only=True)
    return recorder, trainer, module, data


def assert_alike(found, expected, rtol=0.0, atol=0.0):
    """Compares nested states: numbers and tensors within tolerances, all else exactly."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for key in expected:
            assert_alike(found[key], expected[key], rtol, atol)
    elif isinstance(expected, list | tuple):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_alike(one, other, rtol, atol)
    elif isinstance(expected, float | torch.Tensor):
        torch.testing.assert_close(found, expected, rtol=rtol, atol=atol, equal_nan=True)
    else:
        assert found == expected
