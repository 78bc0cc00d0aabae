"""Holds the id that ties a request to its log and audit rows, and the probes a supervisor asks."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import Client, RequestFactory

from backend.apps.core.addresses import client_of
from backend.apps.core.models import AuditLog
from backend.apps.users.tests.factories import make_user
from backend.config.environment import proxies
from tests.support.api_contract import client_for

pytestmark = pytest.mark.django_db
URL = "/api/v1/clinics/"


def test_a_harmless_id_is_kept_and_stands_in_the_audit_row() -> None:
    answer = client_for(make_user("admin")).get(URL, HTTP_X_REQUEST_ID="gateway-0001.a_b")
    assert answer["X-Request-Id"] == "gateway-0001.a_b"
    assert AuditLog.objects.get().request_id == "gateway-0001.a_b"


@pytest.mark.parametrize(
    "sent",
    ["", "short", "x" * 65, "with space", "a\tb-123456", "<script>1</script>", "é" * 10, "4155557391", "1931-07-23"],
)
def test_any_other_id_is_replaced(sent: str) -> None:
    answer = Client().get("/healthz", HTTP_X_REQUEST_ID=sent)
    assert re.fullmatch(r"[0-9a-f]{32}", answer["X-Request-Id"])


@pytest.mark.parametrize(("query", "accept"), [("", "application/xml"), ("?name=%00", "*/*")])
def test_a_bad_token_is_the_first_thing_refused_whatever_else_is_wrong(query: str, accept: str) -> None:
    headers = {"Authorization": "Bearer garbage", "Accept": accept}
    assert Client().get(f"{URL}{query}", headers=headers).status_code == 401
    assert AuditLog.objects.get().outcome == AuditLog.Outcome.REFUSED


def test_two_requests_get_two_ids() -> None:
    assert Client().get("/healthz")["X-Request-Id"] != Client().get("/healthz")["X-Request-Id"]


def test_answers_are_not_kept_by_caches() -> None:
    assert Client().get("/healthz")["Cache-Control"] == "no-store"
    assert client_for(make_user("admin")).get(URL)["Cache-Control"] == "no-store"


def test_the_audit_row_tells_where_the_request_came_from() -> None:
    api = client_for(make_user("admin"))
    api.get(URL, REMOTE_ADDR="2001:db8::7", HTTP_USER_AGENT="probe\x07/1.0 " + "x" * 500)
    row = AuditLog.objects.get()
    assert row.ip_address == "2001:db8::7"
    assert row.user_agent.startswith("probe/1.0 x")
    assert len(row.user_agent) == 300


def test_an_address_that_is_none_is_left_out() -> None:
    client_for(make_user("admin")).get(URL, REMOTE_ADDR="unix:")
    assert AuditLog.objects.get().ip_address is None


def test_the_probes_answer_without_a_login() -> None:
    assert Client().get("/healthz").json() == {"status": "ok"}
    ready = Client().get("/readyz")
    assert ready.status_code == 200
    assert ready.json()["database"] == "ok"


def test_a_probe_is_read_only() -> None:
    assert Client().post("/readyz").status_code == 405


@pytest.mark.parametrize(
    ("trusted", "nearest", "told", "expected"),
    [
        ("", "10.0.0.1", "203.0.113.9", "10.0.0.1"),
        ("1", "10.0.0.1", "198.51.100.1, 203.0.113.9", "203.0.113.9"),
        ("2", "10.0.0.1", "198.51.100.1, 203.0.113.9, 10.0.0.2", "203.0.113.9"),
        ("2", "10.0.0.1", "203.0.113.9", "10.0.0.1"),
        ("1", "10.0.0.1", "nonsense", "10.0.0.1"),
        ("1", "10.0.0.1", "", "10.0.0.1"),
        ("1", "10.0.0.1", "[2001:db8::7]:4711", "2001:db8::7"),
        ("10.0.0.0/8", "10.0.0.1", "198.51.100.1, 203.0.113.9:80, 10.0.0.2", "203.0.113.9"),
        ("10.0.0.0/8", "192.0.2.1", "203.0.113.9", "192.0.2.1"),
        ("10.0.0.0/8,2001:db8::/32", "2001:db8::1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.0/8", "10.0.0.1", "10.0.0.3, x, 10.0.0.2", "10.0.0.2"),
    ],
)
def test_an_address_is_believed_as_far_as_our_proxies_reach(
    settings: Any, trusted: str, nearest: str, told: str, expected: str
) -> None:
    settings.TRUSTED_PROXIES = proxies(trusted)
    request = RequestFactory().get("/", REMOTE_ADDR=nearest, headers={"x-forwarded-for": told})
    assert client_of(request) == expected


def test_proxies_that_are_none_stop_the_start() -> None:
    with pytest.raises(ImproperlyConfigured, match="CARERELAY_TRUSTED_PROXIES"):
        proxies("10.0.0.0/8,proxy")
