"""Proves that the alert of an exception goes when it is over: by the beat, late, twice and after a crash."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from backend.apps.core.models import Alert, Heartbeat
from backend.apps.credentials import overrides
from backend.apps.credentials.models import CredentialOverride
from backend.apps.doctors.tests.factories import make_doctor
from backend.apps.users.tests.factories import make_user
from workers.overrides import clear_overrides

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)
ENTRY = "exceptions that ended"


def told_of(**over: Any) -> CredentialOverride:
    """Make an exception, with its alert, and let it stand otherwise than it was made."""
    fields = {"doctor": make_doctor(), "credential_type": "dea", "reason": "The agency is late.", "hours": 48}
    row = overrides.grant(by=make_user(role="admin"), **fields)
    CredentialOverride.objects.filter(pk=row.pk).update(**over)
    return row


def open_ones() -> list[str]:
    return list(Alert.objects.filter(kind=overrides.KIND, resolved_at=None).values_list("subject_id", flat=True))


def test_the_beat_clears_what_is_over_however_late_and_twice_is_once() -> None:
    now = timezone.now()
    lasting = told_of()
    told_of(granted_at=now - 180 * HOUR, expires_at=now - 140 * HOUR)
    assert clear_overrides() == "1 cleared"
    assert clear_overrides() == "0 cleared"
    assert open_ones() == [str(lasting.pk)]
    assert Heartbeat.objects.get(entry=ENTRY).runs == 2


def test_one_whose_end_was_written_before_its_process_died_is_cleared_by_the_next_look() -> None:
    told_of(ended_at=timezone.now())
    assert overrides.clear_ended() == 1
    assert open_ones() == []
