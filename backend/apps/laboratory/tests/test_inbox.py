"""Proves what people may decide about a message, the way back from it, and that two who decide at once do not mix."""

from __future__ import annotations

from typing import Any

import pytest

from backend.apps.core.exceptions import DomainError
from backend.apps.core.models import AuditLog
from backend.apps.core.roles import Role
from backend.apps.laboratory import inbox, replays
from backend.apps.laboratory.models import InboundMessage, LabReplay
from backend.apps.laboratory.tests.factories import make_inbound_message, make_lab_replay, make_lab_result
from backend.apps.patients.tests.factories import make_patient
from backend.apps.users.tests.factories import make_user
from tests.support.api_contract import ApiContract, client_for
from tests.support.races import at_once

pytestmark = pytest.mark.django_db
MESSAGES, REPLAYS = "/api/v1/inbound-messages/", "/api/v1/lab-replays/"


def on_the_worklist(**over: Any) -> InboundMessage:
    return make_inbound_message(**{"status": "worklist", "work_state": "done", "status_reason": "Whose?", **over})


class TestLabReplays(ApiContract):
    url = REPLAYS
    reader = "lab_tech"
    stranger = "doctor"

    def make(self) -> LabReplay:
        return make_lab_replay()


def test_a_message_is_assigned_to_a_patient_and_goes_back_in_line() -> None:
    message, patient, tech = on_the_worklist(), make_patient(), make_user("lab_tech")
    inbox.assign(message, by=tech, patient=patient)
    stored = InboundMessage.objects.get(pk=message.pk)
    assert (stored.assigned_patient, stored.settled_by, stored.status, stored.work_state) == (
        patient,
        tech,
        "received",
        "waiting",
    )
    assert stored.settled_at is not None


def test_an_assignment_is_taken_back_while_nothing_was_filed_by_it() -> None:
    message = inbox.assign(on_the_worklist(), by=None, patient=make_patient())
    inbox.unassign(message, by=None)
    stored = InboundMessage.objects.get(pk=message.pk)
    assert (stored.assigned_patient, stored.settled_by, stored.settled_at) == (None, None, None)
    filed = make_inbound_message(status="filed", work_state="done", assigned_patient=make_patient())
    with pytest.raises(DomainError, match="filed"):
        inbox.unassign(filed, by=None)


def test_an_assignment_is_not_taken_back_while_the_machine_files_by_it() -> None:
    message = make_inbound_message(work_state="running", assigned_patient=make_patient())
    with pytest.raises(DomainError, match="just taken"):
        inbox.unassign(message, by=None)
    assert InboundMessage.objects.get(pk=message.pk).assigned_patient is not None


def test_a_message_is_skipped_for_a_reason_and_put_back_in_line() -> None:
    tech = make_user("lab_tech")
    message = inbox.skip(on_the_worklist(), by=tech, reason=" a test of the line ")
    assert (message.status, message.status_reason) == ("rejected", "Skipped: a test of the line")
    assert (message.settled_by, inbox.was_skipped(message)) == (tech, True)
    inbox.retry(message, by=tech)
    stored = InboundMessage.objects.get(pk=message.pk)
    assert (stored.status, stored.work_state, stored.settled_by, stored.settled_at) == (
        "received",
        "waiting",
        None,
        None,
    )


@pytest.mark.parametrize("status", ["received", "filed", "rejected", "duplicate"])
def test_only_what_is_on_the_worklist_is_assigned_or_skipped(status: str) -> None:
    message = make_inbound_message(status=status, work_state="waiting" if status == "received" else "done")
    with pytest.raises(DomainError, match=status):
        inbox.assign(message, by=None, patient=make_patient())
    with pytest.raises(DomainError, match=status):
        inbox.skip(message, by=None, reason="no")


def test_a_merged_patient_gets_nothing() -> None:
    patient = make_patient()
    patient.delete()
    with pytest.raises(DomainError, match="removed or merged"):
        inbox.assign(on_the_worklist(), by=None, patient=patient)


@pytest.mark.django_db(transaction=True)
def test_of_two_who_assign_and_one_who_skips_at_once_one_decides() -> None:
    message, one, other = on_the_worklist(), make_patient(), make_patient()

    def copy() -> InboundMessage:
        return InboundMessage.objects.get(pk=message.pk)

    copies = [copy() for _ in range(3)]
    outcomes = at_once(
        lambda: inbox.assign(copies[0], by=None, patient=one),
        lambda: inbox.assign(copies[1], by=None, patient=other),
        lambda: inbox.skip(copies[2], by=None, reason="a test"),
    )
    assert sorted(outcomes) == ["Conflict", "Conflict", "done"]
    stored, winner = copy(), outcomes.index("done")
    expected = [(one.pk, "received"), (other.pk, "received"), (None, "rejected")][winner]
    assert (stored.assigned_patient_id, stored.status) == expected


