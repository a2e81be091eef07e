"""Bad inputs, and the words with which each is answered: what is given, and phrases of the one line.

`tests/cli/test_bad_inputs.py` runs them all. Most are calls in Python, which take milliseconds.
"""

import functools
import itertools
import math
from typing import NamedTuple

import numpy as np
import torch

from pinnlab import callbacks as cb
from pinnlab import criteria as cr
from pinnlab import networks as nw
from pinnlab import optimizers as op
from pinnlab.domains import Ball, Box, Cloud, Disk, Ellipse, Interval, Mesh, Polygon, Triangle, distance
from pinnlab.objective import balancing as bl
from pinnlab.optimizers import damping as dp
from pinnlab.optimizers.hager_zhang import HagerZhang
from pinnlab.optimizers.line_search import StrongWolfe
from pinnlab.problems import (
    AllenCahnTwoBody,
    Antiderivative,
    BurgersOperator,
    Continuity,
    DarcyOperator,
    DiffusionReactionOperator,
    Energy,
    FokkerPlanck,
    Given,
    HamiltonJacobiBellman,
    Heat1D,
    Heat2D,
    HeatBall,
    HeatInverse,
    Helmholtz2D,
    Integral,
    Mean,
    MultiscalePoisson,
    NoisyPendulum,
    PerforatedCube,
    PerforatedHeat,
    PlaneBurgers,
    Poisson,
    Poisson1D,
    PoissonInverse,
    RandomMediumHeat,
    RandomMediumWave,
    Regression1D,
    RoughMedium1D,
    SineGordonTwoBody,
    Unknown,
    Wave1D,
    Wave2D,
)
from pinnlab.problems.base import Coefficient, Exact, Numerical, Problem
from pinnlab.problems.conditions import Dirichlet, Neumann, Periodic, Residual, Robin
from pinnlab.problems.observations import Observations
from pinnlab.samplers import Sobol
from pinnlab.training import batch_growth as bg
from pinnlab.training.datamodule import CollocationDataModule
from pinnlab.training.module import PINN
from pinnlab.training.phases import Phase


def network(inputs: int, outputs: int, width: int = 5) -> torch.nn.Module:
    """A network by a function, as a user's file has it."""
    return torch.nn.Sequential(torch.nn.Linear(inputs, width), torch.nn.Linear(width, outputs))


class Blind(torch.optim.SGD):
    """An optimizer that cannot be handed the loss."""

    def step(self):
        """One step."""


class Command(NamedTuple):
    """Arguments after `fit -c burgers`, and phrases of the answer."""

    arguments: str
    phrases: tuple[str, ...]


class Recipe(NamedTuple):
    """The text of a file for `-c`, and phrases of the answer."""

    text: str | bytes
    phrases: tuple[str, ...]


def _c(arguments, *phrases):
    return Command(arguments, phrases)


def _r(text, *phrases):
    return Recipe(text, phrases)


PWN = "{class_path: os.system, init_args: {command: touch pwned}}"
"""What would run a command if it were called."""

COMMANDS = [
    _c("--data.point 30", "'point'", "did you mean 'points'"),
    _c("--data.points 1.5", "data.points: must be int or a mapping to int, got 1.5"),
    _c("--data.points ten", "data.points: must be int or a mapping to int, got ten"),
    _c("--data.points={pde: abc}", "data.points.pde: must be int, got abc"),
    _c("--data.batch_size abc", "data.batch_size: must be int, got abc"),
    _c("--data.sampler Sobbol", "data.sampler: there is no class 'Sobbol' (did you mean 'Sobol'?)"),
    _c("--data.sampler MLP", "data.sampler: pinnlab.networks.mlp.MLP is no Sampler"),
    _c("--data.sampler.seed 3", "data.sampler: name the class before its options"),
    _c("--data 3", "data: must be a mapping of options, got 3"),
    _c("--seed_everything abc", "seed_everything: must be bool or int, got abc"),
    _c("--seed_everything=-1", "seed_everything: must be from 0 to 4294967295, got -1"),
    _c("--seed_everything 4294967296", "seed_everything: must be from 0"),
    _c("--trainer.max_stepss 3", "'max_stepss'", "did you mean 'max_steps'"),
    _c("--trainer.max_step 3", "'max_step'", "did you mean 'max_steps'"),
    _c("--trainer.max_steps abc", "trainer.max_steps: must be int, got abc"),
    _c("--trainer.max_steps 1.5", "trainer.max_steps: must be int, got 1.5"),
    _c("--trainer.max_steps 10.0", "trainer.max_steps: must be int, got 10.0"),
    _c("--trainer.max_steps 1e3", "trainer.max_steps: must be int, got 1e3"),
    _c("--data.batch_size 10.0", "data.batch_size: must be int, got 10.0"),
    _c("--data.points={pde: 1e2}", "data.points.pde: must be int, got 1e2"),
    _c("--seed_everything 3.0", "seed_everything: must be bool or int, got 3.0"),
    _c("--trainer.barebones true", "trainer.barebones: ", "use --trainer.logger false"),
    _c("--trainer.max_epochs 1.5", "trainer.max_epochs: must be int, got 1.5"),
    _c("--trainer.max_epochs=-2", "trainer.max_epochs: must be at least -1, got -2"),
    _c("--trainer.num_nodes 0", "trainer.num_nodes: must be at least 1, got 0"),
    _c("--trainer.log_every_n_steps=-1", "trainer.log_every_n_steps: must be at least 0, got -1"),
    _c("--trainer.gradient_clip_val=-1", "trainer.gradient_clip_val: must be at least 0, got -1"),
    _c("--trainer.limit_train_batches=-1", "trainer.limit_train_batches: must be at least 0, got -1"),
    _c("--trainer.accumulate_grad_batches 0", "trainer.accumulate_grad_batches: must be at least 1, got 0"),
    _c("--trainer.check_val_every_n_epoch 0", "trainer.check_val_every_n_epoch: must be at least 1, got 0"),
    _c(f"--name {'a' * 300}", "trainer.logger.save_dir: aaa", "... is too long for a folder; take another name"),
    _c("--trainer.max_time 10", "trainer.max_time: must be days:hours:minutes:seconds", "got 10"),
    _c("--trainer.max_time 00:10:00", "trainer.max_time: must be days:hours:minutes:seconds", "got 00:10:00"),
    _c("--trainer.val_check_interval 0", "trainer.val_check_interval: must be positive, got 0"),
    _c("--trainer.accelerator tpuu", "trainer.accelerator: 'tpuu'", "did you mean 'tpu'"),
    _c("--trainer.devices foo", "trainer.devices: must be a number of devices", "got foo"),
    _c("--trainer.devices 0", "trainer.devices: must be a number of devices", "got 0"),
    _c("--trainer.devices=-3", "trainer.devices: must be a number of devices", "got -3"),
    _c("--trainer.strategy foo", "trainer.strategy: 'foo'", "auto, ddp"),
    _c("--trainer.strategy ddp_spawn", "trainer.strategy: ddp_spawn cannot train a PINN"),
    _c("--trainer.precision foo", "trainer.precision: must be one of", "got foo"),
    _c("--trainer.detect_anomaly maybe", "trainer.detect_anomaly: must be bool, got maybe"),
    _c("--trainer.logger WandbLogger", "WandbLogger: needs the package wandb"),
    _c("--trainer.logger TensorBordLogger", "trainer.logger: there is no class", "did you mean 'TensorBoardLogger'"),
    _c("--trainer.logger.version ../x", "trainer.logger.version: '../x' leads out"),
    _c("--trainer.default_root_dir taken.txt", "trainer.default_root_dir: taken.txt is a file"),
    _c("--trainer.logger.save_dir taken.txt/in", "trainer.logger.save_dir: ", "taken.txt is a file"),
    _c(
        "--trainer.callbacks.class_path ResidualResampling --trainer.callbacks.every abc",
        "trainer.callbacks[0].every: must be int, got abc",
    ),
    _c(
        "--trainer.callbacks.class_path ResidualResampling --trainer.callbacks.evry 3", "'evry'", "did you mean 'every'"
    ),
    _c(
        "--trainer.callbacks ResidualResampling --trainer.callbacks.pool abc",
        "trainer.callbacks.pool: must be int, got abc",
    ),
    _c("--trainer.callbacks os.system", "trainer.callbacks: os.system is no Callback"),
    _c("--trainer.callbacks+=os.system", "trainer.callbacks[1]: os.system is no Callback"),
    _c(
        "--trainer.callbacks=[{class_path: RetainResample},{class_path: RetainResample}]",
        "trainer.callbacks: a checkpoint cannot hold two RetainResample; leave one out",
    ),
    _c(
        "--trainer.callbacks=Timer --trainer.callbacks.duration=00:00:01:00",
        "Timer: cannot save its default <Interval.step: 'step'>; give that option, as text",
    ),
    _c(
        "--trainer.callbacks=ModelPruning --trainer.callbacks.pruning_fn=3",
        "ModelPruning: The provided `pruning_fn` 3 isn't available",
    ),
    _c("--name ../../evil", "name: '../../evil' leads out of the folder of the runs"),
    _c("--name /tmp/evil", "name: '/tmp/evil' leads out of the folder of the runs"),
    _c("--modle.compile false", "--modle.compile: there is no such option (did you mean 'model'?)"),
    _c("--grid 3", "--grid is for `pinnlab predict`, not for fit; leave it out"),
    _c("--seed 3", "--seed: there is no such option (did you mean 'seed_everything'?)"),
    _c("--problm Burgers", "--problm: there is no such option (did you mean 'problem'?)"),
    _c("--model.optimizer LBFGS", "'optimizer'", "option of model"),
    _c("--model.compil false", "'compil'", "did you mean 'compile'"),
    _c("--model.scale_inputs maybe", "model.scale_inputs: must be bool, got maybe"),
    _c("--model.weights={pde: abc}", "model.weights.pde: must be float, got abc"),
    _c("--model.enhance={pde: 3}", "model.enhance.pde: must be a list of str or a mapping to float, got 3"),
    _c('--model.enhance={"pde":{"x":"a"}}', "model.enhance.pde.x: must be float, got a"),
    _c("--model.network Adam", "model.network: torch.optim.adam.Adam is no Module"),
    _c("--model.network MPL", "model.network: there is no class 'MPL' (did you mean 'MLP'?)"),
    _c("--model.network.hiden [3]", "'hiden'", "did you mean 'hidden'"),
    _c("--model.network.hidden abc", "model.network.hidden: must be a list of int, got abc"),
    _c("--model.network.hidden [3.5]", "model.network.hidden[0]: must be int, got 3.5"),
    _c(
        "--model.network=SIREN --model.network.activation=sin",
        "unknown option of SIREN in model.network",
        "'activation'",
    ),
    _c("--model.network=bad_inputs.network --model.network.width=3", "model.network: bad_inputs.network is a function"),
    _c("--model.network Mine", "model.network: there is no class 'Mine'", "needs its file's name, as in my_file.Mine"),
    _c("--model.network os.system", "model.network: os.system is no Module"),
    _c("--model.network subprocess.run", "model.network: subprocess.run is no Module"),
    _c("--model.network RandomFeatures --model.network.scal 3", "'scal'", "did you mean 'scale'"),
    _c("--problem os.system", "problem: os.system is no Problem"),
    _c("--problem.viscosit 1", "'viscosit'", "did you mean 'viscosity'"),
    _c("--problem.viscosity abc", "problem.viscosity: must be float, got abc"),
    _c(f"--problem.viscosity 1{'0' * 400}", "problem.viscosity: must be float, got 1000"),
    _c("--problem.viscosity nan", "problem.viscosity: must be float, got nan"),
    _c("--problem Poison2D", "problem: there is no class 'Poison2D' (did you mean 'Poisson2D'?)"),
    _c("--ckpt_path nowhere.ckpt", "ckpt_path: there is no file nowhere.ckpt"),
    _c("--ckpt_path best", "ckpt_path: there is no finished run"),
]
"""After `fit -c burgers`, separated by blanks but for values in braces."""


