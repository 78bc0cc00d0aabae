"""Writes orders as HL7 messages; without it a laboratory would learn of an order on paper.

hl7apy knows which segment stands where in which version. It escapes text wrongly, so noncharacters stand in for the
separators of a text until the message is written.

Source: HL7 v2.5.1, chapter 4, sections 4.4.1 (ORM^O01), 4.4.6 (OML^O21) and 4.5 (ORC, OBR, TQ1).
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from hl7apy import SUPPORTED_LIBRARIES
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.core import Message as Tree
from hl7apy.exceptions import HL7apyException

from integrations.hl7 import charsets
from integrations.hl7.order_records import OML, Envelope, Order, OrderedTest, Person, Provider
from integrations.hl7.reader import Message

UTF_8 = "UNICODE UTF-8"
SIGNS = {
    "FIELD": "|", "COMPONENT": "^", "REPETITION": "~", "ESCAPE": "\\", "SUBCOMPONENT": "&",
    "SEGMENT": "\r", "GROUP": "\r",
}  # fmt: skip
# U+FDD0 to U+FDEF are noncharacters, never part of a text (Unicode, section 23.7).
STAND_INS = str.maketrans("|^~\\&\n", "\ufdd0\ufdd1\ufdd2\ufdd3\ufdd4\ufdd5")
WRITTEN = dict(zip(range(0xFDD0, 0xFDD6), ("\\F\\", "\\S\\", "\\R\\", "\\E\\", "\\T\\", "\\.br\\"), strict=True))
NONCHARACTERS = re.compile("[\ufdd0-\ufdef\ufffe\uffff]")
CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
LINE_ENDS = re.compile("\r\n|[\r\n\x0b\x0c\x85\u2028\u2029]")
FIRST, FIRST_STRUCTURE, FIRST_TQ1 = (2, 3), (2, 3, 1), (2, 5)  # 2.3: MSH-18 exists
FIRST_PROVIDER_IN_ORC_ONLY = (2, 8)
NPI = "NPI&2.16.840.1.113883.4.6&ISO"
Lines = dict[int, str]


class NotInThisVersion(ValueError):
    """This version of HL7 has no such message."""


def build(order: Order, envelope: Envelope) -> bytes:
    """Return the message, ready to be framed: one ORC and OBR per test, all under the order's own number.

    Text is kept whatever it holds; control characters become blanks, line ends of the reason are kept.

    Raises:
        NotInThisVersion: the version has no such message, or is not known.
    """
    if envelope.version not in SUPPORTED_LIBRARIES or _version(envelope) < FIRST:
        raise NotInThisVersion("not a version of HL7 that can be written")
    name, version = envelope.kind.replace("^", "_"), _version(envelope)
    try:
        tree = Tree(name, version=envelope.version, validation_level=VALIDATION_LEVEL.TOLERANT, encoding_chars=SIGNS)
    except HL7apyException:
        raise NotInThisVersion("this version of HL7 has no such message") from None
    _fill(tree.msh, _msh(envelope))
    patient = tree.add_group(f"{name}_PATIENT")
    _add(patient, "PID", _pid(order.person))
    _add(patient.add_group(f"{name}_PATIENT_VISIT"), "PV1", {1: "1", 2: "O"})  # O: outpatient, table 0004
    for number, test in enumerate(order.tests, start=1):
        parent = tree.add_group(f"{name}_ORDER_GENERAL") if name == "OML_O21" and version < FIRST_TQ1 else tree
        _add_test(parent.add_group(f"{name}_ORDER"), number, test, order, envelope)
    return _encoded(tree.to_er7() + "\r", envelope.charset)


def asked(raw: bytes) -> tuple[OrderedTest, ...]:
    """Return the tests a message that was built here asked for, each with its control (ORC-1)."""
    control, found = "", list[OrderedTest]()
    for segment in Message(raw).segments:
        if segment.name == "ORC":
            control = segment.component(1)
        elif segment.name == "OBR":
            code, name, system = [*segment.components(4), "", "", ""][:3]
            found.append(OrderedTest(code, name, system, control=control))
    return tuple(found)


def _add_test(group: Any, number: int, test: OrderedTest, order: Order, envelope: Envelope) -> None:
    """Before version 2.5, and in ORM of any version, priority and specimen are parts of ORC and OBR."""
    version = _version(envelope)
    old = envelope.kind != OML or version < FIRST_TQ1
    _add(group, "ORC", _orc(order, test, old=old))
    if not old:
        timing = next(name for name in group.structure_by_name if "_TI" in name)  # 2.5 and 2.6 spell it OML_O21_TIIMING
        _add(group.add_group(timing), "TQ1", {9: order.priority})
    if group.name == "OML_O21_ORDER":
        request = holder = group.add_group("OML_O21_OBSERVATION_REQUEST")
    else:
        request = group.add_group("ORM_O01_ORDER_DETAIL")
        holder = request.add_group(next(iter(request.structure_by_name)))  # the choice of OBR and others
    _add(holder, "OBR", _obr(order, test, number, old=old, names_provider=version < FIRST_PROVIDER_IN_ORC_ONLY))
    if order.reason:
        _add(request, "NTE", {1: "1", 2: "P", 3: text_lines(order.reason)})
    if order.diagnosis:
        _add(request, "DG1", {1: "1", 3: f"{text(order.diagnosis)}^^I10C", 6: "W"})  # W: working, table 0052
    if order.collected_at and test.specimen and not old:
        specimen = {1: "1", 4: f"{test.specimen}^^HL70487", 17: stamp(order.collected_at)}
        _add(request.add_group("OML_O21_SPECIMEN"), "SPM", specimen)


def _msh(envelope: Envelope) -> Lines:
    kind = envelope.kind
    if _version(envelope) >= FIRST_STRUCTURE:
        kind = f"{kind}^{kind.replace('^', '_')}"
    return {
        3: text(envelope.sending_app),
        4: text(envelope.sending_facility),
        5: text(envelope.receiving_app),
        6: text(envelope.receiving_facility),
        7: stamp(envelope.sent_at),
        9: kind,
        10: text(envelope.control_id),
        11: envelope.processing_id,
        12: envelope.version,
        18: text(envelope.charset) or UTF_8,
    }


def _pid(person: Person) -> Lines:
    return {
        1: "1",
        3: f"{text(person.number)}^^^{text(person.authority)}^MR",
        5: f"{text(person.family)}^{text(person.given)}^^^^^L",
        7: f"{person.birth_date:%Y%m%d}",
        8: person.sex,
    }


def _orc(order: Order, test: OrderedTest, *, old: bool) -> Lines:
    return {
        1: test.control or order.control,
        2: text(order.number),
        7: f"^^^^^{order.priority}" if old else "",
        9: stamp(order.at),
        12: _provider(order.provider),
        16: f"^{text(order.cancelled_because)}" if order.cancelled_because else "",
    }


def _obr(order: Order, test: OrderedTest, number: int, *, old: bool, names_provider: bool) -> Lines:
    return {
        1: str(number),
        2: text(order.number),
        4: f"{text(test.code)}^{text(test.text)}^{test.system}",
        7: stamp(order.collected_at) if order.collected_at else "",
        15: test.specimen if old and order.collected_at else "",
        16: _provider(order.provider) if names_provider else "",
        27: f"^^^^^{order.priority}" if old else "",
    }


def _provider(one: Provider | None) -> str:
    """Return an XCN. Source: HL7 v2.5.1, chapter 2A, data type XCN; the NPI's number is in the HL7 OID registry."""
    return f"{text(one.npi)}^{text(one.family)}^{text(one.given)}^^^^^^{NPI}^L^^^NPI" if one else ""


