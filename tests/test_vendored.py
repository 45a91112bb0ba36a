"""What is kept of other projects for the browser: unchanged, and fit to be collected."""

import hashlib
from pathlib import Path

import pytest
from django.core.management import call_command
from pytest_django import Settings

VENDOR = Path(__file__).parents[1] / "static" / "vendor"
SHA256 = {
    "chart.js/4.6.1/LICENSE.md": "41a84aa2caba645f966a18d9c2056b73e6d3a81d80bc0046bc0011a2634d4cce",
    "chart.js/4.6.1/chart.umd.min.js": "c17f2ce49fb9c71ef7fb39c03f868804ac5ab34730149976eebe6b7f807bef0c",
}


def test_every_vendored_file_is_the_one_that_was_fetched() -> None:
    found = {str(path.relative_to(VENDOR)): path for path in VENDOR.rglob("*") if path.is_file()}
    assert {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in found.items()} == SHA256


@pytest.mark.parametrize("name", SHA256)
def test_no_vendored_file_names_a_source_map_that_is_not_there(name: str) -> None:
    assert "sourceMappingURL" not in (VENDOR / name).read_text()


def test_static_files_can_be_collected_with_hashed_names(tmp_path: Path, settings: Settings) -> None:
    manifest = "whitenoise.storage.CompressedManifestStaticFilesStorage"
    settings.STORAGES = {**settings.STORAGES, "staticfiles": {"BACKEND": manifest}}
    settings.STATIC_ROOT = tmp_path
    call_command("collectstatic", "--noinput", verbosity=0)
    assert list(tmp_path.glob("vendor/chart.js/4.6.1/chart.umd.min.*.js.gz"))
