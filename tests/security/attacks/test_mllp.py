"""Attacks 28 to 37: what comes in the name of a laboratory. Its trace is the row of the message, refused ones too."""

from __future__ import annotations

import contextlib
import itertools
import socket
import time
from typing import Any

import pytest

from backend.apps.laboratory.models import InboundMessage, LabFeed, LabResult
from backend.apps.laboratory.tests.factories import make_lab_feed
from integrations.hl7.mllp import END, START, frame
from tests.security.attacks.attack import Attack
from tests.security.attacks.stack import AttackedStack
from tests.security.matrix import Practice
from tests.support.stage import until

FACILITY = "ATTACKED"
FILED = (
    "laboratory_inboundmessage",
    "laboratory_laborder",
    "laboratory_laborder_tests",
    "laboratory_labresult",
    "laboratory_fillernumber",
    "laboratory_reportedpanel",
    "laboratory_labspecimen",
    "laboratory_reportednote",
)
numbers = itertools.count(1)


@pytest.fixture(autouse=True)
def feed(stack: AttackedStack, request: pytest.FixtureRequest) -> None:
    """A laboratory that the door knows."""
    if not LabFeed.objects.filter(sending_facility=FACILITY).exists():
        make_lab_feed(sending_facility=FACILITY)
        with socket.create_connection(("127.0.0.1", stack.mllp), 5) as peer:
            peer.settimeout(5)

            def taken() -> bool:
                peer.sendall(frame(b"MSH|^~\\&|LIS|ATTACKED|||20260302||ORU^R01|PING|P|2.5.1\r"))
                return b"|AR|" not in peer.recv(65536).replace(b"MSA|AR|", b"|AR|")

            until(taken)


def message(patient: Any = None, *, control: str = "", value: str = "4.1", pid: str = "", **over: str) -> bytes:
    """Return a result of one potassium of this patient, or with the PID given."""
    control = control or f"ATK{next(numbers)}"
    pid = pid or (
        f"PID|1||{patient.medical_record_number}^^^CLINIC^MR||{patient.last_name}^{patient.first_name}||"
        f"{patient.date_of_birth:%Y%m%d}|F"
    )
    lines = [
        over.get("msh")
        or f"MSH|^~\\&|LIS|{over.get('facility', FACILITY)}|CR|CLINIC|20260302130000||ORU^R01|{control}|P|2.5.1",
        pid,
        f"OBR|1||F{control}|24323-8^Panel^LN|||202603021200|||||||||||||||202603021300|||F",
        f"OBX|1|NM|2823-3^Potassium^LN||{value}|mmol/L|3.5-5.1|N|||F",
    ]
    return "\r".join(lines).encode() + b"\r"


def stored(control: str) -> Any:
    return InboundMessage.objects.filter(control_id=control)


def settled(attack: Attack) -> None:
    """Wait until no message of this attack waits to be filed, and ask that none made a machine give up."""
    rows = InboundMessage.objects.filter(received_at__gte=attack.began)
    until(lambda: not rows.filter(status="received", work_state__in=["waiting", "running"]).exists())
    assert not rows.filter(work_state="failed").exists(), list(rows.values_list("last_error", flat=True))


def results_of(patient: Any) -> int:
    return LabResult.objects.filter(lab_order__patient=patient).count()


def is_closed(peer: socket.socket, within_s: float) -> bool:
    peer.settimeout(within_s)
    with contextlib.suppress(TimeoutError):
        try:
            return peer.recv(1) == b""
        except ConnectionError:
            return True
    return False


def test_attack_28_a_frame_without_an_end_is_cut_off_at_its_limit(attack: Attack, theirs: Practice) -> None:
    body = message(theirs.patient, control="BIG28") + b"x" * 3_000_000
    for sent in (START + body, frame(body)):  # one with its end too: what is slow to end is cut off for that alone
        assert attack.lab(sent, wait_s=10) == b""
    assert not stored("BIG28").exists()
    attack.may_change(*FILED)
    answer = attack.lab(frame(message(control="NEXT28", pid="PID|1||NOBODY^^^CLINIC^MR||No^Body||19500101|F")))
    assert b"MSA|AA|NEXT28" in answer
    attack.kept(stored("NEXT28"))
    settled(attack)


