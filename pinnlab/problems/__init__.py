"""Problems: what is solved. Each file is one family of differential equations with an independent reference."""

from pinnlab.numerics.constants import constant_like
from pinnlab.problems.allen_cahn import AllenCahn
from pinnlab.problems.base import Coefficient, Exact, Numerical, Problem
from pinnlab.problems.biharmonic import Biharmonic1D, Biharmonic2D
from pinnlab.problems.blocks import BlockPoisson
from pinnlab.problems.burgers import Burgers
from pinnlab.problems.cavity import Cavity
from pinnlab.problems.conditions import (
    Condition,
    Dirichlet,
    Neumann,
    Periodic,
    Residual,
    Robin,
)
from pinnlab.problems.continuity import Continuity
from pinnlab.problems.darcy import DarcyOperator
from pinnlab.problems.diffusions import FokkerPlanck, HamiltonJacobiBellman
from pinnlab.problems.dispersive import KortewegDeVries, KuramotoSivashinsky
from pinnlab.problems.elasticity import Elasticity
from pinnlab.problems.energy import Energy
from pinnlab.problems.front import Front2D
from pinnlab.problems.given import Given
from pinnlab.problems.gray_scott import GrayScott
from pinnlab.problems.heat import Heat1D, Heat2D, HeatBall
from pinnlab.problems.helmholtz import Helmholtz2D
from pinnlab.problems.integrals import Integral, Mean
from pinnlab.problems.interface import Interface
from pinnlab.problems.inverse import HeatInverse, PoissonInverse
from pinnlab.problems.layer import Layer1D
from pinnlab.problems.long_heat import LongHeat
from pinnlab.problems.lorenz import Lorenz
from pinnlab.problems.many_dimensions import AllenCahnTwoBody, SineGordonTwoBody
from pinnlab.problems.multiscale import MultiscalePoisson
from pinnlab.problems.navier_stokes import Kovasznay
from pinnlab.problems.observations import Observations
from pinnlab.problems.operator_data import OperatorData
from pinnlab.problems.operators import Antiderivative, BurgersOperator, DiffusionReactionOperator
from pinnlab.problems.pendulum import NoisyPendulum
from pinnlab.problems.perforated import PerforatedLaplace
from pinnlab.problems.perforated_cube import PerforatedCube
from pinnlab.problems.perforated_heat import PerforatedHeat
from pinnlab.problems.plane_burgers import PlaneBurgers
from pinnlab.problems.poisson import NeumannPoisson2D, Poisson, Poisson1D, Poisson2D
from pinnlab.problems.pulses import PulsedChannel
from pinnlab.problems.random_media import RandomMediumHeat, RandomMediumWave
from pinnlab.problems.regression import Regression1D
from pinnlab.problems.rough_medium import RoughMedium1D
from pinnlab.problems.schroedinger import Schroedinger
from pinnlab.problems.screened import ScreenedPoisson
from pinnlab.problems.step import BackwardStep
from pinnlab.problems.tiled import Tiled
from pinnlab.problems.transport import Convection, Reaction
from pinnlab.problems.unknowns import Unknown
from pinnlab.problems.wave import Wave1D, Wave2D
from pinnlab.problems.weak import Weak

__all__ = [
    "AllenCahn",
    "AllenCahnTwoBody",
    "Antiderivative",
    "BackwardStep",
    "Biharmonic1D",
    "Biharmonic2D",
    "BlockPoisson",
    "Burgers",
    "BurgersOperator",
    "Cavity",
    "Coefficient",
    "Condition",
    "Continuity",
    "Convection",
    "DarcyOperator",
    "DiffusionReactionOperator",
    "Dirichlet",
    "Elasticity",
    "Energy",
    "Exact",
    "FokkerPlanck",
    "Front2D",
    "Given",
    "GrayScott",
    "HamiltonJacobiBellman",
    "Heat1D",
    "Heat2D",
    "HeatBall",
    "HeatInverse",
    "Helmholtz2D",
    "Integral",
    "Interface",
    "KortewegDeVries",
    "Kovasznay",
    "KuramotoSivashinsky",
    "Layer1D",
    "LongHeat",
    "Lorenz",
    "Mean",
    "MultiscalePoisson",
    "Neumann",
    "NeumannPoisson2D",
    "NoisyPendulum",
    "Numerical",
    "Observations",
    "OperatorData",
    "PerforatedCube",
    "PerforatedHeat",
    "PerforatedLaplace",
    "Periodic",
    "PlaneBurgers",
    "Poisson",
    "Poisson1D",
    "Poisson2D",
    "PoissonInverse",
    "Problem",
    "PulsedChannel",
    "RandomMediumHeat",
    "RandomMediumWave",
    "Reaction",
    "Regression1D",
    "Residual",
    "Robin",
    "RoughMedium1D",
    "Schroedinger",
    "ScreenedPoisson",
    "SineGordonTwoBody",
    "Tiled",
    "Unknown",
    "Wave1D",
    "Wave2D",
    "Weak",
    "constant_like",
]
