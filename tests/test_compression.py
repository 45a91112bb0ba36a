"""What goes over the wire is compressed, and still the same."""

import gzip
from pathlib import Path

import pytest
from django.test import Client

STATIC = Path(__file__).parents[1] / "static"
GZIP = {"Accept-Encoding": "br, gzip"}


def body(answer: object) -> bytes:
    """All of it; a file is closed at its end."""
    return b"".join(answer)  # type: ignore[call-overload]


@pytest.mark.parametrize("name", ["css/app.css", "js/app.js", "img/icons.svg"])
def test_a_static_file_is_sent_compressed_to_whoever_takes_it(client: Client, name: str) -> None:
    plain = client.get(f"/static/{name}")
    first, again = (client.get(f"/static/{name}", headers=GZIP) for _ in range(2))
    assert body(plain) == (STATIC / name).read_bytes()
    compressed = body(first)
    assert gzip.decompress(compressed) == (STATIC / name).read_bytes()
    assert body(again) == compressed
    assert len(compressed) < (STATIC / name).stat().st_size / 2
    assert first.headers["Content-Length"] == str(len(compressed))
    assert {"plain": plain.headers["Vary"], "first": first.headers["Vary"]} == dict.fromkeys(
        ("plain", "first"), "Accept-Encoding"
    )
    assert first.headers["Content-Type"] == plain.headers["Content-Type"]


def test_a_static_file_that_has_not_changed_is_not_sent_again(client: Client) -> None:
    first = client.get("/static/css/app.css", headers=GZIP)
    again = client.get("/static/css/app.css", headers={**GZIP, "If-None-Match": first.headers["ETag"]})
    assert (again.status_code, body(again)) == (304, b"")


def test_a_part_of_a_static_file_and_its_head_are_left_as_they_are(client: Client) -> None:
    part = client.get("/static/css/app.css", headers={**GZIP, "Range": "bytes=0-9"})
    assert (part.status_code, body(part)) == (206, (STATIC / "css/app.css").read_bytes()[:10])
    head = client.head("/static/css/app.css", headers=GZIP)
    assert (body(head), "Content-Encoding" in head.headers) == (b"", False)


@pytest.mark.django_db
def test_a_page_is_sent_compressed(admin_client: Client) -> None:
    answer = admin_client.get("/", headers=GZIP)
    assert answer.headers["Content-Encoding"] == "gzip"
    assert b"<!doctype html>" in gzip.decompress(answer.content)