def _phase(text, *phrases):
    return _r(f"problem: Burgers\nmodel: {{phases: [{text}]}}\n", *phrases)


def _in_turn(schedulers, milestones, *phrases):
    options = f"{{schedulers: [{schedulers}], milestones: {milestones}}}"
    return _phase(
        f"{{optimizer: Adam, steps: 3, scheduler: {{class_path: SequentialLR, init_args: {options}}}}}", *phrases
    )


_LETTERS = "abcdefgh"
_BOMB = "a: &a [1,1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"{key}: &{key} [{','.join(['*' + before] * 10)}]\n" for before, key in itertools.pairwise(_LETTERS)
)

RECIPES = [
    _r("problem: Burgers\nmodle: {}\n", "unknown key in own.yaml: 'modle' (did you mean 'model'?); known: ckpt"),
    _r("problem: Burgers\nfolder: here\n", "own.yaml: folder is for `pinnlab diagnose`, not for fit; leave it out"),
    _r(
        "problem: Burgers\ndata: {points: 9}\ndata: {batch_size: 3}\n",
        "line 3: the key 'data' stands in line 2 already",
    ),
    _r("problem: Burgers\ndata: {points: 9, points: 8}\n", "line 2: the key 'points' stands in line 2 already"),
    _r(b"problem: Burgers\n# \xe9\n", "line 2: is not UTF-8"),
    _r("problem: &a {class_path: Burgers, init_args: *a}\n", "line 1: an alias contains itself"),
    _r(_BOMB, "more than 100,000 entries"),
    _r("", "a recipe is a mapping"),
    _r("- 1\n", "a recipe is a mapping"),
    _r("just words\n", "a recipe is a mapping"),
    _r("a: [\n", "line 2: not YAML"),
    _r("problem: Burgers\n\tmodel: 3\n", "line 2: not YAML"),
    _r("problem: !!python/object/apply:os.system ['touch pwned']\n", "line 1: not YAML"),
    _r("problem: Burgers\nmodel: 3\n", "model: must be a mapping of options, got 3"),
    _r("problem: 3\n", "problem: must be a Problem, got 3"),
    _r("problem: Burger\n", "'Burger' (did you mean 'Burgers'?)"),
    _r("problem: Adam\n", "problem: torch.optim.adam.Adam is no Problem"),
    _r("problem: {init_args: {viscosity: 1}}\n", "problem: name the class before its options"),
    _r("problem: {class_path: Burgers, init_arg: {}}\n", "'init_arg' (did you mean 'init_args'?)"),
    _r(f"problem: {PWN}\n", "problem: os.system is no Problem"),
    _r(f"problem: Burgers\nmodel: {{network: {PWN}}}\n", "model.network: os.system is no Module"),
    _r(f"problem: Burgers\ntrainer: {{callbacks: [{PWN}]}}\n", "trainer.callbacks[0]: os.system is no Callback"),
    _r(f"problem: Burgers\ntrainer: {{logger: {PWN}}}\n", "trainer.logger: os.system is no Logger"),
    _r(f"problem: Burgers\ntrainer: {{profiler: {PWN}}}\n", "trainer.profiler: os.system is no Profiler"),
    _r(f"problem: Burgers\ntrainer: {{strategy: {PWN}}}\n", "trainer.strategy: os.system is no Strategy"),
    _r(f"problem: Burgers\ndata: {{sampler: {PWN}}}\n", "data.sampler: os.system is no Sampler"),
    _r(f"problem: Burgers\ndata: {{samplers: {{pde: {PWN}}}}}\n", "data.samplers.pde: os.system is no Sampler"),
    _r(f"problem: Burgers\nmodel: {{weights: {{pde: {PWN}}}}}\n", "model.weights.pde: must be float"),
    _phase(f"{{optimizer: {PWN}, steps: 3}}", "model.phases[0].optimizer: os.system is no Optimizer"),
    _phase(f"{{optimizer: Adam, until: {PWN}}}", "model.phases[0].until: os.system is no Criterion"),
    _phase(
        f"{{optimizer: Adam, steps: 3, scheduler: {PWN}}}", "model.phases[0].scheduler: os.system is no LRScheduler"
    ),
    _phase("{optimizer: Adam, steps: 3, scheduler: Adam}", "model.phases[0].scheduler: torch.optim.adam.Adam is no"),
    _phase("{optimizer: MLP, steps: 3}", "model.phases[0].optimizer: pinnlab.networks.mlp.MLP is no Optimizer"),
    _r(
        "problem: Burgers\nmodel: {network: {class_path: bad_inputs.network, init_args: {width: 3}}}\n",
        "model.network: bad_inputs.network is a function, which takes no options here; write its name alone",
    ),
    _phase("{steps: 10}", "model.phases[0]: Phase needs 'optimizer'"),
    _phase("{optimizer: Adam, steps: ten}", "model.phases[0].steps: must be int, got ten"),
    _phase("{optimizer: Adam, stepss: 3}", "'stepss' (did you mean 'steps'?)"),
    _phase("{optimizer: Adam, steps: 3}, {optimizer: Adam, steps: 1.5}", "model.phases[1].steps: must be int, got 1.5"),
    _phase("{optimizer: Adam, steps: 6.0}", "model.phases[0].steps: must be int, got 6.0"),
    _phase(
        "{optimizer: Adamm, steps: 3}", "model.phases[0].optimizer: there is no class 'Adamm'", "did you mean 'Adam"
    ),
    _phase(
        "{optimizer: {class_path: Adam, init_args: {learning_rate: 1}}, steps: 3}", "option of Adam", "'learning_rate'"
    ),
    _phase(
        "{optimizer: {class_path: Adam, init_args: {lr: nan}}, steps: 3}", "model.phases[0].optimizer.lr: must be float"
    ),
    _phase(
        "{optimizer: Adam, until: {class_path: LossPlateau, init_args: {windoww: 3}}}",
        "'windoww' (did you mean 'window'?)",
    ),
    _phase("{optimizer: Adam, until: {class_path: FixedSteps}}", "model.phases[0].until: FixedSteps needs 'steps'"),
    _phase("{optimizer: Adam, steps: 3, updates: few}", "model.phases[0].updates: must be int, got few"),
    _phase("{optimizer: Adam, steps: 3, updates: 0}", "model.phases.0.updates: must be at least 1, got 0"),
    _phase("{optimizer: Adam, steps: 3}, {optimizer: Adam, steps: -4}", "model.phases.1.steps: must be at least 1"),
    _phase(
        "{optimizer: Adam, steps: 3}, {optimizer: {class_path: SSBroyden, init_args: {lr: -3}}}",
        "model.phases.1.optimizer.lr: must be positive, got -3",
    ),
    _phase("{optimizer: LBFGS, steps: 3, updates: 2}", "model.phases.0.updates: LBFGS evaluates several times"),
    _phase("{optimizer: SparseAdam, steps: 3}", "model.phases.0.optimizer: SparseAdam needs sparse gradients"),
    _phase(
        "{optimizer: Adam, steps: 3, scheduler: {class_path: OneCycleLR, init_args: {max_lr: 0.1, total_steps: 1}}}",
        "model.phases.0.scheduler: OneCycleLR ends after total_steps=1",
    ),
    _phase(
        "{optimizer: Adam, steps: 3, scheduler: {class_path: OneCycleLR, init_args: {max_lr: 0.1}}}",
        "model.phases.0.scheduler: You must define either total_steps",
    ),
    _in_turn(
        "{class_path: LinearLR}, {class_path: CosineAnnealingLR}", "[1]", "schedulers[1]: CosineAnnealingLR needs"
    ),
    _in_turn("{class_path: LinearLR, init_args: {total_iter: 5}}", "[]", "'total_iter' (did you mean 'total_iters'?)"),
    _in_turn("LinearLR, Adam", "[1]", "schedulers[1]: torch.optim.adam.Adam is no LRScheduler"),
    _in_turn("LinearLR, LinearLR", "[1.5]", "model.phases[0].scheduler.milestones[0]: must be int, got 1.5"),
    _in_turn("LinearLR, LinearLR", "[0]", "model.phases.0.scheduler.milestones: must be steps from 1 on"),
    _in_turn("LinearLR, LinearLR, LinearLR", "[2, 1]", "each beyond the last, got [2, 1]"),
    _in_turn("LinearLR", "[1]", "model.phases.0.scheduler: Sequential Schedulers expects number of schedulers"),
    _r("problem: Burgers\nmodel: {phases: foo}\n", "model.phases: must be a list of Phase, got foo"),
    _r("problem: Burgers\nname: ../../evil\n", "name: '../../evil' leads out"),
    _r("problem: Burgers\nseed_everything: -3\n", "seed_everything: must be from 0"),
]

