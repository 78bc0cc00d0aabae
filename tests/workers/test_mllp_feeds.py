"""Holds each feed to its own rules at the real door: who may send, what is answered when, over TLS and without."""

from __future__ import annotations

import hashlib
import re
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from backend.apps.laboratory.models import InboundMessage, LabFeed
from backend.apps.laboratory.tests.factories import make_lab_feed
from tests.support.stage import Stage, until
from tests.workers.rows import KEEPS
from tests.workers.wire import Wire, framed, listening, msa, oru, self_signed, wire

pytestmark = [pytest.mark.django_db(**KEEPS), pytest.mark.usefixtures("emptied")]
FILING_S = 20.0  # a busy machine may be slow to look
SHORT_S = 0.8  # where the waiting itself is what is tested


@dataclass
class Running:
    port: int
    tls_port: int
    folder: Path
    feed: Callable[..., LabFeed]


@pytest.fixture(scope="module")
def door(stage: Stage, any_feed: LabFeed) -> Iterator[Running]:
    """A listener for peers with either of two certificates; `feed` makes a feed it knows at once."""
    ours, key = self_signed(stage.folder)
    known = [self_signed(stage.folder, name)[0] for name in ("lab-a", "lab-b")]
    (stage.folder / "peers.pem").write_bytes(b"".join(path.read_bytes() for path in known))
    tls = ["--certificate", str(ours), "--key", str(key), "--client-ca", str(stage.folder / "peers.pem")]
    port, tls_port, _ = listening(stage, "feeds", *tls, "--refresh-s", "0.1", "--filing-s", str(FILING_S))

    def feed(lab: str, **over: Any) -> LabFeed:
        active = LabFeed.objects.filter(is_active=True).count()
        until(lambda: re.findall(rb" (\d+) feeds\n", stage.log("feeds"))[-1] == b"%d" % active)
        count = stage.log("feeds").count(b" feeds\n")
        made = make_lab_feed(sending_facility=lab, **over)
        until(lambda: stage.log("feeds").count(b" feeds\n") > count)
        return made

    yield Running(port, tls_port, stage.folder, feed)
    log = stage.log("feeds")
    assert b"Zqlast" not in log
    assert b"Traceback" not in log


@pytest.fixture
def lab(door: Running) -> Iterator[Wire]:
    with wire(door.port) as made:
        yield made


def row(control: str) -> InboundMessage:
    return InboundMessage.objects.get(control_id=control)


def settle(control: str, status: str = "filed", work_state: str = "done") -> None:
    """Do what a worker does."""
    InboundMessage.objects.filter(control_id=control).update(
        status=status, work_state=work_state, lease_no=1, filed_at=timezone.now()
    )


def test_a_refused_message_is_kept_with_its_answer_and_its_reason(door: Running, lab: Wire) -> None:
    door.feed("STRICT", processing_ids="P", allowed_networks=["10.0.0.0/8"])
    feed = door.feed("TEST", processing_ids="P", versions=["2.3.1"])
    lab.say(framed(oru("1", lab="STRICT"), oru("2", lab="TEST", mode="D", filler=b"Zqlast"), oru("3", lab="TEST")))
    answers = lab.answers(3)
    assert [msa(answer) for answer in answers] == [("AR", "1"), ("AR", "2"), ("AR", "3")]
    assert b"Zqlast" not in b"".join(answers)
    assert [row(name).status_reason for name in "123"] == [
        "This feed may not come from this address or with this certificate.",
        "This feed does not take messages with this processing id (MSH-11).",
        "This feed does not take this version of HL7 (MSH-12).",
    ]
    kept = row("2")
    assert (kept.status, kept.work_state, kept.feed_id, bytes(kept.ack_sent)) == (
        "rejected", "done", feed.pk, answers[1],
    )  # fmt: skip


