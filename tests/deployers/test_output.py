"""Lines out of the bytes that engines print."""

import os
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.deployers.contract import Lines
from tuning.deployers.output import MAX_LINE, REMEMBERED, Output, clean, level_of, lines_of


@pytest.mark.parametrize(
    ("line", "level"),
    [
        ("INFO 11-23 18:30:00 [x.py:1] hello", "info"),
        ("(EngineCore pid=7) ERROR 11-23 18:30:00 [core.py:1] no", "error"),
        ("(APIServer pid=7) WARNING 11-23 18:30:00 [x.py:1] hm", "warning"),
        ("WARNING:  careful", "warning"),
        ("[2026-11-23 18:30:00 TP0] INFO fine", "info"),
        ("DEBUG: detail", "debug"),
        ("W1123 18:28:00.297000 10171 torch/_library/triton.py:53] no Triton", "warning"),
        ("Traceback (most recent call last):", "error"),
        ("ValueError: bad", "error"),
        ("torch.OutOfMemoryError: CUDA out of memory", "error"),
        ("vllm: error: unrecognized arguments: --x", "error"),
        ("INFORMATION is power", "info"),
        ("the word ERROR in a sentence", "info"),
    ],
)
def test_a_line_has_the_level_that_it_claims(line: str, level: str) -> None:
    assert level_of(line) == level


@pytest.mark.parametrize(
    ("printed", "kept"),
    [
        ("\x1b[1;32mgreen\x1b[0m text", "green text"),
        ("\x1b]8;;http://x\x07link\x1b]8;;\x07", "link"),
        ("Loading:  10%\rLoading:  50%\rLoading: 100%\r", "Loading: 100%"),
        ("windows\r", "windows"),
        ("a\x00b\x08c", "abc"),
        ("tab\tstays", "tab\tstays"),
        ("x" * (MAX_LINE + 5), "x" * MAX_LINE + " ... (5 characters cut)"),
    ],
)
def test_a_line_is_cleaned(printed: str, kept: str) -> None:
    assert clean(printed) == kept


def test_lines_come_whole_from_any_pieces() -> None:
    data = "first é\nsecond\r\n\nlast without end".encode()
    for size in range(1, 12):
        pieces = (data[start : start + size] for start in range(0, len(data), size))
        assert list(lines_of(pieces)) == ["first é", "second", "last without end"]


@given(st.lists(st.binary(max_size=50), max_size=10))
def test_whatever_is_printed_becomes_clean_lines(chunks: list[bytes]) -> None:
    for line in lines_of(chunks):
        assert line
        assert "\n" not in line
        assert "\x00" not in line
        line.encode()


def test_a_line_that_never_ends_does_not_fill_the_memory() -> None:
    def endless() -> Iterable[bytes]:
        yield from (b"y" * 10_000 for _ in range(100))

    lines = list(lines_of(endless()))
    assert len(lines) > 5
    assert all("characters cut" in line for line in lines[:-1])


def test_the_last_lines_are_remembered_and_all_are_handed_on() -> None:
    reading, writing = os.pipe()
    lines = Lines()
    output = Output(os.fdopen(reading, "rb"), lines)
    with os.fdopen(writing, "w") as pipe:
        pipe.writelines(f"line {number}\n" for number in range(5000))
    output.close(30)
    assert [line for _, line in lines.lines] == [f"line {number}" for number in range(5000)]
    assert output.tail == [f"line {number}" for number in range(5000 - REMEMBERED, 5000)]
