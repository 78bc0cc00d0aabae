"""Proves that the audit log is cut by person, patient, row, action, outcome and days, at a bounded cost, and noted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from backend.apps.core.models import AuditLog, Clinic
from backend.apps.interop import audit_search
from backend.apps.patients.tests.factories import make_patient
from backend.apps.users.tests.factories import make_user
from tests.support.pages import signed_in

pytestmark = pytest.mark.django_db
LIST = "/console/audit/"


def text_of(answer: Any) -> str:
    return " ".join(answer.content.decode().split())


def noted(action: str = "retrieve", days_ago: float = 0, **over: Any) -> AuditLog:
    """Add an entry as it might have been written some days ago; the log itself is only ever added to."""
    at = timezone.now() - timedelta(days=days_ago)
    fields = {"action": action, "resource_type": "labresult", "resource_id": str(uuid4()), "timestamp": at, **over}
    return AuditLog.objects.create(**fields)


def shown(answer: Any, *rows: AuditLog) -> list[bool]:
    text = text_of(answer)
    return [f"{LIST}{row.pk}/" in text for row in rows]


def test_without_being_asked_it_shows_the_last_week_newest_first() -> None:
    new, old, older = noted(), noted(days_ago=5), noted(days_ago=8)
    answer = signed_in("admin").get(LIST)
    assert shown(answer, new, old, older) == [True, True, False]
    text = text_of(answer)
    assert text.index(str(new.pk)) < text.index(str(old.pk))


def test_it_is_cut_by_each_of_its_filters() -> None:
    user, patient = make_user("nurse"), make_patient()
    row = noted("labs.sign", days_ago=20, user=user, patient_id=patient.pk, outcome="refused")
    other = noted(days_ago=20)
    day = f"{timezone.localtime(row.timestamp, Clinic.current().zone):%Y-%m-%d}"
    span = {"first": f"{timezone.now() - timedelta(days=21):%Y-%m-%d}", "last": f"{timezone.now():%Y-%m-%d}"}
    client = signed_in("admin")
    for query in (
        {"person": str(user.pk)},
        {"patient": str(patient.pk)},
        {"outcome": "refused"},
        {"action": "labs."},
        {"resource": "labresult", "row": row.resource_id},
    ):
        assert shown(client.get(LIST, {**span, **query}), row, other) == [True, False], query
    assert shown(client.get(LIST, {"first": day, "last": day, "resource": "labresult"}), row, other) == [True, True]
    assert shown(client.get(LIST, {**span, "outcome": "allowed"}), row, other) == [False, True]


def test_an_id_without_the_kind_of_its_row_finds_nothing_and_says_why() -> None:
    row = noted()
    answer = signed_in("admin").get(LIST, {"row": row.resource_id})
    assert shown(answer, row) == [False]
    assert "Name the kind of the row too" in text_of(answer)


def test_an_entry_of_the_evening_leads_to_its_day_by_the_clinics_clock() -> None:
    Clinic.objects.create(name="West", time_zone="America/Los_Angeles")
    at = datetime(2026, 3, 3, 2, 30, tzinfo=UTC)
    client, row = signed_in("admin"), noted(timestamp=at)
    text = text_of(client.get(f"{LIST}{row.pk}/"))
    assert "first=2026-03-02&amp;last=2026-03-02" in text
    assert shown(client.get(LIST, {"first": "2026-03-02", "last": "2026-03-02"}), row) == [True]


def test_whatever_is_asked_the_days_are_bounded() -> None:
    today = timezone.now().date()
    for query, days in (
        ("first=1900-01-01", 366),
        (f"first={today + timedelta(days=3)}", 1),
        ("first=nonsense&last=2026-99-99", 7),
        ("first=2020-01-01&last=2020-06-30", 182),
    ):
        asked = audit_search.Asked.of(audit_search.QueryDict(query), today)
        assert (asked.last - asked.first).days + 1 == days, query


def test_a_rare_action_is_looked_for_only_so_far_back_and_the_page_says_how_far(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(audit_search, "LOOKED_THROUGH", 3)
    rare = noted("sign.rare", days_ago=3)
    for hours in range(5):
        noted(days_ago=hours / 24)
    client = signed_in("admin")
    answer = client.get(LIST, {"action": "sign."})
    assert shown(answer, rare) == [False]
    assert "were looked through for this action, back to" in text_of(answer)
    answer = client.get(LIST, {"action": "sign.", "resource": "labresult", "row": rare.resource_id})
    assert shown(answer, rare) == [True]


@pytest.mark.parametrize("filters", ["", "outcome=refused", "person", "patient", "resource=labresult&row=1"])
def test_each_look_walks_an_index(filters: str) -> None:
    query = f"{filters}={uuid4()}" if filters in {"person", "patient"} else filters
    asked = audit_search.Asked.of(audit_search.QueryDict(query), timezone.now().date())
    rows, _ = audit_search.rows(asked)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
    plan = rows.order_by("-timestamp", "id")[:51].explain()
    assert "Index Cond" in plan
    assert "Seq Scan" not in plan


def test_a_person_or_patient_is_found_by_a_form_so_that_no_address_holds_them() -> None:
    client, user, patient = signed_in("admin"), make_user("nurse"), make_patient()
    for text, name, found in (
        (user.email.upper(), "person", user),
        (patient.medical_record_number.lower(), "patient", patient),
    ):
        answer = client.post(f"{LIST}find/", {"who": text, "back": "outcome=refused&older=1"}, follow=True)
        assert answer.redirect_chain[-1][0] == f"{LIST}?outcome=refused&{name}={found.pk}"
    for text in ("nobody@example.org", "MRN-NONE", ""):
        assert 'class="error"' in text_of(client.post(f"{LIST}find/", {"who": text}, follow=True))
    searches = AuditLog.objects.filter(action="console.search", outcome="allowed").values_list("detail", flat=True)
    assert sorted(one["found"] for one in searches) == ["patient", "person"]


def test_the_look_itself_is_written_down_and_only_an_administrator_looks() -> None:
    patient, user = make_patient(), make_user("admin")
    client, row = signed_in(user), noted(patient_id=patient.pk, user=user, detail={"fields": ["status"]})
    client.get(LIST, {"patient": str(patient.pk)})
    text = text_of(client.get(f"{LIST}{row.pk}/?back=outcome%3Drefused"))
    assert "[&#x27;status&#x27;]" in text
    assert f'href="{LIST}?outcome=refused"' in text
    assert f"patient={patient.pk}" in text
    looks = AuditLog.objects.filter(resource_type="auditlog", user=user)
    assert set(looks.values_list("action", "patient_id")) == {
        ("console.list", patient.pk),
        ("console.retrieve", patient.pk),
    }
    for role in ("doctor", "lab_tech"):
        assert signed_in(role).get(LIST).status_code == 403
        assert signed_in(role).get(f"{LIST}{row.pk}/").status_code == 403


def test_the_list_costs_the_same_for_many() -> None:
    client = signed_in("admin")
    client.get(LIST)
    with CaptureQueriesContext(connection) as few:
        client.get(LIST)
    for _ in range(5):
        noted(user=make_user("nurse"))
    with CaptureQueriesContext(connection) as many:
        client.get(LIST)
    assert len(many) == len(few) < 10
