"""What results, prescriptions and medications are searched by."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Q

from backend.apps.interop.fhir.search.kinds import Date, Param, any_of
from backend.apps.interop.fhir.search.references import OfPatient, Reference, Refers, encounter_of
from backend.apps.interop.fhir.search.tokens import At, Coded, Codes, Fixed, Told, reverse, within
from integrations.fhir.resources import medication, medication_request, observation
from integrations.fhir.terms import HL7, LOINC, NDC, RXNORM, SNOMED, TERMINOLOGY

OF_PATIENT: Mapping[str, Param] = {"patient": OfPatient(), "subject": OfPatient()}


OBSERVATION_CATEGORY = f"{TERMINOLOGY}observation-category"
OBSERVATION_STATUS = f"{HL7}observation-status"
SENT = (("code_as_sent", "code_system_as_sent"), ("other_code_as_sent", "other_system_as_sent"))


def _told_as(names: Iterable[str], code: re.Pattern[str], at: str, of: str) -> Q:
    """Return what holds where a code as sent is told as one of a public system: see `observation.is_loinc`."""
    named = "|".join(map(re.escape, sorted(names)))
    return Q(**{f"{of}__iregex": rf"^\s*({named})\s*$", f"{at}__regex": rf"^\s*{code.pattern}\s*$"})


PUBLIC = tuple(
    (at, system, _told_as(names, code, at, of))
    for system, names, code in (
        (LOINC, observation.LOINC_NAMES, observation.LOINC_CODE),
        (SNOMED, observation.SNOMED_NAMES, observation.SNOMED_CODE),
    )
    for at, of in SENT
)
OF_LOINC = Q(lab_test__code_system="loinc", lab_test__test_code__regex=f"^{observation.LOINC_CODE.pattern}$")
CODES = (
    At("lab_test__test_code", LOINC, OF_LOINC),
    *(At(at, system, told) for at, system, told in PUBLIC),
    At("lab_test__test_code", within("CodeSystem/tests"), ~OF_LOINC),
    *(At(at) for at, _ in SENT),
)
LABORATORYS_OWN = within("CodeSystem/laboratory-")


@dataclass(frozen=True)
class ResultCode(Coded):
    """What was tested: by LOINC, by our own code, or by a laboratory's own, whose system names its feed."""

    def one(self, system: str | None, code: str) -> Q | None:
        if not (system or "").startswith(LABORATORYS_OWN()):
            return super().one(system, code)
        feed = (system or "").removeprefix(LABORATORYS_OWN())
        try:
            of = Q(source_message__feed_id=UUID(feed)) | Q(lab_order__feed_id=UUID(feed))
        except ValueError:
            return None
        spaced = r"^\s*" + r"\s+".join(map(re.escape, code.split())) + r"\s*$"  # sent with any blanks, told with one
        return of & any_of(
            Q(**{f"{at}__regex": spaced if code else r"\S"}) & ~any_of(told for place, _, told in PUBLIC if place == at)
            for at, _ in SENT
        )


RESULT: Mapping[str, Param] = {
    **OF_PATIENT,
    "category": Fixed({OBSERVATION_CATEGORY: frozenset({"laboratory"})}),
    "code": ResultCode(CODES),
    "date": Date("result_date", column="effective"),
    "status": Codes("status", reverse(observation.STATUSES), OBSERVATION_STATUS),
    "encounter": encounter_of("lab_order__appointment_id"),
    "based-on": Reference({"ServiceRequest": "lab_order_id"}, element="basedOn"),
    "specimen": Refers("Specimen", "specimen", element="specimen"),
    "performer": Refers("Organization", "feed", element="performer"),
}  # fmt: skip
MEDICATION: Mapping[str, Param] = {
    "code": Told({"rxnorm": RXNORM, "ndc": NDC}),
    "status": Told({"active": f"{HL7}CodeSystem/medication-status"}, reverse(medication.STATUSES)),
}
PRESCRIPTION: Mapping[str, Param] = {
    **OF_PATIENT,
    "status": Codes("status", reverse(medication_request.STATUSES), f"{HL7}CodeSystem/medicationrequest-status"),
    "intent": Fixed({"http://hl7.org/fhir/CodeSystem/medicationrequest-intent": frozenset({"order"})}),
    "category": Fixed({f"{TERMINOLOGY}medicationrequest-category": frozenset({"community"})}),
    "authoredon": Date("prescribed_date", day=True, column="authored"),
    "medication": Reference({"Medication": "medication_id"}, element="medicationReference"),
    "code": Coded((At("medication__rxnorm_code", RXNORM),)),
    "encounter": encounter_of("appointment_id"),
    "requester": Reference({"Practitioner": "doctor_id"}, element="requester"),
    "identifier": Coded((At("prescription_number", within("NamingSystem/prescription")),)),
}
