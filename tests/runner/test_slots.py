"""Slots: who may have which GPU, who else fills it, and what the engine is told of it."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from django.db import OperationalError
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from tests.fakes import nvml
from tests.runner.factories import experiment, living, processes_of, run, running, taken, task, with_gpus
from tuning.deployers import gpus
from tuning.errors import ConflictError
from tuning.models import Experiment, Slot, Task, Worker
from tuning.runner import dispatch, leases, repeating, slots
from tuning.runner.foreground import Progress
from tuning.runner.instance import instance_id
from tuning.runner.plans import Plans
from tuning.runner.task import advance
from tuning.runner.worker import WorkerProcess

pytestmark = pytest.mark.django_db(transaction=True)

Plug = Callable[..., None]


@pytest.fixture
def plug(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plug:
    """Puts GPUs into this machine: one for each list of the processes on it."""
    path = tmp_path / "gpus.json"
    monkeypatch.setenv(nvml.VARIABLE, str(path))
    monkeypatch.setattr(gpus, "pynvml", nvml)

    def plug(*processes: list[dict[str, Any]], **readings: Any) -> None:
        gpus = [{"uuid": f"GPU-{index}", "processes": each, **readings} for index, each in enumerate(processes)]
        nvml.write(path, gpus)

    return plug


@pytest.fixture
def foreigner() -> Iterator[psutil.Process]:
    """A process that is not ours."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield psutil.Process(process.pid)
    process.kill()
    process.communicate()


def _filled_by(process: psutil.Process) -> list[dict[str, Any]]:
    return [{"pid": process.pid, "used_mib": 40_000}]


def _devices(lease: leases.Lease | None) -> tuple[str, ...] | None:
    return lease.devices if lease else None


def test_slots_are_given_all_or_none(plug: Plug) -> None:
    """Pitfall A14a: half of what is needed is not held while the rest is waited for."""
    plug([], [], [])
    slots.register()
    one, other = with_gpus(), with_gpus()
    assert taken(experiment(one, gpus=2)).devices == ("0", "1")
    large = experiment(other, gpus=2)
    assert leases.take(large.pk, worker=living().pk) is None
    assert list(Slot.objects.exclude(claim="").values_list("device", flat=True)) == ["0", "1"]
    large.refresh_from_db()
    assert (large.status, large.attempt) == (Experiment.Status.PENDING, 0)


def test_a_gpu_that_somebody_else_fills_is_passed_over_and_shown_until_it_is_free(
    plug: Plug, foreigner: psutil.Process
) -> None:
    plug(_filled_by(foreigner), [])
    slots.register()
    assert taken(experiment(with_gpus(), gpus=1)).devices == ("1",)
    row = experiment(with_gpus(), gpus=1)
    assert leases.take(row.pk, worker=living().pk) is None
    assert str(foreigner.pid) in Slot.objects.get(index=0).foreign
    assert list(dispatch.startable()) == []

    foreigner.kill()
    foreigner.wait()

    assert list(dispatch.startable()) == [row]
    assert Slot.objects.get(index=0).foreign == ""
    assert taken(row).devices == ("0",)


def test_a_gpu_that_the_driver_has_lost_is_passed_over(plug: Plug) -> None:
    """Pitfall C3a: the others go on."""
    plug([], [])
    slots.register()
    plug([])
    row = experiment(with_gpus())
    experiment(with_gpus([1]))
    assert list(dispatch.startable()) == [row]
    assert [slot.foreign for slot in Slot.objects.all()] == ["", "the driver does not show it"]
    plug([], [])
    assert len(list(dispatch.startable())) == 2


def test_our_own_engine_is_nobody_else(plug: Plug, foreigner: psutil.Process) -> None:
    """What fills a GPU that is held is what was started on it."""
    plug([])
    slots.register()
    lease = taken(experiment(with_gpus()))
    plug(_filled_by(foreigner))
    slots.observe()
    assert Slot.objects.get().foreign == ""
    lease.finish(status=Experiment.Status.SUCCESS)


