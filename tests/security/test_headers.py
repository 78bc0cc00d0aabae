"""Walks every address there is and holds what its answer tells browsers and caches."""

from __future__ import annotations

import gzip
import re
from collections.abc import Collection, Iterator, Mapping
from io import BytesIO
from itertools import cycle
from typing import Any

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.resolvers import RoutePattern

from backend.apps.core import headers
from tests.support.pages import signed_in

ARGUMENT = {"int": "1", "uuid": "0b0d1a1e-1111-4222-8333-444455556666", "str": "x", "slug": "x", "path": "x"}
GROUP = re.compile(r"\(\?P<(\w+)>(?:[^()\[\]]|\[[^\]]*\]|\([^()]*\))*\)")
PUBLIC = {"/fhir/R4/metadata", "/fhir/R4/.well-known/smart-configuration"}  # what we can, for any system to read
EVIL = ("null", "https://evil.example", "http://testserver.evil.example")


def walk(resolver: URLResolver, before: str = "") -> Iterator[str]:
    for entry in resolver.url_patterns:
        here = before + plain(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from walk(entry, here)
        elif isinstance(entry, URLPattern):
            yield "/" + here.lstrip("/")


def plain(pattern: Any) -> str:
    """Return an address that a pattern fits."""
    text = str(pattern)
    if isinstance(pattern, RoutePattern):
        return re.sub(r"<(?:(\w+):)?\w+>", lambda found: ARGUMENT.get(found[1] or "str", "x"), text)
    return GROUP.sub("1", text.removeprefix("^")).rstrip("$").replace("\\Z", "").replace("\\.", ".").replace("/?", "/")


ADDRESSES = sorted({*walk(get_resolver()), "/nowhere/", "/api/v1/nowhere/", "/console/nowhere/", "/static/none.js"})


# What each answer has to say: told here once more, so that a table of ours that says less is found out.
SAID: Mapping[str, Collection[str]] = {
    "Server": {"web"},
    "X-Content-Type-Options": {"nosniff"},
    "X-Frame-Options": {"DENY"},
    "Referrer-Policy": {"same-origin", "no-referrer"},
    "Cross-Origin-Opener-Policy": {"same-origin"},
    "Cross-Origin-Resource-Policy": {"same-origin"},
}
SHUT = {"camera=()", "geolocation=()", "microphone=()", "payment=()", "usb=()"}
NONE, SELF, EVAL, INLINE = {"'none'"}, {"'self'"}, {"'unsafe-eval'"}, {"'unsafe-inline'"}
OF_THE_LIBRARY = re.compile(r"/admin/(?!login/|logout/|password_change/)")  # pages that are not all ours


def wrongs(path: str, answer: Any) -> list[str]:
    """Return the names of headers that are missing, weaker than they are meant, or tell too much."""
    found = {name for name, values in SAID.items() if answer.get(name) not in values}
    features = set(answer.get("Permissions-Policy", "").split(", "))
    if SHUT - features or not all(one.endswith("=()") for one in features):
        found.add("Permissions-Policy")
    if not is_strict(path, answer.get("Content-Security-Policy", "")):
        found.add("Content-Security-Policy")
    if "no-store" not in answer.get("Cache-Control", "") and path not in PUBLIC | {"/static/none.js"}:
        found.add("Cache-Control")
    if answer.get("Access-Control-Allow-Origin") and path not in PUBLIC:
        found.add("Access-Control-Allow-Origin")
    told = {"X-Powered-By", "Via", "Access-Control-Allow-Credentials"} & set(answer.headers)
    return sorted(found | told)


def is_strict(path: str, policy: str) -> bool:
    """Tell whether a content security policy lets in files of ours alone; styles in a page only where a library is."""
    parts = {name: set(words) for name, *words in map(str.split, filter(str.strip, policy.split(";")))}
    lax, docs = OF_THE_LIBRARY.match(path) is not None, path.startswith("/api/docs/")
    closed = all(parts.get(name) == NONE for name in ("default-src", "base-uri", "frame-ancestors"))
    forms = parts.get("form-action") in (NONE, SELF)
    scripts = parts.get("script-src", set()) <= SELF | (EVAL if lax else set())
    styles = parts.get("style-src", set()) <= SELF | (INLINE if lax or docs else set())
    others = (parts.get(f"{kind}-src", set()) <= SELF for kind in ("connect", "font", "object", "frame", "worker"))
    return closed and forms and scripts and styles and all(others)


@pytest.mark.django_db
@pytest.mark.usefixtures("without_tables")
def test_every_address_tells_browsers_and_caches_what_they_may_do_with_its_answer(settings: Any) -> None:
    assert len(ADDRESSES) > 500
    strangers, staff = Client(raise_request_exception=False), signed_in("admin")
    staff.raise_request_exception = False
    found, statuses = {}, set()
    for number, path in enumerate(ADDRESSES):
        for shift, client in enumerate((strangers, staff)):
            answer = client.get(path, headers={"Origin": EVIL[(number + shift) % len(EVIL)]})
            statuses.add(answer.status_code)
            if wrong := wrongs(path, answer):
                found[path] = (answer.status_code, wrong)
    assert found == {}
    assert {200, 302, 401, 403, 404, 405} <= statuses, "all kinds of answers were looked at"
    assert 500 not in statuses


@pytest.mark.django_db
def test_a_method_that_we_do_not_know_is_refused_at_the_door_and_no_other_origin_is_let_in(settings: Any) -> None:
    settings.PUBLIC_BASE_URL = "https://clinic.example.org"
    for path in ("/healthz", "/fhir/R4/metadata", "/api/v1/patients/", "/console/", "/a/x", "/static/none.js"):
        for method in ("TRACE", "TRACK", "CONNECT", "DEBUG", "PROPFIND"):
            answer = Client().generic(method, path, headers={"X-Secret": "zqx"})
            assert (answer.status_code, b"zqx" in answer.content) == (405, False)
        for origin in EVIL:
            asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
            answer = Client().options(path, headers=asked)
            assert answer.get("Access-Control-Allow-Origin", "*") == "*"
            assert not [name for name in answer.headers if name.startswith("Access-Control") and path not in PUBLIC]
        assert answer["Strict-Transport-Security"].startswith("max-age=63072000")


@pytest.mark.django_db
def test_a_packed_body_is_refused_before_it_is_read_wherever_it_is_sent() -> None:
    bomb, browser = gzip.compress(b"[" + b" " * 20_000_000 + b"]"), signed_in("admin")
    for path, packing in zip(ADDRESSES, cycle(("gzip", "deflate", "br, gzip", "GZIP")), strict=False):
        body = BytesIO(bomb)
        told = {"CONTENT_LENGTH": len(bomb), "CONTENT_TYPE": "application/json", "HTTP_CONTENT_ENCODING": packing}
        answer = browser.generic("POST", path, **told, **{"wsgi.input": body})
        assert (answer.status_code, answer.json()["status"], body.tell()) == (415, 415, 0), (path, packing)
        assert answer["X-Content-Type-Options"] == "nosniff"
    fine = Client().post(
        "/api/v1/auth/token/", b"{}", content_type="application/json", headers={"Content-Encoding": "identity"}
    )
    assert fine.status_code == 400


def test_the_policies_allow_no_script_of_a_page_and_nothing_from_elsewhere() -> None:
    for _, policy in (*headers.POLICIES, ("", headers.NOTHING), ("", headers.FILE)):
        words = set(re.findall(r"[^\s;]+", policy))
        assert not [word for word in words if "http" in word or "*" in word]
        assert "script-src 'self'" in policy or "script-src" not in policy
