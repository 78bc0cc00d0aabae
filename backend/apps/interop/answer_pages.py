"""Opens what a patient's link is for, and nothing else; without it no message could be answered by a tap."""

from __future__ import annotations

from typing import Final

from django.http import HttpRequest, HttpResponse

from backend.apps.interop import choice_answers, mailbox_answers, offer_answers, visit_answers
from backend.apps.interop.answer_frame import Asked, Page, gone, opened, unprotected
from backend.apps.messaging.models import LinkPurpose

PAGES: Final[dict[str, Page]] = {
    LinkPurpose.ANSWER: visit_answers.page,
    LinkPurpose.UNSUBSCRIBE: mailbox_answers.page,
    LinkPurpose.WAITLIST: offer_answers.page,
    LinkPurpose.CHOOSE: choice_answers.page,
}


@unprotected
def door(request: HttpRequest, token: str) -> HttpResponse:
    """Show the page of a link by GET, which changes nothing; act by POST."""
    return opened(request, token, lambda asked: PAGES[asked.link.purpose](asked))


@unprotected
def calendar(request: HttpRequest, token: str) -> HttpResponse:
    """Hand out the visit for the patient's calendar."""
    return opened(request, token, _calendar)


def _calendar(asked: Asked) -> HttpResponse:
    if asked.link.purpose != LinkPurpose.ANSWER or asked.request.method == "POST":
        return gone(asked)
    return visit_answers.calendar(asked)
