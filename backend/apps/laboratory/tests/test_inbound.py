"""Holds that a received message stays as it came, is stored once, and can be put back in line."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import IntegrityError, transaction

from backend.apps.core import dispatch
from backend.apps.core.exceptions import DomainError
from backend.apps.core.keyring import OVERHEAD
from backend.apps.core.sealed import Sealed, column
from backend.apps.laboratory import services
from backend.apps.laboratory.keys import key_of
from backend.apps.laboratory.models import InboundMessage
from backend.apps.laboratory.tests.factories import make_inbound_message

pytestmark = pytest.mark.django_db


def test_the_bytes_come_back_as_they_were_received() -> None:
    raw = bytes(range(256)) * 30
    message = make_inbound_message(raw)
    assert bytes(InboundMessage.objects.get(pk=message.pk).raw) == raw


@pytest.mark.parametrize("field", ["raw", "sha256", "control_id", "sending_facility"])
def test_a_received_message_is_never_rewritten(field: str) -> None:
    message = make_inbound_message(b"MSH|abc")
    value = {"raw": Sealed(column(InboundMessage, "raw"), bytes(7 + OVERHEAD)), "sha256": "0" * 64}.get(field, "other")
    with pytest.raises(IntegrityError, match="never rewritten"), transaction.atomic():
        InboundMessage.objects.filter(pk=message.pk).update(**{field: value})


def test_an_outcome_may_be_noted_on_a_received_message() -> None:
    message = make_inbound_message()
    message.status = "filed"
    message.save()
    assert InboundMessage.objects.get(pk=message.pk).status == "filed"


def test_the_size_is_that_of_the_bytes() -> None:
    message = make_inbound_message()
    with pytest.raises(IntegrityError), transaction.atomic():
        InboundMessage.objects.filter(pk=message.pk).update(size_bytes=1)


def test_the_same_message_is_one_row_and_another_under_its_id_is_a_second() -> None:
    make_inbound_message(b"MSH|a", control_id="7")
    with pytest.raises(IntegrityError), transaction.atomic():
        make_inbound_message(b"MSH|a", control_id="7")
    make_inbound_message(b"MSH|b", control_id="7", conflict=True)
    assert InboundMessage.objects.count() == 2


def test_keys_tell_senders_ids_and_contents_apart() -> None:
    same = {"sending_application": "A", "sending_facility": "B", "control_id": "1", "sha256": "0"}
    keys = {key_of(**{**same, **other}) for other in ({}, {"control_id": "2"}, {"sha256": "1"})}
    shifted = key_of(**{**same, "sending_application": "AB", "sending_facility": ""})
    assert len({*keys, shifted}) == 4
    assert key_of(**same) == key_of(**same)


@pytest.mark.parametrize("state", ["failed", "held"])
def test_what_the_machine_gives_up_on_is_on_the_worklist(state: str) -> None:
    assert InboundMessage.fields_when(state)["status"] == "worklist"
    assert InboundMessage.fields_when("done") == {}


@pytest.mark.parametrize(
    ("status", "work_state"), [("worklist", "done"), ("worklist", "failed"), ("worklist", "held"), ("rejected", "done")]
)
def test_a_message_that_was_not_filed_goes_back_in_line(
    status: str, work_state: str, monkeypatch: Any, django_capture_on_commit_callbacks: Any
) -> None:
    rung: list[str] = []
    monkeypatch.setattr(dispatch, "send", rung.append)
    message = make_inbound_message(status=status, work_state=work_state, attempts=8, last_error="x")
    with django_capture_on_commit_callbacks(execute=True):
        services.retry(message, by=None)
    stored = InboundMessage.objects.get(pk=message.pk)
    assert (stored.status, stored.work_state, stored.attempts, stored.last_error) == ("received", "waiting", 0, "")
    assert rung == ["lab_results.file"]
    assert [row.pk for row in InboundMessage.work.overdue()] == [message.pk]


@pytest.mark.parametrize("status", ["received", "filed", "duplicate"])
def test_a_message_that_is_filed_or_in_line_is_not_retried(status: str) -> None:
    with pytest.raises(DomainError, match="nothing to retry"):
        make_inbound_message(status=status, work_state="done").retry()


def test_a_message_a_worker_holds_is_not_retried_under_it() -> None:
    message = make_inbound_message(status="worklist", work_state="running")
    with pytest.raises(DomainError):
        message.retry()
    assert InboundMessage.objects.get(pk=message.pk).work_state == "running"
