"""Proves that no body, query or header makes the API break or tell what it is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any
from urllib.parse import urlencode

import pytest
from django.db import connection
from django_filters.rest_framework import DjangoFilterBackend
from rest_framework.test import APIClient

from backend.apps.core.models import AuditLog
from backend.apps.core.roles import Role
from tests.security.hostile import (
    BAD_CURSORS,
    BAD_POSITIONS,
    BIG,
    BODIES,
    LONG,
    SHAPES,
    TEXTS,
    VALUES,
    as_json,
    refused_fields,
    send,
    weakness,
)
from tests.security.matrix import RESOURCES, Call, Practice, calls, make, make_practice, undone, view_of
from tests.support.api_contract import client_for

pytestmark = pytest.mark.django_db


def writers(resource: str) -> list[Call]:
    """Return the calls with a body that the administrator may make."""
    allowed = RESOURCES[resource].permissions
    return [call for call in calls(resource) if call.method in {"post", "patch"} and call.action in allowed]


CREATABLE = sorted(name for name in RESOURCES if "create" in {call.action for call in writers(name)})
CHANGEABLE = sorted(name for name in RESOURCES if "partial_update" in {call.action for call in writers(name)})


SHARES = 3
NO_JSON = "The body is not valid JSON."


def fields_of(resource: str, call: Call, practice: Practice) -> list[str]:
    """Return the writable fields of a call's body."""
    if call.form is not None:
        form = call.form()
    elif call.action in {"create", "partial_update"}:
        form = view_of(resource, practice.logins[Role.ADMIN], call.action).get_serializer()
    else:
        return []
    return [name for name, field in form.fields.items() if not field.read_only]


def report(weak: list[tuple[str, ...]]) -> str:
    return "\n".join([f"{len(weak)} weak answers:", *(" | ".join(entry) for entry in weak[:12])])


def tried(api: APIClient, call: Call, url: str, raw: bytes) -> Any:
    with undone():
        return send(api, call.method, url, raw)


@pytest.mark.parametrize("resource", sorted(RESOURCES))
def test_a_broken_body_is_refused(resource: str) -> None:
    practice = make_practice()
    row, api, weak = make(resource, practice, draft=True), client_for(practice.logins[Role.ADMIN]), []
    for call in writers(resource):
        for name in BODIES if call.action == "create" else SHAPES:  # the reader of bodies is the same for all
            answer = tried(api, call, call.url(resource, row.pk), BODIES[name])
            found = weakness(answer) or ("" if answer.status_code >= 400 else "accepted")
            weak += [(call.action, name, found)] if found else []
    assert not weak, report(weak)


@pytest.mark.parametrize("resource", sorted(RESOURCES))
def test_a_value_of_the_wrong_kind_is_refused_or_stored_whatever_the_field(resource: str) -> None:
    practice = make_practice()
    row, api, weak = make(resource, practice, draft=True), client_for(practice.logins[Role.ADMIN]), []
    for call in writers(resource):
        names, url = fields_of(resource, call, practice), call.url(resource, row.pk)
        created = call.action == "create" and bool(names)
        good = stored_values(resource, row, practice, names) if created else {}
        with gone(row) if created else nullcontext():
            for value in values_for(resource, call) if names else []:
                for body, answer in answers_to(
                    value, names, good, lambda raw, call=call, url=url: tried(api, call, url, raw)
                ):
                    if found := weakness(answer):
                        weak.append((call.action, str(body)[:300], str(value)[:40], found))
    assert not weak, report(weak)


def values_for(resource: str, call: Call) -> list[Any]:
    """Return what the fields of a call get: all of VALUES, or a share in turn where `create` reads the same form."""
    if call.action != "partial_update" or resource not in CREATABLE or own_fields_of_a_change(resource):
        return VALUES
    return VALUES[CREATABLE.index(resource) % SHARES :: SHARES]


def own_fields_of_a_change(resource: str) -> bool:
    forms = (RESOURCES[resource](action=action).get_serializer_class() for action in ("create", "partial_update"))
    return len(set(forms)) > 1


