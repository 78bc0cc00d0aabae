"""What each source can be searched by, beside `_id` and `_lastUpdated`; a name that is not here cannot be asked for."""

from __future__ import annotations

from collections.abc import Mapping

from backend.apps.interop.fhir.search.kinds import Param
from backend.apps.interop.fhir.search.parameters import clinical, papers, people, visits

PARAMETERS: Mapping[str, Mapping[str, Param]] = {  # by the name of the source
    "patient": people.PATIENT,
    "practitioner": people.PRACTITIONER,
    "practitioner-role": people.PRACTITIONER_ROLE,
    "organization-clinic": people.CLINIC,
    "organization-payer": people.PAYER,
    "organization-laboratory": people.LABORATORY,
    "location-clinic": people.OUR_PLACE,
    "location-facility": people.FACILITY,
    "group": people.GROUP,
    "coverage": people.COVERAGE,
    "appointment": visits.APPOINTMENT,
    "encounter": visits.ENCOUNTER,
    "order": visits.ORDER,
    "specimen": visits.SPECIMEN,
    "report": visits.REPORT,
    "observation-vital-signs": visits.VITAL,
    "observation-lab": clinical.RESULT,
    "medication": clinical.MEDICATION,
    "prescription": clinical.PRESCRIPTION,
    "claim": papers.CLAIM,
    "explanation-of-benefit": papers.EXPLANATION,
    "document-note": papers.NOTE,
    "document-result": papers.RESULT_DOCUMENT,
    "composition": papers.COMPOSITION,
    "provenance-result": papers.RESULT_ORIGIN,
    "provenance-note": papers.NOTE_ORIGIN,
    "provenance-prescription": papers.PRESCRIPTION_ORIGIN,
    "audit": papers.AUDIT,
}