def test_the_whole_way_over_the_api() -> None:
    message, patient = on_the_worklist(), make_patient()
    api, url = client_for(make_user("lab_tech")), f"{MESSAGES}{message.pk}/"
    assert api.post(f"{url}assign/", {"patient": "me"}, format="json").status_code == 400
    answer = api.post(f"{url}assign/", {"patient": str(patient.pk)}, format="json")
    assert (answer.status_code, answer.data["assigned_patient"], answer.data["status"]) == (200, patient.pk, "received")
    assert api.post(f"{url}unassign/").data["assigned_patient"] is None
    InboundMessage.objects.update(status="worklist", work_state="done")
    assert api.post(f"{url}skip/", {"reason": " "}, format="json").status_code == 400
    assert api.post(f"{url}skip/", {"reason": "a test"}, format="json").data["status"] == "rejected"
    assert api.post(f"{url}retry/").data["status"] == "received"
    assert AuditLog.objects.filter(resource_id=str(message.pk), outcome="allowed").count() == 4


def test_a_replay_is_asked_for_by_ids_or_by_a_filter_and_found_with_its_progress() -> None:
    api = client_for(make_user("lab_tech"))
    messages = [on_the_worklist() for _ in range(3)]
    make_inbound_message(status="filed", work_state="done")
    by_ids = api.post(REPLAYS, {"messages": [str(messages[0].pk)]}, format="json")
    assert (by_ids.status_code, by_ids.data["total"], by_ids.data["dry_run"]) == (201, 1, True)
    by_filter = api.post(REPLAYS, {"filter": {"status": ["worklist"]}, "dry_run": False}, format="json")
    assert (by_filter.status_code, by_filter.data["total"], by_filter.data["dry_run"]) == (201, 3, False)
    alone = api.post(f"{MESSAGES}{messages[0].pk}/replay/", {}, format="json")
    assert (alone.status_code, alone.data["total"], alone.data["outcomes"]) == (201, 1, {})
    stopped = api.post(f"{REPLAYS}{alone.data['id']}/cancel/")
    assert stopped.data["status"] == "cancelled"
    assert api.post(f"{REPLAYS}{alone.data['id']}/cancel/").status_code == 422


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"messages": []},
        {"messages": ["x"]},
        {"messages": ["019a0000-0000-7000-8000-000000000000"]},
        {"filter": {"status": ["eaten"]}},
        {"filter": {"no_such": "1"}},
        {"filter": {"control_id": "NOBODY"}},
    ],
)
def test_a_replay_of_nothing_or_of_nonsense_is_refused(asked: dict[str, Any]) -> None:
    make_inbound_message()
    answer = client_for(make_user("lab_tech")).post(REPLAYS, asked, format="json")
    assert answer.status_code in {400, 422}, answer.data
    assert not LabReplay.objects.exists()


def test_a_dry_run_is_applied_once_it_is_finished_and_only_once() -> None:
    dry = make_lab_replay(on_the_worklist(), on_the_worklist())
    api = client_for(make_user("lab_tech"))
    assert api.post(f"{REPLAYS}{dry.pk}/apply/").status_code == 422
    LabReplay.objects.update(status="finished")
    first = api.post(f"{REPLAYS}{dry.pk}/apply/")
    assert (first.status_code, first.data["dry_run"], first.data["of_dry_run"], first.data["total"]) == (
        200,
        False,
        dry.pk,
        2,
    )
    assert api.post(f"{REPLAYS}{dry.pk}/apply/").data["id"] == first.data["id"]
    assert LabReplay.objects.count() == 2
    assert api.post(f"{REPLAYS}{first.data['id']}/apply/").status_code == 422


def test_too_many_messages_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replays, "MOST_MESSAGES", 2)
    for _ in range(3):
        on_the_worklist()
    with pytest.raises(DomainError, match="at most 2"):
        replays.request(by=None, filter={})


def test_the_filters_of_the_inbox_find_what_they_name() -> None:
    filed = make_inbound_message(status="filed", work_state="done")
    patient = make_lab_result(code_as_sent="718-7", source_message=filed).lab_order.patient
    lost = on_the_worklist(status_reason="No patient has this record number.", control_id="LOST1")
    mine = on_the_worklist(assigned_patient=patient, conflict=True)
    api = client_for(make_user(Role.LAB_TECH))
    expected = {
        f"patient={patient.pk}": {filed, mine},
        "code=718-7": {filed},
        "error=record number": {lost},
        "control_id=LOST1": {lost},
        "conflict=true": {mine},
        "feed=none&status=filed": {filed},
        "status=worklist&work_state=done": {lost, mine},
        "received_at__lt=2020-01-01": set(),
    }
    for query, rows in expected.items():
        found = api.get(f"{MESSAGES}?{query}")
        assert {row["id"] for row in found.data["results"]} == {str(row.pk) for row in rows}, query
