"""How commands read a task document and say what is wrong with it."""

import sys
from pathlib import Path

from django.core.management.base import CommandError

from tuning.errors import DocumentError
from tuning.runner.intake import Accepted, read_document

BAD_DOCUMENT = 2


def accept(path: Path) -> Accepted:
    """The checked document in `path`; CommandError with exit code 2 and every problem otherwise.

    What was translated or ignored is said on stderr.
    """
    try:
        accepted = read_document(path.read_bytes())
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}", returncode=BAD_DOCUMENT) from error
    except DocumentError as error:
        listed = "\n".join(f"{path}: {problem}" for problem in error.problems)
        raise CommandError(listed, returncode=BAD_DOCUMENT) from error
    for note in accepted.notes:
        sys.stderr.write(f"{path}: {note}\n")
    return accepted