def test_attack_29_a_byte_a_second_is_cut_off_and_holds_up_nobody(attack: Attack) -> None:
    attack.may_change(*FILED)
    with socket.create_connection(("127.0.0.1", attack.stack.mllp), 5) as slow:
        slow.sendall(START + b"MSH|^~")
        began = time.monotonic()
        with contextlib.suppress(ConnectionError):
            while time.monotonic() - began < 8 and not is_closed(slow, 0.4):
                slow.sendall(b"x")
        assert time.monotonic() - began < 8
        assert b"MSA|AA|SLOW29" in attack.lab(
            frame(message(control="SLOW29", pid="PID|1||NOBODY^^^CLINIC^MR||A^B||1950|F"))
        )
    attack.kept(stored("SLOW29"))
    settled(attack)


def test_attack_30_idle_connections_of_one_address_do_not_shut_the_door_to_others(attack: Attack) -> None:
    attack.may_change(*FILED)
    attack._look()
    with contextlib.ExitStack() as held:
        idle = [held.enter_context(socket.create_connection(("127.0.0.1", attack.stack.mllp), 5)) for _ in range(120)]
        until(lambda: sum(is_closed(one, 0.001) for one in idle) >= 80)
        lab = held.enter_context(socket.create_connection(("127.0.0.1", attack.stack.mllp), 5, ("127.0.0.2", 0)))
        raw = message(control="IDLE30", pid="PID|1||NOBODY^^^CLINIC^MR||A^B||19500101|F")
        assert b"MSA|AA|IDLE30" in attack._heard(lab, frame(raw), 5, END)
    attack.kept(stored("IDLE30"))
    settled(attack)


def test_attack_31_broken_frames_tear_no_message_apart_and_join_none(
    attack: Attack, mine: Practice, theirs: Practice
) -> None:
    attack.may_change(*FILED)
    own, other = (
        message(mine.patient, control="OWN31", value="4.1"),
        message(theirs.patient, control="OTHER31", value="9.9"),
    )
    for sent in (
        own + END,
        START + START + own + END + END,
        b"\x1c\r\x1c\r" + frame(own),
        START + own + b"\x1c",
        START + own + b"\r\x1c\n",
        frame(own + other),
        frame(own[:60] + START + b"MSH" + other[3:]),
        frame(own[: own.index(b"OBR")] + START + other),
        END * 1000 + frame(own),
    ):
        attack.lab(sent, wait_s=1.0)
    settled(attack)
    for patient, strange in ((mine.patient, "9.9"), (theirs.patient, "4.1")):
        assert not LabResult.objects.filter(result_value=strange, lab_order__patient=patient).exists()
    attack.kept(stored("OWN31"))


def test_attack_32_no_escape_and_no_line_end_in_a_field_forges_a_segment(
    attack: Attack, mine: Practice, theirs: Practice
) -> None:
    attack.may_change(*FILED)
    victim = theirs.patient
    before = results_of(victim)
    forged = f"PID|2||{victim.medical_record_number}^^^CLINIC^MR||{victim.last_name}^{victim.first_name}||19320824|F"
    for place, escape in enumerate(
        ("\\X0D\\", "\\.br\\", "\\X0A\\", "\\X0D0A\\", "\\E\\X0D\\E\\", "\n", "\x0c", "\u2028")
    ):
        value = f"4.1{escape}{forged.replace('|', chr(92) + 'F' + chr(92))}{escape}OBX\\F\\2\\F\\NM"
        raw = message(mine.patient, control=f"SMUG32{place}", value=value)
        assert b"MSA|A" in attack.lab(frame(raw))
    for place, bare in enumerate((f"4.1\r{forged}", f"4.1\n{forged}")):  # a second patient in one message
        attack.lab(frame(message(mine.patient, control=f"BARE32{place}", value=bare)))
    settled(attack)
    assert results_of(victim) == before
    attack.kept(stored("SMUG320"))


