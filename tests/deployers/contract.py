"""What every deployer promises, whatever it deploys to. A deployer's test file subclasses DeployerContract.

The simulated engine shows the failures; a `Harness` hides where it runs.
"""

import itertools
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol

import pytest

from tuning.deployers.base import Deployer, Deployment, DeployRequest
from tuning.errors import Cancelled, DeployError, EngineDied, Reason

FAST = {"simulate-time-scale": 0.02, "simulate-startup-s": 0.1}


class Lines:
    """A log sink that keeps what it gets."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def __call__(self, level: str, line: str) -> None:
        self.lines.append((level, line))

    @property
    def text(self) -> str:
        return "\n".join(line for _, line in self.lines)


class Harness(Protocol):
    """One place to deploy to, for tests."""

    def deployer(self) -> Deployer:
        """A new deployer, as another process would have it."""
        ...

    def request(self, parameters: dict[str, Any], **engine: Any) -> DeployRequest:
        """A request for the simulated engine."""
        ...

    def next_experiment(self, request: DeployRequest) -> DeployRequest:
        """The same request for another experiment."""
        ...

    def similar_instance(self, request: DeployRequest) -> DeployRequest:
        """The same request of an instance whose name begins as ours does."""
        ...

    def orphan(self, request: DeployRequest) -> dict[str, Any]:
        """Deploy in another process, wait until it serves, end that process by SIGKILL; the handle, and `url`."""
        ...

    def foreign(self) -> AbstractContextManager[Callable[[], bool]]:
        """Something that looks like an engine of ours and bears no mark; whether it lives."""
        ...

    def leftovers(self) -> list[str]:
        """What is still there of anything deployed in this test."""
        ...

    def kill(self, deployment: Deployment) -> None:
        """End the engine by force, behind the deployer's back."""
        ...


def nothing() -> None:
    """A stop check that lets everything go on."""


def until(condition: Callable[[], object], limit_s: float = 30) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.01)


def answers(url: str) -> bool:
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=5) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


