"""Proves that doctors who worked before an update go on for 90 days, and that none gets what has lapsed back."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from importlib import import_module
from typing import Any

import pytest
import time_machine
from django.apps import apps

from backend.apps.core.exceptions import DomainError
from backend.apps.core.models import Clinic
from backend.apps.credentials import covered, entitlement, ladder
from backend.apps.credentials.models import CredentialAlert, Needed
from backend.apps.credentials.tests.override_factories import lapsed_doctor
from backend.apps.doctors.models import Doctor, DoctorCredential
from backend.apps.doctors.tests.factories import VERIFIED, make_credential, make_doctor
from backend.apps.employees import filing
from backend.apps.employees.models.credentials import TAKEN_OVER
from backend.apps.users.tests.factories import make_user

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
    for row in papers.values():
        assert row.expiry_date == Clinic.today() + timedelta(days=90)
        assert row.next_alert_on == Clinic.today()
    spans = covered.among(covered.of([str(old.pk)], Needed.CLAIMS), str(old.pk)) or ()
    assert covered.is_covered(spans, "20190301")  # what was done long before


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


def bridged(**over: Any) -> tuple[DoctorCredential, DoctorCredential]:
    """Return the licence that a doctor had filed before the update, not verified, and the one taken over."""
    Clinic.objects.create(name="Elm Street Clinic", state="NY")
    doctor = make_doctor(licensed=False, dea_number="")
    filed = make_credential(doctor=doctor, number=doctor.license_number, **over)
    migration.take_over(apps, None)
    return filed, DoctorCredential.objects.get(issuing_organization=migration.ISSUER)


def stored(row: DoctorCredential) -> DoctorCredential:
    return DoctorCredential.objects.get(pk=row.pk)


def test_the_app_knows_what_was_taken_over_by_its_issuer() -> None:
    assert migration.ISSUER == TAKEN_OVER


def test_it_is_told_of_no_more_once_the_licence_itself_is_verified_or_filed() -> None:
    filed, made = bridged()
    filing.verify(filed, by=make_user(role="admin"), method="issuer")
    assert stored(made).replaced_by == filed
    ladder.raise_due(made.expiry_date + timedelta(days=21))
    assert not CredentialAlert.objects.filter(doctor_credential=made).exists()


@pytest.mark.parametrize(
    ("over", "replaced"),
    [
        ({}, True),
        ({"state": "NJ"}, False),
        ({"expiry_date": date(2024, 1, 1)}, False),
        ({"credential_type": "bls"}, False),
    ],
    ids=["ends later", "another state", "ends sooner", "another type"],
)
def test_a_licence_that_is_filed_and_ends_later_replaces_the_one_taken_over(over: Any, replaced: bool) -> None:
    _, made = bridged()
    fields = {"credential_type": "state_license", "state": "NY", "issue_date": date(2020, 1, 1), "expiry_date": None}
    paper = filing.file(
        DoctorCredential, by=None, doctor=made.doctor, issuing_organization="Board", **{**fields, **over}
    )
    assert (stored(made).replaced_by == paper) is replaced
    assert paper.replaced_by is None


@pytest.mark.parametrize(("state", "holds"), [("NY", False), ("NJ", True)])
def test_with_a_rejected_licence_goes_what_was_made_of_the_number_and_not_that_of_another_state(
    state: str, holds: bool
) -> None:
    filed, made = bridged(state=state)
    filing.reject(filed, by=make_user(role="admin"), reason="The board knows no such number.")
    assert missing(made.doctor) == (["dea"] if holds else ["state_license", "dea"])
    assert (stored(made).rejection_reason == "") is holds


@pytest.mark.parametrize(
    ("over", "holds"),
    [
        ({"spelled": "{}"}, False),
        ({"spelled": " {} "}, False),
        ({"spelled": "9{}"}, True),
        ({"spelled": "{}", "expiry_date": date(2020, 1, 1)}, True),
    ],
    ids=["the number", "the number with spaces", "another number", "a paper of past days"],
)
def test_a_rejected_paper_takes_along_what_was_made_of_its_own_number_only_and_only_while_it_has_not_ended(
    over: dict[str, Any], holds: bool
) -> None:
    _, made = bridged(credential_type="bls")
    fields = {"credential_type": "state_license", "state": "NY", "issue_date": date(2018, 1, 1), "expiry_date": None}
    number = over.pop("spelled").format(made.number.lower())
    paper = filing.file(
        DoctorCredential, by=None, doctor=made.doctor, number=number, issuing_organization="Board", **{**fields, **over}
    )
    filing.reject(paper, by=make_user(role="admin"), reason="The scan cannot be read.")
    assert (missing(made.doctor) == ["dea"]) is holds
    assert (stored(made).rejected_at is None) is holds


def test_it_is_renewed_by_the_paper_itself_with_its_issuer_and_its_state() -> None:
    Clinic.objects.create(name="Elm Street Clinic")
    doctor, by = make_doctor(licensed=False), make_user(role="admin")
    migration.take_over(apps, None)
    made = DoctorCredential.objects.get(doctor=doctor, credential_type="state_license")
    paper = {"issue_date": date(2025, 1, 1), "expiry_date": None, "state": "NY"}
    with pytest.raises(DomainError, match="who issued"):
        filing.renew(made, by=by, **paper)
    renewed = filing.renew(made, by=by, **paper, issuing_organization="Board of New York")
    assert (renewed.state, renewed.number) == ("NY", made.number)


def test_days_are_those_of_the_clinic() -> None:
    Clinic.objects.create(name="Beach Clinic", state="HI", time_zone="Pacific/Honolulu")
    doctor = make_doctor(licensed=False, dea_number="")
    make_credential(doctor=doctor, expiry_date=date(2027, 3, 1))
    with time_machine.travel(datetime(2027, 3, 2, 5, tzinfo=UTC), tick=False):  # 19 o'clock of the day before
        migration.take_over(apps, None)
    assert DoctorCredential.objects.get(issuing_organization=migration.ISSUER).expiry_date == date(2027, 5, 30)


def test_who_has_a_paper_of_the_day_the_login_was_made_or_a_registration_of_another_state_goes_on_too() -> None:
    Clinic.objects.create(name="Elm Street Clinic", state="NY")
    doctor = make_doctor(licensed=False)
    make_credential(doctor=doctor, number=doctor.license_number, issue_date=doctor.created_at.date())
    make_credential(doctor=doctor, credential_type="dea", state="NJ", **VERIFIED)
    for _ in range(2):
        migration.take_over(apps, None)
        DoctorCredential.objects.filter(issuing_organization=migration.ISSUER).update(updated_at=doctor.created_at)
    assert missing(doctor) == []
    DoctorCredential.objects.update(is_verified=False, verified_at=None)
    migration.take_over(apps, None)
    assert DoctorCredential.objects.filter(issuing_organization=migration.ISSUER).count() == 2
