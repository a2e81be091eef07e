"""Who is compared, with which versions, and how each is driven."""

from __future__ import annotations

from dataclasses import dataclass

NUMERICS = ("numpy==2.4.6", "scipy==1.17.1")
ENVIRONMENTS = {
    "deepxde": ("deepxde==1.15.0", "torch==2.13.0", *NUMERICS),
    "pina": ("pina-mathlab==0.3.2", "lightning==2.6.6", "torch==2.13.0", *NUMERICS),
    "scimba": ("scimba==1.4.1", "jax==0.10.2", "jaxlib==0.10.2", "torch==2.13.0", *NUMERICS),
    "jinns": ("jinns==1.10.2", "jax==0.10.2", "jaxlib==0.10.2", "optax==0.2.8", "equinox==0.13.8", *NUMERICS),
}
"""What is installed into the environment of each package. pinnlab is where this runs."""


@dataclass(frozen=True)
class Row:
    """One method of one package.

    Attributes:
        name: of the row, as `--rows` takes it.
        environment: whose Python runs it.
        script: in this folder.
        method: handed to the script.
        how: what is done, in a sentence for the page.
    """

    name: str
    environment: str
    script: str
    method: str
    how: str


ROWS = {
    row.name: row
    for row in (
        Row(
            "pinnlab-best", "pinnlab", "pinnlab_run.py", "best",
            "what its documentation recommends: `TargetRatioGaussNewton` on fixed points for the smooth solutions, "
            "`LevenbergMarquardt` on residual-based points that are new at every step for Burgers' equation; neither "
            "is compiled.",
        ),
        Row(
            "pinnlab-lbfgs", "pinnlab", "pinnlab_run.py", "lbfgs",
            "Adam (1,000 steps of 5e-3), then L-BFGS, on fixed points: like DeepXDE and PINA.",
        ),
        Row(
            "deepxde", "deepxde", "deepxde_run.py", "",
            "backend PyTorch; Adam (1,000 steps of 5e-3), then L-BFGS with its defaults, on fixed Hammersley points.",
        ),
        Row(
            "pina", "pina", "pina_run.py", "",
            "Adam (1,000 steps of 5e-3), then torch's L-BFGS with a strong-Wolfe line search, on fixed points of a "
            "Latin hypercube; logger, bar and checkpoints are off.",
        ),
        Row(
            "scimba-ng", "scimba", "scimba_run.py", "eng",
            "its JAX version; the energy natural gradient with its defaults, new random points at every step.",
        ),
        Row(
            "scimba-ssbroyden", "scimba", "scimba_run.py", "ssbroyden",
            "its JAX version; self-scaled Broyden with its defaults, new random points at every step.",
        ),
        Row(
            "jinns-ng", "jinns", "jinns_run.py", "ngd",
            "the energy natural gradient with a backtracking line search, its defaults, on fixed random points.",
        ),
        Row(
            "jinns-ssbroyden", "jinns", "jinns_run.py", "ssbroyden",
            "self-scaled Broyden with a zoom line search, its defaults, on fixed random points.",
        ),
    )
}  # fmt: skip
"""The rows of the table by name."""
