"""Derivatives of any order of the elementary functions: `(argument, highest order) -> [f, f', f'', ...]`."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import torch
from numpy.polynomial import Polynomial, hermite_e
from torch import Tensor
from torch.nn import functional as F

Derivatives = Callable[[Tensor, int], list[Tensor]]


def autonomous(function: Callable[[Tensor], Tensor], rate: tuple[float, ...]) -> Derivatives:
    """Derivatives of g with g' = p(g) for a polynomial p: tanh (1 - g^2), sigmoid (g - g^2), tan (1 + g^2).

    All of them are p(g) Q_k(g) with Q_1 = 1 and Q_{k+1} = p' Q_k + p Q_k'.

    Args:
        function: g itself.
        rate: the coefficients of p, constant term first.
    """

    def derivatives(argument: Tensor, order: int) -> list[Tensor]:
        g = function(argument)
        if order == 0:
            return [g]
        slope = horner(rate, g)
        factors = _autonomous_factors(rate, order)
        return [g, slope, *(slope * horner(factors[k], g) for k in range(1, order))]

    return derivatives


@functools.cache
def _autonomous_factors(rate: tuple[float, ...], order: int) -> tuple[tuple[float, ...], ...]:
    p, q = Polynomial(rate), Polynomial([1.0])
    factors = [tuple(q.coef.tolist())]
    for _ in range(order - 1):
        q = p.deriv() * q + p * q.deriv()
        factors.append(tuple(q.coef.tolist()))
    return tuple(factors)


def horner(coefficients: tuple[float, ...], x: Tensor) -> Tensor:
    """Evaluates a polynomial, constant term first; even and odd polynomials in x^2, which halves the work."""
    c = [float(v) for v in coefficients]
    while len(c) > 1 and c[-1] == 0:
        c.pop()
    if len(c) > 2 and not any(c[1::2]):
        return horner(tuple(c[::2]), x * x)
    if len(c) > 2 and not any(c[::2]):
        return x * horner(tuple(c[1::2]), x * x)
    if len(c) == 1:
        return torch.full_like(x, c[0])
    result = c[-1] * x + c[-2]
    for value in reversed(c[:-2]):
        result = result * x + value
    return result


tanh = autonomous(torch.tanh, (1.0, 0.0, -1.0))
sigmoid = autonomous(torch.sigmoid, (0.0, 1.0, -1.0))
tan = autonomous(torch.tan, (1.0, 0.0, 1.0))


def sin(z: Tensor, order: int) -> list[Tensor]:
    """The sine and its derivatives."""
    s = torch.sin(z)
    if order == 0:
        return [s]
    c = torch.cos(z)
    return [(s, c, -s, -c)[k % 4] for k in range(order + 1)]


def cos(z: Tensor, order: int) -> list[Tensor]:
    """The cosine and its derivatives."""
    c = torch.cos(z)
    if order == 0:
        return [c]
    s = torch.sin(z)
    return [(c, -s, -c, s)[k % 4] for k in range(order + 1)]


def sinh(z: Tensor, order: int) -> list[Tensor]:
    """The hyperbolic sine and its derivatives."""
    pair = (torch.sinh(z), torch.cosh(z))
    return [pair[k % 2] for k in range(order + 1)]


def cosh(z: Tensor, order: int) -> list[Tensor]:
    """The hyperbolic cosine and its derivatives."""
    pair = (torch.cosh(z), torch.sinh(z))
    return [pair[k % 2] for k in range(order + 1)]


def exp(z: Tensor, order: int) -> list[Tensor]:
    """The exponential and its derivatives."""
    return [torch.exp(z)] * (order + 1)


def expm1(z: Tensor, order: int) -> list[Tensor]:
    """exp(z) - 1 and its derivatives."""
    return [torch.expm1(z), *[torch.exp(z)] * order]


def log(z: Tensor, order: int) -> list[Tensor]:
    """The natural logarithm and its derivatives (-1)^(k-1) (k-1)! z^-k."""
    tail = [(-1) ** (k - 1) * math.factorial(k - 1) * z ** (-k) for k in range(1, order + 1)]
    return [torch.log(z), *tail]


def log1p(z: Tensor, order: int) -> list[Tensor]:
    """log(1 + z) and its derivatives."""
    return [torch.log1p(z), *log(1 + z, order)[1:]]


def of_slope(
    function: Callable[[Tensor], Tensor], base: tuple[float, ...], power: float, sign: float = 1.0
) -> Derivatives:
    """Derivatives of g with g' = sign q(z)^p for a polynomial q: inverses of trigonometric and hyperbolic functions.

    All of them are q^(p - k) P_k with P_0 = sign and P_{k+1} = (p - k) q' P_k + q P_k'.

    Args:
        function: g itself.
        base: the coefficients of q, constant term first.
        power: p.
        sign: in front.
    """

    def derivatives(z: Tensor, order: int) -> list[Tensor]:
        if order == 0:
            return [function(z)]
        q, factors = horner(base, z), _slope_factors(base, power, sign, order)
        return [function(z), *(q ** (power - k) * horner(factors[k], z) for k in range(order))]

    return derivatives


@functools.cache
def _slope_factors(base: tuple[float, ...], power: float, sign: float, order: int) -> tuple[tuple[float, ...], ...]:
    q, p = Polynomial(base), Polynomial([sign])
    factors = [tuple(p.coef.tolist())]
    for k in range(order - 1):
        p = (power - k) * q.deriv() * p + q * p.deriv()
        factors.append(tuple(p.coef.tolist()))
    return tuple(factors)


atan = of_slope(torch.atan, (1.0, 0.0, 1.0), -1.0)
asin = of_slope(torch.asin, (1.0, 0.0, -1.0), -0.5)
acos = of_slope(torch.acos, (1.0, 0.0, -1.0), -0.5, sign=-1.0)
asinh = of_slope(torch.asinh, (1.0, 0.0, 1.0), -0.5)
acosh = of_slope(torch.acosh, (-1.0, 0.0, 1.0), -0.5)
atanh = of_slope(torch.atanh, (1.0, 0.0, -1.0), -1.0)


def lgamma(z: Tensor, order: int) -> list[Tensor]:
    """The logarithm of the gamma function and the polygamma functions."""
    return [torch.lgamma(z), *(torch.polygamma(k, z) for k in range(order))]


def digamma(z: Tensor, order: int) -> list[Tensor]:
    """The slope of `lgamma` and the polygamma functions behind it."""
    return [torch.polygamma(k, z) for k in range(order + 1)]


def power(exponent: float | Tensor) -> Derivatives:
    """z^p and its derivatives p (p-1) ... (p-k+1) z^(p-k); exact zeros past an integer power."""

    def derivatives(z: Tensor, order: int) -> list[Tensor]:
        result, factor = [z**exponent], exponent
        for k in range(1, order + 1):
            if isinstance(factor, Tensor):  # where it is zero, z^(p-k) may be infinite; else p may be trained
                lost = (factor == 0) & ~(z ** (exponent - k)).detach().isfinite()
                result.append(factor * z ** torch.where(lost, 0.0, exponent - k))
            else:
                result.append(torch.zeros_like(z) if factor == 0 else factor * z ** (exponent - k))
            factor = factor * (exponent - k)
        return result

    return derivatives


def absolute(z: Tensor, order: int) -> list[Tensor]:
    """|z|, its sign, and zeros (the kink at 0 is ignored, as autograd does)."""
    return [torch.abs(z), torch.sign(z), *[torch.zeros_like(z)] * (order - 1)][: order + 1]


def relu(z: Tensor, order: int) -> list[Tensor]:
    """max(z, 0), the step function, and zeros (the kink at 0 is ignored, as autograd does)."""
    return [torch.relu(z), (z > 0).to(z.dtype), *[torch.zeros_like(z)] * (order - 1)][: order + 1]


def softplus(beta: float, threshold: float) -> Derivatives:
    """log(1 + exp(beta z)) / beta, its derivative the sigmoid of beta z; where beta z is above the threshold, z."""

    def derivatives(z: Tensor, order: int) -> list[Tensor]:
        linear = beta * z > threshold
        slopes = sigmoid(beta * z, max(order - 1, 0))
        tail = (torch.where(linear, 1.0 if k == 0 else 0.0, beta**k * slopes[k]) for k in range(order))
        return [F.softplus(z, beta, threshold), *tail]

    return derivatives


def logsigmoid(z: Tensor, order: int) -> list[Tensor]:
    """log(sigmoid(z)); its derivative is sigmoid(-z)."""
    slopes = sigmoid(-z, max(order - 1, 0))
    return [F.logsigmoid(z), *((-1) ** k * slopes[k] for k in range(order))]


def elu(scale: float, rate: float, slope: float = 1.0) -> Derivatives:
    """Slope z where z > 0, else scale (exp(rate z) - 1): ELU, and with other numbers CELU and SELU."""

    def derivatives(z: Tensor, order: int) -> list[Tensor]:
        positive, below = z > 0, rate * z.clamp(max=0)  # clamped: an overflow in the other branch would make NaN
        e = scale * torch.exp(below)
        tail = (torch.where(positive, slope if k == 1 else 0.0, rate**k * e) for k in range(1, order + 1))
        return [torch.where(positive, slope * z, scale * torch.expm1(below)), *tail]

    return derivatives


_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946
SELU = elu(_SELU_SCALE * _SELU_ALPHA, 1.0, _SELU_SCALE)
"""The self-normalising ELU (Klambauer et al., arXiv 1706.02515)."""


def silu(z: Tensor, order: int) -> list[Tensor]:
    """Z sigmoid(z) by Leibniz' formula."""
    return _times_argument(z, sigmoid(z, order))


