"""Proves that a consent is never changed without a trace, and that STOP and START mean what they say."""

from __future__ import annotations

from datetime import timedelta
from importlib import import_module
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from backend.apps.appointments import services as services_of_visits
from backend.apps.core import resealing
from backend.apps.doctors.tests.factories import make_doctor
from backend.apps.patients import consents, contacts, services
from backend.apps.patients.models import ContactConsent, ContactPoint, Patient
from backend.apps.patients.tests.factories import make_patient
from backend.apps.users.tests.factories import make_user

pytestmark = pytest.mark.django_db

NUMBER, MAILBOX = "+14155550100", "ada.okafor@example.org"


def agreed(**over: Any) -> Patient:
    return make_patient(**{"sms_consent": True, "email_consent": True, **over})


def ledger(patient: Patient) -> list[tuple[str, bool, str, str]]:
    rows = ContactConsent.objects.filter(patient=patient).order_by("created_at", "id")
    return list(rows.values_list("channel", "given", "method", "evidence"))


def why_unreachable(patient: Patient, channel: str) -> str | None:
    patient.refresh_from_db()
    return contacts.why_unreachable(patient, channel, contacts.points_of([patient]))


class TestTheLedger:
    def test_a_consent_is_noted_with_who_said_so_how_and_about_which_number(self) -> None:
        desk, patient = make_user(role="receptionist"), make_patient()
        services.consent(patient, by=desk, channel="sms", given=True, evidence="form 12")
        row = ContactConsent.objects.get(patient=patient)
        assert (row.given, row.method, row.evidence, row.by, row.address) == (True, "staff", "form 12", desk, NUMBER)
        patient.refresh_from_db()
        assert patient.sms_consent
        assert patient.sms_consent_at

    def test_the_same_word_twice_is_one_row_and_another_word_is_another(self) -> None:
        patient = agreed()
        for _ in range(2):
            consents.record(patient, "sms", False, by=None, method="staff")
        assert consents.record(patient, "sms", False, by=None, method="patient") is False
        assert ledger(patient) == [("sms", False, "staff", ""), ("sms", False, "patient", "")]

    def test_registering_and_correcting_write_a_row_for_what_changed_only(self) -> None:
        desk = make_user(role="receptionist")
        who = {"first_name": "Ida", "last_name": "Wells", "date_of_birth": "1980-05-17", "phone": NUMBER}
        patient = services.register(by=desk, sms_consent=True, email_consent=False, **who)
        services.correct(patient, by=desk, sms_consent=True, email_consent=True, city="Troy")
        assert ledger(patient) == [("sms", True, "staff", ""), ("email", True, "staff", "")]

    def test_a_correction_of_something_else_does_not_undo_a_stop_that_came_meanwhile(self) -> None:
        patient = agreed()
        consents.stop(NUMBER, evidence="SM1")
        services.correct(patient, by=None, city="Troy")  # read before the STOP
        patient.refresh_from_db()
        assert (patient.city, patient.sms_consent) == ("Troy", False)

    def test_merging_says_why_a_consent_ended_and_brings_the_rows_along(self) -> None:
        gone, stays = make_patient(phone=""), agreed()
        consents.record(gone, "email", False, by=None, method="patient")
        services.merge(gone, by=make_user(role="admin"), into=stays)
        assert sorted(ledger(stays)) == sorted([
            ("email", False, "patient", ""),
            ("sms", False, "merge", str(gone.pk)),
            ("email", False, "merge", str(gone.pk)),
        ])  # fmt: skip

    @pytest.mark.parametrize(
        "change",
        ["SET given = NOT given", "SET evidence = 'x'", "SET patient_id = %(other)s", "SET is_deleted = true"],
    )
    def test_a_row_is_never_rewritten(self, change: str) -> None:
        patient, other = agreed(), make_patient()
        consents.stop(NUMBER, evidence="SM1")
        with pytest.raises(IntegrityError, match="insert-only"), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"UPDATE patients_contactconsent {change}", {"other": other.pk})
        assert ledger(patient) == [("sms", False, "text", "SM1")]

    def test_the_ledger_of_an_old_clinic_begins_with_what_its_patients_had_agreed_to(self) -> None:
        patient, never = agreed(email="Ada@Example.org"), make_patient()
        begins = import_module("backend.apps.patients.migrations.0004_consents_stay").BEGINS
        with connection.cursor() as cursor:
            cursor.execute("UPDATE patients_patient SET phone = %s, email = 'Ada@Example.org'", [NUMBER])  # as it was
            cursor.execute(begins)
        assert resealing.seal_all(ContactConsent) == 2
        rows = ContactConsent.objects.filter(patient=patient)
        assert {(row.channel, row.given, row.method, row.address) for row in rows} == {
            ("sms", True, "import", NUMBER),
            ("email", True, "import", "ada@example.org"),
        }
        assert rows.get(channel="sms").created_at == patient.sms_consent_at
        assert ledger(never) == []

    def test_a_patient_made_in_bulk_has_a_ledger_from_the_first_day(self) -> None:
        patient, never = agreed(), make_patient()
        consents.begin([patient, never], method="import")
        assert sorted(ledger(patient)) == [("email", True, "import", ""), ("sms", True, "import", "")]
        assert ledger(never) == []

    def test_a_row_is_never_deleted(self) -> None:
        agreed()
        consents.stop(NUMBER, evidence="SM1")
        with pytest.raises(IntegrityError, match="insert-only"), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("DELETE FROM patients_contactconsent")


