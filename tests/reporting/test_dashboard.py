"""A real TensorBoard server shows a real run's dashboard: through its data interface, and in a headless Chromium.

The part in the browser is skipped, and says so, where there is no Chromium.
"""

import io
import json
import urllib.parse
import urllib.request

import pytest
import yaml
from browser import Browser, TensorBoard, chromium
from commanded import in_folder
from PIL import Image

from pinnlab.cli.commands import run
from pinnlab.studies.engine.runner import merged

pytestmark = pytest.mark.filterwarnings("ignore")

ADAM = {"optimizer": {"class_path": "Adam", "init_args": {"lr": 0.01}}, "steps": 8}
COMMON = {
    "model": {"compile": False, "network": {"class_path": "MLP", "init_args": {"hidden": [6]}}, "phases": [ADAM]},
    "data": {"points": 20, "evaluation_points": 400},
    "trainer": {"log_every_n_steps": 3, "val_check_interval": 4, "enable_progress_bar": False},
}
RECIPES = {
    "soft": {
        "problem": {"class_path": "Burgers", "init_args": {"exact_conditions": False}},
        "data": {"points": {"pde": 60, "wall": 10, "start": 10}},
        "model": {"phases": [ADAM, {"optimizer": "LBFGS", "steps": 4}]},
        "trainer": {
            "callbacks": [
                {"class_path": "LossBalancing", "init_args": {"rule": "ReLoBRaLo"}},
                {"class_path": "NTKSpectrum", "init_args": {"max_points": 10}},
            ]
        },
    },
    "line": {"problem": {"class_path": "Poisson1D"}},
}
RUN = "soft/version_0"


@pytest.fixture(scope="module")
def board(tmp_path_factory):
    """A server on the logs of two runs."""
    folder = tmp_path_factory.mktemp("board")
    with in_folder(folder):
        for name, recipe in RECIPES.items():
            (folder / f"{name}.yaml").write_text(yaml.safe_dump(merged(COMMON, recipe)))
            assert run(["fit", "-c", f"{name}.yaml"]) == 0
    with TensorBoard(folder / "runs") as server:
        assert set(server.wait_for_runs(2)) == {"soft/version_0", "line/version_0"}
        yield server


def query(board, path, **parameters):
    return board.get(f"data/plugin/{path}?{urllib.parse.urlencode(parameters)}")


def post(board, path, content):
    request = urllib.request.Request(
        f"{board.url}/data/plugin/{path}", json.dumps(content).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read())


def charts(board):
    return {
        category["title"]: {chart["title"]: chart for chart in category["chart"]}
        for category in json.loads(query(board, "custom_scalars/layout"))["category"]
    }


def test_the_layout_of_both_runs_is_one_without_duplicates(board):
    found = json.loads(query(board, "custom_scalars/layout"))["category"]
    assert [category["title"] for category in found] == [
        "Loss and error",
        "Losses",
        "Errors",
        "Phases",
        "Points",
        "Failure",
        "Weights",
        "Spectra",
    ]
    for category in found:
        titles = [chart["title"] for chart in category["chart"]]
        assert len(set(titles)) == len(titles), category["title"]


def test_every_chart_has_data(board):
    for category, members in charts(board).items():
        for title, chart in members.items():
            pattern = chart["multiline"]["tag"][0] if "multiline" in chart else chart["margin"]["series"][0]["value"]
            answer = json.loads(query(board, "custom_scalars/scalars", run=RUN, tag=pattern))
            assert answer["regex_valid"]
            points = [point for series in answer["tag_to_events"].values() for point in series]
            assert points, f"{category}: {title}"


def test_losses_and_errors_are_in_powers_of_ten(board):
    def values(tag):
        return [value for _, _, value in json.loads(query(board, "scalars/scalars", run=RUN, tag=tag))]

    for tag in (
        "loss/total",
        "loss/wall",
        "relative_l2/u",
        "frequency_error/u/high",
        "held_out/start",
        "weight/pde",
        "spectrum/total/top",
    ):
        assert [10**value for value in values(f"log10/{tag}")] == pytest.approx(values(tag), rel=1e-5), tag
        assert values(tag), tag


def test_images_are_pictures(board):
    tags = json.loads(query(board, "images/tags"))[RUN]
    expected = {
        "solution/u": [1, 2, 4, 8, 12],  # a movie
        "solution/u/in_full": [12],
        "solution/u/frequencies": [4, 12],  # the first validation, and the end
        "spectrum/eigenvalues": [8, 12],  # the switch
        "training/points": [1, 12],
        "training/points/pde": [1, 12],
    }
    assert set(tags) == set(expected)
    for tag in tags:
        found = json.loads(query(board, "images/images", run=RUN, tag=tag, sample=0))
        assert [image["step"] for image in found] == expected[tag], tag
        picture = Image.open(io.BytesIO(board.get(f"data/plugin/images/individualImage?{found[-1]['query']}")))
        assert picture.format == "PNG"
        assert min(picture.size) > 300
        assert len(picture.convert("RGB").getcolors(1 << 24)) > 50  # not blank