def gelu(z: Tensor, order: int) -> list[Tensor]:
    """Z Phi(z) with the normal distribution function Phi, by Leibniz' formula."""
    return _times_argument(z, normal_cdf(z, order))


def erf(z: Tensor, order: int) -> list[Tensor]:
    """The error function, which is 2 Phi(sqrt(2) z) - 1."""
    root = math.sqrt(2)
    tail = normal_cdf(root * z, order)[1:]
    return [torch.erf(z), *(2 * root ** (k + 1) * f for k, f in enumerate(tail))]


def erfc(z: Tensor, order: int) -> list[Tensor]:
    """1 - erf(z), which keeps its digits where erf is near one."""
    return [torch.erfc(z), *(-f for f in erf(z, order)[1:])]


def erfcx(z: Tensor, order: int) -> list[Tensor]:
    """exp(z^2) erfc(z), for arguments that are not far below zero: f' = 2 z f - 2 / sqrt(pi), and so on."""
    result = [torch.special.erfcx(z)]
    for k in range(order):
        before = 2 * k * result[k - 1] if k else -2 / math.sqrt(math.pi)
        result.append(2 * z * result[k] + before)
    return result


def normal_cdf(z: Tensor, order: int) -> list[Tensor]:
    """Phi and its derivatives (-1)^(k-1) He_(k-1)(z) phi(z), with the probabilists' Hermite polynomials."""
    density = torch.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)
    tail = []
    for k in range(order):
        coefficients = hermite_e.herme2poly([0.0] * k + [(-1.0) ** k])
        tail.append(density * horner(tuple(coefficients), z))
    return [0.5 * (1 + torch.erf(z / math.sqrt(2))), *tail]


def _times_argument(z: Tensor, f: list[Tensor]) -> list[Tensor]:
    """(z f)^(k) = z f^(k) + k f^(k-1)."""
    return [z * f[0], *(z * f[k] + k * f[k - 1] for k in range(1, len(f)))]
