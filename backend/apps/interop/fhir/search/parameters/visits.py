"""What visits, orders, specimens, reports and vital signs are searched by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.db.models.functions import Greatest

from backend.apps.interop.fhir.search.kinds import Date, Match, Param, ToldDate
from backend.apps.interop.fhir.search.parameters.clinical import OBSERVATION_CATEGORY, OBSERVATION_STATUS, OF_PATIENT
from backend.apps.interop.fhir.search.references import OfPatient, Reference, Refers, encounter_of
from backend.apps.interop.fhir.search.tokens import (
    At,
    Coded,
    Codes,
    Fixed,
    OwnUuid,
    Parts,
    Token,
    Told,
    reverse,
    within,
)
from backend.apps.interop.fhir.search.values import token
from backend.apps.interop.fhir.source import Source
from integrations.fhir.resources import appointment, encounter, service_request
from integrations.fhir.resources.vital_signs import VITAL_SIGNS
from integrations.fhir.terms import HL7, LOINC, SNOMED, V2, V3

KINDS = {kind: told["coding"][0]["code"] for kind, told in encounter.KINDS.items()}
V2_KINDS = {kind: told["coding"][0]["code"] for kind, told in appointment.KINDS.items() if "coding" in told}
VIRTUAL = ("telemedicine",)


@dataclass(frozen=True)
class TestAsked(Token):
    """The one test of an order, or what the laboratory's own panel calls it."""

    def match(self, source: Source, name: str, values: Sequence[str], modifier: str) -> Match | None:
        systems = {LOINC: ("loinc",), within("CodeSystem/tests")(): ("local",), None: ("loinc", "local")}
        wanted = [(code, list(systems.get(system, ())), system is None) for system, code in map(token, values)]
        test, of, code = (source.columns[column] for column in ("test", "test_system", "code"))
        one = f"(({test} = %s AND {of} = ANY(%s::text[])) OR ({code} = %s AND %s))"
        told = tuple(value for said, ofs, any_system in wanted for value in (said, ofs, said, any_system))
        sql = f"COALESCE({' OR '.join([one] * len(wanted))}, FALSE)"
        return Match(sql=f"NOT {sql}" if modifier == "not" else sql, values=told)


APPOINTMENT: Mapping[str, Param] = {
    "patient": OfPatient(element="participant.actor"),
    "practitioner": Reference({"Practitioner": "doctor_id"}, element="participant.actor"),
    "actor": Reference({"Patient": "patient_id", "Practitioner": "doctor_id"}, element="participant.actor"),
    "location": Refers("Location", "place", element="participant.actor"),
    "status": Codes("status", reverse(appointment.STATUSES), f"{HL7}appointmentstatus"),
    "appointment-type": Codes("appointment_type", reverse(V2_KINDS), f"{V2}0276"),
    "date": Date("appointment_datetime", column="start"),
}
ENCOUNTER: Mapping[str, Param] = {
    **OF_PATIENT,
    "identifier": OwnUuid(),
    "status": Codes("status", reverse(encounter.STATUSES), f"{HL7}encounter-status"),
    "class": Codes(
        "appointment_type",
        {"VR": VIRTUAL, "AMB": [kind for kind in encounter.KINDS if kind not in VIRTUAL]},
        f"{V3}ActCode",
    ),
    "type": Codes("appointment_type", reverse(KINDS), SNOMED),
    "date": ToldDate("start", end="end"),
    "participant": Reference({"Practitioner": "doctor_id"}, element="participant.individual"),
    "practitioner": Reference({"Practitioner": "doctor_id"}, element="participant.individual"),
    "appointment": Reference({"Appointment": "pk"}, element="appointment"),
    "location": Refers("Location", "clinic", element="location.location"),
    "service-provider": Refers("Organization", "clinic", element="serviceProvider"),
}
IDENTIFIERS = (At("order_number", within("order-number")), At("placer_order_number"))
ORDER: Mapping[str, Param] = {
    **OF_PATIENT,
    "identifier": Coded(IDENTIFIERS),
    "status": Codes("status", reverse(service_request.STATUSES), f"{HL7}request-status"),
    "intent": Fixed({"http://hl7.org/fhir/request-intent": frozenset({"order"})}),
    "priority": Codes("priority", reverse(service_request.PRIORITIES), f"{HL7}request-priority"),
    "category": Fixed({SNOMED: frozenset({"108252007"})}),
    "code": TestAsked(),
    "authored": Date("order_date", column="authored"),
    "occurrence": Date("specimen_collected_at", column="collected"),
    "encounter": encounter_of("appointment_id"),
    "requester": Reference({"Practitioner": "doctor_id"}, element="requester"),
    "performer": Reference({"Organization": "feed_id"}, element="performer"),
}
REPORT: Mapping[str, Param] = {
    **OF_PATIENT,
    "status": Told({"status": f"{HL7}diagnostic-report-status"}),
    "category": Fixed({f"{V2}0074": frozenset({"LAB"})}),
    "code": TestAsked(),
    "date": ToldDate("effective"),
    "issued": ToldDate("issued"),
    "encounter": encounter_of("appointment_id"),
    "based-on": Reference({"ServiceRequest": "pk"}, element="basedOn"),
    "performer": Refers("Organization", "feed", element="performer"),
}
SPECIMEN: Mapping[str, Param] = {
    **OF_PATIENT,
    "identifier": Told({"number": ""}),
    "accession": Told({"accession": ""}),
    "status": Told({"status": f"{HL7}specimen-status"}),
    "collected": Date("collected_at", end=Greatest("collected_at", "collected_until"), column="collected"),
}
VITAL: Mapping[str, Param] = {
    **OF_PATIENT,
    "category": Fixed({OBSERVATION_CATEGORY: frozenset({"vital-signs"})}),
    "code": Parts({kind: {LOINC: frozenset(code for code, _ in sign.codes)} for kind, sign in VITAL_SIGNS.items()}),
    "status": Told({"status": OBSERVATION_STATUS}),
    "date": ToldDate("effective"),
    "encounter": encounter_of("clinical_note__appointment_id"),
    "performer": Reference({"Practitioner": "clinical_note__doctor_id"}, element="performer"),
}
