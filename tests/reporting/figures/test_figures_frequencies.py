"""The heat map of the error by frequency: its rows, colours and labels."""

import math

import numpy as np
import pytest
import torch
from matplotlib.collections import QuadMesh

from pinnlab.analysis.frequencies import ErrorByFrequency, error_spectrum
from pinnlab.errors import ConfigurationError
from pinnlab.reporting.figures.frequencies import ROWS, frequency_figure
from pinnlab.reporting.figures.style import save


def spectrum(error=None, waves=64, start=1):
    numbers = torch.arange(start, waves + 1, dtype=torch.float64)
    reference = 1 / numbers.clamp(min=1) ** 2
    return ErrorByFrequency(numbers, 1e-4 * reference if error is None else error, reference)


def mesh(figure):
    (artist,) = (c for c in figure.axes[1].collections if isinstance(c, QuadMesh))
    return artist


def test_rows_gather_wave_numbers_and_are_labelled(tmp_path):
    last = spectrum()
    factors = torch.tensor([1.0, 1e-2, 1e-4], dtype=torch.float64)
    figure = frequency_figure([10, 30, 100], factors[:, None] * last.reference, last, "u", switches=[30])
    spectra, course = figure.axes[:2]
    labels = [label.get_text() for label in spectra.get_yticklabels()]
    assert labels == ["1", "2", "3", "4", "5", "6-7", "8-9", "10-12", "13-15", "16-19", "20-24", "25-31", "32-39",
                      "40-50", "51-63", "64+"]  # fmt: skip
    values = np.asarray(mesh(figure).get_array())
    np.testing.assert_allclose(values, np.broadcast_to([0, -1, -2], values.shape), atol=1e-12)
    assert mesh(figure).get_clim() == (-2, 0)
    np.testing.assert_allclose(course.get_xlim(), (0, 135))
    assert {text.get_text(): text.get_position()[1] for text in course.texts} == {"low": 1, "middle": 4.5, "high": 11}
    assert "u" in figure.get_suptitle()
    save(figure, tmp_path / "frequencies.png", dpi=40)


def test_an_unlearned_frequency_is_bright_and_the_rest_is_dark():
    x = torch.linspace(0, 1, 401, dtype=torch.float64)[:, None]
    low, high = (torch.sin(k * math.pi * x[:, 0]) for k in (1, 20))
    found = error_spectrum(low + 1e-4 * torch.sin(5 * math.pi * x[:, 0]), low + high, x, ["x"])
    values = mesh(frequency_figure([1], found.error[None], found, "u")).get_array()[:, 0]
    shown = dict(zip(found.gathered(ROWS).wave_numbers.tolist(), values, strict=True))
    assert shown[20] == pytest.approx(0, abs=1e-9)
    assert shown[5] == pytest.approx(-4 - math.log10(math.sqrt(2)), abs=1e-9)
    assert all(value is np.ma.masked for number, value in shown.items() if number not in (5, 20))


def test_round_off_is_grey_and_said_to_be():
    last = spectrum(error=1e-24 / torch.arange(1, 65, dtype=torch.float64) ** 2)
    figure = frequency_figure([10, 30], torch.stack([last.reference, last.error]), last, "u")
    values = mesh(figure).get_array()
    assert not np.ma.getmaskarray(values)[:, 0].any()  # nothing was learned yet
    assert np.ma.getmaskarray(values)[:, 1].all()  # all of it is
    assert mesh(figure).get_cmap().get_bad()[0] > 0.8
    assert mesh(figure).get_clim() == (-1, 0)
    assert "below 1e-10" in figure.axes[1].get_title(loc="right")
    assert not frequency_figure([10], last.reference[None], last, "u").axes[1].get_title(loc="right")


@pytest.mark.parametrize("case", ["zero", "nan", "no reference", "one wave number", "even ones"])
def test_awkward_spectra_are_drawn(case, tmp_path):
    last = spectrum(waves=1 if case == "one wave number" else 20)
    if case == "even ones":
        last = ErrorByFrequency(last.wave_numbers * 2 - 2, last.error, last.reference)
    error = {"zero": torch.zeros_like(last.error), "nan": last.error * math.nan}.get(case, last.error)
    reference = torch.zeros_like(error) if case == "no reference" else last.reference
    figure = frequency_figure(
        [5, 6], torch.stack([error, error]), ErrorByFrequency(last.wave_numbers, error, reference), "u"
    )
    assert save(figure, tmp_path / "frequencies.png", dpi=40).stat().st_size > 1000


@pytest.mark.parametrize(("steps", "rows"), [([], 0), ([1, 2], 1), ([1], 2)])
def test_shapes_that_do_not_fit_are_refused(steps, rows):
    with pytest.raises(ConfigurationError, match="errors: expected shape"):
        frequency_figure(steps, torch.ones(rows, 64), spectrum(), "u")