def test_a_stranger_is_refused_and_taken_once_there_is_a_feed(door: Running, any_feed: LabFeed, lab: Wire) -> None:
    LabFeed.objects.filter(pk=any_feed.pk).update(is_active=False)
    try:
        until(lambda: say_until(lab, oru("S0", lab="STRANGER"), "AR"))
        lab.say(framed(oru("S1", lab="STRANGER")))
        assert lab.heard(1) == [("AR", "S1")]
        assert row("S1").status_reason == "No feed is set up for this sender."
        feed = door.feed("STRANGER")
        lab.say(framed(oru("S1", lab="STRANGER")))
        assert lab.heard(1) == [("AA", "S1")]
        kept = row("S1")
        assert (kept.status, kept.work_state, kept.status_reason) == ("received", "waiting", "")
        assert (kept.feed_id, kept.ack_code) == (feed.pk, "AA")
    finally:
        LabFeed.objects.filter(pk=any_feed.pk).update(is_active=True)
        until(lambda: say_until(lab, oru("S2", lab="ANY"), "AA"))


def say_until(lab: Wire, raw: bytes, code: str) -> bool:
    lab.say(framed(raw))
    return lab.heard(1)[0][0] == code


def test_over_mutual_tls_each_feed_takes_its_own_certificates_only(door: Running, lab: Wire) -> None:
    pem = (door.folder / "lab-a-cert.pem").read_text()
    door.feed("SECURE", allowed_certificates=[hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()])
    for name, code in (("lab-a", "AA"), ("lab-b", "AR")):
        with wire(door.tls_port, trust(door.folder, name)) as peer:
            peer.say(framed(oru(name, lab="SECURE"), oru(f"{name}-other", lab="OTHER")))
            assert peer.heard(2) == [(code, name), ("AA", f"{name}-other")]
    lab.say(framed(oru("plain", lab="SECURE")))
    assert lab.heard(1) == [("AR", "plain")]


def test_a_peer_without_a_certificate_we_know_is_not_heard_over_tls(door: Running) -> None:
    self_signed(door.folder, "stranger")
    for name in ("", "stranger"):
        try:
            with wire(door.tls_port, trust(door.folder, name)) as peer:
                peer.say(framed(oru("X")))
                assert peer.heard(1, within_s=5) == []
        except OSError:
            pass  # the handshake may fail first
    assert not InboundMessage.objects.exists()


def trust(folder: Path, name: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=folder / "127.0.0.1-cert.pem")
    if name:
        context.load_cert_chain(folder / f"{name}-cert.pem", folder / f"{name}-key.pem")
    return context


def test_a_deferred_answer_comes_with_the_outcome_in_the_order_of_the_messages(door: Running, lab: Wire) -> None:
    door.feed("DEFER", ack_mode="deferred")
    lab.say(framed(*(oru(name, lab="DEFER") for name in "1234"), oru("5", lab="OTHER")))
    until(lambda: InboundMessage.objects.count() == 5)
    assert lab.answers(1, within_s=0.3) == []
    settle("2", "rejected")
    settle("3", "worklist")
    settle("4", "worklist", "failed")
    assert lab.answers(1, within_s=0.3) == []
    settle("1")
    answers = lab.answers(5)
    assert [msa(each) for each in answers] == [("AA", "1"), ("AR", "2"), ("AA", "3"), ("AE", "4"), ("AA", "5")]
    until(lambda: row("1").application_ack_at)
    kept = row("1")
    assert (kept.ack_code, kept.application_ack, bytes(kept.ack_sent)) == ("AA", "AA", answers[0])


def test_a_message_sent_twice_in_one_breath_gets_the_outcome_twice(door: Running, lab: Wire) -> None:
    door.feed("TWICE", ack_mode="deferred")
    lab.say(framed(*[oru("1", lab="TWICE")] * 2))
    until(lambda: InboundMessage.objects.count() == 1)
    settle("1")
    assert lab.heard(2) == [("AA", "1"), ("AA", "1")]


def test_a_deferred_answer_that_does_not_come_in_time_is_ae_and_the_repetition_gets_the_outcome(
    stage: Stage, door: Running, lab: Wire
) -> None:
    door.feed("SLOW", ack_mode="deferred")
    port, _, _ = listening(stage, "impatient", "--filing-s", str(SHORT_S))
    with wire(port) as impatient:
        began = time.monotonic()
        impatient.say(framed(oru("1", lab="SLOW")))
        assert impatient.heard(1) == [("AE", "1")]
    assert time.monotonic() - began >= SHORT_S
    settle("1")
    lab.say(framed(oru("1", lab="SLOW")))
    assert lab.heard(1) == [("AA", "1")]
    assert InboundMessage.objects.get().repeats == 1