def test_an_engine_that_starts_while_its_gpu_is_looked_at_is_nobody_else(
    plug: Plug, foreigner: psutil.Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pitfall A14a: by then the slot is held."""
    plug([])
    slots.register()
    row = experiment(with_gpus())
    survey = slots.survey

    def meanwhile() -> gpus.Survey:
        monkeypatch.setattr(slots, "survey", survey)
        taken(row)
        plug(_filled_by(foreigner))
        return survey()

    monkeypatch.setattr(slots, "survey", meanwhile)
    slots.observe()
    assert Slot.objects.exclude(claim="").get().foreign == ""


def test_a_document_that_names_gpus_gets_no_others(plug: Plug) -> None:
    plug([], [], [])
    slots.register()
    rows = [experiment(with_gpus([2, 1]), gpus=1), experiment(with_gpus([1]), gpus=1), experiment(with_gpus(), gpus=1)]
    assert [_devices(leases.take(row.pk, worker=living().pk)) for row in rows] == [("1",), None, ("0",)]


def test_a_simulated_engine_takes_one_slot_whatever_its_world_size() -> None:
    slots.register()
    lease = taken(experiment(running(), gpus=8))
    assert Slot.objects.get().claim == lease.claim


def test_what_can_never_fit_fails_at_once_and_counts_as_no_failure_of_the_engine(settings: Settings) -> None:
    """Pitfall C4: no wait for GPUs that there are not, and no end of the task for want of them."""
    settings.AUTOTUNER_SLOTS = 2
    slots.register()
    one = with_gpus(budget={"max_failures": 2})
    document = one.document
    document["search_space"] = {"fixed": {}, "parameters": {"tensor-parallel-size": {"values": [4, 8, 16, 2]}}}
    document["max_parallel"] = 5
    Task.objects.update(document=document)

    advance(one.pk, Plans())

    rows = list(one.experiments.order_by("number"))
    assert [(row.gpus, row.status) for row in rows] == [
        (1, "pending"),
        (4, "failed"),
        (8, "failed"),
        (16, "failed"),
        (2, "pending"),
    ]
    assert {(row.reason, row.attempt) for row in rows[1:4]} == {("invalid_config", 0)}
    assert rows[1].message.startswith("It needs 4 GPUs, and no machine has more than 2")
    assert all(row.finished_at for row in rows[1:4])
    for row in (rows[0], rows[4]):
        taken(row).finish(status=Experiment.Status.SUCCESS)
    advance(one.pk, Plans())
    one.refresh_from_db()
    assert one.status == Task.Status.COMPLETED


def test_what_does_not_fit_any_more_fails_instead_of_waiting_for_ever(plug: Plug, settings: Settings) -> None:
    """GPUs may be taken out while a task is paused; one that is filled or lost may come back."""
    plug([], [])
    slots.register()
    row = experiment(with_gpus(), gpus=2)
    plug([])
    assert list(dispatch.startable()) == []
    row.refresh_from_db()
    assert row.status == Experiment.Status.PENDING
    settings.AUTOTUNER_GPUS = ["0"]
    slots.register()
    assert list(dispatch.startable()) == []
    row.refresh_from_db()
    assert (row.status, row.reason) == (Experiment.Status.FAILED, "invalid_config")


def test_an_engine_sees_the_devices_that_its_experiment_holds(plug: Plug) -> None:
    """Pitfall C6: read from the environment of the real process."""
    plug([], [], [])
    seen: list[tuple[str, str, list[str]]] = []

    def look(now: Progress) -> None:
        if now.phase.startswith("load"):
            (engine,) = processes_of(instance_id(), "engine")
            held = list(Slot.objects.filter(claim=now.experiment.claim).values_list("device", flat=True))
            seen.append((engine.environ()["CUDA_VISIBLE_DEVICES"], engine.environ()["CUDA_DEVICE_ORDER"], held))

    run(task(deployment={"mode": "local", "gpus": [2]}), progress=look)
    run(task(name="another"), progress=look)
    assert seen == [("2", "PCI_BUS_ID", ["2"]), ("0", "PCI_BUS_ID", ["0"])]
    assert not Slot.objects.exclude(claim="").exists()


def test_a_task_that_waits_for_its_gpu_keeps_no_other_task_from_a_free_one(
    plug: Plug, foreigner: psutil.Process
) -> None:
    """Pitfall A13: not after the longest wait either, when what is free would not help it."""
    plug(_filled_by(foreigner), [])
    slots.register()
    long_ago = timezone.now() - 10 * dispatch.PATIENCE
    experiment(with_gpus([0]), created_at=long_ago)
    experiment(with_gpus(), gpus=2, created_at=long_ago)
    small = experiment(with_gpus())
    assert list(dispatch.startable()) == [small]


@pytest.mark.parametrize(("waited", "passes"), [(timedelta(0), True), (2 * dispatch.PATIENCE, False)])
def test_small_experiments_pass_a_large_one_for_a_while_only(
    settings: Settings, waited: timedelta, passes: bool
) -> None:
    settings.AUTOTUNER_SLOTS = 3
    slots.register()
    holder = taken(experiment(with_gpus()))
    large = experiment(with_gpus(), gpus=3, created_at=timezone.now() - waited)
    small = experiment(with_gpus())
    assert list(dispatch.startable()) == ([small] if passes else [])
    holder.finish(status=Experiment.Status.SUCCESS)
    assert next(dispatch.startable()) == large


def test_slots_that_are_no_more_go_unless_they_are_held(settings: Settings) -> None:
    settings.AUTOTUNER_SLOTS = 3
    slots.register()
    lease = taken(experiment(running()))
    Slot.objects.filter(claim=lease.claim).update(claim="")
    Slot.objects.filter(index=2).update(claim=lease.claim)
    settings.AUTOTUNER_SLOTS = 1
    assert [slot.index for slot in slots.register()] == [0, 2]
    lease.finish(status=Experiment.Status.SUCCESS)
    assert [slot.index for slot in slots.register()] == [0]


def test_a_gpu_that_is_named_and_not_there_is_told_in_a_sentence(plug: Plug, settings: Settings) -> None:
    """Pitfall C3b."""
    plug([])
    settings.AUTOTUNER_GPUS = ["0", "7"]
    with pytest.raises(ConflictError, match="AUTOTUNER_GPUS: there is no GPU 7"):
        slots.register()
    assert not Slot.objects.exists()
    assert "CUDA_VISIBLE_DEVICES" not in os.environ


READINGS = ("used_mib", "memory_mib", "utilisation_percent", "temperature_c", "power_w")
UNKNOWN = (None,) * 5


def _readings() -> list[tuple[Any, ...]]:
    return list(Slot.objects.values_list(*READINGS))


def _until(reached: Callable[[], Any]) -> None:
    give_up = threading.Event()
    timer = threading.Timer(60, give_up.set)
    timer.start()
    try:
        while not reached():
            assert not give_up.is_set()
    finally:
        timer.cancel()


def _threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("gpu")]


def test_what_the_gpus_are_doing_is_kept_with_their_slots(plug: Plug) -> None:
    """Held or free, and of this machine only; nobody's claim is touched."""
    Slot.objects.create(node="elsewhere", index=0, gpu=0, device="0", used_mib=1)
    plug([], [], used_mib=600, utilisation_percent=0, temperature_c=31, power_w=71.5)
    here = slots.register()
    mine = Slot.objects.exclude(node="elsewhere")
    assert list(mine.values_list(*READINGS)) == [(600, 81559, 0.0, 31.0, 71.5)] * 2
    lease = taken(experiment(with_gpus()))
    plug([], [], used_mib=71000, utilisation_percent=97, temperature_c=66, power_w=640.25)
    slots.read()
    assert list(mine.values_list(*READINGS)) == [(71000, 81559, 97.0, 66.0, 640.25)] * 2
    assert [slot.claim for slot in mine] == [lease.claim, ""]
    assert all(after.read_at > before.read_at for before, after in zip(here, mine, strict=True))
    other = Slot.objects.get(node="elsewhere")
    assert (other.used_mib, other.memory_mib, other.read_at) == (1, None, None)
    lease.finish(status=Experiment.Status.SUCCESS)


def test_what_the_driver_does_not_tell_any_more_is_not_kept(plug: Plug) -> None:
    plug([], [], temperature_c=31)
    slots.register()
    plug([], memory_mib=None, utilisation_percent=None, temperature_c=None, power_w=None)
    slots.read()
    assert _readings() == [UNKNOWN] * 2
    assert all(Slot.objects.values_list("read_at", flat=True))


def test_a_machine_that_has_lost_its_gpus_has_no_readings(plug: Plug, settings: Settings) -> None:
    plug([])
    slots.register()
    settings.AUTOTUNER_GPUS = ["none"]
    slots.register()
    assert _readings() == [UNKNOWN]
    assert Slot.objects.get().read_at is None


def test_without_gpus_nothing_is_read_and_no_thread_waits(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    slots.register()
    with django_assert_num_queries(1):
        slots.read()
    with slots.watched():
        assert _threads() == []
    assert Slot.objects.get().read_at is None


def test_a_worker_reads_the_gpus_again_and_again(plug: Plug, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that refuses once costs one reading; the thread is gone with the worker."""
    monkeypatch.setattr(slots, "READ_EVERY_S", 0.01)
    plug([], power_w=70)
    read, refused = slots.read, threading.Event()

    def refuse() -> None:
        monkeypatch.setattr(slots, "read", read)
        refused.set()
        raise OperationalError("database is locked")

    with WorkerProcess(Worker.Kind.WORKER):
        assert _threads() == ["gpu readings"]
        monkeypatch.setattr(slots, "read", refuse)
        assert refused.wait(60)
        plug([], power_w=650)
        _until(lambda: Slot.objects.get().power_w == 650)
    assert _threads() == []


def test_a_driver_that_hangs_keeps_no_worker_from_living_and_ending(
    plug: Plug, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    settings.AUTOTUNER_LEASE_S = 1
    monkeypatch.setattr(slots, "READ_EVERY_S", 0.01)
    monkeypatch.setattr(repeating, "PATIENCE_S", 0.1)
    plug([])
    hangs, goes_on = threading.Event(), threading.Event()

    def hang() -> None:
        hangs.set()
        assert goes_on.wait(60)

    monkeypatch.setattr(slots, "read", hang)
    with WorkerProcess(Worker.Kind.WORKER):
        assert hangs.wait(60)
        before = Worker.objects.get().lease_until
        _until(lambda: Worker.objects.get().lease_until > before)
    assert _threads() == ["gpu readings"]
    goes_on.set()
    _until(lambda: _threads() == [])
