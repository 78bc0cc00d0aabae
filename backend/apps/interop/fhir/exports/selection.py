"""Which rows an export takes, as SQL; without it plan, pieces and accounting could each mean other rows.

All that is returned here is whole SQL, its values in it as literals: it is run on another connection than Django's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django.core.exceptions import EmptyResultSet
from django.db import connection

from backend.apps.interop.fhir.exports.asked import Asked
from backend.apps.interop.fhir.search import query
from backend.apps.interop.fhir.source import REMOVED, Source
from backend.apps.interop.fhir.sources import ALL
from backend.apps.interop.fhir.sources.patient import PATIENTS
from backend.apps.interop.models import ExportJob, ExportLevel, PatientGroup
from integrations.fhir.resource import Resource

ORIGINS = "Provenance"
KNOWN = f"SELECT removed.id FROM patients_patient AS removed WHERE NOT ({REMOVED})"  # noqa: S608  # our own names only
TARGETS: Mapping[
    str, Mapping[str, str]
] = {  # by source of Provenance: sources it is about, and its key in their tables
    "provenance-result": {"observation-lab": "t.id"},
    "provenance-note": {
        "document-note": "t.id",
        "composition": "t.clinical_note_id",
        "observation-vital-signs": "t.clinical_note_id",
    },
    "provenance-prescription": {"prescription": "t.id"},
}


def sources_of(job: ExportJob, asked: Asked) -> list[Source]:
    """Return the sources of an export: of the types asked for and granted, without what nobody asked an export for."""
    wanted = [source for source in ALL if asked.wants(source.type) and _may_go(job, source)]
    belong = [source for source in wanted if _belongs(job, asked, source)]
    if not _associated(asked):
        return belong
    told = {source.name for source in belong}
    return [source for source in belong if source.type != ORIGINS or told & set(TARGETS[source.name])]


def _associated(asked: Asked) -> bool:
    """Return whether Provenance goes along with its targets only, and is not asked for by itself."""
    return bool(asked.associated) and ORIGINS not in asked.types


def _may_go(job: ExportJob, source: Source) -> bool:
    return not job.granted or source.type in job.granted


def _belongs(job: ExportJob, asked: Asked, source: Source) -> bool:
    """Return whether a source is part of an export of this level; what is about no patient goes along as support.

    A group names all its members: it goes where these go.
    """
    if source.model is PatientGroup:
        return goes_with_members(ExportLevel(job.level), asked.patients)
    return job.level == ExportLevel.SYSTEM or source.type in asked.types or not source.system_only


def goes_with_members(level: ExportLevel, patients: Sequence[str]) -> bool:
    """Return whether an export of this level, of these patients alone if there are some, may name groups' members."""
    return level == ExportLevel.SYSTEM or (level == ExportLevel.GROUP and not patients)


def resource_of(asked: Asked, source: Source) -> Resource:
    """Return the resource as this export writes it: cut to `_elements` where that was asked for."""
    elements = asked.elements_of(source.type)
    return source.resource.only(elements) if elements else source.resource


def where(job: ExportJob, asked: Asked, source: Source) -> str:
    """Return the condition for a source's rows that are in the export."""
    told = [f"({source.live})", source.kept, *_of_patients(job, asked, source), *_fitting(asked, source)]
    if source.type == ORIGINS and _associated(asked):
        return " AND ".join([*told, _of_targets(job, asked, source)])
    if asked.since is not None:
        told.append(_literal(f"{source.changed} > %s", asked.since))
    if asked.until is not None:
        told.append(_literal(f"{source.changed} <= %s", asked.until))
    return " AND ".join(told)


def within(job: ExportJob, asked: Asked, source: Source, lower: UUID | None, upper: UUID | None) -> str:
    """Return `where`, between two keys: without the lower one, with the upper one; None is open."""
    return " AND ".join([where(job, asked, source), *between(source, lower, upper)])


def between(source: Source, lower: UUID | None, upper: UUID | None) -> list[str]:
    told = [] if lower is None else [_literal(f"{source.key} > %s", lower)]
    return told if upper is None else [*told, _literal(f"{source.key} <= %s", upper)]


def about(
    job: ExportJob, asked: Asked, source: Source, lower: UUID | None, upper: UUID | None, *, nobody: bool = False
) -> str:
    """Return `where`, between two patients: without the lower one, with the upper one. nobody: about no patient."""
    patient = f"({source.patient})::uuid"
    told = [where(job, asked, source), f"{patient} IS NULL" if nobody else f"{patient} IS NOT NULL"]
    if lower is not None and not nobody:
        told.append(_literal(f"{patient} > %s", lower))
    if upper is not None and not nobody:
        told.append(_literal(f"{patient} <= %s", upper))
    return " AND ".join(told)


def borders(job: ExportJob, asked: Asked, source: Source, size: int) -> str:
    """Return the query for the keys of every resource number `size`, in any order, and for the count of all."""
    placed = f"SELECT {source.key}, row_number() OVER (ORDER BY {source.key}) FROM {source.tables}"  # noqa: S608  # ours
    return _cut(f"{placed} WHERE {where(job, asked, source)}", size)


