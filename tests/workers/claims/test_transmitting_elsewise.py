"""Sends files by a web API and by folders, and looks at what is known of them when something breaks."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from backend.apps.core.exceptions import DomainError
from backend.apps.core.models import Alert
from backend.apps.insurance import interchanges
from backend.apps.insurance.models import InsuranceClaim, Interchange, TradingPartner
from backend.apps.insurance.tests import factories
from integrations.clearinghouse.folder import FolderClearinghouse
from integrations.clearinghouse.https import Api, HttpsClearinghouse
from integrations.errors import Unknown
from tests.integrations.clearinghouse.api_double import ApiDouble
from tests.support.queued_claims import again, state, stored_file
from workers.claims.handing_over import hand_over
from workers.claims.transmitting import transmit_due

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _rung(rung: list[str]) -> None:
    pass


@pytest.mark.parametrize(
    "change", [{"transport": "folder", "outbound_folder": "to", "inbound_folder": "to"}, {"base_url": "http://[::1]:9"}]
)
def test_a_file_that_may_have_been_received_is_looked_for_nowhere_else(
    over_https: TradingPartner, api: ApiDouble, settings: Any, tmp_path: Path, change: dict[str, str]
) -> None:
    settings.PARTNER_FOLDERS = tmp_path
    (tmp_path / "to").mkdir()
    file = stored_file(over_https)
    api.fail_next(drop=True)
    assert transmit_due() == "1 waiting"
    TradingPartner.objects.update(**change)
    again(file)
    assert transmit_due() == "1 held"
    assert state(file) == ("in_doubt", "held")
    assert (list((tmp_path / "to").iterdir()), len(api.requests)) == ([], 1)


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


def test_a_file_that_was_acknowledged_meanwhile_is_never_in_doubt(over_https: TradingPartner) -> None:
    file = stored_file(over_https, work_state="running", lease_no=1)

    class Slow(HttpsClearinghouse):
        def send(self, *_given: Any) -> Any:
            Interchange.objects.update(status="acknowledged")
            raise Unknown("no answer", code="https:unanswered")

    with Slow(Api(over_https.base_url, "Authorization", "Key")) as door:
        hand_over(file, over_https, door)
    assert state(file) == ("acknowledged", "done")


@pytest.mark.parametrize(
    ("secret", "header"),
    [
        ("Key a:b\n", {"Authorization": "Key a:b"}),
        ("a:b", {"Authorization": "a:b"}),
        ("X-Key: a:b", {"X-Key": "a:b"}),
    ],
)
def test_a_secret_is_a_key_or_a_header_with_its_name(
    over_https: TradingPartner, api: ApiDouble, secrets: Path, secret: str, header: dict[str, str]
) -> None:
    (secrets / "api").write_text(secret)
    stored_file(over_https)
    assert transmit_due() == "1 waiting"
    assert header.items() <= api.requests[0].headers.items()


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


def test_a_file_is_not_taken_for_sent_while_its_disk_is_away(settings: Any, tmp_path: Path, db: None) -> None:
    settings.PARTNER_FOLDERS = tmp_path
    drop, away = tmp_path / "drop", tmp_path / "away"
    for folder in (drop, tmp_path / "pickup"):
        folder.mkdir()
    file = stored_file(_folder_partner())
    (drop / file.file_name).write_bytes(b"somebody else's")
    assert transmit_due() == "1 held"
    (drop / file.file_name).unlink()
    drop.rename(away)
    drop.mkdir()
    interchanges.send_again(file, by=None)
    again(file)
    assert transmit_due() == "1 waiting"
    assert state(file) == ("staged", "waiting")
    drop.rmdir()
    away.rename(drop)
    again(file)
    assert transmit_due() == "1 sent"
    assert [path.name for path in drop.iterdir()] == [file.file_name]


@pytest.mark.parametrize("decision", [interchanges.mark_received, interchanges.mark_not_received, None])
def test_files_whose_disk_does_not_come_back_hold_up_no_other_and_wait_for_a_person(
    settings: Any, tmp_path: Path, db: None, decision: Any
) -> None:
    settings.PARTNER_FOLDERS = tmp_path
    drop, away, by = tmp_path / "drop", tmp_path / "away", _folder_partner()
    for folder in (drop, tmp_path / "pickup"):
        folder.mkdir()
    lost = [stored_file(by) for _ in range(2)]
    for file in lost:
        (drop / file.file_name).write_bytes(b"somebody else's")
    assert transmit_due() == "2 held"
    drop.rename(away)
    drop.mkdir()
    for file in lost:
        interchanges.send_again(file, by=None)
        again(file)
    new = stored_file(by)
    assert transmit_due() == "3 waiting"
    later = stored_file(by)
    assert transmit_due() == "1 waiting", "also while those that were put elsewhere are not due"
    for told in ["2 waiting", "2 waiting", "2 held"]:
        for file in lost:
            again(file)
        assert transmit_due() == told
    assert list(drop.iterdir()) == []
    for file in (new, later):
        again(file)
    assert transmit_due() == "2 sent"
    assert {path.name for path in drop.iterdir()} == {new.file_name, later.file_name}
    assert [state(file) for file in lost] == [("staged", "held")] * 2
    assert Alert.objects.filter(kind="claims_file", resolved_at=None).count() == 2
    if decision:
        decision(lost[0], by=None)
        assert state(lost[0])[1] == "done"
        return
    drop.rename(tmp_path / "was empty")
    away.rename(drop)
    (drop / lost[0].file_name).unlink()
    interchanges.send_again(lost[0], by=None)
    again(lost[0])
    assert transmit_due() == "1 sent"


def test_the_minutes_that_a_file_waits_for_its_disk_are_not_shortened_by_earlier_trouble(
    settings: Any, tmp_path: Path, db: None
) -> None:
    settings.PARTNER_FOLDERS = tmp_path
    for folder in (tmp_path / "drop", tmp_path / "pickup"):
        folder.mkdir()
    staged = {"status": "staged", "staged_at": timezone.now(), "last_error": "not reached", "attempts": 5}
    file = stored_file(_folder_partner(), **staged)
    elsewhere = FolderClearinghouse(drop_folder=str(tmp_path / "drop"), pickup_folder="/").put_part("x", b"")[:40]
    Interchange.objects.filter(pk=file.pk).update(staged_where=elsewhere + "0" * 24)
    for told in ["1 waiting", "1 waiting", "1 waiting", "1 held"]:
        again(file)
        assert transmit_due() == told


@pytest.mark.parametrize("folder", ["../secrets", "/etc", "link", ".", "secrets", "..", "a/../../x", "circle"])
def test_no_folder_of_a_partner_leads_to_anything_else(
    settings: Any, tmp_path: Path, secrets: Path, db: None, folder: str
) -> None:
    root = settings.PARTNER_FOLDERS = tmp_path / "partners"
    for name in ("pickup", "secrets"):
        (root / name).mkdir(parents=True)
    if folder == "secrets":
        settings.PARTNER_SECRETS = root / "secrets" / "deeper"
    (root / "link").symlink_to(secrets)
    (root / "circle").symlink_to(root / "circle")
    by = factories.partner(outbound_folder=folder, inbound_folder="pickup")
    file = stored_file(by)
    assert transmit_due() == "1 waiting"
    assert state(file) == ("ready", "waiting")
    assert "folder:" in Alert.objects.get().sentence
    if folder not in ("link", "secrets", "circle"):  # by their form there is nothing wrong with them
        with pytest.raises(ValidationError) as raised:
            by.full_clean()
        assert list(raised.value.message_dict) == ["outbound_folder"]


def test_into_a_folder_a_file_goes_by_rename(settings: Any, tmp_path: Path, db: None) -> None:
    settings.PARTNER_FOLDERS = tmp_path
    for name in ("drop", "pickup"):
        (tmp_path / name).mkdir()
    by = stored_file(_folder_partner()).partner
    assert transmit_due() == "1 sent"
    assert [path.name for path in (tmp_path / "drop").iterdir()] == [by.interchanges.get().file_name]


def _folder_partner() -> TradingPartner:
    return factories.partner(outbound_folder="drop", inbound_folder="pickup")
