"""Proves that a claim goes once, and is kept, though its file is given up or leaves while an answer is read."""

from __future__ import annotations

import threading

import pytest
from django.db import transaction
from django.utils import timezone

from backend.apps.core.models import Alert
from backend.apps.insurance import interchanges, secondaries
from backend.apps.insurance.models import InboundFile, InsuranceClaim, Submission
from backend.apps.insurance.tests.factories import make_claim, make_patient_insurance
from backend.apps.insurance.tests.factories import partner as make_partner
from backend.apps.insurance.tests.sent_claims import inbound_file, moved, queued, sent_file
from tests.support.races import at_once, wait_until_waited_for
from tests.workers.claims.answers import ack, content, sent_one, status
from workers.claims import reading

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("answer", ["999", "277CA"])
def test_a_file_that_is_given_up_while_its_answer_is_read_arrived(rung: list[str], answer: str) -> None:
    claim, file = sent_one(make_partner())
    given = ack(file) if answer == "999" else status("A2:20", trace=claim.control_number, reference="B1")
    begun = threading.Event()
    received = inbound_file(file.partner, content=content(given), status="received")

    def give_up() -> None:
        with transaction.atomic():
            interchanges.mark_not_received(file, by=None)
            begun.set()
            wait_until_waited_for()

    def read() -> None:
        assert begun.wait(30)
        InboundFile.objects.filter(pk=received.pk).update(**reading.read(received))

    assert at_once(give_up, read) == ["done", "done"]
    claim.refresh_from_db()
    assert claim.status == ("pending" if answer == "999" else "accepted")
    states = Submission.objects.filter(claim=claim).order_by("pk").values_list("status", flat=True)
    assert list(states) == [claim.status, "withdrawn"]
    assert not Alert.objects.filter(kind="claims_sent_twice").exists()


def test_a_draft_that_leaves_while_what_it_rests_on_changes_is_kept_and_told_of(rung: list[str]) -> None:
    partner = make_partner()
    first, _ = sent_one(partner)
    moved(first, "accepted")
    later = make_patient_insurance(patient=first.patient_insurance.patient, priority=2)
    second = make_claim(patient_insurance=later, secondary_to=first)
    waits = queued(partner, second)
    file = sent_file(partner, state="batched")
    begun = threading.Event()

    def leave() -> None:
        with transaction.atomic():
            Submission.objects.filter(pk=waits.pk).update(status="batched", interchange=file)
            interchanges.mark_sent(file, at=timezone.now())
            begun.set()
            wait_until_waited_for()

    def follow() -> None:
        assert begun.wait(30)
        secondaries.follow([first.pk])

    assert at_once(leave, follow) == ["done", "done"]
    assert InsuranceClaim.objects.get(pk=second.pk).status == "submitted"
    assert Alert.objects.get(kind="claims_secondary_outdated").subject_id == str(second.pk)
