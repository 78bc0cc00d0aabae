"""Gives every request an id that the log, the audit row and the answer share, and a span where traces are kept."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponse

from backend.config import logs, redaction, tracing

Answered = Callable[[HttpResponse], HttpResponse]
METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
SAFE_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")


class Around:
    """What both kinds of requests need: subclasses say by `around` what stands about one, and may change its answer."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[..., HttpResponse]) -> None:
        self.get_response = get_response
        self.is_async = iscoroutinefunction(get_response)
        if self.is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if self.is_async:
            return self._later(request)  # type: ignore[return-value]  # Django awaits it
        with self.around(request) as answered:
            return answered(self.early(request) or self.get_response(request))

    async def _later(self, request: HttpRequest) -> HttpResponse:
        with self.around(request) as answered:
            return answered(self.early(request) or await self.get_response(request))  # type: ignore[misc]  # async

    def early(self, request: HttpRequest) -> HttpResponse | None:
        """Return an answer instead of asking any further; None to ask."""
        return None

    def around(self, request: HttpRequest) -> AbstractContextManager[Answered]:
        raise NotImplementedError


class RequestId(Around):
    """Take `X-Request-Id` when it is harmless, else make one; send it back."""

    @contextmanager
    def around(self, request: HttpRequest) -> Iterator[Answered]:
        sent = request.headers.get("X-Request-Id", "")
        is_harmless = SAFE_ID.fullmatch(sent) and redaction.cleaned(sent) == sent  # no number or day of a patient
        known = sent if is_harmless else uuid.uuid4().hex
        request.request_id = known  # type: ignore[attr-defined]  # ours
        with logs.bound(request_id=known):
            yield partial(_answered, known)


class Traced(Around):
    """Make each request one span, named by the pattern of its address: the address itself may name a patient."""

    @contextmanager
    def around(self, request: HttpRequest) -> Iterator[Answered]:
        with tracing.span(_method(request)) as span:
            yield partial(_named, span, request)


def _answered(request_id: str, response: HttpResponse) -> HttpResponse:
    response["X-Request-Id"] = request_id
    return response


def _method(request: HttpRequest) -> str:
    return request.method if request.method in METHODS else "HTTP"


def _named(span: Any, request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """Say on the span what only the end of a request tells."""
    route = f"/{request.resolver_match.route}" if request.resolver_match else ""
    span.update_name(f"{_method(request)} {route}".strip())
    span.set_attribute("http.request.method", _method(request))
    span.set_attribute("http.route", route)
    span.set_attribute("http.response.status_code", response.status_code)
    span.set_attribute("request_id", response.get("X-Request-Id", ""))
    return response
