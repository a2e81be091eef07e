"""The grids that tests run over: one entry here, and every conformance check of that kind applies to it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial

import torch
from torch import Tensor, nn

from pinnlab import problems
from pinnlab.networks import (
    FNO,
    MLP,
    SIREN,
    Composed,
    CornerFeatures,
    DeepONet,
    FeatureSum,
    FourierFeatures,
    Gabor,
    Graded,
    GradedEnds,
    HoleFeatures,
    Kink,
    Lens,
    ModifiedMLP,
    Part,
    PeriodicEmbedding,
    PeriodicFeatures,
    PirateNet,
    ProductSeries,
    RandomFeatures,
    ScaledInput,
    Separable,
    SineSeries,
    SpectralFeatures,
    Stretch,
    Subdomains,
    Tiles,
)
from pinnlab.problems import Problem


def _scaled(inputs: int, outputs: int) -> nn.Module:
    return ScaledInput(MLP(inputs, outputs, hidden=[7]), [-1.5] * inputs, [2.5] * inputs)


class AttentionNetwork(nn.Module):
    """Each point attends to what it was made of: four tokens, a transformer's layer, and one value from all of them."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.embed = nn.Linear(inputs, 16)
        self.attend = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True, activation="gelu")
        self.read = nn.Linear(16, outputs)

    def forward(self, x: Tensor) -> Tensor:
        tokens = torch.tanh(self.embed(x)).unflatten(-1, (4, 4))
        return self.read(self.attend(tokens).flatten(-2))


class Wave(nn.Module):
    """An activation with a trained frequency."""

    def __init__(self):
        super().__init__()
        self.frequency = nn.Parameter(torch.tensor(1.2))

    def forward(self, x: Tensor) -> Tensor:
        return torch.sin(self.frequency * x)


class SharingNetwork(nn.Module):
    """One activation with a trained number in three places, a matrix in two layers, a last layer of two names."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        wave, middle, again = Wave(), nn.Linear(5, 5), nn.Linear(5, 5)
        again.weight = middle.weight
        self.layers = nn.Sequential(nn.Linear(inputs, 5), wave, middle, wave, again, wave, nn.Linear(5, outputs))
        self.last = self.layers[-1]

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


def _of_layers(inputs: int, outputs: int) -> nn.Module:
    """One after the other, smooth activations and norms that torch has."""
    layers = [nn.ELU(), nn.RMSNorm(6), nn.Mish(), nn.LayerNorm(6), nn.CELU(1.5), nn.Softplus(2.0), nn.Tanhshrink()]
    hidden = [nn.Linear(inputs, 6), nn.Linear(6, 6), nn.Linear(6, 6)]
    return nn.Sequential(hidden[0], *layers[:2], hidden[1], *layers[2:4], hidden[2], *layers[4:], nn.Linear(6, outputs))


def _even(inputs: int, outputs: int) -> HoleFeatures:
    wider = partial(Stretch, factors=[1.5] * inputs, embedding=partial(Stretch, factors=[0.8] * inputs))
    return HoleFeatures(
        inputs, outputs, centers=[[0.7]], radii=[[0.3]], count=5, scale=2.0, hole_count=3, even=[0], embedding=wider
    )


def _stretched(inputs: int, outputs: int) -> nn.Module:
    """Coordinates of unlike scales."""
    return SIREN(inputs, outputs, hidden=[8, 6], embedding=partial(Stretch, factors=[3.0, *[0.5] * (inputs - 1)]))


def _composed(inputs: int, outputs: int) -> nn.Module:
    """A network on the last coordinate for the first output, one on all of them for the others, the other way round."""
    parts = [Part(MLP(inputs, max(outputs - 1, 1), hidden=[5]), range(inputs), [*range(1, outputs)] or [0])]
    if outputs > 1:
        parts.append(Part(SIREN(1, 1, hidden=[4]), [inputs - 1], [0]))
    return Composed(parts)


class _Repeated(nn.Module):
    """Hands each coordinate over twice, so that there is one for a place and one for a function."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        return self.network(torch.cat([x, 0.5 * x], -1))


def _operator(inputs: int, outputs: int, **options) -> nn.Module:
    """The last coordinate is a function."""
    if inputs == 1:
        return _Repeated(DeepONet(2, outputs, modes=1, **options))
    return DeepONet(inputs, outputs, modes=1, **options)


def _fourier_operator(inputs: int, outputs: int) -> nn.Module:
    """The same by layers that mix waves."""
    build = partial(FNO, modes=1, channels=4, layers=2, waves=2, decoder=[5], activation="tanh")
    return _Repeated(build(2, outputs)) if inputs == 1 else build(inputs, outputs)


