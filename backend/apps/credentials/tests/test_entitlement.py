"""Proves on which days a doctor may do what needs a credential, who is told what of it, and for how many queries."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from backend.apps.core.models import Clinic
from backend.apps.credentials import covered, entitlement
from backend.apps.credentials.entitlement import NotEntitled
from backend.apps.credentials.models import CredentialPolicy, Needed
from backend.apps.credentials.tests.override_factories import lapsed_doctor, make_override
from backend.apps.doctors.models import DoctorCredential
from backend.apps.doctors.tests.factories import VERIFIED, license_doctor, make_credential, make_doctor
from backend.apps.employees import filing
from backend.apps.employees.tests.factories import a_file
from backend.apps.users.tests.factories import make_user

pytestmark = pytest.mark.django_db
VISITS = Needed.APPOINTMENTS
PAPER = {"credential_type": "state_license", "issuing_organization": "A board", "number": "1", "state": "NJ"}


def ago(days: int) -> date:
    return Clinic.today() - timedelta(days=days)


def missing(doctor: Any, *needed: Needed, days_ahead: int = 0) -> list[str]:
    return [str(one) for one in entitlement.missing(doctor, *(needed or (VISITS,)), on=ago(-days_ahead))]


def test_a_licence_counts_to_the_end_of_its_last_day() -> None:
    assert missing(lapsed_doctor(days=0)) == []
    assert missing(lapsed_doctor(days=1)) == ["state_license"]
    assert missing(make_doctor(licensed=False)) == ["state_license"]


def test_a_licence_of_today_is_enough_for_a_later_day_and_one_of_that_day_too() -> None:
    doctor = lapsed_doctor(days=0)
    assert missing(doctor, days_ahead=200) == []
    gone = lapsed_doctor(days=3)
    make_credential(doctor=gone, issue_date=ago(-10), **VERIFIED)
    assert missing(gone, days_ahead=9) == ["state_license"]
    assert missing(gone, days_ahead=10) == []


@pytest.mark.parametrize(
    ("of_clinic", "of_licence", "gap"), [("NJ", "NY", True), ("ny", "NY", False), ("", "CA", False)]
)
def test_a_licence_or_registration_counts_in_its_own_state_where_the_clinic_says_in_which_it_is(
    of_clinic: str, of_licence: str, gap: bool
) -> None:
    Clinic.objects.create(name="Elm Street Clinic", state=of_clinic)
    doctor = make_doctor(licensed=False)
    license_doctor(doctor, state=of_licence)
    assert missing(doctor, *Needed) == (["state_license", "dea"] if gap else [])
    if gap:
        with pytest.raises(NotEntitled, match=r"no valid state license \(NJ\) is on file"):
            entitlement.refuse_without(doctor, VISITS, on=ago(0), by=doctor.user)
        with pytest.raises(NotEntitled, match=r"no valid DEA registration \(NJ\) is on file"):
            entitlement.refuse_without(doctor, Needed.CONTROLLED_SUBSTANCES, on=ago(0), by=doctor.user)
    found = covered.among(covered.of([str(doctor.pk)], Needed.CLAIMS), str(doctor.pk))
    assert found is not None
    assert covered.is_covered(found, f"{ago(0):%Y%m%d}") is not gap
    license_doctor(doctor, state="", number="Taken over")
    assert missing(doctor, *Needed) == []  # nobody has said of which state it is
    found = covered.among(covered.of([str(doctor.pk)], Needed.CLAIMS), str(doctor.pk))
    assert found is not None
    assert covered.is_covered(found, f"{ago(0):%Y%m%d}")


def test_only_a_registration_of_the_clinics_state_bills_where_claims_need_one_and_a_course_counts_in_all() -> None:
    Clinic.objects.create(name="Elm Street Clinic", state="NJ")
    doctor = make_doctor(licensed=False)
    for kind in ("dea", "bls"):
        CredentialPolicy.objects.create(credential_type=kind, needed_for=["claims"])
        make_credential(doctor=doctor, credential_type=kind, state="NY", **VERIFIED)
    CredentialPolicy.objects.create(credential_type="state_license", needed_for=[])
    found = covered.among(covered.of([str(doctor.pk)], Needed.CLAIMS), str(doctor.pk)) or ()
    assert sorted(map(len, found)) == [0, 1]
    assert missing(doctor, Needed.CLAIMS) == ["dea"]


def test_the_past_days_of_a_paper_that_is_filed_late_or_corrected_are_billed_once_it_is_verified() -> None:
    doctor, by = make_doctor(licensed=False), make_user(role="admin")
    paper = {**PAPER, "doctor": doctor, "state": "NY"}
    now = filing.file(DoctorCredential, by=by, **paper, issue_date=ago(100), expiry_date=ago(-600))
    filing.verify(now, by=by, method="issuer")
    before = filing.file(DoctorCredential, by=by, **paper, issue_date=ago(800), expiry_date=ago(101))

    def billed() -> bool:
        spans = covered.among(covered.of([str(doctor.pk)], Needed.CLAIMS), str(doctor.pk)) or ()
        return covered.is_covered(spans, f"{ago(300):%Y%m%d}")

    assert (before.replaced_by, billed()) == (now, False)
    filing.verify(before, by=by, method="issuer")
    assert billed()
    now.delete()
    before.refresh_from_db()
    filing.amend(before, by=by, issuing_organization="A board, spelled right")
    assert not billed()
    filing.verify(before, by=by, method="issuer")
    assert billed()


@pytest.mark.parametrize("fault", ["rejected", "deleted", "another type"])
def test_a_credential_that_entitles_to_nothing_does_not_count(fault: str) -> None:
    doctor = lapsed_doctor()
    kind = "acls" if fault == "another type" else "state_license"
    row = make_credential(doctor=doctor, credential_type=kind, **VERIFIED)
    if fault == "rejected":
        row.reject(make_user(role="admin"), "This is a library card.")
    if fault == "deleted":
        row.delete()
    assert missing(doctor) == ["state_license"]


def test_a_paper_that_nobody_checked_entitles_to_nothing_and_the_one_before_does_to_its_own_end() -> None:
    doctor, admin = lapsed_doctor(days=0), make_user(role="admin")
    licence = DoctorCredential.objects.get(doctor=doctor, credential_type="state_license")
    renewed = filing.renew(licence, by=doctor.user, issue_date=ago(9), expiry_date=None, document=a_file())
    assert missing(doctor) == []
    DoctorCredential.objects.filter(pk=licence.pk).update(expiry_date=ago(1))
    filing.file(DoctorCredential, by=doctor.user, **{**PAPER, "doctor": doctor, "issue_date": ago(9)})
    assert missing(doctor) == ["state_license"]
    with pytest.raises(NotEntitled, match=r"the state license on file is not verified yet; .* until it is verified"):
        entitlement.refuse_without(doctor, VISITS, on=ago(0), by=admin)
    spans = covered.among(covered.of([str(doctor.pk)], Needed.CLAIMS), str(doctor.pk)) or ()
    assert [covered.is_covered(spans, f"{day:%Y%m%d}") for day in (ago(1), ago(0))] == [True, False]
    filing.reject(renewed, by=admin, reason="It is of somebody else.")
    assert missing(doctor) == ["state_license"]
    filing.amend(renewed, by=doctor.user, number="8", document=a_file())
    filing.verify(renewed, by=admin)
    assert missing(doctor) == []


def test_rules_say_what_is_needed_for_what_and_whether_it_has_to_be_verified() -> None:
    doctor = make_doctor()
    fields = {"credential_type": "malpractice", "needed_for": ["appointments", "prescriptions"]}
    policy = CredentialPolicy.objects.create(**fields, must_be_verified=True)
    assert missing(doctor) == ["malpractice"]
    row = make_credential(doctor=doctor, credential_type="malpractice")
    assert missing(doctor) == ["malpractice"]
    row.verify(make_user(role="admin"))
    assert missing(doctor) == []
    CredentialPolicy.objects.filter(pk=policy.pk).update(needed_for=[])
    row.delete()
    assert missing(doctor) == []


def test_a_controlled_substance_needs_the_dea_registration_beside_the_licence() -> None:
    doctor = make_doctor()
    DoctorCredential.objects.filter(doctor=doctor, credential_type="dea").update(expiry_date=ago(1))
    assert missing(doctor, Needed.PRESCRIPTIONS) == []
    both = (Needed.PRESCRIPTIONS, Needed.CONTROLLED_SUBSTANCES)
    assert missing(doctor, *both) == ["dea"]
    assert missing(make_doctor(licensed=False), *both) == ["state_license", "dea"]
    with pytest.raises(NotEntitled) as refused:
        entitlement.refuse_without(doctor, *both, on=Clinic.today(), by=doctor.user)
    assert "DEA registration ended on" in str(refused.value)
    assert "cannot prescribe controlled substances" in str(refused.value)


def test_staff_is_told_which_credential_ended_when_and_a_patient_to_call() -> None:
    doctor = lapsed_doctor(days=2)
    with pytest.raises(NotEntitled) as refused:
        entitlement.refuse_without(doctor, VISITS, on=ago(-3), by=make_user(role="receptionist"))
    assert str(refused.value) == (
        f"For {doctor.full_name} the state license (NY) ended on {ago(2)}; the doctor takes no new appointments until "
        "a valid one is on file."
    )
    [told] = refused.value.details()["missing"]
    assert told == {"credential_type": "state_license", "state": "NY", "expired_on": ago(2).isoformat()}
    for nobody in (None, make_user(role="patient")):
        with pytest.raises(NotEntitled) as refused:
            entitlement.refuse_without(doctor, VISITS, on=ago(-3), by=nobody)
        assert str(refused.value) == entitlement.NEUTRAL
        assert refused.value.details() == {}


def test_a_licence_that_was_corrected_to_have_ended_is_told_with_its_day_though_nobody_checked_it_since() -> None:
    doctor = lapsed_doctor(days=2)
    DoctorCredential.objects.filter(doctor=doctor).update(is_verified=False, verified_at=None, verified_by=None)
    with pytest.raises(NotEntitled, match=f"ended on {ago(2)}"):
        entitlement.refuse_without(doctor, VISITS, on=Clinic.today(), by=make_user(role="receptionist"))


def test_an_exception_lets_a_doctor_go_on_for_its_type_while_it_is_in_force() -> None:
    doctor = lapsed_doctor()
    now = timezone.now()
    make_override(doctor, credential_type="dea")
    make_override(doctor, granted_at=now - timedelta(hours=30), expires_at=now - timedelta(hours=1))
    make_override(doctor, granted_at=now - timedelta(hours=2), ended_at=now - timedelta(hours=1))
    make_override()
    assert missing(doctor) == ["state_license"]
    make_override(doctor)
    assert missing(doctor) == []


def test_what_all_is_needed_is_asked_for_in_as_many_queries_as_what_one_thing_needs() -> None:
    doctor = make_doctor()
    make_credential(doctor=doctor)
    with CaptureQueriesContext(connection) as asked:
        entitlement.missing(doctor, *Needed, on=Clinic.today())
    assert len(asked) <= 4  # one of them Clinic.today() here: rules, credentials, the clinic's day


def test_the_days_of_many_doctors_are_told_at_once_with_those_of_exceptions() -> None:
    fine, lapsed, never = make_doctor(), lapsed_doctor(days=40), make_doctor(licensed=False)
    Clinic.objects.create(name="Elm Street Clinic", time_zone="America/New_York")
    since = timezone.now() - timedelta(days=10)
    make_override(lapsed, granted_at=since, ended_at=since + timedelta(hours=1))
    rejected = license_doctor(never)[0]
    rejected.reject(make_user(role="admin"), "Forged.")
    with CaptureQueriesContext(connection) as asked:
        found = covered.of([str(one.pk) for one in (fine, lapsed, never)], Needed.CLAIMS)
    assert len(asked) == 2
    assert found is not None
    excepted = timezone.localdate(since, Clinic.current().zone)
    days = {"long ago": ago(900), "after it": ago(30), "excepted": excepted, "today": ago(0)}
    had = {
        name: [when for when, day in days.items() if covered.is_covered(spans, f"{day:%Y%m%d}")]
        for name, spans in (
            (name, covered.among(found, str(doctor.pk)) or ())
            for name, doctor in (("fine", fine), ("lapsed", lapsed), ("never", never))
        )
    }
    assert had == {"fine": list(days), "lapsed": ["long ago", "excepted"], "never": []}
    assert covered.of(None, Needed.CLAIMS) == {**found}
    CredentialPolicy.objects.create(credential_type="state_license", needed_for=[])
    assert covered.of(None, Needed.CLAIMS) is None
