"""Sends files to a real clearinghouse that goes wrong, and counts at its door how often each came."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from backend.apps.core.exceptions import DomainError
from backend.apps.core.models import Alert
from backend.apps.insurance import interchanges
from backend.apps.insurance.models import InsuranceClaim, Interchange, Submission, TradingPartner
from backend.apps.insurance.tests import factories
from integrations.clearinghouse.port import part_name
from integrations.x12.fake import FakeClearinghouse
from tests.integrations.clearinghouse.api_double import ApiDouble
from tests.support.queued_claims import stored_file
from workers.claims.handing_over import where
from workers.claims.one_at_a_time import alone_with
from workers.claims.transmitting import transmit_due

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _rung(rung: list[str]) -> None:
    pass


def again(file: Interchange) -> None:
    """Let a file be due, as if its wait or the lease of a dead worker were over."""
    past = timezone.now() - timedelta(hours=1)
    Interchange.objects.filter(pk=file.pk).update(due_at=past, leased_until=past)


def arrived(house: FakeClearinghouse) -> list[tuple[str, str]]:
    return [(entry.name, entry.verdict) for entry in house.ledger()]


def state(file: Interchange) -> tuple[str, str]:
    file.refresh_from_db()
    return file.status, file.work_state


def test_a_file_arrives_once_and_its_claims_are_submitted(over_sftp: TradingPartner, house: FakeClearinghouse) -> None:
    file = stored_file(over_sftp)
    assert transmit_due() == "1 sent"
    assert transmit_due() == "nothing due"
    assert arrived(house) == [(file.file_name, "taken")]
    assert (house.inbound() / file.file_name).read_bytes() == bytes(file.content)
    assert state(file) == ("sent", "done")
    claim = InsuranceClaim.objects.get()
    assert (claim.status, claim.submission_date is not None) == ("submitted", True)
    assert Submission.objects.get().status == "sent"


def test_files_go_in_their_order(over_sftp: TradingPartner, house: FakeClearinghouse) -> None:
    files = [stored_file(over_sftp) for _ in range(3)]
    again(files[2])
    assert transmit_due() == "3 sent"
    assert [name for name, _ in arrived(house)] == [file.file_name for file in files]


@pytest.mark.parametrize("left", ["part", "final", "neither"])
def test_a_staged_file_whose_worker_died_is_sent_once(
    over_sftp: TradingPartner, house: FakeClearinghouse, left: str
) -> None:
    file = stored_file(over_sftp, status="staged", staged_at=timezone.now(), work_state="running", lease_no=1)
    again(file)
    folder = house.inbound()
    if left != "neither":
        (folder / (part_name(file.file_name) if left == "part" else file.file_name)).write_bytes(bytes(file.content))
    assert transmit_due() == "1 sent"
    assert arrived(house) == ([(file.file_name, "taken")] if left == "part" else [])
    assert state(file) == ("sent", "done")


def test_a_staged_file_of_a_partner_that_moved_meanwhile_waits_for_a_person(
    over_sftp: TradingPartner, house: FakeClearinghouse
) -> None:
    before = where(over_sftp)
    TradingPartner.objects.update(username="clinic", outbound_folder="outbound")
    file = stored_file(over_sftp, status="staged", staged_where=before)
    assert transmit_due() == "1 held"
    assert state(file) == ("staged", "held")


def test_half_a_part_that_a_dead_worker_left_is_written_again(
    over_sftp: TradingPartner, house: FakeClearinghouse
) -> None:
    file = stored_file(over_sftp)
    (house.inbound() / part_name(file.file_name)).write_bytes(b"ISA*00")
    assert transmit_due() == "1 sent"
    assert (house.inbound() / file.file_name).read_bytes() == bytes(file.content)


def test_an_upload_that_is_cut_is_repeated(over_sftp: TradingPartner, house: FakeClearinghouse) -> None:
    file = stored_file(over_sftp)
    house.order(next_cuts=[100])
    assert transmit_due() == "1 waiting"
    assert state(file) == ("ready", "waiting")
    assert arrived(house) == []
    again(file)
    assert transmit_due() == "1 sent"
    assert arrived(house) == [(file.file_name, "taken")]


@pytest.mark.parametrize("swallows", [False, True])
def test_a_rename_whose_answer_is_lost_is_not_repeated(
    over_sftp: TradingPartner, house: FakeClearinghouse, swallows: bool
) -> None:
    file = stored_file(over_sftp)
    house.order(next_drops=1, swallows=swallows)
    assert transmit_due() == "1 waiting"
    assert state(file) == ("staged", "waiting")
    again(file)
    assert transmit_due() == "1 sent"
    assert arrived(house) == [(file.file_name, "taken")]


def test_a_name_that_is_taken_waits_for_a_person(over_sftp: TradingPartner, house: FakeClearinghouse) -> None:
    file = stored_file(over_sftp)
    (house.inbound() / file.file_name).write_bytes(b"somebody else's")
    assert transmit_due() == "1 held"
    assert state(file) == ("staged", "held")
    assert Alert.objects.get().kind == "claims_file"
    interchanges.mark_received(file, by=None)
    assert state(file) == ("sent", "done")
    assert Alert.objects.get().resolved_at is not None


def test_nothing_leaves_for_a_paused_partner_and_no_attempt_is_used_up(
    over_sftp: TradingPartner, house: FakeClearinghouse
) -> None:
    file = stored_file(over_sftp)
    TradingPartner.objects.update(paused_at=timezone.now())
    assert transmit_due() == "nothing due"
    file.refresh_from_db()
    assert (file.attempts, house.visits) == (0, 0)


def test_another_host_key_pauses_the_partner_and_tells_once(
    over_sftp: TradingPartner, house: FakeClearinghouse
) -> None:
    files = [stored_file(over_sftp) for _ in range(2)]
    TradingPartner.objects.update(host_key="SHA256:" + "A" * 43)
    assert transmit_due() == "2 waiting"
    over_sftp.refresh_from_db()
    assert over_sftp.paused_at is not None
    assert [state(file) for file in files] == [("ready", "waiting")] * 2
    alert = Alert.objects.get()
    assert (alert.severity, "sftp:host_key" in alert.sentence) == ("critical", True)


def test_a_refused_login_holds_all_back_and_tells_once(
    over_sftp: TradingPartner, house: FakeClearinghouse, secrets: Path
) -> None:
    files = [stored_file(over_sftp) for _ in range(3)]
    (secrets / "house").write_text("a wrong password")
    assert transmit_due() == "3 waiting"
    assert Alert.objects.count() == 1
    for file in files:
        file.refresh_from_db()
        assert file.due_at > timezone.now() + timedelta(minutes=4)
    assert [file.attempts for file in files] == [1, 0, 0]
    (secrets / "house").write_text(house.client_key)
    for file in files:
        again(file)
    assert transmit_due() == "3 sent"
    assert Alert.objects.get().resolved_at is not None


def test_a_silent_partner_costs_two_tries_and_no_file_is_given_up_for_it(over_sftp: TradingPartner) -> None:
    files = [stored_file(over_sftp) for _ in range(4)]
    TradingPartner.objects.update(port=9)
    for _ in range(10):
        assert transmit_due() == "4 waiting"
        for file in files:
            again(file)
    for file in files:
        assert state(file) == ("ready", "waiting")
    assert Alert.objects.get().kind == "claims_partner"


def test_while_another_worker_sends_to_a_partner_nobody_else_does(over_sftp: TradingPartner) -> None:
    stored_file(over_sftp)
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", [f"claims.transmit:{over_sftp.pk}"])
        assert transmit_due() == "nothing due"
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock_all()")
    finally:
        other.close()
    with alone_with(over_sftp.pk, "transmit") as ours:
        assert ours


def test_a_file_that_was_acknowledged_first_is_not_sent_again(
    over_sftp: TradingPartner, house: FakeClearinghouse
) -> None:
    file = stored_file(over_sftp)
    interchanges.mark_sent(file, at=timezone.now(), proof="Its TA1 came.")
    assert transmit_due() == "1 sent"
    assert arrived(house) == []
    assert InsuranceClaim.objects.get().status == "submitted"


def test_over_https_a_file_is_sent_under_the_digest_of_its_bytes(over_https: TradingPartner, api: ApiDouble) -> None:
    file = stored_file(over_https)
    assert transmit_due() == "1 sent"
    assert api.taken == {file.sha256: bytes(file.content)}
    assert state(file) == ("sent", "done")
    assert file.status_reason == "Receipt T1."


def test_a_lost_answer_leaves_a_file_in_doubt_and_asks_again_under_its_key(
    over_https: TradingPartner, api: ApiDouble
) -> None:
    file = stored_file(over_https)
    api.fail_next(drop=True, accepted=True)
    assert transmit_due() == "1 waiting"
    assert state(file) == ("in_doubt", "waiting")
    assert InsuranceClaim.objects.get().status == "draft"
    again(file)
    assert transmit_due() == "1 sent"
    assert len(api.taken) == 1


def test_a_worker_that_died_while_it_spoke_is_repeated_within_the_keys_day_only(
    over_https: TradingPartner, api: ApiDouble
) -> None:
    spoke = {"status": "speaking", "work_state": "running", "lease_no": 1}
    fresh = stored_file(over_https, spoken_at=timezone.now() - timedelta(hours=1), **spoke)
    old = stored_file(over_https, spoken_at=timezone.now() - timedelta(hours=30), **spoke)
    for file in (fresh, old):
        again(file)
    assert transmit_due() == "1 held, 1 sent"
    assert list(api.taken) == [fresh.sha256]
    assert state(old) == ("speaking", "held")


def test_what_may_have_been_received_goes_again_only_where_repeats_are_refused(
    over_https: TradingPartner, api: ApiDouble
) -> None:
    file = stored_file(over_https, status="in_doubt", spoken_at=timezone.now() - timedelta(days=3), work_state="held")
    with pytest.raises(DomainError, match="takes a file twice"):
        interchanges.send_again(file, by=None)
    TradingPartner.objects.update(rejects_duplicates=True)
    file.refresh_from_db()
    interchanges.send_again(Interchange.objects.get(pk=file.pk), by=None)
    again(file)
    assert transmit_due() == "1 sent"
    assert api.taken == {file.sha256: bytes(file.content)}


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


@pytest.mark.parametrize("verb", [interchanges.send_again, interchanges.mark_received, interchanges.mark_not_received])
def test_a_person_decides_nothing_while_a_machine_sends(over_sftp: TradingPartner, verb: Any) -> None:
    file = stored_file(over_sftp, work_state="running")
    with pytest.raises(DomainError, match="right now"):
        verb(file, by=None)


def test_a_file_its_partner_has_answered_cannot_be_marked_as_not_received(over_sftp: TradingPartner) -> None:
    file = stored_file(over_sftp, status="sent", work_state="done", ta1_at=timezone.now())
    with pytest.raises(DomainError, match="was received"):
        interchanges.mark_not_received(file, by=None)


def test_into_a_folder_a_file_goes_by_rename(settings: Any, tmp_path: Path, db: None) -> None:
    settings.DATA_DIR = tmp_path
    for name in ("drop", "pickup"):
        (tmp_path / name).mkdir()
    by = stored_file(_folder_partner()).partner
    assert transmit_due() == "1 sent"
    assert [path.name for path in (tmp_path / "drop").iterdir()] == [by.interchanges.get().file_name]


def _folder_partner() -> TradingPartner:
    return factories.partner(outbound_folder="drop", inbound_folder="pickup")
