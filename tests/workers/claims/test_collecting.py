"""Fetches answers from a real clearinghouse, and looks at what is kept before anybody reads it."""

from __future__ import annotations

import io
import os
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from backend.apps.core.models import Alert
from backend.apps.insurance.models import InboundFile, TradingPartner
from backend.apps.insurance.tests.factories import partner
from integrations.x12.fake import FakeClearinghouse
from tests.integrations.clearinghouse.api_double import ApiDouble
from tests.integrations.clearinghouse.submissions import Claim, submission
from tests.support.queued_claims import stored_file
from workers import gateways
from workers.claims import collecting
from workers.claims.collecting import collect_due
from workers.runner import HandlerBug

pytestmark = pytest.mark.django_db
ANSWER = submission(Claim("A1"), number=7)  # any interchange will do


@pytest.fixture(autouse=True)
def _quick(settings: Any, rung: list[str]) -> None:
    settings.CLAIMS_LOOK_AGAIN_S = 0.0


def left(house: FakeClearinghouse, name: str, content: bytes, *, age: timedelta = timedelta(minutes=1)) -> Path:
    path = house.outbound() / name
    path.write_bytes(content)
    at = (timezone.now() - age).timestamp()
    os.utime(path, (at, at))
    return path


def zipped(**files: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()


def names() -> list[str]:
    return sorted(InboundFile.objects.values_list("name", flat=True))


def test_an_answer_is_kept_as_it_came_and_its_reader_rung(
    over_sftp: TradingPartner, house: FakeClearinghouse, rung: Any, django_capture_on_commit_callbacks: Any
) -> None:
    left(house, "x.999", ANSWER)
    with django_capture_on_commit_callbacks(execute=True):
        assert collect_due() == "1 taken"
    file = InboundFile.objects.get()
    assert (bytes(file.content), file.size_bytes, file.status, file.work_state) == (
        ANSWER, len(ANSWER), "received", "waiting",
    )  # fmt: skip
    assert rung == ["claims.read"]
    over_sftp.refresh_from_db()
    assert over_sftp.collected_at is not None
    assert (house.outbound() / "x.999").exists()


def test_a_file_that_stays_there_is_fetched_once(over_sftp: TradingPartner, house: FakeClearinghouse) -> None:
    left(house, "x.999", ANSWER)
    collect_due()
    assert collect_due() == "nothing there"
    assert names() == ["x.999"]


def test_the_same_name_with_other_bytes_is_another_file(over_sftp: TradingPartner, house: FakeClearinghouse) -> None:
    left(house, "x.999", ANSWER)
    collect_due()
    left(house, "x.999", ANSWER.replace(b"A1", b"A2"), age=timedelta(seconds=-30))
    assert collect_due() == "1 taken"
    assert names() == ["x.999", "x.999"]


def test_a_name_that_comes_again_with_the_same_size_and_an_older_time_is_another_file(
    over_sftp: TradingPartner, house: FakeClearinghouse
) -> None:
    left(house, "x.999", ANSWER)
    collect_due()
    left(house, "x.999", ANSWER.replace(b"A1", b"A2"), age=timedelta(hours=2))
    assert collect_due() == "1 taken"
    left(house, "x.999", ANSWER.replace(b"A1", b"A2"), age=timedelta(hours=3))
    assert [collect_due() for _ in range(2)] == ["1 known", "nothing there"], "touched, and the same"
    assert names() == ["x.999", "x.999"]


def test_the_folder_where_the_login_leads_is_one_too(over_sftp: TradingPartner, house: FakeClearinghouse) -> None:
    TradingPartner.objects.update(inbound_folder="")
    (house.outbound().parent / "x.999").write_bytes(ANSWER)
    assert collect_due() == "1 taken"


def test_a_file_is_deleted_there_only_once_it_is_kept_and_only_if_so_agreed(
    over_sftp: TradingPartner, house: FakeClearinghouse, monkeypatch: Any
) -> None:
    TradingPartner.objects.update(deletes_after_download=True)
    path = left(house, "x.999", ANSWER)

    def die(*_given: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(collecting, "store", die)
        with pytest.raises(KeyboardInterrupt):
            collect_due()
    assert path.exists()
    assert collect_due() == "1 taken"
    assert not path.exists()
    assert InboundFile.objects.get().removed_at is not None


def test_a_file_whose_worker_died_before_deleting_is_deleted_by_the_next(
    over_sftp: TradingPartner, house: FakeClearinghouse
) -> None:
    path = left(house, "x.999", ANSWER)
    collect_due()
    TradingPartner.objects.update(deletes_after_download=True)
    assert collect_due() == "1 known"
    assert not path.exists()
    assert names() == ["x.999"]


def test_half_a_file_is_left_until_it_is_whole(over_sftp: TradingPartner, house: FakeClearinghouse) -> None:
    left(house, "x.999", ANSWER[:200])
    assert collect_due() == "1 not whole yet"
    assert names() == []
    left(house, "x.999", ANSWER)
    assert collect_due() == "1 taken"


def test_a_file_that_grows_between_two_looks_is_left(over_sftp: TradingPartner, house: FakeClearinghouse) -> None:
    path = left(house, "x.999", ANSWER)
    seen = []

    def grow(_s: float) -> None:
        seen.append(path.write_bytes(ANSWER + b"\n"))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(collecting.time, "sleep", grow)
        assert collect_due() == "1 still growing"
    assert (len(seen), names()) == (1, [])


def test_what_is_no_answer_at_all_is_kept_when_it_does_not_change(
    over_sftp: TradingPartner, house: FakeClearinghouse
) -> None:
    left(house, "page.html", b"<html>", age=timedelta(minutes=11))
    assert collect_due() == "1 taken"
    assert bytes(InboundFile.objects.get().content) == b"<html>"


def test_of_an_archive_each_file_is_kept_with_it(over_sftp: TradingPartner, house: FakeClearinghouse) -> None:
    packed = zipped(**{"a.835": ANSWER, "b.835": ANSWER.replace(b"A1", b"A2")})
    left(house, "era.zip", packed)
    collect_due()
    archive = InboundFile.objects.get(name="era.zip")
    assert (archive.status, archive.work_state, archive.kinds) == ("applied", "done", "zip")
    assert [(one.name, one.work_state) for one in archive.members.order_by("name")] == [
        ("a.835", "waiting"), ("b.835", "waiting"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "packed",
    [zipped(bomb=b"0" * 50_000_000), zipped(**{"../x": ANSWER}), zipped(a=ANSWER)[:60] + b"PK\x05\x06"],
    ids=["bomb", "climbing", "broken"],
)
def test_an_archive_that_does_harm_is_put_aside_and_told(
    over_sftp: TradingPartner, house: FakeClearinghouse, packed: bytes
) -> None:
    left(house, "era.zip", packed)
    collect_due()
    archive = InboundFile.objects.get()
    assert (archive.status, archive.work_state, bytes(archive.content)) == ("quarantined", "done", packed)
    assert Alert.objects.get().kind == "claims_answer"


def test_a_file_that_is_too_big_is_told_and_holds_up_no_other(
    over_sftp: TradingPartner, house: FakeClearinghouse, monkeypatch: Any
) -> None:
    monkeypatch.setattr(collecting, "MOST_BYTES", len(ANSWER))
    left(house, "big.835", ANSWER + b"0" * 100, age=timedelta(minutes=3))
    left(house, "x.999", ANSWER)
    assert collect_due() == "1 refused, 1 taken"
    alert = Alert.objects.get()
    assert "big.835" not in alert.sentence


def test_a_file_that_is_refused_holds_up_no_newer_one_and_is_told_until_it_is_got(
    over_https: TradingPartner, api: ApiDouble
) -> None:
    api.answers = {"DOE_JANE.999": ANSWER, "b.999": ANSWER}
    api.withheld = {"DOE_JANE.999"}
    assert collect_due() == "1 refused, 1 taken"
    assert collect_due() == "1 refused"
    assert names() == ["b.999"]
    alert = Alert.objects.get()
    assert ("1 files" in alert.sentence, "DOE" in alert.sentence, alert.resolved_at) == (True, False, None)
    api.withheld = set()
    assert collect_due() == "1 taken"
    assert Alert.objects.get().resolved_at is not None


def test_a_file_that_cannot_be_removed_holds_up_no_newer_one(over_https: TradingPartner, api: ApiDouble) -> None:
    TradingPartner.objects.update(deletes_after_download=True)
    api.answers = {"a.999": ANSWER, "b.999": ANSWER}
    api.fail_next(400)
    assert collect_due() == "1 refused, 2 taken"
    assert list(api.answers) == ["a.999"]


def test_what_can_never_be_removed_holds_up_no_newer_file(
    over_https: TradingPartner, api: ApiDouble, monkeypatch: Any
) -> None:
    TradingPartner.objects.update(deletes_after_download=True)
    monkeypatch.setattr(collecting, "MOST_FILES", 2)
    monkeypatch.setattr(collecting, "MOST_ASIDE", 1)
    api.answers = dict.fromkeys(("a.999", "b.999"), ANSWER)
    api.kept = {"a.999", "b.999"}
    assert collect_due() == "2 refused, 2 taken"
    api.answers["c.999"] = ANSWER
    assert collect_due() == "1 known, 1 refused, 1 taken"
    assert names() == ["a.999", "b.999", "c.999"]
    alert = Alert.objects.get()
    assert ("cannot be deleted" in alert.sentence, alert.resolved_at) == (True, None)
    api.kept = set()
    assert [collect_due() for _ in range(3)] == ["1 known", "1 known", "nothing there"]
    alert.refresh_from_db()
    assert (api.answers, alert.resolved_at is None) == ({}, False)


@pytest.mark.parametrize("by", ["name", "bytes"])
@pytest.mark.parametrize("whose", ["its", "another's"])
def test_a_file_of_our_own_is_neither_taken_nor_removed(
    over_sftp: TradingPartner, house: FakeClearinghouse, by: str, whose: str
) -> None:
    TradingPartner.objects.update(deletes_after_download=True)
    file = stored_file(over_sftp if whose == "its" else partner())
    path = left(house, file.file_name if by == "name" else "copy.x12", bytes(file.content))
    left(house, "x.999", ANSWER)
    assert collect_due() == ("1 our own, 1 taken" if whose == "its" else "1 not reached, 1 our own, 1 taken")
    assert (names(), path.exists()) == (["x.999"], True)
    assert Alert.objects.filter(sentence__contains="are ours").count() == 1


def test_an_answer_that_has_the_name_of_a_file_of_ours_is_taken(
    over_sftp: TradingPartner, house: FakeClearinghouse
) -> None:
    name = stored_file(over_sftp).file_name
    left(house, name, ANSWER)
    assert [collect_due(), collect_due()] == ["1 taken", "nothing there"]
    assert names() == [name]


def test_where_our_files_lie_among_the_answers_too_they_stay_and_are_in_nobodys_way(
    over_sftp: TradingPartner, house: FakeClearinghouse, monkeypatch: Any
) -> None:
    TradingPartner.objects.update(deletes_after_download=True, outbound_folder="outbound")
    monkeypatch.setattr(collecting, "MOST_FILES", 1)
    monkeypatch.setattr(collecting, "MOST_ASIDE", 1)
    files = [stored_file(over_sftp) for _ in range(2)]
    paths = [left(house, file.file_name, bytes(file.content), age=timedelta(hours=1)) for file in files]
    left(house, "x.999", ANSWER)
    assert collect_due() == "1 our own, 1 taken"
    assert (names(), [path.exists() for path in paths]) == (["x.999"], [True, True])


def test_many_files_that_are_never_got_are_not_in_the_way_of_all_others_for_ever(
    over_https: TradingPartner, api: ApiDouble, monkeypatch: Any
) -> None:
    monkeypatch.setattr(collecting, "MOST_FILES", 2)
    monkeypatch.setattr(collecting.random, "sample", lambda files, most: files[-most:])
    api.withheld = {"a.999", "b.999"}
    api.answers = dict.fromkeys(("a.999", "b.999", "c.999"), ANSWER)
    assert collect_due() == "1 refused, 1 taken"
    assert names() == ["c.999"]


def test_a_visit_that_did_not_see_everything_settles_nothing(
    over_https: TradingPartner, api: ApiDouble, monkeypatch: Any
) -> None:
    api.answers, api.withheld = dict.fromkeys(("a.999", "z.999"), ANSWER), {"z.999"}
    collect_due()
    api.answers |= dict.fromkeys(("d.999", "e.999"), ANSWER)
    assert collecting.collect(over_https.pk, 0.0) == {"left for the next look": 3, "still growing": 0}
    with monkeypatch.context() as small:
        small.setattr(collecting, "MOST_FILES", 1)
        assert collect_due() == "1 taken"
    assert Alert.objects.get().resolved_at is None
    api.withheld = set()
    assert collect_due() == "2 taken"
    assert Alert.objects.get().resolved_at is not None


def test_a_visit_ends_when_the_partner_is_no_longer_reached(over_https: TradingPartner, api: ApiDouble) -> None:
    api.answers = {f"{number}.999": ANSWER for number in range(5)}
    answered = api.take

    def busy(request: Any) -> Any:
        return answered(request) if request.path.endswith("/answers") else None  # hangs up

    api.take = busy  # type: ignore[method-assign]  # a partner that goes wrong
    assert collect_due() == "1 not reached, 1 refused"
    assert sum(".999" in request.path for request in api.requests) == 2


def test_a_fault_of_our_own_at_one_partner_stops_no_other_and_is_told(
    over_sftp: TradingPartner, over_https: TradingPartner, api: ApiDouble, monkeypatch: Any
) -> None:
    make = gateways.clearinghouse
    api.answers["x.999"] = ANSWER

    def broken(partner: TradingPartner) -> Any:
        return make(partner) if partner.transport == "https" else {}["DOE, JANE"]

    monkeypatch.setattr(gateways, "clearinghouse", broken)
    with pytest.raises(HandlerBug, match="KeyError"):
        collect_due()
    assert names() == ["x.999"]
    assert Alert.objects.get().subject_id == str(over_sftp.pk)


def test_a_partner_that_is_not_reached_holds_up_no_other(
    over_sftp: TradingPartner, over_https: TradingPartner, api: ApiDouble
) -> None:
    TradingPartner.objects.filter(pk=over_sftp.pk).update(port=9)
    api.answers["x.999"] = ANSWER
    assert collect_due() == "1 not reached, 1 taken"
    assert InboundFile.objects.get().partner == over_https


def test_over_https_what_is_kept_is_not_fetched_again(over_https: TradingPartner, api: ApiDouble) -> None:
    api.answers["x.999"] = ANSWER
    collect_due()
    assert collect_due() == "nothing there"
    fetched = [request for request in api.requests if request.path.endswith("x.999")]
    assert len(fetched) == 1


def test_nobody_looks_at_a_paused_partner(over_sftp: TradingPartner, house: FakeClearinghouse) -> None:
    TradingPartner.objects.update(paused_at=datetime(2026, 1, 1, tzinfo=UTC))
    assert collect_due() == "nothing there"
    assert house.visits == 0
