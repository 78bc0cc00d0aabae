"""What others write by FHIR: read, checked and done by the same services as /api/v1."""
