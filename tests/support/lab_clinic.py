"""Makes the clinic the siege needs in a database of its own: tables, patients, a feed; prints their record numbers.

Run as `python -m tests.support.lab_clinic COUNT` with DATABASE_URL of that database; tables that are there stay.
"""

from __future__ import annotations

import json
import os
import sys

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "backend.config.settings")
django.setup()

from django.core.management import call_command  # noqa: E402  # after django.setup()
from django.db import connection  # noqa: E402  # after django.setup()

from backend.apps.laboratory.models import LabFeed  # noqa: E402  # after django.setup()
from backend.apps.patients.tests.factories import make_patient  # noqa: E402  # after django.setup()
from tests.support.lab_load import FACILITY  # noqa: E402  # kept together with the lines above

if LabFeed._meta.db_table not in connection.introspection.table_names():
    call_command("migrate", verbosity=0)
LabFeed.objects.create(name="Siege", sending_application="SIEGE", sending_facility=FACILITY)
patients = [make_patient() for _ in range(int(sys.argv[1]))]
sys.stdout.write(json.dumps([patient.medical_record_number for patient in patients]))
