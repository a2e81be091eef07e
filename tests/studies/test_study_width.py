"""The study of widths: its spectrum against the kernel's, and its report against a law."""

import pytest
import torch

from pinnlab.studies.command import run_study_command
from pinnlab.studies.engine.recording import cell, kernel_of
from pinnlab.studies.engine.runner import KEY, append_row, merged, train
from pinnlab.studies.width.runs import AT, COLUMNS, MODES, SETTINGS, STEPS, STUDY, UnitFirstLayer, spectrum_at_start


@pytest.mark.filterwarnings("ignore")
def test_the_spectrum_is_that_of_the_kernel():
    tiny = {"data": {"points": {"data": 32}, "evaluation_points": 101}, "trainer": {"max_steps": 1}}
    summary, trained = train(merged(STUDY.config("fourier", "width_8", 0), tiny))
    kept = {**STUDY.measure(summary), **STUDY.probe(trained)}
    assert set(kept) == set(COLUMNS)
    found = spectrum_at_start(trained.trainer, trained.model)
    values = torch.linalg.eigvalsh(kernel_of(trained.trainer, trained.model)).flip(0)
    assert found["top"] == pytest.approx(float(values[0]))
    assert found["ratio_4"] == pytest.approx(float(values[0] / values[3]))
    assert found["ratio_16"] == pytest.approx(float(values[0] / values[15]), rel=1e-6)


def test_the_first_weights_do_not_shrink_with_the_width():
    torch.manual_seed(0)
    narrow, wide = (UnitFirstLayer(1, 1, hidden=[m, m]) for m in (64, 1024))
    for network in (narrow, wide):
        assert float(network.network.hidden[0].weight.detach().std()) == pytest.approx(1.0, abs=0.2)
        assert network(torch.zeros(3, 1)).shape == (3, 1)
    assert float(wide.network.hidden[1].weight.detach().std()) < 0.1


def test_the_report_has_exponents_and_times(tmp_path, capsys):
    for family in ("plain", "plain_unit", "siren", "fourier"):
        for setting in SETTINGS:
            width = int(setting.removeprefix("width_"))
            for seed in range(2):
                spectrum = {name: width**1.5 for name in COLUMNS if name.startswith("ratio")}
                curves = {name: cell([0.1 if n >= 10 * width else 1.0 for n in AT]) for name in MODES}
                row = {"problem": family, "setting": setting, "seed": seed, "status": "done", **spectrum, **curves}
                others = {"parameters": 5, "loss": 0.25, "top": 2.0, "effective_rank": 3.0, "rank": 9}
                append_row(tmp_path / "width.csv", (*KEY, "status", *COLUMNS), {**row, **others})
    assert run_study_command(["width", "--report", "--folder", str(tmp_path)]) == 0
    assert "width.md" in capsys.readouterr().out
    text = (tmp_path / "width.md").read_text()
    exponents = "1.50 ± 0.00 | " * 4
    assert f"| plain | 0.00 ± 0.00 | {exponents}0.00 ± 0.00 |" in text
    assert "| siren | 8 | 100 | 100 | 100 | 2.5e-01 |" in text
    assert f"| siren | {256} | never | never | never | 2.5e-01 |" in text
    assert STEPS < 10 * 256
    assert (tmp_path / "width.png").stat().st_size > 5_000
