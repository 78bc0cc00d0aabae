"""Proves that files in doubt are decided by people who were told what follows, and that partners can be stopped."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from backend.apps.core.models import Alert, AuditLog
from backend.apps.insurance import partner_checks
from backend.apps.insurance.models import (
    InboundFile,
    Interchange,
    Submission,
)
from backend.apps.insurance.tests.factories import make_claim, partner
from backend.apps.insurance.tests.sent_claims import inbound_file, queued, sent_file
from backend.apps.interop.tests.billing_pages import (
    FILES,
    INBOUND,
    page,
    rows,
    said,
)
from tests.support.pages import signed_in

pytestmark = pytest.mark.django_db


def test_files_in_doubt_come_with_what_follows_from_each_answer() -> None:
    client, north, claim = signed_in("receptionist"), partner(name="North"), make_claim()
    file = sent_file(north, claim, state="batched", status="in_doubt", work_state="held")
    told = page(client, FILES)
    assert "<b>1 file</b> is in doubt or held" in told
    assert "Perhaps it arrived" in told
    asked = said(client, f"{FILES}{file.pk}/mark_not_received/")
    assert "they are claimed twice" in asked
    file.refresh_from_db()
    assert file.status == "in_doubt"
    told = said(client, f"{FILES}{file.pk}/mark_received/", confirmed="1")
    assert "The file counts as sent" in told
    claim.refresh_from_db()
    assert (claim.status, Submission.objects.get().status) == ("submitted", "sent")
    assert AuditLog.objects.filter(action="console.mark_received", resource_id=str(file.pk)).exists()


def test_claims_of_a_file_that_never_arrived_wait_for_the_next_one() -> None:
    client, claim = signed_in("receptionist"), make_claim()
    file = sent_file(partner(), claim, state="batched", status="in_doubt", work_state="held")
    assert "wait for the next one" in said(client, f"{FILES}{file.pk}/mark_not_received/", confirmed="1")
    assert sorted(Submission.objects.values_list("status", flat=True)) == ["queued", "requeued"]
    assert "already" not in said(client, f"{FILES}{file.pk}/mark_not_received/", confirmed="1")
    assert Submission.objects.count() == 2


def test_files_are_listed_by_state_and_cost_the_same_for_many() -> None:
    client, north = signed_in("receptionist"), partner()
    sent_file(north, make_claim())
    page(client, FILES)
    with CaptureQueriesContext(connection) as few:
        page(client, FILES)
    for _ in range(3):
        sent_file(north, make_claim(), state="batched")
    with CaptureQueriesContext(connection) as many:
        told = page(client, FILES)
    assert len(many) == len(few) <= 20
    assert "<b>3</b> ready" in told
    assert rows(page(client, FILES, status="ready")).count("for Clearinghouse") == 3
    assert Interchange.objects.count() == 4


def test_files_are_made_and_answers_collected_when_somebody_cannot_wait() -> None:
    client, north = signed_in("receptionist"), partner()
    queued(north, make_claim())
    assert "Make files now" in page(client, FILES)
    assert "put into files now" in said(client, f"{FILES}now/build/")
    assert "asked for answers now" in said(client, f"{FILES}now/collect/")
    assert client.post(f"{FILES}now/conjure/").status_code == 404
    assert client.post(f"{FILES}now/build/").status_code == 302
    assert signed_in("nurse").post(f"{FILES}now/build/").status_code == 403
    assert AuditLog.objects.filter(action="console.collect").count() == 1


def test_nobody_is_told_that_something_is_done_where_there_is_nothing_to_do() -> None:
    client, north = signed_in("receptionist"), partner()
    assert "data-again" not in page(client, FILES)
    assert "No claim waits for a file" in said(client, f"{FILES}now/build/")
    queued(north, make_claim())
    assert "data-again" in page(client, FILES)
    north.paused_at = timezone.now()
    north.save()
    assert "data-again" not in page(client, FILES)
    for verb in ("build", "collect"):
        assert "resume one first" in said(client, f"{FILES}now/{verb}/")


def test_the_files_from_partners_are_looked_at_again_while_one_is_being_read() -> None:
    client, file = signed_in("receptionist"), inbound_file(partner(), status="received", work_state="waiting")
    assert "data-again" in page(client, INBOUND)
    InboundFile.objects.filter(pk=file.pk).update(status="quarantined")
    assert "data-again" not in page(client, INBOUND)


def test_a_connection_is_tried_and_the_answer_stands_beside_the_partner() -> None:
    north, admin, desk = partner(name="North"), signed_in("admin"), signed_in("receptionist")
    url = f"{FILES}partners/{north.pk}/check/"
    assert "Try the connection" not in page(desk, FILES)
    assert desk.post(url).status_code == 403
    told = said(admin, url)
    assert "North: the connection is being tried." in told
    assert "data-again" in told
    partner_checks.not_reached(north, "sftp:auth")
    told = page(desk, FILES)
    assert "North: the connection fails (sftp:auth)." in told
    assert "data-again" not in told
    for _ in range(2):
        told = said(admin, url)
        assert "data-again" in told
        assert "North: the connection fails (sftp:auth). It is being tried again." in told
    assert Alert.objects.get().sentence.count("again") == 1
    partner_checks.not_reached(north, "sftp:auth")
    assert "data-again" not in page(desk, FILES)
    assert Alert.objects.get().times == 2, "that it was tried again is no news to whoever is on call"
    partner_checks.reached(north)
    assert "The connection works." in page(desk, FILES)


def test_files_that_came_wait_for_a_person_with_the_reason() -> None:
    client, north = signed_in("receptionist"), partner()
    inbound_file(north, name="fine.txt")
    inbound_file(north, name="odd.txt", status="quarantined", status_reason="It is no X12.", kinds="")
    told = page(client, INBOUND)
    assert "It is no X12." in told
    assert "fine.txt" not in told
    assert "fine.txt" in page(client, INBOUND, all="1")
    assert "<b>1</b> wait for a person" in page(client, FILES)
    assert InboundFile.objects.count() == 2


def test_a_file_put_aside_is_read_again() -> None:
    client, file = signed_in("receptionist"), inbound_file(partner(), status="quarantined", kinds="")
    assert "It is read again now." in said(client, f"{INBOUND}{file.pk}/retry/")
    file.refresh_from_db()
    assert file.work_state == "waiting"
    assert "or will be in a moment" in said(client, f"{INBOUND}{file.pk}/retry/")


def test_only_an_administrator_pauses_a_partner_and_lets_files_leave_again() -> None:
    north, admin, desk = partner(), signed_in("admin"), signed_in("receptionist")
    pause, resume = (f"{FILES}partners/{north.pk}/{verb}/" for verb in ("pause", "resume"))
    assert desk.post(pause, {"reason": "x"}).status_code == 403
    assert "Why nothing is to go there" not in page(desk, FILES)
    assert "Say why" in said(admin, pause)
    assert "Paused." in said(admin, pause, reason="New host key")
    assert "New host key" in page(desk, FILES)
    assert "Files leave again" in said(admin, resume)
    north.refresh_from_db()
    assert north.paused_at is None
