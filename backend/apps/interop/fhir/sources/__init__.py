"""Every source, by resource type; a type that is not here is one we do not have."""

from __future__ import annotations

from collections import defaultdict

from backend.apps.interop.fhir.source import Source
from backend.apps.interop.fhir.sources.audit import AUDIT
from backend.apps.interop.fhir.sources.claims import CLAIMS, EXPLANATIONS
from backend.apps.interop.fhir.sources.coverage import COVERAGES
from backend.apps.interop.fhir.sources.documents import NOTES, RESULT_DOCUMENTS, SOAP_NOTES
from backend.apps.interop.fhir.sources.group import GROUPS
from backend.apps.interop.fhir.sources.medications import MEDICATIONS, PRESCRIPTIONS
from backend.apps.interop.fhir.sources.orders import ORDERS, REPORTS, SPECIMENS
from backend.apps.interop.fhir.sources.patient import PATIENTS
from backend.apps.interop.fhir.sources.people import PRACTITIONER_ROLES, PRACTITIONERS
from backend.apps.interop.fhir.sources.places import CLINICS, FACILITIES, LABORATORIES, OUR_PLACE, PAYERS
from backend.apps.interop.fhir.sources.provenance import NOTE_ORIGINS, PRESCRIPTION_ORIGINS, RESULT_ORIGINS
from backend.apps.interop.fhir.sources.results import RESULTS
from backend.apps.interop.fhir.sources.visits import APPOINTMENTS, ENCOUNTERS
from backend.apps.interop.fhir.sources.vital_signs import VITALS

ALL: tuple[Source, ...] = (
    PATIENTS,
    CLINICS,
    PAYERS,
    LABORATORIES,
    OUR_PLACE,
    FACILITIES,
    PRACTITIONERS,
    PRACTITIONER_ROLES,
    COVERAGES,
    GROUPS,
    APPOINTMENTS,
    ENCOUNTERS,
    ORDERS,
    SPECIMENS,
    REPORTS,
    RESULTS,
    VITALS,
    MEDICATIONS,
    PRESCRIPTIONS,
    CLAIMS,
    EXPLANATIONS,
    NOTES,
    RESULT_DOCUMENTS,
    SOAP_NOTES,
    RESULT_ORIGINS,
    NOTE_ORIGINS,
    PRESCRIPTION_ORIGINS,
    AUDIT,
)  # in the order exports and unfiltered searches take them


def _by_type() -> dict[str, tuple[Source, ...]]:
    found: dict[str, list[Source]] = defaultdict(list)
    for source in ALL:
        found[source.type].append(source)
    return {name: tuple(some) for name, some in found.items()}


SOURCES: dict[str, tuple[Source, ...]] = _by_type()
BY_NAME: dict[str, Source] = {source.name: source for source in ALL}
