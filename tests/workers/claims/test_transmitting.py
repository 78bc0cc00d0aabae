"""Sends files to a real clearinghouse that goes wrong, and counts at its door how often each came."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from backend.apps.core.models import Alert
from backend.apps.insurance import interchanges
from backend.apps.insurance.models import InsuranceClaim, Submission, TradingPartner
from integrations.clearinghouse.port import part_name
from integrations.x12.fake import FakeClearinghouse
from tests.integrations.clearinghouse.api_double import ApiDouble
from tests.support.queued_claims import again, state, stored_file
from workers import gateways
from workers.claims.collecting import collect_due
from workers.claims.one_at_a_time import Turn, alone_with
from workers.claims.transmitting import Sender, transmit_due
from workers.runner import HandlerBug

pytestmark = pytest.mark.django_db
SOMEBODY = "DOE, JANE"


@pytest.fixture(autouse=True)
def _rung(rung: list[str], settings: Any) -> None:
    settings.CLAIMS_LOOK_AGAIN_S = 0.0


def arrived(house: FakeClearinghouse) -> list[tuple[str, str]]:
    return [(entry.name, entry.verdict) for entry in house.ledger()]


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


@pytest.mark.parametrize(
    "change",
    [
        {"outbound_folder": "outbound"},
        {"host": "localhost"},
        {"transport": "https", "base_url": "http://127.0.0.1:9"},
        {"transport": "folder", "outbound_folder": "to", "inbound_folder": "to"},
    ],
)
def test_a_staged_file_of_a_partner_that_moved_meanwhile_waits_for_a_person(
    over_sftp: TradingPartner, house: FakeClearinghouse, settings: Any, tmp_path: Path, change: dict[str, str]
) -> None:
    settings.PARTNER_FOLDERS = tmp_path
    (tmp_path / "to").mkdir()
    file = stored_file(over_sftp)
    (house.inbound() / file.file_name).write_bytes(b"somebody else's")
    assert transmit_due() == "1 held"
    (house.inbound() / file.file_name).unlink()
    TradingPartner.objects.update(**change)
    interchanges.send_again(file, by=None)
    again(file)
    assert transmit_due() == "1 held"
    assert state(file) == ("staged", "held")
    assert "where this partner no longer is" in Alert.objects.get().sentence or "moved" in Alert.objects.get().sentence


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
    interchanges.send_again(file, by=None)
    again(file)
    assert transmit_due() == "1 held", "a file under our name is not ours while our part lies beside it"
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


def test_a_pin_that_cannot_be_read_is_told_and_pauses_nobody(over_sftp: TradingPartner) -> None:
    stored_file(over_sftp)
    TradingPartner.objects.update(host_key="ssh-ed25519 AAAA")
    assert transmit_due() == "1 waiting"
    over_sftp.refresh_from_db()
    alert = Alert.objects.get()
    assert (over_sftp.paused_at, alert.severity, "sftp:pin" in alert.sentence) == (None, "critical", True)


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


class Turned:
    """A way to a partner at which something happens with each file before it is renamed."""

    def __init__(self, door: Any, happens: Any) -> None:
        self._door, self._happens = door, happens

    def rename(self, name: str) -> None:
        self._happens()
        self._door.rename(name)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._door, name)

    def __enter__(self) -> Turned:
        return self

    def __exit__(self, *_: object) -> None:
        self._door.close()


def _break() -> None:
    raise KeyError(SOMEBODY)


def test_a_fault_of_our_own_at_one_partner_stops_no_other_and_is_told(
    over_sftp: TradingPartner, over_https: TradingPartner, api: ApiDouble, monkeypatch: Any, caplog: Any
) -> None:
    make = gateways.clearinghouse
    for _ in range(2):
        stored_file(over_sftp)
    file = stored_file(over_https)
    monkeypatch.setattr(gateways, "clearinghouse", lambda one: _break() if one.transport == "sftp" else make(one))
    with pytest.raises(HandlerBug, match="KeyError"):
        transmit_due()
    assert state(file) == ("sent", "done")
    alert = Alert.objects.get()
    assert (alert.kind, alert.severity, alert.subject_id) == ("claims_partner", "critical", str(over_sftp.pk))
    assert SOMEBODY not in alert.sentence + caplog.text


def test_a_file_at_which_we_fail_is_tried_again_and_told_after_the_last_try(
    over_sftp: TradingPartner, monkeypatch: Any
) -> None:
    make = gateways.clearinghouse
    files = [stored_file(over_sftp), stored_file(over_sftp, attempts=7)]
    monkeypatch.setattr(gateways, "clearinghouse", lambda one: Turned(make(one), _break))
    with pytest.raises(HandlerBug, match="KeyError"):
        transmit_due()
    assert [state(file) for file in files] == [("staged", "waiting"), ("staged", "failed")]
    alert = Alert.objects.get()
    assert (alert.kind, alert.subject_id) == ("claims_file", str(files[1].pk))


def test_a_partner_that_is_paused_in_the_middle_gets_no_other_file(
    over_sftp: TradingPartner, house: FakeClearinghouse, monkeypatch: Any
) -> None:
    make = gateways.clearinghouse
    files = [stored_file(over_sftp) for _ in range(2)]

    def pause() -> None:
        TradingPartner.objects.update(paused_at=timezone.now())

    monkeypatch.setattr(gateways, "clearinghouse", lambda one: Turned(make(one), pause))
    assert transmit_due() == "1 released, 1 sent"
    assert [state(file) for file in files] == [("sent", "done"), ("ready", "waiting")]
    assert len(arrived(house)) == 1


def test_who_has_lost_the_lock_sends_nothing(over_sftp: TradingPartner, house: FakeClearinghouse) -> None:
    stored_file(over_sftp)
    with alone_with(over_sftp.pk, "transmit") as turn:
        assert turn.holds()
        other = Turn(ours=True, session=turn.session + 1)  # of a connection that broke
        counts, _ = Sender(over_sftp.pk, other, float("inf")).run()
    assert (counts, arrived(house)) == ({"released": 1}, [])


def test_a_partner_that_cannot_be_reached_and_has_nothing_due_is_no_fault(over_sftp: TradingPartner) -> None:
    TradingPartner.objects.update(secret_name="nowhere")
    with alone_with(over_sftp.pk, "transmit") as turn:
        assert Sender(TradingPartner.objects.get().pk, turn, float("inf")).run() == ({}, [])


def test_that_files_leave_does_not_settle_that_answers_do_not_come(over_sftp: TradingPartner) -> None:
    TradingPartner.objects.update(inbound_folder="nowhere")
    assert collect_due() == "1 not reached"
    stored_file(over_sftp)
    assert transmit_due() == "1 sent"
    alert = Alert.objects.get()
    assert (alert.resolved_at, "collecting answers" in alert.sentence) == (None, True)


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