def test_attack_33_other_delimiters_are_read_as_said_or_refused(
    attack: Attack, mine: Practice, theirs: Practice
) -> None:
    attack.may_change(*FILED)
    plain, before = message(mine.patient, control="DEL33"), results_of(theirs.patient)
    for head in (
        b"MSHAAAAA",
        b"MSH|||||",
        b"MSH|^^^^",
        b"MSH\x00^~\\&",
        b"MSH\r^~\\&",
        b"MSH|^",
        b"MSH",
        b"MSH|^~\\&#!$",
        b"MSH|\xff\xfe~&",
        b"MSHP^~\\&",
        b"MSH1234567",
    ):
        told = attack.lab(frame(head + plain[8:]), wait_s=2.0)
        assert b"MSA" in told or told == b"" or b"ACK" in told
    settled(attack)
    assert results_of(theirs.patient) == before
    attack.kept(InboundMessage.objects.filter(received_at__gte=attack.began), at_least=5)


def test_attack_34_charsets_that_lie_break_nothing_and_hide_nothing(attack: Attack, theirs: Practice) -> None:
    attack.may_change(*FILED)
    overlong = b"\xc0\xaf\xc1\xbf\xe0\x80\xaf\xf0\x80\x80\xaf\xed\xa0\x80"
    for place, charset in enumerate(
        ("UNICODE UTF-8", "8859/1", "UTF-7", "UTF-16", "ROT13", "\\X00\\", "ISO IR87", "x" * 500)
    ):
        head = f"MSH|^~\\&|LIS|{FACILITY}|CR|CLINIC|20260302130000||ORU^R01|CHS34{place}|P|2.5.1||||||{charset}"
        raw = message(pid="PID|1||NOBODY^^^CLINIC^MR||No^Body||19500101|F", msh=head, control=f"CHS34{place}")
        for junk in (b"", overlong, b"\x00\x00", b"+ADw-script+AD4-", b"\x1b$B"):
            told = attack.lab(frame(raw.replace(b"No^Body", b"No" + junk + b"^Body")), wait_s=3.0)
            assert b"MSA|A" in told, (charset, junk)
    settled(attack)
    attack.kept(stored("CHS340"))


def test_attack_35_ten_thousand_repeats_and_a_field_of_a_megabyte_are_filed_or_kept_in_time(
    attack: Attack, mine: Practice
) -> None:
    attack.may_change(*FILED)
    began = time.monotonic()
    repeats = "~".join(["Q^W^E"] * 10_000)
    pid = f"PID|1||{mine.patient.medical_record_number}^^^CLINIC^MR{'~1^^^X^MR' * 10_000}||{repeats}||19800517|F"
    for place, raw in enumerate(
        (
            message(pid=pid, control="MANY350"),
            message(mine.patient, value="9" * 1_000_000, control="MANY351"),
            message(mine.patient, value="^&" * 300_000, control="MANY352"),
            message(mine.patient, control="MANY353") + b"NTE|1||x\r" * 20_000,
            message(mine.patient, control="MANY354") + b"ZZZ" + b"|" * 1_000_000,
        )
    ):
        assert b"MSA|A" in attack.lab(frame(raw), wait_s=20.0), place
    settled(attack)
    assert time.monotonic() - began < 60
    attack.kept(InboundMessage.objects.filter(control_id__startswith="MANY35"), at_least=5)


def test_attack_36_another_content_under_a_known_control_id_is_kept_beside_it_and_flagged(
    attack: Attack, mine: Practice
) -> None:
    attack.may_change(*FILED)
    for value in ("4.1", "4.1", "7.7"):
        assert b"MSA|AA|SAME36" in attack.lab(frame(message(mine.patient, control="SAME36", value=value)))
    settled(attack)
    rows = stored("SAME36")
    assert sorted(rows.values_list("repeats", "conflict")) == [(0, True), (1, True)]
    attack.kept(rows, at_least=2)


def test_attack_37_a_sender_nobody_knows_is_refused_and_hears_nothing_of_anybody(
    attack: Attack, theirs: Practice
) -> None:
    attack.may_change("laboratory_inboundmessage")
    for facility in ("STRANGER", "", f"{FACILITY}x", "%", "*", f"^{FACILITY}", "' OR 1=1", "x" * 9000):
        told = attack.lab(frame(message(theirs.patient, control=f"WHO37{len(facility)}", facility=facility)))
        assert b"MSA|AR|" in told, facility
    rows = InboundMessage.objects.filter(received_at__gte=attack.began)
    assert set(rows.values_list("status", flat=True)) == {"rejected"}
    attack.kept(rows, at_least=5)
