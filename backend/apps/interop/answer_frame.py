"""The frame of the pages behind a patient's link: language, headers, limits; else each would be open another way."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import redis
from django.db import Error as DatabaseFailed
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.shortcuts import render
from django.utils import translation
from django.utils.cache import patch_cache_control
from django.views.decorators.csrf import csrf_exempt

from backend.apps.core import audit
from backend.apps.core.addresses import client_of
from backend.apps.core.models import AuditLog, Clinic
from backend.apps.interop.answer_words import Words, moment, words_for
from backend.apps.messaging import dates, links
from backend.apps.messaging.models import ContactRules, LinkPurpose, PatientLink
from backend.apps.users import throttle

BY_LINK = throttle.Limit("patient-link", most=40, window_s=60)
BY_ADDRESS = throttle.Limit("patient-link-address", most=40, window_s=60)  # of links that do not work
METHODS = ("GET", "HEAD", "POST")
log = logging.getLogger(__name__)
Page = Callable[["Asked"], HttpResponse]


@dataclass(frozen=True)
class Asked:
    """One request with a link that is good. `rules` and `clinic` are read when they are needed."""

    request: HttpRequest
    link: PatientLink
    token: str

    @cached_property
    def clinic(self) -> Clinic:
        return Clinic.current()

    @cached_property
    def rules(self) -> ContactRules:
        return ContactRules.current()

    @cached_property
    def words(self) -> Words:
        return words_for(self.link.patient.preferred_language, self.rules.default_language)

    @property
    def wants(self) -> str:
        """What the button that was pressed is called; a request without a form wants nothing."""
        return str(self.request.POST.get("act", "")) if self.request.method == "POST" else ""

    def when(self, at: Any) -> str:
        """Return a moment by the clinic's clock."""
        return moment(at, self.clinic.zone, self.words)

    def when_there(self, at: Any, zone: Any) -> str:
        """Return a moment by the patient's clock `zone`, empty where it is the clinic's."""
        return moment(at, zone, self.words) if dates.clocks_differ(at, self.clinic.zone, zone) else ""

    def page(self, name: str, context: dict[str, Any], *, status: int = 200) -> HttpResponse:
        told = {"words": self.words, "clinic_name": self.rules.name_of(self.clinic), "phone": self.clinic.phone}
        return render(self.request, f"interop/answers/{name}.html", {**told, **context}, status=status)

    def message(self, title: str, why: str, *, status: int = 200, mark: str = "") -> HttpResponse:
        """Return a page that only says something, and whom to call."""
        return self.page("message", {"title": title, "why": why, "mark": mark}, status=status)

    def again(self) -> HttpResponse:
        """Lead back to the page by GET, so that nothing is sent twice when it is loaded again."""
        return HttpResponseRedirect(self.request.path, status=303)

    def note(
        self, verb: str, kind: str, pk: Any, *, refused: bool = False, patient_id: Any = None, **detail: Any
    ) -> None:
        """Write down what was shown or done by this link; names and ids only. patient_id: if not the link's own."""
        outcome = AuditLog.Outcome.REFUSED if refused else AuditLog.Outcome.ALLOWED
        told = {"link": str(self.link.pk), **detail}
        whose = patient_id or self.link.patient_id
        audit.record(self.request, f"link.{verb}", kind, str(pk), outcome=outcome, patient_id=whose, detail=told)


def opened(request: HttpRequest, token: str, page: Page) -> HttpResponse:
    """Answer with `page` for a good token; a token that is unknown and one that is too old look the same."""
    try:
        return sealed(_answer(request, token, page))
    except DatabaseFailed as error:  # its own words may hold the row, so none is logged
        log.error("a patient's link was not answered: %s", type(error).__name__)
        return sealed(_plain(request, 503))


def _answer(request: HttpRequest, token: str, page: Page) -> HttpResponse:
    if request.method not in METHODS:
        return HttpResponseNotAllowed(METHODS)
    link = links.find(token)
    if wait := _wait(request, link, token):
        answer = _plain(request, 429)
        answer["Retry-After"] = str(wait)
        return answer
    if link is None:
        return _plain(request, 404)
    asked = Asked(request, link, token)
    with translation.override(asked.words.language):
        return page(asked)


def gone(asked: Asked) -> HttpResponse:
    """Return what somebody with an unknown token would see."""
    return asked.message(asked.words.gone, asked.words.gone_why, status=404)


def unprotected(view: Any) -> Any:
    """Take the form without Django's own CSRF token.

    That token proves that a browser's cookie did not act by itself. Here no cookie speaks for anybody: who has the
    secret address may act, who has not cannot make a patient's browser send it. A mailbox provider posts from its own
    servers, too (RFC 8058).
    """
    return csrf_exempt(view)


def sealed(response: HttpResponse) -> HttpResponse:
    """Add what keeps the address secret and the page out of caches and search engines."""
    response["Referrer-Policy"] = "no-referrer"
    response["X-Robots-Tag"] = "noindex, nofollow"
    patch_cache_control(response, no_store=True, private=True)
    return response


def _plain(request: HttpRequest, status: int) -> HttpResponse:
    """Return a page for whoever has no good link, in the language of the browser."""
    clinic, rules = _house()
    words = words_for(translation.get_language_from_request(request), rules.default_language)
    said = {429: (words.slow, words.slow_why), 503: (words.away, words.away_why)}
    title, why = said.get(status, (words.gone, words.gone_why))
    told = {"words": words, "title": title, "why": why, "clinic_name": rules.name_of(clinic), "phone": clinic.phone}
    return render(request, "interop/answers/message.html", told, status=status)


def _house() -> tuple[Clinic, ContactRules]:
    """Return whom to call, as far as the database can say."""
    try:
        return Clinic.current(), ContactRules.current()
    except DatabaseFailed:
        return Clinic(), ContactRules()


def _wait(request: HttpRequest, link: PatientLink | None, token: str) -> int | None:
    """Count the request; return how many seconds to wait when there were too many.

    An address is asked to wait for links that do not work only: behind one may be a whole mobile network, and mailbox
    providers take their users off a mailing from few addresses (RFC 8058), each of which must work. To stop the mail
    nobody waits; once more changes nothing.
    While Redis is away nobody is refused: the secret has 128 bits, and what could be guessed behind it (a date of
    birth) is counted in the audit log.
    """
    try:
        if link is None:
            return throttle.over(BY_ADDRESS, throttle.network(client_of(request)))
        if link.purpose == LinkPurpose.UNSUBSCRIBE and request.method == "POST" and request.POST.get("act") != "start":
            return None
        return throttle.over(BY_LINK, token)
    except redis.RedisError:
        log.warning("limit of patients' links is off: Redis does not answer")
        return None
