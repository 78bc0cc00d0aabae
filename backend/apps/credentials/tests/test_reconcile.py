"""Tampers with the ladders of credentials behind the database's back; each trick is found, and honest books agree."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from backend.apps.core.ledger import Books
from backend.apps.core.models import Clinic
from backend.apps.credentials import ladder, reconcile
from backend.apps.credentials.models import CredentialAlert, CredentialNotice
from backend.apps.credentials.tests.factories import lapsing, make_alert, make_notice

pytestmark = pytest.mark.django_db
MINUTES, HOUR = timedelta(minutes=5), timedelta(hours=1)
SENT = {"status": "sent", "work_state": "done", "recipient_email": "holder@example.org"}


def books() -> Books:
    return reconcile.credentials(None, None, settle=MINUTES)


def faults() -> dict[str, tuple[str, ...]]:
    return {fault.check: fault.examples for fault in books().faults}


def notice(**changes: Any) -> CredentialNotice:
    """Save an e-mail as it is, whatever that says."""
    made = make_notice()
    if changes.get("status") == "sent":
        changes.setdefault("sent_at", timezone.now())
    CredentialNotice.objects.filter(pk=made.pk).update(**changes)
    return made


def test_each_step_and_each_email_of_a_sweep_is_in_one_outcome() -> None:
    lapsing(20)
    lapsing(-1)
    ladder.raise_due(Clinic.today())
    steps = CredentialAlert.objects.count()
    found = books()
    assert found.agree, found.faults
    counted = {one.name: (one.taken_in, one.outcomes, one.in_line) for one in found.accounts}
    assert counted["steps of ladders"] == (steps, {"open": steps, "renewed": 0, "followed": 0, "withdrawn": 0}, 0)
    assert counted["e-mails to holder"] == (2, {"sent": 0, "not needed": 0, "failed": 0, "held": 0}, 2)
    assert counted["credential notices written"][0] == CredentialNotice.objects.count()


def test_every_email_is_counted_where_it_ended() -> None:
    notice(**SENT)
    notice(status="not_needed", work_state="done")
    notice(status="failed", work_state="failed", last_error="no mailbox")
    notice(work_state="held", last_error="the outcome is unknown")
    found = books()
    assert found.agree, found.faults
    (counted,) = (one for one in found.accounts if one.name == "e-mails to holder")
    assert counted.outcomes == {"sent": 1, "not needed": 1, "failed": 1, "held": 1}


@pytest.mark.parametrize(
    ("changes", "check"),
    [
        ({"work_state": "done"}, "state of a notice"),
        ({**SENT, "work_state": "waiting"}, "state of a notice"),
        ({"status": "not_needed", "work_state": "done", "sent_at": timezone.now()}, "sent when"),
        ({**SENT, "recipient_email": ""}, "sent when"),
        ({"status": "failed", "work_state": "failed"}, "no reason"),
        ({"due_at": timezone.now() - HOUR}, "notices in line"),
    ],
)
def test_what_is_wrong_with_an_email_is_named_with_its_id(changes: dict[str, Any], check: str) -> None:
    notice(**SENT)
    wrong = notice(**changes)
    assert faults() == {check: (str(wrong.pk),)}


def test_what_is_wrong_with_a_step_is_named_with_its_id() -> None:
    first = make_notice().alert
    assert first is not None
    alone = make_alert(credential=first.credential, tier=14)
    assert faults() == {
        "nobody told": (str(alone.pk),),
        "two steps open": tuple(sorted((str(first.pk), str(alone.pk)))),
    }
    CredentialAlert.objects.filter(pk=alone.pk).update(expiry_date=Clinic.today(), closed_at=None)
    assert faults()["another day"] == (str(alone.pk),)


def test_a_step_or_an_email_that_is_gone_is_missed_and_so_is_a_sweep_that_never_came() -> None:
    told, late = make_notice(), lapsing(10)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM credentials_credentialnotice WHERE id = %s", [told.pk])
        cursor.execute("DELETE FROM credentials_credentialalert WHERE id = %s", [told.alert_id])
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(
            "UPDATE doctors_doctorcredential SET updated_at = now() - interval '3 days' WHERE id = %s", [late.pk]
        )
        cursor.execute("SET LOCAL session_replication_role = origin")
    assert set(faults()) == {"credential alerts: gone", "credential notices: gone", "not looked at"}
    assert faults()["not looked at"] == (str(late.pk),)
