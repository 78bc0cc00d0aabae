"""Lets people decide about files of claims, and refuses what a machine will know or what would double a claim."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from backend.apps.core.exceptions import DomainError
from backend.apps.insurance import interchanges
from backend.apps.insurance.models import InsuranceClaim, Interchange, Submission, TradingPartner
from integrations.x12.fake import FakeClearinghouse
from tests.support.queued_claims import state, stored_file
from workers.claims.transmitting import transmit_due

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _rung(rung: list[str]) -> None:
    pass


def test_a_file_that_never_arrived_frees_its_claims_for_another(over_https: TradingPartner) -> None:
    file = stored_file(over_https, status="in_doubt", work_state="held")
    interchanges.mark_not_received(file, by=None)
    assert state(file) == ("rejected", "done")
    claim = InsuranceClaim.objects.get()
    assert claim.status == "draft"
    tries = Submission.objects.order_by("queued_at")
    assert [(one.status, one.claim_control_number) for one in tries] == [
        ("requeued", claim.control_number),
        ("queued", claim.control_number),
    ]


def test_a_sent_file_that_never_arrived_brings_its_claims_back_to_draft(over_sftp: TradingPartner) -> None:
    file = stored_file(over_sftp)
    transmit_due()
    interchanges.mark_not_received(file, by=None)
    claim = InsuranceClaim.objects.get()
    assert (claim.status, claim.submission_date) == ("draft", None)
    assert set(Submission.objects.values_list("status", flat=True)) == {"requeued", "queued"}


def test_a_person_does_not_guess_what_the_next_try_will_know(
    over_sftp: TradingPartner, house: FakeClearinghouse
) -> None:
    file = stored_file(over_sftp)
    house.order(next_drops=1, swallows=True)
    assert transmit_due() == "1 waiting"
    with pytest.raises(DomainError, match="next try"):
        interchanges.mark_not_received(file, by=None)
    TradingPartner.objects.update(paused_at=timezone.now())
    interchanges.mark_not_received(Interchange.objects.get(), by=None)
    assert state(file) == ("rejected", "done")


def test_a_claim_that_a_person_moved_by_hand_is_not_put_in_line_again(over_sftp: TradingPartner) -> None:
    file = stored_file(over_sftp)
    transmit_due()
    InsuranceClaim.objects.update(status="accepted")
    interchanges.mark_not_received(file, by=None)
    assert InsuranceClaim.objects.get().status == "accepted"
    assert Submission.objects.get().status == "sent"


@pytest.mark.parametrize("verb", [interchanges.send_again, interchanges.mark_received, interchanges.mark_not_received])
def test_a_person_decides_nothing_while_a_machine_sends(over_sftp: TradingPartner, verb: Any) -> None:
    file = stored_file(over_sftp, work_state="running")
    with pytest.raises(DomainError, match="right now"):
        verb(file, by=None)


def test_a_file_its_partner_has_answered_cannot_be_marked_as_not_received(over_sftp: TradingPartner) -> None:
    file = stored_file(over_sftp, status="sent", work_state="done", ta1_at=timezone.now())
    with pytest.raises(DomainError, match="was received"):
        interchanges.mark_not_received(file, by=None)
