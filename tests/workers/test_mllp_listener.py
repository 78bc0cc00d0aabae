"""Holds the lab feed's door as a real process: an answer means stored once, whatever the wire does."""

from __future__ import annotations

import contextlib
import signal
import ssl
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
from django.db import connection

from backend.apps.laboratory.models import InboundMessage, LabFeed
from integrations.hl7.mllp import MllpClient
from tests.support.proxy import Proxy
from tests.support.stage import Stage
from tests.workers.rows import KEEPS
from tests.workers.wire import VT, Wire, framed, listening, oru, self_signed, wire

pytestmark = [pytest.mark.django_db(**KEEPS), pytest.mark.usefixtures("emptied")]
TOO_LONG = 20 * 1024 * 1024 + 65_536


@dataclass
class Running:
    port: int
    tls_port: int
    process: subprocess.Popen[bytes]
    trust: ssl.SSLContext
    database: Proxy


@pytest.fixture(scope="module")
def listener(stage: Stage, any_feed: LabFeed) -> Iterator[Running]:
    """One listener for all tests, with TLS, that reaches PostgreSQL over a wire we can cut."""
    at = connection.settings_dict
    certificate, key = self_signed(stage.folder)
    with Proxy((at["HOST"], int(at["PORT"]))) as database:
        stage.extra["DATABASE_URL"] = stage.environment()["DATABASE_URL"].replace(
            f":{at['PORT']}/", f":{database.port}/"
        )
        running = listening(stage, "mllp", "--certificate", str(certificate), "--key", str(key))
        yield Running(*running, ssl.create_default_context(cafile=certificate), database)
        del stage.extra["DATABASE_URL"]


@pytest.fixture
def lab(listener: Running) -> Iterator[Wire]:
    with wire(listener.port) as made:
        yield made


def kept() -> Counter[str]:
    return Counter(InboundMessage.objects.values_list("control_id", flat=True))


def accepted(*controls: str) -> list[tuple[str, str]]:
    return [("AA", control) for control in controls]


def test_several_messages_in_one_write_are_answered_each_and_in_order(lab: Wire) -> None:
    names = [f"S{number}" for number in range(30)]
    lab.say(framed(*map(oru, names)))
    assert lab.heard(30) == accepted(*names)
    assert kept() == Counter(names)


def test_messages_of_one_write_share_a_commit(lab: Wire) -> None:
    lab.say(framed(*(oru(f"P{number}") for number in range(50))))
    lab.heard(50)
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(DISTINCT xmin::text) FROM laboratory_inboundmessage")
        assert cursor.fetchone()[0] <= 3


def test_a_message_cut_into_single_bytes_arrives_whole(lab: Wire) -> None:
    raw = oru("B1")
    for byte in framed(raw):
        lab.say(bytes([byte]))
    assert lab.heard(1) == accepted("B1")
    assert bytes(InboundMessage.objects.get().raw) == raw


def test_garbage_between_messages_is_dropped_and_stops_nothing(lab: Wire) -> None:
    lab.say(b"\r\nhello\x1c\r" + framed(oru("G1")) + b"\x00\xff\r\n" + framed(oru("G2")) + b"noise")
    assert lab.heard(2) == accepted("G1", "G2")
    assert kept() == {"G1": 1, "G2": 1}


def test_a_message_that_broke_off_and_began_again_is_stored_once(lab: Wire) -> None:
    whole = oru("R1")
    lab.say(VT + whole[:40])
    lab.say(framed(whole))
    assert lab.heard(1) == accepted("R1")
    assert bytes(InboundMessage.objects.get().raw) == whole


def test_bytes_that_are_no_message_are_kept_and_refused_and_the_talk_goes_on(lab: Wire) -> None:
    lab.say(framed(b"\x80\x81 no HL7", b"MSH| ~\\&|odd signs|||||ORU^R01|Q1|P|2.5.1\r", oru("Q2")))
    assert [code for code, _ in lab.heard(3)] == ["AR", "AR", "AA"]
    assert InboundMessage.objects.count() == 3


def test_too_long_a_message_closes_its_own_connection_only(listener: Running, lab: Wire) -> None:
    with wire(listener.port) as other:
        lab.say(framed(oru("L1")))
        assert lab.heard(1) == accepted("L1")
        with contextlib.suppress(OSError):  # it may hang up before we have said it all
            other.say(VT + oru("L2", filler=b"x" * TOO_LONG))
        assert other.is_closed()
        lab.say(framed(oru("L3")))
        assert lab.heard(1) == accepted("L3")
    assert kept() == {"L1": 1, "L3": 1}


