"""The charts of a task: drawn, kept up to date, and leading to experiments."""

import re
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.checks import assert_accessible_in_every_look
from tests.browser.conftest import Open
from tests.browser.site import Site

SPACE: dict[str, Any] = {"max-num-seqs": [16, 64], "kv-cache-dtype": ["auto", "fp8"]}

WITH_EXPERIMENTS = """
from tests.overview.measured import failed, measured
from tuning.models import Experiment, Task
task = Task.objects.get(pk={task})
"""
BEGINNING = """
Task.objects.filter(pk=task.pk).update(status="paused")
measured(task, 1, 1000.0)
measured(task, 2, 1500.0, parameters={"max-num-seqs": 16, "kv-cache-dtype": "fp8"})
measured(task, 3, 1200.0, feasible=False, parameters={"max-num-seqs": 64, "kv-cache-dtype": "fp8"})
failed(task, 4, parameters={"max-num-seqs": 64, "kv-cache-dtype": "auto"})
"""
# Whether anything is drawn: a pixel that is not transparent.
INK = "canvas => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.some(part => part)"
PLACE = """
(canvas, number) => {
  const chart = Chart.getChart(canvas);
  for (const [index, dataset] of chart.data.datasets.entries())
    for (const [place, point] of dataset.data.entries())
      if (point.experiment && point.experiment.number === number) {
        const { x, y } = chart.getDatasetMeta(index).data[place];
        return { x, y };
      }
}"""


def change(site: Site, task: int, code: str) -> None:
    """Do something with `task` inside of the installation."""
    site.shell(WITH_EXPERIMENTS.format(task=task) + code)


@pytest.fixture
def task(site: Site) -> int:
    """A paused task of four experiments, which no worker takes up."""
    made = site.submit(start=False, parameters=SPACE)
    change(site, made, BEGINNING)
    return made


def chart(page: Page, name: str) -> Locator:
    """The canvas of a chart, when it is drawn."""
    canvas = page.locator(f"canvas[data-chart={name}]").first
    page.wait_for_function("canvas => Chart.getChart(canvas)?.data.datasets.length", arg=canvas.element_handle())
    return canvas


def drawn(canvas: Locator) -> list[dict[str, Any]]:
    """What a chart shows: the label of each dataset and the places of its points."""
    found: list[dict[str, Any]] = canvas.evaluate(
        "canvas => Chart.getChart(canvas).data.datasets.map(one => "
        "({label: one.label, data: one.data.map(({x, y}) => [x, y])}))"
    )
    return found