LINE = Interval("x", 0, 1)
PLATE = Box(["x", "y"], 0, 1) - Disk(center=(0.5, 0.5), radius=0.25)
ADAM = functools.partial(torch.optim.Adam, lr=1e-3)
ARRAY = np.zeros((3, 1))


def _problem(function=lambda u: u.xx, domain=LINE, unknowns=("u",), **options):
    return Problem(domain, unknowns, {"pde": Residual(domain, function)}, **options)


def _on_boundary(condition):
    return Problem(LINE, ("u",), {"wall": condition})


def _own(ansatz=None, reference=None):
    own = _problem()
    own.ansatz = ansatz
    own.reference = lambda: reference
    return own


class _Unbuilt(Problem):
    def __init__(self):
        self.speed = 3.0


class _ReferenceOfPlaces(Problem):
    def reference(self, x):
        return x


def _values(reference):
    return _own(reference=reference).reference_values(torch.zeros(5, 1))


CALLS = [
    (lambda: Residual(ARRAY, lambda u: u), "Residual: region must be a domain", "ndarray"),
    (
        lambda: Problem(LINE, ["u", "sigma"], {"data": Observations([[0.5]], u=[1.0], sigma=[2.0])}),
        "condition 'data': Observations has an argument of the name of the unknown 'sigma'",
    ),
    (
        lambda: Problem(LINE, ["u", "beta"], {"end": Robin(LINE.boundary(), beta=2.0, u=1.0)}),
        "Robin has an argument of the name of the unknown 'beta'; call the unknown something else, such as 'beta_'",
    ),
    (lambda: Residual(LINE, torch.zeros(3)), "Residual: function must be a function, got Tensor"),
    (lambda: Residual(LINE, lambda u: u, weight=-1), "weight: must be a number >= 0"),
    (lambda: Residual(LINE, lambda u: u, weight="a"), "weight: must be a number >= 0"),
    (lambda: Residual(LINE, lambda u: u, weight=math.nan), "weight: must be a number >= 0"),
    (lambda: Residual(LINE, lambda u: u, enhance=("y",)), "enhance 'y'"),
    (
        lambda: Dirichlet(LINE.boundary(), lambda x: x),
        "weight: must be a number >= 0",
        "got function; a prescribed value",
    ),
    (lambda: Neumann(LINE.boundary(), "u"), "got 'u'; a prescribed value has the name of its unknown, as u=0.0"),
    (lambda: Observations(ARRAY, ARRAY[:, 0]), "weight: must be", "; measured values have the name of their unknown"),
    (lambda: Observations(ARRAY, np.zeros(99)), "weight: must be", "got ndarray; measured values have the name"),
    (lambda: Integral(LINE, lambda u: u, value=lambda t: t), "must be a finite number, got function; for one at each"),
    (lambda: Given("a", ARRAY, ARRAY), "Given 'a': degree must be 1, 3 or 5, got ndarray"),
    (lambda: Given({"x": ARRAY}, "a"), "Given: name must be a name such as 'a', got dict"),
    (lambda: Box(["x", "y"], ARRAY, 1.0), "low: expected a number or a list of numbers, got ndarray"),
    (lambda: Dirichlet(ARRAY, u=0.0), "Dirichlet: region must be a domain"),
    (lambda: Dirichlet(LINE.boundary(), u=torch.zeros(3)), "Dirichlet: u must be a finite number or a function"),
    (lambda: Dirichlet(LINE.boundary(), u="zero"), "Dirichlet: u must be", "got zero"),
    (lambda: Dirichlet(LINE.boundary(), u=math.nan), "Dirichlet: u must be", "got nan"),
    (lambda: Dirichlet(LINE.boundary()), "Dirichlet: name at least one unknown"),
    (lambda: Neumann(3, u=0.0), "Neumann: region must be a domain"),
    (lambda: Dirichlet(LINE.boundary(), u=10**400), "Dirichlet: u must be a finite number or a function"),
    (lambda: Dirichlet(LINE.boundary(), u=0, weight=10**400), "weight: must be a number >= 0"),
    (lambda: Integral(LINE, lambda u: u, value=10**400), "value: an integral must be a finite number"),
    (lambda: op.BFGS([torch.zeros(2)], lr=10**400), "lr: must be finite"),
    (lambda: Robin(LINE.boundary(), alpha="x", u=0.0), "Robin: alpha: must be a finite number"),
    (
        lambda: Robin(LINE.boundary(), alpha=lambda x: x, u=0.0),
        "Robin: alpha must be a finite number, got a function",
        "Residual(region, lambda u, normal, x: h(x) * u + u.along(normal) - g(x))",
    ),
    (lambda: Robin(LINE.boundary(), beta=math.nan, u=0.0), "Robin: beta: must be finite"),
    (
        lambda: Robin(LINE.boundary(), u=lambda x, u: x - u),
        "Robin: u must be a function of the coordinates",
        "alpha u + beta du/dn = g",
        "write Neumann(region, u=g)",
    ),
    (lambda: Integral(lambda u: u, LINE), "Integral: region must be a domain", "function"),
    (lambda: Integral(LINE, "u", 1.0), "Integral: function must be a function such as lambda u: u, got str"),
    (lambda: Mean(3, lambda u: u), "Mean: region must be a domain", "int"),
    (lambda: Mean(LINE, lambda u: u, points=10.5), "Mean.points: must be a whole number, got 10.5"),
    (lambda: Integral(LINE, lambda u: u, points=0), "Integral.points: must be at least 1, got 0"),
    (lambda: Periodic(3, "x"), "Periodic: domain must be a domain"),
    (lambda: Periodic(LINE, "y"), "periodic condition 'y'"),
    (lambda: Periodic(LINE, "x", order=1.5), "order: a periodic condition needs"),
    (lambda: Observations("abc", u=[1]), "Observations: points must be an array of numbers"),
    (lambda: Observations([[0.0]], u="abc"), "Observations: u"),
    (lambda: Observations([0.0, 1], u=[1, 2]), "Observations: points must be (n, d)"),
    (lambda: Observations(np.zeros(40), u=np.zeros(40)), "not (40,); of one coordinate they are points[:, None]"),
    (lambda: Observations([[0.0]], u=[1, 2]), "Observations: u must have one value"),
    (lambda: Observations([[0.0]], u=[math.nan]), "Observations: u holds nan in row 0"),
    (lambda: Observations([[0.0]]), "Observations: name at least one unknown"),
    (lambda: Observations([[0.0]], flux=lambda u: u.x), "Observations: flux must be measured values, or (function, va"),
    (lambda: Observations([[0.0]], u=[1j]), "Observations: u is complex"),
    (lambda: Observations([[0.0]], u=[1], sigma=0.0), "Observations: sigma of u must be a positive number"),
    (lambda: Observations([[0.0]], u=[1], sigma=[1, 2]), "Observations: sigma of u must be a positive number"),
    (lambda: Observations([[0.0]], u=[1], sigma={"v": 1}), "measurement in sigma of Observations"),
    (lambda: _problem(lambda u: u.sum()), "u.sum: only derivatives are attributes", "Mean and Integral"),
    (lambda: _problem(lambda u: u.sin()), "u.sin: only derivatives are attributes", "u.value.sin"),
    (lambda: _problem(lambda u: u.mean()), "u.mean: only derivatives are attributes", "use the conditions Mean and In"),
    (
        lambda: _problem(lambda u: (u * u.mean()).d("x")),
        "u.mean: only derivatives",
        "use the conditions Mean and Integ",
    ),
    (lambda: _problem(lambda u: u.x1x2, Box(["x1", "x2"], 0, 1)), "u.x1x2: only der", "go to u.d('x1', 'x2')"),
    (lambda: _problem(lambda u: u.laplacian), "'pde' returns the method laplacian; write its parentheses, laplacian()"),
    (lambda: _problem(lambda u: u.laplacian + u), "condition 'pde': a method is written without its parentheses"),
    (lambda: _problem(lambda u: 1 - u.gradient), "condition 'pde': a method is written without its parentheses"),
    (lambda: _problem(lambda u, x: u.x - u(x / 2)), "u(...): write u alone at the point itself", "u.at(x=...)"),
    (lambda: _problem(lambda u, x: (u * u(x)).d("x")), "u(...): write u alone at the point itself"),
    (lambda: _problem(lambda u: u.d("xx")), "with respect to 'xx'", "give one after the other: 'x', 'x'"),
    (lambda: _problem(lambda u: u.d("x", 2)), "derivative of 'u': takes names of coordinates", "as d('x', 'x')"),
    (lambda: _problem(lambda u, x: u.d(x)), "derivative of 'u': takes names of coordinates", "as d('x', 'x')"),
    (
        lambda: _problem(lambda u: u[:, 0:1]),
        "'pde': unknowns and coordinates are (n,), without columns",
        "name each of",
    ),
    (lambda: _problem(lambda u, x: u - x[:, 0:1]), "'pde': unknowns and coordinates are (n,), without columns"),
    (lambda: _problem(lambda u, a: u - a[:, 0], given=[Given("a", lambda x: x)]), "are (n,), without columns"),
    (lambda: _problem(lambda u: u.x - u ^ 2), "'pde': a power is written u**2, not u^2"),
    (lambda: _problem(lambda u: u ^ 2), "'pde': a power is written u**2, not u^2", "for ^: 'unknown' and 'int'"),
    (lambda: _problem(lambda u: math.sin(u)), "'pde': unknowns take part in arithmetic", "write torch.sin"),
    (lambda: _problem(lambda u: u % 2), "'pde': unknowns take part in arithmetic", "u.value where a tensor"),
    (lambda: _problem(lambda u: u if u else -u), "'pde': it decides by the values of a tensor"),
    (lambda: _problem(lambda u: u and u.x), "'pde': it decides by the values of a tensor"),
    (lambda: _problem(lambda u: u.d("x", order=2)), "'pde': derivatives are u.xx, u.d('x', 'x')", "(d() got an unex"),
    (lambda: _problem(lambda u, x: (x * u.x).d("x", order=2)), "'pde': derivatives are u.xx", "(d() got an unexpect"),
    (lambda: _problem(lambda u: u.laplacian(axes="x")), "'pde': derivatives are u.xx", "(laplacian() got an unexpect"),
    (lambda: Dirichlet(LINE.boundary, u=0.0), "region is the method boundary; write its parentheses, boundary()"),
    (lambda: _on_boundary(Residual(LINE.boundary(), lambda u, n: u.along(n))), "'n'; known: normal, points, u, x"),
    (lambda: _on_boundary(Energy(LINE.boundary(), lambda u, n: u * n[:, 0])), "'n'; known: normal, points, u, x"),
    (lambda: _on_boundary(Neumann(LINE.boundary(), u=lambda n: n[:, 0])), "'n'; known: normal, points, u, x"),
    (
        lambda: _problem(lambda u, x: u - torch.maximum(x - 1, 0)),
        "'pde': functions of torch take tensors",
        "torch.clamp",
    ),
    (
        lambda: _problem(lambda u, x: u - torch.max(x - 1, 0)),
        "'pde': torch.max(a, 0) is over all points",
        "torch.clamp",
    ),
    (lambda: _problem(lambda u: u - None), "'pde': a value in it is None; does a function lack its return?"),
    (
        lambda: _problem(lambda u, points: u - points @ torch.ones(1)),
        "'pde': points are float64",
        "dtype=torch.float64",
    ),
    (lambda: _problem(lambda u, points: torch.nn.Linear(1, 1)(points)[:, 0]), "'pde': points are float64", ".double()"),
    (lambda: _problem(lambda u, x: u - np.interp(x, [0, 1], [0, 1])), "'pde': numpy cannot", "interpolants are Given("),
    (lambda: _problem(lambda u: torch.sum(u)), "'pde' must return tensors of shape (n,)"),
    (lambda: _problem(lambda u: u * 1j), "'pde' is complex"),
    (lambda: _problem(lambda u: None), "'pde' must return tensors", "NoneType"),
    (lambda: _problem(lambda u: u.y), "derivative of 'u' with respect to 'y'"),
    (lambda: _problem(lambda v: v), "residual 'pde' 'v'"),
    (lambda: _problem(domain=Interval("d", 0, 1)), "coordinate 'd': u.d is a method already"),
    (lambda: _problem(domain=Interval("value", 0, 1)), "coordinate 'value'"),
    (lambda: _problem(domain=Interval("gradient", 0, 1)), "coordinate 'gradient'"),
    (lambda: _problem(domain=Box(["x", "xx"], [0, 0], [1, 1])), "coordinate 'xx': u.xx is a derivative"),
    (lambda: Interval("normal", 0, 1), "'normal' is reserved"),
    (lambda: Interval(0, 1, "x"), "coordinates: a name must be text such as 'x', got 0", "Interval('x', 0, 1)"),
    (lambda: Disk((0, 0), 1.0), "coordinates: a name must be text", "Disk(center=(0, 0))"),
    (
        lambda: LINE.boundary(lambda x: x < 0.5),
        "boundary: coordinates are names; a function goes to where=, a domain to",
    ),
    (lambda: PLATE.boundary(Disk()), "boundary: coordinates are names"),
    (lambda: LINE.boundary(where=lambda x: np.isclose(x, 0)), "where: must return a tensor with true", "got ndarray"),
    (lambda: _problem(unknowns="u"), "unknowns must be a list of names", "'u'"),
    (lambda: _problem(unknowns=()), "unknowns is empty"),
    (lambda: _problem(unknowns=("u", "u")), "'u' is used twice"),
    (lambda: _problem(unknowns=("x",)), "'x' is used twice"),
    (lambda: _problem(unknowns=(1,)), "unknowns must be a list of names"),
    (lambda: Problem(LINE, ("u",), [1]), "conditions must be a mapping by name, got list"),
    (lambda: Problem(LINE, ("u",), {"a": 3}), "conditions: 'a' must be a Condition, got 3"),
    (lambda: Problem(LINE, ("u",), {3: Residual(LINE, lambda u: u.x)}), "conditions: a name must be text, got 3"),
    (lambda: Problem(LINE, ("u",), {}), "conditions is empty"),
    (lambda: Problem(3, ("u",), {}), "domain must be one such as"),
    (lambda: _problem(coefficients={"k": 1.0}), "coefficients: 'k' must be a Coefficient"),
    (lambda: Coefficient(math.nan), "coefficient.initial: must be a number"),
    (lambda: Coefficient("a"), "coefficient.initial: must be a number, got 'a'"),
    (lambda: Coefficient(2.0, (0, 1)), "initial 2.0 is not inside bounds"),
    (lambda: PINN(_own(lambda u, x: None)), "ansatz: must return a tensor (n,)", "NoneType"),
    (lambda: PINN(_own(lambda u, x: (u, u))), "ansatz: must return one tensor for each of u, got 2"),
    (lambda: PINN(_own(lambda u, y: u)), "ansatz 'y'"),
    (lambda: PINN(_own(lambda u, x: 3.0)), "ansatz: must return a tensor (n,)", "float"),
    (lambda: _values(Numerical(lambda p: np.zeros(3))), "reference of Problem: must be (5, 1)", "got (3,)"),
    (lambda: _values(Exact(lambda x: (x, x))), "reference of Problem: must be (5, 1)", "got (5, 2)"),
    (lambda: _values(Exact(lambda x: None)), "reference of Problem: must return a tensor"),
    (lambda: _values(Numerical(lambda p: p * 1j)), "reference of Problem: must be real numbers"),
    (lambda: PINN(Poisson1D), "model.problem: must be a Problem, got the class Poisson1D; write Poisson1D(...)"),
    (lambda: PINN(_Unbuilt()), "model.problem: _Unbuilt.__init__ must call super().__init__(domain, ...)"),
    (lambda: CollocationDataModule(_Unbuilt()), "data.problem: _Unbuilt.__init__ must call super().__init__("),
    (
        lambda: _ReferenceOfPlaces(LINE, ["u"], {"pde": Residual(LINE, lambda u: u.x)}),
        "reference of _ReferenceOfPlaces: takes no x; write def reference(self): return Exact(lambda x: ...)",
    ),
    (lambda: PINN(3), "model.problem: must be a Problem, got 3"),
    (lambda: PINN(Poisson1D(), network=3), "model.network: must be a Module or build one, got 3"),
    (lambda: PINN(Poisson1D(), network="MLP"), "model.network: must be a Module or build one, got 'MLP'"),
    (lambda: PINN(Poisson1D(), network=lambda n, m: None), "model.network: must be a Module, got NoneType"),
    (
        lambda: PINN(Poisson1D(), network=torch.nn.Linear(1, 2)),
        "model.network: gives 2 columns, problem Poisson1D has 1 unknown (u)",
    ),
    (lambda: PINN(Poisson1D(), network=torch.nn.Linear(2, 1)), "model.network: fails on points of shape (5, 1)"),
    (lambda: PINN(Poisson1D(), phases=[]), "model.phases: is empty"),
    (lambda: PINN(Poisson1D(), phases=[3]), "model.phases: must be a list of Phase"),
    (lambda: PINN(Poisson1D(), phases=Phase(ADAM)), "model.phases: must be a list of Phase"),
    (
        lambda: PINN(Poisson1D(), weights=[1, 2]),
        "model.weights: must be a dictionary by name such as {'pde': 10.0}, got [1, 2]",
    ),
    (lambda: PINN(Poisson1D(), weights=2.0), "model.weights: must be a dictionary", "got 2.0"),
    (
        lambda: PINN(Poisson1D(), enhance=["x"]),
        "model.enhance: must be a dictionary by name such as {'pde': ['x']}, got ['x']",
    ),
    (
        lambda: CollocationDataModule(Poisson1D(), samplers=Sobol()),
        "data.samplers: must be a dictionary",
        "got Sobol()",
    ),
    (lambda: cb.LossBalancing("NTKTrace"), "LossBalancing.rule: must be a rule such as NTKTrace(), got 'NTKTrace'"),
    (lambda: cb.LossBalancing(bl.NTKTrace), "LossBalancing.rule: must be a rule such as NTKTrace()"),
    *(
        (functools.partial(build, given), f"{key}: must be a list of names{words}")
        for given, words in (("pde", "; write ['pde']"), (3, " such as ['"))
        for build, key in [
            (lambda names: cb.SelfAdaptive(conditions=names), "SelfAdaptive.conditions"),
            (lambda names: cb.CausalWeights(conditions=names), "CausalWeights.conditions"),
            (lambda names: cb.RetainResample(conditions=names), "RetainResample.conditions"),
            (lambda names: cb.FreshPoints(conditions=names), "FreshPoints.conditions"),
            (lambda names: cb.LossBalancing(bl.NTKTrace(), conditions=names), "LossBalancing.conditions"),
            (lambda names: Box(names, 0, 1), "coordinates"),
            (lambda names: PINN(Poisson1D(), enhance={"pde": names}), "model.enhance.pde"),
            (lambda names: Periodic(LINE, "x", unknowns=names), "Periodic.unknowns"),
            (lambda names: Continuity(LINE, [2], unknowns=names), "Continuity.unknowns"),
            (lambda names: _problem(unknowns={"u": Unknown(names)}), "unknown 'u': coordinates"),
        ]
    ),
    (lambda: Integral(LINE, lambda u: u, each=3), "each: must be a list of names such as ['t'], got 3"),
    (lambda: Periodic(LINE, "x", orders=3), "Periodic.orders: must be a list of numbers, got 3"),
    (lambda: cb.BatchGrowth(128), "BatchGrowth.rule: must be a rule such as Geometric(128), got 128"),
    (lambda: cb.BatchGrowth(bg.Geometric), "BatchGrowth.rule: must be a rule such as Geometric(128)"),
    (lambda: PINN(Poisson1D(), weights={"pd": 1}), "model.weights 'pd' (did you mean 'pde'?)"),
    (lambda: PINN(Poisson1D(), weights={"pde": -1}), "model.weights.pde: -1 is no finite number >= 0"),
    (lambda: PINN(Poisson1D(), weights={"pde": "a"}), "model.weights.pde: must be a number, got 'a'"),
    (lambda: PINN(Poisson1D(), weights={"pde": math.nan}), "model.weights.pde: must be a number, got nan"),
    (lambda: PINN(Poisson1D(), dtype="float16"), "model.dtype 'float16' (did you mean 'float64'?)"),
    (lambda: PINN(Poisson1D(), engine="tylor"), "model.engine 'tylor' (did you mean 'taylor'?)"),
    (lambda: PINN(Poisson1D(), compile="maybe"), "model.compile: 'maybe'"),
    (lambda: PINN(Poisson1D(), seed="a"), "model.seed: must be a whole number, got 'a'"),
    (lambda: PINN(Poisson1D(), enhance={"pde": ["y"]}), "model.enhance.pde 'y'"),
    (
        lambda: Phase(3),
        "model.phases.optimizer: must build an optimizer",
        "partial(torch.optim.Adam, lr=1e-3)",
        "an instance of int",
    ),
    (lambda: Phase("Adam", 300), "must build an optimizer from parameters", "got 'Adam', in the phase with steps=300"),
    (
        lambda: Phase(torch.optim.Adam(PARAMETERS), 9),
        "from parameters",
        "an instance of Adam, in the phase with steps=9",
    ),
    (
        lambda: Phase(Blind).sample_optimizer(),
        "Blind.step takes no closure; write it as `def step(self, closure=None)`",
    ),
    (lambda: Phase(ADAM, steps="ten"), "model.phases.steps: must be a whole number, got 'ten'"),
    (lambda: Phase(ADAM, steps=0), "model.phases.steps: must be at least 1, got 0"),
    (lambda: Phase(ADAM, width=-1), "model.phases.width: must be at least 1, got -1"),
    (lambda: Phase(ADAM, until="x"), "model.phases.until: must be a Criterion, got str"),
    (lambda: Phase(ADAM, dtype="f"), "model.phases.dtype 'f'"),
    (lambda: Phase(ADAM, points={"pde": 1.5}), "model.phases.points.pde: must be a whole number, got 1.5"),
    (lambda: Phase(ADAM, points=0), "model.phases.points: must be at least 1, got 0"),
    (lambda: Phase(lambda p: 3).sample_optimizer(), "model.phases.optimizer: must build an Optimizer, got int"),
    (lambda: Phase(torch.optim.SparseAdam).sample_optimizer(), "model.phases.optimizer: SparseAdam needs"),
    (lambda: Phase(functools.partial(torch.optim.Adam, lrr=1)).sample_optimizer(), "model.phases.optimizer", "'lrr'"),
    (lambda: CollocationDataModule(3), "data.problem: must be a Problem, got 3"),
    (lambda: CollocationDataModule(Poisson1D(), points=1.5), "data.points: must be a whole number, got 1.5"),
    (lambda: CollocationDataModule(Poisson1D(), points="a"), "data.points: must be a whole number, got 'a'"),
    (lambda: CollocationDataModule(Poisson1D(), points={"pd": 3}).setup(), "data.points 'pd' (did you mean 'pde'?)"),
    (lambda: CollocationDataModule(Poisson1D(), points=0).setup(), "data.points.pde"),
    (lambda: CollocationDataModule(Poisson1D(), sampler="Sobol"), "data.sampler: must be a Sampler"),
    (lambda: CollocationDataModule(Poisson1D(), samplers={"pde": 3}), "data.samplers.pde: must be a Sampler"),
    (lambda: CollocationDataModule(Poisson1D(), samplers={"pd": Sobol()}).setup(), "data.samplers 'pd'"),
    (lambda: CollocationDataModule(Poisson1D(), batch_size=0).setup(), "data.batch_size: must be at least 1"),
    (lambda: CollocationDataModule(Poisson1D(), batch_size=1.5), "data.batch_size: must be a whole number"),
    (lambda: CollocationDataModule(Poisson1D(), overlap=2).setup(), "data.overlap: must be above 0"),
    (lambda: CollocationDataModule(Poisson1D(), held_out=-1), "data.held_out: must be at least 0"),
    (lambda: CollocationDataModule(Poisson1D(), held_out="a"), "data.held_out: must be a whole number"),
    (lambda: CollocationDataModule(Poisson1D(), evaluation_points=0), "data.evaluation_points: must be at least 1"),
    (lambda: CollocationDataModule(Poisson1D(), steps_per_epoch=0), "data.steps_per_epoch: must be at least 1"),
    (lambda: CollocationDataModule(Poisson1D(), seed="a"), "data.seed: must be a whole number"),
    (lambda: Interval("x", 1, 0), "low, high: x needs low < high"),
    (lambda: Interval("x", 0, math.nan), "high: expected finite numbers"),
    (lambda: Interval("x", "a", 1), "low: expected a number", "'a'"),
    (lambda: Box(["x", "y"], [0], [1, 1]), "low: expected 2 numbers"),
    (lambda: Box(["x", "x"], 0, 1), "coordinates: 'x' appears twice"),
    (lambda: Box(["x", "lambda"], 0, 1), "'lambda' is not a valid Python identifier"),
    (lambda: Disk(center=(0, 0), radius=-1), "radius"),
    (lambda: Disk(("x", "y", "z")), "coordinates: a disk has two"),
    (lambda: Ball(["x", "y", "z"], radius=0), "radius"),
    (lambda: PLATE - Ball(["x", "y", "z"]), "needs the same coordinates in the same order"),
    (lambda: PLATE - Box(["x", "y"], -1, 2), "is empty"),
    (lambda: PLATE.boundary(where=lambda x, z: x > z), "unknown argument of where 'z'"),
    (lambda: PLATE.boundary(where=lambda x: 1), "where: must return a tensor with true or false for"),
    (lambda: PLATE.boundary(where=lambda x: x > 2), "where and on leave nothing"),
    (lambda: PLATE.boundary(on=0), "on: must be a domain or a part of a boundary"),
    (lambda: PLATE.rotate("a"), "angle: expected a number"),
    (lambda: PLATE.scale(-1), "factor: must be positive"),
    (lambda: Ball(["x", "y", "z"]).scale([1, 1, 2]), "cannot be stretched"),
    (lambda: Polygon(["x", "y"], "abc"), "vertices: expected the corners of a polygon"),
    (lambda: Polygon(["x", "y"], [[0, 0], [2, 2], [2, 0], [0, 1]]), "sides 0 and 2 meet"),
    (lambda: Triangle(["x", "y"], [[0, 0], [1, 1]]), "vertices: a triangle has three, got 2"),
    (lambda: Ellipse(radii=(1, -1)), "radii: must be positive"),
    (lambda: Cloud(["x"], ["a"]), "points: expected (n, 1) numbers"),
    (lambda: Cloud.read("no.csv", ["x"]), "no.csv cannot be read"),
    (lambda: Mesh(["x", "y", "z"], [[0, 0, 0]] * 3, [[0, 1, 2]]), "triangles: the surface is not closed"),
    (lambda: distance(PLATE)(0.0), "distance: takes x, y one by one, got 1 values"),
    (lambda: LINE.face(x=0.5), "face: x = 0.5 is not an end"),
    (lambda: LINE.face(x="a"), "face.x: must be a number, got 'a'"),
    (lambda: LINE.face(x=None), "face.x: must be a number, got None"),
    (lambda: LINE.boundary(3), "boundary: coordinates are names"),
    (lambda: LINE.face(y=0), "unknown coordinate 'y'"),
    (lambda: Sobol().sample(LINE, 0, seed=0), "count: at least one point"),
    (lambda: Sobol().sample(LINE, 1.5, seed=0), "count: must be a whole number, got 1.5"),
    (lambda: Sobol().sample(3, 4, seed=0), "region: must be a domain"),
    (lambda: nw.MLP(1, 1, hidden=[]), "hidden must list at least one layer width"),
    (lambda: nw.MLP(1, 1, hidden=5), "hidden must list"),
    (lambda: nw.MLP(1, 1, hidden=["a"]), "hidden[0] must be a positive integer, not 'a'"),
    (lambda: nw.MLP(1, 1, activation="tan"), "activation 'tan' (did you mean 'tanh'?)"),
    (lambda: nw.MLP(1, 1, activation=3), "activation '3'"),
    (lambda: nw.MLP(1, 1, embedding=3), "embedding: must build an Embedding"),
    (lambda: nw.MLP(1, 1, embedding=nw.PeriodicEmbedding(1, columns=[0])), "not be PeriodicEmbedding"),
    (lambda: nw.MLP(1, 1, embedding=lambda inputs: inputs), "embedding: must build a module that says its `outputs`"),
    (lambda: nw.MLP(1, 1, activation=[1]), "unknown activation"),
    (lambda: nw.FourierFeatures(1, columns=[2]), "columns"),
    (lambda: nw.RandomFeatures(1, 0), "outputs must be a positive integer, not 0"),
    (lambda: nw.RandomFeatures(1, 1).rescale("a"), "scale: must be a number, got 'a'"),
    (lambda: nw.last_layer(torch.nn.Linear(1, 1)), "model.network: Linear has no trained last layer"),
    (lambda: cb.ScaleSearch(5), "ScaleSearch.scales: must list at least one scale"),
    (lambda: cb.ScaleSearch([1.0, math.nan]), "ScaleSearch.scales[1]: must be a number, got nan"),
    (lambda: cb.ScaleSearch([0.0]), "ScaleSearch.scales: must be positive, not [0.0]"),
]
"""Calls, each with phrases of its error."""

