"""Which experiment begins next: tasks share the machine, and none is forgotten."""

import threading
from itertools import groupby

import pytest
from pytest_django.fixtures import Settings

from tests.runner.factories import experiment, living, run, running, taken, task
from tuning.models import Experiment, Task
from tuning.runner import clock, dispatch, slots
from tuning.runner.foreground import Progress
from tuning.runner.leases import Lease
from tuning.runner.plans import Plans

pytestmark = pytest.mark.django_db(transaction=True)


def _turns(tasks: list[Task], count: int) -> list[int]:
    """Of which task each of the next experiments is, when always the oldest ends as soon as no other can begin."""
    plans = Plans()
    order: list[int] = []
    held: list[Lease] = []
    while len(order) < count:
        begun: list[int] = []
        dispatch.go_on([one.pk for one in tasks], plans, begun.append)
        for pk in begun:
            held.append(taken(Experiment.objects.get(pk=pk)))
            order.append(held[-1].experiment.task_id)
        assert held
        held.pop(0).finish(status=Experiment.Status.SUCCESS, value=1.0)
    for lease in held:
        lease.finish(status=Experiment.Status.SUCCESS, value=1.0)
    return order


def _two_tasks(max_parallel: int = 1) -> list[Task]:
    space = {"max-num-seqs": {"min": 1, "max": 40}}
    return [running(parameters=space, name=name, max_parallel=max_parallel) for name in ("one", "two")]


def test_two_tasks_that_share_a_slot_take_turns() -> None:
    slots.register()
    tasks = _two_tasks()
    order = _turns(tasks, 10)
    assert [len(list(turn)) for _, turn in groupby(order)] == [1] * 10


def test_two_greedy_tasks_share_two_slots_half_and_half(settings: Settings) -> None:
    settings.AUTOTUNER_SLOTS = 2
    slots.register()
    tasks = _two_tasks(max_parallel=4)
    order = _turns(tasks, 12)
    assert abs(order.count(tasks[0].pk) - order.count(tasks[1].pk)) <= 1


def test_a_task_whose_first_experiments_are_tried_again_is_not_always_first() -> None:
    """The order is by when a task was served last, not by what its latest number says."""
    slots.register()
    again, other = _two_tasks()
    for number in range(1, 10):
        status = Experiment.Status.PENDING if number < 5 else Experiment.Status.SUCCESS
        experiment(again, number, status=status)
    order = _turns([other], 6)
    assert [len(list(turn)) for _, turn in groupby(order)] == [1] * 6


def test_a_task_that_was_served_before_the_machine_was_started_again_is_not_last() -> None:
    """The clock of leases begins anew then."""
    slots.register()
    old, new = _two_tasks()
    Task.objects.filter(pk=old.pk).update(ticked=clock.reading() + 1e6)
    Task.objects.filter(pk=new.pk).update(ticked=clock.reading())
    first = experiment(old)
    experiment(new)
    assert list(dispatch.startable()) == [first]


def test_no_more_are_begun_than_a_task_wants_and_the_machine_has(settings: Settings) -> None:
    settings.AUTOTUNER_SLOTS = 3
    slots.register()
    one, two = _two_tasks(max_parallel=2)
    for number in range(1, 6):
        experiment(one, number)
        experiment(two, number)
    begun = list(dispatch.startable())
    assert [row.task_id for row in begun] == [one.pk, two.pk, one.pk]
    assert [row.number for row in begun] == [1, 1, 2]
    taken(begun[0])
    assert [(row.task_id, row.number) for row in dispatch.startable()] == [(two.pk, 1), (two.pk, 2)]


def test_background_and_foreground_keep_their_tasks_apart(settings: Settings) -> None:
    """Pitfall A6b."""
    settings.AUTOTUNER_SLOTS = 2
    slots.register()
    one, two = _two_tasks()
    Task.objects.filter(pk=two.pk).update(worker=living())
    background, foreground = experiment(one), experiment(two)
    assert list(dispatch.startable()) == [background]
    assert list(dispatch.startable(worker=living().pk)) == [foreground]


def test_as_many_experiments_run_at_the_same_time_as_the_task_says_and_never_more(settings: Settings) -> None:
    """Pitfall A12a: three engines are loaded at once, and each has lines of its own only."""
    settings.AUTOTUNER_SLOTS = 4
    one = task({"max-num-seqs": [4, 8, 16, 32, 64]}, max_parallel=3)
    together = threading.Barrier(3)
    active: list[int] = []

    def meet(now: Progress) -> None:
        if now.phase.startswith("load"):
            active.append(Experiment.objects.filter(status__in=Experiment.ACTIVE).count())
            together.wait(timeout=60)

    rows = run(one, progress=meet)

    assert [row.status for row in rows] == ["success"] * 6
    assert max(active) == 3
    for row in rows[1:]:
        engine = [line.text for line in row.log_lines.filter(source="engine")]
        own = row.command[row.command.index("--port") + 1]
        assert any(f":{own}" in text for text in engine)
        ports = {other.command[other.command.index("--port") + 1] for other in rows} - {own}
        assert not any(f":{port}" in text for port in ports for text in engine)
