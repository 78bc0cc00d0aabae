"""Measures reading and checking a result of 30 OBX against the two usual libraries, side by side on the same messages.

What is compared, in CPU time, the best of several rounds that take turns:

- reading: `Message` and `oru.read`, which leave nothing for later (type, code, text, system, sub-id, values, number,
  unit, range, flags, status and times of every OBX, the patient, the order), against hl7apy's `parse_message` alone,
  and against the `hl7` package's parse with an OBX's fields taken out of it as text.
- checking: `Message` and `validate` against hl7apy's `parse_message` with `force_validation`.

No two messages of ours are the same: patients, numbers of orders, times and values differ, names of tests and units
repeat as they do between a laboratory's reports.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from datetime import UTC

import hl7
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.parser import parse_message

from integrations.hl7 import oru
from integrations.hl7.reader import Message
from integrations.hl7.records import Report
from integrations.hl7.validate import validate
from tests.benchmarks.bars import Bar, tell

ROUNDS = 7
MESSAGES = 300
OBSERVATIONS = 30
BARS = {"read, against hl7apy": 1000, "read, against hl7": 40, "check, against hl7apy": 500}


def run() -> bool:
    return tell(bars())


def bars() -> list[Bar]:
    sent = [message(number) for number in range(MESSAGES)]
    print(f"{len(sent[0]):,} bytes, {OBSERVATIONS} OBX, {ROUNDS} rounds in turn, CPU time, the best of each")
    rates = best(sent)
    for name, rate in rates.items():
        print(f"{rate:11,.1f} messages/s  {1e6 / rate:11,.1f} us  {name}")
    ratios = {
        "read, against hl7apy": rates["ours, read"] / rates["hl7apy, parse"],
        "read, against hl7": rates["ours, read"] / rates["hl7, parse and extract"],
        "check, against hl7apy": rates["ours, check"] / rates["hl7apy, parse and validate"],
    }
    return [
        Bar(name, f"at least {BARS[name]:,} times", f"{ratio:,.0f} times", ratio >= BARS[name])
        for name, ratio in ratios.items()
    ]


def best(sent: Sequence[bytes]) -> dict[str, float]:
    """Return messages per second of CPU time of each way, after one round that is not counted."""
    found = dict.fromkeys(WAYS, 0.0)
    for count in range(ROUNDS + 1):
        for name, (way, share) in WAYS.items():
            began = time.process_time()
            for each in sent[:share]:
                way(each)
            rate = share / (time.process_time() - began)
            found[name] = max(found[name], rate if count else 0.0)
    return found


def ours(raw: bytes) -> Report:
    """Read everything: the records hold decoded values, numbers, codes and moments, and nothing is left for later."""
    return oru.read(Message(raw), default_tz=UTC)


def with_hl7(raw: bytes) -> list[tuple[object, ...]]:
    parsed = hl7.parse(raw.decode())
    found: list[tuple[object, ...]] = []
    for obx in parsed.segments("OBX"):
        code, unit = obx[3][0], obx[6][0]
        texts = (parsed.unescape(str(code[1][0])), [parsed.unescape(str(value)) for value in obx[5]])
        rest = [str(obx[number]) for number in (2, 4, 7, 8, 11, 14, 19)]
        found.append((str(code[0]), *texts, str(code[2]), str(unit[0]), *rest))
    return found


def checked(raw: bytes) -> None:
    validate(Message(raw))


def parsed_by_hl7apy(raw: bytes) -> None:
    parse_message(raw.decode())


def checked_by_hl7apy(raw: bytes) -> None:
    parse_message(raw.decode(), validation_level=VALIDATION_LEVEL.TOLERANT, force_validation=True)


WAYS: dict[str, tuple[Callable[[bytes], object], int]] = {  # and how many messages make a round
    "ours, read": (ours, MESSAGES),
    "hl7apy, parse": (parsed_by_hl7apy, 3),
    "hl7, parse and extract": (with_hl7, 40),
    "ours, check": (checked, MESSAGES),
    "hl7apy, parse and validate": (checked_by_hl7apy, 3),
}


def message(number: int) -> bytes:
    """Return a result of 30 numbers as a laboratory with local codes, LOINC and UCUM sends it."""
    dice = random.Random(number)
    stamp = f"202603{dice.randrange(1, 29):02}{dice.randrange(24):02}{dice.randrange(60):02}00-0500"
    observations = [observation(place, stamp, dice) for place in range(1, OBSERVATIONS + 1)]
    provider = "1234567893^Webb^Carol^A^^^^^NPI&2.16.840.1.113883.4.6&ISO^L^^^NPI"
    order = f"ORD-{number:06}^RIVERSIDE|NL-{number:07}^CHEMLAB"
    lines = [
        "MSH|^~\\&|CHEMLAB^2.16.840.1.113883.3.9^ISO|Northside Laboratory^33D1234567^CLIA|CareRelay|Riverside Clinic"
        f"|{stamp}||ORU^R01^ORU_R01|NL-{number:06}|P|2.5.1|||AL|NE||UNICODE UTF-8",
        f"PID|1||MRN-{number:06}^^^RIVERSIDE&2.16.840.1.113883.3.7&ISO^MR||Rivers^Ana^M||{dice.randrange(1930, 2020)}"
        "0412|F|||12 High Street^^Springfield^NY^12345^USA||^PRN^PH^^1^555^5550123",
        "PV1|1|O",
        f"ORC|RE|{order}|||||||||{provider}",
        f"OBR|1|{order}|24323-8^Comprehensive metabolic panel^LN^CMP^Comp panel^L|||{stamp}|||||||{stamp}||{provider}"
        f"||||||{stamp}||CH|F",
        *observations,
        "NTE|1|L|Specimen slightly hemolyzed.",
    ]
    return ("\r".join(lines) + "\r").encode()


def observation(place: int, stamp: str, dice: random.Random) -> str:
    """Return an OBX with the laboratory's name and address in it, which a report must show (42 CFR 493.1291(c)(2))."""
    value = dice.choice([str(dice.randrange(1, 400)), f"{dice.uniform(0, 99):.1f}", f"{dice.uniform(0, 9):.2f}"])
    unit = ("mg/dL", "mmol/L", "U/L", "10*3/uL")[place % 4]
    code = f"{1000 + place}-{place % 10}^Analyte {place}^LN^A{place:03}^Analyte {place}^L"
    flag = dice.choice("NNNHL")
    return (
        f"OBX|{place}|NM|{code}||{value}|{unit}^{unit}^UCUM|{place}-{place * 3}|{flag}|||F|||{stamp}"
        f"|||||{stamp}||||Northside^D^^^^CLIA&4.7&ISO|1 Lab Way^^Springfield^NY^12345"
    )
