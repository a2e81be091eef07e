"""Functions of one step length, for the tests of the line searches."""

from __future__ import annotations

import math

import torch

ONE = torch.ones(1, dtype=torch.float64)


def along(function):
    """An `evaluate` that counts, from a scalar torch function, and its values at 0."""

    def evaluate(step):
        t = torch.tensor([step], dtype=torch.float64, requires_grad=True)
        loss = function(t).sum()
        (gradient,) = torch.autograd.grad(loss, t)
        evaluate.steps.append(step)
        return loss.detach(), gradient

    evaluate.steps = []
    loss, gradient = evaluate(0.0)
    evaluate.steps.clear()
    return evaluate, float(loss), gradient


def yanai(b1, b2):
    def weight(b):
        return math.sqrt(1 + b * b) - b

    return lambda t: weight(b1) * ((1 - t) ** 2 + b2**2).sqrt() + weight(b2) * (t**2 + b1**2).sqrt()


def wiggly(t, b=0.01, count=39):
    kink = torch.where(t <= 1 - b, 1 - t, torch.where(t >= 1 + b, t - 1, (t - 1) ** 2 / (2 * b) + b / 2))
    return kink + 2 * (1 - b) / (count * math.pi) * torch.sin(count * math.pi / 2 * t)


# Moré & Thuente (1994), functions 5.1 to 5.4 with the parameters of tables I to VI; where the paper has
# c1 = c2 (tables II to VI), c1 is a hair smaller.
MORE_THUENTE = {
    "I": (lambda t: -t / (t**2 + 2), 1e-3, 0.1),
    "II": (lambda t: (t + 0.004) ** 5 - 2 * (t + 0.004) ** 4, 0.0999, 0.1),
    "III": (wiggly, 0.0999, 0.1),
    "IV": (yanai(0.001, 0.001), 0.999e-3, 1e-3),
    "V": (yanai(0.01, 0.001), 0.999e-3, 1e-3),
    "VI": (yanai(0.001, 0.01), 0.999e-3, 1e-3),
}
