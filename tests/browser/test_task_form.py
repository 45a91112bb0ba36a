"""The form of a task in a browser: its two sides, drafts, checks while one types, keyboard, phone, no JavaScript."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.checks import PHONE, assert_accessible_in_every_look, assert_no_sideways_scroll
from tests.browser.conftest import Open
from tests.browser.site import Site
from tests.browser.visit import Troubles
from tests.runner.factories import text

NEW = "/tasks/new"
BOTH = {"width": 1500, "height": 1000}


def area(page: Page) -> Locator:
    """The document as YAML."""
    return page.locator("#yaml")


def tab_to(page: Page, target: Locator) -> None:
    """Press Tab until `target` has the focus."""
    for _ in range(150):
        if target.evaluate("(element) => element === document.activeElement"):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"{target} cannot be reached by the keyboard")


def checked(page: Page) -> None:
    """Wait until the latest edit has been checked."""
    expect(page.locator("#state")).to_have_text(re.compile("Ready|put right"))


@pytest.fixture
def form(visit: Open) -> Page:
    """The form of a new task, wide enough for both of its sides."""
    return visit(NEW, **BOTH)


def test_the_form_is_accessible_in_every_look_also_with_errors(form: Page) -> None:
    assert_accessible_in_every_look(form)
    form.get_by_role("button", name="Create", exact=True).click()
    expect(form.locator("#problems")).to_be_focused()
    assert_accessible_in_every_look(form)


def test_a_task_is_made_by_keyboard_alone(form: Page, site: Site) -> None:
    tab_to(form, form.get_by_label("Name", exact=True))
    form.keyboard.type("by keyboard")
    tab_to(form, form.get_by_label("Engine", exact=True))
    form.keyboard.type("simulated")
    tab_to(form, form.get_by_label("Model", exact=True))
    form.keyboard.type("simulated/llama-1b")
    form.keyboard.press("Enter")
    tab_to(form, form.get_by_role("button", name="Add parameter"))
    form.keyboard.press("Enter")
    expect(form.get_by_label("Parameter", exact=True)).to_be_focused()
    form.keyboard.type("max-num-seqs")
    tab_to(form, form.get_by_label("Values", exact=True))
    form.keyboard.type("4, 8")
    expect(form.locator("#cost")).to_contain_text("2 configurations")
    tab_to(form, form.get_by_role("button", name="Create", exact=True))
    form.keyboard.press("Enter")
    expect(form).to_have_url(re.compile(r"/tasks/\d+$"))
    assert site.query("select 1 from tuning_task where name = 'by keyboard' and status = 'pending'")


def test_the_yaml_follows_the_form_and_the_form_the_yaml(form: Page) -> None:
    form.get_by_label("Name", exact=True).fill("both ways")
    expect(area(form)).to_have_value(re.compile("name: both ways"))
    form.get_by_label("Mode", exact=True).select_option("docker")
    form.get_by_label("Shared memory").fill("8g")
    expect(area(form)).to_have_value(re.compile("mode: docker\n  shm_size: 8g"))
    form.get_by_label("Mode", exact=True).select_option("local")
    expect(form.get_by_label("Shared memory")).to_be_hidden()
    expect(area(form)).not_to_have_value(re.compile("shm_size"))
    typed = text({"max-num-seqs": [1, 2, 3]}, name="typed", finalists=2, replicates=2) + "# a comment\n"
    area(form).fill(typed)
    expect(form.get_by_label("Name", exact=True)).to_have_value("typed")
    expect(form.get_by_label("Finalists")).to_have_value("2")
    expect(form.get_by_label("Parameter", exact=True).first).to_have_value("max-num-seqs")
    expect(form.locator("#cost")).to_contain_text("3 configurations")
    assert area(form).input_value() == typed


def test_yaml_that_does_not_parse_is_left_alone_with_its_error(form: Page) -> None:
    form.get_by_label("Name", exact=True).fill("stays")
    checked(form)
    area(form).fill("name: [\nother: 1\n")
    expect(form.locator("#yaml-errors")).to_contain_text("line")
    expect(form.get_by_label("Name", exact=True)).to_have_value("stays")
    expect(area(form)).to_have_value("name: [\nother: 1\n")


def test_checking_while_one_types_moves_neither_focus_nor_text(form: Page) -> None:
    experiments = form.get_by_label("Experiments", exact=True)
    experiments.click()
    experiments.fill("")
    form.keyboard.type("no")
    expect(experiments).to_have_attribute("aria-invalid", "true")
    expect(form.locator("[id='f-budget.experiments_error']")).to_contain_text("whole number")
    expect(experiments).to_be_focused()
    assert experiments.evaluate("(element) => element.selectionStart") == 2
    form.keyboard.press("Control+A")
    form.keyboard.type("12")
    expect(experiments).not_to_have_attribute("aria-invalid", "true")
    expect(experiments).to_have_value("12")
    expect(form.get_by_label("Name", exact=True)).not_to_have_attribute("aria-invalid", "true")


def test_a_field_that_takes_the_focus_before_the_yaml_was_read_shows_what_the_yaml_says(form: Page) -> None:
    """Otherwise what the field had before would be written over it with the next edit."""
    form.get_by_role("button", name="Add parameter").click()
    form.get_by_label("Parameter", exact=True).fill("max-num-seqs")
    form.get_by_label("Values", exact=True).fill("4")
    expect(area(form)).to_have_value(re.compile(r"max-num-seqs: \[4\]"))
    for label, before, after in (("Values", "[4]", "[4, 16]"), ("Experiments", "experiments: 50", "experiments: 9")):
        area(form).fill(area(form).input_value().replace(before, after))
        control = form.get_by_label(label, exact=True)
        control.focus()
        expect(control).to_have_value(re.sub(r"[^0-9, ]", "", after).strip())
        expect(control).to_be_focused()
    form.get_by_label("Name", exact=True).fill("later")
    expect(area(form)).to_have_value(re.compile("name: later"))
    assert "[4, 16]" in area(form).input_value()
    assert "experiments: 9" in area(form).input_value()


def test_rows_are_added_changed_and_removed_while_the_rest_stays(form: Page) -> None:
    for name, values in (("max-num-seqs", "4, 8"), ("enforce-eager", "true, false")):
        form.get_by_role("button", name="Add parameter").click()
        form.get_by_label("Parameter", exact=True).last.fill(name)
        form.get_by_label("Values", exact=True).last.fill(values)
    expect(form.locator("#cost")).to_contain_text("4 configurations")
    form.get_by_label("Kind").first.select_option("integer")
    form.get_by_label("Min", exact=True).first.fill("1")
    form.get_by_label("Max", exact=True).first.fill("3")
    expect(form.locator("#cost")).to_contain_text("6 configurations")
    form.get_by_label("Kind").first.select_option("values")
    expect(form.get_by_label("Values", exact=True).first).to_have_value("4, 8")
    form.get_by_role("button", name="Remove parameter").last.click()
    expect(form.locator("#cost")).to_contain_text("2 configurations")
    expect(area(form)).not_to_have_value(re.compile("enforce-eager"))


def test_a_draft_survives_a_reload_until_it_is_discarded_or_saved(form: Page) -> None:
    """Pitfall E9b."""
    form.get_by_label("Name", exact=True).fill("a draft")
    form.get_by_label("Engine", exact=True).select_option("simulated")
    form.get_by_label("Model", exact=True).fill("simulated/llama-1b")
    form.get_by_role("button", name="Add parameter").click()
    form.get_by_label("Parameter", exact=True).fill("max-num-seqs")
    form.reload()
    expect(form.locator("#draft")).to_be_visible()
    expect(form.get_by_label("Name", exact=True)).to_have_value("a draft")
    expect(form.get_by_label("Parameter", exact=True)).to_have_value("max-num-seqs")
    expect(area(form)).to_have_value(re.compile("name: a draft"))
    form.get_by_role("button", name="Discard draft").click()
    expect(form.get_by_label("Name", exact=True)).to_have_value("")
    expect(form.locator("#draft")).to_be_hidden()
    form.get_by_label("Name", exact=True).fill("saved")
    form.get_by_label("Engine", exact=True).select_option("simulated")
    form.get_by_label("Model", exact=True).fill("simulated/llama-1b")
    form.get_by_role("button", name="Create", exact=True).click()
    expect(form).to_have_url(re.compile(r"/tasks/\d+$"))
    form.goto(NEW)
    expect(form.get_by_label("Name", exact=True)).to_have_value("")
    expect(form.locator("#draft")).to_be_hidden()


def test_an_example_takes_nothing_from_what_was_typed(form: Page) -> None:
    """Pitfall E9a: the choice of a preset overwrote what was edited by hand."""
    form.get_by_label("Name", exact=True).fill("by hand")
    examples = form.get_by_role("navigation", name="Examples")
    examples.get_by_role("link", name="quickstart").click()
    expect(form.get_by_label("Name", exact=True)).to_have_value("quickstart")
    form.get_by_label("Name", exact=True).fill("quick by hand")
    examples.get_by_role("link", name="nothing").click()
    expect(form.get_by_label("Name", exact=True)).to_have_value("by hand")
    examples.get_by_role("link", name="quickstart").click()
    expect(form.get_by_label("Name", exact=True)).to_have_value("quick by hand")
    form.get_by_role("button", name="Create", exact=True).click()
    expect(form).to_have_url(re.compile(r"/tasks/\d+$"))
    form.goto(f"{NEW}?example=quickstart")
    expect(form.get_by_label("Name", exact=True)).to_have_value("quickstart")


def test_files_are_read_by_choosing_or_dropping_them(form: Page, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text(text(name="from a file"))
    bad.write_bytes("name: Gr\u00fc\u00dfe".encode("latin-1"))
    form.locator("#file").set_input_files(bad)
    expect(form.locator("#yaml-errors")).to_contain_text("not UTF-8")
    form.locator("#file").set_input_files(good)
    expect(form.get_by_label("Name", exact=True)).to_have_value("from a file")
    form.locator(".editor-text").evaluate(
        """(pane, text) => {
          const data = new DataTransfer();
          data.items.add(new File([text], "dropped.yaml"));
          pane.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
        }""",
        text(name="dropped"),
    )
    expect(form.get_by_label("Name", exact=True)).to_have_value("dropped")


def test_names_follow_the_model_until_they_are_edited(form: Page) -> None:
    form.get_by_label("Model", exact=True).fill("org/some-model")
    expect(form.get_by_label("Served name")).to_have_attribute("placeholder", "some-model")
    expect(form.get_by_label("Tokenizer")).to_have_attribute("placeholder", "org/some-model")
    form.get_by_label("Served name").fill("mine")
    form.get_by_label("Model", exact=True).fill("org/other")
    expect(form.get_by_label("Served name")).to_have_value("mine")
    expect(area(form)).to_have_value(re.compile("served_name: mine"))


def test_a_phone_has_the_yaml_below_the_form(visit: Open) -> None:
    page = visit(NEW, **PHONE)
    assert_no_sideways_scroll(page)
    expect(area(page)).to_be_hidden()
    page.get_by_text("YAML", exact=True).click()
    expect(area(page)).to_be_visible()
    assert_no_sideways_scroll(page)


def test_without_javascript_rows_yaml_and_creating_work(visit: Open, site: Site) -> None:
    page = visit(NEW, javascript=False, **BOTH)
    page.get_by_label("Name", exact=True).fill("plain form")
    page.get_by_label("Engine", exact=True).select_option("simulated")
    page.get_by_label("Model", exact=True).fill("simulated/llama-1b")
    page.get_by_role("button", name="Add parameter").click()
    expect(page.get_by_label("Name", exact=True)).to_have_value("plain form")
    page.get_by_label("Parameter", exact=True).fill("max-num-seqs")
    page.get_by_label("Values", exact=True).fill("4, [")
    page.get_by_role("button", name="Create", exact=True).click()
    expect(page.locator("#problems")).to_contain_text("max-num-seqs")
    page.get_by_label("Values", exact=True).fill("4, 8")
    page.get_by_role("button", name="Create", exact=True).click()
    expect(page).to_have_url(re.compile(r"/tasks/\d+$"))
    assert site.query("select 1 from tuning_task where name = 'plain form'")
    page.goto(NEW)
    area(page).fill(text(name="plain yaml"))
    page.get_by_role("button", name="Fill the form from YAML").click()
    expect(page.get_by_label("Name", exact=True)).to_have_value("plain yaml")
    page.get_by_role("button", name="Create from YAML").click()
    expect(page).to_have_url(re.compile(r"/tasks/\d+$"))


def test_a_server_that_is_gone_loses_nothing(own_site: Site, visit: Open, troubles: Troubles) -> None:
    """Pitfall E10."""
    page = visit(NEW, **BOTH)
    troubles.expect("ERR_CONNECTION_REFUSED", "ERR_EMPTY_RESPONSE", "ERR_CONNECTION_RESET", "htmx:")
    own_site.stop()
    page.get_by_label("Name", exact=True).fill("kept")
    expect(page.locator("#state")).to_contain_text("does not answer")
    own_site.start()
    page.get_by_label("Description").fill("later")
    expect(area(page)).to_have_value(re.compile("name: kept\ndescription: later"))
