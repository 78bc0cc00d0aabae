"""MedicationRequest, by US Core 7: what a doctor of the clinic ordered, never what somebody else reported."""

from __future__ import annotations

from integrations.fhir.holes import Given, If, Number, Safe, Switch, Text, Tree, join
from integrations.fhir.resource import Resource, head
from integrations.fhir.terms import SNOMED, TERMINOLOGY, UCUM, US_CORE, concept, reference

STATUSES = {
    "active": "active",
    "completed": "completed",
    "cancelled": "cancelled",
    "expired": "stopped",
    "on_hold": "on-hold",
}
ROUTES = {
    "oral": ("26643006", "Oral route"),
    "sublingual": ("37839007", "Sublingual route"),
    "topical": ("6064005", "Topical route"),
    "transdermal": ("45890007", "Transdermal route"),
    "inhaled": ("447694001", "Respiratory tract route"),
    "nasal": ("46713006", "Nasal route"),
    "ophthalmic": ("54485002", "Ophthalmic route"),
    "otic": ("10547007", "Otic route"),
    "rectal": ("37161004", "Rectal route"),
    "vaginal": ("16857009", "Vaginal route"),
    "intravenous": ("47625008", "Intravenous route"),
    "intramuscular": ("78421000", "Intramuscular route"),
    "subcutaneous": ("34206005", "Subcutaneous route"),
}

DOSE: Tree = If(
    "dose",
    {
        "value": Number("dose"),
        "unit": Text("dose_unit"),
        "system": If("dose_code", UCUM),
        "code": Text("dose_code"),
    },
)

MEDICATION_REQUEST = Resource(
    "MedicationRequest",
    {
        **head("MedicationRequest", f"{US_CORE}medicationrequest"),
        "identifier": [{"system": join(Given("base"), "/NamingSystem/prescription"), "value": Safe("number")}],
        "status": Switch("status", STATUSES),
        "statusReason": {"text": Text("status_reason")},
        "intent": "order",
        "category": [concept(f"{TERMINOLOGY}medicationrequest-category", "community", "Community")],
        "reportedBoolean": False,
        "medicationReference": reference("Medication", "medication"),
        "subject": reference("Patient", "patient"),
        "encounter": reference("Encounter", "encounter"),
        "authoredOn": Safe("authored"),
        "requester": reference("Practitioner", "doctor"),
        "reasonCode": [{"text": Text("indication")}],
        "dosageInstruction": [
            {
                "text": Text("sig"),
                "patientInstruction": Text("instructions"),
                "timing": {"code": {"text": Text("frequency")}},
                "route": Switch("route", {route: concept(SNOMED, *named) for route, named in ROUTES.items()}),
                "doseAndRate": [{"doseQuantity": DOSE}],
            }
        ],
        "dispenseRequest": {
            "validityPeriod": {"start": Safe("authored"), "end": Safe("expires")},
            "numberOfRepeatsAllowed": Number("refills"),
            "quantity": {"value": Number("quantity")},
            "expectedSupplyDuration": If(
                "days", {"value": Number("days"), "unit": "days", "system": UCUM, "code": "d"}
            ),
            "performer": {"display": Text("pharmacy")},
        },
    },
    always=frozenset({
        "number", "status", "medication", "patient", "authored", "doctor", "route", "expires", "refills", "quantity",
    }),
    mandatory=frozenset({"status", "intent", "medicationReference", "subject"}),
)  # fmt: skip
