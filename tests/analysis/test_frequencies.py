"""The error by frequency: known spectra, every kind of boundary, a disk, and shards of two ranks."""

from __future__ import annotations

import copy
import math
import pickle

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from scipy.fft import dst
from scipy.special import jv

from pinnlab.analysis.frequencies import FLOOR, ErrorSpectrum, error_spectrum, laplace_modes, relative_to_band
from pinnlab.domains import Disk
from pinnlab.errors import ConfigurationError

WAVES = {"sine": lambda k, s: torch.sin(k * math.pi * s), "cosine": lambda k, s: torch.cos(k * math.pi * s)}
REFERENCES = {
    "sine": lambda s: torch.sin(math.pi * s),
    "periodic": lambda s: 2 + torch.cos(2 * math.pi * s),
    "cosine": lambda s: 2 + s,
}


def grid(*sides, low=0.0, high=1.0):
    axes = [torch.linspace(low, high, side, dtype=torch.float64) for side in sides]
    return torch.stack([g.reshape(-1) for g in torch.meshgrid(*axes, indexing="ij")], -1)


def share(spectrum, energy):
    """The part of an energy in each wave number."""
    return dict(zip(spectrum.wave_numbers.tolist(), (energy / energy.sum()).tolist(), strict=True))


@pytest.mark.parametrize("number", [1, 2, 7, 12, 30, 63])
@pytest.mark.parametrize(
    ("kind", "wave", "numbers"),
    [
        ("sine", "sine", "all"),
        ("cosine", "cosine", "all"),
        ("periodic", "sine", "even"),
        ("periodic", "cosine", "even"),
    ],
)
def test_one_wave_is_one_mode_and_has_its_energy(kind, wave, numbers, number):
    number += number % 2 if numbers == "even" else 0
    x = grid(401, low=-1, high=3)
    s = (x[:, 0] + 1) / 4
    reference, error = REFERENCES[kind](s), 0.3 * WAVES[wave](number, s)
    spectrum = error_spectrum(reference + error, reference, x, ["x"])
    assert share(spectrum, spectrum.error)[number] == pytest.approx(1, abs=1e-12)
    assert float(spectrum.error.sum()) == pytest.approx(0.3**2 / 2, rel=1e-12)


@pytest.mark.parametrize("kind", REFERENCES)
def test_energies_add_up_to_the_mean_square(kind):
    x = grid(301)
    s = x[:, 0]
    reference = REFERENCES[kind](s)
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(301, dtype=torch.float64, generator=generator) * torch.sin(math.pi * s)
    spectrum = error_spectrum(reference + noise, reference, x, ["x"])
    assert float(spectrum.error.sum()) == pytest.approx(np.trapezoid(noise.numpy() ** 2, s.numpy()), rel=1e-12)
    assert spectrum.error[-1] > 0.5 * spectrum.error.sum()  # white noise is mostly above the last mode
    assert float(spectrum.reference.sum()) == pytest.approx(np.trapezoid(reference.numpy() ** 2, s.numpy()), rel=1e-12)


@pytest.mark.parametrize("time", [False, True])
def test_little_above_the_last_mode_is_not_lost_in_round_off(time):
    """Its energy is 1e-22 of the whole, less than the last digit of that."""
    points = grid(301, 5) if time else grid(301)
    x = points[:, 0]
    reference = torch.sin(math.pi * x)
    error = reference + 1e-11 * torch.sin(100 * math.pi * x)
    spectrum = error_spectrum(reference + error, reference, points, ["x", "t"][: points.shape[1]])
    assert float(spectrum.error[-1]) == pytest.approx(1e-22 / 2, rel=1e-3)


def test_sine_modes_are_scipys_transform():
    x = grid(201)
    s = x[:, 0]
    error = torch.exp(s) * s * (1 - s)
    spectrum = error_spectrum(error, torch.sin(math.pi * s), x, ["x"])
    sines = dst((error - torch.sin(math.pi * s)).numpy()[1:-1], type=1) / 200
    np.testing.assert_allclose(spectrum.error[1:64], sines[:63] ** 2 / 2, rtol=1e-9, atol=1e-25)


@pytest.mark.parametrize("kind", ["sine", "periodic"])
def test_an_error_at_the_ends_does_not_leak_into_high_modes(kind):
    """A constant would have a high band of 21 per cent of the low one, were the linear part not taken off."""
    sines = np.square(dst(np.ones(799), type=1))
    assert math.sqrt(sines[9:].sum() / sines[:3].sum()) == pytest.approx(0.21, abs=0.005)
    x = grid(801)
    s = x[:, 0]
    line = error_spectrum(REFERENCES[kind](s) + 0.2 - 0.4 * s, REFERENCES[kind](s), x, ["x"])
    assert share(line, line.error)[0] == pytest.approx(1, abs=1e-12)
    if kind == "sine":
        assert float(line.error.sum()) == pytest.approx(0.4**2 / 12, rel=1e-12)
    bands = error_spectrum(REFERENCES[kind](s) + 0.1 * torch.exp(s), REFERENCES[kind](s), x, ["x"]).by_band()
    assert bands["high"] < 4e-3 * bands["low"]


