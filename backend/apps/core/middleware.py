"""Gives every request an id that the log, the audit row and the answer share."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponse

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
        return self._after(request, self.get_response(request))

    async def _later(self, request: HttpRequest) -> HttpResponse:
        self._before(request)
        return self._after(request, await self.get_response(request))  # type: ignore[misc]  # async by construction

    def _before(self, request: HttpRequest) -> None:
        sent = request.headers.get("X-Request-Id", "")
        request.request_id = sent if SAFE_ID.fullmatch(sent) else uuid.uuid4().hex  # type: ignore[attr-defined]  # ours

    def _after(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        response["X-Request-Id"] = request.request_id  # type: ignore[attr-defined]  # set above
        response.setdefault("Cache-Control", "no-store")
        return response
