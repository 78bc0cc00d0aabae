"""Gives the worker tests one set of real processes per module, and a broker of their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.db import connection

from backend.apps.core import dispatch
from backend.apps.laboratory.models import InboundMessage, LabFeed
from backend.apps.laboratory.tests.factories import make_lab_feed
from integrations.doubles.laboratory import LabDouble
from integrations.doubles.sendgrid import SendGridDouble
from integrations.doubles.twilio import TwilioDouble
from tests.support.stage import Stage
from tests.workers.alerting import FIRST, NOON
from workers import gateways
from workers.celery_app import app


@pytest.fixture(scope="session", autouse=True)
def finalized() -> None:
    """Make all tasks, as a worker does at its start: threads that call one first at once get it half made."""
    app.finalize()


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, django_db_setup: None) -> Iterator[Stage]:
    folder: Path = tmp_path_factory.mktemp("stage")
    made = Stage(folder)
    yield made
    made.close()


@pytest.fixture
def rung(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Collect the names of the tasks that would be published; the only thing that is replaced here."""
    names: list[str] = []

    def send(name: str) -> bool:
        names.append(name)
        return True

    monkeypatch.setattr(dispatch, "send", send)
    return names


@pytest.fixture
def mails(settings: Any, rung: list[str]) -> Iterator[SendGridDouble]:
    """A provider of e-mail for one person who is on call."""
    settings.ON_CALL, settings.EMAIL_TRANSPORT = (FIRST,), "sendgrid"
    settings.SENDGRID_API_KEY, settings.SENDGRID_FROM = "SG.key", "relay@example.org"
    with SendGridDouble() as double:
        settings.SENDGRID_BASE_URL = double.url
        yield double


@pytest.fixture
def clock() -> Iterator[time_machine.Coordinates]:
    """The clock of the program, which stands still at noon; the database's goes on."""
    with time_machine.travel(NOON, tick=False) as travel:
        yield travel


@pytest.fixture(scope="module")
def any_feed(django_db_setup: None, django_db_blocker: Any) -> Iterator[LabFeed]:
    """A feed of any sender for a whole module, as a listener that outlives a test needs it."""
    with django_db_blocker.unblock():
        made = make_lab_feed()
        yield made
        clear()


@pytest.fixture
def emptied(any_feed: LabFeed, django_db_blocker: Any) -> Iterator[None]:
    """A test that commits messages and takes them away again; feeds but the module's own too."""
    with django_db_blocker.unblock():
        yield
        clear(any_feed)


def clear(but: LabFeed | None = None) -> None:
    """Take away what a listener committed, and every feed but one; to truncate all tables would take longer."""
    InboundMessage.all_objects.all()._raw_delete("default")
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE laboratory_intakecount")  # a row of it is never deleted
    LabFeed.all_objects.exclude(pk=but and but.pk)._raw_delete("default")


@pytest.fixture
def lab(settings: Any, rung: list[str]) -> Iterator[LabDouble]:
    """A laboratory that takes orders; whoever sends to it begins without an open connection."""
    settings.LAB_ORDERS_TIMEOUT_S = 5.0
    gateways._clients.__dict__.clear()
    with LabDouble() as double:
        yield double
    for client in gateways._clients.__dict__.pop("laboratories", {}).values():
        client.close()


@pytest.fixture
def twilio(settings: Any, tmp_path: Path, rung: list[str]) -> Iterator[TwilioDouble]:
    """Twilio behind a real socket, with a sender that is not limited; mails land in a folder."""
    settings.SMS_TRANSPORT, settings.EMAIL_TRANSPORT, settings.DATA_DIR = "twilio", "sandbox", tmp_path
    settings.TWILIO_ACCOUNT_SID, settings.TWILIO_AUTH_TOKEN = "AC" + "0" * 32, "test-token"
    settings.TWILIO_FROM, settings.SMS_PER_SECOND, settings.SEND_THREADS = "+14155550199", 1000.0, 4
    with TwilioDouble() as double:
        settings.TWILIO_BASE_URL = double.url
        yield double
