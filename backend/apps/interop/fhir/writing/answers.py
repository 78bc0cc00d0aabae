"""Answers a write as its sender prefers: with the resource, with a word about it, or with nothing."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

import orjson
from django.http import HttpResponse
from django.utils.http import http_date
from rest_framework.request import Request

from backend.apps.interop.fhir import door, outcomes
from backend.apps.interop.fhir.outcomes import NotFound
from backend.apps.interop.fhir.source import rows_among
from backend.apps.interop.fhir.writing.kinds import Kind
from integrations.fhir.outcomes import issue

RETURN = re.compile(r"\breturn\s*=\s*\"?(minimal|representation|OperationOutcome)\b")
DONE = {200: "Taken over.", 201: "Put on file."}


class Standing:
    """A row as it stands now, as FHIR."""

    def __init__(self, kind: Kind, row: Any, role: str) -> None:
        source = kind.source
        found = rows_among(source, source.model._base_manager.filter(pk=row.pk), role=role)
        if not found:
            raise NotFound
        columns = dict(zip(source.resource.columns, found[0], strict=True))
        self.id, self.version, self.updated = columns["id"], columns["version"], columns["updated"]
        self.type = kind.type
        self.line = source.resource.line(door.given())(found[0])

    def as_dict(self) -> dict[str, Any]:
        held: dict[str, Any] = orjson.loads(self.line)
        return held

    @property
    def etag(self) -> str:
        return f'W/"{self.version}"'


class Written(HttpResponse):
    """The answer to a write; `data` is what `core.idempotency` remembers it by."""

    data: dict[str, str]


def written(request: Request, standing: Standing, status: int, media_type: str) -> Written:
    """Return the answer to a create (201), an update or a create that was not needed (200)."""
    asked = RETURN.search(request.headers.get("Prefer", ""))
    body: str | bytes = standing.line
    if asked and asked[1] == "minimal":
        body = ""
    elif asked and asked[1] == "OperationOutcome":
        body = orjson.dumps(outcomes.outcome([issue("informational", DONE[status], severity="information")]))
    answer = Written(body, status=status, content_type=media_type)
    answer["ETag"] = standing.etag
    answer["Last-Modified"] = http_date(datetime.fromisoformat(str(standing.updated)).timestamp())
    answer["Location"] = f"{door.base()}/{standing.type}/{standing.id}/_history/{standing.version}"
    if asked:
        answer["Preference-Applied"] = asked[0]
    answer.data = {"id": str(standing.id)}
    return answer
