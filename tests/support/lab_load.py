"""Sixteen laboratories that never give up: what they send, and what must come of it whatever dies meanwhile."""

from __future__ import annotations

import hashlib
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property

from integrations.doubles.laboratory import msa
from integrations.errors import Transient, Unknown
from integrations.hl7.mllp import MllpClient

SENDERS = 16
FACILITY = "SIEGE LAB"
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
RESULT = """MSH|^~\\&|SIEGE|{facility}|CARERELAY|CLINIC|{sent}||ORU^R01^ORU_R01|{control}|P|2.5.1\r\
PID|1||{mrn}^^^CARERELAY^MR||Okafor^Ada||19800517|F\r\
OBR|1||{filler}^SIEGE|24323-8^Panel^LN|||20260302120000+0000|||||||||||||||{reported}|||{status}\r\
OBX|1|NM|2823-3^Potassium^LN||{value}|mmol/L|3.5-5.1|N|||{status}|||20260302120000+0000\r\
OBX|2|NM|2951-2^Sodium^LN||{value}|mmol/L|136-145|N|||{status}|||20260302120000+0000\r\
OBX|3|TX|8251-1^Comment^LN||as measured {value}||||||{status}|||20260302120000+0000\r\
"""  # HL7 v2.5.1, chapter 7, ORU^R01
REFUSED = "MSH|^~\\&|SIEGE|{facility}|CARERELAY|CLINIC|{sent}||SIU^S12|{control}|P|2.5.1\r"
Versions = tuple[tuple[str, str], ...]
CODES = ("2823-3", "2951-2", "8251-1")
STAGES = {"P": "preliminary", "F": "final", "C": "corrected"}
ANSWERED = {"AA", "AR"}  # AE and silence mean: send it again


@dataclass(frozen=True)
class Saying:
    """One message to send. twin: the same report under another control id; one is filed, one is a duplicate.

    conflict: another report travels under the same control id; both are filed and flagged.
    """

    control: str
    raw: bytes = field(repr=False)
    outcome: str
    twin: bytes = field(default=b"", repr=False)
    conflict: bool = False

    @cached_property
    def digest(self) -> str:
        return digest_of(self.raw)


@dataclass(frozen=True, slots=True)
class Story:
    """Messages that belong together, as they are sent. charts: by filler, the (status, value) of each version."""

    sayings: tuple[Saying, ...]
    charts: Mapping[str, Versions] = field(default_factory=dict)


def stories(seed: int, sender: int, record_numbers: Sequence[str]) -> Iterator[Story]:
    """Yield what one laboratory tells, the same for the same seed, without end."""
    dice = random.Random(f"{seed}:{sender}")  # a plan, not a secret
    number = 0
    while True:
        number += 1
        yield dice.choice(KINDS)(f"S{seed}-{sender}-{number}", dice, dice.choice(record_numbers))


def versions(name: str, dice: random.Random, mrn: str) -> Story:
    """Preliminary, final, corrected: sent in any order, one history."""
    steps = [(f"{name}{letter}", letter, f"{place}.5") for place, letter in enumerate(STAGES, start=3)]
    sayings = [Saying(control, result(control, mrn, name, letter, value), "filed") for control, letter, value in steps]
    dice.shuffle(sayings)
    return Story(tuple(sayings), {name: tuple((STAGES[letter], value) for _, letter, value in steps)})


def twice(name: str, _dice: random.Random, mrn: str) -> Story:
    once = Saying(name, result(name, mrn, name, "F", "4.1"), "filed")
    return Story((once, once), {name: (("final", "4.1"),)})


def twins(name: str, _dice: random.Random, mrn: str) -> Story:
    one, other = (result(control, mrn, name, "F", "4.1") for control in (name, f"{name}W"))
    sayings = (Saying(name, one, "filed", twin=other), Saying(f"{name}W", other, "filed", twin=one))
    return Story(sayings, {name: (("final", "4.1"),)})


def conflict(name: str, _dice: random.Random, mrn: str) -> Story:
    """Two reports of a laboratory that counts its messages wrong."""
    charts = {name: (("final", "4.1"),), f"{name}X": (("final", "5.2"),)}
    raws = (result(name, mrn, filler, "F", versions[0][1]) for filler, versions in charts.items())
    return Story(tuple(Saying(name, raw, "filed", conflict=True) for raw in raws), charts)


def stranger(name: str, _dice: random.Random, _mrn: str) -> Story:
    return Story((Saying(name, result(name, f"NOBODY{name}", name, "F", "4.0"), "worklist"),))


def refused(name: str, _dice: random.Random, _mrn: str) -> Story:
    text = REFUSED.format(facility=FACILITY, sent=stamp(NOON), control=name)
    return Story((Saying(name, text.encode(), "rejected"),))


KINDS = (versions, versions, twice, twins, conflict, stranger, refused)


def result(control: str, mrn: str, filler: str, letter: str, value: str) -> bytes:
    """Return a report of three observations; a later stage was reported later, whenever it is sent."""
    reported = NOON + timedelta(hours=1 + "PFC".index(letter))
    text = RESULT.format(
        facility=FACILITY, sent=stamp(reported), reported=stamp(reported), control=control, mrn=mrn, filler=filler,
        status=letter, value=value,
    )  # fmt: skip
    return text.encode()


def digest_of(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def stamp(at: datetime) -> str:
    return at.strftime("%Y%m%d%H%M%S+0000")


class Load:
    """The senders, each in a thread with one open connection; what was acknowledged is kept for the verdict."""

    def __init__(self, port: int, seed: int, record_numbers: Sequence[str], *, pause_s: float) -> None:
        self.acknowledged: dict[str, str] = {}  # digest of the message -> code
        self.told: list[Story] = []
        self.troubles = Counter[str]()
        self._port, self._pause_s = port, pause_s
        self._stop, self._given_up = threading.Event(), threading.Event()
        self._threads = [
            threading.Thread(target=self._tell, args=(stories(seed, sender, record_numbers),), daemon=True)
            for sender in range(SENDERS)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def finish(self, within_s: float) -> bool:
        """Let every laboratory end the story it is in; False while one is not answered yet."""
        self._stop.set()
        deadline = time.monotonic() + within_s
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return not self.is_waiting()

    def is_waiting(self) -> bool:
        """Tell whether a laboratory still has no answer."""
        return any(thread.is_alive() for thread in self._threads)

    def give_up(self) -> None:
        self._given_up.set()

    def _tell(self, plan: Iterator[Story]) -> None:
        with MllpClient("127.0.0.1", self._port, timeout_s=8.0) as client:
            while not self._stop.is_set():
                tale = next(plan)
                for saying in tale.sayings:
                    self._insist(client, saying)
                    time.sleep(self._pause_s)
                self.told.append(tale)

    def _insist(self, client: MllpClient, saying: Saying) -> None:
        """Send until it is acknowledged, as a laboratory does: a lost acknowledgement means the message again."""
        while not self._given_up.is_set():
            try:
                code, about = msa(client.send(saying.raw))
            except (Transient, Unknown) as error:
                self.troubles[error.code] += 1
                time.sleep(0.1)
                continue
            if about != saying.control:
                self.troubles["wrong MSA-2"] += 1
            elif code in ANSWERED:
                self.acknowledged[saying.digest] = code
                return
            else:
                self.troubles[code] += 1
                time.sleep(0.1)