def patient_borders(job: ExportJob, asked: Asked, size: int) -> str:
    """Return the same query for all patients that the export may tell of."""
    found = " AND ".join(["TRUE", *_of_patients(job, asked, PATIENTS)])
    placed = f"SELECT {PATIENTS.key}, row_number() OVER (ORDER BY {PATIENTS.key}) FROM {PATIENTS.tables}"  # noqa: S608  # ours
    return _cut(f"{placed} WHERE {found}", size)


def _cut(placed: str, size: int) -> str:
    return f"""SELECT array_agg(key) FILTER (WHERE place % {size} = 0), count(*)
        FROM ({placed}) AS placed (key, place)"""  # noqa: S608  # our own names only


def last_patient() -> str:
    return "SELECT id FROM patients_patient ORDER BY id DESC LIMIT 1"


def last_key(job: ExportJob, asked: Asked, source: Source, lower: UUID | None) -> str:
    """Return the query for the greatest key above `lower`."""
    found = within(job, asked, source, lower, None)
    return f"SELECT {source.key} FROM {source.tables} WHERE {found} ORDER BY {source.key} DESC LIMIT 1"  # noqa: S608  # ours


def members(job: ExportJob, asked: Asked, source: Source, lower: UUID | None, upper: UUID | None) -> str:
    """Return the query for the patients whom groups name; "" where the source is of something else."""
    if source.model is not PatientGroup:
        return ""
    found = within(job, asked, source, lower, upper)
    return f"""SELECT DISTINCT member.patient_id::text FROM interop_patientgroupmember AS member
        JOIN patients_patient AS patient ON patient.id = member.patient_id AND NOT patient.is_deleted
        WHERE member.group_id IN (SELECT {source.key} FROM {source.tables} WHERE {found})"""  # noqa: S608  # ours


def patients_of(source: Source, gone: str) -> str:
    """Return the query for the patients of resources, from one for their FHIR ids."""
    return f"""SELECT DISTINCT ({source.patient})::text FROM {source.traces or source.tables}
        WHERE {source.columns["id"]} IN ({gone})"""  # noqa: S608  # our own names only


def deleted(job: ExportJob, asked: Asked, source: Source) -> str:
    """Return the query for the FHIR ids of what was deleted since; "" where nothing is told."""
    if not source.goings or asked.since is None:
        return ""
    told = " UNION ALL ".join(_literal(query, asked.since) for query in source.goings)
    found = f"SELECT gone.id FROM ({told}) AS gone (id, at) WHERE TRUE"  # noqa: S608  # ours
    if asked.until is not None:
        found += _literal(" AND gone.at <= %s", asked.until)
    for condition in _of_patients(job, asked, source, gone=True):
        ids = f"SELECT {source.columns['id']} FROM {source.traces or source.tables} WHERE {condition}"  # noqa: S608  # our own names only
        found += f" AND gone.id IN ({ids})"
    return f"{found} ORDER BY gone.id"


def _of_targets(job: ExportJob, asked: Asked, origins: Source) -> str:
    """Return the condition for what tells of resources that are in the export."""
    going = {source.name: source for source in sources_of(job, asked)}
    each = (
        f"t.id IN (SELECT {key} FROM {going[name].tables} WHERE {where(job, asked, going[name])})"  # noqa: S608  # ours
        for name, key in TARGETS[origins.name].items()
        if name in going
    )
    return f"({' OR '.join(each)})"


def _fitting(asked: Asked, source: Source) -> list[str]:
    """Return what the type filters say: a resource must fit any of those of its type."""
    filters = asked.filters_of(source.type)
    found = [_among(one) for params in filters if (one := query.find(source, params)) is not None]
    if not filters:
        return []
    return [f"({' OR '.join(found)})" if found else "FALSE"]


def _among(found: query.Found) -> str:
    try:
        sql, values = found.rows.order_by().values("pk").query.sql_with_params()
    except EmptyResultSet:
        return "FALSE"
    return f"(t.id IN ({_composed(sql, values)}) AND {_composed(found.also, found.values)})"


def _of_patients(job: ExportJob, asked: Asked, source: Source, *, gone: bool = False) -> list[str]:
    """Return what limits a source to the patients of the export; nothing where it takes those of all.

    gone: for what was deleted. Whose record was merged with another is the patient of that one.
    """
    if job.level == ExportLevel.GROUP and source.model is PatientGroup:
        return [_literal("t.id = %s", job.group_id)]
    patient = source.patient or source.named
    if job.level == ExportLevel.SYSTEM or not patient:
        return []
    told = [f"{patient} IS NOT NULL"] if source.patient else [f"{patient} IN ({KNOWN})"]
    if gone and source.patient == source.key:
        patient = f"COALESCE(t.merged_into_id, {patient})"
    if job.level == ExportLevel.GROUP:
        members = "SELECT member.patient_id FROM interop_patientgroupmember AS member WHERE member.group_id = %s"
        told.append(_literal(f"{patient} IN ({members})", job.group_id))
    if asked.patients:
        told.append(_literal(f"{patient} = ANY (%s::uuid[])", list(asked.patients)))
    return told


def _literal(sql: str, *values: Any) -> str:
    return _composed(sql, values)


def _composed(sql: str, values: Sequence[Any]) -> str:
    connection.ensure_connection()
    composed: str = connection.ops.compose_sql(sql, values)  # type: ignore[attr-defined]  # PostgreSQL has it
    return composed
