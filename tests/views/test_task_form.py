"""Making, editing and duplicating a task by the form and by its YAML, as a browser without JavaScript does."""

import re
from html import unescape
from typing import Any

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from tests.document.old_documents import old
from tests.forms.full import FULL, sent
from tests.runner.factories import document, running, task, text
from tests.views.users import operator, viewer
from tuning.document.dumping import dump
from tuning.document.text import MAX_BYTES
from tuning.forms.document import BLANK
from tuning.forms.merging import sheet_of
from tuning.models import Task

pytestmark = pytest.mark.django_db

NEW = "/tasks/new"
CHECK = "/tasks/check"
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join([f'*{chr(97 + n)}'] * 9)}]\n" for n in range(9)
)


@pytest.fixture
def ada() -> Client:
    """An operator."""
    return operator()


def filled(sheet_text: str = BLANK, do: str = "create", **changes: str) -> dict[str, str]:
    """The form of a document, sent by the button `do`."""
    return {**sent(sheet_of(sheet_text), **changes), "do": do}


def quick(do: str = "create", **changes: str) -> dict[str, str]:
    """A form in which all is right."""
    return filled(text({"max-num-seqs": [4, 8]}), do, **changes)


def words(answer: HttpResponse) -> str:
    """The text of a page."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", answer.content.decode())).split())


def shown(answer: HttpResponse, name: str) -> str:
    """What the area `name` of a page holds."""
    match = re.search(rf'<textarea[^>]* name="{name}"[^>]*>\n?(.*?)</textarea>', answer.content.decode(), re.DOTALL)
    assert match
    return unescape(match[1])


@pytest.mark.parametrize("path", [NEW, CHECK, "/tasks/{}/edit", "/tasks/{}/duplicate"])
def test_only_operators_come_here(path: str) -> None:
    address = path.format(task().pk)
    assert viewer().get(address).status_code == 403
    assert viewer().post(address, quick()).status_code == 403
    assert Task.objects.count() == 1


def test_a_task_is_created_by_one_post(ada: Client) -> None:
    changes = {"name": "by hand", "engine__name": "simulated", "model__id": "simulated/llama-1b"}
    rows = {"rows-0-name": "max-num-seqs", "rows-0-kind": "values", "rows-0-values": "4, 8"}
    answer = ada.post(NEW, {**filled(**changes), **rows})
    made = Task.objects.get()
    assert (answer.status_code, answer.url) == (302, reverse("task", args=[made.pk]))
    assert (made.name, made.status) == ("by hand", Task.Status.PENDING)
    assert made.document["search_space"]["parameters"]["max-num-seqs"]["values"] == [4, 8]
    assert answer.cookies["saved-drafts"].value == "new"


def test_the_browser_is_told_which_drafts_are_saved_and_never_of_many(ada: Client) -> None:
    ada.cookies["saved-drafts"] = ".".join(["new-quickstart", "<b>", *(f"edit-{number}" for number in range(40))])
    names = ada.post(NEW, quick()).cookies["saved-drafts"].value.split(".")
    assert (len(names), names[-2:]) == (20, ["edit-39", "new"])
    ada.cookies["saved-drafts"] = "<b>.x=1; y.edit-1"
    assert ada.post(NEW, quick()).cookies["saved-drafts"].value == "edit-1.new"


def test_a_task_is_created_and_started(ada: Client) -> None:
    ada.post(NEW, quick("create-start"))
    assert Task.objects.get().status == Task.Status.RUNNING


def test_what_is_wrong_is_told_at_the_top_and_at_its_field(ada: Client) -> None:
    answer = ada.post(NEW, filled(budget__experiments="none", engine__name="simulated"))
    page = answer.content.decode()
    assert answer.status_code == 200
    assert 'href="#f-budget.experiments"' in page
    assert re.search(r'<input[^>]*name="budget.experiments"[^>]*value="none"[^>]*aria-invalid="true"', page)
    assert "a whole number is needed" in page
    assert not Task.objects.exists()


def test_a_new_page_says_nothing_about_what_is_missing_yet(ada: Client) -> None:
    page = ada.get(NEW).content.decode()
    assert 'aria-invalid="true"' not in page
    assert 'id="problems" tabindex="-1" role="group" aria-labelledby="problems-head" hidden' in page


def test_rows_are_added_and_removed_without_losing_what_was_typed(ada: Client) -> None:
    posted = quick("add-row", name="not lost", budget__experiments="bad")
    page = ada.post(NEW, posted).content.decode()
    assert 'name="rows-4-name"' in page
    assert 'value="not lost"' in page
    assert 'value="bad"' in page
    page = ada.post(NEW, {**posted, "do": "remove-0", "rows-1-values": "1, ["}).content.decode()
    assert 'name="rows-0-name"' not in page
    assert 'value="1, ["' in page
    assert not Task.objects.exists()


def test_the_form_is_filled_from_yaml_and_a_task_made_of_it(ada: Client) -> None:
    typed = text({"max-num-seqs": [1]}, name="typed")
    answer = ada.post(NEW, {**filled(do="fill"), "yaml": typed})
    assert 'value="typed"' in answer.content.decode()
    assert shown(answer, "yaml").strip() == typed.strip()
    assert not Task.objects.exists()
    ada.post(NEW, {**filled(do="create-yaml", name="left alone"), "yaml": typed})
    assert Task.objects.get().name == "typed"


def test_yaml_that_does_not_parse_is_kept_with_its_line_and_the_form_stays(ada: Client) -> None:
    answer = ada.post(NEW, {**quick(name="still here"), "yaml": "name: x\nmodel: [1,\n"})
    assert shown(answer, "yaml").split() == ["name:", "x", "model:", "[1,"]
    assert 'value="still here"' in answer.content.decode()
    assert re.search(r"line \d+: document: this is no YAML", words(answer))


def test_a_file_is_read_into_the_form_first(ada: Client) -> None:
    file = SimpleUploadedFile("task.yaml", text(name="uploaded").encode())
    answer = ada.post(NEW, {**filled(), "file": file})
    assert answer.status_code == 200
    assert 'value="uploaded"' in answer.content.decode()
    file = SimpleUploadedFile("task.yaml", text(name="uploaded").encode())
    ada.post(NEW, {**filled(do="create-yaml"), "file": file})
    assert Task.objects.get().name == "uploaded"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"#" * (MAX_BYTES + 1), "at most"),
        (b"#" * 10_000_000, "at most"),
        (bytes(range(256)), "not UTF-8"),
        ("name: Gr\u00fc\u00dfe".encode("latin-1"), "not UTF-8"),
        (BOMB.encode(), "too much"),
        (b"- 1\n- 2\n", "fields with values"),
        (b" ", "is empty"),
        (b"a\0b", "NUL"),
    ],
)
def test_odd_files_are_refused_in_words(ada: Client, content: bytes, said: str) -> None:
    for do in ("create", "fill", "create-yaml"):
        file = SimpleUploadedFile("odd.yaml", content)
        answer = ada.post(NEW, {**filled(do=do, name="kept"), "file": file})
        assert answer.status_code == 200
        assert said in words(answer)
    assert not Task.objects.exists()


@pytest.mark.parametrize("path", [NEW, CHECK])
@pytest.mark.parametrize("odd", [BOMB, "\0", "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"), "[" * 9999])
def test_odd_yaml_is_no_failure(ada: Client, path: str, odd: str) -> None:
    assert ada.post(path, {**filled(), "yaml": odd}).status_code == 200
    assert ada.post(path, {**filled(), "base": odd}).status_code == 200
    assert ada.post(path, filled(name=odd, workload__sampling=odd, engine__environment=odd)).status_code == 200


@pytest.mark.parametrize("path", [NEW, CHECK])
def test_a_form_that_is_too_large_or_has_too_many_fields_is_a_bad_request(ada: Client, path: str) -> None:
    assert ada.post(path, {**filled(), "yaml": "x" * 10_000_000}).status_code == 400
    many = {f"rows-{number}-name": "x" for number in range(1001)}
    assert ada.post(path, {**filled(), **many}).status_code == 400


@pytest.mark.parametrize("name", ["quickstart", "vllm-local"])
def test_examples_fill_the_form(ada: Client, name: str) -> None:
    answer = ada.get(NEW, {"example": name})
    example = (settings.BASE_DIR / "examples" / f"{name}.yaml").read_text()
    assert shown(answer, "yaml") == example
    assert ada.post(NEW, filled(example)).status_code == 302
    assert Task.objects.get().name == name


@pytest.mark.parametrize("name", ["../quickstart", "/etc/passwd", "nothing"])
def test_there_are_no_other_examples(ada: Client, name: str) -> None:
    """Pitfall D2a."""
    assert ada.get(NEW, {"example": name}).status_code == 400


def test_a_task_that_has_not_begun_is_edited_in_place(ada: Client) -> None:
    one = task({"max-num-seqs": [4]})
    address = reverse("task-edit", args=[one.pk])
    assert shown(ada.get(address), "yaml") == dump(one.task_document)
    answer = ada.post(address, filled(dump(one.task_document), budget__experiments="7"))
    assert answer.url == reverse("task", args=[one.pk])
    one.refresh_from_db()
    assert one.task_document.budget.experiments == 7


def test_a_run_that_has_begun_gets_another_run_and_the_page_says_so(ada: Client) -> None:
    one = running()
    Task.objects.filter(pk=one.pk).update(status=Task.Status.COMPLETED)
    address = reverse("task-edit", args=[one.pk])
    assert "becomes a new run" in words(ada.get(address))
    ada.post(address, filled(dump(one.task_document), budget__experiments="7"))
    again = Task.objects.exclude(pk=one.pk).get()
    assert (again.name, again.run, again.status) == (one.name, 2, Task.Status.PENDING)


def test_a_task_that_runs_is_not_edited_and_the_form_stays(ada: Client) -> None:
    one = running()
    address = reverse("task-edit", args=[one.pk])
    assert "cannot be edited" in words(ada.get(address))
    answer = ada.post(address, filled(dump(one.task_document), description="typed"))
    assert answer.status_code == 200
    assert "cannot be edited" in words(answer)
    assert "typed" in answer.content.decode()


def test_a_duplicate_of_a_full_document_is_the_same_but_for_its_name(ada: Client, tmp_path: Any) -> None:
    """Pitfall E8."""
    (tmp_path / "prompts.csv").write_text("text\nhello\n")
    full = FULL.replace("prompts.csv", str(tmp_path / "prompts.csv"))
    ada.post(NEW, filled(full))
    one = Task.objects.get()
    address = reverse("task-duplicate", args=[one.pk])
    page = ada.get(address)
    assert Task.objects.count() == 1
    ada.post(address, filled(shown(page, "yaml")))
    other = Task.objects.exclude(pk=one.pk).get()
    assert other.name == "everything copy 2"
    assert other.task_document == one.task_document.model_copy(update={"name": other.name})


def test_what_the_form_holds_is_never_markup(ada: Client) -> None:
    page = ada.post(NEW, quick("check", name="</textarea><script>alert(1)</script>")).content.decode()
    assert "<script>alert" not in page


def test_the_check_answers_with_the_yaml_when_the_form_was_edited(ada: Client) -> None:
    answer = ada.post(CHECK, quick(budget__experiments="9")).json()
    assert "experiments: 9" in answer["yaml"]
    assert (answer["errors"], answer["row_errors"], answer["readable"]) == ({}, {}, True)
    assert "2 configurations" in answer["cost"]
    assert "fields" not in answer


def test_the_check_answers_with_fields_and_rows_when_the_yaml_was_edited(ada: Client) -> None:
    typed = text({"enforce-eager": [True, False]}, name="typed") + "# a comment\n"
    answer = ada.post(CHECK, {**quick(), "yaml": typed}).json()
    assert answer["yaml"] == typed
    assert answer["fields"]["name"] == "typed"
    assert 'value="enforce-eager"' in answer["rows"]


def test_the_check_tells_what_is_wrong_at_fields_and_rows(ada: Client) -> None:
    answer = ada.post(CHECK, {**quick(budget__experiments="0"), "rows-0-values": "[", "rows-1-name": ""}).json()
    assert answer["errors"] == {"budget.experiments": ["at least 1 is needed, not 0"]}
    assert set(answer["row_errors"]) == {"0", "1"}
    assert not ada.post(CHECK, {**quick(), "yaml": "a: ["}).json()["readable"]


def test_an_old_document_says_what_became_of_it(ada: Client) -> None:
    answer = ada.post(CHECK, {**filled(), "yaml": old(deployment_mode="local")}).json()
    assert any("converted" in note for note in answer["notes"])
    assert answer["fields"]["name"] == "t"


def test_pages_take_the_same_few_queries_however_many_tasks_there_are(
    ada: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    one = task()
    for number in range(5):
        Task.objects.create(name=f"task {number}", document=one.document, document_digest=str(number))
    for address, queries in ((NEW, 4), (reverse("task-edit", args=[one.pk]), 6)):
        with django_assert_num_queries(queries):
            ada.get(address)
    with django_assert_num_queries(4):
        ada.post(CHECK, quick())


def test_two_of_one_name_are_two_runs(ada: Client) -> None:
    for _ in range(2):
        ada.post(NEW, quick(name=document().name))
    assert sorted(Task.objects.values_list("run", flat=True)) == [1, 2]
