"""The study of operators: what it keeps of a run, and its page."""

import pytest

from pinnlab.studies.engine.recording import cell, numbers
from pinnlab.studies.engine.runner import merged, train
from pinnlab.studies.operators import runs, write_report
from pinnlab.studies.operators.runs import AT, COLUMNS, STUDY


@pytest.mark.filterwarnings("ignore")
def test_what_is_kept_of_a_run():
    tiny = {
        "data": {"points": {"pde": 110}, "evaluation_points": 50},
        "model": {"network": {"init_args": {"trunk": [3], "rank": 2}}},
        "trainer": {"callbacks": [{"class_path": f"{runs.__name__}.ProcessorTime", "init_args": {"at": [0.01, 0.02]}}]},
    }
    summary, trained = train(merged(STUDY.config("antiderivative", "adam", 0), tiny))
    kept = {**runs.measure(summary), **runs.probe(trained)}
    assert set(kept) == set(COLUMNS)
    assert len(numbers(kept["errors"])) == 2
    assert numbers(kept["errors"])[-1] == pytest.approx(kept["relative_l2"], rel=1e-3)
    assert len(numbers(kept["top"])) == 2


def row(problem, setting, error):
    errors = cell([1.0] * (len(AT) - 1) + [error])
    spectra = {"top": "2 3", "effective_rank": "12 20", "ratio_10": "6 5", "ratio_100": "1e6 1e5"}
    return {
        "problem": problem, "setting": setting, "seed": "0", "status": "done", "relative_l2": str(error),
        "loss": "1e-3", "evaluations": "900", "errors": errors, **spectra,
    }  # fmt: skip


def test_the_page_compares_at_equal_times(tmp_path):
    errors = {"adam": 1e-2, "adam_lbfgs": 2e-3, "adam_ssbroyden": 1e-4, "adam_ng": 5e-3}
    rows = [row(problem, setting, error) for problem in STUDY.problems for setting, error in errors.items()]
    write_report(rows, tmp_path)
    text = " ".join((tmp_path / "operators.md").read_text().split())
    assert "| adam_ssbroyden | 1.0e+00 | 1.0e+00 | 1.0e+00 | 1.0e+00 | 1.0e+00 | 1.0e-04 | 900 |" in text
    assert "`adam_ssbroyden`, has an error 100 times below that of Adam alone on the antiderivative" in text
    assert "and `adam_ssbroyden` one 100.0 times below on Burgers' equation" in text
    assert "| diffusion_reaction, end of adam_ssbroyden | 3 | 20.0 | 5.0e+00 | 1.0e+05 |" in text
    assert "What follows" not in _page(rows[:-1], tmp_path)


def _page(rows, folder):
    write_report(rows, folder)
    return (folder / "operators.md").read_text()