def test_a_connection_that_dies_in_mid_message_leaves_nothing_behind(listener: Running, lab: Wire) -> None:
    with wire(listener.port) as dying:
        dying.say(VT + oru("D1")[:50])
    lab.say(framed(oru("D2")))
    assert lab.heard(1) == accepted("D2")
    assert kept() == {"D2": 1}


def test_fifty_senders_of_twenty_messages_are_all_answered_and_stored_once(listener: Running) -> None:
    def lab(number: int) -> int:
        with MllpClient("127.0.0.1", listener.port, timeout_s=60) as client:
            return sum(b"MSA|AA|" in client.send(oru(f"C{number}.{each}")) for each in range(20))

    with ThreadPoolExecutor(50) as labs:
        assert list(labs.map(lab, range(50))) == [20] * 50
    assert set(kept().values()) == {1}
    assert sum(kept().values()) == 1000


def test_a_message_the_database_will_not_hold_stops_nobody_else(lab: Wire) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE laboratory_inboundmessage ADD CONSTRAINT no_x CHECK (control_id <> 'X') NOT VALID")
    try:
        lab.say(framed(oru("W1"), oru("X"), oru("W2")))
        assert lab.heard(3) == [("AA", "W1"), ("AE", "X"), ("AA", "W2")]
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE laboratory_inboundmessage DROP CONSTRAINT no_x")
    assert kept() == {"W1": 1, "W2": 1}
    lab.say(framed(oru("X")))
    assert lab.heard(1) == accepted("X")


def test_a_database_that_takes_no_writes_is_away_and_answers_nothing(listener: Running, lab: Wire) -> None:
    with connection.cursor() as cursor:
        name = connection.ops.quote_name(connection.settings_dict["NAME"])
        cursor.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        listener.database.cut()
        listener.database.ok()
        try:
            lab.say(framed(oru("RO1")))
            assert lab.heard(1, within_s=1) == []
        finally:
            cursor.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
    assert lab.heard(1) == accepted("RO1")
    assert kept() == {"RO1": 1}


@pytest.mark.parametrize("how", ["cut", "hole"])
def test_nothing_is_answered_while_postgresql_is_away_and_what_waits_is_stored_once_after(
    listener: Running, lab: Wire, how: str
) -> None:
    lab.say(framed(oru("A1")))
    assert lab.heard(1) == accepted("A1")
    getattr(listener.database, how)()
    lab.say(framed(oru("A2")) + framed(oru("A3")))
    with wire(listener.port) as late:  # the door stays open
        late.say(framed(oru("A4")))
        assert lab.heard(1, within_s=2) == late.heard(1, within_s=0.1) == []
        listener.database.ok()
        assert lab.heard(2) == accepted("A2", "A3")
        assert late.heard(1) == accepted("A4")
    assert kept() == {"A1": 1, "A2": 1, "A3": 1, "A4": 1}


def test_over_tls_a_message_is_answered(listener: Running) -> None:
    with wire(listener.tls_port, listener.trust) as lab:
        assert isinstance(lab.connection, ssl.SSLSocket)
        assert lab.connection.version() in ("TLSv1.2", "TLSv1.3")
        lab.say(framed(oru("T1")))
        assert lab.heard(1) == accepted("T1")
    assert kept() == {"T1": 1}


def test_plain_text_on_the_tls_port_is_refused_and_tls_goes_on(listener: Running) -> None:
    with wire(listener.tls_port) as plain:
        plain.say(framed(oru("T2")))
        assert plain.heard(1, within_s=5) == []
        assert plain.is_closed()
    with wire(listener.tls_port, listener.trust) as lab:
        lab.say(framed(oru("T3")))
        assert lab.heard(1) == accepted("T3")
    assert kept() == {"T3": 1}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_it_leaves_idle_and_half_sent_messages_and_exits_clean(stage: Stage, number: Any) -> None:
    port, _, process = listening(stage, f"stopped-by-{number}")
    with wire(port) as idle, wire(port) as talking:
        talking.say(framed(oru("E1")))
        assert talking.heard(1) == accepted("E1")
        talking.say(VT + oru("E2")[:30])
        began = time.monotonic()
        process.send_signal(number)
        assert process.wait(8) == 0
        assert time.monotonic() - began < 5
        assert idle.is_closed()
        assert talking.is_closed()
    assert kept() == {"E1": 1}


def test_no_line_of_the_log_repeats_what_was_sent(stage: Stage, listener: Running, lab: Wire) -> None:
    lab.say(framed(oru("CANARY", filler=b"CANARY"), b"CANARY"))
    assert len(lab.heard(2)) == 2
    log = stage.log("mllp")
    assert b"listening" in log
    assert b"CANARY" not in log
    assert b"Traceback" not in log
