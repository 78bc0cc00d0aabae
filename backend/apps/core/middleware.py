"""Gives every request an id that the log, the audit row and the answer share, and a span where traces are kept."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponse

from backend.config import logs, tracing

METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
SAFE_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")


class RequestId:
    """Take `X-Request-Id` when it is harmless, else make one; send it back and forbid caches to keep answers."""

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
        self._before(request)
        with logs.bound(request_id=request.request_id):  # type: ignore[attr-defined]  # set above
            return self._after(request, self.get_response(request))

    async def _later(self, request: HttpRequest) -> HttpResponse:
        self._before(request)
        with logs.bound(request_id=request.request_id):  # type: ignore[attr-defined]  # set above
            return self._after(request, await self.get_response(request))  # type: ignore[misc]  # async by construction

    def _before(self, request: HttpRequest) -> None:
        sent = request.headers.get("X-Request-Id", "")
        request.request_id = sent if SAFE_ID.fullmatch(sent) else uuid.uuid4().hex  # type: ignore[attr-defined]  # ours

    def _after(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        response["X-Request-Id"] = request.request_id  # type: ignore[attr-defined]  # set above
        response.setdefault("Cache-Control", "no-store")
        return response


class Traced:
    """Make each request one span, named by the pattern of its address: the address itself may name a patient."""

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
        with tracing.span(_method(request)) as span:
            return _named(span, request, self.get_response(request))

    async def _later(self, request: HttpRequest) -> HttpResponse:
        with tracing.span(_method(request)) as span:
            return _named(span, request, await self.get_response(request))  # type: ignore[misc]  # async by construction


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