@pytest.mark.parametrize(("channel", "other"), [("sms", "email"), ("email", "sms")])
def test_r36_without_consent_nothing_is_planned_on_that_channel(channel: str, other: str) -> None:
    patient = agreed(**{f"{channel}_consent": False})
    visit = services_of_visits.book(
        by=None, patient=patient, doctor=make_doctor(), appointment_datetime=timezone.now() + timedelta(days=9),
        availability_override_reason="asked",
    )  # fmt: skip
    assert set(visit.reminders.filter(status="pending").values_list("reminder_type", flat=True)) == {other}
    services.consent(patient, by=make_user(role="receptionist"), channel=other, given=False)
    assert not visit.reminders.filter(status="pending").exists()


class TestStopAndStart:
    def test_r38_stop_holds_for_all_patients_on_that_number_and_for_who_comes_later(self) -> None:
        mother, child, stranger = agreed(), agreed(email=""), agreed(phone="+14155550199")
        assert {row.pk for row in consents.stop(NUMBER, evidence="SM1")} == {mother.pk, child.pk}
        assert ledger(child) == [("sms", False, "text", "SM1")]
        assert all(why_unreachable(one, "sms") for one in (mother, child, agreed()))
        assert why_unreachable(stranger, "sms") is None
        assert why_unreachable(mother, "email") is None

    def test_stop_said_twice_is_one_row(self) -> None:
        patient = agreed()
        consents.stop(NUMBER, evidence="SM1")
        assert consents.stop(NUMBER, evidence="SM2") == []
        assert ledger(patient) == [("sms", False, "text", "SM1")]
        assert ContactPoint.objects.get().opted_out_evidence == "SM1"

    def test_r37_after_stop_and_start_the_patient_is_texted_again(self) -> None:
        patient = agreed()
        consents.stop(NUMBER, evidence="SM1")
        assert why_unreachable(patient, "sms") == "Somebody at this address asked for no more messages."
        assert consents.start(NUMBER, evidence="SM2") == [patient]
        assert why_unreachable(patient, "sms") is None
        assert ledger(patient) == [("sms", False, "text", "SM1"), ("sms", True, "text", "SM2")]

    def test_start_gives_nothing_to_who_had_not_agreed_before_the_stop(self) -> None:
        patient = agreed(sms_consent=False)
        consents.stop(NUMBER, evidence="SM1")
        assert consents.start(NUMBER, evidence="SM2") == []
        assert why_unreachable(patient, "sms") == "The patient has not agreed to this channel."

    def test_start_gives_nothing_to_who_told_the_desk_no_after_the_stop(self) -> None:
        patient = agreed()
        consents.stop(NUMBER, evidence="SM1")
        services.consent(patient, by=make_user(role="receptionist"), channel="sms", given=False)
        assert consents.start(NUMBER, evidence="SM2") == []
        assert why_unreachable(patient, "sms")

    def test_start_gives_nothing_to_who_took_the_number_over(self) -> None:
        before = agreed()
        consents.stop(NUMBER, evidence="SM1")
        services.correct(before, by=None, phone="+14155550111")
        assert consents.start(NUMBER, evidence="SM2") == []
        assert why_unreachable(before, "sms")

    def test_start_from_a_number_that_was_never_ours_does_nothing(self) -> None:
        patient = agreed(sms_consent=False)
        assert consents.start(NUMBER, evidence="SM1") == []
        assert consents.start("+14155550177", evidence="SM1") == []
        assert ledger(patient) == []
        assert not ContactPoint.objects.exists()

    def test_a_consent_told_to_the_desk_does_not_open_a_number_that_said_stop(self) -> None:
        patient = agreed()
        consents.stop(NUMBER, evidence="SM1")
        services.consent(patient, by=make_user(role="receptionist"), channel="sms", given=True)
        assert why_unreachable(patient, "sms") == "Somebody at this address asked for no more messages."

    def test_an_opt_out_reported_by_the_provider_counts_as_one_and_start_takes_it_back(self) -> None:
        patient = agreed()
        consents.mark_opted_out("sms", NUMBER, code="21610")
        assert ledger(patient) == [("sms", False, "provider", "21610")]
        assert consents.start(NUMBER, evidence="SM1") == [patient]


