"""Holds the daily look at public registries: once a person and edition, told once, and right after days of downtime."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.conf import LazySettings
from django.core.management import CommandError, call_command

from backend.apps.core.models import Alert, AuditLog, Heartbeat
from backend.apps.credentials import registries as checks
from backend.apps.credentials.models import RegistryCheck
from backend.apps.doctors.models import Doctor
from backend.apps.doctors.tests.factories import make_credential, make_doctor
from backend.apps.employees.tests.factories import make_employee
from backend.apps.interop import registry_checks
from backend.apps.users.tests.factories import make_user
from workers import one_by_one, registries
from workers.runner import HandlerBug

pytestmark = pytest.mark.django_db
SAMPLES = Path(__file__).resolve().parents[1] / "samples" / "registries"
LEIE, NPPES = SAMPLES / "UPDATED.csv", SAMPLES / "npidata_pfile_20050523-20261108.csv"
NOVEMBER = datetime(2026, 11, 20, 15, tzinfo=UTC)


class Killed(BaseException):
    """Nothing goes on after it, as after the end of a worker."""


@pytest.fixture(autouse=True)
def folder(settings: LazySettings, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path


def manage(*words: Any, now: datetime = NOVEMBER) -> str:
    told = StringIO()
    with time_machine.travel(now, tick=False):
        call_command("registry", *map(str, words), stdout=told)
    return told.getvalue()


def loaded() -> None:
    manage("load", "leie", LEIE, "--anyway")
    manage("load", "nppes", NPPES, "--anyway")


def doctor(last: str, first: str, npi: str, **over: Any) -> Doctor:
    """Save a doctor of this name with an NPI of the samples, whose check digits nobody asks for here."""
    made = make_doctor(user=make_user(role="doctor", last_name=last, first_name=first, **over), licensed=False)
    Doctor.objects.filter(pk=made.pk).update(npi_number=npi)
    return made


def nurse(last: str, first: str, **over: Any) -> Any:
    return make_employee(user=make_user(role="nurse", last_name=last, first_name=first, **over))


def found() -> dict[tuple[Any, str], str]:
    return {(row.user_id, row.source): row.outcome for row in RegistryCheck.objects.all()}


def open_alerts() -> dict[str, str]:
    return dict(Alert.objects.filter(resolved_at=None).values_list("subject_id", "kind"))


def test_everybody_on_the_staff_is_looked_up_once_an_edition_and_told_of_once() -> None:
    excluded, closed = doctor("Holloway", "Gareth", "1999999984"), doctor("Closed", "Ann", "1999999976")
    perhaps, other = nurse("Winterbottom", "Oswin"), nurse("Penalver", "Mary", date_of_birth=date(1990, 1, 1))
    loaded()
    with time_machine.travel(NOVEMBER, tick=False):
        for _ in range(2):
            registries.check_registries()
    assert found() == {
        (excluded.user_id, "leie"): "excluded",
        (excluded.user_id, "nppes"): "clear",
        (closed.user_id, "leie"): "clear",
        (closed.user_id, "nppes"): "deactivated",
        (perhaps.user_id, "leie"): "perhaps_excluded",
        (other.user_id, "leie"): "clear",
    }
    assert open_alerts() == {
        str(excluded.user_id): "credential_excluded",
        str(closed.user_id): "credential_registry",
        str(perhaps.user_id): "credential_registry",
    }
    assert Alert.objects.count() == 3
    assert set(checks.excluded_since([excluded.user_id, closed.user_id, perhaps.user_id])) == {excluded.user_id}
    for row in (*RegistryCheck.objects.all(), *Alert.objects.all()):
        assert "hollo" not in f"{getattr(row, 'finding', '')}{getattr(row, 'sentence', '')}".lower()
    assert Heartbeat.objects.get(entry="registry checks").runs == 2


def test_the_second_look_of_a_day_writes_no_check() -> None:
    doctor("Holloway", "Gareth", "1999999984")
    loaded()
    registries.check_registries()
    before = list(RegistryCheck.objects.order_by("pk").values_list())
    registries.check_registries()
    assert list(RegistryCheck.objects.order_by("pk").values_list()) == before


def test_a_look_that_died_between_two_batches_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_checks, "BATCH", 1)
    first, second = nurse("Winterbottom", "Oswin"), doctor("Holloway", "Gareth", "1999999984")
    loaded()
    note, calls = checks.note, list[str]()

    def dying(*words: Any, **more: Any) -> Any:
        calls.append("batch")
        if len(calls) == 2:
            raise Killed
        return note(*words, **more)

    monkeypatch.setattr(checks, "note", dying)
    with pytest.raises(Killed):
        registries.check_registries()
    assert RegistryCheck.objects.count() == 1
    registries.check_registries()
    assert found()[first.user_id, "leie"] == "perhaps_excluded"
    assert found()[second.user_id, "leie"] == "excluded"
    assert Alert.objects.filter(kind="credential_excluded").count() == 1


def test_after_a_missed_edition_the_next_one_is_looked_at_as_it_is() -> None:
    who = nurse("Winterbottom", "Oswin")
    loaded()
    registries.check_registries()
    manage("load", "leie", LEIE, "--anyway", "--edition", "2026-12-20", now=NOVEMBER + timedelta(days=31))
    registries.check_registries()
    assert list(RegistryCheck.objects.filter(user=who.user).values_list("edition", flat=True).order_by("edition")) == [
        "2026-10-20",
        "2026-12-20",
    ]
    assert Alert.objects.filter(kind="credential_registry").count() == 1


def test_what_is_no_longer_so_is_told_no_more_the_same_day() -> None:
    typo, left = doctor("Closed", "Ann", "1999999976"), nurse("Winterbottom", "Oswin")
    loaded()
    registries.check_registries()
    assert len(open_alerts().keys() - {""}) == 2
    Doctor.objects.filter(pk=typo.pk).update(npi_number="1999999968")
    typo.user.last_name, typo.user.first_name = "Oldfield", "Petra"
    typo.user.date_of_birth = date(1970, 1, 1)
    typo.user.save()
    type(left)._base_manager.filter(pk=left.pk).update(status="retired", termination_date=date(2026, 1, 1))
    registries.check_registries()
    assert found()[typo.user_id, "nppes"] == "clear"
    assert "credential_registry" not in {
        kind for subject, kind in open_alerts().items() if subject == str(left.user_id)
    }


def test_a_license_of_another_number_is_told_with_the_field_and_not_the_number() -> None:
    who = doctor("Holloway", "Gareth", "1999999984")
    make_credential(doctor=who, state="NY", number="55555")
    loaded()
    registries.check_registries()
    row = RegistryCheck.objects.get(user=who.user, source="nppes")
    assert (row.outcome, row.finding["differs"]) == ("differs", ["license_number"])
    assert "55555" not in str(row.finding)


@pytest.mark.parametrize(
    ("now", "old"),
    [(datetime(2026, 12, 4, 15, tzinfo=UTC), set()), (datetime(2026, 12, 5, 15, tzinfo=UTC), {"leie"})],
    ids=["45 days", "46 days"],
)
def test_a_file_that_is_older_than_45_days_is_told_of_once(now: datetime, old: set[str]) -> None:
    loaded()
    with time_machine.travel(now, tick=False):
        for _ in range(2):
            registries.check_registries()
    told = Alert.objects.filter(kind="registry_file_old", resolved_at=None).values_list("cause", flat=True)
    assert {cause.rpartition(":")[2] for cause in told} == old


def test_a_file_that_was_loaded_long_ago_is_old_whatever_day_it_is_said_to_be_of() -> None:
    manage("load", "leie", LEIE, "--anyway", "--edition", "2026-11-22")
    for days, old in ((45, 0), (46, 1)):
        with time_machine.travel(NOVEMBER + timedelta(days=days), tick=False):
            registries.check_registries()
        assert Alert.objects.filter(kind="registry_file_old", resolved_at=None, cause__endswith="leie").count() == old


def test_who_may_sign_in_as_staff_without_a_file_of_hr_is_looked_up_as_well() -> None:
    named = {"last_name": "Winterbottom", "first_name": "Oswin"}
    guest, left, _ = make_user("receptionist", **named), make_user("nurse", **named), make_user("patient", **named)
    type(left).objects.filter(pk=left.pk).update(is_active=False)
    manage("load", "leie", LEIE, "--anyway")
    registries.check_registries()
    assert found() == {(guest.pk, "leie"): "perhaps_excluded"}


def test_a_damaged_index_of_one_registry_keeps_nobody_from_the_other(settings: LazySettings) -> None:
    who = doctor("Holloway", "Gareth", "1999999984")
    loaded()
    with closing(sqlite3.connect(settings.DATA_DIR / "registries" / "leie.sqlite")) as index, index:
        index.execute("DROP TABLE name")
    with pytest.raises(HandlerBug, match=r"^OperationalError in credentials.check_registries$"):
        registries.check_registries()
    assert found() == {(who.user_id, "nppes"): "clear"}
    assert Heartbeat.objects.get(entry="registry checks").failures == 1


def test_the_second_registry_is_looked_at_however_long_the_first_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    who = doctor("Holloway", "Gareth", "1999999984")
    loaded()
    monkeypatch.setattr(one_by_one, "BUDGET_S", -1.0)
    registries.check_registries()
    assert found() == {(who.user_id, "leie"): "excluded", (who.user_id, "nppes"): "clear"}


@pytest.mark.parametrize(
    ("state", "number", "stands_there"),
    [("NY", "123456", True), ("NJ", "MD778", True), ("NJ", "779", False), ("CA", "123456", False)],
)
def test_a_reviewer_verifies_by_the_registry_a_licence_that_stands_there(
    state: str, number: str, stands_there: bool
) -> None:
    who, by = doctor("Holloway", "Gareth", "1999999984"), make_user(role="admin")
    row = make_credential(doctor=who, state=state, number=number)
    loaded()
    with time_machine.travel(NOVEMBER, tick=False):
        registries.check_registries()
        assert row.is_in_registry is stands_there
        check = RegistryCheck.objects.get(user=who.user, source="nppes")
        if not stands_there:
            checks.settle(check, by=by, settled_as="clear", note="The number changed.")
        assert row.is_in_registry is stands_there
    assert number not in str(RegistryCheck.objects.get(pk=check.pk).finding)


def test_a_licence_that_is_filed_after_a_look_is_in_the_registry_once_it_was_looked_at_again() -> None:
    who = doctor("Holloway", "Gareth", "1999999984")
    loaded()
    with time_machine.travel(NOVEMBER, tick=False):
        registries.check_registries()
        row = make_credential(doctor=who, number="0123456")
        assert not row.is_in_registry
        registries.check_registries()
        assert row.is_in_registry


def test_a_doctor_of_whom_the_registry_lists_no_licence_is_not_verified_by_it() -> None:
    who = doctor("Oldfield", "Petra", "1999999968")
    row = make_credential(doctor=who, number="123456")
    loaded()
    with time_machine.travel(NOVEMBER, tick=False):
        registries.check_registries()
        assert found()[who.user_id, "nppes"] == "clear"
        assert not row.is_in_registry


def test_registries_that_were_never_loaded_are_told_of_until_they_are() -> None:
    assert registries.check_registries() == "no registry is loaded"
    assert Alert.objects.filter(kind="registry_file_old", resolved_at=None).count() == 2
    loaded()
    with time_machine.travel(NOVEMBER, tick=False):
        registries.check_registries()
    assert not Alert.objects.filter(kind="registry_file_old", resolved_at=None).exists()


class TestCommand:
    def test_it_tells_what_is_loaded_and_looks_at_once(self) -> None:
        nurse("Winterbottom", "Oswin")
        assert "7 rows of leie, edition 2026-10-20" in manage("load", "leie", LEIE, "--anyway")
        assert "nppes  not loaded" in manage("list")
        assert "1 leie perhaps_excluded" in manage("check")
        assert AuditLog.objects.filter(action="load", resource_type="registry").exists()

    def test_a_file_that_is_not_the_whole_is_refused_in_a_sentence(self, tmp_path: Path) -> None:
        with pytest.raises(CommandError, match="--anyway takes it"):
            manage("load", "leie", LEIE)
        with pytest.raises(CommandError, match="no file"):
            manage("load", "leie", tmp_path / "none.csv")
        assert "leie   not loaded" in manage("list")
