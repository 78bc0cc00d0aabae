"""What claims, documents, provenances and the audit log are searched by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.db.models import DateTimeField, Q
from django.db.models.functions import Cast, Coalesce

from backend.apps.insurance.models import ClaimLine
from backend.apps.interop.fhir.search.kinds import Date, Param, String, ToldDate
from backend.apps.interop.fhir.search.references import (
    Listed,
    OfPatient,
    Reference,
    Refers,
    encounter_of,
    key_of,
)
from backend.apps.interop.fhir.search.tokens import At, Coded, Codes, Fixed, OwnUuid, Token, Told, reverse, within
from backend.apps.interop.fhir.sources.provenance import by_vital_sign
from backend.apps.interop.fhir.sources.results import by_key
from integrations.fhir.resources import audit_event, document_reference
from integrations.fhir.terms import HL7, LOINC, TERMINOLOGY


def _cared(fhir_id: str) -> Q | None:
    """Return the claims that name a doctor, as their own or as that of a line."""
    key = key_of(fhir_id)
    lines = ClaimLine.objects.filter(rendering_doctor_id=key).values("claim_id")
    return None if key is None else Q(rendering_doctor_id=key) | Q(pk__in=lines)


def _day_or_moment(day: str, moment: str) -> Coalesce:
    """Return the first moment of a day, or else a moment."""
    return Coalesce(Cast(day, DateTimeField()), moment)


OF_PATIENT: Mapping[str, Param] = {"patient": OfPatient(), "subject": OfPatient()}
NUMBER = Coded((At("claim_number", within("NamingSystem/claim")),))
MONEY: Mapping[str, Param] = {
    "patient": OfPatient(element="patient"),
    "identifier": NUMBER,
    "status": Told({"status": f"{HL7}fm-status"}),
    "use": Fixed({"http://hl7.org/fhir/claim-use": frozenset({"claim"})}),
    "type": Fixed({f"{TERMINOLOGY}claim-type": frozenset({"professional"})}),
    "insurer": Reference({"Organization": "patient_insurance__insurance_plan__provider_id"}, element="insurer"),
    "coverage": Reference({"Coverage": "patient_insurance_id"}, element="insurance.coverage"),
    "care-team": Reference(
        {},
        {"Practitioner": _cared},
        element="careTeam.provider",
        told=("rendering", "line_doctors", "referring_npi"),
    ),
    "service-date": Date("service_date", day=True, column="first_day"),
}
CLAIM: Mapping[str, Param] = {
    **MONEY,
    "created": Date(_day_or_moment("submission_date", "created_at"), column="created"),
    "priority": Fixed({f"{TERMINOLOGY}processpriority": frozenset({"normal"})}),
}
EXPLANATION: Mapping[str, Param] = {
    **MONEY,
    "created": Date(_day_or_moment("response_date", "updated_at"), column="created"),
    "claim": Reference({"Claim": "pk"}, element="claim"),
    "status": Told({"status": f"{HL7}explanationofbenefit-status"}),
    "disposition": String(("denial_reason",)),
}


def _loinc(types: Iterable[tuple[str, Any]]) -> dict[str, list[str]]:
    """Return, for each LOINC code, the kinds of note that are told by it."""
    return reverse({kind: told["coding"][0]["code"] for kind, told in types})


CATEGORY = Fixed({
    str(coding["system"]): frozenset({str(coding["code"])}) for coding in document_reference.CATEGORY["coding"]
})  # fmt: skip
NOTE_TYPE: Token = Codes("note_type", _loinc(document_reference.NOTES.items()), LOINC)
RESULT_TYPE = Fixed({LOINC: frozenset({"11502-2"})})
NOTE: Mapping[str, Param] = {
    **OF_PATIENT,
    "identifier": OwnUuid(),
    "type": NOTE_TYPE,
    "category": CATEGORY,
    "status": Told({"status": f"{HL7}document-reference-status"}),
    "date": Date("signed_at", column="date"),
    "period": ToldDate("visit_start", end="visit_end"),
    "author": Reference({"Practitioner": "doctor_id"}, element="author"),
    "encounter": encounter_of("appointment_id", element="context.encounter"),
    "relatesto": Reference({"DocumentReference": "amends_id"}, element="relatesTo.target"),
}
RESULT_DOCUMENT: Mapping[str, Param] = {
    **OF_PATIENT,
    "identifier": OwnUuid(),
    "type": RESULT_TYPE,
    "category": CATEGORY,
    "status": Told({"status": f"{HL7}document-reference-status"}),
    "date": Date(Coalesce("reported_at", "sent_at", "created_at"), column="date"),
    "author": Refers("Organization", "author", element="author"),
    "encounter": encounter_of("lab_order__appointment_id", element="context.encounter"),
}
COMPOSITION: Mapping[str, Param] = {
    **OF_PATIENT,
    "type": Codes("clinical_note__note_type", _loinc(document_reference.NOTES.items()), LOINC),
    "status": Told({"status": f"{HL7}composition-status"}),
    "date": Date("clinical_note__signed_at", column="date"),
    "author": Reference({"Practitioner": "clinical_note__doctor_id"}, element="author"),
    "encounter": encounter_of("clinical_note__appointment_id"),
}


RECORDED = {"agent": Refers("Practitioner", "doctor", element="agent.who")}
RESULT_ORIGIN: Mapping[str, Param] = {
    "patient": OfPatient(element=""),
    "target": Reference({}, {"Observation": by_key}, element="target", told=("targets",)),
    "recorded": Date("created_at", column="recorded"),
    **RECORDED,
}
NOTE_ORIGIN: Mapping[str, Param] = {
    "patient": OfPatient(element=""),
    "target": Listed(
        {"DocumentReference": "pk", "Composition": "soap_note__pk"},
        {"Observation": by_vital_sign},
        element="target",
        column="targets",
    ),
    "recorded": Date("signed_at", column="recorded"),
    **RECORDED,
}
PRESCRIPTION_ORIGIN: Mapping[str, Param] = {
    "patient": OfPatient(element=""),
    "target": Reference({"MedicationRequest": "pk"}, element="target"),
    "recorded": Date("created_at", column="recorded"),
    **RECORDED,
}
AUDIT: Mapping[str, Param] = {
    "date": Date("timestamp"),
    "patient": Reference({"Patient": "patient_id"}),
    "action": Told({"action": f"{HL7}audit-event-action"}),
    "outcome": Codes("outcome", reverse(audit_event.OUTCOMES), f"{HL7}audit-event-outcome"),
    "subtype": Told(
        {"interaction": "http://hl7.org/fhir/restful-interaction", "verb": within("CodeSystem/audit-action")}
    ),
}