class TestMailboxes:
    def test_a_mailbox_that_unsubscribed_gets_nothing_more_whoever_shares_it(self) -> None:
        patient, shares = agreed(email="Ada.Okafor@example.org"), agreed()
        for whose in (patient, MAILBOX.upper()):
            consents.opt_out_email(whose, method="unsubscribe", evidence="link")
        assert ledger(patient) == ledger(shares) == [("email", False, "unsubscribe", "link")]
        assert why_unreachable(shares, "email")
        assert why_unreachable(shares, "sms") is None

    def test_the_way_back_gives_the_consents_back_that_ended_with_it(self) -> None:
        patient, never = agreed(), agreed(email_consent=False)
        consents.opt_out_email(patient, method="unsubscribe", evidence="link")
        assert consents.opt_in_email(patient, method="unsubscribe", evidence="link") == [patient]
        assert why_unreachable(patient, "email") is None
        assert why_unreachable(never, "email")

    def test_who_agrees_to_e_mail_again_at_the_desk_gets_it_again(self) -> None:
        patient, shares = agreed(), agreed()
        consents.opt_out_email(MAILBOX, method="unsubscribe", evidence="link")
        services.consent(patient, by=make_user(role="nurse"), channel="email", given=True)
        assert why_unreachable(patient, "email") is None
        assert why_unreachable(shares, "email") == "The patient has not agreed to this channel."

    def test_registering_somebody_with_that_mailbox_does_not_open_it(self) -> None:
        agreed()
        consents.opt_out_email(MAILBOX, method="unsubscribe", evidence="link")
        who = {"first_name": "Ida", "last_name": "Wells", "date_of_birth": "1980-05-17", "email": MAILBOX}
        new = services.register(by=make_user(role="receptionist"), email_consent=True, **who)
        assert why_unreachable(new, "email") == "Somebody at this address asked for no more messages."
        services.correct(new, by=None, email_consent=False)
        services.correct(new, by=None, email_consent=True)  # changed on purpose
        assert why_unreachable(new, "email") is None

    @pytest.mark.parametrize("first", ["provider", "unsubscribe"])
    def test_nobody_opens_a_mailbox_that_called_our_mail_spam(self, first: str) -> None:
        patient = agreed()
        for method in (first, "provider", "unsubscribe"):
            consents.opt_out_email(MAILBOX, method=method, evidence="spamreport")
        services.consent(patient, by=make_user(role="nurse"), channel="email", given=True, method="patient")
        assert consents.opt_in_email(patient, method="unsubscribe", evidence="link") == []
        assert why_unreachable(patient, "email") == "Somebody at this address asked for no more messages."

    def test_a_patient_without_a_mailbox_can_unsubscribe(self) -> None:
        patient = agreed(email="")
        assert consents.opt_out_email(patient, method="unsubscribe", evidence="link") == [patient]
        assert consents.opt_out_email("", method="unsubscribe", evidence="link") == []
        assert not ContactPoint.objects.exists()


class TestUsability:
    def test_a_number_that_cannot_take_texts_is_left_alone_until_somebody_says_otherwise(self) -> None:
        patient = agreed()
        consents.mark_unusable("sms", NUMBER, code="30006")
        point = consents.mark_unusable("sms", NUMBER, code="21614")
        assert (point.unusable_code, ContactPoint.objects.count()) == ("30006", 1)
        assert why_unreachable(patient, "sms") == "This address cannot take messages."
        visit = services_of_visits.book(
            by=None, patient=patient, doctor=make_doctor(), appointment_datetime=timezone.now() + timedelta(days=9),
            availability_override_reason="asked",
        )  # fmt: skip
        assert not visit.reminders.filter(reminder_type="sms").exists()
        consents.mark_usable(point, by=make_user(role="nurse"))
        assert why_unreachable(patient, "sms") is None
        assert visit.reminders.filter(reminder_type="sms", status="pending").exists()

    def test_making_it_usable_again_does_not_take_a_stop_back(self) -> None:
        patient = agreed()
        consents.stop(NUMBER, evidence="SM1")
        consents.mark_usable(consents.mark_unusable("sms", NUMBER, code="30006"), by=None)
        assert why_unreachable(patient, "sms")
