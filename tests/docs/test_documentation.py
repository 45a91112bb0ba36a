"""What README and docs say is true: commands, variables, files and examples exist and work."""

import re
import shlex
from pathlib import Path

import pytest
from django.core.management import get_commands, load_command_class

from tuning.document.loading import load
from tuning.runner.intake import read_document

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SOURCES = [path for folder in ("tuning", "autotuner_site") for path in (ROOT / folder).rglob("*.py")]
COMMAND = re.compile(r"manage\.py (?P<name>[a-z_]+)(?P<arguments>[^`\n#]*)")
TEXT = {path: path.read_text() for path in PAGES}


def shell_lines(text: str) -> list[str]:
    """The lines of every sh block."""
    return [line for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL) for line in block.splitlines() if line]


def own_commands() -> set[str]:
    return {name for name, app in get_commands().items() if app == "tuning"}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_each_manage_command_in_a_page_exists_and_takes_these_arguments(page: Path) -> None:
    """Pitfall F3."""
    for line in shell_lines(TEXT[page]):
        for match in COMMAND.finditer(line):
            command = load_command_class(get_commands()[match["name"]], match["name"])
            command.create_parser("manage.py", match["name"]).parse_args(shlex.split(match["arguments"]))


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_each_file_that_a_command_names_exists(page: Path) -> None:
    for line in shell_lines(TEXT[page]):
        for name in re.findall(r"(?<![\w~/.-])((?:examples|benchmarks|docs|deploy)/[\w./-]+)", line):
            assert (ROOT / name).exists(), f"{page.name}: {line}"


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_each_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?://|#)([^)#\s]+)", TEXT[page]):
        assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_each_make_target_exists(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"(?:`|^|&& |^sudo .* )make ([a-z-]+)", TEXT[page], re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"{page.name}: make {target}"


@pytest.mark.parametrize("name", sorted(own_commands()))
def test_each_command_is_documented_and_has_help(name: str) -> None:
    assert any(f"manage.py {name}" in text for text in TEXT.values()), f"no page names {name}"
    assert load_command_class("tuning", name).help


def test_the_variables_that_settings_read_are_those_of_the_page() -> None:
    read = {name for path in SOURCES for name in re.findall(r'"(AUTOTUNER_[A-Z_]+)"', path.read_text())}
    marks = {f"AUTOTUNER_{mark}" for mark in ("INSTANCE", "TASK", "EXPERIMENT", "ATTEMPT")}
    documented = set(re.findall(r"^\| `(AUTOTUNER_[A-Z_]+)`", TEXT[ROOT / "docs" / "configuration.md"], re.MULTILINE))
    assert read - marks == documented


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.yaml")), ids=lambda path: path.name)
def test_each_example_is_a_valid_task_without_a_note(path: Path) -> None:
    accepted = read_document(path.read_bytes())
    assert accepted.notes == ()


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_each_whole_document_in_a_page_loads(page: Path) -> None:
    for block in re.findall(r"```yaml\n(.*?)```", TEXT[page], re.DOTALL):
        load(block)


def test_each_dependency_is_named_with_its_reason() -> None:
    """Pitfall C12: what is imported is declared, what is declared is explained."""
    project = (ROOT / "pyproject.toml").read_text()
    dependencies = re.findall(
        r'^    "([a-z-]+)', project.partition("dependencies = [")[2].partition("]")[0], re.MULTILINE
    )
    built_on = TEXT[ROOT / "README.md"].partition("## Built on")[2]
    assert dependencies
    assert not [name for name in dependencies if name not in built_on.lower()]


def test_the_locked_requirements_name_no_index() -> None:
    for path in ROOT.glob("requirements*.txt"):
        assert not re.search(r"https?://|--(extra-)?index-url|--find-links", path.read_text()), path.name
