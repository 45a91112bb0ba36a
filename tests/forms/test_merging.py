"""Documents of which the form changes something come back with everything that it did not change."""

import json

import pytest

from tests.forms.full import sent
from tests.forms.whole import WHOLE
from tuning.document.dumping import dump
from tuning.document.loading import load
from tuning.forms.document import sheet_posted
from tuning.forms.document_fields import FIELDS
from tuning.forms.merging import Sheet, merged, plain, sheet_of, texts_of

MINIMAL = "name: t\nengine:\n  name: vllm\nmodel:\n  id: org/m\n"


@pytest.mark.parametrize("mode", WHOLE)
def test_a_document_without_any_default_survives(mode: str) -> None:
    """Pitfall E8: cluster configurations, extra parameters, ranges, conditions, null, text like numbers."""
    document = load(json.dumps(WHOLE[mode])).document
    shown = sheet_of(dump(document))
    assert merged(sheet_posted(sent(shown))).text == dump(document)
    again = merged(Sheet(shown.texts, shown.rows, MINIMAL, MINIMAL))
    assert load(again.text).document.model_dump_json() == document.model_dump_json()


def test_each_field_shows_what_is_not_its_default() -> None:
    default = texts_of(plain(MINIMAL))
    for each in FIELDS:
        shown = {texts_of(data)[each.name] for data in WHOLE.values()}
        assert shown != {default[each.name]} or each.name in ("engine.name", "workload.benchmark"), each.name


@pytest.mark.parametrize("mode", ["", "ome", "nonsense"])
@pytest.mark.parametrize("deployment", ["", "deployment: {}\n", "deployment: []\n", "deployment: {mode: [docker]}\n"])
def test_a_deployment_is_chosen_whatever_the_document_says_of_it(mode: str, deployment: str) -> None:
    found = merged(sheet_posted(sent(sheet_of(MINIMAL + deployment), deployment__mode=mode)))
    assert not found.faults


def test_a_field_of_a_deployment_names_the_mode_that_it_is_shown_for() -> None:
    found = merged(sheet_posted(sent(sheet_of(MINIMAL), deployment__gpus="0, 1")))
    assert found.data["deployment"] == {"mode": "local", "gpus": [0, 1]}


@pytest.mark.parametrize("mode", ["local", "docker", "ome"])
def test_another_mode_takes_away_only_what_it_cannot_have(mode: str) -> None:
    posted = sent(sheet_of(f"{MINIMAL}deployment: {{mode: docker, gpus: [1], shm_size: 8g, odd: 1}}\n"))
    found = merged(sheet_posted({**posted, "deployment.mode": mode}))
    kept = {"local": {"gpus": [1]}, "docker": {"gpus": [1], "shm_size": "8g"}, "ome": {}}[mode]
    assert found.data["deployment"] == {"mode": mode, **kept, "odd": 1}
