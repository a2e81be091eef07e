"""The Fourier neural operator, with values and derivatives at any point."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pinnlab.networks.activations import Activation
from pinnlab.networks.activations import activation as activation_named
from pinnlab.networks.checks import places_beside, positive_int
from pinnlab.networks.linear import glorot
from pinnlab.networks.mlp import MLP
from pinnlab.networks.on_products import Places


@final
class FNO(nn.Module):
    r"""The Fourier neural operator of one periodic coordinate: layers that mix the waves of a function on a grid.

    `v_0 = P [a, cos, sin]` on a grid of its own, then `v_{l+1} = phi(W_l v_l + K_l v_l + b_l)`, where K_l multiplies
    each of the first waves of all channels by a matrix of its own, in the complex numbers. What the layers of the paper
    leave on the grid is here taken as a sum of these waves, which has a value anywhere; a small perceptron makes the
    unknowns of it and of the other coordinates, such as time: `u(a)(x, t) = Q(v_L(x), t)`. So u is periodic in x and
    smooth, has derivatives, may be trained by its equation, and is asked for at points like any other network.

    The last columns of the input are the function: coefficients of cosine and sine of the first wave, of the second and
    so on, as the basis `Fourier` has them; their sizes are trained. Of functions times places each function goes
    through the layers once, see `OnProducts`; unrelated points each take them once, which is slow. All parameters are
    real, so that every optimizer takes them, and derivatives by the place do not go through the layers.

    Source: Li, Kovachki, Azizzadenesheli, Liu, Bhattacharya, Stuart, Anandkumar, "Fourier neural operator for
    parametric partial differential equations" (arXiv:2010.08895), section 4.

    Args:
        inputs: the number of coordinates, those of the function too, scaled to [-1, 1]; the first one is periodic.
        outputs: the number of unknowns.
        modes: how many of the coordinates are the function.
        channels: how many functions a layer has.
        layers: how many there are.
        waves: the largest number of waves per interval that layers mix, and that the solution is made of.
        decoder: the widths of the perceptron's hidden layers.
        activation: see `activation`; `gelu` because it is smooth, and the paper's code has it.

    Attributes:
        waves: the largest number of waves.
        places: of the layers' grid.

    Raises:
        ConfigurationError: a size is not positive, `modes` leaves no place, or there is no such activation.
    """

    numbers: Tensor
    on_grids = False

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        modes: int,
        channels: int = 12,
        layers: int = 3,
        waves: int = 8,
        decoder: Sequence[int] = (20,),
        activation: Activation = "gelu",
    ) -> None:
        super().__init__()
        self.place_columns = places_beside(modes, inputs)
        self.activation = activation_named(activation)
        self.waves, known = positive_int("waves", waves), (modes + 1) // 2
        # Twice as many as the waves need: products of two of them are not taken for others.
        self.places = 4 * max(waves, known)
        # Whole numbers survive a cast of the buffer; pi, kept apart, stays exact in float64.
        numbers = torch.arange(max(waves, known) + 1, dtype=torch.get_default_dtype())
        self.register_buffer("numbers", numbers, persistent=False)
        self.sizes = nn.Parameter(torch.ones(modes))
        self.lift = glorot(3, positive_int("channels", channels))
        self.mixing = nn.ModuleList(_Mixing(channels, waves) for _ in range(positive_int("layers", layers)))
        self.decoder = MLP(channels + self.place_columns - 1, outputs, hidden=decoder, activation=activation)

    @property
    def last(self) -> nn.Module:
        """The last layer, see `last_layer`."""
        return self.decoder.last

    def forward(self, x: Tensor, places: Places = None) -> Tensor:
        """Maps `(n, inputs)` to `(n, outputs)`.

        Args:
            x: function by function, if `places` is given.
            places: how many places each function has, the same for all of them; default: nothing is known of it.
        """
        place, function = x[..., : self.place_columns], x[..., self.place_columns :]
        # Apart before they are reshaped: what is not differentiated by is a plain tensor then.
        place, function = (part.reshape(-1, part.shape[-1]) for part in (place, function))
        if places is None:
            cosines, sines = self._waves(place[:, 0])
            even, odd = self._solved(function)
            found = (even * cosines.unsqueeze(-2) + odd * sines.unsqueeze(-2)).sum(-1)
        else:
            (count,) = places
            cosines, sines = self._waves(place[:count, 0])
            even, odd = self._solved(function.unflatten(0, (-1, count))[:, 0])
            found = (even @ cosines.mT + odd @ sines.mT).mT.flatten(0, 1)
        if self.place_columns > 1:
            found = torch.cat([found, place[:, 1:]], -1)
        values = self.decoder(found)
        return values.reshape(*x.shape[:-1], values.shape[-1])

    def _waves(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Cosines and sines that the solution is made of, `(n, waves + 1)`."""
        angle = x.unsqueeze(-1) * (math.pi * self.numbers[: self.waves + 1])
        return torch.cos(angle), torch.sin(angle)

    def _solved(self, function: Tensor) -> tuple[Tensor, Tensor]:
        """The waves that the layers make of functions, `(n, channels, waves + 1)` for cosines and for sines."""
        known = self.numbers
        grid = 2 * torch.arange(self.places, dtype=known.dtype, device=known.device) / self.places - 1
        angle = grid[:, None] * (math.pi * known)
        cosines, sines = torch.cos(angle), torch.sin(angle)
        both = torch.cat([cosines[:, 1:, None], sines[:, 1:, None]], -1)
        basis = both.flatten(1)[:, : self.sizes.shape[0]]
        values = F.linear(function * self.sizes, basis).unsqueeze(-1)
        where = both[:, 0]
        v = values * self.lift.weight[:, 0] + F.linear(where, self.lift.weight[:, 1:], self.lift.bias)
        cosines, sines = cosines[:, : self.waves + 1], sines[:, : self.waves + 1]
        for layer in self.mixing:
            v = self.activation(layer(v, cosines, sines))
        return _analysed(v, cosines), _analysed(v, sines)


class _Mixing(nn.Module):
    """A layer before its activation: a linear map at each place, and one of each wave.

    Args:
        channels: how many functions.
        waves: the largest number of waves.
    """

    def __init__(self, channels: int, waves: int) -> None:
        super().__init__()
        self.local = glorot(channels, channels)
        deviation = 1 / math.sqrt(2 * channels)
        self.real = nn.Parameter(deviation * torch.randn(waves + 1, channels, channels))
        self.imaginary = nn.Parameter(deviation * torch.randn(waves, channels, channels))

    def forward(self, v: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
        """Maps `(functions, places, channels)` to the same.

        Args:
            v: at places of a grid.
            cosines: of each wave at each place, `(places, waves + 1)`.
            sines: the same.
        """
        even, odd = _analysed(v, cosines).transpose(0, 2), _analysed(v, sines).transpose(0, 2)  # wave by wave
        real = self.real
        imaginary = torch.cat([0.0 * real[:1], self.imaginary])  # the constant has no sine
        turned_even = (real @ even + imaginary @ odd).transpose(0, 2)
        turned_odd = (real @ odd - imaginary @ even).transpose(0, 2)
        return self.local(v) + (F.linear(turned_even, cosines) + F.linear(turned_odd, sines)).mT


def _analysed(v: Tensor, waves: Tensor) -> Tensor:
    """The factors of waves in functions on a grid, `(functions, channels, waves)`."""
    weights = waves / (waves * waves).sum(0).clamp_min(1.0)
    return F.linear(v.mT, weights.mT)
