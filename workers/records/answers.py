"""Answers to orders in the clinic's words: `integrations.hl7.answers` to `backend.apps.laboratory.answering`. Pure."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from backend.apps.laboratory.answering import CANCELLED, DONE, UNABLE, AnswerIn, PartIn
from backend.apps.laboratory.models import InboundMessage
from integrations.hl7.answers import ASKED, Answer, Part, Verdict

WORDS = {Verdict.DONE: DONE, Verdict.UNABLE: UNABLE, Verdict.CANCELLED: CANCELLED, None: ""}
LONGEST_REASON = 200


def answer(sent: Answer, *, came_at: datetime, feed_id: UUID | None, source: InboundMessage | None = None) -> AnswerIn:
    """Return an answer; `came_at` stands in for the laboratory's own time where it gives none."""
    return AnswerIn(
        code=sent.code,
        answers=sent.answers,
        at=sent.sent_at or came_at,
        sender=source.sender if source else sent.sending_facility or sent.sending_app,
        feed_id=feed_id,
        reason=reason(sent),
        parts=tuple(_part(each) for each in sent.parts),
        source=source,
    )


def reason(sent: Answer) -> str:
    """Return why something was refused, in the standard's words; what a laboratory wrote itself may name a patient."""
    sentences = dict.fromkeys(trouble.sentence for trouble in sent.troubles if trouble.sentence)
    return " ".join(sentences)[:LONGEST_REASON]


def _part(each: Part) -> PartIn:
    return PartIn(WORDS[each.verdict], each.placer, each.filler, ASKED.get(each.control, ""))
