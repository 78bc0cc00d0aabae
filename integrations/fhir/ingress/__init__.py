"""FHIR R4 as others write it to us: what is wrong with a body, and what it says in the terms of our shapes."""
