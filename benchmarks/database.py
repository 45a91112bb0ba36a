"""Importing this gives the process an empty database in a data folder that is thrown away when it ends.

Import it before anything of `tuning`: models can only be imported once Django is set up.
"""

import atexit
import os
import shutil
import tempfile

import django
from django.core.management import call_command

os.environ["AUTOTUNER_DATA_DIR"] = tempfile.mkdtemp(prefix="autotuner-benchmark-")
atexit.register(shutil.rmtree, os.environ["AUTOTUNER_DATA_DIR"], ignore_errors=True)
os.environ["DJANGO_SETTINGS_MODULE"] = "autotuner_site.settings"
django.setup()
call_command("migrate", verbosity=0)
