"""References that cost seconds, coarser: for tests that do not measure errors by them."""

import functools

from pinnlab.problems import perforated_cube, perforated_heat, pulses, random_media, step
from pinnlab.problems.references import cube_spheres, hole_elements

COARSER = [
    (hole_elements, "WINDOWS", 4),
    (hole_elements, "STEPS", 2),
    (cube_spheres, "BESIDE", 16),
    (perforated_cube, "SOURCES", (60, 60, 24, 24)),
    (random_media, "MediumHeat", functools.partial(random_media.MediumHeat, degrees=(20, 24))),
    (random_media, "MediumWave", functools.partial(random_media.MediumWave, count=72, step=3.2e-3)),
    (step, "_solution", functools.lru_cache(maxsize=1)(functools.partial(step.Step, degree=3))),
    (pulses, "_solution", functools.lru_cache(maxsize=1)(functools.partial(pulses.Pulses, degree=4))),
]
"""What makes references coarser that are the same for all instances of their problem."""

COARSE_SOLUTIONS = {
    module: functools.lru_cache(maxsize=1)(module._solution.__wrapped__)
    for module in (perforated_heat, perforated_cube)
}
"""Without a trace in the solutions that other tests measure."""


def coarsen(set_attribute):
    """Makes them so, by the `setattr` of a `monkeypatch`."""
    for module, name, value in COARSER:
        set_attribute(module, name, value)
    for module, solution in COARSE_SOLUTIONS.items():
        set_attribute(module, "_solution", solution)
