"""The program's own settings over a data folder that is thrown away with the test run."""

import atexit
import os
import shutil
import tempfile

os.environ["AUTOTUNER_DATA_DIR"] = tempfile.mkdtemp(prefix="autotuner-tests-")
atexit.register(shutil.rmtree, os.environ["AUTOTUNER_DATA_DIR"], ignore_errors=True)

from autotuner_site.settings import *  # noqa: E402, F403