def test_in_enhanced_mode_the_outcome_follows_as_a_message_of_its_own(lab: Wire) -> None:
    lab.say(framed(oru("1", wants="AL|AL"), oru("2", wants="AL|ER"), oru("3", wants="NE|AL"), oru("4", wants="AL|NE")))
    assert lab.heard(3) == [("CA", "1"), ("CA", "2"), ("CA", "4")]
    settle("2")
    settle("4")
    assert lab.answers(1, within_s=0.3) == [], "nobody wants to hear that"
    settle("3", "rejected")
    assert lab.heard(1) == [("AR", "3")]
    settle("1")
    answer = lab.answers(1)[0]
    assert msa(answer) == ("AA", "1")
    assert answer.split(b"\r")[0].split(b"|")[14:16] == [b"NE", b"NE"]
    until(lambda: row("1").application_ack_at)
    assert (row("1").ack_code, row("1").application_ack) == ("CA", "AA")
    assert (row("2").application_ack, row("3").ack_code) == ("", "")


def test_an_application_acknowledgement_nobody_was_there_for_is_sent_when_the_message_is_repeated(
    door: Running,
) -> None:
    raw = framed(oru("1", wants="AL|AL"))
    with wire(door.port) as gone:
        gone.say(raw)
        assert gone.heard(1) == [("CA", "1")]
    settle("1")
    time.sleep(0.3)
    assert (row("1").application_ack_at, row("1").ack_code) == (None, "CA")
    with wire(door.port) as again:
        again.say(raw)
        assert again.heard(2) == [("CA", "1"), ("AA", "1")]
        until(lambda: row("1").application_ack_at)
    assert row("1").application_ack == "AA"


def test_an_answer_to_our_orders_is_kept_for_its_worker_and_not_answered(lab: Wire) -> None:
    lab.say(framed(oru("A1", kind="ORL^O22"), oru("A2")))
    assert lab.heard(1) == [("AA", "A2")]
    assert (row("A1").status, row("A1").work_state, row("A1").ack_code) == ("received", "waiting", "")


def test_a_batch_is_stored_message_by_message_and_answered_once(lab: Wire) -> None:
    whole = b"FHS|^~\\&|LIS|LAB\rBHS|^~\\&|LIS|LAB|||20260302||||B7\r" + oru("1") + oru("", filler=b"x") + oru("3")
    lab.say(framed(whole + b"BTS|3\rFTS|1\r", oru("4")))
    answer, following = lab.answers(2)
    lines = answer.split(b"\r")
    assert lines[0].startswith(b"BHS|^~\\&|")
    assert lines[0].split(b"|")[11] == b"B7"
    assert [line[:6] for line in lines if line.startswith(b"MSA")] == [b"MSA|AA", b"MSA|AE", b"MSA|AA"]
    assert b"BTS|3" in lines
    assert msa(following) == ("AA", "4")
    assert set(InboundMessage.objects.values_list("control_id", "status")) == {
        ("1", "received"), ("", "rejected"), ("3", "received"), ("4", "received"),
    }  # fmt: skip


def test_two_messages_in_one_frame_without_a_header_are_both_kept(lab: Wire) -> None:
    lab.say(framed(oru("1") + oru("2")))
    answer = lab.answers(1)[0]
    assert [line for line in answer.split(b"\r") if line.startswith(b"MSA")] == [b"MSA|AA|1", b"MSA|AA|2"]
    assert InboundMessage.objects.count() == 2


def test_a_batch_that_counts_wrong_is_noted_in_the_log_and_taken(stage: Stage, lab: Wire) -> None:
    lab.say(framed(b"BHS|^~\\&|LIS|LAB\r" + oru("1") + oru("2") + b"BTS|3\r"))
    assert len(lab.answers(1)) == 1
    assert b"a batch of 2 messages has 1 findings about its envelope" in stage.log("feeds")
