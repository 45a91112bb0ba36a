"""The systemd units in deploy/: systemd accepts them, their commands work, and they run as nobody special."""

import re
import shlex
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from tests.serving.conftest import CSS, PROJECT, Stage, status
from tuning.management.commands.serve import WEB_GRACE_S, WORKER_GRACE_S

UNITS = sorted((PROJECT / "deploy").glob("*.service"))
WEB, WORKER = (PROJECT / "deploy" / f"inference-autotuner-{name}.service" for name in ("web", "worker"))
INSTALLED = "/opt/inference-autotuner"
KEYS = {
    "Unit": {"Description", "Documentation", "After", "Wants"},
    "Service": {
        *("Type", "User", "WorkingDirectory", "EnvironmentFile", "ExecStart", "Restart", "RestartSec", "KillMode"),
        *("TimeoutStopSec", "UMask", "CapabilityBoundingSet", "NoNewPrivileges", "ProtectSystem", "PrivateTmp"),
        *("ProtectControlGroups", "ProtectKernelModules", "ProtectKernelTunables", "LockPersonality", "OOMPolicy"),
        *("RestrictRealtime", "RestrictSUIDSGID", "RestrictAddressFamilies", "SystemCallArchitectures"),
        *("LimitNOFILE", "LimitMEMLOCK", "TasksMax"),
    },
    "Install": {"WantedBy"},
}
IMPLY_NO_NEW_PRIVILEGES = {
    *("NoNewPrivileges", "PrivateDevices", "ProtectKernelTunables", "ProtectKernelModules", "ProtectKernelLogs"),
    *("ProtectClock", "ProtectHostname", "MemoryDenyWriteExecute", "RestrictRealtime", "RestrictSUIDSGID"),
    *("RestrictNamespaces", "RestrictAddressFamilies", "LockPersonality", "DynamicUser", "SystemCallFilter"),
    *("SystemCallArchitectures",),
}


def sections(unit: Path) -> dict[str, dict[str, str]]:
    """Section -> key -> value."""
    found: dict[str, dict[str, str]] = {}
    for line in unit.read_text().splitlines():
        if heading := re.fullmatch(r"\[(\w+)\]", line):
            section = found.setdefault(heading[1], {})
        elif line and not line.startswith("#"):
            key, _, value = line.partition("=")
            assert key not in section, f"{unit.name}: {key} twice"
            section[key] = value
    return found


def command(unit: Path) -> tuple[str, ...]:
    """What the unit runs, in this checkout."""
    return tuple(shlex.split(sections(unit)["Service"]["ExecStart"].replace(INSTALLED, str(PROJECT))))


def test_there_is_a_unit_for_the_web_server_and_one_for_the_worker() -> None:
    assert UNITS == [WEB, WORKER]


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.stem)
def test_a_unit_has_only_keys_that_systemd_knows(unit: Path) -> None:
    for section, keys in sections(unit).items():
        assert set(keys) <= KEYS[section]


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.stem)
def test_systemd_accepts_a_unit(unit: Path, tmp_path: Path) -> None:
    """Where systemd is not installed, what must be there and makes sense is looked at."""
    service = sections(unit)["Service"]
    assert set(sections(unit)) == {"Unit", "Service", "Install"}
    assert service["Type"] in {"notify", "exec"}
    assert Path(service["ExecStart"].split()[0]).is_relative_to(service["WorkingDirectory"])
    if analyze := shutil.which("systemd-analyze"):
        copy = tmp_path / unit.name
        copy.write_text(unit.read_text().replace(INSTALLED, str(PROJECT)))
        done = subprocess.run([analyze, "verify", copy], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize(("unit", "grace_s"), [(WEB, WEB_GRACE_S), (WORKER, WORKER_GRACE_S)])
def test_a_unit_runs_as_a_plain_user_and_leaves_time_to_end(unit: Path, grace_s: float) -> None:
    """Pitfall C11: only the first process is asked to end, and it may take longer than it ever does."""
    service = sections(unit)["Service"]
    assert service["User"] not in ("", "root", "0")
    assert (service["KillMode"], service["Restart"]) == ("mixed", "on-failure")
    assert int(service["RestartSec"]) >= 1
    assert int(service["TimeoutStopSec"]) > grace_s
    assert "--reload" not in service["ExecStart"]
    assert not {"StandardOutput", "StandardError"} & set(service)


def test_the_worker_may_use_gpus_and_survives_an_engine_that_runs_out_of_memory() -> None:
    service = sections(WORKER)["Service"]
    assert not IMPLY_NO_NEW_PRIVILEGES & set(service)
    assert service["OOMPolicy"] == "continue"


def test_the_command_of_the_web_unit_reports_itself_ready_answers_and_ends(stage: Stage) -> None:
    """Pitfall D1: the unit listens on loopback, too."""
    with socket.create_server(("127.0.0.1", 0)) as free, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        address, notify = f"127.0.0.1:{free.getsockname()[1]}", stage.folder / "notify"
        systemd.bind(str(notify))
        systemd.settimeout(30)
        free.close()
        served = stage.run(*_at(command(WEB), address), NOTIFY_SOCKET=str(notify))
        assert b"READY=1" in systemd.recv(4096).splitlines()
        assert status(f"http://{address}/{CSS}") == 200
        assert served.end(signal.SIGTERM) == 0, served.output
    assert stage.members() == []


def _at(arguments: tuple[str, ...], address: str) -> tuple[str, ...]:
    assert "127.0.0.1:8000" in arguments
    return tuple(address if argument == "127.0.0.1:8000" else argument for argument in arguments)


def test_the_command_of_the_worker_unit_runs_and_ends(stage: Stage) -> None:
    served = stage.run(*command(WORKER))
    served.worker()
    assert served.end(signal.SIGTERM) == 0, served.output
    assert stage.members() == []


def test_the_environment_file_names_documented_variables_only() -> None:
    documented = set(re.findall(r"`([A-Z_]+)`", (PROJECT / "docs" / "configuration.md").read_text()))
    lines = (PROJECT / "deploy" / "inference-autotuner.env").read_text().splitlines()
    named = {match[1] for line in lines if (match := re.fullmatch(r"#?([A-Z_]+)=\S*", line))}
    assert named
    assert named <= documented
    assert all(line.startswith("#") or not line for line in lines)
