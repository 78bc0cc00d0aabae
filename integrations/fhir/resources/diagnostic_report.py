"""DiagnosticReport, by US Core 7: the findings a laboratory reported of one order."""

from __future__ import annotations

from integrations.fhir.holes import Each, If, Safe, Switch, Unless, join
from integrations.fhir.resource import Resource, head
from integrations.fhir.resources.observation import CODE
from integrations.fhir.resources.service_request import ORDER_NUMBER
from integrations.fhir.terms import US_CORE, V2, concept, reference

STATUSES = {name: name for name in ("registered", "partial", "preliminary", "final", "corrected", "cancelled")}
NOT_SAID = {"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}

DIAGNOSTIC_REPORT = Resource(
    "DiagnosticReport",
    {
        **head("DiagnosticReport", f"{US_CORE}diagnosticreport-lab"),
        "identifier": [ORDER_NUMBER],
        "basedOn": [reference("ServiceRequest", "id")],
        "status": Switch("status", STATUSES),
        "category": [concept(f"{V2}0074", "LAB", "Laboratory")],
        "code": CODE,
        "subject": reference("Patient", "patient"),
        "encounter": If("encounter", reference("Encounter", "encounter")),
        "effectiveDateTime": Safe("effective"),
        "_effectiveDateTime": Unless("effective", {"extension": [NOT_SAID]}),  # US Core wants one of most reports
        "issued": Safe("issued"),
        "performer": [If("feed", reference("Organization", "feed"))],
        "specimen": [
            Each("specimens", ("one_specimen",), reference("Specimen", "one_specimen"), frozenset({"one_specimen"}))
        ],
        "result": [
            Each("results", ("one_result",), {"reference": join("Observation/", Safe("one_result"))}),
        ],
    },
    always=frozenset({"number", "status", "patient"}),
    mandatory=frozenset({"status", "category", "code", "subject"}),
)
