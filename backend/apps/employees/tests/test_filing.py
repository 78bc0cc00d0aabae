"""Proves how credentials are filed, renewed, reviewed and taken back, a doctor's and an employee's alike."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from django.core.exceptions import PermissionDenied
from django.db import connection, transaction
from django.utils import timezone

from backend.apps.core.exceptions import DomainError
from backend.apps.core.models import Clinic
from backend.apps.credentials import entitlement
from backend.apps.credentials.entitlement import NotEntitled
from backend.apps.credentials.models import Needed
from backend.apps.credentials.models.registries import license_digest
from backend.apps.credentials.tests.registry_factories import make_registry_check
from backend.apps.doctors.tests.factories import make_credential, make_doctor
from backend.apps.employees import filing
from backend.apps.employees.tests.factories import a_file, make_employee, make_employee_credential
from backend.apps.users.tests.factories import make_user
from tests.support.races import at_once, wait_until_waited_for

pytestmark = pytest.mark.django_db

OLD, NEW = date(2027, 6, 1), date(2029, 6, 1)
RENEWED = {"issue_date": date(2027, 5, 1), "expiry_date": NEW}
BOTH = pytest.mark.parametrize("make", [make_credential, make_employee_credential], ids=["doctor", "employee"])
Make = Callable[..., Any]


def admin() -> Any:
    return make_user(role="admin")


def listed(row: Any, **over: Any) -> dict[str, Any]:
    """Return what is kept of a look-up in NPPES in which this licence stands."""
    finding = {"by": "npi", "licenses": [license_digest(row.state, row.number)]}
    return {"source": "nppes", "outcome": "clear", "finding": finding, "edition": str(Clinic.today()), **over}


def again(row: Any, **over: Any) -> dict[str, Any]:
    """Return the fields of another credential of the same kind."""
    same = {name: getattr(row, name) for name in (row.HOLDER, "credential_type", "issuing_organization", "state")}
    return {**same, "number": "another", **RENEWED, **over}


@BOTH
def test_a_renewal_is_a_new_row_and_the_old_one_points_to_it(make: Make) -> None:
    row = make(expiry_date=OLD, number="7")
    renewed = filing.renew(row, by=admin(), **RENEWED)
    row.refresh_from_db()
    assert row.replaced_by_id == renewed.pk
    assert (renewed.number, renewed.state, renewed.holder) == ("7", row.state, row.holder)
    assert (row.expiry_date, renewed.expiry_date, renewed.is_verified) == (OLD, NEW, False)


@BOTH
def test_what_was_renewed_is_not_renewed_or_amended_any_more(make: Make) -> None:
    row, by = make(expiry_date=OLD), admin()
    filing.renew(row, by=by, **RENEWED)
    for act in (
        lambda: filing.renew(row, by=by, issue_date=date(2027, 5, 2), expiry_date=NEW),
        lambda: filing.amend(row, by=by, number="8"),
    ):
        with pytest.raises(DomainError, match="newer one"):
            act()
    assert type(row).objects.count() == 2


@BOTH
def test_what_was_renewed_or_has_ended_is_verified_for_its_own_days_and_stays_on_no_ladder(make: Make) -> None:
    today, by = Clinic.today(), admin()
    ended = make(issue_date=today - timedelta(days=800), expiry_date=today - timedelta(days=5))
    renewed = filing.renew(ended, by=by, issue_date=today, expiry_date=today + timedelta(days=700))
    corrected = make(expiry_date=today - timedelta(days=5))
    for row in (ended, corrected):
        filing.verify(row, by=by, method="issuer")
        row.refresh_from_db()
        assert row.is_verified
    assert (ended.replaced_by, ended.next_alert_on) == (renewed, None)


def test_the_current_paper_waits_for_a_review_though_the_next_one_is_filed() -> None:
    today, by = Clinic.today(), admin()
    current = make_credential(expiry_date=today + timedelta(days=30))
    ahead = {"issue_date": today + timedelta(days=31), "expiry_date": today + timedelta(days=700)}
    coming = filing.renew(current, by=by, **ahead)
    over = make_credential(expiry_date=today - timedelta(days=1))
    latest = filing.renew(over, by=by, issue_date=today, expiry_date=today + timedelta(days=700))
    assert set(type(current).objects.awaiting_review(today)) == {current, coming, latest}
    with pytest.raises(NotEntitled, match="until it is verified"):
        entitlement.refuse_without(current.doctor, Needed.APPOINTMENTS, on=today, by=by)
    current.refresh_from_db()
    filing.verify(current, by=by, method="issuer")
    assert entitlement.missing(current.doctor, Needed.APPOINTMENTS, on=today) == []


def test_a_renewal_names_the_state_the_one_before_did_not_and_no_other_one() -> None:
    nameless, named, by = make_credential(state="", expiry_date=OLD), make_credential(expiry_date=OLD), admin()
    assert filing.renew(nameless, by=by, **RENEWED, state="NJ").state == "NJ"
    with pytest.raises(DomainError, match="another state"):
        filing.renew(named, by=by, **RENEWED, state="NJ")


@pytest.mark.parametrize("ends", [OLD, date(2027, 5, 31)], ids=["the same day", "earlier"])
def test_a_renewal_ends_later_than_the_one_before(ends: date) -> None:
    row = make_employee_credential(expiry_date=OLD)
    with pytest.raises(DomainError, match="later"):
        filing.renew(row, by=admin(), issue_date=date(2026, 5, 1), expiry_date=ends)
    row.refresh_from_db()
    assert row.replaced_by is None


def test_a_renewal_may_hold_for_ever_and_what_does_is_not_renewed() -> None:
    row, by = make_employee_credential(expiry_date=OLD), admin()
    renewed = filing.renew(row, by=by, issue_date=date(2027, 5, 1), expiry_date=None)
    with pytest.raises(DomainError, match="later"):
        filing.renew(renewed, by=by, **RENEWED)


def test_the_holder_renews_by_a_new_document_only() -> None:
    row = make_employee_credential(expiry_date=OLD)
    with pytest.raises(DomainError, match="new document"):
        filing.renew(row, by=row.employee.user, **RENEWED)
    renewed = filing.renew(row, by=row.employee.user, **RENEWED, document=a_file())
    assert renewed.document.name.endswith(".pdf")


@BOTH
def test_what_a_holder_puts_in_place_of_an_earlier_paper_or_lengthens_needs_a_document(make: Make) -> None:
    row = make(expiry_date=OLD)
    by, boss, stranger = row.holder.user, admin(), again(row, issuing_organization="Another", number="7")
    own = filing.file(type(row), by=by, **stranger)
    for act in (
        lambda: filing.file(type(row), by=by, **again(row)),
        lambda: filing.amend(own, by=by, issuing_organization=row.issuing_organization),
        lambda: filing.amend(row, by=by, expiry_date=NEW),
        lambda: filing.amend(row, by=by, expiry_date=None),
    ):
        with pytest.raises(DomainError, match="document"):
            act()
        row.refresh_from_db()
        assert (row.expiry_date, row.replaced_by) == (OLD, None)
    assert filing.amend(row, by=by, expiry_date=date(2027, 5, 1)).expiry_date == date(2027, 5, 1)
    assert filing.amend(row, by=by, expiry_date=OLD, document=a_file()).expiry_date == OLD
    assert filing.amend(row, by=boss, expiry_date=date(2027, 7, 1)).expiry_date == date(2027, 7, 1)
    assert list(filing.file(type(row), by=boss, **again(row)).replaces.all()) == [row]


def test_a_document_of_a_refused_change_is_not_kept(settings: LazySettings, tmp_path: Path) -> None:
    row, by = make_credential(expiry_date=OLD), admin()
    renewed = filing.renew(row, by=by, **RENEWED)
    settings.MEDIA_ROOT = tmp_path
    with pytest.raises(DomainError, match="ends later"):
        filing.amend(renewed, by=by, expiry_date=OLD, document=a_file())
    assert not [found for found in tmp_path.rglob("*") if found.is_file()]
    filing.amend(renewed, by=by, document=a_file())
    assert len([found for found in tmp_path.rglob("*") if found.is_file()]) == 1


@BOTH
def test_nobody_writes_the_credentials_of_others(make: Make) -> None:
    row, other = make(expiry_date=OLD), make()
    by = other.holder.user
    for act in (
        lambda: filing.file(type(row), by=by, **again(row)),
        lambda: filing.amend(row, by=by, number="8"),
        lambda: filing.renew(row, by=by, **RENEWED, document=a_file()),
        lambda: filing.amend(other, by=by, **{row.HOLDER: row.holder}),
    ):
        with pytest.raises(PermissionDenied):
            act()


@BOTH
def test_a_later_one_of_the_same_kind_replaces_the_earlier_ones_when_it_is_filed(make: Make) -> None:
    first, second = make(expiry_date=date(2026, 1, 1)), None
    second = make(**{first.HOLDER: first.holder}, expiry_date=OLD)
    newest = filing.file(
        type(first),
        by=first.holder.user,
        **again(first, issuing_organization=first.issuing_organization.upper(), document=a_file()),
    )
    replaced = type(first).objects.filter(replaced_by=newest)
    assert {row.pk for row in replaced} == {first.pk, second.pk}


@pytest.mark.parametrize(
    "over",
    [
        {"issuing_organization": "Somebody else"},
        {"state": "NJ"},
        {"credential_type": "dea"},
        {"expiry_date": OLD},
    ],
    ids=["issuer", "state", "type", "the same day"],
)
def test_one_of_another_kind_or_that_ends_no_later_replaces_nothing(over: dict[str, Any]) -> None:
    row = make_credential(expiry_date=OLD)
    filing.file(type(row), by=admin(), **again(row, **over))
    row.refresh_from_db()
    assert row.replaced_by is None


def test_one_doctors_paper_does_not_replace_that_of_another() -> None:
    row = make_credential(expiry_date=OLD)
    filing.file(type(row), by=admin(), **again(row, doctor=make_doctor(licensed=False)))
    row.refresh_from_db()
    assert row.replaced_by is None


def test_of_what_a_person_has_several_of_only_the_number_tells_that_one_follows_the_other() -> None:
    hepatitis = make_employee_credential(credential_type="immunization", number="", expiry_date=OLD)
    measles = filing.file(type(hepatitis), by=admin(), **again(hepatitis, number=""))
    numbered = make_employee_credential(
        credential_type="immunization", number="L7", expiry_date=OLD, employee=hepatitis.employee
    )
    same = filing.file(type(hepatitis), by=admin(), **again(numbered, number="L7"))
    for row, expected in ((hepatitis, None), (measles, None), (numbered, same)):
        row.refresh_from_db()
        assert row.replaced_by == expected


def test_an_old_paper_that_is_filed_late_is_replaced_by_the_newest_at_once() -> None:
    newest = make_employee_credential(expiry_date=NEW)
    old = filing.file(type(newest), by=admin(), **again(newest, issue_date=date(2021, 1, 1), expiry_date=OLD))
    old.refresh_from_db()
    assert old.replaced_by == newest


@BOTH
def test_deleting_a_replacement_gives_the_old_one_back(make: Make) -> None:
    row, by = make(expiry_date=OLD), admin()
    second = filing.renew(row, by=by, **RENEWED)
    third = filing.renew(second, by=by, issue_date=date(2029, 5, 1), expiry_date=date(2031, 6, 1))
    second.refresh_from_db()
    second.delete()
    row.refresh_from_db()
    assert row.replaced_by == third
    third.delete()
    row.refresh_from_db()
    assert row.replaced_by is None


class TestReview:
    def test_a_document_or_another_way_is_needed_to_verify(self) -> None:
        row, by = make_credential(), admin()
        make_registry_check(row.doctor.user, **listed(row))
        with pytest.raises(DomainError, match="no document"):
            filing.verify(row, by=by)
        filing.verify(row, by=by, method="registry")
        seen = make_employee_credential(document=a_file())
        filing.verify(seen, by=by)
        assert (row.verification_method, seen.verification_method) == ("registry", "document")

    @BOTH
    def test_a_registry_verifies_only_a_doctor_whom_it_has_as_we_have_them(self, make: Make) -> None:
        row, by = make(), admin()
        for place, (outcome, settled_as) in enumerate(((None, ""), ("differs", ""), ("clear", "differs"))):
            if outcome:
                edition = str(Clinic.today() - timedelta(days=10 - place))
                checked = {"outcome": outcome, "settled_as": settled_as, "edition": edition}
                make_registry_check(row.holder.user, **listed(row, **checked))
            with pytest.raises(DomainError, match="No registry"):
                filing.verify(row, by=by, method="registry")
        make_registry_check(row.holder.user, **listed(row, outcome="differs", settled_as="clear"))
        if make is make_credential:
            assert filing.verify(row, by=by, method="registry").is_verified
        else:
            with pytest.raises(DomainError, match="No registry"):
                filing.verify(row, by=by, method="registry")

    def test_a_registry_verifies_no_paper_but_a_licence_that_stands_there(self) -> None:
        row, by = make_credential(), admin()
        make_registry_check(row.doctor.user, **listed(row))
        registration = make_credential(doctor=row.doctor, credential_type="dea", number=row.number)
        for one in (registration, filing.amend(row, by=by, number="another")):
            with pytest.raises(DomainError, match="No registry"):
                filing.verify(one, by=by, method="registry")

    @pytest.mark.parametrize(("edition", "loaded"), [(45, 0), (46, 0), (0, 46)])
    def test_an_edition_that_is_older_than_45_days_verifies_nothing(self, edition: int, loaded: int) -> None:
        row, by, days = make_credential(), admin(), timedelta(days=1)
        now = timezone.localtime(timezone=Clinic.current().zone)  # days of its calendar, be they 23 or 25 hours long
        told = {"edition": str(now.date() - edition * days), "loaded_at": now - loaded * days}
        make_registry_check(row.doctor.user, **listed(row, **told))
        if max(edition, loaded) == 45:
            assert filing.verify(row, by=by, method="registry").is_verified
        else:
            with pytest.raises(DomainError, match="No registry"):
                filing.verify(row, by=by, method="registry")

    def test_nobody_verifies_their_own(self) -> None:
        row = make_employee_credential(employee=make_employee(role="admin"), document=a_file())
        with pytest.raises(DomainError, match="own"):
            filing.verify(row, by=row.employee.user)
        row.refresh_from_db()
        assert not row.is_verified

    @BOTH
    def test_a_rejected_one_can_be_amended_and_is_then_to_be_reviewed_again(self, make: Make) -> None:
        row, by = make(), admin()
        filing.verify(row, by=by, method="issuer")
        filing.reject(row, by=by, reason="The board knows no such number.")
        assert (row.is_verified, row.rejected_by) == (False, by)
        with pytest.raises(DomainError, match="already"):
            filing.reject(row, by=by, reason="Again.")
        assert not type(row).objects.awaiting_review(Clinic.today()).exists()
        filing.amend(row, by=row.holder.user, number="8")
        assert list(type(row).objects.awaiting_review(Clinic.today())) == [row]
        assert row.rejection_reason == ""

    def test_a_rejection_needs_a_reason(self) -> None:
        row = make_employee_credential()
        with pytest.raises(DomainError, match="why"):
            filing.reject(row, by=admin(), reason="  ")

    def test_what_a_rejected_renewal_replaced_counts_again_until_the_renewal_is_mended(self) -> None:
        row, by = make_credential(expiry_date=OLD), admin()
        renewed = filing.renew(row, by=by, **RENEWED)
        filing.reject(renewed, by=by, reason="The page with the seal is missing.")
        row.refresh_from_db()
        assert row.replaced_by is None
        filing.amend(renewed, by=row.doctor.user, document=a_file())
        row.refresh_from_db()
        assert row.replaced_by == renewed

    def test_a_change_that_changes_nothing_keeps_the_sign_off(self) -> None:
        row = make_credential()
        filing.verify(row, by=admin(), method="issuer")
        filing.amend(row, by=row.doctor.user, number=row.number)
        assert row.is_verified

    def test_a_renewal_is_not_corrected_to_end_before_the_one_it_replaced(self) -> None:
        row, by = make_credential(expiry_date=OLD), admin()
        renewed = filing.renew(row, by=by, **RENEWED)
        with pytest.raises(DomainError, match="ends later"):
            filing.amend(renewed, by=by, expiry_date=date(2027, 5, 31))

    def test_a_corrected_type_gives_back_what_it_had_replaced(self) -> None:
        row, by = make_employee_credential(expiry_date=OLD), admin()
        renewed = filing.renew(row, by=by, **RENEWED)
        filing.amend(renewed, by=by, credential_type="acls")
        row.refresh_from_db()
        assert row.replaced_by is None


@pytest.mark.django_db(transaction=True)
class TestAtOnce:
    def test_a_renewal_sent_twice_at_once_is_filed_once(self) -> None:
        row, by = make_employee_credential(expiry_date=OLD), admin()
        copies = [type(row).objects.get(pk=row.pk) for _ in range(4)]
        outcomes = at_once(*(lambda copy=copy: filing.renew(copy, by=by, **RENEWED) for copy in copies))
        assert sorted(outcomes) == ["DomainError"] * 3 + ["done"]
        assert type(row).objects.count() == 2

    @pytest.mark.parametrize("act", ["verify", "reject", "delete"])
    def test_who_reviews_or_deletes_waits_until_the_filing_of_that_person_is_over(self, act: str) -> None:
        row, by = make_employee_credential(expiry_date=OLD), admin()
        newer = filing.renew(row, by=by, **RENEWED)
        copy = type(row).objects.get(pk=newer.pk)
        acts: dict[str, Callable[[], Any]] = {
            "verify": lambda: filing.verify(copy, by=by, method="issuer"),
            "reject": lambda: filing.reject(copy, by=by, reason="Forged."),
            "delete": copy.delete,
        }
        reviewed = threading.Thread(target=lambda: (acts[act](), connection.close()))
        with transaction.atomic():
            sooner = filing.file(type(row), by=by, **again(row, number="7", expiry_date=date(2028, 1, 1)))
            assert sooner.replaced_by == newer
            reviewed.start()
            wait_until_waited_for()
        reviewed.join(10)
        sooner.refresh_from_db()
        assert sooner.replaced_by == (newer if act == "verify" else None)

    def test_one_filed_while_another_is_being_filed_replaces_that_too(self) -> None:
        row, by = make_employee_credential(expiry_date=OLD), admin()
        sooner, later = (again(row, number=str(year), expiry_date=date(year, 1, 1)) for year in (2028, 2029))
        filed = threading.Thread(target=lambda: (filing.file(type(row), by=by, **later), connection.close()))
        with transaction.atomic():
            filing.file(type(row), by=by, **sooner)
            filed.start()
            wait_until_waited_for()
        filed.join(10)
        assert [left.number for left in type(row).objects.filter(replaced_by=None)] == ["2029"]
