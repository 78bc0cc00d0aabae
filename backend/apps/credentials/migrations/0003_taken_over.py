"""Gives doctors who work already 90 days to have their papers entered, else an update would stop a clinic."""

from datetime import timedelta

from django.db import migrations
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

DAYS = 90  # the first tier of the usual rules: the ladder tells of it at once
NUMBERS = {"state_license": "license_number", "dea": "dea_number"}  # of a doctor, by type of credential
ISSUER = "Taken over from the doctor's file"


def take_over(apps, schema_editor):
    """Make a verified credential of what stands in the doctor's own row; one who has one that counts gets none.

    Nor does one whose papers have all ended. Where none of those that go on is verified yet, it bridges the time until
    somebody looked at them.
    """
    credentials = apps.get_model("doctors", "DoctorCredential")
    clinic = apps.get_model("core", "Clinic").objects.filter(is_deleted=False).order_by("created_at").first()
    states = {"state_license": clinic.state.upper() if clinic else "", "dea": ""}
    for kind, number in NUMBERS.items():
        rows = [_row(credentials, doctor, kind, states[kind]) for doctor in _without(apps, kind, number, states[kind])]
        credentials.objects.bulk_create(rows, batch_size=500, ignore_conflicts=True)


def _without(apps, kind, number, state):
    papers = apps.get_model("doctors", "DoctorCredential").objects.filter(
        doctor=OuterRef("pk"), credential_type=kind, is_deleted=False
    )
    goes_on = papers.filter(Q(expiry_date=None) | Q(expiry_date__gte=timezone.now().date()), rejected_at=None)
    counts = goes_on.filter(is_verified=True, **({"state__in": ["", state]} if state else {}))
    doctors = apps.get_model("doctors", "Doctor").objects.filter(is_deleted=False).exclude(**{number: ""})
    return doctors.filter(~Exists(papers) | Exists(goes_on), ~Exists(counts)).order_by("pk")


def _row(credentials, doctor, kind, state):
    now = timezone.now()
    return credentials(
        doctor=doctor,
        credential_type=kind,
        issuing_organization=ISSUER,
        number=getattr(doctor, NUMBERS[kind]),
        state=state,
        issue_date=doctor.created_at.date(),
        expiry_date=now.date() + timedelta(days=DAYS),
        is_verified=True,
        verified_at=now,
    )


class Migration(migrations.Migration):
    dependencies = [("credentials", "0002_ladder")]
    operations = [migrations.RunPython(take_over, migrations.RunPython.noop)]
