"""Location, by US Core 7: where the practice sees patients."""

from __future__ import annotations

from integrations.fhir.contacts import ADDRESS, EMAIL, PHONE
from integrations.fhir.holes import If, Switch, Text
from integrations.fhir.resource import Resource, head
from integrations.fhir.terms import NPI, US_CORE, V3, concept, reference

PLACE_OF_SERVICE = "https://www.cms.gov/Medicare/Coding/place-of-service-codes/Place_of_Service_Code_Set"

LOCATION = Resource(
    "Location",
    {
        **head("Location", f"{US_CORE}location"),
        "identifier": [If("npi", {"use": "official", "system": NPI, "value": Text("npi")})],
        "status": Switch("status", {"active": "active", "inactive": "inactive"}),
        "name": Text("name"),
        "mode": "instance",
        "type": [
            If("is_office", concept(f"{V3}RoleCode", "OF", "outpatient facility")),
            If("place_of_service", {"coding": [{"system": PLACE_OF_SERVICE, "code": Text("place_of_service")}]}),
        ],
        "telecom": [PHONE, EMAIL],
        "address": ADDRESS,
        "managingOrganization": reference("Organization", "organization"),
    },
    always=frozenset({"status", "name"}),
    mandatory=frozenset({"status", "name", "mode"}),
)
