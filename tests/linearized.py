"""Problems with small networks and points, and their linearization by brute force."""

import torch
from cases import PROBLEMS
from torch.autograd.functional import hessian, jacobian

from pinnlab.domains import Interval
from pinnlab.networks import MLP
from pinnlab.numerics.compiler import Compiler
from pinnlab.objective.linearization import Linearization, LinearizedFunctions
from pinnlab.objective.residuals import ResidualSystem
from pinnlab.objective.trial_function import Trial
from pinnlab.problems import Coefficient, Dirichlet, Observations, Problem, Residual
from pinnlab.samplers import Sobol


def inverse_problem():
    """Growth at an unknown rate, from three measurements and one initial value."""
    t = Interval("t", 0, 2)
    where = torch.tensor([[0.5], [1.0], [1.5]], dtype=torch.float64)
    conditions = {
        "growth": Residual(t, lambda u, k, c: u.t - k * u + c, weight=0.5),
        "start": Dirichlet(t.face(t=0.0), u=1.0, weight=10.0),
        "data": Observations(where, u=torch.exp(0.3 * where[:, 0]), weight=3.0),
    }
    return Problem(t, ["u"], conditions, {"k": Coefficient(0.5, bounds=(0.0, 2.0)), "c": Coefficient(0.1)})


def oscillator():
    """Two unknowns and two equations."""
    t = Interval("t", 0, 2)
    conditions = {
        "motion": Residual(t, lambda u, v: (u.t - v, v.t + u**3 * v)),
        "start": Dirichlet(t.face(t=0.0), u=1.0, v=0.0, weight=0.0),
    }
    return Problem(t, ["u", "v"], conditions)


CASES = {
    "burgers": (PROBLEMS["burgers_soft"], {"pde": 13, "wall": 4, "start": 1}),
    "allen_cahn": (PROBLEMS["allen_cahn_periodic"], {"pde": 7, "start": 5, "periodic": 3}),
    "inverse": (inverse_problem, {"growth": 9, "start": 1, "data": 3}),
    "neumann": (PROBLEMS["poisson2d_neumann"], {"pde": 7, "boundary": 5}),
    "oscillator": (oscillator, {"motion": 6, "start": 1}),
    "heat": (PROBLEMS["heat"], {"pde": 9, "wall": 4, "start": 3}),
}
"""Problems, and how many points each condition has; `Case(times=...)` has so many times as many."""


class Case:
    """A problem with a small network, points, and derivatives by `torch.autograd` of the eager residual."""

    def __init__(self, name, engine="taylor", network=MLP, frozen=(), memory=1 << 30, compiled=False, times=1):
        build, counts = CASES[name]
        problem = build()
        torch.manual_seed(0)
        inner = network(len(problem.coordinates), len(problem.unknowns), hidden=[5, 4]).double()
        self.system = ResidualSystem(problem, Trial(problem, inner), engine)
        for key, parameter in self.system.trial.named_parameters():
            parameter.requires_grad_(key not in frozen)
        self.batch = {}
        for key, condition in problem.conditions.items():
            points = condition.fixed_points()
            points = Sobol().sample(condition.region, times * counts[key], 1) if points is None else points
            self.batch[key] = condition.rows(points)
        weights = torch.tensor([c.weight for c in problem.conditions.values()], dtype=torch.float64)
        self.factors = weights / torch.tensor([len(rows) for rows in self.batch.values()])
        self.functions = LinearizedFunctions(self.system, Compiler() if compiled else None)
        self.memory = memory

    def flat(self):
        return torch.cat([p.detach().reshape(-1) for p in self.system.trial.parameters() if p.requires_grad])

    def linearization(self):
        tensors = self.system.trial.tensors()
        return Linearization(self.functions, tensors, self.batch, self.factors, self.memory)

    def residual(self, point, unscaled=False):
        parameters, start = dict(self.system.trial.named_parameters()), 0
        for key, parameter in parameters.items():
            if parameter.requires_grad:
                parameters[key] = point[start : start + parameter.numel()].view_as(parameter)
                start += parameter.numel()
        blocks = self.system.residuals(self.batch, {**self.system.trial.tensors(), **parameters})
        factors = torch.ones_like(self.factors) if unscaled else self.factors.sqrt()
        return torch.cat([f * r.reshape(-1) for f, r in zip(factors, blocks.values(), strict=True)])

    def jacobian(self, **options):
        return jacobian(lambda p: self.residual(p, **options), self.flat(), vectorize=True)

    def hessian(self):
        return hessian(lambda p: self.residual(p).square().sum(), self.flat(), vectorize=True)


def draw(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)


def close(found, expected):
    return torch.allclose(found, expected, rtol=1e-11, atol=1e-12 * float(expected.abs().max()))
