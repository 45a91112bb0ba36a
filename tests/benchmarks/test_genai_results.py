"""Reading the files of genai-bench 0.0.5: `recorded/` holds files of real runs, cut to six requests each."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.requests import Log, load_request, never
from tuning.benchmarks.builtin.adapter import Builtin
from tuning.benchmarks.genai_results import find_level, read_level
from tuning.errors import BenchmarkError
from tuning.scoring.metrics import RequestStatus

RECORDED = Path(__file__).parent / "recorded"
D = RECORDED / "D20_6_text-to-text_num_concurrency_2_time_1s.json"


@pytest.mark.parametrize("scenario", ["D(20,6)", "N(20,5)/(8,3)", "U(10,20)/(4,8)", "E(30)", "R(20,10)", "dataset"])
def test_every_scenario_kind_is_found_among_the_others(scenario: str) -> None:
    """Pitfall B11a: files are not looked up by the name that only D(...) has."""
    level = find_level(RECORDED, scenario)
    assert level is not None
    assert level.scenario == scenario
    assert len(level.rows) == 6
    assert level.duration_s > 1
    assert all(row.status is RequestStatus.OK and row.e2e_ms and row.input_tokens for row in level.rows)


@pytest.mark.parametrize("scenario", ["E(30)", "R(20,10)"])
def test_an_answer_without_output_has_no_ttft_and_no_tpot_of_zero(scenario: str) -> None:
    level = find_level(RECORDED, scenario)
    assert level is not None
    assert {(row.ttft_ms, row.tpot_ms, row.output_tokens) for row in level.rows} == {(None, None, 0)}


def test_failed_requests_are_rows_too() -> None:
    """Pitfall B9b: the file's own error_rate is 0 here."""
    level = read_level(RECORDED / f"half_failed_{D.name}")
    statuses = [row.status for row in level.rows]
    assert statuses.count(RequestStatus.HTTP) == statuses.count(RequestStatus.OK) == 3
    assert {row.message for row in level.rows} == {"", '500 {"error":{"message":"boom"}}'}


def test_the_debug_file_of_a_level_without_success_is_read(tmp_path: Path) -> None:
    (tmp_path / "debug_for_run_D20_6_2.json").write_bytes((RECORDED / "debug_for_run_D20_6_2.json").read_bytes())
    level = find_level(tmp_path, "D(20,6)")
    assert level is not None
    assert level.duration_s == 0
    assert {(row.status, row.message) for row in level.rows} == {(RequestStatus.HTTP, "500 boom")}


def changed(folder: Path, **values: Any) -> Path:
    """The recorded file with values of its first row changed."""
    document = json.loads(D.read_text())
    document["individual_request_metrics"][0] |= values
    (folder / D.name).write_text(json.dumps(document))
    return folder / D.name


@pytest.mark.parametrize("name", ["ttft", "tpot", "e2e_latency", "num_input_tokens", "num_output_tokens"])
def test_one_null_leaves_out_only_itself(tmp_path: Path, name: str) -> None:
    """Pitfall B11b: the other fields of the row, and all other rows, are kept."""
    own = read_level(changed(tmp_path, **{name: None}), least_output_tokens=6).rows
    recorded = read_level(D).rows
    assert own[1:] == recorded[1:]
    assert own[0].status is RequestStatus.OK
    fields = ("ttft_ms", "tpot_ms", "e2e_ms", "input_tokens", "output_tokens")
    assert sum(getattr(own[0], field) != getattr(recorded[0], field) for field in fields) <= 1


def test_an_answer_that_is_too_short_is_a_failed_request(tmp_path: Path) -> None:
    rows = read_level(changed(tmp_path, num_output_tokens=5), least_output_tokens=6).rows
    assert [row.status for row in rows] == [RequestStatus.SHORT_OUTPUT, *[RequestStatus.OK] * 5]


def test_seconds_are_read_as_seconds(tmp_path: Path) -> None:
    document = json.loads(D.read_text())
    document["_time_unit"] = "s"
    (tmp_path / D.name).write_text(json.dumps(document))
    in_s, in_ms = read_level(tmp_path / D.name).rows[0], read_level(D).rows[0]
    assert in_s.e2e_ms == pytest.approx(1000 * (in_ms.e2e_ms or 0))


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"aggregated_metrics": {}, "individual_request_metrics": 3}'])
def test_a_broken_file_is_a_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / D.name).write_text(text)
    with pytest.raises(BenchmarkError, match=f"{D.name} of genai-bench cannot be read"):
        find_level(tmp_path, "D(20,6)")


def test_a_folder_without_results_has_no_level(tmp_path: Path) -> None:
    assert find_level(tmp_path, "D(20,6)") is None


def test_our_own_result_file_is_read_by_the_same_reader(engine: str, tmp_path: Path) -> None:
    measurement = Builtin().run(load_request(engine, tmp_path), log=Log(), stop=never)
    level = read_level(tmp_path / "result.json", least_output_tokens=8)
    assert level.duration_s == measurement.window_s
    assert len(level.rows) == measurement.completed == 8
    assert measurement.ttft_ms is not None
    ttfts = [row.ttft_ms or 0 for row in level.rows]
    assert sum(ttfts) / 8 == pytest.approx(measurement.ttft_ms["mean"])
    names = set(json.loads(D.read_text())["individual_request_metrics"][0])
    assert names <= set(json.loads((tmp_path / "result.json").read_text())["individual_request_metrics"][0])