@contextmanager
def gone(row: Any) -> Iterator[None]:
    """Take the row out of its table meanwhile: what is its alone may be given to another."""
    with undone(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")  # some rows are kept for ever
        type(row)._base_manager.filter(pk=row.pk)._raw_delete("default")
        cursor.execute("SET LOCAL session_replication_role = origin")
        yield


def answers_to(
    value: Any, names: list[str], good: dict[str, Any], post: Callable[[bytes], Any]
) -> Iterator[tuple[dict[str, Any], Any]]:
    """Yield (body, answer): all fields get `value`, then those that were not refused, until the value is let through.

    When a rule refuses without naming a field, each field that is left gets the value alone; not when nobody could
    read the body, which is then the value's own fault.
    """
    left = set(names)
    while left:
        body = {**good, **dict.fromkeys(left, value)}
        answer = post(as_json(body))
        yield body, answer
        refused = refused_fields(answer) & left
        if not refused:
            break
        left -= refused
    if len(left) > 1 and answer.status_code >= 400 and answer.data["detail"] != NO_JSON:
        for name in left:
            yield {**good, name: value}, post(as_json({**good, name: value}))


def stored_values(resource: str, row: Any, practice: Practice, names: list[str]) -> dict[str, Any]:
    """Return the body that would make a row like `row`, with what is written and never shown."""
    shown = view_of(resource, practice.logins[Role.ADMIN], "retrieve").get_serializer(row).data
    held = {name: shown.get(name, getattr(row, name, None)) for name in names}
    held = {name: value for name, value in held.items() if value is not None}
    return {name: str(value) if name == "id" else plain(value) for name, value in held.items()}


def plain(value: Any) -> Any:
    if isinstance(value, list):
        return [plain(each) for each in value]
    return value if isinstance(value, dict | str | int | float | bool | None) else str(value)


@pytest.mark.parametrize("resource", sorted(RESOURCES))
def test_a_hostile_query_is_answered_or_refused(resource: str) -> None:
    practice = make_practice()
    make(resource, practice)
    api, url = client_for(practice.logins[Role.ADMIN]), f"/api/v1/{resource}/"
    api.raise_request_exception = False
    weak = []
    for query in queries(resource, api, url):
        with undone():
            answer = api.get(f"{url}?{query}")
        found = weakness(answer) or ("" if answer.status_code in {200, 400, 404} else str(answer.status_code))
        weak += [(query[:120], found)] if found else []
    assert not weak, report(weak)


def reader_of_queries(view: Any) -> tuple[Any, ...]:
    """Return what reads a query before a column is asked for; views with the same refuse the same."""
    own = (type(view).list, type(view).filter_queryset, type(view).paginate_queryset, type(view).get_queryset)
    return (view.pagination_class, *view.filter_backends, bool(view.ordering_fields), *own)


def listing(resource: str) -> Any:
    return view_of(resource, None, "list")  # type: ignore[arg-type]  # the filters do not depend on the caller


def queries(resource: str, api: APIClient, url: str) -> Iterator[str]:
    view = listing(resource)
    filterset = DjangoFilterBackend().get_filterset_class(view, view.queryset)
    names = list(filterset.base_filters) if filterset else []
    searched = bool(getattr(view, "search_fields", ()))
    for text in TEXTS:
        with undone():
            refused = refused_fields(api.get(f"{url}?{urlencode(dict.fromkeys(names, text))}"))
        yield from (urlencode({name: text}) for name in names if name not in refused)
        yield from [urlencode({"search": text})] * searched
    yield from (f"{name}=x&{name}=%00&{name}=%ff&{name}=x" for name in names)
    yield from (urlencode({"cursor": cursor}) for cursor in BAD_POSITIONS)
    for order in view.ordering_fields:
        yield from (urlencode({"ordering": order, "cursor": cursor}) for cursor in BAD_POSITIONS)
    yield from ("search=x", "no_such=1", "patient__user=1", "ordering=id", "ordering=user__password")
    same = (other for other in sorted(RESOURCES) if reader_of_queries(listing(other)) == reader_of_queries(view))
    if next(same) == resource:
        yield from malformed()


def malformed() -> Iterator[str]:
    """Yield what is refused whatever is listed."""
    yield from (urlencode({"cursor": cursor}) for cursor in BAD_CURSORS)
    yield from ("limit=1000000000", "limit=-1", "limit=1e3", "limit=%D9%A1", "limit=", "limit=1&limit=9999")
    yield from ("ordering=-", "ordering=?", "ordering=%00", "ordering=,,,")
    yield from ("a%00b=1", "format=api", "format=%00", f"{'a' * 3000}=1", "%ff=%ff")


@pytest.mark.parametrize("resource", sorted(RESOURCES))
def test_the_wrong_method_or_kind_of_body_is_said_to_be_wrong(resource: str) -> None:
    practice = make_practice()
    row, api = make(resource, practice, draft=True), client_for(practice.logins[Role.ADMIN])
    for call in writers(resource):
        url = call.url(resource, row.pk)
        for kind in ("application/xml", "text/plain", "application/x-python-pickle", "nonsense"):
            answer = api.generic(call.method.upper(), url, b"<a/>", content_type=kind)
            assert answer.status_code == 415, (call.action, kind, answer.status_code)
            assert weakness(answer) == ""
    known = {(call.method, call.url(resource, row.pk)) for call in calls(resource)}
    for method in ("post", "put", "patch", "delete", "trace"):
        for url in {url for _, url in known}:
            if (method, url) not in known:
                answer = api.generic(method.upper(), url)
                assert answer.status_code == 405, (method, url, answer.status_code)
                assert not answer.content if method == "trace" else weakness(answer) == ""


@pytest.mark.parametrize("resource", CHANGEABLE)
def test_a_version_that_is_not_current_is_412(resource: str) -> None:
    practice = make_practice()
    row, api = make(resource, practice, draft=True), client_for(practice.logins[Role.ADMIN])
    for tag in ('"0000"', "nonsense", 'W/"x"', LONG[:3000]):
        answer = send(api, "patch", f"/api/v1/{resource}/{row.pk}/", b"{}", **{"If-Match": tag})
        assert answer.status_code == 412, (tag[:20], answer.status_code)


@pytest.mark.parametrize("resource", CREATABLE)
def test_a_key_stands_for_one_request_only(resource: str) -> None:
    practice = make_practice()
    row, login = make(resource, practice, draft=True), practice.logins[Role.ADMIN]
    api, key = client_for(login), {"Idempotency-Key": "the-same-key"}
    for bad in ("short", "x" * 200, "with space in it", "\u00e9" * 9):
        answer = send(api, "post", f"/api/v1/{resource}/", b"{}", **{"Idempotency-Key": bad})
        assert answer.status_code == 400, bad
    api.post("/api/v1/specializations/", {"name": "Idempotence"}, headers=key)
    names = fields_of(resource, Call("create", "post", detail=False), practice)
    body = as_json(stored_values(resource, row, practice, names))
    answer = send(api, "post", f"/api/v1/{resource}/", body, **key)
    assert answer.status_code == 422, answer.data
    assert answer.data["type"].endswith("idempotency_key_reused")


@pytest.mark.parametrize("sent", ["x", "a b c d e f g h", "<script>alert(1)</script>", "a" * 65, "12345678\u00e9"])
def test_a_request_id_that_is_not_plain_is_replaced(sent: str) -> None:
    api = client_for(make_practice().logins[Role.ADMIN])
    answer = api.get("/api/v1/patients/", headers={"X-Request-Id": sent})
    assert answer["X-Request-Id"] != sent
    assert AuditLog.objects.latest("timestamp").request_id == answer["X-Request-Id"]


def test_a_forwarded_address_is_not_believed() -> None:
    api = client_for(make_practice().logins[Role.ADMIN])
    for name in ("X-Forwarded-For", "X-Real-Ip", "Forwarded"):
        assert api.get("/api/v1/patients/", headers={name: "6.6.6.6"}).status_code == 200
        assert AuditLog.objects.latest("timestamp").ip_address == "127.0.0.1"


@pytest.mark.parametrize("host", ["evil.example", "testserver:x", "a@b", "testserver\u00e9", "", "[::"])
def test_a_foreign_host_is_refused_and_stands_in_no_link(host: str) -> None:
    api = client_for(make_practice().logins[Role.ADMIN])
    api.raise_request_exception = False
    answer = api.get("/api/v1/patients/?limit=1", headers={"Host": host, "X-Forwarded-Host": "evil.example"})
    assert answer.status_code == 400 or b"evil" not in answer.content
    assert answer.status_code < 500


def test_a_body_larger_than_two_megabytes_is_413() -> None:
    practice = make_practice()
    api = client_for(practice.logins[Role.ADMIN])
    for method, url in (("post", "/api/v1/patients/"), ("patch", f"/api/v1/patients/{practice.patient.pk}/")):
        answer = send(api, method, url, BIG)
        assert answer.status_code == 413
        assert weakness(answer) == ""