class DeployerContract:
    """The promises, as tests."""

    def test_an_engine_serves_until_it_is_removed(self, harness: Harness) -> None:
        lines, deployer = Lines(), harness.deployer()
        deployment = deployer.deploy(harness.request(FAST), log=lines, stop=nothing)
        deployer.wait_ready(deployment, limit_s=60, stop=nothing)
        deployment.check()
        assert answers(deployment.base_url + "/health")
        deployer.remove(deployment.handle, grace_s=10)
        assert not answers(deployment.base_url + "/health")
        assert harness.leftovers() == []
        assert "Application startup complete" in lines.text

    def test_another_process_can_remove_it_by_its_handle_and_again(self, harness: Harness) -> None:
        """Pitfall A10: whoever continues after a crash has only the handle."""
        deployment = harness.deployer().deploy(harness.request(FAST), log=Lines(), stop=nothing)
        handle = json.loads(json.dumps(dict(deployment.handle)))
        for _ in range(2):
            harness.deployer().remove(handle, grace_s=10)
            assert harness.leftovers() == []

    def test_deploying_the_same_attempt_again_leaves_one_engine(self, harness: Harness) -> None:
        deployer = harness.deployer()
        deployer.deploy(harness.request(FAST), log=Lines(), stop=nothing)
        second = deployer.deploy(harness.request(FAST), log=Lines(), stop=nothing)
        deployer.wait_ready(second, limit_s=60, stop=nothing)
        deployer.remove(second.handle, grace_s=10)
        assert harness.leftovers() == []

    @pytest.mark.parametrize(
        ("parameters", "reason", "words"),
        [
            ({"no-such-flag": 1}, Reason.INVALID_CONFIG, "unrecognized arguments"),
            ({"max-num-seqs": 64, "max-num-batched-tokens": 8}, Reason.INVALID_CONFIG, "max_num_batched_tokens"),
            ({"simulate-failure": "startup-oom"}, Reason.OUT_OF_MEMORY, "memory"),
            ({"simulate-failure": "crash-at-start"}, Reason.ENGINE_CRASHED, ""),
        ],
    )
    def test_a_failed_start_is_told_at_once_with_reason_and_line(
        self, harness: Harness, parameters: dict[str, Any], reason: Reason, words: str
    ) -> None:
        """Engine facts 11.3: an engine that ends fails at once, not after the limit."""
        deployer = harness.deployer()
        deployment = deployer.deploy(harness.request({**FAST, **parameters}), log=Lines(), stop=nothing)
        with pytest.raises(DeployError) as caught:
            deployer.wait_ready(deployment, limit_s=3600, stop=nothing)
        assert caught.value.reason is reason
        assert words in str(caught.value)
        deployer.remove(deployment.handle, grace_s=10)
        assert harness.leftovers() == []

    @pytest.mark.parametrize("parameters", [{"simulate-failure": "hang-at-start"}, {"simulate-slow-start-s": 3600}])
    def test_a_start_beyond_its_limit_says_so(self, harness: Harness, parameters: dict[str, Any]) -> None:
        """Pitfalls A7, A8: a limit of its own with a reason of its own, and what hangs is taken away."""
        deployer = harness.deployer()
        deployment = deployer.deploy(harness.request({**FAST, **parameters}), log=Lines(), stop=nothing)
        with pytest.raises(DeployError, match=r"not ready after 1.5 s; the last line of its log is: .") as caught:
            deployer.wait_ready(deployment, limit_s=1.5, stop=nothing)
        assert caught.value.reason is Reason.STARTUP_TIMEOUT
        deployer.remove(deployment.handle, grace_s=10)
        assert harness.leftovers() == []

    def test_a_wish_to_stop_is_heard_while_an_engine_starts(self, harness: Harness) -> None:
        """Pitfall A6a: cancelling ends the wait within a second or two, and nothing is left."""
        asked: list[float] = []

        def stop() -> None:
            """The wish comes while the wait is under way."""
            calls.append(time.monotonic())
            if len(calls) > 5:
                asked.append(calls[-1])
                raise Cancelled("asked to stop")

        calls: list[float] = []
        deployer = harness.deployer()
        request = harness.request({**FAST, "simulate-slow-start-s": 3600})
        deployment = deployer.deploy(request, log=Lines(), stop=nothing)
        with pytest.raises(Cancelled):
            deployer.wait_ready(deployment, limit_s=3600, stop=stop)
        assert time.monotonic() - asked[0] < 1
        assert max(after - before for before, after in itertools.pairwise(calls)) < 2
        deployer.remove(deployment.handle, grace_s=10)
        assert harness.leftovers() == []

    def test_an_engine_that_ends_by_itself_is_noticed(self, harness: Harness) -> None:
        deployer = harness.deployer()
        deployment = deployer.deploy(harness.request(FAST), log=Lines(), stop=nothing)
        deployer.wait_ready(deployment, limit_s=60, stop=nothing)
        deployment.check()
        harness.kill(deployment)
        with pytest.raises(EngineDied) as caught:
            deployment.check()
        assert caught.value.reason is Reason.ENGINE_CRASHED
        deployer.remove(deployment.handle, grace_s=10)
        assert harness.leftovers() == []

    def test_proxies_are_not_asked(self, harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
        """Pitfall C5a: HTTP_PROXY names a dead address."""
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, "http://127.0.0.1:9")
        deployer = harness.deployer()
        deployment = deployer.deploy(harness.request(FAST), log=Lines(), stop=nothing)
        deployer.wait_ready(deployment, limit_s=60, stop=nothing)
        deployer.remove(deployment.handle, grace_s=10)

    def test_two_engines_run_side_by_side_with_logs_of_their_own(self, harness: Harness) -> None:
        """Pitfalls A6b, A12a, A14b: names, logs and ports do not meet."""
        deployer = harness.deployer()
        logs = [Lines(), Lines()]
        requests = [harness.request({**FAST, "max-num-seqs": seqs}) for seqs in (3, 5)]
        requests[1] = harness.next_experiment(requests[1])
        pairs = zip(requests, logs, strict=True)
        deployments = [deployer.deploy(request, log=log, stop=nothing) for request, log in pairs]
        for deployment in deployments:
            deployer.wait_ready(deployment, limit_s=60, stop=nothing)
        assert len({deployment.base_url for deployment in deployments}) == 2
        deployer.remove(deployments[0].handle, grace_s=10)
        assert not answers(deployments[0].base_url + "/health")
        assert answers(deployments[1].base_url + "/health")
        deployer.remove(deployments[1].handle, grace_s=10)
        for log in logs:
            assert log.text.count("Application startup complete") == 1
        assert harness.leftovers() == []

    def test_what_was_started_is_listed_until_it_is_removed(self, harness: Harness) -> None:
        """Pitfall A10: what was started can be found by its marks, in whatever state it is."""
        deployer, request = harness.deployer(), harness.request({**FAST, "simulate-slow-start-s": 3600})
        owner = request.owner
        assert deployer.started(owner.instance) == []
        deployment = deployer.deploy(request, log=Lines(), stop=nothing)
        [leftover] = harness.deployer().started(owner.instance)
        assert leftover.owner == owner
        assert leftover.what
        deployer.remove(deployment.handle, grace_s=0)
        assert deployer.started(owner.instance) == []

    def test_what_hangs_is_found_and_removed_by_its_marks_alone(self, harness: Harness) -> None:
        """Pitfall A7: the clean-up needs no name and no object of the start."""
        request = harness.request({**FAST, "simulate-failure": "hang-at-start"})
        deployment = harness.deployer().deploy(request, log=Lines(), stop=nothing)
        [leftover] = harness.deployer().started(request.owner.instance)
        harness.deployer().remove(json.loads(json.dumps(dict(leftover.handle))), grace_s=0)
        with pytest.raises(EngineDied):
            deployment.check()
        assert harness.leftovers() == []

    def test_leftovers_are_listed_by_experiment(self, harness: Harness) -> None:
        deployer, first = harness.deployer(), harness.request(FAST)
        requests = [harness.next_experiment(first), first]
        deployments = [deployer.deploy(request, log=Lines(), stop=nothing) for request in requests]
        found = deployer.started(first.owner.instance)
        assert [leftover.owner for leftover in found] == [request.owner for request in reversed(requests)]
        for deployment in deployments:
            deployer.remove(deployment.handle, grace_s=0)

    def test_an_engine_of_another_instance_is_neither_listed_nor_touched(self, harness: Harness) -> None:
        """Pitfall A10: two installations on one machine leave each other alone."""
        deployer, request = harness.deployer(), harness.request(FAST)
        other = harness.similar_instance(request)
        ours, theirs = (deployer.deploy(each, log=Lines(), stop=nothing) for each in (request, other))
        deployer.wait_ready(theirs, limit_s=60, stop=nothing)
        assert [found.owner for found in deployer.started(request.owner.instance)] == [request.owner]
        for leftover in deployer.started(request.owner.instance):
            deployer.remove(leftover.handle, grace_s=0)
        deployer.remove(ours.handle, grace_s=0)
        deployer.remove(deployer.handle_of(request.owner), grace_s=0)
        theirs.check()
        assert answers(theirs.base_url + "/health")
        deployer.remove(theirs.handle, grace_s=0)
        assert harness.leftovers() == []

    def test_an_orphan_is_found_and_removed_by_another_process(self, harness: Harness) -> None:
        """Pitfall A10: the worker that started the engine was killed by SIGKILL."""
        request = harness.request(FAST)
        orphan = harness.orphan(request)
        assert answers(orphan["url"] + "/health")
        [leftover] = harness.deployer().started(request.owner.instance)
        assert leftover.owner == request.owner
        harness.deployer().remove(leftover.handle, grace_s=5)
        assert not answers(orphan["url"] + "/health")
        assert harness.leftovers() == []

    def test_what_only_looks_like_ours_stays(self, harness: Harness) -> None:
        """Pitfall A10: a foreign engine with the same name is untouched."""
        deployer, request = harness.deployer(), harness.request(FAST)
        with harness.foreign() as lives:
            deployment = deployer.deploy(request, log=Lines(), stop=nothing)
            [leftover] = deployer.started(request.owner.instance)
            deployer.remove(leftover.handle, grace_s=0)
            deployer.remove(deployment.handle, grace_s=0)
            assert lives()
