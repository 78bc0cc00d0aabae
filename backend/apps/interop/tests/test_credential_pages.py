"""Proves that the calendar shows whose credentials end when, and that one is read, renewed and reviewed on its page."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from backend.apps.appointments.tests.factories import make_appointment
from backend.apps.core.models import AuditLog, Clinic
from backend.apps.credentials import ladder
from backend.apps.credentials.models import CredentialNotice, CredentialOverride
from backend.apps.doctors.models import DoctorCredential
from backend.apps.doctors.tests.factories import make_credential, make_doctor
from backend.apps.employees import filing
from backend.apps.employees.models import EmployeeCredential
from backend.apps.employees.tests.factories import a_file, make_employee, make_employee_credential
from backend.apps.interop import credential_calendar
from backend.apps.users.tests.factories import make_user
from tests.support.api_contract import client_for
from tests.support.pages import signed_in

pytestmark = pytest.mark.django_db
LIST = "/console/credentials/"


def in_days(days: int) -> date:
    return Clinic.today() + timedelta(days=days)


def url(row: Any) -> str:
    return f"{LIST}{row.pk}/"


def text_of(answer: Any) -> str:
    return " ".join(answer.content.decode().split())


def shown(answer: Any, *rows: Any) -> list[bool]:
    text = text_of(answer)
    return [url(row) in text for row in rows]


def test_what_ended_stands_first_and_then_what_ends_month_by_month_whoever_holds_it() -> None:
    late = make_credential(expiry_date=in_days(70))
    soon = make_employee_credential(expiry_date=in_days(5))
    over = make_credential(expiry_date=in_days(-1))
    text = text_of(signed_in("admin").get(LIST))
    places = [text.index(url(row)) for row in (over, soon, late)]
    assert places == sorted(places)
    assert "Ended and not renewed" in text[: places[0]]
    assert f"{late.expiry_date:%B %Y}" in text[places[1] : places[2]]
    assert f"<b>1</b> {late.expiry_date:%b %y}" in text


def test_it_is_cut_by_type_holder_review_and_month() -> None:
    licence = make_credential(expiry_date=in_days(10))
    course = make_employee_credential(expiry_date=in_days(12))
    checked = make_employee_credential(expiry_date=in_days(13))
    checked.verify(make_user("admin"))
    renewed = make_credential(expiry_date=in_days(11))
    DoctorCredential.objects.filter(pk=renewed.pk).update(replaced_by=licence)
    client, rows = signed_in("admin"), (licence, course, checked, renewed)
    for query, expected in (
        ({}, [True, True, True, False]),
        ({"type": "bls"}, [False, True, True, False]),
        ({"holder": "doctor"}, [True, False, False, False]),
        ({"unreviewed": "1"}, [True, True, False, True]),
        ({"from": f"{in_days(70):%Y-%m}"}, [False, False, False, False]),
        ({"overdue": "1"}, [False, False, False, False]),
        ({"from": "2026-13", "after": "x~y", "holder": "cat", "type": "none"}, [True, True, True, False]),
    ):
        assert shown(client.get(LIST, query), *rows) == expected, query


def test_a_paper_of_past_days_that_is_filed_late_is_found_among_the_unreviewed_and_at_the_one_after_it() -> None:
    current = make_credential(expiry_date=in_days(200))
    current.verify(make_user("admin"), "issuer")
    holder = {"doctor": current.doctor, "credential_type": current.credential_type, "state": current.state}
    past = {"issue_date": date(2018, 1, 1), "expiry_date": date(2020, 1, 1), "number": current.number}
    late = filing.file(DoctorCredential, by=None, issuing_organization=current.issuing_organization, **holder, **past)
    assert late.replaced_by == current
    client = signed_in("admin")
    for query, expected in (
        ({}, [False, True]),
        ({"unreviewed": "1"}, [True, False]),
        ({"unreviewed": "1", "overdue": "1"}, [True, False]),
        ({"overdue": "1"}, [False, False]),
    ):
        assert shown(client.get(LIST, query), late, current) == expected, query
    assert "Ended and not reviewed" in text_of(client.get(LIST, {"unreviewed": "1"}))
    text = text_of(client.get(f"{url(current)}?back=type%3Ddea")).partition(">Earlier ones<")[2]
    assert f'href="{url(late)}?back=type%3Ddea"' in text
    assert text.index("not reviewed") < text.index("Who was told")
    client.post(f"{url(late)}verify/", {"method": "issuer"})
    assert shown(client.get(LIST, {"unreviewed": "1"}), late) == [False]
    assert "Earlier ones" not in text_of(client.get(url(late)))


def test_what_has_no_end_is_listed_too_and_may_be_waiting_for_a_review(monkeypatch: pytest.MonkeyPatch) -> None:
    endless, ends = make_credential(expiry_date=None), make_credential(expiry_date=in_days(9))
    course = make_employee_credential(expiry_date=None)
    course.verify(make_user("admin"))
    client = signed_in("admin")
    text = text_of(client.get(LIST))
    assert text.index(url(ends)) < text.index("Without an end</h2>") < text.index(url(endless))
    assert "no end ·" in text[text.index(url(endless)) :]
    assert shown(client.get(LIST, {"unreviewed": "1"}), endless, course) == [True, False]
    monkeypatch.setattr(credential_calendar, "PAGE", 1)
    answer = client.get(LIST, {"endless": "1"})
    assert shown(answer, endless, course, ends) == [True, False, False]
    further = re.findall(r'href="([^"]+)">Further', text_of(answer))[0].replace("&amp;", "&")
    assert shown(client.get(f"{LIST}{further}"), endless, course) == [False, True]


def test_what_was_rejected_is_not_called_valid() -> None:
    row = make_credential(expiry_date=in_days(90))
    row.reject(make_user("admin"), "The scan cannot be read")
    assert ">valid<" not in text_of(signed_in("admin").get(url(row)))


@pytest.mark.parametrize("overdue", [False, True])
def test_further_leads_through_all_rows_once_each(overdue: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credential_calendar, "PAGE", 2)
    sign, holder, staff = -1 if overdue else 1, make_doctor(licensed=False), make_employee()
    rows = [make_credential(doctor=holder, expiry_date=in_days(sign * day)) for day in (3, 3, 4)]
    rows += [make_employee_credential(employee=staff, expiry_date=in_days(sign * day)) for day in (2, 3)]
    client, found, query = signed_in("admin"), [], "overdue=1" if overdue else "holder="
    for _ in range(4):
        text = text_of(client.get(f"{LIST}?{query}")).partition('aria-label="Months"')[2]
        found += [row.pk for row in rows if url(row) in text]
        further = re.search(r'href="\?([^"]*after=[^"]*)"', text)
        if further is None:
            break
        query = further[1].replace("&amp;", "&")
    assert sorted(found) == sorted(row.pk for row in rows)


def test_months_far_ahead_are_counted_only_as_far_as_rows_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credential_calendar, "COUNTED", 2)
    for days in (1, 80, 120):
        make_credential(expiry_date=in_days(days))
    text = text_of(signed_in("admin").get(LIST))
    assert f"<b>1</b> {in_days(1):%b %y}" in text
    assert f'"> {in_days(80):%b %y}' not in text
    assert f'">{in_days(80):%b %y}' in text


def test_people_see_their_own_and_nobody_elses() -> None:
    own, other = make_credential(expiry_date=in_days(5)), make_credential(expiry_date=in_days(5))
    course = make_employee_credential(expiry_date=in_days(5))
    doctor = signed_in(own.doctor.user)
    assert shown(doctor.get(LIST), own, other, course) == [True, False, False]
    assert [doctor.get(url(row)).status_code for row in (own, other, course)] == [200, 404, 404]
    nurse = signed_in(course.employee.user)
    assert shown(nurse.get(LIST), own, other, course) == [False, False, True]
    assert doctor.post(f"{url(own)}verify/", {"method": "issuer"}).status_code == 403
    assert doctor.post(f"{url(other)}verify/", {"method": "issuer"}).status_code == 404
    assert doctor.post(f"{url(own)}except/", {"hours": "3", "reason": "x"}).status_code == 403


def test_the_ladder_shows_who_was_told_and_leads_to_the_mail_that_failed() -> None:
    row = make_credential(expiry_date=in_days(10))
    ladder.raise_due(Clinic.today())
    CredentialNotice.work.update(work_state="failed", status="failed")
    client = signed_in("admin")
    assert "told 14 days ahead" in text_of(client.get(LIST))
    text = text_of(client.get(f"{url(row)}?back=type%3Dstate_license"))
    assert "<b>14 days ahead</b>" in text
    assert f"/console/work/credentials.notify/{CredentialNotice.work.first().pk}/" in text
    assert f'href="{LIST}?type=state_license"' in text
    assert "new appointments" in text
    assert AuditLog.objects.filter(action="console.retrieve", resource_id=str(row.pk)).exists()
    assert "why</a>" not in text_of(signed_in(row.doctor.user).get(url(row)))


def test_a_credential_is_verified_or_rejected_with_a_reason() -> None:
    row, client = make_credential(expiry_date=in_days(10)), signed_in("admin")
    refused = client.post(f"{url(row)}verify/", {"method": "document"}, follow=True)
    assert "There is no document to look at" in text_of(refused)
    done = client.post(f"{url(row)}verify/", {"method": "issuer", "back": "type=dea"}, follow=True)
    assert "Verified." in text_of(done)
    assert done.redirect_chain[-1][0] == f"{url(row)}?back=type%3Ddea"
    assert "Fill in the form" in text_of(client.post(f"{url(row)}reject/", {"reason": ""}, follow=True))
    client.post(f"{url(row)}reject/", {"reason": "The page with the seal is missing"})
    row.refresh_from_db()
    assert (row.is_verified, row.rejection_reason) == (False, "The page with the seal is missing")
    actions = AuditLog.objects.filter(resource_id=str(row.pk), outcome="allowed").values_list("action", flat=True)
    assert {"console.verify", "console.reject"} <= set(actions)
    assert client.post(f"{url(row)}praise/").status_code == 403


def test_the_holder_renews_with_a_document_and_anybody_who_sees_it_downloads_that() -> None:
    row = make_employee_credential(expiry_date=in_days(10))
    client = signed_in(row.employee.user)
    form = {"issue_date": f"{in_days(0)}", "expiry_date": f"{in_days(500)}"}
    assert "Add the new document" in text_of(client.post(f"{url(row)}renew/", form, follow=True))
    text = text_of(client.post(f"{url(row)}renew/", {**form, "document": a_file()}, follow=True))
    assert "Renewed." in text
    new = EmployeeCredential.objects.exclude(pk=row.pk).get()
    row.refresh_from_db()
    assert (row.replaced_by, new.expiry_date, new.number) == (new, in_days(500), row.number)
    assert url(new) in text_of(client.get(url(row)))
    answer = client.get(f"{url(new)}document/")
    assert answer["Content-Disposition"].startswith("attachment")
    assert "default-src 'none'" in answer["Content-Security-Policy"]
    assert AuditLog.objects.filter(action="console.download", resource_id=str(new.pk)).exists()
    assert client.get(f"{url(row)}document/").status_code == 404


def test_one_that_was_renewed_is_still_verified_or_rejected_and_one_of_no_state_is_renewed_with_it() -> None:
    row, client = make_credential(expiry_date=in_days(10), state=""), signed_in("admin")
    form = {"issue_date": f"{in_days(0)}", "expiry_date": f"{in_days(500)}"}
    assert 'name="state"' in text_of(client.get(url(row)))
    client.post(f"{url(row)}renew/", form)
    assert not row.replaces.model.objects.exclude(pk=row.pk).exists()
    client.post(f"{url(row)}renew/", {**form, "state": "NJ"})
    new = DoctorCredential.objects.exclude(pk=row.pk).get()
    assert new.state == "NJ"
    assert 'name="state"' not in text_of(client.get(url(new)))
    text = text_of(client.get(url(row)))
    assert [f"{url(row)}{verb}/" in text for verb in ("renew", "verify", "reject")] == [False, True, True]
    client.post(f"{url(row)}verify/", {"method": "issuer"})
    row.refresh_from_db()
    assert (row.is_verified, row.replaced_by) == (True, new)


def test_a_document_of_health_is_opened_by_its_holder_and_administrators_and_not_by_the_manager() -> None:
    boss = make_employee()
    nurse = make_employee(manager=boss)
    kinds = ("immunization", "other", "bls")
    rows = [make_employee_credential(employee=nurse, credential_type=kind, document=a_file()) for kind in kinds]
    for user, expected in ((boss.user, [403, 403, 200]), (nurse.user, [200] * 3), (make_user("admin"), [200] * 3)):
        client, api = signed_in(user), client_for(user)
        assert [client.get(f"{url(row)}document/").status_code for row in rows] == expected
        at = "/api/v1/employee-credentials"
        assert [api.get(f"{at}/{row.pk}/download/").status_code for row in rows] == expected
        for row, code in zip(rows, expected, strict=True):
            assert (f"{url(row)}document/" in text_of(client.get(url(row)))) is (code == 200)


def test_what_ended_says_what_is_forbidden_lists_the_visits_to_move_and_is_excepted_for_some_hours() -> None:
    row = make_credential(expiry_date=in_days(-1))
    visit, client = make_appointment(doctor=row.doctor), signed_in("admin")
    text = text_of(client.get(url(row)))
    assert "the doctor takes no new appointments" in text
    assert "1 visit to move" in text
    assert str(visit.pk) in text
    assert "72 at most" in text_of(client.post(f"{url(row)}except/", {"hours": "many", "reason": "x"}, follow=True))
    assert "72 hours at most" in text_of(client.post(f"{url(row)}except/", {"hours": "73", "reason": "x"}, follow=True))
    client.post(f"{url(row)}except/", {"hours": "24", "reason": "The board is closed until Monday"})
    made = CredentialOverride.objects.get()
    assert (made.doctor, made.credential_type, made.ended_at) == (row.doctor, "state_license", None)
    text = text_of(client.get(url(row)))
    assert "in force until" in text
    assert "The board is closed until Monday" in text
    assert "to move" not in text
    assert client.post(f"{url(row)}except/{uuid4()}/end/").status_code == 404
    client.post(f"{url(row)}except/{made.pk}/end/")
    made.refresh_from_db()
    assert made.ended_at is not None


def test_the_calendar_costs_the_same_for_many() -> None:
    client = signed_in("admin")
    make_credential(expiry_date=in_days(5)), make_credential(expiry_date=in_days(-5))
    with CaptureQueriesContext(connection) as few:
        client.get(LIST)
    for days in (3, -3, 40):
        make_employee_credential(expiry_date=in_days(days)), make_credential(expiry_date=in_days(days))
    with CaptureQueriesContext(connection) as many:
        client.get(LIST)
    assert len(many) == len(few) < 12
