"""Holds that a final result sent without its value gets it, whichever of the messages comes first."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from backend.apps.core.work import WorkState
from backend.apps.laboratory import inbox, services
from backend.apps.laboratory.models import InboundMessage, LabResult
from backend.apps.laboratory.reports import Outcome, ReportIn
from backend.apps.laboratory.tests.factories import NOON, make_inbound_message, observation_in, order_in, report_in
from backend.apps.laboratory.tests.test_permutations import Feed, Undo, assert_versions_count_up, chart
from backend.apps.patients.models import Patient
from backend.apps.patients.tests.factories import make_patient
from backend.apps.users.tests.factories import make_user

pytestmark = pytest.mark.django_db


def sent(patient: Patient, hour: float, **said: Any) -> tuple[InboundMessage, ReportIn]:
    order = order_in(observation_in(**said), filler="F1", reported_at=NOON + timedelta(hours=hour))
    return make_inbound_message(), report_in(patient, order, sent_at=NOON + timedelta(hours=hour))


def restating(patient: Patient, hour: float = 3) -> tuple[InboundMessage, ReportIn]:
    return sent(patient, hour, status="final", value="", numeric=None, unit="", restates=True)


def early(patient: Patient, hour: float = 1, value: str = "4.4") -> tuple[InboundMessage, ReportIn]:
    return sent(patient, hour, status="preliminary", value=value)


def settled(message: InboundMessage, outcome: Outcome) -> None:
    """Write an outcome down as the worker does."""
    fields = {"status": outcome.status, "status_reason": outcome.reason, "work_state": WorkState.DONE}
    InboundMessage.objects.filter(pk=message.pk).update(**fields)


def worked_off(feed: Iterable[tuple[InboundMessage, ReportIn]]) -> None:
    """File messages one by one as they come, and again what is back in line, until nothing is."""
    known: Feed = []
    for arrived in feed:
        known.append(arrived)
        waiting = [arrived]
        while waiting:
            for message, report in waiting:
                settled(message, services.file_report(message, report))
            in_line = set(InboundMessage.work.filter(work_state=WorkState.WAITING).values_list("pk", flat=True))
            waiting = [each for each in known if each[0].pk in in_line]


def test_a_message_that_came_before_its_value_goes_back_in_line_by_itself() -> None:
    patient = make_patient()
    message, report = restating(patient)
    settled(message, services.file_report(message, report))
    message.refresh_from_db()
    assert message.status == "worklist"
    services.file_report(*early(patient))
    message.refresh_from_db()
    assert (message.status, message.work_state, message.status_reason) == ("received", "waiting", "")
    assert services.file_report(message, report).status == "filed"
    current = LabResult.objects.get(is_current=True)
    assert (current.status, current.result_value, current.restates, current.version) == ("final", "4.4", True, 2)


def test_a_worker_that_found_no_value_does_not_write_so_after_it_came() -> None:
    patient = make_patient()
    waiting, report = restating(patient)
    InboundMessage.work.filter(pk=waiting.pk).update(due_at=timezone.now() - timedelta(hours=1))
    (leased,) = InboundMessage.work.lease(1)
    assert services.file_report(leased, report).status == "worklist"
    services.file_report(*early(patient))
    assert not leased.finish(status="worklist")
    waiting.refresh_from_db()
    assert (waiting.status, waiting.work_state) == ("received", "waiting")


def test_what_a_person_skipped_stays_skipped() -> None:
    patient = make_patient()
    message, report = restating(patient)
    settled(message, services.file_report(message, report))
    message.refresh_from_db()
    inbox.skip(message, by=make_user(), reason="The laboratory sent it on paper.")
    services.file_report(*early(patient))
    message.refresh_from_db()
    assert (message.status, message.work_state) == ("rejected", "done")


def test_another_preliminary_result_moves_no_message_that_does_not_mean_it() -> None:
    patient, other = make_patient(), make_patient(first_name="Bea")
    message, report = restating(patient)
    settled(message, services.file_report(message, report))
    services.file_report(*early(other))
    services.file_report(*sent(patient, 1, code="2951-2", status="preliminary"))
    message.refresh_from_db()
    assert message.status == "worklist"


def says_now(patient: Patient) -> list[tuple[str, str]]:
    current = LabResult.objects.filter(lab_order__patient=patient, is_current=True)
    return sorted(current.values_list("status", "result_value"))


@pytest.mark.parametrize("ending", [(), ("corrected",), ("final",)])
def test_every_order_of_a_preliminary_a_restating_and_another_message_gives_one_chart(ending: tuple[str, ...]) -> None:
    patient = make_patient()
    feed = [early(patient), restating(patient), restating(patient, 3.5)]
    feed += [sent(patient, 4, status=status, value="5.0") for status in ending]
    charts = {repr(chart_after(patient, list(shuffled))) for shuffled in permutations(feed)}
    assert len(charts) == 1


@pytest.mark.parametrize("observed", [0, -1])
def test_the_last_preliminary_value_before_it_is_what_became_final_in_every_order(observed: int) -> None:
    patient = make_patient()
    second = sent(patient, 2, status="preliminary", value="4.6", observed_at=NOON + timedelta(hours=observed))
    feed = [early(patient), second, restating(patient), early(patient, 5, "9.9")]
    found = set()
    for shuffled in permutations(feed):
        try:
            with transaction.atomic():
                worked_off(shuffled)
                found.add(tuple(says_now(patient)))
                assert_versions_count_up(patient)
                raise Undo
        except Undo:
            pass
    assert found == {(("final", "4.6"),)}


def chart_after(patient: Patient, feed: Feed) -> list[Any]:
    seen: list[Any] = []
    try:
        with transaction.atomic():
            worked_off(feed)
            seen = chart(patient)
            assert_versions_count_up(patient)
            raise Undo
    except Undo:
        return seen