def stamp(moment: datetime) -> str:
    return f"{moment:%Y%m%d%H%M%S%z}"


def text(value: str) -> str:
    """Return one line that can stand in any field; control characters become blanks."""
    return _quoted(CONTROLS.sub(" ", value).strip())


def text_lines(value: str) -> str:
    """Return a text whose line ends are kept, for fields of type FT."""
    lines = LINE_ENDS.sub("\n", value).strip().split("\n")
    return _quoted("\n".join(CONTROLS.sub(" ", line) for line in lines))


def _quoted(value: str) -> str:
    return NONCHARACTERS.sub("\ufffd", value).translate(STAND_INS)


def _encoded(message: str, charset: str) -> bytes:
    """Return the bytes in the laboratory's charset; in UTF-8, and saying so, where that charset lacks a letter."""
    message = message.translate(WRITTEN)
    try:
        return message.encode(charsets.codec(charset) or "utf-8")
    except UnicodeEncodeError:
        head, _, rest = message.partition("\r")
        parts = head.split("|")
        parts[17] = UTF_8
        return ("|".join(parts) + "\r" + rest).encode("utf-8")


def _add(parent: Any, name: str, values: Lines) -> None:
    _fill(parent.add_segment(name), values)


def _fill(segment: Any, values: Lines) -> None:
    for number, value in values.items():
        if value:
            setattr(segment, f"{segment.name.lower()}_{number}", value)


def _version(envelope: Envelope) -> tuple[int, ...]:
    return tuple(int(part) for part in envelope.version.split("."))
