"""The program's own settings over a data folder, a database and a queue that are thrown away with the test run."""

import atexit
import os
import shutil
import tempfile
import uuid

from tests.services.databases import new_queue

os.environ["AUTOTUNER_DATA_DIR"] = tempfile.mkdtemp(prefix="autotuner-tests-")
atexit.register(shutil.rmtree, os.environ["AUTOTUNER_DATA_DIR"], ignore_errors=True)
os.environ.update(new_queue())

from autotuner_site.settings import *  # noqa: E402, F403
from autotuner_site.settings import DATABASES  # noqa: E402

if os.environ.get("DATABASE_URL"):
    DATABASES["default"]["TEST"] = {"NAME": f"test_autotuner_{uuid.uuid4().hex}"}

# A test looks again at once at what it has changed.
LIVE_SHARED_S = 0.0
# Users are made by the hundred, and none of their passwords is a secret.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
