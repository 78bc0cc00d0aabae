"""Holds of each class of data what goes and what stays, and that the clinic goes on to know what it has to."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest
from django.apps import apps
from django.conf import settings
from django.utils import timezone

from backend.apps.appointments.models import AppointmentReminder, FreedSlot, ReplanRequest
from backend.apps.appointments.tests.factories import make_reminder
from backend.apps.appointments.tests.waitlist_factories import make_freed_slot, make_waitlist_offer
from backend.apps.core import alerts
from backend.apps.core.exceptions import DomainError
from backend.apps.core.models import Alert, AlertNotice, ReconcileRun, RetentionRun
from backend.apps.credentials.models import CredentialAlert, CredentialNotice
from backend.apps.credentials.tests.factories import make_alert, make_notice
from backend.apps.interop import reconciling, retention_rules
from backend.apps.interop.models import DisclosedPatient, Disclosure, ExportChunk, ExportJob
from backend.apps.interop.retention_classes import CLASSES, LET_BE
from backend.apps.interop.tests.fhir.export_rows import make_chunk, make_disclosure
from backend.apps.interop.tests.test_retention import aged, resolved, rule_of
from backend.apps.messaging import inbound
from backend.apps.messaging.models import InboundText, PatientMessage
from backend.apps.messaging.tests.inbox_factories import make_inbound_text, make_patient_message, make_provider_event
from backend.apps.patients import consents
from backend.apps.patients.models import ConsentMethod
from backend.apps.patients.tests.factories import make_patient
from backend.apps.users.models import LoginSession
from backend.apps.users.tests.factories import make_user

pytestmark = pytest.mark.django_db
DONE = {"work_state": "done"}


def found_and_gone(name: str) -> tuple[int, int]:
    """Return what the dry run of a class counts, and what its purge then removes."""
    rule_of(name)
    found = RetentionRun.objects.get(is_dry=True, data_class=name).found
    return found, retention_rules.purge_due()[name]


def test_every_model_is_named_by_exactly_one_class() -> None:
    named = [label for of in CLASSES for label in of.covers]
    assert len(named) == len(set(named))
    assert {model._meta.label for model in apps.get_models()} == set(named)
    removed = {step.model._meta.label: of.name for of in CLASSES for step in of.steps}
    elsewhere = {label for label, name in removed.items() if label in named} - {
        label for of in CLASSES for label in of.covers if of.steps
    }
    assert elsewhere == set(), "a class removes what another one keeps"


def test_every_watcher_that_asks_what_a_person_let_be_is_known() -> None:
    asks = {
        path.stem for path in Path(settings.BASE_DIR).rglob("backend/apps/**/*.py")
        if "tests" not in path.parts and re.search(r"alerts\.(all_)?dismissed\(", path.read_text())
    }  # fmt: skip
    assert asks == {
        "expiry", "overdue", "reconcile_alerts", "registries", "retention_rules", "reviews_due", "silence",
    }  # fmt: skip
    assert len(set(LET_BE)) == len(asks) + 1, "one watches two kinds"


def test_messages_go_with_the_ones_that_followed_them_and_only_when_they_are_over() -> None:
    first = aged(make_reminder(status="failed", **DONE), days=2300, created_at=None, scheduled_send_time=None)
    visit, past = first.appointment, {"created_at": None, "scheduled_send_time": None}
    after = make_reminder(appointment=visit, offset_minutes=1, fallback_of=first, status="failed", **DONE)
    aged(after, days=2250, **past)
    needed = aged(make_reminder(appointment=visit, offset_minutes=4, status="failed", **DONE), days=2300, **past)
    needs = make_reminder(appointment=visit, offset_minutes=5, fallback_of=needed, status="failed", **DONE)
    aged(needs, days=2100, **past)
    waiting = aged(make_reminder(appointment=visit, offset_minutes=2), days=2300, **past)
    young = make_reminder(appointment=visit, offset_minutes=3, status="failed", **DONE)
    aged(young, days=2100, **past)
    held = aged(make_patient_message(visit.patient, work_state="held"), days=2300, **past)
    given_up = {"status": "failed", "work_state": "failed", "last_error": "given up: a wrong number"}
    aged(make_patient_message(visit.patient, **given_up), days=2300, **past)
    assert found_and_gone("messages") == (3, 3)
    assert set(AppointmentReminder.all_objects.all()) == {needed, needs, waiting, young}
    assert PatientMessage.all_objects.get() == held


@pytest.mark.parametrize("late", ["scheduled_send_time", "sent_at"])
def test_a_message_is_as_old_as_the_last_that_happened_to_it_however_early_it_was_planned(late: str) -> None:
    past = {"created_at": None, "scheduled_send_time": None, "sent_at": None}
    row = aged(make_reminder(status="failed", **DONE), days=2300, **past)
    aged(row, days=2100, **{late: None})
    assert found_and_gone("messages") == (0, 0)
    aged(row, days=2193, **{late: None})
    assert retention_rules.purge_due() == {"messages": 1}


def test_reports_and_texts_go_but_for_those_that_a_consent_in_force_goes_back_to() -> None:
    patient = make_patient(phone="+14155550100")
    consents.record(patient, "sms", True, by=None, method=ConsentMethod.STAFF)
    (stop, start), chat = (make_inbound_text(body=word) for word in ("STOP", "START")), make_inbound_text()
    InboundText.objects.filter(pk=stop.pk).update(intent="opt_out")
    for text, days in ((stop, 2300), (start, 2299), (chat, 2298)):
        aged(text, days=days, received_at=None)
        text.refresh_from_db()
        aged(make_provider_event(kind="inbound", message_id=text.sid, **DONE), days=days)
    inbound.heed(stop)
    assert (stop.handled_at, stop.outcome) == (None, "opted_out")
    assert found_and_gone("inbound_texts") == (0, 0), "one proves, two wait for a person"
    rule_of("provider_events")
    assert retention_rules.purge_due() == {"inbound_texts": 0, "provider_events": 2}
    start.intent = "opt_in"
    start.save()
    inbound.heed(start)
    assert start.outcome == "opted_in"
    assert retention_rules.purge_due() == {"inbound_texts": 1, "provider_events": 1}
    assert set(InboundText.objects.all()) == {start, chat}
    inbound.handle(chat, by=make_user("nurse"))
    assert retention_rules.purge_due()["inbound_texts"] == 1


def test_a_report_that_ended_mails_to_somebody_stays_while_they_are_stopped() -> None:
    event = aged(make_provider_event(provider="sendgrid", kind="event", **DONE), days=2300)
    consents.opt_out_email("a@example.org", method=ConsentMethod.UNSUBSCRIBE, evidence=str(event.pk))
    assert found_and_gone("provider_events") == (0, 0)
    consents.opt_in_email("a@example.org", method=ConsentMethod.UNSUBSCRIBE, evidence="link:1")
    assert retention_rules.purge_due() == {"provider_events": 1}


def test_an_export_goes_with_its_accounting_six_years_after_its_files_and_not_before() -> None:
    old, young = make_disclosure(make_patient(), make_patient()), make_disclosure(make_patient())
    make_chunk(old.job)
    for told, days in ((old, 2193), (young, 2190)):
        aged(told, days=2300, disclosed_at=None)
        aged(told.job, days=2300, created_at=None)
        aged(told.job, days=days, files_removed_at=None)
    assert found_and_gone("exports") == (1, 1)
    assert [ExportJob.all_objects.get(), Disclosure.objects.get()] == [young.job, young]
    assert (DisclosedPatient.objects.count(), ExportChunk.work.count()) == (1, 0)


def test_an_export_that_failed_goes_with_its_accounting_or_stays_with_it() -> None:
    told = make_disclosure(make_patient())
    aged(told, days=2300, disclosed_at=None)
    ExportJob.objects.update(status="expired", work_state="failed", last_error="it broke")
    aged(told.job, days=2300, created_at=None)
    assert found_and_gone("exports") == (0, 0)
    assert DisclosedPatient.objects.count() == 1
    aged(told.job, days=2193, files_removed_at=None)
    assert retention_rules.purge_due() == {"exports": 1}
    assert not DisclosedPatient.objects.exists()


def test_notices_of_alerts_go_when_their_alerts_are_gone() -> None:
    row = resolved(1)[0]
    notice = AlertNotice.work.get()
    aged(notice, days=2300)
    AlertNotice.work.update(**DONE)
    assert row.notice_id == notice.pk
    assert found_and_gone("alert_notices") == (0, 0)
    rule_of("alerts")
    assert retention_rules.purge_due() == {"alerts": 1, "alert_notices": 1}


def test_what_a_person_let_be_stays_let_be_and_other_alerts_go() -> None:
    by = make_user("admin")
    mine = [alerts.open_once(f"mine:{kind}", kind=kind, sentence="x") for kind in (*LET_BE, "lab_test")]
    gone = alerts.open_once("gone", kind=LET_BE[0], sentence="x")
    for row in mine:
        alerts.resolve(row, by=by)
    alerts.clear(gone.cause)
    for row in (*mine, gone):
        aged(row, days=2300, resolved_at=None)
    assert found_and_gone("alerts") == (2, 2)
    assert set(Alert.objects.all()) == set(mine[:-1])


def test_a_closing_stays_while_an_alert_tells_of_it() -> None:
    told_of, other, waits = (
        reconciling.ask(part, since=None, until=None, by=None) for part in ("claims", "exports", "reminders")
    )
    alerts.open_once("x", kind="reconcile_disagrees", sentence="x", subject=told_of)
    for row in (told_of, other, waits):
        aged(row, days=800)
    ReconcileRun.objects.filter(pk__in=[told_of.pk, other.pk]).update(**DONE)
    assert found_and_gone("reconcile_runs") == (1, 1)
    assert set(ReconcileRun.objects.all()) == {told_of, waits}


def test_warnings_of_credentials_go_once_they_are_closed_and_with_their_mails() -> None:
    closed, still = make_alert(), make_alert()
    for alert in (closed, still):
        aged(make_notice(alert=alert, **DONE), days=2300)
    CredentialAlert.objects.filter(pk=closed.pk).update(closed_because="renewed", closed_at=timezone.now())
    aged(closed, days=2300, closed_at=None, created_at=None)
    waits = aged(make_notice(alert=make_alert()), days=2300)
    assert found_and_gone("credential_notices") == (2, 2)
    assert set(CredentialAlert.objects.all()) == {still, waits.alert}
    assert CredentialNotice.objects.count() == 2


def test_removals_go_after_six_years_those_that_died_too_and_what_somebody_is_at_stays() -> None:
    old = [RetentionRun.objects.create(data_class="sessions", is_dry=False, cutoff=timezone.now()) for _ in range(3)]
    for row in old[:2]:
        aged(row, days=2300, created_at=None, ended_at=None)
    assert found_and_gone("retention_runs") == (2, 2)
    assert RetentionRun.objects.filter(data_class="sessions").get() == old[2]


def test_closed_sign_ins_go_and_a_hold_keeps_those_that_ran_out_as_well() -> None:
    long_ago = timezone.now() - timedelta(days=31)
    user = make_user("nurse")
    ran_out = LoginSession.objects.create(user=user, refresh_jti="r" * 32, created_at=long_ago)
    ended = {"created_at": long_ago, "revoked_because": "logout"}
    LoginSession.objects.create(user=user, refresh_jti="x" * 32, revoked_at=long_ago, **ended)
    LoginSession.objects.create(user=user, refresh_jti="y" * 32, revoked_at=timezone.now(), **ended)
    rule = rule_of("sessions")
    retention_rules.deactivate(rule, by=None, reason="A legal hold.")
    assert (retention_rules.purge_due(), retention_rules.expire()["run_out_sign_ins"]) == ({}, 0)
    assert LoginSession.objects.count() == 3
    retention_rules.activate(rule, by=None, reason="It is over.")
    assert retention_rules.purge_due() == {"sessions": 1}
    assert retention_rules.expire()["run_out_sign_ins"] == 1
    assert LoginSession.objects.filter(pk=ran_out.pk).count() == 0


def test_a_class_whose_rule_was_never_let_is_held_and_let_go_again() -> None:
    long_ago = timezone.now() - timedelta(days=31)
    LoginSession.objects.create(user=make_user("nurse"), refresh_jti="r" * 32, created_at=long_ago)
    rule = retention_rules.of_class("sessions")
    for refused in ("", " "):
        with pytest.raises(DomainError, match="Say why"):
            retention_rules.deactivate(rule, by=None, reason=refused)
    retention_rules.deactivate(rule, by=None, reason="A legal hold.")
    assert (rule.is_held, rule.reason, retention_rules.expire()["run_out_sign_ins"]) == (True, "A legal hold.", 0)
    with pytest.raises(DomainError, match="stopped already"):
        retention_rules.deactivate(rule, by=None, reason="Another.")
    retention_rules.release(rule, by=None)
    with pytest.raises(DomainError, match="not held"):
        retention_rules.release(rule, by=None)
    assert (rule.is_held, rule.is_active, rule.reason) == (False, False, "")
    assert retention_rules.expire()["run_out_sign_ins"] == 1


def test_spent_requests_go_and_times_that_somebody_was_offered_stay() -> None:
    offered, other = make_waitlist_offer().slot, make_freed_slot()
    visit = other.freed_by_id
    ReplanRequest.work.all().delete()
    ReplanRequest.ask([visit, visit])
    spent, waits = ReplanRequest.work.all()
    for row in (spent, waits):
        aged(row, days=100, due_at=None)
    ReplanRequest.work.filter(pk=spent.pk).update(**DONE)
    for slot in (offered, other):
        aged(slot, days=100, starts_at=None)
        FreedSlot.objects.filter(pk=slot.pk).update(**DONE)
    assert found_and_gone("spent_requests") == (2, 2)
    assert (ReplanRequest.work.get(), FreedSlot.objects.get()) == (waits, offered)


def test_a_dry_run_tells_of_which_tables_the_rows_are() -> None:
    make_patient_message(make_patient(), status="failed", **DONE)
    past = {"created_at": None, "scheduled_send_time": None}
    aged(PatientMessage.objects.get(), days=2300, **past)
    aged(make_reminder(status="failed", **DONE), days=2300, **past)
    rule_of("messages")
    run = RetentionRun.objects.get()
    assert run.found_in == {"appointments.AppointmentReminder": 1, "messaging.PatientMessage": 1}
    assert retention_rules.tables_of(run) == " (1 patient messages, 1 appointment reminders)"
