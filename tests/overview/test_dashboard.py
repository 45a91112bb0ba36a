"""What the dashboard reads: what runs, on what, and what came out and failed lately."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from tests.runner.factories import experiment, running, task
from tuning.models import Experiment, Slot, Task
from tuning.overview import dashboard, timeline
from tuning.overview.timeline import LATELY, MOST_BARS, MOST_LANES

pytestmark = pytest.mark.django_db

Status = Experiment.Status


def _ended(number: int, one: Task, hours: float = 1.0, minutes: float = 10.0, **columns: Any) -> Experiment:
    at = timezone.now() - timedelta(hours=hours)
    times = {"started_at": at - timedelta(minutes=minutes), "finished_at": at, "total_s": 60 * minutes}
    return experiment(one, number, **{**times, **columns})


def test_a_running_task_says_how_long_it_will_take_and_a_paused_one_does_not() -> None:
    one, other = (running(name=name, parameters={"max-num-seqs": [1, 2, 3]}) for name in ("one", "other"))
    for each in (one, other):
        _ended(1, each, status=Status.SUCCESS, feasible=True)
    Task.objects.filter(pk=other.pk).update(status=Task.Status.PAUSED)
    left = {each.line.task: each.left_s for each in dashboard.under_way().tasks}
    assert left == {one: 1800, other: None}


def test_tasks_that_do_not_run_are_not_under_way() -> None:
    task()
    assert dashboard.under_way() == dashboard.UnderWay((), is_cut=False)
    assert not dashboard.is_new()


def test_more_tasks_than_are_shown_are_told() -> None:
    for number in range(dashboard.MOST_TASKS + 1):
        running(name=f"task {number}")
    found = dashboard.under_way()
    assert (len(found.tasks), found.is_cut) == (dashboard.MOST_TASKS, True)


def test_a_slot_says_who_has_it_and_what_its_gpu_does() -> None:
    row = experiment(running(), status=Status.BENCHMARKING, claim="held")
    Slot.objects.create(node="here", index=0, gpu=3, name="H100", claim="held", used_mib=40960, memory_mib=81920)
    Slot.objects.create(node="here", index=1, foreign="process 7")
    Slot.objects.create(node="here", index=2)
    found = dashboard.slots()
    assert (found.total, found.free, found.more) == (3, 1, 0)
    assert [line.holder for line in found.lines] == [row, None, None]
    assert [line.title for line in found.lines] == ["GPU 3: H100", "Slot 1", "Slot 2"]
    assert (found.lines[0].memory_percent, found.lines[0].memory_gib) == (50.0, (40.0, 80.0))
    assert (found.lines[1].memory_percent, found.lines[1].memory_gib) == (None, None)


@pytest.mark.parametrize(("used", "there_is"), [(None, 81920), (5, None), (5, 0)])
def test_a_gpu_that_was_not_read_has_no_share(used: int | None, there_is: int | None) -> None:
    line = dashboard.SlotLine(Slot(gpu=0, used_mib=used, memory_mib=there_is), None)
    assert (line.memory_percent, line.memory_gib, line.title) == (None, None, "GPU 0")


def test_a_reading_that_is_old_is_told_from_a_new_one() -> None:
    now = timezone.now()
    ages = (None, timedelta(0), 2 * dashboard.STALE)
    slots = [Slot(read_at=None if age is None else now - age) for age in ages]
    assert [dashboard.SlotLine(slot, None).is_stale for slot in slots] == [False, False, True]


def test_many_slots_are_shown_in_part() -> None:
    Slot.objects.bulk_create(Slot(node="here", index=index) for index in range(dashboard.MOST_SLOTS + 4))
    found = dashboard.slots()
    assert (len(found.lines), found.total, found.free, found.more) == (dashboard.MOST_SLOTS, 20, 20, 4)


def test_outcomes_are_those_of_the_last_24_hours() -> None:
    one = running()
    _ended(1, one, status=Status.SUCCESS)
    _ended(2, one, hours=25, status=Status.SUCCESS)
    _ended(3, one, status=Status.FAILED, reason="out_of_memory")
    _ended(4, one, status=Status.CANCELLED)
    assert dashboard.outcomes_lately() == {"success": 1, "failed": 1}


def test_failures_are_counted_by_reason_with_the_one_that_ended_last() -> None:
    one = running()
    _ended(1, one, hours=1, status=Status.FAILED, reason="out_of_memory")
    _ended(2, one, hours=3, status=Status.FAILED, reason="out_of_memory")
    _ended(3, one, hours=2, status=Status.FAILED, reason="pull_failed")
    _ended(4, one, hours=30, status=Status.FAILED, reason="engine_crashed")
    found = [(failure.words, failure.count, failure.latest.number) for failure in dashboard.failures()]
    assert found == [("Out of memory", 2, 1), ("Pull failed", 1, 3)]


def test_totals_count_everything_there_is() -> None:
    assert dashboard.is_new()
    one = running()
    _ended(1, one, hours=300, status=Status.SUCCESS)
    _ended(2, one, hours=300, status=Status.FAILED, reason="out_of_memory")
    experiment(one, 3)
    assert dashboard.totals() == {"tasks": 1, "experiments": 3, "success": 1, "failed": 1}


def test_the_disk_is_that_of_the_data_folder() -> None:
    disk = dashboard.disk()
    assert 0 < disk.used_bytes <= disk.total_bytes
    assert 0 <= disk.percent <= 100


def test_the_timeline_has_a_bar_for_each_experiment_at_its_time() -> None:
    """Pitfall E4b."""
    one = running()
    _ended(1, one, hours=12, status=Status.SUCCESS, feasible=False)
    _ended(2, one, hours=30, status=Status.SUCCESS)
    _ended(3, one, hours=23, minutes=120, status=Status.FAILED)
    experiment(one, 4, status=Status.DEPLOYING, started_at=timezone.now() - timedelta(hours=1))
    drawn = timeline.timeline()
    (lane,) = drawn.lanes
    bars = {bar.number: bar for bar in lane.bars}
    assert list(bars) == [3, 1, 4]
    assert (drawn.hours, drawn.count, drawn.is_cut) == (24, 3, False)
    assert bars[1].start + bars[1].length == pytest.approx(50, abs=1)
    assert bars[3].start == 0
    assert bars[4].start + bars[4].length == pytest.approx(100)
    assert lane.said == "1 infeasible, 1 failed, 1 running"


@pytest.mark.parametrize(("hours", "span"), [(0.5, 1), (2, 3), (5, 6), (11, 12), (13, 24)])
def test_the_timeline_is_as_long_as_what_it_shows(hours: float, span: int) -> None:
    _ended(1, running(), hours=hours, status=Status.SUCCESS, feasible=True)
    drawn = timeline.timeline()
    assert drawn.hours == span
    assert 2 <= len(drawn.ticks) <= 5
    assert all(0 <= tick.x <= 100 for tick in drawn.ticks)
    assert any(tick.is_labelled for tick in drawn.ticks)


def test_a_short_experiment_can_be_seen_and_none_leaves_the_picture() -> None:
    one = running()
    _ended(1, one, hours=0, minutes=0.01, status=Status.SUCCESS, feasible=True)
    _ended(2, one, hours=23.99, minutes=0.01, status=Status.SUCCESS, feasible=True)
    (lane,) = timeline.timeline().lanes
    for bar in lane.bars:
        assert bar.length >= timeline.SHORTEST
        assert 0 <= bar.start <= bar.start + bar.length <= 100


def test_a_timeline_that_is_cut_says_so() -> None:
    one = running()
    for number in range(1, MOST_BARS + 3):
        _ended(number, one, status=Status.FAILED, reason="out_of_memory")
    drawn = timeline.timeline()
    assert (drawn.count, drawn.is_cut) == (MOST_BARS, True)


def test_the_latest_tasks_have_a_lane() -> None:
    tasks = [running(name=f"task {number}") for number in range(MOST_LANES + 1)]
    for one in tasks:
        _ended(1, one, status=Status.SUCCESS, feasible=True)
    drawn = timeline.timeline()
    assert [lane.task for lane in drawn.lanes] == [one.pk for one in tasks[:0:-1]]
    assert drawn.is_cut
    assert drawn.lanes[0].title == f"task {MOST_LANES}"


def test_without_experiments_there_is_nothing_to_draw() -> None:
    experiment(running(), 1)
    _ended(2, running(), hours=LATELY.total_seconds() / 3600 + 1, status=Status.SUCCESS)
    assert timeline.timeline() == timeline.Timeline()
