"""Answers one resource by its id, now or as an earlier version."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import Q
from django.http import HttpResponse
from django.utils.http import http_date
from rest_framework.request import Request

from backend.apps.interop.fhir.door import FhirView, given
from backend.apps.interop.fhir.outcomes import NotFound, Refusal
from backend.apps.interop.fhir.source import Row, Source, rows_among

GONE = "This resource was deleted."


@dataclass(frozen=True, slots=True)
class Shown:
    """One resource as it is answered, and what the audit and the headers say of it."""

    line: str
    version: str
    updated: str
    patient: str | None

    @property
    def headers(self) -> dict[str, str]:
        changed = datetime.fromisoformat(self.updated).timestamp()
        return {"ETag": f'W/"{self.version}"', "Last-Modified": http_date(changed)}


def read(source: Source, fhir_id: str, user: Any, *, version: str = "") -> Shown | None:
    """Return the resource with this id as the user may see it; None where this source has none.

    version: also as it was, where earlier versions are kept.
    """
    rows = _rows(source, source.by_id(fhir_id), fhir_id, user)
    if version and source.past is not None and not (rows and _told(source, rows[0]).version == version):
        rows = _rows(source, source.past(fhir_id, version), fhir_id, user, live=False)
    found = _told(source, rows[0]) if rows else None
    return None if found and version and found.version != version else found


def _rows(source: Source, named: Q | None, fhir_id: str, user: Any, *, live: bool = True) -> list[Row]:
    if named is None:
        return []
    part = source.by_part(fhir_id) if source.by_part else ""
    return rows_among(
        source,
        source.visible(user).filter(named),
        role=user.role,
        also=f"{source.part} = %s" if part else "TRUE",
        values=[part] if part else [],
        limit=1,
        beside=[f"({source.patient or 'NULL'})::text"],
        live=live,
    )


def _told(source: Source, row: Row) -> Shown:
    columns = source.resource.columns
    version, updated = (str(row[columns.index(name)]) for name in ("version", "updated"))
    return Shown(source.resource.line(given())(row[:-1]), version, updated, row[-1])


def was_deleted(source: Source, fhir_id: str, user: Any) -> bool:
    """Return whether there was such a resource that the user might have seen: its row stands, and the source tells
    that this id went.
    """
    named = source.by_id(fhir_id) if source.goings else None
    began = source.visible(user).filter(named).values_list("created_at").first() if named is not None else None
    if began is None:
        return False
    told = " UNION ALL ".join(f"({query})" for query in source.goings)
    sql = f"SELECT EXISTS (SELECT FROM ({told}) AS went (id, at) WHERE went.id = %s)"  # noqa: S608  # our own names only
    with connection.cursor() as cursor:
        cursor.execute(sql, [*(began * len(source.goings)), fhir_id])
        return bool(cursor.fetchone()[0])


def none(sources: Iterable[Source], fhir_id: str, user: Any) -> Refusal:
    """Return what to raise where no source has this id: whether it was deleted, or never was the caller's to see."""
    deleted = any(was_deleted(source, fhir_id, user) for source in sources)
    return Refusal(GONE, status=410) if deleted else NotFound()


class Read(FhirView):
    """`GET [type]/[id]`; with `version_id`, `GET [type]/[id]/_history/[version]`."""

    verb = "retrieve"

    def get(self, request: Request, fhir_id: str, version_id: str = "", **_kwargs: Any) -> HttpResponse:
        found = self._find(fhir_id, version_id)
        self.note(fhir_id, patient_id=found.patient, **({"version": version_id} if version_id else {}))
        if not version_id and _has(request, found):
            return HttpResponse(status=304, headers=found.headers)
        return self.respond(found.line, headers=found.headers)

    def _find(self, fhir_id: str, version_id: str) -> Shown:
        sources = self.sources("retrieve")
        for source in sources:
            if found := read(source, fhir_id, self.request.user, version=version_id):
                return found
        raise none(sources, fhir_id, self.request.user)


def _has(request: Request, found: Shown) -> bool:
    """Return whether the caller has this version already; "*" is any."""
    tags = [tag.strip() for tag in request.headers.get("If-None-Match", "").split(",")]
    return "*" in tags or f'W/"{found.version}"' in tags or f'"{found.version}"' in tags
