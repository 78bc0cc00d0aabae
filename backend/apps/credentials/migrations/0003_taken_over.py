"""Gives doctors who work already 90 days to have their papers entered, else an update would stop a clinic."""

from datetime import date, timedelta
from zoneinfo import ZoneInfo

from django.db import migrations
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

DAYS = 90  # the first tier of the usual rules: the ladder tells of it at once
NUMBERS = {"state_license": "license_number", "dea": "dea_number"}  # of a doctor, by type of credential
ISSUER = "Taken over from the doctor's file"
BEGINS = date(1900, 1, 1)  # what was done before is billed by it too


def take_over(apps, schema_editor):
    """Make a verified credential of what stands in the doctor's own row; one who has one that counts gets none.

    Nor does one whose papers have all ended. Where none of those that go on is verified yet, it bridges the time until
    somebody looked at them.
    """
    credentials = apps.get_model("doctors", "DoctorCredential")
    clinics = apps.get_model("core", "Clinic")
    clinic = clinics.objects.filter(is_deleted=False).order_by("created_at").first() or clinics()
    today, state = timezone.localdate(timezone=ZoneInfo(clinic.time_zone)), clinic.state.upper()
    for kind, number in NUMBERS.items():
        of_state = state if kind == "state_license" else ""  # of which one a registration is the file does not say
        rows = [
            _row(credentials, doctor, kind, of_state, today) for doctor in _without(apps, kind, number, state, today)
        ]
        credentials.objects.bulk_create(rows, batch_size=500)


def _without(apps, kind, number, state, today):
    papers = apps.get_model("doctors", "DoctorCredential").objects.filter(
        doctor=OuterRef("pk"), credential_type=kind, is_deleted=False
    )
    goes_on = papers.filter(Q(expiry_date=None) | Q(expiry_date__gte=today), rejected_at=None)
    made = papers.filter(issuing_organization=ISSUER)
    counts = goes_on.filter(is_verified=True, **({"state__in": ["", state]} if state else {}))
    doctors = apps.get_model("doctors", "Doctor").objects.filter(is_deleted=False).exclude(**{number: ""})
    return doctors.filter(~Exists(papers) | Exists(goes_on), ~Exists(counts), ~Exists(made)).order_by("pk")


def _row(credentials, doctor, kind, state, today):
    return credentials(
        doctor=doctor,
        credential_type=kind,
        issuing_organization=ISSUER,
        number=getattr(doctor, NUMBERS[kind]),
        state=state,
        issue_date=BEGINS,
        expiry_date=today + timedelta(days=DAYS),
        is_verified=True,
        verified_at=timezone.now(),
    )


class Migration(migrations.Migration):
    dependencies = [("credentials", "0002_ladder")]
    operations = [migrations.RunPython(take_over, migrations.RunPython.noop)]