def asked_within_a_minute(page: Page) -> list[str]:
    """The addresses of chart data that a page asks for in the next minute of its clock, which was installed."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.clock.run_for(60_000)
    page.evaluate("fetch('/static/css/app.css')")
    return [address for address in asked if "charts.json" in address]


def of(canvas: Locator, label: str) -> list[list[float]]:
    """The points of one dataset."""
    return next(one["data"] for one in drawn(canvas) if one["label"] == label)


def test_every_chart_is_drawn_and_every_look_of_the_page_is_accessible(visit: Open, task: int) -> None:
    page = visit(f"/tasks/{task}/results")
    for name in ("history", "scatter", "slice"):
        assert chart(page, name).evaluate(INK)
    history = chart(page, "history")
    assert of(history, "within the SLO") == [[1, 1000], [2, 1500]]
    assert of(history, "misses the SLO") == [[3, 1200]]
    assert of(history, "failed") == [[4, 0]]
    assert of(history, "best") == [[2, 1500]]
    assert of(history, "best so far") == [[1, 1000], [2, 1500], [3, 1500], [4, 1500]]
    assert_accessible_in_every_look(page)


def test_a_task_that_ran_has_charts_of_what_was_measured(visit: Open, site: Site) -> None:
    made = site.finished(parameters={"max-num-seqs": [16, 64]}, name="it ran")
    page = visit(f"/tasks/{made}/results")
    assert len(of(chart(page, "scatter"), "within the SLO")) == 3
    expect(page.get_by_role("heading", name="Best configuration")).to_be_visible()


def test_what_is_new_is_drawn_without_a_new_chart_and_written_into_the_tables(
    visit: Open, site: Site, task: int
) -> None:
    """Pitfall E6."""
    page = visit(f"/tasks/{task}/results")
    history = chart(page, "history")
    before = history.evaluate("canvas => Chart.getChart(canvas).id")
    page.locator("details.chart-data").first.locator("summary").click()
    change(site, task, "measured(task, 5, 3000.0, parameters={'max-num-seqs': 16, 'kv-cache-dtype': 'auto'})")
    expect(page.locator("[data-finding=history]")).to_contain_text("Best 3,000 tokens/s/GPU in experiment 5")
    expect(page.get_by_role("heading", name="Best configuration: experiment 5")).to_be_visible()
    expect(page.locator("#history-5")).to_be_visible()
    assert of(history, "best") == [[5, 3000]]
    assert history.evaluate("canvas => Chart.getChart(canvas).id") == before
    expect(history).to_have_attribute("aria-label", re.compile("experiment 5"))


def test_experiments_that_are_being_chosen_stay_chosen_while_others_come(visit: Open, site: Site, task: int) -> None:
    page = visit(f"/tasks/{task}/results")
    chart(page, "history")
    page.locator("#compare-2").check()
    change(site, task, "measured(task, 5, 3000.0)")
    expect(page.locator("[data-finding=history]")).to_contain_text("experiment 5")
    expect(page.locator("#compare-2")).to_be_checked()
    expect(page.get_by_role("button", name="Compare 1")).to_be_disabled()
    page.locator("#compare-1").check()
    page.get_by_role("button", name="Compare 2").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Experiments side by side")
    assert_accessible_in_every_look(page)


def test_the_charts_ask_until_the_task_has_ended_and_no_longer(visit: Open, site: Site, task: int) -> None:
    page = visit()
    page.clock.install()
    page.goto(f"/tasks/{task}/results")
    chart(page, "history")
    with page.expect_response(re.compile("charts.json")) as idle:
        pass
    assert idle.value.status == 204
    change(site, task, "Task.objects.filter(pk=task.pk).update(status='cancelled')")
    with page.expect_response(lambda answer: "charts.json" in answer.url and answer.status == 200):
        pass
    assert asked_within_a_minute(page) == []


def test_while_live_updates_are_paused_nothing_is_asked(visit: Open, task: int) -> None:
    page = visit()
    page.clock.install()
    page.goto(f"/tasks/{task}/results")
    chart(page, "history")
    assert asked_within_a_minute(page)
    page.get_by_role("button", name="Live").click()
    assert asked_within_a_minute(page) == []


@pytest.mark.parametrize(("name", "number"), [("history", 2), ("history", 4), ("scatter", 3), ("slice", 2)])
def test_a_point_leads_to_its_experiment(visit: Open, task: int, name: str, number: int) -> None:
    page = visit(f"/tasks/{task}/results")
    canvas = chart(page, name)
    canvas.scroll_into_view_if_needed()
    canvas.click(position=canvas.evaluate(PLACE, number))
    page.wait_for_url(re.compile(rf"/tasks/{task}/experiments/{number}$"))


def test_the_axes_are_chosen_and_stay_chosen_in_the_address(visit: Open, task: int) -> None:
    page = visit(f"/tasks/{task}/results")
    chart(page, "scatter")
    page.get_by_label("Across").select_option("tpot_ms.p99")
    page.get_by_label("Show").select_option("ttft_ms.p50")
    page.get_by_label("Log scale").check()
    assert {point[0] for point in of(chart(page, "scatter"), "within the SLO")} == {12}
    page.reload()
    expect(page.get_by_label("Across")).to_have_value("tpot_ms.p99")
    assert of(chart(page, "history"), "best so far")[0] == [1, 45.9]
    assert chart(page, "history").evaluate("canvas => Chart.getChart(canvas).scales.y.type") == "logarithmic"


def test_the_charts_follow_the_theme(visit: Open, task: int) -> None:
    page = visit(f"/tasks/{task}/results")
    history = chart(page, "history")
    colour = "canvas => Chart.getChart(canvas).options.scales.y.ticks.color"
    light = history.evaluate(colour)
    page.get_by_role("button", name="Change between light and dark").click()
    assert history.evaluate(colour) != light


def test_a_phone_shows_all_of_it_without_scrolling_sideways(visit: Open, task: int) -> None:
    """Pitfall E10."""
    page = visit(f"/tasks/{task}/results", width=390)
    chart(page, "history")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.goto(f"/tasks/{task}/compare?experiment=1&experiment=2&experiment=3")
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_without_javascript_the_tables_tell_what_the_charts_would(visit: Open, task: int) -> None:
    page = visit(f"/tasks/{task}/results", javascript=False)
    expect(page.get_by_label("Show", exact=True)).to_be_hidden()
    page.get_by_text("The same numbers as a table").first.click()
    expect(page.locator("#history-2")).to_be_visible()
    page.locator("#compare-1").check()
    page.locator("#compare-2").check()
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_role("cell", name="1,500 best +50.0 % better").first).to_be_visible()


def test_the_files_are_downloaded(visit: Open, task: int) -> None:
    page = visit(f"/tasks/{task}/results")
    for name, kind in (("CSV", "csv"), ("JSON", "json")):
        with page.expect_download() as download:
            page.get_by_role("link", name=name).click()
        assert download.value.suggested_filename == f"task-{task}-results.{kind}"


def test_the_server_that_goes_away_is_told_and_comes_back(visit: Open, own_site: Site) -> None:
    made = own_site.submit(start=False, parameters=SPACE)
    change(own_site, made, BEGINNING)
    page = visit(f"/tasks/{made}/results")
    chart(page, "history")
    own_site.stop()
    expect(page.locator("#offline")).to_be_visible(timeout=10_000)
    own_site.start()
    expect(page.locator("#offline")).to_be_hidden(timeout=10_000)


@pytest.fixture(autouse=True)
def _away(request: pytest.FixtureRequest) -> None:
    if "own_site" in request.fixturenames:
        request.getfixturevalue("troubles").expect("charts.json", "net::ERR_CONNECTION_REFUSED", "Failed to load")