def test_an_error_at_the_edges_of_a_plane_does_not_leak_either():
    points = grid(81, 81)
    x, y = points.T
    reference = torch.sin(math.pi * x) * torch.sin(math.pi * y)
    spectrum = error_spectrum(reference + 0.1 * torch.exp(x - y), reference, points, ["x", "y"])
    bands = spectrum.by_band()
    assert bands["high"] < 3e-3 * bands["low"]
    wavy = error_spectrum(reference + (1 + x) * torch.sin(12 * math.pi * y), reference, points, ["x", "y"])
    assert share(wavy, wavy.error)[12] > 0.999  # along an edge it keeps its frequency


def test_time_is_averaged_and_not_transformed():
    points = grid(101, 21)
    x, t = points.T
    reference = torch.sin(2 * math.pi * x)
    error = t * torch.sin(5 * math.pi * x) * torch.cos(9 * math.pi * t)
    spectrum = error_spectrum(reference + error, reference, points, ["x", "t"])
    assert share(spectrum, spectrum.error)[5] == pytest.approx(1, abs=1e-12)
    times = np.linspace(0, 1, 21)
    expected = np.trapezoid((times * np.cos(9 * np.pi * times)) ** 2, times) / 2
    assert float(spectrum.error.sum()) == pytest.approx(expected, rel=1e-12)
    assert share(spectrum, spectrum.reference)[2] == pytest.approx(1, abs=1e-12)


def test_a_plane_is_binned_by_the_length_of_the_wave_vector():
    points = grid(81, 61) * torch.tensor([2.0, 1.0], dtype=torch.float64)
    x, y = points.T
    reference = torch.sin(math.pi * x / 2) * torch.sin(math.pi * y)
    error = torch.sin(3 * math.pi * x / 2) * torch.sin(2 * math.pi * y)  # on the long side 3 and 4 half waves
    spectrum = error_spectrum(reference + error, reference, points, ["x", "y"])
    assert share(spectrum, spectrum.error)[5] == pytest.approx(1, abs=1e-12)
    assert share(spectrum, spectrum.reference)[round(math.sqrt(5))] == pytest.approx(1, abs=1e-12)


def test_mixed_boundaries_are_seen_for_each_axis():
    points = grid(61, 61)
    x, y = points.T
    reference = torch.sin(math.pi * x) * (1 + y)
    error = torch.sin(6 * math.pi * x) * torch.cos(8 * math.pi * y)
    spectrum = error_spectrum(reference + error, reference, points, ["x", "y"])
    assert share(spectrum, spectrum.error)[10] == pytest.approx(1, abs=1e-12)


def test_the_order_of_points_does_not_matter():
    points = grid(41, 21)
    x, t = points.T
    reference, error = torch.sin(math.pi * x) * (1 + t), 0.1 * torch.sin(3 * math.pi * x)
    order = torch.randperm(len(points), generator=torch.Generator().manual_seed(1))
    one = error_spectrum(reference + error, reference, points, ["x", "t"])
    two = error_spectrum((reference + error)[order], reference[order], points[order], ["x", "t"])
    torch.testing.assert_close(two.error, one.error, rtol=1e-12, atol=1e-20)


def disk(sides=(201, 101)):
    points = grid(*sides, low=-1, high=1)
    return points[Disk().contains(points)]


@pytest.mark.parametrize(("order", "zero", "angular"), [(0, 3.8317059702, False), (2, 9.9694678230, True)])
def test_a_disk_has_the_modes_without_flow_across_its_boundary(order, zero, angular):
    """J_m(j' r) cos(m phi) with a zero j' of J_m': its angular frequency is j', half waves per diameter 2 j' / pi."""
    points = disk()
    r, phi = torch.hypot(*points.T), torch.atan2(points[:, 1], points[:, 0])
    wave = torch.from_numpy(jv(order, (zero * r).numpy())) * torch.cos(order * phi)
    spectrum = error_spectrum(1 + wave, torch.ones(len(points), dtype=torch.float64), points, ["x", "y"])
    shares = share(spectrum, spectrum.error)
    number = 2 * zero / math.pi
    assert shares[round(number)] > 0.95
    assert share(spectrum, spectrum.reference)[0] == pytest.approx(1, abs=1e-9)
    assert spectrum.by_band().keys() == {"low", "middle", "high"}


def test_what_is_above_the_modes_of_a_disk_is_the_high_band():
    points = disk()
    fast = torch.sin(20 * math.pi * points[:, 0]) * torch.sin(20 * math.pi * points[:, 1])
    spectrum = error_spectrum(1 + fast, torch.ones(len(points), dtype=torch.float64), points, ["x", "y"])
    bands = spectrum.by_band()
    assert bands["high"] > 20 * bands["low"]


