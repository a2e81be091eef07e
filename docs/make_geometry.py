"""Makes the figures of docs/geometry.md: those that its code saves, and two more. `python docs/make_geometry.py`."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pinnlab.samplers import Sobol

DOCS = Path(__file__).parent.resolve()
FOLDER = DOCS / "images" / "geometry"


def smooth_distance(domain: Any, phi: Any) -> Figure:
    """A smooth distance inside of a domain in the plane, with lines of equal height."""
    x, y = (torch.linspace(a, b, 401, dtype=torch.float64) for a, b in zip(domain.low, domain.high, strict=True))
    points = torch.cartesian_prod(x, y)
    values = phi(*points.T).masked_fill(~domain.contains(points), torch.nan).reshape(401, 401).T.numpy()
    figure = Figure(figsize=(5, 3.8), layout="constrained")
    axes = figure.subplots()
    figure.colorbar(axes.pcolormesh(x, y, values, cmap="viridis", shading="nearest"), ax=axes)
    axes.contour(x, y, values, 10, colors="white", linewidths=0.5)
    axes.set(xlabel="x", ylabel="y", title="distance(plate)", aspect="equal")
    return figure


def bodies(domains: dict[str, Any]) -> Figure:
    """Points on the boundaries of bodies in space, seen from the side, coloured by their normals."""
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    for k, (name, domain) in enumerate(domains.items()):
        axes = figure.add_subplot(1, len(domains), k + 1, projection="3d")
        boundary = domain.boundary()
        points = Sobol().sample(boundary, 6000, seed=0)
        colours = (0.5 + 0.45 * boundary.normals(points)).clamp(0, 1).numpy()
        axes.scatter(*points.T.numpy(), c=colours, s=3, linewidths=0)
        axes.set(title=name, aspect="equal")
        axes.set_axis_off()
    return figure


def main() -> None:
    """Runs the page and saves its figures."""
    names: dict[str, Any] = {"__name__": "documentation"}
    FOLDER.mkdir(parents=True, exist_ok=True)
    page = (DOCS / "geometry.md").read_text("utf-8")
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for block in re.findall(r"```python\n(.*?)```", page, flags=re.S):
            exec(compile(block, "geometry.md", "exec"), names)
        for figure in Path().glob("*.png"):
            shutil.move(figure, FOLDER / figure.name)
        os.chdir(DOCS)
    smooth_distance(names["plate"], names["phi"]).savefig(FOLDER / "distance.png", dpi=100)
    shown = {"elbow": names["elbow"], "cheese": names["cheese"], "octahedron": names["octahedron"]}
    bodies(shown).savefig(FOLDER / "bodies.png", dpi=100)


if __name__ == "__main__":
    main()
