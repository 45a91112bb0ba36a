"""Every address with odd ids, queries and bodies: a page that says what is wrong, and never an error of ours."""

import importlib
import inspect
import pkgutil
from itertools import product
from urllib.parse import quote, quote_from_bytes

import pytest
from django import forms as django_forms
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tuning.forms
from tests.runner.factories import experiment, living, running
from tests.views.addresses import Address, walk
from tuning.document.workload import LoadPoint
from tuning.models import Experiment, LogLine, MeasurementRow, Slot, Task
from tuning.scoring.metrics import Distribution, Measurement

pytestmark = pytest.mark.django_db

ADDRESSES = walk()
PUBLIC = {"sign-in", "sign-in-link", "healthz"}
"""Those that need no user."""
SCRIPT = "<script>alert(1)</script>"

ODD_IDS = (
    *("0", "-1", "1.5", "1e3", "0x1", "007", "999999999", "1000000000", "9223372036854775808", "9" * 400),
    *("%00", "..", ".", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "..%5C", "1%00", "1%20", "%201", "%0d%0aX-Reason:%20yes"),
    *("None", "true", "1;drop%20table", quote(SCRIPT), quote("٣"), quote("é"), quote("💩"), "%ff", "%ED%A0%80", "%25"),
)
ODD_VALUES = (
    *("", " ", "0", "-1", "1.5", "1e309", "nan", "inf", "9" * 30, "9" * 5000, "None", "true", "[]", "{}", "٣"),
    *("\x00", "a\x00b", "\r\nX-Reason: yes", "é", "💩", "\u202e", "' or 1=1 --", "%", "_", "\\", SCRIPT, "{{ 1 }}"),
    *("../../etc/passwd", "//evil.example", "javascript:alert(1)", "-", "--pk", "-number", "a" * 10_000, "x " * 5_000),
)
NASTY = ("\x00", "9" * 30, f"💩{SCRIPT}")
RAW_QUERIES = (
    *("%", "%ff", "=%ff", "q=%ED%A0%80", "&&&==&", "q=1&q=2&q=%00", "page=1&page=2", ";", "q[]=1", "a" * 20_000),
    "&".join(f"f{index}=1" for index in range(2_000)),
    "&".join(f"experiment={index}" for index in range(900)),
)
LAUGHS = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 12))
DOCUMENTS = {
    "10 MB": b"name: big\ntext: |\n" + b"  0123456789 0123456789 0123456789 0123456789\n" * 220_000,
    "10 MB in one line": b"name: " + b"x" * 10_000_000,
    "billion laughs": LAUGHS.encode(),
    "merge keys of itself": b"a: &a {<<: *a}",
    "deep": b"[" * 20_000,
    "deeper than the stack": b"a: " + b"{a: " * 5_000,
    "binary": bytes(range(256)) * 40,
    "UTF-16": "name: tâche".encode("utf-16"),
    "Latin-1": "name: tâche".encode("latin-1"),
    "lone surrogate": b'name: "\\ud800"',
    "null bytes": b"name: a\x00b",
    "tag": b"!!python/object/apply:os.system [echo]",
    "a number": b"7",
    "nothing": b"",
    "dates and infinities": b"name: 2020-01-01\nmodel: .inf\nengine: .nan\n? [1, 2]\n: 3",
}
BODIES = {
    "application/json": b'{"a": ',
    "text/plain": b"hello",
    "application/octet-stream": bytes(range(256)),
    "application/x-www-form-urlencoded": b"%ff=%ED%A0%80&=&&a=%00",
    "application/x-www-form-urlencoded; charset=no-such": b"a=b",
    "multipart/form-data": b"no boundary",
    "multipart/form-data; boundary=x": b"--x\r\nContent-Disposition: form-data; name=\xff\r\n\r\n",
    "": b"a=b",
}


def _form_fields() -> list[str]:
    """The names of the fields of all our forms, and those that views share."""
    names = {"seen", "next", "task", "experiment", "action", "after", "before", "document", "csrfmiddlewaretoken"}
    for module in pkgutil.walk_packages(tuning.forms.__path__, "tuning.forms."):
        for _, form in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            if issubclass(form, django_forms.BaseForm):
                names |= set(getattr(form, "base_fields", {}))
    return sorted(names)


FIELDS = _form_fields()
UPLOADS = sorted({"document", "file", "text", "upload", "yaml"} & {"document", *FIELDS})


def _id(address: Address) -> str:
    return address.name


