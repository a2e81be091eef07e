"""Designs on the unit cube, which every region maps onto itself; and the seeds of all random streams."""

from pinnlab.samplers.base import Sampler
from pinnlab.samplers.focused import Focused
from pinnlab.samplers.lattice import Lattice
from pinnlab.samplers.products import FunctionsTimesPlaces, SpaceTimeGrid
from pinnlab.samplers.seeding import seed_for
from pinnlab.samplers.sequences import Halton, Hammersley, Sobol
from pinnlab.samplers.stratified import Grid, LatinHypercube, UniformRandom

__all__ = [
    "Focused",
    "FunctionsTimesPlaces",
    "Grid",
    "Halton",
    "Hammersley",
    "LatinHypercube",
    "Lattice",
    "Sampler",
    "Sobol",
    "SpaceTimeGrid",
    "UniformRandom",
    "seed_for",
]
