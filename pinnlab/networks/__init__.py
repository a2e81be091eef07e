"""Networks: plain `nn.Module`s that map `(n, inputs)` coordinates to `(n, outputs)` unknowns.

They act on the last dimension alone, expect coordinates scaled to [-1, 1] (`ScaledInput` does that), and
are written in ordinary torch operations, so that any of them works with every derivative engine.

A network's constructor takes `inputs` and `outputs` first and everything else by keyword. Like
`nn.Linear`, constructors draw from torch's global generator and build in torch's default dtype: whoever
builds a network seeds the generator and casts the result with `.to(dtype)`.

>>> import torch
>>> network = MLP(2, 1, hidden=[16, 16], embedding=FourierFeatures).to(torch.float64)
>>> network(torch.zeros(5, 2, dtype=torch.float64)).shape
torch.Size([5, 1])
"""

from pinnlab.networks.activations import ACTIVATIONS, activation
from pinnlab.networks.composed import ByUnknown, Composed, Part
from pinnlab.networks.corners import CornerFeatures
from pinnlab.networks.correction import Correction
from pinnlab.networks.deeponet import DeepONet
from pinnlab.networks.embeddings import (
    Embedding,
    FourierFeatures,
    Graded,
    GradedEnds,
    Identity,
    Kink,
    Lens,
    PeriodicEmbedding,
    Root,
    Stretch,
)
from pinnlab.networks.feature_sum import FeatureSum
from pinnlab.networks.features import PeriodicFeatures, RandomFeatures, Rescalable
from pinnlab.networks.fno import FNO
from pinnlab.networks.gabor import Gabor
from pinnlab.networks.holes import HoleFeatures
from pinnlab.networks.last_layer import last_layer, unscaled
from pinnlab.networks.linear import FactorisedLinear
from pinnlab.networks.locality import Local, SeenParts, seen_inside
from pinnlab.networks.mlp import MLP, ModifiedMLP
from pinnlab.networks.narrowing import Narrowable
from pinnlab.networks.on_products import InFactors, OnProducts, on_products
from pinnlab.networks.piratenet import PirateNet
from pinnlab.networks.product_series import ProductSeries
from pinnlab.networks.scaling import ScaledInput
from pinnlab.networks.separable import Separable
from pinnlab.networks.siren import SIREN
from pinnlab.networks.spectral import SineSeries, SpectralFeatures
from pinnlab.networks.subdomains import Subdomains
from pinnlab.networks.tiles import Tiles

__all__ = [
    "ACTIVATIONS",
    "FNO",
    "MLP",
    "SIREN",
    "ByUnknown",
    "Composed",
    "CornerFeatures",
    "Correction",
    "DeepONet",
    "Embedding",
    "FactorisedLinear",
    "FeatureSum",
    "FourierFeatures",
    "Gabor",
    "Graded",
    "GradedEnds",
    "HoleFeatures",
    "Identity",
    "InFactors",
    "Kink",
    "Lens",
    "Local",
    "ModifiedMLP",
    "Narrowable",
    "OnProducts",
    "Part",
    "PeriodicEmbedding",
    "PeriodicFeatures",
    "PirateNet",
    "ProductSeries",
    "RandomFeatures",
    "Rescalable",
    "Root",
    "ScaledInput",
    "SeenParts",
    "Separable",
    "SineSeries",
    "SpectralFeatures",
    "Stretch",
    "Subdomains",
    "Tiles",
    "activation",
    "last_layer",
    "on_products",
    "seen_inside",
    "unscaled",
]
