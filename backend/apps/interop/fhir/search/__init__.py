"""Search by the parameters of FHIR; without it a client could read only what it has the id of."""
