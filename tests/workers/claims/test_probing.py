"""Tries connections to real clearinghouses, and tells what came of it."""

from __future__ import annotations

import pytest

from backend.apps.core.models import Alert
from backend.apps.insurance import partner_checks
from backend.apps.insurance.models import TradingPartner
from beat_schedule import SCHEDULE
from workers.claims.probing import probe_due

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _quiet(rung: list[str]) -> None:
    """Let nothing be rung for."""


def test_a_connection_that_works_is_told_and_nobody_else_is_asked(over_sftp: TradingPartner) -> None:
    assert probe_due() == "nothing due"
    partner_checks.check(over_sftp, by=None)
    assert probe_due() == "1 reached"
    (told,) = partner_checks.told_of([over_sftp])[str(over_sftp.pk)]
    assert (told.sentence, told.is_good) == ("The connection works.", True)
    assert not Alert.objects.filter(resolved_at=None).exists()


def test_a_connection_that_fails_is_told_until_it_works(over_sftp: TradingPartner) -> None:
    TradingPartner.objects.filter(pk=over_sftp.pk).update(outbound_folder="nowhere")
    partner_checks.check(over_sftp, by=None)
    assert probe_due() == "1 not reached"
    (told,) = partner_checks.told_of([over_sftp])[str(over_sftp.pk)]
    assert (told.sentence, told.is_bad) == (f"{over_sftp.name}: the connection fails (sftp:missing).", True)
    TradingPartner.objects.filter(pk=over_sftp.pk).update(outbound_folder="inbound")
    assert probe_due() == "1 reached"
    assert not partner_checks.told_of([over_sftp])[str(over_sftp.pk)][0].is_bad


def test_nobody_waits_for_a_partner_that_went_out_of_use_meanwhile(over_sftp: TradingPartner) -> None:
    partner_checks.check(over_sftp, by=None)
    TradingPartner.objects.filter(pk=over_sftp.pk).update(is_active=False)
    assert probe_due() == "nothing due"
    assert not Alert.objects.filter(resolved_at=None).exists()


def test_a_connection_is_tried_also_when_its_bell_was_not_heard() -> None:
    assert partner_checks.PROBE in {entry["task"] for entry in SCHEDULE.values()}