def test_cards_of_text_say_what_the_run_is(board):
    def card(tag):
        (found,) = json.loads(query(board, "text/text", run=RUN, tag=f"run/{tag}/text_summary"))
        return found["text"]

    problem, recipe, system = card("problem"), card("recipe"), card("system")
    assert "<h2>Burgers</h2>" in problem
    assert "u_t + u u_x = nu u_xx" in problem
    assert "Args" not in problem
    for cell in ("Dirichlet", "The residual of the momentum equation.", "60", "BoxFaces"):
        assert f"<td>{cell}" in problem or f"<td><code>{cell}" in problem or cell in problem, cell
    code = recipe.partition("<code")[2].partition(">")[2].partition("</code>")[0]
    assert yaml.safe_load(code)["data"]["points"] == {"pde": 60, "wall": 10, "start": 10}
    for fact in ("float64", "threads", "torch"):
        assert fact in system
    decisions = json.loads(query(board, "text/text", run=RUN, tag="decisions/text_summary"))
    assert "switch" in decisions[0]["text"]


def test_runs_are_compared_by_settings_and_results(board):
    experiment = post(board, "hparams/experiment", {"experimentName": ""})
    names = sorted(info["name"] for info in experiment["hparamInfos"])
    assert names[:5] == ["callbacks", "network", "phases", "points", "problem"]  # the ones that are shown
    assert {info["name"]["tag"] for info in experiment["metricInfos"]} == {
        "relative_l2/u", "loss/total", "training/evaluations", "training/seconds",
    }  # fmt: skip
    wanted = {
        "startIndex": 0, "sliceSize": 10, "allowedStatuses": ["STATUS_SUCCESS", "STATUS_UNKNOWN", "STATUS_RUNNING"],
        "colParams": [{"hparam": name} for name in names] + [{"metric": m["name"]} for m in experiment["metricInfos"]],
    }  # fmt: skip
    groups = post(board, "hparams/session_groups", wanted)["sessionGroups"]
    runs = {group["hparams"]["problem"]: group for group in groups}
    assert set(runs) == {"Burgers(exact_conditions=False)", "Poisson1D"}
    burgers = runs["Burgers(exact_conditions=False)"]
    assert burgers["hparams"]["network"] == "MLP(hidden=[6])"
    assert burgers["hparams"]["phases"] == "Adam(lr=0.01), steps=8 > LBFGS, steps=4"
    assert burgers["hparams"]["points"] == 80
    results = {m["name"]["tag"]: m["value"] for m in burgers["metricValues"]}
    assert 0 < results["relative_l2/u"] < 2
    assert results["training/evaluations"] > 12


# ------------------------------------------------------------------------------------------------ in the browser

DEEP = """
const deep = (root, selector) => [...root.querySelectorAll(selector)].concat(
    ...[...root.querySelectorAll("*")].filter(e => e.shadowRoot).map(e => deep(e.shadowRoot, selector)));
"""
"""Finds elements inside shadow roots too, where most of TensorBoard lives."""


def within(expression):
    return f"(() => {{ {DEEP} return {expression}; }})()"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    if chromium() is None:
        pytest.skip("no Chromium on this machine: the pages were asked for through the server's data interface only")
    with Browser(tmp_path_factory.mktemp("chromium")) as page:
        yield page


def test_custom_scalars_are_drawn(board, browser):
    browser.open(f"{board.url}/#custom_scalars")
    lines = "deep(c.shadowRoot, 'path').some(p => (p.getAttribute('d') || '').length > 20)"
    browser.wait_for(within(f"deep(document, 'vz-line-chart2').filter(c => {lines}).length >= 6"))
    headings = browser.evaluate(within("deep(document, '.heading').map(e => e.innerText.split('\\n')[0])"))
    assert headings == ["Loss and error", "Losses", "Errors", "Phases", "Points", "Failure", "Weights", "Spectra"]


def test_images_are_shown(board, browser):
    browser.open(f"{board.url}/#images")
    loaded = (
        "deep(document, 'img').filter(i => i.complete && i.naturalWidth > 300 && i.src.includes('individualImage'))"
    )
    browser.wait_for(within(f"{loaded}.length >= 4"))


def test_text_is_shown(board, browser):
    browser.open(f"{board.url}/#text")
    browser.wait_for(within("deep(document, 'h2').map(e => e.textContent).includes('Burgers')"))


def test_hyperparameters_are_shown(board, browser):
    browser.open(f"{board.url}/#hparams")
    browser.wait_for(within("deep(document, 'vaadin-grid-cell-content').some(e => e.textContent.includes('Burgers'))"))


def test_time_series_are_drawn(board, browser):
    browser.open(f"{board.url}/#timeseries")
    browser.wait_for(within("deep(document, 'scalar-card').length > 2"))
