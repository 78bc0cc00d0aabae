"""Reads from a stored message whom it may be about and which of its codes mean nothing here yet, for a person."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from backend.apps.core.permissions import Table
from backend.apps.laboratory import matching, permissions
from backend.apps.laboratory.codes import Codes
from backend.apps.laboratory.models import InboundMessage
from backend.apps.laboratory.reports import PatientIn
from backend.apps.patients.models import Patient
from integrations.hl7 import oru, records
from integrations.hl7.reader import Message, NotHl7

MAPPINGS: Table = permissions.LAB_CODE_MAPPING
MOST_CODES = 100


@dataclass(frozen=True, slots=True)
class Code:
    """A code of a message that means no test of ours."""

    code: str
    system: str
    text: str


def report_of(row: InboundMessage) -> records.Report | None:
    """Return what the message reports; None when it is no HL7 message."""
    try:
        return oru.read(Message(bytes(row.raw), row.usual_charset), default_tz=row.zone)
    except NotHl7:
        return None


def suggestions(report: records.Report | None, user: Any) -> list[tuple[Patient, str]]:
    """Return whom a message that names one patient may be about, the likeliest first, among those `user` may see."""
    if report is None or len(report.results) != 1:
        return []
    found = matching.suggestions(_who(report.results[0].patient))
    seen = set(
        Patient.objects.visible_to(user).filter(pk__in=[row.pk for row, _ in found]).values_list("pk", flat=True)
    )
    return [(row, why) for row, why in found if row.pk in seen]


def _who(sent: records.Patient) -> PatientIn:
    return PatientIn(
        identifiers=tuple((each.value, each.authority) for each in sent.identifiers),
        family_name=sent.family,
        given_name=sent.given,
        birth_date=sent.birth_date,
        sex=sent.sex,
    )


def unknown_codes(row: InboundMessage, report: records.Report | None) -> list[Code]:
    """Return the codes of the message's observations that mean no test here, each once."""
    if report is None:
        return []
    every = (each for group in report.results for order in group.orders for each in order.observations)
    sent = dict.fromkeys(each.asked.code for each in every if each.asked.code.code.strip())
    meanings = Codes(code for each in sent for code in (each.code.strip(), each.other_code.strip()) if code)
    unknown: dict[tuple[str, str], Code] = {}
    for each in sent:
        pair, other = (each.code.strip(), each.system.strip()), (each.other_code.strip(), each.other_system.strip())
        if meanings.meaning(row.feed_id, pair, *([other] if other[0] else []))[0] is None:
            unknown.setdefault(pair, Code(*pair, each.text))
    return list(unknown.values())[:MOST_CODES]