def _series(inputs: int, outputs: int) -> nn.Module:
    """Waves along all coordinates but the last."""
    if inputs == 1:
        return _Repeated(ProductSeries(2, outputs, waves=[2], degree=5))
    return ProductSeries(inputs, outputs, waves=[2] * (inputs - 1), degree=5)


def _graded_ends(inputs: int) -> GradedEnds:
    return GradedEnds(inputs, widths=[0.6, *[0.0] * (inputs - 1)], factors=[2.0, *[0.5] * (inputs - 1)])


def _corner(inputs: int, outputs: int) -> nn.Module:
    """Two corners beyond the points, each unknown with a power of its own."""
    powers = [0.5 - k for k in range(outputs)]
    return CornerFeatures(inputs, outputs, corners=[[1.5], [-1.8]], sizes=[[1.0], [0.5]], powers=powers, count=4)


_fourier = partial(FourierFeatures, features=5)
_periodic = partial(PeriodicEmbedding, columns=[0], harmonics=2)

NETWORKS: dict[str, Callable[[int, int], nn.Module]] = {
    "mlp": partial(MLP, hidden=[8, 6]),
    "mlp-sin-factorised": partial(MLP, hidden=[8, 6], activation="sin", factorised=True),
    "mlp-fourier": partial(MLP, hidden=[8], activation="silu", embedding=_fourier),
    "mlp-fourier-of-one-column": partial(
        MLP, hidden=[6], embedding=partial(FourierFeatures, features=4, scale=2.0, columns=[0])
    ),
    "mlp-periodic": partial(MLP, hidden=[8], activation="softplus", embedding=_periodic),
    "modified-mlp": partial(ModifiedMLP, hidden=[7, 7]),
    "modified-mlp-factorised": partial(ModifiedMLP, hidden=[7], activation="gelu", factorised=True),
    "siren": partial(SIREN, hidden=[8, 6]),
    "siren-lens": partial(SIREN, hidden=[6], embedding=partial(Lens, at=0.3, width=0.4)),
    "siren-kink": partial(SIREN, hidden=[8, 6], embedding=partial(Kink, at=0.123)),
    "siren-periodic": partial(SIREN, hidden=[8, 6], hidden_frequency=3.0, embedding=_periodic),
    "siren-trained": partial(SIREN, hidden=[8, 6], first_frequency=1.0, trained_frequencies=True, start="orthogonal"),
    "siren-glorot": partial(SIREN, hidden=[6], trained_frequencies=True, start="glorot"),
    "separable": partial(Separable, rank=4, hidden=[5, 3]),
    "gabor": partial(Gabor, atoms=7),
    "piratenet": partial(PirateNet, width=6, blocks=2),
    "piratenet-factorised": partial(
        PirateNet, width=6, blocks=1, activation="sigmoid", embedding=_periodic, factorised=True
    ),
    "random-features": partial(RandomFeatures, count=9, scale=2.0),
    "random-features-periodic": partial(RandomFeatures, count=8, embedding=_periodic),
    "periodic-features": partial(PeriodicFeatures, waves=3, each=2),
    "sine-series": partial(SineSeries, waves=[3], degree=5),
    "sine-series-lens": partial(SineSeries, waves=[3], degree=5, embedding=partial(Lens, width=0.3, periodic=True)),
    "cosine-series": partial(SineSeries, waves=[3], degree=4, flat=True, bends=True),
    "spectral-features": partial(SpectralFeatures, waves=3, degree=4, taper=0.5),
    "product-series": _series,
    "corner-features": _corner,
    "feature-sum": partial(
        FeatureSum,
        networks=[
            partial(RandomFeatures, count=5, scale=2.0),
            partial(RandomFeatures, count=3, embedding=partial(Graded, at=1.0, width=0.3)),
            _corner,
        ],
    ),
    "random-features-graded": partial(RandomFeatures, count=8, embedding=_graded_ends),
    "hole-features": partial(
        HoleFeatures, centers=[[0.7], [0.9]], radii=[[0.3], [0.2]], count=5, scale=2.0, hole_count=3, hole_scale=1.5
    ),
    "deeponet": partial(_operator, branch=[5, 4], trunk=[6], rank=3),
    "fno": _fourier_operator,
    "deeponet-linear": partial(_operator, branch=[], trunk=[6, 5], rank=4, activation="sin", embedding=_periodic),
    "siren-stretched": _stretched,
    "holes-even": _even,
    "subdomains": partial(Subdomains, grid=3, network=partial(MLP, hidden=[5, 4])),
    "subdomains-levels": partial(
        Subdomains, grid=2, overlap=1.5, levels=2, smoothness=4, network=partial(PirateNet, width=4, blocks=1)
    ),
    "subdomains-periodic": partial(Subdomains, grid=2, periodic=[0], smoothness=5, network=partial(SIREN, hidden=[5])),
    "subdomains-features": partial(Subdomains, grid=2, network=partial(RandomFeatures, count=6)),
    "tiles": partial(Tiles, grid=2, network=partial(MLP, hidden=[5, 4])),
    "tiles-features": partial(Tiles, grid=3, network=partial(RandomFeatures, count=6)),
    "scaled": _scaled,
    "composed": _composed,
    "attention": AttentionNetwork,
    "layers-of-torch": _of_layers,
    "sharing": SharingNetwork,
    "own-activation": partial(MLP, hidden=[6, 5], activation=Wave()),
}
"""Small networks by name, as functions of (inputs, outputs): every class and every option at least once."""


