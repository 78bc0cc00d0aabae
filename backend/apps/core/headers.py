"""Says in one place what browsers may do with an answer of ours; without it each view would have to remember.

A view that is stricter sets its own header, and that one stands.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from types import MappingProxyType

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse

from backend.apps.core.middleware import METHODS, Answered, Around

FRAME = "default-src 'none'; base-uri 'none'; frame-ancestors 'none'"
NOTHING = f"{FRAME}; form-action 'none'"
FILE = f"{NOTHING}; sandbox"  # of a download, should a browser show it all the same
OURS = f"{FRAME}; form-action 'self'; connect-src 'self'; font-src 'self'"
PAGES = f"{OURS}; img-src 'self'; script-src 'self'; style-src 'self'"
DOCS = f"{OURS}; img-src 'self' data:; script-src 'self'; style-src 'self' 'unsafe-inline'"
# The admin's library evaluates what stands in attributes of its own pages; no page of it holds a script.
ADMIN = f"{OURS}; img-src 'self' data:; script-src 'self' 'unsafe-eval'; style-src 'self' 'unsafe-inline'"
POLICIES = (  # by how an address begins; the first that fits, else NOTHING
    ("/admin/login/", PAGES),
    ("/admin/logout/", PAGES),
    ("/admin/password_change/", PAGES),
    ("/admin/", ADMIN),
    ("/account/", PAGES),
    ("/console/", PAGES),
    ("/a/", PAGES),
    ("/api/docs/", DOCS),
)
FEATURES = (
    "accelerometer", "autoplay", "camera", "clipboard-read", "display-capture", "encrypted-media", "fullscreen",
    "geolocation", "gyroscope", "magnetometer", "microphone", "midi", "payment", "picture-in-picture",
    "publickey-credentials-get", "screen-wake-lock", "usb", "web-share", "xr-spatial-tracking",
)  # fmt: skip
TWO_YEARS_S = 63_072_000
ALWAYS: Mapping[str, str] = MappingProxyType(
    {
        "Server": "web",  # or the server would name itself
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",  # what browsers knew before frame-ancestors
        "Referrer-Policy": "same-origin",  # with no-referrer browsers send "Origin: null", which CSRF refuses
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": ", ".join(f"{name}=()" for name in FEATURES),
    }
)


PROBLEM = "application/problem+json"
PACKED = {
    "type": "urn:carerelay:problem:packed_body",
    "title": "Unsupported Media Type",
    "status": 415,
    "detail": "Send the body as it is, without a Content-Encoding.",
}


class Guarded(Around):
    """Give every answer the headers of its address; refuse a method that none of ours knows, and a packed body.

    Nothing here unpacks one, and a few kilobytes may hold gigabytes: whoever sends it is told, before it is read.
    """

    def early(self, request: HttpRequest) -> HttpResponse | None:
        if request.method not in METHODS:
            return HttpResponseNotAllowed(sorted(METHODS))
        is_packed = request.headers.get("Content-Encoding", "").strip().lower() not in {"", "identity"}
        return JsonResponse(PACKED, status=415, content_type=PROBLEM) if is_packed else None

    @contextmanager
    def around(self, request: HttpRequest) -> Iterator[Answered]:
        yield partial(_guarded, request.path_info)


def policy_of(path: str) -> str:
    """Return the content security policy of an address."""
    return next((policy for start, policy in POLICIES if path.startswith(start)), NOTHING)


def _guarded(path: str, response: HttpResponse) -> HttpResponse:
    for name, value in ALWAYS.items():
        response.setdefault(name, value)
    response.setdefault("Content-Security-Policy", policy_of(path))
    if settings.PUBLIC_BASE_URL.startswith("https://"):  # over plain HTTP, as from a proxy, browsers pass it over
        response.setdefault("Strict-Transport-Security", f"max-age={TWO_YEARS_S}; includeSubDomains")
    if not path.startswith(settings.STATIC_URL):
        response.setdefault("Cache-Control", "no-store")
    return response
