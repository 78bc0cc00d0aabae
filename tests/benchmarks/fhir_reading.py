"""Measures a read and a search of 20, signed in and audited, against the same search made of fhir.resources models."""

from __future__ import annotations

import json
import os
import re
import statistics
import time
from collections.abc import Sequence
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
FOUND, ROUNDS, BLOCK, WARM_UP = 20, 12, 25, 5
BAR = 5.0
FRACTION = re.compile(r'\.[0-9]+Z"')
TOLD_BESIDE = re.compile(r'("versionId": "[0-9]+)-[0-9a-f]+"')
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


class Nothing(FhirView):
    """What every answer pays for: who asks, what they may, the audit row."""

    verb: ClassVar[str] = "retrieve"

    def get(self, request: Request) -> HttpResponse:
        self.note("nothing")
        return self.respond(b"{}")


urlpatterns = [
    path("plain/Observation", PlainSearch.as_view()),
    path("plain/Observation/<str:key>", PlainRead.as_view()),
    path("plain/nothing", Nothing.as_view()),
    path("", include(our_own)),
]


def run() -> bool:
    return tell(bars())


def bars() -> list[Bar]:
    fhir_load.results(RESULTS, patients=RESULTS // FOUND)
    memory.settle()  # as the web process does
    result = LabResult.objects.select_related("lab_order").latest("id")
    query = f"patient={result.lab_order.patient_id}&_count={FOUND}"
    search = (f"/fhir/R4/Observation?{query}&category=laboratory", f"/plain/Observation?{query}")
    read = (f"/fhir/R4/Observation/{result.result_key}", f"/plain/Observation/{result.result_key}")
    with override_settings(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["testserver"]):
        client = signed_in()
        for ours, plain in (search, read):
            same(client, ours, plain)
        searched, bundle, one, model, door = in_turn(client, (*search, *read, "/plain/nothing"))
    print(f"p50: search {searched:.2f} ms, Bundle of models {bundle:.2f}; read {one:.2f}, one model {model:.2f}")
    print(f"sign-in and audit alone {door:.2f} ms; beside them, how many times as fast as models:")
    print(f"search {(bundle - door) / (searched - door):.0f}, read {(model - door) / (one - door):.1f}")
    return [verdict("search of 20", searched, bundle), verdict("read", one, bundle)]


def signed_in() -> Client:
    client = Client()
    User.objects.filter(email="bench@demo.clinic").exists() or User.objects.create_superuser(
        "bench@demo.clinic", PASSWORD, role=Role.ADMIN
    )
    login = {"email": "bench@demo.clinic", "password": PASSWORD}
    token = client.post("/api/v1/auth/token/", login, content_type="application/json").json()["access"]
    client.defaults["HTTP_AUTHORIZATION"] = f"Bearer {token}"
    return client


def in_turn(client: Client, urls: Sequence[str]) -> list[float]:
    """Return the median of how long each took, in ms; each answer leaves an audit row.

    In turn by blocks: a server that answers so does not make models between two requests.
    """
    before = AuditLog.objects.count()
    took: dict[str, list[float]] = {url: [] for url in urls}
    for _ in range(ROUNDS):
        for url in urls:
            took[url] += [timed(client, url) for _ in range(BLOCK + WARM_UP)][WARM_UP:]
    assert AuditLog.objects.count() - before == len(urls) * ROUNDS * (BLOCK + WARM_UP)
    return [statistics.median(took[url]) for url in urls]


def same(client: Client, ours: str, plain: str) -> None:
    mine, theirs = (client.get(url).content for url in (ours, plain))
    assert resources(mine) == resources(theirs), "the two ways say different things"


def resources(body: bytes) -> list[dict[str, Any]]:
    told = json.loads(body)
    found = [entry["resource"] for entry in told["entry"]] if told["resourceType"] == "Bundle" else [told]
    texts = (TOLD_BESIDE.sub(r'\1"', json.dumps(one)) for one in found)  # what a version says beside its number
    whole = (json.loads(FRACTION.sub('Z"', text)) for text in texts)  # one tells more digits of a second
    return sorted(whole, key=lambda one: str(one["id"]))


def timed(client: Client, url: str) -> float:
    began = time.perf_counter()
    answer = client.get(url)
    assert answer.status_code == 200, answer.status_code
    return (time.perf_counter() - began) * 1000


def verdict(what: str, ours: float, bundle: float) -> Bar:
    return Bar(
        f"{what}, p50, a Bundle of models", f"{BAR:.0f} times", f"{bundle / ours:.1f} times", bundle / ours >= BAR
    )
