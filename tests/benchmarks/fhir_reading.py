"""Measures a read and a search of 20, signed in and audited, against the same answers made of fhir.resources models."""

from __future__ import annotations

import json
import os
import re
import statistics
import time
from typing import Any, ClassVar

from django.http import HttpResponse
from django.test import Client, override_settings
from django.urls import include, path
from rest_framework.request import Request

from backend.apps.core.models import AuditLog
from backend.apps.core.roles import Role
from backend.apps.interop.fhir.door import FhirView
from backend.apps.laboratory.models import LabResult
from backend.apps.users.models import User
from backend.config import memory
from backend.config.urls import urlpatterns as our_own
from tests.benchmarks import plain_fhir
from tests.benchmarks.bars import Bar, tell
from tests.support import fhir_load

RESULTS = int(os.environ.get("BENCH_OBSERVATIONS", "200000"))
FOUND, ROUNDS, WARM_UP = 20, 300, 30
BAR = 5.0
FRACTION = re.compile(r'\.[0-9]+Z"')
PASSWORD = "bench-clinic-2026"


class PlainSearch(FhirView):
    """The same search with the same door, its Bundle made of models."""

    verb: ClassVar[str] = "search"

    def get(self, request: Request) -> HttpResponse:
        body = plain_fhir.bundle(request.query_params["patient"], FOUND)
        self.note(count=FOUND)
        return self.respond(body)


class PlainRead(FhirView):
    verb: ClassVar[str] = "read"

    def get(self, request: Request, key: str) -> HttpResponse:
        body = plain_fhir.one(key)
        self.note(key)
        return self.respond(body)


urlpatterns = [
    path("plain/Observation", PlainSearch.as_view()),
    path("plain/Observation/<str:key>", PlainRead.as_view()),
    path("", include(our_own)),
]


def run() -> bool:
    return tell(bars())


def bars() -> list[Bar]:
    fhir_load.results(RESULTS, patients=RESULTS // FOUND)
    memory.settle()  # as the web process does
    result = LabResult.objects.select_related("lab_order").latest("id")
    query = f"patient={result.lab_order.patient_id}&_count={FOUND}"
    with override_settings(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["testserver"]):
        client = signed_in()
        searched = both(client, f"/fhir/R4/Observation?{query}&category=laboratory", f"/plain/Observation?{query}")
        read = both(client, f"/fhir/R4/Observation/{result.result_key}", f"/plain/Observation/{result.result_key}")
    return [verdict("search of 20", searched), verdict("read", read)]


def signed_in() -> Client:
    client = Client()
    User.objects.filter(email="bench@demo.clinic").exists() or User.objects.create_superuser(
        "bench@demo.clinic", PASSWORD, role=Role.ADMIN
    )
    login = {"email": "bench@demo.clinic", "password": PASSWORD}
    token = client.post("/api/v1/auth/token/", login, content_type="application/json").json()["access"]
    client.defaults["HTTP_AUTHORIZATION"] = f"Bearer {token}"
    return client


def both(client: Client, ours: str, plain: str) -> tuple[list[float], list[float]]:
    """Return how long each took, in ms, in turn; both say the same, and both leave an audit row."""
    same(client, ours, plain)
    before = AuditLog.objects.count()
    pairs = [(timed(client, ours), timed(client, plain)) for _ in range(ROUNDS + WARM_UP)]
    assert AuditLog.objects.count() - before == 2 * len(pairs)
    mine, theirs = zip(*pairs[WARM_UP:], strict=True)
    return list(mine), list(theirs)


def same(client: Client, ours: str, plain: str) -> None:
    mine, theirs = (client.get(url).content for url in (ours, plain))
    assert resources(mine) == resources(theirs), "the two ways say different things"


def resources(body: bytes) -> list[dict[str, Any]]:
    told = json.loads(body)
    found = [entry["resource"] for entry in told["entry"]] if told["resourceType"] == "Bundle" else [told]
    whole = (json.loads(FRACTION.sub('Z"', json.dumps(one))) for one in found)  # one tells more digits of a second
    return sorted(whole, key=lambda one: str(one["id"]))


def timed(client: Client, url: str) -> float:
    began = time.perf_counter()
    answer = client.get(url)
    assert answer.status_code == 200, answer.status_code
    return (time.perf_counter() - began) * 1000


def verdict(what: str, took: tuple[list[float], list[float]]) -> Bar:
    ours, plain = map(statistics.median, took)
    print(f"{what}: p50 {ours:.2f} ms, with models {plain:.2f} ms")
    return Bar(f"{what}, p50", f"{BAR:.0f} times", f"{plain / ours:.1f} times", plain / ours >= BAR)
