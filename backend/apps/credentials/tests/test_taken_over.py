"""Proves that doctors who worked before an update go on for 90 days, and that none gets what has lapsed back."""

from __future__ import annotations

from datetime import timedelta
from importlib import import_module
from typing import Any

import pytest
from django.apps import apps
from django.utils import timezone

from backend.apps.core.models import Clinic
from backend.apps.credentials import entitlement
from backend.apps.credentials.models import Needed
from backend.apps.credentials.tests.override_factories import lapsed_doctor
from backend.apps.doctors.models import Doctor, DoctorCredential
from backend.apps.doctors.tests.factories import make_credential, make_doctor

pytestmark = pytest.mark.django_db
migration: Any = import_module("backend.apps.credentials.migrations.0003_taken_over")


def missing(doctor: Doctor, days_ahead: int = 0) -> list[str]:
    return [str(one) for one in entitlement.missing(doctor, *Needed, on=Clinic.today() + timedelta(days=days_ahead))]


def test_who_works_by_the_numbers_of_the_own_file_alone_goes_on_for_90_days_and_the_ladder_tells_of_it() -> None:
    Clinic.objects.create(name="Elm Street Clinic", state="NJ")
    old = make_doctor(licensed=False)
    for _ in range(2):  # a second time makes none
        migration.take_over(apps, None)
    assert missing(old) == []
    papers = {row.credential_type: row for row in DoctorCredential.objects.filter(doctor=old)}
    assert {kind: (row.number, row.state) for kind, row in papers.items()} == {
        "state_license": (old.license_number, "NJ"),
        "dea": (old.dea_number, ""),
    }
    ends = timezone.now().date() + timedelta(days=90)
    for row in papers.values():
        assert (row.expiry_date, row.issue_date) == (ends, old.created_at.date())
        assert row.next_alert_on == timezone.now().date()


def test_a_registration_is_made_of_a_number_alone_and_nobody_gets_back_what_has_lapsed() -> None:
    no_dea, gone = make_doctor(licensed=False, dea_number=""), make_doctor(licensed=False)
    gone.delete()
    lapsed, fine = lapsed_doctor(days=3), make_doctor()
    unseen = make_doctor(licensed=False, dea_number="")
    make_credential(doctor=unseen)
    assert missing(unseen) == ["state_license", "dea"]
    migration.take_over(apps, None)
    assert missing(no_dea) == missing(unseen) == ["dea"]
    assert missing(lapsed) == ["state_license"]
    made = DoctorCredential.objects.filter(issuing_organization=migration.ISSUER)
    assert {row.doctor for row in made} == {no_dea, unseen}
    assert not made.filter(doctor__in=[gone, fine]).exists()
