"""The figure of a diagnosis shows what there is, and survives what there is not."""

import math

import pytest

from pinnlab.analysis.signatures import Bands
from pinnlab.reporting.figures.diagnosis import Panels, diagnosis_figure
from pinnlab.reporting.figures.style import save

BANDS = Bands((1.0, 0.1, 0.0, 0.0, 0.5, 0.0, 0.0), (2.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0))


def panels(**options):
    return Panels(**{
        "title": "Poisson2D", "kernel": {"pde": [3.0, 1.0, 1e-9], "total": [3.0, 1.0, 1e-9]},
        "terms": {"pde": (1.0, 2.0), "wall": (0.1, 0.0)}, "cosines": [[1.0, math.nan], [math.nan, math.nan]],
        "hessian": [5.0, 1.0, -0.1], "bands": {"u": BANDS, "pde": Bands((1.0,) * 7)}, **options,
    })  # fmt: skip


def titles(figure):
    return [axes.get_title() for axes in figure.axes if axes.get_visible()]


def test_every_part_has_a_panel(tmp_path):
    figure = diagnosis_figure(panels())
    assert titles(figure) == [
        "kernel by condition", "terms of the loss", "cosines of their gradients", "largest curvatures of the loss",
        "frequencies",
    ]  # fmt: skip
    assert save(figure, tmp_path / "diagnosis.png").stat().st_size > 20_000
    kernel, _, cosines, hessian, frequencies = (axes for axes in figure.axes if axes.get_visible())
    assert [line.get_label() for line in kernel.lines] == ["pde", "total"]
    assert [text.get_text() for text in cosines.texts] == ["1.00", "", "", ""]
    assert [list(line.get_ydata()) for line in hessian.lines] == [[5.0, 1.0], [0.1]]
    assert [line.get_label() for line in frequencies.lines] == ["u: solution", "u: error", "pde: residual"]


@pytest.mark.parametrize(
    ("options", "missing"),
    [
        ({"bands": {}}, "frequencies"),
        ({"terms": {"pde": (1.0, 2.0)}, "cosines": [[1.0]]}, "cosines of their gradients"),
    ],
)
def test_what_there_is_not_is_left_out(options, missing, tmp_path):
    figure = diagnosis_figure(panels(**options))
    assert missing not in titles(figure)
    save(figure, tmp_path / "diagnosis.png")


def test_numbers_that_are_zero_or_none_are_drawn_without_a_warning(tmp_path):
    nothing = Bands((0.0,) * 7, (0.0,) * 7)
    figure = diagnosis_figure(
        panels(kernel={"pde": []}, terms={"pde": (0.0, 0.0)}, cosines=[[math.nan]], hessian=[0.0], bands={"u": nothing})
    )
    save(figure, tmp_path / "diagnosis.png")
