"""What is wrong with a document stands at the field that it is about, and what it costs beside it."""

import pytest

from tests.forms.full import FULL, sent
from tuning.document.loading import load
from tuning.engines.flags import FlagTable
from tuning.forms.document import BLANK, DocumentForm, Page, check, fresh, from_form, from_text, sheet_posted
from tuning.forms.estimate import estimate
from tuning.forms.merging import plain, sheet_of
from tuning.runner.planner import Planner

QUICK = "name: t\nengine: {name: simulated}\nmodel: {id: m}\n"


def page_of(text: str) -> Page:
    """The page of a text that somebody typed."""
    return from_text(text, sheet_of(""))


def test_problems_stand_at_their_fields() -> None:
    """Pitfall E7b."""
    form = page_of(
        "name: ' '\nengine: {name: vlm}\nmodel: {id: m}\nbudget: {experiments: 0}\n"
        "slo: {ttft_ms: {p200: 1}}\nworkload: {scenarios: ['D(1,1)', nonsense]}\nunknown: 1\n"
        "search_space: {parameters: {a.b: [], a: {min: 3, max: 1}}, fixed: {-x: 1}, constraints: [a >]}\n"
    ).form
    assert set(form.errors) == {
        "name",
        "engine.name",
        "budget.experiments",
        "slo.ttft_ms",
        "workload.scenarios",
        "search_space.constraints",
    }
    assert form.errors["budget.experiments"] == ["at least 1 is needed, not 0"]
    assert set(form.row_errors) == {0, 1, 2}
    assert any("unknown" in message and "line" in message for message in form.other_errors)
    assert len(form.summary) == sum(map(len, form.errors.values())) + sum(map(len, form.row_errors.values())) + 1


def test_problems_that_only_the_engine_or_this_machine_sees_stand_there_too() -> None:
    form = page_of(
        "name: t\nengine: {name: vllm, environment: {HF_TOKEN: x}}\nmodel: {id: m}\ndeployment: {mode: ome}\n"
        "search_space: {parameters: {no-such-flag: [1]}}\n"
        "workload: {scenarios: [dataset], dataset: {path: /no/such/file}}\n"
    ).form
    assert set(form.errors) >= {"engine.environment", "workload.dataset.path"}
    assert set(form.row_errors) == {0}


def test_a_field_that_cannot_be_read_says_so_and_keeps_what_was_typed() -> None:
    page = from_form(sheet_posted(sent(sheet_of(QUICK), workload__concurrency="1, [", budget__experiments="many")))
    assert "at least" not in str(page.form.errors)
    assert page.form["workload.concurrency"].value() == "1, ["
    assert page.form.errors["budget.experiments"] == ['a whole number is needed, not "many"']
    assert page.checked.document is None


def test_a_choice_that_does_not_exist_is_shown_as_it_is() -> None:
    form = page_of("name: t\nengine: {name: trtllm}\nmodel: {id: m}\n").form
    assert '<option value="trtllm" selected>' in str(form["engine.name"])


def test_yaml_that_does_not_parse_stays_and_so_does_the_form() -> None:
    page = from_form(sheet_posted(sent(sheet_of(QUICK), name="typed", yaml="name: [\nmodel")))
    assert page.form.sheet.yaml == "name: [\nmodel"
    assert page.form["name"].value() == "typed"
    assert "line" in page.form.yaml_errors[0]
    assert page.checked.document is None


def test_the_full_document_shows_every_field_without_a_word() -> None:
    form = page_of(FULL).form
    assert set(form.errors) <= {"workload.dataset.path"}
    assert {name for name, text in form.sheet.texts.items() if not text} == {
        "engine.python",
        "deployment.shm_size",
        "deployment.memory_limit",
        "deployment.host_network",
        "deployment.namespace",
        "deployment.runtime",
        "workload.ignore_eos",
    }