@pytest.fixture(autouse=True)
def rows() -> Task:
    """A running task with each kind of experiment, one of them measured, one deployed."""
    task = running(parameters={"max-num-seqs": [4, 8]})
    good = experiment(task, 1, status="success", is_baseline=True, value=10.0, feasible=True, total_s=3.0)
    experiment(task, 2, status="failed", reason="out_of_memory", message="no room", parameters={"max-num-seqs": 8})
    experiment(task, 3, status="deploying", claim="held", worker=living())
    load = LoadPoint(scenario="D(20,5)", concurrency=4, request_rate_per_s=None)
    latency = Distribution(8, {"mean": 5.0, "p50": 5.0, "p90": 6.0, "p99": 7.0, "min": 1.0, "max": 8.0, "stddev": 1.0})
    MeasurementRow.of(good, 0, _measurement(load, latency)).save()
    Slot.objects.create(node="here", index=0, claim="held")
    LogLine.objects.bulk_create(
        LogLine(task=task, experiment=good, at=task.created_at, level="info", source="engine", text=f"line {number}")
        for number in range(3)
    )
    return task


def _measurement(load: LoadPoint, latency: Distribution) -> Measurement:
    rates = dict.fromkeys(
        ("output_tokens_per_s", "input_tokens_per_s", "requests_per_s", "goodput_requests_per_s"), 10.0
    )
    latencies = dict.fromkeys(("ttft_ms", "tpot_ms", "itl_ms", "e2e_ms"), latency)
    return Measurement(load_point=load, window_s=1.0, completed=8, failed=0, **rates, **latencies)


@pytest.fixture
def ids(rows: Task) -> dict[str, str]:
    """Ids that exist, by the names of parameters; a parameter that is not named here is 1."""
    return {"pk": str(rows.pk), "number": "1"}


@pytest.fixture
def ada(django_user_model: type[User]) -> Client:
    """Somebody who may do everything."""
    client = Client()
    client.force_login(django_user_model.objects.create_superuser("ada"))
    return client


@pytest.fixture
def bob(django_user_model: type[User]) -> Client:
    """Somebody who may only look."""
    client = Client()
    client.force_login(django_user_model.objects.create_user("bob"))
    return client


def fine(answer: object) -> None:
    """No error of ours, and nothing that somebody sent has become markup."""
    status = getattr(answer, "status_code")  # noqa: B009 - the test client's answers have no common type
    assert status < 500
    if "text/html" in answer.headers.get("Content-Type", ""):  # type: ignore[attr-defined]
        assert SCRIPT not in answer.content.decode()  # type: ignore[attr-defined]


def _kept() -> list[object]:
    experiments = Experiment.objects.order_by("pk").values_list("task", "number", "status", "attempt")
    return [*Task.objects.order_by("pk").values_list("name", "status", "revision"), *experiments]


@pytest.mark.parametrize("address", ADDRESSES, ids=_id)
def test_an_odd_id_is_no_error_of_the_server(ada: Client, address: Address) -> None:
    """Pitfall E7b."""
    for values in product(ODD_IDS, repeat=min(len(address.parameters), 1)):
        path = address.path(**dict.fromkeys(address.parameters, values[0] if values else ""))
        fine(ada.get(path))
        fine(ada.post(path))


@pytest.mark.parametrize("address", [one for one in ADDRESSES if len(one.parameters) > 1], ids=_id)
def test_an_odd_id_behind_a_good_one_is_no_error_either(ada: Client, address: Address, ids: dict[str, str]) -> None:
    """Pitfall E7b."""
    for name, value in product(address.parameters, ODD_IDS):
        fine(ada.get(address.path(**{**dict.fromkeys(address.parameters, "1"), **ids, name: value})))


@pytest.mark.parametrize("address", ADDRESSES, ids=_id)
def test_an_odd_value_in_a_query_is_refused_in_words(ada: Client, address: Address, ids: dict[str, str]) -> None:
    """Pitfall E7b."""
    for path in address.paths(**ids):
        for value in ODD_VALUES:
            fine(ada.get(path, dict.fromkeys(FIELDS, value)))
        for name, value in product(FIELDS, NASTY):
            fine(ada.get(path, {name: value}))
        for query in RAW_QUERIES:
            fine(ada.get(path, QUERY_STRING=query))


@pytest.mark.parametrize("address", ADDRESSES, ids=_id)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    query=st.dictionaries(
        st.sampled_from(FIELDS), st.one_of(st.sampled_from(ODD_VALUES), st.integers().map(str), st.text()), max_size=4
    ),
    is_part=st.booleans(),
)
def test_whatever_is_in_a_query_is_no_error_of_the_server(
    ada: Client, address: Address, ids: dict[str, str], query: dict[str, str], is_part: bool
) -> None:
    """Pitfall E7b."""
    raw = "&".join(
        f"{name}={quote_from_bytes(value.encode('utf-8', 'surrogatepass'))}" for name, value in query.items()
    )
    headers = {"HX-Request": "true"} if is_part else {}
    for path in address.paths(**ids):
        fine(ada.get(path, QUERY_STRING=raw, headers=headers))


