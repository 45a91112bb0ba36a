"""`manage.py install_genai_bench`, with installers that are scripts; the real one is what `make test-real` needs."""

import os
import stat
import sys
from io import StringIO
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from tuning.benchmarks import genai_install
from tuning.benchmarks.genai_bench import default_executable
from tuning.benchmarks.genai_install import works

TOOL = "#!/bin/sh\necho genai-bench version 0.0.5\n"


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with only the programs of a test before those of the system, no uv, and an empty cache folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}/bin{os.pathsep}/usr/bin")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no-python"))
    monkeypatch.setattr(genai_install, "_CANDIDATES", ("python-of-a-test",))
    return tmp_path / "bin"


def fake_uv(path: Path, tool: str = TOOL) -> None:
    """A uv whose `venv` makes a folder and whose `pip install` puts the tool there; it notes how it was called."""
    folder = default_executable().parent.parent
    script(
        path / "uv",
        f'#!/bin/sh\necho "$@" >> {path}/calls\n'
        f"case $1 in venv) mkdir -p {folder}/bin; touch {folder}/pyvenv.cfg;;\n"
        f"pip) cat > {folder}/bin/genai-bench <<'END'\n{tool}END\nchmod +x {folder}/bin/genai-bench;; esac\n",
    )


def run() -> str:
    out = StringIO()
    call_command("install_genai_bench", stdout=out, stderr=StringIO())
    return out.getvalue().strip()


def test_it_installs_the_pinned_version_with_uv_once(path: Path) -> None:
    fake_uv(path)
    assert run() == run() == str(default_executable())
    calls = (path / "calls").read_text().splitlines()
    assert len(calls) == 2, "the second run finds it installed"
    assert "--python >=3.10,<3.13" in calls[0]
    assert calls[1].endswith("genai-bench==0.0.5")
    assert works(default_executable())


def test_it_installs_with_pip_where_there_is_no_uv(path: Path) -> None:
    folder = default_executable().parent.parent
    script(
        path / "python-of-a-test",
        f'#!/bin/sh\necho "$@" >> {path}/calls\n'
        f'[ "$2" = venv ] && mkdir -p {folder}/bin && touch {folder}/pyvenv.cfg && cp "$0" {folder}/bin/python\n'
        f'[ "$2" = pip ] && printf "#!/bin/sh\\necho 0.0.5\\n" > {folder}/bin/genai-bench '
        f"&& chmod +x {folder}/bin/genai-bench\nexit 0\n",
    )
    assert run() == str(default_executable())
    calls = (path / "calls").read_text().splitlines()
    assert [call.split()[1] for call in calls[1:]] == ["venv", "pip"]


def test_a_broken_environment_is_made_anew(path: Path) -> None:
    fake_uv(path)
    run()
    default_executable().write_text("#!/bin/sh\nexit 1\n")
    run()
    assert works(default_executable())


def test_a_folder_that_is_not_ours_is_never_removed(path: Path) -> None:
    fake_uv(path)
    precious = default_executable().parent.parent / "precious.txt"
    precious.parent.mkdir(parents=True)
    precious.write_text("keep")
    with pytest.raises(CommandError, match="is in the way and is no virtual environment"):
        run()
    assert precious.read_text() == "keep"


@pytest.mark.usefixtures("path")
def test_without_a_python_that_it_runs_on_it_says_so() -> None:
    with pytest.raises(CommandError, match=r"needs a Python >=3\.10,<3\.13 and none is on PATH"):
        run()


def test_a_failing_installer_is_quoted(path: Path) -> None:
    script(path / "uv", "#!/bin/sh\necho no route to the package index >&2\nexit 2\n")
    with pytest.raises(CommandError, match=r"uv venv .* failed:\nno route to the package index"):
        run()


def test_a_tool_that_does_not_run_after_the_installation_is_named(path: Path) -> None:
    fake_uv(path, tool="#!/bin/sh\nexit 1\n")
    with pytest.raises(CommandError, match="was installed but does not run"):
        run()


def test_the_setting_points_to_where_the_command_installs() -> None:
    chosen = os.environ.get("AUTOTUNER_GENAI_BENCH") or str(default_executable())
    assert chosen == settings.AUTOTUNER_GENAI_BENCH


@pytest.mark.real
def test_the_real_tool_is_found_installed() -> None:
    assert works(Path(os.environ.get("AUTOTUNER_GENAI_BENCH") or default_executable())), sys.platform