def test_a_new_form_complains_about_nothing_and_knows_what_is_missing() -> None:
    assert not fresh(BLANK).form.is_faulty
    assert {problem.path for problem in check(BLANK, plain(BLANK)).problems} == {"name", "model.id"}


def test_of_a_missing_section_the_field_is_told_that_it_needs() -> None:
    form = page_of("name: t\n").form
    assert (set(form.errors), form.other_errors) == ({"engine.name", "model.id"}, [])


def test_every_control_has_a_label_and_its_help() -> None:
    form = DocumentForm(sheet_of(FULL))
    for bound in form:
        assert bound.label
        assert bound.help_text, bound.name
        assert f'aria-describedby="{bound.auto_id}_helptext' in str(bound)


@pytest.mark.parametrize(
    "sections",
    [
        "search_space: {parameters: {max-num-seqs: [4, 8, 16], enforce-eager: [true, false]}}\n",
        "search_space: {parameters: {max-num-seqs: [4, 8, 16]}}\nbaseline: false\nreplicates: 3\n",
        "search_space: {parameters: {max-num-seqs: [4, 8, 16]}}\nreplicates: 3\nfinalists: 2\n",
        "search_space: {parameters: {max-num-seqs: {min: 1, max: 90000}}}\nbudget: {experiments: 7}\n",
        "search_space: {parameters: {gpu-memory-utilization: {min: 0.5, max: 0.9}}}\nstrategy: {name: random}\n",
        "",
    ],
)
def test_as_many_experiments_are_announced_as_are_planned(sections: str) -> None:
    document = load(QUICK + sections).document
    cost = page_of(QUICK + sections).checked.estimate
    assert cost is not None
    assert cost.experiments == Planner(document).experiments


def test_the_time_is_that_of_all_load_points_and_starts() -> None:
    document = load(QUICK + "workload: {concurrency: [1, 2], seconds: 10}\nmax_parallel: 2\nreplicates: 4\n").document
    cost = estimate(document, 1)
    assert (cost.experiments, cost.load_points, cost.most_s) == (8, 2, 4 * (20 + cost.start_s))
    capped = document.model_copy(update={"budget": document.budget.model_copy(update={"wall_clock_s": 1.0})})
    assert estimate(capped, 1).most_s == 1 + 20 + cost.start_s


def test_the_cost_is_known_before_the_document_is_complete() -> None:
    text = "engine: {name: vllm}\nsearch_space: {parameters: {max-num-seqs: [4, 8]}}\nbudget: {experiments: 0}\n"
    cost = page_of(text).checked.estimate
    assert cost is not None
    assert (cost.configurations, cost.experiments) == (2, 3)
    assert page_of("search_space: {parameters: {a: []}}\n").checked.estimate is None


def test_many_configurations_are_not_counted_to_the_end() -> None:
    text = QUICK + "search_space: {parameters: {max-num-seqs: {min: 1, max: 90000}}}\n"
    assert "up to 90,000 configurations" in str(page_of(text).checked.estimate)
    text = (
        QUICK + "search_space: {parameters: {gpu-memory-utilization: {min: 0.5, max: 0.9}}}\nstrategy: {name: random}"
    )
    assert "without end" in str(page_of(text).checked.estimate)


@pytest.mark.parametrize("name", ["no-such-flag", "env:NAME"])
def test_many_parameters_are_checked_in_bounded_steps(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of unknown flags the nearest known one is looked for, which must not happen in each configuration."""
    looked: list[str] = []
    nearest = FlagTable.nearest
    monkeypatch.setattr(FlagTable, "nearest", lambda table, flag: looked.append(flag) or nearest(table, flag))
    many = ", ".join(f"{name}{number}: [1, 2, 3]" for number in range(99))
    page = page_of(f"name: t\nengine: {{name: vllm}}\nmodel: {{id: m}}\nsearch_space: {{parameters: {{{many}}}}}\n")
    assert page.checked.estimate is not None
    assert page.checked.estimate.configurations is None
    assert len(looked) <= 3 * 99
