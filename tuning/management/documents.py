"""How commands read a task document and say what is wrong with it."""

import sys
from pathlib import Path
from typing import NoReturn

from tuning.errors import DocumentError
from tuning.runner.intake import Accepted, read_document

BAD_DOCUMENT = 2


def accept(path: Path) -> Accepted:
    """The checked document in `path`; ends the program with code 2 and every problem on stderr otherwise.

    What was translated or ignored is said on stderr too.
    """
    try:
        accepted = read_document(path.read_bytes())
    except OSError as error:
        _refuse(f"{path} cannot be read: {error.strerror}")
    except DocumentError as error:
        _refuse(*(f"{path}: {problem}" for problem in error.problems))
    for note in accepted.notes:
        sys.stderr.write(f"{path}: {note}\n")
    return accepted


def _refuse(*lines: str) -> NoReturn:
    sys.stderr.write("".join(f"{line}\n" for line in lines))
    sys.exit(BAD_DOCUMENT)
