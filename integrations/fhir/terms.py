"""The names of code systems, profiles and extensions, each written once."""

from __future__ import annotations

from typing import Any

from integrations.fhir.holes import Join, Safe, Text, Tree, join

LOINC = "http://loinc.org"
SNOMED = "http://snomed.info/sct"
UCUM = "http://unitsofmeasure.org"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
NDC = "http://hl7.org/fhir/sid/ndc"
ICD_10_CM = "http://hl7.org/fhir/sid/icd-10-cm"
NPI = "http://hl7.org/fhir/sid/us-npi"
NUCC = "http://nucc.org/provider-taxonomy"
CLIA = "urn:oid:2.16.840.1.113883.4.7"
NAIC = "urn:oid:2.16.840.1.113883.6.300"
CDC_RACE = "urn:oid:2.16.840.1.113883.6.238"
NULL_FLAVOR = "http://terminology.hl7.org/CodeSystem/v3-NullFlavor"
V2 = "http://terminology.hl7.org/CodeSystem/v2-"  # and the number of the table, as 0203
V3 = "http://terminology.hl7.org/CodeSystem/v3-"
HL7 = "http://hl7.org/fhir/"  # of what codes of its own elements are
TERMINOLOGY = "http://terminology.hl7.org/CodeSystem/"
BCP_47 = "urn:ietf:bcp:47"
US_CORE = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-"

SUBSETTED = {"system": f"{V3}ObservationValue", "code": "SUBSETTED"}


def coding(system: str, code: str, display: str = "") -> dict[str, str]:
    return {"system": system, "code": code, **({"display": display} if display else {})}


def concept(system: str, code: str, display: str = "", text: str = "") -> dict[str, Any]:
    return {"coding": [coding(system, code, display)], **({"text": text} if text else {})}


def reference(resource_type: str, column: str) -> dict[str, Tree]:
    """Return a reference to the resource whose id is in `column`, absent where that is NULL."""
    target: Join = join(f"{resource_type}/", Safe(column))
    return {"reference": target}


def organization(column: str, name: str) -> dict[str, Tree]:
    """Return a reference to an Organization with its name; by the name alone where there is no row of it."""
    return {"reference": join("Organization/", Safe(column)), "display": Text(name)}