def _posts(client: Client, path: str, data: dict[str, object]) -> None:
    """Send a form whose effects are taken back."""
    with transaction.atomic():
        fine(client.post(path, data))
        transaction.set_rollback(True)


@pytest.mark.parametrize("address", ADDRESSES, ids=_id)
def test_an_odd_value_in_a_form_is_no_error_of_the_server(ada: Client, address: Address, ids: dict[str, str]) -> None:
    """Pitfall E7b."""
    for path in address.paths(**ids):
        for value in ODD_VALUES:
            _posts(ada, path, dict.fromkeys(FIELDS, value))
        for name, value in product(FIELDS, NASTY):
            _posts(ada, path, {name: value})


@pytest.mark.parametrize("address", ADDRESSES, ids=_id)
def test_an_odd_document_is_no_error_of_the_server(ada: Client, address: Address, ids: dict[str, str]) -> None:
    """Pitfall E7b: whether it is uploaded, pasted, or is the whole body."""
    path = next(address.paths(**ids))
    for content in DOCUMENTS.values():
        _posts(ada, path, {name: SimpleUploadedFile("task.yaml", content) for name in UPLOADS})
        _posts(ada, path, dict.fromkeys(UPLOADS, content.decode("latin-1")))
        with transaction.atomic():
            fine(ada.post(path, content, content_type="application/yaml"))
            transaction.set_rollback(True)


@pytest.mark.parametrize("address", ADDRESSES, ids=_id)
def test_a_body_that_is_no_form_is_no_error_of_the_server(ada: Client, address: Address, ids: dict[str, str]) -> None:
    for path, (kind, body) in product(address.paths(**ids), BODIES.items()):
        with transaction.atomic():
            fine(ada.generic("POST", path, body, content_type=kind))
            transaction.set_rollback(True)


@pytest.mark.parametrize("address", ADDRESSES, ids=_id)
def test_other_methods_are_not_allowed(ada: Client, address: Address, ids: dict[str, str]) -> None:
    client = Client() if address.name in PUBLIC else ada  # whoever has signed in is led away from the sign-in
    for path, method in product(address.paths(**ids), ("PUT", "PATCH", "DELETE", "TRACE", "BREW")):
        assert client.generic(method, path).status_code == 405, method


@pytest.mark.parametrize("address", [one for one in ADDRESSES if one.name not in PUBLIC], ids=_id)
def test_nobody_is_answered_without_a_user(client: Client, address: Address, ids: dict[str, str]) -> None:
    """Pitfall D1: led to the sign-in, or refused where a part of a page asks; nothing is changed."""
    before = _kept()
    for path, method in product(address.paths(**ids), ("GET", "POST")):
        answer = client.generic(method, path)
        assert (answer.status_code, answer.headers["Location"].partition("?")[0]) == (302, "/sign-in")
        assert client.generic(method, path, headers={"HX-Request": "true"}).status_code == 403
    assert _kept() == before


@pytest.mark.parametrize("address", ADDRESSES, ids=_id)
def test_whoever_may_only_look_changes_nothing(bob: Client, address: Address, ids: dict[str, str]) -> None:
    """Pitfall D1."""
    before = _kept()
    for path in address.paths(**ids):
        fine(bob.get(path))
        fine(bob.post(path, {"task": ids["pk"], "action": "delete", "pk": ids["pk"]}))
    assert _kept() == before


@pytest.mark.parametrize("address", [one for one in ADDRESSES if one.name != "healthz"], ids=_id)
def test_a_form_of_another_site_is_refused(
    django_user_model: type[User], address: Address, ids: dict[str, str]
) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(django_user_model.objects.create_superuser("eve"))
    before = _kept()
    for path in address.paths(**ids):
        assert client.post(path, {"task": ids["pk"]}).status_code in (403, 405)
    assert _kept() == before


def test_the_walk_knows_every_address() -> None:
    """Were it empty, all of the above would hold."""
    names = {address.name for address in ADDRESSES}
    assert {"dashboard", "tasks", "task", "task-act", "experiment", "sign-in"} <= names
    (act,) = [address for address in ADDRESSES if address.name == "task-act"]
    assert {"/tasks/5/start", "/tasks/5/delete"} <= set(act.paths(pk="5"))
