"""Reads an Appointment as others write it: one visit of one patient to one doctor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from integrations.fhir.ingress.element import Element, root, settled
from integrations.fhir.ingress.parts import Concept, concept, moment, only_codes, only_words, target
from integrations.fhir.resources.appointment import KINDS
from integrations.fhir.terms import V2, V3

PATHS = {
    "status": "Appointment.status",
    "start": "Appointment.start",
    "minutes": "Appointment.end",
    "kind": "Appointment.appointmentType",
    "reason": "Appointment.reasonCode[0].text",
    "patient": "Appointment.participant.where(actor.reference.startsWith('Patient'))",
    "doctor": "Appointment.participant.where(actor.reference.startsWith('Practitioner'))",
    "place": "Appointment.participant.where(actor.reference.startsWith('Location'))",
    "cancel_reason": "Appointment.cancelationReason.text",
}
ROLES = {"Patient": "SBJ", "Practitioner": "PPRF", "Location": "LOC"}
ANSWERS = ("accepted", "needs-action")


@dataclass(frozen=True, slots=True)
class AppointmentIn:
    """What a body says of a visit; "" and None where it says nothing. Its fields are named as those of our own shape.

    status: R4's. is_confirmed: the patient has accepted. patient, doctor, place: FHIR ids. minutes: how long it takes.
    """

    status: str
    is_confirmed: bool
    patient: str
    doctor: str
    place: str
    room: str
    start: datetime | None
    minutes: int
    kind: str
    reason: str
    cancel_reason: str


def read(resource: dict[str, Any], given: Mapping[str, str], held: dict[str, Any] | None = None) -> AppointmentIn:
    """Return what the body says. given: see `resource.GIVEN`. held: the visit as we would answer it now.

    Raises:
        Refused: it says something that we cannot keep.
    """
    body = root(resource)
    status, (start, minutes) = body.text("status"), _time(body)
    people = _people(body, status, given["base"])
    told = AppointmentIn(
        status=status,
        is_confirmed=people.get("answer") == "accepted",
        patient=people.get("Patient", ""),
        doctor=people.get("Practitioner", ""),
        place=people.get("Location", ""),
        room=people.get("room", ""),
        start=start,
        minutes=minutes,
        kind=_kind(body.part("appointmentType")),
        reason=only_words(body.first("reasonCode")),
        cancel_reason=_cancel_reason(body, status),
    )
    settled(body, held)
    return told


def _time(body: Element) -> tuple[datetime | None, int]:
    """Return the start and the length in minutes, which end and minutesDuration say alike."""
    start, end, said = moment(body, "start"), moment(body, "end"), body.take("minutesDuration")
    if start is None or end is None:
        body.refuse("Say when the visit begins and ends.", "start", code="required")
        return start, 0
    seconds = (end - start).total_seconds()
    if seconds % 60 or (said is not None and said * 60 != seconds):
        body.refuse("A visit lasts whole minutes, and minutesDuration says the same.", "minutesDuration")
    return start, int(seconds // 60)


def _people(body: Element, status: str, base: str) -> dict[str, str]:
    """Return who takes part, by type, what the patient answered and which room it is; others stay untaken."""
    told: dict[str, str] = {}
    for participant in body.parts("participant"):
        actor = participant.part("actor")
        kind = _kind_of(participant, base)
        if kind not in ROLES or kind in told:
            continue
        told[kind] = target(actor, kind, base)
        for role in participant.parts("type"):
            only_codes(role, f"{V3}ParticipationType", ROLES[kind])
        participant.only("required", "information-only" if kind == "Location" else "required")
        if kind == "Patient":
            told["answer"] = _answer(participant, status)
            continue
        participant.only("status", "accepted")
        told |= {"room": actor.text("display")} if kind == "Location" else {}
    return told


def _kind_of(participant: Element, base: str) -> str:
    """Return the type of who takes part; words alone name a room only where they are said to be of a place."""
    actor = participant.said.get("actor") or {}
    if "reference" in actor:
        return str(actor["reference"]).removeprefix(f"{base}/").partition("/")[0]
    codes = [coding.get("code") for role in participant.said.get("type", ()) for coding in role.get("coding", ())]
    return "Location" if actor.get("type") == "Location" or codes == [ROLES["Location"]] else ""


def _answer(participant: Element, status: str) -> str:
    """Return what the patient answered; it matters while the visit is booked and follows from its status later."""
    answer = participant.text("status")
    if status == "booked" and answer not in ANSWERS:
        participant.refuse("The patient has accepted or has still to answer (needs-action).", "status")
    return answer


def _kind(element: Element) -> str:
    """Return what sort of visit it is, by the code or the words we have for it ourselves."""
    said = concept(element)
    for kind, ours in KINDS.items():
        if _same(said, ours):
            return kind
    if said:
        element.refuse("We have no visits of this type.", code="not-supported")
    return ""


def _same(said: Concept, ours: dict[str, Any]) -> bool:
    codes = tuple((f"{V2}0276", one["code"]) for one in ours.get("coding", ()))
    words = said.text.casefold()
    return bool(said) and said.codes in {(), codes} and words in {ours["text"].casefold(), "" if said.codes else None}


def _cancel_reason(body: Element, status: str) -> str:
    reason = only_words(body.part("cancelationReason"))
    if reason and status != "cancelled":
        body.refuse("We keep the reason of what is cancelled only.", "cancelationReason", code="not-supported")
    return reason
