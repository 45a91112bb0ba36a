"""Importing this sets Django up on the data folder of AUTOTUNER_DATA_DIR; import it before anything of `tuning`."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "autotuner_site.settings")
django.setup()
