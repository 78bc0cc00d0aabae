"""Holds what the door bears: slow, idle, silent, greedy and many peers cost neither memory nor the others' time."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from itertools import count

import psutil
import pytest
from django.db import connection

from backend.apps.laboratory.models import InboundMessage, LabFeed
from tests.support.proxy import Proxy
from tests.support.stage import Stage, until
from tests.workers.rows import KEEPS
from tests.workers.wire import VT, Wire, framed, listening, oru, wire

pytestmark = [pytest.mark.django_db(**KEEPS), pytest.mark.usefixtures("emptied")]
LONGEST, IN_FLIGHT = 200_000, 400_000
MOST, PER_ADDRESS = 12, 10
FRAME_S, IDLE_S = 2.5, 6.0
LOOK_S = 1.05  # in which somebody looks at the clock


@dataclass
class Running:
    port: int
    process: subprocess.Popen[bytes]
    database: Proxy


@pytest.fixture(scope="module")
def door(stage: Stage, any_feed: LabFeed) -> Iterator[Running]:
    """A listener of little patience, that reaches PostgreSQL over a wire we can cut."""
    at = connection.settings_dict
    with Proxy((at["HOST"], int(at["PORT"]))) as database:
        url = stage.environment()["DATABASE_URL"]
        stage.extra["DATABASE_URL"] = url.replace(f":{at['PORT']}/", f":{database.port}/")
        sizes = ["--message", str(LONGEST), "--in-flight", str(IN_FLIGHT)]
        counts = ["--connections", str(MOST), "--per-address", str(PER_ADDRESS)]
        times = ["--frame-s", str(FRAME_S), "--idle-s", str(IDLE_S), "--blocked-s", "1.2"]
        port, _, process = listening(stage, "limits", *sizes, *counts, *times)
        yield Running(port, process, database)
        del stage.extra["DATABASE_URL"]


@pytest.fixture(autouse=True)
def alone(door: Running) -> None:
    """Begin with no connection of an earlier test: a listener that does not read sees late that a peer is gone."""
    until(lambda: not peers(door.process, door.port))


def peers(process: subprocess.Popen[bytes], port: int) -> int:
    """Return how many connections a listener holds at its port, those included whose peer has gone."""
    found = psutil.Process(process.pid).net_connections()
    return sum(each.laddr.port == port and each.status != psutil.CONN_LISTEN for each in found)


@pytest.fixture
def lab(door: Running) -> Iterator[Wire]:
    with wire(door.port) as made:
        yield made


def is_served(door: Running, control: str) -> bool:
    with wire(door.port) as another:
        another.say(framed(oru(control)))
        return another.heard(1) == [("AA", control)]


def test_a_message_that_drips_is_cut_however_often_a_byte_comes(door: Running, lab: Wire) -> None:
    began = time.monotonic()
    lab.say(VT)
    until(lambda: time.sleep(0.1) or hung_up(lab.connection, b"M"))
    assert time.monotonic() - began > 1
    assert not InboundMessage.objects.exists()


def test_who_says_nothing_is_cut_and_neither_who_talks_nor_who_ends_a_message_late(lab: Wire, door: Running) -> None:
    numbers = count()
    with ThreadPoolExecutor(1) as beside, wire(door.port) as talking:
        late = beside.submit(ends_a_message_late, door)

        def talk() -> None:
            control = f"T{next(numbers)}"
            talking.say(framed(oru(control)))
            assert talking.heard(1) == [("AA", control)]

        until(lambda: talk() or lab.is_closed(within_s=0.5))
        time.sleep(LOOK_S)
        talk()
        assert late.result() == [("AA", "LATER")]


def ends_a_message_late(door: Running) -> list[tuple[str, str]]:
    """Return the answer to a message that has its whole time, however long nothing came before it."""
    with wire(door.port) as lab:
        lab.say(framed(oru("BEFORE")))
        assert lab.heard(1) == [("AA", "BEFORE")]
        time.sleep(IDLE_S - LOOK_S)
        later = framed(oru("LATER"))
        lab.say(later[:40])
        time.sleep(2 * LOOK_S)  # shorter than a message may take, and past the time a connection may idle
        lab.say(later[40:])
        return lab.heard(1)


def test_more_connections_of_one_address_than_allowed_are_hung_up_on_and_a_place_is_free_again(door: Running) -> None:
    with ExitStack() as held:
        talking = [held.enter_context(wire(door.port)) for _ in range(PER_ADDRESS)]
        for number, each in enumerate(talking):
            each.say(framed(oru(f"N{number}")))
            assert each.heard(1)
        with wire(door.port) as too_many:
            assert too_many.is_closed()
        talking[0].connection.close()
        until(lambda: is_served(door, "FREE"))


def test_a_half_closed_peer_still_gets_its_answers(lab: Wire) -> None:
    lab.say(framed(*(oru(f"H{number}") for number in range(100))))
    lab.connection.shutdown(socket.SHUT_WR)
    assert lab.heard(100) == [("AA", f"H{number}") for number in range(100)]
    assert lab.is_closed()


def test_a_peer_that_hangs_up_while_its_message_is_committed_stops_nobody(door: Running) -> None:
    door.database.hole()
    with wire(door.port) as gone, wire(door.port) as waiting:
        gone.say(framed(oru("GONE")))
        until(lambda: commits(door.database, b"GONE"))
        gone.connection.close()
        waiting.say(framed(oru("STAYS")))
        door.database.ok()
        assert waiting.heard(1) == [("AA", "STAYS")]
    assert stored("GONE", "STAYS") == ["GONE", "STAYS"]


def test_a_peer_that_never_reads_its_answers_is_cut_and_stalls_nobody(door: Running) -> None:
    deaf = socket.socket()
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    deaf.connect(("127.0.0.1", door.port))
    with deaf:
        deaf.settimeout(0.5)
        before = psutil.Process(door.process.pid).memory_info().rss
        raw = framed(*[oru("DEAF" + "X" * 240, lab="L" * 240)] * 50)
        with suppress(OSError):  # we are not read any more, or hung up on
            for _ in range(1000):
                deaf.sendall(raw)
        assert is_served(door, "HEARD")
        until(lambda: hung_up(deaf))
        assert psutil.Process(door.process.pid).memory_info().rss - before < 30e6
    assert is_served(door, "AFTER")


def hung_up(end: socket.socket, byte: bytes = b"\r") -> bool:
    try:
        end.send(byte)
    except (TimeoutError, BlockingIOError):
        return False
    except OSError:
        return True
    return False


def test_while_the_database_is_away_many_large_messages_take_no_more_memory_than_allowed(door: Running) -> None:
    door.database.cut()
    before = psutil.Process(door.process.pid).memory_info().rss
    with ExitStack() as held:
        labs = [held.enter_context(wire(door.port)) for _ in range(8)]
        unsent = 0
        for number, each in enumerate(labs):
            for part in range(30):
                each.connection.settimeout(0.2 if part else 10.0)  # the first one has to be whole
                try:
                    each.say(framed(oru(f"M{number}.{part}", filler=b"x" * (LONGEST - 2000))))
                except TimeoutError:
                    unsent += 1
                    break
        assert unsent == 8, "every sender is held back"
        time.sleep(0.3)
        assert psutil.Process(door.process.pid).memory_info().rss - before < 25e6
        door.database.ok()
        assert [each.heard(1) for each in labs] == [[("AA", f"M{number}.0")] for number in range(8)]


def test_messages_that_only_began_fill_the_memory_and_are_finished_one_after_the_other(door: Running) -> None:
    raw = [framed(oru(f"B{number}", filler=b"x" * (LONGEST - 2000))) for number in range(8)]
    with ExitStack() as held:
        labs = [held.enter_context(wire(door.port)) for _ in range(8)]
        for each, data in zip(labs, raw, strict=True):
            each.say(data[: LONGEST // 2])
        for each, data in zip(labs, raw, strict=True):
            each.say(data[LONGEST // 2 :])
        assert [each.heard(1) for each in labs] == [[("AA", f"B{number}")] for number in range(8)]


def test_two_listeners_share_one_port_and_one_may_leave(stage: Stage) -> None:
    port, _, first = listening(stage, "first")
    second = stage.start("second", "-m", "workers.mllp_listener", "--port", str(port))
    until(lambda: b" feeds\n" in stage.log("second"))
    with ExitStack() as held:
        labs = [held.enter_context(wire(port)) for _ in range(24)]
        for number, each in enumerate(labs):
            each.say(framed(oru(f"P{number}")))
            assert each.heard(1) == [("AA", f"P{number}")]
        open_at = [peers(each, port) for each in (first, second)]
        assert sum(open_at) == 24
        assert min(open_at) > 0, "the system gives both something to do"
    first.terminate()
    assert first.wait(20) == 0
    with wire(port) as late:
        late.say(framed(oru("LATE")))
        assert late.heard(1) == [("AA", "LATE")]
    second.terminate()
    assert second.wait(20) == 0


def commits(database: Proxy, control: bytes) -> bool:
    """Tell whether the listener has begun to store this message, or to connect for that (no letter comes first)."""
    return any(control in data or data.startswith(b"\0") for data in database.held)


def stored(*controls: str) -> list[str]:
    """Return which of these are stored; what other laboratories had on its way is stored after their test ended."""
    found = InboundMessage.objects.filter(control_id__in=controls)
    return sorted(found.values_list("control_id", flat=True))


def listens(process: subprocess.Popen[bytes]) -> bool:
    return any(each.status == psutil.CONN_LISTEN for each in psutil.Process(process.pid).net_connections())


def test_told_to_stop_it_answers_what_it_has_and_then_leaves(stage: Stage, door: Running) -> None:
    at = connection.settings_dict
    with Proxy((at["HOST"], int(at["PORT"]))) as database:
        url = stage.extra["DATABASE_URL"]
        stage.extra["DATABASE_URL"] = url.replace(f":{door.database.port}/", f":{database.port}/")
        port, _, process = listening(stage, "drained")
        stage.extra["DATABASE_URL"] = url
        with wire(port) as talking:
            database.hole()
            talking.say(framed(oru("D1")))
            until(lambda: commits(database, b"D1"))
            process.terminate()
            until(lambda: not listens(process))
            assert process.poll() is None, "it waits for its commit"
            database.ok()
            assert talking.heard(1) == [("AA", "D1")]
            assert process.wait(20) == 0
    assert stored("D1") == ["D1"]
    assert b"connections=0 accepted=1 bytes=" in stage.log("drained"), "what it did is counted, and no peer is named"
    assert b"127.0.0.1" not in stage.log("drained").replace(b"on 127.0.0.1", b"")
