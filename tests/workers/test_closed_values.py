"""One value that does not open, the clinic's own too, keeps from its way what needs it and holds up nothing else."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from django.test import Client

from backend.apps.appointments.tests.factories import make_reachable_patient
from backend.apps.core import closed_values
from backend.apps.core.models import Alert, Clinic
from backend.apps.credentials.models import RegistryCheck
from backend.apps.doctors.tests.factories import make_credential
from backend.apps.insurance import remittance_matching, scrubbing
from backend.apps.insurance.models import Interchange, Submission
from backend.apps.insurance.tests.factories import billing_entity, make_patient_insurance, partner
from backend.apps.interop.tests.patient_links import link_of, visit_ahead
from backend.apps.messaging.models import LinkPurpose
from backend.apps.patients import consents
from backend.apps.patients.models import ContactConsent
from tests.support.closed import close
from tests.support.queued_claims import queued_claim
from tests.workers import test_registries, test_replies
from tests.workers.claims import test_eligibility
from workers import eligibility, registries
from workers.claims import building

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("rung")]


@pytest.fixture(autouse=True)
def untold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closed_values, "_told", {})  # what other tests told


def columns_told() -> set[str]:
    return {one.cause.removeprefix("sealed value:") for one in Alert.objects.filter(kind=closed_values.KIND)}


def test_a_billers_tax_number_sends_its_own_claims_back_and_the_claims_of_others_leave() -> None:
    billing_entity(is_default=True)
    by, closed = partner(), billing_entity()
    good, bad = queued_claim(by), queued_claim(by, billing_entity=closed)
    close(closed)
    assert building.build_due() == "1 batched, 1 files, 1 withdrawn"
    assert Submission.objects.get(claim=good).status == "batched"
    told = Submission.objects.get(claim=bad)
    assert (told.status, told.status_reason.split(";")[0]) == (
        "withdrawn", "billing.tax_id: The number for taxes does not open",
    )  # fmt: skip
    assert [one.rule for one in scrubbing.scrub(bad)] == ["billing-tax-id-unreadable"]
    assert columns_told() == {"insurance.BillingEntity.tax_id"}


def test_a_payment_to_one_who_bills_here_is_known_by_the_npi_though_a_number_of_another_is_closed() -> None:
    first, second = billing_entity(name="A", tax_id="987654321"), billing_entity(name="B", tax_id="123456789")
    close(first)
    for npi, tax_id, is_ours in ((second.npi, "", True), ("1", "123456789", True), ("1", "987654321", False)):
        paid: Any = SimpleNamespace(payee_npi=npi, payee_tax_id=tax_id)
        assert remittance_matching.is_for_us(paid) is is_ours
    assert columns_told() == {"insurance.BillingEntity.tax_id"}


@pytest.mark.parametrize("asks", ["biller", "clinic"])
def test_questions_to_payers_leave_without_the_tax_number_and_but_for_the_one_without_a_members(asks: str) -> None:
    own = billing_entity(is_default=True) if asks == "biller" else Clinic.current()
    if asks == "clinic":
        own.npi_number, own.tax_id = "1234567893", "123456789"
        own.save()
    good = test_eligibility.askable()
    bad = make_patient_insurance(insurance_plan=good.insurance_plan, member_id="W222")
    rows = test_eligibility.asked(good, bad)
    close(own), close(bad, "member_id")
    assert eligibility.build() == "2 270"
    for row in rows:
        row.refresh_from_db()
    assert [(row.status, row.codes) for row in rows] == [("batched", []), ("rejected", [eligibility.CLOSED])]
    npi = own.npi if asks == "biller" else own.npi_number
    assert f"TRN*1*{rows[0].trace}*9{npi[:9]}~" in test_eligibility.text(Interchange.objects.get())
    assert columns_told() == {own._meta.label + ".tax_id", "insurance.PatientInsurance.member_id"}


def test_a_doctors_licence_keeps_nobody_from_being_looked_up(settings: Any, tmp_path: Any) -> None:
    settings.DATA_DIR = tmp_path
    doctor = test_registries.doctor("Holloway", "Gareth", "1999999984")
    close(make_credential(doctor=doctor, credential_type="state_license", state="NY", number="123456"))
    other = test_registries.nurse("Penalver", "Mary")
    test_registries.loaded()
    registries.check_registries()
    assert {row.user_id for row in RegistryCheck.objects.all()} == {doctor.user_id, other.user_id}
    assert columns_told() == {"doctors.DoctorCredential.number"}


def test_an_answer_by_text_is_understood_though_numbers_of_others_at_the_same_telephone_are_closed(
    settings: Any,
) -> None:
    settings.TWILIO_FROM = test_replies.OURS
    moved, sent, fine = test_replies.reminded(), test_replies.reminded(), test_replies.reminded()
    close(moved.appointment.patient, "phone"), close(sent.appointment.patient, "phone")
    close(sent), close(fine)
    assert test_replies.text("1").outcome == "confirmed"
    assert test_replies.visit_of(fine).status == "confirmed"
    assert columns_told() == {"patients.Patient.phone"}


def test_start_gives_the_consents_back_but_for_one_of_which_nobody_knows_what_ended_it() -> None:
    one, other = (make_reachable_patient(phone=test_replies.NUMBER) for _ in range(2))
    consents.stop(test_replies.NUMBER, evidence="SM1")
    close(ContactConsent.objects.get(patient=one))
    assert consents.start(test_replies.NUMBER, evidence="SM2") == [other]


def test_a_patient_stops_the_mail_though_the_mailbox_it_went_to_does_not_open() -> None:
    visit = visit_ahead()
    url = link_of(visit, LinkPurpose.UNSUBSCRIBE)
    close(visit.reminders.get())
    assert Client().post(url, {"List-Unsubscribe": "One-Click"}).status_code == 200
    visit.patient.refresh_from_db()
    assert not visit.patient.email_consent
