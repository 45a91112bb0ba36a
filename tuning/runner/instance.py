"""Which installation this is: the mark by which it knows what it has started."""

import uuid

from django.conf import settings

from autotuner_site.environment import once


def instance_id() -> str:
    """Drawn once and kept in the data folder, so that two installations on one machine leave each other alone."""
    return once(settings.DATA_DIR / "instance", lambda: uuid.uuid4().hex[:12])
