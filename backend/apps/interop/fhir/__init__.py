"""The clinic's rows as FHIR R4: where each resource comes from, who may see it, how it is found and exported."""
