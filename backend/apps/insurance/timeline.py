"""Tells the way of one claim, file by file and answer by answer; without it "where is it?" would take a phone call."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from types import MappingProxyType
from typing import NamedTuple
from uuid import UUID

from backend.apps.insurance.file_answers import DUPLICATE
from backend.apps.insurance.models import AckEvent, InsuranceClaim, Stage, Submission
from backend.apps.insurance.standing import OF_A_LINE

QUEUED, BATCHED, SENT, WITHDRAWN = "queued", "batched", "sent", "withdrawn"
FILES = MappingProxyType({"A": "has the file", "E": "has the file, though its envelope has faults", "R": "refused it"})
SYNTAX = MappingProxyType({
    "A": "The partner could read the claim.",
    "E": "The partner could read the claim and let its faults pass.",
    "P": "The partner took a part of the file.",
})  # fmt: skip
CLAIMS = MappingProxyType({
    "A0": "has passed the claim on.",
    "A1": "has the claim.",
    "A2": "took the claim in to decide on it.",
    "A3": "refused the claim.",
    "A4": "does not find the claim.",
    "A5": "split the claim.",
    "A6": "refused the claim: something is missing.",
    "A7": "refused the claim: something in it is not valid.",
    "A8": "refused the claim: its parts do not fit together.",
    "D0": "does not find the claim.",
})  # fmt: skip
LATER = MappingProxyType({
    "P": "is deciding on the claim.",
    "R": "asks for more before it decides.",
    "F": "has decided; the payment advice follows.",
    "E": "could not answer.",
})  # fmt: skip
DECISIONS = MappingProxyType({
    "1": "The payer decided on the claim.",
    "2": "The payer decided on the claim after another payer.",
    "3": "The payer decided on the claim after two others.",
    "4": "The payer denied the claim.",
    "19": "The payer decided on the claim and passed it on to the next payer.",
    "20": "The payer decided on the claim after another one and passed it on.",
    "21": "The payer decided on the claim after two others and passed it on.",
    "22": "The payer took its decision back.",
    "23": "The payer passed the claim on without a decision.",
    "25": "The payer said beforehand what it would pay.",
})  # fmt: skip


class Step(NamedTuple):
    """One step. kind: "837" for ours, else what it came in. code: as its kind writes it. sentence: in our own words.

    details: further codes. on: the day the partner names. file: the id of the file it came in, of ours for an 837.
    counted: whether it decided where the claim stands when it came; a word that comes late does not.
    """

    at: datetime
    kind: str
    code: str
    sentence: str
    details: list[str]
    on: date | None
    interchange_number: int | None
    file: UUID | None
    payer_claim_number: str
    counted: bool


def steps(claim: InsuranceClaim) -> list[Step]:
    """Return what happened to a claim in the order it happened, in two queries."""
    tried = Submission.all_objects.filter(claim=claim).select_related("interchange").defer("interchange__content")
    said = AckEvent.objects.filter(claim=claim).select_related("interchange").defer("interchange__content")
    ours = [step for one in tried.order_by("pk") for step in _sent(one)]
    theirs = _answers(said.order_by("created_at", "stage", "pk"))
    return sorted([*ours, *theirs], key=lambda step: step.at)


def _sent(one: Submission) -> Iterator[Step]:
    """Yield how far a try came on our side."""
    file = one.interchange
    yield _ours(one.queued_at, QUEUED, "Waits for the next file.")
    if one.status == Submission.Status.WITHDRAWN:
        yield _ours(one.updated_at, WITHDRAWN, f"Taken back before it was sent. {one.status_reason}".strip())
    if file is not None:
        number = file.interchange_number
        yield _ours(file.created_at, BATCHED, f"Put into file {number:09}.", number, file.pk)
        if one.sent_at:
            yield _ours(one.sent_at, SENT, f"Sent in file {number:09}.", number, file.pk)


def _ours(at: datetime, code: str, sentence: str, number: int | None = None, file: UUID | None = None) -> Step:
    return Step(at, "837", code, sentence, [], None, number, file, "", True)


def _answers(events: Iterable[AckEvent]) -> Iterator[Step]:
    for event in events:
        yield Step(
            at=event.created_at,
            kind=event.kind,
            code=event.code,
            sentence=sentence(event.stage, event.kind, event.code, event.details),
            details=[str(one) for one in event.details],
            on=event.event_on,
            interchange_number=event.interchange.interchange_number if event.interchange else None,
            file=event.file_id,
            payer_claim_number=event.payer_claim_number,
            counted=event.was_applied,
        )


def sentence(stage: int, kind: str, code: str, details: Sequence[str] = ()) -> str:
    """Return in our own words what a partner's code says; details: its further codes."""
    if kind == "TA1" and code == "R" and DUPLICATE in details:
        return "The partner had a file of this number already."
    if kind == "TA1":
        return f"The partner {FILES.get(code, 'answered about the file')}."
    if kind == "999":
        return SYNTAX.get(code, "The partner could not read the claim's file.")
    if kind == "835":
        return DECISIONS.get(code, "The payer told of the claim.")
    who = "The clearinghouse" if stage == Stage.CLEARINGHOUSE else "The payer"
    said = f"{who} {_said(code, CLAIMS, LATER)}"
    return said.replace("the claim", "a line of the claim") if OF_A_LINE in details else said


def _said(code: str, exact: Mapping[str, str], by_letter: Mapping[str, str]) -> str:
    return exact.get(code) or by_letter.get(code[:1], "answered.")