PROBLEMS: dict[str, Callable[[], Problem]] = {
    "regression": problems.Regression1D,
    "regression_measured": lambda: problems.Regression1D(count=60),
    "poisson1d": problems.Poisson1D,
    "poisson1d_exact": lambda: problems.Poisson1D(frequency=4, exact_conditions=True),
    "poisson2d": problems.Poisson2D,
    "poisson2d_exact": lambda: problems.Poisson2D(exact_conditions=True),
    "poisson2d_neumann": lambda: problems.NeumannPoisson2D(mean=0.5),
    "poisson5d": lambda: problems.Poisson(dim=5),
    "poisson100d": lambda: problems.Poisson(dim=100),
    "poisson10d_harmonic": lambda: problems.Poisson(dim=10, exact="harmonic"),
    "multiscale": problems.MultiscalePoisson,
    "multiscale_tiled": lambda: problems.Tiled(problems.MultiscalePoisson(octaves=2), grid=[4]),
    "poisson2d_tiled": lambda: problems.Tiled(problems.Poisson2D(exact_conditions=True), [2, 3], flux="residual"),
    "multiscale2d_exact": lambda: problems.MultiscalePoisson(dim=2, octaves=2, exact_conditions=True),
    "front": problems.Front2D,
    "front_exact": lambda: problems.Front2D(exact_conditions=True),
    "layer": problems.Layer1D,
    "layer_regression": lambda: problems.Layer1D(order=0),
    "layer_first_order": lambda: problems.Layer1D(order=1),
    "layer_fourth_order": lambda: problems.Layer1D(order=4),
    "rough_medium": lambda: problems.RoughMedium1D(period=0.25, cells=8),
    "rough_medium_strong": lambda: problems.RoughMedium1D(form="strong", period=0.25),
    "rough_medium_jump": lambda: problems.RoughMedium1D(medium="jump", cells=4),
    "heat": problems.Heat1D,
    "heat_exact": lambda: problems.Heat1D(exact_conditions=True),
    "perforated": problems.PerforatedLaplace,
    "perforated_exact": lambda: problems.PerforatedLaplace(exact_circles=True),
    "screened": problems.ScreenedPoisson,
    "blocks": problems.BlockPoisson,
    "perforated_cube": problems.PerforatedCube,
    "perforated_heat": problems.PerforatedHeat,
    "perforated_heat_soft": lambda: problems.PerforatedHeat(layers=False),
    "heat2d": problems.Heat2D,
    "heat2d_slow": lambda: problems.Heat2D(diffusivities=(0.1, 0.2), waves=(2, 3), end=0.5),
    "heat_ball": problems.HeatBall,
    "long_heat": lambda: problems.LongHeat(horizon=4.0),
    "plane_burgers": lambda: problems.PlaneBurgers(horizon=0.02),
    "plane_burgers_soft": lambda: problems.PlaneBurgers(horizon=0.02, periodic="loss"),
    "medium_heat": problems.RandomMediumHeat,
    "medium_wave": lambda: problems.RandomMediumWave(horizon=0.5),
    "poisson5d_sines": lambda: problems.Poisson(dim=5, exact="sines"),
    "helmholtz": problems.Helmholtz2D,
    "burgers": problems.Burgers,
    "burgers_soft": lambda: problems.Burgers(exact_conditions=False),
    "allen_cahn": problems.AllenCahn,
    "allen_cahn_periodic": lambda: problems.AllenCahn(periodic="loss"),
    "allen_cahn_exact": lambda: problems.AllenCahn(exact_conditions=True, discount=2.0),
    "allen_cahn_kept_kink": lambda: problems.AllenCahn(exact_conditions=True, kink="kept"),
    "convection": problems.Convection,
    "convection_soft": lambda: problems.Convection(periodic="loss", exact_conditions=False),
    "reaction": problems.Reaction,
    "reaction_soft": lambda: problems.Reaction(exact_conditions=False),
    "wave": problems.Wave1D,
    "wave2d": problems.Wave2D,
    "wave2d_short": lambda: problems.Wave2D(ratio=0.5, horizon=2.0),
    "wave_exact": lambda: problems.Wave1D(frequency=3, exact_conditions=True),
    "pendulum": problems.NoisyPendulum,
    "pendulum_quiet": lambda: problems.NoisyPendulum(noise=0.0),
    "biharmonic1d": problems.Biharmonic1D,
    "biharmonic1d_exact": lambda: problems.Biharmonic1D(exact_conditions=True),
    "biharmonic1d_clamped": lambda: problems.Biharmonic1D(support="clamped"),
    "biharmonic1d_clamped_exact": lambda: problems.Biharmonic1D(support="clamped", exact_conditions=True),
    "biharmonic2d": problems.Biharmonic2D,
    "biharmonic2d_exact": lambda: problems.Biharmonic2D(exact_conditions=True),
    "biharmonic2d_clamped": lambda: problems.Biharmonic2D(support="clamped"),
    "biharmonic2d_clamped_exact": lambda: problems.Biharmonic2D(support="clamped", exact_conditions=True),
    "kovasznay": problems.Kovasznay,
    "kovasznay_40": lambda: problems.Kovasznay(reynolds=40.0),
    "lorenz": problems.Lorenz,
    "schroedinger": problems.Schroedinger,
    "schroedinger_soft": lambda: problems.Schroedinger(periodic="loss", exact_conditions=False),
    "kdv": problems.KortewegDeVries,
    "kdv_soft": lambda: problems.KortewegDeVries(periodic="loss", exact_conditions=False),
    "ks": lambda: problems.KuramotoSivashinsky(horizon=0.2),
    "ks_soft": lambda: problems.KuramotoSivashinsky(horizon=0.2, periodic="loss", exact_conditions=False),
    "cavity": problems.Cavity,
    "cavity_exact": lambda: problems.Cavity(exact_conditions=True),
    "cavity_uniform": lambda: problems.Cavity(lid="uniform"),
    "backward_step": problems.BackwardStep,
    "pulsed_channel": lambda: problems.PulsedChannel(horizon=0.1),
    "gray_scott": lambda: problems.GrayScott(horizon=10.0),
    "gray_scott_soft": lambda: problems.GrayScott(horizon=10.0, periodic="loss", exact_conditions=False),
    "elasticity": problems.Elasticity,
    "elasticity_stiff": lambda: problems.Elasticity(first=3.0, shear=1.0, load=1.0),
    "interface": problems.Interface,
    "interface_without_source": lambda: problems.Interface(left=3.0, right=0.5, source=0.0),
    "poisson_inverse": lambda: problems.PoissonInverse(noise=0.0),
    "poisson_inverse_exact": lambda: problems.PoissonInverse(noise=0.0, strictness=10.0, exact_conditions=True),
    "heat_inverse": lambda: problems.HeatInverse(noise=0.0),
    "heat_inverse_exact": lambda: problems.HeatInverse(noise=0.0, count=50, exact_conditions=True),
    "allen_cahn_two_body": lambda: problems.AllenCahnTwoBody(dim=5, sample=5),
    "sine_gordon_two_body": lambda: problems.SineGordonTwoBody(dim=4, sample=None, seed=1),
    "fokker_planck": lambda: problems.FokkerPlanck(dim=4, sample=None, anisotropy=6.0, seed=1),
    "hamilton_jacobi_bellman": lambda: problems.HamiltonJacobiBellman(dim=4, sample=4),
    "antiderivative": problems.Antiderivative,
    "antiderivative_soft": lambda: problems.Antiderivative(modes=4, exact_conditions=False),
    "diffusion_reaction": problems.DiffusionReactionOperator,
    "diffusion_reaction_soft": lambda: problems.DiffusionReactionOperator(modes=3, exact_conditions=False),
    "diffusion_reaction_data": lambda: problems.DiffusionReactionOperator(data=5, places=30),
    "darcy_operator": problems.DarcyOperator,
    "darcy_operator_soft": lambda: problems.DarcyOperator(modes=3, exact_conditions=False),
    "burgers_operator": problems.BurgersOperator,
    "burgers_operator_soft": lambda: problems.BurgersOperator(modes=3, exact_conditions=False),
    "lorenz_soft": lambda: problems.Lorenz(exact_conditions=False, discount=1.0),
}
"""Every shipped problem, in each of its variants: what `tests/problems/test_problem_conformance.py` checks."""


@cache
def built(name: str) -> Problem:
    """A problem to be asked what it is like, one for all who ask; to be trained or changed, build another one."""
    return PROBLEMS[name]()