def test_points_that_are_no_grid_have_no_spectrum():
    points = torch.rand(500, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    assert error_spectrum(points[:, 0], points[:, 1], points, ["x", "y"]) is None
    assert laplace_modes(points[:, :1] ** 2, ["x"], points[:, 0]) is None


def test_a_band_is_relative_to_itself_where_it_holds_something_else_to_the_whole():
    reference = torch.tensor([1.0, 1e-2, (0.9 * FLOOR) ** 2, 0.0], dtype=torch.float64)
    error = torch.tensor([1e-4, 1e-2, 1e-6, 1e-8], dtype=torch.float64)
    whole = float(reference.sum())
    expected = torch.tensor([1e-4, 1.0, 1e-6 / whole, 1e-8 / whole], dtype=torch.float64).sqrt()
    torch.testing.assert_close(relative_to_band(error, reference), expected)
    torch.testing.assert_close(relative_to_band(error, torch.zeros_like(error)), error.sqrt())


def test_bands_tell_an_unlearned_high_frequency():
    x = grid(501)
    low, high = (torch.sin(k * math.pi * x[:, 0]) for k in (1, 20))
    reference = low + 0.1 * high
    bands = error_spectrum(0.999 * low + 1e-4 * torch.sin(5 * math.pi * x[:, 0]), reference, x, ["x"]).by_band()
    assert {name: round(float(value), 6) for name, value in bands.items()} == {
        "low": 1e-3, "middle": round(1e-4 / math.sqrt(1.01), 6), "high": 1.0,
    }  # fmt: skip


def test_a_coarse_grid_has_the_bands_that_it_tells_apart():
    x = grid(8)
    bands = error_spectrum(x[:, 0], 1 + x[:, 0], x, ["x"]).by_band()
    assert list(bands) == ["low", "middle"]


@pytest.mark.parametrize("bad", ["points", "reference", "prediction"])
def test_shapes_that_do_not_fit_are_refused(bad):
    x = grid(11)
    prediction = torch.zeros(11 + (bad == "prediction"), dtype=torch.float64)
    target = torch.zeros(11 + (bad == "reference"), dtype=torch.float64)
    with pytest.raises(ConfigurationError, match="expected"):
        error_spectrum(prediction, target, x[:, 0] if bad == "points" else x, ["x"])
    modes = laplace_modes(x, ["x"], torch.zeros(11))
    with pytest.raises(ConfigurationError, match="values"):
        modes.energies(torch.zeros(12))
    with pytest.raises(ConfigurationError, match="rows"):
        ErrorSpectrum(modes, torch.zeros(11)).update(torch.zeros(5), torch.zeros(5), torch.arange(4))


def spectrum_metric(points, reference):
    return ErrorSpectrum(laplace_modes(points, ["x", "t"], reference), reference)


@pytest.fixture
def case():
    points = grid(31, 11)
    x, t = points.T
    reference = torch.sin(math.pi * x) * (1 + t)
    return points, reference * (1 + 0.1 * torch.sin(20 * x)), reference


def test_uneven_chunks_equal_the_whole(case):
    points, prediction, reference = case
    metric = spectrum_metric(points, reference)
    order = torch.randperm(len(points), generator=torch.Generator().manual_seed(3))
    for rows in order.tensor_split([1, 8, 8, 200]):
        metric.update(prediction[rows], reference[rows], rows)
    expected = error_spectrum(prediction, reference, points, ["x", "t"])
    for found in (metric, pickle.loads(pickle.dumps(metric)), copy.deepcopy(metric)):
        torch.testing.assert_close(found.compute(), expected.error, rtol=1e-12, atol=1e-25)
    assert metric.spectrum().by_band().keys() == expected.by_band().keys()
    assert torch.equal(metric.spectrum().reference, expected.reference)
    assert metric.float().compute().dtype == torch.float64
    assert not metric.state_dict()


def test_nan_is_not_hidden(case):
    points, prediction, reference = case
    metric = spectrum_metric(points, reference)
    metric.update(prediction.clone().index_fill(0, torch.tensor([40]), math.nan), reference, torch.arange(len(points)))
    assert all(value.isnan() for value in metric.spectrum().by_band().values())


def _two_processes(rank, folder, points, prediction, reference):
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    rows = torch.arange(len(points))
    mine = rows[:90] if rank == 0 else rows[90:]
    metric = spectrum_metric(points, reference)
    metric.update(prediction[mine], reference[mine], mine)
    torch.save(metric.spectrum().error, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_with_uneven_shards_agree_with_one(case, tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    points, prediction, reference = case
    mp.spawn(_two_processes, args=(str(tmp_path), *case), nprocs=2)
    expected = error_spectrum(prediction, reference, points, ["x", "t"]).error
    for rank in range(2):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-25)