PARAMETERS = [torch.nn.Parameter(torch.zeros(2, dtype=torch.float64))]
COUNT = (0, -1, 1.5, math.nan, math.inf, "abc", True)
INDEX = (-1, 1.5, math.nan, math.inf, "abc", True)
SEED = (*INDEX, 1 << 32)
POSITIVE = (0, -1, math.nan, math.inf, "abc", True)
LIST = (3, "abc", [math.nan], [math.inf], ["a"])
SHARE = (-1, math.nan, math.inf, "abc", True)

NUMBERS = {
    Heat1D: {"diffusivity": POSITIVE},
    Heat2D: {"diffusivities": ((1.0, 0.0),), "waves": ((1, 1.5),), "end": POSITIVE},
    HeatBall: {"dim": COUNT},
    HeatInverse: {"noise": SHARE, "count": COUNT, "seed": SEED, "strictness": POSITIVE},
    Helmholtz2D: {"wave_number": POSITIVE},
    PerforatedCube: {"weight": POSITIVE},
    PerforatedHeat: {"weight": POSITIVE},
    NoisyPendulum: {"noise": SHARE, "count": COUNT, "seed": SEED, "damping": POSITIVE, "stiffness": POSITIVE},
    PlaneBurgers: {"seed": SEED, "horizon": POSITIVE, "condition_weight": POSITIVE},
    RandomMediumHeat: {"seed": SEED, "waves": COUNT, "horizon": POSITIVE, "weight": POSITIVE},
    RandomMediumWave: {"seed": SEED, "waves": COUNT, "horizon": POSITIVE, "condition_weight": POSITIVE},
    RoughMedium1D: {"period": POSITIVE, "cells": COUNT, "degree": COUNT},
    PoissonInverse: {"noise": SHARE, "count": COUNT, "seed": SEED, "strictness": POSITIVE},
    MultiscalePoisson: {"dim": COUNT, "octaves": COUNT},
    Poisson: {"dim": COUNT, "sample": COUNT},
    AllenCahnTwoBody: {"dim": COUNT, "sample": COUNT, "seed": SEED},
    SineGordonTwoBody: {"dim": COUNT, "sample": COUNT, "seed": SEED},
    FokkerPlanck: {"dim": COUNT, "sample": COUNT, "anisotropy": POSITIVE, "seed": SEED},
    HamiltonJacobiBellman: {"dim": COUNT, "sample": COUNT},
    Antiderivative: {"modes": COUNT, "length": POSITIVE},
    DiffusionReactionOperator: {"diffusion": POSITIVE, "modes": COUNT},
    DarcyOperator: {"deviation": POSITIVE, "modes": COUNT},
    BurgersOperator: {"viscosity": POSITIVE, "modes": COUNT},
    Wave1D: {"frequency": COUNT, "speed": POSITIVE, "horizon": POSITIVE},
    Wave2D: {"ratio": POSITIVE, "horizon": POSITIVE, "condition_weight": POSITIVE},
    functools.partial(nw.MLP, 1): {"outputs": COUNT},
    functools.partial(nw.FactorisedLinear, 1): {"outputs": COUNT},
    functools.partial(nw.FourierFeatures, 1): {"features": COUNT, "scale": POSITIVE, "columns": LIST},
    functools.partial(nw.Kink, 1): {"column": (1, -1, "a", True), "at": (1, -2, math.nan, "abc", True)},
    functools.partial(nw.Root, 1): {"column": (-1, 1, 0.5, True, "x", None)},
    functools.partial(nw.Graded, 1): {"column": (1, *INDEX), "at": (2, -2, math.nan, "abc", True), "width": POSITIVE},
    functools.partial(nw.Lens, 1): {"column": (1, *INDEX), "at": (2, -2, math.nan, "abc", True), "width": POSITIVE},
    functools.partial(nw.GradedEnds, 1): {"widths": (*LIST, [-1.0], [1.0, 1.0], [])},
    functools.partial(nw.GradedEnds, 1, widths=[0.1]): {"factors": (*LIST, [0.0], [1.0, 1.0], [])},
    functools.partial(nw.Stretch, 1): {"factors": (*LIST, [0.0], [1.0, 1.0], [])},
    functools.partial(nw.PirateNet, 1, 1): {"width": COUNT, "blocks": COUNT},
    functools.partial(nw.Correction, 1, 1, before=nw.MLP(1, 1), network=nw.MLP): {"scale": POSITIVE},
    functools.partial(nw.Subdomains, 1, 1): {"grid": COUNT},
    functools.partial(nw.Subdomains, 1, 1, grid=[3]): {"levels": COUNT, "smoothness": COUNT},
    functools.partial(nw.Tiles, 1, 1): {"grid": COUNT},
    functools.partial(nw.RandomFeatures, 1, 1): {"count": COUNT, "scale": POSITIVE},
    functools.partial(nw.DeepONet, 2, 1): {"modes": COUNT},
    functools.partial(nw.DeepONet, 2, 1, modes=1): {"rank": COUNT},
    functools.partial(nw.FNO, 2, 1): {"modes": COUNT},
    functools.partial(nw.FNO, 2, 1, modes=1): {"channels": COUNT, "layers": COUNT, "waves": COUNT},
    functools.partial(nw.PeriodicFeatures, 1, 1): {
        "column": (1, *INDEX),
        "waves": COUNT,
        "each": COUNT,
        "scale": POSITIVE,
    },
    functools.partial(nw.SpectralFeatures, 2, 1): {
        "columns": (*LIST, [2], [0.5], [-1]),
        "waves": COUNT,
        "degree": COUNT,
        "taper": (-0.1, 1.1, math.nan, "abc", True),
        "period": POSITIVE,
    },
    functools.partial(nw.SineSeries, 2, 1): {
        "columns": (*LIST, [2], [0.5], [-1], []),
        "waves": (*LIST, [0], [1.5], [3, 3]),
        "folds": (*LIST, [0], [1.5], [21], [1, 1]),
        "degree": COUNT,
    },
    functools.partial(nw.ProductSeries, 2, 1): {"waves": (*LIST, [0], [1.5], [3, 3], []), "degree": COUNT},
    functools.partial(nw.HoleFeatures, 1, 1, centers=[[0.0]], radii=[[0.5]]): {
        "count": COUNT,
        "scale": POSITIVE,
        "hole_count": COUNT,
        "hole_scale": POSITIVE,
    },
    functools.partial(nw.HoleFeatures, 1, 1, centers=[[0.0]]): {"radii": (*LIST, [[0.0]], [[1.0, 1.0]], [])},
    functools.partial(nw.HoleFeatures, 1, 1, radii=[[0.5]]): {"centers": (*LIST, [[math.nan]], [])},
    functools.partial(nw.CornerFeatures, 1, 1, corners=[[0.0]], sizes=[[0.5]], powers=[0.5]): {
        "count": COUNT,
        "scale": POSITIVE,
        "log_scale": POSITIVE,
    },
    functools.partial(nw.CornerFeatures, 1, 1, corners=[[0.0]], powers=[0.5]): {
        "sizes": (*LIST, [[0.0]], [[1.0, 1.0]], [])
    },
    functools.partial(nw.CornerFeatures, 1, 1, sizes=[[0.5]], powers=[0.5]): {"corners": (*LIST, [[math.nan]], [])},
    functools.partial(nw.CornerFeatures, 1, 1, corners=[[0.0]], sizes=[[0.5]]): {"powers": (*LIST, [], [0.5, 0.5])},
    functools.partial(nw.SIREN, 1, 1): {"first_frequency": POSITIVE, "hidden_frequency": POSITIVE},
    functools.partial(op.LeastSquares, PARAMETERS): {"tolerance": SHARE, "lr": POSITIVE},
    functools.partial(op.BFGS, PARAMETERS): {"lr": POSITIVE, "iterations": COUNT, "max_memory": POSITIVE},
    functools.partial(op.LBFGS, PARAMETERS): {"lr": POSITIVE, "history": COUNT, "iterations": COUNT, "c1": POSITIVE},
    functools.partial(op.MultiBatchLBFGS, PARAMETERS): {
        "lr": POSITIVE,
        "history": COUNT,
        "curvature": POSITIVE,
        "max_norm": SHARE,
    },
    functools.partial(op.MultiPreconditionedLBFGS, PARAMETERS): {
        "local_evaluations": COUNT,
        "local_history": COUNT,
        "merging_iterations": COUNT,
        "global_iterations": COUNT,
        "history": COUNT,
    },
    functools.partial(op.SchwarzLBFGS, PARAMETERS): {"blocks": COUNT, "local_iterations": COUNT, "momentum": SHARE},
    functools.partial(op.SchwarzGaussNewton, PARAMETERS): {"sweeps": COUNT},
    functools.partial(op.NystromNewtonCG, PARAMETERS): {"rank": COUNT, "refresh": COUNT, "damping": POSITIVE},
    functools.partial(op.SPRING, PARAMETERS): {"momentum": SHARE, "lr": POSITIVE, "max_norm": SHARE},
    functools.partial(op.SSBroyden, PARAMETERS): {"lr": POSITIVE, "max_memory": POSITIVE},
    HagerZhang: {"theta": SHARE, "gamma": SHARE, "rho": POSITIVE},
    StrongWolfe: {"c1": SHARE, "c2": SHARE},
    functools.partial(PINN, Poisson1D()): {"seed": SEED},
    functools.partial(CollocationDataModule, Poisson1D()): {"seed": SEED},
    Regression1D: {"frequencies": LIST, "amplitudes": LIST, "noise": SHARE, "count": INDEX, "seed": SEED},
    dp.SeveralValues: {"factors": LIST, "initial": POSITIVE},
    dp.FixedDamping: {"value": POSITIVE},
    dp.GainRatio: {"initial": POSITIVE, "shrink": POSITIVE, "lowest": POSITIVE},
    cr.FixedSteps: {"steps": COUNT},
    cr.GradientAlignment: {"every": COUNT, "average": COUNT},
    cr.LossPlateau: {"window": COUNT, "tolerance": POSITIVE, "minimum_steps": INDEX},
    cr.RelativeImprovement: {"patience": COUNT, "tolerance": POSITIVE},
    cr.TimeBudget: {"seconds": POSITIVE},
    cr.TrialStep: {"evaluations": COUNT, "margin": POSITIVE, "backoff": POSITIVE},
    bl.LRA: {"decay": SHARE},
    bl.NTKTrace: {"max_rows": COUNT},
    bl.ReLoBRaLo: {"alpha": SHARE, "temperature": POSITIVE},
    bg.Geometric: {"first": COUNT},
    functools.partial(bg.Linear, 10): {"step": COUNT},
    functools.partial(bg.NormTest, 10): {"theta": POSITIVE},
    functools.partial(cb.BatchGrowth, bg.Linear(10, 5)): {"every": COUNT},
    cb.CausalWeights: {"every": COUNT, "chunks": COUNT, "threshold": POSITIVE, "tolerances": LIST},
    functools.partial(cb.CausalWeights, 2): {"last_weight": POSITIVE},
    cb.EvaluationBudget: {"evaluations": COUNT, "points_seen": COUNT},
    cb.FreshPoints: {"every": COUNT, "start": INDEX, "ratio": POSITIVE},
    cb.GracefulStop: {"patience": POSITIVE},
    cb.NTKSpectrum: {"max_points": COUNT, "seed": SEED},
    cb.PhaseProgressBar: {"refresh": INDEX},
    cb.ResidualAddition: {"count": COUNT, "most": COUNT, "pool": COUNT},
    cb.ResidualAttention: {"every": COUNT, "gamma": SHARE, "eta": POSITIVE},
    cb.ResidualResampling: {
        "every": COUNT,
        "pool": COUNT,
        "floor": (-1, math.nan, "abc", True),
        "cap": (1, 0.5, math.nan, "abc", True),
    },
    cb.ResolutionWarning: {"patience": COUNT, "factor": POSITIVE},
    cb.RetainResample: {"steepness": POSITIVE, "tolerance": POSITIVE, "speed": POSITIVE},
    cb.Rollback: {"attempts": COUNT, "factor": POSITIVE, "backoff": POSITIVE},
    cb.RunCheckpoint: {"seconds": POSITIVE},
    cb.SlowSteps: {"factor": POSITIVE, "patience": COUNT},
    cb.SolutionFigures: {"every": COUNT, "times": LIST},
}
"""Numbers that are refused, by class and option: the message names the option."""


def number_rows():
    """One row for each class, option and value: what is called, the option, the value."""
    for owner, options in NUMBERS.items():
        name = getattr(owner, "func", owner).__name__
        for option, values in options.items():
            for value in values:
                yield f"{name}-{option}-{value}", owner, option, value
